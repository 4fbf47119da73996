"""What holds for all tests of this folder.

Tests that are coroutines run on an event loop with a clock of its own, and must leave nothing behind on it.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any

import pytest
from tests.serve.scene import ClockLoop

from rocade.serve import backlog, flushing


@pytest.fixture(autouse=True)
def _as_much_at_once_as_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, work is not left to a later round because of the time; some tests want that."""
    monkeypatch.setattr(backlog, "SLICE_SECONDS", float("inf"))
    monkeypatch.setattr(flushing, "FLUSH_SECONDS", float("inf"))


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
        gc.collect(1)  # what the test itself made and dropped: a coroutine that was never awaited warns now

    with asyncio.Runner(loop_factory=ClockLoop) as runner:
        runner.run(main())
    assert not problems, "the event loop saw errors"
    return True
