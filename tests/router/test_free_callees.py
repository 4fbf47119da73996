"""The callee that gets a call is the one that it would be if all of them were looked at in turn."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rocade.router.registrations import Registration
from rocade.wamp.messages import Invoke, Match, RegisterOptions


class Callee:
    """As much of a session as a registration looks at."""

    invocations: dict[int, Any] = {}


class Plain:
    """The same, looking at one after the other."""

    def __init__(self, invoke: Invoke) -> None:
        self.invoke = invoke
        self.callees: list[Any] = []
        self.limit: dict[Any, int] = {}
        self.busy: dict[Any, int] = {}
        self.turn: Any = None

    def add(self, callee: Any, limit: int | None) -> None:
        self.callees.append(callee)
        self.turn = self.turn or callee
        self.busy[callee] = 0
        self.limit[callee] = limit or 1000

    def remove(self, callee: Any) -> None:
        if self.turn is callee:
            self.turn = self.after(callee) if len(self.callees) > 1 else None
        self.callees.remove(callee)

    def after(self, callee: Any) -> Any:
        return self.callees[(self.callees.index(callee) + 1) % len(self.callees)]

    def choose(self, draw: int, tried: Container[Any]) -> Any:
        start = self.callees.index(self.turn) if self.turn and self.invoke is Invoke.ROUNDROBIN else 0
        callees = self.callees[start:] + self.callees[:start]
        free = [it for it in callees if self.busy[it] < self.limit[it] and it not in tried]
        if not free:
            return None
        if self.invoke is Invoke.RANDOM:
            return free[draw % len(free)]
        chosen = free[-1] if self.invoke is Invoke.LAST else free[0]
        if self.invoke is Invoke.ROUNDROBIN:
            self.turn = self.after(chosen)
        return chosen


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from([None, 1, 1, 2])),
        st.tuples(st.just("remove"), st.integers(0, 99)),
        st.tuples(st.just("end"), st.integers(0, 99)),
        st.tuples(st.sampled_from(["call", "call", "call", "call"]), st.integers(0, 99)),
    ),
    max_size=60,
)


@given(
    invoke=st.sampled_from([Invoke.ROUNDROBIN, Invoke.RANDOM, Invoke.FIRST, Invoke.LAST]),
    first=st.lists(st.sampled_from([None, 1, 1, 2]), max_size=8),
    steps=STEPS,
    tries=st.lists(st.sets(st.integers(0, 9), max_size=3), min_size=1, max_size=5),
)
def test_the_policy_decides_among_those_that_are_free(
    invoke: Invoke, first: list[int | None], steps: list[tuple[str, Any]], tries: list[set[int]]
) -> None:
    registration, plain = Registration(1, "com.p", Match.EXACT, invoke, 0.0), Plain(invoke)
    for number, (step, value) in enumerate([*(("add", limit) for limit in first), *steps]):
        callees: list[Any] = plain.callees
        if step == "add":
            callee: Any = Callee()
            registration.add(callee, RegisterOptions(concurrency=value))
            plain.add(callee, value)
        elif not callees:
            continue
        elif step == "remove":
            callee = callees[value % len(callees)]
            registration.remove(callee)
            plain.remove(callee)
        elif step == "end":
            callee = callees[value % len(callees)]
            if plain.busy[callee]:
                plain.busy[callee] -= 1
                registration.ended(callee)
        else:
            tried = {callees[it % len(callees)] for it in tries[number % len(tries)]}
            draw = value
            chosen = registration.choose(lambda below, draw=draw: draw % below, tried)
            assert chosen is plain.choose(draw, tried)
            if chosen is not None:
                plain.busy[chosen] += 1
                registration.began(chosen)


class Looks:
    """Nobody was tried, and it is counted how many were looked at."""

    def __init__(self) -> None:
        self.count = 0

    def __contains__(self, callee: object) -> bool:
        self.count += 1
        return False


def test_those_that_are_busy_are_not_looked_at() -> None:
    for invoke in (Invoke.ROUNDROBIN, Invoke.FIRST, Invoke.LAST):
        registration = Registration(1, "com.p", Match.EXACT, invoke, 0.0)
        callees: list[Any] = [Callee() for _ in range(1000)]
        for callee in callees:
            registration.add(callee, RegisterOptions(concurrency=1))
        for _ in callees:
            chosen = registration.choose(lambda below: 0)
            assert chosen is not None
            registration.began(chosen)

        looks = Looks()
        assert registration.choose(lambda below: 0, looks) is None
        registration.ended(callees[500])
        assert registration.choose(lambda below: 0, looks) is callees[500]
        assert looks.count == 1
