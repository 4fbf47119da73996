"""Keys that tokens are verified with: a secret, a public key, or a set of public keys that changes (RFC 7517).

A key belongs to the algorithms that it fits, by its kind, and to no other: a public key is never taken for the secret
of an HMAC, whatever a token says (RFC 8725, sections 2.1 and 3.1).
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from rocade.errors import ConfigurationError
from rocade.wamp.uris import shown

__all__ = [
    "ALGORITHMS",
    "HMAC_BYTES",
    "NEEDS_PYJWT",
    "FixedKey",
    "Key",
    "KeySet",
    "KeySource",
    "key_set_of_file",
    "key_set_of_url",
    "parsed_key_set",
    "public_key",
    "secret_key",
]

HMAC_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Algorithm -> the shortest secret: "A key of the same size as the hash output or larger MUST be used" (RFC 7518)."""

_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS = (*HMAC_BYTES, *_RSA, *_CURVES, "EdDSA")
"""Algorithms that tokens may be signed with. "none" is not one of them."""

MIN_RSA_BITS = 2048
MAX_KEYS = 100
"""Keys of a set."""

MAX_SET_BYTES = 512 * 1024
"""Size of a set."""

FETCH_SECONDS = 5.0
"""How long fetching a set may take."""

REFETCH_SECONDS = 10.0
"""How long to wait at least until a set is fetched again, whatever tokens say of its keys."""

NEEDS_PYJWT = 'logins with tokens need the package PyJWT; install it with: pip install "rocade[jwt]"'

logger = logging.getLogger("rocade.authentication")


class Key(Struct, frozen=True):
    """One key.

    Attributes:
        id: "kid" of the tokens that it verifies; None for any.
        algorithms: which it fits.
        material: what PyJWT takes: a public key of `cryptography`, or the bytes of a secret.
    """

    id: str | None
    algorithms: frozenset[str]
    material: Any

    def __repr__(self) -> str:
        return f"<Key {self.id!r} for {', '.join(sorted(self.algorithms))}>"


class KeySource(Protocol):
    """Where the keys are."""

    async def find(self, id: str | None, algorithm: str) -> list[Key]:
        """The keys that may have signed a token.

        Args:
            id: "kid" of its header, if it has one.
            algorithm: "alg" of its header, one that is allowed.
        """


class FixedKey:
    """One key for all tokens, whatever key they name."""

    def __init__(self, key: Key) -> None:
        """
        Args:
            key: the key.
        """
        self._key = key

    async def find(self, id: str | None, algorithm: str) -> list[Key]:
        """See `KeySource`."""
        return [self._key] if algorithm in self._key.algorithms else []


def secret_key(secret: str) -> Key:
    """A secret that both sides have.

    Raises:
        ValueError: it is no secret.
    """
    material = secret.encode()
    if "-----BEGIN " in secret or secret.startswith(("ssh-", "ecdsa-")):
        raise ValueError("is a key in PEM or SSH form, which is not secret enough for an HMAC; did you mean 'key'?")
    fitting = frozenset(name for name, size in HMAC_BYTES.items() if len(material) >= size)
    if not fitting:
        raise ValueError(f"must have at least {min(HMAC_BYTES.values())} bytes, not {len(material)}")
    return Key(None, fitting, material)


def public_key(pem: bytes) -> Key:
    """A public key, or that of a certificate, in PEM form.

    Raises:
        ValueError: it is none.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY-----" in pem:
        raise ValueError("is a private key; the router needs the public one only")
    try:
        if b"-----BEGIN CERTIFICATE-----" in pem:
            material: Any = x509.load_pem_x509_certificate(pem).public_key()
        else:
            material = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is no public key in PEM form") from None
    return Key(None, _fitting(material), material)


def _fitting(material: Any) -> frozenset[str]:
    """The algorithms that a public key is for.

    Raises:
        ValueError: there is none.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(material, RSAPublicKey):
        if material.key_size < MIN_RSA_BITS:
            raise ValueError(f"has {material.key_size} bits, where RSA needs at least {MIN_RSA_BITS}")
        return frozenset(_RSA)
    if isinstance(material, EllipticCurvePublicKey):
        fitting = frozenset(name for name, curve in _CURVES.items() if curve == material.curve.name)
        if fitting:
            return fitting
        raise ValueError(f"is on the curve {material.curve.name}, which no algorithm here uses")
    if isinstance(material, Ed25519PublicKey):
        return frozenset({"EdDSA"})
    raise ValueError("is of a kind that no algorithm here uses")


# Sets of keys


def parsed_key_set(data: bytes) -> list[Key]:
    """The keys of a JSON Web Key Set that can be used; others, which it may have for other purposes, are left out.

    Raises:
        ValueError: it is none, or has no key that can be used.
        ConfigurationError: PyJWT is not installed.
    """
    if len(data) > MAX_SET_BYTES:
        raise ValueError(f"has more than {MAX_SET_BYTES} bytes")
    try:
        described = json.loads(data)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("is no JSON Web Key Set") from None
    if not isinstance(described, list) or len(described) > MAX_KEYS:
        raise ValueError(f"is no JSON Web Key Set of at most {MAX_KEYS} keys")
    keys = [key for key in map(_set_member, described) if key is not None]
    if not keys:
        raise ValueError("has no public key for signatures")
    return keys


