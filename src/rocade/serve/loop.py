"""The event loop of a process of ours, and the signals that end it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

__all__ = ["loop_factory", "on_stop_signals"]


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
