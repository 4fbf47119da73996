"""Autobahn's client, on asyncio, under the loads of `benchmarks.libraries`: alone in its process."""

from __future__ import annotations

import os
import sys
from typing import Any

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer

from benchmarks.library_meter import LOADS, PAYLOAD, TOPIC, Meter

SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}


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
        await {**LOADS, "publish": publish}[self.load](self, self.meter)
        # Its result is printed, and what autobahn does to end is not measured.
        os._exit(0)


if __name__ == "__main__":
    Session.load = sys.argv[1]
    Session.meter = Meter(int(sys.argv[4]))
    url = f"ws://127.0.0.1:{sys.argv[2]}/ws"
    ApplicationRunner(url, "realm1", serializers=[SERIALIZERS[sys.argv[3]]()]).run(Session)
