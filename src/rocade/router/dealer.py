"""Remote procedure calls (basic/remote_procedure_call.md and the RPC chapters of the advanced profile)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw, structs

from rocade.errors import ApplicationError, ProtocolViolation
from rocade.router.calls import KeptCall, PendingCall, Stream
from rocade.router.details import (
    NO_INVOCATION_DETAILS,
    invocation_details,
    missing_feature,
    result_details,
)
from rocade.router.effects import CancelWake, Deliver, Effect, ServeWaiting, WakeAt
from rocade.router.meta_events import Announcer, Lifecycle
from rocade.router.meta_registrations import registration_details
from rocade.router.passthru import has_keywords, keywords_refused
from rocade.router.patterns import PatternIndex
from rocade.router.registrations import Registration
from rocade.router.session import Session
from rocade.wamp.codec import Serializer
from rocade.wamp.ids import RouterIds
from rocade.wamp.messages import (
    Call,
    Cancel,
    CancelMode,
    CancelOptions,
    Error,
    Interrupt,
    Invocation,
    Invoke,
    Match,
    PassthruDetails,
    Register,
    Registered,
    Result,
    ResultDetails,
    Unregister,
    Unregistered,
    UnregisteredDetails,
    Yield,
)
from rocade.wamp.uris import is_pattern, is_reserved, is_uri, shown

__all__ = ["Dealer"]

CALL = 48
INVOCATION = 68

UNAVAILABLE = "wamp.error.unavailable"
NO_AVAILABLE_CALLEE = "wamp.error.no_available_callee"
NOT_SUPPORTED = "wamp.error.feature_not_supported"

_NO_RESULT_DETAILS = ResultDetails()
_PROGRESS = ResultDetails(progress=True)
_NO_ERROR_DETAILS = PassthruDetails()


class Dealer:
    """The remote-procedure-call half of a realm."""

    def __init__(
        self,
        random_below: Callable[[int], int],
        wall_clock: Callable[[], float],
        announcer: Announcer,
        *,
        strict_uris: bool = False,
    ) -> None:
        """
        Args:
            random_below: draws an integer from 0 to n - 1, for `Invoke.RANDOM`.
            wall_clock: the time of day, in seconds since 1970.
            announcer: publishes meta events.
            strict_uris: accept only lower-case letters, digits and "_" in URI components.
        """
        self._random_below = random_below
        self._wall_clock = wall_clock
        self._events = Lifecycle(announcer, "registration", "register", registration_details)
        self._strict = strict_uris
        self._ids = RouterIds()
        self._index: PatternIndex[Registration] = PatternIndex()
        # registration id -> registration
        self.registrations: dict[int, Registration] = {}

    # --- CALL -------------------------------------------------------------------------------------

    def call(self, caller: Session, message: Call, now: float, disclose: bool = False) -> list[Effect]:
        """Route a call to one callee of the registration that matches best.

        Args:
            caller: session that sent the CALL.
            message: [CALL, Request|id, Options|dict, Procedure|uri, Arguments|list, ArgumentsKw|dict].
            now: seconds, monotonic.
            disclose: tell the callee who calls even if nobody asked for it.
        Returns:
            `WakeAt` if the call has a timeout, INVOCATION to the callee.
        Raises:
            ApplicationError: wamp.error.no_such_procedure, wamp.error.invalid_uri,
                wamp.error.feature_not_supported, wamp.error.no_available_callee, wamp.error.invalid_argument.
            ProtocolViolation: the request id is that of a call that is still pending and not progressive, or the
                caller uses a feature that it did not announce.
        """
        request, options = message.request, message.options
        if request in caller.calls:
            return self.continue_call(caller, message)
        is_plain = not (
            disclose
            or options.disclose_me
            or options.receive_progress
            or options.timeout
            or options.progress
            or options.ppt_scheme
        )
        if not is_plain:
            caller.check_call(options)
        procedure = message.procedure
        registration = self._index.exact.get(procedure) or self._find(procedure)
        callee = registration.sole
        if callee is None:
            callee = registration.choose(self._random_below)
            is_plain = is_plain and callee is not None and not callee.callee_reroutes and not registration.loads
        if callee is None or not is_plain or not registration.is_plain or caller.role.trustlevel is not None:
            kept = KeptCall(message, caller.serializer, disclose, now)
            return self._call(PendingCall(caller, request, registration), callee, kept)
        # By far the most calls: there is nothing to decide, to tell or to keep.
        invocation = callee.next_invocation()
        caller.calls[request] = callee.invocations[invocation] = PendingCall(
            caller, request, registration, callee, invocation
        )
        return [
            Deliver(
                Invocation(invocation, registration.id, NO_INVOCATION_DETAILS, message.args, message.kwargs),
                (callee,),
                caller.serializer,
            )
        ]

    def _call(self, pending: PendingCall, callee: Session | None, kept: KeptCall) -> list[Effect]:
        """Begin a call that is no plain one.

        Args:
            pending: the call, which nobody knows yet.
            callee: who gets it; None when all are busy.
            kept: how it was made.
        """
        message, caller = kept.message, pending.caller
        assert caller is not None
        if message.options.ppt_scheme and has_keywords(message):
            raise keywords_refused()
        if callee is not None:
            missing = missing_feature(callee, message.options)
            if missing is not None:
                raise ApplicationError(NOT_SUPPORTED, f"the callee does not have {missing}")
            caller.calls[message.request] = pending
            return self._invoke(pending, callee, kept)
        if not self._wait(pending, kept):
            raise ApplicationError(NO_AVAILABLE_CALLEE, f"all callees of {shown(pending.registration.uri)} are busy")
        caller.calls[message.request] = pending
        return self._start_timer(pending, kept) if message.options.timeout else []

    def _invoke(self, pending: PendingCall, callee: Session, kept: KeptCall) -> list[Effect]:
        """Hand a call to a callee that is free and has what it needs."""
        message, registration = kept.message, pending.registration
        if registration.loads:
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
        pending.kept = kept if reroutes else None
        effects: list[Effect] = []
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

    def continue_call(self, caller: Session, message: Call) -> list[Effect]:
        """Pass on one more CALL of a call with progressive invocations.

        Its options are those of the first CALL, except `progress`: "Dealers and Callees MUST ignore any option
        except for progress".

        Args:
            caller: session that sent the CALL.
            message: [CALL, Request|id, …], with a request id that the session has used before.
        Returns:
            INVOCATION to the same callee as before; nothing when the call is over already, of which the caller
            could not know.
        Raises:
            ProtocolViolation: the call is pending, but not to be continued, or not under this URI.

        Spec: advanced/rpc_progressive_call_invocations.md
        """
        pending = caller.calls.get(message.request)
        if pending is None:
            return []
        stream, callee = pending.stream, pending.callee
        if stream is None or callee is None or not stream.is_open:
            raise ProtocolViolation(f"CALL with request id {message.request}, which a pending call has")
        if stream.procedure != message.procedure:
            raise ProtocolViolation(f"CALL {message.request} continues with another procedure")
        stream.has_continued = True
        pending.kept = None  # the callee has the beginning, and nobody else will get the rest
        details = stream.details
        if not message.options.progress:
            stream.is_open = False
            details = structs.replace(details, progress=None)
        invoked = Invocation(pending.invocation, pending.registration.id, details, message.args, message.kwargs)
        return [Deliver(invoked, (callee,), caller.serializer)]

    def _find(self, procedure: str) -> Registration:
        if not is_uri(procedure, strict=self._strict):
            raise ApplicationError("wamp.error.invalid_uri", f"not a valid procedure: {shown(procedure)}")
        # A pattern may be broad enough to match the protocol's own procedures, but clients do not get those calls.
        if self._index.has_patterns() and not is_reserved(procedure):
            registration = self._index.best(procedure)
            if registration is not None:
                return registration
        raise ApplicationError("wamp.error.no_such_procedure", f"no procedure {shown(procedure)} is registered")

    # --- calls that wait for a callee -------------------------------------------------------------

    def _wait(self, pending: PendingCall, kept: KeptCall, *, in_front: bool = False) -> bool:
        """Let a call wait until a callee is free; whether it can."""
        waiting = pending.registration.waiting
        # What belongs to a progressive call would pile up behind it.
        if waiting is None or kept.message.options.progress or not waiting.add(pending, kept.size, in_front=in_front):
            return False
        pending.callee, pending.kept = None, kept
        return True

    def serve_waiting(self, registration: Registration) -> list[Effect]:
        """Carry out a `ServeWaiting`: give a call that waits to a callee that is free.

        Returns:
            Effects for the call that has waited longest of those that a free callee has not refused yet. The rest
            is left to another `ServeWaiting`.
        """
        waiting = registration.waiting or ()
        for pending in waiting:
            kept = pending.kept
            assert kept is not None
            callee = registration.choose(self._random_below, kept.tried)
            if callee is not None:
                return [*self._take_up(pending, callee, kept), *self._served(registration)]
            if not kept.tried:
                break
        return []

    def _take_up(self, pending: PendingCall, callee: Session, kept: KeptCall) -> list[Effect]:
        self._withdraw(pending)
        missing = missing_feature(callee, kept.message.options)
        if missing is not None:
            return self._fail(pending, NOT_SUPPORTED, f"the callee does not have {missing}")
        return self._invoke(pending, callee, kept)

    def _withdraw(self, pending: PendingCall) -> None:
        """A call that waits does not wait any more."""
        waiting = pending.registration.waiting
        assert waiting is not None
        waiting.remove(pending)

    def _served(self, registration: Registration) -> list[Effect]:
        """What to do when a callee may be free."""
        return [ServeWaiting(registration)] if registration.waiting else []

    def _freed(self, callee: Session, registration: Registration) -> list[Effect]:
        """A callee has one invocation less."""
        if not registration.loads:
            return []
        registration.ended(callee)
        return self._served(registration)

    def _stranded(self, registration: Registration) -> list[Effect]:
        """A callee is gone: end the calls that wait, but not for any of those that are left."""
        effects: list[Effect] = []
        for pending in list(registration.waiting or ()):
            assert pending.kept is not None
            if not registration.has_others(pending.kept.tried):
                self._withdraw(pending)
                effects.extend(self._fail(pending, NO_AVAILABLE_CALLEE, "the last callee is gone"))
        return effects

    # --- YIELD and ERROR of the callee ------------------------------------------------------------

    def yield_(self, callee: Session, message: Yield, now: float) -> list[Effect]:
        """Pass a result on to the caller.

        Args:
            callee: session that sent the YIELD.
            message: [YIELD, INVOCATION.Request|id, Options|dict, Arguments|list, ArgumentsKw|dict].
            now: seconds, monotonic.
        Returns:
            RESULT to the caller; nothing when the caller no longer waits for one, or did not ask for progress.
        Raises:
            ProtocolViolation: the callee never had such an invocation.
        """
        pending = callee.invocations.get(message.request)
        if pending is None:
            return _too_late(callee, message)
        options = message.options
        if options.ppt_scheme:
            refused = self._check_passthru(pending, callee, message)
            if refused is not None:
                return refused
        if options.progress:
            return self._progress(pending, message, now)
        del callee.invocations[message.request]
        caller, registration = pending.caller, pending.registration
        if caller is None:
            return self._freed(callee, registration) if registration.loads else []
        del caller.calls[pending.request]
        pending.caller = None
        details = result_details(message) if options.ppt_scheme else _NO_RESULT_DETAILS
        result = Result(pending.request, details, message.args, message.kwargs)
        effects: list[Effect] = [Deliver(result, (caller,), callee.serializer)]
        if pending.deadline is not None:
            effects.append(CancelWake(pending))
        if registration.loads:
            effects.extend(self._freed(callee, registration))
        return effects

    def _progress(self, pending: PendingCall, message: Yield, now: float) -> list[Effect]:
        caller, callee = pending.caller, pending.callee
        if caller is None or callee is None or not pending.progress:
            return []
        pending.kept = None  # the caller has something of this callee, and another one would begin anew
        if pending.timeout is not None:
            # The timeout is "the time limit between the initial call and the first result, and between results
            # thereafter" (advanced/rpc_progressive_call_results.md). The WakeAt that is under way finds the later
            # deadline and asks to be woken again.
            pending.deadline = now + pending.timeout
        details = result_details(message) if message.options.ppt_scheme else _PROGRESS
        result = Result(pending.request, details, message.args, message.kwargs)
        return [Deliver(result, (caller,), callee.serializer)]

    def _check_passthru(self, pending: PendingCall, callee: Session, message: Yield | Error) -> list[Effect] | None:
        """Whether an answer may be in payload passthru mode; if not, what ends the call instead.

        Raises:
            ProtocolViolation: the callee did not announce the feature.

        Spec: advanced/payload_passthru_mode.md
        """
        if not callee.callee_passes_through:
            raise ProtocolViolation(f"{_name(message)} in payload passthru mode, which was not announced")
        if pending.caller is None:
            return None
        if not pending.caller.caller_passes_through:
            # "the Dealer MUST respond to the Callee with a wamp.error.feature_not_supported error message", but
            # there is no ERROR for a YIELD in the table of messages, and clients close the session over one.
            uri, text = NOT_SUPPORTED, "the result is in payload passthru mode"
        elif has_keywords(message):
            uri, text = keywords_refused().uri, keywords_refused().arguments[0]
        else:
            return None
        if type(message) is Yield and message.options.progress:
            return [*self._interrupted(pending, uri), *self._fail(pending, uri, text)]
        callee.invocations.pop(message.request, None)
        return [*self._fail(pending, uri, text), *self._freed(callee, pending.registration)]

    def error(self, callee: Session, message: Error) -> list[Effect]:
        """Pass a failure on to the caller.

        Args:
            callee: session that sent the ERROR.
            message: [ERROR, INVOCATION, INVOCATION.Request|id, Details|dict, Error|uri, Arguments|list, …].
        Returns:
            ERROR to the caller; nothing when the caller no longer waits.
        Raises:
            ProtocolViolation: the callee never had such an invocation, or the error is for something else.
        """
        if message.request_type != INVOCATION:
            raise ProtocolViolation(f"ERROR with request type {message.request_type}; clients may send {INVOCATION}")
        pending = callee.invocations.get(message.request)
        if pending is None:
            return _too_late(callee, message)
        if message.details.ppt_scheme:
            refused = self._check_passthru(pending, callee, message)
            if refused is not None:
                return refused
        del callee.invocations[message.request]
        uri = message.error
        if uri == UNAVAILABLE and callee.callee_reroutes:
            effects = self._reroute(pending, callee)
        elif not is_uri(uri):
            text = f"the callee failed with an invalid error URI: {shown(uri)}"
            effects = self._fail(pending, "wamp.error.invalid_uri", text)
        else:
            error = Error(CALL, pending.request, message.details, uri, message.args, message.kwargs)
            effects = self._end(pending, error, callee.serializer)
        effects.extend(self._freed(callee, pending.registration))
        return effects

    def _reroute(self, pending: PendingCall, callee: Session) -> list[Effect]:
        """Try another callee, or wait for one, in place of one that is unavailable. Each is tried once.

        Spec: advanced/rpc_call_rerouting.md
        """
        kept, registration = pending.kept, pending.registration
        if kept is not None and pending.caller is not None and not pending.killed:
            kept.tried |= {callee}
            while (other := registration.choose(self._random_below, kept.tried)) is not None:
                if missing_feature(other, kept.message.options) is None:
                    return self._invoke(pending, other, kept)
                kept.tried |= {other}
            if registration.has_others(kept.tried) and self._wait(pending, kept, in_front=True):
                return []
        return self._fail(pending, NO_AVAILABLE_CALLEE, f"no callee of {shown(pending.registration.uri)} is available")

    # --- CANCEL, timeouts -------------------------------------------------------------------------

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
            return [_interrupt(callee, pending.invocation, CancelMode.KILL, "wamp.error.canceled")]
        skips = mode is CancelMode.SKIP and callee is not None
        effects = [] if skips else self._interrupted(pending, "wamp.error.canceled")
        effects.extend(self._fail(pending, "wamp.error.canceled", "the call was canceled"))
        return effects

    def wake(self, pending: PendingCall, now: float) -> list[Effect]:
        """A call's deadline has come: time it out, unless it is answered or its deadline has moved.

        Spec: advanced/rpc_call_timeout.md
        """
        if pending.caller is None or pending.deadline is None:
            return []
        if now < pending.deadline:
            return [WakeAt(pending.deadline, pending)]
        effects = self._interrupted(pending, "wamp.error.timeout")
        effects.extend(self._fail(pending, "wamp.error.timeout", f"no result within {pending.timeout:g} seconds"))
        return effects

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
            shorter = Error(message.request_type, message.request, _NO_ERROR_DETAILS, uri, args)
            return [Deliver(shorter, (receiver,))]
        pending = receiver.calls.get(message.request)
        if pending is not None:  # it was a progressive result: the rest of them is not wanted
            return [*self._interrupted(pending, uri), *self._fail(pending, uri, text)]
        return [Deliver(Error(CALL, message.request, _NO_ERROR_DETAILS, uri, [text]), (receiver,))]

    def _not_invoked(self, callee: Session, message: Invocation, uri: str, text: str) -> list[Effect]:
        pending = callee.invocations.get(message.request)
        if pending is not None and pending.stream is not None and pending.stream.has_continued:
            # The callee has the beginning of it.
            return [*self._interrupted(pending, uri), *self._fail(pending, uri, text)]
        if callee.last_invocation == message.request:
            # "IDs in the session scope MUST be incremented by 1": the callee has never seen this one.
            callee.last_invocation -= 1
        if pending is None:
            return []
        del callee.invocations[message.request]
        return [*self._fail(pending, uri, text), *self._freed(callee, pending.registration)]

    def _interrupted(self, pending: PendingCall, reason: str) -> list[Effect]:
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
        interrupt = _interrupt(callee, pending.invocation, CancelMode.KILLNOWAIT, reason)
        return [interrupt, *self._freed(callee, pending.registration)]

    def _fail(self, pending: PendingCall, uri: str, text: str) -> list[Effect]:
        """Answer the caller, if it still waits, with an error of our own."""
        return self._end(pending, Error(CALL, pending.request, _NO_ERROR_DETAILS, uri, [text]))

    def _end(self, pending: PendingCall, answer: Error, origin: Serializer | None = None) -> list[Effect]:
        """Give the caller, if it still waits, its final answer. A later one finds no caller and is dropped."""
        caller = pending.caller
        if caller is None:
            return []
        del caller.calls[pending.request]
        pending.caller = None
        effects: list[Effect] = [Deliver(answer, (caller,), origin)]
        if pending.deadline is not None:
            effects.append(CancelWake(pending))
        return effects

    # --- REGISTER, UNREGISTER ---------------------------------------------------------------------

    def register(self, session: Session, message: Register) -> list[Effect]:
        """Register a procedure, alone or beside others.

        With `Invoke.SINGLE` a procedure has one callee. With the other policies it may have several, all with
        the same policy. A session registers a procedure once: a second REGISTER of the same URI and match is
        refused, whatever the policy (the specification leaves this open).

        Args:
            session: the callee.
            message: [REGISTER, Request|id, Options|dict, Procedure|uri].
        Returns:
            REGISTERED, then meta events.
        Raises:
            ApplicationError: wamp.error.procedure_already_exists, wamp.error.invalid_uri.

        Spec: advanced/rpc_shared_registration.md
        """
        procedure, options = message.procedure, message.options
        match, invoke = options.match or Match.EXACT, options.invoke or Invoke.SINGLE
        registration = self._index.get(procedure, match)
        is_new = registration is None
        if registration is None:
            self._check(procedure, match)
            id = self._ids.next(self.registrations)
            registration = Registration(id, procedure, match, invoke, self._wall_clock())
            self._index.add(procedure, match, registration)
            self.registrations[registration.id] = registration
        else:
            _check_shared(registration, session, invoke)
        registration.add(session, options)
        session.registrations[registration.id] = registration
        events = self._events.attached(session, registration, is_new=is_new)
        registered = Deliver(Registered(message.request, registration.id), (session,))
        return [registered, *events, *self._served(registration)]

    def unregister(self, session: Session, message: Unregister) -> list[Effect]:
        """End one of a session's registrations. Invocations under way are still answered.

        Args:
            session: the callee.
            message: [UNREGISTER, Request|id, REGISTERED.Registration|id].
        Returns:
            UNREGISTERED, then meta events.
        Raises:
            ApplicationError: wamp.error.no_such_registration: the session has no registration of that id.
        """
        registration = session.registrations.pop(message.registration, None)
        if registration is None:
            raise ApplicationError(
                "wamp.error.no_such_registration", f"no registration {message.registration} in this session"
            )
        was_last = self._remove(session, registration)
        events = self._events.detached(session, registration, was_last=was_last)
        return [Deliver(Unregistered(message.request), (session,)), *self._stranded(registration), *events]

    def revoke(self, session: Session, registration: Registration, reason: str | None) -> list[Effect]:
        """End a session's registration without its doing. Invocations under way are still answered.

        Args:
            session: a callee.
            registration: what it has registered.
            reason: told to the callee.
        Returns:
            UNREGISTERED with request id 0, if the client knows what that means ("the Dealer MUST NOT send an
            UNREGISTERED message" otherwise); then meta events.

        Spec: advanced/rpc_registration_revocation.md
        """
        del session.registrations[registration.id]
        was_last = self._remove(session, registration)
        effects: list[Effect] = []
        if session.callee_takes_revocations:
            details = UnregisteredDetails(registration=registration.id, reason=reason)
            effects.append(Deliver(Unregistered(0, details), (session,)))
        effects.extend(self._stranded(registration))
        effects.extend(self._events.detached(session, registration, was_last=was_last))
        return effects

    def leave(self, session: Session) -> list[Effect]:
        """End what a session that is gone had under way, as callee and as caller.

        Returns:
            ERROR wamp.error.canceled to every caller that waits for it; INTERRUPT to callees that work for it; meta
            events.
        """
        effects: list[Effect] = []
        for pending in session.calls.values():
            pending.caller = None
            if pending.deadline is not None:
                effects.append(CancelWake(pending))
            if pending.callee is not session:
                effects.extend(self._interrupted(pending, "wamp.error.canceled"))
        session.calls.clear()
        ended = [(it, self._remove(session, it)) for it in session.registrations.values()]
        session.registrations.clear()
        for pending in session.invocations.values():
            effects.extend(self._fail(pending, "wamp.error.canceled", "the callee is gone"))
        session.invocations.clear()
        for registration, was_last in ended:
            effects.extend(self._stranded(registration))
            effects.extend(self._events.detached(session, registration, was_last=was_last))
        return effects

    # --- what there is ----------------------------------------------------------------------------

    def lookup(self, procedure: str, match: Match) -> Registration | None:
        """The registration of exactly this procedure or pattern."""
        return self._index.get(procedure, match)

    def best_match(self, procedure: str) -> Registration | None:
        """The registration that gets the calls of this procedure; the protocol's own go to nobody's."""
        return None if is_reserved(procedure) else self._index.best(procedure)

    def _remove(self, session: Session, registration: Registration) -> bool:
        """Take a session off a registration; whether the registration is gone with it."""
        registration.remove(session)
        if registration.callees:
            return False
        self._index.remove(registration.uri, registration.match)
        del self.registrations[registration.id]
        return True

    def _check(self, procedure: str, match: Match) -> None:
        valid = is_uri if match is Match.EXACT else is_pattern
        if not valid(procedure, strict=self._strict):
            raise ApplicationError("wamp.error.invalid_uri", f"not a valid procedure: {shown(procedure)}")
        if is_reserved(procedure):
            raise ApplicationError(
                "wamp.error.invalid_uri", f"procedures below 'wamp.' are reserved: {shown(procedure)}"
            )


def _too_late(callee: Session, message: Yield | Error) -> list[Effect]:
    """An answer to an invocation that nobody knows: ignored when it may be one that was interrupted.

    Raises:
        ProtocolViolation: it cannot be ("Receiving YIELD message with invalid INVOCATION.Request",
            basic/building_blocks.md).
    """
    if callee.callee_cancels and message.request <= callee.last_invocation:
        return []
    raise ProtocolViolation(f"{_name(message)} for an unknown invocation {message.request}")


def _check_shared(registration: Registration, session: Session, invoke: Invoke) -> None:
    uri = shown(registration.uri)
    if session in registration.callees:
        raise ApplicationError("wamp.error.procedure_already_exists", f"this session has registered {uri} already")
    if registration.invoke is Invoke.SINGLE or invoke is Invoke.SINGLE:
        raise ApplicationError("wamp.error.procedure_already_exists", f"{uri} is registered already")
    if registration.invoke is not invoke:
        raise ApplicationError(
            "wamp.error.procedure_already_exists",
            f"{uri} is registered with invocation policy {registration.invoke.value!r}, not {invoke.value!r}",
        )


def _interrupt(callee: Session, invocation: int, mode: CancelMode, reason: str) -> Deliver:
    return Deliver(Interrupt(invocation, CancelOptions(mode=mode, reason=reason)), (callee,))


def _name(message: Yield | Error) -> str:
    return type(message).__name__.upper()
