"""The log of a process of ours: one line per record, in plain words, on standard error."""

from __future__ import annotations

import codecs
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal, TextIO, get_args

__all__ = ["LEVELS", "FloodGate", "LineFormatter", "LogLevel", "configure_logging"]

LogLevel = Literal["error", "warning", "info", "debug"]
"""How much is logged, the least first."""

LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)

LINES = 100
"""Lines of one kind that are logged in one `PERIOD`."""

PERIOD = 60.0
"""Seconds."""

STRANGERS = frozenset(
    f"rocade.{name}" for name in ("connection", "gateway", "limits", "logins", "longpoll", "net", "outbox")
)
"""Loggers that tell of what anybody can bring about as often as he can connect."""

_COLOURS = {"ERROR": "31", "CRITICAL": "31", "WARNING": "33", "DEBUG": "2"}  # level -> terminal colour code


class LineFormatter(logging.Formatter):
    """Formats a record as "2026-01-31 12:00:00.123 INFO    [4711] message".

    What a peer wrote may be part of a message, so line breaks and control characters in it are escaped: nobody
    can forge a record, or send commands to the terminal that shows it. A traceback follows in lines of its own.
    """

    def __init__(self, *, colours: bool = False) -> None:
        """
        Args:
            colours: colour the level, for terminals.
        """
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """The line (or, with a traceback, the lines) for one record."""
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        level = f"{record.levelname:<7}"
        if self._colours and record.levelname in _COLOURS:
            level = f"\x1b[{_COLOURS[record.levelname]}m{level}\x1b[0m"
        message = _one_line(record.getMessage())
        left_out = getattr(record, "left_out", 0)
        if left_out:
            message += f" (before that, {left_out} more lines of this kind were left out)"
        line = f"{moment}.{int(record.msecs):03d} {level} [{record.process}] {message}"
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "".join(f"\n    {_one_line(part)}" for part in trace.splitlines())
        return line


class FloodGate(logging.Filter):
    """Leaves out what strangers bring about too often. How much that was is told with the next line of its kind.

    A kind is a logger and the text of its lines without what is filled in, of which there are only as many as there
    are in the program. Errors always pass.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            clock: the time in seconds.
        """
        super().__init__()
        self._clock = clock
        self._until = 0.0
        # kind -> how often it came in this period
        self._counts: Counter[tuple[str, str]] = Counter()
        # kind -> how much was left out before, and nobody was told yet
        self._left_out: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is logged."""
        if record.name not in STRANGERS or record.levelno >= logging.ERROR:
            return True
        now = self._clock()
        if now >= self._until:
            self._until = now + PERIOD
            self._counts.clear()
        kind = record.name, str(record.msg)
        self._counts[kind] += 1
        if self._counts[kind] > LINES:
            self._left_out[kind] += 1
            return False
        record.left_out = self._left_out.pop(kind, 0)
        return True


def configure_logging(level: LogLevel = "info", stream: TextIO | None = None) -> None:
    """Send the records of all libraries to one stream, in one format, replacing earlier settings.

    Args:
        level: the least important level that is logged.
        stream: where to; standard error by default.
    """
    target = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    # https://no-color.org: any value but the empty one turns colours off
    handler.setFormatter(LineFormatter(colours=target.isatty() and not os.environ.get("NO_COLOR")))
    if level != "debug":
        handler.addFilter(FloodGate())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    if level != "debug":
        # uvicorn tells of every socket that it opens and closes; the node says what matters itself
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
    else:
        logging.getLogger("uvicorn").setLevel(logging.NOTSET)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return _ESCAPE(character)[0].decode("ascii")


# Found now: it is a file of Python's, and what is to be logged may be that no more files can be opened.
_ESCAPE = codecs.getencoder("unicode_escape")
