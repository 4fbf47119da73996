"""Sessions that outlive their connection: nothing is lost when the network drops, and nothing happens twice.

Both sides count the messages of the session, from the first one behind WELCOME. What was sent is kept until
the other side has said that it arrived (RECEIVED). After a drop the session stays in its realm for a while; a
new connection takes it up with a single-use token, both sides tell each other how far they came, and each
sends the rest again, in order, once. The protocol is written up in docs/resume.md.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from typing import TYPE_CHECKING

from rocade.errors import (
    DecodingTakesLong,
    HandshakeRefused,
    PayloadNotSerializable,
    PayloadTooLarge,
    ProtocolViolation,
    TranslationTakesLong,
)
from rocade.net.link import Link, Wire
from rocade.serve.admission import Admission
from rocade.serve.blocks import Blocks, Frame
from rocade.serve.outbox import Outbox
from rocade.serve.translation import Slot
from rocade.wamp.messages import Hello, Message, Received

if TYPE_CHECKING:
    from rocade.router.realm import Realm
    from rocade.serve.authorization import Authorizer
    from rocade.serve.flushing import Flusher
    from rocade.serve.gateway import Gateway
    from rocade.serve.session import ConnectedSession

__all__ = ["ResumableAdmission", "ResumableOutbox", "Resumption", "find"]

RECEIVED_EVERY = 64
"""Messages after which the router tells how many it has received."""

RECEIVED_WITHIN = 1.0
"""Seconds after which it tells so at the latest."""

MAX_TRANSLATED_BYTES = 8 * 1024
"""What is translated when a session is resumed with another serializer: it is done at once, and holds the loop."""

MAX_REFRAMED_BYTES = 4 * 1024 * 1024
"""What gets other frames when a session is resumed on another kind of link, beside long messages: it is copied."""

MAX_REFRAMED_MESSAGES = 5000
"""How many messages get other frames."""

logger = logging.getLogger("rocade.resumption")


class ResumableOutbox(Outbox):
    """An outbox that keeps what it has sent until the client has received it.

    Attributes:
        received: how many messages of the session the client has confirmed.
    """

    __slots__ = ("_attached", "_kept", "received", "resumption")

    def __init__(self, link: Link, flusher: Flusher, limit: int) -> None:
        """
        Args:
            link: where the frames go, until the connection is lost.
            flusher: told when there is something to flush.
            limit: bytes that may wait, or be unconfirmed.
        """
        super().__init__(link, flusher, limit)
        self.received = 0
        self.resumption: Resumption | None = None
        # Messages, and the slots of those that are still being translated, which count as one each.
        self._kept = Blocks(limit)
        self._attached = True

    def put(self, frame: Frame) -> None:
        """Add a framed message of the session: sent now or after a resumption, kept until it is confirmed."""
        if self._is_apart or not self._attached or self.resumption is None:
            self._put_otherwise(frame)
            return
        size = len(frame)
        kept, waiting = self._kept, self._waiting
        kept.tail.append(frame)
        kept.size += size
        # As in `Outbox`, and here again, since an event for many is put once for each of them.
        frames = waiting.tail
        if not frames and not self._paused:
            self._flusher.needs_flush(self)
        frames.append(frame)
        waiting.size += size
        if kept.size > kept.mark or waiting.size > waiting.mark:
            self._fill_up()

    def _fill_up(self) -> None:
        super()._fill_up()
        self._kept.fill_up()
        # What waits is among what is kept.
        if self._kept.size > self._limit and not self._closed:
            self._overflow()

    def _put_otherwise(self, frame: Frame) -> None:
        """As `put`: nowhere, behind a slot, without a connection, or after the end of the session."""
        if self._closed:
            return
        if self.resumption is not None:
            self._kept.put(frame)
        if self._attached:
            super().put(frame)
        elif self.resumption is not None:
            self.resumption.keeps_more(len(frame))
        self._fill_up()

    def put_slot(self, slot: Slot) -> None:
        """See `Outbox.put_slot`."""
        if self._closed:
            return
        if self.resumption is not None:
            self._kept.put_slot(slot)
        if self._attached:
            super().put_slot(slot)

    def fill(self, slot: Slot, frame: Frame) -> None:
        """See `Outbox.fill`. The session may be on another kind of link by now, with the same serializer."""
        if slot.wire is not self.wire:
            frame = _reframed(frame, slot.wire, self.wire)
        if self._kept.replace(slot, frame) and not self._attached and self.resumption is not None:
            self.resumption.keeps_more(len(frame))
        super().fill(slot, frame)
        self._fill_up()

    def drop(self, slot: Slot) -> None:
        """See `Outbox.drop`. It has not been sent, and nothing behind it, so it was not counted by anybody."""
        self._kept.remove(slot)
        super().drop(slot)

    def take_over(self, previous: Outbox) -> None:
        """Send first what still waits in the connection's outbox so far, WELCOME among it."""
        self._waiting, previous._waiting = previous._waiting, Blocks(self._limit)
        self._paused = previous._paused
        self._flusher.needs_flush(self)

    def stop_keeping(self) -> None:
        """The session is over: nothing will be sent again."""
        self.resumption = None
        self._kept.clear()

    def put_uncounted(self, frame: Frame) -> None:
        """Add a framed message that is none of the session's: neither counted nor sent again."""
        if self._attached:
            super().put(frame)

    def confirm(self, count: int) -> None:
        """Let go of what the client has received.

        Args:
            count: messages of the session that it has received in all.
        Raises:
            ProtocolViolation: fewer than it confirmed before, or more than were sent.
        """
        most = self.received + len(self._kept)
        if not self.received <= count <= most:
            raise ProtocolViolation(f"{count} messages received, where {self.received} to {most} are possible")
        self._kept.drop(count - self.received)
        self.received = count

    @property
    def kept_bytes(self) -> int:
        """Bytes of what is kept."""
        return self._kept.size

    @property
    def is_closed(self) -> bool:
        """Whether messages have been lost, so that nobody can continue."""
        return self._closed

    def detach(self) -> None:
        """The connection is lost: from here on messages are only kept."""
        self._attached = False
        self._waiting.clear()
        self._paused = False
        self._forget_behind()

    def translate(self, link: Link) -> None:
        """Prepare to continue on a new link: what is kept is re-encoded if its serializer is another.

        Raises:
            HandshakeRefused: the link cannot carry it. All is as before.
        """
        before, after = self.wire, link.wire
        max_send_bytes = link.max_send_bytes + len(after.frame(b""))
        if after is not before or max_send_bytes < self.max_send_bytes:
            try:
                self._kept = self._reframed(link, max_send_bytes)
            except PayloadNotSerializable as error:
                text = f"what is kept for the session cannot be sent here: {error}"
                raise HandshakeRefused(error.uri, text) from None
        self.wire, self.max_send_bytes = after, max_send_bytes

    def _reframed(self, link: Link, max_send_bytes: int) -> Blocks:
        """What is kept, for another kind of link.

        Raises:
            PayloadNotSerializable: the link cannot carry it.
        """
        before, after, kept = self.wire, link.wire, self._kept
        if len(kept) > MAX_REFRAMED_MESSAGES:
            raise PayloadTooLarge(f"{len(kept)} messages are too many for another kind of connection than before")
        copied = sum(len(frame) for frame in kept if type(frame) is bytes)
        if after.serializer is not before.serializer:
            if kept.size > MAX_TRANSLATED_BYTES or kept.slots:
                raise PayloadTooLarge(f"{kept.size} bytes are too many to be translated from {before.serializer.name}")
        elif copied > MAX_REFRAMED_BYTES:
            raise PayloadTooLarge(f"{copied} bytes are too many for another kind of connection than before")
        reframed = Blocks(self._limit)
        for frame in kept:
            if isinstance(frame, Slot):
                reframed.put_slot(frame)
            else:
                reframed.put(frame if after is before else _reframed(frame, before, after))
        longest = max(map(len, reframed), default=0)
        if longest > max_send_bytes:
            text = f"{longest} bytes are more than the {link.max_send_bytes} that this connection accepts"
            raise PayloadTooLarge(text)
        return reframed

    def attach(self, link: Link, previous: Outbox) -> None:
        """Continue on a new link, after `translate`: what is not confirmed goes out again.

        Args:
            link: the link.
            previous: what still waits there, WELCOME among it, is sent first.
        """
        self.link = link
        self._attached = True
        self.take_over(previous)
        if not self._kept.slots:
            self._waiting.extend(self._kept)
            return
        for frame in self._kept:
            if isinstance(frame, Slot):
                super().put_slot(frame)
            else:
                super().put(frame)

    def _overflow(self) -> None:
        if self._attached:
            super()._overflow()
        if self.resumption is not None:
            self.resumption.end_soon(f"more than {self._limit} bytes are unconfirmed")


