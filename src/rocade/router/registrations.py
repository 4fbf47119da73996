"""A registration, its callees, and which of them gets a call.

Specification: advanced/rpc_shared_registration.md, advanced/rpc_call_rerouting.md.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING

from rocade.router.free_callees import FreeCallees
from rocade.router.queue import CallQueue
from rocade.wamp.messages import Invoke, Match, RegisterOptions

if TYPE_CHECKING:
    from rocade.router.session import Session

__all__ = ["Registration"]

# Attributes of an enumeration take longer to look up.
ROUNDROBIN, RANDOM, LAST = Invoke.ROUNDROBIN, Invoke.RANDOM, Invoke.LAST


class Registration:
    """What one or more sessions have registered: a procedure or a pattern of procedures.

    Attributes:
        id: router-scope id, the same for all its callees.
        uri: the procedure or pattern.
        match: how `uri` is compared with procedures.
        invoke: which of the callees gets a call.
        created: when the first of them registered, in seconds since 1970.
        callees: its sessions in the order in which they registered.
        sole: its only callee, if there is no other and that one takes any number of invocations; else None.
        turn: whose turn it is under `Invoke.ROUNDROBIN`, an index into `callees`.
        is_plain: neither a pattern nor with callees that want to know the caller: invocations need no details.
        free: the callees that are free; None as long as none has a limit.
        waiting: calls for which no callee is free; None as long as no callee has a limit.
    """

    __slots__ = (
        "callees",
        "created",
        "disclosed_to",
        "forward_timeout_to",
        "free",
        "id",
        "invoke",
        "is_plain",
        "match",
        "sole",
        "turn",
        "uri",
        "waiting",
    )

    def __init__(self, id: int, uri: str, match: Match, invoke: Invoke, created: float) -> None:
        self.id = id
        self.uri = uri
        self.match = match
        self.invoke = invoke
        self.created = created
        self.callees: list[Session] = []
        self.sole: Session | None = None
        self.turn = 0
        self.is_plain = match is Match.EXACT
        # callees that asked to know who calls; callees that handle timeouts themselves
        self.disclosed_to: set[Session] = set()
        self.forward_timeout_to: set[Session] = set()
        self.free: FreeCallees | None = None
        self.waiting: CallQueue | None = None

    def add(self, callee: Session, options: RegisterOptions) -> None:
        """Add a callee.

        Args:
            callee: not among the callees yet.
            options: of its REGISTER.
        """
        if options.concurrency is not None and self.free is None:
            self.free = FreeCallees(self.callees)
            self.waiting = self.waiting or CallQueue()
        if self.free is not None:
            # It may have registered before, and still work on calls of that time.
            busy = sum(pending.registration is self for pending in callee.invocations.values())
            self.free.add(callee, options.concurrency, busy)
        self.callees.append(callee)
        if options.disclose_caller:
            self.disclosed_to.add(callee)
            self.is_plain = False
        if options.forward_timeout:
            self.forward_timeout_to.add(callee)
        self._find_sole()

    def remove(self, callee: Session) -> None:
        """Remove a callee. Calls that wait stay, even if there is nobody left for them."""
        position = self.callees.index(callee)
        del self.callees[position]
        if position < self.turn:
            self.turn -= 1
        elif self.turn == len(self.callees):
            self.turn = 0  # it was the turn of the last one, and not of whoever registers next
        self.disclosed_to.discard(callee)
        self.forward_timeout_to.discard(callee)
        if self.free is not None:
            self.free.remove(callee)
            if not self.free.has_limits():
                self.free = None
        self._find_sole()

    def _find_sole(self) -> None:
        self.sole = self.callees[0] if len(self.callees) == 1 and self.free is None else None

    def choose(self, random_below: Callable[[int], int], tried: Container[Session] = ()) -> Session | None:
        """Whom the next call goes to, by the policy among those callees that are free; None when nobody is.

        Args:
            random_below: draws an integer from 0 to n - 1.
            tried: callees that have refused this call, "assuming that the unavailable registration virtually does
                not exist" (advanced/rpc_call_rerouting.md).
        """
        callees, policy = self.callees, self.invoke
        if not callees:
            return None
        if self.free is not None:
            return self._choose_of_the_free(self.free, random_below, tried)
        if policy is ROUNDROBIN:
            for _ in callees:
                callee = callees[self.turn]
                self.turn = (self.turn + 1) % len(callees)
                if callee not in tried:
                    return callee
            return None
        return self._choose_of(callees, random_below, tried)

    def _choose_of_the_free(
        self, free: FreeCallees, random_below: Callable[[int], int], tried: Container[Session]
    ) -> Session | None:
        if self.invoke is not ROUNDROBIN:
            return self._choose_of(free.callees, random_below, tried)
        for callee in free.from_there(self.turn):
            if callee not in tried:
                self.turn = (free.position(callee) + 1) % len(self.callees)
                return callee
        return None

    def _choose_of(
        self, callees: list[Session], random_below: Callable[[int], int], tried: Container[Session]
    ) -> Session | None:
        if self.invoke is RANDOM:
            if tried:
                callees = [callee for callee in callees if callee not in tried]
            return callees[random_below(len(callees))] if callees else None
        ordered = reversed(callees) if self.invoke is LAST else callees
        for callee in ordered:
            if callee not in tried:
                return callee
        return None

    def began(self, callee: Session) -> None:
        """A callee, which was free, has got an invocation."""
        if self.free is not None:
            self.free.began(callee)

    def ended(self, callee: Session) -> None:
        """A callee has one invocation less."""
        if self.free is not None:
            self.free.ended(callee)

    def has_others(self, tried: Container[Session]) -> bool:
        """Whether there is a callee, free or not, that has not been tried."""
        return any(callee not in tried for callee in self.callees)
