"""The command: `scripts/bench`, or `python -m benchmarks` in an environment that has what it needs."""

from __future__ import annotations

import argparse
import gc
import json
import os
import pstats
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from types import FrameType

import uvloop

from benchmarks import holds, noisy
from benchmarks.clients import BenchmarkError, NotOffered
from benchmarks.loads import HEADLINES, LOADS, Load, Site, run_load
from benchmarks.report import Results, Start, header, render, section_of, warn, with_section
from benchmarks.routers import (
    CROSSBAR,
    Cores,
    Router,
    RunningRouter,
    crossbar,
    custom,
    raise_file_limit,
    rocade,
    split_cores,
)

RESULTS_FILE = Path(__file__).with_name("RESULTS.md")

FILES_NEEDED = 7000


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Put WAMP routers under the same loads, on this machine, interleaved, and compare them. "
        "`scripts/bench noisy` and `scripts/bench holds` are other commands: what one client does to another, and for "
        "how long it can hold the event loop.",
    )
    parser.add_argument(
        "--routers",
        default="",
        help="names separated by commas (default: rocade,crossbar, then "
        "those given with --router-command); ratios are those of the first one to the others",
    )
    parser.add_argument(
        "--router-command",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another router; {port} in its command line is filled in (and {rawsocket_port}, if "
        "RawSocket is not on the same one, and {directory}, an empty one); WebSocket at /ws, realm1",
    )
    parser.add_argument("--loads", default="", help=f"names separated by commas; all: {', '.join(LOADS)}")
    parser.add_argument("--runs", type=int, default=0, help="runs of everything (default: 5, quick: 3)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=1.2,
        help="length of a load's window (default: 1.2; headlines 2.5 times as long)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=20.0,
        help="start no further run after so long if it would not end in time (default: 20)",
    )
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(HEADLINES)}, three runs")
    parser.add_argument("--no-pin", action="store_true", help="let router and load generator share the cores")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single measurement to a file")
    parser.add_argument("--write", action="store_true", help="write the table to benchmarks/RESULTS.md, too")
    parser.add_argument("--list", action="store_true", help="list the loads")
    parser.add_argument("--profile", metavar="LOAD", help="run one load against Rocade under cProfile instead")
    options = parser.parse_args(arguments)
    if options.runs < 0 or options.seconds <= 0:
        parser.error("--runs and --seconds must be positive")
    return options


def chosen_routers(names: str, commands: Sequence[str]) -> list[Router]:
    """The routers to compare.

    Raises:
        ValueError: one is not known.
    """
    extra = [custom(command) for command in commands]
    known = {router.name: router for router in (rocade(), crossbar(), *extra)}
    wanted = names.split(",") if names else ["rocade", "crossbar", *(router.name for router in extra)]
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"unknown router {', '.join(unknown)}; there are {', '.join(known)}")
    if "crossbar" in wanted and known["crossbar"] == crossbar() and not CROSSBAR.exists():
        raise ValueError(f"Crossbar.io is not installed ({CROSSBAR}): scripts/bench does it")
    return [known[name] for name in dict.fromkeys(wanted)]


def chosen_loads(names: str, quick: bool) -> list[Load]:
    """The loads to run, those of one group next to each other.

    Raises:
        ValueError: one is not known.
    """
    wanted = names.split(",") if names else (HEADLINES if quick else tuple(LOADS))
    if unknown := [name for name in wanted if name not in LOADS]:
        raise ValueError(f"unknown load {', '.join(unknown)}; there are {', '.join(LOADS)}")
    groups = list(dict.fromkeys(load.group for load in LOADS.values()))
    return sorted((LOADS[name] for name in dict.fromkeys(wanted)), key=lambda load: groups.index(load.group))


