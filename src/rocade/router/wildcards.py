"""Finding the wildcard patterns that match a URI, however many there are that nearly do.

Patterns with their wildcards at the same places are found all at once, by their other components: one look in a
dictionary for each such set of places. Among many different sets, of which there is no good example but a hostile
one, those patterns are found for which all components agree: a number for each component has one bit for each of
thousands of patterns, and the bits of all components of the URI are combined.

Specification: advanced/pubsub_pattern_based_subscription.md, advanced/rpc_pattern_based_registration.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, compress, starmap
from operator import itemgetter
from typing import Any, Generic, TypeVar

T = TypeVar("T")

__all__ = ["WildcardIndex"]

MOST_SHAPES = 16
"""Shapes, among patterns with the same number of components, that are looked through one after the other."""

BLOCK = 2048
"""Patterns whose components are compared at once."""

_ONES = bytes.maketrans(b"01", b"\0\1")


class WildcardIndex(Generic[T]):
    """Values by wildcard pattern, in which "" stands for any component.

    Attributes:
        count: how many there are.
    """

    __slots__ = ("_lengths", "count")

    def __init__(self) -> None:
        # number of components -> patterns of so many
        self._lengths: dict[int, _Length[T]] = {}
        self.count = 0

    def get(self, pattern: str) -> T | None:
        """The value held under exactly this pattern."""
        components = pattern.split(".")
        length = self._lengths.get(len(components))
        return None if length is None else length.get(pattern, components)

    def add(self, pattern: str, value: T) -> None:
        """Hold `value` under the pattern, instead of any value that was there."""
        components = pattern.split(".")
        length = self._lengths.get(len(components))
        if length is None:
            length = self._lengths[len(components)] = _Length()
        self.count += length.add(pattern, components, value)

    def remove(self, pattern: str) -> None:
        """Let go of the value under the pattern, if there is one."""
        components = pattern.split(".")
        length = self._lengths.get(len(components))
        if length is not None and length.remove(pattern, components):
            self.count -= 1
            if length.is_empty:
                del self._lengths[len(components)]

    def collect(self, uri: str, found: list[T], rest: list[Iterator[T]] | None = None) -> None:
        """Add every value whose pattern matches the URI.

        Args:
            uri: one URI.
            found: where they are added.
            rest: if there are very many more, whatever finds them one after the other is added to this, if it is given.
        """
        components = uri.split(".")
        length = self._lengths.get(len(components))
        if length is not None:
            length.collect(components, found, rest)

    def best(self, uri: str) -> T | None:
        """The value with the longest literal run before its first wildcard, then before its second, and so on."""
        components = uri.split(".")
        length = self._lengths.get(len(components))
        return None if length is None else length.best(components)

    def values(self) -> Iterator[T]:
        """All values."""
        return iter([value for length in self._lengths.values() for value in length.values()])


class _Length(Generic[T]):
    """Patterns with the same number of components.

    The shape of a pattern tells where its wildcards are; the better it matches, the smaller it is.
    """

    __slots__ = ("crowd", "shapes")

    def __init__(self) -> None:
        # shape -> patterns of that shape, best first
        self.shapes: dict[str, _Shape[T]] = {}
        # those whose shape was one too many
        self.crowd: _Crowd[T] | None = None

    @property
    def is_empty(self) -> bool:
        return not self.shapes and self.crowd is None

    def get(self, pattern: str, components: Sequence[str]) -> T | None:
        shape = self.shapes.get(_shape(components))
        value = None if shape is None else shape.values.get(shape.key(components))
        return self.crowd.get(pattern) if value is None and self.crowd is not None else value

    def add(self, pattern: str, components: Sequence[str], value: T) -> bool:
        """Whether there was no such pattern before."""
        if self.crowd is not None and self.crowd.replace(pattern, value):
            return False
        name = _shape(components)
        shape = self.shapes.get(name)
        if shape is None:
            if len(self.shapes) >= MOST_SHAPES:
                if self.crowd is None:
                    self.crowd = _Crowd(len(components))
                self.crowd.add(pattern, components, value)
                return True
            shape = self.shapes[name] = _Shape(name)
            self.shapes = dict(sorted(self.shapes.items()))
        key = shape.key(components)
        is_new = key not in shape.values
        shape.values[key] = value
        return is_new

    def remove(self, pattern: str, components: Sequence[str]) -> bool:
        """Whether there was such a pattern."""
        if self.crowd is not None and self.crowd.remove(pattern, components):
            if not self.crowd.places:
                self.crowd = None
            return True
        name = _shape(components)
        shape = self.shapes.get(name)
        if shape is None or shape.values.pop(shape.key(components), None) is None:
            return False
        if not shape.values:
            del self.shapes[name]
        return True

    def collect(self, components: Sequence[str], found: list[T], rest: list[Iterator[T]] | None) -> None:
        for shape in self.shapes.values():
            value = shape.values.get(shape.key(components))
            if value is not None:
                found.append(value)
        if self.crowd is not None:
            self.crowd.collect(components, found, rest)

    def best(self, components: Sequence[str]) -> T | None:
        best = None if self.crowd is None else self.crowd.best(components)
        for name, shape in self.shapes.items():
            if best is not None and best[0] < name:
                break
            value = shape.values.get(shape.key(components))
            if value is not None:
                return value
        return None if best is None else best[1]

    def values(self) -> Iterable[T]:
        few = chain.from_iterable(shape.values.values() for shape in self.shapes.values())
        return few if self.crowd is None else chain(few, self.crowd.values())


def _shape(components: Iterable[str]) -> str:
    return "".join(["l" if component else "w" for component in components])


class _Shape(Generic[T]):
    """Patterns with their wildcards at the same places."""

    __slots__ = ("key", "values")

    def __init__(self, shape: str) -> None:
        literals = [position for position, kind in enumerate(shape) if kind == "l"]
        # components of a pattern, or of a URI -> those that are no wildcards
        self.key: Callable[[Sequence[str]], Any] = itemgetter(*literals) if literals else _nothing
        # these components -> value
        self.values: dict[Any, T] = {}


def _nothing(components: Sequence[str]) -> str:
    return ""


class _Crowd(Generic[T]):
    """Patterns of any shape, with the same number of components, in blocks."""

    __slots__ = ("_blocks", "_free", "_length", "places")

    def __init__(self, length: int) -> None:
        self._length = length
        self._blocks: list[_Block[T]] = []
        self._free: list[tuple[_Block[T], int]] = []
        # pattern -> where it is
        self.places: dict[str, tuple[_Block[T], int]] = {}

    def get(self, pattern: str) -> T | None:
        place = self.places.get(pattern)
        return None if place is None else place[0].values[place[1]]

    def replace(self, pattern: str, value: T) -> bool:
        place = self.places.get(pattern)
        if place is None:
            return False
        place[0].values[place[1]] = value
        return True

    def add(self, pattern: str, components: Sequence[str], value: T) -> None:
        if not self._free:
            block: _Block[T] = _Block(self._length)
            self._blocks.append(block)
            self._free = [(block, number) for number in reversed(range(BLOCK))]
        block, number = self.places[pattern] = self._free.pop()
        block.put(number, components, value)

    def remove(self, pattern: str, components: Sequence[str]) -> bool:
        place = self.places.pop(pattern, None)
        if place is None:
            return False
        block, number = place
        block.take_out(number, components)
        self._free.append(place)
        return True

    def collect(self, components: Sequence[str], found: list[T], rest: list[Iterator[T]] | None) -> None:
        matching = [(block, patterns) for block in self._blocks if (patterns := block.matching(components))]
        values = chain.from_iterable(starmap(_Block.chosen, matching))
        if rest is not None and sum(patterns.bit_count() for _, patterns in matching) > BLOCK:
            rest.append(values)
        else:
            found.extend(values)

    def best(self, components: Sequence[str]) -> tuple[str, T] | None:
        """The shape of the best pattern, and its value."""
        bests = [best for block in self._blocks if (best := block.best(components)) is not None]
        return min(bests, key=itemgetter(0), default=None)

    def values(self) -> Iterator[T]:
        for block, number in self.places.values():
            value = block.values[number]
            assert value is not None
            yield value


class _Block(Generic[T]):
    """Up to `BLOCK` patterns. A number stands for a set of them: each has one bit."""

    __slots__ = ("_having", "values")

    def __init__(self, length: int) -> None:
        # for each position: component ("" for a wildcard) -> the patterns that have it there
        self._having: list[dict[str, int]] = [{} for _ in range(length)]
        self.values: list[T | None] = [None] * BLOCK

    def put(self, number: int, components: Sequence[str], value: T) -> None:
        self.values[number] = value
        for component, having in zip(components, self._having, strict=True):
            having[component] = having.get(component, 0) | 1 << number

    def take_out(self, number: int, components: Sequence[str]) -> None:
        self.values[number] = None
        for component, having in zip(components, self._having, strict=True):
            having[component] ^= 1 << number
            if not having[component]:
                del having[component]

    def matching(self, components: Sequence[str]) -> int:
        """The patterns that match."""
        found = -1
        for component, having in zip(components, self._having, strict=True):
            found &= having.get(component, 0) | having.get("", 0)
            if not found:
                break
        return found

    def chosen(self, patterns: int) -> Iterator[T]:
        """The values of some of the patterns, as they are when it comes to them; those that are gone are left out."""
        values = compress(self.values, bin(patterns)[:1:-1].encode().translate(_ONES))
        return (value for value in values if value is not None)

    def best(self, components: Sequence[str]) -> tuple[str, T] | None:
        """The shape of the best pattern, and its value."""
        found = self.matching(components)
        if not found:
            return None
        shape = []
        for component, having in zip(components, self._having, strict=True):
            literal = found & having.get(component, 0) if component else 0
            found = literal or found
            shape.append("l" if literal else "w")
        value = self.values[found.bit_length() - 1]
        assert value is not None
        return "".join(shape), value
