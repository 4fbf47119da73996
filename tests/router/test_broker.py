"""Publish and subscribe, behaviour by behaviour (basic/publish_subscribe.md and the PubSub chapters)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from tests.router.scene import Scene, receivers, sent, sent_one

from rocade.router.effects import Deliver
from rocade.router.permissions import Role
from rocade.router.session import Session
from rocade.wamp.codec import MSGPACK
from rocade.wamp.messages import (
    Error,
    Event,
    EventDetails,
    Match,
    Published,
    Subscribed,
    Unsubscribed,
)

PREFIX, WILDCARD = Match.PREFIX, Match.WILDCARD


@pytest.fixture
def publisher(scene: Scene) -> Session:
    return scene.join("publisher", publisher={"payload_passthru_mode": True})


@pytest.fixture
def subscriber(scene: Scene) -> Session:
    return scene.join("subscriber")


def subscribed(scene: Scene, session: Session, topic: str, **options: Any) -> int:
    """Subscribe, and give the subscription's id."""
    message = sent_one(scene.subscribe(session, topic, **options), session)
    assert type(message) is Subscribed
    subscription: int = message.subscription
    return subscription


# --- SUBSCRIBE, UNSUBSCRIBE ---------------------------------------------------------------------------


def test_subscribed_answers_the_request_that_it_belongs_to(scene: Scene, subscriber: Session) -> None:
    scene.subscribe(subscriber, "com.topic1")

    message = sent_one(scene.subscribe(subscriber, "com.topic2"), subscriber)

    assert message == Subscribed(2, message.subscription)


def test_subscribing_again_gives_the_existing_subscription_id_and_no_second_event(
    scene: Scene, publisher: Session, subscriber: Session
) -> None:
    first = subscribed(scene, subscriber, "com.topic")

    second = subscribed(scene, subscriber, "com.topic")

    assert first == second
    assert len(sent(scene.publish(publisher, "com.topic"), subscriber)) == 1


def test_all_subscribers_of_the_same_have_the_same_subscription_id(scene: Scene, subscriber: Session) -> None:
    other = scene.join()

    assert subscribed(scene, subscriber, "com.topic") == subscribed(scene, other, "com.topic")


def test_the_same_uri_under_another_match_policy_is_another_subscription(scene: Scene, subscriber: Session) -> None:
    ids = {subscribed(scene, subscriber, "com.topic", match=match) for match in Match}

    assert len(ids) == 3


@pytest.mark.parametrize(
    ("topic", "match"),
    [
        ("", None),
        ("com..topic", None),
        ("com.topic.", None),
        ("com.to pic", None),
        ("com.topic#", None),
        ("com.to\npic", PREFIX),
        ("com.#", WILDCARD),
        ("a" * 3000, None),
        ("a" * 3000, PREFIX),
    ],
)
def test_an_incorrect_topic_is_answered_with_invalid_uri(
    scene: Scene, subscriber: Session, topic: str, match: Match | None
) -> None:
    message = sent_one(scene.subscribe(subscriber, topic, match=match), subscriber)

    assert (type(message), message.request_type, message.request) == (Error, 32, 1)
    assert message.error == "wamp.error.invalid_uri"
    assert len(message.args[0]) < 200
    assert scene.realm.broker.subscriptions == {}


@pytest.mark.parametrize(
    ("topic", "match"), [("", PREFIX), ("com.", PREFIX), ("com..topic", WILDCARD), ("..", WILDCARD)]
)
def test_components_may_be_empty_in_patterns(scene: Scene, subscriber: Session, topic: str, match: Match) -> None:
    assert subscribed(scene, subscriber, topic, match=match) > 0


def test_strict_uris_are_lower_case_letters_digits_and_underscores() -> None:
    scene = Scene(strict_uris=True)
    subscriber = scene.join()

    assert sent_one(scene.subscribe(subscriber, "com.Topic"), subscriber).error == "wamp.error.invalid_uri"
    assert sent_one(scene.subscribe(subscriber, "com.T", match=PREFIX), subscriber).error == "wamp.error.invalid_uri"
    assert type(sent_one(scene.subscribe(subscriber, "com.topic_1"), subscriber)) is Subscribed


def test_no_event_comes_after_unsubscribed(scene: Scene, publisher: Session, subscriber: Session) -> None:
    subscription = subscribed(scene, subscriber, "com.topic")

    answer = sent_one(scene.unsubscribe(subscriber, subscription), subscriber)

    assert answer == Unsubscribed(2)
    assert sent(scene.publish(publisher, "com.topic"), subscriber) == []


