"""Which URIs are accepted where (basic/building_blocks.md, URIs)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.router import RealmUnderTest

from rocade.wamp.messages import Match

INVALID = "wamp.error.invalid_uri"

BROKEN = ["", ".", "com.", ".com", "com..topic", "com.my topic", "com.topic\n", "com.to#pic", "com.\u2003"]
"""No URI in anybody's book."""

ODD = ["com.Example", "com.ex-ample", "com.übung", "com.a/b", "com.😀", "COM"]
"""URIs by the loose rules, not by the strict ones."""

RESERVED = ["wamp", "wamp.session.on_join", "wamp.mine", "wamp.registration.list"]


ALL_REQUESTS = pytest.mark.parametrize(
    ("code", "options"),
    [(32, {}), (16, {"acknowledge": True}), (48, {}), (64, {})],
    ids=["subscribe", "publish", "call", "register"],
)
Options = dict[str, bool]


@ALL_REQUESTS
async def test_components_must_not_be_empty_or_have_whitespace_or_hashes(
    realm: RealmUnderTest, code: int, options: Options
) -> None:
    peer = await realm.join()

    for uri in BROKEN:
        await peer.send_array(code, peer.next_request(), options, uri)
        await peer.expect_error(code, INVALID)


@pytest.mark.parametrize("match", ["prefix", "wildcard"])
@pytest.mark.parametrize("code", [32, 64])
async def test_patterns_must_not_have_whitespace_or_hashes(realm: RealmUnderTest, code: int, match: str) -> None:
    peer = await realm.join()

    for uri in ("com.my topic", "com.to#pic", "com.\n"):
        await peer.send_array(code, peer.next_request(), {"match": match}, uri)
        await peer.expect_error(code, INVALID)


async def test_loose_rules_accept_nearly_everything(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    for uri in ODD:
        await peer.subscribe(uri)
        await peer.register(uri)
        await peer.subscribe(uri, match=Match.PREFIX)
        await peer.subscribe(uri, match=Match.WILDCARD)
        await peer.publish(uri)


@ALL_REQUESTS
async def test_strict_rules_accept_lower_case_letters_digits_and_underscores(
    open_realm: Callable[..., RealmUnderTest], code: int, options: Options
) -> None:
    peer = await open_realm(strict_uris=True).join()

    for uri in ODD:
        await peer.send_array(code, peer.next_request(), options, uri)
        await peer.expect_error(code, INVALID)
    await peer.subscribe("com.example_1.topic2")


@pytest.mark.parametrize(("code", "options"), [(16, {"acknowledge": True}), (64, {})], ids=["publish", "register"])
async def test_uris_whose_first_component_is_wamp_are_reserved(
    realm: RealmUnderTest, code: int, options: Options
) -> None:
    peer = await realm.join()

    for uri in RESERVED:
        await peer.send_array(code, peer.next_request(), options, uri)
        await peer.expect_error(code, INVALID)


async def test_uris_that_only_look_like_reserved_ones_are_not(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    for uri in ("wampum", "wampum.shell", "com.wamp"):
        await peer.register(uri)
        await peer.publish(uri)


async def test_a_broken_uri_fails_silently_where_no_acknowledgement_is_asked_for(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    await peer.send_array(16, peer.next_request(), {}, "com..topic")

    await peer.expect_nothing()


async def test_a_uri_has_a_longest_length(realm: RealmUnderTest) -> None:
    peer = await realm.join()

    await peer.send_array(32, peer.next_request(), {}, "a" * 100_000)

    await peer.expect_error(32, INVALID)
