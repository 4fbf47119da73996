"""Python functions that the configuration names by what makes them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["MadeFunction"]


class MadeFunction:
    """A Python function that another one makes before it is called first. Either may be a coroutine function.

    Attributes:
        function: what was made; None before that.
    """

    def __init__(self, create: Callable[..., Any], config: dict[str, Any]) -> None:
        """
        Args:
            create: called once, with `config` and None; again only if it has failed.
            config: for it.
        """
        self.function: Callable[..., Any] | None = None
        self._create = create
        self._config = config
        self._making: asyncio.Future[Callable[..., Any]] | None = None

    async def call(self, *args: Any) -> Any:
        """What the function returns."""
        if self.function is None:
            await self._make()
        return await _awaited(self.function, *args)

    async def _make(self) -> None:
        if self._making is None:
            self._making = asyncio.ensure_future(_awaited(self._create, self._config, None))
        try:
            self.function = await asyncio.shield(self._making)
        except Exception:
            self._making = None  # another attempt with the next call
            raise


async def _awaited(function: Any, *args: Any) -> Any:
    value = function(*args)
    return await value if inspect.isawaitable(value) else value
