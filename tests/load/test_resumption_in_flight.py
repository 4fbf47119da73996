"""A connection is cut, also in the middle of a frame, while thousands of messages are under way (docs/resume.md)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from rocade.net.listener import Listener
from rocade.net.memory import MemoryClient
from rocade.net.rawsocket import RawSocketEndpoint, RawSocketOptions
from rocade.net.sockets import bind_tcp
from rocade.router.permissions import Permission, Role
from rocade.serve.authentication import Anonymous
from rocade.serve.gateway import Gateway
from rocade.wamp.codec import JSON
from rocade.wamp.framing import encode_handshake, frame_message
from rocade.wamp.messages import (
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
    RegisterOptions,
    Result,
    Subscribe,
    SubscribeOptions,
    Welcome,
    Yield,
    YieldOptions,
)
from rocade.wamp.messages import Role as ClientRole

pytestmark = pytest.mark.slow

EVENTS, CALLS, CUTS = 10_000, 1_000, 12
TOPIC, PROCEDURE = "com.example.topic", "com.example.procedure"
EVERYTHING = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
ROLES = ClientRoles(publisher=ClientRole(), subscriber=ClientRole(), caller=ClientRole(), callee=ClientRole())


class ResumingClient:
    """A client over RawSocket that keeps to docs/resume.md."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._session: int | None = None
        self._token: str | None = None
        self._received = 0
        self._sent: list[bytes] = []
        self.events: list[int] = []
        self.results: Counter[int] = Counter()

    async def connect(self) -> None:
        """Join, or resume and send again what the router has not received."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(encode_handshake("json", 1 << 24))
        await self._reader.readexactly(4)
        details = HelloDetails(roles=ROLES, resumable=True)
        if self._session is not None:
            details = HelloDetails(
                roles=ROLES, resume_session=self._session, resume_token=self._token, received=self._received
            )
        self._writer.write(frame_message(JSON.encode(Hello("realm1", details))))
        welcome = await self._read()
        assert isinstance(welcome, Welcome), welcome
        self._session, self._token = welcome.session, welcome.details.resume_token
        for frame in self._sent[welcome.details.received or 0 :]:
            self._writer.write(frame)

    def send(self, message: Message) -> None:
        self._sent.append(frame_message(JSON.encode(message)))
        self._writer.write(self._sent[-1])

    async def work(self, messages: int) -> None:
        """Take some messages."""
        for _ in range(messages):
            message = await self._read()
            if isinstance(message, Received):
                continue
            self._received += 1
            if isinstance(message, Event):
                self.events.append(JSON.load(message.args)[0])  # type: ignore[arg-type]
            elif isinstance(message, Result):
                self.results[message.request] += 1

    async def cut(self, within: int) -> None:
        """Drop the connection with unread bytes in the kernel's buffers, `within` bytes into the next frame."""
        if within:
            await self._reader.readexactly(within)
        self._writer.transport.abort()
        self._reader.feed_eof()

    async def close(self) -> None:
        self._writer.close()

    async def _read(self) -> Message:
        length = int.from_bytes((await self._reader.readexactly(4))[1:], "big")
        return JSON.decode(await self._reader.readexactly(length), is_patient=True)


async def publish_all(gateway: Gateway) -> None:
    publisher = MemoryClient(gateway.entrance({"anonymous": Anonymous("anonymous")}))
    await publisher.send(JSON.encode(Hello("realm1", HelloDetails(roles=ROLES))))
    await publisher.receive()
    for number in range(EVENTS):
        await publisher.send(JSON.encode(Publish(number + 1, PublishOptions(), TOPIC, [number])))
        if number % 50 == 0:
            await asyncio.sleep(0)


async def answer_all(gateway: Gateway, executed: Counter[int], ready: asyncio.Event) -> None:
    callee = MemoryClient(gateway.entrance({"anonymous": Anonymous("anonymous")}))
    await callee.send(JSON.encode(Hello("realm1", HelloDetails(roles=ROLES))))
    await callee.receive()
    await callee.send(JSON.encode(Register(1, RegisterOptions(), PROCEDURE)))
    await callee.receive()
    ready.set()
    while True:
        message = JSON.decode(await callee.receive(), is_patient=True)
        assert isinstance(message, Invocation)
        executed[JSON.load(message.args)[0]] += 1  # type: ignore[arg-type]
        await callee.send(JSON.encode(Yield(message.request, YieldOptions(), message.args)))


async def drive(first_cut: int, seed: int) -> None:
    source = random.Random(seed)
    gateway, executed, ready = Gateway(), Counter[int](), asyncio.Event()
    gateway.add_realm("realm1", [Role("anonymous", [EVERYTHING])])
    entrance = gateway.entrance({"anonymous": Anonymous("anonymous")})
    listener = Listener(None, websockets={}, rawsocket=RawSocketEndpoint(RawSocketOptions(), entrance))
    sock = bind_tcp("127.0.0.1", 0)
    port = sock.getsockname()[1]
    await listener.start(sock)
    answering = asyncio.create_task(answer_all(gateway, executed, ready))
    await ready.wait()
    client = ResumingClient(port)
    await client.connect()
    client.send(Subscribe(1, SubscribeOptions(), TOPIC))
    await client.work(1)
    publishing = asyncio.create_task(publish_all(gateway))
    for number in range(CALLS):
        client.send(Call(number + 2, CallOptions(), PROCEDURE, [number]))

    for cut in range(CUTS):
        await client.work(source.randrange(800) if cut else first_cut)
        await client.cut(within=source.choice((0, 2, 4, 9)))
        await client.connect()
    while len(client.events) < EVENTS or client.results.total() < CALLS:
        await client.work(1)

    await publishing
    answering.cancel()
    await client.close()
    await gateway.shutdown(0.2)
    await listener.stop()
    assert client.events == list(range(EVENTS))
    assert client.results == Counter(range(2, CALLS + 2))
    assert executed == Counter(range(CALLS))


@pytest.mark.parametrize("first_cut", [0, 500], ids=["before any event", "after some"])
def test_ten_thousand_events_and_a_thousand_calls_survive_a_dozen_cuts(first_cut: int) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await drive(first_cut, seed=first_cut)

    asyncio.run(bounded())
