"""What must be refused, and what only looks as if it must."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.carriers import MemoryCarrier
from tests.conformance.peer import Peer
from tests.conformance.router import EVERYTHING
from tests.conformance.waiting import TIMEOUT
from tests.hostile.process import RouterProcess
from tests.hostile.wire import (
    BINARY,
    CLOSE,
    HELLO,
    PING,
    PONG,
    TEXT,
    Client,
    Line,
    encode,
    frame,
    packet,
    upgrade_request,
)

from rocade.net.listener import Listener
from rocade.net.rawsocket import RawSocketEndpoint, RawSocketOptions
from rocade.net.sockets import bind_tcp
from rocade.net.websocket import WebSocketEndpoint, WebSocketOptions
from rocade.router.permissions import Role
from rocade.serve import connection
from rocade.serve.authentication import Anonymous
from rocade.serve.gateway import Gateway
from rocade.wamp.codec import JSON
from rocade.wamp.messages import Invocation, Result

MEGABYTE = 1 << 20
TOPIC = "com.hostile.topic"
"""The witness is subscribed to it."""

SERIALIZERS = pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
TRANSPORTS = pytest.mark.parametrize("transport", ["websocket", "rawsocket"])


# --- no HTTP, or too much of it --------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"HELO mail.example.com\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        bytes.fromhex("16 03 01 02 00 01 00 01 fc 03 03") + b"\x2a" * 512,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["mail", "zeros", "TLS", "no path", "odd version", "no colon", "HTTP2", "negative length", "two lengths"],
)
def test_what_is_not_http_is_answered_with_400(port: int, data: bytes) -> None:
    with Line(port) as line:
        line.send(data)

        assert line.refusal() == 400


@pytest.mark.parametrize(
    "part", [b"x" * MEGABYTE, b"X-Header: value\r\n" * 60_000], ids=["one long header", "many short headers"]
)
def test_a_head_of_50_megabytes_is_refused_early(router: RouterProcess, port: int, part: bytes) -> None:
    before = router.rss()
    with Line(port) as line:
        line.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ")

        line.flood(part, 50)

        rest = line.receive_rest()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 431 ")
    assert router.rss() - before < 16 * MEGABYTE


def test_a_head_that_is_a_little_too_long_is_answered_with_431(port: int) -> None:
    with Line(port) as line:
        line.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 70_000 + b"\r\n\r\n")

        assert line.refusal() == 431


def test_a_url_of_10_megabytes_is_refused_early(router: RouterProcess, port: int) -> None:
    before = router.rss()
    with Line(port) as line:
        line.send(b"GET /")

        line.flood(b"x" * MEGABYTE, 10)

        rest = line.receive_rest()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 431 ")
    assert router.rss() - before < 16 * MEGABYTE


def test_empty_lines_without_end_are_refused(port: int) -> None:
    with Line(port) as line:
        line.flood(b"\r\n" * 50_000, 20)

        rest = line.receive_rest()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 4")


# --- upgrades --------------------------------------------------------------------------------------


def test_a_plain_upgrade_request_is_accepted(port: int) -> None:
    with Line(port) as line:
        line.send(upgrade_request())

        assert line.response()[0] == 101


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (upgrade_request(version="1.0"), 505),
        (upgrade_request(path="/nowhere"), 404),
        (upgrade_request(sec_websocket_protocol="mqtt"), 400),
        (upgrade_request(sec_websocket_protocol="wamp.2.smoke-signals"), 400),
        (upgrade_request(sec_websocket_protocol=None), 400),
        (upgrade_request(sec_websocket_version="8"), 426),
        (upgrade_request(sec_websocket_version=None), 400),
        (upgrade_request(sec_websocket_key=None), 400),
        (upgrade_request(sec_websocket_key="short"), 400),
        (upgrade_request(host=None), 400),
        (upgrade_request(content_length="5") + b"hello", 400),
        (upgrade_request().replace(b"GET", b"POST"), 400),
    ],
    ids=[
        "HTTP/1.0",
        "another path",
        "a foreign subprotocol",
        "an unknown serializer",
        "no subprotocol",
        "an old version",
        "no version",
        "no key",
        "a short key",
        "no host",
        "a body",
        "POST",
    ],
)
def test_an_upgrade_that_cannot_be_is_refused(port: int, request_: bytes, status: int) -> None:
    with Line(port) as line:
        line.send(request_)

        assert line.refusal() == status


def test_an_upgrade_behind_an_unfinished_request_is_refused(port: int) -> None:
    with Line(port) as line:
        line.send(b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", upgrade_request())

        assert line.response()[0] == 426
        assert b"101 Switching" not in line.receive_rest()


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "http://localhost",
        "http://localhost:3000",
        "https://localhost:8443",
        "http://127.0.0.1:5173",
        "http://127.1.2.3",
        "http://[::1]:8080",
    ],
)
def test_programs_and_pages_of_this_machine_may_connect(port: int, origin: str | None) -> None:
    with Line(port) as line:
        line.send(upgrade_request(origin=origin))

        assert line.response()[0] == 101


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "http://localhost.evil.com",
        "http://127.0.0.1.evil.com",
        "http://evil.com/localhost",
        "http://localhost@evil.com",
        "http://evillocalhost",
        "http://[::2]",
        "null",
        "file://",
        "",
        "localhost",
        "chrome-extension://localhost",
        "http://",
        "http://localhost:99999999",
        "http://loc\u00e4lhost",
    ],
)
def test_pages_from_elsewhere_may_not_connect(port: int, origin: str) -> None:
    with Line(port) as line:
        line.send(upgrade_request(origin=origin))

        assert line.refusal() == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1"])
def test_this_machine_may_be_called_by_its_loopback_names(port: int, host: str) -> None:
    with Line(port) as line:
        line.send(upgrade_request(host=host))

        assert line.response()[0] == 101


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("rebound.evil.com", "http://rebound.evil.com"),
        ("rebound.evil.com:8080", "http://rebound.evil.com:8080"),
        ("localhost.evil.com", "http://localhost"),
        ("127.0.0.1.evil.com", None),
        ("evil.com", None),
        ("", None),
        ("localhost:8080@evil.com", None),
    ],
)
def test_a_page_that_has_bound_its_own_name_to_this_machine_may_not_connect(
    port: int, host: str, origin: str | None
) -> None:
    with Line(port) as line:
        line.send(upgrade_request(host=host, origin=origin))

        assert line.refusal() in (400, 403)


def test_firefox_may_keep_alive_and_upgrade(port: int) -> None:
    with Line(port) as line:
        line.send(upgrade_request(connection="keep-alive, Upgrade"))

        assert line.response()[0] == 101
        line.send(frame(TEXT, encode("json", HELLO)))
        assert line.receive_frame()[1].startswith(b"[2,")


@pytest.mark.parametrize("pieces", [1, 7, 1000], ids=["whole", "in 7 pieces", "byte by byte"])
def test_frames_behind_the_upgrade_are_not_lost(port: int, pieces: int) -> None:
    with Line(port) as line:
        data = upgrade_request() + frame(TEXT, encode("json", HELLO)) + frame(PING, b"and this")
        size = max(1, len(data) // pieces)

        for start in range(0, len(data), size):
            line.send(data[start : start + size])

        assert line.response()[0] == 101
        frames = [line.receive_frame() for _ in range(2)]
        assert {opcode for opcode, _ in frames} == {TEXT, PONG}


# --- WebSocket frames ------------------------------------------------------------------------------


def test_what_precedes_a_ping_at_the_end_of_a_segment_goes_out(port: int) -> None:
    with Client(port, "websocket", "json") as client:
        client.join()
        publish = client.framed(encode("json", [16, 1, {"acknowledge": True}, "com.example.topic"]))

        client.line.send(publish, frame(PING, b"last"))

        frames = [client.line.receive_frame() for _ in range(2)]
        assert (PONG, b"last") in frames
        assert any(opcode == TEXT and payload.startswith(b"[17,1,") for opcode, payload in frames)


@pytest.mark.parametrize("payload", [b"", b"x" * 125, bytes(range(100))], ids=["empty", "longest", "binary"])
def test_a_pong_has_the_payload_of_its_ping(port: int, payload: bytes) -> None:
    with Line(port) as line:
        line.open_websocket()

        line.send(frame(PING, payload))

        assert line.receive_frame() == (PONG, payload)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"[]", masked=False), 1002),
        (frame(PING, b"", fin=False), 1002),
        (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(TEXT, b"[]", rsv=4), 1002),
        (frame(TEXT, b"[]", rsv=2), 1002),
        (frame(PING, b"", rsv=1), 1002),
        (frame(3, b""), 1002),
        (frame(11, b""), 1002),
        (frame(0, b"[]"), 1002),
        (frame(TEXT, b"[", fin=False) + frame(TEXT, b"]"), 1002),
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"[\xe2\x82", fin=False) + frame(0, b"\xff]"), 1007),
        (frame(BINARY, b"[]"), 1003),
        (frame(TEXT, b"", length=1 << 62), 1009),
        (frame(TEXT, b"", length=17 * MEGABYTE), 1009),
        (frame(CLOSE, b"\x00"), 1002),
        (frame(CLOSE, b"\x03\xee"), 1002),
        (frame(CLOSE, b"\x00\x00"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    ],
    ids=[
        "unmasked",
        "fragmented ping",
        "fragmented close",
        "long ping",
        "RSV1",
        "RSV2",
        "RSV3 on a ping",
        "reserved data opcode",
        "reserved control opcode",
        "continuation of nothing",
        "message within a message",
        "no UTF-8",
        "surrogate",
        "no UTF-8 across fragments",
        "binary for JSON",
        "an enormous frame",
        "a frame that is too long",
        "half a close code",
        "a close code that must not be sent",
        "close code 0",
        "a close reason that is no UTF-8",
    ],
)
def test_frames_that_break_the_protocol_close_the_connection(port: int, data: bytes, code: int) -> None:
    with Line(port) as line:
        line.open_websocket()

        line.send(data)

        line.expect_close(code)


def test_a_message_that_is_too_long_only_as_a_whole_is_refused(router: RouterProcess, port: int) -> None:
    before = router.rss()
    with Line(port) as line:
        line.open_websocket()
        piece = frame(0, b"x" * MEGABYTE, fin=False)

        line.send(frame(TEXT, b"[", fin=False))
        line.flood(piece, 17)

        line.expect_close(1009)
    assert router.rss() - before < 64 * MEGABYTE


def test_an_empty_close_is_answered_with_an_empty_close(port: int) -> None:
    with Line(port) as line:
        line.open_websocket()

        line.send(frame(CLOSE))

        assert line.receive_frame() == (CLOSE, b"")
        assert line.receive_rest() == b""


def test_frames_after_close_are_ignored(port: int) -> None:
    with Line(port) as line:
        line.open_websocket()

        line.send(frame(CLOSE, b"\x03\xe8"), frame(TEXT, encode("json", HELLO)), frame(CLOSE, b"\x03\xe9"))

        assert line.receive_frame() == (CLOSE, b"\x03\xe8")
        assert line.receive_rest() == b""


def test_many_empty_fragments_are_one_message(port: int) -> None:
    with Client(port, "websocket", "json") as client:
        hello = encode("json", HELLO)

        client.line.send(frame(TEXT, hello[:1], fin=False))
        client.line.flood(frame(0, b"", fin=False) * 10_000, 10)
        client.line.send(frame(0, hello[1:]))

        assert client.receive()[0] == 2


# --- RawSocket -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "error"),
    [("7f f0 00 00", 1), ("7f f4 00 00", 1), ("7f ff 00 00", 1), ("7f f1 00 01", 3), ("7f f1 80 00", 3)],
    ids=["no serializer", "UBJSON", "an unassigned serializer", "a reserved bit", "another reserved bit"],
)
def test_a_rawsocket_handshake_that_cannot_be_is_refused_with_its_error(port: int, request_: str, error: int) -> None:
    with Line(port) as line:
        line.send(bytes.fromhex(request_))

        assert line.receive_rest() == bytes((0x7F, error << 4, 0, 0))


@pytest.mark.parametrize(
    "header",
    ["10 00 00 00", "80 00 00 01", "03 00 00 00", "07 00 00 01", "08 00 00 01", "0b 00 00 00"],
    ids=["reserved bit", "upper reserved bit", "type 3", "type 7", "X bit with a length", "X bit of type 3"],
)
def test_rawsocket_frames_that_break_the_protocol_end_the_connection(port: int, header: str) -> None:
    with Line(port) as line:
        line.open_rawsocket()

        line.send(bytes.fromhex(header))

        assert line.receive_rest() == b""


def test_an_empty_rawsocket_message_is_a_protocol_error(port: int) -> None:
    with Client(port, "rawsocket", "json") as client:
        client.send_bytes(b"")

        client.expect_abort()


def test_a_rawsocket_that_is_closed_within_a_frame_harms_nobody(port: int) -> None:
    with Line(port) as line:
        line.open_rawsocket()

        line.send(packet(encode("json", HELLO))[:-5])


# --- messages --------------------------------------------------------------------------------------


@TRANSPORTS
@SERIALIZERS
@pytest.mark.parametrize(
    "message",
    [
        [16, 1, {}, TOPIC],
        [1, "realm1", {}],
        [1, 5, {"roles": {"caller": {}}}],
        [1],
        [],
        {},
        "hello",
        [2, 1, {}],
        [99, 1],
    ],
    ids=repr,
)
def test_a_first_message_that_is_no_hello_ends_the_connection(
    port: int, transport: str, serializer: str, message: Any
) -> None:
    with Client(port, transport, serializer) as client:
        client.send(message)

        client.expect_abort()


@TRANSPORTS
@SERIALIZERS
@pytest.mark.parametrize(
    "message",
    [
        HELLO,
        [16, 1, {}, 5],
        [16, "1", {}, TOPIC],
        [16, 0, {}, TOPIC],
        [16, 2**53 + 1, {}, TOPIC],
        [16, 2**64 - 1, {}, TOPIC],
        [16, -1, {}, TOPIC],
        [16, 1.5, {}, TOPIC],
        [34, 1, 0],
        [66, 1, 2**53 + 1],
        [70, 2**63, {}],
        [16, 1, {"exclude": [0]}, TOPIC],
        [16, 1, {}, TOPIC, "text"],
        [16, 1, {}, TOPIC, [], 5],
        [16, 1, {}],
        [36, 1, 1, {}],
    ],
    ids=repr,
)
def test_a_message_that_makes_no_sense_ends_the_session(
    port: int, transport: str, serializer: str, message: Any
) -> None:
    with Client(port, transport, serializer) as client:
        client.join()

        client.send(message)

        client.expect_abort()


def publication(serializer: str, args: bytes, kwargs: bytes = b"") -> bytes:
    """PUBLISH with a payload that is serialized already."""
    head = encode(serializer, [16, 1, {}, TOPIC])
    count = 6 if kwargs else 5
    if serializer == "json":
        return head[:-1] + b"," + args + (b"," + kwargs if kwargs else b"") + b"]"
    return bytes(((0x90 if serializer == "msgpack" else 0x80) + count,)) + head[1:] + args + kwargs


NOT_UTF8 = {
    "json": [b'["\xff"]', b'[{"a":["\xc3\x28"]}]', b'["\xed\xa0\x80"]'],
    "msgpack": [b"\x91\xa1\xff", b"\x91\x81\xa1a\x91\xa2\xc3\x28", b"\x91\xa3\xed\xa0\x80", b"\x91\x81\xa1\xff\x01"],
    "cbor": [b"\x81\x61\xff", b"\x81\xa1\x61a\x81\x62\xc3\x28", b"\x81\x63\xed\xa0\x80", b"\x81\xa1\x61\xff\x01"],
}


@TRANSPORTS
@SERIALIZERS
def test_strings_that_are_not_utf8_do_not_reach_anybody(port: int, transport: str, serializer: str) -> None:
    for args in NOT_UTF8[serializer]:
        with Client(port, transport, serializer) as client:
            client.join()

            client.send_bytes(publication(serializer, args))

            if (transport, serializer) == ("websocket", "json"):
                client.line.expect_close(1007)
            else:
                client.expect_abort()


@TRANSPORTS
@pytest.mark.parametrize(
    ("serializer", "kwargs"),
    [
        ("json", b'{"\xff":1}'),
        ("msgpack", b"\x81\xa1\xff\x01"),
        ("msgpack", b"\x81\x01\x01"),
        ("cbor", b"\xa1\x61\xff\x01"),
        ("cbor", b"\xa1\x01\x01"),
    ],
)
def test_keywords_that_are_no_strings_do_not_reach_anybody(
    port: int, transport: str, serializer: str, kwargs: bytes
) -> None:
    with Client(port, transport, serializer) as client:
        client.join()

        client.send_bytes(publication(serializer, encode(serializer, []), kwargs))

        if (transport, serializer) == ("websocket", "json"):
            client.line.expect_close(1007)
        else:
            client.expect_abort()


DEEP = 100_000
NESTED = {
    "json": b"[" * DEEP + b"]" * DEEP,
    "json objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "msgpack": b"\x91" * DEEP + b"\x90",
    "msgpack objects": b"\x81\xa1a" * DEEP + b"\x80",
    "cbor": b"\x81" * DEEP + b"\x80",
    "cbor objects": b"\xa1\x61a" * DEEP + b"\xa0",
    "cbor indefinite": b"\x9f" * DEEP + b"\xff" * DEEP,
    "cbor tags": b"\xc1" * DEEP + b"\x01",
}


@TRANSPORTS
@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("place", ["message", "args", "within args", "options", "details of hello"])
def test_nesting_without_end_is_refused(port: int, transport: str, kind: str, place: str) -> None:
    serializer = kind.split()[0]
    nested = NESTED[kind]
    with Client(port, transport, serializer) as client:
        if place != "details of hello":
            client.join()

        if place == "message":
            client.send_bytes(nested)
        elif place == "args":
            client.send_bytes(publication(serializer, nested))
        elif place == "within args":
            outer = {"json": b"[%s]", "msgpack": b"\x91%s", "cbor": b"\x81%s"}[serializer]
            client.send_bytes(publication(serializer, outer % nested))
        else:
            code = 16 if place == "options" else 1
            elements = [encode(serializer, 1 if code == 16 else "realm1"), with_key(serializer, "_x", nested)]
            elements += [encode(serializer, TOPIC)] if code == 16 else []
            client.send_bytes(array(serializer, [encode(serializer, code), *elements]))

        client.expect_abort()


def array(serializer: str, elements: list[bytes]) -> bytes:
    """An array of values that are serialized already."""
    if serializer == "json":
        return b"[" + b",".join(elements) + b"]"
    return bytes(((0x90 if serializer == "msgpack" else 0x80) + len(elements),)) + b"".join(elements)


def with_key(serializer: str, key: str, value: bytes) -> bytes:
    """A dictionary of one key and a value that is serialized already, and of roles."""
    roles = encode(serializer, {"caller": {}})
    if serializer == "json":
        return b'{"roles":' + roles + b',"' + key.encode() + b'":' + value + b"}"
    head = b"\x82" if serializer == "msgpack" else b"\xa2"
    return head + encode(serializer, "roles") + roles + encode(serializer, key) + value


@TRANSPORTS
@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"nan", b"01", b"'a'", b"undefined", b"[1,]"])
def test_what_json_does_not_have_is_refused(port: int, transport: str, value: bytes) -> None:
    with Client(port, transport, "json") as client:
        client.join()

        client.send_bytes(publication("json", b"[" + value + b"]"))

        client.expect_abort()


@TRANSPORTS
def test_nan_does_not_reach_a_json_peer(port: int, transport: str) -> None:
    topic = "com.example.numbers"
    with Client(port, transport, "json") as subscriber, Client(port, transport, "msgpack") as publisher:
        subscriber.join()
        subscriber.send([32, 1, {}, topic])
        subscriber.receive()
        publisher.join()

        publisher.send([16, 1, {}, topic, [float("nan"), float("inf")]])

        assert subscriber.receive()[4] == [None, None]


@TRANSPORTS
@SERIALIZERS
def test_a_message_that_ends_too_early_or_too_late_is_refused(port: int, transport: str, serializer: str) -> None:
    whole = encode(serializer, [16, 1, {}, TOPIC, ["payload"]])
    for data in (whole[:-1], whole[: len(whole) // 2], whole + whole, whole + b"\0"):
        with Client(port, transport, serializer) as client:
            client.join()

            client.send_bytes(data)

            client.expect_abort()


@pytest.mark.parametrize(
    "args",
    [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x91\xdb\xff\xff\xff\xff", b"\x91\xc6\xff\xff\xff\xff"],
    ids=["list", "map", "string", "binary"],
)
def test_a_messagepack_value_that_claims_to_be_enormous_costs_nothing(
    router: RouterProcess, port: int, args: bytes
) -> None:
    before = router.rss()
    with Client(port, "rawsocket", "msgpack") as client:
        client.join()

        client.send_bytes(publication("msgpack", args))

        client.expect_abort()
    assert router.rss() - before < 16 * MEGABYTE


@pytest.mark.parametrize(
    "args",
    [
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x9a\xff\xff\xff\xff",
        b"\x81\x5b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x81\x7b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x81\xbb\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x81\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01",
    ],
    ids=["list", "shorter list", "binary", "string", "map", "decimal fraction"],
)
def test_a_cbor_value_that_claims_to_be_enormous_costs_nothing(router: RouterProcess, port: int, args: bytes) -> None:
    before = router.rss()
    with Client(port, "rawsocket", "cbor") as client:
        client.join()

        client.send_bytes(publication("cbor", args).replace(TOPIC.encode(), b"com.exampl1.topic"))

        client.send([48, 2, {}, "com.nowhere"])
        assert client.receive()[0] in (3, 8)
    assert router.rss() - before < 16 * MEGABYTE


# --- limits of a configuration ---------------------------------------------------------------------


def test_the_longest_message_is_what_the_configuration_says(tmp_path: Path) -> None:
    limited = {"max_message_size": 1024}
    configuration = {
        "version": 2,
        "workers": [
            {
                "type": "router",
                "realms": [{"name": "realm1", "roles": [{"name": "anonymous", "allow-by-default": True}]}],
                "transports": [
                    {
                        "type": "universal",
                        "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
                        "rawsocket": {"options": limited},
                        "websocket": {"ws": {"type": "websocket", "options": limited}},
                    }
                ],
            }
        ],
    }
    file = tmp_path / "config.json"
    file.write_text(json.dumps(configuration))
    with RouterProcess("--config", str(file)) as router:
        with Line(router.port) as line:
            line.send(b"\x7f\xf1\x00\x00")
            assert line.receive(4) == b"\x7f\x11\x00\x00", "1024 is 2 to the 9 + 1"
            line.send((1025).to_bytes(4, "big"))
            assert line.receive_rest() == b""
        for data in (
            frame(TEXT, b"", length=1025),
            frame(TEXT, b"x" * 600, fin=False) + frame(0, b"x" * 600),
        ):
            with Line(router.port) as line:
                line.open_websocket()
                line.send(data)
                line.expect_close(1009)
        for transport in ("websocket", "rawsocket"):
            with Client(router.port, transport, "json") as client:
                client.join()
                client.send([16, 1, {"acknowledge": True}, "com.example.topic", ["x" * 900]])
                assert client.receive()[0] == 17


# --- those who never finish ------------------------------------------------------------------------


MOMENT = 0.15
"""Seconds."""


class ImpatientRouter:
    """A router in this process that waits only a moment, and a witness that it serves others meanwhile."""

    def __init__(self, *, moment: float = MOMENT, max_connections: int = 0) -> None:
        self.gateway = Gateway()
        self.gateway.add_realm("realm1", [Role("anonymous", [EVERYTHING])])
        entrance = self.gateway.entrance({"anonymous": Anonymous("anonymous")})
        # Within the process, where nothing has to hurry.
        self.witness = Peer(MemoryCarrier(entrance, JSON), JSON)
        options = RawSocketOptions(handshake_timeout=moment, max_connections=max_connections)
        self.listener = Listener(
            None,
            websockets={"/ws": WebSocketEndpoint(WebSocketOptions(close_timeout=MOMENT), entrance)},
            rawsocket=RawSocketEndpoint(options, entrance),
            head_timeout=moment,
            shutdown_timeout=1.0,
        )
        self.port = 0

    async def __aenter__(self) -> ImpatientRouter:
        sock = bind_tcp("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        await self.listener.start(sock)
        await self.witness.join("realm1")
        await self.witness.register("com.witness.alive")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.shutdown(0.1)
        await self.listener.stop()

    async def everything_after(self, *parts: bytes, drop_by_drop: bytes = b"") -> bytes:
        """All that comes on a connection that sends this and then nothing, or the same byte for ever.

        The witness must be served afterwards.
        """
        data = await self._everything_after(parts, drop_by_drop)
        await self.witness.call("com.witness.alive", "still there?")
        await self.witness.yield_(await self.witness.expect(Invocation), "yes")
        assert (await self.witness.expect(Result)).args == ["yes"]
        return data

    async def _everything_after(self, parts: tuple[bytes, ...], drop_by_drop: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(TIMEOUT):
                writer.write(b"".join(parts))
                rest = asyncio.ensure_future(read_all(reader))
                while drop_by_drop and not rest.done():
                    writer.write(drop_by_drop)
                    await asyncio.wait([rest], timeout=0.01)
                return await rest
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except ConnectionError:
                pass


async def read_all(reader: asyncio.StreamReader) -> bytes:
    data = b""
    try:
        while piece := await reader.read(65536):
            data += piece
    except ConnectionError:
        pass
    return data


@pytest.mark.parametrize("start", [b"", b"GET /ws", b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n"], ids=repr)
@pytest.mark.parametrize("is_dripping", [False, True], ids=["silent", "dripping"])
def test_who_never_finishes_the_head_of_a_request_is_told_so_and_dropped(start: bytes, is_dripping: bool) -> None:
    async def main() -> bytes:
        async with ImpatientRouter() as router:
            return await router.everything_after(start, drop_by_drop=b"x" if is_dripping else b"")

    assert asyncio.run(main()).startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 "))


@pytest.mark.parametrize("start", [b"\x7f", b"\x7f\xf1\x00"], ids=["1 byte", "3 bytes"])
def test_who_never_finishes_a_rawsocket_handshake_is_dropped(start: bytes) -> None:
    async def main() -> bytes:
        async with ImpatientRouter() as router:
            return await router.everything_after(start)

    assert asyncio.run(main()) == b""


@pytest.mark.parametrize("transport", ["websocket", "rawsocket"])
@pytest.mark.parametrize("is_dripping", [False, True], ids=["silent", "dripping"])
def test_who_never_says_hello_is_told_so_and_dropped(
    monkeypatch: pytest.MonkeyPatch, transport: str, is_dripping: bool
) -> None:
    monkeypatch.setattr(connection, "HELLO_TIMEOUT", MOMENT)
    opening = upgrade_request() if transport == "websocket" else b"\x7f\xf1\x00\x00"
    drop = frame(PING, b"") if transport == "websocket" else packet(b"", kind=1)

    async def main() -> bytes:
        async with ImpatientRouter(moment=TIMEOUT) as router:
            return await router.everything_after(opening, drop_by_drop=drop if is_dripping else b"")

    assert b"wamp.error.protocol_violation" in asyncio.run(main())


def test_more_rawsocket_connections_than_allowed_are_refused_with_their_error() -> None:
    async def main() -> tuple[bytes, bytes]:
        async with ImpatientRouter(moment=TIMEOUT, max_connections=1) as router:
            reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
            writer.write(b"\x7f\xf1\x00\x00")
            accepted = await reader.readexactly(4)
            refused = await router.everything_after(b"\x7f\xf1\x00\x00")
            writer.close()
            await writer.wait_closed()
            return accepted, refused

    accepted, refused = asyncio.run(main())

    assert accepted == b"\x7f\xf1\x00\x00"
    assert refused == b"\x7f\x40\x00\x00"
