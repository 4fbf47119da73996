"""Loads of many clients, and of clients that have much: thousands of subscribers, subscriptions, calls, sessions."""

from __future__ import annotations

from benchmarks.held.peers import Peer
from benchmarks.held.stage import Stage, load

__all__: list[str] = []

TOPIC, PROCEDURE = "bench.topic", "bench.procedure"
SESSIONS = 4000
OWNED = 4000
"""Subscriptions, registrations or calls of one session."""


def crowd(stage: Stage, count: int, *, transport: str = "rawsocket", topic: str = "") -> list[Peer]:
    """So many sessions, all of which have subscribed a topic; made once for all repetitions."""
    peers = [stage.connect(transport) for _ in range(count)]
    for peer in peers:
        peer.join()
        if topic:
            peer.request(32, {}, topic, reply=33)
        peer.stop_looking()
    return peers


def _crowd_loads() -> None:
    for count in (1000, SESSIONS):
        for transport in ("websocket", "rawsocket"):

            @load(f"event-to-{count}-{transport}", f"one event to {count:,} subscribers, {transport} json")
            def event(stage: Stage, count: int = count, transport: str = transport) -> None:
                crowd(stage, count, transport=transport, topic=TOPIC)
                sender = stage.join()
                with stage.measured():
                    sender.send_bytes(sender.encoded([16, 1, {}, TOPIC, ["x" * 16]]))

        @load(f"burst-to-{count}", f"200 events in one write to {count:,} subscribers, rawsocket json")
        def burst(stage: Stage, count: int = count) -> None:
            crowd(stage, count, topic=TOPIC)
            sender = stage.join()
            with stage.measured():
                sender.send_bytes(sender.encoded(*([16, request, {}, TOPIC, ["x" * 16]] for request in range(1, 201))))

    @load("event-64k-to-1000", "one event of 64 KiB to 1,000 subscribers, rawsocket json")
    def large_event(stage: Stage) -> None:
        crowd(stage, 1000, topic=TOPIC)
        sender = stage.join()
        with stage.measured():
            sender.send_bytes(sender.encoded([16, 1, {}, TOPIC, ["x" * 65_000]]))

    @load("event-8k-to-4000-mixed", "one event of 8 KiB to 4,000 subscribers with three serializers, rawsocket")
    def mixed_event(stage: Stage) -> None:
        for number in range(SESSIONS):
            peer = stage.connect("rawsocket", ("json", "msgpack", "cbor")[number % 3])
            peer.join()
            peer.request(32, {}, TOPIC, reply=33)
            peer.stop_looking()
        sender = stage.join()
        with stage.measured():
            sender.send_bytes(sender.encoded([16, 1, {}, TOPIC, [[]] * 2600]))


_crowd_loads()


def own_subscriptions(peer: Peer, count: int, match: str = "exact") -> None:
    """Have a session subscribe so many topics."""
    for start in range(0, count, 500):
        requests = range(start, min(start + 500, count))
        peer.send_bytes(peer.encoded(*([32, r + 1, {"match": match}, f"bench.own.t{r}"] for r in requests)))
        for _ in requests:
            peer.expect(33)


def own_registrations(peer: Peer, count: int) -> None:
    """Have a session register so many procedures."""
    for start in range(0, count, 500):
        requests = range(start, min(start + 500, count))
        peer.send_bytes(peer.encoded(*([64, r + 1, {}, f"bench.own.p{r}"] for r in requests)))
        for _ in requests:
            peer.expect(65)


def _leaving_loads() -> None:
    for how in ("goodbye", "reset"):

        @load(f"leave-subscriptions-{how}", f"a session with {OWNED:,} subscriptions leaves ({how})")
        def subscriptions(stage: Stage, how: str = how) -> None:
            peer = stage.join()
            own_subscriptions(peer, OWNED)
            leave(stage, peer, how)

        @load(f"leave-registrations-{how}", f"a session with {OWNED:,} registrations leaves ({how})")
        def registrations(stage: Stage, how: str = how) -> None:
            peer = stage.join()
            own_registrations(peer, OWNED)
            leave(stage, peer, how)

        @load(f"leave-calls-{how}", f"a caller with {OWNED:,} calls under way leaves ({how})")
        def caller(stage: Stage, how: str = how) -> None:
            leave(stage, calling(stage)[0], how)

        @load(f"leave-callee-{how}", f"a callee with {OWNED:,} calls under way leaves ({how})")
        def callee(stage: Stage, how: str = how) -> None:
            leave(stage, calling(stage)[1], how)

    @load("leave-heard", f"a session with {OWNED:,} subscriptions leaves, and another has subscribed all meta events")
    def heard(stage: Stage) -> None:
        listener = stage.join()
        listener.request(32, {"match": "prefix"}, "wamp.", reply=33)
        listener.stop_looking()
        peer = stage.join()
        own_subscriptions(peer, OWNED)
        leave(stage, peer, "goodbye")

    @load("leave-detached", f"{OWNED:,} resumable sessions lose their connection at once")
    def detached(stage: Stage) -> None:
        peers = [stage.connect("rawsocket") for _ in range(2000)]
        for peer in peers:
            peer.join(resumable=True)
        with stage.measured():
            for peer in peers:
                peer.close()

    @load("leave-all", "2,000 sessions lose their connection at once")
    def all_leave(stage: Stage) -> None:
        peers = crowd(stage, 2000, topic=TOPIC)
        with stage.measured():
            for peer in peers:
                peer.close()


