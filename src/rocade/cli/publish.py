"""`rocade publish`: publish an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rocade.cli.connecting import ClientCommand, Connection, client_options, run
from rocade.cli.payload import json_line, parse_arguments, show

if TYPE_CHECKING:
    from rocade.client.session import Session


@click.command(cls=ClientCommand)
@click.argument("topic")
@click.argument("arguments", metavar="[ARG|NAME=ARG]...", nargs=-1)
@click.option("--retain", is_flag=True, help="Have the router keep it for those who subscribe later.")
@click.option("--raw", is_flag=True, help="Take all arguments as text, and '=' as nothing special.")
@client_options
def publish(
    *, topic: str, arguments: tuple[str, ...], retain: bool, raw: bool, as_json: bool, connection: Connection
) -> int:
    """Publish an event, and wait until the router has acknowledged it.

    Arguments that are JSON are that, others are text: 2, true, '{"a": 1}', tea. With NAME= they are keyword arguments.

    The exit code is 0, or 1 if the router answers with an error, or 2 if there is no session.
    """
    args, kwargs = parse_arguments(arguments, raw=raw)

    async def work(session: Session) -> None:
        from rocade.wamp.messages import Publish, PublishOptions

        options = PublishOptions(acknowledge=True, retain=retain or None)
        # Not by `Session.publish`: an event may have a keyword argument called "options".
        published = await session._channel.request(Publish, options, topic, args, kwargs)
        if as_json:
            show(json_line({"publication": published.publication}))

    return run(connection, work, as_json=as_json)
