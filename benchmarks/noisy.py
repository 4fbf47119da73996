"""`scripts/bench noisy`: what one client that sends all it can does to another one's calls, with limits and without.

One client makes a call, waits for its result, and makes the next. Meanwhile another one publishes without a pause, to a
topic that nobody has subscribed: small messages, which cost the router most by the message, or large ones, which cost
it most by the byte. It is let alone first, and then held to a rate. All of that goes on in turn, several times, on one
router, so that what else happens on the machine hits all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.clients import (
    CALL,
    INVOCATION,
    PUBLISH,
    REALM,
    REGISTER,
    REGISTERED,
    RESULT,
    WEBSOCKET_PATH,
    YIELD,
    BenchmarkError,
    Session,
    join,
)
from benchmarks.loads import percentiles
from benchmarks.report import header, median, number, table, warn
from benchmarks.routers import Cores, Router, RunningRouter, rocade, split_cores
from benchmarks.secured import SECRET

__all__ = ["main"]

NOISY_FILE = Path(__file__).with_name("NOISY.md")

PROCEDURE, TOPIC = "bench.quiet", "bench.noise"

MESSAGE_RATE, MESSAGE_BURST = 1000, 100
BYTE_RATE, BYTE_BURST = 1_000_000, 256 * 1024
"""What the noisy client is held to."""

KINDS = {"small": 16, "large": 64 * 1024}
"""Bytes of payload of the messages that make the noise."""

CHUNK = 16 * 1024
"""Bytes of messages that the noisy client hands over at once, the last of which is acknowledged."""

MOST_BUFFERED = 128 * 1024
"""Bytes that it has ready for the system to take."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is there besides the quiet client.

    Attributes:
        text: for the table.
        authid: of the noisy client; "" if there is none.
        payload: bytes of each of its messages.
    """

    text: str
    authid: str = ""
    payload: int = 0


SCENES = (
    Scene("nobody else"),
    *(
        Scene(f"{kind} messages, {how}", authid, size)
        for kind, size in KINDS.items()
        for authid, how in (("unlimited", "as fast as it can"), ("limited", "held to its rate"))
    ),
)


@dataclass(slots=True)
class Findings:
    """What came of one scene, by run."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)


def configuration(port: int) -> dict[str, object]:
    """One realm, and roles with a rate and without; request ids may be any, so that noise needs no thought."""
    everything = {"uri": "*", "allow": {"call": True, "register": True, "publish": True, "subscribe": True}}
    limits = {
        "message_rate": MESSAGE_RATE,
        "message_burst": MESSAGE_BURST,
        "byte_rate": BYTE_RATE,
        "byte_burst": BYTE_BURST,
    }
    roles: list[dict[str, object]] = [
        {"name": "unlimited", "permissions": [everything]},
        {"name": "limited", "permissions": [everything], "limits": {"per_session": limits}},
        {"name": "anonymous"},
    ]
    principals = {name: {"ticket": SECRET, "role": name} for name in ("unlimited", "limited")}
    auth = {
        "ticket": {"type": "static", "principals": principals},
        "anonymous": {"type": "static", "role": "anonymous"},
    }
    return {
        "version": 2,
        "workers": [
            {
                "type": "router",
                "realms": [{"name": REALM, "options": {"request_ids": "any"}, "roles": roles}],
                "transports": [
                    {
                        "type": "universal",
                        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": port},
                        "websocket": {WEBSOCKET_PATH.lstrip("/"): {"type": "websocket", "auth": auth}},
                    }
                ],
            }
        ],
    }


