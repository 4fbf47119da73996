"""The command line: exit codes, and one clear line for each thing that can be wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

import rocade
from rocade.cli import main

REMOVED = object()
"""Stands for a key that is taken away."""

VALID: dict[str, Any] = {
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [
                {"name": "realm1", "roles": [{"name": "anonymous", "permissions": [{"uri": "a", "allow": {}}]}]},
            ],
            "transports": [
                {
                    "type": "web",
                    "endpoint": {"type": "tcp", "port": 8080, "interface": "127.0.0.1"},
                    "paths": {"/ws": {"type": "websocket", "options": {}}},
                }
            ],
        }
    ],
}

WORKER = ("workers", 0)
REALM = (*WORKER, "realms", 0)
ROLE = (*REALM, "roles", 0)
PERMISSION = (*ROLE, "permissions", 0)
TRANSPORT = (*WORKER, "transports", 0)
ENDPOINT = (*TRANSPORT, "endpoint")
SOCKET = (*TRANSPORT, "paths", "/ws")
STATIC = (*TRANSPORT, "paths", "/")

IN_TRANSPORT = "workers[0].transports[0]"
IN_SOCKET = 'workers[0].transports[0].paths["/ws"]'

# where, what stands there, the message
BAD_FILES: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("version",), 3, "version: expected 1 or 2, got 3"),
    (("wrokers",), [], "wrokers: unknown key; did you mean 'workers'?"),
    (("workers",), REMOVED, "workers: must have a router worker"),
    (("workers",), {}, "workers: expected a list, got an object"),
    (("controller",), {"options": {}}, "controller.options: 'options' of the controller is not supported yet"),
    (
        (*WORKER, "type"),
        "guest",
        "workers[0].type: 'guest' workers are not supported yet (Rocade 0.1 runs one router worker)",
    ),
    (
        (*WORKER, "type"),
        "rooter",
        "workers[0].type: expected 'router' or 'websocket-testee', got 'rooter'; did you mean 'router'?",
    ),
    ((*WORKER, "type"), REMOVED, "workers[0].type: is required ('router' or 'websocket-testee')"),
    (
        (*WORKER, "components"),
        [],
        "workers[0].components: components inside the router are not supported yet",
    ),
    (
        (*WORKER, "options"),
        {"pythonpath": [".."]},
        "workers[0].options.pythonpath: the worker option 'pythonpath' is not supported yet",
    ),
    ((*WORKER, "realms"), [], "workers[0].realms: must have at least one realm"),
    (
        (*WORKER, "realms"),
        [{"name": "realm1"}, {"name": "realm1"}],
        "workers[0].realms[1].name: the realm 'realm1' is defined already (workers[0].realms[0])",
    ),
    ((*REALM, "name"), REMOVED, "workers[0].realms[0].name: is required"),
    ((*REALM, "name"), 1, "workers[0].realms[0].name: expected text, got 1"),
    (
        (*REALM, "name"),
        "my realm",
        "workers[0].realms[0].name: 'my realm' is no realm name: "
        "a URI of words joined by single dots, without spaces and '#'",
    ),
    (
        (*REALM, "name"),
        "wamp.mine",
        "workers[0].realms[0].name: 'wamp.mine' is no realm name: 'wamp' is reserved by the protocol",
    ),
    ((*REALM, "store"), {}, "workers[0].realms[0].store.type: is required ('memory' or 'sqlite')"),
    ((*REALM, "stats"), {}, "workers[0].realms[0].stats: session statistics are not supported yet"),
    (
        (*REALM, "options"),
        {"uri_check": "strikt"},
        "workers[0].realms[0].options.uri_check: expected 'loose' or 'strict', got 'strikt'; did you mean 'strict'?",
    ),
    (
        (*REALM, "options"),
        {"bridge_meta_api": True},
        "workers[0].realms[0].options.bridge_meta_api: must be false: bridging the meta API is not supported yet",
    ),
    (
        (*REALM, "roles"),
        [{"name": "anonymous"}, {"name": "anonymous"}],
        "workers[0].realms[0].roles[1].name: the role 'anonymous' is defined already (workers[0].realms[0].roles[0])",
    ),
    (
        (*ROLE, "authorizer"),
        "com.example.authorize",
        "workers[0].realms[0].roles[0].authorizer: no permission of a role in realm 'realm1' allows to register "
        "'com.example.authorize', so nobody could answer",
    ),
    (
        (*PERMISSION, "allow"),
        {"publish": "yes"},
        "workers[0].realms[0].roles[0].permissions[0].allow.publish: expected true or false, got 'yes'",
    ),
    (
        (*PERMISSION, "call"),
        True,
        "workers[0].realms[0].roles[0].permissions[0]: "
        "'allow' and version 1's 'call', 'register', 'publish', 'subscribe' exclude each other",
    ),
    (
        (*PERMISSION, "uri"),
        "",
        "workers[0].realms[0].roles[0].permissions[0].uri: '' is no URI (every URI is '*')",
    ),
    (
        (*PERMISSION, "match"),
        "prefx",
        "workers[0].realms[0].roles[0].permissions[0].match: "
        "expected 'exact', 'prefix' or 'wildcard', got 'prefx'; did you mean 'prefix'?",
    ),
    (
        (*ROLE, "permissions"),
        [{"uri": "*", "call": True}, {"uri": "", "match": "prefix", "allow": {}}],
        "workers[0].realms[0].roles[0].permissions[1].uri: "
        "'' has a permission already (workers[0].realms[0].roles[0].permissions[0])",
    ),
    ((*WORKER, "transports"), [], "workers[0].transports: must have at least one transport"),
    ((*TRANSPORT, "type"), "mqtt", f"{IN_TRANSPORT}.type: 'mqtt' transports are not supported yet"),
    (
        (*TRANSPORT, "type"),
        "wbe",
        f"{IN_TRANSPORT}.type: expected 'web', 'websocket', 'rawsocket' or 'universal', got 'wbe'",
    ),
    (
        (*TRANSPORT, "type"),
        REMOVED,
        f"{IN_TRANSPORT}.type: is required ('web', 'websocket', 'rawsocket' or 'universal')",
    ),
    (ENDPOINT, REMOVED, f"{IN_TRANSPORT}.endpoint: is required"),
    ((*ENDPOINT, "port"), 70000, f"{IN_TRANSPORT}.endpoint.port: expected a whole number from 0 to 65535, got 70000"),
    ((*ENDPOINT, "port"), True, f"{IN_TRANSPORT}.endpoint.port: expected a whole number from 0 to 65535, got true"),
    (
        (*ENDPOINT, "port"),
        "${ROCADE_TEST_UNSET}",
        f"{IN_TRANSPORT}.endpoint.port: the environment variable 'ROCADE_TEST_UNSET' is not set",
    ),
    ((*ENDPOINT, "tls"), {"certificate": "a.pem"}, f"{IN_TRANSPORT}.endpoint.tls.key: is required"),
    (
        (*ENDPOINT, "interface"),
        "a\0b",
        f"{IN_TRANSPORT}.endpoint.interface: must not have a null character in it",
    ),
    ((*ENDPOINT, "version"), 5, f"{IN_TRANSPORT}.endpoint.version: expected 4 or 6, got 5"),
    (
        ENDPOINT,
        {"type": "unix", "path": "x", "mode": 660},
        f'{IN_TRANSPORT}.endpoint.mode: 660 is no file mode; write it as octal text, such as "0660"',
    ),
    (
        (*WORKER, "transports", 1),
        {"type": "rawsocket", "endpoint": {"type": "tcp", "port": 8080, "interface": "127.0.0.1"}},
        "workers[0].transports[1].endpoint: 127.0.0.1:8080 is taken already by workers[0].transports[0].endpoint",
    ),
    ((*TRANSPORT, "paths"), REMOVED, f"{IN_TRANSPORT}.paths: is required"),
    (
        (*TRANSPORT, "paths", "ws/"),
        {"type": "websocket"},
        f"{IN_TRANSPORT}.paths[\"ws/\"]: the path '/ws' is served already ({IN_SOCKET})",
    ),
    (
        (*TRANSPORT, "paths", "a b"),
        {"type": "websocket"},
        f"{IN_TRANSPORT}.paths[\"a b\"]: 'a b' is no path: write '/' or segments such as '/ws' or '/api/v1'",
    ),
    (
        (*SOCKET, "type"),
        "wsgi",
        f"{IN_SOCKET}.type: 'wsgi' services are not supported yet",
    ),
    (
        (*SOCKET, "type"),
        "pusher",
        f"{IN_SOCKET}.type: 'pusher' services (called 'publisher' since version 2) are not supported yet",
    ),
    (
        (*SOCKET, "type"),
        "websokcet",
        f"{IN_SOCKET}.type: expected 'websocket', 'longpoll', 'static' or 'json', got 'websokcet'; "
        "did you mean 'websocket'?",
    ),
    (
        (*SOCKET, "serializers"),
        ["json", "ubjson"],
        f"{IN_SOCKET}.serializers[1]: 'ubjson' serializers are not supported yet",
    ),
    ((*SOCKET, "serializers"), [], f"{IN_SOCKET}.serializers: must not be empty"),
    ((*SOCKET, "serializers"), ["json", "json"], f"{IN_SOCKET}.serializers[1]: 'json' is listed twice"),
    (
        (*SOCKET, "auth"),
        {"anonymous-proxy": {}},
        f"{IN_SOCKET}.auth.anonymous-proxy: 'anonymous-proxy' logins are not supported yet",
    ),
    (
        (*SOCKET, "auth"),
        {},
        f"{IN_SOCKET}.auth: names no way to log in, so nobody could; leave 'auth' out for anonymous clients",
    ),
    (
        (*SOCKET, "auth"),
        {"anonymous": {"type": "static", "role": "public"}},
        f"{IN_SOCKET}.auth.anonymous.role: no realm defines the role 'public' (defined are 'anonymous')",
    ),
    (
        (*SOCKET, "auth"),
        {"anonymous": {"type": "dynamic", "authenticator": "a..b"}},
        f"{IN_SOCKET}.auth.anonymous.authenticator: 'a..b' is no URI",
    ),
    (
        (*ROLE, "name"),
        "public",
        f"{IN_SOCKET}.auth: left out, so clients join as 'anonymous', a role that no realm defines "
        "(defined are 'public')",
    ),
    (
        (*SOCKET, "options", "compression"),
        {"deflate": {"max_window_bits": 8}},
        f"{IN_SOCKET}.options.compression.deflate.max_window_bits: expected 9, 10, 11, 12, 13, 14 or 15, got 8",
    ),
    (
        (*SOCKET, "options", "compression"),
        {"bzip2": {}},
        f"{IN_SOCKET}.options.compression.bzip2: 'bzip2' compressions are not supported yet",
    ),
    (
        (*SOCKET, "options", "apply_mask"),
        False,
        f"{IN_SOCKET}.options.apply_mask: must be true: unmasked client frames break RFC 6455",
    ),
    (
        (*SOCKET, "options", "auto_ping_interval"),
        30,
        f"{IN_SOCKET}.options.auto_ping_interval: is in milliseconds, so 30 is too short (1000 is one second)",
    ),
    (
        (*SOCKET, "options", "auto_ping_intervall"),
        30,
        f"{IN_SOCKET}.options.auto_ping_intervall: unknown key; did you mean 'auto_ping_interval'?",
    ),
    (
        (*SOCKET, "options", "max_frame_size"),
        1024,
        f"{IN_SOCKET}.options.max_frame_size: a limit below that of messages (16777216) is not supported yet",
    ),
    (
        (*ENDPOINT, "version"),
        6,
        f"{IN_TRANSPORT}.endpoint.version: 6 does not fit the interface '127.0.0.1'",
    ),
    (
        (*SOCKET, "url"),
        "http://localhost/ws",
        f"{IN_SOCKET}.url: 'http://localhost/ws' is no WebSocket URL, such as 'ws://localhost:8080/ws'",
    ),
    (
        STATIC,
        {"type": "static"},
        f"{IN_TRANSPORT}.paths[\"/\"]: needs either 'directory', or 'package' and 'resource'",
    ),
    (
        STATIC,
        {"type": "static", "directory": "/nowhere/at/all"},
        f"{IN_TRANSPORT}.paths[\"/\"].directory: there is no directory '/nowhere/at/all'",
    ),
    (
        STATIC,
        {"type": "static", "package": "no_such_package", "resource": "x"},
        f"{IN_TRANSPORT}.paths[\"/\"].package: there is no Python package 'no_such_package'",
    ),
    (STATIC, {"type": "json"}, f'{IN_TRANSPORT}.paths["/"].value: is required'),
    (
        STATIC,
        {"type": "json", "valeu": 1},
        f"{IN_TRANSPORT}.paths[\"/\"].valeu: unknown key; did you mean 'value'?",
    ),
]


def changed(where: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The valid configuration with one thing in it replaced, added or removed."""
    data = deepcopy(VALID)
    target: Any = data
    for key in where[:-1]:
        target = target[key]
    last = where[-1]
    if value is REMOVED:
        del target[last]
    elif isinstance(target, list) and last == len(target):
        target.append(value)
    else:
        target[last] = value
    return data


