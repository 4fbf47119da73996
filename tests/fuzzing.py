"""Tests with random input: how much of it there is, and what is logged as a failure of ours meanwhile."""

from __future__ import annotations

import logging
import os
from typing import Any

from hypothesis import settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""More than CI has time for, and each time others."""


def fuzzing(examples: int, **options: Any) -> settings:
    """Settings of a test: so many examples, always the same ones; or as many as were asked for.

    Args:
        examples: how many in CI.
        **options: further settings.
    """
    return settings(max_examples=EXAMPLES or examples, deadline=None, derandomize=not EXAMPLES, **options)


class Faults(logging.Handler):
    """Remembers errors, with their tracebacks. What clients do wrong is logged as warnings, at most."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        self.texts.append(logging.Formatter().format(record))
