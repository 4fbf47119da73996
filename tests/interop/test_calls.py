"""Remote procedure calls, each with caller and callee in the same kind of client."""

from __future__ import annotations

import pytest

from .clients import AUTOBAHN_JS, AUTOBAHN_PYTHON, CLIENTS, WAMPY, Client
from .conftest import Join
from .driver import Payload, Refused, echo
from .router import DISCLOSING

INTERRUPTIBLE = Client(AUTOBAHN_PYTHON, "msgpack")
"""A callee that announces call canceling, and so may stream."""


def refusal(error: pytest.ExceptionInfo[Refused]) -> tuple[str, list[object], dict[str, object]]:
    return error.value.uri, error.value.args_, error.value.kwargs


def test_arguments_and_results_arrive(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    procedure = callee.register("com.example.greet")

    call = caller.start_call("com.example.greet", ["Ada", 36], {"title": "Countess"})
    invocation = procedure.next()
    invocation.succeed(["Hello", "Ada"], {"language": "en"})

    assert invocation.args == ["Ada", 36]
    assert invocation.kwargs == {"title": "Countess"}
    assert call.result() == Payload(["Hello", "Ada"], {"language": "en"})


def test_a_call_needs_no_arguments_and_no_result(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    procedure = callee.register("com.example.nothing")

    call = caller.start_call("com.example.nothing")
    invocation = procedure.next()
    invocation.succeed()

    assert invocation.args == []
    assert invocation.kwargs == {}
    assert call.result() == Payload([], {})


def test_a_session_calls_itself(client: Client, join: Join) -> None:
    session = join(client)
    session.register("com.example.echo", echo)

    assert session.call("com.example.echo", [1], {"a": 2}) == Payload([1], {"a": 2})


def test_an_error_arrives_with_its_arguments(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    callee.register("com.example.fail", lambda call: call.fail("com.example.error.empty", ["till", 7], {"left": None}))

    with pytest.raises(Refused) as refused:
        caller.call("com.example.fail")

    assert refusal(refused) == ("com.example.error.empty", ["till", 7], {"left": None})


def test_a_procedure_that_nobody_has_cannot_be_called(client: Client, join: Join) -> None:
    caller = join(client)

    with pytest.raises(Refused) as refused:
        caller.call("com.example.nowhere")

    assert refused.value.uri == "wamp.error.no_such_procedure"


def test_a_procedure_has_one_callee(client: Client, join: Join) -> None:
    first, second = join(client), join(client)
    first.register("com.example.single")

    with pytest.raises(Refused) as refused:
        second.register("com.example.single")

    assert refused.value.uri == "wamp.error.procedure_already_exists"


def test_an_unregistered_procedure_is_gone_and_can_be_taken_over(client: Client, join: Join) -> None:
    first, second = join(client), join(client)
    registration = first.register("com.example.handed_over", echo)
    second.call("com.example.handed_over")

    registration.unregister()

    with pytest.raises(Refused) as refused:
        second.call("com.example.handed_over")
    assert refused.value.uri == "wamp.error.no_such_procedure"
    second.register("com.example.handed_over", echo)
    assert first.call("com.example.handed_over", ["here"]).args == ["here"]


def test_a_caller_hears_that_its_callee_has_left(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    procedure = callee.register("com.example.abandoned")
    call = caller.start_call("com.example.abandoned")
    procedure.next()

    callee.leave()

    with pytest.raises(Refused) as refused:
        call.result()
    assert refused.value.uri == "wamp.error.canceled"


def test_a_callee_outlives_a_caller_that_left(client: Client, join: Join) -> None:
    callee, caller, other = join(client), join(client), join(client)
    procedure = callee.register("com.example.outlive")
    caller.start_call("com.example.outlive")
    invocation = procedure.next()

    caller.leave()
    invocation.succeed(["too late"])

    call = other.start_call("com.example.outlive")
    procedure.next().succeed(["in time"])
    assert call.result().args == ["in time"]


def test_calls_are_answered_in_any_order(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    procedure = callee.register("com.example.any_order")
    calls = [caller.start_call("com.example.any_order", [number]) for number in range(20)]
    invocations = [procedure.next() for _ in calls]

    for invocation in reversed(invocations):
        invocation.succeed([invocation.args[0] * 2])

    assert [invocation.args[0] for invocation in invocations] == list(range(20))
    assert [call.result().args for call in calls] == [[number * 2] for number in range(20)]


# --- patterns and shared registrations --------------------------------------------------------------


@pytest.mark.parametrize(("match", "pattern"), [("prefix", "com.example.shop"), ("wildcard", "com.example..buy")])
def test_a_pattern_takes_calls_and_tells_which(client: Client, join: Join, match: str, pattern: str) -> None:
    callee, caller = join(client), join(client)
    procedure = callee.register(pattern, match=match)

    call = caller.start_call("com.example.shop.buy", ["tea"])
    invocation = procedure.next()
    invocation.succeed(["bought"])

    assert invocation.details["procedure"] == "com.example.shop.buy"
    assert invocation.args == ["tea"]
    assert call.result().args == ["bought"]


def test_the_best_match_gets_the_call(client: Client, join: Join) -> None:
    caller = join(client)
    for name, uri, match in [
        ("exact", "com.best.one.two", "exact"),
        ("prefix", "com.best.one", "prefix"),
        ("wildcard", "com.best..three", "wildcard"),
    ]:
        join(client).register(uri, lambda call, name=name: call.succeed([name]), match=match)  # type: ignore[misc]

    answers = [caller.call(uri).args for uri in ("com.best.one.two", "com.best.one.three", "com.best.four.three")]

    assert answers == [["exact"], ["prefix"], ["wildcard"]]


@pytest.mark.parametrize(
    ("invoke", "expected"),
    [("roundrobin", [0, 1, 2, 0, 1, 2]), ("first", [0] * 6), ("last", [2] * 6)],
)
def test_a_shared_procedure_follows_its_policy(client: Client, join: Join, invoke: str, expected: list[int]) -> None:
    caller = join(client)
    for number in range(3):
        join(client).register(
            "com.example.shared",
            lambda call, number=number: call.succeed([number]),  # type: ignore[misc]
            invoke=invoke,
        )

    assert [caller.call("com.example.shared").args[0] for _ in range(6)] == expected


def test_a_randomly_shared_procedure_is_answered_by_more_than_one(client: Client, join: Join) -> None:
    caller = join(client)
    for number in range(2):
        join(client).register(
            "com.example.random",
            lambda call, number=number: call.succeed([number]),  # type: ignore[misc]
            invoke="random",
        )

    answers = {caller.call("com.example.random").args[0] for _ in range(40)}  # one alone: once in 2^39 runs

    assert answers == {0, 1}


def test_a_shared_procedure_has_one_policy(client: Client, join: Join) -> None:
    join(client).register("com.example.policy", invoke="roundrobin")

    with pytest.raises(Refused) as refused:
        join(client).register("com.example.policy", invoke="first")

    assert refused.value.uri == "wamp.error.procedure_already_exists"


# --- who calls --------------------------------------------------------------------------------------


def caller_of(details: dict[str, object]) -> tuple[object, ...]:
    return details["caller"], details["caller_authid"], details["caller_authrole"]


def test_a_callee_is_not_told_who_calls(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    procedure = callee.register("com.example.anonymous")

    caller.start_call("com.example.anonymous")
    invocation = procedure.next()
    invocation.succeed()

    assert caller_of(invocation.details) == (None, None, None)


def test_a_callee_is_told_who_calls_where_the_configuration_says_so(client: Client, join: Join) -> None:
    callee, caller = join(client, DISCLOSING), join(client, DISCLOSING)
    procedure = callee.register("com.example.disclosed")

    caller.start_call("com.example.disclosed")
    invocation = procedure.next()
    invocation.succeed()

    assert caller_of(invocation.details) == (caller.id, caller.authid, "anonymous")


def test_a_caller_discloses_itself(client: Client, join: Join) -> None:
    caller = join(client if client.discloses_itself else Client(WAMPY, "json"))
    procedure = join(client).register("com.example.disclose_me")

    caller.start_call("com.example.disclose_me", disclose_me=True)
    invocation = procedure.next()
    invocation.succeed()

    assert caller_of(invocation.details) == (caller.id, caller.authid, "anonymous")


# --- progressive results, canceling, timeouts -------------------------------------------------------


def test_a_caller_gets_progressive_results(client: Client, join: Join) -> None:
    callee, caller = join(INTERRUPTIBLE), join(client)
    procedure = callee.register("com.example.stream")

    call = caller.start_call("com.example.stream", [3], receive_progress=True)
    invocation = procedure.next()
    for number in range(3):
        invocation.progress([number, "of 3"], {"last": number == 2})
        assert call.progress() == Payload([number, "of 3"], {"last": number == 2})
    invocation.succeed(["done"])

    assert call.result().args == ["done"]
    assert call.all_progress() == []


def test_a_callee_that_announces_progressive_results_streams(client: Client, join: Join) -> None:
    callee, caller = join(client), join(INTERRUPTIBLE)
    procedure = callee.register("com.example.streamer")

    call = caller.start_call("com.example.streamer", receive_progress=True)
    invocation = procedure.next()

    # wampy.js does not announce it. autobahn-js does, though not call canceling, which should go with it.
    announced = client.library != WAMPY
    assert invocation.details["receive_progress"] is announced
    if announced:
        invocation.progress([1])
        assert call.progress() == Payload([1], {})
    else:
        invocation.progress([1])  # sent unasked, and dropped by the router
    invocation.succeed([2])
    assert call.result().args == [2]
    assert call.all_progress() == []


def test_progress_is_not_reported_to_a_caller_that_did_not_ask(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    procedure = callee.register("com.example.no_progress")

    call = caller.start_call("com.example.no_progress")
    invocation = procedure.next()
    invocation.succeed([1])

    assert invocation.details["receive_progress"] is False
    assert call.result().args == [1]


def test_a_canceled_call_ends_and_its_callee_is_interrupted(client: Client, join: Join) -> None:
    callee, caller = join(INTERRUPTIBLE), join(client)
    procedure = callee.register("com.example.cancel_me")
    call = caller.start_call("com.example.cancel_me")
    invocation = procedure.next()

    call.cancel("kill" if client.library == AUTOBAHN_JS else None)

    invocation.wait_until_interrupted()
    with pytest.raises(Refused):
        call.result()
    callee.register("com.example.still_there", echo)
    assert caller.call("com.example.still_there", [1]).args == [1]


def test_a_callee_that_cannot_be_interrupted_is_left_alone(client: Client, join: Join) -> None:
    callee, caller = join(client), join(INTERRUPTIBLE)
    procedure = callee.register("com.example.skipped")
    call = caller.start_call("com.example.skipped")
    invocation = procedure.next()

    call.cancel()

    with pytest.raises(Refused) as refused:
        call.result()
    assert refused.value.uri == "wamp.error.canceled"
    if client.can_be_interrupted:
        invocation.wait_until_interrupted()
    else:
        invocation.succeed(["nobody waits"])
    call = caller.start_call("com.example.skipped")
    procedure.next().succeed(["next"])
    assert call.result().args == ["next"]


@pytest.mark.parametrize("mode", [None, "skip", "killnowait"])
def test_autobahn_js_hangs_up_after_canceling_except_with_kill(join: Join, mode: str | None) -> None:
    """It rejects the call by itself, and takes the ERROR that the router owes it for a violation of the protocol."""
    callee, caller = join(INTERRUPTIBLE), join(Client(AUTOBAHN_JS, "json"))
    procedure = callee.register("com.example.hang_up")
    call = caller.start_call("com.example.hang_up")
    procedure.next()

    call.cancel(mode)

    with pytest.raises(Refused) as refused:
        call.result()
    assert refused.value.uri == "Cancelled"
    assert caller.ended()["reason"] is None


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
@pytest.mark.parametrize("client", [client for client in CLIENTS if client.library == WAMPY], ids=str)
def test_wampy_cancels_in_every_mode(client: Client, join: Join, mode: str) -> None:
    callee, caller = join(INTERRUPTIBLE), join(client)
    procedure = callee.register("com.example.modes")
    call = caller.start_call("com.example.modes")
    invocation = procedure.next()

    call.cancel(mode)

    if mode == "skip":
        invocation.succeed(["dropped"])
    else:
        invocation.wait_until_interrupted()
    with pytest.raises(Refused) as refused:
        call.result()
    # With "kill" it is the callee's own error that counts, and autobahn-python has that one.
    assert refused.value.uri in ("wamp.error.canceled", "wamp.error.runtime_error")


def test_a_call_times_out_after_milliseconds(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    procedure = callee.register("com.example.slow")

    call = caller.start_call("com.example.slow", timeout=50)
    invocation = procedure.next()

    with pytest.raises(Refused) as refused:
        call.result()
    assert refused.value.uri == "wamp.error.timeout"
    if client.can_be_interrupted:
        invocation.wait_until_interrupted()
    else:
        invocation.succeed(["too late"])


def test_a_call_in_time_does_not_time_out(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    callee.register("com.example.quick", echo)

    assert caller.call("com.example.quick", ["quick"], timeout=60_000).args == ["quick"]


# --- payloads ---------------------------------------------------------------------------------------


def test_a_mebibyte_goes_both_ways(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    callee.register("com.example.big", echo)
    big = "x" * client.large

    result = caller.call("com.example.big", [big])

    assert result.args == [big]


def test_text_of_all_scripts_arrives(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    callee.register("com.example.text", echo)
    text = ["", "naïve café", "Привет", "שלום", "世界", "🦊👩‍👩‍👧", "a\0b", '"\\/\b\f\n\r\t', "\u2028\ufeff\U0010ffff"]

    result = caller.call("com.example.text", [text], {"ключ": "🔑"})

    assert result == Payload([text], {"ключ": "🔑"})


def test_binary_arrives(client: Client, join: Join) -> None:
    callee, caller = join(client), join(client)
    procedure = callee.register("com.example.binary")
    binary = bytes(range(256))

    call = caller.start_call("com.example.binary", [binary, {"key": [binary]}])
    invocation = procedure.next()
    invocation.succeed([b"", binary])

    assert invocation.args == client.delivered([binary, {"key": [binary]}])
    assert call.result().args == client.delivered([b"", binary])
