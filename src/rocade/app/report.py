"""What the terminal shows of a handler's failure: who asked, with which arguments, without their secrets."""

from __future__ import annotations

import dataclasses
import inspect
import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

__all__ = ["shown_arguments"]

HIDDEN = "***"
"""Stands for a secret."""

_SECRET = re.compile(
    r"pass(?:word|wd|phrase|code)|^pass$|pwd|secret|token|ticket|credential|signature|cookie|authorization"
    r"|(?:^|_|-)(?:key|keys|pin|otp|csrf)$|(?-i:[a-z]Key)$|apikey",
    re.IGNORECASE,
)
_MAX_DEPTH = 6

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 200
_short.maxdict = _short.maxlist = _short.maxtuple = _short.maxset = 20
_short.maxlevel = _MAX_DEPTH


def shown_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], *, skip: bool = False
) -> str:
    """A call's arguments as Python writes them, short, and with *** for what has the name of a secret.

    Args:
        function: what was called; its parameters give names to positional arguments.
        args: positional arguments.
        kwargs: keyword arguments.
        skip: whether its first parameter is for something else.
    """
    names = _names(function, len(args) + 1)[1:] if skip else _names(function, len(args))
    shown = [_named(name, value) for name, value in zip(names, args, strict=True)]
    shown += [f"{name}={_named(name, value)}" for name, value in kwargs.items()]
    return f"({', '.join(shown)})"


def is_secret(name: str) -> bool:
    """Whether what has this name should not be shown: password, api_key, access_token …"""
    return _SECRET.search(name) is not None


class _Hidden:
    def __repr__(self) -> str:
        return HIDDEN


_HIDDEN = _Hidden()


def _named(name: str, value: Any) -> str:
    return HIDDEN if is_secret(name) else _short.repr(_without_secrets(value, _MAX_DEPTH))


def _names(function: Callable[..., Any], count: int) -> list[str]:
    """Parameter names of the positional arguments; "" for those that have none of their own."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]
    names = [parameter.name for parameter in parameters if parameter.kind in positional]
    return (names + [""] * count)[:count]


def _without_secrets(value: Any, depth: int) -> Any:
    """The same value with its secrets hidden, of plain data and of objects that say what their fields are."""
    if depth == 0:
        return value
    if isinstance(value, dict):
        return {
            key: _HIDDEN if isinstance(key, str) and is_secret(key) else _without_secrets(item, depth - 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(_without_secrets(item, depth - 1) for item in value)
    names = _field_names(value)
    if names is not None:
        return _Object(type(value).__name__, {name: getattr(value, name, None) for name in names}, depth - 1)
    return value


def _field_names(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(field.name for field in dataclasses.fields(value) if field.repr)
    return None


class _Object:
    """Shown as the call that would make it."""

    def __init__(self, name: str, fields: dict[str, Any], depth: int) -> None:
        self._name = name
        self._fields = fields
        self._depth = depth

    def __repr__(self) -> str:
        shown = [
            f"{name}={HIDDEN if is_secret(name) else _short.repr(_without_secrets(value, self._depth))}"
            for name, value in self._fields.items()
        ]
        return f"{self._name}({', '.join(shown)})"
