"""The router worker: what a configuration describes, built from the parts of the other layers."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from rocade.errors import ConfigurationError
from rocade.net.deflate import DeflateOptions
from rocade.net.door import Door
from rocade.net.link import Link, Receiver
from rocade.net.listener import Listener
from rocade.net.rawsocket import RawSocketEndpoint, RawSocketOptions
from rocade.net.sockets import bind_tcp, bind_unix, describe
from rocade.net.testee import TesteeEndpoint
from rocade.net.tls import ServerTLS
from rocade.net.websocket import WebSocketEndpoint, WebSocketOptions
from rocade.node import realms, services, settings, transports
from rocade.node.allowances import allowances, door, login_policy
from rocade.node.certificates import server_tls
from rocade.node.cookie_jars import CookieJars
from rocade.node.logins import authenticators
from rocade.node.policy import role, role_authorizers
from rocade.router.history import HistoryRule
from rocade.serve.gateway import Gateway
from rocade.serve.internal import InternalCalls
from rocade.serve.outbox import DEFAULT_MAX_OUTBOX_BYTES
from rocade.wamp.messages import Match

if TYPE_CHECKING:
    from rocade.serve.authentication.cookies import CookieJar
    from rocade.serve.history_store import HistoryStore

__all__ = ["Worker"]

HEAD_SECONDS = 10.0
"""How long clients have for the head of a request where no service says otherwise."""

GOODBYE_SECONDS = 1.0
"""How long clients have to answer GOODBYE when the worker stops."""

SHUTDOWN_SECONDS = 1.5
"""How long connections then have to close."""

IDLE_SECONDS = 5.0
"""How long an HTTP connection may be idle between two requests, where the file does not say."""

STORE_SECONDS = 1.0
"""How long writing the latest events may take."""

logger = logging.getLogger("rocade.node")


class Worker:
    """A running router: its realms, and the transports that lead to them. Or a testee, which has no realms.

    Attributes:
        configuration: what it was built from.
        gateway: its realms and sessions.
    """

    def __init__(self, configuration: settings.RouterWorker | settings.TesteeWorker) -> None:
        """
        Args:
            configuration: of a checked configuration file.
        """
        self.configuration = configuration
        limits = configuration.limits
        self.gateway = Gateway(
            resume_window=configuration.options.resume_window,
            max_outbox_bytes=configuration.options.max_outbox_size,
            max_sessions=limits.sessions,
            logins=login_policy(limits.failed_logins),
        )
        self._calls = InternalCalls(self.gateway)
        for realm in configuration.realms:
            self.gateway.add_realm(
                realm.name,
                [role(each) for each in realm.roles],
                strict_uris=realm.options.uri_check == "strict",
                sequential_requests=realm.options.request_ids == "sequential",
                history=_history(realm),
                has_event_store=isinstance(realm.store, realms.SqliteStore),
                allowances=allowances(realm),
            )
        authorizers = role_authorizers(configuration.realms, self._calls)
        if authorizers is not None:
            self.gateway.authorizer = authorizers
            for name, built in self.gateway.realms.items():
                built.meta.add(authorizers.procedures(name))
        self._cookies = CookieJars(configuration)
        self._stores: list[HistoryStore] = []
        self._tls: list[ServerTLS | None] = []
        self._sockets: list[socket.socket] = []
        self._listeners: list[Listener] = []

    def bind(self) -> None:
        """Load the certificates, open the stores and take all addresses, without accepting anybody yet.

        Raises:
            ConfigurationError: a certificate, file or address cannot be had; the text says which and why.
        """
        endpoints = [transport.endpoint for transport in self.configuration.transports]
        self._tls = [server_tls(endpoint, self._endpoint_path(position)) for position, endpoint in enumerate(endpoints)]
        for tls in self._tls:
            if tls is not None:
                _warn(tls)
        self._open_stores()
        for position, endpoint in enumerate(endpoints):
            try:
                self._sockets.append(_bind(endpoint))
            except OSError as error:
                self.close_sockets()
                self._close_stores()
                message = _reason(endpoint, error)
                raise ConfigurationError(self._endpoint_path(position), message) from None

    def close_sockets(self) -> None:
        """Give up the addresses."""
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    def _open_stores(self) -> None:
        for position, realm in enumerate(self.configuration.realms):
            if isinstance(realm.store, realms.SqliteStore):
                from rocade.serve.history_store import HistoryStore

                try:
                    store = HistoryStore(realm.store.path, realm.name, _history(realm))
                except ConfigurationError as error:
                    self._close_stores()
                    raise ConfigurationError(f"workers[0].realms[{position}].store.path", error.message) from None
                self.gateway.event_stores[realm.name] = store
                self._stores.append(store)
        try:
            self._cookies.open()
        except ConfigurationError:
            self._close_stores()
            raise

    def _close_stores(self) -> None:
        deadline = time.monotonic() + STORE_SECONDS
        for store in self._stores:
            store.close(max(0.0, deadline - time.monotonic()))
        self._stores.clear()
        self._cookies.close(max(0.0, deadline - time.monotonic()))

    async def start(self) -> None:
        """Accept clients on all bound addresses."""
        for store in self._stores:
            store.start()
        self._cookies.start()
        for transport, tls, listening in zip(self.configuration.transports, self._tls, self._sockets, strict=True):
            listener = self._listener(transport, tls)
            await listener.start(listening)
            self._listeners.append(listener)

    async def stop(self) -> None:
        """Say GOODBYE to all sessions, close all connections, stop listening."""
        await self.gateway.shutdown(GOODBYE_SECONDS)
        reached = self.gateway.counters.summary()
        if reached:
            logger.info("limits that were reached: %s", reached)
        if self._stores or self._cookies.has_files:
            # No session is left that could publish. Before the rest, which may take all the time there is.
            await asyncio.to_thread(self._close_stores)
        for listener in self._listeners:
            await listener.stop()
        self._listeners.clear()
        self._sockets.clear()

    def reload_certificates(self) -> None:
        """Read the files of all TLS listeners again, for connections that come from now on; open ones stay.

        The log says for each listener what it has now. One whose new files are no good keeps what it had.
        """
        reloaded = 0
        for position, (tls, listening) in enumerate(zip(self._tls, self._sockets, strict=True)):
            if tls is None:
                continue
            reloaded += 1
            try:
                tls.reload()
            except ConfigurationError as error:
                path = f"{self._endpoint_path(position)}.tls.{error.path}"
                logger.error("%s: %s; %s keeps the %s", path, error.message, describe(listening), tls.certificate)
            else:
                logger.info("%s has reloaded its files: %s", describe(listening), tls.certificate)
                _warn(tls)
        if not reloaded:
            logger.info("no certificates to reload: no transport has TLS")

    def describe(self) -> list[str]:
        """What listens where and leads where, one plain line for each way in; and which history is kept."""
        lines = []
        for transport, tls, listening in zip(self.configuration.transports, self._tls, self._sockets, strict=True):
            address = describe(listening)
            is_secure = tls is not None
            for path, service in transport.services.items():
                lines.append(_service_line(address, path, service, is_secure))
            if transport.rawsocket_service is not None:
                names = ", ".join(transport.rawsocket_service.serializers)
                lines.append(f"RawSocket on {_url('tcp', address, '', is_secure)} ({names})")
            if tls is not None:
                lines.append(f"TLS on {address}: {tls.certificate}{_clients(transport.endpoint)}")
        lines.extend(_history_line(realm) for realm in self.configuration.realms if realm.store is not None)
        return lines

    # --- parts ------------------------------------------------------------------------------------

    def _endpoint_path(self, position: int) -> str:
        """Where in the configuration the endpoint of a transport stands."""
        return f"{self.configuration.transport_path(position)}.endpoint"

    def _listener(self, transport: transports.Transport, tls: ServerTLS | None) -> Listener:
        from rocade.serve.web.site import build_site

        counted = door(transport.limits, self.gateway)
        websockets: dict[str, WebSocketEndpoint] = {}
        applications: dict[str, ASGIApp] = {}
        for path, service in transport.services.items():
            if isinstance(service, services.WebSocketService):
                websockets[path] = self._websocket(service, counted, is_secure=tls is not None)
            elif isinstance(service, services.LongPollService):
                applications[path] = self._long_poll(
                    service, counted, transport.limits.long_polls_per_address, is_secure=tls is not None
                )
            else:
                applications[path] = _application(service)
        rawsocket = transport.rawsocket_service
        options = transport.web_options
        return Listener(
            _wrapped(build_site(applications), options) if applications else None,
            websockets=websockets,
            rawsocket=None if rawsocket is None else self._rawsocket(rawsocket, counted),
            tls=None if tls is None else tls.context,
            head_timeout=_head_timeout(transport),
            shutdown_timeout=SHUTDOWN_SECONDS,
            idle_timeout=options.client_timeout or IDLE_SECONDS,
            # The connections of a testee never have a session.
            door=None if isinstance(transport, transports.TesteeTransport) else counted,
        )

    def _websocket(self, service: services.WebSocketService, counted: Door, *, is_secure: bool) -> WebSocketEndpoint:
        options = _websocket_options(service)
        if isinstance(service, transports.TesteeTransport):
            return TesteeEndpoint(options)
        jar = self._cookies.jar(service, is_secure=is_secure)
        return WebSocketEndpoint(options, self._entrance(service, counted, jar), jar)

    def _long_poll(
        self, service: services.LongPollService, counted: Door, per_address: int, *, is_secure: bool
    ) -> ASGIApp:
        from rocade.serve.web.longpoll import LongPoll, LongPollOptions

        options = service.options
        jar = self._cookies.jar(service, is_secure=is_secure)
        return LongPoll(
            LongPollOptions(
                serializers=service.serializers,
                request_timeout=options.request_timeout,
                session_timeout=options.session_timeout,
                max_message_bytes=options.max_message_size,
                max_queue_bytes=options.queue_limit_bytes or DEFAULT_MAX_OUTBOX_BYTES,
                max_queue_messages=options.queue_limit_messages or sys.maxsize,
                allowed_origins=options.allowed_origins,
                allow_null_origin=options.allow_null_origin,
                max_connections_per_address=per_address,
            ),
            self._entrance(service, counted, jar),
            counted,
            jar,
        )

    def _rawsocket(self, service: services.RawSocketService, counted: Door) -> RawSocketEndpoint:
        options = RawSocketOptions(
            serializers=service.serializers,
            max_message_bytes=service.max_message_bytes,
            ping_interval=service.options.ping_interval or 0,
            ping_timeout=service.options.ping_timeout or float("inf"),
        )
        return RawSocketEndpoint(options, self._entrance(service, counted))

    def _entrance(
        self, service: services.WampService, counted: Door, jar: CookieJar | None = None
    ) -> Callable[[Link], Receiver]:
        return self.gateway.entrance(authenticators(service.auth, "auth", self._calls, jar), counted)


def _wrapped(site: ASGIApp, options: transports.WebOptions) -> ASGIApp:
    from rocade.serve.web.wrappers import AccessLog, StrictTransportSecurity

    if options.hsts:
        site = StrictTransportSecurity(site, options.hsts_max_age)
    return AccessLog(site) if options.access_log else site


def _websocket_options(service: services.WebSocketService) -> WebSocketOptions:
    options = service.options
    return WebSocketOptions(
        serializers=service.serializers,
        max_message_bytes=options.max_message_size,
        ping_interval=options.ping_interval or 0,
        ping_timeout=options.ping_timeout or float("inf"),
        close_timeout=options.closing_timeout,
        allowed_origins=options.allowed_origins,
        allow_null_origin=options.allow_null_origin,
        allowed_hosts=options.allowed_hosts,
        require_subprotocol=options.require_websocket_subprotocol,
        deflate=_deflate(options.compression),
    )


def _deflate(compression: services.Compression | None) -> DeflateOptions | None:
    options = None if compression is None else compression.deflate
    if options is None:
        return None
    defaults = DeflateOptions()
    return DeflateOptions(
        request_no_context_takeover=options.request_no_context_takeover,
        request_max_window_bits=options.request_max_window_bits,
        no_context_takeover=options.no_context_takeover or False,
        max_window_bits=options.max_window_bits or defaults.max_window_bits,
        memory_level=options.memory_level or defaults.memory_level,
    )


def _head_timeout(transport: transports.Transport) -> float:
    """Seconds for the head of a request: what the most patient of the transport's services allows."""
    timeouts = [
        service.options.opening_timeout
        for service in transport.services.values()
        if isinstance(service, services.WebSocketService)
    ]
    return max(timeouts, default=HEAD_SECONDS)


