"""Logins that have to do with TLS, through a whole router worker: certificates, and channel bindings."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.authority import Authority
from tests.serve.provers import client_proof
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from rocade.node.configuration import configuration_from
from rocade.node.worker import Worker
from rocade.serve.authentication.scram import scram_proof
from rocade.wamp.framing import encode_handshake, frame_message

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SCRAM = scram_proof("pencil", "pbkdf2", bytes(range(16)), 4096, None)
PUBLIC_KEY = KEY.public_key().public_bytes_raw().hex()

Loop = Callable[[], asyncio.AbstractEventLoop]


def loops() -> list[Loop]:
    import uvloop

    return [asyncio.new_event_loop, uvloop.new_event_loop]


each_loop = pytest.mark.parametrize("loop", loops(), ids=["asyncio", "uvloop"])


class Door:
    """A router that clients with certificates log in to."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.joe = self.authority.issue("joe")
        pair = self.authority.issue("server")
        der = ssl.PEM_cert_to_DER_cert(self.joe.certificate.read_text())
        self.fingerprint = hashlib.sha256(der).hexdigest()
        principals = {
            "joe": {"role": "user", "certificate-sha256": self.fingerprint},
            "ann": {"role": "user", "subject": {"commonName": "ann"}},
        }
        endpoint = {
            "type": "tcp",
            "interface": "127.0.0.1",
            "port": 0,
            "tls": {
                "certificate": str(pair.certificate),
                "key": str(pair.key),
                "ca_certificates": [str(self.authority.certificate)],
                "client_certificates": "optional",
            },
        }
        auth = {
            "tls": {"type": "static", "principals": principals},
            "cryptosign": {
                "type": "static",
                "principals": {"key": {"role": "user", "authorized_keys": [PUBLIC_KEY]}},
            },
            "scram": {
                "type": "static",
                "principals": {
                    "user": {
                        "role": "user",
                        "kdf": "pbkdf2",
                        "iterations": 4096,
                        "salt": SCRAM.salt.hex(),
                        "stored-key": SCRAM.stored_key.hex(),
                        "server-key": SCRAM.server_key.hex(),
                    }
                },
            },
        }
        transport = {
            "type": "universal",
            "endpoint": endpoint,
            "websocket": {"/": {"type": "websocket", "auth": auth}},
            "rawsocket": {"auth": auth},
        }
        realm = {"name": "realm1", "roles": [{"name": "user"}]}
        file = {"version": 2, "workers": [{"type": "router", "realms": [realm], "transports": [transport]}]}
        self._worker = Worker(configuration_from(file).worker)

    def run(self, loop: Loop, story: Callable[[], Awaitable[None]]) -> None:
        """Play a story with the router running."""

        async def main() -> None:
            self._worker.bind()
            self.port = self._worker._sockets[0].getsockname()[1]
            await self._worker.start()
            try:
                await story()
            finally:
                await self._worker.stop()

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())

    async def talk(self, certificate: str | None, version: ssl.TLSVersion, *messages: Any) -> list[Any]:
        """Send messages, or what comes of answers to earlier ones; what is answered to each.

        Args:
            certificate: name of the client's certificate.
            version: newest version of TLS that it speaks.
            *messages: arrays, or functions that make one of the latest answer and the connection.
        """
        context = self.authority.client_context()
        context.maximum_version = version
        if certificate is not None:
            pair = self.authority.issue(certificate) if certificate != "joe" else self.joe
            context.load_cert_chain(pair.certificate, pair.key)
        answers: list[Any] = []
        url = f"wss://127.0.0.1:{self.port}/"
        subprotocol = Subprotocol("wamp.2.json")
        async with connect(url, ssl=context, subprotocols=[subprotocol], proxy=None) as connection:
            for message in messages:
                if callable(message):
                    message = message(answers[-1], connection.transport.get_extra_info("ssl_object"))
                await connection.send(msgspec.json.encode(message).decode())
                answers.append(msgspec.json.decode(await connection.recv()))
        return answers

    async def talk_raw(self, certificate: str | None, version: ssl.TLSVersion, message: Any) -> Any:
        """The same for one message, on RawSocket."""
        context = self.authority.client_context()
        context.maximum_version = version
        if certificate is not None:
            pair = self.authority.issue(certificate) if certificate != "joe" else self.joe
            context.load_cert_chain(pair.certificate, pair.key)
        return await self.raw(context, message)

    async def raw(self, context: ssl.SSLContext, message: Any) -> Any:
        """Send a message on RawSocket; what is answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        try:
            writer.write(encode_handshake("json", 2**24))
            await reader.readexactly(4)
            writer.write(frame_message(msgspec.json.encode(message)))
            length = int.from_bytes(await reader.readexactly(4))
            return msgspec.json.decode(await reader.readexactly(length))
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def hello(method: str, realm: str = "realm1", **details: Any) -> list[Any]:
    return [1, realm, {"roles": {"caller": {}}, "authmethods": [method], **details}]


@each_loop
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificates_say_who_clients_are(loop: Loop, version: ssl.TLSVersion, tmp_path: Path) -> None:
    door = Door(tmp_path)

    async def story() -> None:
        for certificate, authid in (("joe", "joe"), ("ann", "ann")):
            ((code, _, details),) = await door.talk(certificate, version, hello("tls"))
            assert (code, details["authid"], details["authmethod"]) == (2, authid, "tls")
        ((code, _, reason),) = await door.talk("eve", version, hello("tls"))
        assert (code, reason) == (3, "wamp.error.authentication_failed")
        ((code, _, reason),) = await door.talk(None, version, hello("tls"))
        assert (code, reason) == (3, "wamp.error.no_matching_auth_method")

    door.run(loop, story)


@each_loop
def test_signatures_are_bound_to_tls_1_2(loop: Loop, tmp_path: Path) -> None:
    door = Door(tmp_path)
    asked = hello("cryptosign", authextra={"pubkey": PUBLIC_KEY, "channel_binding": "tls-unique"})

    def bound(answer: Any, tls: ssl.SSLObject) -> list[Any]:
        assert answer[:2] == [4, "cryptosign"], answer
        unique = tls.get_channel_binding("tls-unique")
        assert unique is not None
        channel = hashlib.sha256(unique).digest()
        message = bytes(a ^ b for a, b in zip(bytes.fromhex(answer[2]["challenge"]), channel, strict=True))
        return [5, (KEY.sign(message) + message).hex(), {}]

    def unbound(answer: Any, tls: ssl.SSLObject) -> list[Any]:
        message = bytes.fromhex(answer[2]["challenge"])
        return [5, (KEY.sign(message) + message).hex(), {}]

    async def story() -> None:
        _, welcome = await door.talk(None, ssl.TLSVersion.TLSv1_2, asked, bound)
        assert (welcome[0], welcome[2]["authid"]) == (2, "key")
        _, abort = await door.talk(None, ssl.TLSVersion.TLSv1_2, asked, unbound)
        assert abort[0] == 3
        (abort,) = await door.talk(None, ssl.TLSVersion.TLSv1_3, asked)
        assert "TLS 1.2 only" in abort[1]["message"]

    door.run(loop, story)


@each_loop
def test_scram_is_bound_to_tls_1_2(loop: Loop, tmp_path: Path) -> None:
    door = Door(tmp_path)
    nonce = "egVDf3DMJh0="
    asked = hello("wamp-scram", authid="user", authextra={"nonce": nonce, "channel_binding": "tls-unique"})

    def bound(answer: Any, tls: ssl.SSLObject) -> list[Any]:
        assert answer[:2] == [4, "wamp-scram"], answer
        return proved(answer[2], tls.get_channel_binding("tls-unique") or b"")

    def bound_elsewhere(answer: Any, tls: ssl.SSLObject) -> list[Any]:
        return proved(answer[2], bytes(12))

    def proved(extra: dict[str, Any], unique: bytes) -> list[Any]:
        salted = hashlib.pbkdf2_hmac("sha256", b"pencil", base64.b64decode(extra["salt"]), extra["iterations"])
        header = base64.b64encode(b"p=tls-unique,," + unique).decode()
        server_first = f"r={extra['nonce']},s={extra['salt']},i={extra['iterations']}"
        proof = client_proof(salted, f"n=user,r={nonce},{server_first},c={header},r={extra['nonce']}")
        data = base64.b64encode(unique).decode()
        return [5, proof, {"nonce": extra["nonce"], "channel_binding": "tls-unique", "cbind_data": data}]

    async def story() -> None:
        _, welcome = await door.talk(None, ssl.TLSVersion.TLSv1_2, asked, bound)
        assert (welcome[0], welcome[2]["authid"]) == (2, "user")
        _, abort = await door.talk(None, ssl.TLSVersion.TLSv1_2, asked, bound_elsewhere)
        assert abort[0] == 3
        (abort,) = await door.talk(None, ssl.TLSVersion.TLSv1_3, asked)
        assert "TLS 1.2 only" in abort[1]["message"]

    door.run(loop, story)


@each_loop
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificates_say_who_clients_are_on_rawsocket(loop: Loop, version: ssl.TLSVersion, tmp_path: Path) -> None:
    door = Door(tmp_path)

    async def story() -> None:
        for certificate, outcome in (
            ("joe", [2, "joe"]),
            ("ann", [2, "ann"]),
            ("eve", [3, "wamp.error.authentication_failed"]),
            (None, [3, "wamp.error.no_matching_auth_method"]),
        ):
            for name, realm in (("tls", "realm1"), ("tls", "nowhere")):
                answer = await door.talk_raw(certificate, version, hello(name, realm=realm))
                if answer[0] == 2:
                    assert [answer[0], answer[2]["authid"]] == outcome
                elif realm == "nowhere" and outcome[0] == 2:
                    assert answer[2] == "wamp.error.no_such_realm", "told to who has proved who he is"
                else:
                    assert [answer[0], answer[2]] == outcome

    door.run(loop, story)


@each_loop
def test_a_certificate_that_no_authority_vouches_for_gets_no_further_than_tls(loop: Loop, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    door, others = Door(tmp_path), Authority(tmp_path / "others")
    strange = others.issue("joe")

    async def story() -> None:
        context = door.authority.client_context()
        context.load_cert_chain(strange.certificate, strange.key)
        assert (await door.talk_raw("joe", ssl.TLSVersion.TLSv1_3, hello("tls")))[0] == 2
        with pytest.raises((OSError, EOFError)):
            await door.raw(context, hello("tls"))

    door.run(loop, story)