class Noise:
    """A client that publishes whenever the router will take more."""

    def __init__(self, session: Session, payload: int) -> None:
        self._session = session
        connection, encode = session.connection, session.serializer.encode
        frame, last = (
            connection.frame(encode([PUBLISH, 1, options, TOPIC, ["x" * payload]]))
            for options in ({}, {"acknowledge": True})
        )
        self._count = max(1, CHUNK // len(frame))
        self._chunk = frame * (self._count - 1) + last
        self.messages = 0
        connection.on_count = self._taken

    def _taken(self, count: int) -> None:
        """The router has worked off so many chunks."""
        self.messages += count * self._count

    async def make(self) -> None:
        """Send until canceled."""
        connection = self._session.connection
        while True:
            while connection.write_buffer_size() < MOST_BUFFERED:
                connection.write(self._chunk)
            # Often enough for the router never to wait; the time between is the quiet client's.
            await asyncio.sleep(0.0005)


class Quiet:
    """A client that makes one call after the other, and the one that answers them."""

    def __init__(self, caller: Session, callee: Session) -> None:
        self._caller = caller
        self._callee = callee

    async def prepare(self) -> None:
        """Register what is called."""
        callee = self._callee
        await callee.request(REGISTER, {}, PROCEDURE, reply=REGISTERED)
        reply = callee.serializer.template([YIELD, 0, {}, ["x"]])
        request_id, frame = callee.serializer.request_id, callee.connection.frame

        def answer(messages: list[bytes]) -> None:
            for message in messages:
                callee.connection.write(frame(reply.fill(request_id(message, INVOCATION))))

        callee.connection.on_messages = answer

    async def call(self, seconds: float) -> array[float]:
        """Call for so long; how long each call took."""
        clock = time.perf_counter
        latencies: array[float] = array("d")
        end = clock() + seconds
        while (begin := clock()) < end:
            await self._caller.request(CALL, {}, PROCEDURE, ["x"], reply=RESULT)
            latencies.append(clock() - begin)
        return latencies


async def play(scene: Scene, port: int, seconds: float, findings: Findings) -> None:
    """One scene, once."""
    sessions = [await join(port, login="ticket", authid="unlimited") for _ in range(2)]
    making: asyncio.Task[None] | None = None
    noise: Noise | None = None
    try:
        quiet = Quiet(*sessions)
        await quiet.prepare()
        if scene.authid:
            sessions.append(await join(port, login="ticket", authid=scene.authid))
            noise = Noise(sessions[-1], scene.payload)
            making = asyncio.create_task(noise.make())
        await quiet.call(seconds / 4)
        before = noise.messages if noise else 0
        latencies = await quiet.call(seconds)
        if noise:
            findings.noise.append((noise.messages - before) / seconds)
        p50, p99 = percentiles(latencies)
        assert p50 is not None
        assert p99 is not None
        findings.p50.append(p50)
        findings.p99.append(p99)
        findings.calls.append(len(latencies) / seconds)
    finally:
        if making is not None:
            making.cancel()
            with suppress(asyncio.CancelledError):
                await making
        for session in sessions:
            session.close()


async def run(router: Router, cores: Cores, runs: int, seconds: float) -> dict[str, Findings]:
    """All scenes in turn, so often."""
    found = {scene.text: Findings() for scene in SCENES}
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "config.json"
        with RunningRouter(router, cores, [sys.executable, "-m", "rocade", "start", "--config", str(file)]) as running:
            file.write_text(json.dumps(configuration(running.port)))
            await running.start()
            for number_of_run in range(runs):
                for scene in SCENES:
                    warn(f"run {number_of_run + 1} of {runs}: {scene.text}")
                    await play(scene, running.port, seconds, found[scene.text])
                    await running.settle()
    return found


def render(found: dict[str, Findings], head: Sequence[str]) -> str:
    """The table, and what it means."""
    rows = [
        [
            text,
            number(median(findings.p50), 1e3),
            number(median(findings.p99), 1e3),
            number(median(findings.calls)),
            number(median(findings.noise)),
        ]
        for text, findings in found.items()
    ]
    columns = [
        "beside the quiet client",
        "its calls: p50 ms",
        "p99 ms",
        "calls per second",
        "noise: messages per second",
    ]
    return "\n".join(
        [
            "# What one client does to another",
            "",
            *head,
            "",
            *table(columns, rows),
            "",
            f"The noisy client publishes to a topic that nobody has subscribed: {KINDS['small']} bytes or "
            f"{KINDS['large']:,} bytes at a time. Its rate is {MESSAGE_RATE:,} messages and {BYTE_RATE:,} bytes per "
            f"second, with bursts of {MESSAGE_BURST} messages and {BYTE_BURST:,} bytes. What is above it waits in its "
            "own socket. The quiet client has one call under way at a time.",
            "",
        ]
    )


def main(arguments: Sequence[str]) -> int:
    """Run the command; the process's exit code."""
    parser = argparse.ArgumentParser(prog="scripts/bench noisy", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="how often each scene is played (default: 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each (default: 3)")
    parser.add_argument("--no-pin", action="store_true", help="let router and load generator share the cores")
    parser.add_argument("--write", action="store_true", help=f"write the table to benchmarks/{NOISY_FILE.name}, too")
    options = parser.parse_args(arguments)
    if options.runs < 1 or options.seconds <= 0:
        parser.error("--runs and --seconds must be positive")
    load_average = os.getloadavg()
    cores = split_cores(pin=not options.no_pin)
    if cores.pinned:
        os.sched_setaffinity(0, cores.generator)
    router = rocade()
    try:
        found = uvloop.run(run(router, cores, options.runs, options.seconds))
    except BenchmarkError as error:
        warn(str(error))
        return 2
    except KeyboardInterrupt:
        warn("interrupted")
        return 130
    head = header([router], cores, runs=options.runs, seconds=options.seconds, load_average=load_average)
    report = render(found, [line for line in head if not line.startswith("- Method")])
    print(report)
    if options.write:
        NOISY_FILE.write_text(report)
    return 0
