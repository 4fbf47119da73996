"""However a stream of frames is cut, fragmented and paused, the messages in it arrive whole and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.harness import CONTINUATION, PING, TEXT, Echo, client_frame

from rocade.net.connection import StreamLink
from rocade.net.rawsocket import RawSocketConnection, RawSocketEndpoint, RawSocketOptions
from rocade.net.surroundings import Surroundings
from rocade.net.websocket import WebSocketOptions
from rocade.net.websocket_connection import WebSocketConnection
from rocade.net.wires import WEBSOCKET
from rocade.wamp.framing import FrameType, frame_control, frame_message

# Sizes around what makes the parser's buffer grow, count as large, and be replaced.
SIZES = st.sampled_from([0, 1, 100, 125, 126, 1700, 1790, 3000, 28_000, 40_000, 70_000, 200_000])
# A message: the sizes of its fragments, and whether a ping comes behind each.
PLANS = st.lists(st.tuples(st.lists(SIZES, min_size=1, max_size=3), st.booleans()), min_size=1, max_size=12)
CUTS = st.lists(st.integers(min_value=1, max_value=100_000), min_size=1, max_size=12)


class Transport:
    """Takes what a connection writes, and remembers whether it may be read for it."""

    def __init__(self) -> None:
        self.written = b""
        self.is_reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        assert self.is_reading
        self.is_reading = False

    def resume_reading(self) -> None:
        assert not self.is_reading
        self.is_reading = True

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default


class Moody(Echo):
    """Pauses its link at some messages; resumes a little later."""

    def __init__(self, link: Any, moods: list[bool]) -> None:
        super().__init__(link)
        self.moods = moods
        self.echoes = False

    def message_received(self, data: bytes) -> None:
        super().message_received(data)
        if self.moods and self.moods.pop():
            self.link.pause_reading()
            asyncio.get_running_loop().call_soon(self.link.resume_reading)


async def feed(connection: StreamLink, transport: Transport, stream: bytes, cuts: list[int]) -> None:
    """Give a stream to a connection as an event loop would: in pieces, no more than fits, and not while paused."""
    position, number = 0, 0
    while position < len(stream):
        while not transport.is_reading:  # noqa: ASYNC110
            await asyncio.sleep(0)
        room = connection.get_buffer(-1)
        size = min(len(room), cuts[number % len(cuts)], len(stream) - position)
        room[:size] = stream[position : position + size]
        connection.buffer_updated(size)
        position, number = position + size, number + 1
    while not transport.is_reading:  # noqa: ASYNC110
        await asyncio.sleep(0)


def message(number: int, sizes: list[int]) -> list[bytes]:
    return [bytes((97 + (number + index) % 26,)) * size for index, size in enumerate(sizes)]


def run_plan(
    start: Callable[[Surroundings, Transport, list[bool]], tuple[StreamLink, list[Moody]]],
    stream: bytes,
    cuts: list[int],
    moods: list[bool],
) -> tuple[list[bytes], bytes]:
    """What was received and what was written."""

    async def main() -> tuple[list[bytes], bytes]:
        transport = Transport()
        connection, receivers = start(Surroundings(asyncio.get_running_loop()), transport, list(moods))
        await feed(connection, transport, stream, cuts)
        assert not receivers[0].lost.done()
        connection.connection_lost(None)
        return receivers[0].messages, transport.written

    return asyncio.run(main())


@settings(max_examples=60, deadline=None)
@given(PLANS, CUTS, st.lists(st.booleans(), max_size=12))
def test_websocket_messages_survive(plan: list[tuple[list[int], bool]], cuts: list[int], moods: list[bool]) -> None:
    messages = [message(number, sizes) for number, (sizes, _) in enumerate(plan)]
    stream = b""
    for parts, (_, has_ping) in zip(messages, plan, strict=True):
        for index, part in enumerate(parts):
            stream += client_frame(CONTINUATION if index else TEXT, part, fin=index == len(parts) - 1)
            stream += client_frame(PING, b"ping") if has_ping else b""

    def start(surroundings: Surroundings, transport: Transport, moods: list[bool]) -> tuple[StreamLink, list[Moody]]:
        receivers: list[Moody] = []
        connection = WebSocketConnection(surroundings, WEBSOCKET["json"], WebSocketOptions(ping_interval=0))
        connection.connection_made(transport)  # type: ignore[arg-type]
        connection.begin(lambda link: receivers.append(Moody(link, moods)) or receivers[0])
        return connection, receivers

    received, written = run_plan(start, stream, cuts, moods)

    assert received == [b"".join(parts) for parts in messages]
    assert written == b"\x8a\x04ping" * sum(len(sizes) for sizes, has_ping in plan if has_ping)


@settings(max_examples=40, deadline=None)
@given(PLANS, CUTS, st.lists(st.booleans(), max_size=12))
def test_rawsocket_messages_survive(plan: list[tuple[list[int], bool]], cuts: list[int], moods: list[bool]) -> None:
    messages = [b"".join(message(number, sizes)) for number, (sizes, _) in enumerate(plan)]
    stream = b"\x7f\xf1\x00\x00"
    for payload, (_, has_ping) in zip(messages, plan, strict=True):
        stream += bytes(frame_message(payload)) + (frame_control(FrameType.PING, b"ping") if has_ping else b"")

    def start(surroundings: Surroundings, transport: Transport, moods: list[bool]) -> tuple[StreamLink, list[Moody]]:
        receivers: list[Moody] = []
        endpoint = RawSocketEndpoint(
            RawSocketOptions(), lambda link: receivers.append(Moody(link, moods)) or receivers[0]
        )
        connection = RawSocketConnection(surroundings, endpoint)
        connection.connection_made(transport)  # type: ignore[arg-type]
        return connection, receivers

    received, written = run_plan(start, stream, cuts, moods)

    assert received == messages
    assert written == b"\x7f\xf1\x00\x00" + b"\x02\x00\x00\x04ping" * sum(has_ping for _, has_ping in plan)
