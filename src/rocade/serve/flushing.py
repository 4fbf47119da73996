"""When outboxes are written: once the event loop has worked through what it has at hand."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rocade.serve.outbox import Outbox

__all__ = ["Flusher"]

FLUSHED_AT_ONCE = 2
"""Outboxes that are flushed in one round while something large is on its way to several receivers."""

logger = logging.getLogger("rocade.gateway")


class Flusher:
    """The outboxes that something was put into.

    Attributes:
        delivered: how often messages for several receivers were handed to one since the last flush.
        is_slow: whether something large goes to several receivers: the system takes a millisecond for each.
    """

    __slots__ = ("_dirty", "delivered", "is_slow")

    def __init__(self) -> None:
        self._dirty: list[Outbox] = []
        self.delivered = 0
        self.is_slow = False

    def needs_flush(self, outbox: Outbox) -> None:
        """Flush this outbox once the event loop has worked through what it has at hand."""
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self.flush)
        self._dirty.append(outbox)

    def flush(self) -> None:
        """One write for each link that something was put into the outbox of."""
        dirty, self._dirty = self._dirty, []
        self.delivered = 0
        if self.is_slow:
            self.is_slow = len(dirty) > FLUSHED_AT_ONCE
            self._dirty = dirty[FLUSHED_AT_ONCE:]
            dirty = dirty[:FLUSHED_AT_ONCE]
            if self._dirty:
                asyncio.get_running_loop().call_soon(self.flush)
        for outbox in dirty:
            try:
                outbox.flush()
            except Exception:  # one link's failure must not keep back what others are owed
                logger.exception("writing to %s failed", outbox.link.info.peer)
                outbox.link.abort()
