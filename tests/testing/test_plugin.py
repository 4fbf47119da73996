"""The pytest plugin, in tests of users."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import rocade
from rocade.errors import ConnectionFailed
from rocade.testing import ListeningRouter

ROOT = Path(__file__).parents[2]

TESTS = """
import asyncio

from rocade import Application
from rocade.testing import running

app = Application("demo")


@app.register
async def answer(question):
    return 41


def ask():
    async def main():
        async with running(app) as client:
            return await client.call("demo.answer", "?" * 1000)

    return asyncio.run(main())


def test_that_passes():
    assert ask() == 41


def test_that_fails():
    assert ask() == 42


def test_that_fails_without_messages():
    assert False
"""


def run_pytest(directory: Path, text: str) -> str:
    (directory / "test_of_a_user.py").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "pytest", "-p", "rocade.testing.plugin", "-p", "no:cacheprovider", str(directory)]
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=60
    ).stdout


def test_a_test_that_fails_shows_its_messages_and_no_others(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, TESTS)

    assert "2 failed, 1 passed" in output
    assert output.count("WAMP messages") == 1
    assert "client #2 → CALL 1, {}, 'demo.answer', ['????" in output
    assert "demo #1 ← INVOCATION 1, 1," in output
    assert "demo #1 → YIELD 1, {}, [41]" in output
    assert "client #2 ← RESULT 1, {}, [41]" in output
    assert "?" * 200 not in output, "what is long is cut"


def test_a_router_that_listens_is_a_fixture(rocade_router: ListeningRouter) -> None:
    async def main() -> str:
        async with rocade.connect(rocade_router.url, rocade_router.realm) as callee:
            await callee.register(lambda: "192.0.2.1", "demo.ip")
            async with rocade.connect(f"rs://127.0.0.1:{rocade_router.port}") as caller:
                return str(await caller.call("demo.ip"))

    assert asyncio.run(main()) == "192.0.2.1"
    assert any("→ CALL 1" in line for line in rocade_router.recording.lines())


def test_a_router_that_was_stopped_does_not_listen_any_more() -> None:
    with ListeningRouter() as router:
        url = router.url

    async def main() -> None:
        try:
            await rocade.connect(url, reconnect=False)
        except ConnectionFailed:
            return
        raise AssertionError("somebody listens")

    asyncio.run(main())


def test_the_plugin_is_announced_under_the_name_of_its_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    (name, module), *others = project["entry-points"]["pytest11"].items()

    assert (name, others) == (module, [])
    assert import_module(module).pytest_runtest_makereport


def test_the_plugin_costs_those_nothing_who_do_not_use_it() -> None:
    code = (
        "import pytest, sys; before = set(sys.modules); import rocade.testing.plugin; print(*set(sys.modules) - before)"
    )

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert set(output.split()) <= {"rocade", "rocade.testing", "rocade.testing.plugin", "__future__", "importlib"}
