"""An application as a program: its event loop, its log, and the signals that end it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rocade.errors import RocadeError
from rocade.serve.logs import LogLevel, configure_logging
from rocade.serve.loop import loop_factory, on_stop_signals, tell_briefly_of_shortage

if TYPE_CHECKING:
    from rocade.app.application import Application

__all__ = ["loading", "run", "told"]

THREAD_SECONDS = 0.2
"""How long a thread whose work is done has to end."""

# What is being loaded, if anything.
_loading: str | None = None

logger = logging.getLogger("rocade.app")


def run(application: Application, start: Callable[[], Awaitable[None]], log_level: LogLevel) -> None:
    """Start an application, wait for a signal, stop it.

    Args:
        application: it is stopped at the end.
        start: starts it.
        log_level: how much is logged, unless the program has configured logging itself.
    Raises:
        RuntimeError: an event loop runs already, or this is not the main thread.
        SystemExit: with code 1: it could not start, or has lost its router for good.
    """
    _check_loading()
    _check_loop()
    _check_thread()
    if not logging.getLogger().handlers:
        configure_logging(log_level)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        code = runner.run(_serve(application, start))
    _leave_threads(code)
    if code:
        sys.exit(code)


@contextmanager
def loading(target: str) -> Iterator[None]:
    """While a module is loaded for somebody who will run its application otherwise: `app.run()` is an error.

    Args:
        target: what is loaded.
    """
    global _loading
    _loading = target
    try:
        yield
    finally:
        _loading = None


def _check_loading() -> None:
    if _loading is not None:
        raise RuntimeError(f"app.run() was called while {_loading} was loaded: put it below if __name__ == '__main__':")


def _check_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "app.run() is for programs that have no event loop; inside of one, write await app.start(), or "
        "async with app.running()"
    )


def _check_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "app.run() is for the main thread, which signals go to; beside a program that blocks, use rocade.blocking"
        )


async def _serve(application: Application, start: Callable[[], Awaitable[None]]) -> int:
    stopping, hurrying = asyncio.Event(), asyncio.Event()
    tell_briefly_of_shortage()
    on_stop_signals(lambda: (hurrying if stopping.is_set() else stopping).set())
    stop = asyncio.ensure_future(stopping.wait())
    starting = asyncio.ensure_future(start())
    try:
        await asyncio.wait({stop, starting}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            return 0
        if not await _has_started(starting):
            return 1
        if not application.is_running:  # something that waited for its start has stopped it
            return 0
        logger.info("ready; Ctrl-C stops it")
        code = await _work(application, stop)
        await _stop(application, hurrying)
        return code
    finally:
        stop.cancel()


async def _has_started(starting: asyncio.Future[None]) -> bool:
    try:
        await starting
    except RocadeError as error:
        # What it says is for the user to mend; where it was raised says nothing.
        logger.error("could not start: %s", told(error))
    except Exception:
        logger.exception("could not start")
    else:
        return True
    return False


def told(error: Exception) -> str:
    """An exception in one line, with what was noted on its way."""
    return ", ".join([str(error), *getattr(error, "__notes__", ())])


async def _work(application: Application, stop: asyncio.Future[Any]) -> int:
    """Until a signal comes, the application stops itself or its session is over for good; returns the exit code."""
    closed = asyncio.ensure_future(application.session.wait_closed())
    await asyncio.wait({stop, closed}, return_when=asyncio.FIRST_COMPLETED)
    error = closed.exception() if closed.done() else None
    closed.cancel()
    if error is not None:
        logger.error("the session is over: %s", error)
        return 1
    logger.info("stopping")
    return 0


async def _stop(application: Application, hurrying: asyncio.Event) -> None:
    """Stop; at once if another signal comes."""
    stopped, hurry = asyncio.ensure_future(application.stop()), asyncio.ensure_future(hurrying.wait())
    await asyncio.wait({stopped, hurry}, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not stopped.done():
        logger.info("stopping at once")
        stopped.cancel()
        await asyncio.wait({stopped})
        return
    stopped.result()
    logger.info("stopped")


def _leave_threads(code: int) -> None:
    """End at once where a plain function is still at work: Python would wait for it, perhaps for ever."""
    at_work = [thread for thread in threading.enumerate() if thread.name.startswith("rocade-handler")]
    for thread in at_work:
        thread.join(THREAD_SECONDS)
    if any(thread.is_alive() for thread in at_work):
        logger.warning("a function is still at work in its thread, and is left there")
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
