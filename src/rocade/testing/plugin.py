"""The pytest plugin: a router as a fixture, and the messages of a test that has failed.

pytest imports it at every start, whatever is tested, so it imports nothing else of Rocade until it is used.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rocade.testing.routers import ListeningRouter


@pytest.fixture
def rocade_router() -> Iterator[ListeningRouter]:
    """A router that listens on a free port of 127.0.0.1, on an event loop of its own: `rocade_router.url`."""
    from rocade.testing.routers import ListeningRouter

    with ListeningRouter() as router:
        yield router


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """What was recorded for one test does not belong to the next."""
    try:
        return (yield)
    finally:
        module = sys.modules.get("rocade.testing.recording")
        if module is not None:
            module.forget_recordings()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the messages of a test that has failed."""
    report = yield
    module = sys.modules.get("rocade.testing.recording")
    if report.failed and module is not None:
        for recording in module.all_recordings():
            lines = recording.lines()
            if lines:
                report.sections.append(("WAMP messages", "\n".join(lines)))
    return report
