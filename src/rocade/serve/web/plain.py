"""Plain-text answers, short and never mistaken for a page, and what all services ask of a request."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

__all__ = ["method_not_allowed", "not_found", "path_below", "plain_answer", "refuse_websocket", "shown_path"]

_SHOWN_PATH = 200
"""Characters of a request's path that an answer repeats."""


def plain_answer(status: int, text: str, headers: Mapping[str, str] | None = None) -> PlainTextResponse:
    """One line of text that browsers show as text, whatever is in it.

    Args:
        status: HTTP status.
        text: what to say.
        headers: further headers.
    """
    return PlainTextResponse(text + "\n", status, {"x-content-type-options": "nosniff", **(headers or {})})


def not_found(scope: Scope) -> PlainTextResponse:
    """404, naming the path that was asked for."""
    return plain_answer(404, f"{shown_path(scope)}: there is nothing here")


def method_not_allowed(scope: Scope, *allowed: str) -> PlainTextResponse:
    """405, naming the path, the method and the methods that would do.

    Args:
        scope: the request.
        allowed: methods that the path answers.
    """
    methods = ", ".join(allowed)
    text = f"{shown_path(scope)}: {scope['method']} is not possible here, only {methods}"
    return plain_answer(405, text, {"allow": methods})


def shown_path(scope: Scope) -> str:
    """The path of a request as it may stand in a line of text: not too long, without control characters."""
    path: str = scope["path"]
    shown = path if len(path) <= _SHOWN_PATH else path[: _SHOWN_PATH - 1] + "…"
    return "".join(character if character.isprintable() else "�" for character in shown)


def path_below(scope: Scope) -> str:
    """What follows the path of the service that a request is for: "" or "/…"."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if path == root or path.startswith(root + "/") else path


async def refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a WebSocket handshake with 403."""
    await send({"type": "websocket.close", "code": 1000, "reason": ""})
