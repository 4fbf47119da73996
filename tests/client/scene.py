"""A router in the test's process and on its event loop, and clients that connect to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.conformance.waiting import TIMEOUT
from tests.serve.provers import ONE_PER_METHOD

from rocade.client.connect import Connecting, connect, connect_in_memory
from rocade.client.session import Session
from rocade.net.link import Link, Receiver
from rocade.net.listener import Listener
from rocade.net.rawsocket import RawSocketEndpoint, RawSocketOptions
from rocade.net.sockets import bind_tcp, bind_unix
from rocade.net.websocket import WebSocketEndpoint, WebSocketOptions
from rocade.router.history import HistoryRule
from rocade.router.permissions import Permission, Role
from rocade.serve.authentication import Authenticator
from rocade.serve.authentication.anonymous import Anonymous
from rocade.serve.gateway import Gateway
from rocade.wamp.messages import Match

EVERYTHING = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)


class Scene:
    """The router, with realm "realm1", where strangers may do everything."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        """
        Args:
            directory: where its Unix socket goes.
            port: where it listens.
        """
        self.path = str(directory / "router.sock")
        self.port = port
        self.gateway = Gateway(agent="Rocade under test")
        roles = [Role(name, [EVERYTHING]) for name in ("anonymous", "user")]
        self.realm = self.gateway.add_realm("realm1", roles, history=[HistoryRule("com.example.log", Match.EXACT, 100)])
        authenticators: dict[str, Authenticator] = {prover.method: prover.authenticator() for prover in ONE_PER_METHOD}
        self.anonymous = Anonymous("anonymous")
        self.entrance: Callable[[Link], Receiver] = self.gateway.entrance(
            {"anonymous": self.anonymous, **authenticators}
        )
        self._listener: Listener | None = None
        self._sessions = AsyncExitStack()

    async def __aenter__(self) -> Scene:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._sessions.aclose()
        await self.stop()

    async def start(self) -> None:
        """Listen; on the same port as before, if there was one."""
        websocket = WebSocketEndpoint(WebSocketOptions(), self.entrance)
        self._listener = Listener(None, websockets={"/ws": websocket}, rawsocket=self.rawsocket(self.entrance))
        tcp = bind_tcp("127.0.0.1", self.port)
        self.port = tcp.getsockname()[1]
        await self._listener.start(tcp, bind_unix(self.path))

    def rawsocket(self, entrance: Callable[[Link], Receiver]) -> RawSocketEndpoint:
        """Where RawSocket clients arrive."""
        return RawSocketEndpoint(RawSocketOptions(), entrance)

    async def stop(self) -> None:
        """Say goodbye and stop listening."""
        await self.gateway.shutdown()
        assert self._listener is not None
        await self._listener.stop()

    def connecting(self, way: str = "websocket-msgpack", **options: Any) -> Connecting:
        """A client's connection, which is not made yet.

        Args:
            way: "memory", "websocket", "rawsocket", "unix" or "unix-websocket", a hyphen, and the serializer.
            **options: of `connect`.
        """
        transport, _, serializer = way.rpartition("-")
        options = {"serializer": serializer, "timeout": TIMEOUT, **options}
        if transport == "memory":
            return connect_in_memory(self.entrance, **options)
        url = {
            "websocket": f"ws://127.0.0.1:{self.port}/ws",
            "rawsocket": f"rs://127.0.0.1:{self.port}",
            "unix": f"unix:{self.path}",
            "unix-websocket": f"ws+unix:{self.path}",
        }[transport]
        return connect(url, **options)

    async def disconnect(self) -> None:
        """Close the clients that were connected so far."""
        await self._sessions.aclose()

    async def connect(self, way: str = "websocket-msgpack", **options: Any) -> Session:
        """A client that is closed when the test is over."""
        return await self._sessions.enter_async_context(self.connecting(way, **options))


async def within(awaitable: Any) -> Any:
    """What comes of it, within a test's patience."""
    async with asyncio.timeout(TIMEOUT):
        return await awaitable
