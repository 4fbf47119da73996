"""One connection's way from HELLO to GOODBYE."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from rocade.errors import AuthenticationFailed, CheckFailed, HandshakeRefused, NotUtf8, ProtocolViolation
from rocade.net.door import Door
from rocade.net.link import Link
from rocade.router.realm import ROUTER_ROLES, Realm
from rocade.serve.admission import CHECKING, WAITING, Admission
from rocade.serve.authentication import Attempt, Authenticator, Identity, Outcome, Question, begin
from rocade.serve.authentication.tenure import LOGGED_OUT
from rocade.serve.failed_logins import LockedOut, is_open_to_all
from rocade.serve.limits import Full, full
from rocade.serve.outbox import Outbox
from rocade.serve.rates import Meter
from rocade.serve.resumption import Resumption, find
from rocade.serve.session import ConnectedSession
from rocade.wamp.handshake import ROUTER, Direction, SessionState, advance
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

if TYPE_CHECKING:
    from rocade.serve.checking import Checked, Job
    from rocade.serve.gateway import Gateway

__all__ = ["Connection"]

HELLO_TIMEOUT = 10.0
"""Seconds that a connection may be open without HELLO."""

AUTHENTICATION_TIMEOUT = 15.0
"""Seconds from HELLO to WELCOME, for all that has to be asked and answered in between: somewhat longer than an
authenticator that must be waited for may take."""

MAX_HANDSHAKE_BYTES = 65536
"""Longest message of clients that have no session: nobody knows yet who they are."""

MAX_TEXT = 500
"""Characters of an explanation in ABORT and in the log; it may quote what the client sent."""

GOODBYE_TIMEOUT = 5.0
"""Seconds that a client has to answer our GOODBYE."""

logger = logging.getLogger("rocade.connection")


class Connection:
    """What a link brings, for the router: the handshake, and then messages for admission.

    It is the `Receiver` of its link.

    Attributes:
        link: the connection's bytes.
        outbox: what is sent on it.
        state: where its session is in its life.
        session: the open session, or None.
        address: the address that it counts for, or None; known from HELLO on.
        realm: the session's realm, or None.
    """

    __slots__ = (
        "_address_counts",
        "_admission",
        "_attempt",
        "_authenticators",
        "_behind",
        "_check",
        "_deadline",
        "_decode",
        "_door",
        "_gateway",
        "_is_guarded",
        "_meter",
        "_pauses",
        "_question",
        "_quick_bytes",
        "_task",
        "address",
        "link",
        "outbox",
        "realm",
        "session",
        "state",
    )

    def __init__(self, link: Link, gateway: Gateway, authenticators: Mapping[str, Authenticator], door: Door) -> None:
        """
        Args:
            link: a new link.
            gateway: where its sessions live.
            authenticators: authentication method -> authenticator, of the transport it came by.
            door: of that transport.
        """
        self.link = link
        self.outbox = Outbox(link, gateway.flusher, gateway.max_outbox_bytes)
        self.state = SessionState.CLOSED
        self.session: ConnectedSession | None = None
        self.realm: Realm | None = None
        self._admission: Admission | None = None
        self._gateway = gateway
        self._authenticators = authenticators
        self._decode: Callable[[bytes], Message] = link.wire.serializer.decode
        self._deadline: asyncio.TimerHandle | None = None
        # While a client is being authenticated, and that takes more than its HELLO: its attempt, and what it was asked
        # or what is being found out.
        self._attempt: Attempt | None = None
        self._question: Question | None = None
        self._task: asyncio.Future[Outcome] | asyncio.TimerHandle | None = None
        self._door = door
        self.address: str | None = None
        self._address_counts = False
        # Whether failed logins speak against the client.
        self._is_guarded = False
        self._meter: Meter | None = None
        # Longest message that is taken as it comes, without another look at who sent it.
        self._quick_bytes = MAX_HANDSHAKE_BYTES
        # While a long message is looked through elsewhere, and what has come behind it although reading is paused.
        self._check: Job | None = None
        self._behind: deque[bytes] | None = None
        self._pauses = 0
        self._expect_hello()

    # --- what the link tells ----------------------------------------------------------------------

    def message_received(self, data: bytes) -> None:
        """One serialized message has arrived."""
        if self.state is SessionState.ABORTED:
            return
        try:
            if len(data) > self._quick_bytes and self._is_taken_apart(data):
                return
            message = self._decode(data)
            if self._admission is not None and type(message) not in _LIFE_CYCLE:
                self._admission.submit(message)
            else:
                self._handshake(message)
        except ProtocolViolation as violation:
            self.violated(violation)
        except Exception:
            self.failed()

    def pause_reading(self, why: int) -> None:
        """Read no more of the link until the last reason not to is gone.

        Args:
            why: `WAITING`, `BREAK`, `CHECKING` or `RATE` of `serve.admission`.
        """
        if not self._pauses:
            self.link.pause_reading()
        self._pauses |= why

    def resume_reading(self, why: int) -> None:
        """This reason is gone."""
        if self._pauses & why:
            self._pauses &= ~why
            if not self._pauses:
                self.link.resume_reading()

    def writing_paused(self) -> None:
        """The client reads too slowly."""
        self.outbox.pause()

    def writing_resumed(self) -> None:
        """The client has caught up."""
        self.outbox.resume()

    def link_lost(self, reason: str) -> None:
        """The connection is gone, and its session with it."""
        self.state = SessionState.ABORTED
        self._stop_waiting()
        if self.session is not None and self.session.resumption is not None:
            resumption = self.session.resumption
            self._forget_session()
            resumption.detach(reason)
        else:
            self.outbox.close()
            self._leave(reason)
        self._gateway.connection_closed(self)

    # --- long messages ----------------------------------------------------------------------------

    def _is_taken_apart(self, data: bytes) -> bool:
        """Take a message that is long, or has come behind a long one; False if it can be decoded here and now.

        Raises:
            ProtocolViolation: it is too long for somebody without a session.
        """
        if self._behind is not None:
            self._behind.append(data)
            return True
        if self.state in _WITHOUT_SESSION:
            raise ProtocolViolation(
                f"{len(data)} bytes, where at most {MAX_HANDSHAKE_BYTES} are allowed without a session"
            )
        serializer = self.link.wire.serializer
        if len(data) <= serializer.quick_bytes:
            return False
        if self._meter is not None:
            self._meter.count(len(data))
        # What the client has sent behind it stays in the link; what comes all the same is taken in its turn.
        self._behind = deque()
        self._quick_bytes = -1
        self.pause_reading(CHECKING)
        self._check = self._gateway.checking.check(data, serializer, self._checked)
        return True

    def _checked(self, result: Checked) -> None:
        """The long message is decoded, or there is something wrong with it; now it is handled in its place."""
        behind, self._behind, self._check = self._behind, None, None
        self._quick_bytes = MAX_HANDSHAKE_BYTES
        assert behind is not None
        try:
            if isinstance(result, Exception):
                raise result
            if self._admission is not None and type(result) not in _LIFE_CYCLE:
                self._admission.submit(result)
            else:
                self._handshake(result)
        except ProtocolViolation as violation:
            self.violated(violation)
        except CheckFailed as failure:
            logger.warning("%s dropped: %s", self.link.info.peer, failure)
            self._abort(failure.uri, str(failure))
        except Exception:
            self.failed()
        for data in behind:
            self.message_received(data)
        if self._check is None:
            self.resume_reading(CHECKING)

    def _stop_checking(self) -> None:
        if self._check is not None:
            self._check.cancel()
            self._check = self._behind = None
            self._quick_bytes = MAX_HANDSHAKE_BYTES
            self.resume_reading(CHECKING)

    # --- the handshake ----------------------------------------------------------------------------

    def _handshake(self, message: Message) -> None:
        previous = self.state
        self.state = advance(ROUTER, previous, Direction.RECEIVED, message)
        if type(message) is Hello and self.state is SessionState.ESTABLISHING:
            self._stop_waiting()
            self._hello(message)
        elif type(message) is Authenticate:
            self._authenticate(message)
        elif type(message) is Goodbye:
            self._goodbye(message, answer=previous is SessionState.ESTABLISHED)
        elif type(message) is Abort:
            self._leave(f"ABORT {message.reason}")
            self.close()

    def _hello(self, hello: Hello) -> None:
        try:
            self._gateway.check_open(hello.realm)
            if "anonymous" in self._authenticators:
                # Whoever may come in without a secret may know what there is. Others learn it once they have proved
                # who they are: until then a realm that does not exist is treated as any other.
                self._gateway.realm_for_session(hello.realm)
            _check_roles(hello)
            self.address = self._door.address_of(self.link.info.peer, self.link.info.headers)
            if hello.details.resume_session is not None:
                self._resume(hello)
                return
            self._is_guarded = not is_open_to_all(hello, self._authenticators)
            self._check_not_locked_out(hello)
            self._attempt = Attempt(hello, self.link.info, self._gateway.new_session_id())
            delay = 0.0
            if self._is_guarded:
                delay = self._gateway.failed_logins.delay(self.address, hello.details.authid)
            if delay:
                self._expect_authentication()
                self._task = asyncio.get_running_loop().call_later(delay, self._begin_late)
            else:
                self._go_on(begin(self._attempt, self._authenticators))
        except HandshakeRefused as refusal:
            self._refuse(refusal)

    def _begin_late(self) -> None:
        """Look at an attempt that had to wait, after others that failed."""
        self._task = None
        attempt = self._attempt
        assert attempt is not None
        try:
            self._check_not_locked_out(attempt.hello)
            self._go_on(begin(attempt, self._authenticators))
        except HandshakeRefused as refusal:
            self._refuse(refusal)
        except ProtocolViolation as violation:
            self.violated(violation)
        except Exception:
            self.failed()

    def _check_not_locked_out(self, hello: Hello) -> None:
        if self._is_guarded:
            self._gateway.failed_logins.check(self.address, hello.details.authid)

    def _authenticate(self, message: Authenticate) -> None:
        question, self._question = self._question, None
        assert question is not None, "CHALLENGED means that there is one"
        assert self._attempt is not None
        try:
            # Others may have failed meanwhile.
            self._check_not_locked_out(self._attempt.hello)
            self._go_on(question.answer(message))
        except HandshakeRefused as refusal:
            self._refuse(refusal)

    def _go_on(self, outcome: Outcome | Awaitable[Outcome]) -> None:
        """Let the client in, ask it, or wait for what decides between the two."""
        if isinstance(outcome, Identity):
            self._let_in(outcome)
            return
        self._expect_authentication()
        if isinstance(outcome, Question):
            self._question = outcome
            self._send(Challenge(outcome.method, outcome.extra))
        else:
            task = self._task = asyncio.ensure_future(outcome)
            task.add_done_callback(self._found_out)

    def _found_out(self, task: asyncio.Future[Outcome]) -> None:
        if task is not self._task:
            return  # nobody waits for it any more
        self._task = None
        try:
            self._go_on(task.result())
        except HandshakeRefused as refusal:
            self._refuse(refusal)
        except (Exception, asyncio.CancelledError):
            self.failed()

    def _let_in(self, identity: Identity) -> None:
        attempt = self._attempt
        assert attempt is not None
        # A guess that was under way when the others were found wrong is as good as those.
        self._check_not_locked_out(attempt.hello)
        self._stop_waiting()
        # The router may have begun to shut down since HELLO.
        realm = self._gateway.realm_for_session(identity.realm or attempt.hello.realm)
        if identity.authrole not in realm.roles:
            raise HandshakeRefused(
                "wamp.error.no_such_role", f"the realm has no role {identity.authrole!r} for this client"
            )
        self._gateway.check_room(realm, identity.authid, identity.authrole)
        self._check_room_at_door()
        if self._is_guarded:
            self._gateway.failed_logins.succeeded(self.address, attempt.hello.details.authid)
        self._welcome(attempt, realm, identity)

    def _check_room_at_door(self) -> None:
        if self.address is not None and not self._door.has_room_for_session(self.address):
            raise full("sessions_per_address", "too many sessions are open from this address")

    def _refuse(self, refusal: HandshakeRefused) -> None:
        why = refusal.reason if isinstance(refusal, AuthenticationFailed) else str(refusal)
        level = logging.INFO
        if isinstance(refusal, AuthenticationFailed) and refusal.counts and self._attempt is not None:
            self._gateway.failed_logins.failed(self.address, self._attempt.hello.details.authid)
        elif isinstance(refusal, Full):
            self.limit_reached(refusal.limit, "its session is refused")
            level = logging.DEBUG
        elif isinstance(refusal, LockedOut):
            level = logging.DEBUG  # the log has told once that it is
        logger.log(level, "%s refused: %s (%s)", self.link.info.peer, why[:MAX_TEXT], refusal.uri)
        self._abort(refusal.uri, str(refusal))

    def _welcome(self, attempt: Attempt, realm: Realm, identity: Identity) -> None:
        hello = attempt.hello
        session = ConnectedSession(
            attempt.session,
            realm.name,
            realm.roles[identity.authrole],
            self.link.wire.serializer,
            authid=identity.authid,
            authmethod=identity.authmethod,
            authprovider=identity.authprovider,
            authextra=identity.authextra,
            roles=hello.details.roles,
            transport=_transport_details(self.link),
            limits=self._gateway.usage(realm).allowances.of(identity.authrole).session,
        )
        session.outbox, session.connection, session.resumption = self.outbox, self, None
        session.tenure = identity.tenure
        details = WelcomeDetails(
            roles=ROUTER_ROLES,
            realm=realm.name,
            agent=self._gateway.agent,
            authid=identity.authid,
            authrole=identity.authrole,
            authmethod=identity.authmethod,
            authprovider=identity.authprovider,
            authextra=identity.authextra,
        )
        resumption = None
        if hello.details.resumable and self._gateway.resume_window > 0:
            resumption = Resumption(session, realm, self._gateway, self.link)
            details.resumable, details.resume_token = True, resumption.token
            details.resume_window = self._gateway.resume_window
        self._send(Welcome(session.id, details))
        self.session, self.realm = session, realm
        if resumption is None:
            self._admission = Admission(session, realm, self._gateway.authorizer, self._gateway)
        else:
            # What follows WELCOME is counted and kept.
            session.resumption, self._admission = resumption, resumption.admission
            resumption.outbox.take_over(self.outbox)
            session.outbox = self.outbox = resumption.outbox
        self._count_session(session, realm)
        self._gateway.usage(realm).joined(session)
        self._gateway.delivery.carry_out(realm, realm.join(session))
        if identity.tenure is not None:
            identity.tenure.begin(session.id, partial(self._gateway.end_session, session))
        logger.debug("%s joined %r as session %d", self.link.info.peer, realm.name, session.id)

    # --- resumption (docs/resume.md) --------------------------------------------------------------

    def _resume(self, hello: Hello) -> None:
        """Take up a session that lost its connection, or that still has one that is dead without our knowing."""
        resumption = find(self._gateway.realms.get(hello.realm), hello)
        before = resumption.session.connection
        if before is None or (before.address, before._door) != (self.address, self._door):
            # Before the token is looked at, which is good for once: it stays good.
            self._check_room_at_door()
        resumption.check(hello, self.link)
        session, realm = resumption.session, resumption.realm
        if session.connection is not None:
            session.connection.give_up("its session was resumed on another connection")
        details = WelcomeDetails(
            roles=ROUTER_ROLES,
            resumed=True,
            resumable=True,
            resume_token=resumption.token,
            resume_window=self._gateway.resume_window,
            received=resumption.admission.confirmed_by_welcome(),
        )
        self._send(Welcome(session.id, details))
        session.connection, self.session, self.realm = self, session, realm
        if resumption.admission.is_full:
            self.pause_reading(WAITING)
        previous, self.outbox, self._admission = self.outbox, resumption.outbox, resumption.admission
        resumption.attach(self.link, previous)
        session.transport = _transport_details(self.link)
        self._count_session(session, realm)
        logger.debug("session %d resumed by %s", session.id, self.link.info.peer)

    def give_up(self, reason: str) -> None:
        """Let go of the session, which goes on without this connection, and drop the connection."""
        session = self.session
        if session is None or session.resumption is None:
            return
        self.state = SessionState.ABORTED
        self._stop_waiting()
        self._forget_session()
        session.resumption.take_away()
        logger.debug("%s dropped: %s", self.link.info.peer, reason)
        self.link.abort()

    def _forget_session(self) -> None:
        """The session goes on elsewhere, and its outbox with it."""
        self.session = self.realm = self._admission = None
        self._uncount_session()
        self.outbox = Outbox(self.link, self._gateway.flusher)

    # --- GOODBYE ----------------------------------------------------------------------------------

    def _goodbye(self, goodbye: Goodbye, *, answer: bool) -> None:
        if goodbye.reason == LOGGED_OUT and self.session is not None and self.session.tenure is not None:
            self.session.tenure.log_out()
        self._leave(goodbye.reason)
        if answer:
            # "a GOODBYE message sent by one Peer and a GOODBYE message sent from the other Peer in response"
            self._send(Goodbye(CloseDetails(), "wamp.close.goodbye_and_out"))
            # The same transport may carry a new session; without one it is closed, and nothing is said any more.
            self._deadline = asyncio.get_running_loop().call_later(HELLO_TIMEOUT, self.close)
        else:
            self.close()

    # --- ending -----------------------------------------------------------------------------------

    def say_goodbye(self, reason: str, text: str | None) -> None:
        """Close the session in an orderly way; the connection is closed once the client has answered."""
        if self.state is SessionState.ESTABLISHED:
            self._send(Goodbye(CloseDetails(message=text), reason))
            self._leave(reason)
            self._deadline = asyncio.get_running_loop().call_later(GOODBYE_TIMEOUT, self.close)
        else:
            self.close()

    def violated(self, violation: ProtocolViolation) -> None:
        """The client broke the protocol: ABORT, end its session, close the connection."""
        if type(violation) is NotUtf8 and self.link.invalid_text():
            return
        text = str(violation)[:MAX_TEXT]
        logger.warning("%s broke the protocol: %s", self.link.info.peer, text)
        self._abort(violation.uri, text)

    def failed(self) -> None:
        """We failed, with the exception that is being handled: ABORT, end its session, close the connection."""
        logger.exception("our fault, on a message from %s; its session ends", self.link.info.peer)
        self._abort("wamp.error.runtime_error", "the router failed on this message")

    def close(self) -> None:
        """Close the connection once everything is out."""
        self.state = SessionState.ABORTED
        self._stop_waiting()
        self.outbox.flush()
        self.link.close()

    def _abort(self, uri: str, text: str) -> None:
        self.outbox.put(self._framed(Abort(CloseDetails(message=text), uri)))
        self.state = SessionState.ABORTED
        self._stop_waiting()
        self.outbox.flush()
        self._leave(uri)
        self.link.close(failure=uri == ProtocolViolation.uri)

    def _leave(self, reason: str) -> None:
        session, realm = self.session, self.realm
        if session is None or realm is None:
            return
        assert self._admission is not None
        self._admission.close()
        if session.resumption is not None:
            session.resumption.outbox.stop_keeping()
        if session.tenure is not None:
            session.tenure.end()
        self.session = self._admission = self.realm = None
        self._uncount_session()
        self._gateway.delivery.carry_out(realm, realm.leave(session))
        logger.debug("session %d left %r: %s", session.id, realm.name, reason)

    # --- limits -----------------------------------------------------------------------------------

    def _count_session(self, session: ConnectedSession, realm: Realm) -> None:
        """The connection has a session: it is no handshake any more, and may send as fast as the session may."""
        self._door.settle(self.link.info.peer)
        if self.address is not None:
            self._address_counts = True
            self._door.session_opened(self.address)
        usage = self._gateway.usage(realm)
        gauges = usage.gauges(session)
        if gauges:
            ends_session = usage.allowances.of(session.authrole).ends_session
            self._meter = Meter(self, self._decode, gauges, ends_session=ends_session)
            self._decode = self._meter.decode

    def _uncount_session(self) -> None:
        if self._address_counts and self.address is not None:
            self._address_counts = False
            self._door.session_closed(self.address)
        if self._meter is not None:
            self._meter.close()
            self._meter = None
            self._decode = self.link.wire.serializer.decode

    def limit_reached(self, limit: str, text: str) -> None:
        """Tell the operator of a limit.

        Args:
            limit: its name.
            text: what follows for the client.
        """
        self._gateway.counters.limit_reached(limit, self.address or self.link.info.peer, text)

    # --- details ----------------------------------------------------------------------------------

    def _send(self, message: Message) -> None:
        """Send a message of the session's life cycle."""
        self.state = advance(ROUTER, self.state, Direction.SENT, message)
        self.outbox.put(self._framed(message))

    def _framed(self, message: Message) -> bytes:
        wire = self.link.wire
        return wire.frame(wire.serializer.encode(message))

    def _expect_hello(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(HELLO_TIMEOUT, self._no_hello)

    def _no_hello(self) -> None:
        self._deadline = None
        logger.info("%s closed: no session within %g s", self.link.info.peer, HELLO_TIMEOUT)
        self._abort(ProtocolViolation.uri, f"no HELLO within {HELLO_TIMEOUT:g} seconds")

    def _expect_authentication(self) -> None:
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(AUTHENTICATION_TIMEOUT, self._not_authenticated)

    def _not_authenticated(self) -> None:
        self._deadline = None
        logger.info("%s closed: not authenticated within %g s", self.link.info.peer, AUTHENTICATION_TIMEOUT)
        self._abort("wamp.error.authentication_failed", f"not authenticated within {AUTHENTICATION_TIMEOUT:g} seconds")

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
        self._attempt = self._question = None
        self._stop_checking()


_WITHOUT_SESSION = frozenset((SessionState.CLOSED, SessionState.ESTABLISHING, SessionState.CHALLENGED))
_LIFE_CYCLE = frozenset((Hello, Welcome, Abort, Challenge, Authenticate, Goodbye))


def _transport_details(link: Link) -> dict[str, Any]:
    """What other clients may know of a connection: never its headers, which hold cookies and credentials."""
    return {
        "type": link.info.transport,
        "protocol": link.info.subprotocol or f"wamp.2.{link.wire.serializer.name}",
        "peer": link.info.peer,
        "secure": link.info.secure,
    }


def _check_roles(hello: Hello) -> None:
    roles = hello.details.roles
    if roles.publisher is roles.subscriber is roles.caller is roles.callee is None:
        raise ProtocolViolation("HELLO announces no role; a client has at least one")
