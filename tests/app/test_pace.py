"""How often a handler runs, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rocade.app.pace import Debounce, Limit, Throttle
from rocade.testing.clock import VirtualClock


def on_a_virtual_clock(work: Callable[[VirtualClock], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        with VirtualClock() as clock:
            await work(clock)

    asyncio.run(main())


def test_a_limit_tells_of_its_end_with_the_last_call_and_before_it_runs() -> None:
    told: list[str] = []
    limit = Limit(2, lambda: told.append("exhausted"))

    taken = [limit.take()]
    assert told == []
    taken += [limit.take(), limit.take()]

    assert taken == [True, True, False]
    assert told == ["exhausted"]
    assert limit.is_exhausted


def test_debounce_runs_once_after_silence_with_the_last_event() -> None:
    runs: list[tuple[float, str]] = []

    async def work(clock: VirtualClock) -> None:
        begin = clock.now
        typed = Debounce(0.5, lambda text: runs.append((clock.now - begin, text)))
        for text in ("a", "ab", "abc"):
            typed(text)
            await clock.advance(0.4)
        await clock.advance(0.2)
        assert [(round(moment, 6), text) for moment, text in runs] == [(1.3, "abc")]
        typed("new")
        await clock.advance(10)

    on_a_virtual_clock(work)

    assert [text for _, text in runs] == ["abc", "new"]


def test_throttle_runs_the_first_event_at_once_and_the_latest_of_each_pause() -> None:
    runs: list[tuple[float, int]] = []

    async def work(clock: VirtualClock) -> None:
        begin = clock.now
        tick = Throttle(1.0, lambda number: runs.append((round(clock.now - begin, 6), number)))
        for number in range(25):
            tick(number)
            await clock.advance(0.1)
        await clock.advance(10)
        tick(99)

    on_a_virtual_clock(work)

    assert runs == [(0.0, 0), (1.0, 9), (2.0, 19), (3.0, 24), (12.5, 99)]


def test_what_waits_runs_when_it_is_flushed_and_only_once() -> None:
    runs: list[str] = []

    async def work(clock: VirtualClock) -> None:
        debounce, throttle = Debounce(1.0, runs.append), Throttle(1.0, runs.append)
        debounce("debounced")
        throttle("first")
        throttle("throttled")

        debounce.flush()
        throttle.flush()

        assert runs == ["first", "debounced", "throttled"]
        await clock.advance(10)

    on_a_virtual_clock(work)

    assert len(runs) == 3
