"""The router worker: what a configuration describes, built from the parts of the other layers."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from starlette.types import ASGIApp

from rocade.errors import ConfigurationError
from rocade.net.link import Link, Receiver
from rocade.net.listener import Listener
from rocade.net.rawsocket import RawSocketEndpoint, RawSocketOptions
from rocade.net.sockets import bind_tcp, bind_unix, describe
from rocade.net.websocket import WebSocketEndpoint, WebSocketOptions
from rocade.node import realms, services, settings, transports
from rocade.router.permissions import Permission, Role
from rocade.serve.authentication import Anonymous, Authenticator
from rocade.serve.gateway import Gateway
from rocade.wamp.messages import Match

__all__ = ["Worker"]

HEAD_SECONDS = 10.0
"""How long clients have for the head of a request where no service says otherwise."""

GOODBYE_SECONDS = 1.0
"""How long clients have to answer GOODBYE when the worker stops."""

SHUTDOWN_SECONDS = 1.5
"""How long connections then have to close."""


class Worker:
    """A running router: its realms, and the transports that lead to them.

    Attributes:
        configuration: what it was built from.
        gateway: its realms and sessions.
    """

    def __init__(self, configuration: settings.RouterWorker) -> None:
        """
        Args:
            configuration: of a checked configuration file.
        """
        self.configuration = configuration
        self.gateway = Gateway()
        for realm in configuration.realms:
            self.gateway.add_realm(
                realm.name,
                [_role(role) for role in realm.roles],
                strict_uris=realm.options.uri_check == "strict",
                sequential_requests=realm.options.request_ids == "sequential",
            )
        self._sockets: list[socket.socket] = []
        self._listeners: list[Listener] = []

    def bind(self) -> None:
        """Take the addresses of all transports, without accepting anybody yet.

        Raises:
            ConfigurationError: an address cannot be had; the text says which and why.
        """
        for position, transport in enumerate(self.configuration.transports):
            try:
                self._sockets.append(_bind(transport.endpoint))
            except OSError as error:
                self.close_sockets()
                path = f"workers[0].transports[{position}].endpoint"
                raise ConfigurationError(path, f"cannot listen on {transport.endpoint}: {_reason(error)}") from None

    def close_sockets(self) -> None:
        """Give up the addresses."""
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    async def start(self) -> None:
        """Accept clients on all bound addresses."""
        for transport, listening in zip(self.configuration.transports, self._sockets, strict=True):
            listener = self._listener(transport)
            await listener.start(listening)
            self._listeners.append(listener)

    async def stop(self) -> None:
        """Say GOODBYE to all sessions, close all connections, stop listening."""
        await self.gateway.shutdown(GOODBYE_SECONDS)
        for listener in self._listeners:
            await listener.stop()
        self._listeners.clear()
        self._sockets.clear()

    def describe(self) -> list[str]:
        """What listens where and leads where, one plain line for each way in."""
        lines = []
        for transport, listening in zip(self.configuration.transports, self._sockets, strict=True):
            address = describe(listening)
            for path, service in transport.services.items():
                lines.append(_service_line(address, path, service))
            if transport.rawsocket_service is not None:
                names = ", ".join(transport.rawsocket_service.serializers)
                lines.append(f"RawSocket on {_url('tcp', address, '')} ({names})")
        return lines

    # --- parts ------------------------------------------------------------------------------------

    def _listener(self, transport: transports.Transport) -> Listener:
        from rocade.serve.web.site import build_site

        websockets: dict[str, WebSocketEndpoint] = {}
        applications: dict[str, ASGIApp] = {}
        for path, service in transport.services.items():
            if isinstance(service, services.WebSocketService):
                websockets[path] = self._websocket(service)
            else:
                applications[path] = _application(service)
        rawsocket = transport.rawsocket_service
        return Listener(
            build_site(applications) if applications else None,
            websockets=websockets,
            rawsocket=None if rawsocket is None else self._rawsocket(rawsocket),
            head_timeout=_head_timeout(transport),
            shutdown_timeout=SHUTDOWN_SECONDS,
        )

    def _websocket(self, service: services.WebSocketService) -> WebSocketEndpoint:
        options = service.options
        return WebSocketEndpoint(
            WebSocketOptions(
                serializers=service.serializers,
                max_message_bytes=options.max_message_size,
                ping_interval=options.ping_interval or 0,
                ping_timeout=options.ping_timeout or float("inf"),
                close_timeout=options.closing_timeout,
                allowed_origins=options.allowed_origins,
                allow_null_origin=options.allow_null_origin,
                require_subprotocol=options.require_websocket_subprotocol,
            ),
            self._entrance(service),
        )

    def _rawsocket(self, service: services.RawSocketService) -> RawSocketEndpoint:
        options = RawSocketOptions(serializers=service.serializers, max_message_bytes=service.max_message_bytes)
        return RawSocketEndpoint(options, self._entrance(service))

    def _entrance(self, service: services.WampService) -> Callable[[Link], Receiver]:
        authenticators: dict[str, Authenticator] = {}
        if service.anonymous_role is not None:
            authenticators["anonymous"] = Anonymous(service.anonymous_role)
        return self.gateway.entrance(authenticators)


def _head_timeout(transport: transports.Transport) -> float:
    """Seconds for the head of a request: what the most patient of the transport's services allows."""
    timeouts = [
        service.options.opening_timeout
        for service in transport.services.values()
        if isinstance(service, services.WebSocketService)
    ]
    return max(timeouts, default=HEAD_SECONDS)