def test_unsubscribing_from_what_one_is_not_subscribed_to_is_no_such_subscription(
    scene: Scene, subscriber: Session
) -> None:
    foreign = subscribed(scene, scene.join(), "com.topic")

    for subscription in (foreign, 4711):
        message = sent_one(scene.unsubscribe(subscriber, subscription), subscriber)
        assert (message.request_type, message.error) == (34, "wamp.error.no_such_subscription")
    assert foreign in scene.realm.broker.subscriptions


def test_the_last_unsubscribe_leaves_nothing_behind_and_the_id_is_not_used_again(
    scene: Scene, subscriber: Session
) -> None:
    first = subscribed(scene, subscriber, "com.", match=PREFIX)
    scene.unsubscribe(subscriber, first)
    assert scene.realm.broker.subscriptions == {}
    assert subscriber.subscriptions == {}

    second = subscribed(scene, subscriber, "com.", match=PREFIX)

    assert first != second


def test_the_subscription_stays_while_somebody_has_it(scene: Scene, publisher: Session, subscriber: Session) -> None:
    other = scene.join()
    subscription = subscribed(scene, other, "com.topic")
    subscribed(scene, subscriber, "com.topic")

    scene.unsubscribe(subscriber, subscription)

    assert receivers(scene.publish(publisher, "com.topic")) == [other]


# --- PUBLISH ------------------------------------------------------------------------------------------


def test_an_event_carries_the_payload_as_it_came_and_the_serializer_that_it_is_in(
    scene: Scene, subscriber: Session
) -> None:
    publisher = scene.join(serializer=MSGPACK)
    subscription = subscribed(scene, subscriber, "com.topic")

    (effect,) = scene.publish(publisher, "com.topic", args=Raw(b"\x91\x01"))

    assert type(effect) is Deliver
    assert effect.origin is MSGPACK
    assert effect.message == Event(subscription, 1000, EventDetails(), Raw(b"\x91\x01"))


def test_all_current_subscribers_get_the_event_in_the_order_in_which_they_subscribed(
    scene: Scene, publisher: Session
) -> None:
    subscribers = [scene.join() for _ in range(5)]
    for session in reversed(subscribers):
        subscribed(scene, session, "com.topic")

    effects = scene.publish(publisher, "com.topic")

    assert len(effects) == 1
    assert receivers(effects) == subscribers[::-1]


def test_publications_are_not_acknowledged_by_default(scene: Scene, publisher: Session) -> None:
    assert scene.publish(publisher, "com.topic") == []


def test_published_has_the_publication_id_of_the_events(scene: Scene, publisher: Session, subscriber: Session) -> None:
    subscribed(scene, subscriber, "com.topic")

    effects = scene.publish(publisher, "com.topic", acknowledge=True)

    event, published = sent_one(effects, subscriber), sent_one(effects, publisher)
    assert published == Published(1, event.publication)


@pytest.mark.parametrize("topic", ["", "com..topic", "com. ", "wamp", "wamp.session.on_join", "x" * 3000])
def test_a_publication_that_fails_is_answered_only_if_an_acknowledgement_was_asked_for(
    scene: Scene, publisher: Session, topic: str
) -> None:
    everything = scene.join()
    subscribed(scene, everything, "", match=PREFIX)

    assert scene.publish(publisher, topic) == []
    message = sent_one(scene.publish(publisher, topic, acknowledge=True), publisher)
    assert (message.request_type, message.request, message.error) == (16, 2, "wamp.error.invalid_uri")


def test_topics_that_merely_begin_with_the_letters_wamp_are_free(
    scene: Scene, publisher: Session, subscriber: Session
) -> None:
    subscribed(scene, subscriber, "wampum.topic")

    assert type(sent_one(scene.publish(publisher, "wampum.topic"), subscriber)) is Event


# --- Publisher exclusion ------------------------------------------------------------------------------


@pytest.mark.parametrize(("exclude_me", "is_received"), [(None, False), (True, False), (False, True)])
def test_the_publisher_does_not_get_its_own_event_unless_exclude_me_is_false(
    scene: Scene, publisher: Session, exclude_me: bool | None, is_received: bool
) -> None:
    subscribed(scene, publisher, "com.topic")

    effects = scene.publish(publisher, "com.topic", exclude_me=exclude_me)

    assert (receivers(effects) == [publisher]) is is_received


