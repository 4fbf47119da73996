"""Path services of the configuration file: what is served below a path of a web or universal transport."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from rocade.node.authentication import AnonymousAuth, Auth
from rocade.node.cookies import CookieSettings
from rocade.node.section import FilePath, Identifier, Milliseconds, Section, Text, fixed, ineffective, not_yet, seconds

__all__ = [
    "ALL_SERIALIZERS",
    "Compression",
    "DeflateOptions",
    "JsonOptions",
    "JsonService",
    "LongPollOptions",
    "LongPollService",
    "PathService",
    "RawSocketOptions",
    "RawSocketService",
    "Service",
    "StaticOptions",
    "StaticService",
    "WampService",
    "WebSocketOptions",
    "WebSocketService",
]

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Default limit of a message: the largest that RawSocket can carry, so that all transports take the same."""

CEILING_BYTES = 64 * 1024 * 1024
"""Largest limit that can be configured, as in Crossbar."""

OPENING_MILLISECONDS = 10_000
"""Default limit of an opening handshake."""

CLOSING_MILLISECONDS = 5_000
"""Default limit of a closing handshake."""

Serializer = Annotated[
    Literal["json", "msgpack", "cbor"],
    Meta(extra={"refused": not_yet("serializers", "ubjson", "flatbuffers")}),
]
"""A serializer that clients may ask for."""

Serializers = Annotated[
    tuple[Serializer, ...],
    Meta(min_length=1, description="Serializers that clients may ask for, the preferred one first."),
]

ALL_SERIALIZERS: tuple[Literal["json", "msgpack", "cbor"], ...] = ("json", "msgpack", "cbor")
"""What is offered where the file does not say."""


WindowBits = Literal[9, 10, 11, 12, 13, 14, 15]
"""Binary logarithm of the size of a compression window in bytes."""


class DeflateOptions(Section, kw_only=True, frozen=True):
    """How messages are compressed (RFC 7692). What is requested is what clients send."""

    request_no_context_takeover: Annotated[
        bool, Meta(description="Whether clients must compress each message by itself.")
    ] = False
    request_max_window_bits: Annotated[
        Literal[0] | WindowBits,
        Meta(
            description="Largest window that clients may use; those that do not let the router choose one are not "
            "compressed. 0: theirs."
        ),
    ] = 0
    no_context_takeover: Annotated[
        bool | None,
        Meta(
            description="Whether the router compresses each message by itself, which keeps no memory for compressing "
            "between messages."
        ),
    ] = None
    max_window_bits: Annotated[WindowBits | None, Meta(description="Window that the router uses. Left out: 15.")] = None
    memory_level: Annotated[
        Annotated[int, Meta(ge=1, le=9)] | None,
        Meta(description="Memory that the router uses for compressing. Left out: 8."),
    ] = None


class Compression(Section, kw_only=True, frozen=True):
    """Compression of WebSocket messages."""

    refused: ClassVar = not_yet("compressions", "bzip2", "snappy")

    deflate: Annotated[
        DeflateOptions | None, Meta(description="permessage-deflate, for clients that offer it. Left out: none.")
    ] = None


