"""Every kind of client with every other: what one sends, the other gets, whatever their serializers.

Binary crosses between serializers too: MessagePack and CBOR have it, JSON has a string of "\\0" and base64 for it,
which autobahn-python turns into `bytes` and the JavaScript clients leave to their users.
"""

from __future__ import annotations

import math
from itertools import count
from typing import Any

import pytest

from .clients import AUTOBAHN_JS, AUTOBAHN_PYTHON, ROCADE, WAMPY, Client
from .conftest import Join, Pair
from .driver import Payload, Refused
from .lines import TypedArray

MIXED = [
    Client(AUTOBAHN_PYTHON, "json"),
    Client(AUTOBAHN_PYTHON, "msgpack"),
    Client(AUTOBAHN_PYTHON, "cbor"),
    Client(AUTOBAHN_PYTHON, "json.batched"),
    Client(AUTOBAHN_JS, "json"),
    Client(AUTOBAHN_JS, "msgpack"),
    Client(AUTOBAHN_JS, "cbor"),
    Client(WAMPY, "json"),
    Client(WAMPY, "msgpack"),
    Client(WAMPY, "cbor"),
    Client(AUTOBAHN_PYTHON, "json", "rawsocket"),
    Client(AUTOBAHN_PYTHON, "msgpack", "rawsocket"),
    Client(ROCADE, "json"),
    Client(ROCADE, "msgpack"),
]

VALUES: list[Any] = [
    None,
    True,
    False,
    [0, 1, -1, 23, 24, 127, 128, -128, -129, 255, 256, 32767, 32768, -32769, 65535, 65536],
    [2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**32 - 1, 2**32, -(2**32) - 1, 2**53, -(2**53)],
    [0.5, -0.25, 1e-7, 1.5e300, -2.5e-300, 0.1, 3.141592653589793],
    ["", "plain", "naïve", "Ελληνικά", "日本語", "🦊", "a\0b", 'quo"te', "back\\slash", "line\nbreak"],
    [b"", b"\0", b"\xff\xfe\x00\x01", bytes(range(256))],
    [],
    {},
    [[], [[]], [[[1], [2]], []]],
    {"": None, "key": {"key": {"list": [1, {"deep": [None, {"deeper": b"\x80"}]}]}}, "ключ": "значение"},
    "x" * 300,
    list(range(300)),
    {f"key{number}": number for number in range(20)},
]
KEYWORDS: dict[str, Any] = {
    "none": None,
    "number": -17,
    "text": "τεχνολογία",
    "binary": b"\x00\x01\x02\xff",
    "nested": {"list": [1, 2.5, "three", b"four", None]},
}

NUMBERS = count(1)
"""Tests that share sessions share no URI."""


@pytest.mark.parametrize("callee", MIXED, ids=str)
@pytest.mark.parametrize("caller", MIXED, ids=str)
def test_arguments_and_results_cross(caller: Client, callee: Client, pair: Pair) -> None:
    calling, called = pair(caller, callee)
    uri = f"com.example.mixed.{next(NUMBERS)}"
    procedure = called.register(uri)

    call = calling.start_call(uri, VALUES, KEYWORDS)
    invocation = procedure.next()
    invocation.succeed(VALUES, KEYWORDS)

    assert invocation.args == callee.delivered(VALUES)
    assert invocation.kwargs == callee.delivered(KEYWORDS)
    assert call.result() == Payload(caller.delivered(VALUES), caller.delivered(KEYWORDS))
    procedure.unregister()


@pytest.mark.parametrize("callee", MIXED, ids=str)
@pytest.mark.parametrize("caller", MIXED, ids=str)
def test_errors_cross(caller: Client, callee: Client, pair: Pair) -> None:
    calling, called = pair(caller, callee)
    uri = f"com.example.mixed.{next(NUMBERS)}"
    procedure = called.register(uri)

    call = calling.start_call(uri)
    procedure.next().fail("com.example.error.mixed", ["naïve", 7, b"\x00\xff"], KEYWORDS)

    with pytest.raises(Refused) as refused:
        call.result()
    error = refused.value
    assert error.uri == "com.example.error.mixed"
    assert error.args_ == caller.delivered(["naïve", 7, b"\x00\xff"])
    assert error.kwargs == caller.delivered(KEYWORDS)
    procedure.unregister()


@pytest.mark.parametrize("caller", MIXED, ids=str)
def test_a_procedure_is_shared_by_clients_of_all_kinds(caller: Client, join: Join) -> None:
    for number, callee in enumerate(MIXED):
        join(callee).register(
            "com.example.mixed.shared",
            lambda call, number=number: call.succeed([number, *call.args]),  # type: ignore[misc]
            invoke="roundrobin",
        )
    calling = join(caller)

    answers = [calling.call("com.example.mixed.shared", [b"\x80", "ä"]).args for _ in MIXED]

    # Each callee echoes what it was given in its own form, which is the caller's again in the end.
    assert answers == [[number, *caller.delivered([b"\x80", "ä"])] for number in range(len(MIXED))]


