"""Messages that are looked through, or put into another serializer, by a process of their own."""

from __future__ import annotations

import pytest
from tests.conformance.conftest import SERIALIZERS
from tests.conformance.peer import Peer, encode_plainly
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import (
    Abort,
    Cancel,
    CancelMode,
    CancelOptions,
    CloseDetails,
    Error,
    Event,
    Goodbye,
    Invocation,
    Publish,
    Published,
    PublishOptions,
    Result,
)

TOPIC = "com.example.topic"
PROCEDURE = "com.example.procedure"
LONG = "ä" * 200_000
"""In every serializer more than what is decoded at once."""
MEDIUM = "m" * 20_000
"""More than what is translated at once."""
BINARY = bytes(range(256)) * 2000


async def subscribers(realm: RealmUnderTest) -> list[Peer]:
    """One for each serializer."""
    peers = [await realm.join(serializer=serializer) for serializer in SERIALIZERS]
    for peer in peers:
        await peer.subscribe(TOPIC)
    return peers


async def test_long_and_short_messages_stay_in_the_order_they_were_sent_in(realm: RealmUnderTest) -> None:
    everybody, publisher = await subscribers(realm), await realm.join()
    sent = ["first", LONG, "between", MEDIUM, LONG, LONG, MEDIUM, "last"]

    for text in sent:
        await publisher.publish(TOPIC, text)

    for subscriber in everybody:
        assert [(await subscriber.expect(Event)).args for _ in sent] == [[text] for text in sent]


async def test_arguments_of_all_kinds_come_through(realm: RealmUnderTest) -> None:
    everybody, publisher = await subscribers(realm), await realm.join()
    request = publisher.next_request()

    await publisher.send(
        Publish(
            request,
            PublishOptions(acknowledge=True),
            TOPIC,
            [LONG, BINARY, 1.5, None],
            {"binary": BINARY, "nested": {"list": [[]] * 1000}},
        )
    )

    assert (await publisher.expect(Published)).request == request
    for subscriber in everybody:
        event = await subscriber.expect(Event)
        assert event.args == [LONG, BINARY, 1.5, None]
        assert event.kwargs == {"binary": BINARY, "nested": {"list": [[]] * 1000}}


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_a_long_call_is_answered_by_a_long_result(realm: RealmUnderTest, serializer: str) -> None:
    callee, caller = await realm.join(serializer=serializer), await realm.join()
    await callee.register(PROCEDURE)

    request = await caller.call(PROCEDURE, LONG)
    invocation = await callee.expect(Invocation)
    await callee.yield_(invocation, LONG, MEDIUM)

    assert invocation.args == [LONG]
    result = await caller.expect(Result)
    assert (result.request, result.args) == (request, [LONG, MEDIUM])


async def test_a_cancel_behind_a_long_call_finds_it(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)

    request = await caller.call(PROCEDURE, LONG)
    await caller.send(Cancel(request, CancelOptions(mode=CancelMode.SKIP)))

    assert (await caller.expect_error(48, "wamp.error.canceled")).request == request
    assert (await callee.expect(Invocation)).args == [LONG]


async def test_goodbye_does_not_overtake_a_long_publication(realm: RealmUnderTest) -> None:
    everybody, publisher = await subscribers(realm), await realm.join()

    await publisher.publish(TOPIC, LONG)
    await publisher.send(Goodbye(CloseDetails(), "wamp.close.close_realm"))

    assert (await publisher.expect(Goodbye)).reason == "wamp.close.goodbye_and_out"
    for subscriber in everybody:
        assert (await subscriber.expect(Event)).args == [LONG]


async def test_a_long_message_that_is_none_ends_the_session_and_what_came_before_counts(
    realm: RealmUnderTest,
) -> None:
    (subscriber, *_others), publisher = await subscribers(realm), await realm.join()
    await publisher.publish(TOPIC, "before")
    name = publisher.serializer.name
    broken = encode_plainly(name, [16, publisher.next_request(), {}, TOPIC, LONG])  # args is no list

    await publisher.send_bytes(broken)

    abort = await publisher.expect(Abort)
    assert abort.reason == "wamp.error.protocol_violation"
    assert "args is not a list" in (abort.details.message or "") or "array" in (abort.details.message or "")
    await publisher.expect_end()
    assert (await subscriber.expect(Event)).args == ["before"]
    await subscriber.expect_nothing()


async def test_a_long_text_that_is_not_utf_8_reaches_nobody(realm: RealmUnderTest) -> None:
    # What a WebSocket does about text that is none is tested where clients can send such a thing.
    everybody, publisher = await subscribers(realm), await realm.join(transport="rawsocket")
    name = publisher.serializer.name
    data = encode_plainly(name, [16, publisher.next_request(), {}, TOPIC, [LONG]])
    data = data.replace(b"\\u00e4", b"\xff", 1) if name == "json" else data.replace(b"\xc3\xa4", b"\xc3\xc3", 1)

    await publisher.send_bytes(data)

    assert (await publisher.expect(Abort)).reason == "wamp.error.protocol_violation"
    await publisher.expect_end()
    for subscriber in everybody:
        await subscriber.expect_nothing()


async def test_lone_surrogates_in_a_long_text_are_replaced(realm: RealmUnderTest) -> None:
    everybody, publisher = await subscribers(realm), await realm.join(serializer="json")
    text = "x" * 300_000

    await publisher.send_bytes(
        b' [16 , %d, {}, "%s", ["\\ud83d", "%s"] , {"a": 1}\n] '
        % (publisher.next_request(), TOPIC.encode(), text.encode())
    )

    for subscriber in everybody:
        event = await subscriber.expect(Event)
        assert (event.args, event.kwargs) == (["\N{REPLACEMENT CHARACTER}", text], {"a": 1})


async def test_whitespace_around_a_long_payload_is_no_part_of_it(realm: RealmUnderTest) -> None:
    everybody, publisher = await subscribers(realm), await realm.join(serializer="json")
    text = "x" * 300_000

    await publisher.send_bytes(
        b' [ 16 , %d, {}, "%s" , [ "%s" ] , { "a" : 1 } \n] \t'
        % (publisher.next_request(), TOPIC.encode(), text.encode())
    )

    for subscriber in everybody:
        event = await subscriber.expect(Event)
        assert (event.args, event.kwargs) == ([text], {"a": 1})


async def test_what_has_no_form_in_the_receivers_serializer_is_answered_by_an_error(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(serializer="json"), await realm.join(serializer="cbor")
    await callee.register(PROCEDURE)
    data = encode_plainly("cbor", [48, caller.next_request(), {}, PROCEDURE, [{(1, 2): 3}, LONG]])

    await caller.send_bytes(data)

    error = await caller.expect(Error)
    assert error.error == "wamp.error.invalid_argument"
    request = await caller.call(PROCEDURE, LONG)
    assert (await callee.expect(Invocation)).args == [LONG]
    assert request == 2


async def test_the_head_of_a_long_message_is_bounded(realm: RealmUnderTest) -> None:
    publisher = await realm.join()
    eligible = list(range(10**15, 10**15 + 40_000))

    await publisher.send(Publish(publisher.next_request(), PublishOptions(eligible=eligible), TOPIC, [LONG]))

    abort = await publisher.expect(Abort)
    assert "beside args and kwargs" in (abort.details.message or "")
    await publisher.expect_end()
