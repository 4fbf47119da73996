"""Payload passthru mode, and trust levels (advanced/payload_passthru_mode.md, advanced/rpc_call_trustlevels.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.conformance.peer import Peer
from tests.conformance.router import EVERYTHING, RealmUnderTest

from rocade.router.permissions import Role
from rocade.wamp.messages import (
    Abort,
    Event,
    EventDetails,
    Invocation,
    InvocationDetails,
    Publish,
    PublishOptions,
    Result,
)

PROCEDURE, TOPIC = "com.example.secret", "com.example.topic"
ATTRIBUTES = {"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": "xsalsa20poly1305", "ppt_keyid": "key 1"}
SECRET = bytes(range(256))
UNSUPPORTED = "wamp.error.feature_not_supported"

OTHER_SERIALIZER = pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])


async def expect_violation(peer: Peer) -> None:
    assert (await peer.expect(Abort)).reason == "wamp.error.protocol_violation"
    await peer.expect_end()


@OTHER_SERIALIZER
async def test_a_payload_passes_as_it_is_in_both_directions(realm: RealmUnderTest, serializer: str) -> None:
    caller, callee = await realm.join(), await realm.join(serializer=serializer)
    await callee.register(PROCEDURE)

    await caller.call(PROCEDURE, SECRET, **ATTRIBUTES)
    invocation = await callee.expect(Invocation)
    await callee.yield_(invocation, SECRET[::-1], **ATTRIBUTES)
    result = await caller.expect(Result)

    assert (invocation.details, invocation.args) == (InvocationDetails(**ATTRIBUTES), [SECRET])
    assert result.args == [SECRET[::-1]]
    assert (result.details.ppt_scheme, result.details.ppt_keyid) == ("wamp", "key 1")


async def test_the_wire_format_is_that_of_the_specification(realm: RealmUnderTest) -> None:
    caller, callee = await realm.join(), await realm.join()
    registration = await callee.register(PROCEDURE)

    await caller.send_array(48, 1, ATTRIBUTES, PROCEDURE, ["opaque"])
    assert await callee.receive_array() == [68, 1, registration, ATTRIBUTES, ["opaque"]]
    await callee.send_array(8, 68, 1, ATTRIBUTES, "com.example.failed", ["opaque too"])

    assert await caller.receive_array() == [8, 48, 1, ATTRIBUTES, "com.example.failed", ["opaque too"]]


@OTHER_SERIALIZER
async def test_an_event_passes_as_it_is(realm: RealmUnderTest, serializer: str) -> None:
    publisher, subscriber = await realm.join(), await realm.join(serializer=serializer)
    await subscriber.subscribe(TOPIC)

    await publisher.publish(TOPIC, SECRET, **ATTRIBUTES)

    event = await subscriber.expect(Event)
    assert (event.details, event.args) == (EventDetails(**ATTRIBUTES), [SECRET])


async def test_a_subscriber_that_did_not_announce_it_gets_events_too(realm: RealmUnderTest) -> None:
    publisher, subscriber = await realm.join(), await realm.join(features={})
    await subscriber.subscribe(TOPIC)

    await publisher.publish(TOPIC, SECRET, **ATTRIBUTES)

    assert (await subscriber.expect(Event)).details.ppt_scheme == "wamp"


async def test_a_caller_that_did_not_announce_it_breaks_the_protocol(realm: RealmUnderTest) -> None:
    caller = await realm.join(features={})

    await caller.call(PROCEDURE, SECRET, **ATTRIBUTES)

    await expect_violation(caller)


async def test_a_publisher_that_did_not_announce_it_breaks_the_protocol(realm: RealmUnderTest) -> None:
    publisher = await realm.join(features={})

    await publisher.send(Publish(publisher.next_request(), PublishOptions(**ATTRIBUTES), TOPIC, [SECRET]))

    await expect_violation(publisher)


async def test_a_callee_that_did_not_announce_it_breaks_the_protocol(realm: RealmUnderTest) -> None:
    caller, callee = await realm.join(), await realm.join(features={})
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)

    await callee.yield_(await callee.expect(Invocation), SECRET, **ATTRIBUTES)

    await expect_violation(callee)
    await caller.expect_error(48, "wamp.error.canceled")


async def test_a_callee_that_answers_so_with_an_error_and_did_not_announce_it_breaks_the_protocol(
    realm: RealmUnderTest,
) -> None:
    """advanced/payload_passthru_mode.md: the attributes of ERROR are those of YIELD."""
    caller, callee = await realm.join(), await realm.join(features={})
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)
    invocation = await callee.expect(Invocation)

    await callee.send_array(8, 68, invocation.request, ATTRIBUTES, "com.example.failed", ["opaque"])

    await expect_violation(callee)
    await caller.expect_error(48, "wamp.error.canceled")


async def test_the_call_fails_if_the_callee_lacks_the_feature(realm: RealmUnderTest) -> None:
    caller, callee = await realm.join(), await realm.join(features={})
    await callee.register(PROCEDURE)

    await caller.call(PROCEDURE, SECRET, **ATTRIBUTES)

    await caller.expect_error(48, UNSUPPORTED)
    await callee.expect_nothing()


async def test_the_call_fails_if_the_caller_lacks_what_the_callee_answers_with(realm: RealmUnderTest) -> None:
    caller, callee = await realm.join(features={}), await realm.join()
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)

    await callee.yield_(await callee.expect(Invocation), SECRET, **ATTRIBUTES)

    await caller.expect_error(48, UNSUPPORTED)
    await callee.expect_nothing()


async def test_keyword_arguments_are_refused(realm: RealmUnderTest) -> None:
    caller, callee = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)

    await caller.send_array(48, caller.next_request(), ATTRIBUTES, PROCEDURE, ["opaque"], {})
    await callee.expect(Invocation)
    await caller.send_array(48, caller.next_request(), ATTRIBUTES, PROCEDURE, ["opaque"], {"name": 1})

    await caller.expect_error(48, "wamp.error.invalid_argument")


# --- trust levels ----------------------------------------------------------------------------------


async def test_callees_and_subscribers_are_told_the_trust_level_of_a_role(
    open_realm: Callable[..., RealmUnderTest],
) -> None:
    realm: Any = open_realm([Role("anonymous", [EVERYTHING]), Role("staff", [EVERYTHING], trustlevel=2)])
    receiver, stranger, employee = await realm.join(), await realm.join(), await realm.join(authrole="staff")
    await receiver.register(PROCEDURE)
    await receiver.subscribe(TOPIC)

    for sender, level in ((stranger, None), (employee, 2)):
        await sender.call(PROCEDURE)
        assert (await receiver.expect(Invocation)).details == InvocationDetails(trustlevel=level)
        await sender.publish(TOPIC)
        assert (await receiver.expect(Event)).details == EventDetails(trustlevel=level)
