"""Tests that are coroutines run on an event loop of their own, and must leave nothing behind on it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from zlib import crc32

import pytest
import uvloop
from tests.client.scene import Scene
from tests.coroutines import run_coroutine

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
    """See `run_coroutine`."""
    return run_coroutine(pyfuncitem, _LOOPS[crc32(pyfuncitem.name.encode()) % 2], within="scene")
