"""The registration meta API and revocation (advanced/meta_api_registrations.md, rpc_registration_revocation.md)."""

from __future__ import annotations

import pytest
from tests.router.meta_scene import answer, ask, heard, listener, refusal, results
from tests.router.scene import Scene, invocation, sent, sent_one

from rocade.router.session import Session
from rocade.wamp.messages import Invoke, Match, Registered, Result, Unregistered, UnregisteredDetails

ON_CREATE, ON_REGISTER = "wamp.registration.on_create", "wamp.registration.on_register"
ON_UNREGISTER, ON_DELETE = "wamp.registration.on_unregister", "wamp.registration.on_delete"
ALL = (ON_DELETE, ON_UNREGISTER, ON_REGISTER, ON_CREATE)
PREFIX, WILDCARD = Match.PREFIX, Match.WILDCARD
CREATED = "2024-02-29T12:00:00.000Z"


@pytest.fixture
def watcher(scene: Scene) -> Session:
    return listener(scene, *ALL)


@pytest.fixture
def caller(scene: Scene) -> Session:
    return scene.join("caller")


def register(
    scene: Scene, session: Session, procedure: str, match: Match | None = None, invoke: Invoke | None = None
) -> int:
    message = sent(scene.register(session, procedure, match=match, invoke=invoke), session)[0]
    assert type(message) is Registered
    return message.registration


# --- events -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("procedure", "match", "invoke"),
    [("com.procedure", None, None), ("com.", PREFIX, Invoke.FIRST), ("com..x", WILDCARD, Invoke.ROUNDROBIN)],
)
def test_the_first_callee_causes_on_create_and_then_on_register(
    scene: Scene, watcher: Session, caller: Session, procedure: str, match: Match | None, invoke: Invoke | None
) -> None:
    effects = scene.register(caller, procedure, match=match, invoke=invoke)

    (id,) = caller.registrations
    details = {
        "id": id,
        "created": CREATED,
        "uri": procedure,
        "match": (match or Match.EXACT).value,
        "invoke": (invoke or Invoke.SINGLE).value,
    }
    assert type(effects[0].message) is Registered  # type: ignore[union-attr]
    assert heard(effects, watcher) == [(ON_CREATE, [caller.id, details]), (ON_REGISTER, [caller.id, id])]


def test_further_callees_cause_on_register_only(scene: Scene, watcher: Session, caller: Session) -> None:
    id = register(scene, scene.join(), "com.procedure", invoke=Invoke.RANDOM)

    effects = scene.register(caller, "com.procedure", invoke=Invoke.RANDOM)

    assert heard(effects, watcher) == [(ON_REGISTER, [caller.id, id])]


def test_a_registration_that_is_refused_is_no_news(scene: Scene, watcher: Session, caller: Session) -> None:
    register(scene, scene.join(), "com.procedure")

    assert heard(scene.register(caller, "com.procedure"), watcher) == []


def test_on_delete_comes_after_the_last_on_unregister(scene: Scene, watcher: Session, caller: Session) -> None:
    other = scene.join()
    id = register(scene, caller, "com.procedure", invoke=Invoke.FIRST)
    register(scene, other, "com.procedure", invoke=Invoke.FIRST)

    first, last = scene.unregister(caller, id), scene.unregister(other, id)

    assert type(sent(first, caller)[0]) is Unregistered
    assert heard(first, watcher) == [(ON_UNREGISTER, [caller.id, id])]
    assert heard(last, watcher) == [(ON_UNREGISTER, [other.id, id]), (ON_DELETE, [other.id, id])]


def test_a_session_that_vanishes_unregisters_all_it_had(scene: Scene, watcher: Session, caller: Session) -> None:
    ids = [register(scene, caller, procedure) for procedure in ("com.one", "com.two")]

    assert heard(scene.leave(caller), watcher) == [
        (ON_UNREGISTER, [caller.id, ids[0]]),
        (ON_DELETE, [caller.id, ids[0]]),
        (ON_UNREGISTER, [caller.id, ids[1]]),
        (ON_DELETE, [caller.id, ids[1]]),
    ]


def test_who_registers_is_answered_before_it_hears_of_it(scene: Scene, caller: Session) -> None:
    scene.subscribe(caller, "wamp.registration.", match=PREFIX)

    effects = scene.register(caller, "com.procedure")

    assert type(sent(effects, caller)[0]) is Registered
    assert [topic for topic, _ in heard(effects, caller)] == [ON_CREATE, ON_REGISTER]


# --- list, lookup, match, get -------------------------------------------------------------------------


def test_list_has_all_registrations_by_match_policy(scene: Scene, caller: Session) -> None:
    session = scene.join()
    exact = [register(scene, session, procedure) for procedure in ("com.one", "com.two")]
    prefix = register(scene, session, "com.", PREFIX)
    wildcard = register(scene, session, "com..x", WILDCARD)

    assert answer(scene, caller, "wamp.registration.list") == {
        "exact": exact,
        "prefix": [prefix],
        "wildcard": [wildcard],
    }


