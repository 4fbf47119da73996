"""How clients may log in, as the configuration file says it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from rocade.errors import ConfigurationError
from rocade.node.configuration import configuration_from
from rocade.node.logins import authenticators
from rocade.node.transports import wamp_services
from rocade.serve.authentication.hashes import hash_ticket
from rocade.serve.gateway import Gateway
from rocade.serve.internal import InternalCalls

FILE: dict[str, Any] = {
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "user"}, {"name": "device"}]}],
            "transports": [{"type": "rawsocket", "endpoint": {"type": "tcp", "port": 8080}, "auth": {}}],
        }
    ],
}
AUTH = "workers[0].transports[0].auth"


def load(auth: dict[str, Any], environment: dict[str, str] | None = None) -> Any:
    """The logins of a file."""
    file = deepcopy(FILE)
    file["workers"][0]["transports"][0]["auth"] = auth
    (service,) = wamp_services(configuration_from(file, environment=environment or {}).worker.transports[0])
    return service.auth


def build(auth: Any) -> dict[str, Any]:
    return dict(authenticators(auth, "auth", InternalCalls(Gateway())))


def refusal(auth: dict[str, Any]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(auth)
    text = str(caught.value)
    assert text.startswith(AUTH), text
    return text.removeprefix(AUTH)


def ticket(**principal: Any) -> dict[str, Any]:
    return {"ticket": {"type": "static", "principals": {"joe": {"role": "user", **principal}}}}


def wampcra(**user: Any) -> dict[str, Any]:
    return {"wampcra": {"type": "static", "users": {"joe": {"role": "user", **user}}}}


# What Crossbar's documentation shows, and our additions.
ACCEPTED = [
    {"anonymous": {"type": "static", "role": "user"}},
    {"anonymous": {"type": "dynamic", "authenticator": "com.example.anyone"}},
    ticket(ticket="secret!!!"),
    {"ticket": {"type": "static", "default-role": "user", "principals": {"joe": {"ticket": "secret!!!"}}}},
    ticket(**{"ticket-hash": hash_ticket("secret!!!")}),
    ticket(**{"ticket-hash": hash_ticket("secret!!!", argon2=True)}),
    {"ticket": {"type": "dynamic", "authenticator": "com.example.authenticate"}},
    {
        "ticket": {
            "type": "dynamic",
            "authenticator": "com.example.authenticate",
            "authenticator-realm": "realm1",
            "authenticator-role": "authenticator",
            "default-role": "user",
        }
    },
    {"ticket": {"type": "function", "create": "tests.node.test_logins.load", "config": {"any": ["thing"]}}},
    wampcra(secret="secret2"),
    wampcra(secret="prq7+YkJ1/KlW1X0YczMHw==", salt="salt123", iterations=100, keylen=16),
    wampcra(**{"derived-key": "prq7+YkJ1/KlW1X0YczMHw==", "salt": "salt123"}),
    {"wampcra": {"type": "static", "principals": {"joe": {"role": "user", "secret": "secret2"}}}},
    {"wampcra": {"type": "dynamic", "authenticator": "com.example.authenticate"}},
    {"wampcra": {"type": "function", "create": "tests.node.test_logins.load"}},
]

KEY = "545efb0a2192db8d43f118e9bf9aee081466e1ef36c708b96ee6f62dddad9122"


def cryptosign(**principal: Any) -> dict[str, Any]:
    principal = {"role": "user", "authorized_keys": [KEY], **principal}
    return {"cryptosign": {"type": "static", "principals": {"joe": principal}}}


SCRAM_KEYS = {
    "kdf": "argon2id-13",
    "iterations": 4096,
    "memory": 512,
    "salt": "accaa46d5b8f8fbdd4ea0f5ce2bf2e45",
    "stored-key": "27b6eb9b4f7b7b7b27b6eb9b4f7b7b7b27b6eb9b4f7b7b7b27b6eb9b4f7b7b7b",
    "server-key": "27b6eb9b4f7b7b7b27b6eb9b4f7b7b7b27b6eb9b4f7b7b7b27b6eb9b4f7b7b7b",
}


def scram(**principal: Any) -> dict[str, Any]:
    return {"scram": {"type": "static", "principals": {"joe": {"role": "user", **SCRAM_KEYS, **principal}}}}


def tls(**principal: Any) -> dict[str, Any]:
    return {"tls": {"type": "static", "principals": {"joe": {"role": "user", **principal}}}}


def test_scram_has_two_names() -> None:
    assert list(build(load(scram()))) == ["scram", "wamp-scram"]
    assert list(build(load({"scram": {"type": "dynamic", "authenticator": "a.b"}}))) == ["scram", "wamp-scram"]


ACCEPTED += [
    cryptosign(),
    cryptosign(realm="realm1"),
    {"cryptosign": {"type": "dynamic", "authenticator": "com.example.authenticate"}},
]


@pytest.mark.parametrize("auth", ACCEPTED, ids=lambda auth: next(iter(auth)))
def test_what_is_accepted_becomes_an_authenticator(auth: dict[str, Any]) -> None:
    assert list(build(load(auth))) == list(auth)


def test_methods_stand_side_by_side() -> None:
    auth = load({**ticket(ticket="a"), **wampcra(secret="b"), "anonymous": {"type": "static", "role": "device"}})

    assert build(auth).keys() == {"ticket", "wampcra", "anonymous"}


def test_a_secret_may_come_from_the_environment() -> None:
    auth = load(ticket(ticket="${TICKET}"), {"TICKET": "secret!!!"})

    assert auth.ticket.principals["joe"].ticket == "secret!!!"


def test_secrets_are_not_shown() -> None:
    for auth in (ticket(ticket="secret!!!"), wampcra(secret="secret!!!")):
        assert "secret!!!" not in repr(load(auth))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, ": names no way to log in, so nobody could; leave 'auth' out for anonymous clients"),
    ({"ticket": {}}, ".ticket.type: is required ('static', 'dynamic' or 'function')"),
    ({"ticket": {"type": "magic"}}, ".ticket.type: expected 'static', 'dynamic' or 'function', got 'magic'"),
    ({"ticket": {"type": "static"}}, ".ticket.principals: is required"),
    (
        {"ticket": {"type": "static", "principals": {}}},
        ".ticket.principals: must not be empty, or nobody could log in",
    ),
    (
        {"ticket": {"type": "static", "principals": {"": {"role": "user", "ticket": "x"}}}},
        '.ticket.principals[""]: an authid must not be empty',
    ),
    (
        {"ticket": {"type": "static", "principals": {"joe": {"ticket": "x"}}}},
        ".ticket.principals.joe.role: is required, as there is no 'default-role'",
    ),
    (
        ticket(ticket="x", role="ghost"),
        ".ticket.principals.joe.role: no realm defines the role 'ghost' (defined are 'device', 'user')",
    ),
    (ticket(), ".ticket.principals.joe: needs either 'ticket' or 'ticket-hash'"),
    (ticket(ticket="x", **{"ticket-hash": "y"}), ".ticket.principals.joe: needs either 'ticket' or 'ticket-hash'"),
    (
        ticket(**{"ticket-hash": "magic"}),
        ".ticket.principals.joe.ticket-hash: is no hash as 'rocade hash ticket' makes them",
    ),
    (ticket(ticket=12345), ".ticket.principals.joe.ticket: expected text, got something else"),
    (ticket(ticket=""), ".ticket.principals.joe.ticket: must not be empty"),
    (
        {"ticket": {"type": "static", "default-role": "ghost", "principals": {"joe": {"ticket": "x"}}}},
        ".ticket.default-role: no realm defines the role 'ghost' (defined are 'device', 'user')",
    ),
    ({"ticket": {"type": "dynamic"}}, ".ticket.authenticator: is required"),
    ({"ticket": {"type": "dynamic", "authenticator": "a b"}}, ".ticket.authenticator: 'a b' is no URI"),
    (
        {"ticket": {"type": "dynamic", "authenticator": "a.b", "authenticator-realm": "elsewhere"}},
        ".ticket.authenticator-realm: there is no realm 'elsewhere'",
    ),
    (
        {"ticket": {"type": "function", "create": "os"}},
        ".ticket.create: 'os' names no module; write it as 'module.function'",
    ),
    (
        {"ticket": {"type": "function", "create": "not_a.module.create"}},
        ".ticket.create: there is no Python module 'not_a'",
    ),
    (
        {"ticket": {"type": "function", "create": "os.path.nothing"}},
        ".ticket.create: there is no function 'nothing' in the module 'os.path'",
    ),
    (
        {"ticket": {"type": "function", "create": "os.path.join", "expose_controller": True}},
        ".ticket.expose_controller: handing the controller to a function is not supported",
    ),
    ({"wampcra": {"type": "static"}}, ".wampcra: needs 'users' (or 'principals', which is the same, but not both)"),
    (wampcra(), ".wampcra.users.joe: needs either 'secret' or 'derived-key'"),
    (wampcra(secret="x", iterations=1), ".wampcra.users.joe.salt: is required where a key is derived"),
    (wampcra(**{"derived-key": "abcd"}), ".wampcra.users.joe.salt: is required where a key is derived"),
    (
        wampcra(**{"derived-key": "not base64", "salt": "s"}),
        ".wampcra.users.joe.derived-key: is no base64",
    ),
    (
        wampcra(secret="x", salt="s", keylen=8),
        ".wampcra.users.joe.keylen: expected a whole number from 16 to 64, got 8",
    ),
    (
        cryptosign(authorized_keys=[KEY, "abc"]),
        ".cryptosign.principals.joe.authorized_keys[1]: is no public key: 64 hexadecimal digits",
    ),
    (cryptosign(authorized_keys=[]), ".cryptosign.principals.joe.authorized_keys: must not be empty"),
    (cryptosign(realm="elsewhere"), ".cryptosign.principals.joe.realm: there is no realm 'elsewhere'"),
    (
        {"cryptosign": {"type": "static", "trustroots": {}}},
        ".cryptosign.trustroots: certificates of trust roots are not supported",
    ),
    (scram(memory=0), ".scram.principals.joe.memory: Argon2 needs at least 8 KiB"),
    (scram(kdf="md5"), ".scram.principals.joe.kdf: expected 'argon2id-13', 'argon2id13' or 'pbkdf2', got 'md5'"),
    (scram(salt="00"), ".scram.principals.joe.salt: must be 16 to 128 hexadecimal digits"),
    (scram(**{"stored-key": "x" * 64}), ".scram.principals.joe.stored-key: must be 64 hexadecimal digits"),
    (tls(), ".tls.principals.joe: needs 'certificate-sha256' or 'subject'"),
    (
        tls(**{"certificate-sha256": "ab:cd"}),
        ".tls.principals.joe.certificate-sha256: is no fingerprint: 64 hexadecimal digits",
    ),
    (
        tls(**{"certificate-sha1": "ab:cd"}),
        ".tls.principals.joe.certificate-sha1: SHA-1 is no proof of anything any more; use 'certificate-sha256'",
    ),
    (
        tls(subject={"commonName": "joe"}),
        ".tls: needs an endpoint whose 'tls' has 'ca_certificates', to ask clients for theirs",
    ),
    (
        {"cookie": {}, "anonymous": {"type": "static", "role": "user"}},
        ".cookie: remembers logins by cryptosign, scram, ticket, wampcra, and there is none of them here",
    ),
    ({"cookie": {}, **ticket(ticket="x")}, ".cookie: needs HTTP, which 'rawsocket' has nothing of"),
    (
        {"cookie": {"type": "dynamic"}, **ticket(ticket="x")},
        ".cookie.authenticator: is required with the type 'dynamic'",
    ),
    (
        {"cookie": {"authenticator": "a.b"}, **ticket(ticket="x")},
        ".cookie.authenticator: has no effect with the type 'static'",
    ),
    ({"cookie": {"type": "function"}, **ticket(ticket="x")}, ".cookie.create: is required with the type 'function'"),
    (
        {"cookie": {"type": "dynamic", "authenticator": "a b"}, **ticket(ticket="x")},
        ".cookie.authenticator: 'a b' is no URI",
    ),
]


@pytest.mark.parametrize(("auth", "message"), REFUSED, ids=lambda value: value if isinstance(value, str) else "")
def test_what_cannot_work_is_refused_with_its_place(auth: dict[str, Any], message: str) -> None:
    assert refusal(auth) == message


def test_a_function_whose_module_fails_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_logins.py").write_text("raise ValueError('no database')")
    monkeypatch.syspath_prepend(str(tmp_path))

    message = refusal({"ticket": {"type": "function", "create": "broken_logins.create"}})

    assert message.startswith(".ticket.create: the module 'broken_logins' cannot be imported: ValueError")
