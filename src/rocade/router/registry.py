"""All registrations of a realm: found by URI, made and removed.

Specification: advanced/rpc_pattern_based_registration.md, advanced/rpc_shared_registration.md.
"""

from __future__ import annotations

from collections.abc import Callable

from rocade.errors import ApplicationError, LimitExceeded
from rocade.router.limits import NONE
from rocade.router.patterns import PatternIndex
from rocade.router.registrations import Registration
from rocade.router.session import Session
from rocade.wamp.ids import RouterIds
from rocade.wamp.messages import Invoke, Match, Register
from rocade.wamp.uris import is_pattern, is_reserved, is_uri, shown

__all__ = ["Registry"]


class Registry:
    """The registrations of a realm.

    Attributes:
        index: them, by procedure or pattern.
        by_id: registration id -> registration.
    """

    __slots__ = ("_attached", "_ids", "_max_attached", "_strict", "_wall_clock", "by_id", "index")

    def __init__(
        self, wall_clock: Callable[[], float], *, strict_uris: bool = False, max_registrations: int = NONE
    ) -> None:
        """
        Args:
            wall_clock: the time of day, in seconds since 1970.
            strict_uris: accept only lower-case letters, digits and "_" in URI components.
            max_registrations: of all sessions together, see `RealmLimits`.
        """
        self._wall_clock = wall_clock
        self._strict = strict_uris
        self._attached = 0
        self._max_attached = max_registrations
        self._ids = RouterIds()
        self.index: PatternIndex[Registration] = PatternIndex()
        self.by_id: dict[int, Registration] = {}

    def find(self, procedure: str) -> Registration:
        """The registration that gets a call for which there is none of exactly its procedure.

        Raises:
            ApplicationError: wamp.error.no_such_procedure, wamp.error.invalid_uri.
        """
        if not is_uri(procedure, strict=self._strict):
            raise ApplicationError("wamp.error.invalid_uri", f"not a valid procedure: {shown(procedure)}")
        # A pattern may be broad enough to match the protocol's own procedures, but clients do not get those calls.
        if self.index.has_patterns() and not is_reserved(procedure):
            registration = self.index.best(procedure)
            if registration is not None:
                return registration
        raise ApplicationError("wamp.error.no_such_procedure", f"no procedure {shown(procedure)} is registered")

    def match(self, procedure: str) -> Registration | None:
        """The registration that gets the calls of this procedure, if there is one and there can be such calls."""
        if is_reserved(procedure) or not is_uri(procedure, strict=self._strict):
            return None
        return self.index.best(procedure)

    def add(self, callee: Session, message: Register) -> tuple[Registration, bool]:
        """Add a callee to the registration that it asks for.

        Returns:
            The registration, and whether it is new.
        Raises:
            ApplicationError: wamp.error.procedure_already_exists, wamp.error.invalid_uri.
            LimitExceeded: the session, or the realm, has as many as it may have.
        """
        procedure, options = message.procedure, message.options
        match, invoke = options.match or Match.EXACT, options.invoke or Invoke.SINGLE
        registration = self.index.get(procedure, match)
        is_new = registration is None
        self._check_room(callee)
        if registration is None:
            self._check(procedure, match)
            registration = Registration(self._ids.next(self.by_id), procedure, match, invoke, self._wall_clock())
            self.index.add(procedure, match, registration)
            self.by_id[registration.id] = registration
        else:
            _check_shared(registration, callee, invoke)
        registration.add(callee, options)
        callee.registrations[registration.id] = registration
        self._attached += 1
        return registration, is_new

    def remove(self, callee: Session, registration: Registration) -> bool:
        """Take a callee off a registration; whether the registration is gone with it."""
        registration.remove(callee)
        self._attached -= 1
        if registration.callees:
            return False
        self.index.remove(registration.uri, registration.match)
        del self.by_id[registration.id]
        return True

    def _check_room(self, callee: Session) -> None:
        most = callee.limits.registrations
        if len(callee.registrations) >= most:
            raise LimitExceeded("registrations", most, f"a session may have {most} registrations")
        if self._attached >= self._max_attached:
            text = f"the realm has the {self._max_attached} registrations that it may have"
            raise LimitExceeded("realm_registrations", self._max_attached, text)

    def _check(self, procedure: str, match: Match) -> None:
        valid = is_uri if match is Match.EXACT else is_pattern
        if not valid(procedure, strict=self._strict):
            raise ApplicationError("wamp.error.invalid_uri", f"not a valid procedure: {shown(procedure)}")
        if is_reserved(procedure):
            raise ApplicationError(
                "wamp.error.invalid_uri", f"procedures below 'wamp.' are reserved: {shown(procedure)}"
            )


def _check_shared(registration: Registration, session: Session, invoke: Invoke) -> None:
    uri = shown(registration.uri)
    if session in registration.callees:
        raise ApplicationError("wamp.error.procedure_already_exists", f"this session has registered {uri} already")
    if registration.invoke is Invoke.SINGLE or invoke is Invoke.SINGLE:
        raise ApplicationError("wamp.error.procedure_already_exists", f"{uri} is registered already")
    if registration.invoke is not invoke:
        raise ApplicationError(
            "wamp.error.procedure_already_exists",
            f"{uri} is registered with invocation policy {registration.invoke.value!r}, not {invoke.value!r}",
        )
