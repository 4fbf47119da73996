"""Event history in memory: what is recorded, and what `wamp.subscription.get_events` answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Raw
from tests.router.history_cases import *  # noqa: F403  the tests of every kind of store
from tests.router.history_cases import NOON, RULE, Keeper, record
from tests.router.meta_scene import ask, listener, refusal
from tests.router.scene import Scene, next_request, receivers, sent, sent_one

from rocade.errors import ApplicationError
from rocade.router.effects import Deliver, Effect, QueryHistory, StoreEvent
from rocade.router.history import EventHistory, HistoryRule, Page, Query, Record, Ring
from rocade.router.permissions import Permission, Role
from rocade.router.session import Session
from rocade.wamp.codec import CBOR, JSON, MSGPACK, Serializer
from rocade.wamp.messages import (
    NO_PAYLOAD,
    Call,
    CallOptions,
    Error,
    Event,
    Match,
    Published,
    Result,
)

TOPIC = "com.example.topic"
GET_EVENTS = "wamp.subscription.get_events"
READER = Role("user", [Permission(uri="com.example.", match=Match.PREFIX, subscribe=True)])


# --- the store, by the cases that SQLite has too ---------------------------------------------------


class InMemory:
    """Keeps events as a realm does."""

    def __init__(self, *rules: HistoryRule) -> None:
        self._rings = {rule: Ring(rule.limit) for rule in rules}

    def add(self, rule: HistoryRule, record: Record) -> None:
        self._rings[rule].add(record)

    def find(self, query: Query) -> Page:
        return self._rings[query.rule].find(query)


@pytest.fixture
def make_keeper() -> Callable[..., Keeper]:
    return InMemory


@pytest.fixture
def keeper() -> Keeper:
    return InMemory(RULE)


def test_memory_is_bounded_in_bytes_too() -> None:
    ring = Ring(1000, max_bytes=10_000)

    for _ in range(50):
        ring.add(record(args=["x" * 2000]))

    answer = ring.find(Query(rule=RULE, subscription=1, authid="joe", authrole="user"))
    assert len(answer.records) == 4
    assert answer.is_limit_reached
    assert (len(ring._records), len(ring._positions)) == (4, 4)
    assert 0 < ring._bytes <= 10_000


def test_the_latest_event_is_kept_however_large() -> None:
    ring = Ring(1000, max_bytes=10_000)

    ring.add(record())
    ring.add(record(args=["x" * 20_000]))

    assert len(ring._records) == 1


# --- a realm with history --------------------------------------------------------------------------


def recording(*rules: HistoryRule, in_memory: bool = True) -> Scene:
    """A realm with these rules."""
    scene = Scene()
    for rule in rules:
        scene.realm.broker.keep_history(rule, in_memory=in_memory)
    return scene


def reader(scene: Scene, authid: str = "reader", **options: Any) -> Session:
    return scene.join(authid, role=options.pop("role", READER), **options)


def publish(scene: Scene, publisher: Session, topic: str = TOPIC, *args: Any, **options: Any) -> int:
    """Publish; returns the publication id."""
    payload = publisher.serializer.dump(list(args)) if args else NO_PAYLOAD
    effects = scene.publish(publisher, topic, args=payload, acknowledge=True, **options)
    published = sent(effects, publisher)[-1]
    assert type(published) is Published
    return published.publication


def subscription_of(scene: Scene, uri: str = TOPIC, match: Match = Match.EXACT) -> int:
    subscription = scene.realm.broker.lookup(uri, match)
    assert subscription is not None
    return subscription.id


def loaded(result: Result, serializer: Serializer) -> list[dict[str, Any]]:
    events = serializer.load(result.args) if isinstance(result.args, Raw) else result.args
    assert isinstance(events, list)
    return events


def get_events(scene: Scene, session: Session, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """Events of a history, the only one by default."""
    result = sent_one(ask(scene, session, GET_EVENTS, *(args or (subscription_of(scene),)), **kwargs), session)
    assert type(result) is Result, result
    return loaded(result, session.serializer)


def recorded(scene: Scene, uri: str = TOPIC, match: Match = Match.EXACT) -> list[int]:
    """Publication ids in a history, as somebody sees them who may see everything."""
    everything = Role("anybody", [Permission(uri="", match=Match.PREFIX, subscribe=True)])
    session = reader(scene, "anybody", role=everything)
    return [event["publication"] for event in get_events(scene, session, subscription_of(scene, uri, match))]


def test_a_history_is_a_subscription_that_exists_from_the_start() -> None:
    scene = recording(HistoryRule(TOPIC))
    session = reader(scene)

    (id,) = sent_one(ask(scene, session, "wamp.subscription.lookup", TOPIC), session).args

    assert id == subscription_of(scene)
    assert sent_one(ask(scene, session, "wamp.subscription.count_subscribers", id), session).args == [0]
    assert scene.publish(scene.join(), TOPIC) == []


def test_subscribers_share_it_and_leave_it_behind() -> None:
    scene = recording(HistoryRule(TOPIC))
    id, subscriber, publisher = subscription_of(scene), scene.join(), scene.join()

    assert sent_one(scene.subscribe(subscriber, TOPIC), subscriber).subscription == id
    assert type(sent_one(scene.publish(publisher, TOPIC), subscriber)) is Event
    scene.unsubscribe(subscriber, id)
    scene.subscribe(subscriber, TOPIC)
    scene.leave(subscriber)

    assert subscription_of(scene) == id
    assert receivers(scene.publish(publisher, TOPIC)) == []


def test_no_meta_event_tells_of_its_beginning_or_end() -> None:
    scene = recording(HistoryRule(TOPIC))
    ear, subscriber = listener(scene, "wamp.subscription.on_create", "wamp.subscription.on_delete"), scene.join()

    effects = scene.subscribe(subscriber, TOPIC)
    effects += scene.leave(subscriber)

    assert sent(effects, ear) == []


def test_a_history_of_everything_makes_no_audience_for_meta_events() -> None:
    scene = recording(HistoryRule("", Match.PREFIX))

    session = scene.join()  # asserts that nothing is sent
    effects = scene.subscribe(session, TOPIC)

    assert receivers(effects) == [session]


def test_events_are_recorded_once_for_each_history_as_in_the_specifications_example() -> None:
    log = "com.example.log"
    scene = recording(
        HistoryRule(f"{log}.auth"),
        HistoryRule(f"{log}.basket"),
        HistoryRule(log, Match.PREFIX),
        HistoryRule("..", Match.WILDCARD),
    )
    publisher = scene.join()
    scene.subscribe(scene.join(), f"{log}.basket")

    publications = [
        publish(scene, publisher, f"{log}.{kind}") for kind in ("auth", "basket", "basket", "basket", "checkout")
    ]

    assert recorded(scene, f"{log}.auth") == publications[:1]
    assert recorded(scene, f"{log}.basket") == publications[1:4]
    assert recorded(scene, log, Match.PREFIX) == publications
    assert recorded(scene, "..", Match.WILDCARD) == []


def test_an_event_is_recorded_when_its_only_subscriber_is_excluded() -> None:
    scene = recording(HistoryRule(TOPIC))
    session = scene.join("joe")
    scene.subscribe(session, TOPIC)

    publications = [publish(scene, session), publish(scene, session, exclude_authid=["joe"])]

    assert recorded(scene) == publications


def test_an_unacknowledged_publication_is_recorded() -> None:
    scene = recording(HistoryRule(TOPIC))

    assert scene.publish(scene.join(), TOPIC) == []

    assert len(recorded(scene)) == 1


@pytest.mark.parametrize(
    ("options", "is_recorded"),
    [
        ({"exclude": [1]}, False),
        ({"eligible": [1]}, False),
        ({"eligible": []}, False),
        ({"eligible": [1], "eligible_authid": ["joe"]}, False),
        ({"exclude": []}, True),
        ({"exclude_me": False}, True),
        ({"eligible_authid": []}, False),
        ({"exclude_authid": []}, True),
        ({"retain": True}, True),
    ],
    ids=str,
)
def test_events_that_are_restricted_by_session_ids_are_not_recorded(options: dict[str, Any], is_recorded: bool) -> None:
    scene = recording(HistoryRule(TOPIC))

    publication = publish(scene, scene.join(), **options)

    assert recorded(scene) == ([publication] if is_recorded else [])


def test_refused_publications_are_not_recorded() -> None:
    scene = recording(HistoryRule("", Match.PREFIX))

    for topic in ("com..topic", "wamp.topic"):
        scene.publish(scene.join(), topic)

    assert recorded(scene, "", Match.PREFIX) == []


def test_history_may_be_kept_beside_retained_events() -> None:
    scene = recording(HistoryRule(TOPIC))
    publication = publish(scene, scene.join(), TOPIC, 21, retain=True)
    subscriber = scene.join()

    event = sent(scene.subscribe(subscriber, TOPIC, get_retained=True), subscriber)[1]

    assert (event.publication, event.details.retained) == (publication, True)
    (past,) = get_events(scene, reader(scene))
    assert (past["publication"], past["details"]) == (publication, {})


def test_a_rule_must_be_a_uri() -> None:
    with pytest.raises(ApplicationError, match="not a valid topic"):
        recording(HistoryRule("com..topic"))


# --- the answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("theirs", [JSON, MSGPACK, CBOR], ids=str)
@pytest.mark.parametrize("ours", [JSON, MSGPACK, CBOR], ids=str)
def test_an_answer_has_the_form_of_the_specification(ours: Serializer, theirs: Serializer) -> None:
    scene = recording(HistoryRule("com.example.", Match.PREFIX))
    publisher, session = scene.join("publisher", serializer=theirs), reader(scene, serializer=ours)
    subscription = subscription_of(scene, "com.example.", Match.PREFIX)
    first = publish(scene, publisher, TOPIC, "ü", b"\x00\xff", disclose_me=True)
    second = publish(scene, publisher, "com.example.other")

    result = sent_one(ask(scene, session, GET_EVENTS, subscription), session)

    assert loaded(result, ours) == [
        {
            "timestamp": "2024-02-29T12:00:00.000Z",
            "subscription": subscription,
            "publication": first,
            "details": {
                "topic": TOPIC,
                "publisher": publisher.id,
                "publisher_authid": "publisher",
                "publisher_authrole": "user",
            },
            "args": ["ü", b"\x00\xff"],
        },
        {
            "timestamp": "2024-02-29T12:00:00.000Z",
            "subscription": subscription,
            "publication": second,
            "details": {"topic": "com.example.other"},
        },
    ]
    assert result.kwargs == {"is_limit_reached": False, "has_more": False}


def test_details_of_an_exact_subscription_have_no_topic() -> None:
    scene = recording(HistoryRule(TOPIC))
    publish(scene, scene.join())

    (event,) = get_events(scene, reader(scene))

    assert event["details"] == {}


def test_a_rule_of_permissions_that_disclosed_the_publisher_still_does() -> None:
    scene = recording(HistoryRule(TOPIC))
    publisher = scene.join("publisher")
    scene.publish(publisher, TOPIC, disclose=True)
    scene.publish(publisher, TOPIC)
    scene.leave(publisher)

    disclosed, secret = get_events(scene, reader(scene))

    assert disclosed["details"]["publisher_authid"] == "publisher"
    assert secret["details"] == {}


def test_a_thousand_events_are_an_answer() -> None:
    scene = recording(HistoryRule(TOPIC, Match.EXACT, 5000))
    publisher, session = scene.join(), reader(scene)
    for _ in range(1200):
        scene.publish(publisher, TOPIC)

    result = sent_one(ask(scene, session, GET_EVENTS, subscription_of(scene)), session)

    assert len(loaded(result, JSON)) == 1000
    assert result.kwargs["has_more"] is True
    assert len(get_events(scene, session, subscription_of(scene), 2000)) == 1000


def test_an_event_without_a_form_in_the_readers_serializer_is_left_out() -> None:
    scene = recording(HistoryRule(TOPIC))
    publisher, session = scene.join(serializer=MSGPACK), reader(scene)
    scene.publish(publisher, TOPIC, args=Raw(b"\x91\x81\x91\x01\x02"))  # a map whose key is a list
    publication = publish(scene, publisher)

    assert [event["publication"] for event in get_events(scene, session)] == [publication]


def test_the_limit_may_stand_by_position_as_in_crossbar() -> None:
    scene = recording(HistoryRule(TOPIC))
    publisher, session = scene.join(), reader(scene)
    publications = [publish(scene, publisher) for _ in range(4)]

    assert [event["publication"] for event in get_events(scene, session, subscription_of(scene), 2)] == publications[:2]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"from_time": "2024-02-29T12:00:02Z"}, [2, 3]),
        ({"after_time": "2024-02-29T12:00:02.000Z"}, [3]),
        ({"after_time": "2024-02-29t12:00:01.9z"}, [2, 3]),
        ({"before_time": "2024-02-29 13:00:01.0001+01:00"}, [0, 1]),
        ({"until_time": "2024-02-29T07:30:01.000-04:30"}, [0, 1]),
        ({"until_time": "2024-02-29T12:00:00.99999999999Z"}, [0]),
        ({"from_time": "2024-02-29T11:59:60Z", "until_time": "2024-02-29T12:00:00Z"}, [0]),
        ({"from_time": "0001-01-01T00:00:00+23:59", "until_time": "9999-12-31T23:59:59-23:59"}, [0, 1, 2, 3]),
    ],
    ids=str,
)
def test_times_are_told_as_rfc_3339_has_it(conditions: dict[str, str], expected: list[int]) -> None:
    scene = recording()
    clock = iter(NOON / 1000 + second for second in range(4))
    scene.realm.broker.history = history = EventHistory(lambda: next(clock))
    scene.realm.meta.history._history = history
    scene.realm.broker.keep_history(HistoryRule(TOPIC))
    publisher, session = scene.join(), reader(scene)
    publications = [publish(scene, publisher) for _ in range(4)]

    events = get_events(scene, session, **conditions)

    assert [event["publication"] for event in events] == [publications[index] for index in expected]


def test_what_is_told_of_an_event_can_be_compared_with_it() -> None:
    scene = recording()
    scene.realm.broker.history = history = EventHistory(lambda: NOON / 1000 + 0.12399)
    scene.realm.meta.history._history = history
    scene.realm.broker.keep_history(HistoryRule(TOPIC))
    publish(scene, scene.join())
    session = reader(scene)
    (event,) = get_events(scene, session)

    assert event["timestamp"] == "2024-02-29T12:00:00.123Z"
    for name, is_in in (("from", True), ("until", True), ("after", False), ("before", False)):
        assert bool(get_events(scene, session, **{f"{name}_time": event["timestamp"]})) is is_in


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": -1}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"reverse": "yes"}, "reverse"),
        ({"from_time": "yesterday"}, "from_time"),
        ({"from_time": 1709208000}, "from_time"),
        ({"after_time": "2024-02-29"}, "after_time"),
        ({"after_time": "2024-02-29T12:00:00"}, "after_time"),
        ({"before_time": "2024-02-30T12:00:00Z"}, "before_time"),
        ({"before_time": "2024-02-29T24:00:00Z"}, "before_time"),
        ({"until_time": "2024-02-29T12:00:00+25:00"}, "until_time"),
        ({"until_time": "0000-01-01T00:00:00Z"}, "until_time"),
        ({"until_time": "२०२४-02-29T12:00:00Z"}, "until_time"),
        ({"until_time": "2024-02-29T12:00:00." + "1" * 1000 + "Z"}, "until_time"),
        ({"topic": 1}, "topic"),
        ({"from_publication": 0}, "from_publication"),
        ({"after_publication": 1}, "after_publication"),
        ({"before_publication": "1"}, "before_publication"),
        ({"until_publication": 2**53 + 1}, "until_publication"),
        ({"since": 1}, "since"),
    ],
    ids=str,
)
def test_an_argument_that_cannot_be_is_named(arguments: dict[str, Any], name: str) -> None:
    scene = recording(HistoryRule(TOPIC))

    error = refusal(scene, reader(scene), GET_EVENTS, subscription_of(scene), **arguments)

    assert error.error == "wamp.error.invalid_argument"
    assert name in error.args[0]
    assert len(error.args[0]) < 300


def test_null_stands_for_an_argument_that_is_not_there() -> None:
    scene = recording(HistoryRule(TOPIC))
    publish(scene, scene.join())

    assert get_events(scene, reader(scene), subscription_of(scene), None, reverse=None, from_time=None, topic=None)


def test_a_subscription_that_does_not_exist_has_no_history() -> None:
    scene = recording(HistoryRule(TOPIC))

    assert refusal(scene, reader(scene), GET_EVENTS, 4711).error == "wamp.error.no_such_subscription"


def test_a_subscription_without_a_rule_has_no_history() -> None:
    scene = recording(HistoryRule(TOPIC))
    session = reader(scene)
    scene.subscribe(session, "com.example.other")

    error = refusal(scene, session, GET_EVENTS, subscription_of(scene, "com.example.other"))

    assert error.error == "wamp.error.history_unavailable"


@pytest.mark.parametrize(
    ("permission", "is_allowed"),
    [
        (Permission(uri="com.example.", match=Match.PREFIX, subscribe=True), True),
        (Permission(uri="com.", match=Match.PREFIX, subscribe=True), True),
        (Permission(uri="com.example.topic", match=Match.PREFIX, subscribe=True), False),
        (Permission(uri="com.example.", subscribe=True), False),
        (Permission(uri="com.example.", match=Match.PREFIX, publish=True, call=True), False),
    ],
    ids=str,
)
def test_who_may_not_subscribe_may_not_read(permission: Permission, is_allowed: bool) -> None:
    scene = recording(HistoryRule("com.example.", Match.PREFIX))
    session = reader(scene, role=Role("user", [permission]))
    subscription = subscription_of(scene, "com.example.", Match.PREFIX)

    answer = sent_one(ask(scene, session, GET_EVENTS, subscription), session)

    assert (type(answer) is Result) is is_allowed
    if type(answer) is Error:
        assert answer.error == "wamp.error.not_authorized"


# --- events that are kept elsewhere ----------------------------------------------------------------


def only(effects: list[Effect], kind: type[Any]) -> Any:
    (effect,) = effects
    assert type(effect) is kind
    return effect


def asked(scene: Scene, session: Session, **kwargs: Any) -> QueryHistory:
    """What the core asks the store, upon a call."""
    effect = only(ask(scene, session, GET_EVENTS, subscription_of(scene), **kwargs), QueryHistory)
    assert isinstance(effect, QueryHistory)
    return effect


def test_a_store_is_told_what_to_keep() -> None:
    rules = HistoryRule(TOPIC), HistoryRule("com.", Match.PREFIX)
    scene = recording(*rules, in_memory=False)
    subscriber, publisher = scene.join(), scene.join()
    scene.subscribe(subscriber, TOPIC)

    effects = scene.publish(publisher, TOPIC, args=Raw(b"[1]"), acknowledge=True)

    kept = [effect for effect in effects if type(effect) is StoreEvent]
    assert [effect.rule for effect in kept] == list(rules)
    assert [(effect.record.time, effect.record.event.args) for effect in kept] == [(NOON, Raw(b"[1]"))] * 2
    assert type(effects[-1]) is Deliver, "PUBLISHED comes last"


def test_a_store_is_asked_and_its_answer_is_the_result() -> None:
    scene = recording(HistoryRule(TOPIC), in_memory=False)
    session = reader(scene, "joe")

    question = asked(scene, session, limit=7, reverse=True, from_time="2024-02-29T12:00:00Z")
    effects = scene.realm.found_out(question, Page([record()], has_more=True, is_limit_reached=False))

    query = question.query
    assert (query.rule, query.subscription) == (HistoryRule(TOPIC), subscription_of(scene))
    assert (query.authid, query.authrole, query.limit, query.reverse, query.from_time) == ("joe", "user", 7, True, NOON)
    result = sent_one(effects, session)
    assert (type(result), result.request) == (Result, session.last_request)
    assert len(loaded(result, JSON)) == 1
    assert result.kwargs == {"is_limit_reached": False, "has_more": True}


def test_a_failure_of_the_store_is_an_error() -> None:
    scene = recording(HistoryRule(TOPIC), in_memory=False)
    session = reader(scene)
    question = asked(scene, session)

    error = sent_one(scene.realm.found_out(question, ApplicationError("wamp.error.runtime_error", "broken")), session)

    assert (type(error), error.request_type, error.request) == (Error, 48, session.last_request)
    assert (error.error, error.args) == ("wamp.error.runtime_error", ["broken"])


def test_an_answer_for_somebody_who_is_gone_is_dropped() -> None:
    scene = recording(HistoryRule(TOPIC), in_memory=False)
    session = reader(scene)
    question = asked(scene, session)
    scene.leave(session)

    assert scene.realm.found_out(question, Page([], has_more=False, is_limit_reached=False)) == []


def test_permission_is_asked_before_the_store_is() -> None:
    scene = recording(HistoryRule(TOPIC), in_memory=False)

    effects = ask(scene, stranger := scene.join(), GET_EVENTS, subscription_of(scene))

    assert sent_one(effects, stranger).error == "wamp.error.not_authorized"


def test_arguments_are_no_place_for_bad_bytes() -> None:
    scene = recording(HistoryRule(TOPIC))
    session = reader(scene)

    effects = scene.send(session, Call(next_request(session), CallOptions(), GET_EVENTS, Raw(b"[]")))

    assert sent_one(effects, session).error == "wamp.error.invalid_argument"
