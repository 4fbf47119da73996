"""Publish and subscribe, each with publisher and subscribers in the same kind of client.

That somebody does not get an event is shown by the next one, which they do get: a publisher's events keep their order.
"""

from __future__ import annotations

from typing import Any

import pytest

from .clients import AUTOBAHN_JS, Client
from .conftest import Join
from .router import DISCLOSING


def test_an_event_arrives(client: Client, join: Join) -> None:
    publisher, subscriber = join(client), join(client)
    subscription = subscriber.subscribe("com.example.news")

    publisher.publish("com.example.news", ["rain", 12.5], {"city": "Lyon"})

    event = subscription.next()
    assert event.args == ["rain", 12.5]
    assert event.kwargs == {"city": "Lyon"}


def test_an_event_needs_no_arguments(client: Client, join: Join) -> None:
    publisher, subscriber = join(client), join(client)
    subscription = subscriber.subscribe("com.example.tick")

    publisher.publish("com.example.tick")

    event = subscription.next()
    assert event.args == []
    assert event.kwargs == {}


def test_an_acknowledged_publication_has_the_id_of_its_event(client: Client, join: Join) -> None:
    publisher, subscriber = join(client), join(client)
    subscription = subscriber.subscribe("com.example.acknowledged")

    publication = publisher.publish("com.example.acknowledged", acknowledge=True)

    assert publication is not None
    assert 1 <= publication <= 2**53
    event = subscription.next()
    if client.tells_the_publication:
        assert event.details["publication"] == publication


def test_events_keep_their_order(client: Client, join: Join) -> None:
    publisher, subscriber = join(client), join(client)
    one, other = subscriber.subscribe("com.example.order.one"), subscriber.subscribe("com.example.order.other")

    for number in range(100):
        publisher.publish("com.example.order.one" if number % 2 else "com.example.order.other", [number])

    assert [one.next().args[0] for _ in range(50)] == list(range(1, 100, 2))
    assert [other.next().args[0] for _ in range(50)] == list(range(0, 100, 2))


def test_a_publisher_does_not_get_its_own_event(client: Client, join: Join) -> None:
    publisher, other = join(client), join(client)
    own = publisher.subscribe("com.example.own")

    publisher.publish("com.example.own", ["mine"])
    publisher.publish("com.example.own", ["mine"], exclude_me=True, acknowledge=True)
    other.publish("com.example.own", ["yours"])

    assert own.next().args == ["yours"]


def test_a_publisher_gets_its_own_event_if_it_wants(client: Client, join: Join) -> None:
    publisher, other = join(client), join(client)
    own = publisher.subscribe("com.example.wanted")

    publisher.publish("com.example.wanted", ["mine"], exclude_me=False, acknowledge=True)
    other.publish("com.example.wanted", ["yours"])

    expected = ["mine"] if client.receives_its_own_events else ["yours"]
    assert own.next().args == expected


def test_an_unsubscribed_client_gets_no_more_events(client: Client, join: Join) -> None:
    publisher, subscriber = join(client), join(client)
    subscription = subscriber.subscribe("com.example.enough")
    publisher.publish("com.example.enough", [1], acknowledge=True)
    assert subscription.next().args == [1]

    subscription.unsubscribe()
    publisher.publish("com.example.enough", [2], acknowledge=True)

    again = subscriber.subscribe("com.example.enough")
    publisher.publish("com.example.enough", [3])
    assert again.next().args == [3]
    assert subscription.has_nothing()


# --- who gets an event ------------------------------------------------------------------------------


@pytest.mark.parametrize("list_", ["exclude", "eligible"])
@pytest.mark.parametrize("of", ["id", "authid"])
def test_a_publisher_chooses_who_gets_an_event(client: Client, join: Join, list_: str, of: str) -> None:
    publisher, chosen, other = join(client), join(client), join(client)
    of_chosen, of_other = chosen.subscribe("com.example.chosen"), other.subscribe("com.example.chosen")
    option: dict[str, Any] = {list_ if of == "id" else f"{list_}_{of}": [getattr(chosen, of)]}

    publisher.publish("com.example.chosen", ["first"], **option)
    publisher.publish("com.example.chosen", ["second"])

    with_first, without = (of_other, of_chosen) if list_ == "exclude" else (of_chosen, of_other)
    assert with_first.next().args == ["first"]
    assert with_first.next().args == ["second"]
    assert without.next().args == ["second"]


