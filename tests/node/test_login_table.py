"""Every way to log in, and every way to fail at it, through every door of a whole router.

A table: methods, of each type, are its rows; what clients and authenticators do wrong is its columns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conformance.carriers import Carrier, LongPollCarrier, RawSocketCarrier, WebSocketCarrier
from tests.conformance.peer import Peer
from tests.conformance.waiting import TIMEOUT
from tests.serve.provers import (
    CRYPTOSIGN,
    JWT,
    PUBLIC_KEY,
    SALTED_WAMPCRA,
    SCRAM,
    TICKET,
    TOKEN_SECRET,
    WAMP_SCRAM,
    WAMPCRA,
    Prover,
)

from rocade.errors import ApplicationError
from rocade.node.configuration import configuration_from
from rocade.node.worker import Worker
from rocade.serve import handshake
from rocade.serve.authentication import asked
from rocade.serve.authentication.hashes import hash_ticket
from rocade.serve.authentication.scram import scram_proof
from rocade.wamp.codec import SERIALIZERS
from rocade.wamp.messages import (
    Abort,
    Authenticate,
    Call,
    CallOptions,
    Challenge,
    Invocation,
    Register,
    Registered,
    RegisterOptions,
    Welcome,
)

FAILED = "wamp.error.authentication_failed"
VIOLATION = "wamp.error.protocol_violation"
NO_METHOD = "wamp.error.no_matching_auth_method"
URI = "com.example.authenticate"

PROOF = scram_proof("pencil", "pbkdf2", bytes(range(16)), 100, None)
SCRAM_KEYS = {
    "kdf": "pbkdf2",
    "salt": PROOF.salt.hex(),
    "iterations": PROOF.iterations,
    "stored-key": PROOF.stored_key.hex(),
    "server-key": PROOF.server_key.hex(),
}
KEY = {"authorized_keys": [PUBLIC_KEY.hex()]}
SALTED = {"secret": "password", "salt": "salt123", "iterations": 100, "keylen": 32}
TOKENS = {"algorithms": ["HS256"], "secret": TOKEN_SECRET}

STATIC: dict[str, Any] = {
    "ticket": {"principals": {"joe": {"ticket": "magic"}, "hashed": {"ticket-hash": hash_ticket("magic")}}},
    "wampcra": {"users": {"joe": {"secret": "secret"}, "salted": SALTED}},
    "scram": {"principals": {"joe": SCRAM_KEYS}},
    "cryptosign": {"principals": {"joe": KEY, "other": {**KEY, "realm": "realm2"}}},
    "jwt": {**TOKENS, "realm-claim": "realm"},
}
REALM_OF_TOKENS = {"realm": "realm1"}

KNOWN = {"wampcra": {"secret": "secret"}, "scram": SCRAM_KEYS, "wamp-scram": SCRAM_KEYS, "cryptosign": KEY}
"""What authenticators say of joe, besides his role."""


async def judged(details: dict[str, Any], behaviour: str) -> Any:
    """What a procedure or function answers, or does instead."""
    method = details["authmethod"]
    match behaviour:
        case "raises":
            raise ZeroDivisionError("magic secret pencil")
        case "refuses":
            raise ApplicationError("com.example.no", "magic secret pencil")
        case "hangs":
            await asyncio.Event().wait()
        case "nothing":
            return None
        case "a number":
            return 7
        case "a list":
            return ["user"]
        case "no role":
            return KNOWN.get(method, {})
        case "an empty role":
            return {"role": "", **KNOWN.get(method, {})}
        case "a role of another kind":
            return {"role": {"name": "user"}, **KNOWN.get(method, {})}
        case "an unknown role":
            return {"role": "ghost", **KNOWN.get(method, {})}
        case "an unknown realm":
            return {"role": "user", "realm": "nowhere", **KNOWN.get(method, {})}
        case "a wrong secret":
            return {"role": "user", "secret": 7, "pubkey": [], "kdf": "md5", "salt": "", "extra": "x"}
    if method == "ticket" and details["ticket"] != "magic":
        return None
    return {"role": "user", **KNOWN.get(method, {})}


HOSTILE = {
    "raises": FAILED,
    "refuses": FAILED,
    "hangs": FAILED,
    "nothing": FAILED,
    "a number": FAILED,
    "a list": FAILED,
    "no role": FAILED,
    "an empty role": FAILED,
    "a role of another kind": FAILED,
    "an unknown role": "wamp.error.no_such_role",
    "an unknown realm": "wamp.error.no_such_realm",
    "a wrong secret": FAILED,
}
"""What an authenticator does -> what the client learns of it, if it has the right secret."""


class Behaviour:
    """How authenticators behave."""

    now = "well"


def create(config: Any, controller: None) -> Any:
    """Makes the authenticator of type "function"."""

    async def authenticate(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        return await judged(details, Behaviour.now)

    return authenticate


def auth(type: str) -> dict[str, Any]:
    """Logins of the configuration file."""
    if type == "static":
        return {method: {"type": "static", "default-role": "user", **more} for method, more in STATIC.items()}
    asks: dict[str, Any] = {"type": "function", "create": "tests.node.test_login_table.create"}
    if type == "dynamic":
        asks = {"type": "dynamic", "authenticator": URI, "authenticator-realm": "internal"}
    return {method: asks for method in STATIC if method != "jwt"} | {"jwt": {**asks, **TOKENS}}


def transport(type: str) -> dict[str, Any]:
    """One that has all three doors."""
    logins = {"auth": auth(type)}
    return {
        "type": "universal",
        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
        "rawsocket": logins,
        "websocket": {"ws": {"type": "websocket", **logins}},
        "web": {"type": "web", "paths": {"lp": {"type": "longpoll", **logins}}},
    }


TYPES = ("static", "dynamic", "function")
DOORS = ("websocket-json", "rawsocket-msgpack", "longpoll-cbor")


class House:
    """A router with all its doors, on an event loop that runs while a test does."""

    def __init__(self, directory: Path) -> None:
        realms: list[Any] = [{"name": name, "roles": [{"name": "user"}]} for name in ("realm1", "realm2")]
        permission = {"uri": URI, "allow": {"register": True}}
        realms.append({"name": "internal", "roles": [{"name": "anonymous", "permissions": [permission]}]})
        inside = {"type": "rawsocket", "endpoint": {"type": "unix", "path": str(directory / "inside.sock")}}
        failures = {"tolerated": 0, "delay": 0, "lock_out_after": 0, "lock_out_address_after": 0}
        worker = {
            "type": "router",
            "limits": {"failed_logins": failures},
            "realms": realms,
            "transports": [*(transport(type) for type in TYPES), inside],
        }
        self._worker = Worker(configuration_from({"version": 2, "workers": [worker]}, environment={}).worker)
        self._inside = str(directory / "inside.sock")
        self._peers: list[Peer] = []
        self._https: list[httpx.AsyncClient] = []
        self.runner = asyncio.Runner()

    async def open(self) -> None:
        self._worker.bind()
        await self._worker.start()
        self.ports = [listening.getsockname()[1] for listening in self._worker._sockets[: len(TYPES)]]
        self._authenticator = asyncio.create_task(self._be_asked())

    async def _be_asked(self) -> None:
        """The client that has registered the authenticator of type "dynamic"."""
        peer = Peer(await RawSocketCarrier.open(SERIALIZERS["msgpack"], path=self._inside), SERIALIZERS["msgpack"])
        await peer.join("internal")
        await peer.send(Register(peer.next_request(), RegisterOptions(), URI))
        await peer.expect(Registered)
        answering: set[asyncio.Task[None]] = set()

        async def answer(invocation: Invocation) -> None:
            try:
                await peer.yield_(invocation, await judged(invocation.args[2], Behaviour.now))
            except ZeroDivisionError:
                await peer.send_array(8, 68, invocation.request, {}, "com.example.zero", ["magic secret pencil"])
            except ApplicationError as error:
                await peer.send_array(8, 68, invocation.request, {}, error.uri, list(error.args))

        try:
            while True:
                message = peer.serializer.decode(await peer.carrier.receive())
                if isinstance(message, Invocation):
                    message.args = peer.serializer.load(bytes(message.args))  # type: ignore[arg-type]
                    task = asyncio.create_task(answer(message))
                    answering.add(task)
                    task.add_done_callback(answering.discard)
        finally:
            await peer.close()

    async def close(self) -> None:
        await self.tidy()
        self._authenticator.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._authenticator
        await self._worker.stop()

    async def tidy(self) -> None:
        """Close what a test has left open."""
        for peer in self._peers:
            with contextlib.suppress(OSError, httpx.HTTPError):
                await peer.close()
        for http in self._https:
            await http.aclose()
        self._peers.clear()
        self._https.clear()

    async def connect(self, door: str, type: str = "static") -> Peer:
        """A client that has said nothing yet."""
        kind, _, name = door.partition("-")
        serializer, port = SERIALIZERS[name], self.ports[TYPES.index(type)]
        carrier: Carrier
        if kind == "websocket":
            carrier = await WebSocketCarrier.open(serializer, port=port)
        elif kind == "rawsocket":
            carrier = await RawSocketCarrier.open(serializer, port=port)
        else:
            http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT * 2, trust_env=False)
            self._https.append(http)
            carrier = await LongPollCarrier.open(http, serializer, is_batched=False)
        self._peers.append(Peer(carrier, serializer))
        return self._peers[-1]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    house.runner.run(house.open())
    yield house
    house.runner.run(house.close())
    house.runner.close()


@pytest.fixture
def play(house: House, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Plays a story. No secret may get into the log meanwhile."""
    caplog.set_level(logging.DEBUG, "rocade")
    Behaviour.now = "well"

    def play(story: Coroutine[Any, Any, None]) -> None:
        house.runner.run(story)

    yield play
    house.runner.run(house.tidy())
    assert not any(secret in caplog.text for secret in ("magic", "pencil", "Pencil", "password", TOKEN_SECRET))


