"""Several serialized messages as one: the ".batched" variants of the WAMP subprotocols.

Sans-I/O. Specification: advanced/transport_batched_websocket.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rocade.errors import ProtocolViolation
from rocade.wamp.pieces import LONG_BYTES, Pieces

__all__ = ["RECORD_SEPARATOR", "batch", "cut_out", "separator_of", "unbatch"]

RECORD_SEPARATOR = b"\x1e"
"""What stands behind each message of a JSON batch."""

_AUTOBAHN_SEPARATOR = b"\x18"
# The specification writes the separator as "\30", which it takes for decimal and autobahn-python for octal. Neither
# character can be part of a JSON text, so both are understood.
_LENGTH_BYTES = 4


def batch(
    messages: Sequence[bytes | Pieces], *, is_binary: bool, separator: bytes = RECORD_SEPARATOR
) -> bytes | Pieces:
    """One batch of some messages; left in pieces if one of them is.

    Args:
        messages: serialized, at least one.
        is_binary: whether their serializer is, so that lengths are written instead of separators.
        separator: for JSON; see `separator_of`.
    """
    if not is_binary and len(messages) == 1 and isinstance(messages[0], bytes):
        return messages[0] + separator
    parts: list[Any] = []
    is_long = False
    for message in messages:
        if is_binary:
            parts.append(len(message).to_bytes(_LENGTH_BYTES, "big"))
        if isinstance(message, Pieces):
            parts += message
            is_long = True
        else:
            parts.append(message)
        if not is_binary:
            parts.append(separator)
    return Pieces(parts) if is_long else b"".join(parts)


def unbatch(data: bytes, *, is_binary: bool) -> Iterator[bytes | memoryview]:
    """The messages of a batch, in order; long ones are views of it, since cutting them out would copy them.

    Args:
        data: the batch.
        is_binary: whether its serializer is.
    Raises:
        ProtocolViolation: this is no batch ("Sending a batch of length 0 is illegal and a Peer MUST fail the
            transport"); raised in its place, after the messages that came before.
    """
    if not data:
        raise ProtocolViolation("an empty batch")
    return _lengths(data) if is_binary else _separated(data)


def separator_of(data: bytes) -> bytes:
    """The separator that the sender of a JSON batch uses, and so understands."""
    return _AUTOBAHN_SEPARATOR if data.endswith(_AUTOBAHN_SEPARATOR) else RECORD_SEPARATOR


def cut_out(data: bytes, start: int, end: int) -> bytes | memoryview:
    """A part of some bytes: a copy, or a view if it is long."""
    return data[start:end] if end - start <= LONG_BYTES else memoryview(data)[start:end]


def _separated(data: bytes) -> Iterator[bytes | memoryview]:
    separator = separator_of(data)
    start = 0
    while start < len(data):
        end = data.find(separator, start)
        if end < 0:
            raise ProtocolViolation("a batch whose last message has no separator behind it")
        yield cut_out(data, start, end)
        start = end + 1


def _lengths(data: bytes) -> Iterator[bytes | memoryview]:
    start = 0
    while start < len(data):
        body = start + _LENGTH_BYTES
        end = body + int.from_bytes(data[start:body], "big")
        if body > len(data) or end > len(data):
            raise ProtocolViolation("a batch that ends within a message")
        yield cut_out(data, body, end)
        start = end
