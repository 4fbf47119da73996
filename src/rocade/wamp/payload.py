"""What has to be known about payloads in JSON and MessagePack: their depth, and values without a direct form.

Binary in JSON is a string of "\\0" and base64 (advanced/serialization_binary_json.md). A JSON peer never gets
NaN or Infinity (a JavaScript client throws): they become null. MessagePack has no integers beyond 64 bits:
they become floats. Map keys other than strings become strings for a JSON peer.
"""

from __future__ import annotations

import base64
import datetime
import enum
import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate, chain
from typing import Any

import msgspec
from msgspec import Raw

from rocade.errors import InvalidMessage, PayloadNotSerializable
from rocade.wamp.ids import MAX_ID

MOST_ELEMENTS = 7
"""Elements of the longest message, an ERROR with `args` and `kwargs`."""

BINARY_MARK = "\0"
"""First character of a JSON string that stands for binary."""

_MOST_REPAIRED_BYTES = 64 * 1024
_UNDEFINED = 0  # MessagePack extension type: how wampy.js writes JavaScript's undefined
_CONTAINER_TYPES = frozenset((list, dict, tuple))  # a list that is a map's key becomes a tuple
_CONTAINERS = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))  # first bytes of MessagePack's arrays and maps
_NOT_CONTAINERS = bytes(set(range(256)) - set(_CONTAINERS))

# For depth in JSON, everything but brackets and quotes is deleted; then brackets are numbers.
_UP, _DOWN = b"\x01", b"\xff"  # 1 and -1 as signed bytes
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_STRUCTURE = bytes.maketrans(b"[{]}", 2 * _UP + 2 * _DOWN)
_STRING = re.compile(rb'"[^"]*"')
_RUNS = (64, 16, 4, 2)


def check_json_depth(data: bytes, max_depth: int) -> None:
    """Refuse JSON that is nested more than `max_depth` deep, without decoding it: that would hold the loop.

    Args:
        data: a whole message, known to be well-formed.
        max_depth: deepest accepted nesting within the message's own array.
    Raises:
        InvalidMessage: it is deeper.
    """
    limit = max_depth + 1  # the message's own array
    if data.count(b"[") + data.count(b"{") <= limit:
        return
    if b"\\" in data:
        data = data.replace(rb"\\", b"").replace(rb"\"", b"")
    # Two quotes with no bracket between them are a string without any, or the border of two strings.
    brackets = data.translate(_STRUCTURE, _NOT_STRUCTURE).replace(b'""', b"")
    if b'"' in brackets:
        brackets = _STRING.sub(b"", brackets)
    if _height(brackets) > limit:
        raise InvalidMessage("nested too deeply")


def _height(brackets: bytes) -> int:
    """The largest of the running sums of balanced ups and downs."""
    peeled = 0
    while brackets:
        # Most payloads are wide and flat: without the innermost pairs there is little left, one level lower.
        rest = brackets.replace(_UP + _DOWN, b"")
        peeled += 1
        unproductive = len(rest) > len(brackets) * 3 // 4
        brackets = rest
        if unproductive:
            break
    # What is left has few turns: runs in one direction are added up sixty-four, sixteen … at a time.
    for run in _RUNS:
        brackets = brackets.replace(run * _UP, bytes((run,))).replace(run * _DOWN, bytes((256 - run,)))
    return peeled + max(accumulate(memoryview(brackets).cast("b")), default=0)


def check_depth(data: bytes, values: Iterable[Any], max_depth: int) -> None:
    """Refuse decoded MessagePack values that are nested more than `max_depth` deep.

    Args:
        data: the message the values come from; a level of nesting takes at least one of its bytes.
        values: the decoded payload.
        max_depth: deepest accepted nesting.
    Raises:
        InvalidMessage: they are.
    """
    if len(data.translate(None, _NOT_CONTAINERS)) <= max_depth:
        return
    try:
        # Going through millions of objects from here takes ten times as long as having them written as JSON.
        sketch = _sketch(tuple(values))
    except TypeError:  # keys that JSON does not have
        _check_tree(values, max_depth)
    else:
        check_json_depth(sketch, max_depth)


