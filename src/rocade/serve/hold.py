"""Keeps calls and publications back while there is nobody to take them: during a restart of the application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from rocade.router.permissions import Action, Decision
from rocade.router.session import Session
from rocade.wamp.messages import Details, Match
from rocade.wamp.uris import is_reserved

__all__ = ["HOLD_SECONDS", "Hold"]

HOLD_SECONDS = 8.0
"""How long a message is kept back at most: less than admission waits for a decision."""


class Hold:
    """An authorizer that allows what the role allows, but later.

    What a session sends behind a message that waits has to wait as well, so nothing is overtaken. What is too much
    for the waiting room stays in the client's connection.
    """

    def __init__(self, exempt: str) -> None:
        """
        Args:
            exempt: what the names of peers begin with that are never kept waiting: the application's own.
        """
        self._exempt = exempt
        self._end: asyncio.Event | None = None

    def begin(self) -> None:
        """Keep back what comes from now on."""
        if self._end is None:
            self._end = asyncio.Event()

    def end(self) -> None:
        """Let everything through, in its order."""
        if self._end is not None:
            self._end.set()
            self._end = None

    def authorize(
        self, session: Session, action: Action, uri: str, match: Match, options: Details | None = None
    ) -> Decision | Awaitable[Decision]:
        """See `Authorizer`."""
        decision = session.role.decide(action, uri, match)
        if self._end is None or action not in (Action.CALL, Action.PUBLISH) or is_reserved(uri):
            return decision
        connection = getattr(session, "connection", None)
        if connection is not None and connection.link.info.peer.startswith(self._exempt):
            return decision
        return self._later(decision, self._end)

    async def _later(self, decision: Decision, end: asyncio.Event) -> Decision:
        try:
            async with asyncio.timeout(HOLD_SECONDS):
                await end.wait()
        except TimeoutError:
            pass  # it takes its chance
        return decision
