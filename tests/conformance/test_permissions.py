"""What a role may not do, and what those who may not do it learn (advanced/authorization.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conformance.router import EVERYTHING, RealmUnderTest

from rocade.router.permissions import Permission, Role
from rocade.wamp.messages import (
    Event,
    EventDetails,
    Invocation,
    InvocationDetails,
    Invoke,
    Match,
    Publish,
    PublishOptions,
    Register,
    RegisterOptions,
)

REFUSED = "wamp.error.not_authorized"

Open = Callable[..., RealmUnderTest]

REQUESTS = pytest.mark.parametrize(
    ("code", "options"),
    [(32, {}), (16, {"acknowledge": True}), (48, {}), (64, {})],
    ids=["subscribe", "publish", "call", "register"],
)


def guests(*permissions: Permission) -> list[Role]:
    """Staff may do everything, guests what is said here."""
    return [Role("staff", [EVERYTHING]), Role("guest", permissions)]


@REQUESTS
async def test_what_no_permission_speaks_of_is_denied(open_realm: Open, code: int, options: dict[str, bool]) -> None:
    guest = await open_realm(guests()).join(authrole="guest")

    await guest.send_array(code, guest.next_request(), options, "com.example.thing")

    await guest.expect_error(code, REFUSED)


@REQUESTS
async def test_what_a_permission_does_not_grant_is_denied(
    open_realm: Open, code: int, options: dict[str, bool]
) -> None:
    # The only action it lacks is the one that is asked for.
    granted = {
        name: number != code for name, number in (("subscribe", 32), ("publish", 16), ("call", 48), ("register", 64))
    }
    realm = open_realm(guests(Permission(uri="com.example", match=Match.PREFIX, **granted)))
    guest = await realm.join(authrole="guest")

    await guest.send_array(code, guest.next_request(), options, "com.example.thing")

    await guest.expect_error(code, REFUSED)


async def test_what_is_granted_is_allowed(open_realm: Open) -> None:
    everything = {"call": True, "register": True, "publish": True, "subscribe": True}
    realm = open_realm(guests(Permission(uri="com.example", match=Match.PREFIX, **everything)))
    guest = await realm.join(authrole="guest")

    await guest.subscribe("com.example.topic")
    await guest.publish("com.example.topic")
    await guest.register("com.example.procedure")
    await guest.call("com.example.procedure")

    await guest.expect(Invocation)


async def test_a_denied_publication_without_acknowledgement_fails_silently(open_realm: Open) -> None:
    realm = open_realm(guests())
    guest, staff = await realm.join(authrole="guest"), await realm.join(authrole="staff")
    await staff.subscribe("com.example.topic")

    await guest.send(Publish(guest.next_request(), PublishOptions(), "com.example.topic"))

    await guest.expect_nothing()
    await staff.expect_nothing()


async def test_who_may_not_register_does_not_learn_that_the_procedure_exists(open_realm: Open) -> None:
    realm = open_realm(guests())
    guest, staff = await realm.join(authrole="guest"), await realm.join(authrole="staff")
    await staff.register("com.example.secret")

    answers = []
    for procedure in ("com.example.secret", "com.example.nothing"):
        await guest.send(Register(guest.next_request(), RegisterOptions(), procedure))
        answers.append(await guest.expect_error(64, REFUSED))

    assert str(answers[0].args).replace("secret", "nothing") == str(answers[1].args)


async def test_who_may_not_call_does_not_learn_that_the_procedure_exists(open_realm: Open) -> None:
    realm = open_realm(guests())
    guest, staff = await realm.join(authrole="guest"), await realm.join(authrole="staff")
    await staff.register("com.example.secret")

    answers = []
    for procedure in ("com.example.secret", "com.example.nothing"):
        await guest.call(procedure)
        answers.append(await guest.expect_error(48, REFUSED))

    assert str(answers[0].args).replace("secret", "nothing") == str(answers[1].args)
    await staff.expect_nothing()


async def test_who_may_not_register_does_not_learn_its_policy(open_realm: Open) -> None:
    """advanced/authorization.md; advanced/rpc_shared_registration.md: allowed first, then compared."""
    realm = open_realm(guests())
    guest, staff = await realm.join(authrole="guest"), await realm.join(authrole="staff")
    await staff.register("com.example.shared", invoke=Invoke.ROUNDROBIN)

    answers = []
    for policy in (Invoke.ROUNDROBIN, Invoke.FIRST, Invoke.SINGLE):
        await guest.send(Register(guest.next_request(), RegisterOptions(invoke=policy), "com.example.shared"))
        answers.append((await guest.expect_error(64, REFUSED)).args)

    assert answers[0] == answers[1] == answers[2]


async def test_the_most_specific_permission_decides(open_realm: Open) -> None:
    realm = open_realm(
        guests(
            Permission(uri="com.", match=Match.PREFIX, subscribe=True),
            Permission(uri="com.secret.", match=Match.PREFIX, subscribe=False),
            Permission(uri="com.secret.weather", subscribe=True),
        )
    )
    guest = await realm.join(authrole="guest")

    await guest.subscribe("com.news")
    await guest.subscribe("com.secret.weather")
    await guest.send_array(32, guest.next_request(), {}, "com.secret.plans")

    await guest.expect_error(32, REFUSED)


@pytest.mark.parametrize(
    ("pattern", "match"), [("com.", "prefix"), ("", "prefix"), ("com..", "wildcard"), ("com.secret.", "prefix")]
)
async def test_a_pattern_that_covers_something_forbidden_is_denied(open_realm: Open, pattern: str, match: str) -> None:
    realm = open_realm(
        guests(
            Permission(uri="com.", match=Match.PREFIX, subscribe=True),
            Permission(uri="com.secret.", match=Match.PREFIX, subscribe=False),
        )
    )
    guest = await realm.join(authrole="guest")

    await guest.send_array(32, guest.next_request(), {"match": match}, pattern)

    await guest.expect_error(32, REFUSED)


async def test_a_pattern_within_what_is_granted_is_allowed(open_realm: Open) -> None:
    realm = open_realm(guests(Permission(uri="com.", match=Match.PREFIX, subscribe=True, register=True)))
    guest = await realm.join(authrole="guest")

    await guest.subscribe("com.news.", match=Match.PREFIX)
    await guest.subscribe("com..sports", match=Match.WILDCARD)
    await guest.register("com.news.", match=Match.PREFIX)


async def test_a_permission_may_disclose_who_publishes(open_realm: Open) -> None:
    rule = Permission(uri="", match=Match.PREFIX, publish=True, disclose_publisher=True)
    realm = open_realm(guests(rule))
    guest, staff = await realm.join(authid="joe", authrole="guest"), await realm.join(authrole="staff")
    await staff.subscribe("com.example.topic")

    await guest.publish("com.example.topic")

    assert (await staff.expect(Event)).details == EventDetails(
        publisher=guest.session, publisher_authid="joe", publisher_authrole="guest"
    )


async def test_a_permission_may_disclose_who_calls(open_realm: Open) -> None:
    rule = Permission(uri="", match=Match.PREFIX, call=True, disclose_caller=True)
    realm = open_realm(guests(rule))
    guest, staff = await realm.join(authid="joe", authrole="guest"), await realm.join(authrole="staff")
    await staff.register("com.example.procedure")

    await guest.call("com.example.procedure")

    assert (await staff.expect(Invocation)).details == InvocationDetails(
        caller=guest.session, caller_authid="joe", caller_authrole="guest"
    )


async def test_a_refusal_does_not_cost_the_session(open_realm: Open) -> None:
    realm = open_realm(guests(Permission(uri="com.example.topic", subscribe=True)))
    guest = await realm.join(authrole="guest")

    await guest.call("com.example.procedure")
    await guest.expect_error(48, REFUSED)

    await guest.subscribe("com.example.topic")
