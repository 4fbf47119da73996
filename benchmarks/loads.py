"""What the routers are put under.

Every load but the idle one is a closed loop: a fixed number of operations is in flight, and each one that
completes starts the next. It runs for a short time first, then counts for a window of fixed length; the
router's CPU time and the operations of that window make the time per operation, so a slow router simply
completes fewer of them.
"""

from __future__ import annotations

import asyncio
import gc
import time
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Literal

from benchmarks.clients import (
    CALL,
    CONFIRM_EVERY,
    EVENT,
    INVOCATION,
    PUBLISH,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    YIELD,
    BenchmarkError,
    SerializerName,
    Session,
    Template,
    Transport,
    join,
)
from benchmarks.routers import RunningRouter
from benchmarks.secured import RULES, Login

Match = Literal["exact", "prefix", "wildcard"]
Resumable = Literal["none", "all", "receivers"]

PROCEDURE = "bench.procedure"
TOPIC = "bench.topic"

# A window in which fewer operations completed says little, so it is extended, up to this many times its length.
FEWEST_OPERATIONS = 50
LONGEST_WINDOW = 4
HEADLINE_LENGTH = 2.5
DRAIN_TIMEOUT = 30.0

# After so many sessions the join load's window ends: sockets are not without limit.
MOST_JOINS = 6000
JOINS_AT_ONCE = 16

SUBSCRIPTION_STEPS = (1, 1_000, 100_000)
SUBSCRIBES_AT_ONCE = 200
# Topics that the matching loads publish to in turn, so that they do not measure a cache of the last one.
MOST_TOPICS = 100


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run of a load says about one router.

    Attributes:
        load: the name in the table.
        operations: completed within the window.
        seconds: length of the window.
        router_cpu: seconds of CPU time of the router's processes in the window.
        generator_cpu: the same of the load generator.
        p50, p99: seconds from an operation's start to its end, where one operation can be told from another.
        bytes_each: memory per operation, of the load that is about memory.
    """

    load: str
    operations: int
    seconds: float
    router_cpu: float
    generator_cpu: float
    p50: float | None = None
    p99: float | None = None
    bytes_each: float | None = None

    @property
    def cpu_each(self) -> float:
        """Seconds of the router's CPU time per operation."""
        return self.router_cpu / self.operations

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.operations / self.seconds

    @property
    def router_busy(self) -> float:
        """Share of the window in which the router used a core; more than 1 if it used several."""
        return self.router_cpu / self.seconds


@dataclass(frozen=True, slots=True)
class Site:
    """Where a load runs, and for how long."""

    router: RunningRouter
    seconds: float
    warmup: float

    def length(self, load: Load) -> float:
        """Seconds of the load's window: longer for those with a target, since CPU time comes in ticks of 10 ms."""
        return self.seconds * (HEADLINE_LENGTH if load.target is not None else 1)

    async def join(self, load: Load, *, receives: bool = False) -> Session:
        """A session over the load's transport and serializer, of one that receives the load's events or not."""
        return await join(
            self.router.port_for(load.transport, load.about_joining),
            load.transport,
            load.serializer,
            resumable=load.resumable == "all" or (receives and load.resumable == "receivers"),
            login=load.login,
        )


@dataclass(frozen=True, slots=True)
class Load:
    """One load with its parameters.

    Attributes:
        name: as in `--loads`.
        unit: what one operation is.
        text: what is measured, for people.
        run: puts one router under it.
        group: loads of one group share one start of the router, one after the other.
        payload: bytes in the message's one argument.
        in_flight: operations that are under way at the same time, per caller or publisher.
        sessions: callers, subscribers or idle sessions.
        about_joining: whether it is the joins that are measured, not what comes after.
        target: what the ratio to Crossbar.io should not exceed.
        resumable: which sessions can be resumed, and confirm what they receive.
        login: how sessions log in to a router with rules; None where everybody may do everything.
    """

    name: str
    unit: str
    text: str
    run: Callable[[Site, Load], Awaitable[list[Measurement]]]
    group: str = "traffic"
    transport: Transport = "websocket"
    serializer: SerializerName = "json"
    payload: int = 16
    in_flight: int = 1
    sessions: int = 1
    match: Match = "exact"
    about_joining: bool = False
    target: float | None = None
    resumable: Resumable = "none"
    login: Login | None = None

    @property
    def argument(self) -> str:
        """The payload: text, so that both serializers carry it as it is."""
        return "x" * self.payload


