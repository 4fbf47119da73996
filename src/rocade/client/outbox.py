"""What a client sends: collected, written in batches, kept where it may have to be sent again."""

from __future__ import annotations

import asyncio
from collections import deque

from rocade.errors import PayloadTooLarge
from rocade.net.link import Link
from rocade.wamp.codec import Serializer
from rocade.wamp.pieces import Pieces

__all__ = ["Outbox"]

HIGH_WATER = 64 * 1024
"""Bytes that wait to be written from which on senders are kept waiting."""
MAX_KEPT_BYTES = 16 * 1024 * 1024
"""Bytes that the router has not confirmed from which on senders are kept waiting, in a session that can be resumed."""


class Outbox:
    """Serialized messages on their way to the router.

    Nothing is refused here: those who can wait are told to, by `is_full`.

    Attributes:
        is_full: whether senders are to wait.
        confirmed: messages of the session that the router has received.
    """

    __slots__ = (
        "_frame",
        "_frames",
        "_keeps",
        "_kept",
        "_kept_bytes",
        "_link",
        "_loop",
        "_max_send_bytes",
        "_paused",
        "_room",
        "_waiting",
        "confirmed",
        "is_full",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """
        Args:
            loop: where it flushes.
        """
        self.is_full = False
        self.confirmed = 0
        self._loop = loop
        self._link: Link | None = None
        self._frames: list[bytes | Pieces] = []
        self._waiting = 0
        self._paused = False
        self._max_send_bytes = 0
        self._keeps = False
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        # Those who wait for room.
        self._room: list[asyncio.Future[None]] = []

    def attach(self, link: Link, *, keeps: bool) -> None:
        """Write to a new link.

        Args:
            link: where to.
            keeps: whether messages are kept until they are confirmed; those that already are, are sent again.
        """
        self._link = link
        self._frame = link.wire.frame
        self._max_send_bytes = link.max_send_bytes
        self._frames = []
        self._waiting = 0
        self._paused = False
        self._keeps = keeps
        for payload in list(self._kept):
            self._write(payload)
        self._settle()

    def translate(self, before: Serializer, after: Serializer) -> None:
        """The session goes on with another serializer: so does what may have to be sent again.

        Raises:
            PayloadNotSerializable: some of it has no form there.
        """
        self._kept = deque(bytes(after.encode(before.decode(payload), before)) for payload in self._kept)
        self._kept_bytes = sum(map(len, self._kept))

    def detach(self) -> None:
        """The link is gone."""
        self._link = None
        self._frames = []
        self._waiting = 0

    def forget(self) -> None:
        """Nothing will be sent again: the session is over."""
        self._kept.clear()
        self._kept_bytes = self.confirmed = 0
        self._keeps = False

    def put(self, payload: bytes) -> None:
        """Send a message of the session.

        Raises:
            PayloadTooLarge: the router takes none of this length.
        """
        if len(payload) > self._max_send_bytes:
            raise PayloadTooLarge(f"a message of {len(payload)} bytes; the router takes {self._max_send_bytes}")
        if self._keeps:
            self._kept.append(payload)
            self._kept_bytes += len(payload)
            if self._kept_bytes > MAX_KEPT_BYTES:
                self.is_full = True
        self._write(payload)

    def put_uncounted(self, payload: bytes) -> None:
        """Send a message that is none of the session's, and is never sent again."""
        self._write(payload)

    def confirm(self, count: int) -> bool:
        """Let go of what the router has received.

        Args:
            count: messages of the session that it has received in all.
        Returns:
            Whether that can be.
        """
        newly = count - self.confirmed
        if not 0 <= newly <= len(self._kept):
            return False
        for _ in range(newly):
            self._kept_bytes -= len(self._kept.popleft())
        self.confirmed = count
        self._settle()
        return True

    def _write(self, payload: bytes) -> None:
        if self._link is None:
            return
        frame = self._frame(payload)
        if not self._frames and not self._paused:
            self._loop.call_soon(self.flush)
        self._frames.append(frame)
        self._waiting += len(frame)
        if self._waiting > HIGH_WATER:
            self.is_full = True

    def flush(self) -> None:
        """Hand everything that waits to the link, as one write."""
        frames = self._frames
        if self._paused or not frames or self._link is None:
            return
        self._frames = []
        self._waiting = 0
        self._link.write(frames)
        self._settle()

    def pause(self) -> None:
        """The router reads too slowly: keep what comes."""
        self._paused = self.is_full = True

    def resume(self) -> None:
        """The link takes more."""
        self._paused = False
        self.flush()
        self._settle()

    async def room(self) -> None:
        """Wait until there is room, or the link is gone."""
        waiter = self._loop.create_future()
        self._room.append(waiter)
        try:
            await waiter
        finally:
            self._room.remove(waiter)

    def release(self) -> None:
        """Let go on all who wait: the link is gone."""
        for waiter in self._room:
            if not waiter.done():
                waiter.set_result(None)

    def _settle(self) -> None:
        is_full = self._paused or self._waiting > HIGH_WATER or self._kept_bytes > MAX_KEPT_BYTES
        if self.is_full and not is_full:
            self.release()
        self.is_full = is_full
