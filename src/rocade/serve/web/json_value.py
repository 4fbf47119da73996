"""A JSON value over HTTP: configuration for web pages, without a file."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rocade.serve.web.plain import method_not_allowed, not_found, path_below, refuse_websocket

__all__ = ["JsonValue"]

_METHODS = ("GET", "HEAD", "OPTIONS")


class JsonValue:
    """Serves one value; an ASGI application."""

    def __init__(
        self,
        value: Any,
        *,
        prettify: bool = True,
        allow_cross_origin: bool = False,
        discourage_caching: bool = False,
    ) -> None:
        """
        Args:
            value: anything that JSON can express.
            prettify: indent it for human readers.
            allow_cross_origin: let pages of any origin read it.
            discourage_caching: have clients fetch it anew each time.
        Raises:
            ValueError: the value has a number that JSON has not (NaN, infinity).
            TypeError: the value is of a kind that JSON has not.
        """
        layout: dict[str, Any] = {"indent": 2} if prettify else {"separators": (",", ":")}
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, **layout)
        self._body = f"{text}\n".encode()
        self._headers = {"x-content-type-options": "nosniff"}
        if allow_cross_origin:
            self._headers["access-control-allow-origin"] = "*"
        if discourage_caching:
            self._headers["cache-control"] = "no-store"
        else:
            self._headers["cache-control"] = "no-cache"
            self._headers["etag"] = f'"{blake2b(self._body, digest_size=12).hexdigest()}"'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            await refuse_websocket(scope, receive, send)
        elif path_below(scope) not in ("", "/"):
            await not_found(scope)(scope, receive, send)
        elif scope["method"] not in _METHODS:
            await method_not_allowed(scope, *_METHODS)(scope, receive, send)
        else:
            await self._answer(scope)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response:
        if scope["method"] == "OPTIONS":
            return Response(status_code=204, headers={**self._headers, "allow": ", ".join(_METHODS)})
        known = Headers(scope=scope).get("if-none-match", "")
        if self._headers.get("etag", "-") in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(status_code=304, headers=self._headers)
        return Response(self._body, headers=self._headers, media_type="application/json")
