"""What one message brings about may be very much: it is done bit by bit, and everybody else goes on meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conformance.waiting import TIMEOUT
from tests.fuzzing import fuzzing
from tests.serve.scene import WIRES, Client, open_gateway, settle

from rocade.router.departure import MUCH
from rocade.router.effects import Deliver
from rocade.router.history import HistoryRule
from rocade.router.meta_events import ASKED_AT_ONCE
from rocade.router.permissions import Permission, Role
from rocade.router.publication import MANY_SUBSCRIPTIONS
from rocade.serve import backlog
from rocade.serve.delivery import MOST_AT_ONCE
from rocade.serve.gateway import Gateway
from rocade.serve.internal import InternalCalls
from rocade.serve.session import ConnectedSession
from rocade.serve.translation import Translation
from rocade.wamp.codec import JSON, MSGPACK
from rocade.wamp.messages import (
    Error,
    Event,
    EventDetails,
    Goodbye,
    Invocation,
    Match,
    Published,
    Result,
    Subscribe,
    Subscribed,
    SubscribeOptions,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)

MANY = 2 * MANY_SUBSCRIPTIONS
TOPIC = "a.a.a.a.a.a.a"
PATTERNS = [".".join("" if number >> bit & 1 else "a" for bit in range(7)) for number in range(1, MANY + 1)]


@pytest.fixture(autouse=True)
def _step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than one step is done in each round of the loop, however fast the machine is."""
    monkeypatch.setattr(backlog, "SLICE_SECONDS", -1.0)


def joined(gateway: Gateway, *serializers: str, realm: str = "realm1") -> list[Client]:
    clients = [Client(gateway, wire=WIRES[serializer]) for serializer in serializers]
    for client in clients:
        client.join(realm)
    return clients


def subscribe_to_all(client: Client) -> None:
    for pattern in PATTERNS:
        client.subscribe(pattern, Match.WILDCARD)
    client.take()


async def work_off(gateway: Gateway) -> None:
    """Let the loop go on until nothing is left to be done."""
    while any(gateway.delivery.has_backlog(realm) for realm in gateway.realms.values()):  # noqa: ASYNC110
        await asyncio.sleep(0)
    await settle()


# --- others go on -----------------------------------------------------------------------------------------


async def test_an_event_for_very_many_subscriptions_is_delivered_bit_by_bit_while_another_realm_goes_on() -> None:
    gateway = open_gateway(realms=("realm1", "realm2"))
    publisher, subscriber = joined(gateway, "json", "json")
    (elsewhere,) = joined(gateway, "json", realm="realm2")
    subscribe_to_all(subscriber)

    publisher.publish(TOPIC, 1)
    counts = [len(subscriber.take())]
    for _ in range(3):
        await asyncio.sleep(0)
        elsewhere.call("wamp.session.count")
        assert elsewhere.args(elsewhere.take_one()) == [1]
        counts.append(len(subscriber.take()))
    await work_off(gateway)

    assert counts == [1, 1, 1, 1]
    assert len(subscriber.take()) == MANY - 4


async def test_two_realms_with_much_to_do_take_turns() -> None:
    gateway = open_gateway(realms=("realm1", "realm2"))
    pairs = [joined(gateway, "json", "json", realm=realm) for realm in gateway.realms]
    for publisher, subscriber in pairs:
        subscribe_to_all(subscriber)
        publisher.publish(TOPIC, 1)
        assert len(subscriber.take()) == 1

    for _ in range(2):
        await asyncio.sleep(0)

    assert [len(subscriber.take()) for _, subscriber in pairs] == [1, 1]


async def test_a_message_for_very_many_receivers_is_encoded_once_and_delivered_bit_by_bit() -> None:
    gateway = open_gateway()
    publisher, *subscribers = joined(gateway, *["json", "msgpack"] * MOST_AT_ONCE, "json")
    for client in subscribers:
        client.subscribe("com.topic")
        client.take()

    publisher.publish("com.topic", 1)
    at_first = [len(client.take()) for client in subscribers]
    await work_off(gateway)

    assert at_first == [1] * MOST_AT_ONCE + [0] * MOST_AT_ONCE
    assert [len(client.take()) for client in subscribers] == [0] * MOST_AT_ONCE + [1] * MOST_AT_ONCE
    for name in ("json", "msgpack"):
        assert len({id(client.link.frames[-1]) for client in subscribers if client.link.wire is WIRES[name]}) == 1


async def test_very_many_listeners_hear_of_a_subscription_bit_by_bit_if_they_may() -> None:
    gateway = open_gateway()
    listeners = joined(gateway, *["json"] * (2 * ASKED_AT_ONCE + 1))
    for client in listeners:
        client.subscribe("wamp.subscription.on_subscribe")
        client.take()

    listeners[0].subscribe("com.topic")
    assert [type(message) for message in listeners[0].take()] == [Subscribed]
    await work_off(gateway)

    assert [type(message) for client in listeners for message in client.take()] == [Event] * len(listeners)


