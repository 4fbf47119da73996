"""Every authentication method, against the router's own."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.authority import Authority
from tests.client.scene import Scene
from tests.client.test_reconnecting import Diary
from tests.serve.provers import CRYPTOSIGN, KEY, WAMPCRA, known, token

from rocade import (
    ClientCertificate,
    ConnectionFailed,
    Credentials,
    Cryptosign,
    HandshakeRefused,
    Jwt,
    Scram,
    Ticket,
    WampCra,
    connect,
)
from rocade.net.listener import Listener
from rocade.net.sockets import bind_tcp
from rocade.net.tls import ServerTLS, TLSOptions
from rocade.net.websocket import WebSocketEndpoint, WebSocketOptions
from rocade.serve.authentication import Attempt, Authenticator, Identity, Question
from rocade.serve.authentication.principals import Principal
from rocade.serve.authentication.scram import Kdf, disguised_scram, scram_proof
from rocade.serve.authentication.scram import Scram as RouterScram
from rocade.serve.authentication.tls import CertificateProof, TlsCertificate
from rocade.wamp.messages import Authenticate


async def _ticket() -> str:
    return "magic"


SEED = KEY.private_bytes_raw()
RIGHT = {
    "ticket": Ticket("joe", "magic"),
    "ticket of a function": Ticket("joe", lambda: "magic"),
    "ticket of a coroutine function": Ticket("joe", _ticket),
    "salted wampcra": WampCra("joe", "password"),
    "scram": Scram("joe", "pencil"),
    "cryptosign": Cryptosign(SEED, "joe"),
    "token": Jwt(token, "joe"),
}
WRONG = [
    Ticket("joe", "Magic"),
    Ticket("nobody", "magic"),
    WampCra("joe", "Password"),
    Scram("joe", "Pencil"),
    Cryptosign(bytes(32), "joe"),
    Jwt(token(sub="ann"), "joe"),
    Jwt(token("another secret of 32 bytes or so")),
]


@pytest.mark.parametrize("name", RIGHT)
async def test_a_client_proves_who_it_is(scene: Scene, way: str, name: str) -> None:
    credentials = RIGHT[name]

    session = await scene.connect(way, credentials=credentials)

    assert (session.authid, session.authrole) == ("joe", "user")
    assert session.authmethod in credentials.methods


@pytest.mark.parametrize("credentials", WRONG, ids=repr)
async def test_wrong_credentials_are_refused_at_once(scene: Scene, credentials: Credentials) -> None:
    attempts = []

    with pytest.raises(HandshakeRefused) as caught:
        await scene.connect(credentials=credentials, on_connect=attempts.append)

    assert caught.value.uri == "wamp.error.authentication_failed"
    assert len(attempts) == 1


async def test_an_unknown_realm_is_refused_at_once(scene: Scene, way: str) -> None:
    attempts = []

    with pytest.raises(HandshakeRefused, match="no realm 'nowhere'") as caught:
        await scene.connect(way, realm="nowhere", on_connect=attempts.append)

    assert caught.value.uri == "wamp.error.no_such_realm"
    assert len(attempts) == 1


async def test_credentials_for_what_the_router_does_not_offer_are_passed_over(scene: Scene) -> None:
    async with entered(scene, {"wampcra": WAMPCRA.authenticator()}):
        session = await scene.connect("memory-json", credentials=[Jwt("a.b.c", "joe"), WampCra("joe", "secret")])

    assert session.authmethod == "wampcra"


async def test_two_names_at_once_make_no_sense() -> None:
    with pytest.raises(ValueError, match="one authid, not ann and joe"):
        connect(credentials=[Ticket("joe", "magic"), WampCra("ann", "secret")])


@asynccontextmanager
async def entered(scene: Scene, authenticators: Mapping[str, Authenticator]) -> AsyncIterator[Scene]:
    """The scene, with an entrance of its own."""
    scene.entrance = scene.gateway.entrance(authenticators)
    yield scene


async def test_a_secret_without_salt(scene: Scene) -> None:
    async with entered(scene, {"wampcra": WAMPCRA.authenticator()}):
        session = await scene.connect("memory-json", credentials=WampCra("joe", "secret"))

    assert session.authid == "joe"


@pytest.mark.parametrize("method", ["scram", "wamp-scram"])
@pytest.mark.parametrize("kdf", ["pbkdf2", "argon2id-13", "argon2id13"])
async def test_scram_with_each_key_derivation(scene: Scene, method: str, kdf: Kdf) -> None:
    proof = scram_proof("pencil", kdf, bytes(range(16)), 2, None if kdf == "pbkdf2" else 64)

    async with entered(scene, {method: RouterScram(known(proof, disguised_scram), method)}):
        session = await scene.connect("memory-cbor", credentials=Scram("joe", "pencil"))

    assert (session.authid, session.authmethod) == ("joe", method)


class Impostor:
    """A router that does not know the password, and lets in whoever tells it something about it."""

    def begin(self, attempt: Attempt) -> Question:
        """A challenge like a real one."""
        nonce = (attempt.hello.details.authextra or {})["nonce"] + "AAAA"
        challenge = {"nonce": nonce, "salt": "c2FsdHNhbHQ=", "kdf": "pbkdf2", "iterations": 1}

        def answer(_message: Authenticate) -> Identity:
            return Identity(authid="joe", authrole="user", authmethod="scram", authextra={"verifier": "AAAA"})

        return Question("scram", challenge, answer)


async def test_a_router_that_does_not_know_the_password_is_refused(scene: Scene) -> None:
    async with entered(scene, {"scram": Impostor()}):
        with pytest.raises(HandshakeRefused, match="the router does not know the password"):
            await scene.connect("memory-json", credentials=Scram("joe", "pencil"))


async def test_a_client_whose_token_expires_comes_again_with_a_fresh_one(scene: Scene, way: str) -> None:
    diary, tokens = Diary(), []

    def fresh() -> str:
        tokens.append(token(exp=int(time.time()) + (86_400 if tokens else 2)))
        return tokens[-1]

    session = await scene.connect(way, credentials=Jwt(fresh), **diary.hooks())
    await diary.wait_for("join", 2)

    assert len(tokens) == 2
    assert (session.authid, session.authmethod) == ("joe", "jwt")


async def test_a_failing_source_of_tickets_fails_the_connection(scene: Scene) -> None:
    def give() -> str:
        raise RuntimeError("the vault is closed")

    with pytest.raises(RuntimeError, match="the vault is closed"):
        await scene.connect(credentials=Ticket("joe", give))


def test_secrets_are_not_shown() -> None:
    for credentials in RIGHT.values():
        text = repr(credentials)

        assert "joe" in text
        assert not any(secret in text for secret in ("magic", "secret", "pencil", SEED.hex()))


def test_a_key_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(SEED.hex() + "\n")

    assert Cryptosign(file).begin().extra == {"pubkey": KEY.public_key().public_bytes_raw().hex()}


@pytest.mark.parametrize("key", ["", "00", b"short", "zz" * 32])
def test_what_is_no_key_is_refused(key: str | bytes) -> None:
    with pytest.raises(ValueError, match="a private key is 32 bytes"):
        Cryptosign(key)


class TlsScene:
    """A listener with TLS beside the scene's own."""

    def __init__(self, scene: Scene, directory: Path) -> None:
        self.authority = Authority(directory)
        pair = self.authority.issue("server")
        self.client = self.authority.issue("client")
        tls = ServerTLS(
            TLSOptions(
                certificate=str(pair.certificate),
                key=str(pair.key),
                ca_certificates=(str(self.authority.certificate),),
                client_certificates="optional",
            )
        )
        proof = CertificateProof(subject={"commonName": "client"})
        principal = Principal(authid="joe", role="user", proof=proof)
        anonymous = scene.gateway.entrance(
            {"tls": TlsCertificate([principal]), "cryptosign": CRYPTOSIGN.authenticator(), "anonymous": scene.anonymous}
        )
        endpoint = WebSocketEndpoint(WebSocketOptions(), anonymous)
        self._listener = Listener(
            None, websockets={"/ws": endpoint}, rawsocket=scene.rawsocket(anonymous), tls=tls.context
        )
        self.port = 0

    async def __aenter__(self) -> TlsScene:
        tcp = bind_tcp("127.0.0.1", 0)
        self.port = tcp.getsockname()[1]
        await self._listener.start(tcp)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._listener.stop()


