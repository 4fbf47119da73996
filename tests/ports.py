"""Ports where nobody listens yet, or not any more."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port of the loopback that nobody is given.

    Who asks for it by its number may listen there, also again and again; meanwhile connections to it are refused.
    """
    with socket.socket() as holder:
        # Without this nobody else could bind to it; without `listen` nobody is kept from listening.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
