"""Authenticators as the configuration describes them, and what such a description must fulfil beyond its types."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import msgspec

from rocade.errors import ConfigurationError
from rocade.node.authentication import (
    AnonymousAuth,
    Auth,
    CookieAuth,
    Credentials,
    CryptosignAuth,
    CryptosignPrincipal,
    DynamicAuth,
    DynamicJwtAuth,
    FunctionAuth,
    FunctionJwtAuth,
    JwtAuth,
    ScramAuth,
    ScramPrincipal,
    TicketAuth,
    TicketPrincipal,
    TlsAuth,
    TlsPrincipal,
    WampCraAuth,
    WampCraUser,
)
from rocade.node.configuration_file import joined
from rocade.node.functions import named
from rocade.node.token_logins import asked_jwt, check_tokens, static_jwt
from rocade.node.tokens import TokenSettings
from rocade.serve.authentication import Anonymous, Authenticator
from rocade.serve.authentication.asked import Ask, Asked, AskedAtOnce, AskedTicket, Asking, function, procedure
from rocade.serve.authentication.cookies import REMEMBERED, CookieJar, CookieLogin, Remembering, Stamp
from rocade.serve.authentication.cryptosign import (
    Cryptosign,
    Keys,
    KnownKeys,
    disguised_keys,
    is_public_key,
    told_keys,
)
from rocade.serve.authentication.hashes import is_hash
from rocade.serve.authentication.principals import Decoys, Known, Principal
from rocade.serve.authentication.scram import METHODS as SCRAM
from rocade.serve.authentication.scram import Scram, ScramProof, disguised_scram, told_scram
from rocade.serve.authentication.ticket import Ticket, TicketProof, disguised_ticket
from rocade.serve.authentication.tls import CertificateProof, TlsCertificate
from rocade.serve.authentication.wampcra import WampCra, WampCraProof, disguised_wampcra, told_wampcra, wampcra_proof
from rocade.serve.internal import InternalCalls
from rocade.wamp.uris import is_uri

__all__ = ["authenticators", "check_logins", "stamp"]

T = TypeVar("T")
Realms = Mapping[str, Collection[str]]
"""Realm -> names of its roles."""


# What is checked


def check_logins(auth: Auth, path: str, realms: Realms) -> None:
    """Refuse logins that cannot work.

    Args:
        auth: how clients may log in.
        path: where that stands.
        realms: realm -> names of its roles.
    Raises:
        ConfigurationError: the first rule that is broken.
    """
    if not auth.methods:
        raise ConfigurationError(
            path, "names no way to log in, so nobody could; leave 'auth' out for anonymous clients"
        )
    for method, settings in auth.methods.items():
        at = joined(path, method)
        if isinstance(settings, CookieAuth):
            _check_cookie(settings, at, realms)
            if not REMEMBERED & auth.methods.keys():
                methods = ", ".join(sorted(REMEMBERED - {SCRAM[1]}))
                raise ConfigurationError(at, f"remembers logins by {methods}, and there is none of them here")
            continue
        if isinstance(settings, DynamicAuth | DynamicJwtAuth):
            _check_dynamic(settings, at, realms)
        elif isinstance(settings, FunctionAuth | FunctionJwtAuth):
            named(settings.create, f"{at}.create")
        if isinstance(settings, AnonymousAuth):
            _check_role(settings.role, f"{at}.role", realms)
        elif settings.default_role is not None:
            _check_role(settings.default_role, joined(at, "default-role"), realms)
        if isinstance(settings, TokenSettings):
            check_tokens(settings, at)
        if isinstance(settings, JwtAuth):
            for value, role in (settings.roles or {}).items():
                _check_role(role, joined(f"{at}.roles", value), realms)
        check = _CHECKS.get(type(settings))
        if check is not None:
            check(settings, at, realms)


def _check_role(role: str, path: str, realms: Realms) -> None:
    roles = {name for names in realms.values() for name in names}
    if role not in roles:
        known = f"defined are {', '.join(map(repr, sorted(roles)))}" if roles else "none is defined"
        raise ConfigurationError(path, f"no realm defines the role {role!r} ({known})")


def _check_dynamic(settings: DynamicAuth | DynamicJwtAuth, path: str, realms: Realms) -> None:
    if not is_uri(settings.authenticator):
        raise ConfigurationError(f"{path}.authenticator", f"{settings.authenticator!r} is no URI")
    realm = settings.authenticator_realm
    if realm is not None and realm not in realms:
        raise ConfigurationError(joined(path, "authenticator-realm"), f"there is no realm {realm!r}")


def _check_cookie(settings: CookieAuth, path: str, realms: Realms) -> None:
    asked = settings.asked
    for key, type in (("authenticator", "dynamic"), ("create", "function")):
        if (getattr(settings, key) is not None) != (settings.type == type):
            text = "is required" if settings.type == type else "has no effect"
            raise ConfigurationError(f"{path}.{key}", f"{text} with the type {settings.type!r}")
    if isinstance(asked, DynamicAuth):
        _check_dynamic(asked, path, realms)
    elif isinstance(asked, FunctionAuth):
        named(asked.create, f"{path}.create")


def _check_principals(
    principals: Mapping[str, Credentials], path: str, default_role: str | None, realms: Realms
) -> None:
    if not principals:
        raise ConfigurationError(path, "must not be empty, or nobody could log in")
    for authid, principal in principals.items():
        at = joined(path, authid)
        if not authid:
            raise ConfigurationError(at, "an authid must not be empty")
        if principal.role is not None:
            _check_role(principal.role, f"{at}.role", realms)
        elif default_role is None:
            raise ConfigurationError(f"{at}.role", "is required, as there is no 'default-role'")


def _check_ticket(settings: TicketAuth, path: str, realms: Realms) -> None:
    path = f"{path}.principals"
    _check_principals(settings.principals, path, settings.default_role, realms)
    for authid, principal in settings.principals.items():
        at = joined(path, authid)
        if (principal.ticket is None) == (principal.ticket_hash is None):
            raise ConfigurationError(at, "needs either 'ticket' or 'ticket-hash'")
        if principal.ticket_hash is not None:
            at = joined(at, "ticket-hash")
            try:
                is_one = is_hash(principal.ticket_hash)
            except ConfigurationError as error:
                raise ConfigurationError(at, error.message) from None
            if not is_one:
                raise ConfigurationError(at, "is no hash as 'rocade hash ticket' makes them")


def _check_wampcra(settings: WampCraAuth, path: str, realms: Realms) -> None:
    if (settings.users is None) == (settings.principals is None):
        raise ConfigurationError(path, "needs 'users' (or 'principals', which is the same, but not both)")
    path = f"{path}.users" if settings.users is not None else f"{path}.principals"
    users = _users(settings)
    _check_principals(users, path, settings.default_role, realms)
    for authid, user in users.items():
        at = joined(path, authid)
        if (user.secret is None) == (user.derived_key is None):
            raise ConfigurationError(at, "needs either 'secret' or 'derived-key'")
        if user.salt is None and (user.derived_key or user.iterations or user.keylen):
            raise ConfigurationError(f"{at}.salt", "is required where a key is derived")
        if user.derived_key is not None:
            try:
                base64.b64decode(user.derived_key, validate=True)
            except binascii.Error:
                raise ConfigurationError(joined(at, "derived-key"), "is no base64") from None


def _check_cryptosign(settings: CryptosignAuth, path: str, realms: Realms) -> None:
    path = f"{path}.principals"
    _check_principals(settings.principals, path, settings.default_role, realms)
    for authid, principal in settings.principals.items():
        at = joined(path, authid)
        for index, key in enumerate(principal.authorized_keys):
            if not is_public_key(key):
                raise ConfigurationError(f"{at}.authorized_keys[{index}]", "is no public key: 64 hexadecimal digits")
        if principal.realm is not None and principal.realm not in realms:
            raise ConfigurationError(f"{at}.realm", f"there is no realm {principal.realm!r}")


def _check_scram(settings: ScramAuth, path: str, realms: Realms) -> None:
    path = f"{path}.principals"
    _check_principals(settings.principals, path, settings.default_role, realms)
    for authid, principal in settings.principals.items():
        at = joined(path, authid)
        if principal.kdf != "pbkdf2" and (principal.memory or 0) < 8:
            raise ConfigurationError(f"{at}.memory", "Argon2 needs at least 8 KiB")
        for key, text, lengths in (
            ("salt", principal.salt, range(8, 65)),
            ("stored-key", principal.stored_key, range(32, 33)),
            ("server-key", principal.server_key, range(32, 33)),
        ):
            if re.fullmatch("[0-9a-fA-F]*", text) is None or len(text) % 2 or len(text) // 2 not in lengths:
                size = " to ".join(str(2 * length) for length in sorted({lengths[0], lengths[-1]}))
                raise ConfigurationError(joined(at, key), f"must be {size} hexadecimal digits")


def _check_tls(settings: TlsAuth, path: str, realms: Realms) -> None:
    path = f"{path}.principals"
    _check_principals(settings.principals, path, settings.default_role, realms)
    for authid, principal in settings.principals.items():
        at = joined(path, authid)
        if principal.certificate_sha256 is None and not principal.subject:
            raise ConfigurationError(at, "needs 'certificate-sha256' or 'subject'")
        if principal.certificate_sha256 is not None and not is_public_key(_digits(principal.certificate_sha256)):
            raise ConfigurationError(joined(at, "certificate-sha256"), "is no fingerprint: 64 hexadecimal digits")


_CHECKS: dict[type, Callable[[Any, str, Realms], None]] = {
    TicketAuth: _check_ticket,
    WampCraAuth: _check_wampcra,
    CryptosignAuth: _check_cryptosign,
    ScramAuth: _check_scram,
    TlsAuth: _check_tls,
}


# What is built


def authenticators(
    auth: Auth | None, path: str, calls: InternalCalls, jar: CookieJar | None = None
) -> dict[str, Authenticator]:
    """Authentication method -> authenticator.

    Args:
        auth: checked settings; None for anonymous clients in the role "anonymous".
        path: where they stand.
        calls: how authenticators of type "dynamic" are called.
        jar: the cookies of the service; required for the method "cookie".
    Raises:
        ConfigurationError: a Python function cannot be had.
    """
    if auth is None:
        return {"anonymous": Anonymous("anonymous")}
    found: dict[str, Authenticator] = {}
    for method, settings in auth.methods.items():
        at = joined(path, method)
        if isinstance(settings, DynamicJwtAuth | FunctionJwtAuth):
            found[method] = asked_jwt(settings, at, _asking(settings, at, calls))
        elif isinstance(settings, DynamicAuth | FunctionAuth):
            found[method] = _ASKED[method](_asking(settings, at, calls))
        elif isinstance(settings, JwtAuth):
            found[method] = static_jwt(settings, at)
        elif isinstance(settings, CookieAuth):
            assert jar is not None
            found[method] = CookieLogin(jar, _asking(settings.asked, at, calls) if settings.asked else None)
        else:
            found[method] = _BUILD[type(settings)](settings)
    scram = found.get(SCRAM[0])
    if isinstance(scram, Scram):
        found[SCRAM[1]] = scram.called(SCRAM[1])
    if auth.cookie is not None and jar is not None:
        for method in REMEMBERED & found.keys():
            found[method] = Remembering(found[method], jar)
    return found


def stamp(auth: Auth) -> Stamp:
    """What is known of a client: when that changes, its cookies are good no more.

    Args:
        auth: checked settings.
    """

    def stamp(method: str, authid: str) -> bytes | None:
        settings = auth.methods.get(SCRAM[0] if method == SCRAM[1] else method)
        if not isinstance(settings, TicketAuth | WampCraAuth | ScramAuth | CryptosignAuth):
            return None if settings is None else msgspec.json.encode(settings)
        principals: Mapping[str, Credentials]
        principals = _users(settings) if isinstance(settings, WampCraAuth) else settings.principals
        principal = principals.get(authid)
        return None if principal is None else msgspec.json.encode([settings.default_role, principal])

    return stamp


def _asking(
    settings: DynamicAuth | DynamicJwtAuth | FunctionAuth | FunctionJwtAuth, path: str, calls: InternalCalls
) -> Asking:
    ask: Ask
    if isinstance(settings, DynamicAuth | DynamicJwtAuth):
        ask = procedure(calls, settings.authenticator, settings.authenticator_realm)
        return Asking(ask, "dynamic", settings.authenticator, settings.default_role)
    ask = function(named(settings.create, f"{path}.create"), settings.config)
    return Asking(ask, "function", settings.create, settings.default_role)


def _known(
    principals: Mapping[str, Credentials],
    default_role: str | None,
    proof: Callable[[Any], T],
    disguise: Callable[[T, bytes], T],
) -> Known[T]:
    # All that strangers do not know of these clients, their secrets, makes the key of what they see of others.
    key = hashlib.sha256(msgspec.json.encode(principals)).digest()
    return Known(_principals(principals, default_role, proof), disguise, key)


def _principals(
    principals: Mapping[str, Credentials], default_role: str | None, proof: Callable[[Any], T]
) -> dict[str, Principal[T]]:
    return {
        authid: Principal(
            authid=authid,
            role=principal.role or default_role or "",
            proof=proof(principal),
            realm=getattr(principal, "realm", None),
        )
        for authid, principal in principals.items()
    }


def _anonymous(settings: AnonymousAuth) -> Authenticator:
    return Anonymous(settings.role)


def _ticket(settings: TicketAuth) -> Authenticator:
    def proof(principal: TicketPrincipal) -> TicketProof:
        return TicketProof(principal.ticket or principal.ticket_hash or "", principal.ticket is None)

    return Ticket(_known(settings.principals, settings.default_role, proof, disguised_ticket))


def _users(settings: WampCraAuth) -> dict[str, WampCraUser]:
    return settings.users or settings.principals or {}


def _wampcra(settings: WampCraAuth) -> Authenticator:
    def proof(user: WampCraUser) -> WampCraProof:
        return wampcra_proof(user.secret, user.derived_key, user.salt, user.iterations, user.keylen)

    return WampCra(_known(_users(settings), settings.default_role, proof, disguised_wampcra))


def _cryptosign(settings: CryptosignAuth) -> Authenticator:
    def proof(principal: CryptosignPrincipal) -> Keys:
        return frozenset(map(bytes.fromhex, principal.authorized_keys))

    return Cryptosign(KnownKeys(_principals(settings.principals, settings.default_role, proof)))


def _scram(settings: ScramAuth) -> Scram:
    def proof(principal: ScramPrincipal) -> ScramProof:
        return ScramProof(
            principal.kdf,
            bytes.fromhex(principal.salt),
            principal.iterations,
            principal.memory,
            bytes.fromhex(principal.stored_key),
            bytes.fromhex(principal.server_key),
        )

    return Scram(_known(settings.principals, settings.default_role, proof, disguised_scram), SCRAM[0])


def _digits(fingerprint: str) -> str:
    return fingerprint.replace(":", "").lower()


def _tls(settings: TlsAuth) -> Authenticator:
    def proof(principal: TlsPrincipal) -> CertificateProof:
        fingerprint = principal.certificate_sha256
        fingerprints = frozenset[str]() if fingerprint is None else frozenset({_digits(fingerprint)})
        return CertificateProof(fingerprints, principal.subject)

    return TlsCertificate(list(_principals(settings.principals, settings.default_role, proof).values()))


_BUILD: dict[type, Callable[[Any], Authenticator]] = {
    AnonymousAuth: _anonymous,
    TicketAuth: _ticket,
    WampCraAuth: _wampcra,
    CryptosignAuth: _cryptosign,
    ScramAuth: _scram,
    TlsAuth: _tls,
}

_ASKED: dict[str, Callable[[Asking], Authenticator]] = {
    "anonymous": lambda asking: AskedAtOnce(asking, "anonymous"),
    "ticket": AskedTicket,
    "wampcra": lambda asking: WampCra(
        Asked(asking, "wampcra", told_wampcra, Decoys(disguised_wampcra), WampCraProof(b""))
    ),
    "cryptosign": lambda asking: Cryptosign(
        Asked(asking, "cryptosign", told_keys, Decoys(disguised_keys), frozenset[bytes]())
    ),
    "scram": lambda asking: Scram(
        Asked(
            asking,
            "scram",
            told_scram,
            Decoys(disguised_scram),
            ScramProof("argon2id-13", bytes(16), 2, 19456, bytes(32), bytes(32)),
        ),
        SCRAM[0],
    ),
    "tls": lambda asking: AskedAtOnce(asking, "tls", needs_certificate=True),
}
