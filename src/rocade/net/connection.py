"""What WebSocket and RawSocket connections have in common: one asyncio transport, seen as a `Link`.

Each connection is its own asyncio protocol. Nothing here costs a task, future, closure or log line per message.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from abc import ABCMeta, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import perf_counter
from typing import Any, cast

from rocade.net.door import Door
from rocade.net.heartbeat import Heartbeat
from rocade.net.link import LinkInfo, Receiver, Wire
from rocade.net.long_writes import LONG_WRITE, LongWrites, next_slice, slices_of
from rocade.wamp.pieces import Pieces, pieces_of

logger = logging.getLogger("rocade.net")

READ_LIMIT = 65536
"""Most bytes taken from a socket at once: bounds how long one connection can hold the loop."""

LARGE_READ = 2048
"""From this size of a read on, the time is taken: less holds no more messages than can be handled at once."""

TURN_SECONDS = 0.001
"""Seconds in which messages of one connection are handled before others have their turn, and one message more. libuv
reads up to 32 times in a row from a socket that has more, so this is also for how long it may go on with that."""

_JOIN_LIMIT = 4096


class Surroundings:
    """What all connections of one listener share."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connections: set[Any] | None = None, door: Door | None = None
    ) -> None:
        """
        Args:
            loop: the loop that all of them run on.
            connections: where open connections are listed; uvicorn's own set in a listener.
            door: counts them; None if nobody does.
        """
        self.loop = loop
        self.connections: set[Any] = set() if connections is None else connections
        self.door = door
        self.heartbeat = Heartbeat(loop)
        self.long_writes = LongWrites(loop)
        self.scratch = memoryview(bytearray(READ_LIMIT))
        """Where connections without a buffer of their own read into; used up before the next read."""


def peer_name(transport: asyncio.BaseTransport) -> str:
    """The other side as `LinkInfo.peer` has it: "tcp4:127.0.0.1:52814", "tcp6:[::1]:52814" or "unix:/path"."""
    sock = transport.get_extra_info("socket")
    family = None if sock is None else sock.family
    if family == getattr(socket, "AF_UNIX", None):
        # Clients are unnamed; what tells them apart from others is the socket they came to.
        return f"unix:{transport.get_extra_info('sockname') or ''}"
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return "unknown"
    return f"tcp6:[{peer[0]}]:{peer[1]}" if family == socket.AF_INET6 else f"tcp4:{peer[0]}:{peer[1]}"


def _discard(_data: bytes) -> None:
    """Where messages go that nobody wants any more."""


