"""Messages to bytes and back: what is refused, what is forwarded as it came, and that nothing else can happen."""

from __future__ import annotations

import gc
import json
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import example, given, settings

from rocade.errors import InvalidMessage, PayloadNotSerializable
from rocade.wamp.codec import CBOR, DEFAULT_MAX_DEPTH, JSON, MSGPACK, OPTIONS_INDEX, PAYLOAD_INDEX, SERIALIZERS
from rocade.wamp.codec import Serializer as AnySerializer
from rocade.wamp.messages import (
    Call,
    CallOptions,
    Event,
    EventDetails,
    Invocation,
    InvocationDetails,
    Match,
    Message,
    Publish,
    PublishOptions,
    Subscribe,
    SubscribeOptions,
    Unsubscribed,
    UnsubscribedDetails,
    Yield,
    YieldOptions,
)

from .strategies import MESSAGE_CLASSES, messages, plain

every_serializer = pytest.mark.parametrize("serializer", SERIALIZERS.values(), ids=str)

WITH_PAYLOAD = [kind for kind in MESSAGE_CLASSES if "args" in kind.__struct_fields__]


def encoded(serializer: AnySerializer, *array: Any) -> bytes:
    return serializer.encode_array(array)


def refusal(serializer: AnySerializer, *array: Any) -> str:
    with pytest.raises(InvalidMessage) as caught:
        serializer.decode(encoded(serializer, *array), is_patient=True)
    return str(caught.value)


# --- There and back ----------------------------------------------------------------------------------


@every_serializer
@pytest.mark.parametrize("kind", MESSAGE_CLASSES, ids=lambda kind: kind.__name__)
def test_what_is_encoded_decodes_to_the_same(kind: type[Message], serializer: AnySerializer) -> None:
    @settings(max_examples=15, deadline=None, derandomize=True)
    @given(messages(kind))
    def there_and_back(message: Message) -> None:
        assert plain(serializer.decode(serializer.encode(message)), serializer) == plain(message)

    there_and_back()


@every_serializer
def test_every_message_has_its_own_code_and_a_place_for_its_payload_and_options(serializer: AnySerializer) -> None:
    for kind in MESSAGE_CLASSES:
        fields = kind.__struct_fields__
        code = kind.__struct_config__.tag
        assert isinstance(code, int)
        assert PAYLOAD_INDEX.get(code) == (fields.index("args") + 1 if "args" in fields else None)
        if code in OPTIONS_INDEX:
            assert fields[OPTIONS_INDEX[code] - 1] in ("options", "details", "extra")


@every_serializer
def test_empty_payload_is_left_out(serializer: AnySerializer) -> None:
    message = Call(1, CallOptions(), "com.example.add", [], {})

    assert serializer.encode(message) == encoded(serializer, 48, 1, {}, "com.example.add")


@every_serializer
def test_keyword_arguments_alone_stand_behind_an_empty_list(serializer: AnySerializer) -> None:
    message = Call(1, CallOptions(), "com.example.add", kwargs={"a": 1})

    assert serializer.encode(message) == encoded(serializer, 48, 1, {}, "com.example.add", [], {"a": 1})


@every_serializer
def test_revocation_carries_details_and_an_ordinary_answer_does_not(serializer: AnySerializer) -> None:
    revoked = Unsubscribed(0, UnsubscribedDetails(subscription=7))

    assert serializer.encode(revoked) == encoded(serializer, 35, 0, {"subscription": 7})
    assert serializer.encode(Unsubscribed(3)) == encoded(serializer, 35, 3)


@every_serializer
def test_unknown_options_are_skipped(serializer: AnySerializer) -> None:
    data = encoded(serializer, 32, 1, {"match": "prefix", "_color": [1, {"a": None}], "x": 1.5}, "com.example")

    assert serializer.decode(data) == Subscribe(1, SubscribeOptions(match=Match.PREFIX), "com.example")


# --- Forwarding --------------------------------------------------------------------------------------


