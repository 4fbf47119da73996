"""For tests of applications: an application and a client for it in the test's own process, without a port.

::

    async def test_the_answer() -> None:
        async with running(app) as client:
            assert await client.call("demo.answer") == 42

With the pytest plugin that comes with Rocade, a test that fails shows the messages that were exchanged, and there is
the fixture `rocade_router`: a router that listens, for clients of all kinds.

Names are imported when they are first used, as pytest imports the plugin wherever Rocade is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rocade.testing.applications import running as running
    from rocade.testing.clock import VirtualClock as VirtualClock
    from rocade.testing.recording import Recording as Recording
    from rocade.testing.routers import ListeningRouter as ListeningRouter

# name -> module that has it
_LAZY = {
    "ListeningRouter": "rocade.testing.routers",
    "Recording": "rocade.testing.recording",
    "VirtualClock": "rocade.testing.clock",
    "running": "rocade.testing.applications",
}
__all__ = [*_LAZY]


if not TYPE_CHECKING:  # type checkers would take every name for one that is there

    def __getattr__(name: str) -> Any:
        module = _LAZY.get(name)
        if module is None:
            raise AttributeError(f"module 'rocade.testing' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(module), name)
        return value
