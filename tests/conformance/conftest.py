"""Every test of this folder runs for each way to come to the router; tests are coroutines.

What only repeats itself is left out. A test with parameters of its own runs with all of them on a few ways, which have
every transport and serializer among them, and with the first ones on the others. Tests of what does not depend on how a
message came run on the plain ways only, without compression, TLS, batches, long polls and the other event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.router import Complaints, RealmUnderTest, Router, Way

from rocade.router.permissions import Role

SERIALIZERS = ("json", "msgpack", "cbor")

PLAIN_WAYS = [
    Way("uvloop", transport, serializer)
    for transport in ("memory", "websocket", "rawsocket", "unix")
    for serializer in SERIALIZERS
]
OTHER_WAYS = [
    Way("uvloop", "websocket-batched", "json"),
    Way("uvloop", "websocket-batched", "msgpack"),
    Way("uvloop", "websocket-deflate", "json"),
    Way("uvloop", "websocket-tls", "json"),
    Way("uvloop", "longpoll", "json"),
    Way("uvloop", "longpoll", "cbor"),
    # The standard library's loop sees fewer combinations.
    Way("asyncio", "memory", "cbor"),
    Way("asyncio", "websocket", "json"),
    Way("asyncio", "websocket-batched", "cbor"),
    Way("asyncio", "rawsocket", "msgpack"),
    Way("asyncio", "unix", "json"),
    Way("asyncio", "longpoll-batched", "msgpack"),
]
WAYS = PLAIN_WAYS + OTHER_WAYS

THOROUGH_WAYS = {
    Way("uvloop", "memory", "json"),
    Way("uvloop", "websocket", "json"),
    Way("uvloop", "rawsocket", "msgpack"),
    Way("uvloop", "unix", "cbor"),
}

EVERY_WAY = {
    "test_canceling.py",
    "test_crossing.py",
    "test_messages.py",
    "test_order.py",
    "test_long_messages.py",
    "test_procedures.py",
    "test_publish_subscribe.py",
    "test_resumption.py",
    "test_sessions.py",
    "test_transports.py",
}
"""Files whose tests run on the other ways too."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what would only say again what the thorough ways have said."""
    seen: set[tuple[Path, str, Way | None]] = set()
    wanted: list[pytest.Item] = []
    unwanted: list[pytest.Item] = []
    for item in items:
        way = _way(item)
        test = (item.path, getattr(item, "originalname", item.name), way)
        is_apart = way in OTHER_WAYS and item.path.name not in EVERY_WAY
        (unwanted if is_apart or test in seen else wanted).append(item)
        if way is not None and way not in THOROUGH_WAYS:
            seen.add(test)
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
        items[:] = wanted


def _way(item: pytest.Item) -> Way | None:
    """The way that a test comes, if it is one of ours."""
    callspec = getattr(item, "callspec", None)
    way = None if callspec is None else callspec.params.get("way")
    return way if isinstance(way, Way) else None


@pytest.fixture(scope="session")
def routers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Router]]:
    """Event loop -> the router on it."""
    directory = tmp_path_factory.mktemp("sockets")
    routers = {loop: Router(loop, directory) for loop in ("uvloop", "asyncio")}
    for router in routers.values():
        router.run(router.start())
    yield routers
    for router in routers.values():
        router.run(router.stop())
        router.runner.close()


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    """How the peers of this test come to the router."""
    chosen: Way = request.param
    return chosen


@pytest.fixture
def router(way: Way, routers: dict[str, Router]) -> Iterator[Router]:
    """The router. It must not complain about itself, and no task may outlive the test."""
    router = routers[way.loop]
    complaints = Complaints()
    logging.getLogger("rocade").addHandler(complaints)
    yield router
    logging.getLogger("rocade").removeHandler(complaints)
    left = asyncio.all_tasks(router.runner.get_loop()) - router.own_tasks
    assert not left
    assert not complaints.texts, "\n".join(complaints.texts)


@pytest.fixture
def open_realm(router: Router, way: Way) -> Iterator[Callable[..., RealmUnderTest]]:
    """Opens a realm with roles or options of its own."""
    realms: list[RealmUnderTest] = []

    def open_realm(roles: Sequence[Role] | None = None, **options: Any) -> RealmUnderTest:
        realms.append(router.open_realm(way, roles, **options))
        return realms[-1]

    yield open_realm
    for realm in realms:
        router.run(realm.leave())
    router.run(router.settle())
    for realm in realms:
        realm.end()


@pytest.fixture
def realm(open_realm: Callable[..., RealmUnderTest]) -> RealmUnderTest:
    """A new realm, in which everybody may do everything."""
    return open_realm()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests that are coroutines on the router's event loop."""
    if not asyncio.iscoroutinefunction(pyfuncitem.function):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    router = pyfuncitem.funcargs["router"]
    assert isinstance(router, Router)
    router.run(pyfuncitem.function(**arguments))
    return True