def test_lookup_finds_by_procedure_and_policy(scene: Scene, caller: Session) -> None:
    exact = register(scene, caller, "com.procedure")
    wildcard = register(scene, caller, "com.", WILDCARD)
    lookup = "wamp.registration.lookup"

    assert answer(scene, caller, lookup, "com.procedure") == exact
    assert answer(scene, caller, lookup, "com.", {"match": "wildcard", "invoke": "first"}) == wildcard
    assert answer(scene, caller, lookup, "com.", {"match": "prefix"}) is None
    assert answer(scene, caller, lookup, "com.other") is None


def test_match_finds_who_gets_the_call(scene: Scene, caller: Session) -> None:
    exact = register(scene, caller, "com.procedure.x")
    short, long = register(scene, caller, "com.", PREFIX), register(scene, caller, "com.procedure", PREFIX)
    wildcard = register(scene, caller, "org..x", WILDCARD)
    match = "wamp.registration.match"

    assert answer(scene, caller, match, "com.procedure.x") == exact
    assert answer(scene, caller, match, "com.procedure.y") == long
    assert answer(scene, caller, match, "com.y") == short
    assert answer(scene, caller, match, "org.any.x") == wildcard
    assert answer(scene, caller, match, "org.any") is None


def test_nothing_matches_what_can_be_no_procedure(scene: Scene, caller: Session) -> None:
    scene.register(caller, "com..x", match=Match.WILDCARD)

    assert answer(scene, caller, "wamp.registration.match", "com..x") is None


def test_the_routers_own_procedures_are_nobodys_registrations(scene: Scene, caller: Session) -> None:
    register(scene, caller, "", PREFIX)

    assert answer(scene, caller, "wamp.registration.match", "wamp.session.count") is None
    assert answer(scene, caller, "wamp.registration.lookup", "wamp.session.count") is None


def test_get_tells_what_on_create_told(scene: Scene, watcher: Session, caller: Session) -> None:
    effects = scene.register(caller, "com.procedure", invoke=Invoke.LAST)
    (_, (_, details)), _ = heard(effects, watcher)

    assert answer(scene, caller, "wamp.registration.get", details["id"]) == details


def test_callees_are_listed_and_counted(scene: Scene, caller: Session) -> None:
    sessions = [scene.join(), scene.join()]
    for session in sessions:
        id = register(scene, session, "com.procedure", invoke=Invoke.ROUNDROBIN)

    assert answer(scene, caller, "wamp.registration.list_callees", id) == [session.id for session in sessions]
    assert answer(scene, caller, "wamp.registration.count_callees", id) == 2


@pytest.mark.parametrize("procedure", ["get", "list_callees", "count_callees"])
def test_a_registration_that_is_not_there_is_an_error(scene: Scene, caller: Session, procedure: str) -> None:
    error = refusal(scene, caller, f"wamp.registration.{procedure}", 4711)

    assert error.error == "wamp.error.no_such_registration"


# --- remove_callee ------------------------------------------------------------------------------------


def test_who_is_removed_is_told_if_it_understands(scene: Scene, watcher: Session, caller: Session) -> None:
    session = scene.join(callee={"registration_revocation": True})
    id = register(scene, session, "com.procedure")

    effects = ask(scene, caller, "wamp.registration.remove_callee", id, session.id, "com.example.moving")

    details = UnregisteredDetails(registration=id, reason="com.example.moving")
    assert sent(effects, session) == [Unregistered(0, details)]
    assert heard(effects, watcher) == [(ON_UNREGISTER, [session.id, id]), (ON_DELETE, [session.id, id])]
    assert results(effects, caller) == []
    assert sent_one(scene.call(caller, "com.procedure"), caller).error == "wamp.error.no_such_procedure"


def test_who_would_not_understand_just_loses_the_registration(scene: Scene, caller: Session) -> None:
    session, other = scene.join(), scene.join()
    id = register(scene, session, "com.procedure", invoke=Invoke.FIRST)
    register(scene, other, "com.procedure", invoke=Invoke.FIRST)

    effects = ask(scene, caller, "wamp.registration.remove_callee", id, session.id)

    assert sent(effects, session) == []
    assert invocation(scene.call(caller, "com.procedure"), other)


def test_calls_under_way_are_still_answered_by_who_was_removed(scene: Scene, caller: Session) -> None:
    session, waiting = scene.join(), scene.join()
    id = register(scene, session, "com.procedure")
    request = invocation(scene.call(waiting, "com.procedure"), session).request

    ask(scene, caller, "wamp.registration.remove_callee", id, session.id)

    assert type(sent_one(scene.yield_(session, request), waiting)) is Result


def test_nobody_is_removed_who_is_not_there(scene: Scene, caller: Session) -> None:
    other = scene.join()
    id = register(scene, other, "com.procedure")
    remove = "wamp.registration.remove_callee"

    assert refusal(scene, caller, remove, 99, other.id).error == "wamp.error.no_such_registration"
    assert refusal(scene, caller, remove, id, 99).error == "wamp.error.no_such_session"
    assert refusal(scene, caller, remove, id, caller.id).error == "wamp.error.no_such_registration"


@pytest.mark.parametrize("reason", ["two words", "", 5])
def test_a_reason_that_is_no_uri_removes_nobody(scene: Scene, caller: Session, reason: object) -> None:
    other = scene.join()
    id = register(scene, other, "com.procedure")

    error = refusal(scene, caller, "wamp.registration.remove_callee", id, other.id, reason=reason)

    assert error.error == "wamp.error.invalid_uri"
    assert other.registrations
