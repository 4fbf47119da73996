"""A registration, its callees, and which of them gets a call.

Specification: advanced/rpc_shared_registration.md, advanced/rpc_call_rerouting.md.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TYPE_CHECKING

from msgspec import Struct

from rocade.router.queue import CallQueue
from rocade.wamp.messages import Invoke, Match, RegisterOptions

if TYPE_CHECKING:
    from rocade.router.session import Session

__all__ = ["Registration"]

# Attributes of an enumeration take longer to look up.
ROUNDROBIN, RANDOM, LAST = Invoke.ROUNDROBIN, Invoke.RANDOM, Invoke.LAST


class Load(Struct, gc=False):
    """How busy a callee is that limits its invocations.

    Attributes:
        limit: invocations of the registration that it works on at a time, at most.
        busy: those that it has now.
    """

    limit: int
    busy: int


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
        waiting: calls for which no callee is free; None as long as no callee has a limit.
    """

    __slots__ = (
        "callees",
        "created",
        "disclosed_to",
        "forward_timeout_to",
        "id",
        "invoke",
        "is_plain",
        "loads",
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
        # callee -> how busy it is, of those that have a limit
        self.loads: dict[Session, Load] = {}
        self.waiting: CallQueue | None = None

    def add(self, callee: Session, options: RegisterOptions) -> None:
        """Add a callee.

        Args:
            callee: not among the callees yet.
            options: of its REGISTER.
        """
        self.callees.append(callee)
        if options.disclose_caller:
            self.disclosed_to.add(callee)
            self.is_plain = False
        if options.forward_timeout:
            self.forward_timeout_to.add(callee)
        if options.concurrency is not None:
            # It may have registered before, and still work on calls of that time.
            busy = sum(pending.registration is self for pending in callee.invocations.values())
            self.loads[callee] = Load(options.concurrency, busy)
            self.waiting = self.waiting or CallQueue()
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
        self.loads.pop(callee, None)
        self._find_sole()

    def _find_sole(self) -> None:
        self.sole = self.callees[0] if len(self.callees) == 1 and not self.loads else None

    def choose(self, random_below: Callable[[int], int], tried: Container[Session] = ()) -> Session | None:
        """Whom the next call goes to, by the policy among those callees that are free; None when nobody is.

        Args:
            random_below: draws an integer from 0 to n - 1.
            tried: callees that have refused this call, "assuming that the unavailable registration virtually does
                not exist" (advanced/rpc_call_rerouting.md).
        """
        callees, policy, all_are_free = self.callees, self.invoke, not (self.loads or tried)
        if policy is ROUNDROBIN:
            for _ in callees:
                callee = callees[self.turn % len(callees)]
                self.turn = (self.turn + 1) % len(callees)
                if all_are_free or self._is_free(callee, tried):
                    return callee
            return None
        free = callees if all_are_free else [callee for callee in callees if self._is_free(callee, tried)]
        if not free:
            return None
        if policy is RANDOM:
            return free[random_below(len(free))]
        return free[-1] if policy is LAST else free[0]

    def _is_free(self, callee: Session, tried: Container[Session]) -> bool:
        load = self.loads.get(callee)
        return (load is None or load.busy < load.limit) and callee not in tried

    def began(self, callee: Session) -> None:
        """A callee has got an invocation."""
        load = self.loads.get(callee)
        if load is not None:
            load.busy += 1

    def ended(self, callee: Session) -> None:
        """A callee has one invocation less."""
        load = self.loads.get(callee)
        if load is not None:
            load.busy -= 1

    def has_others(self, tried: Container[Session]) -> bool:
        """Whether there is a callee, free or not, that has not been tried."""
        return any(callee not in tried for callee in self.callees)
