"""What autobahn's own message classes and serializers write, we read, and the other way round."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from rocade.wamp import messages as ours
from rocade.wamp.codec import CBOR, JSON, MSGPACK, Serializer

txaio = pytest.importorskip("txaio")
txaio.use_asyncio()
theirs = pytest.importorskip("autobahn.wamp.message")
from autobahn.wamp import role  # noqa: E402
from autobahn.wamp import serializer as autobahn_serializers  # noqa: E402

SERIALIZERS = [
    pytest.param(JSON, autobahn_serializers.JsonSerializer(), id="json"),
    pytest.param(MSGPACK, autobahn_serializers.MsgPackSerializer(), id="msgpack"),
    pytest.param(CBOR, autobahn_serializers.CBORSerializer(), id="cbor"),
]
every_serializer = pytest.mark.parametrize(("serializer", "autobahn"), SERIALIZERS)

ID = 2**53
PAYLOAD: dict[str, Any] = {"args": [1, "é", None, b"\xff\x00", [1.5, {"a": True}]], "kwargs": {"k": {"b": b"abc"}}}
FORWARDED: dict[str, Any] = {"forward_for": [{"session": 1, "authid": "a", "authrole": "b"}]}


def options(message: msgspec.Struct) -> dict[str, Any]:
    """Fields of a message or of its options as plain data, without absent ones."""
    return {key: value for key, value in msgspec.to_builtins(message).items() if value is not None}


def from_client() -> list[tuple[Any, type[ours.Message], dict[str, Any]]]:
    """Messages that a client sends with all that autobahn knows: theirs, our class, fields and options expected."""
    everything = role.DEFAULT_CLIENT_ROLES
    publish = {
        "acknowledge": True,
        "exclude_me": False,
        "exclude": [1, 2**40],
        "exclude_authid": ["a"],
        "exclude_authrole": ["b"],
        "eligible": [ID],
        "eligible_authid": ["c"],
        "eligible_authrole": ["d"],
        "retain": True,
    }
    signed_in = {"authmethods": ["ticket", "wampcra"], "authid": "joe", "authrole": "x", "authextra": {"a": [1, "é"]}}
    return [
        (theirs.Hello("realm1", everything, **signed_in), ours.Hello, {"realm": "realm1", **signed_in}),
        (theirs.Authenticate("proof", {"a": 1}), ours.Authenticate, {"signature": "proof"}),
        (theirs.Abort("com.example.error", "text"), ours.Abort, {"reason": "com.example.error", "message": "text"}),
        (
            theirs.Goodbye("com.example.bye", "text", True),
            ours.Goodbye,
            {"reason": "com.example.bye", "message": "text"},
        ),
        *[
            (
                theirs.Subscribe(ID, "a.b", match, True, **FORWARDED),
                ours.Subscribe,
                {"request": ID, "get_retained": True},
            )
            for match in ("exact", "prefix", "wildcard")
        ],
        (theirs.Subscribe(1, "a..b", "wildcard"), ours.Subscribe, {"match": "wildcard", "topic": "a..b"}),
        (theirs.Unsubscribe(1, ID), ours.Unsubscribe, {"request": 1, "subscription": ID}),
        (theirs.Publish(ID, "a.b", **PAYLOAD, **publish, **FORWARDED), ours.Publish, {"topic": "a.b", **publish}),
        *[
            (theirs.Register(1, "a.b", "prefix", invoke, 5, True), ours.Register, {"invoke": invoke, "concurrency": 5})
            for invoke in ("roundrobin", "random", "first", "last")
        ],
        (theirs.Unregister(1, ID), ours.Unregister, {"request": 1, "registration": ID}),
        (
            theirs.Call(ID, "a.b", **PAYLOAD, timeout=1000, receive_progress=True, **FORWARDED),
            ours.Call,
            {"request": ID, "procedure": "a.b", "timeout": 1000, "receive_progress": True},
        ),
        *[(theirs.Cancel(1, mode), ours.Cancel, {"mode": mode}) for mode in ("skip", "kill", "killnowait")],
        (theirs.Yield(ID, **PAYLOAD, progress=True), ours.Yield, {"request": ID, "progress": True}),
        (theirs.Error(68, ID, "a.b", **PAYLOAD), ours.Error, {"request_type": 68, "request": ID, "error": "a.b"}),
        (theirs.EventReceived(ID), ours.EventReceived, {"publication": ID}),
    ]


@every_serializer
@pytest.mark.parametrize(("message", "kind", "expected"), from_client(), ids=lambda value: type(value).__name__)
def test_what_autobahn_sends_is_read(
    serializer: Serializer, autobahn: Any, message: Any, kind: type[ours.Message], expected: dict[str, Any]
) -> None:
    data, is_binary = autobahn.serialize(message)

    decoded = serializer.decode(data)

    assert type(decoded) is kind
    assert is_binary == serializer.is_binary
    found = {field: getattr(decoded, field) for field in kind.__struct_fields__}
    for field in ("options", "details"):
        found |= options(found[field]) if field in found else {}
    assert {key: found[key] for key in expected} == expected
    if getattr(message, "args", None):
        assert serializer.load(found["args"]) == PAYLOAD["args"]
        assert serializer.load(found["kwargs"]) == PAYLOAD["kwargs"]


@every_serializer
def test_features_that_autobahn_announces_are_read(serializer: Serializer, autobahn: Any) -> None:
    data, _ = autobahn.serialize(theirs.Hello("realm1", role.DEFAULT_CLIENT_ROLES))

    hello = serializer.decode(data)

    assert isinstance(hello, ours.Hello)
    roles = hello.details.roles
    assert roles.callee is not None
    assert roles.callee.features is not None
    assert roles.callee.features["call_canceling"] is True
    assert None not in (roles.caller, roles.publisher, roles.subscriber)


ROLES = ours.RouterRoles(
    broker=ours.RouterRole({"publisher_exclusion": True, "pattern_based_subscription": True}),
    dealer=ours.RouterRole({"call_canceling": True, "progressive_call_results": True, "shared_registration": True}),
)
WELCOME = ours.WelcomeDetails(ROLES, "realm1", "rocade", "joe", "user", "ticket", "static", {"a": 1})
BY_RULE = {"publisher": 7, "publisher_authid": "joe", "publisher_authrole": "user"}
CALLER = {"caller": 7, "caller_authid": "joe", "caller_authrole": "user"}

# Our message, and the attributes that autobahn is to find in it.
FROM_ROUTER: list[tuple[ours.Message, dict[str, Any]]] = [
    (
        ours.Welcome(ID, WELCOME),
        {"session": ID, "realm": "realm1", "authid": "joe", "authrole": "user", "authmethod": "ticket"},
    ),
    (ours.Welcome(1, ours.WelcomeDetails(ROLES)), {"session": 1}),
    (
        ours.Challenge("wampcra", {"challenge": "{}", "salt": "x", "iterations": 1000, "keylen": 32}),
        {"method": "wampcra"},
    ),
    (
        ours.Abort(ours.CloseDetails("text"), "wamp.error.no_such_realm"),
        {"reason": "wamp.error.no_such_realm", "message": "text"},
    ),
    (ours.Goodbye(ours.CloseDetails(), "wamp.close.goodbye_and_out"), {"reason": "wamp.close.goodbye_and_out"}),
    (ours.Subscribed(ID, 1), {"request": ID, "subscription": 1}),
    (ours.Unsubscribed(ID), {"request": ID}),
    (ours.Unsubscribed(0, ours.UnsubscribedDetails(5, "a.b")), {"request": 0, "subscription": 5, "reason": "a.b"}),
    (ours.Published(ID, ID), {"request": ID, "publication": ID}),
    (ours.Event(1, ID, ours.EventDetails(), **PAYLOAD), {"subscription": 1, "publication": ID, **PAYLOAD}),
    (
        ours.Event(1, 2, ours.EventDetails(topic="a.b", retained=True, trustlevel=1, **BY_RULE)),
        {"topic": "a.b", "retained": True, **BY_RULE},
    ),
    (ours.Registered(ID, 1), {"request": ID, "registration": 1}),
    (ours.Unregistered(ID), {"request": ID}),
    (ours.Unregistered(0, ours.UnregisteredDetails(5, "a.b")), {"request": 0, "registration": 5, "reason": "a.b"}),
    (ours.Invocation(1, ID, ours.InvocationDetails(), **PAYLOAD), {"request": 1, "registration": ID, **PAYLOAD}),
    (
        ours.Invocation(
            1, 2, ours.InvocationDetails(procedure="a.b", receive_progress=True, timeout=1000, trustlevel=1, **CALLER)
        ),
        {"procedure": "a.b", "receive_progress": True, "timeout": 1000, **CALLER},
    ),
    (ours.Interrupt(1, ours.CancelOptions(ours.CancelMode.KILLNOWAIT)), {"request": 1, "mode": "killnowait"}),
    (ours.Result(ID, ours.ResultDetails(progress=True), **PAYLOAD), {"request": ID, "progress": True, **PAYLOAD}),
    (ours.Result(1, ours.ResultDetails(), kwargs={"a": 1}), {"args": [], "kwargs": {"a": 1}}),
    *[
        (
            ours.Error(kind, ID, ours.PassthruDetails(), "wamp.error.x", **PAYLOAD),
            {"request_type": kind, "error": "wamp.error.x", **PAYLOAD},
        )
        for kind in (16, 32, 34, 48, 64, 66, 68)
    ],
]


@every_serializer
@pytest.mark.parametrize(("message", "expected"), FROM_ROUTER, ids=lambda value: type(value).__name__)
def test_what_we_send_is_read_by_autobahn(
    serializer: Serializer, autobahn: Any, message: ours.Message, expected: dict[str, Any]
) -> None:
    (read,) = autobahn.unserialize(serializer.encode(message), serializer.is_binary)

    assert type(read).__name__ == type(message).__name__
    assert {name: getattr(read, name) for name in expected} == expected


@every_serializer
def test_payload_from_autobahn_reaches_autobahn_in_any_serializer(serializer: Serializer, autobahn: Any) -> None:
    data, _ = autobahn.serialize(theirs.Publish(1, "a.b", **PAYLOAD))
    publish = serializer.decode(data)
    assert isinstance(publish, ours.Publish)

    for parameters in SERIALIZERS:
        target, their_target = parameters.values
        event = ours.Event(1, 2, ours.EventDetails(), publish.args, publish.kwargs)
        (read,) = their_target.unserialize(target.encode(event, serializer), target.is_binary)
        assert (read.args, read.kwargs) == (PAYLOAD["args"], PAYLOAD["kwargs"])


def test_numbers_that_are_none_never_reach_a_json_client_of_autobahn() -> None:
    event = ours.Event(1, 2, ours.EventDetails(), [float("nan"), float("inf")])

    assert json.loads(JSON.encode(event), parse_constant=pytest.fail)[4] == [None, None]
