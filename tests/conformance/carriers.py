"""How a test peer's bytes travel: within the process, over WebSocket, over RawSocket, by long-polling.

WebSocket is spoken by the `websockets` library and HTTP by `httpx`, so what the router writes is read by somebody
else's code.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Protocol

import httpx
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from rocade.net.link import Link, Receiver
from rocade.net.memory import MemoryClient
from rocade.wamp.batching import batch, unbatch
from rocade.wamp.codec import Serializer
from rocade.wamp.framing import FrameDecoder, decode_reply, encode_handshake, frame_message

MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class Gone(Exception):
    """The connection has ended; the text says how."""


class Carrier(Protocol):
    """One connection to the router that carries whole serialized messages."""

    async def send(self, data: bytes) -> None:
        """Send one message."""

    async def receive(self) -> bytes:
        """The next message.

        Raises:
            Gone: there will be none.
        """

    async def close(self) -> None:
        """Close in the transport's orderly way."""

    async def vanish(self) -> None:
        """Drop the connection without a word."""


class MemoryCarrier:
    """A link within the process."""

    def __init__(self, entrance: Callable[[Link], Receiver], serializer: Serializer) -> None:
        self._client = MemoryClient(entrance, serializer=serializer)

    async def send(self, data: bytes) -> None:
        """See `Carrier`."""
        try:
            await self._client.send(data)
        except ConnectionError as error:
            raise Gone(str(error)) from None

    async def receive(self) -> bytes:
        """See `Carrier`."""
        try:
            return await self._client.receive()
        except ConnectionError as error:
            raise Gone(str(error)) from None

    async def close(self) -> None:
        """See `Carrier`."""
        self._client.close()

    async def vanish(self) -> None:
        """See `Carrier`."""
        self._client.link.abort()


