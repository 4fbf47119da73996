"""Handing calls to callees, letting them wait, trying another callee, and ending them.

Specification: advanced/rpc_call_rerouting.md, advanced/rpc_call_canceling.md, advanced/rpc_call_timeout.md; for callees
that limit their invocations, docs/wamp.md.
"""

from __future__ import annotations

from collections.abc import Callable

from rocade.errors import ApplicationError, LimitExceeded
from rocade.router.calls import KeptCall, PendingCall, Stream
from rocade.router.details import invocation_details, missing_feature
from rocade.router.effects import CancelWake, Deliver, Effect, LimitReached, ServeWaiting, WakeAt
from rocade.router.limits import refuse_invocation
from rocade.router.registrations import Registration
from rocade.router.session import Session
from rocade.wamp.codec import Serializer
from rocade.wamp.messages import CancelMode, CancelOptions, Error, Interrupt, Invocation, PassthruDetails
from rocade.wamp.uris import shown

__all__ = ["CALL", "FEATURE_NOT_SUPPORTED", "NO_ERROR_DETAILS", "UNAVAILABLE", "Dispatcher", "interrupt"]

CALL = 48

UNAVAILABLE = "wamp.error.unavailable"
NO_AVAILABLE_CALLEE = "wamp.error.no_available_callee"
FEATURE_NOT_SUPPORTED = "wamp.error.feature_not_supported"

NO_ERROR_DETAILS = PassthruDetails()


