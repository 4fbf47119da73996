"""What a connection has read, handed on in turns, so that no client holds the loop for long and none loses its order.

A receiver that has paused gets nothing. What was read already waits, and no more is read from the socket meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, Protocol

__all__ = ["LARGE_READ", "LAST_TURN_SECONDS", "TURN_SECONDS", "Reader", "Reading", "discard"]

logger = logging.getLogger("rocade.net")

LARGE_READ = 2048
"""From this size of a read on, the time is taken: less holds no more messages than can be handled at once."""

TURN_SECONDS = 0.001
"""Seconds in which messages of one connection are handled before others have their turn, and one message more. libuv
reads up to 32 times in a row from a socket that has more, so this is also for how long it may go on with that."""

LAST_TURN_SECONDS = 0.005
"""The same for messages with which the end of the connection has come, as it may over TLS."""


class Source(Protocol):
    """Where a connection reads from; a transport."""

    def pause_reading(self) -> None:
        """Read no more."""

    def resume_reading(self) -> None:
        """Read again."""


class Reader(Protocol):
    """A connection, as its `Reading` sees it."""

    def handle_held(self, item: Any) -> None:
        """Deliver a message that had to wait, or handle what else was kept in its place."""

    def broken(self) -> None:
        """That raised (and the error is logged): our own code failed."""


def discard(_data: bytes) -> None:
    """Where messages go that nobody wants any more."""


class Reading:
    """How far a connection has got with what it reads.

    Attributes:
        deliver: takes each message that is read. It changes with every turn and pause, even in the middle of a read.
        held: what had to wait, in order: messages, and what else the connection has kept in their place. None while
            nothing has to wait.
    """

    __slots__ = (
        "_busy",
        "_is_drain_due",
        "_is_flooded",
        "_is_resting",
        "_is_source_paused",
        "_is_unwanted",
        "_loop",
        "_reader",
        "_source",
        "_turn_end",
        "_way",
        "deliver",
        "held",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, reader: Reader) -> None:
        """
        Args:
            loop: that the connection runs on.
            reader: the connection.
        """
        self._loop = loop
        self._reader: Reader | None = reader
        self._source: Source | None = None
        # How messages are delivered to whom they are for; `discard` if there is nobody.
        self._way: Callable[[bytes], None] = discard
        self.deliver: Callable[[bytes], None] = discard
        self.held: deque[Any] | None = None
        self._is_unwanted = False
        self._is_drain_due = False
        # Why nothing is read from the source, besides what waits: the peer does not read our answers, or others have
        # their turn.
        self._is_flooded = False
        self._is_resting = False
        self._is_source_paused = False
        # While a large read is worked off: until when messages may be handled.
        self._turn_end = 0.0
        # Seconds of work since others had their turn.
        self._busy = 0.0

    # From the first message to the last one.

    def begin(self, source: Source) -> None:
        """The connection reads from here."""
        self._source = source

    def open(self, way: Callable[[bytes], None]) -> None:
        """There is somebody for the messages now, who may have paused already.

        Args:
            way: called with each message while nothing has to wait.
        """
        self._way = way
        if self.held is None:
            self.deliver = way

    def stop(self) -> None:
        """Nothing is delivered any more; what arrives is read and thrown away."""
        self.deliver = self._way = discard
        self.held = None
        self._is_unwanted = False
        self._is_flooded = False
        self._steer()

    def end(self) -> None:
        """The connection is gone: stop, and let go of it."""
        self._source = self._reader = None
        self.stop()

    # Turns.

    def begin_turn(self) -> None:
        """A large read is to be worked off: handle some of its messages now, and the rest in later rounds."""
        if self._way is not discard and self.held is None:
            self._turn_end = perf_counter() + TURN_SECONDS
            self.deliver = self._deliver_some

    def end_turn(self) -> None:
        """It is worked off."""
        if self._way is not discard and self.held is None:
            self.deliver = self._way

    def _deliver_some(self, data: bytes) -> None:
        self._way(data)
        if perf_counter() > self._turn_end and self._way is not discard:
            self._hold()
            self._drain_soon()

    def handle_all(self, items: Iterator[Any], handle: Callable[[Any], None]) -> None:
        """Handle one after the other, until they must wait: the receiver has paused, or others want their turn.

        Args:
            items: found in what was read, when they are asked for. What is left of them is what has to wait.
            handle: called with each of them.
        """
        if self._way is discard:
            return
        end = perf_counter() + TURN_SECONDS
        for item in items:
            handle(item)
            if self._way is discard:
                return
            if self._is_unwanted or perf_counter() > end:
                self._hold()
                assert self.held is not None
                self.held.appendleft(items)
                self._drain_soon()
                return

    def worked(self, seconds: float) -> None:
        """A large read has been worked off. After too much of that no more is read in this round of the loop."""
        self._busy += seconds
        if self._busy > TURN_SECONDS and not self._is_resting and self._source is not None:
            self._busy = 0.0
            self._is_resting = True
            self._steer()
            self._loop.call_soon(self._end_rest)

    def _end_rest(self) -> None:
        self._is_resting = False
        self._steer()

    # Pauses.

    def pause(self) -> None:
        """The receiver wants no more."""
        self._is_unwanted = True
        self._hold()

    def resume(self) -> None:
        """It wants what had to wait, and more, but not within this call."""
        self._is_unwanted = False
        self._drain_soon()

    def flood(self, is_flooded: bool) -> None:
        """Read nothing while we have answers for the peer which it does not read."""
        if is_flooded != self._is_flooded:
            self._is_flooded = is_flooded
            self._steer()

    def _hold(self) -> None:
        """Keep what arrives from now on, and read no more."""
        if self.held is None:
            self.held = deque()
            self.deliver = self.held.append
            self._steer()

    def _drain_soon(self) -> None:
        """Handle what had to wait, in a later round of the loop."""
        if self.held is not None and not self._is_unwanted and not self._is_drain_due:
            self._is_drain_due = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._is_drain_due = False
        reader = self._reader
        if reader is None:
            return
        end = perf_counter() + TURN_SECONDS
        try:
            while self.held and not self._is_unwanted and not self._is_drain_due:
                reader.handle_held(self.held.popleft())
                if perf_counter() > end:
                    self._drain_soon()
        except Exception:
            logger.exception("%s: a message could not be handled", reader)
            reader.broken()
        if self.held is not None and not self._is_unwanted and not self._is_drain_due:
            self.held = None
            self.deliver = self._way
            self._steer()

    def finish(self) -> None:
        """The peer sends no more, and the connection may be gone in a moment: handle what had to wait, in a last turn.

        What does not fit into it is lost, and so is what a receiver that has paused would get later.
        """
        reader = self._reader
        end = perf_counter() + LAST_TURN_SECONDS
        try:
            while self.held and not self._is_unwanted and reader is not None and perf_counter() < end:
                reader.handle_held(self.held.popleft())
        except Exception:
            logger.exception("%s: a message could not be handled", reader)
            assert reader is not None
            reader.broken()

    def _steer(self) -> None:
        pause = self.held is not None or self._is_flooded or self._is_resting
        if pause != self._is_source_paused and self._source is not None:
            self._is_source_paused = pause
            if pause:
                self._source.pause_reading()
            else:
                self._source.resume_reading()
