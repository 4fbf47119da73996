"""Loads of slow consumers: subscribers that do not read, or do not confirm, while events for them wait."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.held.peers import Peer
from benchmarks.held.stage import Stage, load

__all__: list[str] = []

TOPIC = "bench.topic"
WAITING_BYTES = 62 * 1024 * 1024
"""Bytes of events that wait for a subscriber: what it may be, in all, is 64 MiB."""


def stuff(stage: Stage, peers: list[Peer], size: int, reads: bool) -> None:
    """Let so much wait for subscribers, as events of this size."""
    for peer in peers:
        peer.reads = reads
    sender = stage.join("rawsocket", "msgpack")
    frame_size = size + 30
    event = sender.encoded([16, 1, {}, TOPIC, ["x" * size]])
    for _ in range(16):
        sender.send_bytes(event * (WAITING_BYTES // frame_size // 16))
        stage.settle()


def _reading_loads() -> None:
    def close(peer: Peer) -> None:
        peer.close()

    def read(peer: Peer) -> None:
        peer.reads = True

    def breaks(peer: Peer) -> None:
        peer.send_bytes(peer.frame(b"nonsense"))

    def goodbye(peer: Peer) -> None:
        peer.send_bytes(peer.encoded([6, {}, "wamp.close.close_realm"]))

    def unsubscribe(peer: Peer) -> None:
        peer.send_bytes(peer.encoded([34, 2, 1]))

    for transport in ("websocket", "rawsocket"):
        for size in (70, 60_000):
            for act in (close, read, breaks, goodbye, unsubscribe):

                @load(
                    f"slow-{act.__name__}-{transport}-{size}",
                    f"62 MiB of events of {size} bytes wait for a subscriber; then: {act.__name__}, {transport}",
                )
                def slow(
                    stage: Stage, transport: str = transport, act: Callable[[Peer], None] = act, size: int = size
                ) -> None:
                    peer = stage.join(transport, "msgpack", receive_buffer=4096)
                    peer.request(32, {}, TOPIC, reply=33)
                    peer.stop_looking()
                    stuff(stage, [peer], size, reads=False)
                    with stage.measured():
                        act(peer)

        @load(f"slow-overflow-{transport}", f"a subscriber that does not read gets 80 MiB of small events, {transport}")
        def overflow(stage: Stage, transport: str = transport) -> None:
            peer = stage.join(transport, "msgpack", receive_buffer=4096)
            peer.request(32, {}, TOPIC, reply=33)
            peer.stop_looking()
            stuff(stage, [peer], 70, reads=False)
            sender = stage.join("rawsocket", "msgpack")
            with stage.measured():
                sender.send_bytes(sender.encoded([16, 1, {}, TOPIC, ["x" * 70]]) * 200_000)


_reading_loads()


def _resumable_loads() -> None:
    """The same for one that can be resumed, reads all, and confirms nothing."""

    def confirm(stage: Stage, peer: Peer, count: int, welcome: list[object]) -> None:
        peer.send_bytes(peer.encoded([260, count + 1]))

    def lose(stage: Stage, peer: Peer, count: int, welcome: list[object]) -> None:
        peer.close()

    def overflow(stage: Stage, peer: Peer, count: int, welcome: list[object]) -> None:
        sender = stage.join("rawsocket", "msgpack")
        sender.send_bytes(sender.encoded([16, 1, {}, TOPIC, ["x" * 70]]) * 200_000)

    def goodbye(stage: Stage, peer: Peer, count: int, welcome: list[object]) -> None:
        peer.send_bytes(peer.encoded([6, {}, "wamp.close.close_realm"]))

    def resume(stage: Stage, peer: Peer, count: int, welcome: list[object], to: str = "", received: int = 1) -> None:
        peer.close()
        again = stage.connect(to or peer.transport, "msgpack")
        token = welcome[2]["resume-token"]  # type: ignore[index]
        details = {
            "roles": {"publisher": {}},
            "resume-session": welcome[1],
            "resume-token": token,
            "received": received,
        }
        again.send_bytes(again.encoded([1, "realm1", details]))
        again.stop_looking()

    def resume_other(stage: Stage, peer: Peer, count: int, welcome: list[object]) -> None:
        resume(stage, peer, count, welcome, "rawsocket" if peer.transport == "websocket" else "websocket")

    def resume_confirmed(stage: Stage, peer: Peer, count: int, welcome: list[object]) -> None:
        resume(stage, peer, count, welcome, received=count)

    for transport in ("websocket", "rawsocket"):
        for size in (70, 60_000):
            for act in (confirm, lose, goodbye, resume, resume_other, resume_confirmed, overflow):

                @load(
                    f"kept-{act.__name__}-{transport}-{size}",
                    f"62 MiB of events of {size} bytes are kept for a resumable subscriber, which then does: "
                    f"{act.__name__}, {transport}",
                )
                def kept(
                    stage: Stage,
                    transport: str = transport,
                    act: Callable[[Stage, Peer, int, list[object]], None] = act,
                    size: int = size,
                ) -> None:
                    peer = stage.connect(transport, "msgpack")
                    welcome = peer.join(resumable=True)
                    peer.request(32, {}, TOPIC, reply=33)
                    peer.stop_looking()
                    stuff(stage, [peer], size, reads=True)
                    count = WAITING_BYTES // (size + 30) // 16 * 16
                    with stage.measured():
                        act(stage, peer, count, welcome)

    @load(
        "kept-translation", "62 MiB of small events are kept for a session, and 20 events have to be translated for it"
    )
    def translation(stage: Stage) -> None:
        peer = stage.connect("websocket", "msgpack")
        peer.join(resumable=True)
        peer.request(32, {}, TOPIC, reply=33)
        peer.stop_looking()
        stuff(stage, [peer], 70, reads=True)
        sender = stage.join("rawsocket", "json")
        with stage.measured():
            sender.send_bytes(sender.encoded([16, 1, {}, TOPIC, ["x" * 20_000]]) * 20)

    @load("kept-window", "62 MiB of small events are kept for a session without a connection, whose time is up")
    def window(stage: Stage) -> None:
        peer = stage.connect("websocket", "msgpack")
        peer.join(resumable=True)
        peer.request(32, {}, TOPIC, reply=33)
        peer.stop_looking()
        stuff(stage, [peer], 70, reads=True)
        peer.close()
        with stage.measured(settle=False):
            # A little more than the window that the configuration has.
            stage.pump(31)


_resumable_loads()
