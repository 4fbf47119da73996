"""Publish and subscribe (basic/publish_subscribe.md and the PubSub chapters of the advanced profile)."""

from __future__ import annotations

from collections.abc import Callable

from rocade.errors import ApplicationError
from rocade.router.effects import Deliver, Effect
from rocade.router.filters import has_lists, receivers
from rocade.router.patterns import PatternIndex
from rocade.router.session import Session
from rocade.wamp.ids import RouterIds
from rocade.wamp.messages import (
    Event,
    EventDetails,
    Match,
    Publish,
    Published,
    PublishOptions,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from rocade.wamp.uris import is_pattern, is_reserved, is_uri, shown

__all__ = ["Broker", "Subscription"]

_NO_DETAILS = EventDetails()


class Subscription:
    """What one or more sessions are subscribed to: a topic or a pattern of topics.

    Attributes:
        id: router-scope id, the same for all its subscribers.
        uri: the topic or pattern.
        match: how `uri` is compared with topics.
        subscribers: its sessions in the order in which they subscribed (a dict used as an ordered set).
    """

    __slots__ = ("id", "match", "subscribers", "uri")

    def __init__(self, id: int, uri: str, match: Match) -> None:
        self.id = id
        self.uri = uri
        self.match = match
        self.subscribers: dict[Session, None] = {}


class Broker:
    """The publish/subscribe half of a realm."""

    def __init__(self, random_id: Callable[[], int], *, strict_uris: bool = False) -> None:
        """
        Args:
            random_id: draws global-scope ids (1 to 2^53, uniformly).
            strict_uris: accept only lower-case letters, digits and "_" in URI components.
        """
        self._random_id = random_id
        self._strict = strict_uris
        self._ids = RouterIds()
        self._index: PatternIndex[Subscription] = PatternIndex()
        # subscription id -> subscription
        self.subscriptions: dict[int, Subscription] = {}

    # --- PUBLISH ----------------------------------------------------------------------------------

    def publish(self, publisher: Session, message: Publish, disclose: bool = False) -> list[Effect]:
        """Hand an event to everybody it is for: one EVENT for each subscription that matches.

        Args:
            publisher: session that sent the PUBLISH.
            message: [PUBLISH, Request|id, Options|dict, Topic|uri, Arguments|list, ArgumentsKw|dict].
            disclose: tell subscribers who published even if the publisher did not ask for it.
        Returns:
            EVENTs (all with one publication id), then PUBLISHED if an acknowledgement was asked for.
        Raises:
            ApplicationError: wamp.error.invalid_uri.
        """
        topic = message.topic
        index = self._index
        exact = index.exact.get(topic)
        if exact is None and not is_uri(topic, strict=self._strict):
            raise ApplicationError("wamp.error.invalid_uri", f"not a valid topic: {shown(topic)}")
        if topic.startswith("wamp") and is_reserved(topic):
            raise ApplicationError("wamp.error.invalid_uri", f"topics below 'wamp.' are reserved: {shown(topic)}")
        publication = self._random_id()
        options = message.options
        effects: list[Effect] = []
        if index.has_patterns():
            for subscription in index.matching(topic):
                self._add_event(effects, subscription, publication, publisher, message, disclose)
        elif exact is not None:
            self._add_event(effects, exact, publication, publisher, message, disclose)
        if options.acknowledge:
            effects.append(Deliver(Published(message.request, publication), (publisher,)))
        return effects

    def _add_event(
        self,
        effects: list[Effect],
        subscription: Subscription,
        publication: int,
        publisher: Session,
        message: Publish,
        disclose: bool,
    ) -> None:
        options = message.options
        subscribers = subscription.subscribers
        # The common case, everybody but possibly the publisher, copies no collection of subscribers.
        if publisher in subscribers or has_lists(options):
            to = receivers(subscribers, publisher, options)
            if not to:
                return
        else:
            to = subscribers
        details = _event_details(subscription, publisher, message.topic, options, disclose)
        event = Event(subscription.id, publication, details, message.args, message.kwargs)
        effects.append(Deliver(event, to, publisher.serializer))

    # --- SUBSCRIBE, UNSUBSCRIBE -------------------------------------------------------------------

    def subscribe(self, session: Session, message: Subscribe) -> list[Effect]:
        """Subscribe a session; subscribing again to the same gives the same subscription id.

        Args:
            session: the subscriber.
            message: [SUBSCRIBE, Request|id, Options|dict, Topic|uri].
        Returns:
            SUBSCRIBED.
        Raises:
            ApplicationError: wamp.error.invalid_uri.
        """
        topic, match = message.topic, message.options.match or Match.EXACT
        subscription = self._index.get(topic, match)
        if subscription is None:
            self._check(topic, match)
            subscription = Subscription(self._ids.next(self.subscriptions), topic, match)
            self._index.add(topic, match, subscription)
            self.subscriptions[subscription.id] = subscription
        subscription.subscribers[session] = None
        session.subscriptions[subscription.id] = subscription
        return [Deliver(Subscribed(message.request, subscription.id), (session,))]

    def unsubscribe(self, session: Session, message: Unsubscribe) -> list[Effect]:
        """End one of a session's subscriptions.

        Args:
            session: the subscriber.
            message: [UNSUBSCRIBE, Request|id, SUBSCRIBED.Subscription|id].
        Returns:
            UNSUBSCRIBED.
        Raises:
            ApplicationError: wamp.error.no_such_subscription: the session has no subscription of that id.
        """
        subscription = session.subscriptions.pop(message.subscription, None)
        if subscription is None:
            raise ApplicationError(
                "wamp.error.no_such_subscription", f"no subscription {message.subscription} in this session"
            )
        self._remove(session, subscription)
        return [Deliver(Unsubscribed(message.request), (session,))]

    def leave(self, session: Session) -> list[Effect]:
        """End all subscriptions of a session that is gone."""
        for subscription in session.subscriptions.values():
            self._remove(session, subscription)
        session.subscriptions.clear()
        return []

    def _remove(self, session: Session, subscription: Subscription) -> None:
        subscription.subscribers.pop(session, None)
        if not subscription.subscribers:
            self._index.remove(subscription.uri, subscription.match)
            del self.subscriptions[subscription.id]

    def _check(self, topic: str, match: Match) -> None:
        valid = is_uri if match is Match.EXACT else is_pattern
        if not valid(topic, strict=self._strict):
            raise ApplicationError("wamp.error.invalid_uri", f"not a valid topic to subscribe to: {shown(topic)}")


def _event_details(
    subscription: Subscription, publisher: Session, topic: str, options: PublishOptions, disclose: bool
) -> EventDetails:
    """EVENT.Details; the same empty one for nearly all events."""
    pattern = subscription.match is not Match.EXACT
    disclose = disclose or options.disclose_me is True
    if not pattern and not disclose and options.ppt_scheme is None:
        return _NO_DETAILS
    details = EventDetails(topic=topic if pattern else None)
    if disclose:
        details.publisher = publisher.id
        details.publisher_authid = publisher.authid
        details.publisher_authrole = publisher.role.name
    if options.ppt_scheme is not None:
        details.ppt_scheme, details.ppt_serializer = options.ppt_scheme, options.ppt_serializer
        details.ppt_cipher, details.ppt_keyid = options.ppt_cipher, options.ppt_keyid
    return details
