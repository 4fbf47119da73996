"""Long messages for receivers with another serializer: translated by a process, while their place in line is kept.

What has been put into an outbox behind such a message waits for it, so the order is what it would be without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Raw
from msgspec.structs import replace

from rocade.errors import PayloadNotSerializable
from rocade.net.link import Wire
from rocade.router.effects import Deliver
from rocade.wamp.codec import Serializer
from rocade.wamp.large import payload_of
from rocade.wamp.pieces import Pieces

if TYPE_CHECKING:
    from rocade.serve.checking import Translated, Worker
    from rocade.serve.outbox import Outbox
    from rocade.serve.session import ConnectedSession

__all__ = ["MAX_BACKLOG_BYTES", "Slot", "Translation", "Undeliverable", "too_large"]

MAX_BACKLOG_BYTES = 16 * 1024 * 1024
"""Bytes that wait to be translated before those who send more have to wait."""


Undeliverable = Callable[["ConnectedSession", str, str], None]
"""Told of each receiver that cannot have the message, with an error URI and a text."""


def too_large(receiver: ConnectedSession, size: int) -> tuple[str, str]:
    """Why a receiver cannot have a message of so many bytes: an error URI and a text."""
    text = f"{size} bytes are more than the {receiver.outbox.link.max_send_bytes} that the receiver accepts"
    return "wamp.error.payload_size_exceeded", text


class Slot:
    """The place of one message in the outboxes of all receivers with the same kind of link.

    Attributes:
        wire: of these links.
    """

    __slots__ = ("_receivers", "wire")

    def __init__(self, wire: Wire) -> None:
        """
        Args:
            wire: of the links.
        """
        self.wire = wire
        # with the outboxes that they had: one that is leaving has another
        self._receivers: list[tuple[ConnectedSession, Outbox]] = []

    def __len__(self) -> int:
        """Bytes that it takes while the message is not there."""
        return 0

    def keep_for(self, receiver: ConnectedSession) -> None:
        """Keep a place in this receiver's outbox."""
        outbox = receiver.outbox
        self._receivers.append((receiver, outbox))
        outbox.put_slot(self)

    def fill(self, data: bytes | Pieces, undeliverable: Undeliverable) -> None:
        """The message is there, serialized but without a frame."""
        try:
            frame = self.wire.frame(data)
        except PayloadNotSerializable as error:
            self.drop(error.uri, str(error), undeliverable)
            return
        for receiver, outbox in self._taken():
            if len(frame) > outbox.max_send_bytes:
                outbox.drop(self)
                undeliverable(receiver, *too_large(receiver, len(frame)))
            else:
                outbox.fill(self, frame)

    def drop(self, uri: str, text: str, undeliverable: Undeliverable) -> None:
        """There will be no message."""
        for receiver, outbox in self._taken():
            outbox.drop(self)
            undeliverable(receiver, uri, text)

    def _taken(self) -> list[tuple[ConnectedSession, Outbox]]:
        receivers, self._receivers = self._receivers, []
        return receivers


class Translation:
    """One message on its way into another serializer, for all of its receivers that have that."""

    __slots__ = ("_effect", "_result", "_serializer", "_slots", "_undeliverable")

    def __init__(self, worker: Worker, effect: Deliver, serializer: Serializer, undeliverable: Undeliverable) -> None:
        """
        Args:
            worker: translates.
            effect: whose message it is.
            serializer: which is wanted.
            undeliverable: told of receivers that do not get it in the end.
        """
        self._effect = effect
        self._serializer = serializer
        self._undeliverable = undeliverable
        # kind of link -> the message's place there
        self._slots: dict[Wire, Slot] = {}
        # serialized, or why not, as soon as that is known
        self._result: bytes | Pieces | PayloadNotSerializable | None = None
        assert effect.origin is not None
        worker.translate(*payload_of(effect.message), effect.origin, serializer, self._translated)

    def keep_for(self, receiver: ConnectedSession) -> None:
        """Give it to this receiver, too, when it is there."""
        wire = receiver.outbox.wire
        slot = self._slots.get(wire)
        if slot is None:
            slot = self._slots[wire] = Slot(wire)
        slot.keep_for(receiver)
        if self._result is not None:
            self._give(slot)

    def _translated(self, result: Translated) -> None:
        if isinstance(result, Exception):
            self._result = result
        else:
            args, kwargs = map(Raw, result)
            self._result = self._serializer.encode(replace(self._effect.message, args=args, kwargs=kwargs))
        for slot in self._slots.values():
            self._give(slot)

    def _give(self, slot: Slot) -> None:
        result = self._result
        assert result is not None
        if isinstance(result, PayloadNotSerializable):
            slot.drop(result.uri, str(result), self._undeliverable)
        else:
            slot.fill(result, self._undeliverable)
