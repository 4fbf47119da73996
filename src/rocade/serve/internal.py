"""Calls that the router itself makes: of authenticators, and of whatever else it asks its clients for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from rocade.errors import ApplicationError
from rocade.net.link import Wire, unframed
from rocade.router.permissions import EVERYTHING, Role
from rocade.serve.session import ConnectedSession
from rocade.wamp.codec import MSGPACK
from rocade.wamp.messages import (
    Call,
    CallOptions,
    Cancel,
    CancelMode,
    CancelOptions,
    Error,
    Result,
)
from rocade.wamp.pieces import Pieces

if TYPE_CHECKING:
    from rocade.router.realm import Realm
    from rocade.router.session import Session
    from rocade.serve.gateway import Gateway
    from rocade.serve.translation import Slot

__all__ = ["InternalCalls"]

MAX_ANSWER_BYTES = 64 * 1024
"""Longest answer to a call of the router itself: it is decoded here and now."""

_WIRE = Wire("internal", MSGPACK, unframed)
_TRUSTED = Role("trusted", [EVERYTHING])


class InternalCalls:
    """Calls procedures of the gateway's realms, in the name of the router.

    Each realm has one session for it, which is no member of the realm: neither listed nor counted there, and nobody
    can end it. What it calls goes through the same core as the calls of clients.
    """

    def __init__(self, gateway: Gateway) -> None:
        """
        Args:
            gateway: whose realms they are.
        """
        self._gateway = gateway
        # realm -> the session that calls there
        self._callers: dict[Realm, _Caller] = {}

    def has_realm(self, name: str) -> bool:
        """Whether there is a realm of that name."""
        return name in self._gateway.realms

    async def call(self, realm: str, procedure: str, *args: Any) -> Any:
        """What a procedure returns: its result, or all of them as a list if there is not exactly one.

        Given up, as by a deadline, the call is canceled.

        Args:
            realm: where it is registered.
            procedure: its URI.
            *args: what it is called with.
        Raises:
            ApplicationError: it failed, is not registered, or there is no such realm.
        """
        there = self._gateway.realms.get(realm)
        if there is None:
            raise ApplicationError("wamp.error.no_such_realm", f"there is no realm {realm!r}")
        caller = self._callers.get(there)
        if caller is None:
            caller = self._callers[there] = _Caller(self._gateway, there)
        return await caller.call(procedure, args)

    def is_callee(self, realm: str, procedure: str, session: Session) -> bool:
        """Whether calls of a procedure may go to this session.

        Args:
            realm: where it is called.
            procedure: its URI.
            session: any session.
        """
        there = self._gateway.realms.get(realm)
        registration = None if there is None else there.dealer.best_match(procedure)
        return registration is not None and session in registration.callees


class _Caller:
    """The router's session in one realm. It is an outbox as well: what is put into it are answers to its calls."""

    def __init__(self, gateway: Gateway, realm: Realm) -> None:
        self.wire = _WIRE
        self.max_send_bytes = MAX_ANSWER_BYTES
        self.link = self
        self._delivery = gateway.delivery
        self._realm = realm
        self._session = ConnectedSession(
            gateway.new_session_id(), realm.name, _TRUSTED, MSGPACK, authid="router", authmethod="internal"
        )
        self._session.outbox = self  # type: ignore[assignment]
        self._session.connection = self._session.resumption = self._session.tenure = None
        self._last_request = 0
        # CALL.Request -> who waits for the answer
        self._pending: dict[int, asyncio.Future[Any]] = {}

    async def call(self, procedure: str, args: tuple[Any, ...]) -> Any:
        self._last_request = request = self._last_request + 1
        loop = asyncio.get_running_loop()
        answer = self._pending[request] = loop.create_future()
        try:
            self._send(Call(request, CallOptions(), procedure, MSGPACK.dump(list(args))))
            return await answer
        finally:
            if self._pending.pop(request, None) is not None:
                self._send(Cancel(request, CancelOptions(mode=CancelMode.KILLNOWAIT)))

    def _send(self, message: Call | Cancel) -> None:
        now = asyncio.get_running_loop().time()
        self._delivery.carry_out(self._realm, self._realm.receive(self._session, message, now))

    def put_slot(self, slot: Slot) -> None:
        """An answer will come, by `fill` or `drop`; nothing else waits for it."""

    def drop(self, slot: Slot) -> None:
        """It will not; there is another one."""

    def fill(self, _slot: Slot, frame: bytes | Pieces) -> None:
        """It has come."""
        self.put(frame)

    def put(self, frame: bytes | Pieces) -> None:
        """An answer has come."""
        message = MSGPACK.decode(bytes(frame), is_patient=True)
        assert isinstance(message, Result | Error), "it only calls"
        answer = self._pending.pop(message.request, None)
        if answer is None or answer.done():
            return
        args = MSGPACK.load(message.args) if message.args else []  # type: ignore[arg-type]  # decoded, so raw
        if isinstance(message, Result):
            answer.set_result(args[0] if len(args) == 1 else args)
        else:
            answer.set_exception(ApplicationError(message.error, *args))
