"""URIs of topics, procedures, errors and realms (basic/building_blocks.md, URIs)."""

from __future__ import annotations

import re

MAX_URI_LENGTH = 2048
"""Longest accepted URI, in characters: what an index keeps per URI stays bounded."""

MAX_PATTERN_COMPONENTS = 64
"""Most components of a pattern: an index of wildcards keeps, and looks at, a place for each of them."""

_LOOSE = re.compile(r"([^\s.#]+\.)*[^\s.#]+").fullmatch
_LOOSE_PATTERN = re.compile(r"[^\s#]*").fullmatch
_STRICT = re.compile(r"([0-9a-z_]+\.)*[0-9a-z_]+").fullmatch
_STRICT_PATTERN = re.compile(r"[0-9a-z_.]*").fullmatch


def is_uri(uri: str, *, strict: bool = False) -> bool:
    """Whether `uri` names one resource: no empty component, no whitespace, no "#".

    Args:
        uri: what a peer sent.
        strict: only lower-case letters, digits and "_" in components.
    """
    return len(uri) <= MAX_URI_LENGTH and (_STRICT if strict else _LOOSE)(uri) is not None


def is_pattern(uri: str, *, strict: bool = False) -> bool:
    """Whether `uri` may stand in a prefix or wildcard match, where components may be empty, but are not that many.

    Args:
        uri: what a peer sent.
        strict: only lower-case letters, digits and "_" in components.
    """
    if len(uri) > MAX_URI_LENGTH or uri.count(".") >= MAX_PATTERN_COMPONENTS:
        return False
    return (_STRICT_PATTERN if strict else _LOOSE_PATTERN)(uri) is not None


def is_reserved(uri: str) -> bool:
    """Whether the first component is "wamp", which belongs to the protocol (basic/building_blocks.md)."""
    return uri.startswith("wamp.") or uri == "wamp"


def shown(uri: str) -> str:
    """A peer's URI as it may stand in an error message: quoted, and never longer than a line."""
    text = repr(uri)
    return text if len(text) <= 120 else text[:116] + "..." + text[-1]
