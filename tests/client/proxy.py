"""A TCP proxy between client and router, to do to the connection what networks do."""

from __future__ import annotations

import asyncio
from types import TracebackType

from tests.conformance.waiting import TIMEOUT


class Proxy:
    """Forwards connections to a port of this machine.

    Attributes:
        port: where it listens.
        connections: how many there have been.
    """

    def __init__(self, target: int) -> None:
        """
        Args:
            target: the router's port.
        """
        self.port = 0
        self.connections = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._news = asyncio.Event()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._tasks)

    def cut(self) -> None:
        """Drop all connections, and what is on its way in them."""
        for writer in list(self._writers):
            writer.transport.abort()

    def freeze(self) -> None:
        """Forward nothing more on the connections there are, as if a cable had been cut."""
        self._flows.clear()

    def refuse(self, refuses: bool = True) -> None:
        """Whether new connections are closed at once."""
        self._refuses = refuses

    async def wait_for(self, connections: int) -> None:
        """Wait until there have been so many."""
        async with asyncio.timeout(TIMEOUT):
            while self.connections < connections:
                self._news.clear()
                await self._news.wait()

    def thaw(self) -> None:
        """Forward again."""
        self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._news.set()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._refuses:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, back}
        flows = [asyncio.create_task(self._pump(reader, back)), asyncio.create_task(self._pump(there, writer))]
        self._pumps |= {*flows}
        await asyncio.wait(flows, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, back):
            end.transport.abort()
            self._writers.discard(end)
        await asyncio.gather(*flows, return_exceptions=True)
        self._pumps -= {*flows}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
