"""Messages, ids and violations as the basic profile defines them (basic/messages.md, basic/building_blocks.md)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from tests.conformance.carriers import Gone
from tests.conformance.peer import NOWHERE, Peer
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import Abort, Error, Event, Invocation, Subscribe, Subscribed, SubscribeOptions

TOPIC, PROCEDURE = "com.example.topic", "com.example.procedure"
ROLES: dict[str, Any] = {"roles": {"subscriber": {}, "callee": {"features": {"call_canceling": True}}}}


async def expect_violation(peer: Peer) -> None:
    """ABORT must come, and then the end of the connection."""
    abort = await peer.expect(Abort)
    assert abort.reason == "wamp.error.protocol_violation"
    assert abort.details.message
    await peer.expect_end()


# --- codes and elements ----------------------------------------------------------------------------


async def test_session_messages_have_the_codes_and_elements_of_the_specification(realm: RealmUnderTest) -> None:
    """basic/messages.md, Session Lifecycle: HELLO 1, WELCOME 2, ABORT 3, GOODBYE 6."""
    peer, other = await realm.connect(), await realm.connect()

    await peer.send_array(1, realm.name, ROLES)
    code, session, details = await peer.receive_array()
    assert (code, type(session), type(details)) == (2, int, dict)
    await peer.send_array(6, {}, "wamp.close.close_realm")
    assert await peer.receive_array() == [6, {}, "wamp.close.goodbye_and_out"]
    await other.send_array(1, "com.example.missing", ROLES)

    code, details, reason = await other.receive_array()
    assert (code, list(details), reason) == (3, ["message"], "wamp.error.no_such_realm")


async def test_pubsub_messages_have_the_codes_and_elements_of_the_specification(realm: RealmUnderTest) -> None:
    """basic/messages.md, Publish & Subscribe: PUBLISH 16 to EVENT 36, and their ERROR 8."""
    subscriber, publisher = await realm.join(), await realm.join()

    await subscriber.send_array(32, 1, {}, TOPIC)
    code, request, subscription = await subscriber.receive_array()
    assert (code, request) == (33, 1)
    await publisher.send_array(16, 1, {"acknowledge": True}, TOPIC, ["Hello, world!"], {"size": 23})
    code, request, publication = await publisher.receive_array()
    assert (code, request) == (17, 1)
    assert await subscriber.receive_array() == [
        36, subscription, publication, {}, ["Hello, world!"], {"size": 23}
    ]  # fmt: skip
    await subscriber.send_array(34, 2, subscription)
    assert await subscriber.receive_array() == [35, 2]
    await subscriber.send_array(34, 3, subscription)

    assert (await subscriber.receive_array())[:5] == [8, 34, 3, {}, "wamp.error.no_such_subscription"]


async def test_rpc_messages_have_the_codes_and_elements_of_the_specification(realm: RealmUnderTest) -> None:
    """basic/messages.md, Routed Remote Procedure Calls: CALL 48 to YIELD 70, and their ERROR 8."""
    callee, caller = await realm.join(), await realm.join()

    await callee.send_array(64, 1, {}, PROCEDURE)
    code, request, registration = await callee.receive_array()
    assert (code, request) == (65, 1)
    await caller.send_array(48, 1, {}, PROCEDURE, ["Hello, world!"], {"size": 23})
    assert await callee.receive_array() == [68, 1, registration, {}, ["Hello, world!"], {"size": 23}]
    await callee.send_array(70, 1, {}, [30])
    assert await caller.receive_array() == [50, 1, {}, [30]]
    await caller.send_array(48, 2, {}, PROCEDURE)
    assert await callee.receive_array() == [68, 2, registration, {}]
    await callee.send_array(8, 68, 2, {}, "com.example.failed", [1])
    assert await caller.receive_array() == [8, 48, 2, {}, "com.example.failed", [1]]
    await callee.send_array(66, 2, registration)
    assert await callee.receive_array() == [67, 2]
    await caller.send_array(48, 3, {}, PROCEDURE)

    assert (await caller.receive_array())[:5] == [8, 48, 3, {}, "wamp.error.no_such_procedure"]


@pytest.mark.parametrize("mode", ["kill", "killnowait"])
async def test_cancel_and_interrupt_have_the_codes_and_elements_of_the_specification(
    realm: RealmUnderTest, mode: str
) -> None:
    """advanced/rpc_call_canceling.md: CANCEL 49 and INTERRUPT 69, which says the mode too."""
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)
    await caller.send_array(48, 1, {}, PROCEDURE)
    invocation = await callee.expect(Invocation)

    await caller.send_array(49, 1, {"mode": mode})

    code, request, options = await callee.receive_array()
    assert (code, request, options["mode"]) == (69, invocation.request, mode)


EMPTY = pytest.mark.parametrize("empty", [[[]], [[], {}], [["x"], {}]], ids=str)


@EMPTY
async def test_empty_arguments_and_keyword_arguments_are_not_sent(realm: RealmUnderTest, empty: list[Any]) -> None:
    """basic/messages.md, Empty Arguments and Keyword Arguments: not even where the sender wrote them."""
    peer, other = await realm.join(), await realm.join()
    subscription, registration = await peer.subscribe(TOPIC), await peer.register(PROCEDURE)
    left = [item for item in empty if item]

    await other.send_array(16, 1, {}, TOPIC, *empty)
    event = await peer.receive_array()
    await other.send_array(48, 2, {}, PROCEDURE, *empty)
    invocation = await peer.receive_array()
    await peer.send_array(70, 1, {}, *empty)
    result = await other.receive_array()
    await other.send_array(48, 3, {}, PROCEDURE)
    await peer.expect(Invocation)
    await peer.send_array(8, 68, 2, {}, "com.example.failed", *empty)

    assert event == [36, subscription, event[2], {}, *left]
    assert invocation == [68, 1, registration, {}, *left]
    assert result == [50, 2, {}, *left]
    assert await other.receive_array() == [8, 48, 3, {}, "com.example.failed", *left]


async def test_attributes_of_an_implementation_are_ignored(realm: RealmUnderTest) -> None:
    """basic/messages.md, Extensibility: keys of one's own begin with an underscore; unknown ones are ignored."""
    peer, other = await realm.join(), await realm.join()
    mine = {"_my_own": {"deep": [1, None]}, "not_yet_invented": True}

    await peer.send_array(64, 1, mine, PROCEDURE)
    await peer.receive_array()
    await peer.send_array(32, 2, mine, TOPIC)
    await peer.receive_array()
    await other.send_array(48, 1, mine, PROCEDURE)
    await other.send_array(16, 2, mine, TOPIC)

    assert (await peer.receive_array())[3] == {}
    assert (await peer.receive_array())[3] == {}


