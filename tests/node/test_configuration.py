"""Configuration files: what is accepted, what it means, and where errors are found."""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rocade.errors import ConfigurationError
from rocade.node.configuration import (
    Configuration,
    ConfigurationFileError,
    configuration_from,
    default_configuration,
    read_configuration,
)
from rocade.node.configuration_file import json_without_comments, parsed
from rocade.node.realms import Permission
from rocade.node.safety import problems
from rocade.node.services import JsonService, LongPollService, RawSocketService, StaticService, WebSocketService
from rocade.node.transports import TcpEndpoint, UniversalTransport, UnixEndpoint, wamp_services

VIDEO_PLAYER = """{
   "workers": [
      {
         "type": "router",
         "realms": [
            {
               "name": "realm1",
               "roles": [
                  {
                     "name": "anonymous",
                     "permissions": [
                        {"uri": "*", "publish": true, "subscribe": true, "call": true, "register": true}
                     ]
                  }
               ]
            }
         ],
         "transports": [
            {
               "type": "web",
               "endpoint": {"type": "tcp", "port": 8080, "interface": "0.0.0.0"},
               "paths": {
                  "/": {"type": "static", "directory": ".."},
                  "ws": {
                     "type": "websocket",
                  }
               }
            }
         ]
      }
   ]
}
"""

MINIMAL: dict[str, Any] = {
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}]}],
            "transports": [
                {
                    "type": "web",
                    "endpoint": {"type": "tcp", "port": 8080},
                    "paths": {"/ws": {"type": "websocket"}},
                }
            ],
        }
    ],
}


def minimal(**transport: Any) -> dict[str, Any]:
    """A valid configuration; the arguments replace keys of its transport."""
    data = deepcopy(MINIMAL)
    data["workers"][0]["transports"][0].update(transport)
    return data


def with_websocket(**settings: Any) -> dict[str, Any]:
    """A valid configuration with a WebSocket service that has these settings."""
    return minimal(paths={"/ws": {"type": "websocket", **settings}})


def with_roles(*roles: dict[str, Any]) -> dict[str, Any]:
    """A valid configuration with these roles besides "anonymous"."""
    data = minimal()
    data["workers"][0]["realms"][0]["roles"].extend(roles)
    return data


def websocket_of(configuration: Configuration) -> WebSocketService:
    """The service at "/ws" of the first transport."""
    service = configuration.worker.transports[0].services["/ws"]
    assert isinstance(service, WebSocketService)
    return service


# Formats


def test_a_version_1_file_with_a_trailing_comma_is_read_and_upgraded(tmp_path: Path) -> None:
    (tmp_path / ".crossbar").mkdir()
    file = tmp_path / ".crossbar" / "config.json"
    file.write_text(VIDEO_PLAYER)

    configuration = read_configuration(file)

    assert configuration.version == 2
    role = configuration.worker.realms[0].roles[0]
    assert role.may_do_everything
    assert role.permissions[0].pattern == ("", "prefix")
    services = configuration.worker.transports[0].services
    assert set(services) == {"/", "/ws"}
    static = services["/"]
    assert isinstance(static, StaticService)
    assert static.root is not None
    assert static.root.resolve() == tmp_path


def test_comments_and_trailing_commas_are_allowed_in_json() -> None:
    text = '{ // first\n "a": [1, 2, /* in\nbetween */ ],\n "url": "ws://x/*y*/", "q": "\\"//", }'

    data = parsed(text, ".json")

    assert data == {"a": [1, 2], "url": "ws://x/*y*/", "q": '"//'}


def test_removing_comments_keeps_every_line_and_column() -> None:
    text = '{"a": 1, // ü\n/* x\n y */ "b": [1,\n],}'

    plain = json_without_comments(text)

    assert len(plain) == len(text)
    assert [len(line) for line in plain.splitlines()] == [len(line) for line in text.splitlines()]
    assert json.loads(plain) == {"a": 1, "b": [1]}


