"""A router as its configuration describes it, in the test's process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conformance.waiting import TIMEOUT

from rocade.node.worker import Worker


def play(configuration: Any, story: Callable[[int], Awaitable[None]]) -> None:
    """Play a story with a router running; it is told the port of the first transport."""

    async def main() -> None:
        worker = Worker(configuration.worker)
        worker.bind()
        await worker.start()
        try:
            async with asyncio.timeout(TIMEOUT):
                await story(worker._sockets[0].getsockname()[1])
        finally:
            await worker.stop()

    asyncio.run(main())
