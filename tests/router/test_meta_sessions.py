"""The session meta API (advanced/meta_api_sessions.md)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw
from tests.router.meta_scene import answer, ask, comes_last, ended, heard, listener, refusal, results
from tests.router.scene import EVERYTHING, Scene, sent, sent_one

from rocade.errors import ProtocolViolation
from rocade.router.permissions import Role
from rocade.router.session import Session
from rocade.wamp.codec import CBOR, JSON, MSGPACK, Serializer
from rocade.wamp.messages import Error, Interrupt, Match, Result

ON_JOIN, ON_LEAVE = "wamp.session.on_join", "wamp.session.on_leave"


@pytest.fixture
def caller(scene: Scene) -> Session:
    return scene.join("caller")


# --- on_join, on_leave --------------------------------------------------------------------------------


def test_on_join_tells_who_joined_and_by_which_transport(scene: Scene) -> None:
    watcher = listener(scene, ON_JOIN)

    joined = scene.join("joe", transport={"type": "memory", "peer": "memory"})

    assert heard(scene.joined, watcher) == [
        (
            ON_JOIN,
            [
                {
                    "session": joined.id,
                    "authid": "joe",
                    "authrole": "user",
                    "authmethod": "anonymous",
                    "authprovider": "static",
                    "transport": {"type": "memory", "peer": "memory"},
                }
            ],
        )
    ]


def test_on_leave_tells_session_authid_and_authrole(scene: Scene, caller: Session) -> None:
    watcher = listener(scene, ON_LEAVE)

    assert heard(scene.leave(caller), watcher) == [(ON_LEAVE, [caller.id, "caller", "user"])]


def test_a_session_that_leaves_twice_is_told_about_once(scene: Scene, caller: Session) -> None:
    listener(scene, ON_LEAVE)
    scene.leave(caller)

    assert scene.leave(caller) == []


def test_on_leave_comes_after_the_events_about_what_the_session_had(scene: Scene, caller: Session) -> None:
    watcher = listener(scene, "wamp.", match=Match.PREFIX)
    scene.subscribe(caller, "com.topic")
    scene.register(caller, "com.procedure")
    ask(scene, caller, "wamp.session.add_testament", "com.last.words")
    ask(scene, caller, "wamp.schema.define", "com.topic", {"kind": "error"})

    topics = [topic for topic, _ in heard(scene.leave(caller), watcher)]

    assert topics[-1] == ON_LEAVE
    assert topics.count(ON_LEAVE) == 1
    assert len(topics) == 7


def test_a_session_that_leaves_does_not_hear_of_it(scene: Scene) -> None:
    watcher = listener(scene, ON_LEAVE, "wamp.subscription.on_unsubscribe", "wamp.registration.on_delete")
    scene.subscribe(watcher, "com.topic")
    scene.register(watcher, "com.procedure")

    assert scene.leave(watcher) == []


@pytest.mark.parametrize(
    ("pattern", "match", "hears"),
    [
        ("wamp.session.", Match.PREFIX, True),
        ("", Match.PREFIX, True),
        ("wamp.session.on_leave", Match.PREFIX, False),
        ("wamp..on_join", Match.WILDCARD, True),
        ("..", Match.WILDCARD, True),
        ("wamp..", Match.WILDCARD, True),
        ("com..", Match.WILDCARD, False),
        (".", Match.WILDCARD, False),
    ],
)
def test_meta_events_reach_prefix_and_wildcard_subscribers(
    scene: Scene, pattern: str, match: Match, hears: bool
) -> None:
    watcher = listener(scene, pattern, match=match)

    joined = scene.join()

    events = heard(scene.joined, watcher)
    assert [(topic, args[0]["session"]) for topic, args in events] == ([(ON_JOIN, joined.id)] if hears else [])


def test_patterns_that_come_and_go_are_noticed(scene: Scene) -> None:
    scene.join()
    watcher = listener(scene, "wamp.session.", match=Match.PREFIX)
    scene.join()
    first = scene.joined
    (subscription,) = watcher.subscriptions
    scene.unsubscribe(watcher, subscription)
    scene.join()

    assert len(heard(first, watcher)) == 1
    assert scene.joined == []


def test_a_subscriber_with_several_matching_subscriptions_gets_one_event_for_each(scene: Scene) -> None:
    watcher = listener(scene, ON_JOIN)
    scene.subscribe(watcher, "wamp.", match=Match.PREFIX)

    scene.join()

    events = sent(scene.joined, watcher)
    assert len({event.subscription for event in events}) == len(events) == 2
    assert len({event.publication for event in events}) == 1


# --- count, list, get ---------------------------------------------------------------------------------


def test_count_and_list_cover_all_sessions_or_those_of_some_roles(scene: Scene, caller: Session) -> None:
    staff, guest = Role("staff"), Role("guest")
    workers = [scene.join(role=staff) for _ in range(2)]
    visitor = scene.join(role=guest)

    assert answer(scene, caller, "wamp.session.count") == 4
    assert answer(scene, caller, "wamp.session.count", ["staff", "guest"]) == 3
    assert answer(scene, caller, "wamp.session.count", []) == 0
    assert answer(scene, caller, "wamp.session.count", None) == 4
    assert sorted(answer(scene, caller, "wamp.session.list")) == sorted(scene.realm.sessions)
    assert answer(scene, caller, "wamp.session.list", ["staff"]) == [session.id for session in workers]
    assert answer(scene, caller, "wamp.session.list", filter_authroles=["guest"]) == [visitor.id]


def test_get_tells_what_on_join_told(scene: Scene, caller: Session) -> None:
    watcher = listener(scene, ON_JOIN)
    joined = scene.join("joe")
    ((_, told),) = heard(scene.joined, watcher)

    assert [answer(scene, caller, "wamp.session.get", joined.id)] == told


def test_get_of_a_session_that_is_not_there_fails(scene: Scene, caller: Session) -> None:
    error = refusal(scene, caller, "wamp.session.get", 4711)

    assert error.error == "wamp.error.no_such_session"
    assert "4711" in error.args[0]


# --- kill ---------------------------------------------------------------------------------------------


def test_kill_ends_a_session_at_once(scene: Scene, caller: Session) -> None:
    watcher = listener(scene, ON_LEAVE)
    victim = scene.join("victim")
    scene.subscribe(victim, "com.topic")

    effects = ask(scene, caller, "wamp.session.kill", victim.id)

    assert ended(effects) == [(victim, "wamp.close.killed", None)]
    assert results(effects, caller) == []
    assert heard(effects, watcher) == [(ON_LEAVE, [victim.id, "victim", "user"])]
    assert victim.id not in scene.realm.sessions
    assert not victim.subscriptions
    assert scene.leave(victim) == []


def test_kill_passes_reason_and_message_on(scene: Scene, caller: Session) -> None:
    victim = scene.join()

    effects = ask(scene, caller, "wamp.session.kill", victim.id, reason="com.example.bye", message="that is enough")

    assert ended(effects) == [(victim, "com.example.bye", "that is enough")]


def test_nobody_kills_itself(scene: Scene, caller: Session) -> None:
    assert refusal(scene, caller, "wamp.session.kill", caller.id).error == "wamp.error.no_such_session"


def test_kill_of_a_session_that_is_not_there_fails(scene: Scene, caller: Session) -> None:
    assert refusal(scene, caller, "wamp.session.kill", 99).error == "wamp.error.no_such_session"


@pytest.mark.parametrize("reason", ["", "not a uri", "com..x", "com.", 5, True, ["com.x"], {}])
@pytest.mark.parametrize(
    ("procedure", "args"),
    [
        ("wamp.session.kill", [2]),
        ("wamp.session.kill_by_authid", ["victim"]),
        ("wamp.session.kill_by_authrole", ["user"]),
        ("wamp.session.kill_all", []),
    ],
)
def test_a_reason_that_is_no_uri_kills_nobody(
    scene: Scene, caller: Session, procedure: str, args: list[Any], reason: Any
) -> None:
    victim = scene.join("victim")

    error = refusal(scene, caller, procedure, *args, reason=reason)

    assert error.error == "wamp.error.invalid_uri"
    assert victim.id in scene.realm.sessions


def test_kill_by_authid_returns_the_ids_of_who_was_killed(scene: Scene) -> None:
    caller = scene.join("joe")
    victims = [scene.join("joe"), scene.join("joe")]
    scene.join("ann")

    effects = ask(scene, caller, "wamp.session.kill_by_authid", "joe", reason="com.example.bye")

    assert results(effects, caller) == [[victim.id for victim in victims]]
    assert ended(effects) == [(victim, "com.example.bye", None) for victim in victims]
    assert len(scene.realm.sessions) == 2


def test_kill_by_authrole_returns_how_many_were_killed(scene: Scene) -> None:
    staff = Role("staff")
    caller = scene.join(role=staff)
    victims = [scene.join(role=staff) for _ in range(3)]
    scene.join()

    effects = ask(scene, caller, "wamp.session.kill_by_authrole", "staff")

    assert results(effects, caller) == [3]
    assert [victim for victim, _, _ in ended(effects)] == victims
    assert len(scene.realm.sessions) == 2


@pytest.mark.parametrize(
    ("procedure", "argument", "result"),
    [("wamp.session.kill_by_authid", "nobody", []), ("wamp.session.kill_by_authrole", "nobody", 0)],
)
def test_killing_nobody_is_no_error(
    scene: Scene, caller: Session, procedure: str, argument: str, result: object
) -> None:
    assert answer(scene, caller, procedure, argument) == result


def test_kill_all_leaves_the_caller_alone_and_tells_nobody(scene: Scene, caller: Session) -> None:
    scene.subscribe(caller, ON_LEAVE)
    scene.subscribe(caller, "com.last.words")
    scene.subscribe(caller, "wamp.subscription.on_delete")
    victims = [scene.join() for _ in range(3)]
    ask(scene, victims[0], "wamp.session.add_testament", "com.last.words")
    scene.subscribe(victims[1], "com.topic")
    (subscription,) = victims[1].subscriptions

    effects = ask(scene, caller, "wamp.session.kill_all", reason="com.example.bye", message="closing")

    assert results(effects, caller) == [3]
    assert ended(effects) == [(victim, "com.example.bye", "closing") for victim in victims]
    # "will not generate session meta events or testament events": those about subscriptions are neither
    assert heard(effects, caller) == [("wamp.subscription.on_delete", [victims[1].id, subscription])]
    assert list(scene.realm.sessions) == [caller.id]
    scene.leave(caller)
    assert scene.is_empty()


def test_sessions_that_are_killed_together_do_not_hear_of_each_other(scene: Scene, caller: Session) -> None:
    victims = [listener(scene, "wamp.", match=Match.PREFIX) for _ in range(3)]
    for victim in victims:
        scene.register(victim, f"com.procedure{victim.id}")

    effects = ask(scene, caller, "wamp.session.kill_by_authid", "listener")

    assert all(sent(effects, victim) == [] for victim in victims)


def test_the_last_that_is_sent_to_a_killed_session_is_goodbye(scene: Scene, caller: Session) -> None:
    first, second = (scene.join("victim", caller=EVERYTHING, callee=EVERYTHING) for _ in range(2))
    scene.register(first, "com.first")
    scene.register(second, "com.second")
    scene.call(first, "com.second")
    scene.call(second, "com.first")

    effects = ask(scene, caller, "wamp.session.kill_by_authid", "victim")

    assert comes_last(effects, first)
    assert comes_last(effects, second)


def test_callers_of_a_killed_callee_are_told_and_callees_of_a_killed_caller_interrupted(
    scene: Scene, caller: Session
) -> None:
    victim = scene.join(caller=EVERYTHING, callee=EVERYTHING)
    waiting, working = scene.join(caller=EVERYTHING), scene.join(callee=EVERYTHING)
    scene.register(victim, "com.victim")
    scene.register(working, "com.working")
    scene.call(waiting, "com.victim")
    scene.call(victim, "com.working")

    effects = ask(scene, caller, "wamp.session.kill", victim.id)

    assert sent_one(effects, waiting).error == "wamp.error.canceled"
    assert type(sent_one(effects, working)) is Interrupt


# --- arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("procedure", "args", "kwargs", "complaint"),
    [
        ("wamp.session.get", [], {}, "session: missing"),
        ("wamp.session.get", [None], {}, "session: missing"),
        ("wamp.session.get", ["1"], {}, "session: Expected 'int', got 'str'"),
        ("wamp.session.get", [True], {}, "session: Expected 'int', got 'bool'"),
        ("wamp.session.get", [1.5], {}, "session: Expected 'int', got 'float'"),
        ("wamp.session.get", [0], {}, "session: Expected 'int' >= 1"),
        ("wamp.session.get", [2**53 + 1], {}, "session: Expected 'int' <= 9007199254740992"),
        ("wamp.session.get", [1, 2], {}, "2 positional arguments, where at most 1 are expected"),
        ("wamp.session.get", [1], {"session": 1}, "session: given by position and by name"),
        ("wamp.session.count", ["staff"], {}, "filter_authroles: Expected 'array | null', got 'str'"),
        ("wamp.session.count", [["staff", 1]], {}, "filter_authroles: Expected 'str', got 'int' - at '[1]'"),
        ("wamp.session.count", [], {"roles": []}, "'roles': there is no argument of this name"),
        ("wamp.session.kill", [1], {"message": 5}, "message: Expected 'str | null', got 'int'"),
        ("wamp.session.kill", [1], {"message": "x" * 501}, "message: Expected 'str' of length <= 500"),
        ("wamp.session.kill", [1, "com.reason"], {}, "2 positional arguments, where at most 1 are expected"),
    ],
)
@pytest.mark.parametrize("serializer", [JSON, MSGPACK, CBOR], ids=lambda serializer: serializer.name)
def test_wrong_arguments_are_refused_by_name(
    scene: Scene, procedure: str, args: list[Any], kwargs: dict[str, Any], complaint: str, serializer: Serializer
) -> None:
    caller = scene.join(serializer=serializer)

    error = refusal(scene, caller, procedure, *args, **kwargs)

    assert (error.error, error.args) == ("wamp.error.invalid_argument", [complaint])


def test_an_id_may_come_as_a_whole_float(scene: Scene) -> None:
    caller = scene.join(serializer=CBOR)

    assert answer(scene, caller, "wamp.session.get", float(caller.id))["session"] == caller.id


def test_arguments_beyond_a_megabyte_are_refused_unread(scene: Scene, caller: Session) -> None:
    error = refusal(scene, caller, "wamp.session.count", ["x" * 1024 * 1024])

    assert error.error == "wamp.error.payload_size_exceeded"


def test_json_without_a_python_value_is_refused(scene: Scene, caller: Session) -> None:
    effects = scene.call(caller, "wamp.session.get", args=Raw(b"[" + b"1" * 5000 + b"]"))

    assert sent_one(effects, caller).error == "wamp.error.invalid_argument"


@pytest.mark.parametrize("options", [{"progress": True}, {"ppt_scheme": "x_mine"}])
def test_meta_procedures_take_plain_calls_only(scene: Scene, options: dict[str, Any]) -> None:
    caller = scene.join(caller=EVERYTHING)

    message = sent_one(scene.call(caller, "wamp.session.count", **options), caller)

    assert message.error == "wamp.error.feature_not_supported"


def test_options_that_ask_for_more_than_there_is_are_harmless(scene: Scene, caller: Session) -> None:
    effects = scene.call(caller, "wamp.session.count", receive_progress=True, timeout=10, disclose_me=True)

    assert type(sent_one(effects, caller)) is Result


def test_a_request_id_that_a_pending_call_has_is_a_violation(scene: Scene, caller: Session) -> None:
    callee = scene.join()
    scene.register(callee, "com.procedure")
    scene.call(caller, "com.procedure")
    caller.last_request -= 1

    with pytest.raises(ProtocolViolation):
        scene.call(caller, "wamp.session.count")


def test_a_procedure_that_the_meta_api_does_not_have_is_none(scene: Scene, caller: Session) -> None:
    message = sent_one(scene.call(caller, "wamp.session.resurrect"), caller)

    assert type(message) is Error
    assert message.error == "wamp.error.no_such_procedure"


def test_nothing_is_prepared_when_nobody_listens(scene: Scene) -> None:
    session = scene.join()

    assert scene.joined == []
    assert len(scene.subscribe(session, "com.topic")) == 1
    assert len(scene.register(session, "com.procedure")) == 1
    assert scene.leave(session) == []
