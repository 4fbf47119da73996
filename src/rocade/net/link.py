"""The seam between bytes and sessions: what a connection offers, and what it tells its receiver.

`Link` is the lower side (a WebSocket, RawSocket or in-process connection that carries whole WAMP
messages), `Receiver` the upper side (whoever interprets the messages). A link decides nothing about WAMP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rocade.wamp.codec import Serializer
from rocade.wamp.pieces import Pieces


def unframed(payload: bytes | Pieces) -> bytes | Pieces:
    """No frame at all: messages travel as they are."""
    return payload


class Wire:
    """How messages travel on links of one kind: their serializer and the frame around each message.

    All links that share both share one `Wire` object, so a message for many receivers is encoded and
    framed once per `Wire` and the same bytes go to each of them.
    """

    __slots__ = ("frame", "name", "serializer", "unframe")

    def __init__(
        self,
        name: str,
        serializer: Serializer,
        frame: Callable[[bytes | Pieces], bytes | Pieces],
        unframe: Callable[[bytes | Pieces], bytes | Pieces] = unframed,
    ) -> None:
        """
        Args:
            name: for logs, such as "websocket.json".
            serializer: turns messages into bytes and back.
            frame: turns one serialized message into the bytes that go on the wire.
            unframe: the way back, for what must travel on another kind of link instead.
        """
        self.name = name
        self.serializer = serializer
        self.frame = frame
        self.unframe = unframe

    def __repr__(self) -> str:
        return f"<Wire {self.name}>"


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What is known of a connection before any session exists: for logs, authentication and the meta API."""

    transport: str
    """"websocket", "rawsocket", "longpoll" or "memory"."""
    peer: str
    """The other side as "tcp4:127.0.0.1:52814", "unix:/run/rocade.sock" or "memory"."""
    secure: bool = False
    """Whether the connection is TLS."""
    path: str = ""
    """HTTP path of the request that opened a WebSocket or long-poll connection."""
    query: str = field(default="", repr=False)
    """What was behind "?" in the URL of that request. Not for logs: it may hold credentials."""
    cookie: str = field(default="", repr=False)
    """The cookie that the client has from that request on, if the service has cookies. A secret."""
    headers: dict[str, str] = field(default_factory=dict)
    """HTTP headers of that request, names in lower case."""
    subprotocol: str = ""
    """What was negotiated there, such as "wamp.2.json"."""
    tls: Any = None
    """The `ssl.SSLObject` of a TLS connection, for client certificates and channel binding."""


class Link(Protocol):
    """One connection that carries whole WAMP messages, as the serving layer sees it.

    All methods are synchronous, are called on the connection's event loop, and do nothing (rather than raise)
    once the link is closed.
    """

    wire: Wire
    info: LinkInfo
    max_send_bytes: int
    """Largest serialized message (bytes, without frame) that the peer accepts."""

    def write(self, frames: Sequence[bytes | Pieces]) -> None:
        """Hand over framed messages, in order, as one write. Takes no copy of large ones."""

    def buffered_bytes(self) -> int:
        """Bytes handed over that the operating system has not taken yet."""

    def pause_reading(self) -> None:
        """Stop delivering messages to the receiver; the peer is slowed down by the transport's own means."""

    def resume_reading(self) -> None:
        """Deliver messages again. Messages that had been read already come first, never within this call."""

    def close(self, reason: str = "", *, failure: bool = False) -> None:
        """Close in the transport's orderly way once what was written is out; abort when that takes too long.

        Args:
            reason: short text for the peer where the transport carries one.
            failure: the peer broke the protocol (WebSocket code 1002) rather than a normal close (1000).
        """

    def abort(self) -> None:
        """Drop the connection now, discarding what is not sent yet."""

    def invalid_text(self) -> bool:
        """The message that was received last is not UTF-8.

        Returns:
            Whether the transport itself requires that, so that the connection fails by this (a text message of a
            WebSocket, code 1007), with `Receiver.link_lost`. If not, it is as before.
        """


class Receiver(Protocol):
    """Who interprets what arrives on a link. A link calls these on its event loop, never from inside `write`."""

    def message_received(self, data: bytes | memoryview) -> None:
        """One whole serialized message has arrived. `data` is the receiver's to keep.

        It is a view only if it is longer than `LONG_BYTES` (of `wamp.pieces`) and was part of something longer yet.
        Nobody has looked into it: text may turn out not to be UTF-8, see `Link.invalid_text`.
        """

    def writing_paused(self) -> None:
        """The peer reads too slowly: `Link.buffered_bytes` is above the high-water mark."""

    def writing_resumed(self) -> None:
        """What was written has drained below the low-water mark."""

    def link_lost(self, reason: str) -> None:
        """The connection is gone; called exactly once, and nothing else is called after it.

        Args:
            reason: plain words for the log, such as "closed by peer" or "no pong within 20 s".
        """
