"""What the meta API shows to sessions that may not do everything: nothing that they could not use."""

from __future__ import annotations

from typing import Any

import pytest
from tests.router.meta_scene import answer, ask, heard, refusal, results
from tests.router.scene import Scene, sent

from rocade.router.permissions import Permission, Role
from rocade.router.session import Session
from rocade.wamp.messages import Match

PREFIX, WILDCARD = Match.PREFIX, Match.WILDCARD
EVERYTHING = Permission(uri="", match=PREFIX, call=True, register=True, publish=True, subscribe=True)
GENERAL = Permission(uri="", match=PREFIX, call=True, subscribe=True)
SECRETS = [Permission(uri="com.secret", match=PREFIX), Permission(uri="com..secret", match=WILDCARD)]

STRANGERS = {
    "may call and subscribe to all but secrets": [GENERAL, *SECRETS],
    "may call two meta procedures in general": [Permission(uri="wa", match=PREFIX, call=True, subscribe=True)],
    "may call what has a word in the middle": [
        Permission(uri=".registration.", match=WILDCARD, call=True, subscribe=True),
        Permission(uri=".subscription.", match=WILDCARD, call=True, subscribe=True),
    ],
}
INSIDERS = {
    "may do everything but use secrets": [EVERYTHING, *SECRETS],
    "has a rule about the meta API": [Permission(uri="wamp.", match=PREFIX, call=True, subscribe=True)],
    "has one beside a general one": [
        GENERAL,
        *SECRETS,
        Permission(uri="wamp.registration.", match=PREFIX, call=True, subscribe=True),
        Permission(uri="wamp.subscription.", match=PREFIX, call=True, subscribe=True),
    ],
}


def joined(scene: Scene, rules: list[Permission]) -> Session:
    session = scene.join("looker")
    session.role = Role("looker", rules)
    return session


def registered(scene: Scene, session: Session, uri: str, **options: Any) -> int:
    return sent(scene.register(session, uri, **options), session)[0].registration  # type: ignore[no-any-return]


def subscribed(scene: Scene, session: Session, uri: str, **options: Any) -> int:
    return sent(scene.subscribe(session, uri, **options), session)[0].subscription  # type: ignore[no-any-return]


def everything_secret(scene: Scene) -> tuple[Session, dict[str, Any]]:
    """Secret registrations and subscriptions, with their ids."""
    owner = scene.join("owner")
    ids: dict[str, Any] = {}
    for uri, match in (("com.secret", Match.EXACT), ("com.secret.", PREFIX), ("com..secret", WILDCARD)):
        ids[f"registration {match}"] = registered(scene, owner, uri, match=match)
        ids[f"subscription {match}"] = subscribed(scene, owner, uri, match=match)
    return owner, ids


looks = pytest.mark.parametrize("kind", ["registration", "subscription"])


@looks
@pytest.mark.parametrize("rules", STRANGERS.values(), ids=STRANGERS)
def test_what_somebody_may_not_use_is_not_there_for_it(scene: Scene, rules: list[Permission], kind: str) -> None:
    _, ids = everything_secret(scene)
    stranger = joined(scene, rules)
    members = {"registration": "callees", "subscription": "subscribers"}[kind]

    listed = answer(scene, stranger, f"wamp.{kind}.list")
    assert listed == {"exact": [], "prefix": [], "wildcard": []}
    assert answer(scene, stranger, f"wamp.{kind}.lookup", "com.secret") is None
    assert answer(scene, stranger, f"wamp.{kind}.lookup", "com.secret.", {"match": "prefix"}) is None
    assert answer(scene, stranger, f"wamp.{kind}.lookup", "com..secret", {"match": "wildcard"}) is None
    assert answer(scene, stranger, f"wamp.{kind}.match", "com.secret.x") is None
    for match in Match:
        for procedure in ("get", f"list_{members}", f"count_{members}"):
            there = refusal(scene, stranger, f"wamp.{kind}.{procedure}", ids[f"{kind} {match}"])
            absent = refusal(scene, stranger, f"wamp.{kind}.{procedure}", 4_000_000_000)
            assert there.error == absent.error == f"wamp.error.no_such_{kind}"
            text = str(there.args).replace(str(ids[f"{kind} {match}"]), "4000000000")
            assert text == str(absent.args)


@looks
@pytest.mark.parametrize("rules", INSIDERS.values(), ids=INSIDERS)
def test_whoever_the_meta_api_is_meant_for_sees_all(scene: Scene, rules: list[Permission], kind: str) -> None:
    _, ids = everything_secret(scene)
    insider = joined(scene, rules)

    listed = answer(scene, insider, f"wamp.{kind}.list")

    assert listed == {match.value: [ids[f"{kind} {match}"]] for match in Match}
    assert answer(scene, insider, f"wamp.{kind}.lookup", "com.secret") == ids[f"{kind} {Match.EXACT}"]
    assert answer(scene, insider, f"wamp.{kind}.get", ids[f"{kind} {PREFIX}"])["uri"] == "com.secret."


@looks
def test_what_somebody_may_use_it_sees(scene: Scene, kind: str) -> None:
    owner, _ = everything_secret(scene)
    open_id = (registered if kind == "registration" else subscribed)(scene, owner, "com.open")
    looker = joined(scene, [GENERAL, *SECRETS])

    assert answer(scene, looker, f"wamp.{kind}.list") == {"exact": [open_id], "prefix": [], "wildcard": []}
    assert answer(scene, looker, f"wamp.{kind}.lookup", "com.open") == open_id
    found = answer(scene, looker, f"wamp.{kind}.match", "com.open")
    assert found in (open_id, [open_id])
    assert answer(scene, looker, f"wamp.{kind}.get", open_id)["uri"] == "com.open"


@pytest.mark.parametrize(("rules", "hears_secrets"), [(STRANGERS, False), (INSIDERS, True)], ids=["no", "yes"])
def test_who_hears_of_registrations_and_subscriptions(
    scene: Scene, rules: dict[str, list[Permission]], hears_secrets: bool
) -> None:
    for name, of_role in rules.items():
        looker = joined(scene, of_role)
        for kind, action in (("registration", "register"), ("subscription", "subscribe")):
            for event in ("on_create", f"on_{action}", f"on_un{action}", "on_delete"):
                scene.subscribe(looker, f"wamp.{kind}.{event}")
        owner = scene.join("owner")

        effects = [*scene.register(owner, "com.secret"), *scene.subscribe(owner, "com.secret"), *scene.leave(owner)]

        assert len(heard(effects, looker)) == (8 if hears_secrets else 0), name


def test_a_history_that_is_not_for_somebody_has_no_name(scene: Scene) -> None:
    _, ids = everything_secret(scene)
    stranger = joined(scene, [GENERAL, *SECRETS])

    error = refusal(scene, stranger, "wamp.subscription.get_events", ids[f"subscription {Match.EXACT}"])

    assert "secret" not in str(error.args)
    assert results(ask(scene, stranger, "wamp.session.count"), stranger)
