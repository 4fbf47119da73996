"""The subscription meta API and revocation (advanced/meta_api_subscriptions.md, pubsub_subscription_revocation.md)."""

from __future__ import annotations

import pytest
from tests.router.meta_scene import answer, ask, heard, listener, refusal, results
from tests.router.scene import Scene, receivers, sent

from rocade.router.session import Session
from rocade.wamp.messages import Match, Subscribed, Unsubscribed, UnsubscribedDetails

ON_CREATE, ON_SUBSCRIBE = "wamp.subscription.on_create", "wamp.subscription.on_subscribe"
ON_UNSUBSCRIBE, ON_DELETE = "wamp.subscription.on_unsubscribe", "wamp.subscription.on_delete"
ALL = (ON_DELETE, ON_UNSUBSCRIBE, ON_SUBSCRIBE, ON_CREATE)
PREFIX, WILDCARD = Match.PREFIX, Match.WILDCARD
CREATED = "2024-02-29T12:00:00.000Z"


@pytest.fixture
def watcher(scene: Scene) -> Session:
    return listener(scene, *ALL)


@pytest.fixture
def caller(scene: Scene) -> Session:
    return scene.join("caller")


def subscribe(scene: Scene, session: Session, topic: str, match: Match | None = None) -> int:
    message = sent(scene.subscribe(session, topic, match=match), session)[0]
    assert type(message) is Subscribed
    return message.subscription


# --- events -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("topic", "match"), [("com.topic", None), ("com.", PREFIX), ("com..x", WILDCARD)])
def test_the_first_subscriber_causes_on_create_and_then_on_subscribe(
    scene: Scene, watcher: Session, caller: Session, topic: str, match: Match | None
) -> None:
    effects = scene.subscribe(caller, topic, match=match)

    (id,) = caller.subscriptions
    details = {"id": id, "created": CREATED, "uri": topic, "match": (match or Match.EXACT).value}
    assert heard(effects, watcher) == [(ON_CREATE, [caller.id, details]), (ON_SUBSCRIBE, [caller.id, id])]


def test_further_subscribers_cause_on_subscribe_only(scene: Scene, watcher: Session, caller: Session) -> None:
    id = subscribe(scene, scene.join(), "com.topic")

    assert heard(scene.subscribe(caller, "com.topic"), watcher) == [(ON_SUBSCRIBE, [caller.id, id])]


def test_subscribing_again_is_no_news(scene: Scene, watcher: Session, caller: Session) -> None:
    scene.subscribe(caller, "com.topic")

    assert receivers(scene.subscribe(caller, "com.topic")) == [caller]


def test_on_delete_comes_after_the_last_on_unsubscribe(scene: Scene, watcher: Session, caller: Session) -> None:
    other = scene.join()
    id = subscribe(scene, caller, "com.topic")
    subscribe(scene, other, "com.topic")

    first, last = scene.unsubscribe(caller, id), scene.unsubscribe(other, id)

    assert heard(first, watcher) == [(ON_UNSUBSCRIBE, [caller.id, id])]
    assert heard(last, watcher) == [(ON_UNSUBSCRIBE, [other.id, id]), (ON_DELETE, [other.id, id])]


def test_who_subscribes_is_answered_before_anybody_is_told(scene: Scene, caller: Session) -> None:
    for topic in ALL:
        scene.subscribe(caller, topic)

    effects = scene.subscribe(caller, "com.topic")
    (id,) = (id for id, subscription in caller.subscriptions.items() if subscription.uri == "com.topic")

    assert type(sent(effects, caller)[0]) is Subscribed
    assert [topic for topic, _ in heard(effects, caller)] == [ON_CREATE, ON_SUBSCRIBE]
    effects = scene.unsubscribe(caller, id)
    assert type(sent(effects, caller)[0]) is Unsubscribed
    assert [topic for topic, _ in heard(effects, caller)] == [ON_UNSUBSCRIBE, ON_DELETE]


