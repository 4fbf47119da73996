"""Exceptions become error URIs, and error URIs exceptions."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading

import pytest
from tests.client.scene import Scene, within

import rocade
from rocade import ApplicationError, CallCanceled, CallTimeout, InvalidArgument, PayloadNotSerializable, RocadeError


@rocade.error("com.example.out_of_stock")
class OutOfStock(Exception):
    """A class of an application."""

    def __init__(self, item: str, left: int = 0) -> None:
        super().__init__(item, left)
        self.item = item
        self.left = left


async def test_a_mapped_class_travels(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def buy(item: str) -> None:
        raise OutOfStock(item, 2)

    await session.register(buy, "com.example.buy")

    with pytest.raises(OutOfStock) as caught:
        await session.call("com.example.buy", "tea")
    assert (caught.value.item, caught.value.left) == ("tea", 2)


async def test_an_application_error_travels_with_all_it_has(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    def fail() -> None:
        raise ApplicationError("com.example.failed", "why", 7, where="here")

    await session.register(fail, "com.example.fail")

    with pytest.raises(ApplicationError, match=r"com\.example\.failed: why 7") as caught:
        await session.call("com.example.fail")
    assert (caught.value.uri, caught.value.args, caught.value.kwargs) == (
        "com.example.failed",
        ("why", 7),
        {"where": "here"},
    )


async def test_what_is_not_mapped_stays_with_the_callee(
    scene: Scene, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    session = await scene.connect(way)

    async def divide(a: int, b: int) -> float:
        return a / b

    await session.register(divide, "com.example.divide")

    with pytest.raises(ApplicationError) as caught:
        await session.call("com.example.divide", 1, 0)
    assert (caught.value.uri, caught.value.args) == ("wamp.error.runtime_error", ("com.example.divide failed",))
    assert caught.value.kwargs == {}
    (record,) = [record for record in caplog.records if record.name == "rocade.client"]
    assert "ZeroDivisionError" in logging.Formatter().format(record)


async def test_a_traceback_travels_if_so_wanted(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def divide(a: int, b: int) -> float:
        return a / b

    await session.register(divide, "com.example.divide", traceback=True)

    with pytest.raises(ApplicationError, match="ZeroDivisionError: division by zero") as caught:
        await session.call("com.example.divide", 1, 0)
    assert "return a / b" in caught.value.kwargs["traceback"]


async def test_an_error_that_does_not_fit_its_class_is_told_all_the_same(scene: Scene) -> None:
    session = await scene.connect()

    async def fail() -> None:
        raise ApplicationError("com.example.out_of_stock", "tea", 1, "and too many", arguments=True)

    await session.register(fail, "com.example.fail")

    with pytest.raises(ApplicationError, match="out_of_stock"):
        await session.call("com.example.fail")


async def test_an_error_passes_through_a_callee(scene: Scene) -> None:
    session = await scene.connect()

    async def fail() -> None:
        raise OutOfStock("tea")

    async def forward() -> None:
        await session.call("com.example.fail")

    await session.register(fail, "com.example.fail")
    await session.register(forward, "com.example.forward")

    with pytest.raises(OutOfStock):
        await session.call("com.example.forward")


async def test_a_result_that_cannot_be_sent_is_an_error(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def give() -> object:
        return object()

    await session.register(give, "com.example.give")

    with pytest.raises(InvalidArgument, match="cannot be expressed"):
        await session.call("com.example.give")


async def test_arguments_that_cannot_be_sent_are_an_error_here(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    with pytest.raises(PayloadNotSerializable):
        await session.call("com.example.procedure", object())
    with pytest.raises(PayloadNotSerializable):
        await session.publish("com.example.topic", object())

    async def add(a: int, b: int) -> int:
        return a + b

    await session.register(add, "com.example.add")
    assert await session.call("com.example.add", 1, 2) == 3


async def test_a_call_that_takes_too_long_is_given_up(scene: Scene, way: str) -> None:
    session = await scene.connect(way)
    interrupted = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            interrupted.set()

    await session.register(wait, "com.example.wait")

    with pytest.raises(TimeoutError) as caught:
        await session.call("com.example.wait", timeout=0.05)
    assert isinstance(caught.value, CallTimeout)
    await within(interrupted.wait())


@pytest.mark.parametrize("is_plain", [False, True], ids=["coroutine", "thread"])
async def test_canceling_the_task_cancels_the_call(scene: Scene, way: str, is_plain: bool) -> None:
    caller, callee = await scene.connect(way), await scene.connect(way)
    started, interrupted, released = asyncio.Event(), asyncio.Event(), threading.Event()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            interrupted.set()

    def wait_in_thread() -> None:
        loop.call_soon_threadsafe(started.set)
        assert released.wait(10)

    loop = asyncio.get_running_loop()
    await callee.register(wait_in_thread if is_plain else wait, "com.example.wait")
    task = asyncio.create_task(caller.call("com.example.wait"))
    await within(started.wait())
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    if is_plain:
        released.set()  # nobody can stop a thread, and nobody waits for it
    else:
        await within(interrupted.wait())


async def test_leaving_a_stream_cancels_the_call(scene: Scene, way: str) -> None:
    caller, callee = await scene.connect(way), await scene.connect(way)
    interrupted = asyncio.Event()

    async def count():  # type: ignore[no-untyped-def]
        try:
            for number in range(1_000_000):
                yield number
                await asyncio.sleep(0)
        finally:
            interrupted.set()

    await callee.register(count, "com.example.count")

    stream = caller.stream("com.example.count")
    async for number in stream:
        if number == 3:
            break
    await stream.aclose()

    await within(interrupted.wait())


async def test_a_callee_that_goes_away_cancels_its_calls(scene: Scene, way: str) -> None:
    caller, callee = await scene.connect(way), await scene.connect(way)
    started = asyncio.Event()

    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    await callee.register(wait, "com.example.wait")
    task = asyncio.create_task(caller.call("com.example.wait"))
    await within(started.wait())
    await callee.close()

    with pytest.raises(CallCanceled):
        await within(task)


async def test_an_event_that_a_handler_does_not_take_is_logged(
    scene: Scene, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    session = await scene.connect(way)
    handled = asyncio.Event()

    async def handle(number: int) -> None:
        if number:
            handled.set()
        else:
            raise RuntimeError("no zero")

    await session.subscribe(handle, "com.example.topic")
    for value in ("text", 0, 1):
        await session.publish("com.example.topic", value, options=rocade.PublishOptions(exclude_me=False))
    await within(handled.wait())

    texts = [logging.Formatter().format(record) for record in caplog.records if record.name == "rocade.client"]
    assert len(texts) == 2
    assert "argument 'number': expected int, got str" in texts[0]
    assert "RuntimeError: no zero" in texts[1]


def test_only_exception_classes_are_mapped() -> None:
    with pytest.raises(TypeError, match="is for exception classes"):
        rocade.error("com.example.no")(str)  # type: ignore[type-var]


@pytest.mark.parametrize(
    "error", [ApplicationError("com.example.x", 1, 2, 3, a=4), CallTimeout("late", 2, x=3), CallCanceled()]
)
def test_errors_can_be_pickled(error: ApplicationError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert (copy.uri, copy.args, copy.kwargs, str(copy)) == (error.uri, error.args, error.kwargs, str(error))


def test_every_error_is_of_one_family() -> None:
    for name in (
        "CallTimeout",
        "ConnectionFailed",
        "ConnectionLost",
        "HandshakeRefused",
        "NotAuthorized",
        "SessionClosed",
    ):
        assert issubclass(getattr(rocade, name), RocadeError)
    assert issubclass(rocade.ConnectionLost, ConnectionError)
    assert issubclass(rocade.NotAuthorized, PermissionError)
