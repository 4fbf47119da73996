"""What the serving layer adds to progressive calls and to callees with limits: order, and one thing at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from tests.serve.scene import Client, open_gateway, settle

from rocade.router.permissions import Action, Decision, Permission, Role
from rocade.router.session import Session
from rocade.serve.gateway import Gateway
from rocade.wamp.messages import Abort, Call, CallOptions, Error, Invocation, Match, Result

FEATURES = {"call_canceling": True, "progressive_call_invocations": True}
PROCEDURE = "com.upload"


class OneByOne:
    """An authorizer that answers calls when the test says so, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: list[asyncio.Future[Decision]] = []

    def authorize(
        self, session: Session, action: Action, uri: str, match: Match, options: Any = None
    ) -> Decision | Awaitable[Decision]:
        if action is not Action.CALL:
            return Decision(True)
        self.asked.append(uri)
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]


def joined(gateway: Gateway, number: int, **options: Any) -> list[Client]:
    clients = [Client(gateway, **options) for _ in range(number)]
    for client in clients:
        client.join(features=FEATURES)
    return clients


def part(caller: Client, request: int, *args: Any, procedure: str = PROCEDURE, **options: Any) -> None:
    """Send a CALL with a request id that was used before."""
    caller.send(Call(request, CallOptions(**options), procedure, args))


def registered(callee: Client, **options: Any) -> None:
    callee.register(PROCEDURE, **options)
    callee.take()


# --- request ids --------------------------------------------------------------------------------------


async def test_parts_of_a_call_have_its_request_id_and_others_go_on_counting() -> None:
    caller, callee = joined(open_gateway(), 2)
    registered(callee)

    first = caller.call(PROCEDURE, 1, progress=True)
    caller.call(PROCEDURE, "other")
    part(caller, first, 2, progress=True)
    part(caller, first, 3)
    caller.call(PROCEDURE, "another")

    messages = callee.take()
    assert [(message.request, callee.args(message)) for message in messages] == [
        (1, [1]),
        (2, ["other"]),
        (1, [2]),
        (1, [3]),
        (3, ["another"]),
    ]


async def test_late_parts_are_ignored() -> None:
    caller, callee = joined(open_gateway(), 2)
    registered(callee)
    first = caller.call(PROCEDURE, progress=True)
    callee.error(callee.take_one().request)

    part(caller, first, progress=True)
    part(caller, first)
    caller.call("com.nothing")

    assert [type(message) for message in caller.take()] == [Error, Error]
    assert callee.take() == []


async def test_a_late_part_is_no_call_of_the_procedure_that_it_names() -> None:
    caller, _ = joined(open_gateway(), 2)
    caller.call("com.nothing", progress=True)
    caller.take()

    part(caller, 1, procedure="wamp.session.count")

    assert caller.take() == []


async def test_ids_must_count_even_where_they_need_not_for_those_who_announce_progressive_calls() -> None:
    gateway = Gateway()
    everything = Permission(uri="", match=Match.PREFIX, call=True, register=True, publish=True, subscribe=True)
    gateway.add_realm("realm1", [Role("user", [everything])], sequential_requests=False)
    caller, callee = joined(gateway, 2)
    registered(callee)
    caller.call(PROCEDURE, progress=True)
    callee.yield_(callee.take_one().request)
    assert type(caller.take_one()) is Result

    part(caller, 1)
    assert caller.take() == callee.take() == []
    part(caller, 9)
    assert type(caller.take_one()) is Abort


# --- authorization ------------------------------------------------------------------------------------


async def test_parts_are_not_authorized_again_but_wait_for_the_first() -> None:
    authorizer = OneByOne()
    caller, callee = joined(open_gateway(authorizer), 2)
    registered(callee)

    caller.call(PROCEDURE, 1, progress=True)
    part(caller, 1, 2, progress=True)
    part(caller, 1, 3)
    await settle()
    assert callee.take() == []
    authorizer.answers[0].set_result(Decision(True))
    await settle()

    assert [callee.args(message) for message in callee.take()] == [[1], [2], [3]]
    assert authorizer.asked == [PROCEDURE]


