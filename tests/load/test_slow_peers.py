"""A peer that never reads costs the router a bounded amount of memory, and others nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.conformance.carriers import RawSocketCarrier
from tests.conformance.peer import Peer
from tests.conformance.waiting import TIMEOUT
from tests.hostile.process import RouterProcess
from tests.hostile.wire import Client

from rocade.wamp.codec import MSGPACK
from rocade.wamp.messages import Error, Event, Interrupt, Invocation, Publish, PublishOptions, Yield, YieldOptions

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
FLOOD = 400 * MEGABYTE
PIECE = b"x" * 200_000
PIECES = FLOOD // len(PIECE)

MAX_OUTBOX = 64 * MEGABYTE
"""What may wait for one client by default."""

SLACK = 48 * MEGABYTE
"""What the process may grow by besides: socket buffers, messages under way, what the allocator keeps."""

TOPIC, OTHER_TOPIC, PROCEDURE = "com.example.flood", "com.example.news", "com.example.procedure"

TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "rawsocket"])


@pytest.fixture
def router() -> Iterator[RouterProcess]:
    """A fresh router: memory that one test made it take must not excuse the next."""
    with RouterProcess("--port", "0") as router:
        yield router


class Watch:
    """The most memory that a router takes."""

    def __init__(self, router: RouterProcess) -> None:
        self._router = router
        self._start = self._most = router.rss()

    def look(self) -> None:
        """Look now."""
        self._most = max(self._most, self._router.rss())

    def growth(self) -> int:
        """Bytes by which it has grown at most."""
        return self._most - self._start


async def join(router: RouterProcess) -> Peer:
    """A well-behaved session."""
    peer = Peer(await RawSocketCarrier.open(MSGPACK, port=router.port), MSGPACK)
    await peer.join("realm1")
    return peer


async def read_news(reader: Peer, count: int) -> None:
    """Events 0 to `count` - 1 must arrive, in order."""
    for number in range(count):
        assert (await reader.expect(Event)).args == [number]


@TRANSPORTS
def test_a_subscriber_that_never_reads_is_disconnected(router: RouterProcess, transport: str) -> None:
    async def flood() -> int:
        async with await join(router) as publisher, await join(router) as reader:
            await reader.subscribe(OTHER_TOPIC)
            news = asyncio.create_task(read_news(reader, PIECES))
            watch = Watch(router)
            for number in range(PIECES):
                for topic, argument in ((TOPIC, PIECE), (OTHER_TOPIC, number)):
                    message = Publish(publisher.next_request(), PublishOptions(), topic, [argument])
                    await publisher.send(message)
                watch.look()
            await publisher.expect_nothing()
            async with asyncio.timeout(TIMEOUT):
                await news
            watch.look()
            return watch.growth()

    with Client(router.port, transport, "msgpack") as deaf:
        deaf.join()
        deaf.send([32, 1, {}, TOPIC])
        deaf.receive()

        growth = asyncio.run(flood())

    print(f"grew by {growth / MEGABYTE:.1f} MiB")
    router.wait_for_log("a slow consumer")
    assert growth < MAX_OUTBOX + SLACK


@TRANSPORTS
def test_a_callee_that_never_reads_is_disconnected(router: RouterProcess, transport: str) -> None:
    async def read_answers(caller: Peer, count: int) -> set[str]:
        errors = set()
        for _ in range(count):
            errors.add((await caller.expect(Error)).error)
        return errors

    async def flood() -> tuple[int, set[str]]:
        async with await join(router) as caller, await join(router) as publisher, await join(router) as reader:
            await reader.subscribe(OTHER_TOPIC)
            news = asyncio.create_task(read_news(reader, PIECES))
            answers = asyncio.create_task(read_answers(caller, PIECES))
            watch = Watch(router)
            for number in range(PIECES):
                await caller.call(PROCEDURE, PIECE)
                await publisher.send(Publish(publisher.next_request(), PublishOptions(), OTHER_TOPIC, [number]))
                watch.look()
            async with asyncio.timeout(TIMEOUT):
                await news
                errors = await answers
            watch.look()
            return watch.growth(), errors

    with Client(router.port, transport, "msgpack") as deaf:
        deaf.join()
        deaf.send([64, 1, {}, PROCEDURE])
        deaf.receive()

        growth, errors = asyncio.run(flood())

    print(f"grew by {growth / MEGABYTE:.1f} MiB")
    router.wait_for_log("a slow consumer")
    assert errors == {"wamp.error.canceled", "wamp.error.no_such_procedure"}
    assert growth < MAX_OUTBOX + SLACK


@TRANSPORTS
def test_a_caller_that_never_reads_is_disconnected(router: RouterProcess, transport: str) -> None:
    async def flood(deaf: Client) -> int:
        async with await join(router) as callee, await join(router) as publisher, await join(router) as reader:
            await reader.subscribe(OTHER_TOPIC)
            await callee.register(PROCEDURE)
            news = asyncio.create_task(read_news(reader, PIECES))
            for number in range(PIECES):
                deaf.send([48, number + 1, {}, PROCEDURE])
            invocations = [(await callee.expect(Invocation)).request for _ in range(PIECES)]
            interrupts = asyncio.create_task(read_interrupts(callee))
            watch = Watch(router)
            for number, request in enumerate(invocations):
                await callee.send(Yield(request, YieldOptions(), [PIECE]))
                await publisher.send(Publish(publisher.next_request(), PublishOptions(), OTHER_TOPIC, [number]))
                watch.look()
            async with asyncio.timeout(TIMEOUT):
                await news
                await interrupts
            watch.look()
            return watch.growth()

    async def read_interrupts(callee: Peer) -> None:
        # The first tells that the caller is gone, and with it all calls.
        await callee.expect(Interrupt)

    with Client(router.port, transport, "msgpack") as deaf:
        deaf.join()

        growth = asyncio.run(flood(deaf))

    print(f"grew by {growth / MEGABYTE:.1f} MiB")
    router.wait_for_log("a slow consumer")
    assert growth < MAX_OUTBOX + SLACK
