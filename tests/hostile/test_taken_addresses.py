"""An address that cannot be had ends `rocade start` with one clear line and exit code 2."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.conformance.waiting import TIMEOUT
from tests.hostile.process import SOURCE


def start(*arguments: str) -> tuple[int, list[str]]:
    """Exit code of `rocade start`, and the lines that it said."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "rocade", "start", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code, lines = start("--port", str(port))

    assert code == 2
    assert len(lines) == 1, lines
    assert f"127.0.0.1:{port}" in lines[0]
    assert "in use" in lines[0]


def test_an_address_of_a_file_is_named_with_the_file_and_the_place(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configuration = {
            "version": 2,
            "workers": [
                {
                    "type": "router",
                    "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}]}],
                    "transports": [
                        {"type": "rawsocket", "endpoint": {"type": "tcp", "port": port, "interface": "127.0.0.1"}}
                    ],
                }
            ],
        }
        file = tmp_path / "config.json"
        file.write_text(json.dumps(configuration))

        code, lines = start("--config", str(file))

    assert code == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{file}: workers[0].transports[0].endpoint: cannot listen on 127.0.0.1:{port}: ")


def test_a_unix_socket_that_is_taken_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()

        code, lines = start("--unix", str(path))

        assert path.exists()
    assert code == 2
    assert len(lines) == 1, lines
    assert str(path) in lines[0]


def test_a_file_where_the_unix_socket_should_be_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")

    code, lines = start("--unix", str(path))

    assert path.read_text() == "data"
    assert code == 2
    assert len(lines) == 1, lines
    assert str(path) in lines[0]
