"""One router process and one process per client library, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from .clients import CLIENTS, COMMANDS, Client
from .driver import Driver, Session
from .router import Router, write_configuration

Join = Callable[..., Session]
Pair = Callable[[Client, Client], tuple[Session, Session]]


@pytest.fixture(scope="session")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """The router that tests share; none of them stops it."""
    folder = tmp_path_factory.mktemp("router")
    router = Router(folder / "router.log", "--config", str(write_configuration(folder / "config.json")))
    yield router
    assert router.stop() == 0
    assert "Traceback" not in router.log.read_text()


@pytest.fixture
def own_router(tmp_path: Path) -> Iterator[Router]:
    """A router for one test, which may stop it: `rocade start` without a configuration."""
    router = Router(tmp_path / "router.log")
    yield router
    router.stop()
    assert "Traceback" not in router.log.read_text()


@pytest.fixture
def own_router_for_all(tmp_path: Path) -> Iterator[Router]:
    """The same with a configuration that has every transport."""
    router = Router(tmp_path / "router.log", "--config", str(write_configuration(tmp_path / "config.json")))
    yield router
    router.stop()
    assert "Traceback" not in router.log.read_text()


@pytest.fixture(scope="session")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Driver]]:
    """A function that gives the driver of a library, started when it is first asked for."""
    running: dict[str, Driver] = {}
    folder = tmp_path_factory.mktemp("drivers")

    def driver(library: str) -> Driver:
        if library not in running:
            running[library] = Driver(COMMANDS[library](), folder / f"{library}.log")
        return running[library]

    yield driver
    for driver_ in running.values():
        driver_.stop()


@pytest.fixture
def join(router: Router, drivers: Callable[[str], Driver]) -> Iterator[Join]:
    """A function that opens a session of a client; what is still open after the test is closed."""
    sessions: list[Session] = []

    def join(
        client: Client, realm: str = "realm1", *, at: Router = router, login: dict[str, str] | None = None
    ) -> Session:
        where = {"transport": client.transport, "serializer": client.serializer, "port": at.port}
        session = drivers(client.library).join(realm, **where, **({"login": login} if login else {}))
        sessions.append(session)
        return session

    yield join
    for session in sessions:
        session.leave_if_open()


@pytest.fixture(scope="session")
def pair(router: Router, drivers: Callable[[str], Driver]) -> Pair:
    """A function that gives a session of one client and one of another, for tests that clean up behind themselves."""

    @cache
    def session(client: Client, side: str) -> Session:
        where = {"transport": client.transport, "serializer": client.serializer, "port": router.port}
        return drivers(client.library).join("realm1", **where)

    return lambda one, other: (session(one, "one"), session(other, "other"))


@pytest.fixture(params=CLIENTS, ids=str)
def client(request: pytest.FixtureRequest) -> Client:
    """Each client in turn."""
    client = request.param
    assert isinstance(client, Client)
    return client
