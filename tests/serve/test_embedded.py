"""The router inside somebody else's process."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from rocade.errors import ConfigurationError
from rocade.net.memory import MemoryClient
from rocade.serve.embedded import DEFAULT_PORT, EmbeddedRouter


async def answer_to_hello(router: EmbeddedRouter, realm: str = "realm1") -> bytes:
    client = MemoryClient(router.entrance)
    await client.send(b'[1,"%s",{"roles":{"caller":{}}}]' % realm.encode())
    answer = await client.receive()
    client.close()
    return answer


async def test_clients_of_the_same_process_join_without_a_port() -> None:
    router = EmbeddedRouter("there")
    await router.start()

    assert (await answer_to_hello(router, "there")).startswith(b"[2,")
    assert router.url == ""
    await router.stop()


async def test_it_listens_where_its_url_says() -> None:
    router = EmbeddedRouter()
    router.bind(port=0)
    await router.start()

    port = router.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
    )
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    url = router.url
    await router.stop()

    assert url == f"ws://127.0.0.1:{port}/ws"
    assert head.startswith(b"HTTP/1.1 101 ")


async def test_a_page_of_another_site_may_not_connect() -> None:
    router = EmbeddedRouter()
    router.bind(port=0)
    await router.start()

    reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
    )
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    await router.stop()

    assert status.startswith(b"HTTP/1.1 403 ")


async def test_it_takes_the_next_free_port_where_none_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rocade.router")
    first, second = EmbeddedRouter(), EmbeddedRouter()

    first.bind()
    second.bind()

    assert first.port >= DEFAULT_PORT
    assert second.port > first.port
    assert f"port {DEFAULT_PORT} is taken, so it is port {second.port}" in caplog.messages
    first.close_sockets()
    second.close_sockets()


async def test_a_port_that_is_asked_for_and_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigurationError, match=f"port: cannot listen on 127.0.0.1:{port}: .*in use"):
            EmbeddedRouter().bind(port=port)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
async def test_strangers_get_in_only_where_that_is_said(host: str) -> None:
    router = EmbeddedRouter()

    with pytest.raises(ConfigurationError, match="insecure=True"):
        router.bind(host, 0)

    router.bind(host, 0, insecure=True)
    assert router.url.startswith(("ws://127.0.0.1:", "ws://[::1]:"))
    router.close_sockets()


@pytest.mark.parametrize("port", ["8080", 80800, -1])
def test_what_is_no_port_is_refused(port: Any) -> None:
    with pytest.raises(ConfigurationError, match="port: expected a whole number from 0 to 65535, got"):
        EmbeddedRouter().bind("127.0.0.1", port)


async def test_only_the_same_user_opens_its_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    router = EmbeddedRouter()
    router.bind_unix(str(path))
    await router.start()

    assert path.stat().st_mode & 0o777 == 0o600
    assert (router.url, router.port) == ("", 0)
    await router.stop()
    assert not path.exists()


async def test_a_name_that_no_realm_can_have_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"realm: 'wamp\.x' cannot be the name of a realm"):
        EmbeddedRouter("wamp.x")
