"""The router under test: in the test's process, on an event loop that runs while a test does."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tests.authority import Authority
from tests.conformance.carriers import (
    MAX_MESSAGE_BYTES,
    Carrier,
    LongPollCarrier,
    MemoryCarrier,
    RawSocketCarrier,
    WebSocketCarrier,
)
from tests.conformance.peer import Peer
from tests.conformance.waiting import TIMEOUT
from tests.serve.provers import ONE_PER_METHOD

from rocade.net.deflate import DeflateOptions
from rocade.net.link import Link, Receiver
from rocade.net.listener import Listener
from rocade.net.rawsocket import RawSocketEndpoint, RawSocketOptions
from rocade.net.sockets import bind_tcp, bind_unix
from rocade.net.tls import ServerTLS, TLSOptions
from rocade.net.websocket import WebSocketEndpoint, WebSocketOptions
from rocade.router.permissions import Permission, Role
from rocade.router.realm import Realm
from rocade.serve.authentication import Attempt, Authenticator, Identity
from rocade.serve.authentication.asked import AskedTicket, Asking, procedure
from rocade.serve.connection import Connection
from rocade.serve.failed_logins import LoginPolicy
from rocade.serve.gateway import Gateway
from rocade.serve.internal import InternalCalls
from rocade.serve.web.longpoll import LongPoll, LongPollOptions
from rocade.serve.web.site import build_site
from rocade.wamp.codec import SERIALIZERS
from rocade.wamp.messages import Match

T = TypeVar("T")

EVERYTHING = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
"""What roles may do unless a test says otherwise."""


@dataclass(frozen=True)
class Way:
    """How the peers of a test come to the router."""

    loop: str
    transport: str
    serializer: str

    def __str__(self) -> str:
        return f"{self.transport}-{self.serializer}" + ("" if self.loop == "uvloop" else f"-{self.loop}")


class Believer:
    """Lets everybody in as whoever they say they are."""

    def begin(self, attempt: Attempt) -> Identity:
        """Who the client says it is."""
        hello = attempt.hello
        return Identity(
            authid=hello.details.authid or secrets.token_hex(8),
            authrole=hello.details.authrole or "anonymous",
            authmethod="anonymous",
        )


class WatchedGateway(Gateway):
    """A gateway that tells when a connection is gone."""

    def __init__(self) -> None:
        # All tests come from one address, and those who fail to log in are no threat to the others.
        logins = LoginPolicy(delay=0.0, lock_out_after=0, lock_out_address_after=0)
        super().__init__(agent="Rocade under test", logins=logins)
        self.changed = asyncio.Event()

    def connection_closed(self, connection: Connection) -> None:
        """See `Gateway`."""
        super().connection_closed(connection)
        self.changed.set()


class Router:
    """A router with all its transports, on one event loop."""

    def __init__(self, loop: str, directory: Path) -> None:
        """
        Args:
            loop: "uvloop" or "asyncio".
            directory: where its Unix socket and its certificate go.
        """
        self.runner = asyncio.Runner(loop_factory=loop_factory(loop))
        self.path = str(directory / f"{loop}.sock")
        self.port = 0
        self.tls_port = 0
        authority = Authority(directory)
        pair = authority.issue(loop)
        self.client_tls = authority.client_context()
        self._server_tls = ServerTLS(TLSOptions(certificate=str(pair.certificate), key=str(pair.key)))
        self._realm_numbers = itertools.count(1)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, on the router's event loop."""
        return self.runner.run(work)

    async def start(self) -> None:
        """Listen."""
        self.gateway = WatchedGateway()
        asking = Asking(procedure(InternalCalls(self.gateway), "com.example.authenticate", None), "dynamic", "a client")
        authenticators: dict[str, Authenticator] = {prover.method: prover.authenticator() for prover in ONE_PER_METHOD}
        authenticators |= {"anonymous": Believer(), "asked": AskedTicket(asking)}
        self.entrance: Callable[[Link], Receiver] = self.gateway.entrance(authenticators)
        # Short times, since they pass: a client that vanishes is noticed, and a request that is missing is missed.
        options = LongPollOptions(session_timeout=TIMEOUT / 12, order_patience=0.1)
        websockets = {"/ws": WebSocketEndpoint(WebSocketOptions(deflate=DeflateOptions()), self.entrance)}
        self._listener = Listener(
            build_site({"/lp": LongPoll(options, self.entrance)}),
            websockets=websockets,
            rawsocket=RawSocketEndpoint(RawSocketOptions(), self.entrance),
        )
        tcp = bind_tcp("127.0.0.1", 0)
        self.port = tcp.getsockname()[1]
        await self._listener.start(tcp, bind_unix(self.path))
        self._tls_listener = Listener(None, websockets=websockets, tls=self._server_tls.context)
        tcp = bind_tcp("127.0.0.1", 0)
        self.tls_port = tcp.getsockname()[1]
        await self._tls_listener.start(tcp)
        limits = httpx.Limits(max_connections=None)
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}", limits=limits, timeout=TIMEOUT * 2, trust_env=False
        )
        self.own_tasks = asyncio.all_tasks() - {asyncio.current_task()}

    async def stop(self) -> None:
        """Say goodbye and stop listening."""
        await self.http.aclose()
        await self.gateway.shutdown()
        await self._listener.stop()
        await self._tls_listener.stop()

    async def settle(self) -> None:
        """Wait until the router has noticed that all connections are gone."""
        async with asyncio.timeout(TIMEOUT):
            while self.gateway.connections:
                self.gateway.changed.clear()
                await self.gateway.changed.wait()

    def open_realm(self, way: Way, roles: Sequence[Role] | None, **options: Any) -> RealmUnderTest:
        """A realm of its own for one test."""
        name = f"com.example.realm{next(self._realm_numbers)}"
        if roles is None:
            roles = [Role(name, [EVERYTHING]) for name in ("anonymous", "staff", "guest")]
        return RealmUnderTest(self, way, self.gateway.add_realm(name, roles, **options))


