"""Loads of joins and of HTTP requests."""

from __future__ import annotations

import base64
import hashlib
import hmac

from benchmarks.held.many import crowd
from benchmarks.held.peers import Peer
from benchmarks.held.stage import SECRET, Stage, load

__all__: list[str] = []

JOINS = 500


def connections(stage: Stage, count: int, path: str = "/ws", transport: str = "websocket") -> list[Peer]:
    """So many, without sessions."""
    return [stage.connect(transport, path=path) for _ in range(count)]


def _join_loads() -> None:
    for transport in ("websocket", "rawsocket"):

        @load(f"join-{transport}", f"{JOINS} HELLO at once, anonymous, {transport}")
        def join(stage: Stage, transport: str = transport) -> None:
            peers = connections(stage, JOINS, transport=transport)
            data = peers[0].encoded([1, "realm1", {"roles": {"publisher": {}}}])
            with stage.measured():
                for peer in peers:
                    peer.send_bytes(data)

        @load(f"join-heard-{transport}", f"{JOINS} HELLO at once, of which 100 sessions want to know, {transport}")
        def heard(stage: Stage, transport: str = transport) -> None:
            crowd(stage, 100, topic="wamp.session.on_join")
            peers = connections(stage, JOINS, transport=transport)
            data = peers[0].encoded([1, "realm1", {"roles": {"publisher": {}}}])
            with stage.measured():
                for peer in peers:
                    peer.send_bytes(data)

    @load("join-cra", f"{JOINS} HELLO and AUTHENTICATE at once, WAMP-CRA")
    def cra(stage: Stage) -> None:
        peers = connections(stage, JOINS, "/cra")
        hello = {"roles": {"publisher": {}}, "authmethods": ["wampcra"], "authid": "user1"}
        with stage.measured():
            for peer in peers:
                peer.send_bytes(peer.encoded([1, "realm1", hello]))
            for peer in peers:
                challenge = peer.expect(4)[2]["challenge"]
                signature = hmac.new(SECRET.encode(), challenge.encode(), hashlib.sha256).digest()
                peer.send_bytes(peer.encoded([5, base64.b64encode(signature).decode(), {}]))

    @load("join-scram", "100 HELLO and a wrong AUTHENTICATE at once, SCRAM")
    def scram(stage: Stage) -> None:
        peers = connections(stage, 100, "/scram")
        nonce = base64.b64encode(bytes(16)).decode()
        hello = {"roles": {"publisher": {}}, "authmethods": ["scram"], "authid": "user1", "authextra": {"nonce": nonce}}
        with stage.measured():
            for peer in peers:
                peer.send_bytes(peer.encoded([1, "realm1", hello]))
            for peer in peers:
                extra = peer.expect(4)[2]
                proof = base64.b64encode(bytes(32)).decode()
                peer.send_bytes(peer.encoded([5, proof, {"nonce": extra["nonce"]}]))

    @load("join-again", "one client joins and leaves 2,000 times in one write, rawsocket")
    def again(stage: Stage) -> None:
        peer = stage.connect("rawsocket")
        peer.stop_looking()
        data = peer.encoded([1, "realm1", {"roles": {"publisher": {}}}], [6, {}, "wamp.close.close_realm"])
        with stage.measured():
            peer.send_bytes(data * 2000)

    @load("upgrade", f"{JOINS} WebSocket upgrades at once")
    def upgrade(stage: Stage) -> None:
        peers = [stage.connect("") for _ in range(JOINS)]
        request = (
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
        )
        with stage.measured():
            for peer in peers:
                peer.stop_looking()
                peer.send_bytes(request)

    @load("upgrade-deflate", "300 WebSocket upgrades with compression at once")
    def upgrade_deflate(stage: Stage) -> None:
        with stage.measured():
            for _ in range(300):
                stage.connect(path="/deflated", extensions="permessage-deflate")

    @load("tls-handshakes", "100 TLS connections, one after the other")
    def handshakes(stage: Stage) -> None:
        with stage.measured():
            for _ in range(100):
                stage.connect(is_secure=True)

    @load("idle", "4,000 WebSockets that joined at the same time are silent, and pinged")
    def idle(stage: Stage) -> None:
        crowd(stage, 4000, transport="websocket")
        with stage.measured(settle=False):
            # They are looked at every 15 seconds.
            stage.pump(36)

    @load("connections", f"{JOINS} connections that say nothing, and are reset")
    def silent(stage: Stage) -> None:
        with stage.measured():
            peers = [stage.connect("") for _ in range(JOINS)]
            stage.settle()
            for peer in peers:
                peer.close()


_join_loads()


