"""A realm with sessions in it, and short ways to send messages and to see who got what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from msgspec import Raw

from rocade.router.effects import CancelWake, Deliver, Effect, Series, ServeWaiting, WakeAt
from rocade.router.limits import UNLIMITED, RealmLimits, SessionLimits
from rocade.router.permissions import Role
from rocade.router.realm import Realm
from rocade.router.session import Session
from rocade.wamp.codec import JSON, Serializer
from rocade.wamp.messages import (
    NO_PAYLOAD,
    Call,
    CallOptions,
    Cancel,
    CancelMode,
    CancelOptions,
    ClientRoles,
    Error,
    Invocation,
    Message,
    PassthruDetails,
    Publish,
    PublishOptions,
    Register,
    RegisterOptions,
    Subscribe,
    SubscribeOptions,
    Unregister,
    Unsubscribe,
    Yield,
    YieldOptions,
)
from rocade.wamp.messages import Role as ClientRole

EVERYTHING = {
    "call_canceling": True,
    "call_reroute": True,
    "payload_passthru_mode": True,
    "progressive_call_invocations": True,
    "progressive_call_results": True,
}
"""Features of a client that can do all that concerns calls."""


class Scene:
    """A realm, and a clock that only the test moves."""

    def __init__(
        self,
        *,
        strict_uris: bool = False,
        random_below: Callable[[int], int] = lambda n: 0,
        serves: bool = True,
        limits: RealmLimits | None = None,
    ) -> None:
        """
        Args:
            strict_uris: as for a realm.
            random_below: as for a realm.
            serves: whether calls that wait are served at once, as if every message could be delivered.
            limits: as for a realm.
        """
        self.serves = serves
        ids = count(1000)
        self.user = Role("user")
        self.realm = Realm(
            "realm1",
            {"user": self.user},
            random_id=lambda: next(ids),
            random_below=random_below,
            wall_clock=lambda: 1709208000.0,
            strict_uris=strict_uris,
            limits=limits,
        )
        self.now = 0.0
        self._session_ids = count(1)
        self.joined: list[Effect] = []
        """What the latest join brought about."""

    def join(
        self,
        authid: str = "someone",
        *,
        role: Role | None = None,
        caller: dict[str, Any] | None = None,
        callee: dict[str, Any] | None = None,
        publisher: dict[str, Any] | None = None,
        subscriber: dict[str, Any] | None = None,
        serializer: Serializer = JSON,
        transport: dict[str, Any] | None = None,
        limits: SessionLimits = UNLIMITED,
    ) -> Session:
        """A new session; `caller`, `callee`, `publisher` and `subscriber` are the features that it announces."""
        roles = ClientRoles(
            publisher=ClientRole(publisher),
            subscriber=ClientRole(subscriber),
            caller=ClientRole(caller),
            callee=ClientRole(callee),
        )
        session = Session(
            next(self._session_ids),
            "realm1",
            role or self.user,
            serializer,
            authid=authid,
            roles=roles,
            transport=transport,
            limits=limits,
        )
        self.joined = self.realm.join(session)
        return session

    def leave(self, session: Session) -> list[Effect]:
        return self.served(self.realm.leave(session))

    def send(self, session: Session, message: Message, *, disclose: bool = False) -> list[Effect]:
        return self.served(self.realm.receive(session, message, self.now, disclose))

    def served(self, effects: list[Effect]) -> list[Effect]:
        """What is left to a receiver of effects to ask for, asked for as the gateway does."""
        effects = list(unfolded(effects))
        if not self.serves:
            return effects
        for effect in effects:
            if type(effect) is ServeWaiting:
                effects.extend(self.realm.serve_waiting(effect.registration))
        return [effect for effect in effects if type(effect) is not ServeWaiting]

    def subscribe(self, session: Session, topic: str, **options: Any) -> list[Effect]:
        return self.send(session, Subscribe(next_request(session), SubscribeOptions(**options), topic))

    def unsubscribe(self, session: Session, subscription: int) -> list[Effect]:
        return self.send(session, Unsubscribe(next_request(session), subscription))

    def publish(
        self, session: Session, topic: str, *, args: Raw = NO_PAYLOAD, disclose: bool = False, **options: Any
    ) -> list[Effect]:
        message = Publish(next_request(session), PublishOptions(**options), topic, args)
        return self.send(session, message, disclose=disclose)

    def register(self, session: Session, procedure: str, **options: Any) -> list[Effect]:
        return self.send(session, Register(next_request(session), RegisterOptions(**options), procedure))

    def unregister(self, session: Session, registration: int) -> list[Effect]:
        return self.send(session, Unregister(next_request(session), registration))

    def call(
        self, session: Session, procedure: str, *, args: Raw = NO_PAYLOAD, disclose: bool = False, **options: Any
    ) -> list[Effect]:
        message = Call(next_request(session), CallOptions(**options), procedure, args)
        return self.send(session, message, disclose=disclose)

    def continue_call(
        self, session: Session, request: int, procedure: str, *, args: Raw = NO_PAYLOAD, **options: Any
    ) -> list[Effect]:
        """A CALL whose request id was used before, let in as admission does it."""
        message = Call(request, CallOptions(**options), procedure, args)
        assert not session.take_request(request, is_call=True)
        return self.served(self.realm.continue_call(session, message))

    def cancel(self, session: Session, request: int, mode: CancelMode | None = None) -> list[Effect]:
        return self.send(session, Cancel(request, CancelOptions(mode=mode)))

    def yield_(self, session: Session, invocation: int, *, args: Raw = NO_PAYLOAD, **options: Any) -> list[Effect]:
        return self.send(session, Yield(invocation, YieldOptions(**options), args))

    def error(
        self,
        session: Session,
        invocation: int,
        uri: str = "com.example.failed",
        *,
        args: Raw = NO_PAYLOAD,
        request_type: int = 68,
    ) -> list[Effect]:
        return self.send(session, Error(request_type, invocation, PassthruDetails(), uri, args))

    def is_empty(self) -> bool:
        """Whether nothing is left of anybody in the realm's tables."""
        broker, dealer = self.realm.broker, self.realm.dealer
        return not (
            self.realm.sessions
            or broker.subscriptions
            or dealer.registrations
            or index_size(broker._index)
            or index_size(dealer._index)
            or self.realm.meta._testaments._of
            or self.realm.meta._schemas._by
            or self.realm.meta._schemas._definitions
        )


