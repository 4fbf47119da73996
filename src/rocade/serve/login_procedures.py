"""Procedures by which a session does something about its own login. They are Rocade's own (docs/security.md).

A router answers them itself, in every realm, so nobody else can offer them there and collect what clients show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta

from rocade.errors import ApplicationError
from rocade.router.answer import Answer
from rocade.router.session import Session
from rocade.serve.authentication.tenure import MAX_PROOF, Deadline

__all__ = ["LoginProcedures"]


class LoginProcedures:
    """`rocade.session.refresh` and `rocade.session.logout`."""

    def procedures(self) -> dict[str, Callable[..., Answer]]:
        """URI -> method."""
        return {"rocade.session.refresh": self.refresh, "rocade.session.logout": self.logout}

    def refresh(self, caller: Session, token: Annotated[str, Meta(max_length=MAX_PROOF)]) -> Answer:
        """Go on for as long as another token of the same client is good, which must come by the caller's method.

        Returns:
            Until when that is, in seconds since 1970.
        Raises:
            ApplicationError: wamp.error.authentication_failed, or wamp.error.invalid_argument where the session's login
                does not expire.
        """
        tenure = getattr(caller, "tenure", None)
        if not isinstance(tenure, Deadline):
            raise ApplicationError("wamp.error.invalid_argument", "the login of this session does not expire")

        async def work() -> list[float]:
            return [await tenure.renew(token)]

        return Answer(later=work)

    def logout(self, caller: Session) -> Answer:
        """Forget the cookie that the caller logged in with, or on; the caller's own session goes on.

        Returns:
            How many other sessions of the same cookie end.
        """
        tenure = getattr(caller, "tenure", None)
        return Answer([0 if tenure is None else tenure.log_out()])
