"""The EVENTs of one publication: what each subscription's subscribers get.

Specification: basic/publish_subscribe.md, advanced/pubsub_pattern_based_subscription.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from rocade.router.effects import Deliver, Effect
from rocade.router.filters import Lists, receivers
from rocade.router.session import Session
from rocade.wamp.codec import Serializer
from rocade.wamp.messages import Event, EventDetails, Match, Publish, PublishOptions

if TYPE_CHECKING:
    from rocade.router.broker import Subscription

__all__ = ["MANY_SUBSCRIBERS", "MANY_SUBSCRIPTIONS", "event_details", "events", "is_for_many"]

MANY_SUBSCRIPTIONS = 16
"""Subscriptions that an event is for, beyond which its EVENTs are made one after the other."""

MANY_SUBSCRIBERS = 1000
"""Subscribers of all of them, beyond which that is done, too, and of which so many are looked at at once."""

_NO_DETAILS = EventDetails()


def event_details(
    match: Match, publisher: Session, topic: str, options: PublishOptions, disclose: bool
) -> EventDetails:
    """EVENT.Details for subscriptions of this kind; the same empty one for nearly all events.

    Args:
        match: how the subscriptions' URIs are compared with the topic.
        publisher: session that sent the PUBLISH.
        topic: what it was published to.
        options: of the PUBLISH.
        disclose: tell who published even if the publisher did not ask for it.
    """
    pattern = match is not Match.EXACT
    disclose = disclose or options.disclose_me is True
    trustlevel = publisher.role.trustlevel
    if not pattern and not disclose and not options.ppt_scheme and trustlevel is None:
        return _NO_DETAILS
    details = EventDetails(topic=topic if pattern else None, trustlevel=trustlevel)
    if disclose:
        details.publisher = publisher.id
        details.publisher_authid = publisher.authid
        details.publisher_authrole = publisher.role.name
    if options.ppt_scheme:
        details.ppt_scheme, details.ppt_serializer = options.ppt_scheme, options.ppt_serializer
        details.ppt_cipher, details.ppt_keyid = options.ppt_cipher, options.ppt_keyid
    return details


def is_for_many(subscriptions: Collection[Subscription]) -> bool:
    """Whether it would take too long to make all EVENTs for these subscriptions at once."""
    if len(subscriptions) > MANY_SUBSCRIPTIONS:
        return True
    return sum([len(subscription.subscribers) for subscription in subscriptions]) > MANY_SUBSCRIBERS


def events(
    subscriptions: Iterable[Subscription],
    age: int,
    publication: int,
    publisher: Session,
    serializer: Serializer,
    message: Publish,
    lists: Lists | None,
    disclose: bool,
) -> Iterator[Effect | None]:
    """The EVENTs of a publication, one after the other, for those who were subscribed at the time and still are.

    Args:
        subscriptions: all that matched the topic at the time; newer ones do no harm.
        age: who was subscribed at the time has a smaller one.
        publication: its id.
        publisher: session that sent the PUBLISH.
        serializer: what it sent it in; by the time that this is used it may have resumed with another one.
        message: the PUBLISH.
        lists: those among its options.
        disclose: tell who published even if the publisher did not ask for it.
    Returns:
        Effects, and None where others may have their turn.
    """
    options = message.options
    # kind of subscription -> EVENT.Details
    details = {match: event_details(match, publisher, message.topic, options, disclose) for match in Match}
    for subscription in subscriptions:
        everybody = _subscribed_before(subscription, age)
        if lists is None and publisher not in everybody:
            to = everybody
        elif len(everybody) <= MANY_SUBSCRIBERS:
            to = receivers(everybody, publisher, options, lists)
        else:
            candidates, found = list(everybody), list[Session]()
            for start in range(0, len(candidates), MANY_SUBSCRIBERS):
                found.extend(receivers(candidates[start : start + MANY_SUBSCRIBERS], publisher, options, lists))
                yield None
            to = found
        if to:
            event = Event(subscription.id, publication, details[subscription.match], message.args, message.kwargs)
            yield Deliver(event, to, serializer)
        else:
            yield None


def _subscribed_before(subscription: Subscription, age: int) -> Collection[Session]:
    subscribers = subscription.subscribers
    if not subscribers or next(reversed(subscribers.values())) < age:
        return subscribers
    return [session for session, since in subscribers.items() if since < age]
