"""A client's way from HELLO to WELCOME: who it is, whether it may come in, and which session it gets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from rocade.errors import AuthenticationFailed, HandshakeRefused, ProtocolViolation
from rocade.net.link import Link
from rocade.router.realm import ROUTER_ROLES, Realm
from rocade.serve.admission import WAITING, Admission
from rocade.serve.authentication import Attempt, Authenticator, Identity, Outcome, Question, begin
from rocade.serve.failed_logins import LockedOut, is_open_to_all
from rocade.serve.limits import Full
from rocade.serve.resumption import Resumption, find
from rocade.serve.session import ConnectedSession
from rocade.wamp.messages import Authenticate, Challenge, Hello, Welcome, WelcomeDetails

if TYPE_CHECKING:
    from rocade.serve.connection import Connection
    from rocade.serve.gateway import Gateway

__all__ = ["MAX_TEXT", "Handshake"]

AUTHENTICATION_TIMEOUT = 15.0
"""Seconds from HELLO to WELCOME, for all that has to be asked and answered in between: somewhat longer than an
authenticator that must be waited for may take."""

MAX_TEXT = 500
"""Characters of an explanation in ABORT and in the log; it may quote what the client sent."""

logger = logging.getLogger("rocade.connection")


class Handshake:
    """One HELLO, and what comes of it. If that is a session, its connection carries it from then on."""

    __slots__ = (
        "_attempt",
        "_authenticators",
        "_connection",
        "_deadline",
        "_gateway",
        "_is_guarded",
        "_question",
        "_task",
    )

    def __init__(self, connection: Connection, gateway: Gateway, authenticators: Mapping[str, Authenticator]) -> None:
        """
        Args:
            connection: where HELLO came.
            gateway: where its session will live.
            authenticators: authentication method -> authenticator, of the transport that it came by.
        """
        self._connection = connection
        self._gateway = gateway
        self._authenticators = authenticators
        self._attempt: Attempt | None = None
        # Whether failed logins speak against the client.
        self._is_guarded = False
        # If it takes more than HELLO: what the client was asked, or what is being found out.
        self._question: Question | None = None
        self._task: asyncio.Future[Outcome] | asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def hello(self, hello: Hello) -> None:
        """What the client begins with. It is let in, asked, refused, or has to wait.

        Raises:
            ProtocolViolation: it says what nobody may say.
        """
        connection, gateway = self._connection, self._gateway
        try:
            gateway.check_open(hello.realm)
            if "anonymous" in self._authenticators:
                # Whoever may come in without a secret may know what there is. Others learn it once they have proved
                # who they are: until then a realm that does not exist is treated as any other.
                gateway.realm_for_session(hello.realm)
            _check_roles(hello)
            connection.address = connection.door.address_of(connection.link.info.peer, connection.link.info.headers)
            if hello.details.resume_session is not None:
                self._resume(hello)
                return
            self._is_guarded = not is_open_to_all(hello, self._authenticators)
            self._check_not_locked_out(hello)
            self._attempt = Attempt(hello, connection.link.info, gateway.new_session_id())
            delay = 0.0
            if self._is_guarded:
                delay = gateway.failed_logins.delay(connection.address, hello.details.authid)
            if delay:
                self._expect_answers()
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
            self._connection.violated(violation)
        except Exception:
            self._connection.failed()

    def _check_not_locked_out(self, hello: Hello) -> None:
        if self._is_guarded:
            self._gateway.failed_logins.check(self._connection.address, hello.details.authid)

    def answer(self, message: Authenticate) -> None:
        """What the client answers to a CHALLENGE.

        Raises:
            ProtocolViolation: it is no answer.
        """
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
        self._expect_answers()
        if isinstance(outcome, Question):
            self._question = outcome
            self._connection.send(Challenge(outcome.method, outcome.extra))
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
            self._connection.failed()

    def _let_in(self, identity: Identity) -> None:
        connection, gateway, attempt = self._connection, self._gateway, self._attempt
        assert attempt is not None
        # A guess that was under way when the others were found wrong is as good as those.
        self._check_not_locked_out(attempt.hello)
        self.stop()
        # The router may have begun to shut down since HELLO.
        realm = gateway.realm_for_session(identity.realm or attempt.hello.realm)
        if identity.authrole not in realm.roles:
            raise HandshakeRefused(
                "wamp.error.no_such_role", f"the realm has no role {identity.authrole!r} for this client"
            )
        gateway.check_room(realm, identity.authid, identity.authrole)
        self._check_room_at_door()
        if self._is_guarded:
            gateway.failed_logins.succeeded(connection.address, attempt.hello.details.authid)
        self._welcome(attempt, realm, identity)

    def _check_room_at_door(self) -> None:
        address = self._connection.address
        if address is not None and not self._connection.door.has_room_for_session(address):
            raise Full("sessions_per_address", "too many sessions are open from this address")

    def _refuse(self, refusal: HandshakeRefused) -> None:
        connection = self._connection
        why = refusal.reason if isinstance(refusal, AuthenticationFailed) else str(refusal)
        level = logging.INFO
        if isinstance(refusal, AuthenticationFailed) and refusal.counts and self._attempt is not None:
            self._gateway.failed_logins.failed(connection.address, self._attempt.hello.details.authid)
        elif isinstance(refusal, Full):
            connection.limit_reached(refusal.limit, "its session is refused")
            level = logging.DEBUG
        elif isinstance(refusal, LockedOut):
            level = logging.DEBUG  # the log has told once that it is
        logger.log(level, "%s refused: %s (%s)", connection.link.info.peer, why[:MAX_TEXT], refusal.uri)
        connection.abort(refusal.uri, str(refusal))

    def _expect_answers(self) -> None:
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(AUTHENTICATION_TIMEOUT, self._not_authenticated)

    def _not_authenticated(self) -> None:
        self._deadline = None
        connection = self._connection
        logger.info("%s closed: not authenticated within %g s", connection.link.info.peer, AUTHENTICATION_TIMEOUT)
        text = f"not authenticated within {AUTHENTICATION_TIMEOUT:g} seconds"
        connection.abort("wamp.error.authentication_failed", text)

    def stop(self) -> None:
        """It is over, one way or the other: nothing is waited for any more."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
        self._attempt = self._question = None

    # --- sessions ---------------------------------------------------------------------------------

    def _welcome(self, attempt: Attempt, realm: Realm, identity: Identity) -> None:
        connection, gateway = self._connection, self._gateway
        session = ConnectedSession(
            attempt.session,
            realm.name,
            realm.roles[identity.authrole],
            connection.link.wire.serializer,
            authid=identity.authid,
            authmethod=identity.authmethod,
            authprovider=identity.authprovider,
            authextra=identity.authextra,
            roles=attempt.hello.details.roles,
            transport=_transport_details(connection.link),
            limits=gateway.usage(realm).allowances.of(identity.authrole).session,
        )
        session.outbox, session.resumption, session.tenure = connection.outbox, None, identity.tenure
        details = WelcomeDetails(
            roles=ROUTER_ROLES,
            realm=realm.name,
            agent=gateway.agent,
            authid=identity.authid,
            authrole=identity.authrole,
            authmethod=identity.authmethod,
            authprovider=identity.authprovider,
            authextra=identity.authextra,
        )
        resumption = None
        if attempt.hello.details.resumable and gateway.resume_window > 0:
            resumption = Resumption(session, realm, gateway, connection.link)
            details.resumable, details.resume_token = True, resumption.token
            details.resume_window = gateway.resume_window
        connection.send(Welcome(session.id, details))
        if resumption is None:
            admission = Admission(session, realm, gateway.authorizer, gateway)
        else:
            # What follows WELCOME is counted and kept.
            session.resumption, admission = resumption, resumption.admission
            resumption.outbox.take_over(connection.outbox)
            session.outbox = resumption.outbox
        connection.carry(session, realm, admission)
        gateway.usage(realm).joined(session)
        gateway.delivery.carry_out(realm, realm.join(session))
        if identity.tenure is not None:
            identity.tenure.begin(session.id, partial(gateway.end_session, session))
        logger.debug("%s joined %r as session %d", connection.link.info.peer, realm.name, session.id)

    # --- resumption (docs/resume.md) --------------------------------------------------------------

    def _resume(self, hello: Hello) -> None:
        """Take up a session that lost its connection, or that still has one that is dead without our knowing."""
        connection = self._connection
        resumption = find(self._gateway.realms.get(hello.realm), hello)
        before = resumption.session.connection
        if before is None or (before.address, before.door) != (connection.address, connection.door):
            # Before the token is looked at, which is good for once: it stays good.
            self._check_room_at_door()
        resumption.check(hello, connection.link)
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
        connection.send(Welcome(session.id, details))
        if resumption.admission.is_full:
            connection.pause_reading(WAITING)
        previous = connection.outbox
        connection.carry(session, realm, resumption.admission)
        resumption.attach(connection.link, previous)
        session.transport = _transport_details(connection.link)
        logger.debug("session %d resumed by %s", session.id, connection.link.info.peer)


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
