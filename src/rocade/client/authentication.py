"""Who a client is, and how it proves that: one class for each authentication method."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

from rocade.errors import HandshakeRefused
from rocade.net.link import LinkInfo
from rocade.wamp.messages import Challenge, WelcomeDetails

__all__ = ["Anonymous", "Credentials", "Proof"]

Answer = tuple[str, dict[str, Any]]
"""Signature and extra of AUTHENTICATE."""


class Proof(Protocol):
    """One attempt to open a session by one method."""

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


class Credentials(Protocol):
    """What a client is known by."""

    method: str
    authid: str | None

    def begin(self) -> Proof:
        """For a new attempt."""


class NoProof:
    """The proof of methods that ask nothing."""

    extra: dict[str, Any] | None = None

    def answer(self, challenge: Challenge, info: LinkInfo) -> Answer:
        """See `Proof`: nothing can be asked."""
        raise HandshakeRefused(
            "wamp.error.protocol_violation", f"a challenge by {challenge.method!r} makes no sense here"
        )

    def check(self, welcome: WelcomeDetails) -> None:
        """See `Proof`."""


class Anonymous:
    """Nobody in particular."""

    method = "anonymous"

    def __init__(self, authid: str | None = None) -> None:
        """
        Args:
            authid: a name to go by, where the router allows that.
        """
        self.authid = authid

    def begin(self) -> NoProof:
        """See `Credentials`."""
        return NoProof()
