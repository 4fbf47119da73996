"""How much one session, and one realm, may have at a time: of what the routing core counts itself."""

from __future__ import annotations

from msgspec import Struct

from rocade.errors import LimitExceeded

__all__ = ["NONE", "UNLIMITED", "RealmLimits", "SessionLimits", "refuse_call", "refuse_invocation"]

NONE = 2**62
"""Instead of a limit where there is none: so that nobody has to ask whether there is one."""


class SessionLimits(Struct, frozen=True, kw_only=True):
    """How much one session may have at a time.

    Attributes:
        subscriptions: its subscriptions.
        registrations: its registrations.
        pending_calls: calls whose results it awaits.
        kept_call_bytes: bytes of payload that are kept of those calls, to be handed to a callee later or to another.
        invocations: calls that it works on as a callee, among them those whose caller is gone.
    """

    subscriptions: int = NONE
    registrations: int = NONE
    pending_calls: int = NONE
    kept_call_bytes: int = NONE
    invocations: int = NONE


class RealmLimits(Struct, frozen=True, kw_only=True):
    """How much all sessions of a realm may have together.

    Attributes:
        subscriptions: subscriptions, one topic counted once for each of its subscribers.
        registrations: registrations, one procedure counted once for each of its callees.
    """

    subscriptions: int = NONE
    registrations: int = NONE


UNLIMITED = SessionLimits()


def refuse_call(maximum: int) -> LimitExceeded:
    """What a caller is told that awaits too many results."""
    return LimitExceeded("pending_calls", maximum, f"a session may have {maximum} calls pending")


def refuse_invocation(maximum: int) -> LimitExceeded:
    """What a caller is told whose callee has too much to do."""
    text = f"the callee has {maximum} calls to answer already"
    return LimitExceeded("invocations", maximum, text, uri="wamp.error.no_available_callee")
