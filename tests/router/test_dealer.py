"""Remote procedure calls, behaviour by behaviour (basic/remote_procedure_call.md and the RPC chapters)."""

from __future__ import annotations

from collections.abc import Iterator
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

from rocade.errors import ProtocolViolation
from rocade.router.effects import Deliver, WakeAt
from rocade.router.session import Session
from rocade.wamp.codec import CBOR, MSGPACK
from rocade.wamp.messages import (
    Call,
    CallOptions,
    CancelMode,
    Error,
    Interrupt,
    InvocationDetails,
    Invoke,
    Match,
    Registered,
    Result,
    ResultDetails,
    Unregistered,
)

PREFIX, WILDCARD = Match.PREFIX, Match.WILDCARD
SKIP, KILL, KILLNOWAIT = CancelMode.SKIP, CancelMode.KILL, CancelMode.KILLNOWAIT


@pytest.fixture
def caller(scene: Scene) -> Session:
    return scene.join("caller", caller=EVERYTHING)


@pytest.fixture
def callee(scene: Scene) -> Session:
    """It can be interrupted, and has registered com.proc."""
    session = scene.join("callee", callee=EVERYTHING)
    registered(scene, session, "com.proc")
    return session


@pytest.fixture
def basic_callee(scene: Scene) -> Session:
    """It has the basic profile only, and has registered com.basic."""
    session = scene.join("basic")
    registered(scene, session, "com.basic")
    return session


def registered(scene: Scene, session: Session, procedure: str, **options: Any) -> int:
    message = sent_one(scene.register(session, procedure, **options), session)
    assert type(message) is Registered, message
    registration: int = message.registration
    return registration


def assert_nothing_pending(*sessions: Session) -> None:
    assert [(session.calls, session.invocations) for session in sessions] == [({}, {}) for _ in sessions]


# --- REGISTER, UNREGISTER -----------------------------------------------------------------------------


def test_registered_answers_the_request_that_it_belongs_to(scene: Scene, callee: Session) -> None:
    message = sent_one(scene.register(callee, "com.proc2"), callee)

    assert message == Registered(2, message.registration)


@pytest.mark.parametrize("invoke", [None, Invoke.SINGLE])
def test_a_procedure_has_one_callee_by_default(scene: Scene, invoke: Invoke | None) -> None:
    first, second = scene.join(), scene.join()
    registered(scene, first, "com.proc", invoke=invoke)

    message = sent_one(scene.register(second, "com.proc", invoke=invoke), second)

    assert (message.request_type, message.error) == (64, "wamp.error.procedure_already_exists")
    assert second.registrations == {}


def test_the_same_session_registers_a_procedure_only_once(scene: Scene) -> None:
    callee = scene.join()
    registered(scene, callee, "com.proc", invoke=Invoke.ROUNDROBIN)

    message = sent_one(scene.register(callee, "com.proc", invoke=Invoke.ROUNDROBIN), callee)

    assert message.error == "wamp.error.procedure_already_exists"
    assert len(callee.registrations) == 1


@pytest.mark.parametrize("procedure", ["", "com..proc", "com.proc.", "com proc", "com.#", "y" * 3000])
def test_an_incorrect_procedure_is_answered_with_invalid_uri(scene: Scene, procedure: str) -> None:
    session = scene.join()

    for effects, code in [(scene.register(session, procedure), 64), (scene.call(session, procedure), 48)]:
        message = sent_one(effects, session)
        assert (message.request_type, message.error) == (code, "wamp.error.invalid_uri")
        assert len(message.args[0]) < 200


@pytest.mark.parametrize(
    ("procedure", "match"), [("wamp.mine", None), ("wamp", None), ("wamp.", PREFIX), ("wamp..x", WILDCARD)]
)
def test_clients_do_not_register_reserved_uris(scene: Scene, procedure: str, match: Match | None) -> None:
    session = scene.join()

    message = sent_one(scene.register(session, procedure, match=match), session)

    assert message.error == "wamp.error.invalid_uri"


@pytest.mark.parametrize(
    ("pattern", "match"), [("", PREFIX), ("w", PREFIX), ("wam", PREFIX), ("..", WILDCARD), (".session.", WILDCARD)]
)
def test_a_broad_pattern_does_not_get_calls_of_reserved_procedures(
    scene: Scene, caller: Session, pattern: str, match: Match
) -> None:
    registered(scene, scene.join(), pattern, match=match)

    message = sent_one(scene.call(caller, "wamp.session.reset"), caller)

    assert message.error == "wamp.error.no_such_procedure"


