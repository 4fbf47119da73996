"""What functions take is read from their signatures."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest

from rocade import CallDetails, Context, EventDetails, InvalidArgument
from rocade.client.handlers import Handler, Kind

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]  # only there for type checkers


@dataclass
class Point:
    x: int
    y: int = 0


class Line(msgspec.Struct):
    start: Point
    end: Point


def plain(a: int, b: str = "b", *rest: float, c: bool = False, **others: int) -> None: ...
def untyped(a, b=2, *, c=3): ...  # type: ignore[no-untyped-def]
def strict(a: int, /, b: int, *, c: int) -> None: ...
def rich(at: datetime, id: UUID, line: Line, choice: int | str | None = None) -> None: ...
def unresolved(a: Unknown, b: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "bound"),
    [
        (plain, [1], {}, ((1,), {})),
        (plain, [1, "x"], {}, ((1, "x"), {})),
        (plain, [1, "x", 2, 3.5], {"c": True, "z": 1}, ((1, "x", 2.0, 3.5), {"c": True, "z": 1})),
        (plain, [], {"a": 1}, ((), {"a": 1})),
        (untyped, ["any"], {"c": object}, (("any",), {"c": object})),
        (strict, [1], {"b": 2, "c": 3}, ((1,), {"b": 2, "c": 3})),
        (unresolved, ["as it is", 1], {}, (("as it is", 1), {})),
        (
            rich,
            [
                "2030-01-01T00:00:00Z",
                "12345678-1234-5678-1234-567812345678",
                {"start": {"x": 1}, "end": {"x": 2, "y": 3}},
            ],
            {},
            (
                (
                    datetime(2030, 1, 1, tzinfo=UTC),
                    UUID("12345678-1234-5678-1234-567812345678"),
                    Line(Point(1), Point(2, 3)),
                ),
                {},
            ),
        ),
    ],
)
def test_arguments_are_converted(
    function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], bound: tuple[Any, Any]
) -> None:
    positional, keywords = Handler(function).bind(args, kwargs)

    assert (tuple(positional), dict(keywords)) == bound


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "complaint"),
    [
        (plain, [], {}, "argument 'a' is missing"),
        (plain, ["1"], {}, "argument 'a': expected int, got str"),
        (plain, [True], {}, "argument 'a': expected int, got bool"),
        (plain, [1, "b", "c"], {}, "argument '\\*' at \\[0\\]: expected float, got str"),
        (plain, [1], {"c": 1}, "argument 'c': expected bool, got int"),
        (plain, [1], {"a": 1}, "argument 'a' is given twice"),
        (plain, [1], {"z": "x"}, "argument '\\*\\*' at \\[...\\]: expected int, got str"),
        (untyped, [1, 2, 3], {}, "takes 2 positional arguments, not 3"),
        (untyped, [1], {"d": 1}, "there is no argument 'd'"),
        (strict, [], {"a": 1, "b": 2, "c": 3}, "there is no argument 'a'"),
        (strict, [1, 2], {}, "argument 'c' is missing"),
        (rich, ["tomorrow", "x", {}], {}, "argument 'at': invalid RFC3339"),
        (
            rich,
            ["2030-01-01T00:00:00Z", "12345678-1234-5678-1234-567812345678", {"start": {"x": "1"}, "end": {"x": 2}}],
            {},
            "argument 'line' at .start.x: expected int, got str",
        ),
        (unresolved, ["as it is", "x"], {}, "argument 'b': expected int, got str"),
    ],
)
def test_a_wrong_argument_is_named(
    function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        Handler(function).bind(args, kwargs)


async def _coroutine(call: CallDetails, a: int) -> None: ...
async def _async_generator(event: EventDetails) -> AsyncIterator[int]:
    yield 1


def _generator(context: Context, a: int):  # type: ignore[no-untyped-def]
    yield 1


def _either(details: CallDetails | EventDetails, a: int) -> None: ...


class Callable_:
    async def __call__(self, a: int) -> None: ...
    def method(self, call: CallDetails) -> None: ...


@pytest.mark.parametrize(
    ("function", "kind", "wants_details"),
    [
        (_coroutine, Kind.COROUTINE, True),
        (_async_generator, Kind.ASYNC_GENERATOR, True),
        (_generator, Kind.GENERATOR, True),
        (_either, Kind.PLAIN, True),
        (plain, Kind.PLAIN, False),
        (Callable_(), Kind.COROUTINE, False),
        (Callable_().method, Kind.PLAIN, True),
        (functools.partial(plain, 1), Kind.PLAIN, False),
        (functools.partial(_coroutine, a=1), Kind.COROUTINE, True),
        (lambda x: x, Kind.PLAIN, False),
        (max, Kind.PLAIN, False),
        (print, Kind.PLAIN, False),
    ],
)
def test_every_kind_of_function_is_known(function: Callable[..., Any], kind: Kind, wants_details: bool) -> None:
    handler = Handler(function)

    assert (handler.kind, handler.wants_details) == (kind, wants_details)


def test_a_stream_takes_the_place_of_its_parameter() -> None:
    async def total(scale: float, numbers: AsyncIterator[int], *, start: int = 0) -> None: ...

    handler = Handler(total)

    assert handler.takes_stream
    assert handler.bind([2], {"start": 1}, "the stream") == ([2.0, "the stream"], {"start": 1})  # type: ignore[arg-type]
    assert handler.item(3) == 3
    with pytest.raises(InvalidArgument, match="argument 'numbers': expected int, got str"):
        handler.item("three")


def test_a_hint_that_makes_no_sense_is_refused_at_once() -> None:
    def takes(a: dict[int, str] | list[int] | tuple[int]) -> None: ...

    with pytest.raises(TypeError, match="takes: a type hint that arguments cannot have"):
        Handler(takes)
    with pytest.raises(TypeError, match="is not callable"):
        Handler("text")  # type: ignore[arg-type]
