"""Client libraries under the same loads: `scripts/bench --clients`.

Each run of a load is a process of its own with nothing but the library in it; its CPU time per operation is what
counts. The router, and whoever is on the other side of a call or an event, are always the same: Rocade.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import platform
import statistics
import sys
from collections.abc import Sequence
from contextlib import suppress

import rocade
from benchmarks.library_meter import IN_FLIGHT, PAYLOAD, PROCEDURE, TOPIC
from benchmarks.report import number, table, warn
from benchmarks.routers import Cores, RunningRouter, split_cores
from benchmarks.routers import rocade as rocade_router

LIBRARIES = {"rocade": "benchmarks.library_rocade", "autobahn": "benchmarks.library_autobahn"}
LOADS = {
    "call": "a call, from the caller's side, 16 in flight",
    "serve": "the same, from the callee's side",
    "receive": "an event for a coroutine function",
    "publish": "a publication without acknowledgement",
}


async def counterpart(session: rocade.Session, load: str) -> None:
    """The other side of a load, until it is canceled."""

    async def echo(payload: str) -> str:
        return payload

    async def keep_calling() -> None:
        while True:
            await session.call(PROCEDURE, PAYLOAD)

    if load == "call":
        await session.register(echo, PROCEDURE)
    elif load == "serve":
        await asyncio.gather(*(keep_calling() for _ in range(IN_FLIGHT)))
    elif load == "receive":
        while True:
            # As fast as the subscribers take them: an event costs the slowest library ten times what it costs here.
            await asyncio.gather(*(session.publish(TOPIC, PAYLOAD) for _ in range(50)))
            await asyncio.sleep(0.005)


async def measure(port: int, library: str, load: str, serializer: str, operations: int) -> float:
    """Microseconds of CPU time per operation.

    Raises:
        RuntimeError: the library's process failed.
    """
    async with rocade.connect(f"ws://127.0.0.1:{port}/ws", "realm1", serializer=serializer, resumable=False) as session:
        other: asyncio.Task[None] | None = None
        if load == "call":
            await counterpart(session, load)
        arguments = [load, str(port), serializer, str(operations)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", LIBRARIES[library], *arguments, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                if line.strip() == b"ready":
                    other = asyncio.create_task(counterpart(session, load))
                elif line.startswith(b"result "):  # autobahn logs there, too
                    return float(line.split()[1])
            raise RuntimeError(f"{library}, {load}: its process ended without a result")
        finally:
            if other is not None:
                other.cancel()
                with suppress(asyncio.CancelledError, rocade.RocadeError):
                    await other
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def run(options: argparse.Namespace, cores: Cores) -> list[str]:
    """All runs, and the report as Markdown."""
    libraries, serializers = options.libraries.split(","), options.serializers.split(",")
    results: dict[tuple[str, str, str], list[float]] = {}
    with RunningRouter(rocade_router(), cores) as router:
        await router.start()
        port = router.port_for("websocket", False)
        for round in range(options.runs):
            for serializer in serializers:
                for load in LOADS:
                    for library in libraries:
                        warn(f"run {round + 1} of {options.runs}, {library}: {load}, {serializer}")
                        cost = await measure(port, library, load, serializer, options.operations)
                        results.setdefault((load, serializer, library), []).append(cost)
    return report(results, libraries, options)


def report(
    results: dict[tuple[str, str, str], list[float]], libraries: Sequence[str], options: argparse.Namespace
) -> list[str]:
    """Medians, and the first library's share of each other one's."""
    first, *others = libraries
    versions = ", ".join(f"{library} {_version(library)}" for library in libraries)
    rows = []
    for load, serializer in dict.fromkeys((load, serializer) for load, serializer, _ in results):
        costs = [statistics.median(results[load, serializer, library]) for library in libraries]
        ratios = [f"**{number(costs[0] / cost)}**" for cost in costs[1:]]
        rows.append([LOADS[load], serializer, *map(number, costs), *ratios])
    head = ["Operation", "Serializer", *libraries, *(f"{first} / {other}" for other in others)]
    return [
        "# Client libraries: µs of CPU time per operation",
        "",
        f"- Python {platform.python_version()}, asyncio's own event loop; {versions}",
        f"- Median of {options.runs} runs of {options.operations:,} operations after a warm-up; 16 bytes of payload",
        "",
        *table(head, rows),
    ]


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the process's exit code."""
    parser = argparse.ArgumentParser(prog="scripts/bench --clients", description="Compare client libraries.")
    parser.add_argument("--libraries", default="rocade,autobahn", help="the first one is compared with the others")
    parser.add_argument("--serializers", default="json,msgpack", help="of json, msgpack and cbor")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--operations", type=int, default=10_000)
    options = parser.parse_args(arguments)
    print("\n".join(asyncio.run(run(options, split_cores(pin=False)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
