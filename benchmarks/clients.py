"""WAMP sessions that cost next to nothing: what the loads are made of.

Not a client library. A load generator that is slower than the router it measures measures itself, so this
one sends messages that were encoded beforehand (only the request id is filled in), looks at no more of a
reply than its type and id, and writes once per read. It does not use a WAMP client library, Rocade's own
included: an error that router and client share would not show.

The slow path (`Session.request`) decodes whole messages; loads use it to set up and to check, before they
measure, that the router answers what it should.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec

from benchmarks.secured import Login, answer, hello_details

Transport = Literal["websocket", "rawsocket"]
SerializerName = Literal["json", "msgpack"]

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED, EVENT = 16, 17, 32, 33, 36
CALL, RESULT, REGISTER, REGISTERED, INVOCATION, YIELD = 48, 50, 64, 65, 68, 70
RECEIVED = 260

CONFIRM_EVERY = 64
"""Messages after which a session that can be resumed tells how many it has received: see docs/resume.md."""

REALM = "realm1"
WEBSOCKET_PATH = "/ws"

ROLES: dict[str, Any] = {
    "caller": {},
    "callee": {},
    "publisher": {},
    "subscriber": {"features": {"pattern_based_subscription": True}},
}

# A router that has not answered one small request in this time is not going to.
REPLY_TIMEOUT = 30.0


class BenchmarkError(Exception):
    """Something in a load went wrong: its figures would mean nothing."""


class UnexpectedReply(BenchmarkError):
    """The router sent something that the load did not wait for."""

    def __init__(self, message: bytes, expected: int | None = None) -> None:
        wanted = "" if expected is None else f" instead of a message of type {expected}"
        super().__init__(f"the router sent {message[:200]!r}{wanted}")


class ConnectionLost(BenchmarkError):
    """The router closed a connection, or never accepted it."""


class NotOffered(BenchmarkError):
    """The router does not have what the load is about, which is no failure."""


@dataclass(frozen=True, slots=True)
class Template:
    """A message that is encoded but for its request id."""

    before: bytes
    after: bytes
    encode_id: Callable[[int], bytes]

    def fill(self, request_id: int) -> bytes:
        """The message with this request id."""
        return self.before + self.encode_id(request_id) + self.after


class Serializer:
    """One of WAMP's serializers, with the few short cuts that a load needs."""

    name: SerializerName
    rawsocket_number: int
    websocket_opcode: int

    def encode(self, message: list[Any]) -> bytes:
        """The message as bytes."""
        raise NotImplementedError

    def decode(self, data: bytes) -> list[Any]:
        """The bytes as a message."""
        raise NotImplementedError

    def template(self, message: list[Any]) -> Template:
        """The message with its second element, the request id, left open."""
        raise NotImplementedError

    def request_id(self, data: bytes, code: int) -> int:
        """The second element of a message that must be of this type.

        Raises:
            UnexpectedReply: it is of another type.
        """
        raise NotImplementedError


class JsonSerializer(Serializer):
    """JSON as every router known writes it: without spaces between the elements of a message."""

    name = "json"
    rawsocket_number = 1
    websocket_opcode = 1

    def encode(self, message: list[Any]) -> bytes:
        return msgspec.json.encode(message)

    def decode(self, data: bytes) -> list[Any]:
        return msgspec.json.decode(data, type=list)

    def template(self, message: list[Any]) -> Template:
        before = b"[%d," % message[0]
        after = (b"," if message[2:] else b"") + msgspec.json.encode(message[2:])[1:]
        return Template(before, after, b"%d".__mod__)

    def request_id(self, data: bytes, code: int) -> int:
        # All types that a load looks for have two digits, so the id starts at the fourth byte.
        if not data.startswith(b"[%d," % code):
            raise UnexpectedReply(data, code)
        return int(data[4 : data.index(b",", 4)])


