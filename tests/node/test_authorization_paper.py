"""The examples of "Authorization" in docs/security.md, as they stand there."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from rocade.cli import main
from rocade.client.connect import connect
from rocade.errors import ApplicationError
from rocade.node.configuration import configuration_from, read_configuration
from rocade.node.policy import role
from rocade.node.worker import Worker
from rocade.router.permissions import Action
from rocade.wamp.messages import Match, PublishOptions

PAPER = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
SECTION = PAPER.partition("\n## Authorization\n")[2]


def blocks(language: str) -> list[str]:
    """The fenced blocks of the section in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def ticket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JOE_TICKET", "secret")
    monkeypatch.chdir(tmp_path)


def test_what_the_first_file_allows_is_what_the_text_says() -> None:
    Path("config.json").write_text(blocks("json")[0])
    joe = role(read_configuration("config.json").worker.realms[0].roles[0]).personal("joe", 5)

    for action, uri, match, expected in (
        (Action.CALL, "com.example.a", Match.EXACT, True),
        (Action.CALL, "com.example.a.internal", Match.EXACT, False),
        (Action.SUBSCRIBE, "com.example.payment", Match.EXACT, False),
        (Action.SUBSCRIBE, "com.example.", Match.PREFIX, False),
        (Action.PUBLISH, "user.joe.x", Match.EXACT, True),
        (Action.PUBLISH, "user.joey.x", Match.EXACT, False),
    ):
        assert joe.decide(action, uri, match).allowed is expected, uri


def test_rocade_why_answers_as_it_stands_there(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.json").write_text(blocks("json")[0])
    command, _, expected = blocks("console")[0].partition("\n")

    with pytest.raises(SystemExit) as caught:
        main(command.removeprefix("$ rocade ").split())

    assert (caught.value.code, capsys.readouterr().out) == (1, expected)


def test_the_authorizer_decides_and_forgets() -> None:
    Path("config.json").write_text(blocks("json")[1].replace("8080", "0"))
    code: dict[str, Any] = {}
    for block in blocks("python")[:2]:
        exec(block, code)
    authorize = code["authorize"]
    asked: list[str] = []

    async def counted(session: Any, uri: str, action: str, options: Any) -> Any:
        asked.append(uri)
        return await authorize(session, uri, action, options)

    code["authorize"] = counted
    configuration, socket = read_configuration("config.json").worker, Path("internal.sock").absolute()

    async def story() -> None:
        worker = Worker(configuration)
        worker.bind()
        await worker.start()
        port = worker._sockets[1].getsockname()[1]
        try:
            async with (
                connect(f"unix:{socket}") as backend,
                connect(f"ws://127.0.0.1:{port}/") as user,
            ):
                await code["joined"](backend, None)
                await user.subscribe(print, "com.example.public.news")
                assert asked == []
                code["MEMBERS"]["chess"].append(user.authid)
                for _ in range(3):
                    await user.publish("com.example.room.chess", "e4", options=PublishOptions(acknowledge=True))
                assert asked == ["com.example.room.chess"]
                await code["expel"](backend, "chess", user.authid)
                with pytest.raises(ApplicationError) as refused:
                    await user.publish("com.example.room.chess", "e5", options=PublishOptions(acknowledge=True))
                assert refused.value.uri == "wamp.error.not_authorized"
                with pytest.raises(ApplicationError) as refused:
                    await user.subscribe(print, "com.example.room.", match="prefix")
                assert refused.value.uri == "wamp.error.not_authorized"
        finally:
            await worker.stop()

    asyncio.run(story())


def test_the_function_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "rooms.py").write_text(blocks("python")[2])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "rooms", raising=False)
    visitor = eval(blocks("jsonnet")[0])
    transport = {
        "type": "rawsocket",
        "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0},
        "auth": {"anonymous": {"type": "static", "role": "visitor"}},
    }
    realm = {"name": "realm1", "roles": [visitor]}
    file = {"version": 2, "workers": [{"type": "router", "realms": [realm], "transports": [transport]}]}

    async def story() -> None:
        worker = Worker(configuration_from(file).worker)
        worker.bind()
        await worker.start()
        try:
            async with connect(f"rs://127.0.0.1:{worker._sockets[0].getsockname()[1]}") as user:
                errors = {
                    "com.example.x": "wamp.error.no_such_procedure",
                    "org.example.x": "wamp.error.not_authorized",
                }
                for uri, error in errors.items():
                    with pytest.raises(ApplicationError) as refused:
                        await user.call(uri)
                    assert refused.value.uri == error
        finally:
            await worker.stop()

    asyncio.run(story())


def test_the_line_of_the_log_is_such(caplog: pytest.LogCaptureFixture) -> None:
    from tests.serve.scene import Client

    from rocade.router.permissions import Role
    from rocade.serve.gateway import Gateway

    caplog.set_level("INFO")
    (expected,) = re.findall(r"^```\n(refused: .*)\n```", SECTION, re.MULTILINE)

    async def story() -> None:
        gateway = Gateway()
        gateway.add_realm("realm1", [Role("user")])
        client = Client(gateway)
        client.join()
        client.connection.session.authid, client.connection.session.id = "joe", 5371
        client.call("com.example.admin")
        client.connection.session.id = 1

    asyncio.run(story())

    assert [record.getMessage() for record in caplog.records] == [expected]
