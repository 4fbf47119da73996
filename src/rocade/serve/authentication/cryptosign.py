"""Cryptosign: the client signs a challenge with a private key that only it has (advanced/authentication_cryptosign.md).

Keys are those of Ed25519 (RFC 8032). On TLS up to 1.2 the signature can be bound to the connection, so that nobody in
between can pass it on.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rocade.errors import AuthenticationFailed
from rocade.serve.authentication.attempt import Attempt, Identity, Question
from rocade.serve.authentication.channel import channel_data
from rocade.serve.authentication.principals import Decoys, Principal, Principals, let_in
from rocade.wamp.crypto import signed_message
from rocade.wamp.messages import Authenticate
from rocade.wamp.uris import shown

__all__ = ["Cryptosign", "Keys", "KnownKeys", "disguised_keys", "is_public_key", "told_keys"]

METHOD = "cryptosign"

Keys = frozenset[bytes]
"""Public keys of one client, 32 bytes each."""


def is_public_key(text: Any) -> bool:
    """Whether this is a public key as people write it: 64 hexadecimal digits."""
    return isinstance(text, str) and len(text) == 64 and all(digit in "0123456789abcdefABCDEF" for digit in text)


def disguised_keys(keys: Keys, seed: bytes) -> Keys:
    """The keys of a decoy (see `Decoys`): none. Nobody gets to see them."""
    return frozenset()


def told_keys(answer: dict[str, Any]) -> Keys:
    """The keys in an authenticator's answer.

    Raises:
        ValueError: it has none.
    """
    keys = answer.get("authorized_keys", [answer.get("pubkey")])
    if not isinstance(keys, list) or not keys or not all(map(is_public_key, keys)):
        raise ValueError("without a 'pubkey' of 64 hexadecimal digits")
    return frozenset(map(bytes.fromhex, keys))


class KnownKeys:
    """Those that the configuration names, found by their names or by their keys."""

    def __init__(self, principals: Mapping[str, Principal[Keys]]) -> None:
        """
        Args:
            principals: authid -> principal, at least one.
        """
        self._principals = dict(principals)
        self._decoys = Decoys(disguised_keys)

    async def find(self, attempt: Attempt) -> Principal[Keys]:
        """See `Principals`. A client that does not say who it is, is who alone has its key."""
        authid = attempt.hello.details.authid
        if authid is None:
            key = _public_key(attempt)
            found = [principal for principal in self._principals.values() if key in principal.proof]
            if len(found) == 1:
                return found[0]
        elif authid in self._principals:
            return self._principals[authid]
        return self._decoys.make(authid or "", list(self._principals.values()))


class Cryptosign:
    """Makes challenges and checks their signatures."""

    def __init__(self, principals: Principals[Keys]) -> None:
        """
        Args:
            principals: whom it knows; asked about clients that do not say who they are, too.
        """
        self._principals = principals

    async def begin(self, attempt: Attempt) -> Question | None:
        """Challenge a client; None if it does not tell its public key."""
        key = _public_key(attempt)
        if key is None:
            return None
        binding = (attempt.hello.details.authextra or {}).get("channel_binding")
        # Hashed, as the clients that exist do; `tls-unique` has 12 bytes by itself.
        channel = None if binding is None else hashlib.sha256(channel_data(attempt.info, binding)).digest()
        principal = await self._principals.find(attempt)
        if not principal.authid:
            # "the router SHOULD automatically chose and assign an authid (e.g. the Hex encode public key)"
            principal = replace(principal, authid=key.hex())
        challenge = secrets.token_bytes(32)
        expected = signed_message(challenge, channel)

        def answer(message: Authenticate) -> Identity:
            is_signed = _is_signed(key, message.signature, expected)
            return let_in(principal, METHOD, attempt, is_proved=is_signed and key in principal.proof)

        return Question(METHOD, {"challenge": challenge.hex(), "channel_binding": binding}, answer)


def _public_key(attempt: Attempt) -> bytes | None:
    """The client's key; None if it does not tell one.

    Raises:
        AuthenticationFailed: it is none.
    """
    text = (attempt.hello.details.authextra or {}).get("pubkey")
    if text is None:
        return None
    if not is_public_key(text):
        raise AuthenticationFailed(f"{METHOD}: {shown(str(text))} is no public key")
    return bytes.fromhex(text)


def _is_signed(key: bytes, signature: str, expected: bytes) -> bool:
    """Whether this is "the concatenation of the signature and the message signed (96 bytes)", in hexadecimal."""
    from cryptography.exceptions import InvalidSignature  # here, because only those who use it shall pay for it
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        both = bytes.fromhex(signature)
        Ed25519PublicKey.from_public_bytes(key).verify(both[:64], expected)
    except (ValueError, InvalidSignature):
        return False
    return hmac.compare_digest(both[64:], expected)
