"""Messages in two parts: a head, and a payload that stays where it is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.peer import encode_plainly

from rocade.errors import InvalidMessage
from rocade.wamp.codec import CBOR, JSON, MSGPACK, SERIALIZERS, Serializer
from rocade.wamp.large import MAX_HEAD_BYTES, head_of, payload_of, payload_spans, rejoined
from rocade.wamp.messages import Goodbye, Publish

MESSAGES: list[list[Any]] = [
    [16, 1, {}, "a.b"],
    [16, 1, {}, "a.b", ["x", 1]],
    [16, 1, {}, "a.b", ["x", {}]],
    [16, 1, {}, "a.b", ["x", {}], {}],
    [16, 1, {}, "a.b", ["x"], {"key": {}}],
    [16, 1, {}, "a.b", [], {"key": "x"}],
    [16, 1, {"acknowledge": True, "eligible": [1, 2]}, "a.b", [{}], {"a": []}],
    [48, 1, {}, "a.b", ["x"], {}],
    [70, 1, {}, ["x"]],
    [8, 68, 1, {}, "a.b", ["x"], {"key": 1}],
    [6, {}, "wamp.close.normal"],
    [34, 1, 2],
]


def put_together(data: bytes, serializer: Serializer) -> Any:
    """A message by way of its parts, which must be found."""
    message = serializer.decode(data)
    spans = payload_spans(data, *payload_of(message), serializer)
    assert spans is not None
    view = memoryview(data)
    return rejoined(head_of(message), view[spans[0] : spans[1]], view[spans[2] : spans[3]])


@pytest.mark.parametrize("array", MESSAGES, ids=str)
@pytest.mark.parametrize("name", SERIALIZERS)
def test_what_is_put_together_is_what_was_decoded(name: str, array: list[Any]) -> None:
    data = encode_plainly(name, array)

    assert put_together(data, SERIALIZERS[name]) == SERIALIZERS[name].decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b' [ 16 , 1 , {} , "a" , [ 1 ] , { "a" : 1 } ] \r\n\t',
        b'[16,1,{},"a",[1] ]  ',
        b'[16,1,{},"a",[1] , {} ] ',
        b'[16,1,{},"a",[1] , { } ]',
        b'[16,1,{},"a",["]  ,  {}"] , {}]',
        b'[6, {}, "a" ] ',
    ],
)
def test_whitespace_is_no_part_of_it(data: bytes) -> None:
    assert put_together(data, JSON) == JSON.decode(data)


def test_a_cbor_array_may_end_with_a_break() -> None:
    data = b"\x9f\x10\x01\xa0\x61a\x81\x01\xa1\x61b\x02\xff"

    message = put_together(data, CBOR)

    assert type(message) is Publish
    assert (bytes(message.args), bytes(message.kwargs)) == (b"\x81\x01", b"\xa1\x61b\x02")


def test_the_payload_of_a_message_that_was_repaired_stands_nowhere() -> None:
    data = b'[16,1,{},"a",["\\ud83d"]]'
    message = JSON.decode(data)

    assert payload_spans(data, *payload_of(message), JSON) is None


def test_a_head_is_bounded() -> None:
    message = MSGPACK.decode(encode_plainly("msgpack", [6, {}, "x" * MAX_HEAD_BYTES]))

    assert type(message) is Goodbye
    with pytest.raises(InvalidMessage, match="beside args and kwargs"):
        head_of(message)
