"""Which URIs and patterns are accepted (basic/building_blocks.md, URIs)."""

from __future__ import annotations

import re

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from rocade.wamp.uris import MAX_PATTERN_COMPONENTS, MAX_URI_LENGTH, is_pattern, is_reserved, is_uri, shown

STRICT = ["a", "com.example.add", "com.example.v2.add_user", "0", "_", "a.b.c.d", "wamp.error.canceled"]
LOOSE = [
    "A",
    "com.Example",
    "com.example.ärger",
    "a-b",
    "a/b:c",
    "\U0001f600",
    "a\0b",
    "'",
    "com.日本",
    "a\\b",
    "*",
    "a\u200bb",
]
PATTERNS = ["", ".", "com.", ".com", "com..add", "..", "com...", "."]
NEVER = ["a b", " a", "a ", "a\n", "\na", "a\t.b", "a#b", "#", "a\u00a0b", "a\u2028b", "a\r\n", "a\x1cb", "a\u3000"]


@pytest.mark.parametrize("uri", STRICT)
def test_strict_uris_are_uris_and_patterns_in_both_modes(uri: str) -> None:
    for strict in (False, True):
        assert is_uri(uri, strict=strict)
        assert is_pattern(uri, strict=strict)


@pytest.mark.parametrize("uri", LOOSE)
def test_loose_uris_are_refused_in_strict_mode_only(uri: str) -> None:
    for accepts in (is_uri, is_pattern):
        assert accepts(uri)
        assert not accepts(uri, strict=True)


@pytest.mark.parametrize("uri", PATTERNS)
def test_empty_components_stand_in_patterns_only(uri: str) -> None:
    for strict in (False, True):
        assert is_pattern(uri, strict=strict)
        assert not is_uri(uri, strict=strict)


@pytest.mark.parametrize("uri", NEVER)
def test_whitespace_and_number_signs_are_never_accepted(uri: str) -> None:
    for strict in (False, True):
        assert not is_uri(uri, strict=strict)
        assert not is_pattern(uri, strict=strict)


@given(st.text(st.sampled_from("ab_.# \nA9é"), max_size=12))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_uris_are_those_of_the_expressions_in_the_specification(uri: str) -> None:
    assert is_uri(uri) == bool(re.fullmatch(r"([^\s\.#]+\.)*([^\s\.#]+)", uri))
    assert is_uri(uri, strict=True) == bool(re.fullmatch(r"([0-9a-z_]+\.)*([0-9a-z_]+)", uri))
    assert is_pattern(uri) == bool(re.fullmatch(r"(([^\s\.#]+\.)|\.)*([^\s\.#]+)?", uri))
    assert is_pattern(uri, strict=True) == bool(re.fullmatch(r"(([0-9a-z_]+\.)|\.)*([0-9a-z_]+)?", uri))


def test_longest_uri_is_accepted_and_a_longer_one_refused() -> None:
    for uri in ("a" * MAX_URI_LENGTH, "a." * (MAX_URI_LENGTH // 2 - 1) + "ab", "é" * MAX_URI_LENGTH):
        assert len(uri) == MAX_URI_LENGTH
        assert is_uri(uri)
        assert not is_uri(uri + "a")
    for uri in ("a" * MAX_URI_LENGTH, "." + "a" * (MAX_URI_LENGTH - 1)):
        assert is_pattern(uri)
        assert not is_pattern(uri + "a")


def test_a_pattern_has_no_more_components_than_an_index_should_keep_places_for() -> None:
    for strict in (False, True):
        assert is_pattern("." * (MAX_PATTERN_COMPONENTS - 1), strict=strict)
        assert not is_pattern("." * MAX_PATTERN_COMPONENTS, strict=strict)


@pytest.mark.parametrize("unit", ["a", "a.", ".", "a.a", "..a", "é."])
@pytest.mark.parametrize("end", ["", "#", " ", "\n", "."])
def test_hopeless_uris_are_refused_after_one_pass(unit: str, end: str) -> None:
    # A pattern with nested repetition would try every way to divide these, and not return in this lifetime.
    uri = (unit * MAX_URI_LENGTH)[: MAX_URI_LENGTH - 1] + end

    for strict in (False, True):
        is_uri(uri, strict=strict)
        is_pattern(uri, strict=strict)
    assert not is_uri(uri + "#" * 10_000_000)


@pytest.mark.parametrize(
    ("uri", "reserved"),
    [
        ("wamp", True),
        ("wamp.", True),
        ("wamp.session.get", True),
        ("wampy", False),
        ("com.wamp", False),
        ("", False),
        ("Wamp.a", False),
    ],
)
def test_what_begins_with_the_component_wamp_is_reserved(uri: str, reserved: bool) -> None:
    assert is_reserved(uri) is reserved


def test_uris_in_error_messages_are_quoted() -> None:
    assert shown("com.example") == "'com.example'"
    assert shown("a\nb") == r"'a\nb'"


@pytest.mark.parametrize("character", ["a", "\n", "\0", "\U0010ffff", "'", '"', "é"])
def test_uris_in_error_messages_are_at_most_a_line(character: str) -> None:
    for length in (1, 100, 118, 119, 120, 10_000):
        text = shown(character * length)

        assert len(text) <= 120
        assert text.isprintable()
        assert text[0] == text[-1]
