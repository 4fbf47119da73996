"""The way of a session's messages into its realm: authorized first, and always in the order they were sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.serve.scene import EVERYTHING, Client, open_gateway, pass_time, settle

from rocade.router.permissions import Action, Decision, Permission, Role
from rocade.router.realm import Realm
from rocade.router.session import Session
from rocade.serve import admission as admission_module
from rocade.serve import backlog
from rocade.serve.admission import MANY_EFFECTS
from rocade.serve.gateway import Gateway
from rocade.wamp.messages import (
    Abort,
    CancelMode,
    Error,
    Event,
    Goodbye,
    Invocation,
    Match,
    Published,
    Register,
    Registered,
    RegisterOptions,
    Result,
    Subscribe,
    Subscribed,
    SubscribeOptions,
    Unsubscribe,
    Unsubscribed,
)
from rocade.wamp.uris import MAX_URI_LENGTH

YES, NO = Decision(True), Decision(False)


class Slow:
    """An authorizer that answers what is below "slow." when the test says so, and all else at once."""

    def __init__(self, *, gives_futures: bool = False) -> None:
        self.gives_futures = gives_futures
        # what it was asked about, and what its answers wait for
        self.asked: list[str] = []
        self.answers: dict[str, asyncio.Future[Any]] = {}
        self.started: list[str] = []

    def authorize(
        self, session: Session, action: Action, uri: str, match: Match, options: Any = None
    ) -> Decision | Awaitable[Decision]:
        self.asked.append(uri)
        if not uri.startswith("slow."):
            return YES
        future = self.answers[uri] = asyncio.get_running_loop().create_future()
        return future if self.gives_futures else self._answer(uri, future)

    async def _answer(self, uri: str, future: asyncio.Future[Any]) -> Any:
        self.started.append(uri)
        return await future


@pytest.fixture(params=[False, True], ids=["coroutines", "futures"])
def slow(request: pytest.FixtureRequest) -> Slow:
    return Slow(gives_futures=request.param)


def joined(gateway: Gateway, number: int) -> list[Client]:
    clients = [Client(gateway) for _ in range(number)]
    for client in clients:
        client.join(features=EVERYTHING)
    return clients


def everything_to(gateway: Gateway, *topics: str) -> Client:
    """A client that is subscribed to the topics and has registered procedures of the same names."""
    (client,) = joined(gateway, 1)
    realm, session = gateway.realms["realm1"], client.connection.session
    for uri in topics:
        # Past the authorizer, which is for the others.
        for message in (Subscribe(1, SubscribeOptions(), uri), Register(1, RegisterOptions(), uri)):
            gateway.delivery.carry_out(realm, realm.receive(session, message, 0.0))
    client.take()
    return client


# --- The common case ----------------------------------------------------------------------------------


async def test_what_can_be_answered_at_once_takes_no_task() -> None:
    publisher, subscriber = joined(open_gateway(), 2)
    subscriber.subscribe("com.topic")

    publisher.publish("com.topic")

    assert len(asyncio.all_tasks()) == 1
    assert [type(message) for message in subscriber.take()] == [Subscribed, Event]


async def test_what_is_not_allowed_is_not_authorized() -> None:
    gateway = Gateway()
    gateway.add_realm("realm1", [Role("user")])
    (client,) = joined(gateway, 1)

    client.call("com.proc")
    client.register("com.proc")
    client.subscribe("com.topic")
    client.publish("com.topic", acknowledge=True)

    errors = client.take()
    assert [(error.request_type, error.error) for error in errors] == [
        (code, "wamp.error.not_authorized") for code in (48, 64, 32, 16)
    ]
    assert client.args(errors[0]) == ["not allowed to call 'com.proc'"]


async def test_a_publication_that_is_not_allowed_fails_silently() -> None:
    gateway = Gateway()
    gateway.add_realm("realm1", [Role("user")])
    (client,) = joined(gateway, 1)

    client.publish("com.topic")

    assert client.take() == []


async def test_whether_a_procedure_exists_is_not_revealed_to_those_who_may_not_call_it() -> None:
    gateway = Gateway()
    register_only = Permission(uri="", match=Match.PREFIX, register=True)
    gateway.add_realm("realm1", [Role("user", [register_only])])
    callee, caller = joined(gateway, 2)
    callee.register("com.exists")

    caller.call("com.exists")
    caller.call("com.missing")

    assert [error.error for error in caller.take()] == ["wamp.error.not_authorized"] * 2


async def test_patterns_are_authorized_as_patterns() -> None:
    gateway = Gateway()
    rules = [Permission(uri="com.", match=Match.PREFIX, subscribe=True), Permission(uri="com.secret")]
    gateway.add_realm("realm1", [Role("user", rules)])
    (client,) = joined(gateway, 1)

    client.subscribe("com.", Match.PREFIX)
    client.subscribe("com.public", Match.PREFIX)

    assert [type(message) for message in client.take()] == [Error, Subscribed]


async def test_the_decision_discloses_callers_and_publishers() -> None:
    gateway = Gateway()
    rule = Permission(
        uri="",
        match=Match.PREFIX,
        call=True,
        register=True,
        publish=True,
        subscribe=True,
        disclose_caller=True,
        disclose_publisher=True,
    )
    gateway.add_realm("realm1", [Role("user", [rule])])
    sender, receiver = joined(gateway, 2)
    receiver.subscribe("com.topic")
    receiver.register("com.proc")
    receiver.take()

    sender.publish("com.topic")
    sender.call("com.proc")

    event, invocation = receiver.take()
    assert event.details.publisher == invocation.details.caller == sender.connection.session.id


async def test_what_is_too_long_for_a_uri_is_not_given_to_the_authorizer(slow: Slow) -> None:
    (client,) = joined(open_gateway(slow), 1)
    uri = "slow." + "a." * MAX_URI_LENGTH

    client.call(uri)
    client.register(uri)
    client.subscribe(uri, Match.PREFIX)
    client.publish(uri, acknowledge=True)

    assert [error.error for error in client.take()] == ["wamp.error.invalid_uri"] * 4
    assert slow.asked == []


# --- Order --------------------------------------------------------------------------------------------


async def test_all_that_a_session_sends_keeps_its_order_across_topics_and_procedures(slow: Slow) -> None:
    gateway = open_gateway(slow)
    receiver = everything_to(gateway, "slow.a", "slow.b", "com.c")
    (sender,) = joined(gateway, 1)

    sender.publish("slow.a", 1)
    sender.publish("com.c", 2)
    sender.call("slow.b", 3)
    sender.call("com.c", 4)
    sender.publish("slow.b", 5)
    await settle()
    assert receiver.take() == []
    slow.answers["slow.a"].set_result(YES)
    await settle()
    assert [receiver.args(message) for message in receiver.take()] == [[1], [2]]
    slow.answers["slow.b"].set_result(YES)
    await settle()
    slow.answers["slow.b"].set_result(YES)
    await settle()

    messages = receiver.take()
    assert [receiver.args(message) for message in messages] == [[3], [4], [5]]
    assert [type(message) for message in messages] == [Invocation, Invocation, Event]


async def test_answers_to_different_sessions_may_come_in_any_order(slow: Slow) -> None:
    gateway = open_gateway(slow)
    receiver = everything_to(gateway, "slow.a", "slow.b")
    first, second = joined(gateway, 2)

    first.publish("slow.a", 1)
    second.publish("slow.b", 2)
    await settle()
    slow.answers["slow.b"].set_result(YES)
    await settle()
    slow.answers["slow.a"].set_result(YES)
    await settle()

    assert [receiver.args(message) for message in receiver.take()] == [[2], [1]]


async def test_requests_that_need_no_permission_wait_in_their_turn_too(slow: Slow) -> None:
    (client,) = joined(open_gateway(slow), 1)
    client.subscribe("com.topic")
    subscription = client.take_one().subscription

    client.subscribe("slow.topic")
    client.send(Unsubscribe(client.next_request(), subscription))
    await settle()
    assert client.take() == []
    slow.answers["slow.topic"].set_result(YES)
    await settle()

    assert [type(message) for message in client.take()] == [Subscribed, Unsubscribed]


async def test_after_the_waiting_messages_are_at_hand_again_at_once(slow: Slow) -> None:
    (client,) = joined(open_gateway(slow), 1)
    client.subscribe("slow.topic")
    await settle()
    slow.answers["slow.topic"].set_result(YES)
    await settle()
    client.take()

    client.subscribe("com.topic")

    assert type(client.take_one()) is Subscribed


async def test_a_refusal_comes_in_its_turn(slow: Slow) -> None:
    (client,) = joined(open_gateway(slow), 1)

    client.subscribe("slow.topic")
    client.subscribe("com.topic")
    await settle()
    slow.answers["slow.topic"].set_result(NO)
    await settle()

    refused, subscribed = client.take()
    assert (refused.request, refused.error) == (1, "wamp.error.not_authorized")
    assert type(subscribed) is Subscribed


@pytest.mark.parametrize("answer", ["yield_", "error"])
async def test_yield_and_error_pass_what_waits(slow: Slow, answer: str) -> None:
    gateway = open_gateway(slow)
    callee, caller = joined(gateway, 2)
    callee.register("com.proc")
    caller.call("com.proc")
    callee.subscribe("slow.topic")

    getattr(callee, answer)(1)

    assert type(caller.take_one()) is (Result if answer == "yield_" else Error)
    await settle()
    slow.answers["slow.topic"].set_result(YES)
    await settle()


async def test_request_ids_are_checked_before_the_waiting(slow: Slow) -> None:
    (client,) = joined(open_gateway(slow), 1)
    client.subscribe("slow.topic")

    client.next_request()
    client.subscribe("com.topic")

    assert type(client.take_one()) is Abort
    await settle()


# --- CANCEL -------------------------------------------------------------------------------------------


async def assert_canceled_once(client: Client, callee: Client, request: int) -> None:
    await settle()
    error = client.take_one()
    assert (error.request_type, error.request, error.error) == (48, request, "wamp.error.canceled")
    assert callee.take() == []


@pytest.mark.parametrize("mode", [None, *CancelMode])
async def test_cancel_finds_a_call_whose_authorizer_has_not_been_asked_yet(slow: Slow, mode: CancelMode | None) -> None:
    gateway = open_gateway(slow)
    callee = everything_to(gateway, "com.proc", "com.next")
    (client,) = joined(gateway, 1)
    client.publish("slow.topic")
    request = client.call("com.proc")
    client.publish("com.next")

    client.cancel(request, mode)

    await assert_canceled_once(client, callee, request)
    slow.answers["slow.topic"].set_result(YES)
    await settle()
    assert type(callee.take_one()) is Event
    assert client.take() == []


@pytest.mark.parametrize("has_begun", [False, True])
async def test_cancel_finds_the_call_whose_authorizer_is_being_awaited(slow: Slow, has_begun: bool) -> None:
    gateway = open_gateway(slow)
    callee = everything_to(gateway, "slow.proc", "com.next")
    (client,) = joined(gateway, 1)
    request = client.call("slow.proc")
    if has_begun:
        await settle()

    client.cancel(request)

    await assert_canceled_once(client, callee, request)
    if slow.gives_futures or has_begun:
        assert slow.answers["slow.proc"].cancelled()
    client.call("com.next")
    assert type(callee.take_one()) is Invocation


@pytest.mark.parametrize("has_begun", [False, True])
async def test_what_waits_behind_a_canceled_call_does_not_wait_for_its_authorizer(slow: Slow, has_begun: bool) -> None:
    gateway = open_gateway(slow)
    receiver = everything_to(gateway, "slow.proc", "slow.topic", "com.topic")
    (client,) = joined(gateway, 1)
    request = client.call("slow.proc")
    client.publish("slow.topic", 1)
    client.publish("com.topic", 2)
    if has_begun:
        await settle()

    client.cancel(request)

    await assert_canceled_once(client, receiver, request)
    slow.answers["slow.topic"].set_result(YES)
    await settle()
    assert [receiver.args(message) for message in receiver.take()] == [[1], [2]]


async def test_an_authorizer_that_would_not_be_canceled_changes_nothing() -> None:
    class Stubborn(Slow):
        async def _answer(self, uri: str, future: asyncio.Future[Any]) -> Any:
            try:
                return await future
            except asyncio.CancelledError:
                return YES

    stubborn = Stubborn()
    gateway = open_gateway(stubborn)
    receiver = everything_to(gateway, "slow.proc", "slow.topic")
    (client,) = joined(gateway, 1)
    request = client.call("slow.proc")
    client.publish("slow.topic", 1)
    await settle()

    client.cancel(request)

    await assert_canceled_once(client, receiver, request)
    stubborn.answers["slow.topic"].set_result(YES)
    await settle()
    assert receiver.args(receiver.take_one()) == [1]


async def test_cancel_of_a_call_that_is_in_already_passes(slow: Slow) -> None:
    gateway = open_gateway(slow)
    callee = everything_to(gateway, "com.proc")
    (client,) = joined(gateway, 1)
    request = client.call("com.proc")
    callee.take()
    client.publish("slow.topic")

    client.cancel(request)

    assert client.take_one().error == "wamp.error.canceled"
    assert len(callee.take()) == 1
    await settle()
    slow.answers["slow.topic"].set_result(YES)
    await settle()


# --- Authorizers that fail ----------------------------------------------------------------------------


async def _raise() -> Any:
    raise LookupError("secret")


async def _nonsense() -> Any:
    return True


async def _canceled() -> Any:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    return await future


def _canceled_future() -> Any:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    return future


def _raise_at_once() -> Any:
    raise LookupError("secret")


@pytest.mark.parametrize(
    "answer",
    [
        _raise_at_once,
        _raise,
        _nonsense,
        _canceled,
        _canceled_future,
        lambda: None,
        lambda: True,
        lambda: "yes",
        lambda: object(),
    ],
    ids=["raises", "raises later", "nonsense later", "canceled", "canceled future", "None", "True", "str", "object"],
)
async def test_an_authorizer_that_fails_means_no(answer: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def authorize(self, session: Session, action: Action, uri: str, match: Match, options: Any = None) -> Any:
            return answer() if uri == "com.asked" else YES

    (client,) = joined(open_gateway(Failing()), 1)

    client.subscribe("com.asked")
    client.subscribe("com.next")
    await settle()

    error, subscribed = client.take()
    assert (error.request, error.error) == (1, "wamp.error.authorization_failed")
    assert "secret" not in str(client.args(error))
    assert type(subscribed) is Subscribed
    assert "refused" in caplog.text


async def test_an_authorizer_that_does_not_answer_in_time_means_no(
    slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    (client,) = joined(open_gateway(slow), 1)
    client.subscribe("slow.topic")
    await settle()

    await pass_time(admission_module.AUTHORIZATION_DEADLINE + 0.1)

    assert client.take_one().error == "wamp.error.authorization_failed"
    assert "did not answer SUBSCRIBE within 10 s" in caplog.text


async def test_the_deadline_is_for_each_question(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_module, "AUTHORIZATION_DEADLINE", 100.0)
    (client,) = joined(open_gateway(slow), 1)
    client.subscribe("slow.a")
    client.subscribe("slow.b")
    await settle()

    await pass_time(99)
    slow.answers["slow.a"].set_result(YES)
    await settle()
    await pass_time(99)
    slow.answers["slow.b"].set_result(YES)
    await settle()

    assert [type(message) for message in client.take()] == [Subscribed, Subscribed]


async def test_a_failure_of_ours_with_a_message_that_waited_ends_the_session(
    slow: Slow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = open_gateway(slow)
    (client,) = joined(gateway, 1)
    client.subscribe("slow.topic")
    client.subscribe("com.topic")
    await settle()

    with monkeypatch.context() as patch:
        patch.setattr(Realm, "receive", lambda *args: 1 / 0)
        slow.answers["slow.topic"].set_result(YES)
        await settle()

    assert client.take_one().reason == "wamp.error.runtime_error"
    assert "ZeroDivisionError" in caplog.text
    assert gateway.realms["realm1"].sessions == {}


async def test_a_violation_by_a_message_that_waited_ends_the_session(slow: Slow) -> None:
    gateway = open_gateway(slow)
    gateway.add_realm("old", list(gateway.realms["realm1"].roles.values()), sequential_requests=False)
    client, callee = Client(gateway), Client(gateway)
    for each in (client, callee):
        each.join("old")
    callee.register("com.proc")
    client.publish("slow.topic")
    client.call("com.proc")
    client.last_request -= 1
    client.call("com.proc")
    client.publish("com.topic")
    await settle()

    slow.answers["slow.topic"].set_result(YES)
    await settle()

    abort = client.take_one()
    assert (type(abort), abort.reason) == (Abort, "wamp.error.protocol_violation")


# --- Bounds -------------------------------------------------------------------------------------------


async def test_reading_is_paused_when_many_wait_and_resumed_when_half_of_them_are_in(slow: Slow) -> None:
    gateway = open_gateway(slow)
    receiver = everything_to(gateway, "com.topic")
    (client,) = joined(gateway, 1)
    client.publish("slow.topic")
    for number in range(admission_module.MAX_WAITING - 2):
        client.publish("com.topic", number)
    assert client.link.reading == []

    client.publish("com.topic", "the last that is read")
    client.publish("com.topic", "one that is not")
    assert client.link.reading == ["pause"]
    assert len(client.link.held) == 1
    await settle()
    slow.answers["slow.topic"].set_result(YES)
    await settle()

    assert client.link.reading == ["pause", "resume"]
    arguments = [receiver.args(message)[0] for message in receiver.take()]
    assert arguments == [*range(admission_module.MAX_WAITING - 2), "the last that is read", "one that is not"]


async def test_reading_is_resumed_when_the_session_ends(slow: Slow) -> None:
    gateway = open_gateway(slow)
    (client,) = joined(gateway, 1)
    for _ in range(admission_module.MAX_WAITING):
        client.publish("slow.topic")
    assert client.link.reading == ["pause"]

    client.connection.say_goodbye("wamp.close.system_shutdown", "")
    client.goodbye()
    await settle()

    assert client.link.reading == ["pause", "resume"]
    assert client.link.closed == ("", False)


# --- Leaving while something waits --------------------------------------------------------------------


@pytest.mark.parametrize("has_begun", [False, True])
@pytest.mark.parametrize("end", ["lost", "goodbye", "violation"])
async def test_a_session_that_ends_while_it_waits_leaves_nothing_and_later_answers_are_ignored(
    slow: Slow, has_begun: bool, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = open_gateway(slow)
    receiver = everything_to(gateway, "slow.topic", "com.topic")
    (client,) = joined(gateway, 1)
    client.publish("slow.topic", acknowledge=True)
    client.publish("com.topic", acknowledge=True)
    if has_begun:
        await settle()

    if end == "lost":
        client.link.lose()
    elif end == "goodbye":
        client.goodbye()
    else:
        client.link.deliver(b"[]")
    await settle()
    if not slow.answers["slow.topic"].done():
        slow.answers["slow.topic"].set_result(YES)
    await settle()

    assert receiver.take() == []
    assert [type(message) for message in client.take()] == {"lost": [], "goodbye": [Goodbye], "violation": [Abort]}[end]
    assert len(gateway.realms["realm1"].sessions) == 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_new_session_on_the_same_connection_does_not_wait_for_the_old_one(slow: Slow) -> None:
    (client,) = joined(open_gateway(slow), 1)
    client.subscribe("slow.topic")
    await settle()
    client.goodbye()
    client.take()

    client.join()
    client.publish("com.topic", acknowledge=True)

    assert type(client.take_one()) is Published
    await settle()


async def test_an_authorizer_that_calls_a_procedure_of_the_session_that_it_is_asked_about_does_not_deadlock() -> None:
    class Asking:
        """It asks the session itself, by a call whose result decides."""

        def __init__(self) -> None:
            self.result: asyncio.Future[Decision] | None = None

        def authorize(self, session: Session, action: Action, uri: str, match: Match, options: Any = None) -> Any:
            if action is not Action.SUBSCRIBE:
                return YES
            self.result = asyncio.get_running_loop().create_future()
            asking.call("com.may_i")
            return self.result

    authorizer = Asking()
    client, asking = joined(open_gateway(authorizer), 2)
    client.register("com.may_i")

    client.subscribe("com.topic")
    await settle()
    registered, invocation = client.take()
    client.yield_(invocation.request)
    assert type(asking.take_one()) is Result
    assert authorizer.result is not None
    authorizer.result.set_result(YES)
    await settle()

    assert type(registered) is Registered
    assert type(client.take_one()) is Subscribed


async def test_who_asks_for_thousands_of_events_again_and_again_lets_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlog, "SLICE_SECONDS", 0.0)
    gateway = open_gateway()
    publisher, greedy = joined(gateway, 2)
    for number in range(MANY_EFFECTS):
        publisher.publish(f"com.example.n{number}", retain=True)
    greedy.take()
    options = SubscribeOptions(match=Match.PREFIX, get_retained=True)

    for _ in range(3):
        greedy.send(Subscribe(greedy.next_request(), options, "com."))

    assert len(greedy.take()) <= MANY_EFFECTS
    assert len(greedy.link.held) == 2
    while greedy.link.held or greedy.link.is_paused:
        await settle()
    assert len(greedy.link.frames) - 1 == 3 * (MANY_EFFECTS + 1)
    assert greedy.link.reading == ["pause", "resume"] * 3
