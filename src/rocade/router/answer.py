"""What a meta procedure answers."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from rocade.router.effects import Effect

__all__ = ["Answer"]


class Answer(Struct):
    """The outcome of a meta procedure.

    Attributes:
        args: positional results.
        effects: what is done before the caller gets them.
    """

    args: list[Any] = []
    effects: list[Effect] = []
