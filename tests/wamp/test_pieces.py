"""Long messages are left in pieces: the bytes are what they would be in one piece, and the payload is not copied."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from rocade.net.wires import RAWSOCKET, WEBSOCKET
from rocade.wamp.batching import batch, unbatch
from rocade.wamp.codec import CBOR, JSON, MSGPACK, Serializer
from rocade.wamp.messages import Event, EventDetails
from rocade.wamp.pieces import LONG_BYTES, Pieces, pieces_of

LONG, SHORT = ["x" * LONG_BYTES, 1], ["x", 1]
KWARGS = {"key": ["y" * 1000]}


def event(serializer: Serializer, args: Any, kwargs: Any = None) -> Event:
    raw = serializer.dump(kwargs) if kwargs else Raw(b"")
    return Event(1, 2, EventDetails(topic="com.topic"), serializer.dump(args), raw)


@pytest.mark.parametrize("kwargs", [None, KWARGS], ids=["args", "args and kwargs"])
@pytest.mark.parametrize("serializer", [JSON, MSGPACK, CBOR], ids=str)
def test_a_long_message_has_the_bytes_that_it_would_have_in_one_piece(serializer: Serializer, kwargs: Any) -> None:
    message = event(serializer, LONG, kwargs)

    data = serializer.encode(message)

    assert isinstance(data, Pieces)
    assert len(data) == len(bytes(data))
    elements = [36, 1, 2, EventDetails(topic="com.topic"), message.args, *([message.kwargs] if kwargs else [])]
    assert bytes(data) == serializer.encode_array(tuple(elements))


@pytest.mark.parametrize("serializer", [JSON, MSGPACK, CBOR], ids=str)
def test_the_payload_of_a_long_message_is_not_copied(serializer: Serializer) -> None:
    message = event(serializer, LONG)

    data = serializer.encode(message)

    assert any(piece.obj is message.args for piece in pieces_of(data))


@pytest.mark.parametrize("serializer", [JSON, MSGPACK, CBOR], ids=str)
def test_other_messages_are_bytes(serializer: Serializer) -> None:
    assert type(serializer.encode(event(serializer, SHORT, KWARGS))) is bytes


@pytest.mark.parametrize("wires", [WEBSOCKET, RAWSOCKET], ids=["websocket", "rawsocket"])
@pytest.mark.parametrize("serializer", [JSON, MSGPACK, CBOR], ids=str)
def test_frames_of_pieces_and_of_bytes_are_the_same(wires: Any, serializer: Serializer) -> None:
    wire = wires[serializer.name]
    data = serializer.encode(event(serializer, LONG))

    frame = wire.frame(data)

    assert isinstance(frame, Pieces)
    assert bytes(frame) == bytes(wire.frame(bytes(data)))
    assert bytes(wire.unframe(frame)) == bytes(data)


@pytest.mark.parametrize("serializer", [JSON, MSGPACK, CBOR], ids=str)
def test_batches_may_have_long_messages_in_them(serializer: Serializer) -> None:
    messages = [serializer.encode(event(serializer, args)) for args in (SHORT, LONG, SHORT)]

    batched = batch(messages, is_binary=serializer.is_binary)

    assert isinstance(batched, Pieces)
    taken = list(unbatch(bytes(batched), is_binary=serializer.is_binary))
    assert list(map(bytes, taken)) == list(map(bytes, messages))
    assert [type(message) for message in taken] == [bytes, memoryview, bytes]
