"""What is particular to SCRAM: its two dialects, its ways to make keys, and the proof that the router gives."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
from pathlib import Path
from typing import Any

import pytest
from tests.serve.provers import CLIENT_NONCE, SCRAM, WAMP_SCRAM, Prover, client_proof, known
from tests.serve.scene import Client, open_gateway, settle
from tests.serve.test_cryptosign import connected

from rocade.errors import ConfigurationError
from rocade.net.link import LinkInfo
from rocade.serve.authentication import hashes
from rocade.serve.authentication.asked import Asked, Asking
from rocade.serve.authentication.principals import Decoys
from rocade.serve.authentication.scram import (
    Scram,
    ScramProof,
    auth_messages,
    disguised_scram,
    is_proof,
    saslprep,
    scram_proof,
    told_scram,
)
from rocade.wamp.messages import Abort, Authenticate, Challenge, Welcome

FAILED = "wamp.error.authentication_failed"


async def hello(client: Client, method: str = "scram", authid: str = "joe", **extra: Any) -> Any:
    client.hello(authmethods=[method], authid=authid, authextra={"nonce": CLIENT_NONCE, **extra})
    await settle()
    return client.take_one()


async def answer(client: Client, signature: str, extra: dict[str, Any] | None = None) -> Any:
    client.send(Authenticate(signature, extra or {}))
    await settle()
    return client.take_one()


def arriving(prover: Prover = SCRAM) -> Client:
    return Client(open_gateway(), authenticators={prover.method: prover.authenticator()})


def test_the_example_of_the_standard() -> None:
    # RFC 7677, section 3
    nonce = "rOprNGfwEbeRWgbNEkqO"
    challenge = {
        "nonce": nonce + "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        "salt": "W22ZaJ0SNY7soEsUEjb6gQ==",
        "iterations": 4096,
    }
    proof = scram_proof("pencil", "pbkdf2", base64.b64decode(challenge["salt"]), 4096, None)  # type: ignore[arg-type]
    signed, _ = auth_messages("user", nonce, challenge)

    assert is_proof(proof.stored_key, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", signed)
    assert not is_proof(proof.stored_key, "eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", signed)
    verifier = base64.b64encode(hmac.digest(proof.server_key, signed, "sha256")).decode()
    assert verifier == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("prover", [SCRAM, WAMP_SCRAM], ids=str)
async def test_the_router_proves_that_it_knows_the_password_too(prover: Prover) -> None:
    client = arriving(prover)
    challenge = await hello(client, prover.method)
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", bytes(range(16)), 100)

    welcome = await answer(client, *prover.answer(challenge, True))

    signed, _ = auth_messages("joe", CLIENT_NONCE, challenge.extra)
    expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
    extra = welcome.details.authextra
    assert base64.b64decode(extra["verifier"]) == base64.b64decode(extra["scram_server_signature"]) == expected


async def test_a_challenge_has_the_nonce_of_both() -> None:
    nonces = [(await hello(arriving())).extra["nonce"] for _ in range(2)]

    assert all(nonce.startswith(CLIENT_NONCE) and len(nonce) >= len(CLIENT_NONCE) + 22 for nonce in nonces)
    assert nonces[0] != nonces[1]


async def test_autobahns_dialect_is_understood() -> None:
    client = arriving()
    extra = (await hello(client)).extra
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", bytes(range(16)), 100)
    message = f"n=joe,r={CLIENT_NONCE},r={extra['nonce']},s={extra['salt']},i=100,c=,r={extra['nonce']}"

    assert type(await answer(client, client_proof(salted, message))) is Welcome


@pytest.mark.parametrize(
    "extra", [{"nonce": CLIENT_NONCE}, {"nonce": None}, {"channel_binding": "tls-unique"}], ids=str
)
async def test_what_the_client_repeats_must_be_what_was_said(extra: dict[str, Any]) -> None:
    client = arriving()
    challenge = await hello(client)
    signature, right = SCRAM.answer(challenge, True)

    assert type(await answer(client, signature, {**right, **extra})) is Abort


@pytest.mark.parametrize("nonce", ["", "no base64", 7, "A" * 260, ["AAAA"]])
async def test_what_is_no_nonce_is_refused(nonce: Any) -> None:
    assert (await hello(arriving(), nonce=nonce)).reason == FAILED


async def test_without_a_nonce_another_method_is_looked_for() -> None:
    assert (await hello(arriving(), nonce=None)).reason == "wamp.error.no_matching_auth_method"


# --- Channel binding ------------------------------------------------------------------------------------


def bound(extra: dict[str, Any], unique: bytes | None) -> str:
    """The proof of a client that sees this of its connection."""
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", base64.b64decode(extra["salt"]), extra["iterations"])
    header = base64.b64encode(b"n,," if unique is None else b"p=tls-unique,," + unique).decode()
    server_first = f"r={extra['nonce']},s={extra['salt']},i={extra['iterations']}"
    return client_proof(salted, f"n=joe,r={CLIENT_NONCE},{server_first},c={header},r={extra['nonce']}")


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLObject, bytes]:
    """The server's end of a connection, and what the client knows of it."""
    server, client = connected(tmp_path_factory.mktemp("authority"), ssl.TLSVersion.TLSv1_2)
    unique = client.get_channel_binding("tls-unique")
    assert unique is not None
    return server, unique


