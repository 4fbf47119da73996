"""Limits of the configuration file, as the parts of the router want them."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from rocade.net.addresses import Proxies
from rocade.net.door import Door, DoorLimits
from rocade.node.limits import FailedLogins, RateLimits, RoleLimits, SessionLimits, SharedLimits, TransportLimits
from rocade.node.realms import Realm
from rocade.router.limits import NONE
from rocade.serve.failed_logins import LoginPolicy
from rocade.serve.gateway import Gateway
from rocade.serve.limits import Allowances, RoleAllowances
from rocade.serve.rates import Rates

__all__ = ["allowances", "door", "login_policy"]

T = TypeVar("T", SessionLimits, SharedLimits)


def allowances(realm: Realm) -> Allowances:
    """What the sessions of a realm may have.

    Args:
        realm: of a checked configuration.
    """
    limits, defaults = realm.limits, Allowances()
    together = defaults.together
    return Allowances(
        sessions=limits.sessions or 0,
        together=msgspec.structs.replace(
            together,
            subscriptions=_limit(limits.subscriptions, together.subscriptions),
            registrations=_limit(limits.registrations, together.registrations),
        ),
        parked_sessions=_given(limits.parked_sessions, defaults.parked_sessions),
        parked_bytes=_given(limits.parked_bytes, defaults.parked_bytes),
        rates=_rates(limits),
        every_role=_of_role(limits.per_session, limits.per_authid),
        roles={role.name: _role(role.limits, limits.per_session, limits.per_authid) for role in realm.roles},
    )


def _role(limits: RoleLimits, of_realm: SessionLimits, shared_in_realm: SharedLimits) -> RoleAllowances:
    return _of_role(_over(limits.per_session, of_realm), _over(limits.per_authid, shared_in_realm))


def _over(own: T, other: T) -> T:
    """What a role says, and where it says nothing, its realm."""
    said = {key: value for key, value in msgspec.structs.asdict(own).items() if value is not None}
    return msgspec.structs.replace(other, **said)


def _of_role(limits: SessionLimits, shared: SharedLimits) -> RoleAllowances:
    defaults = RoleAllowances().session
    session = msgspec.structs.replace(
        defaults,
        subscriptions=_limit(limits.subscriptions, defaults.subscriptions),
        registrations=_limit(limits.registrations, defaults.registrations),
        pending_calls=_limit(limits.pending_calls, defaults.pending_calls),
        kept_call_bytes=_limit(limits.kept_call_bytes, defaults.kept_call_bytes),
        invocations=_limit(limits.invocations, defaults.invocations),
    )
    return RoleAllowances(
        session=session,
        rates=_rates(limits),
        ends_session=limits.too_fast == "close",
        authid_sessions=shared.sessions or 0,
        authid_parked_sessions=shared.parked_sessions or 0,
        authid_rates=_rates(shared),
    )


def _given(value: int | None, default: int) -> int:
    return default if value is None else value


def _limit(value: int | None, default: int) -> int:
    """For the routing core, which has a number where there is no limit."""
    return _given(value, default) or NONE


def _rates(limits: RateLimits) -> Rates:
    return Rates(
        message_rate=limits.message_rate or 0.0,
        message_burst=limits.message_burst or 0,
        byte_rate=limits.byte_rate or 0.0,
        byte_burst=limits.byte_burst or 0,
    )


def door(limits: TransportLimits, gateway: Gateway) -> Door:
    """What counts the connections of a transport.

    Args:
        limits: of a checked configuration.
        gateway: told of limits that are reached.
    """
    found = DoorLimits(
        connections=limits.connections,
        connections_per_address=limits.connections_per_address,
        handshakes_per_address=limits.handshakes_per_address,
        sessions_per_address=limits.sessions_per_address,
    )
    return gateway.door(found, Proxies(limits.trusted_proxies))


def login_policy(settings: FailedLogins) -> LoginPolicy:
    """What follows from failed logins."""
    return LoginPolicy(**msgspec.structs.asdict(settings))
