"""The testee: a WebSocket that sends every message back as it came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.net.conftest import Run
from tests.net.harness import BINARY, CONTINUATION, TEXT, Client, serving
from tests.net.test_deflate import RSV1, deflated, inflated, read_compressed

from rocade.net import testee
from rocade.net.deflate import DeflateOptions
from rocade.net.websocket import WebSocketOptions


@asynccontextmanager
async def echoing(
    *, extensions: str | None = None, protocol: str | None = None, **options: Any
) -> AsyncIterator[Client]:
    """A client of a testee."""
    endpoint = testee.TesteeEndpoint(WebSocketOptions(**options))
    async with serving(websockets={"/ws": endpoint}) as server:
        client = await server.connect()
        client.upgrade(sec_websocket_protocol=protocol, sec_websocket_extensions=extensions)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"protocol:" not in head.lower()
        yield client


@pytest.mark.parametrize("protocol", [None, "wamp.2.json.batched", "chat"])
def test_text_stays_text_and_binary_binary_whatever_the_subprotocol(run: Run, protocol: str | None) -> None:
    async def main() -> None:
        async with echoing(protocol=protocol) as client:
            for opcode, data in ((TEXT, b""), (BINARY, b"\xff"), (TEXT, b"\xc3\xa4" * 1000), (BINARY, b"x" * 70_000)):
                client.frame(opcode, data)
                assert await client.read_frame() == (opcode, data)
            client.frame(BINARY, b"a", fin=False)
            client.frame(CONTINUATION, b"b")
            assert await client.read_frame() == (BINARY, b"ab")
            client.frame(TEXT, b"\xff")
            assert await client.read_close() == 1007

    run(main())


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_messages_are_compressed_where_that_is_configured_and_offered(run: Run, opcode: int) -> None:
    async def main() -> None:
        async with echoing(extensions="permessage-deflate", deflate=DeflateOptions()) as client:
            for payload in deflated(b"echo" * 100, b"echo" * 100):
                client.frame(opcode, payload, rsv=RSV1)
            answers = [await read_compressed(client) for _ in range(2)]
            assert inflated(*answers) == [b"echo" * 100] * 2

    run(main())


def test_a_client_that_does_not_read_is_not_read_from(run: Run) -> None:
    async def main() -> None:
        async with echoing() as client:
            messages = [bytes((number,)) * 500_000 for number in range(64)]
            for number, message in enumerate(messages):
                client.frame(BINARY if number % 2 else TEXT, message)
            for number, message in enumerate(messages):
                assert await client.read_frame() == (BINARY if number % 2 else TEXT, message)

    run(main())
