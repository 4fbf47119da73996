"""Time that passes only when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["VirtualClock"]

MAX_ROUNDS = 10_000
"""Rounds of the loop after which work that brings forth ever more work is left to itself."""


class VirtualClock:
    """The clock of the running event loop, for as long as a `with` block lasts: it stands still until it is advanced.

    It rules everything that uses the loop's time: timeouts of calls and handlers, `debounce` and `throttle`, and
    `asyncio.sleep` as well. Enter it before the application is started::

        with VirtualClock() as clock:
            async with running(app) as client:
                await client.publish("demo.typed", "a")
                await clock.advance(0.5)

    It is for what happens in one process: a socket, or a thread, takes the time it takes.
    """

    def __init__(self) -> None:
        """A clock for one event loop, the one that runs when it is entered."""
        self._loop: Any = None
        self._now = 0.0
        self._numbers = itertools.count()
        # when, number, timer
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._callbacks = 0

    @property
    def now(self) -> float:
        """The time, in the loop's seconds."""
        return self._now

    def __enter__(self) -> VirtualClock:
        """Stop the time.

        Raises:
            RuntimeError: no event loop runs, or one whose clock cannot be replaced, as that of uvloop.
        """
        running = asyncio.get_running_loop()
        if not isinstance(running, asyncio.BaseEventLoop):
            kind = type(running).__module__.partition(".")[0]
            raise RuntimeError(f"a virtual clock needs asyncio's own event loop, not that of {kind}")
        if "time" in vars(running):
            raise RuntimeError("this event loop has a virtual clock already")
        loop: Any = running
        self._now = loop.time()
        loop.time = self._time
        loop.call_at, loop.call_soon = self._watch_timers(loop.call_at), self._watch_callbacks(loop.call_soon)
        self._loop = loop
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let the time pass by itself again."""
        loop, self._loop = self._loop, None
        del loop.time, loop.call_at, loop.call_soon

    async def advance(self, seconds: float) -> None:
        """Let some time pass: all that is due in it happens, each at its moment, and what follows from it.

        Args:
            seconds: how much.
        """
        if seconds < 0:
            raise ValueError("time does not go back")
        target = self._now + seconds
        await self.settle()
        while (moment := self._next_timer()) is not None and moment <= target:
            self._now = max(self._now, moment)
            await self.settle()
        self._now = target
        await self.settle()

    async def settle(self) -> None:
        """Let the event loop work off all that it has to do now."""
        for _ in range(MAX_ROUNDS):
            before = self._callbacks
            # Two rounds: a timer that is due takes one to become ready, and one to run.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if self._callbacks - before <= 2:  # those of the two sleeps
                return

    def _time(self) -> float:
        return self._now

    def _next_timer(self) -> float | None:
        timers = self._timers
        while timers and (timers[0][2].cancelled() or timers[0][0] <= self._now):
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def _watch_timers(self, call_at: Callable[..., asyncio.TimerHandle]) -> Callable[..., asyncio.TimerHandle]:
        def watched(when: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.TimerHandle:
            timer = call_at(when, callback, *args, context=context)
            heapq.heappush(self._timers, (when, next(self._numbers), timer))
            return timer

        return watched

    def _watch_callbacks(self, call_soon: Callable[..., asyncio.Handle]) -> Callable[..., asyncio.Handle]:
        def watched(callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
            self._callbacks += 1
            return call_soon(callback, *args, context=context)

        return watched
