"""What a frame parser reads into: a buffer that never grows, and frames of any length in parts that fit into it.

picows collects each frame as a whole, in a buffer that doubles, and then takes its mask off: 16 MiB would hold the
event loop for more than 10 ms. So its buffer is never filled so far that it would grow. Whoever needs more gets a new
parser with a larger buffer. A frame that does not fit into the largest is cut into fragments as it comes, as everybody
in between may do (RFC 6455, section 5.4): the parser, and all that is behind it, knows it as a fragmented message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from rocade.net.frameparser import MIN_BUFFER_BYTES

__all__ = ["FrameBuffer", "Long", "Sizes"]

_FIN, _CONTINUATION = 0x80, 0x0
_MASKED, _LENGTH = 0x80, 0x7F
_KEY_BYTES = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is read at once."""

    rooms: tuple[int, ...] = (1535, 7168, 28672, 65536)
    """Bytes to read into of each kind of buffer, ascending. The first one is all of the smallest that picows has."""
    kept: int = 2
    """The largest kind that a connection keeps once it is empty."""
    idle: int = 7168
    """Bytes that are read into it at most while no long frame has begun: thousands of short ones may be in them."""
    part: int = 65520
    """Bytes of the fragments that long frames are cut into; a multiple of 4, so that all have the same mask. Has to fit
    into the largest buffer, together with a header."""


