"""Ending calls that their callees have not answered: canceled, timed out, undeliverable, or left by one of both ends.

Specification: advanced/rpc_call_canceling.md, advanced/rpc_call_timeout.md, basic/remote_procedure_call.md.
"""

from __future__ import annotations

from msgspec import Raw

from rocade.router.calls import PendingCall
from rocade.router.dispatch import CALL, NO_ERROR_DETAILS, Dispatcher, interrupt
from rocade.router.effects import CancelWake, Deliver, Effect, WakeAt
from rocade.router.session import Session
from rocade.wamp.messages import Cancel, CancelMode, Error, Invocation, Result

__all__ = ["Canceling"]


class Canceling:
    """Ends pending calls for other reasons than an answer of their callees."""

    __slots__ = ("_dispatcher",)

    def __init__(self, dispatcher: Dispatcher) -> None:
        """
        Args:
            dispatcher: hands calls to callees, and knows who waits.
        """
        self._dispatcher = dispatcher

    def cancel(self, caller: Session, message: Cancel) -> list[Effect]:
        """Stop a pending call.

        "skip" answers the caller at once and drops the result; "kill" interrupts the callee and waits for its
        answer; "killnowait" does both. A callee without call canceling is treated as "skip". A call that is
        finished already, which happens when CANCEL crosses RESULT, is left alone. After "kill", a caller that does
        not want to wait any longer may still send one of the others.

        Args:
            caller: session that sent the CALL.
            message: [CANCEL, CALL.Request|id, Options|dict].
        Returns:
            INTERRUPT to the callee, ERROR wamp.error.canceled to the caller; either may be absent.

        Spec: advanced/rpc_call_canceling.md
        """
        pending = caller.calls.get(message.request)
        mode = message.options.mode or CancelMode.KILLNOWAIT
        if pending is None or (pending.killed and mode is CancelMode.KILL):
            return []
        callee = pending.callee
        if mode is CancelMode.KILL and callee is not None and callee.callee_cancels:
            pending.killed = True
            return [interrupt(callee, pending.invocation, CancelMode.KILL, "wamp.error.canceled")]
        skips = mode is CancelMode.SKIP and callee is not None
        effects = [] if skips else self._dispatcher.interrupted(pending, "wamp.error.canceled")
        effects.extend(self._dispatcher.fail(pending, "wamp.error.canceled", "the call was canceled"))
        return effects

    def wake(self, pending: PendingCall, now: float) -> list[Effect]:
        """A call's deadline has come: time it out, unless it is answered or its deadline has moved.

        Spec: advanced/rpc_call_timeout.md
        """
        if pending.caller is None or pending.deadline is None:
            return []
        if now < pending.deadline:
            return [WakeAt(pending.deadline, pending)]
        effects = self._dispatcher.interrupted(pending, "wamp.error.timeout")
        effects.extend(
            self._dispatcher.fail(
                pending, "wamp.error.timeout", f"no result within {round((pending.timeout or 0) * 1000)} ms"
            )
        )
        return effects

    def caller_gone(self, caller: Session, pending: PendingCall) -> list[Effect]:
        """The caller of a call is gone.

        Args:
            caller: who it was; a call of itself is ended with its invocations.
            pending: one of its calls. That nobody finds it there any more is up to who calls this.
        Returns:
            INTERRUPT to the callee, if it takes any.
        """
        effects: list[Effect] = []
        pending.caller = None
        if pending.deadline is not None:
            effects.append(CancelWake(pending))
        if pending.callee is not caller:
            effects.extend(self._dispatcher.interrupted(pending, "wamp.error.canceled"))
        pending.let_go()
        return effects

    def callee_gone(self, pending: PendingCall) -> list[Effect]:
        """The callee of a call is gone.

        Args:
            pending: one of its invocations, likewise.
        Returns:
            ERROR wamp.error.canceled to the caller, if it still waits.
        """
        return self._dispatcher.fail(pending, "wamp.error.canceled", "the callee is gone")

    def undeliverable(
        self, receiver: Session, message: Invocation | Result | Error, uri: str, text: str
    ) -> list[Effect]:
        """A message could not be given to its receiver: too large for it, or not expressible in its serializer.

        Args:
            receiver: for whom it was.
            message: what was not delivered.
            uri: why, as an error URI.
            text: why, in plain words.
        Returns:
            ERROR to the caller, in place of the RESULT, or of the INVOCATION that its callee will never see.
        """
        if isinstance(message, Invocation):
            return self._not_invoked(receiver, message, uri, text)
        if isinstance(message, Error):
            if message.args == []:
                return []  # what stands in for another message, and is as short as can be
            args = [text] if type(message.args) is Raw else []
            shorter = Error(message.request_type, message.request, NO_ERROR_DETAILS, uri, args)
            return [Deliver(shorter, (receiver,))]
        pending = receiver.calls.get(message.request)
        if pending is not None:  # it was a progressive result: the rest of them is not wanted
            return [*self._dispatcher.interrupted(pending, uri), *self._dispatcher.fail(pending, uri, text)]
        if isinstance(message, Result) and message.details.progress:
            return []  # the call has ended since
        return [Deliver(Error(CALL, message.request, NO_ERROR_DETAILS, uri, [text]), (receiver,))]

    def _not_invoked(self, callee: Session, message: Invocation, uri: str, text: str) -> list[Effect]:
        pending = callee.invocations.get(message.request)
        if pending is not None and pending.stream is not None and pending.stream.has_continued:
            # The callee has the beginning of it.
            return [*self._dispatcher.interrupted(pending, uri), *self._dispatcher.fail(pending, uri, text)]
        if callee.last_invocation == message.request:
            # "IDs in the session scope MUST be incremented by 1": the callee has never seen this one.
            callee.last_invocation -= 1
        if pending is None:
            return []
        del callee.invocations[message.request]
        return [*self._dispatcher.fail(pending, uri, text), *self._dispatcher.freed(callee, pending.registration)]
