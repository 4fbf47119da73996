"""Event history in SQLite: real files, real ends of processes."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.waiting import TIMEOUT
from tests.router.history_cases import *  # noqa: F403  the tests of every kind of store
from tests.router.history_cases import RULE, TOPIC, Keeper, filled, found, page, record
from tests.serve.scene import Client, next_message, settle

from rocade.errors import ApplicationError, ConfigurationError
from rocade.router.effects import StoreEvent
from rocade.router.history import HistoryRule, Page, Query, Record
from rocade.router.permissions import Permission, Role
from rocade.serve import history_store
from rocade.serve.gateway import Gateway
from rocade.serve.history_store import HistoryStore
from rocade.wamp.codec import JSON
from rocade.wamp.messages import Error, Match, Result


class Stored:
    """A store and its file, as a `Keeper`."""

    def __init__(self, path: Path, *rules: HistoryRule, realm: str = "realm1", **options: Any) -> None:
        self.store = HistoryStore(str(path), realm, rules or (RULE,), **options)
        self.store.start()

    def add(self, rule: HistoryRule, record: Record) -> None:
        self.store.put(StoreEvent(rule, record))

    def find(self, query: Query) -> Page:
        answer: Future[Page | ApplicationError] = Future()
        self.store.find(query, answer.set_result)
        outcome = answer.result(TIMEOUT)
        if isinstance(outcome, ApplicationError):
            raise outcome
        return outcome

    def close(self, timeout: float = TIMEOUT) -> None:
        self.store.close(timeout)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., Stored]]:
    """Opens a store that is closed in the end."""
    stores: list[Stored] = []

    def open_store(*rules: HistoryRule, **options: Any) -> Stored:
        stores.append(Stored(path, *rules, **options))
        return stores[-1]

    yield open_store
    for stored in stores:
        stored.close()
    for thread in threading.enumerate():
        if thread.name.startswith("history of"):
            thread.join(TIMEOUT)
            assert not thread.is_alive()


@pytest.fixture
def make_keeper(opened: Callable[..., Stored]) -> Callable[..., Keeper]:
    return opened


@pytest.fixture
def keeper(opened: Callable[..., Stored]) -> Keeper:
    return opened(RULE)


# --- restarts --------------------------------------------------------------------------------------


def test_a_restart_finds_the_events_and_goes_on(path: Path) -> None:
    before = Stored(path)
    records = [record(args=["ü", number], eligible_authid=["joe"]) for number in range(3)]
    for each in records:
        before.add(RULE, each)
    before.close()

    after = Stored(path)
    records.append(record())
    after.add(RULE, records[-1])

    assert page(after).records == records
    assert found(after, after_publication=records[2].event.publication) == [records[3].event.publication]
    after.close()


def test_a_limit_that_was_lowered_counts_from_the_start(path: Path) -> None:
    before = Stored(path)
    publications = filled(before, 8)
    before.close()

    lower = HistoryRule(RULE.uri, RULE.match, 3)
    after = Stored(path, lower)

    assert [each.event.publication for each in page(after, rule=lower).records] == publications[-3:]
    after.close()


def test_a_rule_that_is_left_out_keeps_its_events_for_when_it_comes_back(path: Path) -> None:
    before = Stored(path)
    publications = filled(before, 3)
    before.close()
    Stored(path, HistoryRule("com.other")).close()

    after = Stored(path)

    assert found(after) == publications
    after.close()


def test_closing_writes_what_waits(path: Path) -> None:
    store = HistoryStore(str(path), "realm1", [HistoryRule(TOPIC, Match.EXACT, 100_000)])
    rule = HistoryRule(TOPIC, Match.EXACT, 100_000)
    kept = record(args=["x" * 100])
    for publication in range(1, 20_001):
        store.put(StoreEvent(rule, Record(kept.event, publication)))
    store.start()

    store.close(TIMEOUT)

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*), max(time) FROM event").fetchone() == (20_000, 20_000)
    connection.close()


def test_closing_a_store_that_was_never_started_closes_the_file(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    store = HistoryStore(str(path), "realm1", [RULE])
    assert log.exists()

    store.close(TIMEOUT)

    assert not log.exists(), "SQLite removes it with the last connection"
    Stored(path).close()


WRITER = """
import sys
from threading import Semaphore
from tests.router.history_cases import RULE, record
from rocade.router.effects import StoreEvent
from rocade.serve.history_store import HistoryStore
from rocade.router.history import Query

store = HistoryStore(sys.argv[1], "realm1", [RULE], max_waiting_bytes=10_000_000)
store.start()
publication = int(sys.argv[2])
ahead = Semaphore(4)  # questions that wait: the store is kept busy, not flooded

def tell(page):
    print(page.records[-1].event.publication, flush=True)
    ahead.release()

