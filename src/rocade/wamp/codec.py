"""Serializers: WAMP messages to bytes and back, with payloads left raw.

A `Serializer` decodes only what routing needs. `args` and `kwargs` become `msgspec.Raw` views into the
received bytes, which are forwarded as they are to every receiver with the same serializer. Since raw bytes
reach other people's clients, they are validated once on arrival (`decode`): strings are UTF-8, `args` is a
list, `kwargs` a map with string keys, nothing is nested too deeply. A receiver with another serializer gets a
transcoded copy (`transcode`).

Specification: basic/building_blocks.md (Serializers), advanced/serialization_binary_json.md.
"""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Union

import msgspec
from msgspec import Raw

from rocade.errors import (
    DecodingTakesLong,
    InvalidMessage,
    NotUtf8,
    PayloadNotSerializable,
    TranslationTakesLong,
)
from rocade.wamp import messagepack, messages, payload
from rocade.wamp.messages import NO_PAYLOAD, Message
from rocade.wamp.patience import REPAIRED_BYTES, SHORT_BYTES
from rocade.wamp.pieces import LONG_BYTES, Pieces

DEFAULT_MAX_DEPTH = 128
"""How deep lists and maps of a payload may be nested."""

MAX_TRANSCODED_BYTES = 4 * 1024
"""Longest payload that `encode` transcodes. What is made of many small values takes 0.5 µs per byte."""

ANY_MESSAGE: Any = Union[tuple(c for c in Message.__subclasses__())]  # noqa: UP007
"""The tagged union of all messages, told apart by their code."""

_BY_CODE: dict[Any, type[Message]] = {c.__struct_config__.tag: c for c in Message.__subclasses__()}

PAYLOAD_INDEX: dict[int, int] = {3: 3, 8: 5, 16: 4, 36: 4, 48: 4, 50: 3, 68: 4, 70: 3}
"""Message code -> where `args` stands in the array; `kwargs` follows it."""

OPTIONS_INDEX: dict[int, int] = {1: 2, 2: 2, 3: 1, 5: 2, 6: 1, 8: 3, 16: 2, 32: 2, 48: 2, 49: 2, 64: 2, 70: 2}
"""Message code -> where the options or details dictionary stands, for messages that clients send."""

HEADS: dict[type[Message], Callable[[Any], tuple[Any, ...]]] = {
    messages.Event: lambda m: (36, m.subscription, m.publication, m.details),
    messages.Invocation: lambda m: (68, m.request, m.registration, m.details),
    messages.Result: lambda m: (50, m.request, m.details),
    messages.Error: lambda m: (8, m.request_type, m.request, m.details, m.error),
    messages.Publish: lambda m: (16, m.request, m.options, m.topic),
    messages.Call: lambda m: (48, m.request, m.options, m.procedure),
    messages.Yield: lambda m: (70, m.request, m.options),
    messages.Abort: lambda m: (3, m.details, m.reason),
}
"""Message class -> the array without its payload, of those that have one. One function per class, since a generic one
costs twice as much."""

# The two messages whose details are there only when the router sends them unasked.
_REVOCATIONS: dict[type[Message], Callable[[Any], tuple[Any, ...]]] = {
    messages.Unsubscribed: lambda m: (35, m.request, m.details) if m.details else (35, m.request),
    messages.Unregistered: lambda m: (67, m.request, m.details) if m.details else (67, m.request),
}


