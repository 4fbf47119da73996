"""Who may call meta procedures that harm others."""

from __future__ import annotations

import pytest

from rocade.router.permissions import GUARDED_PROCEDURES, Action, Permission, Role
from rocade.wamp.messages import Match

PREFIX, WILDCARD = Match.PREFIX, Match.WILDCARD
EVERYTHING = Permission(uri="", match=PREFIX, call=True, register=True, publish=True, subscribe=True)
ALL_CALLS = Permission(uri="", match=PREFIX, call=True, publish=True, subscribe=True)


@pytest.mark.parametrize("procedure", sorted(procedure for procedure in GUARDED_PROCEDURES if procedure[0] == "w"))
@pytest.mark.parametrize(
    ("rules", "is_allowed"),
    [
        ([], False),
        ([ALL_CALLS], False),
        ([Permission(uri="wa", match=PREFIX, call=True)], False),
        ([Permission(uri="..", match=WILDCARD, call=True)], False),
        ([EVERYTHING], True),
        ([EVERYTHING, Permission(uri="wamp.", match=PREFIX, subscribe=True)], False),
        ([Permission(uri="wamp.", match=PREFIX, call=True)], True),
        ([ALL_CALLS, Permission(uri="wamp..", match=WILDCARD, call=True)], True),
        ([Permission(uri="wamp.", match=PREFIX, call=True), Permission(uri="..", match=WILDCARD, call=True)], False),
        ([Permission(uri="wamp..", match=WILDCARD, call=True)], True),
    ],
)
def test_only_a_rule_that_means_it_allows_to_harm(procedure: str, rules: list[Permission], is_allowed: bool) -> None:
    role = Role("role", rules)

    assert role.decide(Action.CALL, procedure, Match.EXACT).allowed is is_allowed


def test_a_rule_for_one_procedure_allows_that_one() -> None:
    role = Role("role", [ALL_CALLS, Permission(uri="wamp.session.kill", call=True)])

    assert role.decide(Action.CALL, "wamp.session.kill", Match.EXACT).allowed
    assert not role.decide(Action.CALL, "wamp.session.kill_all", Match.EXACT).allowed


def test_other_meta_procedures_are_calls_like_any_other() -> None:
    role = Role("role", [ALL_CALLS])

    assert role.decide(Action.CALL, "wamp.session.list", Match.EXACT).allowed
    assert not Role("nobody").decide(Action.CALL, "wamp.session.list", Match.EXACT).allowed