def _http_loads() -> None:
    requests = {
        "static-small": b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n",
        "missing": b"GET /nothing/at/all HTTP/1.1\r\nHost: a\r\n\r\n",
        "json": b"GET /value HTTP/1.1\r\nHost: a\r\n\r\n",
        "long-path": b"GET /" + b"%2e%2e/" * 600 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        "query": b"GET /value?" + b"a=b&" * 1200 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        "headers": b"GET /value HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(400)) + b"\r\n",
        "post": b"POST /value HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "head": b"HEAD /value HTTP/1.1\r\nHost: a\r\n\r\n",
    }
    for name, request in requests.items():

        @load(f"http-{name}", f"10,000 pipelined requests: {name}")
        def pipelined(stage: Stage, request: bytes = request) -> None:
            peer = stage.connect("")
            peer.stop_looking()
            with stage.measured():
                peer.send_bytes(request * 10_000)

    @load("http-large-head", "a head that does not end, of 10 MB")
    def large_head(stage: Stage) -> None:
        peer = stage.connect("")
        with stage.measured():
            peer.send_bytes(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 1_700_000)

    @load("http-large-line", "a header of 10 MB")
    def large_line(stage: Stage) -> None:
        peer = stage.connect("")
        with stage.measured():
            peer.send_bytes(b"GET / HTTP/1.1\r\nx: " + b"y" * 10_000_000)

    @load("http-large-body", "a body of 50 MB for the JSON service")
    def large_body(stage: Stage) -> None:
        peer = stage.connect("")
        peer.stop_looking()
        with stage.measured():
            peer.send_bytes(b"POST /value HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n" + bytes(50_000_000))

    @load("http-chunks", "a body of 1,000,000 chunks of 1 byte for a long-poll service")
    def chunks(stage: Stage) -> None:
        peer = stage.connect("")
        peer.stop_looking()
        head = b"POST /lp/open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        with stage.measured():
            peer.send_bytes(head + b"1\r\nx\r\n" * 1_000_000)

    @load("http-static", "a file of 100 MB")
    def static(stage: Stage) -> None:
        peer = stage.connect("")
        peer.stop_looking()
        with stage.measured():
            peer.send_bytes(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")

    @load("http-static-tls", "a file of 100 MB over TLS")
    def static_tls(stage: Stage) -> None:
        peer = stage.connect("", is_secure=True)
        peer.stop_looking()
        with stage.measured():
            peer.send_bytes(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")

    @load("http-ranges", "a file of 100 MB in 500 ranges")
    def ranges(stage: Stage) -> None:
        peer = stage.connect("")
        peer.stop_looking()
        wanted = ",".join(f"{n * 1000}-{n * 1000 + 10}" for n in range(500))
        with stage.measured():
            peer.send_bytes(f"GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes={wanted}\r\n\r\n".encode() * 20)

    @load("http-ranges-most", "a file of 100 MB in 8,000 ranges, which do not touch")
    def most_ranges(stage: Stage) -> None:
        peer = stage.connect("")
        peer.stop_looking()
        peer.send_bytes(b"GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n\r\n")
        wanted = ",".join(f"{n * 2}-{n * 2}" for n in range(4500))
        with stage.measured():
            peer.send_bytes(f"GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes={wanted}\r\n\r\n".encode())

    # Not as long as they may be: the time grows with the square of the length, or with its cube.
    origins = {
        "examples": b"https://" + b".example." * 2000 + b"/",
        "two-stars": b"x://" + b".b." * 2000 + b"/",
        "three-stars": b"x://" + b".b.:" * 150 + b"/",
    }
    for name, origin in origins.items():

        @load(f"http-origin-{name}", f"an upgrade with a long Origin, where pages of patterns are allowed: {name}")
        def origin_of(stage: Stage, origin: bytes = origin) -> None:
            peer = stage.connect("")
            request = (
                b"GET /guarded HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Protocol: wamp.2.json\r\nOrigin: %b\r\n\r\n"
            )
            with stage.measured():
                peer.send_bytes(request % origin)

    extensions = {
        "offers": b"permessage-deflate; " + b"server_max_window_bits=15; " * 2000,
        "many": b"permessage-deflate; x=1," * 2500,
        "subprotocols": b"",
    }
    for name, offered in extensions.items():

        @load(f"http-extensions-{name}", f"an upgrade with 60 KiB of extensions or subprotocols: {name}")
        def extended(stage: Stage, offered: bytes = offered) -> None:
            peer = stage.connect("")
            request = (
                b"GET /deflated HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Protocol: %b\r\nSec-WebSocket-Extensions: %b\r\n\r\n"
            )
            wanted = b"wamp.2.json" if offered else b"x, " * 19_000 + b"wamp.2.json"
            with stage.measured():
                peer.send_bytes(request % (wanted, offered or b"x"))

    @load("http-many", "500 clients ask for the JSON service 20 times each at once")
    def many(stage: Stage) -> None:
        peers = [stage.connect("") for _ in range(500)]
        with stage.measured():
            for peer in peers:
                peer.stop_looking()
                peer.send_bytes(requests["json"] * 20)


_http_loads()
