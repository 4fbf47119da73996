"""A session as the routing core knows it: who it is, what it can do, and what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rocade.errors import ProtocolViolation
from rocade.router.limits import UNLIMITED, SessionLimits
from rocade.wamp.codec import Serializer
from rocade.wamp.ids import MAX_ID
from rocade.wamp.messages import CallOptions, ClientRoles

if TYPE_CHECKING:
    from rocade.router.broker import Subscription
    from rocade.router.calls import PendingCall
    from rocade.router.permissions import Role
    from rocade.router.registrations import Registration

__all__ = ["Session"]


class Session:
    """One client in one realm. It knows nothing of the connection that it came by.

    Attributes:
        id: global-scope id, given by the router.
        realm: name of the realm.
        authid: who the client is.
        role: what it may do, with what is its own in it.
        authmethod: how it proved who it is, such as "anonymous".
        authprovider: what checked the proof, such as "static".
        serializer: what raw payloads of its messages are in.
        authextra: what whoever checked it had to say about it.
        transport: what others may know of the connection that it came by; told by the session meta API.
        last_request: the latest request id that it used; the next one must be one higher.
        last_invocation: the latest INVOCATION request id that was sent to it.
        limits: how much it may have at a time.
        kept_bytes: bytes of payload that are kept of its calls, see `SessionLimits.kept_call_bytes`.
        is_leaving: whether it is on its way out, see `rocade.router.departure`.
    """

    __slots__ = (
        "authextra",
        "authid",
        "authmethod",
        "authprovider",
        "callee_cancels",
        "callee_passes_through",
        "callee_progresses",
        "callee_reroutes",
        "callee_streams",
        "callee_takes_revocations",
        "caller_cancels",
        "caller_passes_through",
        "caller_progresses",
        "caller_streams",
        "calls",
        "id",
        "invocations",
        "is_leaving",
        "kept_bytes",
        "last_invocation",
        "last_request",
        "limits",
        "max_calls",
        "max_invocations",
        "publisher_passes_through",
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
        authextra: dict[str, Any] | None = None,
        roles: ClientRoles | None = None,
        transport: dict[str, Any] | None = None,
        limits: SessionLimits = UNLIMITED,
    ) -> None:
        self.id = id
        self.realm = realm
        self.role = role.personal(authid, id)
        self.serializer = serializer
        self.authid = authid
        self.authmethod = authmethod
        self.authprovider = authprovider
        self.authextra = authextra
        self.transport = transport or {}
        self.last_request = 0
        self.last_invocation = 0
        self.limits = limits
        # Two of them once more: every call asks for them.
        self.max_calls, self.max_invocations = limits.pending_calls, limits.invocations
        self.kept_bytes = 0
        self.is_leaving = False
        # subscription id -> subscription, registration id -> registration
        self.subscriptions: dict[int, Subscription] = {}
        self.registrations: dict[int, Registration] = {}
        # CALL.Request -> call that this session awaits; INVOCATION.Request -> call that it works on
        self.calls: dict[int, PendingCall] = {}
        self.invocations: dict[int, PendingCall] = {}
        caller, callee = _features(roles, "caller"), _features(roles, "callee")
        publisher, subscriber = _features(roles, "publisher"), _features(roles, "subscriber")
        self.caller_progresses = caller.get("progressive_call_results") is True
        self.caller_cancels = _cancels(caller)
        self.callee_cancels = _cancels(callee)
        # The specification would have us disregard this of callees without call canceling
        # (advanced/rpc_progressive_call_results.md). autobahn-js is one, and streams with other routers: what its
        # callees go on sending to a caller that is gone is dropped, which harms nobody.
        self.callee_progresses = callee.get("progressive_call_results") is True
        # Progressive call invocations: "A Callee that supports progressive call invocations, but does not support
        # call canceling, shall be considered by the Dealer as not supporting progressive call invocations."
        self.caller_streams = caller.get("progressive_call_invocations") is True
        self.callee_streams = self.callee_cancels and callee.get("progressive_call_invocations") is True
        self.callee_reroutes = callee.get("call_reroute") is True
        self.caller_passes_through = caller.get("payload_passthru_mode") is True
        self.callee_passes_through = callee.get("payload_passthru_mode") is True
        self.publisher_passes_through = publisher.get("payload_passthru_mode") is True
        self.callee_takes_revocations = callee.get("registration_revocation") is True
        self.subscriber_takes_revocations = subscriber.get("subscription_revocation") is True

    @property
    def authrole(self) -> str:
        """Name of the session's role."""
        return self.role.name

    def take_request(self, request: int, *, is_call: bool = False) -> bool:
        """Note the request id of a message that the session sent.

        The first may be any, since wampy.js counts on where it was before it reconnected.

        Args:
            request: the request id.
            is_call: whether the message is a CALL, which may continue an earlier one: "When a Dealer receives a
                CALL with a request ID that is equal to or less than the watermark, then it is considered as a
                continuation candidate" (advanced/rpc_progressive_call_invocations.md).
        Returns:
            Whether it begins something new; if not, it is such a continuation, of a call that may be over.
        Raises:
            ProtocolViolation: it is not the one that follows the latest ("IDs in the session scope MUST be
                incremented by 1 beginning with 1", basic/building_blocks.md).
        """
        expected = self.last_request + 1 if self.last_request < MAX_ID else 1
        if request == expected or not self.last_request:
            self.last_request = request
            return True
        if is_call and self.caller_streams and (request <= self.last_request or request in self.calls):
            return False
        raise ProtocolViolation(
            f"request id {request} where {expected} was due (a realm with the option request_ids: any takes any)"
        )

    def check_call(self, options: CallOptions) -> None:
        """Make sure that a call uses no feature that "MUST be announced" by the caller and was not.

        Raises:
            ProtocolViolation: it does.
        """
        if options.progress and not self.caller_streams:
            raise ProtocolViolation("CALL with progress, but progressive_call_invocations was not announced")
        if options.ppt_scheme and not self.caller_passes_through:
            raise ProtocolViolation("CALL in payload passthru mode, which was not announced")

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
