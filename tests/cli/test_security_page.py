"""The configuration that docs/security.md gives to begin with means what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rocade.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def test_the_file_to_begin_with_allows_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## One file to begin with\n")[2].partition("\n## ")[0]
    configuration, commands = (re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL) for kind in ("json", "sh"))
    assert configuration is not None
    assert commands is not None
    (tmp_path / "shop.json").write_text(configuration[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    told = []
    for line in commands[1].splitlines():
        _, command, *arguments = shlex.split(line, comments=True)
        if command != "start":
            with pytest.raises(SystemExit) as end:
                main([command, *arguments])
            promised = line.partition("#")[2].strip() or "shop.json is valid"
            assert capsys.readouterr().out.startswith(promised)
            told.append((command, end.value.code))

    assert told == [("check", 0), ("why", 0), ("why", 1), ("why", 1)]
