"""Batches: between autobahn-python and the router, and written out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def test_answers_to_a_batch_come_in_batches(router: Router) -> None:
    hello = [1, "realm1", {"roles": {"publisher": {}, "subscriber": {}}}]
    subscribe = [32, 1, {}, "com.example.batch"]
    publishes = [
        [16, 2 + number, {"acknowledge": True, "exclude_me": False}, "com.example.batch", [number]]
        for number in range(100)
    ]

    with connect(router.url, subprotocols=[Subprotocol("wamp.2.json.batched")], proxy=None) as client:

        def send(messages: list[list[Any]]) -> None:
            client.send("".join(json.dumps(message) + "\x1e" for message in messages))

        def receive() -> list[list[Any]]:
            batch = client.recv(PATIENCE_S)
            assert isinstance(batch, str)
            assert batch.endswith("\x1e")
            return [json.loads(message) for message in batch.split("\x1e")[:-1]]

        send([hello])
        ((welcome_type, *_),) = receive()
        send([subscribe])
        ((*subscribed, _subscription),) = receive()
        send(publishes)
        # How many publications fit into a turn depends on the machine; the two answers to one are never apart.
        batches: list[list[list[Any]]] = []
        while sum(map(len, batches)) < 2 * len(publishes):
            batches.append(receive())

    rest = [message for batch in batches for message in batch]
    assert (welcome_type, subscribed) == (2, [33, 1])
    assert [message[1] for message in rest if message[0] == 17] == [2 + number for number in range(100)]
    assert [message[4] for message in rest if message[0] == 36] == [[number] for number in range(100)]
    assert min(map(len, batches)) >= 2
