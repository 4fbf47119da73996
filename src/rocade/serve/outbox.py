"""What waits to be sent to one client, in order and bounded."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from rocade.net.link import Link
from rocade.serve.blocks import Blocks, Frame
from rocade.serve.translation import Slot

if TYPE_CHECKING:
    from rocade.serve.flushing import Flusher

__all__ = ["DEFAULT_MAX_OUTBOX_BYTES", "Outbox"]

DEFAULT_MAX_OUTBOX_BYTES = 64 * 1024 * 1024
"""Bytes that may wait for one client before it is disconnected as too slow."""

MAX_LAST_BYTES = 1024 * 1024
"""Bytes that are still handed to a link that is full when its connection is to be closed."""

logger = logging.getLogger("rocade.outbox")


class _Slotted:
    """A message that is still to come, or has come before an earlier one has, and what was put behind it."""

    __slots__ = ("behind", "frame", "is_open", "slot")

    def __init__(self, slot: Slot, limit: int) -> None:
        self.slot = slot
        self.frame: Frame | None = None
        self.is_open = True
        self.behind = Blocks(limit)

    def move_to(self, waiting: Blocks) -> int:
        """Put what is there behind what waits; how many bytes that is."""
        before = waiting.size
        if self.frame is not None:
            waiting.put(self.frame)
        waiting.extend(self.behind)
        return waiting.size - before


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
        "_has_more",
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
        self._waiting = Blocks(limit)
        self._paused = False
        # Whether there was more than one block, and the next one is written in a later round of the loop.
        self._has_more = False
        self._closed = False
        # The slots from the first one on that is not filled; None where there is none.
        self._behind: deque[_Slotted] | None = None
        self._behind_bytes = 0
        # Whether what is put in goes another way than usual: nowhere, since this is closed, or behind a slot.
        self._is_apart = False

    def put(self, frame: Frame) -> None:
        """Add a framed message; it is written with the next flush, or once the link takes more."""
        if self._is_apart:
            self._put_behind(frame)
            return
        waiting = self._waiting
        frames = waiting.tail
        if not frames and not self._paused:
            self._flusher.needs_flush(self)
        frames.append(frame)
        waiting.size += len(frame)
        if waiting.size > waiting.mark:
            self._fill_up()

    def _fill_up(self) -> None:
        if self._waiting.size + self._behind_bytes > self._limit:
            self._overflow()
        else:
            self._waiting.fill_up()

    def put_slot(self, slot: Slot) -> None:
        """Add a message that is still to come, by `fill` or, if nothing comes of it, `drop`."""
        if self._closed:
            return
        if self._behind is None:
            self._behind = deque()
            self._is_apart = True
        self._behind.append(_Slotted(slot, self._limit))

    def fill(self, slot: Slot, frame: Frame) -> None:
        """The framed message of a slot is there."""
        slotted = self._find(slot)
        if slotted is not None:
            slotted.frame, slotted.is_open = frame, False
            self._behind_bytes += len(frame)
            self._release()

    def drop(self, slot: Slot) -> None:
        """There will be no message in this slot."""
        slotted = self._find(slot)
        if slotted is not None:
            slotted.is_open = False
            self._release()

    def _find(self, slot: Slot) -> _Slotted | None:
        return next((slotted for slotted in self._behind or () if slotted.slot is slot), None)

    def _put_behind(self, frame: Frame) -> None:
        if self._behind is not None:
            self._behind[-1].behind.put(frame)
            self._behind_bytes += len(frame)
            if self._waiting.size + self._behind_bytes > self._limit:
                self._overflow()

    def _release(self) -> None:
        """Let go what waited behind a slot, up to the next one."""
        behind = self._behind
        assert behind is not None
        waiting = self._waiting
        if not waiting.tail and not self._paused:
            self._flusher.needs_flush(self)
        while behind and not behind[0].is_open:
            self._behind_bytes -= behind.popleft().move_to(waiting)
        if not behind:
            self._forget_behind()
        self._fill_up()

    def _forget_behind(self) -> None:
        for slotted in self._behind or ():
            slotted.behind.clear()
        self._behind = None
        self._behind_bytes = 0
        self._is_apart = self._closed

    def flush(self) -> None:
        """Hand what waits to the link, as one write; if that is much, the rest of it in later rounds of the loop."""
        if not self._has_more:
            self._write_block()

    def finish(self) -> None:
        """Hand everything to the link, except for what is still being translated: the connection will be closed.

        Also to one that is full, unless it is much: it writes the rest while it closes, as far as there is time.
        """
        if self._behind is not None:
            for slotted in self._behind:
                slotted.move_to(self._waiting)
            self._forget_behind()
        if self._paused and self._waiting.size > MAX_LAST_BYTES:
            return
        while self._waiting.size:
            self.link.write(self._waiting.take())  # type: ignore[arg-type]  # slots are not among what waits

    def pause(self) -> None:
        """Keep what comes: the link's peer reads too slowly."""
        self._paused = True

    def resume(self) -> None:
        """The link takes more: hand over what waits, as long as it does."""
        self._paused = False
        self.flush()

    def _write_block(self) -> None:
        """Hand over some of what waits, and the rest later: a link tells only between two writes that it is full."""
        self._has_more = False
        if self._paused or not self._waiting.size:
            return
        self.link.write(self._waiting.take())  # type: ignore[arg-type]  # slots are not among what waits
        if self._waiting.size:
            self._has_more = True
            asyncio.get_running_loop().call_soon(self._write_block)

    def close(self) -> None:
        """Accept nothing more and let go of what waits."""
        self._closed = True
        self._waiting.clear()
        self._forget_behind()

    def discarding(self) -> Outbox:
        """One like this that accepts nothing, for a session that goes on without a client."""
        outbox = Outbox(self.link, self._flusher)
        outbox.close()
        return outbox

    def _overflow(self) -> None:
        logger.warning(
            "disconnected %s: a slow consumer, with more than %d bytes waiting to be sent",
            self.link.info.peer,
            self._limit,
        )
        self.close()
        self.link.abort()
