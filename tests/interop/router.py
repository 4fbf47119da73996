"""A router process for these tests: `rocade start` on a free port."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PATIENCE_S = 20.0
"""Seconds after which something that ought to happen has not happened."""

OLD_CLIENTS = "old_clients"
"""A realm that accepts request ids in any order, as some old clients draw them."""
DISCLOSING = "disclosing"
"""A realm whose configuration discloses callers and publishers whether or not they ask for it."""
NOBODY = "nobody"
"""A realm that lets everybody in and allows nothing."""

_READY = re.compile(r"wss?://127\.0\.0\.1:(\d+)/ws.*\bready\b", re.DOTALL)


class Router:
    """`rocade start --port 0`, or with a configuration file.

    Attributes:
        port: where it listens.
        log: what it writes.
    """

    def __init__(self, log: Path, *arguments: str) -> None:
        """Start the process and wait until it says that it is ready.

        Args:
            log: file for what it writes.
            arguments: for `rocade start`.
        """
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rocade", "start", *(arguments or ("--port", "0"))],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.port = int(self._wait_until_ready()[1])

    @property
    def url(self) -> str:
        """Where WebSocket clients connect."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def stop(self) -> int:
        """Let it end in an orderly way; returns its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the router did not stop:\n{self.log.read_text()}") from None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        self._process.kill()
        self._process.wait()

    def _wait_until_ready(self) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            text = self.log.read_text()
            if ready := _READY.search(text):
                return ready
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the router did not start:\n{text}")
            time.sleep(0.02)


def configuration() -> dict[str, Any]:
    """One port with the realms that these tests need."""
    return {
        "version": 2,
        "workers": [
            {
                "type": "router",
                "realms": [
                    _realm("realm1"),
                    _realm(DISCLOSING, disclose={"caller": True, "publisher": True}),
                    _realm(NOBODY, allowed=False),
                    _realm(OLD_CLIENTS) | {"options": {"request_ids": "any"}},
                ],
                "transports": [
                    {
                        "type": "universal",
                        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
                        "rawsocket": {},
                        "websocket": {"ws": {"type": "websocket"}},
                        "web": {"paths": {"lp": {"type": "longpoll"}}},
                    }
                ],
            }
        ],
    }


def write_configuration(file: Path) -> Path:
    """Write the configuration to a file."""
    file.write_text(json.dumps(configuration(), indent=2), encoding="utf-8")
    return file


def _realm(name: str, *, allowed: bool = True, disclose: dict[str, bool] | None = None) -> dict[str, Any]:
    actions = ("call", "register", "publish", "subscribe")
    permission = {
        "uri": "",
        "match": "prefix",
        "allow": dict.fromkeys(actions, allowed),
        "disclose": disclose or {},
    }
    return {"name": name, "roles": [{"name": "anonymous", "permissions": [permission]}]}
