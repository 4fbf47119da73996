"""Sessions of the routing core that have clients."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rocade.errors import ProtocolViolation
from rocade.router.session import Session

if TYPE_CHECKING:
    from rocade.serve.authentication.tenure import Tenure
    from rocade.serve.connection import Connection
    from rocade.serve.outbox import Outbox
    from rocade.serve.resumption import Resumption

__all__ = ["ConnectedSession"]

logger = logging.getLogger("rocade.gateway")


class ConnectedSession(Session):
    """A session of the routing core, with the way back to its client.

    Attributes:
        outbox: what is sent to it goes here.
        connection: the connection that it has now; None while it waits to be resumed.
        resumption: what it takes to resume it; None when it ends with its connection.
        tenure: what its login brought along; ends with it.
    """

    __slots__ = ("connection", "outbox", "resumption", "tenure")

    outbox: Outbox
    connection: Connection | None
    resumption: Resumption | None
    tenure: Tenure | None

    def abort(self, violation: ProtocolViolation) -> None:
        """It broke the protocol: end it, and its connection."""
        if self.connection is not None:
            self.connection.violated(violation)
        elif self.resumption is not None:
            logger.warning("session %d, without a connection, broke the protocol: %s", self.id, violation)
            self.resumption.end_soon(violation.uri)

    def fail(self) -> None:
        """End it over a failure of ours, the exception that is being handled."""
        if self.connection is not None:
            self.connection.failed()
        elif self.resumption is not None:
            logger.exception("our fault, on a message of session %d; it ends", self.id)
            self.resumption.end_soon("wamp.error.runtime_error")

    def part(self) -> None:
        """It goes without its client, which may be told of the end, and open another session on its connection."""
        self.outbox = self.outbox.discarding()
        self.connection = self.resumption = None

    def fall_silent(self) -> None:
        """Take no more messages of its client: the realm has let it go, and `dismiss` will follow."""
        if self.connection is not None:
            self.connection.fall_silent()
        elif self.resumption is not None:
            self.resumption.admission.close()

    def dismiss(self, reason: str, message: str | None) -> None:
        """Say GOODBYE to its client: the realm has let it go."""
        if self.connection is not None:
            self.connection.say_goodbye(reason, message)
        elif self.resumption is not None:
            self.resumption.end(reason)
