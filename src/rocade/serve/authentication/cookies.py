"""Cookies that stand for a login: a browser that logged in before gets in again without asking anybody.

A cookie is handed out in the handshake of a connection and means nothing. When the client logs in on that connection,
it comes to stand for that login. A cookie that stands for nothing is never taken from a client: it gets a new one, so
nobody can make others log in on a cookie that he knows.
"""

from __future__ import annotations

import asyncio
import hmac
import inspect
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import time as wall_clock
from typing import Any

import msgspec

from rocade.net.upgrade import Cookie
from rocade.serve.authentication.asked import Asking
from rocade.serve.authentication.attempt import Attempt, Authenticator, Identity, Outcome, Question
from rocade.serve.authentication.cookie_store import CookieRecord, CookieStore, digest_of
from rocade.serve.authentication.tenure import LOGGED_OUT, Dismiss, Tenure
from rocade.wamp.messages import Authenticate

__all__ = ["REMEMBERED", "CookieJar", "CookieLogin", "CookieOptions", "Remembering", "Stamp"]

METHOD = "cookie"

REMEMBERED = frozenset({"ticket", "wampcra", "scram", "wamp-scram", "cryptosign"})
"""Methods by which a client logs in that a cookie may then stand for. A token and a certificate go on speaking for
themselves: a cookie must not outlast them. Of anonymous clients there is nothing to remember."""

MAX_SENT = 5
"""Cookies of the same name that are looked at; a browser may have several, for different paths."""

PROOFS = frozenset({"verifier", "scram_server_signature"})
"""What `authextra` says about one login only."""

MIN_LENGTH = 24
"""Characters of a cookie, which are 144 bits: with less it could be guessed."""

Stamp = Callable[[str, str], bytes | None]
"""Given a method and an authid, all that the configuration says of that client; None if it does not know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieOptions:
    """How a cookie is set."""

    name: str = "cbtid"
    length: int = MIN_LENGTH
    max_age: int = 7 * 24 * 3600
    """Seconds from the login."""
    secure: bool = False
    """Whether browsers send it over TLS only."""
    http_only: bool = True
    """Whether it is hidden from the scripts of pages."""
    same_site: str = "Strict"


class CookieJar:
    """The cookies of one service."""

    def __init__(self, options: CookieOptions, store: CookieStore, stamp: Stamp) -> None:
        """
        Args:
            options: how they are set.
            store: what they stand for; may be that of other services too.
            stamp: what a change of which ends the validity of a cookie.
        """
        self._options = options
        self._store = store
        self._stamp = stamp
        self._pattern = re.compile(rf"(?:^|;)\s*{re.escape(options.name)}\s*=\s*\"?([A-Za-z0-9_-]+)\"?\s*(?=;|$)")

    def cookie(self, headers: Mapping[str, str]) -> Cookie:
        """The cookie of a new connection: the one that stands for a login, or a new one. See `rocade.net`."""
        now = wall_clock()
        for sent in self._pattern.findall(headers.get("cookie", ""))[:MAX_SENT]:
            if self._store.find(sent, now) is not None:
                return Cookie(sent, "")
        options = self._options
        length = max(MIN_LENGTH, options.length)
        value = secrets.token_urlsafe(length)[:length]
        parts = [f"{options.name}={value}", "Path=/", f"Max-Age={options.max_age}", f"SameSite={options.same_site}"]
        parts += ["HttpOnly"] if options.http_only else []
        parts += ["Secure"] if options.secure else []
        return Cookie(value, "; ".join(parts))

    def good(self, cookie: str) -> CookieRecord | None:
        """The login that a cookie stands for, if that login is still good, and here."""
        record = self._store.find(cookie, wall_clock()) if cookie else None
        if record is None:
            return None
        stamp = self._stamped(cookie, record.method, record.authid)
        return record if hmac.compare_digest(record.stamp, stamp) else None

    def known(self, attempt: Attempt) -> CookieRecord | None:
        """The login that the cookie of a client's connection stands for, if it is the one that the client asks for."""
        record = self.good(attempt.info.cookie)
        if record is None or record.asked != attempt.hello.realm:
            return None
        return record if attempt.hello.details.authid in (None, record.authid) else None

    def tenure(self, attempt: Attempt, record: CookieRecord | None = None) -> CookieTenure:
        """What a session brings along that was opened with a cookie, or on a connection that has one.

        Args:
            attempt: its client's.
            record: what the cookie is to stand for now; None if it stands for that already.
        """
        return CookieTenure(self, self._store, attempt.info.cookie, record)

    def record(self, attempt: Attempt, identity: Identity) -> CookieRecord | None:
        """What a client's cookie is to stand for after a login; None for none."""
        cookie, asked = attempt.info.cookie, attempt.hello.realm
        if not cookie or identity.authmethod not in REMEMBERED or identity.tenure is not None:
            return None
        extra = {name: value for name, value in (identity.authextra or {}).items() if name not in PROOFS}
        return CookieRecord(
            authid=identity.authid,
            role=identity.authrole,
            asked=asked,
            realm=identity.realm or asked,
            method=identity.authmethod,
            stamp=self._stamped(cookie, identity.authmethod, identity.authid),
            until=wall_clock() + self._options.max_age,
            extra=extra or None,
        )

    def _stamped(self, cookie: str, method: str, authid: str) -> bytes:
        """The stamp of a client, which may be made of its secret, so that only its cookie can make it again."""
        stamp = self._stamp(method, authid)
        return hmac.digest(cookie.encode(), stamp, "sha256") if stamp is not None else secrets.token_bytes(32)


