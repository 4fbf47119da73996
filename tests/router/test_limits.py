"""What one session, and one realm, may have at a time."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from tests.router.scene import EVERYTHING, Scene, invocation, sent_one

from rocade.router.effects import Deliver, Effect, LimitReached
from rocade.router.history import HistoryRule
from rocade.router.limits import RealmLimits, SessionLimits
from rocade.router.session import Session
from rocade.wamp.messages import (
    CancelMode,
    Error,
    Invocation,
    Invoke,
    Match,
    Registered,
    Result,
    Subscribed,
)

LIMIT_EXCEEDED = "wamp.error.limit_exceeded"
NOBODY = "wamp.error.no_available_callee"
PAYLOAD = Raw(b'["' + b"x" * 96 + b'"]')


def reached(effects: list[Effect]) -> list[str]:
    return [effect.limit for effect in effects if type(effect) is LimitReached]


def refused(effects: list[Effect], session: Session, limit: str, maximum: int, uri: str = LIMIT_EXCEEDED) -> None:
    error = sent_one(effects, session)
    assert type(error) is Error
    assert (error.error, error.kwargs) == (uri, {"limit": limit, "max": maximum})
    assert reached(effects) == [limit]


# Subscriptions


def test_the_last_subscription_is_fine_and_the_next_one_is_refused(scene: Scene) -> None:
    session = scene.join(limits=SessionLimits(subscriptions=2))

    answers = [sent_one(scene.subscribe(session, topic), session) for topic in ("com.a", "com.b")]

    assert [type(answer) for answer in answers] == [Subscribed, Subscribed]
    refused(scene.subscribe(session, "com.c"), session, "subscriptions", 2)
    assert len(session.subscriptions) == len(scene.realm.broker.subscriptions) == 2


def test_subscribing_to_the_same_again_takes_no_room(scene: Scene) -> None:
    session = scene.join(limits=SessionLimits(subscriptions=1))
    scene.subscribe(session, "com.a")

    assert type(sent_one(scene.subscribe(session, "com.a"), session)) is Subscribed


def test_unsubscribing_makes_room(scene: Scene) -> None:
    session = scene.join(limits=SessionLimits(subscriptions=1))
    subscription = sent_one(scene.subscribe(session, "com.a"), session).subscription
    scene.unsubscribe(session, subscription)

    assert type(sent_one(scene.subscribe(session, "com.b"), session)) is Subscribed


def test_one_sessions_limit_is_not_anothers(scene: Scene) -> None:
    one, other = scene.join(limits=SessionLimits(subscriptions=1)), scene.join(limits=SessionLimits(subscriptions=1))
    scene.subscribe(one, "com.a")

    assert type(sent_one(scene.subscribe(other, "com.a"), other)) is Subscribed


def test_a_realm_counts_each_subscriber_and_forgets_those_who_leave() -> None:
    scene = Scene(limits=RealmLimits(subscriptions=3))
    one, other = scene.join(), scene.join()
    for session, topic in ((one, "com.a"), (one, "com.b"), (other, "com.a")):
        scene.subscribe(session, topic)

    refused(scene.subscribe(other, "com.b"), other, "realm_subscriptions", 3)

    scene.leave(one)
    assert type(sent_one(scene.subscribe(other, "com.b"), other)) is Subscribed


def test_subscriptions_for_history_take_none_of_the_realms_room() -> None:
    scene = Scene(limits=RealmLimits(subscriptions=1))
    scene.realm.broker.keep_history(HistoryRule("com.", Match.PREFIX, 10))
    session = scene.join()

    assert type(sent_one(scene.subscribe(session, "com.a"), session)) is Subscribed
    scene.leave(session)
    other = scene.join()
    assert type(sent_one(scene.subscribe(other, "com.a"), other)) is Subscribed
    refused(scene.subscribe(other, "com.b"), other, "realm_subscriptions", 1)


# Registrations


def test_the_last_registration_is_fine_and_the_next_one_is_refused(scene: Scene) -> None:
    session = scene.join(limits=SessionLimits(registrations=1))
    registered = sent_one(scene.register(session, "com.a"), session)

    refused(scene.register(session, "com.b"), session, "registrations", 1)
    scene.unregister(session, registered.registration)
    assert type(sent_one(scene.register(session, "com.b"), session)) is Registered


def test_a_refused_registration_leaves_nothing_behind() -> None:
    scene = Scene(limits=RealmLimits(registrations=1))
    one, other = scene.join(), scene.join()
    scene.register(one, "com.a", invoke=Invoke.ROUNDROBIN)

    refused(scene.register(other, "com.a", invoke=Invoke.ROUNDROBIN), other, "realm_registrations", 1)
    refused(scene.register(other, "com.b"), other, "realm_registrations", 1)

    scene.leave(one)
    assert type(sent_one(scene.register(other, "com.b"), other)) is Registered
    scene.leave(other)
    assert scene.is_empty()


# Calls


@pytest.mark.parametrize("options", [{}, {"timeout": 1000}], ids=["plain", "with a timeout"])
def test_a_caller_awaits_so_many_results_and_no_more(scene: Scene, options: dict[str, Any]) -> None:
    callee, caller = scene.join(callee=EVERYTHING), scene.join(limits=SessionLimits(pending_calls=2))
    scene.register(callee, "com.a")
    requests = [invocation(scene.call(caller, "com.a", **options), callee).request for _ in range(2)]

    refused(scene.call(caller, "com.a", **options), caller, "pending_calls", 2)

    assert type(sent_one(scene.yield_(callee, requests[0]), caller)) is Result
    assert type(sent_one(scene.call(caller, "com.a", **options), callee)) is Invocation


def test_calls_of_the_meta_api_are_answered_at_once_and_not_counted(scene: Scene) -> None:
    caller = scene.join(limits=SessionLimits(pending_calls=0))

    assert type(sent_one(scene.call(caller, "wamp.session.count"), caller)) is Result


@pytest.mark.parametrize("options", [{}, {"timeout": 1000}], ids=["plain", "with a timeout"])
def test_a_callee_owes_so_many_answers_also_to_callers_that_do_not_wait(scene: Scene, options: dict[str, Any]) -> None:
    callee = scene.join(limits=SessionLimits(invocations=2))  # it cannot be told to stop
    caller, other = scene.join(), scene.join()
    scene.register(callee, "com.a")
    for _ in range(2):
        scene.call(caller, "com.a", **options)
        scene.cancel(caller, caller.last_request, CancelMode.SKIP)
    assert caller.calls == {}

    refused(scene.call(other, "com.a", **options), other, "invocations", 2, NOBODY)

    scene.yield_(callee, 1)
    assert type(sent_one(scene.call(other, "com.a", **options), callee)) is Invocation


def test_a_call_is_not_handed_on_to_a_callee_that_owes_as_many_answers_as_it_may(scene: Scene) -> None:
    caller = scene.join()
    one = scene.join(callee=EVERYTHING)
    busy = scene.join(callee=EVERYTHING, limits=SessionLimits(invocations=1))
    third = scene.join(callee=EVERYTHING)
    scene.register(busy, "com.other")
    scene.call(caller, "com.other")
    for session in (one, busy, third):
        scene.register(session, "com.shared", invoke=Invoke.FIRST)
    scene.call(caller, "com.shared")

    effects = scene.error(one, 1, "wamp.error.unavailable")

    assert type(sent_one(effects, third)) is Invocation
    assert reached(effects) == ["invocations"]
    assert len(busy.invocations) == 1
    assert sent_one(scene.error(third, 1, "wamp.error.unavailable"), caller).error == NOBODY


def test_calls_that_wait_are_not_given_to_a_callee_that_owes_as_many_answers_as_it_may(scene: Scene) -> None:
    caller, working = scene.join(), scene.join()
    busy = scene.join(limits=SessionLimits(invocations=1))
    scene.register(busy, "com.other")
    scene.call(caller, "com.other")
    scene.register(working, "com.shared", invoke=Invoke.ROUNDROBIN, concurrency=1)
    for _ in range(4):
        scene.call(caller, "com.shared")

    effects = scene.register(busy, "com.shared", invoke=Invoke.ROUNDROBIN, concurrency=5)

    assert len(busy.invocations) == 1
    assert "invocations" in reached(effects)
    assert type(sent_one(scene.yield_(working, 1), working)) is Invocation  # they still wait for the other one
    effects = scene.leave(working)
    answers = [effect.message for effect in effects if type(effect) is Deliver and caller in effect.receivers]
    assert [answer.error for answer in answers] == ["wamp.error.canceled", NOBODY, NOBODY]
    assert list(caller.calls) == [1]


# What is kept of calls


def shared(scene: Scene) -> tuple[Session, Session]:
    """Two callees, the first of which may pass calls on to the second."""
    one, other = scene.join(callee=EVERYTHING), scene.join(callee=EVERYTHING)
    for session in (one, other):
        scene.register(session, "com.shared", invoke=Invoke.FIRST)
    return one, other


def test_a_call_beyond_what_may_be_kept_goes_out_but_to_nobody_else(scene: Scene) -> None:
    one, other = shared(scene)
    caller = scene.join(limits=SessionLimits(kept_call_bytes=150))

    first = scene.call(caller, "com.shared", args=PAYLOAD)
    second = scene.call(caller, "com.shared", args=PAYLOAD)

    assert reached(first) == []
    assert reached(second) == ["kept_call_bytes"]
    assert caller.kept_bytes == len(PAYLOAD)
    assert sent_one(scene.error(one, 2, "wamp.error.unavailable"), caller).error == NOBODY
    assert type(sent_one(scene.error(one, 1, "wamp.error.unavailable"), other)) is Invocation


def test_what_was_kept_is_given_back_however_a_call_ends(scene: Scene) -> None:
    one, other = shared(scene)
    caller = scene.join(caller=EVERYTHING, limits=SessionLimits(kept_call_bytes=10 * len(PAYLOAD)))
    for options in ({}, {}, {}, {"timeout": 10}, {}, {"receive_progress": True}, {"progress": True}):
        scene.call(caller, "com.shared", args=PAYLOAD, **options)
    assert caller.kept_bytes == 7 * len(PAYLOAD)

    scene.yield_(one, 1)
    scene.error(one, 2)
    scene.cancel(caller, 3, CancelMode.SKIP)
    (deadline,) = [pending for pending in caller.calls.values() if pending.timeout is not None]
    scene.realm.wake(deadline, 1.0)
    scene.error(one, 5, "wamp.error.unavailable")
    scene.yield_(one, 6, progress=True)
    scene.continue_call(caller, 7, "com.shared", progress=True)

    # the second callee has the fifth call, and nobody else is left for it
    assert other.invocations
    assert caller.kept_bytes == 0


def test_calls_that_wait_for_a_callee_are_kept_or_refused(scene: Scene) -> None:
    callee, caller = scene.join(), scene.join(limits=SessionLimits(kept_call_bytes=250))
    scene.register(callee, "com.a", concurrency=1)
    for _ in range(3):
        scene.call(caller, "com.a", args=PAYLOAD)
    assert caller.kept_bytes == 2 * len(PAYLOAD)

    refused(scene.call(caller, "com.a", args=PAYLOAD), caller, "kept_call_bytes", 250)

    scene.yield_(callee, 1)
    assert caller.kept_bytes == len(PAYLOAD)
    scene.leave(callee)
    assert caller.kept_bytes == 0
    assert caller.calls == {}
