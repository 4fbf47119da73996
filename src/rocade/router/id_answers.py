"""Long lists of ids that meta procedures answer: one after the other, and each bit by bit. Others have their turns
meanwhile."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from rocade.errors import ApplicationError
from rocade.router.answer import Answer
from rocade.router.effects import BitByBit, Deliver, Effect
from rocade.wamp.id_lists import ids_payload
from rocade.wamp.messages import Match, Result, ResultDetails

if TYPE_CHECKING:
    from rocade.router.realm import Realm
    from rocade.router.session import Session

__all__ = ["AT_ONCE", "LONG", "IdAnswers"]

LONG = 500
"""Lists of no more ids than this are answered at once: to think about each takes 1 to 2 ms, if that must be."""

AT_ONCE = 100
"""Things whose ids are looked at in one step, where that is all there is to it."""

MAX_WAITING = 100
"""Long answers that one session may be waiting for."""

Ids = list[int] | dict[str, list[int]]


class HasId(Protocol):
    """A session, a subscription or a registration."""

    id: int


class Listed(HasId, Protocol):
    """A subscription or a registration."""

    uri: str
    match: Match


T = TypeVar("T", bound=Listed)


class IdAnswers:
    """Answers that take long: there are many ids, or of each it must be found out whether the caller may see it.

    One is found after the other, in turn for those who wait for some. What is there then, and stays, is in it.

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
        self._now: Generator[None, None, Effect] | None = None

    def all(self, caller: Session, count: int, things: Callable[[], Iterable[HasId]]) -> Answer:
        """A list of ids.

        Args:
            caller: who asks.
            count: how many there are, about.
            things: what they are of. They are called for once, and may come and go while one after the other is taken.
        Raises:
            ApplicationError: wamp.error.limit_exceeded: the caller waits for many answers already.
        """
        return self._answer(caller, count, lambda: _in_a_list(things()))

    def by_match(
        self,
        caller: Session,
        things: Mapping[int, T],
        has_patterns: Callable[[], bool],
        *,
        may_see: Callable[[T], bool] | None = None,
    ) -> Answer:
        """The ids of all that there is, or of what the caller may see, by match policy.

        Args:
            caller: who asks.
            things: id -> all that there is.
            has_patterns: whether any of them is a prefix or a wildcard.
            may_see: whether the caller may see one of them; None if it sees all.
        Raises:
            ApplicationError: wamp.error.limit_exceeded: the caller waits for many answers already.
        """
        return self._answer(
            caller,
            len(things),
            lambda: _all_by_match(things, has_patterns) if may_see is None else _by_match(things, may_see),
        )

    def _answer(self, caller: Session, count: int, found: Callable[[], Generator[None, None, Ids]]) -> Answer:
        if count <= LONG:
            return Answer([_result(found())])
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
        """Do so many steps, at most.

        Returns:
            RESULT, as soon as an answer is complete: what comes then may fail.
        """
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
            try:
                self._now = self._now or _answered(caller, request, found())
                next(self._now)
            except StopIteration as result:
                self._done(caller)
                return [result.value]
            except Exception:
                self._done(caller)
                raise
        self.is_over = not waiting
        return []

    def _done(self, caller: Session) -> None:
        """The first call is answered, or never will be: now it is the turn of somebody else."""
        self._now = None
        calls = self._waiting[caller]
        calls.popleft()
        self._waiting.move_to_end(caller)
        if not calls:
            del self._waiting[caller]
        self.is_over = not self._waiting


def _answered(caller: Session, request: int, found: Generator[None, None, Ids]) -> Generator[None, None, Effect]:
    """RESULT with the ids that are found."""
    ids = yield from found
    serializer = caller.serializer
    args = yield from ids_payload(serializer, ids)
    return Deliver(Result(request, ResultDetails(), args), (caller,), serializer)


def _in_a_list(things: Iterable[HasId]) -> Generator[None, None, list[int]]:
    ids: list[int] = []
    rest = iter(things)
    while some := [thing.id for thing in islice(rest, AT_ONCE)]:
        ids += some
        yield
    return ids


def _all_by_match(
    things: Mapping[int, Listed], has_patterns: Callable[[], bool]
) -> Generator[None, None, dict[str, list[int]]]:
    yield
    if has_patterns():
        return (yield from _by_match(things, None))
    # There may be a million, and not even one attribute of each is looked at.
    return {match.value: list(things) if match is Match.EXACT else [] for match in Match}


def _by_match(
    things: Mapping[int, T], may_see: Callable[[T], bool] | None
) -> Generator[None, None, dict[str, list[int]]]:
    ids: dict[str, list[int]] = {match.value: [] for match in Match}
    exact, prefix, wildcard = Match.EXACT, Match.PREFIX, Match.WILDCARD
    for some in _in_portions(things, AT_ONCE if may_see is None else 1):
        seen = some if may_see is None else [thing for thing in some if may_see(thing)]
        exacts = [thing.id for thing in seen if thing.match is exact]
        ids[exact.value] += exacts
        if len(exacts) != len(seen):
            ids[prefix.value] += [thing.id for thing in seen if thing.match is prefix]
            ids[wildcard.value] += [thing.id for thing in seen if thing.match is wildcard]
        yield
    return ids


def _in_portions(things: Mapping[int, T], most: int) -> Iterator[list[T]]:
    """All that is there now, in its order, but for what goes before it comes to it."""
    ids = list(things)
    ids.reverse()  # from its end a list can be shortened
    while ids:
        some = ids[: -most - 1 : -1]
        del ids[-most:]
        yield [things[id] for id in some if id in things]


def _result(steps: Generator[None, None, Ids]) -> Ids:
    while True:
        try:
            next(steps)
        except StopIteration as result:
            ids: Ids = result.value
            return ids
