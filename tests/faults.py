"""What is logged as a failure of ours while hostile clients are at work."""

from __future__ import annotations

import logging


class Faults(logging.Handler):
    """Remembers errors, with their tracebacks. What clients do wrong is logged as warnings, at most."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        self.texts.append(logging.Formatter().format(record))
