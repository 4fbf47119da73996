"""Keeps a client connected: the first connection, and every one that replaces a lost one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from rocade.client.details import LeaveReason
from rocade.client.identity import Identity
from rocade.client.peer import Peer
from rocade.client.reconnect import Reconnect
from rocade.client.session import Session, in_join_hook
from rocade.errors import (
    LIMIT_EXCEEDED,
    ConnectionFailed,
    ConnectionLost,
    HandshakeRefused,
    ProtocolViolation,
    RocadeError,
)
from rocade.net.connection import StreamLink
from rocade.net.dial import RawSocketClientConnection, RequestRefused
from rocade.net.link import Link, Receiver
from rocade.wamp.messages import Welcome

__all__ = ["DEFAULT_TIMEOUT", "Connector", "Open"]

Open = Callable[[Callable[[Link], Receiver]], Awaitable[Link]]
"""Opens a new link to the router, and calls what it is given with it: that says who receives there."""

DEFAULT_TIMEOUT = 10.0
"""Seconds that the first connection may take, and each attempt to replace it."""

_EXPIRY_GRACE = 30.0
"""Seconds beyond the router's window for which a session may still be resumed: it may notice later than we do."""

_BRIEF = 5.0
"""Seconds within which a session that is lost, or ended, was a brief one. After several the next attempts come later: a
router that lets us in and turns us out again must not be asked hundreds of times in a second."""

# GOODBYE with one of these is meant for this client.
_FINAL_REASONS = {"wamp.close.killed", "wamp.close.normal", "wamp.close.logout"}

# ABORT with one of these says nothing about this client: the router is full, or about to go.
_PASSING_REFUSALS = {LIMIT_EXCEEDED, "wamp.close.system_shutdown"}

logger = logging.getLogger("rocade.client")


class Connector:
    """One session's connections, one after the other."""

    def __init__(
        self,
        session: Session,
        open_link: Open,
        identity: Identity,
        reconnect: Reconnect | None,
        ping_interval: float = 0.0,
    ) -> None:
        """
        Args:
            session: the session.
            open_link: makes connections.
            identity: for HELLO.
            reconnect: how lost connections are replaced; None is not at all.
            ping_interval: longest silence in seconds before a ping, on RawSocket; 0 never pings.
        """
        self._session = session
        self._channel = session._channel
        self._open = open_link
        self._identity = identity
        self._reconnect = reconnect
        self._peer: Peer | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed: asyncio.Future[Exception | None] = self._channel.loop.create_future()
        self._closing = False
        self._has_connected = False
        # When the latest connection got its session, and how many in a row had theirs for a moment only.
        self._joined_at = 0.0
        self._brief = 0
        self._ping_interval = ping_interval
        # Seconds that an attempt may take; the first connection has them for all of its attempts.
        self._timeout = DEFAULT_TIMEOUT
        # When to stop hoping that the session can be resumed.
        self._expiry: asyncio.TimerHandle | None = None
        self._window = 0.0
        self._settling: asyncio.Task[None] | None = None
        # What it takes to resume the session: its id and the latest token.
        self._resume: tuple[int, str] | None = None
        session._connector = self

    # --- the first connection ---------------------------------------------------------------------

    async def connect(self, timeout: float) -> None:
        """Connect for the first time; tries again while the router cannot be reached, until time is up.

        Args:
            timeout: seconds.
        Raises:
            HandshakeRefused, ConnectionFailed: there is no session.
        """
        self._timeout = timeout
        last: Exception | None = None
        try:
            async with asyncio.timeout(timeout):
                for attempt in count():
                    await asyncio.sleep((self._reconnect or Reconnect()).delay(attempt))
                    try:
                        await self._attempt()
                        break
                    except (HandshakeRefused, ProtocolViolation, RequestRefused):
                        raise
                    except OSError as error:
                        if self._reconnect is None:
                            raise
                        if last is None:
                            logger.warning("%s; trying again for %g s", _words(error), timeout)
                        last = error
                await self._after_join()
            self._has_connected = True
        except BaseException as error:
            await self._give_up(error)
            if isinstance(error, TimeoutError) and not isinstance(error, RocadeError):
                text = f"no session within {timeout:g} s{f': {_words(last)}' if last else ''}"
                raise ConnectionFailed(text) from None
            if isinstance(error, OSError) and not isinstance(error, RocadeError):
                raise ConnectionFailed(_words(error)) from error
            raise

    async def _attempt(self) -> bool:
        """Open a connection and a session on it; whether it is the old one, resumed."""
        resume = self._resume
        hello, proofs = self._identity.hello(self._session.realm)
        if resume is not None:
            hello.details.resume_session, hello.details.resume_token = resume
            hello.details.received = self._channel.received
        peer: Peer | None = None

        def connected(link: Link) -> Receiver:
            nonlocal peer
            peer = Peer(link, self._channel, hello, proofs, self)
            return peer

        await self._open(connected)
        assert peer is not None
        try:
            await self._tell("connect")
            peer.hello()
            welcome = await peer.welcome
        except BaseException as error:
            peer.abandon()
            if resume is not None and isinstance(error, HandshakeRefused):
                # The session is gone: the next attempt opens a new one.
                self._resume = None
                raise ConnectionFailed(f"the session could not be resumed: {error}") from None
            raise
        return welcome.details.resumed is True

    # --- what becomes of a connection -------------------------------------------------------------

    def joined(self, peer: Peer, welcome: Welcome) -> None:
        """See `Owner`."""
        details, session, channel = welcome.details, self._session, self._channel
        resumed = details.resumed is True
        if resumed and not channel.outbox.confirm(details.received or 0):
            raise ProtocolViolation("the router confirms messages that were never sent")
        if not resumed and self._peer is not None:
            self._lose("the session ended")
        self._peer = peer
        self._joined_at = channel.loop.time()
        session.id = welcome.session
        if not resumed:
            session.welcome = details
        token = details.resume_token if details.resumable else None
        self._resume = None if token is None else (welcome.session, token)
        self._window = details.resume_window or 0.0
        self._stop_expiry()
        channel.open(peer.link, details.roles, resumable=token is not None, resumed=resumed)
        # Autobahn, which Crossbar.io is built on, takes a ping for the head of a long message.
        if isinstance(peer.link, RawSocketClientConnection) and not (details.agent or "").startswith("Crossbar"):
            peer.link.watch(self._ping_interval)

    def left(self, peer: Peer, reason: str, message: str | None) -> None:
        """See `Owner`."""
        text = f"the router ended the session: {message or reason}"
        logger.warning("%s (%s)", text, reason)
        self._resume = None
        self._lose(text)
        self._start(self._replace(LeaveReason(reason, message), text, is_final=reason in _FINAL_REASONS))

    def lost(self, peer: Peer, reason: str) -> None:
        """See `Owner`."""
        if self._closing:
            return
        logger.info("connection lost: %s", reason)
        if self._resume is None:
            self._lose(f"the connection was lost: {reason}")
        else:
            self._channel.detach()
            self._expiry = self._channel.loop.call_later(self._window + _EXPIRY_GRACE, self._expire)
        self._start(self._replace(None, reason, is_final=False))

    def _lose(self, text: str) -> None:
        """The session is over; there may be another one."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        self._channel.lose(ConnectionLost(text))

    def _expire(self) -> None:
        """The router has given up on the session by now, even if it noticed late that the connection was lost."""
        self._expiry = None
        if not self._channel.is_open:
            self._resume = None
            self._lose("the connection was lost for too long to resume the session")

    def _stop_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _start(self, work: Any) -> None:
        if self._closing:
            work.close()
            return
        if self._task is not None:
            self._task.cancel()
        self._brief = self._brief + 1 if self._channel.loop.time() - self._joined_at < _BRIEF else 0
        self._task = self._channel.loop.create_task(work)

    async def _replace(self, left: LeaveReason | None, text: str, *, is_final: bool) -> None:
        """Tell those who want to know, and open a new connection."""
        try:
            was_resumable = self._resume is not None
            if not was_resumable:
                await self._tell("leave", left or LeaveReason("wamp.close.transport_lost", text))
            await self._tell("disconnect", text)
            if is_final or self._reconnect is None:
                await self._give_up(ConnectionLost(text))
                return
            await self._try_again(self._reconnect, was_resumable)
        except Exception as error:
            logger.error("given up: %s", error)
            await self._give_up(error)

    async def _try_again(self, reconnect: Reconnect, was_resumable: bool) -> None:
        refusals = attempt = 0
        earlier = max(0, self._brief - 1)
        while True:
            await asyncio.sleep(reconnect.delay(earlier + attempt))
            try:
                async with asyncio.timeout(self._timeout):
                    resumed = await self._attempt()
            except OSError as error:
                logger.info("attempt %d to connect again failed: %s", attempt + 1, _words(error))
                if isinstance(error, RequestRefused):
                    refusals += 1
            except (HandshakeRefused, ProtocolViolation) as error:
                refusals += error.uri not in _PASSING_REFUSALS
                logger.warning("the router refuses to let us in again: %s (%s)", error, error.uri)
                if refusals >= reconnect.max_refusals:
                    raise
            else:
                break
            if was_resumable and self._resume is None:
                was_resumable = False
                self._lose("the session could not be resumed")
                await self._tell("leave", LeaveReason("wamp.close.transport_lost", "the session could not be resumed"))
                attempt = -1
            attempt += 1
            if reconnect.max_attempts is not None and attempt >= reconnect.max_attempts:
                raise ConnectionFailed(f"{attempt} attempts to connect again have failed")
        logger.info("connected again, in %s session", "the same" if resumed else "a new")
        if resumed:
            await self._session._testaments.restore("detached")
            await self._tell("resume")
        else:
            # A task of its own: it goes on when the connection is lost again and the session is resumed.
            self._settling = self._channel.loop.create_task(self._settle())

    async def _settle(self) -> None:
        """Make a new session what the one before was."""
        try:
            await self._restore()
            await self._after_join()
        except ConnectionLost:
            pass  # there will be another one
        except Exception:
            logger.exception("the new session is not what the one before was")

    async def _restore(self) -> None:
        """Register and subscribe in a new session as in the one before."""
        await self._session._testaments.restore("detached", "destroyed")
        await self._session._subscriber.restore()
        refused = await self._session._callee.restore()
        attempt = 0
        while refused and self._channel.is_open:
            # The router may not have noticed yet that the session before is gone.
            attempt += 1
            await asyncio.sleep((self._reconnect or Reconnect()).delay(attempt))
            refused = await self._session._callee.restore()

    async def _after_join(self) -> None:
        token = in_join_hook.set(self._session)
        try:
            await self._tell("join")
        finally:
            in_join_hook.reset(token)

    async def _tell(self, event: str, *arguments: Any) -> None:
        """Tell those who want to know. What fails is logged, unless somebody waits for the first connection."""
        for hook in self._session.hooks(event):
            try:
                answer = hook(self._session, *arguments)
                if answer is not None:
                    await answer
            except Exception:
                if not self._has_connected:
                    raise
                logger.exception("a hook on_%s failed", event)

    # --- the end ----------------------------------------------------------------------------------

    def fileno(self) -> int:
        """See `Session.fileno`."""
        link = None if self._peer is None else self._peer.link
        return link.fileno() if isinstance(link, StreamLink) else -1

    async def close(self, reason: str, message: str | None) -> None:
        """See `Session.close`."""
        if self._closing:
            await asyncio.shield(self._closed)
            return
        self._closing = True
        was_open = self._channel.is_open
        tasks = [task for task in (self._task, self._settling) if task not in (None, asyncio.current_task())]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._peer is not None:
            reason = await self._peer.leave(reason, message)
        await self._finish("the session was closed")
        if was_open:
            await self._tell("leave", LeaveReason(reason))
            await self._tell("disconnect", "closed")
        self._closed.set_result(None)

    async def wait_closed(self) -> None:
        """See `Session.wait_closed`."""
        error = await asyncio.shield(self._closed)
        if error is not None:
            raise error

    async def _give_up(self, error: BaseException) -> None:
        if self._closing:
            return
        self._closing = True
        if self._peer is not None:
            self._peer.abandon()
        await self._finish(str(error))
        if not self._closed.done():
            self._closed.set_result(error if isinstance(error, Exception) else None)

    async def _finish(self, text: str) -> None:
        """Stop everything that runs."""
        self._stop_expiry()
        running = [*self._session._callee.close(), *self._session._subscriber.close()]
        self._channel.close(text)
        if running:
            await asyncio.wait(running, timeout=1.0)
        self._session._threads.close()


def _words(error: BaseException | None) -> str:
    """An exception in words; a timeout of the standard library has none."""
    return str(error) or type(error).__name__
