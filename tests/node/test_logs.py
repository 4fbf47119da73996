"""The log: one line per record, whatever is in it."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterator

import pytest

from rocade.node.logs import LineFormatter, configure_logging


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def record(
    message: str, *arguments: object, level: int = logging.INFO, error: BaseException | None = None
) -> logging.LogRecord:
    """A log record."""
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("rocade", level, "file.py", 1, message, arguments, info)


def test_a_record_has_time_level_process_and_message() -> None:
    line = LineFormatter().format(record("listening on %s", "127.0.0.1:8080"))

    pattern = rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}} INFO    \[{os.getpid()}\] listening on 127\.0\.0\.1:8080"
    assert re.fullmatch(pattern, line)


def test_what_a_peer_wrote_cannot_forge_a_line_or_command_a_terminal() -> None:
    line = LineFormatter().format(record("no realm %r as %s", "a", "b\n2026 INFO forged\x1b[2J été"))

    assert line.endswith("as b\\n2026 INFO forged\\x1b[2J été")
    assert "\n" not in line


def test_a_traceback_follows_indented() -> None:
    try:
        raise ValueError("wrong\nvalue")
    except ValueError as error:
        text = LineFormatter().format(record("failed", level=logging.ERROR, error=error))

    first, *rest = text.splitlines()
    assert first.endswith("failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1].startswith("    ")


def test_only_what_is_important_enough_is_logged() -> None:
    stream = io.StringIO()

    configure_logging("warning", stream)
    logging.getLogger("rocade").info("no")
    logging.getLogger("rocade").warning("yes")

    assert stream.getvalue().count("\n") == 1
    assert "yes" in stream.getvalue()


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    outputs = []
    for stream in (io.StringIO(), Terminal()):
        configure_logging("info", stream)
        logging.getLogger("rocade").warning("careful")
        outputs.append("\x1b[33m" in stream.getvalue())

    assert outputs == [False, True]


def test_no_color_turns_colours_off(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()

    configure_logging("info", stream)
    logging.getLogger("rocade").error("bad")

    assert "\x1b" not in stream.getvalue()
