"""Registering and calling procedures (basic/remote_procedure_call.md, advanced/rpc_*.md)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.conformance.peer import Peer
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import (
    Abort,
    Call,
    CallOptions,
    Error,
    Invocation,
    InvocationDetails,
    Invoke,
    Match,
    PassthruDetails,
    Register,
    Registered,
    RegisterOptions,
    Result,
    Yield,
    YieldOptions,
)

PROCEDURE = "com.example.procedure"
EXISTS = "wamp.error.procedure_already_exists"


async def expect_violation(peer: Peer) -> None:
    assert (await peer.expect(Abort)).reason == "wamp.error.protocol_violation"
    await peer.expect_end()


# --- REGISTER and UNREGISTER -----------------------------------------------------------------------


async def test_a_procedure_can_be_registered_once(realm: RealmUnderTest) -> None:
    first, second = await realm.join(), await realm.join()
    await first.register(PROCEDURE)

    await second.send(Register(second.next_request(), RegisterOptions(), PROCEDURE))

    await second.expect_error(64, EXISTS)


async def test_a_session_cannot_register_a_procedure_twice(realm: RealmUnderTest) -> None:
    callee = await realm.join()
    await callee.register(PROCEDURE, invoke=Invoke.ROUNDROBIN)

    await callee.send(Register(callee.next_request(), RegisterOptions(invoke=Invoke.ROUNDROBIN), PROCEDURE))

    await callee.expect_error(64, EXISTS)


async def test_an_unregistered_procedure_cannot_be_called(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    registration = await callee.register(PROCEDURE)

    await callee.unregister(registration)
    await caller.call(PROCEDURE)

    await caller.expect_error(48, "wamp.error.no_such_procedure")
    await callee.expect_nothing()


async def test_an_unregistered_procedure_can_be_registered_by_somebody_else(realm: RealmUnderTest) -> None:
    first, second = await realm.join(), await realm.join()
    await first.unregister(await first.register(PROCEDURE))

    await second.register(PROCEDURE)


async def test_what_was_called_before_unregister_is_still_answered(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    registration = await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)
    invocation = await callee.expect(Invocation)

    await callee.unregister(registration)
    await callee.yield_(invocation, "late")

    assert (await caller.expect(Result)).args == ["late"]


async def test_a_registration_that_does_not_exist_cannot_be_ended(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    await peer.send_array(66, peer.next_request(), 4711)

    await peer.expect_error(66, "wamp.error.no_such_registration")


async def test_the_registration_of_somebody_else_cannot_be_ended(realm: RealmUnderTest) -> None:
    callee, thief = await realm.join(), await realm.join()
    registration = await callee.register(PROCEDURE)

    await thief.send_array(66, thief.next_request(), registration)

    await thief.expect_error(66, "wamp.error.no_such_registration")
    await thief.call(PROCEDURE)
    await callee.expect(Invocation)


# --- CALL, INVOCATION, YIELD, RESULT, ERROR --------------------------------------------------------

PAYLOADS = pytest.mark.parametrize(
    "payload",
    [[], [["positional", 1]], [[], {"name": "value"}], [["positional"], {"name": {"deep": [1, None, 2.5]}}]],
    ids=["none", "args", "kwargs", "both"],
)


@PAYLOADS
async def test_an_invocation_carries_the_payload_of_the_call(realm: RealmUnderTest, payload: list[Any]) -> None:
    callee, caller = await realm.join(), await realm.join()
    registration = await callee.register(PROCEDURE)

    await caller.send_array(48, 1, {}, PROCEDURE, *payload)

    assert await callee.receive_array() == [68, 1, registration, {}, *payload]


@PAYLOADS
async def test_a_result_carries_the_payload_of_the_yield(realm: RealmUnderTest, payload: list[Any]) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)
    request = await caller.call(PROCEDURE)
    invocation = await callee.expect(Invocation)

    await callee.send_array(70, invocation.request, {}, *payload)

    assert await caller.receive_array() == [50, request, {}, *payload]


@PAYLOADS
async def test_an_error_carries_uri_and_payload_of_the_callees_error(realm: RealmUnderTest, payload: list[Any]) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)
    request = await caller.call(PROCEDURE)
    invocation = await callee.expect(Invocation)

    await callee.send_array(8, 68, invocation.request, {}, "com.example.out_of_stock", *payload)

    assert await caller.receive_array() == [8, 48, request, {}, "com.example.out_of_stock", *payload]


async def test_a_procedure_that_nobody_registered_does_not_exist(realm: RealmUnderTest) -> None:
    caller = await realm.join()

    await caller.call(PROCEDURE)

    error = await caller.expect_error(48, "wamp.error.no_such_procedure")
    assert PROCEDURE in str(error.args)


async def test_a_session_may_call_its_own_procedure(realm: RealmUnderTest) -> None:
    peer = await realm.join()
    await peer.register(PROCEDURE)

    request = await peer.call(PROCEDURE, 1)
    await peer.yield_(await peer.expect(Invocation), 2)

    result = await peer.expect(Result)
    assert (result.request, result.args) == (request, [2])


async def test_a_call_does_not_leave_its_realm(realm: RealmUnderTest, open_realm: Any) -> None:
    callee, stranger = await realm.join(), await open_realm().join()
    await callee.register(PROCEDURE)

    await stranger.call(PROCEDURE)

    await stranger.expect_error(48, "wamp.error.no_such_procedure")


async def test_invocation_ids_count_up_from_1_for_each_callee(realm: RealmUnderTest) -> None:
    one, two, caller = await realm.join(), await realm.join(), await realm.join()
    await one.register("com.example.one")
    await two.register("com.example.two")
    await two.register("com.example.two.more")

    for procedure in ("com.example.one", "com.example.two", "com.example.two.more", "com.example.one"):
        await caller.call(procedure)

    assert [(await one.expect(Invocation)).request for _ in range(2)] == [1, 2]
    assert [(await two.expect(Invocation)).request for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    "answer",
    [Yield(1, YieldOptions()), Error(68, 1, PassthruDetails(), "com.example.error")],
    ids=lambda answer: type(answer).__name__,
)
async def test_an_answer_to_an_invocation_that_never_was_is_a_protocol_error(
    realm: RealmUnderTest, answer: Yield | Error
) -> None:
    peer = await realm.join()

    await peer.send(answer)

    await expect_violation(peer)


async def test_an_error_for_something_else_than_an_invocation_is_a_protocol_error(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    await peer.send_array(8, 48, 1, {}, "com.example.error")

    await expect_violation(peer)


@pytest.mark.parametrize("code", [70, 8])
async def test_nobody_can_answer_the_invocation_of_somebody_else(realm: RealmUnderTest, code: int) -> None:
    callee, caller, impostor = await realm.join(), await realm.join(), await realm.join()
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)
    invocation = await callee.expect(Invocation)

    if code == 70:
        await impostor.send_array(70, invocation.request, {}, ["forged"])
    else:
        await impostor.send_array(8, 68, invocation.request, {}, "com.example.forged")
    await expect_violation(impostor)
    await callee.yield_(invocation, "genuine")

    assert (await caller.expect(Result)).args == ["genuine"]


async def test_a_second_answer_to_an_invocation_is_a_protocol_error(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(features={}), await realm.join()
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)
    invocation = await callee.expect(Invocation)

    await callee.yield_(invocation, 1)
    await callee.yield_(invocation, 2)

    await expect_violation(callee)
    assert (await caller.expect(Result)).args == [1]
    await caller.expect_nothing()


async def test_a_callee_that_may_be_interrupted_may_answer_late(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(features={"call_canceling": True}), await realm.join()
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)
    invocation = await callee.expect(Invocation)

    await callee.yield_(invocation, 1)
    await callee.yield_(invocation, 2)

    assert (await caller.expect(Result)).args == [1]
    await callee.expect_nothing()
    await caller.expect_nothing()


@pytest.mark.parametrize("uri", ["", "com..error", "com.exam ple", "#"], ids=repr)
async def test_an_invalid_error_uri_of_a_callee_does_not_reach_the_caller(realm: RealmUnderTest, uri: str) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)
    await caller.call(PROCEDURE)
    invocation = await callee.expect(Invocation)

    await callee.send_array(8, 68, invocation.request, {}, uri)

    await caller.expect_error(48, "wamp.error.invalid_uri")


# --- ordering --------------------------------------------------------------------------------------


async def test_invocations_keep_the_order_of_calls_across_procedures(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    procedures = ["com.example.one", "com.example.two", "org.example.three"]
    await callee.register(procedures[0])
    await callee.register(procedures[1])
    await callee.register("org", match=Match.PREFIX)

    for number in range(150):
        await caller.call(procedures[number % 3], number)

    assert [(await callee.expect(Invocation)).args for _ in range(150)] == [[number] for number in range(150)]


async def test_results_of_different_calls_may_come_in_any_order(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)
    requests = [await caller.call(PROCEDURE, number) for number in range(3)]
    invocations = [await callee.expect(Invocation) for _ in range(3)]

    for invocation in reversed(invocations):
        await callee.yield_(invocation, invocation.args[0])

    results = [await caller.expect(Result) for _ in range(3)]
    assert [(result.request, result.args) for result in results] == [
        (requests[number], [number]) for number in (2, 1, 0)
    ]


async def test_registered_comes_before_the_first_invocation(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()

    for number in range(20):
        await caller.send(Call(caller.next_request(), CallOptions(), PROCEDURE, [number]))
        if number == 10:
            await callee.send_array(64, callee.next_request(), {}, PROCEDURE)
    await callee.expect(Registered)
    await caller.call(PROCEDURE, "last")

    while (await callee.expect(Invocation)).args != ["last"]:
        pass


# --- caller identification -------------------------------------------------------------------------


async def test_the_caller_is_not_disclosed_unless_somebody_asks_for_it(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join(authid="joe")
    await callee.register(PROCEDURE)

    await caller.call(PROCEDURE)

    assert (await callee.expect(Invocation)).details == InvocationDetails()


@pytest.mark.parametrize("who", ["caller", "callee"])
async def test_the_caller_is_disclosed_where_it_or_the_callee_asks_for_it(realm: RealmUnderTest, who: str) -> None:
    callee, caller = await realm.join(), await realm.join(authid="joe", authrole="staff")
    await callee.register(PROCEDURE, disclose_caller=True if who == "callee" else None)

    await caller.call(PROCEDURE, disclose_me=True if who == "caller" else None)

    assert (await callee.expect(Invocation)).details == InvocationDetails(
        caller=caller.session, caller_authid="joe", caller_authrole="staff"
    )


async def test_only_the_callee_that_asks_for_it_learns_who_calls(realm: RealmUnderTest) -> None:
    curious, discreet, caller = await realm.join(), await realm.join(), await realm.join()
    await curious.register(PROCEDURE, invoke=Invoke.ROUNDROBIN, disclose_caller=True)
    await discreet.register(PROCEDURE, invoke=Invoke.ROUNDROBIN)

    await caller.call(PROCEDURE)
    await caller.call(PROCEDURE)

    assert (await curious.expect(Invocation)).details.caller == caller.session
    assert (await discreet.expect(Invocation)).details == InvocationDetails()


# --- pattern-based registrations -------------------------------------------------------------------

# The table of the specification, but for one URI: its "a1.b2.c33" begins with "a1.b2.c3", a prefix.
REGISTRATIONS = {
    1: ("a1.b2.c3.d4.e55", Match.EXACT),
    2: ("a1.b2.c3", Match.PREFIX),
    3: ("a1.b2.c3.d4", Match.PREFIX),
    4: ("a1.b2..d4.e5", Match.WILDCARD),
    5: ("a1.b2.c44..e5", Match.WILDCARD),
    6: ("a1.b2..d4.e5..g7", Match.WILDCARD),
    7: ("a1.b2..d4..f6.g7", Match.WILDCARD),
}
BEST = {
    "a1.b2.c3.d4.e55": 1,
    "a1.b2.c3.d98.e74": 2,
    "a1.b2.c3.d4.e325": 3,
    "a1.b2.c55.d4.e5": 4,
    "a1.b2.c44.d4.e5": 5,
    "a1.b2.c88.d4.e5.f6.g7": 6,
    "a2.b2.c2.d2.e2": None,
}


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "in reverse"])
async def test_a_call_goes_to_the_registration_that_matches_best(realm: RealmUnderTest, order: int) -> None:
    callee, caller = await realm.join(), await realm.join()
    ids = {}
    for number, (uri, match) in list(REGISTRATIONS.items())[::order]:
        ids[await callee.register(uri, match=match)] = number

    for procedure, best in BEST.items():
        await caller.call(procedure)
        if best is None:
            await caller.expect_error(48, "wamp.error.no_such_procedure")
        else:
            assert ids[(await callee.expect(Invocation)).registration] == best, procedure


async def test_the_callee_of_a_pattern_is_told_which_procedure_was_called(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register("com.example", match=Match.PREFIX)
    await callee.register("org..ping", match=Match.WILDCARD)
    await callee.register("net.example")

    for procedure in ("com.example.a", "org.example.ping", "net.example"):
        await caller.call(procedure)

    assert [(await callee.expect(Invocation)).details.procedure for _ in range(3)] == [
        "com.example.a",
        "org.example.ping",
        None,
    ]


async def test_a_prefix_matches_within_a_component(realm: RealmUnderTest) -> None:
    callee, caller = await realm.join(), await realm.join()
    await callee.register("com.myapp.myobject1", match=Match.PREFIX)

    await caller.call("com.myapp.myobject1-mysubobject1")
    await caller.call("com.myapp.myobject")

    assert (await callee.expect(Invocation)).details.procedure == "com.myapp.myobject1-mysubobject1"
    await caller.expect_error(48, "wamp.error.no_such_procedure")


async def test_the_same_uri_with_another_match_is_another_registration(realm: RealmUnderTest) -> None:
    one, two, three = await realm.join(), await realm.join(), await realm.join()

    ids = {
        await one.register(PROCEDURE),
        await two.register(PROCEDURE, match=Match.PREFIX),
        await three.register(PROCEDURE, match=Match.WILDCARD),
    }

    assert len(ids) == 3


@pytest.mark.parametrize("match", [Match.PREFIX, Match.WILDCARD])
async def test_a_pattern_can_be_registered_once(realm: RealmUnderTest, match: Match) -> None:
    first, second = await realm.join(), await realm.join()
    await first.register(PROCEDURE, match=match)

    await second.send(Register(second.next_request(), RegisterOptions(match=match), PROCEDURE))

    await second.expect_error(64, EXISTS)


# --- shared registrations --------------------------------------------------------------------------

SHARED = [Invoke.ROUNDROBIN, Invoke.RANDOM, Invoke.FIRST, Invoke.LAST]


@pytest.mark.parametrize("policy", SHARED)
async def test_callees_with_the_same_policy_share_one_registration(realm: RealmUnderTest, policy: Invoke) -> None:
    one, two = await realm.join(), await realm.join()

    assert await one.register(PROCEDURE, invoke=policy) == await two.register(PROCEDURE, invoke=policy)


@pytest.mark.parametrize("first", list(Invoke))
@pytest.mark.parametrize("second", [None, *Invoke])
async def test_another_policy_than_the_first_callees_must_fail(
    realm: RealmUnderTest, first: Invoke, second: Invoke | None
) -> None:
    one, two = await realm.join(), await realm.join()
    await one.register(PROCEDURE, invoke=first)

    await two.send(Register(two.next_request(), RegisterOptions(invoke=second), PROCEDURE))

    if first is second and first is not Invoke.SINGLE:
        await two.expect(Registered)
    else:
        await two.expect_error(64, EXISTS)


async def invoked(callees: list[Peer], caller: Peer, times: int) -> list[int]:
    """Which callees get so many calls: the number that each counted, in the order of `callees`."""
    for _ in range(times):
        await caller.call(PROCEDURE)
    await caller.expect_nothing()
    counts = []
    for callee in callees:
        await callee.call("com.nowhere")
        count = 0
        while isinstance(await callee.receive(), Invocation):
            count += 1
        counts.append(count)
    return counts


async def test_round_robin_takes_callees_in_turn(realm: RealmUnderTest) -> None:
    callees = [await realm.join() for _ in range(3)]
    caller = await realm.join()
    for callee in callees:
        await callee.register(PROCEDURE, invoke=Invoke.ROUNDROBIN)

    for turn in range(6):
        await caller.call(PROCEDURE, turn)

    for position, callee in enumerate(callees):
        assert [(await callee.expect(Invocation)).args for _ in range(2)] == [[position], [position + 3]]


@pytest.mark.parametrize(("policy", "expected"), [(Invoke.FIRST, [4, 0, 0]), (Invoke.LAST, [0, 0, 4])])
async def test_first_and_last_take_one_callee(realm: RealmUnderTest, policy: Invoke, expected: list[int]) -> None:
    callees = [await realm.join() for _ in range(3)]
    for callee in callees:
        await callee.register(PROCEDURE, invoke=policy)

    assert await invoked(callees, await realm.join(), 4) == expected


async def test_random_takes_any_callee(realm: RealmUnderTest) -> None:
    callees = [await realm.join() for _ in range(2)]
    for callee in callees:
        await callee.register(PROCEDURE, invoke=Invoke.RANDOM)

    counts = await invoked(callees, await realm.join(), 60)

    assert sum(counts) == 60
    assert min(counts) > 0, "2^-59 is not a chance that one has to live with"


@pytest.mark.parametrize("leaving", ["unregister", "goodbye", "vanish"])
async def test_hot_stand_by_takes_over_from_a_callee_that_is_gone(realm: RealmUnderTest, leaving: str) -> None:
    main, standby, caller = await realm.join(), await realm.join(), await realm.join()
    registration = await main.register(PROCEDURE, invoke=Invoke.FIRST)
    await standby.register(PROCEDURE, invoke=Invoke.FIRST)

    if leaving == "unregister":
        await main.unregister(registration)
    elif leaving == "goodbye":
        await main.leave()
    else:
        # A call that is under way tells when the router has noticed.
        await caller.call(PROCEDURE)
        await main.vanish()
        await caller.expect_error(48, "wamp.error.canceled")
    await caller.call(PROCEDURE)

    await standby.expect(Invocation)


async def test_a_shared_registration_lives_until_its_last_callee_is_gone(realm: RealmUnderTest) -> None:
    one, two, caller = await realm.join(), await realm.join(), await realm.join()
    registration = await one.register(PROCEDURE, invoke=Invoke.ROUNDROBIN)
    await two.register(PROCEDURE, invoke=Invoke.ROUNDROBIN)

    await one.unregister(registration)
    await two.unregister(registration)
    await one.register(PROCEDURE)
    await caller.call(PROCEDURE)

    await one.expect(Invocation)


async def test_round_robin_goes_on_when_a_callee_leaves(realm: RealmUnderTest) -> None:
    callees = [await realm.join() for _ in range(3)]
    caller = await realm.join()
    for callee in callees:
        await callee.register(PROCEDURE, invoke=Invoke.ROUNDROBIN)
    await caller.call(PROCEDURE)
    await callees[0].yield_(await callees[0].expect(Invocation))
    await caller.expect(Result)

    await callees[0].leave()

    counts = Counter(await invoked(callees[1:], caller, 10))
    assert counts == {5: 2}
