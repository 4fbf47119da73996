"""What the decorators of an application have collected: which function is to be offered as what."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from rocade.wamp.uris import is_pattern, is_reserved, is_uri, shown

__all__ = ["InvokePolicy", "MatchPolicy", "Procedure", "Subscription", "check_callable", "derived_uri", "place"]

MatchPolicy = Literal["exact", "prefix", "wildcard"]
"""How the URI of a registration or subscription is meant."""

InvokePolicy = Literal["single", "roundrobin", "random", "first", "last"]
"""How callees share one procedure."""

_MATCHES = ("exact", "prefix", "wildcard")
_INVOKES = ("single", "roundrobin", "random", "first", "last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """A function that others may call.

    Raises:
        ValueError: one of the options cannot be used; the text names it.
    """

    function: Callable[..., Any]
    uri: str
    match: MatchPolicy = "exact"
    invoke: InvokePolicy = "single"
    disclose_caller: bool = True
    concurrency: int | None = None
    limit_calls: int | None = None
    timeout: float | None = None

    OPTIONS: ClassVar = ("match", "invoke", "disclose_caller", "concurrency", "limit_calls", "timeout")

    def __post_init__(self) -> None:
        _check_uri("procedure", self.uri, self.match)
        if is_reserved(self.uri):
            raise ValueError(f"procedures below 'wamp.' belong to the router: {shown(self.uri)}")
        _check_choice("invoke", self.invoke, _INVOKES)
        _check_count("concurrency", self.concurrency)
        _check_count("limit_calls", self.limit_calls)
        _check_seconds("timeout", self.timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A function that is called with events.

    Raises:
        ValueError: one of the options cannot be used; the text names it.
    """

    function: Callable[..., Any]
    uri: str
    match: MatchPolicy = "exact"
    get_retained: bool = False
    concurrency: int | None = None
    limit_calls: int | None = None
    timeout: float | None = None
    debounce: float | None = None
    throttle: float | None = None

    OPTIONS: ClassVar = ("match", "get_retained", "concurrency", "limit_calls", "timeout", "debounce", "throttle")

    def __post_init__(self) -> None:
        _check_uri("topic", self.uri, self.match)
        _check_count("concurrency", self.concurrency)
        _check_count("limit_calls", self.limit_calls)
        for name in ("timeout", "debounce", "throttle"):
            _check_seconds(name, getattr(self, name))
        if self.debounce is not None and self.throttle is not None:
            raise ValueError("debounce waits for silence and throttle does not: choose one of them")


def derived_uri(application: str, function: Callable[..., Any]) -> str:
    """The URI of a function that was given none: "demo.ip" for `ip` of the application "demo".

    Args:
        application: the application's name; "" for none.
        function: a function that has a name.
    Raises:
        ValueError: it has none, such as a lambda.
    """
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise ValueError(f"{function!r} has no name to derive a URI from: give the URI")
    return f"{application}.{name}" if application else name


def check_callable(function: Any) -> None:
    """Refuse what cannot be called.

    Raises:
        TypeError: it cannot.
    """
    if not callable(function):
        raise TypeError(f"a function is decorated, not {function!r}")


def place(function: Callable[..., Any]) -> str:
    """Where a function is written, for messages: "ip (app.py, line 12)"."""
    plain = inspect.unwrap(function)
    name = getattr(plain, "__qualname__", None) or repr(plain)
    code = getattr(plain, "__code__", None)
    return name if code is None else f"{name} ({code.co_filename}, line {code.co_firstlineno})"


def _check_uri(what: str, uri: str, match: str) -> None:
    _check_choice("match", match, _MATCHES)
    if match == "exact" and not is_uri(uri):
        raise ValueError(f"{shown(uri)} cannot be a {what}: write components with dots between, such as 'demo.ip'")
    if match != "exact" and not is_pattern(uri):
        raise ValueError(f"{shown(uri)} cannot be a pattern of {what}s: write components with dots between")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def _check_count(name: str, value: int | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name} must be a whole number from 1 on, not {value!r}")


def _check_seconds(name: str, value: float | None) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a number of seconds above 0, not {value!r}")
