"""WebSocket connections that carry WAMP messages, on the server's side (RFC 6455).

Frames are parsed by picows (`frameparser`); what makes messages of them is here: fragments, UTF-8, control frames,
the closing handshake, and all limits.
"""

from __future__ import annotations

import asyncio
import sys
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from time import perf_counter
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from rocade.net import upgrade
from rocade.net.connection import (
    LARGE_READ,
    STREAM_LINK_SLOTS,
    StreamLink,
    Surroundings,
    peer_name,
)
from rocade.net.deflate import Agreement, DeflateOptions, negotiate
from rocade.net.framebuffer import FrameBuffer, Sizes
from rocade.net.frameparser import new_parser
from rocade.net.link import Link, LinkInfo, Receiver, Wire
from rocade.net.wires import (
    CLOSE,
    PACKED_WEBSOCKET,
    PING,
    PONG,
    WEBSOCKET,
    message_frame,
    serializer_of_subprotocol,
    subprotocols,
    websocket_frame,
)

NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
UNSUPPORTED_DATA = 1003
INVALID_DATA = 1007
MESSAGE_TOO_BIG = 1009
INTERNAL_ERROR = 1011

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_PING, _PONG, _CLOSE = WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE
# Control frames carry 125 bytes, two of which are the code (RFC 6455, section 5.5).
_MAX_REASON_BYTES = 123
# How much is read at once, and from which length on frames are taken in parts.
SIZES = Sizes()

_NOT_UTF8 = "a text message is not UTF-8"

_Utf8Decoder = getincrementaldecoder("utf-8")


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
        connection._begin(self.connected)
        return connection

    def choose_subprotocol(self, headers: Mapping[str, str]) -> str:
        """The subprotocol for a request; "" for none.

        Raises:
            UpgradeRefused: there must be one, and there is none in common.
        """
        return upgrade.choose_subprotocol(headers, self._subprotocols, required=self.options.require_subprotocol)

    def new_connection(self, surroundings: Surroundings, acceptance: Acceptance) -> WebSocketConnection:
        """A connection of the kind that was negotiated."""
        # It imports this module.
        from rocade.net.packed import PackedConnection

        if acceptance.agreement is None and not acceptance.is_batched:
            return WebSocketConnection(surroundings, acceptance.wire, self.options)
        return PackedConnection(
            surroundings,
            acceptance.wire,
            self.options,
            is_batched=acceptance.is_batched,
            agreement=acceptance.agreement,
        )


