"""What both sides of a login compute."""

from __future__ import annotations

import base64
import stringprep
import unicodedata
from typing import Any

from rocade.errors import ConfigurationError

__all__ = ["NEEDS_ARGON2", "argon2id", "auth_messages", "bound_auth_message", "saslprep", "signed_message"]

NEEDS_ARGON2 = 'Argon2 needs the package argon2-cffi; install it with: pip install "rocade[argon2]"'


def saslprep(text: str) -> str:
    """A name or password as it is compared: other spaces are spaces, invisible characters are nothing, NFKC.

    Spec: RFC 4013, sections 2.1 and 2.2. What it prohibits is left to those who choose passwords.
    """
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    return unicodedata.normalize("NFKC", mapped)


def argon2id(password: bytes, salt: bytes, iterations: int, memory: int) -> bytes:
    """Argon2id, version 0x13, of 32 bytes, without parallelism: as SCRAM has it (advanced/authentication_scram.md).

    Args:
        password: the password.
        salt: at least 8 bytes.
        iterations: how many.
        memory: KiB that it takes.
    Raises:
        ConfigurationError: Argon2 is not installed.
    """
    try:
        from argon2.low_level import Type, hash_secret_raw
    except ImportError:
        raise ConfigurationError("", NEEDS_ARGON2) from None
    return hash_secret_raw(password, salt, iterations, memory, 1, 32, Type.ID)


def auth_messages(authid: str, client_nonce: str, challenge: dict[str, Any]) -> tuple[bytes, bytes]:
    """What both sides of SCRAM sign: as the specification has it, and as autobahn has it.

    Autobahn does not escape the authid, and puts nothing where RFC 5802 has the header "n,," in base64.
    """
    in_use = f"n={saslprep(authid)},r={client_nonce},{_server_first(challenge)},c=,r={challenge['nonce']}"
    return _auth_message(authid, client_nonce, challenge, b"n,,"), in_use.encode("utf-8", "surrogatepass")


def bound_auth_message(authid: str, client_nonce: str, challenge: dict[str, Any], channel: bytes) -> bytes:
    """The same with channel binding, which is in the specification only.

    Args:
        authid: who the client says it is.
        client_nonce: its nonce.
        challenge: CHALLENGE.Extra.
        channel: what `tls-unique` is for the connection.
    """
    return _auth_message(authid, client_nonce, challenge, b"p=tls-unique,," + channel)


def _auth_message(authid: str, client_nonce: str, challenge: dict[str, Any], binding: bytes) -> bytes:
    escaped = authid.replace("=", "=3D").replace(",", "=2C")
    bound = base64.b64encode(binding).decode()
    message = f"n={escaped},r={client_nonce},{_server_first(challenge)},c={bound},r={challenge['nonce']}"
    return message.encode("utf-8", "surrogatepass")


def _server_first(challenge: dict[str, Any]) -> str:
    return f"r={challenge['nonce']},s={challenge['salt']},i={challenge['iterations']}"


def signed_message(challenge: bytes, channel: bytes | None) -> bytes:
    """What cryptosign signs: the challenge, "XOR'ed bytewise with the channel ID" if there is one.

    Args:
        challenge: 32 bytes.
        channel: 32 bytes that are known at both ends of this connection only.
    """
    return challenge if channel is None else bytes(a ^ b for a, b in zip(challenge, channel, strict=True))
