"""One router process for all tests, and a witness that it goes on serving others after each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.hostile.process import RouterProcess
from tests.hostile.wire import Witness


@pytest.fixture(scope="package", params=["uvloop", "asyncio"])
def router(request: pytest.FixtureRequest) -> Iterator[RouterProcess]:
    """The router that is mistreated; it must end in order after all of it."""
    with RouterProcess("--port", "0", loop=request.param) as router:
        yield router


@pytest.fixture(scope="package")
def witness(router: RouterProcess) -> Iterator[Witness]:
    """The session that was there before."""
    witness = Witness(router.port)
    yield witness
    witness.close()


@pytest.fixture
def port(router: RouterProcess, witness: Witness) -> Iterator[int]:
    """Where to send bad input. Afterwards the router must be there, and the witness unharmed."""
    yield router.port
    assert router.is_alive(), router.log
    witness.testify()
