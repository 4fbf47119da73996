"""For tests of applications: an application and a client for it in the test's own process, without a port.

::

    async def test_the_answer() -> None:
        async with running(app) as client:
            assert await client.call("demo.answer") == 42

With the pytest plugin that comes with Rocade, a test that fails shows the messages that were exchanged, and there is
the fixture `rocade_router`: a router that listens, for clients of all kinds.
"""

from rocade.testing.applications import running
from rocade.testing.clock import VirtualClock
from rocade.testing.recording import Recording

__all__ = ["Recording", "VirtualClock", "running"]
