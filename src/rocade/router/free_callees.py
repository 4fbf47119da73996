"""Which callees of a registration are free, when they limit their invocations: found among thousands that are busy."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from rocade.router.session import Session

__all__ = ["FreeCallees"]


class _Load(Struct, gc=False):
    """How busy a callee is that limits its invocations.

    Attributes:
        limit: invocations of the registration that it works on at a time, at most.
        busy: those that it has now.
    """

    limit: int
    busy: int


class FreeCallees:
    """The callees of one registration, in the order in which they registered; those without a limit are always free.

    They have numbers, which count up, so that they are found by halving.

    Attributes:
        callees: those that are free, in order.
    """

    __slots__ = ("_free", "_loads", "_numbers", "_of", "callees")

    def __init__(self, callees: Iterable[Session]) -> None:
        """
        Args:
            callees: none of which has a limit.
        """
        self.callees = list(callees)
        # the numbers of all callees, and of those that are free; callee -> number
        self._numbers = list(range(len(self.callees)))
        self._free = list(self._numbers)
        self._of = dict(zip(self.callees, self._numbers, strict=True))
        self._loads: dict[Session, _Load] = {}

    def add(self, callee: Session, limit: int | None, busy: int) -> None:
        """Add a callee.

        Args:
            callee: registers behind the others.
            limit: invocations that it works on at a time; None for any number.
            busy: those that it has already.
        """
        number = self._of[callee] = self._numbers[-1] + 1 if self._numbers else 0
        self._numbers.append(number)
        if limit is not None:
            self._loads[callee] = _Load(limit, busy)
        if limit is None or busy < limit:
            self._free.append(number)
            self.callees.append(callee)

    def remove(self, callee: Session) -> None:
        """Remove a callee."""
        load = self._loads.pop(callee, None)
        if load is None or load.busy < load.limit:
            self._take_off(callee)
        number = self._of.pop(callee)
        del self._numbers[bisect_left(self._numbers, number)]

    def has_limits(self) -> bool:
        """Whether there is a callee with a limit."""
        return bool(self._loads)

    def began(self, callee: Session) -> None:
        """A callee, which was free, has got an invocation."""
        load = self._loads.get(callee)
        if load is not None:
            load.busy += 1
            if load.busy == load.limit:
                self._take_off(callee)

    def ended(self, callee: Session) -> None:
        """A callee, or somebody who was one, has one invocation less."""
        load = self._loads.get(callee)
        if load is not None:
            if load.busy == load.limit:
                number = self._of[callee]
                place = bisect_left(self._free, number)
                self._free.insert(place, number)
                self.callees.insert(place, callee)
            load.busy -= 1

    def from_there(self, position: int) -> Iterator[Session]:
        """Those that are free, from a position among all callees on, and then from the beginning."""
        start = bisect_left(self._free, self._numbers[position])
        for place in chain(range(start, len(self.callees)), range(start)):
            yield self.callees[place]

    def position(self, callee: Session) -> int:
        """The position of a callee among all."""
        return bisect_left(self._numbers, self._of[callee])

    def _take_off(self, callee: Session) -> None:
        place = bisect_left(self._free, self._of[callee])
        del self._free[place], self.callees[place]