PAYLOADS_AS_THEY_CAME = [
    pytest.param(JSON, b' [ 1 , "\\u00e9" , 1.0e2 ,{"a":1,"a":2}] ', b'{"k" : "\\/"}', id="json"),
    pytest.param(MSGPACK, b"\x93\xcd\x00\x01\xd9\x01a\xd4\x05\x00", b"\xde\x00\x01\xa1k\xcf" + 8 * b"\0", id="msgpack"),
    pytest.param(CBOR, b"\x9f\x18\x01\x7f\x61a\x61b\xff\xc1\x00\xff", b"\xbf\x61k\xd9\xff\xff\xf7\xff", id="cbor"),
]


@pytest.mark.parametrize(("serializer", "args", "kwargs"), PAYLOADS_AS_THEY_CAME)
def test_same_serializer_forwards_the_bytes_that_came(serializer: AnySerializer, args: bytes, kwargs: bytes) -> None:
    call = serializer.decode(encoded(serializer, 48, 1, {}, "a", msgspec.Raw(args), msgspec.Raw(kwargs)))
    assert isinstance(call, Call)

    forwarded = serializer.encode(Invocation(2, 3, InvocationDetails(), call.args, call.kwargs), serializer)

    assert args.strip() in forwarded
    assert forwarded.rstrip(b"]").endswith(kwargs)


@given(st.sampled_from(WITH_PAYLOAD).flatmap(messages))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_forwarding_does_not_change_a_byte_of_the_payload(message: Message) -> None:
    for serializer in SERIALIZERS.values():
        data = serializer.encode(message)

        assert serializer.encode(serializer.decode(data), serializer) == data


# --- Anything may come in ----------------------------------------------------------------------------


def decode_or_refuse(serializer: AnySerializer, data: bytes) -> Message | None:
    """Decode; whatever is accepted must reach peers of every serializer in a form that they accept."""
    try:
        message = serializer.decode(data)
    except InvalidMessage:
        return None
    for target in SERIALIZERS.values():
        try:
            forwarded = target.encode(message, serializer)
        except PayloadNotSerializable:
            assert target is not serializer
        else:
            target.decode(forwarded)
    return message


@every_serializer
def test_any_bytes_are_a_message_or_refused(serializer: AnySerializer) -> None:
    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(st.binary(max_size=60))
    @example(b"")
    @example(b"\x93")
    @example(b"[")
    @example(b"\xef\xbb\xbf[34,1,2]")
    def anything(data: bytes) -> None:
        decode_or_refuse(serializer, data)

    anything()


@every_serializer
def test_any_payload_bytes_are_accepted_or_refused(serializer: AnySerializer) -> None:
    head = serializer.encode(Call(1, CallOptions(), "a"))
    if serializer is JSON:
        head = head[:-1] + b",["
    else:
        head = bytes((head[0] + 1,)) + head[1:] + serializer.encode_array((0,))[:1]

    @settings(max_examples=120, deadline=None, derandomize=True)
    @given(st.binary(max_size=24))
    def anything(data: bytes) -> None:
        decode_or_refuse(serializer, head + data + (b"]]" if serializer is JSON else b""))

    anything()


@every_serializer
def test_mutated_messages_are_accepted_or_refused(serializer: AnySerializer) -> None:
    pieces = st.binary(max_size=4)
    if serializer is JSON:
        pieces = st.sampled_from(
            [b'"', b"\\", b"[", b"]", b"{", b"}", b",", b":", b"\\ud83d", b"\\u0000", b"1e999", b"\xff"]
        )

    @settings(max_examples=120, deadline=None, derandomize=True)
    @given(messages(), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), pieces), min_size=1, max_size=3))
    def mutated(message: Message, changes: list[tuple[float, int, bytes]]) -> None:
        data = serializer.encode(message)
        for place, removed, inserted in changes:
            at = int(place * len(data))
            data = data[:at] + inserted + data[at + removed :]
        decoded = decode_or_refuse(serializer, data)
        if serializer is JSON and decoded is not None:
            json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} was accepted"))

    mutated()


@every_serializer
def test_every_truncation_is_refused(serializer: AnySerializer) -> None:
    data = serializer.encode(Event(1, 2, EventDetails(topic="a"), [1, "é", b"\0", [{}]], {"a": 1.5}))

    for end in range(len(data)):
        with pytest.raises(InvalidMessage):
            serializer.decode(data[:end])


# --- What is refused ---------------------------------------------------------------------------------


