"""Which subscribers of a topic get an event: black- and whitelisting.

All lists of PUBLISH.Options are combined by "and" with publisher exclusion. A list that is there but empty
means what it says: nobody is eligible, nobody is excluded.

Specification: advanced/pubsub_subscriber_blackwhite_listing.md, advanced/pubsub_publisher_exclusion.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from rocade.router.session import Session
from rocade.wamp.messages import PublishOptions

__all__ = ["receivers"]

T = TypeVar("T")


def receivers(subscribers: Collection[Session], publisher: Session, options: PublishOptions) -> Collection[Session]:
    """The subscribers that an event is for, in the order in which they subscribed.

    Args:
        subscribers: sessions of one subscription.
        publisher: left out unless `exclude_me` is false.
        options: of the PUBLISH.
    """
    if options.exclude_me is not False and publisher in subscribers:
        subscribers = [session for session in subscribers if session is not publisher]
    for exclude, key in (
        (options.exclude, _session_id),
        (options.exclude_authid, _authid),
        (options.exclude_authrole, _authrole),
    ):
        if exclude:
            subscribers = _without(subscribers, key, exclude)
    for eligible, key in (
        (options.eligible, _session_id),
        (options.eligible_authid, _authid),
        (options.eligible_authrole, _authrole),
    ):
        if eligible is not None:
            subscribers = _only(subscribers, key, eligible)
    return subscribers


def has_lists(options: PublishOptions) -> bool:
    """Whether any list restricts the receivers."""
    return not (
        options.exclude is None
        and options.eligible is None
        and options.exclude_authid is None
        and options.exclude_authrole is None
        and options.eligible_authid is None
        and options.eligible_authrole is None
    )


def _session_id(session: Session) -> int:
    return session.id


def _authid(session: Session) -> str:
    return session.authid


def _authrole(session: Session) -> str:
    return session.role.name


def _without(
    sessions: Iterable[Session], key: Callable[[Session], object], unwanted: Iterable[object]
) -> list[Session]:
    names = frozenset(unwanted)
    return [session for session in sessions if key(session) not in names]


def _only(sessions: Iterable[Session], key: Callable[[Session], object], wanted: Iterable[object]) -> list[Session]:
    names = frozenset(wanted)
    return [session for session in sessions if key(session) in names]
