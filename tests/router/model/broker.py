"""Publish and subscribe, the slow way: every publication looks at every subscription and at every subscriber.

Specification: basic/publish_subscribe.md and the PubSub chapters of the advanced profile; docs/wamp.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.router.model.sessions import Peer, Post, Refused, Violation, passthru
from tests.router.model.uris import in_order, is_for, is_pattern, is_reserved, is_uri

SUBSCRIBED, UNSUBSCRIBED, EVENT, PUBLISHED = 33, 35, 36, 17


@dataclass(eq=False)
class Subscription:
    """A topic or pattern, and who is subscribed to it."""

    id: int
    uri: str
    match: str
    created: str
    subscribers: list[Peer] = field(default_factory=list)

    def details(self) -> dict[str, Any]:
        """What the meta API tells."""
        return {"id": self.id, "created": self.created, "uri": self.uri, "match": self.match}


@dataclass(eq=False)
class Publication:
    """What was published once. It stands in messages where its id does."""

    topic: str
    publisher: Peer | None = None
    options: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<publication {self.topic}>"

    def is_for(self, peer: Peer) -> bool:
        """Whether a session gets it that is subscribed."""
        options = self.options
        if peer is self.publisher and options.get("exclude_me") is not False:
            return False
        for suffix, name in (("", peer.id), ("_authid", peer.authid), ("_authrole", peer.authrole)):
            if name in (options.get(f"exclude{suffix}") or []):
                return False
            eligible = options.get(f"eligible{suffix}")
            if eligible is not None and name not in eligible:
                return False
        return True


class Broker:
    """The broker of a realm.

    Attributes:
        subscriptions: all that there are.
        retained: all retained publications of all times.
    """

    def __init__(self, post: Post, time: Callable[[], str]) -> None:
        self.subscriptions: list[Subscription] = []
        self.retained: list[Publication] = []
        self._post = post
        self._time = time
        self._last_id = 0

    def matching(self, topic: str) -> list[Subscription]:
        """All subscriptions that an event is for, if there can be such an event."""
        if not is_uri(topic):
            return []
        return in_order([it for it in self.subscriptions if is_for(it.uri, it.match, topic)])

    # --- PUBLISH ----------------------------------------------------------------------------------

    def receive_publish(
        self,
        publisher: Peer,
        disclose: bool,
        request: int,
        options: dict[str, Any],
        topic: str,
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> None:
        """[PUBLISH, Request|id, Options|dict, Topic|uri, Arguments|list, ArgumentsKw|dict]"""
        if options.get("ppt_scheme"):
            if not publisher.can("publisher", "payload_passthru_mode"):
                raise Violation
            if kwargs:
                raise Refused("invalid_argument")
        publication = self.publish(publisher, disclose, options, topic, args, kwargs)
        if options.get("acknowledge"):
            self._post.send(publisher, PUBLISHED, request, publication)

    def publish(
        self,
        publisher: Peer,
        disclose: bool,
        options: dict[str, Any],
        topic: str,
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> Publication:
        """Publish for a session, be it by PUBLISH or by a testament."""
        if not is_uri(topic) or is_reserved(topic):
            raise Refused("invalid_uri")
        details = {**publisher.trust(), **passthru(options)}
        if disclose or options.get("disclose_me"):
            details |= publisher.identity("publisher")
        publication = Publication(topic, publisher, options, details, args, kwargs)
        for subscription in self.matching(topic):
            for peer in subscription.subscribers:
                if publication.is_for(peer):
                    self._send_event(peer, subscription, publication)
        if options.get("retain"):
            self.retained.append(publication)
        return publication

    def announce(self, topic: str, *args: Any) -> None:
        """Publish a meta event."""
        publication = Publication(topic, args=list(args))
        for subscription in self.matching(topic):
            for peer in subscription.subscribers:
                self._send_event(peer, subscription, publication)

    def _send_event(self, peer: Peer, subscription: Subscription, publication: Publication, **details: Any) -> None:
        details |= publication.details
        if subscription.match != "exact":
            details["topic"] = publication.topic
        self._post.send(peer, EVENT, subscription.id, publication, details, publication.args, publication.kwargs)

    # --- SUBSCRIBE, UNSUBSCRIBE -------------------------------------------------------------------

    def subscribe(self, peer: Peer, request: int, options: dict[str, Any], topic: str) -> None:
        """[SUBSCRIBE, Request|id, Options|dict, Topic|uri]"""
        match = options.get("match") or "exact"
        if (topic, match) not in [(it.uri, it.match) for it in peer.subscriptions]:
            peer.check_room("subscriptions", len(peer.subscriptions))
        if not is_pattern(topic, match):
            raise Refused("invalid_uri")
        subscription = next((it for it in self.subscriptions if (it.uri, it.match) == (topic, match)), None)
        is_new = subscription is None
        if subscription is None:
            self._last_id += 1
            subscription = Subscription(self._last_id, topic, match, self._time())
        self._post.send(peer, SUBSCRIBED, request, subscription.id)
        if options.get("get_retained"):
            for publication in self._retained_for(peer, subscription):
                self._send_event(peer, subscription, publication, retained=True)
        if peer in subscription.subscribers:
            return
        if not is_reserved(topic):
            if is_new:
                self.announce("wamp.subscription.on_create", peer.id, subscription.details())
            self.announce("wamp.subscription.on_subscribe", peer.id, subscription.id)
        if is_new:
            self.subscriptions.append(subscription)
        subscription.subscribers.append(peer)
        peer.subscriptions.append(subscription)

    def _retained_for(self, peer: Peer, subscription: Subscription) -> list[Publication]:
        latest: dict[str, Publication] = {}
        for publication in self.retained:
            if is_for(subscription.uri, subscription.match, publication.topic) and publication.is_for(peer):
                latest[publication.topic] = publication
        return [publication for publication in self.retained if latest.get(publication.topic) is publication]

    def unsubscribe(self, peer: Peer, request: int, id: int) -> None:
        """[UNSUBSCRIBE, Request|id, SUBSCRIBED.Subscription|id]"""
        subscription = next((it for it in peer.subscriptions if it.id == id), None)
        if subscription is None:
            raise Refused("no_such_subscription")
        was_last = self.remove(peer, subscription)
        self._post.send(peer, UNSUBSCRIBED, request)
        self.tell_removal(peer, subscription, was_last)

    def revoke(self, peer: Peer, subscription: Subscription, reason: dict[str, Any]) -> None:
        """End a subscription for a session."""
        was_last = self.remove(peer, subscription)
        if peer.can("subscriber", "subscription_revocation"):
            self._post.send(peer, UNSUBSCRIBED, 0, {"subscription": subscription.id, **reason})
        self.tell_removal(peer, subscription, was_last)

    def remove(self, peer: Peer, subscription: Subscription) -> bool:
        """Take a session off a subscription, and do away with it if it was the last one; whether it was."""
        subscription.subscribers.remove(peer)
        peer.subscriptions.remove(subscription)
        if subscription.subscribers:
            return False
        self.subscriptions.remove(subscription)
        return True

    def tell_removal(self, peer: Peer, subscription: Subscription, was_last: bool) -> None:
        """Meta events about a session that was taken off."""
        if not is_reserved(subscription.uri):
            self.announce("wamp.subscription.on_unsubscribe", peer.id, subscription.id)
            if was_last:
                self.announce("wamp.subscription.on_delete", peer.id, subscription.id)
