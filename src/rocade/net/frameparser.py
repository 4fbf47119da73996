"""picows as nothing but a WebSocket frame parser, written in C.

picows' protocol object never sees a socket here. It is given a canned upgrade request, reads what we put into its
buffer, calls its listener for each frame, and believes it writes to a transport. What it wants to write (the CLOSE
frame for a broken peer) is reported instead. So handshake, pings, closing and every other byte on the wire are ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from picows import WSAutoPingStrategy, WSListener, WSMsgType
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from rocade.net.upgrade import accept_key

logger = logging.getLogger("rocade.net")

_UPGRADE_REQUEST = (
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_UPGRADE_RESPONSE = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: "
)
MIN_BUFFER_BYTES = 2048
"""The smallest buffer that picows accepts."""


class _ParserLog:
    """In place of picows' logger: a `logging.Logger` per connection would cost 1 KiB, and we log what matters."""

    name = "picows"

    def isEnabledFor(self, _level: int) -> bool:
        return False

    def info(self, *_args: Any) -> None:
        """Nothing."""

    debug = log = warning = error = info

    def exception(self, *_args: Any) -> None:
        """An exception from a listener, which picows catches: the receiver of a message has failed."""
        logger.exception("a message could not be handled")


class _NoSocket:
    def fileno(self) -> int:
        return -1

    def setsockopt(self, *_args: int) -> None:
        """Nothing."""

    def getsockopt(self, *_args: int) -> int:
        return 0


_LOG = _ParserLog()
_SOCKET = _NoSocket()


class _NoTransport:
    """Stands in for the transport: takes the CLOSE frame that picows sends when it gives up."""

    __slots__ = ("_failed", "written")

    def __init__(self, failed: Callable[[int, str], None]) -> None:
        self._failed = failed
        # What was written last: a client's frames are made by picows, too, since it masks them in C.
        self.written = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return _SOCKET if name == "socket" else default

    def get_write_buffer_size(self) -> int:
        # Anything but 0, or picows would try send() on the socket itself.
        return 1

    def write(self, data: bytes) -> None:
        # The other things it writes are its half of the canned handshake, and a client's frames.
        self.written = data
        if data[0] == 0x88:
            payload = data[4:] if data[1] == 126 else data[2:]
            if data[1] & 0x80:
                mask = payload[:4] * 32
                payload = bytes(a ^ b for a, b in zip(payload[4:], mask, strict=False))
            self._failed(int.from_bytes(payload[:2], "big"), bytes(payload[2:]).decode())

    def writelines(self, _chunks: list[bytes]) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    abort = close

    def is_closing(self) -> bool:
        return False


def new_parser(
    listener: WSListener, failed: Callable[[int, str], None], max_frame_bytes: int, buffer_bytes: int
) -> Any:
    """A frame parser for a server, with `get_buffer(-1)` and `buffer_updated(n)`, used as asyncio uses a buffered
    protocol.

    Must be called on a running event loop.

    Args:
        listener: its `on_ws_frame` gets the frames.
        failed: called with a close code and a text, at most a few times, from inside `buffer_updated`, when the peer
            broke the protocol or the listener raised. Since picows parses one frame ahead, `on_ws_frame` may still be
            called for the frame before the broken one after that.
        max_frame_bytes: longer frames fail with code 1009.
        buffer_bytes: of the parser's buffer. It doubles when a read fills it, and then moves to another place.
    """
    parser = _protocol(lambda _request: listener, max_frame_bytes, buffer_bytes)
    parser.connection_made(_NoTransport(failed))
    _feed(parser, _UPGRADE_REQUEST)
    # Half a kilobyte each that nobody will look at.
    parser.transport.request.headers = parser.transport.response.headers = None
    return parser


def new_client_parser(
    listener: WSListener, failed: Callable[[int, str], None], max_frame_bytes: int, buffer_bytes: int
) -> tuple[Any, Callable[[WSMsgType, bytes], bytes]]:
    """A frame parser for a client, and what makes its frames, which are masked (RFC 6455, section 5.3).

    Args:
        listener, failed, max_frame_bytes, buffer_bytes: as for `new_parser`.
    """
    parser = _protocol(lambda *_handshake: listener, max_frame_bytes, buffer_bytes, is_client_side=True)
    transport = _NoTransport(failed)
    parser.connection_made(transport)
    key = transport.written.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
    _feed(parser, _UPGRADE_RESPONSE + accept_key(key).encode() + b"\r\n\r\n")
    parser.transport.response.headers = None
    send = parser.transport.send

    def frame(kind: WSMsgType, payload: bytes) -> bytes:
        send(kind, payload)
        return transport.written

    return parser, frame


def _feed(parser: Any, data: bytes) -> None:
    parser.get_buffer(-1)[: len(data)] = data
    parser.buffer_updated(len(data))


def _protocol(
    factory: Callable[..., WSListener], max_frame_bytes: int, buffer_bytes: int, *, is_client_side: bool = False
) -> Any:
    return WSProtocol(
        host_port="localhost" if is_client_side else None,
        ws_path="/" if is_client_side else None,
        is_client_side=is_client_side,
        ws_listener_factory=factory,
        logger=_LOG,
        disconnect_on_exception=True,
        websocket_handshake_timeout=None,
        enable_auto_ping=False,
        auto_ping_idle_timeout=1.0,
        auto_ping_reply_timeout=1.0,
        auto_ping_strategy=WSAutoPingStrategy.PING_WHEN_IDLE,
        enable_auto_pong=False,
        max_frame_size=max_frame_bytes,
        extra_headers=None,
        read_buffer_init_size=buffer_bytes,
    )
