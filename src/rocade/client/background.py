"""One event loop in one thread, for programs that have none: what `rocade.blocking` waits for."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, TypeVar

from rocade.errors import SessionClosed

__all__ = ["Background", "background", "refuse_green_threads"]

STOP_TIMEOUT = 3.0
"""Seconds that sessions have to say goodbye when the program ends."""

T = TypeVar("T")


class Background:
    """An event loop that runs in a thread of its own, from its making until `stop`."""

    def __init__(self) -> None:
        self._loop = _new_event_loop()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="rocade-blocking", daemon=True)
        # what is to be awaited before the loop ends
        self._at_end: list[Callable[[], Awaitable[Any]]] = []
        self._lock = threading.Lock()
        self._ends = False
        self._ending = asyncio.Event()
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        await self._ending.wait()
        closing = [close() for close in self._at_end]
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT):
                await asyncio.gather(*closing, return_exceptions=True)

    def check_thread(self) -> None:
        """Check that this thread may wait.

        Raises:
            RuntimeError: it runs an event loop, which must not be blocked; or the process was forked from that of this.
        """
        if self._process != os.getpid():
            raise RuntimeError(
                "this was made by the process that this one was forked from, and belongs to that; only clients can be "
                "used in both, with a session in each"
            )
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "rocade.blocking was used on its own event loop, in a coroutine or a hook, and would wait for ever; "
                "handlers that are plain functions run in threads, and may wait"
            )
        raise RuntimeError(
            "rocade.blocking would block the event loop that runs in this thread; in a coroutine, use rocade.connect "
            "and await"
        )

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for what it returns.

        A thread that is interrupted while it waits, by Ctrl-C or by any other signal handler that raises, cancels the
        coroutine.

        Raises:
            RuntimeError: see `check_thread`.
            SessionClosed: the program ends.
        """
        try:
            self.check_thread()
        except BaseException:
            work.close()
            raise
        try:
            future = self._submit(work)
        except SessionClosed:
            work.close()
            raise
        except BaseException:  # interrupted, when the loop may have it already
            self._take_back(work)
            raise
        try:
            return future.result()
        except CancelledError:
            raise SessionClosed("the program ends") from None
        finally:
            future.cancel()  # which has no effect on one that is done
            del future  # its exception's traceback has this frame, which has it

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        with self._lock:  # behind what ends the loop, nothing would be run any more
            if self._ends:
                raise SessionClosed("the program ends")
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _take_back(self, work: Coroutine[Any, Any, Any]) -> None:
        """Cancel a coroutine that may be running on the loop, or may never have got there."""

        def cancel() -> None:
            for task in asyncio.all_tasks():
                if task.get_coro() is work:
                    task.cancel()
                    return
            work.close()

        try:
            self._loop.call_soon_threadsafe(cancel)  # which comes after the start, if there was one
        except RuntimeError:  # the loop is closed
            work.close()

    def start(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Run a coroutine on the loop, and do not wait for it; from any thread, and any process."""
        if self._process != os.getpid():
            return
        with suppress(RuntimeError):  # the loop is closed, and all that it had
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(make()))

    def at_end(self, close: Callable[[], Awaitable[Any]]) -> None:
        """Await this before the program ends."""
        self._at_end.append(close)

    def not_at_end(self, close: Callable[[], Awaitable[Any]]) -> None:
        """It has been done already."""
        if close in self._at_end:
            self._at_end.remove(close)

    def stop(self) -> None:
        """End what is open, the loop and its thread. Does nothing the second time."""
        with self._lock:
            if self._ends:
                return
            self._ends = True
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(STOP_TIMEOUT + 1)


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
            processes = sys.modules.get("multiprocessing.process")
            if processes is not None and processes.parent_process() is not None:
                # A process of multiprocessing ends without what `atexit` has.
                sys.modules["multiprocessing.util"].Finalize(None, _stop, exitpriority=0)
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
