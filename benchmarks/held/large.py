"""Loads of long messages: one of 16 MiB, to one receiver or to many, of all kinds."""

from __future__ import annotations

from benchmarks.held.peers import Peer
from benchmarks.held.stage import Stage, load

__all__: list[str] = []

SIZE = 16 * 1024 * 1024 - 1024
"""Characters of payload: the whole message is just below what is accepted."""

TOPIC, PROCEDURE = "bench.topic", "bench.procedure"
KINDS = [
    (transport, serializer) for transport in ("websocket", "rawsocket") for serializer in ("json", "msgpack", "cbor")
]


def publication(peer: Peer, size: int = SIZE) -> bytes:
    """A PUBLISH of this size, framed."""
    return peer.encoded([16, peer.next_request(), {}, TOPIC, ["x" * size]])


def subscribers(stage: Stage, count: int, transport: str, serializer: str, **options: object) -> list[Peer]:
    """So many, who only count what they get."""
    peers = [stage.join(transport, serializer, **options) for _ in range(count)]
    for peer in peers:
        peer.request(32, {}, TOPIC, reply=33)
        peer.stop_looking()
    return peers


def publish(stage: Stage, sender: Peer) -> None:
    """Measure one publication."""
    data = publication(sender)
    with stage.measured():
        sender.send_bytes(data)


def _publish_loads() -> None:
    for transport, serializer in KINDS:

        @load(f"publish-{transport}-{serializer}", f"PUBLISH of 16 MiB to 1 receiver, {transport} {serializer}")
        def one(stage: Stage, transport: str = transport, serializer: str = serializer) -> None:
            subscribers(stage, 1, transport, serializer)
            publish(stage, stage.join(transport, serializer))

    for count in (5, 50):
        for transport in ("websocket", "rawsocket"):

            @load(f"publish-to-{count}-{transport}", f"PUBLISH of 16 MiB to {count} receivers, {transport} json")
            def many(stage: Stage, transport: str = transport, count: int = count) -> None:
                subscribers(stage, count, transport, "json")
                publish(stage, stage.join(transport, "json"))

    for origin, target in (("json", "msgpack"), ("msgpack", "json"), ("json", "cbor"), ("cbor", "json")):

        @load(f"publish-{origin}-to-{target}", f"PUBLISH of 16 MiB in {origin} to 1 receiver with {target}")
        def other(stage: Stage, origin: str = origin, target: str = target) -> None:
            subscribers(stage, 1, "websocket", target)
            publish(stage, stage.join("websocket", origin))


_publish_loads()


@load("publish-mixed", "PUBLISH of 16 MiB to 12 receivers: two of each transport and serializer")
def mixed(stage: Stage) -> None:
    for transport, serializer in KINDS:
        subscribers(stage, 2, transport, serializer)
    publish(stage, stage.join())


def _tls_loads() -> None:
    for name, sender_secure, receiver_secure, count in (
        ("tls-in", True, False, 1),
        ("tls-out", False, True, 1),
        ("tls-out-5", False, True, 5),
    ):
        for transport in ("websocket", "rawsocket"):

            @load(f"{name}-{transport}", f"PUBLISH of 16 MiB, {name} ({transport} json)")
            def secure(
                stage: Stage,
                transport: str = transport,
                ins: bool = sender_secure,
                outs: bool = receiver_secure,
                count: int = count,
            ) -> None:
                subscribers(stage, count, transport, "json", is_secure=outs)
                publish(stage, stage.join(transport, "json", is_secure=ins))


_tls_loads()


@load("four-senders", "four clients PUBLISH 16 MiB at once to one receiver")
def four_senders(stage: Stage) -> None:
    subscribers(stage, 1, "websocket", "json")
    senders = [stage.join("websocket", "json") for _ in range(4)]
    data = [publication(sender) for sender in senders]
    with stage.measured():
        for sender, message in zip(senders, data, strict=True):
            sender.send_bytes(message)


@load("to-batched", "PUBLISH of 16 MiB to a batched WebSocket")
def to_batched(stage: Stage) -> None:
    peer = stage.connect(subprotocol="wamp.2.msgpack.batched", serializer="msgpack")
    batched_join(peer)
    publish(stage, stage.join("websocket", "msgpack"))


def batched_join(peer: Peer, topic: str = TOPIC) -> None:
    """Join and subscribe on a batched WebSocket with MessagePack."""
    for message, _reply in (([1, "realm1", {"roles": {"subscriber": {}}}], 2), ([32, 1, {}, topic], 33)):
        data = peer.encode(message)
        peer.send_bytes(peer.frame(len(data).to_bytes(4, "big") + data))
        size = peer._take(2)[1]
        if size == 126:
            size = int.from_bytes(peer._take(2), "big")
        peer._take(size)
    peer.stop_looking()


@load("to-deflated", "PUBLISH of 16 MiB to a compressed WebSocket")
def to_deflated(stage: Stage) -> None:
    subscribers(stage, 1, "websocket", "json", path="/deflated", extensions="permessage-deflate")
    publish(stage, stage.join())


@load("to-deflated-1-mib", "PUBLISH of 1 MiB, which is compressed, to 5 compressed WebSockets")
def to_deflated_short(stage: Stage) -> None:
    subscribers(stage, 5, "websocket", "json", path="/deflated", extensions="permessage-deflate")
    sender = stage.join()
    import random

    text = "".join(random.Random(1).choices("abcdefghijklmnop 0123456789", k=1024 * 1024 - 200))
    data = sender.encoded([16, 1, {}, TOPIC, [text]])
    with stage.measured():
        sender.send_bytes(data)


