"""What WebSocket and RawSocket connections have in common: one asyncio transport, seen as a `Link`.

Each connection is its own asyncio protocol. Nothing here costs a task, future, closure or log line per message. What is
short is written from here, since a place of its own would cost each write another call; how what was read is handed on
is in `reading`, and what is too long to be written at once is in `long_writes`.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast

from rocade.net.link import LinkInfo, Receiver, Wire
from rocade.net.long_writes import LONG_WRITE, LongWrite, slices_of
from rocade.net.reading import Reading
from rocade.net.surroundings import Surroundings
from rocade.wamp.pieces import Pieces, pieces_of

__all__ = ["STREAM_LINK_SLOTS", "StreamLink", "StreamOptions"]

logger = logging.getLogger("rocade.net")

_JOIN_LIMIT = 4096


class StreamOptions(Protocol):
    """What connections need of their endpoint's options."""

    @property
    def max_message_bytes(self) -> int:
        """Longest accepted message."""

    @property
    def ping_interval(self) -> float:
        """Longest silence in seconds before a ping; 0 never pings."""

    @property
    def ping_timeout(self) -> float:
        """Seconds a ping may stay without any sign of life."""

    @property
    def close_timeout(self) -> float:
        """Seconds an orderly close may take before the connection is aborted."""


STREAM_LINK_SLOTS = (
    "_answers",
    "_close_timeout",
    "_deadline",
    "_loop",
    "_open",
    "_reading",
    "_reason",
    "_receiver",
    "_reported_paused",
    "_rest",
    "_surroundings",
    "_transport",
    "_writelines_forgets",
    "_writing_paused",
    "heard",
    "info",
    "ping_interval",
    "ping_timeout",
    "pinged",
    "pulse",
    "wire",
)
"""Attributes of `StreamLink`, which subclasses declare: next to a class written in C it cannot have slots itself."""

# By name, or mypy would hold the empty tuple against every attribute.
_NO_SLOTS: tuple[str, ...] = ()


