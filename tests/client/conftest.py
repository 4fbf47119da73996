"""Tests that are coroutines run on an event loop of their own, and must leave nothing behind on it."""

from __future__ import annotations

import asyncio
import gc
import inspect
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import uvloop
from tests.client.scene import Scene

WAYS = [
    f"{transport}-{serializer}"
    for transport in ("memory", "websocket", "rawsocket", "unix", "unix-websocket")
    for serializer in ("json", "msgpack", "cbor")
]
# Half of the tests run on either, always the same half.
_LOOPS = (asyncio.new_event_loop, uvloop.new_event_loop)
FEW_WAYS = ["memory-msgpack", "websocket-json", "rawsocket-cbor"]


@pytest.fixture(params=WAYS)
def every_way(request: pytest.FixtureRequest) -> str:
    """How the clients of a test come to the router: each transport with each serializer."""
    chosen: str = request.param
    return chosen


@pytest.fixture(params=FEW_WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """As `every_way`, for tests to which a few make no difference: each serializer, and three transports."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def scene(tmp_path: Path, free_port: int) -> Scene:
    """The router; it runs while the test does, or another one on its port."""
    return Scene(tmp_path, free_port)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function; fail it for tasks left over and errors that only the loop saw."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    problems: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        scene = arguments.get("scene")
        if scene is None:
            await pyfuncitem.obj(**arguments)
        else:
            async with scene:
                await pyfuncitem.obj(**arguments)
        left_over = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left_over, f"tasks are left over: {left_over}"
        gc.collect(1)  # what the test itself made and dropped: a coroutine that was never awaited warns now

    with asyncio.Runner(loop_factory=_LOOPS[crc32(pyfuncitem.name.encode()) % 2]) as runner:
        runner.run(main())
    assert not problems, f"the event loop saw errors: {problems}"
    return True
