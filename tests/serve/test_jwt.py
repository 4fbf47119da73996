"""Tokens: which are good, whose they are, how long they last, and where their keys come from."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tests.serve.provers import JWT, TOKEN_SECRET, token
from tests.serve.scene import Client, ClockLoop, next_message, open_gateway, pass_time, settle

from rocade.errors import ConfigurationError
from rocade.net.link import LinkInfo
from rocade.router.permissions import Permission, Role
from rocade.serve.authentication import Authenticator, jwt_keys, tenure
from rocade.serve.authentication.asked import Asking
from rocade.serve.authentication.jwt import AskedOfClaims, ClaimsSay, Jwt, TokenRules, Verifier, claim
from rocade.serve.authentication.jwt_keys import FixedKey, KeySet, parsed_key_set, public_key, secret_key
from rocade.wamp.messages import Abort, Authenticate, Challenge, Error, Goodbye, Match, Result, Welcome

FAILED = "wamp.error.authentication_failed"
NOW = int(time.time())


def pem(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))


RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
KEYS: dict[str, Any] = dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSA)
KEYS |= {name: ec.generate_private_key(curve) for name, curve in EC.items()}
KEYS["EdDSA"] = ed25519.Ed25519PrivateKey.generate()
CLAIMS = {"sub": "joe", "exp": NOW + 3600}


def by_secret(judge: Any = None, options: dict[str, Any] | None = None, **rules: Any) -> Jwt:
    verifier = Verifier(TokenRules(algorithms=("HS256",), **rules), FixedKey(secret_key(TOKEN_SECRET)))
    return Jwt(verifier, judge or ClaimsSay(default_role="user"), **(options or {}))


def by_key(*algorithms: str, key: Any = None) -> Jwt:
    verifier = Verifier(TokenRules(algorithms=algorithms), FixedKey(public_key(pem(key or KEYS[algorithms[0]]))))
    return Jwt(verifier, ClaimsSay(default_role="user"))


def by_set(keys: KeySet, *algorithms: str) -> Jwt:
    return Jwt(Verifier(TokenRules(algorithms=algorithms or ("RS256",)), keys), ClaimsSay(default_role="user"))


def arriving(authenticator: Authenticator, info: LinkInfo | None = None, **options: Any) -> Client:
    client = Client(open_gateway(**options), authenticators={"jwt": authenticator})
    if info is not None:
        client.link.info = info
    return client


async def shown_by(client: Client, text: str, realm: str = "realm1", authid: str | None = None) -> Any:
    """What comes of a token."""
    client.hello(realm, authmethods=["jwt"], authid=authid)
    challenge = await next_message(client)
    assert type(challenge) is Challenge
    assert (challenge.method, challenge.extra) == ("jwt", {})
    client.send(Authenticate(text, {}))
    return await next_message(client)


async def outcome(authenticator: Authenticator, text: str, **options: Any) -> Any:
    return await shown_by(arriving(authenticator), text, **options)


def assert_refused(message: Any) -> None:
    assert type(message) is Abort, message
    assert (message.reason, message.details.message) == (FAILED, "authentication failed")


# --- Which tokens are good ------------------------------------------------------------------------------


async def test_a_token_says_who_its_bearer_is() -> None:
    welcome = await outcome(by_secret(), token())

    details = welcome.details
    assert (details.authid, details.authrole, details.authmethod) == ("joe", "user", "jwt")
    assert (details.authprovider, details.realm) == ("static", "realm1")


@pytest.mark.parametrize("algorithm", KEYS)
async def test_a_token_may_be_signed_with_a_key(algorithm: str) -> None:
    signed = jwt.encode(CLAIMS, KEYS[algorithm], algorithm=algorithm)

    assert type(await outcome(by_key(algorithm), signed)) is Welcome


@pytest.mark.parametrize("algorithm", KEYS)
async def test_the_signature_of_somebody_else_is_refused(algorithm: str) -> None:
    other: Any = OTHER_RSA if KEYS[algorithm] is RSA else type(KEYS[algorithm])
    if algorithm in EC:
        other = ec.generate_private_key(EC[algorithm])
    elif algorithm == "EdDSA":
        other = ed25519.Ed25519PrivateKey.generate()

    assert_refused(await outcome(by_key(algorithm), jwt.encode(CLAIMS, other, algorithm=algorithm)))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_longer_hashes_need_longer_secrets(algorithm: str) -> None:
    secret = "s" * jwt_keys.HMAC_BYTES[algorithm]
    verifier = Verifier(TokenRules(algorithms=(algorithm,)), FixedKey(secret_key(secret)))
    authenticator = Jwt(verifier, ClaimsSay(default_role="user"))

    assert type(await outcome(authenticator, jwt.encode(CLAIMS, secret, algorithm=algorithm))) is Welcome
    assert algorithm not in secret_key(secret[1:]).algorithms


def encoded(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def unsigned(algorithm: str, **header: Any) -> str:
    return f"{encoded({'alg': algorithm, 'typ': 'JWT', **header})}.{encoded(CLAIMS)}."


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", "HS256", "RS256", "XX"])
async def test_a_token_without_a_signature_is_refused(algorithm: str) -> None:
    for authenticator in (by_secret(), by_key("RS256")):
        assert_refused(await outcome(authenticator, unsigned(algorithm)))
        assert_refused(await outcome(authenticator, unsigned(algorithm) + "AAAA"))


def hmac_signed(key: bytes, algorithm: str = "HS256") -> str:
    """PyJWT itself would not sign with a public key."""
    import hmac

    signed = f"{encoded({'alg': algorithm, 'typ': 'JWT'})}.{encoded(CLAIMS)}"
    signature = hmac.digest(key, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_is_not_taken_for_a_secret(algorithm: str) -> None:
    """Whoever knows the public key could sign otherwise."""
    key = KEYS[algorithm]
    texts = [pem(key), pem(key).strip(), key.public_key().public_bytes_raw() if algorithm == "EdDSA" else b""]

    for text in filter(None, texts):
        assert_refused(await outcome(by_key(algorithm), hmac_signed(text)))
        # Even if somebody built a verifier that allows both: the key fits only one.
        verifier = Verifier(TokenRules(algorithms=(algorithm, "HS256")), FixedKey(public_key(pem(key))))
        assert_refused(await outcome(Jwt(verifier, ClaimsSay(default_role="user")), hmac_signed(text)))


async def test_an_algorithm_that_is_not_allowed_is_refused_though_the_key_fits() -> None:
    assert_refused(await outcome(by_key("RS256"), jwt.encode(CLAIMS, RSA, algorithm="RS512")))
    assert_refused(await outcome(by_key("PS256"), jwt.encode(CLAIMS, RSA, algorithm="RS256")))


BAD_CLAIMS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"exp": NOW - 100}, {}),
    ({"exp": None}, {}),
    ({"exp": "tomorrow"}, {}),
    ({"exp": str(NOW + 100)}, {}),
    ({"exp": True}, {}),
    ({"exp": 1e400}, {}),
    ({"exp": float("nan")}, {}),
    ({"nbf": NOW + 100_000}, {}),
    ({"iat": NOW + 100_000}, {}),
    ({"sub": None}, {}),
    ({"sub": ""}, {}),
    ({"sub": 7}, {}),
    ({"aud": "somebody else"}, {}),
    ({"aud": "somebody else"}, {"audience": ("us",)}),
    ({}, {"audience": ("us",)}),
    ({"aud": [1]}, {"audience": ("us",)}),
    ({}, {"issuer": "them"}),
    ({"iss": "others"}, {"issuer": "them"}),
    ({"iss": ["them"]}, {"issuer": "them"}),
    ({}, {"required": ("jti",)}),
    ({}, {"values": {"client_id": "ours"}}),
    ({"client_id": "theirs"}, {"values": {"client_id": "ours"}}),
    ({"client_id": ["theirs"]}, {"values": {"client_id": "ours"}}),
    ({"admin": 1}, {"values": {"admin": True}}),
]


@pytest.mark.parametrize(("claims", "rules"), BAD_CLAIMS, ids=str)
async def test_a_token_that_is_not_in_order_is_refused(claims: dict[str, Any], rules: dict[str, Any]) -> None:
    assert_refused(await outcome(by_secret(**rules), hs256({**CLAIMS, **claims})))


def hs256(claims: dict[str, Any]) -> str:
    """A token with any claims, in which PyJWT itself would find fault."""
    import hmac

    given = {name: value for name, value in claims.items() if value is not None}
    signed = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded(given)}"
    signature = hmac.digest(TOKEN_SECRET.encode(), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


GOOD_CLAIMS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"exp": NOW - 5}, {"leeway": 3600.0}),
    ({"exp": NOW + 100_000.5}, {}),
    ({"nbf": NOW - 5, "iat": NOW - 5}, {}),
    ({"aud": "us"}, {"audience": ("us",)}),
    ({"aud": ["them", "us"]}, {"audience": ("we", "us")}),
    ({"iss": "them"}, {"issuer": "them"}),
    ({"jti": "1"}, {"required": ("jti",)}),
    ({"client_id": "ours"}, {"values": {"client_id": "ours"}}),
    ({"scope": ["a", "wamp"]}, {"values": {"scope": "wamp"}}),
    ({"a": {"b/c": ["x"]}}, {"values": {"/a/b~1c": "x"}}),
]


@pytest.mark.parametrize(("claims", "rules"), GOOD_CLAIMS, ids=str)
async def test_a_token_that_is_in_order_is_accepted(claims: dict[str, Any], rules: dict[str, Any]) -> None:
    assert type(await outcome(by_secret(**rules), hs256({**CLAIMS, **claims}))) is Welcome


NONSENSE = ["", ".", "..", "a.b.c", "\0", "ü" * 50, "\ud7ff", "x" * 20_000, "e30.e30.", "." * 100, encoded({}) * 2]


@pytest.mark.parametrize("text", NONSENSE, ids=lambda text: ascii(text)[:20])
async def test_nonsense_is_refused(text: str) -> None:
    assert_refused(await outcome(by_secret(), text))


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"kid": 7},
        {"kid": "../../etc/passwd"},
        {"jku": "http://127.0.0.1:1/keys"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5u": "http://127.0.0.1:1/keys"},
    ],
    ids=str,
)
async def test_what_a_header_says_of_keys_is_not_believed(header: dict[str, Any]) -> None:
    forged = jwt.encode(CLAIMS, "another secret of 32 bytes or so", algorithm="HS256", headers={"typ": "JWT"})
    parts = forged.split(".")
    parts[0] = encoded({"alg": "HS256", **header})

    assert_refused(await outcome(by_secret(), ".".join(parts)))


async def test_no_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for text in (token(), token(exp=NOW - 100), token("another secret of 32 bytes or so"), "nonsense.of.some-kind"):
        await outcome(by_secret(), text)
        assert not any(part in caplog.text for part in text.split(".") if len(part) > 2)
    assert TOKEN_SECRET not in caplog.text
    assert "the token has expired" in caplog.text


# --- Whose they are -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judge", "claims", "role"),
    [
        (ClaimsSay(role="role"), {"role": "user"}, "user"),
        (ClaimsSay(role="role", default_role="user"), {}, "user"),
        (ClaimsSay(role="role"), {"role": ["user"]}, "user"),
        (ClaimsSay(role="/realm_access/roles", roles={"x": "user"}), {"realm_access": {"roles": ["y", "x"]}}, "user"),
        (ClaimsSay(role="groups", roles={"boss": "admin", "staff": "user"}), {"groups": ["staff", "boss"]}, "admin"),
        (ClaimsSay(role="groups", roles={"boss": "admin"}, default_role="user"), {"groups": ["staff"]}, "user"),
        (ClaimsSay(role="https://example.com/role"), {"https://example.com/role": "user"}, "user"),
    ],
    ids=str,
)
async def test_a_claim_may_say_the_role(judge: ClaimsSay, claims: dict[str, Any], role: str) -> None:
    client = arriving(by_secret(judge))
    realm = client.gateway.realms["realm1"]
    realm.roles["admin"] = Role("admin", [])

    assert (await shown_by(client, token(**claims))).details.authrole == role


@pytest.mark.parametrize(
    ("judge", "claims"),
    [
        (ClaimsSay(role="role"), {}),
        (ClaimsSay(role="role"), {"role": 7}),
        (ClaimsSay(role="role"), {"role": ["user", "admin"]}),
        (ClaimsSay(role="groups", roles={"boss": "user"}), {"groups": ["staff"]}),
        (ClaimsSay(authid="email", default_role="user"), {}),
        (ClaimsSay(realm="realm", default_role="user"), {}),
        (ClaimsSay(realm="realm", default_role="user"), {"realm": "realm2"}),
        (ClaimsSay(realm="realms", default_role="user"), {"realms": ["realm2", "realm3"]}),
        (ClaimsSay(realm="realms", default_role="user"), {"realms": {"realm1": 1}}),
    ],
    ids=str,
)
async def test_who_has_no_role_or_another_realm_is_refused(judge: ClaimsSay, claims: dict[str, Any]) -> None:
    assert_refused(await outcome(by_secret(judge), token(**claims)))


@pytest.mark.parametrize("claims", [{"realm": "realm1"}, {"realm": ["realm2", "realm1"]}], ids=str)
async def test_a_claim_may_say_the_realm(claims: dict[str, Any]) -> None:
    assert type(await outcome(by_secret(ClaimsSay(realm="realm", default_role="user")), token(**claims))) is Welcome


async def test_a_role_that_the_realm_does_not_have_lets_nobody_in() -> None:
    message = await outcome(by_secret(ClaimsSay(role="role")), token(role="ghost"))

    assert message.reason == "wamp.error.no_such_role"


async def test_claims_may_be_told_to_the_client() -> None:
    judge = ClaimsSay(authid="email", default_role="user", extra=("name", "missing"))

    details = (await outcome(by_secret(judge), token(email="joe@example.com", name="Joe"))).details

    assert (details.authid, details.authextra) == ("joe@example.com", {"name": "Joe"})


async def test_a_client_that_says_who_it_is_must_be_who_the_token_says() -> None:
    assert type(await outcome(by_secret(), token(), authid="joe")) is Welcome
    assert_refused(await outcome(by_secret(), token(), authid="ann"))


def test_pointers_lead_into_claims() -> None:
    claims = {"a": {"b": 1, "/": 2, "~": 3}, "/x": 4}

    names = ("/a/b", "/a/~1", "/a/~0", "/a/c", "/a/b/c", "/x", "b")
    assert [claim(claims, name) for name in names] == [1, 2, 3, None, None, None, None]


def asked(answer: Any, **options: Any) -> Jwt:
    seen: list[dict[str, Any]] = []

    async def ask(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        seen.append(details)
        assert details["claims"]["sub"] == "joe"
        return answer

    return by_secret(AskedOfClaims(Asking(ask, "dynamic", "com.example.authenticate")), **options)


async def test_an_authenticator_may_decide_by_the_claims() -> None:
    details = (await outcome(asked({"role": "user", "extra": {"shoe": 43}}), token())).details

    assert (details.authid, details.authprovider, details.authextra) == ("joe", "dynamic", {"shoe": 43})
    assert (await outcome(asked({"role": "user", "authid": "Joe"}), token())).details.authid == "Joe"
    assert_refused(await outcome(asked(None), token()))
    assert_refused(await outcome(asked(7), token()))


async def test_an_authenticator_is_not_asked_about_bad_tokens() -> None:
    assert_refused(await outcome(by_secret(AskedOfClaims(None)), token(exp=NOW - 100)))  # type: ignore[arg-type]


# --- Where a token stands -------------------------------------------------------------------------------


def request(headers: dict[str, str] | None = None, query: str = "") -> LinkInfo:
    return LinkInfo("fake", "fake:1", headers=headers or {}, query=query)


BEARER = {"authorization": f"Bearer {token()}"}


@pytest.mark.parametrize(
    ("info", "options"),
    [
        (request(BEARER), {"header": True}),
        (request({"authorization": BEARER["authorization"].replace("Bearer", "bEARER")}), {"header": True}),
        (request(query=f"a=b&token={token()}"), {"query": "token"}),
    ],
    ids=["header", "any case", "query"],
)
async def test_a_token_of_the_request_counts_where_that_is_wanted(info: LinkInfo, options: dict[str, Any]) -> None:
    client = arriving(by_secret(options=options), info)

    client.hello(authmethods=["jwt"])

    assert (await next_message(client)).details.authid == "joe"


@pytest.mark.parametrize(
    ("info", "options"),
    [
        (request(BEARER), {}),
        (request(BEARER), {"query": "token"}),
        (request(query=f"token={token()}"), {}),
        (request(query=f"token={token()}"), {"header": True}),
        (request({"authorization": "Basic abc"}), {"header": True}),
        (request(query="&" * 200), {"query": "token"}),
        (request(query=f"token={token()}&token=x"), {"query": "token"}),
    ],
)
async def test_otherwise_the_client_is_asked(info: LinkInfo, options: dict[str, Any]) -> None:
    client = arriving(by_secret(options=options), info)

    client.hello(authmethods=["jwt"])

    assert type(await next_message(client)) is Challenge


async def test_a_bad_token_of_the_request_is_not_asked_for_again() -> None:
    info = request({"authorization": f"Bearer {token(exp=NOW - 100)}"})
    client = arriving(by_secret(options={"header": True}), info)

    client.hello(authmethods=["jwt"])

    assert_refused(await next_message(client))


def test_a_query_is_not_shown() -> None:
    assert "secret" not in repr(request(query="token=secret"))


# --- How long they last ---------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of day goes on with the event loop's clock."""

    def now() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ClockLoop)
        return time.time() + loop.skipped

    monkeypatch.setattr(tenure, "wall_clock", now)