@every_serializer
@pytest.mark.parametrize(
    "request_id", [0, -1, 2**53 + 1, 2**64 - 1, True, 1.5, "1", None, [1], {}, 1e300, float("inf")]
)
def test_ids_out_of_range_or_of_another_type_are_refused(serializer: AnySerializer, request_id: Any) -> None:
    assert "$[1]" in refusal(serializer, 34, request_id, 1)


@pytest.mark.parametrize("data", [b"[34,1.0,1]", b"[34,1e0,1]", b'[34,"1",1]'])
def test_floats_are_no_ids_in_json(data: bytes) -> None:
    with pytest.raises(InvalidMessage, match=r"Expected 'int', got '(float|str)' - at '\$\[1\]'"):
        JSON.decode(data)


@every_serializer
@pytest.mark.parametrize("request_id", [1, 2**32, 2**53])
def test_ids_up_to_the_largest_are_accepted(serializer: AnySerializer, request_id: int) -> None:
    assert serializer.decode(encoded(serializer, 34, request_id, 1)).request == request_id  # type: ignore[attr-defined]


@every_serializer
@pytest.mark.parametrize("code", [0, 7, 9, 47, 255, 1024, -1, 2**64 - 1, "48", None, True, [], {}])
def test_unknown_code_is_refused(serializer: AnySerializer, code: Any) -> None:
    assert "$[0]" in refusal(serializer, code, 1, {}, "a")


@every_serializer
def test_array_of_the_wrong_length_is_refused(serializer: AnySerializer) -> None:
    for array in ([], [48], [48, 1], [48, 1, {}], [34, 1, 1, 1], [48, 1, {}, "a", [], {}, 0], [1, 2, 3, 4, 5, 6, 7, 8]):
        with pytest.raises(InvalidMessage):
            serializer.decode(bytes(serializer.dump(array)))


@every_serializer
@pytest.mark.parametrize("value", [{}, {"a": 1}, "array", 48, None, True, 1.5])
def test_what_is_no_array_is_refused(serializer: AnySerializer, value: Any) -> None:
    with pytest.raises(InvalidMessage):
        serializer.decode(bytes(serializer.dump(value)))


@every_serializer
def test_trailing_bytes_are_refused(serializer: AnySerializer) -> None:
    data = encoded(serializer, 34, 1, 1)

    for more in (data, b"\0", b"]", b"\xff"):
        with pytest.raises(InvalidMessage):
            serializer.decode(data + more)


@every_serializer
@pytest.mark.parametrize(
    ("array", "path"),
    [
        ((32, 1, [], "a"), "$[2]"),
        ((32, 1, {}, 5), "$[3]"),
        ((32, 1, {"match": "regex"}, "a"), "$[2].match"),
        ((32, 1, {"match": 5}, "a"), "$[2].match"),
        ((16, 1, {"eligible": [1, "x"]}, "a"), "$[2].eligible[1]"),
        ((16, 1, {"exclude": [0]}, "a"), "$[2].exclude[...]"),
        ((48, 1, {"timeout": -1}, "a"), "$[2].timeout"),
        ((1, "realm1", {}), "$[2]"),
        ((1, "realm1", {"roles": {"caller": 1}}), "$[2].roles.caller"),
    ],
)
def test_wrong_types_are_refused_with_the_path_to_them(serializer: AnySerializer, array: Any, path: str) -> None:
    assert path.replace("[...]", "") in refusal(serializer, *array)


@every_serializer
@pytest.mark.parametrize("args", [{}, "a", 1, None, True, 1.5])
def test_args_that_are_no_list_are_refused(serializer: AnySerializer, args: Any) -> None:
    text = refusal(serializer, 48, 1, {}, "a", args)

    assert "args is not a list" in text or "Expected 'array'" in text


@every_serializer
@pytest.mark.parametrize("kwargs", [[], "a", 1, None, True, 1.5])
def test_kwargs_that_are_no_dictionary_are_refused(serializer: AnySerializer, kwargs: Any) -> None:
    text = refusal(serializer, 48, 1, {}, "a", [], kwargs)

    assert "kwargs is not a dictionary" in text or "Expected 'object'" in text


@pytest.mark.parametrize("serializer", [MSGPACK, CBOR], ids=str)
@pytest.mark.parametrize("key", [1, 1.5, None, True, b"a"])
def test_kwargs_with_keys_that_are_no_strings_are_refused(serializer: AnySerializer, key: Any) -> None:
    with pytest.raises(InvalidMessage):
        serializer.decode(encoded(serializer, 48, 1, {}, "a", [], serializer.dump({key: 1})))


