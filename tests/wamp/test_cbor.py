"""CBOR: what clients write that cbor2 would not, and what must not cost or break anything (RFC 8949)."""

from __future__ import annotations

import datetime
import struct
from typing import Any

import cbor2
import pytest

from rocade.errors import InvalidMessage, PayloadNotSerializable
from rocade.wamp.codec import CBOR, JSON, MSGPACK, Serializer, transcode
from rocade.wamp.messages import Call, Challenge, Hello, Publish, Subscribe

others = pytest.mark.parametrize("target", [JSON, MSGPACK], ids=str)


def call(args: bytes, kwargs: bytes = b"") -> bytes:
    """A CALL of "a" with these payload bytes."""
    return bytes((0x85 + bool(kwargs),)) + b"\x18\x30\x01\xa0\x61a" + args + kwargs


def forwarded(args: bytes, target: Serializer) -> Any:
    """What a peer of another serializer gets for these args."""
    message = CBOR.decode(call(args))
    assert isinstance(message, Call)
    return target.load(transcode(message.args, CBOR, target))


# --- The message's own array -------------------------------------------------------------------------


@pytest.mark.parametrize("array", ["83", "9803", "9f"])
def test_array_of_the_message_may_be_spelled_in_several_ways(array: str) -> None:
    end = b"\xff" if array == "9f" else b""

    message = CBOR.decode(bytes.fromhex(array) + bytes.fromhex("1822 01 02") + end)

    assert message == CBOR.decode(bytes.fromhex("83 1822 01 02"))


@pytest.mark.parametrize(
    "data",
    [
        "9f",
        "9fff",
        "9f182201",
        "9f18220102",
        "9f18220102ffff",
        "9f 18 22 01 02 03 04 05 06 07 08 09 ff",
        "9803182201",
        "98",
        "9818",
        "88 01 02 03 04 05 06 07 08",
        "9a 00000003 182201 02",
        "9b ffffffffffffffff",
        "d9d9f783182201 02",
        "ff",
        "a0",
        "f7",
        "83 1822 01 ff",
    ],
)
def test_what_is_not_one_array_of_a_messages_length_is_refused(data: str) -> None:
    with pytest.raises(InvalidMessage):
        CBOR.decode(bytes.fromhex(data))


def test_indefinite_array_of_a_message_may_carry_a_payload() -> None:
    message = CBOR.decode(bytes.fromhex("9f 1830 01 bfff 7f 6161 ff 9f 01 ff bf 616b 9f ff ff ff"))

    assert isinstance(message, Call)
    assert (message.procedure, bytes(message.args), bytes(message.kwargs)) == (
        "a",
        bytes.fromhex("9f01ff"),
        bytes.fromhex("bf616b9fffff"),
    )


# --- Payload -----------------------------------------------------------------------------------------


@others
@pytest.mark.parametrize(
    ("args", "value"),
    [
        ("9f01ff", [1]),
        ("819fff", [[]]),
        ("81bf616101ff", [{"a": 1}]),
        ("817f61616162ff", ["ab"]),
        ("815f41614162ff", [b"ab"]),
        ("817fff", [""]),
        ("81f7", [None]),
        ("81f863", [99]),
        ("81c24105", [5]),
        ("81c34105", [-6]),
        ("81d9d9f701", [1]),
        ("81d9ffff6161", ["a"]),
        ("81d9010283010203", [[1, 2, 3]]),
        ("81d90103a10102", [{"1": 2}]),
        ("81c482 20 19 03e7", [[-1, 999]]),
        ("81d81e820103", [[1, 3]]),
        ("81d8236128", ["("]),
        ("81d8246161", ["a"]),
        ("82d81c8101 d81d00", [[1], 0]),
        ("81d81c81d81d00", [[0]]),
        ("81d901008261616162", [["a", "b"]]),
        ("81f93c00", [1.0]),
        ("81fa3f800000", [1.0]),
    ],
)
def test_what_only_cbor_has_gets_a_plain_form_elsewhere(args: str, value: list[Any], target: Serializer) -> None:
    if target is MSGPACK and args == "81d90103a10102":
        value = [{1: 2}]

    assert forwarded(bytes.fromhex(args), target) == value


@pytest.mark.parametrize(
    "tag", [0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000]
)
@pytest.mark.parametrize("value", ["00", "6178", "80", "41ff", "a0", "f97e00", "1b7fffffffffffffff", "d81d00"])
def test_tags_around_the_wrong_values_pass_and_are_at_worst_not_serializable_elsewhere(tag: int, value: str) -> None:
    args = b"\x81" + cbor2.dumps(cbor2.CBORTag(tag, 0))[:-1] + bytes.fromhex(value)

    message = CBOR.decode(call(args))

    assert CBOR.encode(message, CBOR) == call(args)
    for target in (JSON, MSGPACK):
        try:
            target.decode(target.encode(message, CBOR))
        except PayloadNotSerializable:
            pass


def test_every_tag_that_cbor2_knows_is_looked_through_without_making_its_value() -> None:
    for tag in (*range(1_100), 43_000, 55_799):
        # No value can be made of a list of nothing: cbor2 would refuse it.
        args = b"\x81" + struct.pack(">BI", 0xDA, tag) + b"\x81\xf7"
        message = CBOR.decode(call(args))
        assert isinstance(message, Call)
        assert bytes(message.args) == args


