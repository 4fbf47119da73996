"""RawSocket on the wire: the four-byte handshake of both sides, and length-prefixed frames.

Sans-I/O: bytes in, messages out. Specification: advanced/transport_rawsocket.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO

from rocade.errors import PayloadTooLarge, ProtocolViolation
from rocade.wamp.pieces import LONG_BYTES, Pieces, pieces_of

MAGIC = 0x7F
"""First byte of every RawSocket handshake; no HTTP request can begin with it."""

HANDSHAKE_BYTES = 4
"""Size of a handshake request and of its reply."""

SERIALIZER_IDS = {"json": 1, "msgpack": 2, "cbor": 3}
"""Serializer name -> its number in the handshake."""

SERIALIZER_NAMES = {number: name for name, number in SERIALIZER_IDS.items()}
"""Number in the handshake -> serializer name."""

MIN_LENGTH_LIMIT = 1 << 9
"""Smallest limit on message length (bytes) that a handshake can express."""

MAX_LENGTH_LIMIT = 1 << 24
"""Largest limit on message length (bytes) that a handshake can express: 16 MiB."""

_HEADER_BYTES = 4
# A payload of exactly 16 MiB does not fit into 24 bits: the X bit is set instead and the length is zero.
_X_BIT = 0x08000000
_RESERVED_BITS = 0xF0000000
_TYPE_BITS = 0x07000000
_LENGTH_BITS = 0x00FFFFFF


class FrameType(IntEnum):
    """What a RawSocket frame carries (the TTT bits of its header)."""

    MESSAGE = 0
    PING = 1
    PONG = 2


class Refusal(IntEnum):
    """Why a router refuses a handshake (upper half of the reply's second byte)."""

    SERIALIZER_UNSUPPORTED = 1
    LENGTH_UNACCEPTABLE = 2
    RESERVED_BITS = 3
    TOO_MANY_CONNECTIONS = 4


_REFUSAL_TEXTS = {
    Refusal.SERIALIZER_UNSUPPORTED: "serializer unsupported",
    Refusal.LENGTH_UNACCEPTABLE: "maximum message length unacceptable",
    Refusal.RESERVED_BITS: "use of reserved bits",
    Refusal.TOO_MANY_CONNECTIONS: "maximum connection count reached",
}


class FramingError(ProtocolViolation):
    """The peer's bytes are no RawSocket: the connection must fail."""


class HandshakeError(FramingError):
    """A handshake that cannot succeed.

    `refusal` is the answer to send (in a router) or the answer received (in a client); None where there is none,
    because the peer does not speak RawSocket at all.
    """

    def __init__(self, text: str, refusal: Refusal | None = None) -> None:
        super().__init__(text)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Handshake:
    """One side's half of a successful handshake."""

    serializer: str
    """"json", "msgpack" or "cbor"."""
    max_message_bytes: int
    """Longest message that the side which sent this is willing to receive."""


def length_exponent(max_message_bytes: int) -> int:
    """The LENGTH field (0 to 15) for a limit: the largest one that does not promise more than the limit.

    Args:
        max_message_bytes: from 512; more than 16 MiB counts as 16 MiB.
    Raises:
        ValueError: the limit is below 512 bytes.
    """
    if max_message_bytes < MIN_LENGTH_LIMIT:
        raise ValueError(
            f"a RawSocket message limit must be at least {MIN_LENGTH_LIMIT} bytes, not {max_message_bytes}"
        )
    return min(max_message_bytes.bit_length() - 10, 15)


def announced_limit(max_message_bytes: int) -> int:
    """The limit (bytes) that a handshake announces for `max_message_bytes`: the next lower power of two."""
    return 1 << (length_exponent(max_message_bytes) + 9)


def encode_handshake(serializer: str, max_message_bytes: int) -> bytes:
    """A client's request, or a router's accepting reply: both have the same form.

    Args:
        serializer: "json", "msgpack" or "cbor".
        max_message_bytes: longest message we accept; see `announced_limit`.
    """
    return bytes((MAGIC, length_exponent(max_message_bytes) << 4 | SERIALIZER_IDS[serializer], 0, 0))


def encode_refusal(refusal: Refusal) -> bytes:
    """A router's refusing reply."""
    return bytes((MAGIC, refusal << 4, 0, 0))


def decode_request(data: bytes) -> Handshake:
    """What a client asks for.

    Args:
        data: exactly `HANDSHAKE_BYTES` bytes.
    Raises:
        HandshakeError: with the refusal to answer, or without one where the magic byte is missing.
    """
    _require_magic(data)
    if data[2] or data[3]:
        raise HandshakeError("the client set reserved bits of the handshake", Refusal.RESERVED_BITS)
    name = SERIALIZER_NAMES.get(data[1] & 0x0F)
    if name is None:
        raise HandshakeError(f"the client asks for serializer {data[1] & 0x0F}", Refusal.SERIALIZER_UNSUPPORTED)
    return Handshake(name, 1 << ((data[1] >> 4) + 9))


def decode_reply(data: bytes, serializer: str) -> Handshake:
    """What a router answered.

    Args:
        data: exactly `HANDSHAKE_BYTES` bytes.
        serializer: name of the one that was asked for.
    Raises:
        HandshakeError: the router refused, chose something else or does not speak RawSocket.
    """
    _require_magic(data)
    number, upper = data[1] & 0x0F, data[1] >> 4
    if number == 0:
        refusal = Refusal(upper) if upper in Refusal._value2member_map_ else None
        text = _REFUSAL_TEXTS[refusal] if refusal is not None else f"error {upper}"
        raise HandshakeError(f"the router refused: {text}", refusal)
    if data[2] or data[3]:
        raise HandshakeError("the router set reserved bits of the handshake")
    if number != SERIALIZER_IDS[serializer]:
        raise HandshakeError(f"the router answered with serializer {number} instead of {serializer}")
    return Handshake(serializer, 1 << (upper + 9))


def _require_magic(data: bytes) -> None:
    if len(data) != HANDSHAKE_BYTES:
        raise ValueError(f"a handshake has {HANDSHAKE_BYTES} bytes, not {len(data)}")
    if data[0] != MAGIC:
        raise HandshakeError(f"not a RawSocket handshake: it begins with 0x{data[0]:02x} instead of 0x{MAGIC:02x}")


def frame_message(payload: bytes | Pieces) -> bytes | Pieces:
    """A frame around one serialized message; that of a long one is left in pieces.

    Raises:
        PayloadTooLarge: the message is longer than 16 MiB, the most a frame can carry.
    """
    if isinstance(payload, Pieces) or len(payload) > LONG_BYTES:
        return Pieces((encode_header(FrameType.MESSAGE, len(payload)), *pieces_of(payload)))
    return len(payload).to_bytes(_HEADER_BYTES, "big") + payload


def frame_control(kind: FrameType, payload: bytes) -> bytes:
    """A ping or pong frame.

    Raises:
        PayloadTooLarge: the payload is longer than 16 MiB.
    """
    return encode_header(kind, len(payload)) + payload


def encode_header(kind: FrameType, length: int) -> bytes:
    """The four bytes before a payload.

    Raises:
        PayloadTooLarge: `length` is above 16 MiB, the most a frame can carry.
    """
    if length > MAX_LENGTH_LIMIT:
        raise PayloadTooLarge(f"a RawSocket frame carries at most {MAX_LENGTH_LIMIT} bytes, not {length}")
    word = _X_BIT if length == MAX_LENGTH_LIMIT else length
    return (kind << 24 | word).to_bytes(_HEADER_BYTES, "big")


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping that was received. It MUST be answered by exactly one pong with the same payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """A pong that was received."""

    payload: bytes


def _item(kind: int, payload: bytes) -> bytes | Ping | Pong:
    if kind == FrameType.MESSAGE:
        return payload
    return Ping(payload) if kind == FrameType.PING else Pong(payload)


class FrameDecoder:
    """Cuts a stream of bytes into frames.

    At most one incomplete frame is buffered, and never one whose header is not acceptable.
    """

    __slots__ = ("_head", "_kind", "_limit", "_missing", "_partial", "_plain_limit")

    def __init__(self, max_message_bytes: int) -> None:
        """
        Args:
            max_message_bytes: longest payload that is accepted, as announced in the handshake.
        """
        self._limit = max_message_bytes
        # Below this, a header is nothing but the length of a message: one comparison checks everything.
        self._plain_limit = min(max_message_bytes, _LENGTH_BITS)
        # Of an incomplete frame: the beginning of its header; or its type, its payload so far, and how much is missing.
        self._head = b""
        self._kind = 0
        self._partial = BytesIO()
        self._missing = 0

    def feed(self, data: bytes) -> Iterator[bytes | Ping | Pong]:
        """The frames that `data` completes, in order: messages as `bytes`, the others as objects.

        The iterator must be run to its end, before the next call.

        Raises:
            FramingError: reserved bits or types, or too long a payload; raised after what came before it, and
                before any of that payload has been buffered.
        """
        start, end = 0, len(data)
        if self._missing:
            start = min(self._missing, end)
            self._missing -= self._partial.write(data[:start])
            if self._missing:
                return
            # It hands out the very bytes that were written into: a long payload is never copied as a whole.
            payload, self._partial = self._partial.getvalue(), BytesIO()
            yield _item(self._kind, payload)
        elif self._head:
            data = self._head + data
            self._head = b""
            end = len(data)
        while start < end:
            body = start + _HEADER_BYTES
            if body > end:
                self._head = data[start:]
                break
            kind, length = 0, int.from_bytes(data[start:body], "big")
            if length > self._plain_limit:
                kind, length = self._decode_header(length)
            start = body + length
            if start > end:
                self._kind = kind
                self._missing = length - self._partial.write(data[body:])
                break
            payload = data[body:start]
            yield payload if kind == 0 else _item(kind, payload)

    def _decode_header(self, word: int) -> tuple[int, int]:
        """Type and payload length of a frame whose header is more than a plain length."""
        if word & _RESERVED_BITS:
            raise FramingError("a frame has reserved bits set")
        kind, length = (word & _TYPE_BITS) >> 24, word & _LENGTH_BITS
        if kind > FrameType.PONG:
            raise FramingError(f"a frame has the reserved type {kind}")
        if word & _X_BIT:
            if length:
                raise FramingError("a frame has the X bit set, and a length beside it")
            length = MAX_LENGTH_LIMIT
        if length > self._limit:
            raise FramingError(f"a frame of {length} bytes is longer than the limit of {self._limit}")
        return kind, length