async def joined(until: int, **options: Any) -> Client:
    client = arriving(by_secret(ClaimsSay(role="role", default_role="user")), **options)
    assert type(await shown_by(client, token(exp=until))) is Welcome
    client.last_request = 0
    return client


def from_now(seconds: int) -> int:
    """A time of day that stays ahead, however long the tests before this one took."""
    return int(time.time()) + seconds


def timers() -> int:
    loop: Any = asyncio.get_running_loop()
    return sum(not handle.cancelled() for handle in loop._scheduled)


@pytest.mark.parametrize("lifetime", [100, 3 * 24 * 3600])
@pytest.mark.usefixtures("clock")
async def test_a_session_ends_when_its_token_expires(lifetime: int) -> None:
    client = await joined(from_now(lifetime))

    for _ in range(8):
        await pass_time((lifetime - 10) / 8)
    assert client.take() == []
    await pass_time(20)

    goodbye = client.take_one()
    assert type(goodbye) is Goodbye
    assert goodbye.reason == "rocade.close.login_expired"
    assert not client.gateway.realms["realm1"].sessions
    client.goodbye("wamp.close.goodbye_and_out")
    assert client.link.closed is not None


@pytest.mark.usefixtures("clock")
async def test_a_session_that_has_left_leaves_no_timer() -> None:
    before = timers()
    for how in (lambda client: client.goodbye(), lambda client: client.link.lose()):
        client = await joined(from_now(1000))
        assert timers() == before + 1
        how(client)
        client.link.lose()
        assert timers() == before


