"""Each procedure of the meta API with the arguments and results of the specification, as they stand on the wire.

advanced/meta_api_sessions.md, advanced/meta_api_registrations.md, advanced/meta_api_subscriptions.md,
advanced/pubsub_testament.md. What happens around them is in test_meta_api.py.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.conformance.peer import Peer
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import Goodbye, Invoke, Match

TOPIC, PROCEDURE = "com.example.topic", "com.example.procedure"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


async def ask(peer: Peer, procedure: str, *args: Any, **kwargs: Any) -> Any:
    """The one result of a procedure; None where there is none."""
    await peer.send_array(48, peer.next_request(), {}, procedure, list(args), *([kwargs] if kwargs else []))
    code, request, _details, *payload = await peer.receive_array()
    assert (code, request) == (50, peer.last_request), payload
    (results,) = payload or [[None]]
    (result,) = results
    return result


async def refusal(peer: Peer, procedure: str, *args: Any, **kwargs: Any) -> str:
    """The error URI of a procedure."""
    await peer.send_array(48, peer.next_request(), {}, procedure, list(args), *([kwargs] if kwargs else []))
    code, request_type, request, _details, uri, *_ = await peer.receive_array()
    assert (code, request_type, request) == (8, 48, peer.last_request)
    assert isinstance(uri, str)
    return uri


# --- sessions --------------------------------------------------------------------------------------


async def test_session_count_and_list_are_of_all_sessions_or_of_some_roles(realm: RealmUnderTest) -> None:
    """advanced/meta_api_sessions.md, wamp.session.count and wamp.session.list."""
    one, two = await realm.join(authrole="staff"), await realm.join(authrole="guest")
    ids = sorted([one.session, two.session])

    assert await ask(one, "wamp.session.count") == 2
    assert await ask(one, "wamp.session.count", ["guest"]) == 1
    assert await ask(one, "wamp.session.count", ["guest", "staff"]) == 2
    assert await ask(one, "wamp.session.count", ["emperor"]) == 0
    assert sorted(await ask(one, "wamp.session.list")) == ids
    assert await ask(one, "wamp.session.list", ["guest"]) == [two.session]
    assert await ask(one, "wamp.session.list", []) == []


async def test_session_get_tells_who_it_is_or_that_there_is_none(realm: RealmUnderTest) -> None:
    """advanced/meta_api_sessions.md, wamp.session.get."""
    peer, other = await realm.join(), await realm.join(authid="joe", authrole="staff")

    details = await ask(peer, "wamp.session.get", other.session)

    assert details.pop("transport").keys() == {"type", "protocol", "peer", "secure"}
    assert details == {
        "session": other.session,
        "authid": "joe",
        "authrole": "staff",
        "authmethod": "anonymous",
        "authprovider": "static",
    }
    assert await refusal(peer, "wamp.session.get", 1) == "wamp.error.no_such_session"


async def test_who_asks_for_its_own_end_hears_that_there_is_no_other_such_session(realm: RealmUnderTest) -> None:
    """advanced/meta_api_sessions.md, wamp.session.kill."""
    peer = await realm.join()

    assert await refusal(peer, "wamp.session.kill", peer.session) == "wamp.error.no_such_session"


@pytest.mark.parametrize(
    ("procedure", "args"),
    [
        ("wamp.session.kill", None),
        ("wamp.session.kill_by_authid", ["joe"]),
        ("wamp.session.kill_by_authrole", ["staff"]),
        ("wamp.session.kill_all", []),
    ],
)
async def test_a_reason_to_kill_must_be_a_uri_and_is_told_with_the_message(
    realm: RealmUnderTest, procedure: str, args: list[Any] | None
) -> None:
    """advanced/meta_api_sessions.md: `reason` and `message` of the four that kill; the results of each."""
    killer = await realm.join(authid="joe", authrole="staff")
    victim = await realm.join(authid="joe", authrole="staff")
    args = [victim.session] if args is None else args

    assert await refusal(killer, procedure, *args, reason="no uri") == "wamp.error.invalid_uri"
    assert await refusal(killer, procedure, *args, reason="") == "wamp.error.invalid_uri"
    result = await ask(killer, procedure, *args, reason="com.example.enough", message="That will do.")

    assert result == {"wamp.session.kill": None, "wamp.session.kill_by_authid": [victim.session]}.get(procedure, 1)
    assert await victim.receive_array() == [6, {"message": "That will do."}, "com.example.enough"]


@pytest.mark.parametrize(
    ("procedure", "args", "result"),
    [
        ("wamp.session.kill_by_authid", ["nobody"], []),
        ("wamp.session.kill_by_authrole", ["emperor"], 0),
        ("wamp.session.kill_all", [], 0),
    ],
)
async def test_who_kills_is_never_among_the_killed(
    realm: RealmUnderTest, procedure: str, args: list[Any], result: Any
) -> None:
    """advanced/meta_api_sessions.md: the caller's own session is excluded."""
    killer = await realm.join()

    assert await ask(killer, procedure, *args) == result

    await killer.expect_nothing()


