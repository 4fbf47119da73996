"""An autobahn session that logs in by ticket, comes back with the cookie that it was given, and logs out.

Run with the router's address. What it sees it prints, one JSON value a line.
"""

import asyncio
import json
import sys

from autobahn.asyncio.wamp import ApplicationSession
from autobahn.asyncio.websocket import WampWebSocketClientFactory, WampWebSocketClientProtocol
from autobahn.wamp.serializer import JsonSerializer
from autobahn.wamp.types import ComponentConfig

URL = sys.argv[1]


class Protocol(WampWebSocketClientProtocol):
    """Notes the cookie of the handshake."""

    def onConnect(self, response):
        if "set-cookie" in response.headers:
            self.factory.jar["cookie"] = response.headers["set-cookie"].split(";")[0]
        return super().onConnect(response)


class Visitor(ApplicationSession):
    def onConnect(self):
        self.join("realm1", ["cookie", "ticket"], "joe")

    def onChallenge(self, challenge):
        print(json.dumps(["challenged", challenge.method]), flush=True)
        return "secret!!!"

    async def onJoin(self, details):
        print(json.dumps([details.authid, details.authrole, details.authmethod]), flush=True)
        self.leave(self.config.extra)

    def onDisconnect(self):
        asyncio.get_event_loop().stop()


def visit(loop, jar, reason):
    factory = WampWebSocketClientFactory(
        lambda: Visitor(ComponentConfig("realm1", reason)),
        url=URL,
        serializers=[JsonSerializer()],
        headers={"Cookie": jar["cookie"]} if jar else None,
    )
    factory.protocol, factory.jar = Protocol, jar
    loop.run_until_complete(loop.create_connection(factory, factory.host, factory.port))
    loop.run_forever()


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
jar = {}
for reason in ("wamp.close.normal", "wamp.close.normal", "wamp.close.logout", "wamp.close.normal"):
    visit(loop, jar, reason)
