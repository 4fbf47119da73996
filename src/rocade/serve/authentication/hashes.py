"""Hashes of secrets, as the configuration may hold them instead of the secrets, and the keys that come of passwords.

A ticket's hash is one text that says how it was made: Argon2's own form, or `$pbkdf2-sha256$iterations$salt$hash` in
base64.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from rocade.errors import ConfigurationError
from rocade.wamp.crypto import NEEDS_ARGON2

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = ["aside", "hash_ticket", "is_hash", "matches"]

T = TypeVar("T")

PBKDF2_ITERATIONS = 600_000
"""Iterations of new hashes, as OWASP recommends for SHA-256 (Password Storage Cheat Sheet, 2023)."""

SALT_BYTES = 16

_PBKDF2 = "$pbkdf2-sha256$"

# Hashes take tens of milliseconds each, which the event loop must not spend; two at a time, or a flood of wrong
# tickets would take all cores.
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="rocade-hash")


async def aside(work: Callable[[], T]) -> T:
    """What `work` returns, computed in another thread."""
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


def hash_ticket(ticket: str, *, argon2: bool = False) -> str:
    """A hash of a ticket, with a new salt.

    Raises:
        ConfigurationError: Argon2 is wanted, and not installed.
    """
    if argon2:
        return _argon2_hasher().hash(ticket)
    salt = secrets.token_bytes(SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha256", ticket.encode(), salt, PBKDF2_ITERATIONS)
    return f"{_PBKDF2}{PBKDF2_ITERATIONS}${_text(salt)}${_text(digest)}"


def is_hash(text: str) -> bool:
    """Whether a text is a hash that `matches` can compare with.

    Raises:
        ConfigurationError: it is one of Argon2, which is not installed.
    """
    if text.startswith("$argon2id$"):
        _argon2_hasher()
        from argon2 import extract_parameters
        from argon2.exceptions import InvalidHashError

        try:
            extract_parameters(text)
        except InvalidHashError:
            return False
        return True
    return _parts(text) is not None


def matches(text: str, ticket: str) -> bool:
    """Whether a hash is that of a ticket. Takes its time, always the same for the same hash."""
    if text.startswith("$argon2id$"):
        from argon2.exceptions import VerificationError

        try:
            return _argon2_hasher().verify(text, ticket.encode("utf-8", "surrogatepass"))
        except VerificationError:
            return False
    parts = _parts(text)
    assert parts is not None, "a checked configuration has hashes only"
    iterations, salt, expected = parts
    digest = hashlib.pbkdf2_hmac("sha256", ticket.encode("utf-8", "surrogatepass"), salt, iterations, len(expected))
    return hmac.compare_digest(digest, expected)


def _argon2_hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ImportError:
        raise ConfigurationError("", NEEDS_ARGON2) from None
    return PasswordHasher()


def _parts(text: str) -> tuple[int, bytes, bytes] | None:
    """Iterations, salt and hash of a PBKDF2 hash."""
    pieces = text.removeprefix(_PBKDF2).split("$")
    if not text.startswith(_PBKDF2) or len(pieces) != 3 or not pieces[0].isascii() or not pieces[0].isdigit():
        return None
    try:
        salt, digest = (base64.b64decode(piece, validate=True) for piece in pieces[1:])
    except binascii.Error:
        return None
    iterations = int(pieces[0][:10])
    return (iterations, salt, digest) if 0 < iterations <= 10_000_000 and len(digest) >= 16 else None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
