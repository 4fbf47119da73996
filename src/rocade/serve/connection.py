"""One connection's way from HELLO to GOODBYE."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rocade.errors import CheckFailed, DecodingTakesLong, NotUtf8, ProtocolViolation
from rocade.net.door import Door
from rocade.net.link import Link
from rocade.router.realm import Realm
from rocade.serve.admission import CHECKING, Admission
from rocade.serve.authentication import Authenticator
from rocade.serve.authentication.tenure import LOGGED_OUT
from rocade.serve.blocks import Frame
from rocade.serve.handshake import MAX_TEXT, Handshake
from rocade.serve.outbox import Outbox
from rocade.serve.rates import Meter
from rocade.serve.session import ConnectedSession
from rocade.wamp.handshake import LIFE_CYCLE, ROUTER, Direction, SessionState, advance
from rocade.wamp.messages import Abort, Authenticate, CloseDetails, Goodbye, Hello, Message

if TYPE_CHECKING:
    from rocade.serve.checking import Checked, Job
    from rocade.serve.gateway import Gateway

__all__ = ["Connection"]

HELLO_TIMEOUT = 10.0
"""Seconds that a connection may be open without HELLO."""

MAX_HANDSHAKE_BYTES = 65536
"""Longest message of clients that have no session: nobody knows yet who they are."""

GOODBYE_TIMEOUT = 5.0
"""Seconds that a client has to answer our GOODBYE."""

logger = logging.getLogger("rocade.connection")


class Connection:
    """What a link brings, for the router: first for the handshake, and then for admission.

    It is the `Receiver` of its link.

    Attributes:
        link: the connection's bytes.
        outbox: what is sent on it.
        state: where its session is in its life.
        session: the open session, or None.
        address: the address that it counts for, or None; known from HELLO on.
        door: of the transport it came by.
        realm: the session's realm, or None.
    """

    __slots__ = (
        "_address_counts",
        "_admission",
        "_authenticators",
        "_behind",
        "_check",
        "_deadline",
        "_decode",
        "_gateway",
        "_handshake",
        "_meter",
        "_pauses",
        "_quick_bytes",
        "address",
        "door",
        "link",
        "outbox",
        "realm",
        "session",
        "state",
    )

    def __init__(self, link: Link, gateway: Gateway, authenticators: Mapping[str, Authenticator], door: Door) -> None:
        """
        Args:
            link: a new link.
            gateway: where its sessions live.
            authenticators: authentication method -> authenticator, of the transport it came by.
            door: of that transport.
        """
        self.link = link
        self.outbox = Outbox(link, gateway.flusher, gateway.max_outbox_bytes)
        self.state = SessionState.CLOSED
        self.session: ConnectedSession | None = None
        self.realm: Realm | None = None
        self._admission: Admission | None = None
        self._gateway = gateway
        self._authenticators = authenticators
        self._decode: Callable[[bytes], Message] = link.wire.serializer.decode
        self._deadline: asyncio.TimerHandle | None = None
        # From HELLO to WELCOME.
        self._handshake: Handshake | None = None
        self.door = door
        self.address: str | None = None
        self._address_counts = False
        self._meter: Meter | None = None
        # Longest message that is taken as it comes, without another look at who sent it.
        self._quick_bytes = MAX_HANDSHAKE_BYTES
        # While a long message is looked through elsewhere, and what has come behind it although reading is paused.
        self._check: Job | None = None
        self._behind: deque[bytes | memoryview] | None = None
        self._pauses = 0
        self._expect_hello()

    # --- what the link tells ----------------------------------------------------------------------

    def message_received(self, data: bytes | memoryview) -> None:
        """One serialized message has arrived."""
        if self.state is SessionState.ABORTED:
            return
        try:
            if len(data) > self._quick_bytes and self._is_taken_apart(data):
                return
            message = self._decode(data)  # type: ignore[arg-type]  # views are long
            if self._admission is not None and type(message) not in LIFE_CYCLE:
                self._admission.submit(message)
            else:
                self._handle(message)
        except ProtocolViolation as violation:
            self.violated(violation)
        except DecodingTakesLong as why:
            self._decode_elsewhere(data, why)
        except Exception:
            self.failed()

    def pause_reading(self, why: int) -> None:
        """Read no more of the link until the last reason not to is gone.

        Args:
            why: `WAITING`, `BREAK`, `CHECKING` or `RATE` of `serve.admission`.
        """
        if not self._pauses:
            self.link.pause_reading()
        self._pauses |= why

    def resume_reading(self, why: int) -> None:
        """This reason is gone."""
        if self._pauses & why:
            self._pauses &= ~why
            if not self._pauses:
                self.link.resume_reading()

    def writing_paused(self) -> None:
        """The client reads too slowly."""
        self.outbox.pause()

    def writing_resumed(self) -> None:
        """The client has caught up."""
        self.outbox.resume()

    def link_lost(self, reason: str) -> None:
        """The connection is gone, and its session with it."""
        self.state = SessionState.ABORTED
        self._stop_waiting()
        if self.session is not None and self.session.resumption is not None:
            resumption = self.session.resumption
            self._forget_session()
            resumption.detach(reason)
        else:
            self.outbox.close()
            self._leave(reason)
        self._gateway.connection_closed(self)

    # --- long messages ----------------------------------------------------------------------------

    def _is_taken_apart(self, data: bytes | memoryview) -> bool:
        """Take a message that is long, or has come behind a long one; False if it can be decoded here and now.

        Raises:
            ProtocolViolation: it is too long for somebody without a session.
        """
        if self._behind is not None:
            self._behind.append(data)
            return True
        if self.state in _WITHOUT_SESSION:
            raise ProtocolViolation(
                f"{len(data)} bytes, where at most {MAX_HANDSHAKE_BYTES} are allowed without a session"
            )
        if len(data) <= self.link.wire.serializer.quick_bytes:
            return False
        if self._meter is not None:
            self._meter.count(len(data))
        self._look_through(data)
        return True

    def _decode_elsewhere(self, data: bytes | memoryview, why: DecodingTakesLong) -> None:
        """Take a message that is not long, but such that decoding it would hold the loop; it has been counted."""
        if self.state not in _WITHOUT_SESSION:
            self._look_through(data)
            return
        try:
            # It may be the machine that was busy with something else.
            self._handle(self._decode(data))  # type: ignore[arg-type]
        except ProtocolViolation as violation:
            self.violated(violation)
        except DecodingTakesLong:
            self.violated(ProtocolViolation(f"without a session, messages are to be simple: {why}"))
        except Exception:
            self.failed()

    def _look_through(self, data: bytes | memoryview) -> None:
        # What the client has sent behind it stays in the link; what comes all the same is taken in its turn.
        self._behind = deque()
        self._quick_bytes = -1
        self.pause_reading(CHECKING)
        self._check = self._gateway.checking.check(data, self.link.wire.serializer, self._checked)

    def _checked(self, result: Checked) -> None:
        """The long message is decoded, or there is something wrong with it; now it is handled in its place."""
        behind, self._behind, self._check = self._behind, None, None
        self._quick_bytes = MAX_HANDSHAKE_BYTES
        assert behind is not None
        try:
            if isinstance(result, Exception):
                raise result
            if self._admission is not None and type(result) not in LIFE_CYCLE:
                self._admission.submit(result)
            else:
                self._handle(result)
        except ProtocolViolation as violation:
            self.violated(violation)
        except CheckFailed as failure:
            logger.warning("%s dropped: %s", self.link.info.peer, failure)
            self.abort(failure.uri, str(failure))
        except Exception:
            self.failed()
        for data in behind:
            self.message_received(data)
        if self._check is None:
            self.resume_reading(CHECKING)

    def _stop_checking(self) -> None:
        if self._check is not None:
            self._check.cancel()
            self._check = self._behind = None
            self._quick_bytes = MAX_HANDSHAKE_BYTES
            self.resume_reading(CHECKING)

    # --- the session's life -----------------------------------------------------------------------

    def _handle(self, message: Message) -> None:
        """A message of the session's life cycle."""
        previous = self.state
        self.state = advance(ROUTER, previous, Direction.RECEIVED, message)
        if type(message) is Hello and self.state is SessionState.ESTABLISHING:
            self._stop_waiting()
            self._handshake = Handshake(self, self._gateway, self._authenticators)
            self._handshake.hello(message)
        elif type(message) is Authenticate:
            assert self._handshake is not None, "CHALLENGED means that there is one"
            self._handshake.answer(message)
        elif type(message) is Goodbye:
            self._goodbye(message, answer=previous is SessionState.ESTABLISHED)
        elif type(message) is Abort:
            self._leave(f"ABORT {message.reason}")
            self.close()

    def carry(self, session: ConnectedSession, realm: Realm, admission: Admission) -> None:
        """Let a session have this connection, which has said WELCOME.

        Args:
            session: a new one, or one that is resumed.
            realm: where it is.
            admission: the way of its messages.
        """
        self._handshake = None
        session.connection = self
        self.session, self.realm, self.outbox, self._admission = session, realm, session.outbox, admission
        self._count_session(session, realm)

    def give_up(self, reason: str) -> None:
        """Let go of the session, which goes on without this connection, and drop the connection."""
        session = self.session
        if session is None or session.resumption is None:
            return
        self.state = SessionState.ABORTED
        self._stop_waiting()
        self._forget_session()
        session.resumption.take_away()
        logger.debug("%s dropped: %s", self.link.info.peer, reason)
        self.link.abort()

    def _forget_session(self) -> None:
        """The session goes on elsewhere, and its outbox with it."""
        self.session = self.realm = self._admission = None
        self._uncount_session()
        self.outbox = Outbox(self.link, self._gateway.flusher)

    def _goodbye(self, goodbye: Goodbye, *, answer: bool) -> None:
        if goodbye.reason == LOGGED_OUT and self.session is not None and self.session.tenure is not None:
            self.session.tenure.log_out()
        self._leave(goodbye.reason)
        if answer:
            # "a GOODBYE message sent by one Peer and a GOODBYE message sent from the other Peer in response"
            self.send(Goodbye(CloseDetails(), "wamp.close.goodbye_and_out"))
            # The same transport may carry a new session; without one it is closed, and nothing is said any more.
            self._deadline = asyncio.get_running_loop().call_later(HELLO_TIMEOUT, self.close)
        else:
            self.close()

    # --- ending -----------------------------------------------------------------------------------

    def say_goodbye(self, reason: str, text: str | None) -> None:
        """Close the session in an orderly way; the connection is closed once the client has answered."""
        if self.state is SessionState.ESTABLISHED:
            self.send(Goodbye(CloseDetails(message=text), reason))
            self._leave(reason)
            self._deadline = asyncio.get_running_loop().call_later(GOODBYE_TIMEOUT, self.close)
        else:
            self.close()

    def violated(self, violation: ProtocolViolation) -> None:
        """The client broke the protocol: ABORT, end its session, close the connection."""
        if type(violation) is NotUtf8 and self.link.invalid_text():
            return
        text = str(violation)[:MAX_TEXT]
        logger.warning("%s broke the protocol: %s", self.link.info.peer, text)
        self.abort(violation.uri, text)

    def failed(self) -> None:
        """We failed, with the exception that is being handled: ABORT, end its session, close the connection."""
        logger.exception("our fault, on a message from %s; its session ends", self.link.info.peer)
        self.abort("wamp.error.runtime_error", "the router failed on this message")

    def close(self) -> None:
        """Close the connection once everything is out."""
        self.state = SessionState.ABORTED
        self._stop_waiting()
        self.outbox.finish()
        self.link.close()

    def abort(self, uri: str, text: str) -> None:
        """Say ABORT, end the session, close the connection.

        Args:
            uri: the reason.
            text: plain words for the client.
        """
        self.outbox.put(self._framed(Abort(CloseDetails(message=text), uri)))
        self.state = SessionState.ABORTED
        self._stop_waiting()
        self.outbox.finish()
        self._leave(uri)
        self.link.close(failure=uri == ProtocolViolation.uri)

    def fall_silent(self) -> None:
        """Take no more messages of the session, which has ended: its client is told so when its turn comes."""
        if self._admission is not None:
            self._admission.close()
            self._admission = None

    def _leave(self, reason: str) -> None:
        session, realm = self.session, self.realm
        if session is None or realm is None:
            return
        self.fall_silent()
        if session.resumption is not None:
            session.resumption.outbox.stop_keeping()
        if session.tenure is not None:
            session.tenure.end()
        self.session = self.realm = None
        self._uncount_session()
        effects = realm.leave(session)
        if session.is_leaving or self._gateway.delivery.has_backlog(realm):
            session.part()
        self._gateway.delivery.carry_out(realm, effects)
        session.resumption = None
        logger.debug("session %d left %r: %s", session.id, realm.name, reason)

    # --- limits -----------------------------------------------------------------------------------

    def _count_session(self, session: ConnectedSession, realm: Realm) -> None:
        """The connection has a session: it is no handshake any more, and may send as fast as the session may."""
        self.door.settle(self.link.info.peer)
        if self.address is not None:
            self._address_counts = True
            self.door.session_opened(self.address)
        usage = self._gateway.usage(realm)
        gauges = usage.gauges(session)
        if gauges:
            ends_session = usage.allowances.of(session.authrole).ends_session
            self._meter = Meter(self, self._decode, gauges, ends_session=ends_session)
            self._decode = self._meter.decode

    def _uncount_session(self) -> None:
        if self._address_counts and self.address is not None:
            self._address_counts = False
            self.door.session_closed(self.address)
        if self._meter is not None:
            self._meter.close()
            self._meter = None
            self._decode = self.link.wire.serializer.decode

    def limit_reached(self, limit: str, text: str) -> None:
        """Tell the operator of a limit.

        Args:
            limit: its name.
            text: what follows for the client.
        """
        self._gateway.counters.limit_reached(limit, self.address or self.link.info.peer, text)

    # --- details ----------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Send a message of the session's life cycle."""
        self.state = advance(ROUTER, self.state, Direction.SENT, message)
        self.outbox.put(self._framed(message))

    def _framed(self, message: Message) -> Frame:
        wire = self.link.wire
        return wire.frame(wire.serializer.encode(message))

    def _expect_hello(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(HELLO_TIMEOUT, self._no_hello)

    def _no_hello(self) -> None:
        self._deadline = None
        logger.info("%s closed: no session within %g s", self.link.info.peer, HELLO_TIMEOUT)
        self.abort(ProtocolViolation.uri, f"no HELLO within {HELLO_TIMEOUT:g} seconds")

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._handshake is not None:
            handshake, self._handshake = self._handshake, None
            handshake.stop()
        self._stop_checking()


_WITHOUT_SESSION = frozenset((SessionState.CLOSED, SessionState.ESTABLISHING, SessionState.CHALLENGED))
