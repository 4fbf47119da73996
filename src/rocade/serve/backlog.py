"""What is too much for one round of the event loop: done bit by bit, for each realm in its order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter

from rocade.router.realm import Realm

__all__ = ["Backlog"]

SLICE_SECONDS = 0.001
"""Seconds of work in one round of the loop, however many realms have some, and for whoever brings more about."""

logger = logging.getLogger("rocade.gateway")


class Backlog:
    """The work that is left, of all realms of a process.

    Attributes:
        realms: realm -> its work, for those that have some, in steps that take a fraction of a millisecond each.
    """

    __slots__ = ("_is_scheduled", "_waiting", "realms")

    def __init__(self) -> None:
        self.realms: dict[Realm, deque[Iterator[None]]] = {}
        # realm -> who wants to know that nothing is left
        self._waiting: dict[Realm, list[Callable[[], None]]] = {}
        self._is_scheduled = False

    def add(self, realm: Realm, steps: Iterator[None]) -> bool:
        """Work for a moment, and leave the rest to later rounds of the loop; all of it, behind what is there already.

        Args:
            realm: whose work it is.
            steps: the work; each step is done by asking for the next.
        Returns:
            Whether all is done.
        """
        behind = self.realms.get(realm)
        if behind is not None:
            behind.append(steps)
            return False
        # What this brings about in turn goes behind it.
        work = self.realms[realm] = deque((steps,))
        try:
            self._work(work, perf_counter() + SLICE_SECONDS)
        except Exception:
            work.popleft()
            raise
        finally:
            if not work:
                self._done(realm)
            elif not self._is_scheduled:
                self._schedule()
        return not work

    def call_when_done(self, realm: Realm, callback: Callable[[], None]) -> bool:
        """Call back when nothing is left of a realm's work; False, and no call, if that is so already."""
        if realm not in self.realms:
            return False
        self._waiting.setdefault(realm, []).append(callback)
        return True

    def finish(self) -> None:
        """Do all of it now."""
        while self.realms:
            self._go_on(float("inf"))

    def _work(self, work: deque[Iterator[None]], end: float) -> None:
        while work:
            for _ in work[0]:
                if perf_counter() > end:
                    return
            work.popleft()

    def _schedule(self) -> None:
        self._is_scheduled = True
        asyncio.get_running_loop().call_soon(self._next_slice)

    def _next_slice(self) -> None:
        self._is_scheduled = False
        if self.realms:
            self._go_on(perf_counter() + SLICE_SECONDS)
        if self.realms:
            self._schedule()

    def _go_on(self, end: float) -> None:
        """Work for the realm whose turn it is."""
        realm, work = next(iter(self.realms.items()))
        try:
            self._work(work, end)
        except Exception:
            logger.exception("our fault, in %r", realm.name)
            work.popleft()
        if work:
            self.realms[realm] = self.realms.pop(realm)
        else:
            self._done(realm)

    def _done(self, realm: Realm) -> None:
        del self.realms[realm]
        for callback in self._waiting.pop(realm, ()):
            callback()
