"""Batches: between autobahn-python and the router, and written out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

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


def test_answers_to_a_batch_come_as_a_batch(router: Router) -> None:
    hello = [1, "realm1", {"roles": {"publisher": {}, "subscriber": {}}}]
    subscribe = [32, 1, {}, "com.example.batch"]
    publishes = [
        [16, 2 + number, {"acknowledge": True, "exclude_me": False}, "com.example.batch", [number]]
        for number in range(100)
    ]

    with connect(router.url, subprotocols=[Subprotocol("wamp.2.json.batched")], proxy=None) as client:
        answers = []
        for messages in ([hello], [subscribe], publishes):
            client.send("".join(json.dumps(message) + "\x1e" for message in messages))
            answer = client.recv(PATIENCE_S)
            assert isinstance(answer, str)
            assert answer.endswith("\x1e")
            answers.append([json.loads(message) for message in answer.split("\x1e")[:-1]])

    (welcome,), (subscribed,), rest = answers
    assert (welcome[0], subscribed[:2]) == (2, [33, 1])
    assert [message[1] for message in rest if message[0] == 17] == [2 + number for number in range(100)]
    assert [message[4] for message in rest if message[0] == 36] == [[number] for number in range(100)]
