"""Listening transports of the configuration file, and the endpoints they listen on."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from rocade.net.addresses import is_loopback
from rocade.node.limits import TransportLimits
from rocade.node.section import FilePath, Identifier, Section, Text, ineffective, not_yet
from rocade.node.services import PathService, RawSocketService, WampService, WebSocketService

__all__ = [
    "TLS",
    "Endpoint",
    "RawSocketTransport",
    "TcpEndpoint",
    "TesteeTransport",
    "Transport",
    "UniversalTransport",
    "UnixEndpoint",
    "WebOptions",
    "WebSection",
    "WebSocketTransport",
    "WebTransport",
    "canonical_path",
    "wamp_services",
]


class TLS(Section, kw_only=True, frozen=True):
    """Certificates of an endpoint. All files are PEM; they are read again on SIGHUP."""

    certificate: Annotated[
        FilePath,
        Meta(description="The server's certificate. The rest of its chain may follow in the same file."),
    ]
    key: Annotated[FilePath, Meta(description="The certificate's private key, without a passphrase.")]
    chain_certificates: Annotated[
        tuple[FilePath, ...],
        Meta(description="The rest of the certificate's chain, where it is in files of its own."),
    ] = ()
    ca_certificates: Annotated[
        Annotated[tuple[FilePath, ...], Meta(min_length=1)] | None,
        Meta(description="Authorities whose certificates clients must show. Left out: clients are not asked."),
    ] = None
    client_certificates: Annotated[
        Literal["optional", "required"] | None,
        Meta(description='Whether clients must have a certificate. Left out: "required" with `ca_certificates`.'),
    ] = None
    minimum_version: Annotated[Literal["1.2", "1.3"], Meta(description="The oldest version of TLS spoken.")] = "1.2"
    ciphers: Annotated[
        Text | None,
        Meta(description="Ciphers up to TLS 1.2, in OpenSSL's notation. Left out: those that Python finds safe."),
    ] = None
    dhparam: Annotated[
        FilePath | None,
        Meta(description="Parameters for DHE ciphers. Left out: only ECDHE, which all clients of today speak."),
    ] = None

    @property
    def asks_for_certificates(self) -> Literal["optional", "required"] | None:
        """Whether clients need a certificate; None if they are not asked for one."""
        return self.client_certificates or ("required" if self.ca_certificates else None)


class Endpoint(Section, kw_only=True, frozen=True, tag_field="type"):
    """Where a transport listens."""

    tls: Annotated[TLS | None, Meta(description="Certificates, which make all connections TLS. Left out: none.")] = None

    backlog: Annotated[
        int,
        Meta(ge=1, le=65535, description="Connections that may wait to be accepted. Crossbar's default is 50."),
    ] = 1024


class TcpEndpoint(Endpoint, kw_only=True, frozen=True, tag="tcp"):
    """A TCP port."""

    refused: ClassVar = {
        "portrange": "port ranges are not supported yet",
        "user_timeout": "TCP user timeouts are not supported yet",
        "max_connections": "is 'connections' of the 'limits' of the transport",
    }

    port: Annotated[int, Meta(ge=0, le=65535, description="The port; 0 lets the system choose a free one.")]
    interface: Annotated[str, Meta(description="Address or host name to listen on. Left out: all interfaces.")] = ""
    version: Annotated[
        Literal[4, 6] | None,
        Meta(description="IP version. Left out: that of `interface`, 4 where it does not say."),
    ] = None
    shared: Annotated[
        bool,
        Meta(description="Lets other processes listen on the same port; the system spreads connections over them."),
    ] = False

    @property
    def ip_version(self) -> Literal[4, 6]:
        """The IP version to listen with."""
        return self.version or (6 if ":" in self.interface else 4)

    @property
    def all_interfaces(self) -> bool:
        """Whether connections are accepted on every address of the machine."""
        return self.interface in ("", "0.0.0.0", "::")

    @property
    def loopback(self) -> bool:
        """Whether only programs on the same machine can connect."""
        return is_loopback(self.interface)

    def __str__(self) -> str:
        host = self.interface or ("0.0.0.0" if self.ip_version == 4 else "::")
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


class UnixEndpoint(Endpoint, kw_only=True, frozen=True, tag="unix"):
    """A Unix domain socket."""

    path: Annotated[FilePath, Meta(description="The socket's path. Relative to the configuration file.")]
    mode: Annotated[
        str | int | None,
        Meta(description='Permissions of the socket, such as "0660". Left out: "0600".'),
    ] = None

    @property
    def file_mode(self) -> int | None:
        """Permission bits for chmod, None to leave them alone.

        Raises:
            ValueError: `mode` is no permission bits. Does not happen in a checked configuration.
        """
        if self.mode is None:
            return None
        bits = int(self.mode, 8) if isinstance(self.mode, str) else self.mode
        if not 0 <= bits <= 0o777:
            raise ValueError(f"{self.mode!r} is no file mode")
        return bits

    @property
    def loopback(self) -> bool:
        """Only programs on the same machine can connect."""
        return True

    def __str__(self) -> str:
        return f"unix:{self.path}"


AnyEndpoint = Annotated[
    TcpEndpoint | UnixEndpoint,
    Meta(description="Where to listen.", extra={"refused": not_yet("endpoints", "onion", "tor", "twisted")}),
]
"""One of the kinds of endpoints."""


class WebOptions(Section, kw_only=True, frozen=True):
    """How the HTTP server behaves."""

    access_log: Annotated[
        bool, Meta(description="Logs every HTTP request that is answered, without its query; not WebSockets.")
    ] = False
    display_tracebacks: Annotated[
        bool, ineffective(False, "tracebacks are for the log", "Shows errors of the server to clients.")
    ] = False
    hsts: Annotated[
        bool,
        Meta(description="Has browsers insist on HTTPS (RFC 6797), by a header on what goes out over TLS."),
    ] = False
    hsts_max_age: Annotated[int, Meta(ge=0, description="Seconds for which browsers remember `hsts`.")] = 31_536_000
    client_timeout: Annotated[
        Annotated[int, Meta(ge=1, le=86400)] | None,
        Meta(description="Seconds that an HTTP connection may be idle between two requests. Left out: 5."),
    ] = None


class WebSection(Section, kw_only=True, frozen=True, tag_field="type", tag="web"):
    """HTTP: services by path; WebSocket is one of them."""

    id: Identifier | None = None
    paths: Annotated[dict[str, PathService], Meta(description="Path, such as `/ws`, -> the service below it.")]
    options: Annotated[WebOptions, Meta(description="How the HTTP server behaves.")] = WebOptions()

    @property
    def web_options(self) -> WebOptions:
        """How the HTTP server behaves."""
        return self.options

    @property
    def services(self) -> dict[str, PathService]:
        """What is served over HTTP: canonical path, such as "/ws" -> service."""
        return {canonical_path(path): service for path, service in self.paths.items()}

    @property
    def rawsocket_service(self) -> RawSocketService | None:
        """RawSocket is not spoken here."""
        return None


class WebTransport(WebSection, kw_only=True, frozen=True, tag="web"):
    """HTTP on an endpoint of its own."""

    endpoint: AnyEndpoint
    limits: Annotated[TransportLimits, Meta(description="How many connections are accepted.")] = TransportLimits()


class WebSocketTransport(WebSocketService, kw_only=True, frozen=True, tag="websocket"):
    """WAMP over WebSocket on an endpoint of its own, on every path."""

    endpoint: AnyEndpoint
    limits: Annotated[TransportLimits, Meta(description="How many connections are accepted.")] = TransportLimits()

    @property
    def web_options(self) -> WebOptions:
        """How the HTTP server behaves."""
        return WebOptions()

    @property
    def services(self) -> dict[str, PathService]:
        """What is served over HTTP: this service, on every path."""
        return {"/": self}

    @property
    def rawsocket_service(self) -> RawSocketService | None:
        """RawSocket is not spoken here."""
        return None


class TesteeTransport(WebSocketTransport, kw_only=True, frozen=True, tag="websocket"):
    """A WebSocket that sends every message back. Its clients need no subprotocol, and cannot log in."""


class RawSocketTransport(RawSocketService, kw_only=True, frozen=True, tag="rawsocket"):
    """WAMP over RawSocket on an endpoint of its own."""

    endpoint: AnyEndpoint
    limits: Annotated[TransportLimits, Meta(description="How many connections are accepted.")] = TransportLimits()

    @property
    def web_options(self) -> WebOptions:
        """How the HTTP server behaves."""
        return WebOptions()

    @property
    def services(self) -> dict[str, PathService]:
        """Nothing is served over HTTP."""
        return {}

    @property
    def rawsocket_service(self) -> RawSocketService | None:
        """This service."""
        return self


class UniversalTransport(Section, kw_only=True, frozen=True, tag_field="type", tag="universal"):
    """RawSocket, WebSocket and HTTP on one endpoint; the first byte of a connection tells them apart."""

    refused: ClassVar = {"mqtt": "MQTT is not supported yet"}

    id: Identifier | None = None
    endpoint: AnyEndpoint
    limits: Annotated[TransportLimits, Meta(description="How many connections are accepted.")] = TransportLimits()
    rawsocket: Annotated[RawSocketService | None, Meta(description="WAMP over RawSocket. Left out: refused.")] = None
    websocket: Annotated[dict[str, WebSocketService], Meta(description="Path -> WAMP over WebSocket there.")] = {}
    web: Annotated[WebSection | None, Meta(description="HTTP services by path.")] = None

    @property
    def web_options(self) -> WebOptions:
        """How the HTTP server behaves."""
        return self.web.options if self.web else WebOptions()

    @property
    def services(self) -> dict[str, PathService]:
        """What is served over HTTP: canonical path, such as "/ws" -> service."""
        found: dict[str, PathService] = self.web.services if self.web else {}
        return found | {canonical_path(path): service for path, service in self.websocket.items()}

    @property
    def rawsocket_service(self) -> RawSocketService | None:
        """RawSocket on this endpoint, None if it is not spoken here."""
        return self.rawsocket


Transport = Annotated[
    WebTransport | WebSocketTransport | RawSocketTransport | UniversalTransport,
    Meta(extra={"refused": not_yet("transports", "flashpolicy", "mqtt", "stream.testee", "websocket.testee")}),
]
"""One listening endpoint and what is spoken there."""


def canonical_path(path: str) -> str:
    """A path of the file as the URL has it: "ws", "/ws" and "/ws/" are all "/ws"; the root is "/"."""
    return "/" + path.strip("/")


def wamp_services(transport: Transport) -> list[WampService]:
    """Everything on a transport that WAMP sessions come in by."""
    found: list[WampService] = [transport.rawsocket_service] if transport.rawsocket_service else []
    return found + [service for service in transport.services.values() if isinstance(service, WampService)]
