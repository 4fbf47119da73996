"""WebSocket connections that pack what they send: several messages in one (batched), compressed, or both.

Their wire leaves messages as they are, so the serialized message is what their receivers share; frames are made when
they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

from picows import WSFrame, WSMsgType

from rocade.errors import ProtocolViolation
from rocade.net.close_frames import INVALID_DATA, PROTOCOL_ERROR
from rocade.net.connection import StreamOptions
from rocade.net.deflate import (
    Agreement,
    CorruptMessage,
    Deflater,
    InflatedTooLong,
    Inflater,
    longest_deflated,
)
from rocade.net.framebuffer import Sizes
from rocade.net.link import Receiver, Wire
from rocade.net.reading import LARGE_READ
from rocade.net.surroundings import Surroundings
from rocade.net.websocket_connection import WebSocketConnection
from rocade.net.wires import BINARY, TEXT, message_frame, websocket_frame
from rocade.wamp.batching import RECORD_SEPARATOR, batch, cut_out, separator_of, unbatch
from rocade.wamp.pieces import Pieces, pieces_of

BATCH_BYTES = 64 * 1024
"""Longest batch of several messages: more would save nothing, and clients have limits, too."""

MIN_DEFLATED_BYTES = 64
"""Shorter messages are not compressed."""

MAX_DEFLATED_BYTES = 1024 * 1024
"""Longer messages are not compressed: every MiB takes some 25 ms, and for each receiver anew."""

DEFLATED_AT_ONCE = 32 * 1024
"""Bytes that are compressed in one round of the loop: it takes up to a millisecond."""

COMPRESSED_SIZES = Sizes(rooms=(768,), kept=0, part=760)
"""How much is read at once of what may be compressed: a thousand times as much can come of it."""

_RSV1 = 0x40
_LENGTH_BYTES = 4


class PackedConnection(WebSocketConnection):
    """A connection on which batches, compression or both have been negotiated; see `WebSocketConnection`."""

    __slots__ = ("_deflater", "_inflater", "_is_batched", "_is_deflated", "_separator")

    def __init__(
        self,
        surroundings: Surroundings,
        wire: Wire,
        options: StreamOptions,
        *,
        is_batched: bool,
        agreement: Agreement | None,
    ) -> None:
        """
        Args:
            surroundings: what the listener's connections share.
            wire: the serializer; one of `PACKED_WEBSOCKET`.
            options: of the endpoint.
            is_batched: whether each WebSocket message is a batch.
            agreement: on compression; None is without.
        """
        self._is_batched = is_batched
        self._separator = RECORD_SEPARATOR
        self._deflater = None if agreement is None else Deflater(agreement)
        self._inflater = None if agreement is None else Inflater(agreement)
        # Whether the message whose frames are arriving is compressed.
        self._is_deflated = False
        super().__init__(surroundings, wire, options)

    # Output.

    def write(self, frames: Sequence[bytes | Pieces]) -> None:
        """See `Link.write`; these are messages that have no frames yet."""
        if self._open and frames:
            messages = self._batches(frames) if self._is_batched else frames
            self._write_packed(TEXT if self._is_text else BINARY, messages)

    def send(self, opcode: int, payload: bytes) -> None:
        """See `WebSocketConnection.send`."""
        if self._open:
            self._write_packed(opcode, (payload,))

    def _write_packed(self, opcode: int, messages: Sequence[bytes | Pieces]) -> None:
        deflater = self._deflater
        if deflater is None:
            super().write([message_frame(opcode, message) for message in messages])
            return
        self._send_answers()
        size = sum(map(len, messages))
        if self._rest is None and size <= DEFLATED_AT_ONCE:
            super().write([_deflated(deflater, opcode, bytes(message)) for message in messages])
        else:
            # Behind what waits to be compressed, too: the peer's inflater must see all of it in this order.
            self._write_later((_deflated_later(deflater, opcode, messages),), size)

    def _batches(self, messages: Sequence[bytes | Pieces]) -> list[bytes | Pieces]:
        is_binary, separator = not self._is_text, self._separator
        if len(messages) == 1 or sum(map(len, messages)) <= BATCH_BYTES:
            return [batch(messages, is_binary=is_binary, separator=separator)]
        return [batch(part, is_binary=is_binary, separator=separator) for part in _parts(messages)]

    # Input: batches.

    def _way_in(self, receiver: Receiver) -> Callable[[bytes], None]:
        return self._handle_batch if self._is_batched else super()._way_in(receiver)

    def _handle_batch(self, data: bytes) -> None:
        assert self._receiver is not None
        if self._is_text:
            if not data.endswith(self._separator):
                self._separator = separator_of(data)
            # A single message is the usual case, and twice as fast without an iterator.
            if data and data.find(self._separator) == len(data) - 1:
                self._receiver.message_received(cut_out(data, 0, len(data) - 1))
                return
        elif len(data) >= _LENGTH_BYTES and int.from_bytes(data[:_LENGTH_BYTES], "big") == len(data) - _LENGTH_BYTES:
            self._receiver.message_received(cut_out(data, _LENGTH_BYTES, len(data)))
            return
        self._handle_all(self._messages_of(data))

    def _messages_of(self, data: bytes) -> Iterator[bytes | memoryview]:
        yield from unbatch(data, is_binary=not self._is_text)

    def _handle_all(self, items: Iterator[Any]) -> None:
        assert self._receiver is not None
        try:
            self._reading.handle_all(items, self._receiver.message_received)
        except ProtocolViolation as violation:
            self._fail(PROTOCOL_ERROR, str(violation))

    def handle_held(self, item: Any) -> None:
        """See `WebSocketConnection`; batches and what is left of one may have had to wait."""
        if isinstance(item, Iterator):
            self._handle_all(item)
        elif self._is_batched and isinstance(item, bytes):
            self._handle_batch(item)
        else:
            super().handle_held(item)

    # Input: compression.

    def _handle_extended(self, frame: WSFrame) -> None:
        kind = frame.msg_type
        if self._inflater is None or frame.rsv2 or frame.rsv3 or kind not in (WSMsgType.TEXT, WSMsgType.BINARY):
            # "MUST NOT set [RSV1] on control frames", nor on any but the first of a message (RFC 7692, section 6).
            super()._handle_extended(frame)
        else:
            self._is_deflated = True
            self._handle_data(kind, frame)

    def _payload(self, frame: WSFrame, room: int) -> bytes | None:
        if not self._is_deflated:
            return super()._payload(frame, room)
        assert self._inflater is not None
        is_last = bool(frame.fin)
        self._is_deflated = not is_last
        begin = perf_counter()
        try:
            data = self._inflater.inflate(frame.get_payload_as_bytes(), room, is_last=is_last)
            if len(data) >= LARGE_READ:
                self._reading.worked(perf_counter() - begin)
            return data
        except InflatedTooLong:
            self._too_long()
        except CorruptMessage as error:
            self._fail(INVALID_DATA, f"a compressed message is corrupt: {error}")
        return None

    def _sizes(self) -> Sizes:
        return super()._sizes() if self._inflater is None else COMPRESSED_SIZES

    def _frame_limit(self) -> int:
        limit = super()._frame_limit()
        return limit if self._inflater is None else longest_deflated(limit)

    def _settle_plain_type(self) -> None:
        super()._settle_plain_type()
        if self._inflater is not None:
            # The parser lets frames through that are too long for a message which is not compressed.
            self._plain_type = None


def _is_deflated(message: bytes | Pieces) -> bool:
    return MIN_DEFLATED_BYTES <= len(message) <= MAX_DEFLATED_BYTES


def _deflated(deflater: Deflater, opcode: int, message: bytes) -> bytes:
    """The frame of a message that is not long."""
    if _is_deflated(message):
        return websocket_frame(opcode | _RSV1, deflater.deflate(message))
    return websocket_frame(opcode, message)


def _deflated_later(
    deflater: Deflater, opcode: int, messages: Sequence[bytes | Pieces]
) -> Iterator[bytes | memoryview]:
    """The frames of messages, in parts with little work in each; some are empty."""
    frames: list[bytes] = []
    work = 0
    for message in messages:
        if len(message) > MAX_DEFLATED_BYTES:
            yield b"".join(frames)
            frames, work = [], 0
            yield from pieces_of(message_frame(opcode, message))
            continue
        if work + len(message) > DEFLATED_AT_ONCE:
            yield b"".join(frames)
            frames, work = [], 0
        data = memoryview(bytes(message))
        deflated: list[bytes] = []
        while len(data) > DEFLATED_AT_ONCE:
            deflated.append(deflater.deflate(data[:DEFLATED_AT_ONCE], is_last=False))
            data = data[DEFLATED_AT_ONCE:]
            yield b""
        work += len(data)
        if deflated:
            deflated.append(deflater.deflate(data))
            frames.append(websocket_frame(opcode | _RSV1, b"".join(deflated)))
        else:
            frames.append(_deflated(deflater, opcode, bytes(message)))
    yield b"".join(frames)


def _parts(messages: Sequence[bytes | Pieces]) -> Iterator[Sequence[bytes | Pieces]]:
    """Messages in their order, in parts of up to `BATCH_BYTES`, where a single one is not longer."""
    start = size = 0
    for end, message in enumerate(messages):
        size += len(message)
        if size > BATCH_BYTES and end > start:
            yield messages[start:end]
            start, size = end, len(message)
    yield messages[start:]
