"""Carries out what the routing core decides: encodes, frames, batches, times.

One `Gateway` serves all realms and listeners of a process. Links bring it connections (`serve.connection`);
realms return effects, and the gateway turns each message into bytes once per kind of link and puts the same
bytes into the outbox of every receiver.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from rocade.errors import (
    ApplicationError,
    ConfigurationError,
    HandshakeRefused,
    PayloadNotSerializable,
    ProtocolViolation,
    TranslationTakesLong,
)
from rocade.net.addresses import Proxies, address_of
from rocade.net.door import Door, DoorLimits
from rocade.net.link import Link, Receiver, Wire
from rocade.router.calls import PendingCall
from rocade.router.effects import (
    AnswerLater,
    CancelWake,
    Deliver,
    Effect,
    EndSession,
    LimitReached,
    QueryHistory,
    ServeWaiting,
    StoreEvent,
    WakeAt,
)
from rocade.router.history import HistoryRule, Page, Query
from rocade.router.permissions import Role
from rocade.router.realm import Realm
from rocade.router.session import Session
from rocade.serve.admission import MANY_EFFECTS
from rocade.serve.authentication import Authenticator
from rocade.serve.authentication.tenure import Tenure
from rocade.serve.authorization import Authorizer, RolePermissions
from rocade.serve.checking import Worker
from rocade.serve.connection import Connection
from rocade.serve.counters import Counters
from rocade.serve.failed_logins import FailedLogins, LoginPolicy
from rocade.serve.implied import ImpliedRequests
from rocade.serve.limits import Allowances, Usage, full
from rocade.serve.login_procedures import LoginProcedures
from rocade.serve.outbox import DEFAULT_MAX_OUTBOX_BYTES, Outbox
from rocade.serve.refusals import Refusals
from rocade.serve.resumption import Resumption
from rocade.serve.translation import MAX_BACKLOG_BYTES, Translation
from rocade.wamp.codec import Serializer
from rocade.wamp.uris import is_reserved, is_uri, shown

__all__ = ["ConnectedSession", "Gateway"]

ANSWER_DEADLINE = 15.0
"""Seconds after which a procedure of the router's own that has to find something out gives up."""

DEFAULT_RESUME_WINDOW = 30.0
"""Seconds that a resumable session outlives its connection."""

LARGE_FRAME = 256 * 1024
"""Bytes of a message from which on it is not written to all of its receivers in one round of the loop."""

FLUSHED_AT_ONCE = 2
"""Outboxes that are flushed in one round if there are such messages."""

logger = logging.getLogger("rocade.gateway")


class ConnectedSession(Session):
    """A session of the routing core, with the way back to its client.

    Attributes:
        outbox: what is sent to it goes here.
        connection: the connection that it has now; None while it waits to be resumed.
        resumption: what it takes to resume it; None when it ends with its connection.
        tenure: what its login brought along; ends with it.
    """

    __slots__ = ("connection", "outbox", "resumption", "tenure")

    outbox: Outbox
    connection: Connection | None
    resumption: Resumption | None
    tenure: Tenure | None


class EventStore(Protocol):
    """Keeps event history outside the routing core."""

    def put(self, effect: StoreEvent) -> None:
        """Store an event behind those that came before. Never waits."""

    def find(self, query: Query, done: Callable[[Page | ApplicationError], None]) -> None:
        """Look up events among all that came before. Never waits; `done` may be called in any thread."""


