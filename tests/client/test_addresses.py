"""URLs of routers."""

from __future__ import annotations

import pytest

from rocade import connect
from rocade.client.addresses import parse_url


@pytest.mark.parametrize(
    ("url", "kind", "where"),
    [
        ("ws://example.com/ws", "websocket", ("example.com", 80, None, "/ws", False)),
        ("ws://example.com:8080", "websocket", ("example.com", 8080, None, "/", False)),
        ("wss://example.com/a/b?c=d", "websocket", ("example.com", 443, None, "/a/b?c=d", True)),
        ("ws://[::1]:8080/ws", "websocket", ("::1", 8080, None, "/ws", False)),
        ("rs://example.com:8081", "rawsocket", ("example.com", 8081, None, "/", False)),
        ("rss://example.com", "rawsocket", ("example.com", 443, None, "/", True)),
        ("unix:/run/r.sock", "rawsocket", ("localhost", 0, "/run/r.sock", "/ws", False)),
        ("rs+unix:/run/r.sock", "rawsocket", ("localhost", 0, "/run/r.sock", "/ws", False)),
        ("ws+unix:/run/r.sock", "websocket", ("localhost", 0, "/run/r.sock", "/ws", False)),
        ("ws+unix:/run/r.sock?path=/other", "websocket", ("localhost", 0, "/run/r.sock", "/other", False)),
    ],
)
def test_a_url_says_how_and_where(url: str, kind: str, where: tuple[str, int, str | None, str, bool]) -> None:
    found, target = parse_url(url)

    assert found == kind
    assert (target.host, target.port, target.unix, target.path, target.tls is not None) == where


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("ws://example.com/ws", "example.com"),
        ("ws://example.com:8080/ws", "example.com:8080"),
        ("wss://example.com:443/ws", "example.com"),
        ("ws://[::1]:8080/ws", "[::1]:8080"),
        ("ws+unix:/run/r.sock", "localhost"),
    ],
)
def test_the_host_header_is_as_browsers_send_it(url: str, authority: str) -> None:
    assert parse_url(url)[1].authority == authority


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://example.com/ws", "is no URL of a router"),
        ("example.com:8080", "is no URL of a router"),
        ("ws:///ws", "is no URL of a router"),
        ("unix:run/r.sock", "has no absolute path"),
        ("unix://run/r.sock", "has no absolute path"),
        ("rs://example.com/ws", "has a path"),
        ("ws://joe:secret@example.com/ws", "has a user name: use credentials"),
        ("ws://example.com:port/ws", "'ws://example.com:port/ws': Port could not be cast"),
        ("ws://example.com:99999/ws", "'ws://example.com:99999/ws': Port out of range"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        connect(url)


def test_a_serializer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="a serializer is one of json, msgpack, cbor, not yaml"):
        connect(serializer="yaml")
    with pytest.raises(ValueError, match="not none"):
        connect(serializer=[])
