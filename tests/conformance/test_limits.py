"""Messages that are too long for the peer they are for (advanced/transport_rawsocket.md, basic/uri_reference.md)."""

from __future__ import annotations

import pytest
from tests.conformance.peer import Peer
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import Error, Event, Interrupt, Invocation, Result

TOPIC = "com.example.topic"
PROCEDURE = "com.example.procedure"
TOO_LARGE = "wamp.error.payload_size_exceeded"
LIMIT = 1024


async def narrow(realm: RealmUnderTest) -> Peer:
    """A peer that accepts no more than `LIMIT` bytes, which only RawSocket can say."""
    transport = realm.way.transport if realm.way.transport in ("rawsocket", "unix") else "rawsocket"
    return await realm.join(transport=transport, max_message_bytes=LIMIT)


async def event_size(realm: RealmUnderTest, text: str) -> int:
    """How long an EVENT with this argument is."""
    subscriber, publisher = await narrow(realm), await realm.join()
    await subscriber.subscribe(TOPIC)
    await publisher.publish(TOPIC, text)
    size = len(await subscriber.receive_bytes())
    await subscriber.leave()
    return size


async def test_an_event_that_is_too_long_for_one_subscriber_is_dropped_for_that_one(realm: RealmUnderTest) -> None:
    small, large, publisher = await narrow(realm), await realm.join(), await realm.join()
    await small.subscribe(TOPIC)
    await large.subscribe(TOPIC)

    await publisher.publish(TOPIC, "x" * LIMIT)
    await publisher.publish(TOPIC, "short")

    assert (await small.expect(Event)).args == ["short"]
    assert [(await large.expect(Event)).args for _ in range(2)] == [["x" * LIMIT], ["short"]]


async def test_no_message_is_longer_than_what_the_peer_accepts_and_none_is_dropped_before(
    realm: RealmUnderTest,
) -> None:
    subscriber, publisher = await narrow(realm), await realm.join()
    await subscriber.subscribe(TOPIC)
    sizes = []

    # The length of a message is not known from outside (ids vary), so all lengths around the limit are tried.
    for length in range(LIMIT - 80, LIMIT + 20):
        await publisher.publish(TOPIC, "x" * length)
    await publisher.publish(TOPIC, "last")
    while True:
        data = await subscriber.receive_bytes()
        if b"last" in data:
            break
        sizes.append(len(data))

    assert LIMIT - 3 <= max(sizes) <= LIMIT
    assert len(sizes) > 20


async def test_a_call_that_is_too_long_for_the_callee_fails(realm: RealmUnderTest) -> None:
    callee, caller = await narrow(realm), await realm.join()
    await callee.register(PROCEDURE)

    await caller.call(PROCEDURE, "x" * LIMIT)
    await caller.expect_error(48, TOO_LARGE)
    await caller.call(PROCEDURE, "short")

    assert (await callee.expect(Invocation)).args == ["short"]


async def test_invocation_ids_stay_sequential_where_a_call_was_too_long(realm: RealmUnderTest) -> None:
    callee, caller = await narrow(realm), await realm.join()
    await callee.register(PROCEDURE)

    await caller.call(PROCEDURE, "short")
    await caller.call(PROCEDURE, "x" * LIMIT)
    await caller.call(PROCEDURE, "short")
    await caller.expect(Error)

    assert [(await callee.expect(Invocation)).request for _ in range(2)] == [1, 2]


async def test_a_result_that_is_too_long_for_the_caller_becomes_an_error(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await narrow(realm)
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)

    await callee.yield_(await callee.expect(Invocation), "x" * LIMIT)

    await caller.expect_error(48, TOO_LARGE)
    await caller.expect_nothing()


async def test_an_error_that_is_too_long_for_the_caller_becomes_a_shorter_one(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await narrow(realm)
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)
    invocation = await callee.expect(Invocation)

    await callee.send_array(8, 68, invocation.request, {}, "com.example.error", ["x" * LIMIT])

    await caller.expect_error(48, TOO_LARGE)
    await caller.expect_nothing()


async def test_a_progressive_result_that_is_too_long_ends_the_call_once(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await narrow(realm)
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE, receive_progress=True)
    invocation = await callee.expect(Invocation)

    await callee.yield_(invocation, "x" * LIMIT, progress=True)
    await caller.expect_error(48, TOO_LARGE)
    await callee.yield_(invocation, "more", progress=True)
    await callee.yield_(invocation, "done")
    answer = await callee.receive()

    assert isinstance(answer, Interrupt), "the callee is told that nobody waits any more"
    await callee.expect_nothing()
    await caller.expect_nothing()


@pytest.mark.parametrize("sender", ["websocket", "memory"])
async def test_what_is_too_long_for_rawsocket_at_all_is_dropped_for_that_receiver(
    realm: RealmUnderTest, sender: str
) -> None:
    # 13 MB of binary are more than 16 MiB in JSON, the most that a RawSocket frame can carry.
    subscriber = await realm.join(transport="rawsocket", serializer="json")
    publisher = await realm.join(transport=sender, serializer="msgpack")
    await subscriber.subscribe(TOPIC)

    await publisher.publish(TOPIC, b"x" * 13_000_000)
    await publisher.publish(TOPIC, "short")

    assert (await subscriber.expect(Event)).args == ["short"]


async def test_a_result_of_the_longest_length_arrives(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)
    text = "x" * (1 << 20)

    await callee.yield_(await callee.expect(Invocation), text)

    assert (await caller.expect(Result)).args == [text]
