"""Authorizers: what they are asked, what becomes of their answers, and what they may do wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from tests.serve.scene import EVERYTHING, Client, open_gateway, pass_time, settle

from rocade.errors import ApplicationError
from rocade.router.permissions import Action, Permission, Role
from rocade.serve import admission
from rocade.serve.answers import Answers
from rocade.serve.authorizers import AskedAuthorizer, FunctionSource, ProcedureSource, RoleAuthorizers
from rocade.serve.gateway import Gateway
from rocade.serve.internal import InternalCalls
from rocade.wamp.messages import (
    Error,
    Event,
    Interrupt,
    Invocation,
    Match,
    Published,
    Register,
    Registered,
    RegisterOptions,
    Result,
    Subscribe,
    Subscribed,
    SubscribeOptions,
)

AUTHORIZER = "com.example.authorize"
MAY_REGISTER = Permission(uri=AUTHORIZER, register=True)
ALL = {action.value: True for action in Action}


def gateway_with(
    source: Any = None,
    *permissions: Permission,
    seconds: float = 60,
    entries: int = 100,
    per: Any = "session",
    realm: str | None = None,
) -> Gateway:
    """A gateway in whose realm "realm1" clients have an authorizer; in "free" they may do everything.

    Args:
        source: None for a procedure.
        *permissions: rules of the role.
        seconds, entries, per: how answers are remembered.
        realm: where the procedure is.
    """
    gateway = open_gateway(realms=["free"])
    calls = InternalCalls(gateway)
    roles = [Role("user", permissions), Role("authorizer", [MAY_REGISTER])]
    built = gateway.add_realm("realm1", roles)
    asked = AskedAuthorizer(source or ProcedureSource(calls, AUTHORIZER, realm), Answers(seconds, entries, per))
    authorizers = RoleAuthorizers({("realm1", "user"): asked})
    gateway.authorizer = authorizers
    built.meta.add(authorizers.procedures("realm1"))
    return gateway


def function(function: Callable[..., Any]) -> FunctionSource:
    return FunctionSource(lambda config, controller: function, {}, "tests.function")


def joined(gateway: Gateway, authid: str | None = None) -> Client:
    client = Client(gateway)
    client.join(features=EVERYTHING)
    if authid is not None:
        client.connection.session.authid = authid
    return client


class Authorizer:
    """A client that has registered the authorizer, and answers when the test says so."""

    def __init__(self, gateway: Gateway, realm: str = "realm1") -> None:
        self.client = Client(gateway)
        self.client.join(realm, EVERYTHING)
        session, there = self.client.connection.session, gateway.realms[realm]
        if realm == "realm1":
            session.role = there.roles["authorizer"]
        self.client.register(AUTHORIZER)
        assert type(self.client.take_one()) is Registered

    def questions(self) -> list[tuple[int, list[Any]]]:
        found = []
        for message in self.client.take():
            assert type(message) is Invocation, message
            found.append((message.request, self.client.args(message)))
        return found

    async def answer(self, answer: Any) -> list[Any]:
        """Answer the only question."""
        await settle()
        ((invocation, question),) = self.questions()
        self.client.yield_(invocation, answer)
        await settle()
        return question


def outcome(client: Client) -> str:
    """What became of the only request."""
    message = client.take_one()
    return message.error if type(message) is Error else type(message).__name__


FAILED, REFUSED = "wamp.error.authorization_failed", "wamp.error.not_authorized"


# --- What it is asked ---------------------------------------------------------------------------------


async def test_a_procedure_is_told_the_session_the_uri_the_action_and_the_options() -> None:
    gateway = gateway_with()
    authorizer, client = Authorizer(gateway), joined(gateway, "joe")
    client.connection.session.authextra = {"shoe": 43}

    client.publish("com.topic", 1, acknowledge=True, exclude_me=False)
    session, uri, action, options = await authorizer.answer(True)

    assert session == {
        "realm": "realm1",
        "session": client.connection.session.id,
        "authid": "joe",
        "authrole": "user",
        "authmethod": "anonymous",
        "authprovider": "static",
        "authextra": {"shoe": 43},
        "transport": {"type": "fake", "protocol": "wamp.2.json", "peer": "fake:1", "secure": False},
    }
    assert (uri, action) == ("com.topic", "publish")
    assert options == {"acknowledge": True, "exclude_me": False}
    assert outcome(client) == "Published"


async def test_patterns_come_with_how_they_match() -> None:
    gateway = gateway_with()
    authorizer, client = Authorizer(gateway), joined(gateway)

    client.subscribe("com.", Match.PREFIX)
    _, uri, action, options = await authorizer.answer(True)
    assert (uri, action, options) == ("com.", "subscribe", {"match": "prefix"})
    client.register("com..x", match=Match.WILDCARD)
    _, uri, action, options = await authorizer.answer(False)

    assert (uri, action, options) == ("com..x", "register", {"match": "wildcard"})
    assert [type(message) for message in client.take()] == [Subscribed, Error]


async def test_it_may_be_in_another_realm() -> None:
    gateway = gateway_with(realm="free")
    authorizer, client = Authorizer(gateway, "free"), joined(gateway)

    client.subscribe("com.topic")
    session, *_ = await authorizer.answer(True)

    assert session["realm"] == "realm1"
    assert outcome(client) == "Subscribed"


async def test_what_rules_speak_of_it_is_not_asked() -> None:
    gateway = gateway_with(
        None, Permission(uri="com.yes", subscribe=True), Permission(uri="com.no.", match=Match.PREFIX)
    )
    authorizer, client = Authorizer(gateway), joined(gateway)

    client.subscribe("com.yes")
    client.publish("com.yes", acknowledge=True)
    client.subscribe("com.no.topic")
    client.subscribe("com.", Match.PREFIX)

    assert [type(message) for message in client.take()] == [Subscribed, Error, Error, Error]
    assert authorizer.questions() == []
    client.subscribe("com.other")
    await authorizer.answer(True)
    assert outcome(client) == "Subscribed"


# --- What it answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (True, "Subscribed"),
        ({"allow": True}, "Subscribed"),
        ({"allow": True, "disclose": False, "cache": False, "validate": None}, "Subscribed"),
        (False, REFUSED),
        ({"allow": False, "cache": True}, REFUSED),
        (None, FAILED),
        (1, FAILED),
        (0, FAILED),
        ("yes", FAILED),
        ("true", FAILED),
        ([True], FAILED),
        ([], FAILED),
        ({}, FAILED),
        ({"allow": None}, FAILED),
        ({"allow": 1}, FAILED),
        ({"allow": "true"}, FAILED),
        ({"allow": True, "cache": 1}, FAILED),
        ({"allow": True, "disclose": "no"}, FAILED),
        ({"allow": True, "permit": True}, FAILED),
        ({"allow": True, "validate": {"call": "x"}}, FAILED),
        ({"Allow": True}, FAILED),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["procedure", "function", "coroutine function"])
async def test_only_what_clearly_says_yes_is_one(
    kind: str, answer: Any, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def later(*question: Any) -> Any:
        return answer

    source = {"function": function(lambda *question: answer), "coroutine function": function(later)}.get(kind)
    gateway = gateway_with(source)
    authorizer = Authorizer(gateway)
    client = joined(gateway)

    client.subscribe("com.topic")
    if source is None:
        await authorizer.answer(answer)
    await settle()

    assert outcome(client) == expected
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == (expected is FAILED)


async def test_several_results_are_no_answer() -> None:
    gateway = gateway_with()
    authorizer, client = Authorizer(gateway), joined(gateway)
    client.subscribe("com.topic")
    await settle()

    ((invocation, _),) = authorizer.questions()
    authorizer.client.yield_(invocation, True, True)
    await settle()

    assert outcome(client) == FAILED


@pytest.mark.parametrize("discloses", [True, False])
async def test_it_may_disclose_callers_and_publishers(discloses: bool) -> None:
    gateway = gateway_with(function(lambda *question: {"allow": True, "disclose": discloses}))
    client, peer = joined(gateway, "joe"), joined(gateway)
    peer.subscribe("com.topic")
    peer.register("com.proc")
    await settle()
    peer.take()

    client.publish("com.topic")
    client.call("com.proc")

    event, invocation = peer.take()
    assert event.details.publisher_authid == ("joe" if discloses else None)
    assert invocation.details.caller_authid == ("joe" if discloses else None)


# --- What it does wrong -------------------------------------------------------------------------------


async def test_nobody_there_means_no(caplog: pytest.LogCaptureFixture) -> None:
    client = joined(gateway_with())

    client.call("com.proc")
    await settle()

    assert outcome(client) == FAILED
    assert "no_such_procedure" in caplog.text
    assert AUTHORIZER in caplog.text


async def test_a_realm_that_is_not_there_means_no() -> None:
    client = joined(gateway_with(realm="elsewhere"))

    client.call("com.proc")
    await settle()

    assert outcome(client) == FAILED


async def test_hanging_means_no_and_a_late_answer_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    gateway = gateway_with()
    authorizer, client = Authorizer(gateway), joined(gateway)
    client.publish("com.topic", acknowledge=True)
    client.subscribe("com.topic")
    await settle()
    ((invocation, _),) = authorizer.questions()

    await pass_time(admission.AUTHORIZATION_DEADLINE + 0.1)
    assert outcome(client) == FAILED
    interrupt, following = authorizer.client.take()
    assert (type(interrupt), interrupt.request, type(following)) == (Interrupt, invocation, Invocation)
    authorizer.client.yield_(invocation, {"allow": True, "cache": True})
    authorizer.client.yield_(following.request, True)
    await settle()

    assert outcome(client) == "Subscribed"
    assert "did not answer PUBLISH within 10 s" in caplog.text
    client.publish("com.topic")
    await authorizer.answer(True)  # nothing was remembered


async def test_vanishing_means_no() -> None:
    gateway = gateway_with()
    authorizer, client = Authorizer(gateway), joined(gateway)
    client.publish("com.topic", acknowledge=True)
    await settle()

    authorizer.client.link.lose()
    await settle()

    assert outcome(client) == FAILED


@pytest.mark.parametrize(("error", "expected"), [("com.example.broken", FAILED), (REFUSED, REFUSED)])
async def test_an_error_means_no_and_is_not_shown_to_the_client(
    error: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = gateway_with()
    authorizer, client = Authorizer(gateway), joined(gateway)
    client.subscribe("com.topic")
    await settle()
    ((invocation, _),) = authorizer.questions()

    authorizer.client.error(invocation, error)
    await settle()

    message = client.take_one()
    assert message.error == expected
    assert "broken" not in str(client.args(message))
    assert (error in caplog.text) is (expected is FAILED)


def _raises(*question: Any) -> Any:
    raise LookupError("secret table")


async def _raises_later(*question: Any) -> Any:
    raise LookupError("secret table")


def _refuses(*question: Any) -> Any:
    raise ApplicationError(REFUSED)


def _breaks(config: Any, controller: Any) -> Any:
    raise OSError("no database")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (function(_raises), FAILED),
        (function(_raises_later), FAILED),
        (function(_refuses), REFUSED),
        (function(lambda: True), FAILED),
        (function(None), FAILED),  # type: ignore[arg-type]
        (FunctionSource(_breaks, {}, "tests.create"), FAILED),
    ],
    ids=["raises", "raises later", "refuses", "other arguments", "no function", "cannot be made"],
)
async def test_what_a_function_raises_means_no_and_the_log_says_where(
    source: FunctionSource, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = gateway_with(source)
    client = joined(gateway)

    for _ in range(2):
        client.subscribe("com.topic")
        await settle()

        message = client.take_one()
        assert message.error == expected
        assert "secret" not in str(client.args(message))
    if expected is FAILED:
        assert "tests." in caplog.text


async def test_a_function_is_made_once() -> None:
    made = []

    async def create(config: Any, controller: Any) -> Any:
        made.append((config, controller))
        await asyncio.sleep(0)
        return lambda session, uri, action, options: uri == "com.topic"

    gateway = gateway_with(FunctionSource(create, {"a": 1}, "tests.create"))
    first, second = joined(gateway), joined(gateway)

    for client in (first, second):
        client.subscribe("com.topic")
    await settle()
    first.subscribe("com.other")

    assert made == [({"a": 1}, None)]
    assert [outcome(second), *(type(message).__name__ for message in first.take())] == [
        "Subscribed",
        "Subscribed",
        "Error",
    ]
    assert len(asyncio.all_tasks()) == 1


# --- Order --------------------------------------------------------------------------------------------


async def test_what_a_session_sends_stays_in_order() -> None:
    gateway = gateway_with(None, Permission(uri="com.free", publish=True))
    authorizer, client = Authorizer(gateway), joined(gateway)
    listener = joined(gateway)
    for number, topic in enumerate(("com.asked", "com.free"), 1):
        session = listener.connection.session
        realm = gateway.realms["realm1"]
        gateway.delivery.carry_out(realm, realm.receive(session, Subscribe(number, SubscribeOptions(), topic), 0.0))
    listener.take()

    client.publish("com.asked", 1)
    client.publish("com.free", 2)
    client.publish("com.asked", 3)
    await authorizer.answer(True)
    await authorizer.answer(True)

    assert [listener.args(event) for event in listener.take()] == [[1], [2], [3]]


# --- About itself -------------------------------------------------------------------------------------


async def test_the_authorizer_is_not_asked_about_itself(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    gateway = gateway_with(None, MAY_REGISTER, Permission(uri="com.mine", publish=True))
    client = joined(gateway)
    client.register(AUTHORIZER)
    assert outcome(client) == "Registered"

    client.call("com.proc")
    client.publish("com.mine", acknowledge=True)

    assert [type(message) for message in client.take()] == [Error, Published]
    assert "itself" in caplog.text


@pytest.mark.parametrize(
    ("uri", "match"),
    [(AUTHORIZER, None), ("com.example.", Match.PREFIX), ("", Match.PREFIX), ("com..authorize", Match.WILDCARD)],
)
async def test_an_authorizer_cannot_appoint_others(uri: str, match: Match | None) -> None:
    asked = []
    gateway = gateway_with(None)
    authorizer, client = Authorizer(gateway), joined(gateway)

    client.register(uri, match=match)
    await settle()
    assert outcome(client) == REFUSED
    client.register("com.example2.", match=Match.PREFIX)
    await authorizer.answer(True)

    assert outcome(client) == "Registered"
    assert asked == []


async def test_nor_can_that_of_another_role() -> None:
    gateway = gateway_with(None)
    sources = {
        ("realm1", "user"): function(lambda *question: True),
        ("realm1", "authorizer"): ProcedureSource(InternalCalls(gateway), AUTHORIZER, None),
    }
    gateway.authorizer = RoleAuthorizers(
        {key: AskedAuthorizer(source, Answers(0, 1, "session")) for key, source in sources.items()}  # type: ignore[arg-type]
    )
    client = joined(gateway)

    client.register(AUTHORIZER)
    client.register("com.", match=Match.PREFIX)
    client.register("com.other")
    await settle()

    assert [type(message) for message in client.take()] == [Error, Error, Registered]


async def test_an_authorizer_whose_own_call_is_asked_about_does_not_deadlock() -> None:
    """Two instances of it: the one is asked about the other's calls only by rules."""
    gateway = gateway_with(None, Permission(uri=AUTHORIZER, register=True))
    first = joined(gateway)
    first.register(AUTHORIZER, invoke="roundrobin")
    client = joined(gateway)
    first.take()
    client.subscribe("com.topic")
    await settle()
    (question,) = first.take()

    first.call("com.database")
    assert outcome(first) == REFUSED
    first.yield_(question.request, True)
    await settle()

    assert outcome(client) == "Subscribed"