@pytest.mark.usefixtures("clock")
async def test_a_session_without_a_connection_ends_as_well() -> None:
    client = arriving(by_secret(), resume_window=10_000)
    client.hello(authmethods=["jwt"], resumable=True)
    await settle()
    client.take()
    client.send(Authenticate(token(exp=from_now(100)), {}))
    await settle()
    assert client.take_one().details.resume_token
    client.link.lose()
    assert client.gateway.realms["realm1"].sessions

    await pass_time(200)

    assert not client.gateway.realms["realm1"].sessions
    assert timers() == 0


@pytest.mark.usefixtures("clock")
async def test_another_token_moves_the_end() -> None:
    client = await joined(from_now(100))
    end = from_now(1000)

    client.call("rocade.session.refresh", token(exp=end))
    result = await next_message(client)

    assert type(result) is Result
    assert client.args(result) == [end]
    await pass_time(500)
    assert client.take() == []
    await pass_time(501)
    assert client.take_one().reason == "rocade.close.login_expired"


@pytest.mark.parametrize(
    "text",
    [
        token(sub="ann"),
        token(role="admin"),
        token(exp=NOW - 5),
        token("another secret of 32 bytes or so"),
        unsigned("none"),
        "nonsense",
    ],
    ids=["another's", "another role", "expired", "forged", "unsigned", "nonsense"],
)
@pytest.mark.usefixtures("clock")
async def test_a_token_that_is_not_as_good_leaves_the_end_where_it_was(text: str) -> None:
    client = await joined(from_now(100))

    client.call("rocade.session.refresh", text)
    error = await next_message(client)

    assert (type(error), error.error) == (Error, FAILED)
    assert client.connection.session is not None
    await pass_time(101)
    assert client.take_one().reason == "rocade.close.login_expired"


