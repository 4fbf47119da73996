"""Tests that are coroutines run on asyncio's own event loop, and must leave nothing behind on it."""

from __future__ import annotations

import asyncio

import pytest
from tests.coroutines import run_coroutine

TIMEOUT = 20.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """See `run_coroutine`."""
    return run_coroutine(pyfuncitem, asyncio.new_event_loop)


@pytest.fixture(autouse=True)
def _log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rocade")
