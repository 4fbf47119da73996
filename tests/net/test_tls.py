"""The same port over TLS."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.net.conftest import Run
from tests.net.harness import CLOSE, TEXT, Client, serving, upgrade_request


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of its own, and a client's that trusts it."""
    directory: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    pem += key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "server.pem").write_bytes(pem)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(directory / "server.pem")
    return server, ssl.create_default_context(cafile=str(directory / "server.pem"))


async def connect(address: tuple[str, int], context: ssl.SSLContext) -> Client:
    return Client(*await asyncio.open_connection(*address, ssl=context, server_hostname="localhost"))


def test_all_three_protocols_work(run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main() -> None:
        async with serving(tls=contexts[0]) as server:
            http = await connect(server.address, contexts[1])
            http.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await http.response())[0] == 404
            websocket = await connect(server.address, contexts[1])
            websocket.send(upgrade_request())
            await websocket.head()
            websocket.frame(TEXT, b"x" * 200_000)
            assert await websocket.read_frame() == (TEXT, b"x" * 200_000)
            info = server.receivers[0].link.info
            assert info.secure
            assert info.tls.version().startswith("TLS")
            rawsocket = await connect(server.address, contexts[1])
            rawsocket.send(b"\x7f\xf1\x00\x00")
            await rawsocket.read(4)
            rawsocket.raw_frame(b"x" * 200_000)
            assert await rawsocket.read_raw_frame() == (0, b"x" * 200_000)
            for client in (http, websocket, rawsocket):
                client.writer.transport.abort()
            await server.until_connections(0)

    run(main())


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, b"nonsense\r\n\r\n"])
def test_a_refusal_can_be_read(run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext], data: bytes) -> None:
    async def main() -> None:
        async with serving(tls=contexts[0]) as server:
            client = await connect(server.address, contexts[1])
            client.send(data)
            assert (await client.response())[0] in (400, 431)
            client.writer.transport.abort()
            await server.until_connections(0)

    run(main())


def test_a_broken_peer_is_told(run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main() -> None:
        async with serving(tls=contexts[0]) as server:
            client = await connect(server.address, contexts[1])
            client.send(upgrade_request())
            await client.head()
            client.frame(TEXT, b"\xff")
            assert await client.read_close() == 1007
            assert "UTF-8" in await server.receivers[0].lost
            client.writer.transport.abort()
            await server.until_connections(0)

    run(main())


def test_stopping_closes_in_order(run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main() -> None:
        async with serving(tls=contexts[0]) as server:
            client = await connect(server.address, contexts[1])
            client.send(upgrade_request())
            await client.head()
            stopping = asyncio.create_task(server.listener.stop())
            assert await client.read_close() == 1001
            client.frame(CLOSE, b"\x03\xe9")
            await client.rest()
            client.close()
            await stopping
            assert server.receivers[0].lost.done()

    run(main())
