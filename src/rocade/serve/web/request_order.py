"""Puts the requests of a session back into the order that its client made them in.

A client that sends each message in an HTTP request of its own, without waiting for the one before (autobahn-js), has
them arrive in any order. Request ids tell the right one: "IDs in the session scope MUST be incremented by 1 beginning
with 1" (basic/building_blocks.md).
"""

from __future__ import annotations

import asyncio

from rocade.errors import ProtocolViolation
from rocade.net.link import Receiver
from rocade.wamp.codec import Serializer
from rocade.wamp.ids import next_request_id
from rocade.wamp.messages import Call, Goodbye, Hello, Publish, Register, Subscribe, Unregister, Unsubscribe

__all__ = ["RequestOrder"]

WINDOW = 256
"""Distance of request ids up to which one that is missing is waited for."""

_NONE = 0
_LAST = -1
_REQUESTS = frozenset((Publish, Subscribe, Unsubscribe, Call, Register, Unregister))


class RequestOrder:
    """In front of a receiver: holds back a request until those with lower ids have come.

    Messages without a request id pass at once, except that GOODBYE stays behind what is held. When a request that is
    missing does not come in time, what is held passes in the order of ids, and nothing is held from then on: it is the
    receiver's to say whether that is a violation.
    """

    def __init__(self, receiver: Receiver, serializer: Serializer, *, patience: float, max_held_bytes: int) -> None:
        """
        Args:
            receiver: who gets everything in the end.
            serializer: of the messages.
            patience: seconds that a missing request is waited for.
            max_held_bytes: bytes that may be held.
        """
        self._receiver = receiver
        self._decode = serializer.decode
        self._patience = patience
        self._max_held_bytes = max_held_bytes
        self._next = 1
        # request id -> its message
        self._held: dict[int, bytes] = {}
        self._held_bytes = 0
        # GOODBYE, which must not overtake what is held
        self._last: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_waiting_allowed = True

    def message_received(self, data: bytes) -> None:
        """See `Receiver`."""
        request = self._request_of(data) if self._is_waiting_allowed else _NONE
        if self._held and request == _LAST:
            self._last = [data]
        elif self._next < request <= self._next + WINDOW and request not in self._held:
            self._hold(request, data)
        else:
            if request == self._next:
                self._next = next_request_id(request)
            self._receiver.message_received(data)
            self._pass_on()

    def writing_paused(self) -> None:
        """See `Receiver`."""
        self._receiver.writing_paused()

    def writing_resumed(self) -> None:
        """See `Receiver`."""
        self._receiver.writing_resumed()

    def link_lost(self, reason: str) -> None:
        """See `Receiver`."""
        self._forget()
        self._receiver.link_lost(reason)

    def _request_of(self, data: bytes) -> int:
        """The request id that has to be in order, or what else a message is to us."""
        try:
            message = self._decode(data)
        except ProtocolViolation:
            return _NONE  # the receiver says what is wrong
        if type(message) is Hello:
            # A session begins with its HELLO, and its ids with it.
            self._forget()
            self._next = 1
        elif type(message) is Goodbye:
            return _LAST
        return message.request if type(message) in _REQUESTS else _NONE  # type: ignore[attr-defined]

    def _hold(self, request: int, data: bytes) -> None:
        self._held[request] = data
        self._held_bytes += len(data)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._patience, self._give_up)
        if self._held_bytes > self._max_held_bytes:
            self._give_up()

    def _pass_on(self) -> None:
        """Let those pass whose turn it is now."""
        while self._next in self._held:
            data = self._held.pop(self._next)
            self._held_bytes -= len(data)
            self._next = next_request_id(self._next)
            self._receiver.message_received(data)
        if not self._held:
            self._release()

    def _give_up(self) -> None:
        self._is_waiting_allowed = False
        self._release()

    def _release(self) -> None:
        """Let everything pass that is held."""
        released = [self._held[request] for request in sorted(self._held)] + self._last
        self._forget()
        for data in released:
            self._receiver.message_received(data)

    def _forget(self) -> None:
        self._held.clear()
        self._held_bytes = 0
        self._last = []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
