"""A router inside somebody else's process: one realm in which everybody may do everything.

What `rocade start` runs where there is no configuration file, without a file, a process or signals of its own.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rocade.errors import ConfigurationError
from rocade.net.addresses import is_loopback, loopback_hosts
from rocade.net.link import Link, Receiver
from rocade.net.listener import Listener
from rocade.net.rawsocket import RawSocketEndpoint, RawSocketOptions
from rocade.net.sockets import bind_tcp, bind_unix, describe
from rocade.net.websocket import WebSocketEndpoint, WebSocketOptions
from rocade.router.permissions import EVERYTHING, Role
from rocade.serve.authentication import Anonymous
from rocade.serve.authorization import Authorizer
from rocade.serve.gateway import DEFAULT_RESUME_WINDOW, Gateway

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["DEFAULT_PORT", "EmbeddedRouter"]

DEFAULT_PORT = 8080
"""Where it listens unless told otherwise; or on the next port that is free."""

PORTS_TRIED = 100
"""How many ports are tried before it gives up."""

WEBSOCKET_PATH = "/ws"
"""The HTTP path of its WebSocket."""

GOODBYE_SECONDS = 1.0
"""How long clients have to answer GOODBYE."""

SHUTDOWN_SECONDS = 1.5
"""How long connections then have to close."""

ROLE = "anonymous"
"""The role of everybody."""

Entrance = Callable[[Link], Receiver]
"""What takes new links in."""

logger = logging.getLogger("rocade.router")


class EmbeddedRouter:
    """A router on the running event loop, reached in memory and, where it listens, over WebSocket and RawSocket.

    Attributes:
        realm: the name of its realm.
        gateway: its realms and sessions.
        entrance: takes in clients of the same process; every new link is given to it.
    """

    def __init__(
        self,
        realm: str = "realm1",
        *,
        authorizer: Authorizer | None = None,
        wrap: Callable[[Entrance], Entrance] | None = None,
        resume_window: float = DEFAULT_RESUME_WINDOW,
    ) -> None:
        """
        Args:
            realm: the name of its realm.
            authorizer: asked about every request; everything is allowed by default.
            wrap: put around the entrance of every link, to see what goes over it.
            resume_window: seconds that a resumable session outlives its connection.
        Raises:
            ConfigurationError: the realm cannot have that name.
        """
        self.realm = realm
        self.gateway = Gateway(authorizer=authorizer, resume_window=resume_window)
        try:
            self.gateway.add_realm(realm, [Role(ROLE, [EVERYTHING])])
        except ConfigurationError as error:
            raise ConfigurationError("realm", error.message) from None
        entrance = self.gateway.entrance({"anonymous": Anonymous(ROLE)})
        self.entrance: Entrance = entrance if wrap is None else wrap(entrance)
        self._sockets: list[tuple[socket.socket, WebSocketOptions]] = []
        self._listeners: list[Listener] = []
        self._site: Starlette | None = None

    @property
    def port(self) -> int:
        """The TCP port, 0 where it has none."""
        for sock, _ in self._sockets:
            if sock.family != getattr(socket, "AF_UNIX", None):
                return int(sock.getsockname()[1])
        return 0

    @property
    def url(self) -> str:
        """Where WebSocket clients connect; "" where it does not listen on TCP.

        When it listens on all addresses, the one of loopback.
        """
        for sock, _ in self._sockets:
            if sock.family != getattr(socket, "AF_UNIX", None):
                address = describe(sock).replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")
                return f"ws://{address}{WEBSOCKET_PATH}"
        return ""

    @property
    def http_url(self) -> str:
        """Where browsers find what it serves, without a slash at its end; "" where it does not listen on TCP."""
        return self.url.replace("ws://", "http://", 1).removesuffix(WEBSOCKET_PATH)

    def bind(self, host: str = "127.0.0.1", port: int | None = None, *, insecure: bool = False) -> None:
        """Take an address to listen on, without accepting anybody yet.

        Args:
            host: address or name. One that other machines reach needs `insecure`.
            port: 0 for a free one. None is 8080 or, where that is taken, the next one that is free.
            insecure: let anybody who reaches the address do everything.
        Raises:
            ConfigurationError: the address cannot be had or is none, or strangers would do everything there.
        """
        if not insecure and not is_loopback(host):
            raise ConfigurationError(
                "host",
                f"{host or 'every address'} can be reached from other machines, and anybody who connects may do "
                "everything in this router; listen on 127.0.0.1, allow it with insecure=True, or configure a router "
                "with `rocade start --config`",
            )
        if port is not None and not (isinstance(port, int) and 0 <= port <= 65535):
            raise ConfigurationError("port", f"expected a whole number from 0 to 65535, got {port!r}")
        sock = _bind(host, port)
        hosts = loopback_hosts(host) if is_loopback(host) else None
        self._sockets.append((sock, WebSocketOptions(allowed_hosts=hosts)))

    def bind_unix(self, path: str) -> None:
        """Take a Unix socket to listen on, which only programs of the same user can open.

        Args:
            path: where; its directory must exist.
        Raises:
            ConfigurationError: it cannot be had.
        """
        try:
            self._sockets.append((bind_unix(path), WebSocketOptions()))
        except OSError as error:
            raise ConfigurationError("unix", error.strerror or str(error)) from None

    def close_sockets(self) -> None:
        """Give up the addresses: all there is to do for a router that has not been started."""
        for sock, _ in self._sockets:
            sock.close()
        self._sockets.clear()

    def serve(self, services: Mapping[str, Any]) -> None:
        """Serve something over HTTP, in place of what was served before. The first time is before `start`.

        Args:
            services: HTTP path -> ASGI application for it and what is below.
        """
        from rocade.serve.web.site import PathRouter, build_site

        if self._site is None:
            self._site = build_site(services)
        else:
            self._site.router.default = PathRouter(services)

    async def start(self) -> None:
        """Accept clients on all addresses taken."""
        for sock, options in self._sockets:
            listener = Listener(
                self._site,
                websockets={WEBSOCKET_PATH: WebSocketEndpoint(options, self.entrance)},
                rawsocket=RawSocketEndpoint(RawSocketOptions(), self.entrance),
                shutdown_timeout=SHUTDOWN_SECONDS,
            )
            await listener.start(sock)
            self._listeners.append(listener)

    async def stop(self) -> None:
        """Say GOODBYE to all sessions, close all connections, stop listening."""
        await self.gateway.shutdown(GOODBYE_SECONDS)
        for listener in self._listeners:
            await listener.stop()
        self._listeners.clear()
        self.close_sockets()


def _bind(host: str, port: int | None) -> socket.socket:
    wanted = DEFAULT_PORT if port is None else port
    for candidate in range(wanted, wanted + (PORTS_TRIED if port is None else 1)):
        try:
            sock = bind_tcp(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigurationError("host", error.strerror or str(error)) from None
            continue
        if candidate != wanted:
            logger.info("port %d is taken, so it is port %d", wanted, candidate)
        return sock
    text = f"cannot listen on {host}:{wanted}: the address is in use already"
    raise ConfigurationError("port", text if port is not None else f"{text}, and so are the ports that follow")
