"""That what comes by one way leaves by any other, and what each transport adds of its own."""

from __future__ import annotations

import asyncio

from tests.conformance.carriers import RawSocketCarrier, WebSocketCarrier
from tests.conformance.router import RealmUnderTest, Router
from tests.conformance.waiting import TIMEOUT

from rocade.wamp.framing import FrameType, encode_handshake, frame_control
from rocade.wamp.messages import Event, Invocation, Result

TRANSPORTS = (
    "memory",
    "websocket",
    "rawsocket",
    "unix",
    "unix-websocket",
    "websocket-tls",
    "longpoll",
    "longpoll-batched",
)


async def test_an_event_reaches_subscribers_on_every_transport(realm: RealmUnderTest) -> None:
    subscribers = [await realm.join(transport=transport) for transport in TRANSPORTS]
    publisher = await realm.join()
    for subscriber in subscribers:
        await subscriber.subscribe("com.example.topic")

    publication = await publisher.publish("com.example.topic", "to all")

    for subscriber in subscribers:
        event = await subscriber.expect(Event)
        assert (event.publication, event.args) == (publication, ["to all"])


async def test_a_call_reaches_callees_on_every_transport(realm: RealmUnderTest) -> None:
    caller = await realm.join()
    for transport in TRANSPORTS:
        callee = await realm.join(transport=transport)
        registration = await callee.register("com.example.where")

        await caller.call("com.example.where")
        await callee.yield_(await callee.expect(Invocation), transport)

        assert (await caller.expect(Result)).args == [transport]
        await callee.unregister(registration)


async def test_websocket_works_over_a_unix_socket(realm: RealmUnderTest) -> None:
    peer = await realm.join(transport="unix-websocket")

    await peer.register("com.example.echo")
    await peer.call("com.example.echo", "hello")
    await peer.yield_(await peer.expect(Invocation), "hello yourself")

    assert isinstance(peer.carrier, WebSocketCarrier)
    assert (await peer.expect(Result)).args == ["hello yourself"]


async def test_rawsocket_answers_each_ping_with_its_payload(router: Router) -> None:
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
        writer.write(encode_handshake("json", 1 << 20))
        writer.write(frame_control(FrameType.PING, b"are you there?"))
        writer.write(frame_control(FrameType.PING, b""))

        assert await reader.readexactly(4) == b"\x7f\xf1\x00\x00"
        assert await reader.readexactly(4 + 14) == frame_control(FrameType.PONG, b"are you there?")
        assert await reader.readexactly(4) == frame_control(FrameType.PONG, b"")

        writer.close()
        await writer.wait_closed()
        await router.settle()


async def test_rawsocket_announces_the_longest_message_that_it_accepts(realm: RealmUnderTest) -> None:
    peer = await realm.connect(transport="rawsocket")

    assert isinstance(peer.carrier, RawSocketCarrier)
    assert peer.carrier.max_send_bytes == 1 << 24
