"""How often a handler runs: a number of times, after silence, or not more often than.

All of this happens on the event loop, one call after the other, so counts are exact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["Debounce", "Limit", "Throttle"]

Run = Callable[..., None]
"""Starts the handler with an event's arguments."""


class Limit:
    """Lets a handler run so many times, and then never again."""

    def __init__(self, calls: int, exhausted: Callable[[], None]) -> None:
        """
        Args:
            calls: how many times.
            exhausted: called with the last of them, before it runs.
        """
        self._left = calls
        self._exhausted = exhausted

    @property
    def is_exhausted(self) -> bool:
        """Whether it has run so many times."""
        return self._left == 0

    def take(self) -> bool:
        """Whether the handler may run once more, which counts."""
        if not self._left:
            return False
        self._left -= 1
        if not self._left:
            self._exhausted()
        return True


class Debounce:
    """Runs a handler once events have stopped coming for a while, with the last of them."""

    def __init__(self, seconds: float, run: Run) -> None:
        """
        Args:
            seconds: how long the silence must be.
            run: starts the handler.
        """
        self._seconds = seconds
        self._run = run
        self._timer: asyncio.TimerHandle | None = None
        self._last: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """An event has come."""
        if self._timer is not None:
            self._timer.cancel()
        self._last = args, kwargs
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self.flush)

    def flush(self) -> None:
        """Run the handler now if an event waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._last is not None:
            (args, kwargs), self._last = self._last, None
            self._run(*args, **kwargs)


class Throttle:
    """Runs a handler at most once in a while: at once with the first event, later with the latest."""

    def __init__(self, seconds: float, run: Run) -> None:
        """
        Args:
            seconds: least time from one run to the next.
            run: starts the handler.
        """
        self._seconds = seconds
        self._run = run
        self._timer: asyncio.TimerHandle | None = None
        self._latest: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """An event has come."""
        if self._timer is not None:
            self._latest = args, kwargs
            return
        self._wait()
        self._run(*args, **kwargs)

    def flush(self) -> None:
        """Run the handler now if an event waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._run_latest()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._end_of_pause)

    def _end_of_pause(self) -> None:
        self._timer = None
        if self._latest is not None:
            self._wait()
            self._run_latest()

    def _run_latest(self) -> None:
        if self._latest is not None:
            (args, kwargs), self._latest = self._latest, None
            self._run(*args, **kwargs)
