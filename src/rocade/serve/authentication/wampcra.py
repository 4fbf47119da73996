"""WAMP-CRA: the client signs a challenge with a secret that both know (advanced/authentication_cra.md)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rocade.serve.authentication.attempt import Attempt, Identity, Question
from rocade.serve.authentication.principals import Principal, Principals, let_in
from rocade.wamp.messages import Authenticate

__all__ = [
    "Salt",
    "WampCra",
    "WampCraProof",
    "derived_key",
    "disguised_wampcra",
    "told_wampcra",
    "wampcra_proof",
]

METHOD = "wampcra"


@dataclass(frozen=True, slots=True)
class Salt:
    """How the key comes of a password."""

    salt: str
    iterations: int
    keylen: int


@dataclass(frozen=True, slots=True)
class WampCraProof:
    """What signatures are made with."""

    key: bytes = field(repr=False)
    """The secret, or what comes of it by `derived_key`."""
    salt: Salt | None = None
    """How the client gets from its password to the key; None if its password is the key."""


def derived_key(password: str, salt: Salt) -> bytes:
    """The key that comes of a password: PBKDF2 with SHA-256, in base64, as clients compute it."""
    raw = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.salt.encode(), salt.iterations, salt.keylen)
    return base64.b64encode(raw)


def wampcra_proof(
    secret: str | None, key: str | None, salt: str | None, iterations: int | None, keylen: int | None
) -> WampCraProof:
    """What signatures are made with. Deriving a key takes its time.

    Args:
        secret: the secret; with a salt, the password.
        key: the key that has been derived from it already, instead.
        salt: what the key is derived with; None if the secret is the key.
        iterations, keylen: how it is derived; None for what WAMP-CRA says where it says nothing.
    """
    if salt is None:
        return WampCraProof((secret or "").encode())
    how = Salt(salt, iterations or 1000, keylen or 32)
    return WampCraProof(key.encode() if key is not None else derived_key(secret or "", how), how)


def told_wampcra(answer: dict[str, Any]) -> WampCraProof:
    """The same of an authenticator's answer.

    Raises:
        ValueError: it has none.
    """
    try:
        told = msgspec.convert(answer, _Told)
    except msgspec.ValidationError as error:
        raise ValueError(f"something wrong: {error}") from None
    if (told.secret is None) == (told.derived_key is None) or (told.salt is None and told.derived_key is not None):
        raise ValueError("neither 'secret' nor 'derived-key' with its 'salt'")
    return wampcra_proof(told.secret, told.derived_key, told.salt, told.iterations, told.keylen)


class _Told(msgspec.Struct):
    secret: Annotated[str, Meta(min_length=1)] | None = None
    derived_key: Annotated[str, Meta(min_length=1)] | None = msgspec.field(name="derived-key", default=None)
    salt: Annotated[str, Meta(min_length=1)] | None = None
    iterations: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    keylen: Annotated[int, Meta(ge=16, le=64)] | None = None


def disguised_wampcra(proof: WampCraProof, seed: bytes) -> WampCraProof:
    """The proof of a decoy (see `Decoys`): a salt that looks the same, and a key that nobody has."""
    if proof.salt is None:
        return WampCraProof(seed)
    return WampCraProof(seed, Salt(_alike(proof.salt.salt, seed[32:]), proof.salt.iterations, proof.salt.keylen))


class WampCra:
    """Makes challenges and checks their signatures."""

    def __init__(self, principals: Principals[WampCraProof]) -> None:
        """
        Args:
            principals: whom it knows.
        """
        self._principals = principals

    async def begin(self, attempt: Attempt) -> Question | None:
        """Challenge whoever the client claims to be; None if it does not say who it is."""
        if attempt.hello.details.authid is None:
            return None
        principal = await self._principals.find(attempt)
        challenge = _challenge(principal, attempt.session)
        expected = base64.b64encode(hmac.digest(principal.proof.key, challenge.encode(), "sha256"))

        def answer(message: Authenticate) -> Identity:
            is_proved = hmac.compare_digest(expected, message.signature.encode("utf-8", "surrogatepass"))
            return let_in(principal, METHOD, attempt, is_proved=is_proved)

        extra: dict[str, Any] = {"challenge": challenge}
        salt = principal.proof.salt
        if salt is not None:
            extra |= {"salt": salt.salt, "iterations": salt.iterations, "keylen": salt.keylen}
        return Question(METHOD, extra, answer)


def _challenge(principal: Principal[WampCraProof], session: int) -> str:
    """What the client is to sign: "a JSON serialized object which MUST contain" these seven."""
    now = datetime.now(UTC)
    return json.dumps(
        {
            "nonce": secrets.token_urlsafe(24),
            "authprovider": principal.provider,
            "authid": principal.authid,
            "authrole": principal.role,
            "authmethod": METHOD,
            "session": session,
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z",
        }
    )


def _alike(salt: str, seed: bytes) -> str:
    """Another salt, of the same length and the same kind of text."""
    try:
        decoded = base64.b64decode(salt, validate=True)
    except ValueError:
        decoded = b""
    if decoded and base64.b64encode(decoded).decode() == salt and set(salt) - set(_HEX):
        return base64.b64encode(hashlib.shake_256(seed).digest(len(decoded))).decode()
    kinds = (_HEX,) if set(salt) <= set(_HEX) else (string.digits, string.ascii_lowercase, string.ascii_uppercase)
    letters = "".join(kind for kind in kinds if set(kind) & set(salt))
    stream = hashlib.shake_256(seed).digest(len(salt))
    return "".join(
        letters[byte % len(letters)] if character in letters else character
        for character, byte in zip(salt, stream, strict=True)
    )


_HEX = "0123456789abcdef"