def _set_member(described: Any) -> Key | None:
    try:
        from jwt import PyJWK, PyJWTError
    except ImportError:
        raise ConfigurationError("", NEEDS_PYJWT) from None
    # Secrets ("oct") have no place among what is published, and a private key is none of our business.
    if not isinstance(described, dict) or described.get("kty") not in ("RSA", "EC", "OKP") or "d" in described:
        return None
    if described.get("use", "sig") != "sig" or "verify" not in (described.get("key_ops") or ["verify"]):
        return None
    id, algorithm = described.get("kid"), described.get("alg")
    if not isinstance(id, str | None) or (algorithm is not None and algorithm not in ALGORITHMS):
        return None
    try:
        material = PyJWK(described).key
        fitting = _fitting(material)
    except (PyJWTError, ValueError, TypeError, ArithmeticError):
        return None
    if algorithm is not None:
        fitting &= {algorithm}
    return Key(id, fitting, material) if fitting else None


class KeySet:
    """Keys that somebody publishes, and changes from time to time.

    They are fetched when they are first needed, when a token names one that is not among them, and when they are old;
    in a thread, by one fetch at a time, which all wait for who cannot go on without. When fetching fails, the keys that
    are there stay.
    """

    def __init__(self, read: Callable[[], bytes], name: str, max_age: float) -> None:
        """
        Args:
            read: fetches the set, and may block for `FETCH_SECONDS`; raises `OSError` or `ValueError`.
            name: where it is, for the log.
            max_age: seconds after which keys are fetched anew, as one may have been taken out.
        """
        self._read = read
        self._name = name
        self._max_age = max_age
        self._keys: list[Key] = []
        self._fetching: asyncio.Future[None] | None = None
        # On the monotonic clock: when a fetch was begun last, and when one was last successful.
        self._begun = self._fetched = float("-inf")
        self._is_failing = False

    async def find(self, id: str | None, algorithm: str) -> list[Key]:
        """See `KeySource`."""
        now = time.monotonic()
        if self._fetching is None and now - self._fetched > self._max_age and now - self._begun > REFETCH_SECONDS:
            self._fetch()
        found = self._look(id, algorithm)
        if found:
            return found
        if self._fetching is None and now - self._begun > REFETCH_SECONDS:
            self._fetch()
        if self._fetching is not None:
            await asyncio.shield(self._fetching)
        return self._look(id, algorithm)

    def _look(self, id: str | None, algorithm: str) -> list[Key]:
        return [key for key in self._keys if algorithm in key.algorithms and id in (None, key.id)]

    def _fetch(self) -> None:
        self._begun = time.monotonic()
        loop = asyncio.get_running_loop()
        fetching = self._fetching = loop.create_future()

        def done(outcome: list[Key] | str) -> None:
            self._fetching = None
            self._take(outcome)
            fetching.set_result(None)

        def work() -> None:
            try:
                outcome: list[Key] | str = parsed_key_set(self._read())
            except (OSError, ValueError) as error:
                outcome = str(error) or type(error).__name__
            except Exception as error:
                outcome = f"{type(error).__name__}: {error}"
            try:
                loop.call_soon_threadsafe(done, outcome)
            except RuntimeError:  # the loop is closed: nobody waits any more
                pass

        # A thread of its own, which nobody waits for when the router stops.
        threading.Thread(target=work, name="rocade-keys", daemon=True).start()

    def _take(self, outcome: list[Key] | str) -> None:
        if isinstance(outcome, str):
            kept = f"the {len(self._keys)} keys from before stay" if self._keys else "so nobody gets in by a token"
            logger.error("the keys at %s cannot be had: %s; %s", self._name, outcome, kept)
            self._is_failing = True
            return
        if self._is_failing or {key.id for key in outcome} != {key.id for key in self._keys}:
            names = ", ".join(shown(key.id) if key.id else "one without a name" for key in outcome)
            logger.info("keys for tokens from %s: %s", self._name, names[:500])
        self._is_failing = False
        self._keys = outcome
        self._fetched = time.monotonic()


def key_set_of_file(path: str, max_age: float) -> KeySet:
    """Keys in a file, which is read again when it may have changed."""
    return KeySet(Path(path).read_bytes, path, max_age)


def key_set_of_url(url: str, max_age: float) -> KeySet:
    """Keys that are published under a URL."""
    from rocade.serve.authentication.jwt_url import fetched  # here, because only those who use it shall pay for it

    parts = urlsplit(url)
    return KeySet(
        lambda: fetched(url, FETCH_SECONDS, MAX_SET_BYTES), f"{parts.scheme}://{parts.hostname}{parts.path}", max_age
    )
