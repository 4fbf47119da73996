"""Remote procedure calls (basic/remote_procedure_call.md and the RPC chapters of the advanced profile)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw

from rocade.errors import ApplicationError, ProtocolViolation
from rocade.router.effects import CancelWake, Deliver, Effect, WakeAt
from rocade.router.meta_events import Announcer, Lifecycle
from rocade.router.meta_registrations import registration_details
from rocade.router.patterns import PatternIndex
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
    InvocationDetails,
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

__all__ = ["Dealer", "PendingCall", "Registration"]

CALL = 48
INVOCATION = 68

_NO_INVOCATION_DETAILS = InvocationDetails()
_NO_RESULT_DETAILS = ResultDetails()
_PROGRESS = ResultDetails(progress=True)
_NO_ERROR_DETAILS = PassthruDetails()


class Registration:
    """What one or more sessions have registered: a procedure or a pattern of procedures.

    Attributes:
        id: router-scope id, the same for all its callees.
        uri: the procedure or pattern.
        match: how `uri` is compared with procedures.
        invoke: which of the callees gets a call.
        created: when the first of them registered, in seconds since 1970.
        callees: its sessions in the order in which they registered.
        turn: whose turn it is under `Invoke.ROUNDROBIN`, an index into `callees`.
        is_plain: neither a pattern nor with callees that want to know the caller: invocations need no details.
    """

    __slots__ = (
        "callees",
        "created",
        "disclosed_to",
        "forward_timeout_to",
        "id",
        "invoke",
        "is_plain",
        "match",
        "turn",
        "uri",
    )

    def __init__(self, id: int, uri: str, match: Match, invoke: Invoke, created: float) -> None:
        self.id = id
        self.uri = uri
        self.match = match
        self.invoke = invoke
        self.created = created
        self.callees: list[Session] = []
        self.turn = 0
        self.is_plain = match is Match.EXACT
        # callees that asked to know who calls; callees that handle timeouts themselves
        self.disclosed_to: set[Session] = set()
        self.forward_timeout_to: set[Session] = set()


class PendingCall:
    """A call between its CALL and its final RESULT or ERROR.

    Attributes:
        caller: who waits for the result; None once nobody does (answered, canceled, gone).
        request: CALL.Request.
        callee: who works on it.
        invocation: INVOCATION.Request at that callee.
        progress: whether the caller wants progressive results and both ends have the feature.
        deadline: seconds on the router's clock after which the call times out; None for never.
        timeout: seconds between results that the caller accepts; None for any.
        killed: whether the callee was told to stop and its answer is awaited (cancel mode "kill").

    As long as `caller` waits, the call is among its `calls` and among the callee's `invocations`. Without a
    caller it stays among the invocations until the callee answers, which it must, unless told "killnowait".
    """

    __slots__ = ("callee", "caller", "deadline", "invocation", "killed", "progress", "request", "timeout")

    def __init__(self, caller: Session, request: int, callee: Session, invocation: int) -> None:
        self.caller: Session | None = caller
        self.request = request
        self.callee = callee
        self.invocation = invocation
        self.progress = False
        self.killed = False
        self.timeout: float | None = None
        self.deadline: float | None = None


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
            ApplicationError: wamp.error.no_such_procedure, wamp.error.invalid_uri.
            ProtocolViolation: the request id is that of a call that is still pending.
        """
        if message.request in caller.calls:
            raise ProtocolViolation(f"CALL with request id {message.request}, which a pending call has")
        procedure = message.procedure
        registration = self._index.exact.get(procedure) or self._find(procedure)
        callees = registration.callees
        callee = callees[0] if len(callees) == 1 else self._choose(registration)
        invocation = callee.next_invocation()
        pending = PendingCall(caller, message.request, callee, invocation)
        caller.calls[message.request] = callee.invocations[invocation] = pending
        options = message.options
        if registration.is_plain and not (
            disclose or options.disclose_me or options.receive_progress or options.timeout or options.ppt_scheme
        ):
            details = _NO_INVOCATION_DETAILS
        else:
            details = _invocation_details(registration, pending, message, disclose)
        effects: list[Effect] = [
            Deliver(
                Invocation(invocation, registration.id, details, message.args, message.kwargs),
                (callee,),
                caller.serializer,
            )
        ]
        if options.timeout and details.timeout is None:
            pending.timeout = options.timeout / 1000
            pending.deadline = now + pending.timeout
            # First, since an INVOCATION that cannot be delivered ends the call at once, and its timer with it.
            effects.insert(0, WakeAt(pending.deadline, pending))
        return effects

    def _find(self, procedure: str) -> Registration:
        if not is_uri(procedure, strict=self._strict):
            raise ApplicationError("wamp.error.invalid_uri", f"not a valid procedure: {shown(procedure)}")
        # A pattern may be broad enough to match the protocol's own procedures, but clients do not get those calls.
        if self._index.has_patterns() and not is_reserved(procedure):
            registration = self._index.best(procedure)
            if registration is not None:
                return registration
        raise ApplicationError("wamp.error.no_such_procedure", f"no procedure {shown(procedure)} is registered")

    def _choose(self, registration: Registration) -> Session:
        callees = registration.callees
        match registration.invoke:
            case Invoke.ROUNDROBIN:
                callee = callees[registration.turn % len(callees)]
                registration.turn = (registration.turn + 1) % len(callees)
                return callee
            case Invoke.RANDOM:
                return callees[self._random_below(len(callees))]
            case Invoke.LAST:
                return callees[-1]
            case _:
                return callees[0]

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
        if message.options.progress:
            return self._progress(pending, message, now)
        del callee.invocations[message.request]
        caller = pending.caller
        if caller is None:
            return []
        del caller.calls[pending.request]
        pending.caller = None
        details = _result_details(message) if message.options.ppt_scheme is not None else _NO_RESULT_DETAILS
        result = Result(pending.request, details, message.args, message.kwargs)
        effects: list[Effect] = [Deliver(result, (caller,), callee.serializer)]
        if pending.deadline is not None:
            effects.append(CancelWake(pending))
        return effects

    def _progress(self, pending: PendingCall, message: Yield, now: float) -> list[Effect]:
        if pending.caller is None or not pending.progress:
            return []
        if pending.timeout is not None:
            # The timeout is "the time limit between the initial call and the first result, and between results
            # thereafter" (advanced/rpc_progressive_call_results.md). The WakeAt that is under way finds the later
            # deadline and asks to be woken again.
            pending.deadline = now + pending.timeout
        details = _result_details(message) if message.options.ppt_scheme is not None else _PROGRESS
        result = Result(pending.request, details, message.args, message.kwargs)
        return [Deliver(result, (pending.caller,), pending.callee.serializer)]

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
        pending = callee.invocations.pop(message.request, None)
        if pending is None:
            return _too_late(callee, message)
        uri = message.error
        if not is_uri(uri):
            text = f"the callee failed with an invalid error URI: {shown(uri)}"
            return self._fail(pending, "wamp.error.invalid_uri", text)
        error = Error(CALL, pending.request, message.details, uri, message.args, message.kwargs)
        return self._end(pending, error, callee.serializer)

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
        if mode is CancelMode.KILL and pending.callee.callee_cancels:
            pending.killed = True
            return [_interrupt(pending, CancelMode.KILL, "wamp.error.canceled")]
        effects = self._interrupted(pending, "wamp.error.canceled") if mode is not CancelMode.SKIP else []
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
            pending = receiver.invocations.pop(message.request, None)
            if receiver.last_invocation == message.request:
                # "IDs in the session scope MUST be incremented by 1": the callee has never seen this one.
                receiver.last_invocation -= 1
            return self._fail(pending, uri, text) if pending is not None else []
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

    def _interrupted(self, pending: PendingCall, reason: str) -> list[Effect]:
        """Tell the callee to stop, if it can be told, and forget the invocation.

        "it is not necessary for the Callee to respond with an ERROR message, when mode="killnowait", since the
        Dealer ignores it" (advanced/rpc_call_canceling.md): nobody would take it off the list.
        """
        callee = pending.callee
        if not callee.callee_cancels:
            return []
        del callee.invocations[pending.invocation]
        return [_interrupt(pending, CancelMode.KILLNOWAIT, reason)]

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
        registration.callees.append(session)
        session.registrations[registration.id] = registration
        if options.disclose_caller:
            registration.disclosed_to.add(session)
            registration.is_plain = False
        if options.forward_timeout:
            registration.forward_timeout_to.add(session)
        events = self._events.attached(session, registration, is_new=is_new)
        return [Deliver(Registered(message.request, registration.id), (session,)), *events]

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
        return [Deliver(Unregistered(message.request), (session,)), *events]

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
        effects.extend(self._events.detached(session, registration, was_last=was_last))
        return effects

    def leave(self, session: Session) -> list[Effect]:
        """End what a session that is gone had under way, as callee and as caller.

        Returns:
            ERROR wamp.error.canceled to every caller that waits for it; INTERRUPT to callees that work for it; meta
            events.
        """
        ended = [(it, self._remove(session, it)) for it in session.registrations.values()]
        session.registrations.clear()
        effects: list[Effect] = []
        for pending in session.calls.values():
            pending.caller = None
            if pending.deadline is not None:
                effects.append(CancelWake(pending))
            if pending.callee is not session:
                effects.extend(self._interrupted(pending, "wamp.error.canceled"))
        session.calls.clear()
        for pending in session.invocations.values():
            effects.extend(self._fail(pending, "wamp.error.canceled", "the callee is gone"))
        session.invocations.clear()
        for registration, was_last in ended:
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
        position = registration.callees.index(session)
        del registration.callees[position]
        if position < registration.turn:
            registration.turn -= 1
        registration.disclosed_to.discard(session)
        registration.forward_timeout_to.discard(session)
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
    raise ProtocolViolation(f"{type(message).__name__.upper()} for an unknown invocation {message.request}")


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


