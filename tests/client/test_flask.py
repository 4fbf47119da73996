"""examples/flask, served by gunicorn as its users have it: processes, threads, preloaded, killed."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.app.programs import Program

import rocade
from rocade.blocking import Client, connect
from rocade.testing import ListeningRouter

FOLDER = Path(__file__).parents[2] / "examples" / "flask"
TIMEOUT = 60


class Site(Program):
    """A server and its processes."""

    def __init__(self, url: str, *arguments: str, folder: Path = FOLDER, home: Path, app: str = "shop:app") -> None:
        super().__init__(
            *("-m", "gunicorn", "-b", "127.0.0.1:0", "--worker-tmp-dir", str(home), *arguments, app),
            directory=folder,
            ROCADE_URL=url,
            HOME=str(home),
            PYTHONDONTWRITEBYTECODE="1",
        )

    def request(self, path: str, method: str = "GET") -> tuple[int, Any]:
        """Status and body of the answer to a request."""
        self.wait_for("Listening at: ")
        found = re.search(r"Listening at: (\S+)", self.text)
        assert found is not None
        try:
            with urllib.request.urlopen(
                urllib.request.Request(found[1] + path, method=method), timeout=TIMEOUT
            ) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@contextmanager
def callees(client: Client) -> Iterator[Any]:
    """What waits until there are so many of shop.process."""
    with client.events("wamp.registration", match="prefix") as changes:

        def wait_for(count: int) -> None:
            while True:
                registration = client.call("wamp.registration.lookup", "shop.process")
                if count == (client.call("wamp.registration.count_callees", registration) if registration else 0):
                    return
                next(changes)

        yield wait_for


def assert_no_complaints(site: Site) -> None:
    for word in ("Traceback", "Warning", "ERROR", "already"):
        assert word not in site.text


@pytest.mark.parametrize(
    "options", [["-w", "4"], ["-w", "4", "--preload"], ["-w", "4", "-k", "gthread", "--threads", "4"]], ids=" ".join
)
def test_processes_share_registrations_and_use_the_client(
    rocade_router: ListeningRouter, options: list[str], tmp_path: Path
) -> None:
    with connect(rocade_router.url) as client, callees(client) as wait_for_callees:
        with Site(rocade_router.url, *options, home=tmp_path) as site, client.events("shop.sold") as sold:
            wait_for_callees(4)
            assert len({client.call("shop.process") for _ in range(8)}) == 4

            with ThreadPoolExecutor(8) as threads:
                answers = list(threads.map(lambda _: site.request("/price/tea"), range(40)))
            assert answers == [(200, {"tea": 2.5})] * 40
            assert site.request("/price/gold") == (404, {"error": "shop.error.no_such_item: gold"})
            assert site.request("/sold/tea", "POST") == (200, {"sold": "tea"})
            assert next(sold).args == ["tea"]

            assert site.stop() == 0
            assert_no_complaints(site)
        wait_for_callees(0)
        assert client.call("wamp.session.count") == 1


def test_a_killed_process_is_replaced(rocade_router: ListeningRouter, tmp_path: Path) -> None:
    with (
        connect(rocade_router.url) as client,
        callees(client) as wait_for_callees,
        client.events("wamp.session.on_leave") as left,
        Site(rocade_router.url, "-w", "4", home=tmp_path) as site,
    ):
        wait_for_callees(4)
        before = {client.call("shop.process") for _ in range(4)}
        victim = min(before)

        os.kill(victim, signal.SIGKILL)
        next(left)
        site.wait_for("Booting worker", 5)
        wait_for_callees(4)

        assert site.request("/price/milk") == (200, {"milk": 1.2})
        after = {client.call("shop.process") for _ in range(4)}
        assert (len(after), before - after) == (4, {victim})


def test_a_master_that_is_connected_and_its_processes_have_sessions_of_their_own(
    rocade_router: ListeningRouter, tmp_path: Path
) -> None:
    (tmp_path / "early.py").write_text(
        "import os, flask, rocade\n"
        "client = rocade.blocking.connect(os.environ['ROCADE_URL'])\n"
        "print('master', client.session.id)\n"
        "app = flask.Flask(__name__)\n"
        "@app.get('/session')\n"
        "def session(): return {'id': client.session.id, 'count': client.call('wamp.session.count')}\n"
    )
    with (
        connect(rocade_router.url) as client,
        Site(rocade_router.url, "--preload", "-w", "3", folder=tmp_path, home=tmp_path, app="early:app") as site,
    ):
        site.wait_for("Booting worker", 3)
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: site.request("/session"), range(40)))
        sessions = {answer[1]["id"] for answer in answers}
        master = int(re.findall(r"master (\d+)", site.text)[0])

        assert {status for status, _ in answers} == {200}
        assert master not in sessions
        assert {master, client.session.id, *sessions} == set(client.call("wamp.session.list"))
        assert site.stop() == 0
        assert client.call("wamp.session.count") == 1
        assert "Traceback" not in site.text


def test_a_site_without_a_router_says_so_and_uses_it_when_it_is_there(tmp_path: Path, free_port: int) -> None:
    url = f"ws://127.0.0.1:{free_port}/ws"
    (tmp_path / "shop.py").write_text((FOLDER / "shop.py").read_text().replace('/ws"))', '/ws"), timeout=1.0)'))
    (tmp_path / "gunicorn.conf.py").write_text((FOLDER / "gunicorn.conf.py").read_text())
    with Site(url, "-w", "1", folder=tmp_path, home=tmp_path) as site:
        site.wait_for("without a router so far: ")
        assert site.request("/price/tea")[0] == 503

        with Program("-m", "rocade", "start", "--port", str(free_port), directory=tmp_path) as started:
            started.wait_for("ready")
            assert site.request("/price/tea") == (200, {"tea": 2.5})


def test_gevent_is_refused_clearly(rocade_router: ListeningRouter, tmp_path: Path) -> None:
    with Site(rocade_router.url, "-k", "gevent", home=tmp_path) as site:
        assert site.wait() != 0
        assert "rocade.blocking needs real threads and sockets, and gevent has replaced those" in site.text
        assert "gunicorn -k gthread" in site.text


def test_the_example_runs_in_a_test_client_of_flask(
    rocade_router: ListeningRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROCADE_URL", rocade_router.url)
    names: dict[str, Any] = {"__name__": "shop"}
    exec(compile((FOLDER / "shop.py").read_text(), "shop.py", "exec"), names)
    requests = names["app"].test_client()
    with names["client"], connect(rocade_router.url) as client:
        assert requests.get("/price/tea").json == {"tea": 2.5}
        with pytest.raises(rocade.ApplicationError, match=r"shop\.error\.no_such_item: gold"):
            client.call("shop.price", "gold")