class Serializer(ABC):
    """One serialization format of WAMP. Instances are stateless and shared: `JSON`, `MSGPACK`, `CBOR`."""

    name: str
    """"json", "msgpack" or "cbor", as in the subprotocol "wamp.2.json"."""
    is_binary: bool
    """Whether WebSocket carries it in binary messages rather than text ones."""
    quick_bytes: int
    """Longest message that is worth trying to decode within a few milliseconds."""

    def __repr__(self) -> str:
        return f"<Serializer {self.name}>"

    @abstractmethod
    def decode(self, data: bytes, max_depth: int = DEFAULT_MAX_DEPTH, *, is_patient: bool = False) -> Message:
        """The message in `data`, with a validated but undecoded payload.

        An empty list or dictionary there counts as absent, so that it is not sent on (basic/messages.md, Empty
        Arguments and Keyword Arguments).

        Args:
            data: one whole message. It must be `bytes`: raw payloads are views that keep it alive.
            max_depth: deepest accepted nesting of the payload.
            is_patient: whether nobody else waits meanwhile.
        Raises:
            InvalidMessage: anything else than exactly one valid WAMP message; `NotUtf8` for JSON that is no text.
            DecodingTakesLong: that has to be found out by somebody patient.
        """

    @abstractmethod
    def encode_array(self, array: tuple[Any, ...] | Message) -> bytes:
        """Bytes of an array whose elements may be raw, of this serializer."""

    @abstractmethod
    def load(self, raw: Raw | bytes, *, is_patient: bool = True) -> Any:
        """Python value of raw payload bytes (binary as `bytes`).

        Args:
            raw: the bytes.
            is_patient: whether nobody else waits meanwhile.
        Raises:
            InvalidMessage: there is none, although the bytes are valid.
            DecodingTakesLong: it should be made by somebody patient.
        """

    @abstractmethod
    def dump(self, value: Any) -> Raw:
        """Raw payload bytes of a Python value; `bytes` become what the serializer has for binary.

        Raises:
            PayloadNotSerializable: the value has no form in this serializer.
        """

    def splice(self, values: list[Any]) -> Raw:
        """Raw payload bytes of plain data in which raw payloads of this serializer may stand anywhere."""
        return Raw(self.encode_array(tuple(values)))

    def encode(
        self, message: Message, origin: Serializer | None = None, max_transcoded: int = MAX_TRANSCODED_BYTES
    ) -> bytes | Pieces:
        """Bytes of a message; those of a long one are left in pieces.

        Args:
            message: what to encode. Empty `args` and `kwargs` are left out.
            origin: the serializer that raw `args` and `kwargs` are in; None means this one. Payloads that are
                Python objects are serialized whatever the origin.
            max_transcoded: longest raw payload of another serializer that is transcoded; whoever wants more of
                them than `MAX_TRANSCODED_BYTES` is patient.
        Raises:
            PayloadNotSerializable: the payload has no form in this serializer.
            TranslationTakesLong: it is in another one, and longer than that or takes long all the same.
        """
        head = HEADS.get(type(message))
        if head is None:
            revocation = _REVOCATIONS.get(type(message))
            return self.encode_array(message if revocation is None else revocation(message))
        args, kwargs = message.args, message.kwargs  # type: ignore[attr-defined]
        if origin is not None and origin is not self:
            size = raw_bytes(args, kwargs)
            if size > max_transcoded:
                raise TranslationTakesLong(f"{size} bytes of {origin.name}")
            is_patient = max_transcoded > MAX_TRANSCODED_BYTES
            args = transcode(args, origin, self, is_patient=is_patient)
            kwargs = transcode(kwargs, origin, self, is_patient=is_patient)
        if type(args) is not Raw:
            args = self.dump(args) if args else NO_PAYLOAD
        if type(kwargs) is not Raw:
            kwargs = self.dump(kwargs) if kwargs else NO_PAYLOAD
        if kwargs:
            if len(args) + len(kwargs) > _JOINED_BYTES:
                return self._join(head(message), args or self.dump([]), kwargs)
            return self.encode_array((*head(message), args or [], kwargs))
        if args:
            if len(args) > _JOINED_BYTES:
                return self._join(head(message), args)
            return self.encode_array((*head(message), args))
        return self.encode_array(head(message))

    def _join(self, head: tuple[Any, ...], *payload: Raw) -> bytes | Pieces:
        """As `encode_array`, but the payload is copied once, or never: an encoder copies all it has for more room."""
        parts = self._around(head, payload)
        return Pieces(parts) if sum(map(len, payload)) > LONG_BYTES else b"".join(parts)

    @abstractmethod
    def _around(self, head: tuple[Any, ...], payload: tuple[Raw, ...]) -> tuple[Any, ...]:
        """What `encode_array` would join, with the payload as it is."""


_PAYLOAD_FIELDS = ("args", "kwargs")

# Bytes of a payload from which on it is worth the trouble not to copy it more than once.
_JOINED_BYTES = 64 * 1024

# Bytes of a binary message from which on the garbage collector rests while the payload is looked through: walking
# over the millions of lists that a hostile one consists of, again and again, takes longer than building them.
_COLLECTED_BYTES = 64 * 1024


_MSGPACK_ARRAY = 0x90  # first byte of an array without elements


def raw_bytes(args: Any, kwargs: Any) -> int:
    """Bytes of a payload, as far as it is raw."""
    return (len(args) if type(args) is Raw else 0) + (len(kwargs) if type(kwargs) is Raw else 0)


def transcode(raw: Any, origin: Serializer, target: Serializer, *, is_patient: bool = True) -> Any:
    """Raw payload of one serializer in another; anything that is not raw, and no payload, is returned as it is.

    Args:
        raw: the payload.
        origin: the serializer it is in.
        target: the serializer it is wanted in.
        is_patient: whether nobody else waits meanwhile.
    Raises:
        PayloadNotSerializable: the payload has no form in the target's serializer; `TranslationTakesLong` if that has
            to be found out by somebody patient.
    """
    if type(raw) is not Raw or not raw:
        return raw
    try:
        value = origin.load(raw, is_patient=is_patient)
    except DecodingTakesLong as error:
        raise TranslationTakesLong(str(error)) from None
    except InvalidMessage as error:
        raise PayloadNotSerializable(str(error)) from None
    return target.dump(value)


