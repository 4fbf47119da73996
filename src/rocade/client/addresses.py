"""URLs of routers.

| URL | what |
|---|---|
| `ws://host:port/path`, `wss://host:port/path` | WebSocket, without and with TLS |
| `rs://host:port`, `rss://host:port` | RawSocket, without and with TLS |
| `unix:/path` | RawSocket on a Unix socket; `rs+unix:/path` is the same |
| `ws+unix:/path`, `ws+unix:/path?path=/ws` | WebSocket on a Unix socket |
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from rocade.net.dial import Target

__all__ = ["Address", "parse_url"]

Address = tuple[Literal["websocket", "rawsocket"], Target]
"""The kind of connection, and where to."""

_PORTS = {"ws": 80, "wss": 443, "rs": 80, "rss": 443}


def parse_url(url: str, *, tls: ssl.SSLContext | None = None, headers: Mapping[str, str] | None = None) -> Address:
    """Where a URL leads.

    Args:
        url: see the module.
        tls: for "wss" and "rss"; by default certificates are compared with those that the system trusts.
        headers: more for the request that opens a WebSocket.
    Raises:
        ValueError: it is none of these.
    """
    parts = urlsplit(url)
    scheme = parts.scheme
    if scheme in ("unix", "rs+unix", "ws+unix"):
        if not parts.path.startswith("/") or parts.netloc:
            raise ValueError(f"{url!r} has no absolute path: write {scheme}:/path/to/socket")
        path = parse_qs(parts.query).get("path", ["/ws"])[0]
        kind: Literal["websocket", "rawsocket"] = "websocket" if scheme == "ws+unix" else "rawsocket"
        return kind, Target(unix=parts.path, path=path, headers=headers)
    if scheme not in _PORTS or not parts.hostname:
        raise ValueError(
            f"{url!r} is no URL of a router: it is ws://host:port/ws, wss://…, rs://host:port, rss://…, "
            "unix:/path or ws+unix:/path"
        )
    if parts.username is not None:
        raise ValueError(f"{url!r} has a user name: use credentials=…")
    is_websocket = scheme in ("ws", "wss")
    if not is_websocket and parts.path not in ("", "/"):
        raise ValueError(f"{url!r} has a path, which RawSocket does not have")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        port = parts.port or _PORTS[scheme]
    except ValueError as error:
        raise ValueError(f"{url!r}: {error}") from None
    context = None
    if scheme in ("wss", "rss"):
        context = tls or ssl.create_default_context()
    target = Target(host=parts.hostname, port=port, path=path, headers=headers, tls=context)
    return "websocket" if is_websocket else "rawsocket", target
