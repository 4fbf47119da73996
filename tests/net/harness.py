"""Raw clients and a listener with echo endpoints, for tests of everything below the sessions."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rocade.net.link import Link
from rocade.net.listener import ASGIApp, Listener, bind_tcp, bind_unix
from rocade.net.rawsocket import RawSocketEndpoint, RawSocketOptions
from rocade.net.websocket import WebSocketEndpoint, WebSocketOptions

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


class Echo:
    """A receiver that sends everything back, and remembers what happened."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.messages: list[bytes] = []
        self.events: list[str] = []
        self.echoes = True
        self.news = asyncio.Event()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def message_received(self, data: bytes) -> None:
        assert not self.lost.done()
        if not self.link.wire.serializer.is_binary and not is_utf8(data) and self.link.invalid_text():
            return
        self.messages.append(data)
        self.news.set()
        if self.echoes:
            self.link.write([self.link.wire.frame(data)])

    def writing_paused(self) -> None:
        self.events.append("paused")
        self.news.set()

    def writing_resumed(self) -> None:
        self.events.append("resumed")
        self.news.set()

    def link_lost(self, reason: str) -> None:
        self.lost.set_result(reason)
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that happens to this receiver makes the condition true."""
        while not condition():
            self.news.clear()
            await self.news.wait()


class Client:
    """One connection to the listener, at the level of bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self, size: int) -> bytes:
        return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """Everything until the server closes; a reset counts as the end."""
        data = b""
        try:
            while chunk := await self.reader.read(65536):
                data += chunk
        except ConnectionError:
            pass
        return data

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def response(self) -> tuple[int, str]:
        """Status and body (by its Content-Length) of an HTTP response."""
        head = (await self.head()).decode()
        length = next(
            (int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length")), 0
        )
        return int(head.split()[1]), (await self.read(length)).decode()

    def close(self) -> None:
        self.writer.close()

    # WebSocket.

    def upgrade(self, path: str = "/ws", **changes: str | None) -> None:
        self.send(upgrade_request(path, **changes))

    def frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        self.send(client_frame(opcode, payload, fin=fin, rsv=rsv))

    async def read_frame(self) -> tuple[int, bytes]:
        first, second = await self.read(2)
        assert first & 0x80
        length = second
        if second == 126:
            (length,) = struct.unpack(">H", await self.read(2))
        elif second == 127:
            (length,) = struct.unpack(">Q", await self.read(8))
        return first & 0x0F, await self.read(length)

    async def read_close(self) -> int | None:
        """Code of the CLOSE frame that comes next; None where it has none."""
        opcode, payload = await self.read_frame()
        assert opcode == CLOSE, (opcode, payload)
        return int.from_bytes(payload[:2], "big") if payload else None

    # RawSocket.

    def raw_frame(self, payload: bytes, kind: int = 0) -> None:
        self.send(struct.pack(">I", kind << 24 | len(payload)) + payload)

    async def read_raw_frame(self) -> tuple[int, bytes]:
        (word,) = struct.unpack(">I", await self.read(4))
        return word >> 24, await self.read(word & 0xFFFFFF)


def upgrade_request(path: str = "/ws", *, line: str | None = None, **changes: str | None) -> bytes:
    """An upgrade request; keyword arguments replace headers (underscores for dashes), None leaves one out."""
    headers: dict[str, str | None] = {
        "host": "127.0.0.1",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-version": "13",
        "sec-websocket-key": KEY,
        "sec-websocket-protocol": "wamp.2.json",
    }
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    lines = [line or f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items() if v is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


def client_frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A masked frame."""
    mask = b"\x12\x34\x56\x78"
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | length,))
    elif length < 65536:
        head = b"\xfe" + struct.pack(">H", length)
    else:
        head = b"\xff" + struct.pack(">Q", length)
    stream = (mask * (length // 4 + 1))[:length]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(length, "big")
    return bytes(((0x80 if fin else 0) | rsv << 4 | opcode,)) + head + mask + masked


@dataclass
class Server:
    """A running listener."""

    listener: Listener
    address: Any
    websocket: WebSocketEndpoint
    receivers: list[Echo] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    async def connect(self, *, receive_buffer: int = 0) -> Client:
        """A connection; with a small `receive_buffer` the client soon stops the server's writing."""
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        sock = socket.socket(family)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, self.address)
        except OSError:
            sock.close()
            raise
        if family == socket.AF_UNIX:
            streams = await asyncio.open_unix_connection(sock=sock)
        else:
            streams = await asyncio.open_connection(sock=sock)
        self.clients.append(Client(*streams))
        return self.clients[-1]

    async def open_websocket(self, **changes: str | None) -> tuple[Client, Echo]:
        """A WebSocket connection, and the server's receiver for it."""
        client = await self.connect()
        client.upgrade(**changes)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 101 "), head
        return client, self.receivers[-1]

    async def open_rawsocket(self, request: bytes = b"\x7f\xf1\x00\x00") -> tuple[Client, Echo]:
        """A RawSocket connection, and the server's receiver for it."""
        client = await self.connect()
        client.send(request)
        reply = await client.read(4)
        assert reply[1] & 0x0F, reply
        return client, self.receivers[-1]

    async def until_connections(self, count: int) -> None:
        """Wait until no more than `count` connections are open."""
        # There is no event for this: the last thing a connection does is to leave the listener's set.
        while self.listener.connections > count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def prove_alive(self) -> None:
        """Whatever has happened to others, a new connection echoes."""
        client, _ = await self.open_websocket()
        client.frame(TEXT, b"[1]")
        assert await client.read_frame() == (TEXT, b"[1]")
        client.close()


@asynccontextmanager
async def serving(
    *,
    app: ASGIApp | None = None,
    websocket: Mapping[str, Any] | None = None,
    rawsocket: Mapping[str, Any] | None = None,
    path: Path | None = None,
    **listener_options: Any,
) -> AsyncIterator[Server]:
    """A listener on a free port of the loopback, or on a Unix socket at `path`."""
    receivers: list[Echo] = []

    def connected(link: Link) -> Echo:
        receivers.append(Echo(link))
        return receivers[-1]

    endpoint = WebSocketEndpoint(WebSocketOptions(**{"close_timeout": 0.5, **(websocket or {})}), connected)
    raw = RawSocketEndpoint(RawSocketOptions(**{"close_timeout": 0.5, **(rawsocket or {})}), connected)
    listener = Listener(
        app,
        **{"websockets": {"/ws": endpoint}, "rawsocket": raw, "shutdown_timeout": 1.0, **listener_options},
    )
    sock = bind_tcp("127.0.0.1", 0) if path is None else bind_unix(str(path))
    server = Server(listener, sock.getsockname(), endpoint, receivers)
    await listener.start(sock)
    try:
        yield server
    finally:
        for client in server.clients:
            client.writer.transport.abort()
        await listener.stop()
        # Let the transports of the clients learn of their end, too.
        await asyncio.sleep(0)


def is_utf8(data: bytes) -> bool:
    """Whether bytes are a text: what a serializer of texts finds out."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
