"""`rocade check`: validate a configuration file and say what it describes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rocade.node.realms import Realm, Role
    from rocade.node.services import PathService
    from rocade.node.settings import Configuration
    from rocade.node.transports import Transport


@click.command(short_help="Check a configuration file.")
@click.argument("file", required=False)
@click.option("--config", metavar="FILE", help="The same as FILE.")
def check(*, file: str | None, config: str | None) -> int:
    """Validate the configuration in FILE (JSON, YAML or TOML) and say what it describes."""
    if (file is None) == (config is None):
        raise click.UsageError("one configuration file is needed: rocade check FILE")
    config = config or file
    assert config is not None
    from rocade.node.configuration import read_configuration
    from rocade.node.remarks import remarks
    from rocade.node.safety import problems

    configuration = read_configuration(config)
    click.echo(f"{config} is valid")
    for line in described(configuration):
        click.echo(f"  {line}")
    for remark in remarks(configuration):
        click.echo(f"  note: {remark}")
    for problem in problems(configuration):
        click.echo(f"needs --insecure: {problem}")
    return 0


def described(configuration: Configuration) -> Iterator[str]:
    """What a configuration describes, in plain lines."""
    for realm in configuration.worker.realms:
        yield _described_realm(realm)
    for transport in configuration.worker.transports:
        yield from _described_transport(transport)


def _described_realm(realm: Realm) -> str:
    roles = ", ".join(_described_role(role) for role in realm.roles)
    return f"realm {realm.name}: " + (f"roles {roles}" if roles else "no roles, so nobody can join")


def _described_role(role: Role) -> str:
    if role.may_do_everything:
        return f"{role.name} (may do everything)"
    return role.name if role.authorizer_name is None else f"{role.name} (asks {role.authorizer_name})"


def _described_transport(transport: Transport) -> Iterator[str]:
    from rocade.node.certificates import server_tls
    from rocade.node.login_lines import login_lines
    from rocade.node.services import WampService
    from rocade.node.transports import TesteeTransport

    yield f"listens on {transport.endpoint}" + (" over TLS" if transport.endpoint.tls else "")
    tls = server_tls(transport.endpoint, "endpoint")
    if tls is not None:
        yield f"  {tls.certificate}"
        problem = tls.problem()
        if problem is not None:
            yield f"  clients will refuse it: {problem}"
    rawsocket = transport.rawsocket_service
    if rawsocket:
        yield f"  RawSocket ({', '.join(rawsocket.serializers)})"
        yield from (f"    {line}" for line in login_lines(rawsocket))
    for path, service in sorted(transport.services.items()):
        yield f"  {path}: {_described_service(service)}"
        if isinstance(service, WampService) and not isinstance(service, TesteeTransport):
            yield from (f"    {line}" for line in login_lines(service))


def _described_service(service: PathService) -> str:
    from rocade.node.services import LongPollService, StaticService, WebSocketService
    from rocade.node.transports import TesteeTransport

    if isinstance(service, TesteeTransport):
        return "WebSocket that sends every message back"
    if isinstance(service, WebSocketService):
        return f"WebSocket ({', '.join(service.serializers)})"
    if isinstance(service, LongPollService):
        return f"long-poll ({', '.join(service.serializers)})"
    if isinstance(service, StaticService):
        return f"files of {service.root}"
    return "a JSON value"
