"""Sees all messages that go over links, for those who develop and test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rocade.errors import InvalidMessage
from rocade.net.link import Link, Receiver
from rocade.wamp import messages
from rocade.wamp.pieces import Pieces

__all__ = ["Observer", "Sighting", "tapped"]

_NAMES: dict[Any, str] = {
    kind.__struct_config__.tag: kind.__name__.upper()
    for kind in vars(messages).values()
    if isinstance(kind, type) and issubclass(kind, messages.Message) and kind is not messages.Message
}


@dataclass(frozen=True, slots=True)
class Sighting:
    """A message on its way."""

    link: int
    """Which link, counted from 1 in the order in which they came."""
    direction: Literal["from", "to"]
    """From the client, or to it."""
    name: str
    """Such as "PUBLISH"; "?" for what is none."""
    message: Any
    """Its list, as it is on the wire; empty for what cannot be read."""


Observer = Callable[[Sighting], None]
"""Told of each message, before its receiver is."""


def tapped(entrance: Callable[[Link], Receiver], observer: Observer) -> Callable[[Link], Receiver]:
    """An entrance that lets somebody see what goes over the links of another.

    Args:
        entrance: takes the links in.
        observer: told of each message.
    """
    count = 0

    def connected(link: Link) -> Receiver:
        nonlocal count
        count += 1
        number = count

        def observe(direction: Literal["from", "to"], data: bytes) -> None:
            try:
                message = link.wire.serializer.load(data)
            except (InvalidMessage, ValueError, RecursionError):
                message = []  # the receiver will say what is wrong with it
            name = _NAMES.get(message[0], "?") if isinstance(message, list) and message else "?"
            observer(Sighting(number, direction, name, message))

        return _TappedReceiver(entrance(_TappedLink(link, observe)), observe)

    return connected


class _TappedLink:
    """A link, except that what is written is shown."""

    def __init__(self, link: Link, observe: Callable[[Literal["from", "to"], bytes], None]) -> None:
        self._link = link
        self._observe = observe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    def write(self, frames: Sequence[bytes | Pieces]) -> None:
        """See `Link.write`."""
        for frame in frames:
            self._observe("to", bytes(self._link.wire.unframe(frame)))
        self._link.write(frames)


class _TappedReceiver:
    """A receiver, except that what arrives is shown."""

    def __init__(self, receiver: Receiver, observe: Callable[[Literal["from", "to"], bytes], None]) -> None:
        self._receiver = receiver
        self._observe = observe
        self.writing_paused = receiver.writing_paused
        self.writing_resumed = receiver.writing_resumed
        self.link_lost = receiver.link_lost

    def message_received(self, data: bytes | memoryview) -> None:
        """See `Receiver.message_received`."""
        self._observe("from", bytes(data))
        self._receiver.message_received(data)