def test_no_call_is_routed_to_a_procedure_after_unregistered(scene: Scene, caller: Session, callee: Session) -> None:
    (registration,) = callee.registrations

    answer = sent_one(scene.unregister(callee, registration), callee)

    assert answer == Unregistered(2)
    assert sent_one(scene.call(caller, "com.proc"), caller).error == "wamp.error.no_such_procedure"
    assert scene.realm.dealer.registrations == {}


def test_unregistering_what_one_has_not_registered_is_no_such_registration(
    scene: Scene, caller: Session, callee: Session
) -> None:
    (foreign,) = callee.registrations

    for registration in (foreign, 4711):
        message = sent_one(scene.unregister(caller, registration), caller)
        assert (message.request_type, message.error) == (66, "wamp.error.no_such_registration")
    assert foreign in scene.realm.dealer.registrations


def test_invocations_under_way_are_answered_after_unregistered(scene: Scene, caller: Session, callee: Session) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request
    scene.unregister(callee, next(iter(callee.registrations)))

    assert type(sent_one(scene.yield_(callee, request), caller)) is Result


# --- CALL and its answer ------------------------------------------------------------------------------


def test_a_call_becomes_an_invocation_with_the_payload_as_it_came(scene: Scene, callee: Session) -> None:
    caller = scene.join(serializer=CBOR)

    (effect,) = scene.call(caller, "com.proc", args=Raw(b"\x81\x01"))

    assert type(effect) is Deliver
    assert effect.origin is CBOR
    message = invocation([effect], callee)
    assert (message.request, message.registration) == (1, next(iter(callee.registrations)))
    assert (message.details, message.args) == (InvocationDetails(), Raw(b"\x81\x01"))


def test_a_yield_becomes_the_result_of_its_call(scene: Scene, caller: Session) -> None:
    callee = scene.join(serializer=MSGPACK)
    registered(scene, callee, "com.pack")
    request = invocation(scene.call(caller, "com.pack"), callee).request

    (effect,) = scene.yield_(callee, request, args=Raw(b"\x91\x05"))

    assert type(effect) is Deliver
    assert effect.origin is MSGPACK
    assert sent_one([effect], caller) == Result(1, ResultDetails(), Raw(b"\x91\x05"))
    assert_nothing_pending(caller, callee)


def test_an_error_of_the_callee_becomes_the_error_of_the_call(scene: Scene, caller: Session, callee: Session) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request

    message = sent_one(scene.error(callee, request, "com.myapp.error", args=Raw(b"[7]")), caller)

    assert (message.request_type, message.request) == (48, 1)
    assert (message.error, message.args) == ("com.myapp.error", Raw(b"[7]"))
    assert_nothing_pending(caller, callee)


def test_an_error_with_an_incorrect_uri_still_ends_the_call(scene: Scene, caller: Session, callee: Session) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request

    message = sent_one(scene.error(callee, request, "not a uri" * 1000), caller)

    assert message.error == "wamp.error.invalid_uri"
    assert len(message.args[0]) < 200
    assert_nothing_pending(caller, callee)


def test_a_call_of_what_nobody_registered_is_no_such_procedure(scene: Scene, caller: Session) -> None:
    message = sent_one(scene.call(caller, "com.nothing"), caller)

    assert (message.request_type, message.request, message.error) == (48, 1, "wamp.error.no_such_procedure")
    assert_nothing_pending(caller)


def test_results_of_different_calls_may_come_in_any_order(scene: Scene, caller: Session, callee: Session) -> None:
    first, second = (invocation(scene.call(caller, "com.proc"), callee).request for _ in range(2))

    assert sent_one(scene.yield_(callee, second), caller).request == 2
    assert sent_one(scene.yield_(callee, first), caller).request == 1


def test_invocation_ids_are_sequential_for_each_callee(scene: Scene, caller: Session, callee: Session) -> None:
    other = scene.join()
    registered(scene, other, "com.other")

    requests = [
        invocation(scene.call(caller, procedure), session).request
        for procedure, session in [("com.proc", callee), ("com.other", other), ("com.proc", callee)]
    ]

    assert requests == [1, 1, 2]


def test_a_session_may_call_its_own_procedure(scene: Scene, callee: Session) -> None:
    request = invocation(scene.call(callee, "com.proc"), callee).request

    assert type(sent_one(scene.yield_(callee, request), callee)) is Result
    assert_nothing_pending(callee)