async def bound_login(
    ends: tuple[ssl.SSLObject, bytes], signed: bytes | None, sent: bytes | None, binding: str | None = "tls-unique"
) -> Any:
    client = arriving(WAMP_SCRAM)
    client.link.info = LinkInfo("fake", "fake:1", secure=True, tls=ends[0])
    challenge = await hello(client, "wamp-scram", channel_binding="tls-unique")
    extra = {"nonce": challenge.extra["nonce"], "channel_binding": binding}
    data = None if sent is None else base64.b64encode(sent).decode()
    return await answer(client, bound(challenge.extra, signed), {**extra, "cbind_data": data})


async def test_a_proof_is_bound_to_the_connection(ends: tuple[ssl.SSLObject, bytes]) -> None:
    assert type(await bound_login(ends, ends[1], ends[1])) is Welcome


@pytest.mark.parametrize("case", ["another connection", "unbound proof", "no data", "other data", "withdrawn"])
async def test_a_proof_of_another_connection_is_refused(ends: tuple[ssl.SSLObject, bytes], case: str) -> None:
    unique, other = ends[1], bytes(len(ends[1]))
    signed, sent, binding = {
        "another connection": (other, other, "tls-unique"),
        "unbound proof": (None, unique, "tls-unique"),
        "no data": (unique, None, "tls-unique"),
        "other data": (unique, other, "tls-unique"),
        "withdrawn": (None, None, None),
    }[case]

    assert (await bound_login(ends, signed, sent, binding)).reason == FAILED


async def test_data_without_a_binding_is_refused(ends: tuple[ssl.SSLObject, bytes]) -> None:
    client = arriving(WAMP_SCRAM)
    challenge = await hello(client, "wamp-scram")

    message = await answer(client, bound(challenge.extra, None), {"cbind_data": base64.b64encode(ends[1]).decode()})

    assert type(message) is Abort


@pytest.mark.parametrize(
    ("version", "binding", "text"),
    [
        (ssl.TLSVersion.TLSv1_3, "tls-unique", "TLS 1.2 only, and this is a connection with TLSv1.3"),
        (None, "tls-unique", "without TLS"),
        (ssl.TLSVersion.TLSv1_2, "tls-exporter", "there is 'tls-unique'"),
        (ssl.TLSVersion.TLSv1_2, "tls-server-end-point", "there is 'tls-unique'"),
        (ssl.TLSVersion.TLSv1_2, 7, "there is 'tls-unique'"),
    ],
)
async def test_a_binding_that_cannot_be_had_is_refused_clearly(
    version: ssl.TLSVersion | None, binding: Any, text: str, tmp_path: Path
) -> None:
    client = arriving(WAMP_SCRAM)
    if version is not None:
        client.link.info = LinkInfo("fake", "fake:1", secure=True, tls=connected(tmp_path, version)[0])

    abort = await hello(client, "wamp-scram", channel_binding=binding)

    assert abort.reason == FAILED
    assert text in abort.details.message


