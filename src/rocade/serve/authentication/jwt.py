"""JSON Web Tokens: somebody whom the router trusts has signed who the client is, and until when (RFC 7519, RFC 8725).

A client answers a CHALLENGE with its token, like a ticket; or the request that opened its connection has it. A token is
no proof that the client is the one that it was given to: whoever gets hold of it can use it until it expires.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qs

from msgspec import Struct
from msgspec.structs import replace

from rocade.errors import ApplicationError, AuthenticationFailed, ConfigurationError
from rocade.serve.authentication.asked import Asking
from rocade.serve.authentication.attempt import Attempt, Identity, Question
from rocade.serve.authentication.jwt_keys import NEEDS_PYJWT, KeySource
from rocade.serve.authentication.tenure import MAX_PROOF, Deadline
from rocade.wamp.messages import Authenticate
from rocade.wamp.uris import shown

__all__ = ["AskedOfClaims", "Claims", "ClaimsSay", "Jwt", "TokenRules", "Verifier", "claim"]

METHOD = "jwt"

MAX_CANDIDATES = 10
"""Keys that are tried on a token which does not name one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What a token must be like. `exp` is always required."""

    algorithms: tuple[str, ...]
    issuer: str | None = None
    audience: tuple[str, ...] = ()
    """One of these must be among its audience; without any, a token that is for some audience is refused."""
    leeway: float = 0.0
    """Seconds by which clocks may differ."""
    required: tuple[str, ...] = ()
    """Claims that it must have."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Claim -> value that it must have, or that must be in it if it is a list."""


class Claims(Struct, frozen=True):
    """What a token that is in order says.

    Attributes:
        all: claim -> value.
        until: when it expires, in seconds since 1970; the leeway is in it.
    """

    all: dict[str, Any]
    until: float


class Verifier:
    """Tells whether tokens are in order."""

    def __init__(self, rules: TokenRules, keys: KeySource) -> None:
        """
        Args:
            rules: what they must be like.
            keys: who may have signed them.
        Raises:
            ConfigurationError: PyJWT is not installed.
        """
        try:
            import jwt  # noqa: F401  missing is to be noticed at the start
        except ImportError:
            raise ConfigurationError("", NEEDS_PYJWT) from None
        self._rules = rules
        self._keys = keys

    async def claims(self, token: str) -> Claims:
        """What a token says.

        Raises:
            AuthenticationFailed: it is not in order.
        """
        import jwt

        if len(token) > MAX_PROOF:
            raise _refused(f"the token has more than {MAX_PROOF} characters")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise _refused("this is no token") from None
        algorithm, id = header.get("alg"), header.get("kid")
        if algorithm not in self._rules.algorithms:
            raise _refused(f"the token is signed by {shown(str(algorithm))}, which is not allowed")
        if "crit" in header:
            raise _refused("the token has extensions that must be understood")
        candidates = await self._keys.find(id, algorithm)
        if not candidates:
            raise _refused(f"there is no key {shown(str(id))} for {algorithm}")
        for key in candidates[:MAX_CANDIDATES]:
            try:
                return self._checked(self._decoded(token, key.material, algorithm))
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise _refused("the token has expired") from None
            except (jwt.PyJWTError, ValueError, RecursionError) as error:
                # Its words say what is wrong; some would quote the token.
                raise _refused(f"the token is not in order: {type(error).__name__}") from None
        raise _refused(f"the signature of the token is not that of {shown(str(id))}")

    def _decoded(self, token: str, material: Any, algorithm: str) -> dict[str, Any]:
        import jwt

        rules = self._rules
        decoded: dict[str, Any] = jwt.decode(
            token,
            material,
            algorithms=[algorithm],
            audience=rules.audience or None,
            issuer=rules.issuer,
            leeway=rules.leeway,
            options={"require": ["exp", *rules.required]},
        )
        return decoded

    def _checked(self, claims: dict[str, Any]) -> Claims:
        for name, wanted in self._rules.values.items():
            found = claim(claims, name)
            if not _same(found, wanted) and not (isinstance(found, list) and any(_same(one, wanted) for one in found)):
                raise _refused(f"the claim {shown(name)} of the token is not what it must be")
        expires = claims["exp"]
        if isinstance(expires, bool) or not isinstance(expires, int | float) or not math.isfinite(expires):
            raise _refused("the token expires at no time")
        return Claims(claims, expires + self._rules.leeway)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim, or None.

    Args:
        claims: all of a token.
        name: its name, or, beginning with "/", a JSON Pointer to it (RFC 6901).
    """
    if not name.startswith("/"):
        return claims.get(name)
    found: Any = claims
    for part in name[1:].split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


class Judge(Protocol):
    """Says who a client is whose token is in order."""

    async def identity(self, attempt: Attempt, claims: dict[str, Any]) -> Identity:
        """Who it is.

        Raises:
            AuthenticationFailed: it does not get in all the same.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsSay:
    """The claims themselves say it."""

    authid: str = "sub"
    """The claim with the authid."""
    role: str | None = None
    """The claim with the role, or a list of them; None for `default_role`."""
    roles: Mapping[str, str] | None = None
    """Value of that claim -> role; of several, the first one here counts. None: the value is the role."""
    default_role: str | None = None
    """The role of those for whom the claim says none."""
    realm: str | None = None
    """The claim with the realm, or the realms, that the client may join; None for any."""
    extra: tuple[str, ...] = ()
    """Claims that the client finds in `authextra`."""

    async def identity(self, attempt: Attempt, claims: dict[str, Any]) -> Identity:
        """See `Judge`."""
        authid = claimed_authid(attempt, claims, self.authid)
        if authid is None:
            raise _refused(f"the token has no text in the claim {shown(self.authid)}")
        role = self._role(claims)
        if role is None:
            raise _refused(f"{shown(authid)} has no role by the claim {shown(str(self.role))}")
        self._check_realm(attempt.hello.realm, claims, authid)
        extra = {name: claim(claims, name) for name in self.extra if claim(claims, name) is not None}
        return Identity(authid=authid, authrole=role, authmethod=METHOD, authextra=extra or None)

    def _role(self, claims: dict[str, Any]) -> str | None:
        said = None if self.role is None else claim(claims, self.role)
        names = [name for name in (said if isinstance(said, list) else [said]) if isinstance(name, str) and name]
        if self.roles is not None:
            return next((role for name, role in self.roles.items() if name in names), self.default_role)
        if len(names) > 1:
            raise _refused("the token has several roles, and 'roles' does not say which one counts")
        return names[0] if names else self.default_role

    def _check_realm(self, realm: str, claims: dict[str, Any], authid: str) -> None:
        if self.realm is None:
            return
        said = claim(claims, self.realm)
        if realm not in (said if isinstance(said, list) else [said]):
            raise _refused(f"{shown(authid)} does not belong to {shown(realm)} by the claim {shown(self.realm)}")


