"""From measurements to a table that people read."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.loads import HEADLINE_LENGTH, LOADS, SUBSCRIPTION_STEPS, Load, Measurement
from benchmarks.routers import ROOT, Cores, Router

NOTHING = "-"
MEBIBYTE = 1024 * 1024
KIBIBYTE = 1024

# A router that used less of a core than this waited for the load generator: its throughput is not its limit.
SATURATED = 0.85

MOST_START_SECONDS = 0.5
MOST_START_BYTES = 45 * MEBIBYTE
MOST_IDLE_BYTES = 16 * KIBIBYTE
MOST_MATCH_GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a router: seconds to the first WELCOME, bytes of memory when it has come to rest."""

    seconds: float
    memory: int


@dataclass(slots=True)
class Results:
    """Everything that was measured, in order: the n-th entries of all lists belong to the n-th run.

    A load that failed has None in its list and a line in `failures`.
    """

    # router -> load -> by run
    measurements: dict[str, dict[str, list[Measurement | None]]] = field(default_factory=dict)
    # router -> by start
    starts: dict[str, list[Start]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, router: str, run: int, measurement: Measurement) -> None:
        """Take one measurement of run number `run`, counted from 0."""
        series = self.measurements.setdefault(router, {}).setdefault(measurement.load, [])
        series.extend([None] * (run + 1 - len(series)))
        series[run] = measurement

    def series(self, router: str, load: str) -> list[Measurement | None]:
        """What was measured of a router under a load, by run."""
        return self.measurements.get(router, {}).get(load, [])

    def values(self, router: str, load: str, attribute: str) -> list[float]:
        """One attribute of the measurements that there are."""
        found = (getattr(measurement, attribute) for measurement in self.series(router, load) if measurement)
        return [value for value in found if value is not None]

    def median(self, router: str, load: str, attribute: str) -> float | None:
        """The median of one attribute, or None."""
        return median(self.values(router, load, attribute))

    def ratio(self, router: str, peer: str, load: str, attribute: str) -> Ratio | None:
        """How the router compares with the peer, run by run."""
        return Ratio.of(
            (getattr(ours, attribute), getattr(theirs, attribute))
            for ours, theirs in zip(self.series(router, load), self.series(peer, load), strict=False)
            if ours and theirs
        )

    def loads(self) -> list[str]:
        """The names of all loads that were measured, in order."""
        return list(dict.fromkeys(load for loads in self.measurements.values() for load in loads))

    def as_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "measurements": {
                router: {
                    load: [measurement and asdict(measurement) for measurement in series]
                    for load, series in loads.items()
                }
                for router, loads in self.measurements.items()
            },
            "starts": {router: [asdict(start) for start in starts] for router, starts in self.starts.items()},
            "failures": self.failures,
        }


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of the ratios of pairs, with the smallest and the largest."""

    median: float
    smallest: float
    largest: float

    @classmethod
    def of(cls, pairs: Iterable[tuple[float | None, float | None]]) -> Ratio | None:
        """The first of each pair divided by the second; None if there is no pair to divide."""
        ratios = [ours / theirs for ours, theirs in pairs if ours is not None and theirs]
        return cls(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None

    def __str__(self) -> str:
        return f"**{number(self.median)}** ({number(self.smallest)} to {number(self.largest)})"


def median(values: Sequence[float]) -> float | None:
    """The median, or None if there are no values."""
    return statistics.median(values) if values else None


def number(value: float | None, scale: float = 1.0) -> str:
    """The value times the scale, to three digits that mean something."""
    if value is None:
        return NOTHING
    value *= scale
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, its first column to the left and all others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def render(results: Results, routers: Sequence[Router], head: Sequence[str]) -> str:
    """The whole report as Markdown: head, tables, targets, what the loads are."""
    names = [router.name for router in routers]
    lines = ["# Benchmark results", "", *head, ""]
    for title, part in (
        ("Traffic", traffic_table(results, names)),
        ("Matching", matching_table(results, names)),
        ("Session resumption", resumption_table(results, names)),
        ("Start and memory", start_table(results, names)),
        ("Targets", targets_table(results, names)),
        ("Loads", load_list(results)),
    ):
        if part:
            lines += [f"## {title}", "", *part, ""]
    if results.failures:
        lines += ["## Failures", "", *(f"- {failure}" for failure in results.failures), ""]
    return "\n".join(lines)


def traffic_table(results: Results, names: Sequence[str]) -> list[str]:
    """One row per load with the router's CPU time, the throughput and the latency of each router."""
    loads = [load for load in results.loads() if load != "idle"]
    if not loads:
        return []
    first, peers = names[0], names[1:]
    head = ["load", "operation"]
    head += [f"CPU µs, {name}" for name in names]
    head += [f"ratio to {peer} (min to max)" for peer in peers]
    head += [f"per second, {name}" for name in names]
    head += [f"x {peer}" for peer in peers]
    head += [f"p50 / p99 ms, {name}" for name in names]
    rows = []
    starred = False
    for load in loads:
        row = [load, unit_of(load)]
        row += [number(results.median(name, load, "cpu_each"), 1e6) for name in names]
        row += [str(results.ratio(first, peer, load, "cpu_each") or NOTHING) for peer in peers]
        for name in names:
            busy = results.median(name, load, "router_busy")
            star = "\\*" if busy is not None and busy < SATURATED else ""
            starred = starred or bool(star)
            row.append(number(results.median(name, load, "rate")) + star)
        for peer in peers:
            ratio = results.ratio(first, peer, load, "rate")
            row.append(number(ratio.median if ratio else None))
        for name in names:
            p50, p99 = results.median(name, load, "p50"), results.median(name, load, "p99")
            row.append(f"{number(p50, 1e3)} / {number(p99, 1e3)}" if p50 is not None else NOTHING)
        rows.append(row)
    lines = table(head, rows)
    if starred:
        lines += ["", f"\\* The router used less than {SATURATED:.0%} of a core: it could have done more."]
    return lines


