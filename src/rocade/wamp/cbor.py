"""CBOR through cbor2: slower than the other two, but with the same raw payloads (RFC 8949).

cbor2 decodes one item after the other from a file, so where each element of a message begins and ends is
known, and a payload is forwarded as the bytes that came in.
"""

from __future__ import annotations

import datetime
import io
import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import cbor2
import msgspec
from msgspec import Raw

from rocade.errors import InvalidMessage, PayloadNotSerializable
from rocade.wamp.messages import Message
from rocade.wamp.payload import MOST_ELEMENTS, as_it_is, plain_value

# Tags whose decoding costs time or memory out of proportion, or builds objects that refer to themselves:
# bignums in decimal and rational form, shared values and strings, regular expressions, MIME messages, sets.
_OPAQUE_TAGS = (4, 5, 25, 28, 29, 30, 35, 36, 256, 258, 260, 261)
# All the others that cbor2 knows: times, bignums, UUIDs, network addresses, dates, complex numbers, self-description.
_OTHER_TAGS = (0, 1, 2, 3, 37, 52, 54, 100, 1004, 43000, 55799)


def _opaque(tag: int, value: Any, immutable: bool) -> cbor2.CBORTag:
    return cbor2.CBORTag(tag, value)


# tag -> what is made of its value
_LOADING: dict[int, Callable[[Any, bool], Any]] = {tag: partial(_opaque, tag) for tag in _OPAQUE_TAGS}
# To look through a payload, nothing needs to be made: the cheapest function of two arguments there is.
_CHECKING: dict[int, Callable[[Any, bool], Any]] = dict.fromkeys(_OPAQUE_TAGS + _OTHER_TAGS, operator.is_)


def split(
    data: bytes, payload_index: Mapping[int, int], options_index: Mapping[int, int], max_depth: int
) -> tuple[list[Any], bytes, bytes]:
    """A message's head as Python values, and its raw `args` and `kwargs` (no bytes when absent or empty).

    Undefined values (wampy.js sends them) are dropped from the options, and ids that came as floats (wampy.js
    again) become integers.

    Raises:
        InvalidMessage: not one CBOR array of a plausible length, or a payload of the wrong types.
    """
    length, start = _array_header(data)
    file = io.BytesIO(data)
    file.seek(start)
    decode = cbor2.CBORDecoder(file, semantic_decoders=_LOADING, max_depth=max_depth).decode
    head: list[Any] = []
    raw: list[bytes] = []
    first_payload = MOST_ELEMENTS + 1
    index = 0
    try:
        while index != length:
            begin = file.tell()
            if length < 0 and data[begin : begin + 1] == _BREAK:
                file.seek(begin + 1)
                break
            if index == first_payload:
                decode = cbor2.CBORDecoder(
                    file, semantic_decoders=_CHECKING, tag_hook=operator.is_, max_depth=max_depth
                ).decode
            value = decode()
            if index < first_payload:
                head.append(_whole_number(value))
            else:
                _check_payload(value, index - first_payload)
                raw.append(data[begin : file.tell()] if value else b"")
            if index == 0 and type(head[0]) is int:
                first_payload = payload_index.get(head[0], first_payload)
            index += 1
            if index > MOST_ELEMENTS:
                raise InvalidMessage("the array is too long")
    except InvalidMessage:
        raise
    except Exception as error:  # cbor2's own errors, and those of the types it builds
        raise InvalidMessage(f"CBOR is malformed: {error}") from None
    if file.tell() != len(data):
        raise InvalidMessage("CBOR is malformed: trailing bytes")
    options = options_index.get(head[0], MOST_ELEMENTS) if head and type(head[0]) is int else MOST_ELEMENTS
    if options < len(head):
        head[options] = _plain_options(head[options])
    return head, raw[0] if raw else b"", raw[1] if len(raw) > 1 else b""


_BREAK = b"\xff"
_ARRAY, _ARRAY_8, _ARRAY_INDEFINITE = 0x80, 0x98, 0x9F  # the length in the byte, in the next byte, none


def _array_header(data: bytes) -> tuple[int, int]:
    """Length of the array, -1 when a break ends it, and where its first element begins."""
    first = data[0] if data else 0
    if _ARRAY <= first <= _ARRAY + MOST_ELEMENTS:
        return first - _ARRAY, 1
    if first == _ARRAY_8 and len(data) > 1 and data[1] <= MOST_ELEMENTS:
        return data[1], 2
    if first == _ARRAY_INDEFINITE:
        return -1, 1
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
    """Python value of CBOR bytes.

    Raises:
        InvalidMessage: there is none, such as for a date beyond year 9999.
    """
    try:
        return cbor2.CBORDecoder(io.BytesIO(raw), semantic_decoders=_LOADING).decode()
    except Exception as error:  # cbor2's own errors, and those of the types it builds
        raise InvalidMessage(f"CBOR without a Python value: {error}") from None


def dump(value: Any) -> bytes:
    """CBOR of a Python value.

    Raises:
        PayloadNotSerializable: there is no CBOR for it.
    """
    try:
        return cbor2.dumps(value, default=_encode_other, encoders=_ENCODERS)
    except (cbor2.CBOREncodeError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise PayloadNotSerializable(f"the payload cannot be expressed in CBOR: {error}") from None


def _encode_other(encoder: cbor2.CBOREncoder, value: Any) -> None:
    encoder.encode(plain_value(value, as_it_is))


_ENCODERS: dict[type, Callable[[Any, Any], None]] = {
    # Without it, a memoryview becomes a list of integers.
    memoryview: lambda encoder, value: encoder.encode_bytes(bytes(value)),
    # A payload that is CBOR already stands in the midst of other data as it is, as msgspec has it for its formats.
    Raw: lambda encoder, value: encoder.write(bytes(value)),
}


def dump_array(array: tuple[Any, ...] | Message) -> bytes:
    """CBOR of a message or of an array whose last elements may be raw CBOR.

    Raises:
        PayloadNotSerializable: there is no CBOR for it.
    """
    if isinstance(array, Message):
        return dump(_builtins(array))
    return b"".join(array_parts(array))


def array_parts(array: tuple[Any, ...]) -> tuple[Any, ...]:
    """What `dump_array` joins: objects with a buffer.

    Raises:
        PayloadNotSerializable: there is no CBOR for it.
    """
    end = len(array)
    while type(array[end - 1]) is Raw:
        end -= 1
    head = dump(_builtins(array[:end]))
    return bytes((_ARRAY + len(array),)), head[1:], *array[end:]


def _builtins(value: Any) -> Any:
    # Structs become dictionaries without their defaults; what CBOR has a form of its own for stays.
    return msgspec.to_builtins(value, builtin_types=(bytes, bytearray, datetime.datetime), enc_hook=as_it_is)
