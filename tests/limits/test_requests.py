"""Subscriptions, registrations and calls: at the limit all is fine, beyond it there is an ERROR that says so."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.limits.scene import (
    CALL,
    CANCEL,
    ELSEWHERE,
    ERROR,
    INVOCATION,
    LIMIT_EXCEEDED,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    YIELD,
    Client,
    Router,
    running,
)

NOBODY = "wamp.error.no_available_callee"


def refused(answer: Any, limit: str, maximum: int, uri: str = LIMIT_EXCEEDED) -> None:
    assert answer[0] == ERROR, answer
    assert answer[4] == uri
    assert answer[6] == {"limit": limit, "max": maximum}


async def is_undisturbed(client: Client) -> None:
    """A client can still do all that clients do."""
    assert (await client.request(SUBSCRIBE, {}, "com.quiet"))[0] == SUBSCRIBED
    registered = await client.request(REGISTER, {}, f"com.quiet.p{client.session}")
    assert registered[0] == REGISTERED
    client.send([CALL, client.next_request(), {}, f"com.quiet.p{client.session}"])
    invocation = await client.expect(INVOCATION)
    client.send([YIELD, invocation[1], {}])
    await client.expect(RESULT)


@pytest.mark.parametrize(("code", "limit"), [(SUBSCRIBE, "subscriptions"), (REGISTER, "registrations")])
async def test_a_session_has_so_many_and_no_more(code: int, limit: str, caplog: pytest.LogCaptureFixture) -> None:
    async with running(realm={"per_session": {limit: 3}}) as router:
        noisy, quiet = await router.join(), await router.join(ELSEWHERE)
        for number in range(3):
            assert (await noisy.request(code, {}, f"com.p{number}"))[0] == code + 1

        with caplog.at_level(logging.WARNING, "rocade.limits"):
            for _ in range(5):
                refused(await noisy.request(code, {}, "com.more"), limit, 3)

        assert router.counters.reached[limit] == 5
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith(f"127.0.0.1 has reached the limit {limit}:")
        await is_undisturbed(quiet)


@pytest.mark.parametrize(("code", "limit"), [(SUBSCRIBE, "subscriptions"), (REGISTER, "registrations")])
async def test_a_realm_has_so_many_until_those_go_who_have_them(code: int, limit: str) -> None:
    async with running(realm={limit: 3}) as router:
        noisy, quiet = await router.join(), await router.join(ELSEWHERE)
        for number in range(3):
            assert (await noisy.request(code, {}, f"com.p{number}"))[0] == code + 1
        refused(await quiet.request(code, {}, "com.more"), f"realm_{limit}", 3)

        await noisy.close()
        await router.until(lambda: len(router.gateway.realms["realm1"].sessions) == 1)

        assert (await quiet.request(code, {}, "com.more"))[0] == code + 1


async def test_a_role_has_its_own_limits_where_it_says_so() -> None:
    realm = {"per_session": {"subscriptions": 1, "registrations": 2}}
    async with running(realm=realm, role={"per_session": {"subscriptions": 2}}) as router:
        client = await router.join()
        for number in range(2):
            assert (await client.request(SUBSCRIBE, {}, f"com.t{number}"))[0] == SUBSCRIBED
            assert (await client.request(REGISTER, {}, f"com.p{number}"))[0] == REGISTERED

        refused(await client.request(SUBSCRIBE, {}, "com.more"), "subscriptions", 2)
        refused(await client.request(REGISTER, {}, "com.more"), "registrations", 2)


async def silent_callee(router: Router, procedure: str = "com.slow") -> Client:
    callee = await router.join(ELSEWHERE)
    assert (await callee.request(REGISTER, {}, procedure))[0] == REGISTERED
    return callee


async def test_a_caller_awaits_so_many_results() -> None:
    async with running(realm={"per_session": {"pending_calls": 3}}) as router:
        callee, noisy, quiet = await silent_callee(router), await router.join(), await router.join(ELSEWHERE)
        for _ in range(4):
            noisy.send([CALL, noisy.next_request(), {}, "com.slow"])
        invocations = [await callee.expect(INVOCATION) for _ in range(3)]

        refused(await noisy.receive(), "pending_calls", 3)
        await is_undisturbed(quiet)

        callee.send([YIELD, invocations[0][1], {}])
        await noisy.expect(RESULT)
        noisy.send([CALL, noisy.next_request(), {}, "com.slow"])
        await callee.expect(INVOCATION)


async def test_a_callee_is_not_buried_in_calls_that_nobody_waits_for() -> None:
    async with running(realm={"per_session": {"invocations": 3}}) as router:
        callee, noisy, quiet = await silent_callee(router), await router.join(), await router.join(ELSEWHERE)
        for _ in range(3):
            request = noisy.next_request()
            noisy.send([CALL, request, {}, "com.slow"], [CANCEL, request, {"mode": "skip"}])
            await noisy.expect(ERROR)

        refused(await noisy.request(CALL, {}, "com.slow"), "invocations", 3, NOBODY)
        await is_undisturbed(quiet)

        callee.send([YIELD, (await callee.expect(INVOCATION))[1], {}])
        assert (await callee.request(SUBSCRIBE, {}, "com.a"))[0] in (INVOCATION, SUBSCRIBED)


async def test_calls_that_could_be_re_routed_keep_so_many_bytes_and_then_go_out_all_the_same() -> None:
    payload = "x" * 1000
    async with running(realm={"per_session": {"kept_call_bytes": 5000}}) as router:
        noisy, quiet = await router.join(), await router.join(ELSEWHERE)
        callees = [await router.join(ELSEWHERE) for _ in range(2)]
        for callee in callees:
            assert (await callee.request(REGISTER, {"invoke": "first"}, "com.shared"))[0] == REGISTERED

        for _ in range(10):
            noisy.send([CALL, noisy.next_request(), {}, "com.shared", [payload]])
        invocations = [await callees[0].expect(INVOCATION) for _ in range(10)]

        (session,) = [s for s in router.gateway.realms["realm1"].sessions.values() if s.calls]
        assert session.kept_bytes == 4 * (len(payload) + 4)
        assert router.counters.reached["kept_call_bytes"] == 6
        await is_undisturbed(quiet)

        # The first of them goes to another callee, the last cannot.
        for invocation in (invocations[0], invocations[-1]):
            callees[0].send([ERROR, INVOCATION, invocation[1], {}, "wamp.error.unavailable"])
        await callees[1].expect(INVOCATION)
        assert (await noisy.expect(ERROR))[4] == NOBODY
