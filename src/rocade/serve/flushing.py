"""When outboxes are written: once the event loop has worked through what it has at hand."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rocade.serve.outbox import Outbox

__all__ = ["Flusher"]

FLUSHED_AT_ONCE = 200
"""Outboxes that are flushed in one round of the loop: the system takes up to ten microseconds for each."""

FLUSH_SECONDS = 0.001
"""Seconds that flushing takes in one round, and the outbox at hand: some links compress what they write."""

logger = logging.getLogger("rocade.gateway")


class Flusher:
    """The outboxes that something was put into.

    Attributes:
        delivered: how often messages for several receivers were handed to one since the last flush.
    """

    __slots__ = ("_dirty", "delivered")

    def __init__(self) -> None:
        self._dirty: deque[Outbox] = deque()
        self.delivered = 0

    def needs_flush(self, outbox: Outbox) -> None:
        """Flush this outbox once the event loop has worked through what it has at hand."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self.flush)
        self._dirty.append(outbox)

    def flush(self) -> None:
        """One write for each link that something was put into the outbox of; for the last ones in a later round."""
        dirty = self._dirty
        self.delivered = 0
        end = perf_counter() + FLUSH_SECONDS
        for _ in range(min(len(dirty), FLUSHED_AT_ONCE)):
            outbox = dirty[0]
            try:
                outbox.flush()
            except Exception:  # one link's failure must not keep back what others are owed
                logger.exception("writing to %s failed", outbox.link.info.peer)
                outbox.link.abort()
            # Behind it: meanwhile nothing else starts another round.
            dirty.popleft()
            if perf_counter() > end:
                break
        if dirty:
            asyncio.get_running_loop().call_soon(self.flush)
