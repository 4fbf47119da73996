"""Retained events: who gets which (advanced/pubsub_event_retention.md)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from tests.router.meta_scene import ask
from tests.router.scene import Scene, sent

from rocade.router.effects import Deliver, Effect
from rocade.router.filters import lists_of
from rocade.router.kept import KeptEvent, keep
from rocade.router.patterns import is_matched
from rocade.router.permissions import Permission, Role
from rocade.router.retention import MAX_RESTRICTED, TOPICS_AT_ONCE, Retention
from rocade.router.session import Session
from rocade.wamp.codec import JSON, MSGPACK
from rocade.wamp.messages import Event, EventDetails, Match, Publish, Published, PublishOptions, Subscribed

TOPIC = "com.example.temperature"
PREFIX, WILDCARD = Match.PREFIX, Match.WILDCARD


@pytest.fixture
def publisher(scene: Scene) -> Session:
    return scene.join("publisher", publisher={"payload_passthru_mode": True})


def retain(scene: Scene, publisher: Session, value: str, topic: str = TOPIC, **options: Any) -> int:
    """Publish a retained event; returns its publication id."""
    effects = scene.publish(
        publisher, topic, args=Raw(f'["{value}"]'.encode()), retain=True, acknowledge=True, **options
    )
    published = sent(effects, publisher)[-1]
    assert type(published) is Published
    return published.publication


def events(effects: list[Effect], session: Session) -> list[Event]:
    return [message for message in sent(effects, session) if type(message) is Event]


def got(scene: Scene, session: Session, topic: str = TOPIC, match: Match | None = None) -> list[str]:
    """Values of the retained events that a subscriber gets."""
    effects = scene.subscribe(session, topic, match=match, get_retained=True)
    return [bytes(event.args).decode()[2:-2] for event in events(effects, session)]


# --- the event -----------------------------------------------------------------------------------------


def test_a_new_subscriber_gets_the_retained_event_right_behind_subscribed(scene: Scene, publisher: Session) -> None:
    publication = retain(scene, publisher, "21")
    subscriber = scene.join()

    effects = scene.subscribe(subscriber, TOPIC, get_retained=True)

    subscribed, event = sent(effects, subscriber)
    assert type(subscribed) is Subscribed
    assert event == Event(subscribed.subscription, publication, EventDetails(retained=True), Raw(b'["21"]'))


@pytest.mark.parametrize("options", [{}, {"get_retained": False}], ids=str)
def test_who_does_not_ask_gets_nothing(scene: Scene, publisher: Session, options: dict[str, Any]) -> None:
    retain(scene, publisher, "21")
    subscriber = scene.join()

    assert events(scene.subscribe(subscriber, TOPIC, **options), subscriber) == []


@pytest.mark.parametrize("options", [{}, {"retain": False}], ids=str)
def test_events_that_are_not_to_be_retained_leave_the_retained_one_alone(
    scene: Scene, publisher: Session, options: dict[str, Any]
) -> None:
    retain(scene, publisher, "21")
    scene.publish(publisher, TOPIC, args=Raw(b'["22"]'), **options)

    assert got(scene, scene.join()) == ["21"]


def test_the_latest_retained_event_is_what_a_subscriber_gets(scene: Scene, publisher: Session) -> None:
    for value in "123":
        retain(scene, publisher, value)

    assert got(scene, scene.join()) == ["3"]


def test_a_publication_without_acknowledgement_is_retained_too(scene: Scene, publisher: Session) -> None:
    assert scene.publish(publisher, TOPIC, args=Raw(b'["21"]'), retain=True) == []

    assert got(scene, scene.join()) == ["21"]


def test_those_who_are_subscribed_get_it_as_an_ordinary_event(scene: Scene, publisher: Session) -> None:
    subscriber = scene.join()
    scene.subscribe(subscriber, TOPIC)

    effects = scene.publish(publisher, TOPIC, retain=True)

    assert [event.details.retained for event in events(effects, subscriber)] == [None]


def test_a_retained_event_outlives_its_publisher(scene: Scene, publisher: Session) -> None:
    retain(scene, publisher, "21")
    scene.leave(publisher)

    assert got(scene, scene.join()) == ["21"]


def test_who_subscribes_again_gets_it_again(scene: Scene, publisher: Session) -> None:
    retain(scene, publisher, "21")
    subscriber = scene.join()

    assert [got(scene, subscriber), got(scene, subscriber)] == [["21"], ["21"]]


def test_a_testament_may_be_retained(scene: Scene) -> None:
    publisher = scene.join(role=Role("publisher", [Permission(uri="", match=PREFIX, publish=True)]))
    ask(scene, publisher, "wamp.session.add_testament", TOPIC, ["gone"], {}, publish_options={"retain": True})
    scene.leave(publisher)

    assert got(scene, scene.join()) == ["gone"]


def test_the_event_keeps_its_serializer_and_only_its_own_bytes(scene: Scene) -> None:
    publisher = scene.join(serializer=MSGPACK)
    message = MSGPACK.encode(Publish(1, PublishOptions(retain=True), TOPIC, [b"\xff"], {"a": 1}))
    scene.send(publisher, MSGPACK.decode(message))
    subscriber = scene.join()

    (effect,) = [
        effect for effect in scene.subscribe(subscriber, TOPIC, get_retained=True)[1:] if type(effect) is Deliver
    ]

    assert effect.origin is MSGPACK
    assert type(effect.message) is Event
    assert (effect.message.args, effect.message.kwargs) == (Raw(b"\x91\xc4\x01\xff"), Raw(b"\x81\xa1a\x01"))
    for payload in (effect.message.args, effect.message.kwargs):
        assert len(memoryview(payload).obj) == len(payload)  # type: ignore[arg-type]


def test_payload_passthru_is_told_as_at_publication(scene: Scene, publisher: Session) -> None:
    passthru = {"ppt_scheme": "mqtt", "ppt_serializer": "native", "ppt_cipher": "none", "ppt_keyid": "1"}
    retain(scene, publisher, "21", **passthru)
    subscriber = scene.join()

    (event,) = events(scene.subscribe(subscriber, TOPIC, get_retained=True), subscriber)

    assert event.details == EventDetails(retained=True, **passthru)


# --- disclosure ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_rule", [False, True])
def test_a_publisher_that_was_disclosed_stays_so(scene: Scene, publisher: Session, by_rule: bool) -> None:
    scene.publish(publisher, TOPIC, retain=True, disclose=by_rule, disclose_me=None if by_rule else True)
    scene.leave(publisher)
    subscriber = scene.join()

    (event,) = events(scene.subscribe(subscriber, TOPIC, get_retained=True), subscriber)

    assert event.details == EventDetails(
        retained=True, publisher=publisher.id, publisher_authid="publisher", publisher_authrole="user"
    )


def test_a_publisher_that_was_not_disclosed_never_is(scene: Scene, publisher: Session) -> None:
    retain(scene, publisher, "21")
    scene.publish(publisher, TOPIC, disclose_me=True)
    subscriber = scene.join()

    (event,) = events(scene.subscribe(subscriber, TOPIC, get_retained=True), subscriber)

    assert event.details == EventDetails(retained=True)


# --- patterns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "match", "expected"),
    [
        ("com.a", PREFIX, ["com.a.x", "com.ab", "com.a.x.y"]),
        ("com.a.", PREFIX, ["com.a.x", "com.a.x.y"]),
        ("", PREFIX, ["com.a.x", "com.ab", "org.a.x", "com.a.x.y"]),
        ("com..x", WILDCARD, ["com.a.x"]),
        (".a.", WILDCARD, ["com.a.x", "org.a.x"]),
        ("..", WILDCARD, ["com.a.x", "org.a.x"]),
        (".", WILDCARD, ["com.ab"]),
        ("net.", PREFIX, []),
    ],
)
def test_a_pattern_gets_one_for_each_matching_topic_in_order_of_publication(
    scene: Scene, publisher: Session, pattern: str, match: Match, expected: list[str]
) -> None:
    for topic in ("com.a.x", "com.ab", "org.a.x", "com.a.x.y"):
        retain(scene, publisher, topic, topic)

    assert got(scene, scene.join(), pattern, match) == expected


@pytest.mark.parametrize("match", [PREFIX, WILDCARD])
def test_details_tell_the_topic_to_patterns_only(scene: Scene, publisher: Session, match: Match) -> None:
    retain(scene, publisher, "21")
    subscriber = scene.join()

    (event,) = events(scene.subscribe(subscriber, TOPIC, match=match, get_retained=True), subscriber)

    assert event.details == EventDetails(retained=True, topic=TOPIC)


def test_order_is_that_of_the_events_a_subscriber_gets(scene: Scene, publisher: Session) -> None:
    retain(scene, publisher, "a for all", "com.a")
    retain(scene, publisher, "b for all", "com.b")
    retain(scene, publisher, "a for others", "com.a", exclude_authid=["joe"])

    assert got(scene, scene.join("joe"), "com.", PREFIX) == ["a for all", "b for all"]
    assert got(scene, scene.join("ann"), "com.", PREFIX) == ["b for all", "a for others"]


# --- restricted events ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "is_for_joe"),
    [
        ({"eligible_authid": ["joe"]}, True),
        ({"eligible_authid": ["ann"]}, False),
        ({"eligible_authid": []}, False),
        ({"eligible_authrole": ["staff"]}, True),
        ({"eligible_authrole": ["guest"]}, False),
        ({"eligible_authrole": []}, False),
        ({"exclude_authid": ["joe"]}, False),
        ({"exclude_authid": ["ann"]}, True),
        ({"exclude_authid": []}, True),
        ({"exclude_authrole": ["staff"]}, False),
        ({"exclude_authrole": []}, True),
        ({"eligible": [7]}, True),
        ({"eligible": [8]}, False),
        ({"eligible": []}, False),
        ({"exclude": [7]}, False),
        ({"exclude": [8]}, True),
        ({"exclude": []}, True),
        ({"eligible": [7], "exclude_authrole": ["staff"]}, False),
        ({"eligible_authid": ["joe"], "eligible_authrole": ["guest"]}, False),
        ({"eligible_authid": ["joe"], "eligible_authrole": ["staff"], "exclude": [8]}, True),
    ],
    ids=str,
)
def test_a_subscriber_gets_the_most_recent_one_that_was_for_it(
    scene: Scene, publisher: Session, options: dict[str, Any], is_for_joe: bool
) -> None:
    retain(scene, publisher, "for all")
    retain(scene, publisher, "for some", **options)
    joe = Session(7, "realm1", Role("staff"), JSON, authid="joe")
    scene.realm.join(joe)

    assert got(scene, joe) == ["for some" if is_for_joe else "for all"]


def test_an_event_for_everybody_takes_the_place_of_restricted_ones(scene: Scene, publisher: Session) -> None:
    retain(scene, publisher, "for joe", eligible_authid=["joe"])
    retain(scene, publisher, "for all")

    assert got(scene, scene.join("joe")) == ["for all"]


def test_without_one_for_everybody_others_get_nothing(scene: Scene, publisher: Session) -> None:
    retain(scene, publisher, "for joe", eligible_authid=["joe"])

    assert got(scene, scene.join("ann")) == []
    assert got(scene, scene.join("joe")) == ["for joe"]


def test_the_event_for_everybody_outlives_any_number_of_restricted_ones(scene: Scene, publisher: Session) -> None:
    retain(scene, publisher, "for all")
    for number in range(MAX_RESTRICTED + 4):
        retain(scene, publisher, str(number), eligible_authid=[f"user{number}"])

    assert got(scene, scene.join("somebody")) == ["for all"]
    assert got(scene, scene.join("user3")) == ["for all"]
    assert got(scene, scene.join("user4")) == ["4"]


def test_a_restricted_event_takes_the_place_of_one_for_the_same_people(scene: Scene, publisher: Session) -> None:
    retain(scene, publisher, "for joe", eligible_authid=["joe"])
    for number in range(MAX_RESTRICTED + 4):
        retain(scene, publisher, str(number), eligible_authid=["ann", "mia"])

    assert got(scene, scene.join("joe")) == ["for joe"]
    assert got(scene, scene.join("ann")) == [str(MAX_RESTRICTED + 3)]


# --- publisher exclusion -------------------------------------------------------------------------------


def test_a_publisher_does_not_get_its_own_event(scene: Scene, publisher: Session) -> None:
    retain(scene, publisher, "mine")

    assert got(scene, publisher) == []
    assert got(scene, scene.join("publisher")) == ["mine"], "another session of the same person"


def test_a_publisher_gets_its_own_event_where_exclude_me_is_false(scene: Scene, publisher: Session) -> None:
    retain(scene, publisher, "mine", exclude_me=False)

    assert got(scene, publisher) == ["mine"]


def test_a_publisher_gets_what_somebody_else_published_before(scene: Scene, publisher: Session) -> None:
    other = scene.join()
    for value in ("1", "2"):
        retain(scene, other, f"theirs {value}")
    for value in ("1", "2"):
        retain(scene, publisher, f"mine {value}")

    assert got(scene, publisher) == ["theirs 2"]
    assert got(scene, other) == ["mine 2"]
    assert got(scene, scene.join()) == ["mine 2"]


# --- bounds --------------------------------------------------------------------------------------------


def kept(topic: str, size: int = 0, **options: Any) -> KeptEvent:
    """An event with this many bytes of payload."""
    message = Publish(1, PublishOptions(**options), topic, Raw(b" " * size))
    return keep(1, message, EventDetails(), JSON, lists_of(message.options))


def topics(retention: Retention, session: Session) -> list[str]:
    return [event.topic for event in retention.search(session, "", PREFIX) if event is not None]


def test_topics_are_forgotten_that_were_updated_longest_ago(scene: Scene) -> None:
    retention, session = Retention(max_topics=3), scene.join()

    for topic in ("a", "b", "c", "a", "d", "e"):
        retention.retain(kept(topic), None)

    assert topics(retention, session) == ["a", "d", "e"]


def test_memory_is_bounded(scene: Scene) -> None:
    retention, session = Retention(max_bytes=10_000), scene.join()

    for number in range(50):
        retention.retain(kept(f"topic{number}", 2000), None)

    assert topics(retention, session) == ["topic46", "topic47", "topic48", "topic49"]
    assert 0 < retention._bytes <= 10_000


def test_of_one_topic_alone_the_oldest_events_are_forgotten(scene: Scene) -> None:
    retention, session = Retention(max_bytes=10_000), scene.join("joe")

    retention.retain(kept("a", 1000), None)
    retention.retain(kept("a", 1000, eligible_authid=["joe"]), None)
    retention.retain(kept("a", 8000, eligible_authid=["ann"]), None)
    assert topics(retention, session) == []
    retention.retain(kept("a", 20_000), None)

    assert topics(retention, session) == []
    assert (retention._bytes, retention._topics) == (0, {})


def test_long_lists_count_as_memory() -> None:
    lists = lists_of(PublishOptions(eligible=list(range(1, 1001)), exclude_authid=["x" * 1000]))

    assert lists is not None
    assert lists.size > 100_000


def test_what_is_counted_as_memory_follows_every_change(scene: Scene) -> None:
    retention = Retention()

    for size in (100, 5000, 10):
        for options in ({}, {"eligible_authid": ["joe"]}, {"eligible_authid": []}):
            for topic in ("a", "b"):
                retention.retain(kept(topic, size, **options), None)

    events = [retained.event for of_topic in retention._topics.values() for retained in of_topic]
    assert len(events) == 4
    assert retention._bytes == sum(event.size for event in events)


components = st.sampled_from(["a", "b", "ab"])


@given(
    st.lists(st.lists(components, min_size=1, max_size=5).map(".".join), max_size=30, unique=True),
    st.lists(st.sampled_from(["", "", "a", "b"]), min_size=1, max_size=5).map(".".join),
    st.sampled_from([PREFIX, WILDCARD]),
)
def test_a_pattern_gets_the_events_of_all_topics_that_it_matches_in_order_of_publication(
    topics: list[str], pattern: str, match: Match
) -> None:
    retention, session = Retention(), Scene().join()
    for topic in topics:
        retention.retain(kept(topic, 10), None)

    found = [event.topic for event in retention.search(session, pattern, match) if event is not None]

    assert found == [topic for topic in topics if is_matched(topic, pattern, match)]


def test_what_is_retained_while_a_subscriber_is_still_given_the_others_is_not_for_it(scene: Scene) -> None:
    retention, session = Retention(), scene.join()
    topics = [f"com.n{number}" for number in range(3 * TOPICS_AT_ONCE)]
    for topic in topics:
        retention.retain(kept(topic, 10), None)

    found = retention.search(session, "com.", PREFIX)
    pause = next(found)
    for topic in topics:
        retention.retain(kept(topic, 20), None)
    events = [event for event in found if event is not None]

    assert pause is None
    assert [event.topic for event in events] == topics
    assert {len(event.args) for event in events} == {10}
