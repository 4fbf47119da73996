"""An autobahn application session with decorated methods and an exception of its own, under its runner.

Run with the router's address, and "plain" to offer no batched serializers, which autobahn prefers. What it sees it
prints, one JSON value a line.
"""

import asyncio
import json
import sys

from autobahn import wamp
from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import CallResult, PublishOptions, RegisterOptions, SubscribeOptions


def seen(value):
    print(json.dumps(value), flush=True)


@wamp.error("com.example.error.overdrawn")
class Overdrawn(Exception):
    pass


class Calculator(ApplicationSession):
    async def onJoin(self, details):
        seen(getattr(self.transport, "websocket_protocol_in_use", None))
        await self.register(self)
        await self.subscribe(self)
        self.define(Overdrawn)
        seen(await self.call("com.example.calculator.add", 20, 22))
        seen(await self.call("com.example.calculator.square.of.7"))
        seen((await self.call("com.example.calculator.divmod", 17, 5)).kwresults)
        seen(len(await self.call("com.example.calculator.repeat", "0123456789" * 1000, times=50)))
        try:
            await self.call("com.example.calculator.withdraw", 10)
        except Overdrawn as error:
            seen(error.args)
        try:
            await self.call("com.example.calculator.broken")
        except ApplicationError as error:
            seen([error.error, error.args])
        self.publish("com.example.calculator.done", "done", options=PublishOptions(exclude_me=False))

    @wamp.register("com.example.calculator.add")
    async def add(self, a, b):
        return a + b

    @wamp.register(
        "com.example.calculator.square.of.", options=RegisterOptions(match="wildcard", details_arg="details")
    )
    def square(self, details):
        return int(details.procedure.rpartition(".")[2]) ** 2

    @wamp.register("com.example.calculator.divmod")
    def divmod(self, a, b):
        return CallResult(quotient=a // b, remainder=a % b)

    @wamp.register("com.example.calculator.repeat")
    def repeat(self, text, times):
        return text * times

    @wamp.register("com.example.calculator.withdraw")
    def withdraw(self, amount):
        raise Overdrawn(amount, "are too much")

    @wamp.register("com.example.calculator.broken")
    def broken(self):
        raise ValueError("broken")

    @wamp.subscribe("com.example.calculator", options=SubscribeOptions(match="prefix"))
    def done(self, text):
        seen(text)
        self.leave()

    def onUserError(self, fail, msg):
        pass

    def onLeave(self, details):
        seen(details.reason)
        self.disconnect()

    def onDisconnect(self):
        asyncio.get_event_loop().stop()


plain = [MsgPackSerializer(), JsonSerializer()]
runner = ApplicationRunner(sys.argv[1], "realm1", serializers=plain if "plain" in sys.argv else None)
runner.run(Calculator, log_level="critical")
