"""What all connections of one listener, or of one client, share."""

from __future__ import annotations

import asyncio
from typing import Any

from rocade.net.door import Door
from rocade.net.heartbeat import Heartbeat
from rocade.net.long_writes import LongWrites

__all__ = ["READ_LIMIT", "Surroundings"]

READ_LIMIT = 65536
"""Most bytes taken from a socket at once: bounds how long one connection can hold the loop."""


class Surroundings:
    """What all connections of one listener share.

    Attributes:
        loop, connections, door: see `__init__`.
        heartbeat: pings those that are silent.
        long_writes: lets those write in turn that have more to write than is handed over at once.
        scratch: where connections without a buffer of their own read into; used up before the next read.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connections: set[Any] | None = None, door: Door | None = None
    ) -> None:
        """
        Args:
            loop: the loop that all of them run on.
            connections: where open connections are listed; uvicorn's own set in a listener.
            door: counts them; None if nobody does.
        """
        self.loop = loop
        self.connections: set[Any] = set() if connections is None else connections
        self.door = door
        self.heartbeat = Heartbeat(loop)
        self.long_writes = LongWrites(loop)
        self.scratch = memoryview(bytearray(READ_LIMIT))
