"""docs/command-line.md: its first session goes as the page says, and it names every option."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.app.programs import SOURCE, Program

from rocade.cli.call import call
from rocade.cli.publish import publish
from rocade.cli.register import register
from rocade.cli.subscribe import subscribe
from rocade.testing import ListeningRouter

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
TIMEOUT = 60


def test_its_first_session_goes_as_it_says(rocade_router: ListeningRouter, tmp_path: Path) -> None:
    found = re.search(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    running: list[Program] = []
    shown = ""
    try:
        for line in found[1].splitlines():
            if not line.startswith("$ "):
                if running and line not in shown:
                    running[-1].wait_for(line + "\n")
                continue
            words = shlex.split(line[2:])
            assert words[0] == "rocade"
            arguments = ["-m", *words[:2], "--url", rocade_router.url, *words[2:]]
            if words[-1] == "&":
                running.append(Program(*arguments[:-1], directory=tmp_path))
                running[-1].wait_for("rocade: ")
                continue
            done = subprocess.run(
                [sys.executable, *arguments],
                env={**os.environ, "PYTHONPATH": str(SOURCE)},
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=True,
            )
            shown = done.stdout
            assert done.stderr == ""
    finally:
        for program in running:
            program.stop()
    assert len(running) == 2


@pytest.mark.parametrize("command", [call, publish, subscribe, register], ids=lambda command: command.name)
def test_it_names_every_option(command: object) -> None:
    text = PAGE.read_text(encoding="utf-8")

    options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]  # type: ignore[attr-defined]

    assert len(options) > 8
    assert [option for option in options if option not in text] == []
