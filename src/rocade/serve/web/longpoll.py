"""WAMP over plain HTTP requests, for clients that have no WebSocket (advanced/transport_http_longpoll.md).

A client opens a connection by POST to `open`, and then has two paths of its own: POST to `<id>/send` brings messages,
POST to `<id>/receive` is answered when there are some. `longpoll_link` is what the requests of one client share.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO

import msgspec
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from rocade.errors import ProtocolViolation
from rocade.net.door import Door
from rocade.net.link import Link, LinkInfo, Receiver
from rocade.net.long_writes import next_slice
from rocade.net.tally import Tally
from rocade.net.upgrade import Cookies, OriginPolicy, UpgradeRefused, header_map
from rocade.net.wires import LONG_POLL, serializer_of_subprotocol, subprotocols
from rocade.serve.web.longpoll_link import Answer, LongPollLink
from rocade.serve.web.plain import method_not_allowed, not_found, path_below, plain_answer, refuse_websocket
from rocade.serve.web.request_order import RequestOrder
from rocade.wamp.batching import separator_of, unbatch
from rocade.wamp.pieces import pieces_of

__all__ = ["LongPoll", "LongPollOptions"]

logger = logging.getLogger("rocade.longpoll")

MAX_OPEN_BYTES = 16 * 1024
"""Longest body of a request to open a connection."""

BODY_TIMEOUT = 20.0
"""Seconds that a client may pause while it sends the body of a request."""

CLOSE_TIMEOUT = 5.0
"""Seconds that a client has to fetch what waits for it, once the router has closed."""

REMEMBERED = 10.0
"""Seconds for which a connection that has ended is known, so that late requests get a fitting answer."""

SWEEP_INTERVAL = 1.0
"""Seconds from one look for connections that have ended to the next; less where time limits are shorter."""

PREFLIGHT_AGE = 7200
"""Seconds for which browsers may remember that they may send; Chromium allows no more."""

_CONTENT_TYPES = {
    "json": "application/json; charset=utf-8",
    "msgpack": "application/x-msgpack",
    "cbor": "application/cbor",
}
_BATCH_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class LongPollOptions:
    """Settings of the long-poll service.

    Raises:
        ValueError: a serializer that does not exist, or a limit that makes no sense.
    """

    serializers: tuple[str, ...] = ("json", "msgpack", "cbor")
    """Accepted serializers, each of them with batches and without."""
    request_timeout: float = 10.0
    """Seconds after which a request for messages is answered without any. Clients must have more patience."""
    session_timeout: float = 30.0
    """Seconds without any request after which the client is gone."""
    max_message_bytes: int = 16 * 1024 * 1024
    """Longest accepted body of a request: a message, or a whole batch."""
    max_queue_bytes: int = 16 * 1024 * 1024
    """Bytes that may wait for a client; with more it is disconnected. One message may be larger, if it waits alone."""
    max_queue_messages: int = 10_000
    """Messages that may wait for a client; with more it is disconnected."""
    max_connections: int = 20_000
    """Connections that may be open; others are refused."""
    max_connections_per_address: int = 0
    """Connections from one address, those that ended a short while ago among them; 0 is any number."""
    order_patience: float = 3.0
    """Seconds that a request is held for others with lower ids, which it may have overtaken."""
    allowed_origins: tuple[str, ...] | None = None
    """Patterns of origins that pass beside loopback origins and the server's own, see `OriginPolicy`."""
    allow_null_origin: bool = False
    """Whether "Origin: null" passes."""
    allowed_hosts: tuple[str, ...] | None = None
    """Patterns of hosts by which the server may be reached; None is any."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.serializers if name not in LONG_POLL]
        if unknown or not self.serializers:
            raise ValueError(f"serializers must be some of {', '.join(LONG_POLL)}, not {', '.join(unknown) or 'none'}")
        if min(self.request_timeout, self.session_timeout, self.order_patience) <= 0:
            raise ValueError("timeouts must be positive")
        if min(self.max_message_bytes, self.max_queue_bytes, self.max_queue_messages, self.max_connections) < 1:
            raise ValueError("limits must be positive")


class _Refused(Exception):
    """A request that is answered by an error: status, text for people, headers to add."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


