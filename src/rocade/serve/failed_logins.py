"""Failed logins: counted by address, by name and by both; they slow down and lock out who guesses, and nobody else.

Three counts, each of which falls steadily on its own:

- of one name at one address: it makes the next attempt wait, and locks that name out at that address;
- of one address, whatever the name: it locks the address out;
- of one name, wherever from: it makes attempts wait that come from where the name has not logged in before, and never
  locks anybody out. Or whoever knows a name could keep its owner away for ever.

Who gives no name, since a token or a key says it all, is counted by address only. While somebody is locked out, nothing
that is tried is looked at, and so nothing is counted.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from rocade.errors import LIMIT_EXCEEDED, HandshakeRefused
from rocade.serve.authentication import Anonymous, Authenticator
from rocade.serve.counters import Counters
from rocade.wamp.messages import Hello
from rocade.wamp.uris import shown

__all__ = ["FailedLogins", "LockedOut", "LoginPolicy", "is_open_to_all"]

MAX_REMEMBERED = 10_000
"""Entries of each of the counts; beyond it those are forgotten whose latest failure is longest ago."""

LONGEST_NAME = 64
"""Characters of a name that are remembered as they are; of longer ones it is a hash."""

MAX_DELAY = 10.0
"""Longest delay of an attempt that can be configured, in seconds: less than an attempt may take in all."""

K = TypeVar("K", bound=Hashable)

logger = logging.getLogger("rocade.logins")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPolicy:
    """What failed logins lead to. 0 turns off what it stands for.

    Raises:
        ValueError: a delay that is longer than an attempt may take.
    """

    tolerated: int = 3
    """Failures of one name that have no consequences."""
    delay: float = 0.5
    """Seconds that the attempt after those has to wait; each further failure doubles it."""
    max_delay: float = 5.0
    """Longest of these delays, in seconds."""
    lock_out_after: int = 10
    """Failures of one name at one address after which that name is locked out there."""
    lock_out_address_after: int = 100
    """Failures at one address after which that address is locked out."""
    lock_out: float = 300.0
    """Seconds that it is locked out."""
    forget_after: float = 900.0
    """Seconds in which as many failures as lock out are forgotten, one after the other."""

    def __post_init__(self) -> None:
        if self.max_delay > MAX_DELAY:
            raise ValueError(f"max_delay can be {MAX_DELAY:g} s at most")


class LockedOut(HandshakeRefused):
    """Too many logins have failed at that address."""

    def __init__(self, seconds: float) -> None:
        """
        Args:
            seconds: until the next attempt will be looked at.
        """
        text = f"too many failed logins; nothing that you try is looked at for the next {max(1, round(seconds))} s"
        super().__init__(LIMIT_EXCEEDED, text)


class _Entry:
    __slots__ = ("level", "locked_until", "since")

    def __init__(self, now: float) -> None:
        self.level = 0.0
        self.since = now
        self.locked_until = 0.0


class _Table(Generic[K]):
    """Failures by some key. Each count falls by one in a fixed time."""

    def __init__(self, seconds_each: float) -> None:
        self._seconds_each = seconds_each
        # the one whose latest failure is longest ago comes first
        self._entries: OrderedDict[K, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, key: K, now: float) -> _Entry:
        """Count one more."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(now)
            if len(self._entries) > MAX_REMEMBERED:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(key)
        entry.level = self._now(entry, now) + 1
        entry.since = now
        return entry

    def _now(self, entry: _Entry, now: float) -> float:
        return max(0.0, entry.level - (now - entry.since) / self._seconds_each)

    def level(self, key: K, now: float) -> int:
        """How many there are by now; one that is about to be forgotten still counts."""
        entry = self._entries.get(key)
        return 0 if entry is None else math.ceil(self._now(entry, now))

    def locked_until(self, key: K) -> float:
        """Until when it is locked out; 0 if it never was."""
        entry = self._entries.get(key)
        return 0.0 if entry is None else entry.locked_until

    def forget(self, key: K) -> None:
        """Count none."""
        self._entries.pop(key, None)

    def tidy(self, now: float) -> None:
        """Forget what is as good as forgotten, beginning with what is oldest."""
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if self._now(entry, now) > 0 or entry.locked_until > now:
                return
            del self._entries[key]


