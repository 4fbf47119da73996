"""What a meta procedure answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from msgspec import Raw, Struct

from rocade.router.effects import Effect

if TYPE_CHECKING:
    from rocade.router.history import Query

__all__ = ["Answer"]


class Answer(Struct):
    """The outcome of a meta procedure.

    Attributes:
        args: positional results; raw ones are in the caller's serializer.
        effects: what is done before the caller gets them.
        kwargs: keyword results.
        query: what must be looked up in a store first. Then there are no results yet.
        later: what must be awaited first; returns the results, or raises `ApplicationError`.
        begin: what, given CALL.Request, has the call answered in a while.
    """

    args: list[Any] | Raw = []
    effects: list[Effect] = []
    kwargs: dict[str, Any] = {}
    query: Query | None = None
    later: Callable[[], Awaitable[list[Any]]] | None = None
    begin: Callable[[int], list[Effect]] | None = None
