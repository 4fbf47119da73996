"""`rocade why`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rocade.cli import main

JSON = """{
  "version": 2, // as of 2017
  "workers": [
    {
      "type": "router",
      "realms": [
        {
          "name": "realm1",
          "roles": [
            {
              "name": "user",
              "permissions": [
                {"uri": "com.example.*", "allow": {"call": true}, "disclose": {"caller": true}},
                {"uri": "com.example.secret", "allow": {}},
                {
                  "uri": "user.{authid}.{session}.*",
                  "allow": {"subscribe": true}
                },
              ]
            },
            {"name": "asked", "authorizer": "com.authorize"},
            {
              "name": "authorizer",
              "permissions": [{"uri": "com.authorize", "register": true}]
            },
            {
              "name": "boss",
              "allow-by-default": true
            }
          ]
        },
        {"name": "realm2", "roles": [{"name": "user"}, {"name": "guest"}], "options": {"uri_check": "strict"}}
      ],
      "transports": [
        {
          "type": "rawsocket",
          "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
          "auth": {"anonymous": {"type": "static", "role": "guest"}}
        }
      ]
    }
  ]
}
"""
YAML = """
version: 2
workers:
- type: router
  realms:
  - name: realm1
    roles:
    - name: user
      permissions:
      - uri: com.example.*
        allow: {call: true}
      - {uri: com.example.secret, allow: {}}
  transports:
  - type: rawsocket
    endpoint: {type: tcp, port: 0, interface: 127.0.0.1}
    auth: {anonymous: {type: static, role: user}}
