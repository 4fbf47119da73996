"""RawSocket's handshake and frames, without any socket."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocade.errors import PayloadTooLarge
from rocade.wamp import framing
from rocade.wamp.framing import FrameDecoder, FrameType, FramingError, HandshakeError, Ping, Pong, Refusal

MESSAGES = st.lists(st.tuples(st.sampled_from(FrameType), st.binary(max_size=600)), max_size=20)


def decode_in_pieces(decoder: FrameDecoder, data: bytes, cuts: list[int]) -> list[bytes | Ping | Pong]:
    points = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [item for start, stop in pairwise(points) for item in decoder.feed(data[start:stop])]


@given(MESSAGES, st.lists(st.integers(min_value=0), max_size=30))
def test_frames_survive_any_cutting_of_the_stream(messages: list[tuple[FrameType, bytes]], cuts: list[int]) -> None:
    stream = b"".join(framing.frame_control(kind, payload) for kind, payload in messages)

    items = decode_in_pieces(FrameDecoder(600), stream, cuts)

    kinds = {FrameType.MESSAGE: lambda payload: payload, FrameType.PING: Ping, FrameType.PONG: Pong}
    assert items == [kinds[kind](payload) for kind, payload in messages]


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0), max_size=5))
def test_garbage_is_decoded_or_refused_but_never_anything_else(data: bytes, cuts: list[int]) -> None:
    try:
        items = decode_in_pieces(FrameDecoder(512), data, cuts)
    except FramingError:
        return

    assert sum(len(item if isinstance(item, bytes) else item.payload) + 4 for item in items) <= len(data)


@pytest.mark.parametrize("kind", [3, 4, 5, 6, 7])
def test_reserved_frame_types_are_refused(kind: int) -> None:
    with pytest.raises(FramingError, match="type"):
        list(FrameDecoder(1024).feed(struct.pack(">I", kind << 24 | 1)))


@pytest.mark.parametrize("bit", [28, 29, 30, 31])
def test_reserved_bits_of_a_frame_are_refused(bit: int) -> None:
    with pytest.raises(FramingError, match="reserved"):
        list(FrameDecoder(1024).feed(struct.pack(">I", 1 << bit | 1)))


@pytest.mark.parametrize("header", [1025, 1 << 24 | 1025, 0x08000000])
def test_too_long_a_frame_is_refused_by_its_header_alone(header: int) -> None:
    with pytest.raises(FramingError, match="longer"):
        list(FrameDecoder(1024).feed(struct.pack(">I", header)))


def test_frames_before_a_broken_one_are_delivered() -> None:
    items = FrameDecoder(1024).feed(framing.frame_message(b"one") + b"\xff\xff\xff\xff")

    assert next(items) == b"one"
    with pytest.raises(FramingError):
        next(items)


def test_exactly_16_mib_are_announced_by_the_x_bit() -> None:
    payload = bytes(1 << 24)

    frame = bytes(framing.frame_message(payload))

    assert frame[:4] == b"\x08\x00\x00\x00"
    assert list(FrameDecoder(1 << 24).feed(frame)) == [payload]


def test_the_x_bit_with_a_length_is_refused() -> None:
    with pytest.raises(FramingError, match="X bit"):
        list(FrameDecoder(1 << 24).feed(b"\x08\x00\x00\x01"))


def test_more_than_16_mib_cannot_be_framed() -> None:
    with pytest.raises(PayloadTooLarge, match="at most"):
        framing.encode_header(FrameType.MESSAGE, (1 << 24) + 1)


@pytest.mark.parametrize(
    ("limit", "exponent", "announced"),
    [(512, 0, 512), (1023, 0, 512), (1024, 1, 1024), (1 << 24, 15, 1 << 24), (1 << 30, 15, 1 << 24)],
)
def test_the_announced_limit_never_exceeds_the_real_one(limit: int, exponent: int, announced: int) -> None:
    assert framing.length_exponent(limit) == exponent
    assert framing.announced_limit(limit) == announced


def test_a_limit_below_512_bytes_cannot_be_announced() -> None:
    with pytest.raises(ValueError, match="512"):
        framing.length_exponent(511)


@given(st.sampled_from(sorted(framing.SERIALIZER_IDS)), st.integers(0, 15))
def test_a_handshake_survives_both_ways(serializer: str, exponent: int) -> None:
    data = framing.encode_handshake(serializer, 1 << (exponent + 9))

    assert framing.decode_request(data) == framing.Handshake(serializer, 1 << (exponent + 9))
    assert framing.decode_reply(data, serializer) == framing.Handshake(serializer, 1 << (exponent + 9))


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"\x7f\xf0\x00\x00", Refusal.SERIALIZER_UNSUPPORTED),
        (b"\x7f\xf4\x00\x00", Refusal.SERIALIZER_UNSUPPORTED),
        (b"\x7f\xf1\x01\x00", Refusal.RESERVED_BITS),
        (b"\x7f\xf1\x00\x80", Refusal.RESERVED_BITS),
        (b"GET ", None),
    ],
)
def test_a_request_that_cannot_be_accepted_names_the_refusal(data: bytes, refusal: Refusal | None) -> None:
    with pytest.raises(HandshakeError) as caught:
        framing.decode_request(data)

    assert caught.value.refusal is refusal


@pytest.mark.parametrize("refusal", Refusal)
def test_a_client_learns_why_it_is_refused(refusal: Refusal) -> None:
    with pytest.raises(HandshakeError) as caught:
        framing.decode_reply(framing.encode_refusal(refusal), "json")

    assert caught.value.refusal is refusal


@pytest.mark.parametrize("reply", [b"\x7f\xf2\x00\x00", b"\x7f\xf1\x00\x01", b"\x7f\x90\x00\x00", b"HTTP"])
def test_a_client_refuses_a_reply_that_is_not_to_its_request(reply: bytes) -> None:
    with pytest.raises(HandshakeError):
        framing.decode_reply(reply, "json")
