"""`rocade call`: call a procedure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rocade.cli.connecting import ClientCommand, Connection, client_options, run
from rocade.cli.payload import parse_arguments, show_result

if TYPE_CHECKING:
    from rocade.client.session import Session


@click.command(cls=ClientCommand)
@click.argument("procedure")
@click.argument("arguments", metavar="[ARG|NAME=ARG]...", nargs=-1)
@click.option("--timeout", metavar="SECONDS", type=click.FloatRange(0, min_open=True), help="How long to wait.")
@click.option("--stream", is_flag=True, help="Show progressive results as they come.")
@click.option("--raw", is_flag=True, help="Take all arguments as text, and '=' as nothing special.")
@client_options
def call(
    *,
    procedure: str,
    arguments: tuple[str, ...],
    timeout: float | None,
    stream: bool,
    raw: bool,
    as_json: bool,
    connection: Connection,
) -> int:
    """Call a procedure and show its result.

    Arguments that are JSON are that, others are text: 2, true, '{"a": 1}', tea. With NAME= they are keyword arguments.

    The exit code is 0, or 1 if the router or the callee answers with an error, or 2 if there is no session.
    """
    args, kwargs = parse_arguments(arguments, raw=raw)

    async def work(session: Session) -> None:
        from rocade.client.options import CallOptions

        # Not by `Session.call`: a procedure may have keyword arguments called "timeout" and "options".
        options = CallOptions(timeout=timeout)
        if stream:
            async for value in session._caller.stream(procedure, args, kwargs, None, options):
                show_result(value, as_json=as_json)
        else:
            show_result(await session._caller.call(procedure, args, kwargs, None, options), as_json=as_json)

    return run(connection, work, as_json=as_json)
