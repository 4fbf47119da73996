"""Sessions that outlive their connection (docs/resume.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.peer import Peer
from tests.conformance.router import RealmUnderTest, Router
from tests.conformance.waiting import TIMEOUT

from rocade.serve import resumption
from rocade.serve.session import ConnectedSession
from rocade.wamp.messages import (
    Abort,
    Call,
    CallOptions,
    ClientRoles,
    Error,
    Event,
    Goodbye,
    Hello,
    HelloDetails,
    Invocation,
    Message,
    Publish,
    Published,
    PublishOptions,
    Received,
    Result,
    Role,
    Welcome,
)

TOPIC = "com.example.topic"
PROCEDURE = "com.example.procedure"
NO_SUCH_SESSION = "wamp.error.no_such_session"


def hello(realm: RealmUnderTest, **details: Any) -> Hello:
    roles = ClientRoles(publisher=Role(), subscriber=Role(), caller=Role(), callee=Role())
    return Hello(realm.name, HelloDetails(roles=roles, **details))


async def open_resumable(realm: RealmUnderTest, **how: Any) -> Peer:
    """A peer with a session that can be resumed."""
    peer = await realm.connect(**how)
    await peer.send(hello(realm, resumable=True))
    peer.welcome = await peer.expect(Welcome)
    return peer


def with_token(lost: Peer) -> dict[str, Any]:
    """How HELLO asks for the session of a peer that has lost it."""
    assert lost.welcome is not None
    return {"resume_session": lost.session, "resume_token": lost.welcome.details.resume_token}


async def resume(realm: RealmUnderTest, lost: Peer, received: int, **how: Any) -> Peer:
    """A new connection that takes up the session of another one.

    Args:
        realm: where the session is.
        lost: the peer that had it.
        received: how many messages of the session it had got.
        **how: transport and serializer.
    """
    peer = await realm.connect(**how)
    await peer.send(hello(realm, **with_token(lost), received=received))
    peer.welcome = await peer.expect(Welcome)
    peer.last_request = lost.last_request
    assert peer.session == lost.session
    return peer


async def next_counted(peer: Peer) -> Message:
    """The next message that is one of the session's."""
    while True:
        message = await peer.receive()
        if type(message) is not Received:
            return message


async def lose(router: Router, peer: Peer) -> None:
    """Drop a peer's connection, and wait until the router has noticed."""
    before = len(router.gateway.connections)
    await peer.vanish()
    async with asyncio.timeout(TIMEOUT):
        while len(router.gateway.connections) >= before:
            router.gateway.changed.clear()
            await router.gateway.changed.wait()


def session_of(router: Router, realm: RealmUnderTest, peer: Peer) -> ConnectedSession | None:
    session = router.gateway.realms[realm.name].sessions.get(peer.session)
    assert session is None or isinstance(session, ConnectedSession)
    return session


async def ended(router: Router, realm: RealmUnderTest, peer: Peer) -> None:
    """Wait until the router has ended a peer's session."""
    async with asyncio.timeout(TIMEOUT):
        while session_of(router, realm, peer) is not None:  # noqa: ASYNC110  nothing tells of a window's end
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def no_session_is_left(router: Router, realm: RealmUnderTest) -> Iterator[None]:
    """What a test leaves to be resumed is ended, as its window would do."""
    window = router.gateway.resume_window
    yield
    router.gateway.resume_window = window

    async def clean_up() -> None:
        await realm.leave()
        await router.settle()
        for session in list(router.gateway.realms[realm.name].sessions.values()):
            assert isinstance(session, ConnectedSession)
            assert session.resumption is not None
            session.resumption.end("the test is over")

    router.run(clean_up())


# --- opening ---------------------------------------------------------------------------------------


async def test_a_client_that_does_not_ask_gets_an_ordinary_session(router: Router, realm: RealmUnderTest) -> None:
    peer = await realm.join()

    assert peer.welcome is not None
    assert (peer.welcome.details.resumable, peer.welcome.details.resume_token) == (None, None)
    await lose(router, peer)
    assert session_of(router, realm, peer) is None


async def test_a_client_that_asks_gets_a_token_and_a_window(router: Router, realm: RealmUnderTest) -> None:
    peer = await open_resumable(realm)

    assert peer.welcome is not None
    details = peer.welcome.details
    assert details.resumable is True
    assert details.resumed is None
    assert len(details.resume_token or "") >= 22
    assert details.resume_window == router.gateway.resume_window
    assert details.roles.broker is not None
    assert details.roles.broker.features["session_resumption"] is True


