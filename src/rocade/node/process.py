"""The process of a node: start, wait for a signal, stop."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import platform
import signal
import sys
from collections.abc import Callable

from rocade.node.garbage import tame_garbage_collection
from rocade.node.remarks import remarks
from rocade.node.safety import problems
from rocade.node.settings import Configuration
from rocade.node.worker import Worker
from rocade.serve.logs import LogLevel, configure_logging
from rocade.serve.loop import loop_factory, on_stop_signals, tell_briefly_of_shortage

__all__ = ["run"]

FILE_LIMIT = 65536
"""Open files that a node asks the system for: one for each connection."""

COMFORTABLE_FILE_LIMIT = 8192
"""Fewer than this are worth a warning."""

MAPPED_BYTES = 1024 * 1024
"""From this size on a block of memory is mapped for itself."""

_M_MMAP_THRESHOLD = -3  # of malloc.h

STOP_SECONDS = 4.0
"""When stopping takes longer than this, the process ends all the same."""

logger = logging.getLogger("rocade.node")


def run(configuration: Configuration, *, insecure: bool = False, log_level: LogLevel = "info") -> int:
    """Run a node until SIGINT or SIGTERM; SIGHUP makes it read its certificates again.

    Args:
        configuration: a checked configuration.
        insecure: whether the user has accepted what `rocade.node.safety.problems` finds.
        log_level: how much is logged.
    Returns:
        Exit code: 0 after an orderly end.
    Raises:
        ConfigurationError: an address to listen on or a certificate cannot be had.
    """
    configure_logging(log_level)
    worker = Worker(configuration.worker)
    worker.bind()
    _raise_file_limit()
    _keep_large_memory_apart()
    for remark in remarks(configuration):
        logger.info("%s", remark)
    if insecure:
        for problem in problems(configuration):
            logger.warning("insecure: %s", problem)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(worker))
    return 0


async def _serve(worker: Worker) -> None:
    stopping = asyncio.Event()
    tell_briefly_of_shortage()
    on_stop_signals(stopping.set)
    _on_hangup(lambda: None if stopping.is_set() else worker.reload_certificates(), stopping.set)
    await worker.start()
    _log_start(worker)
    tame_garbage_collection()
    await stopping.wait()
    logger.info("stopping: saying goodbye to all sessions")
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await worker.stop()
    except TimeoutError:
        logger.warning("clients still connected after %g s are cut off", STOP_SECONDS)
    logger.info("stopped")


def _keep_large_memory_apart() -> None:
    """Have the C library map large blocks one by one, as it does in the beginning, for ever.

    glibc ceases to do so once such a block has been freed. Then a long message that is collected as it comes is copied
    whenever it needs more room, which takes 12 ms for 16 MiB instead of 1 ms, and its memory is not given back.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)


def _log_start(worker: Worker) -> None:
    logger.info("router process %d on Python %s, event loop %s", os.getpid(), _python(), _loop_name())
    for realm in worker.configuration.realms:
        roles = ", ".join(
            f"{role.name} (may do everything)" if role.may_do_everything else role.name for role in realm.roles
        )
        logger.info("realm %s with role %s", realm.name, roles or "none: nobody can join")
    for line in worker.describe():
        logger.info("%s", line)
    logger.info("ready; Ctrl-C stops it")


def _on_hangup(reload: Callable[[], object], stop: Callable[[], object]) -> None:
    """Call `reload` on SIGHUP, unless it says what it said first: that the terminal is gone."""
    if sys.platform == "win32":
        return
    # Whoever starts a node by nohup wants it to survive the terminal.
    dies_with_terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    def hang_up() -> None:
        if dies_with_terminal and not _has_terminal():
            stop()
        else:
            reload()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _raise_file_limit() -> None:
    """Let this process hold as many connections as the system allows."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILE_LIMIT if hard == resource.RLIM_INFINITY else min(FILE_LIMIT, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != resource.RLIM_INFINITY and soft < COMFORTABLE_FILE_LIMIT:
        logger.warning(
            "the system allows this process %d open files, so fewer connections; raise the hard limit (ulimit -Hn)",
            soft,
        )


def _python() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])


def _loop_name() -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]
