"""CBOR through cbor2: slower than the other two, but with the same raw payloads (RFC 8949).

cbor2 decodes one item after the other from a file, so where each element of a message begins and ends is
known, and a payload is forwarded as the bytes that came in.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from typing import Any

import cbor2
import msgspec
from msgspec import Raw

from rocade.errors import DecodingTakesLong, InvalidMessage, PayloadNotSerializable
from rocade.wamp.messages import Message
from rocade.wamp.patience import SHORT_BYTES, Patience
from rocade.wamp.payload import (
    MOST_ELEMENTS,
    as_it_is,
    check_kind,
    plain_value,
)

# Tags whose decoding costs time or memory out of proportion, or builds objects that refer to themselves:
# bignums in decimal and rational form, shared values and strings, regular expressions, MIME messages, sets.
_OPAQUE_TAGS = (4, 5, 25, 28, 29, 30, 35, 36, 256, 258, 260, 261)
# All the others that cbor2 knows: times, bignums, UUIDs, network addresses, dates, complex numbers, self-description.
_OTHER_TAGS = (0, 1, 2, 3, 37, 52, 54, 100, 1004, 43000, 55799)


def _opaque(tag: int, value: Any, immutable: bool) -> cbor2.CBORTag:
    return cbor2.CBORTag(tag, value)


# tag -> what is made of its value
_LOADING: dict[int, Callable[[Any, bool], Any]] = {tag: partial(_opaque, tag) for tag in _OPAQUE_TAGS}


def _tagged(tag: int, value: Any, immutable: bool) -> Any:
    return tag, value


# To look through a payload, nothing needs to be made; but what stands for two different keys must not be the same.
_CHECKING: dict[int, Callable[[Any, bool], Any]] = {tag: partial(_tagged, tag) for tag in _OPAQUE_TAGS + _OTHER_TAGS}

# Seconds that decoding may take: in any case, and for each byte that has been decoded.
_IN_HASTE = (500e-6, 30e-9)
_IN_HASTE_TO_LOAD = (500e-6, 100e-9)
_PATIENTLY = (0.5, 1e-6)

_FIRST_READ_BYTES = 512
_READ_BYTES = 4096

_MOST_HEAD_VALUES = 8 * 1024
"""Values in options that are made plain in haste."""


class _Timed(io.BytesIO):
    """A file that is not read to its end when what is made of it takes too long.

    A map takes long whose keys are chosen such that their hashes are the same, and there are costly tags. cbor2 reads
    its file bit by bit, so the time is looked at in between.

    Attributes:
        patience: how long it may take; set before the file is read.
        is_over: whether it took too long.
    """

    patience: Patience
    is_over = False
    _next = _bytes = _FIRST_READ_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """So many bytes, or some more.

        Raises:
            TimeoutError: it has taken too long.
        """
        position = self.tell()
        if position >= self._next:
            if self.patience.is_over(position):
                self.is_over = True
                raise TimeoutError
            self._bytes = min(self._bytes * 2, _READ_BYTES)
            self._next = position + self._bytes
        return super().read(max(size or 0, self._bytes))


def _timed(data: bytes, begin: int, patience: Patience, **options: Any) -> tuple[_Timed, Callable[[], Any]]:
    """A file, and a decoder of what begins there."""
    file = _Timed(data)
    file.patience = patience
    file.seek(begin)
    # The file decides how much is read at once. A map that is itself a key is made of its keys and values at once,
    # unless each key is compared before.
    return file, cbor2.CBORDecoder(file, read_size=1, allow_duplicate_keys=False, **options).decode


def split(
    data: bytes, payload_index: Mapping[int, int], options_index: Mapping[int, int], max_depth: int, is_patient: bool
) -> tuple[list[Any], bytes, bytes]:
    """A message's head as Python values, and its raw `args` and `kwargs` (no bytes when absent or empty).

    Undefined values (wampy.js sends them) are dropped from the options, and ids that came as floats (wampy.js
    again) become integers.

    Args:
        data: a message.
        payload_index: message code -> where the payload begins.
        options_index: message code -> where the options stand.
        max_depth: deepest accepted nesting.
        is_patient: whether nobody else waits meanwhile.
    Raises:
        DecodingTakesLong: it is to be looked through by somebody patient.
        InvalidMessage: not one CBOR array of a plausible length, or a payload of the wrong types.
    """
    length, start = _array_header(data)
    is_long = len(data) > SHORT_BYTES
    if is_long:
        patience = Patience(*(_PATIENTLY if is_patient else _IN_HASTE))
    # The head of most long messages is short, too.
    file = io.BytesIO(data[:SHORT_BYTES] if is_long else data)
    file.seek(start)
    decode: Callable[[], Any] = cbor2.CBORDecoder(file, semantic_decoders=_LOADING, max_depth=max_depth).decode
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
                if is_long:
                    file, decode = _timed(data, begin, patience, semantic_decoders=_CHECKING, max_depth=max_depth)
                else:
                    decode = cbor2.CBORDecoder(file, semantic_decoders=_CHECKING, max_depth=max_depth).decode
            try:
                value = decode()
            except cbor2.CBORDecodeEOF:
                if not is_long or type(file) is _Timed:
                    raise
                file, decode = _timed(data, begin, patience, semantic_decoders=_LOADING, max_depth=max_depth)
                value = decode()
                if not is_patient and _has_many_values(value):
                    raise DecodingTakesLong("there are many values in its head") from None
            if index < first_payload:
                head.append(_whole_number(value))
            else:
                check_kind(value, index - first_payload)
                raw.append(data[begin : file.tell()] if value else b"")
            if index == 0 and type(head[0]) is int:
                first_payload = payload_index.get(head[0], first_payload)
            index += 1
            if index > MOST_ELEMENTS:
                raise InvalidMessage("the array is too long")
    except (InvalidMessage, DecodingTakesLong):
        raise
    except Exception as error:  # cbor2's own errors, and those of the types it builds
        raise _complaint(error, file, is_patient, "CBOR is malformed") from None
    if file.tell() != len(data):
        raise InvalidMessage("CBOR is malformed: trailing bytes")
    options = options_index.get(head[0], MOST_ELEMENTS) if head and type(head[0]) is int else MOST_ELEMENTS
    if options < len(head):
        head[options] = _plain_options(head[options])
    return head, raw[0] if raw else b"", raw[1] if len(raw) > 1 else b""


def _complaint(error: Exception, file: io.BytesIO, is_patient: bool, otherwise: str) -> Exception:
    """What is wrong with CBOR that cbor2 does not take."""
    if type(file) is _Timed and file.is_over:
        if not is_patient:
            return DecodingTakesLong("what is in it takes long to decode")
        return InvalidMessage(f"it takes too long to decode {len(file.getbuffer())} bytes of such CBOR")
    text = str(error)
    if "Duplicate map key" in text:
        if not is_patient:
            return DecodingTakesLong("a map may have a key twice")
        return InvalidMessage("a map has a key twice")
    return InvalidMessage(f"{otherwise}: {text}")


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


def _whole_number(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() else value


def _plain_options(value: Any) -> Any:
    if type(value) is dict:
        return {key: _plain_options(item) for key, item in value.items() if item is not cbor2.undefined}
    if type(value) is list:
        return [_plain_options(item) for item in value]
    return _whole_number(value)


def _has_many_values(value: Any) -> bool:
    """Whether there are so many that going through them takes more than a millisecond or two."""
    level = [value]
    values = 0
    while level:
        lists = [item for item in level if type(item) is list]
        maps = [item for item in level if type(item) is dict]
        values += sum(map(len, lists)) + sum(map(len, maps))
        if values > _MOST_HEAD_VALUES:
            return True
        level = [*chain.from_iterable(lists), *chain.from_iterable(item.values() for item in maps)]
    return False


def load(raw: Raw | bytes, is_patient: bool = True) -> Any:
    """Python value of CBOR bytes.

    Args:
        raw: the bytes.
        is_patient: whether nobody else waits meanwhile.
    Raises:
        DecodingTakesLong: it should be made by somebody patient.
        InvalidMessage: there is none, such as for a date beyond year 9999.
    """
    file = io.BytesIO(raw)
    try:
        if len(raw) <= SHORT_BYTES:
            return cbor2.CBORDecoder(file, semantic_decoders=_LOADING).decode()
        patience = Patience(*(_PATIENTLY if is_patient else _IN_HASTE_TO_LOAD))
        file, decode = _timed(bytes(raw), 0, patience, semantic_decoders=_LOADING)
        return decode()
    except Exception as error:  # cbor2's own errors, and those of the types it builds
        raise _complaint(error, file, is_patient, "CBOR without a Python value") from None


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
