"""Seeing what goes over links."""

from __future__ import annotations

from tests.serve.scene import settle

from rocade.net.memory import MemoryClient
from rocade.serve.embedded import EmbeddedRouter
from rocade.serve.tap import Sighting, tapped
from rocade.wamp.codec import MSGPACK, SERIALIZERS


async def test_every_message_is_seen_by_its_name_and_with_its_fields() -> None:
    for serializer in SERIALIZERS.values():
        seen: list[Sighting] = []
        router = EmbeddedRouter(wrap=lambda entrance, seen=seen: tapped(entrance, seen.append))  # type: ignore[misc]
        client = MemoryClient(router.entrance, serializer=serializer)
        await client.send(bytes(serializer.dump([1, "realm1", {"roles": {"caller": {}}}])))
        await client.receive()
        await client.send(bytes(serializer.dump([48, 1, {}, "wamp.session.count"])))
        await client.receive()

        assert [(sighting.link, sighting.direction, sighting.name) for sighting in seen] == [
            (1, "from", "HELLO"),
            (1, "to", "WELCOME"),
            (1, "from", "CALL"),
            (1, "to", "RESULT"),
        ]
        assert seen[3].message[0] == 50
        assert seen[3].message[-1] == [1]
        client.close()
        await settle()
        await router.stop()


async def test_what_is_no_message_is_the_receivers_affair() -> None:
    seen: list[Sighting] = []
    router = EmbeddedRouter(wrap=lambda entrance: tapped(entrance, seen.append))
    client = MemoryClient(router.entrance, serializer=MSGPACK)

    await client.send(b"\xc1")

    assert MSGPACK.load(await client.receive())[0] == 3
    assert [(sighting.direction, sighting.name) for sighting in seen] == [("from", "?"), ("to", "ABORT")]
    client.close()
    await settle()
    await router.stop()
