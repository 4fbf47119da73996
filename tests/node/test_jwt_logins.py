"""Logins with tokens, as the configuration file says it, with keys that a real HTTP server publishes."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.authority import Authority
from tests.node import running
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from rocade.errors import ConfigurationError
from rocade.node.configuration import configuration_from
from rocade.node.logins import authenticators
from rocade.serve.authentication import jwt_keys
from rocade.serve.authentication.jwt import Jwt
from rocade.serve.gateway import Gateway
from rocade.serve.internal import InternalCalls

KEY, OTHER = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)
SECRET = "a secret of which two sides know"
FILE: dict[str, Any] = {
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "user"}, {"name": "admin"}]}],
            "transports": [{"type": "websocket", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0}}],
        }
    ],
}
AT = "workers[0].transports[0].auth.jwt"


def pem(key: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, form).decode())


def key_set(**keys: Any) -> bytes:
    described = [
        jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name} for name, key in keys.items()
    ]
    for key in described:
        key["key_ops"] = ["verify"]  # type: ignore[typeddict-unknown-key]
    return json.dumps({"keys": described}).encode()


def configured(settings: dict[str, Any], directory: Path | str = ".") -> Any:
    file = deepcopy(FILE)
    file["workers"][0]["transports"][0]["auth"] = {"jwt": {"type": "static", "default-role": "user"} | settings}
    return configuration_from(file, directory=directory, environment={})


HS = {"algorithms": ["HS256"], "secret": SECRET}
RS: dict[str, Any] = {"algorithms": ["RS256"]}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"secret": SECRET}, ".algorithms: is required"),
    ({**HS, "algorithms": []}, ".algorithms: must not be empty"),
    ({**HS, "algorithms": ["none"]}, ".algorithms[0]: 'none' is no signature: anybody could write such a token"),
    (RS, ": needs exactly one of 'secret', 'key', 'key-file', 'jwks-file', 'jwks-url'"),
    ({**HS, "key": pem(KEY)}, ": needs exactly one of 'secret', 'key', 'key-file', 'jwks-file', 'jwks-url'"),
    (
        {"algorithms": ["HS256", "RS256"], "key": pem(KEY)},
        ".algorithms: mixes algorithms with a secret (HS…) and with public keys: whoever knows a public key could sign",
    ),
    ({"algorithms": ["HS256"], "key": pem(KEY)}, ".algorithms: HS256 needs a 'secret', not 'key'"),
    (
        {"algorithms": ["HS256"], "jwks-url": "https://example.com/keys"},
        ".algorithms: HS256 needs a 'secret', not 'jwks-url'",
    ),
    ({**RS, "secret": SECRET}, ".secret: RS256 needs a public key, not a secret"),
    ({**HS, "secret": "short"}, ".secret: must have at least 32 bytes, not 5"),
    ({"algorithms": ["HS256", "HS512"], "secret": SECRET}, ".secret: needs at least 64 bytes for HS512"),
    (
        {**HS, "secret": pem(KEY)},
        ".secret: is a key in PEM or SSH form, which is not secret enough for an HMAC; did you mean 'key'?",
    ),
    ({**RS, "key": "nonsense"}, ".key: is no public key in PEM form"),
    (
        {"algorithms": ["ES256"], "key": pem(KEY)},
        ".key: is for PS256, PS384, PS512, RS256, RS384, RS512, not for ES256",
    ),
    (
        {"algorithms": ["ES256"], "key": pem(ec.generate_private_key(ec.SECP384R1()))},
        ".key: is for ES384, not for ES256",
    ),
    (
        {**RS, "jwks-url": "http://example.com/keys"},
        ".jwks-url: 'http://example.com/keys' is no URL with https (or, on this machine, http)",
    ),
    (
        {**RS, "jwks-url": "file:///etc/passwd"},
        ".jwks-url: 'file:///etc/passwd' is no URL with https (or, on this machine, http)",
    ),
    (
        {**HS, "roles": {"boss": "ghost"}, "role-claim": "groups"},
        ".roles.boss: no realm defines the role 'ghost' (defined are 'admin', 'user')",
    ),
    ({**HS, "roles": {"boss": "user"}}, ".role-claim: is required for 'roles'"),
    (
        {**HS, "default-role": "ghost"},
        ".default-role: no realm defines the role 'ghost' (defined are 'admin', 'user')",
    ),
    ({**HS, "leeway": 10_000}, ".leeway: expected a whole number from 0 to 300, got 10000"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_cannot_work_is_refused_with_its_place(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(settings)

    text = str(caught.value)
    assert text.startswith(AT), text
    assert SECRET not in text
    assert text.removeprefix(AT) == message


def test_neither_a_role_nor_where_it_is_is_refused() -> None:
    file = deepcopy(FILE)
    file["workers"][0]["transports"][0]["auth"] = {"jwt": {"type": "static", **HS}}

    with pytest.raises(ConfigurationError, match="needs 'role-claim' or 'default-role'"):
        configuration_from(file, environment={})


def test_files_that_do_not_do_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    for settings in ({"key-file": "missing"}, {"jwks-file": "missing"}, {"key-file": "empty"}, {"jwks-file": "empty"}):
        with pytest.raises(ConfigurationError, match=r"missing|no public key|no JSON Web Key Set"):
            configured({**RS, **settings}, tmp_path)


def test_secrets_are_not_shown() -> None:
    assert SECRET not in repr(configured(HS))


@pytest.mark.parametrize(
    "settings",
    [
        {"type": "dynamic", "authenticator": "com.example.authenticate", **HS},
        {"type": "function", "create": "tests.node.test_jwt_logins.create", **HS},
        {"role-claim": "/a/b", "roles": {"x": "admin"}, "realm-claim": "realm", "extra-claims": ["name"], **HS},
        {"issuer": "them", "audience": "us", "claims": {"client_id": "ours"}, "required": ["jti"], **HS},
        {"audience": ["us", "them"], "header": True, "query": "token", "leeway": 0, **HS},
        {**RS, "key": pem(KEY)},
        {**RS, "jwks-url": "https://example.com/keys", "jwks-max-age": 60},
        {**RS, "jwks-url": "http://127.0.0.1:8080/keys"},
    ],
    ids=str,
)
def test_what_is_accepted_becomes_an_authenticator(settings: dict[str, Any]) -> None:
    file = deepcopy(FILE)
    static = {"type": "static", "default-role": "user"} if "type" not in settings else {}
    file["workers"][0]["transports"][0]["auth"] = {"jwt": {**static, **settings}}

    (service,) = configuration_from(file, environment={}).worker.transports[0].services.values()

    known = authenticators(service.auth, "auth", InternalCalls(Gateway()))

    assert {method: type(authenticator) for method, authenticator in known.items()} == {"jwt": Jwt}


# --- Through a whole router -----------------------------------------------------------------------------


def token(key: Any = SECRET, algorithm: str = "HS256", id: str | None = None, **claims: Any) -> str:
    given = {"sub": "joe", "exp": int(time.time()) + 3600, "iss": "us"} | claims
    given = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(given, key, algorithm=algorithm, headers=None if id is None else {"kid": id})


class Visitor:
    """A client that speaks JSON over WebSocket."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def connected(self, path: str = "/", headers: dict[str, str] | None = None) -> ClientConnection:
        return await connect(
            f"ws://127.0.0.1:{self.port}{path}",
            subprotocols=[Subprotocol("wamp.2.json")],
            additional_headers=headers,
            proxy=None,
        )

    async def shows(self, text: str) -> list[Any]:
        async with await self.connected() as connection:
            challenge = await self.says(connection, HELLO)
            assert challenge == [4, "jwt", {}]
            return await self.says(connection, [5, text, {}])

    async def says(self, connection: ClientConnection, message: list[Any]) -> list[Any]:
        await connection.send(msgspec.json.encode(message).decode())
        answer: list[Any] = msgspec.json.decode(await connection.recv())
        return answer


