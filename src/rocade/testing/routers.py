"""A router that listens, for tests that have no event loop, or whose clients are other programs."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType

from rocade.testing.recording import Recording

__all__ = ["ListeningRouter"]


class ListeningRouter:
    """A router on a free port of 127.0.0.1, on an event loop in a thread of its own.

    Attributes:
        realm: the realm; everybody may do everything there.
        url: where WebSocket clients connect; RawSocket is on the same port.
        port: its TCP port.
        recording: the messages that went over its links.
    """

    def __init__(self, realm: str = "realm1") -> None:
        """
        Args:
            realm: the realm.
        """
        self.realm = realm
        self.url = ""
        self.port = 0
        self.recording = Recording()
        self._failure: BaseException | None = None
        self._has_started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="rocade-router", daemon=True)

    def start(self) -> None:
        """Start it; it accepts clients when this returns.

        Raises:
            Exception: why it could not be started.
        """
        self._thread.start()
        self._has_started.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop it. Clients get GOODBYE."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def __enter__(self) -> ListeningRouter:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._has_started.set()

    async def _serve(self) -> None:
        from rocade import Router

        router = Router(self.realm, observer=self.recording.see)
        router.bind(port=0)
        async with router:
            self.url, self.port = router.url, router.port
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._has_started.set()
            await self._stop.wait()
