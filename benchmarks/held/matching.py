"""Loads of events that many patterns match, that were retained, or that have a history."""

from __future__ import annotations

from benchmarks.held.many import crowd
from benchmarks.held.peers import Peer
from benchmarks.held.stage import Stage, load

__all__: list[str] = []

COUNT = 10_000


def requests(peer: Peer, messages: list[list[object]]) -> None:
    """Send requests, some at a time, and await the answers."""
    for start in range(0, len(messages), 500):
        part = messages[start : start + 500]
        peer.send_bytes(peer.encoded(*part))
        for _ in part:
            peer.receive()


def wildcards(count: int) -> list[str]:
    """Different wildcards, all of which match `a.a.….a` of 14 components."""
    return [".".join("" if number >> bit & 1 else "a" for bit in range(14)) for number in range(1, count + 1)]


def _retained_loads() -> None:
    for size in (10, 1000):

        @load(f"retained-{size}", f"SUBSCRIBE to a prefix of {COUNT:,} topics with retained events of {size} bytes")
        def retained(stage: Stage, size: int = size) -> None:
            keep(stage, size)
            peer = stage.join()
            peer.stop_looking()
            with stage.measured():
                peer.send_bytes(peer.encoded([32, 1, {"match": "prefix", "get_retained": True}, "bench.kept."]))

    @load("retained-other", f"SUBSCRIBE to a prefix of {COUNT:,} topics with retained events of 1,000 bytes, in CBOR")
    def other(stage: Stage) -> None:
        keep(stage, 1000)
        peer = stage.join("websocket", "cbor")
        peer.stop_looking()
        with stage.measured():
            peer.send_bytes(peer.encoded([32, 1, {"match": "prefix", "get_retained": True}, "bench.kept."]))

    @load("retained-wildcard-none", f"SUBSCRIBE to a wildcard that no retained event of {COUNT:,} matches, 50 x")
    def no_match(stage: Stage) -> None:
        keep(stage, 10)
        peer = stage.join()
        peer.stop_looking()
        options = {"match": "wildcard", "get_retained": True}
        with stage.measured():
            peer.send_bytes(peer.encoded(*([32, number + 1, options, f"..no{number}"] for number in range(50))))

    @load("retained-not-eligible", f"SUBSCRIBE to a prefix of {COUNT:,} retained events that are for others, 20 x")
    def not_eligible(stage: Stage) -> None:
        keep(stage, 10, eligible=list(range(1, 200)))
        peer = stage.join()
        peer.stop_looking()
        options = {"match": "prefix", "get_retained": True}
        with stage.measured():
            peer.send_bytes(peer.encoded(*([32, number + 1, options, "bench.kept."] for number in range(20))))

    @load("retained-large", "SUBSCRIBE to a prefix of 3 topics with retained events of 16 MiB")
    def large(stage: Stage) -> None:
        sender = stage.join()
        for number in range(3):
            options = {"retain": True, "acknowledge": True}
            sender.request(16, options, f"bench.kept.t{number}", ["x" * (16 * 1024 * 1024 - 2000)], reply=17)
        peer = stage.join()
        peer.stop_looking()
        with stage.measured():
            peer.send_bytes(peer.encoded([32, 1, {"match": "prefix", "get_retained": True}, "bench.kept."]))


def keep(stage: Stage, size: int, **more: object) -> None:
    """Have events retained."""
    sender = stage.join("rawsocket")
    sender.stop_looking()
    options = {"retain": True, **more}
    text = "x" * size
    for start in range(0, COUNT, 500):
        topics = range(start, start + 500)
        sender.send_bytes(sender.encoded(*([16, n + 1, options, f"bench.kept.t{n}", [text]] for n in topics)))
    stage.settle()


_retained_loads()


