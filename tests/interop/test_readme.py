"""The README's programs do together what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.app.programs import SOURCE, Program
from tests.conformance.waiting import TIMEOUT

README = Path(__file__).parents[2] / "README.md"
JAVASCRIPT = Path(__file__).parent / "js"
ITS_URL = "ws://127.0.0.1:8080/ws"


def programs(language: str) -> list[str]:
    """What is fenced off as a language."""
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the router of the first program, which runs."""
    directory = tmp_path_factory.mktemp("readme")
    file = directory / "demo.py"
    file.write_text(programs("python")[0], encoding="utf-8")
    with Program(file, directory=directory) as running:
        running.wait_for("ready")
        yield running.url


def output(program: str, url: str) -> list[str]:
    """The lines that a Python program prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program.replace(ITS_URL, url)],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_there_are_three_programs_in_python_and_one_in_javascript() -> None:
    assert (len(programs("python")), len(programs("js"))) == (3, 1)


def test_another_program_calls_publishes_and_hears(demo: str) -> None:
    assert output(programs("python")[1], demo) == ["5", "['Hello Ada']"]


def test_a_program_without_an_event_loop_calls(demo: str) -> None:
    assert output(programs("python")[2], demo) == ["5"]


def test_javascript_calls(demo: str) -> None:
    before = "const autobahn = require('autobahn'); globalThis.WebSocket ??= require('ws');\n"
    program = before + programs("js")[0].replace(ITS_URL, demo)
    with subprocess.Popen(["node", "-e", program], cwd=JAVASCRIPT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "5\n"
        finally:
            process.kill()
