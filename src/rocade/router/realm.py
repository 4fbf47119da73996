"""A realm: an isolated namespace with its sessions, its broker and its dealer.

The realm is the core's front door. A message of a session goes in, together with the time; a list of effects
comes out. It never sends, never waits and never looks at a clock, so what it does with a given sequence of
messages is always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from rocade.errors import ApplicationError, LimitExceeded, ProtocolViolation
from rocade.router.answer import Answer
from rocade.router.broker import Broker
from rocade.router.calls import PendingCall
from rocade.router.dealer import Dealer
from rocade.router.departure import Departure, is_much
from rocade.router.effects import (
    AnswerLater,
    BitByBit,
    Deliver,
    Effect,
    EndSession,
    LimitReached,
    QueryHistory,
)
from rocade.router.history import HistoryRule, Page, page_answer
from rocade.router.limits import RealmLimits
from rocade.router.meta import Meta
from rocade.router.passthru import check_publish
from rocade.router.permissions import Action, Decision, Role
from rocade.router.registrations import Registration
from rocade.router.session import Session
from rocade.router.visibility import Visibility
from rocade.wamp.messages import (
    Call,
    Cancel,
    Error,
    EventReceived,
    Invocation,
    Match,
    Message,
    PassthruDetails,
    Publish,
    Register,
    Result,
    ResultDetails,
    RouterRole,
    RouterRoles,
    Subscribe,
    Unregister,
    Unsubscribe,
    Yield,
)

__all__ = ["ROUTER_ROLES", "Realm"]

ROUTER_ROLES = RouterRoles(
    broker=RouterRole(
        {
            "event_history": True,
            "event_retention": True,
            "payload_passthru_mode": True,
            "pattern_based_subscription": True,
            "publication_trustlevels": True,
            "publisher_exclusion": True,
            "publisher_identification": True,
            "session_meta_api": True,
            "session_resumption": True,
            "subscriber_blackwhite_listing": True,
            "subscription_meta_api": True,
            "subscription_revocation": True,
        },
        reflection=True,
    ),
    dealer=RouterRole(
        {
            "call_canceling": True,
            "call_cancelling": True,
            "call_reroute": True,
            "call_timeout": True,
            "call_trustlevels": True,
            "caller_identification": True,
            "pattern_based_registration": True,
            "payload_passthru_mode": True,
            "progressive_call_invocations": True,
            "progressive_call_results": True,
            "registration_meta_api": True,
            "registration_revocation": True,
            "session_meta_api": True,
            "session_resumption": True,
            "shared_registration": True,
            "testament_meta_api": True,
        },
        reflection=True,
    ),
)
"""What WELCOME announces: exactly what is implemented."""

_REQUEST_TYPES: dict[type[Message], int] = {
    Publish: 16,
    Subscribe: 32,
    Unsubscribe: 34,
    Call: 48,
    Register: 64,
    Unregister: 66,
}


class Authorize(Protocol):
    """Whether a session may do what one of its requests implies."""

    def __call__(
        self, session: Session, action: Action, uri: str, match: Match = Match.EXACT, /, *, waits: bool = True
    ) -> Decision:
        """The decision, at once.

        Args:
            session: who asks.
            action, uri, match: for what.
            waits: whether the request can be broken off by an exception now, and carried out again once there is a
                decision. Otherwise no decision means no.
        """


class Realm:
    """One realm of a router.

    Attributes:
        name: the realm's name.
        roles: role name -> role.
        sessions: session id -> session, of all that are in the realm.
        sequential_requests: whether request ids must count up by one; off only for old clients.
        authorize: whether a session may do what one of its requests implies, such as publishing a testament.
        meta: the procedures that the realm itself answers.
        on_leave: called with each session that goes, if anybody wants to know.
    """

    def __init__(
        self,
        name: str,
        roles: dict[str, Role],
        *,
        random_id: Callable[[], int],
        random_below: Callable[[int], int],
        wall_clock: Callable[[], float],
        authorize: Authorize | None = None,
        strict_uris: bool = False,
        sequential_requests: bool = True,
        history: Iterable[HistoryRule] = (),
        has_event_store: bool = False,
        limits: RealmLimits | None = None,
    ) -> None:
        """
        Args:
            name: the realm's name.
            roles: role name -> role.
            random_id: draws global-scope ids (1 to 2^53, uniformly).
            random_below: draws an integer from 0 to n - 1.
            wall_clock: the time of day, in seconds since 1970, for what is told to people.
            authorize: whether a session may do what one of its requests implies; by default its role decides.
            strict_uris: accept only lower-case letters, digits and "_" in URI components.
            sequential_requests: abort sessions whose request ids do not count up by one.
            history: which events are kept.
            has_event_store: whether they are kept by whoever carries out the effects, rather than in memory here.
            limits: how much its sessions may have together.
        """
        self.name = name
        self.roles = roles
        self.sequential_requests = sequential_requests
        self.sessions: dict[int, Session] = {}
        self.on_leave: Callable[[Session], None] | None = None
        self.authorize = authorize or _by_role
        limits = limits or RealmLimits()
        self.broker = Broker(
            random_id,
            wall_clock,
            strict_uris=strict_uris,
            max_subscriptions=limits.subscriptions,
            hears=Visibility(self, Action.SUBSCRIBE, Action.PUBLISH).hears,
        )
        for rule in history:
            self.broker.keep_history(rule, in_memory=not has_event_store)
        self.dealer = Dealer(
            random_below,
            wall_clock,
            self.broker.announcer,
            strict_uris=strict_uris,
            max_registrations=limits.registrations,
            hears=Visibility(self, Action.CALL, Action.REGISTER).hears,
        )
        self.meta = Meta(self)
        self._meta_procedures = self.meta.procedures
        self._handlers = self._handlers_of_the_rest()

    def __repr__(self) -> str:
        return f"<Realm {self.name!r}>"

    def _handlers_of_the_rest(self) -> dict[type[Message], Callable[[Session, Any], list[Effect]]]:
        """Who routes the messages that are not so frequent that `receive` knows it itself."""
        return {
            Subscribe: self.broker.subscribe,
            Unsubscribe: self.broker.unsubscribe,
            Register: self._register,
            Unregister: self.dealer.unregister,
            Cancel: self.dealer.canceling.cancel,
            Error: self.dealer.error,
            EventReceived: lambda session, message: [],
        }

    def join(self, session: Session) -> list[Effect]:
        """Take a session in, after its WELCOME."""
        self.sessions[session.id] = session
        return self.meta.joined(session)

    def detach(self, session: Session) -> list[Effect]:
        """A session has lost its connection, but may come back: all that it has lives on (docs/resume.md).

        Returns:
            Its testaments of scope "detached".
        """
        return self.meta.detached(session)

    def leave(self, session: Session) -> list[Effect]:
        """Let a session go, and end all it had: also when its connection just vanished.

        Returns:
            What others are told; or, if it has much, `BitByBit`. Then it `is_leaving`, but still among `sessions`.
        """
        return self._let_go((session,)) if session.id in self.sessions and not session.is_leaving else []

    def end(
        self, sessions: Collection[Session], reason: str, message: str | None, *, silently: bool = False
    ) -> list[Effect]:
        """Let sessions go that are killed.

        Args:
            sessions: which sessions.
            reason: GOODBYE.Reason.
            message: GOODBYE.Details.message.
            silently: without their testaments and wamp.session.on_leave.
        Returns:
            `EndSession` for each, behind the last of what is delivered to any of them; then meta events. Or, if that
            is much, `BitByBit`.
        """
        sessions = [session for session in sessions if not session.is_leaving]
        return self._let_go(sessions, [EndSession(session, reason, message) for session in sessions], silently=silently)

    def _let_go(
        self, sessions: Collection[Session], endings: Collection[Effect] = (), *, silently: bool = False
    ) -> list[Effect]:
        bit_by_bit = is_much(sessions, endings)
        for session in sessions:
            if self.on_leave is not None:
                self.on_leave(session)
            if bit_by_bit:
                session.is_leaving = True
            else:
                del self.sessions[session.id]
        if bit_by_bit:
            return [BitByBit(Departure(self, sessions, endings, silently=silently))]
        # First of all they stop to listen, so that none of many hears of the end of all the others.
        subscription_events = self.broker.leave(*sessions)
        effects = [effect for session in sessions for effect in self.dealer.leave(session)]
        effects.extend(endings)
        effects.extend(subscription_events)
        for session in sessions:
            effects.extend(self.meta.left(session, silently=silently))
        return effects

    def left(self, session: Session, *, silently: bool) -> list[Effect]:
        """A session that was leaving has nothing any more."""
        del self.sessions[session.id]
        return self.meta.left(session, silently=silently)

    def receive(self, session: Session, message: Message, now: float, disclose: bool = False) -> list[Effect]:
        """Route one message of a session that is allowed to send it.

        Args:
            session: the sender.
            message: any message that a client sends within a session, except GOODBYE and ABORT.
            now: seconds, monotonic.
            disclose: tell receivers who calls or publishes even if nobody asked for it.
        Returns:
            What is to be done, in this order. Failures of a request are among it, as ERROR to the session.
        Raises:
            ProtocolViolation: the session must be aborted.
        """
        kind = type(message)
        try:
            if kind is Call:
                if message.procedure in self._meta_procedures:  # type: ignore[attr-defined]
                    return self.meta.call(session, message)  # type: ignore[arg-type]
                return self.dealer.call(session, message, now, disclose)  # type: ignore[arg-type]
            if kind is Yield:
                return self.dealer.yield_(session, message, now)  # type: ignore[arg-type]
            if kind is Publish:
                if message.options.ppt_scheme:  # type: ignore[attr-defined]
                    check_publish(session, message)  # type: ignore[arg-type]
                return self.broker.publish(session, message, disclose)  # type: ignore[arg-type]
            handler = self._handlers.get(kind)
            if handler is None:
                raise ProtocolViolation(f"{kind.__name__.upper()} is not for clients to send within a session")
            return handler(session, message)
        except LimitExceeded as error:
            return [*self.refuse(session, message, error), LimitReached(session, error.limit)]
        except ApplicationError as error:
            return self.refuse(session, message, error)

    def _register(self, session: Session, message: Register) -> list[Effect]:
        if message.procedure in self._meta_procedures:
            raise ApplicationError("wamp.error.invalid_uri", f"{message.procedure!r} is a procedure of the router")
        return self.dealer.register(session, message)

    def continue_call(self, session: Session, message: Call) -> list[Effect]:
        """Route a CALL whose request id says that it continues another; see `Session.take_request`.

        Raises:
            ProtocolViolation: the session must be aborted.
        """
        return self.dealer.continue_call(session, message)

    def refuse(self, session: Session, message: Message, error: ApplicationError) -> list[Effect]:
        """Answer a request with an error; an unacknowledged PUBLISH fails silently (basic/publish_subscribe.md)."""
        if type(message) is Publish and not message.options.acknowledge:
            return []
        answer = Error(
            _REQUEST_TYPES[type(message)],
            message.request,  # type: ignore[attr-defined]
            PassthruDetails(),
            error.uri,
            list(error.args),
            dict(error.kwargs),
        )
        return [Deliver(answer, (session,))]

    def wake(self, pending: PendingCall, now: float) -> list[Effect]:
        """Carry out a `WakeAt` whose time has come."""
        return self.dealer.canceling.wake(pending, now)

    def serve_waiting(self, registration: Registration) -> list[Effect]:
        """Carry out a `ServeWaiting`."""
        return self.dealer.serve_waiting(registration)

    def found_out(self, asked: AnswerLater | QueryHistory, found: list[Any] | Page | ApplicationError) -> list[Effect]:
        """Carry on with what `AnswerLater` or `QueryHistory` has brought.

        Args:
            asked: the effect.
            found: the results, or stored events, or what the caller is told instead.
        Returns:
            RESULT or ERROR, unless the caller is gone.
        """
        caller, request = asked.caller, asked.request
        if self.sessions.get(caller.id) is not caller:
            return []
        if isinstance(found, ApplicationError):
            code = _REQUEST_TYPES[Call]
            return [Deliver(Error(code, request, PassthruDetails(), found.uri, list(found.args)), (caller,))]
        if isinstance(asked, QueryHistory):
            assert isinstance(found, Page)
            answer = page_answer(found, asked.query, caller.serializer)
        else:
            assert isinstance(found, list)
            answer = Answer(found)
        result = Result(request, ResultDetails(), answer.args, answer.kwargs)
        return [Deliver(result, (caller,), caller.serializer)]

    def undeliverable(self, receiver: Session, message: Message, uri: str, text: str) -> list[Effect]:
        """A message cannot be given to one of its receivers.

        An EVENT is dropped for that receiver; of a call, the caller is told ("A message could not be delivered
        due to transport payload size limits", basic/uri_reference.md).
        """
        if isinstance(message, Invocation | Result | Error):
            return self.dealer.canceling.undeliverable(receiver, message, uri, text)
        return []


def _by_role(session: Session, action: Action, uri: str, match: Match = Match.EXACT, *, waits: bool = True) -> Decision:
    return session.role.decide(action, uri, match)
