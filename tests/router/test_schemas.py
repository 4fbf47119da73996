"""Schemas and reflection (advanced/interface_reflection.md, a sketch)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.router.meta_scene import answer, ask, heard, listener, refusal, results
from tests.router.scene import Scene

from rocade.router.permissions import Permission, Role
from rocade.router.schemas import MAX_SCHEMAS
from rocade.router.session import Session
from rocade.wamp.messages import Match

DEFINE, UNDEFINE, DESCRIBE = "wamp.schema.define", "wamp.schema.undefine", "wamp.schema.describe"
ON_DEFINE, ON_UNDEFINE = "wamp.schema.on_define", "wamp.schema.on_undefine"
ADD2 = {"kind": "procedure", "args": {"type": "array", "items": {"type": "number"}}}
NEWS = {"kind": "topic", "args": {"type": "array"}}


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    everything = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
    scene.user = Role("user", [everything])
    return scene


@pytest.fixture
def definer(scene: Scene) -> Session:
    return scene.join("definer")


@pytest.fixture
def reader(scene: Scene) -> Session:
    return scene.join("reader")


def test_a_schema_that_is_defined_can_be_described(scene: Scene, definer: Session, reader: Session) -> None:
    assert answer(scene, definer, DEFINE, "com.add2", ADD2) is True

    assert answer(scene, reader, DESCRIBE, "com.add2") == ADD2
    assert answer(scene, reader, "wamp.schema.get", "com.add2") == ADD2
    assert answer(scene, reader, DESCRIBE, "com.other") is None


def test_all_schemas_are_listed_and_described_together(scene: Scene, definer: Session, reader: Session) -> None:
    ask(scene, definer, DEFINE, "com.add2", ADD2)
    ask(scene, definer, DEFINE, "com.news", NEWS)

    assert answer(scene, reader, "wamp.schema.list") == ["com.add2", "com.news"]
    assert answer(scene, reader, "wamp.schema.list", "topic") == ["com.news"]
    assert answer(scene, reader, DESCRIBE) == {"com.add2": ADD2, "com.news": NEWS}


def test_who_listens_hears_of_definitions(scene: Scene, definer: Session) -> None:
    watcher = listener(scene, ON_DEFINE, ON_UNDEFINE)

    defined = ask(scene, definer, DEFINE, "com.add2", ADD2)
    same = ask(scene, definer, DEFINE, "com.add2", ADD2)
    changed = ask(scene, definer, DEFINE, "com.add2", {**ADD2, "description": "adds"})
    undefined = ask(scene, definer, UNDEFINE, "com.add2")

    assert heard(defined, watcher) == [(ON_DEFINE, ["com.add2", ADD2, True])]
    assert (results(same, definer), heard(same, watcher)) == ([None], [])
    assert results(changed, definer) == [False]
    assert heard(changed, watcher) == [(ON_DEFINE, ["com.add2", {**ADD2, "description": "adds"}, False])]
    assert results(undefined, definer) == []
    assert heard(undefined, watcher) == [(ON_UNDEFINE, ["com.add2"])]


def test_schemas_vanish_with_the_session_that_defined_them(scene: Scene, definer: Session, reader: Session) -> None:
    watcher = listener(scene, ON_UNDEFINE, "wamp.session.on_leave")
    ask(scene, definer, DEFINE, "com.add2", ADD2)

    effects = scene.leave(definer)

    assert [topic for topic, _ in heard(effects, watcher)] == [ON_UNDEFINE, "wamp.session.on_leave"]
    assert answer(scene, reader, DESCRIBE, "com.add2") is None
    scene.leave(reader)
    scene.leave(watcher)
    assert scene.is_empty()


def test_a_schema_that_several_define_lasts_as_long_as_one_of_them(
    scene: Scene, definer: Session, reader: Session
) -> None:
    other = scene.join()
    ask(scene, definer, DEFINE, "com.add2", ADD2)
    assert answer(scene, other, DEFINE, "com.add2", ADD2) is None

    scene.leave(definer)

    assert answer(scene, reader, DESCRIBE, "com.add2") == ADD2
    ask(scene, other, UNDEFINE, "com.add2")
    assert answer(scene, reader, DESCRIBE, "com.add2") is None


def test_nobody_replaces_or_takes_back_what_another_defined(scene: Scene, definer: Session, reader: Session) -> None:
    ask(scene, definer, DEFINE, "com.add2", ADD2)

    other = {**ADD2, "title": "Subtract"}
    assert refusal(scene, reader, DEFINE, "com.add2", other).error == "wamp.error.schema_already_exists"
    assert refusal(scene, reader, UNDEFINE, "com.add2").error == "wamp.error.no_such_schema"
    ask(scene, reader, DEFINE, "com.add2", ADD2)
    assert refusal(scene, definer, DEFINE, "com.add2", other).error == "wamp.error.schema_already_exists"


def test_who_may_only_define_errors_takes_the_place_of_no_procedure(scene: Scene, definer: Session) -> None:
    squatter = scene.join(role=Role("limited", []))
    reader = scene.join(role=Role("reader", [Permission(uri="com.add2", call=True)]))
    failed = {"kind": "error"}
    ask(scene, squatter, DEFINE, "com.add2", failed)

    assert answer(scene, definer, DEFINE, "com.add2", ADD2) is True

    assert answer(scene, reader, "wamp.schema.describe", "com.add2") == ADD2
    assert answer(scene, reader, "wamp.schema.describe") == {"com.add2": ADD2}
    assert answer(scene, reader, "wamp.schema.list") == ["com.add2"]
    assert answer(scene, reader, "wamp.reflection.error.describe", "com.add2") == failed
    assert refusal(scene, scene.join(), UNDEFINE, "com.add2").error == "wamp.error.no_such_schema"
    ask(scene, definer, UNDEFINE, "com.add2")
    assert answer(scene, reader, "wamp.schema.describe", "com.add2") == failed


@pytest.mark.parametrize("uri", ["", "com..x", "wamp.session.count"])
def test_only_uris_of_ones_own_can_be_defined(scene: Scene, definer: Session, uri: str) -> None:
    assert refusal(scene, definer, DEFINE, uri, ADD2).error == "wamp.error.invalid_uri"


@pytest.mark.parametrize("schema", [{}, {"kind": "table"}, {"kind": None}, {"kind": ["topic"]}])
def test_the_kind_must_be_known(scene: Scene, definer: Session, schema: dict[str, Any]) -> None:
    error = refusal(scene, definer, DEFINE, "com.x", schema)

    assert (error.error, error.args) == (
        "wamp.error.invalid_argument",
        ["schema: 'kind' is not one of 'procedure', 'topic', 'error'"],
    )


def test_who_may_not_offer_may_not_define(scene: Scene) -> None:
    rules = [Permission(uri="com.add2", register=True), Permission(uri="com.news", publish=True)]
    definer = scene.join(role=Role("limited", rules))

    assert answer(scene, definer, DEFINE, "com.add2", ADD2) is True
    assert answer(scene, definer, DEFINE, "com.news", NEWS) is True
    assert refusal(scene, definer, DEFINE, "com.news2", NEWS).error == "wamp.error.not_authorized"
    assert refusal(scene, definer, DEFINE, "com.news", ADD2).error == "wamp.error.not_authorized"


def test_who_may_neither_use_nor_offer_does_not_read(scene: Scene, definer: Session) -> None:
    rules = [Permission(uri="com.add2", call=True), Permission(uri="com.news", publish=True)]
    reader = scene.join(role=Role("limited", rules))
    for uri in ("com.add2", "com.secret"):
        ask(scene, definer, DEFINE, uri, ADD2)
    for uri in ("com.news", "com.gossip"):
        ask(scene, definer, DEFINE, uri, NEWS)
    ask(scene, definer, DEFINE, "com.failed", {"kind": "error"})

    assert answer(scene, reader, "wamp.schema.list") == ["com.add2", "com.news", "com.failed"]
    assert answer(scene, reader, DESCRIBE, "com.secret") is None
    assert list(answer(scene, reader, DESCRIBE)) == ["com.add2", "com.news", "com.failed"]


def test_a_session_defines_a_bounded_number_of_schemas(scene: Scene, definer: Session) -> None:
    for number in range(MAX_SCHEMAS):
        ask(scene, definer, DEFINE, f"com.x{number}", {"kind": "topic"})

    assert refusal(scene, definer, DEFINE, "com.more", {"kind": "topic"}).error == "wamp.error.limit_exceeded"
    assert answer(scene, definer, DEFINE, "com.x0", NEWS) is False


def test_the_schemas_of_a_session_have_a_bounded_size(scene: Scene, definer: Session) -> None:
    large = {"kind": "topic", "description": "x" * 120_000}
    for number in range(8):
        ask(scene, definer, DEFINE, f"com.number{number}", large)

    assert refusal(scene, definer, DEFINE, "com.number8", large).error == "wamp.error.limit_exceeded"
    assert answer(scene, definer, DEFINE, "com.number0", {**large, "title": "One"}) is False


def test_reflection_offers_the_same_under_the_names_of_the_specification(
    scene: Scene, definer: Session, reader: Session
) -> None:
    failed = {"kind": "error"}
    watcher = listener(scene, "wamp.reflect.on_define", "wamp.reflect.on_undefine")

    effects = ask(scene, definer, "wamp.reflect.define", "com.add2", ADD2)
    ask(scene, definer, DEFINE, "com.news", NEWS)
    ask(scene, definer, DEFINE, "com.failed", failed)

    assert heard(effects, watcher) == [("wamp.reflect.on_define", ["com.add2", ADD2, True])]
    assert answer(scene, reader, "wamp.reflect.describe", "com.add2") == ADD2
    for kind, uri, schema in (
        ("procedure", "com.add2", ADD2),
        ("topic", "com.news", NEWS),
        ("error", "com.failed", failed),
    ):
        assert answer(scene, reader, f"wamp.reflection.{kind}.list") == [uri]
        assert answer(scene, reader, f"wamp.reflection.{kind}.describe", uri) == schema
        assert answer(scene, reader, f"wamp.reflection.{kind}.describe") == {uri: schema}
    assert answer(scene, reader, "wamp.reflection.topic.describe", "com.add2") is None
    assert heard(ask(scene, definer, UNDEFINE, "com.add2"), watcher) == [("wamp.reflect.on_undefine", ["com.add2"])]
