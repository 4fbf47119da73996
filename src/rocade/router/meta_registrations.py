"""The registration meta API: who has registered what, and how to end a registration.

Specification: advanced/meta_api_registrations.md, advanced/rpc_registration_revocation.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rocade.errors import ApplicationError
from rocade.router.answer import Answer
from rocade.router.meta_events import iso_8601
from rocade.router.meta_sessions import checked_reason, no_such_session
from rocade.router.permissions import Action
from rocade.router.session import Session
from rocade.router.visibility import Visibility
from rocade.wamp.messages import Id, Match, RegisterOptions

if TYPE_CHECKING:
    from rocade.router.realm import Realm
    from rocade.router.registrations import Registration

__all__ = ["RegistrationMeta", "registration_details"]

LIST = "wamp.registration.list"


class RegistrationMeta:
    """Procedures about registrations. The meta procedures themselves are none."""

    def __init__(self, realm: Realm) -> None:
        """
        Args:
            realm: whose registrations.
        """
        self._realm = realm
        self._dealer = realm.dealer
        self._visibility = Visibility(realm, Action.CALL, Action.REGISTER)

    def procedures(self) -> dict[str, Callable[..., Answer]]:
        """URI -> method."""
        return {
            LIST: self.ids,
            "wamp.registration.lookup": self.lookup,
            "wamp.registration.match": self.match,
            "wamp.registration.get": self.get,
            "wamp.registration.list_callees": self.list_callees,
            "wamp.registration.count_callees": self.count_callees,
            "wamp.registration.remove_callee": self.remove_callee,
        }

    def ids(self, caller: Session) -> Answer:
        """Ids of all registrations, for each match policy."""
        answers, dealer, may_use = self._realm.meta.id_answers, self._dealer, self._visibility.may_use
        if self._visibility.sees_all(caller, LIST):
            return answers.by_match(caller, dealer.registrations, dealer.has_patterns)
        return answers.by_match(
            caller,
            dealer.registrations,
            dealer.has_patterns,
            may_see=lambda registration: may_use(caller, registration.uri, registration.match),
        )

    def lookup(self, caller: Session, procedure: str, options: RegisterOptions | None = None) -> Answer:
        """Id of the registration of exactly this procedure or pattern, or null."""
        match = (options.match if options is not None else None) or Match.EXACT
        registration = self._dealer.lookup(procedure, match)
        if registration is not None and not self._visibility.sees(caller, "wamp.registration.lookup", procedure, match):
            registration = None
        return Answer([registration.id if registration is not None else None])

    def match(self, caller: Session, procedure: str) -> Answer:
        """Id of the registration that gets the calls of this procedure, or null."""
        registration = self._dealer.best_match(procedure)
        if registration is not None and not self._visibility.sees(
            caller, "wamp.registration.match", procedure, Match.EXACT
        ):
            registration = None
        return Answer([registration.id if registration is not None else None])

    def get(self, caller: Session, registration: Id) -> Answer:
        """What on_create told about a registration."""
        return Answer([registration_details(self._find(caller, "wamp.registration.get", registration))])

    def list_callees(self, caller: Session, registration: Id) -> Answer:
        """Ids of the sessions that have registered."""
        found = self._find(caller, "wamp.registration.list_callees", registration)
        callees = found.callees
        return self._realm.meta.id_answers.all(caller, len(callees), lambda: list(callees))

    def count_callees(self, caller: Session, registration: Id) -> Answer:
        """How many sessions have registered."""
        return Answer([len(self._find(caller, "wamp.registration.count_callees", registration).callees)])

    def remove_callee(self, caller: Session, registration: Id, session: Id, reason: Any = None) -> Answer:
        """End a session's registration without its doing: Crossbar's addition to the specification.

        The reason is a URI, although the specification allows any string: autobahn drops the connection over others.
        """
        uri = checked_reason(reason)
        found = self._find(caller, "wamp.registration.remove_callee", registration)
        callee = self._realm.sessions.get(session)
        if callee is None:
            raise no_such_session(session)
        if callee not in found.callees:
            raise ApplicationError(
                "wamp.error.no_such_registration", f"session {session} has no registration {registration}"
            )
        return Answer([], self._dealer.revoke(callee, found, uri))

    def _find(self, caller: Session, procedure: str, id: int) -> Registration:
        registration = self._dealer.registrations.get(id)
        if registration is None or not self._visibility.sees(caller, procedure, registration.uri, registration.match):
            raise ApplicationError("wamp.error.no_such_registration", f"there is no registration {id} in this realm")
        return registration


def registration_details(registration: Registration) -> dict[str, Any]:
    """RegistrationDetails of the specification."""
    return {
        "id": registration.id,
        "created": iso_8601(registration.created),
        "uri": registration.uri,
        "match": registration.match.value,
        "invoke": registration.invoke.value,
    }
