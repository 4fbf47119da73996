"""Long lists of ids as a payload: what meta procedures answer where there is a lot. It is put together bit by bit.

The ways that serializers have for any value take 0.1 to 0.35 microseconds for each; a realm may have a million ids.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from msgspec import Raw

from rocade.wamp.codec import CBOR, JSON, MSGPACK, Serializer

__all__ = ["AT_ONCE", "ids_payload"]

AT_ONCE = 1000
"""Ids that are written in one step, which takes up to thirty microseconds."""

_FOUR_BYTES = 2**32


class _Form(NamedTuple):
    """How lists and maps are written.

    Attributes:
        ids: some ids, up to `AT_ONCE`, without what is around them.
        begin_list, begin_map: what stands before so many elements.
        comma, colon, end_list, end_map: what stands between and behind them.
    """

    ids: Callable[[list[int]], bytes]
    begin_list: Callable[[int], bytes]
    begin_map: Callable[[int], bytes]
    comma: bytes = b""
    colon: bytes = b""
    end_list: bytes = b""
    end_map: bytes = b""


def ids_payload(serializer: Serializer, ids: list[int] | dict[str, list[int]]) -> Generator[None, None, Raw]:
    """A payload with one argument.

    Args:
        serializer: what it is for.
        ids: that argument: a list of ids from 0 to 2^53, or several by name. The lists are used up.
    Returns:
        The payload, in as many steps as it takes.
    """
    form = _FORMS[serializer.name]
    parts = [form.begin_list(1)]
    if isinstance(ids, list):
        yield from _add(parts, form, ids)
    else:
        parts.append(form.begin_map(len(ids)))
        for number, (name, each) in enumerate(ids.items()):
            parts += (form.comma if number else b"", bytes(serializer.dump(name)), form.colon)
            yield from _add(parts, form, each)
        parts.append(form.end_map)
    parts.append(form.end_list)
    return Raw(b"".join(parts))


def _add(parts: list[bytes], form: _Form, ids: list[int]) -> Iterator[None]:
    parts.append(form.begin_list(len(ids)))
    # From its end a list can be shortened, which spares the time that it takes to let go of a million ids at once.
    ids.reverse()
    while ids:
        some = ids[: -AT_ONCE - 1 : -1]
        del ids[-AT_ONCE:]
        parts += (form.ids(some), form.comma if ids else b"")
        yield
    parts.append(form.end_list)


def _json_ids(ids: list[int]) -> bytes:
    return JSON.encode_array(tuple(ids))[1:-1]


def _messagepack_ids(ids: list[int]) -> bytes:
    return MSGPACK.encode_array(tuple(ids))[len(_messagepack_list(len(ids))) :]


def _messagepack_list(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 + count,))
    return b"\xdc" + count.to_bytes(2) if count < 1 << 16 else b"\xdd" + count.to_bytes(4)


def _messagepack_map(count: int) -> bytes:
    return b"\xde" + count.to_bytes(2)


def _cbor_ids(ids: list[int]) -> bytes:
    """All of them in four bytes, or in eight: that can be done for all at once."""
    in_four = max(ids, default=0) < _FOUR_BYTES
    numbers = array("I" if in_four else "Q", ids)
    if sys.byteorder == "little":
        numbers.byteswap()
    data = numbers.tobytes()
    size = numbers.itemsize
    items = bytearray((size + 1) * len(ids))
    items[:: size + 1] = (b"\x1a" if in_four else b"\x1b") * len(ids)
    for place in range(size):
        items[place + 1 :: size + 1] = data[place::size]
    return bytes(items)


def _cbor_list(count: int) -> bytes:
    return b"\x9a" + count.to_bytes(4)  # major type 4 of RFC 8949


def _cbor_map(count: int) -> bytes:
    return b"\xba" + count.to_bytes(4)  # major type 5


# serializer name -> its form
_FORMS = {
    JSON.name: _Form(_json_ids, lambda _: b"[", lambda _: b"{", b",", b":", b"]", b"}"),
    MSGPACK.name: _Form(_messagepack_ids, _messagepack_list, _messagepack_map),
    CBOR.name: _Form(_cbor_ids, _cbor_list, _cbor_map),
}