def matching_table(results: Results, names: Sequence[str]) -> list[str]:
    """What a publication costs with more subscriptions, compared with one."""
    one, *more = SUBSCRIPTION_STEPS
    rows = []
    for kind in ("exact", "prefix", "wildcard"):
        load = f"match-{kind}"
        for name in names:
            base = results.series(name, f"{load}-{one}")
            if not any(base):
                continue
            row = [kind, name, number(results.median(name, f"{load}-{one}", "cpu_each"), 1e6)]
            for count in more:
                row.append(number(results.median(name, f"{load}-{count}", "cpu_each"), 1e6))
                row.append(str(growth(results, name, kind, count) or NOTHING))
            rows.append(row)
    if not rows:
        return []
    head = ["match", "router", f"CPU µs per publication with {one} subscription"]
    for count in more:
        head += [f"with {count:,}", f"x with {one} (min to max)"]
    return table(head, rows)


def growth(results: Results, router: str, kind: str, count: int) -> Ratio | None:
    """How much more a publication costs with `count` subscriptions than with one."""
    many = results.series(router, f"match-{kind}-{count}")
    base = results.series(router, f"match-{kind}-{SUBSCRIPTION_STEPS[0]}")
    pairs = zip(many, base, strict=False)
    return Ratio.of((ours.cpu_each, theirs.cpu_each) for ours, theirs in pairs if ours and theirs)


def resumption_table(results: Results, names: Sequence[str]) -> list[str]:
    """What it costs that sessions can be resumed, by router that has it."""
    rows = []
    for load in LOADS.values():
        for name in names:
            off, on = f"{load.name}-off", f"{load.name}-on"
            pairs = list(zip(results.series(name, on), results.series(name, off), strict=False))
            cpu = Ratio.of((a.cpu_each, b.cpu_each) for a, b in pairs if a and b)
            if load.resumable == "none" or cpu is None:
                continue
            rate = Ratio.of((a.rate, b.rate) for a, b in pairs if a and b)
            row = [load.name, load.unit, name]
            row += [number(results.median(name, each, "cpu_each"), 1e6) for each in (off, on)]
            row += [str(cpu), number(rate.median if rate else None)]
            rows.append(row)
    head = ["load", "operation", "router", "CPU µs, off", "on", "on / off (min to max)", "per second, on / off"]
    return table(head, rows) if rows else []


def start_table(results: Results, names: Sequence[str]) -> list[str]:
    """Time to start, memory then, memory per idle session."""
    rows = []
    for name in names:
        starts = results.starts.get(name, [])
        rows.append(
            [
                name,
                str(len(starts)),
                number(median([start.seconds for start in starts])),
                number(median([start.memory for start in starts]), 1 / MEBIBYTE),
                number(results.median(name, "idle", "bytes_each"), 1 / KIBIBYTE),
            ]
        )
    head = ["router", "starts", "s to the first WELCOME", "MiB after start", "KiB per idle session"]
    return table(head, rows)


