"""How long decoding may take, where that depends on more than how long a message is.

Whoever is in haste, an event loop, decodes what is quickly decoded, and leaves the rest to somebody who is patient.
This package knows no time, so whoever wants it to be looked at hands in a clock.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["REPAIRED_BYTES", "SHORT_BYTES", "Patience", "time_with"]

SHORT_BYTES = 2048
"""Longest binary message or payload in which no maps are feared that are made to take long.

A dictionary takes a time that grows with the square of its size when its keys are chosen such that their hashes are the
same. Those of texts and of binary have a secret in them, those of all else do not; so few of these take no more than
half a millisecond. A HELLO is hardly ever longer: none depends on how busy the machine is.
"""

REPAIRED_BYTES = 16 * 1024
"""Longest JSON, or head of a binary message, that is repaired in haste."""

_clock: Callable[[], float] = float  # always zero


def time_with(clock: Callable[[], float]) -> None:
    """Look at the time from now on.

    Args:
        clock: seconds of CPU time of this thread.
    """
    global _clock
    _clock = clock


class Patience:
    """Some time, of which the more is left the further decoding has come."""

    __slots__ = ("_base", "_begin", "_rate")

    def __init__(self, base: float, rate: float) -> None:
        """
        Args:
            base: seconds that it may take in any case.
            rate: and for each byte.
        """
        self._base = base
        self._rate = rate
        self._begin = _clock()

    def is_over(self, position: int) -> bool:
        """Whether decoding so many bytes has taken too long."""
        return _clock() - self._begin > self._base + self._rate * position