@pytest.mark.parametrize("match", ["prefix", "wildcard"])
@pytest.mark.parametrize("sender", MIXED, ids=str)
def test_patterns_are_found_by_clients_of_all_kinds(sender: Client, match: str, join: Join) -> None:
    sending = join(sender)
    pattern = "com.crossing" if match == "prefix" else "com..one"
    receiving = [join(client) for client in MIXED]
    subscriptions = [session.subscribe(pattern, match=match) for session in receiving]

    sending.publish("com.crossing.one", [b"\x80"])

    for client, subscription in zip(MIXED, subscriptions, strict=True):
        event = subscription.next()
        assert (str(client), event.args) == (str(client), client.delivered([b"\x80"]))
        assert event.details["topic"] == "com.crossing.one"
    for number, session in enumerate(receiving):
        session.register(
            pattern,
            lambda call, number=number: call.succeed([number, call.details["procedure"]]),  # type: ignore[misc]
            match=match,
            invoke="roundrobin",
        )
    answers = [sending.call("com.crossing.one").args for _ in MIXED]
    assert answers == [[number, "com.crossing.one"] for number in range(len(MIXED))]


@pytest.mark.parametrize("subscriber", MIXED, ids=str)
@pytest.mark.parametrize("publisher", MIXED, ids=str)
def test_events_cross(publisher: Client, subscriber: Client, pair: Pair) -> None:
    publishing, subscribed = pair(publisher, subscriber)
    uri = f"com.example.mixed.{next(NUMBERS)}"
    subscription = subscribed.subscribe(uri)

    publishing.publish(uri, VALUES, KEYWORDS)

    event = subscription.next()
    assert event.args == subscriber.delivered(VALUES)
    assert event.kwargs == subscriber.delivered(KEYWORDS)
    subscription.unsubscribe()


@pytest.mark.parametrize("publisher", MIXED, ids=str)
def test_one_event_reaches_clients_of_all_kinds(publisher: Client, join: Join) -> None:
    subscriptions = [(client, join(client).subscribe("com.example.all")) for client in MIXED]

    join(publisher).publish("com.example.all", VALUES, KEYWORDS)

    for client, subscription in subscriptions:
        event = subscription.next()
        assert (str(client), event.args) == (str(client), client.delivered(VALUES))
        assert (str(client), event.kwargs) == (str(client), client.delivered(KEYWORDS))


@pytest.mark.parametrize("subscriber", MIXED, ids=str)
@pytest.mark.parametrize("publisher", [client for client in MIXED if client.library in (AUTOBAHN_JS, WAMPY)], ids=str)
def test_a_typed_array_is_binary(publisher: Client, subscriber: Client, pair: Pair) -> None:
    publishing, subscribed = pair(publisher, subscriber)
    uri = f"com.example.typed.{next(NUMBERS)}"
    subscription = subscribed.subscribe(uri)

    publishing.publish(uri, [TypedArray(b"\x00\xff")])

    [value] = subscription.next().args
    if publisher.serializer == subscriber.serializer == "cbor" and subscriber.library == AUTOBAHN_PYTHON:
        # CBOR has a tag of its own for typed arrays (RFC 8746). The router passes it on; cbor2 leaves it to its user.
        assert value == {"$other": "CBORTag(64, b'\\x00\\xff')"}
    else:
        assert value == subscriber.delivered(b"\x00\xff")
    subscription.unsubscribe()


@pytest.mark.parametrize("subscriber", MIXED, ids=str)
@pytest.mark.parametrize("publisher", [Client(AUTOBAHN_PYTHON, "msgpack"), Client(AUTOBAHN_PYTHON, "cbor")], ids=str)
def test_a_json_client_gets_null_for_what_is_no_number(publisher: Client, subscriber: Client, join: Join) -> None:
    subscription = join(subscriber).subscribe("com.example.no_number")

    join(publisher).publish("com.example.no_number", [math.nan, math.inf, -math.inf, [math.nan]])

    expected = "[None, None, None, [None]]" if subscriber.serializer.startswith("json") else "[nan, inf, -inf, [nan]]"
    assert repr(subscription.next().args) == expected


@pytest.mark.parametrize("publisher", [client for client in MIXED if client.library == AUTOBAHN_PYTHON], ids=str)
@pytest.mark.parametrize("subscriber", [client for client in MIXED if client.library == AUTOBAHN_PYTHON], ids=str)
def test_integers_beyond_double_precision_stay_exact_among_pythons(
    publisher: Client, subscriber: Client, join: Join
) -> None:
    subscription = join(subscriber).subscribe("com.example.exact")
    exact = [2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]

    join(publisher).publish("com.example.exact", exact)

    assert subscription.next().args == exact