def wide_open() -> dict[str, Any]:
    """A configuration in which everybody who reaches the machine may do everything."""
    actions = dict.fromkeys(("call", "register", "publish", "subscribe"), True)
    data = changed(PERMISSION, {"uri": "*", **actions})
    del data["workers"][0]["transports"][0]["endpoint"]["interface"]
    return data


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m rocade` with these arguments, importing what this test imports."""
    environment = {**os.environ, "PYTHONPATH": str(Path(rocade.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-m", "rocade", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env=environment,
        check=False,
    )


@pytest.mark.parametrize(("where", "value", "message"), BAD_FILES, ids=[message for _, _, message in BAD_FILES])
@pytest.mark.parametrize("command", ["check", "start"])
def test_a_bad_file_ends_with_one_line_that_names_the_place(
    command: str,
    where: tuple[str | int, ...],
    value: Any,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_text(json.dumps(changed(where, value)))

    with pytest.raises(SystemExit) as caught:
        main([command, "--config", "config.json"])

    assert capsys.readouterr() == ("", f"config.json: {message}\n")
    assert caught.value.code == 2


def test_a_bad_file_gives_no_traceback_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{\n  "workers": [\n}')

    done = run("start", "--config", "config.json", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "config.json: line 3, column 1: expecting value\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["start", "--config", "nowhere.json"], "nowhere.json: cannot be read: No such file or directory"),
        (["start", "--config", "."], ".: cannot be read: Is a directory"),
        (
            ["start", "--realm", "my realm"],
            "rocade: --realm: 'my realm' is no realm name: "
            "a URI of words joined by single dots, without spaces and '#'",
        ),
        (
            ["start", "--host", "0.0.0.0"],
            "rocade: 0.0.0.0:8080 can be reached from other machines, and anybody who connects there may do "
            "everything in realm 'realm1' (as role 'anonymous'); listen on 127.0.0.1, or allow it with --insecure",
        ),
        (
            ["start", "--config", "config.json", "--port", "8080", "--realm", "a"],
            "rocade: --port and --realm cannot be combined with --config: the file says it all",
        ),
        (["start", "--port", "http"], "rocade: Invalid value for '--port': 'http' is not a valid port number."),
        (["start", "--unix", ""], "rocade: --unix: must not be empty"),
        (["check"], "rocade: one configuration file is needed: rocade check FILE"),
        (["strat"], None),
        (["start", "--prot", "1"], None),
    ],
)
def test_bad_arguments_end_with_one_line(
    arguments: list[str], message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as caught:
        main(arguments)

    out, err = capfd.readouterr()
    assert (caught.value.code, out) == (2, "")
    assert err.count("\n") == 1
    assert message is None or err == message + "\n"


def test_a_file_that_lets_strangers_do_everything_needs_insecure(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(wide_open()))

    with pytest.raises(SystemExit) as caught:
        main(["start", "--config", str(file)])

    assert caught.value.code == 2
    assert "allow it with --insecure" in capsys.readouterr().err


def test_check_says_what_a_file_describes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    data = wide_open()
    paths = data["workers"][0]["transports"][0]["paths"]
    paths["/"] = {"type": "static", "directory": "."}
    paths["/lp"] = {"type": "longpoll"}
    Path("config.json").write_text(json.dumps(data))

    with pytest.raises(SystemExit) as caught:
        main(["check", "--config", "config.json"])

    assert caught.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        "config.json is valid",
        "  realm realm1: roles anonymous (may do everything)",
        "  listens on 0.0.0.0:8080",
        f"    /: files of {tmp_path}",
        "    /lp: long-poll (json, msgpack, cbor)",
        "      anonymous: everybody, as role 'anonymous'",
        "    /ws: WebSocket (json, msgpack, cbor)",
        "      anonymous: everybody, as role 'anonymous'",
        "needs --insecure: 0.0.0.0:8080 can be reached from other machines, and anybody who connects there may do "
        "everything in realm 'realm1' (as role 'anonymous')",
    ]


def test_check_says_how_clients_log_in_and_who_knows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    data = wide_open()
    asked = {"type": "dynamic", "authenticator": "com.example.authenticate"}
    users = {name: {"ticket": "hidden", "role": "anonymous"} for name in ("joe", "ann", "eve", "bob", "sue")}
    tokens = {"type": "static", "algorithms": ["HS256"], "secret": "hidden from all but two sides of it"}
    auth = {
        "anonymous": {"type": "static", "role": "anonymous"},
        "ticket": {"type": "static", "principals": users},
        "wampcra": {"type": "static", "users": {"joe": {"secret": "hidden", "role": "anonymous"}}},
        "scram": asked,
        "cryptosign": {**asked, "authenticator-realm": "realm1"},
        "jwt": {**tokens, "role-claim": "groups"},
        "cookie": {},
    }
    service = data["workers"][0]["transports"][0]["paths"]["/ws"]
    service["auth"] = auth
    service["cookie"] = {"store": {"type": "file", "filename": "cookies.db"}, "max_age": 3600}
    Path("config.json").write_text(json.dumps(data))

    with pytest.raises(SystemExit):
        main(["check", "config.json"])

    out = capsys.readouterr().out
    assert "hidden" not in out
    lines = out.splitlines()
    assert lines[lines.index("    /ws: WebSocket (json, msgpack, cbor)") + 1 :][:7] == [
        "      anonymous: everybody, as role 'anonymous'",
        "      ticket: 'joe', 'ann', 'eve' and 2 more in the configuration",
        "      wampcra: 'joe' in the configuration",
        "      cryptosign: the procedure com.example.authenticate in realm realm1 knows the clients",
        "      scram: the procedure com.example.authenticate in the realm that is asked for knows the clients",
        "      jwt: tokens signed with a secret; authid by claim 'sub', role by claim 'groups'",
        f"      cookie: logins of the last 3600 s by the others, by 'cbtid', kept in {tmp_path / 'cookies.db'}",
    ]


def test_version_and_help_work_as_a_process() -> None:
    version = run("version")
    help_text = run("--help")

    assert (version.returncode, version.stdout) == (0, f"rocade {rocade.__version__}\n")
    assert help_text.returncode == 0
    assert all(command in help_text.stdout for command in ("check", "start", "version"))


def test_version_imports_no_more_than_it_needs() -> None:
    program = "import sys\nfrom rocade.cli import main\ntry:\n  main(['version'])\nfinally:\n  print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    loaded = done.stdout.split()
    assert not {"asyncio", "uvicorn", "starlette", "msgspec", "cryptography"} & set(loaded)
