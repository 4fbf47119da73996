"""How many files a process may have open is how many connections a router has: it takes what it can, and says so."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.hostile.process import RouterProcess
from tests.hostile.wire import Client, Line, Witness

LOOPS = pytest.mark.parametrize("loop", ["uvloop", "asyncio"])


def test_a_soft_limit_is_raised_to_the_hard_one() -> None:
    with RouterProcess("--port", "0", shell="ulimit -S -n 128; ulimit -H -n 9000") as router:
        limits = Path(f"/proc/{router.pid}/limits").read_text().splitlines()

        assert next(line for line in limits if line.startswith("Max open files")).split()[3:5] == ["9000", "9000"]
        assert "ulimit" not in router.log


def test_a_hard_limit_that_is_too_low_is_said_clearly() -> None:
    with RouterProcess("--port", "0", shell="ulimit -n 200") as router:
        [line] = [line for line in router.log.splitlines() if " WARNING " in line]

    assert "allows this process 200 open files, so fewer connections; raise the hard limit (ulimit -Hn)" in line


@LOOPS
def test_a_router_that_can_open_no_more_files_serves_who_is_there_and_others_later(loop: str) -> None:
    with RouterProcess("--port", "0", loop=loop, shell="ulimit -n 64") as router, ExitStack() as crowd:
        witness = Witness(router.port)
        for _ in range(200):
            crowd.enter_context(Line(router.port))
        if loop == "asyncio":  # uvloop closes the connections and tells nobody
            router.wait_for_log("new connections have to wait")
        witness.testify()

        crowd.close()
        for _ in range(2):  # while the event loop goes round, it notices that they have gone
            witness.testify()
        with Client(router.port, "websocket", "json") as client:
            client.join()

            witness.testify()
        witness.close()
        assert len(router.log.splitlines()) < 20, router.log
