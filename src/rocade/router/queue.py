"""Calls that wait until a callee is free: first come, first served, and not too many of them.

The specification knows `REGISTER.Options.concurrency` no more than by name; the rules are in docs/wamp.md.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rocade.router.calls import PendingCall

__all__ = ["CallQueue"]

MAX_WAITING_CALLS = 1000
"""Calls that wait for the callees of one registration."""

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Bytes of payload that all of them have together."""


class CallQueue:
    """The calls that wait for the callees of one registration, in the order in which they came."""

    __slots__ = ("_bytes", "_sizes")

    def __init__(self) -> None:
        self._bytes = 0
        # call -> bytes of its payload. In a plain dict, finding the first would take longer the more have gone.
        self._sizes: OrderedDict[PendingCall, int] = OrderedDict()

    def add(self, call: PendingCall, size: int, *, in_front: bool = False) -> bool:
        """Let a call wait; whether there was room for it.

        Args:
            call: which call.
            size: bytes of its payload.
            in_front: it has been waiting before, longer than all others.
        """
        if len(self._sizes) >= MAX_WAITING_CALLS or self._bytes + size > MAX_WAITING_BYTES:
            return False
        self._bytes += size
        self._sizes[call] = size
        if in_front:
            self._sizes.move_to_end(call, last=False)
        return True

    def remove(self, call: PendingCall) -> None:
        """A call that waits does not wait any more."""
        self._bytes -= self._sizes.pop(call)

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[PendingCall]:
        return iter(self._sizes)
