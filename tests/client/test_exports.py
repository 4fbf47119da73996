"""What the package offers, and what it costs to import it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import rocade


def test_every_name_is_there() -> None:
    for name in rocade.__all__:
        assert getattr(rocade, name) is not None


def test_completion_shows_what_is_for_users() -> None:
    assert {name for name in dir(rocade) if not name.startswith("__")} == {*rocade._LAZY, "blocking"}


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(rocade.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: statement.module
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }

    assert seen == rocade._LAZY


def test_the_package_alone_imports_nothing() -> None:
    code = "import sys, rocade; print(*[name for name in ('asyncio', 'msgspec', 'ssl') if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
