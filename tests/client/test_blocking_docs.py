"""Every example of docs/blocking.md does what the page says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from tests.client.test_flask import Site

from rocade.blocking import connect
from rocade.testing import ListeningRouter

PAGE = Path(__file__).parents[2] / "docs" / "blocking.md"
SNIPPET = re.compile(r"^```python(?: title=\"(.*?)\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_examples_run(rocade_router: ListeningRouter, capsys: pytest.CaptureFixture[str]) -> None:
    text = PAGE.read_text(encoding="utf-8").replace("ws://127.0.0.1:8080/ws", rocade_router.url)
    names: dict[str, Any] = {"__name__": "example"}
    examples = []
    for snippet in SNIPPET.finditer(text):
        if snippet[1] is None:
            known = set(names)
            exec(compile("\n" * text.count("\n", 0, snippet.start(2)) + snippet[2], str(PAGE), "exec"), names)
            examples += [names[name] for name in names if name not in known and inspect.isfunction(names[name])]
    assert capsys.readouterr().out == "5\n"

    ran = []
    for example in examples:
        parameters = list(inspect.signature(example).parameters)
        if parameters not in ([], ["client"]):
            continue  # a procedure or handler of the page
        with connect(rocade_router.url) as client:
            example(*([client] if parameters else []))
        ran.append(example.__name__)
    assert ran == ["iterate", "use_it", "everything_else"]


def test_its_site_runs_under_gunicorn(rocade_router: ListeningRouter, tmp_path: Path) -> None:
    for snippet in SNIPPET.finditer(PAGE.read_text(encoding="utf-8")):
        if snippet[1] is not None:
            (tmp_path / snippet[1]).write_text(snippet[2])
    with (
        connect(rocade_router.url) as client,
        client.events("wamp.session.on_join") as joined,
        Site(rocade_router.url, "-w", "2", folder=tmp_path, home=tmp_path) as site,
    ):
        for _ in range(2):
            next(joined)
        assert site.request("/price/tea") == (200, {"tea": 2.5})
