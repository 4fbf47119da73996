"""Loads of many small things at once: messages, frames, fragments, pings, members of a batch, compressed bombs."""

from __future__ import annotations

import zlib

from benchmarks.held.large import TOPIC, batched_join, subscribers
from benchmarks.held.many import PROCEDURE
from benchmarks.held.peers import Peer, compressed_frame, websocket_frame
from benchmarks.held.stage import Stage, load

__all__: list[str] = []

COUNT = 100_000

MESSAGES: dict[str, list[list[object]]] = {
    "publish": [[16, 1, {}, TOPIC, ["x"]]],
    "publish-acknowledged": [[16, 1, {"acknowledge": True}, TOPIC, ["x"]]],
    "call": [[48, 1, {}, PROCEDURE, ["x"]]],
    "call-nobody": [[48, 1, {}, "bench.nobody"]],
    "call-meta": [[48, 1, {}, "wamp.session.count"]],
    "call-meta-bad": [[48, 1, {}, "wamp.session.get", ["x"]]],
    "subscribe": [[32, 1, {}, "bench.again"], [34, 2, 1]],
    "subscribe-prefix": [[32, 1, {"match": "prefix"}, "bench"]],
    "register": [[64, 1, {}, "bench.again"]],
    "bad-uri": [[48, 1, {}, "bench..#"]],
    "cancel": [[49, 1, {}]],
    "yield-unknown": [[70, 1, {}, []]],
    "error-unknown": [[8, 68, 1, {}, "bench.error"]],
}
"""What is sent again and again; the request ids may be any."""