class WebSocketOptions(Section, kw_only=True, frozen=True):
    """How WebSocket connections behave. Durations are milliseconds; 0 turns pings off."""

    external_port: Annotated[
        int | None,
        ineffective(None, "nothing here depends on the port that clients see", "The port that clients connect to."),
    ] = None
    flash_policy: Annotated[
        str | None, ineffective(None, "there are no Flash players any more", "A policy file for the Flash player.")
    ] = None
    max_message_size: Annotated[
        int,
        Meta(ge=1, le=CEILING_BYTES, description="Largest message accepted from a client, in bytes."),
    ] = MAX_MESSAGE_BYTES
    max_frame_size: Annotated[
        int,
        Meta(
            ge=0,
            le=CEILING_BYTES,
            description="Largest frame accepted from a client, in bytes; 0: as a message. "
            "A limit below that of messages is not supported yet.",
        ),
    ] = 0
    auto_ping_interval: Annotated[
        Milliseconds, Meta(description="How often a silent client is pinged. Crossbar's default is 0: never.")
    ] = 30_000
    auto_ping_timeout: Annotated[
        Milliseconds, Meta(description="How long a client may take to answer a ping before it is dropped.")
    ] = 20_000
    auto_ping_size: Annotated[
        int,
        ineffective(12, "pings carry nothing", "Payload of a ping, in bytes.", ge=12, le=125),
    ] = 12
    auto_ping_restart_on_any_traffic: Annotated[
        bool,
        ineffective(True, "any data from the client counts", "Whether any data counts as a sign of life."),
    ] = True
    allowed_origins: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="Origins of web pages that may connect, besides those of loopback hosts and the server's own; "
            '`*` stands for any text. Left out: no others. Crossbar lets every page connect, which is `["*"]`.'
        ),
    ] = None
    allow_null_origin: Annotated[
        bool,
        Meta(description="Whether pages without an origin (local files, sandboxed frames) may connect."),
    ] = False
    allowed_hosts: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="Host names by which clients may reach this server, with or without a port; `*` stands for any "
            "text. Left out: any, except without a configuration file, where it is this machine's loopback names. "
            "Rocade's own addition."
        ),
    ] = None
    open_handshake_timeout: Annotated[
        Milliseconds,
        Meta(
            description="How long a client may take from connecting to the end of its upgrade request; 0: as left out."
        ),
    ] = OPENING_MILLISECONDS
    close_handshake_timeout: Annotated[
        Milliseconds,
        Meta(description="How long a client may take to answer a close frame before it is dropped; 0: as left out."),
    ] = CLOSING_MILLISECONDS
    require_websocket_subprotocol: Annotated[
        bool,
        Meta(description="Whether clients must name a subprotocol; if not, `wamp.2.json` is assumed for the others."),
    ] = True
    compression: Annotated[
        Compression | None,
        Meta(
            description="How messages are compressed. Left out: not at all, as every compressed connection costs up "
            "to 300 KiB of memory."
        ),
    ] = None
    enable_webstatus: Annotated[
        bool,
        ineffective(True, "browsers get an answer in plain text either way", "A status page for browsers."),
    ] = True
    validate_utf8: Annotated[
        bool, ineffective(True, "text is always checked", "Checks the UTF-8 of text messages.")
    ] = True
    tcp_nodelay: Annotated[
        bool, ineffective(True, "nothing is ever held back", "Sends small messages without delay.")
    ] = True
    fail_by_drop: Annotated[
        bool,
        ineffective(
            False, "clients are always told why", "Drops the connection on errors instead of closing it with a code."
        ),
    ] = False
    echo_close_codereason: Annotated[
        bool, ineffective(True, "it is always echoed", "Answers a close frame with its own code.")
    ] = True
    auto_fragment_size: Annotated[
        int, ineffective(0, "messages are sent in one frame", "Largest frame sent; 0: any size.")
    ] = 0
    mask_server_frames: Annotated[
        bool, ineffective(False, "RFC 6455 forbids it", "Masks the frames that the server sends.")
    ] = False
    require_masked_client_frames: Annotated[
        bool, fixed(True, "unmasked client frames break RFC 6455", "Refuses clients that do not mask.")
    ] = True
    apply_mask: Annotated[
        bool, fixed(True, "unmasked client frames break RFC 6455", "Unmasks what clients have masked.")
    ] = True
    enable_rfc6455: Annotated[
        bool, fixed(True, "RFC 6455 is the only version there is", "Speaks the WebSocket standard.")
    ] = True
    enable_hybi10: Annotated[
        bool, ineffective(False, "all clients of today speak the standard", "Speaks a draft of the WebSocket standard.")
    ] = False
    enable_flash_policy: Annotated[
        bool, ineffective(False, "there are no Flash players any more", "Answers requests of the Flash player.")
    ] = False
    show_server_version: Annotated[
        bool, ineffective(False, "nobody is told", "Names the server's version in responses.")
    ] = False

    @property
    def ping_interval(self) -> float | None:
        """Seconds between pings, None for never."""
        return seconds(self.auto_ping_interval)

    @property
    def ping_timeout(self) -> float | None:
        """Seconds that a pong may take, None for any time."""
        return seconds(self.auto_ping_timeout)

    @property
    def opening_timeout(self) -> float:
        """Seconds that the opening handshake may take. Never unlimited."""
        return (self.open_handshake_timeout or OPENING_MILLISECONDS) / 1000

    @property
    def closing_timeout(self) -> float:
        """Seconds that the closing handshake may take. Never unlimited."""
        return (self.close_handshake_timeout or CLOSING_MILLISECONDS) / 1000


