"""An application at work inside a test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from rocade.testing.recording import Recording

if TYPE_CHECKING:
    from rocade import Application, Session

__all__ = ["running"]


@asynccontextmanager
async def running(
    *applications: Application, realm: str = "realm1", recording: Recording | None = None, **options: Any
) -> AsyncIterator[Session]:
    """Run applications beside a router, in this process and without a port.

    Args:
        *applications: one or several, which can call each other; they are started in this order.
        realm: the realm that they join.
        recording: takes down all messages; one is made by default.
        **options: for the client's session, as for `rocade.connect`.
    Yields:
        A client's session in the same realm.
    """
    from rocade import Router

    router = Router(realm, observer=(recording or Recording()).see)
    options.setdefault("agent", "client")
    async with router:
        started: list[Application] = []
        try:
            for application in applications:
                await application.start(router=router, realm=realm)
                started.append(application)
            async with router.connect(**options) as session:
                yield session
        finally:
            for application in reversed(started):
                await application.stop()
