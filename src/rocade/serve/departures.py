"""Lets sessions that have much leave bit by bit, a little in each round of the loop."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from time import perf_counter

from rocade.router.departure import Departure
from rocade.router.effects import Effect
from rocade.router.realm import Realm

__all__ = ["Departures"]

SLICE_SECONDS = 0.001
"""Seconds that departures take in one round of the loop, however many there are."""

MOST_AT_ONCE = 32
"""What is ended between two looks at the clock. It begins with one: the end of that may be news for thousands."""

logger = logging.getLogger("rocade.gateway")


class Departures:
    """The sessions that are leaving."""

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
        self._under_way: deque[tuple[Realm, Departure]] = deque()

    def add(self, realm: Realm, departure: Departure) -> None:
        """See a departure through, from the next round of the loop on."""
        if not self._under_way:
            self._call_when_calm(self._go_on, realm)
        self._under_way.append((realm, departure))

    def finish(self) -> None:
        """See all of them through now."""
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
        """End some of what the first ones have; whether others should have their turn now."""
        realm, departure = self._under_way[0]
        is_much = failed = False
        try:
            is_much = self._carry_out(realm, departure.go_on(most))
        except Exception:
            logger.exception("our fault, while sessions were leaving %r", realm.name)
            failed = True
        # Behind it: meanwhile nothing else starts another round.
        if departure.is_over or failed:
            self._under_way.popleft()
        return is_much