def test_a_subscription_to_everything_does_not_hear_of_itself_but_of_others(scene: Scene) -> None:
    first, second = scene.join(), scene.join()

    assert receivers(scene.subscribe(first, "", match=PREFIX)) == [first]
    (id,) = first.subscriptions
    effects = scene.subscribe(second, "", match=PREFIX)
    assert heard(effects, first) == [(ON_SUBSCRIBE, [second.id, id])]
    assert heard(effects, second) == []
    assert heard(scene.leave(second), first)[0] == (ON_UNSUBSCRIBE, [second.id, id])


@pytest.mark.parametrize(
    ("topic", "match"),
    [("wamp.session.on_join", None), ("wamp.", PREFIX), ("wamp", PREFIX), ("wamp..on_join", WILDCARD)],
)
def test_subscriptions_to_the_protocols_own_topics_cause_no_events(
    scene: Scene, watcher: Session, caller: Session, topic: str, match: Match | None
) -> None:
    effects = scene.subscribe(caller, topic, match=match)
    (id,) = caller.subscriptions

    assert heard(effects, watcher) == []
    assert heard(scene.unsubscribe(caller, id), watcher) == []


def test_a_session_that_vanishes_unsubscribes_from_all_it_had(scene: Scene, watcher: Session, caller: Session) -> None:
    ids = [subscribe(scene, caller, topic) for topic in ("com.one", "com.two")]
    other = scene.join()
    subscribe(scene, other, "com.two")

    assert heard(scene.leave(caller), watcher) == [
        (ON_UNSUBSCRIBE, [caller.id, ids[0]]),
        (ON_DELETE, [caller.id, ids[0]]),
        (ON_UNSUBSCRIBE, [caller.id, ids[1]]),
    ]


def test_of_subscribers_that_are_killed_together_the_last_one_causes_on_delete(
    scene: Scene, watcher: Session, caller: Session
) -> None:
    victims = [scene.join("victim"), scene.join("victim")]
    for victim in victims:
        id = subscribe(scene, victim, "com.topic")

    effects = ask(scene, caller, "wamp.session.kill_by_authid", "victim")

    assert heard(effects, watcher) == [
        (ON_UNSUBSCRIBE, [victims[0].id, id]),
        (ON_UNSUBSCRIBE, [victims[1].id, id]),
        (ON_DELETE, [victims[1].id, id]),
    ]


# --- list, lookup, match, get -------------------------------------------------------------------------


def test_list_has_all_subscriptions_by_match_policy(scene: Scene, caller: Session) -> None:
    session = scene.join()
    exact = [subscribe(scene, session, topic) for topic in ("com.one", "com.two")]
    prefix = subscribe(scene, session, "com.", PREFIX)
    wildcard = subscribe(scene, session, "com..x", WILDCARD)

    assert answer(scene, caller, "wamp.subscription.list") == {
        "exact": exact,
        "prefix": [prefix],
        "wildcard": [wildcard],
    }


def test_lookup_finds_by_topic_and_policy(scene: Scene, caller: Session) -> None:
    exact = subscribe(scene, caller, "com.topic")
    prefix = subscribe(scene, caller, "com.topic", PREFIX)
    lookup = "wamp.subscription.lookup"

    assert answer(scene, caller, lookup, "com.topic") == exact
    assert answer(scene, caller, lookup, "com.topic", {}) == exact
    assert answer(scene, caller, lookup, "com.topic", {"match": "prefix", "get_retained": True}) == prefix
    assert answer(scene, caller, lookup, "com.topic", {"match": "wildcard"}) is None
    assert answer(scene, caller, lookup, "com.topic.sub") is None


def test_match_finds_all_that_get_an_event(scene: Scene, caller: Session) -> None:
    exact = subscribe(scene, caller, "com.topic.x")
    prefix = subscribe(scene, caller, "com.", PREFIX)
    wildcard = subscribe(scene, caller, "com..x", WILDCARD)
    subscribe(scene, caller, "com.other")

    assert answer(scene, caller, "wamp.subscription.match", "com.topic.x") == [exact, prefix, wildcard]
    assert answer(scene, caller, "wamp.subscription.match", "org.topic") is None