@dataclass(slots=True)
class Traffic:
    """The operations of a closed loop: how many are under way, how many are done, how long each took."""

    operations: int = 0
    under_way: int = 0
    stopping: bool = False
    latencies: array[float] = field(default_factory=lambda: array("d"))
    failure: BenchmarkError | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    sessions: list[Session] = field(default_factory=list)

    def add(self, session: Session) -> Session:
        """Take a session that was set up; what goes wrong with it ends the load."""
        session.connection.on_failure = self.fail
        self.sessions.append(session)
        return session

    def fail(self, error: BenchmarkError) -> None:
        """Remember the first thing that went wrong."""
        self.failure = self.failure or error
        self.ended.set()

    def close(self) -> None:
        """End all sessions."""
        for session in self.sessions:
            session.close()

    async def pause(self, seconds: float) -> None:
        """Let the traffic flow for so long, or until it has ended by itself.

        Raises:
            BenchmarkError: it did not.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        if self.failure is not None:
            raise self.failure

    async def measure(self, name: str, site: Site, length: float) -> Measurement:
        """Warm up, count for the length of the window in seconds, let what is under way end."""
        await self.pause(site.warmup)
        first_latency = len(self.latencies)
        operations = self.operations
        generator_cpu = time.process_time()
        router_cpu = site.router.cpu_seconds()
        begin = time.perf_counter()

        await self.pause(length)
        while self.operations - operations < FEWEST_OPERATIONS and not self.ended.is_set():
            if time.perf_counter() - begin > LONGEST_WINDOW * length:
                break
            await self.pause(length / 4)

        seconds = time.perf_counter() - begin
        router_cpu = site.router.cpu_seconds() - router_cpu
        generator_cpu = time.process_time() - generator_cpu
        operations = self.operations - operations
        window = self.latencies[first_latency:]
        await self.drain()
        if not operations:
            raise BenchmarkError(f"{name}: not one operation completed in {seconds:.1f} s")
        p50, p99 = percentiles(window)
        return Measurement(name, operations, seconds, router_cpu, generator_cpu, p50, p99)

    async def drain(self) -> None:
        """Start nothing new and wait for what is under way: a lost reply is found here."""
        self.stopping = True
        self.ended.clear()
        deadline = time.perf_counter() + DRAIN_TIMEOUT
        while self.under_way:
            if time.perf_counter() > deadline:
                raise BenchmarkError(f"{self.under_way} operations never completed")
            await self.pause(0.01)
        self.stopping = False


def percentiles(seconds: array[float]) -> tuple[float | None, float | None]:
    """The 50th and the 99th percentile (nearest rank); None twice if there is nothing."""
    if not seconds:
        return None, None
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return ordered[round(last * 0.50)], ordered[round(last * 0.99)]


@contextmanager
def traffic() -> Iterator[Traffic]:
    """Traffic whose sessions are closed at the end, with the generator's garbage collector out of the way."""
    flow = Traffic()
    gc.collect()
    gc.disable()
    try:
        yield flow
    finally:
        flow.close()
        gc.enable()


# Remote procedure calls.


class Callee:
    """Answers every call to the procedure with the payload."""

    def __init__(self, session: Session, argument: str) -> None:
        self._connection = session.connection
        self._serializer = session.serializer
        self._reply = session.serializer.template([YIELD, 0, {}, [argument]])
        self._connection.on_messages = self._answer

    def _answer(self, messages: list[bytes]) -> None:
        request_id = self._serializer.request_id
        frame = self._connection.frame
        fill = self._reply.fill
        self._connection.write(b"".join([frame(fill(request_id(message, INVOCATION))) for message in messages]))


class Caller:
    """Keeps a number of calls in flight."""

    def __init__(self, session: Session, load: Load, flow: Traffic) -> None:
        self._session = session
        self._flow = flow
        self._call = session.serializer.template([CALL, 0, {}, PROCEDURE, [load.argument]])
        # request id -> when it was sent
        self._sent: dict[int, float] = {}
        session.connection.on_messages = self._take
        self._send(load.in_flight)

    def _send(self, count: int) -> None:
        session = self._session
        frame = session.connection.frame
        frames = []
        now = time.perf_counter()
        for _ in range(count):
            request = session.next_request()
            self._sent[request] = now
            frames.append(frame(self._call.fill(request)))
        self._flow.under_way += count
        session.connection.write(b"".join(frames))

    def _take(self, messages: list[bytes]) -> None:
        flow = self._flow
        request_id = self._session.serializer.request_id
        now = time.perf_counter()
        for message in messages:
            flow.latencies.append(now - self._sent.pop(request_id(message, RESULT)))
        flow.operations += len(messages)
        flow.under_way -= len(messages)
        if not flow.stopping:
            self._send(len(messages))


