"""The first bytes of every connection: HTTP, a WebSocket's upgrade, or RawSocket.

uvicorn's HTTP protocol, which has no limits before a request is complete and hands upgrades to a class of its own
choosing, with what it lacks: a look at the first byte, limits on the head of a request in bytes and time, and
upgrades that lose no byte.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from time import perf_counter
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from rocade.net import upgrade
from rocade.net.addresses import peer_name
from rocade.net.rawsocket import RawSocketEndpoint
from rocade.net.reading import TURN_SECONDS
from rocade.net.surroundings import Surroundings
from rocade.net.upgrade import UpgradeRefused
from rocade.net.websocket import Acceptance, UpgradeRequest, WebSocketEndpoint
from rocade.wamp.framing import MAGIC

logger = logging.getLogger("rocade.net")

PARSED_AT_ONCE = 4096
"""Bytes that are parsed before a look at the time."""

MOST_PIPELINED = 16
"""Requests that wait for the answer to another one before no more are parsed, except for those at hand."""

_NOBODY = asyncio.Protocol()
_LINGER = 2.0
"""Seconds that a refused client has to read the response before the connection is dropped."""


@dataclass(slots=True, kw_only=True)
class Port:
    """What the connections of one listener need to know of it."""

    websockets: Mapping[str, WebSocketEndpoint]
    rawsocket: RawSocketEndpoint | None
    speaks_http: bool
    """Whether there is anything to be had over HTTP, WebSockets included."""
    max_head_bytes: int
    head_timeout: float
    surroundings: Surroundings
    state: ServerState
    date: int = 0
    """Unix time of the `Date` header in `state`."""
    is_stopped: bool = False
    """Whether the listener has stopped, while TLS handshakes may still be going on."""

    def refresh_headers(self, config: Config) -> None:
        """Put the current time into the default headers, at most once a second."""
        now = int(time.time())
        if now != self.date:
            self.date = now
            self.state.default_headers = [(b"date", formatdate(now, usegmt=True).encode()), *config.encoded_headers]


class SniffingProtocol(HttpToolsProtocol):
    """A connection that has just been accepted; speaks HTTP, or makes way for the protocol that it finds."""

    def __init__(self, port: Port, config: Config, app_state: dict[str, Any]) -> None:
        """
        Args:
            port: the listener's.
            config: uvicorn's, loaded.
            app_state: the application's state from its lifespan.
        """
        super().__init__(config, port.state, app_state, port.surroundings.loop)
        self.port = port
        self._is_first = True
        self._is_refused = False
        self._refusal: UpgradeRefused | None = None
        self._upgrade: tuple[UpgradeRequest, Acceptance, WebSocketEndpoint] | None = None
        self._is_in_head = False
        # What has been read but not been parsed, and whether a callback will go on with it.
        self._unparsed: deque[memoryview] = deque()
        self._is_waiting = False
        # Size of the request's head so far, and bytes that came since the parser got anywhere.
        self._head_bytes = 0
        self._stuck_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        # As the listener's door knows it, as long as it is this object's to tell when it is gone.
        self._peer: str | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See uvicorn; also starts the deadline for the first request."""
        super().connection_made(transport)
        if self.port.is_stopped or not self._enter(transport):
            transport.abort()
        else:
            self._expect_head()

    def _enter(self, transport: asyncio.Transport) -> bool:
        """Whether the listener takes one more connection from there."""
        door = self.port.surroundings.door
        if door is None:
            return True
        peer = peer_name(transport)
        if not door.enter(peer):
            self._is_refused = True
            return False
        self._peer = peer
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """See uvicorn."""
        self._cancel_deadline()
        self._unparsed.clear()
        door, peer = self.port.surroundings.door, self._peer
        if door is not None and peer is not None:
            self._peer = None
            door.leave(peer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Look at the first byte, then parse HTTP within the limits."""
        if self._is_refused:
            return
        if self._is_first:
            self._is_first = False
            if data[0] == MAGIC or not self.port.speaks_http:
                self._open_rawsocket(data)
                return
        if len(data) <= PARSED_AT_ONCE and not self._unparsed:
            self._parse(data)
            return
        self._unparsed.append(memoryview(data))
        if len(self._unparsed) == 1:
            self._parse_some()
        else:
            # Uvicorn wants to read on, since it knows nothing of this.
            self.flow.pause_reading()

    def _parse_some(self) -> None:
        """Parse what was read, some of it now and the rest in later rounds of the loop.

        There may be thousands of short requests in it, or of chunks of a body.
        """
        end = perf_counter() + TURN_SECONDS
        while self._unparsed and not self._is_refused:
            data = self._unparsed.popleft()
            if len(data) > PARSED_AT_ONCE:
                self._unparsed.appendleft(data[PARSED_AT_ONCE:])
            self._parse(data[:PARSED_AT_ONCE])
            if self._unparsed and (len(self.pipeline) > MOST_PIPELINED or perf_counter() > end):
                self.flow.pause_reading()
                self._parse_more_soon()
                return
        self._unparsed.clear()
        is_wanted = not self.pipeline and (self.cycle is None or len(self.cycle.body) <= HIGH_WATER_LIMIT)
        if is_wanted and self.parser is not None:
            self.flow.resume_reading()

    def _parse_more_soon(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            self.loop.call_soon(self._parse_more)

    def _parse_more(self) -> None:
        self._is_waiting = False
        # With requests that wait to be answered, it goes on when one is.
        if self._unparsed and len(self.pipeline) <= MOST_PIPELINED:
            self._parse_some()

    def on_response_complete(self) -> None:
        """See uvicorn; also goes on with what was read already."""
        super().on_response_complete()
        if self._unparsed:
            self._parse_more_soon()

    def _parse(self, data: bytes | memoryview) -> None:
        self._unset_keepalive_if_required()
        self._stuck_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as paused:
            rest = b"".join((data[paused.args[0] :], *self._unparsed))
            self._unparsed.clear()
            self.flow.resume_reading()
            self._switch(rest)
        except httptools.HttpParserError:
            if self._refusal is None:
                self._refusal = UpgradeRefused(HTTPStatus.BAD_REQUEST, "This is not a valid HTTP request.")
            self._refuse(self._refusal)
        else:
            self._check_progress()

    # What the HTTP parser calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body."""
        self._count_head(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: decide on an upgrade, or start the application."""
        self._is_in_head = False
        self._stuck_bytes = 0
        self._cancel_deadline()
        headers = upgrade.header_map(self.headers)
        if upgrade.wants_websocket(headers):
            self._negotiate(headers)
        else:
            if self._peer is not None and self.port.surroundings.door is not None:
                self.port.surroundings.door.settle(self._peer)
            self.port.refresh_headers(self.config)
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._stuck_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._stuck_bytes = 0
        super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return self._upgrade is not None

    # Limits.

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.port.head_timeout, self._head_is_late)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_is_late(self) -> None:
        if self._unparsed:
            # It is here, behind requests that wait to be answered.
            self._deadline = None
            self._expect_head()
            return
        text = f"No complete request within {self.port.head_timeout:g} s."
        self._refuse(UpgradeRefused(HTTPStatus.REQUEST_TIMEOUT, text))

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.port.max_head_bytes:
            self._refusal = self._too_large()
            raise self._refusal

    def _check_progress(self) -> None:
        if self._stuck_bytes > self.port.max_head_bytes:
            self._refuse(self._too_large())
        elif self._is_in_head or not self._is_answering():
            # Also when nothing but empty lines came: they end uvicorn's keep-alive timer, and begin no request.
            self._expect_head()

    def _too_large(self) -> UpgradeRefused:
        text = f"The head of a request may have {self.port.max_head_bytes} bytes."
        return UpgradeRefused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)

    # Refusing.

    def _refuse(self, refusal: UpgradeRefused) -> None:
        """Answer and close, so that the client can read the answer."""
        self._is_refused = True
        self._cancel_deadline()
        logger.info("%s refused with %d: %s", peer_name(self.transport), refusal.status, refusal.text[:200])
        if self.transport.is_closing():
            return
        if self._is_answering():
            # Responses come in the order of requests, so there is no place for one to this request.
            self.cycle.keep_alive = False
            return
        self.transport.write(upgrade.refusing_response(refusal.status, refusal.text, refusal.headers))
        # Closing now would send a reset, if the client is still sending, and destroy the response.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()
        self._deadline = self.loop.call_later(_LINGER, self.transport.abort)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # Making way.

    def _open_rawsocket(self, data: bytes) -> None:
        if self.port.rawsocket is None:
            self.transport.abort()
            return
        self._let_go()
        self.port.rawsocket.open(self.port.surroundings, self.transport).feed(data)

    def _negotiate(self, headers: dict[str, str]) -> None:
        """Accept or refuse an upgrade.

        Raises:
            UpgradeRefused: which makes the parser stop.
        """
        try:
            if self._is_answering():
                raise UpgradeRefused(HTTPStatus.BAD_REQUEST, "An upgrade must not follow an unfinished request.")
            url = httptools.parse_url(self.url)
            path = unquote((url.path or b"").decode("latin-1"))
            endpoint = self.port.websockets.get(path)
            if endpoint is None:
                raise UpgradeRefused(HTTPStatus.NOT_FOUND, f"There is no WebSocket at {path}.")
            method, version = self.parser.get_method().decode("ascii"), self.parser.get_http_version()
            request = UpgradeRequest(method, version, path, headers, (url.query or b"").decode("latin-1"))
            self._upgrade = request, endpoint.negotiate(request), endpoint
        except UpgradeRefused as refusal:
            self._refusal = refusal
            raise

    def _switch(self, rest: bytes) -> None:
        """The parser stopped at an upgrade; `rest` came behind it."""
        if self._upgrade is None:
            # An upgrade to something else, such as h2c, is answered as plain HTTP; what follows would not be parsed.
            self._is_refused = True
            self.cycle.keep_alive = False
            return
        request, acceptance, endpoint = self._upgrade
        transport = self.transport
        self._let_go()
        connection = endpoint.open(self.port.surroundings, transport, request, acceptance)
        connection.feed(rest)

    def _let_go(self) -> None:
        """The transport belongs to another protocol now."""
        self._cancel_deadline()
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self._peer = None  # the next protocol tells when it is gone
        # uvloop keeps a method of the last protocol that was not a buffered one.
        self.transport.set_protocol(_NOBODY)
        # The parser holds methods of this object: a cycle that would wait for the garbage collector.
        self.parser = None  # type: ignore[assignment]
        self._upgrade = None
