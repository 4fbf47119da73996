"""Finding what matches a URI: the right values, in the specification's order, without looking at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocade.router.patterns import PatternIndex
from rocade.router.wildcards import BLOCK, MOST_SHAPES
from rocade.wamp.messages import Match

EXACT, PREFIX, WILDCARD = Match.EXACT, Match.PREFIX, Match.WILDCARD

COMPONENTS = ["a", "b", "ab", "abc"]
uris = st.lists(st.sampled_from(COMPONENTS), min_size=1, max_size=4).map(".".join)
patterns = st.lists(st.sampled_from(["", *COMPONENTS]), min_size=1, max_size=4).map(".".join)
keys = st.one_of(
    st.tuples(uris, st.just(EXACT)),
    st.tuples(patterns, st.just(PREFIX)),
    st.tuples(patterns, st.just(WILDCARD)),
)


def matches(uri: str, pattern: str, match: Match) -> bool:
    """The specification's words about matching, as code that looks at one pattern."""
    if match is EXACT:
        return uri == pattern
    if match is PREFIX:
        return uri.startswith(pattern)
    ours, theirs = uri.split("."), pattern.split(".")
    return len(ours) == len(theirs) and all(b in ("", a) for a, b in zip(ours, theirs, strict=True))


def rank(key: tuple[str, Match]) -> tuple[int, list[int]]:
    """The larger, the better it matches, among those that match the same URI."""
    pattern, match = key
    if match is WILDCARD:
        return 0, [1 if component else 0 for component in pattern.split(".")]
    return (2 if match is EXACT else 1), [len(pattern)]


def index_of(held: list[tuple[str, Match]]) -> PatternIndex[tuple[str, Match]]:
    index: PatternIndex[tuple[str, Match]] = PatternIndex()
    for pattern, match in held:
        index.add(pattern, match, (pattern, match))
    return index


@given(st.sets(keys, max_size=12), uris)
def test_the_index_finds_what_a_scan_of_everything_finds(held: set[tuple[str, Match]], uri: str) -> None:
    found = index_of(list(held)).matching(uri)

    assert sorted(found) == sorted(key for key in held if matches(uri, *key))


@given(st.sets(keys, max_size=12), uris)
def test_the_best_match_is_that_of_a_scan_of_everything(held: set[tuple[str, Match]], uri: str) -> None:
    best = index_of(list(held)).best(uri)

    assert best == max((key for key in held if matches(uri, *key)), key=rank, default=None)


@given(st.lists(keys, max_size=12, unique=True), uris, st.randoms())
def test_the_order_in_which_values_were_added_makes_no_difference(
    held: list[tuple[str, Match]], uri: str, random: Any
) -> None:
    shuffled = random.sample(held, len(held))

    assert index_of(held).best(uri) == index_of(shuffled).best(uri)


@given(st.sets(keys, max_size=12), uris)
def test_exact_comes_first_then_prefixes_from_short_to_long_then_wildcards(
    held: set[tuple[str, Match]], uri: str
) -> None:
    found = index_of(list(held)).matching(uri)

    order = {EXACT: 0, PREFIX: 1, WILDCARD: 2}
    places = [(order[match], len(pattern) if match is PREFIX else 0) for pattern, match in found]
    assert places == sorted(places)


@given(st.lists(st.tuples(st.booleans(), keys), max_size=30), uris)
def test_adding_and_removing_in_any_order_leaves_what_a_dictionary_would_hold(
    steps: list[tuple[bool, tuple[str, Match]]], uri: str
) -> None:
    index: PatternIndex[int] = PatternIndex()
    model: dict[tuple[str, Match], int] = {}

    for number, (is_added, key) in enumerate(steps):
        if is_added:
            index.add(*key, number)
            model[key] = number
        else:
            index.remove(*key)
            model.pop(key, None)

    assert {key: index.get(*key) for _, key in steps} == {key: model.get(key) for _, key in steps}
    assert sorted(index.matching(uri)) == sorted(value for key, value in model.items() if matches(uri, *key))
    for match in Match:
        assert sorted(index.values(match)) == sorted(value for key, value in model.items() if key[1] is match)
    assert index.has_patterns() == any(match is not EXACT for _, match in model)


wide_patterns = st.lists(st.sampled_from(["", "", "a", "b"]), min_size=7, max_size=7).map(".".join)


