"""Whatever requests a long-poll client makes, it gets a status that is documented, and the router fails nobody."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conformance.waiting import TIMEOUT
from tests.fuzzing import Faults, fuzzing
from tests.net.harness import Client
from tests.wamp.strategies import messages

from rocade.net.listener import Listener, bind_tcp
from rocade.router.permissions import Permission, Role
from rocade.serve.authentication import Anonymous
from rocade.serve.gateway import Gateway
from rocade.serve.web.longpoll import LongPoll, LongPollOptions
from rocade.serve.web.site import build_site
from rocade.wamp.batching import batch
from rocade.wamp.codec import SERIALIZERS, Serializer
from rocade.wamp.messages import ClientRoles, Hello, HelloDetails, Match
from rocade.wamp.messages import Role as ClientRole

EVERYTHING = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
HELLO = Hello("realm1", HelloDetails(roles=ClientRoles(caller=ClientRole(), subscriber=ClientRole())))
MAX_BODY = 4096
STATUSES = {200, 204, 400, 403, 404, 405, 409, 410, 413, 415}


class Request(NamedTuple):
    """One request of a client.

    Attributes:
        method, what: POST below the client's own paths, mostly.
        headers: more than what is needed.
        body: messages or bytes.
        has_own_id: whether it is about the client's transport; otherwise about one that there is not.
        waits: whether the client waits for the response before it goes on.
    """

    method: str
    what: str
    headers: tuple[str, ...]
    body: Any
    has_own_id: bool = True
    waits: bool = True


BODIES = st.one_of(
    st.lists(messages(), min_size=1, max_size=3),
    st.lists(messages(), min_size=1, max_size=1),
    st.just([HELLO]),
    st.binary(max_size=60),
    st.just(b"x" * (MAX_BODY + 1)),
    st.just(b""),
)
HEADERS = st.sampled_from(
    ["Content-Encoding: gzip", "Origin: null", "Origin: http://localhost", "Connection: close", "Content-Type: x/y"]
)
REQUESTS = st.builds(
    Request,
    st.sampled_from(["POST"] * 9 + ["GET", "OPTIONS", "PUT"]),
    st.sampled_from(["send"] * 6 + ["receive"] * 4 + ["close", "open", "", "other", "send/"]),
    st.lists(HEADERS, max_size=1).map(tuple),
    BODIES,
    st.sampled_from([True] * 6 + [False]),
    st.booleans(),
)
OFFERS = st.one_of(
    st.just([]),
    st.lists(st.sampled_from(["wamp.2.json", "wamp.2.cbor.batched", "wamp.2.msgpack", "wamp.2.x"]), max_size=3),
    st.sampled_from([None, {"protocols": 7}, "x" * 20_000, [["wamp.2.json"]]]),
)


class Service:
    """A router with the long-poll service at /lp."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.problems: list[Any] = []
        self.faults = Faults()
        self.gateway = Gateway()
        self.gateway.add_realm("realm1", [Role("anonymous", [EVERYTHING])], sequential_requests=False)
        options = LongPollOptions(request_timeout=0.02, order_patience=0.02, max_message_bytes=MAX_BODY)
        service = LongPoll(options, self.gateway.entrance({"anonymous": Anonymous("anonymous")}))
        self.listener = Listener(build_site({"/lp": service}), websockets={}, shutdown_timeout=1.0)
        self.port = 0

    async def start(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self.problems.append(context))
        sock = bind_tcp("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        await self.listener.start(sock)

    async def stop(self) -> None:
        await self.gateway.shutdown(0.1)
        await self.listener.stop()

    async def ask(self, method: str, path: str, body: bytes = b"", headers: tuple[str, ...] = ()) -> tuple[int, str]:
        """Status and body of the response to a request on a connection of its own."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        lines = [f"{method} /lp/{path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers, "", ""]
        try:
            client.send("\r\n".join(lines).encode() + body)
            head = (await client.head()).decode().lower()
            length = [int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length")]
            return int(head.split()[1]), (await client.read(length[0] if length else 0)).decode("latin-1")
        finally:
            client.close()

    async def open(self, *protocols: str) -> str:
        """A new transport."""
        status, text = await self.ask("POST", "open", json.dumps({"protocols": protocols}).encode())
        assert status == 200
        return str(json.loads(text)["transport"])

    async def prove_alive(self) -> None:
        """Whatever has happened to others, a new client gets its WELCOME."""
        id = await self.open("wamp.2.json")
        assert (await self.ask("POST", f"{id}/send", SERIALIZERS["json"].encode(HELLO)))[0] == 204
        status, text = await self.ask("POST", f"{id}/receive")
        assert (status, json.loads(text)[0]) == (200, 2)
        await self.ask("POST", f"{id}/close")

    def run(self, example: Coroutine[Any, Any, None]) -> None:
        """Let one client do its worst; the next one must not notice."""

        async def limited() -> None:
            async with asyncio.timeout(TIMEOUT):
                await example
                await self.prove_alive()

        self._runner.run(limited())
        self.check()

    def check(self) -> None:
        """Nothing of ours has failed."""
        assert self.problems == []
        assert self.faults.texts == []


@pytest.fixture
def service() -> Iterator[Service]:
    with asyncio.Runner() as runner:
        service = Service(runner)
        logging.getLogger().addHandler(service.faults)
        try:
            runner.run(service.start())
            yield service
            runner.run(service.stop())
        finally:
            logging.getLogger().removeHandler(service.faults)
    service.check()


def encoded(body: Any, serializer: Serializer, *, is_batched: bool) -> bytes:
    if isinstance(body, bytes):
        return body
    sent = [serializer.encode(message) for message in body]
    return batch(sent, is_binary=serializer.is_binary) if is_batched else sent[0]


@pytest.mark.parametrize("name", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize("suffix", ["", ".batched"], ids=["single", "batched"])
def test_no_sequence_of_requests_makes_the_service_fail(service: Service, name: str, suffix: str) -> None:
    async def example(joins: bool, sent: list[Request]) -> None:
        id = await service.open(f"wamp.2.{name}{suffix}")
        sent = [Request("POST", "send", (), [HELLO])] * joins + sent
        pending: list[Any] = []
        for request in sent:
            body = encoded(request.body, SERIALIZERS[name], is_batched=bool(suffix))
            path = f"{id if request.has_own_id else 'nobody'}/{request.what}" if request.what != "open" else "open"
            asked = asyncio.create_task(service.ask(request.method, path, body, request.headers))
            pending.append(asked)
            if request.waits:
                await asked
            else:
                await asyncio.sleep(0)
        for answer in await asyncio.gather(*pending):
            assert answer[0] in STATUSES, answer
        await service.ask("POST", f"{id}/close")

    @fuzzing(40)
    @given(st.booleans(), st.lists(REQUESTS, max_size=6))
    def anything(joins: bool, sent: list[Request]) -> None:
        service.run(example(joins, sent))

    anything()


def test_a_transport_is_opened_for_a_protocol_in_common_and_nothing_else(service: Service) -> None:
    async def example(offer: Any) -> None:
        body = json.dumps({"protocols": offer} if isinstance(offer, list) else offer).encode()
        status, text = await service.ask("POST", "open", body)
        names = [name for name in offer if isinstance(name, str)] if isinstance(offer, list) else []
        spoken = [name for name in names if name != "wamp.2.x"]
        if spoken:
            assert (status, json.loads(text)["protocol"]) == (200, spoken[0])
            await service.ask("POST", f"{json.loads(text)['transport']}/close")
        else:
            assert status in (400, 413)

    @fuzzing(30)
    @given(OFFERS)
    def anything(offer: Any) -> None:
        service.run(example(offer))

    anything()
