"""Where a load is played: a router of its own, the clients it makes, and what was measured of it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.clients import REALM, BenchmarkError
from benchmarks.held.peers import Peer, Pump
from benchmarks.routers import ROOT, Cores, free_ports, process_tree

__all__ = ["LOADS", "Found", "Load", "Stage", "load"]

STATIC_BYTES = 100 * 1024 * 1024
SECRET = "a secret of the load generator"
SCRAM_USER = {
    "kdf": "pbkdf2",
    "iterations": 4096,
    "salt": "00" * 16,
    "stored-key": "11" * 32,
    "server-key": "22" * 32,
    "role": "user",
}
QUIET_SECONDS = 0.12
MOST_SECONDS = 60.0
"""A load that is not over by then is cut off, which says so in its row."""


@dataclass(frozen=True, slots=True)
class Load:
    """Something that clients do to the router.

    Attributes:
        name: for the command line and the table.
        text: for the table.
        play: does it once.
    """

    name: str
    text: str
    play: Callable[[Stage], None]


LOADS: dict[str, Load] = {}


def load(name: str, text: str) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Put a function into the catalogue."""

    def add(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
        LOADS[name] = Load(name, text, play)
        return play

    return add


@dataclass(slots=True)
class Found:
    """What was measured of one load, in seconds, by repetition."""

    rounds: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)
    callbacks: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    garbage: list[float] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)

    def add(self, report: dict[str, Any]) -> None:
        """Take one repetition in."""
        self.rounds.append(report["round"])
        self.walls.append(report["wall"])
        self.callbacks.append(report["callback"])
        self.names.append(report["name"])
        self.garbage.append(report["garbage"])
        if "seen" in report:
            self.seen.append((report["round"], report["seen"]))

    @property
    def name(self) -> str:
        """The longest of all callbacks."""
        return self.names[self.callbacks.index(max(self.callbacks))] if self.callbacks else ""