@pytest.mark.parametrize(
    ("option", "arrives"),
    [
        ({"exclude_authrole": ["anonymous"]}, False),
        ({"exclude_authrole": ["somebody"]}, True),
        ({"eligible_authrole": ["anonymous"]}, True),
        ({"eligible_authrole": ["somebody"]}, False),
    ],
    ids=str,
)
def test_a_publisher_chooses_by_role(client: Client, join: Join, option: dict[str, Any], arrives: bool) -> None:
    publisher, subscriber = join(client), join(client)
    subscription = subscriber.subscribe("com.example.role")

    publisher.publish("com.example.role", ["first"], **option)
    publisher.publish("com.example.role", ["second"])

    assert subscription.next().args == ["first" if arrives else "second"]


# --- patterns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("match", "pattern"), [("prefix", "com.example.city"), ("wildcard", "com.example..rain")])
def test_a_pattern_gets_events_and_tells_which(client: Client, join: Join, match: str, pattern: str) -> None:
    publisher, subscriber = join(client), join(client)
    subscription = subscriber.subscribe(pattern, match=match)

    publisher.publish("com.elsewhere.city.rain", [0])
    publisher.publish("com.example.city.rain", [1])

    event = subscription.next()
    assert event.args == [1]
    assert event.details["topic"] == "com.example.city.rain"


def test_every_subscription_that_matches_gets_the_event(client: Client, join: Join) -> None:
    publisher, subscriber = join(client), join(client)
    subscriptions = [
        subscriber.subscribe("com.overlap.one.two"),
        subscriber.subscribe("com.overlap", match="prefix"),
        subscriber.subscribe("com.overlap..two", match="wildcard"),
    ]

    publisher.publish("com.overlap.one.two", ["thrice"])

    events = [subscription.next() for subscription in subscriptions]
    assert [event.args for event in events] == [["thrice"]] * 3
    assert len({subscription.id for subscription in subscriptions}) == 3
    if client.tells_the_publication:
        assert len({event.details["publication"] for event in events}) == 1


# --- who publishes ----------------------------------------------------------------------------------


def publisher_of(details: dict[str, Any]) -> tuple[Any, ...]:
    return details["publisher"], details["publisher_authid"], details["publisher_authrole"]


def test_a_subscriber_is_not_told_who_publishes(client: Client, join: Join) -> None:
    publisher, subscriber = join(client), join(client)
    subscription = subscriber.subscribe("com.example.unsigned")

    publisher.publish("com.example.unsigned")

    assert publisher_of(subscription.next().details) == (None, None, None)


def test_a_subscriber_is_told_who_publishes_where_the_configuration_says_so(client: Client, join: Join) -> None:
    publisher, subscriber = join(client, DISCLOSING), join(client, DISCLOSING)
    subscription = subscriber.subscribe("com.example.signed")

    publisher.publish("com.example.signed")

    assert publisher_of(subscription.next().details) == (publisher.id, publisher.authid, "anonymous")


def test_a_publisher_discloses_itself(client: Client, join: Join) -> None:
    publisher = join(client if client.discloses_itself else Client(AUTOBAHN_JS, "json"))
    subscription = join(client).subscribe("com.example.disclose_me")

    publisher.publish("com.example.disclose_me", disclose_me=True)

    assert publisher_of(subscription.next().details) == (publisher.id, publisher.authid, "anonymous")


# --- payloads ---------------------------------------------------------------------------------------


def test_a_large_event_arrives(client: Client, join: Join) -> None:
    publisher, subscriber = join(client), join(client)
    subscription = subscriber.subscribe("com.example.big")
    big = "x" * client.large

    publisher.publish("com.example.big", [big])

    assert subscription.next().args == [big]


def test_binary_arrives(client: Client, join: Join) -> None:
    publisher, subscriber = join(client), join(client)
    subscription = subscriber.subscribe("com.example.binary")
    binary = bytes(range(256))

    publisher.publish("com.example.binary", [binary], {"key": [binary, b""]})

    event = subscription.next()
    assert event.args == client.delivered([binary])
    assert event.kwargs == client.delivered({"key": [binary, b""]})
