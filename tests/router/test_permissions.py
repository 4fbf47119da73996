"""Who may do what: the most specific rule decides, and a pattern never lets in what an exact request would not."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rocade.router.permissions import CACHED_DECISIONS, Action, Permission, Role
from rocade.wamp.messages import Match

EXACT, PREFIX, WILDCARD = Match.EXACT, Match.PREFIX, Match.WILDCARD
SUBSCRIBE, REGISTER, CALL, PUBLISH = Action.SUBSCRIBE, Action.REGISTER, Action.CALL, Action.PUBLISH


def rule(uri: str, match: Match = EXACT, *allowed: Action) -> Permission:
    return Permission(uri=uri, match=match, **{action.value: True for action in allowed})


def yes(uri: str, match: Match = EXACT) -> Permission:
    """All actions are allowed."""
    return rule(uri, match, *Action)


def no(uri: str, match: Match = EXACT) -> Permission:
    """No action is allowed."""
    return rule(uri, match)


@pytest.mark.parametrize(
    ("rules", "uri", "match", "is_allowed"),
    [
        # Deny by default
        pytest.param([], "com.app", EXACT, False, id="no rules"),
        pytest.param([], "", PREFIX, False, id="no rules, everything wanted"),
        pytest.param([yes("com.app")], "com.apps", EXACT, False, id="another uri"),
        pytest.param([yes("com.app")], "com.app.x", EXACT, False, id="below an exact uri"),
        pytest.param([yes("com.app.", PREFIX)], "com.app", EXACT, False, id="prefix with a dot leaves out its parent"),
        # One URI: the most specific rule decides
        pytest.param([yes("com.app")], "com.app", EXACT, True, id="exact"),
        pytest.param([yes("", PREFIX)], "com.app", EXACT, True, id="empty prefix"),
        pytest.param([yes("com.ap", PREFIX)], "com.app", EXACT, True, id="prefix within a component"),
        pytest.param([yes("com..x", WILDCARD)], "com.app.x", EXACT, True, id="wildcard"),
        pytest.param([yes("com.", WILDCARD)], "com.app", EXACT, True, id="wildcard with trailing empty component"),
        pytest.param([yes("com.", WILDCARD)], "com.app.x", EXACT, False, id="trailing empty component is one only"),
        pytest.param([yes("", WILDCARD)], "com", EXACT, True, id="empty wildcard is one component"),
        pytest.param([yes("", WILDCARD)], "com.app", EXACT, False, id="empty wildcard is not two components"),
        pytest.param([yes("com.", PREFIX), no("com.app")], "com.app", EXACT, False, id="exact beats prefix"),
        pytest.param([no("com.", PREFIX), yes("com.app")], "com.app", EXACT, True, id="exact beats prefix, allowing"),
        pytest.param([yes("com.", PREFIX), no("com.a", PREFIX)], "com.app", EXACT, False, id="longer prefix beats"),
        pytest.param([yes("com.a", PREFIX), no("com.", PREFIX)], "com.app", EXACT, True, id="longer prefix allows"),
        pytest.param([yes("c", PREFIX), no("com...", WILDCARD)], "com.app.y.x", EXACT, False, id="wildcard beats"),
        pytest.param(
            [no("com.app.y.", PREFIX), yes("...x", WILDCARD)], "com.app.y.x", EXACT, True, id="beats a longer prefix"
        ),
        pytest.param(
            [yes("com...x", WILDCARD), no("com.app..x", WILDCARD)], "com.app.y.x", EXACT, False, id="longer literal run"
        ),
        pytest.param(
            [yes("com.app..", WILDCARD), no("com..y.x", WILDCARD)], "com.app.y.x", EXACT, True, id="first run counts"
        ),
        pytest.param([no("com.app"), yes("com.app")], "com.app", EXACT, True, id="the later of two rules counts"),
        # Prefix requests: covered by a prefix, and nothing within is forbidden
        pytest.param([yes("com.", PREFIX)], "com.", PREFIX, True, id="the same prefix"),
        pytest.param([yes("com.", PREFIX)], "com.app", PREFIX, True, id="a longer prefix"),
        pytest.param([yes("com.", PREFIX)], "com", PREFIX, False, id="a shorter prefix by a dot"),
        pytest.param([yes("com.app", PREFIX)], "com.", PREFIX, False, id="a shorter prefix"),
        pytest.param([yes("com.app")], "com.app", PREFIX, False, id="exact does not cover the prefix"),
        pytest.param([yes("com.", WILDCARD)], "com.", PREFIX, False, id="wildcard does not cover the prefix"),
        pytest.param([yes("com.", PREFIX), no("com.secret")], "com.", PREFIX, False, id="exact secret within"),
        pytest.param([yes("com.", PREFIX), no("com.secret")], "com.s", PREFIX, False, id="exact secret within a stem"),
        pytest.param([yes("com.", PREFIX), no("com.secret")], "com.public", PREFIX, True, id="exact secret elsewhere"),
        pytest.param([yes("com.", PREFIX), no("com.secret")], "com.secret.", PREFIX, True, id="below the exact secret"),
        pytest.param([yes("com.", PREFIX), no("com.s", PREFIX)], "com.", PREFIX, False, id="prefix secret within"),
        pytest.param([no("com.", PREFIX), yes("com.s", PREFIX)], "com.s", PREFIX, True, id="allowed part of forbidden"),
        pytest.param(
            [yes("com.", PREFIX), no("com..secret", WILDCARD)], "com.", PREFIX, False, id="wildcard secret within"
        ),
        pytest.param(
            [yes("com.", PREFIX), no("com..secret", WILDCARD)], "com.a.p", PREFIX, True, id="wildcard secret elsewhere"
        ),
        pytest.param([yes("com.", PREFIX), no("com", WILDCARD)], "com.", PREFIX, True, id="wildcard beside the prefix"),
        # Wildcard requests
        pytest.param([yes("com..x", WILDCARD)], "com..x", WILDCARD, True, id="the same wildcard"),
        pytest.param([yes("com..", WILDCARD)], "com..x", WILDCARD, True, id="a broader wildcard"),
        pytest.param([yes("com..x", WILDCARD)], "com..", WILDCARD, False, id="a narrower wildcard"),
        pytest.param([yes("com..x", WILDCARD)], "com..x.", WILDCARD, False, id="another number of components"),
        pytest.param([yes("com.", PREFIX)], "com..x", WILDCARD, True, id="a prefix covers the wildcard"),
        pytest.param([yes("com.a", PREFIX)], "com..x", WILDCARD, False, id="a prefix covers half of the wildcard"),
        pytest.param([yes("com.", PREFIX)], ".app", WILDCARD, False, id="leading empty component"),
        pytest.param([yes("com..", WILDCARD), no("com.app.x")], "com..x", WILDCARD, False, id="exact within wildcard"),
        pytest.param([yes("com..", WILDCARD), no("com.app.y")], "com..x", WILDCARD, True, id="exact beside wildcard"),
        pytest.param(
            [yes("com..", WILDCARD), no("com.app.", WILDCARD)], "com..x", WILDCARD, False, id="wildcards that cross"
        ),
        pytest.param(
            [yes("com..", WILDCARD), no("com.app", PREFIX)], "com..x", WILDCARD, False, id="prefix within wildcard"
        ),
        pytest.param(
            [yes("com..", WILDCARD), no("com.app.x.", PREFIX)], "com..x", WILDCARD, True, id="prefix beyond wildcard"
        ),
    ],
)
@pytest.mark.parametrize("action", [SUBSCRIBE, REGISTER])
def test_a_request_is_decided_by_the_most_specific_rule_and_all_that_a_pattern_touches(
    rules: list[Permission], uri: str, match: Match, is_allowed: bool, action: Action
) -> None:
    role = Role("user", rules)

    decision = role.decide(action, uri, match)

    assert decision.allowed is is_allowed


@pytest.mark.parametrize("action", list(Action))
def test_a_rule_allows_only_the_actions_that_it_names(action: Action) -> None:
    role = Role("user", [rule("com.app", EXACT, action)])

    assert [other for other in Action if role.decide(other, "com.app", EXACT).allowed] == [action]


def test_a_rule_that_forbids_another_action_does_not_stand_in_the_way_of_a_pattern() -> None:
    role = Role("user", [yes("com.", PREFIX), rule("com.app", EXACT, SUBSCRIBE)])

    assert role.decide(SUBSCRIBE, "com.", PREFIX).allowed
    assert not role.decide(REGISTER, "com.", PREFIX).allowed


def test_the_decision_names_its_rule() -> None:
    allowing, forbidding = yes("com.", PREFIX), no("com.secret")
    role = Role("user", [allowing, forbidding])

    assert role.decide(CALL, "com.app", EXACT).rule is allowing
    assert role.decide(CALL, "com.secret", EXACT).rule is forbidding
    assert role.decide(SUBSCRIBE, "com.", PREFIX).rule is forbidding
    assert role.decide(CALL, "org.app", EXACT).rule is None


@pytest.mark.parametrize(
    ("action", "expected"), [(CALL, "caller"), (PUBLISH, "publisher"), (SUBSCRIBE, None), (REGISTER, None)]
)
@pytest.mark.parametrize("disclosed", ["caller", "publisher"])
def test_callers_are_disclosed_by_one_setting_and_publishers_by_the_other(
    action: Action, expected: str | None, disclosed: str
) -> None:
    permission = Permission(
        uri="com.app",
        call=True,
        register=True,
        publish=True,
        subscribe=True,
        disclose_caller=disclosed == "caller",
        disclose_publisher=disclosed == "publisher",
    )
    role = Role("user", [permission])

    assert role.decide(action, "com.app", EXACT).disclose is (expected == disclosed)


def test_a_client_with_random_uris_does_not_make_the_memory_of_decisions_grow() -> None:
    role = Role("user", [yes("", PREFIX)])

    for number in range(CACHED_DECISIONS + 100):
        role.decide(CALL, f"com.n{number}", EXACT)

    assert role.decide.cache_info().currsize == CACHED_DECISIONS  # type: ignore[attr-defined]


COMPONENTS = ["a", "b", "ab"]
ALL_URIS = [".".join(parts) for length in (1, 2, 3, 4) for parts in product(COMPONENTS, repeat=length)]

patterns = st.lists(st.sampled_from(["", *COMPONENTS]), min_size=1, max_size=4).map(".".join)
rules = st.builds(
    lambda uri, match, subscribe: Permission(uri=uri, match=match, subscribe=subscribe),
    patterns,
    st.sampled_from(Match),
    st.booleans(),
)


def is_matched(uri: str, pattern: str, match: Match) -> bool:
    if match is PREFIX:
        return uri.startswith(pattern)
    ours, theirs = uri.split("."), pattern.split(".")
    return len(ours) == len(theirs) and all(b in ("", a) for a, b in zip(ours, theirs, strict=True))


@given(st.lists(rules, max_size=6), patterns, st.sampled_from([PREFIX, WILDCARD]))
@example([rule("a", PREFIX, SUBSCRIBE), rule("a..b", WILDCARD)], "a.", PREFIX)
@settings(max_examples=400)
def test_a_pattern_that_is_allowed_lets_in_no_uri_that_would_be_refused(
    held: list[Permission], pattern: str, match: Match
) -> None:
    role = Role("user", held)

    if role.decide(SUBSCRIBE, pattern, match).allowed:
        let_in = [uri for uri in ALL_URIS if is_matched(uri, pattern, match)]
        assert [uri for uri in let_in if not role.decide(SUBSCRIBE, uri, EXACT).allowed] == []


@given(st.lists(rules, max_size=6), patterns, st.sampled_from([PREFIX, WILDCARD]))
def test_a_pattern_within_an_allowed_prefix_that_no_forbidding_rule_touches_is_allowed(
    held: list[Permission], pattern: str, match: Match
) -> None:
    allowing = [permission for permission in held if permission.subscribe]
    role = Role("user", [*allowing, rule("", PREFIX, SUBSCRIBE)])

    assert role.decide(SUBSCRIBE, pattern, match).allowed


def decided_naively(held: list[Permission], uri: str) -> Permission | None:
    """The rule that decides, found by looking at each of them as the documentation has it."""
    matching = [permission for permission in held if permission.match is EXACT and permission.uri == uri]
    if not matching:
        wildcards = [rule for rule in held if rule.match is WILDCARD and is_matched(uri, rule.uri, WILDCARD)]
        matching = sorted(wildcards, key=lambda rule: [component == "" for component in rule.uri.split(".")])
    if not matching:
        prefixes = [rule for rule in held if rule.match is PREFIX and is_matched(uri, rule.uri, PREFIX)]
        matching = sorted(prefixes, key=lambda rule: -len(rule.uri))
    return matching[0] if matching else None


@given(
    st.lists(rules, max_size=8, unique_by=lambda permission: (permission.uri, permission.match)).flatmap(
        lambda held: st.tuples(st.just(held), st.permutations(held))
    ),
    st.sampled_from(ALL_URIS),
)
@settings(max_examples=400)
def test_the_rule_that_decides_is_the_documented_one_whatever_their_order(
    held_and_shuffled: tuple[list[Permission], list[Permission]], uri: str
) -> None:
    held, shuffled = held_and_shuffled

    for order in (held, shuffled):
        decision = Role("user", order).decide(SUBSCRIBE, uri, EXACT)
        assert decision.rule == decided_naively(held, uri)
        assert decision.allowed is (decision.rule is not None and decision.rule.subscribe)


@given(st.lists(rules, max_size=4), st.sampled_from(ALL_URIS))
def test_what_is_allowed_everywhere_is_allowed_anywhere(held: list[Permission], uri: str) -> None:
    role = Role("user", [*held, rule("", PREFIX, SUBSCRIBE)])

    if SUBSCRIBE in role.everywhere:
        assert role.decide(SUBSCRIBE, uri, EXACT).allowed
    else:
        assert any(not permission.subscribe for permission in held)
