"""One WebSocket connection that carries WAMP messages (RFC 6455): its frames, and its end.

Frames are parsed by picows (`frameparser`), in memory that does not grow (`framebuffer`); what makes messages of them
is here, with all limits.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from rocade.net.close_frames import (
    GOING_AWAY,
    INTERNAL_ERROR,
    INVALID_DATA,
    MESSAGE_TOO_BIG,
    NORMAL_CLOSURE,
    PROTOCOL_ERROR,
    UNSUPPORTED_DATA,
    InvalidClose,
    closed_by_peer,
    decode_close,
    encode_close,
)
from rocade.net.connection import STREAM_LINK_SLOTS, StreamLink, StreamOptions
from rocade.net.fragments import FragmentedMessage
from rocade.net.framebuffer import FrameBuffer, Sizes
from rocade.net.frameparser import new_parser
from rocade.net.link import Wire
from rocade.net.reading import LARGE_READ
from rocade.net.surroundings import Surroundings
from rocade.net.wires import CLOSE, PING, PONG, message_frame, websocket_frame

__all__ = ["SIZES", "WebSocketConnection"]

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_PING, _PONG, _CLOSE = WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE

# How much is read at once, and from which length on frames are taken in parts.
SIZES = Sizes()

_NOT_UTF8 = "a text message is not UTF-8"


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
        "_ended",
        "_failure",
        "_fragments",
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

    def __init__(self, surroundings: Surroundings, wire: Wire, options: StreamOptions) -> None:
        """
        Args:
            surroundings: what the listener's connections share.
            wire: the serializer and frames that were negotiated.
            options: of the endpoint.
        """
        super().__init__(surroundings, wire, options)
        self._max_message_bytes = options.max_message_bytes
        self._is_text = not wire.serializer.is_binary
        self._own_type = _TEXT if self._is_text else _BINARY
        # What `on_ws_frame` takes without looking further; None while every frame needs a closer look.
        self._plain_type: WSMsgType | None = self._own_type
        # The message that is coming in fragments, if there is one.
        self._fragments: FragmentedMessage | None = None
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
            self._reading.begin_turn()
            self._parse(nbytes)
            self._reading.end_turn()
        else:
            self._parse(nbytes)
        if self._attention or nbytes == self._most:
            self._attend(nbytes)
        if begin:
            self._reading.worked(perf_counter() - begin)

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
            self._reading.deliver(frame.get_payload_as_bytes())
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
        if self._open:
            self._put(self._control_frame(PING, b""))

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
            self._fragments = FragmentedMessage(kind)
            self._plain_type = None
            self._append_fragment(self._fragments, frame)

    def _append_fragment(self, fragments: FragmentedMessage, frame: WSFrame) -> None:
        data = self._payload(frame, self._max_message_bytes - fragments.tell())
        if data is None:
            return
        if self._buffer is not None and self._buffer.long is not None:
            # It is no fragment. To look at all of it twice would take too long.
            fragments.is_checked = False
        if fragments.is_checked and not fragments.is_utf8(data, is_last=bool(frame.fin)):
            self.fail_text()
            return
        fragments.write(data)
        if frame.fin:
            self._fragments = None
            self._settle_plain_type()
            self._handle_message(fragments.kind, fragments.getvalue())

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
            self._reading.deliver(data)
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
        close = _PeerClose(payload[:2], closed_by_peer(code, reason))
        if self._reading.held is None:
            self._answer_close(close)
        else:
            # What was read before it comes first.
            self._reading.held.append(close)

    def _answer_close(self, close: _PeerClose) -> None:
        if not self._close_sent:
            self._send_close(close.code)
        self._reason = self._reason or close.reason
        self._close_transport()
        self._lose(self._reason)

    def handle_held(self, item: Any) -> None:
        """See `StreamLink`; the peer's CLOSE may be what had to wait."""
        if isinstance(item, _PeerClose):
            self._answer_close(item)
        else:
            super().handle_held(item)

    def _close_with(self, code: int, reason: str) -> None:
        if not self._open:
            return
        self._send_close(encode_close(code, reason))
        self._open = False
        self._reason = f"closed: {reason}" if reason else "closed"
        self._reading.stop()
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

    def broken(self) -> None:
        """See `StreamLink`."""
        if self._receiver is not None:
            # The peer's CLOSE may be there, behind the message with which we failed.
            self._ended = False
        self._fail(INTERNAL_ERROR, "internal error")

    def _ignore_input(self) -> None:
        self._ended = True
        self._plain_type = None
        self._fragments = None

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


@dataclass(frozen=True, slots=True)
class _PeerClose:
    """The peer's CLOSE, which may have to wait behind messages that were read before it."""

    code: bytes
    reason: str
    """As `Receiver.link_lost` has it."""


def _ignore(_nbytes: int) -> None:
    """Instead of the parser, after a failure: the same buffer is filled again and again."""
