"""Logging in, through every door (advanced/authentication.md); `tests/serve` has the rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.peer import Peer
from tests.conformance.router import EVERYTHING, RealmUnderTest
from tests.serve.provers import ONE_PER_METHOD, Prover

from rocade.router.permissions import Role
from rocade.wamp.messages import (
    Abort,
    Authenticate,
    Call,
    CallOptions,
    Challenge,
    Invocation,
    Register,
    Registered,
    RegisterOptions,
    Welcome,
)

FAILED = "wamp.error.authentication_failed"
provers = pytest.mark.parametrize("prover", ONE_PER_METHOD, ids=str)
OpenRealm = Callable[..., RealmUnderTest]
ROLES = [Role(name, [EVERYTHING]) for name in ("anonymous", "user")]


async def challenged(peer: Peer, realm: RealmUnderTest, prover: Prover, authid: str = "joe") -> Challenge:
    await peer.send_array(1, realm.name, {"roles": {"caller": {}}, **prover.hello(authid)})
    challenge = await peer.expect(Challenge)
    assert challenge.method == prover.method
    return challenge


async def expect_abort(peer: Peer, uri: str) -> None:
    assert (await peer.expect(Abort)).reason == uri
    await peer.expect_end()


@provers
async def test_who_has_the_secret_gets_in(open_realm: OpenRealm, prover: Prover) -> None:
    realm = open_realm(ROLES)
    peer = await realm.connect()
    challenge = await challenged(peer, realm, prover)

    await peer.send(Authenticate(*prover.answer(challenge, True)))

    details = (await peer.expect(Welcome)).details
    assert (details.authid, details.authrole, details.authmethod) == ("joe", "user", prover.method)


@provers
async def test_a_wrong_secret_ends_the_attempt(open_realm: OpenRealm, prover: Prover) -> None:
    realm = open_realm(ROLES)
    peer = await realm.connect()
    challenge = await challenged(peer, realm, prover)

    await peer.send(Authenticate(*prover.answer(challenge, False)))

    await expect_abort(peer, FAILED)


@provers
async def test_somebody_unknown_is_challenged_and_refused(open_realm: OpenRealm, prover: Prover) -> None:
    realm = open_realm(ROLES)
    peer = await realm.connect()
    challenge = await challenged(peer, realm, prover, authid="nobody")

    await peer.send(Authenticate(*prover.answer(challenge, True)))

    await expect_abort(peer, FAILED)


async def test_a_call_while_challenged_is_a_violation(open_realm: OpenRealm) -> None:
    realm = open_realm(ROLES)
    peer = await realm.connect()
    await challenged(peer, realm, ONE_PER_METHOD[0])

    await peer.send(Call(1, CallOptions(), "com.example.add"))

    await expect_abort(peer, "wamp.error.protocol_violation")


async def test_a_client_of_the_realm_may_decide_who_gets_in(open_realm: OpenRealm) -> None:
    realm = open_realm(ROLES)
    authenticator = await realm.join()
    await authenticator.send(Register(1, RegisterOptions(), "com.example.authenticate"))
    await authenticator.expect(Registered)
    peer = await realm.connect()
    await peer.send_array(1, realm.name, {"roles": {"caller": {}}, "authmethods": ["asked"], "authid": "joe"})
    await peer.expect(Challenge)

    await peer.send(Authenticate("magic", {}))
    invocation = await authenticator.expect(Invocation)
    asked, authid, details = invocation.args
    await authenticator.yield_(invocation, {"role": "user", "authid": "Joe", "extra": {"shoe": 43}})

    assert (asked, authid, details["ticket"]) == (realm.name, "joe", "magic")
    welcome = await peer.expect(Welcome)
    assert (welcome.details.authid, welcome.details.authprovider) == ("Joe", "dynamic")
    assert welcome.details.authextra == {"shoe": 43}
