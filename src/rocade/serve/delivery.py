"""Carries out what the routing core decides: each message becomes bytes once for each kind of link among its receivers.

The same bytes go into the outbox of every receiver. The other effects are timers, look-ups and sessions that end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

from rocade.errors import ApplicationError, PayloadNotSerializable, TranslationTakesLong
from rocade.net.link import Wire
from rocade.router.calls import PendingCall
from rocade.router.effects import (
    AnswerLater,
    BitByBit,
    CancelWake,
    Deliver,
    Effect,
    EndSession,
    LimitReached,
    QueryHistory,
    Series,
    ServeWaiting,
    StoreEvent,
    WakeAt,
    Work,
)
from rocade.router.history import Page, Query
from rocade.router.realm import Realm
from rocade.router.session import Session
from rocade.serve.admission import MANY_EFFECTS
from rocade.serve.backlog import Backlog
from rocade.serve.checking import Worker
from rocade.serve.flushing import Flusher
from rocade.serve.session import ConnectedSession
from rocade.serve.translation import MAX_BACKLOG_BYTES, Translation, too_large
from rocade.wamp.codec import Serializer
from rocade.wamp.pieces import Pieces

__all__ = ["Delivery", "EventStore"]

ANSWER_DEADLINE = 15.0
"""Seconds after which a procedure of the router's own that has to find something out gives up."""

_Frames = dict[Wire, "bytes | Pieces | PayloadNotSerializable"]
"""A message framed for each kind of link, or why there is no such message."""

FEW_EFFECTS = 8
"""Effects that are carried out at once, without a look at the clock; that is all of nearly every message."""

MOST_AT_ONCE = 100
"""Receivers that a message is delivered to without a look at the clock."""

MOST_STEPS = 32
"""Steps of `Work` without a look at the clock. It begins with one: what follows from that may be news for thousands."""

logger = logging.getLogger("rocade.gateway")


class EventStore(Protocol):
    """Keeps event history outside the routing core."""

    def put(self, effect: StoreEvent) -> None:
        """Store an event behind those that came before. Never waits."""

    def find(self, query: Query, done: Callable[[Page | ApplicationError], None]) -> None:
        """Look up events among all that came before. Never waits; `done` may be called in any thread."""


