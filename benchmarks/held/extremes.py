"""Loads at the limits of what a session may have, and of what is done at once because it is short."""

from __future__ import annotations

import msgspec

from benchmarks.held.hostile import (
    PAYLOADS,
    cbor_integer,
    colliding_keys,
    publication,
)
from benchmarks.held.large import PROCEDURE, TOPIC, LongPoller, http, subscribers
from benchmarks.held.many import leave, own_registrations, own_subscriptions
from benchmarks.held.matching import requests
from benchmarks.held.peers import Peer
from benchmarks.held.stage import Stage, load

__all__: list[str] = []

MOST_OWNED = 100_000
"""Subscriptions, and registrations, that a session may have by default."""

MOST_CALLS = 65_000
META_BYTES = 120 * 1024
"""Arguments of a procedure of the router's own, just below what they may be."""

RESUMED_BYTES = 60 * 1024
"""What is kept for a session, just below what is translated when it is resumed."""


def _most_loads() -> None:
    @load("most-subscriptions", f"a session with {MOST_OWNED:,} subscriptions leaves")
    def subscriptions(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        own_subscriptions(peer, MOST_OWNED)
        leave(stage, peer, "reset")

    @load("most-registrations", f"a session with {MOST_OWNED:,} registrations leaves")
    def registrations(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        own_registrations(peer, MOST_OWNED)
        leave(stage, peer, "reset")

    @load("most-registrations-list", f"wamp.registration.list with {MOST_OWNED:,} registrations")
    def listed(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        own_registrations(peer, MOST_OWNED)
        peer.stop_looking()
        with stage.measured():
            peer.send_bytes(peer.encoded([48, 200_000, {}, "wamp.registration.list"]))

    for leaving in ("caller", "callee"):

        @load(f"most-calls-{leaving}", f"{MOST_CALLS:,} calls are under way between two sessions; the {leaving} leaves")
        def calls(stage: Stage, leaving: str = leaving) -> None:
            callee, caller = stage.join("rawsocket"), stage.join("rawsocket")
            callee.request(64, {}, PROCEDURE, reply=65)
            callee.stop_looking()
            caller.stop_looking()
            caller.send_bytes(caller.encoded(*([48, number + 1, {}, PROCEDURE] for number in range(MOST_CALLS))))
            stage.settle()
            leave(stage, caller if leaving == "caller" else callee, "reset")

    @load("most-testaments", "a session with 100 testaments of 8 KiB leaves, to 100 subscribers")
    def testaments(stage: Stage) -> None:
        subscribers(stage, 100, "rawsocket", "json")
        peer = stage.join("rawsocket")
        text = "x" * 8000
        call = ["wamp.session.add_testament", [TOPIC, [text], {}]]
        requests(peer, [[48, number + 1, {}, *call] for number in range(100)])
        leave(stage, peer, "reset")

    @load("most-waiting-calls", "1,000 calls wait for a busy callee, and are canceled in one write")
    def canceled(stage: Stage) -> None:
        callee, caller = stage.join("rawsocket"), stage.join("rawsocket")
        callee.request(64, {"concurrency": 1}, PROCEDURE, reply=65)
        callee.stop_looking()
        caller.stop_looking()
        caller.send_bytes(caller.encoded(*([48, number + 1, {}, PROCEDURE] for number in range(1000))))
        stage.settle()
        with stage.measured():
            caller.send_bytes(caller.encoded(*([49, number, {}] for number in range(1000, 0, -1))))

    @load("behind-translation", "60 MiB of small events wait behind a long message that is translated")
    def behind(stage: Stage) -> None:
        subscribers(stage, 1, "websocket", "json")
        slow, fast = stage.join("rawsocket", "msgpack"), stage.join("rawsocket")
        args = PAYLOADS["msgpack"](14 * 1024 * 1024)["empty-lists"]
        small = fast.encoded([16, 1, {}, TOPIC, ["x" * 70]])
        with stage.measured():
            slow.send_bytes(slow.frame(publication("msgpack", args)))
            # It has been looked through, and its translation has begun.
            stage.pump(3.0)
            fast.send_bytes(small * 500_000)

    @load("behind-check", "a client's 10,000 small messages wait behind a long one of its own")
    def behind_check(stage: Stage) -> None:
        peer = stage.join("rawsocket", "msgpack")
        peer.stop_looking()
        args = PAYLOADS["msgpack"](2 * 1024 * 1024)["empty-lists"]
        small = peer.encoded([48, 1, {}, "bench.nobody"])
        with stage.measured():
            peer.send_bytes(peer.frame(publication("msgpack", args)), small * 10_000)


_most_loads()


def _garbage_loads() -> None:
    @load("garbage-subscriptions", f"5 clients SUBSCRIBE {MOST_OWNED:,} topics each")
    def subscriptions(stage: Stage) -> None:
        peers = [stage.join("rawsocket") for _ in range(5)]
        data = [
            peer.encoded(*([32, n + 1, {}, f"bench.of{number}.t{n}"] for n in range(MOST_OWNED)))
            for number, peer in enumerate(peers)
        ]
        with stage.measured():
            for peer, messages in zip(peers, data, strict=True):
                peer.stop_looking()
                peer.send_bytes(messages)

    @load("garbage-connections", f"3,000 connections come and go, while there are {2 * MOST_OWNED:,} subscriptions")
    def connections(stage: Stage) -> None:
        for _ in range(2):
            own_subscriptions(stage.join("rawsocket"), MOST_OWNED)
        with stage.measured():
            for _ in range(3000):
                stage.join().close()


_garbage_loads()


def _pattern_loads() -> None:
    topic = ".".join("a" * 17)

    def uris(ending: str) -> list[str]:
        numbers = range(1, MOST_OWNED + 1)
        return [".".join("" if n >> bit & 1 else "a" for bit in range(17)) + ending for n in numbers]

    @load("most-wildcards-nothing", f"one PUBLISH that nearly matches {MOST_OWNED:,} wildcards of one session")
    def nothing(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        requests(peer, [[32, n + 1, {"match": "wildcard"}, uri] for n, uri in enumerate(uris(".z"))])
        peer.stop_looking()
        sender = stage.join("rawsocket")
        with stage.measured():
            sender.send_bytes(sender.encoded([16, 1, {}, topic + ".y", ["x"]]))

    @load("most-wildcards-matched", f"one PUBLISH that matches {MOST_OWNED:,} wildcards of one session")
    def matched(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        requests(peer, [[32, n + 1, {"match": "wildcard"}, uri] for n, uri in enumerate(uris(""))])
        peer.stop_looking()
        sender = stage.join("rawsocket")
        with stage.measured():
            sender.send_bytes(sender.encoded([16, 1, {}, topic, ["x"]]))

    @load("most-wildcards-meta", f"wamp.subscription.match with {MOST_OWNED:,} wildcards that match")
    def meta(stage: Stage) -> None:
        peer = stage.join("rawsocket")
        requests(peer, [[32, n + 1, {"match": "wildcard"}, uri] for n, uri in enumerate(uris(""))])
        peer.stop_looking()
        with stage.measured():
            peer.send_bytes(peer.encoded([48, 200_000, {}, "wamp.subscription.match", [topic]]))


_pattern_loads()


def _longpoll_loads() -> None:
    for batched in ("", ".batched"):

        @load(f"longpoll-waiting{batched}", f"100,000 events wait for a long-poll client, which fetches them{batched}")
        def waiting(stage: Stage, batched: str = batched) -> None:
            poller = LongPoller(stage, f"wamp.2.json{batched}")
            poller.send([32, 1, {}, TOPIC])
            poller.fetch()
            sender = stage.join("rawsocket")
            sender.send_bytes(sender.encoded([16, 1, {}, TOPIC, ["x" * 70]]) * 100_000)
            stage.settle()
            poller.receiving.stop_looking()
            with stage.measured():
                poller.receiving.send_bytes(http(poller.receiving, f"{poller.path}/receive", b"") * 100)

    @load("longpoll-batch", "100,000 small messages in one request of a long-poll client")
    def batch(stage: Stage) -> None:
        subscribers(stage, 1, "rawsocket", "json")
        poller = LongPoller(stage, "wamp.2.json.batched")
        body = (poller.sending.encode([16, 1, {}, TOPIC, ["x"]]) + b"\x1e") * 100_000
        with stage.measured():
            poller.sending.send_bytes(http(poller.sending, f"{poller.path}/send", body))

    @load("longpoll-many", "1,000 long-poll clients wait, and get an event")
    def many(stage: Stage) -> None:
        pollers = [LongPoller(stage) for _ in range(1000)]
        for poller in pollers:
            poller.send([32, 1, {}, TOPIC])
            poller.fetch()
            poller.receiving.stop_looking()
            poller.receiving.send_bytes(http(poller.receiving, f"{poller.path}/receive", b""))
        sender = stage.join("rawsocket")
        with stage.measured():
            sender.send_bytes(sender.encoded([16, 1, {}, TOPIC, ["x"]]))


_longpoll_loads()


def call(serializer: str, procedure: str, args: bytes) -> bytes:
    """A CALL with these raw arguments."""
    name = procedure.encode()
    if serializer == "json":
        return b'[48,1,{},"%b",%b]' % (name, args)
    if serializer == "msgpack":
        return b"\x95\x30\x01\x80\xd9" + bytes((len(name),)) + name + args
    return b"\x85\x18\x30\x01\xa0\x78" + bytes((len(name),)) + name + args


def _short_loads() -> None:
    payloads = {
        "json": ("empty-lists", "nested-maps", "lone-surrogates", "nul-strings", "floats-hard", "integers-4000"),
        "msgpack": ("empty-lists", "nested-maps", "colliding-keys", "timestamps", "binary"),
        "cbor": ("empty-lists", "nested-120", "tags", "colliding-keys", "shared"),
    }
    for serializer, names in payloads.items():
        for name in names:

            @load(f"meta-args-{serializer}-{name}", f"a meta procedure with 120 KiB of arguments, {serializer}: {name}")
            def arguments(stage: Stage, serializer: str = serializer, name: str = name) -> None:
                peer = stage.join("rawsocket", serializer)
                peer.stop_looking()
                args = PAYLOADS[serializer](META_BYTES)[name]
                with stage.measured():
                    peer.send_bytes(peer.frame(call(serializer, "wamp.session.count", args)))

            for target in PAYLOADS:
                if target == serializer:
                    continue

                @load(
                    f"resumed-{serializer}-{target}-{name}",
                    f"a session for which 60 KiB are kept in {serializer} is resumed with {target}: {name}",
                )
                def resumed(stage: Stage, serializer: str = serializer, target: str = target, name: str = name) -> None:
                    resume(stage, serializer, target, PAYLOADS[serializer](RESUMED_BYTES)[name])

    for serializer, name in (("msgpack", "nested-maps"), ("msgpack", "colliding-keys"), ("cbor", "tags")):

        @load(
            f"history-of-{serializer}-{name}",
            f"history with an event of 60 KiB in {serializer} is read in JSON: {name}",
        )
        def history(stage: Stage, serializer: str = serializer, name: str = name) -> None:
            sender = stage.join("rawsocket", serializer)
            message = publication(serializer, PAYLOADS[serializer](RESUMED_BYTES)[name])
            topic = b"bench.history"
            text = b"\xad" if serializer == "msgpack" else b"\x6d"
            sender.send_bytes(sender.frame(message.replace(_text(serializer), text + topic)))
            stage.settle()
            peer = stage.join("rawsocket")
            subscription = peer.request(32, {"match": "prefix"}, "bench.history", reply=33)[2]
            peer.stop_looking()
            with stage.measured():
                peer.send_bytes(
                    peer.encoded([48, 9, {}, "wamp.subscription.get_events", [subscription], {"limit": 10}])
                )


def _text(serializer: str) -> bytes:
    return bytes(((0xA0 if serializer == "msgpack" else 0x60) | len(TOPIC),)) + TOPIC.encode()


def resume(stage: Stage, serializer: str, target: str, args: bytes) -> None:
    """Measure the resumption of a session, for which an event with these arguments is kept."""
    peer = stage.connect("rawsocket", serializer)
    welcome = peer.join(resumable=True)
    peer.request(32, {}, TOPIC, reply=33)
    sender: Peer = stage.join("rawsocket", serializer)
    peer.stop_looking()
    sender.send_bytes(sender.frame(publication(serializer, args)))
    stage.settle()
    peer.close()
    stage.settle()
    again = stage.connect("rawsocket", target)
    again.stop_looking()
    details = {
        "roles": {"publisher": {}},
        "resume-session": welcome[1],
        "resume-token": welcome[2]["resume-token"],
        "received": 1,
    }
    with stage.measured():
        again.send_bytes(again.encoded([1, "realm1", details]))


_short_loads()


def _stranger_loads() -> None:
    """Of clients that have no session yet."""
    pairs = colliding_keys(3000)
    packed = b"".join(b"\x92" + msgspec.msgpack.encode(a) + msgspec.msgpack.encode(b) + b"\xc0" for a, b in pairs)
    packed = b"\xde" + len(pairs).to_bytes(2, "big") + packed
    in_cbor = b"".join(b"\x82" + cbor_integer(a) + cbor_integer(b) + b"\xf6" for a, b in pairs[:2800])
    in_cbor = b"\xb9" + (2800).to_bytes(2, "big") + in_cbor
    roles = {"msgpack": b"\xa5roles\x81\xa9publisher\x80", "cbor": b"\x65roles\xa1\x69publisher\xa0"}
    hellos = {
        ("msgpack", "authextra"): b"\x93\x01\xa6realm1\x82" + roles["msgpack"] + b"\xa9authextra\x81\xa1x" + packed,
        ("msgpack", "authextra-itself"): b"\x93\x01\xa6realm1\x82" + roles["msgpack"] + b"\xa9authextra" + packed,
        ("msgpack", "undefined"): b"\x93\x01\xa6realm1\x83" + roles["msgpack"] + b"\xa6authid\xd4\0\0\xa1x" + packed,
        ("msgpack", "feature"): b"\x93\x01\xa6realm1\x81\xa5roles\x81\xa9publisher\x81\xa8features" + packed,
        ("cbor", "authextra"): b"\x83\x01\x66realm1\xa2" + roles["cbor"] + b"\x69authextra\xa1\x61x" + in_cbor,
        ("cbor", "unknown"): b"\x83\x01\x66realm1\xa2" + roles["cbor"] + b"\x61x" + in_cbor,
        ("cbor", "lists"): b"\x83\x01\x66realm1\xa2" + roles["cbor"] + b"\x61x\x99\xf0\x00" + b"\x80" * 0xF000,
        ("cbor", "tags"): b"\x83\x01\x66realm1\xa2" + roles["cbor"] + b"\x61x\x99\x70\x00" + b"\xc1\x00" * 0x7000,
        ("msgpack", "lists"): b"\x93\x01\xa6realm1\x83"
        + roles["msgpack"]
        + b"\xa6authid\xd4\0\0\xa1x\xdc\xf0\x00"
        + b"\x90" * 0xF000,
    }
    for (serializer, name), message in hellos.items():

        @load(f"stranger-{serializer}-{name}", f"HELLO of {len(message) // 1024} KiB in {serializer}: {name}")
        def stranger(stage: Stage, serializer: str = serializer, message: bytes = message) -> None:
            peer = stage.connect("rawsocket", serializer)
            peer.stop_looking()
            with stage.measured():
                peer.send_bytes(peer.frame(message))


_stranger_loads()