while True:
    publication += 1
    store.put(StoreEvent(RULE, record(publication=publication, args=["x" * 500])))
    if publication % 500 == 0:
        ahead.acquire()
        store.find(Query(rule=RULE, subscription=1, authid="joe", authrole="user"), tell)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killing_the_process_neither_damages_the_file_nor_loses_what_was_read(path: Path) -> None:
    last = 0
    for _ in range(3):
        program = [sys.executable, "-c", WRITER, str(path), str(last)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            seen = [int(process.stdout.readline()) for _ in range(3)]
            process.send_signal(signal.SIGKILL)

        after = Stored(path)
        publications = found(after)
        after.close()
        assert len(publications) == RULE.limit
        assert publications == list(range(publications[0], publications[0] + RULE.limit))
        assert publications[-1] >= seen[-1] > last
        last = publications[-1]


# --- files that cannot be used ---------------------------------------------------------------------


def refusal(path: Path, realm: str = "realm1") -> str:
    """Why a file is refused."""
    with pytest.raises(ConfigurationError) as caught:
        HistoryStore(str(path), realm, [RULE])
    assert caught.value.message.startswith(repr(str(path)))
    return caught.value.message


def test_a_directory_that_does_not_exist_is_told(tmp_path: Path) -> None:
    assert "No such file or directory" in refusal(tmp_path / "nowhere" / "history.db")


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    assert "Is a directory" in refusal(tmp_path)


def test_a_file_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)

    assert "not a database" in refusal(path)
    assert path.read_bytes() == b"not a database" * 1000


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE customers (name)")
    connection.close()

    assert "of something else" in refusal(path)


def test_a_later_version_of_the_format_is_refused(path: Path) -> None:
    Stored(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()

    assert "version 2" in refusal(path)


def test_the_history_of_another_realm_is_refused(path: Path) -> None:
    Stored(path, realm="realm2").close()

    assert "realm 'realm2'" in refusal(path)


def test_a_damaged_file_is_refused(path: Path) -> None:
    stored = Stored(path, HistoryRule(TOPIC, Match.EXACT, 1000))
    for _ in range(200):
        stored.add(HistoryRule(TOPIC, Match.EXACT, 1000), record(args=["x" * 1000]))
    stored.close()
    data = bytearray(path.read_bytes())
    for page_start in range(4096 * 10, 4096 * 40, 4096):
        data[page_start : page_start + 200] = b"\xff" * 200
    path.write_bytes(data)

    assert "damaged" in refusal(path) or "malformed" in refusal(path)


def test_a_truncated_file_is_refused(path: Path) -> None:
    stored = Stored(path, HistoryRule(TOPIC, Match.EXACT, 1000))
    for _ in range(200):
        stored.add(HistoryRule(TOPIC, Match.EXACT, 1000), record(args=["x" * 1000]))
    stored.close()
    path.write_bytes(path.read_bytes()[: 4096 * 8])

    assert "malformed" in refusal(path) or "damaged" in refusal(path)


def test_a_file_belongs_to_one_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_store, "LOCK_SECONDS", 0.05)
    first = Stored(path)

    message = refusal(path)
    first.close()

    assert "another process uses it" in message
    Stored(path).close()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_told(path: Path) -> None:
    path.touch()
    path.chmod(0o400)

    assert "Permission denied" in refusal(path)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of Unix")
def test_only_its_owner_may_read_the_file(path: Path) -> None:
    stored = Stored(path)
    filled(stored, 3)
    found(stored)

    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    stored.close()

    assert set(modes.values()) == {0o600}


# --- trouble while it runs -------------------------------------------------------------------------


