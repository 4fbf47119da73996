"""Connections to a router: WebSocket and RawSocket, over TCP, TLS and Unix sockets, on the client's side."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import httptools
from picows import WSMsgType

from rocade.errors import ConnectionFailed
from rocade.net.addresses import peer_name
from rocade.net.frameparser import new_client_parser
from rocade.net.link import Link, LinkInfo, Receiver, Wire
from rocade.net.rawsocket import RawSocketConnection, RawSocketEndpoint, RawSocketOptions
from rocade.net.surroundings import Surroundings
from rocade.net.upgrade import accept_key
from rocade.net.websocket import WebSocketOptions
from rocade.net.websocket_connection import WebSocketConnection
from rocade.net.wires import SUBPROTOCOL_PREFIX, WEBSOCKET, websocket_payload
from rocade.wamp.framing import (
    HANDSHAKE_BYTES,
    MAX_LENGTH_LIMIT,
    Handshake,
    HandshakeError,
    Refusal,
    decode_reply,
    encode_handshake,
)
from rocade.wamp.pieces import Pieces

__all__ = ["LinkOptions", "RawSocketClientConnection", "RequestRefused", "Target", "dial_rawsocket", "dial_websocket"]

MAX_RESPONSE_BYTES = 64 * 1024
"""Longest head of the response to an upgrade request."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Longest message accepted from a router."""

Connected = Callable[[Link], Receiver]


