"""Clients that send what they like: plain sockets, without a loop, threads or a WAMP library.

They are driven by hand: `Pump` writes and reads all of them until there is nothing left to do. What they are to send
was encoded beforehand; of what they get most is only counted.
"""

from __future__ import annotations

import base64
import os
import select
import socket
import ssl
import time
import zlib
from collections import deque
from collections.abc import Iterable
from typing import Any

import cbor2
import msgspec

from benchmarks.clients import REALM, ROLES, WEBSOCKET_PATH, BenchmarkError

__all__ = ["DECODE", "ENCODE", "Peer", "Pump", "compressed_frame", "websocket_frame"]

ENCODE = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode, "cbor": cbor2.dumps}
DECODE = {"json": msgspec.json.decode, "msgpack": msgspec.msgpack.decode, "cbor": cbor2.loads}
RAWSOCKET_NUMBERS = {"json": 1, "msgpack": 2, "cbor": 3}

READ_BYTES = 256 * 1024
WRITE_BYTES = 1024 * 1024
REPLY_SECONDS = 30.0

EVERYTHING: dict[str, Any] = {
    role: {
        "features": dict.fromkeys(
            ("pattern_based_subscription", "shared_registration", "pattern_based_registration", "call_canceling"), True
        )
    }
    for role in ROLES
}


def websocket_frame(payload: bytes, opcode: int = 1, fin: bool = True, rsv: int = 0) -> bytes:
    """A client's frame, masked with zeros."""
    first = (0x80 if fin else 0) | rsv | opcode
    size = len(payload)
    if size < 126:
        return b"%c%c\0\0\0\0%b" % (first, 0x80 | size, payload)
    if size < 65536:
        return b"%c\xfe%b\0\0\0\0%b" % (first, size.to_bytes(2, "big"), payload)
    return b"%c\xff%b\0\0\0\0%b" % (first, size.to_bytes(8, "big"), payload)


def compressed_frame(deflated: bytes, opcode: int = 1) -> bytes:
    """A client's frame with a compressed message."""
    return websocket_frame(deflated, opcode, rsv=0x40)


