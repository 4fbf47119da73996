"""Sessions: opening, closing, aborting (basic/sessions.md, basic/building_blocks.md)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conformance.peer import Peer
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import (
    Abort,
    CloseDetails,
    Goodbye,
    Subscribe,
    Subscribed,
    SubscribeOptions,
    Welcome,
)

HELLO: dict[str, Any] = {"roles": {"caller": {}}}
VIOLATION = "wamp.error.protocol_violation"


async def expect_abort(peer: Peer, uri: str) -> Abort:
    """ABORT must come, and then the end of the connection."""
    abort = await peer.expect(Abort)
    assert abort.reason == uri
    assert abort.details.message
    await peer.expect_end()
    return abort


# --- HELLO and WELCOME -----------------------------------------------------------------------------


async def test_welcome_names_the_session_the_realm_and_who_the_client_is(realm: RealmUnderTest) -> None:
    peer = await realm.connect()

    welcome = await peer.join(realm.name, authid="joe", authrole="staff")

    assert 1 <= welcome.session <= 2**53
    details = welcome.details
    assert (details.realm, details.agent) == (realm.name, "Rocade under test")
    assert (details.authid, details.authrole) == ("joe", "staff")
    assert (details.authmethod, details.authprovider) == ("anonymous", "static")


async def test_a_router_must_announce_the_roles_and_the_features_that_it_supports(realm: RealmUnderTest) -> None:
    peer = await realm.connect()

    await peer.send_array(1, realm.name, HELLO)

    code, _session, details = await peer.receive_array()
    assert code == 2
    assert set(details["roles"]) == {"broker", "dealer"}
    broker, dealer = details["roles"]["broker"]["features"], details["roles"]["dealer"]["features"]
    assert {feature for feature, offered in broker.items() if offered} >= {
        "pattern_based_subscription",
        "publisher_exclusion",
        "publisher_identification",
        "subscriber_blackwhite_listing",
    }
    assert {feature for feature, offered in dealer.items() if offered} >= {
        "call_canceling",
        "call_timeout",
        "caller_identification",
        "pattern_based_registration",
        "progressive_call_results",
        "shared_registration",
    }


async def test_session_ids_are_random(realm: RealmUnderTest) -> None:
    sessions = [(await realm.join()).session for _ in range(5)]

    assert len(set(sessions)) == 5
    assert max(sessions) > 2**40, "uniform over 1 to 2^53, five of them are not all small"


async def test_unknown_details_of_hello_are_ignored(realm: RealmUnderTest) -> None:
    peer = await realm.connect()

    await peer.send_array(1, realm.name, {**HELLO, "agent": "test", "_custom_thing": [1], "resumable": False})

    await peer.expect(Welcome)


async def test_unknown_authentication_methods_are_skipped(realm: RealmUnderTest) -> None:
    peer = await realm.connect()

    await peer.send_array(1, realm.name, {**HELLO, "authmethods": ["palmistry", "anonymous"]})

    await peer.expect(Welcome)


# --- ABORT instead of WELCOME ----------------------------------------------------------------------


async def test_a_realm_that_does_not_exist_is_refused(realm: RealmUnderTest) -> None:
    peer = await realm.connect()

    await peer.send_array(1, "com.example.missing", HELLO)

    await expect_abort(peer, "wamp.error.no_such_realm")


@pytest.mark.parametrize("name", ["", "com..example", "not a uri", "com.#", "a" * 5000], ids=lambda name: name[:9])
async def test_the_name_of_a_realm_must_be_a_uri(realm: RealmUnderTest, name: str) -> None:
    """basic/uri_reference.md, Incorrect URIs: any attribute that is one, such as a realm."""
    peer = await realm.connect()

    await peer.send_array(1, name, HELLO)

    await expect_abort(peer, "wamp.error.invalid_uri")


async def test_a_role_that_the_realm_does_not_have_is_refused(realm: RealmUnderTest) -> None:
    peer = await realm.connect()

    await peer.send_array(1, realm.name, {**HELLO, "authrole": "emperor"})

    await expect_abort(peer, "wamp.error.no_such_role")


async def test_a_client_with_authentication_methods_that_nobody_knows_is_refused(realm: RealmUnderTest) -> None:
    peer = await realm.connect()

    await peer.send_array(1, realm.name, {**HELLO, "authmethods": ["palmistry"]})

    await expect_abort(peer, "wamp.error.no_matching_auth_method")


@pytest.mark.parametrize("details", [{}, {"roles": {}}, {"roles": {"spectator": {}}}, {"roles": []}], ids=repr)
async def test_a_client_must_announce_at_least_one_role(realm: RealmUnderTest, details: dict[str, Any]) -> None:
    peer = await realm.connect()

    await peer.send_array(1, realm.name, details)

    await expect_abort(peer, VIOLATION)


# --- protocol errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        [2, 1, {"roles": {"broker": {}}}],
        [5, "signature", {}],
        [6, {}, "wamp.close.close_realm"],
        [16, 1, {}, "com.example.topic"],
        [32, 1, {}, "com.example.topic"],
        [48, 1, {}, "com.example.procedure"],
        [70, 1, {}],
    ],
    ids=lambda first: f"code {first[0]}",
)
async def test_hello_must_be_the_very_first_message(realm: RealmUnderTest, first: list[Any]) -> None:
    peer = await realm.connect()

    await peer.send_array(*first)

    await expect_abort(peer, VIOLATION)


async def test_a_second_hello_during_the_lifetime_of_the_session_is_a_protocol_error(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    await peer.send_array(1, realm.name, HELLO)

    await expect_abort(peer, VIOLATION)


@pytest.mark.parametrize(
    "message",
    [
        [2, 1, {"roles": {"broker": {}}}],
        [4, "ticket", {}],
        [5, "signature", {}],
        [17, 1, 1],
        [33, 1, 1],
        [36, 1, 1, {}],
        [50, 1, {}],
        [65, 1, 1],
        [68, 1, 1, {}],
        [69, 1, {}],
    ],
    ids=lambda message: f"code {message[0]}",
)
async def test_what_only_routers_send_is_a_protocol_error(realm: RealmUnderTest, message: list[Any]) -> None:
    peer = await realm.join()

    await peer.send_array(*message)

    await expect_abort(peer, VIOLATION)


@pytest.mark.parametrize(
    "message",
    [
        [],
        [32],
        [32, 1],
        [32, 1, {}],
        [32, 1, {}, "com.example.topic", "too many"],
        [16, 1, {}, "com.example.topic", [], {}, "too many"],
        [32, "1", {}, "com.example.topic"],
        [32, 1, [], "com.example.topic"],
        [32, 1, None, "com.example.topic"],
        [32, 1, {}, 5],
        [32, 1, {}, None],
        [32, 1, {"match": "fuzzy"}, "com.example.topic"],
        [32, 1, {"match": 1}, "com.example.topic"],
        [16, 1, {"acknowledge": "yes"}, "com.example.topic"],
        [16, 1, {"eligible": 5}, "com.example.topic"],
        [16, 1, {"exclude": ["5"]}, "com.example.topic"],
        [16, 1, {}, "com.example.topic", {}],
        [16, 1, {}, "com.example.topic", "text"],
        [16, 1, {}, "com.example.topic", [], []],
        [64, 1, {"invoke": "all"}, "com.example.procedure"],
        [48, 1, {"timeout": -1}, "com.example.procedure"],
        [49, 1, {"mode": "maybe"}],
        [9999, 1],
        [0, 1],
        [-1],
        ["32", 1, {}, "com.example.topic"],
        {"code": 32},
        "text",
        5,
        None,
    ],
    ids=repr,
)
async def test_a_message_of_the_wrong_shape_is_a_protocol_error(realm: RealmUnderTest, message: Any) -> None:
    from tests.conformance.peer import encode_plainly

    peer = await realm.join()

    await peer.send_bytes(encode_plainly(peer.serializer.name, message))

    await expect_abort(peer, VIOLATION)


@pytest.mark.parametrize("request_id", [0, -1, 2**53 + 1, 1.5, True, None], ids=repr)
async def test_ids_are_integers_between_1_and_2_to_the_53(realm: RealmUnderTest, request_id: Any) -> None:
    peer = await realm.join()

    await peer.send_array(32, request_id, {}, "com.example.topic")

    await expect_abort(peer, VIOLATION)


@pytest.mark.parametrize("request_id", [1, 7, 2**53])
async def test_the_first_request_id_may_be_any(realm: RealmUnderTest, request_id: int) -> None:
    """The specification says 1. wampy.js goes on counting where it was before it reconnected."""
    peer = await realm.join()

    await peer.send(Subscribe(request_id, SubscribeOptions(), "com.example.topic"))

    assert (await peer.expect(Subscribed)).request == request_id


@pytest.mark.parametrize("request_id", [1, 3])
async def test_request_ids_must_be_incremented_by_1(realm: RealmUnderTest, request_id: int) -> None:
    peer = await realm.join()
    await peer.subscribe("com.example.topic")

    await peer.send(Subscribe(request_id, SubscribeOptions(), "com.example.other"))

    await expect_abort(peer, VIOLATION)


async def test_request_ids_may_be_anything_where_the_realm_says_so(open_realm: Any) -> None:
    realm = open_realm(sequential_requests=False)
    peer = await realm.join(features={})

    for request_id in (77, 3, 2**53):
        await peer.send(Subscribe(request_id, SubscribeOptions(), "com.example.topic"))
        assert (await peer.expect(Subscribed)).request == request_id


async def test_request_ids_count_everywhere_for_who_announces_progressive_call_invocations(open_realm: Any) -> None:
    realm = open_realm(sequential_requests=False)
    peer = await realm.join(features={"progressive_call_invocations": True})
    await peer.subscribe("com.example.topic")

    await peer.send(Subscribe(77, SubscribeOptions(), "com.example.topic"))

    assert (await peer.expect(Abort)).reason == "wamp.error.protocol_violation"


async def test_unknown_options_are_ignored(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    await peer.send_array(32, 1, {"_mine": 1, "x_theirs": {"a": [1, None]}, "sometime": None}, "com.example.topic")

    await peer.expect(Subscribed)


async def test_one_session_that_is_aborted_leaves_the_others_alone(realm: RealmUnderTest) -> None:
    good, bad = await realm.join(), await realm.join()
    await good.subscribe("com.example.topic")

    await bad.send_array(2, 1, {})
    await expect_abort(bad, VIOLATION)

    await good.expect_nothing()


# --- GOODBYE and ABORT -----------------------------------------------------------------------------


async def test_goodbye_must_be_replied_to_with_goodbye_and_out(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    await peer.send(Goodbye(CloseDetails(message="enough"), "com.example.enough"))

    assert await peer.expect(Goodbye) == Goodbye(CloseDetails(), "wamp.close.goodbye_and_out")


async def test_nothing_is_sent_after_goodbye(realm: RealmUnderTest) -> None:
    leaving, publisher = await realm.join(), await realm.join()
    await leaving.subscribe("com.example.topic")

    await leaving.leave()
    await publisher.publish("com.example.topic", 1)

    await leaving.send_array(32, 1, {}, "com.example.topic")
    await expect_abort(leaving, VIOLATION)


async def test_after_goodbye_the_same_transport_may_carry_a_new_session(realm: RealmUnderTest) -> None:
    peer = await realm.join(authid="first")
    before = peer.session
    await peer.leave()

    welcome = await peer.join(realm.name, authid="second")

    assert welcome.session != before
    assert welcome.details.authid == "second"
    await peer.subscribe("com.example.topic")


async def test_a_new_session_on_the_same_transport_begins_with_nothing(realm: RealmUnderTest) -> None:
    peer, other = await realm.join(), await realm.join()
    await peer.subscribe("com.example.topic")
    await peer.register("com.example.procedure")
    await peer.leave()
    await peer.join(realm.name)

    await other.publish("com.example.topic", 1)
    await other.call("com.example.procedure")

    await other.expect_error(48, "wamp.error.no_such_procedure")
    await peer.expect_nothing()


async def test_no_response_to_an_abort_is_expected(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    await peer.send(Abort(CloseDetails(message="I give up"), "com.example.tired"))

    await peer.expect_end()


async def test_what_a_session_had_ends_with_abort(realm: RealmUnderTest) -> None:
    peer, other = await realm.join(), await realm.join()
    await peer.register("com.example.procedure")

    await peer.send(Abort(CloseDetails(), "com.example.tired"))
    await peer.expect_end()
    await other.call("com.example.procedure")

    await other.expect_error(48, "wamp.error.no_such_procedure")
