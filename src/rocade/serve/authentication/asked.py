"""Principals that somebody else knows: a procedure that is called, or a Python function.

Both are given the realm, the authid and details of the attempt, and answer with a role, or with a mapping that has a
"role" and may have "authid", "realm", "extra" and what the method compares with; or they raise, which means no.
Whatever else they do (nothing at all, for one) means no as well, and that they are out of order, which the log tells.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Generic, TypeVar

from msgspec import Struct

from rocade.errors import ApplicationError, AuthenticationFailed
from rocade.net.tls import peer_certificate
from rocade.serve.authentication.attempt import Attempt, Identity, Question
from rocade.serve.authentication.hashes import aside
from rocade.serve.authentication.principals import Decoys, Principal
from rocade.serve.internal import InternalCalls
from rocade.serve.made_function import MadeFunction
from rocade.wamp.messages import Authenticate
from rocade.wamp.uris import shown

__all__ = ["Answer", "Ask", "Asked", "AskedAtOnce", "AskedTicket", "Asking", "Declined", "function", "procedure"]

ASKING_DEADLINE = 10.0
"""Seconds after which an authenticator that has not answered means no."""

MAX_ASKING = 256
"""Attempts that one authenticator is asked about at a time: one that hangs must not pile them up."""

OUT_OF_ORDER = frozenset(
    {
        "wamp.error.no_such_procedure",
        "wamp.error.no_such_realm",
        "wamp.error.canceled",
        "wamp.error.unavailable",
        "wamp.error.payload_size_exceeded",
    }
)
"""Errors by which not the authenticator answers, but the router in its place."""

T = TypeVar("T")

logger = logging.getLogger("rocade.authentication")


class Declined(AuthenticationFailed):
    """The authenticator says no."""


Ask = Callable[[str, str | None, dict[str, Any]], Awaitable[Any]]
"""Whom to ask: given the realm that a client asks for, the authid that it claims and details, answers what it knows of
it, or raises."""


def procedure(calls: InternalCalls, uri: str, realm: str | None) -> Ask:
    """A procedure to ask.

    Args:
        calls: how it is called.
        uri: its name.
        realm: where it is registered; None for the realm that the client asks for.
    """

    async def ask(asked_for: str, authid: str | None, details: dict[str, Any]) -> Any:
        if realm is None and not calls.has_realm(asked_for):
            # Not the authenticator's fault, and nothing that strangers need to know.
            raise Declined(f"there is no realm {shown(asked_for)} to ask {uri} in")
        return await calls.call(realm or asked_for, uri, asked_for, authid, details)

    return ask


def function(create: Callable[..., Any], options: dict[str, Any]) -> Ask:
    """A Python function to ask. What is named in the configuration makes it; either may be a coroutine function.

    Args:
        create: called once, with `options` and None, before the function that it returns is called first.
        options: for it.
    """
    return MadeFunction(create, options).call


class Answer(Struct, frozen=True):
    """What an authenticator said, in order.

    Attributes:
        role, authid, realm, extra: see `Principal`.
        rest: all that it said.
    """

    role: str
    authid: str | None
    realm: str | None
    extra: dict[str, Any] | None
    rest: dict[str, Any]

    def identity(self, authid: str, method: str, provider: str) -> Identity:
        """Who the client is by this.

        Args:
            authid: where the answer has none.
            method: WELCOME.Details.authmethod.
            provider: WELCOME.Details.authprovider.
        """
        return Identity(
            authid=self.authid or authid,
            authrole=self.role,
            authmethod=method,
            authprovider=provider,
            realm=self.realm,
            authextra=self.extra,
        )


class Asking:
    """Asks, and makes sure that something sensible comes of it in time.

    Attributes:
        provider: WELCOME.Details.authprovider: "dynamic" or "function".
    """

    def __init__(self, ask: Ask, provider: str, name: str, default_role: str | None = None) -> None:
        """
        Args:
            ask: who is asked.
            provider: see above.
            name: of the procedure or the function, for the log.
            default_role: for answers that name no role.
        """
        self.provider = provider
        self._ask = ask
        self._name = name
        self._default_role = default_role
        self._count = 0

    async def ask(self, attempt: Attempt, method: str, **given: Any) -> Answer:
        """What there is to know of a client.

        Args:
            attempt: of which client.
            method: how it authenticates.
            **given: more details, such as its ticket.
        Raises:
            Declined: it is not to come in.
            AuthenticationFailed: there is no telling whether it is.
        """
        if self._count >= MAX_ASKING:
            raise self.out_of_order(f"has {MAX_ASKING} questions to answer already")
        hello = attempt.hello
        self._count += 1
        try:
            async with asyncio.timeout(ASKING_DEADLINE):
                answer = await self._ask(hello.realm, hello.details.authid, _details(attempt, method) | given)
        except Declined:
            raise
        except ApplicationError as error:
            if error.uri in OUT_OF_ORDER:
                raise self.out_of_order(f"could not be asked: {error.uri}") from None
            raise Declined(f"{method}: {self._name} answered {shown(error.uri)}") from None
        except TimeoutError:
            raise self.out_of_order(f"did not answer within {ASKING_DEADLINE:g} s") from None
        except Exception as error:
            # The lines that led here, but not the text: it may quote what the client has sent.
            where = "".join(traceback.format_tb(error.__traceback__))
            raise self.out_of_order(f"raised {type(error).__name__}\n{where}") from None
        finally:
            self._count -= 1
        if answer is None or answer is False:
            raise Declined(f"{method}: {self._name} said no")
        return self._checked(answer)

    def _checked(self, answer: Any) -> Answer:
        said: dict[str, Any] = {"role": answer} if isinstance(answer, str) else answer
        if not isinstance(said, dict):
            raise self.out_of_order(f"answered a {type(answer).__name__}, not a role or a mapping")
        role, authid, realm, extra = said.get("role"), said.get("authid"), said.get("realm"), said.get("extra")
        role = self._default_role if role is None else role
        for key, value in (("role", role), ("authid", authid), ("realm", realm)):
            if value is not None and not (isinstance(value, str) and value):
                raise self.out_of_order(f"answered with a {key} that is no text")
        if role is None:
            raise self.out_of_order("answered without a role")
        if extra is not None and not isinstance(extra, dict):
            raise self.out_of_order("answered with an 'extra' that is no mapping")
        return Answer(role, authid, realm, extra, said)

    def out_of_order(self, how: str) -> AuthenticationFailed:
        """What to raise, and log, when the authenticator does something else than answering.

        Args:
            how: what it does, without secrets.
        """
        logger.error("the authenticator %s %s", self._name, how)
        return AuthenticationFailed(f"the authenticator {self._name} is out of order", counts=False)


class Asked(Generic[T]):
    """Those that an authenticator knows, with what to compare their secrets with. `Principals` of a method."""

    def __init__(self, asking: Asking, method: str, read: Callable[[dict[str, Any]], T], decoys: Decoys[T], like: T):
        """
        Args:
            asking: how the authenticator is asked.
            method: WELCOME.Details.authmethod.
            read: the proof in what it says; raises `ValueError` (in words without secrets) if there is none.
            decoys: for those whom it does not know.
            like: what their proofs are like, until it has told one.
        """
        self._asking = asking
        self._method = method
        self._read = read
        self._decoys = decoys
        self._model = Principal(authid="", role="user", proof=like, provider=asking.provider)

    async def find(self, attempt: Attempt) -> Principal[T]:
        """See `Principals`."""
        claimed = attempt.hello.details.authid or ""
        try:
            answer = await self._asking.ask(attempt, self._method)
        except Declined:
            return self._decoys.make(claimed, [self._model])
        try:
            proof = await aside(lambda: self._read(answer.rest))
        except ValueError as error:
            raise self._asking.out_of_order(f"answered {error}") from None
        self._model = replace(self._model, role=answer.role, proof=proof)
        return replace(
            self._model,
            authid=answer.authid or claimed,
            realm=answer.realm,
            extra=answer.extra,
        )


class AskedTicket:
    """Tickets that an authenticator looks at itself: the detail "ticket" has it."""

    def __init__(self, asking: Asking) -> None:
        """
        Args:
            asking: how it is asked.
        """
        self._asking = asking

    async def begin(self, attempt: Attempt) -> Question | None:
        """Ask for the ticket; None if the client does not say who it is."""
        authid = attempt.hello.details.authid
        if authid is None:
            return None

        async def answer(message: Authenticate) -> Identity:
            said = await self._asking.ask(attempt, "ticket", ticket=message.signature)
            return said.identity(authid, "ticket", self._asking.provider)

        return Question("ticket", {}, answer)


class AskedAtOnce:
    """Methods that challenge nobody: the authenticator decides on what is known of the connection."""

    def __init__(self, asking: Asking, method: str, *, needs_certificate: bool = False) -> None:
        """
        Args:
            asking: how it is asked.
            method: WELCOME.Details.authmethod.
            needs_certificate: only about clients that have shown a certificate.
        """
        self._asking = asking
        self._method = method
        self._needs_certificate = needs_certificate

    async def begin(self, attempt: Attempt) -> Identity | None:
        """Who the client is."""
        if self._needs_certificate and peer_certificate(attempt.info) is None:
            return None
        said = await self._asking.ask(attempt, self._method)
        return said.identity(secrets.token_hex(8), self._method, self._asking.provider)


def _details(attempt: Attempt, method: str) -> dict[str, Any]:
    """What an authenticator is told: as much as Crossbar tells, under the same names."""
    hello, info = attempt.hello.details, attempt.info
    certificate = peer_certificate(info)
    return {
        "session": attempt.session,
        "authmethod": method,
        "authid": hello.authid,
        "authrole": hello.authrole,
        "authextra": hello.authextra,
        "transport": {
            "type": info.transport,
            "protocol": info.subprotocol,
            "peer": info.peer,
            "is_secure": info.secure,
            "http_headers_received": dict(info.headers) or None,
            "peer_cert": None
            if certificate is None
            else {"sha256": certificate.sha256, "subject": [list(pair) for pair in certificate.subject]},
        },
    }
