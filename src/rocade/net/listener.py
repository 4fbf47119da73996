"""One port for everything: HTTP, WebSocket and RawSocket, on TCP and Unix sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, TypeAlias

from uvicorn.config import Config
from uvicorn.server import ServerState

from rocade.net.door import Door
from rocade.net.http import Port, SniffingProtocol
from rocade.net.rawsocket import RawSocketEndpoint
from rocade.net.sockets import BACKLOG, SocketFile, bind_tcp, bind_unix, describe
from rocade.net.surroundings import Surroundings
from rocade.net.websocket import WebSocketEndpoint

__all__ = ["ASGIApp", "Listener", "bind_tcp", "bind_unix", "describe"]

logger = logging.getLogger("rocade.net")

Scope: TypeAlias = MutableMapping[str, Any]
ASGIReceive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
ASGISend: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, ASGIReceive, ASGISend], Awaitable[None]]
"""An ASGI 3 application."""

_POLL = 0.01
# A peer that vanished is noticed after two minutes: seconds of silence, seconds between probes, probes.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


class Listener:
    """Accepts connections on some sockets and serves what they speak.

    What a connection speaks shows in its first bytes: RawSocket begins with 0x7F, anything else is HTTP, and an HTTP
    upgrade on a path with an endpoint is a WebSocket. Without an application other requests are answered by 404.
    Without an application and WebSocket endpoints, nothing but RawSocket is spoken.
    """

    def __init__(
        self,
        app: ASGIApp | None,
        *,
        websockets: Mapping[str, WebSocketEndpoint],
        rawsocket: RawSocketEndpoint | None = None,
        tls: ssl.SSLContext | None = None,
        max_head_bytes: int = 65536,
        head_timeout: float = 10.0,
        shutdown_timeout: float = 5.0,
        backlog: int = BACKLOG,
        idle_timeout: float = 5.0,
        door: Door | None = None,
    ) -> None:
        """
        Args:
            app: serves HTTP requests, may have a lifespan.
            websockets: HTTP path -> endpoint; looked at for each upgrade, so it may change.
            rawsocket: serves RawSocket connections.
            tls: makes all connections TLS; `rocade.net.tls.ServerTLS` has one whose certificate can be replaced.
            max_head_bytes: longest head of a request (431).
            head_timeout: seconds for the head of a request, from the connection's first moment (408); and before
                that, seconds for the TLS handshake.
            shutdown_timeout: seconds that connections have for an orderly end in `stop`, and the application for
                its own.
            backlog: connections that may wait to be accepted.
            idle_timeout: seconds that an HTTP connection may be idle between two requests.
            door: counts connections and turns away those that are too many; None if any number is welcome.
        """
        self._app = app
        self._websockets = websockets
        self._rawsocket = rawsocket
        self._tls = tls
        self._max_head_bytes = max_head_bytes
        self._head_timeout = head_timeout
        self._shutdown_timeout = shutdown_timeout
        self._backlog = backlog
        self._idle_timeout = idle_timeout
        self._door = door
        self._state = ServerState()
        self._lifespan: Any = None
        self._port: Port | None = None
        self._servers: list[asyncio.AbstractServer] = []
        self._files: list[SocketFile] = []

    @property
    def connections(self) -> int:
        """How many connections are open, of whatever kind."""
        return len(self._state.connections)

    async def start(self, *sockets: socket.socket) -> None:
        """Start the application and accept connections.

        Args:
            *sockets: that listen, see `bind_tcp` and `bind_unix`; they belong to the listener from now on.
        Raises:
            RuntimeError: the application failed to start, or the listener has been started before.
        """
        if self._lifespan is not None:
            raise RuntimeError("a listener can be started once")
        config = self._configure()
        self._lifespan = config.lifespan_class(config)
        await self._lifespan.startup()
        if self._lifespan.should_exit:
            for sock in sockets:
                sock.close()
            raise RuntimeError("the HTTP application failed to start")
        loop = asyncio.get_running_loop()
        self._port = port = Port(
            websockets=self._websockets,
            rawsocket=self._rawsocket,
            speaks_http=self._app is not None or self._rawsocket is None or bool(self._websockets),
            max_head_bytes=self._max_head_bytes,
            head_timeout=self._head_timeout,
            surroundings=Surroundings(loop, self._state.connections, self._door),
            state=self._state,
        )
        app_state = self._lifespan.state
        for sock in sockets:
            self._servers.append(await self._serve(loop, sock, lambda: SniffingProtocol(port, config, app_state)))

    async def _serve(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, factory: Callable[[], asyncio.Protocol]
    ) -> asyncio.AbstractServer:
        options: dict[str, Any] = {"backlog": self._backlog}
        if self._tls is not None:
            # asyncio's own limits are 60 and 30 seconds, in which those who never say anything pile up.
            options["ssl"] = self._tls
            options["ssl_handshake_timeout"] = self._head_timeout
            options["ssl_shutdown_timeout"] = self._shutdown_timeout
        if sock.family == getattr(socket, "AF_UNIX", None):
            self._files.append(SocketFile(sock.getsockname()))
            return await loop.create_unix_server(factory, sock=sock, **options)
        _tune(sock)
        return await loop.create_server(factory, sock=sock, **options)

    def _configure(self) -> Config:
        config = Config(
            _Front(self._app, self._websockets),
            ws=None,  # type: ignore[arg-type]
            interface="asgi3",
            lifespan="off" if self._app is None else "auto",
            log_config=None,
            access_log=False,
            timeout_keep_alive=self._idle_timeout,  # type: ignore[arg-type]  # goes to `call_later`
            proxy_headers=False,
            server_header=False,
        )
        # uvicorn tells of every start and stop, and of every request that a port scanner sends.
        uvicorn_logger = logging.getLogger("uvicorn.error")
        if uvicorn_logger.level == logging.NOTSET:
            uvicorn_logger.setLevel(logging.WARNING)
        config.load()
        return config

    async def stop(self) -> None:
        """Stop accepting, close all connections in order, abort what is left after the time limit.

        Takes at most about twice the time limit, whatever peers and application do. Does nothing before `start`, or
        the second time.
        """
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._port is not None:
            self._port.is_stopped = True
        for file in self._files:
            file.remove()
        self._files.clear()
        for connection in list(self._state.connections):
            connection.shutdown()
        if not await self._wait_until_idle(self._shutdown_timeout):
            await self._abort_all()
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is not None:
            await self._end_lifespan(lifespan)

    async def _wait_until_idle(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self._state.connections or self._state.tasks:
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(_POLL)
        return True

    async def _abort_all(self) -> None:
        logger.warning(
            "aborting %d connections and %d requests that did not end in %g s",
            len(self._state.connections),
            len(self._state.tasks),
            self._shutdown_timeout,
        )
        for connection in list(self._state.connections):
            _abort(connection)
        for task in list(self._state.tasks):
            task.cancel()
        # What is aborted is told so by the loop, in its next rounds.
        await self._wait_until_idle(1.0)

    async def _end_lifespan(self, lifespan: Any) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._shutdown_timeout):
                await lifespan.shutdown()
                return
        logger.warning("the HTTP application did not shut down in %g s", self._shutdown_timeout)


def _tune(sock: socket.socket) -> None:
    """Set options that accepted connections inherit: no waiting for full segments, and an end for dead peers."""
    # asyncio sets TCP_NODELAY only on sockets that were made with an explicit IPPROTO_TCP.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE.items():
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _abort(connection: Any) -> None:
    if isinstance(connection, SniffingProtocol):
        connection.transport.abort()
    else:
        connection.abort()


class _Front:
    """In front of the application: explains what a WebSocket path is to those who come with plain HTTP."""

    def __init__(self, app: ASGIApp | None, websockets: Mapping[str, WebSocketEndpoint]) -> None:
        self._app = app
        self._websockets = websockets

    async def __call__(self, scope: Scope, receive: ASGIReceive, send: ASGISend) -> None:
        if scope["type"] == "http" and scope["path"] in self._websockets:
            text = "This is a WebSocket: connect with the headers Connection: Upgrade and Upgrade: websocket."
            upgrade = [(b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")]
            await _respond(send, HTTPStatus.UPGRADE_REQUIRED, text, upgrade)
        elif self._app is None:
            await _respond(send, HTTPStatus.NOT_FOUND, "There is nothing here.", [])
        else:
            await self._app(scope, receive, send)


async def _respond(send: ASGISend, status: HTTPStatus, text: str, headers: list[tuple[bytes, bytes]]) -> None:
    body = f"{text}\n".encode()
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status.value, "headers": fields})
    await send({"type": "http.response.body", "body": body})