class Gateway:
    """All realms of a process, and the machinery that moves their messages.

    Attributes:
        realms: realm name -> realm.
        event_stores: realm name -> where its event history is kept, of realms that do not keep it in memory.
        connections: all that are open, in a session or not.
        authorizer: asked about every request.
        refusals: tells the operator what was refused.
        implied: asks the authorizer about what requests imply.
        agent: how the router names itself to clients.
        max_outbox_bytes: bytes that may wait for one client before it is disconnected.
        resume_window: seconds that a resumable session outlives its connection; 0 when none does.
        counters: how often limits were reached, and logins failed.
        failed_logins: what failed logins lead to.
        checking: looks through long messages of clients.
        translating: puts the payload of long messages into other serializers.
    """

    def __init__(
        self,
        *,
        agent: str = "Rocade",
        max_outbox_bytes: int = DEFAULT_MAX_OUTBOX_BYTES,
        authorizer: Authorizer | None = None,
        source: random.Random | None = None,
        resume_window: float = DEFAULT_RESUME_WINDOW,
        max_sessions: int = 0,
        logins: LoginPolicy | None = None,
    ) -> None:
        """
        Args:
            agent: WELCOME.Details.agent.
            max_outbox_bytes: bytes that may wait for one client before it is disconnected as too slow.
            authorizer: asked about every request; the permissions of roles by default.
            source: of ids and of random choices; tests pass a seeded one.
            resume_window: seconds that a resumable session outlives its connection; 0 offers no resumption.
            max_sessions: sessions of all realms together; 0 is any number.
            logins: what failed logins lead to.
        """
        self.agent = agent
        self.max_outbox_bytes = max_outbox_bytes
        self.resume_window = resume_window
        self.authorizer: Authorizer = authorizer or RolePermissions()
        self.refusals = Refusals()
        self.implied = ImpliedRequests(self)
        self.realms: dict[str, Realm] = {}
        self.event_stores: dict[str, EventStore] = {}
        self.connections: set[Connection] = set()
        self.counters = Counters()
        self.failed_logins = FailedLogins(logins or LoginPolicy(), self.counters, _loop_time)
        self._max_sessions = max_sessions
        # realm name -> what its sessions have of what they may have
        self._usages: dict[str, Usage] = {}
        self._random = source or random.Random()
        # Publication ids are seen by everybody and drawn quickly; nobody should guess session ids from them.
        self._unpredictable = source or random.SystemRandom()
        self._dirty: list[Outbox] = []
        # call -> when it is to be woken
        self._timers: dict[PendingCall, asyncio.TimerHandle] = {}
        # what is being found out for calls of the router's own procedures
        self._answering: set[asyncio.Task[None]] = set()
        # Two, so that neither holds up the other; none of them has a process before it has something to do.
        self.checking = Worker("checking")
        self.translating = Worker("translating")
        # How often messages for several receivers were handed to one since the last flush.
        self._delivered = 0
        # Whether something large goes to several receivers: the system takes a millisecond for each.
        self._flushes_slowly = False
        self._closing = False
        self._no_connections: asyncio.Event | None = None

    # --- realms -----------------------------------------------------------------------------------

    def add_realm(
        self,
        name: str,
        roles: Sequence[Role],
        *,
        strict_uris: bool = False,
        sequential_requests: bool = True,
        history: Sequence[HistoryRule] = (),
        has_event_store: bool = False,
        allowances: Allowances | None = None,
    ) -> Realm:
        """Open a realm.

        Args:
            name: its name, a URI outside "wamp.".
            roles: the roles that its sessions may have.
            strict_uris: accept only lower-case letters, digits and "_" in URI components.
            sequential_requests: abort sessions whose request ids do not count up by one.
            history: which events are kept.
            has_event_store: whether they are kept by a store that is put among `event_stores`, rather than in memory.
            allowances: what its sessions may have.
        Raises:
            ConfigurationError: the name cannot be used, or is taken.
        """
        if not is_uri(name) or is_reserved(name):
            raise ConfigurationError("", f"{shown(name)} cannot be the name of a realm: it is no valid URI")
        if name in self.realms:
            raise ConfigurationError("", f"there is a realm {shown(name)} already")
        allowances = allowances or Allowances()
        realm = self.realms[name] = Realm(
            name,
            {role.name: role for role in roles},
            random_id=self.random_id,
            random_below=self._random.randrange,
            wall_clock=time.time,
            authorize=self.implied.authorize,
            strict_uris=strict_uris,
            sequential_requests=sequential_requests,
            history=history,
            has_event_store=has_event_store,
            limits=allowances.together,
        )
        self._usages[name] = Usage(realm, allowances, _loop_time)
        realm.meta.add(LoginProcedures().procedures())
        return realm

    def end_session(self, session: ConnectedSession, reason: str, message: str) -> None:
        """End a session whose time is over, if it is still there."""
        realm = self.realms.get(session.realm)
        if realm is not None and realm.sessions.get(session.id) is session:
            self.carry_out(realm, realm.end((session,), reason, message))

    def random_id(self) -> int:
        """A global-scope id: uniform over [1, 2^53]."""
        return self._random.getrandbits(53) + 1

    def new_session_id(self) -> int:
        """A global-scope id that no open session has."""
        while True:
            id = self._unpredictable.getrandbits(53) + 1
            if not any(id in realm.sessions for realm in self.realms.values()):
                return id

    # --- limits -----------------------------------------------------------------------------------

    def usage(self, realm: Realm) -> Usage:
        """What the sessions of a realm have of what they may have."""
        return self._usages[realm.name]

    def check_room(self, realm: Realm, authid: str, role: str) -> None:
        """Make sure that one more session may join.

        Args:
            realm: where.
            authid: who it would be.
            role: its role.
        Raises:
            HandshakeRefused: it may not.
        """
        most = self._max_sessions
        if most and sum(len(realm.sessions) for realm in self.realms.values()) >= most:
            raise full("sessions", f"the router has the {most} sessions that it may have")
        self._usages[realm.name].check_room(authid, role)

    def limit_reached(self, session: Session, limit: str, text: str) -> None:
        """Tell the operator of a session that has come to a limit.

        Args:
            session: which.
            limit: the limit's name.
            text: what follows for the client.
        """
        connection = session.connection if isinstance(session, ConnectedSession) else None
        if connection is not None:
            connection.limit_reached(limit, text)
        else:
            peer = str(session.transport.get("peer", "the router"))
            self.counters.limit_reached(limit, address_of(peer) or peer, text)

    def door(self, limits: DoorLimits, proxies: Proxies) -> Door:
        """What counts the connections of one transport.

        Args:
            limits: how many it accepts.
            proxies: whose word is taken for where their clients come from.
        """
        return Door(limits, proxies, self.counters.limit_reached)

    # --- connections ------------------------------------------------------------------------------

    def entrance(
        self, authenticators: Mapping[str, Authenticator], door: Door | None = None
    ) -> Callable[[Link], Receiver]:
        """What a listener calls with each new link, for clients that get in by these methods.

        Args:
            authenticators: authentication method -> authenticator.
            door: of the transport; None for one without limits.
        """
        at = door or self.door(DoorLimits(handshakes_per_address=0), Proxies())

        def connected(link: Link) -> Receiver:
            connection = Connection(link, self, authenticators, at)
            self.connections.add(connection)
            return connection

        return connected

    def check_open(self, name: str) -> None:
        """Make sure that sessions may be opened, and that a client asks for a realm that might exist.

        Args:
            name: the realm's.
        Raises:
            HandshakeRefused: the router is closing, or the name is no URI.
        """
        if self._closing:
            raise HandshakeRefused("wamp.close.system_shutdown", "the router is shutting down")
        if name not in self.realms and not is_uri(name):
            raise HandshakeRefused("wamp.error.invalid_uri", f"{shown(name)} is no valid URI")

    def realm_for_session(self, name: str) -> Realm:
        """The realm that a client asks for.

        Raises:
            HandshakeRefused: there is none of that name, or it is no URI, or the router is closing.
        """
        self.check_open(name)
        realm = self.realms.get(name)
        if realm is None:
            raise HandshakeRefused("wamp.error.no_such_realm", f"there is no realm {shown(name)}")
        return realm

    def connection_closed(self, connection: Connection) -> None:
        """A connection is gone for good."""
        self.connections.discard(connection)
        if not self.connections and self._no_connections is not None:
            self._no_connections.set()

    def abort(self, session: ConnectedSession, violation: ProtocolViolation) -> None:
        """End a session that broke the protocol, and its connection."""
        if session.connection is not None:
            session.connection.violated(violation)
        elif session.resumption is not None:
            logger.warning("session %d, without a connection, broke the protocol: %s", session.id, violation)
            session.resumption.end_soon(violation.uri)

    def fail(self, session: ConnectedSession) -> None:
        """End a session over a failure of ours, the exception that is being handled."""
        if session.connection is not None:
            session.connection.failed()
        elif session.resumption is not None:
            logger.exception("our fault, on a message of session %d; it ends", session.id)
            session.resumption.end_soon("wamp.error.runtime_error")

    def dismiss(self, session: ConnectedSession, reason: str, message: str | None) -> None:
        """Say GOODBYE to a session that its realm has let go."""
        if session.connection is not None:
            session.connection.say_goodbye(reason, message)
        elif session.resumption is not None:
            session.resumption.end(reason)

    # --- effects ----------------------------------------------------------------------------------

    def carry_out(self, realm: Realm, effects: list[Effect]) -> bool:
        """Do what the core wants done, in its order.

        Args:
            realm: whose effects they are.
            effects: used up by this. What follows from them is added while they are carried out: calls into the
                core from within each other could become too many.
        Returns:
            Whether that was so much that others should have their turn before more of the same; see `call_when_calm`.
        """
        is_much = False
        for effect in effects:
            if type(effect) is not Deliver:
                if type(effect) is EndSession:
                    self.dismiss(effect.session, effect.reason, effect.message)  # type: ignore[arg-type]
                elif type(effect) is ServeWaiting:
                    effects.extend(realm.serve_waiting(effect.registration))
                elif type(effect) is StoreEvent:
                    self.event_stores[realm.name].put(effect)
                elif type(effect) is QueryHistory:
                    self._query(realm, effect)
                elif type(effect) is LimitReached:
                    self.limit_reached(effect.session, effect.limit, "what goes beyond it is refused")
                elif type(effect) is AnswerLater:
                    self._answer_later(realm, effect)
                else:
                    self._schedule(realm, effect)  # type: ignore[arg-type]
                continue
            receivers: Any = effect.receivers
            if len(receivers) != 1:
                is_much = self._deliver_to_many(realm, effects, effect, receivers) or is_much
                continue
            for receiver in receivers:
                outbox = receiver.outbox
                wire = outbox.wire
                try:
                    frame = wire.frame(wire.serializer.encode(effect.message, effect.origin))
                except TranslationTakesLong:
                    self._translation(realm, effect, wire.serializer).keep_for(receiver)
                    is_much = is_much or self.translating.backlog > MAX_BACKLOG_BYTES
                    continue
                except PayloadNotSerializable as error:
                    effects.extend(_undeliverable(realm, effect, receiver, error.uri, str(error)))
                    continue
                if len(frame) > outbox.max_send_bytes:
                    effects.extend(_too_large(realm, effect, receiver, len(frame)))
                else:
                    outbox.put(frame)
        return is_much or len(effects) > MANY_EFFECTS

    def _deliver_to_many(
        self, realm: Realm, effects: list[Effect], effect: Deliver, receivers: Collection[ConnectedSession]
    ) -> bool:
        """The same message to many: encoded and framed once for each kind of link among them."""
        # wire -> framed message, or why there is none
        frames: dict[Wire, bytes | PayloadNotSerializable] = {}
        # serializer -> the message on its way into that
        translations: dict[Serializer, Translation] = {}
        for receiver in receivers:
            outbox = receiver.outbox
            wire = outbox.wire
            frame = frames.get(wire)
            if frame is None:
                try:
                    frame = wire.frame(wire.serializer.encode(effect.message, effect.origin))
                    self._flushes_slowly = self._flushes_slowly or len(frame) > LARGE_FRAME
                except PayloadNotSerializable as error:
                    frame = error
                frames[wire] = frame
            if type(frame) is bytes:
                if len(frame) > outbox.max_send_bytes:
                    effects.extend(_too_large(realm, effect, receiver, len(frame)))
                else:
                    outbox.put(frame)
            elif type(frame) is TranslationTakesLong:
                translation = translations.get(wire.serializer)
                if translation is None:
                    translation = translations[wire.serializer] = self._translation(realm, effect, wire.serializer)
                translation.keep_for(receiver)
            else:
                assert isinstance(frame, PayloadNotSerializable)
                effects.extend(_undeliverable(realm, effect, receiver, frame.uri, str(frame)))
        self._delivered += len(receivers)
        return self._delivered > MANY_EFFECTS or self.translating.backlog > MAX_BACKLOG_BYTES

    def _translation(self, realm: Realm, effect: Deliver, serializer: Serializer) -> Translation:
        def undeliverable(receiver: ConnectedSession, uri: str, text: str) -> None:
            self.carry_out(realm, _undeliverable(realm, effect, receiver, uri, text))

        return Translation(self.translating, effect, serializer, undeliverable)

    def call_when_calm(self, callback: Callable[[], None]) -> None:
        """Call back in a later round of the loop, when not too much waits to be translated."""
        self._delivered = 0
        self.translating.call_below(MAX_BACKLOG_BYTES, callback)

    def _schedule(self, realm: Realm, effect: WakeAt | CancelWake) -> None:
        pending = effect.pending
        if isinstance(effect, CancelWake):
            timer = self._timers.pop(pending, None)
            if timer is not None:
                timer.cancel()
            return
        loop = asyncio.get_running_loop()

        def wake() -> None:
            del self._timers[pending]
            self.carry_out(realm, realm.wake(pending, loop.time()))

        self._timers[pending] = loop.call_at(effect.when, wake)

    def _query(self, realm: Realm, effect: QueryHistory) -> None:
        loop = asyncio.get_running_loop()

        def answer(found: Page | ApplicationError) -> None:
            self.carry_out(realm, realm.history_found(effect, found))

        def done(found: Page | ApplicationError) -> None:
            try:
                loop.call_soon_threadsafe(answer, found)
            except RuntimeError:  # the loop is closed: nobody waits any more
                pass

        self.event_stores[realm.name].find(effect.query, done)

    def _answer_later(self, realm: Realm, effect: AnswerLater) -> None:
        async def find_out() -> None:
            found: list[Any] | ApplicationError
            try:
                async with asyncio.timeout(ANSWER_DEADLINE):
                    found = await effect.work()
            except ApplicationError as error:
                found = error
            except TimeoutError:
                found = ApplicationError("wamp.error.timeout", f"no answer within {ANSWER_DEADLINE:g} s")
            except Exception:
                logger.exception("our fault, in a procedure of the router's own")
                found = ApplicationError("wamp.error.runtime_error", "the router failed on this call")
            self.carry_out(realm, realm.found_out(effect, found))

        task = asyncio.get_running_loop().create_task(find_out())
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    # --- output -----------------------------------------------------------------------------------

    def needs_flush(self, outbox: Outbox) -> None:
        """Flush this outbox once the event loop has worked through what it has at hand."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self.flush)
        self._dirty.append(outbox)

    def flush(self) -> None:
        """One write for each link that something was put into the outbox of."""
        dirty, self._dirty = self._dirty, []
        self._delivered = 0
        if self._flushes_slowly:
            self._flushes_slowly = len(dirty) > FLUSHED_AT_ONCE
            self._dirty = dirty[FLUSHED_AT_ONCE:]
            dirty = dirty[:FLUSHED_AT_ONCE]
            if self._dirty:
                asyncio.get_running_loop().call_soon(self.flush)
        for outbox in dirty:
            try:
                outbox.flush()
            except Exception:  # one link's failure must not keep back what others are owed
                logger.exception("writing to %s failed", outbox.link.info.peer)
                outbox.link.abort()

    # --- the end ----------------------------------------------------------------------------------

    async def shutdown(self, timeout: float = 1.0) -> None:
        """Say GOODBYE to all sessions and close their connections.

        Args:
            timeout: seconds that clients have to answer and go.
        """
        self._closing = True
        self._no_connections = asyncio.Event()
        for connection in list(self.connections):
            connection.say_goodbye("wamp.close.system_shutdown", "the router is shutting down")
        for session in [session for realm in self.realms.values() for session in realm.sessions.values()]:
            if isinstance(session, ConnectedSession) and session.resumption is not None:
                session.resumption.end("the router is shutting down")
        self.flush()
        if self.connections:
            try:
                async with asyncio.timeout(timeout):
                    await self._no_connections.wait()
            except TimeoutError:
                pass
        for connection in list(self.connections):
            connection.close()
        for task in list(self._answering):
            task.cancel()
        self.checking.close()
        self.translating.close()


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _too_large(realm: Realm, effect: Deliver, receiver: ConnectedSession, size: int) -> list[Effect]:
    text = f"{size} bytes are more than the {receiver.outbox.link.max_send_bytes} that the receiver accepts"
    return _undeliverable(realm, effect, receiver, "wamp.error.payload_size_exceeded", text)


def _undeliverable(realm: Realm, effect: Deliver, receiver: ConnectedSession, uri: str, text: str) -> list[Effect]:
    logger.debug("%s for session %d dropped: %s", type(effect.message).__name__, receiver.id, text)
    return realm.undeliverable(receiver, effect.message, uri, text)
