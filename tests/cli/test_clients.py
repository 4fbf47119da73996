"""The commands that are clients, as processes, with a router."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.app.programs import SOURCE, Program
from tests.interop.router import Router

from rocade.testing import ListeningRouter

TIMEOUT = 60
ECHO = "import sys; sys.stdout.write(sys.stdin.read())"


@pytest.fixture(scope="module")
def router() -> Iterator[ListeningRouter]:
    with ListeningRouter() as router:
        yield router


def run(router: ListeningRouter | str, command: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    url = router if isinstance(router, str) else router.url
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "rocade", command, "--url", url, *arguments],
        env=_environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def start(router: ListeningRouter, command: str, *arguments: str, directory: Path, **environment: str) -> Program:
    return Program("-m", "rocade", command, "--url", router.url, *arguments, directory=directory, **environment)


def _environment(more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), **more}


# --- call -------------------------------------------------------------------------------------------


def test_a_command_answers_calls_with_what_it_writes(router: ListeningRouter, tmp_path: Path) -> None:
    with start(router, "register", "cli.echo", "--", sys.executable, "-c", ECHO, directory=tmp_path) as callee:
        callee.wait_for("registered")

        shown = run(router, "call", "cli.echo", "2", "two", "a=[1]", "b=c=d", '"3"')
        for_programs = run(router, "call", "--json", "cli.echo", "--", "-1", "null")
        raw = run(router, "call", "--json", "--raw", "cli.echo", "1", "a=b")

    args = {"args": [2, "two", "3"], "kwargs": {"a": [1], "b": "c=d"}}
    assert (shown[0], json.loads(shown[1]), shown[2]) == (0, args, "")
    assert for_programs == (0, '{"args":[-1,null],"kwargs":{}}\n', "")
    assert raw == (0, '{"args":["1","a=b"],"kwargs":{}}\n', "")


@pytest.mark.parametrize(
    ("arguments", "shown", "as_json"),
    [
        (["text"], "text\n", '"text"\n'),
        ([], "", "null\n"),
        (["[1,{}]"], "[\n  1,\n  {}\n]\n", "[1,{}]\n"),
        (["1", "tea", "city=Lyon"], "1\ntea\ncity: Lyon\n", '{"args":[1,"tea"],"kwargs":{"city":"Lyon"}}\n'),
    ],
)
def test_results_are_shown_for_people_and_for_programs(
    router: ListeningRouter, arguments: list[str], shown: str, as_json: str, tmp_path: Path
) -> None:
    program = tmp_path / "echo.py"
    program.write_text(
        "import sys, rocade\n"
        "app = rocade.Application()\n"
        "@app.register('cli.echo')\n"
        "async def echo(*args, **kwargs): return rocade.CallResult(*args, **kwargs)\n"
        "@app.signal('onjoined')\n"
        "async def joined(session): print('joined')\n"
        "app.run(sys.argv[1])\n"
    )
    with Program(program, router.url, directory=tmp_path) as callee:
        callee.wait_for("joined")

        assert run(router, "call", "cli.echo", *arguments) == (0, shown, "")
        assert run(router, "call", "cli.echo", "--json", *arguments) == (0, as_json, "")


def test_progressive_results_are_shown_as_they_come(router: ListeningRouter, tmp_path: Path) -> None:
    program = tmp_path / "count.py"
    program.write_text(
        "import sys, rocade\n"
        "app = rocade.Application()\n"
        "@app.register('cli.count')\n"
        "async def count(to: int, *, timeout: int):\n"
        "  for number in range(to): yield number + timeout\n"
        "@app.signal('onjoined')\n"
        "async def joined(session): print('joined')\n"
        "app.run(sys.argv[1])\n"
    )
    with Program(program, router.url, directory=tmp_path) as callee:
        callee.wait_for("joined")

        assert run(router, "call", "--stream", "cli.count", "3", "timeout=10") == (0, "10\n11\n12\n", "")


def test_what_the_router_or_the_callee_refuses_is_told(router: ListeningRouter) -> None:
    code, out, err = run(router, "call", "cli.nobody")
    assert (code, out) == (1, "")
    assert err.startswith("rocade: wamp.error.no_such_procedure")
    assert err.count("\n") == 1

    code, out, err = run(router, "call", "--json", "cli.nobody")
    assert (code, out, json.loads(err)["error"]) == (1, "", "wamp.error.no_such_procedure")


def test_a_call_is_given_up_in_time(router: ListeningRouter, tmp_path: Path) -> None:
    with start(router, "register", "cli.sleep", "--", "sleep", "60", directory=tmp_path) as callee:
        callee.wait_for("registered")

        code, out, err = run(router, "call", "--timeout", "0.2", "cli.sleep")

    assert (code, out) == (1, "")
    assert err.startswith("rocade: wamp.error.timeout")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "ws://127.0.0.1:1/ws"], "onnect"),
        (["--url", "http://127.0.0.1/"], "http"),
        (["--realm", "nowhere"], "no_such_realm"),
        (["--login", "ticket"], "--login ticket takes --user"),
        (["--user", "joe"], "--user and --secret-file take --login"),
        (["--user", "joe", "--login", "scram"], "ROCADE_SECRET"),
        (["--user", "joe", "--login", "scram", "--secret-file", "/nowhere"], "/nowhere: cannot be read"),
        (["--login", "cryptosign", "--secret-file", "/dev/null"], "/dev/null: "),
        (["--user", "joe", "--login", "ticket", "--secret-file", "SECRET"], "(wamp.error."),
        (["-1"], "go behind '--'"),
        (["--url", "wss://127.0.0.1:1/ws", "--ca", "/nowhere"], "--ca: '/nowhere' cannot be used: No such file"),
    ],
)
def test_without_a_session_the_exit_code_is_2(
    router: ListeningRouter, arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "SECRET").write_text("secret\n")
    arguments = [str(tmp_path / "SECRET") if each == "SECRET" else each for each in arguments]
    code, out, err = run(router, "call", "wamp.session.count", *arguments)

    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("rocade: ")
    assert message in err


def test_what_strangers_send_does_not_command_the_terminal(router: ListeningRouter, tmp_path: Path) -> None:
    command = ["cli.escape", "--raw", "--", "printf", r"\033[2Jred\tand\a"]
    with start(router, "register", *command, directory=tmp_path) as callee:
        callee.wait_for("registered")
        parent, child = os.openpty()
        with os.fdopen(parent, "rb") as terminal:
            call = [sys.executable, "-m", "rocade", "call", "--url", router.url, "cli.escape"]
            process = subprocess.Popen(call, stdin=child, stdout=child, stderr=child, env=_environment({}))
            os.close(child)
            assert process.wait(TIMEOUT) == 0
            assert os.read(terminal.fileno(), 1000) == b"\\x1b[2Jred\tand\\x07\r\n"

        assert run(router, "call", "cli.escape") == (0, "\033[2Jred\tand\a\n", "")


# --- publish and subscribe ----------------------------------------------------------------------------


def test_events_are_shown_until_there_are_enough(router: ListeningRouter, tmp_path: Path) -> None:
    arguments = ["cli.news", "--match", "prefix", "--count", "2"]
    with (
        start(router, "subscribe", *arguments, directory=tmp_path) as shown,
        start(router, "subscribe", *arguments, "--json", directory=tmp_path) as for_programs,
    ):
        shown.wait_for("subscribed")
        for_programs.wait_for("subscribed")

        assert run(router, "publish", "cli.news.rain", "Lyon", "mm=12") == (0, "", "")
        code, out, err = run(router, "publish", "--json", "cli.news")
        assert (code, list(json.loads(out)), err) == (0, ["publication"], "")

        assert (shown.wait(), for_programs.wait()) == (0, 0)
        assert shown.text.splitlines() == ["rocade: subscribed", 'cli.news.rain "Lyon" mm=12', "cli.news"]
        _, first, second = for_programs.text.splitlines()
        del (event := json.loads(first))["publication"]
        assert event == {"topic": "cli.news.rain", "args": ["Lyon"], "kwargs": {"mm": 12}}
        assert json.loads(second) == {"topic": "cli.news", **json.loads(out), "args": [], "kwargs": {}}


def test_a_retained_event_is_shown(router: ListeningRouter) -> None:
    assert run(router, "publish", "--retain", "cli.kept", "1") == (0, "", "")

    code, out, _ = run(router, "subscribe", "--retained", "--count", "1", "cli.kept")

    assert (code, out) == (0, "cli.kept 1\n")


def test_too_few_events_in_time_are_a_failure(router: ListeningRouter) -> None:
    assert run(router, "subscribe", "--timeout", "0.1", "--count", "1", "cli.silence")[0] == 1
    assert run(router, "subscribe", "--timeout", "0.1", "cli.silence")[0] == 0


def test_a_refused_publication_is_told(router: ListeningRouter) -> None:
    code, out, err = run(router, "publish", "wamp.mine")

    assert (code, out) == (1, "")
    assert err.startswith("rocade: wamp.error.")


def test_a_reader_who_has_enough_ends_it_at_once(router: ListeningRouter) -> None:
    command = f'"{sys.executable}" -W error -m rocade subscribe --url {router.url} --retained cli.first | head -n 1'
    assert run(router, "publish", "--retain", "cli.first", "1")[0] == 0

    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env=_environment({}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "cli.first 1\n", "rocade: subscribed\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
@pytest.mark.parametrize("arguments", [["subscribe", "cli.endless"], ["register", "cli.endless", "--", "true"]])
def test_a_signal_ends_it_without_a_word(
    router: ListeningRouter, arguments: list[str], number: signal.Signals, code: int, tmp_path: Path
) -> None:
    with start(router, *arguments, directory=tmp_path) as program:
        program.wait_for(f"rocade: {arguments[0]}".rstrip("e"))

        program.signal(number)

        assert program.wait() == code
        # An empty line at most, behind the ^C of a terminal.
        assert len(program.text.split()) == 2, program.text


def test_a_subscription_outlives_its_router(tmp_path: Path, free_port: int) -> None:
    router = Router(tmp_path / "first.log", "--port", str(free_port))
    url = router.url
    arguments = ["-m", "rocade", "subscribe", "--url", url, "cli.news", "--count", "1"]
    with Program(*arguments, directory=tmp_path) as program:
        program.wait_for("subscribed")
        router.kill()
        program.wait_for("the connection is lost")
        router = Router(tmp_path / "second.log", "--port", str(free_port))
        try:
            while run(url, "call", "wamp.subscription.lookup", "cli.news")[1] == "":
                pass
            run(url, "publish", "cli.news", "1")
            assert program.wait() == 0
        finally:
            router.stop()
        assert "cli.news 1\n" in program.text


# --- register -----------------------------------------------------------------------------------------


def script(text: str) -> list[str]:
    return ["--", sys.executable, "-c", text]


@pytest.mark.parametrize(
    ("options", "command", "arguments", "outcome"),
    [
        ([], script("print('plain text')"), [], (0, '"plain text"\n')),
        ([], script("print(12)"), [], (0, "12\n")),
        (["--raw"], script("print(12)"), [], (0, '"12"\n')),
        ([], script("pass"), [], (0, "null\n")),
        ([], script("import sys; print(sys.argv[1:])"), ["1"], (0, "[]\n")),
        (
            ["--append-args"],
            script("import sys, json; print(json.dumps(sys.argv[1:]))"),
            ["a b", "[1]", "--", "-2"],
            (0, '["a b","[1]","-2"]\n'),
        ),
        (["--append-args"], script("pass"), ["--", "-v"], (1, "wamp.error.invalid_argument")),
        (["--append-args"], script("pass"), ['"a\\u0000"'], (1, "wamp.error.invalid_argument")),
        (
            ["--append-args"],
            [*script("import sys, json; print(json.dumps(sys.argv[1:]))"), "--"],
            ["--", "-v"],
            (0, '["--","-v"]\n'),
        ),
        (
            [],
            script("import sys; print('first\\nlast', file=sys.stderr); sys.exit(3)"),
            [],
            (1, {"error": "rocade.error.command_failed", "args": ["last"], "kwargs": {"exit_code": 3}}),
        ),
        (
            [],
            ["--", "sh", "-c", "kill -9 $$"],
            [],
            (1, {"error": "rocade.error.command_failed", "args": ["ended by signal 9"], "kwargs": {"exit_code": -9}}),
        ),
        (["--timeout", "0.3"], ["--", "sh", "-c", "sleep 60 & sleep 60"], [], (1, "wamp.error.timeout")),
        ([], ["--", "cat", "/dev/zero"], [], (1, "wamp.error.payload_size_exceeded")),
        ([], script("import os; print(os.environ['ROCADE_PROCEDURE'], len(os.environ.get('ROCADE_SECRET', '')))"), [],
         (0, '"cli.command 0"\n')),
    ],
)  # fmt: skip
def test_a_command_per_call(
    router: ListeningRouter,
    options: list[str],
    command: list[str],
    arguments: list[str],
    outcome: tuple[int, Any],
    tmp_path: Path,
) -> None:
    words = [*options, "cli.command", *command]
    with start(router, "register", *words, directory=tmp_path, ROCADE_SECRET="secret") as callee:
        callee.wait_for("registered")

        code, out, err = run(router, "call", "--json", "cli.command", *arguments)

    if code == 0:
        assert (code, out, err) == (*outcome, "")
    else:
        told = json.loads(err)
        assert (code, out) == (outcome[0], "")
        assert outcome[1] in (told, told["error"])


def test_what_a_canceled_call_has_started_is_ended(router: ListeningRouter, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    command = ["--", "sh", "-c", "exec > alive; sleep 60"]
    with start(router, "register", "cli.long", *command, directory=tmp_path) as callee:
        callee.wait_for("registered")
        with start(router, "call", "cli.long", directory=tmp_path) as caller:
            with (tmp_path / "alive").open("rb") as alive:  # opens when the command does
                caller.signal(signal.SIGINT)
                assert alive.read() == b""  # ends when everybody who has it open has ended
            assert caller.wait() == 130
            assert caller.text.strip() == ""


def test_a_command_that_is_not_there_is_told_at_once(router: ListeningRouter) -> None:
    code, out, err = run(router, "register", "cli.nothing", "--", "no-such-command")

    assert (code, out, err) == (2, "", "rocade: there is no command 'no-such-command'\n")


# --- logins -------------------------------------------------------------------------------------------


def test_every_login_works(tmp_path: Path) -> None:
    import jwt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    (tmp_path / "key").write_text(key.private_bytes_raw().hex() + "\n")
    secret = "hidden from all but two sides of it"
    allowed = {"uri": "", "match": "prefix", "allow": {"call": True}}
    user = {"role": "user"}
    hashed = [sys.executable, "-m", "rocade", "hash", "scram", "--kdf", "pbkdf2"]
    proof = json.loads(
        subprocess.run(hashed, input=secret.encode(), env=_environment({}), capture_output=True, check=True).stdout
    )
    auth = {
        "ticket": {"type": "static", "principals": {"joe": {"ticket": secret, **user}}},
        "wampcra": {"type": "static", "users": {"joe": {"secret": secret, **user}}},
        "scram": {"type": "static", "principals": {"joe": {**proof, **user}}},
        "cryptosign": {
            "type": "static",
            "principals": {"joe": {"authorized_keys": [key.public_key().public_bytes_raw().hex()], **user}},
        },
        "jwt": {"type": "static", "algorithms": ["HS256"], "secret": secret, "role-claim": "role"},
    }
    worker = {
        "type": "router",
        "realms": [{"name": "realm1", "roles": [{"name": "user", "permissions": [allowed]}]}],
        "transports": [
            {
                "type": "web",
                "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
                "paths": {"ws": {"type": "websocket", "auth": auth}},
            }
        ],
    }
    (tmp_path / "config.json").write_text(json.dumps({"version": 2, "workers": [worker]}))
    (tmp_path / "secret").write_text(secret + "\n")
    token = jwt.encode({"sub": "joe", "role": "user", "exp": time.time() + 3600}, secret, algorithm="HS256")
    router = Router(tmp_path / "log", "--config", str(tmp_path / "config.json"))
    try:
        for login in ("ticket", "wampcra", "scram"):
            as_joe = ["wamp.session.count", "--user", "joe", "--login", login]
            assert run(router.url, "call", *as_joe, ROCADE_SECRET=secret) == (0, "1\n", "")
            assert run(router.url, "call", *as_joe, "--secret-file", str(tmp_path / "secret")) == (0, "1\n", "")
            assert run(router.url, "call", *as_joe, ROCADE_SECRET="wrong")[0] == 2
        with_key = ["--login", "cryptosign", "--secret-file", str(tmp_path / "key")]
        assert run(router.url, "call", "wamp.session.count", *with_key) == (0, "1\n", "")
        with_token = ["--login", "jwt", "--serializer", "cbor"]
        assert run(router.url, "call", "wamp.session.count", *with_token, ROCADE_SECRET=token) == (0, "1\n", "")
    finally:
        router.stop()
