"""What answers is no router, or one that breaks the protocol."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.client.scene import within

from rocade import Anonymous, ConnectionFailed, ConnectionLost, HandshakeRefused, Reconnect, Scram, connect
from rocade.errors import ProtocolViolation
from rocade.net.dial import RequestRefused
from rocade.net.wires import websocket_frame

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WELCOME = [2, 1, {"roles": {"broker": {}, "dealer": {}}}]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    """A server of a test's own; the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(served, "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)


def accept_value(request: bytes) -> str:
    key = request.lower().partition(b"sec-websocket-key: ")[2].partition(b"\r\n")[0]
    key = request[request.lower().index(key) :][: len(key)]
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def response(request: bytes, **headers: str) -> bytes:
    """The response of a router that speaks JSON, with some of its headers replaced, or left out where empty."""
    usual = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_value(request),
        "Sec-WebSocket-Protocol": "wamp.2.json",
    }
    usual |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in usual.items() if value]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        ({"Sec_WebSocket_Accept": "AAAA"}, "Sec-WebSocket-Accept is wrong"),
        ({"Sec_WebSocket_Accept": ""}, "Sec-WebSocket-Accept is wrong"),
        ({"Sec_WebSocket_Protocol": ""}, "speaks none of the WebSocket subprotocols"),
        ({"Sec_WebSocket_Protocol": "wamp.2.yaml"}, "speaks none of the WebSocket subprotocols"),
        ({"Sec_WebSocket_Extensions": "permessage-deflate"}, "an extension that was not offered"),
    ],
)
async def test_a_wrong_response_is_refused(headers: dict[str, str], complaint: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(await reader.readuntil(b"\r\n\r\n"), **headers))
        await reader.read()

    async with server(serve) as port:
        with pytest.raises(RequestRefused, match=complaint):
            await connect(f"ws://127.0.0.1:{port}/ws")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "HTTP status 404 to a request for a WebSocket at /ws; a router's WebSocket is mostly at /ws",
        ),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "HTTP status 403"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what answers is no HTTP server"),
        (b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 70_000, "the response is longer than 65536 bytes"),
    ],
)
async def test_what_is_no_websocket_server_is_refused_at_once(answer: bytes, complaint: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()

    async with server(serve) as port:
        with pytest.raises(RequestRefused, match=complaint):
            await connect(f"ws://127.0.0.1:{port}/ws")


async def test_a_server_that_is_overloaded_is_tried_again() -> None:
    answers = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answers
        answers += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    async with server(serve) as port:
        with pytest.raises(ConnectionFailed, match=r"no session within .*: the server answers with HTTP status 503"):
            await connect(f"ws://127.0.0.1:{port}/ws", timeout=1.5, reconnect=Reconnect(first_delay=0.02))
    assert answers > 1


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"\x7f\x10\x00\x00", "serializer unsupported"),
        (b"\x7f\x40\x00\x00", "maximum connection count reached"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not a RawSocket handshake"),
    ],
)
async def test_a_rawsocket_handshake_that_fails_is_refused_at_once(answer: bytes, complaint: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        writer.write(answer)

    async with server(serve) as port:
        with pytest.raises(RequestRefused, match=complaint):
            await connect(f"rs://127.0.0.1:{port}")


async def test_the_next_serializer_is_tried_on_rawsocket() -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(4)
        asked.append(request[1] & 0x0F)
        if asked[-1] != 1:
            writer.write(b"\x7f\x10\x00\x00")
            return
        writer.write(request)
        await read_frame(reader)
        await send_frame(writer, json.dumps(WELCOME).encode())
        await reader.read()

    async with server(serve) as port, connect(f"rs://127.0.0.1:{port}"):
        pass
    assert asked == [2, 1]


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))


async def send_frame(writer: asyncio.StreamWriter, payload: bytes) -> None:
    writer.write(len(payload).to_bytes(4, "big") + payload)


