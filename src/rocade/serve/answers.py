"""Answers of authorizers that may be used again: so many, and for so long."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from msgspec import Struct

from rocade.router.permissions import Action, Decision
from rocade.router.session import Session
from rocade.wamp.messages import Match

__all__ = ["Answers"]


class Kept(Struct, frozen=True):
    """One answer.

    Attributes:
        decision: the answer.
        until: when it expires, in seconds of a monotonic clock.
        authid: whom it was given about.
    """

    decision: Decision
    until: float
    authid: str


class Answers:
    """What one authorizer said, to be used again for the same action on the same URI or pattern.

    Attributes:
        generation: counts how often it was emptied: what was asked before then is not kept any more.
    """

    def __init__(self, seconds: float, entries: int, per: Literal["session", "authid", "role"]) -> None:
        """
        Args:
            seconds: how long an answer holds; 0: not at all.
            entries: how many are kept; those that were not used for longest go first.
            per: whom else an answer holds for, beside the session that it was given about.
        """
        self.generation = 0
        self._seconds = seconds
        self._entries = entries
        self._per = per
        # (whom it holds for, action, URI, match) -> answer, the latest used last
        self._kept: OrderedDict[tuple[int | str | None, Action, str, Match], Kept] = OrderedDict()

    def find(self, session: Session, action: Action, uri: str, match: Match, now: float) -> Decision | None:
        """An answer that still holds.

        Args:
            session: who asks.
            action, uri, match: for what.
            now: seconds, monotonic.
        """
        key = self._whom(session), action, uri, match
        kept = self._kept.get(key)
        if kept is None:
            return None
        if now >= kept.until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return kept.decision

    def keep(
        self, session: Session, action: Action, uri: str, match: Match, decision: Decision, now: float, generation: int
    ) -> None:
        """Keep an answer.

        Args:
            session: who asked.
            action, uri, match: for what.
            decision: the answer.
            now: seconds, monotonic.
            generation: that in which it was asked.
        """
        if not self._seconds or generation != self.generation:
            return
        key = self._whom(session), action, uri, match
        self._kept[key] = Kept(decision, now + self._seconds, session.authid)
        self._kept.move_to_end(key)
        if len(self._kept) > self._entries:
            self._kept.popitem(last=False)

    def forget(self, authid: str | None = None) -> int:
        """Forget answers, and those that are still on their way.

        Args:
            authid: only those that hold for whoever has this; None for all.
        Returns:
            How many.
        """
        self.generation += 1
        if authid is None or self._per == "role":
            count = len(self._kept)
            self._kept.clear()
            return count
        keys = [key for key, kept in self._kept.items() if kept.authid == authid]
        for key in keys:
            del self._kept[key]
        return len(keys)

    def _whom(self, session: Session) -> int | str | None:
        if self._per == "session":
            return session.id
        return session.authid if self._per == "authid" else None