async def test_parts_of_a_call_that_is_not_allowed_are_ignored() -> None:
    authorizer = OneByOne()
    caller, callee = joined(open_gateway(authorizer), 2)
    registered(callee)
    caller.call(PROCEDURE, progress=True)
    part(caller, 1)

    authorizer.answers[0].set_result(Decision(False))
    await settle()
    part(caller, 1)

    assert caller.take_one().error == "wamp.error.not_authorized"
    assert callee.take() == []
    assert authorizer.asked == [PROCEDURE]


async def test_parts_of_a_call_that_was_canceled_while_it_waited_are_ignored() -> None:
    authorizer = OneByOne()
    caller, callee = joined(open_gateway(authorizer), 2)
    registered(callee)
    caller.call(PROCEDURE, progress=True)
    part(caller, 1, progress=True)
    caller.call(PROCEDURE, "next")

    caller.cancel(1)
    part(caller, 1)
    await settle()
    authorizer.answers[-1].set_result(Decision(True))
    await settle()

    assert caller.take_one().error == "wamp.error.canceled"
    assert callee.args(callee.take_one()) == ["next"]


async def test_cancel_reaches_a_call_although_a_part_of_it_waits_behind_something_else() -> None:
    authorizer = OneByOne()
    caller, callee = joined(open_gateway(authorizer), 2)
    registered(callee)
    caller.call(PROCEDURE, progress=True)
    authorizer.answers[0].set_result(Decision(True))
    await settle()
    caller.call("com.other")
    part(caller, 1)

    caller.cancel(1)

    assert caller.take_one().error == "wamp.error.canceled"
    assert [type(message).__name__ for message in callee.take()] == ["Invocation", "Interrupt"]
    authorizer.answers[1].set_result(Decision(True))
    await settle()
    assert caller.take_one().error == "wamp.error.no_such_procedure"
    assert callee.take() == []


# --- callees with limits ------------------------------------------------------------------------------


async def test_a_callee_with_a_limit_gets_the_next_call_with_its_answer() -> None:
    caller, callee = joined(open_gateway(), 2)
    registered(callee, concurrency=1)
    for number in range(3):
        caller.call(PROCEDURE, number)

    seen = []
    while messages := callee.take():
        (message,) = messages
        seen.append(callee.args(message))
        callee.yield_(message.request)

    assert seen == [[0], [1], [2]]
    assert [message.request for message in caller.take()] == [1, 2, 3]


async def test_any_number_of_waiting_calls_may_turn_out_to_be_too_large_for_the_callee() -> None:
    gateway = open_gateway()
    (caller,) = joined(gateway, 1)
    (callee,) = joined(gateway, 1, max_send_bytes=2000)
    registered(callee, concurrency=1)
    caller.call(PROCEDURE)
    for _ in range(900):
        caller.call(PROCEDURE, "x" * 2000)
    caller.call(PROCEDURE, "small")
    callee.yield_(callee.take_one().request)

    while gateway.delivery.has_backlog(gateway.realms["realm1"]):
        await settle()
    answers = caller.take()

    assert [type(answer) for answer in answers] == [Result] + [Error] * 900
    assert {answer.error for answer in answers[1:]} == {"wamp.error.payload_size_exceeded"}
    message = callee.take_one()
    assert type(message) is Invocation
    assert (message.request, callee.args(message)) == (2, ["small"])


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_call_that_waits_leaves_no_timer_behind(leaves: bool) -> None:
    gateway = open_gateway()
    caller, callee = joined(gateway, 2)
    registered(callee, concurrency=1)
    for _ in range(2):
        caller.call(PROCEDURE, timeout=60_000)
    assert len(gateway.delivery._timers) == 2

    if leaves:
        caller.goodbye()
    else:
        caller.cancel(1)
        caller.cancel(2)

    assert gateway.delivery._timers == {}