_EMPTY_JSON = 2
"""Length of "[]" and of "{}" (those with spaces in between are passed on as they are)."""


class _Json(Serializer):
    name = "json"
    is_binary = False
    quick_bytes = 128 * 1024

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(ANY_MESSAGE).decode
        self.encode_array = msgspec.json.Encoder().encode  # type: ignore[method-assign, assignment]

    def decode(self, data: bytes, max_depth: int = DEFAULT_MAX_DEPTH, *, is_patient: bool = False) -> Message:
        try:
            if not data.isascii():
                data.decode()
            message: Message = self._decode(data)
            if type(message) in HEADS:
                args, kwargs = message.args, message.kwargs  # type: ignore[attr-defined]
                if args:
                    if memoryview(args)[0] != 0x5B:
                        raise InvalidMessage("args is not a list")
                    if len(args) == _EMPTY_JSON:
                        message.args = NO_PAYLOAD  # type: ignore[attr-defined]
                if kwargs:
                    if memoryview(kwargs)[0] != 0x7B:
                        raise InvalidMessage("kwargs is not a dictionary")
                    if len(kwargs) == _EMPTY_JSON:
                        message.kwargs = NO_PAYLOAD  # type: ignore[attr-defined]
            # A level takes two bytes, so a short message cannot be too deep.
            if len(data) > max_depth * 2:
                payload.check_json_depth(data, max_depth)
        except UnicodeDecodeError as error:
            raise NotUtf8(f"not UTF-8: byte {error.start} of the message") from None
        except ValueError as error:
            if len(data) > REPAIRED_BYTES and not is_patient and b"\\u" in data:
                raise DecodingTakesLong("it may have to be repaired") from None
            repaired = payload.without_lone_surrogates(data)
            if repaired != data:
                return self.decode(repaired, max_depth, is_patient=is_patient)
            raise InvalidMessage(_plain(error)) from None
        except RecursionError:
            raise InvalidMessage("nested too deeply") from None
        return message

    def encode_array(self, array: tuple[Any, ...] | Message) -> bytes:
        raise AssertionError("replaced by the encoder's own method in __init__")

    def _around(self, head: tuple[Any, ...], payload: tuple[Raw, ...]) -> tuple[Any, ...]:
        return self.encode_array(head)[:-1], *(part for raw in payload for part in (b",", raw)), b"]"

    def load(self, raw: Raw | bytes, *, is_patient: bool = True) -> Any:
        return payload.load_json(raw)

    def dump(self, value: Any) -> Raw:
        return Raw(payload.dump_json(value))


