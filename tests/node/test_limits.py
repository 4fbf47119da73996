"""Limits, as the configuration file says them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rocade.errors import ConfigurationError
from rocade.node.allowances import allowances, login_policy
from rocade.node.configuration import configuration_from
from rocade.router.limits import NONE
from rocade.serve.failed_logins import LoginPolicy
from rocade.serve.limits import Allowances, RoleAllowances
from rocade.serve.rates import Rates

FILE: dict[str, Any] = {
    "version": 2,
    "workers": [
        {
            "type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "anonymous"}, {"name": "device"}]}],
            "transports": [{"type": "rawsocket", "endpoint": {"type": "tcp", "port": 8080}}],
        }
    ],
}


def load(**limits: Any) -> Any:
    """The worker of a file with these limits: of the `process`, the `realm`, the role `device`, the `transport`."""
    file = deepcopy(FILE)
    worker = file["workers"][0]
    places = {
        "process": worker,
        "realm": worker["realms"][0],
        "device": worker["realms"][0]["roles"][1],
        "transport": worker["transports"][0],
    }
    for place, found in limits.items():
        places[place]["limits"] = found
    return configuration_from(file, environment={}).worker


def of_realm(**limits: Any) -> Allowances:
    return allowances(load(**limits).realms[0])


def test_what_is_left_out_has_the_defaults() -> None:
    found = of_realm()

    assert found.roles == {"anonymous": RoleAllowances(), "device": RoleAllowances()}
    assert found == Allowances(roles=found.roles)
    assert login_policy(load().limits.failed_logins) == LoginPolicy()


def test_nobody_is_slowed_down_or_counted_by_default_who_does_no_harm() -> None:
    session = RoleAllowances()

    assert not session.rates
    assert not session.authid_rates
    assert not Allowances().rates
    assert (session.authid_sessions, Allowances().sessions) == (0, 0)


def test_zero_is_no_limit() -> None:
    per_session = dict.fromkeys(
        ("subscriptions", "registrations", "pending_calls", "kept_call_bytes", "invocations"), 0
    )
    found = of_realm(realm={"subscriptions": 0, "parked_bytes": 0, "per_session": per_session})

    session = found.of("device").session
    assert {getattr(session, name) for name in per_session} == {NONE}
    assert found.together.subscriptions == NONE
    assert found.parked_bytes == 0


def test_a_role_says_some_and_its_realm_the_others() -> None:
    found = of_realm(
        realm={
            "per_session": {"subscriptions": 10, "registrations": 20, "message_rate": 5, "too_fast": "close"},
            "per_authid": {"sessions": 3, "byte_rate": 7},
        },
        device={"per_session": {"subscriptions": 1, "message_rate": 0}, "per_authid": {"parked_sessions": 4}},
    )

    anonymous, device = found.of("anonymous"), found.of("device")
    assert (anonymous.session.subscriptions, device.session.subscriptions) == (10, 1)
    assert (anonymous.session.registrations, device.session.registrations) == (20, 20)
    assert (anonymous.rates, device.rates) == (Rates(message_rate=5), Rates())
    assert (anonymous.ends_session, device.ends_session) == (True, True)
    assert (device.authid_sessions, device.authid_parked_sessions) == (3, 4)
    assert device.authid_rates == Rates(byte_rate=7)


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"realm": {"sessions": -1}},
        "workers[0].realms[0].limits.sessions: expected a whole number of at least 0, got -1",
    ),
    ({"realm": {"session": 1}}, "workers[0].realms[0].limits.session: unknown key; did you mean 'sessions'?"),
    (
        {"device": {"per_session": {"too_fast": "kick"}}},
        "workers[0].realms[0].roles[1].limits.per_session.too_fast: expected 'close' or 'slow', got 'kick'",
    ),
    (
        {"transport": {"trusted_proxies": ["127.0.0.1", "proxy.example.com"]}},
        "workers[0].transports[0].limits.trusted_proxies[1]: 'proxy.example.com' is neither an address nor a network "
        "such as '10.0.0.0/8'",
    ),
    ({"process": {"failed_logins": {"max_delay": 11}}}, "workers[0].limits.failed_logins.max_delay: "),
    ({"process": {"failed_logins": {"forget_after": 0}}}, "workers[0].limits.failed_logins.forget_after: "),
]


@pytest.mark.parametrize(("limits", "text"), REFUSED, ids=[text.split(":")[0] for _, text in REFUSED])
def test_what_makes_no_sense_is_refused_with_its_place(limits: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(**limits)

    assert str(caught.value).startswith(text), str(caught.value)


def test_a_testee_has_no_limits() -> None:
    transport = {"type": "websocket", "endpoint": {"type": "tcp", "port": 0}, "limits": {"connections": 1}}
    file = {"version": 2, "workers": [{"type": "websocket-testee", "transport": transport}]}

    with pytest.raises(ConfigurationError, match=r"workers\[0\].transport.limits: a testee has no limits"):
        configuration_from(file, environment={})