async def test_meta_events_stay_in_their_realm(realm: RealmUnderTest, open_realm: Any) -> None:
    """advanced/meta_api_sessions.md, Events: dispatched to the same realm."""
    watcher, elsewhere = await realm.join(), open_realm()
    await watcher.subscribe("wamp.", match=Match.PREFIX)

    stranger = await elsewhere.join()
    await stranger.subscribe(TOPIC)
    await stranger.register(PROCEDURE)
    await stranger.leave()

    await watcher.expect_nothing()
    assert await ask(watcher, "wamp.session.count") == 1


async def test_sessions_of_another_realm_are_no_sessions_here(realm: RealmUnderTest, open_realm: Any) -> None:
    """advanced/meta_api_sessions.md, Procedures: of the realm that they are called in."""
    peer, stranger = await realm.join(), await open_realm().join(authid="joe")

    assert await ask(peer, "wamp.session.list") == [peer.session]
    for procedure in ("wamp.session.get", "wamp.session.kill"):
        assert await refusal(peer, procedure, stranger.session) == "wamp.error.no_such_session"
    assert await ask(peer, "wamp.session.kill_by_authid", "joe") == []
    assert await ask(peer, "wamp.session.kill_all") == 0

    await stranger.expect_nothing()


# --- registrations ---------------------------------------------------------------------------------


async def test_registrations_are_listed_by_match_policy(realm: RealmUnderTest) -> None:
    """advanced/meta_api_registrations.md, wamp.registration.list and wamp.registration.lookup."""
    peer = await realm.join()
    ids = {match: await peer.register("com.example", match=match) for match in Match}

    assert await ask(peer, "wamp.registration.list") == {match.value: [id] for match, id in ids.items()}
    assert await ask(peer, "wamp.registration.lookup", "com.example") == ids[Match.EXACT]
    for match, id in ids.items():
        assert await ask(peer, "wamp.registration.lookup", "com.example", {"match": match.value}) == id
    assert await ask(peer, "wamp.registration.lookup", "com.other") is None


async def test_registration_match_is_the_one_that_gets_the_call(realm: RealmUnderTest) -> None:
    """advanced/meta_api_registrations.md, wamp.registration.match."""
    peer = await realm.join()
    wildcard = await peer.register("com..one", match=Match.WILDCARD)
    prefix = await peer.register("com.example", match=Match.PREFIX)
    exact = await peer.register("com.example.one")

    procedures = ("com.example.one", "com.example.two", "com.other.one", "com.other.two")
    assert [await ask(peer, "wamp.registration.match", uri) for uri in procedures] == [exact, prefix, wildcard, None]


async def test_registration_get_tells_what_it_is(realm: RealmUnderTest) -> None:
    """advanced/meta_api_registrations.md, wamp.registration.get."""
    peer = await realm.join()
    registration = await peer.register("com..example", match=Match.WILDCARD, invoke=Invoke.ROUNDROBIN)

    details = await ask(peer, "wamp.registration.get", registration)

    assert MOMENT.fullmatch(details.pop("created"))
    assert details == {"id": registration, "uri": "com..example", "match": "wildcard", "invoke": "roundrobin"}


async def test_callees_of_a_registration_are_listed_and_counted(realm: RealmUnderTest) -> None:
    """advanced/meta_api_registrations.md, wamp.registration.list_callees and count_callees."""
    one, two = await realm.join(), await realm.join()
    registration = await one.register(PROCEDURE, invoke=Invoke.FIRST)
    await two.register(PROCEDURE, invoke=Invoke.FIRST)

    assert await ask(one, "wamp.registration.list_callees", registration) == [one.session, two.session]
    assert await ask(one, "wamp.registration.count_callees", registration) == 2
    await two.leave()

    assert await ask(one, "wamp.registration.list_callees", registration) == [one.session]


@pytest.mark.parametrize("name", ["get", "list_callees", "count_callees"])
async def test_a_registration_that_is_not_there_is_an_error(realm: RealmUnderTest, name: str) -> None:
    """advanced/meta_api_registrations.md: Error URIs."""
    peer = await realm.join()

    assert await refusal(peer, f"wamp.registration.{name}", 4711) == "wamp.error.no_such_registration"


async def test_a_second_callee_is_told_by_on_register_only(realm: RealmUnderTest) -> None:
    """advanced/meta_api_registrations.md, Events: on_create with the first callee, on_delete after the last."""
    watcher, one, two = await realm.join(), await realm.join(), await realm.join()
    await watcher.subscribe("wamp.registration.", match=Match.PREFIX)

    registration = await one.register(PROCEDURE, invoke=Invoke.LAST)
    await two.register(PROCEDURE, invoke=Invoke.LAST)
    await one.unregister(registration)
    await two.vanish()

    told = [await watcher.receive_array() for _ in range(6)]
    assert [(event[3]["topic"].rpartition(".")[2], event[4][0]) for event in told] == [
        ("on_create", one.session),
        ("on_register", one.session),
        ("on_register", two.session),
        ("on_unregister", one.session),
        ("on_unregister", two.session),
        ("on_delete", two.session),
    ]
    await watcher.expect_nothing()


# --- subscriptions ---------------------------------------------------------------------------------


