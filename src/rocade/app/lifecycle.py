"""What happens to an application in its life, and who wants to know."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, get_args

from rocade.app.parameters import guess

__all__ = ["HOOKS", "SIGNALS", "Listeners", "SignalName", "accepted", "check_hook", "check_signal"]

SignalName = Literal["onconnect", "onjoined", "onleave", "ondisconnect"]
"""What happens to the application's session, any number of times."""

SIGNALS: tuple[SignalName, ...] = get_args(SignalName)

HOOKS = ("app.starting", "app.ready", "app.stopping", "app.stopped")
"""What happens to the application itself, once in each run and in this order."""


class Listeners:
    """Functions by the name of what they wait for, in the order in which they were declared."""

    def __init__(self) -> None:
        # name -> functions
        self._functions: dict[str, list[Callable[..., Any]]] = {}

    def add(self, name: str, function: Callable[..., Any]) -> None:
        """Let a function wait for something."""
        self._functions.setdefault(name, []).append(function)

    def of(self, name: str) -> tuple[Callable[..., Any], ...]:
        """The functions that wait for something, in their order."""
        return tuple(self._functions.get(name, ()))


def check_signal(name: str) -> None:
    """Refuse a signal that is never sent.

    Raises:
        ValueError: with the names of those that are.
    """
    if name not in SIGNALS:
        raise ValueError(f"there is no signal {name!r}{guess(name, SIGNALS)}; there are {', '.join(SIGNALS)}")


def check_hook(name: str) -> None:
    """Refuse a name of ours that is never emitted. All names outside "app." are the user's own.

    Raises:
        ValueError: with the names of those that are.
    """
    if name.startswith("app.") and name not in HOOKS:
        text = f"there is no {name!r}{guess(name, HOOKS)}; Rocade emits {', '.join(HOOKS)}"
        raise ValueError(f"{text}, and names of your own do not begin with 'app.'")


def accepted(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """As many of the arguments as a function takes: who does not want to know the session need not name it.

    Args:
        function: it may take fewer positional parameters than there are arguments.
        arguments: all there are.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-in functions have none
        return arguments
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return arguments
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return arguments[: sum(parameter.kind in positional for parameter in parameters)]