def _history_loads() -> None:
    for size, limit in ((10, 1000), (10, 10_000), (20_000, 1000), (1_000_000, 1000)):

        @load(f"history-{size}-{limit}", f"event history of {COUNT:,} events of {size:,} bytes, the last {limit:,}")
        def history(stage: Stage, size: int = size, limit: int = limit) -> None:
            sender = stage.join("rawsocket")
            sender.stop_looking()
            data = sender.encoded([16, 1, {}, "bench.history.x", ["x" * size]])
            for _ in range(20):
                sender.send_bytes(data * min(500, 64_000_000 // 20 // size))
                stage.settle()
            peer = stage.join()
            subscription = peer.request(32, {"match": "prefix"}, "bench.history", reply=33)[2]
            peer.stop_looking()
            data = peer.encoded([48, 9, {}, "wamp.subscription.get_events", [subscription], {"limit": limit}])
            with stage.measured():
                peer.send_bytes(data)

    @load("history-stored", "20 questions for 1,000 of 10,000 events that SQLite keeps, of 1,000 bytes")
    def stored(stage: Stage) -> None:
        sender, peer = stage.connect("rawsocket"), stage.connect("rawsocket")
        for each in (sender, peer):
            each.join("stored")
        sender.stop_looking()
        sender.send_bytes(sender.encoded([16, 1, {}, "bench.history.x", ["x" * 1000]]) * COUNT)
        stage.settle()
        subscription = peer.request(32, {"match": "prefix"}, "bench.history", reply=33)[2]
        peer.stop_looking()
        call = ["wamp.subscription.get_events", [subscription], {"limit": 1000}]
        data = peer.encoded(*([48, n, {}, *call] for n in range(2, 22)))
        with stage.measured():
            peer.send_bytes(data)

    @load("history-storing", "20,000 events of 1,000 bytes are stored by SQLite")
    def storing(stage: Stage) -> None:
        sender = stage.connect("rawsocket")
        sender.join("stored")
        sender.stop_looking()
        data = sender.encoded([16, 1, {}, "bench.history.x", ["x" * 1000]]) * 20_000
        with stage.measured():
            sender.send_bytes(data)

    @load("history-other", "event history of 1,000 events of 1,000 bytes for a client with another serializer")
    def other(stage: Stage) -> None:
        sender = stage.join("rawsocket")
        sender.stop_looking()
        sender.send_bytes(sender.encoded([16, 1, {}, "bench.history.x", [[[]] * 400]]) * 1000)
        stage.settle()
        peer = stage.join("rawsocket", "cbor")
        subscription = peer.request(32, {"match": "prefix"}, "bench.history", reply=33)[2]
        peer.stop_looking()
        data = peer.encoded([48, 9, {}, "wamp.subscription.get_events", [subscription], {"limit": 1000}])
        with stage.measured():
            peer.send_bytes(data)

    @load("history-none", f"50 questions for a history of {COUNT:,} events of which none is found")
    def none(stage: Stage) -> None:
        sender = stage.join("rawsocket")
        sender.stop_looking()
        sender.send_bytes(sender.encoded([16, 1, {"eligible": [1, 2, 3]}, "bench.history.x", ["x"]]) * COUNT)
        stage.settle()
        peer = stage.join()
        subscription = peer.request(32, {"match": "prefix"}, "bench.history", reply=33)[2]
        peer.stop_looking()
        call = ["wamp.subscription.get_events", [subscription], {"limit": 1000, "reverse": True}]
        data = peer.encoded(*([48, 9, {}, *call] for _ in range(50)))
        with stage.measured():
            peer.send_bytes(data)


_history_loads()


def _pattern_loads() -> None:
    topic = ".".join("a" * 14)

    @load("match-wildcards-one", f"PUBLISH that matches {COUNT:,} wildcards of one session, and 20 at once")
    def one(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        requests(peer, [[32, n + 1, {"match": "wildcard"}, uri] for n, uri in enumerate(wildcards(COUNT))])
        peer.stop_looking()
        sender = stage.join()
        with stage.measured():
            sender.send_bytes(sender.encoded(*([16, n + 1, {}, topic, ["x"]] for n in range(20))))

    @load("match-wildcards-many", f"PUBLISH that matches {COUNT:,} wildcards of 100 sessions")
    def many(stage: Stage) -> None:
        peers = [stage.join("rawsocket") for _ in range(100)]
        for number, peer in enumerate(peers):
            part = wildcards(COUNT)[number * 100 : number * 100 + 100]
            requests(peer, [[32, n + 1, {"match": "wildcard"}, uri] for n, uri in enumerate(part)])
            peer.stop_looking()
        sender = stage.join()
        with stage.measured():
            sender.send_bytes(sender.encoded([16, 1, {}, topic, ["x"]]))

    @load("match-wildcards-crossed", "PUBLISH that matches 1,000 wildcards, each of which 1,000 sessions have")
    def crossed(stage: Stage) -> None:
        peers = crowd(stage, 300, topic="bench.other")
        uris = wildcards(1000)
        data = peers[0].encoded(*([32, n + 2, {"match": "wildcard"}, uri] for n, uri in enumerate(uris)))
        for peer in peers:
            peer.send_bytes(data)
        stage.settle()
        sender = stage.join()
        with stage.measured():
            sender.send_bytes(sender.encoded([16, 1, {}, topic, ["x"]]))

    @load("match-prefixes", "PUBLISH that matches 2,000 prefixes of one session, 20 at once")
    def prefixes(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        uri = "a" * 2000
        requests(peer, [[32, n + 1, {"match": "prefix"}, uri[: n + 1]] for n in range(2000)])
        peer.stop_looking()
        sender = stage.join()
        with stage.measured():
            sender.send_bytes(sender.encoded(*([16, n + 1, {}, uri, ["x"]] for n in range(20))))

    @load("match-nothing", f"2,000 PUBLISH to topics of 1,000 components that nearly match {COUNT:,} wildcards")
    def nothing(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        requests(peer, [[32, n + 1, {"match": "wildcard"}, uri + ".z"] for n, uri in enumerate(wildcards(COUNT))])
        peer.stop_looking()
        sender = stage.join("rawsocket")
        data = sender.encoded([16, 1, {}, topic + ".y", ["x"]])
        with stage.measured():
            sender.send_bytes(data * 2000)

    @load("match-calls", f"20 CALL that match {COUNT:,} wildcard registrations")
    def calls(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        requests(peer, [[64, n + 1, {"match": "wildcard"}, uri] for n, uri in enumerate(wildcards(COUNT))])
        peer.stop_looking()
        sender = stage.join()
        sender.stop_looking()
        with stage.measured():
            sender.send_bytes(sender.encoded(*([48, n + 1, {}, topic] for n in range(20))))

    @load("match-calls-nothing", f"2,000 CALL that nearly match {COUNT:,} wildcard registrations")
    def calls_nothing(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        requests(peer, [[64, n + 1, {"match": "wildcard"}, uri + ".z"] for n, uri in enumerate(wildcards(COUNT))])
        peer.stop_looking()
        sender = stage.join("rawsocket")
        sender.stop_looking()
        data = sender.encoded([48, 1, {}, topic + ".y"])
        with stage.measured():
            sender.send_bytes(data * 2000)

    @load("match-long-uris", "200 SUBSCRIBE to wildcards of 1,900 components")
    def long_uris(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        peer.stop_looking()
        uris = ["." * 1900 + f"t{number}" for number in range(200)]
        data = peer.encoded(*([32, n + 1, {"match": "wildcard"}, uri] for n, uri in enumerate(uris)))
        with stage.measured():
            peer.send_bytes(data)

    @load("shared-callees", "4,000 callees of one procedure: the last one registers, and 1,000 calls")
    def callees(stage: Stage) -> None:
        peers = crowd(stage, 4000)
        data = peers[0].encoded([64, 1, {"invoke": "roundrobin", "concurrency": 1}, "bench.shared"])
        for peer in peers:
            peer.send_bytes(data)
        stage.settle()
        sender = stage.join()
        sender.stop_looking()
        with stage.measured():
            sender.send_bytes(sender.encoded(*([48, n + 1, {}, "bench.shared"] for n in range(6000))))


_pattern_loads()