class Peer:
    """One connection.

    Attributes:
        received: bytes that it has read.
        reads: whether it reads what is there.
        is_open: whether neither side has closed.
    """

    def __init__(
        self,
        address: tuple[str, int],
        transport: str = "websocket",
        serializer: str = "json",
        *,
        path: str = WEBSOCKET_PATH,
        subprotocol: str = "",
        extensions: str = "",
        tls: ssl.SSLContext | None = None,
        receive_buffer: int = 0,
    ) -> None:
        """
        Args:
            address: where the router listens.
            transport: "websocket", "rawsocket", or "" for neither.
            serializer: "json", "msgpack" or "cbor".
            path: of the WebSocket.
            subprotocol: to ask for, if not the serializer's plain one.
            extensions: of the WebSocket to ask for.
            tls: what to speak TLS with; None for none.
            receive_buffer: bytes that the system keeps for it; 0 is as it likes.
        """
        self.transport, self.serializer = transport, serializer
        self.encode, self.decode = ENCODE[serializer], DECODE[serializer]
        self.opcode = 1 if serializer == "json" else 2
        self.received = 0
        self.reads = self.is_open = True
        self.last_request = 0
        self._inflater = zlib.decompressobj(-15) if extensions else None
        self._out: deque[memoryview] = deque()
        # What came and was not looked at; None where nobody will.
        self._arrived: bytearray | None = bytearray()
        self._socket: socket.socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(REPLY_SECONDS)
        self._socket.connect(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname="localhost")
        self._is_tls = tls is not None
        self._socket.setblocking(False)
        if transport == "websocket":
            self._upgrade(path, subprotocol or f"wamp.2.{serializer}", extensions)
        elif transport == "rawsocket":
            self.send_bytes(bytes((0x7F, 0xF0 | RAWSOCKET_NUMBERS[serializer], 0, 0)))
            self._take(4)

    def fileno(self) -> int:
        """For the poll."""
        return self._socket.fileno()

    # Setting up: one at a time.

    def _upgrade(self, path: str, subprotocol: str, extensions: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        extra = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
        self.send_bytes(
            (
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{extra}"
                f"Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
            ).encode()
        )
        head = self.take_until(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise BenchmarkError(f"no WebSocket: {head[:200]!r}")

    def _take(self, size: int) -> bytes:
        """So many bytes."""
        assert self._arrived is not None
        while len(self._arrived) < size:
            self._wait()
        taken = bytes(self._arrived[:size])
        del self._arrived[:size]
        return taken

    def take_until(self, end: bytes) -> bytes:
        """What comes up to these bytes, and they."""
        assert self._arrived is not None
        while end not in self._arrived:
            self._wait()
        return self._take(self._arrived.index(end) + len(end))

    def _wait(self) -> None:
        """Until there is more to look at."""
        before = self.received
        deadline = time.monotonic() + REPLY_SECONDS
        pump = Pump([self])
        while self.received == before and self.is_open and time.monotonic() < deadline:
            pump.turn(0.1)
        pump.close()
        if self.received == before:
            raise BenchmarkError("no answer" if self.is_open else "the router has closed the connection")

    def receive(self) -> Any:
        """The next message, decoded; answers pings before it."""
        while True:
            if self.transport == "rawsocket":
                kind, *size = self._take(4)
                payload = self._take(int.from_bytes(bytes(size), "big"))
                if kind == 0:
                    return self.decode(payload)
                continue
            first, size = self._take(2)
            length = size & 0x7F
            if length > 125:
                length = int.from_bytes(self._take(2 if length == 126 else 8), "big")
            payload = self._take(length)
            if first & 0x0F == 9:
                self.send_bytes(websocket_frame(payload, 10))
            elif first & 0x0F == 8:
                raise BenchmarkError(f"the router has closed the WebSocket: {payload!r}")
            elif first & 0x0F in (1, 2):
                if first & 0x40 and self._inflater is not None:
                    payload = self._inflater.decompress(payload + b"\0\0\xff\xff")
                return self.decode(payload)

    def expect(self, code: int) -> Any:
        """The next message, which must be of this type."""
        message = self.receive()
        if message[0] != code:
            raise BenchmarkError(f"{str(message)[:300]} instead of a message of type {code}")
        return message

    def frame(self, message: bytes) -> bytes:
        """A message as it goes on the wire."""
        if self.transport == "rawsocket":
            return len(message).to_bytes(4, "big") + message
        return websocket_frame(message, self.opcode)

    def encoded(self, *messages: Any) -> bytes:
        """Messages as they go on the wire."""
        return b"".join(self.frame(self.encode(message)) for message in messages)

    def next_request(self) -> int:
        """The next request id."""
        self.last_request += 1
        return self.last_request

    def request(self, code: int, *rest: Any, reply: int) -> Any:
        """Send a request; the reply to it."""
        self.send_bytes(self.encoded([code, self.next_request(), *rest]))
        return self.expect(reply)

    def join(self, realm: str = REALM, **details: Any) -> Any:
        """Open a session; WELCOME."""
        self.send_bytes(self.encoded([1, realm, {"roles": EVERYTHING, **details}]))
        return self.expect(2)

    # Under load.

    def send_bytes(self, *data: bytes | memoryview) -> None:
        """Send bytes as soon as the system takes them and somebody turns the pump."""
        self._out.extend(memoryview(part) for part in data)
        self.write()

    def stop_looking(self) -> None:
        """From here on what comes is only counted."""
        self._arrived = None

    @property
    def has_more(self) -> bool:
        """Whether not all is sent."""
        return bool(self._out) and self.is_open

    def write(self) -> int:
        """Send what the system takes; how many bytes."""
        total = 0
        while self._out and self.is_open:
            try:
                count = self._socket.send(self._out[0][:WRITE_BYTES])
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                break
            except OSError:
                self.is_open = False
                break
            total += count
            rest = self._out[0][count:]
            if rest:
                self._out[0] = rest
            else:
                self._out.popleft()
        return total

    def read(self, scratch: bytearray) -> int:
        """Take what has come; how many bytes."""
        total = 0
        while True:
            try:
                count = self._socket.recv_into(scratch)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError:
                self.is_open = False
                break
            if not count:
                self.is_open = False
                break
            total += count
            if self._arrived is not None:
                self._arrived += memoryview(scratch)[:count]
            if count < len(scratch) and not self._is_tls:
                break
        self.received += total
        return total

    def close(self) -> None:
        """End the connection, at once."""
        if self._socket.fileno() < 0:
            return
        self.is_open = False
        self._out.clear()
        # A reset rather than an orderly end.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._socket.close()


class Pump:
    """Writes to and reads from all of its peers, as long as there is anything to do."""

    def __init__(self, peers: Iterable[Peer]) -> None:
        self._poll = select.epoll()
        self._peers = {peer.fileno(): peer for peer in peers if peer.is_open and peer.fileno() >= 0}
        self._scratch = bytearray(READ_BYTES)
        self._events: dict[int, int] = {}
        for number, peer in self._peers.items():
            self._events[number] = self._wanted(peer)
            self._poll.register(number, self._events[number])

    def _wanted(self, peer: Peer) -> int:
        return (select.EPOLLIN if peer.reads else 0) | (select.EPOLLOUT if peer.has_more else 0)

    def turn(self, seconds: float) -> int:
        """Wait for something to do, at most so long, and do it; how many bytes that moved."""
        moved = 0
        for number, event in self._poll.poll(seconds):
            peer = self._peers[number]
            if event & select.EPOLLOUT or peer.has_more:
                moved += peer.write()
            if event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                if peer.reads:
                    moved += peer.read(self._scratch)
                elif event & (select.EPOLLHUP | select.EPOLLERR):
                    peer.is_open = False
            if not peer.is_open:
                self._poll.unregister(number)
                continue
            wanted = self._wanted(peer)
            if wanted != self._events[number]:
                self._events[number] = wanted
                self._poll.modify(number, wanted)
        return moved

    def close(self) -> None:
        """Let go of the poll."""
        self._poll.close()
