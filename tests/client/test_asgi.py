"""The client inside a Starlette site that uvicorn serves, as users of FastAPI have it: on a loop that is not ours."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from tests.app.programs import Program

import rocade
from rocade.testing import ListeningRouter

SITE = """
import asyncio
import os
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

import rocade


@asynccontextmanager
async def lifespan(app):
    async with rocade.connect(os.environ["ROCADE_URL"]) as session:

        async def greet(name: str) -> str:
            return f"Hello {name}, from {type(asyncio.get_running_loop()).__module__}"

        await session.register(greet, "site.greet")
        app.state.session = session
        yield


async def add(request):
    a, b = int(request.path_params["a"]), int(request.path_params["b"])
    return JSONResponse(await request.app.state.session.call("demo.add", a, b, timeout=10))


app = Starlette(routes=[Route("/add/{a}/{b}", add)], lifespan=lifespan)
"""


async def test_a_site_connects_in_its_lifespan_and_calls_and_is_called(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(SITE, encoding="utf-8")

    async def add(a: int, b: int) -> int:
        return a + b

    with ListeningRouter() as router:
        async with rocade.connect(router.url) as session, session.events("wamp.session.on_leave") as leaves:
            await session.register(add, "demo.add")
            for loop, module in (("asyncio", "asyncio.unix_events"), ("uvloop", "uvloop")):
                arguments = ("-m", "uvicorn", "web:app", "--port", "0", "--loop", loop)
                with Program(*arguments, directory=tmp_path, ROCADE_URL=router.url) as site:
                    site.wait_for("Uvicorn running on")
                    url = re.search(r"http://127\.0\.0\.1:\d+", site.text)
                    assert url is not None
                    async with httpx.AsyncClient(base_url=url[0]) as browser:
                        answers = [(await browser.get(f"/add/{number}/3")).json() for number in range(4)]
                    assert answers == [3, 4, 5, 6]
                    assert await session.call("site.greet", "Ada") == f"Hello Ada, from {module}"

                    # The end of the site is the end of its session, which says goodbye.
                    ids = set(await session.call("wamp.session.list")) - {session.id}
                    site.stop()
                    assert "Application shutdown complete" in site.text
                    assert "Traceback" not in site.text
                    assert {(await anext(leaves)).args[0]} == ids