class Service(Section, kw_only=True, frozen=True, tag_field="type"):
    """Something that answers below a path."""

    id: Identifier | None = None


class WampService(Service, kw_only=True, frozen=True):
    """A service that WAMP sessions come in by."""

    serializers: Serializers = ALL_SERIALIZERS
    auth: Annotated[Auth | None, Meta(description="How clients may log in. Left out: anonymously.")] = None
    debug: Annotated[bool, ineffective(False, "--log-level is for the whole router", "Logs every message.")] = False

    @property
    def anonymous_role(self) -> str | None:
        """The role of clients that do not authenticate; None where they may not join, or get one by asking."""
        if self.auth is None:
            return "anonymous"
        return self.auth.anonymous.role if isinstance(self.auth.anonymous, AnonymousAuth) else None


CookieSection = Annotated[
    CookieSettings | None,
    Meta(description="The cookie of `auth.cookie`, without which it has no effect. Left out: as described there."),
]


class WebSocketService(WampService, kw_only=True, frozen=True, tag="websocket"):
    """WAMP over WebSocket."""

    url: Annotated[str | None, Meta(description="The service's public URL, for logs: `wss://example.com/ws`.")] = None
    options: Annotated[WebSocketOptions, Meta(description="How connections behave.")] = WebSocketOptions()
    cookie: CookieSection = None


RawSocketLimit = Annotated[int, Meta(ge=512, le=MAX_MESSAGE_BYTES)]
"""Bytes, in the range that RawSocket's handshake can announce."""


class RawSocketOptions(Section, kw_only=True, frozen=True):
    """How RawSocket connections behave."""

    max_message_size: Annotated[RawSocketLimit, Meta(description="Largest message accepted from a client.")] = (
        MAX_MESSAGE_BYTES
    )
    auto_ping_interval: Annotated[
        Milliseconds,
        Meta(
            description="How often a silent client is pinged, in milliseconds; 0: never. Off unless asked for, since "
            "autobahn-python breaks on a ping: it takes its head for the length of a message. Rocade's own addition."
        ),
    ] = 0
    auto_ping_timeout: Annotated[
        Milliseconds,
        Meta(
            description="How long a client may take to answer a ping before it is dropped; 0: any time. "
            "Rocade's own addition."
        ),
    ] = 20_000

    @property
    def ping_interval(self) -> float | None:
        """Seconds between pings, None for never."""
        return seconds(self.auto_ping_interval)

    @property
    def ping_timeout(self) -> float | None:
        """Seconds that a pong may take, None for any time."""
        return seconds(self.auto_ping_timeout)


class RawSocketService(WampService, kw_only=True, frozen=True, tag="rawsocket"):
    """WAMP over RawSocket."""

    options: Annotated[RawSocketOptions, Meta(description="How connections behave.")] = RawSocketOptions()
    max_message_size: Annotated[
        RawSocketLimit | None,
        Meta(description="Older form of `options.max_message_size`, which it overrides."),
    ] = None

    @property
    def max_message_bytes(self) -> int:
        """Largest message accepted from a client: a power of two, as RawSocket's handshake announces it."""
        limit = self.max_message_size or self.options.max_message_size
        return 1 << (limit.bit_length() - 1)


class LongPollOptions(Section, kw_only=True, frozen=True):
    """How long-poll connections behave. Durations are seconds, as in Crossbar."""

    refused: ClassVar = {
        "debug_transport_id": "a fixed transport id would let everybody into the session",
    }

    request_timeout: Annotated[
        int,
        Meta(
            ge=1,
            description="How long a request for messages waits until it is answered without any. Clients must wait "
            "longer. Never unlimited: a client that has vanished would not be noticed.",
        ),
    ] = 10
    session_timeout: Annotated[
        int,
        Meta(ge=1, description="How long a client may go without any request until it is gone. Never unlimited."),
    ] = 30
    queue_limit_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Bytes that may wait for a client; with more it is disconnected. 0: 64 MiB. Crossbar's "
            "default is 131072, which it does not enforce.",
        ),
    ] = MAX_MESSAGE_BYTES
    queue_limit_messages: Annotated[
        int,
        Meta(
            ge=0,
            description="Messages that may wait for a client; with more it is disconnected. 0: any number. Crossbar's "
            "default is 100, which it does not enforce.",
        ),
    ] = 10_000
    max_message_size: Annotated[
        int,
        Meta(
            ge=1,
            le=CEILING_BYTES,
            description="Largest message, or batch of messages, accepted from a client, in bytes. Rocade's own "
            "addition, as are the two below.",
        ),
    ] = MAX_MESSAGE_BYTES
    allowed_origins: Annotated[
        tuple[str, ...] | None,
        Meta(description="Origins of web pages that may connect, as for WebSocket. Crossbar lets every page connect."),
    ] = None
    allow_null_origin: Annotated[
        bool,
        Meta(description="Whether pages without an origin (local files, sandboxed frames) may connect."),
    ] = False
    debug: Annotated[bool, ineffective(False, "--log-level is for the whole router", "Logs every message.")] = False


