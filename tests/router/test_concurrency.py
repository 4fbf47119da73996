"""Callees that limit their invocations, and calls that wait for them (docs/wamp.md)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from tests.router.scene import (
    EVERYTHING,
    Scene,
    canceled_wakes,
    invocation,
    receivers,
    sent,
    sent_one,
    wakes,
)

from rocade.router import queue
from rocade.router.effects import Deliver, ServeWaiting
from rocade.router.session import Session
from rocade.wamp.messages import CancelMode, Error, Invocation, Invoke, Registered, Unregistered

PROCEDURE = "com.busy"
NOBODY = "wamp.error.no_available_callee"


@pytest.fixture
def caller(scene: Scene) -> Session:
    return scene.join("caller", caller=EVERYTHING)


def limited(scene: Scene, concurrency: int | None = 1, **options: Any) -> Session:
    callee = scene.join(callee=EVERYTHING)
    assert type(sent_one(scene.register(callee, PROCEDURE, concurrency=concurrency, **options), callee)) is Registered
    return callee


def call(scene: Scene, caller: Session, number: int = 0, **options: Any) -> list[Any]:
    return scene.call(caller, PROCEDURE, args=Raw(b"[%d]" % number), **options)


def number(effects: list[Any], callee: Session) -> int:
    """Which call a callee has got."""
    return int(bytes(invocation(effects, callee).args)[1:-1])


def waiting(scene: Scene) -> int:
    return sum(len(registration.waiting or ()) for registration in scene.realm.dealer.registrations.values())


# --- limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_callee_gets_no_more_invocations_at_a_time_than_it_wants(
    scene: Scene, caller: Session, concurrency: int
) -> None:
    callee = limited(scene, concurrency)

    counts = [len(sent(call(scene, caller), callee)) for _ in range(5)]

    assert counts == [1] * concurrency + [0] * (5 - concurrency)
    assert waiting(scene) == 5 - concurrency


def test_calls_that_wait_are_served_in_the_order_in_which_they_came(scene: Scene, caller: Session) -> None:
    callee, other = limited(scene), scene.join()
    for position in range(4):
        call(scene, (caller, other)[position % 2], position)

    served = [number(scene.yield_(callee, request), callee) for request in (1, 2, 3)]

    assert served == [1, 2, 3]
    assert waiting(scene) == 0
    assert receivers(scene.yield_(callee, 4)) == [other]


def test_the_result_comes_before_the_next_invocation(scene: Scene, caller: Session) -> None:
    callee = limited(scene)
    call(scene, caller)
    call(scene, caller)

    assert receivers(scene.yield_(callee, 1)) == [caller, callee]


def test_progressive_results_do_not_free_the_callee(scene: Scene, caller: Session) -> None:
    callee = limited(scene)
    call(scene, caller, receive_progress=True)
    call(scene, caller)

    assert sent(scene.yield_(callee, 1, progress=True), callee) == []
    assert sent(scene.yield_(callee, 1), callee)


@pytest.mark.parametrize(
    ("invoke", "first", "second"),
    [(Invoke.ROUNDROBIN, 0, 1), (Invoke.FIRST, 0, 1), (Invoke.LAST, 2, 1), (Invoke.RANDOM, 0, 1)],
)
def test_the_policy_chooses_among_the_callees_that_are_free(
    scene: Scene, caller: Session, invoke: Invoke, first: int, second: int
) -> None:
    callees = [limited(scene, invoke=invoke) for _ in range(3)]

    assert receivers(call(scene, caller)) == [callees[first]]
    assert receivers(call(scene, caller)) == [callees[second]]
    assert len(receivers(call(scene, caller))) == 1
    assert receivers(call(scene, caller)) == []
    # The one that is free again, whoever's turn it was.
    assert number(scene.yield_(callees[second], 1), callees[second]) == 0


def test_random_draws_among_the_callees_that_are_free() -> None:
    limits: list[int] = []

    def random_below(limit: int) -> int:
        limits.append(limit)
        return limit - 1

    scene = Scene(random_below=random_below)
    caller = scene.join()
    callees = [limited(scene, invoke=Invoke.RANDOM) for _ in range(3)]

    assert [receivers(call(scene, caller)) for _ in range(4)] == [[callees[2]], [callees[1]], [callees[0]], []]
    assert limits == [3, 2, 1]


def test_callees_without_a_limit_are_always_free(scene: Scene, caller: Session) -> None:
    one, two = limited(scene, invoke=Invoke.FIRST), limited(scene, None, invoke=Invoke.FIRST)

    assert [receivers(call(scene, caller)) for _ in range(3)] == [[one], [two], [two]]


def test_limits_are_those_of_a_registration(scene: Scene, caller: Session) -> None:
    callee = limited(scene)
    scene.register(callee, "com.other")
    call(scene, caller)

    assert sent(scene.call(caller, "com.other"), callee)


# --- what frees a callee ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end", ["result", "error", "killnowait", "kill", "timeout", "caller leaves", "too large", "unavailable"]
)
def test_a_callee_is_free_when_an_invocation_ends(scene: Scene, caller: Session, end: str) -> None:
    callee, other = limited(scene), scene.join()
    begun = call(scene, caller, timeout=1000)
    call(scene, other, 1)
    if end == "kill":
        assert invocation_count(scene.cancel(caller, 1, CancelMode.KILL), callee) == 0

    effects = {
        "result": lambda: scene.yield_(callee, 1),
        "error": lambda: scene.error(callee, 1),
        "killnowait": lambda: scene.cancel(caller, 1),
        "kill": lambda: scene.error(callee, 1, "wamp.error.canceled"),
        "timeout": lambda: scene.served(scene.realm.wake(wakes(begun)[0].pending, 1.0)),
        "caller leaves": lambda: scene.leave(caller),
        "too large": lambda: scene.served(
            scene.realm.undeliverable(callee, invocation(begun, callee), "wamp.error.payload_size_exceeded", "")
        ),
        "unavailable": lambda: scene.error(callee, 1, "wamp.error.unavailable"),
    }[end]()

    assert invocation_count(effects, callee) == 1
    assert waiting(scene) == 0
    assert (len(callee.invocations), len(caller.calls)) == (1, 0)


def invocation_count(effects: list[Any], callee: Session) -> int:
    return sum(type(message) is Invocation for message in sent(effects, callee))


@pytest.mark.parametrize("end", ["skip", "timeout", "caller leaves"])
def test_a_callee_that_cannot_be_interrupted_is_free_when_it_has_answered(
    scene: Scene, caller: Session, end: str
) -> None:
    callee = scene.join()
    scene.register(callee, PROCEDURE, concurrency=1)
    (wake,) = wakes(call(scene, caller, timeout=1000))
    call(scene, scene.join(), 1)

    effects = {
        "skip": lambda: scene.cancel(caller, 1),
        "timeout": lambda: scene.served(scene.realm.wake(wake.pending, 1.0)),
        "caller leaves": lambda: scene.leave(caller),
    }[end]()

    assert sent(effects, callee) == []
    assert number(scene.yield_(callee, 1), callee) == 1


def test_a_new_callee_gets_calls_that_wait_once_it_is_registered(scene: Scene, caller: Session) -> None:
    limited(scene, invoke=Invoke.ROUNDROBIN)
    for position in range(4):
        call(scene, caller, position)

    callee = scene.join(callee=EVERYTHING)
    effects = scene.register(callee, PROCEDURE, invoke=Invoke.ROUNDROBIN, concurrency=2)

    registered, *invocations = sent(effects, callee)
    assert type(registered) is Registered
    assert [bytes(message.args) for message in invocations] == [b"[1]", b"[2]"]
    assert waiting(scene) == 1


def test_a_callee_that_registers_again_still_has_what_it_had(scene: Scene, caller: Session) -> None:
    callee, other = limited(scene, invoke=Invoke.FIRST), limited(scene, invoke=Invoke.FIRST)
    call(scene, caller)
    (registration,) = callee.registrations
    scene.unregister(callee, registration)
    scene.register(callee, PROCEDURE, invoke=Invoke.FIRST, concurrency=1)

    assert receivers(call(scene, caller, 1)) == [other]
    assert receivers(call(scene, caller, 2)) == []
    assert number(scene.yield_(callee, 1), callee) == 2


def test_the_answer_of_a_callee_that_has_unregistered_frees_nobody(scene: Scene, caller: Session) -> None:
    callee, _ = limited(scene, invoke=Invoke.FIRST), limited(scene, invoke=Invoke.FIRST)
    for _ in range(3):
        call(scene, caller)
    scene.unregister(callee, next(iter(callee.registrations)))

    assert receivers(scene.yield_(callee, 1)) == [caller]
    assert waiting(scene) == 1


# --- calls that wait ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [None, *CancelMode])
def test_a_call_that_waits_is_canceled_at_once(scene: Scene, caller: Session, mode: CancelMode | None) -> None:
    callee = limited(scene)
    call(scene, scene.join())
    call(scene, caller)

    effects = scene.cancel(caller, 1, mode)

    assert sent_one(effects, caller).error == "wamp.error.canceled"
    assert receivers(effects) == [caller]
    assert (waiting(scene), caller.calls) == (0, {})
    assert sent(scene.yield_(callee, 1), callee) == []


def test_a_call_that_waits_times_out(scene: Scene, caller: Session) -> None:
    callee = limited(scene)
    call(scene, scene.join())
    (wake,) = wakes(call(scene, caller, timeout=1000))

    effects = scene.realm.wake(wake.pending, 1.0)

    assert sent_one(effects, caller).error == "wamp.error.timeout"
    assert receivers(effects) == [caller]
    assert [effect.pending for effect in canceled_wakes(effects)] == [wake.pending]
    assert (waiting(scene), caller.calls) == (0, {})
    assert sent(scene.yield_(callee, 1), callee) == []


@pytest.mark.parametrize("forward", [False, True])
def test_the_time_that_a_call_has_waited_counts(scene: Scene, caller: Session, forward: bool) -> None:
    callee = limited(scene, forward_timeout=forward)
    call(scene, scene.join())
    (wake,) = wakes(call(scene, caller, timeout=1000))
    scene.now = 0.8

    effects = scene.yield_(callee, 1)

    assert wakes(effects) == []
    assert invocation(effects, callee).details.timeout is None
    assert sent_one(scene.realm.wake(wake.pending, 1.0), caller).error == "wamp.error.timeout"


def test_calls_of_a_caller_that_leaves_do_not_wait_any_more(scene: Scene, caller: Session) -> None:
    callee = limited(scene)
    call(scene, caller, 0)
    call(scene, caller, 1, timeout=1000)
    call(scene, scene.join(), 2)

    effects = scene.leave(caller)

    assert len(canceled_wakes(effects)) == 1
    assert [type(message).__name__ for message in sent(effects, callee)] == ["Interrupt", "Invocation"]
    assert bytes(sent(effects, callee)[1].args) == b"[2]"
    assert sent(effects, caller) == []


def test_when_the_last_callee_is_gone_nobody_waits_for_it(scene: Scene, caller: Session) -> None:
    one, two = limited(scene, invoke=Invoke.FIRST), limited(scene, invoke=Invoke.FIRST)
    for _ in range(3):
        call(scene, caller)

    assert [error.request for error in sent(scene.leave(one), caller)] == [1]
    unregistered, *rest = scene.unregister(two, next(iter(two.registrations)))

    assert type(unregistered) is Deliver
    assert type(unregistered.message) is Unregistered
    answer = sent_one(rest, caller)
    assert (answer.request_type, answer.request, answer.error) == (48, 3, NOBODY)
    assert type(sent_one(scene.yield_(two, 1), caller)).__name__ == "Result"
    assert caller.calls == {}


def test_when_the_last_callee_is_revoked_nobody_waits_for_it(scene: Scene, caller: Session) -> None:
    callee = limited(scene)
    call(scene, scene.join())
    call(scene, caller)
    (registration,) = callee.registrations.values()

    effects = scene.realm.dealer.revoke(callee, registration, None)

    assert sent_one(effects, caller).error == NOBODY


def test_a_callee_that_calls_itself_and_leaves_is_sent_nothing(scene: Scene) -> None:
    callee = limited(scene)
    for _ in range(3):
        call(scene, callee, timeout=1000)

    effects = scene.leave(callee)

    assert receivers(effects) == []
    assert len(canceled_wakes(effects)) == 3
    assert scene.is_empty()


def test_so_many_calls_wait_and_no_more(scene: Scene, caller: Session) -> None:
    callee = limited(scene)
    for _ in range(queue.MAX_WAITING_CALLS + 1):
        call(scene, caller)

    answer = sent_one(call(scene, caller), caller)

    assert (answer.request, answer.error) == (queue.MAX_WAITING_CALLS + 2, NOBODY)
    assert waiting(scene) == queue.MAX_WAITING_CALLS == len(caller.calls) - 1
    scene.yield_(callee, 1)
    assert call(scene, caller) == []


def test_so_many_bytes_wait_and_no_more(scene: Scene, caller: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_WAITING_BYTES", 10)
    callee = limited(scene)
    for _ in range(4):
        call(scene, caller, 7)

    assert sent_one(call(scene, caller, 7), caller).error == NOBODY
    scene.yield_(callee, 1)
    assert call(scene, caller, 7) == []


def test_a_progressive_call_does_not_wait(scene: Scene, caller: Session) -> None:
    callee = limited(scene)
    assert sent(scene.call(caller, PROCEDURE, progress=True), callee)

    assert sent_one(scene.call(caller, PROCEDURE, progress=True), caller).error == NOBODY

    assert scene.continue_call(caller, 2, PROCEDURE) == []
    assert sent(scene.continue_call(caller, 1, PROCEDURE), callee)
    assert waiting(scene) == 0


def test_a_call_that_waited_for_a_callee_that_lacks_what_it_needs_fails_in_its_turn(
    scene: Scene, caller: Session
) -> None:
    callee = scene.join()
    scene.register(callee, PROCEDURE, concurrency=1)
    call(scene, caller, 0)
    call(scene, caller, 1, ppt_scheme="x_mine")
    call(scene, caller, 2)

    effects = scene.yield_(callee, 1)

    _, refused = sent(effects, caller)
    assert type(refused) is Error
    assert (refused.request, refused.error) == (2, "wamp.error.feature_not_supported")
    assert number(effects, callee) == 2


# --- one after the other ------------------------------------------------------------------------------


def test_invocations_are_numbered_one_by_one_so_that_none_is_missing_when_one_is_not_delivered(
    scene: Scene, caller: Session
) -> None:
    limited(scene, invoke=Invoke.FIRST)
    for position in range(4):
        call(scene, caller, position)
    callee = scene.join(callee=EVERYTHING)
    registered, serve = scene.realm.receive(
        callee, register_message(callee, invoke=Invoke.FIRST, concurrency=2), scene.now
    )
    assert type(registered) is Deliver
    assert type(serve) is ServeWaiting

    first, again = scene.realm.serve_waiting(serve.registration)
    assert type(first) is Deliver
    message = first.message
    assert isinstance(message, Invocation)
    failed = scene.realm.undeliverable(callee, message, "wamp.error.payload_size_exceeded", "")
    rest = scene.served([again, *failed])

    assert [message.request for message in sent(rest, callee)] == [1, 2]
    assert [bytes(message.args) for message in sent(rest, callee)] == [b"[2]", b"[3]"]


def register_message(callee: Session, **options: Any) -> Any:
    from rocade.wamp.messages import Register, RegisterOptions

    return Register(1, RegisterOptions(**options), PROCEDURE)


# --- re-routing among busy callees --------------------------------------------------------------------


def unavailable(scene: Scene, callee: Session) -> list[Any]:
    return scene.error(callee, max(callee.invocations), "wamp.error.unavailable")


def test_a_rerouted_call_waits_in_front_when_the_others_are_busy(scene: Scene, caller: Session) -> None:
    one, two = limited(scene, invoke=Invoke.FIRST), limited(scene, invoke=Invoke.FIRST)
    for position in range(3):
        call(scene, caller, position)

    effects = unavailable(scene, one)

    assert number(effects, one) == 2  # it has refused only the other
    assert sent(effects, caller) == []
    assert number(scene.yield_(two, 1), two) == 0


def test_a_rerouted_call_is_not_given_to_the_callee_that_refused_it(scene: Scene, caller: Session) -> None:
    one, two = limited(scene, invoke=Invoke.FIRST), limited(scene, invoke=Invoke.FIRST)
    for position in range(2):
        call(scene, caller, position)

    assert unavailable(scene, one) == []
    assert waiting(scene) == 1
    assert receivers(call(scene, caller, 2)) == [one]
    assert number(scene.yield_(two, 1), two) == 0


def test_a_rerouted_call_ends_when_all_whom_it_could_wait_for_are_gone(scene: Scene, caller: Session) -> None:
    one, two = limited(scene, invoke=Invoke.FIRST), limited(scene, invoke=Invoke.FIRST)
    call(scene, caller)
    call(scene, scene.join())
    unavailable(scene, one)

    assert sent_one(scene.leave(two), caller).error == NOBODY
    assert waiting(scene) == 0
    assert receivers(call(scene, caller)) == [one]
