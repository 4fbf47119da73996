"""A dynamic authorizer as it is written for Crossbar.io: an application session whose method decides.

Run with the router's address. What it is asked it prints, one JSON value a line, after "ready".
"""

import json
import sys

from autobahn import wamp
from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession


def seen(value):
    print(json.dumps(value), flush=True)


class Authorizer(ApplicationSession):
    def onConnect(self):
        self.join(self.config.realm, ["ticket"], "authorizer")

    def onChallenge(self, challenge):
        return "secret!!!"

    async def onJoin(self, details):
        await self.register(self)
        seen("ready")

    @wamp.register("com.example.authorize")
    async def authorize(self, session, uri, action, options):
        seen([session["authrole"], session["authmethod"], uri, action, options.get("match")])
        if uri.startswith("com.example.broken"):
            raise ValueError("broken")
        if uri.startswith("com.example.cached"):
            return {"allow": True, "cache": True}
        if uri.startswith("com.example.disclosed"):
            return {"allow": True, "disclose": True}
        return uri.startswith("com.example.open")


ApplicationRunner(sys.argv[1], "realm1").run(Authorizer)
