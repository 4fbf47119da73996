"""What the roles of a client share: request ids, messages out, answers in, and whether there is a session at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal

from rocade.client.codec import CODECS, Error
from rocade.client.errors import exception_for
from rocade.client.outbox import Outbox
from rocade.errors import ConnectionLost, ProtocolViolation, SessionClosed
from rocade.net.link import Link
from rocade.wamp.ids import next_request_id
from rocade.wamp.messages import (
    Message,
    Published,
    Received,
    Registered,
    RouterRoles,
    Subscribed,
    Unregistered,
    Unsubscribed,
)

__all__ = ["Channel", "fail"]

RECEIVED_EVERY = 64
"""Messages after which the router is told how many have arrived, in a session that can be resumed."""
RECEIVED_WITHIN = 1.0
"""Seconds after which it is told at the latest."""

_Answer = Callable[[Any], None]

logger = logging.getLogger("rocade.client")


class Channel:
    """One client's messages, over all its connections.

    Attributes:
        loop: the event loop that everything runs on.
        outbox: what is sent.
        codec: of the connection there is, or was.
        epoch: counts WAMP sessions: what belongs to an earlier one must not be answered in this.
        is_open: whether there is a session, with a connection.
        size: bytes of the message that is being handled.
        roles: what the router announced.
        handlers: message class -> what takes it, within a session.
        on_lost: called with the exception for what is under way when a session is over.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """
        Args:
            loop: the running event loop.
        """
        self.loop = loop
        self.outbox = Outbox(loop)
        self.codec = CODECS["json"]
        self.epoch = 0
        self.is_open = False
        self.size = 0
        self.roles = RouterRoles()
        self.on_lost: list[Callable[[Exception], None]] = []
        self.handlers: dict[type[Any], Callable[[Any], None]] = {
            Published: self._answered,
            Subscribed: self._answered,
            Registered: self._answered,
            Unsubscribed: self._answered,
            Unregistered: self._answered,
            Error: self._refused,
            Received: self._confirmed,
        }
        # REQUEST.Type of ERROR -> who takes it, where it is not the answer to one of `request`
        self.error_handlers: dict[int, Callable[[Error], None]] = {}
        self._last_request = 0
        # request -> who waits for the answer, and what is to be done with it before anything else is received
        self._requests: dict[int, tuple[asyncio.Future[Any], _Answer | None]] = {}
        self._opening: asyncio.Future[None] | None = None
        self._end: SessionClosed | None = None
        # Messages of the session that arrived, and those of them that the router knows about; only while it counts.
        self._counts = False
        self.received = 0
        self._told = 0
        self._timer: asyncio.TimerHandle | None = None

    # --- life -------------------------------------------------------------------------------------

    def open(self, link: Link, roles: RouterRoles, *, resumable: bool, resumed: bool) -> None:
        """There is a session.

        Args:
            link: its connection.
            roles: what the router announced.
            resumable: whether both sides count messages.
            resumed: whether it is the session that was there before.
        """
        if not resumed:
            self.epoch += 1
            self.received = self._told = 0
            self._last_request = 0
            self.outbox.forget()
        self.roles = roles
        if resumed and self.codec.serializer is not link.wire.serializer:
            self.outbox.translate(self.codec.serializer, link.wire.serializer)
        self.codec = CODECS[link.wire.serializer.name]
        self._counts = resumable
        self.outbox.attach(link, keeps=resumable)
        self.is_open = True
        if resumed:
            self._tell()  # shows the router that its new token has arrived
        if self._opening is not None:
            self._opening.set_result(None)
            self._opening = None

    def detach(self) -> None:
        """The connection is gone; the session may be resumed."""
        self.is_open = False
        self._stop_timer()
        self.outbox.detach()
        self.outbox.release()

    def lose(self, error: Exception) -> None:
        """The session is over: whoever waits for something in it gets the error."""
        self.detach()
        self.outbox.forget()
        self._counts = False
        self.epoch += 1
        requests, self._requests = self._requests, {}
        for future, _ in requests.values():
            fail(future, error)
        for lost in self.on_lost:
            lost(error)

    def close(self, reason: str) -> None:
        """There will be no further session."""
        self._end = SessionClosed(reason)
        self.lose(self._end)
        if self._opening is not None:
            opening, self._opening = self._opening, None
            opening.set_result(None)

    def supports(self, role: Literal["broker", "dealer"], feature: str) -> bool:
        """Whether the router announced a feature of one of its roles."""
        announced = getattr(self.roles, role)
        return announced is not None and bool((announced.features or {}).get(feature))

    @property
    def end(self) -> SessionClosed | None:
        """Why there will be no further session; None while there may be."""
        return self._end

    async def ready(self) -> None:
        """Wait until there is a session, and room in its outbox.

        Raises:
            SessionClosed: there will be none.
        """
        while True:
            if self._end is not None:
                raise SessionClosed(str(self._end))
            if not self.is_open:
                if self._opening is None:
                    self._opening = self.loop.create_future()
                await asyncio.shield(self._opening)
            elif self.outbox.is_full:
                await self.outbox.room()
            else:
                return

    # --- messages out -----------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Send a message that is no request.

        Raises:
            PayloadNotSerializable, PayloadTooLarge: it cannot be sent.
        """
        self.outbox.put(self.codec.encode(message))

    def send_request(self, make: Callable[..., Message], *fields: Any) -> int:
        """Send a request, which takes the next id; after `ready`.

        Args:
            make: the message's class.
            *fields: what follows the id in it.
        Returns:
            The id.
        Raises:
            PayloadNotSerializable, PayloadTooLarge: it cannot be sent; the id stays free, as ids must not have gaps.
        """
        request = next_request_id(self._last_request)
        self.outbox.put(self.codec.encode(make(request, *fields)))
        self._last_request = request
        return request

    async def request(self, make: Callable[..., Message], *fields: Any, then: _Answer | None = None) -> Any:
        """Send a request and wait for its answer.

        Args:
            make: the message's class.
            *fields: what follows the id in it.
            then: called with the answer at once, before any further message is looked at.
        Returns:
            The answering message.
        Raises:
            Exception: what the ERROR says; ConnectionLost, SessionClosed.
        """
        await self.ready()
        request = self.send_request(make, *fields)
        future: asyncio.Future[Any] = self.loop.create_future()
        self._requests[request] = future, then
        return await future

    def request_unheard(self, make: Callable[..., Message], *fields: Any, then: _Answer | None = None) -> None:
        """Send a request for whose answer nobody waits, unless there is no session.

        Without a connection it goes out when the session is resumed.

        Args:
            make: the message's class.
            *fields: what follows the id in it.
            then: see `request`.
        """
        if self.is_open or self._counts:
            future: asyncio.Future[Any] = self.loop.create_future()
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._requests[self.send_request(make, *fields)] = future, then

    # --- messages in ------------------------------------------------------------------------------

    def count(self, message: Any) -> None:
        """A message has arrived within the session: all count but RECEIVED (docs/resume.md)."""
        if not self._counts or type(message) is Received:
            return
        self.received += 1
        if self.received - self._told >= RECEIVED_EVERY:
            self._tell()
        elif self._timer is None:
            self._timer = self.loop.call_later(RECEIVED_WITHIN, self._tell)

    def _answered(self, message: Any) -> None:
        waiting = self._requests.pop(message.request, None)
        if waiting is None:
            raise ProtocolViolation(
                f"{type(message).__name__.upper()} for request {message.request}, which is not open"
            )
        future, then = waiting
        if then is not None:
            then(message)
        if not future.done():
            future.set_result(message)

    def _refused(self, message: Error) -> None:
        handler = self.error_handlers.get(message.request_type)
        if handler is not None:
            handler(message)
            return
        waiting = self._requests.pop(message.request, None)
        if waiting is None:
            logger.debug("ERROR %s for request %d, which is not open", message.error, message.request)
        elif not waiting[0].done():
            waiting[0].set_exception(exception_for(message.error, message.args, message.kwargs))

    def _confirmed(self, message: Received) -> None:
        if not self.outbox.confirm(message.count):
            raise ProtocolViolation(f"the router confirms {message.count} messages, which cannot be")

    def _tell(self) -> None:
        self._stop_timer()
        self._told = self.received
        self.outbox.put_uncounted(self.codec.encode(Received(self.received)))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def fail(future: asyncio.Future[Any], error: Exception) -> None:
    """Fail a future, if anybody still waits; each with an exception of its own, since tracebacks grow on them."""
    if not future.done():
        future.set_exception(type(error)(*error.args) if isinstance(error, ConnectionLost | SessionClosed) else error)
