"""What callees have registered.

Specification: advanced/rpc_pattern_based_registration.md, advanced/rpc_shared_registration.md; docs/wamp.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.router.model.broker import Broker
from tests.router.model.sessions import Peer, Post, Refused
from tests.router.model.uris import best, is_for, is_pattern, is_reserved, is_uri

REGISTERED, UNREGISTERED = 65, 67


@dataclass(eq=False)
class Registration:
    """A procedure or pattern, and who has registered it."""

    id: int
    uri: str
    match: str
    invoke: str
    created: str
    callees: list[Peer] = field(default_factory=list)
    # callee -> options of its REGISTER
    options: dict[Peer, dict[str, Any]] = field(default_factory=dict)
    # whose turn it is, from the moment on in which somebody else has had it
    next: Any = None
    # calls for which no callee is free
    waiting: list[Any] = field(default_factory=list)

    def details(self) -> dict[str, Any]:
        """What the meta API tells."""
        return {
            "id": self.id, "created": self.created, "uri": self.uri, "match": self.match, "invoke": self.invoke
        }  # fmt: skip

    def behind(self, callee: Peer) -> Peer:
        """The callee that registered after this one; behind the last comes the first."""
        return self.callees[(self.callees.index(callee) + 1) % len(self.callees)]


class Registrations:
    """All registrations of a realm.

    Attributes:
        all: those that there are.
        has_room: told of a registration that has a new callee.
        has_lost_callee: told of a registration that has one less.
    """

    def __init__(self, post: Post, broker: Broker, time: Callable[[], str]) -> None:
        self.all: list[Registration] = []
        self.has_room: Callable[[Registration], None]
        self.has_lost_callee: Callable[[Registration], None]
        self._post = post
        self._broker = broker
        self._time = time
        self._last_id = 0

    def find(self, procedure: str) -> Registration:
        """The registration that gets a call."""
        if not is_uri(procedure):
            raise Refused("invalid_uri")
        found = self.match(procedure)
        if found is None:
            raise Refused("no_such_procedure")
        return found

    def match(self, procedure: str) -> Registration | None:
        """The registration that is best for a procedure."""
        if is_reserved(procedure) or not is_uri(procedure):
            return None
        found: Registration | None = best([it for it in self.all if is_for(it.uri, it.match, procedure)])
        return found

    def register(self, peer: Peer, request: int, options: dict[str, Any], procedure: str) -> None:
        """[REGISTER, Request|id, Options|dict, Procedure|uri]"""
        peer.check_room("registrations", len(peer.registrations))
        match, invoke = options.get("match") or "exact", options.get("invoke") or "single"
        if not is_pattern(procedure, match) or is_reserved(procedure):
            raise Refused("invalid_uri")
        registration = next((it for it in self.all if (it.uri, it.match) == (procedure, match)), None)
        is_new = registration is None
        if registration is None:
            self._last_id += 1
            registration = Registration(self._last_id, procedure, match, invoke, self._time())
            registration.next = peer
            self.all.append(registration)
        elif peer in registration.callees or invoke == "single" or invoke != registration.invoke:
            raise Refused("procedure_already_exists")
        registration.callees.append(peer)
        registration.options[peer] = options
        peer.registrations.append(registration)
        self._post.send(peer, REGISTERED, request, registration.id)
        if is_new:
            self._broker.announce("wamp.registration.on_create", peer.id, registration.details())
        self._broker.announce("wamp.registration.on_register", peer.id, registration.id)
        self._post.later(lambda: self.has_room(registration))

    def unregister(self, peer: Peer, request: int, id: int) -> None:
        """[UNREGISTER, Request|id, REGISTERED.Registration|id]"""
        registration = next((it for it in peer.registrations if it.id == id), None)
        if registration is None:
            raise Refused("no_such_registration")
        self._post.send(peer, UNREGISTERED, request)
        self._remove(peer, registration)

    def revoke(self, peer: Peer, registration: Registration, reason: dict[str, Any]) -> None:
        """End a registration for a session."""
        if peer.can("callee", "registration_revocation"):
            self._post.send(peer, UNREGISTERED, 0, {"registration": registration.id, **reason})
        self._remove(peer, registration)

    def drop(self, peer: Peer) -> None:
        """End all registrations of a session that is gone."""
        for registration in list(peer.registrations):
            self._remove(peer, registration)

    def _remove(self, peer: Peer, registration: Registration) -> None:
        if registration.next is peer:
            registration.next = registration.behind(peer)
        registration.callees.remove(peer)
        peer.registrations.remove(registration)
        del registration.options[peer]
        if not registration.callees:
            self.all.remove(registration)
        self.has_lost_callee(registration)
        self._broker.announce("wamp.registration.on_unregister", peer.id, registration.id)
        if not registration.callees:
            self._broker.announce("wamp.registration.on_delete", peer.id, registration.id)
