"""Retained events: what a new subscriber to a topic gets at once, if it asks for it.

Of each topic the newest event that is for everybody is kept, and what was published after it for some only. The one
that a subscriber gets is the most recent that it would have received had it been subscribed back then: by all lists
of the publication, and by publisher exclusion.

Specification: advanced/pubsub_event_retention.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import compress
from operator import attrgetter

from msgspec import Struct

from rocade.router.kept import KeptEvent
from rocade.router.session import Session
from rocade.wamp.messages import Match

__all__ = ["Retention"]

MAX_TOPICS = 10_000
"""Topics of a realm that have retained events."""

MAX_BYTES = 32 * 1024 * 1024
"""Memory that the retained events of a realm take: half of what may wait for one client, which may ask for all."""

TOPICS_AT_ONCE = 100
"""Topics that are compared with a pattern without a pause."""

MAX_RESTRICTED = 16
"""Events of one topic that are for some only."""


class _Retained(Struct, frozen=True, gc=False):
    """A retained event.

    Attributes:
        event: what was published.
        excluded: the session that did, if it does not get its own events.
        number: counts the retained events of the realm.
    """

    event: KeptEvent
    excluded: int | None
    number: int

    def is_for(self, session: Session) -> bool:
        """Whether the session would have got it."""
        lists = self.event.lists
        return session.id != self.excluded and (lists is None or lists.admit(session))

    def is_for_the_same_as(self, other: _Retained) -> bool:
        """Whether all who may have one may have the other."""
        return self.excluded == other.excluded and self.event.lists == other.event.lists


class Retention:
    """The retained events of a realm."""

    __slots__ = ("_bytes", "_max_bytes", "_max_topics", "_number", "_topics")

    def __init__(self, *, max_topics: int = MAX_TOPICS, max_bytes: int = MAX_BYTES) -> None:
        """
        Args:
            max_topics: topics with retained events; beyond that those are forgotten that were updated longest ago.
            max_bytes: memory for all of them, with the same consequence.
        """
        self._max_topics = max_topics
        self._max_bytes = max_bytes
        self._bytes = 0
        self._number = 0
        # topic -> its events, newest first; the topic that was updated longest ago comes first
        self._topics: dict[str, list[_Retained]] = {}

    def retain(self, event: KeptEvent, excluded: int | None) -> None:
        """Keep an event for subscribers to come.

        Args:
            event: what was published.
            excluded: the session that did, if it does not get its own events.
        """
        if event.lists is not None and event.lists.admits_nobody:
            return
        self._number += 1
        before = self._topics.pop(event.topic, [])
        after = _needed(_Retained(event, excluded, self._number), before)
        self._topics[event.topic] = after
        self._bytes += _size(after) - _size(before)
        self._keep_within_bounds()

    def __len__(self) -> int:
        """How many topics have retained events."""
        return len(self._topics)

    def find(self, session: Session, topic: str) -> KeptEvent | None:
        """What a new subscriber to a topic gets: the most recent event that is for it."""
        retained = _latest(self._topics.get(topic, ()), session)
        return None if retained is None else retained.event

    def search(self, session: Session, pattern: str, match: Match) -> Iterator[KeptEvent | None]:
        """What a new subscriber to a pattern gets: of each topic the most recent event for it, in order of publication.

        Args:
            session: the subscriber.
            pattern: a prefix or wildcard.
            match: how it is compared with topics.
        Returns:
            Events that are there now, and None where others may have their turn: it looks at every topic.
        """
        return self._search(list(self._topics), list(self._topics.values()), session, pattern, match)

    def _search(
        self, topics: list[str], events: list[list[_Retained]], session: Session, pattern: str, match: Match
    ) -> Iterator[KeptEvent | None]:
        found = []
        for start in range(0, len(topics), TOPICS_AT_ONCE):
            end = start + TOPICS_AT_ONCE
            for matching in _matching(topics[start:end], events[start:end], pattern, match):
                retained = _latest(matching, session)
                if retained is not None:
                    found.append(retained)
            yield None
        found.sort(key=attrgetter("number"))
        for retained in found:
            yield retained.event

    def _keep_within_bounds(self) -> None:
        while len(self._topics) > self._max_topics or (self._bytes > self._max_bytes and len(self._topics) > 1):
            self._bytes -= _size(self._topics.pop(next(iter(self._topics))))
        while self._bytes > self._max_bytes and self._topics:
            ((topic, events),) = self._topics.items()
            self._bytes -= events.pop().event.size
            if not events:
                del self._topics[topic]


def _latest(events: Iterable[_Retained], session: Session) -> _Retained | None:
    """The most recent event that a session would have got; they come newest first."""
    for retained in events:
        if retained.is_for(session):
            return retained
    return None


def _matching(
    topics: list[str], events: list[list[_Retained]], pattern: str, match: Match
) -> Iterator[list[_Retained]]:
    """The events of those topics that match."""
    if match is Match.PREFIX:
        return compress(events, [topic.startswith(pattern) for topic in topics])
    # Only topics that could match are taken apart: that takes ten times as long.
    components = pattern.split(".")
    dots = len(components) - 1
    wildcards = [position for position, component in enumerate(components) if not component]
    if not wildcards:
        return compress(events, [topic == pattern for topic in topics])
    head = ".".join([*components[: wildcards[0]], ""])
    tail = ".".join(["", *components[wildcards[-1] + 1 :]])
    likely = [topic.startswith(head) and topic.endswith(tail) and topic.count(".") == dots for topic in topics]
    literals = [position for position in range(wildcards[0], wildcards[-1]) if components[position]]
    if not literals:
        return compress(events, likely)
    return (
        held
        for topic, held in zip(compress(topics, likely), compress(events, likely), strict=True)
        if _has(topic.split("."), components, literals)
    )


def _has(components: list[str], pattern: list[str], positions: list[int]) -> bool:
    return all(components[position] == pattern[position] for position in positions)


def _needed(newest: _Retained, older: list[_Retained]) -> list[_Retained]:
    """The events of a topic that somebody may still get, newest first."""
    needed = [newest]
    restricted = int(newest.event.lists is not None)
    for retained in older:
        # Everybody gets something newer, be it that a publisher, which does not get its own, gets that of another.
        if sum(other.event.lists is None for other in needed) == 2 or _is_for_all(needed[-1]):
            break
        if any(other.is_for_the_same_as(retained) for other in needed):
            continue
        if retained.event.lists is not None:
            restricted += 1
            if restricted > MAX_RESTRICTED:
                continue
        needed.append(retained)
    return needed


def _is_for_all(retained: _Retained) -> bool:
    return retained.event.lists is None and retained.excluded is None


def _size(events: list[_Retained]) -> int:
    return sum(retained.event.size for retained in events)
