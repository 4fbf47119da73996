"""An application as a program: its event loop, its log, and the signals that end it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from rocade.errors import RocadeError
from rocade.serve.logs import LogLevel, configure_logging
from rocade.serve.loop import loop_factory, on_stop_signals

if TYPE_CHECKING:
    from rocade.app.application import Application

__all__ = ["run"]

THREAD_SECONDS = 0.2
"""How long a thread whose work is done has to end."""

logger = logging.getLogger("rocade.app")


def run(application: Application, start: Callable[[], Awaitable[None]], log_level: LogLevel) -> None:
    """Start an application, wait for a signal, stop it.

    Args:
        application: it is stopped at the end.
        start: starts it.
        log_level: how much is logged, unless the program has configured logging itself.
    Raises:
        RuntimeError: an event loop runs already.
        SystemExit: with code 1: it could not start, or has lost its router for good.
    """
    _check_loop()
    if not logging.getLogger().handlers:
        configure_logging(log_level)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        code = runner.run(_serve(application, start))
    _leave_threads(code)
    if code:
        sys.exit(code)


def _check_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "app.run() is for programs that have no event loop; inside of one, write await app.start(), or "
        "async with app.running()"
    )


async def _serve(application: Application, start: Callable[[], Awaitable[None]]) -> int:
    stopping, hurrying = asyncio.Event(), asyncio.Event()
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
        notes = "".join(f", {note}" for note in getattr(error, "__notes__", ()))
        logger.error("could not start: %s%s", error, notes)
    except Exception:
        logger.exception("could not start")
    else:
        return True
    return False


async def _work(application: Application, stop: asyncio.Future[Any]) -> int:
    """Until a signal comes or the session is over for good; returns the exit code."""
    closed = asyncio.ensure_future(application.session.wait_closed())
    await asyncio.wait({stop, closed}, return_when=asyncio.FIRST_COMPLETED)
    if stop.done():
        code = 0
        logger.info("stopping")
    else:
        code = 1
        logger.error("the session is over: %s", closed.exception() or "it was closed")
    closed.cancel()
    return code


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
