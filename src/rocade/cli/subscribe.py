"""`rocade subscribe`: show the events of a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rocade.cli.connecting import MATCH, REFUSED, ClientCommand, Connection, client_options, run
from rocade.cli.payload import event_line, show

if TYPE_CHECKING:
    from rocade.client.session import Session


@click.command(cls=ClientCommand)
@click.argument("topic")
@click.option("--match", type=MATCH, default="exact", show_default=True, help="How the topic is meant.")
@click.option("--retained", is_flag=True, help="Show the event first that the router keeps, if there is one.")
@click.option("--count", metavar="N", type=click.IntRange(1), help="End after so many events.")
@click.option("--timeout", metavar="SECONDS", type=click.FloatRange(0, min_open=True), help="End after so long.")
@client_options
def subscribe(
    *,
    topic: str,
    match: str,
    retained: bool,
    count: int | None,
    timeout: float | None,
    as_json: bool,
    connection: Connection,
) -> int:
    """Show the events of a topic, one per line, until Ctrl-C. A lost connection is replaced.

    The exit code is 0, or 1 if the router refuses, ends the session, or sends fewer events than --count in --timeout;
    2 if there is no session.
    """

    async def work(session: Session) -> int | None:
        import asyncio

        try:
            async with asyncio.timeout(timeout):
                return await follow(session)
        except TimeoutError:
            return None if count is None else REFUSED

    async def follow(session: Session) -> int | None:
        left = count
        async with session.events(topic, match=match, get_retained=retained or None) as events:
            show("rocade: subscribed", err=True)
            async for event in events:
                show(event_line(event, as_json=as_json))
                if left is not None:
                    left -= 1
                    if not left:
                        return None
        # The router has ended the subscription, or the session.
        if session.is_closed:
            await session.wait_closed()
        return REFUSED

    return run(connection, work, as_json=as_json, stays=True)
