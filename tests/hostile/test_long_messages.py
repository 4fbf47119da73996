"""Long messages while the process that looks through them is busy, or dies: nobody else may notice.

That process is stopped where a test needs it to be busy for as long as the test likes.
"""

from __future__ import annotations

import os
import re
import select
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conformance.waiting import TIMEOUT
from tests.hostile.process import RouterProcess
from tests.hostile.wire import HELLO, TEXT, Client, encode, frame

MIB = 1024 * 1024
LONGEST = 16 * MIB - 1
TOPIC = "com.long"
OTHER_CALLS = 100
MOST_MEMORY = 200 * MIB
"""Bytes of memory that the router may take: one message that comes in, is kept for others, and goes out."""


def hostile(serializer: str, request: int = 1) -> bytes:
    """A PUBLISH of 16 MiB that takes as long as can be to look through: nothing but empty lists."""
    if serializer == "json":
        head, tail = b'[16,%d,{},"com.long",[' % request, b"0]]"
        return head + b"[]," * ((LONGEST - len(head) - len(tail)) // 3) + tail
    # In both, an array with a length of four bytes, and empty arrays of a byte each.
    head = encode(serializer, [16, request, {}, TOPIC, []])[:-1]
    count = LONGEST - len(head) - 5
    begin, item = (b"\xdd", b"\x90") if serializer == "msgpack" else (b"\x9a", b"\x80")
    return head + begin + count.to_bytes(4, "big") + item * count


def long(serializer: str, request: int, text: str = "long") -> bytes:
    """A harmless PUBLISH that is long all the same, to be acknowledged."""
    return encode(serializer, [16, request, {"acknowledge": True}, TOPIC, [text, "x" * 300_000]])


@pytest.fixture(params=["uvloop", "asyncio"])
def router(request: pytest.FixtureRequest) -> Iterator[RouterProcess]:
    """A router for one test, which must be there at the end."""
    with RouterProcess("--port", "0", loop=request.param) as router:
        yield router
        assert router.is_alive(), router.log


@pytest.fixture(params=["websocket", "rawsocket"])
def transport(request: pytest.FixtureRequest) -> str:
    """How clients come."""
    return str(request.param)


class Checking:
    """The process that looks through long messages, or another one of that kind."""

    def __init__(self, router: RouterProcess, name: str = "checking") -> None:
        self._router = router
        self._name = name

    @property
    def pids(self) -> list[int]:
        """All that there have been."""
        return [int(pid) for pid in re.findall(rf"{self._name} process (\d+) started", self._router.log)]

    def stop(self) -> None:
        """Let it do nothing for now."""
        self._router.wait_for_log(f"{self._name} process")
        os.kill(self.pids[-1], signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it do its work."""
        os.kill(self.pids[-1], signal.SIGCONT)

    def kill(self) -> None:
        """End it, as the system does when memory is short, and wait for that."""
        self._router.wait_for_log(f"{self._name} process")
        descriptor = os.pidfd_open(self.pids[-1])
        os.kill(self.pids[-1], signal.SIGKILL)
        assert select.select([descriptor], [], [], TIMEOUT)[0]
        os.close(descriptor)


def joined(router: RouterProcess, transport: str, serializer: str = "json") -> Client:
    client = Client(router.port, transport, serializer)
    client.join()
    return client


def subscribed(router: RouterProcess, transport: str, serializer: str = "json") -> Client:
    client = joined(router, transport, serializer)
    client.send([32, 1, {}, TOPIC])
    assert client.receive()[0] == 33
    return client


def warm_up(router: RouterProcess, transport: str) -> Checking:
    """Have a process started."""
    with joined(router, transport) as client:
        client.send_bytes(long("json", 1))
        assert client.receive()[0] == 17
    return Checking(router)


def call_many(client: Client, first: int = 1) -> None:
    """Calls that must all be answered, one after the other: by then the router has read what others had sent before."""
    for request in range(first, first + OTHER_CALLS):
        client.send([48, request, {}, "wamp.session.count"])
        assert client.receive()[:2] == [50, request]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
def test_the_worst_message_is_accepted_and_costs_the_router_no_memory(
    router: RouterProcess, transport: str, serializer: str
) -> None:
    with joined(router, transport, serializer) as client, joined(router, transport) as other:
        client.send_bytes(hostile(serializer))

        call_many(other)
        client.send([48, 2, {}, "wamp.session.count"])
        assert client.receive()[:2] == [50, 2]
        assert router.rss() < MOST_MEMORY


def test_others_are_served_while_a_message_is_looked_through(router: RouterProcess, transport: str) -> None:
    checking = warm_up(router, transport)
    with joined(router, transport) as client, joined(router, transport) as other, subscribed(router, transport) as one:
        checking.stop()
        client.send_bytes(long("json", 1))
        client.send([48, 2, {}, "wamp.session.count"])

        call_many(other)
        other.send([16, OTHER_CALLS + 1, {}, TOPIC, ["short"]])

        assert one.receive()[4] == ["short"]
        checking.go_on()
        assert [client.receive()[:2][0] for _ in range(2)] == [17, 50]
        assert one.receive()[4][0] == "long"


def test_what_its_sender_sent_behind_it_waits(router: RouterProcess, transport: str) -> None:
    checking = warm_up(router, transport)
    with joined(router, transport) as client, joined(router, transport) as other, subscribed(router, transport) as one:
        checking.stop()
        short = [encode("json", [16, request, {}, TOPIC, [request]]) for request in range(2, 500)]
        client.line.send(client.framed(long("json", 1)), *map(client.framed, short))
        call_many(other)
        other.send([16, OTHER_CALLS + 1, {}, TOPIC, ["of another"]])
        assert one.receive()[4] == ["of another"]

        checking.go_on()

        assert one.receive()[4][0] == "long"
        assert [one.receive()[4] for _ in short] == [[request] for request in range(2, 500)]


def test_a_process_that_is_killed_costs_only_the_sender_its_session(router: RouterProcess, transport: str) -> None:
    checking = warm_up(router, transport)
    with joined(router, transport) as client, subscribed(router, transport) as other:
        checking.stop()
        client.send_bytes(long("json", 1))
        call_many(other, first=2)

        checking.kill()

        abort = client.receive()
        assert (abort[0], abort[2]) == (3, "wamp.error.runtime_error")
        assert "the process that looked through it is gone" in abort[1]["message"]
        with joined(router, transport) as next_one:
            next_one.send_bytes(long("json", 1, "next"))
            assert next_one.receive()[0] == 17
        assert other.receive()[4][0] == "next"
        assert len(set(checking.pids)) == 2


def test_a_process_that_is_killed_while_it_waits_is_replaced(router: RouterProcess, transport: str) -> None:
    checking = warm_up(router, transport)

    checking.kill()

    with joined(router, transport) as client:
        client.send_bytes(long("json", 1))
        assert client.receive()[0] == 17


def test_senders_that_go_leave_nothing_behind(router: RouterProcess, transport: str) -> None:
    checking = warm_up(router, transport)
    with joined(router, transport) as other, joined(router, transport) as watcher:
        watcher.send([32, 1, {}, "wamp.session.on_leave"])
        assert watcher.receive()[0] == 33
        checking.stop()
        for _ in range(5):
            with joined(router, transport) as client:
                client.send_bytes(hostile("json"))
        call_many(other)

        with joined(router, transport) as client:
            client.send_bytes(long("json", 1))
            checking.go_on()
            assert client.receive()[0] == 17
        assert [watcher.receive()[0] for _ in range(6)] == [36] * 6


def test_a_session_is_resumed_while_its_message_is_looked_through(router: RouterProcess, transport: str) -> None:
    checking = warm_up(router, transport)
    with subscribed(router, transport) as one:
        client = Client(router.port, transport, "json")
        client.send([1, "realm1", {**HELLO[2], "resumable": True}])
        welcome = client.receive()
        checking.stop()
        client.send([16, 1, {"acknowledge": True}, TOPIC, ["before"]])
        assert client.receive()[0] == 17
        client.line.send(client.framed(long("json", 2)), client.framed(encode("json", [16, 3, {}, TOPIC, ["behind"]])))
        assert one.receive()[4] == ["before"]
        call_many(one, first=2)

        # The long message has not been received as long as it is not known to be one: it is sent again.
        with Client(router.port, transport, "json") as again:
            details = {"resume-session": welcome[1], "resume-token": welcome[2]["resume-token"], "received": 1}
            again.send([1, "realm1", {**HELLO[2], **details}])
            resumed = again.receive()
            assert resumed[2]["received"] == 1
            client.line.close()
            again.send_bytes(long("json", 2))
            again.send([16, 3, {}, TOPIC, ["behind"]])
            again.send([16, 4, {}, TOPIC, ["last"]])
            checking.go_on()

            assert [one.receive()[4][0] for _ in range(3)] == ["long", "behind", "last"]


def test_a_session_is_resumed_while_what_it_gets_is_translated(router: RouterProcess, transport: str) -> None:
    translating = Checking(router, "translating")
    with subscribed(router, transport, "cbor") as first, joined(router, transport) as publisher:
        publisher.send_bytes(long("json", 1))
        assert publisher.receive()[0] == 17
        assert first.receive()[4][0] == "long"
        client = Client(router.port, transport, "msgpack")
        client.send([1, "realm1", {**HELLO[2], "resumable": True}])
        welcome = client.receive()
        client.send([32, 1, {}, TOPIC])
        assert client.receive()[0] == 33
        translating.stop()
        for message in (long("json", 2), encode("json", [16, 3, {"acknowledge": True}, TOPIC, ["short"]])):
            publisher.send_bytes(message)
            assert publisher.receive()[0] == 17
        client.line.close()

        with Client(router.port, transport, "msgpack") as again:
            details = {"resume-session": welcome[1], "resume-token": welcome[2]["resume-token"], "received": 1}
            again.send([1, "realm1", {**HELLO[2], **details}])
            assert again.receive()[2]["resumed"] is True
            publisher.send([16, 4, {"acknowledge": True}, TOPIC, ["after"]])
            assert publisher.receive()[0] == 17
            translating.go_on()

            events = []
            while len(events) < 3:
                message = again.receive()
                if message[0] == 36:
                    events.append(message[4][0])
            assert events == ["long", "short", "after"]
            assert [first.receive()[4][0] for _ in range(3)] == ["long", "short", "after"]


def test_a_translating_process_that_is_killed_costs_one_message_for_those_receivers(
    router: RouterProcess, transport: str
) -> None:
    translating = Checking(router, "translating")
    with (
        subscribed(router, transport, "msgpack") as other,
        subscribed(router, transport, "json") as same,
        joined(router, transport) as publisher,
    ):
        publisher.send_bytes(long("json", 1, "first"))
        assert publisher.receive()[0] == 17
        assert other.receive()[4][0] == same.receive()[4][0] == "first"
        translating.stop()
        publisher.send_bytes(long("json", 2, "lost"))
        publisher.send([16, 3, {}, TOPIC, ["short"]])
        assert [same.receive()[4][0] for _ in range(2)] == ["lost", "short"]

        translating.kill()

        assert other.receive()[4] == ["short"]
        publisher.send_bytes(long("json", 4, "next"))
        assert [publisher.receive()[:2] for _ in range(2)] == [[17, 2], [17, 4]]
        assert other.receive()[4][0] == "next"


def test_goodbye_and_abort_do_not_wait_for_what_is_not_translated_in_time(transport: str) -> None:
    with (
        RouterProcess("--port", "0") as router,
        subscribed(router, transport, "msgpack") as member,
        subscribed(router, transport, "cbor") as violator,
        joined(router, transport) as publisher,
    ):
        translating = Checking(router, "translating")
        publisher.send_bytes(long("json", 1, "first"))
        assert member.receive()[4][0] == violator.receive()[4][0] == "first"
        translating.stop()
        publisher.send_bytes(long("json", 2, "lost"))
        publisher.send([16, 3, {"acknowledge": True}, TOPIC, ["behind"]])
        assert [publisher.receive()[:2] for _ in range(3)] == [[17, 1], [17, 2], [17, 3]]

        violator.send(HELLO)
        assert violator.receive()[4] == ["behind"]
        violator.expect_abort()
        router.signal(signal.SIGTERM)
        assert member.receive()[4] == ["behind"]
        assert member.receive()[2] == "wamp.close.system_shutdown"
        assert router.wait() == 0


def test_those_who_send_more_than_can_be_translated_are_not_read(router: RouterProcess, transport: str) -> None:
    translating = Checking(router, "translating")
    with subscribed(router, transport, "msgpack") as slow, joined(router, transport) as publisher:
        publisher.send_bytes(long("json", 1))
        assert publisher.receive()[0] == 17
        assert slow.receive()[4][0] == "long"
        translating.stop()
        count = 600  # 39 MB: more than may wait, and than sockets take
        messages = [encode("json", [16, 2 + number, {}, TOPIC, [number, "x" * 65_000]]) for number in range(count)]
        sender = threading.Thread(target=lambda: [publisher.send_bytes(message) for message in messages])
        sender.start()
        with joined(router, transport) as other:
            call_many(other)
        translating.go_on()
        assert [slow.receive()[4][0] for _ in messages] == list(range(count))
        sender.join()
        assert router.rss() < MOST_MEMORY


def test_text_that_is_not_utf_8_fails_a_websocket_wherever_it_is_found(router: RouterProcess) -> None:
    for size in (10, 100_000, 1_000_000):
        with joined(router, "websocket") as client:
            text = b'[16,1,{},"com.long",["' + b"x" * size + b'\xff"]]'
            client.line.send(frame(TEXT, text))
            client.line.expect_close(1007)


def test_a_session_that_has_none_sends_nothing_long(router: RouterProcess, transport: str) -> None:
    with Client(router.port, transport, "msgpack") as client:
        client.send_bytes(hostile("msgpack"))
        abort: list[Any] = client.receive()
        assert (abort[0], abort[2]) == (3, "wamp.error.protocol_violation")
    assert Checking(router).pids == []
