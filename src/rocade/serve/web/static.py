"""Files of a directory over HTTP, with what browsers need: content types, caching, ranges, a page for directories."""

from __future__ import annotations

import errno
import html
import os
import stat
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

import anyio.to_thread
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from rocade.serve.web.plain import (
    method_not_allowed,
    not_found,
    path_below,
    plain_answer,
    refuse_websocket,
    shown_path,
)

__all__ = ["StaticDirectory"]

INDEX = "index.html"
"""The file that is a directory's page."""

CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
"""What a site cannot do without, whatever the system's own table says: browsers insist on these."""


class StaticDirectory(StaticFiles):
    """Serves the files below a directory; an ASGI application.

    Hidden files are not served (except `.well-known`, RFC 8615): the directory above a node's own is a usual
    root, and the node keeps its configuration in a hidden one. Links that lead out of the directory are not
    followed. Files carry ETag and Last-Modified and can be asked for in ranges.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        listing: bool = False,
        content_types: Mapping[str, str] | None = None,
        default_file: str | None = None,
        fallback: str | None = None,
        max_age: int | None = None,
    ) -> None:
        """
        Args:
            root: the directory.
            listing: list the files of directories that have no index.html.
            content_types: file name extension, such as ".svg" -> content type; added to the usual ones.
            default_file: file below `root` that is served, with status 200, where there is none.
            fallback: the same for pages that a browser navigates to, but not for images, scripts and the like.
            max_age: seconds for which clients may use a file without asking again; None has them ask every time.
        Raises:
            RuntimeError: there is no such directory.
        """
        super().__init__(directory=root)
        # Otherwise the first request would do it, and hold the loop meanwhile.
        import_module("anyio._backends._asyncio")
        self._listing = listing
        self._content_types = {**CONTENT_TYPES, **{key.lower(): value for key, value in (content_types or {}).items()}}
        self._default_file = default_file
        self._fallback = fallback
        self._cache_control = "no-cache" if max_age is None else f"public, max-age={max_age}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            await refuse_websocket(scope, receive, send)
            return
        try:
            response = await anyio.to_thread.run_sync(self._respond, scope)
        except PermissionError:
            response = plain_answer(403, f"{shown_path(scope)}: this file may not be read")
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
                raise
            response = not_found(scope)
        except ValueError:  # a null byte, or text that no file name can have
            response = not_found(scope)
        await response(scope, receive, send)

    def _respond(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return method_not_allowed(scope, "GET", "HEAD")
        below = path_below(scope)
        name = "/".join(part for part in below.split("/") if part)
        if not _hidden(name):
            found, status = self.lookup_path(name)
            if status and stat.S_ISDIR(status.st_mode):
                response = self._directory(scope, below, name, Path(found))
                if response:
                    return response
            # "/file.txt/" is not the file: relative links in it would lead elsewhere
            elif status and stat.S_ISREG(status.st_mode) and not below.endswith("/"):
                return self.file_response(found, status, scope)
        return self._substitute(scope) or not_found(scope)

    def _directory(self, scope: Scope, below: str, name: str, directory: Path) -> Response | None:
        found, status = self.lookup_path(os.path.join(name, INDEX))
        has_index = status is not None and stat.S_ISREG(status.st_mode)
        if not has_index and not self._listing:
            return None
        if not below.endswith("/"):
            return _with_slash(scope)
        if has_index and status is not None:
            return self.file_response(found, status, scope)
        return self._listed(scope, name, directory)

    def _listed(self, scope: Scope, name: str, directory: Path) -> Response:
        entries = []
        for entry in sorted(directory.iterdir(), key=lambda entry: entry.name.lower()):
            _, status = self.lookup_path(os.path.join(name, entry.name))
            if status is None or _hidden(entry.name):  # a link that leads out, or what is not served anyway
                continue
            shown = entry.name + ("/" if stat.S_ISDIR(status.st_mode) else "")
            entries.append(f'<li><a href="./{quote(shown, errors="replace")}">{html.escape(shown)}</a></li>')
        title = html.escape(shown_path(scope))
        up = '<li><a href="../">../</a></li>\n' if name else ""
        page = (
            f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
            f"<h1>{title}</h1>\n<ul>\n{up}{chr(10).join(entries)}\n</ul>\n</html>\n"
        )
        text = page.encode("utf-8", "replace").decode()
        headers = {"cache-control": "no-cache", "content-security-policy": "default-src 'none'"}
        return HTMLResponse(text, headers=headers)

    def _substitute(self, scope: Scope) -> Response | None:
        """What is served where there is no file: the page of a single-page application, if there is one."""
        name = self._default_file or (self._fallback if self._fallback and _navigates(scope) else None)
        if name is None:
            return None
        found, status = self.lookup_path(name)
        return self.file_response(found, status, scope) if status and stat.S_ISREG(status.st_mode) else None

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """A file, or 304 if the client has it already.

        Args:
            full_path: the file.
            stat_result: its status.
            scope: the request.
            status_code: of the answer if it has the file in it.
        """
        if not os.access(full_path, os.R_OK):
            raise PermissionError(errno.EACCES, "not readable")
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["cache-control"] = self._cache_control
        if response.status_code != 304:
            response.headers["x-content-type-options"] = "nosniff"
            content_type = self._content_types.get(Path(full_path).suffix.lower())
            if content_type:
                is_text = content_type.startswith("text/") and "charset=" not in content_type
                response.headers["content-type"] = content_type + ("; charset=utf-8" if is_text else "")
        return response


def _hidden(name: str) -> bool:
    return any(part.startswith(".") and part != ".well-known" for part in name.split("/"))


def _navigates(scope: Scope) -> bool:
    """Whether a request is for a page rather than for something in a page."""
    accepted = Headers(scope=scope).get("accept", "*/*")
    last = scope["path"].rsplit("/", 1)[-1]
    return "text/html" in accepted or ("*/*" in accepted and "." not in last)


def _with_slash(scope: Scope) -> Response:
    """A redirection to the same path with "/" at its end, where relative links of the page lead to the right place.

    The location is relative, so it is right behind any proxy and under any name, and cannot lead to another host.
    """
    last = scope["path"].rsplit("/", 1)[-1]
    query = scope.get("query_string", b"").decode("latin-1")
    location = f"./{quote(last)}/" if last else "./"
    return Response(status_code=307, headers={"location": location + (f"?{query}" if query else "")})
