"""Publish and subscribe (basic/publish_subscribe.md, advanced/pubsub_*.md)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import Event, EventDetails, Match, Publish, Published, PublishOptions, Subscribed

TOPIC = "com.example.topic"


# --- SUBSCRIBE and UNSUBSCRIBE ---------------------------------------------------------------------


async def test_subscribing_twice_gives_the_same_subscription_and_one_event(realm: RealmUnderTest) -> None:
    subscriber, publisher = await realm.join(), await realm.join()

    first = await subscriber.subscribe(TOPIC)
    second = await subscriber.subscribe(TOPIC)
    await publisher.publish(TOPIC, 1)

    assert second == first
    assert (await subscriber.expect(Event)).args == [1]
    await subscriber.expect_nothing()


async def test_all_subscribers_of_a_topic_have_the_same_subscription_id(realm: RealmUnderTest) -> None:
    one, two = await realm.join(), await realm.join()

    assert await one.subscribe(TOPIC) == await two.subscribe(TOPIC)


@pytest.mark.parametrize("match", [Match.PREFIX, Match.WILDCARD])
async def test_the_same_uri_with_another_match_is_another_subscription(realm: RealmUnderTest, match: Match) -> None:
    peer = await realm.join()

    assert await peer.subscribe(TOPIC) != await peer.subscribe(TOPIC, match=match)


async def test_after_unsubscribed_no_event_comes(realm: RealmUnderTest) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    subscription = await subscriber.subscribe(TOPIC)

    await subscriber.unsubscribe(subscription)
    await publisher.publish(TOPIC, 1)

    await subscriber.expect_nothing()


async def test_one_unsubscribe_ends_a_subscription_that_was_made_twice(realm: RealmUnderTest) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    await subscriber.subscribe(TOPIC)
    subscription = await subscriber.subscribe(TOPIC)

    await subscriber.unsubscribe(subscription)
    await publisher.publish(TOPIC, 1)

    await subscriber.expect_nothing()


async def test_unsubscribing_leaves_other_subscribers_alone(realm: RealmUnderTest) -> None:
    leaver, stayer, publisher = await realm.join(), await realm.join(), await realm.join()
    subscription = await leaver.subscribe(TOPIC)
    await stayer.subscribe(TOPIC)

    await leaver.unsubscribe(subscription)
    await publisher.publish(TOPIC, 1)

    assert (await stayer.expect(Event)).subscription == subscription
    await leaver.expect_nothing()


async def test_a_subscription_that_does_not_exist_cannot_be_ended(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    await peer.send_array(34, peer.next_request(), 4711)

    await peer.expect_error(34, "wamp.error.no_such_subscription")


async def test_the_subscription_of_somebody_else_cannot_be_ended(realm: RealmUnderTest) -> None:
    subscriber, thief = await realm.join(), await realm.join()
    subscription = await subscriber.subscribe(TOPIC)

    await thief.send_array(34, thief.next_request(), subscription)

    await thief.expect_error(34, "wamp.error.no_such_subscription")
    await thief.publish(TOPIC, 1)
    await subscriber.expect(Event)


# --- PUBLISH and EVENT -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        [],
        [["positional", 1]],
        [[], {"name": "value"}],
        [["positional"], {"name": "value"}],
        [[None, True, [1, [2.5]], {"a": {"b": "ü€😀"}}]],
    ],
    ids=["none", "args", "kwargs", "both", "nested"],
)
async def test_an_event_carries_the_payload_of_the_publication(realm: RealmUnderTest, payload: list[Any]) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    subscription = await subscriber.subscribe(TOPIC)

    await publisher.send_array(16, 1, {"acknowledge": True}, TOPIC, *payload)

    publication = (await publisher.expect(Published)).publication
    event = await subscriber.receive_array()
    assert event == [36, subscription, publication, {}, *payload]


@pytest.mark.parametrize("options", [{}, {"acknowledge": False}], ids=repr)
async def test_an_unacknowledged_publication_is_not_answered(realm: RealmUnderTest, options: dict[str, Any]) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    await subscriber.subscribe(TOPIC)

    await publisher.send_array(16, publisher.next_request(), options, TOPIC)

    await publisher.expect_nothing()
    await subscriber.expect(Event)


async def test_a_publication_that_nobody_is_subscribed_to_is_acknowledged(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    assert 1 <= await peer.publish(TOPIC) <= 2**53


async def test_publication_ids_are_random(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    publications = [await peer.publish(TOPIC) for _ in range(5)]

    assert len(set(publications)) == 5
    assert max(publications) > 2**40


async def test_an_event_reaches_every_subscriber_once(realm: RealmUnderTest) -> None:
    publisher = await realm.join()
    subscribers = [await realm.join() for _ in range(3)]
    for subscriber in subscribers:
        await subscriber.subscribe(TOPIC)

    publication = await publisher.publish(TOPIC, 1)

    for subscriber in subscribers:
        assert (await subscriber.expect(Event)).publication == publication
        await subscriber.expect_nothing()


async def test_an_event_does_not_leave_its_realm(realm: RealmUnderTest, open_realm: Any) -> None:
    elsewhere = open_realm()
    here, there = await realm.join(), await elsewhere.join()
    await here.subscribe(TOPIC)

    await there.publish(TOPIC, 1)

    await here.expect_nothing()


# --- publisher exclusion ---------------------------------------------------------------------------


async def test_the_publisher_does_not_get_its_own_event(realm: RealmUnderTest) -> None:
    peer = await realm.join()
    await peer.subscribe(TOPIC)

    await peer.publish(TOPIC, 1)

    await peer.expect_nothing()


async def test_the_publisher_gets_its_own_event_where_exclude_me_is_false(realm: RealmUnderTest) -> None:
    peer = await realm.join()
    await peer.subscribe(TOPIC)

    await peer.send_array(16, peer.next_request(), {"exclude_me": False}, TOPIC, ["mine"])

    assert (await peer.expect(Event)).args == ["mine"]


# --- black- and whitelisting -----------------------------------------------------------------------


def listing(name: str, kind: str) -> str:
    return name if kind == "session" else f"{name}_{kind}"


@pytest.mark.parametrize("kind", ["session", "authid", "authrole"])
async def test_excluded_subscribers_do_not_get_the_event(realm: RealmUnderTest, kind: str) -> None:
    publisher = await realm.join()
    excluded = await realm.join(authid="joe", authrole="guest")
    other = await realm.join(authid="sue", authrole="staff")
    await excluded.subscribe(TOPIC)
    await other.subscribe(TOPIC)
    who = {"session": excluded.session, "authid": "joe", "authrole": "guest"}[kind]

    await publisher.publish(TOPIC, 1, **{listing("exclude", kind): [who]})

    await other.expect(Event)
    await excluded.expect_nothing()


@pytest.mark.parametrize("kind", ["session", "authid", "authrole"])
async def test_only_eligible_subscribers_get_the_event(realm: RealmUnderTest, kind: str) -> None:
    publisher = await realm.join()
    eligible = await realm.join(authid="joe", authrole="guest")
    other = await realm.join(authid="sue", authrole="staff")
    await eligible.subscribe(TOPIC)
    await other.subscribe(TOPIC)
    who = {"session": eligible.session, "authid": "joe", "authrole": "guest"}[kind]

    await publisher.publish(TOPIC, 1, **{listing("eligible", kind): [who]})

    await eligible.expect(Event)
    await other.expect_nothing()


@pytest.mark.parametrize("kind", ["session", "authid", "authrole"])
async def test_nobody_is_eligible_where_the_list_is_empty(realm: RealmUnderTest, kind: str) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    await subscriber.subscribe(TOPIC)

    await publisher.publish(TOPIC, 1, **{listing("eligible", kind): []})

    await subscriber.expect_nothing()


@pytest.mark.parametrize("kind", ["session", "authid", "authrole"])
async def test_nobody_is_excluded_where_the_list_is_empty(realm: RealmUnderTest, kind: str) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    await subscriber.subscribe(TOPIC)

    await publisher.publish(TOPIC, 1, **{listing("exclude", kind): []})

    await subscriber.expect(Event)


@pytest.mark.parametrize("kind", ["session", "authid", "authrole"])
async def test_a_list_may_be_long(realm: RealmUnderTest, kind: str) -> None:
    publisher = await realm.join()
    joe = await realm.join(authid="joe", authrole="guest")
    sue = await realm.join(authid="sue", authrole="staff")
    await joe.subscribe(TOPIC)
    await sue.subscribe(TOPIC)
    who = {"session": joe.session, "authid": "joe", "authrole": "guest"}[kind]
    others = [2**53 - number if kind == "session" else f"somebody{number}" for number in range(99)]

    await publisher.publish(TOPIC, "for joe", **{listing("eligible", kind): [*others, who]})
    await publisher.publish(TOPIC, "not for joe", **{listing("exclude", kind): [*others, who]})

    assert (await joe.expect(Event)).args == ["for joe"]
    assert (await sue.expect(Event)).args == ["not for joe"]
    await joe.expect_nothing()
    await sue.expect_nothing()


async def test_who_is_eligible_and_excluded_does_not_get_the_event(realm: RealmUnderTest) -> None:
    publisher, one, two = await realm.join(), await realm.join(authid="one"), await realm.join(authid="two")
    await one.subscribe(TOPIC)
    await two.subscribe(TOPIC)

    await publisher.publish(TOPIC, 1, eligible=[one.session, two.session], exclude_authid=["one"])

    await two.expect(Event)
    await one.expect_nothing()


async def test_all_lists_must_allow_a_subscriber(realm: RealmUnderTest) -> None:
    publisher = await realm.join()
    joe = await realm.join(authid="joe", authrole="guest")
    other_joe = await realm.join(authid="joe", authrole="staff")
    await joe.subscribe(TOPIC)
    await other_joe.subscribe(TOPIC)

    await publisher.publish(TOPIC, 1, eligible_authid=["joe"], eligible_authrole=["staff"])

    await other_joe.expect(Event)
    await joe.expect_nothing()


async def test_a_publisher_that_is_eligible_is_excluded_all_the_same(realm: RealmUnderTest) -> None:
    peer = await realm.join()
    await peer.subscribe(TOPIC)

    await peer.publish(TOPIC, 1, eligible=[peer.session])

    await peer.expect_nothing()


@pytest.mark.parametrize(
    ("options", "is_received"),
    [
        ({"eligible_authid": ["joe"]}, True),
        ({"eligible_authid": ["ann"]}, False),
        ({"exclude_authid": ["joe"]}, False),
        ({"exclude_authrole": ["staff"]}, True),
    ],
    ids=str,
)
async def test_listings_hold_for_the_publisher_too_where_exclude_me_is_false(
    realm: RealmUnderTest, options: dict[str, Any], is_received: bool
) -> None:
    """advanced/pubsub_subscriber_blackwhite_listing.md, advanced/pubsub_publisher_exclusion.md: all must hold."""
    peer = await realm.join(authid="joe")
    await peer.subscribe(TOPIC)

    await peer.send_array(16, peer.next_request(), {"exclude_me": False, **options}, TOPIC)

    if is_received:
        await peer.expect(Event)
    await peer.expect_nothing()


async def test_listings_hold_for_pattern_based_subscriptions(realm: RealmUnderTest) -> None:
    publisher, one, two = await realm.join(), await realm.join(), await realm.join()
    await one.subscribe("com.example", match=Match.PREFIX)
    await two.subscribe("com..topic", match=Match.WILDCARD)

    await publisher.publish(TOPIC, 1, exclude=[one.session])

    await two.expect(Event)
    await one.expect_nothing()


# --- publisher identification ----------------------------------------------------------------------


async def test_the_publisher_is_not_disclosed_unless_it_asks_for_it(realm: RealmUnderTest) -> None:
    subscriber, publisher = await realm.join(), await realm.join(authid="joe")
    await subscriber.subscribe(TOPIC)

    await publisher.publish(TOPIC, 1)

    assert (await subscriber.expect(Event)).details == EventDetails()


async def test_the_publisher_is_disclosed_where_it_asks_for_it(realm: RealmUnderTest) -> None:
    subscriber, publisher = await realm.join(), await realm.join(authid="joe", authrole="staff")
    await subscriber.subscribe(TOPIC)

    await publisher.publish(TOPIC, 1, disclose_me=True)

    assert (await subscriber.expect(Event)).details == EventDetails(
        publisher=publisher.session, publisher_authid="joe", publisher_authrole="staff"
    )


# --- pattern-based subscriptions -------------------------------------------------------------------

PREFIX_CASES = [
    ("com.myapp.topic.emergency", "com.myapp.topic.emergency.11", True),
    ("com.myapp.topic.emergency", "com.myapp.topic.emergency-low", True),
    ("com.myapp.topic.emergency", "com.myapp.topic.emergency.category.severe", True),
    ("com.myapp.topic.emergency", "com.myapp.topic.emergency", True),
    ("com.myapp.topic.emergency", "com.myapp.topic.emerge", False),
    ("com.myapp.topic.emergency", "com.myapp2.topic.emergency", False),
    ("com.myapp.", "com.myapp.topic", True),
    ("com.myapp.", "com.myapp", False),
    ("", "com.anything", True),
]


@pytest.mark.parametrize(("prefix", "topic", "matches"), PREFIX_CASES)
async def test_a_prefix_matches_every_topic_that_begins_with_it(
    realm: RealmUnderTest, prefix: str, topic: str, matches: bool
) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    await subscriber.subscribe(prefix, match=Match.PREFIX)

    await publisher.publish(topic, 1)

    if matches:
        assert (await subscriber.expect(Event)).details.topic == topic
    await subscriber.expect_nothing()


WILDCARD_CASES = [
    ("com.myapp..userevent", "com.myapp.foo.userevent", True),
    ("com.myapp..userevent", "com.myapp.a12.userevent", True),
    ("com.myapp..userevent", "com.myapp.foo.userevent.bar", False),
    ("com.myapp..userevent", "com.myapp.foo.user", False),
    ("com.myapp..userevent", "com.myapp2.foo.userevent", False),
    ("com.myapp..userevent", "com.myapp.userevent", False),
    (".myapp.", "org.myapp.thing", True),
    ("..", "a.b.c", True),
    ("..", "a.b", False),
]


@pytest.mark.parametrize(("pattern", "topic", "matches"), WILDCARD_CASES)
async def test_a_wildcard_stands_for_exactly_one_component(
    realm: RealmUnderTest, pattern: str, topic: str, matches: bool
) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    await subscriber.subscribe(pattern, match=Match.WILDCARD)

    await publisher.publish(topic, 1)

    if matches:
        assert (await subscriber.expect(Event)).details.topic == topic
    await subscriber.expect_nothing()


async def test_one_event_comes_per_matching_subscription_with_the_same_publication_id(realm: RealmUnderTest) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    exact = await subscriber.subscribe("com.example.topic")
    prefix = await subscriber.subscribe("com.example", match=Match.PREFIX)
    longer = await subscriber.subscribe("com.example.t", match=Match.PREFIX)
    wildcard = await subscriber.subscribe("com..topic", match=Match.WILDCARD)

    publication = await publisher.publish("com.example.topic", 1)

    events = [await subscriber.expect(Event) for _ in range(4)]
    topic = EventDetails(topic="com.example.topic")
    assert {event.subscription: event.details for event in events} == {
        exact: EventDetails(),
        prefix: topic,
        longer: topic,
        wildcard: topic,
    }
    assert {event.publication for event in events} == {publication}
    await subscriber.expect_nothing()


async def test_an_event_that_very_many_patterns_match_comes_once_for_each_before_what_is_published_then(
    realm: RealmUnderTest,
) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    topic = "com.example.a.b.c.d"
    subscriptions = []
    for number in range(40):
        pattern = [
            "" if number >> bit & 1 else component for bit, component in enumerate(("example", "a", "b", "c", "d"))
        ]
        if number < 32:
            subscriptions.append(await subscriber.subscribe(".".join(["com", *pattern]), match=Match.WILDCARD))
        else:
            subscriptions.append(await subscriber.subscribe(topic[: number - 31], match=Match.PREFIX))

    first = await publisher.publish(topic, 1)
    second = await publisher.publish("com.example.a.b.c.e", 2)

    events = [await subscriber.expect(Event) for _ in range(40 + 8 + 16)]
    assert [event.publication for event in events] == [first] * 40 + [second] * 24
    assert sorted(event.subscription for event in events[:40]) == sorted(subscriptions)
    await subscriber.expect_nothing()


async def test_ending_a_pattern_based_subscription_leaves_the_exact_one(realm: RealmUnderTest) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    exact = await subscriber.subscribe("com.example.topic")
    prefix = await subscriber.subscribe("com.example.topic", match=Match.PREFIX)

    await subscriber.unsubscribe(prefix)
    await publisher.publish("com.example.topic", 1)

    assert (await subscriber.expect(Event)).subscription == exact
    await subscriber.expect_nothing()


# --- ordering --------------------------------------------------------------------------------------


async def test_events_of_a_publisher_keep_their_order_across_topics(realm: RealmUnderTest) -> None:
    subscriber, publisher = await realm.join(), await realm.join()
    topics = ["com.example.one", "com.example.two", "org.example.three"]
    await subscriber.subscribe(topics[0])
    await subscriber.subscribe(topics[1])
    await subscriber.subscribe("org", match=Match.PREFIX)

    for number in range(150):
        await publisher.send(Publish(publisher.next_request(), PublishOptions(), topics[number % 3], [number]))

    assert [(await subscriber.expect(Event)).args for _ in range(150)] == [[number] for number in range(150)]


async def test_subscribed_comes_before_the_first_event(realm: RealmUnderTest) -> None:
    subscriber, publisher = await realm.join(), await realm.join()

    for number in range(20):
        await publisher.send(Publish(publisher.next_request(), PublishOptions(), TOPIC, [number]))
        if number == 10:
            await subscriber.send_array(32, subscriber.next_request(), {}, TOPIC)
    await subscriber.expect(Subscribed)
    await publisher.publish(TOPIC, "last")

    while (await subscriber.expect(Event)).args != ["last"]:
        pass