def test_the_publisher_is_excluded_from_patterns_too(scene: Scene, publisher: Session, subscriber: Session) -> None:
    for session in (publisher, subscriber):
        subscribed(scene, session, "com.", match=PREFIX)

    assert receivers(scene.publish(publisher, "com.topic")) == [subscriber]


# --- Black- and whitelisting --------------------------------------------------------------------------


@pytest.fixture
def crowd(scene: Scene) -> dict[str, Session]:
    """ann and bob are staff, mia is a manager; all are subscribed."""
    staff, managers = Role("staff"), Role("manager")
    sessions = {
        "ann": scene.join("ann", role=staff),
        "bob": scene.join("bob", role=staff),
        "mia": scene.join("mia", role=managers),
    }
    for session in sessions.values():
        subscribed(scene, session, "com.topic")
    return sessions


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, "ann bob mia"),
        ({"exclude_authid": ["ann"]}, "bob mia"),
        ({"exclude_authrole": ["staff"]}, "mia"),
        ({"exclude_authid": ["ann"], "exclude_authrole": ["manager"]}, "bob"),
        ({"eligible_authid": ["ann", "mia", "nobody"]}, "ann mia"),
        ({"eligible_authrole": ["staff"]}, "ann bob"),
        ({"eligible_authid": ["ann", "mia"], "eligible_authrole": ["staff"]}, "ann"),
        ({"eligible_authrole": ["staff"], "exclude_authid": ["ann"]}, "bob"),
        ({"eligible_authid": ["ann"], "exclude_authid": ["ann"]}, ""),
        ({"exclude": [], "exclude_authid": [], "exclude_authrole": []}, "ann bob mia"),
        ({"eligible": []}, ""),
        ({"eligible_authid": []}, ""),
        ({"eligible_authrole": []}, ""),
    ],
)
def test_an_event_goes_to_those_for_whom_all_statements_of_the_lists_hold(
    scene: Scene, publisher: Session, crowd: dict[str, Session], options: dict[str, Any], names: str
) -> None:
    effects = scene.publish(publisher, "com.topic", **options)

    assert [session.authid for session in receivers(effects)] == names.split()


@pytest.mark.parametrize(
    ("eligible", "exclude", "names"),
    [
        (None, "ann mia", "bob"),
        ("ann bob", None, "ann bob"),
        ("ann bob mia", "ann", "bob mia"),
        ("ann", "ann", ""),
    ],
)
def test_sessions_are_listed_by_their_ids(
    scene: Scene, publisher: Session, crowd: dict[str, Session], eligible: str | None, exclude: str | None, names: str
) -> None:
    def ids(text: str | None) -> list[int] | None:
        return None if text is None else [crowd[name].id for name in text.split()]

    effects = scene.publish(publisher, "com.topic", eligible=ids(eligible), exclude=ids(exclude))

    assert [session.authid for session in receivers(effects)] == names.split()


def test_the_lists_are_combined_with_publisher_exclusion(scene: Scene, crowd: dict[str, Session]) -> None:
    ann = crowd["ann"]

    assert receivers(scene.publish(ann, "com.topic", eligible=[ann.id])) == []
    assert receivers(scene.publish(ann, "com.topic", eligible=[ann.id], exclude_me=False)) == [ann]
    assert receivers(scene.publish(ann, "com.topic", exclude=[ann.id], exclude_me=False)) == [
        crowd["bob"],
        crowd["mia"],
    ]


def test_somebody_eligible_who_is_not_subscribed_gets_nothing(scene: Scene, publisher: Session) -> None:
    stranger = scene.join("stranger")

    assert scene.publish(publisher, "com.topic", eligible=[stranger.id], eligible_authid=["stranger"]) == []


def test_the_lists_leave_the_subscription_itself_alone(
    scene: Scene, publisher: Session, crowd: dict[str, Session]
) -> None:
    scene.publish(publisher, "com.topic", eligible=[])

    assert receivers(scene.publish(publisher, "com.topic")) == list(crowd.values())


# --- Pattern-based subscription -----------------------------------------------------------------------


def test_an_event_is_delivered_for_each_subscription_that_matches_with_one_publication_id(
    scene: Scene, publisher: Session, subscriber: Session
) -> None:
    ids = [
        subscribed(scene, subscriber, "com.app.topic"),
        subscribed(scene, subscriber, "com.", match=PREFIX),
        subscribed(scene, subscriber, "com.app", match=PREFIX),
        subscribed(scene, subscriber, "com..topic", match=WILDCARD),
    ]
    subscribed(scene, subscriber, "org.", match=PREFIX)

    events = sent(scene.publish(publisher, "com.app.topic"), subscriber)

    assert [event.subscription for event in events] == ids
    assert len({event.publication for event in events}) == 1