STREAM_LINK_SLOTS = (
    "_answers",
    "_busy",
    "_close_timeout",
    "_deadline",
    "_deliver",
    "_draining",
    "_finish",
    "_flooded",
    "_has_turn",
    "_held",
    "_loop",
    "_open",
    "_reason",
    "_receiver",
    "_reported_paused",
    "_rest",
    "_rest_bytes",
    "_resting",
    "_source_paused",
    "_surroundings",
    "_transport",
    "_turn",
    "_turn_way",
    "_unwanted",
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

    def __init__(
        self,
        surroundings: Surroundings,
        wire: Wire,
        *,
        ping_interval: float,
        ping_timeout: float,
        close_timeout: float,
    ) -> None:
        """
        Args:
            surroundings: what the listener's connections share.
            wire: how messages travel.
            ping_interval: longest silence in seconds before a ping; 0 never pings.
            ping_timeout: seconds a ping may stay without any sign of life.
            close_timeout: seconds an orderly close may take before the connection is aborted.
        """
        self.wire = wire
        self.info = LinkInfo(wire.name.partition(".")[0], "unknown")
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.heard = False
        self.pinged = False
        self.pulse = 0
        self._surroundings = surroundings
        self._loop = surroundings.loop
        self._close_timeout = close_timeout
        self._transport: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        # Whether frames may still be written: from the opening to our CLOSE, EOF or abort.
        self._open = False
        self._deliver: Callable[[bytes], None] = _discard
        # Messages (or what else must wait for them) that were read before the receiver paused; None while it has not.
        self._held: deque[Any] | None = None
        self._unwanted = False
        self._draining = False
        # While a large read is worked off: until when messages may be handled, and by whom.
        self._turn = 0.0
        self._turn_way: Callable[[bytes], None] = _discard
        self._source_paused = False
        self._writing_paused = False
        # What is too long to be written at once, and what comes behind it; None while there is nothing. Then whether
        # it is among those that take turns, and what is to be done once all is written.
        self._rest: deque[Any] | None = None
        self._rest_bytes = 0
        self._has_turn = False
        self._finish: Callable[[], None] | None = None
        self._writelines_forgets = False
        self._reported_paused = False
        # To pings and the like of the read at hand, of which there may be thousands.
        self._answers: list[bytes] = []
        # Whether we wrote an answer into a full buffer: then nothing is read until it has drained.
        self._flooded = False
        # Seconds of work since others had their turn, and whether they have it before more is read.
        self._busy = 0.0
        self._resting = False
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

    def _write_lines(self, parts: Sequence[Any]) -> None:
        assert self._transport is not None
        if self._writelines_forgets:
            self._transport.writelines(parts[:-1])
            self._transport.write(parts[-1])
        else:
            self._transport.writelines(parts)

    def _write_later(self, parts: Iterable[Any], size: int) -> None:
        """Write a slice at a time, see `next_slice`.

        Args:
            parts: as `next_slice` takes them.
            size: bytes of all of them, more or less.
        """
        self._rest_bytes += size
        if self._rest is None:
            self._rest = deque(parts)
            self._take_turns()
            self._loop.call_soon(self._report_writing)
        else:
            self._rest.extend(parts)

    def _take_turns(self) -> None:
        if not self._has_turn and not self._writing_paused:
            self._has_turn = True
            self._surroundings.long_writes.add(self)

    def write_slice(self) -> int | None:
        """See `LongWrites`."""
        if self._rest is not None and self._transport is not None and not self._writing_paused:
            parts = next_slice(self._rest)
            if parts:
                size = sum(map(len, parts))
                if size:
                    self._rest_bytes -= size
                    self._write_lines(parts)
                return size
            self._end_rest_of_writing()
        self._has_turn = False
        return None

    def _end_rest_of_writing(self) -> None:
        self._rest = None
        self._rest_bytes = 0
        if not self._writing_paused:
            self._writable_again()
        if self._finish is not None:
            finish, self._finish = self._finish, None
            finish()

    def _writable_again(self) -> None:
        self._flooded = False
        self._steer_reading()
        self._loop.call_soon(self._report_writing)

    def _is_full(self) -> bool:
        """Whether what is written now has to wait for what was written before."""
        return self._writing_paused or self._rest is not None

    def _put(self, data: bytes) -> None:
        """Write something short, behind what has been written so far."""
        if self._rest is not None:
            self._write_later((data,), len(data))
        elif self._transport is not None:
            self._transport.write(data)

    def _when_written(self, finish: Callable[[], None]) -> None:
        """Do something once everything has been handed over."""
        if self._rest is None:
            finish()
        else:
            self._finish = finish

    def fileno(self) -> int:
        """The descriptor of the socket, or -1 if there is none (any more)."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    def buffered_bytes(self) -> int:
        """See `Link.buffered_bytes`."""
        if self._transport is None:
            return 0
        rest = 0 if self._rest is None else max(self._rest_bytes, 0)
        return self._transport.get_write_buffer_size() + rest

    def pause_reading(self) -> None:
        """See `Link.pause_reading`."""
        if not self._open:
            return
        self._unwanted = True
        self._hold()

    def resume_reading(self) -> None:
        """See `Link.resume_reading`."""
        self._unwanted = False
        self._drain_soon()

    def abort(self) -> None:
        """See `Link.abort`."""
        self._drop("aborted")

    def invalid_text(self) -> bool:
        """See `Link.invalid_text`."""
        return False

    # What the heartbeat asks.

    @abstractmethod
    def ping(self) -> None:
        """Ask the peer for a sign of life."""

    def is_deaf(self) -> bool:
        """Whether the receiver has paused reading, so that the peer's silence means nothing."""
        return self._held is not None

    def unanswered(self) -> None:
        """No sign of life since the last ping: drop the connection."""
        self._drop(f"no pong within {self.ping_timeout:g} s")

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a transport whose protocol this is from now on."""
        # Not asserted to be an `asyncio.Transport`: uvloop's transports are not.
        self._transport = cast(asyncio.Transport, transport)
        # From Python 3.12 on, `writelines` of asyncio's own sockets does not say when their buffer is full (seen with
        # 3.13.0): a peer that does not read would make it grow for ever. `write` does.
        self._writelines_forgets = sys.version_info >= (3, 12) and type(transport).__module__.startswith("asyncio.")
        self._surroundings.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone: tell the receiver, once, and let go of everything."""
        self._open = False
        self._surroundings.connections.discard(self)
        self._surroundings.heartbeat.forget(self)
        if self._surroundings.door is not None:
            self._surroundings.door.leave(self.info.peer)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._transport = self._rest = self._finish = None
        self._lose(self._reason or (f"connection lost: {exc}" if exc else "connection closed by peer"))

    def eof_received(self) -> bool:
        """The peer sends no more; returning False lets the transport close itself, within the time limit."""
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
            self._take_turns()

    # What subclasses use.

    def _begin(self, connected: Callable[[Any], Receiver]) -> None:
        """Open the link: from now on messages are delivered to what `connected` returns."""
        self._open = True
        try:
            self._receiver = connected(self)
        except Exception:
            logger.exception("%s: the connection could not be set up", self)
            self._broken()
            return
        if self._open and self._held is None:
            self._deliver = self._way_in(self._receiver)
        if self._open:
            self._surroundings.heartbeat.watch(self)

    @abstractmethod
    def _broken(self) -> None:
        """Our own code failed (and the error is logged): end the connection."""

    def _answer(self, data: bytes) -> None:
        """Write an answer to something like a ping, in order with everything else.

        A peer that floods us with pings and does not read the answers is not read from until it does.
        """
        if self._open:
            self._put(data)
            if self._is_full():
                self._flooded = True
                self._steer_reading()

    def _send_answers(self) -> None:
        if self._answers:
            answers, self._answers = self._answers, []
            self._answer(b"".join(answers))

    def _drop(self, reason: str) -> None:
        if self._transport is not None:
            self._open = False
            self._reason = self._reason or reason
            self._deliver = _discard
            self._held = None
            self._rest = self._finish = None
            self._transport.abort()

    def _limit_closing(self) -> None:
        """Abort unless the connection is gone within the close timeout."""
        self._surroundings.heartbeat.forget(self)
        if self._deadline is None:
            self._deadline = self._loop.call_later(self._close_timeout, self._drop, "no orderly close in time")

    def _stop_delivering(self) -> None:
        """Nothing is delivered any more; what arrives is read and thrown away."""
        self._deliver = self._turn_way = _discard
        self._held = None
        self._unwanted = False
        self._flooded = False
        self._steer_reading()

    def _lose(self, reason: str) -> None:
        """Tell the receiver that the link is gone, if it has not been told."""
        receiver, self._receiver = self._receiver, None
        self._stop_delivering()
        if receiver is not None:
            receiver.link_lost(reason)

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

    def _way_in(self, receiver: Receiver) -> Callable[[bytes], None]:
        """What is called with each message while nothing has to wait."""
        return receiver.message_received

    def _begin_turn(self) -> None:
        """A large read is to be worked off: handle some of its messages now, and the rest in later rounds."""
        if self._open and self._held is None and self._receiver is not None:
            self._turn = perf_counter() + TURN_SECONDS
            self._turn_way = self._way_in(self._receiver)
            self._deliver = self._deliver_some

    def _end_turn(self) -> None:
        """It is worked off."""
        if self._open and self._held is None and self._receiver is not None:
            self._deliver = self._turn_way

    def _deliver_some(self, data: bytes) -> None:
        self._turn_way(data)
        if perf_counter() > self._turn and self._deliver is not _discard:
            self._hold()
            self._drain_soon()

    def _hold(self) -> None:
        """Keep what arrives from now on, and read no more."""
        if self._held is None:
            self._held = deque()
            self._deliver = self._held.append
            self._steer_reading()

    def _drain_soon(self) -> None:
        """Deliver what had to wait, in a later round of the loop."""
        if self._held is not None and not self._draining:
            self._draining = True
            self._loop.call_soon(self._drain)

    def _handle_held(self, item: Any) -> None:
        """Deliver one thing that had to wait: a message, several, or what a subclass put among them."""
        if isinstance(item, Iterator):
            self._handle_all(item)
        else:
            self._handle_one(item)

    def _handle_all(self, items: Iterator[Any]) -> None:
        """Handle one after the other, until they must wait: the receiver has paused, or others want their turn."""
        end = perf_counter() + TURN_SECONDS
        for item in items:
            if self._receiver is None:
                return
            self._handle_one(item)
            if self._deliver is _discard:
                return
            if self._unwanted or perf_counter() > end:
                self._wait_with(items)
                return

    def _handle_one(self, item: Any) -> None:
        """Deliver a message, or handle what a subclass found among them."""
        assert self._receiver is not None
        self._receiver.message_received(item)

    def _wait_with(self, items: Iterator[Any]) -> None:
        self._hold()
        assert self._held is not None
        self._held.appendleft(items)
        if not self._unwanted:
            self._drain_soon()

    def _drain(self) -> None:
        self._draining = False
        end = perf_counter() + TURN_SECONDS
        try:
            while self._held and not self._unwanted and not self._draining and self._receiver is not None:
                self._handle_held(self._held.popleft())
                if perf_counter() > end:
                    self._drain_soon()
        except Exception:
            logger.exception("%s: a message could not be handled", self)
            self._broken()
        if self._held is not None and not self._unwanted and not self._draining and self._receiver is not None:
            self._held = None
            self._deliver = self._way_in(self._receiver)
            self._steer_reading()

    def _worked(self, seconds: float) -> None:
        """A large read has been worked off. After too much of that no more is read in this round of the loop."""
        self._busy += seconds
        if self._busy > TURN_SECONDS and not self._resting and self._transport is not None:
            self._busy = 0.0
            self._resting = True
            self._steer_reading()
            self._loop.call_soon(self._end_rest)

    def _end_rest(self) -> None:
        self._resting = False
        self._steer_reading()

    def _steer_reading(self) -> None:
        pause = self._held is not None or self._flooded or self._resting
        if pause != self._source_paused and self._transport is not None:
            self._source_paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _report_writing(self) -> None:
        is_full = self._is_full()
        if self._receiver is None or is_full == self._reported_paused:
            return
        self._reported_paused = is_full
        if is_full:
            self._receiver.writing_paused()
        else:
            self._receiver.writing_resumed()
