"""Links within one process: for clients that live beside the router, and for tests.

Both ends of a pair are links alike. Nothing is ever delivered from inside a call: every message takes a turn of the
event loop, as it would on a socket.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable, Sequence

from rocade.net.link import Link, LinkInfo, Receiver, Wire
from rocade.net.wires import MEMORY
from rocade.wamp.codec import JSON, Serializer
from rocade.wamp.pieces import Pieces

logger = logging.getLogger("rocade.net")

HIGH_WATER = 65536
"""Bytes on their way from which on a writer is paused."""
LOW_WATER = 16384
"""Bytes on their way below which it is resumed."""


class MemoryLink:
    """One end of a pair, see `linked_pair`."""

    max_send_bytes = sys.maxsize

    def __init__(self, loop: asyncio.AbstractEventLoop, wire: Wire) -> None:
        """Made by `linked_pair`."""
        self.wire = wire
        self.info = LinkInfo("memory", "memory")
        self._loop = loop
        self._other: MemoryLink | None = None
        self._receiver: Receiver | None = None
        # Messages for this end's receiver.
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._is_awake = False
        self._is_paused = False
        # Whether this end may write.
        self._open = True
        self._writing_paused = False
        self._reported_paused = False
        # Why the other end is gone, once it is: told when the inbox is empty.
        self._end: str | None = None

    def __repr__(self) -> str:
        return f"<MemoryLink {self.wire.name}>"

    def write(self, frames: Sequence[bytes | Pieces]) -> None:
        """See `Link.write`."""
        if self._open and self._other is not None:
            self._other._put(frames)  # type: ignore[arg-type]  # this wire leaves nothing in pieces

    def buffered_bytes(self) -> int:
        """See `Link.buffered_bytes`: what the other end has not taken yet."""
        return 0 if self._other is None else self._other._inbox_bytes

    def pause_reading(self) -> None:
        """See `Link.pause_reading`."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """See `Link.resume_reading`."""
        self._is_paused = False
        self._wake()

    def close(self, reason: str = "", *, failure: bool = False) -> None:
        """See `Link.close`: the other end gets what was written before it learns."""
        if self._open:
            text = f"{'protocol error' if failure else 'closed'}: {reason}" if reason else "closed"
            self._part(text, "closed by peer" + (f" ({reason})" if reason else ""))

    def invalid_text(self) -> bool:
        """See `Link.invalid_text`."""
        return False

    def abort(self) -> None:
        """See `Link.abort`: the other end does not get what it has not taken yet."""
        if self._open:
            if self._other is not None:
                self._other._clear()
            self._part("aborted", "connection closed by peer")

    def _part(self, ours: str, theirs: str) -> None:
        other, self._other = self._other, None
        self._clear()
        self._finish(ours)
        if other is not None:
            other._other = None
            other._finish(theirs)

    def _finish(self, reason: str) -> None:
        self._open = False
        if self._end is None:
            self._end = reason
        self._is_paused = self._is_paused and bool(self._inbox)
        self._wake()

    def _clear(self) -> None:
        self._inbox.clear()
        self._inbox_bytes = 0

    def _put(self, frames: Sequence[bytes]) -> None:
        self._inbox.extend(frames)
        self._inbox_bytes += sum(map(len, frames))
        self._wake()
        if self._inbox_bytes > HIGH_WATER and self._other is not None:
            self._other._pause_writing()

    def _wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._is_awake = False
        try:
            self._deliver_inbox()
        except Exception:
            logger.exception("%s: a message could not be handled", self)
            self.close("internal error")
        if self._end is not None and not self._inbox and self._receiver is not None:
            receiver, self._receiver = self._receiver, None
            receiver.link_lost(self._end)

    def _deliver_inbox(self) -> None:
        # Only what is there now: a receiver whose messages bring forth more must not hold the loop.
        for _ in range(len(self._inbox)):
            if not self._inbox or self._is_paused or self._receiver is None:
                break
            data = self._inbox.popleft()
            self._inbox_bytes -= len(data)
            self._receiver.message_received(data)
        if self._inbox_bytes <= LOW_WATER and self._other is not None:
            self._other._resume_writing()
        if self._inbox and not self._is_paused:
            self._wake()

    def _pause_writing(self) -> None:
        if not self._writing_paused:
            self._writing_paused = True
            self._loop.call_soon(self._report_writing)

    def _resume_writing(self) -> None:
        if self._writing_paused:
            self._writing_paused = False
            self._loop.call_soon(self._report_writing)

    def _report_writing(self) -> None:
        if self._receiver is None or self._end is not None or self._writing_paused == self._reported_paused:
            return
        self._reported_paused = self._writing_paused
        if self._writing_paused:
            self._receiver.writing_paused()
        else:
            self._receiver.writing_resumed()


def linked_pair(
    server: Callable[[Link], Receiver], client: Callable[[Link], Receiver], *, serializer: Serializer = JSON
) -> tuple[MemoryLink, MemoryLink]:
    """Two links, each of which delivers what is written to the other.

    Must be called on a running event loop.

    Args:
        server: called with the server's end, before the client's; returns who receives there. An endpoint's
            `connected` fits.
        client: the same for the client's end.
        serializer: what both ends use.
    Returns:
        The server's end and the client's.
    """
    loop = asyncio.get_running_loop()
    wire = MEMORY[serializer.name]
    ends = MemoryLink(loop, wire), MemoryLink(loop, wire)
    ends[0]._other, ends[1]._other = ends[1], ends[0]
    ends[0]._receiver = server(ends[0])
    ends[1]._receiver = client(ends[1])
    return ends


class MemoryClient:
    """The client's end of a pair for those who would rather await messages than be called.

    At most `HIGH_WATER` bytes that nobody awaits are kept here; beyond that the other end's writing is paused.
    """

    def __init__(self, server: Callable[[Link], Receiver], *, serializer: Serializer = JSON) -> None:
        """
        Args:
            server: called with the server's end, see `linked_pair`.
            serializer: what both ends use.
        """
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self.lost: str | None = None
        """Why the link is gone, None while it is there."""
        self.server_link, self.link = linked_pair(server, lambda _link: self, serializer=serializer)

    async def send(self, message: bytes) -> None:
        """Write one serialized message; waits while the other end takes too few.

        Raises:
            ConnectionError: the link is gone.
        """
        if self.link.buffered_bytes() > HIGH_WATER:
            # The pause is reported in the loop's next round.
            await asyncio.sleep(0)
        await self._may_write.wait()
        if self.lost is not None:
            raise ConnectionError(self.lost)
        self.link.write([message])

    async def receive(self) -> bytes:
        """The next serialized message.

        Raises:
            ConnectionError: the link is gone, and everything that came before is received.
        """
        while not self._messages:
            if self.lost is not None:
                raise ConnectionError(self.lost)
            self._news.clear()
            await self._news.wait()
        message = self._messages.popleft()
        self._bytes -= len(message)
        if self._bytes <= LOW_WATER:
            self.link.resume_reading()
        return message

    def close(self) -> None:
        """Close the link."""
        self.link.close()

    def message_received(self, data: bytes | memoryview) -> None:
        """See `Receiver`."""
        self._messages.append(bytes(data))
        self._bytes += len(data)
        if self._bytes > HIGH_WATER:
            self.link.pause_reading()
        self._news.set()

    def writing_paused(self) -> None:
        """See `Receiver`."""
        self._may_write.clear()

    def writing_resumed(self) -> None:
        """See `Receiver`."""
        self._may_write.set()

    def link_lost(self, reason: str) -> None:
        """See `Receiver`."""
        self.lost = reason
        self._news.set()
        self._may_write.set()