class LongPoll:
    """Where long-poll clients arrive; an ASGI application."""

    def __init__(
        self,
        options: LongPollOptions,
        connected: Callable[[Link], Receiver],
        door: Door | None = None,
        cookies: Cookies | None = None,
    ) -> None:
        """
        Args:
            options: the settings.
            connected: called for each new connection, on its event loop; returns who interprets its messages. It may
                use the link at once.
            door: knows which address a connection counts for, and tells of those that have too many.
            cookies: knows the cookies of clients; None if there are none.
        """
        self._cookies = cookies
        self.options = options
        self._connected = connected
        self._origins = OriginPolicy(
            options.allowed_origins,
            allow_null_origin=options.allow_null_origin,
            allowed_hosts=options.allowed_hosts,
        )
        self._protocols = [protocol for name in options.serializers for protocol in subprotocols(name)]
        # transport id -> its connection, open or ended a short while ago
        self._links: dict[str, LongPollLink] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_full = False
        self._door = door
        # how many of them there are by address
        self._of_address = Tally()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            await refuse_websocket(scope, receive, send)
            return
        headers = header_map(scope["headers"])
        try:
            self._origins.check(headers)
        except UpgradeRefused as refusal:
            await plain_answer(refusal.status, refusal.text)(scope, receive, send)
            return
        try:
            response = await self._respond(scope, headers, receive)
        except _Refused as refusal:
            response = plain_answer(refusal.status, refusal.text, refusal.headers)
        if response is not None:
            _add_common_headers(response, headers)
            await response(scope, receive, send)

    async def _respond(self, scope: Scope, headers: dict[str, str], receive: Receive) -> Response | None:
        """The response to a request; None where the client is gone."""
        id, _, what = path_below(scope).removeprefix("/").partition("/")
        if what not in _ACTIONS and (id, what) != ("open", ""):
            return self._explain(scope) if not id else not_found(scope)
        if scope["method"] == "OPTIONS":
            return _preflight(headers)
        if scope["method"] != "POST":
            return method_not_allowed(scope, "POST", "OPTIONS")
        if headers.get("content-encoding", "identity") != "identity":
            raise _Refused(415, f"Content-Encoding {headers['content-encoding']!r} is not supported.")
        if not what:
            return await self._open(scope, headers, receive)
        link = self._links.get(id)
        if link is None:
            raise _Refused(404, "There is no such transport; it may have timed out. Open a new one.")
        link.requests += 1
        try:
            return await _ACTIONS[what](self, link, headers, receive)
        finally:
            link.requests -= 1
            link.last_request = asyncio.get_running_loop().time()

    # --- the four requests ------------------------------------------------------------------------

    async def _open(self, scope: Scope, headers: dict[str, str], receive: Receive) -> Response | None:
        body = await _read(receive, headers, MAX_OPEN_BYTES)
        if body is None:
            return None
        protocol = self._choose(body)
        serializer, is_batched = serializer_of_subprotocol(protocol)
        cookie = None
        if self._cookies is not None and self._origins.may_use_cookies(headers):
            cookie = self._cookies.cookie(headers)
        info = _describe(scope, headers, protocol, "" if cookie is None else cookie.value)
        address = None if self._door is None else self._door.address_of(info.peer, headers)
        self._make_room(address)
        loop = asyncio.get_running_loop()
        link = LongPollLink(
            loop,
            LONG_POLL[serializer],
            info,
            is_batched=is_batched,
            max_queue_bytes=self.options.max_queue_bytes,
            max_queue_messages=self.options.max_queue_messages,
            close_timeout=CLOSE_TIMEOUT,
        )
        receiver = RequestOrder(
            self._connected(link),
            link.wire.serializer,
            patience=self.options.order_patience,
            max_held_bytes=self.options.max_message_bytes,
        )
        link.begin(receiver)
        id = secrets.token_urlsafe(18)
        self._links[id] = link
        if address is not None:
            link.address = address
            self._of_address.add(address)
        self._start_sweeping(loop)
        set_cookie = {"set-cookie": cookie.header} if cookie is not None and cookie.header else None
        return JSONResponse({"protocol": protocol, "transport": id}, headers=set_cookie)

    async def _receive(self, link: LongPollLink, headers: dict[str, str], receive: Receive) -> Response | None:
        if await _read(receive, headers, self.options.max_message_bytes, is_wanted=False) is None:
            return None
        answer = await link.wait_for_messages(receive, self.options.request_timeout)
        if answer is Answer.MESSAGES:
            return _Messages(link)
        if answer is Answer.TAKEN_OVER:
            raise _Refused(409, "Another request for messages has come; only the latest one gets them.")
        if answer is Answer.CLOSED:
            raise _Refused(410, "The router has closed this transport.")
        return None if answer is Answer.NOBODY else Response(status_code=204)

    async def _send(self, link: LongPollLink, headers: dict[str, str], receive: Receive) -> Response | None:
        async with link.sending:
            # A client that sends too much is slowed down before it costs any memory.
            await link.wait_until_wanted()
            body = await _read(receive, headers, self.options.max_message_bytes)
            if body is None:
                return None
            if link.lost_at is not None and not link.is_hung_up:
                raise _Refused(410, "The router has closed this transport.")
            try:
                await link.deliver(_messages(link, body))
            except ProtocolViolation as violation:
                logger.warning("%s broke the protocol: %s", link.info.peer, violation)
                link.abort()
                raise _Refused(400, f"Bad request: {violation}.") from None
            except Exception:
                logger.exception("%s: a message could not be handled", link)
                link.abort()
                raise _Refused(500, "The router failed on this message.") from None
        # The specification says 202, "no content"; which is 204, and all that autobahn-js takes for success.
        return Response(status_code=204)

    async def _close(self, link: LongPollLink, headers: dict[str, str], receive: Receive) -> Response | None:
        if await _read(receive, headers, self.options.max_message_bytes, is_wanted=False) is None:
            return None
        link.hang_up()
        return Response(status_code=204)

    # --- details ----------------------------------------------------------------------------------

    def _choose(self, body: bytes) -> str:
        """The first protocol in the client's order of preference that we speak."""
        try:
            offered = msgspec.json.decode(body, type=_Open).protocols
        except (ValueError, RecursionError) as error:
            raise _Refused(400, f'The body must be JSON such as {{"protocols": ["wamp.2.json"]}}: {error}.') from None
        for protocol in offered:
            if protocol in self._protocols:
                return protocol
        raise _Refused(400, f"No protocol in common; accepted are {', '.join(self._protocols)}.")

    def _make_room(self, address: str | None) -> None:
        most = self.options.max_connections_per_address
        if most and address is not None and self._door is not None and self._of_address[address] >= most:
            self._door.report("long_polls_per_address", address, f"{most} long-poll connections are open")
            raise _Refused(429, "There are too many connections from your address.", {"retry-after": "10"})
        is_full = len(self._links) >= self.options.max_connections
        if is_full and not self._is_full:
            logger.warning("no room for further long-poll connections: there are %d", len(self._links))
        self._is_full = is_full
        if is_full:
            raise _Refused(503, "There are too many connections.", {"retry-after": "10"})

    def _start_sweeping(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweeper is None:
            interval = min(SWEEP_INTERVAL, self.options.session_timeout / 4)
            self._sweeper = loop.call_later(interval, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what is to end, and forget what has ended a while ago."""
        self._sweeper = None
        now = loop.time()
        timeout = self.options.session_timeout
        for id, link in list(self._links.items()):
            if link.lost_at is not None:
                if now - link.lost_at > REMEMBERED:
                    self._forget(id)
            elif link.is_overdue(now):
                link.lose("no orderly close in time")
            elif not link.requests and now - link.last_request > timeout:
                link.lose(f"no request within {timeout:g} s")
        if self._links:
            self._start_sweeping(loop)

    def _forget(self, id: str) -> None:
        address = self._links.pop(id).address
        if address is not None:
            self._of_address.remove(address)

    def _explain(self, scope: Scope) -> Response:
        text = "This is WAMP over long-polling: POST to open below this path."
        return plain_answer(404, text)


_Action = Callable[[LongPoll, LongPollLink, dict[str, str], Receive], Awaitable[Response | None]]

# What is asked of a connection -> what answers it.
_ACTIONS: dict[str, _Action] = {
    "receive": LongPoll._receive,
    "send": LongPoll._send,
    "close": LongPoll._close,
}


class _Messages(Response):
    """What waits for a client, as fast as it reads: a client that takes its time is no client that is gone."""

    def __init__(self, link: LongPollLink) -> None:
        content_type = _BATCH_TYPE if link.is_batched else _CONTENT_TYPES[link.wire.serializer.name]
        body = link.fetch()
        super().__init__(headers={"content-type": content_type, "content-length": str(len(body))})
        self._rest = deque(pieces_of(body))
        self._link = link

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        clock = asyncio.get_running_loop().time
        while self._rest:
            chunk = b"".join(next_slice(self._rest))
            await send({"type": "http.response.body", "body": chunk, "more_body": bool(self._rest)})
            self._link.last_request = clock()
            await asyncio.sleep(0)  # for everybody else: `send` does not wait before the client reads too slowly


class _Open(msgspec.Struct):
    """Body of a request to open a connection; unknown keys are ignored."""

    protocols: list[str]


def _messages(link: LongPollLink, body: bytes) -> Iterable[bytes | memoryview]:
    """The messages in a request's body."""
    if not link.is_batched:
        return (body,)
    is_binary = link.wire.serializer.is_binary
    if not is_binary:
        link.separator = separator_of(body)
    return unbatch(body, is_binary=is_binary)


async def _read(receive: Receive, headers: Mapping[str, str], limit: int, *, is_wanted: bool = True) -> bytes | None:
    """The body of a request; None if the client has gone before its end.

    Args:
        receive: brings it (ASGI).
        headers: of the request.
        limit: its longest length in bytes.
        is_wanted: if not, what comes is thrown away.
    """
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    # One file rather than a list: its bytes can be had without a copy.
    whole = BytesIO()
    size = 0
    while True:
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                message = await receive()
        except TimeoutError:
            text = f"No more of the body within {BODY_TIMEOUT:g} s."
            raise _Refused(408, text, {"connection": "close"}) from None
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        if part and is_wanted:
            whole.write(part)
        if not message.get("more_body", False):
            return whole.getvalue()


def _too_large(limit: int) -> _Refused:
    return _Refused(413, f"The body may have {limit} bytes.")


def _describe(scope: Scope, headers: dict[str, str], protocol: str, cookie: str) -> LinkInfo:
    return LinkInfo(
        "longpoll",
        _peer_name(scope),
        secure=scope["scheme"] == "https",
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        cookie=cookie,
        headers=headers,
        subprotocol=protocol,
    )


def _peer_name(scope: Scope) -> str:
    """The other side as `LinkInfo.peer` has it."""
    client, server = scope.get("client"), scope.get("server")
    if client is not None:
        host, port = client
        return f"tcp6:[{host}]:{port}" if ":" in host else f"tcp4:{host}:{port}"
    return f"unix:{server[0]}" if server is not None and server[1] is None else "unknown"


def _preflight(headers: Mapping[str, str]) -> Response:
    """The answer to a browser that asks whether a page of another origin may send."""
    allowed = {"allow": "POST, OPTIONS"}
    if "origin" in headers:
        allowed |= {
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": headers.get("access-control-request-headers", "content-type"),
            "access-control-max-age": str(PREFLIGHT_AGE),
        }
    return Response(status_code=204, headers=allowed)


def _add_common_headers(response: Response, headers: Mapping[str, str]) -> None:
    """What every response to an origin that passes has."""
    response.headers["cache-control"] = "no-store"
    response.headers["x-content-type-options"] = "nosniff"
    response.headers.add_vary_header("origin")
    origin = headers.get("origin")
    if origin is not None:
        # autobahn-js asks with credentials, for which browsers insist on the origin's name and on this permission.
        response.headers["access-control-allow-origin"] = origin
        response.headers["access-control-allow-credentials"] = "true"
