"""Challenges and their answers, for every method: who gets in, who does not, and what strangers learn."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from typing import Any

import pytest
from tests.serve.provers import PROVERS, TICKET, WAMPCRA, Prover, known
from tests.serve.scene import Client, open_gateway, pass_time, settle

from rocade.router.permissions import Role
from rocade.serve import handshake as handshake_module
from rocade.serve.authentication import Anonymous, Attempt, Authenticator, Identity, Outcome, Question, wampcra
from rocade.serve.authentication.hashes import hash_ticket, is_hash
from rocade.serve.authentication.principals import Known, Principal
from rocade.serve.authentication.ticket import Ticket, TicketProof, disguised_ticket
from rocade.serve.authentication.wampcra import (
    Salt,
    WampCra,
    derived_key,
    disguised_wampcra,
    wampcra_proof,
)
from rocade.wamp.messages import Abort, Authenticate, Call, CallOptions, Challenge, CloseDetails, Hello, Welcome

FAILED = "wamp.error.authentication_failed"
VIOLATION = "wamp.error.protocol_violation"
provers = pytest.mark.parametrize("prover", PROVERS, ids=str)


async def challenged(prover: Prover, client: Client, realm: str = "realm1", authid: str = "joe") -> Challenge:
    """Say HELLO, get CHALLENGE."""
    client.hello(realm, **prover.hello(authid))
    await settle()
    challenge = client.take_one()
    assert type(challenge) is Challenge, challenge
    assert challenge.method == prover.method
    return challenge


async def answer(client: Client, signature: str, extra: dict[str, Any] | None = None) -> Any:
    """Say AUTHENTICATE; what comes of it."""
    client.send(Authenticate(signature, extra or {}))
    await settle()
    return client.take_one()


def assert_refused(client: Client, message: Any, uri: str = FAILED) -> None:
    assert type(message) is Abort, message
    assert message.reason == uri
    assert client.link.closed is not None
    assert client.connection.session is None


def arriving(prover: Prover, **options: Any) -> Client:
    return Client(open_gateway(**options), authenticators={prover.method: prover.authenticator()})


# --- Every method ---------------------------------------------------------------------------------------


@provers
async def test_who_has_the_secret_gets_in(prover: Prover) -> None:
    client = arriving(prover)

    welcome = await answer(client, *prover.answer(await challenged(prover, client), True))

    assert type(welcome) is Welcome, welcome
    details = welcome.details
    assert (details.authid, details.authrole, details.authmethod) == ("joe", "user", prover.method)
    assert (details.authprovider, details.realm) == ("static", "realm1")
    assert client.connection.session.authid == "joe"


@provers
async def test_who_has_not_is_refused_and_the_connection_closed(prover: Prover) -> None:
    client = arriving(prover)

    message = await answer(client, *prover.answer(await challenged(prover, client), False))

    assert_refused(client, message)
    assert message.details.message == "authentication failed"


@provers
@pytest.mark.parametrize("signature", ["", "\0", "ü" * 100, "A" * 128, "=", "\ud7ff", "0" * 192])
async def test_nonsense_is_refused(prover: Prover, signature: str) -> None:
    client = arriving(prover)
    await challenged(prover, client)

    message = await answer(client, signature)

    assert_refused(client, message)


@provers
async def test_somebody_unknown_is_asked_and_refused_like_somebody_with_a_wrong_secret(prover: Prover) -> None:
    one, other = arriving(prover), arriving(prover)
    challenge = await challenged(prover, one, authid="nobody")
    genuine = await challenged(prover, other)

    refused = await answer(one, *prover.answer(challenge, True))

    assert_refused(one, refused)
    assert refused == await answer(other, *prover.answer(genuine, False))
    assert challenge.extra.keys() == genuine.extra.keys()
    for key, value in genuine.extra.items():
        assert type(challenge.extra[key]) is type(value)
        if key != "challenge":
            assert len(str(challenge.extra[key])) == len(str(value))


@provers
async def test_somebody_unknown_always_gets_the_same_salt(prover: Prover) -> None:
    gateway, authenticators = open_gateway(), {prover.method: prover.authenticator()}

    salts = {
        name: [
            (await challenged(prover, Client(gateway, authenticators=authenticators), authid=name)).extra.get("salt")
            for _ in range(2)
        ]
        for name in ("nobody", "no one", "joe")
    }

    assert all(first == second for first, second in salts.values())
    if salts["joe"][0] is not None:
        assert len({first for first, _ in salts.values()}) == 3


@pytest.mark.parametrize("prover", [prover for prover in PROVERS if prover is not TICKET], ids=str)
async def test_an_answer_cannot_be_used_again(prover: Prover) -> None:
    """A ticket can: it is good for any number of sessions."""
    gateway, authenticators = open_gateway(), {prover.method: prover.authenticator()}
    first, second = (Client(gateway, authenticators=authenticators) for _ in range(2))
    overheard = prover.answer(await challenged(prover, first), True)
    assert type(await answer(first, *overheard)) is Welcome

    await challenged(prover, second)
    message = await answer(second, *overheard)

    assert_refused(second, message)


@provers
async def test_a_role_that_the_realm_does_not_have_lets_nobody_in(prover: Prover) -> None:
    gateway = open_gateway()
    gateway.add_realm("realm2", [Role("staff", [])])
    client = Client(gateway, authenticators={prover.method: prover.authenticator()})

    message = await answer(client, *prover.answer(await challenged(prover, client, "realm2"), True))

    assert_refused(client, message, "wamp.error.no_such_role")


@provers
async def test_strangers_do_not_learn_which_realms_there_are(prover: Prover) -> None:
    known, unknown = arriving(prover), arriving(prover)
    genuine = await challenged(prover, known)

    challenge = await challenged(prover, unknown, "elsewhere")

    assert challenge.extra.keys() == genuine.extra.keys()
    refused = await answer(unknown, *prover.answer(challenge, False))
    assert refused == await answer(known, *prover.answer(genuine, False))
    assert_refused(unknown, refused)


@provers
async def test_who_has_the_secret_is_told_that_there_is_no_such_realm(prover: Prover) -> None:
    client = arriving(prover)

    message = await answer(client, *prover.answer(await challenged(prover, client, "elsewhere"), True))

    assert_refused(client, message, "wamp.error.no_such_realm")


@provers
async def test_where_anonymous_clients_are_welcome_realms_are_no_secret(prover: Prover) -> None:
    authenticators: dict[str, Authenticator] = {prover.method: prover.authenticator(), "anonymous": Anonymous("user")}
    client = Client(open_gateway(), authenticators=authenticators)

    client.hello("elsewhere", **prover.hello())

    assert_refused(client, client.take_one(), "wamp.error.no_such_realm")


@pytest.mark.parametrize("realm", ["realm1", "elsewhere"])
async def test_a_session_that_does_not_exist_is_refused_in_the_same_words_in_any_realm(realm: str) -> None:
    client = arriving(TICKET)

    client.hello(realm, resume_session=7, resume_token="x")

    message = client.take_one()
    assert_refused(client, message, "wamp.error.no_such_session")
    assert realm not in message.details.message


async def test_what_is_no_name_of_a_realm_is_refused_at_once() -> None:
    client = arriving(TICKET)

    client.hello("no realm", **TICKET.hello())

    assert_refused(client, client.take_one(), "wamp.error.invalid_uri")


@pytest.mark.parametrize("methods", [["palmistry"], [], ["anonymous"]])
async def test_an_unknown_method_is_refused_before_an_unknown_realm(methods: list[str]) -> None:
    client = arriving(TICKET)

    client.hello("elsewhere", authmethods=methods, authid="joe")

    assert_refused(client, client.take_one(), "wamp.error.no_matching_auth_method")


@provers
async def test_a_second_authenticate_is_a_violation(prover: Prover) -> None:
    client = arriving(prover)
    right = Authenticate(*prover.answer(await challenged(prover, client), True))

    client.send(right, right)
    await settle()

    messages = client.take()
    assert_refused(client, messages[-1], VIOLATION)


@provers
@pytest.mark.parametrize(
    "message",
    [
        Call(1, CallOptions(), "com.example.add"),
        Hello("realm1", None),  # type: ignore[arg-type]
        Challenge("ticket", {}),
    ],
    ids=lambda message: type(message).__name__,
)
async def test_anything_else_while_challenged_is_a_violation(prover: Prover, message: Any) -> None:
    client = arriving(prover)
    await challenged(prover, client)

    if type(message) is Hello:
        client.hello()
    else:
        client.send(message)
    await settle()

    assert_refused(client, client.take_one(), VIOLATION)


@provers
async def test_an_attempt_that_is_not_finished_is_ended(prover: Prover) -> None:
    client = arriving(prover)
    await challenged(prover, client)

    await pass_time(handshake_module.AUTHENTICATION_TIMEOUT - 1)
    assert client.link.closed is None
    await pass_time(1.1)

    assert_refused(client, client.take_one())


@provers
async def test_a_client_may_change_its_mind(prover: Prover) -> None:
    client = arriving(prover)
    await challenged(prover, client)

    client.send(Abort(CloseDetails(), "wamp.close.normal"))

    assert client.link.closed is not None
    assert client.take() == []


@provers
async def test_a_connection_that_is_lost_while_challenged_leaves_nothing_behind(prover: Prover) -> None:
    client = arriving(prover)
    await challenged(prover, client)

    client.link.lose()

    assert not client.gateway.connections


@provers
async def test_without_an_authid_the_next_method_is_tried(prover: Prover) -> None:
    authenticators: dict[str, Authenticator] = {
        prover.method: prover.authenticator(),
        "anonymous": Anonymous("user"),
    }
    client = Client(open_gateway(), authenticators=authenticators)

    client.hello(authmethods=[prover.method, "anonymous"])
    await settle()

    assert client.take_one().details.authmethod == "anonymous"


@provers
async def test_without_an_authid_and_another_method_nobody_gets_in(prover: Prover) -> None:
    client = arriving(prover)

    client.hello(authmethods=[prover.method])
    await settle()

    assert_refused(client, client.take_one(), "wamp.error.no_matching_auth_method")


@provers
async def test_only_unknown_methods_let_nobody_in(prover: Prover) -> None:
    client = arriving(prover)

    client.hello(authmethods=["palmistry"], authid="joe")

    assert_refused(client, client.take_one(), "wamp.error.no_matching_auth_method")


@provers
async def test_no_secret_is_logged(prover: Prover, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for is_right in (True, False):
        client = arriving(prover)
        signature, extra = prover.answer(await challenged(prover, client), is_right)
        await answer(client, signature, extra)
        assert signature not in caplog.text
    for secret in ("magic", "secret", "password", "pencil"):
        assert secret not in caplog.text.lower()
    assert "joe" in caplog.text
    assert "has not proved it" in caplog.text


@provers
async def test_a_session_id_is_new_to_the_realm_and_the_one_that_was_promised(prover: Prover) -> None:
    client = arriving(prover)
    challenge = await challenged(prover, client)

    welcome = await answer(client, *prover.answer(challenge, True))

    assert client.connection.session.id == welcome.session
    if prover.method == "wampcra":
        assert json.loads(challenge.extra["challenge"])["session"] == welcome.session


@provers
async def test_a_principal_may_belong_to_one_realm_only(prover: Prover) -> None:
    gateway = open_gateway(realms=["realm1", "realm2"])
    authenticator: Any = prover.authenticator()
    principals = authenticator._principals
    for name, principal in list(principals._principals.items()):
        principals._principals[name] = Principal(authid=name, role="user", proof=principal.proof, realm="realm2")
    here, there = (Client(gateway, authenticators={prover.method: authenticator}) for _ in range(2))

    refused = await answer(here, *prover.answer(await challenged(prover, here, "realm1"), True))
    welcome = await answer(there, *prover.answer(await challenged(prover, there, "realm2"), True))

    assert_refused(here, refused)
    assert type(welcome) is Welcome


# --- The seam -------------------------------------------------------------------------------------------


async def test_the_clients_order_counts_and_the_first_method_decides() -> None:
    client = Client(
        open_gateway(), authenticators={prover.method: prover.authenticator() for prover in (TICKET, WAMPCRA)}
    )

    client.hello(authmethods=["palmistry", "wampcra", "ticket"], authid="joe")
    await settle()

    assert client.take_one().method == "wampcra"


async def test_a_client_without_methods_is_anonymous_and_not_asked_in() -> None:
    client = arriving(TICKET)

    client.hello(authid="joe")

    assert_refused(client, client.take_one(), "wamp.error.no_matching_auth_method")


class Slow:
    """Does not know before it is told."""

    def __init__(self) -> None:
        self.told: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

    async def begin(self, attempt: Attempt) -> Outcome | None:
        return await self.told


IDENTITY = Identity(authid="joe", authrole="user", authmethod="slow")


async def test_an_authenticator_may_take_its_time() -> None:
    slow = Slow()
    client = Client(open_gateway(), authenticators={"slow": slow})
    client.hello(authmethods=["slow"])
    await settle()
    assert client.take() == []

    slow.told.set_result(IDENTITY)
    await settle()

    assert client.take_one().details.authid == "joe"


async def test_a_second_question_may_follow() -> None:
    async def second(message: Authenticate) -> Identity:
        return Identity(authid=f"joe {message.signature}", authrole="user", authmethod="two")

    async def first(message: Authenticate) -> Any:
        return Question("two", {}, second)

    slow = Slow()
    slow.told.set_result(Question("one", {}, first))
    client = Client(open_gateway(), authenticators={"slow": slow})
    client.hello(authmethods=["slow"])
    await settle()
    assert client.take_one().method == "one"

    assert (await answer(client, "1")).method == "two"
    welcome = await answer(client, "2")

    assert welcome.details.authid == "joe 2"


async def test_whoever_speaks_while_an_authenticator_thinks_is_aborted() -> None:
    slow = Slow()
    client = Client(open_gateway(), authenticators={"slow": slow})
    client.hello(authmethods=["slow"])

    client.send(Call(1, CallOptions(), "com.example.add"))
    await settle()

    assert_refused(client, client.take_one(), VIOLATION)


async def test_an_authenticator_that_thinks_for_ever_is_given_up() -> None:
    slow = Slow()
    client = Client(open_gateway(), authenticators={"slow": slow})
    client.hello(authmethods=["slow"])
    await settle()

    await pass_time(handshake_module.AUTHENTICATION_TIMEOUT + 0.1)

    assert_refused(client, client.take_one())
    assert slow.told.cancelled()


async def test_nobody_gets_in_whose_connection_is_lost_meanwhile() -> None:
    slow = Slow()
    client = Client(open_gateway(), authenticators={"slow": slow})
    client.hello(authmethods=["slow"])
    await settle()

    client.link.lose()
    await settle()

    assert slow.told.cancelled()
    assert not client.gateway.realms["realm1"].sessions


async def test_nobody_gets_in_once_the_router_shuts_down() -> None:
    slow = Slow()
    client = Client(open_gateway(), authenticators={"slow": slow})
    client.hello(authmethods=["slow"])
    await settle()
    client.gateway._closing = True

    slow.told.set_result(IDENTITY)
    await settle()

    assert_refused(client, client.take_one(), "wamp.close.system_shutdown")


@pytest.mark.parametrize("failure", [LookupError("magic"), asyncio.CancelledError()])
async def test_an_authenticator_that_fails_lets_nobody_in(
    failure: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    slow = Slow()
    client = Client(open_gateway(), authenticators={"slow": slow})
    client.hello(authmethods=["slow"])
    await settle()

    slow.told.set_exception(failure) if isinstance(failure, Exception) else slow.told.cancel()
    await settle()

    assert_refused(client, client.take_one(), "wamp.error.runtime_error")


async def test_what_the_authenticator_says_of_the_realm_counts() -> None:
    slow = Slow()
    slow.told.set_result(
        Identity(authid="joe", authrole="user", authmethod="slow", realm="realm2", authextra={"colour": "red"})
    )
    client = Client(open_gateway(realms=["realm1", "realm2"]), authenticators={"slow": slow})

    client.hello("realm1", authmethods=["slow"])
    await settle()

    details = client.take_one().details
    assert (details.realm, details.authextra) == ("realm2", {"colour": "red"})
    assert client.connection.realm.name == "realm2"


async def test_after_goodbye_the_same_connection_may_authenticate_anew() -> None:
    client = arriving(TICKET)
    assert type(await answer(client, *TICKET.answer(await challenged(TICKET, client), True))) is Welcome
    client.goodbye()
    client.take()

    welcome = await answer(client, *TICKET.answer(await challenged(TICKET, client, authid="ann"), True))

    assert welcome.details.authid == "ann"
    await pass_time(handshake_module.AUTHENTICATION_TIMEOUT * 2)
    assert client.link.closed is None


# --- Tickets --------------------------------------------------------------------------------------------


async def until_answered(client: Client) -> Any:
    """Hashes are computed in a thread."""
    async with asyncio.timeout(30):
        while True:
            await asyncio.sleep(0.005)
            messages = client.take()
            if messages:
                return messages[-1]


@pytest.mark.parametrize("argon2", [False, True])
@pytest.mark.parametrize(("authid", "ticket"), [("joe", "magic"), ("joe", "Magic"), ("nobody", "magic")])
async def test_a_ticket_may_be_known_by_its_hash(argon2: bool, authid: str, ticket: str) -> None:
    proof = TicketProof(hash_ticket("magic", argon2=argon2), is_hash=True)
    client = Client(open_gateway(), authenticators={"ticket": Ticket(known(proof, disguised_ticket))})
    await challenged(TICKET, client, authid=authid)

    client.send(Authenticate(ticket, {}))
    message = await until_answered(client)

    assert type(message) is (Welcome if (authid, ticket) == ("joe", "magic") else Abort)


@pytest.mark.parametrize("argon2", [False, True])
def test_a_hash_is_salted_and_does_not_show_the_ticket(argon2: bool) -> None:
    one, other = (hash_ticket("magic", argon2=argon2) for _ in range(2))

    assert one != other
    assert "magic" not in one
    assert is_hash(one)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "magic",
        "$pbkdf2-sha256$1$$",
        "$pbkdf2-sha256$0$AAAA$AAAAAAAAAAAAAAAAAAAAAA==",
        "$argon2id$v=19$what",
        "$pbkdf2-sha256$99999999999$AAAA$AAAAAAAAAAAAAAAAAAAAAA==",
        "$pbkdf2-sha256$²$AAAA$AAAAAAAAAAAAAAAAAAAAAA==",
    ],
)
def test_other_texts_are_no_hashes(text: str) -> None:
    assert not is_hash(text)


# --- WAMP-CRA -------------------------------------------------------------------------------------------


async def test_a_challenge_says_all_that_the_specification_asks_for() -> None:
    challenge = await challenged(WAMPCRA, arriving(WAMPCRA))

    said = json.loads(challenge.extra["challenge"])

    assert said.keys() == {"authid", "authrole", "authmethod", "authprovider", "nonce", "timestamp", "session"}
    assert (said["authid"], said["authrole"], said["authmethod"]) == ("joe", "user", "wampcra")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["timestamp"])


# RFC 7914, section 11: PBKDF2-HMAC-SHA-256 with dkLen=64
STANDARD = [
    (
        "passwd",
        Salt("salt", 1, 64),
        "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783",
    ),
    (
        "Password",
        Salt("NaCl", 80000, 64),
        "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
        "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d",
    ),
]


@pytest.mark.parametrize(("password", "salt", "expected"), STANDARD)
def test_keys_are_derived_as_clients_do(password: str, salt: Salt, expected: str) -> None:
    assert base64.b64decode(derived_key(password, salt)).hex() == expected


async def test_challenges_are_signed_as_the_standard_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 4231, section 4.3. The specification of WAMP-CRA has an example, but does not tell its secret."""
    monkeypatch.setattr(wampcra, "_challenge", lambda principal, session: "what do ya want for nothing?")
    signature = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    authenticator = WampCra(known(wampcra_proof("Jefe", None, None, None, None), disguised_wampcra))
    client = Client(open_gateway(), authenticators={"wampcra": authenticator})
    await challenged(WAMPCRA, client)

    assert type(await answer(client, base64.b64encode(signature).decode())) is Welcome