class StreamLink(asyncio.BufferedProtocol, metaclass=ABCMeta):
    """A `Link` over an asyncio transport; subclasses know the framing."""

    __slots__ = _NO_SLOTS

    def __init__(self, surroundings: Surroundings, wire: Wire, options: StreamOptions) -> None:
        """
        Args:
            surroundings: what the listener's connections share.
            wire: how messages travel.
            options: of the endpoint.
        """
        self.wire = wire
        self.info = LinkInfo(wire.name.partition(".")[0], "unknown")
        self.ping_interval = options.ping_interval
        self.ping_timeout = options.ping_timeout
        self.heard = False
        self.pinged = False
        self.pulse = 0
        self._surroundings = surroundings
        self._loop = surroundings.loop
        self._close_timeout = options.close_timeout
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        # Whether frames may still be written: from the opening to our CLOSE, EOF or abort.
        self._open = False
        self._reading = Reading(surroundings.loop, self)
        self._writing_paused = False
        # What is too long to be written at once, and what comes behind it; None while there is nothing.
        self._rest: LongWrite | None = None
        self._writelines_forgets = False
        self._reported_paused = False
        # To pings and the like of the read at hand, of which there may be thousands.
        self._answers: list[bytes] = []
        self._deadline: asyncio.TimerHandle | None = None
        self._reason = ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.wire.name} {self.info.peer}>"

    # What `Link` offers.

    def write(self, frames: Sequence[bytes | Pieces]) -> None:
        """See `Link.write`."""
        if not self._open:
            return
        assert self._transport is not None
        if self._answers:
            self._send_answers()
        size = len(frames[0]) if len(frames) == 1 else sum(map(len, frames))
        if size > LONG_WRITE or self._rest is not None:
            self._write_later(pieces_of(frames[0]) if len(frames) == 1 else (slices_of(frames),), size)
        elif len(frames) == 1:
            self._transport.write(frames[0])  # type: ignore[arg-type]  # pieces are long
        elif size <= _JOIN_LIMIT:
            self._transport.write(b"".join(frames))  # type: ignore[arg-type]
        else:
            self._write_lines(frames)

    def buffered_bytes(self) -> int:
        """See `Link.buffered_bytes`."""
        if self._transport is None:
            return 0
        rest = 0 if self._rest is None else max(self._rest.size, 0)
        return self._transport.get_write_buffer_size() + rest

    def pause_reading(self) -> None:
        """See `Link.pause_reading`."""
        if self._open:
            self._reading.pause()

    def resume_reading(self) -> None:
        """See `Link.resume_reading`."""
        self._reading.resume()

    def abort(self) -> None:
        """See `Link.abort`."""
        self._drop("aborted")

    def invalid_text(self) -> bool:
        """See `Link.invalid_text`."""
        return False

    def fileno(self) -> int:
        """The descriptor of the socket, or -1 if there is none (any more)."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    # What the heartbeat asks.

    @abstractmethod
    def ping(self) -> None:
        """Ask the peer for a sign of life."""

    def is_deaf(self) -> bool:
        """Whether the receiver has paused reading, so that the peer's silence means nothing."""
        return self._reading.held is not None

    def unanswered(self) -> None:
        """No sign of life since the last ping: drop the connection."""
        self._drop(f"no pong within {self.ping_timeout:g} s")

    # What `Reading` asks.

    def handle_held(self, item: Any) -> None:
        """Deliver a message that had to wait; subclasses may have kept other things in its place."""
        assert self._receiver is not None
        self._receiver.message_received(item)

    @abstractmethod
    def broken(self) -> None:
        """Our own code failed (and the error is logged): end the connection."""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a transport whose protocol this is from now on."""
        # Not asserted to be an `asyncio.Transport`: uvloop's transports are not.
        self._transport = cast(asyncio.Transport, transport)
        # From Python 3.12 on, `writelines` of asyncio's own sockets does not say when their buffer is full (seen with
        # 3.13.0): a peer that does not read would make it grow for ever. `write` does.
        self._writelines_forgets = sys.version_info >= (3, 12) and type(transport).__module__.startswith("asyncio.")
        self._reading.begin(self._transport)
        self._surroundings.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone: tell the receiver, once, and let go of everything."""
        self._open = False
        self._surroundings.connections.discard(self)
        self._surroundings.heartbeat.forget(self)
        if self._surroundings.door is not None:
            self._surroundings.door.leave(self.info.peer)
        self._cancel_deadline()
        self._transport = None
        self._drop_rest()
        self._reading.end()
        self._lose(self._reason or (f"connection lost: {exc}" if exc else "connection closed by peer"))

    def eof_received(self) -> bool:
        """The peer sends no more; returning False lets the transport close itself, within the time limit."""
        # Over TLS the end may come with the last read, and would take what had to wait with it.
        self._reading.finish()
        if self._open:
            self._open = False
            self._reason = self._reason or "connection closed by peer"
        # A close flushes first: without a limit, a peer that does not read would keep the connection for ever.
        self._limit_closing()
        if self._rest is not None and self._transport is not None:
            self._when_written(self._transport.close)
            return self._transport.get_extra_info("sslcontext") is None  # TLS knows no half-closed connections
        return False

    def pause_writing(self) -> None:
        """The transport's buffer is above its high-water mark."""
        self._writing_paused = True
        if self._rest is not None:
            self._rest.pause()
        # asyncio calls this from inside `write`; a receiver must not be called from there.
        self._loop.call_soon(self._report_writing)

    def resume_writing(self) -> None:
        """The transport's buffer is below its low-water mark."""
        # The peer reads, although it may have nothing to say, and may not have come to our ping yet.
        self.heard = True
        self._writing_paused = False
        if self._rest is None:
            self._writable_again()
        else:
            self._rest.resume()

    # Opening.

    def begin(self, connected: Callable[[Any], Receiver]) -> None:
        """Open the link: from now on messages are delivered to what `connected` returns."""
        self._open = True
        try:
            self._receiver = connected(self)
        except Exception:
            logger.exception("%s: the connection could not be set up", self)
            self.broken()
            return
        if self._open:
            self._reading.open(self._way_in(self._receiver))
            self._surroundings.heartbeat.watch(self)

    def _way_in(self, receiver: Receiver) -> Callable[[bytes], None]:
        """What is called with each message while nothing has to wait."""
        return receiver.message_received

    # Writing.

    def _write_lines(self, parts: Sequence[Any]) -> None:
        assert self._transport is not None
        if self._writelines_forgets:
            self._transport.writelines(parts[:-1])
            self._transport.write(parts[-1])
        else:
            self._transport.writelines(parts)

    def _write_later(self, parts: Iterable[Any], size: int) -> None:
        """Write a slice at a time, in turn with others.

        Args:
            parts, size: see `LongWrite`.
        """
        if self._rest is None:
            turns, done, failed = self._surroundings.long_writes, self._rest_is_written, self._rest_has_failed
            self._rest = LongWrite(turns, self._write_lines, done, failed, parts, size, is_paused=self._writing_paused)
            self._loop.call_soon(self._report_writing)
        else:
            self._rest.append(parts, size)

    def _rest_is_written(self) -> None:
        self._rest = None
        self._writable_again()

    def _rest_has_failed(self) -> None:
        logger.exception("%s: a long message could not be written", self)
        self._drop("internal error")

    def _drop_rest(self) -> None:
        if self._rest is not None:
            self._rest.drop()
            self._rest = None

    def _when_written(self, finish: Callable[[], None]) -> None:
        """Do something once everything has been handed over."""
        if self._rest is None:
            finish()
        else:
            self._rest.finish = finish

    def _put(self, data: bytes) -> None:
        """Write something short, behind what has been written so far."""
        if self._rest is not None:
            self._write_later((data,), len(data))
        elif self._transport is not None:
            self._transport.write(data)

    def _send_answers(self) -> None:
        """Write the answers to pings and the like, in order with everything else.

        A peer that floods us with pings and does not read the answers is not read from until it does.
        """
        if not self._answers:
            return
        answers, self._answers = self._answers, []
        if self._open:
            size = sum(map(len, answers))
            if size > LONG_WRITE:
                self._write_later(answers, size)
            else:
                self._put(b"".join(answers))
            if self._is_full():
                self._reading.flood(True)

    def _is_full(self) -> bool:
        """Whether what is written now has to wait for what was written before."""
        return self._writing_paused or self._rest is not None

    def _writable_again(self) -> None:
        self._reading.flood(False)
        self._loop.call_soon(self._report_writing)

    def _report_writing(self) -> None:
        is_full = self._is_full()
        if self._receiver is None or is_full == self._reported_paused:
            return
        self._reported_paused = is_full
        if is_full:
            self._receiver.writing_paused()
        else:
            self._receiver.writing_resumed()

    # Closing.

    def _drop(self, reason: str) -> None:
        if self._transport is not None:
            self._open = False
            self._reason = self._reason or reason
            self._reading.end()
            self._drop_rest()
            self._transport.abort()

    def _hang_up(self) -> None:
        """Close so that the peer can still read what was written last.

        Closing a socket with unread input sends a reset, which destroys what the peer has not read yet. So only
        our direction is closed here, and input is thrown away until the peer closes, or time is up.
        """
        self._open = False
        self._limit_closing()
        self._when_written(self._end_output)

    def _end_output(self) -> None:
        assert self._transport is not None
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _close_transport(self) -> None:
        """Close once everything written is out, within the time limit."""
        assert self._transport is not None
        self._open = False
        self._limit_closing()
        self._when_written(self._transport.close)

    def _limit_closing(self) -> None:
        """Abort unless the connection is gone within the close timeout."""
        self._surroundings.heartbeat.forget(self)
        if self._deadline is None:
            self._deadline = self._loop.call_later(self._close_timeout, self._drop, "no orderly close in time")

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _lose(self, reason: str) -> None:
        """Tell the receiver that the link is gone, if it has not been told."""
        receiver, self._receiver = self._receiver, None
        self._reading.stop()
        if receiver is not None:
            receiver.link_lost(reason)
