"""An autobahn component that comes back when its connection is lost, and ends when it has.

Run with the router's address. What it sees it prints, one JSON value a line.
"""

import json
import sys

from autobahn.asyncio.component import Component, run

transport = {"url": sys.argv[1], "initial_retry_delay": 0.05, "max_retry_delay": 0.05, "max_retries": -1}
component = Component(transports=[transport], realm="realm1")
joins = 0


@component.on_join
async def joined(session, details):
    global joins
    joins += 1
    print(json.dumps(details.session), flush=True)
    if joins == 2:
        await session.leave()


@component.register("com.example.reconnecting.joins")
def how_often():
    return joins


run([component], log_level="critical")
