"""`rocade why`: whether a role may do something, and which rule says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rocade.node.why import Verdict

EXIT_CODES = {"allowed": 0, "denied": 1, "asked": 3}
"""2 is for questions that make no sense."""


@click.command(short_help="Tell who may do what, and by which rule.")
@click.option("--config", metavar="FILE", required=True, help="The configuration.")
@click.option("--role", metavar="NAME", required=True, help="Role of whoever wants to do it.")
@click.option(
    "--action", required=True, type=click.Choice(["call", "register", "publish", "subscribe"]), help="What it is."
)
@click.option("--uri", required=True, help="The procedure, topic or pattern.")
@click.option(
    "--match",
    type=click.Choice(["exact", "prefix", "wildcard"]),
    default="exact",
    show_default=True,
    help="How the URI is meant, with subscribe and register.",
)
@click.option("--realm", metavar="NAME", help="Where; may be left out if only one realm has the role.")
@click.option("--authid", metavar="ID", help="Whose, for rules with {authid}.")
@click.option("--session", metavar="ID", type=int, help="Its session, for rules with {session}.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def why(
    *,
    config: str,
    role: str,
    action: str,
    uri: str,
    match: str,
    realm: str | None,
    authid: str | None,
    session: int | None,
    as_json: bool,
) -> int:
    """Tell whether a role may do something, which rule says so, and where that stands.

    The exit code is 0 if it is allowed, 1 if not, 3 if an authorizer is asked, and 2 if the question or the file makes
    no sense.
    """
    import msgspec

    from rocade.errors import ConfigurationError
    from rocade.node.configuration import read_configuration
    from rocade.node.why import why as ask
    from rocade.router.permissions import Action
    from rocade.wamp.messages import Match

    configuration = read_configuration(config)
    try:
        verdict = ask(
            configuration,
            Path(config),
            role_name=role,
            action=Action(action),
            uri=uri,
            match=Match(match),
            realm_name=realm,
            authid=authid,
            session=session,
        )
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    click.echo(msgspec.json.encode(verdict).decode() if as_json else _text(verdict, config))
    return EXIT_CODES[verdict.decision]


def _text(verdict: Verdict, file: str) -> str:
    pattern = "" if verdict.match == "exact" else f" ({verdict.match})"
    lines = [
        f"{verdict.decision}: {verdict.action} {verdict.uri!r}{pattern} "
        f"by role {verdict.role!r} in realm {verdict.realm!r}",
        f"  {verdict.reason}",
    ]
    if verdict.path is not None:
        number = "" if verdict.line is None else f", line {verdict.line}"
        lines.append(f"  {file}{number}: {verdict.path}")
    if verdict.disclose:
        lines.append(f"  the {'caller' if verdict.action == 'call' else 'publisher'} is disclosed")
    if verdict.hint is not None:
        lines.append(f"  {verdict.hint}")
    return "\n".join(lines)
