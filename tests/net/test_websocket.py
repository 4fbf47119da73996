"""WebSocket connections over real sockets: messages, broken peers, closing, and pauses."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from tests.net.conftest import Run
from tests.net.harness import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Client,
    Echo,
    Server,
    client_frame,
    serving,
    upgrade_request,
)

from rocade.net.link import Link
from rocade.net.websocket import WebSocketOptions


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1 << 20])
def test_messages_of_every_size_arrive(run: Run, size: int) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            client.frame(TEXT, b"x" * size)
            assert await client.read_frame() == (TEXT, b"x" * size)
            assert receiver.messages == [b"x" * size]

    run(main())


def test_binary_serializers_travel_in_binary_messages(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket(sec_websocket_protocol="wamp.2.msgpack")
            client.frame(BINARY, b"\x91\xc3\xff")
            assert await client.read_frame() == (BINARY, b"\x91\xc3\xff")
            assert receiver.link.wire.name == "websocket.msgpack"

    run(main())


def test_many_messages_in_one_segment_arrive_in_order(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            expected = [str(number).encode() for number in range(2000)]
            client.send(b"".join(client_frame(TEXT, message) for message in expected))
            assert [(await client.read_frame())[1] for _ in expected] == expected
            assert receiver.messages == expected

    run(main())


def test_a_message_behind_the_upgrade_request_is_not_lost(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.send(upgrade_request() + client_frame(TEXT, b"first") + client_frame(TEXT, b"second" * 1000))
            assert (await client.head()).startswith(b"HTTP/1.1 101 ")
            assert await client.read_frame() == (TEXT, b"first")
            assert await client.read_frame() == (TEXT, b"second" * 1000)

    run(main())


def test_messages_that_arrive_byte_by_byte_are_put_together(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, _ = await server.open_websocket()
            for byte in client_frame(TEXT, b"slow" * 40):
                client.send(bytes((byte,)))
                await asyncio.sleep(0)
            assert await client.read_frame() == (TEXT, b"slow" * 40)

    run(main())


def test_fragments_make_one_message_with_control_frames_between_them(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            euro = "€".encode()
            client.frame(TEXT, b"a" + euro[:1], fin=False)
            client.frame(PING, b"now")
            client.frame(CONTINUATION, euro[1:2], fin=False)
            client.frame(CONTINUATION, b"", fin=False)
            client.frame(CONTINUATION, euro[2:] + b"b")
            client.frame(TEXT, b"next")
            assert await client.read_frame() == (PONG, b"now")
            assert await client.read_frame() == (TEXT, b"a" + euro + b"b")
            assert await client.read_frame() == (TEXT, b"next")
            assert receiver.messages == [b"a" + euro + b"b", b"next"]

    run(main())


BROKEN = {
    "a message too long": (client_frame(TEXT, b"x" * 1025), 1009),
    "fragments that are too long together": (
        client_frame(TEXT, b"x" * 1000, fin=False) + client_frame(CONTINUATION, b"x" * 25),
        1009,
    ),
    "a length that only the header has": (b"\x81\xff\x00\x00\x00\x00\x7f\xff\xff\xff" + bytes(4), 1009),
    "a stray continuation": (client_frame(CONTINUATION, b"x"), 1002),
    "a message inside a fragmented one": (client_frame(TEXT, b"x", fin=False) + client_frame(TEXT, b"y"), 1002),
    "RSV1": (client_frame(TEXT, b"x", rsv=4), 1002),
    "RSV2": (client_frame(TEXT, b"x", rsv=2), 1002),
    "RSV3": (client_frame(TEXT, b"x", rsv=1), 1002),
    "RSV1 on a ping": (client_frame(PING, b"x", rsv=4), 1002),
    "RSV1 on a close": (client_frame(CLOSE, b"\x03\xe8", rsv=4), 1002),
    "RSV1 on a continuation": (client_frame(TEXT, b"x", fin=False) + client_frame(CONTINUATION, b"x", rsv=4), 1002),
    "a reserved opcode": (client_frame(3, b"x"), 1002),
    "a reserved control opcode": (client_frame(11, b"x"), 1002),
    "a fragmented ping": (client_frame(PING, b"x", fin=False), 1002),
    "too long a ping": (client_frame(PING, b"x" * 126), 1002),
    "an unmasked frame": (b"\x81\x01x", 1002),
    "a length not in its shortest form": (b"\x81\xfe\x00\x01" + bytes(5), 1002),
    "text that is not UTF-8": (client_frame(TEXT, b"\xff"), 1007),
    "a fragment that is not UTF-8, before the last": (client_frame(TEXT, b"\xc3\x28", fin=False), 1007),
    "text that ends inside a character": (
        client_frame(TEXT, b"\xe2\x82", fin=False) + client_frame(CONTINUATION),
        1007,
    ),
    "a surrogate": (client_frame(TEXT, b"\xed\xa0\x80"), 1007),
    "the wrong type": (client_frame(BINARY, b"x"), 1003),
    "fragments of the wrong type": (client_frame(BINARY, b"x", fin=False) + client_frame(CONTINUATION, b"x"), 1003),
    "a close of one byte": (client_frame(CLOSE, b"x"), 1002),
    "a reason that is not UTF-8": (client_frame(CLOSE, b"\x03\xe8\xff"), 1007),
    **{
        f"close code {code}": (client_frame(CLOSE, code.to_bytes(2, "big")), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65535)
    },
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_peer_is_told_and_harms_nobody_else(run: Run, case: str) -> None:
    data, code = BROKEN[case]

    async def main() -> None:
        async with serving(websocket={"max_message_bytes": 1024}) as server:
            client, receiver = await server.open_websocket()
            client.send(client_frame(TEXT, b"before") + data + client_frame(TEXT, b"behind"))
            assert await client.read_frame() == (TEXT, b"before")
            assert await client.read_close() == code
            assert await client.rest() == b""
            assert "protocol error" in await receiver.lost
            assert receiver.messages == [b"before"]
            await server.prove_alive()

    run(main())


def test_text_on_a_binary_wire_is_refused(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, _ = await server.open_websocket(sec_websocket_protocol="wamp.2.cbor")
            client.frame(TEXT, b"[]")
            assert await client.read_close() == 1003

    run(main())


def test_a_million_empty_fragments_cost_no_memory(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            client.frame(TEXT, b"x", fin=False)
            client.send(client_frame(CONTINUATION, b"", fin=False) * 20000)
            client.frame(CONTINUATION, b"y")
            assert await client.read_frame() == (TEXT, b"xy")
            assert receiver.messages == [b"xy"]

    run(main())


def test_pings_are_answered_in_order_with_everything_else(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, _ = await server.open_websocket()
            client.send(client_frame(TEXT, b"1") + client_frame(PING, b"2") + client_frame(TEXT, b"3"))
            client.send(client_frame(PING, b"") + client_frame(PONG, b"unasked") + client_frame(PING, b"x" * 125))
            frames = [await client.read_frame() for _ in range(5)]
            assert frames == [(TEXT, b"1"), (PONG, b"2"), (TEXT, b"3"), (PONG, b""), (PONG, b"x" * 125)]

    run(main())


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe9bye", b"\x0b\xb8", b"\x13\x87app"])
def test_a_close_is_answered_by_the_same_code_and_nothing_behind_it_counts(run: Run, payload: bytes) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            client.send(client_frame(CLOSE, payload) + client_frame(TEXT, b"late") + client_frame(CLOSE, payload))
            client.send(client_frame(PING, b"late"))
            assert await client.read_frame() == (CLOSE, payload[:2])
            assert await client.rest() == b""
            assert (await receiver.lost).startswith("closed by peer")
            assert receiver.messages == []
            await server.prove_alive()

    run(main())


def test_the_link_closes_in_order(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            receiver.link.write([receiver.link.wire.frame(b"last")])
            receiver.link.close("enough")
            receiver.link.write([receiver.link.wire.frame(b"too late")])
            client.frame(TEXT, b"ignored")
            assert await client.read_frame() == (TEXT, b"last")
            assert await client.read_frame() == (CLOSE, b"\x03\xe8enough")
            assert not receiver.lost.done()
            client.frame(CLOSE, b"\x03\xe8")
            assert await client.rest() == b""
            assert await receiver.lost == "closed: enough"
            assert receiver.messages == []

    run(main())


def test_a_link_that_fails_closes_with_the_code_of_a_broken_protocol(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            receiver.link.close("x" * 200, failure=True)
            assert await client.read_frame() == (CLOSE, b"\x03\xea" + b"x" * 123)

    run(main())


def test_a_peer_that_does_not_answer_our_close_is_aborted(run: Run) -> None:
    async def main() -> None:
        async with serving(websocket={"close_timeout": 0.05}) as server:
            client, receiver = await server.open_websocket()
            receiver.link.close()
            assert await client.read_close() == 1000
            await receiver.lost
            assert server.listener.connections == 0
            await server.prove_alive()

    run(main())


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("our close", "closed"),
        ("their close", "closed by peer"),
        ("a broken frame", "protocol error"),
        ("half a connection", "connection closed by peer"),
    ],
)
def test_a_peer_that_does_not_read_is_aborted(run: Run, way: str, reason: str) -> None:
    async def main() -> None:
        async with serving(websocket={"close_timeout": 0.05}) as server:
            client = await server.connect(receive_buffer=4096)
            client.upgrade()
            await client.head()
            client.writer.transport.pause_reading()
            receiver = server.receivers[0]
            link = receiver.link
            while link.buffered_bytes() < 1 << 20:
                link.write([link.wire.frame(b"x" * 100_000)])
                await asyncio.sleep(0)
            if way == "our close":
                link.close()
            elif way == "their close":
                client.frame(CLOSE)
            elif way == "a broken frame":
                client.frame(3)
            else:
                client.writer.write_eof()
            assert (await receiver.lost).startswith(reason)
            await server.prove_alive()
            await server.until_connections(1)

    run(main())


def test_abort_drops_the_connection(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            receiver.link.abort()
            assert await client.rest() == b""
            assert await receiver.lost == "aborted"
            receiver.link.abort()
            receiver.link.close()
            receiver.link.write([b"x"])
            receiver.link.pause_reading()
            receiver.link.resume_reading()
            assert receiver.link.buffered_bytes() == 0

    run(main())


@pytest.mark.parametrize("ending", ["eof", "reset"])
def test_a_peer_that_vanishes_is_noticed(run: Run, ending: str) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            client.send(client_frame(TEXT, b"x" * 1000)[:50])
            if ending == "eof":
                client.close()
            else:
                client.writer.transport.abort()
            assert await receiver.lost
            await server.prove_alive()

    run(main())


def test_a_receiver_that_raises_ends_its_connection_only(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()

            def broken(_data: bytes) -> None:
                raise ZeroDivisionError

            receiver.link._reading.deliver = broken  # type: ignore[attr-defined]
            client.frame(TEXT, b"x")
            assert await client.read_close() == 1011
            await receiver.lost
            await server.prove_alive()

    run(main())
    assert "could not be handled" in caplog.text


def test_a_connection_that_cannot_be_set_up_is_closed(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as server:
            connected = server.websocket.connected
            server.websocket.connected = None  # type: ignore[assignment]
            client = await server.connect()
            client.send(upgrade_request() + client_frame(TEXT, b"x"))
            await client.head()
            assert await client.read_close() == 1011
            assert await client.rest() == b""
            server.websocket.connected = connected
            await server.prove_alive()

    run(main())
    assert "could not be set up" in caplog.text


def test_what_is_written_while_connecting_follows_the_handshake(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            connected = server.websocket.connected

            def eager(link):  # type: ignore[no-untyped-def]
                link.write([link.wire.frame(b"welcome")])
                link.close()
                return connected(link)

            server.websocket.connected = eager
            client = await server.connect()
            client.send(upgrade_request() + client_frame(TEXT, b"x"))
            await client.head()
            assert await client.read_frame() == (TEXT, b"welcome")
            assert await client.read_close() == 1000
            assert server.receivers[0].messages == []

    run(main())


def test_a_paused_link_delivers_nothing_and_stops_reading(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            receiver.echoes = False
            link = receiver.link
            client.frame(TEXT, b"first")
            await receiver.until(lambda: bool(receiver.messages))
            link.pause_reading()
            flood = client_frame(TEXT, b"x" * 10_000)
            for _ in range(2000):
                client.send(flood)
            # The client's data no longer leaves it: the server does not take it.
            size = -1
            while (now := client.writer.transport.get_write_buffer_size()) != size:
                size = now
                await asyncio.sleep(0.05)
            assert size > 1 << 20
            assert receiver.messages == [b"first"]
            link.resume_reading()
            assert receiver.messages == [b"first"]
            await receiver.until(lambda: len(receiver.messages) == 2001)

    run(main())


def test_messages_read_before_a_pause_come_first_and_can_be_paused_again(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            receiver.echoes = False
            original = receiver.message_received

            def one_at_a_time(data: bytes) -> None:
                original(data)
                receiver.link.pause_reading()

            receiver.link._reading.deliver = receiver.message_received = one_at_a_time  # type: ignore[attr-defined, method-assign]
            expected = [str(number).encode() for number in range(20)]
            client.send(b"".join(client_frame(TEXT, message) for message in expected))
            client.frame(CLOSE, b"\x03\xe8")
            for count in range(1, 21):
                await receiver.until(lambda count=count: len(receiver.messages) == count)
                assert not receiver.lost.done()
                receiver.link.resume_reading()
                receiver.link.resume_reading()
            assert await client.read_close() == 1000
            assert await receiver.lost == "closed by peer (1000)"
            assert receiver.messages == expected

    run(main())


class Pausing(Echo):
    """Pauses its link at the first message, and does something at the second."""

    def __init__(self, link: Link, at_second: Callable[[], None]) -> None:
        super().__init__(link)
        self.echoes = False
        self.at_second = at_second

    def message_received(self, data: bytes) -> None:
        super().message_received(data)
        if len(self.messages) == 1:
            self.link.pause_reading()
        else:
            self.at_second()


async def pausing(server: Server, at_second: Callable[[Link], None], behind: bytes) -> tuple[Client, Pausing]:
    """A connection that has one message, and twenty more and something behind them that had to wait."""
    receivers: list[Pausing] = []

    def connected(link: Link) -> Pausing:
        receivers.append(Pausing(link, lambda: at_second(link)))
        return receivers[-1]

    server.websocket.connected = connected
    client = await server.connect()
    client.upgrade()
    await client.head()
    (receiver,) = receivers
    client.send(b"".join(client_frame(TEXT, b"%d" % number) for number in range(21)) + behind)
    await receiver.until(lambda: bool(receiver.messages))
    receiver.link.resume_reading()
    return client, receiver


def test_an_aborted_link_delivers_nothing_that_had_to_wait(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            _, receiver = await pausing(server, lambda link: link.abort(), b"")
            assert await receiver.lost == "aborted"
            assert receiver.messages == [b"0", b"1"]

    run(main())


def test_a_receiver_that_raises_at_what_had_to_wait_ends_the_connection_although_the_peer_has_closed(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_link: Link) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        async with serving() as server:
            client, receiver = await pausing(server, broken, client_frame(CLOSE, b"\x03\xe8"))
            assert await client.read_close() == 1011
            assert await client.rest() == b""
            assert await receiver.lost == "protocol error: internal error"
            assert receiver.messages == [b"0", b"1"]

    run(main())
    assert "could not be handled" in caplog.text


def test_closing_a_paused_link_completes(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            receiver.link.pause_reading()
            client.send(client_frame(TEXT, b"never delivered") * 10 + client_frame(CLOSE, b"\x03\xe8"))
            receiver.link.close()
            assert await client.read_close() == 1000
            assert await client.rest() == b""
            await receiver.lost
            assert receiver.messages == []

    run(main())


def test_a_slow_peer_pauses_the_receiver_until_it_reads(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect(receive_buffer=4096)
            client.upgrade()
            await client.head()
            receiver = server.receivers[0]
            client.writer.transport.pause_reading()
            sent = 0
            while receiver.link.buffered_bytes() < 1 << 20:
                receiver.link.write([receiver.link.wire.frame(b"x" * 50_000)] * 2)
                assert receiver.events in ([], ["paused"])
                sent += 2
                await asyncio.sleep(0)
            await receiver.until(lambda: receiver.events == ["paused"])
            client.writer.transport.resume_reading()
            for _ in range(sent):
                assert await client.read_frame() == (TEXT, b"x" * 50_000)
            await receiver.until(lambda: receiver.events == ["paused", "resumed"])

    run(main())


def test_a_peer_that_reads_slowly_is_heard_although_it_has_been_pinged(run: Run) -> None:
    async def main() -> None:
        async with serving(websocket={"ping_interval": 0.1, "ping_timeout": 30.0}) as server:
            client = await server.connect(receive_buffer=4096)
            client.upgrade()
            await client.head()
            (receiver,) = server.receivers
            receiver.echoes = False
            client.writer.transport.pause_reading()
            receiver.link.write([receiver.link.wire.frame(bytes(16 * 1024 * 1024))])
            # There is no event for this: the ping waits behind the rest.
            while not receiver.link.pinged:  # type: ignore[attr-defined]  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            client.frame(TEXT, b"slow, but here")
            await receiver.until(lambda: receiver.messages == [b"slow, but here"])
            assert receiver.link.buffered_bytes() > 1 << 20

    run(main())


def test_writing_paused_is_never_reported_from_inside_write(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            _, receiver = await server.open_websocket()
            receiver.link.write([b"x" * (32 << 20)])
            assert receiver.events == []
            await receiver.until(lambda: "paused" in receiver.events)

    run(main())


def test_a_flood_of_pings_whose_answers_nobody_reads_stays_bounded(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect(receive_buffer=4096)
            client.upgrade()
            await client.head()
            link = server.receivers[0].link
            client.writer.transport.pause_reading()
            # Make the server's write buffer full first: the kernel takes megabytes.
            filler = 0
            while link.buffered_bytes() < 1 << 17:
                link.write([link.wire.frame(b"x" * 50_000)])
                filler += 1
                await asyncio.sleep(0)
            full = link.buffered_bytes()
            pings = client_frame(PING, b"x" * 100) * 10_000
            for _ in range(20):
                client.send(pings)
            size = -1
            while (now := client.writer.transport.get_write_buffer_size()) != size:
                size = now
                await asyncio.sleep(0.05)
            assert size > 1 << 20
            assert link.buffered_bytes() < full + (1 << 18)
            client.writer.transport.resume_reading()
            for _ in range(filler):
                await client.read_frame()
            # None was lost.
            expected = bytes((0x8A, 100)) + b"x" * 100
            assert await client.read(len(expected) * 200_000) == expected * 200_000

    run(main())


def test_the_memory_of_a_large_message_is_given_back(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            client.frame(TEXT, b"x" * (4 << 20))
            await client.read_frame()
            connection = receiver.link
            client.frame(TEXT, b"small")
            assert await client.read_frame() == (TEXT, b"small")
            assert len(connection.get_buffer(-1)) < 4096  # type: ignore[attr-defined]
            # Also when a part of the next message is already there, which must not be lost.
            both = client_frame(TEXT, b"y" * 300_000) + client_frame(TEXT, b"z" * 1000)
            client.send(both[:-500])
            assert await client.read_frame() == (TEXT, b"y" * 300_000)
            client.send(both[-500:])
            assert await client.read_frame() == (TEXT, b"z" * 1000)
            client.frame(TEXT, b"small")
            await client.read_frame()
            assert len(connection.get_buffer(-1)) < 4096  # type: ignore[attr-defined]

    run(main())


def test_one_read_is_bounded(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            client.send(client_frame(TEXT, b"x" * (1 << 20))[:-1])
            connection: Any = receiver.link
            while connection._fragments is None or connection._fragments.tell() < 1 << 19:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert len(connection.get_buffer(-1)) <= 65536

    run(main())


def test_a_closed_connection_lets_go_of_its_receiver(run: Run) -> None:
    async def open_and_close(server: Server) -> tuple[Link, weakref.ref[Echo]]:
        client, receiver = await server.open_websocket()
        receiver.echoes = False
        client.send(b"".join(client_frame(TEXT, b"%d" % number) for number in range(2000)))
        await receiver.until(lambda: len(receiver.messages) == 2000)
        client.frame(CLOSE)
        await client.rest()
        await receiver.lost
        await server.until_connections(0)
        link = receiver.link
        receiver.link = None  # type: ignore[assignment]
        return link, weakref.ref(server.receivers.pop())

    async def main() -> None:
        async with serving() as server:
            link, receiver = await open_and_close(server)
            gc.collect()
            assert receiver() is None, link

    run(main())


def test_a_closed_connection_leaves_nothing_behind(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket()
            connection = weakref.ref(receiver.link)
            client.frame(CLOSE)
            await client.rest()
            await receiver.lost
            server.receivers.clear()
            del receiver
            # Only the loop and its transports may know it for another moment.
            while connection() is not None:
                await asyncio.sleep(0.01)
                gc.collect()

    run(main())


def test_a_silent_peer_is_pinged_and_dropped(run: Run) -> None:
    async def main() -> None:
        async with serving(websocket={"ping_interval": 0.1, "ping_timeout": 0.2}) as server:
            client, receiver = await server.open_websocket()
            assert await client.read_frame() == (PING, b"")
            assert await client.rest() == b""
            assert await receiver.lost == "no pong within 0.2 s"

    run(main())


def test_a_peer_that_answers_is_pinged_again(run: Run) -> None:
    async def main() -> None:
        async with serving(websocket={"ping_interval": 0.1, "ping_timeout": 2.0}) as server:
            client, receiver = await server.open_websocket()
            for _ in range(2):
                assert await client.read_frame() == (PING, b"")
                client.frame(PONG)
            assert not receiver.lost.done()

    run(main())


def test_a_peer_that_says_nothing_but_reads_a_long_message_slowly_is_not_dropped(run: Run) -> None:
    async def main() -> None:
        async with serving(websocket={"ping_interval": 0.1, "ping_timeout": 1.0}) as server:
            client = await server.connect(receive_buffer=65536)
            client.upgrade()
            await client.head()
            (receiver,) = server.receivers
            size = 48 * 1024 * 1024
            receiver.link.write([receiver.link.wire.frame(bytes(size))])
            read = 0
            # The end of it is out of the router's sight, in the buffers of the system.
            while read < size * 3 // 4 and not receiver.lost.done():
                read += len(await client.reader.read(131072))
                await asyncio.sleep(0.005)
            assert not receiver.lost.done(), receiver.lost.result()

    run(main())


def test_the_receiver_knows_the_connection(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket(path="/ws?token=1", cookie="a=b", user_agent="Test")
            info = receiver.link.info
            port = client.writer.get_extra_info("sockname")[1]
            assert (info.transport, info.path, info.subprotocol) == ("websocket", "/ws", "wamp.2.json")
            assert info.peer == f"tcp4:127.0.0.1:{port}"
            assert (info.headers["cookie"], info.headers["user-agent"]) == ("a=b", "Test")
            assert not info.secure

    run(main())


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="ubjson"):
        WebSocketOptions(serializers=("json", "ubjson"))
    with pytest.raises(ValueError, match="none"):
        WebSocketOptions(serializers=())
    with pytest.raises(ValueError, match="max_message_bytes"):
        WebSocketOptions(max_message_bytes=0)
