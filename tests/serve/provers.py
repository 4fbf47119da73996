"""Clients that can prove who they are, one for each method: what a test needs to know of a method, and no more."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rocade.serve.authentication import Authenticator
from rocade.serve.authentication.principals import Known, Principal
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
    kwargs: dict[str, Any] = field(default_factory=dict)

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
PROVERS = [TICKET, WAMPCRA, SALTED_WAMPCRA]