async def test_sessions_that_do_not_expire_cannot_be_refreshed() -> None:
    client = Client(open_gateway())
    client.join()

    for arguments in ([token()], [], [7], ["x" * 20_000]):
        client.call("rocade.session.refresh", *arguments)
        assert client.take_one().error == "wamp.error.invalid_argument"


@pytest.mark.parametrize(
    ("rules", "is_allowed"),
    [
        ([], True),
        ([Permission(uri="rocade.", match=Match.PREFIX)], True),
        ([Permission(uri="rocade.session.refresh")], False),
    ],
)
async def test_refreshing_needs_no_permission_and_can_be_forbidden(rules: list[Permission], is_allowed: bool) -> None:
    client = arriving(by_secret())
    client.gateway.realms["realm1"].roles["user"] = Role("user", rules)
    assert type(await shown_by(client, token())) is Welcome

    client.call("rocade.session.refresh", token(exp=NOW + 9000))

    message = await next_message(client)
    assert type(message) is (Result if is_allowed else Error)


async def refreshing() -> tuple[Client, asyncio.Event]:
    """A client that refreshes its login with a token whose key is there once the event is set."""
    fetched = asyncio.Event()

    class Slow:
        async def find(self, id: str | None, algorithm: str) -> Any:
            if id == "slow":
                await fetched.wait()
            return [secret_key(TOKEN_SECRET)]

    client = arriving(Jwt(Verifier(TokenRules(algorithms=("HS256",)), Slow()), ClaimsSay(default_role="user")))
    assert type(await shown_by(client, token())) is Welcome
    client.last_request = 0
    slow = jwt.encode({"sub": "joe", "exp": NOW + 9000}, TOKEN_SECRET, algorithm="HS256", headers={"kid": "slow"})
    client.call("rocade.session.refresh", slow)
    await settle()
    return client, fetched