class FrameBuffer:
    """A frame parser and its buffer.

    Attributes:
        room: the parser's `get_buffer`.
        parse: its `buffer_updated`.
        size: bytes of its buffer, some of which must stay free.
        long: the frame that is being cut, of which the parser gives a part; None if there is none.
        memory: what may be read into while no incomplete frame is in the buffer.
    """

    __slots__ = (
        "_all",
        "_end",
        "_kind",
        "_make",
        "_offered",
        "_parser",
        "_sizes",
        "long",
        "memory",
        "parse",
        "room",
        "size",
    )

    def __init__(self, make: Callable[[int], Any], sizes: Sizes) -> None:
        """
        Args:
            make: makes a parser with a buffer of so many bytes.
            sizes: of buffers and parts.
        """
        self._make = make
        self._all: memoryview
        self.memory: memoryview
        # Up to where the buffer may be filled.
        self._end: int
        self._sizes = sizes
        self.long: Long | None = None
        self._renew(0)

    def offer(self, room: memoryview) -> memoryview:
        """What may be read into while an incomplete frame is in the buffer.

        Args:
            room: from the parser's `get_buffer`.
        """
        view = self._all[self.size - len(room) : self._end]
        self._offered = len(view)
        return view

    def worked_off(self, nbytes: int) -> bool:
        """The parser has worked off what was read, and has not failed; see that there is room for more.

        Must be called whenever there was an incomplete frame before, or all of `memory` has been filled. The parser's
        listener may be called meanwhile.

        Args:
            nbytes: how much was read.
        Returns:
            Whether there is another parser now, with another buffer.
        """
        is_full = nbytes >= self._offered
        self._offered = self._end
        if self.long is not None:
            self._feed_parts(self.long, memoryview(b""))
            if self.long is not None:
                return False
        unparsed = self._unparsed()
        if unparsed:
            return is_full and self._make_room(self._all[:unparsed].tobytes())
        self._end = self._offered = len(self.memory)
        if self._kind > self._sizes.kept:
            self._renew(0)
        elif is_full and len(self._all) < self._sizes.idle and self._kind < len(self._sizes.rooms) - 1:
            self._renew(self._kind + 1)
        else:
            return False
        return True

    def _unparsed(self) -> int:
        """Bytes of the incomplete frame, which the parser has moved to the buffer's beginning."""
        return self.size - len(self.room(-1))

    def _make_room(self, data: bytes) -> bool:
        """The buffer was full, and something is left in it."""
        rooms = self._sizes.rooms
        header = _header(data)
        if header is not None and header.size + header.length > rooms[-1]:
            self._renew(len(rooms) - 1)
            self.long = Long(header)
            self._feed_parts(self.long, memoryview(data)[header.size :])
            return True
        wanted = 0 if header is None else header.size + header.length
        # Up to the end of the frame, and not far beyond: what follows may be many short ones.
        end = max(wanted, min(self._sizes.idle, rooms[-1]))
        if len(self._all) >= end:
            self._end = self._offered = end
            return False
        self._renew(next(kind for kind, room in enumerate(rooms) if room >= end))
        self._feed(data)
        self._end = self._offered = end
        return True

    def _feed_parts(self, frame: Long, data: memoryview) -> None:
        """Give the parser more of a long frame, with a header in front of each part."""
        while True:
            unparsed = self._unparsed()
            if unparsed:
                if not data:
                    return
                count = self._end - unparsed
                self._feed(data[:count])
                data = data[count:]
            elif frame.rest:
                header, length = frame.next_part(self._sizes.part)
                self._end = self._offered = len(header) + length
                self._feed(header)
            else:
                self.long = None
                self._end = self._offered = len(self.memory)
                return

    def _feed(self, data: bytes | memoryview) -> None:
        self.room(-1)[: len(data)] = data
        self.parse(len(data))

    def _renew(self, kind: int) -> None:
        """Begin with another parser, whose buffer is empty."""
        room = self._sizes.rooms[kind]
        # picows doubles its buffer when it is filled to more than 90 per cent, or but for 256 bytes; and 256 of what is
        # asked for are not to be had.
        parser = self._parser = self._make(max(room * 10 // 9 + 257, room + 513, MIN_BUFFER_BYTES))
        self.room, self.parse = parser.get_buffer, parser.buffer_updated
        view = self.room(-1)
        self.size = len(view)
        if room * 100 // self.size > 90 or self.size - room <= 256:
            raise RuntimeError("this version of picows has less room in its buffer")
        # It stays valid since the buffer never grows.
        self._all = view[:room]
        self.memory = view[: min(room, self._sizes.idle)]
        self._kind = kind
        self._end = self._offered = len(self.memory)


class _Header(NamedTuple):
    """Of a frame (RFC 6455, section 5.2)."""

    first: int
    key: bytes
    """That it is masked with; empty if it is not."""
    length: int
    size: int
    """Of the header itself."""


def _header(data: bytes) -> _Header | None:
    """The header that some bytes begin with, or None if it is not complete."""
    if len(data) < 2:
        return None
    length, size = data[1] & _LENGTH, 2
    if length > 125:
        size = 4 if length == 126 else 10
        length = int.from_bytes(data[2:size], "big")
    key = size
    if data[1] & _MASKED:
        size += _KEY_BYTES
    return None if len(data) < size else _Header(data[0], data[key:size], length, size)


class Long:
    """What is still to come of a long frame.

    Attributes:
        rest: bytes of its payload for which there is no part yet.
    """

    __slots__ = ("_fin", "_first", "_key", "rest")

    def __init__(self, header: _Header) -> None:
        """
        Args:
            header: the frame's, which the parser has found to be valid.
        """
        self.rest = header.length
        self._key = header.key
        self._first = header.first & ~_FIN
        self._fin = header.first & _FIN

    def next_part(self, limit: int) -> tuple[bytes, int]:
        """Header and length of the next part.

        Args:
            limit: bytes that it may have; a multiple of 4.
        """
        length = min(self.rest, limit)
        self.rest -= length
        first = self._first if self.rest else self._first | self._fin
        # All parts but the first one are continuations, and have no reserved bits (section 5.4; RFC 7692, section 6.1).
        self._first = _CONTINUATION
        mask = _MASKED if self._key else 0
        sizes = bytes((mask | length,)) if length < 126 else bytes((mask | 126,)) + length.to_bytes(2, "big")
        return bytes((first,)) + sizes + self._key, length
