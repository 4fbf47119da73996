"""What a query for event history finds, wherever the events are kept: the same for memory and for SQLite.

A test module that imports all names from here has a fixture `keeper`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Protocol

import pytest
from msgspec import Raw

from rocade.errors import ApplicationError
from rocade.router.filters import lists_of
from rocade.router.history import HistoryRule, Page, Query, Record
from rocade.router.kept import keep
from rocade.wamp.codec import CBOR, JSON, MSGPACK, Serializer
from rocade.wamp.messages import EventDetails, Match, Publish, PublishOptions

RULE = HistoryRule("com.example.", Match.PREFIX, 10)
TOPIC = "com.example.topic"
NOON = 1_709_208_000_000


class Keeper(Protocol):
    """Where the events of `RULE` are kept."""

    def add(self, rule: HistoryRule, record: Record) -> None:
        """Keep an event."""

    def find(self, query: Query) -> Page:
        """Answer a query."""


_publications = count(2**53 - 10_000)


def record(
    *,
    topic: str = TOPIC,
    time: int = NOON,
    publication: int | None = None,
    args: Any = None,
    serializer: Serializer = JSON,
    details: EventDetails | None = None,
    **options: Any,
) -> Record:
    """An event; `time` is in milliseconds since 1970."""
    message = Publish(1, PublishOptions(**options), topic, Raw(b"") if args is None else serializer.dump(args))
    id = publication or next(_publications)
    return Record(keep(id, message, details or EventDetails(), serializer, lists_of(message.options)), time)


def filled(keeper: Keeper, number: int, **fields: Any) -> list[int]:
    """Keep some events, a second apart; returns their publication ids."""
    records = [record(time=NOON + 1000 * index, **fields) for index in range(number)]
    for each in records:
        keeper.add(RULE, each)
    return [each.event.publication for each in records]


def page(keeper: Keeper, *, rule: HistoryRule = RULE, **conditions: Any) -> Page:
    conditions.setdefault("authid", "joe")
    conditions.setdefault("authrole", "user")
    return keeper.find(Query(rule=rule, subscription=1, **conditions))


def found(keeper: Keeper, **conditions: Any) -> list[int]:
    """Publication ids of what a query finds."""
    return [each.event.publication for each in page(keeper, **conditions).records]


def test_without_events_nothing_is_found(keeper: Keeper) -> None:
    assert page(keeper) == Page([], has_more=False, is_limit_reached=False)


def test_events_come_in_the_order_in_which_they_came(keeper: Keeper) -> None:
    publications = filled(keeper, 5)

    assert found(keeper) == publications
    assert found(keeper, reverse=True) == publications[::-1]


@pytest.mark.parametrize("serializer", [JSON, MSGPACK, CBOR], ids=str)
def test_an_event_is_as_it_was(keeper: Keeper, serializer: Serializer) -> None:
    details = EventDetails(publisher=2**53, publisher_authid="ü", publisher_authrole="user", ppt_scheme="wamp")
    lists = {"eligible_authid": ["joe", "é"], "exclude_authrole": ["guest"]}
    kept = record(args=["ü", b"\x00\xff", 2**53], serializer=serializer, details=details, time=NOON + 123, **lists)
    keeper.add(RULE, kept)

    assert page(keeper).records == [kept]


def test_events_beyond_the_limit_go_oldest_first(keeper: Keeper) -> None:
    publications = filled(keeper, RULE.limit)
    assert page(keeper).is_limit_reached
    publications += filled(keeper, 3)

    assert found(keeper) == publications[3:]
    assert page(keeper, limit=2).is_limit_reached


# --- limit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "has_more"), [(1, True), (4, True), (5, False), (6, False)])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_limit_ends_the_answer(keeper: Keeper, limit: int, has_more: bool, reverse: bool) -> None:
    publications = filled(keeper, 5)

    answer = page(keeper, limit=limit, reverse=reverse)

    expected = publications[::-1] if reverse else publications
    assert [each.event.publication for each in answer.records] == expected[:limit]
    assert answer.has_more is has_more


def test_events_that_are_not_for_the_reader_do_not_count(keeper: Keeper) -> None:
    filled(keeper, 3, exclude_authid=["joe"])
    (mine,) = filled(keeper, 1)
    filled(keeper, 3, eligible_authid=["ann"])

    answer = page(keeper, limit=1)

    assert [each.event.publication for each in answer.records] == [mine]
    assert not answer.has_more


def test_an_answer_is_bounded_in_bytes(keeper: Keeper) -> None:
    publications = filled(keeper, 5, args=["x" * 400_000])

    answer = page(keeper)

    assert [each.event.publication for each in answer.records] == publications[:2]
    assert answer.has_more


def test_a_single_event_may_be_larger_than_that(keeper: Keeper) -> None:
    publications = filled(keeper, 2, args=["x" * 3_000_000])

    assert found(keeper) == publications[:1]
    assert found(keeper, after_publication=publications[0]) == publications[1:]


# --- who may have it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "is_for_joe"),
    [
        ({"eligible_authid": ["joe", "ann"]}, True),
        ({"eligible_authid": ["ann"]}, False),
        ({"eligible_authrole": ["user"]}, True),
        ({"eligible_authrole": ["admin"]}, False),
        ({"exclude_authid": ["ann"]}, True),
        ({"exclude_authid": ["joe"]}, False),
        ({"exclude_authrole": ["admin"]}, True),
        ({"exclude_authrole": ["user"]}, False),
        ({"exclude_authid": []}, True),
        ({"eligible_authid": ["joe"], "eligible_authrole": ["admin"]}, False),
        ({"eligible_authid": ["joe"], "exclude_authrole": ["user"]}, False),
        ({"eligible_authid": [f"user{number}" for number in range(100)]}, False),
    ],
    ids=str,
)
def test_a_reader_sees_what_is_for_somebody_of_its_name_and_role(
    keeper: Keeper, options: dict[str, Any], is_for_joe: bool
) -> None:
    publications = filled(keeper, 1, **options)

    assert found(keeper) == (publications if is_for_joe else [])


# --- conditions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"from_time": NOON + 1000}, [1, 2, 3]),
        ({"after_time": NOON + 1000}, [2, 3]),
        ({"before_time": NOON + 2000}, [0, 1]),
        ({"until_time": NOON + 2000}, [0, 1, 2]),
        ({"from_time": NOON + 1000.5}, [2, 3]),
        ({"until_time": NOON + 1999.5}, [0, 1]),
        ({"from_time": NOON + 1000, "until_time": NOON + 2000}, [1, 2]),
        ({"after_time": NOON + 1000, "before_time": NOON + 2000}, []),
        ({"from_time": NOON, "after_time": NOON + 1000, "before_time": NOON + 3000, "until_time": NOON + 9000}, [2]),
        ({"from_time": NOON + 9000}, []),
        ({"from_time": -1.0}, [0, 1, 2, 3]),
        ({"from_time": NOON + 1000, "limit": 2}, [1, 2]),
        ({"from_time": NOON + 1000, "limit": 2, "reverse": True}, [3, 2]),
    ],
    ids=str,
)
def test_times_are_bounds(keeper: Keeper, conditions: dict[str, Any], expected: list[int]) -> None:
    publications = filled(keeper, 4)

    assert found(keeper, **conditions) == [publications[index] for index in expected]


def test_the_clock_may_have_gone_back(keeper: Keeper) -> None:
    records = [record(time=NOON + shift) for shift in (0, 5000, 1000, 1000, 6000)]
    for each in records:
        keeper.add(RULE, each)
    publications = [each.event.publication for each in records]

    assert found(keeper) == publications
    assert found(keeper, until_time=NOON + 1000) == [publications[0], *publications[2:4]]
    assert found(keeper, after_publication=publications[1]) == publications[2:]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"from": 1}, [1, 2, 3, 4]),
        ({"after": 1}, [2, 3, 4]),
        ({"before": 3}, [0, 1, 2]),
        ({"until": 3}, [0, 1, 2, 3]),
        ({"from": 1, "until": 3}, [1, 2, 3]),
        ({"after": 1, "before": 3}, [2]),
        ({"from": 1, "after": 2, "until": 4, "before": 4}, [3]),
        ({"from": 3, "until": 1}, []),
        ({"after": 4}, []),
        ({"before": 0}, []),
        ({"from": 2, "until": 2}, [2]),
    ],
    ids=str,
)
@pytest.mark.parametrize("reverse", [False, True])
def test_publications_are_bounds(keeper: Keeper, bounds: dict[str, int], expected: list[int], reverse: bool) -> None:
    publications = filled(keeper, 5)
    conditions = {f"{name}_publication": publications[index] for name, index in bounds.items()}

    result = [publications[index] for index in expected]
    assert found(keeper, reverse=reverse, **conditions) == (result[::-1] if reverse else result)


@pytest.mark.parametrize("name", ["from_publication", "after_publication", "before_publication", "until_publication"])
def test_a_publication_that_is_not_there_is_told(keeper: Keeper, name: str) -> None:
    publications = filled(keeper, RULE.limit + 1)

    for publication in (publications[0], 4711):
        with pytest.raises(ApplicationError, match=rf"{name}: .*{publication}") as caught:
            page(keeper, **{name: publication})
        assert caught.value.uri == "wamp.error.invalid_argument"


def test_a_topic_is_a_condition(keeper: Keeper) -> None:
    publications = [filled(keeper, 1, topic=topic)[0] for topic in ("com.example.a", "com.example.b", "com.example.a")]

    assert found(keeper, topic="com.example.a") == [publications[0], publications[2]]
    assert found(keeper, topic="com.example.") == []


def test_all_conditions_must_be_fulfilled(keeper: Keeper) -> None:
    publications = filled(keeper, 4, topic="com.example.a") + filled(keeper, 4, topic="com.example.b")

    conditions: dict[str, Any] = {"from_time": NOON + 1000, "topic": "com.example.b", "before_time": NOON + 3000}
    assert found(keeper, **conditions) == publications[5:7]
    assert found(keeper, after_publication=publications[5], **conditions) == publications[6:7]
    assert found(keeper, reverse=True, limit=1, **conditions) == publications[6:7]


@pytest.mark.parametrize("reverse", [False, True])
def test_pages_follow_each_other_without_gap_or_overlap(keeper: Keeper, reverse: bool) -> None:
    publications = filled(keeper, RULE.limit)
    anchor = "before_publication" if reverse else "after_publication"

    answer = page(keeper, limit=3, reverse=reverse)
    seen = [each.event.publication for each in answer.records]
    while answer.has_more:
        answer = page(keeper, limit=3, reverse=reverse, **{anchor: seen[-1]})
        seen += [each.event.publication for each in answer.records]

    assert seen == (publications[::-1] if reverse else publications)


def test_each_rule_has_a_history_of_its_own(make_keeper: Callable[..., Keeper]) -> None:
    exact, prefix = HistoryRule(TOPIC, Match.EXACT, 2), HistoryRule(TOPIC, Match.PREFIX, 5)
    keeper = make_keeper(exact, prefix)
    records = [record() for _ in range(4)]
    for each in records:
        keeper.add(exact, each)
        keeper.add(prefix, each)

    assert page(keeper, rule=exact).records == records[2:]
    assert page(keeper, rule=prefix).records == records
