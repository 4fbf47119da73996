"""Payloads between serializers: what becomes of values that one of them has no form for."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import json
import math
import uuid
from collections import OrderedDict, namedtuple
from itertools import permutations
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from msgspec import Raw
from msgspec.msgpack import Ext

from rocade.errors import InvalidMessage, PayloadNotSerializable
from rocade.wamp.codec import CBOR, JSON, MSGPACK, SERIALIZERS, Serializer, transcode
from rocade.wamp.messages import NO_PAYLOAD, Call, CallOptions, Subscribe

from .strategies import values

every_serializer = pytest.mark.parametrize("serializer", SERIALIZERS.values(), ids=str)
PAIRS = list(permutations(SERIALIZERS.values(), 2))
every_pair = pytest.mark.parametrize(("origin", "target"), PAIRS, ids=str)


def transcoded(value: bytes, origin: Serializer, target: Serializer) -> bytes:
    """Raw bytes of one serializer as raw bytes of another."""
    return bytes(transcode(Raw(value), origin, target))


# --- Every pair --------------------------------------------------------------------------------------


@given(values)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_transcoding_keeps_the_value(value: Any) -> None:
    for origin, target in PAIRS:
        raw = transcode(origin.dump(value), origin, target)

        assert target.load(raw) == value
        assert origin.load(transcode(raw, target, origin)) == value


@every_pair
def test_no_payload_stays_no_payload(origin: Serializer, target: Serializer) -> None:
    assert transcode(NO_PAYLOAD, origin, target) is NO_PAYLOAD


@every_pair
def test_payload_of_this_process_is_serialized_whatever_its_origin(origin: Serializer, target: Serializer) -> None:
    message = Call(1, CallOptions(), "a", [b"\0", 1], {"k": None})

    assert target.encode(message, origin) == target.encode(message)


@every_pair
def test_integers_and_floats_stay_what_they_are(origin: Serializer, target: Serializer) -> None:
    value = [1, 1.0, -(2**63), 2**64 - 1, 2**53 + 1, 0.1, 1e300, 5e-324, True]

    result = target.load(transcode(origin.dump(value), origin, target))

    assert [(type(item), item) for item in result] == [(type(item), item) for item in value]


# --- Binary ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [b"", b"\0", b"abc", bytes(range(256))])
@pytest.mark.parametrize("other", [MSGPACK, CBOR], ids=str)
def test_binary_is_nul_and_base64_in_json(binary: bytes, other: Serializer) -> None:
    raw = transcode(other.dump([binary, {"k": binary}]), other, JSON)

    text = "\0" + base64.b64encode(binary).decode()
    assert json.loads(bytes(raw)) == [text, {"k": text}]
    assert other.load(transcode(raw, JSON, other)) == [binary, {"k": binary}]


@pytest.mark.parametrize("text", ["\0no base64", "\0é", "\0\0", "\0abc", "\0====", "\0YQ==\n", "a\0YQ=="])
@pytest.mark.parametrize("target", [MSGPACK, CBOR], ids=str)
def test_json_text_with_nul_that_is_no_base64_stays_text(text: str, target: Serializer) -> None:
    raw = Raw(json.dumps([text]).encode())

    assert target.load(transcode(raw, JSON, target)) == [text]


def test_text_of_nul_and_base64_cannot_be_told_from_binary_in_json() -> None:
    # The specification has no escape for it.
    raw = transcode(MSGPACK.dump(["\0YWJj"]), MSGPACK, JSON)

    assert JSON.load(raw) == [b"abc"]


def test_binary_in_json_is_found_however_it_is_spelled() -> None:
    assert JSON.load(rb'["\u0000YW\u004Aj","\\u0000YWJj"]') == [b"abc", "\\u0000YWJj"]


def test_json_has_the_same_value_whoever_reads_its_numbers() -> None:
    numbers = b"1e308,-1.7976931348623157e308,5e-324,2.2250738585072011e-308,1e999,1E+100,18446744073709551616,1.0,1"
    text = rb'"\u0000YWJj","\u0000","e100"'

    values = JSON.load(b"[" + numbers + b"," + text + b"]")

    assert values[4] == math.inf
    assert values[-3:] == [b"abc", b"", "e100"]
    assert JSON.load(b"[" + b",".join([numbers, text] * 20) + b"]") == values * 20


# --- Text --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelled", "text"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"a\uDC00b", "a\ufffdb"),
        (rb"\ud83d\ude00", "\U0001f600"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\ud83d\ude00\ude00", "\U0001f600\ufffd"),
        (rb"\ud83d\n\ude00", "\ufffd\n\ufffd"),
        (rb"\ude00\ud83d", "\ufffd\ufffd"),
        (rb"\\ud83d\ud83d", "\\ud83d\ufffd"),
        (rb"\\\ud83d", "\\\ufffd"),
        (rb"\ud83dude00", "\ufffdude00"),
        (rb"\ud83d\\ude00", "\ufffd\\ude00"),
    ],
)
def test_halves_of_surrogate_pairs_in_json_become_replacement_characters(spelled: bytes, text: str) -> None:
    # JSON.stringify() writes a lone surrogate as an escape; no other serializer has a form for it.
    message = JSON.decode(b'[48,1,{},"a",["' + spelled + b'"],{"' + spelled + b'":1}]')

    assert isinstance(message, Call)
    for target in SERIALIZERS.values():
        at_the_peer = target.decode(target.encode(message, JSON))
        assert target.load(at_the_peer.args) == [text]  # type: ignore[attr-defined]
        assert target.load(at_the_peer.kwargs) == {text: 1}  # type: ignore[attr-defined]


def test_surrogate_pairs_in_json_are_forwarded_as_they_came() -> None:
    payload = rb'["\ud83d\ude00","\\ud83d"]'

    message = JSON.decode(b'[48,1,{},"a",' + payload + b"]")

    assert bytes(message.args) == payload  # type: ignore[attr-defined]


def test_json_that_is_wrong_in_another_way_is_refused_in_spite_of_the_repair() -> None:
    for data in (
        rb'[48,1,{},"a",["\ud83d"]',
        rb'[48,0,{},"\ud83d"]',
        rb'[48,1,{},"a",["\ud83"]]',
        b'[48,1,{},"\0\\ud83d"]',
    ):
        with pytest.raises(InvalidMessage):
            JSON.decode(data)


@every_serializer
def test_lone_surrogates_of_this_process_are_not_serializable(serializer: Serializer) -> None:
    for value in ("\ud800", {"\udc00": 1}, ["\ud800", 2**70]):
        with pytest.raises(PayloadNotSerializable):
            serializer.dump(value)


# --- Numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [MSGPACK, CBOR], ids=str)
def test_numbers_that_are_none_become_null_in_json(origin: Serializer) -> None:
    value = [math.nan, math.inf, -math.inf, {"a": [math.nan]}]

    assert transcode(origin.dump(value), origin, JSON) == Raw(b'[null,null,null,{"a":[null]}]')


def test_numbers_that_are_none_pass_between_binary_serializers() -> None:
    for origin, target in ((MSGPACK, CBOR), (CBOR, MSGPACK)):
        nan, infinite = target.load(transcode(origin.dump([math.nan, math.inf]), origin, target))

        assert math.isnan(nan)
        assert infinite == math.inf


@pytest.mark.parametrize("big", [2**64, -(2**63) - 1, 2**200])
def test_integers_beyond_64_bits_stay_exact_where_they_can_and_become_floats_in_messagepack(big: int) -> None:
    as_json, as_cbor = f"[{big}]".encode(), bytes(CBOR.dump([big]))

    assert transcoded(as_json, JSON, CBOR) == as_cbor
    assert transcoded(as_cbor, CBOR, JSON) == as_json
    assert MSGPACK.load(transcoded(as_json, JSON, MSGPACK)) == [float(big)]
    assert MSGPACK.load(transcoded(as_cbor, CBOR, MSGPACK)) == [float(big)]


def test_integers_that_python_does_not_read_or_write_are_not_serializable_elsewhere() -> None:
    digits = b"[1" + 5000 * b"0" + b"]"
    JSON.decode(b'[48,1,{},"a",' + digits + b"]")

    for target in (MSGPACK, CBOR):
        with pytest.raises(PayloadNotSerializable):
            transcoded(digits, JSON, target)
    with pytest.raises(PayloadNotSerializable):
        transcoded(bytes(CBOR.dump([10**5000])), CBOR, JSON)
    with pytest.raises(PayloadNotSerializable):
        transcoded(bytes(CBOR.dump([10**5000])), CBOR, MSGPACK)


def test_json_numbers_beyond_the_largest_float_are_infinite_as_in_javascript() -> None:
    assert JSON.load(b"[1e400,-1e400]") == [math.inf, -math.inf]
    assert MSGPACK.load(transcoded(b"[1e400]", JSON, MSGPACK)) == [math.inf]


# --- Keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [MSGPACK, CBOR], ids=str)
def test_keys_become_strings_in_json_as_javascript_spells_them(origin: Serializer) -> None:
    value = [{2: 0, 1.5: 0, True: 0, None: 0, b"abc": 0, "é": 0, math.inf: 0}]

    keys = json.loads(bytes(transcode(origin.dump(value), origin, JSON)))[0].keys()

    assert set(keys) == {"2", "1.5", "true", "null", "\0YWJj", "é", "Infinity"}


@pytest.mark.parametrize("origin", [MSGPACK, CBOR], ids=str)
def test_lists_as_keys_are_not_serializable_in_json(origin: Serializer) -> None:
    raw = origin.dump([{(1, 2): 3}])

    with pytest.raises(PayloadNotSerializable):
        transcode(raw, origin, JSON)


@pytest.mark.parametrize("target", [MSGPACK, CBOR], ids=str)
def test_the_last_of_several_equal_keys_counts(target: Serializer) -> None:
    assert target.load(transcoded(b'[{"a":1,"b":2,"a":3}]', JSON, target)) == [{"a": 3, "b": 2}]


# --- What only MessagePack has -----------------------------------------------------------------------


def test_messagepack_extensions_become_binary_elsewhere() -> None:
    raw = MSGPACK.dump([Ext(5, b"abc"), {"k": Ext(-5, b"")}])

    assert JSON.load(transcode(raw, MSGPACK, JSON)) == [b"abc", {"k": b""}]
    assert CBOR.load(transcode(raw, MSGPACK, CBOR)) == [b"abc", {"k": b""}]


def test_undefined_of_wampy_becomes_null_elsewhere() -> None:
    raw = Raw(b"\x91\xd4\x00\x00")

    assert JSON.load(transcode(raw, MSGPACK, JSON)) == [None]
    assert CBOR.load(transcode(raw, MSGPACK, CBOR)) == [None]


def test_messagepack_timestamp_is_a_text_in_json_and_a_date_in_cbor() -> None:
    moment = datetime.datetime(2024, 5, 1, 12, 30, 0, 250_000, tzinfo=datetime.UTC)
    raw = MSGPACK.dump([moment])

    assert JSON.load(transcode(raw, MSGPACK, JSON)) == ["2024-05-01T12:30:00.250000Z"]
    assert CBOR.load(transcode(raw, MSGPACK, CBOR)) == [moment]
    assert MSGPACK.load(transcode(CBOR.dump([moment]), CBOR, MSGPACK)) == [moment]


@pytest.mark.parametrize(
    "moment", [b"\xc7\x01\xff\0", b"\xc7\x0c\xff\0\0\0\0\x7f" + 7 * b"\xff", b"\xd7\xff" + 8 * b"\xff"]
)
def test_messagepack_timestamps_that_are_none_are_refused(moment: bytes) -> None:
    with pytest.raises(InvalidMessage):
        MSGPACK.decode(b"\x95\x30\x01\x80\xa1a\x91" + moment)


@pytest.mark.parametrize("key", [b"\x80", b"\x91\x80", b"\xd4\x05\x00"])
def test_messagepack_maps_and_extensions_as_keys_are_refused(key: bytes) -> None:
    # They cannot be looked through, since Python has no such keys.
    with pytest.raises(InvalidMessage):
        MSGPACK.decode(b"\x95\x30\x01\x80\xa1a\x91\x81" + key + b"\x01")


def test_messagepack_keys_are_counted_in_the_depth() -> None:
    deep = b"\x91\x81" + 200 * b"\x91" + b"\x01\x01"

    with pytest.raises(InvalidMessage, match="nested too deeply"):
        MSGPACK.decode(b"\x95\x30\x01\x80\xa1a" + deep)


# --- What wampy.js sends -----------------------------------------------------------------------------

UNDEFINED = Ext(0, b"\0")


def test_undefined_options_in_messagepack_count_as_absent() -> None:
    options = {"match": UNDEFINED, "get_retained": True, "nkey": UNDEFINED, "_custom": {"a": UNDEFINED}}

    message = MSGPACK.decode(MSGPACK.encode_array((32, 1, options, "a")))

    assert isinstance(message, Subscribe)
    assert message.options.match is None
    assert message.options.get_retained is True


def test_float_ids_in_messagepack_are_integers() -> None:
    # msgpackr writes every integer beyond 32 bits as a float.
    options = {"eligible": [float(2**40), 5], "acknowledge": UNDEFINED}

    message = MSGPACK.decode(MSGPACK.encode_array((16, float(2**33), options, "a", [1.0, UNDEFINED])))

    assert message.request == 2**33  # type: ignore[attr-defined]
    assert message.options.eligible == [2**40, 5]  # type: ignore[attr-defined]
    assert bytes(message.args) == bytes(MSGPACK.dump([1.0, UNDEFINED]))  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [1.5, math.nan, math.inf, -1.0, 0.0, 2.0**53 + 2, 1e300])
def test_floats_that_are_no_ids_are_refused(number: float) -> None:
    for serializer in (MSGPACK, CBOR):
        with pytest.raises(InvalidMessage):
            serializer.decode(serializer.encode_array((34, number, 1)))


# --- Python's own values -----------------------------------------------------------------------------


class Text(str):
    pass


class Number(int):
    pass


class Binary(bytes):
    pass


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    data: bytes


Pair = namedtuple("Pair", "a b")


@every_serializer
@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Text("a"), "a"),
        (Number(1), 1),
        (Binary(b"a"), b"a"),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        (Colour.RED, "red"),
        (Point(1, b"a"), {"x": 1, "data": b"a"}),
        (Pair(1, b"a"), [1, b"a"]),
        ((1, (2,)), [1, [2]]),
        (OrderedDict(a=Number(1)), {"a": 1}),
        (datetime.timedelta(days=1), "P1D"),
        ([Text("a"), 2**70, b"a"], ["a", 2**70, b"a"]),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_values_of_pythons_own_types_have_a_plain_form(serializer: Serializer, value: Any, plain: Any) -> None:
    assert serializer.load(serializer.dump([value])) == [plain]


def test_decimals_and_uuids_are_texts_where_there_is_no_other_form() -> None:
    value = [decimal.Decimal("1.5"), uuid.UUID(int=1)]

    for serializer in (JSON, MSGPACK):
        assert serializer.load(serializer.dump(value)) == ["1.5", str(uuid.UUID(int=1))]


@every_serializer
def test_what_has_no_form_is_not_serializable(serializer: Serializer) -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in (object(), [object()], {"a": object}, endless, {object(): 1}):
        with pytest.raises(PayloadNotSerializable):
            serializer.dump(value)


@given(
    st.recursive(
        st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5) | st.datetimes() | st.uuids(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.text(max_size=3) | st.integers() | st.binary(max_size=3) | st.booleans(), inner, max_size=3
            )
        ),
    )
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_any_value_is_serialized_or_not_serializable(value: Any) -> None:
    for serializer in SERIALIZERS.values():
        try:
            raw = serializer.dump([value])
        except PayloadNotSerializable:
            continue
        message = serializer.decode(serializer.encode_array((48, 1, {}, "a", raw)))
        assert isinstance(message, Call)
        assert bytes(message.args) == bytes(raw)
