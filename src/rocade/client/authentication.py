"""Who a client is, and how it proves that: one class for each authentication method."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import inspect
import os
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rocade.errors import HandshakeRefused
from rocade.net.link import LinkInfo
from rocade.net.tls import tls_unique
from rocade.wamp.crypto import argon2id, auth_messages, saslprep, signed_message
from rocade.wamp.messages import Challenge, WelcomeDetails

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "Anonymous",
    "ClientCertificate",
    "Cookie",
    "Credentials",
    "Cryptosign",
    "Jwt",
    "Proof",
    "Scram",
    "Ticket",
    "WampCra",
]

Answer = tuple[str, dict[str, Any]]
"""Signature and extra of AUTHENTICATE."""

Secret = str | Callable[[], str | Awaitable[str]]
"""A secret, or what gives one for each attempt: a plain or a coroutine function."""

# A router that asks for more wants to keep us busy.
_MAX_ITERATIONS = 10_000_000
_MAX_MEMORY = 1024 * 1024  # KiB


class Proof(Protocol):
    """One attempt to open a session with some credentials."""

    extra: dict[str, Any] | None
    """What HELLO.Details.authextra has for it."""

    def answer(self, challenge: Challenge, info: LinkInfo) -> Answer | Awaitable[Answer]:
        """What AUTHENTICATE is to say.

        Raises:
            HandshakeRefused: the challenge makes no sense.
        """

    def check(self, welcome: WelcomeDetails) -> None:
        """Whether the router is who it claims to be, for methods by which it proves that, too.

        Raises:
            HandshakeRefused: it is not.
        """


class Credentials(ABC):
    """What a client is known by. Subclasses say how; one of your own needs `methods`, `authid` and `begin`.

    Attributes:
        methods: names of the authentication method.
        authid: who the client says that it is; None leaves that to the router.
    """

    methods: tuple[str, ...] = ()
    authid: str | None = None

    @abstractmethod
    def begin(self) -> Proof:
        """For a new attempt."""

    def headers(self) -> Mapping[str, str]:
        """What they add to the HTTP request that opens a WebSocket."""
        return {}

    def prepare(self, tls: ssl.SSLContext) -> None:  # noqa: B027  # most add nothing
        """What they add to TLS."""

    def __repr__(self) -> str:
        # Never a secret.
        return f"<{type(self).__name__} {self.authid or ''}>"


class _NoProof:
    """For methods that ask nothing; others override `answer`."""

    extra: dict[str, Any] | None = None

    def answer(self, challenge: Challenge, info: LinkInfo) -> Answer | Awaitable[Answer]:
        """See `Proof`."""
        raise _nonsense(challenge, "nothing can be asked by this method")

    def check(self, welcome: WelcomeDetails) -> None:
        """See `Proof`."""


class Anonymous(Credentials):
    """Nobody in particular."""

    methods = ("anonymous",)

    def __init__(self, authid: str | None = None) -> None:
        """
        Args:
            authid: a name to go by, where the router allows that.
        """
        self.authid = authid

    def begin(self) -> Proof:
        """See `Credentials`."""
        return _NoProof()


class Ticket(Credentials):
    """A ticket, which the router gets to see (advanced/authentication_ticket.md): use TLS."""

    methods = ("ticket",)

    def __init__(self, authid: str, ticket: Secret) -> None:
        """
        Args:
            authid: who the client is.
            ticket: the ticket, or a function that gives one.
        """
        self.authid = authid
        self._ticket = ticket

    def begin(self) -> Proof:
        """See `Credentials`."""
        return _TicketProof(self._ticket)


class _TicketProof(_NoProof):
    def __init__(self, ticket: Secret) -> None:
        self._ticket = ticket

    def answer(self, challenge: Challenge, info: LinkInfo) -> Answer | Awaitable[Answer]:
        if isinstance(self._ticket, str):
            return self._ticket, {}
        return self._get(self._ticket)

    async def _get(self, give: Callable[[], str | Awaitable[str]]) -> Answer:
        ticket = give()
        return (await ticket if inspect.isawaitable(ticket) else ticket), {}


class Jwt(Ticket):
    """A JSON Web Token, which says itself who the client is. It travels as a ticket does."""

    methods = ("jwt",)

    def __init__(self, token: Secret, authid: str | None = None) -> None:
        """
        Args:
            token: the token, or a function that gives a fresh one for each attempt.
            authid: who the client is, where the token does not say.
        """
        self.authid = authid
        self._ticket = token


class WampCra(Credentials):
    """A secret that never travels: the client signs a challenge with it (advanced/authentication_wampcra.md)."""

    methods = ("wampcra",)

    def __init__(self, authid: str, secret: str) -> None:
        """
        Args:
            authid: who the client is.
            secret: the secret, or password where the router salts it.
        """
        self.authid = authid
        self._secret = secret

    def begin(self) -> Proof:
        """See `Credentials`."""
        return _WampCraProof(self._secret)


class _WampCraProof(_NoProof):
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def answer(self, challenge: Challenge, info: LinkInfo) -> Answer | Awaitable[Answer]:
        extra = challenge.extra
        text = _text(challenge, "challenge")
        if extra.get("salt") is None:
            return _signed(self._secret.encode(), text), {}
        salt = _text(challenge, "salt").encode()
        iterations = _number(challenge, "iterations", _MAX_ITERATIONS)
        length = _number(challenge, "keylen", 64)

        def sign() -> Answer:
            key = hashlib.pbkdf2_hmac("sha256", self._secret.encode(), salt, iterations, length)
            return _signed(base64.b64encode(key), text), {}

        return asyncio.to_thread(sign)


class Scram(Credentials):
    """A password that never travels, with proofs in both directions (advanced/authentication_scram.md)."""

    # The name that is in use, and the specification's: what is signed differs. Crossbar.io refuses clients that begin
    # with a method that it does not know.
    methods = ("scram", "wamp-scram")

    def __init__(self, authid: str, password: str) -> None:
        """
        Args:
            authid: who the client is.
            password: the password.
        """
        self.authid: str = authid
        self._password = password

    def begin(self) -> Proof:
        """See `Credentials`."""
        return _ScramProof(self.authid, self._password)


class _ScramProof(_NoProof):
    def __init__(self, authid: str, password: str) -> None:
        self._authid = authid
        self._password = password
        self._nonce = base64.b64encode(os.urandom(18)).decode()
        self.extra = {"nonce": self._nonce, "channel_binding": None}
        # What the router's own proof must be.
        self._expected: bytes | None = None

    def answer(self, challenge: Challenge, info: LinkInfo) -> Answer | Awaitable[Answer]:
        nonce = _text(challenge, "nonce")
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise _nonsense(challenge, "the nonce does not begin with ours")
        try:
            salt = base64.b64decode(_text(challenge, "salt"), validate=True)
        except ValueError:
            raise _nonsense(challenge, "the salt is no base64") from None
        iterations = _number(challenge, "iterations", _MAX_ITERATIONS)
        kdf = challenge.extra.get("kdf")
        if kdf not in ("pbkdf2", "argon2id-13", "argon2id13"):
            raise _nonsense(challenge, f"there is no key derivation {kdf!r}")
        memory = 0 if kdf == "pbkdf2" else _number(challenge, "memory", _MAX_MEMORY)
        specified, in_use = auth_messages(self._authid, self._nonce, challenge.extra)
        signed = specified if challenge.method == "wamp-scram" else in_use

        def prove() -> Answer:
            salted = self._salted(kdf, salt, iterations, memory)
            client_key = hmac.digest(salted, b"Client Key", "sha256")
            signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
            proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
            self._expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
            return base64.b64encode(proof).decode(), {"nonce": nonce, "channel_binding": None, "cbind_data": None}

        return asyncio.to_thread(prove)

    def _salted(self, kdf: str, salt: bytes, iterations: int, memory: int) -> bytes:
        password = saslprep(self._password).encode()
        if kdf == "pbkdf2":
            return hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
        salted = argon2id(password, salt, iterations, memory)
        return base64.b64encode(salted).rstrip(b"=") if kdf == "argon2id-13" else salted

    def check(self, welcome: WelcomeDetails) -> None:
        extra = welcome.authextra or {}
        given = extra.get("verifier") or extra.get("scram_server_signature")
        # Without a challenge there is nothing that it could have proved.
        expected = None if self._expected is None else base64.b64encode(self._expected)
        is_proved = isinstance(given, str) and expected is not None and hmac.compare_digest(expected, given.encode())
        if not is_proved:
            raise HandshakeRefused("wamp.error.authentication_failed", "the router does not know the password itself")


class Cryptosign(Credentials):
    """A private key of Ed25519 (advanced/authentication_cryptosign.md)."""

    methods = ("cryptosign",)

    def __init__(
        self,
        key: str | bytes | Path | Ed25519PrivateKey,
        authid: str | None = None,
        *,
        channel_binding: str | None = None,
    ) -> None:
        """
        Args:
            key: the key itself: 32 bytes, 64 hexadecimal digits or an object of `cryptography`; or a `Path` of the file
                that `rocade keygen` wrote.
            authid: who the client is; None leaves it to the router to know the key.
            channel_binding: "tls-unique" binds the signature to the connection, on TLS up to 1.2.
        Raises:
            ValueError: it is no key, or an unknown channel binding.
        """
        if channel_binding not in (None, "tls-unique"):
            raise ValueError(f"there is no channel binding {channel_binding!r}; there is 'tls-unique'")
        self.authid = authid
        self._key = _private_key(key)
        self._binding = channel_binding

    def begin(self) -> Proof:
        """See `Credentials`."""
        return _CryptosignProof(self._key, self._binding)


class _CryptosignProof(_NoProof):
    def __init__(self, key: Ed25519PrivateKey, binding: str | None) -> None:
        self._key = key
        self._binding = binding
        self.extra = {"pubkey": key.public_key().public_bytes_raw().hex()}
        if binding is not None:
            self.extra["channel_binding"] = binding

    def answer(self, challenge: Challenge, info: LinkInfo) -> Answer | Awaitable[Answer]:
        try:
            data = bytes.fromhex(_text(challenge, "challenge"))
        except ValueError:
            data = b""
        if len(data) != 32:
            raise _nonsense(challenge, "the challenge has no 32 bytes")
        channel = None
        if self._binding is not None:
            unique = tls_unique(info)
            if challenge.extra.get("channel_binding") != self._binding or unique is None:
                text = "the signature cannot be bound to the connection, which takes TLS 1.2 and a router that agrees"
                raise HandshakeRefused("wamp.error.authentication_failed", text)
            channel = hashlib.sha256(unique).digest()
        message = signed_message(data, channel)
        return (self._key.sign(message) + message).hex(), {}


class ClientCertificate(Credentials):
    """The certificate that the client shows in TLS."""

    methods = ("tls",)

    def __init__(self, certificate: str, key: str | None = None, authid: str | None = None) -> None:
        """
        Args:
            certificate: file with it, in PEM, and those that lead from it to a root.
            key: file with its key, unless that is in the same file.
            authid: who the client is; None leaves that to the certificate.
        """
        self.authid = authid
        self._files = certificate, key

    def begin(self) -> Proof:
        """See `Credentials`."""
        return _NoProof()

    def prepare(self, tls: ssl.SSLContext) -> None:
        """See `Credentials`."""
        tls.load_cert_chain(*self._files)


class Cookie(Credentials):
    """A cookie that the router has given out, on WebSocket."""

    methods = ("cookie",)

    def __init__(self, cookie: str) -> None:
        """
        Args:
            cookie: name and value, as "cbtid=…".
        """
        self._cookie = cookie

    def begin(self) -> Proof:
        """See `Credentials`."""
        return _NoProof()

    def headers(self) -> Mapping[str, str]:
        """See `Credentials`."""
        return {"Cookie": self._cookie}


def _signed(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode()


def _private_key(key: str | bytes | Path | Ed25519PrivateKey) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if isinstance(key, Path):
        key = key.read_text(encoding="ascii").strip()
    try:
        if isinstance(key, str):
            key = bytes.fromhex(key)
        if isinstance(key, bytes):
            return Ed25519PrivateKey.from_private_bytes(key)
    except ValueError:
        raise ValueError("a private key is 32 bytes, 64 hexadecimal digits, or the pathlib.Path of a file") from None
    return key


def _text(challenge: Challenge, name: str) -> str:
    value = challenge.extra.get(name)
    if not isinstance(value, str):
        raise _nonsense(challenge, f"there is no {name!r} in it")
    return value


def _number(challenge: Challenge, name: str, most: int) -> int:
    value = challenge.extra.get(name)
    if not isinstance(value, int) or not 1 <= value <= most:
        raise _nonsense(challenge, f"{name!r} is not from 1 to {most}")
    return value


def _nonsense(challenge: Challenge, text: str) -> HandshakeRefused:
    return HandshakeRefused(
        "wamp.error.protocol_violation", f"a challenge by {challenge.method!r} makes no sense: {text}"
    )
