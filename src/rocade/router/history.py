"""Event history: what was published to chosen topics, for whoever asks later.

A rule names a topic or pattern. It is a subscription that exists from the start and never ends, so that its id can be
looked up whether or not anybody is subscribed. Every event that matches is recorded once, in order; what readers get
is filtered by who they are. Events are kept in memory here, or by somebody else: then the core asks for it by effects,
and `serve.history_store` keeps them in SQLite. What a query means is said here, for both.

Specification: advanced/pubsub_event_history.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct, to_builtins

from rocade.errors import ApplicationError, PayloadNotSerializable
from rocade.router.answer import Answer
from rocade.router.effects import Effect, StoreEvent
from rocade.router.kept import KeptEvent
from rocade.router.meta_events import iso_8601
from rocade.router.patterns import PatternIndex
from rocade.router.permissions import Action
from rocade.router.session import Session
from rocade.wamp.codec import Serializer, transcode
from rocade.wamp.ids import MAX_ID
from rocade.wamp.messages import Id, Match
from rocade.wamp.uris import shown

if TYPE_CHECKING:
    from rocade.router.realm import Realm

__all__ = [
    "EventHistory",
    "HistoryMeta",
    "HistoryRule",
    "Page",
    "Query",
    "Record",
    "Ring",
    "bounds",
    "collect",
    "page_answer",
]

MAX_EVENTS = 1000
"""Events in one answer, whatever the caller's limit; it asks again for more."""

MAX_ANSWER_BYTES = 1024 * 1024
"""Bytes of events in one answer, unless it is a single event that is larger."""

MAX_TRANSCODED_BYTES = 16 * 1024
"""Payload of a page that is put into another serializer: more of it is for the next page. It is done at once, and holds
the loop."""

MAX_RING_BYTES = 64 * 1024 * 1024
"""Memory for the events of one rule: with many large ones, fewer are kept than the rule says."""


class HistoryRule(Struct, frozen=True):
    """Which events are kept, and how many.

    Attributes:
        uri: a topic or pattern.
        match: how `uri` is compared with topics.
        limit: events that are kept; the oldest go first.
    """

    uri: str
    match: Match = Match.EXACT
    limit: int = 100


class Record(Struct, frozen=True, gc=False):
    """An event of the past.

    Attributes:
        event: what was published.
        time: when, in milliseconds since 1970: as precise as readers are told, so that they can compare with it.
    """

    event: KeptEvent
    time: int


class Query(Struct, frozen=True, kw_only=True):
    """What a reader wants to see of the events of one rule, and who the reader is.

    Attributes:
        rule: whose events.
        subscription: id of the rule's subscription.
        authid, authrole: who asks.
        reverse: from the newest to the oldest, rather than from the oldest to the newest.
        limit: most events in the answer.
        from_time, after_time, before_time, until_time: bounds, in milliseconds since 1970.
        topic: only of this topic.
        from_publication, after_publication, before_publication, until_publication: publication ids as bounds.
    """

    rule: HistoryRule
    subscription: int
    authid: str
    authrole: str
    reverse: bool = False
    limit: int = MAX_EVENTS
    from_time: float | None = None
    after_time: float | None = None
    before_time: float | None = None
    until_time: float | None = None
    topic: str | None = None
    from_publication: int | None = None
    after_publication: int | None = None
    before_publication: int | None = None
    until_publication: int | None = None

    def filtered(self, records: Iterable[Record]) -> Iterator[Record]:
        """The events that fulfil the conditions, the bounds by publication apart, and are for this reader.

        A condition that is not there costs nothing, since there may be a hundred thousand events to look at.
        """
        if (from_time := self.from_time) is not None:
            records = (record for record in records if record.time >= from_time)
        if (after_time := self.after_time) is not None:
            records = (record for record in records if record.time > after_time)
        if (before_time := self.before_time) is not None:
            records = (record for record in records if record.time < before_time)
        if (until_time := self.until_time) is not None:
            records = (record for record in records if record.time <= until_time)
        if (topic := self.topic) is not None:
            records = (record for record in records if record.event.topic == topic)
        for record in records:
            lists = record.event.lists
            if lists is None or lists.admit_identity(self.authid, self.authrole):
                yield record


