"""What an operator wants to know of limits that were reached: how often, and by whom."""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

__all__ = ["Counters"]

SILENCE = 600.0
"""Seconds after which the log tells again of a limit that the same client reaches."""

MAX_REMEMBERED = 4096
"""Clients and limits of which it is remembered that the log has told."""

logger = logging.getLogger("rocade.limits")


class Counters:
    """How often limits were reached. The log tells once of each client and limit, not each time.

    Attributes:
        reached: name of a limit, as in the configuration -> how often it was reached.
        failed_logins: failed logins.
        lock_outs: times that an address, or somebody at an address, was locked out after failed logins.
        locked_out: logins that were refused for that.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            clock: the time in seconds.
        """
        self.reached: Counter[str] = Counter()
        self.failed_logins = 0
        self.lock_outs = 0
        self.locked_out = 0
        self._clock = clock
        # (limit, who) -> when the log told, oldest first
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()

    def summary(self) -> str:
        """All that was counted, in plain words; empty if nothing was."""
        parts = [f"{limit} {count} times" for limit, count in sorted(self.reached.items())]
        if self.failed_logins or self.locked_out:
            parts.append(f"{self.failed_logins} failed logins, {self.lock_outs} lock-outs")
            parts.append(f"{self.locked_out} attempts of those who were locked out")
        return "; ".join(parts)

    def total(self) -> int:
        """How often any limit was reached."""
        return self.reached.total()

    def limit_reached(self, limit: str, who: str, text: str) -> None:
        """Count, and log unless that has been done for the same client a short while ago.

        Args:
            limit: the limit's name.
            who: which client: an address where there is one, since clients may have any number of names.
            text: what has happened, in plain words.
        """
        self.reached[limit] += 1
        now = self._clock()
        key = (limit, who)
        told = self._told.get(key)
        if told is not None and now - told < SILENCE:
            return
        self._told.pop(key, None)
        self._told[key] = now
        if len(self._told) > MAX_REMEMBERED:
            self._told.popitem(last=False)
        logger.warning("%s has reached the limit %s: %s (%d times in all)", who, limit, text, self.reached[limit])
