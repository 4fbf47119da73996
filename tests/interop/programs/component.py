"""An autobahn component with decorators and a main function: offers, calls, publishes, and ends.

Run with the router's address. What it sees it prints, one JSON value a line.
"""

import asyncio
import json
import sys

from autobahn.asyncio.component import Component, run
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallOptions, PublishOptions, RegisterOptions


def seen(value):
    print(json.dumps(value), flush=True)


async def main(loop, session):
    seen(await session.call("com.example.component.add", 2, 3))
    seen(await session.call("com.example.component.details"))
    await session.publish(
        "com.example.component.news", "hello", options=PublishOptions(acknowledge=True, exclude_me=False)
    )
    await session.register(asyncio.Event().wait, "com.example.component.never")
    try:
        await session.call("com.example.component.never", options=CallOptions(timeout=5))
    except ApplicationError as error:
        seen(error.error)


component = Component(transports=sys.argv[1], realm="realm1", main=main)


@component.register("com.example.component.add")
def add(a, b):
    return a + b


@component.register("com.example.component", options=RegisterOptions(match="prefix", details=True))
async def details(details):
    return details.procedure


@component.subscribe("com.example.component.news")
def news(text):
    seen(text)


@component.on_leave
def left(session, details):
    seen(details.reason)


run([component], log_level="critical")