# --- from the router to the client -----------------------------------------------------------------


async def test_events_published_while_the_client_was_away_arrive_once_and_in_order(
    router: Router, realm: RealmUnderTest
) -> None:
    publisher, peer = await realm.join(), await open_resumable(realm)
    subscription = await peer.subscribe(TOPIC)
    await lose(router, peer)
    for number in range(5):
        await publisher.publish(TOPIC, number)

    again = await resume(realm, peer, received=1)

    await publisher.publish(TOPIC, 5)
    events = [await next_counted(again) for _ in range(6)]
    assert [event.args for event in events if isinstance(event, Event)] == [[number] for number in range(6)]
    assert {event.subscription for event in events if isinstance(event, Event)} == {subscription}


async def test_what_was_written_but_did_not_arrive_is_sent_again(router: Router, realm: RealmUnderTest) -> None:
    publisher, peer = await realm.join(), await open_resumable(realm)
    await peer.subscribe(TOPIC)
    for number in range(4):
        await publisher.publish(TOPIC, number)
    for _ in range(4):
        await peer.expect(Event)
    await lose(router, peer)

    again = await resume(realm, peer, received=3)  # SUBSCRIBED and two events, as far as the client knows

    assert [(await again.expect(Event)).args for _ in range(2)] == [[2], [3]]


async def test_what_the_client_has_received_is_not_sent_again(router: Router, realm: RealmUnderTest) -> None:
    publisher, peer = await realm.join(), await open_resumable(realm)
    await peer.subscribe(TOPIC)
    await publisher.publish(TOPIC, "seen")
    await peer.expect(Event)
    await lose(router, peer)

    again = await resume(realm, peer, received=2)

    await publisher.publish(TOPIC, "new")
    event = await next_counted(again)
    assert isinstance(event, Event)
    assert event.args == ["new"]


async def test_results_of_pending_calls_wait_for_the_caller(router: Router, realm: RealmUnderTest) -> None:
    callee, peer = await realm.join(), await open_resumable(realm)
    await callee.register(PROCEDURE)
    request = await peer.call(PROCEDURE, 1)
    invocation = await callee.expect(Invocation)
    await lose(router, peer)
    await callee.yield_(invocation, "late")

    again = await resume(realm, peer, received=0)

    result = await next_counted(again)
    assert isinstance(result, Result)
    assert (result.request, result.args) == (request, ["late"])


async def test_registrations_live_on_and_invocations_wait_for_the_callee(router: Router, realm: RealmUnderTest) -> None:
    caller, peer = await realm.join(), await open_resumable(realm)
    await peer.register(PROCEDURE)
    await lose(router, peer)
    await caller.call(PROCEDURE, "are you there?")

    again = await resume(realm, peer, received=1)

    invocation = await next_counted(again)
    assert isinstance(invocation, Invocation)
    await again.yield_(invocation, "yes")
    assert (await caller.expect(Result)).args == ["yes"]


async def test_a_session_can_be_resumed_again_and_again(router: Router, realm: RealmUnderTest) -> None:
    publisher, peer = await realm.join(), await open_resumable(realm)
    await peer.subscribe(TOPIC)

    for number in range(3):
        await lose(router, peer)
        await publisher.publish(TOPIC, number)
        peer = await resume(realm, peer, received=1 + number)
        event = await next_counted(peer)
        assert isinstance(event, Event)
        assert event.args == [number]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_another_serializer_gets_what_was_kept_translated(
    router: Router, realm: RealmUnderTest, serializer: str
) -> None:
    publisher, peer = await realm.join(), await open_resumable(realm)
    await peer.subscribe(TOPIC)
    await lose(router, peer)
    await publisher.publish(TOPIC, "é", 1.5, [None])

    again = await resume(realm, peer, received=1, transport="websocket", serializer=serializer)

    event = await next_counted(again)
    assert isinstance(event, Event)
    assert event.args == ["é", 1.5, [None]]


# --- from the client to the router -----------------------------------------------------------------


