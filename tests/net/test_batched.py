"""Batched WebSocket subprotocols: what was flushed together travels together, and comes apart again."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.conftest import Run
from tests.net.harness import BINARY, TEXT, Echo, client_frame, serving
from tests.net.test_cutting import CUTS, Moody, Transport, run_plan

from rocade.net import reading
from rocade.net.connection import StreamLink
from rocade.net.packed import BATCH_BYTES, PackedConnection
from rocade.net.surroundings import Surroundings
from rocade.net.websocket import WebSocketOptions
from rocade.net.wires import PACKED_WEBSOCKET
from rocade.wamp.batching import batch, unbatch

JSON = "wamp.2.json.batched"
BINARIES = ["wamp.2.msgpack.batched", "wamp.2.cbor.batched"]


def lengths(*messages: bytes) -> bytes:
    """A binary batch, as the specification has it."""
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


@pytest.mark.parametrize("subprotocol", [JSON, *BINARIES])
def test_the_subprotocol_is_agreed_on(run: Run, subprotocol: str) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await server.connect()
            client.upgrade(sec_websocket_protocol=f"{subprotocol}, wamp.2.json")
            assert f"Sec-WebSocket-Protocol: {subprotocol}\r\n" in (await client.head()).decode()
            link = server.receivers[-1].link
            assert link.info.subprotocol == subprotocol
            assert link.wire is PACKED_WEBSOCKET[subprotocol.split(".")[2]]

    run(main())


def test_the_client_s_order_decides_between_batches_and_single_messages(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            _, receiver = await server.open_websocket(sec_websocket_protocol=f"wamp.2.json, {JSON}")
            assert receiver.link.info.subprotocol == "wamp.2.json"

    run(main())


@pytest.mark.parametrize("separator", [b"\x1e", b"\x18"])
def test_json_messages_come_apart_and_answers_have_the_peer_s_separator(run: Run, separator: bytes) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket(sec_websocket_protocol=JSON)
            client.frame(TEXT, separator.join((b"[1]", b'["\xc3\xa4"]', b"")))
            assert await client.read_frame() == (TEXT, b"[1]" + separator)
            assert await client.read_frame() == (TEXT, b'["\xc3\xa4"]' + separator)
            assert receiver.messages == [b"[1]", b'["\xc3\xa4"]']

    run(main())


def test_the_separator_is_the_specification_s_until_the_peer_has_shown_another(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket(sec_websocket_protocol=JSON)
            receiver.link.write([b"[1]"])
            assert await client.read_frame() == (TEXT, b"[1]\x1e")
            client.frame(TEXT, b"[2]\x18")
            assert await client.read_frame() == (TEXT, b"[2]\x18")

    run(main())


@pytest.mark.parametrize("subprotocol", BINARIES)
def test_binary_messages_come_apart(run: Run, subprotocol: str) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket(sec_websocket_protocol=subprotocol)
            client.frame(BINARY, lengths(b"\x91\x01", b"", b"\x1e\x18"))
            for message in (b"\x91\x01", b"", b"\x1e\x18"):
                assert await client.read_frame() == (BINARY, lengths(message))
            assert receiver.messages == [b"\x91\x01", b"", b"\x1e\x18"]

    run(main())


def test_what_is_written_together_travels_in_one_message(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket(sec_websocket_protocol=JSON)
            receiver.link.write([b"[1]", b"[2]", b"[3]"])
            assert await client.read_frame() == (TEXT, b"[1]\x1e[2]\x1e[3]\x1e")

    run(main())


def test_a_batch_does_not_grow_without_limit(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket(sec_websocket_protocol="wamp.2.cbor.batched")
            huge = b"h" * (3 * BATCH_BYTES)
            messages = [b"a" * 1000] * 100 + [huge] + [b"b"] * 3
            receiver.link.write(messages)
            received: list[bytes] = []
            while len(received) < len(messages):
                _, data = await client.read_frame()
                together = list(unbatch(data, is_binary=True))
                assert len(together) == 1 or sum(map(len, together)) <= BATCH_BYTES
                received += together
            assert received == messages

    run(main())


BROKEN: dict[str, tuple[str, int, bytes]] = {
    "empty JSON": (JSON, TEXT, b""),
    "empty binary": (BINARIES[0], BINARY, b""),
    "JSON without a separator": (JSON, TEXT, b"[1]"),
    "JSON with rubbish behind it": (JSON, TEXT, b"[1]\x1e[2"),
    "a length that is cut off": (BINARIES[0], BINARY, b"\0\0\0"),
    "a message that is cut off": (BINARIES[0], BINARY, lengths(b"abc")[:-1]),
    "binary with rubbish behind it": (BINARIES[1], BINARY, lengths(b"abc") + b"\0"),
    "a length of 4 GiB": (BINARIES[1], BINARY, b"\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("is_paused", [False, True], ids=["at once", "later"])
def test_what_is_no_batch_is_a_protocol_error(run: Run, case: str, is_paused: bool) -> None:
    subprotocol, opcode, data = BROKEN[case]

    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket(sec_websocket_protocol=subprotocol)
            receiver.echoes = False
            if is_paused:
                receiver.link.pause_reading()
                # Read before the pause takes hold, as if they had come together.
                receiver.link.feed(client_frame(opcode, data))  # type: ignore[attr-defined]
                assert not receiver.lost.done()
                receiver.link.resume_reading()
            else:
                client.frame(opcode, data)
            assert await client.read_close() == 1002
            assert "batch" in await receiver.lost
            await server.prove_alive()

    run(main())


def test_messages_before_the_rubbish_are_delivered(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket(sec_websocket_protocol=BINARIES[0])
            client.frame(BINARY, lengths(b"a", b"b") + b"\0")
            assert await receiver.lost
            assert receiver.messages == [b"a", b"b"]

    run(main())


@pytest.mark.parametrize("size", [99, 100])
def test_the_limit_is_that_of_the_whole_batch(run: Run, size: int) -> None:
    async def main() -> None:
        async with serving(websocket={"max_message_bytes": 99}) as server:
            client, _ = await server.open_websocket(sec_websocket_protocol=JSON)
            client.frame(TEXT, b"x" * (size - 1) + b"\x1e")
            if size <= 99:
                assert (await client.read_frame())[0] == TEXT
            else:
                assert await client.read_close() == 1009

    run(main())


def test_a_receiver_that_closes_gets_nothing_more_of_the_batch(run: Run) -> None:
    class Closing(Echo):
        def message_received(self, data: bytes) -> None:
            super().message_received(data)
            self.link.close("enough")

    async def main() -> None:
        async with serving() as server:
            receivers: list[Closing] = []
            server.websocket.connected = lambda link: receivers.append(Closing(link)) or receivers[-1]  # type: ignore
            client = await server.connect()
            client.upgrade(sec_websocket_protocol=JSON)
            await client.head()
            client.frame(TEXT, b"[1]\x1e[2]\x1e")
            assert await client.read_frame() == (TEXT, b"[1]\x1e")
            assert await client.read_close() == 1000
            assert receivers[0].messages == [b"[1]"]

    run(main())


def test_a_long_batch_does_not_hold_the_loop(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "TURN_SECONDS", 0.0)

    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket(sec_websocket_protocol=BINARIES[0])
            receiver.echoes = False
            message = b"m" * 100
            connection: Any = receiver.link
            connection.feed(client_frame(BINARY, lengths(*[message] * 3000)) + client_frame(BINARY, lengths(b"last")))
            assert len(receiver.messages) == 1
            client.frame(BINARY, lengths(b"later"))
            await receiver.until(lambda: receiver.messages[-1:] == [b"later"])
            assert receiver.messages == [message] * 3000 + [b"last", b"later"]

    run(main())


def test_the_peer_s_close_waits_behind_the_rest_of_a_batch(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            client, receiver = await server.open_websocket(sec_websocket_protocol=BINARIES[0])
            receiver.echoes = False
            client.send(client_frame(BINARY, lengths(*[b"m" * 1000] * 200)) + client_frame(8, b"\x03\xe8"))
            assert await client.read_close() == 1000
            assert await receiver.lost == "closed by peer (1000)"
            assert len(receiver.messages) == 200

    run(main())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([0, 1, 100, 30_000, 70_000]), min_size=1, max_size=8), min_size=1, max_size=6),
    CUTS,
    st.lists(st.booleans(), max_size=30),
    st.booleans(),
)
def test_batches_arrive_whole_and_in_order_however_they_are_cut_and_paused(
    batches: list[list[int]], cuts: list[int], moods: list[bool], is_binary: bool
) -> None:
    messages = [
        [bytes((97 + (number + index) % 26,)) * size for index, size in enumerate(sizes)]
        for number, sizes in enumerate(batches)
    ]
    opcode = BINARY if is_binary else TEXT
    stream = b"".join(client_frame(opcode, batch(together, is_binary=is_binary)) for together in messages)

    def start(surroundings: Surroundings, transport: Transport, moods: list[bool]) -> tuple[StreamLink, list[Moody]]:
        receivers: list[Moody] = []
        wire = PACKED_WEBSOCKET["cbor" if is_binary else "json"]
        options = WebSocketOptions(ping_interval=0)
        connection = PackedConnection(surroundings, wire, options, is_batched=True, agreement=None)
        connection.connection_made(transport)  # type: ignore[arg-type]
        connection.begin(lambda link: receivers.append(Moody(link, moods)) or receivers[0])
        return connection, receivers

    received, _ = run_plan(start, stream, cuts, moods)

    assert received == [message for together in messages for message in together]
