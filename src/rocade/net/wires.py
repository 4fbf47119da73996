"""The shared `Wire` objects: every transport with every serializer, as a router sends on them.

All connections of one kind share one object, so what goes to many of them is encoded and framed once.
"""

from __future__ import annotations

from rocade.net.link import Wire
from rocade.wamp.codec import SERIALIZERS
from rocade.wamp.framing import frame_message

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


def websocket_frame(opcode: int, payload: bytes) -> bytes:
    """One whole, unmasked frame, as servers send it (RFC 6455, section 5.2)."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 65536:
        return bytes((0x80 | opcode, 126, length >> 8, length & 0xFF)) + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big") + payload


def text_frame(payload: bytes) -> bytes:
    """A text message in one frame; `payload` is UTF-8."""
    return websocket_frame(TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """A binary message in one frame."""
    return websocket_frame(BINARY, payload)


WEBSOCKET: dict[str, Wire] = {
    name: Wire(f"websocket.{name}", serializer, binary_frame if serializer.is_binary else text_frame)
    for name, serializer in SERIALIZERS.items()
}
"""Serializer name -> how its messages travel to WebSocket clients."""

RAWSOCKET: dict[str, Wire] = {
    name: Wire(f"rawsocket.{name}", serializer, frame_message) for name, serializer in SERIALIZERS.items()
}
"""Serializer name -> how its messages travel on RawSocket connections."""


def _no_frame(payload: bytes) -> bytes:
    return payload


LONG_POLL: dict[str, Wire] = {
    name: Wire(f"longpoll.{name}", serializer, _no_frame) for name, serializer in SERIALIZERS.items()
}
"""Serializer name -> how its messages travel in HTTP responses: as they are; a batch is made of those that wait."""


def subprotocol(name: str) -> str:
    """The WebSocket subprotocol of a serializer, such as "wamp.2.json"."""
    return SUBPROTOCOL_PREFIX + name


def wire_of_subprotocol(subprotocol: str) -> Wire | None:
    """The wire that a WebSocket subprotocol such as "wamp.2.json" stands for; None if it is not one of ours."""
    if not subprotocol.startswith(SUBPROTOCOL_PREFIX):
        return None
    return WEBSOCKET.get(subprotocol.removeprefix(SUBPROTOCOL_PREFIX))
