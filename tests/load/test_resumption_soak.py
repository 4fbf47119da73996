"""Clients whose connections are dropped again and again lose nothing, get nothing twice, and nothing out of order.

Each of them publishes numbered events, calls the others, and answers their calls, while its connection is dropped at
any moment, also in the middle of a resumption, and taken up over another transport with another serializer.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter, deque
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conformance.carriers import Carrier, Gone, LongPollCarrier, RawSocketCarrier, WebSocketCarrier
from tests.conformance.waiting import TIMEOUT
from tests.hostile.process import RouterProcess

from rocade.wamp.codec import CBOR, JSON, MSGPACK, Serializer
from rocade.wamp.messages import (
    Abort,
    Call,
    CallOptions,
    ClientRoles,
    Event,
    Hello,
    HelloDetails,
    Invocation,
    Match,
    Message,
    Publish,
    PublishOptions,
    Received,
    Register,
    Registered,
    RegisterOptions,
    Result,
    Role,
    Subscribe,
    Subscribed,
    SubscribeOptions,
    Welcome,
    Yield,
    YieldOptions,
)

pytestmark = pytest.mark.slow

CLIENTS = 6
SECONDS = 5.0
"""For which connections are dropped, and events published."""

FILLERS = (0, 0, 0, 200, 5_000, 100_000)
"""Characters that are sent along."""

CONFIGURATION: dict[str, Any] = {
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [
                {
                    "name": "realm1",
                    "roles": [
                        {
                            "name": "anonymous",
                            "permissions": [
                                {
                                    "uri": "",
                                    "match": "prefix",
                                    "allow": {"call": True, "register": True, "publish": True, "subscribe": True},
                                }
                            ],
                        }
                    ],
                }
            ],
            "transports": [
                {
                    "type": "universal",
                    "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
                    "rawsocket": {},
                    "websocket": {
                        "ws": {"type": "websocket", "options": {"compression": {"deflate": {}}}},
                    },
                    "web": {"paths": {"lp": {"type": "longpoll", "options": {"request_timeout": 1}}}},
                }
            ],
        }
    ],
}


class Ways:
    """The ways to the router, one of which is taken at random."""

    def __init__(self, port: int, source: random.Random) -> None:
        self._port = port
        self._random = source
        self._https: list[httpx.AsyncClient] = []
        self._carriers: list[Carrier] = []

    async def open(self) -> tuple[Carrier, Serializer]:
        """A new connection."""
        serializer = self._random.choice((JSON, MSGPACK, CBOR))
        carrier = await self._open(serializer)
        self._carriers.append(carrier)
        return carrier, serializer

    async def _open(self, serializer: Serializer) -> Carrier:
        kind = self._random.choice(("rawsocket", "websocket", "batched", "deflate", "longpoll"))
        if kind == "rawsocket":
            return await RawSocketCarrier.open(serializer, port=self._port)
        if kind == "longpoll":
            http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}", timeout=TIMEOUT, trust_env=False)
            self._https.append(http)
            is_batched = self._random.random() < 0.5
            return await LongPollCarrier.open(http, serializer, is_batched=is_batched)
        compression = "deflate" if kind == "deflate" else None
        return await WebSocketCarrier.open(
            serializer, port=self._port, is_batched=kind == "batched", compression=compression
        )

    async def close(self) -> None:
        """Let go of all that was opened."""
        for carrier in self._carriers:
            await carrier.vanish()
        for http in self._https:
            await http.aclose()


class Persistent:
    """A client that keeps its session whatever happens to its connection, as docs/resume.md describes it."""

    def __init__(self, ways: Ways, source: random.Random, number: int) -> None:
        self.number = number
        self.drops = 0
        self._ways = ways
        self._random = source
        self._carrier: Carrier | None = None
        self._serializer: Serializer = JSON
        self._token: str | None = None
        self._session = 0
        # How many messages of the session have come; what was sent and is not confirmed, and how many were.
        self._received = 0
        self._unconfirmed: deque[Message] = deque()
        self._confirmed = 0
        # How many of the unconfirmed messages this connection has taken.
        self._sent = 0
        self._news = asyncio.Event()
        self._request = 0
        self._is_done = False
        # publisher -> numbers of its events; CALL.Request -> what was asked; answers; calls that it was asked to answer
        self.events: dict[int, list[int]] = {}
        self.asked: dict[int, int] = {}
        self.answers: Counter[tuple[int, int]] = Counter()
        self.invoked: Counter[tuple[int, int]] = Counter()
        self.ready = asyncio.Event()
        self._subscribed = self._registered = False

    # --- what it does with its session ------------------------------------------------------------

    def _next_request(self) -> int:
        self._request += 1
        return self._request

    def _put(self, message: Message) -> None:
        self._unconfirmed.append(message)
        self._news.set()

    def _filler(self) -> str:
        return "x" * self._random.choice(FILLERS)

    def begin(self) -> None:
        """Subscribe and register."""
        self._put(Subscribe(self._next_request(), SubscribeOptions(match=Match.PREFIX), "com.soak.event."))
        self._put(Register(self._next_request(), RegisterOptions(), f"com.soak.procedure.{self.number}"))

    def publish(self, number: int) -> None:
        """Publish an event, also to itself."""
        topic = f"com.soak.event.{self.number}"
        options = PublishOptions(exclude_me=False)
        self._put(Publish(self._next_request(), options, topic, [self.number, number, self._filler()]))

    def call(self, other: int, number: int) -> None:
        """Call somebody."""
        request = self._next_request()
        self.asked[request] = number
        self._put(Call(request, CallOptions(), f"com.soak.procedure.{other}", [self.number, number, self._filler()]))

    def _handle(self, message: Message, args: list[Any]) -> None:
        if type(message) is Event:
            self.events.setdefault(args[0], []).append(args[1])
        elif type(message) is Invocation:
            self.invoked[args[0], args[1]] += 1
            self._put(Yield(message.request, YieldOptions(), [args[1], self._filler()]))
        elif type(message) is Result:
            self.answers[message.request, args[0]] += 1
        else:
            assert type(message) in (Subscribed, Registered), message
            self._subscribed |= type(message) is Subscribed
            self._registered |= type(message) is Registered
            if self._subscribed and self._registered:
                self.ready.set()

    # --- its connections --------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the session going, until told to stop."""
        while not self._is_done:
            carrier = None
            try:
                carrier, self._serializer = await self._ways.open()
                self._carrier = carrier
                await self._open(carrier)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._send_all(carrier))
                    group.create_task(self._receive_all(carrier))
            except* (Gone, OSError, httpx.HTTPError):
                pass
            finally:
                self._carrier = None
                if carrier is not None and self._random.random() < 0.8:
                    await carrier.vanish()  # otherwise the router has to find out by itself

    async def drop(self) -> None:
        """Drop the connection, if there is one, whatever it is busy with."""
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            self.drops += 1
            self._news.set()
            await carrier.vanish()

    def stop(self) -> None:
        """No more connections."""
        self._is_done = True

    async def _open(self, carrier: Carrier) -> None:
        roles = ClientRoles(publisher=Role(), subscriber=Role(), caller=Role(), callee=Role())
        details = HelloDetails(roles=roles, resumable=True)
        if self._token is not None:
            details = HelloDetails(
                roles=roles, resume_session=self._session, resume_token=self._token, received=self._received
            )
        await carrier.send(self._serializer.encode(Hello("realm1", details)))
        welcome = self._serializer.decode(await self._next(carrier), is_patient=True)
        if type(welcome) is Abort and welcome.reason == "wamp.error.payload_size_exceeded":
            raise Gone("too much to translate: another serializer will do")
        assert type(welcome) is Welcome, f"client {self.number} after {self.drops} drops: {welcome}"
        self._session, self._token = welcome.session, welcome.details.resume_token
        self._confirm(welcome.details.received or 0)
        self._sent = 0

    async def _next(self, carrier: Carrier) -> bytes:
        """The next message; dropped long-polling ends without a word."""
        receiving = asyncio.ensure_future(carrier.receive())
        try:
            while self._carrier is carrier:
                done, _ = await asyncio.wait([receiving], timeout=0.05)
                if done:
                    return receiving.result()
            raise Gone("dropped")
        finally:
            receiving.cancel()

    def _confirm(self, count: int) -> None:
        assert self._confirmed <= count <= self._confirmed + len(self._unconfirmed)
        while self._confirmed < count:
            self._unconfirmed.popleft()
            self._confirmed += 1
            self._sent = max(self._sent - 1, 0)

    async def _send_all(self, carrier: Carrier) -> None:
        told = self._received
        while self._carrier is carrier:
            self._news.clear()
            while self._sent < len(self._unconfirmed):
                message = self._unconfirmed[self._sent]
                self._sent += 1
                await carrier.send(self._serializer.encode(message))
            if self._received - told >= 32:
                told = self._received
                await carrier.send(self._serializer.encode(Received(told)))
            await self._news.wait()
        raise Gone("dropped")

    async def _receive_all(self, carrier: Carrier) -> None:
        while True:
            message = self._serializer.decode(await self._next(carrier), is_patient=True)
            if type(message) is Received:
                self._confirm(message.count)
                continue
            self._received += 1
            self._news.set()
            raw = getattr(message, "args", None)
            self._handle(message, self._serializer.load(bytes(raw)) if raw else [])
            if self._random.random() < 0.02:
                await asyncio.sleep(0.05)  # a slow reader, now and then


