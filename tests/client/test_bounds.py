"""Nothing grows without bound: what is sent, what has arrived, what runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from tests.client.proxy import Proxy
from tests.client.scene import Scene, within
from tests.conformance.waiting import TIMEOUT

from rocade import (
    ApplicationError,
    EventDetails,
    PayloadTooLarge,
    PublishOptions,
    Session,
    SessionClosed,
    connect,
)
from rocade.client import callee, caller, subscriber
from rocade.client.inbox import Inbox


@pytest.mark.parametrize("resumable", [False, True], ids=["ordinary", "resumable"])
@pytest.mark.parametrize("scheme", ["ws", "rs"])
async def test_a_fast_publisher_is_slowed_down(scene: Scene, scheme: str, resumable: bool) -> None:
    async with Proxy(scene.port) as proxy:
        url = f"{scheme}://127.0.0.1:{proxy.port}{'/ws' if scheme == 'ws' else ''}"
        async with connect(url, resumable=resumable) as session:
            proxy.freeze()
            published = 0

            async def publish_much() -> None:
                nonlocal published
                for number in range(2000):
                    await session.publish("com.example.topic", number, "x" * 64_000)
                    published += 1

            publisher = asyncio.create_task(publish_much())
            # When nothing has been published for so long, it waits.
            before = -1
            while published != before:
                before = published
                await asyncio.sleep(0.3)
            assert published < 1000
            assert not publisher.done()

            proxy.thaw()
            await asyncio.wait_for(publisher, 60)
            assert await session.call("wamp.session.count") == 1


async def test_publications_go_out_before_the_session_is_closed(scene: Scene, way: str) -> None:
    subscriber, got = await scene.connect(way), 0
    enough = asyncio.Event()

    async def handle(event: EventDetails, text: str) -> None:
        nonlocal got
        got += 1
        if got == 300:
            enough.set()

    await subscriber.subscribe(handle, "com.example.topic")
    async with scene.connecting(way) as publisher:
        for _ in range(300):
            await publisher.publish("com.example.topic", "x" * 10_000)

    await within(enough.wait())


async def test_long_messages_travel(scene: Scene, every_way: str) -> None:
    session = await scene.connect(every_way)
    text = "a\0é🦊" * 500_000  # 4 MB

    async def echo(value: str) -> str:
        return value

    await session.register(echo, "com.example.echo")

    assert await session.call("com.example.echo", text) == text


async def test_a_message_that_is_too_long_is_refused_here(scene: Scene) -> None:
    session = await scene.connect("rawsocket-json")

    with pytest.raises(PayloadTooLarge, match="the router takes 16777216"):
        await session.call("com.example.procedure", "x" * (1 << 24))
    assert await session.call("wamp.session.count") == 1


async def test_events_that_nobody_takes_are_dropped_and_counted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subscriber, "MAX_ITEMS", 10)
    session, publisher = await scene.connect(), await scene.connect()
    go_on, began, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    got: list[int] = []

    async def handle(number: int) -> None:
        got.append(number)
        began.set()
        if number == 30:
            ended.set()
        await go_on.wait()

    slow = await session.subscribe(handle, "com.example.topic")
    await publisher.publish("com.example.topic", 0)
    await within(began.wait())
    for number in range(1, 30):
        await publisher.publish("com.example.topic", number)
    await publisher.call("wamp.session.count")
    await session.call("wamp.session.count")

    assert slow.dropped == 19  # one is being handled, ten wait
    assert [record.message for record in caplog.records if record.name == "rocade.client"] == [
        "events of 'com.example.topic' are dropped: they come faster than they are handled"
    ]
    go_on.set()
    await publisher.publish("com.example.topic", 30)
    await within(ended.wait())
    assert got == [*range(11), 30]


async def test_results_that_nobody_takes_end_the_call(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "Inbox", lambda: Inbox(10))
    session, other = await scene.connect(), await scene.connect()
    stopped = asyncio.Event()

    async def count() -> AsyncIterator[str]:
        try:
            while True:
                yield "x"
        finally:
            stopped.set()

    await other.register(count, "com.example.count")

    stream = session.stream("com.example.count")
    await anext(stream)
    await asyncio.wait_for(stopped.wait(), 60)
    with pytest.raises(ApplicationError, match="slow_reader"):
        async for _ in stream:
            pass


async def test_invocations_beyond_the_bound_are_declined(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callee, "MAX_INVOCATIONS", 5)
    session, other = await scene.connect(), await scene.connect()
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()

    await session.register(wait, "com.example.wait")
    calls = [asyncio.create_task(other.call("com.example.wait")) for _ in range(6)]

    done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=TIMEOUT)
    (declined,) = done
    with pytest.raises(ApplicationError, match=r"unavailable|no_available_callee"):
        declined.result()
    go_on.set()
    await within(asyncio.gather(*(call for call in calls if call is not declined)))


async def test_threads_are_bounded(scene: Scene) -> None:
    session = await scene.connect(threads=3)
    running = most = 0
    lock = threading.Lock()
    three_at_once = threading.Barrier(3)

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        three_at_once.wait(TIMEOUT)
        with lock:
            running -= 1

    await session.register(work, "com.example.work")
    await asyncio.gather(*(session.call("com.example.work") for _ in range(12)))

    assert most == 3


async def test_concurrency_is_up_to_the_router(scene: Scene) -> None:
    session, other = await scene.connect(), await scene.connect()
    running = most = 0
    two_at_once = asyncio.Barrier(2)

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await two_at_once.wait()
        running -= 1

    await session.register(work, "com.example.work", concurrency=2)
    await within(asyncio.gather(*(other.call("com.example.work") for _ in range(8))))

    assert most == 2


async def test_events_are_handled_in_order(scene: Scene, way: str) -> None:
    session, publisher = await scene.connect(way), await scene.connect(way)
    got: list[int] = []
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def handle_in_thread(number: int) -> None:
        threading.Event().wait(0.002 if number % 2 else 0)
        got.append(number)
        if number == 49:
            loop.call_soon_threadsafe(enough.set)

    await session.subscribe(handle_in_thread, "com.example.topic")
    for number in range(50):
        await publisher.publish("com.example.topic", number)
    await within(enough.wait())

    assert got == list(range(50))


async def test_handlers_of_one_topic_share_its_subscription(scene: Scene, way: str) -> None:
    session, publisher = await scene.connect(way), await scene.connect(way)
    one: asyncio.Queue[list[int]] = asyncio.Queue()
    two: asyncio.Queue[list[int]] = asyncio.Queue()

    async def spoil(numbers: list[int]) -> None:
        await one.put(list(numbers))
        numbers.clear()  # nobody else's

    first = await session.subscribe(spoil, "com.example.topic")
    second = await session.subscribe(two.put, "com.example.topic")
    await publisher.publish("com.example.topic", [1, 2])

    assert first.id == second.id
    assert await within(one.get()) == [1, 2]
    assert await within(two.get()) == [1, 2]
    await first.unsubscribe()
    await publisher.publish("com.example.topic", [3])
    assert await within(two.get()) == [3]
    assert one.empty()
    await second.unsubscribe()
    assert not any(subscription.subscribers for subscription in scene.realm.broker.subscriptions.values())


async def test_a_subscription_that_was_given_up_does_not_stay(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def handle() -> None: ...

    subscribing = asyncio.create_task(session.subscribe(handle, "com.example.topic"))
    registering = asyncio.create_task(session.register(handle, "com.example.procedure"))
    await asyncio.sleep(0)
    subscribing.cancel()
    registering.cancel()
    await asyncio.gather(subscribing, registering, return_exceptions=True)
    for _ in range(3):
        await session.call("wamp.session.count")

    assert not any(subscription.subscribers for subscription in scene.realm.broker.subscriptions.values())
    assert not scene.realm.dealer.registrations


async def test_a_closed_session_says_so(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def sleep() -> None:
        await asyncio.sleep(60)

    await session.register(sleep, "com.example.sleep")
    waiting = asyncio.create_task(session.call("com.example.sleep"))
    await session.call("wamp.session.count")
    await session.close()
    await session.close()

    with pytest.raises(SessionClosed, match="the session was closed"):
        await waiting
    for attempt in (
        session.call("x"),
        session.publish("x"),
        session.subscribe(sleep, "x"),
        session.register(sleep, "x"),
    ):
        with pytest.raises(SessionClosed):
            await attempt


async def test_a_handler_may_close_its_own_session(scene: Scene, way: str) -> None:
    session, other = await scene.connect(way), await scene.connect(way)

    async def on_stop(event: EventDetails) -> None:
        await event.session.close()
        closed.append(event.session)

    closed: list[Session] = []
    await session.subscribe(on_stop, "com.example.stop")
    await other.publish("com.example.stop", options=PublishOptions(acknowledge=True))
    await within(session.wait_closed())
    await asyncio.sleep(0)

    assert closed == [session]
