"""Messages that are not long, and take long all the same: whoever is in haste leaves them to somebody who is not."""

from __future__ import annotations

import datetime
import struct
import uuid
from collections.abc import Iterator
from itertools import count
from typing import Any

import cbor2
import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings
from msgspec import Raw
from msgspec.msgpack import Ext

from rocade.errors import DecodingTakesLong, InvalidMessage, TranslationTakesLong
from rocade.wamp import patience
from rocade.wamp.codec import CBOR, JSON, MSGPACK, Serializer
from rocade.wamp.messagepack import MOST_CONTAINERS, MOST_ODD_KEYS
from rocade.wamp.messages import Hello, Publish
from rocade.wamp.patience import REPAIRED_BYTES, SHORT_BYTES, time_with

from .collisions import colliding_integers, colliding_pairs
from .strategies import values

binary = pytest.mark.parametrize("serializer", [MSGPACK, CBOR], ids=str)


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    """The clock stands still, unless a test gives it another one."""
    before = patience._clock
    time_with(float)
    yield
    time_with(before)


@pytest.fixture
def running_clock() -> None:
    """A second is over whenever somebody looks at it."""
    seconds = count()
    time_with(lambda: float(next(seconds)))


def publish(serializer: Serializer, args: Any, kwargs: Any = None, options: Any = None) -> bytes:
    array = (16, 1, options or {}, "com.topic", serializer.dump(args))
    return bytes(serializer.encode_array(array if kwargs is None else (*array, serializer.dump(kwargs))))


def test_keys_that_collide_do_so() -> None:
    for keys in (colliding_pairs(1000), colliding_integers(1000)):
        assert len({hash(key) for key in keys}) == 1
        assert len(set(keys)) == len(keys)


# --- MessagePack -------------------------------------------------------------------------------------

ODD_KEYS: dict[str, list[Any]] = {
    "integers": list(range(1000)),
    "floats": [n / 2 for n in range(1000)],
    "lists": [(n,) for n in range(1000)],
    "colliding lists": colliding_pairs(1000),
}


@pytest.mark.parametrize("name", ODD_KEYS)
@pytest.mark.parametrize("depth", [0, 5])
def test_keys_that_are_no_texts_are_left_to_somebody_patient(name: str, depth: int) -> None:
    value: Any = dict.fromkeys(ODD_KEYS[name], 1)
    for _ in range(depth):
        value = [{"in": value}]
    data = publish(MSGPACK, [value])

    with pytest.raises(DecodingTakesLong, match="keys of maps"):
        MSGPACK.decode(data)

    message = MSGPACK.decode(data, is_patient=True)
    assert isinstance(message, Publish)
    assert MSGPACK.load(message.args) == [value]  # type: ignore[arg-type]


def test_more_keys_that_are_no_texts_than_allowed_are_refused_without_a_dictionary_of_them() -> None:
    key = b"\x92\x00\xcf"  # a list of 0 and an integer; a dictionary would have one key only, were they the same
    pairs = b"".join(key + struct.pack(">Q", n) + b"\xc0" for n in range(MOST_ODD_KEYS + 1))
    one = b"\xdf" + struct.pack(">I", MOST_ODD_KEYS + 1) + pairs
    many = b"\xdd" + struct.pack(">I", MOST_ODD_KEYS + 1) + b"\x81\x00\xc0" * (MOST_ODD_KEYS + 1)

    for value in (one, many):
        with pytest.raises(InvalidMessage, match=f"more than {MOST_ODD_KEYS} keys of maps are no strings"):
            MSGPACK.decode(publish(MSGPACK, [Raw(value)]), is_patient=True)


