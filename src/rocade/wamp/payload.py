"""What has to be known about payloads in JSON and MessagePack: their depth, and values without a direct form.

Binary in JSON is a string of "\\0" and base64 (advanced/serialization_binary_json.md). A JSON peer never gets
NaN or Infinity (a JavaScript client throws): they become null. MessagePack has no integers beyond 64 bits:
they become floats. Map keys other than strings become strings for a JSON peer.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from rocade.errors import InvalidMessage, PayloadNotSerializable

BINARY_MARK = "\0"
"""First character of a JSON string that stands for binary."""

_UNDEFINED = b"\xd4\x00"  # MessagePack fixext 1 of type 0: how wampy.js writes JavaScript's undefined
_CONTAINERS = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))
_NOT_CONTAINERS = bytes(set(range(256)) - set(_CONTAINERS))
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_MOST_ROUNDS = 16


def check_json_depth(data: bytes, max_depth: int) -> None:
    """Refuse JSON that is nested more than `max_depth` deep.

    Counting brackets settles most payloads, peeling the innermost pairs off settles nearly all others; only
    what has unbalanced brackets inside strings is decoded.

    Raises:
        InvalidMessage: it is.
    """
    limit = max_depth + 1  # the message's own array
    if data.count(b"[") + data.count(b"{") <= limit:
        return
    brackets = data.translate(None, _NOT_BRACKETS)
    for _ in range(_MOST_ROUNDS):
        peeled = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not peeled:
            return
        if len(peeled) == len(brackets):
            break
        brackets = peeled
    _check_tree(msgspec.json.decode(data), limit)


def check_depth(data: bytes, values: Iterable[Any], max_depth: int) -> None:
    """Refuse decoded MessagePack values that are nested more than `max_depth` deep.

    Args:
        data: the message the values come from; a level of nesting takes at least one of its bytes.
        values: the decoded payload.
        max_depth: deepest accepted nesting.
    Raises:
        InvalidMessage: they are.
    """
    if len(data.translate(None, _NOT_CONTAINERS)) > max_depth:
        for value in values:
            _check_tree(value, max_depth)


def _check_tree(value: Any, limit: int) -> None:
    level = [value]
    depth = 0
    while level:
        containers = [item for item in level if type(item) in (list, dict)]
        if not containers:
            return
        depth += 1
        if depth > limit:
            raise InvalidMessage("nested too deeply")
        level = []
        for item in containers:
            level.extend(item.values() if type(item) is dict else item)


def without_undefined_options(data: bytes, options_index: dict[int, int]) -> bytes:
    """The MessagePack message without the undefined values that wampy.js leaves among its options.

    Raises:
        ValueError: it is no array, or has none of them (the first decoding's complaint stands).
    """
    elements = msgspec.msgpack.decode(data, type=list[Raw])
    code = msgspec.msgpack.decode(elements[0]) if elements else None
    index = options_index.get(code, len(elements)) if type(code) is int else len(elements)
    if index >= len(elements) or _UNDEFINED not in bytes(elements[index]):
        # Decoding again would repeat the complaint; do it once more for its text.
        return data
    options = msgspec.msgpack.decode(elements[index], type=dict[str, Any])
    elements[index] = Raw(msgspec.msgpack.encode(_without_undefined(options)))
    return msgspec.msgpack.encode(elements)


def _without_undefined(value: Any) -> Any:
    if type(value) is dict:
        return {k: _without_undefined(v) for k, v in value.items() if not _is_undefined(v)}
    return value


def _is_undefined(value: Any) -> bool:
    return type(value) is msgspec.msgpack.Ext and value.code == 0


# --- JSON ------------------------------------------------------------------------------------------


def load_json(raw: Raw | bytes) -> Any:
    """Python value of JSON; strings that stand for binary become `bytes`."""
    value = msgspec.json.decode(raw)
    if b"\\u0000" in bytes(raw):
        return _with_binary(value)
    return value


def _with_binary(value: Any) -> Any:
    kind = type(value)
    if kind is str and value.startswith(BINARY_MARK):
        try:
            return base64.b64decode(value[1:], validate=True)
        except binascii.Error:
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
            return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
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
    if type(key) is str:
        return key
    if type(key) in (bytes, bytearray):
        return BINARY_MARK + base64.b64encode(key).decode("ascii")
    if key is None or type(key) is bool:
        return json.dumps(key)
    return str(key)


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
    if kind in (str, bool, float, bytes) or value is None:
        return value
    if kind in (list, tuple, set, frozenset):
        return [_for_msgpack(item) for item in value]
    if kind is dict:
        return {_for_msgpack(key): _for_msgpack(item) for key, item in value.items()}
    return plain_value(value, _for_msgpack)


def plain_value(value: Any, convert: Any) -> Any:
    """A value of some library's own type as plain data: what MessagePack extensions and CBOR tags decode to.

    Args:
        value: the odd value.
        convert: applied to what is found inside it.
    """
    if type(value) is msgspec.msgpack.Ext:
        return None if value.code == 0 else convert(bytes(value.data))
    if type(value).__module__.startswith("cbor2") or type(value).__module__ == "_cbor2":
        return convert(value.value) if hasattr(value, "value") else None  # a tag's value; undefined and break
    return convert(msgspec.to_builtins(value, str_keys=False))
