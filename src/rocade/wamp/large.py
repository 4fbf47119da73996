"""Long messages in two parts: a small head that is decoded here and now, and a payload that somebody else looked at.

To look through every value of a long payload takes too long for an event loop. Whoever has done it elsewhere tells the
rest: the message without its payload, in MessagePack whatever the message was in, and where the payload stands.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from rocade.errors import InvalidMessage
from rocade.wamp.codec import ANY_MESSAGE, HEADS, MSGPACK, Serializer
from rocade.wamp.messages import NO_PAYLOAD, Message

__all__ = ["MAX_HEAD_BYTES", "Spans", "head_of", "payload_of", "payload_spans", "rejoined"]

MAX_HEAD_BYTES = 256 * 1024
"""Longest head: all of a message but its payload."""

Spans = tuple[int, int, int, int]
"""Where `args` begins and ends in a message, and where `kwargs` does; two equal numbers where there is none."""

_decode_head = msgspec.msgpack.Decoder(ANY_MESSAGE).decode
_WHITESPACE = b" \t\r\n"
_EMPTY_MAPS = {"json": b"{}", "msgpack": b"\x80", "cbor": b"\xa0"}
_BREAK_ENDS_IT = 0x9F  # first byte of a CBOR array without a length


def head_of(message: Message) -> bytes:
    """A message without its payload, for `rejoined`.

    Raises:
        InvalidMessage: what is not payload is too long.
    """
    head = HEADS.get(type(message))
    data = MSGPACK.encode_array(message if head is None else head(message))
    if len(data) > MAX_HEAD_BYTES:
        raise InvalidMessage(f"{len(data)} bytes beside args and kwargs, where at most {MAX_HEAD_BYTES} are accepted")
    return data


def payload_of(message: Message) -> tuple[Raw, Raw]:
    """`args` and `kwargs` of a decoded message, of whatever kind."""
    if type(message) not in HEADS:
        return NO_PAYLOAD, NO_PAYLOAD
    return message.args, message.kwargs  # type: ignore[attr-defined]


def rejoined(head: bytes, args: Any, kwargs: Any) -> Message:
    """The message with this head and payload.

    Args:
        head: from `head_of`.
        args, kwargs: bytes-like, which the message keeps alive; empty where there is none.
    """
    message: Message = _decode_head(head)
    if len(args):
        message.args = Raw(args)  # type: ignore[attr-defined]
    if len(kwargs):
        message.kwargs = Raw(kwargs)  # type: ignore[attr-defined]
    return message


def payload_spans(data: bytes, args: Raw, kwargs: Raw, serializer: Serializer) -> Spans | None:
    """Where a payload stands in the message that it was decoded from.

    It is the end of a message, so it is found from there.

    Returns:
        None when it does not stand there, since the message had to be repaired.
    """
    end = _end_of_payload(data, serializer)
    # An empty dictionary counts as none, but stands there.
    empty = _EMPTY_MAPS[serializer.name]
    spans = _spans(data, args, kwargs, end, serializer)
    if spans is None and not kwargs and data.endswith(empty, 0, end):
        spans = _spans(data, args, kwargs, _behind_previous(data, end - len(empty), serializer), serializer)
    return spans


def _spans(data: bytes, args: Raw, kwargs: Raw, end: int, serializer: Serializer) -> Spans | None:
    kwargs_start = args_end = end - len(kwargs)
    if kwargs:
        args_end = _behind_previous(data, kwargs_start, serializer)
    args_start = args_end - len(args)
    if data[args_start:args_end] != bytes(args) or data[kwargs_start:end] != bytes(kwargs):
        return None
    return args_start, args_end, kwargs_start, end


def _end_of_payload(data: bytes, serializer: Serializer) -> int:
    """Where the last element of a message ends."""
    if serializer.is_binary:
        return len(data) - (serializer.name == "cbor" and data[0] == _BREAK_ENDS_IT)
    return _without_space(data, _without_space(data, len(data)) - 1)  # the closing bracket


def _behind_previous(data: bytes, start: int, serializer: Serializer) -> int:
    """Where the element before the one that starts here ends."""
    if serializer.is_binary:
        return start
    return _without_space(data, _without_space(data, start) - 1)  # the comma


def _without_space(data: bytes, end: int) -> int:
    """Where what stands before `end` ends, if whitespace does not count."""
    while end > 0 and data[end - 1] in _WHITESPACE:
        end -= 1
    return end
