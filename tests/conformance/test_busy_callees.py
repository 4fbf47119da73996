"""Callees that are unavailable or busy (advanced/rpc_call_rerouting.md; docs/wamp.md for `concurrency`)."""

from __future__ import annotations

import asyncio

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
    Invoke,
    PassthruDetails,
    Result,
)

PROCEDURE = "com.example.procedure"
UNAVAILABLE = "wamp.error.unavailable"
NOBODY = "wamp.error.no_available_callee"


async def share(realm: RealmUnderTest, policy: Invoke, number: int = 3, concurrency: int | None = None) -> list[Peer]:
    callees = [await realm.join() for _ in range(number)]
    for callee in callees:
        await callee.register(PROCEDURE, invoke=policy, concurrency=concurrency)
    return callees


async def refuse(callee: Peer) -> Invocation:
    invocation = await callee.expect(Invocation)
    await callee.send(Error(68, invocation.request, PassthruDetails(), UNAVAILABLE))
    return invocation


# --- re-routing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "order"), [(Invoke.FIRST, [0, 1, 2]), (Invoke.LAST, [2, 1, 0]), (Invoke.ROUNDROBIN, [0, 1, 2])]
)
async def test_unavailable_callees_are_tried_once_each_in_the_order_of_the_policy(
    realm: RealmUnderTest, policy: Invoke, order: list[int]
) -> None:
    callees, caller = await share(realm, policy), await realm.join()

    await caller.call(PROCEDURE, "payload", disclose_me=True)

    for position in order:
        invocation = await refuse(callees[position])
        assert (invocation.args, invocation.details.caller) == (["payload"], caller.session)
    await caller.expect_error(48, NOBODY)
    await caller.expect_nothing()
    for callee in callees:
        await callee.expect_nothing()


async def test_at_random_too_each_unavailable_callee_is_tried_once(realm: RealmUnderTest) -> None:
    """advanced/rpc_call_rerouting.md, Rerouting Rules: another one, as long as it is not the same."""
    callees, caller = await share(realm, Invoke.RANDOM), await realm.join()

    await caller.call(PROCEDURE)

    await asyncio.gather(*(refuse(callee) for callee in callees))
    await caller.expect_error(48, NOBODY)
    for callee in callees:
        await callee.expect_nothing()


async def test_another_callee_may_answer_instead(realm: RealmUnderTest) -> None:
    callees, caller = await share(realm, Invoke.FIRST), await realm.join()
    await caller.call(PROCEDURE)
    await refuse(callees[0])

    await callees[1].yield_(await callees[1].expect(Invocation), "from the second")

    assert (await caller.expect(Result)).args == ["from the second"]
    await callees[2].expect_nothing()


async def test_a_single_callee_that_is_unavailable_leaves_nobody(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)

    await refuse(callee)

    await caller.expect_error(48, NOBODY)


async def test_without_the_feature_unavailable_is_an_error_as_any(realm: RealmUnderTest) -> None:
    callees = [await realm.join(features={}) for _ in range(2)]
    caller = await realm.join()
    for callee in callees:
        await callee.register(PROCEDURE, invoke=Invoke.FIRST)
    await caller.call(PROCEDURE)

    await refuse(callees[0])

    await caller.expect_error(48, UNAVAILABLE)
    await callees[1].expect_nothing()


async def test_the_payload_reaches_a_callee_with_another_serializer(realm: RealmUnderTest) -> None:
    caller, one = await realm.join(), await realm.join()
    two = await realm.join(serializer="cbor" if realm.way.serializer != "cbor" else "json")
    for callee in (one, two):
        await callee.register(PROCEDURE, invoke=Invoke.FIRST)
    await caller.call(PROCEDURE, {"deep": [1, "ü"]})

    await refuse(one)

    assert (await two.expect(Invocation)).args == [{"deep": [1, "ü"]}]


async def test_a_rerouted_call_still_times_out(realm: RealmUnderTest) -> None:
    callees, caller = await share(realm, Invoke.FIRST, 2), await realm.join()
    await caller.call(PROCEDURE, timeout=50)

    await refuse(callees[0])

    await caller.expect_error(48, "wamp.error.timeout")
    await callees[1].expect(Invocation)
    await callees[1].expect(Interrupt)


# --- concurrency -----------------------------------------------------------------------------------