class FailedLogins:
    """Remembers failed logins, and says what follows from them.

    An address is None where there is none that would count (Unix sockets); what comes from there is never slowed down.
    """

    def __init__(self, policy: LoginPolicy, counters: Counters, clock: Callable[[], float]) -> None:
        """
        Args:
            policy: what follows from failures.
            counters: told of them.
            clock: the time in seconds.
        """
        self._policy = policy
        self._counters = counters
        self._clock = clock
        each = policy.forget_after / (policy.lock_out_after or 10)
        self._pairs: _Table[tuple[str, str]] = _Table(each)
        self._names: _Table[str] = _Table(each)
        self._addresses: _Table[str] = _Table(policy.forget_after / (policy.lock_out_address_after or 100))
        # (address, name) that have logged in, the latest last
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def check(self, address: str | None, authid: str | None) -> None:
        """Make sure that nobody is locked out.

        Args:
            address: where the client comes from.
            authid: who it says that it is.
        Raises:
            LockedOut: the address is locked out, or that name there.
        """
        if address is None:
            return
        until, name = self._addresses.locked_until(address), _short(authid)
        if name:
            until = max(until, self._pairs.locked_until((address, name)))
        left = until - self._clock()
        if left > 0:
            self._counters.locked_out += 1
            raise LockedOut(left)

    def delay(self, address: str | None, authid: str | None) -> float:
        """Seconds that an attempt has to wait before it is looked at, right or wrong."""
        policy, name = self._policy, _short(authid)
        if address is None or not name or not policy.delay:
            return 0.0
        now = self._clock()
        failures = self._pairs.level((address, name), now)
        if (address, name) not in self._known:
            failures = max(failures, self._names.level(name, now))
        beyond = failures - policy.tolerated
        # Doubling more than 20 times changes nothing any more.
        return min(policy.max_delay, policy.delay * 2.0 ** min(beyond, 20)) if beyond >= 0 else 0.0

    def failed(self, address: str | None, authid: str | None) -> None:
        """Count a failed login."""
        self._counters.failed_logins += 1
        if address is None:
            return
        now, policy, name = self._clock(), self._policy, _short(authid)
        for table in (self._pairs, self._names, self._addresses):
            table.tidy(now)
        if name:
            self._names.add(name, now)
            pair = self._pairs.add((address, name), now)
            if policy.lock_out_after and math.ceil(pair.level) >= policy.lock_out_after and pair.locked_until <= now:
                self._lock(pair, now, f"{shown(name)} at {address}")
        entry = self._addresses.add(address, now)
        most = policy.lock_out_address_after
        if most and math.ceil(entry.level) >= most and entry.locked_until <= now:
            self._lock(entry, now, address)

    def _lock(self, entry: _Entry, now: float, who: str) -> None:
        entry.locked_until = now + self._policy.lock_out
        self._counters.lock_outs += 1
        logger.warning("locked out %s for %g s: %d failed logins", who, self._policy.lock_out, math.ceil(entry.level))

    def succeeded(self, address: str | None, authid: str | None) -> None:
        """A client has logged in: that name is known there from now on, and its failures there are forgotten."""
        if address is None or not authid:
            return
        key = (address, _short(authid))
        self._pairs.forget(key)
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    @property
    def remembered(self) -> int:
        """Entries of all tables."""
        return len(self._pairs) + len(self._names) + len(self._addresses) + len(self._known)


def _short(authid: str | None) -> str:
    """What is remembered of a name that anybody may have made up."""
    if authid is None or len(authid) <= LONGEST_NAME:
        return authid or ""
    return hashlib.sha256(authid.encode("utf-8", "surrogatepass")).hexdigest()


def is_open_to_all(hello: Hello, authenticators: Mapping[str, Authenticator]) -> bool:
    """Whether whoever sends this HELLO comes in without proving anything: no failed login speaks against that.

    Args:
        hello: the HELLO.
        authenticators: authentication method -> authenticator, of the transport.
    """
    for method in hello.details.authmethods or ("anonymous",):
        if method in authenticators:
            return isinstance(authenticators[method], Anonymous)
    return True
