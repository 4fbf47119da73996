"""Which subscribers of a topic get an event: black- and whitelisting.

All lists of PUBLISH.Options are combined by "and" with publisher exclusion. A list that is there but empty
means what it says: nobody is eligible, nobody is excluded.

Specification: advanced/pubsub_subscriber_blackwhite_listing.md, advanced/pubsub_publisher_exclusion.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from msgspec import Struct

from rocade.router.session import Session
from rocade.wamp.messages import PublishOptions

__all__ = ["Lists", "lists_of", "receivers"]

T = TypeVar("T")


def receivers(
    subscribers: Collection[Session], publisher: Session, options: PublishOptions, lists: Lists | None
) -> Collection[Session]:
    """The subscribers that an event is for, in the order in which they subscribed.

    Args:
        subscribers: sessions of one subscription.
        publisher: left out unless `exclude_me` is false.
        options: of the PUBLISH.
        lists: those among the options.
    """
    if options.exclude_me is not False and publisher in subscribers:
        subscribers = [session for session in subscribers if session is not publisher]
    if lists is None:
        return subscribers
    for exclude, key in (
        (lists.exclude, _session_id),
        (lists.exclude_authid, _authid),
        (lists.exclude_authrole, _authrole),
    ):
        if exclude:
            subscribers = _without(subscribers, key, exclude)
    for eligible, key in (
        (lists.eligible, _session_id),
        (lists.eligible_authid, _authid),
        (lists.eligible_authrole, _authrole),
    ):
        if eligible is not None:
            subscribers = _only(subscribers, key, eligible)
    return subscribers


class Lists(Struct, frozen=True, omit_defaults=True, gc=False):
    """The lists of a PUBLISH, for deciding later who may have its event. None stands for a list that is not there."""

    exclude: frozenset[int] | None = None
    exclude_authid: frozenset[str] | None = None
    exclude_authrole: frozenset[str] | None = None
    eligible: frozenset[int] | None = None
    eligible_authid: frozenset[str] | None = None
    eligible_authrole: frozenset[str] | None = None

    @property
    def names_sessions(self) -> bool:
        """Whether they depend on session ids, which mean nothing once the sessions are gone."""
        return self.exclude is not None or self.eligible is not None

    @property
    def admits_nobody(self) -> bool:
        """Whether a list of who is eligible is empty."""
        return any(
            eligible is not None and not eligible
            for eligible in (self.eligible, self.eligible_authid, self.eligible_authrole)
        )

    @property
    def size(self) -> int:
        """Bytes of memory, roughly."""
        sessions = len(self.exclude or ()) + len(self.eligible or ())
        names = 0
        for listed in (self.exclude_authid, self.exclude_authrole, self.eligible_authid, self.eligible_authrole):
            names += sum(_NAME_BYTES + len(name) for name in listed or ())
        return sessions * _SESSION_BYTES + names

    def admit(self, session: Session) -> bool:
        """Whether the event is for this session, by all six lists."""
        id = session.id
        return (
            (self.exclude is None or id not in self.exclude)
            and (self.eligible is None or id in self.eligible)
            and self.admit_identity(session.authid, session.role.name)
        )

    def admit_identity(self, authid: str, authrole: str) -> bool:
        """Whether the event is for somebody of this name and role, by the four lists that are not about sessions."""
        return (
            (self.exclude_authid is None or authid not in self.exclude_authid)
            and (self.exclude_authrole is None or authrole not in self.exclude_authrole)
            and (self.eligible_authid is None or authid in self.eligible_authid)
            and (self.eligible_authrole is None or authrole in self.eligible_authrole)
        )


_SESSION_BYTES = 100  # an integer, and its place in a set
_NAME_BYTES = 120


def lists_of(options: PublishOptions) -> Lists | None:
    """The lists of a PUBLISH; None when they restrict nobody, as an empty list of whom to exclude does."""
    if (
        options.exclude is None
        and options.eligible is None
        and options.exclude_authid is None
        and options.exclude_authrole is None
        and options.eligible_authid is None
        and options.eligible_authrole is None
    ):
        return None
    lists = Lists(
        exclude=frozenset(options.exclude) if options.exclude else None,
        exclude_authid=frozenset(options.exclude_authid) if options.exclude_authid else None,
        exclude_authrole=frozenset(options.exclude_authrole) if options.exclude_authrole else None,
        eligible=None if options.eligible is None else frozenset(options.eligible),
        eligible_authid=None if options.eligible_authid is None else frozenset(options.eligible_authid),
        eligible_authrole=None if options.eligible_authrole is None else frozenset(options.eligible_authrole),
    )
    return None if lists == _NO_LISTS else lists


_NO_LISTS = Lists()


def _session_id(session: Session) -> int:
    return session.id


def _authid(session: Session) -> str:
    return session.authid


def _authrole(session: Session) -> str:
    return session.role.name


def _without(sessions: Iterable[Session], key: Callable[[Session], T], unwanted: frozenset[T]) -> list[Session]:
    return [session for session in sessions if key(session) not in unwanted]


def _only(sessions: Iterable[Session], key: Callable[[Session], T], wanted: frozenset[T]) -> list[Session]:
    return [session for session in sessions if key(session) in wanted]
