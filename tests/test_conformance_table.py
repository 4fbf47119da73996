"""docs/conformance.md says which test shows what: none of it may be wishful."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from rocade.router.realm import ROUTER_ROLES

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "conformance.md"
NAMED = re.compile(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")
WITHOUT_TESTS = ("not there", "not yet", "not sent", "passthru mode with")
"""How the last column begins where there is nothing to test."""

TEXT = PAGE.read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.endswith(" Tests |")]


@cache
def functions_of(file: str) -> frozenset[str]:
    """The names of the functions of a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("file", sorted({file for _, file in NAMED.findall(TEXT)}))
def test_each_test_that_is_named_is_there(file: str) -> None:
    named = {name for name, where in NAMED.findall(TEXT) if where == file}

    assert named <= functions_of(file)


def test_each_row_names_a_test_or_says_that_there_is_nothing() -> None:
    assert len(ROWS) > 90
    for row in ROWS:
        last = row.rstrip(" |").rpartition(" | ")[2]
        assert NAMED.match(last) or last.startswith(WITHOUT_TESTS), row
        assert "test_" not in NAMED.sub("", last), "something that looks like a test is not linked"


def test_each_feature_that_the_router_announces_has_a_row() -> None:
    for role in (ROUTER_ROLES.broker, ROUTER_ROLES.dealer):
        assert role is not None
        for feature in role.features or {}:
            assert any(f"`{feature}`" in row for row in ROWS), feature


def test_the_twenty_behaviours_are_twenty() -> None:
    numbers = [int(match[1]) for row in ROWS if (match := re.match(r"\| (\d+) \|", row))]

    assert numbers == list(range(1, 21))
