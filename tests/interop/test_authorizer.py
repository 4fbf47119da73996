"""Crossbar's dynamic authorizers: an autobahn session decides what clients of every library may do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .clients import CLIENTS, Client
from .conftest import Join
from .driver import Refused, echo
from .router import PATIENCE_S, Router, configuration

PROGRAM = Path(__file__).parent / "programs" / "authorizer.py"

SOME = [client for client in CLIENTS if client.serializer in ("json", "msgpack") and client.transport == "websocket"]
each_library = pytest.mark.parametrize("client", SOME, ids=str)


class Authorizer:
    """The program, and what it was asked."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen([sys.executable, PROGRAM, url], stdout=subprocess.PIPE)

    def next(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Router]:
    """A router whose users an authorizer decides about."""
    file = configuration()
    worker = file["workers"][0]
    authorizer = {"name": "authorizer", "permissions": [{"uri": "com.example.authorize", "allow": {"register": True}}]}
    user = {"name": "user", "authorizer": "com.example.authorize"}
    worker["realms"] = [{"name": "realm1", "roles": [authorizer, user]}]
    principals = {"authorizer": {"ticket": "secret!!!", "role": "authorizer"}}
    auth = {
        "anonymous": {"type": "static", "role": "user"},
        "ticket": {"type": "static", "principals": principals},
    }
    transport = worker["transports"][0]
    for service in (transport["rawsocket"], transport["websocket"]["ws"], transport["web"]["paths"]["lp"]):
        service["auth"] = auth
    (tmp_path / "config.json").write_text(json.dumps(file), encoding="utf-8")
    router = Router(tmp_path / "router.log", "--config", str(tmp_path / "config.json"))
    yield router
    assert router.stop() == 0
    assert "Traceback" not in router.log.read_text()


@pytest.fixture
def authorizer(guarded: Router) -> Iterator[Authorizer]:
    program = Authorizer(guarded.url)
    assert program.next() == "ready"
    yield program
    program.stop()


@each_library
def test_it_decides_what_clients_may_do(client: Client, join: Join, guarded: Router, authorizer: Authorizer) -> None:
    callee, caller = join(client, at=guarded), join(client, at=guarded)

    callee.register("com.example.open.echo", echo)
    assert authorizer.next() == ["user", "anonymous", "com.example.open.echo", "register", None]
    assert caller.call("com.example.open.echo", ["hello"]).args == ["hello"]
    assert authorizer.next() == ["user", "anonymous", "com.example.open.echo", "call", None]
    events = callee.subscribe("com.example.open", match="prefix")
    assert authorizer.next() == ["user", "anonymous", "com.example.open", "subscribe", "prefix"]
    caller.publish("com.example.open.topic", ["news"], acknowledge=True)
    assert authorizer.next() == ["user", "anonymous", "com.example.open.topic", "publish", None]
    assert events.next().args == ["news"]


@each_library
def test_it_refuses_and_what_it_breaks_on_is_refused(
    client: Client, join: Join, guarded: Router, authorizer: Authorizer
) -> None:
    session = join(client, at=guarded)

    for uri, error in (
        ("com.example.closed", "wamp.error.not_authorized"),
        ("com.example.broken", "wamp.error.authorization_failed"),
    ):
        with pytest.raises(Refused) as refused:
            session.call(uri)
        assert refused.value.uri == error
        with pytest.raises(Refused) as refused:
            session.subscribe(uri)
        assert refused.value.uri == error
    log = guarded.log.read_text()
    assert "the authorizer com.example.authorize failed: 'wamp.error.runtime_error broken'" in log
    assert "refused: call 'com.example.closed' in realm 'realm1' by role 'user'" in log


def test_what_it_lets_be_cached_it_is_asked_once(join: Join, guarded: Router, authorizer: Authorizer) -> None:
    session = join(SOME[0], at=guarded)

    for _ in range(3):
        session.publish("com.example.cached", acknowledge=True)
    session.publish("com.example.open", acknowledge=True)

    assert [authorizer.next()[2] for _ in range(2)] == ["com.example.cached", "com.example.open"]


def test_what_it_discloses_callees_see(join: Join, guarded: Router, authorizer: Authorizer) -> None:
    callee, caller = join(SOME[0], at=guarded), join(SOME[0], at=guarded)
    procedure = callee.register("com.example.disclosed")

    call = caller.start_call("com.example.disclosed")
    invocation = procedure.next()
    invocation.succeed([])
    call.result()

    assert invocation.details["caller"] == caller.id


def test_without_it_nothing_is_allowed(join: Join, guarded: Router, authorizer: Authorizer) -> None:
    session = join(SOME[0], at=guarded)
    authorizer.stop()

    with pytest.raises(Refused) as refused:
        session.call("com.example.open")

    assert refused.value.uri == "wamp.error.authorization_failed"