class WebSocketConnection(StreamLink, WSListener):
    """One WebSocket connection: the asyncio protocol, the frame parser's listener and the `Link`, all in one.

    Text messages are checked to be UTF-8 by whoever decodes them, who looks at every byte anyway (see `invalid_text`).
    Only those in fragments are looked at here, too: as soon as one is wrong, nobody has to wait for the rest.
    """

    __slots__ = (
        *STREAM_LINK_SLOTS,
        "_attention",
        "_buffer",
        "_close_sent",
        "_decoder",
        "_ended",
        "_failure",
        "_fragments",
        "_fragments_type",
        "_is_text",
        "_max_message_bytes",
        "_memory",
        "_most",
        "_own_type",
        "_parse",
        "_plain_type",
        "_room",
        "_size",
    )

    max_send_bytes = sys.maxsize
    """WebSocket clients announce no limit."""
    _control_frame = staticmethod(websocket_frame)

    def __init__(self, surroundings: Surroundings, wire: Wire, options: WebSocketOptions) -> None:
        """
        Args:
            surroundings: what the listener's connections share.
            wire: the serializer and frames that were negotiated.
            options: of the endpoint.
        """
        super().__init__(
            surroundings,
            wire,
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            close_timeout=options.close_timeout,
        )
        self._max_message_bytes = options.max_message_bytes
        self._is_text = not wire.serializer.is_binary
        self._own_type = _TEXT if self._is_text else _BINARY
        # What `on_ws_frame` takes without looking further; None while every frame needs a closer look.
        self._plain_type: WSMsgType | None = self._own_type
        # One file rather than a list: a message may come in millions of fragments of a byte. And its bytes can be had
        # without a copy.
        self._fragments: BytesIO | None = None
        self._fragments_type = self._own_type
        self._decoder: IncrementalDecoder | None = None
        self._close_sent = False
        # After the peer's CLOSE, or its failure: whatever comes is ignored.
        self._ended = False
        # Whether something is to be done when a read has been worked off.
        self._attention = False
        self._failure: tuple[int, str] | None = None
        # The parser with its buffer, and what is needed of it for each read.
        self._buffer: FrameBuffer | None = FrameBuffer(self._new_parser, self._sizes())
        self._room: Any = None
        self._parse: Any = None
        self._memory = surroundings.scratch
        self._size = self._most = 0
        self._take_parser(self._buffer)
        self._settle_plain_type()

    # What asyncio calls.

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the transport reads into: the parser's own buffer."""
        view: memoryview = self._room(sizehint)
        if len(view) == self._size:
            return self._memory
        assert self._buffer is not None
        self._attention = True
        return self._buffer.offer(view)

    def buffer_updated(self, nbytes: int) -> None:
        """Work off what has been read."""
        self.heard = True
        # The last part of a long message may be short, and brings all of it.
        begin = perf_counter() if nbytes >= LARGE_READ or self._fragments is not None else 0.0
        if begin:
            self._begin_turn()
            self._parse(nbytes)
            self._end_turn()
        else:
            self._parse(nbytes)
        if self._attention or nbytes == self._most:
            self._attend(nbytes)
        if begin:
            self._worked(perf_counter() - begin)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `StreamLink`; also lets go of the parser, which refers back to this."""
        super().connection_lost(exc)
        self._ended = True
        self._buffer = self._room = self._parse = None
        self._memory = self._surroundings.scratch

    def feed(self, data: bytes) -> None:
        """Take bytes that were read by someone else, such as those behind the upgrade request."""
        while data and self._buffer is not None:
            room = self.get_buffer(-1)
            size = min(len(room), len(data))
            room[:size] = data[:size]
            self.buffer_updated(size)
            data = data[size:]

    # What the frame parser calls.

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        """One frame: the common case is a whole message, everything else goes to `_handle_frame`."""
        if frame.msg_type is self._plain_type and frame.fin and not (frame.rsv1 or frame.rsv2 or frame.rsv3):
            self._deliver(frame.get_payload_as_bytes())
        else:
            self._handle_frame(frame)

    def _parser_failed(self, code: int, text: str) -> None:
        # Not handled at once: the parser is one frame ahead, and the frame before must come first.
        if self._failure is None:
            self._failure = code, text
        self._attention = True

    # What `Link` and the heartbeat offer.

    def send(self, opcode: int, payload: bytes) -> None:
        """Write one message of whatever type; `write` writes those of the wire's own."""
        self.write((message_frame(opcode, payload),))

    def close(self, reason: str = "", *, failure: bool = False) -> None:
        """See `Link.close`."""
        self._close_with(PROTOCOL_ERROR if failure else NORMAL_CLOSURE, reason)

    def invalid_text(self) -> bool:
        """See `Link.invalid_text` (RFC 6455, section 8.1)."""
        if self._is_text:
            self.fail_text()
        return self._is_text

    def fail_text(self) -> None:
        """Fail the connection: a text message is not UTF-8."""
        self._fail(INVALID_DATA, _NOT_UTF8)

    def shutdown(self) -> None:
        """Close because the server stops (code 1001)."""
        self._close_with(GOING_AWAY, "the router is shutting down")

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self._answer(self._control_frame(PING, b""))

    # Frames.

    def _handle_frame(self, frame: WSFrame) -> None:
        if self._ended:
            return
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._handle_extended(frame)
        elif kind is _PING:
            # Thousands of them may be in one read.
            self._answers.append(self._control_frame(PONG, frame.get_payload_as_bytes()))
            self._attention = True
        elif kind is _CLOSE:
            self._handle_close(frame.get_payload_as_bytes())
        elif kind is not _PONG:
            self._handle_data(kind, frame)

    def _handle_extended(self, _frame: WSFrame) -> None:
        """A frame with reserved bits, which only an extension can give a meaning."""
        self._fail(PROTOCOL_ERROR, "reserved bits are set, and no extension was negotiated for them")

    def _handle_data(self, kind: WSMsgType, frame: WSFrame) -> None:
        if kind is _CONTINUATION:
            if self._fragments is None:
                self._fail(PROTOCOL_ERROR, "a continuation frame without a message to continue")
            else:
                self._append_fragment(self._fragments, frame)
        elif self._fragments is not None:
            self._fail(PROTOCOL_ERROR, "a new message before the fragmented one was complete")
        elif frame.fin:
            data = self._payload(frame, self._max_message_bytes)
            if data is not None:
                self._handle_message(kind, data)
        else:
            self._fragments_type = kind
            self._decoder = _Utf8Decoder() if kind is _TEXT else None
            self._fragments = BytesIO()
            self._plain_type = None
            self._append_fragment(self._fragments, frame)

    def _append_fragment(self, fragments: BytesIO, frame: WSFrame) -> None:
        data = self._payload(frame, self._max_message_bytes - fragments.tell())
        if data is None:
            return
        if self._buffer is not None and self._buffer.is_cutting:
            # It is no fragment. To look at all of it twice would take too long.
            self._decoder = None
        if self._decoder is not None:
            try:
                self._decoder.decode(data, bool(frame.fin))
            except UnicodeDecodeError:
                self.fail_text()
                return
        fragments.write(data)
        if frame.fin:
            self._fragments = self._decoder = None
            self._settle_plain_type()
            self._handle_message(self._fragments_type, fragments.getvalue())

    def _payload(self, frame: WSFrame, room: int) -> bytes | None:
        """What a frame adds to its message; None when that cannot be, and the connection has failed.

        Args:
            frame: a data frame.
            room: bytes that the message may still grow by.
        """
        if frame.payload_size > room:
            self._too_long()
            return None
        return frame.get_payload_as_bytes()

    def _too_long(self) -> None:
        self._fail(MESSAGE_TOO_BIG, f"a message is longer than {self._max_message_bytes} bytes")

    def _handle_message(self, kind: WSMsgType, data: bytes) -> None:
        if kind is self._own_type:
            self._deliver(data)
        else:
            self._handle_other_type(data)

    def _handle_other_type(self, _data: bytes) -> None:
        """A message of the type that the serializer does not use."""
        wanted, got = ("text", "binary") if self._is_text else ("binary", "text")
        self._fail(UNSUPPORTED_DATA, f"{self.wire.serializer.name} travels in {wanted} messages, not in {got} ones")

    # Closing.

    def _handle_close(self, payload: bytes) -> None:
        try:
            code, reason = decode_close(payload)
        except InvalidClose as error:
            self._fail(error.code, str(error))
            return
        self._ignore_input()
        if self._held is not None:
            # What was read before it comes first.
            self._held.append(_PeerClose(payload))
            return
        if not self._close_sent:
            self._send_close(payload[:2])
        self._reason = self._reason or _closed_by_peer(code, reason)
        self._close_transport()
        self._lose(self._reason)

    def _handle_held(self, item: Any) -> None:
        if isinstance(item, _PeerClose):
            self._held = None
            self._handle_close(item.payload)
        else:
            super()._handle_held(item)

    def _close_with(self, code: int, reason: str) -> None:
        if not self._open:
            return
        self._send_close(encode_close(code, reason))
        self._open = False
        self._reason = f"closed: {reason}" if reason else "closed"
        self._stop_delivering()
        if self._ended:
            # The peer's CLOSE was already there, waiting behind messages that nobody wants now.
            self._close_transport()
        else:
            self._limit_closing()

    def _send_close(self, payload: bytes) -> None:
        self._close_sent = True
        self._send_answers()
        self._put(self._control_frame(CLOSE, payload))

    def _fail(self, code: int, text: str) -> None:
        """The peer broke the protocol: tell it and hang up."""
        if self._ended or self._transport is None:
            return
        self._ignore_input()
        if not self._close_sent:
            self._send_close(encode_close(code, text))
        self._reason = self._reason or f"protocol error: {text}"
        self._ignore_bytes()
        self._hang_up()
        self._lose(self._reason)

    def _broken(self) -> None:
        if self._receiver is not None:
            # The peer's CLOSE may be there, behind the message with which we failed.
            self._ended = False
        self._fail(INTERNAL_ERROR, "internal error")

    def _ignore_input(self) -> None:
        self._ended = True
        self._plain_type = None
        self._fragments = self._decoder = None

    # The parser.

    def _attend(self, nbytes: int) -> None:
        """Look after what `buffer_updated` has no time for."""
        self._attention = False
        self._send_answers()
        buffer = self._buffer
        if buffer is not None and not self._ended and self._failure is None and buffer.worked_off(nbytes):
            self._take_parser(buffer)
        if self._failure is not None:
            self._fail(*self._failure)
        if self._ended:
            self._ignore_bytes()

    def _take_parser(self, buffer: FrameBuffer) -> None:
        self._room, self._parse = buffer.room, buffer.parse
        self._memory, self._size, self._most = buffer.memory, buffer.size, len(buffer.memory)

    def _ignore_bytes(self) -> None:
        """Read on, without a parser."""
        self._memory = scratch = self._surroundings.scratch
        self._size, self._most = len(scratch), 0
        self._room, self._parse = lambda _sizehint: scratch, _ignore

    def _new_parser(self, buffer_bytes: int) -> Any:
        return new_parser(self, self._parser_failed, self._frame_limit(), buffer_bytes)

    def _sizes(self) -> Sizes:
        """How much is to be read at once."""
        return SIZES

    def _frame_limit(self) -> int:
        """Longest frame that the parser is to accept."""
        return self._max_message_bytes

    def _settle_plain_type(self) -> None:
        look_closer = self._ended or self._fragments is not None
        self._plain_type = None if look_closer else self._own_type