class _MessagePack(Serializer):
    name = "msgpack"
    is_binary = True
    quick_bytes = 72 * 1024

    def __init__(self) -> None:
        self._decode = msgspec.msgpack.Decoder(ANY_MESSAGE).decode
        self._load_list = msgspec.msgpack.Decoder(list).decode
        self._load_map = msgspec.msgpack.Decoder(dict[str, Any]).decode
        self.encode_array = msgspec.msgpack.Encoder().encode  # type: ignore[method-assign, assignment]

    def decode(self, data: bytes, max_depth: int = DEFAULT_MAX_DEPTH, *, is_patient: bool = False) -> Message:
        try:
            if len(data) > SHORT_BYTES:
                return self._decode_long(data, max_depth, is_patient)
            try:
                message: Message = self._decode(data)
            except msgspec.ValidationError:
                # Where there is nothing to repair, this repeats the complaint.
                message = self._decode(messagepack.repaired_head(data, PAYLOAD_INDEX))
            if type(message) in HEADS:
                args, kwargs = message.args, message.kwargs  # type: ignore[attr-defined]
                # The only look inside: msgspec's skip does not check UTF-8.
                loaded_args = loaded_kwargs = None
                if args and not (loaded_args := self._load_list(args)):
                    message.args = NO_PAYLOAD  # type: ignore[attr-defined]
                if kwargs and not (loaded_kwargs := self._load_map(kwargs)):
                    message.kwargs = NO_PAYLOAD  # type: ignore[attr-defined]
                # A level takes a byte.
                if len(data) > max_depth and messagepack.containers(data) > max_depth:
                    messagepack.check_depth((loaded_args, loaded_kwargs), max_depth)
            elif len(data) > max_depth and messagepack.containers(data) > max_depth:
                messagepack.check_depth(msgspec.msgpack.decode(data), max_depth)
        except UnicodeDecodeError:
            raise InvalidMessage("a string is not UTF-8") from None
        except ValueError as error:
            raise InvalidMessage(_plain(error)) from None
        except RecursionError:
            raise InvalidMessage("nested too deeply") from None
        return message

    def _decode_long(self, data: bytes, max_depth: int, is_patient: bool) -> Message:
        """As `decode`, without dictionaries that are made to take long."""
        containers = messagepack.containers(data)
        if containers > messagepack.MOST_CONTAINERS and not is_patient:
            raise DecodingTakesLong("it may consist of very many lists and maps")
        is_large = len(data) > _COLLECTED_BYTES and gc.isenabled()
        if is_large:
            gc.disable()
        try:
            array = messagepack.load_message(data, is_patient)
            try:
                message: Message = self._decode(data)
            except msgspec.ValidationError:
                message = self._decode(messagepack.repaired_head(data, PAYLOAD_INDEX, is_patient))
            if type(message) in HEADS:
                array = array[PAYLOAD_INDEX[int(array[0])] :]
                for position, value in enumerate(array):
                    payload.check_kind(value, position)
                    if not value:
                        setattr(message, _PAYLOAD_FIELDS[position], NO_PAYLOAD)
            if containers > max_depth:
                messagepack.check_depth(array, max_depth)
        finally:
            if is_large:
                gc.enable()
        return message

    def encode_array(self, array: tuple[Any, ...] | Message) -> bytes:
        raise AssertionError("replaced by the encoder's own method in __init__")

    def _around(self, head: tuple[Any, ...], payload: tuple[Raw, ...]) -> tuple[Any, ...]:
        # A message has so few elements that their number is in the first byte.
        return bytes((_MSGPACK_ARRAY + len(head) + len(payload),)), self.encode_array(head)[1:], *payload

    def load(self, raw: Raw | bytes, *, is_patient: bool = True) -> Any:
        try:
            if len(raw) > SHORT_BYTES and not is_patient:
                return messagepack.load_quickly(raw)
            return msgspec.msgpack.decode(raw)
        except (ValueError, RecursionError) as error:
            raise InvalidMessage(f"MessagePack without a Python value: {error}") from None

    def dump(self, value: Any) -> Raw:
        return Raw(payload.dump_msgpack(value))


class _Cbor(Serializer):
    name = "cbor"
    is_binary = True
    quick_bytes = 72 * 1024

    def decode(self, data: bytes, max_depth: int = DEFAULT_MAX_DEPTH, *, is_patient: bool = False) -> Message:
        from rocade.wamp import cbor

        # Its time is looked at, which should not be spent on the objects of others.
        is_long = len(data) > SHORT_BYTES and gc.isenabled()
        if is_long:
            gc.disable()
        try:
            head, args, kwargs = cbor.split(data, PAYLOAD_INDEX, OPTIONS_INDEX, max_depth, is_patient)
            # The class by hand: msgspec would prepare the union of all anew for each message.
            kind = _BY_CODE.get(head[0]) if head and type(head[0]) is int else None
            message: Message = msgspec.convert(head, kind or ANY_MESSAGE)
        except (ValueError, RecursionError) as error:
            raise InvalidMessage(_plain(error)) from None
        finally:
            if is_long:
                gc.enable()
        if args:
            message.args = Raw(args)  # type: ignore[attr-defined]
        if kwargs:
            message.kwargs = Raw(kwargs)  # type: ignore[attr-defined]
        return message

    def encode_array(self, array: tuple[Any, ...] | Message) -> bytes:
        from rocade.wamp import cbor

        return cbor.dump_array(array)

    def _around(self, head: tuple[Any, ...], payload: tuple[Raw, ...]) -> tuple[Any, ...]:
        from rocade.wamp import cbor

        return cbor.array_parts((*head, *payload))

    def load(self, raw: Raw | bytes, *, is_patient: bool = True) -> Any:
        from rocade.wamp import cbor

        return cbor.load(raw, is_patient)

    def dump(self, value: Any) -> Raw:
        from rocade.wamp import cbor

        return Raw(cbor.dump(value))

    def splice(self, values: list[Any]) -> Raw:
        return self.dump(values)


def _plain(error: BaseException) -> str:
    """msgspec's words for what was wrong and where, without its backquotes."""
    text = str(error).replace("`", "'")[:_LONGEST_TEXT] or "malformed message"
    return text if text.isprintable() else repr(text)  # it may quote what the peer sent


_LONGEST_TEXT = 300


JSON: Serializer = _Json()
MSGPACK: Serializer = _MessagePack()
CBOR: Serializer = _Cbor()

SERIALIZERS: dict[str, Serializer] = {serializer.name: serializer for serializer in (JSON, MSGPACK, CBOR)}
"""Serializer name -> serializer."""
