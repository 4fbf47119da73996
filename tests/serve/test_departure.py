"""A session that has much leaves bit by bit, and all others go on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.conformance.waiting import TIMEOUT
from tests.serve.scene import WIRES, Client, open_gateway, pass_time, settle

from rocade.router.departure import MUCH
from rocade.router.permissions import Permission, Role
from rocade.serve import backlog, delivery
from rocade.serve.authentication import Anonymous
from rocade.serve.gateway import Gateway
from rocade.serve.limits import Allowances, RoleAllowances
from rocade.wamp.messages import Abort, Error, Event, Goodbye, Match, Result, Welcome


@pytest.fixture(autouse=True)
def _little_by_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than one thing is ended in each round of the loop, however fast the machine is."""
    monkeypatch.setattr(backlog, "SLICE_SECONDS", -1.0)
    monkeypatch.setattr(delivery, "MOST_STEPS", 1)


def joined(gateway: Gateway, *, owning: int = 0, resumable: bool = False) -> tuple[Client, Welcome]:
    """A client with so many registrations, and one subscription more."""
    client = Client(gateway)
    client.hello(resumable=resumable)
    welcome = client.take_one()
    client.last_request = 0
    for number in range(owning):
        client.register(f"com.p{number}")
    if owning:
        client.subscribe("com.topic")
    client.take()
    return client, welcome


def ids(gateway: Gateway) -> list[int]:
    return list(gateway.realms["realm1"].sessions)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def until_it_is_gone(gateway: Gateway, session: int) -> None:
    await until(lambda: session not in ids(gateway))


async def test_others_are_served_while_a_session_that_has_much_leaves() -> None:
    gateway = open_gateway()
    (leaving, welcome), (other, _) = joined(gateway, owning=MUCH), joined(gateway)
    other.subscribe("wamp.session.on_leave")
    other.take()

    leaving.link.lose()
    for _ in range(3):
        await asyncio.sleep(0)
        other.call("wamp.session.count")
        assert other.args(other.take_one()) == [2]
    await until_it_is_gone(gateway, welcome.session)

    event = other.take_one()
    assert (type(event), other.args(event)[0]) == (Event, welcome.session)


async def test_what_is_left_of_it_meanwhile_answers_that_the_callee_is_gone() -> None:
    gateway = open_gateway()
    (leaving, welcome), (other, _) = joined(gateway, owning=MUCH), joined(gateway)
    leaving.link.lose()
    await asyncio.sleep(0)

    # The first one registered is the last one that ends.
    other.call("com.p0")
    await until_it_is_gone(gateway, welcome.session)

    error = other.take_one()
    assert (type(error), error.error) == (Error, "wamp.error.canceled")
    other.call("com.p0")
    assert other.take_one().error == "wamp.error.no_such_procedure"


async def test_its_client_is_answered_at_once_and_may_open_another_session_meanwhile() -> None:
    gateway = open_gateway()
    (client, before), (other, _) = joined(gateway, owning=MUCH), joined(gateway)

    client.goodbye()
    assert type(client.take_one()) is Goodbye
    after = client.join()
    assert ids(gateway)[0] == before.session
    other.publish("com.topic")
    other.call("com.p0")
    await until_it_is_gone(gateway, before.session)

    # What was for the session before is not for this one.
    assert client.take() == []
    assert after.session in ids(gateway)
    client.subscribe("com.topic")
    client.take()
    other.publish("com.topic")
    assert type(client.take_one()) is Event


async def test_what_is_translated_for_it_still_comes_in_its_turn() -> None:
    """A GOODBYE waits behind a long event, and does not wait for ever."""
    gateway = open_gateway()
    publisher = Client(gateway, wire=WIRES["msgpack"])
    publisher.join()
    client, welcome = joined(gateway, owning=MUCH)
    publisher.publish("com.topic", ["x" * 100] * 1500)
    await until(lambda: bool(gateway.translating.backlog))

    client.goodbye()
    assert client.take() == []
    await until_it_is_gone(gateway, welcome.session)
    await until(lambda: not gateway.translating.backlog)

    assert [type(message) for message in client.take()] == [Event, Goodbye]
    await gateway.shutdown()


