"""How many there are by some key: connections by address, sessions by authid."""

from __future__ import annotations

__all__ = ["Tally"]


class Tally(dict[str, int]):
    """Counts by key, each of which is forgotten when it comes to zero."""

    __slots__ = ()

    def __missing__(self, key: str) -> int:
        return 0

    def add(self, key: str) -> None:
        """One more."""
        self[key] += 1

    def remove(self, key: str) -> None:
        """One less, if there is any."""
        left = self[key] - 1
        if left > 0:
            self[key] = left
        else:
            self.pop(key, None)
