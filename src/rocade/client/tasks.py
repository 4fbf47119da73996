"""Tasks for handlers, as cheaply as the version of Python has them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

__all__ = ["start_task"]

_NAME = "rocade-handler"

if sys.version_info >= (3, 12):

    def start_task(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine beside what is received: up to where it waits for the first time at once, as a task of its
        own all the same, since whatever has to do with timeouts and task groups asks for the current one."""
        if loop.get_task_factory() is not None:
            return loop.create_task(work, name=_NAME)
        return asyncio.Task(work, loop=loop, name=_NAME, eager_start=True)

else:

    def start_task(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine beside what is received."""
        if loop.get_task_factory() is not None:
            return loop.create_task(work, name=_NAME)
        # Half a microsecond less than by way of the loop, which makes up a name for it.
        return asyncio.Task(work, loop=loop, name=_NAME)
