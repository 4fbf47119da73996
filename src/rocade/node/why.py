"""Why somebody may do something or not, found out from the configuration alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

from rocade.errors import ConfigurationError
from rocade.node import realms
from rocade.node.places import line
from rocade.node.policy import place, role
from rocade.node.settings import Configuration
from rocade.router.patterns import is_matched
from rocade.router.permissions import Action, Role, explanation
from rocade.router.templates import placeholders
from rocade.wamp.messages import Match
from rocade.wamp.uris import is_pattern, is_reserved, is_uri

__all__ = ["Verdict", "why"]


class Verdict(Struct, kw_only=True, omit_defaults=True):
    """What the configuration says to a question.

    Attributes:
        decision: what comes of it; "asked" where an authorizer decides.
        realm, role, action, uri, match: the question.
        reason: why, in words.
        rule: URI, prefix or pattern of the rule that decides, as it is written.
        path: where in the file that stands, or the authorizer that is asked.
        line: in which line; None where it cannot be told.
        disclose: whether the caller or publisher is disclosed, asked or not.
        authorizer: who is asked.
        hint: what the question lacks.
    """

    decision: Literal["allowed", "denied", "asked"]
    realm: str
    role: str
    action: str
    uri: str
    match: str
    reason: str
    rule: str | None = None
    path: str | None = None
    line: int | None = None
    disclose: bool = False
    authorizer: str | None = None
    hint: str | None = None


def why(
    configuration: Configuration,
    file: Path,
    *,
    role_name: str,
    action: Action,
    uri: str,
    match: Match = Match.EXACT,
    realm_name: str | None = None,
    authid: str | None = None,
    session: int | None = None,
) -> Verdict:
    """What a configuration says to a question.

    Args:
        configuration: checked.
        file: where it is from.
        role_name: the role of whoever wants to do it.
        action, uri, match: what that is.
        realm_name: where; None for the only realm, or the only one that has the role.
        authid, session: who wants to do it, for templates.
    Raises:
        ConfigurationError: there is no such realm or role, or the URI is none. The path names the option.
    """
    at, realm = _realm(configuration, realm_name, role_name)
    position = [each.name for each in realm.roles].index(role_name)
    described = realm.roles[position]
    _check_question(realm, action, uri, match)
    built = role(described)
    decision = built.personal(authid or "", session or 0).decide(action, uri, match)
    verdict = Verdict(
        decision="allowed" if decision.allowed else "denied",
        realm=realm.name,
        role=role_name,
        action=action.value,
        uri=uri,
        match=match.value,
        reason=explanation(decision),
        disclose=decision.allowed and decision.disclose,
    )
    if is_reserved(uri) and action in (Action.REGISTER, Action.PUBLISH):
        verdict.decision, verdict.reason = "denied", "what begins with 'wamp.' is reserved by the protocol"
        return verdict
    verdict.hint = _hint(built, uri, authid, session)
    below: list[str | int] = []
    if decision.rule is not None:
        verdict.rule = decision.rule.template or decision.rule.uri
        below = place(described, decision.rule)
    elif not decision.allowed and described.authorizer is not None:
        _turn_to_authorizer(verdict, described, _objection(configuration, realm.name, action, uri, match))
        below = ["authorizer"]
    if below:
        keys: list[str | int] = ["workers", 0, "realms", at, "roles", position, *below]
        verdict.path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")
        verdict.line = line(file, keys)
    return verdict


def _turn_to_authorizer(verdict: Verdict, described: realms.Role, objection: str) -> None:
    """No rule applies: the authorizer decides, unless there is something against asking it."""
    if objection:
        verdict.reason = objection
    else:
        verdict.decision, verdict.authorizer = "asked", described.authorizer_name
        verdict.reason = f"no rule applies, so the authorizer {verdict.authorizer} decides"


def _objection(configuration: Configuration, realm: str, action: Action, uri: str, match: Match) -> str:
    """Why no authorizer is asked; empty if nothing is against it."""
    if action is Action.REGISTER:
        for other in configuration.worker.realms:
            for each in other.roles:
                procedure = each.authorizer
                is_here = (each.authorizer_realm or other.name) == realm
                if isinstance(procedure, str) and is_here and is_matched(procedure, uri, match):
                    return f"only a rule can allow to be the authorizer {procedure}"
    return ""


def _realm(configuration: Configuration, name: str | None, role_name: str) -> tuple[int, realms.Realm]:
    """The realm that is meant, which has the role, and its position."""
    all_realms = list(enumerate(configuration.worker.realms))
    if name is not None:
        found = [(index, realm) for index, realm in all_realms if realm.name == name]
        if not found:
            known = ", ".join(repr(realm.name) for _, realm in all_realms) or "none"
            raise ConfigurationError("--realm", f"there is no realm {name!r} (there are: {known})")
    else:
        found = [(index, realm) for index, realm in all_realms if realm.role(role_name) is not None]
        if len(found) > 1:
            names = ", ".join(repr(realm.name) for _, realm in found)
            raise ConfigurationError("--realm", f"is needed, as several realms have the role {role_name!r}: {names}")
    if not found or found[0][1].role(role_name) is None:
        known = "; ".join(
            f"in realm {realm.name!r}: {', '.join(repr(each.name) for each in realm.roles) or 'none'}"
            for _, realm in found or all_realms
        )
        raise ConfigurationError("--role", f"there is no role {role_name!r} (there are {known or 'no realms'})")
    return found[0]


def _check_question(realm: realms.Realm, action: Action, uri: str, match: Match) -> None:
    if match is not Match.EXACT and action not in (Action.SUBSCRIBE, Action.REGISTER):
        raise ConfigurationError("--match", f"{match.value!r} is for 'subscribe' and 'register' only")
    strict = realm.options.uri_check == "strict"
    if not (is_uri if match is Match.EXACT else is_pattern)(uri, strict=strict):
        kind = "URI" if match is Match.EXACT else "URI pattern"
        rules = " by the strict rules of this realm" if strict else ""
        raise ConfigurationError("--uri", f"{uri!r} is no {kind}{rules}")


def _hint(built: Role, uri: str, authid: str | None, session: int | None) -> str | None:
    """What to say of templates that might have mattered."""
    given = {"{authid}": authid, "{session}": session}
    beginnings = [(rule.uri.partition("{")[0], placeholders(rule.uri)) for rule in built.rules]
    needed = {name for begin, names in beginnings if uri.startswith(begin) or begin.startswith(uri) for name in names}
    missing = sorted(name for name in needed if given[name] is None)
    if not missing:
        return None
    options = " and ".join(f"--{name[1:-1]}" for name in missing)
    return f"rules with {' and '.join(missing)} were left out; {options} says who is asking"
