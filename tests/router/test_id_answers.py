"""Long lists of ids, for those who see everything and for those who do not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.router.meta_scene import ask
from tests.router.scene import Scene, sent, sent_one

from rocade.router.effects import BitByBit, Effect, Work
from rocade.router.id_answers import LONG, MAX_WAITING
from rocade.router.permissions import Permission, Role
from rocade.router.session import Session
from rocade.wamp.codec import SERIALIZERS, Serializer
from rocade.wamp.messages import Error, Match, Result

SOME = [Permission(uri="", match=Match.PREFIX, call=True), Permission(uri="com.secret", match=Match.PREFIX)]
"""The rules of somebody who may call all but secrets."""


def full(scene: Scene, count: int = LONG) -> None:
    """Registrations and subscriptions of several sessions: so many of each, twice as many with secret ones."""
    owners = [scene.join() for _ in range(5)]
    for number in range(count):
        owner = owners[number % 5]
        match = list(Match)[number % 3] if number % 7 == 0 else Match.EXACT
        for uri in (f"com.p{number}", f"com.secret.p{number}"):
            scene.register(owner, uri, match=match)
            scene.subscribe(owner, uri, match=match)


def onlooker(scene: Scene, serializer: Serializer = SERIALIZERS["json"]) -> Session:
    """A session that sees only some registrations, and no subscriptions."""
    session = scene.join(serializer=serializer)
    session.role = Role("onlooker", SOME)
    return session


def read(session: Session, effects: list[Effect]) -> Any:
    """The answer to the only call."""
    message = sent_one(effects, session)
    assert type(message) is Result
    return message.args[0] if isinstance(message.args, list) else session.serializer.load(message.args)[0]


def seen_through(work: Work, most: int) -> list[Effect]:
    effects: list[Effect] = []
    while not work.is_over:
        effects.extend(work.go_on(most))
    return effects


def work(effects: list[Effect]) -> Work:
    (effect,) = effects
    assert type(effect) is BitByBit
    return effect.work


@pytest.mark.parametrize("name", SERIALIZERS)
@pytest.mark.parametrize("kind", ["registration", "subscription"])
def test_whoever_sees_all_gets_all_ids(scene: Scene, kind: str, name: str) -> None:
    full(scene)
    session = scene.join(serializer=SERIALIZERS[name])
    half: Any = scene.realm.dealer.registrations if kind == "registration" else scene.realm.broker.subscriptions

    ids = read(session, seen_through(work(scene.call(session, f"wamp.{kind}.list")), 1))

    assert ids == {match: [it.id for it in half.values() if it.match is match] for match in Match}
    assert all(ids.values())


@pytest.mark.parametrize("name", SERIALIZERS)
def test_whoever_sees_some_gets_those_bit_by_bit(scene: Scene, name: str) -> None:
    full(scene)
    session = onlooker(scene, SERIALIZERS[name])

    listing = work(scene.call(session, "wamp.registration.list"))

    assert listing.go_on(LONG) == []
    assert not listing.is_over
    ids = read(session, seen_through(listing, 100))
    registrations = scene.realm.dealer.registrations
    assert sum(map(len, ids.values())) == LONG
    assert not any("secret" in registrations[id].uri for some in ids.values() for id in some)


def test_what_comes_and_goes_meanwhile_does_no_harm(scene: Scene) -> None:
    full(scene)
    session, other = onlooker(scene), scene.join()
    listing = work(scene.call(session, "wamp.registration.list"))
    listing.go_on(10)

    scene.register(other, "com.new")
    before = {it.id for it in scene.realm.dealer.registrations.values() if it.uri.startswith("com.p")}
    for owner in [it for it in scene.realm.sessions.values() if len(it.registrations) > 1]:
        for end in (0, -2):  # one that has been looked at, and one that has not
            scene.unregister(owner, list(owner.registrations)[end])
    stayed = before & set(scene.realm.dealer.registrations)

    ids = [id for some in read(session, seen_through(listing, 7)).values() for id in some]
    assert len(ids) == len(set(ids))
    assert stayed <= set(ids) <= before
    assert len(stayed) < len(ids) < len(before)


@pytest.mark.parametrize("kind", ["registration", "subscription"])
def test_a_pattern_that_comes_before_it_is_the_turn_of_a_list_is_among_the_patterns(scene: Scene, kind: str) -> None:
    session, other = scene.join(), scene.join()
    add = scene.register if kind == "registration" else scene.subscribe
    for number in range(LONG + 1):
        add(other, f"com.p{number}")
    listing = work(scene.call(session, f"wamp.{kind}.list"))

    add(other, "com.p", match=Match.PREFIX)

    ids = read(session, seen_through(listing, 1))
    assert {match: len(some) for match, some in ids.items()} == {"exact": LONG + 1, "prefix": 1, "wildcard": 0}


def test_several_are_answered_in_turn(scene: Scene) -> None:
    full(scene)
    one, two = onlooker(scene), onlooker(scene)
    listing = work(scene.call(one, "wamp.registration.list"))
    assert scene.call(one, "wamp.registration.list") == []
    assert scene.call(two, "wamp.registration.list") == []

    effects = seen_through(listing, 50)

    assert [session for effect in effects for session in effect.receivers] == [one, two, one]  # type: ignore[union-attr]
    assert [message.request for message in sent(effects, one)] == [1, 2]
    # And then anew.
    assert not work(scene.call(two, "wamp.registration.list")).is_over


def test_nobody_is_answered_who_is_gone(scene: Scene) -> None:
    full(scene)
    one, two = onlooker(scene), onlooker(scene)
    listing = work(scene.call(one, "wamp.registration.list"))
    scene.call(two, "wamp.registration.list")
    listing.go_on(10)
    scene.leave(one)

    effects = seen_through(listing, 50)

    assert sent(effects, one) == []
    assert len(sent(effects, two)) == 1


def test_so_many_may_be_on_their_way_to_one_session_and_no_more(scene: Scene) -> None:
    full(scene)
    session, other = onlooker(scene), onlooker(scene)
    for _ in range(MAX_WAITING):
        assert sent(scene.call(session, "wamp.registration.list"), session) == []

    error = sent_one(scene.call(session, "wamp.registration.list"), session)
    assert (type(error), error.error) == (Error, "wamp.error.limit_exceeded")
    assert sent(scene.call(other, "wamp.registration.list"), other) == []


def test_an_answer_that_fails_does_not_keep_the_others(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    full(scene)
    one, two = onlooker(scene), onlooker(scene)
    listing = work(scene.call(one, "wamp.registration.list"))
    scene.call(two, "wamp.registration.list")
    with monkeypatch.context() as patch:
        patch.setattr(scene.realm, "authorize", lambda *args, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            listing.go_on(1)
    assert not listing.is_over

    effects = seen_through(listing, 50)

    assert sent(effects, one) == []
    assert len(sent(effects, two)) == 1


def test_an_answer_that_fails_costs_nobody_a_complete_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    full(scene)
    one, two = scene.join(), onlooker(scene)
    listing = work(scene.call(one, "wamp.registration.list"))
    scene.call(two, "wamp.registration.list")
    monkeypatch.setattr(scene.realm, "authorize", lambda *args, **options: 1 / 0)

    effects = listing.go_on(100_000)

    assert sum(map(len, read(one, effects).values())) == 2 * LONG
    with pytest.raises(ZeroDivisionError):
        listing.go_on(100_000)
    assert listing.is_over


def test_long_lists_of_sessions_are_lists_of_their_ids(scene: Scene) -> None:
    sessions = [scene.join() for _ in range(LONG + 1)]
    for session in sessions:
        scene.subscribe(session, "com.topic")
        scene.register(session, "com.procedure", invoke="first")
    session, ids = sessions[0], [session.id for session in sessions]
    (subscription,), (registration,) = session.subscriptions, session.registrations

    def listed(procedure: str, *args: int) -> Any:
        return read(session, seen_through(work(ask(scene, session, procedure, *args)), 10))

    assert listed("wamp.session.list") == ids
    assert listed("wamp.subscription.list_subscribers", subscription) == ids
    assert listed("wamp.registration.list_callees", registration) == ids


@pytest.mark.parametrize("name", SERIALIZERS)
def test_many_subscriptions_that_match_are_a_list_of_their_ids(scene: Scene, name: str) -> None:
    session = scene.join(serializer=SERIALIZERS[name])
    for length in range(LONG + 1):
        scene.subscribe(session, "a" * (length + 1), match=Match.PREFIX)

    matching = work(ask(scene, session, "wamp.subscription.match", "a" * 2000))

    assert read(session, seen_through(matching, 1)) == list(session.subscriptions)


def test_thousands_that_match_are_found_bit_by_bit_but_for_those_that_go_meanwhile(scene: Scene) -> None:
    session, other = scene.join(), scene.join()
    for number in range(2**12):
        pattern = ".".join("" if number >> bit & 1 else "a" for bit in range(12))
        scene.subscribe(session, pattern, match=Match.WILDCARD)
    topic = ".".join("a" * 12)
    matching = work(ask(scene, session, "wamp.subscription.match", topic))

    assert matching.go_on(2) == []
    gone = list(session.subscriptions)[-10:]
    for subscription in gone:
        scene.unsubscribe(session, subscription)
    assert sent(ask(scene, other, "wamp.subscription.match", topic + ".b"), other)[0].args == [None]

    ids = read(session, seen_through(matching, 1))
    assert len(ids) == len(set(ids)) == 2**12 - len(gone)
    assert set(ids) == set(session.subscriptions)


def test_a_list_without_patterns_is_in_the_order_in_which_they_came(scene: Scene) -> None:
    session = scene.join()
    for number in range(LONG + 1):
        scene.subscribe(session, f"com.t{number}")

    ids = read(session, seen_through(work(scene.call(session, "wamp.subscription.list")), 1))

    assert ids == {"exact": list(session.subscriptions), "prefix": [], "wildcard": []}
