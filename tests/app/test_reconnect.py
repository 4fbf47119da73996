"""An application whose router goes away and comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.client.proxy import Proxy
from tests.hostile.process import RouterProcess

import rocade
from rocade import Application, Reconnect, Session
from rocade.errors import NoSuchProcedure


async def test_everything_is_there_again_after_the_router_was_killed(free_port: int) -> None:
    app = Application("demo")
    told: list[str] = []
    joined: asyncio.Queue[int] = asyncio.Queue()
    heard: asyncio.Queue[str] = asyncio.Queue()

    @app.register
    async def ip() -> str:
        return "192.0.2.1"

    @app.register(limit_calls=1)
    async def once() -> str:
        return "done"

    @app.subscribe
    async def ping(who: str) -> None:
        heard.put_nowait(who)

    @app.signal("onjoined")
    async def begin(session: Session) -> None:
        joined.put_nowait(session.id)
        try:
            await asyncio.Event().wait()
        finally:
            told.append("end of onjoined")

    @app.signal("onleave")
    async def leave(session: Session, reason: str) -> None:
        told.append(f"onleave {reason}")

    @app.signal("ondisconnect")
    async def disconnect() -> None:
        told.append("ondisconnect")

    @app.on("app.ready")
    def ready() -> None:
        told.append("app.ready")

    url = f"ws://127.0.0.1:{free_port}/ws"
    quick: dict[str, Any] = {"reconnect": Reconnect(max_delay=0.2)}
    router = RouterProcess("--port", str(free_port))
    await app.start(url, **quick)
    first = await joined.get()
    async with rocade.connect(url) as client:
        assert await client.call("demo.once") == "done"
    router.kill()

    with RouterProcess("--port", str(free_port)):
        second = await joined.get()
        async with rocade.connect(url) as client:
            assert await client.call("demo.ip") == "192.0.2.1"
            await client.publish("demo.ping", "ada")
            assert await heard.get() == "ada"
            with pytest.raises(NoSuchProcedure):
                await client.call("demo.once")
        assert first != second
        # The session could be resumed when its connection was lost, so first that was gone and then the session.
        assert sorted(told) == sorted(
            ["app.ready", "ondisconnect", "end of onjoined", "onleave wamp.close.transport_lost"]
        )
        await app.stop()


async def test_a_session_that_is_resumed_goes_on() -> None:
    app = Application("demo")
    told: list[str] = []
    disconnected = asyncio.Event()

    @app.register
    async def ip() -> str:
        return "192.0.2.1"

    @app.signal("onjoined")
    async def begin() -> None:
        told.append("onjoined")
        try:
            await asyncio.Event().wait()
        finally:
            told.append("end of onjoined")

    @app.signal("ondisconnect")
    async def disconnect() -> None:
        told.append("ondisconnect")
        disconnected.set()

    with RouterProcess("--port", "0") as router:
        async with Proxy(router.port) as proxy:
            await app.start(f"ws://127.0.0.1:{proxy.port}/ws")
            id = app.session.id
            proxy.cut()
            await disconnected.wait()
            async with rocade.connect(f"ws://127.0.0.1:{router.port}/ws") as client:
                assert await client.call("demo.ip") == "192.0.2.1"

            assert (app.session.id, told) == (id, ["onjoined", "ondisconnect"])
            await app.stop()

    assert told == ["onjoined", "ondisconnect", "end of onjoined", "ondisconnect"]
