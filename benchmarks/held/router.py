"""The router that is measured: a process that runs what `rocade start` runs, and is told when to measure.

It is told by lines of JSON on its standard input, such as `["start"]`, and answers each by one on its standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benchmarks.clients import REALM, ROLES
from benchmarks.held.watch import Sampler, Watch, watch_class, watched_loop
from rocade.net.connection import StreamLink
from rocade.net.http import SniffingProtocol
from rocade.net.link import Link
from rocade.net.memory import linked_pair
from rocade.net.packed import PackedConnection
from rocade.net.rawsocket import RawSocketConnection
from rocade.net.websocket_connection import WebSocketConnection
from rocade.node.configuration import read_configuration
from rocade.node.garbage import tame_garbage_collection
from rocade.node.process import _keep_large_memory_apart, _raise_file_limit
from rocade.node.worker import Worker
from rocade.serve.authentication import Anonymous
from rocade.serve.logs import configure_logging
from rocade.serve.loop import loop_factory
from rocade.wamp.codec import CBOR, JSON, MSGPACK

ENTRY_POINTS = (
    "connection_made",
    "data_received",
    "buffer_updated",
    "eof_received",
    "connection_lost",
    "pause_writing",
    "resume_writing",
)
"""What a transport calls of a protocol."""

PROTOCOLS = (
    HttpToolsProtocol,
    SniffingProtocol,
    StreamLink,
    WebSocketConnection,
    RawSocketConnection,
    PackedConnection,
)

SERIALIZERS = {serializer.name: serializer for serializer in (JSON, MSGPACK, CBOR)}


class Sink:
    """A client in the router's process that lets go of what it gets; a `Receiver`."""

    def message_received(self, data: bytes) -> None:
        """See `Receiver`."""

    def writing_paused(self) -> None:
        """See `Receiver`."""

    def writing_resumed(self) -> None:
        """See `Receiver`."""

    def link_lost(self, reason: str) -> None:
        """See `Receiver`."""


class Desk:
    """Takes orders, and answers them."""

    def __init__(self, worker: Worker, watch: Watch, sampler: Sampler | None) -> None:
        """
        Args:
            worker: the router.
            watch: of its loop.
            sampler: of the loop's thread, if its longest rounds are to be explained.
        """
        self.stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._worker = worker
        self._watch = watch
        self._sampler = sampler
        self._orders = b""
        self._clients: list[Link] = []
        self._loop.add_reader(sys.stdin.fileno(), self._read)

    def _read(self) -> None:
        data = os.read(sys.stdin.fileno(), 65536)
        if not data:
            self.stopping.set()
            self._loop.remove_reader(sys.stdin.fileno())
            return
        *orders, self._orders = (self._orders + data).split(b"\n")
        for order in orders:
            name, *arguments = json.loads(order)
            answer = getattr(self, f"on_{name}")(*arguments)
            os.write(sys.stdout.fileno(), json.dumps(answer).encode() + b"\n")

    def on_start(self) -> None:
        """Begin to measure."""
        self._watch.start(self._loop)

    def on_busy(self) -> float:
        """Seconds that the loop has been busy since this was asked last."""
        return self._watch.take_busy()

    def on_stop(self) -> dict[str, Any]:
        """What was measured."""
        found = self._watch.stop()
        if self._sampler is not None:
            found["seen"] = [
                [each[0], self._sampler.between(each[2], each[2] + each[1])] for each in found["rounds"][:2]
            ]
        return found

    def on_memory(self, serializer: str, topic: str) -> None:
        """Let a client of this process subscribe a topic."""
        entrance = self._worker.gateway.entrance({"anonymous": Anonymous("anonymous")})
        _, link = linked_pair(entrance, lambda _link: Sink(), serializer=SERIALIZERS[serializer])
        self._clients.append(link)
        encode = SERIALIZERS[serializer].encode_array
        link.write([encode((1, REALM, {"roles": ROLES}))])
        self._loop.call_later(0.05, link.write, [encode((32, 1, {}, topic))])


async def serve(worker: Worker, watch: Watch, sampler: Sampler | None) -> None:
    """Run the router until standard input ends."""
    desk = Desk(worker, watch, sampler)
    await worker.start()
    tame_garbage_collection()
    os.write(sys.stdout.fileno(), b'"ready"\n')
    await desk.stopping.wait()
    # Nobody waits for an orderly end.
    os._exit(0)


def main() -> None:
    """Run the process."""
    parser = argparse.ArgumentParser(prog="benchmarks.held.router")
    parser.add_argument("config")
    parser.add_argument("--explain", action="store_true")
    options = parser.parse_args()
    configure_logging("info")
    worker = Worker(read_configuration(options.config).worker)
    worker.bind()
    _raise_file_limit()
    _keep_large_memory_apart()
    watch = Watch()
    for kind in PROTOCOLS:
        watch_class(watch, kind, *(name for name in ENTRY_POINTS if name in vars(kind)))
    factory = loop_factory() or asyncio.new_event_loop
    with asyncio.Runner(loop_factory=lambda: watched_loop(watch, factory)) as runner:
        runner.run(serve(worker, watch, Sampler() if options.explain else None))


if __name__ == "__main__":
    main()