async def test_a_call_of_the_router_itself_waits_its_turn() -> None:
    gateway = open_gateway()
    publisher, subscriber = joined(gateway, "json", "json")
    subscribe_to_all(subscriber)
    subscriber.register("com.procedure")
    subscriber.take()
    publisher.publish(TOPIC, 1)

    call = asyncio.create_task(InternalCalls(gateway).call("realm1", "com.procedure", 1))
    await work_off(gateway)
    *before, invocation = subscriber.take()
    subscriber.yield_(invocation.request, "answer")

    assert [type(message) for message in before] == [Event] * MANY
    assert await call == "answer"


async def test_very_many_retained_events_come_bit_by_bit_behind_subscribed_and_before_what_is_published_then() -> None:
    gateway = open_gateway()
    publisher, subscriber = joined(gateway, "json", "json")
    for number in range(20):
        publisher.publish(f"com.example.n{number}", number, retain=True)
    subscriber.send(Subscribe(1, SubscribeOptions(match=Match.PREFIX, get_retained=True), "com."))
    assert [type(message) for message in subscriber.take()] == [Subscribed]

    publisher.publish("com.example.n3", "new", retain=True)
    await work_off(gateway)

    assert [subscriber.args(event) for event in subscriber.take()] == [*([number] for number in range(20)), ["new"]]


async def test_who_brings_about_very_much_is_not_read_until_it_is_done() -> None:
    gateway = open_gateway()
    publisher, subscriber = joined(gateway, "json", "json")
    subscribe_to_all(subscriber)

    for number in range(3):
        publisher.publish(TOPIC, number)
    assert publisher.link.reading == ["pause"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(publisher.link.held) == 2
    while publisher.link.held or publisher.link.is_paused:
        await work_off(gateway)

    assert publisher.link.reading == ["pause", "resume"] * 3
    assert [subscriber.args(event) for event in subscriber.take()] == [[n] for n in range(3) for _ in PATTERNS]


async def test_who_sends_what_is_refused_meanwhile_is_not_read_either() -> None:
    gateway = open_gateway()
    publisher, subscriber, other = joined(gateway, "json", "json", "json")
    subscribe_to_all(subscriber)
    publisher.publish(TOPIC, 1)

    for _ in range(3):
        other.call("no such procedure")
    assert len(other.link.held) == 2
    while other.link.held or other.link.is_paused:
        await work_off(gateway)

    assert [type(message) for message in other.take()] == [Error] * 3


# --- the order --------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["publish", "publish", "publish elsewhere", "subscribe", "retained", "call", "answer", "join"]),
    ),
    max_size=12,
)


async def played(steps: list[tuple[int, str]]) -> list[list[bytes]]:
    """What each of some clients gets."""
    gateway = open_gateway()
    clients = joined(gateway, "json", "msgpack", "json", "cbor")
    subscribe_to_all(clients[0])
    subscribe_to_all(clients[3])
    clients[1].register("com.procedure")
    invocations: deque[int] = deque()
    for number, (which, what) in enumerate(steps):
        while clients[which].link.is_paused:  # noqa: ASYNC110
            await asyncio.sleep(0)
        client = clients[which]
        if what == "publish":
            client.publish(TOPIC, number, acknowledge=True, exclude_me=False, retain=True)
        elif what == "publish elsewhere":
            client.publish("com.topic", number)
        elif what == "subscribe":
            topics = ("a.", Match.PREFIX), ("com.topic", None), ("wamp.subscription.on_subscribe", None)
            client.subscribe(*topics[number % 3])
        elif what == "retained":
            options = SubscribeOptions(match=Match.WILDCARD, get_retained=True)
            client.send(Subscribe(client.next_request(), options, PATTERNS[number]))
        elif what == "call":
            client.call("com.procedure" if number % 2 else "wamp.session.count", number)
        elif what == "answer":
            await work_off(gateway)
            invocations.extend(it.request for it in clients[1].take() if type(it) is Invocation)
            if invocations and not clients[1].link.is_paused:
                clients[1].yield_(invocations.popleft(), number)
        else:
            joined(gateway, "json")
    await work_off(gateway)
    gateway.flusher.flush()
    # Behind WELCOME, with the random name that it gives them.
    return [client.link.frames[1:] for client in clients]


@fuzzing(60)
@given(STEPS)
def test_what_each_gets_and_in_which_order_does_not_depend_on_how_much_is_done_at_once(
    steps: list[tuple[int, str]],
) -> None:
    bit_by_bit = asyncio.run(played(steps))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(backlog, "SLICE_SECONDS", float("inf"))
        at_once = asyncio.run(played(steps))

    assert bit_by_bit == at_once


