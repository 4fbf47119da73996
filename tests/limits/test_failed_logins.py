"""Who guesses is slowed down and locked out, and nobody else."""

from __future__ import annotations

import asyncio
import logging
from itertools import cycle, islice
from typing import Any

import httpx
import pytest
from tests.limits.scene import (
    ABORT,
    AUTHENTICATE,
    CHALLENGE,
    ELSEWHERE,
    HERE,
    LIMIT_EXCEEDED,
    ROLES,
    WELCOME,
    Client,
    Router,
    running,
)

LOCKED_OUT = LIMIT_EXCEEDED
FAILED = "wamp.error.authentication_failed"

AT_ONCE = 40

AUTH: dict[str, Any] = {
    "ticket": {
        "type": "static",
        "principals": {
            name: {"ticket": f"the ticket of {name}", "role": "anonymous"} for name in ("joe", "ann", "bob")
        },
    },
    "anonymous": {"type": "static", "role": "anonymous"},
}

AT_ONCE_POLICY = {"failed_logins": {"delay": 0}}
"""Without delays, for tests of what comes after."""


async def attempt(router: Router, authid: str, ticket: str, address: str = HERE) -> str:
    """Try to log in; the reason of ABORT, or "welcome"."""
    client = await Client.bare(router.port, address)
    try:
        await client.greet()
        answer = await client.log_in(authid, ticket)
        assert answer[0] in (ABORT, WELCOME), answer
        return "welcome" if answer[0] == WELCOME else str(answer[2])
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("names", "attempts"),
    [(["joe"], 2_000), (["joe", "ann", "bob", *(f"nobody{number}" for number in range(500))], 10_000)],
)
async def test_thousands_of_wrong_tickets_from_one_address_leave_other_joins_unaffected(
    names: list[str], attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes: dict[str, int] = {}
    joins = 0
    async with running(auth=AUTH) as router:
        work = islice(cycle(names), attempts)

        async def guess() -> None:
            for number, name in enumerate(work):
                outcome = await attempt(router, name, f"guess {number}")
                outcomes[outcome] = outcomes.get(outcome, 0) + 1

        with caplog.at_level(logging.INFO, "rocade"):
            async with asyncio.TaskGroup() as group:
                guesses = [group.create_task(guess()) for _ in range(AT_ONCE)]
                while not all(task.done() for task in guesses):
                    # One that knows its ticket, from elsewhere, and one that nobody asks for any.
                    assert await attempt(router, "ann", "the ticket of ann", ELSEWHERE) == "welcome"
                    client = await Client.bare(router.port, HERE)
                    await client.greet()
                    await client.join()
                    await client.close()
                    joins += 2

        assert sum(outcomes.values()) == attempts
        assert outcomes.keys() == {FAILED, LOCKED_OUT}
        # Hardly any of them was looked at.
        assert router.counters.failed_logins == outcomes[FAILED] <= 100 + AT_ONCE
        assert joins > 20
        assert router.counters.locked_out == outcomes[LOCKED_OUT]
        lines = [text for text in caplog.messages if text.startswith("locked out")]
        assert len(lines) == router.counters.lock_outs
        assert len(caplog.messages) <= outcomes[FAILED] + len(lines)
        assert router.gateway.failed_logins.remembered <= 3 * 200


async def test_a_name_is_locked_out_at_one_address_and_logs_in_at_another(caplog: pytest.LogCaptureFixture) -> None:
    async with running(auth=AUTH, process=AT_ONCE_POLICY) as router:
        with caplog.at_level(logging.WARNING, "rocade.logins"):
            for _ in range(10):
                assert await attempt(router, "joe", "wrong") == FAILED

        assert await attempt(router, "joe", "the ticket of joe") == LOCKED_OUT
        assert caplog.messages == ["locked out 'joe' at 127.0.0.1 for 300 s: 10 failed logins"]
        assert await attempt(router, "joe", "the ticket of joe", ELSEWHERE) == "welcome"
        assert await attempt(router, "ann", "the ticket of ann", HERE) == "welcome"


async def test_a_name_that_is_attacked_from_everywhere_still_logs_in_from_a_new_address_only_later() -> None:
    policy = {"failed_logins": {"tolerated": 1, "delay": 0.01, "max_delay": 0.05}}
    async with running(auth=AUTH, process=policy) as router:
        assert await attempt(router, "joe", "the ticket of joe", "127.0.0.9") == "welcome"
        for number in range(20):
            assert await attempt(router, "joe", "wrong", f"127.0.0.{20 + number}") == FAILED
        logins = router.gateway.failed_logins

        assert logins.delay(ELSEWHERE, "joe") == 0.05
        assert await attempt(router, "joe", "the ticket of joe", ELSEWHERE) == "welcome"
        # It is known there now, as it is where it was before.
        assert logins.delay(ELSEWHERE, "joe") == logins.delay("127.0.0.9", "joe") == 0.0
        assert router.counters.lock_outs == 0


async def test_an_address_that_tries_many_names_is_locked_out_for_all_that_must_be_proved() -> None:
    policy = {"failed_logins": {"delay": 0, "lock_out_address_after": 5}}
    async with running(auth=AUTH, process=policy) as router:
        for number in range(5):
            assert await attempt(router, f"nobody{number}", "wrong") == FAILED

        assert await attempt(router, "ann", "the ticket of ann") == LOCKED_OUT
        await router.join(HERE)  # anonymously
        assert await attempt(router, "ann", "the ticket of ann", ELSEWHERE) == "welcome"


async def test_guesses_that_were_under_way_when_the_door_closed_are_lost() -> None:
    async with running(auth=AUTH, process=AT_ONCE_POLICY) as router:
        clients = [await router.connect() for _ in range(30)]
        for client in clients:
            client.hello(authid="joe", authmethods=["ticket"])
            await client.expect(CHALLENGE)
        reasons = []
        for client in clients[:-1]:
            client.send([AUTHENTICATE, "wrong", {}])
            reasons.append((await client.expect(ABORT))[2])
        clients[-1].send([AUTHENTICATE, "the ticket of joe", {}])

        assert (await clients[-1].expect(ABORT))[2] == LOCKED_OUT
        assert reasons == [FAILED] * 10 + [LOCKED_OUT] * 19


async def test_a_delayed_attempt_is_dropped_with_its_connection() -> None:
    policy = {"failed_logins": {"tolerated": 0, "delay": 9, "max_delay": 9}}
    async with running(auth=AUTH, process=policy) as router:
        client = await router.connect()
        client.hello(authid="joe", authmethods=["ticket"])
        await client.close()
        await router.until(lambda: not router.gateway.connections)
        assert len(asyncio.all_tasks()) == len([task for task in asyncio.all_tasks() if not task.done()]) <= 2

        impatient = await router.connect()
        impatient.hello(authid="joe", authmethods=["ticket"])
        impatient.send([AUTHENTICATE, "the ticket of joe", {}])
        assert (await impatient.expect(ABORT))[2] == "wamp.error.protocol_violation"


async def test_clients_on_a_unix_socket_are_neither_slowed_down_nor_locked_out(tmp_path: Any) -> None:
    async with running(auth=AUTH) as router:
        failed = router.gateway.failed_logins
        for _ in range(500):
            failed.failed(None, "joe")
        failed.check(None, "joe")
        assert failed.delay(None, "joe") == 0.0
        assert failed.delay(ELSEWHERE, "joe") == 0.0
        assert router.counters.failed_logins == 500


async def test_an_authenticator_that_is_out_of_order_locks_nobody_out() -> None:
    auth = {"ticket": {"type": "dynamic", "authenticator": "com.example.authenticate"}}
    async with running(auth=auth, process=AT_ONCE_POLICY) as router:
        for _ in range(15):
            assert await attempt(router, "joe", "any") == FAILED

        assert (router.counters.failed_logins, router.counters.lock_outs) == (0, 0)


async def test_behind_a_proxy_one_client_does_not_lock_out_another() -> None:
    transport = {"trusted_proxies": [HERE]}
    async with running(auth=AUTH, process=AT_ONCE_POLICY, transport=transport) as router:
        url = f"http://127.0.0.1:{router.port}"
        async with httpx.AsyncClient(base_url=url) as proxy:
            for _ in range(10):
                assert await longpoll_login(proxy, "wrong", "192.0.2.1") == FAILED

            assert await longpoll_login(proxy, "the ticket of joe", "192.0.2.1") == LOCKED_OUT
            assert await longpoll_login(proxy, "the ticket of joe", "192.0.2.2") == "welcome"


async def longpoll_login(proxy: httpx.AsyncClient, ticket: str, address: str) -> str:
    headers = {"x-forwarded-for": address}
    opened = await proxy.post("/lp/open", json={"protocols": ["wamp.2.json"]}, headers=headers)
    path = f"/lp/{opened.json()['transport']}"
    hello = [1, "realm1", {"roles": ROLES, "authid": "joe", "authmethods": ["ticket"]}]
    await proxy.post(f"{path}/send", json=hello)
    answer = (await proxy.post(f"{path}/receive")).json()
    if answer[0] == CHALLENGE:
        await proxy.post(f"{path}/send", json=[AUTHENTICATE, ticket, {}])
        answer = (await proxy.post(f"{path}/receive")).json()
    return "welcome" if answer[0] == WELCOME else str(answer[2])