@given(
    st.lists(wide_patterns, min_size=MOST_SHAPES, max_size=80),
    st.lists(st.tuples(st.booleans(), wide_patterns), max_size=30),
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=7, max_size=7).map(".".join),
)
def test_among_wildcards_of_very_many_shapes_it_finds_what_a_scan_of_everything_finds(
    first: list[str], steps: list[tuple[bool, str]], uri: str
) -> None:
    index: PatternIndex[str] = PatternIndex()
    model: dict[str, str] = {}

    for number, (is_added, pattern) in enumerate([(True, pattern) for pattern in first] + steps):
        if is_added:
            index.add(pattern, WILDCARD, f"{number} {pattern}")
            model[pattern] = f"{number} {pattern}"
        else:
            index.remove(pattern, WILDCARD)
            model.pop(pattern, None)

    matching = [pattern for pattern in model if matches(uri, pattern, WILDCARD)]
    best = max(matching, key=lambda pattern: rank((pattern, WILDCARD)), default="")
    assert sorted(index.matching(uri)) == sorted(model[pattern] for pattern in matching)
    assert index.best(uri) == model.get(best)
    assert {key: index.get(key, WILDCARD) for key in (*first, *(key for _, key in steps))} == {
        key: model.get(key) for key in (*first, *(key for _, key in steps))
    }
    assert sorted(index.values(WILDCARD)) == sorted(model.values())
    assert index._wildcards.count == len(model)
    for pattern in model:
        index.remove(pattern, WILDCARD)
    assert index._wildcards._lengths == {}


def test_a_place_that_a_wildcard_has_left_is_another_ones() -> None:
    index: PatternIndex[str] = PatternIndex()
    wildcards = [".".join("a" if number >> bit & 1 else "" for bit in range(13)) for number in range(1, 2**13)]
    for pattern in wildcards:
        index.add(pattern, WILDCARD, pattern)
    for pattern in wildcards[100:5000]:
        index.remove(pattern, WILDCARD)
    for pattern in wildcards[100:5000]:
        index.add(pattern + ".", PREFIX, pattern)
        index.add(pattern, WILDCARD, pattern)

    assert sorted(index.matching(".".join("a" * 13))) == sorted(wildcards)
    assert index.best(".".join("a" * 13)) == wildcards[-1] == "a.a.a.a.a.a.a.a.a.a.a.a.a"
    assert index.best(".".join("a" * 12 + "b")) == "a.a.a.a.a.a.a.a.a.a.a.a."
    assert index.matching(".".join("b" * 13)) == []


def test_thousands_that_match_are_found_one_after_the_other_for_those_who_want_it_while_the_index_changes() -> None:
    index: PatternIndex[str] = PatternIndex()
    wildcards = [".".join("a" if number >> bit & 1 else "" for bit in range(13)) for number in range(1, 2**13)]
    for pattern in wildcards:
        index.add(pattern, WILDCARD, pattern)
    uri, rest = ".".join("a" * 13), list[Iterator[str]]()

    found = index.matching(uri, rest)
    found.extend(islice(rest[0], 10))
    gone = [pattern for pattern in wildcards if pattern not in found][::2]
    for pattern in gone:
        index.remove(pattern, WILDCARD)
    found.extend(rest[0])

    assert len(rest) == 1
    assert sorted(found) == sorted(set(wildcards) - set(gone))
    assert sorted(index.matching(uri)) == sorted(found)


@given(st.lists(keys, max_size=20), st.randoms())
def test_removal_leaves_nothing_behind(held: list[tuple[str, Match]], random: Any) -> None:
    index = index_of(held)

    for key in random.sample(held, len(held)):
        index.remove(*key)

    assert index.exact == {}
    assert index._prefixes._bases == {}
    assert index._wildcards._lengths == {}
    assert (index._prefixes.count, index._wildcards.count) == (0, 0)


SPECIFICATION = [
    ("a1.b2.c3.d4.e55", EXACT),
    ("a1.b2.c3", PREFIX),
    ("a1.b2.c3.d4", PREFIX),
    ("a1.b2..d4.e5", WILDCARD),
    ("a1.b2.c33..e5", WILDCARD),
    ("a1.b2..d4.e5..g7", WILDCARD),
    ("a1.b2..d4..f6.g7", WILDCARD),
]
"""The registrations of the example in advanced/rpc_pattern_based_registration.md."""


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("a1.b2.c3.d4.e55", 1),
        ("a1.b2.c3.d98.e74", 2),
        ("a1.b2.c3.d4.e325", 3),
        ("a1.b2.c55.d4.e5", 4),
        ("a1.b2.c88.d4.e5.f6.g7", 6),
        ("a2.b2.c2.d2.e2", None),
    ],
)
def test_the_examples_of_the_specification_come_out_as_it_says(uri: str, number: int | None) -> None:
    expected = None if number is None else SPECIFICATION[number - 1]

    for held in [SPECIFICATION, SPECIFICATION[::-1]]:
        assert index_of(held).best(uri) == expected


def test_the_fifth_example_holds_where_no_prefix_stands_in_its_way() -> None:
    # The specification says of this URI "no prefix match", but its own examples of prefix matching ("com.myapp.topic.
    # emergency" matches "com.myapp.topic.emergency-low") make "a1.b2.c3" a prefix of it. We follow those.
    uri = "a1.b2.c33.d4.e5"

    assert index_of(SPECIFICATION).best(uri) == ("a1.b2.c3", PREFIX)
    assert index_of([key for key in SPECIFICATION if key[1] is not PREFIX]).best(uri) == SPECIFICATION[4]


def test_a_wildcard_that_leads_nowhere_gives_way_to_one_that_matches() -> None:
    held = [("a.b..x", WILDCARD), ("a...y", WILDCARD), ("..c.y", WILDCARD)]

    for order in permutations(held):
        assert index_of(list(order)).best("a.b.c.y") == ("a...y", WILDCARD)