async def test_who_subscribes_meanwhile_does_not_get_it_and_who_unsubscribes_gets_no_more_of_it() -> None:
    gateway = open_gateway()
    publisher, early, late = joined(gateway, "json", "json", "json")
    subscribe_to_all(early)
    publisher.publish(TOPIC, 1)
    first = early.take_one().subscription
    gone = next(id for id in reversed(gateway.realms["realm1"].broker.subscriptions) if id != first)

    late.subscribe(PATTERNS[-1], Match.WILDCARD)
    late.subscribe("a.", Match.PREFIX)
    early.send(Unsubscribe(early.next_request(), gone))
    await work_off(gateway)

    assert [type(message) for message in late.take()] == [Subscribed, Subscribed]
    *received, unsubscribed = early.take()
    assert type(unsubscribed) is Unsubscribed
    assert len(received) == MANY - 2
    assert gone not in [event.subscription for event in received]


async def test_an_acknowledgement_comes_when_all_the_rest_is_done() -> None:
    gateway = open_gateway()
    publisher, subscriber = joined(gateway, "json", "json")
    subscribe_to_all(subscriber)

    publisher.publish(TOPIC, 1, acknowledge=True)
    for _ in range(MANY // 2):
        await asyncio.sleep(0)
        assert publisher.take() == []
    await work_off(gateway)

    assert type(publisher.take_one()) is Published


# --- sessions that come and go ----------------------------------------------------------------------------


async def test_nothing_of_it_comes_behind_goodbye_nor_in_a_new_session_on_the_same_connection() -> None:
    gateway = open_gateway()
    publisher, subscriber = joined(gateway, "json", "json")
    subscribe_to_all(subscriber)
    publisher.publish(TOPIC, 1)

    subscriber.goodbye()
    subscriber.hello()
    await work_off(gateway)

    assert [type(message) for message in subscriber.take()] == [Event, Goodbye, Welcome]


async def test_nothing_of_it_comes_behind_the_goodbye_of_a_router_that_shuts_down() -> None:
    gateway = open_gateway()
    publisher, subscriber = joined(gateway, "json", "json")
    subscribe_to_all(subscriber)
    publisher.publish(TOPIC, 1)

    await gateway.shutdown(0.0)
    await settle()

    assert [type(message) for message in subscriber.take()] == [Event, Goodbye]
    assert not gateway.delivery.has_backlog(gateway.realms["realm1"])


async def test_a_router_that_shuts_down_sees_the_end_of_a_session_through_that_has_much_and_left_meanwhile() -> None:
    gateway = open_gateway()
    publisher, subscriber, leaving = joined(gateway, "json", "json", "json")
    subscribe_to_all(subscriber)
    for number in range(MUCH + 1):
        leaving.register(f"com.p{number}")
    realm = gateway.realms["realm1"]
    publisher.publish(TOPIC, 1)

    leaving.link.lose()
    assert len(realm.dealer.registrations) == MUCH + 1
    await gateway.shutdown(0.0)

    assert list(realm.dealer.registrations) == []
    assert list(realm.sessions) == []


async def test_a_session_that_is_killed_meanwhile_gets_all_of_it_and_then_goodbye_and_is_not_heard_any_more() -> None:
    gateway = open_gateway()
    publisher, subscriber, killer = joined(gateway, "json", "json", "json")
    subscribe_to_all(subscriber)
    realm = gateway.realms["realm1"]
    victim = list(realm.sessions)[1]
    for client in (publisher, killer):
        client.subscribe("com.published")
        client.take()
    publisher.publish(TOPIC, 1)

    realm.broker.announcer.patterns_changed()
    killer.call("wamp.session.kill", victim)
    subscriber.publish("com.published", "from the grave")
    subscriber.register("com.procedure")
    subscriber.call("com.procedure")
    await work_off(gateway)

    received = subscriber.take()
    assert [type(message) for message in received] == [Event, Goodbye]
    assert [type(message) for message in killer.take()] == [Result]
    assert publisher.take() == []
    assert list(realm.dealer.registrations) == []
    subscriber.goodbye("wamp.close.goodbye_and_out")
    assert subscriber.link.closed is not None


async def test_a_session_that_is_killed_and_says_goodbye_meanwhile_may_open_another_one() -> None:
    gateway = open_gateway()
    publisher, subscriber, killer = joined(gateway, "json", "json", "json")
    subscribe_to_all(subscriber)
    publisher.publish(TOPIC, 1)
    killer.call("wamp.session.kill", list(gateway.realms["realm1"].sessions)[1])

    subscriber.goodbye()
    subscriber.hello()
    await work_off(gateway)

    assert [type(message) for message in subscriber.take()] == [Event, Goodbye, Welcome]
    subscriber.last_request = 0
    subscriber.call("wamp.session.count")
    assert subscriber.args(subscriber.take_one()) == [3]


async def test_a_session_that_is_resumed_meanwhile_gets_all_of_it_in_order() -> None:
    gateway = open_gateway(resume_window=60)
    (publisher,) = joined(gateway, "json")
    before = Client(gateway)
    before.hello(resumable=True)
    welcome = before.take_one()
    before.last_request = 0
    subscribe_to_all(before)
    publisher.publish(TOPIC, "first", acknowledge=True)
    await asyncio.sleep(0)

    before.link.lose()
    await asyncio.sleep(0)
    after = Client(gateway, wire=WIRES["msgpack"])
    details = welcome.details
    after.hello(resumable=True, resume_session=welcome.session, resume_token=details.resume_token, received=MANY)
    await work_off(gateway)
    publisher.publish("a.b.a.a.a.a.a", "second")
    await work_off(gateway)

    again, *received = after.take()
    assert again.details.resumed
    found = [after.args(event) for event in received]
    assert found[:MANY] == [["first"]] * MANY
    assert found[MANY:] == [["second"]] * len(found[MANY:])


async def test_events_for_the_history_are_stored_before_the_router_ends() -> None:
    stored: list[Any] = []

    class Store:
        def put(self, effect: Any) -> None:
            stored.append(effect.record.event.args)

        def find(self, query: Any, done: Any) -> None: ...

    gateway = Gateway()
    everything = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
    gateway.event_stores["realm1"] = Store()
    rule = HistoryRule(uri=TOPIC, match=Match.EXACT, limit=10)
    gateway.add_realm("realm1", [Role("user", [everything])], history=[rule], has_event_store=True)
    publisher, subscriber = joined(gateway, "json", "json")
    subscribe_to_all(subscriber)

    publisher.publish(TOPIC, 1)
    assert stored == []
    await gateway.shutdown(0.0)

    assert len(stored) == 1


# --- what can go wrong ------------------------------------------------------------------------------------


async def test_a_fault_of_ours_ends_what_follows_from_one_message_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = open_gateway()
    publisher, subscriber, other = joined(gateway, "json", "json", "json")
    subscribe_to_all(subscriber)
    publisher.publish(TOPIC, 1)
    other.call("wamp.session.count")
    outbox = gateway.realms["realm1"].sessions[list(gateway.realms["realm1"].sessions)[1]].outbox  # type: ignore[attr-defined]
    subscriber.take()

    with caplog.at_level(logging.ERROR, "rocade.gateway"), monkeypatch.context() as patched:
        patched.setattr(type(outbox), "put", _broken)
        await asyncio.sleep(0)
    await work_off(gateway)

    assert "our fault" in caplog.text
    assert subscriber.take() == []
    assert type(other.take_one()) is Result


def _broken(outbox: Any, frame: Any) -> None:
    raise ZeroDivisionError


async def test_a_translation_that_is_there_already_is_given_to_receivers_whose_turn_comes_later() -> None:
    gateway = open_gateway()
    clients = joined(gateway, "msgpack", "msgpack")
    first, second = gateway.realms["realm1"].sessions.values()
    assert isinstance(first, ConnectedSession)
    assert isinstance(second, ConnectedSession)
    message = Event(1, 2, EventDetails(), JSON.dump(["x" * 10_000]))
    told: list[Any] = []
    try:
        translation = Translation(
            gateway.translating, Deliver(message, (), JSON), MSGPACK, lambda *undeliverable: told.append(undeliverable)
        )
        translation.keep_for(first)
        async with asyncio.timeout(TIMEOUT):
            while not (received := clients[0].take()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        translation.keep_for(second)

        assert clients[1].args(clients[1].take_one()) == clients[0].args(received[0]) == ["x" * 10_000]
        assert told == []
    finally:
        gateway.translating.close()


async def test_nobody_is_told_behind_goodbye_what_could_not_be_translated() -> None:
    gateway = open_gateway()
    caller, callee = joined(gateway, "json", "cbor")
    callee.register("com.procedure")
    caller.call("com.procedure")
    _, invocation = callee.take()

    try:
        # JSON has no form for such a key.
        callee.yield_(invocation.request, {(1, 2): "x" * 10_000})
        assert gateway.translating.backlog
        caller.goodbye()
        caller.hello()
        done = asyncio.Event()
        gateway.translating.call_below(1, done.set)
        async with asyncio.timeout(TIMEOUT):
            await done.wait()
        await settle()
    finally:
        gateway.translating.close()

    assert [type(message) for message in caller.take()] == [Goodbye, Welcome]
