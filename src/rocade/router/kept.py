"""A published event as it is kept beyond its delivery, for those who come later."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct
from msgspec.structs import replace

from rocade.errors import ApplicationError, PayloadNotSerializable
from rocade.router.filters import Lists
from rocade.wamp.codec import Serializer
from rocade.wamp.messages import NO_PAYLOAD, Event, EventDetails, Match, Publish

__all__ = ["KeptEvent", "keep", "raw_copy", "size_of"]

OVERHEAD_BYTES = 400
"""What a kept event takes besides its payload and topic, roughly."""


class KeptEvent(Struct, frozen=True, gc=False):
    """One event, with all that decides who may have it and what they may know.

    Attributes:
        publication: its id.
        topic: what it was published to.
        details: EVENT.Details of a subscription to exactly this topic: whoever published is told here or never.
        args, kwargs: the payload. It is a copy: a part of a message would keep the whole message in memory.
        serializer: what the payload is in.
        lists: who gets it and who does not; None for everybody.
        size: bytes of memory, roughly.
    """

    publication: int
    topic: str
    details: EventDetails
    args: Raw
    kwargs: Raw
    serializer: Serializer
    lists: Lists | None
    size: int

    def details_for(self, match: Match) -> EventDetails:
        """EVENT.Details as they were for a subscription of this kind."""
        return self.details if match is Match.EXACT else replace(self.details, topic=self.topic)

    def retained(self, subscription: int, match: Match) -> Event:
        """The EVENT that gives it to a new subscriber (advanced/pubsub_event_retention.md)."""
        details = replace(self.details_for(match), retained=True)
        return Event(subscription, self.publication, details, self.args, self.kwargs)


def keep(
    publication: int, message: Publish, details: EventDetails, serializer: Serializer, lists: Lists | None
) -> KeptEvent:
    """What is kept of a publication.

    Args:
        publication: its id.
        message: the PUBLISH.
        details: EVENT.Details of a subscription to exactly this topic.
        serializer: what a raw payload is in.
        lists: those among its options.
    Raises:
        ApplicationError: wamp.error.invalid_argument: the payload is not raw, and has no form in the serializer.
    """
    args, kwargs = raw_copy(message.args, serializer), raw_copy(message.kwargs, serializer)
    size = size_of(message.topic, args, kwargs, lists)
    return KeptEvent(publication, message.topic, details, args, kwargs, serializer, lists, size)


def size_of(topic: str, args: Raw, kwargs: Raw, lists: Lists | None) -> int:
    """Bytes of memory that an event takes, roughly."""
    return OVERHEAD_BYTES + len(topic) + len(args) + len(kwargs) + (lists.size if lists is not None else 0)


def raw_copy(payload: Any, serializer: Serializer) -> Raw:
    """A payload as it is kept: apart from the message that it came in, and not as Python objects.

    Args:
        payload: `args` or `kwargs`, raw or not; None and empty ones are none.
        serializer: what it is in, if it is raw, and what it shall be in.
    Raises:
        ApplicationError: wamp.error.invalid_argument: it has no form in the serializer.
    """
    if type(payload) is Raw:
        return payload.copy() if payload else NO_PAYLOAD
    try:
        return serializer.dump(payload) if payload else NO_PAYLOAD
    except PayloadNotSerializable as error:
        raise ApplicationError("wamp.error.invalid_argument", f"args, kwargs: {error}") from None
