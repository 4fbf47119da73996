"""Limits of the configuration file: of the process, of realms and their roles, and of transports.

All of it is Rocade's own addition. Everywhere 0 is no limit, and what is left out has the default; at a role, what its
realm says.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from rocade.node.section import Section

__all__ = [
    "FailedLogins",
    "ProcessLimits",
    "RateLimits",
    "RealmLimits",
    "RoleLimits",
    "SessionLimits",
    "SharedLimits",
    "TransportLimits",
]

Number = Annotated[int, Meta(ge=0)]
"""How many; 0 is any number."""

Speed = Annotated[float, Meta(ge=0)]
"""How many in a second; 0 is any number."""


class RateLimits(Section, kw_only=True, frozen=True):
    """How fast clients may send. Who sends faster is read more slowly."""

    message_rate: Annotated[Speed | None, Meta(description="Messages per second.")] = None
    message_burst: Annotated[
        Number | None, Meta(description="Messages that may come at once. Left out: those of a second.")
    ] = None
    byte_rate: Annotated[Speed | None, Meta(description="Bytes per second, of messages without frames.")] = None
    byte_burst: Annotated[
        Number | None, Meta(description="Bytes that may come at once. Left out: those of a second.")
    ] = None


class SessionLimits(RateLimits, kw_only=True, frozen=True):
    """What one session may have."""

    subscriptions: Annotated[Number | None, Meta(description="Subscriptions. Left out: 100000.")] = None
    registrations: Annotated[Number | None, Meta(description="Registrations. Left out: 100000.")] = None
    pending_calls: Annotated[Number | None, Meta(description="Calls whose results it awaits. Left out: 65536.")] = None
    kept_call_bytes: Annotated[
        Number | None,
        Meta(
            description="Bytes of payload that are kept of those, to be handed to a callee later or to another one. "
            "Left out: 64 MiB."
        ),
    ] = None
    invocations: Annotated[
        Number | None, Meta(description="Calls that it has to answer, as a callee. Left out: 250000.")
    ] = None
    too_fast: Annotated[
        Literal["slow", "close"] | None,
        Meta(description="What becomes of a session that sends faster than it may. Left out: `slow`."),
    ] = None


class SharedLimits(RateLimits, kw_only=True, frozen=True):
    """What sessions with the same authid may have together."""

    sessions: Annotated[Number | None, Meta(description="Sessions. Left out: any number.")] = None
    parked_sessions: Annotated[
        Number | None,
        Meta(description="Sessions without a connection that may be resumed. Left out: any number."),
    ] = None


class RoleLimits(Section, kw_only=True, frozen=True):
    """What sessions of one role may have, where that is not what the realm says."""

    per_session: Annotated[SessionLimits, Meta(description="What one session may have.")] = SessionLimits()
    per_authid: Annotated[SharedLimits, Meta(description="What sessions with the same authid may have together.")] = (
        SharedLimits()
    )


class RealmLimits(RateLimits, kw_only=True, frozen=True):
    """What the sessions of a realm may have together, and each of them."""

    sessions: Annotated[Number | None, Meta(description="Sessions. Left out: any number.")] = None
    subscriptions: Annotated[
        Number | None, Meta(description="Subscriptions; each subscriber of a topic counts. Left out: 1000000.")
    ] = None
    registrations: Annotated[
        Number | None, Meta(description="Registrations; each callee of a procedure counts. Left out: 1000000.")
    ] = None
    parked_sessions: Annotated[
        Number | None, Meta(description="Sessions without a connection that may be resumed. Left out: 10000.")
    ] = None
    parked_bytes: Annotated[Number | None, Meta(description="Bytes that are kept for those. Left out: 256 MiB.")] = None
    per_session: Annotated[SessionLimits, Meta(description="What one session may have.")] = SessionLimits()
    per_authid: Annotated[SharedLimits, Meta(description="What sessions with the same authid may have together.")] = (
        SharedLimits()
    )


class TransportLimits(Section, kw_only=True, frozen=True):
    """How many connections a transport accepts. An address is an IPv4 address or a /64 network of IPv6."""

    connections: Annotated[Number, Meta(description="Connections.")] = 0
    connections_per_address: Annotated[Number, Meta(description="Connections from one address.")] = 0
    handshakes_per_address: Annotated[
        Number,
        Meta(description="Connections from one address that have neither a session nor sent a whole HTTP request."),
    ] = 5000
    sessions_per_address: Annotated[Number, Meta(description="Sessions whose connection is from one address.")] = 0
    long_polls_per_address: Annotated[
        Number, Meta(description="Long-poll connections from one address, for each `longpoll` service.")
    ] = 2000
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses of reverse proxies, or networks of them (`10.0.0.0/8`), whose header "
            "`X-Forwarded-For` is believed; they are not held to limits by address themselves."
        ),
    ] = ()


class FailedLogins(Section, kw_only=True, frozen=True):
    """What follows from failed logins. Durations are seconds; 0 turns a consequence off."""

    tolerated: Annotated[Number, Meta(description="Failures of one authid that have no consequences.")] = 3
    delay: Annotated[
        Speed,
        Meta(description="How long the attempt after those has to wait. Each further failure doubles it."),
    ] = 0.5
    max_delay: Annotated[Annotated[float, Meta(ge=0, le=10)], Meta(description="Longest of these delays.")] = 5.0
    lock_out_after: Annotated[
        Number, Meta(description="Failures of one authid at one address that lock it out there.")
    ] = 10
    lock_out_address_after: Annotated[Number, Meta(description="Failures at one address that lock it out.")] = 100
    lock_out: Annotated[Speed, Meta(description="How long.")] = 300.0
    forget_after: Annotated[
        Annotated[float, Meta(ge=1)],
        Meta(description="In what time as many failures as lock out are forgotten, one after the other."),
    ] = 900.0


class ProcessLimits(Section, kw_only=True, frozen=True):
    """Limits of a whole process."""

    sessions: Annotated[Number, Meta(description="Sessions of all realms.")] = 0
    failed_logins: Annotated[FailedLogins, Meta(description="What follows from failed logins.")] = FailedLogins()
