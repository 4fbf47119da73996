"""Connections are lost, and replaced: with the same session where that is possible, else with a new one."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.client.proxy import Proxy
from tests.client.scene import Scene, within
from tests.conformance.waiting import TIMEOUT
from tests.hostile.process import RouterProcess

from rocade import (
    ApplicationError,
    CallTimeout,
    ConnectionFailed,
    ConnectionLost,
    HandshakeRefused,
    PublishOptions,
    Reconnect,
    Session,
    SessionClosed,
    connect,
)
from rocade.client.connect import connect_over
from rocade.errors import LIMIT_EXCEEDED
from rocade.net.link import Link, Receiver
from rocade.net.memory import linked_pair
from rocade.router.realm import Realm
from rocade.wamp.codec import CBOR, JSON, MSGPACK

QUICK = Reconnect(first_delay=0.01, max_delay=0.05)


class Diary:
    """What hooks were told, in order."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self._news = asyncio.Condition()

    def hooks(self) -> dict[str, object]:
        """For `connect`."""
        names = ("connect", "join", "resume", "leave", "disconnect")
        return {f"on_{name}": self._writer(name) for name in names}

    def _writer(self, name: str):  # type: ignore[no-untyped-def]
        async def write(session: Session, *arguments: str) -> None:
            self.entries.append(name)
            async with self._news:
                self._news.notify_all()

        return write

    async def wait_for(self, name: str, count: int = 1) -> None:
        """Wait until there are so many entries of a name."""
        async with self._news:
            await within(self._news.wait_for(lambda: self.entries.count(name) >= count))


@pytest.mark.parametrize("scheme", ["ws", "rs"])
async def test_a_session_that_can_be_resumed_counts_as_the_router_does(scene: Scene, scheme: str) -> None:
    async def echo(value: int) -> int:
        return value

    async with through_proxy(scene, scheme) as (proxy, session):
        await session.register(echo, "com.example.echo")
        # Both sides confirm every 64 messages, now and then at the same time.
        for value in range(1000):
            assert await session.call("com.example.echo", value) == value

        assert session._channel.received - 1 == 2000
        assert session._channel.outbox.confirmed > 1900
    assert proxy.connections == 1


@asynccontextmanager
async def through_proxy(scene: Scene, scheme: str = "ws", **options: object) -> AsyncIterator[tuple[Proxy, Session]]:
    async with Proxy(scene.port) as proxy:
        url = f"{scheme}://127.0.0.1:{proxy.port}{'/ws' if scheme == 'ws' else ''}"
        async with connect(url, **{"reconnect": QUICK, **options}) as session:  # type: ignore[arg-type]
            yield proxy, session