class InvalidClose(ValueError):
    """A CLOSE frame that RFC 6455 does not allow; `code` is the close code to answer."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class _PeerClose:
    """The peer's CLOSE, waiting behind messages that were read before it."""

    payload: bytes


def encode_close(code: int, reason: str) -> bytes:
    """Payload of a CLOSE frame; a reason that is too long is cut at a character."""
    text = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
    return code.to_bytes(2, "big") + text.encode()


def decode_close(payload: bytes) -> tuple[int | None, str]:
    """Code (None where there is none) and reason of a CLOSE frame (RFC 6455, sections 5.5.1 and 7.4).

    Raises:
        InvalidClose: a code that must not be on the wire, or a reason that is not UTF-8.
    """
    if not payload:
        return None, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not _is_close_code(code):
        raise InvalidClose(PROTOCOL_ERROR, "invalid close code")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise InvalidClose(INVALID_DATA, "the reason for closing is not UTF-8") from None


def _is_close_code(code: int) -> bool:
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999


def _closed_by_peer(code: int | None, reason: str) -> str:
    details = " ".join(filter(None, (str(code or ""), reason)))
    return f"closed by peer ({details})" if details else "closed by peer"


def _ignore(_nbytes: int) -> None:
    """Instead of the parser, after a failure: the same buffer is filled again and again."""
