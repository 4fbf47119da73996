"""The same port over TLS, and the files that TLS is made of."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tests.authority import Authority, Pair
from tests.net.conftest import Run
from tests.net.harness import CLOSE, TEXT, Client, Server, client_frame, serving, upgrade_request

from rocade.errors import ConfigurationError
from rocade.net import reading
from rocade.net.tls import PeerCertificate, ServerTLS, TLSOptions, peer_certificate
from rocade.wamp.framing import frame_message

DH_PARAMETERS = """\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
"""The group ffdhe2048 of RFC 7919."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs the certificates of a test."""
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    """A server's certificate and key."""
    return authority.issue("server")


@pytest.fixture
def contexts(authority: Authority, pair: Pair) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context, and a client's that trusts it."""
    return server_tls(pair).context, authority.client_context()


def server_tls(pair: Pair, **options: object) -> ServerTLS:
    return ServerTLS(tls_options(pair, **options))


def tls_options(pair: Pair, **options: object) -> TLSOptions:
    return TLSOptions(**{"certificate": str(pair.certificate), "key": str(pair.key), **options})  # type: ignore[arg-type]


async def connect(
    address: tuple[str, int], context: ssl.SSLContext, *, server_hostname: str | None = "localhost"
) -> Client:
    return Client(*await asyncio.open_connection(*address, ssl=context, server_hostname=server_hostname))


async def open_websocket(server: Server, context: ssl.SSLContext) -> Client:
    """A WebSocket connection; a `ConnectionError` or `ssl.SSLError` if the server does not want this client."""
    client = await connect(server.address, context)
    server.clients.append(client)
    client.send(upgrade_request())
    try:
        assert (await client.head()).startswith(b"HTTP/1.1 101 ")
    except asyncio.IncompleteReadError:
        raise ConnectionResetError from None
    return client


async def is_served(server: Server, context: ssl.SSLContext) -> bool:
    """Whether a client comes through; with TLS 1.3 it learns of a refusal by the first thing it reads."""
    try:
        client = await open_websocket(server, context)
    except (ssl.SSLError, ConnectionError):
        return False
    client.frame(TEXT, b"[1]")
    assert await client.read_frame() == (TEXT, b"[1]")
    return True


def shown_certificate(client: Client) -> bytes:
    """What the server has shown."""
    return client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)


