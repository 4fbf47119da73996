"""How many sessions there may be: in all, in a realm, of one authid, from one address, and without a connection."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.limits.scene import ELSEWHERE, HERE, LIMIT_EXCEEDED, PUBLISH, SUBSCRIBE, TICKETS, WELCOME, running

WAYS = [
    ({"process": {"sessions": 3}}, "sessions"),
    ({"realm": {"sessions": 3}}, "realm_sessions"),
    ({"transport": {"sessions_per_address": 3}}, "sessions_per_address"),
]


@pytest.mark.parametrize(("limits", "name"), WAYS, ids=[name for _, name in WAYS])
async def test_so_many_sessions_and_then_as_many_as_have_gone(
    limits: dict[str, Any], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(**limits) as router:
        clients = [await router.join() for _ in range(3)]

        with caplog.at_level(logging.INFO, "rocade"):
            for _ in range(3):
                assert await router.refusal() == LIMIT_EXCEEDED

        assert router.counters.reached[name] == 3
        assert len(caplog.messages) == 1

        await clients[0].close()
        await router.until(lambda: len(router.gateway.realms["realm1"].sessions) == 2)
        await router.join()


async def test_another_address_has_room_of_its_own() -> None:
    async with running(transport={"sessions_per_address": 1}) as router:
        await router.join(HERE)
        assert await router.refusal(HERE) == LIMIT_EXCEEDED

        await router.join(ELSEWHERE)


async def log_in(router: Any, address: str = HERE) -> Any:
    client = await router.connect(address)
    return client, await client.log_in("joe", "right")


async def test_an_authid_has_so_many_sessions_wherever_they_come_from() -> None:
    auth = {**TICKETS, "anonymous": {"type": "static", "role": "anonymous"}}
    async with running(realm={"per_authid": {"sessions": 2}}, auth=auth) as router:
        clients = [(await log_in(router, address))[0] for address in (HERE, ELSEWHERE)]

        _, answer = await log_in(router)

        assert answer[2] == LIMIT_EXCEEDED
        assert router.counters.reached["authid_sessions"] == 1
        for _ in range(3):
            await router.join()  # everybody else is somebody of his own

        clients[0].send([6, {}, "wamp.close.close_realm"])
        await clients[0].expect(6)
        assert (await log_in(router))[1][0] == WELCOME


# Without a connection


async def lose(router: Any, count: int) -> list[Any]:
    """Sessions that have lost their connection and may be resumed."""
    lost = []
    for _ in range(count):
        others = len(router.gateway.connections)
        client = await router.join(resumable=True)
        await client.close()
        await router.until(lambda others=others: len(router.gateway.connections) == others)
        lost.append(client)
    return lost


def resumed_by(client: Any) -> dict[str, Any]:
    token = client.welcome["resume-token"]
    return {"resumable": True, "resume-session": client.session, "resume-token": token, "received": 0}


async def test_so_many_sessions_wait_to_be_resumed_and_the_next_one_just_ends() -> None:
    async with running(realm={"parked_sessions": 2}) as router:
        clients = await lose(router, 3)
        parking = router.gateway.usage(router.gateway.realms["realm1"]).parking

        assert router.gateway.realms["realm1"].sessions.keys() == {client.session for client in clients[:2]}
        assert (parking.sessions, router.counters.reached["parked_sessions"]) == (2, 1)

        assert await router.refusal(**resumed_by(clients[2])) == "wamp.error.no_such_session"
        await router.join(**resumed_by(clients[0]))
        assert parking.sessions == 1
        (another,) = await lose(router, 1)
        assert another.session in router.gateway.realms["realm1"].sessions


async def test_resuming_takes_the_room_of_a_session_from_that_address() -> None:
    async with running(transport={"sessions_per_address": 2}) as router:
        (parked,) = await lose(router, 1)
        others = [await router.join(resumable=True) for _ in range(2)]

        assert await router.refusal(**resumed_by(parked)) == LIMIT_EXCEEDED
        assert router.counters.reached["sessions_per_address"] == 1
        await router.join(**resumed_by(others[0]))  # in place of its own connection
        assert await router.refusal(**resumed_by(parked)) == LIMIT_EXCEEDED
        await router.join(ELSEWHERE, **resumed_by(parked))


async def test_one_authid_does_not_take_all_the_places() -> None:
    auth = {**TICKETS, "anonymous": {"type": "static", "role": "anonymous"}}
    async with running(realm={"per_authid": {"parked_sessions": 1}}, auth=auth) as router:
        for _ in range(3):
            client = await router.connect()
            client.hello(authid="joe", authmethods=["ticket"], resumable=True)
            await client.receive()
            client.send([5, "right", {}])
            await client.receive()
            await client.close()
            await router.until(lambda: not router.gateway.connections)
        assert len(router.gateway.realms["realm1"].sessions) == 1
        await lose(router, 3)

        assert len(router.gateway.realms["realm1"].sessions) == 4
        assert router.counters.reached["authid_parked_sessions"] == 2


async def test_what_is_kept_for_sessions_without_a_connection_has_a_limit() -> None:
    async with running(realm={"parked_bytes": 10_000}) as router:
        publisher, listener = await router.join(ELSEWHERE), await router.join(resumable=True)
        await listener.request(SUBSCRIBE, {}, "com.news")
        await listener.close()
        parking = router.gateway.usage(router.gateway.realms["realm1"]).parking
        await router.until(lambda: parking.sessions == 1)
        for _ in range(8):
            await publisher.request(PUBLISH, {"acknowledge": True}, "com.news", ["x" * 1000])
        assert parking.bytes > 8000
        assert listener.session in router.gateway.realms["realm1"].sessions

        for _ in range(3):
            await publisher.request(PUBLISH, {"acknowledge": True}, "com.news", ["x" * 1000])
        await asyncio.sleep(0)

        assert listener.session not in router.gateway.realms["realm1"].sessions
        assert (parking.sessions, parking.bytes) == (0, 0)
        assert router.counters.reached["parked_bytes"] >= 1
        assert await router.refusal(**resumed_by(listener)) == "wamp.error.no_such_session"
