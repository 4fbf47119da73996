"""Threads for plain functions, so that one that blocks never stalls the event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from rocade.errors import ApplicationError

__all__ = ["DEFAULT_THREADS", "NoThreads", "Threads"]

DEFAULT_THREADS = 16
"""Plain functions that run at the same time; others wait their turn."""

_END = object()


class NoThreads(ApplicationError):
    """The interpreter is being shut down, and starts nothing in threads any more."""

    def __init__(self) -> None:
        """Has the router ask another callee."""
        super().__init__("wamp.error.unavailable", "the program ends")


class Threads:
    """A bounded pool, made when the first plain function is to run."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int = DEFAULT_THREADS) -> None:
        """
        Args:
            loop: where results are awaited.
            count: how many threads there are at most.
        """
        self._loop = loop
        self._count = count
        self._pool: ThreadPoolExecutor | None = None

    def run(
        self, function: Callable[..., Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> asyncio.Future[Any]:
        """What a function returns, run in one of the threads with the context variables of here.

        Raises:
            NoThreads: it is too late.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="rocade-handler")
        call = partial(contextvars.copy_context().run, _called, function, args, kwargs or {})
        try:
            return self._loop.run_in_executor(self._pool, call)
        except RuntimeError as error:
            if "shutdown" in str(error):  # of the interpreter; there is no other way to tell
                raise NoThreads from None
            raise

    async def items(self, generator: Generator[Any, Any, Any]) -> AsyncGenerator[Any, None]:
        """What a plain generator yields, each item made in one of the threads; it is closed at the end.

        Raises:
            NoThreads: see `run`.
        """
        try:
            while (item := await self.run(next, (generator, _END))) is not _END:
                yield item
        finally:
            with suppress(ValueError):  # it runs in its thread, and cannot be stopped
                generator.close()

    def close(self) -> None:
        """Start nothing new; what runs, runs to its end."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _called(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except StopIteration as error:  # asyncio's futures cannot have it
        raise RuntimeError("the function raised StopIteration") from error
