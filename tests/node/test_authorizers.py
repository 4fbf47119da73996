"""Authorizers as the configuration file describes them, with a whole router worker and real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from rocade.errors import ConfigurationError
from rocade.node.configuration import configuration_from
from rocade.node.worker import Worker

MAY_REGISTER = {"uri": "com.authorize", "allow": {"register": True}}
FILE: dict[str, Any] = {
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [
                {
                    "name": "realm1",
                    "roles": [
                        {"name": "user", "authorizer": "com.authorize"},
                        {"name": "authorizer", "permissions": [MAY_REGISTER]},
                    ],
                },
                {"name": "other", "roles": [{"name": "user"}, {"name": "authorizer", "permissions": [MAY_REGISTER]}]},
            ],
            "transports": [
                {
                    "type": "websocket",
                    "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
                    "auth": {
                        "ticket": {
                            "type": "static",
                            "principals": {
                                "joe": {"ticket": "joe", "role": "user"},
                                "authorizer": {"ticket": "authorizer", "role": "authorizer"},
                            },
                        }
                    },
                }
            ],
        }
    ],
}
ROLE = "workers[0].realms[0].roles[0]"


def changed(position: int = 0, **keys: Any) -> dict[str, Any]:
    """The file with another role."""
    file = deepcopy(FILE)
    role = file["workers"][0]["realms"][0]["roles"][position]
    role |= {key.replace("_", "-") if key.startswith(("authorizer_", "allow_")) else key: keys[key] for key in keys}
    return file


def only_opens(config: Any, controller: Any) -> Any:
    """An authorizer that the file names."""

    async def authorize(session: dict[str, Any], uri: str, action: str, options: dict[str, Any]) -> Any:
        return {"allow": uri.startswith(config["prefix"]) and session["authid"] == "joe", "cache": True}

    return authorize


FUNCTION = {"type": "function", "create": f"{__name__}.only_opens", "config": {"prefix": "com.open"}}


# --- The file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    [
        FILE,
        changed(authorizer_cache={"seconds": 0.5, "entries": 10, "per": "role"}),
        changed(authorizer_realm="other"),
        changed(permissions=[{"uri": "com.public", "allow": {"call": True}}]),
        changed(authorizer=FUNCTION),
        changed(1, permissions=[{"uri": "*", "register": True}]),
        changed(1, permissions=[{"uri": "com.{authid}", "allow": {"register": True}}]),
        changed(0, permissions=[MAY_REGISTER]),
    ],
)
def test_a_file_that_loads(file: dict[str, Any]) -> None:
    worker = Worker(configuration_from(file).worker)

    assert "rocade.authorization.forget" in worker.gateway.realms["realm1"].meta.procedures
    assert "rocade.authorization.forget" not in worker.gateway.realms["other"].meta.procedures


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (changed(authorizer="com..x"), ".authorizer: 'com..x' is no URI"),
        (changed(authorizer=""), ".authorizer: '' is no URI"),
        (changed(authorizer=["com.x"]), ".authorizer: expected an object, got a list"),
        (
            changed(authorizer="com.nobody"),
            ".authorizer: no permission of a role in realm 'realm1' allows to register 'com.nobody', "
            "so nobody could answer",
        ),
        (changed(authorizer_realm="nowhere"), ".authorizer-realm: there is no realm 'nowhere'"),
        (changed(allow_by_default=True), ".allow-by-default: the 'authorizer' would never be asked"),
        (changed(authorizer_cache={"seconds": -1}), ".authorizer-cache.seconds: Expected `float` >= 0.0"),
        (changed(authorizer_cache={"entries": 0}), ".authorizer-cache.entries: expected a whole number from 1 to"),
        (changed(authorizer_cache={"per": "user"}), ".authorizer-cache.per: expected 'authid', 'role' or 'session'"),
        (changed(authorizer={"type": "function"}), ".authorizer.create: is required"),
        (changed(authorizer={"type": "dynamic"}), ".authorizer.type: expected 'function', got 'dynamic'"),
        (
            changed(authorizer={"type": "function", "create": "no.such.module"}),
            ".authorizer.create: there is no Python module 'no'",
        ),
        (changed(authorizer=FUNCTION, authorizer_realm="other"), ".authorizer-realm: a function is in no realm"),
        (changed(authorizer=None, authorizer_realm="other"), ".authorizer-realm: there is no 'authorizer'"),
        (
            changed(permissions=[{"uri": "user{authid}.*"}]),
            ".permissions[0].uri: 'user{authid}.*': {authid} must be a component of its own, between dots",
        ),
        (
            changed(permissions=[{"uri": "a.{authid}{session}"}]),
            ".permissions[0].uri: 'a.{authid}{session}': {authid} must be a component of its own, between dots",
        ),
        (
            changed(permissions=[{"uri": "user.{authid}", "match": "prefix"}]),
            ".permissions[0].uri: 'user.{authid}': a prefix that ends in {authid} would match longer names too; "
            "end it with a dot",
        ),
        (
            changed(permissions=[{"uri": "user.{authId}.*"}]),
            ".permissions[0].uri: 'user.{authId}.*': there is no {authId}, only {authid} and {session}",
        ),
        (
            changed(permissions=[{"uri": "com.foo."}]),
            ".permissions[0].uri: 'com.foo.' is no URI (what begins with it is 'com.foo.*')",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_told_with_its_place(file: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configuration_from(file)

    assert str(caught.value).startswith(ROLE + message)


# --- The router ---------------------------------------------------------------------------------------


class Client:
    """A WAMP client that the test plays."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.request = 0

    async def send(self, *message: Any) -> None:
        await self.connection.send(msgspec.json.encode(message).decode())

    async def receive(self) -> list[Any]:
        message = msgspec.json.decode(await self.connection.recv())
        assert isinstance(message, list)
        return message

    async def join(self, authid: str, realm: str) -> None:
        roles = {"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}}
        await self.send(1, realm, {"roles": roles, "authmethods": ["ticket"], "authid": authid})
        assert (await self.receive())[0] == 4
        await self.send(5, authid, {})
        assert (await self.receive())[0] == 2

    async def ask(self, code: int, uri: str, **options: Any) -> None:
        self.request += 1
        await self.send(code, self.request, options, uri)

    async def outcome(self) -> Any:
        """The error, or the kind of message."""
        message = await self.receive()
        return message[4] if message[0] == 8 else message[0]


class Door:
    """A router that runs a file."""

    def __init__(self, port: int, stack: AsyncExitStack) -> None:
        self._url = f"ws://127.0.0.1:{port}/"
        self._stack = stack

    async def client(self, authid: str, realm: str = "realm1") -> Client:
        connection = connect(self._url, subprotocols=[Subprotocol("wamp.2.json")], proxy=None)
        client = Client(await self._stack.enter_async_context(connection))
        await client.join(authid, realm)
        return client


@asynccontextmanager
async def running(file: dict[str, Any]) -> AsyncIterator[Door]:
    worker = Worker(configuration_from(file).worker)
    worker.bind()
    await worker.start()
    try:
        async with asyncio.timeout(20), AsyncExitStack() as stack:
            yield Door(worker._sockets[0].getsockname()[1], stack)
    finally:
        await worker.stop()


CALL, PUBLISH, SUBSCRIBE, REGISTER = 48, 16, 32, 64
NOT_AUTHORIZED, FAILED = "wamp.error.not_authorized", "wamp.error.authorization_failed"


def test_a_procedure_decides() -> None:
    async def main() -> None:
        async with running(FILE) as door:
            authorizer, client = await door.client("authorizer"), await door.client("joe")
            await authorizer.ask(REGISTER, "com.authorize")
            assert (await authorizer.receive())[0] == 65

            for answer, expected in ((True, 33), (False, NOT_AUTHORIZED), ({"allow": True}, 33), ("yes", FAILED)):
                await client.ask(SUBSCRIBE, "com.", match="prefix")
                _, invocation, _, _, (session, *rest) = await authorizer.receive()
                await authorizer.send(70, invocation, {}, [answer])
                assert await client.outcome() == expected

            assert (session["authid"], session["authrole"], session["authmethod"]) == ("joe", "user", "ticket")
            assert session["transport"]["peer"].startswith("tcp4:127.0.0.1:")
            assert rest == ["com.", "subscribe", {"match": "prefix"}]

    asyncio.run(main())


def test_nothing_is_allowed_while_there_is_no_authorizer() -> None:
    async def main() -> None:
        async with running(FILE) as door:
            client = await door.client("joe")
            for code in (CALL, SUBSCRIBE, REGISTER):
                await client.ask(code, "com.anything")
                assert await client.outcome() == FAILED
            await client.ask(REGISTER, "com.authorize")
            assert await client.outcome() == NOT_AUTHORIZED

    asyncio.run(main())


def test_an_authorizer_in_another_realm_decides() -> None:
    async def main() -> None:
        async with running(changed(authorizer_realm="other")) as door:
            authorizer, client = await door.client("authorizer", "other"), await door.client("joe")
            await authorizer.ask(REGISTER, "com.authorize")
            await authorizer.receive()

            await client.ask(PUBLISH, "com.topic", acknowledge=True)
            _, invocation, _, _, (session, *_) = await authorizer.receive()
            await authorizer.send(70, invocation, {}, [True])

            assert await client.outcome() == 17
            assert session["realm"] == "realm1"

    asyncio.run(main())


def test_a_function_decides() -> None:
    async def main() -> None:
        async with running(changed(authorizer=FUNCTION)) as door:
            client = await door.client("joe")
            for uri, expected in (("com.open.x", 33), ("com.closed", NOT_AUTHORIZED), ("com.open.x", 33)):
                await client.ask(SUBSCRIBE, uri)
                assert await client.outcome() == expected

    asyncio.run(main())


def test_what_is_refused_does_not_tell_what_exists() -> None:
    """CALL and REGISTER of what is there and of what is not: the same words."""

    async def main() -> None:
        file = changed(authorizer=FUNCTION)
        file["workers"][0]["realms"][0]["roles"][1]["permissions"] = [{"uri": "*", "allow": {"register": True}}]
        async with running(file) as door:
            owner, stranger = await door.client("authorizer"), await door.client("joe")
            await owner.ask(REGISTER, "com.exists")
            assert await owner.outcome() == 65

            for code in (CALL, REGISTER):
                answers = []
                for uri in ("com.exists", "com.absent"):
                    await stranger.ask(code, uri)
                    answer = await stranger.receive()
                    answers.append([answer[4], answer[5][0].replace(uri, "")])
                assert answers[0] == answers[1]
                assert answers[0][0] == NOT_AUTHORIZED

    asyncio.run(main())