async def test_one_refresh_at_a_time() -> None:
    client, fetched = await refreshing()

    client.call("rocade.session.refresh", token())
    assert (await next_message(client)).error == "wamp.error.unavailable"
    fetched.set()

    assert client.args(await next_message(client)) == [NOW + 9000]


async def test_who_leaves_while_refreshing_leaves_nothing_behind() -> None:
    client, fetched = await refreshing()

    client.link.lose()
    fetched.set()
    await settle()

    assert timers() == 0


# --- Keys -----------------------------------------------------------------------------------------------


def jwk(key: Any, id: str | None, **more: Any) -> dict[str, Any]:
    kind: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.OKPAlgorithm
    kind = jwt.algorithms.ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else kind
    described: dict[str, Any] = kind.to_jwk(key.public_key(), as_dict=True)
    described.pop("key_ops", None)
    return described | ({} if id is None else {"kid": id}) | more


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def signed(id: str | None, key: Any = RSA, algorithm: str = "RS256") -> str:
    return jwt.encode(CLAIMS, key, algorithm=algorithm, headers=None if id is None else {"kid": id})


class Published:
    """A set of keys that changes, and counts who looks."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.data: bytes | Exception = jwks(*keys)
        self.reads = 0

    def __call__(self) -> bytes:
        self.reads += 1
        if isinstance(self.data, Exception):
            raise self.data
        return self.data

    def as_set(self, max_age: float = 600) -> KeySet:
        return KeySet(self, "there", max_age)


async def test_keys_are_fetched_once_and_found_by_their_names() -> None:
    published = Published(jwk(RSA, "one"), jwk(OTHER_RSA, "two"), jwk(KEYS["ES256"], "three"), jwk(KEYS["EdDSA"], "4"))
    authenticator = by_set(published.as_set(), "RS256", "ES256", "EdDSA")

    for text in (signed("one"), signed("two", OTHER_RSA), signed("three", KEYS["ES256"], "ES256"), signed(None)):
        assert type(await outcome(authenticator, text)) is Welcome
    assert type(await outcome(authenticator, signed("4", KEYS["EdDSA"], "EdDSA"))) is Welcome
    for text in (signed("two"), signed("one", OTHER_RSA), signed("three", RSA)):
        assert_refused(await outcome(authenticator, text))

    assert published.reads == 1


async def test_many_who_come_at_once_wait_for_one_fetch() -> None:
    published = Published(jwk(RSA, "one"))
    authenticator = by_set(published.as_set())

    outcomes = await asyncio.gather(*(outcome(authenticator, signed("one")) for _ in range(20)))

    assert {type(message) for message in outcomes} == {Welcome}
    assert published.reads == 1


async def test_a_new_key_is_fetched_but_not_as_often_as_anybody_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    published = Published(jwk(RSA, "one"))
    authenticator = by_set(published.as_set())
    assert type(await outcome(authenticator, signed("one"))) is Welcome
    published.data = jwks(jwk(RSA, "one"), jwk(OTHER_RSA, "two"))

    for number in range(20):
        assert_refused(await outcome(authenticator, signed(f"no such {number}")))
    assert published.reads == 1
    monkeypatch.setattr(jwt_keys, "REFETCH_SECONDS", 0.0)

    assert type(await outcome(authenticator, signed("two", OTHER_RSA))) is Welcome
    assert published.reads == 2


async def test_a_key_that_was_taken_out_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_keys, "REFETCH_SECONDS", 0.0)
    published = Published(jwk(RSA, "one"))
    authenticator = by_set(published.as_set(max_age=0))
    assert type(await outcome(authenticator, signed("one"))) is Welcome
    published.data = jwks(jwk(OTHER_RSA, "two"))

    assert type(await outcome(authenticator, signed("one"))) is Welcome  # while the new ones are being fetched
    assert type(await outcome(authenticator, signed("two", OTHER_RSA))) is Welcome
    assert_refused(await outcome(authenticator, signed("one")))


@pytest.mark.parametrize("failure", [OSError("no route"), ValueError("status 500"), KeyError("?"), b"<html>", b"{}"])
async def test_the_last_good_keys_stay_when_fetching_fails(
    failure: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jwt_keys, "REFETCH_SECONDS", 0.0)
    published = Published(jwk(RSA, "one"))
    authenticator = by_set(published.as_set())
    assert type(await outcome(authenticator, signed("one"))) is Welcome
    published.data = failure

    assert_refused(await outcome(authenticator, signed("two", OTHER_RSA)))
    assert type(await outcome(authenticator, signed("one"))) is Welcome

    assert "the 1 keys from before stay" in caplog.text


async def test_without_keys_nobody_gets_in(caplog: pytest.LogCaptureFixture) -> None:
    published = Published()
    published.data = OSError("no route")

    assert_refused(await outcome(by_set(published.as_set()), signed("one")))

    assert "nobody gets in by a token" in caplog.text


USELESS = [
    {"kty": "oct", "k": base64.urlsafe_b64encode(TOKEN_SECRET.encode()).decode(), "kid": "one", "alg": "HS256"},
    jwk(RSA, "one", use="enc"),
    jwk(RSA, "one", key_ops=["encrypt"]),
    jwk(RSA, "one", alg="RSA-OAEP"),
    jwk(RSA, "one", alg="ES256"),
    jwk(RSA, "one", d="AQAB"),
    {**jwk(RSA, "one"), "kid": 7},
    {"kty": "RSA", "n": "AQAB"},
    {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    {"kty": "OKP", "crv": "X25519", "x": "AA"},
    {"kty": "none"},
    {},
    7,
]


@pytest.mark.parametrize("useless", USELESS, ids=str)
def test_keys_that_are_none_for_signatures_are_left_out(useless: Any) -> None:
    assert [key.id for key in parsed_key_set(jwks(useless, jwk(OTHER_RSA, "two")))] == ["two"]
    with pytest.raises(ValueError, match="no public key for signatures"):
        parsed_key_set(jwks(useless))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"keys": 7}', b"[" * 9999, b" " * 600_000, jwks(*[{}] * 101)])
def test_what_is_no_set_of_keys_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no JSON Web Key Set|bytes"):
        parsed_key_set(data)


def test_a_key_is_only_for_the_algorithm_that_it_names() -> None:
    (key,) = parsed_key_set(jwks(jwk(RSA, "one", alg="PS256")))

    assert key.algorithms == {"PS256"}


SHORT = rsa.generate_private_key(65537, 1024)
PRIVATE = RSA.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: public_key(PRIVATE), "private key"),
        (lambda: public_key(b"nonsense"), "no public key"),
        (lambda: public_key(pem(SHORT)), "1024 bits"),
        (lambda: public_key(pem(ec.generate_private_key(ec.SECP256K1()))), "secp256k1"),
        (lambda: secret_key("short"), "at least 32 bytes"),
        (lambda: secret_key(pem(RSA).decode()), "PEM"),
        (lambda: secret_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUiSsaFeDJE"), "SSH"),
    ],
)
def test_keys_that_would_not_do_are_refused(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_a_missing_pyjwt_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jwt", None)

    for use in (by_secret, lambda: parsed_key_set(jwks(jwk_described))):
        with pytest.raises(ConfigurationError, match=r"rocade\[jwt\]"):
            use()  # type: ignore[operator]


jwk_described = jwk(RSA, "one")


async def test_a_prover_has_the_right_token() -> None:
    assert type(await outcome(JWT.authenticator(), token())) is Welcome


# --- The example of the standard ------------------------------------------------------------------------


async def test_the_example_of_the_standard() -> None:
    """RFC 7515, appendix A.1; it expired in 2011."""
    secret = base64.urlsafe_b64decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
    )
    text = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    key = jwt_keys.Key(None, frozenset({"HS256"}), secret)
    long_ago = Verifier(TokenRules(algorithms=("HS256",), leeway=time.time()), FixedKey(key))

    claims = await long_ago.claims(text)

    assert claims.all == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
    now = Verifier(TokenRules(algorithms=("HS256",)), FixedKey(key))
    assert_refused(await outcome(Jwt(now, ClaimsSay(authid="iss", default_role="user")), text))


async def test_the_ed25519_example_of_the_standard() -> None:
    """RFC 8037, appendix A.4, with the key of RFC 8032; its payload has no claims, so only its signature counts."""
    described = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    (key,) = parsed_key_set(jwks(described))
    text = (
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
        ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )

    assert jwt.PyJWS().decode(text, key.material, algorithms=["EdDSA"]) == b"Example of Ed25519 signing"
