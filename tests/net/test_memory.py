"""Links within the process behave as those over sockets do."""

from __future__ import annotations

import asyncio

import pytest
from tests.net.conftest import Run
from tests.net.harness import Echo

from rocade.net.memory import HIGH_WATER, MemoryClient, linked_pair
from rocade.wamp.codec import MSGPACK


def test_messages_go_both_ways_and_never_from_inside_a_call(run: Run) -> None:
    async def main() -> None:
        receivers: list[Echo] = []

        def connected(link):  # type: ignore[no-untyped-def]
            receivers.append(Echo(link))
            return receivers[-1]

        server, client = linked_pair(connected, connected, serializer=MSGPACK)
        receivers[1].echoes = False
        client.write([b"1", b"2"])
        client.write([b"3"])
        assert receivers[0].messages == []
        await receivers[1].until(lambda: len(receivers[1].messages) == 3)
        assert receivers[0].messages == receivers[1].messages == [b"1", b"2", b"3"]
        assert server.wire is client.wire
        assert server.wire.name == "memory.msgpack"

    run(main())


def test_a_client_sends_and_receives(run: Run) -> None:
    async def main() -> None:
        client = MemoryClient(Echo)
        await client.send(b"a")
        assert await client.receive() == b"a"
        client.close()
        with pytest.raises(ConnectionError, match="closed"):
            await client.receive()
        with pytest.raises(ConnectionError, match="closed"):
            await client.send(b"b")

    run(main())


def test_what_was_written_before_a_close_still_arrives(run: Run) -> None:
    async def main() -> None:
        receivers: list[Echo] = []
        client = MemoryClient(lambda link: receivers.append(Echo(link)) or receivers[0])
        receivers[0].link.write([b"goodbye"])
        receivers[0].link.close("enough")
        receivers[0].link.write([b"too late"])
        assert await receivers[0].lost == "closed: enough"
        assert await client.receive() == b"goodbye"
        with pytest.raises(ConnectionError, match=r"closed by peer \(enough\)"):
            await client.receive()

    run(main())


def test_an_abort_discards_what_is_on_its_way(run: Run) -> None:
    async def main() -> None:
        receivers: list[Echo] = []
        client = MemoryClient(lambda link: receivers.append(Echo(link)) or receivers[0])
        receivers[0].link.write([b"discarded"])
        receivers[0].link.abort()
        assert await receivers[0].lost == "aborted"
        with pytest.raises(ConnectionError):
            await client.receive()

    run(main())


def test_a_paused_link_delivers_later_and_in_order(run: Run) -> None:
    async def main() -> None:
        receivers: list[Echo] = []
        client = MemoryClient(lambda link: receivers.append(Echo(link)) or receivers[0])
        receivers[0].link.pause_reading()
        for number in range(10):
            await client.send(str(number).encode())
        await asyncio.sleep(0.01)
        assert receivers[0].messages == []
        receivers[0].link.resume_reading()
        assert receivers[0].messages == []
        assert [await client.receive() for _ in range(10)] == [str(number).encode() for number in range(10)]

    run(main())


def test_a_client_that_does_not_receive_pauses_the_writer(run: Run) -> None:
    async def main() -> None:
        receivers: list[Echo] = []
        client = MemoryClient(lambda link: receivers.append(Echo(link)) or receivers[0])
        receiver, link = receivers[0], receivers[0].link
        sent = 0
        while "paused" not in receiver.events:
            link.write([b"x" * 1000])
            sent += 1
            assert link.buffered_bytes() <= HIGH_WATER + 2000
            await asyncio.sleep(0)
        for _ in range(sent):
            await client.receive()
        await receiver.until(lambda: receiver.events == ["paused", "resumed"])
        assert link.buffered_bytes() == 0

    run(main())


def test_a_sender_waits_for_a_receiver_that_is_paused(run: Run) -> None:
    async def main() -> None:
        receivers: list[Echo] = []
        client = MemoryClient(lambda link: receivers.append(Echo(link)) or receivers[0])
        receivers[0].echoes = False
        receivers[0].link.pause_reading()

        async def send_all() -> None:
            for _ in range(1000):
                await client.send(b"x" * 1000)

        sending = asyncio.create_task(send_all())
        await asyncio.sleep(0.02)
        assert client.link.buffered_bytes() <= HIGH_WATER + 2000
        assert not sending.done()
        receivers[0].link.resume_reading()
        await sending
        await receivers[0].until(lambda: len(receivers[0].messages) == 1000)

    run(main())


def test_a_receiver_that_raises_ends_the_pair(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        receivers: list[Echo] = []
        client = MemoryClient(lambda link: receivers.append(Echo(link)) or receivers[0])

        def broken(_data: bytes) -> None:
            raise ZeroDivisionError

        receivers[0].message_received = broken  # type: ignore[method-assign]
        await client.send(b"x")
        with pytest.raises(ConnectionError):
            await client.receive()
        assert await receivers[0].lost == "closed: internal error"

    run(main())
    assert "could not be handled" in caplog.text
