"""The way of a session's messages into its realm: authorized first, and always in the order they were sent.

Nearly always the answer is at hand and a message goes straight to the realm, without a queue, a task or an
await. When it must be awaited (a dynamic authorizer, later a claim in a cluster), the message waits, and the
session's later messages wait behind it. What must not wait passes at once: YIELD and ERROR, or an authorizer
that waits for its own caller would deadlock; CANCEL finds a CALL that is still waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from rocade.errors import ApplicationError, ProtocolViolation
from rocade.router.permissions import Action, Decision
from rocade.router.realm import Realm
from rocade.serve.authorization import Authorizer
from rocade.wamp.messages import (
    Call,
    Cancel,
    Error,
    EventReceived,
    Match,
    Message,
    Publish,
    Register,
    Subscribe,
    Unregister,
    Unsubscribe,
    Yield,
)
from rocade.wamp.uris import shown

if TYPE_CHECKING:
    from rocade.serve.gateway import ConnectedSession, Gateway

__all__ = ["Admission"]

AUTHORIZATION_DEADLINE = 10.0
"""Seconds after which an authorizer that has not answered means no."""

MAX_WAITING = 64
"""Messages that wait before the session's connection is not read any more."""

logger = logging.getLogger("rocade.admission")

_REQUESTS = frozenset((Call, Publish, Subscribe, Unsubscribe, Register, Unregister))
_PASSING = frozenset((Yield, Error, Cancel, EventReceived))


class Admission:
    """One session's way into its realm.

    Attributes:
        session: whose messages come this way.
    """

    __slots__ = ("_authorize", "_gateway", "_now", "_realm", "_sequential", "_task", "_waiting", "session")

    def __init__(self, session: ConnectedSession, realm: Realm, authorizer: Authorizer, gateway: Gateway) -> None:
        """
        Args:
            session: whose messages come this way.
            realm: where they go.
            authorizer: asked before they do.
            gateway: carries out what the realm wants done.
        """
        self.session = session
        self._realm = realm
        self._authorize = authorizer.authorize
        self._gateway = gateway
        self._now = asyncio.get_running_loop().time
        self._sequential = realm.sequential_requests
        # messages with their pending decision (None: not asked for yet), in the order they were sent
        self._waiting: deque[tuple[Message, Awaitable[Decision] | None]] = deque()
        self._task: asyncio.Task[None] | None = None

    def submit(self, message: Message) -> None:
        """Let a message in, now or in its turn.

        Raises:
            ProtocolViolation: the session must be aborted.
        """
        disclose = False
        if type(message) not in _PASSING:
            if type(message) not in _REQUESTS:
                raise ProtocolViolation(f"{type(message).__name__.upper()} is not for clients to send in a session")
            if self._sequential:
                self.session.take_request(message.request)  # type: ignore[attr-defined]
            if self._waiting:
                self._wait(message, None)
                return
            decision = self._ask(message)
            if type(decision) is not Decision:
                self._wait(message, decision)  # type: ignore[arg-type]
                return
            if not decision.allowed:
                self._refuse(message, decision)
                return
            disclose = decision.disclose
        elif self._waiting and type(message) is Cancel and self._cancel_waiting(message):
            return
        effects = self._realm.receive(self.session, message, self._now(), disclose)
        if effects:
            self._gateway.carry_out(self._realm, effects)

    def close(self) -> None:
        """The session is gone: what waits is dropped."""
        for _, decision in self._waiting:
            if asyncio.iscoroutine(decision):
                decision.close()
        self._waiting.clear()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def _ask(self, message: Message) -> Decision | Awaitable[Decision]:
        """What the authorizer says; a failure of its means no."""
        kind = type(message)
        try:
            if kind is Call:
                return self._authorize(self.session, Action.CALL, message.procedure, Match.EXACT)  # type: ignore[attr-defined]
            if kind is Publish:
                return self._authorize(self.session, Action.PUBLISH, message.topic, Match.EXACT)  # type: ignore[attr-defined]
            if kind is Subscribe:
                match = message.options.match or Match.EXACT  # type: ignore[attr-defined]
                return self._authorize(self.session, Action.SUBSCRIBE, message.topic, match)  # type: ignore[attr-defined]
            if kind is Register:
                match = message.options.match or Match.EXACT  # type: ignore[attr-defined]
                return self._authorize(self.session, Action.REGISTER, message.procedure, match)  # type: ignore[attr-defined]
        except Exception:
            logger.exception("the authorizer failed on %s; refused", kind.__name__.upper())
            return _FAILED
        return _NOT_ASKED

    def _refuse(self, message: Message, decision: Decision) -> None:
        self._gateway.carry_out(self._realm, self._realm.refuse(self.session, message, _refusal(message, decision)))

    def _let_in(self, message: Message, decision: Decision) -> None:
        if not decision.allowed:
            self._refuse(message, decision)
            return
        effects = self._realm.receive(self.session, message, self._now(), decision.disclose)
        self._gateway.carry_out(self._realm, effects)

    # --- the waiting room -------------------------------------------------------------------------

    def _wait(self, message: Message, decision: Awaitable[Decision] | None) -> None:
        self._waiting.append((message, decision))
        if len(self._waiting) == MAX_WAITING:
            self.session.outbox.link.pause_reading()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve_waiting())

    async def _serve_waiting(self) -> None:
        """Let waiting messages in, one after the other, until none waits."""
        waiting = self._waiting
        while waiting:
            message, pending = waiting[0]
            answer = self._ask(message) if pending is None else pending
            decision = answer if type(answer) is Decision else await self._awaited(answer, message)
            if not waiting or waiting[0][0] is not message:
                continue  # the session is gone, or this was a CALL that was canceled meanwhile
            waiting.popleft()
            if len(waiting) == MAX_WAITING // 2:
                self.session.outbox.link.resume_reading()
            try:
                self._let_in(message, decision)
            except ProtocolViolation as violation:
                self._gateway.abort(self.session, violation)
        self._task = None

    async def _awaited(self, answer: Any, message: Message) -> Decision:
        what = type(message).__name__.upper()
        try:
            async with asyncio.timeout(AUTHORIZATION_DEADLINE):
                decision = await answer
            if type(decision) is Decision:
                return decision
            logger.error("the authorizer answered %r to %s; refused", decision, what)
        except TimeoutError:
            logger.error("the authorizer did not answer %s within %g s; refused", what, AUTHORIZATION_DEADLINE)
        except Exception:
            logger.exception("the authorizer failed on %s; refused", what)
        return _FAILED

    def _cancel_waiting(self, cancel: Cancel) -> bool:
        """Answer a CALL that is still waiting here; whether there was one."""
        for index, (message, pending) in enumerate(self._waiting):
            if type(message) is Call and message.request == cancel.request:
                if index and asyncio.iscoroutine(pending):
                    pending.close()
                del self._waiting[index]
                error = ApplicationError("wamp.error.canceled", "the call was canceled")
                self._gateway.carry_out(self._realm, self._realm.refuse(self.session, message, error))
                return True
        return False


_FAILED = Decision(False)
_NOT_ASKED = Decision(True)


def _refusal(message: Message, decision: Decision) -> ApplicationError:
    if decision is _FAILED:
        return ApplicationError("wamp.error.authorization_failed", "it could not be determined whether this is allowed")
    uri = message.topic if isinstance(message, Publish | Subscribe) else message.procedure  # type: ignore[attr-defined]
    return ApplicationError(
        "wamp.error.not_authorized", f"not allowed to {type(message).__name__.lower()} {shown(uri)}"
    )
