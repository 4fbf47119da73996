"""The long-poll transport over real sockets: its four requests, its limits, and how everything ends."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
import httpx
import msgspec
import pytest
from tests.conformance.waiting import TIMEOUT

from rocade.net.link import Link, Receiver
from rocade.net.listener import Listener, bind_tcp, bind_unix
from rocade.router.permissions import Permission, Role
from rocade.serve.authentication import Anonymous
from rocade.serve.gateway import Gateway
from rocade.serve.web import longpoll, longpoll_link
from rocade.serve.web.longpoll import LongPoll, LongPollOptions
from rocade.serve.web.longpoll_link import LongPollLink
from rocade.serve.web.site import build_site
from rocade.wamp.batching import batch, unbatch
from rocade.wamp.messages import Match

Run = Callable[[Coroutine[Any, Any, None]], None]

DUMP = {"json": lambda value: json.dumps(value).encode(), "msgpack": msgspec.msgpack.encode, "cbor": cbor2.dumps}
LOAD = {"json": json.loads, "msgpack": msgspec.msgpack.decode, "cbor": cbor2.loads}
PROTOCOLS = [f"wamp.2.{name}{suffix}" for name in DUMP for suffix in ("", ".batched")]
ROLES = {role: {} for role in ("publisher", "subscriber", "caller", "callee")}


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine on a new event loop, for ten seconds at most; fails on errors that only the loop saw."""
    factory = pytest.importorskip("uvloop").new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    problems: list[dict[str, Any]] = []

    async def limited(main: Coroutine[Any, Any, None]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
        async with asyncio.timeout(TIMEOUT):
            await main

    with asyncio.Runner(loop_factory=factory) as runner:
        yield lambda main: runner.run(limited(main))
    assert not problems


class Recorder:
    """A receiver that remembers what happened."""

    def __init__(self, link: Link) -> None:
        assert isinstance(link, LongPollLink)
        self.link = link
        self.messages: list[bytes] = []
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def message_received(self, data: bytes) -> None:
        assert not self.lost.done()
        self.messages.append(data)

    def writing_paused(self) -> None:
        raise AssertionError("a long-poll link has a bound of its own")

    def writing_resumed(self) -> None:
        raise AssertionError("a long-poll link has a bound of its own")

    def link_lost(self, reason: str) -> None:
        self.lost.set_result(reason)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something has happened inside the router that it tells nobody of."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


@dataclass
class Server:
    """A running listener with the service at /lp."""

    listener: Listener
    address: Any
    http: httpx.AsyncClient
    receivers: list[Recorder] = field(default_factory=list)

    async def post(self, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
        """The response to POST below /lp; header names have "_" for "-"."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(f"/lp/{path}", content=content, headers=named)

    async def open(self, *protocols: str) -> tuple[str, Recorder]:
        """A new connection: the beginning of its paths, and its receiver."""
        body = {"protocols": protocols or ["wamp.2.json"]}
        response = await self.post("open", json.dumps(body).encode())
        assert response.status_code == 200, response.text
        return response.json()["transport"], self.receivers[-1] if self.receivers else None  # type: ignore[return-value]

    async def polling(self, id: str) -> asyncio.Task[httpx.Response]:
        """A request for messages that waits at the router."""
        before = self.waiting
        task = asyncio.create_task(self.post(f"{id}/receive"))
        await until(lambda: self.waiting > before or task.done())
        return task

    @property
    def waiting(self) -> int:
        """How many requests have begun to wait for messages."""
        return sum(receiver.link._polls for receiver in self.receivers)


@asynccontextmanager
async def serving(
    *, connected: Callable[[Link], Receiver] | None = None, path: Path | None = None, **options: Any
) -> AsyncIterator[Server]:
    """A listener on a free port of the loopback, or on a Unix socket at `path`."""
    receivers: list[Recorder] = []

    def recorded(link: Link) -> Recorder:
        receivers.append(Recorder(link))
        return receivers[-1]

    service = LongPoll(LongPollOptions(**{"order_patience": 0.1, **options}), connected or recorded)
    listener = Listener(build_site({"/lp": service}), websockets={}, shutdown_timeout=2.0)
    sock = bind_tcp("127.0.0.1", 0) if path is None else bind_unix(str(path))
    address = sock.getsockname()
    await listener.start(sock)
    transport = httpx.AsyncHTTPTransport(uds=str(path)) if path else None
    url = "http://localhost" if path else f"http://127.0.0.1:{address[1]}"
    try:
        async with httpx.AsyncClient(base_url=url, transport=transport, timeout=8, trust_env=False) as http:
            yield Server(listener, address, http, receivers)
    finally:
        await listener.stop()


def status(response: httpx.Response) -> tuple[int, bytes]:
    return response.status_code, response.content


# --- sessions --------------------------------------------------------------------------------------


class Peer:
    """A WAMP client in one protocol."""

    def __init__(self, server: Server, id: str, protocol: str) -> None:
        self._server = server
        self._id = id
        name, _, suffix = protocol.removeprefix("wamp.2.").partition(".")
        self._dump, self._load = DUMP[name], LOAD[name]
        self._is_binary = name != "json"
        self._is_batched = bool(suffix)
        self._arrived: list[Any] = []

    async def send(self, *message: Any) -> None:
        body = self._dump(list(message))
        if self._is_batched:
            body = batch([body], is_binary=self._is_binary)
        assert status(await self._server.post(f"{self._id}/send", body)) == (204, b"")

    async def receive(self) -> Any:
        while not self._arrived:
            response = await self._server.post(f"{self._id}/receive")
            assert response.status_code == 200, response.text
            bodies = unbatch(response.content, is_binary=self._is_binary) if self._is_batched else [response.content]
            self._arrived += map(self._load, bodies)
        return self._arrived.pop(0)


def gateway() -> Gateway:
    """A gateway with one realm, in which everybody may do everything."""
    gateway = Gateway()
    everything = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
    gateway.add_realm("realm1", [Role("anonymous", [everything])])
    return gateway


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_session_from_hello_to_goodbye(run: Run, protocol: str) -> None:
    async def main() -> None:
        router = gateway()
        async with serving(connected=router.entrance({"anonymous": Anonymous("anonymous")})) as server:
            id, _ = await server.open(protocol)
            peer = Peer(server, id, protocol)

            await peer.send(1, "realm1", {"roles": ROLES})
            assert (await peer.receive())[0] == 2
            await peer.send(32, 1, {}, "com.example.topic")
            assert (await peer.receive())[:2] == [33, 1]
            await peer.send(16, 2, {"acknowledge": True, "exclude_me": False}, "com.example.topic", ["hällo"])
            answers = [await peer.receive(), await peer.receive()]
            assert {answer[0] for answer in answers} == {17, 36}
            assert next(answer for answer in answers if answer[0] == 36)[4] == ["hällo"]
            await peer.send(6, {}, "wamp.close.close_realm")
            assert await peer.receive() == [6, {}, "wamp.close.goodbye_and_out"]
            assert (await server.post(f"{id}/close")).status_code == 204

            assert not router.connections

    run(main())


def test_a_door_without_a_key_refuses(run: Run) -> None:
    async def main() -> None:
        async with serving(connected=gateway().entrance({})) as server:
            id, _ = await server.open()
            peer = Peer(server, id, "wamp.2.json")

            await peer.send(1, "realm1", {"roles": ROLES})

            assert (await peer.receive())[0] == 3
            assert (await server.post(f"{id}/receive")).status_code == 410

    run(main())


def test_requests_that_overtake_each_other_are_put_into_order(run: Run) -> None:
    async def main() -> None:
        async with serving(connected=gateway().entrance({"anonymous": Anonymous("anonymous")})) as server:
            id, _ = await server.open()
            peer = Peer(server, id, "wamp.2.json")
            await peer.send(1, "realm1", {"roles": ROLES})
            await peer.receive()

            for request in (3, 2, 1):
                await peer.send(32, request, {}, f"com.example.topic{request}")

            assert [(await peer.receive())[:2] for _ in range(3)] == [[33, 1], [33, 2], [33, 3]]

    run(main())


# --- open ------------------------------------------------------------------------------------------


def test_open_answers_with_a_secret_id_and_the_first_protocol_in_common(run: Run) -> None:
    async def main() -> None:
        async with serving(serializers=("msgpack", "json")) as server:
            body = b'{"protocols": ["wamp.3.json", "wamp.2.cbor", "wamp.2.json", "wamp.2.msgpack"], "more": 1}'
            response = await server.post("open?x=382913", body)
            another = await server.post("open", body)

            assert response.headers["content-type"] == "application/json"
            assert response.headers["cache-control"] == "no-store"
            assert set(response.json()) == {"protocol", "transport"}
            assert response.json()["protocol"] == "wamp.2.json"
            assert len(response.json()["transport"]) >= 24
            assert response.json()["transport"] != another.json()["transport"]
            info = server.receivers[0].link.info
            assert (info.transport, info.path, info.subprotocol) == ("longpoll", "/lp/open", "wamp.2.json")
            assert info.peer.startswith("tcp4:127.0.0.1:")
            assert info.headers["host"].startswith("127.0.0.1")

    run(main())


def test_a_unix_socket_does_as_well(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "lp.sock"
        async with serving(path=path) as server:
            id, receiver = await server.open()
            receiver.link.write([b"[1]"])

            assert status(await server.post(f"{id}/receive")) == (200, b"[1]")
            assert receiver.link.info.peer == f"unix:{path}"

    run(main())


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "must be JSON"),
        (b"{", "must be JSON"),
        (b"[" * 5000, "must be JSON"),
        (b'"wamp.2.json"', "must be JSON"),
        (b"{}", "protocols"),
        (b'{"protocols": "wamp.2.json"}', "protocols"),
        (b'{"protocols": [2]}', "protocols"),
        (b'{"protocols": []}', "wamp.2.json, wamp.2.json.batched"),
        (b'{"protocols": ["wamp.2.flatbuffers"]}', "wamp.2.json, wamp.2.json.batched"),
    ],
)
def test_open_says_what_is_wrong(run: Run, body: bytes, complaint: str) -> None:
    async def main() -> None:
        async with serving() as server:
            response = await server.post("open", body)

            assert response.status_code == 400
            assert response.headers["content-type"].startswith("text/plain")
            assert complaint in response.text
            assert not server.receivers

    run(main())


def test_there_is_room_for_only_so_many_connections(run: Run) -> None:
    async def main() -> None:
        async with serving(max_connections=2) as server:
            await server.open()
            await server.open()

            assert (await server.post("open", b'{"protocols": ["wamp.2.json"]}')).status_code == 503

    run(main())


# --- receive ---------------------------------------------------------------------------------------


def test_without_batches_a_request_gets_one_message(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            receiver.link.write([b"[1]", b"[2]"])
            receiver.link.write([b"[3]"])

            responses = [await server.post(f"{id}/receive") for _ in range(3)]

            assert [response.content for response in responses] == [b"[1]", b"[2]", b"[3]"]
            assert {response.headers["content-type"] for response in responses} == {"application/json; charset=utf-8"}

    run(main())


@pytest.mark.parametrize("separator", [b"\x1e", b"\x18"])
def test_with_batches_a_request_gets_all_messages_with_the_separator_of_the_client(run: Run, separator: bytes) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open("wamp.2.json.batched")
            await server.post(f"{id}/send", separator.join([b"[7]", b"[8]", b""]))
            receiver.link.write([b"[1]", b"[2]"])

            response = await server.post(f"{id}/receive")

            assert receiver.messages == [b"[7]", b"[8]"]
            assert response.content == separator.join([b"[1]", b"[2]", b""])

    run(main())


def test_a_batch_has_its_bounds(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longpoll_link, "BATCH_BYTES", 5)

    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open("wamp.2.msgpack.batched")
            receiver.link.write([b"abc", b"def", b"ghi"])

            responses = [await server.post(f"{id}/receive") for _ in range(2)]

            assert [response.content[4:] for response in responses] == [b"abc\0\0\0\x03def", b"ghi"]

    run(main())


def test_a_request_waits_for_messages(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            waiting = await server.polling(id)

            receiver.link.write([b"[1]", b"[2]"])

            assert status(await waiting) == (200, b"[1]")
            assert status(await server.post(f"{id}/receive")) == (200, b"[2]")

    run(main())


def test_a_request_without_messages_ends_after_a_while(run: Run) -> None:
    async def main() -> None:
        async with serving(request_timeout=0.05) as server:
            id, _ = await server.open()

            assert status(await server.post(f"{id}/receive")) == (204, b"")
            assert status(await server.post(f"{id}/receive")) == (204, b"")

    run(main())


def test_a_large_message_arrives_whole(run: Run) -> None:
    async def main() -> None:
        async with serving(max_queue_bytes=1000) as server:
            id, receiver = await server.open()
            message = b'"' + b"x" * 3_000_000 + b'"'
            receiver.link.write([message])

            response = await server.post(f"{id}/receive")

            assert response.content == message
            assert response.headers["content-length"] == str(len(message))

    run(main())


def test_a_new_request_takes_over_from_one_that_waits(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            first = await server.polling(id)
            second = await server.polling(id)
            receiver.link.write([b"[1]"])

            assert (await first).status_code == 409
            assert status(await second) == (200, b"[1]")

    run(main())


def test_a_request_that_its_client_gives_up_gets_no_message(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            waiting = await server.polling(id)
            waiting.cancel()
            await asyncio.wait([waiting])
            await until(lambda: not receiver.link.requests)

            receiver.link.write([b"[1]"])

            assert status(await server.post(f"{id}/receive")) == (200, b"[1]")

    run(main())


def test_one_connection_serves_many_requests(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            for _ in range(5):
                await server.post(f"{id}/send", b"[1]")
                receiver.link.write([b"[2]"])
                assert (await server.post(f"{id}/receive")).content == b"[2]"

            assert server.listener.connections == 1

    run(main())


# --- send ------------------------------------------------------------------------------------------


def test_the_body_of_send_is_a_message(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()

            assert status(await server.post(f"{id}/send", b"[1]")) == (204, b"")
            assert status(await server.post(f"{id}/send?x=2", b"[2]")) == (204, b"")

            assert receiver.messages == [b"[1]", b"[2]"]

    run(main())


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        ("wamp.2.json.batched", b""),
        ("wamp.2.json.batched", b"[1]"),
        ("wamp.2.msgpack.batched", b""),
        ("wamp.2.cbor.batched", b"\0\0\0\x09x"),
    ],
)
def test_what_is_no_batch_fails_the_connection(run: Run, protocol: str, body: bytes) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open(protocol)
            waiting = await server.polling(id)

            response = await server.post(f"{id}/send", body)

            assert response.status_code == 400
            assert "batch" in response.text
            assert await receiver.lost == "aborted"
            assert (await waiting).status_code == 410
            assert (await server.post(f"{id}/send", b"[1]")).status_code == 410
            assert not receiver.messages

    run(main())


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    """A body without a declared length."""
    for part in parts:
        yield part
        await asyncio.sleep(0.01)


def test_a_body_that_is_too_long_is_refused_before_it_is_there(run: Run) -> None:
    async def main() -> None:
        async with serving(max_message_bytes=100) as server:
            id, receiver = await server.open()
            declared = await server.post(f"{id}/send", b"x" * 101)
            streamed = await server.http.post(f"/lp/{id}/send", content=pieces(b"x" * 60, b"x" * 60, b"x" * 60))
            fitting = await server.http.post(f"/lp/{id}/send", content=pieces(b"x" * 60, b"x" * 40))

            assert (declared.status_code, streamed.status_code, fitting.status_code) == (413, 413, 204)
            assert "100 bytes" in declared.text
            assert receiver.messages == [b"x" * 100]

    run(main())


def test_a_body_that_does_not_come_is_not_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            reader, writer = await asyncio.open_connection(*server.address)
            with monkeypatch.context() as impatient:
                impatient.setattr(longpoll, "BODY_TIMEOUT", 0.05)
                head = f"POST /lp/{id}/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
                writer.write(head.encode() + b"[1")

                assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
            assert (await server.post(f"{id}/send", b"[2]")).status_code == 204
            assert receiver.messages == [b"[2]"]
            writer.close()

    run(main())


def test_half_a_message_of_a_client_that_vanishes_is_no_message(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            _, writer = await asyncio.open_connection(*server.address)
            writer.write(f"POST /lp/{id}/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n[1".encode())
            await until(lambda: receiver.link.requests == 1)
            writer.transport.abort()

            assert (await server.post(f"{id}/send", b"[2]")).status_code == 204
            assert receiver.messages == [b"[2]"]

    run(main())


def test_a_client_that_sends_too_fast_has_to_wait(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open("wamp.2.json.batched")
            receiver.link.pause_reading()
            sends = [asyncio.create_task(server.post(f"{id}/send", b"[%d]\x1e" % number)) for number in range(3)]
            await until(lambda: receiver.link.requests == 3)
            assert not receiver.messages

            receiver.link.resume_reading()

            assert [(await send).status_code for send in sends] == [204, 204, 204]
            assert sorted(receiver.messages) == [b"[0]", b"[1]", b"[2]"]

    run(main())


def test_the_end_of_a_connection_ends_the_waiting_of_its_client(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            receiver.link.pause_reading()
            send = asyncio.create_task(server.post(f"{id}/send", b"[1]"))
            await until(lambda: receiver.link.requests == 1)

            receiver.link.abort()

            assert (await send).status_code == 410

    run(main())


def test_a_fault_of_ours_ends_the_connection(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            receiver.message_received = lambda data: 1 / 0  # type: ignore[method-assign, assignment, return-value]

            response = await server.post(f"{id}/send", b"[1]")

            assert (response.status_code, response.text) == (500, "The router failed on this message.\n")
            assert await receiver.lost == "aborted"
            assert "ZeroDivisionError" in caplog.text

    run(main())


# --- the end ---------------------------------------------------------------------------------------


def test_close_ends_everything_and_answers_who_waits(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            waiting = await server.polling(id)

            assert status(await server.post(f"{id}/close")) == (204, b"")

            # autobahn-js takes anything but success for a connection that was lost.
            assert status(await waiting) == (204, b"")
            assert receiver.lost.result() == "closed by peer"
            # What the client sent before may come behind it.
            assert status(await server.post(f"{id}/send", b"[1]")) == (204, b"")
            assert status(await server.post(f"{id}/close")) == (204, b"")
            assert not receiver.messages

    run(main())


def test_when_the_router_closes_the_client_still_gets_what_waits(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            receiver.link.write([b"[1]", b"[2]"])
            receiver.link.close()
            receiver.link.write([b"[3]"])

            assert status(await server.post(f"{id}/send", b"[9]")) == (204, b"")
            assert [(await server.post(f"{id}/receive")).content for _ in range(2)] == [b"[1]", b"[2]"]
            assert not receiver.lost.done()
            end = await server.post(f"{id}/receive")

            assert (end.status_code, end.text) == (410, "The router has closed this transport.\n")
            assert receiver.lost.result() == "closed"
            assert not receiver.messages
            assert (await server.post(f"{id}/close")).status_code == 204

    run(main())


def test_when_the_router_closes_the_one_who_waits_learns_it(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()
            waiting = await server.polling(id)

            receiver.link.close(failure=True)

            assert (await waiting).status_code == 410
            assert receiver.lost.result() == "protocol error"

    run(main())


def test_a_client_that_does_not_come_for_the_rest_is_not_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longpoll, "CLOSE_TIMEOUT", 0.05)
    monkeypatch.setattr(longpoll, "SWEEP_INTERVAL", 0.02)

    async def main() -> None:
        async with serving() as server:
            _, receiver = await server.open()
            receiver.link.write([b"[1]"])
            receiver.link.close()

            assert await receiver.lost == "no orderly close in time"

    run(main())


def test_a_client_that_does_not_come_back_is_gone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longpoll, "REMEMBERED", TIMEOUT)

    async def main() -> None:
        async with serving(session_timeout=0.6, request_timeout=1.0) as server:
            id, receiver = await server.open()
            # A request that waits is a sign of life.
            assert (await server.post(f"{id}/receive")).status_code == 204

            assert await receiver.lost == "no request within 0.6 s"
            assert (await server.post(f"{id}/receive")).status_code == 410
            monkeypatch.setattr(longpoll, "REMEMBERED", 0.0)
            while (answer := (await server.post(f"{id}/receive")).status_code) == 410:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert answer == 404

    run(main())


@pytest.mark.parametrize(
    ("limits", "waiting"),
    [({"max_queue_messages": 3}, "4 messages (400 bytes)"), ({"max_queue_bytes": 700}, "5 messages (500 bytes)")],
    ids=repr,
)
def test_a_slow_consumer_is_disconnected(
    run: Run, limits: dict[str, int], waiting: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(**limits) as server:
            id, receiver = await server.open()
            for _ in range(3):
                receiver.link.write([b"x" * 100])
            await asyncio.sleep(0)
            assert not receiver.lost.done()

            for _ in range(2):
                receiver.link.write([b"x" * 100])
            assert not receiver.lost.done(), "a receiver is never called from inside write"

            assert await receiver.lost == "aborted"
            assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
                f"disconnected {receiver.link.info.peer}: a slow consumer, with {waiting} waiting to be fetched"
            ]
            assert (await server.post(f"{id}/receive")).status_code == 410

    run(main())


def test_a_router_that_stops_does_not_wait_for_those_who_wait(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        router = gateway()
        async with serving(connected=router.entrance({"anonymous": Anonymous("anonymous")})) as server:
            id, _ = await server.open()
            peer = Peer(server, id, "wamp.2.json")
            await peer.send(1, "realm1", {"roles": ROLES})
            await peer.receive()
            without_session, _ = await server.open()
            polls = [asyncio.create_task(server.post(f"{id}/receive")) for id in (id, without_session)]
            await until(lambda: all(connection.link.requests for connection in router.connections))

            shutdown = asyncio.create_task(router.shutdown(0.2))
            goodbye = await polls[0]
            end = await server.post(f"{id}/receive")
            await shutdown
            await server.listener.stop()

            assert goodbye.json()[0] == 6
            assert end.status_code == 410
            assert (await polls[1]).status_code == 410

    run(main())
    assert "aborting" not in caplog.text


# --- what else HTTP is -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/lp", 404),
        ("GET", "/lp/", 404),
        ("POST", "/lp/nonsense", 404),
        ("POST", "/lp/open/receive", 404),
        ("POST", "/lp/unknown/receive", 404),
        ("POST", "/lp/unknown/send", 404),
        ("POST", "/lp/unknown/close", 404),
        ("POST", "/lp/unknown/dance", 404),
        ("POST", "/lp/a/b/receive", 404),
        ("GET", "/lp/open", 405),
        ("PUT", "/lp/unknown/send", 405),
    ],
)
def test_other_requests_are_refused_in_plain_text(run: Run, method: str, path: str, expected: int) -> None:
    async def main() -> None:
        async with serving() as server:
            response = await server.http.request(method, path)

            assert response.status_code == expected
            assert response.headers["content-type"].startswith("text/plain")
            assert response.text.strip()

    run(main())


def test_compressed_bodies_are_refused(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            id, receiver = await server.open()

            assert (await server.post(f"{id}/send", b"[1]", content_encoding="gzip")).status_code == 415
            assert not receiver.messages

    run(main())


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("http://localhost:3000", True),
        ("http://127.0.0.1", True),
        ("https://app.example.com", True),
        ("https://example.com", False),
        ("https://app.example.com.evil.example", False),
        ("null", False),
    ],
)
def test_only_pages_of_known_origins_may_come(run: Run, origin: str, passes: bool) -> None:
    async def main() -> None:
        async with serving(allowed_origins=("https://*.example.com",)) as server:
            preflight = await server.http.options(
                "/lp/open",
                headers={
                    "origin": origin,
                    "access-control-request-method": "POST",
                    "access-control-request-headers": "content-type",
                },
            )
            response = await server.post("open", b'{"protocols": ["wamp.2.json"]}', origin=origin)

            assert (preflight.status_code, response.status_code) == ((204, 200) if passes else (403, 403))
            assert bool(server.receivers) is passes
            for answer in (preflight, response):
                assert answer.headers.get("access-control-allow-origin") == (origin if passes else None)
                assert answer.headers.get("access-control-allow-credentials") == ("true" if passes else None)
            if passes:
                assert preflight.headers["access-control-allow-methods"] == "POST"
                assert preflight.headers["access-control-allow-headers"] == "content-type"
                assert response.headers["vary"] == "origin"

    run(main())


def test_errors_too_can_be_read_by_the_page(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            response = await server.post("unknown/receive", origin="http://localhost:3000")

            assert response.status_code == 404
            assert response.headers["access-control-allow-origin"] == "http://localhost:3000"

    run(main())


def test_hosts_can_be_limited(run: Run) -> None:
    async def main() -> None:
        async with serving(allowed_hosts=("127.0.0.1",)) as server:
            assert (await server.post("open", b'{"protocols": ["wamp.2.json"]}')).status_code == 200
            assert (await server.post("open", b"{}", host="evil.example")).status_code == 403

    run(main())


@pytest.mark.parametrize(
    "options",
    [{"serializers": ()}, {"serializers": ("ubjson",)}, {"request_timeout": 0}, {"max_queue_messages": 0}],
    ids=repr,
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        LongPollOptions(**options)
