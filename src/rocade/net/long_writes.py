"""What is too long to be handed to the operating system at once: a slice at a time, in turn with everybody else.

The system takes milliseconds for 16 MiB, as often as there are receivers, and encrypting or compressing them takes far
longer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any, Protocol

from rocade.wamp.pieces import Pieces

__all__ = ["LONG_WRITE", "LongWrites", "next_slice", "slices_of"]

LONG_WRITE = 256 * 1024
"""Bytes beyond which a write is long."""

SLICE_BYTES = 128 * 1024
"""Bytes of one connection that are handed over at once."""

ROUND_BYTES = 512 * 1024
"""Bytes of all connections that are handed over in one round of the loop, and one slice more."""

ROUND_SECONDS = 0.001
"""Seconds that this takes in one round of the loop, and one slice more."""


class Writer(Protocol):
    """A connection that has more to write than is handed over at once."""

    def write_slice(self) -> int | None:
        """Hand over a slice.

        Returns:
            Its bytes; None if nothing is left, or the peer reads too slowly: there are no more turns.
        """


class LongWrites:
    """The connections of one listener that have more to write than is handed over at once."""

    __slots__ = ("_loop", "_writers")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """
        Args:
            loop: which all of them run on.
        """
        self._loop = loop
        self._writers: deque[Writer] = deque()

    def add(self, writer: Writer) -> None:
        """Let a connection write slices in turn with others, until `write_slice` returns None."""
        if not self._writers:
            self._loop.call_soon(self._write)
        self._writers.append(writer)

    def _write(self) -> None:
        end = perf_counter() + ROUND_SECONDS
        written = 0
        while self._writers and written < ROUND_BYTES and perf_counter() < end:
            writer = self._writers[0]
            size = writer.write_slice()
            # In this order, or `add` would start another round meanwhile.
            if size is not None:
                written += size
                self._writers.append(writer)
            self._writers.popleft()
        if self._writers:
            self._loop.call_soon(self._write)


def next_slice(rest: deque[Any]) -> list[Any]:
    """Take the next slice off what is to be written.

    Args:
        rest: objects with a buffer, and iterators that make such objects when their turn comes. What those make is a
            slice of its own, since making it may have taken its time.
    Returns:
        Objects with a buffer; none if nothing is left.
    """
    taken: list[Any] = []
    room = SLICE_BYTES
    while rest and room > 0:
        part = rest.popleft()
        if not isinstance(part, bytes | memoryview):
            if taken:
                rest.appendleft(part)
                break
            made = next(part, None)
            if made is None:
                continue
            rest.appendleft(part)
            part = made
            if len(part) <= SLICE_BYTES:
                return [part]
        if len(part) > room:
            part = memoryview(part)
            rest.appendleft(part[room:])
            part = part[:room]
        taken.append(part)
        room -= len(part)
    return taken


def slices_of(frames: Sequence[bytes | Pieces]) -> Iterator[bytes | memoryview]:
    """Frames for `next_slice`: thousands of short ones joined, so that the transport has little to do for each."""
    short: list[bytes] = []
    size = 0
    for frame in frames:
        if isinstance(frame, Pieces):
            yield b"".join(short)
            yield from frame
            short, size = [], 0
            continue
        short.append(frame)
        size += len(frame)
        if size >= SLICE_BYTES:
            yield b"".join(short)
            short, size = [], 0
    yield b"".join(short)
