"""One client wants all there is of a router in a process of its own: it gets its limit, and others do not notice.

What is asked for, and the limits, are a fiftieth of what a router has by default: ROCADE_HOSTILE_SCALE=1 asks for all.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.hostile.process import RouterProcess
from tests.limits.scene import (
    CALL,
    ELSEWHERE,
    ERROR,
    EVERYTHING,
    HERE,
    LIMIT_EXCEEDED,
    REGISTER,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    Client,
    Dropped,
)

SCALE = float(os.environ.get("ROCADE_HOSTILE_SCALE", "0.02"))

MEBIBYTE = 1024 * 1024

SURPLUS = 100
"""Connections beyond the limit."""


def scaled(number: int) -> int:
    return round(number * SCALE)


@pytest.fixture
def router(tmp_path: Path) -> Iterator[RouterProcess]:
    """A router with a port for everything."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if SCALE > 0.1:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    per_session = {"subscriptions": scaled(100_000), "kept_call_bytes": scaled(64 * MEBIBYTE)}
    file = {
        "version": 2,
        "workers": [
            {
                "type": "router",
                "realms": [
                    {
                        "name": "realm1",
                        "limits": {"per_session": per_session},
                        "roles": [{"name": "anonymous", "permissions": [EVERYTHING]}],
                    }
                ],
                "transports": [
                    {
                        "type": "universal",
                        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
                        "rawsocket": {},
                        "web": {"type": "web", "paths": {"lp": {"type": "longpoll"}}},
                        "limits": {
                            "handshakes_per_address": scaled(5000),
                            "long_polls_per_address": scaled(2000),
                        },
                    }
                ],
            }
        ],
    }
    config = tmp_path / "config.json"
    config.write_text(json.dumps(file))
    with RouterProcess("--config", str(config)) as router:
        yield router
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def joined(router: RouterProcess, address: str = HERE) -> Client:
    client = await Client.bare(router.port, address)
    await client.greet()
    return await client.join()


class Witness:
    """A client from another address, which can call all the while."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.calls = 0

    async def testify(self) -> None:
        answer = await self._client.request(CALL, {}, "wamp.session.count")
        assert answer[0] == RESULT, answer
        self.calls += 1

    async def close(self) -> None:
        await self._client.close()


async def test_subscribing_to_a_million_topics(router: RouterProcess) -> None:
    wanted, limit = scaled(1_000_000), scaled(100_000)
    witness, greedy = Witness(await joined(router, ELSEWHERE)), await joined(router)
    before = router.rss()
    answers = {SUBSCRIBED: 0, LIMIT_EXCEEDED: 0}
    for start in range(0, wanted, 500):
        greedy.send(*([SUBSCRIBE, greedy.next_request(), {}, f"com.example.t{start + n}"] for n in range(500)))
        for _ in range(500):
            answer = await greedy.receive()
            answers[SUBSCRIBED if answer[0] == SUBSCRIBED else answer[4]] += 1
        await witness.testify()

    grown = router.rss() - before
    print(f"{wanted} subscriptions wanted, {answers[SUBSCRIBED]} there: {grown / MEBIBYTE:.0f} MiB")
    assert answers == {SUBSCRIBED: limit, LIMIT_EXCEEDED: wanted - limit}
    assert grown < 20 * MEBIBYTE + 2000 * limit
    assert router.log.count("has reached the limit subscriptions") == 1
    await greedy.close()
    await witness.close()


async def test_a_hundred_thousand_calls_that_could_be_re_routed(router: RouterProcess) -> None:
    wanted = scaled(100_000)
    witness, greedy = Witness(await joined(router, ELSEWHERE)), await joined(router)
    callees = [await joined(router) for _ in range(2)]
    for callee in callees:
        await callee.request(REGISTER, {"invoke": "first"}, "com.shared")
    before = router.rss()
    payload = ["x" * 65_000]
    pending = min(wanted, 65_536)
    for start in range(0, wanted, 20):
        greedy.send(*([CALL, greedy.next_request(), {}, "com.shared", payload] for _ in range(20)))
        for _ in range(max(0, min(20, pending - start))):
            await callees[0].receive()
        for _ in range(max(0, min(20, start + 20 - pending))):
            assert (await greedy.expect(ERROR))[4] == LIMIT_EXCEEDED
        if start % 100 == 0:
            await witness.testify()

    grown = router.rss() - before
    print(f"{wanted} calls of {len(payload[0])} bytes: {grown / MEBIBYTE:.0f} MiB")
    # What is kept, what is being sent, and the calls themselves; not their payloads, of which there was ten times more.
    assert grown < 2 * scaled(64 * MEBIBYTE) + 40 * MEBIBYTE + 2000 * pending
    assert router.log.count("has reached the limit kept_call_bytes") == 1
    for client in (greedy, *callees):
        await client.close()
    await witness.close()


async def test_thousands_of_connections_that_say_nothing(router: RouterProcess) -> None:
    limit = scaled(5000)
    witness = Witness(await joined(router, ELSEWHERE))
    before = router.rss()
    silent: list[Client] = []
    while len(silent) < limit + SURPLUS:
        # They have ten seconds, of which a busy machine needs some.
        silent += await asyncio.gather(*(Client.bare(router.port) for _ in range(50)))
    dropped = 0
    for client in silent[limit:]:
        try:
            await client.greet()
        except Dropped:
            dropped += 1
    await witness.testify()
    newcomer = await joined(router, ELSEWHERE)

    print(f"{len(silent)} connections, {dropped} of them dropped: {(router.rss() - before) / MEBIBYTE:.0f} MiB")
    assert dropped == SURPLUS
    assert router.log.count("has reached the limit handshakes_per_address") == 1
    for client in (*silent, newcomer):
        await client.close()
    await witness.close()


async def test_thousands_of_long_poll_connections(router: RouterProcess) -> None:
    wanted, limit = scaled(20_000), scaled(2000)
    witness = Witness(await joined(router, ELSEWHERE))
    statuses: dict[int, int] = {}
    url = f"http://127.0.0.1:{router.port}"
    others: Any = httpx.AsyncHTTPTransport(local_address=ELSEWHERE)
    async with httpx.AsyncClient(base_url=url) as client, httpx.AsyncClient(base_url=url, transport=others) as other:

        async def open_some(count: int) -> None:
            for _ in range(count):
                answer = await client.post("/lp/open", json={"protocols": ["wamp.2.json"]})
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1

        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(open_some(wanted // 10))
        await witness.testify()

        assert statuses == {200: limit, 429: wanted - limit}
        assert (await other.post("/lp/open", json={"protocols": ["wamp.2.json"]})).status_code == 200
    assert router.log.count("has reached the limit long_polls_per_address") == 1
    await witness.close()
