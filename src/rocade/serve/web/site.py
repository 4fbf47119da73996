"""One web site out of many services: each request goes to the service with the longest path that fits."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from rocade.serve.web.plain import not_found, path_below, refuse_websocket

__all__ = ["PathRouter", "build_site"]


def build_site(services: Mapping[str, ASGIApp]) -> Starlette:
    """One ASGI application that serves several.

    Args:
        services: path -> what is served there and below. "/" is the root; "ws", "/ws" and "/ws/" are the same.
            A service finds its own path in `scope["root_path"]`.
    Raises:
        ValueError: two services have the same path.
    """
    site = Starlette()
    site.router.default = PathRouter(services)
    return site


class PathRouter:
    """Hands each request to the service with the longest path that fits; 404 where none does."""

    def __init__(self, services: Mapping[str, ASGIApp]) -> None:
        """
        Args:
            services: as for `build_site`.
        Raises:
            ValueError: two services have the same path.
        """
        self._services: dict[str, ASGIApp] = {}  # path without a slash at its end, so "" for the root -> service
        for path, service in services.items():
            prefix = "/" + path.strip("/") if path.strip("/") else ""
            if prefix in self._services:
                raise ValueError(f"two services have the path {prefix or '/'!r}")
            self._services[prefix] = service
        self._depth = max((prefix.count("/") for prefix in self._services), default=0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        below = path_below(scope)
        # no more segments than the deepest service has: a path of a thousand slashes costs no more than others
        segments = below.split("/", self._depth + 1)[: self._depth + 1]
        for length in range(len(segments), 0, -1):
            prefix = "/".join(segments[:length])
            service = self._services.get(prefix)
            if service is not None:
                root = scope.get("root_path", "")
                await service({**scope, "root_path": root + prefix}, receive, send)
                return
        answer = not_found(scope) if scope["type"] == "http" else refuse_websocket
        await answer(scope, receive, send)
