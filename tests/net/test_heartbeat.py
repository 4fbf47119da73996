"""The timer wheel, on a clock of its own."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from rocade.net.heartbeat import Heartbeat


class Timer:
    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when


class Clock:
    """As much of an event loop as the heartbeat uses."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(when, callback)
        heapq.heappush(self.timers, timer)
        return timer

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timers and self.timers[0].when <= end:
            timer = heapq.heappop(self.timers)
            self.now = max(self.now, timer.when)
            if not timer.is_cancelled:
                timer.callback()
        self.now = end

    def armed(self) -> int:
        return sum(not timer.is_cancelled for timer in self.timers)


class Patient:
    def __init__(self, clock: Clock, *, interval: float = 30.0, timeout: float = 20.0, deaf: bool = False) -> None:
        self.clock = clock
        self.ping_interval = interval
        self.ping_timeout = timeout
        self.heard = self.pinged = False
        self.pulse = 0
        self.deaf = deaf
        self.log: list[tuple[str, float]] = []

    def is_deaf(self) -> bool:
        return self.deaf

    def ping(self) -> None:
        self.log.append(("ping", self.clock.now - 1000))

    def unanswered(self) -> None:
        self.log.append(("dropped", self.clock.now - 1000))


def make(**options: Any) -> tuple[Clock, Heartbeat, Patient]:
    clock = Clock()
    heartbeat = Heartbeat(clock)  # type: ignore[arg-type]
    patient = Patient(clock, **options)
    heartbeat.watch(patient)
    return clock, heartbeat, patient


def test_a_silent_connection_is_pinged_within_the_interval_and_dropped_after_the_timeout() -> None:
    clock, heartbeat, patient = make()

    clock.advance(100)

    assert patient.log == [("ping", 15.0), ("dropped", 35.0)]
    assert heartbeat.watched() == clock.armed() == 0


def test_a_connection_that_speaks_is_not_pinged() -> None:
    clock, _, patient = make()

    for _ in range(20):
        clock.advance(10)
        patient.heard = True

    assert patient.log == []


def test_any_sign_of_life_answers_a_ping() -> None:
    clock, _, patient = make()

    clock.advance(16)
    patient.heard = True
    clock.advance(30)

    assert [event for event, _ in patient.log] == ["ping"]


def test_a_connection_that_we_do_not_read_from_is_not_held_to_be_dead() -> None:
    clock, _, patient = make(deaf=True)

    clock.advance(300)

    assert patient.log == []


def test_an_interval_of_zero_never_pings() -> None:
    clock, heartbeat, patient = make(interval=0.0)

    clock.advance(300)

    assert (patient.log, heartbeat.watched(), clock.armed()) == ([], 0, 0)


def test_a_forgotten_connection_is_left_alone_and_ends_the_timer() -> None:
    clock, heartbeat, patient = make()

    heartbeat.forget(patient)
    heartbeat.forget(patient)
    clock.advance(300)

    assert (patient.log, heartbeat.watched(), clock.armed()) == ([], 0, 0)


def test_one_connection_may_make_us_forget_another_in_the_same_round() -> None:
    clock, heartbeat, patient = make()
    others = [Patient(clock) for _ in range(10)]
    for other in others:
        heartbeat.watch(other)
        other.ping = lambda: [heartbeat.forget(each) for each in others]  # type: ignore[assignment, method-assign]

    clock.advance(300)

    assert patient.log == [("ping", 15.0), ("dropped", 35.0)]
    assert heartbeat.watched() == 0


def test_a_thousand_connections_share_one_timer() -> None:
    clock, heartbeat, _ = make()
    for number in range(1000):
        heartbeat.watch(Patient(clock, interval=10 + number / 100))

    assert clock.armed() == 1
    assert heartbeat.watched() == 1001


def test_with_any_time_to_answer_a_silent_connection_is_pinged_again_and_again() -> None:
    clock, _heartbeat, patient = make(timeout=float("inf"))

    clock.advance(100)

    assert patient.log == [("ping", 15.0), ("ping", 45.0), ("ping", 75.0)]
