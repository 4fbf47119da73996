"""How many messages and bytes a client may send in a second: one that sends more is read more slowly.

What a client sends above its rate waits in its own socket: it feels the network's back-pressure, loses nothing, and
costs nobody anything. A session without such limits has no part in this, and pays nothing for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from rocade.errors import LIMIT_EXCEEDED, ProtocolViolation
from rocade.serve.admission import RATE

if TYPE_CHECKING:
    from rocade.serve.connection import Connection
    from rocade.wamp.messages import Message

__all__ = ["Bucket", "Gauge", "Meter", "Rates", "RatesExceeded"]

MIN_PAUSE = 0.01
"""Seconds that a reader is paused at least: longer than one message may take, so that timers do not pile up."""


class Rates(Struct, frozen=True, kw_only=True):
    """How fast a client may send; 0 is any speed.

    Attributes:
        message_rate: messages per second.
        message_burst: messages that may come at once; 0 is as many as in a second.
        byte_rate: bytes per second, of messages without their frames.
        byte_burst: bytes that may come at once; 0 is as many as in a second.
    """

    message_rate: float = 0.0
    message_burst: float = 0.0
    byte_rate: float = 0.0
    byte_burst: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.message_rate or self.byte_rate)


class RatesExceeded(ProtocolViolation):
    """A client sends faster than it may, where that ends its session."""

    uri = LIMIT_EXCEEDED


class Bucket:
    """A rate with a burst: tokens come at the rate, as many as the burst are kept, and each unit takes one."""

    __slots__ = ("_burst", "_clock", "_rate", "_since", "_tokens")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        """
        Args:
            rate: tokens per second.
            burst: tokens that are kept at most; 0 for those of one second.
            clock: the time in seconds.
        """
        self._rate = rate
        self._burst = self._tokens = burst or max(rate, 1.0)
        self._clock = clock
        self._since = clock()

    def take(self, amount: float) -> float:
        """Take tokens, more than there are if need be; seconds until none is owed any more."""
        now = self._clock()
        self._tokens = tokens = min(self._burst, self._tokens + (now - self._since) * self._rate) - amount
        self._since = now
        return -tokens / self._rate if tokens < 0 else 0.0

    @property
    def is_full(self) -> bool:
        """Whether it is as good as a new one."""
        return self._tokens + (self._clock() - self._since) * self._rate >= self._burst


class Gauge:
    """The buckets of one kind of rates: of one session, of one authid, or of a realm."""

    __slots__ = ("_bytes", "_messages", "name")

    def __init__(self, name: str, rates: Rates, clock: Callable[[], float]) -> None:
        """
        Args:
            name: what comes before "message_rate" in the limit's name.
            rates: what the buckets hold.
            clock: the time in seconds.
        """
        self.name = name
        self._messages = Bucket(rates.message_rate, rates.message_burst, clock) if rates.message_rate else None
        self._bytes = Bucket(rates.byte_rate, rates.byte_burst, clock) if rates.byte_rate else None

    def take(self, size: int) -> tuple[float, str]:
        """Count a message of so many bytes; for how long no other should follow, and why."""
        wait, limit = 0.0, ""
        if self._messages is not None:
            wait, limit = self._messages.take(1), "message_rate"
        if self._bytes is not None:
            longer = self._bytes.take(size)
            if longer > wait:
                wait, limit = longer, "byte_rate"
        return wait, self.name + limit

    @property
    def is_full(self) -> bool:
        """Whether it is as good as a new one."""
        return all(bucket.is_full for bucket in (self._messages, self._bytes) if bucket is not None)


class Meter:
    """Counts what comes in on one connection, in place of the decoder that it passes on to."""

    __slots__ = ("_connection", "_decode", "_ends_session", "_gauges", "_timer")

    def __init__(
        self,
        connection: Connection,
        decode: Callable[[bytes], Message],
        gauges: Sequence[Gauge],
        *,
        ends_session: bool = False,
    ) -> None:
        """
        Args:
            connection: not read for a while when its client is too fast.
            decode: what makes messages of bytes.
            gauges: of the session, and what it shares with others.
            ends_session: whether sending too fast ends the session, instead of being slowed down.
        """
        self._connection = connection
        self._decode = decode
        self._gauges = gauges
        self._ends_session = ends_session
        self._timer: asyncio.TimerHandle | None = None

    def decode(self, data: bytes) -> Message:
        """Count a message, and decode it.

        Raises:
            RatesExceeded: the client sends too fast, and that ends its session.
        """
        self.count(len(data))
        return self._decode(data)

    def count(self, size: int) -> None:
        """Count a message of so many bytes that is decoded elsewhere.

        Raises:
            RatesExceeded: the client sends too fast, and that ends its session.
        """
        longest = 0.0
        limit = ""
        for gauge in self._gauges:
            wait, name = gauge.take(size)
            if wait > longest:
                longest, limit = wait, name
        if longest > 0.0:
            self._too_fast(longest, limit)

    def _too_fast(self, seconds: float, limit: str) -> None:
        connection = self._connection
        if self._ends_session:
            connection.limit_reached(limit, "its session is ended")
            raise RatesExceeded(f"messages come faster than the limit {limit} allows")
        if self._timer is None:
            connection.limit_reached(limit, "it is read more slowly")
        else:
            # It was on its way when reading was paused, behind a long message: it costs a longer wait.
            self._timer.cancel()
        connection.pause_reading(RATE)
        self._timer = asyncio.get_running_loop().call_later(max(seconds, MIN_PAUSE), self._read_on)

    def _read_on(self) -> None:
        self._timer = None
        self._connection.resume_reading(RATE)

    def close(self) -> None:
        """The connection has no session any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._connection.resume_reading(RATE)