def calling(stage: Stage) -> tuple[Peer, Peer]:
    """A caller and a callee with many calls between them."""
    callee, caller = stage.join(), stage.join()
    callee.request(64, {}, PROCEDURE, reply=65)
    callee.stop_looking()
    caller.send_bytes(caller.encoded(*([48, request, {}, PROCEDURE] for request in range(1, OWNED + 1))))
    stage.settle()
    return caller, callee


def leave(stage: Stage, peer: Peer, how: str) -> None:
    """Measure the end of a session."""
    with stage.measured():
        if how == "goodbye":
            peer.send_bytes(peer.encoded([6, {}, "wamp.close.close_realm"]))
        else:
            peer.close()


_leaving_loads()


def meta(stage: Stage, peer: Peer, procedure: str, *arguments: object, times: int = 1, **kwargs: object) -> None:
    """Measure calls of a procedure of the router's own."""
    data = peer.encoded(*([48, 10_000 + r, {}, procedure, list(arguments), kwargs] for r in range(times)))
    with stage.measured():
        peer.send_bytes(data)


def _meta_loads() -> None:
    for times in (1, 20):
        for name in ("wamp.session.count", "wamp.session.list"):

            @load(f"meta-{name}-{times}", f"{name} with {SESSIONS:,} sessions, {times} x in one write")
            def sessions(stage: Stage, name: str = name, times: int = times) -> None:
                crowd(stage, SESSIONS)
                meta(stage, stage.join(), name, times=times)

        @load(f"meta-subscriptions-{times}", f"wamp.subscription.list with {OWNED * 5:,} subscriptions, {times} x")
        def subscriptions(stage: Stage, times: int = times) -> None:
            for _ in range(5):
                own_subscriptions(stage.join(), OWNED)
            peer = stage.join()
            own_subscriptions(peer, OWNED * 5)
            meta(stage, peer, "wamp.subscription.list", times=times)

        @load(f"meta-registrations-{times}", f"wamp.registration.list with {OWNED * 5:,} registrations, {times} x")
        def registrations(stage: Stage, times: int = times) -> None:
            peer = stage.join()
            own_registrations(peer, OWNED * 5)
            meta(stage, peer, "wamp.registration.list", times=times)

        @load(f"meta-subscribers-{times}", f"wamp.subscription.list_subscribers of {SESSIONS:,}, {times} x")
        def subscribers(stage: Stage, times: int = times) -> None:
            crowd(stage, SESSIONS, topic=TOPIC)
            peer = stage.join()
            subscription = peer.request(32, {}, TOPIC, reply=33)[2]
            meta(stage, peer, "wamp.subscription.list_subscribers", subscription, times=times)

        @load(f"meta-match-{times}", f"wamp.subscription.match with 2,000 prefixes that match, {times} x")
        def match(stage: Stage, times: int = times) -> None:
            peer = stage.join()
            uri = "a" * 2000
            for start in range(0, 2000, 500):
                peer.send_bytes(
                    peer.encoded(*([32, r + 1, {"match": "prefix"}, uri[: r + 1]] for r in range(start, start + 500)))
                )
                for _ in range(500):
                    peer.receive()
            meta(stage, peer, "wamp.subscription.match", uri, times=times)

    for name, argument in (("kill_all", None), ("kill_by_authrole", "anonymous"), ("count", ["anonymous"])):

        @load(f"meta-{name}", f"wamp.session.{name} of 2,000")
        def kill(stage: Stage, name: str = name, argument: object = argument) -> None:
            crowd(stage, 2000, topic=TOPIC)
            peer = stage.join()
            meta(stage, peer, f"wamp.session.{name}", *([] if argument is None else [argument]))


_meta_loads()