def test_an_answer_to_an_invocation_that_never_was_breaks_the_protocol(scene: Scene, callee: Session) -> None:
    with pytest.raises(ProtocolViolation, match="YIELD for an unknown invocation 1"):
        scene.yield_(callee, 1)
    with pytest.raises(ProtocolViolation, match="ERROR for an unknown invocation 1"):
        scene.error(callee, 1)


def test_an_answer_to_the_invocation_of_another_callee_breaks_the_protocol(
    scene: Scene, caller: Session, callee: Session, basic_callee: Session
) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request

    with pytest.raises(ProtocolViolation):
        scene.yield_(basic_callee, request)
    with pytest.raises(ProtocolViolation):
        scene.error(basic_callee, request)

    assert type(sent_one(scene.yield_(callee, request), caller)) is Result


def test_a_second_answer_to_an_invocation_breaks_the_protocol_when_it_cannot_be_a_late_one(
    scene: Scene, caller: Session, basic_callee: Session
) -> None:
    request = invocation(scene.call(caller, "com.basic"), basic_callee).request
    scene.yield_(basic_callee, request)

    with pytest.raises(ProtocolViolation):
        scene.yield_(basic_callee, request)


def test_a_second_answer_of_a_callee_that_may_have_been_interrupted_is_dropped(
    scene: Scene, caller: Session, callee: Session
) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request
    scene.yield_(callee, request)

    assert scene.yield_(callee, request) == []
    assert scene.error(callee, request) == []


@pytest.mark.parametrize("request_type", [0, 32, 48, 64, 69, 4711])
def test_an_error_with_an_invalid_request_type_breaks_the_protocol(
    scene: Scene, caller: Session, callee: Session, request_type: int
) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request

    with pytest.raises(ProtocolViolation, match="request type"):
        scene.error(callee, request, request_type=request_type)


def test_a_request_id_of_a_pending_call_breaks_the_protocol_where_ids_need_not_be_sequential(
    scene: Scene, caller: Session, callee: Session
) -> None:
    request = invocation(scene.send(caller, Call(5, CallOptions(), "com.proc")), callee).request

    with pytest.raises(ProtocolViolation, match="pending call"):
        scene.send(caller, Call(5, CallOptions(), "com.proc"))

    assert type(sent_one(scene.yield_(callee, request), caller)) is Result


# --- Pattern-based registration -----------------------------------------------------------------------


def test_a_call_goes_to_the_best_match_only(scene: Scene, caller: Session) -> None:
    exact, short, long, wildcard = (scene.join() for _ in range(4))
    registered(scene, wildcard, "com..x", match=WILDCARD)
    registered(scene, short, "com.a", match=PREFIX)
    registered(scene, long, "com.app", match=PREFIX)
    registered(scene, exact, "com.app.x")

    assert receivers(scene.call(caller, "com.app.x")) == [exact]
    assert receivers(scene.call(caller, "com.app.y")) == [long]
    assert receivers(scene.call(caller, "com.abc.x")) == [short]
    assert receivers(scene.call(caller, "com.bcd.x")) == [wildcard]


@pytest.mark.parametrize(("procedure", "match"), [("com.", PREFIX), ("com..x", WILDCARD)])
def test_the_procedure_called_is_supplied_with_patterns(
    scene: Scene, caller: Session, procedure: str, match: Match
) -> None:
    callee = scene.join()
    registered(scene, callee, procedure, match=match)

    assert invocation(scene.call(caller, "com.app.x"), callee).details.procedure == "com.app.x"


def test_a_call_with_an_incorrect_uri_does_not_reach_a_pattern(scene: Scene, caller: Session) -> None:
    registered(scene, scene.join(), "", match=PREFIX)

    assert sent_one(scene.call(caller, "com..x"), caller).error == "wamp.error.invalid_uri"


# --- Shared registration ------------------------------------------------------------------------------


def share(scene: Scene, invoke: Invoke, number: int = 3) -> list[Session]:
    sessions = [scene.join() for _ in range(number)]
    ids = {registered(scene, session, "com.shared", invoke=invoke) for session in sessions}
    assert len(ids) == 1
    return sessions


def routed_to(scene: Scene, caller: Session, calls: int) -> list[Session]:
    return [receivers(scene.call(caller, "com.shared"))[0] for _ in range(calls)]


