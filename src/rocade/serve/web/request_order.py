"""Puts the requests of a session back into the order that its client made them in.

A client that sends each message in an HTTP request of its own, without waiting for the one before (autobahn-js), has
them arrive in any order. Request ids tell the right one: "IDs in the session scope MUST be incremented by 1 beginning
with 1" (basic/building_blocks.md).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from rocade.errors import DecodingTakesLong, ProtocolViolation
from rocade.net.link import Receiver
from rocade.wamp.codec import Serializer
from rocade.wamp.ids import next_request_id
from rocade.wamp.messages import Hello

__all__ = ["RequestOrder"]

WINDOW = 256
"""Distance of request ids up to which one that is missing is waited for."""

MAX_HELLO_BYTES = 65536
"""Longest HELLO that is looked into; a longer one is refused anyway."""

_HELLO, _GOODBYE = 1, 6
# PUBLISH, SUBSCRIBE, UNSUBSCRIBE, CALL, REGISTER, UNREGISTER
_REQUESTS = frozenset((16, 32, 34, 48, 64, 66))


class RequestOrder:
    """In front of a receiver: holds back a request until those with lower ids have come.

    Messages without a request id pass at once, except that GOODBYE stays behind what is held. When a request that is
    missing does not come in time, what is held passes in the order of ids, and nothing is held in this session from
    then on: it is the receiver's to say whether that is a violation.
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
        self._serializer = serializer
        self._head = _HEADS[serializer.name]
        self._patience = patience
        self._max_held_bytes = max_held_bytes
        self._next = 1
        # request id -> its message
        self._held: dict[int, bytes | memoryview] = {}
        self._held_bytes = 0
        # GOODBYE, which must not overtake what is held
        self._last: list[bytes | memoryview] = []
        self._timer: asyncio.TimerHandle | None = None
        # Between HELLO and GOODBYE, as long as what is missing has come in time.
        self._is_waiting_allowed = False

    def message_received(self, data: bytes | memoryview) -> None:
        """See `Receiver`."""
        code, request = self._head(data)
        if code == _HELLO:
            self._begin(data)
        elif self._is_waiting_allowed and code == _GOODBYE:
            if self._held:
                self._last = [data]
                return
            self._is_waiting_allowed = False
        elif self._is_waiting_allowed and code in _REQUESTS:
            if self._next < request <= self._next + WINDOW and request not in self._held:
                self._hold(request, data)
                return
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

    def _begin(self, data: bytes | memoryview) -> None:
        """A session begins with its HELLO, and its request ids with it."""
        self._forget()
        self._next = 1
        try:
            hello = self._serializer.decode(bytes(data)) if len(data) <= MAX_HELLO_BYTES else None
        except (ProtocolViolation, DecodingTakesLong):
            hello = None  # the receiver says what is wrong
        # A session that is resumed goes on where it stopped, wherever that was. In one that can be, both sides count
        # messages in the order of sending: what passed something that is held would be taken for it.
        self._is_waiting_allowed = (
            isinstance(hello, Hello) and hello.details.resume_session is None and not hello.details.resumable
        )

    def _hold(self, request: int, data: bytes | memoryview | memoryview) -> None:
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


# Code and request id of a message, found without a look at the rest of it, however long; zeros where there is none.
_Head = Callable[[bytes | memoryview], tuple[int, int]]

_JSON_HEAD = re.compile(rb"\s*\[\s*(\d{1,4})\s*(?:,\s*(\d{1,16})\s*[,\]])?")


def _json_head(data: bytes | memoryview) -> tuple[int, int]:
    found = _JSON_HEAD.match(data)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def _binary_head(arrays: dict[int, int], numbers: dict[int, int]) -> _Head:
    """
    Args:
        arrays: first byte of an array -> how many bytes of its length follow.
        numbers: first byte of an integer -> how many bytes of it follow; one that is not here is the integer itself,
            or none.
    """

    def number(data: bytes | memoryview, at: int) -> tuple[int, int]:
        first = data[at]
        size = numbers.get(first, 0)
        value = int.from_bytes(data[at + 1 : at + 1 + size], "big") if size else first if first < 0x80 else 0
        return value, at + 1 + size

    def head(data: bytes | memoryview) -> tuple[int, int]:
        try:
            size = arrays.get(data[0])
            if size is None:
                return 0, 0
            code, at = number(data, 1 + size)
            return code, number(data, at)[0]
        except IndexError:
            return 0, 0

    return head


# Serializer name -> what finds the head of its messages.
_HEADS: dict[str, _Head] = {
    "json": _json_head,
    "msgpack": _binary_head(
        {**dict.fromkeys(range(0x90, 0xA0), 0), 0xDC: 2, 0xDD: 4},
        {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8},
    ),
    "cbor": _binary_head(
        {**dict.fromkeys(range(0x80, 0x98), 0), 0x98: 1, 0x99: 2, 0x9A: 4, 0x9B: 8, 0x9F: 0},
        {0x18: 1, 0x19: 2, 0x1A: 4, 0x1B: 8},
    ),
}
