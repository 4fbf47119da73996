"""What is too much for one round of the event loop: done bit by bit, in lines that take turns."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from time import perf_counter
from typing import Generic, TypeVar

__all__ = ["Backlog"]

SLICE_SECONDS = 0.001
"""Seconds of work in one round of the loop, however many lines there are, and for whoever brings more about."""

logger = logging.getLogger("rocade.gateway")

Line = TypeVar("Line", bound=Hashable)


class Backlog(Generic[Line]):
    """Work that is left to later rounds of the loop. What stands in one line is done in its order.

    All work is in steps that take a fraction of a millisecond each, and that are done by asking for the next. After a
    step that is True, others have their turn: it has brought much about.

    Attributes:
        lines: line -> its work, for those that have some.
    """

    __slots__ = ("_call_later", "_is_scheduled", "_waiting", "lines")

    def __init__(self, call_later: Callable[[Callable[[], None], Line], object]) -> None:
        """
        Args:
            call_later: calls back in a later round of the loop, when this line may have its turn.
        """
        self.lines: dict[Line, deque[Iterator[bool | None]]] = {}
        self._call_later = call_later
        # line -> who wants to know that nothing is left of it
        self._waiting: dict[Line, list[Callable[[], None]]] = {}
        self._is_scheduled = False

    def add(self, line: Line, steps: Iterator[bool | None]) -> None:
        """Leave work to later rounds of the loop.

        Args:
            line: behind whose work it is done.
            steps: the work.
        """
        self.lines.setdefault(line, deque()).append(steps)
        self._schedule()

    def begin(self, line: Line, steps: Iterator[bool | None]) -> bool:
        """Work for a moment, and leave the rest to later rounds; all of it, behind what stands in the line already.

        Args:
            line: behind whose work it is done.
            steps: the work.
        Returns:
            Whether all is done.
        Raises:
            Exception: whatever a step raises. There are no more of them then.
        """
        if line in self.lines:
            self.add(line, steps)
            return False
        # What this brings about in turn goes behind it.
        work = self.lines[line] = deque((steps,))
        try:
            self._work(work, perf_counter() + SLICE_SECONDS)
        except Exception:
            work.popleft()
            raise
        finally:
            if not work:
                self._done(line)
            self._schedule()
        return not work

    def call_when_done(self, line: Line, callback: Callable[[], None]) -> bool:
        """Call back when nothing is left in a line; False, and no call, if that is so already."""
        if line not in self.lines:
            return False
        self._waiting.setdefault(line, []).append(callback)
        return True

    def finish(self) -> None:
        """Do all of it now."""
        while self.lines:
            self._go_on(float("inf"))

    def _schedule(self) -> None:
        if self.lines and not self._is_scheduled:
            self._is_scheduled = True
            self._call_later(self._next_slice, next(iter(self.lines)))

    def _next_slice(self) -> None:
        self._is_scheduled = False
        if self.lines:
            self._go_on(perf_counter() + SLICE_SECONDS)
            self._schedule()

    def _go_on(self, end: float) -> None:
        """Work in the line whose turn it is."""
        line, work = next(iter(self.lines.items()))
        try:
            self._work(work, end)
        except Exception:
            logger.exception("our fault, in %r", line)
            work.popleft()
        if work:
            self.lines[line] = self.lines.pop(line)
        else:
            self._done(line)

    def _work(self, work: deque[Iterator[bool | None]], end: float) -> None:
        while work:
            for is_much in work[0]:
                if is_much or perf_counter() > end:
                    return
            work.popleft()

    def _done(self, line: Line) -> None:
        del self.lines[line]
        for callback in self._waiting.pop(line, ()):
            callback()