class RequestRefused(ConnectionFailed):
    """What answers there does not let us in by this URL, and will not if asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to connect to.

    Attributes:
        host, port: of TCP.
        unix: path of a Unix socket, instead.
        path: of the HTTP request that opens a WebSocket.
        headers: more for that request.
        tls: for TLS, None without.
        server_name: which name the server's certificate must have; the host's by default.
    """

    host: str = "localhost"
    port: int = 0
    unix: str | None = None
    path: str = "/ws"
    headers: Mapping[str, str] | None = None
    tls: ssl.SSLContext | None = None
    server_name: str | None = None

    @property
    def authority(self) -> str:
        """The `Host` header."""
        if self.unix is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (80 if self.tls is None else 443) else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """Where to, for messages."""
        return f"the socket {self.unix}" if self.unix is not None else f"{self.host} port {self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """How a connection is looked after.

    Attributes:
        serializers: in order of preference.
        ping_interval: longest silence in seconds before a ping, of a WebSocket; 0 never pings.
        ping_timeout: seconds that a ping may stay unanswered.
        close_timeout: seconds that an orderly close may take.
    """

    serializers: tuple[str, ...] = ("msgpack", "json", "cbor")
    ping_interval: float = 15.0
    ping_timeout: float = 10.0
    close_timeout: float = 5.0


async def dial_websocket(
    surroundings: Surroundings, target: Target, options: LinkOptions, connected: Connected
) -> Link:
    """Open a WebSocket connection; one request offers all serializers.

    Args:
        surroundings: what the client's connections share.
        target: where to.
        options: for the connection.
        connected: called once it is open; returns who receives there.
    Raises:
        ConnectionFailed, OSError: it cannot be opened.
    """
    transport, upgrade = await _connect(surroundings, target, lambda: _Upgrade(surroundings.loop, target, options))
    try:
        serializer, rest = await upgrade.accepted
    except BaseException:
        transport.abort()
        raise
    connection = WebSocketClientConnection(surroundings, serializer, options)
    connection.info = LinkInfo(
        transport="websocket",
        peer=peer_name(transport) if target.unix is None else f"unix:{target.unix}",
        secure=target.tls is not None,
        path=target.path,
        subprotocol=SUBPROTOCOL_PREFIX + serializer,
        tls=transport.get_extra_info("ssl_object"),
    )
    transport.set_protocol(connection)
    connection.connection_made(transport)
    transport.resume_reading()
    connection.begin(connected)
    connection.feed(rest)
    return connection


async def dial_rawsocket(
    surroundings: Surroundings, target: Target, options: LinkOptions, connected: Connected
) -> Link:
    """Open a RawSocket connection. A handshake names one serializer, so the next is tried on a connection of its own.

    Args and Raises: as for `dial_websocket`.
    """
    for serializer in options.serializers:
        opened: asyncio.Future[None] = surroundings.loop.create_future()
        endpoint = RawSocketEndpoint(
            RawSocketOptions(
                serializers=(serializer,),
                max_message_bytes=MAX_LENGTH_LIMIT,
                ping_timeout=options.ping_timeout,
                close_timeout=options.close_timeout,
            ),
            connected,
        )
        transport, connection = await _connect(
            surroundings,
            target,
            lambda: RawSocketClientConnection(surroundings, endpoint, serializer, opened),  # noqa: B023  # used here
        )
        try:
            await opened
        except HandshakeError as error:
            if error.refusal is Refusal.SERIALIZER_UNSUPPORTED and serializer != options.serializers[-1]:
                continue
            raise RequestRefused(str(error)) from None
        except BaseException:
            transport.abort()
            raise
        link: Link = connection
        return link
    raise AssertionError("there is at least one serializer")


async def _connect(surroundings: Surroundings, target: Target, factory: Callable[[], Any]) -> tuple[Any, Any]:
    loop = surroundings.loop
    server_name = None if target.tls is None else target.server_name or target.host
    try:
        if target.unix is not None:
            return await loop.create_unix_connection(factory, target.unix, ssl=target.tls, server_hostname=server_name)
        return await loop.create_connection(
            factory, target.host, target.port, ssl=target.tls, server_hostname=server_name
        )
    except ssl.SSLCertVerificationError as error:
        raise RequestRefused(f"the server's certificate is not accepted: {error.verify_message}") from None
    except OSError as error:
        raise ConnectionFailed(f"cannot connect to {target.shown}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    """Why there is no connection, in words for who reads no numbers of errors."""
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there; is the router running?"
    if isinstance(error, ssl.SSLError):
        if error.reason == "WRONG_VERSION_NUMBER":
            return "what listens there does not speak TLS, which wss:// and rss:// are for"
        return str(error)
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)


class _Upgrade(asyncio.Protocol):
    """Asks for a WebSocket, and reads the answer (RFC 6455, section 4.1).

    Attributes:
        accepted: the serializer, and what came behind the response.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, target: Target, options: LinkOptions) -> None:
        self.accepted: asyncio.Future[tuple[str, bytes]] = loop.create_future()
        self._target = target
        self._subprotocols = {SUBPROTOCOL_PREFIX + name: name for name in options.serializers}
        self._key = base64.b64encode(os.urandom(16)).decode()
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._read = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        headers = {
            "Host": self._target.authority,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": self._key,
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Protocol": ", ".join(self._subprotocols),
            **(self._target.headers or {}),
        }
        lines = [f"GET {self._target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self._transport.write("\r\n".join(lines).encode("latin-1"))

    def data_received(self, data: bytes) -> None:
        if self.accepted.done():
            return
        self._read += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            assert self._transport is not None
            self._transport.pause_reading()  # what follows is for the connection's own protocol
            self._accept(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._fail(RequestRefused(f"what answers is no HTTP server: {error}"))
        else:
            if self._read > MAX_RESPONSE_BYTES:
                self._fail(RequestRefused(f"the response is longer than {MAX_RESPONSE_BYTES} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status != 101:
            kind = ConnectionFailed if status >= 500 or status in (408, 429) else RequestRefused
            hint = "; a router's WebSocket is mostly at /ws" if status == 404 else ""
            path = self._target.path.partition("?")[0]  # what follows may be a secret
            self._fail(
                kind(f"the server answers with HTTP status {status} to a request for a WebSocket at {path}{hint}")
            )

    def connection_lost(self, exc: Exception | None) -> None:
        text = f"the connection was closed during the handshake{f': {exc}' if exc else ''}"
        hint = "; does it want wss://?" if self._target.tls is None and not self._read else ""
        self._fail(ConnectionFailed(text + hint))

    def _accept(self, rest: bytes) -> None:
        if self.accepted.done():
            return
        chosen = self._subprotocols.get(self._headers.get("sec-websocket-protocol", ""))
        if self._headers.get("sec-websocket-accept") != accept_key(self._key):
            self._fail(RequestRefused("the server's Sec-WebSocket-Accept is wrong"))
        elif self._headers.get("sec-websocket-extensions"):
            self._fail(RequestRefused("the server uses an extension that was not offered"))
        elif chosen is None:
            offered = ", ".join(self._subprotocols)
            self._fail(RequestRefused(f"the server speaks none of the WebSocket subprotocols {offered}"))
        else:
            self.accepted.set_result((chosen, rest))

    def _fail(self, error: ConnectionFailed) -> None:
        if not self.accepted.done():
            self.accepted.set_exception(error)


class WebSocketClientConnection(WebSocketConnection):
    """A WebSocket connection whose frames are masked."""

    __slots__ = ("_mask",)

    def __init__(self, surroundings: Surroundings, serializer: str, options: LinkOptions) -> None:
        """
        Args:
            surroundings: what the client's connections share.
            serializer: the one that was chosen.
            options: for the connection.
        """
        self._mask: Callable[[WSMsgType, bytes], bytes] = _no_frame
        shared = WEBSOCKET[serializer]
        super().__init__(
            surroundings,
            shared,
            WebSocketOptions(
                max_message_bytes=MAX_MESSAGE_BYTES,
                ping_interval=options.ping_interval,
                ping_timeout=options.ping_timeout,
                close_timeout=options.close_timeout,
            ),
        )
        # Each frame has a mask of its own, so nothing is shared between connections.
        self.wire = Wire(shared.name, shared.serializer, self._frame, websocket_payload)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `WebSocketConnection`."""
        super().connection_lost(exc)
        self._mask = _no_frame  # it belongs to the parser, which refers back to this

    def _frame(self, payload: bytes | Pieces) -> bytes:
        # All of it is masked, which takes a copy anyway.
        frame: bytes = self._mask(self._own_type, bytes(payload))
        return frame

    def _control_frame(self, opcode: int, payload: bytes) -> bytes:
        return masked_frame(opcode, payload)

    def _new_parser(self, buffer_bytes: int) -> Any:
        parser, self._mask = new_client_parser(self, self._parser_failed, self._frame_limit(), buffer_bytes)
        return parser


def _no_frame(_kind: WSMsgType, _payload: bytes) -> bytes:
    return b""


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """A control frame of a client, of at most 125 bytes (RFC 6455, section 5.3)."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
    return bytes((0x80 | opcode, 0x80 | len(payload))) + mask + masked


class RawSocketClientConnection(RawSocketConnection):
    """A RawSocket connection that begins with a request."""

    __slots__ = ("_opened", "_serializer")

    def __init__(
        self,
        surroundings: Surroundings,
        endpoint: RawSocketEndpoint,
        serializer: str,
        opened: asyncio.Future[None],
    ) -> None:
        """
        Args:
            surroundings: what the client's connections share.
            endpoint: options, and who receives.
            serializer: the one to ask for.
            opened: done when the handshake is over.
        """
        super().__init__(surroundings, endpoint)
        self._serializer = serializer
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `RawSocketConnection`; says what we want."""
        super().connection_made(transport)
        cast(asyncio.Transport, transport).write(
            encode_handshake(self._serializer, self._endpoint.options.max_message_bytes)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """See `RawSocketConnection`."""
        if not self._opened.done():
            self._opened.set_exception(
                ConnectionFailed(self._reason or "the connection was closed during the handshake")
            )
        super().connection_lost(exc)

    def watch(self, ping_interval: float) -> None:
        """Ping from now on, which not every router takes.

        Args:
            ping_interval: longest silence in seconds before a ping.
        """
        if self._open:
            self.ping_interval = ping_interval
            self._surroundings.heartbeat.watch(self)

    def _shake_hands(self, data: bytes) -> None:
        self._request = data
        if len(data) < HANDSHAKE_BYTES:
            return
        try:
            handshake: Handshake = decode_reply(data[:HANDSHAKE_BYTES], self._serializer)
        except HandshakeError as error:
            if not self._opened.done():
                self._opened.set_exception(error)
            self._fail(str(error))
            return
        self._accept(handshake, data)
        if not self._opened.done():
            self._opened.set_result(None)
