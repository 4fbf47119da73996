"""Many messages in their order, in blocks: to take up or let go a million of them at once would hold the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

from rocade.serve.translation import Slot
from rocade.wamp.pieces import Pieces

__all__ = ["BLOCK_BYTES", "Blocks", "Frame"]

BLOCK_BYTES = 256 * 1024
"""Bytes of messages beyond which a block is full."""

LET_GO_AT_ONCE = 4
"""Blocks whose memory is given back in one round of the loop."""

Frame = bytes | Pieces
"""A framed message."""


Block = list[Frame | Slot]


class Blocks:
    """Framed messages, and the slots of those that are still being translated.

    Attributes:
        tail: the latest ones, for those who put in a lot: they keep `size`, and call `fill_up` beyond the mark.
        size: bytes of all.
        mark: `size` beyond which something is to be done: the tail is a full block, or the limit is reached.
        slots: how many slots there are, or a few more.
    """

    __slots__ = ("_begin", "_full", "_limit", "mark", "size", "slots", "tail")

    def __init__(self, limit: int) -> None:
        """
        Args:
            limit: bytes that there should be at most; whoever puts something in sees to that.
        """
        self._limit = limit
        # Blocks with their bytes, and bytes of all of them.
        self._full: deque[tuple[Block, int]] = deque()
        self._begin = 0
        self.tail: Block = []
        self.size = 0
        self.slots = 0
        self._set_mark()

    def __len__(self) -> int:
        """How many there are."""
        return sum(len(block) for block, _ in self._full) + len(self.tail)

    def __iter__(self) -> Iterator[Frame | Slot]:
        """All of them, in order."""
        for block, _ in self.blocks():
            yield from block

    def blocks(self) -> Iterator[tuple[Block, int]]:
        """The blocks with their bytes, in order; the last one may be empty."""
        yield from self._full
        yield self.tail, self.size - self._begin

    def put(self, message: Frame) -> None:
        """Add a message."""
        self.tail.append(message)
        self.size += len(message)
        if self.size > self.mark:
            self.fill_up()

    def put_slot(self, slot: Slot) -> None:
        """Add a slot."""
        self.slots += 1
        self.tail.append(slot)

    def fill_up(self) -> None:
        """Begin another block if the tail is a full one."""
        if self.size - self._begin > BLOCK_BYTES:
            self._end_block()

    def extend(self, other: Blocks) -> None:
        """Add all messages of another one, which keeps them as well."""
        if not other._full:
            self.tail += other.tail
            self.size += other.size
            self.fill_up()
            return
        self._end_block()
        other._end_block()
        self._full.extend(other._full)
        self.size += other.size
        self._end_block()

    def take(self) -> Block:
        """Take off the first block; an empty one if there is none."""
        if not self._full:
            block, self.tail = self.tail, []
            self.size = 0
        else:
            block, size = self._full.popleft()
            self.size -= size
            self._begin -= size
        self._set_mark()
        return block

    def drop(self, count: int) -> None:
        """Let go of the first ones.

        Args:
            count: how many; no more than there are.
        """
        gone: deque[tuple[Block, int]] = deque()
        while self._full and count >= len(self._full[0][0]):
            count -= len(self._full[0][0])
            gone.append((self.take(), 0))
        if gone:
            _let_go(gone)
        if not count:
            return
        block, size = next(self.blocks())
        dropped = sum(map(len, block[:count]))
        self.size -= dropped
        if self._full:
            # A list of its own, since somebody else may have the block.
            self._full[0] = block[count:], size - dropped
            self._begin -= dropped
        else:
            del block[:count]
        self._set_mark()

    def replace(self, slot: Slot, frame: Frame) -> bool:
        """Put a message where its slot is; False if that is not among these."""
        for number, (block, size) in reversed(list(enumerate(self.blocks()))):
            if slot in block:
                block[block.index(slot)] = frame
                self.slots -= 1
                self.size += len(frame)
                if number < len(self._full):
                    self._full[number] = block, size + len(frame)
                    self._begin += len(frame)
                self._set_mark()
                return True
        return False

    def remove(self, slot: Slot) -> None:
        """Take out a slot, if it is among these."""
        for block, _ in reversed(list(self.blocks())):
            if slot in block:
                block.remove(slot)
                self.slots -= 1
                return

    def clear(self) -> None:
        """Let go of all."""
        if self._full:
            _let_go(self._full)
        self._full = deque()
        self.tail = []
        self.size = self.slots = self._begin = 0
        self._set_mark()

    def _end_block(self) -> None:
        if self.tail:
            self._full.append((self.tail, self.size - self._begin))
            self.tail = []
        self._begin = self.size
        self._set_mark()

    def _set_mark(self) -> None:
        self.mark = min(self._begin + BLOCK_BYTES, self._limit)


def _let_go(blocks: deque[tuple[Block, int]]) -> None:
    """Give back memory, some of it in each round of the loop.

    The latest first: the C library returns what is at the end of its memory to the system, and the end should not be
    free only when all the rest is.
    """
    for _ in range(min(len(blocks), LET_GO_AT_ONCE)):
        blocks.pop()
    if blocks:
        asyncio.get_running_loop().call_soon(_let_go, blocks)
