"""Templates of URIs: what "{authid}" and "{session}" stand for depends on who asks, so everybody has a place apart.

A placeholder is a whole component. What is filled in is one component as well, never more: an authid that is none
(it has a dot, a space or "#" in it, or is empty) leaves the rule without effect, and so does one that would lead into
the namespace of the protocol.
"""

from __future__ import annotations

import re

from rocade.wamp.messages import Match
from rocade.wamp.uris import MAX_URI_LENGTH, is_reserved

__all__ = ["filled", "is_template", "placeholders"]

_PLACEHOLDER = re.compile(r"\{(?:authid|session)\}")
_COMPONENT = re.compile(r"[^\s.#]+")


def placeholders(uri: str) -> list[str]:
    """The placeholders in a URI or pattern, in order."""
    return _PLACEHOLDER.findall(uri)


def is_template(uri: str, match: Match) -> bool:
    """Whether a URI or pattern has placeholders.

    Args:
        uri: of a rule.
        match: how it is compared.
    Raises:
        ValueError: it has one where it would say something else than it seems to; the text says what to write.
    """
    if "{" not in uri or not placeholders(uri):
        return False
    components = uri.split(".")
    for component in components:
        found = placeholders(component)
        if found and component != found[0]:
            # "{authid}{session}" could be the same for two users.
            raise ValueError(f"{found[0]} must be a component of its own, between dots")
    if match is Match.PREFIX and placeholders(components[-1]):
        # "user.joe" is a prefix of "user.joey" too.
        raise ValueError(f"a prefix that ends in {components[-1]} would match longer names too; end it with a dot")
    return True


def filled(template: str, authid: str, session: int) -> str | None:
    """The URI or pattern that a template is for one session, or None if it is none for that.

    Args:
        template: has placeholders.
        authid: who the client is.
        session: id of its session.
    """
    values = {"{authid}": authid, "{session}": str(session)}
    components = [values.get(component, component) for component in template.split(".")]
    if "{authid}" in template and not _COMPONENT.fullmatch(authid):
        return None
    uri = ".".join(components)
    return None if is_reserved(uri) or len(uri) > MAX_URI_LENGTH else uri
