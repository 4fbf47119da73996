"""autobahn-python: offer a procedure and call it, subscribe to a topic and publish to it.

Needs `pip install autobahn`. Takes the router's address, ws://127.0.0.1:8080/ws by default.
"""

import asyncio
import sys

from autobahn.asyncio.component import Component, run
from autobahn.wamp.types import PublishOptions

url = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8080/ws"
greeted = asyncio.Event()


async def main(loop, session):
    print("5 and 7 are", await session.call("com.example.add", 5, 7))
    # A publisher does not get its own event unless it asks for it.
    session.publish("com.example.hello", "Ada", options=PublishOptions(exclude_me=False))
    await greeted.wait()


component = Component(transports=url, realm="realm1", main=main)


@component.register("com.example.add")
def add(a, b):
    return a + b


@component.subscribe("com.example.hello")
def hello(name):
    print("Hello", name)
    greeted.set()


run([component], log_level="error")