@pytest.mark.parametrize("serializer", [MSGPACK, CBOR], ids=str)
@pytest.mark.parametrize("key", [1, 1.5, None, True, b"a", (1, 2)])
def test_keys_that_are_no_strings_are_accepted_deeper_down(serializer: AnySerializer, key: Any) -> None:
    message = serializer.decode(encoded(serializer, 48, 1, {}, "a", serializer.dump([{key: 1}])))

    assert serializer.load(message.args) == [{key: 1}]  # type: ignore[attr-defined]


INVALID_UTF8 = [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80"]


@pytest.mark.parametrize("text", INVALID_UTF8)
@pytest.mark.parametrize("place", ["args", "key", "kwargs key", "uri", "option"])
@every_serializer
def test_invalid_utf8_is_refused_wherever_it_stands(serializer: AnySerializer, place: str, text: bytes) -> None:
    stand_in = "~" * len(text)
    array: dict[str, tuple[Any, ...]] = {
        "args": (48, 1, {}, "a", serializer.dump([stand_in])),
        "key": (48, 1, {}, "a", serializer.dump([{stand_in: 1}])),
        "kwargs key": (48, 1, {}, "a", serializer.dump([]), serializer.dump({stand_in: 1})),
        "uri": (48, 1, {}, stand_in),
        "option": (32, 1, {"match": stand_in}, "a"),
    }
    data = encoded(serializer, *array[place]).replace(stand_in.encode(), text)

    with pytest.raises(InvalidMessage, match=r"UTF-8|text string"):
        serializer.decode(data)


@pytest.mark.parametrize(
    "token",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "01",
        "1.",
        ".5",
        "+1",
        "0x1",
        "'a'",
        "1,",
        "tru",
        "//",
        '"\t"',
        '"\0"',
        '"\\x"',
    ],
)
def test_what_is_no_json_is_refused_within_a_payload(token: str) -> None:
    with pytest.raises(InvalidMessage):
        JSON.decode(f'[48,1,{{}},"a",[{token}]]'.encode())


@every_serializer
def test_refusal_is_one_line_of_bounded_length_whatever_the_peer_sent(serializer: AnySerializer) -> None:
    for value in ("x" * 100_000, "a\nERROR: all is lost\x1b[2J", "\u202e" * 9):
        text = refusal(serializer, 32, 1, {"match": value}, "a")

        assert len(text) < 3500
        assert text.isprintable()


# --- Depth -------------------------------------------------------------------------------------------


def nested(serializer: AnySerializer, depth: int, *, maps: bool = False) -> bytes:
    """A CALL whose args are `depth` lists (or, below the first, dictionaries) within each other."""
    begin, middle, end = {
        JSON: (b'{"a":', b"0", b"}") if maps else (b"[", b"0", b"]"),
        MSGPACK: (b"\x81\xa1a" if maps else b"\x91", b"\0", b""),
        CBOR: (b"\xa1\x61a" if maps else b"\x81", b"\0", b""),
    }[serializer]
    first, last = {JSON: (b"[", b"]"), MSGPACK: (b"\x91", b""), CBOR: (b"\x81", b"")}[serializer]
    args = first + begin * (depth - 1) + middle + end * (depth - 1) + last
    if serializer is JSON:
        return b'[48,1,{},"a",' + args + b"]"
    head = encoded(serializer, 48, 1, {}, "a")
    return bytes((head[0] + 1,)) + head[1:] + args


@every_serializer
@pytest.mark.parametrize("maps", [False, True])
def test_payload_may_be_nested_up_to_the_limit(serializer: AnySerializer, maps: bool) -> None:
    for depth in (DEFAULT_MAX_DEPTH, 3):
        message = serializer.decode(nested(serializer, depth, maps=maps), depth)
        assert isinstance(message, Call)
        assert (message.procedure, bool(message.args)) == ("a", True)