async def test_a_session_that_is_leaving_cannot_be_resumed() -> None:
    gateway = open_gateway(resume_window=60)
    client, welcome = joined(gateway, owning=MUCH, resumable=True)
    client.goodbye()
    client.link.lose()

    again = Client(gateway)
    token = welcome.details.resume_token
    again.hello(resumable=True, resume_session=welcome.session, resume_token=token, received=0)

    refused = again.take_one()
    assert (type(refused), refused.reason) == (Abort, "wamp.error.no_such_session")
    assert welcome.session in ids(gateway)
    await until_it_is_gone(gateway, welcome.session)


async def test_a_session_that_was_not_resumed_leaves_bit_by_bit_and_cannot_be_resumed_meanwhile() -> None:
    gateway = open_gateway(resume_window=60)
    client, welcome = joined(gateway, owning=MUCH, resumable=True)
    client.link.lose()
    await pass_time(61)
    assert ids(gateway) == [welcome.session]

    again = Client(gateway)
    token = welcome.details.resume_token
    again.hello(resumable=True, resume_session=welcome.session, resume_token=token, received=0)

    assert type(again.take_one()) is Abort
    await until_it_is_gone(gateway, welcome.session)
    assert gateway.usage(gateway.realms["realm1"]).parking.sessions == 0


async def test_a_session_that_is_leaving_does_not_count_among_those_of_its_authid() -> None:
    gateway = open_gateway(realms=())
    role = RoleAllowances(authid_sessions=1)
    template = open_gateway().realms["realm1"].roles["user"]
    gateway.add_realm("realm1", [template], allowances=Allowances(every_role=role))
    client, welcome = joined(gateway, owning=MUCH)
    authid = welcome.details.authid
    client.link.lose()

    gateway.check_room(gateway.realms["realm1"], authid, "user")
    assert welcome.session in ids(gateway)
    await until_it_is_gone(gateway, welcome.session)
    gateway.check_room(gateway.realms["realm1"], authid, "user")


async def test_a_killed_session_that_has_much_is_told_at_once() -> None:
    gateway = open_gateway()
    (client, welcome), (admin, _) = joined(gateway, owning=MUCH), joined(gateway)

    request = admin.call("wamp.session.kill", welcome.session)
    await settle()
    goodbye = client.take_one()
    assert (type(goodbye), goodbye.reason) == (Goodbye, "wamp.close.killed")
    client.subscribe("com.other")
    client.goodbye("wamp.close.goodbye_and_out")
    assert client.link.closed
    assert admin.take() == []
    await until_it_is_gone(gateway, welcome.session)
    await settle()

    answer = admin.take_one()
    assert (type(answer), answer.request) == (Result, request)
    assert gateway.realms["realm1"].broker.subscriptions == {}


async def test_killing_a_session_that_is_leaving_ends_nothing_that_came_after_it() -> None:
    gateway = open_gateway()
    (client, before), (admin, _) = joined(gateway, owning=MUCH), joined(gateway)
    client.goodbye()
    client.take()
    client.join()

    admin.call("wamp.session.kill", before.session)
    await settle()

    assert type(admin.take_one()) is Result
    client.call("wamp.session.count")
    assert type(client.take_one()) is Result
    await until_it_is_gone(gateway, before.session)


async def test_many_sessions_that_are_killed_go_one_after_the_other() -> None:
    gateway = open_gateway()
    clients = [joined(gateway)[0] for _ in range(MUCH)]
    admin, _ = joined(gateway)

    admin.call("wamp.session.kill_all")
    await asyncio.sleep(0)
    assert 0 < sum(type(message) is Goodbye for client in clients for message in client.take()) < MUCH
    # Some go by themselves before it is their turn.
    clients[-1].goodbye()
    clients[-2].link.lose()
    await until(lambda: len(ids(gateway)) == 1)
    await settle()

    assert admin.args(admin.take_one()) == [MUCH]
    assert [len(client.take()) for client in clients[-3:]] == [1, 0, 1]


