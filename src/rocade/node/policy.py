"""Roles as the configuration describes them, what they must fulfil beyond their types, and where their rules stand."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rocade.errors import ConfigurationError
from rocade.node import realms
from rocade.node.configuration_file import joined
from rocade.node.functions import named
from rocade.router.permissions import EVERYTHING, Action, Permission, Role
from rocade.router.templates import filled, is_template
from rocade.serve.answers import Answers
from rocade.serve.authorizers import AskedAuthorizer, FunctionSource, ProcedureSource, RoleAuthorizers
from rocade.serve.internal import InternalCalls
from rocade.wamp.messages import Match
from rocade.wamp.uris import is_pattern, is_uri

__all__ = ["check_authorizers", "check_role", "misleading", "place", "role", "role_authorizers"]

_BRACES = re.compile(r"\{[^}.]*\}")


# What is checked


def check_role(role: realms.Role, path: str) -> None:
    """Refuse permissions that cannot work.

    Args:
        role: what to check.
        path: where it stands.
    Raises:
        ConfigurationError: the first rule that is broken.
    """
    seen: dict[tuple[str, str], int] = {}  # pattern -> index of the permission that has it
    for index, permission in enumerate(role.permissions):
        at = f"{path}.permissions[{index}]"
        _check_permission(permission, at)
        if permission.pattern in seen:
            raise ConfigurationError(
                f"{at}.uri",
                f"{permission.uri!r} has a permission already ({path}.permissions[{seen[permission.pattern]}])",
            )
        seen[permission.pattern] = index


def _check_permission(permission: realms.Permission, path: str) -> None:
    if permission.mixes_forms:
        raise ConfigurationError(
            path, "'allow' and version 1's 'call', 'register', 'publish', 'subscribe' exclude each other"
        )
    uri, match = permission.pattern
    if match == "exact" and not is_uri(uri):
        hint = " (every URI is '*')" if not uri else ""
        if uri.endswith(".") and is_uri(uri[:-1]):
            hint = f" (what begins with it is '{uri}*')"
        raise ConfigurationError(f"{path}.uri", f"{permission.uri!r} is no URI{hint}")
    if match != "exact" and not is_pattern(uri):
        raise ConfigurationError(f"{path}.uri", f"{permission.uri!r} is no URI pattern")
    try:
        is_template(uri, Match(match))
    except ValueError as error:
        raise ConfigurationError(f"{path}.uri", f"{permission.uri!r}: {error}") from None
    unknown = next((name for name in _BRACES.findall(uri) if name not in ("{authid}", "{session}")), None)
    if unknown is not None:
        raise ConfigurationError(
            f"{path}.uri", f"{permission.uri!r}: there is no {unknown}, only {{authid}} and {{session}}"
        )


def check_authorizers(all_realms: tuple[realms.Realm, ...], path: str) -> None:
    """Refuse authorizers that could not be asked.

    Args:
        all_realms: those of the node, whose permissions are in order.
        path: where they stand.
    Raises:
        ConfigurationError: the first rule that is broken.
    """
    by_name = {realm.name: realm for realm in all_realms}
    for index, realm in enumerate(all_realms):
        for position, role in enumerate(realm.roles):
            at = f"{path}[{index}].roles[{position}]"
            if role.authorizer is None:
                if role.authorizer_realm is not None:
                    raise ConfigurationError(joined(at, "authorizer-realm"), "there is no 'authorizer'")
                continue
            if role.allow_by_default:
                raise ConfigurationError(joined(at, "allow-by-default"), "the 'authorizer' would never be asked")
            if isinstance(role.authorizer, realms.AuthorizerFunction):
                named(role.authorizer.create, f"{at}.authorizer.create")
                if role.authorizer_realm is not None:
                    raise ConfigurationError(joined(at, "authorizer-realm"), "a function is in no realm")
                continue
            if not is_uri(role.authorizer):
                raise ConfigurationError(f"{at}.authorizer", f"{role.authorizer!r} is no URI")
            where = role.authorizer_realm or realm.name
            if where not in by_name:
                raise ConfigurationError(joined(at, "authorizer-realm"), f"there is no realm {where!r}")
            if not any(_may_register(other, role.authorizer) for other in by_name[where].roles):
                raise ConfigurationError(
                    f"{at}.authorizer",
                    f"no permission of a role in realm {where!r} allows to register {role.authorizer!r}, "
                    "so nobody could answer",
                )


def _may_register(described: realms.Role, procedure: str) -> bool:
    built = role(described)
    if built.decide(Action.REGISTER, procedure, Match.EXACT).allowed:
        return True
    # Somebody whose name is a component of it might.
    return any(
        filled(rule.uri, component, 0) is not None
        and Role("", [rule]).personal(component, 0).decide(Action.REGISTER, procedure, Match.EXACT).allowed
        for rule in built.rules
        for component in procedure.split(".")
    )


def misleading(all_realms: tuple[realms.Realm, ...]) -> list[str]:
    """Permissions that do not do what they seem to, each with its place.

    Args:
        all_realms: checked.
    """
    found = []
    for index, realm in enumerate(all_realms):
        for position, each in enumerate(realm.roles):
            for number, permission in enumerate(each.permissions):
                if permission.match is not None and "*" in permission.uri:
                    at = f"workers[0].realms[{index}].roles[{position}].permissions[{number}].uri"
                    found.append(f"{at}: with 'match', the * in {permission.uri!r} is a plain character")
    return found


# What is built


def role(described: realms.Role) -> Role:
    """The role that the file describes.

    Args:
        described: checked.
    """
    permissions = [_permission(permission) for permission in described.permissions]
    if described.allow_by_default:
        permissions.insert(0, EVERYTHING)
    return Role(described.name, permissions, trustlevel=described.trustlevel)


def _permission(permission: realms.Permission) -> Permission:
    uri, match = permission.pattern
    granted = permission.granted
    return Permission(
        uri=uri,
        match=Match(match),
        call=granted.call,
        register=granted.register,
        publish=granted.publish,
        subscribe=granted.subscribe,
        disclose_caller=permission.disclose.caller,
        disclose_publisher=permission.disclose.publisher,
    )


def role_authorizers(all_realms: Iterable[realms.Realm], calls: InternalCalls) -> RoleAuthorizers | None:
    """What asks the authorizers of all roles; None if there are none.

    Args:
        all_realms: checked.
        calls: how procedures are called.
    Raises:
        ConfigurationError: a Python function cannot be had.
    """
    found = {}
    for realm in all_realms:
        for each in realm.roles:
            if each.authorizer is not None:
                cache = each.authorizer_cache
                answers = Answers(cache.seconds, cache.entries, cache.per)
                found[realm.name, each.name] = AskedAuthorizer(_source(each, calls), answers)
    return RoleAuthorizers(found) if found else None


def _source(described: realms.Role, calls: InternalCalls) -> ProcedureSource | FunctionSource:
    authorizer = described.authorizer
    if isinstance(authorizer, realms.AuthorizerFunction):
        return FunctionSource(named(authorizer.create, "authorizer.create"), authorizer.config, authorizer.create)
    assert authorizer is not None
    return ProcedureSource(calls, authorizer, described.authorizer_realm)


def place(described: realms.Role, rule: Permission) -> list[str | int]:
    """Where a rule stands, below the role that the file describes: keys, and positions in lists.

    Args:
        described: the role.
        rule: of the role that was built from it, or filled in for somebody.
    """
    pattern = (rule.template or rule.uri, rule.match.value)
    for index, permission in enumerate(described.permissions):
        if permission.pattern == pattern:
            return ["permissions", index]
    return ["allow-by-default"]
