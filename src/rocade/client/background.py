"""One event loop in one thread, for programs that have none: what `rocade.blocking` waits for."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["Background", "background", "refuse_green_threads"]

STOP_TIMEOUT = 3.0
"""Seconds that sessions have to say goodbye when the program ends."""

T = TypeVar("T")


class Background:
    """An event loop that runs in a thread of its own.

    Attributes:
        loop: the event loop.
    """

    def __init__(self) -> None:
        self.loop = _new_event_loop()
        self._thread = threading.Thread(target=self._run, name="rocade-blocking", daemon=True)
        # what is to be awaited before the loop ends
        self._at_end: list[Callable[[], Awaitable[Any]]] = []
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for what it returns.

        A thread that is interrupted while it waits, by Ctrl-C, cancels the coroutine.

        Raises:
            RuntimeError: this thread runs an event loop itself, which must not be blocked.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            work.close()
            if threading.current_thread() is self._thread:
                raise RuntimeError(
                    "rocade.blocking was used in a coroutine that runs on its own event loop, and would wait for ever; "
                    "write a plain function, which runs in a thread"
                )
            raise RuntimeError(
                "rocade.blocking would block the event loop that runs in this thread; in a coroutine, use "
                "rocade.connect and await"
            )
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def at_end(self, close: Callable[[], Awaitable[Any]]) -> None:
        """Await this before the program ends."""
        self._at_end.append(close)

    def not_at_end(self, close: Callable[[], Awaitable[Any]]) -> None:
        """It has been done already."""
        if close in self._at_end:
            self._at_end.remove(close)

    def stop(self) -> None:
        """End what is open, the loop and its thread."""
        if not self._thread.is_alive():
            return

        async def close_all() -> None:
            await asyncio.wait_for(
                asyncio.gather(*(close() for close in self._at_end), return_exceptions=True), STOP_TIMEOUT
            )

        future = asyncio.run_coroutine_threadsafe(close_all(), self.loop)
        try:
            future.result(STOP_TIMEOUT + 1)
        except (TimeoutError, asyncio.CancelledError):
            pass
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(STOP_TIMEOUT)
        if not self._thread.is_alive():
            self.loop.close()


_lock = threading.Lock()
_current: Background | None = None
# Of the processes that this one was forked from. Nothing may run their finalizers: they share the parents' selectors.
_inherited: list[Background] = []


def background() -> Background:
    """The event loop of this process, which is started when it is first asked for.

    Raises:
        RuntimeError: gevent or eventlet have replaced threads by something else.
    """
    global _current
    refuse_green_threads()
    with _lock:
        if _current is None:
            _current = Background()
        return _current


def refuse_green_threads() -> None:
    """Check that threads are threads.

    Raises:
        RuntimeError: gevent or eventlet have replaced them: an event loop in one of those would hold up all others.
    """
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and (gevent.is_module_patched("threading") or gevent.is_module_patched("socket")):
        _refuse("gevent", "gunicorn -k gthread, say")
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and (eventlet.is_monkey_patched("thread") or eventlet.is_monkey_patched("socket")):
        _refuse("eventlet", "gunicorn -k gthread, say")


def _refuse(library: str, instead: str) -> None:
    raise RuntimeError(
        f"rocade.blocking needs real threads and sockets, and {library} has replaced those of this process; "
        f"run it with workers that are threads or processes ({instead}), or without monkey patching"
    )


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _stop() -> None:
    if _current is not None:
        _current.stop()


def _after_fork() -> None:
    """In a child process there is neither the thread nor, for us, the loop."""
    global _current, _lock
    _lock = threading.Lock()
    if _current is not None:
        _inherited.append(_current)
        _current = None


atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
