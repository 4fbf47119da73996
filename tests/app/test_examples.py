"""The examples of applications, as their readers run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.app.programs import SOURCE, Program
from tests.conformance.waiting import TIMEOUT

import rocade
from rocade import ApplicationError

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_application_answers_its_client() -> None:
    folder = EXAMPLES / "application"
    with Program("demo.py", directory=folder) as program:
        program.wait_for("ready")

        asked = subprocess.run(
            [sys.executable, "ask.py", program.url],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

        assert asked.returncode == 0, asked.stderr
        first, *others = asked.stdout.splitlines()
        assert first.startswith("at ")
        assert others == ["a UUID has 32 digits", "Ada pinged all"]


async def test_the_chat_tells_everybody_and_remembers() -> None:
    with Program("chat.py", directory=EXAMPLES / "chat") as program:
        program.wait_for("ready")
        async with rocade.connect(program.url) as ada, rocade.connect(program.url) as bob:
            async with bob.events("chat.said") as said:
                await ada.call("chat.say", "Ada", "Hello")
                event = await anext(said)

            assert event.args == [{"name": "Ada", "text": "Hello"}]
            assert await bob.call("chat.history") == [{"name": "Ada", "text": "Hello"}]
            with pytest.raises(ApplicationError, match="say something"):
                await ada.call("chat.say", "Ada", " ")
