"""The seam between a connection and the methods by which its client may say who it is."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from rocade.errors import HandshakeRefused
from rocade.net.link import LinkInfo
from rocade.serve.authentication.tenure import Tenure
from rocade.wamp.messages import Authenticate, Hello

__all__ = ["Attempt", "Authenticator", "Identity", "Outcome", "Question", "begin"]


class Identity(Struct, frozen=True, kw_only=True):
    """The outcome of an authentication.

    Attributes:
        authid: who the client is.
        authrole: name of the role it gets; the realm must have it.
        authmethod, authprovider: how that was found out.
        realm: where it belongs; None for the realm that it asked for.
        authextra: more for the client to know, in WELCOME.
        tenure: what the login brings along while the session lasts; for one session only.
    """

    authid: str
    authrole: str
    authmethod: str
    authprovider: str = "static"
    realm: str | None = None
    authextra: dict[str, Any] | None = None
    tenure: Tenure | None = None


class Attempt(Struct, frozen=True):
    """One client's attempt to open a session.

    Attributes:
        hello: what it sent.
        info: what is known of its connection.
        session: the id that its session will have.
    """

    hello: Hello
    info: LinkInfo
    session: int


class Question(Struct, frozen=True):
    """What a client must answer before anybody knows who it is.

    Attributes:
        method: CHALLENGE.AuthMethod.
        extra: CHALLENGE.Extra.
        answer: says who the client is, given its AUTHENTICATE, or raises `HandshakeRefused`. Called at most once.
    """

    method: str
    extra: dict[str, Any]
    answer: Callable[[Authenticate], Identity | Awaitable[Identity]]


Outcome = Identity | Question
"""What comes of HELLO."""


class Authenticator(Protocol):
    """One authentication method of a transport."""

    def begin(self, attempt: Attempt) -> Outcome | Awaitable[Outcome | None] | None:
        """Who the client is, or what it must answer first: a plain function, or a coroutine function if it waits.

        Nobody must be able to tell by what happens here, or by how long it takes, whether there is a client of the
        name that HELLO claims.

        Args:
            attempt: what is known so far.
        Returns:
            None if HELLO, or the connection, lacks what the method is about: the client's next method is tried.
        Raises:
            HandshakeRefused: it does not get in.
        """


def begin(attempt: Attempt, authenticators: Mapping[str, Authenticator]) -> Outcome | Awaitable[Outcome]:
    """What comes of HELLO: the first of the client's methods that the transport has decides (authentication.md).

    Methods that nobody knows are skipped. Whether the method knows the client plays no part, or strangers could
    find out whom it knows; a client is to name first what it is known by.

    Args:
        attempt: whose HELLO it is; without a list of methods it asks for "anonymous".
        authenticators: method -> authenticator.
    Returns:
        The outcome, or something to await where it is not at hand.
    Raises:
        HandshakeRefused: the client does not get in.
    """
    wanted = dict.fromkeys(attempt.hello.details.authmethods or ("anonymous",))
    known = [authenticators[method] for method in wanted if method in authenticators]
    for index, authenticator in enumerate(known):
        if inspect.iscoroutinefunction(authenticator.begin):
            return _first(attempt, known[index:], authenticators)
        outcome = authenticator.begin(attempt)
        assert outcome is None or isinstance(outcome, Identity | Question)
        if outcome is not None:
            return outcome
    raise _no_method(authenticators)


async def _first(attempt: Attempt, known: list[Authenticator], authenticators: Mapping[str, Authenticator]) -> Outcome:
    for authenticator in known:
        answer = authenticator.begin(attempt)
        outcome = answer if answer is None or isinstance(answer, Identity | Question) else await answer
        if outcome is not None:
            return outcome
    raise _no_method(authenticators)


def _no_method(authenticators: Mapping[str, Authenticator]) -> HandshakeRefused:
    accepted = ", ".join(sorted(authenticators)) or "nobody"
    return HandshakeRefused("wamp.error.no_matching_auth_method", f"this transport accepts: {accepted}")
