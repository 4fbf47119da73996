"""Who may do what: roles and their permissions, deny by default.

For one URI the most specific rule decides: exact, else the wildcard pattern that has a literal component where others
first have a wildcard, else the longest prefix. (Calls look for registrations in another order. This one is Crossbar's:
a rule against "com..secret" is to hold beside one that allows "com.".) No two rules of a role tie: of patterns that are
equally specific and match the same URI, there is only one. Of a template and a rule that it comes to equal, the rule
decides; of two such templates, the one whose text sorts first.

A request for a pattern (a subscription by prefix, say) is allowed only when a rule covers all that the pattern can
match and no rule forbids a part of it.

Specification: advanced/authorization.md (which leaves most of this to the router).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from rocade.router.patterns import PatternIndex, is_matched
from rocade.router.templates import filled, is_template, placeholders
from rocade.wamp.messages import Match
from rocade.wamp.uris import shown

__all__ = [
    "DENIED",
    "EVERYTHING",
    "Action",
    "Decision",
    "Permission",
    "Role",
    "described",
    "explanation",
    "is_meant_for",
]

GUARDED_PROCEDURES = frozenset(
    {
        "wamp.session.kill",
        "wamp.session.kill_by_authid",
        "wamp.session.kill_by_authrole",
        "wamp.session.kill_all",
        "wamp.registration.remove_callee",
        "wamp.subscription.remove_subscriber",
        "rocade.authorization.forget",
    }
)
"""Meta procedures with which one session harms others. A rule for calls in general does not allow them: it must be
a rule about "wamp.…" (or "rocade.…"), or one that allows everything everywhere."""

OWN_PROCEDURES = frozenset({"rocade.session.refresh", "rocade.session.logout"})
"""Procedures of the router with which a session does something about its own login only. They are allowed, unless a
rule names one of them exactly."""

CACHED_DECISIONS = 4096
"""Decisions that a role remembers: a client with random URIs must not grow it."""

PERSONAL_DECISIONS = 256
"""The same of a role whose rules were filled in for one user: there may be one for each session."""

PERSONAL_ROLES = 256
"""Users whose filled-in rules a role remembers for when they come again."""


class Action(StrEnum):
    """What a session may ask for."""

    __hash__ = str.__hash__  # that of Enum is not in C, and roles look their decisions up by it

    CALL = "call"
    REGISTER = "register"
    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


class Permission(Struct, frozen=True, kw_only=True):
    """One rule of a role.

    Attributes:
        uri: the URI, prefix or wildcard pattern it is about, or a template of one (`rocade.router.templates`).
        match: how `uri` is compared.
        call, register, publish, subscribe: whether the action is allowed there.
        disclose_caller, disclose_publisher: whether receivers are told who calls or publishes, asked or not.
        template: what `uri` was before it was filled in for a session.
    """

    uri: str
    match: Match = Match.EXACT
    call: bool = False
    register: bool = False
    publish: bool = False
    subscribe: bool = False
    disclose_caller: bool = False
    disclose_publisher: bool = False
    template: str | None = None

    def allows(self, action: Action) -> bool:
        """Whether this rule allows the action."""
        return bool(getattr(self, action.value))


EVERYTHING = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
"""The rule that allows everything everywhere."""


class Decision(Struct, frozen=True):
    """Whether an action is allowed, and by which rule.

    Attributes:
        allowed: whether it is.
        disclose: whether the caller or publisher is disclosed without having asked for it.
        rule: the rule that decided; None when none applied.
        failed: whether there was no telling, which means no.
        reason: why, where the rule alone does not say it. For the operator, not for clients.
    """

    allowed: bool
    disclose: bool = False
    rule: Permission | None = None
    failed: bool = False
    reason: str = ""


DENIED = Decision(False)
"""No rule applies."""


class Role:
    """A named set of permissions.

    Attributes:
        name: as announced to clients in WELCOME.Details.authrole.
        trustlevel: how far receivers of its calls and events may trust them, 0 for least; None to say nothing.
        everywhere: actions that are allowed on every URI.
        decide: `decide(action, uri, match) -> Decision`, remembered for the latest `CACHED_DECISIONS`. Templates do
            not count here, but in what `personal` returns.
    """

    __slots__ = (
        "_index",
        "_literal",
        "_personal",
        "_rules",
        "_templates",
        "decide",
        "everywhere",
        "name",
        "trustlevel",
    )

    def __init__(
        self,
        name: str,
        permissions: Iterable[Permission] = (),
        *,
        trustlevel: int | None = None,
        cached_decisions: int = CACHED_DECISIONS,
    ) -> None:
        """
        Args:
            name: the role's name.
            permissions: its rules; of two for the same URI and match, the later one counts.
            trustlevel: told in INVOCATION and EVENT (advanced/rpc_call_trustlevels.md).
            cached_decisions: how many it remembers.
        Raises:
            ValueError: a template is none.
        """
        self.name = name
        self.trustlevel = trustlevel
        self._literal: list[Permission] = []
        self._templates: list[Permission] = []
        for permission in permissions:
            is_filled = permission.template is not None or not is_template(permission.uri, permission.match)
            (self._literal if is_filled else self._templates).append(permission)
        self._index: PatternIndex[Permission] = PatternIndex()
        for permission in self._literal:
            self._index.add(permission.uri, permission.match, permission)
        self._rules = [rule for match in Match for rule in self._index.values(match)]
        has_general = any(rule.uri == "" and rule.match is Match.PREFIX for rule in self._rules)
        self.everywhere = frozenset(
            action for action in Action if has_general and all(rule.allows(action) for rule in self._rules)
        )
        self.decide: Callable[[Action, str, Match], Decision] = lru_cache(cached_decisions)(self._decide)
        self._personal: Callable[[str, int], Role] = lru_cache(PERSONAL_ROLES)(self._filled_in)

    @property
    def rules(self) -> list[Permission]:
        """All rules that count, templates as they are."""
        return [*self._rules, *self._templates]

    def personal(self, authid: str, session: int) -> Role:
        """The same role for one session: its templates are filled in. Without templates, the role itself.

        Args:
            authid: who the client is.
            session: id of its session.
        """
        if not self._templates:
            return self
        names_session = any("{session}" in placeholders(template.uri) for template in self._templates)
        return self._personal(authid, session if names_session else 0)

    def _filled_in(self, authid: str, session: int) -> Role:
        rules: list[Permission] = []
        # What comes later counts: of two templates that become the same, the one that sorts first.
        for template in sorted(self._templates, key=lambda rule: rule.uri, reverse=True):
            uri = filled(template.uri, authid, session)
            if uri is not None:
                rules.append(replace(template, uri=uri, template=template.uri))
        rules.extend(self._literal)
        return Role(self.name, rules, trustlevel=self.trustlevel, cached_decisions=PERSONAL_DECISIONS)

    def _decide(self, action: Action, uri: str, match: Match) -> Decision:
        if match is Match.EXACT:
            rule = self._index.narrowest(uri)
            if action is Action.CALL and uri in OWN_PROCEDURES and not (rule and rule.match is Match.EXACT):
                return Decision(True, reason="it is about the session's own login")
            if action is Action.CALL and uri in GUARDED_PROCEDURES and rule and not is_meant_for(rule, uri):
                return Decision(False, rule=rule, reason=f"{described(rule)} is no rule about {uri!r} in particular")
            return _decision(rule, action)
        covering = [rule for rule in self._rules if _covers(rule, uri, match)]
        decision = _decision(max(covering, key=_specificity, default=None), action)
        if decision.allowed or decision.rule is None:
            for rule in self._rules:
                if not rule.allows(action) and rule not in covering and _overlaps(rule, uri, match):
                    return Decision(False, rule=rule, reason=f"{described(rule)} forbids a part of it")
        return decision


def described(rule: Permission) -> str:
    """A rule in few words, as whoever wrote it knows it."""
    return f"the rule for {shown(rule.template or rule.uri)} ({rule.match.value})"


def explanation(decision: Decision) -> str:
    """Why a decision is what it is, for the operator."""
    if decision.reason:
        return decision.reason
    if decision.rule is None:
        return "no rule applies"
    return f"{described(decision.rule)} {'allows' if decision.allowed else 'does not allow'} it"


def _decision(rule: Permission | None, action: Action) -> Decision:
    if rule is None:
        return DENIED
    disclose = (action is Action.CALL and rule.disclose_caller) or (
        action is Action.PUBLISH and rule.disclose_publisher
    )
    return Decision(rule.allows(action), disclose, rule)


def is_meant_for(rule: Permission, procedure: str) -> bool:
    """Whether whoever wrote the rule must have thought of the meta API, or of really everything.

    Args:
        rule: decides on calls of the procedure.
        procedure: a meta procedure.
    """
    return rule.uri.startswith(procedure[: procedure.index(".") + 1]) or (
        rule.uri == "" and rule.match is Match.PREFIX and all(rule.allows(action) for action in Action)
    )


def _specificity(rule: Permission) -> tuple[bool, list[int]]:
    """Of two patterns that match the same URI, the larger one decides: as `PatternIndex.narrowest` has it."""
    if rule.match is Match.WILDCARD:
        return True, [len(component) > 0 for component in rule.uri.split(".")]
    return False, [len(rule.uri)]


def _covers(rule: Permission, uri: str, match: Match) -> bool:
    """Whether `rule` applies to everything that the pattern can match."""
    if rule.match is Match.PREFIX:
        literal = uri if match is Match.PREFIX else _leading_literal(uri)
        return literal.startswith(rule.uri)
    if rule.match is Match.WILDCARD and match is Match.WILDCARD:
        return is_matched(uri, rule.uri, Match.WILDCARD)
    return False


def _overlaps(rule: Permission, uri: str, match: Match) -> bool:
    """Whether some URI is matched by both the rule and the pattern."""
    if match is Match.WILDCARD and rule.match is not Match.PREFIX:
        ours, theirs = rule.uri.split("."), uri.split(".")
        return len(ours) == len(theirs) and all(not a or not b or a == b for a, b in zip(ours, theirs, strict=True))
    if match is Match.PREFIX and rule.match is Match.PREFIX:
        return rule.uri.startswith(uri) or uri.startswith(rule.uri)
    if match is Match.PREFIX and rule.match is Match.EXACT:
        return rule.uri.startswith(uri)
    prefix, pattern = (uri, rule.uri) if match is Match.PREFIX else (rule.uri, uri)
    return _prefix_meets_wildcard(prefix, pattern)


def _prefix_meets_wildcard(prefix: str, pattern: str) -> bool:
    """Whether some URI has the prefix and matches the pattern: compared component by component, as far as it goes."""
    *whole, stem = prefix.split(".")
    components = pattern.split(".")
    if len(components) <= len(whole):
        return False
    if any(theirs and ours != theirs for ours, theirs in zip(whole, components, strict=False)):
        return False
    component = components[len(whole)]
    return not component or component.startswith(stem)


def _leading_literal(pattern: str) -> str:
    """What every URI that matches the wildcard pattern begins with."""
    literal: list[str] = []
    for component in pattern.split("."):
        if not component:
            return "".join(f"{part}." for part in literal)
        literal.append(component)
    return pattern
