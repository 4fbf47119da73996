"""`rocade keygen`."""

from __future__ import annotations

import stat
from pathlib import Path

from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rocade.cli import commands
from rocade.serve.authentication.cryptosign import is_public_key


def test_a_pair_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "joe.key"

    result = CliRunner().invoke(commands, ["keygen", str(file)])

    public = result.output.strip()
    assert result.exit_code == 0
    assert is_public_key(public)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(file.read_text()))
    assert private.public_key().public_bytes_raw().hex() == public


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "joe.key"
    file.write_text("precious")

    result = CliRunner().invoke(commands, ["keygen", str(file)])

    assert result.exit_code == 2
    assert file.read_text() == "precious"
