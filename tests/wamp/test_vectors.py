"""The message vectors of the specification (tests/vectors), decoded and encoded in every serializer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rocade.errors import InvalidMessage
from rocade.wamp.codec import JSON, PAYLOAD_INDEX, SERIALIZERS, Serializer
from rocade.wamp.messages import Message

VECTORS = Path(__file__).parent.parent / "vectors"
SAMPLES: list[dict[str, Any]] = json.loads((VECTORS / "messages.json").read_text())
OPTIONS: list[dict[str, Any]] = json.loads((VECTORS / "options.json").read_text())

# Options of autobahn that are in no chapter of the specification: skipped on arrival, like all that we do not know,
# and therefore neither checked nor forwarded.
UNKNOWN_OPTIONS = {"forward_for", "transaction_hash", "x_acknowledged_delivery"}

# Dictionaries are written in the order of our structs, and the suite has another order here. Order means nothing.
OTHER_ORDER = {"hello", "welcome"}


def is_transparent(message: list[Any]) -> bool:
    """Whether binary stands in the place of `args`.

    That is the "payload transparency" of an older draft. What became of it, payload passthru mode, puts the
    binary into `args`; so a message of the older kind is one whose `args` is not a list.
    """
    index = PAYLOAD_INDEX.get(message[0], len(message))
    return index < len(message) and not isinstance(message[index], list)


def encodings(*, transparent: bool) -> list[Any]:
    """Every byte string of the samples as (serializer, bytes, sample)."""
    return [
        pytest.param(
            SERIALIZERS[name],
            text.encode() if name == "json" else bytes.fromhex(text),
            sample,
            id=f"{sample['name']}-{name}-{number}",
        )
        for sample in SAMPLES
        if is_transparent(sample["message"]) == transparent
        for name in SERIALIZERS
        for number, text in enumerate(sample[name])
    ]


def as_array(message: Message, serializer: Serializer) -> list[Any]:
    """A decoded message as the array that it was on the wire, without absent elements."""
    array: list[Any] = [message.__struct_config__.tag]
    for field in message.__struct_fields__:
        value = getattr(message, field)
        if isinstance(value, msgspec.Raw):
            array += [serializer.load(value)] if value else []
        elif value is not None:
            array.append(msgspec.to_builtins(value))
    return array


def without_unknown_options(message: list[Any]) -> list[Any]:
    return [
        {key: value for key, value in element.items() if key not in UNKNOWN_OPTIONS}
        if isinstance(element, dict)
        else element
        for element in message
    ]


@pytest.mark.parametrize(("serializer", "data", "sample"), encodings(transparent=False))
def test_vector_decodes_to_the_message_it_stands_for(
    serializer: Serializer, data: bytes, sample: dict[str, Any]
) -> None:
    message = serializer.decode(data)

    assert as_array(message, serializer) == without_unknown_options(sample["message"])


@pytest.mark.parametrize(("serializer", "data", "sample"), encodings(transparent=False))
def test_message_encodes_to_one_of_the_byte_strings_of_its_vector(
    serializer: Serializer, data: bytes, sample: dict[str, Any]
) -> None:
    message = serializer.decode(data)

    encoded = serializer.encode(message)

    if sample["name"] in OTHER_ORDER or sample["message"] != without_unknown_options(sample["message"]):
        assert serializer.decode(encoded) == message
        assert len(encoded) <= len(data)
    else:
        assert (encoded.decode() if serializer is JSON else encoded.hex()) in sample[serializer.name]


@pytest.mark.parametrize(("serializer", "data", "sample"), encodings(transparent=True))
def test_payload_of_the_older_draft_that_is_not_a_list_is_refused(
    serializer: Serializer, data: bytes, sample: dict[str, Any]
) -> None:
    with pytest.raises(InvalidMessage, match=r"args is not a list|Expected 'array'"):
        serializer.decode(data)


@pytest.mark.parametrize("serializer", SERIALIZERS.values(), ids=str)
@pytest.mark.parametrize("case", OPTIONS, ids=lambda case: json.dumps(case["message"])[:60])
def test_options_are_accepted_or_refused_by_name(serializer: Serializer, case: dict[str, Any]) -> None:
    message, option = case["message"], case["refused_for"]
    data = serializer.encode_array(tuple(message))

    if is_transparent(message):
        with pytest.raises(InvalidMessage):
            serializer.decode(data)
    elif option is None or option in UNKNOWN_OPTIONS:
        decoded = as_array(serializer.decode(data), serializer)
        assert decoded == without_unknown_options(message)
    else:
        with pytest.raises(InvalidMessage, match=option):
            serializer.decode(data)
