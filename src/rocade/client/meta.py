"""Procedures of the router itself that have a helper in the client: testaments and event history."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from rocade.client.details import CallResult, PastEvent
from rocade.client.options import PublishOptions
from rocade.errors import ApplicationError
from rocade.wamp.messages import Match

if TYPE_CHECKING:
    from rocade.client.session import Session

__all__ = ["Scope", "Testaments", "history"]

Scope = Literal["destroyed", "detached"]
"""When a testament is published: when the session has ended, or already when its connection is lost."""

PAGE = 1000
"""Events of the history that are asked for at once; the router gives fewer when they are long."""


@dataclass(frozen=True, slots=True)
class _Testament:
    topic: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: PublishOptions | None
    scope: Scope
    is_kept: bool


class Testaments:
    """What a session leaves behind; made anew in the session that replaces it (advanced/pubsub_testament.md)."""

    def __init__(self, session: Session) -> None:
        """
        Args:
            session: whose testaments.
        """
        self._session = session
        self._all: list[_Testament] = []

    async def add(
        self,
        topic: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: PublishOptions | None,
        scope: Scope,
        *,
        is_kept: bool,
    ) -> None:
        """See `Session.add_testament`."""
        testament = _Testament(topic, args, kwargs, options, scope, is_kept)
        await self._send(testament)
        self._all.append(testament)

    async def flush(self, scope: Scope) -> None:
        """See `Session.flush_testaments`."""
        self._all = [testament for testament in self._all if testament.scope != scope]
        await self._session.call("wamp.session.flush_testaments", scope=scope)

    async def restore(self, *scopes: Scope) -> None:
        """Make them again, of these scopes: in a new session all, in a resumed one those that have been published."""
        if "destroyed" in scopes:
            self._all = [testament for testament in self._all if testament.is_kept]
        for testament in self._all:
            if testament.scope in scopes:
                await self._send(testament)

    async def _send(self, testament: _Testament) -> None:
        options = {} if testament.options is None else {"publish_options": msgspec.to_builtins(testament.options)}
        await self._session.call(
            "wamp.session.add_testament",
            testament.topic,
            list(testament.args),
            dict(testament.kwargs),
            scope=testament.scope,
            **options,
        )


async def history(
    session: Session, topic: str, match: Match, limit: int | None, reverse: bool, conditions: Mapping[str, Any]
) -> AsyncGenerator[PastEvent, None]:
    """See `Session.history`."""
    subscription = await session.call("wamp.subscription.lookup", topic, {"match": match.value})
    if subscription is None:
        raise ApplicationError("wamp.error.no_such_subscription", f"there is no history of {topic!r}")
    conditions = {name: _timestamp(value) for name, value in conditions.items()}
    behind = "before_publication" if reverse else "after_publication"
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(left, PAGE)
        page = await session.call("wamp.subscription.get_events", subscription, size, reverse=reverse, **conditions)
        records, has_more = _records(page)
        for record in records:
            yield _event(session, topic, record)
        left = None if left is None else left - len(records)
        if not has_more or not records:
            return
        conditions[behind] = records[-1]["publication"]


def _records(page: Any) -> tuple[list[dict[str, Any]], bool]:
    """The events in an answer, and whether there are more; Crossbar.io gives one list, and does not say."""
    if isinstance(page, CallResult):
        records, has_more = list(page.args), bool(page.kwargs.get("has_more"))
    else:
        records, has_more = [] if page is None else [page], False
    if len(records) == 1 and isinstance(records[0], list):
        records = records[0]
    return records, has_more


def _event(session: Session, topic: str, record: dict[str, Any]) -> PastEvent:
    details = record.get("details") or {}
    return PastEvent(
        session=session,
        topic=details.get("topic") or topic,
        publication=record["publication"],
        publisher=details.get("publisher"),
        publisher_authid=details.get("publisher_authid"),
        publisher_authrole=details.get("publisher_authrole"),
        trustlevel=details.get("trustlevel"),
        args=record.get("args") or [],
        kwargs=record.get("kwargs") or {},
        timestamp=msgspec.convert(record["timestamp"], datetime),
    )


def _timestamp(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("a time needs a time zone, such as datetime.now(timezone.utc)")
    return value.isoformat()