def test_roundrobin_picks_callees_one_after_the_other_and_begins_again(scene: Scene, caller: Session) -> None:
    a, b, c = share(scene, Invoke.ROUNDROBIN)

    assert routed_to(scene, caller, 7) == [a, b, c, a, b, c, a]


def test_first_picks_the_earliest_of_the_callees(scene: Scene, caller: Session) -> None:
    a, _, _ = share(scene, Invoke.FIRST)
    assert routed_to(scene, caller, 2) == [a, a]


def test_last_picks_the_latest_of_those_that_are_left(scene: Scene, caller: Session) -> None:
    _, b, c = share(scene, Invoke.LAST)
    assert routed_to(scene, caller, 2) == [c, c]

    scene.leave(c)

    assert routed_to(scene, caller, 1) == [b]


def test_random_picks_by_the_number_that_it_draws() -> None:
    draws: Iterator[int] = iter([2, 0, 1])
    limits: list[int] = []

    def random_below(limit: int) -> int:
        limits.append(limit)
        return next(draws)

    scene = Scene(random_below=random_below)
    caller = scene.join()
    a, b, c = share(scene, Invoke.RANDOM)

    assert routed_to(scene, caller, 3) == [c, a, b]
    assert limits == [3, 3, 3]


@pytest.mark.parametrize("leaving", [0, 1, 2])
def test_roundrobin_goes_on_where_it_was_when_a_callee_leaves(scene: Scene, caller: Session, leaving: int) -> None:
    callees = share(scene, Invoke.ROUNDROBIN)
    routed_to(scene, caller, 1)

    scene.leave(callees[leaving])

    remaining = [session for session in callees if session is not callees[leaving]]
    expected = [session for session in callees[1:] + callees[:1] if session in remaining]
    assert routed_to(scene, caller, 2) == expected


def test_roundrobin_begins_again_when_the_last_one_leaves_whose_turn_it_was(scene: Scene, caller: Session) -> None:
    a, b, c = share(scene, Invoke.ROUNDROBIN)
    routed_to(scene, caller, 2)

    scene.leave(c)
    d = scene.join()
    registered(scene, d, "com.shared", invoke=Invoke.ROUNDROBIN)

    assert routed_to(scene, caller, 4) == [a, b, d, a]


@pytest.mark.parametrize("initial", list(Invoke))
@pytest.mark.parametrize("later", [None, *Invoke])
def test_a_different_invocation_policy_than_that_of_the_initial_registration_fails(
    scene: Scene, initial: Invoke, later: Invoke | None
) -> None:
    first, second = scene.join(), scene.join()
    registered(scene, first, "com.shared", invoke=initial)

    message = sent_one(scene.register(second, "com.shared", invoke=later), second)

    if initial is later and initial is not Invoke.SINGLE:
        assert type(message) is Registered
    else:
        assert message.error == "wamp.error.procedure_already_exists"


def test_the_policy_is_free_again_once_the_registration_is_gone(scene: Scene) -> None:
    first, second = scene.join(), scene.join()
    registration = registered(scene, first, "com.shared", invoke=Invoke.ROUNDROBIN)
    scene.unregister(first, registration)

    assert registered(scene, second, "com.shared", invoke=Invoke.LAST) != registration


# --- Caller identification ----------------------------------------------------------------------------


def test_the_caller_is_not_named_by_default(scene: Scene, caller: Session, callee: Session) -> None:
    assert invocation(scene.call(caller, "com.proc"), callee).details == InvocationDetails()


@pytest.mark.parametrize("options", [{"disclose_me": True}, {"disclose": True}])
def test_the_caller_is_named_if_it_asks_for_that_or_the_rules_of_the_router_do(
    scene: Scene, caller: Session, callee: Session, options: dict[str, bool]
) -> None:
    details = invocation(scene.call(caller, "com.proc", **options), callee).details  # type: ignore[arg-type]

    assert (details.caller, details.caller_authid, details.caller_authrole) == (caller.id, "caller", "user")


def test_the_caller_is_named_to_callees_that_asked_for_it_and_only_to_them(scene: Scene, caller: Session) -> None:
    curious, other = scene.join(), scene.join()
    registered(scene, other, "com.shared", invoke=Invoke.ROUNDROBIN)
    registered(scene, curious, "com.shared", invoke=Invoke.ROUNDROBIN, disclose_caller=True)

    to_other, to_curious = scene.call(caller, "com.shared"), scene.call(caller, "com.shared")

    assert invocation(to_other, other).details.caller is None
    assert invocation(to_curious, curious).details.caller == caller.id


