"""RawSocket connections that carry WAMP messages, on the server's side (advanced/transport_rawsocket.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from rocade.net.addresses import peer_name
from rocade.net.connection import STREAM_LINK_SLOTS, StreamLink
from rocade.net.link import Link, LinkInfo, Receiver
from rocade.net.reading import LARGE_READ
from rocade.net.surroundings import Surroundings
from rocade.net.wires import RAWSOCKET
from rocade.wamp.framing import (
    HANDSHAKE_BYTES,
    MAX_LENGTH_LIMIT,
    MIN_LENGTH_LIMIT,
    FrameDecoder,
    FrameType,
    FramingError,
    Handshake,
    HandshakeError,
    Ping,
    Pong,
    Refusal,
    announced_limit,
    decode_request,
    encode_handshake,
    encode_header,
    encode_refusal,
    frame_control,
)

logger = logging.getLogger("rocade.net")

_PING_FRAME = frame_control(FrameType.PING, b"")
_PENDING = next(iter(RAWSOCKET.values()))
"""Wire of a connection whose handshake is not complete; nothing is ever sent on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSocketOptions:
    """Settings of a RawSocket endpoint.

    Raises:
        ValueError: a serializer that does not exist, or a limit that RawSocket cannot express.
    """

    serializers: tuple[str, ...] = ("json", "msgpack", "cbor")
    """Accepted serializers."""
    max_message_bytes: int = MAX_LENGTH_LIMIT
    """Longest accepted message. What is announced, and enforced, is the next lower power of two."""
    ping_interval: float = 0.0
    """Longest silence in seconds before a ping; 0 never pings, and leaves dead peers to TCP keep-alive.

    Off by default since real clients break: Autobahn takes a ping for the head of a message of 16 MiB.
    """
    ping_timeout: float = 20.0
    """Seconds after a ping without any sign of life until the connection is dropped."""
    close_timeout: float = 5.0
    """Seconds an orderly close may take before the connection is aborted."""
    handshake_timeout: float = 5.0
    """Seconds a client has for its handshake."""
    max_connections: int = 0
    """Connections beyond this number are refused; 0 is no limit."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.serializers if name not in RAWSOCKET]
        if unknown or not self.serializers:
            raise ValueError(f"serializers must be some of {', '.join(RAWSOCKET)}, not {', '.join(unknown) or 'none'}")
        if not MIN_LENGTH_LIMIT <= self.max_message_bytes <= MAX_LENGTH_LIMIT:
            raise ValueError(f"max_message_bytes must be from {MIN_LENGTH_LIMIT} to {MAX_LENGTH_LIMIT}")


class RawSocketEndpoint:
    """Where RawSocket clients arrive."""

    def __init__(self, options: RawSocketOptions, connected: Callable[[Link], Receiver]) -> None:
        """
        Args:
            options: the settings.
            connected: called for each new connection, on its event loop, after the handshake; returns who
                interprets its messages. It may use the link at once.
        """
        self.options = options
        self.connected = connected
        self.connections = 0
        """How many connections are open, with their handshake done."""

    def open(self, surroundings: Surroundings, transport: asyncio.Transport) -> RawSocketConnection:
        """Make a transport a RawSocket connection, whose handshake is still to come.

        Bytes that have been read from it must be given to `RawSocketConnection.feed`.
        """
        connection = RawSocketConnection(surroundings, self)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        return connection

    def accept(self, request: bytes) -> Handshake:
        """Decide on a handshake.

        Raises:
            HandshakeError: with the refusal to answer, if any.
        """
        handshake = decode_request(request)
        if handshake.serializer not in self.options.serializers:
            text = f"serializer {handshake.serializer} is not accepted here"
            raise HandshakeError(text, Refusal.SERIALIZER_UNSUPPORTED)
        if 0 < self.options.max_connections <= self.connections:
            raise HandshakeError("too many connections", Refusal.TOO_MANY_CONNECTIONS)
        return handshake


class RawSocketConnection(StreamLink):
    """One RawSocket connection: the asyncio protocol and the `Link` in one."""

    __slots__ = (
        *STREAM_LINK_SLOTS,
        "_decoder",
        "_endpoint",
        "_ended",
        "_request",
        "_scratch",
        "max_send_bytes",
    )

    def __init__(self, surroundings: Surroundings, endpoint: RawSocketEndpoint) -> None:
        """
        Args:
            surroundings: what the listener's connections share.
            endpoint: decides on the handshake.
        """
        super().__init__(surroundings, _PENDING, endpoint.options)
        self.max_send_bytes = 0
        self._endpoint = endpoint
        self._scratch = surroundings.scratch
        self._decoder: FrameDecoder | None = None
        # What came of the handshake so far; None once it is over.
        self._request: bytes | None = b""
        self._ended = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `StreamLink`; the handshake must come within its time limit."""
        super().connection_made(transport)
        self.info = LinkInfo("rawsocket", peer_name(transport))
        timeout = self._endpoint.options.handshake_timeout
        self._deadline = self._loop.call_later(timeout, self._drop, f"no handshake within {timeout:g} s")

    def connection_lost(self, exc: Exception | None) -> None:
        """See `StreamLink`."""
        if self._request is None:
            self._endpoint.connections -= 1
        self._ended = True
        super().connection_lost(exc)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Where the transport reads into: memory that all connections of the listener share."""
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Work off what has been read."""
        begin = perf_counter() if nbytes >= LARGE_READ else 0.0
        self.feed(self._scratch[:nbytes].tobytes())
        if begin:
            self._reading.worked(perf_counter() - begin)

    def feed(self, data: bytes) -> None:
        """Take bytes that were read, here or by someone else."""
        self.heard = True
        if self._ended:
            return
        if self._request is not None:
            self._shake_hands(self._request + data)
            return
        assert self._decoder is not None
        items = self._decoder.feed(data)
        if self._reading.held is not None:
            self._reading.held.append(items)
        elif len(data) >= LARGE_READ:
            self._handle_all(items)
        else:
            self._handle_few(items)

    def _handle_few(self, items: Iterator[bytes | Ping | Pong]) -> None:
        """As `_handle_all`, without a look at the time."""
        try:
            for item in items:
                if type(item) is bytes:
                    self._reading.deliver(item)
                elif type(item) is Ping:
                    self._answers += (encode_header(FrameType.PONG, len(item.payload)), item.payload)
        except Exception as error:
            self._failed(error)
        self._send_answers()

    def _handle_all(self, items: Iterator[bytes | Ping | Pong]) -> None:
        try:
            self._reading.handle_all(items, self._handle_one)
        except Exception as error:
            self._failed(error)
        self._send_answers()

    def _handle_one(self, item: bytes | Ping | Pong) -> None:
        if type(item) is bytes:
            assert self._receiver is not None
            self._receiver.message_received(item)
        elif type(item) is Ping:
            self._answers += (encode_header(FrameType.PONG, len(item.payload)), item.payload)

    def handle_held(self, item: Any) -> None:
        """See `StreamLink`; all that was found in a read may have had to wait."""
        if isinstance(item, Iterator):
            self._handle_all(item)
        else:
            super().handle_held(item)

    def _failed(self, error: Exception) -> None:
        if isinstance(error, FramingError):
            self._send_answers()
            self._fail(f"protocol error: {error}")
        else:
            logger.error("%s: a message could not be handled", self, exc_info=error)
            self.broken()

    # What `Link` and the heartbeat offer.

    def close(self, reason: str = "", *, failure: bool = False) -> None:
        """See `Link.close`. RawSocket carries no reason: the connection simply ends."""
        if self._open:
            self._open = False
            self._reason = f"{'protocol error' if failure else 'closed'}: {reason}" if reason else "closed"
            self._ended = True
            self._reading.stop()
            self._hang_up()

    def shutdown(self) -> None:
        """Close because the server stops."""
        if self._request is not None:
            self._drop("the router is shutting down")
        else:
            self.close("the router is shutting down")

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        if self._open:
            self._put(_PING_FRAME)

    # The rest.

    def _shake_hands(self, data: bytes) -> None:
        self._request = data
        if len(data) < HANDSHAKE_BYTES:
            return
        assert self._transport is not None
        try:
            handshake = self._endpoint.accept(data[:HANDSHAKE_BYTES])
        except HandshakeError as error:
            if error.refusal is not None:
                self._transport.write(encode_refusal(error.refusal))
            self._fail(str(error))
            return
        self._transport.write(encode_handshake(handshake.serializer, self._endpoint.options.max_message_bytes))
        self._accept(handshake, data)

    def _accept(self, handshake: Handshake, data: bytes) -> None:
        """The handshake is over; what came behind it are messages."""
        assert self._transport is not None
        self._request = None
        self._endpoint.connections += 1
        self._open_with(handshake, self._transport)
        if len(data) > HANDSHAKE_BYTES:
            self.feed(data[HANDSHAKE_BYTES:])

    def _open_with(self, handshake: Handshake, transport: asyncio.Transport) -> None:
        self._cancel_deadline()
        max_message_bytes = self._endpoint.options.max_message_bytes
        self.wire = RAWSOCKET[handshake.serializer]
        self.max_send_bytes = handshake.max_message_bytes
        self.info = LinkInfo(
            transport="rawsocket",
            peer=peer_name(transport),
            secure=transport.get_extra_info("sslcontext") is not None,
            tls=transport.get_extra_info("ssl_object"),
        )
        self._decoder = FrameDecoder(announced_limit(max_message_bytes))
        self.begin(self._endpoint.connected)

    def _fail(self, reason: str) -> None:
        """The peer broke the protocol: hang up."""
        if self._ended or self._transport is None:
            return
        self._ended = True
        self._decoder = None
        self._reason = self._reason or reason
        self._cancel_deadline()
        self._hang_up()
        self._lose(self._reason)

    def broken(self) -> None:
        """See `StreamLink`."""
        self._fail("internal error")
