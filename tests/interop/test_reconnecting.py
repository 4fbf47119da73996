"""Clients that come back when the router does, each as its library lets it.

A router that stops says goodbye. The JavaScript libraries take that for the end, and do not come back; autobahn-python
does. After a connection that was lost, all of them come back.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ports import reserved_port

from .clients import JS, node
from .router import PATIENCE_S, Router
from .test_autobahn_python import PROGRAMS

Command = Callable[[], list[str | Path]]


def autobahn_python() -> list[str | Path]:
    return [sys.executable, PROGRAMS / "reconnecting.py"]


def autobahn_js() -> list[str | Path]:
    return node(JS / "reconnecting_autobahn.mjs")


def wampy() -> list[str | Path]:
    return node(JS / "reconnecting_wampy.mjs")


def story(command: Command, folder: Path, *, orderly: bool) -> list[Any]:
    """What the program prints while the router goes away, orderly or not, and comes back."""
    with reserved_port() as port:
        return _story(command, folder, str(port), orderly=orderly)


def _story(command: Command, folder: Path, port: str, *, orderly: bool) -> list[Any]:
    router = Router(folder / "first.log", "--port", port)
    with subprocess.Popen([*command(), router.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
        try:
            assert program.stdout is not None
            first = program.stdout.readline()
            if orderly:
                assert router.stop() == 0
            else:
                router.kill()
            router = Router(folder / "second.log", "--port", port)
            rest, _ = program.communicate(timeout=PATIENCE_S)
        finally:
            program.kill()
            router.stop()
    assert program.returncode == 0
    assert " broke the protocol" not in (folder / "second.log").read_text()
    return [json.loads(line) for line in (first + rest).splitlines()]


@pytest.mark.parametrize("orderly", [False, True], ids=["lost", "orderly"])
def test_autobahn_python_comes_back(tmp_path: Path, orderly: bool) -> None:
    first, second = story(autobahn_python, tmp_path, orderly=orderly)

    assert first != second


def test_autobahn_js_comes_back_after_a_lost_connection(tmp_path: Path) -> None:
    first, second, why = story(autobahn_js, tmp_path, orderly=False)

    assert first != second
    assert why == "wamp.close.goodbye_and_out"


def test_autobahn_js_stays_away_after_a_goodbye(tmp_path: Path) -> None:
    _, why = story(autobahn_js, tmp_path, orderly=True)

    assert why == "wamp.close.system_shutdown"


def test_wampy_comes_back_with_all_it_had_after_a_lost_connection(tmp_path: Path) -> None:
    """It counts its request ids on from the session before; the router lets a session begin with any."""
    first, heard, second, _ = story(wampy, tmp_path, orderly=False)

    assert heard == "still here"
    assert first != second


def test_wampy_stays_away_after_a_goodbye(tmp_path: Path) -> None:
    _, end = story(wampy, tmp_path, orderly=True)

    assert end is None