class Broken:
    """A connection whose commits fail as long as they are told to."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.error: Exception | None = None

    def execute(self, statement: str, *parameters: Any) -> Any:
        if statement == "COMMIT" and self.error is not None:
            raise self.error
        return self._connection.execute(statement, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.fixture
def broken(opened: Callable[..., Stored], monkeypatch: pytest.MonkeyPatch) -> tuple[Stored, Broken]:
    """A store, and what makes its commits fail."""
    monkeypatch.setattr(history_store, "RETRY_SECONDS", 0.05)
    stored = opened(RULE)
    connection = Broken(stored.store._connection)
    stored.store._connection = connection  # type: ignore[assignment]
    return stored, connection


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.WARNING]


def test_what_cannot_be_written_waits_until_it_can(
    broken: tuple[Stored, Broken], caplog: pytest.LogCaptureFixture
) -> None:
    stored, connection = broken
    connection.error = sqlite3.OperationalError("database or disk is full")
    publications = filled(stored, 3)

    with pytest.raises(ApplicationError, match="cannot be read at the moment") as caught:
        found(stored)
    publications += filled(stored, 2)
    connection.error = None

    assert caught.value.uri == "wamp.error.runtime_error"
    assert eventually(stored) == publications
    assert len(errors(caplog)) == 2
    assert "disk is full" in errors(caplog)[0]
    assert "written again" in errors(caplog)[1]


def eventually(stored: Stored) -> list[int]:
    """What is found once it can be read again."""
    pause = threading.Event()
    for _ in range(int(TIMEOUT / 0.02)):
        try:
            return found(stored)
        except ApplicationError:
            pause.wait(0.02)
    raise AssertionError("it cannot be read")


def test_what_can_never_be_written_is_left_out(opened: Callable[..., Stored], caplog: pytest.LogCaptureFixture) -> None:
    stored = opened(RULE)
    good = [record(), record()]

    for each in (good[0], record(topic="com.example.\ud800"), good[1]):
        stored.add(RULE, each)

    assert page(stored).records == good
    assert len(errors(caplog)) == 1
    assert "is not recorded" in errors(caplog)[0]


def test_events_that_wait_are_bounded_and_the_log_counts_what_is_lost(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stored = Stored.__new__(Stored)
    stored.store = HistoryStore(str(path), "realm1", [RULE], max_waiting_bytes=20_000)
    kept = [record(args=["x" * 2000]) for _ in range(20)]
    for each in kept:
        stored.add(RULE, each)
    assert len(errors(caplog)) == 1
    assert "falls behind" in errors(caplog)[0]

    stored.store.start()
    first = page(stored).records
    latest = record()
    stored.add(RULE, latest)

    assert first == kept[: len(first)]
    assert 5 < len(first) < 12
    assert page(stored).records[-1] == latest
    assert errors(caplog)[1].endswith(f"{20 - len(first)} events were not recorded")
    stored.close()


def test_a_failure_to_read_is_told_and_logged(
    opened: Callable[..., Stored], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = opened(RULE)
    filled(stored, 1)
    monkeypatch.setattr(history_store, "_SELECT", "SELECT nothing FROM nowhere WHERE ? = ? AND ?")

    with pytest.raises(ApplicationError, match="cannot be read") as caught:
        found(stored)
    monkeypatch.undo()

    assert caught.value.uri == "wamp.error.runtime_error"
    assert "cannot be read" in errors(caplog)[0]
    assert len(found(stored)) == 1, "it goes on"


def test_questions_that_wait_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_store, "MAX_QUESTIONS", 2)
    store = HistoryStore(str(path), "realm1", [RULE])
    answers: list[Page | ApplicationError] = []
    query = Query(rule=RULE, subscription=1, authid="joe", authrole="user")

    for _ in range(3):
        store.find(query, answers.append)
    (refused,) = answers
    store.start()
    store.close(TIMEOUT)

    assert isinstance(refused, ApplicationError)
    assert refused.uri == "wamp.error.unavailable"
    assert len(answers) == 3


def test_what_cannot_be_written_at_the_end_is_told(
    broken: tuple[Stored, Broken], caplog: pytest.LogCaptureFixture
) -> None:
    stored, connection = broken
    connection.error = sqlite3.OperationalError("database or disk is full")
    filled(stored, 3)

    stored.close(0.3)

    assert "could not be written in time" in errors(caplog)[-1]


# --- with a gateway --------------------------------------------------------------------------------


class Asker:
    """A client of a realm whose history is stored."""

    def __init__(self, stored: Stored) -> None:
        everything = Permission(uri="", match=Match.PREFIX, call=True, publish=True, subscribe=True)
        self.gateway = Gateway()
        self.gateway.add_realm("realm1", [Role("user", [everything])], history=[RULE], has_event_store=True)
        self.gateway.event_stores["realm1"] = stored.store
        self.client = Client(self.gateway)
        self.client.join()
        (self.subscription,) = self.gateway.realms["realm1"].broker.subscriptions

    async def answer(self) -> Result | Error:
        """The answer to a call of get_events."""
        self.client.call("wamp.subscription.get_events", self.subscription)
        return await self.awaited()

    async def awaited(self) -> Result | Error:
        message = await next_message(self.client)
        assert isinstance(message, Result | Error)
        return message


async def test_an_event_is_found_right_after_it_was_published(keeper: Stored) -> None:
    asker = Asker(keeper)

    asker.client.publish(TOPIC, "ü", 1)
    answer = await asker.answer()

    assert type(answer) is Result
    (event,) = JSON.load(answer.args)  # type: ignore[arg-type]
    assert (event["args"], event["details"]) == (["ü", 1], {"topic": TOPIC})


async def test_a_client_that_is_gone_gets_no_answer(keeper: Stored) -> None:
    asker = Asker(keeper)
    asker.client.call("wamp.subscription.get_events", asker.subscription)
    asker.client.link.lose()

    assert found(keeper) == []
    await settle()

    assert asker.client.take() == []