def _sketch_other(value: Any) -> None:
    if type(value) is not msgspec.msgpack.Ext:
        raise TypeError("no key in JSON")


_sketch = msgspec.json.Encoder(enc_hook=_sketch_other).encode


def _check_tree(values: Iterable[Any], max_depth: int) -> None:
    level = list(values)
    for _ in range(max_depth + 1):
        level = [item for item in level if type(item) in _CONTAINER_TYPES]
        if not level:
            return
        maps = [item for item in level if type(item) is dict]
        lists = [item for item in level if type(item) is not dict]
        level = [*chain.from_iterable(lists), *chain.from_iterable(item.values() for item in maps)]
        level.extend(key for key in chain.from_iterable(maps) if type(key) is tuple)
    raise InvalidMessage("nested too deeply")


def repaired_head(data: bytes, payload_index: Mapping[int, int]) -> bytes:
    """A MessagePack message as JavaScript meant it, where wampy.js writes something else.

    Its options contain undefined values, and integers beyond 32 bits are floats there.

    Args:
        data: a message that was not accepted.
        payload_index: message code -> where the payload begins, which is left as it is.
    Raises:
        ValueError: it is no array, or malformed.
    """
    elements = msgspec.msgpack.decode(data, type=list[Raw])
    code = msgspec.msgpack.decode(elements[0]) if elements else None
    if type(code) is not int or len(elements) > MOST_ELEMENTS:
        return data
    end = min(payload_index.get(code, MOST_ELEMENTS), len(elements))
    if sum(map(len, elements[:end])) > _MOST_REPAIRED_BYTES:
        return data
    for index in range(end):
        element = msgspec.msgpack.decode(elements[index])
        elements[index] = Raw(msgspec.msgpack.encode(_repaired(element)))
    return msgspec.msgpack.encode(elements)


def _repaired(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _repaired(item) for key, item in value.items() if not _is_undefined(item)}
    if kind is list:
        return [_repaired(item) for item in value]
    return int(value) if kind is float and value.is_integer() and abs(value) <= MAX_ID else value


def _is_undefined(value: Any) -> bool:
    return type(value) is msgspec.msgpack.Ext and value.code == _UNDEFINED


# --- JSON ------------------------------------------------------------------------------------------


# A half of a surrogate pair without its other half, in JSON without escaped backslashes.
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def without_lone_surrogates(data: bytes) -> bytes:
    """JSON with U+FFFD in place of each half of a surrogate pair that has lost its other half.

    JavaScript cuts an emoji in two and escapes what is left, "\\ud83d". That is JSON, but no Unicode: neither
    MessagePack nor CBOR nor many a JSON parser takes it.
    """
    if b"\\u" not in data or b"\0" in data:
        return data
    return _LONE_SURROGATE.sub(rb"\\ufffd", data.replace(rb"\\", b"\0")).replace(b"\0", rb"\\")


def load_json(raw: Raw | bytes) -> Any:
    """Python value of JSON; strings that stand for binary become `bytes`.

    Raises:
        InvalidMessage: there is none, such as for an integer of more digits than Python reads.
    """
    try:
        try:
            value = msgspec.json.decode(raw)
        except msgspec.ValidationError:  # a number beyond the largest float: infinite in JavaScript and here
            value = json.loads(bytes(raw))
        return _with_binary(value) if rb"\u0000" in bytes(raw) else value
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(f"JSON without a Python value: {error}") from None


def _with_binary(value: Any) -> Any:
    kind = type(value)
    if kind is str and value.startswith(BINARY_MARK):
        try:
            return base64.b64decode(value[1:], validate=True)
        except ValueError:
            return value  # a string that merely begins with NUL
    if kind is list:
        return [_with_binary(item) for item in value]
    if kind is dict:
        return {key: _with_binary(item) for key, item in value.items()}
    return value


