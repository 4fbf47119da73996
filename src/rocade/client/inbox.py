"""What has arrived for an iterator that has not taken it yet: in order, and bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["MAX_BYTES", "MAX_ITEMS", "Inbox", "NothingMore"]

T = TypeVar("T")

MAX_ITEMS = 10_000
"""Items that wait before others are dropped."""
MAX_BYTES = 64 * 1024 * 1024
"""Serialized bytes that they may have together."""


class NothingMore(Exception):
    """All has been read, and nothing more will come."""


class Inbox(Generic[T]):
    """A queue for one reader.

    Nothing that arrives on a connection can be left unread: the reader may be waiting for a result on the same
    connection, and would never get it. So what is too much is dropped, and counted.

    Attributes:
        dropped: how many items were.
    """

    __slots__ = ("_bytes", "_end", "_is_ended", "_items", "_max_bytes", "_max_items", "_waiter", "dropped")

    def __init__(self, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES) -> None:
        """
        Args:
            max_items: how many may wait.
            max_bytes: and how large they may be together.
        """
        self.dropped = 0
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._waiter: asyncio.Future[None] | None = None
        self._is_ended = False
        self._end: Exception | None = None

    def put(self, item: T, size: int) -> bool:
        """Add an item; False if it was dropped.

        Args:
            item: the item.
            size: serialized bytes that it came in.
        """
        if self._is_ended:
            return True
        if len(self._items) >= self._max_items or (self._items and self._bytes + size > self._max_bytes):
            self.dropped += 1
            return False
        self._items.append((item, size))
        self._bytes += size
        self._wake()
        return True

    def end(self, error: Exception | None = None) -> None:
        """Nothing more will come: the reader gets what is there, and then the error, if any."""
        if not self._is_ended:
            self._is_ended = True
            self._end = error
            self._wake()

    def __len__(self) -> int:
        return len(self._items)

    def pop(self) -> T:
        """The next item, of which there must be one."""
        item, size = self._items.popleft()
        self._bytes -= size
        return item

    async def get(self) -> T:
        """The next item.

        Raises:
            NothingMore: there are none.
            Exception: whatever it was ended with.
        """
        while not self._items:
            if self._is_ended:
                if self._end is not None:
                    raise self._end
                raise NothingMore
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self.pop()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
