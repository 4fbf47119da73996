"""Starting, stopping and measuring a router: whatever listens is a tree of processes and nothing else.

The CPU time and the memory are those of the whole tree, because Crossbar.io is a controller with workers and
another router may be a shell script around a binary.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clients import REALM, WEBSOCKET_PATH, BenchmarkError, Transport, join
from benchmarks.secured import auth, permissions

ROOT = Path(__file__).resolve().parent.parent
CROSSBAR = ROOT / ".venvs" / "crossbar" / "bin" / "crossbar"

START_TIMEOUT = 60.0
STOP_TIMEOUT = 5.0
SETTLE_TIMEOUT = 20.0

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


class RouterError(BenchmarkError):
    """A router could not be started or went away."""


@dataclass(frozen=True, slots=True)
class Router:
    """A router that can be started.

    Attributes:
        name: what the table calls it.
        command: its command line; `{port}`, `{rawsocket_port}` and `{directory}` are filled in.
        version_command: prints its version, or is empty.
        crossbar_node: whether `{directory}` needs a Crossbar.io configuration.
        secured: its command line to run it with the configuration in `{directory}/config.json`; empty if it cannot.
    """

    name: str
    command: tuple[str, ...]
    version_command: tuple[str, ...] = ()
    crossbar_node: bool = False
    secured: tuple[str, ...] = ()

    @property
    def has_second_port(self) -> bool:
        """Whether RawSocket is not on the port where WebSocket is."""
        return self.crossbar_node or any("{rawsocket_port}" in part for part in self.command)

    def version(self) -> str:
        """The version, or "unknown"."""
        if not self.version_command:
            return "unknown"
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(self.version_command, capture_output=True, text=True, timeout=60, check=True)
            return done.stdout.strip() or "unknown"
        return "unknown"


def environment() -> dict[str, str]:
    """Our own environment, without what would make Python compile the router anew at each start.

    pip leaves an installation compiled; a checkout is after its first start, if Python may write.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def fill_in(command: Sequence[str], **values: object) -> list[str]:
    """The command line with these values in the place of their names in braces."""
    arguments = list(command)
    for name, value in values.items():
        arguments = [argument.replace(f"{{{name}}}", str(value)) for argument in arguments]
    return arguments


def rocade() -> Router:
    """This checkout of Rocade, run by the interpreter that runs the benchmark."""
    return Router(
        "rocade",
        (sys.executable, "-m", "rocade", "start", "--host", "127.0.0.1", "--port", "{port}"),
        (sys.executable, "-c", "import rocade; print(rocade.__version__)"),
        secured=(sys.executable, "-m", "rocade", "start", "--config", "{directory}/config.json"),
    )


def crossbar() -> Router:
    """Crossbar.io in the environment that `scripts/bench` made for it."""
    command = (str(CROSSBAR), "start", "--cbdir", "{directory}")
    return Router(
        "crossbar",
        command,
        (str(CROSSBAR.with_name("python")), "-c", "import importlib.metadata as m; print(m.version('crossbar'))"),
        crossbar_node=True,
        secured=command,
    )


def custom(definition: str) -> Router:
    """A router given as `NAME=command line`.

    Raises:
        ValueError: there is no name or no command.
    """
    name, _, command = definition.partition("=")
    if not name or not command.strip():
        raise ValueError(f"{definition!r} is not NAME='command line'")
    return Router(name, tuple(shlex.split(command)))