@pytest.mark.parametrize("text", ["[,]", "[1,,2]", "{,}", "[1,,]", "[1 2]", '{"a" 1}', "[1]]", "'a'", "", "[NaN]"])
def test_json_is_not_read_more_loosely_than_that(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parsed(text, ".json")


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ('{\n  "a": 1\n  "b": 2\n}', "line 3, column 3", "expecting ',' delimiter"),
        ('{ // one\n /* two */ "a" }', "line 2, column 16", "expecting ':' delimiter"),
        ("{\n /* never", "line 2, column 2", "this comment is never closed"),
        ('{"a": 1, "a": 2}', "", "the key 'a' appears twice in one object"),
        ("[" * 100_000, "", "is nested too deeply"),
    ],
)
def test_syntax_errors_in_json_name_line_and_column(text: str, path: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parsed(text, ".json")

    assert (caught.value.path, caught.value.message) == (path, message)


def test_syntax_errors_in_toml_name_line_and_column() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parsed("version = 2\nworkers = [", ".toml")

    assert caught.value.path.startswith("line 2") or caught.value.path == "end of document"


def test_syntax_errors_in_yaml_name_line_and_column() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parsed("version: 2\nworkers: [\n", ".yaml")

    assert caught.value.path == "line 3, column 1"
    assert "\n" not in caught.value.message


def test_equal_keys_in_yaml_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="line 2, column 1: the key 'version' appears twice"):
        parsed("version: 2\nversion: 1\n", ".yaml")


def test_yaml_keys_that_are_no_text_are_refused() -> None:
    data = minimal()
    data["workers"][0]["transports"][0]["paths"] = {True: {"type": "websocket"}}

    with pytest.raises(ConfigurationError, match="the key true must be text; put it in quotes"):
        configuration_from(data)


def test_yaml_that_contains_itself_is_refused() -> None:
    data = minimal(paths={"/": {"type": "json", "value": parsed("&all [*all]", ".yaml")}})

    with pytest.raises(ConfigurationError, match="is nested too deeply"):
        configuration_from(data)


def test_yaml_without_pyyaml_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ConfigurationError, match=r'needs PyYAML: pip install "rocade\[yaml\]"'):
        parsed("version: 2", ".yml")


@pytest.mark.parametrize("extension", [".json", ".yaml", ".toml"])
def test_nesting_without_end_is_refused_in_every_format(extension: str) -> None:
    text = "version = " if extension == ".toml" else ""

    with pytest.raises(ConfigurationError, match="is nested too deeply"):
        parsed(text + "[" * 100_000, extension)


@pytest.mark.parametrize(
    ("text", "extension"), [('{"version": %s}', ".json"), ("version: %s", ".yaml"), ("version = %s", ".toml")]
)
def test_numbers_of_thousands_of_digits_are_refused(text: str, extension: str) -> None:
    with pytest.raises(ConfigurationError, match=r"has a value that cannot be: .*4300 digits"):
        parsed(text % ("1" * 5000), extension)


@pytest.mark.parametrize("value", ["2026-02-31", "!!int many"])
def test_yaml_values_that_cannot_be_are_refused_with_their_place(value: str) -> None:
    with pytest.raises(ConfigurationError, match="line 2, column 10: has a value that cannot be: "):
        parsed(f"workers: []\nversion: {value}\n", ".yaml")


def test_half_a_character_is_refused_wherever_text_stands() -> None:
    with pytest.raises(ConfigurationError) as in_text:
        configuration_from(minimal(paths={"/": {"type": "static", "directory": "\ud800"}}))
    with pytest.raises(ConfigurationError) as in_key:
        configuration_from(minimal(paths={"/\ud800": {"type": "websocket"}}))

    message = "must not have half a character (a lone surrogate) in it"
    assert (in_text.value.path, in_text.value.message) == (
        'workers[0].transports[0].paths["/"].directory',
        message,
    )
    assert (in_key.value.path, in_key.value.message) == ("workers[0].transports[0].paths", message)


@pytest.mark.parametrize("options", [{}, {"fallback": "x" * 5000}])
def test_a_file_name_that_no_file_can_have_is_a_file_that_is_not_there(tmp_path: Path, options: dict[str, str]) -> None:
    directory = str(tmp_path) if options else "x" * 5000

    with pytest.raises(ConfigurationError, match=r"there is no (directory|file) "):
        configuration_from(minimal(paths={"/": {"type": "static", "directory": directory, "options": options}}))