class WebSocketCarrier:
    """A WebSocket connection."""

    def __init__(self, connection: ClientConnection, serializer: Serializer, *, is_batched: bool) -> None:
        self._connection = connection
        self._is_text = not serializer.is_binary
        self._is_batched = is_batched
        # What came in a batch and is still to be received.
        self._batch: deque[bytes] = deque()

    @classmethod
    async def open(
        cls,
        serializer: Serializer,
        *,
        port: int | None = None,
        path: str | None = None,
        is_batched: bool = False,
        compression: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> WebSocketCarrier:
        """Connect to `/ws` at a port of this machine, with or without TLS, or over the Unix socket at `path`.

        The library's queue is unbounded: it would not read, nor close, while a test leaves messages in it.
        """
        subprotocol = Subprotocol(f"wamp.2.{serializer.name}" + (".batched" if is_batched else ""))
        opening = (
            connect(
                f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/ws",
                ssl=tls,
                subprotocols=[subprotocol],
                compression=compression,
                max_size=None,
                max_queue=None,
                ping_interval=None,
                proxy=None,
            )
            if path is None
            else unix_connect(
                path,
                "ws://localhost/ws",
                subprotocols=[subprotocol],
                compression=None,
                max_size=None,
                max_queue=None,
                ping_interval=None,
            )
        )
        connection = await opening
        assert connection.subprotocol == subprotocol
        extensions = connection.response.headers.get("Sec-WebSocket-Extensions", "") if connection.response else ""
        assert extensions.startswith("permessage-deflate") is (compression is not None)
        return cls(connection, serializer, is_batched=is_batched)

    async def send(self, data: bytes) -> None:
        """See `Carrier`. A batch has one message: the spec has the peer decide what goes together."""
        if self._is_batched:
            data = data + b"\x1e" if self._is_text else len(data).to_bytes(4, "big") + data
        try:
            await self._connection.send(data.decode() if self._is_text else data)
        except ConnectionClosed as closed:
            raise Gone(str(closed)) from None

    async def receive(self) -> bytes:
        """See `Carrier`."""
        if not self._batch:
            try:
                message = await self._connection.recv()
            except ConnectionClosed as closed:
                raise Gone(str(closed)) from None
            assert isinstance(message, str) is self._is_text, "JSON travels in text messages, the others in binary ones"
            self._batch += self._messages(message.encode() if isinstance(message, str) else message)
        return self._batch.popleft()

    def _messages(self, data: bytes) -> list[bytes]:
        if not self._is_batched:
            return [data]
        if self._is_text:
            *messages, rest = data.split(b"\x1e")
            assert messages
            assert not rest
            return messages
        messages = []
        while data:
            end = 4 + int.from_bytes(data[:4], "big")
            assert 4 < end <= len(data)
            messages.append(data[4:end])
            data = data[end:]
        return messages

    async def close(self) -> None:
        """See `Carrier`."""
        await self._connection.close()

    async def vanish(self) -> None:
        """See `Carrier`."""
        self._connection.transport.abort()
        await self._connection.wait_closed()


class RawSocketCarrier:
    """A RawSocket connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = FrameDecoder(MAX_MESSAGE_BYTES)
        self._arrived: deque[bytes] = deque()
        self.max_send_bytes = 0
        """Longest message that the router accepts."""

    @classmethod
    async def open(
        cls,
        serializer: Serializer,
        *,
        port: int | None = None,
        path: str | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> RawSocketCarrier:
        """Connect to a port of this machine, or to the Unix socket at `path`, and shake hands.

        Args:
            serializer: what to ask for.
            port: a TCP port.
            path: a Unix socket, instead.
            max_message_bytes: longest message that the peer says it accepts.
        """
        if path is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        else:
            reader, writer = await asyncio.open_unix_connection(path)
        carrier = cls(reader, writer)
        writer.write(encode_handshake(serializer.name, max_message_bytes))
        carrier.max_send_bytes = decode_reply(await reader.readexactly(4), serializer.name).max_message_bytes
        return carrier

    async def send(self, data: bytes) -> None:
        """See `Carrier`."""
        try:
            self._writer.write(bytes(frame_message(data)))
            await self._writer.drain()
        except ConnectionError as error:
            raise Gone(str(error)) from None

    async def receive(self) -> bytes:
        """See `Carrier`."""
        while not self._arrived:
            try:
                data = await self._reader.read(65536)
            except ConnectionError as error:
                raise Gone(str(error)) from None
            if not data:
                raise Gone("end of stream")
            for item in self._decoder.feed(data):
                assert isinstance(item, bytes), "the router pings nobody who has not pinged it"
                self._arrived.append(item)
        return self._arrived.popleft()

    async def close(self) -> None:
        """See `Carrier`."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            pass

    async def vanish(self) -> None:
        """See `Carrier`."""
        self._writer.transport.abort()
        await self.close()


class LongPollCarrier:
    """A connection of HTTP requests, one of which always waits for messages."""

    def __init__(self, http: httpx.AsyncClient, url: str, serializer: Serializer, *, is_batched: bool) -> None:
        self._http = http
        self._url = url
        self._is_binary = serializer.is_binary
        self._is_batched = is_batched
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._polling = asyncio.create_task(self._poll())

    @classmethod
    async def open(cls, http: httpx.AsyncClient, serializer: Serializer, *, is_batched: bool) -> LongPollCarrier:
        """Open a connection below `/lp`."""
        protocol = f"wamp.2.{serializer.name}" + (".batched" if is_batched else "")
        response = await http.post("/lp/open", json={"protocols": [protocol]})
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer["protocol"] == protocol
        return cls(http, f"/lp/{answer['transport']}", serializer, is_batched=is_batched)

    async def send(self, data: bytes) -> None:
        """See `Carrier`."""
        body = bytes(batch([data], is_binary=self._is_binary)) if self._is_batched else data
        response = await self._http.post(f"{self._url}/send", content=body)
        if response.status_code != 204:
            raise Gone(response.text)

    async def receive(self) -> bytes:
        """See `Carrier`."""
        message = await self._arrived.get()
        if message is None:
            self._arrived.put_nowait(None)
            raise Gone("closed")
        return message

    async def close(self) -> None:
        """See `Carrier`."""
        await self._http.post(f"{self._url}/close")
        await self.vanish()

    async def vanish(self) -> None:
        """See `Carrier`: no more requests are made."""
        self._polling.cancel()
        await asyncio.wait([self._polling])

    async def _poll(self) -> None:
        while True:
            response = await self._http.post(f"{self._url}/receive")
            if response.status_code == 200:
                content = response.content
                messages = unbatch(content, is_binary=self._is_binary) if self._is_batched else [content]
                for message in messages:
                    self._arrived.put_nowait(bytes(message))
            elif response.status_code != 204:
                self._arrived.put_nowait(None)
                return