class MsgpackSerializer(Serializer):
    """MessagePack, where a message of up to 15 elements starts with one byte, then its type, then its id."""

    name = "msgpack"
    rawsocket_number = 2
    websocket_opcode = 2

    # first byte of an unsigned integer -> bytes that follow
    _WIDTHS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}

    def encode(self, message: list[Any]) -> bytes:
        return msgspec.msgpack.encode(message)

    def decode(self, data: bytes) -> list[Any]:
        return msgspec.msgpack.decode(data, type=list)

    def template(self, message: list[Any]) -> Template:
        encoded = msgspec.msgpack.encode([message[0], 0, *message[2:]])
        position = 1 + len(msgspec.msgpack.encode(message[0]))
        return Template(encoded[:position], encoded[position + 1 :], msgspec.msgpack.encode)

    def request_id(self, data: bytes, code: int) -> int:
        if data[1] != code:
            raise UnexpectedReply(data, code)
        first = data[2]
        if first < 0x80:
            return first
        return int.from_bytes(data[3 : 3 + self._WIDTHS[first]], "big")


SERIALIZERS: dict[SerializerName, Serializer] = {"json": JsonSerializer(), "msgpack": MsgpackSerializer()}


class Connection(asyncio.Protocol):
    """A connection that carries whole messages; the subclass knows the frames around them.

    What arrives goes to `on_messages` as a list, once per read; where `on_count` is set, it is told how many
    messages there were instead, and none of them is touched.

    Attributes:
        message_byte: the first byte of a frame that carries a whole message.
    """

    message_byte: int

    def __init__(self, serializer: Serializer) -> None:
        self.serializer = serializer
        self.on_messages: Callable[[list[bytes]], None] = self._ignore
        self.on_count: Callable[[int], None] | None = None
        self.on_failure: Callable[[BenchmarkError], None] = self._ignore
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._closing = False
        # RECEIVED, where messages are confirmed.
        self._confirmation: Template | None = None
        self._received = 0
        self._confirmed = 0

    def confirm_messages(self) -> None:
        """From here on count the session's messages and tell the router after every so many (RECEIVED)."""
        self._confirmation = self.serializer.template([RECEIVED, 0])

    def _ignore(self, _: object) -> None:
        """Where nobody listens yet."""

    # What a subclass says.

    def greeting(self) -> bytes:
        """The bytes that ask for the connection."""
        raise NotImplementedError

    def accept(self, data: bytes) -> int:
        """The length of the router's answer to the greeting; 0 while it is incomplete."""
        raise NotImplementedError

    def frame(self, message: bytes) -> bytes:
        """The message as it goes on the wire."""
        raise NotImplementedError

    def bounds(self, data: bytes, position: int, end: int) -> tuple[int, int]:
        """Where the message in the frame at `position` starts and stops; (0, 0) if its head is incomplete."""
        raise NotImplementedError

    def control(self, data: bytes, position: int, start: int, stop: int) -> None:
        """Deal with a frame at `position` that carries no message: answer a ping, take note of an end."""
        raise NotImplementedError

    # Towards the load.

    def write(self, data: bytes) -> None:
        """Send bytes that were framed before."""
        if self._transport is not None:
            self._transport.write(data)

    def write_buffer_size(self) -> int:
        """Bytes that the system has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """End the connection without a word, unless its session would outlive it."""
        self._closing = True
        if self._transport is None:
            return
        if not self._confirmation:
            self._transport.abort()
            return
        self.on_messages = self.on_failure = self._ignore
        self.on_count = None
        self.write(self.frame(self.serializer.encode([GOODBYE, {}, "wamp.close.close_realm"])))
        self._transport.close()

    # Towards the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self.greeting())

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._closing:
            self._fail(ConnectionLost(f"the router closed the connection ({exc or 'end of file'})"))

    def data_received(self, data: bytes) -> None:
        try:
            if self._rest:
                data = self._rest + data
            position = 0 if self.opened.done() else self.accept(data)
            if not position and not self.opened.done():
                self._rest = data
                return
            if not self.opened.done():
                self.opened.set_result(None)
            self._rest = self._deliver(data, position)
        except BenchmarkError as error:
            self._fail(error)
        except Exception as error:
            self._fail(BenchmarkError(f"{type(error).__name__}: {error}"))

    def _deliver(self, data: bytes, position: int) -> bytes:
        """Hand out the whole messages in `data`; what is behind them is returned."""
        end = len(data)
        count = 0
        messages: list[bytes] = []
        counting = self.on_count is not None
        bounds, message_byte = self.bounds, self.message_byte
        confirmation = self._confirmation.before if self._confirmation else b""
        while position < end:
            start, stop = bounds(data, position, end)
            if not start or stop > end:
                break
            if data[position] != message_byte:
                self.control(data, position, start, stop)
            elif confirmation and data.startswith(confirmation, start):
                pass  # the router's own
            elif counting:
                count += 1
            else:
                messages.append(data[start:stop])
            position = stop
        if self._confirmation:
            self._confirm(count + len(messages), self._confirmation)
        if count and self.on_count is not None:
            self.on_count(count)
        elif messages:
            self.on_messages(messages)
        return data[position:]

    def _confirm(self, count: int, confirmation: Template) -> None:
        """Take note of so many messages of the session."""
        self._received += count
        if self._received - self._confirmed >= CONFIRM_EVERY:
            self._confirmed = self._received
            self.write(self.frame(confirmation.fill(self._received)))

    def _fail(self, error: BenchmarkError) -> None:
        self._closing = True
        if not self.opened.done():
            self.opened.set_exception(error)
        self.on_failure(error)
        if self._transport is not None:
            self._transport.abort()


class WebSocketConnection(Connection):
    """WebSocket, client side.

    The masking key is zero: the router has to apply it all the same (no router is known to look), while the
    generator is spared the work, which in Python would cost more than the rest of the message.
    """

    def __init__(self, serializer: Serializer) -> None:
        super().__init__(serializer)
        self.message_byte = 0x80 | serializer.websocket_opcode

    def greeting(self) -> bytes:
        key = base64.b64encode(os.urandom(16)).decode()
        return (
            f"GET {WEBSOCKET_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: wamp.2.{self.serializer.name}\r\n\r\n"
        ).encode()

    def accept(self, data: bytes) -> int:
        length = data.find(b"\r\n\r\n") + 4
        if length < 4:
            return 0
        head = data[:length].lower()
        if b" 101 " not in head.split(b"\r\n")[0] or f"wamp.2.{self.serializer.name}".encode() not in head:
            raise ConnectionLost(f"the router refused the WebSocket: {data[:200]!r}")
        return length

    def frame(self, message: bytes) -> bytes:
        return self._frame(self.serializer.websocket_opcode, message)

    def _frame(self, opcode: int, message: bytes) -> bytes:
        size = len(message)
        if size < 126:
            return b"%c%c\0\0\0\0%b" % (0x80 | opcode, 0x80 | size, message)
        if size < 65536:
            return b"%c\xfe%b\0\0\0\0%b" % (0x80 | opcode, size.to_bytes(2, "big"), message)
        return b"%c\xff%b\0\0\0\0%b" % (0x80 | opcode, size.to_bytes(8, "big"), message)

    def bounds(self, data: bytes, position: int, end: int) -> tuple[int, int]:
        if position + 2 > end:
            return 0, 0
        size = data[position + 1]
        if size < 126:
            start = position + 2
        elif size == 126:
            start = position + 4
            size = int.from_bytes(data[position + 2 : start], "big")
        else:
            start = position + 10
            size = int.from_bytes(data[position + 2 : start], "big")
        return (start, start + size) if start <= end else (0, 0)

    def control(self, data: bytes, position: int, start: int, stop: int) -> None:
        first = data[position]
        if first == 0x89:
            self.write(self._frame(0x0A, data[start:stop]))
        elif first == 0x88:
            raise ConnectionLost(f"the router closed the WebSocket: {data[start:stop]!r}")
        elif first != 0x8A:
            raise BenchmarkError(f"a frame that starts with {first:#x}: the load generator knows no fragments")


class RawSocketConnection(Connection):
    """RawSocket, client side; accepts messages of up to 16 MiB."""

    message_byte = 0

    def greeting(self) -> bytes:
        return bytes((0x7F, 0xF0 | self.serializer.rawsocket_number, 0, 0))

    def accept(self, data: bytes) -> int:
        if len(data) < 4:
            return 0
        if data[0] != 0x7F or data[1] & 0x0F != self.serializer.rawsocket_number:
            raise ConnectionLost(f"the router refused the RawSocket: {data[:4]!r}")
        return 4

    def frame(self, message: bytes) -> bytes:
        return len(message).to_bytes(4, "big") + message

    def bounds(self, data: bytes, position: int, end: int) -> tuple[int, int]:
        start = position + 4
        if start > end:
            return 0, 0
        return start, start + int.from_bytes(data[position + 1 : start], "big")

    def control(self, data: bytes, position: int, start: int, stop: int) -> None:
        if data[position] == 1:
            self.write(b"\x02" + data[position + 1 : stop])


CONNECTIONS: dict[Transport, type[Connection]] = {"websocket": WebSocketConnection, "rawsocket": RawSocketConnection}


class Session:
    """A joined session. A load takes its `connection` over once it is set up."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.serializer = connection.serializer
        self.last_request = 0
        self._arrived: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._failure: BenchmarkError | None = None
        connection.on_messages = self._queue
        connection.on_failure = self._fail

    def next_request(self) -> int:
        """The next request id: they are sequential, and routers check."""
        self.last_request += 1
        return self.last_request

    def send(self, message: list[Any]) -> None:
        """Encode, frame and send one message."""
        self.connection.write(self.connection.frame(self.serializer.encode(message)))

    async def receive(self) -> list[Any]:
        """The next message, decoded."""
        while not self._arrived:
            if self._failure is not None:
                raise self._failure
            self._waiter = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(REPLY_TIMEOUT):
                await self._waiter
        return self.serializer.decode(self._arrived.popleft())

    async def expect(self, code: int) -> list[Any]:
        """The next message, which must be of this type."""
        message = await self.receive()
        if message[0] != code:
            raise UnexpectedReply(repr(message).encode(), code)
        return message

    async def request(self, code: int, *rest: Any, reply: int) -> list[Any]:
        """Send a request with the next id; the reply to it."""
        self.send([code, self.next_request(), *rest])
        return await self.expect(reply)

    def close(self) -> None:
        """End the connection without a word."""
        self.connection.close()

    def _queue(self, messages: list[bytes]) -> None:
        self._arrived.extend(messages)
        self._wake()

    def _fail(self, error: BenchmarkError) -> None:
        self._failure = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


