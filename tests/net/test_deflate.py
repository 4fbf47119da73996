"""Compression: what is agreed on, what goes over the wire, and what broken or hostile peers may do."""

from __future__ import annotations

import json
import random
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.conftest import Run
from tests.net.harness import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, Echo, Server, client_frame, serving
from tests.net.test_cutting import CUTS, PLANS, Moody, Transport, message, run_plan
from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.typing import Subprotocol

from rocade.net.connection import StreamLink
from rocade.net.deflate import (
    Agreement,
    CorruptMessage,
    DeflateOptions,
    Deflater,
    InflatedTooLong,
    Inflater,
    longest_deflated,
    negotiate,
)
from rocade.net.packed import MAX_DEFLATED_BYTES, MIN_DEFLATED_BYTES, PackedConnection
from rocade.net.surroundings import Surroundings
from rocade.net.websocket import WebSocketOptions
from rocade.net.wires import PACKED_WEBSOCKET

RSV1 = 4
TEXT_TO_SQUEEZE = json.dumps([48, 1, {}, "com.example.add", list(range(40))]).encode() * 3


def deflated(*messages: bytes, window_bits: int = 15) -> list[bytes]:
    """Payloads of messages by a client that takes over its context."""
    compressor = zlib.compressobj(wbits=-window_bits)
    return [(compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4] for message in messages]


def inflated(*payloads: bytes, window_bits: int = 15) -> list[bytes]:
    """The way back."""
    decompressor = zlib.decompressobj(-window_bits)
    return [decompressor.decompress(payload + b"\0\0\xff\xff") for payload in payloads]


# The handshake.

ACCEPTED: dict[str, tuple[dict[str, Any], str]] = {
    "permessage-deflate": ({}, "permessage-deflate"),
    "permessage-deflate; client_max_window_bits": ({}, "permessage-deflate"),
    "permessage-deflate; client_max_window_bits=15": ({}, "permessage-deflate"),
    "permessage-deflate; client_max_window_bits=10": ({}, "permessage-deflate; client_max_window_bits=10"),
    "permessage-deflate; client_max_window_bits=8": ({}, "permessage-deflate; client_max_window_bits=8"),
    'permessage-deflate; client_max_window_bits="10"': ({}, "permessage-deflate; client_max_window_bits=10"),
    "permessage-deflate;server_max_window_bits=9": ({}, "permessage-deflate; server_max_window_bits=9"),
    "permessage-deflate; server_max_window_bits = 15": ({}, "permessage-deflate"),
    "permessage-deflate; server_no_context_takeover": ({}, "permessage-deflate; server_no_context_takeover"),
    "permessage-deflate; client_no_context_takeover": ({}, "permessage-deflate; client_no_context_takeover"),
    "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11; server_no_context_takeover; "
    "client_no_context_takeover": (
        {},
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_no_context_takeover; "
        "client_max_window_bits=11",
    ),
    # What another extension, or an offer that cannot be accepted, does not keep from the next one.
    "x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=8, "
    "permessage-deflate; server_max_window_bits=9, permessage-deflate": (
        {},
        "permessage-deflate; server_max_window_bits=9",
    ),
    "permessage-bzip2; x=1; x=2, permessage-deflate": ({}, "permessage-deflate"),
    # What we want, whether or not the client has thought of it.
    " permessage-deflate ": (
        {"no_context_takeover": True, "request_no_context_takeover": True, "max_window_bits": 12},
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=12; client_no_context_takeover",
    ),
    "permessage-deflate; server_max_window_bits=11": (
        {"max_window_bits": 13},
        "permessage-deflate; server_max_window_bits=11",
    ),
    "permessage-deflate; server_max_window_bits=14": (
        {"max_window_bits": 13},
        "permessage-deflate; server_max_window_bits=13",
    ),
    "permessage-deflate; client_max_window_bits; server_no_context_takeover": (
        {"request_max_window_bits": 12},
        "permessage-deflate; server_no_context_takeover; client_max_window_bits=12",
    ),
    "permessage-deflate; client_max_window_bits=11": (
        {"request_max_window_bits": 12},
        "permessage-deflate; client_max_window_bits=11",
    ),
    "permessage-deflate; client_max_window_bits=13": (
        {"request_max_window_bits": 12},
        "permessage-deflate; client_max_window_bits=12",
    ),
    # "a server MUST NOT include [client_max_window_bits] in the response" to one that does not offer it.
    "permessage-deflate; client_no_context_takeover; server_max_window_bits=15": ({"request_max_window_bits": 12}, ""),
}