class Page(Struct, frozen=True):
    """What a query has found.

    Attributes:
        records: the events, in the order that was asked for.
        has_more: whether there are more of them behind the last.
        is_limit_reached: whether the rule keeps as many events as it may, so that older ones may be gone.
    """

    records: list[Record]
    has_more: bool
    is_limit_reached: bool


def bounds(query: Query, position_of: Callable[[int], int | None], first: int, last: int) -> tuple[int, int]:
    """The first and the last position that the publications named by a query leave.

    Args:
        query: what is asked for.
        position_of: publication id -> its position in the history; None when it is not there.
        first, last: of all that is there; `last` is less than `first` when that is nothing.
    Raises:
        ApplicationError: wamp.error.invalid_argument: a publication is not there. Who counts on having seen all that
            came before it must know.
    """
    for name, publication, shift in (
        ("from_publication", query.from_publication, 0),
        ("after_publication", query.after_publication, 1),
    ):
        if publication is not None:
            first = max(first, _found(name, publication, position_of) + shift)
    for name, publication, shift in (
        ("before_publication", query.before_publication, -1),
        ("until_publication", query.until_publication, 0),
    ):
        if publication is not None:
            last = min(last, _found(name, publication, position_of) + shift)
    return first, last


def _found(name: str, publication: int, position_of: Callable[[int], int | None]) -> int:
    position = position_of(publication)
    if position is None:
        raise _invalid(name, f"no event of publication {publication} is kept here, or not any more")
    return position


def collect(records: Iterable[Record], query: Query) -> tuple[list[Record], bool]:
    """As many records as go into one answer, and whether there are more.

    Args:
        records: within the bounds by publication, and in the order that was asked for.
        query: what is asked for.
    """
    collected: list[Record] = []
    room = MAX_ANSWER_BYTES
    for record in query.filtered(records):
        room -= record.event.size
        if len(collected) == query.limit or (room < 0 and collected):
            return collected, True
        collected.append(record)
    return collected, False


class Ring:
    """The latest events of a rule, in memory."""

    __slots__ = ("_bytes", "_first", "_last", "_limit", "_max_bytes", "_positions", "_records")

    def __init__(self, limit: int, *, max_bytes: int = MAX_RING_BYTES) -> None:
        """
        Args:
            limit: events that are kept.
            max_bytes: memory for them.
        """
        self._limit = limit
        self._max_bytes = max_bytes
        self._bytes = 0
        self._first, self._last = 1, 0
        # position -> record, for all positions from first to last; publication id -> position
        self._records: dict[int, Record] = {}
        self._positions: dict[int, int] = {}

    def add(self, record: Record) -> None:
        """Keep an event, instead of the oldest one if there are enough."""
        self._last += 1
        self._records[self._last] = record
        self._positions[record.event.publication] = self._last
        self._bytes += record.event.size
        while len(self._records) > self._limit or (self._bytes > self._max_bytes and len(self._records) > 1):
            oldest = self._records.pop(self._first)
            del self._positions[oldest.event.publication]
            self._bytes -= oldest.event.size
            self._first += 1

    def find(self, query: Query) -> Page:
        """Answer a query.

        Raises:
            ApplicationError: wamp.error.invalid_argument.
        """
        first, last = bounds(query, self._positions.get, self._first, self._last)
        positions = range(last, first - 1, -1) if query.reverse else range(first, last + 1)
        records, has_more = collect(map(self._records.__getitem__, positions), query)
        return Page(records, has_more, self._first > 1 or len(self._records) == self._limit)


