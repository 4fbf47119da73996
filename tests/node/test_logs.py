"""The log: one line per record, whatever is in it."""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterator

import pytest

from rocade.serve.logs import FloodGate, LineFormatter, configure_logging


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


def test_strangers_cannot_flood_the_log() -> None:
    now = [0.0]
    gate = FloodGate(lambda: now[0])
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    handler.addFilter(gate)

    def tell(name: str, level: int, text: str, count: int) -> list[str]:
        stream.seek(0)
        stream.truncate()
        for number in range(count):
            handler.handle(logging.LogRecord(name, level, "file.py", 1, text, (number,), None))
        return stream.getvalue().splitlines()

    assert len(tell("rocade.connection", logging.WARNING, "%s broke the protocol", 5000)) == 100
    assert len(tell("rocade.connection", logging.INFO, "%s refused", 50)) == 50  # others have a count of their own
    assert len(tell("rocade.connection", logging.ERROR, "our fault: %s", 500)) == 500
    assert len(tell("rocade.access", logging.INFO, "GET %s", 500)) == 500
    now[0] = 61.0
    first, second = tell("rocade.connection", logging.WARNING, "%s broke the protocol", 2)
    assert first.endswith("0 broke the protocol (before that, 4900 more lines of this kind were left out)")
    assert second.endswith("1 broke the protocol")


def test_at_level_debug_nothing_is_left_out() -> None:
    stream = io.StringIO()
    configure_logging("debug", stream)

    for number in range(150):
        logging.getLogger("rocade.connection").info("%s refused", number)

    assert len(stream.getvalue().splitlines()) == 150