@pytest.mark.parametrize("topic", ["com..x", "com.x.", "", "com. .x"])
def test_nothing_matches_what_can_be_no_topic(scene: Scene, caller: Session, topic: str) -> None:
    for uri, match in (("", PREFIX), ("com..x", WILDCARD), ("com..", WILDCARD)):
        subscribe(scene, caller, uri, match)

    assert answer(scene, caller, "wamp.subscription.match", topic) is None


def test_get_tells_what_on_create_told(scene: Scene, watcher: Session, caller: Session) -> None:
    effects = scene.subscribe(caller, "com.", match=PREFIX)
    (_, (_, details)), _ = heard(effects, watcher)

    assert answer(scene, caller, "wamp.subscription.get", details["id"]) == details


def test_subscribers_are_listed_and_counted(scene: Scene, caller: Session) -> None:
    sessions = [scene.join(), scene.join()]
    for session in sessions:
        id = subscribe(scene, session, "com.topic")

    assert answer(scene, caller, "wamp.subscription.list_subscribers", id) == [session.id for session in sessions]
    assert answer(scene, caller, "wamp.subscription.count_subscribers", id) == 2


@pytest.mark.parametrize("procedure", ["get", "list_subscribers", "count_subscribers"])
def test_a_subscription_that_is_not_there_is_an_error(scene: Scene, caller: Session, procedure: str) -> None:
    error = refusal(scene, caller, f"wamp.subscription.{procedure}", 4711)

    assert error.error == "wamp.error.no_such_subscription"


def test_wrong_options_are_refused_by_name(scene: Scene, caller: Session) -> None:
    error = refusal(scene, caller, "wamp.subscription.lookup", "com.topic", {"match": "fuzzy"})

    assert (error.error, error.args) == (
        "wamp.error.invalid_argument",
        ["options: Invalid enum value 'fuzzy' - at '.match'"],
    )


# --- remove_subscriber --------------------------------------------------------------------------------


def test_who_is_removed_is_told_if_it_understands(scene: Scene, watcher: Session, caller: Session) -> None:
    session = scene.join(subscriber={"subscription_revocation": True})
    id = subscribe(scene, session, "com.topic")

    effects = ask(
        scene, caller, "wamp.subscription.remove_subscriber", id, session.id, "com.example.no_longer_authorized"
    )

    details = UnsubscribedDetails(subscription=id, reason="com.example.no_longer_authorized")
    assert sent(effects, session) == [Unsubscribed(0, details)]
    assert heard(effects, watcher) == [(ON_UNSUBSCRIBE, [session.id, id]), (ON_DELETE, [session.id, id])]
    assert results(effects, caller) == []
    assert not session.subscriptions
    assert scene.publish(caller, "com.topic") == []


def test_who_would_not_understand_just_loses_the_subscription(scene: Scene, caller: Session) -> None:
    session, other = scene.join(), scene.join()
    id = subscribe(scene, session, "com.topic")
    subscribe(scene, other, "com.topic")

    effects = ask(scene, caller, "wamp.subscription.remove_subscriber", id, session.id, reason="com.example.no_reason")

    assert sent(effects, session) == []
    assert receivers(scene.publish(caller, "com.topic")) == [other]


def test_nobody_is_removed_who_is_not_there(scene: Scene, caller: Session) -> None:
    other = scene.join()
    id = subscribe(scene, other, "com.topic")
    remove = "wamp.subscription.remove_subscriber"

    assert refusal(scene, caller, remove, 99, other.id).error == "wamp.error.no_such_subscription"
    assert refusal(scene, caller, remove, id, 99).error == "wamp.error.no_such_session"
    assert refusal(scene, caller, remove, id, caller.id).error == "wamp.error.no_such_subscription"


@pytest.mark.parametrize("reason", ["two words", "", 5])
def test_a_reason_that_is_no_uri_removes_nobody(scene: Scene, caller: Session, reason: object) -> None:
    other = scene.join()
    id = subscribe(scene, other, "com.topic")

    error = refusal(scene, caller, "wamp.subscription.remove_subscriber", id, other.id, reason=reason)

    assert error.error == "wamp.error.invalid_uri"
    assert other.subscriptions