Play = Callable[[Coroutine[Any, Any, None]], None]

STATIC_ROWS = [
    (TICKET, "joe"),
    (TICKET, "hashed"),
    (WAMPCRA, "joe"),
    (SALTED_WAMPCRA, "salted"),
    (SCRAM, "joe"),
    (WAMP_SCRAM, "joe"),
    (CRYPTOSIGN, "joe"),
    (JWT, "joe"),
]
ASKED_ROWS = [(type, prover) for type in TYPES[1:] for prover in (TICKET, WAMPCRA, SCRAM, WAMP_SCRAM, CRYPTOSIGN, JWT)]
ROWS = [(door, "static", prover, authid) for prover, authid in STATIC_ROWS for door in DOORS]
# Whoever is asked does not see the door: one each will do.
ROWS += [(DOORS[n % len(DOORS)], type, prover, "joe") for n, (type, prover) in enumerate(ASKED_ROWS)]
rows = pytest.mark.parametrize(
    ("door", "type", "prover", "authid"),
    ROWS,
    ids=["-".join(map(str, (row[1], row[2], row[3], row[0]))) for row in ROWS],
)
doors = pytest.mark.parametrize("door", DOORS)


async def hello(peer: Peer, prover: Prover, realm: str = "realm1", **details: Any) -> None:
    await peer.send_array(1, realm, {"roles": {"caller": {}}, **prover.hello(), **details})


