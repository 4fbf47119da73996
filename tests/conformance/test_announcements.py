"""What the router says that it can do is what it can do (basic/sessions.md, Role and Feature Announcement)."""

from __future__ import annotations

from typing import Any

from tests.conformance.peer import Peer
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import Event, EventDetails, Invocation, InvocationDetails

TOPIC, PROCEDURE = "com.example.topic", "com.example.procedure"

BROKER = {
    "event_history",
    "event_retention",
    "pattern_based_subscription",
    "payload_passthru_mode",
    "publication_trustlevels",
    "publisher_exclusion",
    "publisher_identification",
    "session_meta_api",
    "session_resumption",
    "subscriber_blackwhite_listing",
    "subscription_meta_api",
    "subscription_revocation",
}
DEALER = {
    "call_canceling",
    "call_cancelling",
    "call_reroute",
    "call_timeout",
    "call_trustlevels",
    "caller_identification",
    "pattern_based_registration",
    "payload_passthru_mode",
    "progressive_call_invocations",
    "progressive_call_results",
    "registration_meta_api",
    "registration_revocation",
    "session_meta_api",
    "session_resumption",
    "shared_registration",
    "testament_meta_api",
}


async def announced(peer: Peer, realm: str) -> dict[str, Any]:
    """The roles of WELCOME, as they stand on the wire."""
    await peer.send_array(1, realm, {"roles": {"caller": {}}})
    code, _session, details = await peer.receive_array()
    assert code == 2
    roles: dict[str, Any] = details["roles"]
    return roles


async def test_the_features_that_are_announced_are_these_and_no_others(realm: RealmUnderTest) -> None:
    """basic/sessions.md, WELCOME; advanced/features.md. Each of them is proven in another file of this folder."""
    roles = await announced(await realm.connect(), realm.name)

    assert roles == {
        "broker": {"features": dict.fromkeys(BROKER, True), "reflection": True},
        "dealer": {"features": dict.fromkeys(DEALER, True), "reflection": True},
    }


async def test_sharding_is_not_announced_and_its_options_are_ignored(realm: RealmUnderTest) -> None:
    """advanced/rpc_sharded_registration.md, advanced/pubsub_sharded_subscription.md: sketches, and not there."""
    peer, other = await realm.connect(), await realm.join()

    roles = await announced(peer, realm.name)
    await other.send_array(32, 1, {"nkey": "a"}, TOPIC)
    await other.receive_array()
    await other.send_array(64, 2, {}, PROCEDURE)
    await other.receive_array()
    await peer.send_array(16, 1, {"rkey": "b"}, TOPIC)
    await peer.send_array(48, 2, {"runmode": "partition", "rkey": "b"}, PROCEDURE)

    assert not any("shard" in feature for role in roles.values() for feature in role["features"])
    assert (await other.expect(Event)).details == EventDetails()
    assert (await other.expect(Invocation)).details == InvocationDetails()
