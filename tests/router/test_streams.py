"""Progressive call invocations (advanced/rpc_progressive_call_invocations.md)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from tests.router.scene import EVERYTHING, Scene, invocation, sent, sent_one, wakes

from rocade.errors import ProtocolViolation
from rocade.router.session import Session
from rocade.wamp.ids import MAX_ID
from rocade.wamp.messages import CancelMode, Error, Interrupt, InvocationDetails, Invoke, Match, Result

PROCEDURE = "com.upload"
TOO_LARGE = "wamp.error.payload_size_exceeded"


@pytest.fixture
def caller(scene: Scene) -> Session:
    return scene.join("caller", caller=EVERYTHING)


@pytest.fixture
def callee(scene: Scene) -> Session:
    session = scene.join("callee", callee=EVERYTHING)
    scene.register(session, PROCEDURE)
    return session


def first(scene: Scene, caller: Session, callee: Session, **options: Any) -> int:
    """Begin a progressive call; returns the request id of its INVOCATION."""
    return invocation(scene.call(caller, PROCEDURE, progress=True, **options), callee).request


def assert_nothing_pending(*sessions: Session) -> None:
    assert [(session.calls, session.invocations) for session in sessions] == [({}, {}) for _ in sessions]


def test_all_parts_of_a_call_become_invocations_of_the_same_id_and_the_last_says_so(
    scene: Scene, caller: Session, callee: Session
) -> None:
    messages = [
        invocation(scene.call(caller, PROCEDURE, progress=True, args=Raw(b"[0]")), callee),
        invocation(scene.continue_call(caller, 1, PROCEDURE, progress=True, args=Raw(b"[1]")), callee),
        invocation(scene.continue_call(caller, 1, PROCEDURE, args=Raw(b"[2]")), callee),
    ]

    assert [message.request for message in messages] == [1, 1, 1]
    assert [message.details.progress for message in messages] == [True, True, None]
    assert [bytes(message.args) for message in messages] == [b"[0]", b"[1]", b"[2]"]
    assert type(sent_one(scene.yield_(callee, 1), caller)) is Result
    assert_nothing_pending(caller, callee)


def test_progress_false_is_the_last_part_too(scene: Scene, caller: Session, callee: Session) -> None:
    first(scene, caller, callee)

    last = invocation(scene.continue_call(caller, 1, PROCEDURE, progress=False), callee)

    assert last.details == InvocationDetails()


def test_calls_in_between_have_ids_of_their_own(scene: Scene, caller: Session, callee: Session) -> None:
    first(scene, caller, callee)
    between = invocation(scene.call(caller, PROCEDURE), callee)

    last = invocation(scene.continue_call(caller, 1, PROCEDURE), callee)

    assert (between.request, last.request) == (2, 1)
    assert invocation(scene.call(caller, PROCEDURE), callee).request == 3


@pytest.mark.parametrize("invoke", [Invoke.ROUNDROBIN, Invoke.RANDOM, Invoke.FIRST, Invoke.LAST])
def test_all_parts_go_to_the_same_callee(caller: Session, invoke: Invoke) -> None:
    draws = iter([1, 0, 1, 0])
    scene = Scene(random_below=lambda limit: next(draws))
    caller = scene.join(caller=EVERYTHING)
    callees = [scene.join(callee=EVERYTHING) for _ in range(2)]
    for session in callees:
        scene.register(session, PROCEDURE, invoke=invoke)
    effects = scene.call(caller, PROCEDURE, progress=True)
    (chosen,) = [session for session in callees if sent(effects, session)]
    scene.call(caller, PROCEDURE)

    for progress in (True, True, False):
        assert sent(scene.continue_call(caller, 1, PROCEDURE, progress=progress), chosen)


def test_all_parts_go_to_the_same_callee_even_after_it_has_unregistered(
    scene: Scene, caller: Session, callee: Session
) -> None:
    first(scene, caller, callee)
    scene.unregister(callee, next(iter(callee.registrations)))

    assert invocation(scene.continue_call(caller, 1, PROCEDURE), callee).request == 1


def test_options_are_those_of_the_first_call(scene: Scene, caller: Session) -> None:
    callee = scene.join(callee=EVERYTHING)
    scene.register(callee, "com.", match=Match.PREFIX, forward_timeout=True)
    options = {"disclose_me": True, "receive_progress": True, "timeout": 500, "ppt_scheme": "x_mine"}
    begun = invocation(scene.call(caller, PROCEDURE, progress=True, **options), callee).details

    later = invocation(scene.continue_call(caller, 1, PROCEDURE, progress=True), callee).details
    other = {"disclose_me": False, "receive_progress": False, "timeout": 1, "ppt_scheme": "x_other"}
    last = invocation(scene.continue_call(caller, 1, PROCEDURE, **other), callee).details

    assert begun == later
    assert last == InvocationDetails(
        procedure=PROCEDURE,
        receive_progress=True,
        timeout=500,
        caller=caller.id,
        caller_authid="caller",
        caller_authrole="user",
        ppt_scheme="x_mine",
    )


def test_options_that_only_a_later_part_has_are_ignored(scene: Scene, caller: Session, callee: Session) -> None:
    first(scene, caller, callee)

    effects = scene.continue_call(caller, 1, PROCEDURE, disclose_me=True, timeout=1000, receive_progress=True)

    assert invocation(effects, callee).details == InvocationDetails()
    assert wakes(effects) == []


def test_results_may_come_between_the_parts(scene: Scene, caller: Session, callee: Session) -> None:
    request = first(scene, caller, callee, receive_progress=True)

    for _ in range(2):
        assert sent_one(scene.yield_(callee, request, progress=True), caller).details.progress is True
        scene.continue_call(caller, 1, PROCEDURE, progress=True)
    scene.continue_call(caller, 1, PROCEDURE)

    assert sent_one(scene.yield_(callee, request, progress=True), caller).details.progress is True
    assert sent_one(scene.yield_(callee, request), caller).details.progress is None


# --- who must have announced it -----------------------------------------------------------------------


def test_progress_of_a_caller_that_did_not_announce_it_breaks_the_protocol(scene: Scene, callee: Session) -> None:
    caller = scene.join(caller={"call_canceling": True})

    for procedure in (PROCEDURE, "com.nothing", "wamp.session.count"):
        with pytest.raises(ProtocolViolation, match="progressive_call_invocations was not announced"):
            scene.call(caller, procedure, progress=True)
    assert_nothing_pending(caller, callee)


@pytest.mark.parametrize("features", [None, {"progressive_call_invocations": True}, {"call_canceling": True}])
def test_a_callee_that_cannot_take_parts_is_not_invoked(
    scene: Scene, caller: Session, features: dict[str, Any] | None
) -> None:
    callee = scene.join(callee=features)
    scene.register(callee, "com.basic")

    effects = scene.call(caller, "com.basic", progress=True)

    assert sent_one(effects, caller).error == "wamp.error.feature_not_supported"
    assert sent(effects, callee) == []
    assert scene.continue_call(caller, 1, "com.basic") == []
    assert_nothing_pending(caller, callee)


# --- request ids --------------------------------------------------------------------------------------


def test_parts_do_not_count_but_new_calls_do(scene: Scene, caller: Session) -> None:
    assert [caller.take_request(request, is_call=True) for request in (1, 2, 1, 2, 3)] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_a_gap_is_a_violation_nevertheless(caller: Session) -> None:
    caller.take_request(1)

    with pytest.raises(ProtocolViolation, match="request id 3 where 2 was due"):
        caller.take_request(3, is_call=True)


def test_only_calls_may_repeat_an_id_and_only_if_the_feature_was_announced(scene: Scene, caller: Session) -> None:
    plain = scene.join(caller={"call_canceling": True})
    for session in (caller, plain):
        session.take_request(1)

    with pytest.raises(ProtocolViolation):
        caller.take_request(1)
    with pytest.raises(ProtocolViolation):
        plain.take_request(1, is_call=True)


def test_parts_of_a_call_are_known_after_ids_have_wrapped(scene: Scene, caller: Session, callee: Session) -> None:
    caller.last_request = MAX_ID - 1
    first(scene, caller, callee)
    caller.last_request = 1  # as after 2^53

    assert not caller.take_request(MAX_ID, is_call=True)


@pytest.mark.parametrize("end", ["result", "error", "cancel", "callee leaves"])
def test_a_part_that_comes_after_the_end_is_ignored(scene: Scene, caller: Session, callee: Session, end: str) -> None:
    request = first(scene, caller, callee)
    {
        "result": lambda: scene.yield_(callee, request),
        "error": lambda: scene.error(callee, request),
        "cancel": lambda: scene.cancel(caller, 1),
        "callee leaves": lambda: scene.leave(callee),
    }[end]()

    assert scene.continue_call(caller, 1, PROCEDURE, progress=True) == []
    assert scene.continue_call(caller, 1, PROCEDURE) == []
    assert_nothing_pending(caller)


def test_a_part_of_a_call_that_was_refused_is_ignored(scene: Scene, caller: Session) -> None:
    assert sent_one(scene.call(caller, PROCEDURE, progress=True), caller).error == "wamp.error.no_such_procedure"

    assert scene.continue_call(caller, 1, PROCEDURE) == []


def test_a_part_behind_the_last_one_breaks_the_protocol(scene: Scene, caller: Session, callee: Session) -> None:
    first(scene, caller, callee)
    scene.continue_call(caller, 1, PROCEDURE)

    with pytest.raises(ProtocolViolation, match="which a pending call has"):
        scene.continue_call(caller, 1, PROCEDURE)


def test_a_part_of_a_call_that_is_none_of_several_breaks_the_protocol(
    scene: Scene, caller: Session, callee: Session
) -> None:
    scene.call(caller, PROCEDURE)

    with pytest.raises(ProtocolViolation, match="which a pending call has"):
        scene.continue_call(caller, 1, PROCEDURE, progress=True)


def test_a_part_for_another_procedure_breaks_the_protocol(scene: Scene, caller: Session, callee: Session) -> None:
    first(scene, caller, callee)

    with pytest.raises(ProtocolViolation, match="another procedure"):
        scene.continue_call(caller, 1, "com.other", progress=True)


# --- ends ---------------------------------------------------------------------------------------------


def test_the_callee_may_answer_before_it_has_got_all(scene: Scene, caller: Session, callee: Session) -> None:
    request = first(scene, caller, callee)

    assert type(sent_one(scene.error(callee, request), caller)) is Error
    assert_nothing_pending(caller, callee)


def test_after_kill_the_rest_still_goes_to_the_callee(scene: Scene, caller: Session, callee: Session) -> None:
    request = first(scene, caller, callee)
    assert type(sent_one(scene.cancel(caller, 1, CancelMode.KILL), callee)) is Interrupt

    assert sent(scene.continue_call(caller, 1, PROCEDURE), callee)
    assert type(sent_one(scene.error(callee, request, "wamp.error.canceled"), caller)) is Error


def test_the_timeout_is_counted_from_the_first_part(scene: Scene, caller: Session, callee: Session) -> None:
    effects = scene.call(caller, PROCEDURE, progress=True, timeout=1000)
    (wake,) = wakes(effects)
    scene.now = 0.9
    scene.continue_call(caller, 1, PROCEDURE, progress=True)

    expired = scene.realm.wake(wake.pending, 1.0)

    assert sent_one(expired, caller).error == "wamp.error.timeout"
    assert sent_one(expired, callee).options.mode is CancelMode.KILLNOWAIT
    assert scene.continue_call(caller, 1, PROCEDURE) == []


def test_when_the_caller_leaves_the_callee_is_interrupted(scene: Scene, caller: Session, callee: Session) -> None:
    request = first(scene, caller, callee)
    scene.continue_call(caller, 1, PROCEDURE, progress=True)

    interrupt = sent_one(scene.leave(caller), callee)

    assert (interrupt.request, interrupt.options.mode) == (request, CancelMode.KILLNOWAIT)
    assert_nothing_pending(callee)


def test_when_the_callee_leaves_the_caller_is_told_once(scene: Scene, caller: Session, callee: Session) -> None:
    first(scene, caller, callee)

    assert sent_one(scene.leave(callee), caller).error == "wamp.error.canceled"
    assert scene.continue_call(caller, 1, PROCEDURE) == []


def test_a_later_part_that_cannot_be_delivered_ends_the_call_and_interrupts_the_callee(
    scene: Scene, caller: Session, callee: Session
) -> None:
    first(scene, caller, callee)
    part = invocation(scene.continue_call(caller, 1, PROCEDURE, progress=True), callee)

    effects = scene.realm.undeliverable(callee, part, TOO_LARGE, "too large")

    assert sent_one(effects, caller).error == TOO_LARGE
    assert sent_one(effects, callee).options.mode is CancelMode.KILLNOWAIT
    assert invocation(scene.call(caller, PROCEDURE), callee).request == 2


def test_a_first_part_that_cannot_be_delivered_leaves_nothing_behind(
    scene: Scene, caller: Session, callee: Session
) -> None:
    part = invocation(scene.call(caller, PROCEDURE, progress=True), callee)

    effects = scene.realm.undeliverable(callee, part, TOO_LARGE, "too large")

    assert sent_one(effects, caller).error == TOO_LARGE
    assert sent(effects, callee) == []
    assert scene.continue_call(caller, 1, PROCEDURE) == []
    assert invocation(scene.call(caller, PROCEDURE), callee).request == 1