async def test_a_message_of_an_extension_that_is_known_by_its_code_only_is_ignored(realm: RealmUnderTest) -> None:
    """basic/messages.md, Extension Messages: EVENT_RECEIVED (337) of autobahn asks for nothing."""
    peer = await realm.join()

    await peer.send_array(337, 4711)

    await peer.expect_nothing()


# --- ids -------------------------------------------------------------------------------------------


async def test_request_ids_wrap_to_1_after_2_to_the_53(realm: RealmUnderTest) -> None:
    """basic/building_blocks.md, IDs: session scope."""
    peer = await realm.join()

    for request in (2**53 - 1, 2**53, 1, 2):
        await peer.send(Subscribe(request, SubscribeOptions(), TOPIC))
        assert (await peer.expect(Subscribed)).request == request


async def test_request_ids_are_counted_for_each_session_by_itself(realm: RealmUnderTest) -> None:
    """basic/building_blocks.md, IDs: session scope, also of a session that follows on the same transport."""
    one, two = await realm.join(), await realm.join()
    for _ in range(3):
        await one.subscribe(TOPIC)

    await two.send(Subscribe(1, SubscribeOptions(), TOPIC))
    assert (await two.expect(Subscribed)).request == 1
    await one.leave()
    await one.join(realm.name)
    await one.send(Subscribe(1, SubscribeOptions(), TOPIC))

    assert (await one.expect(Subscribed)).request == 1


REQUESTS = pytest.mark.parametrize(
    ("code", "last"),
    [(16, TOPIC), (32, TOPIC), (34, 4711), (48, PROCEDURE), (64, PROCEDURE), (66, 4711)],
    ids=["publish", "subscribe", "unsubscribe", "call", "register", "unregister"],
)


@REQUESTS
async def test_requests_of_all_types_are_counted_together(realm: RealmUnderTest, code: int, last: str | int) -> None:
    """basic/building_blocks.md, IDs: one sequence for a session; what is mirrored, or an answer, is not in it."""
    peer = await realm.join()
    options = [] if isinstance(last, int) else [{}]
    await peer.send_array(64, 1, {}, "com.example.mine")
    await peer.receive_array()
    await peer.send_array(48, 2, {}, "com.example.mine")
    invocation = await peer.expect(Invocation)
    await peer.send_array(49, 2, {"mode": "skip"})
    await peer.receive_array()
    await peer.send_array(70, invocation.request, {})

    await peer.send_array(code, 3, *options, last)
    await peer.send_array(32, 4, {}, TOPIC)

    answers = [await peer.receive_array() for _ in range(1 if code == 16 else 2)]
    assert answers[-1][:2] == [33, 4]


@REQUESTS
async def test_a_request_of_any_type_with_an_id_out_of_order_is_a_protocol_error(
    realm: RealmUnderTest, code: int, last: str | int
) -> None:
    """basic/building_blocks.md, Protocol Errors: non-sequential request ids."""
    peer = await realm.join(features={})
    await peer.subscribe(TOPIC)

    await peer.send_array(code, 3, *([] if isinstance(last, int) else [{}]), last)

    await expect_violation(peer)


async def test_subscriptions_and_registrations_have_one_id_for_all_sessions(realm: RealmUnderTest) -> None:
    """basic/building_blocks.md, IDs: router scope; below 2^32, since some clients send larger ones back as floats."""
    one, two = await realm.join(), await realm.join()

    subscriptions = [await one.subscribe(TOPIC), await two.subscribe(TOPIC), await one.subscribe("com.example.other")]
    registrations = [await one.register(PROCEDURE), await two.register("com.example.other")]

    assert subscriptions[0] == subscriptions[1] != subscriptions[2]
    assert registrations[0] != registrations[1]
    assert all(1 <= id < 2**32 for id in subscriptions + registrations)


