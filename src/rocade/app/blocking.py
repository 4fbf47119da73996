"""An application's session for plain functions: calls that block the thread they are made in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rocade.app.application import Application
    from rocade.client.options import CallOptions, PublishOptions

__all__ = ["Blocking"]

T = TypeVar("T")


class Blocking:
    """What `Application` awaits, for the threads that its plain functions run in."""

    def __init__(self, application: Application) -> None:
        """Made by `Application.blocking`."""
        self._application = application

    def call(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = None,
        options: CallOptions | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a procedure and wait for its result, see `Session.call`.

        Raises:
            RuntimeError: the application does not run, or this is its event loop, which must not be blocked.
        """
        call = self._application.call
        return self._wait("call", lambda: call(procedure, *args, timeout=timeout, options=options, **kwargs))

    def publish(self, topic: str, /, *args: Any, options: PublishOptions | None = None, **kwargs: Any) -> int | None:
        """Publish an event, see `Session.publish`; waits while the connection is full.

        Raises:
            RuntimeError: the application does not run, or this is its event loop, which must not be blocked.
        """
        publish = self._application.publish
        return self._wait("publish", lambda: publish(topic, *args, options=options, **kwargs))

    def emit(self, name: str, /, *args: Any) -> None:
        """Call the functions that wait for something by `@app.on`, see `Application.emit`.

        Raises:
            RuntimeError: as for `call`.
            Exception: what a function raises.
        """
        emit = self._application.emit
        self._wait("emit", lambda: emit(name, *args))

    def _wait(self, what: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = self._application.loop_for(f"app.blocking.{what}")
        try:
            asyncio.get_running_loop()
        except RuntimeError:

            async def on_the_loop() -> T:
                return await make()

            return asyncio.run_coroutine_threadsafe(on_the_loop(), loop).result()
        raise RuntimeError(
            f"app.blocking.{what} would block the event loop of here; in a coroutine, write await app.{what}(…)"
        )
