"""autobahn-python as its documentation has it: components, application sessions, decorators, exceptions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .router import PATIENCE_S, Router

PROGRAMS = Path(__file__).parent / "programs"


def output_of(program: str, *arguments: str) -> list[Any]:
    """What a program prints until it ends by itself."""
    outcome = subprocess.run(
        [sys.executable, PROGRAMS / program, *arguments], capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert outcome.returncode == 0, outcome.stderr.decode()
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def test_a_component_offers_calls_publishes_and_ends(router: Router) -> None:
    seen = output_of("component.py", router.url)

    assert seen == [
        5,
        "com.example.component.details",
        "hello",
        # The client sends the 5 "seconds" of its documentation as they are; to WAMP they are milliseconds.
        "wamp.error.timeout",
        "wamp.close.goodbye_and_out",
    ]


@pytest.mark.parametrize(
    ("scheme", "arguments", "protocol"),
    [("ws", [], "wamp.2.cbor.batched"), ("ws", ["plain"], "wamp.2.msgpack"), ("rs", [], None)],
    ids=["websocket", "websocket-plain", "rawsocket"],
)
def test_an_application_session_runs_under_its_runner(
    router: Router, scheme: str, arguments: list[str], protocol: str | None
) -> None:
    """The runner offers compression, which is declined, fragments large messages, and prefers batches."""
    url = router.url if scheme == "ws" else f"rs://127.0.0.1:{router.port}"

    seen = output_of("application_session.py", url, *arguments)

    assert seen == [
        protocol,
        42,
        49,
        {"quotient": 3, "remainder": 2},
        500_000,
        [10, "are too much"],
        ["wamp.error.runtime_error", ["broken"]],
        "done",
        "wamp.close.goodbye_and_out",
    ]
