"""A router that is told to stop says goodbye to everybody, and waits for nobody for long."""

from __future__ import annotations

import itertools
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.conformance.waiting import PATIENCE
from tests.hostile.process import RouterProcess
from tests.hostile.wire import HELLO, Client, Line, encode, upgrade_request

PROMISED_SECONDS = 5 * PATIENCE
"""Within which a router that is told to stop has ended."""

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])

GOODBYE = [6, {"message": "the router is shutting down"}, "wamp.close.system_shutdown"]


def ended(router: RouterProcess) -> bool:
    """Whether it ends in time, in order, and without a complaint."""
    code = router.wait(PROMISED_SECONDS)
    assert code == 0, router.log
    assert "Traceback" not in router.log, router.log
    assert " ERROR " not in router.log, router.log
    return True


@LOOPS
@SIGNALS
def test_sessions_on_every_transport_are_told_goodbye(number: signal.Signals, loop: str, tmp_path: Path) -> None:
    path = str(tmp_path / "router.sock")
    with RouterProcess("--port", "0", "--host", "127.0.0.1", "--unix", path, loop=loop) as router, ExitStack() as stack:
        addresses: tuple[int | str, ...] = (router.port, path)
        clients = [
            stack.enter_context(Client(address, transport, serializer))
            for address in addresses
            for transport, serializer in itertools.product(("websocket", "rawsocket"), ("json", "msgpack", "cbor"))
        ]
        for client in clients:
            client.join()

        router.signal(number)

        for client in clients:
            assert client.receive() == GOODBYE
            client.send([6, {}, "wamp.close.goodbye_and_out"])
            if client.transport == "websocket":
                client.line.expect_close(1000)
            else:
                assert client.line.receive_rest() == b""
            client.line.close()
        assert ended(router)
    assert not Path(path).exists()


@pytest.mark.parametrize(("number", "loop"), [(signal.SIGTERM, "uvloop"), (signal.SIGINT, "asyncio")])
def test_clients_that_do_not_answer_do_not_keep_it(number: signal.Signals, loop: str) -> None:
    with RouterProcess("--port", "0", loop=loop) as router, ExitStack() as stack:
        clients = [
            stack.enter_context(Client(router.port, transport, serializer))
            for transport, serializer in itertools.product(("websocket", "rawsocket"), ("json", "msgpack", "cbor"))
        ]
        for client in clients:
            client.join()

        router.signal(number)

        for client in clients:
            assert client.receive() == GOODBYE
        assert ended(router)


@pytest.mark.slow
@pytest.mark.usefixtures("many_files")
@LOOPS
def test_thousands_of_sessions_are_told_goodbye_in_time(loop: str) -> None:
    kinds = itertools.cycle(itertools.product(("websocket", "rawsocket"), ("json", "msgpack", "cbor")))
    with RouterProcess("--port", "0", loop=loop) as router, ExitStack() as stack:
        clients = [stack.enter_context(Client(router.port, *next(kinds))) for _ in range(2000)]
        for client in clients:
            client.join()

        router.signal(signal.SIGTERM)

        assert ended(router)
        assert [client.receive() for client in clients] == [GOODBYE] * len(clients)


@pytest.mark.parametrize(
    ("transport", "loop"), [("websocket", "uvloop"), ("rawsocket", "uvloop"), ("websocket", "asyncio")]
)
def test_a_client_that_does_not_read_does_not_keep_it(transport: str, loop: str) -> None:
    with (
        RouterProcess("--port", "0", loop=loop) as router,
        Client(router.port, transport, "msgpack") as deaf,
        Client(router.port, transport, "msgpack") as publisher,
    ):
        deaf.join()
        deaf.send([32, 1, {}, "com.example.topic"])
        deaf.receive()
        publisher.join()
        for request in range(1, 41):
            publisher.send([16, request, {"acknowledge": True}, "com.example.topic", [b"x" * 1_000_000]])
            publisher.receive()

        router.signal(signal.SIGTERM)

        assert publisher.receive() == GOODBYE
        assert ended(router)


@LOOPS
def test_connections_without_a_session_do_not_keep_it(loop: str) -> None:
    with RouterProcess("--port", "0", loop=loop) as router, ExitStack() as stack:
        openings = [
            b"",
            b"GET / HT",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            upgrade_request(),
            b"\x7f",
            b"\x7f\xf1\x00\x00",
        ]
        for opening in openings:
            stack.enter_context(Line(router.port)).send(opening)
        # One that is answered: what was sent before it has been read.
        with Client(router.port, "websocket", "json") as client:
            client.join()

        router.signal(signal.SIGTERM)

        assert ended(router)


def test_nobody_joins_a_router_that_is_stopping() -> None:
    with (
        RouterProcess("--port", "0") as router,
        Client(router.port, "rawsocket", "json") as member,
        Client(router.port, "rawsocket", "json") as candidate,
    ):
        member.join()

        router.signal(signal.SIGTERM)
        assert member.receive() == GOODBYE
        candidate.line.flood(candidate.framed(encode("json", HELLO)), 1)

        assert b"[2," not in candidate.line.receive_rest()
        assert ended(router)


def test_a_second_signal_does_no_harm() -> None:
    with RouterProcess("--port", "0") as router, Client(router.port, "rawsocket", "json") as client:
        client.join()

        router.signal(signal.SIGINT)
        assert client.receive() == GOODBYE
        router.signal(signal.SIGINT)
        router.signal(signal.SIGTERM)

        assert ended(router)