async def test_many_sessions_leave_side_by_side() -> None:
    gateway = open_gateway()
    leaving = [joined(gateway) for _ in range(3)]
    for number, (client, _) in enumerate(leaving):
        for topic in range(MUCH + 1):
            client.subscribe(f"com.t{number}.{topic}")
        client.link.lose()

    for _ in range(30):
        await asyncio.sleep(0)
    sessions = gateway.realms["realm1"].sessions.values()
    assert len({len(session.subscriptions) for session in sessions}) <= 2
    for _, welcome in leaving:
        await until_it_is_gone(gateway, welcome.session)


async def test_a_shutdown_sees_all_departures_through() -> None:
    gateway = open_gateway()
    (listener, _), (leaving, welcome) = joined(gateway), joined(gateway, owning=MUCH)
    listener.subscribe("com.testament")
    listener.take()
    leaving.call("wamp.session.add_testament", "com.testament", ["gone"], {})
    leaving.take()
    leaving.link.lose()
    assert welcome.session in ids(gateway)

    listener.link.lose()
    await gateway.shutdown()

    assert ids(gateway) == []
    assert gateway.realms["realm1"].broker.subscriptions == {}


async def test_a_departure_that_fails_does_not_keep_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = open_gateway()
    (first, _), (second, welcome) = joined(gateway, owning=MUCH), joined(gateway)
    for topic in range(MUCH + 1):
        second.subscribe(f"com.t{topic}", Match.PREFIX)
    monkeypatch.setattr(gateway.realms["realm1"].dealer, "end_registration", lambda session: 1 / 0)
    first.link.lose()
    second.link.lose()

    await until_it_is_gone(gateway, welcome.session)

    assert "our fault, in what takes long in 'realm1'" in caplog.text


async def test_others_are_served_while_a_long_list_is_put_together_for_somebody_who_may_not_see_all() -> None:
    gateway = open_gateway(realms=())
    everything = open_gateway().realms["realm1"].roles["user"]
    rules = [Permission(uri="", match=Match.PREFIX, call=True), Permission(uri="com.p1", match=Match.PREFIX)]
    gateway.add_realm("realm1", [everything, Role("onlooker", rules)])
    joined(gateway, owning=2 * MUCH)
    client, other = Client(gateway, authenticators={"anonymous": Anonymous("onlooker")}), Client(gateway)
    client.join()
    other.join()

    client.call("wamp.registration.list")
    for _ in range(3):
        await asyncio.sleep(0)
        other.call("wamp.session.count")
        assert other.args(other.take_one()) == [3]
        assert client.take() == []
    client.call("wamp.session.count")
    assert client.args(client.take_one()) == [3]
    result: list[Any] = []
    await until(lambda: bool(result.extend(client.take()) or result))

    (ids,) = client.args(result[0])
    uris = [registration.uri for registration in gateway.realms["realm1"].dealer.registrations.values()]
    assert len(ids["exact"]) == sum(not uri.startswith("com.p1") for uri in uris)


async def test_others_are_served_while_thousands_of_subscriptions_that_match_are_listed() -> None:
    gateway = open_gateway()
    (client, _), (other, _) = joined(gateway), joined(gateway)
    for number in range(2**12):
        client.subscribe(".".join("" if number >> bit & 1 else "a" for bit in range(12)), Match.WILDCARD)
    client.take()
    subscriptions = list(gateway.realms["realm1"].broker.subscriptions)

    request = client.call("wamp.subscription.match", ".".join("a" * 12))
    for _ in range(3):
        await asyncio.sleep(0)
        other.call("wamp.session.count")
        assert other.args(other.take_one()) == [2]
        assert client.take() == []
    result: list[Any] = []
    await until(lambda: bool(result.extend(client.take()) or result))

    (ids,) = client.args(result[0])
    assert result[0].request == request
    assert sorted(ids) == subscriptions
