"""Measures how long a loop is held: rounds of it, single callbacks in them, and collections of garbage.

All times are CPU time of the loop's thread, so what else goes on on the machine does not count.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

__all__ = ["Sampler", "Watch", "watch_class", "watched_loop"]

KEPT = 10
"""How many of the longest rounds are remembered."""

SAMPLE_SECONDS = 0.0005
"""How often the loop's thread is looked at, where it is."""

SAMPLES_KEPT = 200_000
STACK_DEPTH = 14

_cpu = time.thread_time
_wall = time.perf_counter


class Watch:
    """What a loop has been doing since the last `reset`.

    While it is on, a callback that re-schedules itself takes the time in each round of the loop: the time between two
    of them is as long as the longest callback, or longer.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last = self._last_wall = 0.0
        # (CPU seconds, wall seconds, when it began, the longest callback in it, its CPU seconds), smallest first
        self._rounds: list[tuple[float, float, float, str, float]] = []
        self._longest = 0.0
        self._callback: tuple[float, str] = (0.0, "")
        # the longest callback of this round
        self._in_round: tuple[float, str] = (0.0, "")
        self._garbage = 0.0
        self._garbage_begin = 0.0
        self._busy = 0.0
        gc.callbacks.append(self._on_garbage)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to measure: forget what was before."""
        self._loop = loop
        self._rounds = []
        self._longest = self._garbage = self._busy = 0.0
        self._callback = self._in_round = (0.0, "")
        self._last, self._last_wall = _cpu(), _wall()
        if not self.is_on:
            self.is_on = True
            loop.call_soon(self._tick)

    def stop(self) -> dict[str, Any]:
        """Measure no more; what there was, in seconds."""
        self.is_on = False
        rounds = sorted(self._rounds, reverse=True)
        return {
            "round": rounds[0][0] if rounds else 0.0,
            "wall": max((each[1] for each in rounds), default=0.0),
            "callback": self._callback[0],
            "name": self._callback[1],
            "garbage": self._garbage,
            "rounds": rounds,
        }

    def take_busy(self) -> float:
        """CPU seconds of the rounds, other than empty ones, since this was asked last."""
        busy, self._busy = self._busy, 0.0
        return busy

    def _tick(self) -> None:
        if not self.is_on:
            return
        now, wall = _cpu(), _wall()
        took = now - self._last
        if took > 0.00005:
            self._busy += took
            if len(self._rounds) < KEPT:
                heapq.heappush(self._rounds, (took, wall - self._last_wall, self._last_wall, *self._in_round[::-1]))
            elif took > self._rounds[0][0]:
                heapq.heapreplace(self._rounds, (took, wall - self._last_wall, self._last_wall, *self._in_round[::-1]))
        self._in_round = (0.0, "")
        assert self._loop is not None
        _call_soon(self._loop, self._tick)
        self._last, self._last_wall = _cpu(), _wall()

    def called(self, name: str, took: float) -> None:
        """A callback has been called, and took so many seconds."""
        if took > self._in_round[0]:
            self._in_round = (took, name)
            if took > self._callback[0]:
                self._callback = (took, name)

    def _on_garbage(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._garbage_begin = _cpu()
        else:
            self._garbage = max(self._garbage, _cpu() - self._garbage_begin)


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """As `call_soon` of the loop, but the callback itself is not measured."""
    getattr(loop, "plain_call_soon", loop.call_soon)(callback)


def _name(callback: Any) -> str:
    """What a callback is called; a task's step by its coroutine."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        coroutine = owner.get_coro()
        return f"step of {getattr(coroutine, '__qualname__', coroutine)}"
    callback = getattr(callback, "func", callback)
    return str(getattr(callback, "__qualname__", callback))


def watched_loop(watch: Watch, factory: Callable[[], asyncio.AbstractEventLoop]) -> asyncio.AbstractEventLoop:
    """A loop as the factory makes them, whose callbacks are measured."""
    base: Any = type(factory())

    def wrapped(callback: Any) -> Any:
        def call(*args: Any) -> None:
            begin = _cpu()
            try:
                callback(*args)
            finally:
                took = _cpu() - begin
                if took > 0.0002:
                    watch.called(_name(callback), took)

        return call

    class Loop(base):  # type: ignore[misc]
        def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
            return super().call_soon(wrapped(callback), *args, context=context)

        def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
            return super().call_soon_threadsafe(wrapped(callback), *args, context=context)

        def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
            return super().call_at(when, wrapped(callback), *args, context=context)

        def plain_call_soon(self, callback: Any) -> Any:
            return super().call_soon(callback)

    return Loop()


def watch_class(watch: Watch, kind: type, *names: str) -> None:
    """Measure what transports call of a class of protocols."""

    def measured(function: Any) -> Any:
        name = function.__qualname__

        def call(self: Any, *args: Any) -> Any:
            begin = _cpu()
            try:
                return function(self, *args)
            finally:
                took = _cpu() - begin
                if took > 0.0002:
                    watch.called(name, took)

        return call

    for name in names:
        if hasattr(kind, name):
            setattr(kind, name, measured(getattr(kind, name)))


class Sampler:
    """Looks what a thread is doing, again and again, from another thread: what was it that took so long?

    It slows things down, so what is measured beside it is no result.
    """

    def __init__(self) -> None:
        self._thread_id = threading.get_ident()
        self._samples: deque[tuple[float, tuple[str, ...]]] = deque(maxlen=SAMPLES_KEPT)
        sys.setswitchinterval(0.0002)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(SAMPLE_SECONDS)
            frame = sys._current_frames().get(self._thread_id)
            stack = []
            while frame is not None and len(stack) < STACK_DEPTH:
                code = frame.f_code
                stack.append(f"{'/'.join(code.co_filename.split('/')[-2:])}:{frame.f_lineno} {code.co_name}")
                frame = frame.f_back
            self._samples.append((_wall(), tuple(stack)))

    def between(self, begin: float, end: float) -> list[tuple[int, tuple[str, ...]]]:
        """The stacks that were seen from one time to another, the most frequent first."""
        seen = Counter(stack for when, stack in list(self._samples) if begin <= when <= end + SAMPLE_SECONDS)
        return [(count, stack) for stack, count in seen.most_common(6)]