def test_all_formats_say_the_same(tmp_path: Path) -> None:
    import yaml

    (tmp_path / "config.json").write_text(json.dumps(MINIMAL))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(MINIMAL))
    (tmp_path / "config").write_text("\ufeff" + json.dumps(MINIMAL))
    (tmp_path / "config.toml").write_text(
        'version = 2\n[[workers]]\ntype = "router"\n'
        '[[workers.realms]]\nname = "realm1"\nroles = [{name = "anonymous"}]\n'
        '[[workers.transports]]\ntype = "web"\nendpoint = {type = "tcp", port = 8080}\n'
        '[workers.transports.paths]\n"/ws" = {type = "websocket"}\n'
    )

    configurations = [read_configuration(file) for file in sorted(tmp_path.iterdir())]

    assert len(configurations) == 4
    assert all(configuration == configurations[0] for configuration in configurations)


def test_an_error_in_a_file_begins_with_the_name_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_text(json.dumps(minimal(paths={"/ws": {"type": "wsgi"}})))

    with pytest.raises(ConfigurationFileError) as caught:
        read_configuration("config.json")

    assert str(caught.value) == (
        "config.json: workers[0].transports[0].paths[\"/ws\"].type: 'wsgi' services are not supported yet"
    )
    assert caught.value.path == 'workers[0].transports[0].paths["/ws"].type'
    assert caught.value.message == "'wsgi' services are not supported yet"
    assert caught.value.file == "config.json"


@pytest.mark.parametrize("content", [b"\xff\xfe", b""])
def test_files_that_are_no_text_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(content)

    with pytest.raises(ConfigurationFileError):
        read_configuration(file)


# Environment


def test_variables_are_replaced_in_any_text() -> None:
    data = minimal(
        endpoint={"type": "tcp", "port": "$PORT", "interface": "${HOST}"},
        paths={"/ws": {"type": "websocket", "url": "wss://${HOST}:${PORT}/ws"}, "/c": {"type": "json", "value": []}},
    )
    data["workers"][0]["transports"][0]["paths"]["/c"]["value"] = ["$PORT", "a ${PORT} b", "$${PORT}", "5 $", "$ PORT"]

    configuration = configuration_from(data, environment={"PORT": "9000", "HOST": "localhost"})

    transport = configuration.worker.transports[0]
    assert transport.endpoint == TcpEndpoint(port=9000, interface="localhost")
    assert websocket_of(configuration).url == "wss://localhost:9000/ws"
    value = transport.services["/c"]
    assert isinstance(value, JsonService)
    assert value.value == ["9000", "a 9000 b", "${PORT}", "5 $", "$ PORT"]
    assert all(type(item) is str for item in value.value)


@pytest.mark.parametrize(("variable", "expected"), [("true", True), ("0", False), ("False", False)])
def test_a_variable_may_stand_for_true_or_false(variable: str, expected: bool) -> None:
    data = with_websocket(options={"allow_null_origin": "${NULL}"})

    configuration = configuration_from(data, environment={"NULL": variable})

    assert websocket_of(configuration).options.allow_null_origin is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NOPE}", "the environment variable 'NOPE' is not set"),
        ("$NOPE", "the environment variable 'NOPE' is not set"),
        ("x${NOPE}y", "the environment variable 'NOPE' is not set"),
        ("${NOPE", "'${' without a '}'; a plain '${' is written '$${'"),
    ],
)
def test_an_unknown_variable_is_an_error_with_a_path(text: str, message: str) -> None:
    data = minimal(endpoint={"type": "tcp", "port": 8080, "interface": text})

    with pytest.raises(ConfigurationError) as caught:
        configuration_from(data, environment={})

    assert (caught.value.path, caught.value.message) == ("workers[0].transports[0].endpoint.interface", message)


def test_what_is_refused_anyway_may_name_variables_that_are_not_set() -> None:
    data = minimal()
    data["workers"][0]["components"] = [{"extra": {"url": "${NOPE}"}}]

    with pytest.raises(ConfigurationError, match="components inside the router are not supported yet"):
        configuration_from(data, environment={})


def test_a_doubled_dollar_is_undone_once() -> None:
    data = with_websocket(id="$${A}")

    assert websocket_of(configuration_from(data, environment={"A": "b"})).id == "${A}"


def test_plain_text_is_no_number() -> None:
    data = minimal(endpoint={"type": "tcp", "port": "8080"})

    with pytest.raises(ConfigurationError, match="expected a whole number from 0 to 65535, got '8080'"):
        configuration_from(data)


# Realms, roles, permissions