"""
TOML = """
version = 2
[[workers]]
type = "router"
[[workers.realms]]
name = "realm1"
[[workers.realms.roles]]
name = "user"
[[workers.realms.roles.permissions]]
uri = "com.example.*"
allow = {call = true}
[[workers.transports]]
type = "rawsocket"
endpoint = {type = "tcp", port = 0, interface = "127.0.0.1"}
auth = {anonymous = {type = "static", role = "user"}}
"""
ROLES = "workers[0].realms[0].roles"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_text(JSON)
    return Path("config.json")


def ask(capsys: pytest.CaptureFixture[str], *arguments: str, file: str = "config.json") -> tuple[int, str, str]:
    """Exit code, output, and errors."""
    with pytest.raises(SystemExit) as caught:
        main(["why", "--config", file, *arguments])
    output = capsys.readouterr()
    return int(caught.value.code or 0), output.out, output.err


def question(role: str, action: str, uri: str, *more: str) -> list[str]:
    return ["--realm", "realm1", "--role", role, "--action", action, "--uri", uri, *more]


def test_an_allowed_action(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, output, errors = ask(
        capsys, *question("user", "call", "com.example.add", "--authid", "joe", "--session", "5")
    )

    assert (code, errors) == (0, "")
    assert output == (
        "allowed: call 'com.example.add' by role 'user' in realm 'realm1'\n"
        "  the rule for 'com.example.' (prefix) allows it\n"
        f"  config.json, line 13: {ROLES}[0].permissions[0]\n"
        "  the caller is disclosed\n"
    )


@pytest.mark.parametrize(
    ("asked", "code", "expected"),
    [
        (
            question("user", "call", "com.example.secret"),
            1,
            {"decision": "denied", "rule": "com.example.secret", "path": f"{ROLES}[0].permissions[1]", "line": 14},
        ),
        (
            question("user", "subscribe", "user.joe.5.x", "--authid", "joe", "--session", "5"),
            0,
            {
                "decision": "allowed",
                "rule": "user.{authid}.{session}.",
                "path": f"{ROLES}[0].permissions[2]",
                "line": 15,
            },
        ),
        (
            question("user", "subscribe", "user.joe.5.", "--authid", "joe", "--session", "5", "--match", "prefix"),
            0,
            {"decision": "allowed", "match": "prefix"},
        ),
        (
            question("user", "subscribe", "user.ann.5.x", "--authid", "joe", "--session", "5"),
            1,
            {"decision": "denied", "reason": "no rule applies"},
        ),
        (
            question("user", "subscribe", "user.joe.5.x", "--authid", "joe"),
            1,
            {"decision": "denied", "hint": "rules with {session} were left out; --session says who is asking"},
        ),
        (
            question("asked", "call", "com.anything"),
            3,
            {"decision": "asked", "authorizer": "com.authorize", "path": f"{ROLES}[1].authorizer", "line": 21},
        ),
        (
            question("asked", "register", "com.", "--match", "prefix"),
            1,
            {"decision": "denied", "reason": "only a rule can allow to be the authorizer com.authorize"},
        ),
        (question("authorizer", "register", "com.authorize"), 0, {"path": f"{ROLES}[2].permissions[0]", "line": 24}),
        (question("boss", "publish", "com.topic"), 0, {"path": f"{ROLES}[3].allow-by-default", "line": 28}),
        (question("boss", "publish", "wamp.topic"), 1, {"decision": "denied"}),
        (question("boss", "call", "wamp.session.kill"), 0, {"decision": "allowed"}),
        (question("asked", "call", "rocade.session.logout"), 0, {"decision": "allowed", "path": None}),
        (["--role", "guest", "--action", "call", "--uri", "com.x"], 1, {"realm": "realm2"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_answer_as_json(
    asked: list[str], code: int, expected: dict[str, Any], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, output, _ = ask(capsys, *asked, "--json")

    answer = json.loads(output)
    assert exit_code == code
    assert {key: answer.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            ["--realm", "nowhere", "--role", "user", "--action", "call", "--uri", "a"],
            "--realm: there is no realm 'nowhere' (there are: 'realm1', 'realm2')",
        ),
        (
            ["--realm", "realm2", "--role", "boss", "--action", "call", "--uri", "a"],
            "--role: there is no role 'boss' (there are in realm 'realm2': 'user', 'guest')",
        ),
        (
            ["--role", "nobody", "--action", "call", "--uri", "a"],
            "--role: there is no role 'nobody' (there are in realm 'realm1': 'user', 'asked', 'authorizer', 'boss'; "
            "in realm 'realm2': 'user', 'guest')",
        ),
        (
            ["--role", "user", "--action", "call", "--uri", "a"],
            "--realm: is needed, as several realms have the role 'user': 'realm1', 'realm2'",
        ),
        (question("user", "call", "a..b"), "--uri: 'a..b' is no URI"),
        (question("user", "call", ""), "--uri: '' is no URI"),
        (
            ["--realm", "realm2", "--role", "user", "--action", "call", "--uri", "a.B"],
            "--uri: 'a.B' is no URI by the strict rules of this realm",
        ),
        (
            question("user", "call", "a", "--match", "prefix"),
            "--match: 'prefix' is for 'subscribe' and 'register' only",
        ),
    ],
)
def test_a_question_that_makes_no_sense(
    asked: list[str], message: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(capsys, *asked) == (2, "", f"rocade: {message}\n")


def test_check_says_who_is_asked_and_what_a_star_is_not(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(JSON.replace('{"uri": "com.example.*"', '{"uri": "com.example.*", "match": "prefix"'))

    with pytest.raises(SystemExit) as caught:
        main(["check", "config.json"])

    output = capsys.readouterr().out
    assert caught.value.code == 0
    assert "roles user, asked (asks com.authorize), authorizer, boss (may do everything)" in output
    assert f"note: {ROLES}[0].permissions[0].uri: with 'match', the * in 'com.example.*' is a plain character" in output


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, errors = ask(capsys, *question("user", "call", "a"), file=str(tmp_path / "none.json"))

    assert code == 2
    assert "No such file" in errors


def test_lines_of_other_formats(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(YAML)
    Path("config.toml").write_text(TOML)

    _, yaml, _ = ask(capsys, *question("user", "call", "com.example.secret"), file="config.yaml")
    _, toml, _ = ask(capsys, *question("user", "call", "com.example.add"), file="config.toml")

    assert f"config.yaml, line 12: {ROLES}[0].permissions[1]" in yaml
    assert f"config.toml: {ROLES}[0].permissions[0]" in toml
