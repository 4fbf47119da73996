"""What was refused and why, for the operator: told in the log, and never so often that it becomes a flood."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rocade.router.permissions import Action, Decision, explanation
from rocade.wamp.messages import Match
from rocade.wamp.uris import shown

if TYPE_CHECKING:
    from rocade.router.session import Session

__all__ = ["Refusals"]

LINES = 30
"""Lines of one level in one period."""

PERIOD = 60.0
"""Seconds after which the same may be told again."""

MAX_NAME = 60
"""Characters of an authid that are shown."""

logger = logging.getLogger("rocade.authorization")


class Refusals:
    """Tells of refusals, each kind once in a while: same realm, role, action and URI.

    A refusal is told at level "info", that there was no telling whether something is allowed at "error". What is left
    out there is told at "debug", and counted.
    """

    def __init__(self) -> None:
        # level -> what was told in this period
        self._told: dict[int, set[tuple[str, ...]]] = {}
        self._left_out = 0
        self._until = float("-inf")

    def tell(self, session: Session, action: Action, uri: str, match: Match, decision: Decision, now: float) -> None:
        """Tell of one.

        Args:
            session: who asked.
            action, uri, match: for what.
            decision: the answer.
            now: seconds, monotonic.
        """
        if now >= self._until:
            self._begin(now)
        level = logging.ERROR if decision.failed else logging.INFO
        told = self._told.setdefault(level, set())
        kind = (session.realm, session.role.name, action.value, uri[:MAX_NAME], match.value)
        if kind in told or len(told) >= LINES:
            self._left_out += 1
            level = logging.DEBUG
        else:
            told.add(kind)
        if logger.isEnabledFor(level):
            logger.log(level, "%s", _text(session, action, uri, match, decision))

    def _begin(self, now: float) -> None:
        if self._left_out:
            logger.info("%d more refusals like those told before", self._left_out)
        self._told.clear()
        self._left_out = 0
        self._until = now + PERIOD


def _text(session: Session, action: Action, uri: str, match: Match, decision: Decision) -> str:
    pattern = "" if match is Match.EXACT else f" ({match.value})"
    authid = session.authid if len(session.authid) <= MAX_NAME else session.authid[:MAX_NAME] + "…"
    return (
        f"refused: {action.value} {shown(uri)}{pattern} in realm {session.realm!r} "
        f"by role {session.role.name!r} (authid {authid!r}, session {session.id}): {explanation(decision)}"
    )