@pytest.mark.parametrize(
    ("permission", "pattern"),
    [
        (Permission(uri="com.a"), ("com.a", "exact")),
        (Permission(uri="*"), ("", "prefix")),
        (Permission(uri="com.a.*"), ("com.a.", "prefix")),
        (Permission(uri="com.*.a"), ("com..a", "wildcard")),
        (Permission(uri="com.*.a.*"), ("com..a.", "wildcard")),
        (Permission(uri="com.a", match="prefix"), ("com.a", "prefix")),
        (Permission(uri="com.a*", match="exact"), ("com.a*", "exact")),
    ],
)
def test_a_star_in_a_uri_says_how_it_matches(permission: Permission, pattern: tuple[str, str]) -> None:
    assert permission.pattern == pattern


def test_permissions_are_read_in_the_forms_of_both_versions() -> None:
    data = with_roles(
        {
            "name": "backend",
            "permissions": [
                {"uri": "a.", "match": "prefix", "allow": {"call": True}, "disclose": {"caller": True}, "cache": True},
                {"uri": "b", "publish": True, "call": False},
            ],
        }
    )

    role = configuration_from(data).worker.realms[0].role("backend")

    assert role is not None
    first, second = role.permissions
    assert (first.granted.call, first.granted.register, first.disclose.caller) == (True, False, True)
    assert (second.granted.publish, second.granted.call, second.granted.subscribe) == (True, False, False)


def test_a_role_without_permissions_may_do_nothing_unless_it_says_so() -> None:
    data = with_roles({"name": "open", "allow-by-default": True})

    realm = configuration_from(data).worker.realms[0]

    assert [(role.name, role.may_do_everything) for role in realm.roles] == [("anonymous", False), ("open", True)]


def test_a_role_may_have_a_trust_level() -> None:
    realm = configuration_from(with_roles({"name": "partner", "trustlevel": 2})).worker.realms[0]

    assert [role.trustlevel for role in realm.roles] == [None, 2]


@pytest.mark.parametrize("level", [-1, 1.5, "high", True])
def test_a_trust_level_is_a_whole_number_from_0(level: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"roles\[1\].trustlevel: expected a whole number"):
        configuration_from(with_roles({"name": "partner", "trustlevel": level}))


def test_realm_options_have_safe_defaults() -> None:
    options = configuration_from(minimal()).worker.realms[0].options

    assert (options.uri_check, options.request_ids) == ("loose", "sequential")


# Transports


def test_a_universal_transport_has_all_its_services() -> None:
    data = deepcopy(MINIMAL)
    data["workers"][0]["transports"][0] = {
        "type": "universal",
        "endpoint": {"type": "unix", "path": "node.sock", "mode": "0660"},
        "rawsocket": {"serializers": ["cbor"]},
        "websocket": {"ws": {"type": "websocket", "serializers": ["json"]}},
        "web": {"paths": {"info": {"type": "json", "value": None}}},
    }

    transport = configuration_from(data, directory="/srv/node").worker.transports[0]

    assert isinstance(transport.endpoint, UnixEndpoint)
    assert (transport.endpoint.path, transport.endpoint.file_mode) == ("/srv/node/node.sock", 0o660)
    assert list(transport.services) == ["/info", "/ws"]
    assert [service.serializers for service in wamp_services(transport)] == [("cbor",), ("json",)]


def test_transports_of_one_protocol_serve_it_everywhere() -> None:
    data = deepcopy(MINIMAL)
    data["workers"][0]["transports"] = [
        {"type": "websocket", "endpoint": {"type": "tcp", "port": 9000}},
        {"type": "rawsocket", "endpoint": {"type": "tcp", "port": 9001}, "options": {"max_message_size": 100_000}},
    ]

    websocket, rawsocket = configuration_from(data).worker.transports

    assert list(websocket.services) == ["/"]
    assert websocket.rawsocket_service is None
    assert rawsocket.services == {}
    assert isinstance(rawsocket.rawsocket_service, RawSocketService)
    assert rawsocket.rawsocket_service.max_message_bytes == 65536


def test_websocket_options_are_milliseconds_in_the_file_and_seconds_inside() -> None:
    data = with_websocket(
        options={"auto_ping_interval": 10_000, "auto_ping_timeout": 0, "open_handshake_timeout": 2500}
    )

    options = websocket_of(configuration_from(data)).options

    assert (options.ping_interval, options.ping_timeout, options.opening_timeout) == (10.0, None, 2.5)


