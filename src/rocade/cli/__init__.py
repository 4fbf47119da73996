"""The `rocade` command. Each command is a thin front of what the library does.

Modules are imported when a command needs them, so that `rocade version` and `--help` answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import ClassVar, NoReturn

import click

import rocade
from rocade.errors import ConfigurationError

__all__ = ["commands", "main"]

USAGE_ERROR = 2
"""Exit code for what the user can mend: arguments and configuration files."""


class _Commands(click.Group):
    """Commands by name, each in a module of its own that is imported when it is asked for."""

    # name -> where the command is
    places: ClassVar[dict[str, str]] = {
        "call": "rocade.cli.call:call",
        "check": "rocade.cli.check:check",
        "dev": "rocade.cli.dev:dev",
        "hash": "rocade.cli.hash:hash_",
        "keygen": "rocade.cli.keygen:keygen",
        "publish": "rocade.cli.publish:publish",
        "register": "rocade.cli.register:register",
        "start": "rocade.cli.start:start",
        "subscribe": "rocade.cli.subscribe:subscribe",
        "version": "rocade.cli:version",
        "why": "rocade.cli.why:why",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, None if there is none."""
        place = self.places.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.version_option(rocade.__version__, message="rocade %(version)s")
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Rocade, a realtime router: RPC and pub/sub between browsers, servers and devices, over WAMP."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(f"rocade {rocade.__version__}")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: with 2 and one line on standard error for what the user can mend.

    Args:
        arguments: what follows the program's name; that of this process by default.
    """
    try:
        code = commands.main(args=arguments, prog_name="rocade", standalone_mode=False)
    except click.UsageError as error:
        _fail(f"rocade: {error.format_message()}")
    except click.ClickException as error:
        _fail(f"rocade: {error.format_message()}", error.exit_code)
    except ConfigurationError as error:
        _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int = USAGE_ERROR) -> NoReturn:
    click.echo(" ".join(message.splitlines()), err=True)
    sys.exit(code)
