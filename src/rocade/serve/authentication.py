"""Who a client is. For now there is one way in: anonymous.

A method is an `Authenticator`; a transport has several, by name, and the client's list of methods decides
which is tried (advanced/authentication.md). Methods that challenge the client come with a later release.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from rocade.errors import HandshakeRefused
from rocade.net.link import LinkInfo
from rocade.wamp.messages import Hello

__all__ = ["Anonymous", "Authenticator", "Identity", "choose"]


class Identity(Struct, frozen=True, kw_only=True):
    """The outcome of an authentication.

    Attributes:
        authid: who the client is.
        authrole: name of the role it gets; the realm must have it.
        authmethod, authprovider: how that was found out.
    """

    authid: str
    authrole: str
    authmethod: str
    authprovider: str = "static"


class Authenticator(Protocol):
    """One authentication method of a transport."""

    def authenticate(self, hello: Hello, info: LinkInfo) -> Identity:
        """Who the client is.

        Args:
            hello: what it sent.
            info: what is known of its connection.
        Raises:
            HandshakeRefused: it does not get in.
        """


class Anonymous:
    """Everybody may come in, with one role and a random authid."""

    def __init__(self, role: str) -> None:
        """
        Args:
            role: name of the role that anonymous clients get.
        """
        self._role = role

    def authenticate(self, hello: Hello, info: LinkInfo) -> Identity:
        """A new identity; what the client says of itself is ignored."""
        return Identity(authid=secrets.token_hex(8), authrole=self._role, authmethod="anonymous")


def choose(hello: Hello, authenticators: Mapping[str, Authenticator]) -> Authenticator:
    """The first of the client's methods that the transport has; methods nobody knows are skipped.

    Args:
        hello: HELLO; without a list of methods it asks for "anonymous".
        authenticators: method -> authenticator.
    Raises:
        HandshakeRefused: there is none.
    """
    for method in hello.details.authmethods or ("anonymous",):
        if method in authenticators:
            return authenticators[method]
    raise HandshakeRefused(
        "wamp.error.no_matching_auth_method", f"this transport accepts: {', '.join(sorted(authenticators)) or 'nobody'}"
    )
