"""Calls and publications that are kept back for a while."""

from __future__ import annotations

import json
from typing import Any

from tests.serve.scene import pass_time, settle

from rocade.net.link import Link, LinkInfo, Receiver
from rocade.net.memory import MemoryClient
from rocade.serve.embedded import EmbeddedRouter
from rocade.serve.hold import HOLD_SECONDS, Hold


class Client:
    """A session in memory, in JSON."""

    def __init__(self, router: EmbeddedRouter, peer: str) -> None:
        def entrance(link: Link) -> Receiver:
            link.info = LinkInfo("memory", peer)
            return router.entrance(link)

        self._client = MemoryClient(entrance)

    async def join(self) -> Client:
        roles = {role: {} for role in ("caller", "callee", "publisher", "subscriber")}
        await self.send(1, "realm1", {"roles": roles})
        assert (await self.receive())[0] == 2
        return self

    async def send(self, *message: Any) -> None:
        await self._client.send(json.dumps(message).encode())

    async def receive(self) -> list[Any]:
        message: list[Any] = json.loads(await self._client.receive())
        return message

    def has_nothing(self) -> bool:
        return not self._client._messages

    def close(self) -> None:
        self._client.close()


async def test_calls_and_events_wait_in_their_order_and_all_else_does_not() -> None:
    hold = Hold("unix:own")
    router = EmbeddedRouter(authorizer=hold)
    callee, caller = await Client(router, "unix:own").join(), await Client(router, "tcp:1").join()
    await callee.send(64, 1, {}, "a.b")
    assert (await callee.receive())[0] == 65
    await callee.send(32, 2, {}, "a.t")
    assert (await callee.receive())[0] == 33

    hold.begin()
    await caller.send(48, 1, {}, "a.b", [1])
    await caller.send(16, 2, {}, "a.t", [2])
    await caller.send(48, 3, {}, "a.b", [3])
    await callee.send(16, 3, {"exclude_me": False}, "a.t", ["own"])
    assert (await callee.receive())[4] == ["own"], "the application's own are not kept waiting"
    await settle()
    assert callee.has_nothing()

    hold.end()
    arrived = [await callee.receive() for _ in range(3)]
    assert [message[-1] for message in arrived] == [[1], [2], [3]]
    for client in (callee, caller):
        client.close()
    await settle()
    await router.stop()


async def test_the_meta_api_answers_meanwhile() -> None:
    hold = Hold("unix:own")
    router = EmbeddedRouter(authorizer=hold)
    caller = await Client(router, "tcp:1").join()

    hold.begin()
    await caller.send(48, 1, {}, "wamp.session.count")

    assert (await caller.receive())[0] == 50
    caller.close()
    await settle()
    await router.stop()


async def test_nothing_waits_longer_than_the_limit() -> None:
    hold = Hold("unix:own")
    router = EmbeddedRouter(authorizer=hold)
    caller = await Client(router, "tcp:1").join()

    hold.begin()
    hold.begin()
    await caller.send(48, 1, {}, "a.b")
    await settle()
    await pass_time(HOLD_SECONDS - 1)
    assert caller.has_nothing()
    await pass_time(1.5)

    assert (await caller.receive())[4] == "wamp.error.no_such_procedure"
    hold.end()
    hold.end()
    caller.close()
    await settle()
    await router.stop()
