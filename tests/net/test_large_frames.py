"""Frames that are longer than what is read at once: taken in parts, which nobody behind the parser notices."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from picows import WSFrame, WSListener, WSTransport
from tests.authority import Authority
from tests.net.conftest import Run
from tests.net.harness import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, client_frame, serving

from rocade.net import websocket_connection
from rocade.net.close_frames import MESSAGE_TOO_BIG, PROTOCOL_ERROR
from rocade.net.deflate import DeflateOptions
from rocade.net.framebuffer import FrameBuffer, Sizes
from rocade.net.frameparser import new_client_parser, new_parser

TINY = Sizes(rooms=(60, 90, 200), kept=1, idle=70, part=64)
BORDERS = (1535, 7168, 28672, 65520, 65536, 131040, 196560)
"""How much fits into each buffer, and into parts of a long frame."""


class Frames(WSListener):
    """Puts messages together again."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.longest = 0
        self._parts: list[bytes] = []

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        self.longest = max(self.longest, frame.payload_size)
        self._parts.append(frame.get_payload_as_bytes())
        if frame.fin:
            self.messages.append(b"".join(self._parts))
            self._parts = []


def fed(buffer: FrameBuffer, stream: bytes, sizes: Callable[[], int]) -> None:
    """Read a stream as a connection does, in pieces of these sizes."""
    rest = memoryview(stream)
    while rest:
        room = buffer.room(-1)
        view = buffer.memory if len(room) == buffer.size else buffer.offer(room)
        count = min(len(view), len(rest), sizes())
        assert count
        view[:count] = rest[:count]
        rest = rest[count:]
        buffer.parse(count)
        if len(room) != buffer.size or count == len(buffer.memory):
            buffer.worked_off(count)


def failed(code: int, text: str) -> None:
    raise AssertionError((code, text))


def unmasked_frame(payload: bytes) -> bytes:
    """A frame of a server."""
    size = len(payload)
    if size < 126:
        return bytes((0x82, size)) + payload
    if size < 65536:
        return b"\x82\x7e" + size.to_bytes(2, "big") + payload
    return b"\x82\x7f" + size.to_bytes(8, "big") + payload


@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize("sizes", [Sizes(), TINY], ids=["usual buffers", "tiny buffers"])
def test_frames_of_every_length_cut_anywhere_are_the_same_messages(run: Run, side: str, sizes: Sizes) -> None:
    async def main() -> None:
        listener = Frames()

        def make(buffer_bytes: int) -> Any:
            if side == "server":
                return new_parser(listener, failed, 1 << 24, buffer_bytes)
            return new_client_parser(listener, failed, 1 << 24, buffer_bytes)[0]

        lengths = range(450) if sizes is TINY else [at + by for at in BORDERS for by in range(-16, 17)]
        chance = random.Random(7)
        data = os.urandom(max(lengths))
        for _ in range(20 if sizes is TINY else 1):
            buffer = FrameBuffer(make, sizes)
            messages = [data[: chance.choice(lengths)] for _ in range(len(lengths))]
            stream = b"".join(client_frame(BINARY, it) if side == "server" else unmasked_frame(it) for it in messages)
            most = chance.choice([1, 9, 70, 300]) if sizes is TINY else 80000
            fed(buffer, stream, lambda most=most: chance.randint(1, most))  # type: ignore[misc]
            assert listener.messages == messages
            assert listener.longest <= max(sizes.part, sizes.rooms[-1])
            listener.messages.clear()
            if sizes is not TINY:
                # What is large has been given back.
                fed(buffer, client_frame(BINARY) if side == "server" else unmasked_frame(b""), lambda: 100)
                assert buffer.size < 65536

    run(main())


def long_messages() -> list[bytes]:
    return [
        b"[" + bytes([65 + number]) * length + b"]" for number, length in enumerate((70_000, 900_000, 65_530, 131_072))
    ]


async def expect(client: Client, *messages: bytes) -> None:
    for message in messages:
        assert await client.read_frame() == (TEXT, message)


