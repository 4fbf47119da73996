"""What a request implies: a testament is a publication, and whoever reads a history might as well have subscribed.

The routing core asks about it while it carries the request out, and wants an answer at once. Where that must be
awaited, the request is broken off before anything has changed; admission lets it wait like any other question, and then
it is carried out from the beginning, with the answer at hand.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rocade.router.permissions import DENIED, Action, Decision
from rocade.router.session import Session
from rocade.serve.authorization import Undecided
from rocade.wamp.messages import Match

if TYPE_CHECKING:
    from rocade.serve.gateway import Gateway

__all__ = ["ImpliedRequests"]

logger = logging.getLogger("rocade.authorization")


class ImpliedRequests:
    """Asks a gateway's authorizer about what requests imply."""

    def __init__(self, gateway: Gateway) -> None:
        """
        Args:
            gateway: whose authorizer.
        """
        self._gateway = gateway
        # what was answered about the request that is being carried out: question -> answer
        self._answers: dict[Any, Decision] = {}

    def authorize(
        self, session: Session, action: Action, uri: str, match: Match = Match.EXACT, *, waits: bool = True
    ) -> Decision:
        """The authorizer's answer. A failure means no.

        Args:
            session: who asks.
            action, uri, match: for what.
            waits: whether the request can be broken off. What cannot gets a no if there is no answer yet.
        Raises:
            Undecided: the answer must be awaited.
        """
        question = (session.id, action, uri, match)
        decision: Any = self._answers.get(question)
        try:
            decision = decision or self._gateway.authorizer.authorize(session, action, uri, match)
        except Exception as error:
            logger.debug("the authorizer failed on what a meta procedure implies", exc_info=True)
            decision = Decision(False, failed=True, reason=f"the authorizer raised {error!r}")
        if not isinstance(decision, Decision):
            if waits and inspect.isawaitable(decision):
                raise Undecided(question, decision)
            if inspect.iscoroutine(decision):
                decision.close()
            return DENIED
        if waits and not decision.allowed:
            self._gateway.refusals.tell(session, action, uri, match, decision, asyncio.get_running_loop().time())
        return decision

    @contextmanager
    def answered(self, answers: dict[Any, Decision]) -> Iterator[None]:
        """While this is open, what a request implies has been found out.

        Args:
            answers: `Undecided.question` -> answer.
        """
        self._answers = answers
        try:
            yield
        finally:
            self._answers = {}
