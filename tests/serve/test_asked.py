"""Authenticators that are asked: procedures and Python functions, well-behaved and hostile ones."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.serve.provers import signed
from tests.serve.scene import Client, next_message, open_gateway, pass_time, settle

from rocade.errors import ApplicationError
from rocade.serve.authentication import Authenticator
from rocade.serve.authentication.asked import (
    ASKING_DEADLINE,
    MAX_ASKING,
    Asked,
    AskedAtOnce,
    AskedTicket,
    Asking,
    function,
    procedure,
)
from rocade.serve.authentication.principals import Decoys
from rocade.serve.authentication.wampcra import WampCra, WampCraProof, disguised_wampcra, told_wampcra
from rocade.serve.gateway import Gateway
from rocade.serve.internal import InternalCalls
from rocade.wamp.messages import Abort, Authenticate, Challenge, Interrupt, Invocation, Welcome

FAILED = "wamp.error.authentication_failed"
URI = "com.example.authenticate"


def ticket_by(ask: Any, **options: Any) -> dict[str, Authenticator]:
    return {"ticket": AskedTicket(Asking(ask, "dynamic", URI, **options))}


def wampcra_by(ask: Any) -> dict[str, Authenticator]:
    asking = Asking(ask, "dynamic", URI)
    decoys = Decoys(disguised_wampcra)
    return {"wampcra": WampCra(Asked(asking, "wampcra", told_wampcra, decoys, WampCraProof(b"")))}


async def show_ticket(client: Client, ticket: str = "magic", realm: str = "realm1") -> None:
    client.hello(realm, authmethods=["ticket"], authid="joe", authextra={"colour": "red"})
    assert type(await next_message(client)) is Challenge
    client.send(Authenticate(ticket, {}))
    await settle()


class Registered:
    """A client that is an authenticator."""

    def __init__(self, gateway: Gateway, realm: str = "realm1") -> None:
        self.client = Client(gateway)
        self.client.join(realm, {"call_canceling": True})
        self.client.register(URI)
        self.client.take()

    def asked(self) -> tuple[Invocation, list[Any]]:
        message = self.client.take_one()
        assert type(message) is Invocation
        return message, self.client.args(message)


# --- Procedures -----------------------------------------------------------------------------------------


async def test_a_procedure_is_told_all_and_says_who_it_is() -> None:
    gateway = open_gateway()
    authenticator = Registered(gateway)
    client = Client(gateway, authenticators=ticket_by(procedure(InternalCalls(gateway), URI, None)))
    await show_ticket(client)

    invocation, (realm, authid, details) = authenticator.asked()
    authenticator.client.yield_(invocation.request, {"role": "user", "authid": "Joe", "extra": {"shoe": 43}})
    welcome = await next_message(client)

    assert (realm, authid) == ("realm1", "joe")
    assert details.pop("session") == welcome.session
    assert details.pop("transport")["peer"] == "fake:1"
    assert details == {
        "authmethod": "ticket",
        "authid": "joe",
        "authrole": None,
        "authextra": {"colour": "red"},
        "ticket": "magic",
    }
    assert (welcome.details.authid, welcome.details.authrole) == ("Joe", "user")
    assert (welcome.details.authprovider, welcome.details.authextra) == ("dynamic", {"shoe": 43})


async def test_a_procedure_may_be_in_another_realm_and_send_clients_to_another() -> None:
    gateway = open_gateway(realms=["realm1", "realm2", "realm3"])
    authenticator = Registered(gateway, "realm2")
    client = Client(gateway, authenticators=ticket_by(procedure(InternalCalls(gateway), URI, "realm2")))
    await show_ticket(client)

    invocation, (realm, _, _) = authenticator.asked()
    authenticator.client.yield_(invocation.request, {"role": "user", "realm": "realm3"})

    assert realm == "realm1"
    assert (await next_message(client)).details.realm == "realm3"


async def test_who_calls_it_is_no_member_of_the_realm() -> None:
    gateway = open_gateway()
    authenticator = Registered(gateway)
    client = Client(gateway, authenticators=ticket_by(procedure(InternalCalls(gateway), URI, None)))
    await show_ticket(client)

    invocation, _ = authenticator.asked()

    assert list(gateway.realms["realm1"].sessions) == [authenticator.client.connection.session.id]
    authenticator.client.yield_(invocation.request, "user")
    await settle()


async def test_a_role_alone_is_an_answer() -> None:
    gateway = open_gateway()
    authenticator = Registered(gateway)
    client = Client(gateway, authenticators=ticket_by(procedure(InternalCalls(gateway), URI, None)))
    await show_ticket(client)

    authenticator.client.yield_(authenticator.asked()[0].request, "user")

    assert (await next_message(client)).details.authid == "joe"


async def test_a_procedure_that_refuses_is_obeyed_and_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    gateway = open_gateway()
    authenticator = Registered(gateway)
    client = Client(gateway, authenticators=ticket_by(procedure(InternalCalls(gateway), URI, None)))
    await show_ticket(client)

    authenticator.client.error(authenticator.asked()[0].request, "com.example.no")
    abort = await next_message(client)

    assert (abort.reason, abort.details.message) == (FAILED, "authentication failed")
    assert "com.example.no" in caplog.text
    assert "magic" not in caplog.text


async def test_a_procedure_that_nobody_has_registered_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    gateway = open_gateway()
    for realm in (None, "elsewhere"):
        client = Client(gateway, authenticators=ticket_by(procedure(InternalCalls(gateway), URI, realm)))
        await show_ticket(client)
        assert (await next_message(client)).reason == FAILED

    assert "no_such_procedure" in caplog.text
    assert "no_such_realm" in caplog.text


async def test_a_realm_that_does_not_exist_is_refused_like_a_client_and_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = open_gateway()
    authenticator = Registered(gateway)
    calls = InternalCalls(gateway)
    client = Client(gateway, authenticators=ticket_by(procedure(calls, URI, None)))
    await show_ticket(client, realm="elsewhere")
    assert (await next_message(client)).reason == FAILED

    client = Client(gateway, authenticators=wampcra_by(procedure(calls, URI, None)))
    client.hello("elsewhere", authmethods=["wampcra"], authid="joe")
    assert type(await next_message(client)) is Challenge

    assert authenticator.client.take() == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_procedure_that_hangs_is_given_up_and_told(caplog: pytest.LogCaptureFixture) -> None:
    gateway = open_gateway()
    authenticator = Registered(gateway)
    client = Client(gateway, authenticators=ticket_by(procedure(InternalCalls(gateway), URI, None)))
    await show_ticket(client)
    invocation, _ = authenticator.asked()

    await pass_time(ASKING_DEADLINE + 0.1)

    assert (await next_message(client)).reason == FAILED
    assert f"{URI} did not answer within 10 s" in caplog.text
    interrupt = authenticator.client.take_one()
    assert (type(interrupt), interrupt.request) == (Interrupt, invocation.request)
    authenticator.client.yield_(invocation.request, "user")  # too late
    await settle()
    assert client.take() == []


async def test_a_procedure_whose_callee_goes_lets_nobody_in() -> None:
    gateway = open_gateway()
    authenticator = Registered(gateway)
    client = Client(gateway, authenticators=ticket_by(procedure(InternalCalls(gateway), URI, None)))
    await show_ticket(client)

    authenticator.client.link.lose()

    assert (await next_message(client)).reason == FAILED


async def test_a_client_that_goes_meanwhile_cancels_the_call() -> None:
    gateway = open_gateway()
    authenticator = Registered(gateway)
    client = Client(gateway, authenticators=ticket_by(procedure(InternalCalls(gateway), URI, None)))
    await show_ticket(client)
    authenticator.asked()

    client.link.lose()
    await settle()

    assert type(authenticator.client.take_one()) is Interrupt


@pytest.mark.parametrize(
    "answer",
    [
        1,
        ["user"],
        {},
        {"role": 1},
        {"role": ""},
        {"role": "user", "authid": 7},
        {"role": "user", "realm": ["realm1"]},
        {"role": "user", "extra": "red"},
        True,
    ],
)
async def test_nonsense_lets_nobody_in(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def ask(*_: Any) -> Any:
        return answer

    client = Client(open_gateway(), authenticators=ticket_by(ask))
    await show_ticket(client)

    assert (await next_message(client)).reason == FAILED
    assert f"the authenticator {URI} answered" in caplog.text


@pytest.mark.parametrize("answer", [None, False])
async def test_nothing_is_a_no(answer: Any) -> None:
    async def ask(*_: Any) -> Any:
        return answer

    client = Client(open_gateway(), authenticators=ticket_by(ask))
    await show_ticket(client)

    assert (await next_message(client)).reason == FAILED


async def test_a_role_may_come_from_the_configuration() -> None:
    async def ask(*_: Any) -> Any:
        return {"authid": "joe"}

    client = Client(open_gateway(), authenticators=ticket_by(ask, default_role="user"))
    await show_ticket(client)

    assert (await next_message(client)).details.authrole == "user"


async def test_a_role_or_realm_that_does_not_exist_lets_nobody_in() -> None:
    for answer, uri in (
        ({"role": "ghost"}, "wamp.error.no_such_role"),
        ({"role": "user", "realm": "elsewhere"}, "wamp.error.no_such_realm"),
    ):

        async def ask(*_: Any, answer: Any = answer) -> Any:
            return answer

        client = Client(open_gateway(), authenticators=ticket_by(ask))
        await show_ticket(client)
        assert (await next_message(client)).reason == uri


async def test_questions_do_not_pile_up() -> None:
    never = asyncio.Event()

    async def ask(*_: Any) -> Any:
        await never.wait()
        return "user"

    gateway, authenticators = open_gateway(), ticket_by(ask)
    waiting = [Client(gateway, authenticators=authenticators) for _ in range(MAX_ASKING)]
    for client in waiting:
        await show_ticket(client)
    late = Client(gateway, authenticators=authenticators)
    await show_ticket(late)

    assert (await next_message(late)).reason == FAILED
    never.set()
    assert type(await next_message(waiting[0])) is Welcome


# --- Methods that challenge -----------------------------------------------------------------------------


async def hello_for(client: Client, authid: str = "joe") -> Any:
    client.hello(authmethods=["wampcra"], authid=authid)
    return await next_message(client)


async def test_an_authenticator_may_tell_the_secret() -> None:
    async def ask(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        assert "ticket" not in details
        return {"role": "user", "secret": "secret"}

    client = Client(open_gateway(), authenticators=wampcra_by(ask))
    challenge = await hello_for(client)
    client.send(Authenticate(signed(b"secret", challenge), {}))

    assert (await next_message(client)).details.authprovider == "dynamic"


async def test_those_whom_an_authenticator_does_not_know_are_challenged_like_others() -> None:
    async def ask(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        if authid != "joe":
            raise ApplicationError("com.example.no_such_user")
        return {"role": "user", "secret": "secret", "salt": "salt123", "iterations": 7, "keylen": 16}

    gateway, authenticators = open_gateway(), wampcra_by(ask)
    known = await hello_for(Client(gateway, authenticators=authenticators))
    client = Client(gateway, authenticators=authenticators)
    challenge = await hello_for(client, "nobody")
    client.send(Authenticate(signed(b"secret", challenge), {}))

    assert challenge.extra.keys() == known.extra.keys()
    assert (challenge.extra["iterations"], challenge.extra["keylen"]) == (7, 16)
    assert (await next_message(client)).reason == FAILED


@pytest.mark.parametrize(
    "answer",
    [
        "user",
        {"role": "user"},
        {"role": "user", "secret": 1},
        {"role": "user", "secret": "s", "salt": "s", "iterations": 10**9},
        {"role": "user", "derived-key": "abcd"},
    ],
)
async def test_an_answer_without_a_usable_secret_lets_nobody_in(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def ask(*_: Any) -> Any:
        return answer

    client = Client(open_gateway(), authenticators=wampcra_by(ask))

    message = await hello_for(client)

    assert type(message) is Abort
    assert message.reason == FAILED
    assert URI in caplog.text


# --- Anonymous ------------------------------------------------------------------------------------------


async def test_anonymous_clients_may_be_asked_about() -> None:
    async def ask(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        return {"role": "user", "authid": "visitor"}

    authenticators: dict[str, Authenticator] = {"anonymous": AskedAtOnce(Asking(ask, "dynamic", URI), "anonymous")}
    client = Client(open_gateway(), authenticators=authenticators)
    client.hello()

    assert (await next_message(client)).details.authid == "visitor"


# --- Functions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("create_waits", [False, True])
@pytest.mark.parametrize("waits", [False, True])
async def test_a_function_is_made_once_and_asked(create_waits: bool, waits: bool) -> None:
    made = []

    def said(config: dict[str, Any], ticket: str) -> str:
        if ticket != config["ticket"]:
            raise PermissionError(ticket)
        return "user"

    def make(config: dict[str, Any]) -> Any:
        made.append(config)

        async def later(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
            await asyncio.sleep(0)
            return said(config, details["ticket"])

        def now(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
            return said(config, details["ticket"])

        return later if waits else now

    def create(config: dict[str, Any], controller: None) -> Any:
        return make(config)

    async def create_later(config: dict[str, Any], controller: None) -> Any:
        return make(config)

    gateway = open_gateway()
    authenticators = ticket_by(function(create_later if create_waits else create, {"ticket": "magic"}))
    for _ in range(2):
        client = Client(gateway, authenticators=authenticators)
        await show_ticket(client)
        assert (await next_message(client)).details.authid == "joe"

    assert made == [{"ticket": "magic"}]


async def test_clients_that_come_at_the_same_time_have_a_function_made_once() -> None:
    made: list[None] = []
    both_are_here = asyncio.Event()

    async def create(config: dict[str, Any], controller: None) -> Any:
        made.append(None)
        await both_are_here.wait()
        return lambda realm, authid, details: "user"

    ask = function(create, {})
    asked = [asyncio.ensure_future(ask("realm1", "joe", {})) for _ in range(2)]
    await asyncio.sleep(0)
    both_are_here.set()

    assert await asyncio.gather(*asked) == ["user", "user"]
    assert made == [None]


async def test_what_a_function_raises_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def authenticate(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        raise LookupError(f"no such ticket: {details['ticket']}")

    client = Client(open_gateway(), authenticators=ticket_by(function(lambda *_: authenticate, {})))
    await show_ticket(client)

    assert (await next_message(client)).reason == FAILED
    assert "raised LookupError" in caplog.text
    assert "test_asked.py" in caplog.text
    assert "magic" not in caplog.text


# --- Calls of the router --------------------------------------------------------------------------------


async def test_results_come_as_one_value_or_as_a_list() -> None:
    gateway = open_gateway()
    callee = Registered(gateway)
    for results, expected in (([7], 7), ([1, 2], [1, 2]), ([], [])):
        call = asyncio.create_task(InternalCalls(gateway).call("realm1", URI, b"\0\1"))
        await settle()
        invocation, args = callee.asked()
        callee.client.yield_(invocation.request, *results)

        assert await call == expected
        assert args == ["\0AAE="] or args == [b"\0\1"]


async def test_calls_are_told_apart() -> None:
    gateway = open_gateway()
    callee = Registered(gateway)
    calls = InternalCalls(gateway)
    tasks = [asyncio.create_task(calls.call("realm1", URI, n)) for n in range(3)]
    await settle()
    invocations = callee.client.take()

    for invocation in reversed(invocations):
        callee.client.yield_(invocation.request, callee.client.args(invocation)[0] * 2)

    assert await asyncio.gather(*tasks) == [0, 2, 4]
