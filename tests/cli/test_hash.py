"""`rocade hash`: its output goes into a configuration file as it is."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
import pytest
from click.testing import CliRunner
from tests.node.test_logins import build, load, scram, ticket, wampcra

from rocade.cli import commands
from rocade.serve.authentication.hashes import matches


def hashed(*arguments: str, secret: str = "pencil\n") -> dict[str, Any]:
    result = CliRunner().invoke(commands, ["hash", *arguments], input=secret, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "pencil" not in result.output
    keys: dict[str, Any] = json.loads(result.output)
    return keys


@pytest.mark.parametrize("options", [[], ["--argon2"]])
def test_a_ticket(options: list[str]) -> None:
    keys = hashed("ticket", *options)

    assert build(load(ticket(**keys)))
    assert matches(keys["ticket-hash"], "pencil")
    assert not matches(keys["ticket-hash"], "Pencil")


def test_a_wampcra_password() -> None:
    keys = hashed("wampcra", "--iterations", "10")

    assert build(load(wampcra(**keys)))
    assert keys["iterations"] == 10


def test_two_hashes_are_never_the_same() -> None:
    assert hashed("wampcra", "--iterations", "10") != hashed("wampcra", "--iterations", "10")


def test_nothing_is_no_secret() -> None:
    result = CliRunner().invoke(commands, ["hash", "ticket"], input="\n")

    assert result.exit_code == 2


def test_without_argon2_the_extra_is_named_and_what_works_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argon2", None)

    with pytest.raises(click.UsageError, match=r'pip install "rocade\[argon2\]"; or choose --kdf pbkdf2'):
        CliRunner().invoke(commands, ["hash", "scram"], input="pencil\n", standalone_mode=False, catch_exceptions=False)


@pytest.mark.parametrize(
    "options",
    [["--memory", "64"], ["--kdf", "argon2id13", "--memory", "64"], ["--kdf", "pbkdf2", "--iterations", "10"]],
)
def test_a_scram_password(options: list[str]) -> None:
    keys = hashed("scram", *options)

    assert build(load(scram(**keys)))