@pytest.mark.parametrize("offer", ACCEPTED)
def test_an_offer_gets_the_right_answer(offer: str) -> None:
    options, expected = ACCEPTED[offer]

    agreement = negotiate(offer, DeflateOptions(**options))

    assert (agreement.header if agreement else "") == expected


@pytest.mark.parametrize(
    "offer",
    [
        "",
        ",",
        "deflate",
        "Permessage-Deflate",
        "permessage-deflate;",
        "permessage-deflate; ; client_max_window_bits",
        "permessage-deflate; unknown",
        "permessage-deflate; =10",
        "permessage-deflate=1",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; client_no_context_takeover=",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits=10; client_max_window_bits=10",
        "permessage-deflate; server_max_window_bits",
        *(
            f"permessage-deflate; {side}_max_window_bits={value}"
            for side in ("server", "client")
            for value in ("7", "16", "09", "1O", "+9", "9.0", "-9", "", '"', '""', "१०", "99999999999999999999")
        ),
        # Valid, but zlib does not compress with so small a window.
        "permessage-deflate; server_max_window_bits=8",
    ],
)
def test_an_offer_that_cannot_be_accepted_is_declined(offer: str) -> None:
    assert negotiate(offer, DeflateOptions()) is None


PIECES = ["permessage-deflate", "client_max_window_bits", "client_no_context_takeover", "8", "10", *';,=" ']


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(max_codepoint=255)) | st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_header_is_answered(header: str) -> None:
    agreement = negotiate(header, DeflateOptions())

    assert agreement is None or "permessage-deflate" in header


