"""The event loop of a process of ours, and the signals that end it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

__all__ = ["loop_factory", "on_stop_signals", "tell_briefly_of_shortage"]

SHORTAGE_PERIOD = 60.0
"""Seconds in which one line says that connections cannot be accepted."""

logger = logging.getLogger("rocade.node")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop: uvloop where it is installed, unless ROCADE_LOOP=asyncio."""
    if os.environ.get("ROCADE_LOOP") == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def on_stop_signals(stop: Callable[[], object]) -> None:
    """Call `stop` on the running event loop when SIGINT or SIGTERM comes."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))


def tell_briefly_of_shortage() -> None:
    """Have one line a minute say that connections cannot be accepted, for want of open files, say.

    asyncio's own event loop tells of it as often as it might accept a connection, a thousand times a second, with a
    traceback each time; and as often that it cannot try again, where the listening socket is closed meanwhile. uvloop
    closes such connections and tells nobody.
    """
    due = 0.0

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal due
        message = context.get("message") or ""
        if message == "socket.accept() out of system resource":
            if loop.time() >= due:
                due = loop.time() + SHORTAGE_PERIOD
                logger.warning("new connections have to wait: %s", context.get("exception"))
        elif "._start_serving(" not in message or not isinstance(context.get("exception"), ValueError):
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(handle)