@every_serializer
@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("depth", [DEFAULT_MAX_DEPTH + 1, DEFAULT_MAX_DEPTH + 2, 500, 2_000, 100_000])
def test_payload_nested_deeper_is_refused(serializer: AnySerializer, depth: int, maps: bool) -> None:
    with pytest.raises(InvalidMessage, match=r"nested too deeply|nesting depth"):
        serializer.decode(nested(serializer, depth, maps=maps), is_patient=True)


@every_serializer
def test_configured_depth_is_observed(serializer: AnySerializer) -> None:
    padding = [0] * 1000  # long enough for the exact check to run
    payload = serializer.dump([padding, [[[0]]]])
    data = encoded(serializer, 48, 1, {}, "a", payload)

    serializer.decode(data, 4)
    with pytest.raises(InvalidMessage):
        serializer.decode(data, 3)


@pytest.mark.parametrize("code", [1, 4, 5])
@every_serializer
def test_dictionaries_of_the_handshake_have_a_depth_too(serializer: AnySerializer, code: int) -> None:
    deep: Any = 0
    for _ in range(200):
        deep = [deep]
    array = (
        (1, "realm1", {"roles": {"caller": {}}, "authextra": {"a": deep}}) if code == 1 else (code, "a", {"a": deep})
    )

    assert "nest" in refusal(serializer, *array)


@pytest.mark.parametrize(
    "string",
    [
        b'"' + 1000 * b"[" + b'"',
        b'"' + 1000 * b"[]{" + b'"',
        b'"\\"' + 1000 * b"[" + b'\\\\"',
        b'"\\\\\\"' + 999 * b"{" + b'"',
    ],
)
def test_brackets_within_json_strings_do_not_count(string: bytes) -> None:
    args, kwargs = b"[" + string + b",[" + string + b"]]", b"{" + string + b":[" + string + b"]}"
    message = JSON.decode(b'[48,1,{},"a",' + args + b"," + kwargs + b"]")
    assert isinstance(message, Call)
    assert (bytes(message.args), bytes(message.kwargs)) == (args, kwargs)


@pytest.mark.parametrize(
    "hidden", [b'"' + 200 * b"]" + b'"', b'"\\\\","' + 200 * b"}" + b'"', b'"\\"' + 200 * b"]" + b'"']
)
def test_brackets_within_json_strings_hide_no_depth(hidden: bytes) -> None:
    data = b'[48,1,{},"a",[' + hidden + b"," + 130 * b"[" + hidden + 130 * b"]" + b"]]"

    with pytest.raises(InvalidMessage, match="nested too deeply"):
        JSON.decode(data)


json_texts = st.recursive(
    st.sampled_from(["0", '"["', '"]]"', '"\\""', '"\\\\"', '"[\\"]"', '""', "[]", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.tuples(st.sampled_from(['"a"', '"{"', '"\\"}"']), inner).map(lambda item: f"{{{item[0]}:{item[1]}}}")
    ),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(json_texts, st.integers(0, 30), st.integers(1, 3))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_depth_of_json_is_counted_exactly(text: str, around: int, limit: int) -> None:
    text = "[" * around + text + "]" * around
    filler = "[]," * 40  # enough brackets for the exact count
    args = f"[{filler}{text}]"
    depth = depth_of(json.loads(args))
    data = f'[48,1,{{}},"a",{args}]'.encode()

    JSON.decode(data, depth)
    with pytest.raises(InvalidMessage):
        JSON.decode(data, depth - 1)


@every_serializer
def test_wide_and_flat_payloads_pass(serializer: AnySerializer) -> None:
    wide: list[Any] = [[], {}, [[]], {"a": []}, "[[[[", 0, "é"] * 20_000

    message = serializer.decode(bytes(serializer.encode(Publish(1, PublishOptions(), "a", wide))), is_patient=True)

    assert serializer.load(message.args) == wide  # type: ignore[attr-defined]


@pytest.mark.parametrize("serializer", [MSGPACK, CBOR], ids=str)
def test_garbage_collector_is_left_as_it_was(serializer: AnySerializer) -> None:
    large = bytes(serializer.encode(Yield(1, YieldOptions(), [[]] * 100_000)))

    for data in (large, large[:-1]):
        for enable in (gc.enable, gc.disable):
            enable()
            before = gc.isenabled()
            try:
                serializer.decode(data, is_patient=True)
            except InvalidMessage:
                pass
            after = gc.isenabled()
            gc.enable()
            assert after == before
