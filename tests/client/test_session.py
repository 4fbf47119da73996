"""Calls, registrations, events and subscriptions, over every transport and serializer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.client.scene import Scene, within

from rocade import (
    ApplicationError,
    CallDetails,
    CallResult,
    EventDetails,
    PublishOptions,
    Router,
)
from rocade.errors import InvalidArgument, NoSuchProcedure
from rocade.testing import Recording


async def test_a_coroutine_function_is_called(scene: Scene, every_way: str) -> None:
    session = await scene.connect(every_way)

    async def add(a: int, b: int) -> int:
        return a + b

    await session.register(add, "com.example.add")

    assert await session.call("com.example.add", 2, 3) == 5
    assert await session.call("com.example.add", 2, b=3) == 5


async def test_an_event_reaches_a_handler(scene: Scene, every_way: str) -> None:
    publisher, subscriber = await scene.connect(every_way), await scene.connect(every_way)
    got: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()

    async def handle(event: EventDetails, text: str, *, data: bytes) -> None:
        got.put_nowait((event.topic, event.publication, text, data))

    await subscriber.subscribe(handle, "com.example.news")
    publication = await publisher.publish(
        "com.example.news", "rain", data=b"\0\xff", options=PublishOptions(acknowledge=True)
    )

    assert await within(got.get()) == ("com.example.news", publication, "rain", b"\0\xff")


async def test_a_session_knows_who_it_is(scene: Scene, every_way: str) -> None:
    session = await scene.connect(every_way)

    assert session.is_open
    assert session.id in scene.realm.sessions
    assert (session.realm, session.authrole, session.authmethod) == ("realm1", "anonymous", "anonymous")
    assert session.authid
    await session.close()
    assert not session.is_open
    assert session.is_closed


async def test_results_of_every_shape(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def echo(*args: object, **kwargs: object) -> CallResult:
        return CallResult(*args, **kwargs)

    await session.register(echo, "com.example.echo")

    assert await session.call("com.example.echo") is None
    assert await session.call("com.example.echo", [1, 2]) == [1, 2]
    assert await session.call("com.example.echo", 1, 2) == CallResult(1, 2)
    assert await session.call("com.example.echo", 1, x=2) == CallResult(1, x=2)
    assert await session.call("com.example.echo", x=2) == CallResult(x=2)


async def test_a_plain_function_runs_in_a_thread(scene: Scene, way: str) -> None:
    session = await scene.connect(way)
    answer = threading.Event()

    def slow() -> str:
        assert answer.wait(10)
        return threading.current_thread().name

    async def quick() -> None:
        answer.set()

    await session.register(slow, "com.example.slow")
    await session.register(quick, "com.example.quick")
    waiting = asyncio.create_task(session.call("com.example.slow"))
    await session.call("com.example.quick")

    assert (await within(waiting)).startswith("rocade-handler")


async def test_generators_give_progressive_results(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def count(n: int) -> AsyncIterator[int]:
        for number in range(n):
            yield number

    def count_in_thread(n: int) -> Iterator[int]:
        yield from range(n)

    async def report(call: CallDetails) -> str:
        await call.progress("half", done=50)
        return "ready"

    await session.register(count, "com.example.count")
    await session.register(count_in_thread, "com.example.count_in_thread")
    await session.register(report, "com.example.report")

    assert [number async for number in session.stream("com.example.count", 3)] == [0, 1, 2]
    assert [number async for number in session.stream("com.example.count_in_thread", 3)] == [0, 1, 2]
    assert [step async for step in session.stream("com.example.report")] == [CallResult("half", done=50), "ready"]
    # For those who take no progress, all of it is the result.
    assert await session.call("com.example.count", 3) == [0, 1, 2]
    assert await session.call("com.example.report") == "ready"


async def test_arguments_may_be_a_stream(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def total(call: CallDetails, numbers: AsyncIterator[int], factor: int) -> AsyncIterator[int]:
        result = 0
        async for number in numbers:
            result += number * factor
            yield result

    async def numbers() -> AsyncIterator[int]:
        for number in (1, 2, 3):
            yield number

    await session.register(total, "com.example.total")

    assert [step async for step in session.stream("com.example.total", numbers(), 10)] == [10, 30, 60]


async def test_an_invocation_is_answered_once_even_if_its_function_fails_when_it_is_stopped() -> None:
    recording = Recording()
    begun, ended = asyncio.Event(), asyncio.Event()

    async def total(numbers: AsyncIterator[int]) -> None:
        try:
            async for _ in numbers:
                begun.set()
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.set()
            raise LookupError("nothing to clean up") from None

    async def numbers() -> AsyncIterator[int | str]:
        yield 1
        await begun.wait()
        yield "two"
        await ended.wait()

    async with Router(observer=recording.see) as router, router.connect() as session:
        await session.register(total, "com.example.total")
        with pytest.raises(InvalidArgument, match="argument 'numbers': expected int, got str"):
            await within(anext(session.stream("com.example.total", numbers())))
        await within(ended.wait())
        await session.call("wamp.session.count")

    errors = [sighting for sighting in recording.sightings if sighting.name == "ERROR" and sighting.direction == "from"]
    assert len(errors) == 1


async def test_an_error_of_the_router_has_its_own_class(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    with pytest.raises(NoSuchProcedure) as caught:
        await session.call("com.example.nothing")

    assert isinstance(caught.value, ApplicationError)
    assert caught.value.uri == "wamp.error.no_such_procedure"


async def test_a_wrong_type_is_refused_by_name(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def add(a: int, b: int) -> int:
        return a + b

    await session.register(add, "com.example.add")

    with pytest.raises(InvalidArgument, match="argument 'b': expected int, got str"):
        await session.call("com.example.add", 2, "three")


async def test_events_can_be_iterated_over(scene: Scene, way: str) -> None:
    publisher, subscriber = await scene.connect(way), await scene.connect(way)

    async with subscriber.events("com.example", match="prefix") as events:
        await publisher.publish("com.example.a", 1)
        await publisher.publish("com.example.b", 2, three=3)
        first, second = await within(anext(events)), await within(anext(events))

    assert (first.topic, first.args, first.kwargs) == ("com.example.a", [1], {})
    assert (second.topic, second.args, second.kwargs) == ("com.example.b", [2], {"three": 3})
    assert not any(subscription.subscribers for subscription in scene.realm.broker.subscriptions.values())


async def test_what_is_unregistered_and_unsubscribed_is_gone(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def handle() -> None:
        raise AssertionError("nobody calls it")

    registration = await session.register(handle, "com.example.procedure")
    subscription = await session.subscribe(handle, "com.example.topic")
    await registration.unregister()
    await subscription.unsubscribe()

    assert not scene.realm.dealer.registrations
    await session.publish("com.example.topic", options=PublishOptions(exclude_me=False, acknowledge=True))
    with pytest.raises(NoSuchProcedure):
        await session.call("com.example.procedure")
