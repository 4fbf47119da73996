"""The way of a session's messages into its realm: authorized first, and always in the order they were sent.

Nearly always the answer is at hand and a message goes straight to the realm, without a queue, a task or an
await. When it must be awaited (a dynamic authorizer, later a claim in a cluster), the message waits, and the
session's later messages wait behind it. What must not wait passes at once: YIELD and ERROR, or an authorizer
that waits for its own caller would deadlock; CANCEL finds a CALL that is still waiting.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from rocade.errors import ApplicationError, ProtocolViolation
from rocade.router.effects import Effect
from rocade.router.permissions import Action, Decision
from rocade.router.realm import Realm
from rocade.serve.authorization import Authorizer, Undecided
from rocade.wamp.codec import Serializer
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
from rocade.wamp.uris import MAX_URI_LENGTH, shown

if TYPE_CHECKING:
    from rocade.serve.gateway import Gateway
    from rocade.serve.session import ConnectedSession

__all__ = ["BREAK", "CHECKING", "MANY_EFFECTS", "RATE", "WAITING", "Admission"]

AUTHORIZATION_DEADLINE = 10.0
"""Seconds after which an authorizer that has not answered means no."""

MAX_WAITING = 64
"""Messages that wait before the session's connection is not read any more."""

MAX_WAITING_BYTES = 1024 * 1024
"""Bytes of their payloads that wait before that; one message may be larger."""

MANY_EFFECTS = 1000
"""What one message may bring about before others have their turn: a pattern may get thousands of retained events."""

WAITING, BREAK, CHECKING, RATE = 1, 2, 4, 8
"""Why a connection is not read: too many messages wait for an answer about them; others have their turn; a long message
is looked through elsewhere; the client sends faster than it may."""

logger = logging.getLogger("rocade.admission")

_REQUESTS = frozenset((Call, Publish, Subscribe, Unsubscribe, Register, Unregister))
_PASSING = frozenset((Yield, Error, Cancel, EventReceived))


