"""The clients of these tests, and what is peculiar to each of them."""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
JS = FOLDER / "js"

AUTOBAHN_PYTHON = "autobahn-python"
AUTOBAHN_JS = "autobahn-js"
WAMPY = "wampy.js"
ROCADE = "rocade"
"""Our own client, which has to do whatever the others can."""


@dataclass(frozen=True)
class Client:
    """A client library, and how it talks.

    Attributes:
        library: which one.
        serializer: "json", "msgpack" or "cbor", with ".batched" behind it where messages travel in batches.
        transport: "websocket", "rawsocket" or "longpoll".
    """

    library: str
    serializer: str
    transport: str = "websocket"

    def __str__(self) -> str:
        return "-".join((self.library, self.serializer, *([] if self.transport == "websocket" else [self.transport])))

    # What a library cannot do, whatever the router: the tests that need it choose among the others.

    @property
    def discloses_itself(self) -> bool:
        """Whether a caller or publisher can ask to be disclosed; autobahn-python has no such option."""
        return self.library != AUTOBAHN_PYTHON

    @property
    def receives_its_own_events(self) -> bool:
        """Whether it can publish to itself; wampy.js does not send `exclude_me: false`."""
        return self.library != WAMPY

    @property
    def can_be_interrupted(self) -> bool:
        """Whether it announces call canceling as a callee; the JavaScript libraries do not."""
        return self.library in (AUTOBAHN_PYTHON, ROCADE)

    @property
    def tells_the_publication(self) -> bool:
        """Whether event handlers learn the publication id; those of wampy.js do not."""
        return self.library != WAMPY

    @property
    def notices_a_lost_connection(self) -> bool:
        """Whether it hears that the router is gone; autobahn-js on RawSocket keeps the half-open connection."""
        return (self.library, self.transport) != (AUTOBAHN_JS, "rawsocket")

    @property
    def large(self) -> int:
        """Bytes that its users may well send in one message; application runners accept 1 MiB with all around it."""
        return (1 << 20) - (1 << 10 if self.serializer.endswith(".batched") else 0)

    def delivered(self, value: Any) -> Any:
        """What a handler of this client gets for a value that somebody sent.

        Binary is binary everywhere, except that the JavaScript libraries leave it in the form that it has in JSON.
        """
        if not self.serializer.startswith("json") or self.library in (AUTOBAHN_PYTHON, ROCADE):
            return value
        if isinstance(value, bytes):
            return "\0" + base64.b64encode(value).decode()
        if isinstance(value, list):
            return [self.delivered(item) for item in value]
        if isinstance(value, dict):
            return {key: self.delivered(item) for key, item in value.items()}
        return value


SERIALIZERS = ("json", "msgpack", "cbor")

CLIENTS = [
    *(Client(AUTOBAHN_PYTHON, serializer) for serializer in SERIALIZERS),
    *(Client(AUTOBAHN_PYTHON, f"{serializer}.batched") for serializer in SERIALIZERS),
    *(Client(AUTOBAHN_PYTHON, serializer, "rawsocket") for serializer in SERIALIZERS),
    *(Client(AUTOBAHN_JS, serializer) for serializer in SERIALIZERS),
    Client(AUTOBAHN_JS, "json", "rawsocket"),  # the only serializer that it has there
    Client(AUTOBAHN_JS, "json", "longpoll"),  # and there
    *(Client(WAMPY, serializer) for serializer in SERIALIZERS),
    *(Client(ROCADE, serializer) for serializer in SERIALIZERS),
    Client(ROCADE, "msgpack", "rawsocket"),
]

COMMANDS: dict[str, Callable[[], list[str | Path]]] = {
    AUTOBAHN_PYTHON: lambda: [sys.executable, FOLDER / "autobahn_python_driver.py"],
    ROCADE: lambda: [sys.executable, FOLDER / "rocade_driver.py"],
    AUTOBAHN_JS: lambda: node(JS / "autobahn_driver.mjs"),
    WAMPY: lambda: node(JS / "wampy_driver.mjs"),
}
"""Library -> what starts its driver."""


def node(program: Path, *arguments: str) -> list[str | Path]:
    """The command that runs a JavaScript program; fails the test if Node.js or its packages are not there."""
    executable = shutil.which("node")
    if executable is None:
        pytest.fail("these tests need Node.js 20 or newer: install it, or let scripts/test do so", pytrace=False)
    for package in ("autobahn", "wampy", "ws"):
        if not (JS / "node_modules" / package / "package.json").exists():
            pytest.fail(
                f"the npm package {package!r} is missing: run `npm ci --ignore-scripts` in tests/interop/js, "
                "or let scripts/test do so",
                pytrace=False,
            )
    return [executable, program, *arguments]