def targets_table(results: Results, names: Sequence[str]) -> list[str]:
    """What was aimed at, and what was measured; only where the first router is Rocade."""
    if names[0] != "rocade":
        return []
    # What, the limit, how it is written, the value.
    found: list[tuple[str, float, str, float | None]] = []
    for load in LOADS.values():
        if load.target is not None and "crossbar" in names:
            ratio = results.ratio("rocade", "crossbar", load.name, "cpu_each")
            found.append(
                (
                    f"{load.name}: CPU per {load.unit}, ratio",
                    load.target,
                    f"{load.target:g}",
                    ratio.median if ratio else None,
                )
            )
    starts = results.starts.get("rocade", [])
    memory = median([start.memory for start in starts])
    seconds = median([start.seconds for start in starts])
    idle = results.median("rocade", "idle", "bytes_each")
    in_mebibytes, in_kibibytes = memory and memory / MEBIBYTE, idle and idle / KIBIBYTE
    found.append(("MiB after start", MOST_START_BYTES / MEBIBYTE, f"{MOST_START_BYTES // MEBIBYTE}", in_mebibytes))
    found.append(("s to the first WELCOME", MOST_START_SECONDS, f"{MOST_START_SECONDS:g}", seconds))
    found.append(("KiB per idle session", MOST_IDLE_BYTES / KIBIBYTE, f"{MOST_IDLE_BYTES // KIBIBYTE}", in_kibibytes))
    for kind in ("exact", "prefix", "wildcard"):
        ratio = growth(results, "rocade", kind, SUBSCRIPTION_STEPS[-1])
        what = f"publication with {SUBSCRIPTION_STEPS[-1]:,} {kind} subscriptions, x with one"
        found.append((what, MOST_MATCH_GROWTH, f"{MOST_MATCH_GROWTH:g}", ratio.median if ratio else None))
    rows = [
        [what, f"≤ {written}", number(value), "yes" if value <= limit else "**no**"]
        for what, limit, written, value in found
        if value is not None
    ]
    return table(["target", "limit", "measured", "met"], rows) if rows else []


def load_list(results: Results) -> list[str]:
    """What each load that was run is."""
    measured = {load_of(name) for name in results.loads()}
    return [f"- `{load.name}`: {load.text}." for load in LOADS.values() if load in measured]


def load_of(measurement: str) -> Load | None:
    """The load that a measurement is of: that of its name, or that of which its name is an extension."""
    names = (name for name in LOADS if measurement == name or measurement.startswith(f"{name}-"))
    return LOADS.get(max(names, key=len, default=""))


def unit_of(measurement: str) -> str:
    """What one operation of a measurement is."""
    load = load_of(measurement)
    return load.unit if load else "subscription"


# The head.


def cpu_model() -> str:
    """What /proc/cpuinfo calls the processor."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The commit of this checkout, and whether it was changed since."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ("git", "-C", str(ROOT), *arguments), capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout.strip()

    with suppress(OSError, subprocess.SubprocessError):
        changed = git("status", "--porcelain", "--", "src", "benchmarks", "pyproject.toml")
        return git("rev-parse", "--short=12", "HEAD") + (" with local changes" if changed else "")
    return "unknown"


def package_versions(names: Iterable[str]) -> str:
    """The versions of packages in the benchmark's own environment."""
    found = []
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return ", ".join(found)


def header(
    routers: Sequence[Router], cores: Cores, *, runs: int, seconds: float, load_average: tuple[float, float, float]
) -> list[str]:
    """Under which circumstances the figures were taken, and how."""
    if cores.pinned:
        places = (
            f"The load generator has core {listed(cores.generator)} to itself and the router core "
            f"{listed(cores.router)}."
        )
    else:
        places = "The load generator and the router share the cores."
    count = "1 run" if runs == 1 else f"{runs} runs, interleaved"
    method = (
        f"Per run each router in turn is started, put under a group of loads and stopped; {count}, "
        "and every figure is the median over the runs, every ratio the median of the ratios run by run. "
        f"A load is a closed loop, its window {seconds:g} s ({seconds * HEADLINE_LENGTH:g} s for those with a target) "
        "after a warm-up; the CPU time is the user and system time of "
        "the router's whole process tree in the window, divided by the operations completed in it. "
        f"One process generates the load, of raw messages encoded beforehand, over 127.0.0.1. {places} "
        "Memory is the proportional set size of the process tree. "
        "Python finds the router compiled, as in an installation."
    )
    versions = ", ".join(f"{router.name} {router.version()}" for router in routers)
    return [
        f"- Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- Commit: {commit()}",
        f"- CPU: {cpu_model()}, {os.cpu_count()} cores; load average before: {load_average[0]:.2f}",
        f"- System: {platform.system()} {platform.release()}, {platform.machine()}",
        f"- Python: {platform.python_implementation()} {platform.python_version()}",
        f"- Routers: {versions}",
        f"- Libraries: {package_versions(('msgspec', 'picows', 'uvloop', 'uvicorn', 'httptools'))}",
        f"- Method: {method}",
    ]


def listed(cores: frozenset[int]) -> str:
    """The numbers of the cores."""
    return ", ".join(map(str, sorted(cores)))


def section_of(report: str, title: str) -> str:
    """The section with this title, or "" if there is none."""
    begin = f"\n{report}".find(f"\n## {title}\n")
    if begin < 0:
        return ""
    end = report.find("\n## ", begin)
    return report[begin:] if end < 0 else report[begin : end + 1]


def with_section(report: str, title: str, section: str) -> str:
    """The report with this section at its end, instead of the one with the same title."""
    old = section_of(report, title)
    if old:
        report = report.replace(old, "")
    return f"{report.rstrip()}\n\n{section}".lstrip() if section else report


def warn(text: str) -> None:
    """Something that the one who runs this should know, where it does not get into the table."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
