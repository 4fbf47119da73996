"""What is particular to cryptosign: keys, channel bindings, the specification's own examples."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.authority import Authority
from tests.serve.provers import CRYPTOSIGN, KEY, PUBLIC_KEY, signed_by
from tests.serve.scene import Client, open_gateway, settle

from rocade.net.link import LinkInfo
from rocade.net.tls import ServerTLS, TLSOptions
from rocade.serve.authentication import cryptosign
from rocade.serve.authentication.asked import Asked, Asking
from rocade.serve.authentication.cryptosign import Cryptosign, KnownKeys, disguised_keys, signed_message, told_keys
from rocade.serve.authentication.principals import Decoys, Principal
from rocade.wamp.messages import Abort, Authenticate, Challenge, Welcome

PUBLIC_HEX = PUBLIC_KEY.hex()
FAILED = "wamp.error.authentication_failed"

# advanced/authentication_cryptosign.md, test vectors: channel id, private key, challenge, signature
VECTORS = [
    (
        None,
        "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "b32675b221f08593213737bef8240e7c15228b07028e19595294678c90d11c0cae80a357331bfc5cc9fb71081464e6e75013517c2cf067ad566a6b7b728e5d03"
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ),
    (
        None,
        "d511fe78e23934b3dadb52fcd022974b80bd92bccc7c5cf404e46cc0a8a2f5cd",
        "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
        "d4209ad10d5aff6bfbc009d7e924795de138a63515efc7afc6b01b7fe5201372190374886a70207b042294af5bd64ce725cd8dceb344e6d11c09d1aaaf4d660f"
        "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
    ),
    (
        None,
        "6e1fde9cf9e2359a87420b65a87dc0c66136e66945196ba2475990d8a0c3a25b",
        "b05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
        "7beb282184baadd08f166f16dd683b39cab53816ed81e6955def951cb2ddad1ec184e206746fd82bda075af03711d3d5658fc84a76196b0fa8d1ebc92ef9f30b"
        "b05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
    ),
    (
        "62e935ae755f3d48f80d4d59f6121358c435722a67e859cc0caa8b539027f2ff",
        "4d57d97a68f555696620a6d849c0ce582568518d729eb753dc7c732de2804510",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "9b6f41540c9b95b4b7b281c3042fa9c54cef43c842d62ea3fd6030fcb66e70b3e80d49d44c29d1635da9348d02ec93f3ed1ef227dfb59a07b580095c2b82f80f"
        "9d16ca518aa0c2b707f2b2a609edeca73bca8dd59817a633f35574ac6fd80d00",
    ),
    (
        "62e935ae755f3d48f80d4d59f6121358c435722a67e859cc0caa8b539027f2ff",
        "d511fe78e23934b3dadb52fcd022974b80bd92bccc7c5cf404e46cc0a8a2f5cd",
        "b26c1f87c13fc1da14997f1b5a71995dff8fbe0a62fae8473c7bdbd05bfb607d",
        "305aaa3ac25e98f651427688b3fc43fe7d8a68a7ec1d7d61c61517c519bd4a427c3015599d83ca28b4c652333920223844ef0725eb5dc2febfd6af7677b73f01"
        "d0852a29b460fc92ec943242ac638a053bbacc200512b18b30d15083cbdc9282",
    ),
    (
        "62e935ae755f3d48f80d4d59f6121358c435722a67e859cc0caa8b539027f2ff",
        "6e1fde9cf9e2359a87420b65a87dc0c66136e66945196ba2475990d8a0c3a25b",
        "b05e6b8ad4d69abf74aa3be3c0ee40ae07d66e1895b9ab09285a2f1192d562d2",
        "ee3c7644fd8070532bc1fde3d70d742267da545d8c8f03e63bda63f1ad4214f4d2c4bfdb4eb9526def42deeb7e31602a6ff99eba893e0a4ad4d45892ca75e608"
        "d2b75e24a189a7f78ca776ba36fc53f6c3e31c32f251f2c524f0a44202f2902d",
    ),
]


@pytest.mark.parametrize(("channel", "private_key", "challenge", "signature"), VECTORS)
def test_the_examples_of_the_specification(
    channel: str | None, private_key: str, challenge: str, signature: str
) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private_key))
    public = key.public_key().public_bytes_raw()
    expected = signed_message(bytes.fromhex(challenge), bytes.fromhex(channel) if channel else None)

    assert cryptosign._is_signed(public, signature, expected)
    assert (key.sign(expected) + expected).hex() == signature
    assert not cryptosign._is_signed(public, "00" + signature[2:], expected)
    assert not cryptosign._is_signed(public, signature[:-2] + "00", expected) or signature.endswith("00")


# RFC 8032, section 7.1: public key, message, signature
STANDARD = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), STANDARD)
def test_the_examples_of_the_standard(key: str, message: str, signature: str) -> None:
    expected = bytes.fromhex(message)

    assert cryptosign._is_signed(bytes.fromhex(key), signature + message, expected)
    assert not cryptosign._is_signed(bytes.fromhex(key), signature + "00" + message, expected)
    assert not cryptosign._is_signed(bytes.fromhex(key), signature[:-2] + "ff" + message, expected)


def arriving(info: LinkInfo | None = None, **proofs: Principal[Any]) -> Client:
    authenticator = Cryptosign(KnownKeys(proofs)) if proofs else CRYPTOSIGN.authenticator()
    client = Client(open_gateway(), authenticators={"cryptosign": authenticator})
    if info is not None:
        client.link.info = info
    return client


def principal(name: str, *keys: bytes) -> Principal[Any]:
    return Principal(authid=name, role="user", proof=frozenset(keys))


async def hello(client: Client, authid: str | None = "joe", pubkey: Any = PUBLIC_HEX, **extra: Any) -> Any:
    client.hello(authmethods=["cryptosign"], authid=authid, authextra={"pubkey": pubkey, **extra})
    await settle()
    return client.take_one()


async def answer(client: Client, signature: str) -> Any:
    client.send(Authenticate(signature, {}))
    await settle()
    return client.take_one()


async def test_a_key_alone_says_who_it_is() -> None:
    client = arriving(joe=principal("joe", PUBLIC_KEY), ann=principal("ann", bytes(32)))

    welcome = await answer(client, signed_by(KEY, await hello(client, authid=None)))

    assert welcome.details.authid == "joe"


async def test_a_key_that_two_have_says_nothing() -> None:
    client = arriving(joe=principal("joe", PUBLIC_KEY), ann=principal("ann", PUBLIC_KEY))

    assert type(await answer(client, signed_by(KEY, await hello(client, authid=None)))) is Abort


async def test_an_unknown_key_is_challenged_and_refused() -> None:
    other = Ed25519PrivateKey.generate()
    for authid in ("joe", None):
        client = arriving(joe=principal("joe", PUBLIC_KEY))

        challenge = await hello(client, authid, other.public_key().public_bytes_raw().hex())

        assert type(challenge) is Challenge
        assert (await answer(client, signed_by(other, challenge))).reason == FAILED


async def test_a_client_may_have_several_keys() -> None:
    other = Ed25519PrivateKey.generate()
    client = arriving(joe=principal("joe", PUBLIC_KEY, other.public_key().public_bytes_raw()))

    challenge = await hello(client, "joe", other.public_key().public_bytes_raw().hex())

    assert type(await answer(client, signed_by(other, challenge))) is Welcome


@pytest.mark.parametrize("pubkey", ["", "00", "x" * 64, 7, ["00" * 32], "0" * 64 + "\n"])
async def test_what_is_no_key_is_refused(pubkey: Any) -> None:
    assert (await hello(arriving(), pubkey=pubkey)).reason == FAILED


async def test_a_signature_of_another_challenge_is_refused_though_it_says_so() -> None:
    client = arriving()
    await hello(client)

    message = await answer(client, (KEY.sign(bytes(32)) + bytes(32)).hex())

    assert message.reason == FAILED


# --- Channel binding ------------------------------------------------------------------------------------


def connected(directory: Path, version: ssl.TLSVersion) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends of a TLS connection, the server's first."""
    authority = Authority(directory)
    pair = authority.issue("server")
    server_context = ServerTLS(TLSOptions(certificate=str(pair.certificate), key=str(pair.key))).context
    client_context = authority.client_context()
    client_context.check_hostname = False
    client_context.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    waiting = [client, server]
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    assert not waiting
    return server, client


