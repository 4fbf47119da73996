"""How lost connections are replaced."""

from __future__ import annotations

import random
from dataclasses import dataclass

__all__ = ["Reconnect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """How lost connections are replaced.

    Attributes:
        first_delay: seconds before the second attempt; the first one follows at once, unless the connection before it,
            too, had lasted for a moment only.
        factor: by which the delay grows.
        max_delay: its longest, in seconds.
        jitter: share of the delay, up to which it is shortened at random, so that not all clients come at once.
        max_attempts: after so many in a row that failed it is given up; None is never.
        max_refusals: after so many refusals (the router is there, but does not let the client in any more) it is given
            up.
    """

    first_delay: float = 0.2
    factor: float = 1.7
    max_delay: float = 30.0
    jitter: float = 0.5
    max_attempts: int | None = None
    max_refusals: int = 10

    def delay(self, attempt: int) -> float:
        """Seconds before an attempt, the first of which is number 0."""
        if attempt == 0:
            return 0.0
        longest = min(self.max_delay, self.first_delay * self.factor ** min(attempt - 1, 64))
        return longest * (1 - self.jitter * random.random())