async def calls(site: Site, load: Load) -> list[Measurement]:
    """Callers keep calls to one procedure in flight, which one callee answers."""
    with traffic() as flow:
        callee = flow.add(await site.join(load))
        await callee.request(REGISTER, {}, PROCEDURE, reply=REGISTERED)
        Callee(callee, load.argument)
        callers = [await site.join(load) for _ in range(load.sessions)]
        for caller in callers:
            result = await caller.request(CALL, {}, PROCEDURE, [load.argument], reply=RESULT)
            if result[1] != caller.last_request or result[3] != [load.argument]:
                raise BenchmarkError(f"{load.name}: a call was answered with {str(result)[:200]}")
        for caller in callers:
            Caller(flow.add(caller), load, flow)
        return [await flow.measure(load.name, site, site.length(load))]


# Publish and subscribe.


class Publisher:
    """Keeps a number of publications in flight; one has landed when every subscriber received it.

    A router delivers what one session publishes in order, so the n-th event that a subscriber receives is the
    n-th publication, and no event has to be looked into.
    """

    def __init__(self, session: Session, load: Load, flow: Traffic, topics: list[str]) -> None:
        self._session = session
        self._flow = flow
        template = session.serializer.template
        self._publications = [template([PUBLISH, 0, {}, topic, [load.argument]]) for topic in topics]
        self._events_each = load.sessions
        # Both by publication, from `_first_open` on, which is the oldest one that has not landed everywhere.
        self._sent: deque[float] = deque()
        self._missing: deque[int] = deque()
        self._first_open = 0

    def publish(self, count: int) -> None:
        """Send as many publications more."""
        session = self._session
        frame = session.connection.frame
        frames = []
        now = time.perf_counter()
        for _ in range(count):
            request = session.next_request()
            template: Template = self._publications[request % len(self._publications)]
            frames.append(frame(template.fill(request)))
            self._sent.append(now)
            self._missing.append(self._events_each)
        self._flow.under_way += count
        session.connection.write(b"".join(frames))

    def received(self, first: int, count: int) -> None:
        """A subscriber got its events number `first` to `first + count - 1`."""
        now = time.perf_counter()
        flow, sent, missing = self._flow, self._sent, self._missing
        offset = first - self._first_open
        for index in range(offset, offset + count):
            missing[index] -= 1
            flow.latencies.append(now - sent[index])
        flow.operations += count
        landed = 0
        while missing and not missing[0]:
            missing.popleft()
            sent.popleft()
            landed += 1
        if landed:
            self._first_open += landed
            flow.under_way -= landed
            if not flow.stopping:
                self.publish(landed)


def count_events(session: Session, publisher: Publisher) -> None:
    """Tell the publisher of every event that this subscriber receives."""
    seen = 0

    def counted(count: int) -> None:
        nonlocal seen
        first, seen = seen, seen + count
        publisher.received(first, count)

    session.connection.on_count = counted


async def check_event(publisher: Session, subscriber: Session, topic: str, argument: str) -> None:
    """Publish once and look closely at what arrives.

    Raises:
        BenchmarkError: that was not the event.
    """
    publisher.send([PUBLISH, publisher.next_request(), {}, topic, [argument]])
    event = await subscriber.expect(EVENT)
    if event[4] != [argument]:
        raise BenchmarkError(f"a publication arrived as {str(event)[:200]}")


async def fanout(site: Site, load: Load) -> list[Measurement]:
    """One publisher keeps publications in flight to a topic that all subscribers have subscribed."""
    with traffic() as flow:
        subscribers = [await site.join(load, receives=True) for _ in range(load.sessions)]
        flow.sessions.extend(subscribers)
        for subscriber in subscribers:
            await subscriber.request(SUBSCRIBE, {}, TOPIC, reply=SUBSCRIBED)
        session = await site.join(load)
        await check_event(session, subscribers[0], TOPIC, load.argument)
        for subscriber in subscribers[1:]:
            await subscriber.expect(EVENT)
        publisher = Publisher(flow.add(session), load, flow, [TOPIC])
        for subscriber in subscribers:
            subscriber.connection.on_failure = flow.fail
            count_events(subscriber, publisher)
        publisher.publish(load.in_flight)
        return [await flow.measure(load.name, site, site.length(load))]