def _history(realm: realms.Realm) -> list[HistoryRule]:
    store = realm.store
    if store is None:
        return []
    return [HistoryRule(entry.uri, Match(entry.match), entry.limit or store.limit) for entry in store.event_history]


def _history_line(realm: realms.Realm) -> str:
    store = realm.store
    assert store is not None
    place = f"in {store.path}" if isinstance(store, realms.SqliteStore) else "in memory"
    uris = ", ".join(repr(entry.uri) for entry in store.event_history)
    return f"event history of {realm.name} {place}: {uris or 'of nothing'}"


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


def _reason(endpoint: transports.TcpEndpoint | transports.UnixEndpoint, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {endpoint}: the address is in use already"
    return error.strerror or str(error)  # which names the address, too


def _service_line(address: str, path: str, service: services.Service, is_secure: bool) -> str:
    if isinstance(service, transports.TesteeTransport):
        return f"WebSocket on {_url('ws', address, path, is_secure)} that sends every message back"
    if isinstance(service, services.WebSocketService):
        return f"WebSocket on {_url('ws', address, path, is_secure)} ({', '.join(service.serializers)})"
    if isinstance(service, services.LongPollService):
        return f"long-poll on {_url('http', address, path, is_secure)} ({', '.join(service.serializers)})"
    what = "files" if isinstance(service, services.StaticService) else "a JSON value"
    return f"{what} on {_url('http', address, path, is_secure)}"


def _url(scheme: str, address: str, path: str, is_secure: bool) -> str:
    """Where clients connect; "tls" is what Node.js, nginx and others call plain TCP inside TLS."""
    if address.startswith("unix:"):
        return address + (f" at {path}" if path else "") + (" over TLS" if is_secure else "")
    if is_secure:
        scheme = {"http": "https", "tcp": "tls", "ws": "wss"}[scheme]
    return f"{scheme}://{address}{path}"


def _clients(endpoint: transports.Endpoint) -> str:
    """What the endpoint wants to see of its clients."""
    wanted = None if endpoint.tls is None else endpoint.tls.asks_for_certificates
    return "" if wanted is None else f"; certificates of clients are {wanted}"


def _warn(tls: ServerTLS) -> None:
    problem = tls.problem()
    if problem is not None:
        logger.warning("%s, so clients will refuse it", problem)
