"""A router for the process that it is in, as programs use it."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rocade.client.connect import Connecting, connect_in_memory
from rocade.serve.embedded import EmbeddedRouter
from rocade.serve.tap import Observer, Sighting, tapped

__all__ = ["Router", "Sighting"]


class Router(EmbeddedRouter):
    """A router in this process, with one realm in which everybody may do everything::

        async with Router() as router:
            async with router.connect() as session:
                ...

    It is reached in memory. Call `bind` before it is entered to have it listen as well.
    """

    def __init__(self, realm: str = "realm1", *, observer: Observer | None = None) -> None:
        """
        Args:
            realm: the name of its realm.
            observer: told of each message that goes over its links.
        Raises:
            ConfigurationError: the realm cannot have that name.
        """
        wrap = None if observer is None else (lambda entrance: tapped(entrance, observer))
        super().__init__(realm, wrap=wrap)

    def connect(self, **options: Any) -> Connecting:
        """A session with it, in memory; to be awaited, or used with `async with`.

        Args:
            **options: as for `rocade.connect`, without what is about URLs.
        """
        return connect_in_memory(self.entrance, self.realm, **options)

    async def __aenter__(self) -> Router:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
