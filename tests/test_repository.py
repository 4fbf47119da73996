"""The repository itself: scripts run, versions agree, and nothing in it depends on one person's machine."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import rocade

ROOT = Path(__file__).parent.parent
SCRIPTS = [*sorted((ROOT / "scripts").iterdir()), ROOT / ".ci" / "run"]
SOURCED = {"environment"}
IGNORED = {"__pycache__", "node_modules", "build", "dist"}
HIDDEN_BUT_OURS = {".ci", ".editorconfig", ".gitignore", ".pre-commit-config.yaml"}
# Homes and workplaces with something in them; such a name alone is a word that a text may need.
MACHINE_PATH = re.compile(r"(?<![\w./])/(?:work|root|home/[a-z][\w-]*|Users/\w+)/[\w.]|\b[A-Z]:\\Users\\")


def files() -> Iterator[Path]:
    """Every file of ours, without what tools leave behind."""
    folders = [ROOT]
    while folders:
        for path in folders.pop().iterdir():
            hidden = path.name.startswith(".") and path.name not in HIDDEN_BUT_OURS
            if hidden or path.name in IGNORED or path.name.endswith(".egg-info") or path.is_symlink():
                continue
            if path.is_dir():
                folders.append(path)
            else:
                yield path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_run_and_stops_at_the_first_error(script: Path) -> None:
    text = script.read_text(encoding="utf-8")

    if script.name in SOURCED:
        assert not text.startswith("#!"), "a sourced file is not for running"
    else:
        assert script.stat().st_mode & 0o111 == 0o111
        assert text.startswith("#!/usr/bin/env bash\n")
        assert "\nset -euo pipefail\n" in text


def test_the_changelog_is_about_the_version_of_the_package() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    newest = re.search(r"^## .*?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)

    assert newest is not None
    assert newest[1] == rocade.__version__


def test_pyproject_has_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert "version" in project.get("dynamic", []) or project["version"] == rocade.__version__


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    found = []
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in MACHINE_PATH.finditer(text)]

    assert found == []


@pytest.mark.parametrize("folder", ["work", "root", "home/ada", "Users/ada"])
def test_a_path_of_somebodys_machine_is_recognised(folder: str) -> None:
    text = f"see /{folder}/src"

    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["docs/work/a.md", "https://example.org/root/x", "/workers/0", "the /root of it"])
def test_other_paths_are_left_alone(text: str) -> None:
    assert not MACHINE_PATH.search(text)
