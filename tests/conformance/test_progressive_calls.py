"""Calls in several parts (advanced/rpc_progressive_call_invocations.md)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.peer import Peer
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import (
    Abort,
    Cancel,
    CancelMode,
    CancelOptions,
    Error,
    Interrupt,
    Invocation,
    InvocationDetails,
    Invoke,
    PassthruDetails,
    Result,
)

PROCEDURE = "com.example.upload"
CANCELED = "wamp.error.canceled"


async def begun(realm: RealmUnderTest, **options: Any) -> tuple[Peer, Peer, int, Invocation]:
    """A caller, a callee, and the first part of a call between them."""
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)
    request = await caller.call(PROCEDURE, 0, progress=True, **options)
    return caller, callee, request, await callee.expect(Invocation)


async def expect_violation(peer: Peer) -> None:
    assert (await peer.expect(Abort)).reason == "wamp.error.protocol_violation"
    await peer.expect_end()


async def test_parts_arrive_in_order_as_one_invocation_and_the_last_says_so(realm: RealmUnderTest) -> None:
    caller, callee, request, first = await begun(realm)
    assert first.details == InvocationDetails(progress=True)

    for number in range(1, 20):
        await caller.continue_call(request, PROCEDURE, number, progress=True)
    await caller.continue_call(request, PROCEDURE, 20)

    for number in range(1, 21):
        part = await callee.expect(Invocation)
        assert (part.request, part.args) == (first.request, [number])
        assert part.details == InvocationDetails(progress=True if number < 20 else None)
    await callee.yield_(first, "done")
    assert (await caller.expect(Result)).args == ["done"]


async def test_the_wire_format_is_that_of_the_specification(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    registration = await callee.register(PROCEDURE)

    await caller.send_array(48, 1, {"progress": True}, PROCEDURE, [50.45, 30.52])
    await caller.send_array(48, 1, {"progress": False}, PROCEDURE, [50.5])

    assert await callee.receive_array() == [68, 1, registration, {"progress": True}, [50.45, 30.52]]
    assert await callee.receive_array() == [68, 1, registration, {}, [50.5]]


async def test_results_and_parts_may_take_turns(realm: RealmUnderTest) -> None:
    caller, callee, request, first = await begun(realm, receive_progress=True)

    for number in range(5):
        await callee.yield_(first, number, progress=True)
        assert (await caller.expect(Result)).args == [number]
        await caller.continue_call(request, PROCEDURE, number, progress=number < 4)
        assert (await callee.expect(Invocation)).args == [number]
    await callee.yield_(first, "done")

    assert (await caller.expect(Result)).details.progress is None


async def test_other_calls_in_between_do_not_disturb(realm: RealmUnderTest) -> None:
    caller, callee, request, first = await begun(realm)

    await caller.call(PROCEDURE, "other")
    await caller.continue_call(request, PROCEDURE, "last")

    other, last = await callee.expect(Invocation), await callee.expect(Invocation)
    assert (other.request, other.args) == (first.request + 1, ["other"])
    assert (last.request, last.args) == (first.request, ["last"])


async def test_all_parts_go_to_the_callee_that_got_the_first(realm: RealmUnderTest) -> None:
    callees = [await realm.join() for _ in range(2)]
    caller = await realm.join()
    for callee in callees:
        await callee.register(PROCEDURE, invoke=Invoke.ROUNDROBIN)
    requests = [await caller.call(PROCEDURE, position, progress=True) for position in range(2)]

    for request in requests:
        for progress in (True, False):
            await caller.continue_call(request, PROCEDURE, request - requests[0], progress=progress)

    for position, callee in enumerate(callees):
        assert [(await callee.expect(Invocation)).args for _ in range(3)] == [[position]] * 3


async def test_options_are_those_of_the_first_part(realm: RealmUnderTest) -> None:
    caller, callee, request, first = await begun(realm, disclose_me=True)

    await caller.continue_call(request, PROCEDURE, disclose_me=False, receive_progress=True, progress=True)

    assert (await callee.expect(Invocation)).details == first.details
    assert first.details.caller == caller.session


@pytest.mark.parametrize("end", ["yield", "error", "callee gone"])
async def test_parts_that_come_after_the_end_are_ignored(realm: RealmUnderTest, end: str) -> None:
    caller, callee, request, first = await begun(realm)
    if end == "yield":
        await callee.yield_(first)
        await caller.expect(Result)
    elif end == "error":
        await callee.send(Error(68, first.request, PassthruDetails(), "com.example.enough"))
        await caller.expect_error(48, "com.example.enough")
    else:
        await callee.leave()
        await caller.expect_error(48, CANCELED)

    await caller.continue_call(request, PROCEDURE, progress=True)
    await caller.continue_call(request, PROCEDURE)

    await caller.expect_nothing()
    if end != "callee gone":
        await callee.expect_nothing()


async def test_progress_that_was_not_announced_is_a_protocol_error(realm: RealmUnderTest) -> None:
    caller = await realm.join(features={"call_canceling": True})

    await caller.call(PROCEDURE, progress=True)

    await expect_violation(caller)


@pytest.mark.parametrize(
    "features", [{}, {"call_canceling": True}, {"progressive_call_invocations": True}], ids=["none", "no", "half"]
)
async def test_a_callee_without_the_feature_is_not_invoked(realm: RealmUnderTest, features: dict[str, bool]) -> None:
    callee, caller = await realm.join(features=features), await realm.join()
    await callee.register(PROCEDURE)

    request = await caller.call(PROCEDURE, progress=True)

    await caller.expect_error(48, "wamp.error.feature_not_supported")
    await caller.continue_call(request, PROCEDURE)
    await caller.expect_nothing()
    await callee.expect_nothing()


async def test_a_gap_in_request_ids_is_a_protocol_error_nevertheless(realm: RealmUnderTest) -> None:
    caller, _callee, request, _first = await begun(realm)

    await caller.continue_call(request + 2, PROCEDURE)

    await expect_violation(caller)


async def test_continuing_a_call_that_is_not_progressive_is_a_protocol_error(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)
    request = await caller.call(PROCEDURE)

    await caller.continue_call(request, PROCEDURE, progress=True)

    await expect_violation(caller)


@pytest.mark.parametrize("mode", list(CancelMode))
async def test_a_call_may_be_canceled_between_its_parts(realm: RealmUnderTest, mode: CancelMode) -> None:
    caller, callee, request, first = await begun(realm)

    await caller.send(Cancel(request, CancelOptions(mode=mode)))

    if mode is not CancelMode.SKIP:
        assert (await callee.expect(Interrupt)).request == first.request
    if mode is CancelMode.KILL:
        await callee.send(Error(68, first.request, PassthruDetails(), CANCELED))
    await caller.expect_error(48, CANCELED)
    await caller.continue_call(request, PROCEDURE)
    await caller.expect_nothing()
    await callee.expect_nothing()


@pytest.mark.parametrize("way_out", ["goodbye", "vanish"])
async def test_the_callee_is_interrupted_when_the_caller_is_gone(realm: RealmUnderTest, way_out: str) -> None:
    caller, callee, _request, first = await begun(realm)

    await (caller.leave() if way_out == "goodbye" else caller.vanish())

    interrupt = await callee.expect(Interrupt)
    assert (interrupt.request, interrupt.options.mode) == (first.request, CancelMode.KILLNOWAIT)


async def test_a_call_in_parts_times_out(realm: RealmUnderTest) -> None:
    caller, callee, _request, first = await begun(realm, timeout=30)

    await caller.expect_error(48, "wamp.error.timeout")

    assert (await callee.expect(Interrupt)).request == first.request


async def test_parts_reach_a_callee_with_another_serializer(realm: RealmUnderTest) -> None:
    caller = await realm.join()
    callee = await realm.join(serializer="cbor" if realm.way.serializer != "cbor" else "json")
    await callee.register(PROCEDURE)
    request = await caller.call(PROCEDURE, {"part": 1}, progress=True)

    await caller.continue_call(request, PROCEDURE, {"part": 2})

    assert [(await callee.expect(Invocation)).args for _ in range(2)] == [[{"part": 1}], [{"part": 2}]]