@dataclass(frozen=True, slots=True)
class AskedOfClaims:
    """A procedure or a function says it: the detail "claims" has the claims."""

    asking: Asking
    authid: str = "sub"
    """The claim with the authid, where the answer has none."""

    async def identity(self, attempt: Attempt, claims: dict[str, Any]) -> Identity:
        """See `Judge`."""
        authid = claimed_authid(attempt, claims, self.authid)
        said = await self.asking.ask(attempt, METHOD, claims=claims)
        if said.authid is None and authid is None:
            raise self.asking.out_of_order("answered without an authid, and the token has none")
        return said.identity(authid or "", METHOD, self.asking.provider)


def claimed_authid(attempt: Attempt, claims: dict[str, Any], name: str) -> str | None:
    """The authid that a token has, which must be the one of HELLO if there is one.

    Raises:
        AuthenticationFailed: it is another.
    """
    found = claim(claims, name)
    authid = found if isinstance(found, str) and found else None
    wanted = attempt.hello.details.authid
    if wanted is not None and authid is not None and wanted != authid:
        raise _refused(f"the token is that of {shown(authid)}, not of {shown(wanted)}")
    return authid


class Jwt:
    """Lets clients in that have a token."""

    def __init__(self, verifier: Verifier, judge: Judge, *, header: bool = False, query: str | None = None) -> None:
        """
        Args:
            verifier: tells whether tokens are in order.
            judge: says whose they are.
            header: whether `Authorization: Bearer …` of the request that opened the connection counts.
            query: name of a parameter in the URL of that request which counts.
        """
        self._verifier = verifier
        self._judge = judge
        self._header = header
        self._query = query

    async def begin(self, attempt: Attempt) -> Identity | Question:
        """Who the client is, if its connection came with a token; otherwise ask for one."""
        token = self._token_of_request(attempt)
        if token is not None:
            return await self._identity(attempt, token)

        async def answer(message: Authenticate) -> Identity:
            return await self._identity(attempt, message.signature)

        return Question(METHOD, {}, answer)

    def _token_of_request(self, attempt: Attempt) -> str | None:
        info = attempt.info
        if self._header:
            scheme, _, token = info.headers.get("authorization", "").partition(" ")
            if scheme.lower() == "bearer":
                return token.strip()
        if self._query is not None and info.query:
            try:
                values = parse_qs(info.query, max_num_fields=100).get(self._query, [])
            except ValueError:
                return None
            return values[0] if len(values) == 1 else None
        return None

    async def _identity(self, attempt: Attempt, token: str) -> Identity:
        claims = await self._verifier.claims(token)
        identity = await self._judge.identity(attempt, claims.all)
        deadline = Deadline(claims.until, self._renewal(attempt, identity))
        return replace(identity, tenure=deadline)

    def _renewal(self, attempt: Attempt, before: Identity) -> Callable[[str], Awaitable[float]]:
        """What checks another token of the same client, and says until when it is good."""

        async def renew(token: str) -> float:
            try:
                claims = await self._verifier.claims(token)
                identity = await self._judge.identity(attempt, claims.all)
            except AuthenticationFailed as failure:
                raise ApplicationError(failure.uri, str(failure)) from failure
            who = (identity.authid, identity.authrole, identity.realm)
            if who != (before.authid, before.authrole, before.realm):
                raise ApplicationError(
                    "wamp.error.authentication_failed", "the token is another client's, or for another role or realm"
                )
            if claims.until <= time.time():
                raise ApplicationError("wamp.error.authentication_failed", "authentication failed")
            return claims.until

        return renew


def _refused(reason: str) -> AuthenticationFailed:
    # It does not count as a failed login: signatures cannot be guessed by trying. But clients that are left to
    # themselves come again and again with a token that has expired, and would lock out others at the same address.
    return AuthenticationFailed(f"{METHOD}: {reason}", counts=False)
