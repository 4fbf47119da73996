"""A client of demo.py: python ask.py [URL]."""

import asyncio
import sys

import rocade


async def main(url: str) -> None:
    async with rocade.connect(url) as session:
        print("at", await session.call("demo.ip"))
        print("a UUID has", len(await session.call("demo.uuid")), "digits")
        async with session.events("demo.pong") as pongs:
            await session.publish("demo.ping.all", "Ada")
            pong = await anext(pongs)
            print(*pong.args)


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8080/ws"))
