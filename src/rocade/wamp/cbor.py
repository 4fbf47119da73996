"""CBOR through cbor2: slower than the other two, but with the same raw payloads (RFC 8949).

cbor2 decodes one item after the other from a file, so where each element of a message begins and ends is
known, and a payload is forwarded as the bytes that came in.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import cbor2
import msgspec
from msgspec import Raw

from rocade.errors import InvalidMessage, PayloadNotSerializable
from rocade.wamp.messages import Message
from rocade.wamp.payload import plain_value

# Tags whose decoding costs time or memory out of proportion, or builds objects that refer to themselves:
# bignums in decimal and rational form, shared values and strings, regular expressions, MIME messages, sets.
_OPAQUE_TAGS = (4, 5, 25, 28, 29, 30, 35, 36, 256, 258, 260, 261)


def _opaque(tag: int, decoder: Any) -> Any:
    return cbor2.CBORTag(tag, decoder.decode())


_DECODERS: dict[int, Callable[[Any], Any]] = {tag: partial(_opaque, tag) for tag in _OPAQUE_TAGS}


def split(
    data: bytes, payload_index: dict[int, int], options_index: dict[int, int], max_depth: int
) -> tuple[list[Any], bytes, bytes]:
    """A message's head as Python values, and its raw `args` and `kwargs` (empty when absent).

    Undefined values (wampy.js sends them) are dropped from the options, and ids that came as floats (wampy.js
    again) become integers.

    Raises:
        InvalidMessage: not one CBOR array of a plausible length, or a payload of the wrong types.
    """
    length, start = _array_header(data)
    file = io.BytesIO(data)
    file.seek(start)
    decoder = cbor2.CBORDecoder(file, semantic_decoders=_DECODERS, max_depth=max_depth + 1)
    head: list[Any] = []
    raw: list[bytes] = []
    first_payload = length
    try:
        for index in range(length):
            begin = file.tell()
            value = decoder.decode()
            if index == 0:
                first_payload = payload_index.get(value, length) if type(value) is int else length
            if index < first_payload:
                head.append(_whole_number(value))
                continue
            _check_payload(value, index - first_payload)
            raw.append(data[begin : file.tell()])
    except InvalidMessage:
        raise
    except Exception as error:  # cbor2's own errors, and those of the types it builds
        raise InvalidMessage(f"CBOR is malformed: {error}") from None
    if file.tell() != len(data):
        raise InvalidMessage("CBOR is malformed: trailing bytes")
    index = options_index.get(head[0], length) if head and type(head[0]) is int else length
    if index < len(head):
        head[index] = _plain_options(head[index])
    return head, raw[0] if raw else b"", raw[1] if len(raw) > 1 else b""


def _array_header(data: bytes) -> tuple[int, int]:
    first = data[0] if data else 0
    if 0x80 <= first <= 0x97:
        return first - 0x80, 1
    if first == 0x98 and len(data) > 1 and data[1] <= 0x17:
        return data[1], 2
    raise InvalidMessage("not a CBOR array of the length of a message")


def _check_payload(value: Any, position: int) -> None:
    if position == 0 and type(value) is not list:
        raise InvalidMessage("args is not a list")
    if position == 1 and not (type(value) is dict and all(type(key) is str for key in value)):
        raise InvalidMessage("kwargs is not a dictionary with string keys")
    if position > 1:
        raise InvalidMessage("the array is too long")


def _whole_number(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() else value


def _plain_options(value: Any) -> Any:
    if type(value) is dict:
        return {key: _plain_options(item) for key, item in value.items() if item is not cbor2.undefined}
    if type(value) is list:
        return [_plain_options(item) for item in value]
    return _whole_number(value)


def load(raw: Raw | bytes) -> Any:
    """Python value of CBOR bytes."""
    return cbor2.CBORDecoder(io.BytesIO(bytes(raw)), semantic_decoders=_DECODERS).decode()


def dump(value: Any) -> bytes:
    """CBOR of a Python value.

    Raises:
        PayloadNotSerializable: there is no CBOR for it.
    """
    try:
        return cbor2.dumps(value, default=_encode_other)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise PayloadNotSerializable(f"the payload cannot be expressed in CBOR: {error}") from None


def _encode_other(encoder: Any, value: Any) -> None:
    if type(value) is msgspec.msgpack.Ext or isinstance(value, msgspec.Struct):
        encoder.encode(plain_value(value, lambda inner: inner))
        return
    raise TypeError(f"a value of type {type(value).__name__}")


def dump_array(array: tuple[Any, ...] | Message) -> bytes:
    """CBOR of a message or of an array whose elements may be raw CBOR."""
    if isinstance(array, Message):
        return cbor2.dumps(msgspec.to_builtins(array))
    parts = [bytes((0x80 + len(array),))]
    for element in array:
        if type(element) is Raw:
            parts.append(bytes(element))
        else:
            parts.append(cbor2.dumps(msgspec.to_builtins(element)))
    return b"".join(parts)
