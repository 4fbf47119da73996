"""Long lists of ids that meta procedures answer: one after the other, and where each id has to be thought about, bit by
bit. Others have their turns meanwhile."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Protocol, TypeVar

from rocade.errors import ApplicationError
from rocade.router.answer import Answer
from rocade.router.effects import BitByBit, Deliver, Effect
from rocade.wamp.id_lists import ids_payload
from rocade.wamp.messages import Match, Result, ResultDetails

if TYPE_CHECKING:
    from rocade.router.patterns import PatternIndex
    from rocade.router.realm import Realm
    from rocade.router.session import Session

__all__ = ["LONG", "IdAnswers", "ids_by_match"]

LONG = 500
"""Lists of no more ids than this are answered at once: to think about each takes 1 to 2 ms, if that must be."""

MAX_WAITING = 100
"""Long answers that one session may be waiting for."""

Ids = list[int] | dict[str, list[int]]


class Listed(Protocol):
    """What has an id: a subscription or a registration."""

    id: int
    uri: str
    match: Match


T = TypeVar("T", bound=Listed)


def ids_by_match(by_id: Mapping[int, T], index: PatternIndex[T]) -> dict[str, list[int]]:
    """All ids, by match policy.

    Args:
        by_id: id -> what it is of.
        index: the same, by URI or pattern.
    """
    patterns = {match.value: sorted(it.id for it in index.values(match)) for match in (Match.PREFIX, Match.WILDCARD)}
    some = frozenset(chain.from_iterable(patterns.values()))
    # There may be a million: not even one attribute of each is looked at.
    exact = [id for id in by_id if id not in some] if some else list(by_id)
    return {Match.EXACT.value: exact, **patterns}


class IdAnswers:
    """Answers that take long: there are many ids, or of each it must be found out whether the caller may see it.

    One is found after the other, in turn for those who wait for some; what there is then is what counts.

    Attributes:
        is_over: whether nobody waits.
    """

    __slots__ = ("_now", "_realm", "_waiting", "is_over")

    def __init__(self, realm: Realm) -> None:
        """
        Args:
            realm: whose sessions ask.
        """
        self.is_over = True
        self._realm = realm
        # caller -> its calls; the first one's is being answered
        self._waiting: OrderedDict[Session, deque[tuple[int, Callable[[], Generator[None, None, Ids]]]]] = OrderedDict()
        self._now: Generator[None, None, Ids] | None = None

    def all(self, caller: Session, count: int, ids: Callable[[], Ids]) -> Answer:
        """Ids that the caller may see.

        Args:
            caller: who asks.
            count: how many there are, about.
            ids: makes the list, or several by name.
        Raises:
            ApplicationError: wamp.error.limit_exceeded: the caller waits for many answers already.
        """

        def found() -> Generator[None, None, Ids]:
            yield
            return ids()

        return Answer([ids()]) if count <= LONG else self._later(caller, found)

    def visible(self, caller: Session, things: Mapping[int, T], may_see: Callable[[T], bool]) -> Answer:
        """The ids of those things that the caller may see, by match policy.

        Args:
            caller: who asks.
            things: id -> all that there is.
            may_see: whether the caller may see one of them.
        Raises:
            ApplicationError: wamp.error.limit_exceeded: the caller waits for many answers already.
        """

        def found() -> Generator[None, None, Ids]:
            ids: dict[str, list[int]] = {match.value: [] for match in Match}
            for thing in list(things.values()):
                if may_see(thing):
                    ids[thing.match.value].append(thing.id)
                yield
            return ids

        return Answer([_result(found())]) if len(things) <= LONG else self._later(caller, found)

    def _later(self, caller: Session, found: Callable[[], Generator[None, None, Ids]]) -> Answer:
        if len(self._waiting.get(caller, ())) >= MAX_WAITING:
            raise ApplicationError("wamp.error.limit_exceeded", f"{MAX_WAITING} long answers are on their way already")

        def begin(request: int) -> list[Effect]:
            self._waiting.setdefault(caller, deque()).append((request, found))
            if not self.is_over:
                return []
            self.is_over = False
            return [BitByBit(self)]

        return Answer(begin=begin)

    def go_on(self, most: int) -> list[Effect]:
        """Look at so many things, at most.

        Returns:
            RESULT to those whose answers are complete.
        """
        effects: list[Effect] = []
        waiting = self._waiting
        for _ in range(most):
            if not waiting:
                break
            caller, calls = next(iter(waiting.items()))
            if self._realm.sessions.get(caller.id) is not caller:
                del waiting[caller]
                self._now = None
                continue
            request, found = calls[0]
            self._now = self._now or found()
            try:
                next(self._now)
            except StopIteration as result:
                self._now = None
                effects.append(_answered(caller, request, result.value))
                self._done(caller)
            except Exception:
                self._now = None
                self._done(caller)
                raise
        self.is_over = not waiting
        return effects

    def _done(self, caller: Session) -> None:
        """The first call is answered, or never will be: now it is the turn of somebody else."""
        calls = self._waiting[caller]
        calls.popleft()
        self._waiting.move_to_end(caller)
        if not calls:
            del self._waiting[caller]
        self.is_over = not self._waiting


def _answered(caller: Session, request: int, ids: Ids) -> Effect:
    result = Result(request, ResultDetails(), ids_payload(caller.serializer, ids))
    return Deliver(result, (caller,), caller.serializer)


def _result(steps: Generator[None, None, Ids]) -> Ids:
    while True:
        try:
            next(steps)
        except StopIteration as result:
            ids: Ids = result.value
            return ids