def test_long_and_short_messages_in_one_segment_keep_their_order(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, _ = await server.open_websocket()
            messages = [it for long in long_messages() for it in (long, long, b"[1]", b"[2]", b"")]
            client.send(b"".join(client_frame(TEXT, message) for message in messages))
            await expect(client, *messages)

    run(main())


def test_long_messages_over_tls(run: Run, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = authority.issue("server")
    context.load_cert_chain(pair.certificate, pair.key)

    async def main() -> None:
        async with serving(tls=context) as server:
            reader, writer = await asyncio.open_connection(
                *server.address, ssl=authority.client_context(), server_hostname="127.0.0.1"
            )
            client = Client(reader, writer)
            server.clients.append(client)
            client.upgrade()
            await client.head()
            messages = [it for long in long_messages() for it in (long, b"[1]")]
            client.send(b"".join(client_frame(TEXT, message) for message in messages))
            await expect(client, *messages)

    run(main())


def test_a_message_of_long_and_short_fragments_with_pings_between_them(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, _ = await server.open_websocket()
            for lengths in ((200_000, 3, 0, 100_000), (5, 200_000), (70_000, 70_000), (100_000, 0)):
                parts = [bytes([97 + number]) * length for number, length in enumerate(lengths)]
                for number, part in enumerate(parts):
                    client.frame(CONTINUATION if number else TEXT, part, fin=number == len(parts) - 1)
                    client.frame(PING, b"%d" % number)
                for number in range(len(parts) - 1):
                    assert await client.read_frame() == (PONG, b"%d" % number)
                await expect(client, b"".join(parts))
                assert await client.read_frame() == (PONG, b"%d" % (len(parts) - 1))

    run(main())


LONG = client_frame(TEXT, b"x" * 300_000)
NOT_WHOLE = {
    "reserved bits": (client_frame(TEXT, b"x" * 300_000, rsv=2), PROTOCOL_ERROR),
    "a continuation of nothing": (client_frame(CONTINUATION, b"x" * 300_000), PROTOCOL_ERROR),
    "a message inside another": (client_frame(TEXT, b"x" * 90_000, fin=False) + LONG, PROTOCOL_ERROR),
    "too long": (client_frame(TEXT, b"x" * 500_001), MESSAGE_TOO_BIG),
    "too long together": (
        LONG[:1].replace(b"\x81", b"\x01") + LONG[1:] + client_frame(CONTINUATION, b"x" * 300_000),
        MESSAGE_TOO_BIG,
    ),
}


@pytest.mark.parametrize("what", NOT_WHOLE)
def test_a_long_frame_that_cannot_be_right_fails_before_it_is_complete(run: Run, what: str) -> None:
    stream, code = NOT_WHOLE[what]

    async def main() -> None:
        async with serving(websocket={"max_message_bytes": 500_000}) as server:
            client, receiver = await server.open_websocket()
            # Somewhat less than the parts in which it is too long.
            client.send(stream[: -30_000 if what == "too long together" else -200_000])
            assert await client.read_close() == code
            await receiver.lost
            assert receiver.messages == []
            # What still comes is thrown away, in bounded memory.
            client.send(stream[-30_000:])
            connection: Any = receiver.link
            assert 0 < len(connection.get_buffer(-1)) <= 65536
            await server.prove_alive()

    run(main())


def test_the_length_alone_is_enough_to_refuse_a_frame(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            client.send(b"\x81\xff" + (16 * 1024 * 1024 + 1).to_bytes(8, "big"))
            assert await client.read_close() == MESSAGE_TOO_BIG
            await receiver.lost

    run(main())


def test_a_client_that_goes_in_the_middle_of_a_long_frame_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            client.send(LONG[:200_000])
            connection: Any = receiver.link
            while connection._fragments is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            client.close()
            await receiver.lost
            assert receiver.messages == []
            await server.until_connections(0)

    run(main())


def test_what_comes_behind_close_is_not_looked_at_however_long(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            client.send(client_frame(TEXT, b"[1]") + client_frame(CLOSE, b"\x03\xe8") + LONG)
            await expect(client, b"[1]")
            assert await client.read_close() == 1000
            await receiver.lost

    run(main())


def test_a_paused_link_takes_no_more_of_a_long_frame(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            receiver.link.pause_reading()
            client.send(LONG + client_frame(TEXT, b"[1]"))
            await asyncio.sleep(0.05)
            assert receiver.messages == []
            receiver.link.resume_reading()
            await expect(client, b"x" * 300_000, b"[1]")

    run(main())


@pytest.mark.parametrize("payload", [b"[" * 2_000_000, os.urandom(300_000).hex().encode()], ids=["dense", "random"])
def test_long_compressed_messages(run: Run, payload: bytes) -> None:
    async def main() -> None:
        async with serving(websocket={"deflate": DeflateOptions()}) as server:
            client, receiver = await server.open_websocket(sec_websocket_extensions="permessage-deflate")
            receiver.echoes = False
            deflater = zlib.compressobj(wbits=-15)
            for _ in range(3):
                data = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
                client.frame(TEXT, data[:-4], rsv=4)
                client.frame(TEXT, payload)
            await receiver.until(lambda: len(receiver.messages) == 6)
            assert receiver.messages == [payload] * 6

    run(main())


def test_a_connection_with_tiny_buffers_echoes_everything(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_connection, "SIZES", TINY)

    async def main() -> None:
        async with serving() as server:
            client, _ = await server.open_websocket()
            messages = [b"m" * length for length in [*range(0, 700, 7), 100_000]]
            client.send(b"".join(client_frame(TEXT, message) for message in messages))
            await expect(client, *messages)

    run(main())
