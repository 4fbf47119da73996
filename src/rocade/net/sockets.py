"""Listening sockets: bound before anything else starts, so that a taken port is an ordinary error."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import Any

BACKLOG = 1024
"""Connections that may wait to be accepted."""


def bind_tcp(host: str, port: int, *, backlog: int = BACKLOG, reuse_port: bool = False) -> socket.socket:
    """A TCP socket that listens.

    Args:
        host: address or name; "" is every address of this machine, IPv4 and IPv6 where it has both.
        port: 0 lets the system choose, see `describe`.
        backlog: connections that may wait to be accepted.
        reuse_port: share the port with other processes that set this too; the system spreads connections.
    Raises:
        OSError: the address is taken, not of this machine, or not allowed; the text names it.
    """
    try:
        family, address = _resolve(host, port)
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise _cannot_listen(f"{host or '*'}:{port}", error) from error
    try:
        if os.name == "posix":
            # Otherwise a restarted server has to wait until its old connections have timed out.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if not host else 1)
        sock.bind(address)
        # At once: two sockets with SO_REUSEADDR can be bound to the same port, but only one can listen.
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise _cannot_listen(f"{host or '*'}:{port}", error) from error
    sock.setblocking(False)
    return sock


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    if not host:
        return (socket.AF_INET6, ("::", port)) if socket.has_dualstack_ipv6() else (socket.AF_INET, ("0.0.0.0", port))
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError:  # as which Python tells of empty and of overlong labels
        raise OSError(errno.EINVAL, "that is no name of a host") from None
    # "localhost" may come as ::1 first, where nobody looks for a server that says 127.0.0.1.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return found[0][0], found[0][4]


def bind_unix(path: str, *, mode: int = 0o600, backlog: int = BACKLOG) -> socket.socket:
    """A Unix socket that listens.

    A socket file that nobody listens on any more is replaced.

    Args:
        path: where; its directory must exist.
        mode: permissions of the socket file.
        backlog: connections that may wait to be accepted.
    Raises:
        OSError: somebody listens there, something else than a socket is there, or it is not allowed.
    """
    try:
        _remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise _cannot_listen(f"unix:{path}", error) from error
    # The permissions are set before anybody can connect: between bind() and listen() connections are refused.
    try:
        sock.bind(path)
        os.chmod(path, mode)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise _cannot_listen(f"unix:{path}", error) from error
    sock.setblocking(False)
    return sock


def _remove_stale(path: str) -> None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(errno.EEXIST, "there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, "another process listens there")


def _cannot_listen(where: str, error: OSError) -> OSError:
    """The same kind of error, with a text that says what could not be done."""
    return type(error)(error.errno, f"cannot listen on {where}: {error.strerror or error}")


def describe(sock: socket.socket) -> str:
    """Where a socket listens, for people: "127.0.0.1:8080", "[::1]:8080" or "unix:/run/rocade.sock"."""
    name = sock.getsockname()
    if isinstance(name, (str, bytes)):
        return f"unix:{os.fsdecode(name)}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{host}:{name[1]}"


class SocketFile:
    """The file of a Unix socket, to be removed when its listener ends, unless it has been replaced meanwhile."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._identity = self._identify()

    def _identify(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def remove(self) -> None:
        """Remove the file if it is still the same one."""
        if self._identity is not None and self._identify() == self._identity:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
