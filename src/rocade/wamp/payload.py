"""What has to be known about payloads: how deep JSON is, and values without a direct form in a serializer.

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
from collections.abc import Callable, Mapping
from itertools import accumulate, islice
from typing import Any

import msgspec
from msgspec import Raw

from rocade.errors import InvalidMessage, PayloadNotSerializable
from rocade.wamp.patience import SHORT_BYTES

MOST_ELEMENTS = 7
"""Elements of the longest message, an ERROR with `args` and `kwargs`."""

BINARY_MARK = "\0"
"""First character of a JSON string that stands for binary."""

UNDEFINED = 0
"""MessagePack extension type: how wampy.js writes JavaScript's undefined."""

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


def check_kind(value: Any, position: int) -> None:
    """Refuse what is no `args` or `kwargs`.

    Args:
        value: decoded.
        position: 0 for `args`, 1 for `kwargs`.
    Raises:
        InvalidMessage: it is of another type, or has a third position.
    """
    if position == 0 and type(value) is not list:
        raise InvalidMessage("args is not a list")
    if position == 1 and not (type(value) is dict and all(type(key) is str for key in value)):
        raise InvalidMessage("kwargs is not a dictionary with string keys")
    if position > 1:
        raise InvalidMessage("the array is too long")


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


_HARD_NUMBER = re.compile(rb"[eE][+-]?[0-9]{3}")
_MANY_HARD_NUMBERS = 50


def _has_hard_numbers(data: bytes) -> bool:
    """Whether there may be many numbers close to the largest or smallest ones.

    They take msgspec thirty times as long as Python, and everything else half as long.
    """
    return any(islice(_HARD_NUMBER.finditer(data), _MANY_HARD_NUMBERS, None))


def load_json(raw: Raw | bytes) -> Any:
    """Python value of JSON; strings that stand for binary become `bytes`.

    Raises:
        InvalidMessage: there is none, such as for an integer of more digits than Python reads.
    """
    data = bytes(raw)
    try:
        if len(data) > SHORT_BYTES and _has_hard_numbers(data):
            value = json.loads(data)
        else:
            try:
                value = msgspec.json.decode(data)
            except msgspec.ValidationError:  # a number beyond the largest float: infinite in JavaScript and here
                value = json.loads(data)
        return _with_binary(value) if rb"\u0000" in data else value
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
        return None if value.code == UNDEFINED else convert(bytes(value.data))
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
