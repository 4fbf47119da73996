"""Rocade's own client: offer a procedure and call it, subscribe to a topic and publish to it.

Needs `pip install rocade`. Takes the router's address, ws://127.0.0.1:8080/ws by default.
"""

import asyncio
import sys

import rocade

url = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8080/ws"


async def add(a: int, b: int) -> int:
    return a + b


async def main():
    async with rocade.connect(url, "realm1") as session:
        await session.register(add, "com.example.add")
        print("5 and 7 are", await session.call("com.example.add", 5, 7))

        async with session.events("com.example.hello") as events:
            # A publisher does not get its own event unless it asks for it.
            await session.publish("com.example.hello", "Ada", options=rocade.PublishOptions(exclude_me=False))
            event = await anext(events)
            print("Hello", *event.args)


asyncio.run(main())
