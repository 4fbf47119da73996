"""Publish and subscribe (basic/publish_subscribe.md and the PubSub chapters of the advanced profile)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from rocade.errors import ApplicationError, LimitExceeded
from rocade.router.effects import Deliver, Effect, Series
from rocade.router.filters import Lists, lists_of, receivers
from rocade.router.history import EventHistory, HistoryRule
from rocade.router.kept import KeptEvent, keep
from rocade.router.limits import NONE
from rocade.router.meta_events import Announcer, Hears, Lifecycle
from rocade.router.meta_subscriptions import subscription_details
from rocade.router.patterns import PatternIndex
from rocade.router.publication import event_details, events, is_for_many
from rocade.router.retention import Retention
from rocade.router.session import Session
from rocade.wamp.ids import RouterIds
from rocade.wamp.messages import (
    Event,
    Match,
    Publish,
    Published,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    UnsubscribedDetails,
)
from rocade.wamp.uris import is_pattern, is_reserved, is_uri, shown

__all__ = ["Broker", "Subscription"]


class Subscription:
    """What one or more sessions are subscribed to: a topic or a pattern of topics.

    Attributes:
        id: router-scope id, the same for all its subscribers.
        uri: the topic or pattern.
        match: how `uri` is compared with topics.
        created: when the first of them did, in seconds since 1970.
        is_permanent: whether it is there without subscribers too, from the start: for event history.
        subscribers: its sessions in the order in which they subscribed, with the broker's age at the time.
    """

    __slots__ = ("created", "id", "is_permanent", "match", "subscribers", "uri")

    def __init__(self, id: int, uri: str, match: Match, created: float, *, is_permanent: bool = False) -> None:
        self.id = id
        self.uri = uri
        self.match = match
        self.created = created
        self.is_permanent = is_permanent
        self.subscribers: dict[Session, int] = {}


class Broker:
    """The publish/subscribe half of a realm.

    Attributes:
        announcer: publishes meta events.
        history: events of the past.
    """

    def __init__(
        self,
        random_id: Callable[[], int],
        wall_clock: Callable[[], float],
        *,
        strict_uris: bool = False,
        max_subscriptions: int = NONE,
        hears: Hears | None = None,
    ) -> None:
        """
        Args:
            random_id: draws global-scope ids (1 to 2^53, uniformly).
            wall_clock: the time of day, in seconds since 1970.
            strict_uris: accept only lower-case letters, digits and "_" in URI components.
            max_subscriptions: of all sessions together, see `RealmLimits`.
            hears: who may hear of which subscription; None: everybody of all.
        """
        self._random_id = random_id
        self._strict = strict_uris
        self._ids = RouterIds()
        self._wall_clock = wall_clock
        self._index: PatternIndex[Subscription] = PatternIndex()
        self.announcer = Announcer(self._index, random_id)
        self._events = Lifecycle(self.announcer, "subscription", "subscribe", subscription_details, hears)
        self._retention = Retention()
        self.history = EventHistory(wall_clock)
        self._keeps_history = False
        # How often there was an event for very many: who subscribes later does not get it.
        self._age = 0
        # subscriptions of all sessions, and how many there may be
        self._attached = 0
        self._max_attached = max_subscriptions
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
        if exact is None or topic.startswith("wamp"):
            self.check_topic(topic)
        publication = self._random_id()
        options = message.options
        # Once, however many subscriptions match: a list may be long.
        lists = lists_of(options)
        effects: list[Effect] = []
        if index.has_patterns():
            rest: list[Iterator[Subscription]] = []
            matching = index.matching(topic, rest)
            if rest or (len(matching) > 1 and is_for_many(matching)):
                effects.append(self._series(chain(matching, *rest), publication, publisher, message, lists, disclose))
            else:
                for subscription in matching:
                    self._add_event(effects, subscription, publication, publisher, message, lists, disclose)
        elif exact is not None:
            self._add_event(effects, exact, publication, publisher, message, lists, disclose)
        if options.retain or self._keeps_history:
            effects = self._keep(effects, publication, publisher, message, lists, disclose)
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
        lists: Lists | None,
        disclose: bool,
    ) -> None:
        options = message.options
        subscribers = subscription.subscribers
        # The common case, everybody but possibly the publisher, copies no collection of subscribers.
        if publisher in subscribers or lists is not None:
            if is_for_many((subscription,)):
                effects.append(self._series([subscription], publication, publisher, message, lists, disclose))
                return
            to = receivers(subscribers, publisher, options, lists)
            if not to:
                return
        else:
            to = subscribers  # nobody, if it is a subscription for history: see _keep
        details = event_details(subscription.match, publisher, message.topic, options, disclose)
        event = Event(subscription.id, publication, details, message.args, message.kwargs)
        effects.append(Deliver(event, to, publisher.serializer))

    def _series(
        self,
        subscriptions: Iterable[Subscription],
        publication: int,
        publisher: Session,
        message: Publish,
        lists: Lists | None,
        disclose: bool,
    ) -> Series:
        """As `_add_event`, for so many that others have their turn before all is done."""
        self._age += 1
        serializer = publisher.serializer
        return Series(events(subscriptions, self._age, publication, publisher, serializer, message, lists, disclose))

    def _keep(
        self,
        effects: list[Effect],
        publication: int,
        publisher: Session,
        message: Publish,
        lists: Lists | None,
        disclose: bool,
    ) -> list[Effect]:
        """Keep an event for those who come later: subscribers that want the retained one, readers of history.

        Args:
            effects: the EVENTs for those who are there now.
            publication: its id.
            publisher: session that sent the PUBLISH.
            message: the PUBLISH.
            lists: those among its options.
            disclose: tell who published even if the publisher did not ask for it.
        Returns:
            The EVENTs, without those of subscriptions that are there for their history only, and what is to be stored.
            They are sorted out here, since a look at each on its way would cost all realms a twentieth of a publish.
        """
        options = message.options
        rules = self.history.rules_for(message.topic) if self._keeps_history else []
        if rules:
            effects = [effect for effect in effects if type(effect) is not Deliver or effect.receivers]
        elif not options.retain:
            return effects
        details = event_details(Match.EXACT, publisher, message.topic, options, disclose)
        event = keep(publication, message, details, publisher.serializer, lists)
        if options.retain:
            self._retention.retain(event, None if options.exclude_me is False else publisher.id)
        if rules:
            effects.extend(self.history.record(event, rules))
        return effects

    def keep_history(self, rule: HistoryRule, *, in_memory: bool = True) -> None:
        """Keep events by a rule from now on, under a subscription that never ends.

        Args:
            rule: which events; no two rules have the same URI and match.
            in_memory: here; otherwise `StoreEvent` and `QueryHistory` ask for it to be done elsewhere.
        Raises:
            ApplicationError: wamp.error.invalid_uri.
        """
        self._check(rule.uri, rule.match)
        id = self._ids.next(self.subscriptions)
        self._add(Subscription(id, rule.uri, rule.match, self._wall_clock(), is_permanent=True))
        self.history.add(rule, id, in_memory=in_memory)
        self._keeps_history = True

    # --- SUBSCRIBE, UNSUBSCRIBE -------------------------------------------------------------------

    def subscribe(self, session: Session, message: Subscribe) -> list[Effect]:
        """Subscribe a session; subscribing again to the same gives the same subscription id.

        Args:
            session: the subscriber.
            message: [SUBSCRIBE, Request|id, Options|dict, Topic|uri].
        Returns:
            SUBSCRIBED, then the retained events that were asked for, then meta events.
        Raises:
            ApplicationError: wamp.error.invalid_uri.
            LimitExceeded: the session, or the realm, has as many as it may have.
        """
        topic, match = message.topic, message.options.match or Match.EXACT
        subscription = self._index.get(topic, match)
        is_new = subscription is None
        if is_new or session not in subscription.subscribers:  # type: ignore[union-attr]
            self._check_room(session)
        if subscription is None:
            self._check(topic, match)
            subscription = Subscription(self._ids.next(self.subscriptions), topic, match, self._wall_clock())
        effects: list[Effect] = [Deliver(Subscribed(message.request, subscription.id), (session,))]
        if message.options.get_retained:
            effects.extend(self._retained(session, subscription))
        if session not in subscription.subscribers:
            # Told to those who listened before: a subscription to everything does not begin with news of itself.
            effects.extend(self._events.attached(session, subscription, is_new=is_new))
            if is_new:
                self._add(subscription)
            subscription.subscribers[session] = self._age
            self._attached += 1
            session.subscriptions[subscription.id] = subscription
        return effects

    def _check_room(self, session: Session) -> None:
        most = session.limits.subscriptions
        if len(session.subscriptions) >= most:
            raise LimitExceeded("subscriptions", most, f"a session may have {most} subscriptions")
        if self._attached >= self._max_attached:
            text = f"the realm has the {self._max_attached} subscriptions that it may have"
            raise LimitExceeded("realm_subscriptions", self._max_attached, text)

    def _retained(self, session: Session, subscription: Subscription) -> list[Effect]:
        """What a subscriber gets that asks for retained events, also when it was subscribed before.

        A client library gives a topic to several of its users by subscribing again for each.
        """
        id, uri, match = subscription.id, subscription.uri, subscription.match
        if match is Match.EXACT:
            event = self._retention.find(session, uri)
            return [] if event is None else [_retained_for(session, id, match, event)]
        if not self._retention:
            return []
        found = self._retention.search(session, uri, match)
        return [Series(None if event is None else _retained_for(session, id, match, event) for event in found)]

    def unsubscribe(self, session: Session, message: Unsubscribe) -> list[Effect]:
        """End one of a session's subscriptions.

        Args:
            session: the subscriber.
            message: [UNSUBSCRIBE, Request|id, SUBSCRIBED.Subscription|id].
        Returns:
            UNSUBSCRIBED, then meta events.
        Raises:
            ApplicationError: wamp.error.no_such_subscription: the session has no subscription of that id.
        """
        subscription = session.subscriptions.pop(message.subscription, None)
        if subscription is None:
            raise ApplicationError(
                "wamp.error.no_such_subscription", f"no subscription {message.subscription} in this session"
            )
        was_last = self._remove(session, subscription)
        events = self._events.detached(session, subscription, was_last=was_last)
        return [Deliver(Unsubscribed(message.request), (session,)), *events]

    def revoke(self, session: Session, subscription: Subscription, reason: str | None) -> list[Effect]:
        """End a session's subscription without its doing.

        Args:
            session: a subscriber.
            subscription: what it is subscribed to.
            reason: told to the subscriber.
        Returns:
            UNSUBSCRIBED with request id 0, if the client knows what that means ("the Broker MUST NOT send an
            UNSUBSCRIBED message" otherwise); then meta events.

        Spec: advanced/pubsub_subscription_revocation.md
        """
        del session.subscriptions[subscription.id]
        was_last = self._remove(session, subscription)
        effects: list[Effect] = []
        if session.subscriber_takes_revocations:
            details = UnsubscribedDetails(subscription=subscription.id, reason=reason)
            effects.append(Deliver(Unsubscribed(0, details), (session,)))
        effects.extend(self._events.detached(session, subscription, was_last=was_last))
        return effects

    def leave(self, *sessions: Session) -> list[Effect]:
        """End all subscriptions of sessions that are gone.

        Returns:
            Meta events. None of the sessions that are gone gets any.
        """
        ended = [
            (session, subscription, self._remove(session, subscription))
            for session in sessions
            for subscription in session.subscriptions.values()
        ]
        effects: list[Effect] = []
        for session, subscription, was_last in ended:
            session.subscriptions.clear()
            effects.extend(self._events.detached(session, subscription, was_last=was_last))
        return effects

    def end_subscription(self, session: Session) -> list[Effect]:
        """End the latest subscription of a session that has some and is leaving, see `rocade.router.departure`.

        Returns:
            Meta events.
        """
        subscription = session.subscriptions.popitem()[1]
        was_last = self._remove(session, subscription)
        return self._events.detached(session, subscription, was_last=was_last)

    def _add(self, subscription: Subscription) -> None:
        self._index.add(subscription.uri, subscription.match, subscription)
        self.subscriptions[subscription.id] = subscription
        if subscription.match is not Match.EXACT:
            self.announcer.patterns_changed()

    def _remove(self, session: Session, subscription: Subscription) -> bool:
        """Take a session off a subscription; whether the subscription is gone with it."""
        subscription.subscribers.pop(session, None)
        self._attached -= 1
        if subscription.subscribers or subscription.is_permanent:
            return False
        self._index.remove(subscription.uri, subscription.match)
        del self.subscriptions[subscription.id]
        if subscription.match is not Match.EXACT:
            self.announcer.patterns_changed()
        return True

    # --- what there is ----------------------------------------------------------------------------

    def has_patterns(self) -> bool:
        """Whether any of the subscriptions is a prefix or a wildcard."""
        return self._index.has_patterns()

    def lookup(self, topic: str, match: Match) -> Subscription | None:
        """The subscription to exactly this topic or pattern."""
        return self._index.get(topic, match)

    def matching(self, topic: str, rest: list[Iterator[Subscription]]) -> list[Subscription]:
        """All subscriptions that an event on this topic is for; none if there can be no such event.

        Args:
            topic: what it would be published to.
            rest: if there are thousands more, they are added to this, see `PatternIndex.matching`.
        """
        return self._index.matching(topic, rest) if is_uri(topic, strict=self._strict) else []

    def check_topic(self, topic: str) -> None:
        """Make sure that clients may publish to a topic, as far as its name is concerned.

        Raises:
            ApplicationError: wamp.error.invalid_uri.
        """
        if not is_uri(topic, strict=self._strict):
            raise ApplicationError("wamp.error.invalid_uri", f"not a valid topic: {shown(topic)}")
        if is_reserved(topic):
            raise ApplicationError("wamp.error.invalid_uri", f"topics below 'wamp.' are reserved: {shown(topic)}")

    def _check(self, topic: str, match: Match) -> None:
        valid = is_uri if match is Match.EXACT else is_pattern
        if not valid(topic, strict=self._strict):
            raise ApplicationError("wamp.error.invalid_uri", f"not a valid topic to subscribe to: {shown(topic)}")


def _retained_for(session: Session, subscription: int, match: Match, event: KeptEvent) -> Deliver:
    return Deliver(event.retained(subscription, match), (session,), event.serializer)
