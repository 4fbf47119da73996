"""The meta API of the model: it knows everything, and is asked about it.

Specification: advanced/meta_api_sessions.md, advanced/meta_api_registrations.md, advanced/meta_api_subscriptions.md,
advanced/pubsub_testament.md; docs/wamp.md.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any

from tests.router.model.sessions import Peer, Refused
from tests.router.model.uris import is_reserved, is_uri

if TYPE_CHECKING:
    from tests.router.model.realm import Model

RESULT = 50


class Meta:
    """The meta API of a realm.

    Attributes:
        procedures: URI -> what answers it, given the caller and its arguments.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.procedures: dict[str, Callable[..., list[Any]]] = {
            "wamp.session.count": lambda caller, roles=None: [len(self._of_roles(roles))],
            "wamp.session.list": lambda caller, roles=None: [[peer.id for peer in self._of_roles(roles)]],
            "wamp.session.get": lambda caller, id: [details(self._session(id))],
            "wamp.session.kill": self._kill,
            "wamp.session.kill_by_authid": self._kill_by_authid,
            "wamp.session.kill_by_authrole": self._kill_by_authrole,
            "wamp.session.kill_all": self._kill_all,
            "wamp.session.add_testament": self._add_testament,
            "wamp.session.flush_testaments": self._flush_testaments,
            "wamp.registration.list": lambda caller: [ids(model.registrations.all)],
            "wamp.registration.lookup": lambda caller, uri, options=None: [
                lookup(model.registrations.all, uri, options)
            ],
            "wamp.registration.match": lambda caller, uri: [id_of(model.registrations.match(uri))],
            "wamp.registration.get": lambda caller, id: [self._registration(id).details()],
            "wamp.registration.list_callees": lambda caller, id: [[it.id for it in self._registration(id).callees]],
            "wamp.registration.count_callees": lambda caller, id: [len(self._registration(id).callees)],
            "wamp.registration.remove_callee": self._remove_callee,
            "wamp.subscription.list": lambda caller: [ids(model.broker.subscriptions)],
            "wamp.subscription.lookup": lambda caller, uri, options=None: [
                lookup(model.broker.subscriptions, uri, options)
            ],
            "wamp.subscription.match": lambda caller, uri: [[it.id for it in model.broker.matching(uri)] or None],
            "wamp.subscription.get": lambda caller, id: [self._subscription(id).details()],
            "wamp.subscription.list_subscribers": lambda caller, id: [
                [it.id for it in self._subscription(id).subscribers]
            ],
            "wamp.subscription.count_subscribers": lambda caller, id: [len(self._subscription(id).subscribers)],
            "wamp.subscription.remove_subscriber": self._remove_subscriber,
        }

    def call(
        self,
        caller: Peer,
        request: int,
        options: dict[str, Any],
        procedure: str,
        args: list[Any],
        kwargs: dict[str, Any],
    ) -> None:
        """A CALL of a meta procedure: what it brings about comes before its RESULT."""
        if options.get("progress") or options.get("ppt_scheme"):
            raise Refused("feature_not_supported")
        answer = self.procedures[procedure]
        try:
            signature(answer).bind(caller, *args, **kwargs)
        except TypeError:
            raise Refused("invalid_argument") from None
        results = answer(caller, *args, **kwargs)
        self._model.post.send(caller, RESULT, request, {}, results, {})

    # --- sessions ---------------------------------------------------------------------------------

    def joined(self, peer: Peer) -> None:
        """A session has joined."""
        self._model.broker.announce("wamp.session.on_join", details(peer))

    def left(self, peer: Peer) -> None:
        """A session is gone: its testaments, and the news."""
        self.publish_testaments(peer, "detached")
        self.publish_testaments(peer, "destroyed")
        self._model.broker.announce("wamp.session.on_leave", peer.id, peer.authid, peer.authrole)

    def _of_roles(self, roles: list[str] | None) -> list[Peer]:
        return [peer for peer in self._model.sessions if roles is None or peer.authrole in roles]

    def _session(self, id: int) -> Peer:
        return found((peer for peer in self._model.sessions if peer.id == id), "no_such_session")

    def _kill(self, caller: Peer, id: int, **words: Any) -> list[Any]:
        reason = checked(words)
        victim = self._session(id)
        if victim is caller:
            raise Refused("no_such_session")
        self._end([victim], reason, words)
        return []

    def _kill_by_authid(self, caller: Peer, authid: str, **words: Any) -> list[Any]:
        victims = [peer for peer in self._model.sessions if peer.authid == authid and peer is not caller]
        self._end(victims, checked(words), words)
        return [[peer.id for peer in victims]]

    def _kill_by_authrole(self, caller: Peer, authrole: str, **words: Any) -> list[Any]:
        victims = [peer for peer in self._model.sessions if peer.authrole == authrole and peer is not caller]
        self._end(victims, checked(words), words)
        return [len(victims)]

    def _kill_all(self, caller: Peer, **words: Any) -> list[Any]:
        victims = [peer for peer in self._model.sessions if peer is not caller]
        self._end(victims, checked(words), words, is_silent=True)
        return [len(victims)]

    def _end(self, victims: list[Peer], reason: str | None, words: dict[str, Any], *, is_silent: bool = False) -> None:
        goodbye = ["GOODBYE", reason or "wamp.close.killed", words.get("message")]
        self._model.leave(*victims, goodbye=goodbye, is_silent=is_silent)

    # --- testaments -------------------------------------------------------------------------------

    def _add_testament(
        self,
        caller: Peer,
        topic: str,
        args: list[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        *,
        publish_options: dict[str, Any] | None = None,
        scope: str = "destroyed",
    ) -> list[Any]:
        if not is_uri(topic) or is_reserved(topic):
            raise Refused("invalid_uri")
        caller.testaments.append((scope, publish_options or {}, topic, args or [], kwargs or {}))
        return []

    def _flush_testaments(self, caller: Peer, *, scope: str = "destroyed") -> list[Any]:
        caller.testaments = [it for it in caller.testaments if it[0] != scope]
        return []

    def publish_testaments(self, peer: Peer, scope: str) -> None:
        """Publish what a session left behind, once."""
        due = [it for it in peer.testaments if it[0] == scope]
        self._flush_testaments(peer, scope=scope)
        for _, *publish in due:
            self._model.broker.publish(peer, False, *publish)

    # --- registrations and subscriptions ----------------------------------------------------------

    def _registration(self, id: int) -> Any:
        return found((it for it in self._model.registrations.all if it.id == id), "no_such_registration")

    def _subscription(self, id: int) -> Any:
        return found((it for it in self._model.broker.subscriptions if it.id == id), "no_such_subscription")

    def _remove_callee(self, caller: Peer, id: int, session: int, reason: Any = None) -> list[Any]:
        words = {"reason": checked({"reason": reason})} if reason is not None else {}
        registration, callee = self._registration(id), self._session(session)
        if callee not in registration.callees:
            raise Refused("no_such_registration")
        self._model.registrations.revoke(callee, registration, words)
        return []

    def _remove_subscriber(self, caller: Peer, id: int, session: int, reason: Any = None) -> list[Any]:
        words = {"reason": checked({"reason": reason})} if reason is not None else {}
        subscription, subscriber = self._subscription(id), self._session(session)
        if subscriber not in subscription.subscribers:
            raise Refused("no_such_subscription")
        self._model.broker.revoke(subscriber, subscription, words)
        return []


def details(peer: Peer) -> dict[str, Any]:
    """What is told of a session."""
    return {
        "session": peer.id,
        "authid": peer.authid,
        "authrole": peer.authrole,
        "authmethod": "anonymous",
        "authprovider": "static",
        "transport": {},
    }


def ids(things: list[Any]) -> dict[str, list[int]]:
    """Ids by policy."""
    return {match: [it.id for it in things if it.match == match] for match in ("exact", "prefix", "wildcard")}


def lookup(things: list[Any], uri: str, options: dict[str, Any] | None) -> int | None:
    """Id of what has exactly this URI and policy."""
    match = (options or {}).get("match") or "exact"
    return id_of(next((it for it in things if (it.uri, it.match) == (uri, match)), None))


def id_of(thing: Any) -> int | None:
    """Its id, if there is such a thing."""
    return None if thing is None else thing.id


def found(things: Any, error: str) -> Any:
    """The first of them, of which there must be one."""
    thing = next(things, None)
    if thing is None:
        raise Refused(error)
    return thing


def checked(words: dict[str, Any]) -> str | None:
    """The reason among these words, which is a URI."""
    reason = words.get("reason")
    if reason is not None and not (isinstance(reason, str) and is_uri(reason)):
        raise Refused("invalid_uri")
    return reason