def _role(role: realms.Role) -> Role:
    permissions = [_permission(permission) for permission in role.permissions]
    if role.allow_by_default:
        everything = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
        permissions.insert(0, everything)
    return Role(role.name, permissions)


def _permission(permission: realms.Permission) -> Permission:
    uri, match = permission.pattern
    granted = permission.granted
    return Permission(
        uri=uri,
        match=Match(match),
        call=granted.call,
        register=granted.register,
        publish=granted.publish,
        subscribe=granted.subscribe,
        disclose_caller=permission.disclose.caller,
        disclose_publisher=permission.disclose.publisher,
    )


def _application(service: services.Service) -> ASGIApp:
    if isinstance(service, services.JsonService):
        from rocade.serve.web.json_value import JsonValue

        options = service.options
        return JsonValue(
            service.value,
            prettify=options.prettify,
            allow_cross_origin=options.allow_cross_origin,
            discourage_caching=options.discourage_caching,
        )
    assert isinstance(service, services.StaticService)
    from rocade.serve.web.static import StaticDirectory

    root = service.root
    assert root is not None, "a checked configuration has directories only"
    return StaticDirectory(
        root,
        listing=service.options.enable_directory_listing,
        content_types=service.options.mime_types,
        default_file=service.options.default_file,
        fallback=service.options.fallback,
        max_age=service.options.cache_timeout,
    )


def _bind(endpoint: transports.TcpEndpoint | transports.UnixEndpoint) -> socket.socket:
    if isinstance(endpoint, transports.UnixEndpoint):
        mode = 0o600 if endpoint.file_mode is None else endpoint.file_mode
        return bind_unix(endpoint.path, mode=mode, backlog=endpoint.backlog)
    host = endpoint.interface or ("0.0.0.0" if endpoint.ip_version == 4 else "::")
    return bind_tcp(host, endpoint.port, backlog=endpoint.backlog, reuse_port=endpoint.shared)


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use already"
    return error.strerror or str(error)


def _service_line(address: str, path: str, service: services.Service) -> str:
    if isinstance(service, services.WebSocketService):
        return f"WebSocket on {_url('ws', address, path)} ({', '.join(service.serializers)})"
    what = "files" if isinstance(service, services.StaticService) else "a JSON value"
    return f"{what} on {_url('http', address, path)}"


def _url(scheme: str, address: str, path: str) -> str:
    if address.startswith("unix:"):
        return address + (f" at {path}" if path else "")
    return f"{scheme}://{address}{path}"
