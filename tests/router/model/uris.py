"""What URIs and patterns are, and which pattern is for which URI, by looking at every one of them.

Specification: basic/building_blocks.md (URIs), advanced/pubsub_pattern_based_subscription.md,
advanced/rpc_pattern_based_registration.md.
"""

from __future__ import annotations

from typing import Any


def is_uri(text: str) -> bool:
    """Whether this names one thing, by the loose rules."""
    return all(is_component(component) for component in text.split("."))


def is_pattern(text: str, match: str) -> bool:
    """Whether something may be registered or subscribed to under this URI and policy."""
    if match == "exact":
        return is_uri(text)
    return all(component == "" or is_component(component) for component in text.split("."))


def is_component(text: str) -> bool:
    """Whether this may stand between two dots."""
    return text != "" and not any(character.isspace() or character == "#" for character in text)


def is_reserved(text: str) -> bool:
    """Whether this belongs to the protocol."""
    return text.split(".")[0] == "wamp"


def is_for(uri: str, match: str, asked: str) -> bool:
    """Whether a subscription or registration of `uri` is for what was `asked` for."""
    if match == "exact":
        return uri == asked
    if match == "prefix":
        return asked.startswith(uri)
    pattern, components = uri.split("."), asked.split(".")
    return len(pattern) == len(components) and all(a in ("", b) for a, b in zip(pattern, components, strict=True))


def in_order(found: list[Any]) -> list[Any]:
    """Subscriptions that match one topic: exact, prefixes from short to long, wildcards with the latest gap first."""
    return (
        [it for it in found if it.match == "exact"]
        + sorted((it for it in found if it.match == "prefix"), key=lambda it: len(it.uri))
        + sorted((it for it in found if it.match == "wildcard"), key=lambda it: literal_runs(it.uri), reverse=True)
    )


def best(found: list[Any]) -> Any:
    """Of registrations that match one procedure the one that gets the call; None when there is none."""
    for match in ("exact", "prefix"):
        of_this_kind = [it for it in found if it.match == match]
        if of_this_kind:
            return max(of_this_kind, key=lambda it: len(it.uri))
    return max(found, key=lambda it: literal_runs(it.uri), default=None)


def literal_runs(pattern: str) -> list[int]:
    """How many components stand before the first empty one, between the first and the second, and so on."""
    runs = [0]
    for component in pattern.split("."):
        if component == "":
            runs.append(0)
        else:
            runs[-1] += 1
    return runs
