"""What the routing core wants done is done: encoded once per kind of link, delivered, timed, and ended in order."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conformance.waiting import TIMEOUT
from tests.serve.scene import EVERYTHING, HEADER, WIRES, Client, open_gateway, pass_time, settle

from rocade.errors import ConfigurationError
from rocade.router.permissions import Role
from rocade.serve.gateway import Gateway
from rocade.wamp.codec import Serializer
from rocade.wamp.messages import (
    Abort,
    CancelMode,
    Error,
    Event,
    Goodbye,
    Interrupt,
    Invocation,
    Match,
    Message,
    Published,
    Result,
    Subscribed,
)
from rocade.wamp.patience import time_with

TOO_LARGE = "wamp.error.payload_size_exceeded"


def joined(gateway: Gateway, *names: str, **options: Any) -> list[Client]:
    """Clients with the serializers of these names."""
    clients = [Client(gateway, wire=WIRES[name], **options) for name in names]
    for client in clients:
        client.join(features=EVERYTHING)
    return clients


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[type[Message], str]]:
    """How often messages were encoded: (kind, serializer) -> number."""
    counter: Counter[tuple[type[Message], str]] = Counter()
    encode = Serializer.encode

    def counting(self: Serializer, message: Message, origin: Serializer | None = None) -> bytes:
        counter[type(message), self.name] += 1
        return encode(self, message, origin)

    monkeypatch.setattr(Serializer, "encode", counting)
    return counter


# --- Encoding -----------------------------------------------------------------------------------------


async def test_an_event_is_encoded_once_for_each_kind_of_link(encoded: Counter[tuple[type[Message], str]]) -> None:
    gateway = open_gateway()
    (publisher,) = joined(gateway, "json")
    subscribers = joined(gateway, *(["json", "msgpack", "cbor"] * 17)[:50])
    for client in subscribers:
        client.subscribe("com.topic")
        client.take()

    publisher.publish("com.topic", "hello", 7)

    assert [client.args(client.take_one()) for client in subscribers] == [["hello", 7]] * 50
    assert {name: encoded[Event, name] for name in WIRES} == {"json": 1, "msgpack": 1, "cbor": 1}
    for name in WIRES:
        frames = [client.link.frames[-1] for client in subscribers if client.link.wire is WIRES[name]]
        assert all(frame is frames[0] for frame in frames), "everybody gets the same bytes"


async def test_an_event_that_nobody_gets_is_not_encoded(encoded: Counter[tuple[type[Message], str]]) -> None:
    gateway = open_gateway()
    publisher, subscriber = joined(gateway, "json", "json")
    subscriber.subscribe("com.topic")

    publisher.publish("com.topic", eligible=[])
    publisher.publish("com.other")

    assert encoded[Event, "json"] == 0


@pytest.mark.parametrize("names", [("json", "msgpack"), ("msgpack", "cbor"), ("cbor", "json")], ids=" and ".join)
async def test_payloads_are_transcoded_on_the_whole_way_of_a_call(names: tuple[str, str]) -> None:
    caller, callee = joined(open_gateway(), *names)
    callee.register("com.proc")
    callee.take()

    caller.call("com.proc", b"\x00\xff", {"a": [1, 2.5, None, "ä"]})
    invocation = callee.take_one()
    callee.yield_(invocation.request, *callee.args(invocation))

    assert caller.args(caller.take_one()) == [b"\x00\xff", {"a": [1, 2.5, None, "ä"]}]


async def test_the_effects_are_carried_out_in_their_order() -> None:
    gateway = open_gateway()
    (client,) = joined(gateway, "json")
    client.subscribe("com.topic")
    client.subscribe("com.", Match.PREFIX)

    client.publish("com.topic", exclude_me=False, acknowledge=True)

    assert [type(message) for message in client.take()] == [Subscribed, Subscribed, Event, Event, Published]


# --- What cannot be delivered -------------------------------------------------------------------------


async def test_a_message_too_large_for_one_receiver_drops_only_that_event() -> None:
    gateway = open_gateway()
    publisher, *others = joined(gateway, "json", "json", "msgpack")
    (small,) = joined(gateway, "json", max_send_bytes=1000)
    for client in (small, *others):
        client.subscribe("com.topic")
        client.take()

    publisher.publish("com.topic", "x" * 1000)
    publisher.publish("com.topic", "short")

    assert [len(client.take()) for client in others] == [2, 2]
    assert small.args(small.take_one()) == ["short"]
    assert publisher.take() == []


async def test_the_largest_message_that_the_receiver_accepts_still_arrives() -> None:
    gateway = open_gateway()
    (publisher,) = joined(gateway, "json")
    (small,) = joined(gateway, "json", max_send_bytes=2000)
    small.subscribe("com.topic")
    small.take()
    publisher.publish("com.topic", "")
    small.gateway.flusher.flush()
    overhead = len(small.link.frames[-1]) - len(HEADER)
    small.take()

    for size in range(2000 - overhead - 3, 2000 - overhead + 4):
        publisher.publish("com.topic", "x" * size)

    # Publication ids have 15 or 16 digits, so the length of the rest varies by a byte or two.
    lengths = [len(frame) - len(HEADER) for frame in small.link.frames]
    assert max(lengths) <= 2000
    assert len(small.take()) >= 2


async def test_an_invocation_too_large_for_the_callee_fails_the_call() -> None:
    gateway = open_gateway()
    (caller,) = joined(gateway, "json")
    (callee,) = joined(gateway, "json", max_send_bytes=1000)
    callee.register("com.proc")
    callee.take()

    caller.call("com.proc", "x" * 1000, timeout=5000)

    error = caller.take_one()
    assert (error.request_type, error.request, error.error) == (48, 1, TOO_LARGE)
    assert callee.take() == []
    assert gateway.delivery._timers == {}
    caller.call("com.proc", "short")
    assert callee.take_one().request == 1, "it has never seen the other one"


async def test_a_result_too_large_for_the_caller_becomes_an_error() -> None:
    gateway = open_gateway()
    (callee,) = joined(gateway, "json")
    (caller,) = joined(gateway, "json", max_send_bytes=1000)
    callee.register("com.proc")
    caller.call("com.proc")

    callee.yield_(1, "x" * 1000)

    error = caller.take_one()
    assert (error.request_type, error.request, error.error) == (48, 1, TOO_LARGE)
    assert "1000" in caller.args(error)[0]


async def test_an_error_too_large_for_the_caller_becomes_a_shorter_one() -> None:
    gateway = open_gateway()
    (callee,) = joined(gateway, "json")
    (caller,) = joined(gateway, "json", max_send_bytes=1000)
    callee.register("com.proc")
    caller.call("com.proc")

    callee.error(1, "com." + "x" * 1500)

    assert caller.take_one().error == TOO_LARGE


@pytest.mark.parametrize("limit", [512, 60, 1])
async def test_a_receiver_that_accepts_next_to_nothing_does_not_make_the_router_turn_in_circles(limit: int) -> None:
    gateway = open_gateway()
    (callee,) = joined(gateway, "json")
    (caller,) = joined(gateway, "json", max_send_bytes=limit)
    callee.register("com.proc")
    caller.call("com.proc")

    callee.error(1, "com." + "x" * 1500)
    caller.subscribe("\U000e0001" * 200 + " ")

    assert all(len(frame) <= limit + len(HEADER) for frame in caller.link.frames[1:])


UNSPEAKABLE = 10**400
"""An integer that CBOR has, and MessagePack not even as a float."""


async def test_an_event_that_one_serializer_cannot_express_is_dropped_for_those_who_use_it() -> None:
    gateway = open_gateway()
    publisher, packed, plain = joined(gateway, "cbor", "msgpack", "json")
    for client in (packed, plain):
        client.subscribe("com.topic")
        client.take()

    publisher.publish("com.topic", UNSPEAKABLE)

    assert packed.take() == []
    assert type(plain.take_one()) is Event
    assert publisher.take() == []


async def test_a_call_that_the_serializer_of_the_callee_cannot_express_fails() -> None:
    caller, callee = joined(open_gateway(), "cbor", "msgpack")
    callee.register("com.proc")
    callee.take()

    caller.call("com.proc", UNSPEAKABLE)

    assert caller.take_one().error == "wamp.error.invalid_argument"
    assert callee.take() == []


async def test_a_result_that_the_serializer_of_the_caller_cannot_express_becomes_an_error() -> None:
    caller, callee = joined(open_gateway(), "msgpack", "cbor")
    callee.register("com.proc")
    caller.call("com.proc")

    callee.yield_(1, UNSPEAKABLE)

    assert caller.take_one().error == "wamp.error.invalid_argument"


json_payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
cbor_payloads = st.recursive(
    json_payloads
    | st.binary()
    | st.floats()
    | st.builds(cbor2.CBORTag, st.integers(1000, 2000), st.integers())
    | st.just(cbor2.undefined),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers() | st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(cbor_payloads)
def test_whatever_payload_is_published_the_publisher_survives(payload: Any) -> None:
    async def main() -> None:
        gateway = open_gateway()
        time_with(float)  # it stands still: none of these takes long, however busy the machine is
        publisher, *subscribers = joined(gateway, "cbor", "json", "msgpack", "cbor")
        for client in subscribers:
            client.subscribe("com.topic")
            client.take()

        publisher.link.deliver(cbor2.dumps([16, 1, {"acknowledge": True}, "com.topic", [payload]]))

        answer = publisher.take_one()
        if type(answer) is Published:
            assert all(len(client.take()) <= 1 for client in subscribers)
        else:
            assert answer.reason == "wamp.error.protocol_violation", "it is the payload that was not valid"

    asyncio.run(main())


# --- Timeouts -----------------------------------------------------------------------------------------


async def test_a_call_times_out_by_the_clock_of_the_loop() -> None:
    gateway = open_gateway()
    caller, callee = joined(gateway, "json", "json")
    callee.register("com.proc")
    caller.call("com.proc", timeout=3000)
    callee.take()

    await pass_time(2.9)
    assert caller.take() == []
    await pass_time(0.2)

    assert caller.take_one().error == "wamp.error.timeout"
    assert callee.take_one().options.mode is CancelMode.KILLNOWAIT
    assert gateway.delivery._timers == {}


async def test_a_progressive_result_gives_a_call_more_time() -> None:
    gateway = open_gateway()
    caller, callee = joined(gateway, "json", "json")
    callee.register("com.proc")
    caller.call("com.proc", timeout=3000, receive_progress=True)
    for _ in range(5):
        await pass_time(2.0)
        callee.link.deliver(b'[70,1,{"progress":true}]')
    assert [type(message) for message in caller.take()] == [Result] * 5

    await pass_time(3.1)

    assert caller.take_one().error == "wamp.error.timeout"


async def test_an_answered_call_leaves_no_timer() -> None:
    gateway = open_gateway()
    caller, callee = joined(gateway, "json", "json")
    callee.register("com.proc")

    for request in range(1, 6):
        caller.call("com.proc", timeout=3_600_000)
        assert len(gateway.delivery._timers) == 1
        callee.yield_(request)
        assert gateway.delivery._timers == {}

    await pass_time(3601)
    assert [type(message) for message in caller.take()] == [Result] * 5


# --- Realms -------------------------------------------------------------------------------------------


async def test_realms_do_not_hear_of_each_other() -> None:
    gateway = open_gateway(realms=["realm1", "realm2"])
    here, there = Client(gateway), Client(gateway)
    here.join("realm1")
    there.join("realm2")
    there.subscribe("com.topic")
    there.register("com.proc")
    there.take()

    here.publish("com.topic")
    here.call("com.proc")

    assert here.take_one().error == "wamp.error.no_such_procedure"
    assert there.take() == []


@pytest.mark.parametrize("name", ["", "a..b", "with space", "wamp", "wamp.realm", "a#b"])
def test_a_realm_needs_a_name_that_is_a_uri(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name of a realm"):
        Gateway().add_realm(name, [Role("user")])


def test_a_realm_name_is_taken_once() -> None:
    gateway = Gateway()
    gateway.add_realm("realm1", [])

    with pytest.raises(ConfigurationError, match="already"):
        gateway.add_realm("realm1", [])


def test_global_ids_cover_their_range() -> None:
    gateway = Gateway()

    ids = [gateway.random_id() for _ in range(1000)]

    assert all(1 <= id <= 2**53 for id in ids)
    assert max(ids) > 2**52
    assert len(set(ids)) == 1000


# --- Shutdown -----------------------------------------------------------------------------------------


async def test_shutdown_says_goodbye_to_everyone_and_ends_when_they_are_gone() -> None:
    gateway = open_gateway()
    clients = joined(gateway, "json", "msgpack", "cbor")

    shutdown = asyncio.create_task(gateway.shutdown(60.0))
    await settle()
    for client in clients:
        goodbye = client.take_one()
        assert (type(goodbye), goodbye.reason) == (Goodbye, "wamp.close.system_shutdown")
        client.goodbye("wamp.close.goodbye_and_out")
        assert client.take() == []
        assert client.link.closed == ("", False)
        assert not shutdown.done()
        client.link.lose("closed")
    await settle()

    assert shutdown.done()
    assert gateway.realms["realm1"].sessions == {}


async def test_shutdown_ends_within_its_limit_with_a_client_that_never_answers() -> None:
    gateway = open_gateway()
    (client,) = joined(gateway, "json")

    shutdown = asyncio.create_task(gateway.shutdown(2.0))
    await settle()
    await pass_time(1.9)
    assert not shutdown.done()
    assert client.link.closed is None
    await pass_time(0.2)

    assert shutdown.done()
    assert client.link.closed == ("", False)


async def test_shutdown_closes_connections_without_a_session_at_once() -> None:
    gateway = open_gateway()
    client = Client(gateway)

    shutdown = asyncio.create_task(gateway.shutdown(2.0))
    await settle()
    client.link.lose("closed")
    await settle()

    assert shutdown.done()
    assert client.take() == []
    assert client.link.closed == ("", False)


async def test_shutdown_refuses_who_comes_too_late() -> None:
    gateway = open_gateway()
    joined(gateway, "json")
    shutdown = asyncio.create_task(gateway.shutdown(2.0))
    await settle()

    late = Client(gateway)
    late.hello()

    abort = late.take_one()
    assert (type(abort), abort.reason) == (Abort, "wamp.close.system_shutdown")
    assert late.link.closed == ("", False)
    await pass_time(2.1)
    assert shutdown.done()


async def test_shutdown_with_nobody_there_is_over_at_once() -> None:
    async with asyncio.timeout(TIMEOUT):
        await Gateway().shutdown(1000.0)


async def test_pending_calls_are_settled_before_the_goodbye_and_nothing_comes_after_it() -> None:
    gateway = open_gateway()
    clients = joined(gateway, "json", "json", "json")
    for number, client in enumerate(clients):
        client.register(f"com.proc{number}")
    for client in clients:
        for number in range(3):
            client.call(f"com.proc{number}", timeout=1000)
    for client in clients:
        client.take()

    shutdown = asyncio.create_task(gateway.shutdown(2.0))
    await settle()

    for client in clients:
        messages = client.take()
        assert type(messages[-1]) is Goodbye
        assert {type(message) for message in messages[:-1]} <= {Error, Interrupt}
    assert gateway.delivery._timers == {}
    await pass_time(2.1)
    assert shutdown.done()


async def test_a_subscriber_that_is_dropped_in_the_middle_of_an_event_disturbs_nobody() -> None:
    gateway = open_gateway(max_outbox_bytes=2000)
    publisher, *subscribers = joined(gateway, *["json"] * 4)
    for client in subscribers:
        client.subscribe("com.topic")
        client.take()
    subscribers[0].connection.writing_paused()
    for _ in range(2):
        publisher.publish("com.topic", "x" * 1200)
        await settle()
    assert subscribers[0].link.is_aborted

    subscribers[0].link.lose("aborted")
    publisher.publish("com.topic", "y")

    assert [len(client.take()) for client in subscribers] == [0, 3, 3]


async def test_json_numbers_beyond_all_floats_do_not_hurt_the_publisher() -> None:
    gateway = open_gateway()
    publisher, packed, plain = joined(gateway, "json", "msgpack", "json")
    for client in (packed, plain):
        client.subscribe("com.topic")
        client.take()

    publisher.link.deliver(b'[16,1,{"acknowledge":true},"com.topic",[1e999]]')

    assert type(publisher.take_one()) is Published
    assert len(packed.take()) <= 1
    assert bytes(plain.take_one().args) == b"[1e999]"


async def test_a_progressive_result_too_large_for_the_caller_ends_the_call() -> None:
    gateway = open_gateway()
    (callee,) = joined(gateway, "json")
    (caller,) = joined(gateway, "json", max_send_bytes=1000)
    callee.register("com.proc")
    caller.call("com.proc", receive_progress=True)
    assert type(callee.take()[-1]) is Invocation

    callee.link.deliver(b'[70,1,{"progress":true},["' + b"x" * 1000 + b'"]]')
    callee.link.deliver(b'[70,1,{"progress":true},["short"]]')
    callee.yield_(1, "the end")

    assert caller.take_one().error == TOO_LARGE
    assert type(callee.take_one()) is Interrupt
