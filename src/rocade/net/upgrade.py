"""The WebSocket opening handshake, sans-I/O: is this upgrade request valid, welcome, and which subprotocol is it?

Specification: RFC 6455, section 4; WAMP: advanced/transport_websocket.md.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from http import HTTPStatus
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from rocade.net.addresses import is_loopback

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = "13"
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.%]+\]|[^:\[\]/@\s]+)(?::(?P<port>\d+))?", re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}  # some clients name their own address


class UpgradeRefused(Exception):
    """An HTTP request that does not become a WebSocket: status, plain text for people, headers to add."""

    def __init__(self, status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


def header_map(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; repeated ones are joined as HTTP allows (RFC 9110, section 5.3)."""
    result: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        if name in result:
            value = result[name] + ("; " if name == "cookie" else ", ") + value
        result[name] = value
    return result


def tokens(value: str) -> list[str]:
    """The members of a comma-separated header."""
    return [token for token in (part.strip() for part in value.split(",")) if token]


def wants_websocket(headers: Mapping[str, str]) -> bool:
    """Whether a request asks to become a WebSocket, rightly or not.

    Firefox sends `Connection: keep-alive, Upgrade`.
    """
    return "websocket" in tokens(headers.get("upgrade", "").lower()) and "upgrade" in tokens(
        headers.get("connection", "").lower()
    )


def check_request(method: str, http_version: str, headers: Mapping[str, str]) -> None:
    """Refuse an upgrade request that RFC 6455 (section 4.2.1) does not allow.

    Args:
        method: as in the request line.
        http_version: such as "1.1".
        headers: see `header_map`.
    Raises:
        UpgradeRefused: names what is wrong.
    """
    if http_version != "1.1":
        text = f"A WebSocket needs HTTP/1.1; this request is HTTP/{http_version}."
        raise UpgradeRefused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, text)
    if method != "GET":
        raise _bad(f"a WebSocket is opened with GET, not {method}.")
    if "host" not in headers:
        raise _bad("the header Host is missing.")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise _bad("an upgrade request has no body.")
    version = headers.get("sec-websocket-version")
    if version is None:
        raise _bad("the header Sec-WebSocket-Version is missing.")
    if version != _VERSION:
        text = f"WebSocket version {version} is not supported, only {_VERSION}."
        raise UpgradeRefused(HTTPStatus.UPGRADE_REQUIRED, text, {"Sec-WebSocket-Version": _VERSION})
    _check_key(headers.get("sec-websocket-key"))


def _bad(text: str) -> UpgradeRefused:
    return UpgradeRefused(HTTPStatus.BAD_REQUEST, f"Bad WebSocket handshake: {text}")


def _check_key(key: str | None) -> None:
    if key is None:
        raise _bad("the header Sec-WebSocket-Key is missing.")
    try:
        valid = len(b64decode(key.encode("ascii"), validate=True)) == 16
    except (binascii.Error, UnicodeEncodeError):
        valid = False
    if not valid:
        raise _bad("Sec-WebSocket-Key is not the base64 of 16 bytes.")


def accept_key(key: str) -> str:
    """`Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`."""
    return b64encode(sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()).decode("ascii")


def choose_subprotocol(headers: Mapping[str, str], accepted: Sequence[str], *, required: bool) -> str:
    """The first subprotocol in the client's order of preference that we accept; "" for none.

    Args:
        headers: see `header_map`.
        accepted: what we accept.
        required: refuse where there is none in common.
    Raises:
        UpgradeRefused: none in common; lists what is offered and what is accepted.
    """
    offered = tokens(headers.get("sec-websocket-protocol", ""))
    for subprotocol in offered:
        if subprotocol in accepted:
            return subprotocol
    if not required:
        return ""
    offer = f"the client offers {', '.join(offered)}" if offered else "the client offers none"
    raise _bad(f"no subprotocol in common: {offer}; accepted are {', '.join(accepted)}.")


@dataclass(frozen=True, slots=True)
class Cookie:
    """The cookie of a connection."""

    value: str = field(repr=False)
    header: str = field(repr=False)
    """`Set-Cookie` for the response; "" if the client has it already."""


class Cookies(Protocol):
    """Knows the cookies of clients, and gives them new ones."""

    def cookie(self, headers: Mapping[str, str]) -> Cookie:
        """The cookie of a connection that a request opens.

        Args:
            headers: of the request, see `header_map`. It does not come from a page that should not use cookies.
        """


