"""Messages that cross on their way: each end has spoken before it has heard the other.

What arrives first is not in a test's hands, so each of these holds whoever wins.
"""

from __future__ import annotations

import pytest
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import (
    Cancel,
    CancelMode,
    CancelOptions,
    CloseDetails,
    Error,
    Event,
    Goodbye,
    Interrupt,
    Invocation,
    Publish,
    Published,
    PublishOptions,
    Result,
    Unregister,
    Unregistered,
    Unsubscribe,
    Unsubscribed,
)

TOPIC, PROCEDURE = "com.example.topic", "com.example.procedure"
TIMES = 10


@pytest.mark.parametrize("first", ["caller", "callee"])
@pytest.mark.parametrize("mode", list(CancelMode))
async def test_a_cancel_that_crosses_the_result_brings_the_caller_one_answer(
    realm: RealmUnderTest, mode: CancelMode, first: str
) -> None:
    """advanced/rpc_call_canceling.md: RESULT or ERROR, depending on which is first; never both, never neither."""
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)

    for _ in range(TIMES):
        request = await caller.call(PROCEDURE)
        invocation = await callee.expect(Invocation)
        if first == "callee":
            await callee.yield_(invocation, "done")
        await caller.send(Cancel(request, CancelOptions(mode=mode)))
        if first == "caller":
            await callee.yield_(invocation, "done")

        answer = await caller.receive()
        assert isinstance(answer, Result | Error)
        assert answer.request == request
        assert isinstance(answer, Result) or answer.error == "wamp.error.canceled"
        await caller.expect_nothing()
        await callee.call("com.nowhere")
        while isinstance(message := await callee.receive(), Interrupt):
            assert message.request == invocation.request
        assert isinstance(message, Error)


async def test_a_result_that_crosses_its_timeout_brings_the_caller_one_answer(realm: RealmUnderTest) -> None:
    """advanced/rpc_call_timeout.md: the flow is that of canceling."""
    callee, caller = await realm.join(), await realm.join()
    await callee.register(PROCEDURE)

    for timeout in range(1, TIMES):
        request = await caller.call(PROCEDURE, timeout=timeout)
        invocation = await callee.expect(Invocation)
        await callee.yield_(invocation, "done")

        answer = await caller.receive()
        assert isinstance(answer, Result | Error)
        assert answer.request == request
        assert isinstance(answer, Result) or answer.error == "wamp.error.timeout"
        await caller.expect_nothing()
        await callee.call("com.nowhere")
        while isinstance(message := await callee.receive(), Interrupt):
            assert message.request == invocation.request
        assert isinstance(message, Error)


async def test_events_that_cross_an_unsubscribe_come_before_its_answer_or_not_at_all(realm: RealmUnderTest) -> None:
    """basic/publish_subscribe.md, UNSUBSCRIBED: the subscription is over."""
    subscriber, publisher = await realm.join(), await realm.join()

    for _ in range(TIMES):
        subscription = await subscriber.subscribe(TOPIC)
        await publisher.send(Publish(publisher.next_request(), PublishOptions(), TOPIC, [1]))
        await subscriber.send(Unsubscribe(subscriber.next_request(), subscription))
        await publisher.send(Publish(publisher.next_request(), PublishOptions(acknowledge=True), TOPIC, [2]))

        while isinstance(message := await subscriber.receive(), Event):
            assert message.subscription == subscription
        assert isinstance(message, Unsubscribed)
        await publisher.expect(Published)
        await subscriber.expect_nothing()


async def test_a_call_that_crosses_an_unregister_is_invoked_before_its_answer_or_refused(realm: RealmUnderTest) -> None:
    """basic/remote_procedure_call.md, UNREGISTERED: the registration is over, invocations under way are not."""
    callee, caller = await realm.join(), await realm.join()

    for _ in range(TIMES):
        registration = await callee.register(PROCEDURE)
        request = await caller.call(PROCEDURE)
        await callee.send(Unregister(callee.next_request(), registration))

        message = await callee.receive()
        if isinstance(message, Invocation):
            await callee.expect(Unregistered)
            await callee.yield_(message, "still")
            assert (await caller.expect(Result)).request == request
        else:
            assert isinstance(message, Unregistered)
            error = await caller.expect(Error)
            assert (error.request, error.error) == (request, "wamp.error.no_such_procedure")
        await callee.expect_nothing()
        await caller.expect_nothing()


async def test_goodbyes_that_cross_end_the_session_once(realm: RealmUnderTest) -> None:
    """basic/sessions.md, GOODBYE: each side has sent one and received one, and nothing follows."""
    killer, victim = await realm.join(), await realm.join()
    left = await killer.subscribe("wamp.session.on_leave")

    await killer.call("wamp.session.kill", victim.session)
    await victim.send(Goodbye(CloseDetails(), "wamp.close.close_realm"))

    answers = [await killer.receive(), await killer.receive()]
    assert [type(answer) for answer in answers].count(Event) == 1
    event = next(answer for answer in answers if isinstance(answer, Event))
    assert (event.subscription, event.args[0]) == (left, victim.session)
    goodbye = await victim.expect(Goodbye)
    assert goodbye.reason in ("wamp.close.killed", "wamp.close.goodbye_and_out")
    if goodbye.reason == "wamp.close.killed":
        await victim.expect_end()
    await killer.expect_nothing()


@pytest.mark.parametrize("way_out", ["goodbye", "vanish"])
async def test_who_leaves_in_the_middle_of_calls_both_ways_leaves_no_call_without_an_answer(
    realm: RealmUnderTest, way_out: str
) -> None:
    """basic/remote_procedure_call.md, Caller Leaving and Callee Leaving."""
    one, two = await realm.join(), await realm.join()
    await one.register("com.example.one")
    await two.register("com.example.two")
    mine = [await two.call("com.example.one", number) for number in range(TIMES)]
    for number in range(TIMES):
        await one.call("com.example.two", number)

    if way_out == "goodbye":
        await one.send(Goodbye(CloseDetails(), "wamp.close.close_realm"))
    else:
        await one.vanish()

    answered: set[int] = set()
    while len(answered) < TIMES:
        message = await two.receive()
        if isinstance(message, Error):
            assert message.request not in answered
            assert message.error in ("wamp.error.canceled", "wamp.error.no_such_procedure")
            answered.add(message.request)
        else:
            assert isinstance(message, Invocation | Interrupt)
    assert answered == set(mine)