# --- protocol errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        [4, "ticket", {}],
        [8, 48, 1, {}, "com.example.error"],
        [17, 1, 1],
        [33, 1, 1],
        [34, 1, 1],
        [35, 1],
        [36, 1, 1, {}],
        [49, 1, {}],
        [50, 1, {}],
        [64, 1, {}, PROCEDURE],
        [65, 1, 1],
        [66, 1, 1],
        [67, 1],
        [68, 1, 1, {}],
        [69, 1, {}],
        [337, 1],
    ],
    ids=lambda message: f"code {message[0]}",
)
async def test_before_the_session_is_established_each_of_these_is_a_protocol_error(
    realm: RealmUnderTest, message: list[Any]
) -> None:
    """basic/building_blocks.md, Protocol Errors; test_sessions.py has the others that are no HELLO."""
    peer = await realm.connect()

    await peer.send_array(*message)

    await expect_violation(peer)


@pytest.mark.parametrize("where", ["before", "within"])
async def test_what_cannot_be_decoded_is_a_protocol_error(realm: RealmUnderTest, where: str) -> None:
    """basic/building_blocks.md, Protocol Errors: an error during decoding."""
    peer = await (realm.connect() if where == "before" else realm.join())

    await peer.send_bytes({"json": b'[32,1,{},"com', "msgpack": b"\x94\x20\xc1", "cbor": b"\x84\x18\x20\xff"}[
        peer.serializer.name
    ])  # fmt: skip

    await expect_violation(peer)


@pytest.mark.parametrize(
    "message",
    [
        [16, 1, {"acknowledge": 1}, TOPIC],
        [16, 1, {"exclude_me": 0}, TOPIC],
        [48, 1, {"disclose_me": 1}, PROCEDURE],
        [48, 1, {"receive_progress": 1}, PROCEDURE],
        [48, 1, {"timeout": True}, PROCEDURE],
        [32, 1, {"get_retained": 1}, TOPIC],
        [64, 1, {"disclose_caller": 1}, PROCEDURE],
    ],
    ids=str,
)
async def test_integers_must_not_be_used_instead_of_booleans_nor_the_reverse(
    realm: RealmUnderTest, message: list[Any]
) -> None:
    """basic/messages.md: the notation of types."""
    peer = await realm.join()

    await peer.send_array(*message)

    await expect_violation(peer)


async def test_what_comes_behind_a_protocol_error_is_not_processed(realm: RealmUnderTest) -> None:
    """basic/building_blocks.md, Protocol Errors: the session ends without processing what is received then."""
    peer, watcher = await realm.join(), await realm.join()
    await watcher.subscribe(TOPIC)

    await peer.send_array(16, 1, {}, TOPIC, ["before"])
    await peer.send_array(33, 1, 1)
    with suppress(Gone):  # that soon, on some transports
        await peer.send_array(16, 2, {}, TOPIC, ["behind"])
    await expect_violation(peer)

    assert (await watcher.expect(Event)).args == ["before"]
    await watcher.expect_nothing()


async def test_a_protocol_error_disposes_of_subscriptions_registrations_and_calls(realm: RealmUnderTest) -> None:
    """basic/building_blocks.md, Protocol Errors: the resources of the session are disposed of."""
    peer, other = await realm.join(), await realm.join()
    await peer.register(PROCEDURE)
    await peer.subscribe(TOPIC)
    await other.call(PROCEDURE)
    await peer.expect(Invocation)

    await peer.send_array(50, 1, {})
    await expect_violation(peer)

    assert (await other.expect(Error)).error == "wamp.error.canceled"
    await other.call(PROCEDURE)
    await other.expect_error(48, "wamp.error.no_such_procedure")
    await other.call("wamp.subscription.match", TOPIC)
    assert (await other.receive_array())[3] == [None]


async def test_goodbye_after_goodbye_is_a_protocol_error(realm: RealmUnderTest) -> None:
    """basic/building_blocks.md, Protocol Errors: GOODBYE where there is no session (any more)."""
    peer = await realm.join()
    await peer.leave()

    await peer.send_array(6, {}, "wamp.close.close_realm")

    await expect_violation(peer)


async def test_a_client_that_aborts_before_the_session_is_established_is_not_answered(realm: RealmUnderTest) -> None:
    """basic/sessions.md, ABORT: no response is expected."""
    peer = await realm.connect()

    await peer.send_array(3, {}, "com.example.changed_my_mind")

    await peer.expect_end()


async def test_nobody_else_is_disturbed_by_an_error(realm: RealmUnderTest) -> None:
    """basic/messages.md, ERROR: it goes to who made the request, and the session goes on."""
    peer, other = await realm.join(), await realm.join()

    await peer.call(NOWHERE)
    await peer.expect_error(48, "wamp.error.no_such_procedure")

    await peer.subscribe(TOPIC)
    await other.expect_nothing()
