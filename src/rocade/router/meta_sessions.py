"""The session meta API: who is in the realm, and how to end a session.

Specification: advanced/meta_api_sessions.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from rocade.errors import ApplicationError
from rocade.router.answer import Answer
from rocade.router.effects import Effect
from rocade.router.session import Session
from rocade.wamp.messages import Id
from rocade.wamp.uris import is_uri, shown

if TYPE_CHECKING:
    from rocade.router.realm import Realm

__all__ = ["SessionMeta", "checked_reason", "no_such_session"]

ON_JOIN = "wamp.session.on_join"
ON_LEAVE = "wamp.session.on_leave"
KILLED = "wamp.close.killed"
"""Reason of the GOODBYE to a session that is killed without a reason of its own."""

ShortText = Annotated[str, Meta(max_length=500)]
"""Words for a GOODBYE."""


class SessionMeta:
    """Procedures and events about sessions."""

    def __init__(self, realm: Realm) -> None:
        """
        Args:
            realm: whose sessions.
        """
        self._realm = realm

    def procedures(self) -> dict[str, Callable[..., Answer]]:
        """URI -> method."""
        return {
            "wamp.session.count": self.count,
            "wamp.session.list": self.ids,
            "wamp.session.get": self.get,
            "wamp.session.kill": self.kill,
            "wamp.session.kill_by_authid": self.kill_by_authid,
            "wamp.session.kill_by_authrole": self.kill_by_authrole,
            "wamp.session.kill_all": self.kill_all,
        }

    # --- events -----------------------------------------------------------------------------------

    def joined(self, session: Session) -> list[Effect]:
        """wamp.session.on_join."""
        announcer = self._realm.broker.announcer
        return announcer.announce(ON_JOIN, _details(session)) if announcer.has_audience(ON_JOIN) else []

    def left(self, session: Session) -> list[Effect]:
        """wamp.session.on_leave."""
        return self._realm.broker.announcer.announce(ON_LEAVE, session.id, session.authid, session.role.name)

    # --- procedures that tell ---------------------------------------------------------------------

    def count(self, caller: Session, filter_authroles: list[str] | None = None) -> Answer:
        """How many sessions there are, of certain roles or of all."""
        return Answer([len(self._of_roles(filter_authroles))])

    def ids(self, caller: Session, filter_authroles: list[str] | None = None) -> Answer:
        """Ids of all sessions, or of those of certain roles."""
        count = len(self._realm.sessions)
        return self._realm.meta.id_answers.all(caller, count, lambda: list(self._of_roles(filter_authroles)))

    def get(self, caller: Session, session: Id) -> Answer:
        """What on_join told about a session."""
        return Answer([_details(self._find(session))])

    # --- procedures that kill ---------------------------------------------------------------------

    def kill(self, caller: Session, session: Id, *, reason: Any = None, message: ShortText | None = None) -> Answer:
        """End one session, which is not the caller's own."""
        uri = checked_reason(reason) or KILLED
        victim = self._find(session)
        if victim is caller:
            # "since no _other_ session with that ID exists"
            raise ApplicationError("wamp.error.no_such_session", f"session {session} is the caller's own")
        return Answer([], self._realm.end((victim,), uri, message))

    def kill_by_authid(
        self, caller: Session, authid: str, *, reason: Any = None, message: ShortText | None = None
    ) -> Answer:
        """End all sessions of a client, but for the caller's own; returns their ids."""
        uri = checked_reason(reason) or KILLED
        victims = [session for session in self._others(caller) if session.authid == authid]
        return Answer([[session.id for session in victims]], self._realm.end(victims, uri, message))

    def kill_by_authrole(
        self, caller: Session, authrole: str, *, reason: Any = None, message: ShortText | None = None
    ) -> Answer:
        """End all sessions of a role, but for the caller's own; returns how many those were."""
        uri = checked_reason(reason) or KILLED
        victims = [session for session in self._others(caller) if session.role.name == authrole]
        return Answer([len(victims)], self._realm.end(victims, uri, message))

    def kill_all(self, caller: Session, *, reason: Any = None, message: ShortText | None = None) -> Answer:
        """End all sessions but the caller's own; returns how many those were.

        "Closing all sessions in the realm will not generate session meta events or testament events".
        """
        uri = checked_reason(reason) or KILLED
        victims = self._others(caller)
        return Answer([len(victims)], self._realm.end(victims, uri, message, silently=True))

    # --- details ----------------------------------------------------------------------------------

    def _find(self, id: int) -> Session:
        session = self._realm.sessions.get(id)
        if session is None:
            raise no_such_session(id)
        return session

    def _of_roles(self, names: Collection[str] | None) -> Collection[Session]:
        sessions = self._realm.sessions.values()
        if names is None:
            return sessions
        wanted = frozenset(names)
        return [session for session in sessions if session.role.name in wanted]

    def _others(self, caller: Session) -> list[Session]:
        return [session for session in self._realm.sessions.values() if session is not caller]


def no_such_session(id: int) -> ApplicationError:
    """The error for a session that is not there."""
    return ApplicationError("wamp.error.no_such_session", f"there is no session {id} in this realm")


def _details(session: Session) -> dict[str, Any]:
    return {
        "session": session.id,
        "authid": session.authid,
        "authrole": session.role.name,
        "authmethod": session.authmethod,
        "authprovider": session.authprovider,
        "transport": session.transport,
    }


def checked_reason(reason: Any) -> str | None:
    """A reason that was given, or None. Whatever is no URI, of any type, is an invalid one.

    Raises:
        ApplicationError: wamp.error.invalid_uri.
    """
    if reason is None:
        return None
    if type(reason) is not str or not is_uri(reason):
        raise ApplicationError("wamp.error.invalid_uri", f"reason: not a valid URI: {shown(str(reason))}")
    return reason
