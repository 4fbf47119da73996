"""What goes around a whole web site: a header on every response, a log line for every request."""

from __future__ import annotations

import logging

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["AccessLog", "StrictTransportSecurity"]

logger = logging.getLogger("rocade.access")


class StrictTransportSecurity:
    """Tells browsers to come by HTTPS only from now on (RFC 6797).

    "An HSTS Host MUST NOT include the STS header field in HTTP responses conveyed over non-secure transport", so only
    what goes out over TLS has it.
    """

    def __init__(self, app: ASGIApp, max_age: int) -> None:
        """
        Args:
            app: the site.
            max_age: seconds for which browsers shall remember it.
        """
        self._app = app
        self._value = f"max-age={max_age}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http" or scope["scheme"] != "https":
            await self._app(scope, receive, send)
            return

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["strict-transport-security"] = self._value
            await send(message)

        await self._app(scope, receive, send_with_header)


class AccessLog:
    """Logs every request with the status of its response, once that begins."""

    def __init__(self, app: ASGIApp) -> None:
        """
        Args:
            app: the site.
        """
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_and_log(message: Message) -> None:
            if message["type"] == "http.response.start":
                # The query may hold what is nobody's business.
                address = scope["client"][0] if scope.get("client") else "unix"
                logger.info("%s %s %s: %d", address, scope["method"], scope["path"], message["status"])
            await send(message)

        await self._app(scope, receive, send_and_log)
