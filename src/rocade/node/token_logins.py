"""Logins with tokens: what their settings must fulfil beyond their types, and what is built of them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from rocade.errors import ConfigurationError
from rocade.net.addresses import is_loopback
from rocade.node.authentication import JwtAuth
from rocade.node.configuration_file import joined
from rocade.node.tokens import TokenSettings
from rocade.serve.authentication.asked import Asking
from rocade.serve.authentication.jwt import AskedOfClaims, ClaimsSay, Jwt, TokenRules, Verifier
from rocade.serve.authentication.jwt_keys import (
    HMAC_BYTES,
    FixedKey,
    Key,
    KeySource,
    key_set_of_file,
    key_set_of_url,
    parsed_key_set,
    public_key,
    secret_key,
)

__all__ = ["asked_jwt", "check_tokens", "source_of_keys", "static_jwt"]

T = TypeVar("T")

_SOURCES = {"secret": "secret", "key": "key", "key_file": "key-file", "jwks_file": "jwks-file", "jwks_url": "jwks-url"}


def check_tokens(settings: TokenSettings, path: str) -> None:
    """Refuse settings by which no token could be good, or any.

    Args:
        settings: which tokens are good.
        path: where that stands.
    Raises:
        ConfigurationError: the first rule that is broken.
    """
    _check_source(settings, path)
    try:
        _verifier(settings, path)
    except ConfigurationError as error:
        raise ConfigurationError(error.path or path, error.message) from None
    if isinstance(settings, JwtAuth):
        _check_roles(settings, path)


def _check_source(settings: TokenSettings, path: str) -> None:
    given = [key for name, key in _SOURCES.items() if getattr(settings, name) is not None]
    if len(given) != 1:
        raise ConfigurationError(path, f"needs exactly one of {', '.join(map(repr, _SOURCES.values()))}")
    secret = [name for name in settings.algorithms if name in HMAC_BYTES]
    if secret and len(secret) < len(settings.algorithms):
        text = "mixes algorithms with a secret (HS…) and with public keys: whoever knows a public key could sign"
        raise ConfigurationError(f"{path}.algorithms", text)
    if secret and given != ["secret"]:
        raise ConfigurationError(f"{path}.algorithms", f"{secret[0]} needs a 'secret', not {given[0]!r}")
    if not secret and given == ["secret"]:
        raise ConfigurationError(f"{path}.secret", f"{settings.algorithms[0]} needs a public key, not a secret")
    if settings.jwks_url is not None and not _is_safe(settings.jwks_url):
        text = f"{settings.jwks_url!r} is no URL with https (or, on this machine, http)"
        raise ConfigurationError(joined(path, "jwks-url"), text)


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            return bool(host)
        return parts.scheme == "http" and is_loopback(host)
    except ValueError:
        return False


def _check_roles(settings: JwtAuth, path: str) -> None:
    if settings.role_claim is None and settings.default_role is None:
        raise ConfigurationError(path, "needs 'role-claim' or 'default-role', or nobody would have a role")
    if settings.role_claim is None and settings.roles is not None:
        raise ConfigurationError(joined(path, "role-claim"), "is required for 'roles'")


def source_of_keys(settings: TokenSettings) -> str:
    """Where the keys are, in words without secrets."""
    if settings.secret is not None:
        return "signed with a secret"
    if settings.key is not None:
        return "signed with a key of this file"
    return f"signed with a key in {settings.key_file or settings.jwks_file or settings.jwks_url}"


def static_jwt(settings: JwtAuth, path: str) -> Jwt:
    """Tokens that say who clients are.

    Args:
        settings: checked.
        path: where they stand.
    """
    judge = ClaimsSay(
        authid=settings.authid_claim,
        role=settings.role_claim,
        roles=settings.roles,
        default_role=settings.default_role,
        realm=settings.realm_claim,
        extra=settings.extra_claims,
    )
    return Jwt(_verifier(settings, path), judge, header=settings.header, query=settings.query)


def asked_jwt(settings: TokenSettings, path: str, asking: Asking) -> Jwt:
    """Tokens of which somebody else says whose they are."""
    judge = AskedOfClaims(asking, settings.authid_claim)
    return Jwt(_verifier(settings, path), judge, header=settings.header, query=settings.query)


def _verifier(settings: TokenSettings, path: str) -> Verifier:
    rules = TokenRules(
        algorithms=settings.algorithms,
        issuer=settings.issuer,
        audience=settings.audiences,
        leeway=settings.leeway,
        required=settings.required,
        values=settings.claims,
    )
    return Verifier(rules, _keys(settings, path))


def _keys(settings: TokenSettings, path: str) -> KeySource:
    max_age = settings.jwks_max_age
    if settings.jwks_url is not None:
        return key_set_of_url(settings.jwks_url, max_age)
    if settings.jwks_file is not None:
        at = joined(path, "jwks-file")
        data = _read(settings.jwks_file, at)
        try:
            parsed_key_set(data)
        except ValueError as error:
            raise ConfigurationError(at, f"{settings.jwks_file!r} {error}") from None
        return key_set_of_file(settings.jwks_file, max_age)
    try:
        if settings.secret is not None:
            at = f"{path}.secret"
            key = secret_key(settings.secret)
        elif settings.key is not None:
            at = f"{path}.key"
            key = public_key(settings.key.encode())
        else:
            at = joined(path, "key-file")
            key = public_key(_read(settings.key_file or "", at))
    except ValueError as error:
        raise ConfigurationError(at, str(error)) from None
    _check_fit(key, settings, at)
    return FixedKey(key)


def _check_fit(key: Key, settings: TokenSettings, path: str) -> None:
    for algorithm in settings.algorithms:
        if algorithm not in key.algorithms:
            size = HMAC_BYTES.get(algorithm)
            fitting = ", ".join(sorted(key.algorithms))
            text = f"needs at least {size} bytes for {algorithm}" if size else f"is for {fitting}, not for {algorithm}"
            raise ConfigurationError(path, text)


def _read(file: str, path: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(path, f"{file!r} cannot be read: {error.strerror or error}") from None
