"""Tests that are coroutines run on asyncio's own event loop, and must leave nothing behind on it."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any

import pytest

TIMEOUT = 20.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function; fail it for tasks left over and errors that only the loop saw."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    problems: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        await pyfuncitem.obj(**arguments)
        left_over = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left_over, "tasks are left over"
        gc.collect(1)  # a coroutine that was never awaited warns now

    asyncio.run(main())
    assert not problems, "the event loop saw errors"
    return True


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rocade")
