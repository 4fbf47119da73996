"""Does what takes too long to be done at once: a little of it in each round of the loop."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter

from rocade.router.effects import Effect, Work
from rocade.router.realm import Realm

__all__ = ["Pacer"]

SLICE_SECONDS = 0.001
"""Seconds that all of this takes in one round of the loop."""

MOST_AT_ONCE = 32
"""Steps between two looks at the clock. It begins with one: what follows from that may be news for thousands."""

logger = logging.getLogger("rocade.gateway")


class Pacer:
    """What is done bit by bit, in turn."""

    __slots__ = ("_call_when_calm", "_carry_out", "_under_way")

    def __init__(
        self,
        carry_out: Callable[[Realm, list[Effect]], bool],
        call_when_calm: Callable[[Callable[[], None], Realm], None],
    ) -> None:
        """
        Args:
            carry_out: does what follows; returns whether that was much.
            call_when_calm: calls back in a later round of the loop, when a realm has caught up.
        """
        self._carry_out = carry_out
        self._call_when_calm = call_when_calm
        self._under_way: deque[tuple[Realm, Work]] = deque()

    def add(self, realm: Realm, work: Work) -> None:
        """See some work through, from the next round of the loop on.

        Args:
            realm: whose it is.
            work: what is to be done.
        """
        if not self._under_way:
            self._call_when_calm(self._go_on, realm)
        self._under_way.append((realm, work))

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._under_way)

    def finish(self) -> None:
        """See all of it through now."""
        while self._under_way:
            self._step(MOST_AT_ONCE)

    def _go_on(self) -> None:
        under_way = self._under_way
        end = perf_counter() + SLICE_SECONDS
        most = 1
        while under_way and not self._step(most) and perf_counter() < end:
            most = min(2 * most, MOST_AT_ONCE)
        if under_way:
            under_way.rotate(-1)
            self._call_when_calm(self._go_on, under_way[0][0])

    def _step(self, most: int) -> bool:
        """Do some of the first work; whether others should have their turn now."""
        realm, work = self._under_way[0]
        is_much = False
        try:
            is_much = self._carry_out(realm, work.go_on(most))
        except Exception:
            logger.exception("our fault, in what takes long in %r", realm.name)
        # Behind it: meanwhile nothing else starts another round.
        if work.is_over:
            self._under_way.popleft()
        return is_much
