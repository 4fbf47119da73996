"""What a checking process does: it looks through long messages, so that no event loop has to.

It knows serializers, and nothing of sessions or realms. `serve.checking` starts it, sends it one request after the
other over a socket, and ends it by closing the socket.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import traceback
from collections.abc import Sequence
from contextlib import suppress
from time import thread_time
from typing import Any

from msgspec import Raw, Struct, msgpack

from rocade.errors import InvalidMessage, NotUtf8, PayloadNotSerializable
from rocade.wamp.codec import SERIALIZERS, transcode
from rocade.wamp.large import head_of, payload_of, payload_spans
from rocade.wamp.patience import time_with

__all__ = [
    "DONE",
    "FAILED",
    "INVALID",
    "NOT_SERIALIZABLE",
    "NOT_UTF8",
    "PREFIX_BYTES",
    "READY",
    "TOO_MUCH",
    "Reply",
    "Request",
    "carry_out",
    "main",
]

READY = b"\x01"
"""What the process sends first of all."""

PREFIX_BYTES = 4
"""A request or reply has its length before it, in so many bytes."""

LARGE_MEMORY = 192 * 1024 * 1024
"""Bytes of memory from which on the process rather ends than keeps them; another one is started when needed."""

# What became of a request.
DONE, INVALID, NOT_UTF8, NOT_SERIALIZABLE, TOO_MUCH, FAILED = range(6)


class Request(Struct, array_like=True):
    """What is to be done with the bytes that follow.

    Attributes:
        origin: the serializer that they are in.
        target: the serializer that `args` and `kwargs`, one part each, are wanted in; "" to check a whole message.
        sizes: bytes of each part.
    """

    origin: str
    target: str
    sizes: list[int]


class Reply(Struct, array_like=True):
    """What has come of it; followed by bytes, too.

    Attributes:
        outcome: one of this module's constants.
        text: why it is not `DONE`.
        head: of a message that was checked, see `wamp.large`.
        spans: where its payload stands; empty if the payload follows, since it stands nowhere like this.
        sizes: bytes of each part that follows.
        is_last: whether the process ends with this.
    """

    outcome: int
    text: str = ""
    head: bytes = b""
    spans: list[int] = []
    sizes: list[int] = []
    is_last: bool = False


def carry_out(request: Request, parts: Sequence[Any]) -> tuple[Reply, list[Any]]:
    """The reply to a request, and the parts that follow it."""
    try:
        if request.target:
            return _translated(request, parts)
        return _checked(request, parts[0])
    except NotUtf8 as error:
        return Reply(NOT_UTF8, str(error)), []
    except InvalidMessage as error:
        return Reply(INVALID, str(error)), []
    except PayloadNotSerializable as error:
        return Reply(NOT_SERIALIZABLE, str(error)), []
    except MemoryError:
        return Reply(TOO_MUCH), []
    except Exception:
        return Reply(FAILED, traceback.format_exc()), []


def _checked(request: Request, data: bytes) -> tuple[Reply, list[Any]]:
    serializer = SERIALIZERS[request.origin]
    message = serializer.decode(data, is_patient=True)
    args, kwargs = payload_of(message)
    reply = Reply(DONE, head=head_of(message))
    spans = payload_spans(data, args, kwargs, serializer)
    if spans is not None:
        reply.spans = list(spans)
        return reply, []
    reply.sizes = [len(args), len(kwargs)]
    return reply, [args, kwargs]


def _translated(request: Request, parts: Sequence[bytes]) -> tuple[Reply, list[Any]]:
    origin, target = SERIALIZERS[request.origin], SERIALIZERS[request.target]
    results = [transcode(Raw(part), origin, target) for part in parts]
    return Reply(DONE, sizes=[len(result) for result in results]), results


def main(memory_limit: int) -> None:
    """Serve the socket that is our standard input, until the other side closes it.

    Args:
        memory_limit: bytes of address space beyond which allocations fail.
    """
    # Whoever started this decides when it ends; Ctrl-C and `systemctl stop` reach all processes of the router.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _limit_memory(memory_limit)
    _offer_ourselves_first()
    time_with(thread_time)
    gc.disable()  # what is decoded has no cycles, and walking over millions of lists takes longer than making them
    with socket.socket(fileno=os.dup(0)) as connection, suppress(ConnectionError):  # closed with a reply unread
        connection.setblocking(True)
        connection.sendall(READY)
        while _serve(connection):
            pass


def _limit_memory(limit: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, ValueError, OSError):
        pass


def _offer_ourselves_first() -> None:
    """When the machine runs out of memory, the kernel shall take this process rather than the router."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass


def _serve(connection: socket.socket) -> bool:
    """Answer one request; False when there is no other."""
    prefix = _received(connection, PREFIX_BYTES)
    if prefix is None:
        return False
    encoded = _received(connection, int.from_bytes(prefix, "big"))
    if encoded is None:
        return False
    request = msgpack.decode(encoded, type=Request)
    parts = []
    for size in request.sizes:
        part = _received(connection, size)
        if part is None:
            return False
        parts.append(part)
    reply, results = carry_out(request, parts)
    reply.is_last = _memory() > LARGE_MEMORY
    head = msgpack.encode(reply)
    connection.sendall(len(head).to_bytes(PREFIX_BYTES, "big") + head)
    for result in results:
        connection.sendall(result)
    return not reply.is_last


def _received(connection: socket.socket, size: int) -> bytes | None:
    """So many bytes; None when the other side has closed."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if count == 0:
            return None
        view = view[count:]
    return bytes(data)


def _memory() -> int:
    """Bytes of memory that are in use now."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes where there is no /proc
