"""Many small messages at once: others have their turn between them, and nothing is lost or out of order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.net.harness import Echo, client_frame, serving

from rocade.net import reading
from rocade.net.link import Link
from rocade.net.reading import LARGE_READ
from rocade.net.wires import CLOSE, TEXT
from rocade.wamp.framing import frame_message

Run = Callable[[Coroutine[Any, Any, None]], None]

COUNT = 5000


class Counting(Echo):
    """Counts the messages that come in one round of the event loop."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.echoes = False
        self.longest = self._streak = 0

    def message_received(self, data: bytes) -> None:
        super().message_received(data)
        if not self._streak:
            asyncio.get_running_loop().call_soon(self._next_round)
        self._streak += 1
        self.longest = max(self.longest, self._streak)

    def _next_round(self) -> None:
        self._streak = 0


@pytest.mark.parametrize("transport", ["websocket", "rawsocket"])
def test_a_flood_of_small_messages_is_handled_in_turns_and_in_order(
    run: Run, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TURN_SECONDS", 0.0)

    async def main() -> None:
        async with serving() as server:
            receivers: list[Counting] = []

            def connected(link: Link) -> Counting:
                receivers.append(Counting(link))
                return receivers[-1]

            messages = [b"[%d]" % number for number in range(COUNT)]
            if transport == "websocket":
                server.websocket.connected = connected
                client = await server.connect()
                client.upgrade()
                await client.head()
                client.send(b"".join(client_frame(TEXT, message) for message in messages))
                client.frame(CLOSE, b"\x03\xe8")
            else:
                assert server.listener._rawsocket is not None
                server.listener._rawsocket.connected = connected
                client = await server.connect()
                client.send(b"\x7f\xf1\x00\x00" + b"".join(map(frame_message, messages)))
                await client.read(4)
                client.close()
            # The end comes behind all that was sent before it.
            (receiver,) = receivers
            await receiver.lost

            assert receiver.messages == messages
            assert receiver.longest <= LARGE_READ // 5 + 1

    run(main())