@pytest.mark.parametrize("scheme", ["ws", "rs"])
async def test_a_session_is_resumed_and_nothing_is_lost(scene: Scene, scheme: str) -> None:
    other, diary = await scene.connect(), Diary()
    got: list[int] = []
    enough = asyncio.Event()

    async def handle(number: int) -> None:
        got.append(number)
        if number == 499:
            enough.set()

    async def slow(number: int) -> int:
        await asyncio.sleep(0.02)
        return number

    await other.register(slow, "com.example.slow")
    async with through_proxy(scene, scheme, **diary.hooks()) as (proxy, session):
        await session.subscribe(handle, "com.example.topic")
        await session.register(slow, "com.example.slow_too")
        id = session.id
        calls = [asyncio.create_task(session.call("com.example.slow", number)) for number in range(50)]
        calls += [asyncio.create_task(other.call("com.example.slow_too", number)) for number in range(50)]
        for number in range(500):
            if number % 100 == 50:
                proxy.cut()
                await diary.wait_for("resume", number // 100 + 1)
            await other.publish("com.example.topic", number)
        await within(enough.wait())

        assert await within(asyncio.gather(*calls)) == [*range(50), *range(50)]
        assert got == list(range(500))
        assert session.id == id
    assert diary.entries == [
        *("connect", "join"),
        *5 * ("disconnect", "connect", "resume"),
        *("leave", "disconnect"),
    ]


async def test_a_session_is_resumed_with_another_serializer(scene: Scene) -> None:
    diary, other = Diary(), await scene.connect()
    serializers = iter((JSON, CBOR, MSGPACK))

    async def open_link(connected: Callable[[Link], Receiver]) -> Link:
        return linked_pair(scene.entrance, connected, serializer=next(serializers))[1]

    async with (
        other.events("com.example.topic") as events,
        connect_over(open_link, "realm1", reconnect=QUICK, **diary.hooks()) as session,  # type: ignore[arg-type]
    ):
        for count in (1, 2):
            for number in range(10):
                await session.publish("com.example.topic", number, b"\x00\xff", text="é")
            session._channel.outbox.flush()
            session._connector._peer.link.abort()  # type: ignore[union-attr]  # what is on its way is lost
            await diary.wait_for("resume", count)
            for number in range(10):
                event = await within(anext(events))
                assert (event.args, event.kwargs) == ([number, b"\x00\xff"], {"text": "é"})


@pytest.mark.parametrize("is_resumed", [True, False])
async def test_what_is_given_up_without_a_connection_is_given_up_at_the_router_too(
    scene: Scene, is_resumed: bool
) -> None:
    other, diary = await scene.connect(), Diary()

    async def echo(value: int) -> int:
        return value

    later = Reconnect(first_delay=0.3, max_delay=0.3)
    async with through_proxy(scene, reconnect=later, **diary.hooks()) as (proxy, session):
        registration = await session.register(echo, "com.example.echo")
        subscription = await session.subscribe(echo, "com.example.topic")
        assert await other.call("com.example.echo", 1) == 1
        proxy.cut()
        await diary.wait_for("disconnect")
        if not is_resumed:
            await other.call("wamp.session.kill", session.id)

        await within(asyncio.gather(registration.unregister(), subscription.unsubscribe()))

        await diary.wait_for("resume" if is_resumed else "join", 1 if is_resumed else 2)
        assert await session.call("wamp.subscription.lookup", "com.example.topic") is None
        with pytest.raises(ApplicationError, match=r"no_such_procedure"):
            await other.call("com.example.echo", 2)
        assert await session.call("wamp.session.get", session.id)
    assert diary.entries.count("join") == (1 if is_resumed else 2)


async def test_a_session_that_cannot_be_resumed_is_replaced(scene: Scene) -> None:
    scene.gateway.resume_window = 0
    diary, other = Diary(), await scene.connect()
    got: asyncio.Queue[int] = asyncio.Queue()

    async def wait() -> None:
        await asyncio.Event().wait()

    async def echo(value: int) -> int:
        return value

    await other.register(wait, "com.example.wait")
    async with through_proxy(scene, **diary.hooks()) as (proxy, session):
        id = session.id
        await session.register(echo, "com.example.echo")
        await session.subscribe(got.put, "com.example.topic")
        stuck = asyncio.create_task(session.call("com.example.wait"))
        await session.call("com.example.echo", 0)
        proxy.cut()

        with pytest.raises(ConnectionLost, match="the connection was lost"):
            await within(stuck)
        await diary.wait_for("join", 2)
        assert session.id != id
        assert await within(other.call("com.example.echo", 1)) == 1
        await other.publish("com.example.topic", 2)
        assert await within(got.get()) == 2
    assert diary.entries[:6] == ["connect", "join", "leave", "disconnect", "connect", "join"]


async def test_what_a_hook_registers_is_registered_anew_by_the_hook(scene: Scene) -> None:
    scene.gateway.resume_window = 0
    other = await scene.connect()
    sessions = 0

    async def joined(session: Session) -> None:
        nonlocal sessions
        sessions += 1
        number = sessions

        async def which() -> int:
            return number

        await session.register(which, "com.example.which")
        if number == 2:
            again.set()

    again = asyncio.Event()
    async with through_proxy(scene, on_join=joined) as (proxy, session):
        assert await other.call("com.example.which") == 1
        proxy.cut()
        await within(again.wait())
        assert await session.call("com.example.which") == 2


async def test_what_a_hook_registers_in_another_session_is_restored(scene: Scene) -> None:
    scene.gateway.resume_window = 0
    diary, other = Diary(), await scene.connect()

    async def echo(value: int) -> int:
        return value

    async with through_proxy(scene, **diary.hooks()) as (proxy, session):

        async def joined(_: Session) -> None:
            await session.register(echo, "com.example.echo")

        await scene.connect(on_join=joined)
        proxy.cut()
        await diary.wait_for("join", 2)

        assert await other.call("com.example.echo", 1) == 1


async def test_requests_wait_while_there_is_no_connection(scene: Scene) -> None:
    lost = asyncio.Event()

    def disconnected(session: Session, reason: str) -> None:
        lost.set()

    async with through_proxy(scene, resumable=False, on_disconnect=disconnected) as (proxy, session):

        async def echo(value: int) -> int:
            return value

        await session.register(echo, "com.example.echo")
        proxy.refuse()
        proxy.cut()
        await within(lost.wait())
        with pytest.raises(CallTimeout):
            await session.call("com.example.echo", 1, timeout=0.05)
        waiting = asyncio.create_task(session.publish("com.example.topic", 2, options=PublishOptions(acknowledge=True)))
        proxy.refuse(False)

        assert await within(waiting)


@pytest.mark.parametrize("scheme", ["ws", "rs"])
async def test_a_dead_connection_is_noticed(scene: Scene, scheme: str) -> None:
    diary = Diary()

    async with through_proxy(scene, scheme, ping_interval=0.2, ping_timeout=0.2, **diary.hooks()) as (proxy, session):
        proxy.freeze()
        await diary.wait_for("disconnect")
        proxy.thaw()
        await diary.wait_for("resume")

        assert session.is_open


async def test_an_attempt_that_leads_nowhere_is_given_up(scene: Scene) -> None:
    diary = Diary()

    async with through_proxy(scene, timeout=1.0, **diary.hooks()) as (proxy, session):
        proxy.freeze()
        proxy.cut()
        # Connections are accepted, and then nothing happens.
        await proxy.wait_for(4)
        proxy.thaw()
        await diary.wait_for("resume")

        assert session.is_open


async def test_a_session_that_is_resumed_while_it_is_being_restored_is_restored_all_the_same(scene: Scene) -> None:
    scene.gateway.resume_window = 0
    diary, other = Diary(), await scene.connect()

    async def number(of: int) -> int:
        return of

    async with through_proxy(scene, **diary.hooks()) as (proxy, session):
        for index in range(20):
            await session.register(number, f"com.example.number.{index}")
        proxy.cut()
        await diary.wait_for("connect", 2)
        scene.gateway.resume_window = 30
        async with other.events("wamp.registration.on_create") as created:
            await within(anext(created))
            proxy.cut()
            await diary.wait_for("join", 2)

        for index in range(20):
            assert await within(other.call(f"com.example.number.{index}", index)) == index


async def test_a_router_that_says_goodbye_is_joined_again(scene: Scene) -> None:
    diary = Diary()
    async with connect(f"ws://127.0.0.1:{scene.port}/ws", reconnect=QUICK, **diary.hooks()):  # type: ignore[arg-type]
        await scene.stop()
        await diary.wait_for("disconnect")
        async with Scene(Path(scene.path).parent, scene.port):
            await diary.wait_for("join", 2)


async def test_a_session_that_is_killed_stays_dead(scene: Scene) -> None:
    killer = await scene.connect()
    async with connect(f"ws://127.0.0.1:{scene.port}/ws") as session:
        await killer.call("wamp.session.kill", session.id, message="enough")

        with pytest.raises(ConnectionLost, match="enough"):
            await within(session.wait_closed())
        with pytest.raises(SessionClosed, match="enough"):
            await session.call("com.example.procedure")


async def test_without_reconnecting_a_lost_connection_is_the_end(scene: Scene) -> None:
    async with through_proxy(scene, reconnect=False, resumable=False) as (proxy, session):
        proxy.cut()

        with pytest.raises(ConnectionLost):
            await within(session.wait_closed())
    assert proxy.connections == 1


async def test_refusals_are_not_repeated_for_ever(scene: Scene) -> None:
    scene.gateway.resume_window = 0
    reconnect = Reconnect(first_delay=0.01, max_delay=0.01, max_refusals=3)
    async with through_proxy(scene, reconnect=reconnect) as (proxy, session):
        del scene.gateway.realms["realm1"]
        proxy.cut()

        with pytest.raises(HandshakeRefused, match="no realm"):
            await within(session.wait_closed())
        assert proxy.connections == 4


async def test_a_router_that_is_full_is_asked_again_for_ever(scene: Scene) -> None:
    scene.gateway.resume_window = 0
    reconnect = Reconnect(first_delay=0.01, max_delay=0.01, max_refusals=3)
    open_again = scene.gateway.check_room
    refused: list[str] = []
    diary = Diary()

    def full(realm: Realm, authid: str, authrole: str) -> None:
        refused.append(authid)
        if len(refused) == 6:
            scene.gateway.check_room = open_again  # type: ignore[method-assign]
        raise HandshakeRefused(LIMIT_EXCEEDED, "too many sessions are open")

    async with through_proxy(scene, reconnect=reconnect, **diary.hooks()) as (proxy, _session):
        scene.gateway.check_room = full  # type: ignore[method-assign]
        proxy.cut()
        await diary.wait_for("join", 2)
    assert len(refused) == 6


async def test_the_first_connection_has_a_deadline(free_port: int) -> None:
    with pytest.raises(ConnectionFailed, match="no session within"):
        await connect(f"ws://127.0.0.1:{free_port}/ws", timeout=0.2)


async def test_who_waits_for_a_router_is_told_at_once_why(caplog: pytest.LogCaptureFixture, free_port: int) -> None:
    reason = f"cannot connect to 127.0.0.1 port {free_port}: nothing listens there; is the router running?"

    with pytest.raises(ConnectionFailed) as raised:
        await connect(f"ws://127.0.0.1:{free_port}/ws", timeout=1.5, reconnect=QUICK)
    assert str(raised.value) == f"no session within 1.5 s: {reason}"
    assert [record.message for record in caplog.records] == [f"{reason}; trying again for 1.5 s"]


async def test_tls_with_a_server_that_has_none_is_called_that(scene: Scene) -> None:
    with pytest.raises(ConnectionFailed, match="what listens there does not speak TLS"):
        await connect(f"wss://127.0.0.1:{scene.port}/ws", reconnect=False)


async def test_a_router_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        for url in (f"ws://127.0.0.1:{port}/ws", f"rs://127.0.0.1:{port}"):
            with pytest.raises(ConnectionFailed, match="no session within"):
                await connect(url, timeout=0.1)


async def test_a_router_that_starts_later_is_waited_for(scene: Scene) -> None:
    has_failed = asyncio.Event()

    class Observed(Reconnect):
        def delay(self, attempt: int) -> float:
            if attempt > 0:
                has_failed.set()
            return QUICK.delay(attempt)

    await scene.stop()
    connecting = asyncio.ensure_future(connect(f"ws://127.0.0.1:{scene.port}/ws", reconnect=Observed())._start())
    await within(has_failed.wait())
    async with Scene(Path(scene.path).parent, scene.port):
        session = await within(connecting)
        await session.close()


@pytest.mark.slow
async def test_a_router_is_killed_twenty_times_in_the_middle_of_traffic(free_port: int) -> None:
    router = await asyncio.to_thread(RouterProcess, "--port", str(free_port))
    lost = answered = 0
    stop = False

    async def add(a: int, b: int) -> int:
        return a + b

    async def keep_calling(session: Session) -> None:
        nonlocal lost, answered
        number = 0
        while not stop:
            number += 1
            try:
                assert await within(session.call("com.example.add", number, 1)) == number + 1
                answered += 1
            except ConnectionLost:
                lost += 1
            except LookupError:
                await asyncio.sleep(0.001)  # the callee is not there again yet

    try:
        url, options = f"ws://127.0.0.1:{free_port}/ws", {"reconnect": QUICK}
        async with connect(url, **options) as caller, connect(f"rs://127.0.0.1:{free_port}", **options) as callee:  # type: ignore[arg-type]
            got: asyncio.Queue[int] = asyncio.Queue()
            await callee.register(add, "com.example.add")
            await callee.subscribe(got.put, "com.example.topic")
            callers = [asyncio.create_task(keep_calling(caller)) for _ in range(8)]
            for round in range(20):
                async with asyncio.timeout(TIMEOUT):
                    while answered < (round + 1) * 50:
                        await caller.publish("com.example.nobody", options=PublishOptions(acknowledge=True))
                router.signal(signal.SIGKILL)
                await asyncio.to_thread(router.kill)
                router = await asyncio.to_thread(RouterProcess, "--port", str(free_port))
                async with asyncio.timeout(TIMEOUT):
                    while True:
                        await caller.publish("com.example.topic", round)
                        try:
                            async with asyncio.timeout(0.05):
                                while await got.get() != round:
                                    pass
                            break
                        except TimeoutError:
                            pass
            stop = True
            await within(asyncio.gather(*callers))
    finally:
        await asyncio.to_thread(router.stop)
    assert lost >= 20
    assert answered >= 1000