def test_a_derived_key_does_as_well_as_the_password() -> None:
    how = Salt("salt123", 100, 32)
    key = derived_key("password", how).decode()

    assert wampcra_proof(None, key, "salt123", 100, 32) == wampcra_proof("password", None, "salt123", 100, 32)


@pytest.mark.parametrize("salt", ["salt123", "a1b2c3d4", "fRzNKQFjvMA1P1uvkp8+bw==", "Ab", "-_-"])
def test_a_decoys_salt_looks_like_any_other(salt: str) -> None:
    proof = wampcra_proof("password", None, salt, 1, 32)

    fake = disguised_wampcra(proof, bytes(range(56))).salt

    assert fake is not None
    assert len(fake.salt) == len(salt)
    assert fake.salt != salt or salt == "-_-"
    assert fake.salt.endswith("=") == salt.endswith("=")


async def test_decoys_are_like_those_who_exist_some_salted_some_not() -> None:
    principals = {
        "salted": Principal(authid="salted", role="user", proof=wampcra_proof("x", None, "salt", 1, 32)),
        "plain": Principal(authid="plain", role="user", proof=wampcra_proof("x", None, None, None, None)),
    }
    authenticators = {"wampcra": WampCra(Known(principals, disguised_wampcra))}
    gateway = open_gateway()

    salted = [
        "salt" in (await challenged(WAMPCRA, Client(gateway, authenticators=authenticators), authid=f"n{n}")).extra
        for n in range(20)
    ]

    assert {True, False} == set(salted)
