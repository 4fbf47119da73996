"""A router worker on this machine, and clients that come to it from several loopback addresses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.conformance.waiting import TIMEOUT

from rocade.node.configuration import configuration_from
from rocade.node.worker import Worker

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
"""Addresses that clients come from."""

LIMIT_EXCEEDED = "wamp.error.limit_exceeded"

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, EVENT = 16, 17, 32, 33, 34, 36
CALL, CANCEL, RESULT, REGISTER, REGISTERED, INVOCATION, YIELD = 48, 49, 50, 64, 65, 68, 70

ROLES: dict[str, Any] = {
    role: {"features": {"call_reroute": True, "call_canceling": True}}
    for role in ("caller", "callee", "publisher", "subscriber")
}

EVERYTHING = {"uri": "*", "allow": {"call": True, "register": True, "publish": True, "subscribe": True}}

TICKETS = {"ticket": {"type": "static", "principals": {"joe": {"ticket": "right", "role": "anonymous"}}}}


class Dropped(Exception):
    """The router has ended the connection."""


class Client:
    """A RawSocket client that says what a test tells it to say, in JSON."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._last_request = 0
        self.welcome: dict[str, Any] = {}
        self.session = 0

    @classmethod
    async def bare(cls, port: int, address: str = HERE) -> Client:
        """A connection on which nothing has been said."""
        async with asyncio.timeout(TIMEOUT):
            return cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0)))

    async def greet(self) -> None:
        """Shake hands.

        Raises:
            Dropped: the router did not want it.
        """
        self._writer.write(b"\x7f\xf1\0\0")
        await self._read(4)

    async def _read(self, size: int) -> bytes:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Dropped from None

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)

    def send(self, *messages: Any) -> None:
        """Send messages, in one piece."""
        frames = [json.dumps(message).encode() for message in messages]
        self._writer.write(b"".join(len(frame).to_bytes(4) + frame for frame in frames))

    async def receive(self) -> Any:
        """The next message."""
        length = int.from_bytes(await self._read(4))
        return json.loads(await self._read(length))

    async def expect(self, code: int) -> Any:
        """The next message, which must be of this type."""
        message = await self.receive()
        assert message[0] == code, message
        return message

    async def expect_end(self) -> None:
        """The connection must end, and nothing come before that."""
        try:
            message = await self.receive()
        except Dropped:
            return
        raise AssertionError(f"expected the end, got {message}")

    def hello(self, realm: str = "realm1", **details: Any) -> None:
        """Ask for a session."""
        self.send([HELLO, realm, {"roles": ROLES, **details}])

    async def join(self, realm: str = "realm1", **details: Any) -> Client:
        """Open a session; this client."""
        self.hello(realm, **details)
        _, self.session, self.welcome = await self.expect(WELCOME)
        return self

    async def log_in(self, authid: str, ticket: str) -> Any:
        """Try to log in by ticket; the router's last word, WELCOME or ABORT."""
        self.hello(authid=authid, authmethods=["ticket"])
        answer = await self.receive()
        if answer[0] == CHALLENGE:
            self.send([AUTHENTICATE, ticket, {}])
            answer = await self.receive()
        return answer

    def next_request(self) -> int:
        self._last_request += 1
        return self._last_request

    async def request(self, code: int, *rest: Any) -> Any:
        """Send a request; its answer, which must be the next message."""
        request = self.next_request()
        self.send([code, request, *rest])
        answer = await self.receive()
        assert request in (answer[1], answer[2]), answer
        return answer

    async def close(self) -> None:
        """Drop the connection, and wait until it is gone."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            pass


class Router:
    """A router, and those who have come to it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.gateway = worker.gateway
        self.counters = worker.gateway.counters
        self._clients: list[Client] = []

    @property
    def port(self) -> int:
        port: int = self.worker._sockets[0].getsockname()[1]
        return port

    async def connect(self, address: str = HERE) -> Client:
        """A new connection whose handshake is over; see `Client.greet`."""
        client = await self.bare(address)
        await client.greet()
        return client

    async def bare(self, address: str = HERE) -> Client:
        """A new connection; see `Client.bare`."""
        client = await Client.bare(self.port, address)
        self._clients.append(client)
        return client

    async def join(self, address: str = HERE, **details: Any) -> Client:
        """A new connection with a session."""
        return await (await self.connect(address)).join(**details)

    async def refusal(self, address: str = HERE, **details: Any) -> Any:
        """The reason by which a session is refused."""
        client = await self.connect(address)
        client.hello(**details)
        abort = await client.expect(ABORT)
        await client.expect_end()
        return abort[2]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the router, which has the same event loop, has done something."""
        async with asyncio.timeout(TIMEOUT):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def close(self) -> None:
        """End all connections, and the router."""
        for client in self._clients:
            await client.close()
        await self.worker.stop()


@asynccontextmanager
async def running(
    *,
    realm: dict[str, Any] | None = None,
    role: dict[str, Any] | None = None,
    transport: dict[str, Any] | None = None,
    process: dict[str, Any] | None = None,
    auth: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
) -> AsyncIterator[Router]:
    """A router with one realm and one port, where RawSocket is spoken, WebSocket at /ws and long-poll at /lp.

    Args:
        realm, role, transport, process: what is in their `limits`.
        auth: how clients log in; anonymously by default.
        options: of the worker.
    """
    service: dict[str, Any] = {} if auth is None else {"auth": auth}
    file = {
        "version": 2,
        "workers": [
            {
                "type": "router",
                "options": options or {},
                "limits": process or {},
                "realms": [
                    {
                        "name": "realm1",
                        "limits": realm or {},
                        "roles": [{"name": "anonymous", "permissions": [EVERYTHING], "limits": role or {}}],
                    }
                ],
                "transports": [
                    {
                        "type": "universal",
                        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
                        "rawsocket": service,
                        "websocket": {"ws": {"type": "websocket", **service}},
                        "web": {"type": "web", "paths": {"lp": {"type": "longpoll", **service}}},
                        "limits": transport or {},
                    }
                ],
            }
        ],
    }
    worker = Worker(configuration_from(file, environment={}).worker)
    worker.bind()
    await worker.start()
    router = Router(worker)
    try:
        yield router
    finally:
        await router.close()


def play(story: Awaitable[None]) -> None:
    """Run a test's coroutine on the event loop that routers run on."""
    import uvloop

    async def main() -> None:
        await story

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