class Admission:
    """One session's way into its realm.

    Attributes:
        session: whose messages come this way.
    """

    __slots__ = (
        "_authorize",
        "_delivery",
        "_gateway",
        "_now",
        "_paused",
        "_realm",
        "_sequential",
        "_task",
        "_waiting",
        "_waiting_bytes",
        "session",
    )

    def __init__(self, session: ConnectedSession, realm: Realm, authorizer: Authorizer, gateway: Gateway) -> None:
        """
        Args:
            session: whose messages come this way.
            realm: where they go.
            authorizer: asked before they do.
            gateway: whose `delivery` carries out what the realm wants done.
        """
        self.session = session
        self._realm = realm
        self._authorize = authorizer.authorize
        self._gateway = gateway
        self._delivery = gateway.delivery
        self._now = asyncio.get_running_loop().time
        # Progressive call invocations rest on it, and whoever announces them is no old client.
        self._sequential = realm.sequential_requests or session.caller_streams
        # messages with their pending decision (None: not asked for yet), in the order they were sent, and with the
        # serializer that they came in: the session may be resumed with another one
        self._waiting: deque[tuple[Message, _Pending, Serializer]] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._task: asyncio.Task[None] | None = None

    def submit(self, message: Message) -> None:
        """Let a message in, now or in its turn.

        Raises:
            ProtocolViolation: the session must be aborted.
        """
        disclose = False
        kind = type(message)
        if kind not in _PASSING:
            if kind not in _REQUESTS:
                raise ProtocolViolation(f"{kind.__name__.upper()} is not for clients to send in a session")
            if self._sequential and not self.session.take_request(message.request, is_call=kind is Call):  # type: ignore[attr-defined]
                self._continue(message)  # type: ignore[arg-type]
                return
            if self._waiting:
                self._wait(message, None)
                return
            decision = self._ask(message)
            if type(decision) is not Decision:
                self._wait(message, decision)
                return
            if not decision.allowed:
                self._refuse(message, decision)
                return
            disclose = decision.disclose
        elif self._waiting and type(message) is Cancel and self._cancel_waiting(message):
            return
        try:
            effects = self._realm.receive(self.session, message, self._now(), disclose)
        except Undecided as undecided:
            self._wait(message, _Implied(disclose, undecided, {}))
            return
        if effects and self._delivery.carry_out(self._realm, effects):
            self._take_a_break()

    def _carry_out(self, effects: list[Effect]) -> None:
        if effects and self._delivery.carry_out(self._realm, effects):
            self._take_a_break()

    def _take_a_break(self) -> None:
        """Read no more in this round of the loop, nor before others have caught up."""
        connection = self.session.connection
        if connection is not None:
            connection.pause_reading(BREAK)
            self._delivery.call_when_calm(partial(connection.resume_reading, BREAK), self._realm)

    @property
    def is_full(self) -> bool:
        """Whether so many messages wait here that no more should be read."""
        return self._paused

    def _continue(self, message: Call) -> None:
        """Let in what belongs to a call that was let in, or not, before: behind all that waits, but unasked."""
        if self._waiting:
            self._wait(message, _CONTINUED)
        else:
            self._carry_out(self._realm.continue_call(self.session, message))

    def close(self) -> None:
        """The session is gone: what waits is dropped."""
        if self._waiting:
            self._stop_asking()
            self._waiting.clear()
            self._waiting_bytes = 0
            self._let_in_more()

    def _ask(self, message: Message) -> Decision | Awaitable[Decision]:
        """What the authorizer says; a failure of its means no."""
        kind = type(message)
        try:
            if kind is Call:
                uri, match, action = message.procedure, Match.EXACT, Action.CALL  # type: ignore[attr-defined]
            elif kind is Publish:
                uri, match, action = message.topic, Match.EXACT, Action.PUBLISH  # type: ignore[attr-defined]
            elif kind is Subscribe:
                uri, match, action = message.topic, message.options.match or Match.EXACT, Action.SUBSCRIBE  # type: ignore[attr-defined]
            elif kind is Register:
                uri, match, action = message.procedure, message.options.match or Match.EXACT, Action.REGISTER  # type: ignore[attr-defined]
            else:
                return _NOT_ASKED
            # Authorizers match URIs and remember them, so what is no URI must not get there.
            if len(uri) > MAX_URI_LENGTH:
                return _TOO_LONG
            return self._authorize(self.session, action, uri, match, message.options)  # type: ignore[attr-defined]
        except Exception as error:
            logger.debug("the authorizer failed on %s", kind.__name__.upper(), exc_info=True)
            return _failed(f"the authorizer raised {error!r}")

    def _refuse(self, message: Message, decision: Decision) -> None:
        if decision is not _TOO_LONG:
            self._gateway.refusals.tell(self.session, *_asked_about(message), decision, self._now())
        self._carry_out(self._realm.refuse(self.session, message, _refusal(message, decision)))

    def _let_in(self, message: Message, pending: Decision | _Implied, serializer: Serializer) -> None:
        """Let in what has waited."""
        session = self.session
        if type(pending) is Decision and not pending.allowed:
            self._refuse(message, pending)
            return
        now, session.serializer = session.serializer, serializer
        try:
            if pending is _CONTINUED:
                effects = self._realm.continue_call(session, message)  # type: ignore[arg-type]
            elif type(pending) is Decision:
                effects = self._realm.receive(session, message, self._now(), pending.disclose)
            else:
                assert type(pending) is _Implied
                with self._gateway.implied.answered(pending.answers):
                    effects = self._realm.receive(session, message, self._now(), pending.disclose)
        except Undecided as undecided:
            disclose, answers = pending.disclose, pending.answers if type(pending) is _Implied else {}
            self._waiting.appendleft((message, _Implied(disclose, undecided, answers), serializer))
            self._waiting_bytes += _payload_bytes(message)
            return
        finally:
            session.serializer = now
        self._carry_out(effects)

    # --- the waiting room -------------------------------------------------------------------------

    def _wait(self, message: Message, pending: _Pending) -> None:
        self._waiting.append((message, pending, self.session.serializer))
        self._waiting_bytes += _payload_bytes(message)
        if not self._paused and (len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES):
            self._paused = True
            if self.session.connection is not None:
                self.session.connection.pause_reading(WAITING)
        self._start_asking()

    async def _serve_waiting(self) -> None:
        """Let waiting messages in, one after the other, until none waits."""
        waiting = self._waiting
        while waiting:
            message, pending, serializer = waiting[0]
            answer = self._ask(message) if pending is None else pending
            if type(answer) is _Implied:
                answer.answers[answer.undecided.question] = await self._awaited(answer.undecided.answer, message)
            elif type(answer) is not Decision:
                answer = await self._awaited(answer, message)
            if not waiting or waiting[0][0] is not message:
                return  # not wanted any more, and an authorizer that would not be canceled; another task goes on
            self._take_out(0)
            try:
                self._let_in(message, answer, serializer)
            except ProtocolViolation as violation:
                self.session.abort(violation)
            except Exception:
                self.session.fail()
            if self._delivery.has_backlog(self._realm):
                await self._calm()
        self._task = None

    async def _calm(self) -> None:
        """Wait until the realm has caught up with what it was told to do."""
        calm = asyncio.get_running_loop().create_future()
        self._delivery.call_when_calm(partial(_wake, calm), self._realm)
        await calm

    def _take_out(self, position: int) -> None:
        self._waiting_bytes -= _payload_bytes(self._waiting[position][0])
        del self._waiting[position]
        if self._paused and len(self._waiting) <= MAX_WAITING // 2 and self._waiting_bytes < MAX_WAITING_BYTES:
            self._let_in_more()

    def _let_in_more(self) -> None:
        self._paused = False
        if self.session.connection is not None:
            self.session.connection.resume_reading(WAITING)

    def _start_asking(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve_waiting())

    def _stop_asking(self) -> None:
        """The answer about the first message that waits, the only one that was asked about, is not wanted any more."""
        pending: Any = self._waiting[0][1]
        if type(pending) is _Implied:
            pending = pending.undecided.answer
        if inspect.iscoroutine(pending):
            if inspect.getcoroutinestate(pending) == inspect.CORO_CREATED:
                pending.close()  # what has begun ends with the task
        elif asyncio.isfuture(pending):
            pending.cancel()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            self._task = None

    async def _awaited(self, answer: Any, message: Message) -> Decision:
        what = type(message).__name__.upper()
        try:
            async with asyncio.timeout(AUTHORIZATION_DEADLINE):
                decision = await answer
            if type(decision) is Decision:
                return decision
            return _failed(f"the authorizer answered a {type(decision).__name__}")
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # the session is gone
            return _failed("what the authorizer awaited was canceled")
        except TimeoutError:
            return _failed(f"the authorizer did not answer {what} within {AUTHORIZATION_DEADLINE:g} s")
        except Exception as error:
            logger.debug("the authorizer failed on %s", what, exc_info=True)
            return _failed(f"the authorizer raised {error!r}")

    def _cancel_waiting(self, cancel: Cancel) -> bool:
        """Answer a CALL that is still waiting here; whether there was one."""
        for index, (message, pending, _) in enumerate(self._waiting):
            if type(message) is Call and message.request == cancel.request and pending is not _CONTINUED:
                if index == 0:
                    self._stop_asking()
                self._take_out(index)
                if self._waiting:
                    self._start_asking()
                error = ApplicationError("wamp.error.canceled", "the call was canceled")
                self._carry_out(self._realm.refuse(self.session, message, error))
                return True
        return False


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _payload_bytes(message: Message) -> int:
    return len(getattr(message, "args", b"")) + len(getattr(message, "kwargs", b""))


