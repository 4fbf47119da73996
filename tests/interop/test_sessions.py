"""Joining and leaving."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .clients import AUTOBAHN_JS, AUTOBAHN_PYTHON, CLIENTS, ROCADE, WAMPY, Client
from .conftest import Join
from .driver import Refused
from .router import NOBODY, Router


def test_a_client_joins_and_learns_who_it_is(client: Client, join: Join) -> None:
    session = join(client)

    assert 1 <= session.id <= 2**53
    assert session.authid
    assert session.details == {
        "session": session.id,
        "authid": session.authid,
        "authrole": "anonymous",
        "authmethod": "anonymous",
        "realm": "realm1",
    }


def test_every_session_is_somebody_else(client: Client, join: Join) -> None:
    first, second = join(client), join(client)

    assert first.id != second.id
    assert first.authid != second.authid


def test_a_client_leaves_in_an_orderly_way(client: Client, join: Join) -> None:
    session = join(client)

    session.leave()

    ending = session.ended()
    if client.library == WAMPY:
        assert ending == {}  # it tells its user no reason
    else:
        assert ending["reason"] == "wamp.close.goodbye_and_out"


def test_an_unknown_realm_is_refused(client: Client, join: Join) -> None:
    with pytest.raises(Refused) as refused:
        join(client, "elsewhere")

    assert refused.value.uri == "wamp.error.no_such_realm"


@pytest.mark.parametrize("action", ["call", "register", "subscribe", "publish"])
def test_what_is_not_allowed_is_refused(client: Client, join: Join, action: str) -> None:
    session = join(client, NOBODY)
    attempts: dict[str, Callable[[], object]] = {
        "call": lambda: session.call("com.example.closed"),
        "register": lambda: session.register("com.example.closed"),
        "subscribe": lambda: session.subscribe("com.example.closed"),
        "publish": lambda: session.publish("com.example.closed", acknowledge=True),
    }

    with pytest.raises(Refused) as refused:
        attempts[action]()

    assert refused.value.uri == "wamp.error.not_authorized"


def test_every_client_hears_that_the_router_shuts_down(join: Join, own_router_for_all: Router) -> None:
    sessions = [(client, join(client, at=own_router_for_all)) for client in CLIENTS]

    code = own_router_for_all.stop()

    assert code == 0
    for client, session in sessions:
        ending = session.ended()
        if client.library == WAMPY:
            assert ending == {}, client  # it tells its user no reason
        else:
            assert ending["reason"] == "wamp.close.system_shutdown", client
            assert ending["message"] == "the router is shutting down", client
        if client.library == AUTOBAHN_JS:
            assert ending["connection"] == "closed", client
            assert ending["will_retry"] is False, client


def test_every_client_notices_that_the_router_is_gone(join: Join, own_router_for_all: Router) -> None:
    clients = [client for client in CLIENTS if client.notices_a_lost_connection]
    sessions = [(client, join(client, at=own_router_for_all)) for client in clients]

    own_router_for_all.kill()

    for client, session in sessions:
        ending = session.ended()
        if client.library in (AUTOBAHN_PYTHON, ROCADE):
            assert ending["reason"] == "wamp.close.transport_lost", client
        elif client.library == AUTOBAHN_JS:
            assert ending["reason"] is None, client
            assert ending["connection"] == "lost", client
        else:
            assert ending == {}, client
