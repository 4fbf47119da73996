"""Loads of single messages that are as bad as they can be, just below what the router looks through by itself."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import msgspec

from benchmarks.held.large import TOPIC, subscribers
from benchmarks.held.peers import Peer
from benchmarks.held.stage import Stage, load

__all__: list[str] = []

JSON_BYTES = 128 * 1024 - 64
BINARY_BYTES = 72 * 1024 - 64
"""Payload of messages that are just not long enough to be given away: see `quick_bytes` in `rocade.wamp.codec`."""

TRANSLATED_BYTES = 8 * 1024 - 16
"""The same of those that have to be translated."""

TIMES = 8
"""How often a message is sent."""


def repeated(part: bytes, size: int, separator: bytes = b"") -> bytes:
    """A part so often that it fits."""
    count = (size + len(separator)) // (len(part) + len(separator))
    return separator.join([part] * count)


def json_payloads(size: int) -> dict[str, bytes]:
    """Lists in JSON of about this size."""

    def listed(part: bytes) -> bytes:
        return b"[" + repeated(part, size - 2, b",") + b"]"

    half = size // 2
    return {
        "empty-lists": listed(b"[]"),
        "empty-maps": listed(b"{}"),
        "lists-in-lists": listed(b"[[]]"),
        "nested-127": listed(b"[" * 120 + b"]" * 120),
        "nested-maps": listed(b'{"":' * 60 + b"0" + b"}" * 60),
        "too-deep": b"[" * half + b"]" * half,
        "too-deep-open": b"[" * size,
        "stairs": b"[" + b"".join(b"[" * (n % 100) + b"]" * (n % 100) + b"," for n in range(1, size // 101)) + b"0]",
        "turns": listed(b"[[],[[],[[],[]]]]"),
        "brackets-in-strings": listed(b'"[]{}["'),
        "quotes-in-strings": listed(rb'"\"["'),
        "backslashes": listed(rb'"\\\\["'),
        "one-string-of-quotes": b'["' + repeated(rb"\"", size - 4) + b'"]',
        "bad-utf8-at-end": b'["' + b"x" * (size - 5) + b'\xff"]',
        "two-bytes-text": b'["' + "é".encode() * (half - 2) + b'"]',
        "bad-utf8-behind-text": b'["' + "é".encode() * (half - 3) + b'\xff"]',
        "one-integer": b"[" + b"9" * (size - 2) + b"]",
        "integers-20": listed(b"99999999999999999999"),
        "integers-4000": listed(b"9" * 4000),
        "small-integers": listed(b"0"),
        "one-float": b"[0." + b"1" * (size - 4) + b"]",
        "floats-exponents": listed(b"1e308"),
        "floats-infinite": listed(b"1e999"),
        "floats-hard": listed(b"2.2250738585072011e-308"),
        "floats-halfway": listed(b"9007199254740993." + b"0" * 700 + b"1"),
        "lone-surrogates": listed(rb'"\ud800"'),
        "one-string-of-surrogates": b'["' + repeated(rb"\ud800", size - 4) + b'"]',
        "low-surrogates": b'["' + repeated(rb"\udc00", size - 4) + b'"]',
        "escapes": b'["' + repeated(rb"\u00e9", size - 4) + b'"]',
        "bad-escape-behind-surrogates": b'["' + repeated(rb"\ud800\ud800", size - 6) + rb"\x" + b'"]',
        "nul-strings": listed(rb'"\u0000AAAA"'),
        "duplicate-keys": b"[{" + repeated(b'"a":1', size - 4, b",") + b"}]",
        "keys": b"[{" + b",".join(b'"%06d":1' % n for n in range(size // 12)) + b"}]",
        "whitespace": b"[" + b" " * (size - 2) + b"]",
        "whitespace-between": listed(b"\n0\t"),
        "trailing": b"[" + b"0" + b"]" + b" " * (size - 3),
        "literals": listed(b"null"),
    }


def msgpack_payloads(size: int) -> dict[str, bytes]:
    """Lists in MessagePack of about this size."""

    def listed(part: bytes, each: int = 1) -> bytes:
        count = (size - 5) // len(part)
        return b"\xdd" + (count * each).to_bytes(4, "big") + part * count

    def mapped(part: bytes) -> bytes:
        count = (size - 6) // len(part)
        return b"\x91\xdf" + count.to_bytes(4, "big") + part * count

    collisions = colliding_keys()
    pairs = [b"\x92" + msgspec.msgpack.encode(a) + msgspec.msgpack.encode(b) + b"\xc0" for a, b in collisions]
    return {
        "empty-lists": listed(b"\x90"),
        "empty-maps": listed(b"\x80"),
        "empty-strings": listed(b"\xa0"),
        "strings": listed(b"\xa1x"),
        "one-item-lists": listed(b"\x91\xc0"),
        "one-item-maps": listed(b"\x81\xa0\xc0"),
        "nested-120": listed(b"\x91" * 120 + b"\xc0"),
        "nested-maps": listed(b"\x81\xa0" * 60 + b"\xc0"),
        "too-deep": b"\x91" * size,
        "integers": listed(b"\xcf" + b"\xff" * 8),
        "floats": listed(b"\xcb" + struct.pack(">d", 1.1)),
        "binary": listed(b"\xc4\x00"),
        "timestamps": listed(b"\xd6\xff\x00\x00\x00\x00"),
        "extensions": listed(b"\xc7\x00\x05"),
        "undefined": listed(b"\xd4\x00\x00"),
        "integer-keys": mapped(b"\x00\xc0"),
        "many-integer-keys": b"\x91\xdf"
        + (size // 6).to_bytes(4, "big")
        + b"".join(b"\xce" + (n << 17 & 0xFFFFFFFF).to_bytes(4, "big") + b"\xc0" for n in range(size // 6)),
        "list-keys": mapped(b"\x91\x00\xc0"),
        "colliding-keys": fitting(pairs, size),
        "bad-utf8-at-end": b"\x91\xdb" + (size - 6).to_bytes(4, "big") + b"x" * (size - 7) + b"\xff",
        "two-bytes-text": b"\x91\xdb" + ((size - 6) // 2 * 2).to_bytes(4, "big") + "é".encode() * ((size - 6) // 2),
        "huge-claim": b"\xdd\xff\xff\xff\xff" + b"\xc0" * (size - 5),
        "huge-map-claim": b"\x91\xdf\xff\xff\xff\xff" + b"\xc0" * (size - 6),
        "huge-claims-nested": b"\xdd\x7f\xff\xff\xff" * (size // 5),
    }


def fitting(pairs: Iterable[bytes], size: int) -> bytes:
    """A list of one map of as many pairs as fit, in MessagePack."""
    taken, length = [], 6
    for pair in pairs:
        length += len(pair)
        if length > size:
            break
        taken.append(pair)
    return b"\x91\xdf" + len(taken).to_bytes(4, "big") + b"".join(taken)


def colliding_keys(count: int = 6000) -> list[tuple[int, int]]:
    """Pairs of integers, which are the keys of a map, whose hashes are all the same.

    Texts are hashed with a secret, tuples of integers are not: see `tuplehash` in CPython's `Objects/tupleobject.c`.
    """
    mask = (1 << 64) - 1
    prime1, prime2, prime5 = 11400714785074694791, 14029467366897019727, 2870177450012600261
    inverse = pow(prime2, -1, 1 << 64)
    most = (1 << 61) - 2

    def lane(accumulated: int, value: int) -> int:
        accumulated = accumulated + value * prime2 & mask
        return (accumulated << 31 | accumulated >> 33) * prime1 & mask

    wanted = lane(prime5, 0)
    found: list[tuple[int, int]] = []
    first = 0
    while len(found) < count:
        second = (wanted - lane(prime5, first)) * inverse & mask
        if second > mask - most:
            second -= 1 << 64
        if second <= most and second not in (-1, -2):
            found.append((first, second))
        first += 1
    return found


def cbor_integer(value: int) -> bytes:
    """An integer of 64 bits in CBOR."""
    head, value = (0x1B, value) if value >= 0 else (0x3B, -1 - value)
    return bytes((head,)) + value.to_bytes(8, "big")


def cbor_payloads(size: int) -> dict[str, bytes]:
    """Lists in CBOR of about this size."""

    def listed(part: bytes) -> bytes:
        count = (size - 5) // len(part)
        return b"\x9a" + count.to_bytes(4, "big") + part * count

    pairs = [b"\x82" + cbor_integer(a) + cbor_integer(b) + b"\xf6" for a, b in colliding_keys()][: (size - 6) // 20]
    maps = [b"\xa1" + pair[1:] for pair in pairs]
    return {
        "empty-lists": listed(b"\x80"),
        "empty-maps": listed(b"\xa0"),
        "empty-strings": listed(b"\x60"),
        "one-item-lists": listed(b"\x81\xf6"),
        "one-item-maps": listed(b"\xa1\x60\xf6"),
        "indefinite-lists": listed(b"\x9f\xff"),
        "indefinite-strings": listed(b"\x7f\xff"),
        "one-indefinite-string": b"\x81\x7f" + b"\x60" * (size - 3) + b"\xff",
        "one-indefinite-binary": b"\x81\x5f" + b"\x41x" * (size // 2 - 2) + b"\xff",
        "nested-120": listed(b"\x81" * 120 + b"\xf6"),
        "too-deep": b"\x81" * size,
        "tags": listed(b"\xc1\x00"),
        "nested-tags": listed(b"\xd9\xd9\xf7" * 100 + b"\x00"),
        "unknown-tags": listed(b"\xd9\xff\x00\x00"),
        "dates": listed(b"\xc0\x74" + b"2013-03-21T20:04:00Z"),
        "bignums": listed(b"\xc2\x41\x01"),
        "one-bignum": b"\x81\xc2\x5a" + (size - 8).to_bytes(4, "big") + b"\xff" * (size - 8),
        "bigfloats": listed(b"\xc5\x82\x1a\x7f\xff\xff\xff\x01"),
        "decimals": listed(b"\xc4\x82\x1a\x7f\xff\xff\xff\x01"),
        "rationals": listed(b"\xd8\x1e\x82\x01\x01"),
        "regular-expressions": listed(b"\xd8\x23\x64(a)*"),
        "shared": b"\x82\xd8\x1c\x80"
        + b"\x9a"
        + ((size - 9) // 3).to_bytes(4, "big")
        + b"\xd8\x1d\x00" * ((size - 9) // 3),
        "sets": listed(b"\xd9\x01\x02\x80"),
        "half-floats": listed(b"\xf9\x3c\x00"),
        "list-keys": listed(b"\xa1\x81\x00\xf6"),
        "map-keys": listed(b"\xa1\xa1\x00\x00\xf6"),
        "colliding-keys": b"\x81\xba" + len(pairs).to_bytes(4, "big") + b"".join(pairs),
        "colliding-map-keys": b"\x81\xba" + len(maps).to_bytes(4, "big") + b"".join(maps),
        "huge-claim": b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff" + b"\xf6" * (size - 9),
        "huge-string-claim": b"\x81\x7b\x00\x00\x00\x00\x7f\xff\xff\xff" + b"x" * (size - 10),
        "bad-utf8-at-end": b"\x81\x7a" + (size - 6).to_bytes(4, "big") + b"x" * (size - 7) + b"\xff",
        "undefined": listed(b"\xf7"),
    }


PAYLOADS = {"json": json_payloads, "msgpack": msgpack_payloads, "cbor": cbor_payloads}


def publication(serializer: str, args: bytes) -> bytes:
    """A PUBLISH with these raw arguments."""
    topic = TOPIC.encode()
    if serializer == "json":
        return b'[16,1,{},"%b",%b]' % (topic, args)
    heads = {"msgpack": (b"\x95\x10\x01\x80", 0xA0), "cbor": (b"\x85\x10\x01\xa0", 0x60)}
    head, text = heads[serializer]
    return head + bytes((text | len(topic),)) + topic + args


def send(stage: Stage, peer: Peer, message: bytes, times: int = TIMES) -> None:
    """Measure what a message does, by itself and again behind others; the session may be over after the first."""
    data = peer.frame(message)
    peer.stop_looking()
    with stage.measured():
        peer.send_bytes(data)
        stage.settle()
        peer.send_bytes(data * (times - 1))


def _payload_loads() -> None:
    for serializer, make in PAYLOADS.items():
        size = JSON_BYTES if serializer == "json" else BINARY_BYTES
        for name in make(1000):

            @load(f"payload-{serializer}-{name}", f"PUBLISH of {size // 1024} KiB in {serializer}: {name}")
            def payload(stage: Stage, serializer: str = serializer, name: str = name, size: int = size) -> None:
                subscribers(stage, 1, "websocket", serializer)
                send(
                    stage,
                    stage.join("websocket", serializer),
                    publication(serializer, PAYLOADS[serializer](size)[name]),
                )

            @load(
                f"translated-{serializer}-{name}",
                f"200 PUBLISH of 8 KiB in {serializer} to receivers with the other serializers: {name}",
            )
            def translated(stage: Stage, serializer: str = serializer, name: str = name) -> None:
                for other in PAYLOADS:
                    if other != serializer:
                        subscribers(stage, 1, "websocket", other)
                message = publication(serializer, PAYLOADS[serializer](TRANSLATED_BYTES)[name])
                send(stage, stage.join("websocket", serializer), message, 200)


_payload_loads()


def _head_loads() -> None:
    many = 100_000 // 8
    heads: dict[str, bytes] = {
        "eligible": b'[16,1,{"eligible":[%b]},"bench.topic",[1]]' % b",".join(b"%d" % (n << 30) for n in range(7_000)),
        "eligible-all": b'[16,1,{"eligible":[%b]},"bench.topic",[1]]' % b",".join(b"%d" % n for n in range(1, 15_000)),
        "exclude-authid": b'[16,1,{"exclude_authid":[%b]},"bench.topic",[1]]'
        % b",".join(b'"%06d"' % n for n in range(many)),
        "unknown-options": b'[16,1,{%b},"bench.topic",[1]]' % b",".join(b'"x%06d":1' % n for n in range(many * 2 // 3)),
        "custom-options": b'[16,1,{%b},"bench.topic",[1]]' % b",".join(b'"_x%06d":1' % n for n in range(many * 2 // 3)),
        "deep-options": b'[16,1,{"x":%b%b},"bench.topic",[1]]' % (b"[" * 50_000, b"]" * 50_000),
        "long-uri": b'[16,1,{},"%b",[1]]' % (b"a." * 60_000 + b"z"),
        "long-uri-spaces": b'[16,1,{},"%b",[1]]' % (b"a." * 60_000 + b" "),
        "long-procedure": b'[48,1,{},"%b",[1]]' % (b"a" * 120_000),
        "long-error": b'[8,68,1,{},"%b",[1]]' % (b"a." * 60_000 + b"z"),
        "long-topic": b'[32,1,{"match":"wildcard"},"%b"]' % (b"." * 120_000),
        "options-list": b'[32,1,[%b],"bench.topic"]' % b",".join([b"{}"] * 30_000),
        "whole-of-lists": b"[%b]" % b",".join([b"[]"] * 40_000),
        "no-list": b"{%b}" % b",".join(b'"%06d":[]' % n for n in range(10_000)),
        "huge-code": b"[" + b"9" * 125_000 + b"]",
        "huge-id": b"[16," + b"9" * 125_000 + b',{},"a.b"]',
        "huge-float-id": b"[16,0." + b"9" * 125_000 + b',{},"a.b"]',
        "string-code": b'["' + b"a" * 125_000 + b'"]',
        "goodbye-details": b'[6,{%b},"wamp.close.close_realm"]' % b",".join(b'"%06d":[]' % n for n in range(10_000)),
        "goodbye-message": b'[6,{"message":"%b"},"%b"]' % (b"x" * 60_000, b"x" * 60_000),
        "nonsense": b"\0" * 125_000,
        "surrogates-in-options": b'[16,1,{"x":"%b"},"bench.topic",[1]]' % (rb"\ud800" * 20_000),
        "prefix-payload": b'[16,1,{"ppt_scheme":"%b"},"bench.topic",[1]]' % (b"x" * 120_000),
    }
    for name, message in heads.items():

        @load(f"head-json-{name}", f"a message of {len(message) // 1024} KiB in JSON: {name}")
        def head(stage: Stage, message: bytes = message) -> None:
            subscribers(stage, 1, "websocket", "json")
            send(stage, stage.join("rawsocket"), message)

    def packed(options: bytes) -> bytes:
        return b"\x95\x10\x01" + options + b"\xabbench.topic\x90"

    def in_cbor(options: bytes) -> bytes:
        return b"\x85\x10\x01" + options + b"\x6bbench.topic\x80"

    keys = [b"\x92" + msgspec.msgpack.encode(a) + msgspec.msgpack.encode(b) + b"\xc0" for a, b in colliding_keys(3500)]
    cbor_keys = [
        b"\x82" + cbor_integer(first) + cbor_integer(second) + b"\xf6" for first, second in colliding_keys(3500)
    ]
    count, some = len(keys).to_bytes(2, "big"), (3000).to_bytes(2, "big")
    binary: dict[tuple[str, str], bytes] = {
        ("msgpack", "colliding-options"): packed(b"\x81\xa1x\xde" + count + b"".join(keys)),
        ("msgpack", "colliding-undefined"): packed(b"\x82\xa7exclude\xd4\x00\x00\xa1x\xde" + count + b"".join(keys)),
        ("msgpack", "undefined-options"): packed(
            b"\xde\x1f\xff" + b"".join(b"\xa5%05d\xd4\x00\x00" % n for n in range(0x1FFF))
        ),
        ("msgpack", "float-ids"): packed(b"\x81\xa8eligible\xdc\x1b\x58" + b"\xcbA\xf0\x00\x00\x00\x00\x00\x00" * 7000),
        ("msgpack", "lists-options"): packed(b"\x81\xa1x\xdc\xff\xff" + b"\x90" * 65535),
        ("msgpack", "undefined-lists"): packed(b"\x82\xa7exclude\xd4\x00\x00\xa1x\xdc\xf0\x00" + b"\x90" * 0xF000),
        ("cbor", "colliding-options"): in_cbor(b"\xa1\x61x\xb9" + count + b"".join(cbor_keys)),
        ("cbor", "colliding-tags"): in_cbor(
            b"\xa1\x61x\xb9" + some + b"".join(b"\xc4" + key for key in cbor_keys[:3000])
        ),
        ("cbor", "colliding-maps"): in_cbor(
            b"\xa1\x61x\xb9" + some + b"".join(b"\xa1" + key[1:] for key in cbor_keys[:3000])
        ),
        ("cbor", "lists-options"): in_cbor(b"\xa1\x61x\x99\xff\xff" + b"\x80" * 65535),
        ("cbor", "tags-options"): in_cbor(b"\xa1\x61x\x99\x20\x00" + b"\xc1\x00" * 0x2000),
        ("cbor", "bignum-options"): in_cbor(b"\xa1\x68eligible\x81\xc2\x59\xff\xff" + b"\xff" * 65535),
        ("cbor", "bignum-id"): b"\x84\x10\xc2\x59\xff\xff" + b"\xff" * 65535 + b"\xa0\x6bbench.topic",
        ("cbor", "bignum-code"): b"\x84\xc2\x59\xff\xff" + b"\xff" * 65535 + b"\x01\xa0\x6bbench.topic",
        ("cbor", "float-ids"): in_cbor(b"\xa1\x68eligible\x99\x1b\x58" + b"\xfbA\xf0\x00\x00\x00\x00\x00\x00" * 7000),
        ("cbor", "network-options"): in_cbor(b"\xa1\x61x\x99\x20\x00" + b"\xd8\x34\x44\x01\x02\x03\x04" * 0x2000),
        ("cbor", "uuid-options"): in_cbor(b"\xa1\x61x\x99\x0c\x00" + (b"\xd8\x25\x50" + b"u" * 16) * 0x0C00),
        ("cbor", "complex-options"): in_cbor(b"\xa1\x61x\x99\x20\x00" + b"\xd9\xa7\xf8\x82\x00\x00" * 0x2000),
    }
    for (serializer, name), message in binary.items():

        @load(f"head-{serializer}-{name}", f"a message of {len(message) // 1024} KiB in {serializer}: {name}")
        def binary_head(stage: Stage, message: bytes = message, serializer: str = serializer) -> None:
            subscribers(stage, 1, "websocket", "json")
            send(stage, stage.join("rawsocket", serializer), message)


_head_loads()


def _login_loads() -> None:
    size = 65_000
    hellos: dict[str, bytes] = {
        "details": b'[1,"realm1",{"roles":{"publisher":{}},%b}]'
        % b",".join(b'"%06d":[]' % n for n in range(size // 12)),
        "deep": b'[1,"realm1",{"roles":{"publisher":{}},"x":%b%b}]'
        % (b"[" * (size // 2 - 30), b"]" * (size // 2 - 30)),
        "roles": b'[1,"realm1",{"roles":{%b}}]' % b",".join(b'"%06d":{}' % n for n in range(size // 12)),
        "authmethods": b'[1,"realm1",{"roles":{"publisher":{}},"authmethods":[%b]}]'
        % b",".join([b'"a"'] * (size // 4 - 10)),
        "authid": b'[1,"realm1",{"roles":{"publisher":{}},"authmethods":["wampcra"],"authid":"%b"}]'
        % (b"x" * (size - 100)),
        "authextra": b'[1,"realm1",{"roles":{"publisher":{}},"authid":"a","authextra":{"a":%b}}]'
        % (b"[" + b"[]," * 21_000 + b"[]]"),
        "realm": b'[1,"%b",{"roles":{"publisher":{}}}]' % (b"r." * (size // 2 - 20) + b"x"),
        "token": b'[1,"realm1",{"roles":{"publisher":{}},"resume-session":1,"resume-token":"%b"}]'
        % (b"x" * (size - 100)),
    }
    for name, message in hellos.items():

        @load(f"hello-{name}", f"HELLO of 64 KiB: {name}; 50 x")
        def hello(stage: Stage, message: bytes = message) -> None:
            peers = [stage.connect("rawsocket") for _ in range(50)]
            with stage.measured():
                for peer in peers:
                    peer.send_bytes(peer.frame(message))

    @load("authenticate-large", "AUTHENTICATE with a signature of 64 KiB, 50 x")
    def authenticate(stage: Stage) -> None:
        peers = [stage.connect(path="/cra") for _ in range(50)]
        for peer in peers:
            peer.send_bytes(
                peer.encoded([1, "realm1", {"roles": {"publisher": {}}, "authmethods": ["wampcra"], "authid": "user1"}])
            )
            peer.expect(4)
        with stage.measured():
            for peer in peers:
                peer.send_bytes(peer.encoded([5, "x" * 65_000, {}]))


_login_loads()
