"""`rocade register`: offer a command as a procedure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rocade.cli.connecting import MATCH, ClientCommand, Connection, client_options, run
from rocade.cli.payload import show

if TYPE_CHECKING:
    from rocade.client.session import Session


@click.command(cls=ClientCommand)
@click.argument("procedure")
@click.argument("command", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--append-args", is_flag=True, help="Append the positional arguments of a call to the command, too.")
@click.option("--raw", is_flag=True, help="Return what the command writes as text, even if it is JSON.")
@click.option("--match", type=MATCH, default="exact", show_default=True, help="How the procedure's URI is meant.")
@click.option(
    "--invoke",
    type=click.Choice(["single", "roundrobin", "random", "first", "last"]),
    default="single",
    show_default=True,
    help="Which of several callees is called.",
)
@click.option(
    "--concurrency",
    metavar="N",
    type=click.IntRange(1, 1000),
    default=8,
    show_default=True,
    help="Calls at the same time; others wait.",
)
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(0, min_open=True), help="How long the command may run."
)
@client_options
def register(
    *,
    procedure: str,
    command: tuple[str, ...],
    append_args: bool,
    raw: bool,
    match: str,
    invoke: str,
    concurrency: int,
    timeout: float | None,
    as_json: bool,
    connection: Connection,
) -> int:
    """Register a procedure that runs a command for each call, until Ctrl-C. A lost connection is replaced.

    The command reads {"args": […], "kwargs": {…}} on standard input. What it writes to standard output is the result:
    as JSON if it is that, else as text. If its exit code is not 0, the call ends with rocade.error.command_failed and
    the last line of its standard error.
    """
    from shutil import which

    if which(command[0]) is None:
        raise click.UsageError(f"there is no command {command[0]!r}")

    async def work(session: Session) -> None:
        from rocade.cli.command import Command

        runner = Command(command, appends=append_args, raw=raw, timeout=timeout, concurrency=concurrency)
        await session.register(runner.run, procedure, match=match, invoke=invoke, concurrency=concurrency)
        show("rocade: registered", err=True)
        await session.wait_closed()

    return run(connection, work, as_json=as_json, stays=True)
