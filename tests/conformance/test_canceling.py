"""How calls end before their result: canceled, timed out, deserted (advanced/rpc_call_canceling.md and others)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.peer import Peer
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import (
    Cancel,
    CancelMode,
    CancelOptions,
    Error,
    Interrupt,
    Invocation,
    InvocationDetails,
    PassthruDetails,
    Result,
    Yield,
    YieldOptions,
)

PROCEDURE = "com.example.procedure"
CANCELED = "wamp.error.canceled"
TIMED_OUT = "wamp.error.timeout"


async def pending_call(realm: RealmUnderTest, features: dict[str, bool] | None = None, **options: Any) -> Any:
    """A caller, a callee with these features, and an invocation that the callee has not answered."""
    callee, caller = await realm.join(features=features), await realm.join()
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE, **options)
    return caller, callee, await callee.expect(Invocation)


async def cancel(caller: Peer, mode: CancelMode | None) -> None:
    await caller.send(Cancel(caller.last_request, CancelOptions(mode=mode)))


# --- CANCEL ----------------------------------------------------------------------------------------


async def test_skip_answers_the_caller_at_once_and_discards_the_result(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm)

    await cancel(caller, CancelMode.SKIP)

    await caller.expect_error(48, CANCELED)
    await callee.expect_nothing()
    await callee.yield_(invocation, "too late")
    await callee.expect_nothing()
    await caller.expect_nothing()


@pytest.mark.parametrize("mode", [CancelMode.KILLNOWAIT, None])
async def test_killnowait_answers_the_caller_and_interrupts_the_callee(
    realm: RealmUnderTest, mode: CancelMode | None
) -> None:
    caller, callee, invocation = await pending_call(realm)

    await cancel(caller, mode)

    await caller.expect_error(48, CANCELED)
    interrupt = await callee.expect(Interrupt)
    assert (interrupt.request, interrupt.options.mode) == (invocation.request, CancelMode.KILLNOWAIT)


@pytest.mark.parametrize("answer", ["yield", "error", "nothing"])
async def test_what_the_callee_says_after_killnowait_is_ignored(realm: RealmUnderTest, answer: str) -> None:
    caller, callee, invocation = await pending_call(realm)
    await cancel(caller, CancelMode.KILLNOWAIT)
    await caller.expect_error(48, CANCELED)
    await callee.expect(Interrupt)

    if answer == "yield":
        await callee.yield_(invocation, "too late")
    elif answer == "error":
        await callee.send(Error(68, invocation.request, PassthruDetails(), CANCELED))

    await callee.expect_nothing()
    await caller.expect_nothing()


async def test_kill_answers_the_caller_when_the_callee_has_answered(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm)

    await cancel(caller, CancelMode.KILL)

    interrupt = await callee.expect(Interrupt)
    assert (interrupt.request, interrupt.options.mode) == (invocation.request, CancelMode.KILL)
    request, _ = caller.last_request, await caller.expect_nothing()
    await callee.send(Error(68, invocation.request, PassthruDetails(), "com.example.stopped", ["by request"]))
    error = await caller.expect(Error)
    assert (error.request, error.error, error.args) == (request, "com.example.stopped", ["by request"])


async def test_the_result_may_win_against_kill(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm)
    await cancel(caller, CancelMode.KILL)
    await callee.expect(Interrupt)

    await callee.yield_(invocation, "done already")

    assert (await caller.expect(Result)).args == ["done already"]
    await caller.expect_nothing()


@pytest.mark.parametrize("mode", list(CancelMode))
async def test_a_callee_without_call_canceling_is_not_interrupted(realm: RealmUnderTest, mode: CancelMode) -> None:
    caller, callee, invocation = await pending_call(realm, features={})

    await cancel(caller, mode)

    await caller.expect_error(48, CANCELED)
    await callee.expect_nothing()
    await callee.yield_(invocation, "too late")
    await callee.expect_nothing()
    await caller.expect_nothing()


async def test_the_other_spelling_of_the_feature_counts_too(realm: RealmUnderTest) -> None:
    caller, callee, _invocation = await pending_call(realm, features={"call_cancelling": True})

    await cancel(caller, CancelMode.KILLNOWAIT)

    await callee.expect(Interrupt)
    await caller.expect_error(48, CANCELED)


@pytest.mark.parametrize("mode", list(CancelMode))
async def test_cancel_for_a_call_that_is_finished_is_ignored(realm: RealmUnderTest, mode: CancelMode) -> None:
    caller, callee, invocation = await pending_call(realm)
    await callee.yield_(invocation, 1)
    await caller.expect(Result)

    await cancel(caller, mode)

    await caller.expect_nothing()
    await callee.expect_nothing()


async def test_cancel_for_a_call_that_never_was_is_ignored(realm: RealmUnderTest) -> None:
    caller = await realm.join()

    await caller.send(Cancel(4711, CancelOptions()))

    await caller.expect_nothing()


@pytest.mark.parametrize("first", list(CancelMode))
@pytest.mark.parametrize("second", list(CancelMode))
async def test_a_call_that_is_canceled_twice_gets_one_answer(
    realm: RealmUnderTest, first: CancelMode, second: CancelMode
) -> None:
    caller, callee, invocation = await pending_call(realm)

    await cancel(caller, first)
    await cancel(caller, second)
    if first is CancelMode.KILL:
        await callee.expect(Interrupt)
        await callee.send(Error(68, invocation.request, PassthruDetails(), CANCELED))

    await caller.expect_error(48, CANCELED)
    await caller.expect_nothing()


async def test_nobody_can_cancel_the_call_of_somebody_else(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm)
    other = await realm.join()

    await other.send(Cancel(caller.last_request, CancelOptions(mode=CancelMode.KILLNOWAIT)))
    await other.expect_nothing()

    await callee.yield_(invocation, 1)
    assert (await caller.expect(Result)).args == [1]


# --- the callee or the caller is gone --------------------------------------------------------------


@pytest.mark.parametrize("way_out", ["goodbye", "abort", "vanish"])
async def test_the_caller_of_a_callee_that_is_gone_gets_an_error_at_once(realm: RealmUnderTest, way_out: str) -> None:
    caller, callee, _invocation = await pending_call(realm)

    if way_out == "goodbye":
        await callee.leave()
    elif way_out == "abort":
        await callee.send_array(3, {}, "com.example.tired")
    else:
        await callee.vanish()

    await caller.expect_error(48, CANCELED)
    await caller.call(PROCEDURE)
    await caller.expect_error(48, "wamp.error.no_such_procedure")


@pytest.mark.parametrize("way_out", ["goodbye", "abort", "vanish"])
async def test_the_callee_of_a_caller_that_is_gone_is_interrupted(realm: RealmUnderTest, way_out: str) -> None:
    caller, callee, invocation = await pending_call(realm)

    if way_out == "goodbye":
        await caller.leave()
    elif way_out == "abort":
        await caller.send_array(3, {}, "com.example.tired")
    else:
        await caller.vanish()

    interrupt = await callee.expect(Interrupt)
    assert (interrupt.request, interrupt.options.mode) == (invocation.request, CancelMode.KILLNOWAIT)


async def test_the_late_answer_for_a_caller_that_is_gone_is_discarded(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm)
    await caller.leave()
    await callee.expect(Interrupt)

    await callee.yield_(invocation, "for nobody")

    await callee.expect_nothing()


async def test_a_callee_without_call_canceling_is_not_told_that_the_caller_is_gone(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, features={})

    await caller.leave()

    await callee.expect_nothing()
    await callee.yield_(invocation, "for nobody")
    await callee.expect_nothing()


# --- timeouts --------------------------------------------------------------------------------------


async def test_a_call_that_takes_longer_than_its_timeout_fails(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, timeout=20)

    await caller.expect_error(48, TIMED_OUT)

    interrupt = await callee.expect(Interrupt)
    assert (interrupt.request, interrupt.options.mode) == (invocation.request, CancelMode.KILLNOWAIT)
    await callee.yield_(invocation, "too late")
    await caller.expect_nothing()


async def test_a_callee_without_call_canceling_is_not_interrupted_by_a_timeout(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, features={}, timeout=20)

    await caller.expect_error(48, TIMED_OUT)

    await callee.yield_(invocation, "too late")
    await callee.expect_nothing()
    await caller.expect_nothing()


async def test_a_call_within_its_timeout_succeeds(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, timeout=60_000)

    await callee.yield_(invocation, "in time")

    assert (await caller.expect(Result)).args == ["in time"]


async def test_a_timeout_of_0_is_none(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, timeout=0)

    await callee.yield_(invocation, "whenever")

    await caller.expect(Result)


async def test_a_timeout_is_not_forwarded_unless_the_callee_wants_it(realm: RealmUnderTest) -> None:
    _caller, _callee, invocation = await pending_call(realm, timeout=60_000)

    assert invocation.details == InvocationDetails()


async def test_a_timeout_is_forwarded_to_a_callee_that_wants_it(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE, forward_timeout=True)

    await caller.call(PROCEDURE, timeout=20)

    invocation = await callee.expect(Invocation)
    assert invocation.details.timeout == 20
    await callee.send(Error(68, invocation.request, PassthruDetails(), TIMED_OUT))
    await caller.expect_error(48, TIMED_OUT)
    await caller.expect_nothing()


# --- progressive results ---------------------------------------------------------------------------


async def test_progressive_results_reach_the_caller_in_order_and_before_the_last(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, receive_progress=True)
    assert invocation.details.receive_progress is True

    for number in range(50):
        await callee.yield_(invocation, number, progress=True)
    await callee.yield_(invocation, "done")

    for number in range(50):
        result = await caller.expect(Result)
        assert (result.details.progress, result.args) == (True, [number])
    result = await caller.expect(Result)
    assert (result.details.progress, result.args) == (None, ["done"])


async def test_progressive_and_last_results_may_be_empty(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, receive_progress=True)

    await callee.send(Yield(invocation.request, YieldOptions(progress=True)))
    await callee.send(Yield(invocation.request, YieldOptions()))

    assert await caller.receive_array() == [50, caller.last_request, {"progress": True}]
    assert await caller.receive_array() == [50, caller.last_request, {}]


async def test_progressive_results_may_end_in_an_error(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, receive_progress=True)

    await callee.yield_(invocation, 1, progress=True)
    await callee.send(Error(68, invocation.request, PassthruDetails(), "com.example.error"))

    await caller.expect(Result)
    await caller.expect_error(48, "com.example.error")


async def test_progress_that_the_caller_did_not_ask_for_is_not_forwarded(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm)
    assert invocation.details.receive_progress is None

    await callee.yield_(invocation, "unasked", progress=True)
    await callee.yield_(invocation, "done")

    assert (await caller.expect(Result)).args == ["done"]


@pytest.mark.parametrize("features", [{}, {"call_canceling": True}], ids=["none", "canceling"])
async def test_progress_is_not_asked_of_a_callee_that_did_not_announce_it(
    realm: RealmUnderTest, features: dict[str, bool]
) -> None:
    _caller, _callee, invocation = await pending_call(realm, features=features, receive_progress=True)

    assert invocation.details == InvocationDetails()


async def test_progress_is_asked_of_a_callee_that_cannot_be_interrupted(realm: RealmUnderTest) -> None:
    # "... then the Dealer disregards the Callee's Progressive Call Results feature": autobahn-js announces it without
    # call canceling, and what it goes on sending to a caller that is gone is dropped.
    features = {"progressive_call_results": True}
    caller, callee, invocation = await pending_call(realm, features=features, receive_progress=True)

    await callee.yield_(invocation, 1, progress=True)

    assert invocation.details.receive_progress is True
    assert (await caller.expect(Result)).details.progress is True
    await caller.leave()
    await callee.yield_(invocation, 2, progress=True)
    await callee.expect_nothing()


async def test_progress_is_not_asked_for_a_caller_that_did_not_announce_it(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join(features={})
    await callee.register(PROCEDURE)

    await caller.call(PROCEDURE, receive_progress=True)

    assert (await callee.expect(Invocation)).details == InvocationDetails()


async def test_nothing_comes_after_the_last_result(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, receive_progress=True)
    await callee.yield_(invocation, "done")

    await callee.yield_(invocation, "more", progress=True)
    await callee.expect_nothing()

    assert (await caller.expect(Result)).args == ["done"]
    await caller.expect_nothing()


async def test_progress_for_a_call_that_was_canceled_is_dropped(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, receive_progress=True)
    await callee.yield_(invocation, 1, progress=True)
    await caller.expect(Result)
    await cancel(caller, CancelMode.KILLNOWAIT)
    await caller.expect_error(48, CANCELED)
    await callee.expect(Interrupt)

    await callee.yield_(invocation, 2, progress=True)
    await callee.expect_nothing()

    await caller.expect_nothing()


async def test_the_callee_is_interrupted_when_the_caller_of_progressive_results_leaves(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, receive_progress=True)
    await callee.yield_(invocation, 1, progress=True)
    await caller.expect(Result)

    await caller.leave()

    interrupt = await callee.expect(Interrupt)
    assert (interrupt.request, interrupt.options.mode) == (invocation.request, CancelMode.KILLNOWAIT)


async def test_a_call_whose_progress_stops_times_out(realm: RealmUnderTest) -> None:
    caller, callee, invocation = await pending_call(realm, receive_progress=True, timeout=50)

    await callee.yield_(invocation, 1, progress=True)

    await caller.expect(Result)
    await caller.expect_error(48, TIMED_OUT)
    await callee.expect(Interrupt)
