"""Remote procedure calls, the slow way: who is busy, free or still to be asked is counted anew each time.

Specification: basic/remote_procedure_call.md and the RPC chapters of the advanced profile; docs/wamp.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.router.model.registrations import Registration, Registrations
from tests.router.model.sessions import WORDS, Peer, Post, Refused, Violation, passthru
from tests.router.model.uris import is_uri

ERROR, CALL, RESULT, INVOCATION, INTERRUPT = 8, 48, 50, 68, 69
TOO_LARGE = "wamp.error.payload_size_exceeded"


@dataclass(eq=False)
class Call:
    """A call that somebody waits for, or works on.

    Attributes:
        caller: who waits for its answer; None when nobody does any more.
        request, options, procedure, args, kwargs: of its first CALL.
        disclose: whether the callee is told who calls, asked or not.
        since: when it was made.
        callee, invocation: who works on it, and under which id; None while it waits.
        details: of the first INVOCATION.
        may_move: whether it may go to another callee when this one is unavailable.
        declined: callees that were.
        is_open: whether more parts are to come.
        in_parts: whether the callee has got more than one part.
        is_killed: whether the callee was told to stop and its answer is awaited.
        deadline: when the router times it out; None when it does not.
    """

    caller: Peer | None
    request: int
    options: dict[str, Any]
    procedure: str
    args: list[Any]
    kwargs: dict[str, Any]
    registration: Registration
    disclose: bool
    since: float
    callee: Peer | None = None
    invocation: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    may_move: bool = False
    declined: list[Peer] = field(default_factory=list)
    is_open: bool = False
    in_parts: bool = False
    is_killed: bool = False
    deadline: float | None = None

    def lacks(self, callee: Peer) -> bool:
        """Whether a callee has not announced something that it takes."""
        if self.options.get("progress") and not (
            callee.can("callee", "progressive_call_invocations") and callee.can("callee", "call_canceling")
        ):
            return True
        return bool(self.options.get("ppt_scheme")) and not callee.can("callee", "payload_passthru_mode")


class Dealer:
    """The dealer of a realm.

    Attributes:
        now: the time.
        registrations: what has been registered.
    """

    def __init__(self, post: Post, registrations: Registrations, random_below: Callable[[int], int]) -> None:
        self.now = 0.0
        self.registrations = registrations
        registrations.has_room = self.serve
        registrations.has_lost_callee = self._strand
        post.undeliverable = self.undeliverable
        self._post = post
        self._random_below = random_below

    # --- CALL -------------------------------------------------------------------------------------

    def call(
        self,
        caller: Peer,
        disclose: bool,
        request: int,
        options: dict[str, Any],
        procedure: str,
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> None:
        """[CALL, Request|id, Options|dict, Procedure|uri, Arguments|list, ArgumentsKw|dict]"""
        caller.check_room("pending_calls", len(caller.calls))
        check_announced(caller, options)
        if options.get("ppt_scheme") and kwargs:
            raise Refused("invalid_argument")
        registration = self.registrations.find(procedure)
        call = Call(caller, request, options, procedure, args, kwargs, registration, disclose, self.now)
        call.is_open = bool(options.get("progress"))
        callee = self._choose(registration, [])
        if callee is None and call.is_open:
            raise Refused("no_available_callee")
        if callee is not None and call.lacks(callee):
            raise Refused("feature_not_supported")
        if callee is not None:
            callee.check_room("invocations", len(callee.invocations), "no_available_callee")
        caller.calls[request] = call
        if callee is None:
            registration.waiting.append(call)
            self._count_down(call)
        else:
            self._invoke(call, callee)

    def continue_call(
        self,
        caller: Peer,
        request: int,
        options: dict[str, Any],
        procedure: str,
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> None:
        """A CALL with a request id that was there before."""
        call = caller.calls.get(request)
        if call is None:
            return
        if not call.is_open or call.procedure != procedure:
            raise Violation
        call.is_open = bool(options.get("progress"))
        call.in_parts, call.may_move = True, False
        details = {key: value for key, value in call.details.items() if key != "progress" or call.is_open}
        assert call.callee is not None
        self._post.send(call.callee, INVOCATION, call.invocation, call.registration.id, details, args, kwargs)

    def _invoke(self, call: Call, callee: Peer) -> None:
        caller, registration, options = call.caller, call.registration, call.options
        assert caller is not None
        wishes = registration.options[callee]
        details: dict[str, Any] = {**caller.trust(), **passthru(options)}
        if registration.match != "exact":
            details["procedure"] = call.procedure
        if call.disclose or options.get("disclose_me") or wishes.get("disclose_caller"):
            details |= caller.identity("caller")
        if options.get("progress"):
            details["progress"] = True
        if options.get("receive_progress") and all(
            peer.can(role, "progressive_call_results") for peer, role in ((caller, "caller"), (callee, "callee"))
        ):
            details["receive_progress"] = True
        if options.get("timeout") and call.deadline is None and wishes.get("forward_timeout"):
            details["timeout"] = options["timeout"]
        else:
            self._count_down(call)
        callee.last_invocation += 1
        callee.invocations[callee.last_invocation] = call
        call.callee, call.invocation, call.details = callee, callee.last_invocation, details
        others = [it for it in registration.callees if it is not callee and it not in call.declined]
        call.may_move = callee.can("callee", "call_reroute") and others != []
        self._post.send(callee, INVOCATION, call.invocation, registration.id, details, call.args, call.kwargs)

    def _count_down(self, call: Call) -> None:
        if call.options.get("timeout") and call.deadline is None:
            call.deadline = call.since + call.options["timeout"] / 1000

    # --- who gets it ------------------------------------------------------------------------------

    def _choose(self, registration: Registration, declined: list[Peer]) -> Peer | None:
        """The callee that the policy picks of those that are free and have not declined."""
        free = [it for it in registration.callees if it not in declined and self._is_free(it, registration)]
        if not free:
            return None
        if registration.invoke == "roundrobin":
            callee = registration.next
            while callee not in free:
                callee = registration.behind(callee)
            registration.next = registration.behind(callee)
            return callee
        if registration.invoke == "random":
            return free[self._random_below(len(free))]
        return free[-1] if registration.invoke == "last" else free[0]

    def _next(self, call: Call) -> Peer | None:
        """The callee that a call tries next. One that owes as many answers as it may counts as one that declined."""
        while (callee := self._choose(call.registration, call.declined)) is not None:
            if callee.has_room("invocations", len(callee.invocations)):
                break
            call.declined.append(callee)
        return callee

    def _is_free(self, callee: Peer, registration: Registration) -> bool:
        limit = registration.options[callee].get("concurrency")
        return limit is None or sum(it.registration is registration for it in callee.invocations.values()) < limit

    def serve(self, registration: Registration) -> None:
        """Give the first call that waits for a free callee to it; then see to the others."""
        for call in list(registration.waiting):
            callee = self._next(call)
            if callee is not None:
                registration.waiting.remove(call)
                if not call.lacks(callee):
                    self._invoke(call, callee)
                elif call.declined:
                    self._move_on(call, callee)
                else:
                    self._fail(call, "wamp.error.feature_not_supported")
                self._post.later(lambda: self.serve(registration))
                return
            if not call.declined:
                return
            if self._is_hopeless(call):
                registration.waiting.remove(call)
                self._fail(call, "wamp.error.no_available_callee")

    def _move_on(self, call: Call, callee: Peer | None) -> None:
        """Give a call to a callee that has not declined it, or let it wait for one, in front of all others."""
        registration = call.registration
        while callee is not None:
            call.declined.append(callee)
            callee = self._next(call)
            if callee is not None and not call.lacks(callee):
                self._invoke(call, callee)
                return
        if self._is_hopeless(call) or call.is_open:
            self._fail(call, "wamp.error.no_available_callee")
        else:
            call.callee = None
            registration.waiting.insert(0, call)

    def _is_hopeless(self, call: Call) -> bool:
        return all(callee in call.declined for callee in call.registration.callees)

    def _strand(self, registration: Registration) -> None:
        for call in list(registration.waiting):
            if self._is_hopeless(call):
                registration.waiting.remove(call)
                self._fail(call, "wamp.error.no_available_callee")

    def _let_go(self, call: Call) -> None:
        """The callee does not have the invocation any more."""
        assert call.callee is not None
        del call.callee.invocations[call.invocation]
        self._post.later(lambda: self.serve(call.registration))

    # --- YIELD, ERROR -----------------------------------------------------------------------------

    def receive_yield(
        self, callee: Peer, invocation: int, options: dict[str, Any], args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        """[YIELD, INVOCATION.Request|id, Options|dict, Arguments|list, ArgumentsKw|dict]"""
        call = self._invoked(callee, invocation)
        is_progress = bool(options.get("progress"))
        if call is None or self._is_refused(call, callee, options, kwargs, is_progress):
            return
        details = passthru(options)
        if not is_progress:
            self._answer(call, RESULT, call.request, details, args, kwargs)
            self._let_go(call)
        elif call.caller is not None and "receive_progress" in call.details:
            call.may_move = False
            if call.deadline is not None:
                call.deadline = self.now + call.options["timeout"] / 1000
            self._post.send(call.caller, RESULT, call.request, {"progress": True, **details}, args, kwargs)

    def receive_error(
        self,
        callee: Peer,
        request_type: int,
        invocation: int,
        details: dict[str, Any],
        error: str,
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> None:
        """[ERROR, INVOCATION, INVOCATION.Request|id, Details|dict, Error|uri, Arguments|list, ArgumentsKw|dict]"""
        if request_type != INVOCATION:
            raise Violation
        call = self._invoked(callee, invocation)
        if call is None or self._is_refused(call, callee, details, kwargs, False):
            return
        del callee.invocations[invocation]
        if error == "wamp.error.unavailable" and callee.can("callee", "call_reroute"):
            if call.caller is not None and call.may_move and not call.is_killed:
                self._move_on(call, callee)
            else:
                self._fail(call, "wamp.error.no_available_callee")
        elif not is_uri(error):
            self._fail(call, "wamp.error.invalid_uri")
        else:
            self._answer(call, ERROR, CALL, call.request, passthru(details), error, args, kwargs)
        self._post.later(lambda: self.serve(call.registration))

    def _invoked(self, callee: Peer, invocation: int) -> Call | None:
        call: Call | None = callee.invocations.get(invocation)
        if call is None and not (callee.can("callee", "call_canceling") and invocation <= callee.last_invocation):
            raise Violation
        return call

    def _is_refused(
        self, call: Call, callee: Peer, options: dict[str, Any], kwargs: dict[str, Any], is_progress: bool
    ) -> bool:
        """Whether an answer in payload passthru mode ends the call with an error instead."""
        if not options.get("ppt_scheme"):
            return False
        if not callee.can("callee", "payload_passthru_mode"):
            raise Violation
        if call.caller is None or (is_progress and "receive_progress" not in call.details):
            return False
        if not call.caller.can("caller", "payload_passthru_mode"):
            error = "wamp.error.feature_not_supported"
        elif kwargs:
            error = "wamp.error.invalid_argument"
        else:
            return False
        if is_progress:
            self._interrupt(call, error)
        else:
            self._let_go(call)
        self._fail(call, error)
        return True

    def _answer(self, call: Call, *message: Any) -> None:
        """Give the caller its one final answer, if it has not got it."""
        if call.caller is not None:
            del call.caller.calls[call.request]
            self._post.send(call.caller, *message)
            call.caller = None

    def _fail(self, call: Call, error: str) -> None:
        self._answer(call, ERROR, CALL, call.request, {}, error, WORDS, {})

    # --- ends before the answer -------------------------------------------------------------------

    def cancel(self, caller: Peer, request: int, options: dict[str, Any]) -> None:
        """[CANCEL, CALL.Request|id, Options|dict]"""
        call = caller.calls.get(request)
        mode = options.get("mode") or "killnowait"
        if call is None or (call.is_killed and mode == "kill"):
            return
        if mode == "kill" and call.callee is not None and call.callee.can("callee", "call_canceling"):
            call.is_killed = True
            reason = {"mode": "kill", "reason": "wamp.error.canceled"}
            self._post.send(call.callee, INTERRUPT, call.invocation, reason)
            return
        if mode != "skip" or call.callee is None:
            self._interrupt(call, "wamp.error.canceled")
        self._fail(call, "wamp.error.canceled")

    def _interrupt(self, call: Call, reason: str) -> None:
        """Nobody waits for what the callee does: tell it, if it can be told. Or there is no callee yet."""
        if call.callee is None:
            call.registration.waiting.remove(call)
        elif call.callee.can("callee", "call_canceling"):
            self._post.send(call.callee, INTERRUPT, call.invocation, {"mode": "killnowait", "reason": reason})
            self._let_go(call)

    def next_timeout(self, peers: list[Peer]) -> Call | None:
        """The call whose time has been up for longest."""
        calls = [call for peer in peers for call in peer.calls.values()]
        late = [call for call in calls if call.deadline is not None and call.deadline <= self.now]
        return min(late, key=lambda call: call.deadline, default=None)

    def time_out(self, call: Call) -> None:
        """End a call that took too long."""
        self._interrupt(call, "wamp.error.timeout")
        self._fail(call, "wamp.error.timeout")

    def leave(self, peer: Peer) -> None:
        """A session is gone: nobody waits for its calls, and those that it worked on are over."""
        for call in peer.calls.values():
            call.caller = None
            if call.callee is not peer:
                self._interrupt(call, "wamp.error.canceled")
        for call in peer.invocations.values():
            self._fail(call, "wamp.error.canceled")
        self.registrations.drop(peer)
        peer.calls, peer.invocations = {}, {}

    def undeliverable(self, peer: Peer, message: list[Any]) -> None:
        """A message was not taken by its receiver."""
        if message[0] == INVOCATION:
            call = peer.invocations.get(message[1])
            if call is not None and call.in_parts:
                self._interrupt(call, TOO_LARGE)
                self._fail(call, TOO_LARGE)
                return
            if peer.last_invocation == message[1]:
                peer.last_invocation -= 1
            if call is not None:
                self._let_go(call)
                self._fail(call, TOO_LARGE)
        elif message[0] == RESULT and message[2].get("progress"):
            call = peer.calls[message[1]]
            self._interrupt(call, TOO_LARGE)
            self._fail(call, TOO_LARGE)
        elif message[0] in (RESULT, ERROR):
            request = message[1] if message[0] == RESULT else message[2]
            self._post.send(peer, ERROR, CALL, request, {}, TOO_LARGE, WORDS, {})


def check_announced(caller: Peer, options: dict[str, Any]) -> None:
    """Make sure that a caller has announced what it uses."""
    if options.get("progress") and not caller.can("caller", "progressive_call_invocations"):
        raise Violation
    if options.get("ppt_scheme") and not caller.can("caller", "payload_passthru_mode"):
        raise Violation
