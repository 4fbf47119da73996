"""Tickets: the client shows a secret (advanced/authentication_ticket.md).

The secret crosses the wire, so it is worth no more than what the wire is wrapped in.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from rocade.serve.authentication.attempt import Attempt, Identity, Question
from rocade.serve.authentication.hashes import aside, matches
from rocade.serve.authentication.principals import Principals, let_in
from rocade.wamp.messages import Authenticate

__all__ = ["Ticket", "TicketProof", "disguised_ticket"]

METHOD = "ticket"


@dataclass(frozen=True, slots=True)
class TicketProof:
    """What a ticket is compared with."""

    text: str = field(repr=False)
    """The ticket, or a hash of it."""
    is_hash: bool = False


def disguised_ticket(proof: TicketProof, seed: bytes) -> TicketProof:
    """The proof of a decoy (see `Decoys`): a hash that costs as much, or a ticket that nobody has."""
    return proof if proof.is_hash else TicketProof(seed.hex())


class Ticket:
    """Compares tickets."""

    def __init__(self, principals: Principals[TicketProof]) -> None:
        """
        Args:
            principals: whom it knows.
        """
        self._principals = principals

    async def begin(self, attempt: Attempt) -> Question | None:
        """Ask for the ticket of whoever the client claims to be; None if it does not say who it is."""
        if attempt.hello.details.authid is None:
            return None
        principal = await self._principals.find(attempt)

        async def answer(message: Authenticate) -> Identity:
            proof, ticket = principal.proof, message.signature
            if proof.is_hash:
                is_proved = await aside(lambda: matches(proof.text, ticket))
            else:
                is_proved = _same(proof.text, ticket)
            return let_in(principal, METHOD, attempt, is_proved=is_proved)

        return Question(METHOD, {}, answer)


def _same(one: str, other: str) -> bool:
    """Whether two texts are the same, in a time that tells neither their lengths nor where they differ."""
    key = secrets.token_bytes(16)
    digests = (hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256") for text in (one, other))
    return hmac.compare_digest(*digests)
