"""The virtual clock."""

from __future__ import annotations

import asyncio
import time

import pytest
import uvloop

from rocade.testing.clock import VirtualClock


def test_all_that_is_due_happens_in_its_order_and_at_its_moment() -> None:
    moments: list[tuple[str, float]] = []

    async def main() -> None:
        with VirtualClock() as clock:
            begin = clock.now

            async def ticks() -> None:
                while True:
                    await asyncio.sleep(10)
                    moments.append(("tick", clock.now - begin))

            async def limited() -> None:
                try:
                    async with asyncio.timeout(25):
                        await asyncio.Event().wait()
                except TimeoutError:
                    moments.append(("timeout", clock.now - begin))

            tasks = [asyncio.create_task(ticks()), asyncio.create_task(limited())]
            await clock.advance(15)
            await clock.advance(16)
            for task in tasks:
                task.cancel()

    asyncio.run(main())

    assert moments == [("tick", 10.0), ("tick", 20.0), ("timeout", 25.0), ("tick", 30.0)]


def test_time_stands_still_until_it_is_advanced_and_goes_on_afterwards() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with VirtualClock() as clock:
            before = loop.time()
            await asyncio.to_thread(time.sleep, 0.01)
            assert loop.time() == before == clock.now
        await asyncio.sleep(0.001)
        assert loop.time() > before

    asyncio.run(main())


def test_a_clock_refuses_an_event_loop_that_it_cannot_stop() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="asyncio's own event loop, not that of uvloop"):
            VirtualClock().__enter__()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_there_is_one_clock_at_a_time_and_it_does_not_go_back() -> None:
    async def main() -> None:
        with VirtualClock() as clock:
            with pytest.raises(RuntimeError, match="has a virtual clock already"):
                VirtualClock().__enter__()
            with pytest.raises(ValueError, match="does not go back"):
                await clock.advance(-1)

    asyncio.run(main())