def dump_json(value: Any) -> bytes:
    """JSON of a Python value; `bytes` become "\\0" and base64, NaN and Infinity become null.

    Raises:
        PayloadNotSerializable: there is no JSON for it.
    """
    try:
        plain = _for_json(value)
        try:
            return msgspec.json.encode(plain)
        except OverflowError:  # integers beyond 64 bits: JSON has them, msgspec does not
            return json.dumps(plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise PayloadNotSerializable(f"the payload cannot be expressed in JSON: {error}") from None


def _for_json(value: Any) -> Any:
    kind = type(value)
    if kind in (str, int, bool) or value is None:
        return value
    if kind is float:
        return value if value - value == 0 else None  # NaN and Infinity are not equal to themselves or unbounded
    if kind in (bytes, bytearray, memoryview):
        return BINARY_MARK + base64.b64encode(value).decode("ascii")
    if kind in (list, tuple, set, frozenset):
        return [_for_json(item) for item in value]
    if kind is dict:
        return {_json_key(key): _for_json(item) for key, item in value.items()}
    return plain_value(value, _for_json)


def _json_key(key: Any) -> str:
    kind = type(key)
    if kind is str:
        return str(key)
    if kind is bytes:
        return BINARY_MARK + base64.b64encode(key).decode("ascii")
    if key is None or kind in (bool, int, float):
        return json.dumps(key)  # as JavaScript spells it
    if kind in (list, dict, tuple):
        raise TypeError("a list or dictionary is the key of a dictionary")
    return _json_key(plain_value(key, as_it_is))


def as_it_is(value: Any) -> Any:
    """For `plain_value`, where whoever asks goes through what is inside by itself."""
    return value


# --- MessagePack -----------------------------------------------------------------------------------


def dump_msgpack(value: Any) -> bytes:
    """MessagePack of a Python value; integers beyond 64 bits become floats.

    Raises:
        PayloadNotSerializable: there is no MessagePack for it.
    """
    try:
        try:
            return msgspec.msgpack.encode(value)
        except (OverflowError, TypeError):
            return msgspec.msgpack.encode(_for_msgpack(value))
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise PayloadNotSerializable(f"the payload cannot be expressed in MessagePack: {error}") from None


def _for_msgpack(value: Any) -> Any:
    kind = type(value)
    if kind is int:
        return value if -(2**63) <= value < 2**64 else float(value)
    if kind in (str, bool, float, bytes, bytearray, memoryview, datetime.datetime) or value is None:
        return value
    if kind in (list, tuple, set, frozenset):
        return [_for_msgpack(item) for item in value]
    if kind is dict:
        return {_for_msgpack(key): _for_msgpack(item) for key, item in value.items()}
    return plain_value(value, _for_msgpack)


_BUILTIN_TYPES: tuple[type[Any], ...] = (str, bytes, int, float, list, tuple, dict)


def plain_value(value: Any, convert: Callable[[Any], Any]) -> Any:
    """A value of some library's own type as plain data: what MessagePack extensions and CBOR tags decode to.

    Args:
        value: the odd value.
        convert: applied to what is found inside it.
    Raises:
        TypeError: it has no plain form.
    """
    kind = type(value)
    if kind is msgspec.msgpack.Ext:
        return None if value.code == _UNDEFINED else convert(bytes(value.data))
    if kind.__module__.startswith("cbor2"):
        if isinstance(value, Mapping):  # a map within a map's key
            return convert(dict(value))
        return convert(value.value) if hasattr(value, "value") else None  # a tag's value; undefined and break
    if isinstance(value, enum.Enum):
        return convert(value.value)
    for builtin in _BUILTIN_TYPES:
        if isinstance(value, builtin):
            return convert(builtin(value))
    return convert(msgspec.to_builtins(value, str_keys=False, builtin_types=(bytes, bytearray, memoryview)))