class RealmUnderTest:
    """One test's realm, and the peers that come to it."""

    def __init__(self, router: Router, way: Way, realm: Realm) -> None:
        self.router = router
        self.way = way
        self.name = realm.name
        self._realm = realm
        self._peers: list[Peer] = []

    async def connect(
        self,
        *,
        transport: str | None = None,
        serializer: str | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> Peer:
        """A new connection without a session.

        Args:
            transport: "memory", "websocket", "websocket-batched", "websocket-deflate", "websocket-tls",
                "unix-websocket", "rawsocket", "unix" (RawSocket), "longpoll" or "longpoll-batched"; the test's own by
                default.
            serializer: "json", "msgpack" or "cbor"; the test's own by default.
            max_message_bytes: longest message that the peer says it accepts; on RawSocket only.
        """
        chosen = SERIALIZERS[serializer or self.way.serializer]
        router = self.router
        carrier: Carrier
        match transport or self.way.transport:
            case "memory":
                carrier = MemoryCarrier(router.entrance, chosen)
            case "websocket":
                carrier = await WebSocketCarrier.open(chosen, port=router.port)
            case "websocket-batched":
                carrier = await WebSocketCarrier.open(chosen, port=router.port, is_batched=True)
            case "websocket-deflate":
                carrier = await WebSocketCarrier.open(chosen, port=router.port, compression="deflate")
            case "websocket-tls":
                carrier = await WebSocketCarrier.open(chosen, port=router.tls_port, tls=router.client_tls)
            case "unix-websocket":
                carrier = await WebSocketCarrier.open(chosen, path=router.path)
            case "longpoll" | "longpoll-batched" as kind:
                carrier = await LongPollCarrier.open(router.http, chosen, is_batched=kind == "longpoll-batched")
            case "unix":
                carrier = await RawSocketCarrier.open(chosen, path=router.path, max_message_bytes=max_message_bytes)
            case _:
                carrier = await RawSocketCarrier.open(chosen, port=router.port, max_message_bytes=max_message_bytes)
        peer = Peer(carrier, chosen)
        self._peers.append(peer)
        return peer

    async def join(
        self,
        *,
        transport: str | None = None,
        serializer: str | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        authid: str | None = None,
        authrole: str | None = None,
        features: dict[str, bool] | None = None,
    ) -> Peer:
        """A new connection with a session in this realm."""
        peer = await self.connect(transport=transport, serializer=serializer, max_message_bytes=max_message_bytes)
        await peer.join(self.name, authid=authid, authrole=authrole, features=features)
        return peer

    async def leave(self) -> None:
        """Close all connections."""
        for peer in self._peers:
            await peer.close()

    def end(self) -> None:
        """Remove the realm, of which nothing may be left once its sessions are gone."""
        del self.router.gateway.realms[self.name]
        assert not self._realm.sessions
        assert all(subscription.is_permanent for subscription in self._realm.broker.subscriptions.values())
        assert not any(subscription.subscribers for subscription in self._realm.broker.subscriptions.values())
        assert not self._realm.dealer.registrations


class Complaints(logging.Handler):
    """Remembers what the router logs as errors: it has none in these tests."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        self.texts.append(logging.Formatter().format(record))


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes event loops of this kind."""
    if name == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop
