"""Options of requests reach the router, and what the router makes of them reaches handlers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.client.scene import Scene, within

from rocade import (
    ApplicationError,
    CallDetails,
    CallOptions,
    CallResult,
    Context,
    EventDetails,
    PublishOptions,
    RegisterOptions,
    SubscribeOptions,
)
from rocade.wamp.messages import CancelMode


async def test_a_caller_may_disclose_itself(scene: Scene, way: str) -> None:
    caller, callee = await scene.connect(way), await scene.connect(way)

    async def who(call: CallDetails) -> list[Any]:
        return [call.caller, call.caller_authid, call.caller_authrole, call.procedure, call.session is callee]

    await callee.register(who, "com.example.who")
    await callee.register(who, "com.example.who_always", options=RegisterOptions(disclose_caller=True))

    name = "com.example.who"
    assert await caller.call(name) == [None, None, None, name, True]
    disclosed = [caller.id, caller.authid, caller.authrole]
    assert await caller.call(name, options=CallOptions(disclose_me=True)) == [*disclosed, name, True]
    assert await caller.call(f"{name}_always") == [*disclosed, f"{name}_always", True]


async def test_a_publisher_may_disclose_itself(scene: Scene, way: str) -> None:
    publisher, subscriber = await scene.connect(way), await scene.connect(way)

    async with subscriber.events("com.example.topic") as events:
        await publisher.publish("com.example.topic", options=PublishOptions(disclose_me=True))
        event = await within(anext(events))

    assert (event.publisher, event.publisher_authid) == (publisher.id, publisher.authid)
    assert event.publisher_authrole == "anonymous"


async def test_a_publisher_chooses_who_gets_it(scene: Scene, way: str) -> None:
    one, two, publisher = [await scene.connect(way) for _ in range(3)]

    async with one.events("com.example.topic") as ones, two.events("com.example.topic") as twos:
        for number, options in enumerate(
            (
                PublishOptions(eligible=[one.id]),
                PublishOptions(exclude=[one.id]),
                PublishOptions(eligible_authid=[str(two.authid)]),
                PublishOptions(exclude_authrole=["anonymous"]),
                PublishOptions(),
            )
        ):
            await publisher.publish("com.example.topic", number, options=options)

        assert [(await within(anext(ones))).args for _ in range(2)] == [[0], [4]]
        assert [(await within(anext(twos))).args for _ in range(3)] == [[1], [2], [4]]


async def test_a_publisher_gets_its_own_events_if_it_wants(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async with session.events("com.example.topic") as events:
        await session.publish("com.example.topic", 1)
        await session.publish("com.example.topic", 2, options=PublishOptions(exclude_me=False))

        assert (await within(anext(events))).args == [2]


async def test_patterns_tell_what_was_meant(scene: Scene, way: str) -> None:
    session = await scene.connect(way)
    got: asyncio.Queue[str] = asyncio.Queue()

    async def which(context: Context) -> str:
        assert isinstance(context, CallDetails)
        return context.procedure

    async def handle(event: EventDetails) -> None:
        await got.put(event.topic)

    await session.register(which, "com..which", match="wildcard")
    await session.subscribe(handle, "com.example", options=SubscribeOptions(match="prefix"))  # type: ignore[arg-type]

    assert await session.call("com.example.which") == "com.example.which"
    await session.publish("com.example.topic", options=PublishOptions(exclude_me=False))
    assert await within(got.get()) == "com.example.topic"


async def test_shared_registrations(scene: Scene, way: str) -> None:
    callees, caller = [await scene.connect(way) for _ in range(3)], await scene.connect(way)
    for index, callee in enumerate(callees):

        async def which(index: int = index) -> int:
            return index

        await callee.register(which, "com.example.which", invoke="roundrobin")

    assert [await caller.call("com.example.which") for _ in range(6)] == [0, 1, 2, 0, 1, 2]
    with pytest.raises(ApplicationError, match="procedure_already_exists"):
        await caller.register(which, "com.example.which")


@pytest.mark.parametrize("mode", list(CancelMode))
async def test_what_a_canceled_call_does_at_the_callee_can_be_chosen(scene: Scene, way: str, mode: CancelMode) -> None:
    caller, callee = await scene.connect(way), await scene.connect(way)
    started, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    how: list[str] = []

    async def work() -> None:
        started.set()
        try:
            await go_on.wait()
            how.append("finished")
        except asyncio.CancelledError:
            how.append("interrupted")
            raise
        finally:
            ended.set()

    await callee.register(work, "com.example.work")
    task = asyncio.create_task(caller.call("com.example.work", options=CallOptions(cancel_mode=mode)))
    await within(started.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await caller.call("wamp.session.count")
    await callee.call("wamp.session.count")
    go_on.set()
    await within(ended.wait())

    assert how == ["finished" if mode is CancelMode.SKIP else "interrupted"]
    assert (
        await caller.call(
            "wamp.registration.count_callees", await caller.call("wamp.registration.lookup", "com.example.work")
        )
        == 1
    )


async def test_a_procedure_may_have_arguments_of_any_name(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def echo(*, self: int, procedure: int, topic: int) -> CallResult:
        return CallResult(self=self, procedure=procedure, topic=topic)

    await session.register(echo, "com.example.echo")

    names = {"self": 1, "procedure": 2, "topic": 3}
    assert await session.call("com.example.echo", **names) == CallResult(**names)


async def test_options_of_another_class_are_refused_with_the_name_of_the_right_one(scene: Scene) -> None:
    session = await scene.connect("memory-msgpack")

    async def nothing() -> None:
        pass

    wrong: Any = {"timeout": 1}
    with pytest.raises(TypeError, match=r"^options are rocade\.CallOptions\(…\), not dict$"):
        await session.call("com.example.nothing", options=wrong)
    with pytest.raises(TypeError, match=r"rocade\.CallOptions\(…\), not PublishOptions$"):
        session.stream("com.example.nothing", options=PublishOptions())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"rocade\.PublishOptions\(…\), not dict$"):
        await session.publish("com.example.topic", options={})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"rocade\.PublishOptions\(…\), not dict$"):
        await session.add_testament("com.example.topic", options=wrong)
    with pytest.raises(TypeError, match=r"rocade\.SubscribeOptions\(…\), not dict$"):
        await session.subscribe(nothing, "com.example.topic", options=wrong)
    with pytest.raises(TypeError, match=r"rocade\.SubscribeOptions\(…\), not dict$"):
        session.events("com.example.topic", options=wrong)
    with pytest.raises(TypeError, match=r"rocade\.RegisterOptions\(…\), not dict$"):
        await session.register(nothing, "com.example.nothing", options=wrong)


async def test_progress_can_be_told_from_the_result(scene: Scene, way: str) -> None:
    session = await scene.connect(way)
    steps: list[tuple[Any, ...]] = []

    async def build(call: CallDetails) -> str:
        await call.progress("compiled", percent=50)
        await call.progress("linked")
        return "ready"

    await session.register(build, "com.example.build")
    options = CallOptions(on_progress=lambda *args, **kwargs: steps.append((*args, kwargs)))

    assert await session.call("com.example.build", options=options) == "ready"
    assert steps == [("compiled", {"percent": 50}), ("linked", {})]


async def test_a_timeout_may_be_told_to_the_callee(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    async def limit(call: CallDetails) -> float | None:
        return call.timeout

    await session.register(limit, "com.example.limit", options=RegisterOptions(forward_timeout=True))

    assert await session.call("com.example.limit", timeout=7.5) == 7.5
    assert await session.call("com.example.limit", options=CallOptions(timeout=2.5)) == 2.5
    assert await session.call("com.example.limit") is None


async def test_what_the_router_ends_is_over(scene: Scene, way: str, caplog: pytest.LogCaptureFixture) -> None:
    session, admin = await scene.connect(way), await scene.connect(way)

    async def handle() -> None: ...

    registration = await session.register(handle, "com.example.procedure")
    async with session.events("com.example.topic") as events:
        subscription = await session.subscribe(handle, "com.example.topic")
        await admin.call("wamp.subscription.remove_subscriber", subscription.id, session.id)
        await admin.call("wamp.registration.remove_callee", registration.id, session.id)
        with pytest.raises(StopAsyncIteration):
            await within(anext(events))
    await session.call("wamp.session.count")

    assert sum("the router ended" in record.message for record in caplog.records) == 3
    await registration.unregister()
    await subscription.unsubscribe()
