"""One connection's way from HELLO to GOODBYE, on the client's side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from rocade.client.authentication import Answer, Proof
from rocade.client.channel import Channel
from rocade.client.codec import CODECS
from rocade.errors import ConnectionFailed, HandshakeRefused, ProtocolViolation
from rocade.net.link import Link
from rocade.wamp.handshake import CLIENT, Direction, SessionState, advance
from rocade.wamp.messages import (
    Abort,
    Authenticate,
    Challenge,
    CloseDetails,
    Goodbye,
    Hello,
    Message,
    Welcome,
    WelcomeDetails,
)

__all__ = ["Owner", "Peer"]

GOODBYE_TIMEOUT = 2.0
"""Seconds that the router has to answer our GOODBYE."""

logger = logging.getLogger("rocade.client")


class Owner(Protocol):
    """Who is told what becomes of a connection."""

    def joined(self, peer: Peer, welcome: Welcome) -> None:
        """The session is open; what follows on the connection belongs to it."""

    def left(self, peer: Peer, reason: str, message: str | None) -> None:
        """The session is over: the router said GOODBYE or ABORT, or broke the protocol."""

    def lost(self, peer: Peer, reason: str) -> None:
        """The connection is gone, after its session was open."""


class Peer:
    """The receiver of one link.

    Attributes:
        link: the connection's bytes.
        welcome: done when there is a session; fails when there will be none.
    """

    def __init__(self, link: Link, channel: Channel, hello: Hello, proofs: Mapping[str, Proof], owner: Owner) -> None:
        """
        Args:
            link: a new link.
            channel: where the messages of the session go.
            hello: what is said first.
            proofs: authentication method -> what answers its challenge.
            owner: is told what becomes of it.
        """
        self.link = link
        self.welcome: asyncio.Future[Welcome] = channel.loop.create_future()
        self._channel = channel
        self._hello = hello
        self._proofs = proofs
        self._owner = owner
        self._decode = CODECS[link.wire.serializer.name].decode
        # Message class -> what takes it; empty until there is a session.
        self._handlers: Mapping[type[Message], Any] = {}
        self._state = SessionState.CLOSED
        # Whether the owner knows of a session here.
        self._has_session = False
        self._task: asyncio.Task[None] | None = None
        self._gone: asyncio.Future[None] = channel.loop.create_future()
        self._goodbye: asyncio.Future[str | None] | None = None

    def hello(self) -> None:
        """Say HELLO, unless the connection is gone already."""
        if self._state is SessionState.CLOSED:
            self._send(self._hello)

    # --- what the link tells ----------------------------------------------------------------------

    def message_received(self, data: bytes | memoryview) -> None:
        """One serialized message has arrived."""
        try:
            message = self._decode(data)  # type: ignore[arg-type]  # views come from batches, which nobody asked for
            handle = self._handlers.get(type(message))
            if handle is None:
                self._life_cycle(message)
            else:
                channel = self._channel
                channel.size = len(data)
                channel.count(message)
                handle(message)
        except ProtocolViolation as violation:
            self._violated(violation)
        except HandshakeRefused as refusal:
            self._refuse(refusal)
        except Exception:
            logger.exception("a message from the router could not be handled")
            self._violated(ProtocolViolation("internal error"))

    def writing_paused(self) -> None:
        """The router reads too slowly."""
        self._channel.outbox.pause()

    def writing_resumed(self) -> None:
        """The router has caught up."""
        self._channel.outbox.resume()

    def link_lost(self, reason: str) -> None:
        """The connection is gone."""
        has_session, self._has_session = self._has_session, False
        self._handlers = {}
        self._state = SessionState.ABORTED
        if self._task is not None:
            self._task.cancel()
        if not self.welcome.done():
            self.welcome.set_exception(
                ConnectionFailed(f"the connection was lost before there was a session: {reason}")
            )
        if self._goodbye is not None and not self._goodbye.done():
            self._goodbye.set_result(None)
        if not self._gone.done():
            self._gone.set_result(None)
        if has_session:
            self._owner.lost(self, reason)

    # --- the end ----------------------------------------------------------------------------------

    async def leave(self, reason: str, message: str | None) -> str:
        """Say GOODBYE, wait for the answer, and close the connection; the reason that the router gives, or ours."""
        if self._state is SessionState.ESTABLISHED:
            await self._drain()
        if self._state is SessionState.ESTABLISHED:
            self._goodbye = self._channel.loop.create_future()
            self._channel.outbox.flush()
            self._handlers = {}
            self._has_session = False
            self._send(Goodbye(CloseDetails(message), reason))
            await asyncio.wait([self._goodbye], timeout=GOODBYE_TIMEOUT)
            reason = (self._goodbye.result() if self._goodbye.done() else None) or reason
        self.link.close()
        await asyncio.wait([self._gone], timeout=GOODBYE_TIMEOUT)
        if not self._gone.done():
            self.link.abort()
        return reason

    async def _drain(self) -> None:
        """Wait until what was published is on its way, which takes time when the router reads slowly."""
        outbox = self._channel.outbox
        try:
            async with asyncio.timeout(GOODBYE_TIMEOUT):
                while outbox.is_full and self._state is SessionState.ESTABLISHED:
                    await outbox.room()
        except TimeoutError:
            pass

    def abandon(self) -> None:
        """Drop the connection."""
        self.welcome.cancel()
        self._handlers = {}
        self._has_session = False
        self._state = SessionState.ABORTED
        if self._task is not None:
            self._task.cancel()
        self.link.abort()

    def _violated(self, violation: ProtocolViolation) -> None:
        """The router broke the protocol: tell it, and hang up."""
        logger.error("the router broke the protocol: %s", violation)
        if self._state in (SessionState.ESTABLISHED, SessionState.ESTABLISHING, SessionState.CHALLENGED):
            self._send(Abort(CloseDetails(str(violation)), violation.uri))
        self._end(violation.uri, str(violation), violation)
        self.link.close("protocol error", failure=True)

    def _refuse(self, refusal: HandshakeRefused) -> None:
        """We do not want the session."""
        if self._state is SessionState.ABORTED:
            return
        self._send(Abort(CloseDetails(str(refusal)), refusal.uri))
        self._end(refusal.uri, str(refusal), refusal)
        self.link.close()

    def _end(self, reason: str, message: str | None, error: Exception) -> None:
        has_session, self._has_session = self._has_session, False
        self._handlers = {}
        self._state = SessionState.ABORTED
        if not self.welcome.done():
            self.welcome.set_exception(error)
        if has_session:
            self._owner.left(self, reason, message)

    # --- messages of the session's life -----------------------------------------------------------

    def _life_cycle(self, message: Message) -> None:
        state = self._state
        if state in (SessionState.ABORTED, SessionState.SHUTTING_DOWN) and type(message) is not Goodbye:
            return  # what was on its way when we left
        following = advance(CLIENT, state, Direction.RECEIVED, message)
        if type(message) is Welcome:
            self._welcomed(message)
        elif type(message) is Challenge:
            self._state = following
            self._challenged(message)
        elif type(message) is Abort:
            text = message.details.message or message.reason
            self._end(message.reason, text, HandshakeRefused(message.reason, text))
            self.link.close()
        elif type(message) is Goodbye:
            self._said_goodbye(message)
        else:
            logger.debug("%s is not for clients", type(message).__name__)

    def _welcomed(self, welcome: Welcome) -> None:
        wanted = self._hello.details.resume_session
        if welcome.details.resumed is not True:
            self._check_router(welcome.details)
        elif welcome.session != wanted:
            raise ProtocolViolation(f"session {welcome.session} is resumed, which was not asked for")
        self._state = SessionState.ESTABLISHED
        self._handlers = self._channel.handlers
        self._has_session = True
        self._owner.joined(self, welcome)
        if not self.welcome.done():
            self.welcome.set_result(welcome)

    def _check_router(self, details: WelcomeDetails) -> None:
        """Make sure that the router is who it claims to be. It cannot get around that by leaving out how we got in.

        Raises:
            HandshakeRefused: it is not, for none of the methods that it may mean.
        """
        proof = self._proofs.get(details.authmethod or "")
        refusal: HandshakeRefused | None = None
        for each in (proof,) if proof is not None else self._proofs.values():
            try:
                each.check(details)
            except HandshakeRefused as error:
                refusal = error
            else:
                return
        if refusal is not None:
            raise refusal

    def _challenged(self, challenge: Challenge) -> None:
        proof = self._proofs.get(challenge.method)
        if proof is None:
            raise ProtocolViolation(f"a challenge by {challenge.method!r}, which was not offered")
        answer = proof.answer(challenge, self.link.info)
        if isinstance(answer, tuple):
            self._authenticate(answer)
        else:
            self._task = self._channel.loop.create_task(self._answer_later(answer))

    async def _answer_later(self, answer: Awaitable[Answer]) -> None:
        try:
            self._authenticate(await answer)
        except HandshakeRefused as refusal:
            self._refuse(refusal)
        except Exception as error:  # of a function that the user gave us
            if self._state is SessionState.ABORTED:
                return
            self._send(Abort(CloseDetails("no credentials"), "wamp.error.authentication_failed"))
            self._end("wamp.error.authentication_failed", None, error)
            self.link.close()

    def _authenticate(self, answer: Answer) -> None:
        if self._state is SessionState.CHALLENGED:
            self._send(Authenticate(*answer))

    def _said_goodbye(self, message: Goodbye) -> None:
        if self._goodbye is not None:
            self._state = SessionState.CLOSED
            if not self._goodbye.done():
                self._goodbye.set_result(message.reason)
            return
        self._state = SessionState.CLOSING
        self._send(Goodbye(CloseDetails(), "wamp.close.goodbye_and_out"))
        text = message.details.message or message.reason
        self._end(message.reason, message.details.message, HandshakeRefused(message.reason, text))
        self.link.close()

    def _send(self, message: Message) -> None:
        """Send a message of the session's life, at once."""
        self._state = advance(CLIENT, self._state, Direction.SENT, message)
        wire = self.link.wire
        self.link.write([wire.frame(wire.serializer.encode(message))])