# --- What is remembered -------------------------------------------------------------------------------


class Counting:
    """A function that counts its questions, and lets its answers be remembered."""

    def __init__(self, allow: bool = True) -> None:
        self.asked: list[tuple[str, str]] = []
        self.allow = allow

    def __call__(self, session: dict[str, Any], uri: str, action: str, options: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((action, uri))
        return {"allow": self.allow, "cache": True}


async def test_an_answer_that_may_be_cached_is_until_it_expires() -> None:
    counting = Counting()
    gateway = gateway_with(function(counting), seconds=60)
    client = joined(gateway)

    for _ in range(3):
        client.publish("com.topic")
        await settle()
    assert counting.asked == [("publish", "com.topic")]
    client.subscribe("com.topic")
    await pass_time(60.1)
    client.publish("com.topic")

    assert counting.asked == [("publish", "com.topic"), ("subscribe", "com.topic"), ("publish", "com.topic")]


async def test_a_no_is_remembered_too() -> None:
    counting = Counting(allow=False)
    gateway = gateway_with(function(counting))
    client = joined(gateway)

    for _ in range(3):
        client.publish("com.topic", acknowledge=True)
        await settle()
        assert outcome(client) == REFUSED

    assert len(counting.asked) == 1


async def test_what_is_remembered_for_a_uri_does_not_count_for_a_pattern_of_the_same_text() -> None:
    counting = Counting()
    gateway = gateway_with(function(counting))
    client = joined(gateway)

    client.subscribe("com.topic")
    await settle()
    client.subscribe("com.topic", Match.PREFIX)
    client.subscribe("com.topic", Match.WILDCARD)

    assert len(counting.asked) == 3


@pytest.mark.parametrize(("per", "questions"), [("session", 4), ("authid", 2), ("role", 1)])
async def test_for_whom_an_answer_holds(per: str, questions: int) -> None:
    counting = Counting()
    gateway = gateway_with(function(counting), per=per)

    for authid in ("joe", "joe", "ann", "ann"):
        client = joined(gateway, authid)
        client.publish("com.topic")
        await settle()

    assert len(counting.asked) == questions


async def test_zero_seconds_remember_nothing() -> None:
    counting = Counting()
    gateway = gateway_with(function(counting), seconds=0)
    client = joined(gateway)

    for _ in range(3):
        client.publish("com.topic")
        await settle()

    assert len(counting.asked) == 3


async def test_a_client_with_random_uris_does_not_make_memory_grow() -> None:
    counting = Counting()
    gateway = gateway_with(function(counting), entries=10)
    client = joined(gateway)

    for number in range(50):
        client.publish(f"com.topic{number}")
        await settle()
    client.publish("com.topic49")
    client.publish("com.topic0")

    assert len(counting.asked) == 51


async def test_answers_that_are_at_hand_take_no_task() -> None:
    gateway = gateway_with()
    authorizer, client = Authorizer(gateway), joined(gateway)
    client.publish("com.topic", acknowledge=True)
    await authorizer.answer({"allow": True, "cache": True})
    client.take()

    client.publish("com.topic", acknowledge=True)

    assert len(asyncio.all_tasks()) == 1
    assert outcome(client) == "Published"


# --- Forgetting ---------------------------------------------------------------------------------------

FORGET = "rocade.authorization.forget"


def admin(gateway: Gateway) -> Client:
    client = joined(gateway)
    client.connection.session.role = Role("admin", [Permission(uri=FORGET, call=True)])
    return client


@pytest.mark.parametrize(
    ("args", "count", "asked_again"),
    [((), 2, {"joe", "ann"}), (("joe",), 1, {"joe"}), (("eve",), 0, set())],
)
async def test_what_is_remembered_can_be_forgotten(args: tuple[str, ...], count: int, asked_again: set[str]) -> None:
    asked: list[str] = []

    def ask(session: dict[str, Any], *_: Any) -> dict[str, Any]:
        asked.append(session["authid"])
        return {"allow": True, "cache": True}

    gateway = gateway_with(function(ask))
    clients = [joined(gateway, authid) for authid in ("joe", "ann")]
    boss = admin(gateway)
    for client in clients:
        client.publish("com.topic")
        await settle()
    asked.clear()

    boss.call(FORGET, *args)
    for client in clients:
        client.publish("com.topic")
        await settle()

    assert boss.args(boss.take_one()) == [count]
    assert set(asked) == asked_again


async def test_an_answer_that_was_on_its_way_is_not_remembered_behind_a_forgetting() -> None:
    gateway = gateway_with()
    authorizer, client = Authorizer(gateway), joined(gateway)
    client.publish("com.topic", acknowledge=True)
    await settle()

    admin(gateway).call(FORGET)
    await authorizer.answer({"allow": True, "cache": True})
    client.publish("com.topic", acknowledge=True)
    await authorizer.answer(False)

    assert [type(message) for message in client.take()] == [Published, Error]


async def test_only_a_rule_that_means_it_allows_to_forget() -> None:
    gateway = gateway_with(None, Permission(uri="", match=Match.PREFIX, call=True))
    client = joined(gateway)

    client.call(FORGET)

    assert outcome(client) == REFUSED


async def test_nobody_can_register_the_procedures_of_the_router() -> None:
    gateway = gateway_with(None, Permission(uri="", match=Match.PREFIX, **ALL))
    client = joined(gateway)

    client.register(FORGET)

    assert outcome(client) == "wamp.error.invalid_uri"


# --- What requests imply ------------------------------------------------------------------------------


async def test_what_a_meta_procedure_implies_is_asked_too() -> None:
    gateway = gateway_with(None, Permission(uri="wamp.", match=Match.PREFIX, call=True))
    authorizer, client = Authorizer(gateway), joined(gateway)

    client.call("wamp.session.add_testament", "com.topic", [])
    _, uri, action, options = await authorizer.answer(True)
    client.call("wamp.session.add_testament", "com.other", [])
    await authorizer.answer(False)

    assert (uri, action, options) == ("com.topic", "publish", {})
    assert [type(message) for message in client.take()] == [Result, Error]


async def test_what_the_router_itself_calls_is_not_asked_about() -> None:
    gateway = gateway_with()
    authorizer, client = Authorizer(gateway), joined(gateway)
    realm = gateway.realms["realm1"]
    callee = joined(gateway)
    gateway.delivery.carry_out(
        realm, realm.receive(callee.connection.session, Register(1, RegisterOptions(), "com.p"), 0.0)
    )
    callee.take()
    call = asyncio.ensure_future(InternalCalls(gateway).call("realm1", "com.p"))
    await settle()

    callee.yield_(callee.take_one().request, 5)

    assert await call == 5
    assert authorizer.questions() == []
    assert client.take() == []


# --- What the operator is told ------------------------------------------------------------------------


async def test_refusals_are_told_but_are_no_flood(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    gateway = gateway_with(function(lambda *question: False))
    client = joined(gateway, "joe")

    for number in range(1000):
        client.call("com.proc")
        client.call(f"com.proc{number}")
        await settle() if number == 0 else None
    first = [record.getMessage() for record in caplog.records]
    assert first[0] == (
        "refused: call 'com.proc' in realm 'realm1' by role 'user' (authid 'joe', session "
        f"{client.connection.session.id}): the authorizer tests.function does not allow it"
    )
    assert len(first) == 30
    await pass_time(61)
    caplog.clear()
    client.call("com.proc")

    assert caplog.records[0].getMessage() == "1970 more refusals like those told before"
    assert len(caplog.records) == 2


async def test_every_refusal_is_told_to_who_looks_closely(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    gateway = gateway_with(None, Permission(uri="com.", match=Match.PREFIX))
    client = joined(gateway)

    for _ in range(50):
        client.call("com.proc")

    told = [record for record in caplog.records if "the rule for 'com.' (prefix) does not allow it" in record.message]
    assert len(told) == 50


async def test_a_client_is_told_nothing_of_rules_and_authorizers() -> None:
    gateway = gateway_with(None, Permission(uri="com.", match=Match.PREFIX))
    client = joined(gateway)

    client.call("com.proc")

    assert client.args(client.take_one()) == ["not allowed to call 'com.proc'"]


async def test_an_event_is_not_sent_for_a_publication_that_was_refused() -> None:
    gateway = gateway_with(function(lambda session, uri, action, options: action == "subscribe"))
    client = joined(gateway)
    client.subscribe("com.topic")
    await settle()
    client.take()

    client.publish("com.topic", exclude_me=False)

    assert [message for message in client.take() if type(message) is Event] == []
