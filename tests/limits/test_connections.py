"""Connections without a session, connections from one address, and those of long-poll clients."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from tests.hostile.wire import upgrade_request
from tests.limits.scene import ELSEWHERE, HERE, Client, Dropped, Router, running

from rocade.serve.web import longpoll


async def silent(router: Router, address: str = HERE) -> Client:
    """A connection on which nothing is said."""
    return await router.bare(address)


async def half_rawsocket(router: Router, address: str = HERE) -> Client:
    """A RawSocket connection in the middle of its handshake."""
    client = await router.bare(address)
    client.write(b"\x7f\xf1")
    return client


async def rawsocket(router: Router, address: str = HERE) -> Client:
    """A RawSocket connection without HELLO."""
    return await router.connect(address)


async def websocket(router: Router, address: str = HERE) -> Client:
    """A WebSocket connection without HELLO."""
    client = await router.bare(address)
    client.write(upgrade_request("json"))
    await client._read(12)
    return client


KINDS: list[Callable[..., Awaitable[Client]]] = [silent, half_rawsocket, rawsocket, websocket]


@pytest.mark.parametrize("kind", KINDS)
async def test_so_many_connections_without_a_session_come_from_one_address(
    kind: Callable[..., Awaitable[Client]], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(transport={"handshakes_per_address": 5}) as router:
        clients = [await kind(router) for _ in range(5)]
        await router.until(lambda: sum(it.connections for it in router.worker._listeners) == 5)

        with caplog.at_level(logging.WARNING, "rocade.limits"):
            for _ in range(4):
                with pytest.raises(Dropped):
                    await router.connect()

        assert router.counters.reached["handshakes_per_address"] == 4
        assert len(caplog.messages) == 1
        await router.join(ELSEWHERE)

        await clients[0].close()
        await router.until(lambda: sum(it.connections for it in router.worker._listeners) == 5)
        await router.join()


async def test_a_session_is_no_handshake_any_more_and_neither_is_a_request() -> None:
    async with running(transport={"handshakes_per_address": 2}) as router:
        for _ in range(5):
            await router.join()
            client = await router.bare()
            client.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await client._read(12)

        assert not router.counters.reached
        assert await half_rawsocket(router)
        assert await half_rawsocket(router)
        await router.until(lambda: sum(it.connections for it in router.worker._listeners) >= 7)
        with pytest.raises(Dropped):
            await router.connect()


@pytest.mark.parametrize("name", ["connections", "connections_per_address"])
async def test_so_many_connections(name: str) -> None:
    async with running(transport={name: 3}) as router:
        clients = [await router.join() for _ in range(3)]
        with pytest.raises(Dropped):
            await router.connect()
        assert router.counters.reached[name] == 1
        if name == "connections_per_address":
            await router.join(ELSEWHERE)

        await clients[0].close()
        await router.until(lambda: len(router.gateway.realms["realm1"].sessions) < 3 + (name != "connections"))
        await router.join()


async def test_nothing_is_left_of_connections_that_are_gone() -> None:
    limits = {"connections": 100, "connections_per_address": 100, "sessions_per_address": 100}
    async with running(transport=limits) as router:
        for kind in KINDS:
            await (await kind(router)).close()
        for _ in range(2):
            await (await router.join()).close()
        said_goodbye = await router.join()
        said_goodbye.send([6, {}, "wamp.close.close_realm"])
        await said_goodbye.expect(6)
        await said_goodbye.close()
        await router.until(lambda: not sum(it.connections for it in router.worker._listeners))

        (door,) = {connection.surroundings.door for connection in [router.worker._listeners[0]._port]}
        assert door is not None
        assert door._open == 0
        assert [door._connections, door._handshakes, door._sessions, door._in_handshake] == [{}, {}, {}, {}]


# Long-polling


def transport(address: str) -> httpx.AsyncHTTPTransport:
    return httpx.AsyncHTTPTransport(local_address=address)


async def open_longpoll(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await client.post("/lp/open", json={"protocols": ["wamp.2.json"]}, headers=headers)


async def test_one_address_does_not_take_all_long_poll_connections(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(longpoll, "REMEMBERED", 0.0)
    monkeypatch.setattr(longpoll, "SWEEP_INTERVAL", 0.01)
    async with running(transport={"long_polls_per_address": 5}) as router:
        url = f"http://127.0.0.1:{router.port}"
        async with (
            httpx.AsyncClient(base_url=url, transport=transport(HERE)) as noisy,
            httpx.AsyncClient(base_url=url, transport=transport(ELSEWHERE)) as quiet,
        ):
            opened = [(await open_longpoll(noisy)).json()["transport"] for _ in range(5)]
            with caplog.at_level(logging.WARNING, "rocade.limits"):
                answers = [await open_longpoll(noisy) for _ in range(4)]

            assert [answer.status_code for answer in answers] == [429] * 4
            assert answers[0].headers["retry-after"] == "10"
            assert len(caplog.messages) == 1
            assert (await open_longpoll(quiet)).status_code == 200

            await noisy.post(f"/lp/{opened[0]}/close")
            await router.until(lambda: router_longpolls(router, HERE) == 4)
            assert (await open_longpoll(noisy)).status_code == 200


def router_longpolls(router: Router, address: str) -> int:
    services = router.worker._listeners[0]._app.router.default._services  # type: ignore[union-attr]
    count: int = services["/lp"]._of_address.get(address, 0)
    return count


# Behind a proxy


async def test_a_proxys_clients_are_told_apart_by_what_it_says_of_them() -> None:
    limits: dict[str, Any] = {"long_polls_per_address": 1, "handshakes_per_address": 1, "trusted_proxies": [HERE]}
    async with running(transport=limits) as router:
        url = f"http://127.0.0.1:{router.port}"
        for _ in range(3):
            await router.bare()  # the proxy itself may have any number of connections
        async with httpx.AsyncClient(base_url=url, transport=transport(HERE)) as proxy:
            one, other = {"x-forwarded-for": "192.0.2.1"}, {"x-forwarded-for": "10.0.0.1, 192.0.2.2"}
            assert (await open_longpoll(proxy, **one)).status_code == 200
            assert (await open_longpoll(proxy, **one)).status_code == 429
            assert (await open_longpoll(proxy, **other)).status_code == 200
        async with httpx.AsyncClient(base_url=url, transport=transport(ELSEWHERE)) as stranger:
            # Who is no proxy may say what it likes.
            assert (await open_longpoll(stranger, **{"x-forwarded-for": "192.0.2.9"})).status_code == 200
            assert (await open_longpoll(stranger, **{"x-forwarded-for": "192.0.2.8"})).status_code == 429
