"""`rocade dev`: run an application, and again whenever its files change."""

from __future__ import annotations

import click

from rocade.serve.logs import LEVELS, LogLevel


@click.command(short_help="Run an application; restart it on changes.")
@click.argument("target", metavar="APP")
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True, help="Address the router listens on.")
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    help="TCP port; 0 for a free one. By default 8080, or the next one that is free.",
)
@click.option("--realm", metavar="NAME", default="realm1", show_default=True, help="The realm's name.")
@click.option("--watch", metavar="PATH", multiple=True, help="One more file or directory whose changes count.")
@click.option("--insecure", is_flag=True, help="Let strangers from other machines do everything.")
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="How much to log.")
def dev(
    *,
    target: str,
    host: str,
    port: int | None,
    realm: str,
    watch: tuple[str, ...],
    insecure: bool,
    log_level: LogLevel,
) -> int:
    """Run an application and a router for it; restart the application when its files change.

    APP is a file such as app.py, or a module such as shop.site, with the name of a variable behind it where there are
    several applications: shop.site:app.

    The router stays while the application is restarted: browsers keep their connections, and calls made meanwhile wait
    for the new code. Code that cannot be loaded changes nothing.
    """
    from rocade.app.dev.supervisor import run
    from rocade.errors import ConfigurationError

    try:
        return run(target, host=host, port=port, realm=realm, watch=watch, insecure=insecure, log_level=log_level)
    except ConfigurationError as error:
        raise click.UsageError(error.message) from None
