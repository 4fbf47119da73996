"""Logins that cookies stand for: in memory, and in a file too if they are to survive a restart.

Kept is a hash of each cookie, not the cookie: whoever reads the file, or a dump of the memory's records, cannot log in
with it. Cookies are long and random, so a plain hash is enough.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

__all__ = ["CookieRecord", "CookieStore", "Keeper", "digest_of"]

MAX_COOKIES = 100_000
"""Logins that are remembered; with more, those from longest ago are forgotten."""

MAX_COOKIES_PER_AUTHID = 100
"""The same of one client, in one realm: it cannot push out others' by logging in again and again."""


class CookieRecord(Struct, frozen=True, kw_only=True):
    """A login that a cookie stands for.

    Attributes:
        authid, role, realm, extra: see `Identity`.
        asked: the realm that the client asked for.
        method: by which the client logged in.
        stamp: what the configuration said of the client then, in a form that only the cookie can make.
        until: when it expires, in seconds since 1970.
    """

    authid: str
    role: str
    asked: str
    realm: str
    method: str
    stamp: bytes
    until: float
    extra: dict[str, Any] | None = None


class Keeper(Protocol):
    """Keeps records outside the memory. Neither method ever waits."""

    def put(self, digest: bytes, record: CookieRecord) -> None:
        """Keep a record."""

    def delete(self, digest: bytes) -> None:
        """Keep it no more."""


class CookieStore:
    """All logins of a worker, or of a file, that cookies stand for.

    Attributes:
        sessions: hash of a cookie -> id of each session that was opened with it -> what ends the session.
    """

    def __init__(
        self,
        keeper: Keeper | None = None,
        records: Mapping[bytes, CookieRecord] | None = None,
        *,
        max_cookies: int = MAX_COOKIES,
        max_per_authid: int = MAX_COOKIES_PER_AUTHID,
    ) -> None:
        """
        Args:
            keeper: told of every change; None for memory only.
            records: what it has kept: hash of a cookie -> record, the oldest first.
            max_cookies: how many are remembered.
            max_per_authid: how many of one client in one realm.
        """
        self._keeper = keeper
        # In the order of logins, so that the oldest are the first ones.
        self._records: dict[bytes, CookieRecord] = dict(records or {})
        self._max_cookies = max_cookies
        self._max_per_authid = max_per_authid
        # realm and authid -> hashes of its cookies, in the same order
        self._owned: dict[tuple[str, str], dict[bytes, None]] = {}
        for digest, record in self._records.items():
            self._owned.setdefault((record.realm, record.authid), {})[digest] = None
        self.sessions: dict[bytes, dict[int, Callable[[], None]]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def find(self, cookie: str, now: float) -> CookieRecord | None:
        """The login that a cookie stands for.

        Args:
            cookie: its value, as a client sent it.
            now: seconds since 1970.
        """
        record = self._records.get(digest_of(cookie))
        return record if record is not None and now < record.until else None

    def put(self, cookie: str, record: CookieRecord, now: float) -> None:
        """Have a cookie stand for a login."""
        digest = digest_of(cookie)
        if digest in self._records:
            self._remove(digest)
        owned = self._owned.get((record.realm, record.authid))
        if owned is not None and len(owned) >= self._max_per_authid:
            self._delete(next(iter(owned)))
        while self._records:
            oldest, its_record = next(iter(self._records.items()))
            if len(self._records) < self._max_cookies and now < its_record.until:
                break
            self._delete(oldest)
        self._records[digest] = record
        self._owned.setdefault((record.realm, record.authid), {})[digest] = None
        if self._keeper is not None:
            self._keeper.put(digest, record)

    def forget(self, cookie: str) -> None:
        """Have a cookie stand for nothing any more."""
        digest = digest_of(cookie)
        if digest in self._records:
            self._delete(digest)

    def _remove(self, digest: bytes) -> None:
        record = self._records.pop(digest)
        owner = (record.realm, record.authid)
        owned = self._owned[owner]
        del owned[digest]
        if not owned:
            del self._owned[owner]

    def _delete(self, digest: bytes) -> None:
        self._remove(digest)
        if self._keeper is not None:
            self._keeper.delete(digest)


def digest_of(cookie: str) -> bytes:
    """What is kept of a cookie."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()
