"""Roles whose permissions somebody else knows: an authorizer, which is a procedure that is called or a Python function.

It is asked what no rule of the role speaks of, with Crossbar's arguments: details of the session, the URI, the action
and the options of the request. It answers true, false, or {"allow", "disclose", "cache"}. Whatever else it does (raise,
hang, vanish, talk nonsense) means no, and that there is no telling.

A session that provides the authorizer is not asked about: it would wait for itself. Nor is anybody who wants to
register the procedure of an authorizer, whosever it is: who may decide for others, rules say.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from rocade.errors import ApplicationError
from rocade.router.answer import Answer
from rocade.router.patterns import is_matched
from rocade.router.permissions import DENIED, Action, Decision
from rocade.router.session import Session
from rocade.serve.answers import Answers
from rocade.serve.internal import InternalCalls
from rocade.serve.made_function import MadeFunction
from rocade.wamp.messages import Details, Match

__all__ = ["AskedAuthorizer", "FunctionSource", "ProcedureSource", "RoleAuthorizers"]

logger = logging.getLogger("rocade.authorization")


class Source(Protocol):
    """Whom an authorizer asks.

    Attributes:
        name: for the log.
        waits: whether its answers must be awaited; if not, they may still have to.
    """

    name: str

    @property
    def waits(self) -> bool:
        """See above."""

    def ask(self, session: dict[str, Any], uri: str, action: str, options: dict[str, Any]) -> Any:
        """The answer, or what is to be awaited for it."""

    def is_provided_by(self, session: Session) -> bool:
        """Whether the session would be asked about itself."""

    def procedure(self, realm: str) -> tuple[str, str] | None:
        """Realm and URI of the procedure that is asked about sessions of a realm; None for functions."""


class ProcedureSource:
    """A procedure that some client has registered."""

    waits = True

    def __init__(self, calls: InternalCalls, procedure: str, realm: str | None) -> None:
        """
        Args:
            calls: how it is called.
            procedure: its URI.
            realm: where it is registered; None for the realm of the session that is asked about.
        """
        self.name = procedure
        self._calls = calls
        self._realm = realm

    def ask(self, session: dict[str, Any], uri: str, action: str, options: dict[str, Any]) -> Awaitable[Any]:
        """See `Source`."""
        return self._calls.call(self._realm or session["realm"], self.name, session, uri, action, options)

    def is_provided_by(self, session: Session) -> bool:
        """See `Source`."""
        return self._calls.is_callee(self._realm or session.realm, self.name, session)

    def procedure(self, realm: str) -> tuple[str, str] | None:
        """See `Source`."""
        return self._realm or realm, self.name


class FunctionSource:
    """A Python function. What is named in the configuration makes it; either may be a coroutine function."""

    def __init__(self, create: Callable[..., Any], config: dict[str, Any], name: str) -> None:
        """
        Args:
            create: called once, with `config` and None, before the function that it returns is called first.
            config: for it.
            name: of `create`, for the log.
        """
        self.name = name
        self._made = MadeFunction(create, config)

    @property
    def waits(self) -> bool:
        """See `Source`."""
        return self._made.function is None or inspect.iscoroutinefunction(self._made.function)

    def ask(self, session: dict[str, Any], uri: str, action: str, options: dict[str, Any]) -> Any:
        """See `Source`."""
        ask = self._made.function or self._made.call
        return ask(session, uri, action, options)

    def is_provided_by(self, session: Session) -> bool:
        """See `Source`."""
        return False

    def procedure(self, realm: str) -> tuple[str, str] | None:
        """See `Source`."""
        return None


class AskedAuthorizer:
    """One role's authorizer: asks, makes something sensible of the answer, and remembers it if it may.

    Attributes:
        source: who is asked.
        answers: what is remembered.
    """

    def __init__(self, source: Source, answers: Answers) -> None:
        """See the attributes."""
        self.source = source
        self.answers = answers

    def decide(
        self, session: Session, action: Action, uri: str, match: Match, options: Details | None
    ) -> Decision | Awaitable[Decision]:
        """As `Authorizer.authorize`."""
        remembered = self.answers.find(session, action, uri, match, asyncio.get_running_loop().time())
        if remembered is not None:
            return remembered
        if self.source.is_provided_by(session):
            return Decision(False, reason=f"it is the authorizer {self.source.name} itself, for which only rules count")
        question = _details(session), uri, action.value, _options(options, match)
        if self.source.waits:
            return self._decide_later(question, session, action, match)
        try:
            answer = self.source.ask(*question)
            if inspect.isawaitable(answer):
                return self._decide_later(question, session, action, match, answer)
        except Exception as error:
            return self._failed(error)
        return self._decided(answer, session, action, uri, match, self.answers.generation)

    async def _decide_later(
        self,
        question: tuple[dict[str, Any], str, str, dict[str, Any]],
        session: Session,
        action: Action,
        match: Match,
        asked: Awaitable[Any] | None = None,
    ) -> Decision:
        generation = self.answers.generation
        try:
            answer = await (self.source.ask(*question) if asked is None else asked)
        except Exception as error:
            return self._failed(error)
        return self._decided(answer, session, action, question[1], match, generation)

    def _decided(
        self, answer: Any, session: Session, action: Action, uri: str, match: Match, generation: int
    ) -> Decision:
        said = {"allow": answer} if isinstance(answer, bool) else answer
        problem = _problem(said)
        if problem:
            return Decision(False, failed=True, reason=f"the authorizer {self.source.name} {problem}")
        is_allowed = said["allow"]
        reason = f"the authorizer {self.source.name} {'allows' if is_allowed else 'does not allow'} it"
        discloses = said.get("disclose") is True and action in (Action.CALL, Action.PUBLISH)
        decision = Decision(is_allowed, discloses, reason=reason)
        if said.get("cache") is True:
            now = asyncio.get_running_loop().time()
            self.answers.keep(session, action, uri, match, decision, now, generation)
        return decision

    def _failed(self, error: Exception) -> Decision:
        name = self.source.name
        if isinstance(error, ApplicationError):
            if error.uri == "wamp.error.not_authorized":
                return Decision(False, reason=f"the authorizer {name} refuses it")
            text = f"{error.uri} {' '.join(map(str, error.args))}".strip()[:MAX_TEXT]
            return Decision(False, failed=True, reason=f"the authorizer {name} failed: {text!r}")
        logger.debug("the authorizer %s failed", name, exc_info=error)
        *_, last = traceback.extract_tb(error.__traceback__)
        text = f"{type(error).__name__}: {error}"[:MAX_TEXT]
        return Decision(
            False, failed=True, reason=f"the authorizer {name} failed: {text!r} ({last.filename}, line {last.lineno})"
        )


MAX_TEXT = 300
"""Characters of an error that are told to the operator."""


class RoleAuthorizers:
    """Answers from the permissions of the session's role, and where they say nothing, asks the role's authorizer."""

    def __init__(self, authorizers: Mapping[tuple[str, str], AskedAuthorizer]) -> None:
        """
        Args:
            authorizers: (realm, role) -> the authorizer of that role, of those that have one.
        """
        self._authorizers = authorizers
        # realm -> procedures there by which sessions decide for others
        self._procedures: dict[str, set[str]] = {}
        for (realm, _), authorizer in authorizers.items():
            provided = authorizer.source.procedure(realm)
            if provided is not None:
                self._procedures.setdefault(provided[0], set()).add(provided[1])

    def authorize(
        self, session: Session, action: Action, uri: str, match: Match, options: Details | None = None
    ) -> Decision | Awaitable[Decision]:
        """See `Authorizer`."""
        decision = session.role.decide(action, uri, match)
        if decision.rule is not None or decision.allowed:
            return decision
        authorizer = self._authorizers.get((session.realm, session.role.name))
        if authorizer is None:
            return DENIED
        if action is Action.REGISTER:
            for procedure in self._procedures.get(session.realm, ()):
                if is_matched(procedure, uri, match):
                    return Decision(False, reason=f"only a rule can allow to be the authorizer {procedure}")
        return authorizer.decide(session, action, uri, match, options)

    def procedures(self, realm: str) -> dict[str, Callable[..., Answer]]:
        """Procedures that a realm offers to those who change what an authorizer answers: URI -> method."""
        of_roles = {role: each for (at, role), each in self._authorizers.items() if at == realm}
        return {"rocade.authorization.forget": Forgetting(of_roles).forget} if of_roles else {}


class Forgetting:
    """Empties what the authorizers of one realm are remembered to have answered."""

    def __init__(self, authorizers: Mapping[str, AskedAuthorizer]) -> None:
        """
        Args:
            authorizers: role -> its authorizer.
        """
        self._authorizers = authorizers

    def forget(self, caller: Session, authid: str | None = None, *, role: str | None = None) -> Answer:
        """Forget answers: about one authid, in one role, or all. The result is how many."""
        chosen = [each for name, each in self._authorizers.items() if role in (None, name)]
        return Answer([sum(each.answers.forget(authid) for each in chosen)])


_ANSWER_KEYS = {"allow", "disclose", "cache", "validate"}


def _problem(said: Any) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if not isinstance(said, dict):
        return f"answered a {type(said).__name__}, where true, false or an object with 'allow' is expected"
    unknown = [key for key in said if key not in _ANSWER_KEYS]
    if unknown:
        return f"answered with the unknown key {str(unknown[0])[:MAX_TEXT]!r}"
    if "allow" not in said:
        return "answered without 'allow'"
    for key in ("allow", "disclose", "cache"):
        if key in said and not isinstance(said[key], bool):
            return f"answered with {key!r} that is neither true nor false"
    return "wants payloads to be validated, which is not supported" if said.get("validate") else ""


def _details(session: Session) -> dict[str, Any]:
    """What an authorizer is told of a session: as much as Crossbar tells, under the same names."""
    return {
        "realm": session.realm,
        "session": session.id,
        "authid": session.authid,
        "authrole": session.role.name,
        "authmethod": session.authmethod,
        "authprovider": session.authprovider,
        "authextra": session.authextra,
        "transport": dict(session.transport),
    }


def _options(options: Details | None, match: Match) -> dict[str, Any]:
    """Options as they were sent, as far as they are known here. A pattern is always one to see."""
    told: dict[str, Any] = {} if options is None else msgspec.to_builtins(options)
    return told if match is Match.EXACT else told | {"match": match.value}
