"""Clients that send too fast are read more slowly: nothing is lost, and nobody else notices."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.limits.scene import ABORT, ELSEWHERE, LIMIT_EXCEEDED, PUBLISH, PUBLISHED, TICKETS, Client, running


def publications(client: Client, count: int, payload: str = "") -> list[Any]:
    return [[PUBLISH, client.next_request(), {"acknowledge": True}, "com.topic", [payload]] for _ in range(count)]


async def answers(client: Client, count: int) -> list[int]:
    return [(await client.expect(PUBLISHED))[1] for _ in range(count)]


RATES = [
    ({"message_rate": 200, "message_burst": 10}, "message_rate"),
    ({"byte_rate": 20_000, "byte_burst": 1000}, "byte_rate"),
]


@pytest.mark.parametrize(("rates", "name"), RATES, ids=[name for _, name in RATES])
async def test_all_that_comes_too_fast_is_still_read_in_its_order(
    rates: dict[str, Any], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(realm={"per_session": rates}) as router:
        noisy = await router.join()

        with caplog.at_level(logging.WARNING, "rocade.limits"):
            noisy.send(*publications(noisy, 100, "x" * 20))
            assert await answers(noisy, 100) == list(range(1, 101))

        assert router.counters.reached[name] > 1
        assert [text.split(":")[0] for text in caplog.messages] == [f"127.0.0.1 has reached the limit {name}"]


async def test_a_quiet_client_is_served_while_a_noisy_one_waits() -> None:
    async with running(realm={"per_session": {"message_rate": 0.01, "message_burst": 5}}) as router:
        noisy, quiet = await router.join(), await router.join(ELSEWHERE)
        noisy.send(*publications(noisy, 30))
        # The first one that is one too many is let in, and then the reader stops.
        await answers(noisy, 6)

        for _ in range(4):
            quiet.send(*publications(quiet, 1))
            await answers(quiet, 1)

        # Neither has the noisy one got ahead of its rate, nor was the quiet one counted for it.
        sessions = router.gateway.realms["realm1"].sessions
        assert [sessions[client.session].last_request for client in (noisy, quiet)] == [6, 4]


async def test_whoever_leaves_and_comes_again_still_owes_what_his_authid_owes() -> None:
    rates = {"message_rate": 0.01, "message_burst": 5}
    async with running(realm={"per_authid": rates}, auth=TICKETS) as router:
        client = await router.connect()
        await client.log_in("joe", "right")
        client.send(*publications(client, 5))
        await answers(client, 5)
        await client.close()
        await router.until(lambda: not router.gateway.connections)

        client = await router.connect()
        await client.log_in("joe", "right")
        client.send(*publications(client, 1))  # is the one too many, and the next one is not read
        await router.until(lambda: router.counters.reached["authid_message_rate"] == 1)


async def test_a_session_that_sends_too_fast_is_ended_where_that_is_wanted() -> None:
    rates = {"message_rate": 1, "message_burst": 10, "too_fast": "close"}
    async with running(realm={"per_session": rates}) as router:
        noisy, quiet = await router.join(), await router.join(ELSEWHERE)
        noisy.send(*publications(noisy, 11))

        assert await answers(noisy, 10) == list(range(1, 11))
        assert (await noisy.expect(ABORT))[2] == LIMIT_EXCEEDED
        await noisy.expect_end()
        assert quiet.session in router.gateway.realms["realm1"].sessions
        assert noisy.session not in router.gateway.realms["realm1"].sessions


async def test_sessions_of_one_authid_share_its_rate_and_others_do_not() -> None:
    auth = {**TICKETS, "anonymous": {"type": "static", "role": "anonymous"}}
    rates = {"message_rate": 0.01, "message_burst": 10}
    async with running(realm={"per_authid": rates}, auth=auth) as router:
        one, other, quiet = [await router.connect() for _ in range(3)]
        for client in (one, other):
            await client.log_in("joe", "right")
        await quiet.join()
        one.send(*publications(one, 8))
        await answers(one, 8)
        assert not router.counters.reached

        other.send(*publications(other, 8))
        await answers(other, 3)
        assert router.counters.reached == {"authid_message_rate": 1}

        quiet.send(*publications(quiet, 8))
        await answers(quiet, 8)
        assert router.counters.total() == 1


async def test_sessions_of_a_realm_share_its_rate() -> None:
    async with running(realm={"message_rate": 0.01, "message_burst": 10}) as router:
        one, other = await router.join(), await router.join(ELSEWHERE)
        one.send(*publications(one, 8))
        await answers(one, 8)
        assert not router.counters.reached

        other.send(*publications(other, 8))
        await answers(other, 3)
        assert router.counters.reached == {"realm_message_rate": 1}


async def test_a_session_without_limits_is_not_measured() -> None:
    async with running() as router:
        client = await router.join()
        client.send(*publications(client, 1000))
        await answers(client, 1000)

        (connection,) = router.gateway.connections
        assert connection._meter is None
        assert connection._decode == connection.link.wire.serializer.decode
