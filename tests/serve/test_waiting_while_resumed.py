"""Messages that wait for an authorizer while their session goes on with another connection."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from tests.serve.scene import WIRES, Client, open_gateway, pass_time, settle

from rocade.router import publication
from rocade.router.permissions import Action, Decision
from rocade.router.session import Session
from rocade.serve.admission import MAX_WAITING
from rocade.serve.gateway import Gateway
from rocade.serve.resumption import ResumableOutbox
from rocade.serve.session import ConnectedSession
from rocade.wamp.messages import Event, Match, Published, Result, Welcome

YES = Decision(True)


class Slow:
    """An authorizer that has no answer about publications on "slow.topic" until the test gives one."""

    def __init__(self) -> None:
        self.answer = asyncio.get_running_loop().create_future()

    def authorize(self, session: Session, action: Action, uri: str, match: Match, options: Any = None) -> Any:
        return self.answer if uri == "slow.topic" and action is Action.PUBLISH else YES


def joined(gateway: Gateway, serializer: str) -> tuple[Client, Welcome]:
    client = Client(gateway, wire=WIRES[serializer])
    client.hello(resumable=True)
    welcome = client.take_one()
    assert type(welcome) is Welcome
    client.last_request = 0
    return client, welcome


def resumed(gateway: Gateway, before: Client, welcome: Welcome, serializer: str) -> Client:
    client = Client(gateway, wire=WIRES[serializer])
    details = welcome.details
    client.hello(resumable=True, resume_session=welcome.session, resume_token=details.resume_token, received=0)
    welcome = client.take()[0]
    assert type(welcome) is Welcome, welcome
    assert welcome.details.resumed
    client.last_request = before.last_request
    return client


@pytest.mark.parametrize("after", ["json", "msgpack", "cbor"])
@pytest.mark.parametrize("before", ["json", "msgpack", "cbor"])
async def test_what_waits_is_read_as_it_was_sent_whatever_the_session_speaks_now(before: str, after: str) -> None:
    slow = Slow()
    gateway = open_gateway(slow, resume_window=60)
    listener = Client(gateway)
    listener.join()
    for topic in ("slow.topic", "com.topic"):
        listener.subscribe(topic)
    listener.take()
    client, welcome = joined(gateway, before)
    payload = {"text": "grüße", "list": [1, 2.5, None, True]}
    client.publish("slow.topic", payload, b"\x00\xff")
    client.publish("com.topic", payload, acknowledge=True)
    client.call("wamp.session.get", welcome.session)
    await settle()
    client.link.lose()

    client = resumed(gateway, client, welcome, after)
    client.publish("com.topic", "with the new serializer", acknowledge=True)
    slow.answer.set_result(YES)
    await settle()

    events = listener.take()
    assert [type(event) for event in events] == [Event] * 3
    expected = [[payload, b"\x00\xff"], [payload], ["with the new serializer"]]
    if listener.link.wire.serializer.name == "json":
        assert [listener.args(event) for event in events] == expected
    published, result, last = client.take()
    assert (type(published), type(result), type(last)) == (Published, Result, Published)
    assert client.args(result)[0]["session"] == welcome.session


async def test_an_event_for_very_many_is_in_the_serializer_that_it_was_sent_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "MANY_SUBSCRIPTIONS", 1)
    slow = Slow()
    gateway = open_gateway(slow, resume_window=60)
    listener = Client(gateway)
    listener.join()
    for topic in ("slow.topic", "slow", "slow."):
        listener.subscribe(topic, Match.PREFIX)
    listener.take()
    client, welcome = joined(gateway, "json")
    client.publish("slow.topic", "text", 1)
    await settle()
    client.link.lose()

    resumed(gateway, client, welcome, "msgpack")
    slow.answer.set_result(YES)
    await settle()

    assert [listener.args(event) for event in listener.take()] == [["text", 1]] * 3


async def test_a_reader_that_was_paused_is_paused_on_the_new_connection_too() -> None:
    slow = Slow()
    gateway = open_gateway(slow, resume_window=60)
    client, welcome = joined(gateway, "json")
    client.publish("slow.topic")
    for _ in range(MAX_WAITING):
        client.publish("com.topic", acknowledge=True)
    await settle()
    assert client.link.reading == ["pause"]
    assert len(client.link.held) == 1
    client.link.lose()

    client = resumed(gateway, client, welcome, "json")
    client.last_request -= 1  # the last one was not read
    for _ in range(3):
        client.publish("com.topic", acknowledge=True)

    assert client.link.reading == ["pause"]
    assert len(client.link.held) == 3
    slow.answer.set_result(YES)
    await settle()
    assert client.link.reading == ["pause", "resume"]
    assert len(client.link.held) == 0
    assert len(client.take()) == MAX_WAITING - 1 + 3


async def test_what_was_let_in_while_there_was_no_connection_is_answered_on_the_next() -> None:
    slow = Slow()
    gateway = open_gateway(slow, resume_window=60)
    client, welcome = joined(gateway, "json")
    for _ in range(MAX_WAITING):
        client.publish("slow.topic", acknowledge=True)
    await settle()
    client.link.lose()
    slow.answer.set_result(YES)
    await settle()

    details = welcome.details
    client = Client(gateway, wire=WIRES["cbor"])
    client.hello(resumable=True, resume_session=welcome.session, resume_token=details.resume_token, received=0)

    assert [type(message) for message in client.take()] == [Welcome] + [Published] * MAX_WAITING
    assert client.link.reading == []


async def test_a_long_message_that_was_translated_without_a_connection_counts_among_what_is_kept() -> None:
    gateway = open_gateway(resume_window=60)
    publisher = Client(gateway, wire=WIRES["json"])
    publisher.join()
    client, welcome = joined(gateway, "msgpack")
    client.subscribe("com.topic")
    client.take()
    parking = gateway.usage(gateway.realms["realm1"]).parking

    publisher.publish("com.topic", ["x" * 100] * 1200)
    client.link.lose()
    assert parking.bytes < 1000
    assert gateway.translating.backlog > 120_000
    translated = asyncio.Event()
    gateway.translating.call_below(1, translated.set)
    async with asyncio.timeout(30):
        await translated.wait()

    assert parking.bytes > 120_000
    client = resumed(gateway, client, welcome, "msgpack")
    assert (parking.sessions, parking.bytes) == (0, 0)
    gateway.translating.close()


@pytest.mark.parametrize("end", ["goodbye", "killed", "killed while it is away", "not resumed in time"])
async def test_nothing_is_left_of_a_session_that_could_have_been_resumed(end: str) -> None:
    """Without the garbage collector, which seldom looks at what has been there for long."""
    gc.collect()
    of_others = {id(thing) for thing in gc.get_objects()}
    gateway = open_gateway(resume_window=60)
    publisher, (client, welcome) = Client(gateway), joined(gateway, "json")
    remaining = publisher.join().session
    client.subscribe("com.topic")
    publisher.publish("com.topic", "kept until it is confirmed")
    gc.disable()
    try:
        if end == "goodbye":
            client.goodbye()
        elif end == "killed":
            publisher.call("wamp.session.kill", welcome.session)
        else:
            client.link.lose()
            if end == "killed while it is away":
                publisher.call("wamp.session.kill", welcome.session)
            else:
                await pass_time(61)
        await settle()

        found = [thing for thing in gc.get_objects() if id(thing) not in of_others]
        assert [thing.id for thing in found if type(thing) is ConnectedSession] == [remaining]
        assert not any(thing.kept_bytes for thing in found if type(thing) is ResumableOutbox)
    finally:
        gc.enable()
