"""Components: classes that are loaded by name and run."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

import pytest
from tests.client.proxy import Proxy
from tests.client.scene import Scene, within

from rocade import Component, HandshakeRefused, Session, load_component, run_component
from rocade.errors import ConfigurationError


class Adder(Component):
    """Adds until it is told to stop."""

    async def on_join(self, session: Session) -> None:
        async def add(a: int, b: int) -> int:
            return a + b + (self.extra or 0)

        async def stop() -> None:
            asyncio.get_running_loop().call_soon(lambda: tasks.append(asyncio.ensure_future(session.close())))

        tasks: list[asyncio.Future[None]] = []
        await session.register(add, "com.example.add")
        await session.register(stop, "com.example.stop")


class Duck:
    """Has no base class, and one hook."""

    joined = 0

    async def on_join(self, session: Session) -> None:
        Duck.joined += 1
        await session.close()


async def test_a_component_runs_until_its_session_is_closed(scene: Scene) -> None:
    caller = await scene.connect()
    component = load_component("tests.client.test_component:Adder", 10)
    run = asyncio.create_task(run_component(component, f"ws://127.0.0.1:{scene.port}/ws"))
    while (await caller.call("wamp.registration.lookup", "com.example.stop")) is None:
        pass

    assert await caller.call("com.example.add", 1, 2) == 13
    await caller.call("com.example.stop")
    await within(run)


async def test_any_class_with_a_hook_will_do(scene: Scene) -> None:
    await within(run_component("tests.client.test_component.Duck", f"rs://127.0.0.1:{scene.port}"))

    # Not the class above, since pytest gives modules names of their own.
    assert importlib.import_module("tests.client.test_component").Duck.joined == 1


async def test_a_component_joins_again(scene: Scene) -> None:
    scene.gateway.resume_window = 0
    caller = await scene.connect()
    async with Proxy(scene.port) as proxy:
        run = asyncio.create_task(run_component(Adder(), f"ws://127.0.0.1:{proxy.port}/ws"))
        async with caller.events("wamp.registration.on_create") as events:
            for _ in range(2):
                await within(anext(events))
            proxy.cut()
            for _ in range(2):
                await within(anext(events))
        assert await caller.call("com.example.add", 1, 2) == 3
        await caller.call("com.example.stop")
        await within(run)


async def test_what_refuses_it_ends_it(scene: Scene) -> None:
    with pytest.raises(HandshakeRefused, match="no realm"):
        await run_component(Adder(), f"ws://127.0.0.1:{scene.port}/ws", "nowhere")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("Adder", "does not name a class: write 'package.module:Class'"),
        ("tests.client.nothing:Adder", "there is no module 'tests.client.nothing'"),
        ("tests.client.test_component:Nothing", "there is no class 'Nothing' in 'tests.client.test_component'"),
        ("tests.client.scene:Scene", "has none of the methods on_connect, on_join"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(name: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        load_component(name)


def test_what_is_wrong_within_a_module_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_component.py").write_text("import there_is_no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="there_is_no_such_module"):
        load_component("broken_component:Component")