class Delivery:
    """Carries out the effects of all realms of a process.

    What would take long is done bit by bit. There are two kinds of it: the effects of a realm, which are carried out in
    their order, so that what comes later waits; and `BitByBit`, which others of the realm need not wait for.
    """

    def __init__(
        self,
        flusher: Flusher,
        translating: Worker,
        event_stores: Mapping[str, EventStore],
        limit_reached: Callable[[Session, str, str], None],
    ) -> None:
        """
        Args:
            flusher: of the outboxes.
            translating: puts the payload of long messages into other serializers.
            event_stores: realm name -> where its event history is kept, of realms that do not keep it in memory.
            limit_reached: told of a session that has come to a limit, with the limit's name and what follows from it.
        """
        # effects that are left, by realm
        self._backlog: Backlog[Realm] = Backlog(_call_soon)
        # what is done beside them, each for itself: it goes on when the realm has caught up
        self._beside: Backlog[tuple[Realm, Work]] = Backlog(lambda go_on, line: self.call_when_calm(go_on, line[0]))
        self._flusher = flusher
        self._translating = translating
        self._event_stores = event_stores
        self._limit_reached = limit_reached
        # call -> when it is to be woken
        self._timers: dict[PendingCall, asyncio.TimerHandle] = {}
        # what is being found out for calls of the router's own procedures
        self._answering: set[asyncio.Task[None]] = set()

    def carry_out(self, realm: Realm, effects: list[Effect]) -> bool:
        """Do what the core wants done, in its order.

        Args:
            realm: whose effects they are.
            effects: used up by this. What follows from them is added while they are carried out: calls into the
                core from within each other could become too many.
        Returns:
            Whether that was so much that others should have their turn before more of the same; see `call_when_calm`.
        """
        behind = self._backlog.lines
        if len(effects) > FEW_EFFECTS or (behind and realm in behind):
            return self._bit_by_bit(realm, effects)
        is_much = False
        rest = iter(effects)
        for effect in rest:
            if type(effect) is not Deliver:
                if type(effect) is Series or len(effects) > FEW_EFFECTS:
                    return self._bit_by_bit(realm, [effect, *rest]) or is_much
                self._do(realm, effects, effect)
                continue
            receivers: Any = effect.receivers
            if len(receivers) != 1:
                if len(receivers) > MOST_AT_ONCE:
                    return self._bit_by_bit(realm, [effect, *rest]) or is_much
                is_much = self._deliver_to_many(realm, effects, effect, receivers, {}, {}) or is_much
                continue
            for receiver in receivers:
                outbox = receiver.outbox
                wire = outbox.wire
                try:
                    frame = wire.frame(wire.serializer.encode(effect.message, effect.origin))
                except TranslationTakesLong:
                    self._translation(realm, effect, wire.serializer).keep_for(receiver)
                    is_much = is_much or self._translating.backlog > MAX_BACKLOG_BYTES
                    continue
                except PayloadNotSerializable as error:
                    effects.extend(_undeliverable(realm, effect, receiver, error.uri, str(error)))
                    continue
                if len(frame) > outbox.max_send_bytes:
                    effects.extend(_undeliverable(realm, effect, receiver, *too_large(receiver, len(frame))))
                else:
                    outbox.put(frame)
        return is_much

    def _do(self, realm: Realm, effects: list[Effect], effect: Effect) -> None:
        """Carry out an effect that is neither `Deliver` nor `Series`; what follows from it is added to the others."""
        if type(effect) is EndSession:
            effect.session.dismiss(effect.reason, effect.message)  # type: ignore[attr-defined]
        elif type(effect) is ServeWaiting:
            effects.extend(realm.serve_waiting(effect.registration))
        elif type(effect) is BitByBit:
            self._beside.add((realm, effect.work), self._see_through(realm, effect.work))
        elif type(effect) is StoreEvent:
            self._event_stores[realm.name].put(effect)
        elif type(effect) is QueryHistory:
            self._query(realm, effect)
        elif type(effect) is LimitReached:
            self._limit_reached(effect.session, effect.limit, "what goes beyond it is refused")
        elif type(effect) is AnswerLater:
            self._answer_later(realm, effect)
        else:
            self._schedule(realm, effect)  # type: ignore[arg-type]

    # --- much at once -----------------------------------------------------------------------------

    def _bit_by_bit(self, realm: Realm, effects: list[Effect]) -> bool:
        """Carry out many effects, or some that have to wait for others, in as many rounds of the loop as it takes."""
        if not effects:
            return False
        for effect in effects:
            if type(effect) is Deliver:
                if type(effect.receivers) is dict:  # one of the core's own, which may change
                    effect.receivers = list(effect.receivers)
            elif type(effect) is EndSession:
                effect.session.fall_silent()  # type: ignore[attr-defined]
        is_done = self._backlog.begin(realm, self._steps(realm, effects))
        return not is_done or len(effects) > MANY_EFFECTS or self._flusher.delivered > MANY_EFFECTS

    def _steps(self, realm: Realm, effects: list[Effect]) -> Iterator[None]:
        """Carry out effects; a step is one of them, or the delivery of a message to `MOST_AT_ONCE` receivers."""
        for effect in _one_by_one(effects):
            if type(effect) is Deliver:
                receivers: Any = effect.receivers
                frames: _Frames = {}
                translations: dict[Serializer, Translation] = {}
                if len(receivers) <= MOST_AT_ONCE:
                    self._deliver_to_many(realm, effects, effect, receivers, frames, translations)
                else:
                    if type(receivers) is not list:
                        receivers = list(receivers)
                    for start in range(0, len(receivers), MOST_AT_ONCE):
                        some = receivers[start : start + MOST_AT_ONCE]
                        self._deliver_to_many(realm, effects, effect, some, frames, translations)
                        yield
            elif effect is not None:
                self._do(realm, effects, effect)
            yield

    def _see_through(self, realm: Realm, work: Work) -> Iterator[bool]:
        """Go on with some work until it is over; a step is as much of it as brings little about."""
        most = 1
        while not work.is_over:
            is_much = False
            try:
                is_much = self.carry_out(realm, work.go_on(most))
            except Exception:
                logger.exception("our fault, in what takes long in %r", realm.name)
            most = 1 if is_much else min(2 * most, MOST_STEPS)
            yield is_much

    def _deliver_to_many(
        self,
        realm: Realm,
        effects: list[Effect],
        effect: Deliver,
        receivers: Collection[ConnectedSession],
        frames: _Frames,
        translations: dict[Serializer, Translation],
    ) -> bool:
        """The same message to many: encoded and framed once for each kind of link among them.

        Args:
            realm: whose sessions they are.
            effects: what follows is added to these.
            effect: the message.
            receivers: all of its receivers, or the next ones.
            frames: the message as it is for the receivers so far.
            translations: serializer -> the message on its way into that, likewise.
        Returns:
            Whether others should have their turn before more of the same.
        """
        for receiver in receivers:
            outbox = receiver.outbox
            wire = outbox.wire
            frame = frames.get(wire)
            if frame is None:
                try:
                    frame = wire.frame(wire.serializer.encode(effect.message, effect.origin))
                except PayloadNotSerializable as error:
                    frame = error
                frames[wire] = frame
            if type(frame) is bytes or type(frame) is Pieces:
                if len(frame) > outbox.max_send_bytes:
                    effects.extend(_undeliverable(realm, effect, receiver, *too_large(receiver, len(frame))))
                else:
                    outbox.put(frame)
            elif type(frame) is TranslationTakesLong:
                translation = translations.get(wire.serializer)
                if translation is None:
                    translation = translations[wire.serializer] = self._translation(realm, effect, wire.serializer)
                translation.keep_for(receiver)
            else:
                assert isinstance(frame, PayloadNotSerializable)
                effects.extend(_undeliverable(realm, effect, receiver, frame.uri, str(frame)))
        flusher = self._flusher
        flusher.delivered += len(receivers)
        return flusher.delivered > MANY_EFFECTS or self._translating.backlog > MAX_BACKLOG_BYTES

    def _translation(self, realm: Realm, effect: Deliver, serializer: Serializer) -> Translation:
        def undeliverable(receiver: ConnectedSession, uri: str, text: str) -> None:
            # If it has left meanwhile, its connection may carry another session by now.
            if realm.sessions.get(receiver.id) is receiver:
                self.carry_out(realm, _undeliverable(realm, effect, receiver, uri, text))

        return Translation(self._translating, effect, serializer, undeliverable)

    def has_backlog(self, realm: Realm) -> bool:
        """Whether effects of a realm are still to be carried out: what comes now comes behind them."""
        return realm in self._backlog.lines

    def call_when_calm(self, callback: Callable[[], None], realm: Realm) -> None:
        """Call back in a later round of the loop, when a realm's effects are carried out and little is translated."""
        if not self._backlog.call_when_done(realm, partial(self.call_when_calm, callback, realm)):
            self._flusher.delivered = 0
            self._translating.call_below(MAX_BACKLOG_BYTES, callback)

    def _schedule(self, realm: Realm, effect: WakeAt | CancelWake) -> None:
        pending = effect.pending
        if isinstance(effect, CancelWake):
            timer = self._timers.pop(pending, None)
            if timer is not None:
                timer.cancel()
            return
        loop = asyncio.get_running_loop()

        def wake() -> None:
            del self._timers[pending]
            self.carry_out(realm, realm.wake(pending, loop.time()))

        self._timers[pending] = loop.call_at(effect.when, wake)

    def _query(self, realm: Realm, effect: QueryHistory) -> None:
        loop = asyncio.get_running_loop()

        def answer(found: Page | ApplicationError) -> None:
            self.carry_out(realm, realm.found_out(effect, found))

        def done(found: Page | ApplicationError) -> None:
            try:
                loop.call_soon_threadsafe(answer, found)
            except RuntimeError:  # the loop is closed: nobody waits any more
                pass

        self._event_stores[realm.name].find(effect.query, done)

    def _answer_later(self, realm: Realm, effect: AnswerLater) -> None:
        async def find_out() -> None:
            found: list[Any] | ApplicationError
            try:
                async with asyncio.timeout(ANSWER_DEADLINE):
                    found = await effect.work()
            except ApplicationError as error:
                found = error
            except TimeoutError:
                found = ApplicationError("wamp.error.timeout", f"no answer within {ANSWER_DEADLINE:g} s")
            except Exception:
                logger.exception("our fault, in a procedure of the router's own")
                found = ApplicationError("wamp.error.runtime_error", "the router failed on this call")
            self.carry_out(realm, realm.found_out(effect, found))

        task = asyncio.get_running_loop().create_task(find_out())
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def finish(self) -> None:
        """Carry out now what would take some more rounds of the loop."""
        while self._backlog.lines or self._beside.lines:
            self._backlog.finish()
            self._beside.finish()

    def close(self) -> None:
        """Give up what is being found out: nobody is left who waits for it."""
        for task in list(self._answering):
            task.cancel()


def _call_soon(callback: Callable[[], None], _realm: Realm) -> None:
    asyncio.get_running_loop().call_soon(callback)


def _one_by_one(effects: list[Effect]) -> Iterator[Effect | None]:
    """All effects, and those that are added meanwhile; None stands for a pause."""
    for effect in effects:
        if type(effect) is Series:
            yield from effect.effects
        else:
            yield effect


def _undeliverable(realm: Realm, effect: Deliver, receiver: ConnectedSession, uri: str, text: str) -> list[Effect]:
    logger.debug("%s for session %d dropped: %s", type(effect.message).__name__, receiver.id, text)
    return realm.undeliverable(receiver, effect.message, uri, text)
