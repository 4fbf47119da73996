"""Sessions that have much leave bit by bit."""

from __future__ import annotations

from collections import Counter

from msgspec import Raw
from tests.router.scene import EVERYTHING, Scene, canceled_wakes, sent, sent_one

from rocade.router.departure import MUCH, Departure
from rocade.router.effects import BitByBit, Effect, EndSession
from rocade.router.session import Session
from rocade.wamp.messages import Error, Event, Interrupt, Invocation, Match, Result


def departure(effects: list[Effect]) -> Departure:
    """The departure that all this leads to."""
    (effect,) = effects
    assert type(effect) is BitByBit
    return effect.work


def seen_through(scene: Scene, leaving: Departure, most: int = 50) -> list[Effect]:
    """All that comes of a departure."""
    effects: list[Effect] = []
    while not leaving.is_over:
        effects.extend(scene.served(leaving.go_on(most)))
    return effects


def own(scene: Scene, session: Session, count: int) -> None:
    """Have a session subscribe and register as many things as that."""
    for number in range(count):
        scene.subscribe(session, f"com.t{number}", match=list(Match)[number % 3])
        scene.register(session, f"com.p{number}", match=list(Match)[number % 3])


def test_a_session_with_little_leaves_at_once() -> None:
    scene = Scene()
    session = scene.join()
    own(scene, session, MUCH // 2)

    assert scene.leave(session) == []
    assert scene.is_empty()


def test_a_session_with_much_ends_no_more_at_a_time_than_it_is_asked_to() -> None:
    scene = Scene()
    session = scene.join()
    own(scene, session, MUCH)

    leaving = departure(scene.leave(session))

    left = 2 * MUCH
    while not leaving.is_over:
        assert scene.realm.sessions == {session.id: session}
        leaving.go_on(100)
        held = len(session.subscriptions) + len(session.registrations)
        assert left - 100 <= held <= left
        left = held
    assert scene.is_empty()


def test_whoever_listens_hears_of_each_thing_that_ends_and_of_the_leaving_last() -> None:
    scene = Scene()
    listener, session = scene.join(), scene.join()
    scene.subscribe(listener, "wamp.", match=Match.PREFIX)
    own(scene, session, MUCH)

    effects = seen_through(scene, departure(scene.leave(session)))

    events = [message.details.topic for message in sent(effects, listener) if type(message) is Event]
    assert Counter(events) == {
        "wamp.subscription.on_unsubscribe": MUCH,
        "wamp.subscription.on_delete": MUCH,
        "wamp.registration.on_unregister": MUCH,
        "wamp.registration.on_delete": MUCH,
        "wamp.session.on_leave": 1,
    }
    assert events[-1] == "wamp.session.on_leave"


def test_its_registrations_end_first_so_that_nobody_calls_it_any_more() -> None:
    scene = Scene()
    caller, session = scene.join(), scene.join()
    own(scene, session, MUCH)
    scene.register(session, "com.shared", invoke="roundrobin")
    other = scene.join()
    scene.register(other, "com.shared", invoke="roundrobin")

    leaving = departure(scene.leave(session))
    leaving.go_on(MUCH + 2)

    assert not session.registrations
    assert len(session.subscriptions) == MUCH
    for _ in range(2):
        assert [type(message) for message in sent(scene.call(caller, "com.shared"), other)] == [Invocation]


def test_what_it_owes_and_what_it_awaits_is_settled() -> None:
    scene = Scene()
    caller, session, callee = scene.join(), scene.join(caller=EVERYTHING), scene.join(callee=EVERYTHING)
    scene.register(session, "com.mine")
    scene.register(callee, "com.theirs")
    for _ in range(MUCH):
        scene.call(caller, "com.mine")
        scene.call(session, "com.theirs", timeout=1000)
        scene.call(session, "com.mine")

    effects = seen_through(scene, departure(scene.leave(session)))

    assert {(type(message), message.error) for message in sent(effects, caller)} == {(Error, "wamp.error.canceled")}
    assert len(sent(effects, caller)) == MUCH
    assert [type(message) for message in sent(effects, callee)] == [Interrupt] * MUCH
    assert len(canceled_wakes(effects)) == MUCH
    assert not caller.calls
    assert not callee.invocations


def test_calls_that_wait_are_withdrawn_bit_by_bit() -> None:
    scene = Scene()
    session, callee = scene.join(), scene.join()
    scene.register(callee, "com.slow", concurrency=1)
    for _ in range(MUCH + 2):
        scene.call(session, "com.slow")

    seen_through(scene, departure(scene.leave(session)))

    (registration,) = scene.realm.dealer.registrations.values()
    assert not registration.waiting
    assert len(callee.invocations) == 1


def test_whoever_is_leaving_leaves_once() -> None:
    scene = Scene()
    admin, session = scene.join(), scene.join()
    gone: list[Session] = []
    scene.realm.on_leave = gone.append
    own(scene, session, MUCH)
    leaving = departure(scene.leave(session))
    leaving.go_on(10)

    assert scene.leave(session) == []
    killed = scene.call(admin, "wamp.session.kill", args=Raw(b"[%d]" % session.id))
    assert [type(message) for message in sent(killed, admin)] == [Result]
    assert len(killed) == 1
    seen_through(scene, leaving)

    assert gone == [session]
    assert list(scene.realm.sessions) == [admin.id]


def test_what_others_end_meanwhile_is_not_ended_twice() -> None:
    scene = Scene()
    admin, session = scene.join(), scene.join()
    own(scene, session, MUCH)
    leaving = departure(scene.leave(session))
    subscription, registration = next(iter(session.subscriptions)), next(iter(session.registrations))
    for kind, id, who in (
        ("subscription", subscription, "subscriber"),
        ("registration", registration, "callee"),
    ):
        effects = scene.call(admin, f"wamp.{kind}.remove_{who}", args=Raw(b"[%d,%d]" % (id, session.id)))
        assert [type(message) for message in sent(effects, admin)] == [Result]

    seen_through(scene, leaving)
    assert scene.leave(admin) == []
    assert scene.is_empty()


def test_a_killed_session_with_much_is_told_first() -> None:
    scene = Scene()
    admin, session = scene.join(), scene.join()
    own(scene, session, MUCH)

    leaving = departure(scene.call(admin, "wamp.session.kill", args=Raw(b"[%d]" % session.id)))

    (ending,) = leaving.go_on(1)
    assert ending == EndSession(session, "wamp.close.killed", None)
    assert not sent(seen_through(scene, leaving), session)


def test_many_sessions_are_killed_bit_by_bit_and_the_answer_comes_when_they_are_gone() -> None:
    scene = Scene()
    admin, sessions = scene.join(), [scene.join() for _ in range(MUCH)]
    for session in sessions:
        scene.subscribe(session, "com.topic")

    leaving = departure(scene.call(admin, "wamp.session.kill_all"))

    first = leaving.go_on(100)
    assert first == [EndSession(session, "wamp.close.killed", None) for session in sessions[:100]]
    *rest, answer = seen_through(scene, leaving)
    assert not sent(rest, admin)
    assert sent_one([answer], admin).args == [MUCH]
    assert list(scene.realm.sessions) == [admin.id]
    assert not scene.realm.broker.subscriptions


def test_nobody_is_answered_who_has_left_meanwhile() -> None:
    scene = Scene()
    admin, others = scene.join(), [scene.join() for _ in range(MUCH)]
    leaving = departure(scene.call(admin, "wamp.session.kill_all"))
    scene.leave(admin)

    assert not sent(seen_through(scene, leaving), admin)
    assert not any(other.id in scene.realm.sessions for other in others)


def test_a_kill_that_ends_many_sessions_tells_of_each() -> None:
    scene = Scene()
    admin, _ = scene.join(), [scene.join("bob") for _ in range(MUCH)]
    scene.subscribe(admin, "wamp.session.on_leave")

    effects = seen_through(scene, departure(scene.call(admin, "wamp.session.kill_by_authid", args=Raw(b'["bob"]'))))

    assert [type(message) for message in sent(effects, admin)] == [Event] * MUCH + [Result]
