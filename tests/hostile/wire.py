"""Connections on which a test writes bytes, right or wrong, and reads what comes back."""

from __future__ import annotations

import json
import os
import socket
from base64 import b64encode
from types import TracebackType
from typing import Any

import cbor2
import msgspec
from tests.conformance.waiting import TIMEOUT

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
"""WebSocket opcodes."""

HELLO: list[Any] = [1, "realm1", {"roles": {"publisher": {}, "subscriber": {}, "caller": {}, "callee": {}}}]

SERIALIZER_NUMBERS = {"json": 1, "msgpack": 2, "cbor": 3}
"""Serializer -> its number in RawSocket's handshake."""


class Line:
    """A connection."""

    def __init__(self, address: int | str) -> None:
        """
        Args:
            address: a TCP port of this machine, or the path of a Unix socket.
        """
        if isinstance(address, int):
            self._socket = socket.create_connection(("127.0.0.1", address), timeout=TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(TIMEOUT)
            self._socket.connect(address)
        self._read = b""

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def send(self, *parts: bytes) -> None:
        """Send bytes, all parts in one segment where they fit."""
        self._socket.sendall(b"".join(parts))

    def flood(self, part: bytes, times: int) -> int:
        """Send the same bytes again and again, until the other side will have no more; returns how many went out."""
        sent = 0
        try:
            for _ in range(times):
                self._socket.sendall(part)
                sent += len(part)
        except (ConnectionError, TimeoutError):
            pass
        return sent

    def receive(self, size: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._read) < size:
            data = self._socket.recv(65536)
            assert data, f"the connection ended after {self._read!r}"
            self._read += data
        data, self._read = self._read[:size], self._read[size:]
        return data

    def receive_rest(self) -> bytes:
        """Everything up to the end of the connection, which must come."""
        try:
            while data := self._socket.recv(65536):
                self._read += data
        except ConnectionError:
            pass
        data, self._read = self._read, b""
        return data

    # --- HTTP -------------------------------------------------------------------------------------

    def response(self) -> tuple[int, dict[str, str]]:
        """Status and headers (names in lower case) of an HTTP response."""
        while b"\r\n\r\n" not in self._read:
            data = self._socket.recv(65536)
            assert data, f"the connection ended after {self._read!r}"
            self._read += data
        head, self._read = self._read.split(b"\r\n\r\n", 1)
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(status.split(" ")[1]), {name.lower(): value for name, value in headers.items()}

    def refusal(self) -> int:
        """Status of an HTTP response after which the connection ends."""
        status, _headers = self.response()
        self.receive_rest()
        return status

    # --- WebSocket --------------------------------------------------------------------------------

    def open_websocket(self, serializer: str = "json") -> None:
        """Upgrade."""
        self.send(upgrade_request(serializer))
        status, headers = self.response()
        assert status == 101
        assert headers["sec-websocket-protocol"] == f"wamp.2.{serializer}"

    def receive_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of a frame."""
        first, second = self.receive(2)
        assert first & 0x70 == 0, "no extension was negotiated"
        assert first & 0x80, "the router does not fragment"
        assert second & 0x80 == 0, "a server does not mask"
        size = second
        if size == 126:
            size = int.from_bytes(self.receive(2), "big")
        elif size == 127:
            size = int.from_bytes(self.receive(8), "big")
        return first & 0x0F, self.receive(size)

    def expect_close(self, code: int) -> None:
        """CLOSE with this code must come, and the end of the connection once it is answered."""
        while True:
            opcode, payload = self.receive_frame()
            if opcode == CLOSE:
                break
        assert int.from_bytes(payload[:2], "big") == code, payload
        self.flood(frame(CLOSE, payload[:2]), 1)
        assert self.receive_rest() == b""

    # --- RawSocket --------------------------------------------------------------------------------

    def open_rawsocket(self, serializer: str = "json") -> None:
        """Shake hands."""
        number = SERIALIZER_NUMBERS[serializer]
        self.send(bytes((0x7F, 0xF0 | number, 0, 0)))
        reply = self.receive(4)
        assert reply[0] == 0x7F
        assert reply[1] & 0x0F == number

    def receive_packet(self) -> bytes:
        """Payload of a RawSocket message."""
        size = int.from_bytes(self.receive(4), "big")
        assert size < 1 << 24, "the router pings nobody"
        return self.receive(size)


class Client:
    """A line with a session on it, over either transport."""

    def __init__(self, address: int | str, transport: str, serializer: str) -> None:
        """
        Args:
            address: of the router, see `Line`.
            transport: "websocket" or "rawsocket".
            serializer: "json", "msgpack" or "cbor".
        """
        self.line = Line(address)
        self.transport = transport
        self.serializer = serializer
        try:
            if transport == "websocket":
                self.line.open_websocket(serializer)
            else:
                self.line.open_rawsocket(serializer)
        except BaseException:
            self.line.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.line.close()

    def join(self) -> int:
        """Open a session; returns its id."""
        self.send(HELLO)
        welcome = self.receive()
        assert welcome[0] == 2
        session: int = welcome[1]
        return session

    def send(self, message: Any) -> None:
        """Send a message."""
        self.send_bytes(encode(self.serializer, message))

    def send_bytes(self, data: bytes) -> None:
        """Send a message that is serialized already."""
        self.line.send(self.framed(data))

    def framed(self, data: bytes) -> bytes:
        """A message as it travels."""
        if self.transport == "websocket":
            return frame(TEXT if self.serializer == "json" else BINARY, data)
        return packet(data)

    def receive(self) -> list[Any]:
        """The next message."""
        if self.transport == "websocket":
            opcode, data = self.line.receive_frame()
            assert opcode in (TEXT, BINARY), (opcode, data)
        else:
            data = self.line.receive_packet()
        message = decode(self.serializer, data)
        assert isinstance(message, list)
        return message

    def expect_abort(self) -> None:
        """ABORT wamp.error.protocol_violation must come, and then the end of the connection."""
        message = self.receive()
        assert (message[0], message[2]) == (3, "wamp.error.protocol_violation"), message
        if self.transport == "websocket":
            self.line.expect_close(1002)
        else:
            assert self.line.receive_rest() == b""


def upgrade_request(
    serializer: str = "json", *, version: str = "1.1", path: str = "/ws", **changes: str | None
) -> bytes:
    """An upgrade request.

    Args:
        serializer: which subprotocol to offer.
        version: of HTTP.
        path: where to.
        **changes: headers, "_" in place of "-"; None leaves one out.
    """
    headers: dict[str, str | None] = {
        "host": "127.0.0.1",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec_websocket_version": "13",
        "sec_websocket_key": b64encode(bytes(16)).decode(),
        "sec_websocket_protocol": f"wamp.2.{serializer}",
        **changes,
    }
    lines = [f"GET {path} HTTP/{version}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True, length: int | None = None
) -> bytes:
    """A WebSocket frame of a client.

    Args:
        opcode: what it is.
        payload: what is in it.
        fin: whether it is the last of its message.
        rsv: the three reserved bits.
        masked: whether it is, as it must be.
        length: what it claims to be long, if that is not true.
    """
    size = len(payload) if length is None else length
    mask_bit = 0x80 if masked else 0
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    if size < 126:
        head += bytes((mask_bit | size,))
    elif size < 65536:
        head += bytes((mask_bit | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((mask_bit | 127,)) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    key = os.urandom(4)
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    hidden = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + key + hidden.to_bytes(len(payload), "big")


def packet(payload: bytes, kind: int = 0) -> bytes:
    """A RawSocket frame."""
    return bytes((kind,)) + len(payload).to_bytes(3, "big") + payload


def encode(serializer: str, value: Any) -> bytes:
    """A value in a serializer, without any code of the router."""
    if serializer == "json":
        return json.dumps(value).encode()
    return msgspec.msgpack.encode(value) if serializer == "msgpack" else cbor2.dumps(value)


def decode(serializer: str, data: bytes) -> Any:
    """The value of a serialized message, without any code of the router."""
    if serializer == "json":
        return json.loads(data)
    return msgspec.msgpack.decode(data) if serializer == "msgpack" else cbor2.loads(data)


class Witness:
    """A session that was there before, and that nothing may happen to."""

    def __init__(self, port: int) -> None:
        """
        Args:
            port: of the router.
        """
        self._client = Client(port, "rawsocket", "json")
        self._client.join()
        self._request = 0
        self._ask([64, {}, "com.witness.alive"], 65)
        self._ask([32, {"match": "prefix"}, "com.hostile"], 33)

    def close(self) -> None:
        """Leave."""
        self._client.line.close()

    def testify(self) -> None:
        """Its calls must be answered, and it must have seen nothing of what was wrong."""
        self._request += 1
        self._client.send([48, self._request, {}, "com.witness.alive", ["still there?"]])
        invocation = self._client.receive()
        assert (invocation[0], invocation[4]) == (68, ["still there?"]), invocation
        self._client.send([70, invocation[1], {}, ["yes"]])
        assert self._client.receive() == [50, self._request, {}, ["yes"]]

    def _ask(self, message: list[Any], answer: int) -> None:
        self._request += 1
        self._client.send([message[0], self._request, *message[1:]])
        assert self._client.receive()[:2] == [answer, self._request]