# --- Progressive call results -------------------------------------------------------------------------


def test_progressive_results_are_passed_on_in_order_and_the_final_one_ends_the_call(
    scene: Scene, caller: Session, callee: Session
) -> None:
    message = invocation(scene.call(caller, "com.proc", receive_progress=True), callee)
    assert message.details.receive_progress is True

    results = [
        sent_one(scene.yield_(callee, message.request, args=Raw(b"[%d]" % number), progress=True), caller)
        for number in range(3)
    ]
    final = sent_one(scene.yield_(callee, message.request), caller)

    assert [result.details.progress for result in results] == [True, True, True]
    assert [bytes(result.args) for result in results] == [b"[0]", b"[1]", b"[2]"]
    assert final.details.progress is None
    assert_nothing_pending(caller, callee)


def test_an_error_may_end_a_progressive_call(scene: Scene, caller: Session, callee: Session) -> None:
    request = invocation(scene.call(caller, "com.proc", receive_progress=True), callee).request
    scene.yield_(callee, request, progress=True)

    assert type(sent_one(scene.error(callee, request), caller)) is Error
    assert_nothing_pending(caller, callee)


@pytest.mark.parametrize(
    ("caller_features", "callee_features"),
    [
        (None, EVERYTHING),
        (EVERYTHING, None),
        (EVERYTHING, {"call_canceling": True}),
        ({"progressive_call_results": 1}, EVERYTHING),
    ],
)
def test_progress_is_neither_asked_for_nor_passed_on_unless_both_ends_can(
    scene: Scene, caller_features: dict[str, Any] | None, callee_features: dict[str, Any] | None
) -> None:
    caller, callee = scene.join(caller=caller_features), scene.join(callee=callee_features)
    registered(scene, callee, "com.proc")

    message = invocation(scene.call(caller, "com.proc", receive_progress=True), callee)

    assert message.details.receive_progress is None
    assert scene.yield_(callee, message.request, progress=True) == []
    assert type(sent_one(scene.yield_(callee, message.request), caller)) is Result


def test_progress_that_was_not_asked_for_is_not_passed_on(scene: Scene, caller: Session, callee: Session) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request

    assert scene.yield_(callee, request, progress=True) == []
    assert type(sent_one(scene.yield_(callee, request), caller)) is Result


def test_nothing_comes_after_the_final_result(scene: Scene, caller: Session, callee: Session) -> None:
    request = invocation(scene.call(caller, "com.proc", receive_progress=True), callee).request
    scene.yield_(callee, request)

    assert scene.yield_(callee, request, progress=True) == []


# --- Call canceling -----------------------------------------------------------------------------------


def is_canceled(message: Error, request: int = 1) -> bool:
    return (message.request_type, message.request, message.error) == (48, request, "wamp.error.canceled")


def test_skip_answers_the_caller_at_once_and_discards_the_result(
    scene: Scene, caller: Session, callee: Session
) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request

    effects = scene.cancel(caller, 1, SKIP)

    assert is_canceled(sent_one(effects, caller))
    assert sent(effects, callee) == []
    assert scene.yield_(callee, request) == []
    assert_nothing_pending(caller, callee)


@pytest.mark.parametrize("mode", [KILLNOWAIT, None])
def test_killnowait_answers_the_caller_at_once_and_interrupts_the_callee(
    scene: Scene, caller: Session, callee: Session, mode: CancelMode | None
) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request

    effects = scene.cancel(caller, 1, mode)

    assert is_canceled(sent_one(effects, caller))
    interrupt = sent_one(effects, callee)
    assert (type(interrupt), interrupt.request, interrupt.options.mode) == (Interrupt, request, KILLNOWAIT)


@pytest.mark.parametrize("answer", ["yield_", "error"])
def test_the_answer_to_an_interrupted_invocation_is_ignored_but_not_needed(
    scene: Scene, caller: Session, callee: Session, answer: str
) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request
    scene.cancel(caller, 1, KILLNOWAIT)
    assert_nothing_pending(caller, callee)

    assert getattr(scene, answer)(callee, request) == []


@pytest.mark.parametrize("answer", ["yield_", "error"])
def test_kill_waits_for_the_answer_of_the_callee_whatever_it_is(
    scene: Scene, caller: Session, callee: Session, answer: str
) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request

    effects = scene.cancel(caller, 1, KILL)

    assert sent(effects, caller) == []
    assert sent_one(effects, callee).options.mode is KILL
    final = sent_one(getattr(scene, answer)(callee, request), caller)
    assert type(final) is (Result if answer == "yield_" else Error)
    assert_nothing_pending(caller, callee)


