"""Where WebSocket clients arrive, and on what terms: which are let in, how they are answered, what is negotiated.

What becomes of them is a `WebSocketConnection`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rocade.net import upgrade
from rocade.net.addresses import peer_name
from rocade.net.deflate import Agreement, DeflateOptions, negotiate
from rocade.net.link import Link, LinkInfo, Receiver, Wire
from rocade.net.packed import PackedConnection
from rocade.net.surroundings import Surroundings
from rocade.net.websocket_connection import WebSocketConnection
from rocade.net.wires import PACKED_WEBSOCKET, WEBSOCKET, serializer_of_subprotocol, subprotocols

__all__ = ["Acceptance", "UpgradeRequest", "WebSocketEndpoint", "WebSocketOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketOptions:
    """Settings of a WebSocket endpoint.

    Raises:
        ValueError: a serializer that does not exist, or a limit that makes no sense.
    """

    serializers: tuple[str, ...] = ("json", "msgpack", "cbor")
    """Accepted serializers, in batches or not; the first one is used for clients without a subprotocol, where that is
    allowed."""
    max_message_bytes: int = 16 * 1024 * 1024
    """Longest accepted message, all its fragments together."""
    ping_interval: float = 30.0
    """Longest silence in seconds before a ping; 0 never pings."""
    ping_timeout: float = 20.0
    """Seconds after a ping without any sign of life until the connection is dropped."""
    close_timeout: float = 5.0
    """Seconds an orderly close may take before the connection is aborted."""
    allowed_origins: tuple[str, ...] | None = None
    """Patterns of origins that pass beside loopback origins and the server's own, see `OriginPolicy`."""
    allow_null_origin: bool = False
    """Whether "Origin: null" passes."""
    allowed_hosts: tuple[str, ...] | None = None
    """Patterns of hosts by which the server may be reached; None is any."""
    require_subprotocol: bool = True
    """Whether a client must offer a subprotocol that is accepted."""
    deflate: DeflateOptions | None = None
    """How messages are compressed for clients that offer it; None never compresses."""
    server_header: str = "Rocade"
    """`Server` header of the handshake's response; "" for none."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.serializers if name not in WEBSOCKET]
        if unknown or not self.serializers:
            raise ValueError(f"serializers must be some of {', '.join(WEBSOCKET)}, not {', '.join(unknown) or 'none'}")
        if self.max_message_bytes < 1:
            raise ValueError("max_message_bytes must be positive")


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """The head of an HTTP request that wants to become a WebSocket."""

    method: str
    http_version: str
    path: str
    headers: Mapping[str, str]
    """See `upgrade.header_map`."""
    query: str = ""
    """What is behind "?" in the request's target."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A handshake that may go ahead."""

    wire: Wire
    subprotocol: str
    is_batched: bool
    agreement: Agreement | None
    """On compression; None is without."""
    response: bytes = field(repr=False)
    cookie: str = field(default="", repr=False)
    """The client's, if there are cookies."""


class WebSocketEndpoint:
    """Where WebSocket clients arrive: an HTTP path of a `Listener`."""

    def __init__(
        self,
        options: WebSocketOptions,
        connected: Callable[[Link], Receiver],
        cookies: upgrade.Cookies | None = None,
    ) -> None:
        """
        Args:
            options: the settings.
            connected: called for each new connection, on its event loop, after the handshake; returns who
                interprets its messages. It may use the link at once.
            cookies: knows the cookies of clients; None if there are none.
        """
        self._cookies = cookies
        self.options = options
        self.connected = connected
        self._subprotocols = tuple(name for serializer in options.serializers for name in subprotocols(serializer))
        self._origins = upgrade.OriginPolicy(
            options.allowed_origins,
            allow_null_origin=options.allow_null_origin,
            allowed_hosts=options.allowed_hosts,
        )

    def negotiate(self, request: UpgradeRequest) -> Acceptance:
        """Decide on an upgrade request.

        Raises:
            UpgradeRefused: with the HTTP response to give.
        """
        headers = request.headers
        upgrade.check_request(request.method, request.http_version, headers)
        self._origins.check(headers)
        chosen = self.choose_subprotocol(headers)
        serializer, is_batched = serializer_of_subprotocol(chosen) if chosen else (self.options.serializers[0], False)
        agreement = None
        if self.options.deflate is not None:
            agreement = negotiate(headers.get("sec-websocket-extensions", ""), self.options.deflate)
        is_packed = is_batched or agreement is not None
        cookie = None
        if self._cookies is not None and self._origins.may_use_cookies(headers):
            cookie = self._cookies.cookie(headers)
        response = upgrade.accepting_response(
            headers["sec-websocket-key"],
            chosen,
            self.options.server_header,
            extensions="" if agreement is None else agreement.header,
            set_cookie="" if cookie is None else cookie.header,
        )
        wire = (PACKED_WEBSOCKET if is_packed else WEBSOCKET)[serializer]
        return Acceptance(wire, chosen, is_batched, agreement, response, "" if cookie is None else cookie.value)

    def open(
        self, surroundings: Surroundings, transport: asyncio.Transport, request: UpgradeRequest, acceptance: Acceptance
    ) -> WebSocketConnection:
        """Answer an accepted request and make its transport a WebSocket connection.

        Bytes that came behind the request must be given to `WebSocketConnection.feed`.
        """
        connection = self.new_connection(surroundings, acceptance)
        connection.info = LinkInfo(
            transport="websocket",
            peer=peer_name(transport),
            secure=transport.get_extra_info("sslcontext") is not None,
            path=request.path,
            query=request.query,
            cookie=acceptance.cookie,
            headers=dict(request.headers),
            subprotocol=acceptance.subprotocol,
            tls=transport.get_extra_info("ssl_object"),
        )
        transport.set_protocol(connection)
        transport.write(acceptance.response)
        connection.connection_made(transport)
        connection.begin(self.connected)
        return connection

    def choose_subprotocol(self, headers: Mapping[str, str]) -> str:
        """The subprotocol for a request; "" for none.

        Raises:
            UpgradeRefused: there must be one, and there is none in common.
        """
        return upgrade.choose_subprotocol(headers, self._subprotocols, required=self.options.require_subprotocol)

    def new_connection(self, surroundings: Surroundings, acceptance: Acceptance) -> WebSocketConnection:
        """A connection of the kind that was negotiated."""
        if acceptance.agreement is None and not acceptance.is_batched:
            return WebSocketConnection(surroundings, acceptance.wire, self.options)
        return PackedConnection(
            surroundings,
            acceptance.wire,
            self.options,
            is_batched=acceptance.is_batched,
            agreement=acceptance.agreement,
        )