@pytest.mark.parametrize(
    ("pattern", "uri", "is_matched"),
    [
        ("com.myapp.topic.emergency", "com.myapp.topic.emergency.11", True),
        ("com.myapp.topic.emergency", "com.myapp.topic.emergency-low", True),
        ("com.myapp.topic.emergency", "com.myapp.topic.emergency.category.severe", True),
        ("com.myapp.topic.emergency", "com.myapp.topic.emergency", True),
        ("com.myapp.topic.emergency", "com.myapp.topic.emerge", False),
        ("com.", "com.myapp", True),
        ("com.", "com", False),
        ("com", "com", True),
        ("com", "community", True),
        ("", "anything.at.all", True),
    ],
)
def test_a_prefix_is_a_string_and_not_a_list_of_components(pattern: str, uri: str, is_matched: bool) -> None:
    index = index_of([(pattern, PREFIX)])

    assert (index.best(uri) is not None) == is_matched
    assert (index.matching(uri) != []) == is_matched


@pytest.mark.parametrize(
    ("pattern", "uri", "is_matched"),
    [
        ("com.myapp..userevent", "com.myapp.foo.userevent", True),
        ("com.myapp..userevent", "com.myapp.foo.userevent.bar", False),
        ("com.myapp..userevent", "com.myapp.foo.user", False),
        ("com.myapp..userevent", "com.myapp2.foo.userevent", False),
        ("com.myapp.", "com.myapp.foo", True),
        ("com.myapp.", "com.myapp", False),
        (".myapp", "org.myapp", True),
        ("..", "a.b.c", True),
        ("..", "a.b", False),
        ("", "a", True),
        ("", "a.b", False),
    ],
)
def test_a_wildcard_stands_for_one_whole_component(pattern: str, uri: str, is_matched: bool) -> None:
    index = index_of([(pattern, WILDCARD)])

    assert (index.best(uri) is not None) == is_matched
    assert (index.matching(uri) != []) == is_matched


class CountingDict(dict[Any, Any]):
    """A dictionary that counts how often it is asked."""

    accesses = 0

    def get(self, key: Any, default: Any = None) -> Any:
        CountingDict.accesses += 1
        return super().get(key, default)

    def __getitem__(self, key: Any) -> Any:
        CountingDict.accesses += 1
        return super().__getitem__(key)


def count_accesses(index: PatternIndex[int], uri: str) -> int:
    """Dictionary accesses of one `best` and one `matching`."""
    index.exact = CountingDict(index.exact)
    index._prefixes._bases = CountingDict(
        {
            base: CountingDict({length: CountingDict(stems) for length, stems in lengths.items()})
            for base, lengths in index._prefixes._bases.items()
        }
    )
    index._wildcards._lengths = CountingDict(index._wildcards._lengths)
    for length in index._wildcards._lengths.values():
        length.shapes = CountingDict(length.shapes)
        for shape in length.shapes.values():
            shape.values = CountingDict(shape.values)
    CountingDict.accesses = 0

    index.best(uri)
    index.matching(uri)

    return CountingDict.accesses


def filled_index(size: int) -> PatternIndex[int]:
    index: PatternIndex[int] = PatternIndex()
    for number in range(size):
        index.add(f"com.app.n{number}", EXACT, number)
        index.add(f"com.app.n{number}.", PREFIX, number)
        index.add(f"com.n{number}", PREFIX, number)
        index.add(f"com..n{number}.x", WILDCARD, number)
        index.add(f"com.n{number}..x", WILDCARD, number)
    return index


def test_the_effort_of_a_look_up_does_not_grow_with_what_is_held() -> None:
    uri = "com.app.zzz.x"

    # From 10 up: the stems that exist have two lengths, and more later on, but always as few as numbers have digits.
    few, many = count_accesses(filled_index(10), uri), count_accesses(filled_index(5000), uri)

    assert few > 0
    assert many <= few + 8


def test_the_effort_of_a_look_up_among_wildcards_that_nearly_match_follows_the_number_of_blocks() -> None:
    def accesses(bits: int) -> int:
        index: PatternIndex[int] = PatternIndex()
        for number in range(2**bits):
            pattern = ".".join("" if number >> bit & 1 else "a" for bit in range(13))
            index.add(pattern + ".z", WILDCARD, number)
        length = index._wildcards._lengths[14]
        assert length.crowd is not None
        for block in length.crowd._blocks:
            block._having = [CountingDict(having) for having in block._having]
        return count_accesses(index, ".".join("a" * 13) + ".y")

    few, many = accesses(6), accesses(13)

    assert many <= few * (2**13 // BLOCK)


def test_the_effort_of_a_look_up_does_not_grow_with_components_behind_the_longest_prefix() -> None:
    index: PatternIndex[int] = PatternIndex()
    index.add("com.app.", PREFIX, 1)

    short, long = count_accesses(index, "com.app.a.b"), count_accesses(index, "com.app.a" + ".b" * 1000)

    assert short == long
