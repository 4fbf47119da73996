"""What is too long to be written at once: a slice at a time, in order, and with turns for everybody else."""

from __future__ import annotations

import asyncio
import random
import sys
import zlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from tests.net.harness import CLOSE, PING, PONG, TEXT, Client, Server, serving

from rocade.net.deflate import DeflateOptions
from rocade.net.long_writes import LONG_WRITE, SLICE_BYTES, LongWrite, LongWrites, next_slice, slices_of
from rocade.wamp.framing import frame_message
from rocade.wamp.pieces import LONG_BYTES, Pieces

Run = Callable[[Coroutine[Any, Any, None]], None]

LONG = 4 * 1024 * 1024


def text(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size // 2).hex().encode()


# --- slices -------------------------------------------------------------------------------------------


def drained(rest: deque[Any]) -> list[list[Any]]:
    slices = []
    while taken := next_slice(rest):
        slices.append(taken)
    return slices


def test_slices_are_short_and_together_what_was_to_be_written() -> None:
    parts = [text(size, size) for size in (10, SLICE_BYTES, 3 * SLICE_BYTES + 7, 1000, 2000)]

    slices = drained(deque(parts))

    assert b"".join(part for taken in slices for part in taken) == b"".join(parts)
    assert max(sum(map(len, taken)) for taken in slices) == SLICE_BYTES


def test_what_is_made_when_its_turn_comes_is_a_slice_of_its_own() -> None:
    made: list[int] = []

    def making() -> Iterator[bytes]:
        for number in range(3):
            made.append(number)
            yield b"%d" % number

    rest: deque[Any] = deque([b"before", making(), b"behind"])

    assert next_slice(rest) == [b"before"]
    assert made == []
    assert next_slice(rest) == [b"0"]
    assert made == [0]
    assert drained(rest) == [[b"1"], [b"2"], [b"behind"]]


def test_thousands_of_short_frames_are_joined_and_long_ones_are_left_in_pieces() -> None:
    short = [b"%d" % number for number in range(100_000)]
    long = Pieces((b"head", text(LONG_BYTES)))

    parts = list(slices_of([*short, long, *short]))

    assert b"".join(parts) == b"".join([*short, bytes(long), *short])
    assert len(parts) < 20


def test_connections_write_in_turn(run: Run) -> None:
    class Writer:
        def __init__(self, name: str, slices: int) -> None:
            self.name, self.slices = name, slices

        def write_slice(self) -> int | None:
            if not self.slices:
                return None
            self.slices -= 1
            written.append(self.name)
            return SLICE_BYTES

        def failed(self) -> None:
            raise AssertionError

    written: list[str] = []

    async def main() -> None:
        writes = LongWrites(asyncio.get_running_loop())
        for name, slices in (("a", 3), ("b", 1), ("c", 2)):
            writes.add(Writer(name, slices))
        assert written == []
        for _ in range(10):
            await asyncio.sleep(0)

    run(main())
    assert written == ["a", "b", "c", "a", "c", "a"]


def test_a_connection_that_fails_to_write_leaves_the_others_their_turns(run: Run) -> None:
    class Failing:
        def write_slice(self) -> int | None:
            raise MemoryError

        def failed(self) -> None:
            assert isinstance(sys.exc_info()[1], MemoryError)
            told.append(self)

    told: list[Failing] = []

    async def main() -> None:
        wire = Wire()
        wire.turns.add(Failing())
        wire.rest.append([b"c"], 1)
        for _ in range(5):
            await asyncio.sleep(0)
        wire.rest.resume()
        for _ in range(5):
            await asyncio.sleep(0)
        assert [part[:1] for part in wire.written] == [b"a", b"b", b"c"]

    run(main())
    assert len(told) == 1


# --- one long write ------------------------------------------------------------------------------------


class Wire:
    """Where a long write goes, and what became of it."""

    def __init__(self, *, is_paused: bool = False) -> None:
        self.written: list[bytes] = []
        self.news: list[str] = []
        self.turns = LongWrites(asyncio.get_running_loop())
        self.rest = LongWrite(
            self.turns,
            self.write,
            lambda: self.news.append("done"),
            lambda: self.news.append("failed"),
            [b"a" * SLICE_BYTES, b"b" * SLICE_BYTES],
            2 * SLICE_BYTES,
            is_paused=is_paused,
        )

    def write(self, parts: Any) -> None:
        self.written.append(b"".join(parts))
        if self.written[-1][:1] == b"a":
            self.rest.pause()


def test_a_long_write_waits_for_a_slow_peer_and_ends_once(run: Run) -> None:
    async def main() -> None:
        wire = Wire()
        wire.rest.finish = lambda: wire.news.append("finished")
        wire.rest.append([b"c"], 1)
        for _ in range(5):
            await asyncio.sleep(0)
        assert [part[:1] for part in wire.written] == [b"a"]
        assert wire.rest.size == SLICE_BYTES + 1
        assert wire.news == []
        wire.rest.resume()
        for _ in range(5):
            await asyncio.sleep(0)
        assert [part[:1] for part in wire.written] == [b"a", b"b", b"c"]
        assert wire.rest.size == 0
        assert wire.news == ["done", "finished"]

    run(main())


def test_a_long_write_for_a_peer_that_does_not_read_waits_from_the_beginning(run: Run) -> None:
    async def main() -> None:
        wire = Wire(is_paused=True)
        await asyncio.sleep(0)
        assert wire.written == []
        wire.rest.resume()
        await asyncio.sleep(0)
        assert wire.written == [b"a" * SLICE_BYTES]

    run(main())


def test_a_long_write_that_fails_is_told_and_writes_no_more(run: Run) -> None:
    def fail() -> Iterator[bytes]:
        yield b"a"
        raise MemoryError

    async def main() -> None:
        wire = Wire()
        wire.rest.append([fail(), b"c"], 1)
        wire.rest.finish = lambda: wire.news.append("finished")
        for _ in range(5):
            await asyncio.sleep(0)
        wire.rest.resume()
        for _ in range(5):
            await asyncio.sleep(0)
        wire.rest.resume()
        for _ in range(5):
            await asyncio.sleep(0)
        assert [part[:1] for part in wire.written] == [b"a", b"b", b"a"]
        assert wire.news == ["failed"]

    run(main())


def test_a_long_write_that_is_dropped_writes_no_more_and_never_ends(run: Run) -> None:
    async def main() -> None:
        wire = Wire()
        wire.rest.finish = lambda: wire.news.append("finished")
        wire.rest.drop()
        for _ in range(5):
            await asyncio.sleep(0)
        assert wire.written == []
        assert wire.news == []

    run(main())


# --- connections --------------------------------------------------------------------------------------


def long_frame(receiver: Any, message: bytes) -> Any:
    frame = receiver.link.wire.frame(message)
    assert isinstance(frame, Pieces) or receiver.link.wire.name.endswith(".packed")
    return frame


def test_a_long_message_arrives_whole_and_nothing_gets_into_it(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            message = text(LONG)
            receiver.echoes = False
            receiver.link.write([long_frame(receiver, message), receiver.link.wire.frame(b"[1]")])
            client.frame(PING, b"now")
            client.frame(TEXT, b"[2]")
            await receiver.until(lambda: bool(receiver.messages))
            receiver.link.write([receiver.link.wire.frame(b"[3]")])
            receiver.link.close("enough")
            frames = [await client.read_frame() for _ in range(5)]
            assert frames[:2] == [(TEXT, message), (TEXT, b"[1]")]
            assert frames[2:4] == [(PONG, b"now"), (TEXT, b"[3]")]
            assert frames[4][0] == CLOSE

    run(main())


def test_rawsocket_messages_of_any_length_arrive_before_the_connection_ends(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_rawsocket()
            message = text(LONG)
            receiver.link.write([frame_message(message), frame_message(b"[1]")])
            client.raw_frame(b"now", kind=1)
            receiver.link.close()
            assert await client.read_raw_frame() == (0, message)
            assert await client.read_raw_frame() == (0, b"[1]")

    run(main())


def test_others_are_answered_while_a_long_message_is_written(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            other, _ = await server.open_websocket()
            message = text(LONG)
            client.writer.transport.pause_reading()
            receiver.link.write([long_frame(receiver, message)])
            await receiver.until(lambda: "paused" in receiver.events)
            for number in range(20):
                other.frame(TEXT, b"[%d]" % number)
                assert await other.read_frame() == (TEXT, b"[%d]" % number)
            client.writer.transport.resume_reading()
            assert await client.read_frame() == (TEXT, message)
            await receiver.until(lambda: receiver.events == ["paused", "resumed"])
            assert receiver.link.buffered_bytes() == 0

    run(main())


def test_a_peer_that_closes_its_side_still_gets_the_rest(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_rawsocket()
            message = text(LONG)
            receiver.link.write([frame_message(message)])
            client.writer.write_eof()
            assert await client.read_raw_frame() == (0, message)
            await receiver.lost

    run(main())


@pytest.mark.parametrize("ending", ["abort", "vanish"])
def test_what_is_not_written_is_forgotten_with_the_connection(run: Run, ending: str) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            client.writer.transport.pause_reading()
            receiver.link.write([long_frame(receiver, text(4 * LONG))])
            await receiver.until(lambda: "paused" in receiver.events)
            if ending == "abort":
                receiver.link.abort()
            else:
                client.writer.transport.abort()
            await receiver.lost
            assert receiver.link.buffered_bytes() == 0
            await server.prove_alive()

    run(main())


def test_what_cannot_be_written_ends_its_connection_only(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Iterator[bytes]:
        yield b""
        raise MemoryError

    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            other, other_receiver = await server.open_websocket()
            message = text(LONG)
            receiver.link._write_later([fail()], 1)  # type: ignore[attr-defined]
            other_receiver.link.write([long_frame(other_receiver, message)])
            assert await client.rest() == b""
            assert await receiver.lost == "internal error"
            assert await other.read_frame() == (TEXT, message)

    run(main())
    assert "could not be written" in caplog.text


async def compressed(server: Server) -> tuple[Client, Any]:
    return await server.open_websocket(sec_websocket_extensions="permessage-deflate")


def test_compressed_messages_of_any_length_arrive_in_order(run: Run) -> None:
    sizes = [100, 30_000, 300_000, 40, 900_000, 1_500_000, 70_000, 10]

    async def main() -> None:
        async with serving(websocket={"deflate": DeflateOptions()}) as server:
            client, receiver = await compressed(server)
            messages = [text(size, size) for size in sizes]
            for start in range(0, len(messages), 2):
                receiver.link.write(messages[start : start + 2])
            receiver.link.close()
            inflater = zlib.decompressobj(-15)
            received = []
            for message in messages:
                first, second = await client.read(2)
                length = second
                if second == 126:
                    length = int.from_bytes(await client.read(2), "big")
                elif second == 127:
                    length = int.from_bytes(await client.read(8), "big")
                payload = await client.read(length)
                assert first & 0x8F == 0x80 | TEXT
                assert bool(first & 0x40) is (64 <= len(message) <= 1024 * 1024)
                if first & 0x40:
                    payload = inflater.decompress(payload + b"\x00\x00\xff\xff")
                received.append(payload)
            assert received == messages
            assert (await client.read_frame())[0] == CLOSE

    run(main())


def test_a_write_of_very_many_short_messages_is_long_too(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_rawsocket()
            messages = [b"[%d]" % number for number in range(100_000)]
            assert sum(map(len, messages)) > LONG_WRITE
            frames = [frame_message(message) for message in messages]
            receiver.link.write(frames)
            assert receiver.link.buffered_bytes() == sum(map(len, frames))
            for message in messages:
                assert await client.read_raw_frame() == (0, message)

    run(main())
