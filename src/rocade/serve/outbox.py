"""What waits to be sent to one client, in order and bounded."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from rocade.net.link import Link
from rocade.serve.translation import Slot
from rocade.wamp.pieces import Pieces

if TYPE_CHECKING:
    from rocade.serve.flushing import Flusher

__all__ = ["DEFAULT_MAX_OUTBOX_BYTES", "Outbox"]

DEFAULT_MAX_OUTBOX_BYTES = 64 * 1024 * 1024
"""Bytes that may wait for one client before it is disconnected as too slow."""

SLICE_BYTES = 256 * 1024
"""Bytes handed over at once to a client that was too slow a moment ago."""

logger = logging.getLogger("rocade.outbox")


class Outbox:
    """Framed messages on their way to one link.

    Messages are collected while the event loop works through what has arrived, and handed to the link as one
    write. While the link's peer reads too slowly they stay here; beyond the bound the client is disconnected.

    A message that is still being translated has a slot, and what comes behind it waits until that is filled.

    Attributes:
        link: where the frames go.
        wire: the link's, kept here since fan-out asks for it once per receiver.
        max_send_bytes: largest message, framed, that the link's peer accepts.
    """

    __slots__ = (
        "_behind",
        "_behind_bytes",
        "_closed",
        "_flusher",
        "_frames",
        "_is_apart",
        "_limit",
        "_paused",
        "_waiting",
        "link",
        "max_send_bytes",
        "wire",
    )

    def __init__(self, link: Link, flusher: Flusher, limit: int = DEFAULT_MAX_OUTBOX_BYTES) -> None:
        """
        Args:
            link: where the frames go.
            flusher: told when there is something to flush.
            limit: bytes that may wait here.
        """
        self.link = link
        self.wire = link.wire
        # The peer's limit is for what is in the frame.
        self.max_send_bytes = link.max_send_bytes + len(link.wire.frame(b""))
        self._flusher = flusher
        self._limit = limit
        self._frames: list[bytes | Pieces] = []
        self._waiting = 0
        self._paused = False
        self._closed = False
        # The first slot that is not filled, and all that was put behind it; None where there is none.
        self._behind: deque[bytes | Pieces | Slot] | None = None
        self._behind_bytes = 0
        # Whether what is put in goes another way than usual: nowhere, since this is closed, or behind a slot.
        self._is_apart = False

    def put(self, frame: bytes | Pieces) -> None:
        """Add a framed message; it is written with the next flush, or once the link takes more."""
        if self._is_apart:
            self._put_behind(frame)
            return
        frames = self._frames
        if not frames and not self._paused:
            self._flusher.needs_flush(self)
        frames.append(frame)
        self._waiting += len(frame)
        if self._waiting > self._limit:
            self._overflow()

    def put_slot(self, slot: Slot) -> None:
        """Add a message that is still to come, by `fill` or, if nothing comes of it, `drop`."""
        if self._closed:
            return
        if self._behind is None:
            self._behind = deque()
            self._is_apart = True
        self._behind.append(slot)

    def fill(self, slot: Slot, frame: bytes | Pieces) -> None:
        """The framed message of a slot is there."""
        if self._behind is not None and slot in self._behind:
            self._behind[self._behind.index(slot)] = frame
            self._behind_bytes += len(frame)
            self._release()

    def drop(self, slot: Slot) -> None:
        """There will be no message in this slot."""
        if self._behind is not None and slot in self._behind:
            self._behind.remove(slot)
            self._release()

    def _put_behind(self, frame: bytes | Pieces) -> None:
        if self._behind is not None:
            self._behind.append(frame)
            self._behind_bytes += len(frame)
            if self._waiting + self._behind_bytes > self._limit:
                self._overflow()

    def _release(self) -> None:
        """Let go what waited behind a slot, up to the next one."""
        behind = self._behind
        assert behind is not None
        frames = self._frames
        if not frames and not self._paused:
            self._flusher.needs_flush(self)
        while behind and not isinstance(frame := behind[0], Slot):
            frames.append(frame)
            self._waiting += len(frame)
            self._behind_bytes -= len(frame)
            behind.popleft()
        if not behind:
            self._forget_behind()
        if self._waiting + self._behind_bytes > self._limit:
            self._overflow()

    def _forget_behind(self) -> None:
        self._behind = None
        self._behind_bytes = 0
        self._is_apart = self._closed

    def finish(self) -> None:
        """Flush for the last time, without what is still being translated: the connection will be closed."""
        if self._behind is not None:
            self._frames += [frame for frame in self._behind if not isinstance(frame, Slot)]
            self._waiting += self._behind_bytes
            self._forget_behind()
        self.flush()

    def flush(self) -> None:
        """Hand everything that waits to the link, as one write."""
        frames = self._frames
        if self._paused or not frames:
            return
        self._frames = []
        self._waiting = 0
        self.link.write(frames)

    def pause(self) -> None:
        """Keep what comes: the link's peer reads too slowly."""
        self._paused = True

    def resume(self) -> None:
        """The link takes more: hand over what waits, as long as it does."""
        self._paused = False
        self._write_slice()

    def _write_slice(self) -> None:
        """Hand over some of what waits, and the rest later: a link tells only between two writes that it is full."""
        frames = self._frames
        if self._paused or not frames:
            return
        count = size = 0
        while count < len(frames) and size < SLICE_BYTES:
            size += len(frames[count])
            count += 1
        self._frames = frames[count:]
        self._waiting -= size
        self.link.write(frames[:count])
        if self._frames:
            asyncio.get_running_loop().call_soon(self._write_slice)

    def close(self) -> None:
        """Accept nothing more and let go of what waits."""
        self._closed = True
        self._frames = []
        self._waiting = 0
        self._forget_behind()

    def _overflow(self) -> None:
        logger.warning(
            "disconnected %s: a slow consumer, with more than %d bytes waiting to be sent",
            self.link.info.peer,
            self._limit,
        )
        self.close()
        self.link.abort()
