"""Logging in by every method that a client library has."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rocade.serve.authentication.scram import scram_proof

from .clients import AUTOBAHN_JS, AUTOBAHN_PYTHON, CLIENTS, ROCADE, WAMPY, Client
from .conftest import Join
from .driver import Refused
from .router import Router, configuration

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = KEY.public_key().public_bytes_raw().hex()
TOKEN_SECRET = "a secret of which two sides know"


def token(until: float, **claims: Any) -> str:
    given = {"sub": "jwt", "exp": int(until), "aud": "interop", **claims}
    return jwt.encode(given, TOKEN_SECRET, algorithm="HS256")


SECRETS = {
    "ticket": "secret!!!",
    "wampcra": "secret2",
    "salted": "password",
    "cryptosign": KEY.private_bytes_raw().hex(),
    "scram": "pencil",
    "jwt": token(time.time() + 86400),
}
"""authid -> its secret; all but one are called like their method."""


def auth() -> dict[str, Any]:
    """Logins of the configuration file."""
    proof = scram_proof("pencil", "argon2id-13", bytes(range(16)), 2, 64)
    keys = {"stored-key": proof.stored_key.hex(), "server-key": proof.server_key.hex(), "salt": proof.salt.hex()}
    principals: dict[str, Any] = {
        "ticket": {"ticket": {"ticket": SECRETS["ticket"]}},
        "cryptosign": {"cryptosign": {"authorized_keys": [PUBLIC_KEY]}},
        "scram": {"scram": {"kdf": proof.kdf, "iterations": 2, "memory": 64, **keys}},
    }
    users = {
        "wampcra": {"secret": SECRETS["wampcra"]},
        "salted": {"secret": SECRETS["salted"], "salt": "salt123", "iterations": 100, "keylen": 32},
    }
    static = {"type": "static", "default-role": "anonymous"}
    return {method: static | {"principals": known} for method, known in principals.items()} | {
        "wampcra": static | {"users": users},
        "jwt": static | {"algorithms": ["HS256"], "secret": TOKEN_SECRET, "audience": "interop", "leeway": 0},
    }


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router that lets nobody in without a login."""
    folder = tmp_path_factory.mktemp("guarded")
    file = configuration()
    # So many wrong secrets from one address would have consequences.
    file["workers"][0]["limits"] = {"failed_logins": {"delay": 0, "lock_out_after": 0, "lock_out_address_after": 0}}
    transport = file["workers"][0]["transports"][0]
    with_cookie = {"type": "static", "principals": {"joe": {"ticket": SECRETS["ticket"], "role": "anonymous"}}}
    transport["websocket"]["remembered"] = {"type": "websocket", "auth": {"cookie": {}, "ticket": with_cookie}}
    for service in (transport["rawsocket"], transport["websocket"]["ws"], transport["web"]["paths"]["lp"]):
        service["auth"] = auth()
    (folder / "config.json").write_text(json.dumps(file), encoding="utf-8")
    router = Router(folder / "router.log", "--config", str(folder / "config.json"))
    yield router
    assert router.stop() == 0
    log = router.log.read_text()
    assert "Traceback" not in log
    for secret in SECRETS.values():
        assert secret not in log


METHODS = {
    AUTOBAHN_PYTHON: ("ticket", "wampcra", "salted", "cryptosign", "scram", "jwt"),
    ROCADE: ("ticket", "wampcra", "salted", "cryptosign", "scram", "jwt"),
    AUTOBAHN_JS: ("ticket", "wampcra", "salted", "cryptosign", "jwt"),
    WAMPY: ("ticket", "wampcra", "salted", "cryptosign", "jwt"),
}
LOGINS = [
    (client, authid)
    for client in CLIENTS
    if not client.serializer.endswith(".batched")  # the same login, under a runner that has it from elsewhere
    for authid in METHODS[client.library]
]
logins = pytest.mark.parametrize(("client", "authid"), LOGINS, ids=str)


def login(authid: str, secret: str) -> dict[str, str]:
    how = {"method": "wampcra" if authid == "salted" else authid, "authid": authid, "secret": secret}
    return how | ({"pubkey": PUBLIC_KEY} if authid == "cryptosign" else {})


@logins
def test_a_client_logs_in(client: Client, authid: str, join: Join, guarded: Router) -> None:
    how = login(authid, SECRETS[authid])

    session = join(client, at=guarded, login=how)

    assert (session.authid, session.authrole) == (authid, "anonymous")
    assert session.details["authmethod"].removeprefix("wamp-") == how["method"]


@logins
def test_a_wrong_secret_is_refused(client: Client, authid: str, join: Join, guarded: Router) -> None:
    wrong = "ff" * 32 if authid == "cryptosign" else "wrong"

    with pytest.raises(Refused) as refused:
        join(client, at=guarded, login=login(authid, wrong))

    assert refused.value.uri == "wamp.error.authentication_failed"


one_of_each = pytest.mark.parametrize(
    "client", list({client.library: client for client, _ in LOGINS}.values()), ids=str
)


@one_of_each
def test_an_expired_token_is_refused(client: Client, join: Join, guarded: Router) -> None:
    with pytest.raises(Refused) as refused:
        join(client, at=guarded, login=login("jwt", token(time.time() - 60)))

    assert refused.value.uri == "wamp.error.authentication_failed"


@one_of_each
def test_a_session_is_refreshed_with_another_token(client: Client, join: Join, guarded: Router) -> None:
    session = join(client, at=guarded, login=login("jwt", SECRETS["jwt"]))
    until = int(time.time()) + 2 * 86400

    assert session.call("rocade.session.refresh", [token(until)]).args == [until]


@one_of_each
def test_a_session_ends_with_its_token(client: Client, join: Join, guarded: Router) -> None:
    session = join(client, at=guarded, login=login("jwt", token(time.time() + 2)))

    ended = session.ended()
    if client.library != WAMPY:
        assert ended["reason"] == "rocade.close.login_expired"


def test_nobody_gets_in_without_a_login(client: Client, join: Join, guarded: Router) -> None:
    with pytest.raises(Refused) as refused:
        join(client, at=guarded)

    assert refused.value.uri == "wamp.error.no_matching_auth_method"


def test_autobahn_python_comes_back_with_a_cookie(guarded: Router) -> None:
    program = Path(__file__).parent / "programs" / "cookie_login.py"

    done = subprocess.run(
        [sys.executable, program, f"ws://127.0.0.1:{guarded.port}/remembered"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        ["challenged", "ticket"],
        ["joe", "anonymous", "ticket"],
        ["joe", "anonymous", "cookie"],
        ["joe", "anonymous", "cookie"],
        ["challenged", "ticket"],
        ["joe", "anonymous", "ticket"],
    ]
