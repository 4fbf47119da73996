"""What a resumable session counts."""

from __future__ import annotations

from tests.client.scene import Scene


async def test_what_the_router_confirms_is_not_counted_itself(scene: Scene) -> None:
    session, callee = await scene.connect("websocket-json", resumable=True), await scene.connect("websocket-json")
    await callee.register(lambda number: number, "com.example.same")

    for number in range(300):  # each side confirms every 64 messages
        assert await session.call("com.example.same", number) == number

    assert session.is_open