def configuration(port: int, tls_port: int, folder: Path) -> dict[str, Any]:
    """One realm for everybody, with histories; and another one behind logins. All kinds of transports."""
    everything = {"uri": "*", "allow": {"call": True, "register": True, "publish": True, "subscribe": True}}
    principals = {f"user{number}": {"secret": SECRET, "role": "user"} for number in range(4)}
    store = {"type": "memory", "event-history": [{"uri": "bench.history", "match": "prefix", "limit": 10_000}]}

    def transport(number: int, **tls: Any) -> dict[str, Any]:
        endpoint = {"type": "tcp", "interface": "127.0.0.1", "port": number, "backlog": 4096, **tls}
        return {
            "type": "universal",
            "endpoint": endpoint,
            "limits": {"handshakes_per_address": 0},
            "rawsocket": {},
            "websocket": {
                "ws": {"type": "websocket"},
                "deflated": {"type": "websocket", "options": {"compression": {"deflate": {}}}},
                "guarded": {
                    "type": "websocket",
                    "options": {"allowed_origins": ["https://*.example.*", "*://*.b.*:*"]},
                },
                "scram": {
                    "type": "websocket",
                    "auth": {"scram": {"type": "static", "principals": {"user1": SCRAM_USER}}},
                },
                "cra": {"type": "websocket", "auth": {"wampcra": {"type": "static", "users": principals}}},
            },
            "web": {
                "paths": {
                    "/": {"type": "static", "directory": str(folder / "web")},
                    "lp": {"type": "longpoll"},
                    "value": {"type": "json", "value": {"numbers": list(range(100))}},
                }
            },
        }

    roles = [{"name": "anonymous", "permissions": [everything]}, {"name": "user", "permissions": [everything]}]
    realm = {"name": REALM, "options": {"request_ids": "any"}, "roles": roles, "store": store}
    stored = {"name": "stored", "options": {"request_ids": "any"}, "roles": roles}
    stored["store"] = store | {"type": "sqlite", "path": str(folder / "history.db")}
    tls = {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    return {
        "version": 2,
        "workers": [
            {"type": "router", "realms": [realm, stored], "transports": [transport(port), transport(tls_port, tls=tls)]}
        ],
    }


def make_certificate(folder: Path) -> None:
    """A certificate for this machine, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(secret)
    (folder / "key.pem").chmod(0o600)


class Stage:
    """A router, and the clients of one load after the other; a context manager."""

    def __init__(self, cores: Cores, *, loop: str = "", explain: bool = False) -> None:
        """
        Args:
            cores: where the router runs.
            loop: "asyncio" for that instead of what the router prefers.
            explain: whether to find out what ran in the longest rounds.
        """
        self.found = Found()
        self.port, self.tls_port = free_ports(2)
        self.kept: dict[str, Any] = {}
        """What a load keeps from one repetition to the next."""
        self._folder = tempfile.TemporaryDirectory(prefix="bench-holds-")
        self._cores = cores
        self._loop = loop
        self._explain = explain
        self._peers: list[Peer] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Any = None

    def __enter__(self) -> Stage:
        folder = Path(self._folder.name)
        (folder / "web").mkdir()
        with (folder / "web" / "large").open("wb") as file:
            file.truncate(STATIC_BYTES)
        (folder / "web" / "small").write_text("small")
        make_certificate(folder)
        config = folder / "config.json"
        config.write_text(json.dumps(configuration(self.port, self.tls_port, folder)))
        command = [sys.executable, "-m", "benchmarks.held.router", str(config)]
        self._log = (folder / "log").open("wb")
        own = os.sched_getaffinity(0)
        try:
            if self._cores.pinned:
                os.sched_setaffinity(0, self._cores.router)
            self._process = subprocess.Popen(
                command + (["--explain"] if self._explain else []),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                cwd=ROOT,
                env=os.environ
                | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
                | ({"ROCADE_LOOP": self._loop} if self._loop else {}),
            )
        finally:
            os.sched_setaffinity(0, own)
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()
        self._folder.cleanup()

    # What is said to the router.

    def order(self, *order: Any) -> Any:
        """Have the router do something; its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError(f"the router ended:\n{self.log()}")
        return json.loads(line)

    def log(self) -> str:
        """The end of what the router has logged."""
        return "\n".join(Path(self._folder.name, "log").read_text(errors="replace").splitlines()[-15:])

    # Clients.

    def connect(self, transport: str = "websocket", serializer: str = "json", **options: Any) -> Peer:
        """A connection; see `Peer`."""
        tls = options.pop("is_secure", False)
        context = None
        if tls:
            context = ssl.create_default_context(cafile=str(Path(self._folder.name, "cert.pem")))
        address = ("127.0.0.1", self.tls_port if tls else self.port)
        peer = Peer(address, transport, serializer, tls=context, **options)
        self._peers.append(peer)
        return peer

    def join(self, transport: str = "websocket", serializer: str = "json", **options: Any) -> Peer:
        """A session."""
        peer = self.connect(transport, serializer, **options)
        peer.join()
        return peer

    def clear(self) -> None:
        """All clients go."""
        for peer in self._peers:
            peer.close()
        self._peers.clear()

    # Measuring.

    @contextmanager
    def measured(self, settle: bool = True) -> Iterator[None]:
        """Measure what happens meanwhile, and until the router has nothing left to do."""
        self.settle()
        self.order("start")
        yield
        if settle:
            self.settle()
        self.found.add(self.order("stop"))

    def settle(self) -> None:
        """Let everybody read and write until there is nothing left to do for anybody."""
        pump = Pump(self._peers)
        assert self._process is not None
        quiet = 0
        deadline = time.monotonic() + MOST_SECONDS
        others = -1
        while quiet < 2:
            moved = 0
            end = time.monotonic() + QUIET_SECONDS
            while (now := time.monotonic()) < end:
                moved += pump.turn(end - now)
            busy = self.order("busy")
            before, others = others, sum(stat.cpu_ticks for stat in process_tree(self._process.pid)[1:])
            quiet = quiet + 1 if not moved and busy < 0.003 and before == others else 0
            if time.monotonic() > deadline:
                self.found.remarks.append(f"cut off after {MOST_SECONDS:g} s")
                break
        pump.close()

    def pump(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let everybody read and write for so long."""
        pump = Pump(self._peers)
        end = time.monotonic() + seconds
        while not until() and (now := time.monotonic()) < end:
            pump.turn(min(0.02, end - now))
        pump.close()