async def test_there_is_no_binding_to_a_session_that_was_resumed() -> None:
    class Resumed:
        session_reused = True

        def version(self) -> str:
            return "TLSv1.2"

    client = arriving(WAMP_SCRAM)
    client.link.info = LinkInfo("fake", "fake:1", secure=True, tls=Resumed())

    abort = await hello(client, "wamp-scram", channel_binding="tls-unique")

    assert "was resumed" in abort.details.message


# --- Keys -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kdf", ["argon2id-13", "argon2id13"])
async def test_argon2_is_there_in_both_forms(kdf: Any) -> None:
    from argon2.low_level import Type, hash_secret_raw

    salt = bytes(range(16))
    proof = scram_proof("pencil", kdf, salt, 2, 64)
    client = Client(open_gateway(), authenticators={"scram": Scram(known(proof, disguised_scram), "scram")})
    extra = (await hello(client)).extra
    salted = hash_secret_raw(b"pencil", salt, 2, 64, 1, 32, Type.ID)
    if kdf == "argon2id-13":
        salted = base64.b64encode(salted).rstrip(b"=")

    message = f"n=joe,r={CLIENT_NONCE},r={extra['nonce']},s={extra['salt']},i=2,c=biws,r={extra['nonce']}"

    assert (extra["kdf"], extra["memory"]) == (kdf, 64)
    assert type(await answer(client, client_proof(salted, message))) is Welcome


def test_a_missing_argon2_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "argon2", None)
    monkeypatch.setitem(__import__("sys").modules, "argon2.low_level", None)

    for use in (
        lambda: scram_proof("pencil", "argon2id-13", bytes(16), 2, 64),
        lambda: hashes.hash_ticket("magic", argon2=True),
        lambda: hashes.is_hash("$argon2id$v=19$m=65536,t=3,p=4$AAAA$AAAA"),
    ):
        with pytest.raises(ConfigurationError, match=r"rocade\[argon2\]"):
            use()  # type: ignore[no-untyped-call]


async def test_names_with_commas_do_not_become_other_fields() -> None:
    specified, _ = auth_messages("joe,r=evil", "AAAA", {"nonce": "AAAABBBB", "salt": "CCCC", "iterations": 1})

    assert specified.startswith(b"n=joe=2Cr=3Devil,r=AAAA,")


@pytest.mark.parametrize(
    ("text", "prepared"), [("I\u00adX", "IX"), ("user", "user"), ("\u00aa", "a"), ("\u2168", "IX"), ("a\u00a0b", "a b")]
)
def test_names_are_prepared(text: str, prepared: str) -> None:
    # RFC 4013, section 3
    assert saslprep(text) == prepared


TOLD = {
    "role": "user",
    "kdf": "pbkdf2",
    "salt": "00" * 16,
    "iterations": 100,
    "stored-key": "11" * 32,
    "server-key": "22" * 32,
}


def test_an_authenticator_may_tell_the_keys() -> None:
    assert told_scram(TOLD) == ScramProof("pbkdf2", bytes(16), 100, None, b"\x11" * 32, b"\x22" * 32)


@pytest.mark.parametrize(
    "change",
    [
        {"kdf": "md5"},
        {"kdf": "argon2id-13"},
        {"salt": "00"},
        {"salt": "xx" * 8},
        {"iterations": 0},
        {"stored-key": ""},
        {"server-key": None},
    ],
    ids=str,
)
def test_an_answer_without_keys_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"wrong|without"):
        told_scram({**TOLD, **change})


async def test_a_dynamic_login() -> None:
    proof = scram_proof("pencil", "pbkdf2", bytes(range(16)), 100, None)

    async def ask(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        keys = {"stored-key": proof.stored_key.hex(), "server-key": proof.server_key.hex()}
        return {**TOLD, **keys, "salt": proof.salt.hex()}

    asked = Asked(Asking(ask, "dynamic", "a.b"), "scram", told_scram, Decoys(disguised_scram), proof)
    client = Client(open_gateway(), authenticators={"scram": Scram(asked, "scram")})
    client.hello(authmethods=["scram"], authid="joe", authextra={"nonce": CLIENT_NONCE})
    while not (messages := client.take()):
        await settle()
    assert type(messages[0]) is Challenge

    assert type(await answer(client, *SCRAM.answer(messages[0], True))) is Welcome