HELLO = [1, "realm1", {"roles": {"caller": {}}, "authmethods": ["jwt"]}]


def visit(settings: dict[str, Any], story: Callable[[Visitor], Any], directory: Path | str = ".") -> None:
    run(configured(settings, directory), story)


def run(configuration: Any, story: Callable[[Visitor], Any]) -> None:
    running.play(configuration, lambda port: story(Visitor(port)))


def create(config: dict[str, Any], controller: None) -> Any:
    """An authenticator of type "function"."""

    def authenticate(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        return {"role": details["claims"]["role"]}

    return authenticate


def test_a_function_decides_by_the_claims() -> None:
    async def story(visitor: Visitor) -> None:
        welcome = await visitor.shows(token(role="admin"))
        assert (welcome[0], welcome[2]["authrole"], welcome[2]["authprovider"]) == (2, "admin", "function")
        for text in (token(), token(role="ghost"), token("another secret of 32 bytes or so", role="admin")):
            assert (await visitor.shows(text))[0] == 3

    visit({"type": "function", "create": "tests.node.test_jwt_logins.create", "default-role": "user", **HS}, story)


def test_a_token_may_come_with_the_request() -> None:
    async def story(visitor: Visitor) -> None:
        for path, headers in (("/", {"Authorization": f"Bearer {token()}"}), (f"/?token={token()}", None)):
            async with await visitor.connected(path, headers) as connection:
                assert (await visitor.says(connection, HELLO))[0] == 2
        for path, headers in (("/?other=1", None), ("/", {"Authorization": "Basic abc"})):
            async with await visitor.connected(path, headers) as connection:
                assert (await visitor.says(connection, HELLO))[0] == 4

    visit({**HS, "header": True, "query": "token"}, story)


@pytest.mark.parametrize(
    ("query", "headers"),
    [("", {"Authorization": f"Bearer {token()}"}), (f"?token={token()}", {})],
    ids=["header", "query"],
)
def test_the_request_that_opens_a_long_poll_connection_may_have_it(query: str, headers: dict[str, str]) -> None:
    file = deepcopy(FILE)
    auth = {"jwt": {"type": "static", "default-role": "user", **HS, "header": True, "query": "token"}}
    file["workers"][0]["transports"][0] |= {"type": "web", "paths": {"lp": {"type": "longpoll", "auth": auth}}}

    async def story(visitor: Visitor) -> None:
        base = f"http://127.0.0.1:{visitor.port}/lp"
        async with httpx.AsyncClient(trust_env=False) as client:
            opened = await client.post(f"{base}/open{query}", json={"protocols": ["wamp.2.json"]}, headers=headers)
            at = f"{base}/{opened.json()['transport']}"
            await client.post(f"{at}/send", json=HELLO)
            welcome = (await client.post(f"{at}/receive")).json()
            await client.post(f"{at}/close")
        assert (welcome[0], welcome[2]["authid"]) == (2, "joe")

    run(configuration_from(file, environment={}), story)


def test_a_session_ends_with_its_token_and_may_be_refreshed_before() -> None:
    async def story(visitor: Visitor) -> None:
        async with await visitor.connected() as connection:
            await visitor.says(connection, HELLO)
            assert (await visitor.says(connection, [5, token(exp=int(time.time()) + 2), {}]))[0] == 2
            later = int(time.time()) + 3
            refreshed = await visitor.says(
                connection, [48, 1, {}, "rocade.session.refresh", [token(exp=later, jti="2")]]
            )
            assert refreshed == [50, 1, {}, [later]]
            goodbye = msgspec.json.decode(await connection.recv())
            assert (goodbye[0], goodbye[2]) == (6, "rocade.close.login_expired")
            assert time.time() >= later

    visit({**HS, "leeway": 0}, story)


def forged(header: dict[str, Any], key: bytes | None = None, **claims: Any) -> str:
    """A token that no library would make."""

    def encoded(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).decode().rstrip("=")

    given = {"sub": "joe", "exp": int(time.time()) + 3600, "iss": "us", **claims}
    signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(given).encode())}"
    return f"{signed}.{'' if key is None else encoded(hmac.digest(key, signed.encode(), 'sha256'))}"


