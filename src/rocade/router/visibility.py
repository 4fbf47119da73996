"""What the meta API shows to whom: nobody learns of a procedure or topic that it could not use anyway.

Whoever was let to the meta API by a rule about it ("wamp.…"), by one that allows everything, or by an authorizer that
was asked about it, sees all. Whoever is there by a rule in general, such as "*", sees what it may call or register,
and publish or subscribe to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocade.router.permissions import Action, is_meant_for
from rocade.router.session import Session
from rocade.wamp.messages import Match

if TYPE_CHECKING:
    from rocade.router.realm import Realm

__all__ = ["Visibility"]


class Visibility:
    """What sessions see of one kind of thing."""

    __slots__ = ("_actions", "_realm")

    def __init__(self, realm: Realm, *actions: Action) -> None:
        """
        Args:
            realm: where.
            *actions: whoever may do one of these with it, sees it.
        """
        self._realm = realm
        self._actions = actions

    def sees_all(self, session: Session, procedure: str) -> bool:
        """Whether nothing is hidden from the caller of a meta procedure.

        Args:
            session: the caller, which was allowed to call.
            procedure: the meta procedure.
        """
        return _is_meant(session, Action.CALL, procedure) or self._may_use_all(session)

    def sees(self, session: Session, procedure: str, uri: str, match: Match) -> bool:
        """Whether the caller of a meta procedure may see what is registered or subscribed to.

        Args:
            session: the caller.
            procedure: the meta procedure.
            uri, match: of the registration or subscription.
        """
        return self.sees_all(session, procedure) or self.may_use(session, uri, match)

    def hears(self, session: Session, topic: str, uri: str, match: Match) -> bool:
        """Whether a subscriber may hear of a registration or subscription.

        Args:
            session: is subscribed to the meta topic.
            topic: the meta topic.
            uri, match: of the registration or subscription.
        """
        return (
            self._may_use_all(session)
            or _is_meant(session, Action.SUBSCRIBE, topic)
            or self.may_use(session, uri, match)
        )

    def _may_use_all(self, session: Session) -> bool:
        return not session.role.everywhere.isdisjoint(self._actions)

    def may_use(self, session: Session, uri: str, match: Match) -> bool:
        """Whether a session may do anything with this.

        Args:
            session: any session.
            uri, match: of a registration or subscription.
        """
        return any(self._realm.authorize(session, action, uri, match, waits=False).allowed for action in self._actions)


def _is_meant(session: Session, action: Action, uri: str) -> bool:
    """Whether the rule by which a session may do this was meant for it. None is where an authorizer was asked."""
    rule = session.role.decide(action, uri, Match.EXACT).rule
    return rule is None or is_meant_for(rule, uri)
