"""Who may open a WebSocket: the handshake's rules, origins, hosts and subprotocols, without any socket."""

from __future__ import annotations

import re
from http import HTTPStatus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rocade.net import upgrade
from rocade.net.upgrade import OriginPolicy, UpgradeRefused


def is_allowed(policy: OriginPolicy, origin: str | None, host: str = "router.example") -> bool:
    headers = {"host": host} if origin is None else {"host": host, "origin": origin}
    try:
        policy.check(headers)
    except UpgradeRefused as refusal:
        return refusal.status != HTTPStatus.FORBIDDEN
    return True


def test_the_accept_key_is_the_one_of_the_rfc() -> None:
    assert upgrade.accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "http://localhost",
        "http://localhost:3000",
        "https://LOCALHOST:3000",
        "http://127.0.0.1:8080",
        "http://127.8.9.10",
        "http://[::1]:5173",
        "http://router.example",
        "https://router.example",
    ],
)
def test_no_origin_loopback_origins_and_the_own_host_pass(origin: str | None) -> None:
    assert is_allowed(OriginPolicy(), origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://evil.example/localhost",
        "http://localhost@evil.example",
        "http://router.example:8080",
        "http://router.example.evil.example",
        "null",
        "",
        "file://",
        "chrome-extension://abcdef",
        "http://localhost:99999",
        "http://[::1",
        "http://128.0.0.1",
    ],
)
def test_foreign_origins_do_not_pass(origin: str) -> None:
    assert not is_allowed(OriginPolicy(), origin)


def test_the_own_host_counts_with_its_port() -> None:
    assert is_allowed(OriginPolicy(), "http://router.example:8080", "router.example:8080")
    assert not is_allowed(OriginPolicy(), "http://router.example:8081", "router.example:8080")
    assert is_allowed(OriginPolicy(), "https://router.example", "router.example:443")
    assert is_allowed(OriginPolicy(), "http://[fe80::1]:8080", "[fe80::1]:8080")


@given(st.text("ab/*", max_size=8), st.text("ab/", max_size=10))
@example("a*a/*b", "aba/aab")
@example("*", "a/b")
def test_a_star_stands_for_any_characters_but_slashes(pattern: str, text: str) -> None:
    expression = ".*" if pattern == "*" else re.escape(pattern).replace(r"\*", "[^/]*")

    assert upgrade._Pattern(pattern).matches(text) is (re.fullmatch(expression, text) is not None)


def test_many_stars_and_a_long_origin_are_compared_in_no_time() -> None:
    policy = OriginPolicy(allowed_origins=["https://*a*a*a*a*a*a*.example.com"])

    # A regular expression would never come back.
    with pytest.raises(UpgradeRefused):
        policy.check({"host": "example.org", "origin": "https://" + "a" * 60_000})


def test_allowed_origins_are_patterns() -> None:
    policy = OriginPolicy(["https://*.example.com", "http://dev.example:*"])

    assert is_allowed(policy, "https://app.example.com")
    assert is_allowed(policy, "https://APP.example.com")
    assert is_allowed(policy, "http://dev.example:1234")
    assert not is_allowed(policy, "http://app.example.com")
    assert not is_allowed(policy, "https://example.com")
    assert not is_allowed(policy, "https://appXexample.com")
    assert not is_allowed(policy, "https://evil/.example.com")
    assert not is_allowed(policy, "https://app.example.com.evil")


def test_a_star_alone_allows_every_origin_but_null() -> None:
    assert is_allowed(OriginPolicy(["*"]), "https://anything.example")
    assert not is_allowed(OriginPolicy(["*"]), "null")
    assert is_allowed(OriginPolicy(allow_null_origin=True), "null")


def test_a_name_that_was_rebound_to_this_machine_is_refused_by_its_host() -> None:
    policy = OriginPolicy(allowed_hosts=["localhost", "127.0.0.1", "[::1]", "*.internal", "box:9000"])

    assert is_allowed(policy, None, "localhost:8080")
    assert is_allowed(policy, "http://127.0.0.1:8080", "127.0.0.1:8080")
    assert is_allowed(policy, None, "[::1]:8080")
    assert is_allowed(policy, None, "a.internal")
    assert is_allowed(policy, None, "box:9000")
    assert not is_allowed(policy, None, "box:9001")
    assert not is_allowed(policy, "http://evil.example:8080", "evil.example:8080")
    assert not is_allowed(policy, None, "evil.example:8080")
    assert not is_allowed(policy, None, "")
    assert not is_allowed(policy, None, "localhost, evil.example")


def test_the_client_chooses_among_the_subprotocols() -> None:
    accepted = ("wamp.2.json", "wamp.2.cbor")
    headers = {"sec-websocket-protocol": "wamp.2.msgpack, wamp.2.cbor,wamp.2.json"}

    assert upgrade.choose_subprotocol(headers, accepted, required=True) == "wamp.2.cbor"
    assert upgrade.choose_subprotocol({}, accepted, required=False) == ""


@pytest.mark.parametrize(("offer", "told"), [("mqtt, wamp.2.foo", "mqtt, wamp.2.foo"), (None, "none")])
def test_no_common_subprotocol_is_explained(offer: str | None, told: str) -> None:
    headers = {} if offer is None else {"sec-websocket-protocol": offer}

    with pytest.raises(UpgradeRefused, match=rf"offers {told}; accepted are wamp\.2\.json") as caught:
        upgrade.choose_subprotocol(headers, ["wamp.2.json"], required=True)

    assert caught.value.status == 400


def test_repeated_headers_are_joined() -> None:
    raw = [(b"Connection", b"keep-alive"), (b"connection", b"Upgrade"), (b"Cookie", b"a=1"), (b"cookie", b"b=2")]

    assert upgrade.header_map(raw) == {"connection": "keep-alive, Upgrade", "cookie": "a=1; b=2"}
