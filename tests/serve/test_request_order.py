"""Requests that overtake each other on their way are put back into order."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rocade.serve.web.request_order import WINDOW, RequestOrder
from rocade.testing.clock import VirtualClock
from rocade.wamp.codec import JSON, SERIALIZERS

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


class RawRecorder(Recorder):
    """The same for messages of any serializer."""

    def message_received(self, data: bytes) -> None:
        self.messages.append(data)


def publish(request: int) -> list[Any]:
    return [16, request, {}, "com.example.topic"]


async def passed(*messages: Any, patience: float = 60.0, max_held_bytes: int = 10_000, wait: float = 0) -> list[Any]:
    """What passes of some messages."""
    recorder = Recorder()
    order = RequestOrder(recorder, JSON, patience=patience, max_held_bytes=max_held_bytes)
    with VirtualClock() as clock:
        for message in messages:
            order.message_received(json.dumps(message).encode())
        await clock.advance(wait)
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
    arrived = asyncio.run(passed(HELLO, publish(4), publish(2), GOODBYE, patience=1.0, wait=2.1))

    assert arrived == [HELLO, publish(2), publish(4), GOODBYE]


def test_a_client_that_does_not_count_is_held_up_only_once() -> None:
    async def counts_by_two() -> list[Any]:
        recorder = Recorder()
        order = RequestOrder(recorder, JSON, patience=1.0, max_held_bytes=10_000)
        with VirtualClock() as clock:
            order.message_received(json.dumps(HELLO).encode())
            order.message_received(json.dumps(publish(2)).encode())
            await clock.advance(1.1)
            order.message_received(json.dumps(publish(4)).encode())
        return recorder.messages

    assert asyncio.run(counts_by_two()) == [HELLO, publish(2), publish(4)]


def test_a_request_id_far_away_is_not_held() -> None:
    assert asyncio.run(passed(HELLO, publish(2 + WINDOW))) == [HELLO, publish(2 + WINDOW)]


def test_only_so_many_bytes_are_held() -> None:
    requests = [publish(request) for request in range(2, 10)]

    assert asyncio.run(passed(HELLO, *requests, max_held_bytes=200))[:5] == [HELLO, *requests[:4]]


def test_nothing_is_held_without_a_session() -> None:
    messages = [publish(2), HELLO, GOODBYE, publish(2)]

    assert asyncio.run(passed(*messages)) == messages


def test_a_session_that_is_resumed_counts_on() -> None:
    hello = [1, "realm1", {"roles": {"caller": {}}, "resume-session": 7, "resume-token": "secret", "received": 5}]

    assert asyncio.run(passed(hello, publish(8))) == [hello, publish(8)]


def test_a_session_that_can_be_resumed_gets_everything_in_the_order_in_which_it_is_counted() -> None:
    hello = [1, "realm1", {"roles": {"caller": {}}, "resumable": True}]
    messages = hello, publish(2), [70, 1, {}], publish(1)

    assert asyncio.run(passed(*messages)) == list(messages)


@pytest.mark.parametrize("hello", [[1], [1, "realm1", {"roles": {"caller": {}}, "more": "x" * 70_000}]], ids=len)
def test_what_is_no_hello_begins_no_session(hello: list[Any]) -> None:
    assert asyncio.run(passed(hello, publish(2))) == [hello, publish(2)]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize("request_id", [2, 24, 128, 250])
def test_the_order_is_kept_in_every_serializer(serializer: str, request_id: int) -> None:
    dump = {"json": lambda value: json.dumps(value, indent=1).encode(), "msgpack": msgspec.msgpack.encode}.get(
        serializer, cbor2.dumps
    )

    async def arrived() -> list[bytes]:
        recorder = RawRecorder()
        order = RequestOrder(recorder, SERIALIZERS[serializer], patience=60, max_held_bytes=10_000)
        for message in (HELLO, publish(request_id), *map(publish, range(1, request_id))):
            order.message_received(dump(message))
        order.link_lost("end of the test")
        return recorder.messages

    assert asyncio.run(arrived()) == [dump(HELLO), *(dump(publish(id)) for id in range(1, request_id + 1))]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
@given(data=st.binary())
@example(b"")
@example(b"\x93")
@example(b"\x93\x10")
@example(b"\x93\xcf\x00")
@example(b"\xdc")
@example(b"[16,")
def test_whatever_comes_passes_or_waits(serializer: str, data: bytes) -> None:
    async def arrived() -> list[bytes]:
        recorder = RawRecorder()
        order = RequestOrder(recorder, SERIALIZERS[serializer], patience=60, max_held_bytes=0)
        order.message_received(data)
        return recorder.messages

    assert asyncio.run(arrived()) == [data]
