"""Event retention (advanced/pubsub_event_retention.md)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import Event, EventDetails, Match, Published, Subscribe, Subscribed, SubscribeOptions

TOPIC = "com.example.temperature"


async def test_the_router_announces_the_feature(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    assert peer.welcome is not None
    broker = peer.welcome.details.roles.broker
    assert broker is not None
    assert broker.features is not None
    assert broker.features["event_retention"] is True


@pytest.mark.parametrize(
    "payload", [[], [["21"]], [[], {"celsius": 21}], [[None, [1, 2.5]], {"a": {"b": "ü€"}}]], ids=str
)
async def test_a_new_subscriber_gets_the_retained_event(realm: RealmUnderTest, payload: list[Any]) -> None:
    publisher, subscriber = await realm.join(), await realm.join()
    await publisher.send_array(16, 1, {"retain": True, "acknowledge": True}, TOPIC, *payload)
    publication = (await publisher.expect(Published)).publication

    await subscriber.send_array(32, subscriber.next_request(), {"get_retained": True}, TOPIC)

    subscribed = await subscriber.receive_array()
    assert subscribed[:2] == [33, 1]
    assert await subscriber.receive_array() == [36, subscribed[2], publication, {"retained": True}, *payload]
    await subscriber.expect_nothing()


@pytest.mark.parametrize("options", [{}, {"get_retained": False}], ids=str)
async def test_without_get_retained_nothing_comes(realm: RealmUnderTest, options: dict[str, Any]) -> None:
    publisher, subscriber = await realm.join(), await realm.join()
    await publisher.publish(TOPIC, 1, retain=True)

    await subscriber.subscribe(TOPIC, **options)

    await subscriber.expect_nothing()


async def test_without_retain_nothing_is_kept(realm: RealmUnderTest) -> None:
    publisher, subscriber = await realm.join(), await realm.join()
    await publisher.publish(TOPIC, 1)

    await subscriber.subscribe(TOPIC, get_retained=True)

    await subscriber.expect_nothing()


async def test_an_event_of_an_unacknowledged_publication_is_kept(realm: RealmUnderTest) -> None:
    publisher, subscriber = await realm.join(), await realm.join()
    await publisher.send_array(16, publisher.next_request(), {"retain": True}, TOPIC, [1])
    await publisher.expect_nothing()

    await subscriber.subscribe(TOPIC, get_retained=True)

    assert (await subscriber.expect(Event)).args == [1]


async def test_live_events_follow_the_retained_one(realm: RealmUnderTest) -> None:
    publisher, subscriber = await realm.join(), await realm.join()
    await publisher.publish(TOPIC, "kept", retain=True)

    await subscriber.subscribe(TOPIC, get_retained=True)
    await publisher.publish(TOPIC, "live", retain=True)

    received = [await subscriber.expect(Event), await subscriber.expect(Event)]
    assert [(event.args, event.details.retained) for event in received] == [(["kept"], True), (["live"], None)]


@pytest.mark.parametrize(("pattern", "match"), [("com.example.", Match.PREFIX), ("com..temperature", Match.WILDCARD)])
async def test_a_pattern_gets_the_event_of_each_topic(realm: RealmUnderTest, pattern: str, match: Match) -> None:
    publisher, subscriber = await realm.join(), await realm.join()
    topics = ["com.example.temperature", "com.example.pressure", "com.other.temperature", "org.other.pressure"]
    for topic in topics:
        await publisher.publish(topic, topic, retain=True)

    await subscriber.send(Subscribe(subscriber.next_request(), SubscribeOptions(match, True), pattern))

    await subscriber.expect(Subscribed)
    expected = topics[:2] if match is Match.PREFIX else [topics[0], topics[2]]
    for topic in expected:
        event = await subscriber.expect(Event)
        assert (event.details, event.args) == (EventDetails(retained=True, topic=topic), [topic])
    await subscriber.expect_nothing()


@pytest.mark.parametrize(
    ("options", "is_received"),
    [
        ({"eligible_authid": ["joe"]}, True),
        ({"eligible_authid": ["ann"]}, False),
        ({"eligible_authrole": ["guest"]}, True),
        ({"exclude_authrole": ["guest"]}, False),
        ({"exclude_authid": ["joe"]}, False),
        ({"eligible_authid": []}, False),
        ({"exclude_authid": []}, True),
    ],
    ids=str,
)
async def test_a_subscriber_does_not_get_what_was_not_for_it(
    realm: RealmUnderTest, options: dict[str, Any], is_received: bool
) -> None:
    publisher, joe = await realm.join(), await realm.join(authid="joe", authrole="guest")
    await publisher.publish(TOPIC, "for all", retain=True)
    await publisher.publish(TOPIC, "for some", retain=True, **options)

    await joe.subscribe(TOPIC, get_retained=True)

    assert (await joe.expect(Event)).args == ["for some" if is_received else "for all"]
    await joe.expect_nothing()


async def test_sessions_may_be_listed(realm: RealmUnderTest) -> None:
    publisher, one, two = await realm.join(), await realm.join(), await realm.join()
    await publisher.publish(TOPIC, 1, retain=True, eligible=[one.session, two.session], exclude=[two.session])

    for peer in (one, two):
        await peer.subscribe(TOPIC, get_retained=True)

    assert (await one.expect(Event)).args == [1]
    await two.expect_nothing()


async def test_a_publisher_does_not_get_its_own_event(realm: RealmUnderTest) -> None:
    publisher = await realm.join()
    await publisher.publish(TOPIC, 1, retain=True)

    await publisher.subscribe(TOPIC, get_retained=True)

    await publisher.expect_nothing()


async def test_disclosure_is_that_of_the_publication(realm: RealmUnderTest) -> None:
    publisher, subscriber = await realm.join(authid="joe", authrole="guest"), await realm.join()
    await publisher.publish(TOPIC, 1, retain=True, disclose_me=True)
    await publisher.leave()

    await subscriber.subscribe(TOPIC, get_retained=True)

    assert (await subscriber.expect(Event)).details == EventDetails(
        retained=True, publisher=publisher.session, publisher_authid="joe", publisher_authrole="guest"
    )


async def test_who_was_not_disclosed_at_publication_is_not_told_with_the_retained_event(realm: RealmUnderTest) -> None:
    """advanced/pubsub_publisher_identification.md: the publisher asks for it, in each publication."""
    publisher, subscriber = await realm.join(authid="joe"), await realm.join()
    await publisher.publish(TOPIC, 1, retain=True)

    await subscriber.subscribe(TOPIC, get_retained=True)

    assert (await subscriber.expect(Event)).details == EventDetails(retained=True)


async def test_an_event_reaches_subscribers_with_another_serializer(realm: RealmUnderTest) -> None:
    publisher = await realm.join()
    await publisher.publish(TOPIC, b"\x00\xff", "ü", retain=True)

    for serializer in ("json", "msgpack", "cbor"):
        subscriber = await realm.join(transport="memory", serializer=serializer)
        await subscriber.subscribe(TOPIC, get_retained=True)
        assert (await subscriber.expect(Event)).args == [b"\x00\xff", "ü"]
