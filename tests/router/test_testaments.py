"""Testaments (advanced/pubsub_testament.md)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.router.meta_scene import ask, comes_last, heard, listener, refusal, results
from tests.router.scene import Scene, sent, sent_one

from rocade.router.permissions import Permission, Role
from rocade.router.session import Session
from rocade.router.testaments import MAX_TESTAMENT_BYTES, MAX_TESTAMENTS
from rocade.wamp.codec import CBOR, JSON, MSGPACK, Serializer
from rocade.wamp.messages import Event, EventDetails, Match

ADD, FLUSH = "wamp.session.add_testament", "wamp.session.flush_testaments"


@pytest.fixture
def owner(scene: Scene) -> Session:
    return scene.join("owner")


@pytest.fixture
def heir(scene: Scene) -> Session:
    return listener(scene, "com.", match=Match.PREFIX)


def topics(effects: list[Any], session: Session) -> list[str]:
    return [event.details.topic for event in sent(effects, session)]


@pytest.mark.parametrize("serializer", [JSON, MSGPACK, CBOR], ids=lambda serializer: serializer.name)
def test_a_testament_is_published_when_its_session_ends(scene: Scene, heir: Session, serializer: Serializer) -> None:
    owner = scene.join(serializer=serializer)

    effects = ask(scene, owner, ADD, "com.last.words", ["Seeya!", b"\x00\xff"], {"name": "app1"})

    assert results(effects, owner) == []
    (effect,) = scene.leave(owner)
    event = sent_one([effect], heir)
    assert type(event) is Event
    assert effect.origin is serializer  # type: ignore[union-attr]
    assert serializer.load(event.args) == ["Seeya!", b"\x00\xff"]  # type: ignore[arg-type]
    assert serializer.load(event.kwargs) == {"name": "app1"}  # type: ignore[arg-type]


def test_payload_and_options_may_be_left_out(scene: Scene, owner: Session, heir: Session) -> None:
    ask(scene, owner, ADD, "com.last.words")

    event = sent_one(scene.leave(owner), heir)

    assert not event.args
    assert not event.kwargs
    assert event.details == EventDetails(topic="com.last.words")


def test_a_session_that_is_killed_leaves_its_testament(scene: Scene, owner: Session, heir: Session) -> None:
    ask(scene, owner, ADD, "com.last.words")

    effects = ask(scene, scene.join(), "wamp.session.kill", owner.id)

    assert topics(effects, heir) == ["com.last.words"]
    assert comes_last(effects, owner)


def test_detached_testaments_come_before_destroyed_ones_each_in_their_order(
    scene: Scene, owner: Session, heir: Session
) -> None:
    ask(scene, owner, ADD, "com.first.destroyed")
    ask(scene, owner, ADD, "com.first.detached", scope="detached")
    ask(scene, owner, ADD, "com.second.destroyed", scope="destroyed")
    ask(scene, owner, ADD, "com.second.detached", [], {}, scope="detached")

    assert topics(scene.leave(owner), heir) == [
        "com.first.detached",
        "com.second.detached",
        "com.first.destroyed",
        "com.second.destroyed",
    ]


def test_a_session_that_outlives_its_connection_is_detached_first(scene: Scene, owner: Session, heir: Session) -> None:
    ask(scene, owner, ADD, "com.destroyed")
    ask(scene, owner, ADD, "com.detached", scope="detached")

    assert topics(scene.realm.detach(owner), heir) == ["com.detached"]
    assert scene.realm.detach(owner) == []
    assert topics(scene.leave(owner), heir) == ["com.destroyed"]


def test_a_session_that_was_resumed_with_another_serializer_leaves_readable_words(
    scene: Scene, owner: Session, heir: Session
) -> None:
    ask(scene, owner, ADD, "com.last.words", [b"\x01"])
    owner.serializer = MSGPACK

    (effect,) = scene.leave(owner)

    assert effect.origin is MSGPACK  # type: ignore[union-attr]
    assert MSGPACK.load(sent_one([effect], heir).args) == [b"\x01"]


@pytest.mark.parametrize(
    ("kwargs", "left"),
    [({}, ["com.detached"]), ({"scope": "destroyed"}, ["com.detached"]), ({"scope": "detached"}, ["com.destroyed"])],
)
def test_flushing_removes_the_testaments_of_one_scope(
    scene: Scene, owner: Session, heir: Session, kwargs: dict[str, Any], left: list[str]
) -> None:
    ask(scene, owner, ADD, "com.destroyed")
    ask(scene, owner, ADD, "com.detached", scope="detached")

    effects = ask(scene, owner, FLUSH, **kwargs)

    assert results(effects, owner) == []
    assert topics(scene.leave(owner), heir) == left


def test_flushing_concerns_the_caller_only(scene: Scene, owner: Session, heir: Session) -> None:
    ask(scene, owner, ADD, "com.last.words")

    ask(scene, scene.join(), FLUSH)

    assert topics(scene.leave(owner), heir) == ["com.last.words"]


def test_publish_options_are_honoured(scene: Scene, owner: Session) -> None:
    first, second, third = (scene.join(name) for name in ("first", "second", "third"))
    for session in (owner, first, second, third):
        scene.subscribe(session, "com.topic")
    options = {"exclude": [first.id], "exclude_authid": ["third"], "disclose_me": True, "acknowledge": True}
    ask(scene, owner, ADD, "com.topic", publish_options={**options, "exclude_me": False})

    effects = scene.leave(owner)

    assert sent(effects, first) == sent(effects, third) == sent(effects, owner) == []
    assert sent_one(effects, second).details == EventDetails(
        publisher=owner.id, publisher_authid="owner", publisher_authrole="user"
    )


def test_testaments_come_before_on_leave(scene: Scene, owner: Session) -> None:
    watcher = listener(scene, "com.topic", "wamp.session.on_leave")
    ask(scene, owner, ADD, "com.topic")

    assert [topic for topic, _ in heard(scene.leave(owner), watcher)] == ["com.topic", "wamp.session.on_leave"]


@pytest.mark.parametrize("topic", ["", "com..x", "wamp.session.on_join", "wamp"])
def test_topics_that_cannot_be_published_to_are_refused(scene: Scene, owner: Session, topic: str) -> None:
    assert refusal(scene, owner, ADD, topic).error == "wamp.error.invalid_uri"


@pytest.mark.parametrize(
    ("args", "kwargs", "complaint"),
    [
        ([], {}, "topic: missing"),
        ([5], {}, "topic: Expected 'str', got 'int'"),
        (["com.x", {}], {}, "args: Expected 'array | null', got 'object'"),
        (["com.x", [], []], {}, "kwargs: Expected 'object | null', got 'array'"),
        (["com.x"], {"scope": "forever"}, "scope: Invalid enum value 'forever'"),
        (["com.x"], {"publish_options": {"exclude": "me"}}, "publish_options: Expected 'array | null', got 'str' - at"),
    ],
)
def test_wrong_arguments_are_refused_by_name(
    scene: Scene, owner: Session, args: list[Any], kwargs: dict[str, Any], complaint: str
) -> None:
    error = refusal(scene, owner, ADD, *args, **kwargs)

    assert error.error == "wamp.error.invalid_argument"
    assert error.args[0].startswith(complaint)


def test_who_may_not_publish_leaves_no_testament(scene: Scene) -> None:
    rules = [Permission(uri="com.mine", publish=True, disclose_publisher=True)]
    owner = scene.join(role=Role("limited", rules))
    watcher = listener(scene, "com.mine")

    error = refusal(scene, owner, ADD, "com.others")
    ask(scene, owner, ADD, "com.mine")

    assert error.error == "wamp.error.not_authorized"
    assert sent_one(scene.leave(owner), watcher).details.publisher == owner.id


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    everything = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
    scene.user = Role("user", [everything])
    return scene


def test_a_session_has_a_bounded_number_of_testaments(scene: Scene, owner: Session) -> None:
    for _ in range(MAX_TESTAMENTS):
        ask(scene, owner, ADD, "com.topic")

    assert refusal(scene, owner, ADD, "com.topic", scope="detached").error == "wamp.error.limit_exceeded"
    ask(scene, owner, FLUSH)
    assert results(ask(scene, owner, ADD, "com.topic"), owner) == []


def test_the_testaments_of_a_session_have_a_bounded_size(scene: Scene, owner: Session) -> None:
    tenth = "x" * (MAX_TESTAMENT_BYTES // 10 + 1)
    for _ in range(9):
        ask(scene, owner, ADD, "com.topic", [tenth])

    assert refusal(scene, owner, ADD, "com.topic", [tenth]).error == "wamp.error.limit_exceeded"


def test_nothing_is_left_of_sessions_that_are_gone(scene: Scene, owner: Session) -> None:
    ask(scene, owner, ADD, "com.topic")
    scene.leave(owner)

    assert scene.is_empty()
