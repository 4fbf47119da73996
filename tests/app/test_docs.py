"""docs/application.md: its code is run as one program, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rocade import Application, ApplicationError
from rocade.testing import running

PAGE = Path(__file__).parents[2] / "docs" / "application.md"


@pytest.fixture
def page() -> dict[str, Any]:
    """What the page's code defines."""
    names: dict[str, Any] = {"__name__": "page"}
    text = PAGE.read_text(encoding="utf-8")
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, block.start(1))
        exec(compile("\n" * line + block[1], str(PAGE), "exec"), names)
    return names


async def test_its_procedures_answer(page: dict[str, Any]) -> None:
    app: Application = page["app"]
    async with running(app) as client:
        async with client.events("demo.pong") as pongs:
            await client.publish("demo.ping", "ada")
            assert (await anext(pongs)).args == ["ada"]
        assert await client.call("demo.uuid") == "6ba7b810"
        assert [number async for number in client.stream("demo.countdown", 3)] == [3, 2, 1]
        assert await client.call("demo.report") == "made at 192.0.2.1"
        await client.call("demo.pay", "ada")
        with pytest.raises(ApplicationError, match=r"shop\.error\.out_of_stock: tea"):
            await client.call("demo.buy", "tea")


async def test_its_failure_is_shown_without_the_password(
    page: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(page["app"]) as client:
        with pytest.raises(ApplicationError, match=r"demo\.sign_in failed$"):
            await client.call("demo.sign_in", "ada", "tr0ub4dor")

    assert "called demo.sign_in('ada', ***)" in caplog.text


@pytest.mark.parametrize("name", ["test_the_answer", "test_that_typing_is_saved_once"])
async def test_its_tests_pass(page: dict[str, Any], name: str) -> None:
    await page[name]()


async def test_its_router_is_one(page: dict[str, Any]) -> None:
    assert await page["alone"]() == "192.0.2.1"
