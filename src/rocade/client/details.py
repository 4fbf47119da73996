"""What a handler may learn about a call or an event beside its arguments, and what a call returns."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rocade.client.session import Session

__all__ = ["CallDetails", "CallResult", "Context", "Event", "EventDetails", "LeaveReason", "PastEvent"]


class CallResult:
    """A result with several values, or with keyword results: what `Session.call` returns for those, and what a
    procedure returns to give such a result.

    Attributes:
        args: positional results.
        kwargs: keyword results.
    """

    __slots__ = ("args", "kwargs")

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        """
        Args:
            *args: positional results.
            **kwargs: keyword results.
        """
        self.args: Sequence[Any] = args
        self.kwargs: Mapping[str, Any] = kwargs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CallResult) and (self.args, self.kwargs) == (other.args, other.kwargs)

    __hash__ = None  # type: ignore[assignment]  # what is in it may change

    def __repr__(self) -> str:
        parts = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"CallResult({', '.join(parts)})"


class LeaveReason(str):
    """Why a session is over: a URI.

    Attributes:
        message: the words that came with it, None if there were none.
    """

    __slots__ = ("message",)

    message: str | None

    def __new__(cls, uri: str, message: str | None = None) -> LeaveReason:
        """
        Args:
            uri: the reason.
            message: words.
        """
        reason = super().__new__(cls, uri)
        reason.message = message
        return reason


@dataclass(slots=True, eq=False, kw_only=True)
class Context:
    """What calls and events have in common: a handler's first parameter may be of this type, or of those below."""

    session: Session = field(repr=False)
    """The session that it came to."""
    trustlevel: int | None = None
    """How much the router trusts whom it is from, where it says so."""


@dataclass(slots=True, eq=False, kw_only=True)
class CallDetails(Context):
    """What is known of a call."""

    procedure: str
    """The URI that was called; with a pattern it tells which."""
    caller: int | None = None
    """Session id of the caller, where the caller or the registration discloses it."""
    caller_authid: str | None = None
    caller_authrole: str | None = None
    timeout: float | None = None
    """Seconds that the caller waits, where the registration asks to be told (`forward_timeout`)."""
    wants_progress: bool = False
    """Whether the caller takes progressive results."""
    send_progress: Callable[[tuple[Any, ...], dict[str, Any]], Coroutine[Any, Any, None]] | None = field(
        default=None, repr=False
    )

    async def progress(self, /, *args: Any, **kwargs: Any) -> None:
        """Send a progressive result; waits while the connection is full. Does nothing if the caller takes none."""
        if self.wants_progress and self.send_progress is not None:
            await self.send_progress(args, kwargs)


@dataclass(slots=True, eq=False, kw_only=True)
class EventDetails(Context):
    """What is known of an event."""

    topic: str
    """The topic that was published to; with a pattern it tells which."""
    publication: int
    """Id of the publication, the same for all who receive it."""
    publisher: int | None = None
    """Session id of the publisher, where it is disclosed."""
    publisher_authid: str | None = None
    publisher_authrole: str | None = None
    retained: bool = False
    """Whether the event was published before the subscription, and kept."""


@dataclass(slots=True, eq=False, kw_only=True)
class Event(EventDetails):
    """An event with its payload, as `Session.events` yields it."""

    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False, kw_only=True)
class PastEvent(Event):
    """An event out of the router's history."""

    timestamp: datetime
    """When it was published."""
