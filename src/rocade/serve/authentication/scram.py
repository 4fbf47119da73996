"""SCRAM: client and router prove to each other that they know a password, or what comes of it
(advanced/authentication_scram.md, RFC 5802, RFC 7677).

What the router has to know does not let anybody in who steals it. There are two dialects, the specification's and that
of Crossbar and autobahn; they differ in names, and in what is signed. Both are understood.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from rocade.errors import AuthenticationFailed
from rocade.serve.authentication.attempt import Attempt, Identity, Question
from rocade.serve.authentication.channel import channel_data
from rocade.serve.authentication.principals import Principals, let_in
from rocade.wamp.crypto import argon2id, auth_messages, bound_auth_message, saslprep
from rocade.wamp.messages import Authenticate

__all__ = ["METHODS", "Kdf", "Scram", "ScramProof", "disguised_scram", "saslprep", "scram_proof", "told_scram"]

METHODS = ("scram", "wamp-scram")
"""Names of the method: Crossbar's, and the specification's."""

MAX_NONCE = 256
"""Longest nonce of a client, in characters."""

Kdf = Literal["pbkdf2", "argon2id-13", "argon2id13"]
"""How a password becomes a key: PBKDF2, or Argon2id in autobahn's form (which takes the base64 text of the hash for the
key), or Argon2id as the specification has it."""


@dataclass(frozen=True, slots=True)
class ScramProof:
    """What the router knows of a password."""

    kdf: Kdf
    salt: bytes
    iterations: int
    memory: int | None
    """KiB that Argon2 takes."""
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


def scram_proof(password: str, kdf: Kdf, salt: bytes, iterations: int, memory: int | None) -> ScramProof:
    """What the router has to know of a password. Takes its time.

    Raises:
        ConfigurationError: Argon2 is wanted, and not installed.
    """
    prepared = saslprep(password).encode()
    if kdf == "pbkdf2":
        salted = hashlib.pbkdf2_hmac("sha256", prepared, salt, iterations)
    else:
        salted = argon2id(prepared, salt, iterations, memory or 0)
        if kdf == "argon2id-13":
            salted = base64.b64encode(salted).rstrip(b"=")
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    return ScramProof(kdf, salt, iterations, memory, hashlib.sha256(client_key).digest(), server_key)


def disguised_scram(proof: ScramProof, seed: bytes) -> ScramProof:
    """The proof of a decoy (see `Decoys`): another salt, and keys that nobody has."""
    salt = hashlib.shake_256(seed).digest(len(proof.salt))
    return ScramProof(proof.kdf, salt, proof.iterations, proof.memory, seed[:32], seed[:32])


HexKey = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]


class _Told(msgspec.Struct):
    kdf: Kdf
    salt: Annotated[str, Meta(pattern="^([0-9a-fA-F]{2}){8,64}$")]
    iterations: Annotated[int, Meta(ge=1, le=10_000_000)]
    stored_key: HexKey = msgspec.field(name="stored-key")
    server_key: HexKey = msgspec.field(name="server-key")
    memory: Annotated[int, Meta(ge=8, le=4 * 1024 * 1024)] | None = None


def told_scram(answer: dict[str, Any]) -> ScramProof:
    """What an authenticator knows of a password.

    Raises:
        ValueError: it does not say.
    """
    try:
        told = msgspec.convert(answer, _Told)
    except msgspec.ValidationError as error:
        raise ValueError(f"something wrong: {error}") from None
    if told.kdf != "pbkdf2" and told.memory is None:
        raise ValueError("without the 'memory' that Argon2 takes")
    keys = bytes.fromhex(told.stored_key), bytes.fromhex(told.server_key)
    return ScramProof(told.kdf, bytes.fromhex(told.salt), told.iterations, told.memory, *keys)


class Scram:
    """Makes challenges and checks the proofs that come back, and gives one in return."""

    def __init__(self, principals: Principals[ScramProof], method: str) -> None:
        """
        Args:
            principals: whom it knows.
            method: one of `METHODS`.
        """
        self._principals = principals
        self._method = method

    def called(self, method: str) -> Scram:
        """The same under its other name."""
        return Scram(self._principals, method)

    async def begin(self, attempt: Attempt) -> Question | None:
        """Challenge whoever the client claims to be; None if it does not say who it is, or sends no nonce."""
        hello = attempt.hello.details
        extra = hello.authextra or {}
        authid, client_nonce = hello.authid, extra.get("nonce")
        if authid is None or client_nonce is None:
            return None
        if not _is_nonce(client_nonce):
            raise AuthenticationFailed(f"{self._method}: the nonce is no short base64")
        binding = extra.get("channel_binding")
        channel = None if binding is None else channel_data(attempt.info, binding)
        principal = await self._principals.find(attempt)
        proof = principal.proof
        nonce = client_nonce + base64.b64encode(secrets.token_bytes(16)).decode()
        challenge: dict[str, Any] = {
            "nonce": nonce,
            "salt": base64.b64encode(proof.salt).decode(),
            "kdf": proof.kdf,
            "iterations": proof.iterations,
        }
        if proof.memory is not None and proof.kdf != "pbkdf2":
            challenge["memory"] = proof.memory

        def answer(message: Authenticate) -> Identity:
            right: bytes | None = None
            if channel is None:
                messages: tuple[bytes, ...] = auth_messages(authid, client_nonce, challenge)
            else:
                messages = (bound_auth_message(authid, client_nonce, challenge, channel),)
            for signed in messages:
                if is_proof(proof.stored_key, message.signature, signed):
                    right = signed
            # "nonce matches the one previously sent via CHALLENGE", where the client repeats it
            is_proved = right is not None and message.extra.get("nonce", nonce) == nonce
            is_proved = is_proved and message.extra.get("channel_binding") == binding
            is_proved = is_proved and _is_data(message.extra.get("cbind_data"), channel)
            signature = base64.b64encode(hmac.digest(proof.server_key, right or b"", "sha256")).decode()
            return let_in(
                principal,
                self._method,
                attempt,
                is_proved=is_proved,
                verifier=signature,
                scram_server_signature=signature,
            )

        return Question(self._method, challenge, answer)


def is_proof(stored_key: bytes, proof: str, signed: bytes) -> bool:
    """Whether a ClientProof, in base64, was made by somebody who has the key that `stored_key` is the hash of."""
    try:
        received = base64.b64decode(proof, validate=True)
    except ValueError:
        return False
    if len(received) != 32:
        return False
    signature = hmac.digest(stored_key, signed, "sha256")
    recovered = bytes(a ^ b for a, b in zip(received, signature, strict=True))
    return hmac.compare_digest(hashlib.sha256(recovered).digest(), stored_key)


def _is_data(sent: Any, channel: bytes | None) -> bool:
    """Whether "the cbind_data sent by the client matches the channel binding data" of our side."""
    if channel is None or not isinstance(sent, str):
        return channel is None and sent is None
    return hmac.compare_digest(base64.b64encode(channel), sent.encode("utf-8", "surrogatepass"))


def _is_nonce(value: Any) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NONCE:
        return False
    try:
        base64.b64decode(value, validate=True)
    except ValueError:
        return False
    return True
