"""Logins, and a role with rules: what routers are put under loads with that are run as routers are on the internet."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["AUTHID", "RULES", "Login", "answer", "auth", "hello_details", "permissions"]

Login = Literal["ticket", "wampcra", "cryptosign"]
"""How a session logs in: an authentication method."""

AUTHID, ROLE = "bench", "bench"
SECRET = "the secret of the load generator"

RULES = 20
"""Permissions of the role."""


@cache
def _key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(SECRET.encode()).digest())


@cache
def _public_key() -> str:
    return _key().public_key().public_bytes_raw().hex()


def auth() -> dict[str, object]:
    """`auth` of a transport: the three methods, and one by which a router can be asked whether it is there."""
    return {
        "ticket": {"type": "static", "principals": {AUTHID: {"ticket": SECRET, "role": ROLE}}},
        "wampcra": {"type": "static", "users": {AUTHID: {"secret": SECRET, "role": ROLE}}},
        "cryptosign": {
            "type": "static",
            "principals": {AUTHID: {"authorized_keys": [_public_key()], "role": ROLE}},
        },
        "anonymous": {"type": "static", "role": "anonymous"},
    }


def permissions() -> list[dict[str, object]]:
    """The rules of the role: some exact, some prefixes, some wildcards. Three of them match what the loads use."""
    everything = {"call": True, "register": True, "publish": True, "subscribe": True}
    some = {"call": True, "register": False, "publish": False, "subscribe": True}

    def rule(uri: str, match: str, allow: dict[str, bool]) -> dict[str, object]:
        disclose = {"caller": False, "publisher": False}
        return {"uri": uri, "match": match, "allow": allow, "disclose": disclose, "cache": True}

    def rules() -> Iterator[dict[str, object]]:
        for number in range(6):
            yield rule(f"com.example.exact{number}", "exact", some)
            yield rule(f"com.example.prefix{number}.", "prefix", some)
        for number in range(5):
            yield rule(f"com..wildcard{number}.", "wildcard", some)
        yield rule("bench.procedure", "exact", everything)
        yield rule("bench.", "prefix", everything)
        yield rule("bench..", "wildcard", everything)

    return list(rules())


def hello_details(login: Login) -> dict[str, Any]:
    """What HELLO says for this method."""
    extra = {"authextra": {"pubkey": _public_key(), "channel_binding": None}} if login == "cryptosign" else {}
    return {"authmethods": [login], "authid": AUTHID, **extra}


def answer(login: Login, extra: dict[str, Any]) -> str:
    """AUTHENTICATE.Signature.

    Args:
        login: the method.
        extra: CHALLENGE.Extra.
    """
    if login == "ticket":
        return SECRET
    challenge: str = extra["challenge"]
    if login == "wampcra":
        return base64.b64encode(hmac.digest(SECRET.encode(), challenge.encode(), "sha256")).decode()
    return _key().sign(bytes.fromhex(challenge)).hex() + challenge
