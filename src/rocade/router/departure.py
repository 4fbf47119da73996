"""Sessions that leave bit by bit: to end a hundred thousand subscriptions at once would keep all others waiting.

While they do, they are still in their realm, but nothing comes from their clients any more, and nothing is delivered to
them. To others it looks as if they had given up one thing after the other and then left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from rocade.router.effects import Deliver, Effect

if TYPE_CHECKING:
    from rocade.router.realm import Realm
    from rocade.router.session import Session

__all__ = ["MUCH", "Departure", "is_much"]

MUCH = 500
"""What is ended at once at most: subscriptions, registrations, invocations and calls; that takes 1 to 2 ms."""

FAREWELL = 5
"""A session's GOODBYE takes as long as the end of so many of those."""


def is_much(sessions: Collection[Session], endings: Collection[Effect]) -> bool:
    """Whether it would take too long to let these sessions go at once.

    Args:
        sessions: that leave together.
        endings: what goes to their clients.
    """
    held = FAREWELL * len(endings)
    for session in sessions:
        held += len(session.subscriptions) + len(session.registrations) + len(session.calls) + len(session.invocations)
        if held > MUCH:
            return True
    return held > MUCH


class Departure:
    """Some sessions on their way out.

    Attributes:
        is_over: whether they have left.
    """

    __slots__ = ("_answer", "_realm", "_sessions", "_silently", "_steps", "is_over")

    def __init__(
        self, realm: Realm, sessions: Collection[Session], endings: Collection[Effect], *, silently: bool = False
    ) -> None:
        """
        Args:
            realm: which they leave.
            sessions: who leaves.
            endings: what goes to their clients, first of all.
            silently: without their testaments and wamp.session.on_leave.
        """
        self.is_over = False
        self._realm = realm
        self._sessions = tuple(sessions)
        self._silently = silently
        self._answer: Deliver | None = None
        self._steps = self._one_by_one(tuple(endings))

    def go_on(self, most: int) -> list[Effect]:
        """End so much of what they have, at most.

        Returns:
            What follows from that: to others, it was the doing of the sessions themselves.
        """
        return [effect for effects in islice(self._steps, most) for effect in effects]

    def answer_then(self, answer: Deliver) -> None:
        """Deliver this when they have left, if its receiver is still there."""
        self._answer = answer

    def _one_by_one(self, endings: Collection[Effect]) -> Iterator[list[Effect]]:
        dealer, broker, sessions = self._realm.dealer, self._realm.broker, self._realm.sessions
        try:
            for ending in endings:
                yield [ending]
            # Registrations first: then nobody can give them more to do.
            yield from self._ended(dealer.end_registration, "registrations")
            yield from self._ended(dealer.end_invocation, "invocations")
            yield from self._ended(dealer.end_call, "calls")
            yield from self._ended(broker.end_subscription, "subscriptions")
            for session in self._sessions:
                yield self._realm.left(session, silently=self._silently)
        finally:
            self.is_over = True
        answer = self._answer
        if answer is not None and all(sessions.get(receiver.id) is receiver for receiver in answer.receivers):
            yield [answer]

    def _ended(self, end: Callable[[Session], list[Effect]], kind: str) -> Iterator[list[Effect]]:
        for session in self._sessions:
            held = getattr(session, kind)
            yield []  # a look at each takes time, too
            while held:
                yield end(session)
