"""Meta events: what the router itself publishes about sessions, registrations and subscriptions.

Most of the time nobody listens. Finding that out costs two dictionary look-ups for an event, whatever prefixes and
wildcards clients are subscribed to, and happens before anything is put together for it.

Specification: advanced/meta_api.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from rocade.router.effects import Deliver, Effect, Series
from rocade.router.patterns import PatternIndex
from rocade.wamp.messages import Event, EventDetails, Match
from rocade.wamp.uris import is_reserved

if TYPE_CHECKING:
    from rocade.router.broker import Subscription
    from rocade.router.session import Session

__all__ = ["Announcer", "Hears", "Lifecycle", "iso_8601"]

ASKED_AT_ONCE = 100
"""Subscribers of whom it is found out at once whether they may hear of something."""

_NO_DETAILS = EventDetails()


class Announcer:
    """Publishes meta events to whoever listens to them."""

    __slots__ = ("_index", "_patterns", "_random_id")

    def __init__(self, index: PatternIndex[Subscription], random_id: Callable[[], int]) -> None:
        """
        Args:
            index: the broker's subscriptions.
            random_id: draws publication ids.
        """
        self._index = index
        self._random_id = random_id
        # meta topic -> prefix and wildcard subscriptions that match it, for topics that were asked about
        self._patterns: dict[str, list[Subscription]] = {}

    def patterns_changed(self) -> None:
        """A prefix or wildcard subscription was created or deleted."""
        self._patterns.clear()

    def has_audience(self, topic: str) -> bool:
        """Whether anybody listens to a meta topic."""
        patterns = self._patterns.get(topic)
        if patterns is None:
            patterns = self._find_patterns(topic)
        return topic in self._index.exact or bool(patterns)

    def announce(self, topic: str, *args: Any, to: Callable[[Session], bool] | None = None) -> list[Effect]:
        """EVENTs for a meta topic.

        Args:
            topic: such as "wamp.session.on_leave".
            *args: the event's positional payload.
            to: which of the subscribers may hear of it; None for all.
        """
        if not self.has_audience(topic):
            return []
        publication = self._random_id()
        exact = self._index.exact.get(topic)
        effects: list[Effect] = []
        for subscription in ((exact,) if exact is not None else ()) + tuple(self._patterns[topic]):
            details = _NO_DETAILS if subscription is exact else EventDetails(topic=topic)
            event = Event(subscription.id, publication, details, args)
            # A copy: who is subscribed now gets it, whatever the rest of this change does.
            subscribers = tuple(subscription.subscribers)
            if to is not None and len(subscribers) > ASKED_AT_ONCE:
                effects.append(Series(_for_some(event, subscribers, to)))
                continue
            receivers = subscribers if to is None else tuple(filter(to, subscribers))
            if receivers:  # otherwise it is there for its history only
                effects.append(Deliver(event, receivers))
        return effects

    def _find_patterns(self, topic: str) -> list[Subscription]:
        found = [subscription for subscription in self._index.matching(topic) if subscription.match is not Match.EXACT]
        self._patterns[topic] = found
        return found


def _for_some(event: Event, subscribers: tuple[Session, ...], to: Callable[[Session], bool]) -> Iterator[Effect | None]:
    """An EVENT for those subscribers that may hear of it; they are asked for some at a time."""
    receivers: list[Session] = []
    for start in range(0, len(subscribers), ASKED_AT_ONCE):
        receivers.extend(filter(to, subscribers[start : start + ASKED_AT_ONCE]))
        yield None
    if receivers:
        yield Deliver(event, receivers)


class Attachment(Protocol):
    """What sessions attach to: a subscription or a registration."""

    id: int
    uri: str
    match: Match


Hears = Callable[["Session", str, str, Match], bool]
"""Whether a subscriber to a meta topic may hear of a URI or pattern."""

T = TypeVar("T", bound=Attachment)


class Lifecycle(Generic[T]):
    """The four meta events in the life of a subscription or registration.

    Subscriptions to the protocol's own topics cause none: a listener would hear itself, and with two of them each
    the other.
    """

    __slots__ = ("_announcer", "_details", "_hears", "_on_attach", "_on_create", "_on_delete", "_on_detach")

    def __init__(
        self,
        announcer: Announcer,
        kind: str,
        attach: str,
        details: Callable[[T], dict[str, Any]],
        hears: Hears | None = None,
    ) -> None:
        """
        Args:
            announcer: publishes the events.
            kind: "subscription" or "registration".
            attach: what sessions do with it: "subscribe" or "register".
            details: what on_create tells about a new one.
            hears: who may hear of which; None: everybody of all.
        """
        self._announcer = announcer
        self._hears = hears
        self._details = details
        self._on_create = f"wamp.{kind}.on_create"
        self._on_attach = f"wamp.{kind}.on_{attach}"
        self._on_detach = f"wamp.{kind}.on_un{attach}"
        self._on_delete = f"wamp.{kind}.on_delete"

    def attached(self, session: Session, to: T, *, is_new: bool) -> list[Effect]:
        """A session was added: on_create for the first one, then on_subscribe or on_register.

        Args:
            session: which session.
            to: the subscription or registration.
            is_new: whether that was created by this.
        """
        announcer = self._announcer
        tells_creation = is_new and announcer.has_audience(self._on_create)
        tells_addition = announcer.has_audience(self._on_attach)
        if not (tells_creation or tells_addition) or is_reserved(to.uri):
            return []
        effects = self._announced(self._on_create, to, session.id, self._details(to)) if tells_creation else []
        effects.extend(self._announced(self._on_attach, to, session.id, to.id))
        return effects

    def detached(self, session: Session, of: T, *, was_last: bool) -> list[Effect]:
        """A session was removed: on_unsubscribe or on_unregister, then on_delete for the last one.

        Args:
            session: which session.
            of: the subscription or registration.
            was_last: whether that was deleted by this.
        """
        if is_reserved(of.uri):
            return []
        effects = self._announced(self._on_detach, of, session.id, of.id)
        if was_last:
            effects.extend(self._announced(self._on_delete, of, session.id, of.id))
        return effects

    def _announced(self, topic: str, about: T, *args: Any) -> list[Effect]:
        hears = self._hears
        if hears is None:
            return self._announcer.announce(topic, *args)
        uri, match = about.uri, about.match
        return self._announcer.announce(topic, *args, to=lambda session: hears(session, topic, uri, match))


def iso_8601(seconds: float) -> str:
    """A point in time, in seconds since 1970, as in "2024-02-29T12:00:00.000Z"."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