async def test_a_signature_is_bound_to_the_connection(tmp_path: Path) -> None:
    server, end = connected(tmp_path, ssl.TLSVersion.TLSv1_2)
    unique = end.get_channel_binding("tls-unique")
    assert unique is not None
    for channel, outcome in ((hashlib.sha256(unique).digest(), Welcome), (bytes(32), Abort)):
        client = arriving(LinkInfo("fake", "fake:1", secure=True, tls=server))

        challenge = await hello(client, channel_binding="tls-unique")

        assert challenge.extra["channel_binding"] == "tls-unique"
        assert type(await answer(client, signed_by(KEY, challenge, channel))) is outcome


async def test_there_is_no_binding_on_tls_1_3(tmp_path: Path) -> None:
    server, _ = connected(tmp_path, ssl.TLSVersion.TLSv1_3)
    client = arriving(LinkInfo("fake", "fake:1", secure=True, tls=server))

    abort = await hello(client, channel_binding="tls-unique")

    assert abort.reason == FAILED
    assert "TLS 1.2 only, and this is a connection with TLSv1.3" in abort.details.message


@pytest.mark.parametrize(
    ("binding", "text"),
    [("tls-unique", "without TLS"), ("tls-exporter", "no channel binding"), (1, "no channel binding")],
)
async def test_a_binding_that_cannot_be_had_is_refused(binding: Any, text: str) -> None:
    abort = await hello(arriving(), channel_binding=binding)

    assert abort.reason == FAILED
    assert text in abort.details.message


async def test_no_binding_is_a_binding_to_nothing() -> None:
    assert (await hello(arriving(), channel_binding=None)).extra["channel_binding"] is None


# --- Dynamic --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [{"pubkey": PUBLIC_KEY.hex()}, {"authorized_keys": [PUBLIC_KEY.hex()]}])
async def test_an_authenticator_may_tell_the_key(said: dict[str, Any]) -> None:
    async def ask(realm: str, authid: str | None, details: dict[str, Any]) -> Any:
        assert details["authextra"]["pubkey"] == PUBLIC_KEY.hex()
        return {"role": "user", **said}

    asked = Asked(Asking(ask, "dynamic", "a.b"), "cryptosign", told_keys, Decoys(disguised_keys), frozenset[bytes]())
    client = Client(open_gateway(), authenticators={"cryptosign": Cryptosign(asked)})
    client.hello(authmethods=["cryptosign"], authextra={"pubkey": PUBLIC_KEY.hex()})
    while not (messages := client.take()):
        await settle()

    welcome = await answer(client, signed_by(KEY, messages[0]))

    assert welcome.details.authid == PUBLIC_KEY.hex()


@pytest.mark.parametrize("said", [{}, {"pubkey": "x"}, {"authorized_keys": []}, {"authorized_keys": "x"}])
def test_an_answer_without_keys_is_none(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pubkey"):
        told_keys(said)