async def join(
    port: int,
    transport: Transport = "websocket",
    serializer: SerializerName = "json",
    *,
    resumable: bool = False,
    login: Login | None = None,
    authid: str | None = None,
) -> Session:
    """Connect to the router on this port of 127.0.0.1 and join its realm.

    Args:
        port: where it listens.
        transport: what it speaks there.
        serializer: what to ask for.
        resumable: whether the session should outlive its connection; then it confirms what it receives.
        login: by which method to log in; None for none.
        authid: who logs in, if not `secured.AUTHID`.
    Raises:
        NotOffered: the router has no sessions that can be resumed.
        BenchmarkError: the router refused.
        OSError: nobody listens there.
        TimeoutError: no answer.
    """
    loop = asyncio.get_running_loop()
    kind = CONNECTIONS[transport]
    _, connection = await loop.create_connection(lambda: kind(SERIALIZERS[serializer]), "127.0.0.1", port)
    session = Session(connection)
    try:
        async with asyncio.timeout(REPLY_TIMEOUT):
            await connection.opened
        details = {"roles": ROLES} | ({"resumable": True} if resumable else {})
        if login is not None:
            details |= hello_details(login) | ({"authid": authid} if authid else {})
        session.send([HELLO, REALM, details])
        if login is not None:
            challenge = await session.expect(CHALLENGE)
            session.send([AUTHENTICATE, answer(login, challenge[2]), {}])
        welcome = await session.expect(WELCOME)
        if resumable:
            if welcome[2].get("resumable") is not True:
                raise NotOffered("the router has no sessions that can be resumed")
            connection.confirm_messages()
    except BaseException:
        session.close()
        raise
    return session
