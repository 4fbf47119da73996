"""Autobahn's client, on asyncio, under the loads of `benchmarks.libraries`: alone in its process."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer

from benchmarks.library_meter import IN_FLIGHT, PAYLOAD, PROCEDURE, TOPIC, Meter

SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}


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


async def publish(session: Any, meter: Meter) -> None:
    """Publishes; now and then waits until all of it has arrived."""
    while not meter.is_over:
        for _ in range(100):
            session.publish(TOPIC, PAYLOAD)
            meter.count()
        await session.call("wamp.session.count")


class Session(ApplicationSession):
    """Runs one load."""

    load: str
    meter: Meter

    async def onJoin(self, details: Any) -> None:
        """See autobahn."""
        await {"call": call, "serve": serve, "receive": receive, "publish": publish}[self.load](self, self.meter)
        # Its result is printed, and what autobahn does to end is not measured.
        os._exit(0)


if __name__ == "__main__":
    Session.load = sys.argv[1]
    Session.meter = Meter(int(sys.argv[4]))
    url = f"ws://127.0.0.1:{sys.argv[2]}/ws"
    ApplicationRunner(url, "realm1", serializers=[SERIALIZERS[sys.argv[3]]()]).run(Session)
