"""RawSocket connections over real sockets."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from tests.net.conftest import Run
from tests.net.harness import client_frame, serving

from rocade.net.long_writes import SLICE_BYTES
from rocade.net.rawsocket import RawSocketOptions


@pytest.mark.parametrize("size", [0, 1, 511, 65536, 1 << 20])
def test_messages_of_every_size_arrive(run: Run, size: int) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_rawsocket()
            client.raw_frame(b"x" * size)
            assert await client.read_raw_frame() == (0, b"x" * size)
            assert receiver.messages == [b"x" * size]

    run(main())


def test_a_message_of_exactly_16_mib_arrives(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_rawsocket()
            receiver.echoes = False
            client.send(b"\x08\x00\x00\x00" + b"x" * (1 << 24))
            await receiver.until(lambda: bool(receiver.messages))
            assert len(receiver.messages[0]) == 1 << 24

    run(main())


@pytest.mark.parametrize(("number", "name"), [(1, "json"), (2, "msgpack"), (3, "cbor")])
def test_the_handshake_agrees_on_serializer_and_limits(run: Run, number: int, name: str) -> None:
    async def main() -> None:
        async with serving(rawsocket={"max_message_bytes": 3000}) as server:
            client = await server.connect()
            client.send(bytes((0x7F, 0x50 | number, 0, 0)))
            assert await client.read(4) == bytes((0x7F, 0x20 | number, 0, 0))
            link = server.receivers[0].link
            assert link.wire.name == f"rawsocket.{name}"
            assert link.max_send_bytes == 1 << 14
            assert link.info.transport == "rawsocket"

    run(main())


def test_a_handshake_in_pieces_with_messages_behind_it_works(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send(b"\x7f")
            await asyncio.sleep(0.01)
            client.send(b"\xf1\x00")
            await asyncio.sleep(0.01)
            client.send(b"\x00" + struct.pack(">I", 3) + b"one" + struct.pack(">I", 3) + b"t")
            assert await client.read(4) == b"\x7f\xf1\x00\x00"
            assert await client.read_raw_frame() == (0, b"one")
            client.send(b"wo")
            assert await client.read_raw_frame() == (0, b"two")

    run(main())


@pytest.mark.parametrize(
    ("request_bytes", "reply"),
    [
        (b"\x7f\xf0\x00\x00", b"\x7f\x10\x00\x00"),
        (b"\x7f\xf2\x00\x00", b"\x7f\x10\x00\x00"),
        (b"\x7f\xf1\x00\x01", b"\x7f\x30\x00\x00"),
    ],
)
def test_a_handshake_is_refused_with_the_error_of_the_specification(
    run: Run, request_bytes: bytes, reply: bytes
) -> None:
    async def main() -> None:
        async with serving(rawsocket={"serializers": ("json",)}) as server:
            client = await server.connect()
            client.send(request_bytes + struct.pack(">I", 1) + b"x")
            assert await client.rest() == reply
            assert server.receivers == []
            await server.prove_alive()

    run(main())


def test_connections_beyond_the_limit_are_refused(run: Run) -> None:
    async def main() -> None:
        async with serving(rawsocket={"max_connections": 1}) as server:
            first, receiver = await server.open_rawsocket()
            second = await server.connect()
            second.send(b"\x7f\xf1\x00\x00")
            assert await second.rest() == b"\x7f\x40\x00\x00"
            second.close()
            first.close()
            await receiver.lost
            await server.until_connections(0)
            await server.open_rawsocket()

    run(main())


def test_a_handshake_that_does_not_come_in_time_is_dropped(run: Run) -> None:
    async def main() -> None:
        async with serving(rawsocket={"handshake_timeout": 0.05}) as server:
            client = await server.connect()
            client.send(b"\x7f\xf1")
            assert await client.rest() == b""
            await server.prove_alive()

    run(main())


def test_pings_are_answered_in_order(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, _ = await server.open_rawsocket()
            client.raw_frame(b"1")
            client.raw_frame(b"2" * 1000, kind=1)
            client.raw_frame(b"unasked", kind=2)
            client.raw_frame(b"3")
            frames = [await client.read_raw_frame() for _ in range(3)]
            assert frames == [(0, b"1"), (2, b"2" * 1000), (0, b"3")]

    run(main())


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", 1025),
        b"\x08\x00\x00\x00",
        b"\x03\x00\x00\x01x",
        b"\x10\x00\x00\x01x",
        client_frame(1, b"websocket"),
    ],
)
def test_a_broken_peer_is_dropped_and_harms_nobody_else(run: Run, data: bytes) -> None:
    async def main() -> None:
        async with serving(rawsocket={"max_message_bytes": 1024}) as server:
            client, receiver = await server.open_rawsocket(b"\x7f\x11\x00\x00")
            client.raw_frame(b"before")
            client.send(data)
            client.raw_frame(b"behind")
            assert await client.rest() == struct.pack(">I", 6) + b"before"
            assert "protocol error" in await receiver.lost
            assert receiver.messages == [b"before"]
            await server.prove_alive()

    run(main())


def test_the_link_closes_in_order(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_rawsocket()
            receiver.link.write([receiver.link.wire.frame(b"last")])
            receiver.link.close("enough")
            receiver.link.write([receiver.link.wire.frame(b"too late")])
            client.raw_frame(b"ignored")
            assert await client.rest() == struct.pack(">I", 4) + b"last"
            client.close()
            assert await receiver.lost == "closed: enough"
            assert receiver.messages == []

    run(main())


def test_a_peer_that_does_not_read_is_aborted(run: Run) -> None:
    async def main() -> None:
        async with serving(rawsocket={"close_timeout": 0.05}) as server:
            client = await server.connect(receive_buffer=4096)
            client.send(b"\x7f\xf1\x00\x00")
            await client.read(4)
            client.writer.transport.pause_reading()
            receiver = server.receivers[0]
            while receiver.link.buffered_bytes() < 1 << 20:
                receiver.link.write([b"x" * 100_000])
                await asyncio.sleep(0)
            receiver.link.close()
            assert await receiver.lost == "closed"
            await server.prove_alive()

    run(main())


def test_messages_read_before_a_pause_come_first(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_rawsocket()
            receiver.echoes = False
            client.raw_frame(b"0")
            await receiver.until(lambda: bool(receiver.messages))
            receiver.link.pause_reading()
            for number in range(1, 1000):
                client.raw_frame(str(number).encode())
            await asyncio.sleep(0.01)
            assert receiver.messages == [b"0"]
            receiver.link.resume_reading()
            await receiver.until(lambda: len(receiver.messages) == 1000)
            assert receiver.messages == [str(number).encode() for number in range(1000)]

    run(main())


def test_a_receiver_that_raises_ends_its_connection_only(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_rawsocket()

            def broken(_data: bytes) -> None:
                raise ZeroDivisionError

            receiver.link._reading.deliver = broken  # type: ignore[attr-defined]
            client.raw_frame(b"x")
            assert await client.rest() == b""
            assert await receiver.lost == "internal error"
            await server.prove_alive()

    run(main())
    assert "could not be handled" in caplog.text


def test_a_silent_peer_is_pinged_and_dropped_where_that_is_wanted(run: Run) -> None:
    async def main() -> None:
        async with serving(rawsocket={"ping_interval": 0.1, "ping_timeout": 0.2}) as server:
            client, receiver = await server.open_rawsocket()
            assert await client.read_raw_frame() == (1, b"")
            assert await client.rest() == b""
            assert await receiver.lost == "no pong within 0.2 s"

    run(main())


def test_a_peer_that_answers_is_pinged_again(run: Run) -> None:
    async def main() -> None:
        async with serving(rawsocket={"ping_interval": 0.1, "ping_timeout": 2.0}) as server:
            client, receiver = await server.open_rawsocket()
            for _ in range(2):
                assert await client.read_raw_frame() == (1, b"")
                client.raw_frame(b"", kind=2)
            assert not receiver.lost.done()

    run(main())


def test_a_long_ping_is_answered_a_slice_at_a_time_and_in_order(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect(receive_buffer=4096)
            client.send(b"\x7f\xf1\x00\x00")
            await client.read(4)
            (receiver,) = server.receivers
            payload = bytes(range(256)) * 65535
            client.writer.transport.pause_reading()
            client.raw_frame(payload, kind=1)
            client.raw_frame(b"[1]", kind=0)
            client.raw_frame(b"short", kind=1)
            await receiver.until(lambda: "paused" in receiver.events)
            link: Any = receiver.link
            assert link.buffered_bytes() > 1 << 20
            assert link._transport.get_write_buffer_size() <= SLICE_BYTES
            client.writer.transport.resume_reading()
            assert await client.read_raw_frame() == (2, payload)
            assert await client.read_raw_frame() == (0, b"[1]")
            assert await client.read_raw_frame() == (2, b"short")

    run(main())


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="ubjson"):
        RawSocketOptions(serializers=("ubjson",))
    for limit in (511, (1 << 24) + 1):
        with pytest.raises(ValueError, match="max_message_bytes"):
            RawSocketOptions(max_message_bytes=limit)