@pytest.mark.parametrize(
    "options",
    [
        {"request_max_window_bits": 8},
        {"max_window_bits": 8},
        {"max_window_bits": 16},
        {"memory_level": 0},
        {"memory_level": 10},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"bits|memory_level"):
        DeflateOptions(**options)


def test_nothing_is_compressed_unless_it_is_configured(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.upgrade(sec_websocket_extensions="permessage-deflate")
            assert b"extensions" not in (await client.head()).lower()
            client.frame(TEXT, deflated(b"[1]")[0], rsv=RSV1)
            assert await client.read_close() == 1002

    run(main())


# The two directions, by themselves.

PARAMETERS = st.builds(
    Agreement,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=st.integers(9, 15),
    client_max_window_bits=st.integers(9, 15),
    memory_level=st.integers(1, 9),
)
PAYLOADS = st.lists(
    st.binary(min_size=1)
    | st.integers(1, 40_000).map(lambda size: random.Random(size).randbytes(size))
    | st.integers(1, 40_000).map(lambda size: b"0123456789" * (size // 10 + 1)),
    max_size=6,
)


@settings(deadline=None)
@given(PARAMETERS, PAYLOADS)
def test_other_people_s_inflater_understands_our_deflater(agreement: Agreement, messages: list[bytes]) -> None:
    deflater = Deflater(agreement)
    takes_over = not agreement.server_no_context_takeover

    payloads = [deflater.deflate(message) for message in messages]

    bits = agreement.server_max_window_bits
    if takes_over:
        assert inflated(*payloads, window_bits=bits) == messages
    else:
        assert [inflated(payload, window_bits=bits)[0] for payload in payloads] == messages
    assert all(len(payload) <= longest_deflated(len(m)) for payload, m in zip(payloads, messages, strict=True))


@settings(deadline=None)
@given(PARAMETERS, PAYLOADS, st.integers(1, 5000))
def test_our_inflater_understands_other_people_s_deflater(
    agreement: Agreement, messages: list[bytes], cut: int
) -> None:
    inflater = Inflater(agreement)
    bits = agreement.client_max_window_bits
    payloads = (
        [deflated(message, window_bits=bits)[0] for message in messages]
        if agreement.client_no_context_takeover
        else deflated(*messages, window_bits=bits)
    )

    for original, payload in zip(messages, payloads, strict=True):
        result = b""
        for start in range(0, len(payload), cut):
            is_last = start + cut >= len(payload)
            result += inflater.inflate(payload[start : start + cut], len(original) - len(result), is_last=is_last)
        assert result == original


@pytest.mark.parametrize("room", [0, 1, 999, 1000])
def test_inflating_stops_at_the_limit(room: int) -> None:
    inflater = Inflater(Agreement())
    payload = deflated(b"x" * 1000)[0]

    if room < 1000:
        with pytest.raises(InflatedTooLong):
            inflater.inflate(payload, room, is_last=True)
    else:
        assert inflater.inflate(payload, room, is_last=True) == b"x" * 1000


def final_block(data: bytes) -> bytes:
    """Data as somebody compresses it who cannot flush, but only finish."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH)


@pytest.mark.parametrize("tail", [b"\0", b""], ids=["as in RFC 7692", "without the octet that it asks for"])
def test_messages_may_end_with_a_final_block(tail: bytes) -> None:
    inflater = Inflater(Agreement())

    for number in range(3):
        text = f"Hello {number}".encode() * 10
        assert inflater.inflate(final_block(text) + tail, 1000, is_last=True) == text


def test_the_examples_of_rfc_7692_are_understood() -> None:
    examples = [
        "f248cdc9c90700",
        "f200110000",
        "000500faff48656c6c6f00",
        "f348cdc9c9070000",
        "f248050000 00ffffcac9c90700",
    ]

    inflater = Inflater(Agreement())
    texts = [inflater.inflate(bytes.fromhex(example), 100, is_last=True) for example in examples]

    assert texts == [b"Hello"] * 5


def test_a_million_final_blocks_are_refused_at_once() -> None:
    inflater = Inflater(Agreement())
    started = time.process_time()

    with pytest.raises(CorruptMessage, match="final"):
        inflater.inflate(final_block(b"") * 1_000_000, 1 << 24, is_last=True)

    assert time.process_time() - started < 1


@settings(deadline=None)
@given(st.binary(), st.booleans())
def test_rubbish_inflates_to_something_or_fails_in_the_expected_way(data: bytes, is_last: bool) -> None:
    try:
        assert len(Inflater(Agreement()).inflate(data, 10_000, is_last=is_last)) <= 10_000
    except (CorruptMessage, InflatedTooLong):
        pass


def test_memory_is_taken_only_when_there_is_something_to_compress() -> None:
    deflater, inflater = Deflater(Agreement(server_no_context_takeover=True)), Inflater(Agreement())

    assert deflater._zlib is None
    assert inflater._zlib is None
    deflater.deflate(b"x")
    assert deflater._zlib is None


# On the wire.


@asynccontextmanager
async def compressing(offer: str = "permessage-deflate", **options: Any) -> AsyncIterator[tuple[Server, Client, Echo]]:
    """A server with a client whose offer it has accepted."""
    deflate = DeflateOptions(**options.pop("deflate", {}))
    async with serving(websocket={"deflate": deflate, **options}) as server:
        client, receiver = await server.open_websocket(sec_websocket_extensions=offer)
        yield server, client, receiver


async def read_compressed(client: Client) -> bytes:
    """Payload of a frame that must be compressed."""
    first, second = await client.read(2)
    assert first in (0xC1, 0xC2)
    assert second < 127
    return await client.read(second if second < 126 else int.from_bytes(await client.read(2), "big"))


def test_contexts_are_taken_over_in_both_directions(run: Run) -> None:
    async def main() -> None:
        async with compressing() as (_, client, receiver):
            payloads = deflated(TEXT_TO_SQUEEZE, TEXT_TO_SQUEEZE)
            assert len(payloads[1]) < len(payloads[0]) / 5
            answers = []
            for payload in payloads:
                client.frame(TEXT, payload, rsv=RSV1)
                answers.append(await read_compressed(client))
            assert receiver.messages == [TEXT_TO_SQUEEZE] * 2
            assert len(answers[1]) < len(answers[0]) / 5
            assert inflated(*answers) == [TEXT_TO_SQUEEZE] * 2

    run(main())


def test_no_context_is_taken_over_where_that_was_agreed(run: Run) -> None:
    offer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

    async def main() -> None:
        async with compressing(offer) as (_, client, receiver):
            for _ in range(2):
                client.frame(TEXT, deflated(TEXT_TO_SQUEEZE)[0], rsv=RSV1)
                assert inflated(await read_compressed(client)) == [TEXT_TO_SQUEEZE]
            assert receiver.messages == [TEXT_TO_SQUEEZE] * 2

    run(main())


def test_only_what_is_worth_it_is_compressed(run: Run) -> None:
    sizes = [0, MIN_DEFLATED_BYTES - 1, MAX_DEFLATED_BYTES + 1]

    async def main() -> None:
        async with compressing() as (_, client, _receiver):
            for size in sizes:
                client.frame(TEXT, b"x" * size)
                first, _ = await client.read(2)
                assert first == 0x81
                await client.read(size + (0 if size < 126 else 8))
            client.frame(TEXT, b"x" * MIN_DEFLATED_BYTES)
            assert inflated(await read_compressed(client)) == [b"x" * MIN_DEFLATED_BYTES]

    run(main())


def test_fragments_of_a_compressed_message_make_one_message(run: Run) -> None:
    async def main() -> None:
        async with compressing() as (_, client, receiver):
            payload = deflated("äöü€".encode() * 100)[0]
            client.frame(TEXT, payload[:1], rsv=RSV1, fin=False)
            client.frame(CONTINUATION, b"", fin=False)
            client.frame(PING, b"between")
            for index in range(1, len(payload)):
                client.frame(CONTINUATION, payload[index : index + 1], fin=index == len(payload) - 1)
            client.frame(TEXT, b"[not compressed]")
            assert await client.read_frame() == (PONG, b"between")
            await read_compressed(client)
            assert await client.read_frame() == (TEXT, b"[not compressed]")
            assert receiver.messages == ["äöü€".encode() * 100, b"[not compressed]"]

    run(main())


def test_batches_are_compressed_as_a_whole(run: Run) -> None:
    async def main() -> None:
        async with serving(websocket={"deflate": DeflateOptions()}) as server:
            client, receiver = await server.open_websocket(
                sec_websocket_protocol="wamp.2.json.batched", sec_websocket_extensions="permessage-deflate"
            )
            receiver.echoes = False
            client.frame(TEXT, deflated(b"[1]\x18[2]\x18")[0], rsv=RSV1)
            await receiver.until(lambda: receiver.messages == [b"[1]", b"[2]"])
            receiver.link.write([b"[10]"] * 100)
            assert inflated(await read_compressed(client)) == [b"[10]\x18" * 100]

    run(main())


BROKEN: dict[str, tuple[int, Sequence[bytes]]] = {
    "a corrupt message": (1007, [client_frame(TEXT, b"\xff\xff\xff", rsv=RSV1)]),
    "a corrupt fragment": (1007, [client_frame(TEXT, b"\xff\xff\xff", rsv=RSV1, fin=False)]),
    "a context that was never there": (
        1007,
        [client_frame(TEXT, deflated(TEXT_TO_SQUEEZE, TEXT_TO_SQUEEZE)[1], rsv=RSV1)],
    ),
    "text that is not UTF-8": (1007, [client_frame(TEXT, deflated(b"\xff" * 20)[0], rsv=RSV1)]),
    "a fragment that is not UTF-8": (1007, [client_frame(TEXT, deflated(b"\xff" * 20)[0], rsv=RSV1, fin=False)]),
    "the wrong type": (1003, [client_frame(BINARY, deflated(b"\xff" * 20)[0], rsv=RSV1)]),
    "RSV1 on a ping": (1002, [client_frame(PING, b"", rsv=RSV1)]),
    "RSV1 on a close": (1002, [client_frame(CLOSE, b"", rsv=RSV1)]),
    "RSV1 on a continuation": (
        1002,
        [client_frame(TEXT, b"", fin=False), client_frame(CONTINUATION, deflated(b"[1]")[0], rsv=RSV1)],
    ),
    "RSV1 within a compressed message": (
        1002,
        [client_frame(TEXT, deflated(b"[1]")[0], rsv=RSV1, fin=False), client_frame(CONTINUATION, b"", rsv=RSV1)],
    ),
    "another message within a message": (
        1002,
        [client_frame(TEXT, b"", fin=False), client_frame(TEXT, deflated(b"[1]")[0], rsv=RSV1)],
    ),
    "RSV2": (1002, [client_frame(TEXT, b"", rsv=2)]),
    "RSV1 and RSV3": (1002, [client_frame(TEXT, deflated(b"[1]")[0], rsv=5)]),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_peer_is_told_why(run: Run, case: str) -> None:
    code, frames = BROKEN[case]

    async def main() -> None:
        async with compressing() as (server, client, receiver):
            client.send(b"".join(frames))
            assert await client.read_close() == code
            assert (await receiver.lost).startswith("protocol error")
            assert receiver.messages == []
            await server.prove_alive()

    run(main())


def bomb(size: int) -> bytes:
    """The payload of a message of so many zeros: the same blocks again and again."""
    compressor = zlib.compressobj(9, wbits=-15)
    return (compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)) * (size >> 20)


@pytest.mark.parametrize("is_fragmented", [False, True])
def test_a_bomb_of_a_gibibyte_is_refused_at_once(run: Run, is_fragmented: bool) -> None:
    payload = bomb(1 << 30)
    assert len(payload) < 1 << 21

    async def main() -> None:
        async with compressing() as (server, client, receiver):
            if is_fragmented:
                half = len(payload) // 2
                stream = client_frame(TEXT, payload[:half], rsv=RSV1, fin=False)
                stream += client_frame(CONTINUATION, payload[half:])
            else:
                stream = client_frame(TEXT, payload, rsv=RSV1)
            started = time.process_time()
            client.send(stream)
            assert await client.read_close() == 1009
            assert time.process_time() - started < 2
            assert receiver.messages == []
            await server.prove_alive()

    run(main())


@pytest.mark.parametrize("rsv", [RSV1, 0], ids=["compressed", "plain"])
@pytest.mark.parametrize("size", [100_000, 100_001])
def test_the_limit_is_that_of_the_message_whatever_its_frame_has(run: Run, rsv: int, size: int) -> None:
    noise = random.Random(1).randbytes(size)
    payload = deflated(noise)[0] if rsv else noise
    assert len(payload) > 100_000 or size == 100_000

    async def main() -> None:
        async with serving(websocket={"deflate": DeflateOptions(), "max_message_bytes": 100_000}) as server:
            client, receiver = await server.open_websocket(
                sec_websocket_protocol="wamp.2.cbor", sec_websocket_extensions="permessage-deflate"
            )
            receiver.echoes = False
            client.frame(BINARY, payload, rsv=rsv)
            if size == 100_000:
                await receiver.until(lambda: receiver.messages == [noise])
            else:
                assert await client.read_close() == 1009

    run(main())


@settings(max_examples=60, deadline=None)
@given(PLANS, CUTS, st.lists(st.booleans(), max_size=12), st.lists(st.booleans(), max_size=12))
def test_compressed_and_plain_messages_survive_every_cut_and_pause(
    plan: list[tuple[list[int], bool]], cuts: list[int], moods: list[bool], compressed: list[bool]
) -> None:
    messages = [b"".join(message(number, sizes)) for number, (sizes, _) in enumerate(plan)]
    compressor = zlib.compressobj(wbits=-15)
    stream = b""
    for number, (text, (sizes, has_ping)) in enumerate(zip(messages, plan, strict=True)):
        is_compressed = bool(compressed) and compressed[number % len(compressed)]
        if is_compressed:
            text = (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4] if text else b"\0"
        step = len(text) // len(sizes) + 1
        for index in range(len(sizes)):
            opcode, rsv = (CONTINUATION, 0) if index else (TEXT, RSV1 if is_compressed else 0)
            part = text[index * step : (index + 1) * step]
            stream += client_frame(opcode, part, fin=index == len(sizes) - 1, rsv=rsv)
            stream += client_frame(PING, b"ping") if has_ping else b""

    def start(surroundings: Surroundings, transport: Transport, moods: list[bool]) -> tuple[StreamLink, list[Moody]]:
        receivers: list[Moody] = []
        connection = PackedConnection(
            surroundings,
            PACKED_WEBSOCKET["json"],
            WebSocketOptions(ping_interval=0),
            is_batched=False,
            agreement=Agreement(),
        )
        connection.connection_made(transport)  # type: ignore[arg-type]
        connection.begin(lambda link: receivers.append(Moody(link, moods)) or receivers[0])
        return connection, receivers

    received, _ = run_plan(start, stream, cuts, moods)

    assert received == messages


# With somebody else's client.

FACTORIES: dict[str, ClientPerMessageDeflateFactory] = {
    "plain": ClientPerMessageDeflateFactory(),
    "client window": ClientPerMessageDeflateFactory(client_max_window_bits=True),
    "both windows": ClientPerMessageDeflateFactory(client_max_window_bits=9, server_max_window_bits=9),
    "no context": ClientPerMessageDeflateFactory(client_no_context_takeover=True, server_no_context_takeover=True),
    "everything": ClientPerMessageDeflateFactory(
        client_max_window_bits=11,
        server_max_window_bits=13,
        client_no_context_takeover=True,
        server_no_context_takeover=True,
        compress_settings={"memLevel": 1},
    ),
}


@asynccontextmanager
async def connected(server: Server, factory: ClientPerMessageDeflateFactory) -> AsyncIterator[ClientConnection]:
    port = server.address[1]
    async with connect(
        f"ws://127.0.0.1:{port}/ws",
        subprotocols=[Subprotocol("wamp.2.json")],
        compression=None,
        extensions=[factory],
        max_size=None,
        proxy=None,
    ) as client:
        assert [type(extension) for extension in client.protocol.extensions] == [PerMessageDeflate]
        yield client


@pytest.mark.parametrize("options", [{}, {"no_context_takeover": True, "max_window_bits": 10, "memory_level": 2}])
@pytest.mark.parametrize("name", FACTORIES)
def test_a_real_client_and_this_server_understand_each_other(run: Run, name: str, options: dict[str, Any]) -> None:
    source = random.Random(7)
    texts = [
        json.dumps(
            [source.choice(["com.example.a", "com.example.b"]) for _ in range(source.choice([0, 1, 10, 20_000]))]
        )
        for _ in range(20)
    ]

    async def main() -> None:
        websocket = {"deflate": DeflateOptions(**options)}
        async with serving(websocket=websocket) as server, connected(server, FACTORIES[name]) as client:
            for text in texts:
                await client.send(text)
                assert await client.recv() == text
            await client.send([text[:100] for text in texts])
            assert await client.recv() == "".join(text[:100] for text in texts)
            assert "permessage-deflate" in server.receivers[0].link.info.headers["sec-websocket-extensions"]

    run(main())


def test_many_clients_get_the_same_message_each_in_its_own_context(run: Run) -> None:
    async def main() -> None:
        async with serving(websocket={"deflate": DeflateOptions()}) as server:
            opened = [await server.open_websocket(sec_websocket_extensions="permessage-deflate") for _ in range(5)]
            for number, (_, receiver) in enumerate(opened):
                receiver.link.write([TEXT_TO_SQUEEZE] * number)
            shared = b"[%s]" % TEXT_TO_SQUEEZE
            for _, receiver in opened:
                receiver.link.write([receiver.link.wire.frame(shared)])
            for number, (client, _) in enumerate(opened):
                payloads = [await read_compressed(client) for _ in range(number + 1)]
                assert inflated(*payloads)[-1] == shared

    run(main())


def test_a_closed_link_compresses_nothing(run: Run) -> None:
    async def main() -> None:
        async with compressing() as (_, client, receiver):
            receiver.link.close()
            receiver.link.write([TEXT_TO_SQUEEZE])
            assert await client.read_close() == 1000
            client.frame(CLOSE, b"\x03\xe8")
            assert await client.rest() == b""

    run(main())
