"""What the router promises to take of a machine."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from tests.hostile.process import RouterProcess
from tests.hostile.wire import Client, Witness

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
SESSIONS = 5000
MAX_BYTES_PER_SESSION = 16 * 1024
MAX_BYTES_AT_START = 45 * MEGABYTE


def test_a_router_that_has_just_started_takes_little_memory() -> None:
    began = time.monotonic()
    with RouterProcess("--port", "0") as router:
        print(f"ready after {time.monotonic() - began:.2f} s, {router.rss() / MEGABYTE:.1f} MiB")

        assert router.rss() <= MAX_BYTES_AT_START


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize(("transport", "serializer"), [("websocket", "json"), ("rawsocket", "msgpack")])
def test_5000_sessions_take_little_memory_each(transport: str, serializer: str) -> None:
    with RouterProcess("--port", "0") as router, ExitStack() as clients:
        witness = Witness(router.port)
        clients.callback(witness.close)
        # What is loaded or allocated once is not the price of a session.
        for _ in range(100):
            clients.enter_context(Client(router.port, transport, serializer)).join()
        before = router.rss()

        for _ in range(SESSIONS):
            clients.enter_context(Client(router.port, transport, serializer)).join()

        each = (router.rss() - before) / SESSIONS
        print(f"{each / 1024:.1f} KiB for each idle {transport} session")
        witness.testify()
        assert each <= MAX_BYTES_PER_SESSION