@binary
def test_short_messages_may_have_any_keys(serializer: Serializer) -> None:
    for key in (1, 1.5, None, True, b"a", (1, 2)):
        data = publish(serializer, [{key: 1}, "x" * (SHORT_BYTES // 2)])
        assert len(data) <= SHORT_BYTES

        message = serializer.decode(data)

        assert serializer.load(message.args)[0] == {key: 1}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "extra", [dict.fromkeys(ODD_KEYS["integers"], 1), {"a": dict.fromkeys(colliding_pairs(500), 1)}]
)
def test_keys_of_the_handshake_count_too(extra: Any) -> None:
    with pytest.raises(DecodingTakesLong):
        MSGPACK.decode(bytes(MSGPACK.encode_array((5, "signature", extra))))


def test_options_nobody_knows_count_too() -> None:
    options = {"_mine": dict.fromkeys(colliding_pairs(500), 1)}

    with pytest.raises(DecodingTakesLong):
        MSGPACK.decode(publish(MSGPACK, [], options=options))


def test_very_many_lists_and_maps_are_left_to_somebody_patient() -> None:
    for value in ([], {}):
        data = publish(MSGPACK, [value] * (MOST_CONTAINERS + 1))

        with pytest.raises(DecodingTakesLong, match="lists and maps"):
            MSGPACK.decode(data)
        assert isinstance(MSGPACK.decode(data, is_patient=True), Publish)


def test_malformed_messages_are_refused_at_once() -> None:
    data = publish(MSGPACK, ["x" * 1000, {1: 2}])

    for wrong in (data[:-1], data + b"\0", data.replace(b"xxx", b"x\xc1", 1)):
        with pytest.raises(InvalidMessage):
            MSGPACK.decode(wrong)


@pytest.mark.parametrize("options", [{"exclude": Ext(0, b"\0")}, {"eligible": [2.0**40]}])
def test_what_wampy_writes_is_repaired_whether_it_is_long_or_not(options: dict[str, Any]) -> None:
    for size in (10, 1000):
        message = MSGPACK.decode(publish(MSGPACK, ["x" * size], options=options))

        assert isinstance(message, Publish)
        assert message.options.exclude is None
        assert message.options.eligible in (None, [2**40])


def test_a_long_head_is_repaired_by_somebody_patient() -> None:
    options = {"eligible": [2.0**40] * (REPAIRED_BYTES // 8)}
    data = publish(MSGPACK, [], options=options)

    with pytest.raises(DecodingTakesLong, match="repaired"):
        MSGPACK.decode(data)

    message = MSGPACK.decode(data, is_patient=True)
    assert isinstance(message, Publish)
    assert message.options.eligible == [2**40] * (REPAIRED_BYTES // 8)


def test_longer_messages_are_not_decoded_otherwise_than_short_ones() -> None:
    padding = ["x" * SHORT_BYTES]
    for payload in ([[]], [[], {}], [[1], {}], [[], {"a": 1}]):
        short = MSGPACK.decode(publish(MSGPACK, *payload))
        long = MSGPACK.decode(publish(MSGPACK, *payload, options={"_padding": padding}))

        assert isinstance(short, Publish)
        assert isinstance(long, Publish)
        assert (bytes(long.args), bytes(long.kwargs)) == (bytes(short.args), bytes(short.kwargs))
    for array in (
        (16, 1, {}, "a", {}),
        (16, 1, {}, "a", [], []),
        (16, 1, {}, "a", [], {1: 2}),
        (16, 1, {}, "a", [], {}, 1),
    ):
        with pytest.raises(InvalidMessage):
            MSGPACK.decode(bytes(MSGPACK.encode_array(array)))
        padded = (*array[:2], {"_padding": padding}, *array[3:])
        with pytest.raises(InvalidMessage):
            MSGPACK.decode(bytes(MSGPACK.encode_array(padded)), is_patient=True)


# --- CBOR --------------------------------------------------------------------------------------------


def test_cbor_that_takes_long_is_left_to_somebody_patient(running_clock: None) -> None:
    data = publish(CBOR, [{(n, n): 1 for n in range(500)}])

    with pytest.raises(DecodingTakesLong, match="takes long"):
        CBOR.decode(data)
    with pytest.raises(InvalidMessage, match="takes too long"):
        CBOR.decode(data, is_patient=True)


def test_cbor_that_takes_long_in_its_head_is_left_to_somebody_patient(running_clock: None) -> None:
    options = {"_mine": {(n, n): 1 for n in range(500)}}

    with pytest.raises(DecodingTakesLong, match="takes long"):
        CBOR.decode(publish(CBOR, [], options=options))


def test_cbor_that_does_not_take_long_is_decoded_whatever_its_keys_are() -> None:
    for keys in (*ODD_KEYS.values(), colliding_integers(100)):
        data = publish(CBOR, [dict.fromkeys(keys, 1)])

        message = CBOR.decode(data)

        assert CBOR.load(message.args) == [dict.fromkeys(keys, 1)]  # type: ignore[attr-defined]


def test_time_is_looked_at_while_a_map_is_decoded_and_not_only_behind_it(running_clock: None) -> None:
    # Nothing ends here: neither the map nor the list.
    data = publish(CBOR, [])[:-1] + b"\x9f\xbf" + b"".join(cbor2.dumps(n) + b"\0" for n in range(1000, 2000))

    with pytest.raises(DecodingTakesLong):
        CBOR.decode(data)


def test_a_key_that_stands_in_a_cbor_map_twice_is_refused() -> None:
    pairs = b"\xa2\x61a\x00\x61a\x01"
    data = publish(CBOR, [Raw(pairs), "x" * SHORT_BYTES])

    with pytest.raises(DecodingTakesLong, match="twice"):
        CBOR.decode(data)
    with pytest.raises(InvalidMessage, match="a map has a key twice"):
        CBOR.decode(data, is_patient=True)


def test_different_tags_are_different_keys_in_cbor() -> None:
    keys = [uuid.UUID(int=n) for n in range(20)] + [datetime.datetime.fromtimestamp(n, datetime.UTC) for n in range(20)]
    data = publish(CBOR, [dict.fromkeys(keys, 1), "x" * SHORT_BYTES])

    assert isinstance(CBOR.decode(data), Publish)


@pytest.mark.parametrize("size", [SHORT_BYTES - 100, SHORT_BYTES, SHORT_BYTES + 1, 5000, 20_000])
def test_options_of_any_length_are_read(size: int) -> None:
    options = {"exclude": [2**40], "_mine": "x" * size, "eligible_authid": ["a"]}

    message = CBOR.decode(publish(CBOR, [1], {"a": 2}, options=options), is_patient=True)

    assert isinstance(message, Publish)
    assert message.options.exclude == [2**40]
    assert message.options.eligible_authid == ["a"]
    assert (CBOR.load(message.args), CBOR.load(message.kwargs)) == ([1], {"a": 2})  # type: ignore[arg-type]


def test_long_options_are_made_plain_by_somebody_patient() -> None:
    data = publish(CBOR, [], options={"_mine": [[]] * (REPAIRED_BYTES + 1)})

    with pytest.raises(DecodingTakesLong, match="in its head"):
        CBOR.decode(data)
    assert isinstance(CBOR.decode(data, is_patient=True), Publish)


@pytest.mark.parametrize("cut", range(1, 700, 37))
def test_long_cbor_that_ends_too_early_is_refused(cut: int) -> None:
    data = publish(CBOR, [{"a": "x" * 300}] * 2, options={"_mine": "x" * 600})

    with pytest.raises(InvalidMessage):
        CBOR.decode(data[:-cut])


# --- JSON --------------------------------------------------------------------------------------------


def test_long_json_is_repaired_by_somebody_patient() -> None:
    text = rb"\ud83d" * (REPAIRED_BYTES // 6)
    data = b'[16,1,{},"com.topic",["' + text + b'"]]'

    with pytest.raises(DecodingTakesLong, match="repaired"):
        JSON.decode(data)

    message = JSON.decode(data, is_patient=True)
    assert JSON.load(message.args) == ["\ufffd" * (REPAIRED_BYTES // 6)]  # type: ignore[attr-defined]


def test_long_json_that_no_repair_could_help_is_refused_at_once() -> None:
    with pytest.raises(InvalidMessage):
        JSON.decode(b'[16,1,{},"com.topic",["' + b"x" * REPAIRED_BYTES + b'"]')


# --- Other serializers -------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [JSON, CBOR], ids=str)
def test_a_payload_whose_keys_are_no_texts_is_translated_by_somebody_patient(target: Serializer) -> None:
    message = MSGPACK.decode(publish(MSGPACK, [dict.fromkeys(range(500), "x")]), is_patient=True)

    with pytest.raises(TranslationTakesLong):
        target.encode(message, MSGPACK)

    translated = target.decode(bytes(target.encode(message, MSGPACK, 10_000)), is_patient=True)
    keys = map(str, range(500)) if target is JSON else range(500)
    assert target.load(translated.args) == [dict.fromkeys(keys, "x")]  # type: ignore[attr-defined]


def test_cbor_that_takes_long_is_translated_by_somebody_patient() -> None:
    message = CBOR.decode(publish(CBOR, [dict.fromkeys(range(500), "x")]))
    seconds = count()
    time_with(lambda: float(next(seconds)))

    with pytest.raises(TranslationTakesLong):
        MSGPACK.encode(message, CBOR)


ODD_VALUES = [
    Ext(5, b"abc"),
    Ext(-5, b""),
    datetime.datetime(2024, 5, 1, 12, 30, tzinfo=datetime.UTC),
    2**64 - 1,
    -(2**63),
    1.5,
    b"\0",
    {"a": b"b"},
]


def test_values_in_haste_are_those_of_the_patient() -> None:
    raw = MSGPACK.dump([*ODD_VALUES, "x" * SHORT_BYTES])

    assert MSGPACK.load(raw, is_patient=False) == MSGPACK.load(raw)


TIMESTAMPS = {
    "d6ff00000000": True,
    "d7ffee6b27fc00000000": True,
    "d7ffee6b280000000000": False,
    "c70cff3b9ac9ff0000000000000000": True,
    "c70cff3b9aca000000000000000000": False,
    "c70cff00000000ffffffffffffff": False,
    "c70cff000000007fffffffffffffff": False,
    "c705ff0000000000": False,
}


@pytest.mark.parametrize(("timestamp", "is_valid"), TIMESTAMPS.items())
@pytest.mark.parametrize("size", [10, 1000])
def test_moments_in_messagepack_are_checked(timestamp: str, is_valid: bool, size: int) -> None:
    data = publish(MSGPACK, [Raw(bytes.fromhex(timestamp)), "x" * size])

    if is_valid:
        MSGPACK.decode(data)
        return
    with pytest.raises((InvalidMessage, DecodingTakesLong)):
        MSGPACK.decode(data)
    with pytest.raises(InvalidMessage):
        MSGPACK.decode(data, is_patient=True)


@given(st.lists(values, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_messages_in_haste_are_those_of_the_patient(payload: list[Any]) -> None:
    for serializer in (JSON, MSGPACK, CBOR):
        data = publish(serializer, payload * 40, {"k": payload})

        hasty, patient = serializer.decode(data), serializer.decode(data, is_patient=True)

        assert hasty == patient
        assert msgspec.structs.asdict(hasty) == msgspec.structs.asdict(patient)


def test_a_hello_may_be_long() -> None:
    details = {"roles": {"publisher": {}}, "authextra": {"chain": ["x" * 3000] * 10}}
    for serializer in (JSON, MSGPACK, CBOR):
        assert isinstance(serializer.decode(bytes(serializer.encode_array((1, "realm1", details)))), Hello)
