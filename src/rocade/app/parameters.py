"""Parameters that are handed on: a wrong name is an error of the function that was called, not of one inside."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["check_parameters", "guess"]


def check_parameters(function: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names of parameters that there are not.

    Args:
        function: what was called, for the message.
        given: names of the arguments.
        known: names of the parameters.
    Raises:
        TypeError: one of them is unknown.
    """
    names = tuple(known)
    for name in given:
        if name not in names:
            raise TypeError(f"{function} has no parameter {name!r}{guess(name, names)}")


def guess(name: str, names: Iterable[str]) -> str:
    """A question that may follow the message that there is no such name."""
    close = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
