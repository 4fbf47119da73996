"""`rocade dev` as users use it: a program whose files are edited, and clients that stay connected."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest
from tests.app.programs import Program

import rocade
from rocade import Session
from rocade.cli import main
from rocade.errors import ApplicationError, NoSuchProcedure

APP = """
import asyncio
import os
from rocade import Application

app = Application("demo")


@app.register
def version():
    return 1


@app.register
async def slow():
    await app.publish("demo.begun")
    await asyncio.sleep(0.5)
    return "done by 1"


@app.register
def crash():
    os._exit(3)


@app.subscribe
async def note(text):
    await app.publish("demo.noted", text, 1)


if __name__ == "__main__":
    app.run()
"""


def write(directory: Path, version: int = 1, text: str = APP) -> None:
    """Save the program, as that version of it."""
    text = text.replace("return 1", f"return {version}").replace("by 1", f"by {version}")
    (directory / "app.py").write_text(text.replace("text, 1", f"text, {version}"), encoding="utf-8")


def dev(directory: Path, *arguments: str, own_group: bool = False) -> Program:
    command = ("-m", "rocade", "dev", *(arguments or ("app.py",)), "--port", "0")
    return Program(*command, directory=directory, own_group=own_group)


async def call_until(session: Session, version: int) -> list[int]:
    """Call until the new code answers; returns all answers."""
    answers = []
    while not answers or answers[-1] != version:
        answers.append(await session.call("demo.version"))
        await asyncio.sleep(0.001)
    return answers


async def test_a_change_restarts_the_application_and_connections_stay(tmp_path: Path) -> None:
    write(tmp_path)
    lost: list[str] = []
    with dev(tmp_path) as program:
        program.wait_for("application ready")
        hook = rocade.connect(program.url, on_disconnect=lambda _session, reason: lost.append(reason))
        async with hook as session:
            id = session.id
            for version in (2, 3, 4):
                if version == 3:  # some editors save so
                    (tmp_path / "new").mkdir()
                    write(tmp_path / "new", version)
                    (tmp_path / "new" / "app.py").replace(tmp_path / "app.py")
                else:
                    write(tmp_path, version)
                # Whatever is called in between is answered, by the old code or by the new.
                answers = await call_until(session, version)

                assert set(answers) <= {version - 1, version}
                assert answers == sorted(answers)
            assert (session.id, lost) == (id, [])
        assert program.stop() == 0
        assert program.text.count("application ready after") >= 4
        assert "changed: app.py" in program.text
        assert "Traceback" not in program.text


async def test_what_is_published_during_a_restart_reaches_the_new_code(tmp_path: Path) -> None:
    write(tmp_path)
    noted: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    with dev(tmp_path) as program:
        program.wait_for("application ready")
        async with rocade.connect(program.url) as session:

            async def on_noted(text: str, version: int) -> None:
                noted.put_nowait((text, version))

            await session.subscribe(on_noted, "demo.noted")
            write(tmp_path, 2)
            program.wait_for("changed: app.py")
            await session.publish("demo.note", "during")
            assert await noted.get() == ("during", 2)


async def test_what_runs_is_finished_by_the_old_code(tmp_path: Path) -> None:
    write(tmp_path)
    with dev(tmp_path) as program:
        program.wait_for("application ready")
        async with rocade.connect(program.url) as session:
            async with session.events("demo.begun") as begun:
                call = asyncio.create_task(session.call("demo.slow"))
                await anext(begun)
            write(tmp_path, 2)

            assert await call == "done by 1"
            assert (await call_until(session, 2))[-1] == 2


async def test_code_that_cannot_be_loaded_changes_nothing_and_is_shown(tmp_path: Path) -> None:
    write(tmp_path)
    with dev(tmp_path) as program:
        program.wait_for("application ready")
        async with rocade.connect(program.url) as session:
            write(tmp_path, text=APP.replace("def version():", "def version(:"))
            program.wait_for("the application that ran before goes on")
            assert "SyntaxError: invalid syntax" in program.text
            assert "def version(:" in program.text
            assert await session.call("demo.version") == 1

            write(
                tmp_path, text=APP.replace("app = Application", 'raise LookupError("no such table")\napp = Application')
            )
            program.wait_for("the application that ran before goes on", 2)
            assert f'File "{tmp_path}/app.py", line 6, in <module>' in program.text
            assert "LookupError: no such table" in program.text
            assert "importlib" not in program.text
            assert await session.call("demo.version") == 1

            write(tmp_path, 2)
            assert (await call_until(session, 2))[-1] == 2


async def test_what_changes_again_while_it_is_loaded_is_loaded_again(tmp_path: Path) -> None:
    write(tmp_path)
    with dev(tmp_path) as program:
        program.wait_for("application ready")
        write(tmp_path, text=APP + '\nprint("loading", flush=True)\nimport threading\nthreading.Event().wait()\n')
        program.wait_for("loading")

        write(tmp_path, 2)

        program.wait_for("application ready", 2)
        assert "changed again: app.py" in program.text
        assert "goes on" not in program.text
        async with rocade.connect(program.url) as session:
            assert await session.call("demo.version") == 2


async def test_an_application_that_does_not_start_is_started_by_the_next_change(tmp_path: Path) -> None:
    broken = APP.replace(
        "@app.register\ndef version", '@app.on("app.ready")\ndef fail():\n    1 / 0\n\n@app.register\ndef version'
    )
    write(tmp_path, text=broken)
    with dev(tmp_path) as program:
        program.wait_for("the application has ended with code 1")
        assert "ZeroDivisionError" in program.text
        async with rocade.connect(program.url) as session:
            with pytest.raises(NoSuchProcedure):
                await session.call("demo.version")

            write(tmp_path, 2)
            program.wait_for("application ready")
            assert await session.call("demo.version") == 2


async def test_an_application_that_crashes_is_started_by_the_next_change(tmp_path: Path) -> None:
    write(tmp_path)
    with dev(tmp_path) as program:
        program.wait_for("application ready")
        async with rocade.connect(program.url) as session:
            with pytest.raises(ApplicationError):
                await session.call("demo.crash")
            program.wait_for("the application has ended with code 3; a change of its files starts it again")

            write(tmp_path, 2)
            program.wait_for("application ready", 2)
            assert await session.call("demo.version") == 2


def test_what_the_application_imports_is_watched_and_so_is_what_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "stock.py").write_text("items = 1\n")
    (tmp_path / "shop" / "site.py").write_text(
        "from rocade import Application\nfrom shop.stock import items\nother = Application('other')\n"
        "site = Application('shop')\nprint('items', items)\n"
    )
    (tmp_path / "page.html").touch()
    (tmp_path / "notes.txt").touch()
    with dev(tmp_path, "shop.site:site", "--watch", "page.html") as program:
        program.wait_for("application ready")
        assert "items 1" in program.text

        (tmp_path / "shop" / "stock.py").write_text("items = 2\n")
        program.wait_for("items 2")
        program.wait_for("application ready", 2)
        (tmp_path / "notes.txt").write_text("x")
        (tmp_path / "page.html").write_text("x")
        program.wait_for("application ready", 3)

        assert "changed: shop/stock.py" in program.text
        assert "changed: page.html" in program.text
        assert "notes.txt" not in program.text


async def test_files_are_served_as_the_latest_code_says(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(name)
    write(tmp_path, text=APP + '\napp.http.serve("/", "one")\n')
    with dev(tmp_path) as program:
        program.wait_for("application ready")
        page = program.url.replace("ws://", "http://").removesuffix("ws")
        async with httpx.AsyncClient() as browser:
            assert (await browser.get(page)).text == "one"

            write(tmp_path, text=APP + '\napp.http.serve("/", "two")\n')
            program.wait_for("application ready", 2)

            assert (await browser.get(page)).text == "two"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_to_all_of_them_ends_them_in_order(tmp_path: Path, number: signal.Signals) -> None:
    write(tmp_path, text=APP + '\n@app.on("app.stopping")\ndef stopping():\n    print("cleaning up", flush=True)\n')
    with dev(tmp_path, own_group=True) as program:
        program.wait_for("application ready")

        program.signal_group(number)

        assert program.wait() == 0
        assert "cleaning up" in program.text or number == signal.SIGTERM
        assert "Traceback" not in program.text
        assert program.text.rstrip().endswith("stopped")


def test_the_application_ends_with_its_router(tmp_path: Path) -> None:
    write(tmp_path)
    program = dev(tmp_path)
    program.wait_for("application ready")

    program.kill()  # waits until nobody holds its output any more, the application included


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("missing.py", "there is no file missing.py"),
        ("no such", "'no such' is neither a Python file nor the name of a module"),
    ],
)
def test_a_file_that_is_not_there_is_a_usage_error(
    target: str, text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as caught:
        main(["dev", target])

    assert caught.value.code == 2
    assert capsys.readouterr().err == f"rocade: {text}\n"


@pytest.mark.parametrize("target", ["nope", "nope:app", "shop.nope"])
def test_a_module_that_is_not_there_ends_it_as_well(tmp_path: Path, target: str) -> None:
    (tmp_path / "shop").mkdir()
    with dev(tmp_path, target) as program:
        assert program.wait() == 2
        name = target.partition(":")[0]
        last = program.text.splitlines()[-1]
        assert last == f"rocade: there is no module {name!r} here, and no file of that name"


def test_a_module_that_goes_while_the_application_runs_may_come_back(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    write(tmp_path / "shop")
    with dev(tmp_path, "shop.app") as program:
        program.wait_for("application ready")
        (tmp_path / "shop" / "app.py").unlink()
        program.wait_for("there is no module 'shop.app' here")
        program.wait_for("the application that ran before goes on")
        write(tmp_path / "shop", 2)
        program.wait_for("application ready", 2)
        assert program.stop() == 0


def test_without_watchfiles_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.setitem(sys.modules, "watchfiles", None)

    with pytest.raises(SystemExit) as caught:
        main(["dev", os.fspath(tmp_path / "app.py"), "--port", "0"])

    assert caught.value.code == 2
    assert capsys.readouterr().err == "rocade: rocade dev needs watchfiles: pip install 'rocade[dev]'\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\n", "app.py has no Application: write app = Application('demo') in it"),
        (
            "from rocade import Application\na = Application('a')\nb = Application('b')\n",
            "app.py has several applications: choose one of a, b",
        ),
        ("import rocade\nrocade.Application('a').run(port=0)\n", "put it below if __name__ == '__main__':"),
        ("import sys\nsys.exit(5)\n", "app.py ended with SystemExit(5) while it was loaded"),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_file_without_an_application_says_what_is_missing(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "app.py").write_text(text)
    with dev(tmp_path) as program:
        program.wait_for(told)
        program.wait_for("the application could not be loaded; a change of its files tries again")
