"""Tests that are coroutines run on an event loop of their own, and must leave nothing behind on it."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import pytest


def run_coroutine(
    pyfuncitem: pytest.Function, loop_factory: Callable[[], asyncio.AbstractEventLoop], *, within: str = ""
) -> bool | None:
    """Run a test if it is a coroutine function; fail it for tasks left over and errors that only the loop saw.

    Args:
        pyfuncitem: as pytest gives it to `pytest_pyfunc_call`, whose result this is.
        loop_factory: makes the event loop.
        within: the fixture, if the test has it, that is entered, and left before tasks are counted.
    """
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    around: AbstractAsyncContextManager[Any] = arguments.get(within, nullcontext())
    problems: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        async with around:
            await pyfuncitem.obj(**arguments)
        left_over = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left_over, f"tasks are left over: {left_over}"
        gc.collect(1)  # what the test itself made and dropped: a coroutine that was never awaited warns now

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert not problems, f"the event loop saw errors: {problems}"
    return True
