"""Rocade's client under the loads of `benchmarks.libraries`: alone in its process."""

from __future__ import annotations

import asyncio
import sys

import rocade
from benchmarks.library_meter import LOADS, PAYLOAD, TOPIC, Meter


async def publish(session: rocade.Session, meter: Meter) -> None:
    """Publishes; now and then waits until all of it has arrived."""
    while not meter.is_over:
        for _ in range(100):
            await session.publish(TOPIC, PAYLOAD)
            meter.count()
        await session.call("wamp.session.count")


async def main(load: str, port: int, serializer: str, operations: int) -> None:
    """Run one load."""
    meter = Meter(operations)
    async with rocade.connect(f"ws://127.0.0.1:{port}/ws", "realm1", serializer=serializer) as session:
        await {**LOADS, "publish": publish}[load](session, meter)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