def _reframed(frame: Frame, before: Wire, after: Wire) -> Frame:
    payload = before.unframe(frame)
    if before.serializer is not after.serializer:
        try:
            payload = after.serializer.encode(before.serializer.decode(bytes(payload)), before.serializer)
        except (DecodingTakesLong, TranslationTakesLong) as why:
            raise PayloadTooLarge(f"that takes long to translate: {why}") from None
    return after.frame(payload)


class ResumableAdmission(Admission):
    """Admission that counts, and takes the client's confirmations.

    Attributes:
        received: how many messages of the session have arrived.
        has_heard: whether any message has arrived since the session was resumed last.
    """

    __slots__ = ("_confirmed", "_timer", "_told", "has_heard", "received")

    def __init__(self, session: ConnectedSession, realm: Realm, authorizer: Authorizer, gateway: Gateway) -> None:
        """As `Admission`."""
        super().__init__(session, realm, authorizer, gateway)
        self.received = 0
        self.has_heard = True
        self._confirmed = 0
        # How many messages the client has said, on this connection, that it has received.
        self._told = 0
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, message: Message) -> None:
        """Count a message and let it in; RECEIVED is neither counted nor let in."""
        self.has_heard = True
        if type(message) is Received:
            outbox = self.session.outbox
            assert isinstance(outbox, ResumableOutbox)
            # One that is lower than what was told with a resumption that was refused is only late.
            if not self._told <= message.count < outbox.received:
                outbox.confirm(message.count)
            self._told = message.count
            return
        self.received += 1
        if self.received - self._confirmed >= RECEIVED_EVERY:
            self._confirm()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(RECEIVED_WITHIN, self._confirm)
        super().submit(message)

    def confirmed_by_welcome(self) -> int:
        """How many messages have arrived, for WELCOME to tell."""
        self._stop_timer()
        self._confirmed = self.received
        self._told = 0
        self.has_heard = False
        return self.received

    def close(self) -> None:
        """The session is gone."""
        self._stop_timer()
        super().close()

    def _confirm(self) -> None:
        self._stop_timer()
        self._confirmed = self.received
        outbox = self.session.outbox
        assert isinstance(outbox, ResumableOutbox)
        wire = outbox.wire
        outbox.put_uncounted(wire.frame(wire.serializer.encode(Received(self.received))))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Resumption:
    """What it takes to resume one session.

    Attributes:
        session: the session.
        realm: where it is.
        admission: the way of its messages.
        outbox: what is kept for it.
        token: what a client has to know to resume it, valid once.
    """

    __slots__ = (
        "_gateway",
        "_is_parked",
        "_parked_bytes",
        "_previous_token",
        "_timer",
        "admission",
        "outbox",
        "realm",
        "session",
        "token",
    )

    def __init__(self, session: ConnectedSession, realm: Realm, gateway: Gateway, link: Link) -> None:
        """
        Args:
            session: a new session.
            realm: where it is.
            gateway: whose window applies.
            link: its connection now.
        """
        self.session = session
        self.realm = realm
        self.admission = ResumableAdmission(session, realm, gateway.authorizer, gateway)
        self.outbox = ResumableOutbox(link, gateway.flusher, gateway.max_outbox_bytes)
        self.token = self._previous_token = secrets.token_urlsafe(24)
        self._gateway = gateway
        self._timer: asyncio.TimerHandle | None = None
        # Whether it counts among those without a connection, and with how many bytes.
        self._is_parked = False
        self._parked_bytes = 0
        self.outbox.resumption = self

    def detach(self, reason: str) -> None:
        """The connection is lost: keep the session for the gateway's window."""
        self.take_away()
        if self.outbox.is_closed:
            self.end("what was sent is lost")
            return
        if not self._park():
            return
        window = self._gateway.resume_window
        self._timer = asyncio.get_running_loop().call_later(window, self.end, f"not resumed within {window:g} s")
        self._gateway.delivery.carry_out(self.realm, self.realm.detach(self.session))
        logger.debug("session %d is without a connection: %s", self.session.id, reason)

    def _park(self) -> bool:
        """Count the session among those without a connection; whether there is room for it. If not, it ends."""
        size = self.outbox.kept_bytes
        limit = self._gateway.usage(self.realm).parking.park(self.session, size)
        if limit is not None:
            self._gateway.limit_reached(self.session, limit, "its session ends with its connection")
            self.end(f"the limit {limit} is reached")
            return False
        self._is_parked, self._parked_bytes = True, size
        return True

    def _unpark(self) -> None:
        if self._is_parked:
            self._is_parked = False
            self._gateway.usage(self.realm).parking.leave(self.session, self._parked_bytes)

    def keeps_more(self, size: int) -> None:
        """More bytes are kept, while there is no connection."""
        if self._is_parked:
            self._parked_bytes += size
            if not self._gateway.usage(self.realm).parking.grow(size):
                self._gateway.limit_reached(self.session, "parked_bytes", "its session cannot be resumed")
                self.end_soon("the limit parked_bytes is reached")

    def take_away(self) -> None:
        """The session has no connection from here on."""
        self.session.connection = None
        self.outbox.detach()

    def check(self, hello: Hello, link: Link) -> None:
        """Whether this HELLO may resume the session; there is a new token if it may.

        The token before that stays good until the client is heard of on the new connection: with that, WELCOME may
        be lost, and the new token in it.

        Args:
            hello: what the client sent.
            link: where.
        Raises:
            HandshakeRefused: it may not, and the text does not say why; or the link cannot carry what is kept.
            ProtocolViolation: the client confirms messages that were never sent.
        """
        details = hello.details
        given = (details.resume_token or "").encode()
        is_previous = not self.admission.has_heard and hmac.compare_digest(given, self._previous_token.encode())
        if not (is_previous or hmac.compare_digest(given, self.token.encode())) or self.outbox.is_closed:
            raise _unknown()
        if details.authid is not None and details.authid != self.session.authid:
            raise _unknown()
        self.outbox.confirm(details.received or 0)
        self.outbox.translate(link)
        if not is_previous:
            self._previous_token = self.token
        self.token = secrets.token_urlsafe(24)

    def attach(self, link: Link, previous: Outbox) -> None:
        """Continue on a new link.

        Args:
            link: the link, as for `check`.
            previous: what is sent there first, WELCOME among it.
        """
        self.stop_waiting()
        self._unpark()
        self.session.serializer = link.wire.serializer
        self.outbox.attach(link, previous)

    def end_soon(self, reason: str) -> None:
        """As `end`, but not from within what is going on."""
        asyncio.get_running_loop().call_soon(self.end, reason)

    def end(self, reason: str) -> None:
        """The session will not be resumed: it ends as any other."""
        if self.session.connection is not None:
            return
        self.stop_waiting()
        self._unpark()
        self.admission.close()
        self.outbox.close()
        self.outbox.stop_keeping()
        self.session.resumption = None
        if self.session.tenure is not None:
            self.session.tenure.end()
        self._gateway.delivery.carry_out(self.realm, self.realm.leave(self.session))
        logger.debug("session %d left %r: %s", self.session.id, self.realm.name, reason)

    def stop_waiting(self) -> None:
        """The window is over, one way or the other."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def find(realm: Realm | None, hello: Hello) -> Resumption:
    """What the client wants to resume.

    Args:
        realm: which it named; None if there is none of that name.
        hello: with a session and a token.
    Raises:
        HandshakeRefused: there is no such session, or it cannot be resumed.
    """
    session = None if realm is None else realm.sessions.get(hello.details.resume_session or 0)
    resumption: Resumption | None = getattr(session, "resumption", None)
    if resumption is None:
        raise _unknown()
    return resumption


def _unknown() -> HandshakeRefused:
    return HandshakeRefused("wamp.error.no_such_session", "there is no such session to resume")
