"""Long bytes that are left in pieces, since joining them would copy them: what travels around a large payload."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["LONG_BYTES", "Pieces", "pieces_of"]

LONG_BYTES = 256 * 1024
"""Length beyond which bytes are left in pieces. To copy 16 MiB into fresh memory takes some ten milliseconds."""


class Pieces:
    """Bytes that nobody has joined, more than `LONG_BYTES` of them."""

    __slots__ = ("_length", "_pieces")

    def __init__(self, pieces: Iterable[Any]) -> None:
        """
        Args:
            pieces: objects with a buffer, such as `bytes` and `msgspec.Raw`, in their order.
        """
        self._pieces = tuple(memoryview(piece) for piece in pieces)
        self._length = sum(map(len, self._pieces))

    def __len__(self) -> int:
        """Bytes of all pieces."""
        return self._length

    def __iter__(self) -> Iterator[memoryview]:
        """The pieces, in their order."""
        return iter(self._pieces)

    def __bytes__(self) -> bytes:
        """All of it joined, in fresh memory."""
        return b"".join(self._pieces)

    def __repr__(self) -> str:
        return f"<Pieces {self._length} bytes in {len(self._pieces)}>"

    def behind_first(self) -> Pieces:
        """The same without the first piece."""
        return Pieces(self._pieces[1:])


def pieces_of(data: bytes | Pieces) -> Iterable[Any]:
    """The pieces of what may be in one."""
    return data if isinstance(data, Pieces) else (data,)
