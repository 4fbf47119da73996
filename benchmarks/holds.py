"""`scripts/bench holds`: for how long a client can hold the router's event loop, which serves everybody else.

Each load has a router of its own, which runs what `rocade start` runs. A callback that re-schedules itself takes the
time in each round of its loop; the longest round is no shorter than the longest callback. The time is the CPU time of
the loop's thread, so what else goes on on the machine does not count.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from benchmarks.held import bursts, extremes, hostile, joining, large, many, matching, slow
from benchmarks.held.stage import LOADS, Found, Load, Stage
from benchmarks.report import header, median, number, table, warn, with_section
from benchmarks.routers import Cores, raise_file_limit, rocade, split_cores

__all__ = ["main"]

RESULTS_FILE = Path(__file__).with_name("RESULTS.md")

TITLE = "How long the event loop is held"

SHORT = 0.002
"""Seconds that are not worth a row."""

GROUPS = (large, many, slow, bursts, matching, hostile, extremes, joining)
"""Modules that fill the catalogue."""


def chosen(patterns: str) -> list[Load]:
    """The loads to play.

    Args:
        patterns: names separated by commas, with * for any text.
    Raises:
        ValueError: nothing has such a name.
    """
    found: dict[str, Load] = {}
    for pattern in patterns.split(",") if patterns else ["*"]:
        names = fnmatch.filter(LOADS, pattern)
        if not names:
            raise ValueError(f"no load is called {pattern}; --list shows what there is")
        found |= {name: LOADS[name] for name in names}
    return list(found.values())


def play(load: Load, cores: Cores, runs: int, options: argparse.Namespace) -> Found:
    """One load, so often."""
    with Stage(cores, loop="asyncio" if options.asyncio else "", explain=options.explain) as stage:
        for _ in range(runs):
            try:
                load.play(stage)
                stage.clear()
                stage.settle()
            except Exception as error:  # whatever fails is not to take the other loads' figures along
                warn(f"{load.name}: {type(error).__name__}: {error}\n{stage.log()}")
                stage.found.remarks.append(f"failed: {str(error)[:80]}")
                break
    return stage.found


def row(load: Load, found: Found) -> list[str]:
    """What the table says of one load."""
    figures = [found.rounds, found.callbacks]
    parts = [number(value, 1e3) for each in figures for value in (median(each), max(each, default=None))]
    remarks = list(dict.fromkeys(found.remarks))
    if max(found.garbage, default=0.0) > SHORT:
        remarks.append(f"garbage collection took up to {number(max(found.garbage), 1e3)} ms")
    return [load.text, *parts, found.name, "; ".join(remarks)]


COLUMNS = [
    "load",
    "longest round: median ms",
    "max",
    "longest callback: median ms",
    "max",
    "which",
    "remarks",
]


def render(measured: dict[str, Found], head: Sequence[str], runs: int) -> str:
    """The section of the report: the longest first, and those that are not worth a row counted."""
    rows, short = [], []
    for name, found in sorted(measured.items(), key=lambda item: -(median(item[1].rounds) or 0.0)):
        if found.rounds and max(found.rounds) < SHORT and not found.remarks:
            short.append(name)
        else:
            rows.append(row(LOADS[name], found))
    return "\n".join(
        [
            f"## {TITLE}",
            "",
            *head,
            "",
            *table(COLUMNS, rows),
            "",
            f"{len(short)} other loads held it for less than {number(SHORT, 1e3)} ms. Each was played "
            f"{'once' if runs == 1 else f'{runs} times'}, on a router of its own. A round of the loop runs all that is "
            "ready: callbacks, and reads from many sockets. Times are CPU time of the loop's thread.",
            "",
        ]
    )


def explain(load: Load, found: Found) -> None:
    """Print what was seen in the longest rounds."""
    for held, seen in found.seen:
        for _, stacks in seen:
            print(f"\n{load.name}: a round of {held * 1e3:.1f} ms")
            for count, stack in stacks:
                print(f"  {count} x " + "\n      ".join(stack[:8]))


def terminate(number_: int, frame: FrameType | None) -> None:
    """Leave as Ctrl-C does, so that the router is stopped."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run the command; the process's exit code."""
    parser = argparse.ArgumentParser(prog="scripts/bench holds", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("loads", nargs="?", default="", help="names separated by commas, with * for any text")
    parser.add_argument("--runs", type=int, default=3, help="how often each load is played (default: 3)")
    parser.add_argument("--asyncio", action="store_true", help="on asyncio's own loop instead of uvloop")
    parser.add_argument("--explain", action="store_true", help="print what ran in the longest rounds; slows it down")
    parser.add_argument("--no-pin", action="store_true", help="let router and load generator share the cores")
    parser.add_argument("--list", action="store_true", help="list the loads")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single measurement to a file")
    parser.add_argument("--write", action="store_true", help=f"put the table into benchmarks/{RESULTS_FILE.name}, too")
    options = parser.parse_args(arguments)
    try:
        loads = chosen(options.loads)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        for load in loads:
            print(f"{load.name}: {load.text}")
        return 0
    signal.signal(signal.SIGTERM, terminate)
    raise_file_limit()
    load_average = os.getloadavg()
    cores = split_cores(pin=not options.no_pin)
    if cores.pinned:
        os.sched_setaffinity(0, cores.generator)
    measured: dict[str, Found] = {}
    try:
        for load in loads:
            found = measured[load.name] = play(load, cores, options.runs, options)
            warn(f"{load.name}: " + ", ".join(f"{each * 1e3:.1f}" for each in found.rounds) + f" ms, {found.name}")
            if options.explain:
                explain(load, found)
            if options.json:
                everything = {name: asdict(found) for name, found in measured.items()}
                options.json.write_text(json.dumps(everything, indent=1))
    except KeyboardInterrupt:
        warn("interrupted")
        return 130
    head = header([rocade()], cores, runs=options.runs, seconds=1.0, load_average=load_average)
    head = [line for line in head if not line.startswith("- Method")]
    head.append(f"- Event loop: {'asyncio' if options.asyncio else 'uvloop'}")
    section = render(measured, head, options.runs)
    print(section)
    if options.write:
        before = RESULTS_FILE.read_text() if RESULTS_FILE.exists() else ""
        RESULTS_FILE.write_text(with_section(before, TITLE, section))
    return 0