class Bench:
    """The whole run: which routers, which loads, how long; and what came out."""

    def __init__(self, routers: Sequence[Router], loads: Sequence[Load], cores: Cores, seconds: float) -> None:
        self.results = Results()
        self._routers = routers
        self._groups = [list(group) for _, group in groupby(loads, key=lambda load: load.group)]
        self._cores = cores
        self._seconds = seconds

    def run(self, runs: int, minutes: float) -> int:
        """Do up to this many runs; how many there was time for."""
        begin = time.monotonic()
        for run in range(runs):
            elapsed = time.monotonic() - begin
            if run and elapsed * (run + 1) / run > minutes * 60:
                warn(f"no time for more than {run} runs")
                return run
            for group in self._groups:
                for router in self._turns(run):
                    warn(f"run {run + 1} of {runs}, {router.name}: {', '.join(load.name for load in group)}")
                    uvloop.run(self._run_group(router, run, group))
                    gc.collect()
        return runs

    def _turns(self, run: int) -> Iterator[Router]:
        """The routers, each run beginning with another one: what the first leaves behind hits each in turn."""
        shift = run % len(self._routers)
        yield from self._routers[shift:]
        yield from self._routers[:shift]

    async def _run_group(self, router: Router, run: int, loads: Sequence[Load]) -> None:
        """Start the router, put it under the loads, stop it; after a failure go on with a fresh one."""
        left = list(loads)
        secured = loads[0].login is not None
        if secured and not router.secured:
            return
        while left:
            with RunningRouter(router, self._cores, secured=secured) as running:
                try:
                    await running.start()
                except BenchmarkError as error:
                    self._fail(f"{router.name}, run {run + 1}: {error}")
                    return
                starts = self.results.starts.setdefault(router.name, [])
                starts.append(Start(running.startup_seconds, running.startup_memory))
                site = Site(running, self._seconds, warmup=self._seconds / 5)
                while left:
                    load = left.pop(0)
                    try:
                        for measurement in await run_load(site, load):
                            self.results.add(router.name, run, measurement)
                    except NotOffered:
                        continue
                    except BenchmarkError as error:
                        self._fail(f"{router.name}, run {run + 1}, {load.name}: {error}")
                        break

    def _fail(self, text: str) -> None:
        warn(text)
        # The whole tail of a log is for the terminal; the report has its last line.
        first, *others = text.splitlines()
        self.results.failures.append(f"{first} {others[-1].strip()}" if others else first)


def profile(load: Load, cores: Cores, seconds: float) -> None:
    """Run one load against Rocade under cProfile and print where its time went."""
    router = rocade()
    with tempfile.TemporaryDirectory() as directory:
        file = os.path.join(directory, "profile")
        command = router.command if load.login is None else router.secured
        arguments = [sys.executable, "-m", "cProfile", "-o", file, *command[1:]]

        async def run() -> None:
            with RunningRouter(router, cores, arguments, secured=load.login is not None) as running:
                await running.start()
                await run_load(Site(running, seconds, warmup=0.0), load)

        uvloop.run(run())
        if not os.path.exists(file):
            raise BenchmarkError("the router left no profile: it did not end by itself when asked to")
        pstats.Stats(file).sort_stats("tottime").print_stats(45)


def terminate(number: int, frame: FrameType | None) -> None:
    """Leave as Ctrl-C does, so that routers are stopped."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the process's exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["noisy"]:
        return noisy.main(arguments[1:])
    if arguments[:1] == ["holds"]:
        return holds.main(arguments[1:])
    options = parse_arguments(arguments)
    if options.list:
        for load in LOADS.values():
            print(f"{load.name}: {load.text}")
        return 0
    signal.signal(signal.SIGTERM, terminate)
    load_average = os.getloadavg()
    cores = split_cores(pin=not options.no_pin)
    if raise_file_limit() < FILES_NEEDED:
        warn(f"fewer than {FILES_NEEDED} open files are allowed: loads with many sessions will fail")
    if load_average[0] > 0.5:
        warn(f"something else is running here (load average {load_average[0]:.2f}): the figures will be noisy")
    if cores.pinned:
        os.sched_setaffinity(0, cores.generator)

    try:
        if options.profile:
            profile(chosen_loads(options.profile, False)[0], cores, options.seconds)
            return 0
        routers = chosen_routers(options.routers, options.router_command)
        loads = chosen_loads(options.loads, options.quick)
        bench = Bench(routers, loads, cores, options.seconds)
        runs = bench.run(options.runs or (3 if options.quick else 5), options.minutes)
    except (ValueError, BenchmarkError) as error:
        warn(str(error))
        return 2
    except KeyboardInterrupt:
        warn("interrupted")
        return 130

    head = header(routers, cores, runs=runs, seconds=options.seconds, load_average=load_average)
    report = render(bench.results, routers, head)
    print(report)
    if options.write:
        # `scripts/bench holds` has a section of its own there.
        before = RESULTS_FILE.read_text() if RESULTS_FILE.exists() else ""
        RESULTS_FILE.write_text(with_section(report, holds.TITLE, section_of(before, holds.TITLE)))
    if options.json:
        options.json.write_text(json.dumps({"head": head, **bench.results.as_json()}, indent=1))
    return 1 if bench.results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