async def test_subscriptions_are_listed_by_match_policy(realm: RealmUnderTest) -> None:
    """advanced/meta_api_subscriptions.md, wamp.subscription.list and wamp.subscription.lookup."""
    peer = await realm.join()
    ids = {match: await peer.subscribe("com.example", match=match) for match in Match}

    assert await ask(peer, "wamp.subscription.list") == {match.value: [id] for match, id in ids.items()}
    assert await ask(peer, "wamp.subscription.lookup", "com.example") == ids[Match.EXACT]
    for match, id in ids.items():
        assert await ask(peer, "wamp.subscription.lookup", "com.example", {"match": match.value}) == id
    assert await ask(peer, "wamp.subscription.lookup", "com.other") is None


async def test_subscription_match_is_all_that_get_the_event(realm: RealmUnderTest) -> None:
    """advanced/meta_api_subscriptions.md, wamp.subscription.match: irrespective of match policy, or null."""
    peer = await realm.join()
    wildcard = await peer.subscribe("com..one", match=Match.WILDCARD)
    prefix = await peer.subscribe("com.example", match=Match.PREFIX)
    exact = await peer.subscribe("com.example.one")

    assert sorted(await ask(peer, "wamp.subscription.match", "com.example.one")) == sorted([wildcard, prefix, exact])
    assert await ask(peer, "wamp.subscription.match", "com.example.two") == [prefix]
    assert await ask(peer, "wamp.subscription.match", "com.other.two") is None


async def test_subscription_get_tells_what_it_is(realm: RealmUnderTest) -> None:
    """advanced/meta_api_subscriptions.md, wamp.subscription.get."""
    peer = await realm.join()
    subscription = await peer.subscribe("com.example.", match=Match.PREFIX)

    details = await ask(peer, "wamp.subscription.get", subscription)

    assert MOMENT.fullmatch(details.pop("created"))
    assert details == {"id": subscription, "uri": "com.example.", "match": "prefix"}


async def test_subscribers_of_a_subscription_are_listed_and_counted(realm: RealmUnderTest) -> None:
    """advanced/meta_api_subscriptions.md, wamp.subscription.list_subscribers and count_subscribers."""
    one, two = await realm.join(), await realm.join()
    subscription = await one.subscribe(TOPIC)
    await two.subscribe(TOPIC)

    listed = await ask(one, "wamp.subscription.list_subscribers", subscription)
    assert sorted(listed) == sorted([one.session, two.session])
    assert await ask(one, "wamp.subscription.count_subscribers", subscription) == 2
    await two.leave()

    assert await ask(one, "wamp.subscription.list_subscribers", subscription) == [one.session]


@pytest.mark.parametrize("name", ["get", "list_subscribers", "count_subscribers", "get_events"])
async def test_a_subscription_that_is_not_there_is_an_error(realm: RealmUnderTest, name: str) -> None:
    """advanced/meta_api_subscriptions.md: Error URIs."""
    peer = await realm.join()

    assert await refusal(peer, f"wamp.subscription.{name}", 4711) == "wamp.error.no_such_subscription"


# --- testaments ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way_out", ["goodbye", "abort", "vanish", "killed"])
async def test_testaments_are_published_in_their_order_however_the_session_ends(
    realm: RealmUnderTest, way_out: str
) -> None:
    """advanced/pubsub_testament.md: several in each scope; detached ones before destroyed ones; publish options."""
    heir, excluded, owner = await realm.join(authid="heir"), await realm.join(authid="other"), await realm.join()
    for peer in (heir, excluded):
        await peer.subscribe(TOPIC)
    for number in range(2):
        for scope in ("destroyed", "detached"):
            options = {"exclude_authid": ["other"], "acknowledge": True}
            arguments = (TOPIC, [scope, number], {"of": "owner"})
            result = await ask(owner, "wamp.session.add_testament", *arguments, publish_options=options, scope=scope)
            assert result is None

    if way_out == "goodbye":
        await owner.leave()
    elif way_out == "abort":
        await owner.send_array(3, {}, "com.example.tired")
    elif way_out == "vanish":
        await owner.vanish()
    else:
        await excluded.call("wamp.session.kill", owner.session)
        assert (await excluded.receive_array())[0] == 50
        await owner.expect(Goodbye)

    events = [await heir.receive_array() for _ in range(4)]
    assert [event[4] for event in events] == [["detached", 0], ["detached", 1], ["destroyed", 0], ["destroyed", 1]]
    assert [event[5] for event in events] == [{"of": "owner"}] * 4
    await excluded.expect_nothing()


async def test_flushing_removes_the_testaments_of_one_scope_by_default_destroyed(realm: RealmUnderTest) -> None:
    """advanced/pubsub_testament.md, wamp.session.flush_testaments."""
    heir, owner = await realm.join(), await realm.join()
    await heir.subscribe(TOPIC)
    for scope in ("destroyed", "detached"):
        await ask(owner, "wamp.session.add_testament", TOPIC, [scope], {}, scope=scope)

    assert await ask(owner, "wamp.session.flush_testaments") is None
    await owner.leave()

    assert (await heir.receive_array())[4] == ["detached"]
    await heir.expect_nothing()
