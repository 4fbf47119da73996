"""Rocade's client with somebody else's router: Crossbar.io, in an environment of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.ports import reserved_port

import rocade
from rocade import ApplicationError, CallResult, EventDetails, PublishOptions, Session
from rocade.serve.authentication.scram import scram_proof

CROSSBAR = Path(__file__).parents[2] / ".venvs" / "crossbar" / "bin" / "crossbar"
PATIENCE_S = 90.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRANSPORTS = [(kind, serializer) for kind in ("ws", "rs") for serializer in ("json", "msgpack", "cbor")]
CREDENTIALS = [
    rocade.Ticket("ticket", "secret"),
    rocade.WampCra("wampcra", "secret"),
    rocade.Scram("scram", "secret"),
    rocade.Cryptosign(KEY, "cryptosign"),
]


class Crossbar:
    """The router. `ports` are those of WebSocket, of RawSocket, and of a WebSocket that wants to know who comes."""

    def __init__(self, directory: Path, ports: list[int]) -> None:
        if not CROSSBAR.exists():
            pytest.fail(f"there is no {CROSSBAR}: let scripts/test make it", pytrace=False)
        self._directory = directory
        self.ports = ports
        (directory / "config.json").write_text(json.dumps(configuration(ports)))

    def start(self) -> None:
        """Start it and wait until it listens."""
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [CROSSBAR, "start", "--cbdir", self._directory],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_S
        for port in self.ports:
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert self._process.poll() is None, (self._directory / "log").read_text()
                assert time.monotonic() < deadline, (self._directory / "log").read_text()
                time.sleep(0.1)

    def kill(self) -> None:
        """End it, and the workers that it started, at once."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def url(self, kind: str) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.ports[0]}/ws" if kind == "ws" else f"rs://127.0.0.1:{self.ports[1]}"


def configuration(ports: list[int]) -> dict[str, Any]:
    """One realm, two transports for everybody, one for those who log in."""
    proof = scram_proof("secret", "pbkdf2", bytes(range(16)), 1000, None)
    scram = {
        "kdf": "pbkdf2",
        "iterations": 1000,
        "memory": 0,
        "salt": proof.salt.hex(),
        "stored-key": proof.stored_key.hex(),
        "server-key": proof.server_key.hex(),
        "role": "anonymous",
    }
    logins = {
        "ticket": {"ticket": {"ticket": "secret", "role": "anonymous"}},
        "wampcra": {"wampcra": {"secret": "secret", "role": "anonymous"}},
        "scram": {"scram": scram},
        "cryptosign": {
            "cryptosign": {"authorized_keys": [KEY.public_key().public_bytes_raw().hex()], "role": "anonymous"}
        },
    }
    auth = {
        method: {"type": "static", "users" if method == "wampcra" else "principals": principals}
        for method, principals in logins.items()
    }
    everything = {
        "uri": "",
        "match": "prefix",
        "allow": {"call": True, "register": True, "publish": True, "subscribe": True},
        "disclose": {"caller": True, "publisher": True},
        "cache": True,
    }

    def transport(port: int, **settings: Any) -> dict[str, Any]:
        return {"endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": port}, **settings}

    paths = {"/": {"type": "json", "value": "here"}, "ws": {"type": "websocket"}}
    return {
        "version": 2,
        "workers": [
            {
                "type": "router",
                "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "permissions": [everything]}]}],
                "transports": [
                    transport(ports[0], type="web", paths=paths),
                    transport(ports[1], type="rawsocket"),
                    transport(ports[2], type="websocket", auth=auth),
                ],
            }
        ],
    }


@pytest.fixture(scope="module")
def crossbar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crossbar]:
    """The router; a test that stops it starts it again."""
    with ExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in range(3)]
        running = Crossbar(tmp_path_factory.mktemp("crossbar"), ports)
        running.start()
        yield running
        running.kill()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""

    async def within() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await work

    asyncio.run(within())


transports = pytest.mark.parametrize(("kind", "serializer"), TRANSPORTS)


