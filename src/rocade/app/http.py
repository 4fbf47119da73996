"""What an application has over HTTP: files."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rocade.app.scaffold import Scaffold

__all__ = ["Files", "Http", "services"]

WEBSOCKET_PATH = "/ws"


@dataclass(frozen=True, slots=True)
class Files:
    """A directory that is served."""

    path: str
    directory: str
    allow_index: bool = False


class Http:
    """`app.http`: what the router that the application starts serves over HTTP, on the same port."""

    def __init__(self, application: Scaffold) -> None:
        """Made by `Scaffold`."""
        self._application = application
        self.files: list[Files] = []

    def serve(self, path: str, directory: str, *, allow_index: bool = False) -> None:
        """Serve the files of a directory, such as a page and its scripts: `app.http.serve("/", "web")`.

        Args:
            path: where, below which its files are found; "/" for the whole site.
            directory: the directory, relative to the file that this is written in.
            allow_index: list the files of directories that have no index.html.
        Raises:
            ValueError: there is no such directory, or the path is taken.
            RuntimeError: the application runs already.
        """
        self._application.check_setup("app.http.serve")
        found = Path(sys._getframe(1).f_code.co_filename).parent / directory
        if not found.is_dir():
            raise ValueError(f"there is no directory {str(found)!r} to serve")
        path = "/" + path.strip("/")
        if path == WEBSOCKET_PATH or any(other.path == path for other in self.files):
            raise ValueError(f"the path {path!r} is taken already")
        self.files.append(Files(path, str(found.resolve()), allow_index))


def services(files: list[Files]) -> dict[str, Any]:
    """HTTP path -> ASGI application, for `EmbeddedRouter.serve`."""
    from rocade.serve.web.static import StaticDirectory

    return {entry.path: StaticDirectory(entry.directory, listing=entry.allow_index) for entry in files}
