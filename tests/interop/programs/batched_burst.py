"""An autobahn session that calls, answers and publishes many times at once, in batches.

Run with the router's address, the name of a serializer and how many times. What came of it is printed as JSON.
"""

import asyncio
import json
import sys

from autobahn.asyncio.wamp import ApplicationSession
from autobahn.asyncio.websocket import WampWebSocketClientFactory, WampWebSocketClientProtocol
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import ComponentConfig, PublishOptions

URL, SERIALIZER, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}

seen = {"events": []}


class Burst(ApplicationSession):
    async def onJoin(self, details):
        seen["protocol"] = self.transport.websocket_protocol_in_use
        all_came = asyncio.get_running_loop().create_future()

        def event(number):
            seen["events"].append(number)
            if len(seen["events"]) == COUNT:
                all_came.set_result(None)

        await self.register(lambda text: text, "com.example.burst.echo")
        await self.subscribe(event, "com.example.burst.events")
        calls = [self.call("com.example.burst.echo", f"ä{number}\x18\x1e") for number in range(COUNT)]
        for number in range(COUNT):
            self.publish("com.example.burst.events", number, options=PublishOptions(exclude_me=False))
        seen["results"] = await asyncio.gather(*calls)
        await all_came
        print(json.dumps(seen))
        self.leave()

    def onDisconnect(self):
        asyncio.get_event_loop().stop()


async def connect():
    factory = WampWebSocketClientFactory(
        lambda: Burst(ComponentConfig("realm1")), url=URL, serializers=[SERIALIZERS[SERIALIZER](batched=True)]
    )
    factory.protocol = WampWebSocketClientProtocol
    await asyncio.get_running_loop().create_connection(factory, factory.host, factory.port)


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(connect())
loop.run_forever()