class EventHistory:
    """The rules of a realm, and what is recorded by them."""

    __slots__ = ("_index", "_rings", "_rules", "_wall_clock")

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        """
        Args:
            wall_clock: the time of day, in seconds since 1970.
        """
        self._wall_clock = wall_clock
        self._index: PatternIndex[HistoryRule] = PatternIndex()
        # subscription id -> its rule
        self._rules: dict[int, HistoryRule] = {}
        # rule -> its events, where they are kept in memory
        self._rings: dict[HistoryRule, Ring] = {}

    def add(self, rule: HistoryRule, subscription: int, *, in_memory: bool) -> None:
        """Keep events by a rule from now on.

        Args:
            rule: which.
            subscription: id of the subscription that stands for it.
            in_memory: here; otherwise by whoever carries out the effects.
        """
        self._index.add(rule.uri, rule.match, rule)
        self._rules[subscription] = rule
        if in_memory:
            self._rings[rule] = Ring(rule.limit)

    def rule_of(self, subscription: int) -> HistoryRule | None:
        """The rule that a subscription stands for."""
        return self._rules.get(subscription)

    def rules_for(self, topic: str) -> list[HistoryRule]:
        """The rules by which an event on a topic is kept."""
        return self._index.matching(topic)

    def record(self, event: KeptEvent, rules: Iterable[HistoryRule]) -> list[Effect]:
        """Record an event, once for each rule.

        Events that are restricted by session ids are not kept: these mean nothing later, and "all events published
        with Options.exclude|list[int] or Options.eligible|list[int] should be ignored by the Event History mechanism".

        Returns:
            `StoreEvent`s for what is not kept in memory.
        """
        if event.lists is not None and (event.lists.names_sessions or event.lists.admits_nobody):
            return []
        record = Record(event, int(self._wall_clock() * 1000))
        effects: list[Effect] = []
        for rule in rules:
            ring = self._rings.get(rule)
            if ring is None:
                effects.append(StoreEvent(rule, record))
            else:
                ring.add(record)
        return effects

    def find(self, query: Query) -> Page | None:
        """Answer a query; None when the events are not in memory.

        Raises:
            ApplicationError: wamp.error.invalid_argument.
        """
        ring = self._rings.get(query.rule)
        return None if ring is None else ring.find(query)


# --- the meta procedure ----------------------------------------------------------------------------

Limit = Annotated[int, Meta(ge=1, le=MAX_ID)]
Timestamp = Annotated[str, Meta(max_length=60)]


class HistoryMeta:
    """The procedure that reads event history."""

    def __init__(self, realm: Realm) -> None:
        """
        Args:
            realm: whose history.
        """
        self._realm = realm
        self._history = realm.broker.history

    def procedures(self) -> dict[str, Callable[..., Answer]]:
        """URI -> method."""
        return {"wamp.subscription.get_events": self.get_events}

    def get_events(
        self,
        caller: Session,
        subscription: Id,
        limit: Limit | None = None,
        *,
        reverse: bool = False,
        from_time: Timestamp | None = None,
        after_time: Timestamp | None = None,
        before_time: Timestamp | None = None,
        until_time: Timestamp | None = None,
        topic: str | None = None,
        from_publication: Id | None = None,
        after_publication: Id | None = None,
        before_publication: Id | None = None,
        until_publication: Id | None = None,
    ) -> Answer:
        """Events of the past, as far as the caller may see them. All conditions must be fulfilled.

        Raises:
            ApplicationError: wamp.error.no_such_subscription, wamp.error.not_authorized, wamp.error.invalid_argument,
                wamp.error.history_unavailable (Crossbar's): there is no rule for this subscription.
        """
        query = Query(
            rule=self._readable(caller, subscription),
            subscription=subscription,
            authid=caller.authid,
            authrole=caller.authrole,
            reverse=reverse,
            limit=min(limit or MAX_EVENTS, MAX_EVENTS),
            from_time=_milliseconds("from_time", from_time),
            after_time=_milliseconds("after_time", after_time),
            before_time=_milliseconds("before_time", before_time),
            until_time=_milliseconds("until_time", until_time),
            topic=topic,
            from_publication=from_publication,
            after_publication=after_publication,
            before_publication=before_publication,
            until_publication=until_publication,
        )
        page = self._history.find(query)
        return Answer(query=query) if page is None else page_answer(page, query, caller.serializer)

    def _readable(self, caller: Session, id: int) -> HistoryRule:
        subscription = self._realm.broker.subscriptions.get(id)
        if subscription is None:
            raise ApplicationError("wamp.error.no_such_subscription", f"there is no subscription {id} in this realm")
        uri, match = subscription.uri, subscription.match
        # "a peer must be allowed to subscribe to a desired subscription first"
        if not self._realm.authorize(caller, Action.SUBSCRIBE, uri, match).allowed:
            raise ApplicationError("wamp.error.not_authorized", f"not allowed to subscribe to subscription {id}")
        rule = self._history.rule_of(id)
        if rule is None:
            raise ApplicationError("wamp.error.history_unavailable", f"no events are kept of {shown(uri)}")
        return rule


