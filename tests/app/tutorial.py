"""The files that docs/tutorial.md has its readers save."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of the page."""

    language: str
    title: str
    """Name of the file; "" for what is not saved."""
    text: str


def blocks() -> list[Block]:
    """All blocks, in their order."""
    return [Block(found[1], found[2] or "", found[3]) for found in _BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]


def file(title: str, edition: int = -1) -> str:
    """What the page has in a file.

    Args:
        title: name of the file.
        edition: which of several; the last one by default.
    """
    return [block.text for block in blocks() if block.title == title][edition]


def save(directory: Path, title: str, edition: int = -1, url: str = "ws://127.0.0.1:8080/ws") -> Path:
    """Save a file as a reader does, except for the port."""
    path = directory / title
    path.parent.mkdir(exist_ok=True)
    path.write_text(file(title, edition).replace("ws://127.0.0.1:8080/ws", url), encoding="utf-8")
    return path
