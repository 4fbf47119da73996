"""docs/getting-started.md: its programs do what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.app.programs import Program
from tests.hostile.process import RouterProcess

from rocade import Router
from rocade.testing import ListeningRouter

PAGE = Path(__file__).parents[2] / "docs" / "getting-started.md"


def save(directory: Path, title: str, url: str) -> None:
    found = re.search(rf'^```python title="{title}"\n(.*?)^```', PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    (directory / title).write_text(found[1].replace("ws://127.0.0.1:8080/ws", url), encoding="utf-8")


def test_one_program_calls_the_other_and_hears_it_also_after_the_router_was_restarted(
    tmp_path: Path, free_port: int
) -> None:
    router = RouterProcess("--port", str(free_port))
    for title in ("adder.py", "asker.py"):
        save(tmp_path, title, f"ws://127.0.0.1:{free_port}/ws")
    with Program("adder.py", directory=tmp_path) as adder:
        adder.wait_for("ready")
        with Program("asker.py", directory=tmp_path) as asker:
            asker.wait_for("2 + 3 = 5\ntick ")
            router.stop()
            heard = asker.text.count("tick")

            router = RouterProcess("--port", str(free_port))

            asker.wait_for("tick ", heard + 1)
            asker.kill()
    router.stop()


def test_without_the_first_the_second_fails(tmp_path: Path, rocade_router: ListeningRouter) -> None:
    save(tmp_path, "asker.py", rocade_router.url)
    with Program("asker.py", directory=tmp_path) as asker:
        assert asker.wait() == 1

    assert "wamp.error.no_such_procedure" in asker.text


async def test_patterns_match(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, "patterns.py", "")
    names: dict[str, Any] = {}
    exec((tmp_path / "patterns.py").read_text(), names)
    async with Router() as router, router.connect() as session, router.connect() as other:
        await names["patterns"](session)
        for topic in ("com.example.user.42.deleted", "com.example.shop.created", "com.example.user.created"):
            await other.publish(topic)
        assert await other.call("com.example.work", "it") == "done: it"
        told = ""
        while told.count("\n") < 4:
            await other.call("com.example.work", "it")
            told += capsys.readouterr().out

    assert sorted(told.split()) == [
        "com.example.shop.created",
        "com.example.user.42.deleted",
        "com.example.user.created",
        "com.example.user.created",
    ]
