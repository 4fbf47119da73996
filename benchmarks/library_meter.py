"""What a client library's process counts: its own CPU time over a number of operations.

Also the loads that are written alike for all libraries.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

PROCEDURE = "bench.procedure"
TOPIC = "bench.topic"
PAYLOAD = "x" * 16
IN_FLIGHT = 16
WARM_UP = 1000


class Meter:
    """Counts operations; begins after a warm-up and ends after the number that is wanted.

    Attributes:
        is_over: whether it has ended.
    """

    def __init__(self, operations: int) -> None:
        """
        Args:
            operations: how many are measured.
        """
        self.is_over = False
        self._operations = operations
        self._done = 0
        self._begin = 0.0
        self._over = asyncio.Event()

    def ready(self) -> None:
        """Tell the parent process that operations may come."""
        print("ready", flush=True)

    def count(self) -> None:
        """One operation more; prints the microseconds of each when it is the last."""
        self._done += 1
        if self._done == WARM_UP:
            self._begin = time.process_time()
        elif self._done == WARM_UP + self._operations:
            print("result", (time.process_time() - self._begin) / self._operations * 1e6, flush=True)
            self.is_over = True
            self._over.set()

    async def over(self) -> None:
        """Wait until it is over."""
        await self._over.wait()


async def call(session: Any, meter: Meter) -> None:
    """Calls; the callee is somebody else."""

    async def keep_calling() -> None:
        while not meter.is_over:
            await session.call(PROCEDURE, PAYLOAD)
            meter.count()

    await asyncio.gather(*(keep_calling() for _ in range(IN_FLIGHT)))


async def serve(session: Any, meter: Meter) -> None:
    """Is called."""

    async def echo(payload: str) -> str:
        meter.count()
        return payload

    await session.register(echo, PROCEDURE)
    meter.ready()
    await meter.over()


async def receive(session: Any, meter: Meter) -> None:
    """Gets events."""

    async def handle(payload: str) -> None:
        meter.count()

    await session.subscribe(handle, TOPIC)
    meter.ready()
    await meter.over()


LOADS = {"call": call, "serve": serve, "receive": receive}
