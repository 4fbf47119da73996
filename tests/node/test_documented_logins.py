"""The configurations of docs/security.md let in whom they say they do."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from tests.node import running
from tests.node.test_cookie_logins import Browser, hello, says
from tests.node.test_jwt_logins import KEY, answer, key_set, published
from tests.test_docs import FENCE
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from rocade.node.configuration import configuration_from
from rocade.node.configuration_file import parsed
from rocade.serve.authentication.tenure import EXPIRED, LOGGED_OUT
from rocade.serve.login_procedures import LoginProcedures

PAPER = (Path(__file__).parent.parent.parent / "docs" / "security.md").read_text(encoding="utf-8")


def documented(section: str) -> Any:
    """The configuration in a section, on a free port of this machine."""
    text = PAPER.partition(f"\n### {section}\n")[2]
    block = next(block for block in FENCE.finditer(text) if block[1] == "json")
    file = parsed(block[2], ".json")
    for transport in file["workers"][0]["transports"]:
        transport["endpoint"] |= {"port": 0, "interface": "127.0.0.1"}
    return file


def play(file: Any, directory: Path, story: Callable[[int], Awaitable[None]]) -> None:
    running.play(configuration_from(file, directory=directory, environment={"JOE_TICKET": "magic"}), story)


@pytest.mark.parametrize(("roles", "role"), [(["chat-user"], "user"), (["chat-user", "chat-admin"], "admin")])
def test_the_tokens_of_the_example(roles: list[str], role: str, tmp_path: Path) -> None:
    file = documented("jwt")
    settings = file["workers"][0]["transports"][0]["auth"]["jwt"]
    claims = {
        "sub": "joe",
        "iss": settings["issuer"],
        "aud": [settings["audience"], "account"],
        "exp": int(time.time()) + 60,
        "realm_access": {"roles": roles},
    }
    token = jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": "one"})

    async def story(port: int) -> None:
        url = f"ws://127.0.0.1:{port}/"
        async with connect(url, subprotocols=[Subprotocol("wamp.2.json")], proxy=None) as connection:
            assert await says(connection, hello("jwt")) == [4, "jwt", {}]
            welcome = await says(connection, [5, token, {}])
        assert (welcome[2]["authid"], welcome[2]["authrole"]) == ("joe", role)

    with published(lambda handler: answer(handler, key_set(one=KEY))) as url:
        settings["jwks-url"] = url
        play(file, tmp_path, story)


def test_the_cookies_of_the_example(tmp_path: Path) -> None:
    async def story(port: int) -> None:
        browser = Browser(port)
        async with browser.connected() as connection:
            assert (await browser.logged_in(connection))[0] == 2
        assert (await browser.visit())[2]["authid"] == "joe"

    play(documented("cookie"), tmp_path, story)

    assert (tmp_path / "cookies.db").exists()


def test_the_paper_names_the_uris_of_the_code() -> None:
    for uri in (EXPIRED, LOGGED_OUT, *LoginProcedures().procedures()):
        assert f"`{uri}`" in PAPER