def der(file: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(file.read_text())


# The three protocols


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


@pytest.mark.parametrize("transport", ["websocket", "rawsocket"])
def test_what_was_sent_right_before_the_end_still_arrives(
    run: Run,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    transport: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of it and the end are in one read, which is worked off in several turns."""
    monkeypatch.setattr(reading, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(reading, "LAST_TURN_SECONDS", 60.0)
    messages = [b"[%d]" % number for number in range(500)]

    async def main() -> None:
        async with serving(tls=contexts[0]) as server:
            if transport == "websocket":
                client = await open_websocket(server, contexts[1])
                client.send(b"".join(client_frame(TEXT, message) for message in messages))
            else:
                client = await connect(server.address, contexts[1])
                client.send(b"\x7f\xf1\x00\x00")
                await client.read(4)
                client.send(b"".join(map(frame_message, messages)))
            (receiver,) = server.receivers
            receiver.echoes = False
            client.close()
            await receiver.lost
            assert receiver.messages == messages

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


def test_a_page_of_the_server_itself_may_connect(run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main() -> None:
        async with serving(tls=contexts[0]) as server:
            client = await connect(server.address, contexts[1])
            client.send(upgrade_request(origin="https://router.example", host="router.example"))
            assert (await client.head()).startswith(b"HTTP/1.1 101 ")
            client.writer.transport.abort()
            await server.until_connections(0)

    run(main())


def test_it_works_over_unix_sockets(run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext], tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "rocade.sock"
        async with serving(tls=contexts[0], path=path) as server:
            streams = await asyncio.open_unix_connection(path, ssl=contexts[1], server_hostname="localhost")
            client = Client(*streams)
            client.send(upgrade_request())
            await client.head()
            client.frame(TEXT, b"[1]")
            assert await client.read_frame() == (TEXT, b"[1]")
            client.writer.transport.abort()
            await server.until_connections(0)

    run(main())


def test_a_link_without_tls_knows_of_none(run: Run) -> None:
    async def main() -> None:
        async with serving() as server:
            _, receiver = await server.open_websocket()
            assert not receiver.link.info.secure
            assert receiver.link.info.tls is None
            assert peer_certificate(receiver.link.info) is None

    run(main())


# Options


def test_certificates_of_a_chain_may_be_in_files_of_their_own(run: Run, authority: Authority, tmp_path: Path) -> None:
    between = Authority(tmp_path, parent=authority)
    pair = between.issue("below")
    server_alone = server_tls(pair)
    with_chain = server_tls(pair, chain_certificates=(str(between.certificate),))

    async def main() -> None:
        async with serving(tls=server_alone.context) as server:
            assert not await is_served(server, authority.client_context())
        async with serving(tls=with_chain.context) as server:
            assert await is_served(server, authority.client_context())

    run(main())


def test_a_chain_leaves_no_file_behind(
    authority: Authority, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    server_tls(pair, chain_certificates=(str(authority.certificate),))

    assert list(temporary.iterdir()) == []


def test_the_oldest_version_is_1_2_or_what_the_option_says(run: Run, authority: Authority, pair: Pair) -> None:
    client = authority.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2

    async def main() -> None:
        async with serving(tls=server_tls(pair).context) as server:
            assert await is_served(server, client)
        async with serving(tls=server_tls(pair, minimum_version="1.3").context) as server:
            assert not await is_served(server, client)
            assert await is_served(server, authority.client_context())

    run(main())


def test_ciphers_are_those_of_the_option(run: Run, authority: Authority, pair: Pair) -> None:
    cipher = "ECDHE-ECDSA-CHACHA20-POLY1305"
    client_context = authority.client_context()
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2

    async def main() -> None:
        async with serving(tls=server_tls(pair, ciphers=cipher).context) as server:
            client = await open_websocket(server, client_context)
            assert client.writer.get_extra_info("cipher")[0] == cipher

    run(main())


def test_dh_parameters_make_dhe_possible(run: Run, authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("rsa", key_type=trustme.KeyType.RSA)
    (tmp_path / "dhparam.pem").write_text(DH_PARAMETERS)
    client = authority.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("DHE-RSA-AES128-GCM-SHA256")

    async def main() -> None:
        async with serving(tls=server_tls(pair).context) as server:
            assert not await is_served(server, client)
        async with serving(tls=server_tls(pair, dhparam=str(tmp_path / "dhparam.pem")).context) as server:
            assert await is_served(server, client)

    run(main())


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), (["mqtt"], None), ([], None)]
)
def test_http_1_1_is_chosen_among_what_clients_offer(
    run: Run, authority: Authority, pair: Pair, offered: list[str], chosen: str | None
) -> None:
    client_context = authority.client_context()
    if offered:
        client_context.set_alpn_protocols(offered)

    async def main() -> None:
        async with serving(tls=server_tls(pair).context) as server:
            client = await open_websocket(server, client_context)
            assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == chosen

    run(main())


# Certificates of clients


@pytest.mark.parametrize("demand", ["optional", "required"])
def test_a_client_with_a_certificate_is_known_by_it(run: Run, authority: Authority, pair: Pair, demand: str) -> None:
    client_pair = authority.issue("gauge", "gauge.example", "ada@example.org")
    tls = server_tls(pair, client_certificates=demand, ca_certificates=(str(authority.certificate),))

    async def main() -> None:
        async with serving(tls=tls.context) as server:
            assert await is_served(server, authority.client_context(client_pair))
            certificate = peer_certificate(server.receivers[0].link.info)
            assert certificate is not None
            assert certificate.sha256 == hashlib.sha256(der(client_pair.certificate)).hexdigest()
            assert certificate.common_name == "gauge"
            assert ("commonName", "gauge") in certificate.subject
            assert set(certificate.alternative_names) == {("DNS", "gauge.example"), ("email", "ada@example.org")}

    run(main())


@pytest.mark.parametrize(("demand", "served"), [("optional", True), ("required", False)])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_without_a_certificate(
    run: Run, authority: Authority, pair: Pair, demand: str, served: bool, version: ssl.TLSVersion
) -> None:
    tls = server_tls(pair, client_certificates=demand, ca_certificates=(str(authority.certificate),))
    client = authority.client_context()
    client.maximum_version = version

    async def main() -> None:
        async with serving(tls=tls.context) as server:
            assert await is_served(server, client) is served
            assert [peer_certificate(receiver.link.info) for receiver in server.receivers] == [None] * served

    run(main())


@pytest.mark.parametrize("demand", ["optional", "required"])
def test_a_certificate_of_another_authority_is_refused(
    run: Run, authority: Authority, pair: Pair, demand: str, tmp_path: Path
) -> None:
    tls = server_tls(pair, client_certificates=demand, ca_certificates=(str(authority.certificate),))
    stranger = Authority(tmp_path).issue("stranger")

    async def main() -> None:
        async with serving(tls=tls.context) as server:
            assert not await is_served(server, authority.client_context(stranger))
            assert await is_served(server, authority.client_context(pair))
            assert len(server.receivers) == 1

    run(main())


def test_an_expired_certificate_of_a_client_is_refused(run: Run, authority: Authority, pair: Pair) -> None:
    tls = server_tls(pair, client_certificates="required", ca_certificates=(str(authority.certificate),))
    late = authority.issue("late", expires=datetime.now(UTC) - timedelta(days=1))

    async def main() -> None:
        async with serving(tls=tls.context) as server:
            assert not await is_served(server, authority.client_context(late))

    run(main())


def test_who_is_listed_is_trusted_and_not_the_root_above(
    run: Run, authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    between = Authority(tmp_path, parent=authority)
    tls = server_tls(pair, client_certificates="required", ca_certificates=(str(between.certificate),))
    below = between.issue("below")

    async def main() -> None:
        async with serving(tls=tls.context) as server:
            assert await is_served(server, authority.client_context(below))
            assert not await is_served(server, authority.client_context(pair))

    run(main())


def test_a_name_that_comes_twice_is_no_common_name() -> None:
    certificate = PeerCertificate("", (("commonName", "alice"), ("commonName", "admin")), ())

    assert certificate.common_name is None


# Reloading


@pytest.mark.parametrize("name", ["localhost", ""], ids=["by name", "by address"])
def test_connections_that_come_after_a_reload_see_the_new_certificate(
    run: Run, authority: Authority, pair: Pair, name: str
) -> None:
    tls = server_tls(pair)
    renewed = authority.issue("renewed")
    before, after = der(pair.certificate), der(renewed.certificate)

    async def main() -> None:
        async with serving(tls=tls.context) as server:
            old = await open_websocket(server, authority.client_context())
            pair.become(renewed)
            tls.reload()
            new = await connect(server.address, authority.client_context(), server_hostname=name or server.address[0])
            server.clients.append(new)
            assert shown_certificate(old) == before
            assert shown_certificate(new) == after
            old.frame(TEXT, b"[1]")
            assert await old.read_frame() == (TEXT, b"[1]")
            assert tls.certificate.names == ("localhost", "127.0.0.1")

    run(main())


def test_a_bad_pair_changes_nothing(run: Run, authority: Authority, pair: Pair) -> None:
    tls = server_tls(pair)
    before = der(pair.certificate)

    async def main() -> None:
        async with serving(tls=tls.context) as server:
            pair.key.write_bytes(authority.issue("other").key.read_bytes())
            with pytest.raises(ConfigurationError, match="is not that of"):
                tls.reload()
            pair.certificate.unlink()
            with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
                tls.reload()
            client = await open_websocket(server, authority.client_context())
            assert shown_certificate(client) == before

    run(main())


def test_a_reload_forgets_authorities_that_are_gone(run: Run, authority: Authority, pair: Pair, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(authority.certificate.read_bytes() + b"\n" + other.certificate.read_bytes())
    tls = server_tls(pair, client_certificates="required", ca_certificates=(str(authorities),))
    client = authority.client_context(other.issue("client"))

    async def main() -> None:
        async with serving(tls=tls.context) as server:
            assert await is_served(server, client)
            authorities.write_bytes(authority.certificate.read_bytes())
            tls.reload()
            assert not await is_served(server, client)
            assert await is_served(server, authority.client_context(pair))

    run(main())


def test_a_session_of_before_is_not_resumed_where_certificates_are_asked_for(
    run: Run, authority: Authority, pair: Pair
) -> None:
    tls = server_tls(pair, client_certificates="optional", ca_certificates=(str(authority.certificate),))

    async def main() -> None:
        async with serving(tls=tls.context) as server:
            client = await open_websocket(server, authority.client_context(pair))
            client.frame(TEXT, b"[1]")
            await client.read_frame()
            session = client.writer.get_extra_info("ssl_object").session
            assert session is None or not session.has_ticket

    run(main())


# Those who do not speak TLS


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x7f\xf1\x00\x00", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"],
    ids=["HTTP", "RawSocket", "a broken handshake"],
)
def test_what_is_no_tls_ends_and_harms_nobody(
    run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext], data: bytes
) -> None:
    async def main() -> None:
        # Four bytes of RawSocket are less than TLS looks at, so they wait for more until the time is over.
        async with serving(tls=contexts[0], head_timeout=1.0) as server:
            other = await open_websocket(server, contexts[1])
            client = await server.connect()
            client.send(data)
            assert not (await client.rest()).startswith(b"HTTP/")
            other.frame(TEXT, b"[1]")
            assert await other.read_frame() == (TEXT, b"[1]")
            assert await is_served(server, contexts[1])

    run(main())


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "half a hello"])
def test_a_handshake_that_takes_too_long_ends(
    run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext], data: bytes
) -> None:
    async def main() -> None:
        async with serving(tls=contexts[0], head_timeout=1.0) as server:
            client = await server.connect()
            client.send(data)
            assert await client.rest() == b""
            assert await is_served(server, contexts[1])

    run(main())


def test_a_handshake_that_ends_after_the_listener_is_not_served(
    run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async def main() -> None:
        async with serving(tls=contexts[0]) as server:
            client = await server.connect()
            # So that the connection has been accepted.
            assert await is_served(server, contexts[1])
            await server.listener.stop()
            await client.writer.start_tls(contexts[1], server_hostname="localhost")
            client.send(upgrade_request())
            assert await client.rest() == b""
            await server.until_connections(0)

    run(main())


# Files that cannot be used


def test_each_file_that_is_missing_is_named(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    client = {"client_certificates": "required", "ca_certificates": (str(authority.certificate), missing)}

    for option, options in {
        "certificate": {"certificate": missing},
        "key": {"key": missing},
        "chain_certificates[0]": {"chain_certificates": (missing,)},
        "ca_certificates[1]": client,
        "dhparam": {"dhparam": missing},
    }.items():
        assert refusal(pair, options) == (option, f"{missing!r} cannot be read: No such file or directory")


def test_a_directory_is_no_file(pair: Pair, tmp_path: Path) -> None:
    assert refusal(pair, {"key": str(tmp_path)}) == ("key", f"{str(tmp_path)!r} cannot be read: Is a directory")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x30\x82\x01\x00\xff"], ids=["empty", "text", "DER"])
def test_a_file_that_is_no_pem_is_named(authority: Authority, pair: Pair, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    no_certificate = f"there is no certificate in PEM form in {str(file)!r}"
    client = {"client_certificates": "required", "ca_certificates": (str(file),)}

    assert refusal(pair, {"certificate": str(file)}) == ("certificate", no_certificate)
    assert refusal(pair, {"chain_certificates": (str(file),)}) == ("chain_certificates[0]", no_certificate)
    assert refusal(pair, client) == ("ca_certificates[0]", no_certificate)
    assert refusal(pair, {"key": str(file)}) == ("key", f"there is no private key in PEM form in {str(file)!r}")
    option, message = refusal(pair, {"dhparam": str(file)})
    assert option == "dhparam"
    assert message.startswith(f"{str(file)!r} has no usable DH parameters: ")


def test_a_key_and_a_certificate_that_were_exchanged_are_recognised(pair: Pair) -> None:
    exchanged = {"certificate": str(pair.key), "key": str(pair.certificate)}

    assert refusal(pair, exchanged) == ("certificate", f"there is no certificate in PEM form in {str(pair.key)!r}")


@pytest.mark.parametrize("key_type", trustme.KeyType)
def test_a_key_of_another_certificate_is_refused(authority: Authority, pair: Pair, key_type: trustme.KeyType) -> None:
    other = authority.issue("other", key_type=key_type)

    option, message = refusal(pair, {"key": str(other.key)})

    expected = f"the key in {str(other.key)!r} is not that of the (first) certificate in {str(pair.certificate)!r}"
    assert (option, message) == ("key", expected)


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(pair: Pair, tmp_path: Path) -> None:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), password=None)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )

    option, message = refusal(pair, {"key": str(encrypted)})

    assert (option, message) == (
        "key",
        f"the key in {str(encrypted)!r} needs a passphrase, and nobody is there to type one",
    )


def test_damaged_files_are_named(pair: Pair, tmp_path: Path) -> None:
    for name in ("certificate", "key"):
        lines = getattr(pair, name).read_text().splitlines()
        file = tmp_path / name
        file.write_text("\n".join([lines[0], lines[1][:20], lines[-1], ""]))
        option, message = refusal(pair, {name: str(file)})
        assert option == name
        assert repr(str(file)) in message


def test_unknown_ciphers_are_refused(pair: Pair) -> None:
    assert refusal(pair, {"ciphers": "ROT13"}) == ("ciphers", "OpenSSL knows no cipher of 'ROT13' up to TLS 1.2")


def test_certificates_of_clients_need_authorities(pair: Pair) -> None:
    assert refusal(pair, {"client_certificates": "optional"})[0] == "client_certificates"


def refusal(pair: Pair, options: dict[str, object]) -> tuple[str, str]:
    """Path and message of the error that these options lead to."""
    with pytest.raises(ConfigurationError) as caught:
        server_tls(pair, **options)
    return caught.value.path, caught.value.message


def test_the_time_of_a_certificate_is_looked_at(authority: Authority) -> None:
    now = datetime.now(UTC)
    expired = server_tls(authority.issue("expired", expires=now - timedelta(days=1)))
    right = server_tls(authority.issue("right", expires=now + timedelta(days=1)))

    assert "expired.pem' has expired on " in (expired.problem() or "")
    assert right.problem() is None
    assert "right.pem' is not valid before " in (right.certificate.problem(datetime(1999, 1, 1, tzinfo=UTC)) or "")


def test_a_certificate_says_whose_it_is(authority: Authority) -> None:
    expires = datetime(2049, 5, 6, 7, 8, tzinfo=UTC)

    tls = server_tls(authority.issue("router", "router.example", "192.0.2.1", expires=expires))

    assert str(tls.certificate) == "certificate of router.example, 192.0.2.1, valid until 2049-05-06 07:08 UTC"


def test_a_certificate_without_alternative_names_has_a_common_name(pair: Pair, tmp_path: Path) -> None:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), password=None)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old.example")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))  # type: ignore[arg-type]
    certificate = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    assert server_tls(pair).certificate.names == ("old.example",)
