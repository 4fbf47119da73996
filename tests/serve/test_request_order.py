"""Requests that overtake each other on their way are put back into order."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from rocade.serve.web.request_order import WINDOW, RequestOrder
from rocade.wamp.codec import JSON

HELLO = [1, "realm1", {"roles": {"caller": {}}}]
GOODBYE = [6, {}, "wamp.close.close_realm"]


class Recorder:
    """A receiver that remembers."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.lost: str | None = None

    def message_received(self, data: bytes) -> None:
        self.messages.append(json.loads(data))

    def writing_paused(self) -> None:
        pass

    def writing_resumed(self) -> None:
        pass

    def link_lost(self, reason: str) -> None:
        self.lost = reason


def publish(request: int) -> list[Any]:
    return [16, request, {}, "com.example.topic"]


async def passed(*messages: Any, patience: float = 60.0, max_held_bytes: int = 10_000, wait: float = 0) -> list[Any]:
    """What passes of some messages."""
    recorder = Recorder()
    order = RequestOrder(recorder, JSON, patience=patience, max_held_bytes=max_held_bytes)
    for message in messages:
        order.message_received(json.dumps(message).encode())
    if wait:
        await asyncio.sleep(wait)
    result = list(recorder.messages)
    order.link_lost("end of the test")
    assert recorder.lost == "end of the test"
    return result


@pytest.mark.parametrize("requests", list(itertools.permutations([1, 2, 3, 4])), ids=repr)
def test_requests_pass_in_the_order_of_their_ids(requests: tuple[int, ...]) -> None:
    arrived = asyncio.run(passed(HELLO, *map(publish, requests)))

    assert arrived == [HELLO, *map(publish, (1, 2, 3, 4))]


@pytest.mark.parametrize(
    "message", [[70, 3, {}], [8, 68, 3, {}, "com.example.error"], [49, 1, {}], [5, "", {}], [99]], ids=repr
)
def test_messages_without_a_request_id_pass_at_once(message: list[Any]) -> None:
    assert asyncio.run(passed(HELLO, publish(2), message)) == [HELLO, message]


def test_what_is_no_message_passes_at_once() -> None:
    assert asyncio.run(passed(HELLO, publish(2), "nonsense")) == [HELLO, "nonsense"]


def test_goodbye_does_not_overtake_what_is_held() -> None:
    arrived = asyncio.run(passed(HELLO, publish(2), GOODBYE, publish(1)))

    assert arrived == [HELLO, publish(1), publish(2), GOODBYE]


def test_a_new_session_begins_with_request_1() -> None:
    arrived = asyncio.run(passed(HELLO, publish(1), GOODBYE, HELLO, publish(2), publish(1)))

    assert arrived == [HELLO, publish(1), GOODBYE, HELLO, publish(1), publish(2)]


def test_a_request_id_that_came_before_passes_at_once() -> None:
    assert asyncio.run(passed(HELLO, publish(1), publish(1))) == [HELLO, publish(1), publish(1)]


def test_a_request_that_does_not_come_is_not_waited_for_any_longer() -> None:
    arrived = asyncio.run(passed(HELLO, publish(4), publish(2), GOODBYE, patience=0.01, wait=0.1))

    assert arrived == [HELLO, publish(2), publish(4), GOODBYE]


def test_a_client_that_does_not_count_is_held_up_only_once() -> None:
    async def counts_by_two() -> list[Any]:
        recorder = Recorder()
        order = RequestOrder(recorder, JSON, patience=0.01, max_held_bytes=10_000)
        order.message_received(json.dumps(publish(2)).encode())
        await asyncio.sleep(0.1)
        order.message_received(json.dumps(publish(4)).encode())
        return recorder.messages

    assert asyncio.run(counts_by_two()) == [publish(2), publish(4)]


def test_a_request_id_far_away_is_not_held() -> None:
    assert asyncio.run(passed(HELLO, publish(2 + WINDOW))) == [HELLO, publish(2 + WINDOW)]


def test_only_so_many_bytes_are_held() -> None:
    requests = [publish(request) for request in range(2, 10)]

    assert asyncio.run(passed(*requests, max_held_bytes=200))[:4] == requests[:4]
