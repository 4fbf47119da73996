"""May this session do this? The question as admission asks it, and the answer of static permissions."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from rocade.router.permissions import Action, Decision
from rocade.router.session import Session
from rocade.wamp.messages import Details, Match

__all__ = ["Authorizer", "RolePermissions", "Undecided"]


class Authorizer(Protocol):
    """Decides whether sessions may do what they ask for.

    An answer that is not at hand is awaited; meanwhile later messages of the session wait behind this one.
    Raising, or taking longer than the admission's deadline, means no.
    """

    def authorize(
        self, session: Session, action: Action, uri: str, match: Match, options: Details | None = None
    ) -> Decision | Awaitable[Decision]:
        """Whether `session` may do `action` on `uri`.

        Args:
            session: who asks.
            action: what for.
            uri: a topic or procedure, or a pattern of them.
            match: how `uri` is meant; patterns come with SUBSCRIBE and REGISTER only.
            options: those of the request; None where it is only implied by one.
        """


class Undecided(Exception):
    """Whether a session may do what its request implies must be awaited before the request can go on.

    Attributes:
        question: session id, action, URI and match.
        answer: what is to be awaited.
    """

    def __init__(self, question: tuple[int, Action, str, Match], answer: Awaitable[Decision]) -> None:
        """See the attributes."""
        super().__init__(question)
        self.question = question
        self.answer = answer


class RolePermissions:
    """Answers from the permissions of the session's role, at once."""

    def authorize(
        self, session: Session, action: Action, uri: str, match: Match, options: Details | None = None
    ) -> Decision:
        """The role's decision, remembered by the role."""
        return session.role.decide(action, uri, match)
