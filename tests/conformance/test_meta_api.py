"""The meta API as peers see it (advanced/meta_api*.md, pubsub_testament.md, *_revocation.md)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.peer import Peer
from tests.conformance.router import EVERYTHING, RealmUnderTest

from rocade.router.permissions import Permission, Role
from rocade.wamp.messages import Call, CallOptions, CloseDetails, Error, Event, Goodbye, Match, Result

TOPIC, PROCEDURE = "com.example.topic", "com.example.procedure"
ON_JOIN, ON_LEAVE = "wamp.session.on_join", "wamp.session.on_leave"


async def ask(peer: Peer, procedure: str, *args: Any, **kwargs: Any) -> list[Any]:
    """Results of a meta procedure."""
    await peer.send(Call(peer.next_request(), CallOptions(), procedure, list(args), kwargs))
    result = await peer.expect(Result)
    assert result.request == peer.last_request
    return list(result.args or [])


async def expect_event(peer: Peer, subscription: int, *args: Any) -> None:
    """The next message must be this meta event."""
    event = await peer.expect(Event)
    assert (event.subscription, event.args) == (subscription, list(args))


async def test_welcome_announces_the_meta_api(realm: RealmUnderTest) -> None:
    peer = await realm.connect()

    await peer.send_array(1, realm.name, {"roles": {"caller": {}}})

    _, _, details = await peer.receive_array()
    broker, dealer = details["roles"]["broker"], details["roles"]["dealer"]
    for feature in ("session_meta_api", "subscription_meta_api", "subscription_revocation"):
        assert broker["features"][feature] is True
    for feature in ("session_meta_api", "registration_meta_api", "registration_revocation", "testament_meta_api"):
        assert dealer["features"][feature] is True
    assert broker["reflection"] is dealer["reflection"] is True


# --- sessions ------------------------------------------------------------------------------------------


async def test_who_joins_and_who_leaves_is_told(realm: RealmUnderTest) -> None:
    watcher = await realm.join()
    joined, left = await watcher.subscribe(ON_JOIN), await watcher.subscribe(ON_LEAVE)

    peer = await realm.join(authid="joe", authrole="staff")
    await peer.leave()

    event = await watcher.expect(Event)
    assert event.subscription == joined
    (details,) = event.args
    transport = details.pop("transport")
    assert details == {
        "session": peer.session,
        "authid": "joe",
        "authrole": "staff",
        "authmethod": "anonymous",
        "authprovider": "static",
    }
    assert transport.keys() == {"type", "protocol", "peer", "secure"}
    assert transport["protocol"].startswith(f"wamp.2.{peer.serializer.name}")
    await expect_event(watcher, left, peer.session, "joe", "staff")


async def test_what_get_tells_is_what_on_join_told(realm: RealmUnderTest) -> None:
    watcher = await realm.join()
    await watcher.subscribe(ON_JOIN)

    peer = await realm.join()
    told = (await watcher.expect(Event)).args

    assert await ask(watcher, "wamp.session.get", peer.session) == told
    assert sorted((await ask(peer, "wamp.session.list"))[0]) == sorted([watcher.session, peer.session])
    assert await ask(peer, "wamp.session.count", ["staff"]) == [0]


async def test_a_peer_that_vanishes_is_told_about_too(realm: RealmUnderTest) -> None:
    watcher, peer = await realm.join(), await realm.join(authid="joe")
    subscription, registration = await peer.subscribe(TOPIC), await peer.register(PROCEDURE)
    await ask(peer, "wamp.session.add_testament", "com.example.last", ["words"])
    topics = {
        topic: await watcher.subscribe(topic)
        for topic in (
            "wamp.subscription.on_unsubscribe",
            "wamp.subscription.on_delete",
            "wamp.registration.on_unregister",
            "wamp.registration.on_delete",
            "com.example.last",
            ON_LEAVE,
        )
    }

    await peer.vanish()

    heard = [await watcher.expect(Event) for _ in topics]
    told = [(event.subscription, event.args) for event in heard]
    about_subscription, about_registration = [peer.session, subscription], [peer.session, registration]
    for kind, what in (
        ("subscription.on_unsubscribe", about_subscription),
        ("registration.on_unregister", about_registration),
    ):
        gone, deleted = topics[f"wamp.{kind}"], topics[f"wamp.{kind.partition('.')[0]}.on_delete"]
        assert told.index((gone, what)) < told.index((deleted, what))
    assert told[-2:] == [
        (topics["com.example.last"], ["words"]),
        (topics[ON_LEAVE], [peer.session, "joe", "anonymous"]),
    ]
    await watcher.expect_nothing()


@pytest.mark.parametrize(
    ("kwargs", "goodbye"),
    [
        ({}, Goodbye(CloseDetails(), "wamp.close.killed")),
        (
            {"reason": "com.example.enough", "message": "That is enough. ✋"},
            Goodbye(CloseDetails(message="That is enough. ✋"), "com.example.enough"),
        ),
    ],
    ids=["plain", "explained"],
)
async def test_who_is_killed_gets_goodbye_and_is_gone_at_once(
    realm: RealmUnderTest, kwargs: dict[str, Any], goodbye: Goodbye
) -> None:
    caller, victim = await realm.join(), await realm.join()
    await victim.register(PROCEDURE)
    left = await caller.subscribe(ON_LEAVE)

    await caller.send(Call(caller.next_request(), CallOptions(), "wamp.session.kill", [victim.session], kwargs))

    await expect_event(caller, left, victim.session, victim.welcome.details.authid, "anonymous")  # type: ignore[union-attr]
    result = await caller.expect(Result)
    assert not result.args
    assert await victim.expect(Goodbye) == goodbye
    await caller.call(PROCEDURE)
    await caller.expect_error(48, "wamp.error.no_such_procedure")
    await victim.send(Goodbye(CloseDetails(), "wamp.close.goodbye_and_out"))
    await victim.expect_end()


async def test_what_a_killed_peer_sent_in_the_meantime_is_ignored(realm: RealmUnderTest) -> None:
    caller, victim = await realm.join(), await realm.join()
    await caller.subscribe(TOPIC)

    assert await ask(caller, "wamp.session.kill", victim.session) == []
    await victim.send_array(16, 1, {"acknowledge": True}, TOPIC, [1])
    await victim.send_array(6, {}, "wamp.close.goodbye_and_out")

    await victim.expect(Goodbye)
    await victim.expect_end()
    await caller.expect_nothing()


async def test_all_of_an_authid_or_authrole_are_killed_but_not_the_caller(realm: RealmUnderTest) -> None:
    caller = await realm.join(authid="joe", authrole="staff")
    joes = [await realm.join(authid="joe", authrole="guest") for _ in range(2)]
    staff = await realm.join(authid="ann", authrole="staff")

    (killed,) = await ask(caller, "wamp.session.kill_by_authid", "joe")
    count = await ask(caller, "wamp.session.kill_by_authrole", "staff")

    assert sorted(killed) == sorted(peer.session for peer in joes)
    assert count == [1]
    for peer in (*joes, staff):
        assert (await peer.expect(Goodbye)).reason == "wamp.close.killed"
    assert await ask(caller, "wamp.session.list") == [[caller.session]]


async def test_kill_all_tells_nobody(realm: RealmUnderTest) -> None:
    caller, peer = await realm.join(), await realm.join()
    await caller.subscribe(ON_LEAVE)
    await caller.subscribe(TOPIC)
    await ask(peer, "wamp.session.add_testament", TOPIC)

    assert await ask(caller, "wamp.session.kill_all") == [1]

    assert await peer.expect(Goodbye)
    await caller.expect_nothing()


@pytest.mark.parametrize(
    ("args", "kwargs", "uri", "text"),
    [
        ([1], {}, "wamp.error.no_such_session", "session 1"),
        ([1], {"reason": "no uri"}, "wamp.error.invalid_uri", "reason"),
        (["1"], {}, "wamp.error.invalid_argument", "session"),
        ([], {}, "wamp.error.invalid_argument", "session"),
    ],
)
async def test_a_kill_that_fails_says_why(
    realm: RealmUnderTest, args: list[Any], kwargs: dict[str, Any], uri: str, text: str
) -> None:
    caller = await realm.join()

    await caller.send(Call(caller.next_request(), CallOptions(), "wamp.session.kill", args, kwargs))

    error = await caller.expect_error(48, uri)
    assert text in error.args[0]


# --- permissions ---------------------------------------------------------------------------------------


async def test_who_may_call_in_general_may_look_but_not_kill(open_realm: Any) -> None:
    calls = Permission(uri="", match=Match.PREFIX, call=True)
    realm = open_realm([Role("anonymous", [calls]), Role("staff", [EVERYTHING])])
    peer, other = await realm.join(), await realm.join(authrole="staff")

    assert await ask(peer, "wamp.session.count") == [2]
    await peer.call("wamp.session.kill", other.session)

    await peer.expect_error(48, "wamp.error.not_authorized")
    assert await ask(other, "wamp.session.kill", peer.session) == []


async def test_the_meta_api_is_denied_by_default(open_realm: Any) -> None:
    realm = open_realm([Role("anonymous", [])])
    peer = await realm.join()

    await peer.call("wamp.session.count")

    await peer.expect_error(48, "wamp.error.not_authorized")


async def test_who_may_not_publish_leaves_no_testament(open_realm: Any) -> None:
    realm = open_realm([Role("anonymous", [Permission(uri="wamp.", match=Match.PREFIX, call=True)])])
    peer = await realm.join()

    await peer.call("wamp.session.add_testament", TOPIC)

    await peer.expect_error(48, "wamp.error.not_authorized")


# --- subscriptions and registrations -------------------------------------------------------------------


async def test_subscriptions_are_told_about_in_their_order(realm: RealmUnderTest) -> None:
    watcher, peer = await realm.join(), await realm.join()
    created, added, removed, deleted = [
        await watcher.subscribe(f"wamp.subscription.on_{what}")
        for what in ("create", "subscribe", "unsubscribe", "delete")
    ]

    subscription = await peer.subscribe(TOPIC)
    await peer.unsubscribe(subscription)

    event = await watcher.expect(Event)
    session, details = event.args
    assert (event.subscription, session) == (created, peer.session)
    assert (details["id"], details["uri"], details["match"]) == (subscription, TOPIC, "exact")
    assert details["created"].endswith("Z")
    for id in (added, removed, deleted):
        await expect_event(watcher, id, peer.session, subscription)


async def test_registrations_are_told_about_in_their_order(realm: RealmUnderTest) -> None:
    watcher, peer = await realm.join(), await realm.join()
    id = await watcher.subscribe("wamp.registration.", match=Match.PREFIX)

    registration = await peer.register(PROCEDURE)
    await peer.unregister(registration)

    events = [await watcher.expect(Event) for _ in range(4)]
    assert {event.subscription for event in events} == {id}
    assert [event.details.topic.rpartition("_")[2] for event in events] == [
        "create",
        "register",
        "unregister",
        "delete",
    ]  # type: ignore[union-attr]
    assert events[0].args[1]["invoke"] == "single"
    assert [event.args for event in events[1:]] == [[peer.session, registration]] * 3


async def test_what_there_is_can_be_asked_for(realm: RealmUnderTest) -> None:
    peer = await realm.join()
    subscription, registration = await peer.subscribe(TOPIC), await peer.register("com.", match=Match.PREFIX)

    assert await ask(peer, "wamp.subscription.list") == [{"exact": [subscription], "prefix": [], "wildcard": []}]
    assert await ask(peer, "wamp.subscription.match", TOPIC) == [[subscription]]
    assert await ask(peer, "wamp.subscription.lookup", "com.nothing") == [None]
    assert await ask(peer, "wamp.subscription.list_subscribers", subscription) == [[peer.session]]
    assert await ask(peer, "wamp.registration.list") == [{"exact": [], "prefix": [registration], "wildcard": []}]
    assert await ask(peer, "wamp.registration.match", PROCEDURE) == [registration]
    assert await ask(peer, "wamp.registration.lookup", "com.", {"match": "prefix"}) == [registration]
    assert await ask(peer, "wamp.registration.count_callees", registration) == [1]


async def test_revocations_are_sent_to_who_announced_them(realm: RealmUnderTest) -> None:
    admin = await realm.join()
    peer = await realm.join(features={"registration_revocation": True, "subscription_revocation": True})
    subscription, registration = await peer.subscribe(TOPIC), await peer.register(PROCEDURE)

    await ask(
        admin, "wamp.subscription.remove_subscriber", subscription, peer.session, "com.example.no_longer_authorized"
    )
    await ask(admin, "wamp.registration.remove_callee", registration, peer.session)

    assert await peer.receive_array() == [
        35,
        0,
        {"subscription": subscription, "reason": "com.example.no_longer_authorized"},
    ]
    assert await peer.receive_array() == [67, 0, {"registration": registration}]
    await admin.publish(TOPIC)
    await peer.expect_nothing()


async def test_who_did_not_announce_revocation_is_not_told(realm: RealmUnderTest) -> None:
    admin, peer = await realm.join(), await realm.join(features={})
    subscription = await peer.subscribe(TOPIC)

    await ask(admin, "wamp.subscription.remove_subscriber", subscription, peer.session)

    await admin.publish(TOPIC)
    await peer.expect_nothing()


# --- testaments and schemas ----------------------------------------------------------------------------


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor"])
async def test_a_testament_reads_the_same_in_every_serializer(realm: RealmUnderTest, serializer: str) -> None:
    heir, owner = await realm.join(serializer=serializer), await realm.join()
    await heir.subscribe("com.example.detached")
    await heir.subscribe("com.example.destroyed")
    payload = (["Seeya!", b"\x00\xff", 1.5, None], {"of": {"a": [1]}})

    await ask(owner, "wamp.session.add_testament", "com.example.destroyed", *payload)
    await ask(owner, "wamp.session.add_testament", "com.example.detached", *payload, scope="detached")
    await owner.vanish()

    events = [await heir.expect(Event) for _ in range(2)]
    assert [(event.args, event.kwargs) for event in events] == [payload, payload]
    assert events[0].subscription < events[1].subscription


async def test_testaments_that_were_flushed_are_not_published(realm: RealmUnderTest) -> None:
    heir, owner = await realm.join(), await realm.join()
    await heir.subscribe(TOPIC)

    assert await ask(owner, "wamp.session.add_testament", TOPIC, [1], {}) == []
    assert await ask(owner, "wamp.session.flush_testaments") == []
    await owner.leave()

    await heir.expect_nothing()


async def test_schemas_come_and_go_with_who_defines_them(realm: RealmUnderTest) -> None:
    reader, definer = await realm.join(), await realm.join()
    defined = await reader.subscribe("wamp.schema.on_define")
    undefined = await reader.subscribe("wamp.schema.on_undefine")
    schema = {"kind": "procedure", "args": {"type": "array", "maxItems": 2}}

    assert await ask(definer, "wamp.schema.define", PROCEDURE, schema) == [True]
    await expect_event(reader, defined, PROCEDURE, schema, True)
    assert await ask(reader, "wamp.schema.describe", PROCEDURE) == [schema]
    await definer.vanish()

    await expect_event(reader, undefined, PROCEDURE)
    assert await ask(reader, "wamp.reflection.procedure.list") == [[]]


async def test_nobody_registers_or_publishes_in_the_routers_name(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    await peer.send_array(64, peer.next_request(), {}, "wamp.session.count")
    await peer.expect_error(64, "wamp.error.invalid_uri")
    await peer.send_array(16, peer.next_request(), {"acknowledge": True}, ON_LEAVE, [1, "joe", "staff"])
    error = await peer.expect(Error)

    assert error.error == "wamp.error.invalid_uri"
