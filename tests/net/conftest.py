"""Every test of the transports runs on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from tests.conformance.waiting import TIMEOUT

Run = Callable[[Coroutine[Any, Any, None]], None]


def _loop_factory(kind: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if kind == "uvloop":
        return pytest.importorskip("uvloop").new_event_loop
    return asyncio.new_event_loop


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine on a new event loop, for ten seconds at most; fails on errors that only the loop saw."""
    problems: list[dict[str, Any]] = []

    async def limited(main: Coroutine[Any, Any, None]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
        async with asyncio.timeout(TIMEOUT):
            await main

    with asyncio.Runner(loop_factory=_loop_factory(request.param)) as runner:
        yield lambda main: runner.run(limited(main))
    assert not problems
