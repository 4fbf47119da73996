"""Which address a connection counts for."""

from __future__ import annotations

import pytest

from rocade.net.addresses import Proxies, address_of


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("tcp4:127.0.0.1:52814", "127.0.0.1"),
        ("tcp6:[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2::/64"),
        ("tcp6:[fe80::1%eth0]:80", "fe80::/64"),
        ("tcp6:[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("unix:/run/rocade.sock", None),
        ("memory", None),
        ("unknown", None),
    ],
)
def test_an_address_is_one_of_ipv4_or_a_network_of_ipv6(peer: str, address: str | None) -> None:
    assert address_of(peer) == address
    assert Proxies().address_of(peer, {"x-forwarded-for": "192.0.2.7"}) == address


PROXIES = Proxies(["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("tcp4:127.0.0.1:1", "192.0.2.1", "192.0.2.1"),
        ("tcp6:[::ffff:127.0.0.1]:1", "192.0.2.1", "192.0.2.1"),
        ("tcp6:[2001:db8::1]:1", "2001:470::1", "2001:470::/64"),
        # what a client has written stands before what the first proxy has added
        ("tcp4:127.0.0.1:1", "198.51.100.1, 192.0.2.1", "192.0.2.1"),
        ("tcp4:127.0.0.1:1", "198.51.100.1,192.0.2.1 , 10.1.2.3", "192.0.2.1"),
        ("tcp4:127.0.0.1:1", "198.51.100.1, nonsense, 10.1.2.3", None),
        ("tcp4:127.0.0.1:1", "", None),
        ("tcp4:127.0.0.1:1", "10.0.0.1, 10.0.0.2", None),
        ("tcp4:192.0.2.5:1", "198.51.100.1", "192.0.2.5"),
        ("tcp4:127.0.0.1:1", "1.1.1.1," * 10000 + "192.0.2.1", "192.0.2.1"),
        ("unix:/run/rocade.sock", "192.0.2.1", None),
    ],
)
def test_proxies_are_believed_and_nobody_else(peer: str, forwarded: str, address: str | None) -> None:
    assert PROXIES.address_of(peer, {"x-forwarded-for": forwarded}) == address


def test_what_is_no_address_cannot_be_a_proxy() -> None:
    with pytest.raises(ValueError, match="proxy"):
        Proxies(["proxy.example.com"])