@pytest.mark.parametrize("mode", list(CancelMode))
def test_a_callee_without_call_canceling_is_skipped(
    scene: Scene, caller: Session, basic_callee: Session, mode: CancelMode
) -> None:
    request = invocation(scene.call(caller, "com.basic"), basic_callee).request

    effects = scene.cancel(caller, 1, mode)

    assert is_canceled(sent_one(effects, caller))
    assert sent(effects, basic_callee) == []
    assert scene.yield_(basic_callee, request) == []
    assert_nothing_pending(caller, basic_callee)


def test_cancel_of_a_finished_call_is_ignored(scene: Scene, caller: Session, callee: Session) -> None:
    scene.yield_(callee, invocation(scene.call(caller, "com.proc"), callee).request)

    assert scene.cancel(caller, 1) == []
    assert scene.cancel(caller, 4711) == []


def test_only_the_caller_cancels_its_call(scene: Scene, caller: Session, callee: Session) -> None:
    scene.call(caller, "com.proc")

    assert scene.cancel(scene.join(), 1) == []
    assert 1 in caller.calls


def test_a_second_kill_does_nothing_but_another_mode_ends_the_waiting(
    scene: Scene, caller: Session, callee: Session
) -> None:
    scene.call(caller, "com.proc")
    scene.cancel(caller, 1, KILL)

    assert scene.cancel(caller, 1, KILL) == []
    assert is_canceled(sent_one(scene.cancel(caller, 1, SKIP), caller))
    assert scene.cancel(caller, 1, SKIP) == []


def test_both_spellings_of_call_canceling_are_understood(scene: Scene) -> None:
    assert scene.join(callee={"call_cancelling": True}).callee_cancels
    assert scene.join(callee={"call_canceling": True}).callee_cancels


# --- Call timeouts ------------------------------------------------------------------------------------


def test_a_call_with_a_timeout_asks_to_be_woken_and_milliseconds_become_seconds(
    scene: Scene, caller: Session, callee: Session
) -> None:
    scene.now = 100.0

    effects = scene.call(caller, "com.proc", timeout=2500)

    assert [wake.when for wake in wakes(effects)] == [102.5]
    assert invocation(effects, callee).details.timeout is None


@pytest.mark.parametrize("timeout", [None, 0])
def test_no_timeout_and_a_timeout_of_zero_mean_none(
    scene: Scene, caller: Session, callee: Session, timeout: int | None
) -> None:
    assert wakes(scene.call(caller, "com.proc", timeout=timeout)) == []


def wake(scene: Scene, effect: WakeAt, at: float) -> list[Any]:
    scene.now = at
    return scene.realm.wake(effect.pending, at)


def test_a_call_that_times_out_is_answered_with_timeout_and_its_callee_interrupted(
    scene: Scene, caller: Session, callee: Session
) -> None:
    effects = scene.call(caller, "com.proc", timeout=1000)
    request = invocation(effects, callee).request

    expired = wake(scene, wakes(effects)[0], 1.0)

    message = sent_one(expired, caller)
    assert (message.request_type, message.request, message.error) == (48, 1, "wamp.error.timeout")
    assert sent_one(expired, callee).options.mode is KILLNOWAIT
    assert scene.yield_(callee, request) == []
    assert_nothing_pending(caller, callee)


def test_a_callee_without_call_canceling_is_not_interrupted_by_a_timeout(
    scene: Scene, caller: Session, basic_callee: Session
) -> None:
    effects = scene.call(caller, "com.basic", timeout=1000)

    expired = wake(scene, wakes(effects)[0], 1.0)

    assert receivers(expired) == [caller]
    assert scene.yield_(basic_callee, 1) == []
    assert_nothing_pending(caller, basic_callee)


def test_a_timeout_after_kill_ends_the_waiting(scene: Scene, caller: Session, callee: Session) -> None:
    effects = scene.call(caller, "com.proc", timeout=1000)
    scene.cancel(caller, 1, KILL)

    assert sent_one(wake(scene, wakes(effects)[0], 1.0), caller).error == "wamp.error.timeout"


