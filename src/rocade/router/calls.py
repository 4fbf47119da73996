"""What the dealer remembers of a call between its CALL and its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from rocade.wamp.codec import Serializer, raw_bytes
from rocade.wamp.messages import Call, InvocationDetails

if TYPE_CHECKING:
    from rocade.router.registrations import Registration
    from rocade.router.session import Session

__all__ = ["KeptCall", "PendingCall", "Stream"]


class KeptCall(Struct):
    """A CALL that may have to be handed to a callee later, or to another one.

    Attributes:
        message: the CALL.
        origin: the serializer that its payload is in. The caller may resume its session with another one.
        disclose: tell the callee who calls even if nobody asked for it.
        since: when it came, in seconds on the router's clock.
        tried: callees that answered wamp.error.unavailable.
        counted: bytes that count among the `kept_bytes` of its caller.
    """

    message: Call
    origin: Serializer
    disclose: bool
    since: float
    tried: frozenset[Session] = frozenset()
    counted: int = 0

    @property
    def size(self) -> int:
        """Bytes of its payload."""
        return raw_bytes(self.message.args, self.message.kwargs)


class Stream(Struct):
    """The calling side of a call with progressive invocations.

    Attributes:
        procedure: CALL.Procedure of the first CALL.
        details: INVOCATION.Details of all but the last INVOCATION, as they follow from the first CALL.
        is_open: whether the caller has yet to send the last CALL.
        has_continued: whether the callee has got more than one INVOCATION, or would have.
    """

    procedure: str
    details: InvocationDetails
    is_open: bool = True
    has_continued: bool = False


class PendingCall(Struct, eq=False):
    """A call between its CALL and its final RESULT or ERROR.

    Attributes:
        caller: who waits for the result; None once nobody does (answered, canceled, gone).
        request: CALL.Request.
        registration: what was called.
        callee: who works on it; None while it waits until a callee is free.
        invocation: INVOCATION.Request at that callee.
        progress: whether the caller wants progressive results and both ends have the feature.
        killed: whether the callee was told to stop and its answer is awaited (cancel mode "kill").
        timeout: seconds between results that the caller accepts; None for any.
        deadline: seconds on the router's clock after which the call times out; None for never.
        kept: what it takes to hand the call to another callee; None when there is no other.
        stream: what continues the call; None unless it has progressive invocations.

    As long as `caller` waits, the call is among its `calls`, and either among the callee's `invocations` or among
    the `waiting` of its registration. Without a caller it stays among the invocations until the callee answers,
    which it must, unless told "killnowait".
    """

    caller: Session | None
    request: int
    registration: Registration
    callee: Session | None = None
    invocation: int = 0
    progress: bool = False
    killed: bool = False
    timeout: float | None = None
    deadline: float | None = None
    kept: KeptCall | None = None
    stream: Stream | None = None

    def keep(self, kept: KeptCall) -> bool:
        """Keep what it takes to hand the call to another callee; whether its caller may have so much kept."""
        caller = self.caller
        if not kept.counted and caller is not None:
            size = kept.size
            if caller.kept_bytes + size > caller.limits.kept_call_bytes:
                return False
            caller.kept_bytes += size
            kept.counted = size
        self.kept = kept
        return True

    def let_go(self) -> None:
        """Nobody else will get the call: keep nothing of it. While its caller is known, or that one counts on."""
        kept, self.kept = self.kept, None
        if kept is not None and kept.counted:
            if self.caller is not None:
                self.caller.kept_bytes -= kept.counted
            kept.counted = 0
