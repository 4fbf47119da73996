"""Sessions that have lost their connection and may be resumed: how many of them, and how much is kept for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocade.net.tally import Tally

if TYPE_CHECKING:
    from rocade.router.session import Session
    from rocade.serve.limits import Allowances

__all__ = ["Parking"]


class Parking:
    """Counts the sessions of one realm that wait to be resumed. One for which there is no room just ends.

    Nobody is sent away for a newcomer, or whoever can lose many connections could end the sessions of others.

    Attributes:
        sessions: how many there are.
        bytes: how much is kept for all of them.
    """

    def __init__(self, allowances: Allowances) -> None:
        """
        Args:
            allowances: of the realm.
        """
        self.sessions = 0
        self.bytes = 0
        self._allowances = allowances
        # sessions here, by authid
        self._authids = Tally()

    def park(self, session: Session, size: int) -> str | None:
        """Take a session in; the name of the limit if there is no room.

        Args:
            session: which has lost its connection.
            size: bytes that are kept for it.
        """
        allowances = self._allowances
        most = allowances.parked_sessions
        if most and self.sessions >= most:
            return "parked_sessions"
        most = allowances.of(session.authrole).authid_parked_sessions
        if most and self._authids[session.authid] >= most:
            return "authid_parked_sessions"
        if allowances.parked_bytes and self.bytes + size > allowances.parked_bytes:
            return "parked_bytes"
        self.sessions += 1
        self.bytes += size
        self._authids.add(session.authid)
        return None

    def grow(self, size: int) -> bool:
        """Keep more for one of the sessions; whether there is room for it."""
        self.bytes += size
        return not self._allowances.parked_bytes or self.bytes <= self._allowances.parked_bytes

    def leave(self, session: Session, size: int) -> None:
        """A session has been resumed, or is over.

        Args:
            session: which was taken in.
            size: bytes that are kept for it by now.
        """
        self.sessions -= 1
        self.bytes -= size
        self._authids.remove(session.authid)
