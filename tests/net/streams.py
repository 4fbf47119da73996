"""Streams of bytes that are nearly right: frames of WebSocket and RawSocket, requests of HTTP; whole, cut, spoiled."""

from __future__ import annotations

import struct
from typing import NamedTuple

from hypothesis import strategies as st
from tests.net.harness import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

CUTS = st.lists(st.integers(1, 300), min_size=1, max_size=8)
"""Sizes of the pieces in which a stream is sent, in turn."""

MAX_PIECES = 100


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    """A stream in pieces of these sizes; what is behind many of them in one."""
    pieces = []
    while stream:
        if len(pieces) == MAX_PIECES:
            return [*pieces, stream]
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces


@st.composite
def spoiled(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> bytes:
    """A stream of which some bytes are changed, missing, or come from elsewhere."""
    data = bytearray(draw(streams))
    for _ in range(draw(st.integers(0, 4))):
        position = draw(st.integers(0, len(data)))
        how = draw(st.sampled_from(["flip", "drop", "insert", "repeat"]))
        if how == "flip" and position < len(data):
            data[position] ^= 1 << draw(st.integers(0, 7))
        elif how == "drop":
            del data[position : position + draw(st.integers(1, 6))]
        elif how == "insert":
            data[position:position] = draw(st.binary(max_size=8))
        else:
            data[position:position] = data[position : position + draw(st.integers(1, 40))]
    return bytes(data)


# --- WebSocket ----------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """A frame of a client, as it should not be, too."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    is_masked: bool = True

    def encode(self) -> bytes:
        """Its bytes."""
        mask = b"\x37\xfa\x21\x3d"
        first = (0x80 if self.fin else 0) | self.rsv << 4 | self.opcode
        size = len(self.payload)
        flag = 0x80 if self.is_masked else 0
        if size < 126:
            head = bytes((first, flag | size))
        elif size < 65536:
            head = bytes((first, flag | 126)) + struct.pack(">H", size)
        else:
            head = bytes((first, flag | 127)) + struct.pack(">Q", size)
        if not self.is_masked:
            return head + self.payload
        return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(self.payload))


TEXTS = st.sampled_from([b"", b"[1]", b"[" + b"7" * 130 + b"]", '["\u00e9\u20ac\U0001f600"]'.encode(), b"x" * 600])
OTHERS = st.sampled_from([b"\xff", b"\xc3", b"\xe2\x82", b"\xa9", b"y" * 1100, b"\x00" * 200])
CLOSES = st.sampled_from(
    [b"", b"\x03\xe8", b"\x03\xe8bye", b"\x0f\xa0", b"\x03", b"\x03\xed", b"\x00\x00", b"\x03\xe8\xff", b"\xff\xff"]
)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """A frame; more often a right one than a wrong one."""
    kind = draw(st.sampled_from(["data"] * 8 + ["ping", "ping", "pong", "close", "any"]))
    if kind == "any":
        return Frame(
            draw(st.integers(0, 15)),
            draw(TEXTS | OTHERS),
            draw(st.booleans()),
            draw(st.sampled_from([0, 0, 0, 1, 2, 4])),
            draw(st.sampled_from([True, True, True, False])),
        )
    if kind == "data":
        opcode = draw(st.sampled_from([TEXT] * 4 + [BINARY, CONTINUATION, CONTINUATION]))
        return Frame(opcode, draw(st.one_of(TEXTS, TEXTS, TEXTS, OTHERS)), draw(st.sampled_from([True, True, False])))
    if kind == "close":
        return Frame(CLOSE, draw(CLOSES))
    return Frame(PING if kind == "ping" else PONG, draw(st.binary(max_size=20)))


# --- RawSocket ----------------------------------------------------------------------------------------


class RawFrame(NamedTuple):
    """A frame of a client, as it should not be, too."""

    kind: int
    payload: bytes
    x_bit: bool = False
    reserved: int = 0

    def encode(self) -> bytes:
        """Its bytes."""
        word = self.reserved << 28 | self.x_bit << 27 | self.kind << 24 | len(self.payload)
        return struct.pack(">I", word) + self.payload


RAW_PAYLOADS = st.one_of(TEXTS, st.binary(max_size=300), st.just(b"z" * 5000))
RAW_FRAMES = st.one_of(
    st.tuples(st.sampled_from([0, 0, 0, 1, 2]), RAW_PAYLOADS).map(lambda it: RawFrame(*it)),
    st.tuples(st.sampled_from([0, 0, 0, 1, 2]), RAW_PAYLOADS).map(lambda it: RawFrame(*it)),
    st.builds(RawFrame, st.integers(0, 7), TEXTS, st.sampled_from([False, False, True]), st.sampled_from([0, 0, 1, 8])),
)
HANDSHAKES = st.one_of(
    st.sampled_from([b"\x7f\xf1\x00\x00", b"\x7f\x02\x00\x00", b"\x7f\x73\x00\x00"]),
    st.sampled_from([b"\x7f\xf1\x00\x00", b"\x7f\xf0\x00\x00", b"\x7f\xf9\x00\x00", b"\x7f\xf1\x01\x00"]),
    st.binary(min_size=3, max_size=3).map(lambda rest: b"\x7f" + rest),
)


# --- HTTP ---------------------------------------------------------------------------------------------

METHODS = st.sampled_from(["GET", "GET", "POST", "POST", "PUT", "OPTIONS", "DELETE", "get", "G\u00c9T", "BREW", ""])
TARGETS = st.sampled_from(
    [
        "/",
        "/ws",
        "/ws?x=1",
        "/a%20b",
        "/%",
        "*",
        "http://127.0.0.1/ws",
        "//",
        "/\u00e9",
        "",
        "/" + "a" * 900,
        "/#x",
        "ws",
    ]
)
VERSIONS = st.sampled_from(["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/2.0", "HTTP/1.9", "HTTP", "http/1.1", ""])
HEADERS = st.sampled_from(
    [
        "Host: 127.0.0.1",
        "Host: ",
        "Host: evil.example:99999",
        "Connection: keep-alive, Upgrade",
        "Connection: close",
        "Upgrade: websocket",
        "Upgrade: h2c",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Version: 8",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Key: short",
        "Sec-WebSocket-Protocol: wamp.2.json",
        "Sec-WebSocket-Protocol: chat, wamp.2.cbor.batched",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8, ;;=,",
        "Origin: null",
        "Origin: http://localhost:1",
        "Origin: http://[::1",
        "Origin: https://evil.example",
        "Content-Length: 3",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Expect: 100-continue",
        "X-Long: " + "b" * 1500,
        "X-\u00e9: \u00fc",
        " folded",
        "No colon",
        ": no name",
        "Cookie: a=b",
    ]
)
UPGRADE = [
    "Host: 127.0.0.1",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: wamp.2.json",
]
BODIES = st.sampled_from(
    ["", "", "abc", "3\r\nabc\r\n0\r\n\r\n", "ffffffffffffffffff\r\n", "3\r\nabcd\r\n", "0\r\nT: t\r\n\r\n"]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request of HTTP, or what somebody takes for one."""
    headers = draw(st.lists(HEADERS, max_size=5))
    if draw(st.booleans()):
        headers = draw(st.permutations([*UPGRADE, *headers[:2]]))
    line = f"{draw(METHODS)} {draw(TARGETS)} {draw(VERSIONS)}"
    if draw(st.integers(0, 2)):
        line = f"GET {draw(st.sampled_from(['/', '/ws']))} HTTP/1.1"
    return "\r\n".join([line, *headers, "", draw(BODIES)]).encode("latin-1")
