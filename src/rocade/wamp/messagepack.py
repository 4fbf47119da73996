"""MessagePack that may be made to take long, and what wampy.js writes.

msgspec decodes it, fast; but it makes dictionaries of maps whatever their keys are, and whoever sends a map can choose
keys that are no texts such that its dictionary takes a time that grows with the square of its size. ormsgpack is as
fast, and refuses these keys before it makes anything of them; but it gives up the whole process when memory is short.
msgpack hands out the pairs of a map, so that these keys can be counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import msgspec
import ormsgpack
from msgspec import Raw

from rocade.errors import DecodingTakesLong, InvalidMessage
from rocade.wamp.ids import MAX_ID
from rocade.wamp.patience import REPAIRED_BYTES
from rocade.wamp.payload import MOST_ELEMENTS, UNDEFINED, check_json_depth

_MOST_REPAIRED_BYTES = 64 * 1024

MOST_ODD_KEYS = 1000
"""Keys that are neither texts nor binary, in all maps of a MessagePack message that is not short."""

MOST_CONTAINERS = 16 * 1024
"""Lists and maps that are decoded in haste. Each takes 0.2 µs."""

_ARRAYS = range(0x90, 0x91 + MOST_ELEMENTS)  # first bytes of arrays that may be messages
_TIMESTAMP = -1  # extension type
_NANOSECONDS = 1_000_000_000
_CONTAINER_TYPES = frozenset((list, dict, tuple))  # a list that is a map's key becomes a tuple
_CONTAINERS = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))  # first bytes of MessagePack's arrays and maps
_NOT_CONTAINERS = bytes(set(range(256)) - set(_CONTAINERS))


def containers(data: bytes) -> int:
    """At most so many lists and maps are in MessagePack: bytes that may be their first."""
    return len(data.translate(None, _NOT_CONTAINERS))


def load_message(data: bytes, is_patient: bool) -> Any:
    """Python value of MessagePack from somebody who may want that to take long.

    Args:
        data: a message.
        is_patient: whether nobody else waits meanwhile.
    Raises:
        DecodingTakesLong: it does, or may.
        InvalidMessage: too many keys of maps are no texts.
        ValueError, RecursionError: it is malformed.
    """
    if is_patient:
        msgspec.msgpack.decode(data, type=Raw)
        _check_keys(data)
        return msgspec.msgpack.decode(data)
    try:
        # What it refuses before it makes a dictionary of them: keys that are no texts.
        return ormsgpack.unpackb(data, ext_hook=_check_extension)
    except ValueError:
        msgspec.msgpack.decode(data, type=Raw)  # if it is malformed, that is said
        raise DecodingTakesLong("keys of maps are no texts, or something else is unusual") from None


def _check_extension(code: int, data: bytes) -> None:
    """Nothing, in place of a MessagePack extension.

    Raises:
        ValueError: it is a moment that there is not.
    """
    if code == _TIMESTAMP and len(data) != 4:
        if len(data) != 8:
            _extension(code, data)
        elif int.from_bytes(data[:4], "big") >> 2 >= _NANOSECONDS:
            raise ValueError("more nanoseconds than a second has")


def _check_keys(data: bytes) -> None:
    """Count keys without making dictionaries of them."""
    import msgpack  # hardly anybody needs it

    odd = 0

    def count(pairs: Any) -> None:
        nonlocal odd
        for key, _ in pairs:
            if type(key) is not str and type(key) is not bytes:
                odd += 1
        if odd > MOST_ODD_KEYS:
            raise InvalidMessage(f"more than {MOST_ODD_KEYS} keys of maps are no strings")

    try:
        msgpack.unpackb(
            data,
            strict_map_key=False,
            object_pairs_hook=count,
            list_hook=_nothing,
            ext_hook=_no_extension,
            unicode_errors="replace",
        )
    except msgpack.StackError:
        raise InvalidMessage("nested too deeply") from None


def _nothing(_items: Any) -> None:
    """In place of a list."""


def _no_extension(_code: int, _data: bytes) -> None:
    """In place of an extension."""


def load_quickly(raw: Raw | bytes) -> Any:
    """Python value of MessagePack, if all keys of maps are texts.

    Raises:
        DecodingTakesLong: they are not, or there is no value.
    """
    try:
        return ormsgpack.unpackb(bytes(raw), ext_hook=_extension)
    except ValueError as error:
        raise DecodingTakesLong(str(error)) from None


def _extension(code: int, data: bytes) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(msgspec.msgpack.Ext(code, data)))


def check_depth(values: Iterable[Any], max_depth: int) -> None:
    """Refuse decoded MessagePack values that are nested more than `max_depth` deep.

    Args:
        values: the decoded payload, of more than `max_depth` containers.
        max_depth: deepest accepted nesting.
    Raises:
        InvalidMessage: they are.
    """
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


def repaired_head(data: bytes, payload_index: Mapping[int, int], is_patient: bool = True) -> bytes:
    """A MessagePack message as JavaScript meant it, where wampy.js writes something else.

    Its options contain undefined values, and integers beyond 32 bits are floats there.

    Args:
        data: a message that was not accepted.
        payload_index: message code -> where the payload begins, which is left as it is.
        is_patient: whether nobody else waits meanwhile.
    Raises:
        DecodingTakesLong: it is too much for somebody who is not.
        ValueError: it is no array, or malformed.
    """
    if data[0] not in _ARRAYS:
        return data
    elements = msgspec.msgpack.decode(data, type=list[Raw])
    code = msgspec.msgpack.decode(elements[0]) if elements else None
    if type(code) is not int:
        return data
    end = min(payload_index.get(code, MOST_ELEMENTS), len(elements))
    size = sum(map(len, elements[:end]))
    if size > _MOST_REPAIRED_BYTES:
        return data
    if size > REPAIRED_BYTES and not is_patient:
        raise DecodingTakesLong("it may have to be repaired")
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
    return type(value) is msgspec.msgpack.Ext and value.code == UNDEFINED
