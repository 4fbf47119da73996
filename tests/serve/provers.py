"""Clients that can prove who they are, one for each method: what a test needs to know of a method, and no more."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rocade.serve.authentication import Authenticator
from rocade.serve.authentication.cryptosign import Cryptosign, KnownKeys
from rocade.serve.authentication.jwt import ClaimsSay, Jwt, TokenRules, Verifier
from rocade.serve.authentication.jwt_keys import FixedKey, secret_key
from rocade.serve.authentication.principals import Known, Principal
from rocade.serve.authentication.scram import Scram, disguised_scram, scram_proof
from rocade.serve.authentication.ticket import Ticket, TicketProof, disguised_ticket
from rocade.serve.authentication.wampcra import WampCra, WampCraProof, disguised_wampcra, wampcra_proof
from rocade.wamp.messages import Challenge

Answer = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Prover:
    """A client "joe", and the router that knows him by one method."""

    method: str
    authenticator: Callable[[], Authenticator]
    answer: Callable[[Challenge, bool], Answer]
    """AUTHENTICATE of somebody who has the right secret, or a wrong one."""
    authextra: dict[str, Any] | None = None

    def __str__(self) -> str:
        return self.method

    def hello(self, authid: str = "joe") -> dict[str, Any]:
        """HELLO.Details."""
        details: dict[str, Any] = {"authmethods": [self.method], "authid": authid}
        return details | ({"authextra": self.authextra} if self.authextra else {})


def known(proof: Any, disguise: Any, **more: Any) -> Known[Any]:
    """A router's knowledge of joe and ann."""
    principals = {name: Principal(authid=name, role="user", proof=proof, **more) for name in ("joe", "ann")}
    return Known(principals, disguise)


def signed(key: bytes, challenge: Challenge) -> str:
    """What WAMP-CRA clients answer."""
    return base64.b64encode(hmac.digest(key, challenge.extra["challenge"].encode(), "sha256")).decode()


def _ticket(challenge: Challenge, is_right: bool) -> Answer:
    assert challenge.extra == {}
    return ("magic" if is_right else "Magic"), {}


def _wampcra(challenge: Challenge, is_right: bool) -> Answer:
    return signed(b"secret" if is_right else b"Secret", challenge), {}


def _salted_wampcra(challenge: Challenge, is_right: bool) -> Answer:
    extra = challenge.extra
    password = b"password" if is_right else b"Password"
    key = hashlib.pbkdf2_hmac("sha256", password, extra["salt"].encode(), extra["iterations"], extra["keylen"])
    return signed(base64.b64encode(key), challenge), {}


TICKET = Prover("ticket", lambda: Ticket(known(TicketProof("magic"), disguised_ticket)), _ticket)
WAMPCRA = Prover("wampcra", lambda: WampCra(known(WampCraProof(b"secret"), disguised_wampcra)), _wampcra)
SALTED_WAMPCRA = Prover(
    "wampcra",
    lambda: WampCra(known(wampcra_proof("password", None, "salt123", 100, 32), disguised_wampcra)),
    _salted_wampcra,
)


KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = KEY.public_key().public_bytes_raw()


def signed_by(key: Ed25519PrivateKey, challenge: Challenge, channel: bytes = bytes(32)) -> str:
    """What cryptosign clients answer."""
    message = bytes(a ^ b for a, b in zip(bytes.fromhex(challenge.extra["challenge"]), channel, strict=True))
    return (key.sign(message) + message).hex()


def _cryptosign(challenge: Challenge, is_right: bool) -> Answer:
    assert challenge.extra["channel_binding"] is None
    return signed_by(KEY if is_right else Ed25519PrivateKey.generate(), challenge), {}


CRYPTOSIGN = Prover(
    "cryptosign",
    lambda: Cryptosign(
        KnownKeys({name: Principal(authid=name, role="user", proof=frozenset({PUBLIC_KEY})) for name in ("joe", "ann")})
    ),
    _cryptosign,
    {"pubkey": PUBLIC_KEY.hex()},
)


CLIENT_NONCE = "egVDf3DMJh0="


def client_proof(salted: bytes, message: str) -> str:
    """What SCRAM clients answer (RFC 5802, section 3)."""
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message.encode(), "sha256")
    return base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True))).decode()


def _scram(challenge: Challenge, is_right: bool) -> Answer:
    extra = challenge.extra
    assert extra["kdf"] == "pbkdf2"
    password = b"pencil" if is_right else b"Pencil"
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(extra["salt"]), extra["iterations"])
    message = (
        f"n=joe,r={CLIENT_NONCE},r={extra['nonce']},s={extra['salt']},i={extra['iterations']},c=biws,r={extra['nonce']}"
    )
    return client_proof(salted, message), {"nonce": extra["nonce"], "channel_binding": None, "cbind_data": None}


def _scrams(method: str) -> Prover:
    proof = scram_proof("pencil", "pbkdf2", bytes(range(16)), 100, None)
    return Prover(method, lambda: Scram(known(proof, disguised_scram), method), _scram, {"nonce": CLIENT_NONCE})


TOKEN_SECRET = "a secret of which two sides know"


def token(secret: str = TOKEN_SECRET, **claims: Any) -> str:
    """A token of joe's that is good for a day, unless its claims say otherwise; None takes one out."""
    given = {"sub": "joe", "exp": int(time.time()) + 86400} | claims
    return jwt.encode({name: value for name, value in given.items() if value is not None}, secret, algorithm="HS256")


def _jwt(challenge: Challenge, is_right: bool) -> Answer:
    assert challenge.extra == {}
    return token(TOKEN_SECRET if is_right else TOKEN_SECRET.upper()), {}


JWT = Prover(
    "jwt",
    lambda: Jwt(
        Verifier(TokenRules(algorithms=("HS256",)), FixedKey(secret_key(TOKEN_SECRET))), ClaimsSay(default_role="user")
    ),
    _jwt,
)
SCRAM, WAMP_SCRAM = _scrams("scram"), _scrams("wamp-scram")
PROVERS = [TICKET, WAMPCRA, SALTED_WAMPCRA, CRYPTOSIGN, SCRAM, WAMP_SCRAM]
ONE_PER_METHOD = list({prover.method: prover for prover in [*PROVERS, JWT]}.values())