@load("to-memory-json", "PUBLISH of 16 MiB to a session in the router's process")
def to_memory(stage: Stage) -> None:
    stage.order("memory", "json", TOPIC)
    stage.settle()
    publish(stage, stage.join())


@load("to-nobody-json", "PUBLISH of 16 MiB that nobody has subscribed, websocket json")
def to_nobody(stage: Stage) -> None:
    publish(stage, stage.join())


def _call_loads() -> None:
    for transport, serializer in KINDS:

        @load(f"call-{transport}-{serializer}", f"CALL of 16 MiB, and YIELD of 16 MiB, {transport} {serializer}")
        def call(stage: Stage, transport: str = transport, serializer: str = serializer) -> None:
            rpc(stage, transport, serializer, is_error=False)

    for transport in ("websocket", "rawsocket"):

        @load(f"error-{transport}-json", f"CALL of 16 MiB, answered by ERROR of 16 MiB, {transport} json")
        def error(stage: Stage, transport: str = transport) -> None:
            rpc(stage, transport, "json", is_error=True)


def rpc(stage: Stage, transport: str, serializer: str, *, is_error: bool) -> None:
    """Measure one call."""
    callee, caller = stage.join(transport, serializer), stage.join(transport, serializer)
    callee.request(64, {}, PROCEDURE, reply=65)
    caller.stop_looking()
    data = caller.encoded([48, 1, {}, PROCEDURE, ["x" * SIZE]])
    with stage.measured():
        caller.send_bytes(data)
        stage.pump(30, lambda: callee.received > SIZE)
        invocation = callee.receive()
        answer = [8, 68, invocation[1], {}, "bench.error", ["x" * SIZE]]
        callee.send_bytes(callee.encoded(answer if is_error else [70, invocation[1], {}, ["x" * SIZE]]))


_call_loads()


def http(peer: Peer, path: str, body: bytes) -> bytes:
    """A POST request."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class LongPoller:
    """A session over long-poll, with one connection for sending and one for receiving."""

    def __init__(self, stage: Stage, protocol: str = "wamp.2.json") -> None:
        self._separator = b"\x1e" if protocol.endswith("batched") else b""
        self.sending, self.receiving = stage.connect(""), stage.connect("")
        self.path = ""
        answer = self.post(self.sending, "/lp/open", {"protocols": [protocol]})
        self.path = f"/lp/{self.sending.decode(answer)['transport']}"
        self.send([1, "realm1", {"roles": {"subscriber": {}, "publisher": {}}}])
        self.fetch()

    def post(self, peer: Peer, path: str, value: object) -> bytes:
        """A request; the body of the answer."""
        separator = self._separator if self.path else b""
        peer.send_bytes(http(peer, path, peer.encode(value) + separator))
        head = peer.take_until(b"\r\n\r\n").lower()
        if b"content-length:" in head:
            return peer._take(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        return b""

    def send(self, message: object) -> None:
        """Send one message."""
        self.post(self.sending, f"{self.path}/send", message)

    def fetch(self) -> None:
        """Ask for messages, and get them."""
        self.post(self.receiving, f"{self.path}/receive", None)


@load("to-longpoll", "PUBLISH of 16 MiB to a long-poll client")
def to_longpoll(stage: Stage) -> None:
    poller = LongPoller(stage)
    poller.send([32, 1, {}, TOPIC])
    poller.fetch()
    poller.receiving.stop_looking()
    poller.receiving.send_bytes(http(poller.receiving, f"{poller.path}/receive", b""))
    publish(stage, stage.join())


@load("from-longpoll", "PUBLISH of 16 MiB by a long-poll client to one receiver")
def from_longpoll(stage: Stage) -> None:
    subscribers(stage, 1, "websocket", "json")
    poller = LongPoller(stage)
    body = poller.sending.encode([16, 1, {}, TOPIC, ["x" * SIZE]])
    data = http(poller.sending, f"{poller.path}/send", body)
    with stage.measured():
        poller.sending.send_bytes(data)


def _resumption_loads() -> None:
    for first, second in (
        ("websocket", "websocket"),
        ("rawsocket", "rawsocket"),
        ("websocket", "rawsocket"),
        ("rawsocket", "websocket"),
    ):

        @load(f"resumable-{first}-{second}", f"3 PUBLISH of 16 MiB to a session that is resumed, {first} to {second}")
        def resumed(stage: Stage, first: str = first, second: str = second) -> None:
            peer = stage.connect(first)
            welcome = peer.join(resumable=True)
            peer.request(32, {}, TOPIC, reply=33)
            peer.stop_looking()
            sender = stage.join()
            data = [publication(sender) for _ in range(3)]
            with stage.measured():
                for message in data:
                    sender.send_bytes(message)
                stage.settle()
                peer.close()
                again = stage.connect(second)
                token = welcome[2]["resume-token"]
                details = {
                    "roles": {"publisher": {}},
                    "resume-session": welcome[1],
                    "resume-token": token,
                    "received": 1,
                }
                again.send_bytes(again.encoded([1, "realm1", details]))
                again.stop_looking()


_resumption_loads()
