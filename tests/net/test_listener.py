"""One port for everything, and every way a client can behave badly before it speaks a protocol."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.net.conftest import Run
from tests.net.harness import CLOSE, KEY, TEXT, Client, Echo, client_frame, serving, upgrade_request

from rocade.net.listener import Listener, bind_tcp
from rocade.net.websocket import WebSocketEndpoint, WebSocketOptions

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class App:
    """An ASGI application with a lifespan, that answers with the path and body of each request."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.started = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                self.events.append(event)
                await send({"type": f"lifespan.{event}.complete"})
            return
        if scope["path"] == "/slow":
            self.started.set()
            await self.release.wait()
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        text = scope["path"].encode() + b" " + body
        headers = [(b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})


def test_http_websocket_and_rawsocket_share_a_port(run: Run) -> None:
    async def main() -> None:
        app = App()
        async with serving(app=app) as server:
            http = await server.connect()
            http.send(b"POST /a%20b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
            assert await http.response() == (200, "/a b body")
            http.send(GET)
            assert await http.response() == (200, "/ ")
            websocket, _ = await server.open_websocket()
            websocket.frame(TEXT, b"1")
            assert await websocket.read_frame() == (TEXT, b"1")
            rawsocket, _ = await server.open_rawsocket()
            rawsocket.raw_frame(b"2")
            assert await rawsocket.read_raw_frame() == (0, b"2")
        assert app.events == ["startup", "shutdown"]

    run(main())


def test_a_unix_socket_serves_all_three(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "rocade.sock"
        async with serving(path=path) as server:
            http = await server.connect()
            http.send(GET)
            assert (await http.response())[0] == 404
            _, receiver = await server.open_rawsocket()
            assert receiver.link.info.peer == f"unix:{path}"
            await server.prove_alive()
            assert server.receivers[-1].link.info.peer == f"unix:{path}"
        assert not path.exists()

    run(main())


def test_connections_send_at_once_and_notice_dead_peers(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            for _, receiver in (await server.open_websocket(), await server.open_rawsocket()):
                sock = receiver.link._transport.get_extra_info("socket")  # type: ignore[attr-defined]
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60

    run(main())


def test_without_an_application_there_is_nothing_but_an_explanation(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send(GET)
            assert await client.response() == (404, "There is nothing here.\n")
            client.send(GET.replace(b" / ", b" /ws?x=1 "))
            status, text = await client.response()
            assert (status, "Upgrade: websocket" in text) == (426, True)

    run(main())


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "an unknown path": ({"path": "/other"}, 404, "/other"),
    "another version": ({"sec_websocket_version": "8"}, 426, "version 8"),
    "no version": ({"sec_websocket_version": None}, 400, "Sec-WebSocket-Version"),
    "no key": ({"sec_websocket_key": None}, 400, "Sec-WebSocket-Key"),
    "a short key": ({"sec_websocket_key": "c2hvcnQ="}, 400, "16 bytes"),
    "a key that is not base64": ({"sec_websocket_key": "ää" + KEY[2:]}, 400, "16 bytes"),
    "no host": ({"host": None}, 400, "Host"),
    "no subprotocol": ({"sec_websocket_protocol": None}, 400, "wamp.2.json, wamp.2.json.batched"),
    "a foreign subprotocol": ({"sec_websocket_protocol": "mqtt"}, 400, "mqtt"),
    "a foreign origin": ({"origin": "https://evil.example"}, 403, "evil.example"),
    "a null origin": ({"origin": "null"}, 403, "null"),
    "another method": ({"line": "POST /ws HTTP/1.1"}, 400, "GET"),
    "HTTP/1.0": ({"line": "GET /ws HTTP/1.0"}, 505, "HTTP/1.1"),
    "a body": ({"content_length": "5"}, 400, "body"),
    "an endless body": ({"transfer_encoding": "chunked"}, 400, "body"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_handshake_is_refused_with_its_reason(run: Run, case: str) -> None:
    changes, status, text = REFUSED[case]

    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send(upgrade_request(**changes) + client_frame(TEXT, b"behind"))
            answer = await client.response()
            assert answer[0] == status
            assert text in answer[1]
            assert await client.rest() == b""
            assert server.receivers == []
            await server.prove_alive()

    run(main())


def test_another_version_is_told_the_right_one(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.upgrade(sec_websocket_version="7")
            assert b"Sec-WebSocket-Version: 13\r\n" in await client.head()

    run(main())


@pytest.mark.parametrize(
    "changes",
    [
        {"connection": "keep-alive, Upgrade"},
        {"connection": "UPGRADE", "upgrade": "WebSocket"},
        {"origin": "http://localhost:3000"},
        {"sec_websocket_extensions": "permessage-deflate; client_max_window_bits"},
        {"path": "/ws?query=1"},
        {"path": "/%77s"},
        {"sec_websocket_protocol": "mqtt, wamp.2.json"},
    ],
)
def test_a_good_handshake_is_accepted(run: Run, changes: dict[str, str]) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send(upgrade_request(**changes))
            head = (await client.head()).decode()
            assert head.startswith("HTTP/1.1 101 Switching Protocols\r\n")
            assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
            assert "Sec-WebSocket-Protocol: wamp.2.json\r\n" in head
            assert "Extensions" not in head

    run(main())


def test_a_client_without_subprotocol_gets_the_first_serializer_where_that_is_allowed(run: Run) -> None:
    async def main() -> None:
        async with serving(websocket={"require_subprotocol": False, "serializers": ("cbor", "json")}) as server:
            client = await server.connect()
            client.upgrade(sec_websocket_protocol=None)
            assert b"Sec-WebSocket-Protocol" not in await client.head()
            assert server.receivers[0].link.wire.name == "websocket.cbor"

    run(main())


@pytest.mark.parametrize("data", [b"", b"G", b"GET /ws HTTP/1.1\r\nHost: x\r\n", upgrade_request()[:-2], b"\r\n" * 10])
def test_a_request_that_does_not_come_in_time_is_timed_out(run: Run, data: bytes) -> None:
    async def main() -> None:
        async with serving(head_timeout=0.3) as server:
            client = await server.connect()
            client.send(data)
            status, text = await client.response()
            assert status == 408
            assert "0.3 s" in text
            assert await client.rest() == b""

    run(main())


def test_a_second_request_has_a_deadline_too(run: Run) -> None:
    async def main() -> None:
        # Enough for a request that comes at once, on the slowest machine.
        async with serving(head_timeout=2.0) as server:
            clients = [await server.connect() for _ in range(2)]
            for client in clients:
                client.send(GET)
                assert (await client.response())[0] == 404
            for client, beginning in zip(clients, (b"GET ", b"\r\n"), strict=True):
                client.send(beginning)
            for client in clients:
                assert (await client.response())[0] == 408
                assert await client.rest() == b""
            await server.prove_alive()

    run(main())


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 3000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1200,
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"X" * 100_000,
        upgrade_request(x="y" * 3000),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 1_000_000,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 1200,
    ],
)
def test_a_head_that_is_too_large_is_refused(run: Run, data: bytes) -> None:
    async def main() -> None:
        async with serving(max_head_bytes=2048) as server:
            client = await server.connect()
            client.send(data)
            answer = await client.rest()
            assert b"431" in answer or b"POST" in data
            await server.prove_alive()

    run(main())


def test_a_large_body_is_no_large_head(run: Run) -> None:
    async def main() -> None:
        async with serving(app=App(), max_head_bytes=2048) as server:
            client = await server.connect()
            client.send(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)
            assert (await client.response())[1] == "/ " + "x" * 1_000_000

    run(main())


def test_an_upgrade_behind_an_unfinished_request_is_refused(run: Run) -> None:
    async def main() -> None:
        app = App()
        async with serving(app=app) as server:
            client = await server.connect()
            client.send(GET.replace(b" / ", b" /slow ") + upgrade_request() + client_frame(TEXT, b"x"))
            await app.started.wait()
            app.release.set()
            assert await client.response() == (200, "/slow ")
            assert await client.rest() == b""
            assert server.receivers == []
            await server.prove_alive()

    run(main())


def test_an_upgrade_behind_a_finished_request_is_welcome(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send(GET)
            assert (await client.response())[0] == 404
            client.send(upgrade_request() + client_frame(TEXT, b"x"))
            await client.head()
            assert await client.read_frame() == (TEXT, b"x")

    run(main())


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x00" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\xff\xfe\xfd",
    ],
)
def test_nonsense_is_refused_quietly(run: Run, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send(data)
            assert (await client.rest()).startswith(b"HTTP/1.1 4")
            await server.prove_alive()

    run(main())
    assert caplog.text == ""


def test_an_upgrade_to_http2_is_answered_as_plain_http(run: Run) -> None:
    async def main() -> None:
        async with serving(app=App()) as server:
            client = await server.connect()
            client.send(
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
            )
            assert await client.response() == (200, "/ ")
            assert await client.rest() == b""

    run(main())


def test_the_answer_to_a_flood_can_be_read(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 5_000_000)
            assert (await client.response())[0] == 431

    run(main())


def test_a_listener_for_websockets_only_drops_rawsocket_clients(run: Run) -> None:
    async def main() -> None:
        endpoint = WebSocketEndpoint(WebSocketOptions(), Echo)
        listener = Listener(None, websockets={"/": endpoint})
        sock = bind_tcp("127.0.0.1", 0)
        await listener.start(sock)
        client = Client(*await asyncio.open_connection(*sock.getsockname()))
        client.send(b"\x7f\xf1\x00\x00")
        assert await client.rest() == b""
        client.close()
        await listener.stop()

    run(main())


def test_a_listener_for_rawsocket_only_drops_everything_else(run: Run) -> None:
    async def main() -> None:
        async with serving(websockets={}) as server:
            client = await server.connect()
            client.send(GET)
            assert await client.rest() == b""
            rawsocket, _ = await server.open_rawsocket()
            rawsocket.raw_frame(b"x")
            assert await rawsocket.read_raw_frame() == (0, b"x")

    run(main())


def test_stopping_says_goodbye_to_everybody(run: Run) -> None:
    async def main() -> None:
        async with serving(app=App()) as server:
            websocket, ws_receiver = await server.open_websocket()
            rawsocket, raw_receiver = await server.open_rawsocket()
            idle = await server.connect()
            unfinished = await server.connect()
            unfinished.send(b"\x7f")
            kept = await server.connect()
            kept.send(GET)
            await kept.response()
            assert server.listener.connections == 5
            stopping = asyncio.create_task(server.listener.stop())
            assert await websocket.read_close() == 1001
            websocket.frame(CLOSE, b"\x03\xe9")
            for client in (websocket, rawsocket, idle, unfinished, kept):
                assert await client.rest() == b""
                client.close()
            await stopping
            assert await ws_receiver.lost == "closed: the router is shutting down"
            assert await raw_receiver.lost == "closed: the router is shutting down"
            assert server.listener.connections == 0
            with pytest.raises(ConnectionRefusedError):
                await server.connect()

    run(main())


def test_stopping_lets_a_request_finish(run: Run) -> None:
    async def main() -> None:
        app = App()
        async with serving(app=app) as server:
            client = await server.connect()
            client.send(GET.replace(b" / ", b" /slow "))
            await app.started.wait()
            stopping = asyncio.create_task(server.listener.stop())
            await asyncio.sleep(0)
            app.release.set()
            assert await client.response() == (200, "/slow ")
            client.close()
            await stopping

    run(main())


def test_stopping_never_hangs(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        app = App()
        async with serving(app=app, websocket={"close_timeout": 60.0}, shutdown_timeout=0.1) as server:
            _, silent = await server.open_websocket()
            _, deaf = await server.open_websocket()
            server.clients[-1].writer.transport.pause_reading()
            while deaf.link.buffered_bytes() < 1 << 20:
                deaf.link.write([b"x" * 500_000])
                await asyncio.sleep(0)
            busy = await server.connect()
            busy.send(GET.replace(b" / ", b" /slow "))
            await app.started.wait()
            await server.listener.stop()
            assert silent.lost.done()
            assert deaf.lost.done()
            assert server.listener.connections == 0
            assert app.events == ["startup", "shutdown"]

    run(main())
    assert "aborting 3 connections and 1 requests" in caplog.text


def test_an_application_that_hangs_in_its_shutdown_does_not_keep_the_listener(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.Event().wait()

    async def main() -> None:
        async with serving(app=app, shutdown_timeout=0.1):
            pass

    run(main())
    assert "did not shut down" in caplog.text


def test_an_application_that_fails_to_start_is_an_ordinary_error(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def main() -> None:
        with pytest.raises(RuntimeError, match="failed to start"):
            async with serving(app=app):
                pass

    run(main())
    assert "no database" in caplog.text


def test_a_listener_starts_once_and_stops_any_number_of_times(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            with pytest.raises(RuntimeError, match="once"):
                await server.listener.start()
            await server.listener.stop()
            await server.listener.stop()

    run(main())


def test_starting_and_stopping_is_quiet(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving(app=App()) as server:
            await server.prove_alive()

    with caplog.at_level(logging.INFO):
        run(main())
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []
