"""What people type first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rocade
from rocade.cli import main


def test_the_version_is_told_by_an_option_and_by_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--version"], ["version"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)

        assert (caught.value.code, capsys.readouterr().out) == (0, f"rocade {rocade.__version__}\n")


def test_check_takes_the_file_with_and_without_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.json"
    transport = {"type": "rawsocket", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"}}
    worker = {
        "type": "router",
        "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}]}],
        "transports": [transport],
    }
    file.write_text(json.dumps({"version": 2, "workers": [worker]}))

    for arguments in (["check", str(file)], ["check", "--config", str(file)]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)

        assert caught.value.code == 0
        assert capsys.readouterr().out.startswith(f"{file} is valid\n")
