"""Remote procedure calls (basic/remote_procedure_call.md and the RPC chapters of the advanced profile)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from rocade.errors import ApplicationError, ProtocolViolation
from rocade.router.calls import KeptCall, PendingCall
from rocade.router.canceling import Canceling
from rocade.router.details import NO_INVOCATION_DETAILS, result_details
from rocade.router.dispatch import (
    CALL,
    FEATURE_NOT_SUPPORTED,
    NO_ERROR_DETAILS,
    UNAVAILABLE,
    Dispatcher,
)
from rocade.router.effects import CancelWake, Deliver, Effect
from rocade.router.limits import NONE, refuse_call, refuse_invocation
from rocade.router.meta_events import Announcer, Hears, Lifecycle
from rocade.router.meta_registrations import registration_details
from rocade.router.passthru import has_keywords, keywords_refused
from rocade.router.registrations import Registration
from rocade.router.registry import Registry
from rocade.router.session import Session
from rocade.wamp.messages import (
    Call,
    Error,
    Invocation,
    Match,
    Register,
    Registered,
    Result,
    ResultDetails,
    Unregister,
    Unregistered,
    UnregisteredDetails,
    Yield,
)
from rocade.wamp.uris import is_uri, shown

__all__ = ["Dealer"]

INVOCATION = 68

_NO_RESULT_DETAILS = ResultDetails()
_PROGRESS = ResultDetails(progress=True)


class Dealer:
    """The remote-procedure-call half of a realm.

    Attributes:
        registrations: registration id -> registration.
        canceling: ends calls that their callees do not answer.
    """

    def __init__(
        self,
        random_below: Callable[[int], int],
        wall_clock: Callable[[], float],
        announcer: Announcer,
        *,
        strict_uris: bool = False,
        max_registrations: int = NONE,
        hears: Hears | None = None,
    ) -> None:
        """
        Args:
            random_below: draws an integer from 0 to n - 1, for `Invoke.RANDOM`.
            wall_clock: the time of day, in seconds since 1970.
            announcer: publishes meta events.
            strict_uris: accept only lower-case letters, digits and "_" in URI components.
            max_registrations: of all sessions together, see `RealmLimits`.
            hears: who may hear of which registration; None: everybody of all.
        """
        self._random_below = random_below
        self._dispatcher = Dispatcher(random_below)
        self.canceling = Canceling(self._dispatcher)
        self._events = Lifecycle(announcer, "registration", "register", registration_details, hears)
        self._registry = Registry(wall_clock, strict_uris=strict_uris, max_registrations=max_registrations)
        self._index = self._registry.index
        self.registrations = self._registry.by_id

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
            LimitExceeded: the caller awaits, or the callee owes, as many results as it may.
            ProtocolViolation: the request id is that of a call that is still pending and not progressive, or the
                caller uses a feature that it did not announce.
        """
        request, options, calls = message.request, message.options, caller.calls
        if request in calls:
            return self.continue_call(caller, message)
        if len(calls) >= caller.max_calls:
            raise refuse_call(caller.max_calls)
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
            if options.ppt_scheme and has_keywords(message):
                raise keywords_refused()
        procedure = message.procedure
        registration = self._index.exact.get(procedure) or self._registry.find(procedure)
        callee = registration.sole
        if callee is None:
            callee = registration.choose(self._random_below)
            is_plain = is_plain and callee is not None and not callee.callee_reroutes and registration.free is None
        if callee is None or not is_plain or not registration.is_plain or caller.role.trustlevel is not None:
            kept = KeptCall(message, caller.serializer, disclose, now)
            return self._dispatcher.begin(PendingCall(caller, request, registration), callee, kept)
        # By far the most calls: there is nothing to decide, to tell or to keep.
        invocations = callee.invocations
        if len(invocations) >= callee.max_invocations:
            raise refuse_invocation(callee.max_invocations)
        invocation = callee.next_invocation()
        calls[request] = invocations[invocation] = PendingCall(caller, request, registration, callee, invocation)
        return [
            Deliver(
                Invocation(invocation, registration.id, NO_INVOCATION_DETAILS, message.args, message.kwargs),
                (callee,),
                caller.serializer,
            )
        ]

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
        pending.let_go()  # the callee has the beginning, and nobody else will get the rest
        details = stream.details
        if not message.options.progress:
            stream.is_open = False
            details = structs.replace(details, progress=None)
        invoked = Invocation(pending.invocation, pending.registration.id, details, message.args, message.kwargs)
        return [Deliver(invoked, (callee,), caller.serializer)]

    def serve_waiting(self, registration: Registration) -> list[Effect]:
        """Carry out a `ServeWaiting`."""
        return self._dispatcher.serve_waiting(registration)

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
            return self._dispatcher.freed(callee, registration) if registration.free is not None else []
        del caller.calls[pending.request]
        if pending.kept is not None:
            pending.let_go()
        pending.caller = None
        details = result_details(message) if options.ppt_scheme else _NO_RESULT_DETAILS
        result = Result(pending.request, details, message.args, message.kwargs)
        effects: list[Effect] = [Deliver(result, (caller,), callee.serializer)]
        if pending.deadline is not None:
            effects.append(CancelWake(pending))
        if registration.free is not None:
            effects.extend(self._dispatcher.freed(callee, registration))
        return effects

    def _progress(self, pending: PendingCall, message: Yield, now: float) -> list[Effect]:
        caller, callee = pending.caller, pending.callee
        if caller is None or callee is None or not pending.progress:
            return []
        pending.let_go()  # the caller has something of this callee, and another one would begin anew
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
        is_progress = type(message) is Yield and message.options.progress is True
        if pending.caller is None or (is_progress and not pending.progress):
            return None  # it will be dropped
        if not pending.caller.caller_passes_through:
            # "the Dealer MUST respond to the Callee with a wamp.error.feature_not_supported error message", but
            # there is no ERROR for a YIELD in the table of messages, and clients close the session over one.
            uri, text = FEATURE_NOT_SUPPORTED, "the result is in payload passthru mode"
        elif has_keywords(message):
            uri, text = keywords_refused().uri, keywords_refused().args[0]
        else:
            return None
        if is_progress:
            return [*self._dispatcher.interrupted(pending, uri), *self._dispatcher.fail(pending, uri, text)]
        del callee.invocations[message.request]
        return [*self._dispatcher.fail(pending, uri, text), *self._dispatcher.freed(callee, pending.registration)]

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
            effects = self._dispatcher.reroute(pending, callee)
        elif not is_uri(uri):
            text = f"the callee failed with an invalid error URI: {shown(uri)}"
            effects = self._dispatcher.fail(pending, "wamp.error.invalid_uri", text)
        else:
            details = message.details if message.details.ppt_scheme else NO_ERROR_DETAILS
            error = Error(CALL, pending.request, details, uri, message.args, message.kwargs)
            effects = self._dispatcher.end(pending, error, callee.serializer)
        effects.extend(self._dispatcher.freed(callee, pending.registration))
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
            REGISTERED, then meta events, then calls that have waited for a callee.
        Raises:
            ApplicationError: wamp.error.procedure_already_exists, wamp.error.invalid_uri.
            LimitExceeded: the session, or the realm, has as many as it may have.

        Spec: advanced/rpc_shared_registration.md
        """
        registration, is_new = self._registry.add(session, message)
        events = self._events.attached(session, registration, is_new=is_new)
        registered = Deliver(Registered(message.request, registration.id), (session,))
        return [registered, *events, *self._dispatcher.served(registration)]

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
        return [Deliver(Unregistered(message.request), (session,)), *self._ended(session, registration)]

    def _ended(self, session: Session, registration: Registration) -> list[Effect]:
        """A session has a registration no more."""
        was_last = self._registry.remove(session, registration)
        effects = self._dispatcher.stranded(registration)
        effects.extend(self._events.detached(session, registration, was_last=was_last))
        return effects

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
        effects: list[Effect] = []
        if session.callee_takes_revocations:
            details = UnregisteredDetails(registration=registration.id, reason=reason)
            effects.append(Deliver(Unregistered(0, details), (session,)))
        effects.extend(self._ended(session, registration))
        return effects

    def leave(self, session: Session) -> list[Effect]:
        """End what a session that is gone had under way, as callee and as caller.

        Returns:
            ERROR wamp.error.canceled to every caller that waits for it; INTERRUPT to callees that work for it; meta
            events.
        """
        effects: list[Effect] = []
        for pending in session.calls.values():
            effects.extend(self.canceling.caller_gone(session, pending))
        session.calls.clear()
        ended = [(it, self._registry.remove(session, it)) for it in session.registrations.values()]
        session.registrations.clear()
        for pending in session.invocations.values():
            effects.extend(self.canceling.callee_gone(pending))
        session.invocations.clear()
        for registration, was_last in ended:
            effects.extend(self._dispatcher.stranded(registration))
            effects.extend(self._events.detached(session, registration, was_last=was_last))
        return effects

    # The same bit by bit, see `rocade.router.departure`: each ends the latest, and returns what follows from it.

    def end_registration(self, session: Session) -> list[Effect]:
        """End one registration of a session that has some and is leaving."""
        return self._ended(session, session.registrations.popitem()[1])

    def end_invocation(self, session: Session) -> list[Effect]:
        """End one invocation of a session that has some and is leaving, and no registrations any more."""
        return self.canceling.callee_gone(session.invocations.popitem()[1])

    def end_call(self, session: Session) -> list[Effect]:
        """End one call of a session that awaits some and is leaving."""
        return self.canceling.caller_gone(session, session.calls.popitem()[1])

    # --- what there is ----------------------------------------------------------------------------

    def has_patterns(self) -> bool:
        """Whether any of the registrations is a prefix or a wildcard."""
        return self._index.has_patterns()

    def lookup(self, procedure: str, match: Match) -> Registration | None:
        """The registration of exactly this procedure or pattern."""
        return self._index.get(procedure, match)

    def best_match(self, procedure: str) -> Registration | None:
        """The registration that gets the calls of this procedure; the protocol's own go to nobody's."""
        return self._registry.match(procedure)


def _too_late(callee: Session, message: Yield | Error) -> list[Effect]:
    """An answer to an invocation that nobody knows: ignored when it may be one that was interrupted.

    Raises:
        ProtocolViolation: it cannot be ("Receiving YIELD message with invalid INVOCATION.Request",
            basic/building_blocks.md).
    """
    if callee.callee_cancels and message.request <= callee.last_invocation:
        return []
    raise ProtocolViolation(f"{_name(message)} for an unknown invocation {message.request}")


def _name(message: Yield | Error) -> str:
    return type(message).__name__.upper()
