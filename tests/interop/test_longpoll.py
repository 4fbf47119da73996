"""What is special about autobahn-js where there is no WebSocket: it polls, and each message is a request of its own.

All other tests of this folder run with it, too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .clients import AUTOBAHN_JS, COMMANDS, Client
from .conftest import Join
from .driver import Driver, Refused, Session, echo
from .router import PATIENCE_S, Router, configuration

LONG_POLL = Client(AUTOBAHN_JS, "json", "longpoll")
WEBSOCKET = Client(AUTOBAHN_JS, "json")
REQUEST_TIMEOUT_S = 1
SESSION_TIMEOUT_S = 2


@pytest.fixture
def impatient_router(tmp_path: Path) -> Iterator[Router]:
    """A router that soon gives up requests and clients."""
    tree = configuration()
    service = tree["workers"][0]["transports"][0]["web"]["paths"]["lp"]
    service["options"] = {"request_timeout": REQUEST_TIMEOUT_S, "session_timeout": SESSION_TIMEOUT_S}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(tree), encoding="utf-8")
    router = Router(tmp_path / "router.log", "--config", str(file))
    yield router
    assert router.stop() == 0
    assert "Traceback" not in router.log.read_text()


def all_at_once(session: Session, do: str, commands: list[dict[str, object]]) -> list[object]:
    """The outcomes of many commands, none of which waits for another."""
    driver = session._driver
    replies = [driver.tell(do, session=session._name, **command)[1] for command in commands]
    return [driver.answer(reply, do) for reply in replies]


def test_requests_that_are_made_at_once_all_succeed(join: Join) -> None:
    session, other = join(LONG_POLL), join(WEBSOCKET)
    handlers = range(1_000_000, 1_000_020)
    for handler in handlers:
        session._driver._handlers[handler] = lambda what: None

    ids = all_at_once(
        session,
        "register",
        [{"procedure": f"com.example.at_once{handler}", "options": {}, "handler": handler} for handler in handlers],
    )

    assert len(set(ids)) == len(handlers)
    for handler in handlers:
        with pytest.raises(Refused, match="procedure_already_exists"):
            other.register(f"com.example.at_once{handler}", echo)


@pytest.mark.parametrize("subscriber", [LONG_POLL, WEBSOCKET], ids=str)
def test_publications_that_are_made_at_once_arrive_in_order(join: Join, subscriber: Client) -> None:
    subscription = join(subscriber).subscribe("com.example.burst")
    count = 200

    all_at_once(
        join(LONG_POLL),
        "publish",
        [{"topic": "com.example.burst", "args": [number], "kwargs": {}, "options": {}} for number in range(count)],
    )

    assert [subscription.next().args for _ in range(count)] == [[number] for number in range(count)]


def test_a_client_that_has_nothing_to_say_stays(join: Join, impatient_router: Router) -> None:
    callee, caller = join(LONG_POLL, at=impatient_router), join(WEBSOCKET, at=impatient_router)
    callee.register("com.example.quiet", echo)

    time.sleep(SESSION_TIMEOUT_S + 2 * REQUEST_TIMEOUT_S)

    assert caller.call("com.example.quiet", [1]).args == [1]


def test_a_client_that_vanishes_is_noticed(
    join: Join, impatient_router: Router, tmp_path: Path, drivers: Callable[[str], Driver]
) -> None:
    doomed = Driver(COMMANDS[AUTOBAHN_JS](), tmp_path / "doomed.log")
    callee = doomed.join("realm1", transport="longpoll", serializer="json", port=impatient_router.port)
    callee.register("com.example.doomed", echo)
    caller = join(WEBSOCKET, at=impatient_router)
    assert caller.call("com.example.doomed", [1]).args == [1]

    doomed.stop()

    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            caller.start_call("com.example.doomed").result()
        except Refused as refused:
            if refused.uri == "wamp.error.no_such_procedure":
                return
        time.sleep(0.2)
    pytest.fail("the procedure of a client that is gone is still there")