class _Implied(Struct):
    """What a message waits for that may be sent, but implies something else.

    Attributes:
        disclose: of the decision that let it in so far.
        undecided: what it waits for.
        answers: what was answered about it before. Question -> answer.
    """

    disclose: bool
    undecided: Undecided
    answers: dict[Any, Decision]


_Pending: TypeAlias = Awaitable[Decision] | Decision | _Implied | None


def _failed(reason: str) -> Decision:
    return Decision(False, failed=True, reason=reason)


_TOO_LONG = Decision(False)
_NOT_ASKED = Decision(True)
_CONTINUED = Decision(True)


def _asked_about(message: Any) -> tuple[Action, str, Match]:
    action = Action(type(message).__name__.lower())
    if action is Action.CALL or action is Action.PUBLISH:
        return action, message.procedure if action is Action.CALL else message.topic, Match.EXACT
    uri = message.topic if action is Action.SUBSCRIBE else message.procedure
    return action, uri, message.options.match or Match.EXACT


def _refusal(message: Message, decision: Decision) -> ApplicationError:
    if decision.failed:
        return ApplicationError("wamp.error.authorization_failed", "it could not be determined whether this is allowed")
    if decision is _TOO_LONG:
        return ApplicationError("wamp.error.invalid_uri", f"a URI has at most {MAX_URI_LENGTH} characters")
    uri = message.topic if isinstance(message, Publish | Subscribe) else message.procedure  # type: ignore[attr-defined]
    return ApplicationError(
        "wamp.error.not_authorized", f"not allowed to {type(message).__name__.lower()} {shown(uri)}"
    )
