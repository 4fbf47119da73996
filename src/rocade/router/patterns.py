"""Finding what matches a URI without looking at everything there is.

A `PatternIndex` holds values under (match policy, URI). Looking a URI up costs one dictionary access for
exact matches, and for prefixes and wildcards an effort that follows the number of the URI's components (and
of values that match it), not the number of values held.

Specification: advanced/pubsub_pattern_based_subscription.md, advanced/rpc_pattern_based_registration.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from rocade.router.wildcards import WildcardIndex
from rocade.wamp.messages import Match

T = TypeVar("T")

__all__ = ["PatternIndex", "is_matched"]


def is_matched(uri: str, pattern: str, match: Match) -> bool:
    """Whether a URI is among those that a pattern stands for.

    Args:
        uri: one URI.
        pattern: compared with it.
        match: how.
    """
    if match is Match.EXACT:
        return uri == pattern
    if match is Match.PREFIX:
        return uri.startswith(pattern)
    ours, theirs = uri.split("."), pattern.split(".")
    return len(ours) == len(theirs) and all(b in ("", a) for a, b in zip(ours, theirs, strict=True))


class PatternIndex(Generic[T]):
    """Values by match policy and URI, at most one value for each pair."""

    __slots__ = ("_prefixes", "_wildcards", "exact")

    def __init__(self) -> None:
        # URI -> value; public, since the routing path looks here first
        self.exact: dict[str, T] = {}
        self._prefixes: _PrefixIndex[T] = _PrefixIndex()
        self._wildcards: WildcardIndex[T] = WildcardIndex()

    def get(self, uri: str, match: Match) -> T | None:
        """The value held under exactly this URI and policy."""
        if match is Match.EXACT:
            return self.exact.get(uri)
        return (self._prefixes if match is Match.PREFIX else self._wildcards).get(uri)

    def add(self, uri: str, match: Match, value: T) -> None:
        """Hold `value` under the URI and policy, instead of any value that was there."""
        if match is Match.EXACT:
            self.exact[uri] = value
        else:
            (self._prefixes if match is Match.PREFIX else self._wildcards).add(uri, value)

    def remove(self, uri: str, match: Match) -> None:
        """Let go of the value under the URI and policy, if there is one."""
        if match is Match.EXACT:
            self.exact.pop(uri, None)
        else:
            (self._prefixes if match is Match.PREFIX else self._wildcards).remove(uri)

    def has_patterns(self) -> bool:
        """Whether there is any prefix or wildcard."""
        return self._prefixes.count > 0 or self._wildcards.count > 0

    def matching(self, uri: str, rest: list[Iterator[T]] | None = None) -> list[T]:
        """Every value whose pattern matches the URI: exact first, then prefixes from short to long, then wildcards.

        Args:
            uri: one URI.
            rest: if there are thousands more, whatever finds them one after the other is added to this, if it is given.
                It may be used, and the index changed meanwhile: what is added then may be among them or not.
        """
        found: list[T] = []
        value = self.exact.get(uri)
        if value is not None:
            found.append(value)
        if self._prefixes.count:
            self._prefixes.collect(uri, found)
        if self._wildcards.count:
            self._wildcards.collect(uri, found, rest)
        return found

    def best(self, uri: str) -> T | None:
        """The value that matches best: exact, else the longest prefix, else the wildcard with more leading literals.

        The order does not depend on when values were added (advanced/rpc_pattern_based_registration.md).
        """
        value = self.exact.get(uri)
        if value is not None:
            return value
        if self._prefixes.count:
            found: list[T] = []
            self._prefixes.collect(uri, found)
            if found:
                return found[-1]
        if self._wildcards.count:
            return self._wildcards.best(uri)
        return None

    def narrowest(self, uri: str) -> T | None:
        """The value that leaves least open: exact, else wildcard (as for `best`), else the longest prefix.

        A wildcard has so many components and no more; behind a prefix there may be anything.
        """
        value = self.exact.get(uri)
        if value is None and self._wildcards.count:
            value = self._wildcards.best(uri)
        if value is None and self._prefixes.count:
            found: list[T] = []
            self._prefixes.collect(uri, found)
            value = found[-1] if found else None
        return value

    def values(self, match: Match) -> Iterator[T]:
        """All values of one policy."""
        if match is Match.EXACT:
            return iter(list(self.exact.values()))
        return (self._prefixes if match is Match.PREFIX else self._wildcards).values()


class _PrefixIndex(Generic[T]):
    """Values by prefix.

    A prefix is a string, not a list of components ("com.app.emerg" matches "com.app.emergency.3"). It is
    split behind its last dot into a base and a stem, here "com.app." and "emerg". A look-up asks for the base
    before each component of the URI, and there only for stems of the lengths that exist.
    """

    __slots__ = ("_bases", "_longest_base", "count")

    def __init__(self) -> None:
        # base -> length of stem -> stem -> value
        self._bases: dict[str, dict[int, dict[str, T]]] = {}
        # Length of the longest base there has been: a URI of a thousand components is not asked about further on.
        self._longest_base = 0
        self.count = 0

    def get(self, prefix: str) -> T | None:
        base, stem = _split(prefix)
        return self._bases.get(base, {}).get(len(stem), {}).get(stem)

    def add(self, prefix: str, value: T) -> None:
        base, stem = _split(prefix)
        self._longest_base = max(self._longest_base, len(base))
        stems = self._bases.setdefault(base, {}).setdefault(len(stem), {})
        self.count += stem not in stems
        stems[stem] = value

    def remove(self, prefix: str) -> None:
        base, stem = _split(prefix)
        lengths = self._bases.get(base, {})
        stems = lengths.get(len(stem), {})
        if stems.pop(stem, None) is None:
            return
        self.count -= 1
        if not stems:
            del lengths[len(stem)]
            if not lengths:
                del self._bases[base]

    def collect(self, uri: str, found: list[T]) -> None:
        bases, longest_base = self._bases, self._longest_base
        start = 0
        while True:
            lengths = bases.get(uri[:start])
            end = uri.find(".", start)
            if lengths is not None:
                component = uri[start:] if end < 0 else uri[start:end]
                for length in sorted(lengths) if len(lengths) > 1 else lengths:
                    if length <= len(component):
                        value = lengths[length].get(component[:length])
                        if value is not None:
                            found.append(value)
            if end < 0 or end >= longest_base:
                return
            start = end + 1

    def values(self) -> Iterator[T]:
        return iter(
            [value for lengths in self._bases.values() for stems in lengths.values() for value in stems.values()]
        )


def _split(prefix: str) -> tuple[str, str]:
    cut = prefix.rfind(".") + 1
    return prefix[:cut], prefix[cut:]
