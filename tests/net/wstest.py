"""Runs the cases of the Autobahn test suite against a testee and prints what came of them: see `scripts/wstest`.

Needs kosoku, and no Rocade: that is another program, whose path is the first argument.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kosoku import FailureError, run_fuzzingclient
from kosoku._caseindex import initialize_shims

GROUPS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "closing",
    "9": "large and many messages",
    "10": "miscellaneous",
    "12": "compression: payloads",
    "13": "compression: parameters",
}
COMPRESSED = {"12", "13"}  # their clients offer compression, those of the other groups do not
CASES = 517
VERDICTS = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED")

START_SECONDS = 20.0
_READY = re.compile(r"ws://127\.0\.0\.1:(\d+)/.*\bready\b", re.DOTALL)


@contextmanager
def testee(rocade: str, folder: Path, *, is_compressed: bool) -> Iterator[str]:
    """A testee on a free port; gives its URL."""
    options = {"compression": {"deflate": {}}} if is_compressed else {}
    transport = {"type": "websocket", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0}}
    worker = {"type": "websocket-testee", "transport": transport | {"options": options}}
    config, log = folder / "testee.json", folder / f"testee-{is_compressed}.log"
    config.write_text(json.dumps({"version": 2, "workers": [worker]}), encoding="utf-8")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [rocade, "start", "--config", config], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield f"ws://127.0.0.1:{_port(process, log)}/"
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(START_SECONDS)
    text = log.read_text(encoding="utf-8")
    if status or "ERROR" in text or "Traceback" in text:
        sys.exit(f"the testee has complained, exit code {status}:\n{text}")


def _port(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while True:
        text = log.read_text(encoding="utf-8")
        if ready := _READY.search(text):
            return ready[1]
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the testee did not start:\n{text}")
        time.sleep(0.02)


def repair_kosoku() -> None:
    """Let the cases of compression take messages that are not compressed, as RFC 7692 allows.

    kosoku 0.1.0 hands them over as text with one character a byte, where these cases expect bytes.
    """

    def taking_both(on_message: Callable[..., None]) -> Callable[..., None]:
        def taking(case: Any, message: str | bytes, binary: bool) -> None:
            on_message(case, message.encode("latin-1") if isinstance(message, str) else message, binary)

        return taking

    cases = importlib.import_module("case12_x_x")
    for case in (*cases.Case12_X_X, *cases.Case13_X_X):
        case.onMessage = taking_both(case.onMessage)


def run_cases(url: str, patterns: Sequence[str]) -> list[Any]:
    """The results of the cases with these names; `*` stands for any text."""

    async def run() -> list[Any]:
        try:
            return await run_fuzzingclient(url, list(patterns), None, concurrency=os.cpu_count() or 1)
        except FailureError as failure:
            return list(failure.results)

    return asyncio.run(run())


def verdict(result: Any) -> str:
    """One of `VERDICTS`; the closing handshake counts as much as the messages."""
    both = {result.behavior.value, result.behavior_close.value}
    if result.passed or both == {"UNIMPLEMENTED", "OK"}:
        return next(name for name in reversed(VERDICTS[:-1]) if name in both)
    return "FAILED"


def main(rocade: str, patterns: Sequence[str]) -> int:
    """Run what is wanted, all by default, without compression and with it; returns the exit code."""
    initialize_shims()
    repair_kosoku()
    with tempfile.TemporaryDirectory() as folder:
        return max([judge(rocade, patterns, Path(folder), is_compressed=each) for each in (False, True)])


def judge(rocade: str, patterns: Sequence[str], folder: Path, *, is_compressed: bool) -> int:
    """Run what is wanted against one testee and print the table of it; returns the exit code."""
    counts: list[Counter[str]] = []
    unusual: list[Any] = []
    print(f"\n{'with' if is_compressed else 'without'} compression")
    print(f"{'group':<28}{'cases':>6}" + "".join(f"{name:>15}" for name in VERDICTS) + f"{'seconds':>9}")
    with testee(rocade, folder, is_compressed=is_compressed) as url:
        for group, title in GROUPS.items():
            if wanted := [pattern for pattern in patterns or [f"{group}.*"] if pattern.split(".")[0] == group]:
                started = time.monotonic()
                results = run_cases(url, wanted)
                counts.append(Counter(map(verdict, results)))
                unusual += [each for each in results if verdict(each) != expected(group, is_compressed=is_compressed)]
                print_line(f"{group:>2} {title}", counts[-1], time.monotonic() - started)
    total = sum(counts, Counter[str]())
    print_line("all", total)
    for result in unusual:
        print(f"{result.case_id}: {verdict(result)}; {result.result} {result.result_close}".rstrip())
    if not patterns and total.total() != CASES:
        sys.exit(f"there are {CASES} cases, and {total.total()} have run")
    return 1 if any(verdict(each) not in VERDICTS[:3] for each in unusual) else 0


def expected(group: str, *, is_compressed: bool) -> str:
    """The verdict of which nothing need be said: a testee without compression has nothing for the cases about it."""
    return "UNIMPLEMENTED" if group in COMPRESSED and not is_compressed else "OK"


def print_line(name: str, count: Counter[str], seconds: float | None = None) -> None:
    """One line of the table."""
    line = f"{name:<28}{count.total():>6}" + "".join(f"{count[verdict]:>15}" for verdict in VERDICTS)
    print(line + ("" if seconds is None else f"{seconds:>9.1f}"), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
