"""The examples for other people's clients: each tells the same story to a router that was just started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .clients import JS, node
from .router import PATIENCE_S, Router

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "clients"


def python_example(name: str) -> Callable[[Path], list[str | Path]]:
    return lambda folder: [sys.executable, EXAMPLES / name]


def js_example(name: str) -> Callable[[Path], list[str | Path]]:
    def command(folder: Path) -> list[str | Path]:
        # A module is looked for beside the file that imports it.
        shutil.copy(EXAMPLES / name, folder)
        (folder / "node_modules").symlink_to(JS / "node_modules")
        return node(folder / name)

    return command


@pytest.mark.parametrize(
    "command",
    [
        python_example("rocade_python.py"),
        python_example("autobahn_python.py"),
        js_example("autobahn_js.mjs"),
        js_example("wampy_js.mjs"),
    ],
    ids=["rocade_python.py", "autobahn_python.py", "autobahn_js.mjs", "wampy_js.mjs"],
)
def test_an_example_tells_its_story(
    own_router: Router, tmp_path: Path, command: Callable[[Path], list[str | Path]]
) -> None:
    outcome = subprocess.run(
        [*command(tmp_path), own_router.url], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.splitlines() == ["5 and 7 are 12", "Hello Ada"]


def test_every_example_is_run() -> None:
    assert sorted(os.listdir(EXAMPLES)) == ["autobahn_js.mjs", "autobahn_python.py", "rocade_python.py", "wampy_js.mjs"]