def _invocation_details(
    registration: Registration, pending: PendingCall, message: Call, disclose: bool
) -> InvocationDetails:
    options, caller, callee = message.options, pending.caller, pending.callee
    assert caller is not None
    details = InvocationDetails()
    if registration.match is not Match.EXACT:
        details.procedure = message.procedure
    if disclose or options.disclose_me or callee in registration.disclosed_to:
        details.caller, details.caller_authid, details.caller_authrole = caller.id, caller.authid, caller.role.name
    if options.receive_progress and caller.caller_progresses and callee.callee_progresses:
        details.receive_progress = pending.progress = True
    if options.timeout and callee in registration.forward_timeout_to:
        details.timeout = options.timeout
    if options.ppt_scheme is not None:
        details.ppt_scheme, details.ppt_serializer = options.ppt_scheme, options.ppt_serializer
        details.ppt_cipher, details.ppt_keyid = options.ppt_cipher, options.ppt_keyid
    return details


def _result_details(message: Yield) -> ResultDetails:
    options = message.options
    return ResultDetails(
        progress=options.progress or None,
        ppt_scheme=options.ppt_scheme,
        ppt_serializer=options.ppt_serializer,
        ppt_cipher=options.ppt_cipher,
        ppt_keyid=options.ppt_keyid,
    )


def _interrupt(pending: PendingCall, mode: CancelMode, reason: str) -> Deliver:
    return Deliver(Interrupt(pending.invocation, CancelOptions(mode=mode, reason=reason)), (pending.callee,))
