"""`rocade start`: run a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from rocade.serve.logs import LEVELS, LogLevel

if TYPE_CHECKING:
    from rocade.node.settings import Configuration

_WITHOUT_FILE = ("host", "port", "realm", "unix")
"""Options that describe a node in place of a file."""


class _Port(click.IntRange):
    """A port number; says so when it is none."""

    name = "port number"


@click.command()
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    metavar="PORT",
    type=_Port(0, 65535),
    default=8080,
    show_default=True,
    help="TCP port; 0 for a free one.",
)
@click.option("--realm", metavar="NAME", default="realm1", show_default=True, help="The realm's name.")
@click.option("--unix", metavar="PATH", help="Unix domain socket; instead of TCP unless --host or --port is given.")
@click.option("--config", metavar="FILE", help="Configuration file: JSON, YAML or TOML.")
@click.option("--insecure", is_flag=True, help="Let strangers from other machines do everything, if so configured.")
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="How much to log.")
@click.pass_context
def start(
    ctx: click.Context,
    *,
    host: str,
    port: int,
    realm: str,
    unix: str | None,
    config: str | None,
    insecure: bool,
    log_level: LogLevel,
) -> int:
    """Run a router.

    Without --config: one realm in which everybody may do everything, for clients on this machine. WebSocket is at
    /ws, RawSocket on the same port.
    """
    given = [name for name in _WITHOUT_FILE if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if config is None:
        only_unix = unix is not None and not {"host", "port"} & set(given)
        configuration = _configuration(None if only_unix else host, port, realm, unix)
    else:
        if given:
            options = " and ".join(f"--{name}" for name in given)
            raise click.UsageError(f"{options} cannot be combined with --config: the file says it all")
        from rocade.node.configuration import read_configuration

        configuration = read_configuration(config)
    if not insecure:
        _insist_on_safety(configuration)

    from rocade.node.configuration import ConfigurationError, ConfigurationFileError
    from rocade.node.process import run

    try:
        return run(configuration, insecure=insecure, log_level=log_level)
    except ConfigurationError as error:
        if config is not None:
            raise ConfigurationFileError(config, error.path, error.message) from None
        # There is no file for the error's path to lead into.
        raise click.UsageError(f"{error.message} (--port or --unix choose another address)") from None


def _configuration(host: str | None, port: int, realm: str, unix: str | None) -> Configuration:
    from rocade.errors import ConfigurationError
    from rocade.node.configuration import default_configuration

    try:
        return default_configuration(host, port, realm, unix)
    except ConfigurationError as error:
        option = f"--{error.path}: " if error.path in _WITHOUT_FILE else ""
        raise click.UsageError(option + error.message) from None


def _insist_on_safety(configuration: Configuration) -> None:
    from rocade.node.safety import problems

    found = problems(configuration)
    if found:
        raise click.UsageError(f"{found[0]}; listen on 127.0.0.1, or allow it with --insecure")
