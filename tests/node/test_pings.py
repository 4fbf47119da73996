"""Pings of RawSocket connections, as the configuration file has them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.conformance.waiting import TIMEOUT

from rocade.errors import ConfigurationError
from rocade.node import settings
from rocade.node.configuration import configuration_from
from rocade.node.worker import Worker

PING = b"\x01\x00\x00\x00"
PONG = b"\x02\x00\x00\x00"
HELLO = b"\x7f\xf1\x00\x00"


def worker(options: dict[str, Any]) -> Worker:
    """A router whose only transport is a RawSocket with these options."""
    transport = {
        "type": "rawsocket",
        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
        "options": options,
    }
    realm = {"name": "realm1", "roles": [{"name": "anonymous", "permissions": []}]}
    description = {"type": "router", "realms": [realm], "transports": [transport]}
    configuration = configuration_from({"version": 2, "workers": [description]}, environment={})
    assert isinstance(configuration.worker, settings.RouterWorker)
    return Worker(configuration.worker)


async def connect(router: Worker) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection with its handshake done."""
    (line,) = router.describe()
    port = int(line.partition("127.0.0.1:")[2].partition(" ")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HELLO)
    assert (await reader.readexactly(4))[0] == 0x7F
    return reader, writer


def test_a_peer_that_answers_stays_and_one_that_does_not_is_dropped() -> None:
    async def main() -> None:
        router = worker({"auto_ping_interval": 1000, "auto_ping_timeout": 1000})
        router.bind()
        await router.start()
        (alive, alive_writer), (dead, dead_writer) = await connect(router), await connect(router)

        async with asyncio.timeout(TIMEOUT):
            assert await dead.readexactly(4) == PING
            assert await alive.readexactly(4) == PING
            alive_writer.write(PONG)
            assert await dead.read() == b""
            assert await alive.readexactly(4) == PING

        alive_writer.close()
        dead_writer.close()
        await router.stop()

    asyncio.run(main())


def test_nobody_is_pinged_who_did_not_ask_for_it() -> None:
    options = worker({}).configuration.transports[0].rawsocket_service
    assert options is not None
    assert options.options.ping_interval is None


def test_pings_more_often_than_every_second_are_a_mistake() -> None:
    with pytest.raises(ConfigurationError) as caught:
        worker({"auto_ping_interval": 30})

    assert caught.value.path == "workers[0].transports[0].options.auto_ping_interval"
    assert "is in milliseconds" in caught.value.message
