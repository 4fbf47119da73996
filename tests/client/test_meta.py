"""Testaments and event history, by the client's helpers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.client.scene import Scene, within
from tests.client.test_reconnecting import Diary, through_proxy

from rocade import ApplicationError, PublishOptions


async def test_a_testament_is_published_when_the_session_ends(scene: Scene, way: str) -> None:
    heir, testator = await scene.connect(way), await scene.connect(way)

    async with heir.events("com.example.gone") as events:
        await testator.add_testament("com.example.gone", "joe", left=7)
        await testator.add_testament("com.example.gone", "taken back", scope="detached")
        await testator.flush_testaments("detached")
        await testator.close()
        event = await within(anext(events))

    assert (event.args, event.kwargs) == (["joe"], {"left": 7})


async def test_options_of_a_testament_count(scene: Scene, way: str) -> None:
    heir, stranger, testator = await scene.connect(way), await scene.connect(way), await scene.connect(way)

    async with heir.events("com.example.gone") as ours, stranger.events("com.example.gone") as theirs:
        await testator.add_testament("com.example.gone", 1, options=PublishOptions(eligible=[heir.id]))
        await testator.add_testament("com.example.gone", 2)
        await testator.close()

        assert (await within(anext(ours))).args == [1]
        assert (await within(anext(theirs))).args == [2]


async def test_testaments_are_made_anew_with_the_session(scene: Scene) -> None:
    scene.gateway.resume_window = 0
    heir, diary = await scene.connect(), Diary()

    async with heir.events("com.example.gone") as events:
        async with through_proxy(scene, **diary.hooks()) as (proxy, session):
            await session.add_testament("com.example.gone", 1)
            for count in (2, 3):
                proxy.cut()
                assert (await within(anext(events))).args == [1]
                await diary.wait_for("join", count)
        assert (await within(anext(events))).args == [1]


async def test_a_testament_of_a_lost_connection_is_made_anew_when_the_session_is_resumed(scene: Scene) -> None:
    heir, diary = await scene.connect(), Diary()

    async with heir.events("com.example.gone") as events, through_proxy(scene, **diary.hooks()) as (proxy, session):
        await session.add_testament("com.example.gone", 1, scope="detached")
        for count in (1, 2):
            proxy.cut()
            assert (await within(anext(events))).args == [1]
            await diary.wait_for("resume", count)


async def test_events_of_the_past(scene: Scene, way: str) -> None:
    session = await scene.connect(way)
    for number in range(5):
        await session.publish("com.example.log", number, level="info", options=PublishOptions(acknowledge=True))

    events = await session.get_events("com.example.log")
    newest = [event async for event in session.history("com.example.log", limit=2, reverse=True)]
    later = await session.get_events("com.example.log", after_publication=events[2].publication)

    assert [event.args for event in events] == [[0], [1], [2], [3], [4]]
    assert events[0].kwargs == {"level": "info"}
    assert datetime.now(UTC) - events[0].timestamp < timedelta(hours=1)
    assert [event.args for event in newest] == [[4], [3]]
    assert [event.args for event in later] == [[3], [4]]
    assert await session.get_events("com.example.log", from_time=datetime.now(UTC) + timedelta(hours=1)) == []


async def test_long_histories_come_in_pages(scene: Scene) -> None:
    session = await scene.connect()
    # One answer has at most 1 MiB.
    for number in range(40):
        await session.publish("com.example.log", number, "x" * 100_000)
    await session.call("wamp.session.count")

    numbers = [event.args[0] async for event in session.history("com.example.log")]
    backwards = [event.args[0] async for event in session.history("com.example.log", reverse=True)]

    assert numbers == list(range(40))
    assert backwards == numbers[::-1]


async def test_where_there_is_no_history_there_is_an_error(scene: Scene, way: str) -> None:
    session = await scene.connect(way)

    with pytest.raises(ApplicationError, match="there is no history of"):
        await session.get_events("com.example.nothing")
    with pytest.raises(ValueError, match="a time needs a time zone"):
        await session.get_events("com.example.log", from_time=datetime(2020, 1, 1))


async def test_a_retained_event_comes_with_the_subscription(scene: Scene, way: str) -> None:
    publisher, subscriber = await scene.connect(way), await scene.connect(way)
    await publisher.publish("com.example.state", "on", options=PublishOptions(acknowledge=True, retain=True))

    async with subscriber.events("com.example.state", get_retained=True) as events:
        event = await within(anext(events))

    assert (event.args, event.retained) == (["on"], True)