def test_the_concrete_topic_is_supplied_with_patterns_only(
    scene: Scene, publisher: Session, subscriber: Session
) -> None:
    subscribed(scene, subscriber, "com.app.topic")
    subscribed(scene, subscriber, "com.", match=PREFIX)
    subscribed(scene, subscriber, "com..topic", match=WILDCARD)

    events = sent(scene.publish(publisher, "com.app.topic"), subscriber)

    assert [event.details.topic for event in events] == [None, "com.app.topic", "com.app.topic"]


def test_a_wildcard_without_wildcards_matches_one_topic_and_still_supplies_it(
    scene: Scene, publisher: Session, subscriber: Session
) -> None:
    subscribed(scene, subscriber, "com.app", match=WILDCARD)

    assert sent_one(scene.publish(publisher, "com.app"), subscriber).details.topic == "com.app"
    assert scene.publish(publisher, "com.app.topic") == []


# --- Publisher identification -------------------------------------------------------------------------


def test_the_publisher_is_not_named_by_default(scene: Scene, publisher: Session, subscriber: Session) -> None:
    subscribed(scene, subscriber, "com.topic")

    details = sent_one(scene.publish(publisher, "com.topic"), subscriber).details

    assert (details.publisher, details.publisher_authid, details.publisher_authrole) == (None, None, None)


@pytest.mark.parametrize(
    "options", [{"disclose_me": True}, {"disclose": True}, {"disclose_me": False, "disclose": True}]
)
def test_the_publisher_is_named_if_it_asks_for_that_or_the_rules_of_the_router_do(
    scene: Scene, publisher: Session, subscriber: Session, options: dict[str, bool]
) -> None:
    subscribed(scene, subscriber, "com.topic")

    details = sent_one(scene.publish(publisher, "com.topic", **options), subscriber).details  # type: ignore[arg-type]

    assert (details.publisher, details.publisher_authid, details.publisher_authrole) == (
        publisher.id,
        "publisher",
        "user",
    )


def test_one_disclosed_event_does_not_disclose_the_next(scene: Scene, publisher: Session, subscriber: Session) -> None:
    subscribed(scene, subscriber, "com.topic")
    scene.publish(publisher, "com.topic", disclose_me=True)

    assert sent_one(scene.publish(publisher, "com.topic"), subscriber).details == EventDetails()


def test_what_describes_an_opaque_payload_goes_along_with_it(
    scene: Scene, publisher: Session, subscriber: Session
) -> None:
    subscribed(scene, subscriber, "com.topic")

    details = sent_one(scene.publish(publisher, "com.topic", ppt_scheme="x_my", ppt_keyid="k1"), subscriber).details

    assert (details.ppt_scheme, details.ppt_keyid) == ("x_my", "k1")


# --- Leaving ------------------------------------------------------------------------------------------


def test_a_session_that_leaves_gets_no_more_events_and_leaves_nothing_behind(
    scene: Scene, publisher: Session, subscriber: Session
) -> None:
    subscribed(scene, subscriber, "com.topic")
    subscribed(scene, subscriber, "com.", match=PREFIX)
    subscribed(scene, subscriber, "com.", match=WILDCARD)

    assert scene.leave(subscriber) == []

    assert scene.publish(publisher, "com.topic") == []
    scene.leave(publisher)
    assert scene.is_empty()


def test_the_subscriptions_of_others_survive_when_one_leaves(scene: Scene, publisher: Session) -> None:
    leaving, staying = scene.join(), scene.join()
    for session in (leaving, staying):
        subscribed(scene, session, "com.topic")

    scene.leave(leaving)

    assert receivers(scene.publish(publisher, "com.topic")) == [staying]


class CountedList(list[int]):
    """A list that knows how often it was gone through."""

    passes = 0

    def __iter__(self) -> Any:
        self.passes += 1
        return super().__iter__()


def test_a_long_list_is_gone_through_once_however_many_subscriptions_match(
    scene: Scene, publisher: Session, subscriber: Session
) -> None:
    for prefix in ("c", "co", "com", "com.", "com.t"):
        subscribed(scene, subscriber, prefix, match=Match.PREFIX)
    eligible = CountedList([subscriber.id, 7])

    effects = scene.publish(publisher, "com.topic", eligible=eligible)

    assert len(receivers(effects)) == 5
    assert eligible.passes == 1
