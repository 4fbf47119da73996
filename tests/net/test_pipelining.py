"""Much HTTP in one read: thousands of requests, or of chunks, are parsed some at a time, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.net.harness import TEXT, client_frame, serving, upgrade_request

from rocade.net import http
from rocade.net.http import MOST_PIPELINED, PARSED_AT_ONCE

Run = Callable[[Coroutine[Any, Any, None]], None]

COUNT = 2000


@pytest.fixture(autouse=True, params=[0.0, 60.0], ids=["hurried", "patient"])
def turns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TURN_SECONDS", request.param)


class Counting:
    """Answers with the body, or else the query, of each request."""

    def __init__(self) -> None:
        self.open = self.most_open = self.bodies = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for answer in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{answer}.complete"})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        body = body or scope["query_string"]
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def request(number: int) -> bytes:
    return b"GET /?%d HTTP/1.1\r\nhost: a\r\n\r\n" % number


def test_thousands_of_requests_in_one_read_are_answered_in_order(run: Run) -> None:
    async def main() -> None:
        async with serving(app=Counting()) as server:
            client = await server.connect()
            client.send(b"".join(map(request, range(COUNT))))
            for number in range(COUNT):
                assert await client.response() == (200, str(number))
            client.send(request(COUNT))
            assert await client.response() == (200, str(COUNT))

    run(main())


def test_requests_that_wait_for_the_answer_to_another_one_are_not_all_parsed(run: Run) -> None:
    async def main() -> None:
        started, going_on = asyncio.Event(), asyncio.Event()
        counting = Counting()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                started.set()
                await going_on.wait()
            await counting(scope, receive, send)

        async with serving(app=slow) as server:
            client = await server.connect()
            client.send(b"".join(map(request, range(COUNT))))
            await started.wait()
            assert server.listener._port is not None
            (connection,) = server.listener._port.surroundings.connections
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(connection.pipeline) <= MOST_PIPELINED + PARSED_AT_ONCE // len(request(0)) + 1
            going_on.set()
            for number in range(COUNT):
                assert await client.response() == (200, str(number))

    run(main())


def test_a_body_of_thousands_of_chunks_arrives(run: Run) -> None:
    async def main() -> None:
        async with serving(app=Counting()) as server:
            client = await server.connect()
            client.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            client.send(b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n" + request(7))
            assert await client.response() == (200, "x" * 20_000)
            assert await client.response() == (200, "7")

    run(main())


def test_everything_behind_an_upgrade_goes_to_the_websocket(run: Run) -> None:
    async def main() -> None:
        async with serving(app=Counting()) as server:
            client = await server.connect()
            messages = [b"[%d]" % number for number in range(COUNT)]
            client.send(upgrade_request() + b"".join(client_frame(TEXT, message) for message in messages))
            await client.head()
            for message in messages:
                assert await client.read_frame() == (TEXT, message)
            client.frame(TEXT, b"[]")
            assert await client.read_frame() == (TEXT, b"[]")

    run(main())


def test_a_client_that_goes_while_its_requests_are_parsed_harms_nobody(run: Run) -> None:
    async def main() -> None:
        async with serving(app=Counting()) as server:
            client = await server.connect()
            client.send(b"".join(map(request, range(COUNT))))
            await client.response()
            client.writer.transport.abort()
            await server.until_connections(0)
            await server.prove_alive()

    run(main())
