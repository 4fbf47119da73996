"""`app.run()` as users use it: programs of their own, real sockets, signals."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
from tests.app.programs import Program
from tests.hostile.process import RouterProcess

import rocade
from rocade import ApplicationError
from rocade.testing.routers import ListeningRouter

DEMO = """
import sys
from rocade import Application

app = Application("demo")


@app.register()
def ip():
    return "192.0.2.1"


@app.register
async def fail(password):
    raise LookupError("no such table")


@app.on("app.stopping")
async def stopping():
    print("cleaning up")


if __name__ == "__main__":
    app.run(%s)
    print("after run")
"""


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return program(tmp_path, "port=0")


def program(directory: Path, arguments: str, text: str = DEMO) -> Path:
    file = directory / "app.py"
    file.write_text(text % arguments if "%s" in text else text, encoding="utf-8")
    return file


async def call(url: str, procedure: str, *args: object) -> object:
    async with rocade.connect(url) as session:
        return await session.call(procedure, *args)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
async def test_an_application_runs_with_a_router_of_its_own_until_a_signal(
    demo: Path, number: signal.Signals, loop: str
) -> None:
    with Program(demo, directory=demo.parent, ROCADE_LOOP=loop) as running:
        running.wait_for("ready; Ctrl-C stops it")

        assert await call(running.url, "demo.ip") == "192.0.2.1"

        running.signal(number)
        assert running.wait() == 0
        assert "no URL, so here is a router: ws://127.0.0.1:" in running.text
        assert "demo: 2 procedures, 0 subscriptions" in running.text
        assert "cleaning up\n" in running.text
        assert running.text.endswith("after run\n")
        assert "Traceback" not in running.text


async def test_the_same_program_joins_a_router_when_it_is_given_a_url(tmp_path: Path) -> None:
    with RouterProcess("--port", "0") as router:
        url = f"ws://127.0.0.1:{router.port}/ws"
        file = program(tmp_path, f'url="{url}", realm="realm1"')
        with Program(file, directory=tmp_path) as running:
            running.wait_for("ready; Ctrl-C stops it")

            assert await call(url, "demo.ip") == "192.0.2.1"

            assert running.stop() == 0
            assert "here is a router" not in running.text


async def test_a_failure_is_readable_in_the_terminal(demo: Path) -> None:
    with Program(demo, directory=demo.parent) as running:
        running.wait_for("ready")
        with pytest.raises(ApplicationError, match=r"demo\.fail failed: LookupError: no such table"):
            await call(running.url, "demo.fail", "tr0ub4dor")

        running.wait_for("LookupError: no such table")
        assert "called demo.fail(***)" in running.text
        assert f'File "{demo}", line 15, in fail' in running.text
        assert "tr0ub4dor" not in running.text


@pytest.mark.parametrize("hook", ["@app.on('app.ready')", "@app.signal('onjoined')"])
def test_a_program_that_stops_itself_has_ended_in_order(tmp_path: Path, hook: str) -> None:
    text = DEMO.replace(
        '@app.on("app.stopping")', f"{hook}\nasync def finish():\n    await app.stop()\n\n\n@app.on('app.stopping')"
    )
    with Program(program(tmp_path, "port=0", text), directory=tmp_path) as running:
        assert running.wait() == 0
        assert "cleaning up\n" in running.text
        assert running.text.endswith("after run\n")
        assert "Traceback" not in running.text


async def test_a_program_whose_router_turns_it_away_for_good_ends_with_code_1(tmp_path: Path) -> None:
    with ListeningRouter() as router:
        file = program(tmp_path, f'url="{router.url}"')
        with Program(file, directory=tmp_path) as running:
            running.wait_for("ready")
            async with rocade.connect(router.url) as session:
                (other,) = [id for id in await session.call("wamp.session.list") if id != session.id]
                await session.call("wamp.session.kill", other, reason="wamp.close.killed", message="go away")

            assert running.wait() == 1
            assert "the session is over: " in running.text
            assert "go away" in running.text
            assert "cleaning up\n" in running.text


def test_it_takes_the_next_port_when_8080_is_taken(tmp_path: Path) -> None:
    file = program(tmp_path, "")
    with Program(file, directory=tmp_path) as first:
        first.wait_for("ready")
        with Program(file, directory=tmp_path) as second:
            second.wait_for("ready")

            assert first.url != second.url
            assert "is taken, so it is port" in second.text


def test_a_port_that_is_asked_for_and_taken_ends_it_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = program(tmp_path, f"port={taken.getsockname()[1]}")
        with Program(file, directory=tmp_path) as running:
            assert running.wait() == 1

    assert "could not start: port: cannot listen on 127.0.0.1:" in running.text
    assert "Traceback" not in running.text


def test_a_router_that_refuses_ends_it_with_one_line(tmp_path: Path) -> None:
    with ListeningRouter("here") as router:
        file = program(tmp_path, f'url="{router.url}", realm="elsewhere"')
        with Program(file, directory=tmp_path) as running:
            assert running.wait() == 1

    assert "could not start: there is no realm 'elsewhere'" in running.text
    assert "Traceback" not in running.text


def test_a_signal_ends_it_while_it_still_looks_for_its_router(tmp_path: Path, free_port: int) -> None:
    url = f"ws://127.0.0.1:{free_port}/ws"
    with Program(program(tmp_path, f'url="{url}", timeout=60.0'), directory=tmp_path) as running:
        running.wait_for(f"joining {url}")

        running.signal(signal.SIGINT)

        assert running.wait() == 0
        assert "Traceback" not in running.text


FOREVER = """
import asyncio
import threading
from rocade import Application

app = Application("demo")


@app.on("app.ready")
async def begin():
    asyncio.ensure_future(app.call("demo.forever"))


@app.register
def forever():
    print("begun")
    threading.Event().wait()


app.run(port=0)
"""


def test_a_plain_function_that_never_ends_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    with Program(program(tmp_path, "", FOREVER), directory=tmp_path) as running:
        running.wait_for("begun")

        assert running.stop() == 0
        assert "1 handler still runs after 5 s and is canceled" in running.text
        assert "still at work in its thread" in running.text


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with Program(program(tmp_path, "", FOREVER), directory=tmp_path) as running:
        running.wait_for("begun")

        running.signal(signal.SIGINT)
        running.wait_for("stopping")
        running.signal(signal.SIGINT)

        assert running.wait() == 0
        assert "stopping at once" in running.text
        assert "still runs after" not in running.text


def test_run_inside_of_an_event_loop_says_what_to_write(tmp_path: Path) -> None:
    text = """
import asyncio
from rocade import Application

async def main():
    Application("demo").run(port=0)

asyncio.run(main())
"""
    with Program(program(tmp_path, "", text), directory=tmp_path) as running:
        assert running.wait() == 1

    assert "RuntimeError: app.run() is for programs that have no event loop" in running.text
    assert "await app.start()" in running.text
