"""How clients may log in to a service, in plain lines without secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from rocade.node.authentication import (
    AnonymousAuth,
    CookieAuth,
    DynamicAuth,
    DynamicJwtAuth,
    FunctionAuth,
    FunctionJwtAuth,
    JwtAuth,
    WampCraAuth,
)
from rocade.node.cookie_jars import settings_of
from rocade.node.cookies import FileCookies
from rocade.node.services import WampService
from rocade.node.token_logins import source_of_keys
from rocade.node.tokens import TokenSettings

__all__ = ["login_lines"]

SHOWN_NAMES = 3
"""Principals that are shown by name."""


def login_lines(service: WampService) -> Iterator[str]:
    """A line for each method by which clients may log in: what it is called, and who knows the clients.

    Args:
        service: of a checked configuration.
    """
    if service.auth is None:
        yield "anonymous: everybody, as role 'anonymous'"
        return
    for method, settings in service.auth.methods.items():
        yield f"{method}: {_described(settings, service)}"


def _described(settings: Any, service: WampService) -> str:
    if isinstance(settings, CookieAuth):
        return _described_cookie(settings, service)
    tokens = f"tokens {source_of_keys(settings)}; " if isinstance(settings, TokenSettings) else ""
    if isinstance(settings, DynamicAuth | DynamicJwtAuth):
        return f"{tokens}{_procedure(settings.authenticator, settings.authenticator_realm)} knows the clients"
    if isinstance(settings, FunctionAuth | FunctionJwtAuth):
        return f"{tokens}the function of {settings.create} knows the clients"
    if isinstance(settings, AnonymousAuth):
        return f"everybody, as role {settings.role!r}"
    if isinstance(settings, JwtAuth):
        role = f"role by claim {settings.role_claim!r}" if settings.role_claim else f"as role {settings.default_role!r}"
        return f"{tokens}authid by claim {settings.authid_claim!r}, {role}"
    users = settings.users if isinstance(settings, WampCraAuth) else None
    return f"{_names(users or settings.principals)} in the configuration"


def _procedure(uri: str, realm: str | None) -> str:
    return f"the procedure {uri} in {f'realm {realm}' if realm else 'the realm that is asked for'}"


def _names(principals: Mapping[str, Any]) -> str:
    names = ", ".join(repr(name) for name in islice(principals, SHOWN_NAMES))
    more = len(principals) - SHOWN_NAMES
    return f"{names} and {more} more" if more > 0 else names


def _described_cookie(settings: CookieAuth, service: WampService) -> str:
    cookie = settings_of(service)
    assert cookie is not None, "a checked configuration has cookies where they are possible"
    place = f"in {cookie.store.filename}" if isinstance(cookie.store, FileCookies) else "in memory"
    text = f"logins of the last {cookie.max_age} s by the others, by {cookie.name!r}, kept {place}"
    asked = settings.asked
    if asked is None:
        return text
    if isinstance(asked, DynamicAuth):
        return f"{text}; {_procedure(asked.authenticator, asked.authenticator_realm)} is asked"
    return f"{text}; the function of {asked.create} is asked"
