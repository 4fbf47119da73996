"""How many connections one transport accepts: in all, from one address, and from one address without a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rocade.net.addresses import Proxies, address_of
from rocade.net.tally import Tally

__all__ = ["Door", "DoorLimits"]

Report = Callable[[str, str, str], None]
"""Told of a limit that was reached: its name, who reached it, and a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """How many connections one transport accepts. 0 is no limit."""

    connections: int = 0
    """Connections in all."""
    connections_per_address: int = 0
    """Connections from one address."""
    handshakes_per_address: int = 5000
    """Connections from one address that have neither opened a session nor sent a whole HTTP request."""
    sessions_per_address: int = 0
    """Sessions whose connection is from one address."""


class Door:
    """Counts the connections of one transport, and turns away those that are too many.

    Attributes:
        limits, proxies, report: see `__init__`.
    """

    def __init__(self, limits: DoorLimits, proxies: Proxies, report: Report) -> None:
        """
        Args:
            limits: what it holds connections to.
            proxies: not held to limits by address themselves; whom they connect for is, as soon as it is known.
            report: see `Report`.
        """
        self.limits = limits
        self.proxies = proxies
        self.report = report
        self._open = 0
        # by address
        self._connections = Tally()
        self._handshakes = Tally()
        self._sessions = Tally()
        # peer -> its address, of connections in their handshake
        self._in_handshake: dict[str, str] = {}

    def enter(self, peer: str) -> bool:
        """Count a connection that was accepted, which is in its handshake now; whether it may stay.

        Args:
            peer: see `LinkInfo.peer`.
        """
        limits = self.limits
        if limits.connections and self._open >= limits.connections:
            self.report("connections", "all", f"{self._open} connections are open")
            return False
        address = None if self.proxies.is_proxy(peer) else address_of(peer)
        if address is not None:
            most = limits.connections_per_address
            if most and self._connections[address] >= most:
                self.report("connections_per_address", address, f"{most} connections are open")
                return False
            most = limits.handshakes_per_address
            if most and self._handshakes[address] >= most:
                self.report("handshakes_per_address", address, f"{most} connections have no session")
                return False
            if limits.connections_per_address:
                self._connections.add(address)
            if most:
                self._handshakes.add(address)
                self._in_handshake[peer] = address
        self._open += 1
        return True

    def settle(self, peer: str) -> None:
        """A connection's handshake is over."""
        address = self._in_handshake.pop(peer, None)
        if address is not None:
            self._handshakes.remove(address)

    def leave(self, peer: str) -> None:
        """A connection that was let in is gone."""
        self.settle(peer)
        self._open -= 1
        if self.limits.connections_per_address and not self.proxies.is_proxy(peer):
            address = address_of(peer)
            if address is not None:
                self._connections.remove(address)

    def address_of(self, peer: str, headers: Mapping[str, str]) -> str | None:
        """Which address a session's connection counts for, see `Proxies.address_of`."""
        return self.proxies.address_of(peer, headers)

    def has_room_for_session(self, address: str) -> bool:
        """Whether one more session may come from an address."""
        most = self.limits.sessions_per_address
        return not most or self._sessions[address] < most

    def session_opened(self, address: str) -> None:
        """Count a session whose connection is from this address."""
        if self.limits.sessions_per_address:
            self._sessions.add(address)

    def session_closed(self, address: str) -> None:
        """The session is over, or has lost that connection."""
        if self.limits.sessions_per_address:
            self._sessions.remove(address)
