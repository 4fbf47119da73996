"""The addresses of peers: how they are written, and whose a connection counts for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["Proxies", "address_of", "is_loopback", "loopback_hosts", "peer_name"]

IPV6_PREFIX = 64
"""Bits of an IPv6 address that tell one client from another: whoever has one address has a whole network of them."""

MAX_FORWARDED = 32
"""Addresses of `X-Forwarded-For` that are looked at, from the last one on."""

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""What clients on this machine call it."""

Address = IPv4Address | IPv6Address


def peer_name(transport: asyncio.BaseTransport) -> str:
    """The other side as `LinkInfo.peer` has it: "tcp4:127.0.0.1:52814", "tcp6:[::1]:52814" or "unix:/path"."""
    sock = transport.get_extra_info("socket")
    family = None if sock is None else sock.family
    if family == getattr(socket, "AF_UNIX", None):
        # Clients are unnamed; what tells them apart from others is the socket they came to.
        return f"unix:{transport.get_extra_info('sockname') or ''}"
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return "unknown"
    return f"tcp6:[{peer[0]}]:{peer[1]}" if family == socket.AF_INET6 else f"tcp4:{peer[0]}:{peer[1]}"


def address_of(peer: str) -> str | None:
    """The address that a connection counts for: an IPv4 address, or an IPv6 network.

    Args:
        peer: see `LinkInfo.peer`.
    Returns:
        None where there is no address, as with Unix sockets: who comes that way is trusted by the operating system.
    """
    if peer.startswith("tcp4:"):
        return peer[5 : peer.rindex(":")]
    address = _parse(peer)
    return None if address is None else _counted(address)


def _parse(peer: str) -> Address | None:
    kind, _, rest = peer.partition(":")
    if kind not in ("tcp4", "tcp6"):
        return None
    host = rest.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _counted(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, IPV6_PREFIX), strict=False))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or name."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def loopback_hosts(host: str) -> tuple[str, ...]:
    """The hosts that clients of this machine ask for where a server listens on loopback: what it calls itself, too.

    A web page can point a name of its own at 127.0.0.1, so no others are to be expected.
    """
    return tuple(dict.fromkeys((*LOOPBACK_HOSTS, f"[{host}]" if ":" in host else host)))


class Proxies:
    """Reverse proxies whose word is taken for where their clients come from."""

    def __init__(self, addresses: Iterable[str] = ()) -> None:
        """
        Args:
            addresses: of proxies, or whole networks of them: "127.0.0.1", "10.0.0.0/8".
        Raises:
            ValueError: one is neither.
        """
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(address) for address in addresses]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def address_of(self, peer: str, headers: Mapping[str, str]) -> str | None:
        """As the function of this name; for what a proxy passes on, the address that it came from.

        Args:
            peer: see `LinkInfo.peer`.
            headers: of the request that opened the connection.
        Returns:
            None for a proxy that does not say for whom it connects, too.
        """
        if not self._networks:
            return address_of(peer)
        address = _parse(peer)
        if address is None or not self._has(address):
            return address_of(peer)
        # Each proxy adds whom it was connected by at the end; what stands before the last stranger, anybody can write.
        for entry in reversed(headers.get("x-forwarded-for", "").rsplit(",", MAX_FORWARDED)):
            try:
                address = ip_address(entry.strip().strip("[]"))
            except ValueError:
                return None
            if not self._has(address):
                return _counted(address)
        return None

    def is_proxy(self, peer: str) -> bool:
        """Whether the other side is one of the proxies."""
        address = _parse(peer) if self._networks else None
        return address is not None and self._has(address)

    def _has(self, address: Address) -> bool:
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)
