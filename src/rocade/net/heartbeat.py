"""Signs of life: one timer that pings silent connections and drops those that do not answer.

A wheel of buckets instead of a task or timer per connection. A connection costs one flag per read
(`heard = True`) and one visit per half interval.
"""

from __future__ import annotations

import asyncio
from math import ceil, isfinite
from typing import Protocol

RESOLUTION = 0.25
"""Width of a bucket in seconds: how much later than due a visit may come."""

VISITED_AT_ONCE = 100
"""Connections that are visited in one round of the loop."""

_BEING_VISITED = -1


class Patient(Protocol):
    """A connection under watch."""

    heard: bool
    """Set by the connection whenever bytes arrive, cleared by the heartbeat."""
    ping_interval: float
    """Longest silence in seconds before a ping."""
    ping_timeout: float
    """Seconds a ping may stay without any sign of life."""
    pulse: int
    """The heartbeat's: the bucket that holds this connection, 0 if none."""
    pinged: bool
    """The heartbeat's: whether a ping is out."""

    def is_deaf(self) -> bool:
        """Whether we ourselves do not read from it at present, so that its silence means nothing."""

    def ping(self) -> None:
        """Send a ping."""

    def unanswered(self) -> None:
        """No sign of life since the ping: drop the connection."""


class Heartbeat:
    """The wheel. The timer exists only while somebody is watched."""

    def __init__(self, loop: asyncio.AbstractEventLoop, resolution: float = RESOLUTION) -> None:
        """
        Args:
            loop: whose timer and clock are used.
            resolution: width of a bucket in seconds.
        """
        self._loop = loop
        self._resolution = resolution
        # number of the bucket (time / resolution) -> who is visited then
        self._buckets: dict[int, set[Patient]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_bucket = 0

    def watch(self, patient: Patient) -> None:
        """Begin to watch a connection; one with an interval of 0 is left alone."""
        if patient.ping_interval > 0:
            patient.heard = False
            self._visit_after(patient, patient.ping_interval / 2)

    def forget(self, patient: Patient) -> None:
        """Stop watching; does nothing for a connection that is not watched."""
        bucket = self._buckets.get(patient.pulse)
        if bucket is not None:
            bucket.discard(patient)
            if not bucket:
                del self._buckets[patient.pulse]
        patient.pulse = 0
        if not self._buckets:
            self._arm()

    def watched(self) -> int:
        """How many connections are watched."""
        return sum(map(len, self._buckets.values()))

    def _visit_after(self, patient: Patient, delay: float) -> None:
        patient.pulse = ceil((self._loop.time() + delay) / self._resolution)
        self._buckets.setdefault(patient.pulse, set()).add(patient)
        if self._timer is None or patient.pulse < self._timer_bucket:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._buckets:
            self._timer_bucket = min(self._buckets)
            self._timer = self._loop.call_at(self._timer_bucket * self._resolution, self._tick)

    def _tick(self) -> None:
        self._timer = None
        # uvloop rounds times to milliseconds and may call a little early.
        now = max(self._timer_bucket, int(self._loop.time() / self._resolution))
        due = [number for number in self._buckets if number <= now]
        patients = [patient for number in due for patient in self._buckets.pop(number)]
        for patient in patients:
            patient.pulse = _BEING_VISITED
        self._visit_some(patients)
        self._arm()

    def _visit_some(self, patients: list[Patient]) -> None:
        """Visit some connections now, and the rest in later rounds of the loop: a ping goes to the system at once."""
        for patient in patients[:VISITED_AT_ONCE]:
            # What happens to one may make the owner forget another.
            if patient.pulse == _BEING_VISITED:
                patient.pulse = 0
                self._visit(patient)
        if len(patients) > VISITED_AT_ONCE:
            self._loop.call_soon(self._visit_some, patients[VISITED_AT_ONCE:])

    def _visit(self, patient: Patient) -> None:
        # Twice per interval: a connection is pinged after a silence of between half and one interval.
        if patient.heard or patient.is_deaf():
            patient.heard = patient.pinged = False
            self._visit_after(patient, patient.ping_interval / 2)
        elif patient.pinged:
            patient.unanswered()
        else:
            patient.pinged = isfinite(patient.ping_timeout)  # or the answer may take any time
            self._visit_after(patient, patient.ping_timeout if patient.pinged else patient.ping_interval)
            patient.ping()