BAD_TOKENS: dict[str, Callable[[], str]] = {
    "expired": lambda: token(KEY, "RS256", exp=int(time.time()) - 60),
    "not yet valid": lambda: token(KEY, "RS256", nbf=int(time.time()) + 600),
    "for somebody else": lambda: token(KEY, "RS256", aud="them"),
    "of somebody else": lambda: token(KEY, "RS256", iss="them"),
    "without an end": lambda: token(KEY, "RS256", exp=None),
    "signed by nobody": lambda: forged({"alg": "none"}),
    "signed by Nobody": lambda: forged({"alg": "None"}),
    "signed with the public key as a secret": lambda: forged({"alg": "HS256"}, pem(KEY).encode()),
    "signed with another key": lambda: token(OTHER, "RS256"),
    "signed in another way": lambda: token(KEY, "RS512"),
    "with a key of its own": lambda: forged({"alg": "RS256", "jwk": {"kty": "oct", "k": "AAAA"}}, b""),
    "empty": lambda: "",
    "too long": lambda: "a" * 20_000,
}


def test_bad_tokens_are_refused_in_the_same_words() -> None:
    async def story(visitor: Visitor) -> None:
        assert (await visitor.shows(token(KEY, "RS256")))[0] == 2
        refusals = {name: await visitor.shows(make()) for name, make in BAD_TOKENS.items()}
        assert set(map(str, refusals.values())) == {
            str([3, {"message": "authentication failed"}, "wamp.error.authentication_failed"])
        }

    visit({**RS, "key": pem(KEY), "issuer": "us"}, story)


