"""A long-poll connection as a `Link`: what its HTTP requests have in common."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum

from starlette.types import Receive

from rocade.net.link import LinkInfo, Receiver, Wire
from rocade.wamp.batching import RECORD_SEPARATOR, batch
from rocade.wamp.pieces import Pieces

__all__ = ["Answer", "LongPollLink"]

logger = logging.getLogger("rocade.longpoll")

BATCH_BYTES = 1024 * 1024
"""Size of a batch from which on no further message is added to it."""

SLICE_BYTES = 64 * 1024
"""Bytes of messages that are handled at once: bounds how long one request can hold the loop."""

MESSAGE_OVERHEAD = 64
"""Bytes that a waiting message costs besides its own."""


class Answer(Enum):
    """What became of a request for messages."""

    MESSAGES = "there are some"
    NONE = "none came in time, or the client has closed"
    TAKEN_OVER = "another request waits instead"
    CLOSED = "the router has closed"
    NOBODY = "the client is gone"


class LongPollLink:
    """One client's connection, made of many requests.

    It is open at first: both sides may send. Once the router has closed it, what waits may still be fetched. Once it is
    lost, it is only known so that late requests get a fitting answer.

    Attributes:
        is_batched: whether a body is a batch of messages instead of one.
        separator: what the client's JSON batches have behind each message.
        requests: how many are being answered at the moment.
        last_request: loop time of the latest sign of life.
        is_hung_up: whether the client has closed.
        lost_at: loop time of the end; None before it.
        address: the address that it counts for, if any.
        sending: held by the request whose messages are delivered, so that they stay in the order of requests.
    """

    max_send_bytes = sys.maxsize

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wire: Wire,
        info: LinkInfo,
        *,
        is_batched: bool,
        max_queue_bytes: int,
        max_queue_messages: int,
        close_timeout: float,
    ) -> None:
        """
        Args:
            loop: where everything happens.
            wire: how messages travel.
            info: of the request that opened the connection.
            is_batched: whether a body is a batch of messages instead of one.
            max_queue_bytes: bytes that may wait for the client. One message may be larger, if it waits alone.
            max_queue_messages: messages that may wait for it.
            close_timeout: seconds that it has to fetch what waits, after the router has closed.
        """
        self.wire = wire
        self.info = info
        self.is_batched = is_batched
        self.separator = RECORD_SEPARATOR
        self.requests = 0
        self.last_request = loop.time()
        self.is_hung_up = False
        self.lost_at: float | None = None
        self.address: str | None = None
        self.sending = asyncio.Lock()
        self._loop = loop
        self._max_queue_bytes = max_queue_bytes
        self._max_queue_messages = max_queue_messages
        self._close_timeout = close_timeout
        self._receiver: Receiver | None = None
        # Messages for the client that no request has fetched yet.
        self._queue: deque[bytes | Pieces] = deque()
        self._queued_bytes = 0
        self._open = True
        # Loop time until when what waits may be fetched, once the router has closed.
        self._deadline: float | None = None
        self._end = "closed"
        # Time limit of the request that waits for messages, and how many there have been.
        self._poll: asyncio.Timeout | None = None
        self._polls = 0
        # Set while messages are wanted.
        self._wanted = asyncio.Event()
        self._wanted.set()

    def __repr__(self) -> str:
        return f"<LongPollLink {self.wire.name} {self.info.peer}>"

    # --- what `Link` offers -----------------------------------------------------------------------

    def write(self, frames: Sequence[bytes | Pieces]) -> None:
        """See `Link.write`."""
        if not self._open:
            return
        self._queue += frames
        self._queued_bytes += sum(map(len, frames))
        if len(self._queue) > 1 and (
            len(self._queue) > self._max_queue_messages or self.buffered_bytes() > self._max_queue_bytes
        ):
            logger.warning(
                "disconnected %s: a slow consumer, with %d messages (%d bytes) waiting to be fetched",
                self.info.peer,
                len(self._queue),
                self._queued_bytes,
            )
            self.abort()
        else:
            self._wake()

    def buffered_bytes(self) -> int:
        """See `Link.buffered_bytes`: what the client has not fetched yet."""
        return self._queued_bytes + MESSAGE_OVERHEAD * len(self._queue)

    def pause_reading(self) -> None:
        """See `Link.pause_reading`: the client's requests are not read, nor answered, for now."""
        if self._open:
            self._wanted.clear()

    def resume_reading(self) -> None:
        """See `Link.resume_reading`."""
        self._wanted.set()

    def close(self, reason: str = "", *, failure: bool = False) -> None:
        """See `Link.close`: the client fetches what waits, and learns of the end by asking for more."""
        if self._open:
            self._open = False
            self._end = "protocol error" if failure else "closed"
            self._deadline = self._loop.time() + self._close_timeout
            self._wanted.set()
            self._wake()

    def invalid_text(self) -> bool:
        """See `Link.invalid_text`: a body is no text by HTTP's rules."""
        return False

    def abort(self) -> None:
        """See `Link.abort`."""
        if self.lost_at is None:
            self._open = False
            self._clear()
            # Not at once: a receiver must not be called from inside `write`.
            self._loop.call_soon(self.lose, "aborted")

    # --- what requests do -------------------------------------------------------------------------

    def begin(self, receiver: Receiver) -> None:
        """From now on messages are delivered to this receiver."""
        self._receiver = receiver

    async def deliver(self, messages: Iterable[bytes | memoryview]) -> None:
        """Hand messages from the client to the receiver, as it wants them.

        What comes after the end of the link is thrown away.
        """
        size = 0
        for message in messages:
            await self._wanted.wait()
            if not self._open or self._receiver is None:
                return
            self._receiver.message_received(message)
            size += len(message)
            if size > SLICE_BYTES:
                size = 0
                await asyncio.sleep(0)

    async def wait_until_wanted(self) -> None:
        """Wait as long as the receiver wants no messages."""
        await self._wanted.wait()

    async def wait_for_messages(self, receive: Receive, seconds: float) -> Answer:
        """Wait until there is something to fetch, or to say.

        A request that waits already is sent away: its client has given it up and is here again. To notice that a
        client goes, and yet cost no task besides the request's own, this waits for the end of the connection, with a
        time limit that is up as soon as there are messages.

        Args:
            receive: tells when the client goes (ASGI).
            seconds: how long to wait.
        """
        self._wake()
        self._polls += 1
        number = self._polls
        if not self._queue and self._open:
            try:
                async with asyncio.timeout(seconds) as self._poll:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                return Answer.NOBODY
            except TimeoutError:
                pass
            finally:
                if number == self._polls:
                    self._poll = None
            if number != self._polls:
                return Answer.TAKEN_OVER
        if self._queue:
            return Answer.MESSAGES
        if self._open or self.is_hung_up:
            return Answer.NONE
        # The client learns of the end by this answer: so the link has ended in an orderly way.
        self.lose(self._end)
        return Answer.CLOSED

    def fetch(self) -> bytes | Pieces:
        """The body of a response with what waits: one message, or a batch."""
        messages = [self._queue.popleft()]
        if self.is_batched:
            size = len(messages[0])
            while self._queue and size < BATCH_BYTES:
                messages.append(self._queue.popleft())
                size += len(messages[-1])
        self._queued_bytes -= sum(map(len, messages))
        if not self.is_batched:
            return messages[0]
        return batch(messages, is_binary=self.wire.serializer.is_binary, separator=self.separator)

    def hang_up(self) -> None:
        """The client closes."""
        self.is_hung_up = True
        self.lose("closed by peer")

    def lose(self, reason: str) -> None:
        """The link is gone: tell the receiver, if it has not been told, and let go of everything."""
        if self.lost_at is not None:
            return
        self.lost_at = self._loop.time()
        self._open = False
        self._clear()
        self._wanted.set()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.link_lost(reason)

    # --- what the timer asks ----------------------------------------------------------------------

    def is_overdue(self, now: float) -> bool:
        """Whether the client has had its time to fetch what waited when the router closed."""
        return self._deadline is not None and now >= self._deadline

    # --- details ----------------------------------------------------------------------------------

    def _clear(self) -> None:
        self._queue.clear()
        self._queued_bytes = 0
        self._wake()

    def _wake(self) -> None:
        """End the wait of a request that waits."""
        poll, self._poll = self._poll, None
        if poll is not None and not poll.expired():
            poll.reschedule(self._loop.time())
