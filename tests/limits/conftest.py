"""Tests are coroutines; they run on the event loop that routers run on."""

from __future__ import annotations

import inspect

import pytest
from tests.limits.scene import play


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    play(pyfuncitem.obj(**arguments))
    return True
