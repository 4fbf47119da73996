"""Testaments: events that a session leaves behind, published when it has ended, however it ended.

There are two scopes. "destroyed" testaments are published when the session ends. So are "detached" ones, before
them, unless the session has outlived its connection: then they were when that was lost.

Specification: advanced/pubsub_testament.md.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from msgspec import Raw, Struct

from rocade.errors import ApplicationError, PayloadNotSerializable
from rocade.router.answer import Answer
from rocade.router.effects import Effect
from rocade.router.kept import raw_copy
from rocade.router.permissions import Action
from rocade.router.session import Session
from rocade.wamp.codec import Serializer, transcode
from rocade.wamp.messages import Publish, PublishOptions
from rocade.wamp.uris import shown

if TYPE_CHECKING:
    from rocade.router.realm import Realm

__all__ = ["Scope", "Testaments"]

MAX_TESTAMENTS = 100
"""Testaments that a session may have."""

MAX_TESTAMENT_BYTES = 1024 * 1024
"""Bytes of payload that all testaments of a session may have together."""


class Scope(StrEnum):
    """When a testament is published, in the order in which the two are."""

    DETACHED = "detached"
    DESTROYED = "destroyed"


class Testament(Struct, gc=False):
    """One event that is left behind.

    Attributes:
        scope: when it is published.
        topic, args, kwargs, options: of the PUBLISH that the session will not have to send.
        serializer: what the payload is in. As Python objects it could take many times the memory.
        disclose: whether subscribers are told whose it is although it was not asked for.
        size: bytes of payload.
    """

    scope: Scope
    topic: str
    args: Raw
    kwargs: Raw
    serializer: Serializer
    options: PublishOptions
    disclose: bool
    size: int


class Testaments:
    """The testaments of all sessions of a realm."""

    def __init__(self, realm: Realm) -> None:
        """
        Args:
            realm: where they are published.
        """
        self._realm = realm
        # session -> its testaments in the order in which they were added
        self._of: dict[Session, list[Testament]] = {}

    def procedures(self) -> dict[str, Callable[..., Answer]]:
        """URI -> method."""
        return {"wamp.session.add_testament": self.add, "wamp.session.flush_testaments": self.flush}

    def add(
        self,
        caller: Session,
        topic: str,
        args: list[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        *,
        publish_options: PublishOptions | None = None,
        scope: Scope = Scope.DESTROYED,
    ) -> Answer:
        """Add a testament. What the session may publish now is published then, whatever becomes of its permissions.

        Raises:
            ApplicationError: wamp.error.invalid_uri, wamp.error.not_authorized, wamp.error.limit_exceeded.
        """
        self._realm.broker.check_topic(topic)
        decision = self._realm.authorize(caller, Action.PUBLISH, topic)
        if not decision.allowed:
            raise ApplicationError("wamp.error.not_authorized", f"not allowed to publish {shown(topic)}")
        options = publish_options or PublishOptions()
        options.acknowledge = None  # there will be nobody to acknowledge it to
        # As if the session itself had sent it.
        payload = raw_copy(args, caller.serializer), raw_copy(kwargs, caller.serializer)
        size = sum(map(len, payload))
        testament = Testament(scope, topic, *payload, caller.serializer, options, decision.disclose, size)
        testaments = self._of.get(caller, [])
        if len(testaments) == MAX_TESTAMENTS:
            raise _limit_exceeded(f"a session has at most {MAX_TESTAMENTS} testaments")
        if sum(other.size for other in testaments) + testament.size > MAX_TESTAMENT_BYTES:
            raise _limit_exceeded(f"the testaments of a session have at most {MAX_TESTAMENT_BYTES} bytes of payload")
        self._of[caller] = [*testaments, testament]
        return Answer()

    def flush(self, caller: Session, *, scope: Scope = Scope.DESTROYED) -> Answer:
        """Remove the caller's testaments of one scope."""
        if caller in self._of:
            self._take(caller, scope)
        return Answer()

    def detached(self, session: Session) -> list[Effect]:
        """EVENTs for what a session left behind that has lost its connection, but not its life. They are used up."""
        return self._executed(session, Scope.DETACHED) if session in self._of else []

    def destroyed(self, session: Session) -> list[Effect]:
        """EVENTs for what a session that is gone left behind: "detached" before "destroyed" testaments."""
        if session not in self._of:
            return []
        return [*self._executed(session, Scope.DETACHED), *self._executed(session, Scope.DESTROYED)]

    def forget(self, session: Session) -> None:
        """Let go of a session's testaments without publishing them."""
        self._of.pop(session, None)

    def _executed(self, session: Session, scope: Scope) -> list[Effect]:
        return [effect for testament in self._take(session, scope) for effect in self._published(session, testament)]

    def _take(self, session: Session, scope: Scope) -> list[Testament]:
        testaments = self._of.pop(session, ())
        kept = [testament for testament in testaments if testament.scope is not scope]
        if kept:
            self._of[session] = kept
        return [testament for testament in testaments if testament.scope is scope]

    def _published(self, session: Session, testament: Testament) -> list[Effect]:
        try:
            # The session may have been resumed with another serializer.
            args, kwargs = (
                transcode(payload, testament.serializer, session.serializer)
                if session.serializer is not testament.serializer
                else payload
                for payload in (testament.args, testament.kwargs)
            )
            message = Publish(1, testament.options, testament.topic, args, kwargs)
            return self._realm.broker.publish(session, message, testament.disclose)
        except (ApplicationError, PayloadNotSerializable):
            return []  # as for any PUBLISH without acknowledgement


def _limit_exceeded(text: str) -> ApplicationError:
    return ApplicationError("wamp.error.limit_exceeded", text)
