"""Listening sockets: what can be bound, and what is refused with a clear text."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from rocade.net.listener import bind_tcp, bind_unix, describe


def test_a_port_is_described_as_people_write_it() -> None:
    with bind_tcp("127.0.0.1", 0) as sock:
        assert describe(sock) == f"127.0.0.1:{sock.getsockname()[1]}"
    with bind_tcp("localhost", 0) as sock:
        assert describe(sock).startswith("127.0.0.1:")


def test_a_taken_port_is_refused_by_name() -> None:
    with bind_tcp("127.0.0.1", 0) as first:
        port = first.getsockname()[1]

        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: .*in use"):
            bind_tcp("127.0.0.1", port)


def test_processes_can_share_a_port() -> None:
    with (
        bind_tcp("127.0.0.1", 0, reuse_port=True) as first,
        bind_tcp("127.0.0.1", first.getsockname()[1], reuse_port=True) as second,
    ):
        assert second.getsockname() == first.getsockname()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "127.0..1", "x" * 64])
def test_a_host_that_is_not_here_is_refused_by_name(host: str) -> None:
    with pytest.raises(OSError, match=f"cannot listen on {host}:8080"):
        bind_tcp(host, 8080)


def test_a_unix_socket_is_private(tmp_path: Path) -> None:
    path = tmp_path / "socket"

    with bind_unix(str(path)) as sock:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert describe(sock) == f"unix:{path}"


def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    bind_unix(path).close()

    with bind_unix(path, mode=0o660) as listening, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        accepted, _ = listening.accept()
        accepted.close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660


def test_a_socket_in_use_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    with bind_unix(path), pytest.raises(OSError, match=r"cannot listen on unix:.*another process"):
        bind_unix(path)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")

    with pytest.raises(FileExistsError, match="not a socket"):
        bind_unix(str(path))

    assert path.read_text() == "data"
