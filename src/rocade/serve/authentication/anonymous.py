"""Clients that do not say who they are."""

from __future__ import annotations

import secrets

from rocade.serve.authentication.attempt import Attempt, Identity

__all__ = ["Anonymous"]


class Anonymous:
    """Everybody may come in, with one role and a random authid."""

    def __init__(self, role: str) -> None:
        """
        Args:
            role: name of the role that anonymous clients get.
        """
        self._role = role

    def begin(self, attempt: Attempt) -> Identity:
        """A new identity; what the client says of itself is ignored."""
        return Identity(authid=secrets.token_hex(8), authrole=self._role, authmethod="anonymous")