def test_keys_in_a_file_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_keys, "REFETCH_SECONDS", 0.0)
    (tmp_path / "keys.json").write_bytes(key_set(one=KEY))

    async def story(visitor: Visitor) -> None:
        assert (await visitor.shows(token(KEY, "RS256", "one")))[0] == 2
        assert (await visitor.shows(token(OTHER, "RS256", "two")))[0] == 3
        (tmp_path / "keys.json").write_bytes(key_set(two=OTHER))
        assert (await visitor.shows(token(OTHER, "RS256", "two")))[0] == 2
        assert (await visitor.shows(token(KEY, "RS256", "one")))[0] == 3
        (tmp_path / "keys.json").unlink()
        assert (await visitor.shows(token(OTHER, "RS256", "two")))[0] == 2

    visit({**RS, "jwks-file": "keys.json"}, story, tmp_path)


# --- Keys from elsewhere --------------------------------------------------------------------------------

Respond = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def published(respond: Respond, tls: Authority | None = None) -> Iterator[str]:
    """An HTTP server on this machine; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            respond(self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/keys"
        finally:
            server.shutdown()
            thread.join()


def answer(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def test_keys_are_rotated_and_stay_when_their_publisher_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_keys, "REFETCH_SECONDS", 0.0)
    now: dict[str, Any] = {"body": key_set(one=KEY), "status": 200}

    async def story(visitor: Visitor) -> None:
        assert (await visitor.shows(token(KEY, "RS256", "one")))[0] == 2
        now["body"] = key_set(one=KEY, two=OTHER)
        assert (await visitor.shows(token(OTHER, "RS256", "two")))[0] == 2
        now["status"] = 500
        assert (await visitor.shows(token(KEY, "RS256", "three")))[0] == 3
        assert (await visitor.shows(token(KEY, "RS256", "one")))[0] == 2

    with published(lambda handler: answer(handler, now["body"], now["status"])) as url:
        visit({**RS, "jwks-url": url}, story)


def test_the_router_goes_on_while_keys_are_fetched() -> None:
    """Others log in meanwhile, and whoever waits is refused in the end."""
    asked, go_on = threading.Event(), threading.Event()

    def respond(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        go_on.wait(20)
        answer(handler, key_set(one=KEY))

    async def story(visitor: Visitor) -> None:
        waiting = asyncio.ensure_future(visitor.shows(token(KEY, "RS256", "one")))
        await asyncio.to_thread(asked.wait, 20)
        async with await visitor.connected() as connection:
            assert (await visitor.says(connection, HELLO))[0] == 4
        assert not waiting.done()
        go_on.set()
        assert (await waiting)[0] == 2

    with published(respond) as url:
        visit({**RS, "jwks-url": url}, story)


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    try:
        for _ in range(1000):
            handler.wfile.write(b" ")
            time.sleep(0.02)
    except OSError:
        pass


def flood(handler: BaseHTTPRequestHandler) -> None:
    try:
        answer(handler, b" " * 10_000_000)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("respond", "why"),
    [
        (lambda handler: answer(handler, b"<html>"), "is no JSON Web Key Set"),
        (lambda handler: answer(handler, b"", 404), "status 404"),
        (lambda handler: answer(handler, b"", 302, Location="file:///etc/passwd"), "302|redirect"),
        (lambda handler: answer(handler, b"", 302, Location=handler.path), "loop|redirect|30"),
        (lambda handler: handler.connection.close(), "."),
        (flood, "more than"),
        (drip, "not complete|timed out"),
    ],
    ids=["html", "missing", "file", "loop", "cut", "flood", "drip"],
)
def test_a_publisher_that_misbehaves_lets_nobody_in(
    respond: Respond, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if respond is drip:
        monkeypatch.setattr(jwt_keys, "FETCH_SECONDS", 0.5)

    async def story(visitor: Visitor) -> None:
        assert (await visitor.shows(token(KEY, "RS256", "one")))[0] == 3

    with published(respond) as url:
        visit({**RS, "jwks-url": url}, story)

    (record,) = [record for record in caplog.records if "cannot be had" in record.getMessage()]
    assert re.search(why, record.getMessage())
