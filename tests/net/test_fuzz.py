"""Whatever bytes a client sends, it gets what the protocols say or is hung up on, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from typing import Any

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conformance.waiting import TIMEOUT
from tests.fuzzing import Faults, fuzzing
from tests.net.conftest import _loop_factory
from tests.net.harness import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, Server, serving
from tests.net.streams import (
    CUTS,
    HANDSHAKES,
    RAW_FRAMES,
    Frame,
    RawFrame,
    cut,
    frames,
    requests,
    spoiled,
)

from rocade.net import packed as packed_connections
from rocade.net import websocket_connection
from rocade.net.deflate import DeflateOptions
from rocade.net.framebuffer import Sizes
from rocade.wamp.batching import batch

MAX_MESSAGE = 1000
MAX_RAW_MESSAGE = 4096
MAX_HEAD = 2000
PROTOCOL_ERROR, WRONG_TYPE, NOT_UTF8, TOO_LONG = 1002, 1003, 1007, 1009
DEFLATE = "permessage-deflate; client_max_window_bits"


async def measure(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """An application that answers how long the body of a request is."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Bench:
    """A listener, a client that was there before all others, and everything that goes wrong."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.problems: list[Any] = []
        self.faults = Faults()
        self._runner = runner
        self._serving = serving(
            app=measure,
            websocket={"max_message_bytes": MAX_MESSAGE, "deflate": DeflateOptions()},
            rawsocket={"max_message_bytes": MAX_RAW_MESSAGE},
            max_head_bytes=MAX_HEAD,
        )
        self.server: Server
        self.witness: Client

    async def open(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self.problems.append(context))
        self.server = await self._serving.__aenter__()
        self.witness, _ = await self.server.open_websocket()

    async def close(self) -> None:
        await self._serving.__aexit__(None, None, None)

    def run(self, example: Coroutine[Any, Any, None]) -> None:
        """Let one client do its worst; nobody else must notice."""

        async def limited() -> None:
            async with asyncio.timeout(TIMEOUT):
                await example
                self.witness.send(Frame(TEXT, b"[1]").encode())
                assert await self.witness.read_frame() == (TEXT, b"[1]")
                while len(self.server.clients) > 1:
                    self.server.clients.pop().close()
                while self.server.receivers and self.server.receivers[-1].lost.done():
                    self.server.receivers.pop()

        self._runner.run(limited())
        assert self.problems == []
        assert self.faults.texts == []


TINY = Sizes(rooms=(60, 90, 200), kept=1, part=64)
"""Buffers so small that frames which are longer than that occur."""


@pytest.fixture(params=["uvloop", "asyncio", "tiny buffers"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if request.param == "tiny buffers":
        monkeypatch.setattr(websocket_connection, "SIZES", TINY)
        monkeypatch.setattr(packed_connections, "COMPRESSED_SIZES", TINY)
    loop = "uvloop" if request.param == "tiny buffers" else request.param
    with asyncio.Runner(loop_factory=_loop_factory(loop)) as runner:
        bench = Bench(runner)
        logging.getLogger().addHandler(bench.faults)
        try:
            runner.run(bench.open())
            yield bench
            runner.run(bench.server.until_connections(1))
            runner.run(bench.close())
        finally:
            logging.getLogger().removeHandler(bench.faults)
    assert bench.problems == []
    assert bench.faults.texts == []


async def converse(client: Client, stream: bytes, cuts: list[int]) -> tuple[bytes, bool]:
    """All that the server says to a client that sends a stream in pieces and then nothing more.

    Returns:
        It, and whether it is whole: a reset, after bytes that the server did not want any more, may cut it short.
    """
    for piece in cut(stream, cuts):
        if client.writer.is_closing():
            break  # it has been hung up on
        client.send(piece)
        await asyncio.sleep(0)
    if not client.writer.is_closing():
        with contextlib.suppress(OSError):  # the server was faster
            client.writer.write_eof()
    answer, is_whole = b"", True
    try:
        while chunk := await client.reader.read(65536):
            answer += chunk
    except ConnectionError:
        is_whole = False
    client.close()
    return answer, is_whole


# --- WebSocket ----------------------------------------------------------------------------------------


def parsed(data: bytes, is_whole: bool) -> list[tuple[int, bytes]]:
    """The frames of a server: opcode with its reserved bits, and payload."""
    found = []
    while data:
        if not is_whole and len(data) < 4:
            break
        assert data[0] & 0x80, "servers do not fragment"
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        assert size < 126 or start == 4, "servers do not mask"
        if len(data) < start + size:
            assert not is_whole, "a frame is incomplete"
            break
        found.append((data[0] & 0x7F, data[start : start + size]))
        data = data[start + size :]
    return found


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_beginning_of_utf8(data: bytes) -> bool:
    return any(is_utf8(data + rest) for rest in (b"", b"\x80", b"\x82\xac", b"\xac", b"\x80\x80", b"\x98\x80\x80"))


class Expected:
    """What RFC 6455 lets a server say that sends every message back.

    Attributes:
        said: messages and pongs.
        codes: of its CLOSE; empty if there is none.
        closed: the CLOSE that answers the client's.
    """

    def __init__(self, sent: list[Frame]) -> None:
        self.said: list[tuple[int, bytes]] = []
        self.codes: set[int] = set()
        self.closed: bytes | None = None
        self._message: list[Frame] = []
        for frame in sent:
            if self.codes or self.closed is not None:
                return
            self.codes = self._wrong(frame)
            if not self.codes:
                self._take(frame)

    def _wrong(self, frame: Frame) -> set[int]:
        codes = set()
        is_control = frame.opcode >= CLOSE
        if frame.rsv or not frame.is_masked or 2 < frame.opcode < 8 or frame.opcode > 10:
            codes.add(PROTOCOL_ERROR)
        if is_control and (not frame.fin or len(frame.payload) > 125):
            codes.add(PROTOCOL_ERROR)
        if not is_control and (frame.opcode == CONTINUATION) != bool(self._message):
            codes.add(PROTOCOL_ERROR)
        if len(frame.payload) > MAX_MESSAGE:
            codes.add(TOO_LONG)
        return codes

    def _take(self, frame: Frame) -> None:
        if frame.opcode == PING:
            self.said.append((PONG, frame.payload))
        elif frame.opcode == CLOSE:
            self._close(frame.payload)
        elif frame.opcode != PONG:
            self._message.append(frame)
            self._look_at_message(frame.fin)

    def _look_at_message(self, is_whole: bool) -> None:
        data = b"".join(frame.payload for frame in self._message)
        is_text = self._message[0].opcode == TEXT
        if len(data) > MAX_MESSAGE:
            self.codes.add(TOO_LONG)
        if is_text and not (is_utf8 if is_whole else is_beginning_of_utf8)(data):
            self.codes.add(NOT_UTF8)
        if is_whole and not self.codes:
            self._message = []
            if is_text:
                self.said.append((TEXT, data))
            else:
                self.codes.add(WRONG_TYPE)

    def _close(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big")
        is_allowed = 1000 <= code <= 1014 and code not in (1004, 1005, 1006)
        if payload and (len(payload) < 2 or not (is_allowed or 3000 <= code <= 4999)):
            self.codes.add(PROTOCOL_ERROR)
        elif not is_utf8(payload[2:]):
            self.codes.add(NOT_UTF8)
        else:
            self.closed = payload[:2]


def test_every_stream_of_frames_is_answered_as_the_protocol_says(bench: Bench) -> None:
    async def example(sent: list[Frame], cuts: list[int]) -> None:
        closing = next((index for index, frame in enumerate(sent) if frame.opcode == CLOSE), len(sent))
        # What comes behind a CLOSE is not read, and may cost the client the answer to it.
        del sent[closing + 1 :]
        client, receiver = await bench.server.open_websocket()
        stream = b"".join(frame.encode() for frame in sent)
        said = parsed(*await converse(client, stream, cuts))
        await receiver.lost
        expected = Expected(sent)
        if expected.codes:
            opcode, payload = said.pop()
            assert opcode == CLOSE
            assert int.from_bytes(payload[:2], "big") in expected.codes
        elif expected.closed is not None:
            assert said.pop() == (CLOSE, expected.closed)
        assert said == expected.said

    @fuzzing(200)
    @given(st.lists(frames(), max_size=8), CUTS)
    def anything(sent: list[Frame], cuts: list[int]) -> None:
        bench.run(example(sent, cuts))

    anything()


def compressed(message: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


@st.composite
def packed(draw: st.DrawFn) -> bytes:
    """Frames with batches in them, compressed or not."""
    is_binary, is_deflated, is_batched = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    stream = b""
    for messages in draw(
        st.lists(st.lists(st.sampled_from([b"", b"[1]", b"x" * 200, b"[" * 90]), max_size=4), max_size=5)
    ):
        separator = draw(st.sampled_from([b"\x1e", b"\x18"]))
        data = batch(messages, is_binary=is_binary, separator=separator) if is_batched else b"".join(messages)
        opcode = BINARY if is_binary else TEXT
        if draw(st.booleans()) and data:
            middle = draw(st.integers(0, len(data)))
            parts = (
                [compressed(data)[:middle], compressed(data)[middle:]]
                if is_deflated
                else [data[:middle], data[middle:]]
            )
            stream += Frame(opcode, parts[0], False, 4 if is_deflated else 0).encode()
            stream += Frame(CONTINUATION, parts[1]).encode()
        else:
            stream += Frame(opcode, compressed(data) if is_deflated else data, True, 4 if is_deflated else 0).encode()
    return stream


SUBPROTOCOLS = [f"wamp.2.{name}{suffix}" for name in ("json", "msgpack", "cbor") for suffix in ("", ".batched")]
STREAMS = st.one_of(
    packed(),
    spoiled(packed()),
    spoiled(st.lists(frames(), max_size=8).map(lambda sent: b"".join(it.encode() for it in sent))),
)


@pytest.mark.parametrize("extensions", [None, DEFLATE], ids=["plain", "deflate"])
def test_batches_and_compressed_messages_fail_in_an_orderly_way(bench: Bench, extensions: str | None) -> None:
    async def example(subprotocol: str, stream: bytes, cuts: list[int]) -> None:
        client, receiver = await bench.server.open_websocket(
            sec_websocket_protocol=subprotocol, sec_websocket_extensions=extensions
        )
        said = parsed(*await converse(client, stream, cuts))
        await receiver.lost
        own = BINARY if receiver.link.wire.serializer.is_binary else TEXT
        for opcode, payload in said[:-1]:
            assert opcode in (own, PONG) or (extensions and opcode == own | 0x40), (opcode, payload)
        codes = (PROTOCOL_ERROR, WRONG_TYPE, NOT_UTF8, TOO_LONG)
        if said and said[-1][0] == CLOSE and said[-1][1] and int.from_bytes(said[-1][1][:2], "big") not in codes:
            # It is an answer to the client's own.
            assert len(said[-1][1]) == 2

    @fuzzing(150)
    @given(st.sampled_from(SUBPROTOCOLS), STREAMS, CUTS)
    def anything(subprotocol: str, stream: bytes, cuts: list[int]) -> None:
        bench.run(example(subprotocol, stream, cuts))

    anything()


# --- RawSocket ----------------------------------------------------------------------------------------


def expected_of_rawsocket(request: bytes, sent: list[RawFrame]) -> bytes:
    """All that a router says that sends every message back (advanced/transport_rawsocket.md)."""
    if len(request) < 4:
        return b""
    if request[2:] != b"\x00\x00":
        return b"\x7f\x30\x00\x00"
    if request[1] & 0x0F not in (1, 2, 3):
        return b"\x7f\x10\x00\x00"
    said = bytes((0x7F, 0x30 | request[1] & 0x0F, 0, 0))  # 4096 bytes are 2 ** (9 + 3)
    for frame in sent:
        if frame.reserved or frame.x_bit or frame.kind > 2 or len(frame.payload) > MAX_RAW_MESSAGE:
            break
        if frame.kind != 2:
            said += RawFrame(2 if frame.kind else 0, frame.payload).encode()
    return said


def test_every_stream_of_rawsocket_is_answered_as_the_protocol_says(bench: Bench) -> None:
    async def example(request: bytes, sent: list[RawFrame], cuts: list[int]) -> None:
        client = await bench.server.connect()
        stream = request + b"".join(frame.encode() for frame in sent)
        assert await converse(client, stream, cuts) == (expected_of_rawsocket(request, sent), True)

    @fuzzing(200)
    @given(HANDSHAKES, st.lists(RAW_FRAMES, max_size=6), CUTS)
    def anything(request: bytes, sent: list[RawFrame], cuts: list[int]) -> None:
        bench.run(example(request, sent, cuts))

    anything()


# --- HTTP and the first bytes of a connection ---------------------------------------------------------

STATUSES = {100, 101, 200, 400, 403, 404, 408, 426, 431, 505}


class Responses:
    """What an HTTP client reads: the statuses of well-formed responses."""

    def __init__(self, data: bytes) -> None:
        self.statuses: list[int] = []
        self.is_complete = True
        self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass

    def on_message_begin(self) -> None:
        self.is_complete = False

    def on_headers_complete(self) -> None:
        self.statuses.append(self._parser.get_status_code())

    def on_message_complete(self) -> None:
        self.is_complete = True


def raw_example(bench: Bench) -> Callable[[bytes, list[int]], Coroutine[Any, Any, None]]:
    async def example(stream: bytes, cuts: list[int]) -> None:
        client = await bench.server.connect()
        answer, is_whole = await converse(client, stream, cuts)
        responses = Responses(answer)
        assert set(responses.statuses) <= STATUSES
        assert responses.is_complete or not is_whole

    return example


def test_every_request_of_http_is_answered_or_hung_up_on(bench: Bench) -> None:
    example = raw_example(bench)

    @fuzzing(250)
    @given(st.lists(requests(), min_size=1, max_size=3).map(b"".join), CUTS)
    def anything(stream: bytes, cuts: list[int]) -> None:
        bench.run(example(stream, cuts))

    anything()


def test_what_only_looks_like_http_is_answered_or_hung_up_on(bench: Bench) -> None:
    example = raw_example(bench)

    @fuzzing(250)
    @given(spoiled(requests()) | st.binary(min_size=1, max_size=200).filter(lambda data: data[0] != 0x7F), CUTS)
    def anything(stream: bytes, cuts: list[int]) -> None:
        bench.run(example(stream, cuts))

    anything()
