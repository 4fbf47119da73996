"""What arrives at a peer with another serializer than the sender's (advanced/serialization_binary_json.md and others).

The test's own serializer is the sender's; each receiver's is looked at with an independent decoder.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import cbor2
import pytest
from tests.conformance.peer import Peer, decode_plainly, encode_plainly
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import Abort, Error, Invocation, Published, Result

TOPIC = "com.example.topic"
PROCEDURE = "com.example.procedure"
SERIALIZERS = ("json", "msgpack", "cbor")


async def subscribers(realm: RealmUnderTest) -> list[Peer]:
    """One with each serializer."""
    peers = [await realm.join(serializer=serializer) for serializer in SERIALIZERS]
    for peer in peers:
        await peer.subscribe(TOPIC)
    return peers


async def publish_encoded(publisher: Peer, *payload: Any) -> None:
    """Publish what may have no form in the codec of the router, and wait until it has been done."""
    message = [16, publisher.next_request(), {"acknowledge": True}, TOPIC, *payload]
    await publisher.send_bytes(encode_plainly(publisher.serializer.name, message))
    await publisher.expect(Published)


async def payload(peer: Peer) -> list[Any]:
    """Arguments and keyword arguments of the event that comes next, as on the wire."""
    event = await peer.receive_array()
    assert event[0] == 36
    return event[4:]


def as_json(value: bytes) -> str:
    return "\0" + base64.b64encode(value).decode()


# --- what every serializer has ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        [[]],
        [[1, -1, 0, 2**31, -(2**31), 2**53, -(2**53), 2**63 - 1, -(2**63), 2**64 - 1]],
        [[1.5, -0.25, 1e300, 5e-324]],
        [["", "a", "ü", "€", "😀", "\u2028", "\0not base64!", '"\\/\b']],
        [[True, False, None]],
        [[[], {}, [[[]]], {"a": {"b": [{"c": None}]}}]],
        [[], {"a": 1, "": 2, "ü€😀": 3}],
        [[list(range(1000))]],
        [["x" * 100_000]],
    ],
    ids=["empty", "integers", "floats", "strings", "constants", "nesting", "keywords", "long list", "long string"],
)
async def test_a_payload_is_the_same_for_all_serializers(realm: RealmUnderTest, sent: list[Any]) -> None:
    receivers = await subscribers(realm)
    publisher = await realm.join()

    await publish_encoded(publisher, *sent)

    expected = [] if sent == [[]] else sent
    for receiver in receivers:
        assert await payload(receiver) in (sent, expected), receiver.serializer


async def test_integers_stay_integers_and_floats_stay_floats(realm: RealmUnderTest) -> None:
    receivers = await subscribers(realm)
    publisher = await realm.join()

    await publish_encoded(publisher, [1, 1.5, -7])

    for receiver in receivers:
        [arguments] = await payload(receiver)
        assert [type(argument) for argument in arguments] == [int, float, int], receiver.serializer


# --- raw -------------------------------------------------------------------------------------------

LENGTHY = b"x" * 65536
SPELLED = {
    "json": b'[ 1.0e0 ,"\\u0041", {"a" :1, "a":2} ,"%s"]' % LENGTHY,
    # numbers and lengths that take more bytes than they need
    "msgpack": bytes.fromhex("dd 00 00 00 03 d3 00 00 00 00 00 00 00 01 db 00 00 00 01 41 db 00 01 00 00") + LENGTHY,
    "cbor": bytes.fromhex("9a 00 00 00 03 1b 00 00 00 00 00 00 00 01 7a 00 00 00 01 41 7a 00 01 00 00") + LENGTHY,
}
"""Payloads as nobody would write them who encoded them again."""


async def test_a_payload_stays_as_it_is_on_its_way_to_the_same_serializer(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    serializer = caller.serializer.name
    args = SPELLED[serializer]
    await callee.register(PROCEDURE)
    await callee.subscribe(TOPIC)

    await caller.send_bytes(with_raw(serializer, [16, caller.next_request(), {}, TOPIC], args))
    assert args in await callee.receive_bytes()
    for answer in ([70], [8, 68]):
        await caller.send_bytes(with_raw(serializer, [48, caller.next_request(), {}, PROCEDURE], args))
        invocation = await callee.receive_bytes()
        assert args in invocation
        request = decode_plainly(serializer, invocation)[1]
        rest = ["com.example.error"] if answer[0] == 8 else []
        await callee.send_bytes(with_raw(serializer, [*answer, request, {}, *rest], args))
        assert args in await caller.receive_bytes()


# --- binary ----------------------------------------------------------------------------------------

BINARY = [b"", b"\0", b"\xff\xfe", bytes(range(256)), b"x" * 5000]


async def test_binary_becomes_a_marked_string_in_json_and_binary_again(realm: RealmUnderTest) -> None:
    receivers = await subscribers(realm)
    publisher = await realm.join()
    binary_in_json = publisher.serializer.name == "json"
    sent = [as_json(value) if binary_in_json else value for value in BINARY]

    await publish_encoded(publisher, [*sent, {"deep": [sent[3]]}], {"key": sent[3]})

    for receiver in receivers:
        expected = [as_json(value) for value in BINARY] if receiver.serializer.name == "json" else BINARY
        assert await payload(receiver) == [[*expected, {"deep": [expected[3]]}], {"key": expected[3]}]


async def test_binary_crosses_serializers_both_ways_in_a_call(realm: RealmUnderTest) -> None:
    for serializer in SERIALIZERS:
        callee, caller = await realm.join(serializer=serializer), await realm.join()
        registration = await callee.register(PROCEDURE)

        await caller.call(PROCEDURE, b"\x00\xff")
        invocation = await callee.expect(Invocation)
        await callee.yield_(invocation, b"\xfe\x01")

        assert invocation.args == [b"\x00\xff"]
        assert (await caller.expect(Result)).args == [b"\xfe\x01"]
        await callee.unregister(registration)


async def test_the_payload_of_an_error_crosses_serializers(realm: RealmUnderTest) -> None:
    for serializer in SERIALIZERS:
        callee, caller = await realm.join(serializer=serializer), await realm.join()
        registration = await callee.register(PROCEDURE)

        await caller.call(PROCEDURE)
        invocation = await callee.expect(Invocation)
        await callee.send_array(8, 68, invocation.request, {}, "com.example.error", ["text", 5], {"key": [1.5]})

        error = await caller.expect(Error)
        assert (error.args, error.kwargs) == (["text", 5], {"key": [1.5]})
        await callee.unregister(registration)


# --- numbers ---------------------------------------------------------------------------------------


async def test_nan_and_infinity_do_not_reach_a_json_peer(realm: RealmUnderTest) -> None:
    receiver = await realm.join(serializer="json")
    await receiver.subscribe(TOPIC)
    for serializer in ("msgpack", "cbor"):
        publisher = await realm.join(serializer=serializer)

        await publish_encoded(publisher, [math.nan, math.inf, -math.inf, [math.nan]], {"key": math.nan})

        assert await payload(receiver) == [[None, None, None, [None]], {"key": None}]


async def test_nan_and_infinity_cross_binary_serializers(realm: RealmUnderTest) -> None:
    for sender, other in (("msgpack", "cbor"), ("cbor", "msgpack")):
        publisher, receiver = await realm.join(serializer=sender), await realm.join(serializer=other)
        await receiver.subscribe(TOPIC)

        await publish_encoded(publisher, [math.nan, math.inf, -math.inf])

        [[not_a_number, *infinities]] = await payload(receiver)
        assert math.isnan(not_a_number)
        assert infinities == [math.inf, -math.inf]


@pytest.mark.parametrize("sender", ["json", "cbor"])
async def test_integers_beyond_64_bits_stay_exact_where_they_can(realm: RealmUnderTest, sender: str) -> None:
    numbers = [2**64, -(2**63) - 1, 2**100, -(10**40)]
    receivers = await subscribers(realm)
    publisher = await realm.join(serializer=sender)

    await publish_encoded(publisher, numbers)

    for receiver in receivers:
        expected = [float(number) for number in numbers] if receiver.serializer.name == "msgpack" else numbers
        assert await payload(receiver) == [expected], receiver.serializer


# --- map keys --------------------------------------------------------------------------------------


async def test_keys_that_are_no_strings_become_strings_for_a_json_peer(realm: RealmUnderTest) -> None:
    receivers = await subscribers(realm)
    for serializer in ("msgpack", "cbor"):
        publisher = await realm.join(serializer=serializer)

        await publish_encoded(publisher, [{1: "a", -5: "b", "c": "d"}])

        for receiver in receivers:
            if receiver.serializer.name == "json":
                expected: dict[Any, str] = {"1": "a", "-5": "b", "c": "d"}
            else:
                expected = {1: "a", -5: "b", "c": "d"}
            assert await payload(receiver) == [[expected]], receiver.serializer


# --- what other serializers hardly have a form for -------------------------------------------------

# serializer, args as it encodes them
ODD = {
    "a lone surrogate": ("json", rb'["\ud800"]'),
    "a number that no float holds": ("json", b"[1e999]"),
    "a list as a key": ("msgpack", bytes.fromhex("91 81 91 01 02")),
    "a map as a key": ("msgpack", bytes.fromhex("91 81 81 01 01 02")),
    "a MessagePack timestamp": ("msgpack", bytes.fromhex("91 d6 ff 00 00 00 00")),
    "a MessagePack extension": ("msgpack", bytes.fromhex("91 d4 05 00")),
    "a list as a key in CBOR": ("cbor", bytes.fromhex("81 a1 81 01 02")),
    "a date": ("cbor", cbor2.dumps([cbor2.CBORTag(0, "2024-01-01T00:00:00Z")])),
    "a date that is none": ("cbor", bytes.fromhex("81 c0 61 78")),
    "a date beyond all years": ("cbor", bytes.fromhex("81 c1 1b ff ff ff ff ff ff ff ff")),
    "a regular expression": ("cbor", cbor2.dumps([cbor2.CBORTag(35, "(")])),
    "a shared value that contains itself": ("cbor", bytes.fromhex("81 d8 1c 81 d8 1d 00")),
    "undefined": ("cbor", bytes.fromhex("81 f7")),
    "an unassigned simple value": ("cbor", bytes.fromhex("81 f8 ff")),
    "a half-precision float": ("cbor", bytes.fromhex("81 f9 3e 00")),
    "an indefinite string": ("cbor", bytes.fromhex("81 7f 61 61 61 62 ff")),
    "a rational number": ("cbor", bytes.fromhex("81 d8 1e 82 01 00")),
    "a decimal fraction": ("cbor", bytes.fromhex("81 c4 82 1b 7f ff ff ff ff ff ff ff 01")),
    "a network address": ("cbor", bytes.fromhex("81 d9 01 04 41 00")),
    "an unknown tag": ("cbor", bytes.fromhex("81 d9 ff ff 01")),
}


@pytest.mark.parametrize("case", ODD)
async def test_an_odd_payload_harms_neither_its_sender_nor_its_receivers(realm: RealmUnderTest, case: str) -> None:
    serializer, args = ODD[case]
    receivers = await subscribers(realm)
    publisher = await realm.join(serializer=serializer)
    head = [16, publisher.next_request(), {"acknowledge": True}, TOPIC]

    await publisher.send_bytes(with_raw(serializer, head, args))
    answer = await publisher.receive()

    if isinstance(answer, Abort):
        # Refused as malformed: then nobody gets anything of it.
        assert answer.reason == "wamp.error.protocol_violation"
        for receiver in receivers:
            await receiver.expect_nothing()
        return
    # Everybody gets it as far as it can be expressed; what came after it arrives in any case.
    assert isinstance(answer, Published)
    await publish_encoded(publisher, ["last"])
    for receiver in receivers:
        while b"last" not in await receiver.receive_bytes():
            pass


def with_raw(serializer: str, head: list[Any], args: bytes) -> bytes:
    """A message of these elements, and arguments that are encoded already."""
    data = encode_plainly(serializer, head)
    if serializer == "json":
        return data[:-1] + b"," + args + b"]"
    return bytes((data[0] + 1,)) + data[1:] + args
