"""Configurations that work but that nobody should run by accident."""

from __future__ import annotations

from rocade.node.services import WampService
from rocade.node.settings import Configuration
from rocade.node.transports import wamp_services

__all__ = ["problems"]


def problems(configuration: Configuration) -> list[str]:
    """What makes a configuration dangerous, in plain words; empty if nothing does.

    Dangerous is a port that other machines can reach, where clients that nobody knows get a role that may do
    everything. Nobody who has to show a certificate is unknown.
    """
    found = []
    for transport in configuration.worker.transports:
        tls = transport.endpoint.tls
        if transport.endpoint.loopback or (tls is not None and tls.asks_for_certificates == "required"):
            continue
        for realm, role in sorted(
            {pair for service in wamp_services(transport) for pair in _open(configuration, service)}
        ):
            found.append(
                f"{transport.endpoint} can be reached from other machines, and anybody who connects there "
                f"may do everything in realm {realm!r} (as role {role!r})"
            )
    return found


def _open(configuration: Configuration, service: WampService) -> list[tuple[str, str]]:
    """Realms and roles in which anonymous clients of a service may do everything."""
    name = service.anonymous_role
    found = []
    for realm in configuration.worker.realms:
        role = realm.role(name) if name else None
        if role and role.may_do_everything:
            found.append((realm.name, role.name))
    return found
