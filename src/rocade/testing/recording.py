"""The messages that went over the links of a router, to be looked at when a test has failed."""

from __future__ import annotations

import reprlib
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rocade import Sighting

__all__ = ["Recording", "all_recordings", "forget_recordings"]

MAX_MESSAGES = 1000
"""How many messages are kept, the latest."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 100
_short.maxdict = _short.maxlist = _short.maxtuple = 20
_short.maxlevel = 8

_recordings: list[Recording] = []
_lock = threading.Lock()


class Recording:
    """What was seen, in its order.

    Attributes:
        sightings: the messages.
    """

    def __init__(self) -> None:
        """An empty one, that is shown if the test which is under way fails."""
        self.sightings: deque[Sighting] = deque(maxlen=MAX_MESSAGES)
        # link -> who is at its other end
        self._names: dict[int, str] = {}
        with _lock:
            _recordings.append(self)

    def see(self, sighting: Sighting) -> None:
        """Take a message down; an `observer` of `rocade.Router`."""
        self.sightings.append(sighting)
        if sighting.name == "HELLO":
            agent = _agent(sighting.message)
            self._names[sighting.link] = f"{agent} #{sighting.link}" if agent else f"#{sighting.link}"

    def lines(self) -> list[str]:
        """A line for each message, such as "client #2 → CALL 1, {}, 'demo.ip'"."""
        return [self._line(sighting) for sighting in self.sightings]

    def _line(self, sighting: Sighting) -> str:
        who = self._names.get(sighting.link, f"#{sighting.link}")
        arrow = "→" if sighting.direction == "from" else "←"
        fields = ", ".join(_short.repr(_without_roles(field)) for field in sighting.message[1:])
        return f"{who} {arrow} {sighting.name} {fields}"


def all_recordings() -> list[Recording]:
    """What has been recorded since it was forgotten last."""
    with _lock:
        return list(_recordings)


def forget_recordings() -> None:
    """Begin anew, with another test."""
    with _lock:
        _recordings.clear()


def _without_roles(field: Any) -> Any:
    """What HELLO and WELCOME announce fills a screen, and has hardly ever to do with a failure."""
    return {**field, "roles": ...} if isinstance(field, dict) and "roles" in field else field


def _agent(hello: Any) -> str:
    try:
        agent = hello[2].get("agent")
    except (IndexError, AttributeError):
        return ""
    return str(agent) if agent else ""
