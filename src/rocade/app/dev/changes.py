"""Files that have changed: the watch over those of an application."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rocade.errors import ConfigurationError

if TYPE_CHECKING:
    from watchfiles import Change

__all__ = ["Changes", "watching"]

SETTLE_MILLISECONDS = 50
"""How long no further file may change before the application is restarted: editors write in several steps."""

END_MILLISECONDS = 500
"""How long the end of the watch may take."""

logger = logging.getLogger("rocade.dev")


class Changes:
    """Files that have changed since somebody asked last."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._news = asyncio.Event()

    def add(self, names: Collection[str]) -> None:
        """Some have changed."""
        self._names.update(names)
        self._news.set()

    async def wait(self) -> None:
        """Wait until some have."""
        await self._news.wait()

    def take(self) -> list[str]:
        """Which have changed; from now on, only what changes later counts."""
        names, self._names = self._names, set()
        self._news.clear()
        return sorted(names)


@asynccontextmanager
async def watching(directory: Path, extra: Sequence[str]) -> AsyncIterator[Changes]:
    """Watch the Python files below a directory, and further files and directories whatever is in them.

    Args:
        directory: where the application is.
        extra: the others.
    Raises:
        ConfigurationError: one of them does not exist, or watchfiles is not installed.
    """
    try:
        import watchfiles
    except ImportError:
        raise ConfigurationError("", "rocade dev needs watchfiles: pip install 'rocade[dev]'") from None
    others = _paths(extra)
    usual = watchfiles.DefaultFilter()

    def counts(change: Change, name: str) -> bool:
        if not usual(change, name):
            return False
        return name.endswith(".py") or any(Path(name).is_relative_to(path) for path in others)

    changes, end = Changes(), asyncio.Event()

    async def watch() -> None:
        watched = watchfiles.awatch(
            directory,
            *others,
            watch_filter=counts,
            step=SETTLE_MILLISECONDS,
            stop_event=end,
            rust_timeout=END_MILLISECONDS,
        )
        try:
            async for found in watched:
                changes.add([_relative(name) for _, name in found])
        except OSError as error:  # such as more files than the system watches for one user
            logger.error("files are not watched any more: %s", error)

    task = asyncio.create_task(watch())
    try:
        yield changes
    finally:
        end.set()
        await task


def _paths(names: Sequence[str]) -> list[Path]:
    paths = [Path(name).resolve() for name in names]
    for path in paths:
        if not path.exists():
            raise ConfigurationError("--watch", f"there is no file or directory {path}")
    return paths


def _relative(name: str) -> str:
    try:
        return os.path.relpath(name)
    except ValueError:  # on another drive
        return name