def test_being_woken_too_early_asks_to_be_woken_again(scene: Scene, caller: Session, callee: Session) -> None:
    (effect,) = wakes(scene.call(caller, "com.proc", timeout=1000))

    again = wake(scene, effect, 0.9)

    assert again == [WakeAt(1.0, effect.pending)]


def test_the_timeout_of_a_progressive_call_is_for_the_gap_between_results(
    scene: Scene, caller: Session, callee: Session
) -> None:
    effects = scene.call(caller, "com.proc", timeout=1000, receive_progress=True)
    request, (effect,) = invocation(effects, callee).request, wakes(effects)
    scene.now = 0.8
    scene.yield_(callee, request, progress=True)

    assert wake(scene, effect, 1.0) == [WakeAt(1.8, effect.pending)]
    assert sent_one(wake(scene, effect, 1.8), caller).error == "wamp.error.timeout"


@pytest.mark.parametrize("end", ["result", "error", "cancel", "timeout", "caller leaves", "callee leaves", "too large"])
def test_the_timer_of_a_call_is_let_go_with_its_final_answer(
    scene: Scene, caller: Session, callee: Session, end: str
) -> None:
    effects = scene.call(caller, "com.proc", timeout=1000)
    message, (effect,) = invocation(effects, callee), wakes(effects)

    ending = {
        "result": lambda: scene.yield_(callee, message.request),
        "error": lambda: scene.error(callee, message.request),
        "cancel": lambda: scene.cancel(caller, 1),
        "timeout": lambda: scene.realm.wake(effect.pending, 1.0),
        "caller leaves": lambda: scene.leave(caller),
        "callee leaves": lambda: scene.leave(callee),
        "too large": lambda: scene.realm.undeliverable(callee, message, "wamp.error.payload_size_exceeded", ""),
    }[end]()

    assert [canceled.pending for canceled in canceled_wakes(ending)] == [effect.pending]
    assert scene.realm.wake(effect.pending, 2.0) == []


def test_calls_without_a_timeout_have_no_timer_to_let_go(scene: Scene, caller: Session, callee: Session) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request

    assert canceled_wakes(scene.yield_(callee, request)) == []


def test_a_callee_that_handles_timeouts_itself_is_told_and_the_dealer_does_not(scene: Scene, caller: Session) -> None:
    callee = scene.join()
    registered(scene, callee, "com.own", forward_timeout=True)

    effects = scene.call(caller, "com.own", timeout=1500)

    assert invocation(effects, callee).details.timeout == 1500
    assert wakes(effects) == []


def test_what_a_callee_asked_for_ends_with_its_registration(scene: Scene, caller: Session) -> None:
    other, callee = scene.join(), scene.join()
    registered(scene, other, "com.shared", invoke=Invoke.LAST)
    options = {"invoke": Invoke.LAST, "forward_timeout": True, "disclose_caller": True}
    scene.unregister(callee, registered(scene, callee, "com.shared", **options))

    registered(scene, callee, "com.shared", invoke=Invoke.LAST)

    details = invocation(scene.call(caller, "com.shared", timeout=1000), callee).details
    assert (details.timeout, details.caller) == (None, None)


# --- Leaving ------------------------------------------------------------------------------------------


def test_when_the_caller_leaves_the_callee_is_interrupted_with_killnowait(
    scene: Scene, caller: Session, callee: Session
) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request

    interrupt = sent_one(scene.leave(caller), callee)

    assert (type(interrupt), interrupt.request, interrupt.options.mode) == (Interrupt, request, KILLNOWAIT)
    assert_nothing_pending(caller, callee)


@pytest.mark.parametrize("answer", ["yield_", "error"])
def test_when_the_caller_has_left_the_late_answer_is_discarded(
    scene: Scene, caller: Session, callee: Session, basic_callee: Session, answer: str
) -> None:
    for session, procedure in [(callee, "com.proc"), (basic_callee, "com.basic")]:
        scene.call(caller, procedure)
        assert session.last_invocation == 1
    scene.leave(caller)

    for session in (callee, basic_callee):
        assert getattr(scene, answer)(session, 1) == []
        assert_nothing_pending(session)


def test_a_callee_without_call_canceling_is_not_interrupted_when_the_caller_leaves(
    scene: Scene, caller: Session, basic_callee: Session
) -> None:
    scene.call(caller, "com.basic")

    assert scene.leave(caller) == []


