"""Every test of this folder runs once for each way to come to the router; tests are coroutines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence

import pytest
from tests.conformance.router import Complaints, RealmUnderTest, Router, Way

from rocade.router.permissions import Role

SERIALIZERS = ("json", "msgpack", "cbor")

WAYS = [
    *(
        Way("uvloop", transport, serializer)
        for transport in ("memory", "websocket", "rawsocket", "unix", "longpoll")
        for serializer in SERIALIZERS
    ),
    Way("uvloop", "websocket-batched", "json"),
    Way("uvloop", "websocket-batched", "msgpack"),
    Way("uvloop", "websocket-deflate", "json"),
    Way("uvloop", "websocket-tls", "json"),
    # The standard library's loop sees fewer combinations.
    Way("asyncio", "memory", "cbor"),
    Way("asyncio", "websocket", "json"),
    Way("asyncio", "websocket-batched", "cbor"),
    Way("asyncio", "rawsocket", "msgpack"),
    Way("asyncio", "unix", "json"),
    Way("asyncio", "longpoll-batched", "msgpack"),
]


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

    def open_realm(roles: Sequence[Role] | None = None, **options: bool) -> RealmUnderTest:
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