async def challenged(peer: Peer, prover: Prover, realm: str = "realm1", **details: Any) -> Challenge:
    await hello(peer, prover, realm, **details)
    challenge = await peer.expect(Challenge)
    assert challenge.method == prover.method
    return challenge


def proved(prover: Prover, challenge: Challenge, is_right: bool = True, **claims: Any) -> Authenticate:
    """AUTHENTICATE; a token has the realm that it is for."""
    if prover is JWT:
        from tests.serve.provers import token

        secret = TOKEN_SECRET if is_right else TOKEN_SECRET.upper()
        return Authenticate(token(secret, **{**REALM_OF_TOKENS, **claims}), {})
    return Authenticate(*prover.answer(challenge, is_right))


async def expect_abort(peer: Peer, uri: str) -> Abort:
    abort = await peer.expect(Abort)
    assert abort.reason == uri
    if uri == FAILED:
        assert abort.details.message == "authentication failed"
    await peer.expect_end()
    return abort


# --- The way in -----------------------------------------------------------------------------------------


@rows
def test_who_has_the_secret_gets_in(
    house: House, play: Play, door: str, type: str, prover: Prover, authid: str
) -> None:
    async def story() -> None:
        peer = await house.connect(door, type)
        challenge = await challenged(peer, prover, authid=authid)
        await peer.send(proved(prover, challenge, sub=authid))
        details = (await peer.expect(Welcome)).details
        assert (details.authid, details.authrole, details.authmethod) == (authid, "user", prover.method)
        assert details.authprovider == type

    play(story())


# --- What clients do wrong ------------------------------------------------------------------------------


