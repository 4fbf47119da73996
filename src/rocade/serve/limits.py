"""What clients may have, as far as sessions and connections go: the limits of a process, its realms and their roles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from rocade.errors import LIMIT_EXCEEDED, HandshakeRefused
from rocade.net.tally import Tally
from rocade.router.limits import RealmLimits, SessionLimits
from rocade.serve.parking import Parking
from rocade.serve.rates import Gauge, Rates

if TYPE_CHECKING:
    from rocade.router.realm import Realm
    from rocade.router.session import Session

__all__ = ["Allowances", "Full", "RoleAllowances", "Usage"]

MAX_FORMER = 10_000
"""Authids without a session of which it is remembered how fast they sent."""


class RoleAllowances(Struct, frozen=True, kw_only=True):
    """What sessions of one role may have. 0 is no limit.

    Attributes:
        session: what one session may have, of what the routing core counts.
        rates: how fast one session may send.
        ends_session: whether a session that sends faster is ended, instead of being read more slowly.
        authid_sessions: sessions with the same authid.
        authid_parked_sessions: those of them that have lost their connection and may be resumed.
        authid_rates: how fast sessions with the same authid may send, together.
    """

    session: SessionLimits = SessionLimits(
        subscriptions=100_000,
        registrations=100_000,
        pending_calls=65_536,
        kept_call_bytes=64 * 1024 * 1024,
        invocations=250_000,
    )
    rates: Rates = Rates()
    ends_session: bool = False
    authid_sessions: int = 0
    authid_parked_sessions: int = 0
    authid_rates: Rates = Rates()


class Allowances(Struct, frozen=True, kw_only=True):
    """What the sessions of one realm may have. 0 is no limit.

    Attributes:
        sessions: sessions.
        together: what all of them may have together, of what the routing core counts.
        parked_sessions: sessions that have lost their connection and may be resumed.
        parked_bytes: bytes that are kept for all of those.
        rates: how fast all of them may send, together.
        every_role: what holds for roles that are not in `roles`.
        roles: role -> what holds for it.
    """

    sessions: int = 0
    together: RealmLimits = RealmLimits(subscriptions=1_000_000, registrations=1_000_000)
    parked_sessions: int = 10_000
    parked_bytes: int = 256 * 1024 * 1024
    rates: Rates = Rates()
    every_role: RoleAllowances = RoleAllowances()
    roles: Mapping[str, RoleAllowances] = field(default_factory=dict)

    def of(self, role: str) -> RoleAllowances:
        """What holds for a role."""
        return self.roles.get(role, self.every_role)


class Usage:
    """What the sessions of one realm have of what they may have.

    Attributes:
        allowances: what they may have.
        parking: those that wait to be resumed.
    """

    def __init__(self, realm: Realm, allowances: Allowances, clock: Callable[[], float]) -> None:
        """
        Args:
            realm: which realm.
            allowances: what its sessions may have.
            clock: the time in seconds.
        """
        self.allowances = allowances
        self.parking = Parking(allowances)
        self._realm = realm
        self._clock = clock
        self._gauge: Gauge | None = None
        # sessions by authid, if any role has a limit by authid
        self._sessions = Tally()
        # (authid, role) -> what its sessions share
        self._authid_gauges: dict[tuple[str, str], Gauge] = {}
        # The same of those whose sessions are all over, so that coming again is not worth a burst; the latest last.
        self._former_gauges: OrderedDict[tuple[str, str], Gauge] = OrderedDict()
        kinds = (allowances.every_role, *allowances.roles.values())
        self._counts_authids = any(kind.authid_sessions or kind.authid_rates for kind in kinds)
        if self._counts_authids:
            realm.on_leave = self._left

    def check_room(self, authid: str, role: str) -> None:
        """Make sure that one more session may join.

        Args:
            authid: who it would be.
            role: its role.
        Raises:
            HandshakeRefused: it may not.
        """
        most = self.allowances.sessions
        if most and len(self._realm.sessions) >= most:
            raise Full("realm_sessions", f"the realm has the {most} sessions that it may have")
        most = self.allowances.of(role).authid_sessions
        if most and self._sessions[authid] >= most:
            raise Full("authid_sessions", f"there are {most} sessions with this authid already")

    def joined(self, session: Session) -> None:
        """Count a session that joins."""
        if self._counts_authids:
            self._sessions.add(session.authid)

    def _left(self, session: Session) -> None:
        authid = session.authid
        self._sessions.remove(authid)
        if not self._sessions[authid]:
            for key in [key for key in ((authid, role) for role in self._realm.roles) if key in self._authid_gauges]:
                self._remember(key, self._authid_gauges.pop(key))

    def _remember(self, key: tuple[str, str], gauge: Gauge) -> None:
        former = self._former_gauges
        if not gauge.is_full:
            former[key] = gauge
        while former and (len(former) > MAX_FORMER or next(iter(former.values())).is_full):
            former.popitem(last=False)

    def gauges(self, session: Session) -> list[Gauge]:
        """What counts how fast a session sends; nothing, if it may send at any speed."""
        allowed = self.allowances.of(session.authrole)
        gauges = []
        if self.allowances.rates:
            if self._gauge is None:
                self._gauge = Gauge("realm_", self.allowances.rates, self._clock)
            gauges.append(self._gauge)
        if allowed.authid_rates:
            key = (session.authid, session.authrole)
            gauge = self._authid_gauges.get(key)
            if gauge is None:
                former = self._former_gauges.pop(key, None)
                gauge = former or Gauge("authid_", allowed.authid_rates, self._clock)
                self._authid_gauges[key] = gauge
            gauges.append(gauge)
        if allowed.rates:
            gauges.append(Gauge("", allowed.rates, self._clock))
        return gauges


class Full(HandshakeRefused):
    """There is no room for one more session."""

    def __init__(self, limit: str, text: str) -> None:
        """
        Args:
            limit: the limit's name.
            text: plain words for the client.
        """
        super().__init__(LIMIT_EXCEEDED, text)
        self.limit = limit
