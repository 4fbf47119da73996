"""The parent process of `rocade dev`: the router, the watch over the files, and one application after the other."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from rocade.app.dev.changes import Changes, watching
from rocade.app.dev.process import Child
from rocade.app.http import Files, services
from rocade.app.target import check, directory_of
from rocade.errors import ConfigurationError
from rocade.serve.embedded import EmbeddedRouter
from rocade.serve.hold import Hold
from rocade.serve.logs import LogLevel, configure_logging
from rocade.serve.loop import on_stop_signals

__all__ = ["run"]

logger = logging.getLogger("rocade.dev")


def run(
    target: str,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    realm: str = "realm1",
    watch: Sequence[str] = (),
    insecure: bool = False,
    log_level: LogLevel = "info",
) -> int:
    """Run an application and its router until SIGINT or SIGTERM; restart the application when its files change.

    Args:
        target: a file or module, see `rocade.app.target`.
        host, port, realm, insecure: of the router, see `EmbeddedRouter`.
        watch: further files and directories whose changes count.
        log_level: how much is logged.
    Returns:
        Exit code: 0 after an orderly end.
    Raises:
        ConfigurationError: the address cannot be had, there is no such file or module, watchfiles is not installed, or
            this is Windows.
    """
    if sys.platform == "win32":
        raise ConfigurationError("", "rocade dev does not run on Windows; run the application itself")
    check(target)
    configure_logging(log_level)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    # asyncio's own event loop: uvloop resets the signals of child processes, see `Child.start`.
    with asyncio.Runner() as runner:
        return runner.run(_serve(target, host, port, realm, watch, insecure, log_level))


async def _serve(
    target: str,
    host: str,
    port: int | None,
    realm: str,
    watch: Sequence[str],
    insecure: bool,
    log_level: LogLevel,
) -> int:
    stopping = asyncio.Event()
    on_stop_signals(stopping.set)
    async with watching(directory_of(target), watch) as changes:
        with tempfile.TemporaryDirectory(prefix="rocade-dev-") as directory:
            path = os.path.join(directory, "router.sock")
            hold = Hold(f"unix:{path}")
            router = EmbeddedRouter(realm, authorizer=hold)
            router.bind(host, port, insecure=insecure)
            router.bind_unix(path)
            router.serve({})
            await router.start()
            logger.info("router on %s, realm %s; it stays while the application is restarted", router.url, realm)
            order = {
                "target": target,
                "url": f"unix:{path}",
                "realm": realm,
                "log_level": log_level,
                "tells_callers": not insecure,
            }
            try:
                await Supervisor(order, router, hold, changes).run(stopping)
            finally:
                await router.stop()
    logger.info("stopped")
    return 0


class Supervisor:
    """Keeps one application running, and one process ready for the next."""

    def __init__(self, order: dict[str, Any], router: EmbeddedRouter, hold: Hold, changes: Changes) -> None:
        """
        Args:
            order: what a child is told to load.
            router: what the application joins.
            hold: keeps calls of the router back.
            changes: of the files.
        """
        self._order = order
        self._router = router
        self._hold = hold
        self._changes = changes
        # The application that runs, the one that is to take its place, and the process for the next.
        self._current: Child | None = None
        self._fresh: Child | None = None
        self._spare: Child | None = None
        # Whether there was a module to load, even if it could not be loaded: then a change may help.
        self._has_found = False
        # What the router serves.
        self._files: list[Files] = []

    async def run(self, stopping: asyncio.Event) -> None:
        """Run the application, and again at each change, until told to stop.

        Raises:
            ConfigurationError: there is no such module, from the beginning.
        """
        stop = asyncio.ensure_future(stopping.wait())
        try:
            await _first(stop, self._restart())
            while not stopping.is_set():
                await _first(stop, self._changes.wait(), self._watch_over())
                if not stopping.is_set() and (names := self._changes.take()):
                    logger.info("changed: %s", ", ".join(names))
                    await _first(stop, self._restart())
        finally:
            stop.cancel()
            self._hold.end()
            await self._end()

    async def _watch_over(self) -> None:
        """Wait for the application to end by itself, say so, and then for ever: a change will start it again."""
        if self._current is not None:
            code = await self._current.end()
            self._current = None
            logger.error("the application has ended with code %d; a change of its files starts it again", code)
        await asyncio.get_running_loop().create_future()

    async def _restart(self) -> None:
        """Replace the application by its files' new content, if that can be loaded."""
        begin = time.monotonic()
        self._hold.begin()
        try:
            if await self._load():
                await self._replace(begin)
            elif self._current is not None:
                logger.error("the application that ran before goes on")
            else:
                logger.error("the application could not be loaded; a change of its files tries again")
        finally:
            self._hold.end()
        if self._spare is None:
            self._spare = await Child.start()

    async def _load(self) -> bool:
        """Have a process with the application loaded; False if it cannot be. A further change begins anew."""
        while True:
            self._fresh, self._spare = self._spare or await Child.start(), None
            loading = asyncio.ensure_future(self._fresh.load(self._order))
            changed = asyncio.ensure_future(self._changes.wait())
            try:
                await asyncio.wait({loading, changed}, return_when=asyncio.FIRST_COMPLETED)
                has_ended = loading.done()
                is_loaded = has_ended and loading.result()
            except ConfigurationError as error:
                if not self._has_found:
                    raise
                is_loaded = False
                logger.error("%s", error.message)
            finally:
                changed.cancel()
                loading.cancel()
            self._has_found |= has_ended
            if is_loaded:
                return True
            await self._fresh.kill()
            self._fresh = None
            if has_ended:
                return False
            logger.info("changed again: %s", ", ".join(self._changes.take()))

    async def _replace(self, begin: float) -> None:
        """Let the one that ran before stop, and the one that is loaded begin."""
        if self._current is not None:
            before, self._current = self._current, None
            await before.stop()
        assert self._fresh is not None
        self._current, self._fresh = self._fresh, None
        self._serve(self._current.files)
        if await self._current.begin():
            logger.info("application ready after %.2f s; Ctrl-C stops it", time.monotonic() - begin)

    def _serve(self, files: list[Files]) -> None:
        self._router.serve(services(files))
        for entry in files:
            if entry not in self._files:
                logger.info("files of %s at %s%s", entry.directory, self._router.http_url, entry.path)
        self._files = files

    async def _end(self) -> None:
        waiting = [child for child in (self._fresh, self._spare) if child is not None]
        current = self._current
        self._current = self._fresh = self._spare = None
        for child in waiting:
            await child.kill()
        if current is not None:
            await current.stop()


async def _first(*works: Any) -> None:
    """Wait until the first of some is done; the others are canceled, except futures of the caller's."""
    tasks = [asyncio.ensure_future(work) for work in works]
    ours = [task for task, work in zip(tasks, works, strict=True) if task is not work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)
    for task in done:
        task.result()