@rows
def test_a_wrong_secret_ends_the_attempt(
    house: House, play: Play, door: str, type: str, prover: Prover, authid: str
) -> None:
    async def story() -> None:
        peer = await house.connect(door, type)
        challenge = await challenged(peer, prover, authid=authid)
        await peer.send(proved(prover, challenge, False, sub=authid))
        await expect_abort(peer, FAILED)

    play(story())


@rows
def test_a_refused_authenticate_cannot_be_mended(
    house: House, play: Play, door: str, type: str, prover: Prover, authid: str
) -> None:
    """A second AUTHENTICATE, or another HELLO, right behind a wrong one is not looked at."""

    async def story() -> None:
        peer = await house.connect(door, type)
        challenge = await challenged(peer, prover, authid=authid)
        wrong, right = (proved(prover, challenge, is_right, sub=authid) for is_right in (False, True))
        with contextlib.suppress(Exception):  # the router may have hung up already
            await peer.send(wrong)
            await peer.send(right)
            await hello(peer, prover)
        abort = await peer.expect(Abort)
        assert abort.reason in (FAILED, VIOLATION)
        await peer.expect_end()

    play(story())


@rows
def test_a_challenge_is_answered_once(
    house: House, play: Play, door: str, type: str, prover: Prover, authid: str
) -> None:
    async def story() -> None:
        peer = await house.connect(door, type)
        right = proved(prover, await challenged(peer, prover, authid=authid), sub=authid)
        with contextlib.suppress(Exception):
            await peer.send(right)
            await peer.send(right)
        message = await peer.receive()
        if type_of(message) is Welcome:
            message = await peer.receive()
        assert type_of(message) is Abort
        assert message.reason == VIOLATION  # type: ignore[union-attr]
        await peer.expect_end()

    play(story())


def type_of(message: Any) -> Any:
    return message.__class__


@rows
def test_a_call_while_challenged_is_a_violation(
    house: House, play: Play, door: str, type: str, prover: Prover, authid: str
) -> None:
    async def story() -> None:
        peer = await house.connect(door, type)
        await challenged(peer, prover, authid=authid)
        await peer.send(Call(1, CallOptions(), "com.example.add"))
        await expect_abort(peer, VIOLATION)

    play(story())


@rows
def test_a_hello_while_challenged_is_a_violation(
    house: House, play: Play, door: str, type: str, prover: Prover, authid: str
) -> None:
    async def story() -> None:
        peer = await house.connect(door, type)
        await challenged(peer, prover, authid=authid)
        await hello(peer, prover)
        await expect_abort(peer, VIOLATION)

    play(story())


@rows
@pytest.mark.parametrize("signature", ["", "nonsense", "AAAA" * 1000], ids=["empty", "nonsense", "long"])
def test_nonsense_is_refused(
    house: House, play: Play, door: str, type: str, prover: Prover, authid: str, signature: str
) -> None:
    async def story() -> None:
        peer = await house.connect(door, type)
        await challenged(peer, prover, authid=authid)
        await peer.send(Authenticate(signature, {}))
        await expect_abort(peer, FAILED)

    play(story())


@rows
def test_somebody_unknown_is_challenged_and_refused(
    house: House, play: Play, door: str, type: str, prover: Prover, authid: str
) -> None:
    async def story() -> None:
        peer = await house.connect(door, type)
        Behaviour.now = "nothing"
        challenge = await challenged(peer, prover, authid="nobody")
        # Of those that are not there some have a salt, like those that are.
        plain = prover is SALTED_WAMPCRA and "salt" not in challenge.extra
        await peer.send(proved(WAMPCRA if plain else prover, challenge))
        await expect_abort(peer, FAILED)

    play(story())


REPLAYABLE = (TICKET, JWT)
"""What they show is good for any number of sessions."""


@rows
def test_a_proof_that_was_overheard_is_worth_nothing(
    house: House, play: Play, door: str, type: str, prover: Prover, authid: str
) -> None:
    async def story() -> None:
        first, second = await house.connect(door, type), await house.connect(door, type)
        overheard = proved(prover, await challenged(first, prover, authid=authid), sub=authid)
        await first.send(overheard)
        await first.expect(Welcome)
        await challenged(second, prover, authid=authid)
        await second.send(overheard)
        if prover in REPLAYABLE:
            await second.expect(Welcome)
        else:
            await expect_abort(second, FAILED)

    play(story())


