"""Who may do what: roles and their permissions, deny by default.

For one URI the most specific rule decides: exact, else the longest prefix, else the wildcard with the longest
leading literal part. A request for a pattern (a subscription by prefix, say) is allowed only when a rule
covers all that the pattern can match and no rule forbids a part of it.

Specification: advanced/authorization.md (which leaves most of this to the router).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from rocade.router.patterns import PatternIndex
from rocade.wamp.messages import Match

__all__ = ["DENIED", "Action", "Decision", "Permission", "Role"]

GUARDED_PROCEDURES = frozenset(
    {
        "wamp.session.kill",
        "wamp.session.kill_by_authid",
        "wamp.session.kill_by_authrole",
        "wamp.session.kill_all",
        "wamp.registration.remove_callee",
        "wamp.subscription.remove_subscriber",
    }
)
"""Meta procedures with which one session harms others. A rule for calls in general does not allow them: it must be
a rule about "wamp.…", or one that allows everything everywhere."""

OWN_PROCEDURES = frozenset({"rocade.session.refresh", "rocade.session.logout"})
"""Procedures of the router with which a session does something about its own login only. They are allowed, unless a
rule names one of them exactly."""

CACHED_DECISIONS = 4096
"""Decisions that a role remembers: a client with random URIs must not grow it."""


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
        uri: the URI, prefix or wildcard pattern it is about.
        match: how `uri` is compared.
        call, register, publish, subscribe: whether the action is allowed there.
        disclose_caller, disclose_publisher: whether receivers are told who calls or publishes, asked or not.
    """

    uri: str
    match: Match = Match.EXACT
    call: bool = False
    register: bool = False
    publish: bool = False
    subscribe: bool = False
    disclose_caller: bool = False
    disclose_publisher: bool = False

    def allows(self, action: Action) -> bool:
        """Whether this rule allows the action."""
        return bool(getattr(self, action.value))


class Decision(Struct, frozen=True):
    """Whether an action is allowed, and by which rule.

    Attributes:
        allowed: whether it is.
        disclose: whether the caller or publisher is disclosed without having asked for it.
        rule: the rule that decided; None when none applied.
    """

    allowed: bool
    disclose: bool = False
    rule: Permission | None = None


DENIED = Decision(False)
"""No rule applies."""


class Role:
    """A named set of permissions.

    Attributes:
        name: as announced to clients in WELCOME.Details.authrole.
        trustlevel: how far receivers of its calls and events may trust them, 0 for least; None to say nothing.
        decide: `decide(action, uri, match) -> Decision`, remembered for the latest `CACHED_DECISIONS`.
    """

    __slots__ = ("_index", "_rules", "decide", "name", "trustlevel")

    def __init__(self, name: str, permissions: Iterable[Permission] = (), *, trustlevel: int | None = None) -> None:
        """
        Args:
            name: the role's name.
            permissions: its rules; of two for the same URI and match, the later one counts.
            trustlevel: told in INVOCATION and EVENT (advanced/rpc_call_trustlevels.md).
        """
        self.name = name
        self.trustlevel = trustlevel
        self._index: PatternIndex[Permission] = PatternIndex()
        for permission in permissions:
            self._index.add(permission.uri, permission.match, permission)
        self._rules = [rule for match in Match for rule in self._index.values(match)]
        self.decide: Callable[[Action, str, Match], Decision] = lru_cache(CACHED_DECISIONS)(self._decide)

    def _decide(self, action: Action, uri: str, match: Match) -> Decision:
        if match is Match.EXACT:
            rule = self._index.best(uri)
            if action is Action.CALL and uri in OWN_PROCEDURES and not (rule and rule.match is Match.EXACT):
                return Decision(True)
            if action is Action.CALL and uri in GUARDED_PROCEDURES and not (rule and _is_meant_for_guarded(rule)):
                return Decision(False, rule=rule)
            return _decision(rule, action)
        covering = [rule for rule in self._rules if _covers(rule, uri, match)]
        decision = _decision(max(covering, key=_specificity, default=None), action)
        if decision.allowed:
            for rule in self._rules:
                if not rule.allows(action) and _overlaps(rule, uri, match) and rule not in covering:
                    return Decision(False, rule=rule)
        return decision


def _decision(rule: Permission | None, action: Action) -> Decision:
    if rule is None:
        return DENIED
    disclose = (action is Action.CALL and rule.disclose_caller) or (
        action is Action.PUBLISH and rule.disclose_publisher
    )
    return Decision(rule.allows(action), disclose, rule)


def _is_meant_for_guarded(rule: Permission) -> bool:
    """Whether whoever wrote the rule must have thought of the meta API, or of really everything."""
    return rule.uri.startswith("wamp.") or (
        rule.uri == "" and rule.match is Match.PREFIX and all(rule.allows(action) for action in Action)
    )


def _specificity(rule: Permission) -> tuple[bool, list[int]]:
    """Of two prefixes or wildcards that match the same URI, the larger one decides: as `PatternIndex.best` has it."""
    if rule.match is Match.WILDCARD:
        return False, [len(component) > 0 for component in rule.uri.split(".")]
    return True, [len(rule.uri)]


def _covers(rule: Permission, uri: str, match: Match) -> bool:
    """Whether `rule` applies to everything that the pattern can match."""
    if rule.match is Match.PREFIX:
        literal = uri if match is Match.PREFIX else _leading_literal(uri)
        return literal.startswith(rule.uri)
    if rule.match is Match.WILDCARD and match is Match.WILDCARD:
        ours, theirs = rule.uri.split("."), uri.split(".")
        return len(ours) == len(theirs) and all(a in ("", b) for a, b in zip(ours, theirs, strict=True))
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