@pytest.mark.parametrize("scheme", ["wss", "rss"])
async def test_a_client_certificate_says_who_the_client_is(scene: Scene, tmp_path: Path, scheme: str) -> None:
    async with TlsScene(scene, tmp_path) as tls:
        files = str(tls.client.certificate), str(tls.client.key)
        async with connect(
            f"{scheme}://localhost:{tls.port}{'/ws' if scheme == 'wss' else ''}",
            tls=str(tls.authority.certificate),
            credentials=ClientCertificate(*files),
        ) as session:
            assert (session.authid, session.authmethod) == ("joe", "tls")


async def test_a_signature_is_bound_to_its_connection(scene: Scene, tmp_path: Path) -> None:
    async with TlsScene(scene, tmp_path) as tls:
        context = tls.authority.client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        credentials = Cryptosign(SEED, "joe", channel_binding="tls-unique")
        async with connect(f"wss://localhost:{tls.port}/ws", tls=context, credentials=credentials) as session:
            assert session.authmethod == "cryptosign"


async def test_a_server_that_nobody_vouches_for_is_refused(scene: Scene, tmp_path: Path) -> None:
    async with TlsScene(scene, tmp_path) as tls:
        with pytest.raises(ConnectionFailed, match="certificate is not accepted"):
            await connect(f"wss://localhost:{tls.port}/ws", timeout=30)


def test_credentials_of_ones_own_that_prove_nothing_are_noticed_when_they_are_made() -> None:
    class Handshaken(Credentials):
        methods = ("handshaken",)

    with pytest.raises(TypeError, match="begin"):
        Handshaken()  # type: ignore[abstract]
