"""Messages that are not long, and made to take long: they hold nobody up but their sender."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cbor2
import msgspec
import pytest
from tests.hostile.process import RouterProcess
from tests.hostile.wire import Client, encode
from tests.wamp.collisions import colliding_pairs

TOPIC = "com.flood"
DIGITS = 20_000


@pytest.fixture(params=["websocket", "rawsocket"])
def transport(request: pytest.FixtureRequest) -> str:
    """How clients come."""
    return str(request.param)


@pytest.fixture
def router() -> Iterator[RouterProcess]:
    """A router for one test, which must be there at the end."""
    with RouterProcess("--port", "0") as router:
        yield router
        assert router.is_alive(), router.log


CHECKING = "checking process "
"""What is logged about a process that looks through messages."""


def joined(router: RouterProcess, transport: str, serializer: str) -> Client:
    client = Client(router.port, transport, serializer)
    client.join()
    return client


def subscribed(router: RouterProcess, transport: str, serializer: str) -> Client:
    client = joined(router, transport, serializer)
    client.send([32, 1, {}, TOPIC])
    assert client.receive()[0] == 33
    return client


def raw(serializer: str, value: Any) -> bytes:
    """Bytes of a value, whatever its keys are."""
    return msgspec.msgpack.encode(value) if serializer == "msgpack" else cbor2.dumps(value)


def publish(serializer: str, request: int = 1, *, options: Any = None, args: Any = ()) -> bytes:
    return raw(serializer, [16, request, {"acknowledge": True, **(options or {})}, TOPIC, list(args)])


# serializer -> keys of a map
FLOODS = {"msgpack": colliding_pairs(900), "cbor": colliding_pairs(3000)}


@pytest.mark.parametrize("serializer", FLOODS)
def test_keys_that_collide_are_looked_through_by_another_process(
    router: RouterProcess, transport: str, serializer: str
) -> None:
    args = [dict.fromkeys(FLOODS[serializer])]
    with joined(router, transport, serializer) as sender, subscribed(router, transport, serializer) as receiver:
        sender.send_bytes(publish(serializer, args=args))

        assert sender.receive()[:2] == [17, 1]
        assert receiver.receive()[0] == 36
    router.wait_for_log(CHECKING)


def test_more_keys_that_are_no_texts_than_allowed_end_the_session_of_who_sends_them(
    router: RouterProcess, transport: str
) -> None:
    with joined(router, transport, "msgpack") as sender, joined(router, transport, "msgpack") as other:
        sender.send_bytes(publish("msgpack", args=[dict.fromkeys(range(1001))]))

        sender.expect_abort()
        other.send([48, 1, {}, "wamp.session.count"])
        assert other.receive()[:2] == [50, 1]


@pytest.mark.parametrize("serializer", ["msgpack", "cbor"])
def test_options_that_nobody_knows_are_no_way_around(router: RouterProcess, transport: str, serializer: str) -> None:
    options = {"_flood": dict.fromkeys(colliding_pairs(900))}
    with joined(router, transport, serializer) as sender:
        sender.send_bytes(publish(serializer, options=options))

        assert sender.receive()[:2] == [17, 1]
    router.wait_for_log(CHECKING)


@pytest.mark.parametrize("serializer", ["msgpack", "cbor"])
def test_who_has_no_session_is_refused_at_once(router: RouterProcess, transport: str, serializer: str) -> None:
    extra = dict.fromkeys(colliding_pairs(3000))
    details = {"roles": {"publisher": {}}, "authid": "a", "authextra": {"flood": extra}}
    with Client(router.port, transport, serializer) as client:
        client.send_bytes(raw(serializer, [1, "realm1", details]))

        abort = client.receive()

        assert (abort[0], abort[2]) == (3, "wamp.error.protocol_violation")
        assert "messages are to be simple" in abort[1]["message"]
    assert CHECKING not in router.log


def test_halves_of_pairs_in_long_json_are_repaired_elsewhere(router: RouterProcess, transport: str) -> None:
    with joined(router, transport, "json") as sender, subscribed(router, transport, "json") as receiver:
        head = encode("json", [16, 1, {"acknowledge": True}, TOPIC])[:-1]
        sender.send_bytes(head + b',["' + rb"\ud83d" * DIGITS + b'"]]')

        assert sender.receive()[:2] == [17, 1]
        assert receiver.receive()[4:] == [["\ufffd" * DIGITS]]
    router.wait_for_log(CHECKING)


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_ordinary_payloads_of_64_kib_need_no_help(router: RouterProcess, transport: str, serializer: str) -> None:
    payloads: list[Any] = [["x" * 65_000]]
    if serializer != "cbor":  # whose decoding is timed, so that a machine that is very busy may make it take long
        payloads += [
            list(range(100_000, 109_000)),
            [{"id": n, "name": f"name {n}", "value": n * 1.5, "ok": True, "tags": ["a", "b"]} for n in range(800)],
        ]
    with joined(router, transport, serializer) as sender, subscribed(router, transport, serializer) as receiver:
        for request, payload in enumerate(payloads, 1):
            sender.send([16, request, {"acknowledge": True}, TOPIC, payload])

            assert sender.receive()[:2] == [17, request]
            assert receiver.receive()[4:] == [payload]
    assert CHECKING not in router.log


def test_what_its_sender_sent_behind_it_waits(router: RouterProcess, transport: str) -> None:
    args = [dict.fromkeys(colliding_pairs(900))]
    with joined(router, transport, "msgpack") as sender:
        sender.send_bytes(publish("msgpack", args=args))
        sender.send([48, 2, {}, "wamp.session.count"])
        sender.send_bytes(publish("msgpack", 3, args=args))

        assert [sender.receive()[:2] for _ in range(3)] == [[17, 1], [50, 2], [17, 3]]