def test_long_polling_is_a_path_service() -> None:
    data = minimal(
        paths={
            "lp": {
                "type": "longpoll",
                "serializers": ["json"],
                "auth": {"anonymous": {"type": "static", "role": "anonymous"}},
                "options": {"request_timeout": 5, "queue_limit_messages": 0, "debug": False},
            }
        }
    )

    transport = configuration_from(data).worker.transports[0]

    service = transport.services["/lp"]
    assert isinstance(service, LongPollService)
    assert wamp_services(transport) == [service]
    options = service.options
    assert (options.request_timeout, options.session_timeout) == (5, 30)
    assert (options.queue_limit_bytes, options.queue_limit_messages) == (16 * 1024 * 1024, 0)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"debug_transport_id": "abc"}, "a fixed transport id would let everybody into the session"),
        ({"request_timeout": 0}, "expected a whole number of at least 1"),
        ({"session_timeout": 0}, "expected a whole number of at least 1"),
    ],
)
def test_what_long_polling_cannot_do_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        configuration_from(minimal(paths={"lp": {"type": "longpoll", "options": options}}))


def test_no_limit_is_left_open_by_default() -> None:
    options = websocket_of(configuration_from(minimal())).options

    assert options.max_message_size == 16 * 1024 * 1024
    assert (options.ping_interval, options.ping_timeout) == (30.0, 20.0)
    assert (options.opening_timeout, options.closing_timeout) == (10.0, 5.0)


def test_two_endpoints_may_share_a_port_number_when_they_do_not_meet() -> None:
    data = deepcopy(MINIMAL)
    transport = data["workers"][0]["transports"][0]
    interfaces = ["127.0.0.1", "192.0.2.1", "::1"]
    data["workers"][0]["transports"] = [
        {**transport, "endpoint": {"type": "tcp", "port": 8080, "interface": interface}} for interface in interfaces
    ]

    transports = configuration_from(data).worker.transports

    assert [str(transport.endpoint) for transport in transports] == ["127.0.0.1:8080", "192.0.2.1:8080", "[::1]:8080"]


def test_files_may_come_from_a_python_package() -> None:
    data = minimal(
        paths={"/": {"type": "static", "package": "rocade", "resource": "node"}, "ws": {"type": "websocket"}}
    )

    static = configuration_from(data).worker.transports[0].services["/"]

    assert isinstance(static, StaticService)
    assert static.root is not None
    assert (static.root / "configuration.py").is_file()


# Without a file


def test_without_a_file_there_is_one_open_realm_on_loopback() -> None:
    configuration = default_configuration()

    realm = configuration.worker.realms[0]
    transport = configuration.worker.transports[0]
    assert (realm.name, [role.name for role in realm.roles]) == ("realm1", ["anonymous"])
    assert realm.roles[0].may_do_everything
    assert isinstance(transport, UniversalTransport)
    assert str(transport.endpoint) == "127.0.0.1:8080"
    assert (list(transport.services), transport.rawsocket is not None) == (["/ws"], True)
    assert problems(configuration) == []


def test_what_runs_without_a_file_could_stand_in_a_file() -> None:
    configuration = default_configuration(port=0, unix="/tmp/rocade.sock")

    data = msgspec.to_builtins(configuration)

    assert msgspec.convert(data, Configuration) == configuration
    assert len(configuration.worker.transports) == 2


@pytest.mark.parametrize("name", ["a b", "", ".a", "a..b", "a#", "wamp", "wamp.a"])
def test_bad_realm_names_are_refused_without_a_file_too(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        default_configuration(realm=name)

    assert caught.value.path == "realm"


# Safety


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_safe(host: str) -> None:
    assert problems(default_configuration(host)) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "example.com", "fe80::1%eth0"])
def test_an_open_realm_beyond_loopback_is_a_problem(host: str) -> None:
    found = problems(default_configuration(host))

    assert len(found) == 1
    assert "may do everything in realm 'realm1' (as role 'anonymous')" in found[0]


def test_beyond_loopback_is_no_problem_when_anonymous_clients_may_not_do_everything() -> None:
    data = minimal()
    data["workers"][0]["realms"][0]["roles"][0]["permissions"] = [
        {"uri": "*", "allow": {"call": True, "subscribe": True}},
    ]

    assert problems(configuration_from(data)) == []


def test_every_field_of_the_format_is_described() -> None:
    schema = msgspec.json.schema(Configuration)

    for name, definition in schema["$defs"].items():
        assert definition["description"], name
        for key, value in definition["properties"].items():
            assert key in ("type", "id") or "description" in value, f"{name}.{key}"