def subscription(match: Match, number: int) -> tuple[str, str]:
    """The URI of a subscription, and a topic that matches this one and no other."""
    room = f"bench.room{number:06}"
    if match == "exact":
        return f"{room}.door", f"{room}.door"
    if match == "prefix":
        return room, f"{room}.door"
    # Three shapes, so that a pattern's empty component is sometimes the first and the rare one is not always
    # in the same place.
    shape = number % 3
    if shape == 0:
        return f"bench..sensor{number:06}.state", f"{room}.sensor{number:06}.state"
    if shape == 1:
        return f"{room}..level", f"{room}.sensor{number:06}.level"
    return f".room{number:06}..alarm", f"{room}.sensor{number:06}.alarm"


def published(count: int) -> range:
    """The numbers of the subscriptions that are published to when there are `count` of them: evenly spread."""
    return range(0, count, max(1, count // MOST_TOPICS))


class Filling:
    """Fills the router with subscriptions, a number of requests at a time."""

    def __init__(self, session: Session, match: Match, flow: Traffic) -> None:
        self._session = session
        self._options = {} if match == "exact" else {"match": match}
        self._match = match
        self._flow = flow
        self._numbers: Iterator[int] = iter(())
        session.connection.on_messages = self._take

    async def subscribe(self, numbers: Iterable[int]) -> None:
        """Add these subscriptions."""
        self._numbers = iter(numbers)
        self._send(SUBSCRIBES_AT_ONCE)
        while self._flow.under_way:
            await self._flow.pause(0.01)

    def _send(self, count: int) -> None:
        session = self._session
        frames = []
        for number in islice(self._numbers, count):
            uri, _ = subscription(self._match, number)
            message = session.serializer.encode([SUBSCRIBE, session.next_request(), self._options, uri])
            frames.append(session.connection.frame(message))
        self._flow.under_way += len(frames)
        session.connection.write(b"".join(frames))

    def _take(self, messages: list[bytes]) -> None:
        for message in messages:
            self._session.serializer.request_id(message, SUBSCRIBED)
        self._flow.operations += len(messages)
        self._flow.under_way -= len(messages)
        self._send(len(messages))


async def matching(site: Site, load: Load) -> list[Measurement]:
    """More and more subscriptions, while each publication matches exactly one of them.

    One session holds those that are published to. Another one holds all others, over RawSocket and MessagePack,
    which is the quickest way to fill any router.
    """
    measurements: list[Measurement] = []
    options = {} if load.match == "exact" else {"match": load.match}
    own = {number for count in SUBSCRIPTION_STEPS for number in published(count)}
    present = 0
    with traffic() as flow:
        filling_load = replace(load, transport="rawsocket", serializer="msgpack")
        filling = Filling(flow.add(await site.join(filling_load)), load.match, flow)
        subscriber = flow.add(await site.join(load))
        for count in SUBSCRIPTION_STEPS:
            new = range(present, count)
            present = count
            for number in sorted(own.intersection(new)):
                await subscriber.request(SUBSCRIBE, options, subscription(load.match, number)[0], reply=SUBSCRIBED)
            measurement = await fill(site, flow, filling, [number for number in new if number not in own])
            if count == SUBSCRIPTION_STEPS[-1]:
                measurements.append(replace(measurement, load=f"subscribe-{load.match}"))

            topics = [subscription(load.match, number)[1] for number in published(count)]
            session = await site.join(load)
            for topic in topics[:: max(1, len(topics) // 5)]:
                await check_event(session, subscriber, topic, load.argument)
            publisher = Publisher(flow.add(session), load, flow, topics)
            count_events(subscriber, publisher)
            publisher.publish(load.in_flight)
            measurements.append(await flow.measure(f"{load.name}-{count}", site, site.length(load)))
            subscriber.connection.on_count = None
    return measurements


async def fill(site: Site, flow: Traffic, filling: Filling, numbers: list[int]) -> Measurement:
    """Add these subscriptions; what it took."""
    generator_cpu, router_cpu = time.process_time(), site.router.cpu_seconds()
    begin = time.perf_counter()
    await filling.subscribe(numbers)
    seconds = time.perf_counter() - begin
    await site.router.settle()
    router_cpu = site.router.cpu_seconds() - router_cpu
    generator_cpu = time.process_time() - generator_cpu
    return Measurement("subscribe", len(numbers), seconds, router_cpu, generator_cpu)


# Sessions.


async def joins(site: Site, load: Load) -> list[Measurement]:
    """Sessions connect and join, a number of them at the same time, and stay."""
    with traffic() as flow:

        async def keep_joining() -> None:
            while not flow.stopping and flow.failure is None:
                if len(flow.sessions) >= MOST_JOINS:
                    flow.ended.set()
                    return
                begin = time.perf_counter()
                flow.under_way += 1
                try:
                    flow.add(await site.join(load))
                except (BenchmarkError, OSError, TimeoutError) as error:
                    flow.fail(BenchmarkError(f"a join failed: {error!r}"))
                flow.under_way -= 1
                flow.operations += 1
                flow.latencies.append(time.perf_counter() - begin)

        workers = [asyncio.create_task(keep_joining()) for _ in range(load.in_flight)]
        try:
            measurement = await flow.measure(load.name, site, site.length(load))
        finally:
            flow.stopping = True
            await asyncio.gather(*workers)
        return [measurement]


async def idle(site: Site, load: Load) -> list[Measurement]:
    """Many sessions join and then do nothing; what memory each of them takes."""
    with traffic() as flow:
        # One session before, so that what a router allocates for the first one is not in the figure.
        flow.add(await site.join(load))
        await site.router.settle()
        before = site.router.memory()
        begin, generator_cpu, router_cpu = time.perf_counter(), time.process_time(), site.router.cpu_seconds()
        left = iter(range(load.sessions))

        async def open_some() -> None:
            for _ in left:
                flow.add(await site.join(load))

        await asyncio.gather(*(open_some() for _ in range(JOINS_AT_ONCE)))
        seconds = time.perf_counter() - begin
        router_cpu = site.router.cpu_seconds() - router_cpu
        generator_cpu = time.process_time() - generator_cpu
        await site.router.settle()
        bytes_each = (site.router.memory() - before) / load.sessions
        await flow.pause(0)
        return [
            Measurement(load.name, load.sessions, seconds, router_cpu, generator_cpu, bytes_each=bytes_each),
        ]


# Session resumption.


async def with_and_without(
    run: Callable[[Site, Load], Awaitable[list[Measurement]]], site: Site, load: Load
) -> list[Measurement]:
    """A load without resumption, twice with it, and without it again, on one router: what drifts hits both alike."""
    (await site.join(load, receives=True)).close()  # where it is not offered, nothing needs to be run
    windows: dict[bool, list[Measurement]] = {False: [], True: []}
    for is_on in (False, True, True, False):
        await site.router.settle()
        windows[is_on] += await run(site, load if is_on else replace(load, resumable="none"))
    return [both(f"{load.name}-{'on' if is_on else 'off'}", *windows[is_on]) for is_on in (False, True)]


def both(name: str, one: Measurement, two: Measurement) -> Measurement:
    """Two windows as one; its percentiles are the means of theirs."""
    return Measurement(
        name,
        one.operations + two.operations,
        one.seconds + two.seconds,
        one.router_cpu + two.router_cpu,
        one.generator_cpu + two.generator_cpu,
        *(None if a is None or b is None else (a + b) / 2 for a, b in ((one.p50, two.p50), (one.p99, two.p99))),
    )


def _resumption() -> Iterator[Load]:
    """The headline loads with resumption on and off."""
    text = f"on: {{}} can be resumed and confirm every {CONFIRM_EVERY} messages; off: the same without"
    yield Load(
        "rpc-resumable",
        "call",
        "rpc, " + text.format("callers and callee"),
        partial(with_and_without, calls),
        in_flight=16,
        sessions=8,
        resumable="all",
    )
    yield Load(
        "fanout-50-resumable",
        "event",
        "fanout-50, " + text.format("subscribers"),
        partial(with_and_without, fanout),
        in_flight=8,
        sessions=50,
        resumable="receivers",
    )


def _secured() -> Iterator[Load]:
    """Joins and calls where clients log in and have a role with rules; the targets are those without."""
    methods: tuple[Login, ...] = ("ticket", "wampcra", "cryptosign")
    for method in methods:
        yield Load(
            f"join-{method}",
            "join",
            f"join, logging in by {method}",
            joins,
            group="secured",
            in_flight=JOINS_AT_ONCE,
            about_joining=True,
            target=JOIN_TARGET,
            login=method,
        )
    yield Load(
        "rpc-secured",
        "call",
        f"rpc, of sessions that have logged in, by a role of {RULES} rules (exact, prefix, wildcard)",
        calls,
        group="secured",
        in_flight=16,
        sessions=8,
        target=CALL_TARGET,
        login="wampcra",
    )


def _variants() -> Iterator[Load]:
    """The headline loads over other transports, serializers and payloads."""
    for payload, label in ((1024, "1k"), (65536, "64k")):
        yield Load(
            f"rpc-{label}", "call", f"rpc with {payload:,} bytes", calls, payload=payload, in_flight=16, sessions=8
        )
        yield Load(
            f"fanout-50-{label}",
            "event",
            f"fanout-50 with {payload:,} bytes",
            fanout,
            payload=payload,
            in_flight=8,
            sessions=50,
        )
    wires: tuple[tuple[str, Transport, SerializerName, str], ...] = (
        ("msgpack", "websocket", "msgpack", "MessagePack over WebSocket"),
        ("raw-json", "rawsocket", "json", "JSON over RawSocket"),
        ("raw-msgpack", "rawsocket", "msgpack", "MessagePack over RawSocket"),
    )
    for label, transport, serializer, text in wires:
        yield Load(
            f"rpc-{label}",
            "call",
            f"rpc as {text}",
            calls,
            transport=transport,
            serializer=serializer,
            in_flight=16,
            sessions=8,
        )
        yield Load(
            f"fanout-50-{label}",
            "event",
            f"fanout-50 as {text}",
            fanout,
            transport=transport,
            serializer=serializer,
            in_flight=8,
            sessions=50,
        )


def _matches() -> Iterator[Load]:
    """One load per kind of match; each measures all numbers of subscriptions, for the router fills up but once."""
    kinds: tuple[Match, ...] = ("exact", "prefix", "wildcard")
    for kind in kinds:
        yield Load(
            f"match-{kind}",
            "publication",
            f"with 1, then 1,000, then 100,000 {kind} subscriptions; each publication (8 in flight, to {MOST_TOPICS} "
            f"topics in turn) matches one of them; `subscribe-{kind}` is the filling up, MessagePack over RawSocket",
            matching,
            group=f"match-{kind}",
            in_flight=8,
            match=kind,
        )


CALL_TARGET, JOIN_TARGET = 0.085, 0.25

HEADLINES = ("rpc", "fanout-50", "join")

LOADS: dict[str, Load] = {
    load.name: load
    for load in (
        Load(
            "rpc",
            "call",
            "8 callers with 16 calls each in flight to one procedure of one callee; from CALL to RESULT",
            calls,
            in_flight=16,
            sessions=8,
            target=CALL_TARGET,
        ),
        Load(
            "fanout-50",
            "event",
            "one publisher with 8 publications in flight, 50 subscribers; a publication has landed, and the next one "
            "starts, when all have received it; from PUBLISH to each EVENT",
            fanout,
            in_flight=8,
            sessions=50,
            target=0.18,
        ),
        Load(
            "join",
            "join",
            f"{JOINS_AT_ONCE} at a time connect, upgrade, send HELLO, get WELCOME, and stay; leaving is not counted",
            joins,
            in_flight=JOINS_AT_ONCE,
            about_joining=True,
            target=JOIN_TARGET,
        ),
        Load("rpc-single", "call", "one caller, one call at a time", calls),
        Load("fanout-1000", "event", "fanout-50 with 1,000 subscribers", fanout, in_flight=8, sessions=1000),
        *_variants(),
        *_resumption(),
        *_secured(),
        Load(
            "idle",
            "session",
            "5,000 sessions join and do nothing: memory per session",
            idle,
            "idle",
            sessions=5000,
            about_joining=True,
        ),
        *_matches(),
    )
}


async def run_load(site: Site, load: Load) -> list[Measurement]:
    """Put the router under the load.

    Raises:
        BenchmarkError: it failed; there is no figure.
    """
    await site.router.settle()
    try:
        return await load.run(site, load)
    except TimeoutError as error:
        raise BenchmarkError(f"{load.name}: no answer in time") from error
    except OSError as error:
        raise BenchmarkError(f"{load.name}: {error}") from error
