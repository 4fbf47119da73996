"""Batches between autobahn-python and the router: many messages at once, in both directions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .router import PATIENCE_S, Router

PROGRAM = Path(__file__).parent / "programs" / "batched_burst.py"
COUNT = 500


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_a_burst_of_calls_and_events_arrives_in_order(router: Router, serializer: str) -> None:
    outcome = subprocess.run(
        [sys.executable, PROGRAM, router.url, serializer, str(COUNT)],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stderr.decode()
    seen = json.loads(outcome.stdout)
    assert seen["protocol"] == f"wamp.2.{serializer}.batched"
    assert seen["results"] == [f"ä{number}\x18\x1e" for number in range(COUNT)]
    assert seen["events"] == list(range(COUNT))
    # What the router has flushed together came together.
    assert seen["websocket messages"] < seen["WAMP messages"] / 2