async def test_the_router_tells_how_far_it_came_and_executes_nothing_twice(
    router: Router, realm: RealmUnderTest
) -> None:
    subscriber, peer = await realm.join(), await open_resumable(realm)
    await subscriber.subscribe(TOPIC)
    sent = [Publish(number, PublishOptions(acknowledge=True), TOPIC, [number]) for number in range(1, 4)]
    for message in sent[:2]:
        await peer.send(message)
        await subscriber.expect(Event)
    await lose(router, peer)

    again = await resume(realm, peer, received=0)
    assert again.welcome is not None
    assert again.welcome.details.resumed is True
    assert again.welcome.details.received == 2
    for message in sent[2:]:  # what is behind the router's count
        await again.send(message)

    event = await subscriber.expect(Event)
    assert event.args == [3]
    await subscriber.expect_nothing()
    acknowledgements = [await next_counted(again) for _ in range(3)]
    assert [message.request for message in acknowledgements if isinstance(message, Published)] == [1, 2, 3]


async def test_the_router_confirms_what_it_has_received(realm: RealmUnderTest) -> None:
    peer = await open_resumable(realm)

    for number in range(1, 65):
        await peer.send(Publish(number, PublishOptions(), TOPIC, []))

    assert await peer.expect(Received) == Received(64)


async def test_a_few_messages_are_confirmed_before_long(realm: RealmUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "RECEIVED_WITHIN", 0.01)
    peer = await open_resumable(realm)

    await peer.send(Publish(1, PublishOptions(), TOPIC, []))

    assert await peer.expect(Received) == Received(1)


async def test_what_the_client_confirms_is_not_kept_any_longer(router: Router, realm: RealmUnderTest) -> None:
    publisher, peer = await realm.join(), await open_resumable(realm)
    await peer.subscribe(TOPIC)
    for number in range(10):
        await publisher.publish(TOPIC, number)
    for _ in range(10):
        assert isinstance(await next_counted(peer), Event)

    await peer.send(Received(11))
    await peer.expect_nothing()
    session = session_of(router, realm, peer)

    assert session is not None
    assert session.resumption is not None
    assert session.resumption.outbox.received == 11


@pytest.mark.parametrize("count", [2, 2**53])
async def test_confirming_more_than_was_sent_is_a_protocol_violation(realm: RealmUnderTest, count: int) -> None:
    peer = await open_resumable(realm)
    await peer.subscribe(TOPIC)

    await peer.send(Received(count))

    abort = await peer.expect(Abort)
    assert abort.reason == "wamp.error.protocol_violation"


