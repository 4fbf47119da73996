"""Who may import whom: the layers of docs/architecture.md, checked by reading the imports of every module.

Imports inside functions and under `TYPE_CHECKING` count like all others.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "rocade"

# layer -> layers it may import, besides itself
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "wamp": {"errors"},
    "router": {"errors", "wamp"},
    "net": {"errors", "wamp"},
    "serve": {"errors", "wamp", "router", "net"},
    "client": {"errors", "wamp", "net"},
    "blocking": {"client"},
    "cluster": {"errors", "wamp", "router", "serve"},
    "app": {"errors", "wamp", "client", "serve"},
    "node": {"errors", "wamp", "router", "net", "serve", "client", "cluster", "app"},
    "cli": {"errors", "wamp", "router", "net", "serve", "client", "cluster", "app", "node", "rocade"},
    "testing": {"rocade"},
    "batteries": {"rocade"},
    "contrib": {"rocade"},
    "rocade": {"errors", "client", "blocking", "app"},  # the package itself: what it offers as `rocade.name`
    "__main__": {"cli"},
}
SANS_IO = {"errors", "wamp", "router"}
IO_MODULES = {"asyncio", "random", "secrets", "select", "selectors", "socket", "ssl", "threading", "time", "uvloop"}


def imported_modules(source: str, module: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Every module that a module imports, as line and absolute dotted name.

    `from a import b` gives "a.b": whether `b` is a module or a name in `a`, its layer is the same.
    """
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                ancestors = package.split(".")
                kept = ancestors[: len(ancestors) - node.level + 1]
                base = ".".join([*kept, node.module] if node.module else kept)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def layer(name: str, layers: set[str]) -> str:
    """The layer of a dotted name below `rocade`; "rocade" for what the package itself offers."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in layers else "rocade"


def violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a module imports although its layer may not, as "line 3: router imports net (rocade.net.link)"."""
    here = layer(module, set(ALLOWED))
    found = []
    for line, name in imported_modules(source, module, is_package=is_package):
        root = name.split(".")[0]
        if root == "rocade":
            there = layer(name, set(ALLOWED))
            if there != here and there not in ALLOWED[here] and name not in _METADATA:
                found.append(f"line {line}: {here} imports {there} ({name})")
        elif here in SANS_IO and root in IO_MODULES:
            found.append(f"line {line}: {here} imports {root}, which knows the outside world")
    return sorted(found)


_METADATA = {"rocade.__version__"}
"""Names that every layer may know."""


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def dotted_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_module_belongs_to_a_layer() -> None:
    tops = {path.relative_to(SOURCE).with_suffix("").parts[0] for path in modules()} - {"__init__"}

    assert tops <= set(ALLOWED), "a new layer needs a line in ALLOWED and in docs/architecture.md"


@pytest.mark.parametrize("path", modules(), ids=dotted_name)
def test_a_module_imports_only_the_layers_below_it(path: Path) -> None:
    found = violations(path.read_text(encoding="utf-8"), dotted_name(path), is_package=path.name == "__init__.py")

    assert found == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("rocade.wamp.codec", "import asyncio", "wamp imports asyncio"),
        ("rocade.wamp.codec", "import time as clock", "wamp imports time"),
        ("rocade.wamp.codec", "from rocade.router import realm", "wamp imports router"),
        ("rocade.router.broker", "import rocade.net.link", "router imports net"),
        ("rocade.router.broker", "from ..net.link import Link", "router imports net"),
        ("rocade.router.broker", "from .. import serve", "router imports serve"),
        ("rocade.router.broker", "from concurrent import futures\nfrom random import random", "line 2: router imports"),
        ("rocade.router.broker", "def f():\n    import os, socket", "line 2: router imports socket"),
        ("rocade.router.broker", "if TYPE_CHECKING:\n    from rocade.serve import gateway", "router imports serve"),
        ("rocade.net.link", "from rocade import router", "net imports router"),
        ("rocade.net.link", "import rocade", "net imports rocade"),
        ("rocade.serve.gateway", "from rocade.node.configuration import load", "serve imports node"),
        ("rocade.client.session", "from rocade.router.realm import Realm", "client imports router"),
        ("rocade.node.process", "from rocade.cli import main", "node imports cli"),
        ("rocade.errors", "from rocade.wamp import uris", "errors imports wamp"),
        ("rocade.contrib.django.apps", "from rocade.serve import gateway", "contrib imports serve"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str, complaint: str) -> None:
    found = violations(source, module)

    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("module", "is_package", "source"),
    [
        ("rocade.router.broker", False, "from rocade.wamp.messages import Publish\nfrom . import patterns"),
        ("rocade.router", True, "from .broker import Broker\nfrom ..wamp import uris"),
        ("rocade.serve.gateway", False, "import asyncio\nfrom rocade.net.link import Link"),
        ("rocade.serve.gateway", False, "from rocade import __version__"),
        ("rocade.wamp.codec", False, "import timeit_like_name\nfrom rocade.errors import InvalidMessage"),
        ("rocade.cli.start", False, "from rocade.node.process import run"),
        ("rocade.contrib.django.apps", False, "from rocade import Application"),
    ],
)
def test_a_right_import_passes(module: str, is_package: bool, source: str) -> None:
    assert violations(source, module, is_package=is_package) == []
