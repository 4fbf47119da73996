"""Messages as a client needs them: with their payload decoded, in one go.

A router leaves payloads raw; a client wants their values, and decoding a message twice would cost as much as all the
rest. What does not decode in one go is decoded as in the router, and then its payload.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Union

import msgspec
from msgspec import Struct

from rocade.errors import InvalidMessage
from rocade.wamp import messages
from rocade.wamp.codec import CBOR, HEADS, JSON, MSGPACK, Serializer
from rocade.wamp.messages import EventDetails, Id, InvocationDetails, Message, PassthruDetails, ResultDetails

__all__ = ["CODECS", "Codec", "Error", "Event", "Invocation", "Result", "Unreadable"]

logger = logging.getLogger("rocade.client")


class _Loaded(Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A message whose payload is decoded."""


class Event(_Loaded, tag=36):
    """See `rocade.wamp.messages.Event`."""

    subscription: Id
    publication: Id
    details: EventDetails
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class Result(_Loaded, tag=50):
    """See `rocade.wamp.messages.Result`."""

    request: Id
    details: ResultDetails
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class Invocation(_Loaded, tag=68):
    """See `rocade.wamp.messages.Invocation`."""

    request: Id
    registration: Id
    details: InvocationDetails
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class Error(_Loaded, tag=8):
    """See `rocade.wamp.messages.Error`."""

    request_type: int
    request: Id
    details: PassthruDetails
    error: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


class Unreadable(list[Any]):
    """In the place of `args`: a payload that has no value in Python; the only item says why."""


_LOADED: dict[type[Message], Callable[..., Any]] = {
    messages.Event: Event,
    messages.Result: Result,
    messages.Invocation: Invocation,
    messages.Error: Error,
}
_OTHERS = tuple(kind for kind in Message.__subclasses__() if kind not in _LOADED)
_KINDS: tuple[Any, ...] = (Event, Result, Invocation, Error, *_OTHERS)
_BY_CODE: dict[Any, Any] = {kind.__struct_config__.tag: kind for kind in _KINDS}
_ANY: Any = Union[_KINDS]  # noqa: UP007
# Types of values that JSON has, and msgspec writes as WAMP wants them.
_PLAIN = frozenset((str, int, bool, type(None)))


class Codec(ABC):
    """One serializer, as a client uses it.

    Attributes:
        serializer: the serializer.
    """

    def __init__(self, serializer: Serializer) -> None:
        """
        Args:
            serializer: the serializer.
        """
        self.serializer = serializer

    @abstractmethod
    def decode(self, data: bytes) -> Any:
        """The message in `data`, a `Message` or one of the classes here.

        Raises:
            InvalidMessage: it is none.
        """

    @abstractmethod
    def encode(self, message: Message) -> bytes:
        """Bytes of a message whose payload are Python objects.

        Raises:
            PayloadNotSerializable: the payload has no form in this serializer.
        """

    def decode_slowly(self, data: bytes) -> Any:
        """As `decode`, for whatever can be decoded at all."""
        message = self.serializer.decode(data, is_patient=True)
        loaded = _LOADED.get(type(message))
        if loaded is None:
            return message
        *head, args, kwargs = msgspec.structs.astuple(message)
        try:
            load = self.serializer.load
            return loaded(*head, load(args) if args else [], load(kwargs) if kwargs else {})
        except InvalidMessage as error:  # well-formed, but more than Python has: nobody else's fault
            return loaded(*head, Unreadable([str(error)]), {})


class _JsonCodec(Codec):
    def __init__(self) -> None:
        super().__init__(JSON)
        self._decode = msgspec.json.Decoder(_ANY).decode
        self._encode = msgspec.json.Encoder().encode

    def decode(self, data: bytes) -> Any:
        if rb"\u0000" in data:  # binary
            return self.decode_slowly(data)
        try:
            return self._decode(data)
        except (ValueError, RecursionError):
            return self.decode_slowly(data)

    def encode(self, message: Message) -> bytes:
        head = HEADS.get(type(message))
        if head is not None:
            args, kwargs = message.args, message.kwargs  # type: ignore[attr-defined]
            if not kwargs and all(type(value) in _PLAIN for value in args or ()):
                try:
                    return self._encode((*head(message), args) if args else head(message))
                except (ValueError, OverflowError):
                    pass
        return bytes(JSON.encode(message))


class _MessagePackCodec(Codec):
    def __init__(self) -> None:
        super().__init__(MSGPACK)
        self._decode = msgspec.msgpack.Decoder(_ANY).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def decode(self, data: bytes) -> Any:
        try:
            return self._decode(data)
        except (ValueError, RecursionError):
            return self.decode_slowly(data)

    def encode(self, message: Message) -> bytes:
        head = HEADS.get(type(message))
        if head is not None:
            args, kwargs = message.args, message.kwargs  # type: ignore[attr-defined]
            try:
                if kwargs:
                    return self._encode((*head(message), args, kwargs))
                return self._encode((*head(message), args) if args else head(message))
            except (ValueError, TypeError, OverflowError, RecursionError):
                pass
        return bytes(MSGPACK.encode(message))


class _CborCodec(Codec):
    def __init__(self) -> None:
        super().__init__(CBOR)

    def decode(self, data: bytes) -> Any:
        from rocade.wamp import cbor

        try:
            array = cbor.load(data)
            return msgspec.convert(array, _BY_CODE[array[0]])
        except (ValueError, LookupError, TypeError, RecursionError, InvalidMessage):
            return self.decode_slowly(data)

    def encode(self, message: Message) -> bytes:
        head = HEADS.get(type(message))
        if head is None:
            return bytes(CBOR.encode(message))
        from rocade.wamp import cbor

        array = msgspec.to_builtins(head(message))
        args, kwargs = message.args, message.kwargs  # type: ignore[attr-defined]
        if kwargs:
            return cbor.dump([*array, args or [], kwargs])
        return cbor.dump([*array, args] if args else array)


CODECS: dict[str, Codec] = {codec.serializer.name: codec for codec in (_JsonCodec(), _MessagePackCodec(), _CborCodec())}
"""Serializer name -> codec."""