def crossbar_node_config(port: int, second_port: int, *, secured: bool = False) -> dict[str, object]:
    """One router worker and one realm where anonymous may do everything.

    There are two ports, so that each load finds the transport that is better for Crossbar.io. Behind its
    `universal` transport a WebSocket connection does not get TCP_NODELAY (seen with 26.10.1), and publications
    stall for 40 ms now and then; behind `web` it does, at the same CPU time per message. But `universal` makes
    joins a tenth cheaper.

    Secured, there are logins, and a role with rules; the file is one for Rocade as well.
    """
    serializers = ["json", "msgpack", "cbor"]
    protected: dict[str, object] = {"auth": auth()} if secured else {}
    websocket = {WEBSOCKET_PATH.lstrip("/"): {"type": "websocket", "serializers": serializers, **protected}}
    everything = {
        "uri": "",
        "match": "prefix",
        "allow": {"call": True, "register": True, "publish": True, "subscribe": True},
        "disclose": {"caller": False, "publisher": False},
        "cache": True,
    }

    roles: list[dict[str, object]] = [{"name": "anonymous", "permissions": [] if secured else [everything]}]
    if secured:
        roles.append({"name": "bench", "permissions": permissions()})

    def endpoint(number: int) -> dict[str, object]:
        return {"type": "tcp", "interface": "127.0.0.1", "port": number, "backlog": 1024}

    return {
        "version": 2,
        "workers": [
            {
                "type": "router",
                "realms": [{"name": REALM, "roles": roles}],
                "transports": [
                    {
                        "type": "universal",
                        "endpoint": endpoint(second_port),
                        "rawsocket": {"serializers": serializers, **protected},
                        "websocket": websocket,
                    },
                    {
                        "type": "web",
                        "endpoint": endpoint(port),
                        "paths": {"/": {"type": "json", "value": "bench"}, **websocket},
                    },
                ],
            }
        ],
    }


@dataclass(frozen=True, slots=True)
class Cores:
    """Which CPUs the generator and the routers run on; both empty where they are not pinned."""

    generator: frozenset[int]
    router: frozenset[int]

    @property
    def pinned(self) -> bool:
        """Whether each side has cores to itself."""
        return bool(self.router)


def split_cores(pin: bool = True) -> Cores:
    """The first core for the generator, all others for the routers; unpinned if there is only one."""
    available = sorted(os.sched_getaffinity(0))
    if not pin or len(available) < 2:
        return Cores(frozenset(), frozenset())
    return Cores(frozenset(available[:1]), frozenset(available[1:]))


def raise_file_limit(wanted: int = 65536) -> int:
    """Let this process and the routers it starts have many sockets; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What /proc/<pid>/stat says and we need."""

    pid: int
    parent: int
    started: int
    cpu_ticks: int

    @classmethod
    def read(cls, pid: int) -> ProcessStat | None:
        """The process with this id, or None if it is gone."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The second field is the program's name in parentheses, which may contain spaces and parentheses.
        fields = text[text.rindex(")") + 2 :].split()
        # utime, stime and those of children that were waited for: a worker that ended still counts.
        return cls(pid, int(fields[1]), int(fields[19]), sum(map(int, fields[11:15])))


def process_tree(root: int) -> list[ProcessStat]:
    """The process and all its descendants."""
    everything = [stat for name in os.listdir("/proc") if name.isdigit() and (stat := ProcessStat.read(int(name)))]
    # parent -> its children
    children: dict[int, list[ProcessStat]] = {}
    for stat in everything:
        children.setdefault(stat.parent, []).append(stat)
    tree = [stat for stat in everything if stat.pid == root]
    for stat in tree:
        tree.extend(children.get(stat.pid, ()))
    return tree


def memory_of(pid: int) -> int:
    """Bytes of memory: the proportional set size where it can be read, the resident set size elsewhere."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_SIZE
    return 0


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that the system says are free."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