def _message_loads() -> None:
    for name, messages in MESSAGES.items():
        for transport, serializer in (("websocket", "json"), ("rawsocket", "msgpack"), ("rawsocket", "cbor")):

            @load(f"burst-{name}-{transport}-{serializer}", f"{COUNT:,} x {name} in a burst, {transport} {serializer}")
            def burst(
                stage: Stage,
                messages: list[list[object]] = messages,
                transport: str = transport,
                serializer: str = serializer,
            ) -> None:
                callee = stage.join()
                callee.request(64, {}, PROCEDURE, reply=65)
                callee.stop_looking()
                subscribers(stage, 1, transport, serializer)
                peer = stage.join(transport, serializer)
                peer.stop_looking()
                data = peer.encoded(*messages) * (COUNT // len(messages))
                with stage.measured():
                    peer.send_bytes(data)

    @load("burst-many-requests", f"{COUNT:,} SUBSCRIBE to topics of their own, rawsocket json")
    def subscriptions(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        peer.stop_looking()
        data = peer.encoded(*([32, number + 1, {}, f"bench.many.t{number}"] for number in range(COUNT)))
        with stage.measured():
            peer.send_bytes(data)

    @load("burst-many-calls", "65,000 CALL that nobody answers, rawsocket json")
    def calls(stage: Stage) -> None:
        callee = stage.join()
        callee.request(64, {}, PROCEDURE, reply=65)
        callee.stop_looking()
        peer = stage.join("rawsocket")
        peer.stop_looking()
        data = peer.encoded(*([48, number + 1, {"timeout": 60_000}, PROCEDURE] for number in range(65_000)))
        with stage.measured():
            peer.send_bytes(data)

    @load("burst-100-clients", "100 clients PUBLISH 2,000 small messages each at once, rawsocket json")
    def clients(stage: Stage) -> None:
        subscribers(stage, 1, "rawsocket", "json")
        peers = [stage.join("rawsocket") for _ in range(100)]
        data = peers[0].encoded([16, 1, {}, TOPIC, ["x"]]) * 2000
        with stage.measured():
            for peer in peers:
                peer.send_bytes(data)

    @load("burst-1000-clients", "1,000 clients CALL a meta procedure 20 times each at once, websocket json")
    def more_clients(stage: Stage) -> None:
        peers = [stage.join() for _ in range(1000)]
        data = peers[0].encoded([48, 1, {}, "wamp.session.count"]) * 20
        with stage.measured():
            for peer in peers:
                peer.send_bytes(data)


_message_loads()


def _frame_loads() -> None:
    frames = {
        "pings": websocket_frame(b"x" * 125, 9),
        "empty-pings": websocket_frame(b"", 9),
        "pongs": websocket_frame(b"", 10),
    }
    for name, frame in frames.items():

        @load(f"frames-{name}", f"500,000 {name}, websocket")
        def control(stage: Stage, frame: bytes = frame) -> None:
            peer = stage.join()
            peer.stop_looking()
            data = frame * 500_000
            with stage.measured():
                peer.send_bytes(data)

    @load("frames-pings-unread", "500,000 pings of a client that does not read, websocket")
    def unread(stage: Stage) -> None:
        peer = stage.join()
        peer.reads = False
        data = frames["pings"] * 500_000
        with stage.measured():
            peer.send_bytes(data)

    @load("rawsocket-pings", "500,000 pings, rawsocket")
    def raw_pings(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        peer.stop_looking()
        data = b"\1\0\0\0" * 500_000
        with stage.measured():
            peer.send_bytes(data)

    @load("rawsocket-large-ping", "a ping of 16 MiB, rawsocket")
    def raw_ping(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        peer.stop_looking()
        data = b"\1\xff\xff\xff" + bytes(0xFFFFFF)
        with stage.measured():
            peer.send_bytes(data)

    @load("fragments-1-byte", "a message in 1,000,000 fragments of 1 byte, websocket json")
    def fragments(stage: Stage) -> None:
        peer = stage.join()
        peer.stop_looking()
        message = peer.encode([16, 1, {}, TOPIC, ["x" * 1_000_000]])
        parts = [websocket_frame(message[:1], 1, fin=False)]
        parts += [websocket_frame(message[at : at + 1], 0, fin=False) for at in range(1, len(message) - 1)]
        parts.append(websocket_frame(message[-1:], 0))
        data = b"".join(parts)
        with stage.measured():
            peer.send_bytes(data)

    @load("fragments-empty", "a message in 1,000,000 empty fragments, websocket json")
    def empty_fragments(stage: Stage) -> None:
        peer = stage.join()
        peer.stop_looking()
        message = peer.encode([16, 1, {}, TOPIC, []])
        data = (
            websocket_frame(message, 1, fin=False)
            + websocket_frame(b"", 0, fin=False) * 1_000_000
            + websocket_frame(b"", 0)
        )
        with stage.measured():
            peer.send_bytes(data)

    @load("fragments-64k", "a message of 16 MiB in fragments of 60 KiB with text of two bytes, websocket json")
    def large_fragments(stage: Stage) -> None:
        peer = stage.join()
        peer.stop_looking()
        message = b'[16,1,{},"a.b",["' + "é".encode() * (8 * 1024 * 1024 - 100) + b'"]]'
        cuts = range(0, len(message), 60_000)
        data = b"".join(
            websocket_frame(message[at : at + 60_000], 1 if at == 0 else 0, fin=at + 60_000 >= len(message))
            for at in cuts
        )
        with stage.measured():
            peer.send_bytes(data)

    @load("rawsocket-bytewise", "100,000 small messages, one after the other by 1 byte, rawsocket json")
    def bytewise(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        peer.stop_looking()
        data = peer.encoded([16, 1, {}, TOPIC, ["x"]]) * 300
        with stage.measured():
            for at in range(len(data)):
                peer.send_bytes(data[at : at + 1])


_frame_loads()


def _batch_loads() -> None:
    for name, message in (
        ("publish", [16, 1, {}, TOPIC, ["x"]]),
        ("call", [48, 1, {}, "bench.nobody"]),
        ("call-meta", [48, 1, {}, "wamp.session.count"]),
    ):

        @load(f"batch-{name}", f"a batch of {COUNT:,} x {name}, websocket msgpack")
        def batch(stage: Stage, message: list[object] = message) -> None:
            subscribers(stage, 1, "websocket", "json")
            peer = stage.connect(subprotocol="wamp.2.msgpack.batched", serializer="msgpack")
            batched_join(peer)
            data = peer.encode(message)
            framed = peer.frame((len(data).to_bytes(4, "big") + data) * COUNT)
            with stage.measured():
                peer.send_bytes(framed)

    @load("batch-to-batched", f"{COUNT:,} events to a batched WebSocket")
    def to_batched(stage: Stage) -> None:
        peer = stage.connect(subprotocol="wamp.2.msgpack.batched", serializer="msgpack")
        batched_join(peer)
        sender = stage.join("rawsocket", "msgpack")
        data = sender.encoded([16, 1, {}, TOPIC, ["x"]]) * COUNT
        with stage.measured():
            sender.send_bytes(data)

    @load("batch-json-separators", "a JSON batch of 16 MiB that is only separators, websocket")
    def separators(stage: Stage) -> None:
        peer = json_batched(stage)
        data = websocket_frame(b"\x1e" * (16 * 1024 * 1024 - 10))
        with stage.measured():
            peer.send_bytes(data)

    @load("batch-json-other-separator", f"a JSON batch of {COUNT:,} with another separator each time, websocket")
    def other_separator(stage: Stage) -> None:
        peer = json_batched(stage)
        message = peer.encode([16, 1, {}, TOPIC, ["x"]])
        data = b"".join(websocket_frame(message + b"\x18" + message + b"\x1e") for _ in range(20_000))
        with stage.measured():
            peer.send_bytes(data)

    @load("batch-json-large", "a JSON batch of one message of 16 MiB, websocket")
    def large(stage: Stage) -> None:
        subscribers(stage, 1, "websocket", "json")
        peer = json_batched(stage)
        data = websocket_frame(peer.encode([16, 1, {}, TOPIC, ["x" * (16 * 1024 * 1024 - 2000)]]) + b"\x1e")
        with stage.measured():
            peer.send_bytes(data)

    @load("batch-msgpack-large", "batches of 60 messages of 256 KiB, websocket msgpack")
    def large_messages(stage: Stage) -> None:
        subscribers(stage, 1, "websocket", "msgpack")
        peer = stage.connect(subprotocol="wamp.2.msgpack.batched", serializer="msgpack")
        batched_join(peer)
        data = peer.encode([16, 1, {}, TOPIC, ["x" * 256_000]])
        framed = peer.frame((len(data).to_bytes(4, "big") + data) * 60)
        with stage.measured():
            peer.send_bytes(framed)


def json_batched(stage: Stage) -> Peer:
    """A session with JSON batches."""
    peer = stage.connect(subprotocol="wamp.2.json.batched")
    peer.send_bytes(websocket_frame(b'[1,"realm1",{"roles":{"publisher":{}}}]\x1e'))
    stage.settle()
    peer.stop_looking()
    return peer


_batch_loads()


def deflated(data: bytes) -> bytes:
    """Compressed for permessage-deflate."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (engine.compress(data) + engine.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _compressed_loads() -> None:
    def deflating(stage: Stage) -> Peer:
        peer = stage.connect(path="/deflated", extensions="permessage-deflate")
        peer.join()
        peer.stop_looking()
        return peer

    @load("bomb-1-gib", "a compressed message of 1 GiB, websocket json")
    def bomb(stage: Stage) -> None:
        peer = deflating(stage)
        data = compressed_frame(deflated(bytes(1 << 30)))
        with stage.measured():
            peer.send_bytes(data)

    @load("bomb-16-mib", "10 compressed messages of 16 MiB of zeros, websocket json")
    def bombs(stage: Stage) -> None:
        peer = deflating(stage)
        data = compressed_frame(deflated(peer.encode([16, 1, {}, TOPIC, ["x" * (16 * 1024 * 1024 - 2000)]])))
        with stage.measured():
            peer.send_bytes(data)

    @load("bomb-small", f"{COUNT:,} compressed messages of 30 bytes, websocket json")
    def small(stage: Stage) -> None:
        peer = deflating(stage)
        data = compressed_frame(deflated(peer.encode([16, 1, {}, TOPIC, ["x"]])))
        # The window is kept, so what stands for the first message does not for the next; each by itself does.
        with stage.measured():
            peer.send_bytes(data * COUNT)

    @load("bomb-200-k", "300 compressed messages of 250 KiB of one letter, websocket json")
    def medium(stage: Stage) -> None:
        peer = deflating(stage)
        data = compressed_frame(deflated(peer.encode([16, 1, {}, TOPIC, ["x" * 250_000]])))
        with stage.measured():
            peer.send_bytes(data * 300)

    @load("bomb-many", "50 clients send a compressed message of 16 MiB of one letter each at once, websocket json")
    def many(stage: Stage) -> None:
        peers = [deflating(stage) for _ in range(50)]
        data = compressed_frame(deflated(peers[0].encode([16, 1, {}, TOPIC, ["x" * (16 * 1024 * 1024 - 2000)]])))
        with stage.measured():
            for peer in peers:
                peer.send_bytes(data)

    @load("to-deflated-small", "20,000 events of 500 bytes to 5 compressed WebSockets")
    def to_deflated(stage: Stage) -> None:
        subscribers(stage, 5, "websocket", "json", path="/deflated", extensions="permessage-deflate")
        sender = stage.join("rawsocket")
        data = sender.encoded([16, 1, {}, TOPIC, ["some text " * 50]]) * 20_000
        with stage.measured():
            sender.send_bytes(data)

    @load("to-deflated-60k", "300 events of 60 KB to 5 compressed WebSockets")
    def to_deflated_60k(stage: Stage) -> None:
        subscribers(stage, 5, "websocket", "json", path="/deflated", extensions="permessage-deflate")
        sender = stage.join("rawsocket")
        data = sender.encoded([16, 1, {}, TOPIC, ["".join(chr(97 + n * n % 26) for n in range(60_000))]]) * 300
        with stage.measured():
            sender.send_bytes(data)

    @load("to-deflated-500", "one event of 60 KB to 500 compressed WebSockets")
    def to_many_deflated(stage: Stage) -> None:
        subscribers(stage, 500, "websocket", "json", path="/deflated", extensions="permessage-deflate")
        sender = stage.join("rawsocket")
        data = sender.encoded([16, 1, {}, TOPIC, ["".join(chr(97 + n * n % 26) for n in range(60_000))]])
        with stage.measured():
            sender.send_bytes(data)


_compressed_loads()