def test_when_the_callee_leaves_every_caller_gets_canceled_at_once(
    scene: Scene, caller: Session, callee: Session
) -> None:
    other = scene.join()
    for session in (caller, other, caller):
        scene.call(session, "com.proc")

    effects = scene.leave(callee)

    assert [is_canceled(message, request) for request, message in enumerate(sent(effects, caller), 1)] == [True, True]
    assert is_canceled(sent_one(effects, other))
    assert_nothing_pending(caller, other, callee)


def test_when_the_callee_leaves_after_kill_the_caller_still_gets_its_answer(
    scene: Scene, caller: Session, callee: Session
) -> None:
    scene.call(caller, "com.proc")
    scene.cancel(caller, 1, KILL)

    assert is_canceled(sent_one(scene.leave(callee), caller))


def test_the_next_shared_callee_takes_over_when_one_leaves(scene: Scene, caller: Session) -> None:
    first, second = share(scene, Invoke.FIRST, 2)
    scene.leave(first)

    assert receivers(scene.call(caller, "com.shared")) == [second]


def test_a_session_that_calls_itself_and_leaves_is_sent_nothing(scene: Scene, callee: Session) -> None:
    scene.call(callee, "com.proc", timeout=1000)

    effects = scene.leave(callee)

    assert receivers(effects) == []
    assert len(canceled_wakes(effects)) == 1
    assert scene.is_empty()


# --- What cannot be delivered -------------------------------------------------------------------------

TOO_LARGE = "wamp.error.payload_size_exceeded"


def test_an_invocation_that_cannot_be_delivered_fails_the_call(scene: Scene, caller: Session, callee: Session) -> None:
    message = invocation(scene.call(caller, "com.proc"), callee)

    answer = sent_one(scene.realm.undeliverable(callee, message, TOO_LARGE, "too large"), caller)

    assert (answer.request_type, answer.request, answer.error, answer.args) == (48, 1, TOO_LARGE, ["too large"])
    assert_nothing_pending(caller, callee)


def test_the_id_of_an_invocation_that_was_not_delivered_is_not_missing_in_the_sequence(
    scene: Scene, caller: Session, callee: Session
) -> None:
    scene.realm.undeliverable(callee, invocation(scene.call(caller, "com.proc"), callee), TOO_LARGE, "too large")

    assert invocation(scene.call(caller, "com.proc"), callee).request == 1


def test_a_result_that_cannot_be_delivered_becomes_an_error(scene: Scene, caller: Session, callee: Session) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request
    message = sent_one(scene.yield_(callee, request), caller)

    effects = scene.realm.undeliverable(caller, message, TOO_LARGE, "too large")

    answer = sent_one(effects, caller)
    assert (answer.request_type, answer.request, answer.error) == (48, 1, TOO_LARGE)


def test_a_progressive_result_that_cannot_be_delivered_is_the_end_of_the_call(
    scene: Scene, caller: Session, callee: Session
) -> None:
    request = invocation(scene.call(caller, "com.proc", receive_progress=True), callee).request
    message = sent_one(scene.yield_(callee, request, progress=True), caller)

    effects = scene.realm.undeliverable(caller, message, TOO_LARGE, "too large")

    assert sent_one(effects, caller).error == TOO_LARGE
    assert sent_one(effects, callee).options.mode is KILLNOWAIT
    assert scene.yield_(callee, request) == []
    assert_nothing_pending(caller, callee)


def test_an_error_that_cannot_be_delivered_becomes_a_shorter_one_and_never_ends_in_a_circle(
    scene: Scene, caller: Session, callee: Session
) -> None:
    request = invocation(scene.call(caller, "com.proc"), callee).request
    first = sent_one(scene.error(callee, request, args=Raw(b"[1]")), caller)

    second = sent_one(scene.realm.undeliverable(caller, first, TOO_LARGE, "too large"), caller)
    third = sent_one(scene.realm.undeliverable(caller, second, TOO_LARGE, "too large"), caller)

    assert [(answer.request, answer.error, answer.args) for answer in (second, third)] == [
        (1, TOO_LARGE, ["too large"]),
        (1, TOO_LARGE, []),
    ]
    assert scene.realm.undeliverable(caller, third, TOO_LARGE, "too large") == []


def test_the_error_of_another_request_that_cannot_be_delivered_stays_one_of_that_request(
    scene: Scene, caller: Session
) -> None:
    message = sent_one(scene.subscribe(caller, "not valid"), caller)

    answer = sent_one(scene.realm.undeliverable(caller, message, TOO_LARGE, "too large"), caller)

    assert (answer.request_type, answer.request) == (32, 1)
