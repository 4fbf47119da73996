"""The life of a session as transition tables, one for each side (basic/sessions.md, state chart).

All that decides whether a message is in order at this point of a session's life is here; what to do about it
is not. A table says: in this state, having sent or received this message, the session is in that state. What
is not in the table is a protocol violation.
"""

from __future__ import annotations

from enum import Enum

from rocade.errors import ProtocolViolation
from rocade.wamp.messages import Abort, Authenticate, Challenge, Goodbye, Hello, Message, Welcome

__all__ = ["CLIENT", "LIFE_CYCLE", "ROUTER", "Direction", "SessionState", "advance"]


class SessionState(Enum):
    """Where a session is in its life."""

    CLOSED = "closed"
    """No session: the only way on is HELLO."""
    ESTABLISHING = "establishing"
    """HELLO or AUTHENTICATE went to the router, which has not answered yet."""
    CHALLENGED = "challenged"
    """The router asked for a proof and waits for AUTHENTICATE."""
    ESTABLISHED = "established"
    """After WELCOME: everything else is exchanged in this state."""
    CLOSING = "closing"
    """The peer sent GOODBYE, ours is still to be sent."""
    SHUTTING_DOWN = "shutting down"
    """Our GOODBYE is sent, the peer's is awaited; whatever else it sends is ignored."""
    ABORTED = "aborted"
    """The protocol was violated. The transport is to be closed; nothing more is exchanged."""


class Direction(Enum):
    """Whether a message was sent or received by the side that the table is for."""

    SENT = "sent"
    RECEIVED = "received"


_S, _SENT, _RECEIVED = SessionState, Direction.SENT, Direction.RECEIVED
_Table = dict[SessionState, dict[tuple[Direction, type[Message]], SessionState]]

# From WELCOME on, both sides are alike.
_OPEN: _Table = {
    _S.ESTABLISHED: {
        (_RECEIVED, Goodbye): _S.CLOSING,
        (_RECEIVED, Abort): _S.CLOSED,
        (_SENT, Goodbye): _S.SHUTTING_DOWN,
        (_SENT, Abort): _S.ABORTED,
    },
    _S.CLOSING: {
        (_SENT, Goodbye): _S.CLOSED,
        (_RECEIVED, Abort): _S.CLOSED,
    },
    _S.SHUTTING_DOWN: {
        (_RECEIVED, Goodbye): _S.CLOSED,
        (_RECEIVED, Abort): _S.CLOSED,
        (_SENT, Abort): _S.ABORTED,
    },
    _S.ABORTED: {},
}

ROUTER: _Table = {
    _S.CLOSED: {
        (_RECEIVED, Hello): _S.ESTABLISHING,
        (_RECEIVED, Abort): _S.CLOSED,
        (_SENT, Abort): _S.ABORTED,
    },
    _S.ESTABLISHING: {
        (_SENT, Welcome): _S.ESTABLISHED,
        (_SENT, Challenge): _S.CHALLENGED,
        (_SENT, Abort): _S.CLOSED,
        (_RECEIVED, Abort): _S.CLOSED,
    },
    _S.CHALLENGED: {
        (_RECEIVED, Authenticate): _S.ESTABLISHING,
        (_RECEIVED, Abort): _S.CLOSED,
        (_SENT, Abort): _S.CLOSED,
    },
    **_OPEN,
}
"""The router's side: state -> (direction, message) -> next state."""

CLIENT: _Table = {
    _S.CLOSED: {
        (_SENT, Hello): _S.ESTABLISHING,
    },
    _S.ESTABLISHING: {
        (_RECEIVED, Welcome): _S.ESTABLISHED,
        (_RECEIVED, Challenge): _S.CHALLENGED,
        (_RECEIVED, Abort): _S.CLOSED,
        (_SENT, Abort): _S.CLOSED,
    },
    _S.CHALLENGED: {
        (_SENT, Authenticate): _S.ESTABLISHING,
        (_SENT, Abort): _S.CLOSED,
        (_RECEIVED, Abort): _S.CLOSED,
    },
    **_OPEN,
}
"""The client's side."""

LIFE_CYCLE = frozenset((Hello, Welcome, Abort, Challenge, Authenticate, Goodbye))
"""The messages of the tables; all others belong within an open session."""


def advance(table: _Table, state: SessionState, direction: Direction, message: Message) -> SessionState:
    """The state after a message of the session's life cycle, or after any other within an open session.

    Args:
        table: `ROUTER` or `CLIENT`.
        state: where the session is.
        direction: whether the message was sent or received.
        message: which message.
    Raises:
        ProtocolViolation: the message is out of order, in words fit for ABORT.Details.message.
    """
    kind = type(message)
    following = table[state].get((direction, kind))
    if following is not None:
        return following
    if state is SessionState.ESTABLISHED and kind not in LIFE_CYCLE:
        return state
    if state is SessionState.SHUTTING_DOWN and direction is Direction.RECEIVED:
        return state
    when = {
        SessionState.CLOSED: "before a session was opened",
        SessionState.ESTABLISHING: "while the session was being opened",
        SessionState.CHALLENGED: "while AUTHENTICATE was awaited",
        SessionState.ESTABLISHED: "within an open session",
        SessionState.CLOSING: "after GOODBYE",
        SessionState.SHUTTING_DOWN: "after GOODBYE",
        SessionState.ABORTED: "after ABORT",
    }[state]
    raise ProtocolViolation(f"{kind.__name__.upper()} was {direction.value} {when}")