@transports
def test_calls_and_their_errors(crossbar: Crossbar, kind: str, serializer: str) -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    async def echo(*args: Any, **kwargs: Any) -> CallResult:
        return CallResult(*args, **kwargs)

    async def work() -> None:
        async with rocade.connect(crossbar.url(kind), serializer=serializer) as session:
            await session.register(add, "com.example.add")
            await session.register(echo, "com.example.echo", match="prefix")
            assert await session.call("com.example.add", 2, 3) == 5
            data = [1, 2.5, "three", b"\x00\xff", None, {"five": [6]}]
            assert await session.call("com.example.echo.x", *data, key=data) == CallResult(*data, key=data)
            with pytest.raises(ApplicationError, match="argument 'b': expected int, got str"):
                await session.call("com.example.add", 2, "three")
            with pytest.raises(LookupError):
                await session.call("com.example.nothing")

    run(work())


@transports
def test_events(crossbar: Crossbar, kind: str, serializer: str) -> None:
    async def work() -> None:
        url = crossbar.url(kind)
        async with (
            rocade.connect(url, serializer=serializer) as publisher,
            rocade.connect(url, serializer=serializer) as subscriber,
            subscriber.events("com.example", match="prefix") as events,
        ):
            got: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

            async def handle(event: EventDetails, *args: Any) -> None:
                await got.put((event.publisher, args))

            await subscriber.subscribe(handle, "com.example.topic")
            publication = await publisher.publish("com.example.topic", "rain", options=PublishOptions(acknowledge=True))
            event = await anext(events)
            assert (event.topic, event.args, event.publication) == ("com.example.topic", ["rain"], publication)
            assert await got.get() == (publisher.id, ("rain",))

    run(work())


@transports
def test_progressive_results_and_canceling(crossbar: Crossbar, kind: str, serializer: str) -> None:
    async def work() -> None:
        url = crossbar.url(kind)
        async with (
            rocade.connect(url, serializer=serializer) as caller,
            rocade.connect(url, serializer=serializer) as callee,
        ):
            interrupted = asyncio.Event()

            async def count(n: int) -> AsyncIterator[int]:
                for number in range(n):
                    yield number

            async def wait() -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    interrupted.set()

            await callee.register(count, "com.example.count")
            await callee.register(wait, "com.example.wait")
            assert [number async for number in caller.stream("com.example.count", 3)] == [0, 1, 2]
            with pytest.raises(TimeoutError):
                await caller.call("com.example.wait", timeout=0.2)
            await interrupted.wait()

    run(work())


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=lambda credentials: credentials.authid)
def test_logins(crossbar: Crossbar, credentials: rocade.Credentials) -> None:
    async def work() -> None:
        url = f"ws://127.0.0.1:{crossbar.ports[2]}/"
        async with rocade.connect(url, credentials=credentials) as session:
            assert session.authid == credentials.authid
            assert session.authmethod in credentials.methods
        with pytest.raises(rocade.HandshakeRefused):
            await rocade.connect(url, credentials=rocade.Ticket("ticket", "wrong"))
        with pytest.raises(rocade.HandshakeRefused):
            await rocade.connect(url, "nowhere", credentials=credentials)

    run(work())


def test_a_killed_router_is_joined_again(crossbar: Crossbar) -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    async def work() -> None:
        again: Callable[[Session], None] = lambda session: joined.set()  # noqa: E731
        sessions = [rocade.connect(crossbar.url(kind), on_join=again) for kind in ("ws", "rs")]
        joined = asyncio.Event()
        async with sessions[0] as caller, sessions[1] as callee:
            await callee.register(add, "com.example.sum")
            assert await caller.call("com.example.sum", 1, 2) == 3
            crossbar.kill()
            await asyncio.to_thread(crossbar.start)
            while True:
                try:
                    assert await caller.call("com.example.sum", 1, 2) == 3
                    break
                except (LookupError, ConnectionError):
                    await asyncio.sleep(0.05)

    run(work())
