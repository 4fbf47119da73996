"""One connection that sends all it can does not keep others from their turn."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import uvloop

from rocade.net.link import Link
from rocade.net.listener import Listener
from rocade.net.rawsocket import RawSocketEndpoint, RawSocketOptions
from rocade.net.sockets import bind_tcp

WORK = 0.00002
"""Seconds that each message costs."""


class Worker:
    """Takes its time with each message, and counts how many come in one round of the loop."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.total = 0
        self.rounds: list[int] = []
        self._loop = asyncio.get_running_loop()
        self._is_counting = False

    def message_received(self, data: bytes) -> None:
        if not self._is_counting:
            self._is_counting = True
            self.rounds.append(0)
            self._loop.call_soon(self._end_round)
        self.rounds[-1] += 1
        self.total += 1
        end = time.perf_counter() + WORK
        while time.perf_counter() < end:
            pass

    def _end_round(self) -> None:
        self._is_counting = False

    def writing_paused(self) -> None: ...

    def writing_resumed(self) -> None: ...

    def link_lost(self, reason: str) -> None: ...


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_a_round_of_the_loop_has_no_more_of_one_connection_than_two_reads(loop: Any) -> None:
    frame = b"\0\0\0\x3c" + b"x" * 60
    count = 40_000

    async def story() -> Worker:
        workers: list[Worker] = []

        def connected(link: Link) -> Worker:
            workers.append(Worker(link))
            return workers[-1]

        listener = Listener(None, websockets={}, rawsocket=RawSocketEndpoint(RawSocketOptions(), connected))
        listening = bind_tcp("127.0.0.1", 0)
        port = listening.getsockname()[1]
        await listener.start(listening)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x7f\xf1\0\0")
        await reader.readexactly(4)
        writer.write(frame * count)
        await writer.drain()
        async with asyncio.timeout(30):
            while workers[0].total < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        writer.close()
        await writer.wait_closed()
        await listener.stop()
        return workers[0]

    with asyncio.Runner(loop_factory=loop) as runner:
        worker = runner.run(story())

    assert worker.total == count
    assert max(worker.rounds) <= 2 * 65536 // len(frame) + 2
