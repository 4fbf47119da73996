"""docs/from-autobahn.md: its two programs do the same, its class is one, and its third program needs no loop."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from tests.app.programs import Program

import rocade
from rocade.testing import ListeningRouter

PAGE = Path(__file__).parents[2] / "docs" / "from-autobahn.md"


def block(title: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^```python{title}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", ["with_autobahn.py", "with_rocade.py"])
async def test_both_programs_do_the_same(name: str, rocade_router: ListeningRouter, tmp_path: Path) -> None:
    (tmp_path / name).write_text(block(f' title="{name}"'))
    with Program(name, rocade_router.url, directory=tmp_path) as program:
        program.wait_for("joined realm1")
        async with rocade.connect(rocade_router.url) as client, client.events("com.example.pong") as pongs:
            while not await client.call("wamp.registration.match", "com.example.add"):
                pass  # autobahn registers when it has told that it has joined
            assert await client.call("com.example.add", 2, 3) == 5
            while not await client.call("wamp.subscription.match", "com.example.ping"):
                pass
            await client.publish("com.example.ping", "ada")
            assert (await anext(pongs)).args == ["ada"]
        program.kill()


async def test_its_class_runs(rocade_router: ListeningRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page_of_autobahn.py").write_text(block(""))
    monkeypatch.syspath_prepend(str(tmp_path))
    component = asyncio.create_task(rocade.run_component("page_of_autobahn:Backend", rocade_router.url))
    async with rocade.connect(rocade_router.url) as client:
        while not await client.call("wamp.registration.match", "com.example.add"):
            assert not component.done()
        assert await client.call("com.example.add", 2, 3) == 5
        (backend,) = [id for id in await client.call("wamp.session.list") if id != client.id]
        await client.call("wamp.session.kill", backend, reason="wamp.close.killed")
    with pytest.raises(rocade.ConnectionLost):
        await component


def test_its_program_without_a_loop_runs(rocade_router: ListeningRouter, tmp_path: Path) -> None:
    (tmp_path / "blocking.py").write_text(block(' title="blocking.py"'))

    with Program("-W", "error", "blocking.py", rocade_router.url, directory=tmp_path) as program:
        assert (program.wait(), program.text) == (0, "5\n")