@rows
def test_a_realm_that_does_not_exist_is_told_to_who_has_the_secret_only(
    house: House, play: Play, door: str, type: str, prover: Prover, authid: str
) -> None:
    async def story() -> None:
        for is_right, uri in ((False, FAILED), (True, "wamp.error.no_such_realm")):
            peer = await house.connect(door, type)
            challenge = await challenged(peer, prover, "nowhere", authid=authid)
            await peer.send(proved(prover, challenge, is_right, sub=authid, realm="nowhere"))
            await expect_abort(peer, uri)

    play(story())


@doors
@pytest.mark.parametrize("case", ["token", "key", "role"])
def test_a_client_of_another_realm_is_refused(house: House, play: Play, door: str, case: str) -> None:
    prover, realm, authid, uri = {
        "token": (JWT, "realm2", "joe", FAILED),
        "key": (CRYPTOSIGN, "realm1", "other", FAILED),
        "role": (TICKET, "internal", "joe", "wamp.error.no_such_role"),
    }[case]

    async def story() -> None:
        peer = await house.connect(door)
        await peer.send(proved(prover, await challenged(peer, prover, realm, authid=authid)))
        await expect_abort(peer, uri)

    play(story())


@doors
@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("methods", [["palmistry"], ["anonymous"], ["tls"], ["cookie"], ["", "Ticket"], []], ids=str)
def test_only_unknown_methods_let_nobody_in(house: House, play: Play, door: str, type: str, methods: list[str]) -> None:
    async def story() -> None:
        peer = await house.connect(door, type)
        await hello(peer, TICKET, authmethods=methods)
        abort = await expect_abort(peer, NO_METHOD)
        assert "ticket" in (abort.details.message or "")

    play(story())


@rows
def test_a_handshake_that_is_not_finished_is_ended(
    house: House, play: Play, door: str, type: str, prover: Prover, authid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "AUTHENTICATION_TIMEOUT", 0.05)

    async def story() -> None:
        peer = await house.connect(door, type)
        await hello(peer, prover, authid=authid)
        message = await peer.receive()
        if type_of(message) is Challenge:
            message = await peer.receive()
        assert type_of(message) is Abort
        assert message.reason == FAILED  # type: ignore[union-attr]
        await peer.expect_end()

    play(story())


@doors
@pytest.mark.parametrize("type", TYPES)
def test_authenticate_out_of_turn_is_a_violation(house: House, play: Play, door: str, type: str) -> None:
    async def story() -> None:
        peer = await house.connect(door, type)
        await peer.send(Authenticate("magic", {}))
        await expect_abort(peer, VIOLATION)
        peer = await house.connect(door, type)
        await peer.send(proved(TICKET, await challenged(peer, TICKET)))
        await peer.expect(Welcome)
        await peer.send(Authenticate("magic", {}))
        await expect_abort(peer, VIOLATION)

    play(story())


# --- What authenticators do wrong -----------------------------------------------------------------------


CRIMES = [
    (type, prover, behaviour)
    for type in TYPES[1:]
    for prover in (TICKET, WAMPCRA, SCRAM, CRYPTOSIGN, JWT)
    for behaviour in HOSTILE
]


@pytest.mark.parametrize(
    ("door", "type", "prover", "behaviour"),
    [(DOORS[n % len(DOORS)], *crime) for n, crime in enumerate(CRIMES)],
    ids=str,
)
def test_an_authenticator_that_is_out_of_order_lets_nobody_in(
    house: House,
    play: Play,
    door: str,
    type: str,
    prover: Prover,
    behaviour: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if behaviour == "hangs":
        monkeypatch.setattr(asked, "ASKING_DEADLINE", 0.05)

    async def story() -> None:
        Behaviour.now = behaviour
        peer = await house.connect(door, type)
        await hello(peer, prover)
        message = await peer.receive()
        if type_of(message) is Challenge:
            # What nobody has been told of yet is challenged with something made up.
            is_made_up = message.extra.get("kdf") == "argon2id-13"  # type: ignore[union-attr]
            await peer.send(Authenticate("AAAA", {}) if is_made_up else proved(prover, message))  # type: ignore[arg-type]
            message = await peer.receive()
        assert type_of(message) is Abort, message
        uri = HOSTILE[behaviour]
        assert message.reason == uri  # type: ignore[union-attr]
        await peer.expect_end()

        # And it harms nobody else.
        Behaviour.now = "well"
        monkeypatch.undo()
        peer = await house.connect(door, type)
        await peer.send(proved(prover, await challenged(peer, prover)))
        await peer.expect(Welcome)

    play(story())