def next_request(session: Session) -> int:
    session.last_request += 1
    return session.last_request


def unfolded(effects: Iterable[Effect | None]) -> Iterator[Effect]:
    """All effects, with those that are made one after the other."""
    for effect in effects:
        if type(effect) is Series:
            yield from unfolded(effect.effects)
        elif effect is not None:
            yield effect


def index_size(index: Any) -> int:
    """How many entries a `PatternIndex` holds in any of its tables."""
    return len(index.exact) + len(index._prefixes._bases) + len(index._wildcards._lengths)


def sent(effects: list[Effect], session: Session) -> list[Any]:
    """The messages for one session, in their order."""
    return [effect.message for effect in effects if type(effect) is Deliver and session in effect.receivers]


def sent_one(effects: list[Effect], session: Session) -> Any:
    """The one message for a session."""
    messages = sent(effects, session)
    assert len(messages) == 1, messages
    return messages[0]


def receivers(effects: list[Effect]) -> list[Session]:
    """Everybody who is sent something, as often as they are."""
    return [session for effect in effects if type(effect) is Deliver for session in effect.receivers]


def wakes(effects: list[Effect]) -> list[WakeAt]:
    return [effect for effect in effects if type(effect) is WakeAt]


def canceled_wakes(effects: list[Effect]) -> list[CancelWake]:
    return [effect for effect in effects if type(effect) is CancelWake]


def invocation(effects: list[Effect], callee: Session) -> Invocation:
    """The one INVOCATION for a callee."""
    message = sent_one(effects, callee)
    assert type(message) is Invocation
    return message
