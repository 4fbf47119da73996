"""What holds for all tests of this folder.

Tests that are coroutines run on an event loop with a clock of its own, and must leave nothing behind on it.
"""

from __future__ import annotations

import pytest
from tests.coroutines import run_coroutine
from tests.serve.scene import ClockLoop

from rocade.serve import backlog, flushing


@pytest.fixture(autouse=True)
def _as_much_at_once_as_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, work is not left to a later round because of the time; some tests want that."""
    monkeypatch.setattr(backlog, "SLICE_SECONDS", float("inf"))
    monkeypatch.setattr(flushing, "FLUSH_SECONDS", float("inf"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """See `run_coroutine`."""
    return run_coroutine(pyfuncitem, ClockLoop)