class CookieTenure:
    """A session's cookie. It is a `Tenure`."""

    def __init__(self, jar: CookieJar, store: CookieStore, cookie: str, record: CookieRecord | None) -> None:
        """
        Args:
            jar: the service's.
            store: where it is.
            cookie: its value.
            record: what it is to stand for once the session is open; None to leave it.
        """
        self._jar = jar
        self._store = store
        self._cookie = cookie
        self._record = record
        self._digest = digest_of(cookie)
        self._session: int | None = None

    def begin(self, session: int, dismiss: Dismiss) -> None:
        """See `Tenure`."""
        if self._record is not None and not self._remember(self._record):
            return
        end = partial(dismiss, LOGGED_OUT, "logged out")
        if self._store.find(self._cookie, wall_clock()) is None:
            # Another session has logged out while this one was being opened.
            asyncio.get_running_loop().call_soon(end)
            return
        self._session = session
        self._store.sessions.setdefault(self._digest, {})[session] = end

    def _remember(self, record: CookieRecord) -> bool:
        before = self._jar.good(self._cookie)
        is_same = before is not None and (before.authid, before.asked) == (record.authid, record.asked)
        if is_same or self._store.find(self._cookie, wall_clock()) is None:
            self._store.put(self._cookie, record, wall_clock())
            return True
        # It is somebody else's, or was given for what is not good any more. Whoever knows it must not get in by this
        # login: it stands for nothing from now on, and the next connection gets a new one.
        self._store.forget(self._cookie)
        return False

    def end(self) -> None:
        """See `Tenure`."""
        if self._session is None:
            return
        sessions = self._store.sessions[self._digest]
        del sessions[self._session]
        if not sessions:
            del self._store.sessions[self._digest]
        self._session = None

    def log_out(self) -> int:
        """See `Tenure`: the cookie stands for nothing any more, and all other sessions of the same cookie end."""
        if self._session is None:
            return 0
        self._store.forget(self._cookie)
        others = {id: end for id, end in self._store.sessions[self._digest].items() if id != self._session}
        for end in others.values():
            # Not from within the call, or the GOODBYE, that brought this about.
            asyncio.get_running_loop().call_soon(end)
        return len(others)


class CookieLogin:
    """Lets clients in whose cookie stands for a login."""

    def __init__(self, jar: CookieJar, asking: Asking | None = None) -> None:
        """
        Args:
            jar: the service's.
            asking: whoever is asked whether the login is still good; None if it is good until it expires.
        """
        self._jar = jar
        self._asking = asking

    async def begin(self, attempt: Attempt) -> Identity | None:
        """Who the client is; None if its cookie stands for nothing, or for somebody else, or somewhere else."""
        record = self._jar.known(attempt)
        if record is None:
            return None
        authid, role, realm, extra = record.authid, record.role, record.realm, record.extra
        if self._asking is not None:
            told = {"authid": authid, "authrole": role, "authmethod": record.method, "realm": realm}
            said = await self._asking.ask(attempt, METHOD, cookie=told)
            authid, role = said.authid or authid, said.role
            realm, extra = said.realm or realm, said.extra or extra
        return Identity(
            authid=authid,
            authrole=role,
            authmethod=METHOD,
            authprovider=METHOD,
            realm=realm,
            authextra=extra,
            tenure=self._jar.tenure(attempt),
        )


class Remembering:
    """Another method, whose logins the cookies of the clients' connections come to stand for."""

    def __init__(self, method: Authenticator, jar: CookieJar) -> None:
        """
        Args:
            method: which.
            jar: the service's.
        """
        self._method = method
        self._jar = jar

    async def begin(self, attempt: Attempt) -> Outcome | None:
        """What the method says."""
        outcome: Any = self._method.begin(attempt)
        return self._noted(attempt, await outcome if inspect.isawaitable(outcome) else outcome)

    def _noted(self, attempt: Attempt, outcome: Outcome | None) -> Outcome | None:
        if isinstance(outcome, Identity):
            record = self._jar.record(attempt, outcome)
            if record is None:
                return outcome
            tenure: Tenure = self._jar.tenure(attempt, record)
            return msgspec.structs.replace(outcome, tenure=tenure)
        if isinstance(outcome, Question):

            async def answer(message: Authenticate) -> Any:
                identity = outcome.answer(message)
                return self._noted(attempt, await identity if inspect.isawaitable(identity) else identity)

            return Question(outcome.method, outcome.extra, answer)
        return outcome
