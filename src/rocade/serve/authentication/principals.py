"""Where a method finds whom it knows: in the configuration, or by asking somebody else.

Whoever asks always gets somebody. For a name that nobody has it is a decoy: much like one of those that exist, the
same one each time the name is tried, and compared with as carefully, only that it never gets in. So a stranger sees no
difference between a wrong name and a wrong secret.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from rocade.errors import AuthenticationFailed
from rocade.serve.authentication.attempt import Attempt, Identity
from rocade.wamp.uris import shown

__all__ = ["Decoys", "Known", "Principal", "Principals", "let_in"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal(Generic[T]):
    """Somebody that a method knows.

    Attributes:
        authid, role: who it will be, and what it may do.
        proof: what its secret is compared with.
        realm: the realm that it belongs to; None for any that has the role.
        extra: WELCOME.Details.authextra.
        provider: where this was found: "static", "dynamic" or "function".
        is_decoy: there is nobody of that name.
    """

    authid: str
    role: str
    proof: T
    realm: str | None = None
    extra: dict[str, Any] | None = None
    provider: str = "static"
    is_decoy: bool = False

    def identity(self, method: str, **extra: Any) -> Identity:
        """Who it is, once it has proved it by this method.

        Args:
            method: WELCOME.Details.authmethod.
            **extra: more for WELCOME.Details.authextra.
        """
        return Identity(
            authid=self.authid,
            authrole=self.role,
            authmethod=method,
            authprovider=self.provider,
            realm=self.realm,
            authextra={**(self.extra or {}), **extra} or None,
        )


class Principals(Protocol[T]):
    """Whom a method knows."""

    async def find(self, attempt: Attempt) -> Principal[T]:
        """Whoever the client claims to be; a decoy if there is nobody of that name.

        Args:
            attempt: its HELLO has an authid.
        Raises:
            AuthenticationFailed: it cannot be found out.
        """


class Decoys(Generic[T]):
    """Makes principals that do not exist."""

    def __init__(self, disguise: Callable[[T, bytes], T], key: bytes | None = None) -> None:
        """
        Args:
            disguise: makes the proof of a decoy of somebody else's, from random bytes that are always the same for the
                same name. It may differ in what clients get to see, and must cost as much to be compared with.
            key: what these bytes come from; a random one by default.
        """
        self._disguise = disguise
        self._key = key or secrets.token_bytes(32)

    def make(self, authid: str, known: list[Principal[T]]) -> Principal[T]:
        """A decoy.

        Args:
            authid: a name that nobody has.
            known: whom it is to be like, at least one.
        """
        seed = hmac.digest(self._key, authid.encode("utf-8", "surrogatepass"), "sha512")
        model = known[int.from_bytes(seed[:8]) % len(known)]
        return replace(
            model, authid=authid, proof=self._disguise(model.proof, seed[8:]), realm=None, extra=None, is_decoy=True
        )


class Known(Generic[T]):
    """Those that the configuration names."""

    def __init__(
        self, principals: Mapping[str, Principal[T]], disguise: Callable[[T, bytes], T], key: bytes | None = None
    ) -> None:
        """
        Args:
            principals: authid -> principal, at least one.
            disguise: see `Decoys`.
            key: see `Decoys`. It should be the same when the router starts anew, as those who exist are.
        """
        self._principals = dict(principals)
        self._list = list(principals.values())
        self._decoys = Decoys(disguise, key)

    async def find(self, attempt: Attempt) -> Principal[T]:
        """See `Principals`."""
        authid = attempt.hello.details.authid
        assert authid is not None
        # Both are made in either case, so that it takes as long.
        decoy = self._decoys.make(authid, self._list)
        return self._principals.get(authid, decoy)


def let_in(principal: Principal[Any], method: str, attempt: Attempt, *, is_proved: bool, **extra: Any) -> Identity:
    """Who the client is, if all is in order.

    Args:
        principal: who it claims to be.
        method: how it proved that.
        attempt: what it wants.
        is_proved: whether it did prove it.
        **extra: more for WELCOME.Details.authextra.
    Raises:
        AuthenticationFailed: it did not, or there is nobody of that name, or not in that realm.
    """
    realm = attempt.hello.realm
    who = f"{method}: {shown(principal.authid)}"
    if principal.is_decoy:
        raise AuthenticationFailed(f"{who} is unknown")
    if not is_proved:
        raise AuthenticationFailed(f"{who} has not proved it")
    if principal.provider == "static" and principal.realm not in (None, realm):
        raise AuthenticationFailed(f"{who} does not belong to {shown(realm)}")
    return principal.identity(method, **extra)
