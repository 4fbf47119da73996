"""What a client says about itself when it opens a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rocade.client.authentication import Credentials, Proof
from rocade.wamp.messages import ClientRoles, Hello, HelloDetails, Role

__all__ = ["Identity"]

_ROLES = ClientRoles(
    publisher=Role(
        {
            "publisher_identification": True,
            "publisher_exclusion": True,
            "subscriber_blackwhite_listing": True,
            "payload_passthru_mode": True,
        }
    ),
    subscriber=Role(
        {
            "publisher_identification": True,
            "publication_trustlevels": True,
            "pattern_based_subscription": True,
            "subscription_revocation": True,
            "event_history": True,
            "event_retention": True,
            "payload_passthru_mode": True,
        }
    ),
    caller=Role(
        {
            "caller_identification": True,
            "call_canceling": True,
            "call_timeout": True,
            "progressive_call_results": True,
            "progressive_call_invocations": True,
            "payload_passthru_mode": True,
        }
    ),
    callee=Role(
        {
            "caller_identification": True,
            "call_canceling": True,
            "call_timeout": True,
            "call_trustlevels": True,
            "pattern_based_registration": True,
            "shared_registration": True,
            "registration_revocation": True,
            "progressive_call_results": True,
            "progressive_call_invocations": True,
            "call_reroute": True,
            "payload_passthru_mode": True,
        }
    ),
)
"""What the client can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What HELLO says about the client.

    Attributes:
        credentials: what it is known by, in order of preference.
        authrole: the role that it wants.
        authextra: more for the router's authenticator.
        agent: what the client is.
        resumable: whether the session may be resumed.
    """

    credentials: Sequence[Credentials]
    authrole: str | None = None
    authextra: dict[str, Any] | None = None
    agent: str = "Rocade"
    resumable: bool = True

    def hello(self, realm: str) -> tuple[Hello, dict[str, Proof]]:
        """HELLO for a new attempt, and what answers the challenges: authentication method -> proof."""
        proofs: dict[str, Proof] = {}
        extra: dict[str, Any] = dict(self.authextra or {})
        for credentials in self.credentials:
            proof = credentials.begin()
            proofs |= dict.fromkeys(credentials.methods, proof)
            extra |= proof.extra or {}
        details = HelloDetails(
            _ROLES,
            agent=self.agent,
            authmethods=list(proofs),
            authid=next((each.authid for each in self.credentials if each.authid is not None), None),
            authrole=self.authrole,
            authextra=extra or None,
            resumable=self.resumable or None,
        )
        return Hello(realm, details), proofs