def page_answer(page: Page, query: Query, serializer: Serializer) -> Answer:
    """The result of wamp.subscription.get_events: each event is an argument of it.

    Args:
        page: what was found.
        query: what was asked for.
        serializer: that of the reader. Events without a form in it are left out, as they would have been in their time,
            and those that are too long to be put into it here and now.
    """
    events: list[dict[str, Any]] = []
    has_more, room = page.has_more, MAX_TRANSCODED_BYTES
    for record in page.records:
        event = record.event
        if event.serializer is not serializer:
            size = len(event.args) + len(event.kwargs)
            if size > MAX_TRANSCODED_BYTES:
                continue
            if size > room:
                has_more = True
                break
            room -= size
        try:
            events.append(_described(record, query, serializer))
        except PayloadNotSerializable:
            continue
    kwargs = {"is_limit_reached": page.is_limit_reached, "has_more": has_more}
    return Answer(serializer.splice(events) if events else [], kwargs=kwargs)


def _described(record: Record, query: Query, serializer: Serializer) -> dict[str, Any]:
    event = record.event
    description: dict[str, Any] = {
        "timestamp": iso_8601(record.time / 1000),
        "subscription": query.subscription,
        "publication": event.publication,
        "details": to_builtins(event.details_for(query.rule.match)),
    }
    for name, payload in (("args", event.args), ("kwargs", event.kwargs)):
        if payload:
            description[name] = transcode(payload, event.serializer, serializer, is_patient=False)
    return description


# --- points in time --------------------------------------------------------------------------------

_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
).fullmatch
_EPOCH = datetime(1970, 1, 1)


def _milliseconds(name: str, text: str | None) -> float | None:
    """An RFC 3339 timestamp as milliseconds since 1970."""
    if text is None:
        return None
    parts = _RFC_3339(text)
    if parts is None:
        raise _invalid(name, f"{shown(text)} is no timestamp as of RFC 3339, such as '2024-02-29T12:00:00.000Z'")
    year, month, day, hour, minute, second = map(int, parts.group(1, 2, 3, 4, 5, 6))
    fraction, sign, offset_hours, offset_minutes = parts.group(7, 8, 9, 10)
    is_leap_second = second == 60
    try:
        since_epoch = datetime(year, month, day, hour, minute, 59 if is_leap_second else second) - _EPOCH
    except ValueError as error:
        raise _invalid(name, f"{shown(text)}: {error}") from None
    if sign is not None:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            raise _invalid(name, f"{shown(text)} has an impossible offset")
        offset = timedelta(hours=int(offset_hours), minutes=int(offset_minutes))
        since_epoch += -offset if sign == "+" else offset
    seconds = since_epoch // timedelta(seconds=1) + is_leap_second
    digits = (fraction or ".")[1:]
    # Events have whole milliseconds, so all that lies between two of them is the same.
    return seconds * 1000 + int(digits[:3].ljust(3, "0")) + (0.5 if digits[3:].strip("0") else 0)


def _invalid(name: str, text: str) -> ApplicationError:
    return ApplicationError("wamp.error.invalid_argument", f"{name}: {text}")
