"""Event history (advanced/pubsub_event_history.md), in memory and in a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.peer import Peer
from tests.conformance.router import RealmUnderTest, Router

from rocade.router.history import HistoryRule
from rocade.router.permissions import Permission, Role
from rocade.serve.history_store import HistoryStore
from rocade.wamp.messages import Call, CallOptions, Error, Event, Match, Result

TOPIC = "com.example.log.auth"
RULES = (HistoryRule(TOPIC, Match.EXACT, 5), HistoryRule("com.example.", Match.PREFIX, 100))

OpenRealm = Callable[..., RealmUnderTest]


@pytest.fixture(params=["memory", "sqlite"])
def open_history(
    request: pytest.FixtureRequest, open_realm: OpenRealm, router: Router, tmp_path: Path
) -> Iterator[OpenRealm]:
    """Opens a realm that keeps events, one way or the other."""
    stores: list[HistoryStore] = []

    def open_history(roles: list[Role] | None = None) -> RealmUnderTest:
        if request.param == "memory":
            return open_realm(roles, history=RULES)
        realm = open_realm(roles, history=RULES, has_event_store=True)
        store = HistoryStore(str(tmp_path / "history.db"), realm.name, RULES)
        router.gateway.event_stores[realm.name] = store
        store.start()
        stores.append(store)
        return realm

    yield open_history
    for store in stores:
        store.close(10.0)


@pytest.fixture
def recording(open_history: OpenRealm) -> RealmUnderTest:
    """A realm that keeps events, in which everybody may do everything."""
    return open_history()


async def lookup(peer: Peer, uri: str = TOPIC, match: Match = Match.EXACT) -> int:
    """The subscription of a history, without subscribing."""
    await peer.call("wamp.subscription.lookup", uri, {"match": match.value})
    (subscription,) = (await peer.expect(Result)).args
    assert isinstance(subscription, int)
    return subscription


async def ask(peer: Peer, subscription: int, *args: Any, **kwargs: Any) -> None:
    call = Call(peer.next_request(), CallOptions(), "wamp.subscription.get_events", [subscription, *args], kwargs)
    await peer.send(call)


async def get_events(peer: Peer, subscription: int, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """The events of a history."""
    await ask(peer, subscription, *args, **kwargs)
    result = await peer.expect(Result)
    assert result.request == peer.last_request
    return list(result.args or [])


async def publications(peer: Peer, subscription: int, *args: Any, **kwargs: Any) -> list[int]:
    return [event["publication"] for event in await get_events(peer, subscription, *args, **kwargs)]


async def test_the_router_announces_the_feature(recording: RealmUnderTest) -> None:
    peer = await recording.join()

    assert peer.welcome is not None
    broker = peer.welcome.details.roles.broker
    assert broker is not None
    assert broker.features is not None
    assert broker.features["event_history"] is True


async def test_the_answer_has_the_form_of_the_specification(recording: RealmUnderTest) -> None:
    publisher, reader = await recording.join(authid="joe", authrole="guest"), await recording.join()
    subscription = await lookup(reader, "com.example.", Match.PREFIX)
    first = await publisher.publish(TOPIC, "ü", 2.5, [None], disclose_me=True)
    await publisher.send_array(16, publisher.next_request(), {}, TOPIC, [], {"a": {"b": 1}})
    await publisher.send_array(16, publisher.next_request(), {}, TOPIC)
    await publisher.expect_nothing()

    await reader.send_array(48, reader.next_request(), {}, "wamp.subscription.get_events", [subscription])

    code, _request, _details, events, kwargs = await reader.receive_array()
    assert code == 50
    assert kwargs == {"is_limit_reached": False, "has_more": False}
    for event in events:
        timestamp = event.pop("timestamp")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", timestamp)
        assert event.pop("subscription") == subscription
    assert events[0].pop("publication") == first
    assert events[0] == {
        "details": {
            "topic": TOPIC,
            "publisher": publisher.session,
            "publisher_authid": "joe",
            "publisher_authrole": "guest",
        },
        "args": ["ü", 2.5, [None]],
    }
    assert [event.get("kwargs") for event in events[1:]] == [{"a": {"b": 1}}, None]
    assert events[2].keys() == {"publication", "details"}


async def test_without_events_the_answer_is_empty(recording: RealmUnderTest) -> None:
    reader = await recording.join()

    assert await get_events(reader, await lookup(reader)) == []


async def test_each_matching_history_has_the_event_once_whoever_is_subscribed(recording: RealmUnderTest) -> None:
    publisher, one, two = await recording.join(), await recording.join(), await recording.join()
    exact = await one.subscribe(TOPIC)
    await two.subscribe(TOPIC)
    await publisher.subscribe(TOPIC)
    prefix = await lookup(publisher, "com.example.", Match.PREFIX)

    published = [await publisher.publish(topic, topic) for topic in (TOPIC, "com.example.other", TOPIC)]

    reader = await recording.join()
    assert await publications(reader, exact) == [published[0], published[2]]
    assert await publications(reader, prefix) == published
    assert [(await one.expect(Event)).publication for _ in range(2)] == [published[0], published[2]]


async def test_conditions_and_limits_combine(recording: RealmUnderTest) -> None:
    publisher = await recording.join()
    prefix = await lookup(publisher, "com.example.", Match.PREFIX)
    published = [await publisher.publish(f"com.example.{number % 2}", number) for number in range(6)]

    assert await publications(publisher, prefix, 2) == published[:2]
    assert await publications(publisher, prefix, limit=2, reverse=True) == published[:-3:-1]
    assert await publications(publisher, prefix, topic="com.example.1") == published[1::2]
    assert await publications(publisher, prefix, after_publication=published[3]) == published[4:]
    assert await publications(publisher, prefix, from_publication=published[3], limit=1) == published[3:4]
    bounds = {"from_publication": published[1], "before_publication": published[4], "topic": "com.example.1"}
    assert await publications(publisher, prefix, **bounds) == [published[1], published[3]]
    (latest,) = await get_events(publisher, prefix, limit=1, reverse=True)
    assert (await publications(publisher, prefix, until_time=latest["timestamp"]))[-1] == published[-1]
    assert await publications(publisher, prefix, after_time=latest["timestamp"]) == []


async def test_the_oldest_events_go_first(recording: RealmUnderTest) -> None:
    publisher = await recording.join()

    published = [await publisher.publish(TOPIC) for _ in range(7)]

    assert await publications(publisher, await lookup(publisher)) == published[2:]


async def test_readers_see_what_is_for_them(recording: RealmUnderTest) -> None:
    publisher = await recording.join(authid="publisher", authrole="staff")
    joe, ann = (
        await recording.join(authid="joe", authrole="guest"),
        await recording.join(authid="ann", authrole="staff"),
    )
    subscription = await lookup(publisher)
    for_all = await publisher.publish(TOPIC)
    for_joe = await publisher.publish(TOPIC, eligible_authid=["joe"])
    for_staff = await publisher.publish(TOPIC, eligible_authrole=["staff"])
    not_for_ann = await publisher.publish(TOPIC, exclude_authid=["ann"])
    await publisher.publish(TOPIC, eligible_authid=[])
    await publisher.publish(TOPIC, eligible=[joe.session])
    await publisher.publish(TOPIC, exclude=[ann.session])

    assert await publications(joe, subscription) == [for_all, for_joe, not_for_ann]
    assert await publications(ann, subscription) == [for_all, for_staff]
    assert await publications(publisher, subscription) == [for_all, for_staff, not_for_ann]


async def test_who_was_not_disclosed_at_publication_is_not_told_by_the_history(recording: RealmUnderTest) -> None:
    """advanced/pubsub_publisher_identification.md: the publisher asks for it, in each publication."""
    publisher, reader = await recording.join(authid="joe"), await recording.join()
    subscription = await lookup(publisher)
    await publisher.publish(TOPIC, 1)
    await publisher.publish(TOPIC, 2, disclose_me=True)

    hidden, shown = await get_events(reader, subscription)

    assert not any("publisher" in key for key in hidden["details"])
    assert (shown["details"]["publisher"], shown["details"]["publisher_authid"]) == (publisher.session, "joe")


async def test_a_reader_may_use_another_serializer(recording: RealmUnderTest) -> None:
    publisher = await recording.join()
    subscription = await lookup(publisher)
    await publisher.publish(TOPIC, b"\x00\xff", "ü")

    for serializer in ("json", "msgpack", "cbor"):
        reader = await recording.join(transport="memory", serializer=serializer)
        (event,) = await get_events(reader, subscription)
        assert event["args"] == [b"\x00\xff", "ü"]


async def test_who_may_not_subscribe_may_not_read(open_history: OpenRealm) -> None:
    calls = Permission(uri="", match=Match.PREFIX, call=True, publish=True)
    stranger = Role("anonymous", [calls])
    member = Role("member", [calls, Permission(uri=TOPIC, call=True, publish=True, subscribe=True)])
    realm = open_history([stranger, member])
    peers = [await realm.join(authrole=role) for role in ("anonymous", "member")]
    exact = await lookup(peers[0])
    prefix = await lookup(peers[0], "com.example.", Match.PREFIX)
    published = await peers[0].publish(TOPIC)

    assert await publications(peers[1], exact) == [published]
    for peer, subscription in ((peers[0], exact), (peers[0], prefix), (peers[1], prefix)):
        await ask(peer, subscription)
        await peer.expect_error(48, "wamp.error.not_authorized")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"limit": 0}, "limit"),
        ({"from_time": "yesterday"}, "from_time"),
        ({"after_publication": 4711}, "after_publication"),
        ({"since": 1}, "since"),
    ],
    ids=str,
)
async def test_a_wrong_argument_is_named(recording: RealmUnderTest, arguments: dict[str, Any], name: str) -> None:
    reader = await recording.join()
    subscription = await lookup(reader)

    await ask(reader, subscription, **arguments)

    error = await reader.expect_error(48, "wamp.error.invalid_argument")
    assert name in error.args[0]


async def test_subscriptions_without_history_are_told_apart(recording: RealmUnderTest) -> None:
    reader = await recording.join()
    ordinary = await reader.subscribe("org.other")

    await ask(reader, ordinary)
    await reader.expect_error(48, "wamp.error.history_unavailable")
    await ask(reader, 4711)
    await reader.expect_error(48, "wamp.error.no_such_subscription")


async def test_an_answer_too_large_for_the_reader_is_an_error(recording: RealmUnderTest) -> None:
    publisher, reader = await recording.join(), await recording.join(transport="rawsocket", max_message_bytes=1024)
    subscription = await lookup(publisher)
    for _ in range(2):
        await publisher.publish(TOPIC, "x" * 600)

    await ask(reader, subscription)

    answer = await reader.expect(Error)
    assert answer.error == "wamp.error.payload_size_exceeded"
    assert len(await get_events(reader, subscription, 1)) == 1
