"""What the routing core wants done. It returns lists of these and does nothing itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from rocade.wamp.codec import Serializer
from rocade.wamp.messages import Message

if TYPE_CHECKING:
    from rocade.router.calls import PendingCall
    from rocade.router.history import HistoryRule, Query, Record
    from rocade.router.registrations import Registration
    from rocade.router.session import Session

__all__ = [
    "AnswerLater",
    "BitByBit",
    "CancelWake",
    "Deliver",
    "Effect",
    "EndSession",
    "LimitReached",
    "QueryHistory",
    "Series",
    "ServeWaiting",
    "StoreEvent",
    "WakeAt",
    "Work",
]


class Deliver(Struct, gc=False):
    """Send one message to sessions, after everything that was delivered to them before.

    Attributes:
        message: the same for all receivers.
        receivers: may be one of the core's own collections: use it up before the core is called again.
        origin: the serializer that the message's raw payload is in; None when it has none.
    """

    message: Message
    receivers: Collection[Session]
    origin: Serializer | None = None


class Series(Struct):
    """Effects that are so many that they are only made while they are carried out, in the place of this one.

    Meanwhile the core may be called: what they are to be is settled.

    Attributes:
        effects: makes them; None is a pause, in which others may have their turn.
    """

    effects: Iterator[Effect | None]


class WakeAt(Struct, gc=False):
    """Call `Realm.wake` with this pending call at `when` (seconds on the clock that `now` is read from), or later."""

    when: float
    pending: PendingCall


class CancelWake(Struct, gc=False):
    """The `WakeAt` of this pending call is not needed any more: let go of it, or timers outlive their calls."""

    pending: PendingCall


class ServeWaiting(Struct, gc=False):
    """Add what `Realm.serve_waiting` returns for this registration to the effects: a callee may be free for a call.

    It is an effect of its own, for one call at a time, so that the next INVOCATION is only numbered once it is known
    whether the one before could be delivered.
    """

    registration: Registration


class EndSession(Struct, gc=False):
    """Say GOODBYE to a session that was killed. The realm has let it go already; nothing is delivered to it any more.

    Attributes:
        session: which session.
        reason: GOODBYE.Reason.
        message: GOODBYE.Details.message.
    """

    session: Session
    reason: str
    message: str | None = None


class BitByBit(Struct, gc=False):
    """Go on with this work until it is over, and carry out what comes of it, while others have their turns, too.

    It is the last of the effects that it is among.
    """

    work: Work


class Work(Protocol):
    """Something that takes too long to be done at once.

    Attributes:
        is_over: whether it is done.
    """

    is_over: bool

    def go_on(self, most: int) -> list[Effect]:
        """Do so many small steps of it, at most, and return what follows from them.

        What fails, with whatever exception, is not tried again.
        """


class StoreEvent(Struct, gc=False):
    """Store an event in the history of a rule, behind those that were stored before.

    Attributes:
        rule: which events are kept, and how many.
        record: the event.
    """

    rule: HistoryRule
    record: Record


class QueryHistory(Struct, gc=False):
    """Look up stored events, among all that were to be stored before, and call `Realm.found_out` with them.

    Attributes:
        query: what is asked for.
        caller: who asks.
        request: CALL.Request.
    """

    query: Query
    caller: Session
    request: int


class LimitReached(Struct, gc=False):
    """Tell the operator that a session has come to a limit. Its client has been told, if there is anything to tell.

    Attributes:
        session: which session.
        limit: the limit's name, as in the configuration.
    """

    session: Session
    limit: str


class AnswerLater(Struct, gc=False):
    """Find out what a meta procedure answers, and call `Realm.found_out` with it.

    Attributes:
        work: to be awaited; returns the results, or raises `ApplicationError`.
        caller: who asks.
        request: CALL.Request.
    """

    work: Callable[[], Awaitable[list[Any]]]
    caller: Session
    request: int


Effect = (
    Deliver
    | WakeAt
    | CancelWake
    | ServeWaiting
    | EndSession
    | BitByBit
    | StoreEvent
    | QueryHistory
    | LimitReached
    | AnswerLater
    | Series
)