class Dispatcher:
    """What becomes of calls between their CALL and their answer, wherever that is not simply passed on.

    An invocation is off its callee's list of `invocations` in the moment in which the callee counts as free of it.
    """

    __slots__ = ("_random_below",)

    def __init__(self, random_below: Callable[[int], int]) -> None:
        """
        Args:
            random_below: draws an integer from 0 to n - 1, for `Invoke.RANDOM`.
        """
        self._random_below = random_below

    # --- beginning --------------------------------------------------------------------------------

    def begin(self, pending: PendingCall, callee: Session | None, kept: KeptCall) -> list[Effect]:
        """Begin a call that is no plain one.

        Args:
            pending: the call, which nobody knows yet.
            callee: who gets it; None when all are busy.
            kept: how it was made.
        Returns:
            `WakeAt` if the call has a timeout, INVOCATION unless it waits.
        Raises:
            ApplicationError: wamp.error.feature_not_supported, wamp.error.no_available_callee.
        """
        message, caller = kept.message, pending.caller
        assert caller is not None
        if callee is not None:
            missing = missing_feature(callee, message.options)
            if missing is not None:
                raise ApplicationError(FEATURE_NOT_SUPPORTED, f"the callee does not have {missing}")
            if len(callee.invocations) >= callee.max_invocations:
                raise refuse_invocation(callee.max_invocations)
            caller.calls[message.request] = pending
            return self._invoke(pending, callee, kept)
        if not self._wait(pending, kept):
            most = caller.limits.kept_call_bytes
            if caller.kept_bytes + kept.size > most:
                raise LimitExceeded("kept_call_bytes", most, f"{most} bytes may be kept of a session's calls")
            raise ApplicationError(NO_AVAILABLE_CALLEE, f"all callees of {shown(pending.registration.uri)} are busy")
        caller.calls[message.request] = pending
        return self._start_timer(pending, kept) if message.options.timeout else []

    def _invoke(self, pending: PendingCall, callee: Session, kept: KeptCall) -> list[Effect]:
        """Hand a call to a callee that is free and has what it needs."""
        message, registration = kept.message, pending.registration
        if registration.free is not None:
            registration.began(callee)
        invocation = callee.next_invocation()
        callee.invocations[invocation] = pending
        pending.callee, pending.invocation = callee, invocation
        details = invocation_details(pending, kept)
        pending.progress = details.receive_progress is True
        if message.options.progress:
            pending.stream = Stream(message.procedure, details)
        # What it would take to try another callee is kept only where this one may ask for it, and there is one.
        reroutes = callee.callee_reroutes and registration.has_others(kept.tried | {callee})
        effects: list[Effect] = []
        if not reroutes:
            pending.let_go()
        elif not pending.keep(kept):
            # A call that is not kept is as good as any other, as long as nobody refuses it.
            assert pending.caller is not None
            effects.append(LimitReached(pending.caller, "kept_call_bytes"))
        if message.options.timeout and details.timeout is None and pending.deadline is None:
            # First, since an INVOCATION that cannot be delivered ends the call at once, and its timer with it.
            effects.extend(self._start_timer(pending, kept))
        invoked = Invocation(invocation, registration.id, details, message.args, message.kwargs)
        effects.append(Deliver(invoked, (callee,), kept.origin))
        return effects

    def _start_timer(self, pending: PendingCall, kept: KeptCall) -> list[Effect]:
        pending.timeout = (kept.message.options.timeout or 0) / 1000
        pending.deadline = kept.since + pending.timeout
        return [WakeAt(pending.deadline, pending)]

    def reroute(self, pending: PendingCall, callee: Session) -> list[Effect]:
        """Try another callee, or wait for one, in place of one that is unavailable. Each is tried once.

        Spec: advanced/rpc_call_rerouting.md
        """
        kept, registration = pending.kept, pending.registration
        if kept is not None and pending.caller is not None and not pending.killed:
            kept.tried |= {callee}
            other, effects = self._choose(pending, kept)
            while other is not None:
                if missing_feature(other, kept.message.options) is None:
                    return [*effects, *self._invoke(pending, other, kept)]
                kept.tried |= {other}
                other, more = self._choose(pending, kept)
                effects.extend(more)
            if registration.has_others(kept.tried) and self._wait(pending, kept, in_front=True):
                return effects
            effects.extend(self._none_available(pending))
            return effects
        return self._none_available(pending)

    def _choose(self, pending: PendingCall, kept: KeptCall) -> tuple[Session | None, list[Effect]]:
        """Whom to try next. One that owes as many answers as it may counts as tried, and the operator is told."""
        effects: list[Effect] = []
        while (callee := pending.registration.choose(self._random_below, kept.tried)) is not None:
            if len(callee.invocations) < callee.max_invocations:
                break
            kept.tried |= {callee}
            assert pending.caller is not None
            effects.append(LimitReached(pending.caller, "invocations"))
        return callee, effects

    def _none_available(self, pending: PendingCall) -> list[Effect]:
        return self.fail(pending, NO_AVAILABLE_CALLEE, f"no callee of {shown(pending.registration.uri)} is available")

    # --- calls that wait for a callee -------------------------------------------------------------

    def _wait(self, pending: PendingCall, kept: KeptCall, *, in_front: bool = False) -> bool:
        """Let a call wait until a callee is free; whether it can."""
        waiting = pending.registration.waiting
        # What belongs to a progressive call would pile up behind it.
        if waiting is None or kept.message.options.progress or not pending.keep(kept):
            return False
        if not waiting.add(pending, kept.size, in_front=in_front):
            pending.let_go()
            return False
        pending.callee = None
        return True

    def serve_waiting(self, registration: Registration) -> list[Effect]:
        """Carry out a `ServeWaiting`: give a call that waits to a callee that is free.

        Returns:
            Effects for the call that has waited longest of those that a free callee has not refused yet. The rest
            is left to another `ServeWaiting`.
        """
        effects: list[Effect] = []
        for pending in list(registration.waiting or ()):
            kept = pending.kept
            assert kept is not None
            callee, reached = self._choose(pending, kept)
            effects.extend(reached)
            if callee is not None:
                return [*effects, *self._take_up(pending, callee, kept), *self.served(registration)]
            if not kept.tried:
                break
            if not registration.has_others(kept.tried):
                self._withdraw(pending)
                effects.extend(self._none_available(pending))
        return effects

    def _take_up(self, pending: PendingCall, callee: Session, kept: KeptCall) -> list[Effect]:
        self._withdraw(pending)
        missing = missing_feature(callee, kept.message.options)
        if missing is None:
            return self._invoke(pending, callee, kept)
        if kept.tried:
            return self.reroute(pending, callee)
        return self.fail(pending, FEATURE_NOT_SUPPORTED, f"the callee does not have {missing}")

    def _withdraw(self, pending: PendingCall) -> None:
        """A call that waits does not wait any more."""
        waiting = pending.registration.waiting
        assert waiting is not None
        waiting.remove(pending)

    def served(self, registration: Registration) -> list[Effect]:
        """What to do when a callee may be free."""
        return [ServeWaiting(registration)] if registration.waiting else []

    def freed(self, callee: Session, registration: Registration) -> list[Effect]:
        """A callee has one invocation less."""
        if registration.free is None:
            return []
        registration.ended(callee)
        return self.served(registration)

    def stranded(self, registration: Registration) -> list[Effect]:
        """A callee is gone: end the calls that wait, but not for any of those that are left."""
        effects: list[Effect] = []
        for pending in list(registration.waiting or ()):
            assert pending.kept is not None
            if not registration.has_others(pending.kept.tried):
                self._withdraw(pending)
                effects.extend(self.fail(pending, NO_AVAILABLE_CALLEE, "the last callee is gone"))
        return effects

    # --- ending -----------------------------------------------------------------------------------

    def interrupted(self, pending: PendingCall, reason: str) -> list[Effect]:
        """Tell the callee to stop, if it can be told, and forget the invocation; a call that waits just waits no more.

        "it is not necessary for the Callee to respond with an ERROR message, when mode="killnowait", since the
        Dealer ignores it" (advanced/rpc_call_canceling.md): nobody would take it off the list.
        """
        callee = pending.callee
        if callee is None:
            self._withdraw(pending)
            return []
        if not callee.callee_cancels:
            return []
        del callee.invocations[pending.invocation]
        stop = interrupt(callee, pending.invocation, CancelMode.KILLNOWAIT, reason)
        return [stop, *self.freed(callee, pending.registration)]

    def fail(self, pending: PendingCall, uri: str, text: str) -> list[Effect]:
        """Answer the caller, if it still waits, with an error of our own."""
        return self.end(pending, Error(CALL, pending.request, NO_ERROR_DETAILS, uri, [text]))

    def end(self, pending: PendingCall, answer: Error, origin: Serializer | None = None) -> list[Effect]:
        """Give the caller, if it still waits, its final answer. A later one finds no caller and is dropped."""
        caller = pending.caller
        if caller is None:
            return []
        del caller.calls[pending.request]
        pending.let_go()
        pending.caller = None
        effects: list[Effect] = [Deliver(answer, (caller,), origin)]
        if pending.deadline is not None:
            effects.append(CancelWake(pending))
        return effects


def interrupt(callee: Session, invocation: int, mode: CancelMode, reason: str) -> Deliver:
    """INTERRUPT of an invocation, to its callee."""
    return Deliver(Interrupt(invocation, CancelOptions(mode=mode, reason=reason)), (callee,))
