"""Clients as the model sees them, and what is on its way to them.

A message is the list that goes over the wire, with `args` and `kwargs` written out where there are none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

HUGE = "HUGE"
"""Stands in a payload that some clients do not take."""


class Violation(Exception):
    """A session broke the protocol and is aborted."""


class Refused(Exception):
    """A request fails with this error."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name)
        self.uri = f"wamp.error.{name}"
        self.kwargs = kwargs


class SomeWords:
    """The arguments of an ERROR that the router has written itself: one text, in words of its own."""

    def __repr__(self) -> str:
        return "[some words]"


WORDS = SomeWords()


@dataclass(eq=False)
class Peer:
    """A session."""

    id: int
    authid: str
    authrole: str
    trustlevel: int | None
    # role -> features that it announced
    features: dict[str, set[str]]
    takes_huge: bool
    # name of a limit -> how much it may have of that
    limits: dict[str, int] = field(default_factory=dict)
    last_request: int = 0
    last_invocation: int = 0
    # CALL.Request -> call that it awaits; INVOCATION.Request -> call that it works on
    calls: dict[int, Any] = field(default_factory=dict)
    invocations: dict[int, Any] = field(default_factory=dict)
    # what it has, in the order in which it asked for it
    subscriptions: list[Any] = field(default_factory=list)
    registrations: list[Any] = field(default_factory=list)
    testaments: list[Any] = field(default_factory=list)

    def can(self, role: str, feature: str) -> bool:
        """Whether it announced a feature."""
        announced = self.features.get(role, set())
        if feature == "call_canceling":
            return bool(announced & {"call_canceling", "call_cancelling"})
        return feature in announced

    def has_room(self, limit: str, has: int) -> bool:
        """Whether it may have one more of something."""
        return has < self.limits.get(limit, has + 1)

    def check_room(self, limit: str, has: int, error: str = "limit_exceeded") -> None:
        """Make sure that it may have one more of something."""
        if not self.has_room(limit, has):
            raise Refused(error, limit=limit, max=self.limits[limit])

    def identity(self, prefix: str) -> dict[str, Any]:
        """Who it is, as receivers are told."""
        return {prefix: self.id, f"{prefix}_authid": self.authid, f"{prefix}_authrole": self.authrole}

    def trust(self) -> dict[str, Any]:
        """Its trust level, as receivers are told."""
        return {} if self.trustlevel is None else {"trustlevel": self.trustlevel}


class Post:
    """What is on its way to clients. It arrives in order, and what follows from that comes behind all of it.

    Attributes:
        arrived: session id -> messages.
        undeliverable: told of a message that its receiver did not take.
    """

    def __init__(self) -> None:
        self.arrived: dict[int, list[Any]] = {}
        self.undeliverable: Callable[[Peer, list[Any]], None]
        self._due: deque[Callable[[], None]] = deque()

    def send(self, peer: Peer, *message: Any) -> None:
        """Send a message."""
        self._due.append(partial(self._deliver, peer, list(message)))

    def later(self, do: Callable[[], None]) -> None:
        """Do something when all that was sent before has arrived."""
        self._due.append(do)

    def run(self) -> None:
        """Let everything arrive."""
        while self._due:
            self._due.popleft()()

    def _deliver(self, peer: Peer, message: list[Any]) -> None:
        if not peer.takes_huge and HUGE in repr(message[-2:]):
            self.undeliverable(peer, message)
        else:
            self.arrived.setdefault(peer.id, []).append(message)


def passthru(options: dict[str, Any]) -> dict[str, Any]:
    """What is passed on of options that describe an opaque payload."""
    if not options.get("ppt_scheme"):
        return {}
    return {key: value for key, value in options.items() if key.startswith("ppt_")}