@asynccontextmanager
async def rawsocket_router(*answers: list[Any] | bytes, after: list[Any] | bytes = b"") -> AsyncIterator[str]:
    """A router that gives these answers to HELLO, and this one to what comes next."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        await read_frame(reader)
        for answer in answers:
            await send_frame(writer, answer if isinstance(answer, bytes) else json.dumps(answer).encode())
        await read_frame(reader)
        if after:
            await send_frame(writer, after if isinstance(after, bytes) else json.dumps(after).encode())
        await reader.read()

    async with server(serve) as port:
        yield f"rs://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"nonsense", "malformed"),
        ([2, 0, {"roles": {}}], r"Expected 'int' >= 1 - at '\$\[1\]'"),
        ([2, 1, {}], "missing required field 'roles'"),
        ([36, 1, 1, {}], "EVENT was received while the session was being opened"),
        ([4, "ticket", {}], "a challenge by 'ticket', which was not offered"),
        ([99, 1], "Invalid value 99"),
    ],
)
async def test_a_wrong_answer_to_hello_ends_the_attempt(answer: Any, complaint: str) -> None:
    async with rawsocket_router(answer) as url:
        with pytest.raises(ProtocolViolation, match=complaint):
            await connect(url, serializer="json")


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"authmethod": "anonymous"},
        {"authmethod": "scram"},
        {"authmethod": "scram", "authextra": {"verifier": ""}},
        {"authmethod": "scram", "authextra": {"scram_server_signature": ""}},
        {"resumed": True, "received": 0},
    ],
)
async def test_a_router_that_does_not_ask_does_not_pass_for_one_that_knows_the_password(details: Any) -> None:
    async with rawsocket_router([2, 1, {"roles": {"broker": {}, "dealer": {}}, **details}]) as url:
        with pytest.raises((HandshakeRefused, ProtocolViolation), match=r"does not know the password|not asked for"):
            await connect(url, serializer="json", credentials=Scram("joe", "pencil"))


async def test_whoever_also_comes_without_a_secret_asks_for_no_proof() -> None:
    async with rawsocket_router(WELCOME) as url:
        session = await connect(url, serializer="json", credentials=[Scram("joe", "pencil"), Anonymous()])
        assert session.id == WELCOME[1]
        await session.close()


async def test_a_session_that_nobody_asked_to_resume_is_not_resumed() -> None:
    async with rawsocket_router([2, 1, {"roles": {"broker": {}}, "resumed": True}]) as url:
        with pytest.raises(ProtocolViolation, match="session 1 is resumed, which was not asked for"):
            await connect(url, serializer="json")


async def test_an_abort_says_why() -> None:
    async with rawsocket_router([3, {"message": "not today"}, "com.example.closed"]) as url:
        with pytest.raises(HandshakeRefused, match="not today") as caught:
            await connect(url, serializer="json")

    assert caught.value.uri == "com.example.closed"


@pytest.mark.parametrize(
    "nonsense",
    [
        b"nonsense",
        b"[50,1,{}",
        b"\xff\xfe",
        [2, 1, {"roles": {}}],
        [65, 77, 1],
        [68, 1, 77, {}],
        [260, 5],
        [50, 1, {}, {"not": "a list"}],
    ],
    ids=str,
)
async def test_nonsense_within_a_session_ends_it(nonsense: Any) -> None:
    welcome = [2, 1, {"roles": {"broker": {}, "dealer": {}}, "resumable": True, "resume-token": "x"}]
    async with (
        rawsocket_router(welcome, after=nonsense) as url,
        connect(url, serializer="json", reconnect=False) as session,
    ):
        with pytest.raises(ConnectionLost, match="the router ended the session"):
            await within(session.call("com.example.procedure"))
        with pytest.raises(ConnectionLost):
            await within(session.wait_closed())


async def test_a_masked_frame_ends_the_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(await reader.readuntil(b"\r\n\r\n")))
        writer.write(b"\x81\x82\x00\x00\x00\x00[]")  # only clients mask (RFC 6455, section 5.1)
        await reader.read()

    async with server(serve) as port:
        with pytest.raises(ConnectionFailed, match="protocol error: Received masked frame"):
            await connect(f"ws://127.0.0.1:{port}/ws", reconnect=False)


async def test_what_comes_right_behind_the_response_is_read() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(response(request) + websocket_frame(0x9, b"ping") + websocket_frame(0x1, b"[3,{},"))
        writer.write(websocket_frame(0x8, b"\x03\xe8bye"))
        received.append(await reader.read())

    received: list[bytes] = []
    async with server(serve) as port:
        with pytest.raises((ConnectionFailed, ProtocolViolation)):
            await connect(f"ws://127.0.0.1:{port}/ws", reconnect=False)
    first, length = received[0][0], received[0][1]
    mask, payload = received[0][2:6], received[0][6:10]
    assert (first, length) == (0x8A, 0x84)
    assert bytes(a ^ b for a, b in zip(mask, payload, strict=True)) == b"ping"


async def test_a_message_in_fragments_is_put_together() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response(await reader.readuntil(b"\r\n\r\n")))
        await reader.read(1)
        welcome = json.dumps(WELCOME).encode()
        # Text, not final; a ping in between; the rest.
        writer.write(bytes((0x01, 5)) + welcome[:5] + websocket_frame(0x9, b"") + bytes((0x00, 3)) + welcome[5:8])
        writer.write(bytes((0x80, len(welcome) - 8)) + welcome[8:])
        await reader.read()

    async with server(serve) as port, connect(f"ws://127.0.0.1:{port}/ws", reconnect=False) as session:
        assert session.id == 1


@pytest.mark.parametrize(
    "end", [[6, {}, "wamp.close.system_shutdown"], [3, {}, "com.example.no"], [2, 1, {"roles": {}}]]
)
async def test_a_router_that_ends_every_session_at_once_is_asked_ever_more_rarely(end: list[Any]) -> None:
    asked: list[int] = []
    enough = asyncio.Event()

    class Recorded(Reconnect):
        def delay(self, attempt: int) -> float:
            asked.append(attempt)
            if len(asked) == 6:
                enough.set()
            return 0.0 if len(asked) < 6 else 60.0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        await read_frame(reader)
        for message in (WELCOME, end):
            await send_frame(writer, json.dumps(message).encode())
        await reader.read()

    async with server(serve) as port:
        session = await connect(f"rs://127.0.0.1:{port}", serializer="json", reconnect=Recorded())
        await within(enough.wait())
        await session.close()

    assert asked == [0, 0, 1, 2, 3, 4]
