"""What a login brings along for as long as its session lasts, and what sessions can do about it.

A login that is good for some time only ends the session when that time is over, unless the client shows in time that it
goes on: a stock WAMP client does so by a CALL of `rocade.session.refresh`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import time as wall_clock
from typing import Protocol

from rocade.errors import ApplicationError, AuthenticationFailed

__all__ = ["EXPIRED", "LOGGED_OUT", "MAX_PROOF", "Deadline", "Dismiss", "Tenure"]

EXPIRED = "rocade.close.login_expired"
"""Reason of the GOODBYE to a session whose login is not good any more."""

LOGGED_OUT = "wamp.close.logout"
"""Reason of a client's GOODBYE by which it logs out (as with Crossbar), and of ours to others that it thereby ends."""

LONGEST_WAIT = 3600.0
"""Seconds after which the time of day is looked at again: it may be changed, and a computer may have slept."""

MAX_PROOF = 16 * 1024
"""Longest token by which a client gets in, or goes on, in characters."""

Dismiss = Callable[[str, str], None]
"""Ends the session, with GOODBYE: its reason, and words for people."""

logger = logging.getLogger("rocade.authentication")


class Tenure(Protocol):
    """What a login brings along, for one session."""

    def begin(self, session: int, dismiss: Dismiss) -> None:
        """The session has been opened.

        Args:
            session: its id.
            dismiss: ends it.
        """

    def end(self) -> None:
        """The session is over, however that came about."""

    def log_out(self) -> int:
        """The client wants to be forgotten; returns how many other sessions end because of that. Its own goes on."""


class Deadline:
    """A login that is good until some time."""

    def __init__(self, until: float, renew: Callable[[str], Awaitable[float]]) -> None:
        """
        Args:
            until: that time, in seconds since 1970.
            renew: given what the client shows in order to go on, says until when it may; or raises
                `ApplicationError`.
        """
        self.until = until
        self._renew = renew
        self._timer: asyncio.TimerHandle | None = None
        self._dismiss: Dismiss | None = None
        self._is_renewing = False

    def begin(self, session: int, dismiss: Dismiss) -> None:
        """See `Tenure`."""
        self._dismiss = dismiss
        self._wait()

    def end(self) -> None:
        """See `Tenure`."""
        self._dismiss = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def log_out(self) -> int:
        """See `Tenure`: what the client shows to get in is not ours to forget."""
        return 0

    async def renew(self, proof: str) -> float:
        """Go on for longer, or for less.

        Args:
            proof: what shows that the client may.
        Returns:
            Until when, in seconds since 1970.
        Raises:
            ApplicationError: it may not. The time that it had stays.
        """
        if self._is_renewing:
            raise ApplicationError("wamp.error.unavailable", "the session is being refreshed already")
        self._is_renewing = True
        try:
            until = await self._renew(proof)
        except ApplicationError as error:
            if isinstance(error.__cause__, AuthenticationFailed):
                logger.info("a session was not refreshed: %s", error.__cause__.reason)
            raise
        finally:
            self._is_renewing = False
        self.until = until
        if self._dismiss is not None:
            self._wait()
        return until

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        left = min(max(0.0, self.until - wall_clock()), LONGEST_WAIT)
        self._timer = asyncio.get_running_loop().call_later(left, self._look)

    def _look(self) -> None:
        self._timer = None
        if wall_clock() < self.until:
            self._wait()
        elif self._dismiss is not None:
            self._dismiss(EXPIRED, "the login is not good any more")
