"""In which order messages arrive, whatever is in between (basic/security_model.md, Ordering Guarantees).

The plain cases are in test_publish_subscribe.py and test_procedures.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
from tests.conformance.router import RealmUnderTest, Router

from rocade.router.permissions import Action, Decision
from rocade.router.session import Session
from rocade.wamp.messages import (
    Call,
    CallOptions,
    Event,
    Invocation,
    Match,
    Publish,
    PublishOptions,
    Register,
    Registered,
    RegisterOptions,
    Result,
    Subscribe,
    Subscribed,
    SubscribeOptions,
)

MANY = 120
"""Subscribers: routers that deliver in slices do so by the hundred."""


class Hesitant:
    """An authorizer that allows everything, what is below "slow." after some turns of the event loop only."""

    def authorize(
        self, session: Session, action: Action, uri: str, match: Match, options: Any = None
    ) -> Decision | Awaitable[Decision]:
        """See `rocade.serve.authorization.Authorizer`."""
        return self._later() if uri.startswith("slow.") else Decision(True)

    async def _later(self) -> Decision:
        for _ in range(5):
            await asyncio.sleep(0)
        return Decision(True)


@pytest.fixture
def hesitant(router: Router) -> Iterator[None]:
    """An authorizer that takes its time over some requests."""
    usual, router.gateway.authorizer = router.gateway.authorizer, Hesitant()
    yield
    router.gateway.authorizer = usual


@pytest.mark.usefixtures("hesitant")
async def test_events_keep_their_order_although_some_wait_for_an_authorizer(realm: RealmUnderTest) -> None:
    """Ordering Guarantees: Event 1 to Topic 1, then Event 2 to Topic 2."""
    subscriber, publisher = await realm.join(), await realm.join()
    await subscriber.subscribe("", match=Match.PREFIX)

    for number in range(60):
        topic = "slow.topic" if number % 7 == 0 else "quick.topic"
        await publisher.send(Publish(publisher.next_request(), PublishOptions(), topic, [number]))

    assert [(await subscriber.expect(Event)).args for _ in range(60)] == [[number] for number in range(60)]


@pytest.mark.usefixtures("hesitant")
async def test_invocations_keep_their_order_although_some_wait_for_an_authorizer(realm: RealmUnderTest) -> None:
    """Ordering Guarantees: Call 1 to Procedure 1, then Call 2 to Procedure 2."""
    callee, caller = await realm.join(), await realm.join()
    await callee.register("slow.procedure")
    await callee.register("quick.procedure")

    for number in range(60):
        await caller.call("slow.procedure" if number % 7 == 0 else "quick.procedure", number)

    assert [(await callee.expect(Invocation)).args for _ in range(60)] == [[number] for number in range(60)]


@pytest.mark.usefixtures("hesitant")
async def test_the_answers_come_before_the_first_event_and_invocation_also_after_waiting(
    realm: RealmUnderTest,
) -> None:
    """Ordering Guarantees: SUBSCRIBED before any EVENT, REGISTERED before any INVOCATION."""
    peer, other = await realm.join(), await realm.join()

    await peer.send(Subscribe(peer.next_request(), SubscribeOptions(), "slow.topic"))
    await peer.send(Register(peer.next_request(), RegisterOptions(), "slow.procedure"))
    for number in range(20):
        await other.send(Publish(other.next_request(), PublishOptions(), "slow.topic", [number]))
        await other.send(Call(other.next_request(), CallOptions(), "slow.procedure", [number]))

    seen: set[type] = set()
    last = None
    while last != ["last"]:
        message = await peer.receive()
        assert type(message) is not Event or Subscribed in seen
        assert type(message) is not Invocation or Registered in seen
        seen.add(type(message))
        if isinstance(message, Registered):
            await other.send(Publish(other.next_request(), PublishOptions(), "slow.topic", ["last"]))
            await other.call("slow.procedure", "last")
        elif isinstance(message, Invocation):
            last = message.args

    assert seen == {Subscribed, Registered, Event, Invocation}


async def test_each_of_many_subscribers_gets_the_events_in_order(realm: RealmUnderTest) -> None:
    """Ordering Guarantees hold for any pair of publisher and subscriber, however many there are."""
    publisher = await realm.join()
    subscribers = [await realm.join(transport="memory") for _ in range(MANY)]
    for subscriber in subscribers:
        await subscriber.subscribe("com.example.one")
        await subscriber.subscribe("com.example.two")

    for number in range(10):
        topic = ("com.example.one", "com.example.two")[number % 2]
        await publisher.send(Publish(publisher.next_request(), PublishOptions(), topic, [number]))

    for subscriber in subscribers:
        assert [(await subscriber.expect(Event)).args for _ in range(10)] == [[number] for number in range(10)]


async def test_a_subscriber_with_another_serializer_gets_the_events_in_order(realm: RealmUnderTest) -> None:
    """Ordering Guarantees, with events that take some longer to translate than others."""
    publisher = await realm.join()
    subscribers = [await realm.join(serializer=serializer) for serializer in ("json", "msgpack", "cbor")]
    for subscriber in subscribers:
        await subscriber.subscribe("com.example.", match=Match.PREFIX)

    for number in range(40):
        load = {"deep": [b"\x00\xff" * 500] * (20 if number % 5 == 0 else 0)}
        topic = f"com.example.{number % 3}"
        await publisher.send(Publish(publisher.next_request(), PublishOptions(), topic, [number, load]))

    for subscriber in subscribers:
        assert [(await subscriber.expect(Event)).args[0] for _ in range(40)] == list(range(40))


async def test_progressive_results_of_one_call_keep_their_order_among_those_of_others(realm: RealmUnderTest) -> None:
    """advanced/rpc_progressive_call_results.md: each call's results in order, those of different calls in any."""
    callee, caller = await realm.join(), await realm.join()
    await callee.register("com.example.count")
    requests = [await caller.call("com.example.count", receive_progress=True) for _ in range(3)]
    invocations = [await callee.expect(Invocation) for _ in range(3)]

    for number in range(20):
        for invocation in reversed(invocations):
            await callee.yield_(invocation, number, progress=number < 19 or None)

    results: dict[int, list[int]] = {request: [] for request in requests}
    for _ in range(60):
        result = await caller.expect(Result)
        results[result.request].append(result.args[0])
    assert list(results.values()) == [list(range(20))] * 3