class OriginPolicy:
    """Which web pages may connect, and under which names this server may be reached.

    Browsers let any page open a WebSocket to any host, loopback included, and tell the page in `Origin`. A page can
    also point a name of its own at 127.0.0.1 (DNS rebinding); only the check of `Host` stops that.
    """

    def __init__(
        self,
        allowed_origins: Sequence[str] | None = None,
        *,
        allow_null_origin: bool = False,
        allowed_hosts: Sequence[str] | None = None,
    ) -> None:
        """
        Args:
            allowed_origins: patterns such as "https://*.example.com", with `*` for any run of characters but "/";
                "*" alone allows all. They are allowed beside loopback origins and the server's own.
            allow_null_origin: whether "Origin: null" (files, sandboxed frames) passes.
            allowed_hosts: patterns of host names, with or without a port, that `Host` may have; None is any.
        """
        self._origins = [_Pattern(pattern) for pattern in allowed_origins or ()]
        self._allow_null_origin = allow_null_origin
        self._hosts = None if allowed_hosts is None else [_Pattern(pattern) for pattern in allowed_hosts]

    def check(self, headers: Mapping[str, str]) -> None:
        """Refuse a request from a foreign origin or to a foreign host.

        Raises:
            UpgradeRefused: with status 403.
        """
        host = headers.get("host", "").lower()
        if self._hosts is not None and not self._is_host_allowed(host):
            raise UpgradeRefused(HTTPStatus.FORBIDDEN, f"Host {host!r} is not served here.")
        origin = headers.get("origin")
        if origin is not None and not self._is_origin_allowed(origin.lower(), host):
            raise UpgradeRefused(HTTPStatus.FORBIDDEN, f"Origin {origin!r} is not allowed.")

    def may_use_cookies(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that passed the check may act in the name of whose cookies it has.

        Browsers add them whichever page asks. A page may use them if it is the server's own or was allowed by its name:
        not because any page is allowed, and not because it comes from this machine while the server is elsewhere.
        """
        origin, host = headers.get("origin", "").lower(), headers.get("host", "").lower()
        if not origin:
            return True  # no browser, or a page's own request
        if any(not pattern.is_any and pattern.matches(origin) for pattern in self._origins):
            return True
        parts = _parsed(origin)
        if parts is None:
            return False
        own = _HOST.fullmatch(host)
        if is_loopback(parts.name) and own is not None and is_loopback(own["name"].strip("[]")):
            return True
        return _is_same_host(parts, host)

    def _is_host_allowed(self, host: str) -> bool:
        parts = _HOST.fullmatch(host)
        return parts is not None and any(
            pattern.matches(parts["name"]) or pattern.matches(host) for pattern in self._hosts or ()
        )

    def _is_origin_allowed(self, origin: str, host: str) -> bool:
        if origin == "null":
            return self._allow_null_origin
        if any(pattern.matches(origin) for pattern in self._origins):
            return True
        parts = _parsed(origin)
        return parts is not None and (is_loopback(parts.name) or _is_same_host(parts, host))


class _Pattern:
    """A host or an origin, with `*` for any run of characters but "/"; or `*` for anything.

    No regular expression: with two stars its time would grow with the square of a text that a stranger sends.
    """

    __slots__ = ("_first", "_last", "_middle", "is_any")

    def __init__(self, pattern: str) -> None:
        self.is_any = pattern == "*"
        self._first, *rest = pattern.lower().split("*")
        # None if there is no star.
        self._last = rest.pop() if rest else None
        self._middle = rest

    def matches(self, text: str) -> bool:
        if self.is_any:
            return True
        if self._last is None:
            return text == self._first
        begin, end = len(self._first), len(text) - len(self._last)
        if end < begin or not text.startswith(self._first) or not text.endswith(self._last):
            return False
        # The first place is as good as any: behind another one, the run of characters before it would have a "/".
        for part in self._middle:
            found = text.find(part, begin, end)
            if found < 0 or "/" in text[begin:found]:
                return False
            begin = found + len(part)
        return "/" not in text[begin:end]


class _Origin(NamedTuple):
    scheme: str
    name: str
    port: int | None


def _parsed(origin: str) -> _Origin | None:
    """The parts of an origin in lower case; None if it is none that could open a WebSocket."""
    try:
        parts = urlsplit(origin)
        found = _Origin(parts.scheme, parts.hostname or "", parts.port)
    except ValueError:
        return None
    return found if found.scheme in _DEFAULT_PORTS else None


def _is_same_host(origin: _Origin, host: str) -> bool:
    parts = _HOST.fullmatch(host)
    if parts is None:
        return False
    # A proxy in front may have ended TLS, so the origin's scheme says which port is the default one, not ours.
    default = _DEFAULT_PORTS[origin.scheme]
    return (origin.name, str(origin.port or default)) == (parts["name"].strip("[]"), parts["port"] or default)


def accepting_response(key: str, subprotocol: str, server: str, extensions: str = "", set_cookie: str = "") -> bytes:
    """The 101 response.

    Args:
        key: the request's `Sec-WebSocket-Key`.
        subprotocol: what was negotiated; "" for none.
        server: value of the `Server` header; "" for none.
        extensions: what was negotiated; "" for none.
        set_cookie: value of the `Set-Cookie` header; "" for none.
    """
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept_key(key)}
    if subprotocol:
        headers["Sec-WebSocket-Protocol"] = subprotocol
    if extensions:
        headers["Sec-WebSocket-Extensions"] = extensions
    if set_cookie:
        headers["Set-Cookie"] = set_cookie
    if server:
        headers["Server"] = server
    return _response(HTTPStatus.SWITCHING_PROTOCOLS, headers, b"")


def refusing_response(status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None) -> bytes:
    """A plain-text response after which the connection is closed."""
    body = f"{text}\n".encode()
    fields = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **(headers or {}),
    }
    return _response(status, fields, body)


def _response(status: HTTPStatus, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
