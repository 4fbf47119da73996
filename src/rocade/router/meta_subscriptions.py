"""The subscription meta API: who is subscribed to what, and how to end a subscription.

Specification: advanced/meta_api_subscriptions.md, advanced/pubsub_subscription_revocation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from rocade.errors import ApplicationError
from rocade.router.answer import Answer
from rocade.router.id_answers import LONG
from rocade.router.meta_events import iso_8601
from rocade.router.meta_sessions import checked_reason, no_such_session
from rocade.router.permissions import Action
from rocade.router.session import Session
from rocade.router.visibility import Visibility
from rocade.wamp.messages import Id, Match, SubscribeOptions

if TYPE_CHECKING:
    from rocade.router.broker import Subscription
    from rocade.router.realm import Realm

__all__ = ["SubscriptionMeta", "subscription_details"]

LIST = "wamp.subscription.list"


class SubscriptionMeta:
    """Procedures about subscriptions."""

    def __init__(self, realm: Realm) -> None:
        """
        Args:
            realm: whose subscriptions.
        """
        self._realm = realm
        self._broker = realm.broker
        self._visibility = Visibility(realm, Action.SUBSCRIBE, Action.PUBLISH)

    def procedures(self) -> dict[str, Callable[..., Answer]]:
        """URI -> method."""
        return {
            LIST: self.ids,
            "wamp.subscription.lookup": self.lookup,
            "wamp.subscription.match": self.match,
            "wamp.subscription.get": self.get,
            "wamp.subscription.list_subscribers": self.list_subscribers,
            "wamp.subscription.count_subscribers": self.count_subscribers,
            "wamp.subscription.remove_subscriber": self.remove_subscriber,
        }

    def ids(self, caller: Session) -> Answer:
        """Ids of all subscriptions, for each match policy."""
        answers, broker, may_use = self._realm.meta.id_answers, self._broker, self._visibility.may_use
        if self._visibility.sees_all(caller, LIST):
            return answers.by_match(caller, broker.subscriptions, broker.has_patterns)
        return answers.by_match(
            caller,
            broker.subscriptions,
            broker.has_patterns,
            may_see=lambda subscription: may_use(caller, subscription.uri, subscription.match),
        )

    def lookup(self, caller: Session, topic: str, options: SubscribeOptions | None = None) -> Answer:
        """Id of the subscription to exactly this topic or pattern, or null."""
        match = (options.match if options is not None else None) or Match.EXACT
        subscription = self._broker.lookup(topic, match)
        if subscription is not None and not self._visibility.sees(caller, "wamp.subscription.lookup", topic, match):
            subscription = None
        return Answer([subscription.id if subscription is not None else None])

    def match(self, caller: Session, topic: str) -> Answer:
        """Ids of all subscriptions that an event on this topic is for, or null."""
        rest: list[Iterator[Subscription]] = []
        found = self._broker.matching(topic, rest)
        if not (found or rest) or not self._visibility.sees(caller, "wamp.subscription.match", topic, Match.EXACT):
            return Answer([None])
        count = LONG + 1 if rest else len(found)
        return self._realm.meta.id_answers.all(caller, count, lambda: chain(found, *rest))

    def get(self, caller: Session, subscription: Id) -> Answer:
        """What on_create told about a subscription."""
        return Answer([subscription_details(self._find(caller, "wamp.subscription.get", subscription))])

    def list_subscribers(self, caller: Session, subscription: Id) -> Answer:
        """Ids of the sessions that are subscribed."""
        found = self._find(caller, "wamp.subscription.list_subscribers", subscription)
        some = found.subscribers
        return self._realm.meta.id_answers.all(caller, len(some), lambda: list(some))

    def count_subscribers(self, caller: Session, subscription: Id) -> Answer:
        """How many sessions are subscribed."""
        return Answer([len(self._find(caller, "wamp.subscription.count_subscribers", subscription).subscribers)])

    def remove_subscriber(self, caller: Session, subscription: Id, session: Id, reason: Any = None) -> Answer:
        """End a session's subscription without its doing: Crossbar's addition to the specification.

        The reason is a URI, although the specification allows any string: autobahn drops the connection over others.
        """
        uri = checked_reason(reason)
        found = self._find(caller, "wamp.subscription.remove_subscriber", subscription)
        subscriber = self._realm.sessions.get(session)
        if subscriber is None:
            raise no_such_session(session)
        if subscriber not in found.subscribers:
            raise ApplicationError(
                "wamp.error.no_such_subscription", f"session {session} has no subscription {subscription}"
            )
        return Answer([], self._broker.revoke(subscriber, found, uri))

    def _find(self, caller: Session, procedure: str, id: int) -> Subscription:
        subscription = self._broker.subscriptions.get(id)
        if subscription is None or not self._visibility.sees(caller, procedure, subscription.uri, subscription.match):
            raise ApplicationError("wamp.error.no_such_subscription", f"there is no subscription {id} in this realm")
        return subscription


def subscription_details(subscription: Subscription) -> dict[str, Any]:
    """SubscriptionDetails of the specification."""
    return {
        "id": subscription.id,
        "created": iso_8601(subscription.created),
        "uri": subscription.uri,
        "match": subscription.match.value,
    }