@others
def test_moments_and_dates_become_texts_or_timestamps(target: Serializer) -> None:
    moment = datetime.datetime(2024, 5, 1, 12, 30, tzinfo=datetime.UTC)
    args = bytes(CBOR.dump([moment, datetime.date(2024, 5, 1)]))

    expected = moment if target is MSGPACK else "2024-05-01T12:30:00Z"
    assert forwarded(args, target) == [expected, "2024-05-01"]


@others
@pytest.mark.parametrize("key", ["80", "8101", "a0", "a10102"])
def test_lists_and_maps_as_keys_are_at_worst_not_serializable_elsewhere(key: str, target: Serializer) -> None:
    args = bytes.fromhex("81a1" + key + "01")
    if target is MSGPACK and key.startswith("8"):
        assert forwarded(args, target) == [{tuple(cbor2.loads(bytes.fromhex(key))): 1}]
    else:
        with pytest.raises(PayloadNotSerializable):
            forwarded(args, target)


@pytest.mark.parametrize("args", ["a0", "6161", "00", "f6", "f7", "d9010280", "c280", "d81c80", "d9d9f780"])
def test_args_that_are_no_list_or_a_tagged_one_are_refused(args: str) -> None:
    with pytest.raises(InvalidMessage, match="args is not a list"):
        CBOR.decode(call(bytes.fromhex(args)))


@pytest.mark.parametrize(
    "kwargs", ["80", "f6", "a10101", "a1416101", "a1f601", "a1c06161 01", "d90103a0", "a1d9d9f7616101"]
)
def test_kwargs_that_are_no_map_with_text_keys_are_refused(kwargs: str) -> None:
    with pytest.raises(InvalidMessage, match="kwargs is not a dictionary with string keys"):
        CBOR.decode(call(b"\x80", bytes.fromhex(kwargs)))


@pytest.mark.parametrize(
    "args",
    [
        "8161ff",
        "817f61c361a9ff",
        "817f4161ff",
        "815f6161ff",
        "81ff",
        "81bf01ff",
        "8118",
        "81fc",
        "81fd",
        "81fe",
        "811c",
        "81df",
        "81f801",
        "9f",
        "9b7fffffffffffffff",
        "817b7fffffffffffffff",
        "81bbffffffffffffffff",
        "815bffffffffffffffff",
    ],
)
def test_malformed_cbor_is_refused(args: str) -> None:
    with pytest.raises(InvalidMessage):
        CBOR.decode(call(bytes.fromhex(args)))


def test_tags_count_in_the_depth() -> None:
    CBOR.decode(call(b"\x81" + 100 * b"\xd8\x63" + b"\x00"))

    with pytest.raises(InvalidMessage, match="nesting depth"):
        CBOR.decode(call(b"\x81" + 200 * b"\xd8\x63" + b"\x00"))
    with pytest.raises(InvalidMessage, match="nesting depth"):
        CBOR.decode(call(b"\x81" + 200 * b"\xa1" + 201 * b"\x00" + b"\x00" * 200))


def test_payload_that_refers_to_itself_is_neither_followed_nor_changed() -> None:
    args = bytes.fromhex("d81c81d81d00")

    with pytest.raises(InvalidMessage):
        CBOR.decode(call(args))
    assert CBOR.encode(CBOR.decode(call(b"\x81" + args)), CBOR) == call(b"\x81" + args)


# --- What wampy.js sends -----------------------------------------------------------------------------


def test_undefined_options_count_as_absent() -> None:
    options = {"match": cbor2.undefined, "get_retained": True, "_custom": {"a": cbor2.undefined}}

    message = CBOR.decode(cbor2.dumps([32, 1, options, "a"]))

    assert isinstance(message, Subscribe)
    assert message.options.match is None
    assert message.options.get_retained is True


def test_float_ids_are_integers_also_in_lists() -> None:
    message = CBOR.decode(cbor2.dumps([16.0, float(2**33), {"eligible": [float(2**40), 5]}, "a"]))

    assert isinstance(message, Publish)
    assert message.request == 2**33
    assert message.options.eligible == [2**40, 5]
    assert all(type(session) is int for session in message.options.eligible)


def test_float_code_leaves_the_payload_raw() -> None:
    message = CBOR.decode(cbor2.dumps([48.0, 1, {}, "a", [1.0]]))

    assert isinstance(message, Call)
    assert bytes(message.args) == cbor2.dumps([1.0])


# --- Our own -----------------------------------------------------------------------------------------


def test_binary_in_details_stays_binary() -> None:
    data = CBOR.encode(Challenge("x", {"nonce": b"\xff", "n": [1.5, None, True]}))

    assert cbor2.loads(data) == [4, "x", {"nonce": b"\xff", "n": [1.5, None, True]}]


def test_handshake_may_carry_any_cbor_in_its_extra() -> None:
    extra = {"date": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), "tag": cbor2.CBORTag(99, 1), "data": b"\xff"}

    message = CBOR.decode(cbor2.dumps([1, "realm1", {"roles": {"caller": {}}, "authextra": extra}]))

    assert isinstance(message, Hello)
    assert message.details.authextra == extra


def test_moments_without_a_time_zone_are_not_serializable() -> None:
    with pytest.raises(PayloadNotSerializable):
        CBOR.dump([datetime.datetime(2024, 1, 1)])
