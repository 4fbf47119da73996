"""Arguments of `connect` that cannot be: each is refused where it is written, in words for who wrote it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from tests.client.scene import Scene

import rocade
from rocade.client.connect import connect_over
from rocade.client.parameters import ConnectParameters, SessionParameters


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"relm": "x"}, TypeError, r"^connect\(\) got an unexpected keyword argument 'relm'"),
        ({"realm": 5}, TypeError, "the name of a realm is a str, not 5"),
        ({"credentials": ("joe", "secret")}, TypeError, "not str"),
        ({"credentials": "secret"}, TypeError, "not str"),
        ({"credentials": rocade.Anonymous}, TypeError, "credentials are objects"),
        ({"credentials": []}, ValueError, "credentials are empty"),
        ({"threads": 0}, ValueError, "threads must be 1 or more, not 0"),
        ({"tls": __file__}, ValueError, "tls: there is no certificate in PEM form in"),
        ({"serializer": "yaml"}, ValueError, "json, msgpack, cbor, not yaml"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(arguments: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        rocade.connect(**arguments)


def test_a_file_of_authorities_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tls: '.*nobody.pem' cannot be used: No such file"):
        rocade.connect("wss://127.0.0.1/ws", tls=str(tmp_path / "nobody.pem"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"match": "regex"}, "match must be one of 'exact', 'prefix', 'wildcard', not 'regex'"),
        ({"invoke": "robin"}, "invoke must be one of 'single', .* not 'robin'"),
    ],
)
async def test_a_choice_that_there_is_not_is_answered_by_those_that_there_are(
    scene: Scene, arguments: dict[str, Any], text: str
) -> None:
    async with rocade.connect(f"ws://127.0.0.1:{scene.port}/ws") as session:
        with pytest.raises(ValueError, match=text):
            await session.register(print, "demo.print", **arguments)


async def test_a_uri_in_front_of_the_function_is_pointed_out(scene: Scene) -> None:
    async with rocade.connect(f"ws://127.0.0.1:{scene.port}/ws") as session:
        with pytest.raises(TypeError, match=r"'demo\.print' is not callable; the function comes first"):
            await session.register("demo.print", print)  # type: ignore[arg-type]


def test_who_forgets_to_wait_is_told_how() -> None:
    with pytest.raises(AttributeError, match=r"no 'call' here: use `async with rocade.connect"):
        rocade.connect().call("demo.add")  # type: ignore[attr-defined]


def test_what_is_handed_on_to_connect_has_the_same_parameters() -> None:
    def names(function: Any) -> set[str]:
        return {name for name, each in inspect.signature(function).parameters.items() if each.kind is each.KEYWORD_ONLY}

    assert set(ConnectParameters.__annotations__) == names(rocade.connect)
    assert set(SessionParameters.__annotations__) == names(connect_over) - {"ping_interval"}
