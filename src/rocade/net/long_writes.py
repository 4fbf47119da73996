"""What is too long to be handed to the operating system at once: a slice at a time, in turn with everybody else.

The system takes milliseconds for 16 MiB, as often as there are receivers, and encrypting or compressing them takes far
longer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import perf_counter
from typing import Any, Protocol

from rocade.wamp.pieces import Pieces

__all__ = ["LONG_WRITE", "LongWrite", "LongWrites", "next_slice", "slices_of"]

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

    def failed(self) -> None:
        """That raised an exception, which is being handled; there are no more turns."""


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
            size = None
            try:
                size = writer.write_slice()
            except Exception:
                writer.failed()
            # In this order, or `add` would start another round meanwhile.
            if size is not None:
                written += size
                self._writers.append(writer)
            self._writers.popleft()
        if self._writers:
            self._loop.call_soon(self._write)


class LongWrite:
    """What one connection has still to write: something long, and what was written behind it.

    Attributes:
        size: bytes that are left, more or less.
        finish: what is to be done once all is written.
    """

    __slots__ = ("_done", "_failed", "_has_turn", "_is_paused", "_parts", "_turns", "_write", "finish", "size")

    def __init__(
        self,
        turns: LongWrites,
        write: Callable[[Sequence[Any]], None],
        done: Callable[[], None],
        failed: Callable[[], None],
        parts: Iterable[Any],
        size: int,
        *,
        is_paused: bool,
    ) -> None:
        """
        Args:
            turns: of all connections of the listener.
            write: hands objects with a buffer over.
            done: called once all is handed over, before `finish`.
            failed: called instead if there was an exception, which is being handled.
            parts: as `next_slice` takes them.
            size: bytes of all of them, more or less.
            is_paused: whether to wait until the peer reads, see `resume`.
        """
        self._turns = turns
        self._write = write
        self._done = done
        self._failed = failed
        self._parts = deque(parts)
        self.size = size
        self.finish: Callable[[], None] | None = None
        self._is_paused = is_paused
        self._has_turn = not is_paused
        if not is_paused:
            turns.add(self)

    def append(self, parts: Iterable[Any], size: int) -> None:
        """Write more behind it.

        Args:
            parts, size: see `__init__`.
        """
        self._parts.extend(parts)
        self.size += size

    def pause(self) -> None:
        """The peer reads too slowly."""
        self._is_paused = True

    def resume(self) -> None:
        """The peer has read enough."""
        self._is_paused = False
        if not self._has_turn:
            self._has_turn = True
            self._turns.add(self)

    def drop(self) -> None:
        """Write no more, and do nothing then."""
        self._is_paused = True
        self._parts.clear()
        self.finish = None

    def write_slice(self) -> int | None:
        """See `Writer`."""
        if not self._is_paused:
            parts = next_slice(self._parts)
            if parts:
                size = sum(map(len, parts))
                if size:
                    self.size -= size
                    self._write(parts)
                return size
            self._done()
            if self.finish is not None:
                self.finish()
        self._has_turn = False
        return None

    def failed(self) -> None:
        """See `Writer`."""
        self.drop()
        self._failed()


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