class RunningRouter:
    """A started router; a context manager, so that it is stopped whatever happens."""

    def __init__(
        self, router: Router, cores: Cores, arguments: Sequence[str] | None = None, *, secured: bool = False
    ) -> None:
        """
        Args:
            router: what to start.
            cores: where it runs.
            arguments: another command line than the router's own, for a profiler around it.
            secured: whether clients are to log in, and have a role with rules.
        """
        self.router = router
        self.port, self.second_port = free_ports(2) if router.has_second_port or secured else free_ports(1) * 2
        self.startup_seconds = 0.0
        self.startup_memory = 0
        self._cores = cores
        self._arguments = arguments
        self._secured = secured
        self._directory = Path(tempfile.mkdtemp(prefix=f"bench-{router.name}-"))
        self._log = self._directory / "bench.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RunningRouter:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def port_for(self, transport: Transport, about_joining: bool = False) -> int:
        """Where a load finds this transport."""
        second = transport == "rawsocket" or (about_joining and (self.router.crossbar_node or self._secured))
        return self.second_port if second else self.port

    async def start(self) -> None:
        """Start it and wait until it welcomes a session.

        Raises:
            RouterError: it ended, or did not welcome anybody in time.
        """
        if self.router.crossbar_node or self._secured:
            config = crossbar_node_config(self.port, self.second_port, secured=self._secured)
            (self._directory / "config.json").write_text(json.dumps(config))
        arguments = self._arguments or (self.router.secured if self._secured else self.router.command)
        arguments = fill_in(arguments, port=self.port, rawsocket_port=self.second_port, directory=self._directory)
        begin = time.perf_counter()
        self._process = self._spawn(arguments)
        while True:
            try:
                # A connection that is taken but not served yet must not cost a whole timeout of start-up time.
                async with asyncio.timeout(1):
                    (await join(self.port)).close()
                break
            except (OSError, BenchmarkError, TimeoutError):
                pass
            if self._process.poll() is not None:
                raise RouterError(f"{self.router.name} ended with code {self._process.returncode}:\n{self.log_tail()}")
            if time.perf_counter() - begin > START_TIMEOUT:
                raise RouterError(f"{self.router.name} welcomed nobody in {START_TIMEOUT:g} s:\n{self.log_tail()}")
            await asyncio.sleep(0.005)
        self.startup_seconds = time.perf_counter() - begin
        await self.settle()
        self.startup_memory = self.memory()

    def _spawn(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start the process in a group of its own, on the routers' cores."""
        own = os.sched_getaffinity(0)
        try:
            # A child inherits the affinity; the other way, `preexec_fn`, is not safe next to threads.
            if self._cores.pinned:
                os.sched_setaffinity(0, self._cores.router)
            with self._log.open("wb") as log:
                return subprocess.Popen(
                    arguments,
                    cwd=self._directory,
                    env=environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise RouterError(f"{self.router.name} cannot be started: {error}") from error
        finally:
            os.sched_setaffinity(0, own)

    def tree(self) -> list[ProcessStat]:
        """The router's processes.

        Raises:
            RouterError: there are none any more.
        """
        if self._process is None or self._process.poll() is not None:
            raise RouterError(f"{self.router.name} ended:\n{self.log_tail()}")
        return process_tree(self._process.pid)

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        return sum(stat.cpu_ticks for stat in self.tree()) / TICKS_PER_SECOND

    def memory(self) -> int:
        """Bytes of memory of all its processes."""
        return sum(memory_of(stat.pid) for stat in self.tree())

    async def settle(self) -> None:
        """Wait until it has nothing left to do, so that one load's end is not in the next one's figures."""
        quiet = 0
        last = self.cpu_seconds()
        deadline = time.perf_counter() + SETTLE_TIMEOUT
        while quiet < 2 and time.perf_counter() < deadline:
            await asyncio.sleep(0.1)
            now = self.cpu_seconds()
            quiet = quiet + 1 if now - last < 0.015 else 0
            last = now

    def log_tail(self, lines: int = 15) -> str:
        """The end of what it printed."""
        with suppress(OSError):
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def stop(self) -> None:
        """End all its processes, politely at first, and remove its directory."""
        process = self._process
        if process is not None:
            tree = process_tree(process.pid)
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_TIMEOUT)
            for stat in tree:
                # Only the process we saw: its id may belong to another one by now.
                current = ProcessStat.read(stat.pid)
                if current is not None and current.started == stat.started:
                    with suppress(ProcessLookupError):
                        os.kill(stat.pid, signal.SIGKILL)
            process.wait()
            self._process = None
        shutil.rmtree(self._directory, ignore_errors=True)
