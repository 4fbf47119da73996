"""A node that only sends back what it gets: the worker type websocket-testee. And compression in the file."""

from __future__ import annotations

import asyncio
import re
from copy import deepcopy
from typing import Any

import pytest
from websockets.asyncio.client import connect

from rocade.errors import ConfigurationError
from rocade.net.deflate import DeflateOptions
from rocade.node import settings
from rocade.node.configuration import configuration_from
from rocade.node.worker import Worker

TESTEE: dict[str, Any] = {
    "type": "websocket-testee",
    "transport": {
        "type": "websocket",
        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
        "options": {"compression": {"deflate": {}}},
    },
}


def worker(**changes: Any) -> Worker:
    """A testee whose transport has these keys, too."""
    description = deepcopy(TESTEE)
    description["transport"].update(changes)
    configuration = configuration_from({"version": 2, "workers": [description]}, environment={})
    assert isinstance(configuration.worker, settings.TesteeWorker)
    return Worker(configuration.worker)


def test_a_testee_sends_everything_back() -> None:
    async def main() -> None:
        testee = worker()
        testee.bind()
        await testee.start()
        (line,) = testee.describe()
        found = re.fullmatch(r"WebSocket on (ws://127\.0\.0\.1:\d+/) that sends every message back", line)
        assert found is not None
        async with connect(found[1], proxy=None) as client:
            assert client.protocol.extensions
            for message in ("text" * 100, b"binary" * 100):
                await client.send(message)
                assert await client.recv() == message
        await testee.stop()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"auth": {"anonymous": {"type": "static"}}}, "auth"),
        ({"serializers": ["json"]}, "serializers"),
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"endpoint": {"type": "tcp", "port": 0, "interface": "::1", "version": 4}}, "endpoint.version"),
        ({"options": {"max_frame_size": 10}}, "options.max_frame_size"),
        ({"type": "rawsocket"}, "type"),
    ],
)
def test_what_a_testee_has_no_use_for_is_refused(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        worker(**changes)

    assert caught.value.path == f"workers[0].transport.{path}"


def test_a_testee_whose_port_is_taken_says_where_in_the_file() -> None:
    first = worker(endpoint={"type": "tcp", "interface": "127.0.0.1", "port": 0})
    first.bind()
    port = int(first.describe()[0].split(":")[2].split("/")[0])

    with pytest.raises(ConfigurationError) as caught:
        worker(endpoint={"type": "tcp", "interface": "127.0.0.1", "port": port}).bind()

    first.close_sockets()
    assert caught.value.path == "workers[0].transport.endpoint"


def test_there_is_one_worker_of_either_kind() -> None:
    with pytest.raises(ConfigurationError, match="second worker"):
        configuration_from({"version": 2, "workers": [TESTEE, TESTEE]}, environment={})


@pytest.mark.parametrize(
    ("compression", "expected"),
    [
        ({}, None),
        ({"deflate": {}}, DeflateOptions()),
        (
            {
                "deflate": {
                    "request_no_context_takeover": True,
                    "request_max_window_bits": 11,
                    "no_context_takeover": True,
                    "max_window_bits": 12,
                    "memory_level": 5,
                }
            },
            DeflateOptions(
                request_no_context_takeover=True,
                request_max_window_bits=11,
                no_context_takeover=True,
                max_window_bits=12,
                memory_level=5,
            ),
        ),
    ],
)
def test_the_file_says_how_messages_are_compressed(compression: Any, expected: DeflateOptions | None) -> None:
    testee = worker(options={"compression": compression})

    endpoint = testee._websocket(testee.configuration.transports[0], None, is_secure=False)  # type: ignore[arg-type]

    assert endpoint.options.deflate == expected
