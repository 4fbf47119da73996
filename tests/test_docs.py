"""The papers: their links lead somewhere, their Python compiles, their configurations load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rocade.node.configuration import read_configuration
from rocade.router.realm import ROUTER_ROLES

ROOT = Path(__file__).parent.parent
PAPERS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """A fenced block of a paper."""

    paper: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.paper.relative_to(ROOT)}:{self.line}"


def snippets(*languages: str) -> list[Snippet]:
    """All fenced blocks in one of the languages."""
    found = []
    for paper in PAPERS:
        text = paper.read_text(encoding="utf-8")
        for block in FENCE.finditer(text):
            if block[1] in languages:
                line = text.count("\n", 0, block.start(2)) + 1
                found.append(Snippet(paper, line, block[1], block[2]))
    return found


def anchors(paper: Path) -> set[str]:
    """What `#…` may name in a paper: its headings, as GitHub spells them."""
    text = FENCE.sub("", paper.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def relative_links(paper: Path) -> Iterator[str]:
    text = FENCE.sub("", paper.read_text(encoding="utf-8"))
    yield from (link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link))


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_relative_links_lead_to_files_and_headings(paper: Path) -> None:
    dead = []
    for link in relative_links(paper):
        path, _, anchor = link.partition("#")
        target = paper.parent / path if path else paper
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(link)

    assert dead == []


@pytest.mark.parametrize("snippet", snippets("python", "py"), ids=str)
def test_python_compiles(snippet: Snippet) -> None:
    code = "\n" * (snippet.line - 1) + snippet.text

    compile(code, str(snippet.paper), "exec")


@pytest.mark.parametrize("snippet", snippets("json", "jsonc"), ids=str)
def test_a_configuration_loads(snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{(\w+)", snippet.text):
        monkeypatch.setenv(name, "8080")
    for directory in re.findall(r'"directory":\s*"([^"/]+)"', snippet.text):
        (tmp_path / directory).mkdir(exist_ok=True)
    file = tmp_path / "config.json"
    file.write_text(snippet.text, encoding="utf-8")

    configuration = read_configuration(file)

    assert configuration.workers


def test_the_readme_starts_with_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    first = next(block[2] for block in FENCE.finditer(text))
    commands = [line.split("#")[0].strip() for line in first.splitlines() if line.strip()]

    assert commands == ["scripts/demo", "scripts/test"]


def test_every_feature_that_the_router_announces_has_a_line_in_the_table() -> None:
    table = (ROOT / "docs" / "wamp.md").read_text(encoding="utf-8").partition("\n## ")[0]

    announced = {
        feature for role in (ROUTER_ROLES.broker, ROUTER_ROLES.dealer) if role for feature in role.features or ()
    }

    assert sorted(feature for feature in announced if f"`{feature}`" not in table) == []
