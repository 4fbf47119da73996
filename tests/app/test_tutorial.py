"""docs/tutorial.md, step by step; the steps in browsers are in tests/browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.app import tutorial
from tests.app.programs import SOURCE, Program
from tests.conformance.waiting import TIMEOUT

CHAT = Path(__file__).parents[2] / "examples" / "chat"


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Program]:
    """`rocade dev chat.py` with the first edition of the file."""
    tutorial.save(tmp_path, "chat.py", 0)
    with Program("-m", "rocade", "dev", "chat.py", "--port", "0", directory=tmp_path) as program:
        program.wait_for("application ready")
        yield program


def run(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT * 3,
        check=False,
    )


def test_the_commands_are_those_that_are_run_here() -> None:
    commands = [block.text.strip() for block in tutorial.blocks() if block.language == "sh"]

    assert commands == ["pip install 'rocade[dev]'", "rocade dev chat.py", "python ask.py", "mkdir web"]


def test_the_finished_chat_is_the_example() -> None:
    for path in (path for path in CHAT.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        assert tutorial.file(path.relative_to(CHAT).as_posix()) == path.read_text(encoding="utf-8")


def test_a_procedure_is_called_and_changed(dev: Program, tmp_path: Path) -> None:
    chat = tmp_path / "chat.py"
    ask = tutorial.save(tmp_path, "ask.py", url=dev.url)
    outputs = [block.text for block in tutorial.blocks() if block.language == "text"]

    assert run(tmp_path, "ask.py").stdout == outputs[0] == "Hello Ada\n"

    chat.write_text(chat.read_text().replace("Hello", "Welcome"))
    dev.wait_for("application ready", 2)
    assert run(tmp_path, "ask.py").stdout == outputs[1] == "Welcome Ada\n"

    ask.write_text(ask.read_text().replace('"chat.greet", "Ada"', '"chat.greet", 5'))
    told = "wamp.error.invalid_argument: argument 'name': expected str, got int"
    assert told in run(tmp_path, "ask.py").stderr
    assert told in tutorial.PAGE.read_text()


def test_everybody_is_told(dev: Program, tmp_path: Path) -> None:
    tutorial.save(tmp_path, "chat.py")
    dev.wait_for("the application that ran before goes on")
    assert "there is no directory" in dev.text
    (tmp_path / "web").mkdir()
    tutorial.save(tmp_path, "chat.py")
    dev.wait_for("application ready", 2)
    for title in ("hear.py", "say.py"):
        tutorial.save(tmp_path, title, url=dev.url)

    with Program("hear.py", directory=tmp_path) as hear:
        hear.wait_for("listening")
        for count in (1, 2):
            assert run(tmp_path, "say.py").returncode == 0
            hear.wait_for("Ada: Is anybody there?\n", count)
        hear.kill()


def test_its_tests_pass(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    tutorial.save(tmp_path, "chat.py")
    tutorial.save(tmp_path, "test_chat.py")

    outcome = run(tmp_path, "-m", "pytest", "-p", "rocade.testing.plugin", "-p", "no:cacheprovider", "-q")

    assert "2 passed" in outcome.stdout