async def test_received_in_an_ordinary_session_is_a_protocol_violation(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    await peer.send(Received(0))

    assert (await peer.expect(Abort)).reason == "wamp.error.protocol_violation"


# --- who may resume, and when ----------------------------------------------------------------------


async def expect_refusal(realm: RealmUnderTest, how: dict[str, Any] | None = None, **details: Any) -> Abort:
    peer = await realm.connect(**(how or {}))
    await peer.send(hello(realm, **details))
    abort = await peer.expect(Abort)
    await peer.expect_end()
    return abort


async def test_a_wrong_token_and_an_unknown_session_are_refused_alike(router: Router, realm: RealmUnderTest) -> None:
    peer = await open_resumable(realm)
    await lose(router, peer)

    wrong_token = await expect_refusal(realm, resume_session=peer.session, resume_token="x" * 32)
    no_token = await expect_refusal(realm, resume_session=peer.session)
    unknown = await expect_refusal(realm, resume_session=1, resume_token="x" * 32)

    assert wrong_token == no_token == unknown
    assert unknown.reason == NO_SUCH_SESSION


async def test_a_token_is_used_up_once_the_client_has_spoken_on_the_new_connection(
    router: Router, realm: RealmUnderTest
) -> None:
    peer = await open_resumable(realm)
    await lose(router, peer)
    again = await resume(realm, peer, received=0)
    await again.send(Received(0))
    await again.expect_nothing()
    await lose(router, again)

    abort = await expect_refusal(realm, **with_token(peer))

    assert abort.reason == NO_SUCH_SESSION


async def test_a_welcome_that_was_lost_with_its_connection_loses_nothing(router: Router, realm: RealmUnderTest) -> None:
    publisher, peer = await realm.join(), await open_resumable(realm)
    await peer.subscribe(TOPIC)
    await lose(router, peer)
    for _ in range(3):
        await lose(router, await resume(realm, peer, received=1))  # the client has never seen the new token

    again = await resume(realm, peer, received=1)

    await publisher.publish(TOPIC, "still there")
    event = await next_counted(again)
    assert isinstance(event, Event)
    assert event.args == ["still there"]
    await lose(router, again)
    await resume(realm, again, received=2)


async def test_a_way_that_cannot_carry_what_was_kept_is_refused_and_another_one_is_not(
    router: Router, realm: RealmUnderTest
) -> None:
    publisher, peer = await realm.join(), await open_resumable(realm, transport="websocket", serializer="msgpack")
    await peer.subscribe(TOPIC)
    await lose(router, peer)
    await publisher.publish(TOPIC, "x" * 4090)

    abort = await expect_refusal(
        realm, {"transport": "rawsocket", "max_message_bytes": 4096}, **with_token(peer), received=1
    )

    assert abort.reason == "wamp.error.payload_size_exceeded"
    again = await resume(realm, peer, received=1)
    event = await next_counted(again)
    assert isinstance(event, Event)
    assert event.args == ["x" * 4090]


async def test_what_a_client_said_before_a_resumption_that_was_refused_may_come_late(realm: RealmUnderTest) -> None:
    publisher, peer = await realm.join(), await open_resumable(realm, transport="websocket", serializer="msgpack")
    await peer.subscribe(TOPIC)
    for size in (1, 2, 4090):
        await publisher.publish(TOPIC, "x" * size)
        assert isinstance(await next_counted(peer), Event)

    abort = await expect_refusal(
        realm, {"transport": "rawsocket", "max_message_bytes": 4096}, **with_token(peer), received=3
    )
    assert abort.reason == "wamp.error.payload_size_exceeded"
    # It was on its way on the connection that the client has given up, and the router has not.
    await peer.send(Received(1))
    await peer.send(Received(2))
    await publisher.publish(TOPIC, "more")
    assert isinstance(await next_counted(peer), Event)

    await peer.send(Received(1))
    assert (await peer.expect(Abort)).reason == "wamp.error.protocol_violation"


@pytest.mark.parametrize(("size", "count"), [(5000, 1), (2000, 5)], ids=["one long message", "many messages"])
async def test_what_would_take_long_to_translate_is_kept_for_the_serializer_that_it_is_in(
    router: Router, realm: RealmUnderTest, size: int, count: int
) -> None:
    publisher = await realm.join(transport="websocket", serializer="msgpack")
    peer = await open_resumable(realm, transport="websocket", serializer="msgpack")
    await peer.subscribe(TOPIC)
    await lose(router, peer)
    for _ in range(count):
        await publisher.publish(TOPIC, "x" * size)

    abort = await expect_refusal(
        realm, {"transport": "websocket", "serializer": "cbor"}, **with_token(peer), received=1
    )

    assert abort.reason == "wamp.error.payload_size_exceeded"
    again = await resume(realm, peer, received=1, transport="websocket-batched", serializer="msgpack")
    assert isinstance(await next_counted(again), Event)


async def test_a_serializer_that_cannot_express_what_was_kept_is_refused_and_another_one_is_not(
    router: Router, realm: RealmUnderTest
) -> None:
    peer = await open_resumable(realm, transport="websocket", serializer="cbor")
    publisher = await realm.join(transport="websocket", serializer="cbor")
    await peer.subscribe(TOPIC)
    await lose(router, peer)
    await publisher.publish(TOPIC, {(1, 2): "a list is the key"})

    abort = await expect_refusal(
        realm, {"transport": "websocket", "serializer": "json"}, **with_token(peer), received=1
    )

    assert abort.reason == "wamp.error.invalid_argument"
    again = await resume(realm, peer, received=1, transport="websocket", serializer="cbor")
    assert isinstance(await next_counted(again), Event)


async def test_a_token_is_bound_to_the_authid(router: Router, realm: RealmUnderTest) -> None:
    peer = await open_resumable(realm)
    await lose(router, peer)

    abort = await expect_refusal(realm, **with_token(peer), authid="somebody else")

    assert abort.reason == NO_SUCH_SESSION


async def test_the_session_of_another_client_that_cannot_be_resumed_is_refused(realm: RealmUnderTest) -> None:
    ordinary = await realm.join()

    abort = await expect_refusal(realm, resume_session=ordinary.session, resume_token="")

    assert abort.reason == NO_SUCH_SESSION
    await ordinary.expect_nothing()


async def test_a_count_that_cannot_be_ends_the_attempt_but_not_the_session(
    router: Router, realm: RealmUnderTest
) -> None:
    peer = await open_resumable(realm)
    await lose(router, peer)

    abort = await expect_refusal(realm, **with_token(peer), received=7)

    assert abort.reason == "wamp.error.protocol_violation"
    await resume(realm, peer, received=0)


async def test_a_resumption_takes_over_a_connection_that_is_still_open(realm: RealmUnderTest) -> None:
    publisher, peer = await realm.join(), await open_resumable(realm)
    await peer.subscribe(TOPIC)

    again = await resume(realm, peer, received=1)

    await publisher.publish(TOPIC, "for the new connection")
    event = await next_counted(again)
    assert isinstance(event, Event)
    assert event.args == ["for the new connection"]


async def test_after_the_window_the_session_ends_as_any_other(router: Router, realm: RealmUnderTest) -> None:
    router.gateway.resume_window = 0.02
    caller, peer = await realm.join(), await open_resumable(realm)
    await peer.register(PROCEDURE)
    await caller.call(PROCEDURE)
    await peer.expect(Invocation)

    await peer.vanish()

    error = await caller.expect(Error)
    assert error.error == "wamp.error.canceled"
    await ended(router, realm, peer)
    abort = await expect_refusal(realm, **with_token(peer))
    assert abort.reason == NO_SUCH_SESSION


async def test_goodbye_ends_a_session_for_good(router: Router, realm: RealmUnderTest) -> None:
    peer = await open_resumable(realm)

    await peer.leave()

    assert session_of(router, realm, peer) is None


async def test_a_connection_may_carry_an_ordinary_session_after_a_resumable_one(realm: RealmUnderTest) -> None:
    peer = await open_resumable(realm)
    await peer.leave()

    await peer.join(realm.name)

    await peer.subscribe(TOPIC)
    await peer.expect_nothing()


async def test_a_session_that_is_away_ends_when_too_much_is_kept_for_it(router: Router, realm: RealmUnderTest) -> None:
    limit = router.gateway.max_outbox_bytes
    router.gateway.max_outbox_bytes = 10_000
    try:
        peer = await open_resumable(realm)
    finally:
        router.gateway.max_outbox_bytes = limit
    publisher = await realm.join()
    await peer.subscribe(TOPIC)
    await lose(router, peer)

    for _ in range(3):
        await publisher.publish(TOPIC, "x" * 5000)

    await ended(router, realm, peer)


@pytest.mark.parametrize("confirms", [True, False], ids=["confirms", "does not"])
async def test_a_client_that_confirms_nothing_for_long_is_disconnected_and_its_session_ends(
    router: Router, realm: RealmUnderTest, confirms: bool
) -> None:
    """docs/resume.md, Counting: what may be kept is bounded, also while there is a connection."""
    limit = router.gateway.max_outbox_bytes
    router.gateway.max_outbox_bytes = 10_000
    try:
        peer = await open_resumable(realm)
    finally:
        router.gateway.max_outbox_bytes = limit
    publisher = await realm.join()
    await peer.subscribe(TOPIC)

    for number in range(2):
        await publisher.publish(TOPIC, "x" * 4000)
        await next_counted(peer)
        if confirms:
            await peer.send(Received(2 + number))
            await peer.call("com.nowhere")
            await next_counted(peer)
    await publisher.publish(TOPIC, "y" * 4000)

    if confirms:
        assert isinstance(await next_counted(peer), Event)
    else:
        await ended(router, realm, peer)


async def test_calls_made_before_the_drop_are_answered_after_it(router: Router, realm: RealmUnderTest) -> None:
    """A CALL that the router received just before the connection was lost is executed, once."""
    callee, peer = await realm.join(), await open_resumable(realm)
    await callee.register(PROCEDURE)
    await peer.send(Call(1, CallOptions(), PROCEDURE, ["once"]))
    invocation = await callee.expect(Invocation)
    await lose(router, peer)

    again = await resume(realm, peer, received=0)

    assert again.welcome is not None
    assert again.welcome.details.received == 1
    await callee.yield_(invocation, "done")
    result = await next_counted(again)
    assert isinstance(result, Result)
    await callee.expect_nothing()


async def test_leaving_a_resumed_session_is_an_ordinary_goodbye(router: Router, realm: RealmUnderTest) -> None:
    peer = await open_resumable(realm)
    await lose(router, peer)
    again = await resume(realm, peer, received=0)

    goodbye = await again.leave()

    assert isinstance(goodbye, Goodbye)
    assert session_of(router, realm, again) is None
