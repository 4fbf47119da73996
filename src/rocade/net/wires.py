"""The shared `Wire` objects: every transport with every serializer, as a router sends on them.

All connections of one kind share one object, so what goes to many of them is encoded and framed once.
"""

from __future__ import annotations

from functools import partial

from rocade.net.link import Wire, unframed
from rocade.wamp.codec import SERIALIZERS
from rocade.wamp.framing import frame_message
from rocade.wamp.pieces import LONG_BYTES, Pieces, pieces_of

TEXT = 0x1
"""WebSocket opcode of a text message (RFC 6455, section 5.2)."""
BINARY = 0x2
"""WebSocket opcode of a binary message."""
CLOSE = 0x8
"""WebSocket opcode of a close frame."""
PING = 0x9
"""WebSocket opcode of a ping."""
PONG = 0xA
"""WebSocket opcode of a pong."""

SUBPROTOCOL_PREFIX = "wamp.2."
"""What stands before the serializer's name in a WebSocket subprotocol."""
BATCHED_SUFFIX = ".batched"
"""What stands behind it where a WebSocket message is a batch of messages."""


def websocket_frame(opcode: int, payload: bytes) -> bytes:
    """One whole, unmasked frame, as servers send it (RFC 6455, section 5.2)."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 65536:
        return bytes((0x80 | opcode, 126, length >> 8, length & 0xFF)) + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big") + payload


def message_frame(opcode: int, payload: bytes | Pieces) -> bytes | Pieces:
    """As `websocket_frame`, except that a long one is left in pieces; the payload of text is UTF-8."""
    if isinstance(payload, Pieces) or len(payload) > LONG_BYTES:
        return Pieces((bytes((0x80 | opcode, 127)) + len(payload).to_bytes(8, "big"), *pieces_of(payload)))
    return websocket_frame(opcode, payload)


def websocket_payload(frame: bytes | Pieces) -> bytes | Pieces:
    """What is in a frame made by `message_frame`."""
    if isinstance(frame, Pieces):
        return frame.behind_first()
    length = frame[1]
    return frame[2 if length < 126 else 4 if length == 126 else 10 :]


def rawsocket_payload(frame: bytes | Pieces) -> bytes | Pieces:
    """What is in a RawSocket frame made by `frame_message`."""
    if isinstance(frame, Pieces):
        return frame.behind_first()
    return frame[4:]  # behind a byte for the kind of frame and three for its length


WEBSOCKET: dict[str, Wire] = {
    name: Wire(
        f"websocket.{name}",
        serializer,
        partial(message_frame, BINARY if serializer.is_binary else TEXT),
        websocket_payload,
    )
    for name, serializer in SERIALIZERS.items()
}
"""Serializer name -> how its messages travel to WebSocket clients."""

RAWSOCKET: dict[str, Wire] = {
    name: Wire(f"rawsocket.{name}", serializer, frame_message, rawsocket_payload)
    for name, serializer in SERIALIZERS.items()
}
"""Serializer name -> how its messages travel on RawSocket connections."""


PACKED_WEBSOCKET: dict[str, Wire] = {
    name: Wire(f"websocket.{name}.packed", serializer, unframed) for name, serializer in SERIALIZERS.items()
}
"""Serializer name -> how its messages travel to WebSocket clients that batch or compress: as they are, since the link
itself makes frames of what it is to write."""

MEMORY: dict[str, Wire] = {name: Wire(f"memory.{name}", serializer, bytes) for name, serializer in SERIALIZERS.items()}
"""Serializer name -> how its messages travel within the process: as they are."""

LONG_POLL: dict[str, Wire] = {
    name: Wire(f"longpoll.{name}", serializer, unframed) for name, serializer in SERIALIZERS.items()
}
"""Serializer name -> how its messages travel in HTTP responses: as they are; a batch is made of those that wait."""


def subprotocols(name: str) -> tuple[str, str]:
    """The WebSocket subprotocols of a serializer, such as "wamp.2.json" and "wamp.2.json.batched"."""
    plain = SUBPROTOCOL_PREFIX + name
    return plain, plain + BATCHED_SUFFIX


def serializer_of_subprotocol(subprotocol: str) -> tuple[str, bool]:
    """The serializer that one of `subprotocols` names, and whether its messages are batched."""
    is_batched = subprotocol.endswith(BATCHED_SUFFIX)
    return subprotocol.removeprefix(SUBPROTOCOL_PREFIX).removesuffix(BATCHED_SUFFIX), is_batched
