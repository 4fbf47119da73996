"""Call re-routing (advanced/rpc_call_rerouting.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Raw
from tests.router.scene import EVERYTHING, Scene, canceled_wakes, invocation, receivers, sent, sent_one, wakes

from rocade.router.session import Session
from rocade.wamp.codec import CBOR, JSON
from rocade.wamp.messages import CancelMode, Error, Invoke, Result

PROCEDURE = "com.shared"
UNAVAILABLE = "wamp.error.unavailable"
NOBODY = "wamp.error.no_available_callee"


@pytest.fixture
def caller(scene: Scene) -> Session:
    return scene.join("caller", caller=EVERYTHING)


def share(scene: Scene, invoke: Invoke = Invoke.FIRST, number: int = 3, **options: Any) -> list[Session]:
    sessions = [scene.join(callee=EVERYTHING) for _ in range(number)]
    for session in sessions:
        scene.register(session, PROCEDURE, invoke=invoke, **options)
    return sessions


def unavailable(scene: Scene, callee: Session) -> list[Any]:
    """The callee refuses the latest invocation that it has."""
    return scene.error(callee, max(callee.invocations), UNAVAILABLE)


@pytest.mark.parametrize(
    ("invoke", "order"),
    [(Invoke.FIRST, [0, 1, 2]), (Invoke.LAST, [2, 1, 0]), (Invoke.ROUNDROBIN, [0, 1, 2]), (Invoke.RANDOM, [1, 2, 0])],
)
def test_each_callee_is_tried_once_in_the_order_of_the_policy(invoke: Invoke, order: list[int]) -> None:
    draws: Iterator[int] = iter([1, 1, 0])
    scene = Scene(random_below=lambda limit: next(draws))
    caller = scene.join(caller=EVERYTHING)
    callees = share(scene, invoke)
    tried = []

    effects = scene.call(caller, PROCEDURE, args=Raw(b"[7]"))
    for _ in callees:
        (callee,) = receivers(effects)
        message = invocation(effects, callee)
        tried.append(callees.index(callee))
        assert bytes(message.args) == b"[7]"
        effects = unavailable(scene, callee)

    assert tried == order
    answer = sent_one(effects, caller)
    assert (answer.request_type, answer.request, answer.error) == (48, 1, NOBODY)
    assert [session.invocations for session in callees] == [{}, {}, {}]
    assert caller.calls == {}


def test_the_caller_never_knows_when_another_callee_takes_over(scene: Scene, caller: Session) -> None:
    one, two, _ = share(scene)
    scene.call(caller, PROCEDURE)

    effects = unavailable(scene, one)

    assert receivers(effects) == [two]
    assert type(sent_one(scene.yield_(two, 1), caller)) is Result


def test_a_single_callee_that_is_unavailable_means_nobody_is_available(scene: Scene, caller: Session) -> None:
    callee = scene.join(callee=EVERYTHING)
    scene.register(callee, PROCEDURE)
    scene.call(caller, PROCEDURE)

    assert sent_one(unavailable(scene, callee), caller).error == NOBODY


def test_the_error_of_a_callee_without_the_feature_is_an_error_as_any(scene: Scene, caller: Session) -> None:
    for _ in range(2):
        scene.register(scene.join(), PROCEDURE, invoke=Invoke.FIRST)
    callee = next(iter(scene.realm.dealer.registrations.values())).callees[0]
    scene.call(caller, PROCEDURE)

    assert sent_one(unavailable(scene, callee), caller).error == UNAVAILABLE


def test_the_next_call_begins_with_the_policy_again(scene: Scene, caller: Session) -> None:
    one, two, _ = share(scene)
    scene.call(caller, PROCEDURE)
    unavailable(scene, one)

    assert receivers(scene.call(caller, PROCEDURE)) == [one]
    assert len(two.invocations) == 1


def test_nothing_is_kept_where_there_is_nobody_else(scene: Scene, caller: Session) -> None:
    callee = scene.join(callee=EVERYTHING)
    scene.register(callee, PROCEDURE, invoke=Invoke.FIRST)
    basic = [scene.join(), scene.join()]
    for session in basic:
        scene.register(session, "com.basic", invoke=Invoke.FIRST)

    scene.call(caller, PROCEDURE)
    scene.call(caller, "com.basic")

    assert [pending.kept for pending in caller.calls.values()] == [None, None]


def test_the_last_callee_to_be_tried_keeps_nothing(scene: Scene, caller: Session) -> None:
    one, _ = share(scene, number=2)
    scene.call(caller, PROCEDURE)
    assert caller.calls[1].kept is not None

    unavailable(scene, one)

    assert caller.calls[1].kept is None


def test_a_callee_that_has_left_meanwhile_is_not_tried(scene: Scene, caller: Session) -> None:
    one, two, three = share(scene)
    scene.call(caller, PROCEDURE)
    scene.leave(two)

    assert receivers(unavailable(scene, one)) == [three]


def test_callees_that_lack_what_the_call_needs_are_passed_over(scene: Scene, caller: Session) -> None:
    able = {"call_reroute": True, "payload_passthru_mode": True}
    callees = [scene.join(callee=features) for features in (able, None, able)]
    for session in callees:
        scene.register(session, PROCEDURE, invoke=Invoke.FIRST)
    scene.call(caller, PROCEDURE, ppt_scheme="x_mine")

    assert receivers(unavailable(scene, callees[0])) == [callees[2]]
    assert sent_one(unavailable(scene, callees[2]), caller).error == NOBODY


def test_callees_that_lack_what_the_call_needs_are_passed_over_when_they_are_free_at_last(
    scene: Scene, caller: Session
) -> None:
    lacking = scene.join(callee={"call_reroute": True})
    able, other = scene.join(callee=EVERYTHING), scene.join(callee=EVERYTHING)
    for session in (lacking, able, other):
        scene.register(session, PROCEDURE, invoke=Invoke.FIRST, concurrency=1)
    for _ in range(2):
        scene.call(caller, PROCEDURE)
    scene.call(caller, PROCEDURE, ppt_scheme="x_mine")
    assert receivers(unavailable(scene, other)) == []

    assert sent(scene.yield_(lacking, 1), lacking) == []
    assert invocation(scene.yield_(able, 1), able).details.ppt_scheme == "x_mine"


def test_the_payload_is_in_the_serializer_that_the_caller_had_then(scene: Scene) -> None:
    caller = scene.join(serializer=CBOR)
    one, _, _ = share(scene)
    scene.call(caller, PROCEDURE, args=Raw(b"\x81\x01"))
    caller.serializer = JSON

    (effect,) = unavailable(scene, one)

    assert effect.origin is CBOR


def test_who_calls_is_told_to_the_next_callee_as_to_the_first(scene: Scene, caller: Session) -> None:
    one, two, _ = share(scene)
    scene.call(caller, PROCEDURE, disclose=True)

    assert invocation(unavailable(scene, one), two).details.caller == caller.id


def test_progress_is_settled_anew_with_the_next_callee(scene: Scene, caller: Session) -> None:
    callees = [scene.join(callee=EVERYTHING), scene.join()]
    for session in callees:
        scene.register(session, PROCEDURE, invoke=Invoke.FIRST)
    assert invocation(scene.call(caller, PROCEDURE, receive_progress=True), callees[0]).details.receive_progress

    effects = unavailable(scene, callees[0])

    assert invocation(effects, callees[1]).details.receive_progress is None
    assert scene.yield_(callees[1], 1, progress=True) == []


def test_a_callee_that_has_delivered_something_is_not_replaced(scene: Scene, caller: Session) -> None:
    one, _, _ = share(scene)
    scene.call(caller, PROCEDURE, receive_progress=True)
    scene.yield_(one, 1, progress=True)

    assert sent_one(unavailable(scene, one), caller).error == NOBODY


def test_a_progressive_call_is_rerouted_as_long_as_it_has_not_been_continued(scene: Scene, caller: Session) -> None:
    one, two, _ = share(scene)
    scene.call(caller, PROCEDURE, progress=True)
    assert invocation(unavailable(scene, one), two).details.progress is True

    assert sent(scene.continue_call(caller, 1, PROCEDURE, progress=True), two)

    assert sent_one(unavailable(scene, two), caller).error == NOBODY


def test_a_call_that_is_canceled_is_not_rerouted(scene: Scene, caller: Session) -> None:
    one, _, _ = share(scene)
    scene.call(caller, PROCEDURE)
    scene.cancel(caller, 1, CancelMode.KILL)

    assert type(sent_one(unavailable(scene, one), caller)) is Error
    assert caller.calls == {}


@pytest.mark.parametrize("mode", list(CancelMode))
def test_cancel_reaches_the_callee_that_has_the_call_now(scene: Scene, caller: Session, mode: CancelMode) -> None:
    one, two, _ = share(scene)
    scene.call(caller, PROCEDURE)
    unavailable(scene, one)

    effects = scene.cancel(caller, 1, mode)

    assert sent(effects, one) == []
    assert len(sent(effects, two)) == (0 if mode is CancelMode.SKIP else 1)


def test_when_the_caller_has_left_nobody_else_is_tried(scene: Scene, caller: Session) -> None:
    one, _, _ = share(scene)
    one.callee_cancels = False
    scene.call(caller, PROCEDURE)
    scene.leave(caller)

    assert unavailable(scene, one) == []


# --- timeouts -----------------------------------------------------------------------------------------


def test_the_timeout_goes_on_whoever_has_the_call(scene: Scene, caller: Session) -> None:
    one, two, _ = share(scene)
    (wake,) = wakes(scene.call(caller, PROCEDURE, timeout=1000))
    scene.now = 0.5

    effects = unavailable(scene, one)

    assert (wakes(effects), canceled_wakes(effects)) == ([], [])
    expired = scene.realm.wake(wake.pending, 1.0)
    assert sent_one(expired, caller).error == "wamp.error.timeout"
    assert sent_one(expired, two).options.mode is CancelMode.KILLNOWAIT


def test_a_timeout_that_the_first_callee_handled_is_counted_from_the_call(scene: Scene, caller: Session) -> None:
    one, two = (scene.join(callee=EVERYTHING) for _ in range(2))
    scene.register(one, PROCEDURE, invoke=Invoke.FIRST, forward_timeout=True)
    scene.register(two, PROCEDURE, invoke=Invoke.FIRST)
    scene.now = 3.0
    assert wakes(scene.call(caller, PROCEDURE, timeout=1000)) == []
    scene.now = 3.4

    effects = unavailable(scene, one)

    assert [wake.when for wake in wakes(effects)] == [4.0]
    assert invocation(effects, two).details.timeout is None
