"""A session as the routing core knows it: who it is, what it can do, and what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocade.errors import ProtocolViolation
from rocade.wamp.codec import Serializer
from rocade.wamp.ids import MAX_ID
from rocade.wamp.messages import ClientRoles

if TYPE_CHECKING:
    from rocade.router.broker import Subscription
    from rocade.router.dealer import PendingCall, Registration
    from rocade.router.permissions import Role

__all__ = ["Session"]


class Session:
    """One client in one realm. It knows nothing of the connection that it came by.

    Attributes:
        id: global-scope id, given by the router.
        realm: name of the realm.
        authid: who the client is.
        role: what it may do.
        authmethod: how it proved who it is, such as "anonymous".
        authprovider: what checked the proof, such as "static".
        serializer: what raw payloads of its messages are in.
        transport: what others may know of the connection that it came by; told by the session meta API.
        last_request: the latest request id that it used; the next one must be one higher.
        last_invocation: the latest INVOCATION request id that was sent to it.
    """

    __slots__ = (
        "authid",
        "authmethod",
        "authprovider",
        "callee_cancels",
        "callee_progresses",
        "callee_takes_revocations",
        "caller_cancels",
        "caller_progresses",
        "calls",
        "id",
        "invocations",
        "last_invocation",
        "last_request",
        "realm",
        "registrations",
        "role",
        "serializer",
        "subscriber_takes_revocations",
        "subscriptions",
        "transport",
    )

    def __init__(
        self,
        id: int,
        realm: str,
        role: Role,
        serializer: Serializer,
        *,
        authid: str,
        authmethod: str = "anonymous",
        authprovider: str = "static",
        roles: ClientRoles | None = None,
        transport: dict[str, Any] | None = None,
    ) -> None:
        self.id = id
        self.realm = realm
        self.role = role
        self.serializer = serializer
        self.authid = authid
        self.authmethod = authmethod
        self.authprovider = authprovider
        self.transport = transport or {}
        self.last_request = 0
        self.last_invocation = 0
        # subscription id -> subscription, registration id -> registration
        self.subscriptions: dict[int, Subscription] = {}
        self.registrations: dict[int, Registration] = {}
        # CALL.Request -> call that this session awaits; INVOCATION.Request -> call that it works on
        self.calls: dict[int, PendingCall] = {}
        self.invocations: dict[int, PendingCall] = {}
        caller, callee = _features(roles, "caller"), _features(roles, "callee")
        subscriber = _features(roles, "subscriber")
        self.caller_progresses = caller.get("progressive_call_results") is True
        self.caller_cancels = _cancels(caller)
        self.callee_cancels = _cancels(callee)
        # The specification would have us disregard this of callees without call canceling
        # (advanced/rpc_progressive_call_results.md). autobahn-js is one, and streams with other routers: what its
        # callees go on sending to a caller that is gone is dropped, which harms nobody.
        self.callee_progresses = callee.get("progressive_call_results") is True
        self.callee_takes_revocations = callee.get("registration_revocation") is True
        self.subscriber_takes_revocations = subscriber.get("subscription_revocation") is True

    @property
    def authrole(self) -> str:
        """Name of the session's role."""
        return self.role.name

    def take_request(self, request: int) -> None:
        """Note the request id of a message that the session sent.

        The first may be any, since wampy.js counts on where it was before it reconnected.

        Raises:
            ProtocolViolation: it is not the one that follows the latest ("IDs in the session scope MUST be
                incremented by 1 beginning with 1", basic/building_blocks.md).
        """
        expected = self.last_request + 1 if self.last_request < MAX_ID else 1
        if request != expected and self.last_request:
            raise ProtocolViolation(
                f"request id {request} where {expected} was due (a realm with the option request_ids: any takes any)"
            )
        self.last_request = request

    def next_invocation(self) -> int:
        """A session-scope request id for an INVOCATION to this session."""
        last = self.last_invocation
        self.last_invocation = last = last + 1 if last < MAX_ID else 1
        return last

    def __repr__(self) -> str:
        return f"<Session {self.id} of {self.authid!r} in {self.realm!r}>"


def _features(roles: ClientRoles | None, role: str) -> dict[str, Any]:
    announced = getattr(roles, role, None)
    return (announced.features if announced is not None else None) or {}


def _cancels(features: dict[str, Any]) -> bool:
    # The specification spells it both ways.
    return features.get("call_canceling") is True or features.get("call_cancelling") is True
