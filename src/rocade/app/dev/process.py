"""The parent's side of a child process, see `child`."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

import msgspec

from rocade.app.http import Files
from rocade.errors import ConfigurationError

__all__ = ["Child"]

STOP_SECONDS = 6.0
"""How long an application has to stop before its process is killed."""


class Child:
    """A process that an application runs in, or will.

    Attributes:
        files: what the application has its router serve.
    """

    def __init__(self, process: asyncio.subprocess.Process, lines: asyncio.StreamReader, control: Any) -> None:
        """Made by `start`."""
        self._process = process
        self._lines = lines
        self._control: asyncio.StreamWriter = control
        self._end = asyncio.ensure_future(process.wait())
        self.files: list[Files] = []

    @classmethod
    async def start(cls) -> Child:
        """Start a process, which imports what it will need and waits."""
        ours, theirs = socket.socketpair()
        with theirs:
            # Ctrl-C is for all processes of the terminal, but this one ends when it is told to. It ignores the signal
            # as soon as it can; until then the signal is blocked, which children inherit.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "rocade.app.dev.child", str(theirs.fileno()), pass_fds=[theirs.fileno()]
                )
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        lines, control = await asyncio.open_connection(sock=ours)
        return cls(process, lines, control)

    async def load(self, order: dict[str, Any]) -> bool:
        """Have it import the application; whether that has gone well. The child itself says what has not.

        Raises:
            ConfigurationError: there is no such module.
        """
        self._tell(order)
        message = await self._message()
        if message.get("event") == "missing":
            raise ConfigurationError("", message["error"])
        self.files = msgspec.convert(message.get("files", []), list[Files])
        return bool(message)

    async def begin(self) -> bool:
        """Let the application start; whether it is ready."""
        self._tell({})
        return bool(await self._message())

    async def end(self) -> int:
        """Wait until the process has ended; returns its exit code."""
        return await asyncio.shield(self._end)

    async def stop(self) -> None:
        """Have the application stop, and the process end."""
        self._tell({})
        self._control.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.end()
        except TimeoutError:
            self._kill()
            await self.end()

    async def kill(self) -> None:
        """End the process at once."""
        self._kill()
        await self.end()
        self._control.close()

    def _kill(self) -> None:
        # It may have ended already without `_end` knowing yet, as when all processes get the same signal.
        with suppress(ProcessLookupError):
            self._process.kill()

    def _tell(self, order: dict[str, Any]) -> None:
        if not self._control.is_closing():
            self._control.write(msgspec.json.encode(order) + b"\n")

    async def _message(self) -> dict[str, Any]:
        """What it says next; empty if it has ended instead."""
        try:
            line = await self._lines.readline()
        except ConnectionError:
            line = b""
        return msgspec.json.decode(line, type=dict[str, Any]) if line else {}