async def test_a_callee_works_on_so_many_calls_and_the_others_wait_in_order(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE, concurrency=2)
    for number in range(5):
        await caller.call(PROCEDURE, number)
    working = [await callee.expect(Invocation) for _ in range(2)]
    await callee.expect_nothing()

    for number in range(2, 5):
        await callee.yield_(working.pop(0))
        working.append(await callee.expect(Invocation))
        assert working[-1].args == [number]
    for invocation in working:
        await callee.yield_(invocation)

    assert [(await caller.expect(Result)).request for _ in range(5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("policy", [Invoke.ROUNDROBIN, Invoke.RANDOM, Invoke.FIRST, Invoke.LAST])
async def test_the_policy_chooses_among_those_that_are_free(realm: RealmUnderTest, policy: Invoke) -> None:
    callees, caller = await share(realm, policy, concurrency=1), await realm.join()

    for _ in range(4):
        await caller.call(PROCEDURE)

    invocations = [await callee.expect(Invocation) for callee in callees]
    await callees[1].yield_(invocations[1])
    await callees[1].expect(Invocation)
    await caller.expect(Result)


@pytest.mark.parametrize("end", ["error", "kill", "killnowait", "timeout", "caller gone"])
async def test_however_an_invocation_ends_the_callee_gets_the_next(realm: RealmUnderTest, end: str) -> None:
    callee, caller, other = await realm.join(), await realm.join(), await realm.join()
    await callee.register(PROCEDURE, concurrency=1)
    request = await caller.call(PROCEDURE, "first", timeout=60 if end == "timeout" else None)
    first = await callee.expect(Invocation)
    await other.call(PROCEDURE, "second")

    if end in ("kill", "killnowait"):
        await caller.send(Cancel(request, CancelOptions(mode=CancelMode(end))))
    elif end == "caller gone":
        await caller.leave()
    if end != "error":
        await callee.expect(Interrupt)
    if end in ("error", "kill"):
        await callee.send(Error(68, first.request, PassthruDetails(), "com.example.stopped"))

    second = await callee.expect(Invocation)
    assert (second.request, second.args) == (first.request + 1, ["second"])


async def test_a_skipped_invocation_counts_until_it_is_answered(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(features={}), await realm.join()
    await callee.register(PROCEDURE, concurrency=1)
    await caller.call(PROCEDURE, "first")
    first = await callee.expect(Invocation)
    await caller.send(Cancel(caller.last_request, CancelOptions(mode=CancelMode.SKIP)))
    await caller.expect_error(48, "wamp.error.canceled")

    await caller.call(PROCEDURE, "second")
    await callee.expect_nothing()
    await callee.yield_(first)

    assert (await callee.expect(Invocation)).args == ["second"]


@pytest.mark.parametrize("end", ["cancel", "timeout", "caller gone"])
async def test_a_call_need_not_wait_to_its_turn(realm: RealmUnderTest, end: str) -> None:
    callee, caller, other = await realm.join(), await realm.join(), await realm.join()
    await callee.register(PROCEDURE, concurrency=1)
    await other.call(PROCEDURE, "first")
    first = await callee.expect(Invocation)
    request = await caller.call(PROCEDURE, "never", timeout=30 if end == "timeout" else None)

    if end == "cancel":
        await caller.send(Cancel(request, CancelOptions(mode=CancelMode.KILL)))
        await caller.expect_error(48, "wamp.error.canceled")
    elif end == "timeout":
        await caller.expect_error(48, "wamp.error.timeout")
    else:
        await caller.leave()
    await callee.yield_(first)

    await other.expect(Result)
    await callee.expect_nothing()


@pytest.mark.parametrize("way_out", ["unregister", "goodbye", "vanish"])
async def test_nobody_waits_for_callees_that_are_gone(realm: RealmUnderTest, way_out: str) -> None:
    callee, caller, other = await realm.join(), await realm.join(), await realm.join()
    registration = await callee.register(PROCEDURE, concurrency=1)
    await other.call(PROCEDURE)
    await callee.expect(Invocation)
    await caller.call(PROCEDURE)

    if way_out == "unregister":
        await callee.unregister(registration)
    elif way_out == "goodbye":
        await callee.leave()
    else:
        await callee.vanish()

    await caller.expect_error(48, NOBODY)


@pytest.mark.parametrize("way_out", ["goodbye", "vanish"])
async def test_when_a_busy_callee_is_gone_its_callers_are_told_and_another_takes_over_what_waits(
    realm: RealmUnderTest, way_out: str
) -> None:
    """basic/remote_procedure_call.md, Callee Leaving; advanced/rpc_shared_registration.md, Hot Stand-By."""
    (first, second), caller = await share(realm, Invoke.FIRST, 2, concurrency=1), await realm.join()
    requests = [await caller.call(PROCEDURE, number) for number in range(4)]
    await first.expect(Invocation)
    busy = await second.expect(Invocation)

    await (first.leave() if way_out == "goodbye" else first.vanish())

    error = await caller.expect(Error)
    assert (error.request, error.error) == (requests[0], "wamp.error.canceled")
    for number in (1, 2, 3):
        assert busy.args == [number]
        await second.yield_(busy, number)
        assert (await caller.expect(Result)).request == requests[number]
        busy = await second.expect(Invocation) if number < 3 else busy
    await second.expect_nothing()


async def test_a_new_callee_takes_over_what_waits(realm: RealmUnderTest) -> None:
    (busy,), caller = await share(realm, Invoke.ROUNDROBIN, 1, concurrency=1), await realm.join()
    for number in range(3):
        await caller.call(PROCEDURE, number)
    await busy.expect(Invocation)
    await caller.expect_nothing()

    (fresh,) = await share(realm, Invoke.ROUNDROBIN, 1, concurrency=5)

    assert [(await fresh.expect(Invocation)).args for _ in range(2)] == [[1], [2]]


async def test_a_rerouted_call_waits_for_those_that_are_busy(realm: RealmUnderTest) -> None:
    (one, two), caller = await share(realm, Invoke.FIRST, 2, concurrency=1), await realm.join()
    await caller.call(PROCEDURE, "to both")
    await caller.call(PROCEDURE, "to the second")
    busy = await two.expect(Invocation)

    await refuse(one)
    await one.expect_nothing()
    await two.yield_(busy)

    assert (await two.expect(Invocation)).args == ["to both"]