async def until(condition: Any) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110  many things may bring it about
            await asyncio.sleep(0.02)


async def soak(port: int, seed: int) -> None:
    source = random.Random(seed)
    ways = Ways(port, source)
    clients = [Persistent(ways, source, number) for number in range(CLIENTS)]
    published = [0] * CLIENTS
    async with asyncio.TaskGroup() as group:
        for client in clients:
            client.begin()
            group.create_task(client.run())
        for client in clients:
            async with asyncio.timeout(TIMEOUT):
                await client.ready.wait()
        loop = asyncio.get_running_loop()
        end = loop.time() + SECONDS
        numbers = 0
        while loop.time() < end:
            for client in clients:
                for _ in range(source.randrange(4)):
                    client.publish(published[client.number])
                    published[client.number] += 1
                client.call(source.randrange(CLIENTS), numbers)
                numbers += 1
            if source.random() < 0.6:
                await source.choice(clients).drop()
            await asyncio.sleep(source.uniform(0, 0.06))
        expected = {number: list(range(count)) for number, count in enumerate(published) if count}
        try:
            await until(lambda: all(len(client.answers) == len(client.asked) for client in clients))
            await until(
                lambda: all(
                    len(client.events.get(number, ())) >= len(numbers)
                    for client in clients
                    for number, numbers in expected.items()
                )
            )
            await asyncio.sleep(0.3)  # for what would come twice
        finally:
            for client in clients:
                client.stop()
                await client.drop()
    await ways.close()

    invoked: Counter[tuple[int, int]] = Counter()
    for client in clients:
        assert client.events == expected
        assert client.answers == Counter(dict.fromkeys(client.asked.items(), 1))
        invoked += client.invoked
    assert set(invoked.values()) == {1}
    print(f"{sum(published)} events, {numbers} calls, {sum(client.drops for client in clients)} drops")


def test_nothing_is_lost_or_doubled_or_reordered_however_often_connections_drop(tmp_path: Path) -> None:
    seed = int(os.environ.get("ROCADE_SOAK_SEED") or random.randrange(1 << 32))
    print(f"ROCADE_SOAK_SEED={seed}")
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIGURATION), encoding="utf-8")
    with RouterProcess("--config", str(file)) as router:
        asyncio.run(soak(router.port, seed))
