"""How fast clients are read, on a clock that only the test moves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.serve.scene import Client, pass_time

from rocade.router.permissions import Action, Decision, Permission, Role
from rocade.router.session import Session
from rocade.serve.admission import MAX_WAITING
from rocade.serve.gateway import Gateway
from rocade.serve.limits import Allowances, RoleAllowances
from rocade.serve.rates import Bucket, Rates
from rocade.wamp.messages import Match, Published, Subscribed

EVERYTHING = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)


def gateway(authorizer: Any = None, **rates: float) -> Gateway:
    found = Gateway(authorizer=authorizer)
    allowances = Allowances(every_role=RoleAllowances(rates=Rates(**rates)))
    found.add_realm("realm1", [Role("user", [EVERYTHING])], allowances=allowances)
    return found


def publish(client: Client, count: int, text: str = "") -> None:
    for _ in range(count):
        client.publish("com.topic", text, acknowledge=True)


def published(client: Client) -> int:
    messages = client.take()
    assert all(type(message) is Published for message in messages)
    return len(messages)


def test_a_bucket_gives_what_has_come_and_no_more_than_its_burst() -> None:
    now = 0.0
    bucket = Bucket(10, 5, lambda: now)
    assert [bucket.take(1) for _ in range(5)] == [0.0] * 5
    assert bucket.take(1) == pytest.approx(0.1)
    assert bucket.take(1) == pytest.approx(0.2)
    now += 0.2
    assert bucket.take(0) == pytest.approx(0.0)
    now += 1000
    assert [bucket.take(5), bucket.take(1)] == [0.0, pytest.approx(0.1)]


async def test_the_burst_comes_at_once_and_the_rest_at_its_rate() -> None:
    client = Client(gateway(message_rate=10, message_burst=20))
    client.join()
    publish(client, 60)
    # the first one that owes something is let in, and then the reader stops
    assert published(client) == 21

    total = 21
    for second in range(1, 4):
        for _ in range(10):
            await pass_time(0.1)
        total += published(client)
        assert abs(total - (20 + 10 * second)) <= 1
    for _ in range(20):
        await pass_time(0.1)
    assert total + published(client) == 60


async def test_bytes_are_counted_too_and_a_large_message_is_paid_for_afterwards() -> None:
    client = Client(gateway(byte_rate=1000, byte_burst=2000))
    client.join()
    publish(client, 1, "x" * 10_000)
    publish(client, 1)
    assert published(client) == 1

    await pass_time(7.9)
    assert published(client) == 0
    await pass_time(0.3)
    assert published(client) == 1


class Slow:
    """An authorizer that has not decided yet."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

    def authorize(self, session: Session, action: Action, uri: str, match: Match, options: Any) -> Any:
        return self._decide() if action is Action.PUBLISH else Decision(True)

    async def _decide(self) -> Decision:
        return await asyncio.shield(self.answer)


async def test_a_reader_that_waits_for_an_authorizer_is_not_let_go_on_by_its_rate() -> None:
    slow = Slow()
    client = Client(gateway(slow, message_rate=1000, message_burst=10))
    client.join()
    publish(client, 2 * MAX_WAITING)
    for _ in range(5):
        await pass_time(1)

    assert client.connection._admission.is_full
    assert len(client.connection._admission._waiting) <= MAX_WAITING + 1

    slow.answer.set_result(Decision(True))
    for _ in range(20):
        await pass_time(1)
    assert published(client) == 2 * MAX_WAITING


async def test_nothing_is_left_of_a_client_that_leaves_while_it_is_slowed_down() -> None:
    gate = gateway(message_rate=1, message_burst=1)
    client = Client(gate)
    client.join()
    client.subscribe("com.topic")
    client.subscribe("com.other")
    assert [type(message) for message in client.take()] == [Subscribed, Subscribed]
    meter = client.connection._meter
    assert meter._timer is not None

    client.link.lose()

    assert meter._timer is None
    assert not gate.connections


async def test_the_next_session_on_the_same_connection_begins_afresh() -> None:
    client = Client(gateway(message_rate=1, message_burst=5))
    client.join()
    publish(client, 3)
    client.goodbye()
    client.take()

    client.join()
    publish(client, 5)
    assert published(client) == 5
