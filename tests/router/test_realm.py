"""A realm as a whole: what it refuses, and what holds whatever sessions do in whatever order."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from tests.router.scene import EVERYTHING, Scene, sent_one

from rocade.errors import ApplicationError, ProtocolViolation
from rocade.router.effects import CancelWake, Deliver, Effect, ServeWaiting, WakeAt
from rocade.router.session import Session
from rocade.wamp.ids import MAX_ID
from rocade.wamp.messages import (
    CancelMode,
    CancelOptions,
    Error,
    Event,
    EventDetails,
    EventReceived,
    Interrupt,
    Invocation,
    InvocationDetails,
    Invoke,
    Match,
    Message,
    Publish,
    Published,
    PublishOptions,
    Registered,
    Result,
    ResultDetails,
    Subscribed,
    Unregistered,
    Unsubscribed,
)


@pytest.mark.parametrize(
    "message",
    [
        Event(1, 1, EventDetails()),
        Invocation(1, 1, InvocationDetails()),
        Result(1, ResultDetails()),
        Interrupt(1, CancelOptions()),
        Published(1, 1),
        Subscribed(1, 1),
        Unsubscribed(1),
        Registered(1, 1),
        Unregistered(1),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_that_only_routers_send_break_the_protocol(scene: Scene, message: Message) -> None:
    session = scene.join()

    with pytest.raises(ProtocolViolation, match=f"{type(message).__name__.upper()} is not for clients"):
        scene.send(session, message)


def test_the_extension_of_autobahn_that_confirms_events_is_read_and_ignored(scene: Scene) -> None:
    assert scene.send(scene.join(), EventReceived(1)) == []


def test_a_refused_request_is_answered_with_the_error_and_its_payload(scene: Scene) -> None:
    session = scene.join()
    error = ApplicationError("com.example.no", "because", code=7)

    answer = sent_one(
        scene.realm.refuse(session, Publish(3, PublishOptions(acknowledge=True), "com.topic"), error), session
    )

    assert (answer.request_type, answer.request, answer.error) == (16, 3, "com.example.no")
    assert (answer.args, answer.kwargs) == (["because"], {"code": 7})


def test_a_refused_publication_without_acknowledgement_fails_silently(scene: Scene) -> None:
    error = ApplicationError("com.example.no")

    assert scene.realm.refuse(scene.join(), Publish(3, PublishOptions(), "com.topic"), error) == []


def test_leaving_twice_does_nothing(scene: Scene) -> None:
    session = scene.join()
    scene.leave(session)

    assert scene.leave(session) == []


def test_an_event_that_cannot_be_delivered_is_dropped(scene: Scene) -> None:
    event = Event(1, 1, EventDetails())

    assert scene.realm.undeliverable(scene.join(), event, "wamp.error.payload_size_exceeded", "too large") == []


def test_request_ids_begin_with_1_and_are_incremented_by_1(scene: Scene) -> None:
    session = scene.join()

    for request in (1, 2, 3):
        session.take_request(request)
    for request in (3, 5, 1):
        with pytest.raises(ProtocolViolation, match=f"request id {request} where 4 was due"):
            session.take_request(request)


def test_ids_of_the_session_scope_wrap_to_1_after_the_largest(scene: Scene) -> None:
    session = scene.join()
    session.last_request = session.last_invocation = MAX_ID

    session.take_request(1)

    assert (session.last_request, session.next_invocation()) == (1, 1)


# --- Whatever sessions do -----------------------------------------------------------------------------

PROCEDURES = ["com.a", "com.b", "com.c.x"]
PATTERNS = [("com.a", Match.EXACT), ("com.b", Match.EXACT), ("com.", Match.PREFIX), ("com..x", Match.WILDCARD)]


class Sessions(RuleBasedStateMachine):
    """Sessions of two realms that join, call, answer, refuse, cancel, time out, publish and vanish in any order.

    Every effect is checked when it is carried out, and recorded as if it had reached a client.
    """

    sessions = Bundle("sessions")
    calls = Bundle("calls")
    invocations = Bundle("invocations")

    def __init__(self) -> None:
        super().__init__()
        self.scenes = [Scene(random_below=lambda limit: limit - 1, serves=False), Scene(serves=False)]
        self.scene_of: dict[Session, Scene] = {}
        self.present: set[Session] = set()
        # (caller, CALL.Request) -> number of final answers, of all calls that were made
        self.answers: Counter[tuple[Session, int]] = Counter()
        self.made: set[tuple[Session, int]] = set()
        self.given_up: set[tuple[Session, int]] = set()
        # callee -> INVOCATION.Request of the latest
        self.latest: Counter[Session] = Counter()
        # invocations that their callees still have to answer
        self.unanswered: set[tuple[Session, int]] = set()
        # progressive calls whose last part has not been sent -> procedure
        self.open: dict[tuple[Session, int], str] = {}
        self.timers: dict[Any, tuple[float, Scene]] = {}
        self.now = 0.0
        # whether the next message with a payload cannot be delivered
        self.is_obstructed = False

    @initialize(target=sessions)
    def callees(self) -> Any:
        callees = []
        for realm in (0, 1):
            basic, one, two = (self.enter(realm, features) for features in (None, EVERYTHING, EVERYTHING))
            self.send(basic, "register", "com.a")
            for callee in (one, two):
                self.send(callee, "register", "com.b", invoke=Invoke.FIRST, concurrency=1)
            callees += [basic, one, two]
        return multiple(*callees)

    def carry_out(self, scene: Scene, effects: list[Effect]) -> None:
        for effect in effects:
            if type(effect) is WakeAt:
                assert effect.pending not in self.timers
                self.timers[effect.pending] = effect.when, scene
            elif type(effect) is CancelWake:
                self.timers.pop(effect.pending, None)
            elif type(effect) is ServeWaiting:
                effects.extend(scene.realm.serve_waiting(effect.registration))
            elif type(effect) is Deliver:
                assert effect.receivers
                for receiver in list(effect.receivers):
                    effects.extend(self.deliver(scene, receiver, effect.message))

    def deliver(self, scene: Scene, receiver: Session, message: Message) -> list[Effect]:
        assert receiver in self.present, "nothing is delivered to a session that left"
        assert self.scene_of[receiver] is scene, "no effect goes to another realm"
        if self.is_obstructed and isinstance(message, Event | Invocation | Result):
            self.is_obstructed = False
            return scene.realm.undeliverable(receiver, message, "wamp.error.payload_size_exceeded", "")
        if type(message) is Invocation and (receiver, message.request) in self.unanswered:
            assert receiver.invocations[message.request].stream.has_continued, "only progressive calls have parts"
        elif type(message) is Invocation:
            self.latest[receiver] += 1
            assert message.request == self.latest[receiver], "invocation ids are sequential for each callee"
            self.unanswered.add((receiver, message.request))
        elif type(message) is Interrupt:
            assert (receiver, message.request) in self.unanswered
            assert receiver.callee_cancels
        elif type(message) is Result and message.details.progress:
            assert self.answers[receiver, message.request] == 0, "nothing comes after the final result"
            assert receiver.caller_progresses
        elif type(message) is Result or (type(message) is Error and message.request_type == 48):
            self.answers[receiver, message.request] += 1
        return []

    def send(self, session: Session, method: str, *args: Any, **options: Any) -> None:
        scene = self.scene_of[session]
        scene.now = self.now
        self.carry_out(scene, getattr(scene, method)(session, *args, **options))

    @rule(target=sessions, realm=st.integers(0, 1), features=st.sampled_from([None, EVERYTHING]))
    def join(self, realm: int, features: dict[str, Any] | None) -> Session:
        return self.enter(realm, features)

    def enter(self, realm: int, features: dict[str, Any] | None) -> Session:
        scene = self.scenes[realm]
        session = scene.join(caller=features, callee=features)
        self.scene_of[session] = scene
        self.present.add(session)
        return session

    @rule(session=consumes(sessions))
    def vanish(self, session: Session) -> None:
        self.present.discard(session)
        self.given_up |= {key for key in self.made if key[0] is session and not self.answers[key]}
        self.unanswered = {key for key in self.unanswered if key[0] is not session}
        self.send(session, "leave")

    @rule(
        session=sessions,
        pattern=st.sampled_from(PATTERNS),
        invoke=st.sampled_from(Invoke),
        timeouts=st.booleans(),
        concurrency=st.sampled_from([None, 1, 2]),
    )
    def register(
        self, session: Session, pattern: tuple[str, Match], invoke: Invoke, timeouts: bool, concurrency: int | None
    ) -> None:
        options = {"match": pattern[1], "invoke": invoke, "forward_timeout": timeouts, "concurrency": concurrency}
        self.send(session, "register", pattern[0], **options)

    @rule(session=sessions, data=st.data())
    def unregister(self, session: Session, data: st.DataObject) -> None:
        self.send(session, "unregister", data.draw(st.sampled_from([99, *session.registrations])))

    @rule(
        target=calls,
        caller=sessions,
        procedure=st.sampled_from(PROCEDURES),
        timeout=st.sampled_from([None, 0, 1000, 3000]),
        progress=st.booleans(),
        in_parts=st.booleans(),
    )
    def call(
        self, caller: Session, procedure: str, timeout: int | None, progress: bool, in_parts: bool
    ) -> tuple[Session, int]:
        key = caller, caller.last_request + 1
        self.made.add(key)
        if in_parts and caller.caller_streams:
            self.open[key] = procedure
        options = {"timeout": timeout, "receive_progress": progress, "progress": key in self.open}
        self.send(caller, "call", procedure, **options)
        return key

    @rule(call=calls, is_last=st.booleans())
    def continue_call(self, call: tuple[Session, int], is_last: bool) -> None:
        if call[0] in self.present and call in self.open:
            self.send(call[0], "continue_call", call[1], self.open[call], progress=not is_last)
            if is_last:
                del self.open[call]

    @rule(call=calls, mode=st.sampled_from([None, *CancelMode]))
    def cancel(self, call: tuple[Session, int], mode: CancelMode | None) -> None:
        if call[0] in self.present:
            self.send(call[0], "cancel", call[1], mode)

    @rule(target=invocations)
    def look_for_work(self) -> Any:
        # Session ids are those of a realm; without the realm the order would be that of a set.
        order = {session: position for position, session in enumerate(self.scene_of)}
        return multiple(*sorted(self.unanswered, key=lambda key: (order[key[0]], key[1]))[:3])

    @rule(invocation=invocations)
    def make_progress(self, invocation: tuple[Session, int]) -> None:
        if invocation in self.unanswered:
            self.send(invocation[0], "yield_", invocation[1], progress=True)

    @rule(invocation=invocations, answer=st.sampled_from(["yield", "com.example.failed", "wamp.error.unavailable"]))
    def answer(self, invocation: tuple[Session, int], answer: str) -> None:
        if invocation in self.unanswered:
            self.unanswered.discard(invocation)
            if answer == "yield":
                self.send(invocation[0], "yield_", invocation[1])
            else:
                self.send(invocation[0], "error", invocation[1], answer)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for pending, (when, scene) in list(self.timers.items()):
            if when <= self.now and self.timers.pop(pending, None) is not None:
                self.carry_out(scene, scene.realm.wake(pending, self.now))

    @rule()
    def obstruct(self) -> None:
        self.is_obstructed = True

    @rule(session=sessions, pattern=st.sampled_from(PATTERNS))
    def subscribe(self, session: Session, pattern: tuple[str, Match]) -> None:
        self.send(session, "subscribe", pattern[0], match=pattern[1])

    @rule(session=sessions, data=st.data())
    def unsubscribe(self, session: Session, data: st.DataObject) -> None:
        self.send(session, "unsubscribe", data.draw(st.sampled_from([99, *session.subscriptions])))

    @rule(session=sessions, topic=st.sampled_from(PROCEDURES), exclude_me=st.booleans(), acknowledge=st.booleans())
    def publish(self, session: Session, topic: str, exclude_me: bool, acknowledge: bool) -> None:
        self.send(session, "publish", topic, exclude_me=exclude_me, acknowledge=acknowledge)

    @invariant()
    def every_call_has_at_most_one_final_answer(self) -> None:
        assert all(count <= 1 for count in self.answers.values())

    @invariant()
    def what_is_pending_is_known_to_both_ends_and_to_nobody_else(self) -> None:
        waiting = {key for key in self.made if not self.answers[key] and key not in self.given_up}
        assert {(session, request) for session in self.present for request in session.calls} == waiting
        for session in self.present:
            for request, pending in session.calls.items():
                assert pending.caller is session
                assert pending.request == request
                if pending.callee is None:
                    assert pending in pending.registration.waiting
                else:
                    assert pending.callee.invocations[pending.invocation] is pending
            for request, pending in session.invocations.items():
                assert (session, request) in self.unanswered
                assert pending.caller is None or pending.caller.calls[pending.request] is pending
        timed = {pending for session in self.present for pending in session.calls.values() if pending.deadline}
        assert set(self.timers) == timed

    @invariant()
    def callees_have_no_more_than_they_want_and_calls_wait_only_for_those_that_are_busy(self) -> None:
        for scene in self.scenes:
            for registration in scene.realm.dealer.registrations.values():
                free = set(registration.callees if registration.free is None else registration.free.callees)
                for callee, load in registration.free._loads.items() if registration.free is not None else ():
                    mine = [it for it in callee.invocations.values() if it.registration is registration]
                    assert len(mine) == load.busy
                    assert (callee in free) is (load.busy < load.limit)
                for pending in registration.waiting or ():
                    assert pending.caller.calls[pending.request] is pending
                    assert free <= pending.kept.tried < set(registration.callees) | pending.kept.tried

    def teardown(self) -> None:
        for session in sorted(self.present, key=lambda session: session.id):
            self.vanish(session)
        assert all(self.answers[key] == (0 if key in self.given_up else 1) for key in self.made)
        assert self.timers == {}
        assert all(scene.is_empty() for scene in self.scenes)
        for session in self.scene_of:
            assert [session.calls, session.invocations, session.subscriptions, session.registrations] == [{}] * 4


TestWhateverSessionsDo = Sessions.TestCase
TestWhateverSessionsDo.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