class LongPollService(WampService, kw_only=True, frozen=True, tag="longpoll"):
    """WAMP over plain HTTP requests, for clients without WebSocket."""

    options: Annotated[LongPollOptions, Meta(description="How connections behave.")] = LongPollOptions()
    cookie: CookieSection = None


class StaticOptions(Section, kw_only=True, frozen=True):
    """How files are served."""

    enable_directory_listing: Annotated[
        bool,
        Meta(description="Lists the files of a directory that has no index.html."),
    ] = False
    mime_types: Annotated[
        dict[str, str],
        Meta(description='Content types by file name extension: {".svg": "image/svg+xml"}.'),
    ] = {}
    default_file: Annotated[
        Text | None,
        Meta(
            description="File of the directory that is served, with status 200, for every path that does not exist.",
        ),
    ] = None
    fallback: Annotated[
        Text | None,
        Meta(
            description="As `default_file`, but only for pages that a browser navigates to, so that a missing image "
            "or script stays missing: for single-page applications. Rocade's own addition.",
        ),
    ] = None
    cache_timeout: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Seconds for which clients may use a file without asking again. Left out: they ask every "
            "time and get a short answer if nothing changed (Crossbar: 12 hours).",
        ),
    ] = None


class StaticService(Service, kw_only=True, frozen=True, tag="static"):
    """Files of a directory. Hidden files, and links that lead out of the directory, are not served."""

    directory: Annotated[FilePath | None, Meta(description="The directory. Relative to the configuration file.")] = None
    package: Annotated[Text | None, Meta(description="A Python package that contains the files.")] = None
    resource: Annotated[Text | None, Meta(description="A directory in `package`.")] = None
    options: Annotated[StaticOptions, Meta(description="How files are served.")] = StaticOptions()

    @property
    def root(self) -> Path | None:
        """The directory to serve, existing or not; None where the package cannot be found."""
        if self.directory is not None:
            return Path(self.directory)
        try:
            spec = importlib.util.find_spec(self.package or "")
        except (ImportError, ValueError):
            return None
        locations = spec.submodule_search_locations if spec else None
        return Path(next(iter(locations))) / (self.resource or "") if locations else None


class JsonOptions(Section, kw_only=True, frozen=True):
    """How a JSON value is served."""

    prettify: Annotated[bool, Meta(description="Indents the value for human readers.")] = True
    allow_cross_origin: Annotated[bool, Meta(description="Lets pages of any origin read the value.")] = False
    discourage_caching: Annotated[bool, Meta(description="Asks clients to fetch the value anew each time.")] = False


class JsonService(Service, kw_only=True, frozen=True, tag="json"):
    """A value of the configuration file, for web pages to read."""

    value: Annotated[Any, Meta(description="Any JSON value.")]
    options: Annotated[JsonOptions, Meta(description="How the value is served.")] = JsonOptions()


PathService = Annotated[
    WebSocketService | LongPollService | StaticService | JsonService,
    Meta(
        extra={
            "refused": not_yet(
                "services",
                "archive",
                "caller",
                "catalog",
                "cgi",
                "nodeinfo",
                "none",
                "pairme",
                "path",
                "publisher",
                "redirect",
                "resource",
                "reverseproxy",
                "schemadoc",
                "upload",
                "wap",
                "webhook",
                "websocket-reverseproxy",
                "wsgi",
            )
            | {"pusher": "'pusher' services (called 'publisher' since version 2) are not supported yet"}
        }
    ),
]
"""What may stand below a path."""
