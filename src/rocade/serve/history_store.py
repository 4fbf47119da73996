"""Event history in an SQLite file, which survives restarts (advanced/pubsub_event_history.md).

One thread has the database to itself: events are written and queries answered in the order in which they came, many
events in one transaction. What a query means is defined in `rocade.router.history`; here it is only narrowed down in
SQL before it is applied.

The router never waits for the disk. Events that cannot be written yet wait in memory, up to a limit; beyond it they
are not recorded, and the log says how many. Subscribers get them all the same.

What is committed survives the end of the process, however it comes about; a power failure may take the latest
transactions with it, but does not damage the file (WAL with synchronous=NORMAL).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import Any

import msgspec
from msgspec import Raw

from rocade.errors import ApplicationError, ConfigurationError
from rocade.router.effects import StoreEvent
from rocade.router.filters import Lists
from rocade.router.history import HistoryRule, Page, Query, Record, bounds, collect
from rocade.router.kept import KeptEvent, size_of
from rocade.wamp.codec import SERIALIZERS
from rocade.wamp.messages import NO_PAYLOAD, EventDetails

__all__ = ["HistoryStore"]

APPLICATION_ID = 0x526F6361  # "Roca", in the header of the file
SCHEMA_VERSION = 1

LINGER_SECONDS = 0.02
"""How long the first event of a batch waits for others, unless somebody asks a question."""

MAX_BATCH = 2000
"""Events in one transaction."""

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Memory for events that are not written yet."""

MAX_QUESTIONS = 1000
"""Queries that are not answered yet."""

RETRY_SECONDS = 1.0
"""How often writing is tried again after it failed."""

LOCK_SECONDS = 1.0
"""How long to wait for a file that somebody else has locked: a node that is just ending."""

CHECKED_BYTES = 64 * 1024 * 1024
"""Files up to this size are looked through when they are opened, in a few tenths of a second."""

logger = logging.getLogger("rocade.history")

_SCHEMA = f"""
CREATE TABLE realm (name TEXT NOT NULL);
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    uri TEXT NOT NULL,
    match TEXT NOT NULL,
    UNIQUE (uri, match)
);
CREATE TABLE event (
    history INTEGER NOT NULL REFERENCES history (id),
    position INTEGER NOT NULL,    -- counts the events of a history
    publication INTEGER NOT NULL,
    time INTEGER NOT NULL,        -- milliseconds since 1970
    topic TEXT NOT NULL,
    serializer TEXT NOT NULL,     -- of args and kwargs
    args BLOB NOT NULL,
    kwargs BLOB NOT NULL,
    lists TEXT,                   -- JSON: who may have it
    details TEXT NOT NULL         -- JSON: EVENT.Details
);
CREATE UNIQUE INDEX event_by_position ON event (history, position);
CREATE INDEX event_by_publication ON event (history, publication);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""
_INSERT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PRUNE = "DELETE FROM event WHERE history = ? AND position <= ?"
# Each of the two by itself is one look into the index; together they would be a walk through it.
_ENDS = """
SELECT (SELECT min(position) FROM event WHERE history = ?1), (SELECT max(position) FROM event WHERE history = ?1)
"""
_POSITION = "SELECT position FROM event WHERE history = ? AND publication = ?"
_SELECT = """
SELECT publication, time, topic, serializer, args, kwargs, lists, details
FROM event WHERE history = ? AND position BETWEEN ? AND ?
"""
_CONDITIONS = (
    ("from_time", " AND time >= ?"),
    ("after_time", " AND time > ?"),
    ("before_time", " AND time < ?"),
    ("until_time", " AND time <= ?"),
    ("topic", " AND topic = ?"),
)

Done = Callable[[Page | ApplicationError], None]


class _Question(msgspec.Struct, gc=False):
    query: Query
    done: Done


class _History:
    """One rule's part of the file.

    Attributes:
        id: its key.
        limit: events that are kept.
        last: position of the latest event.
    """

    __slots__ = ("id", "last", "limit")

    def __init__(self, id: int, limit: int, last: int) -> None:
        self.id = id
        self.limit = limit
        self.last = last


class HistoryStore:
    """The event history of one realm, in one file."""

    def __init__(
        self, path: str, realm: str, rules: Collection[HistoryRule], *, max_waiting_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        """Open the file; it is created if there is none.

        Args:
            path: where it is.
            realm: whose events are in it.
            rules: which events are kept, and how many. What is kept by other rules stays in the file untouched.
            max_waiting_bytes: memory for events that are not written yet.
        Raises:
            ConfigurationError: the file cannot be used; the text says why.
        """
        self._path = path
        self._max_waiting_bytes = max_waiting_bytes
        self._connection, self._histories = _opened(path, realm, rules)
        self._queue: SimpleQueue[StoreEvent | _Question | None] = SimpleQueue()
        # Set when the thread should not linger.
        self._hurry = threading.Event()
        # Bytes and questions that came in, counted by the router's thread; those that are done with, by ours.
        self._put_bytes = self._done_bytes = 0
        self._put_questions = self._done_questions = 0
        self._lost = 0
        self._unwritten: list[StoreEvent] = []
        self._is_failing = False
        self._retry_at = 0.0
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name=f"history of {realm}", daemon=True)

    def start(self) -> None:
        """Begin to write what is put in."""
        self._thread.start()

    def put(self, effect: StoreEvent) -> None:
        """Store an event behind those that came before, unless too many wait already. Never waits."""
        waiting = self._put_bytes - self._done_bytes
        if self._lost:
            if waiting > self._max_waiting_bytes // 2:
                self._lost += 1
                return
            logger.error("%s: writing has caught up; %d events were not recorded", self._path, self._lost)
            self._lost = 0
        elif waiting > self._max_waiting_bytes:
            self._lost = 1
            logger.error(
                "%s: writing falls behind, with %d bytes of events waiting; until it has caught up, events are not "
                "recorded",
                self._path,
                waiting,
            )
            return
        self._put_bytes += effect.record.event.size
        self._queue.put(effect)

    def find(self, query: Query, done: Done) -> None:
        """Look up events among all that came before. Never waits.

        Args:
            query: what is asked for.
            done: called in another thread with what was found, or with what the reader is told instead.
        """
        if self._put_questions - self._done_questions >= MAX_QUESTIONS:
            done(ApplicationError("wamp.error.unavailable", "too many readers of event history; try again later"))
            return
        self._put_questions += 1
        self._queue.put(_Question(query, done))
        self._hurry.set()

    def close(self, timeout: float) -> None:
        """Write what waits, and close the file. What cannot be written in time is lost, and the log says so.

        Args:
            timeout: seconds that this may take.
        """
        self._deadline = monotonic() + timeout
        self._queue.put(None)
        self._hurry.set()
        if self._thread.ident is None:
            self._connection.close()
            return
        self._thread.join(timeout)
        if self._thread.is_alive() or self._unwritten:
            logger.error("%s: the latest events are not recorded: they could not be written in time", self._path)
        if self._lost:
            logger.error("%s: %d events were not recorded", self._path, self._lost)

    # --- in the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        with closing(self._connection):
            is_open = True
            while is_open:
                batch = self._next_batch()
                is_open = not any(item is None for item in batch)
                self._work_off(batch)
            while self._unwritten and monotonic() < self._deadline:
                sleep(max(0.0, min(self._retry_at, self._deadline) - monotonic()))
                self._write([])

    def _next_batch(self) -> list[StoreEvent | _Question | None]:
        try:
            batch = [self._queue.get(timeout=RETRY_SECONDS if self._unwritten else None)]
        except Empty:
            return []
        if type(batch[0]) is StoreEvent:
            self._hurry.wait(LINGER_SECONDS)
        self._hurry.clear()
        while len(batch) < MAX_BATCH:
            try:
                batch.append(self._queue.get_nowait())
            except Empty:
                break
        return batch

    def _work_off(self, batch: list[StoreEvent | _Question | None]) -> None:
        events: list[StoreEvent] = []
        for item in batch:
            if type(item) is StoreEvent:
                events.append(item)
            elif type(item) is _Question:
                self._write(events)
                events = []
                self._answer(item)
        self._write(events)

    def _write(self, events: list[StoreEvent]) -> None:
        """Write events, behind those that could not be written before. If it fails now, they are kept for later."""
        self._unwritten.extend(events)
        if not self._unwritten or (self._is_failing and monotonic() < self._retry_at):
            return
        events, self._unwritten = self._unwritten, []
        try:
            self._write_together(events)
        except sqlite3.DatabaseError as error:
            if not _may_pass(error):
                self._write_one_by_one(events)
                return
            self._unwritten = events
            if not self._is_failing:
                logger.error("%s: events cannot be written, and wait: %s", self._path, error)
            self._is_failing = True
            self._retry_at = monotonic() + RETRY_SECONDS
            return
        except Exception:
            self._write_one_by_one(events)
            return
        self._done_bytes += sum(effect.record.event.size for effect in events)
        if self._is_failing:
            logger.warning("%s: events are written again", self._path)
        self._is_failing = False

    def _write_together(self, events: list[StoreEvent]) -> None:
        execute = self._connection.execute
        # history -> position of its latest event
        last: dict[_History, int] = {}
        rows = []
        for effect in events:
            history = self._histories[effect.rule]
            last[history] = position = last.get(history, history.last) + 1
            rows.append(_row(history.id, position, effect.record))
        execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(_INSERT, rows)
            for history, position in last.items():
                execute(_PRUNE, (history.id, position - history.limit))
            execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise
        for history, position in last.items():
            history.last = position

    def _write_one_by_one(self, events: list[StoreEvent]) -> None:
        """One of them cannot be written, ever: it is left out."""
        for effect in events:
            try:
                self._write_together([effect])
            except Exception:
                logger.exception("%s: an event of %s is not recorded", self._path, effect.record.event.topic)
            self._done_bytes += effect.record.event.size

    def _answer(self, question: _Question) -> None:
        found: Page | ApplicationError
        try:
            # What is not written it would not see, although it came before.
            found = _unreadable() if self._unwritten else self._find(question.query)
        except ApplicationError as error:
            found = error
        except Exception:
            logger.exception("%s: event history cannot be read", self._path)
            found = _unreadable()
        self._done_questions += 1
        question.done(found)

    def _find(self, query: Query) -> Page:
        history = self._histories[query.rule]
        oldest, newest = self._connection.execute(_ENDS, (history.id,)).fetchone()
        if oldest is None:
            oldest, newest = 1, 0

        def position_of(publication: int) -> int | None:
            row = self._connection.execute(_POSITION, (history.id, publication)).fetchone()
            return None if row is None else int(row[0])

        first, last = bounds(query, position_of, oldest, newest)
        statement = _SELECT
        parameters: list[Any] = [history.id, first, last]
        for name, condition in _CONDITIONS:
            value = getattr(query, name)
            if value is not None:
                statement += condition
                parameters.append(value)
        statement += " ORDER BY position DESC" if query.reverse else " ORDER BY position"
        with closing(self._connection.execute(statement, parameters)) as rows:
            records, has_more = collect(_records(rows), query)
        return Page(records, has_more, oldest > 1 or newest - oldest + 1 >= history.limit)


def _unreadable() -> ApplicationError:
    return ApplicationError("wamp.error.runtime_error", "event history cannot be read at the moment")


def _may_pass(error: sqlite3.DatabaseError) -> bool:
    """Whether it is about the file (locked, disk full, damaged) rather than about what is to be written."""
    return isinstance(error, sqlite3.OperationalError | sqlite3.InternalError) or type(error) is sqlite3.DatabaseError


def _row(history: int, position: int, record: Record) -> tuple[Any, ...]:
    event = record.event
    return (
        history,
        position,
        event.publication,
        record.time,
        event.topic,
        event.serializer.name,
        bytes(event.args),
        bytes(event.kwargs),
        None if event.lists is None else msgspec.json.encode(event.lists).decode(),
        msgspec.json.encode(event.details).decode(),
    )


def _records(rows: Iterable[tuple[Any, ...]]) -> Iterator[Record]:
    for publication, time, topic, serializer, *payload, lists_text, details in rows:
        args, kwargs = (Raw(data) if data else NO_PAYLOAD for data in payload)
        lists = None if lists_text is None else _decode_lists(lists_text)
        size = size_of(topic, args, kwargs, lists)
        event = KeptEvent(
            publication, topic, _decode_details(details), args, kwargs, SERIALIZERS[serializer], lists, size
        )
        yield Record(event, time)


_decode_details = msgspec.json.Decoder(EventDetails).decode
_decode_lists = msgspec.json.Decoder(Lists).decode


# --- opening ---------------------------------------------------------------------------------------


@contextmanager
def _failures_told(path: str) -> Iterator[None]:
    """Turns failures of SQLite into what the reader of a configuration can use."""
    try:
        yield
    except sqlite3.Error as error:
        text = "another process uses it" if "locked" in str(error) else str(error)
        raise _unusable(path, text) from None


def _unusable(path: str, text: str) -> ConfigurationError:
    return ConfigurationError("", f"{path!r} cannot hold event history: {text}")


def _opened(
    path: str, realm: str, rules: Iterable[HistoryRule]
) -> tuple[sqlite3.Connection, dict[HistoryRule, _History]]:
    """The file as a database that nobody else uses, and where in it the events of each rule are."""
    try:
        # Its owner's alone: payloads are as confidential as the realm. SQLite gives its other files the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    with _failures_told(path):
        connection = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path, realm)
            return connection, {rule: _history(connection, rule) for rule in rules}
        except BaseException:
            connection.close()
            raise


def _prepare(connection: sqlite3.Connection, path: str, realm: str) -> None:
    # A second process would count positions of its own. It also makes WAL independent of shared memory.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    if _value(connection, "PRAGMA journal_mode = WAL") != "wal":
        raise _unusable(path, "its file system does not support write-ahead logging")
    connection.execute("PRAGMA synchronous = NORMAL")
    if not _value(connection, "SELECT count(*) FROM sqlite_master"):
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA}")
        connection.execute("INSERT INTO realm VALUES (?)", (realm,))
        connection.execute("COMMIT")
        return
    if _value(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise _unusable(path, "it is an SQLite database of something else")
    version = _value(connection, "PRAGMA user_version")
    if version != SCHEMA_VERSION:
        raise _unusable(path, f"it has version {version} of the format, and this Rocade reads {SCHEMA_VERSION}")
    owner = _value(connection, "SELECT name FROM realm")
    if owner != realm:
        raise _unusable(path, f"it has the events of realm {owner!r}")
    if os.path.getsize(path) <= CHECKED_BYTES:
        verdict = _value(connection, "PRAGMA quick_check(1)")
        if verdict != "ok":
            raise _unusable(path, f"it is damaged: {verdict}")


def _history(connection: sqlite3.Connection, rule: HistoryRule) -> _History:
    """A rule's part of the file, with no more events than the rule allows now."""
    key = (rule.uri, rule.match.value)
    connection.execute("INSERT OR IGNORE INTO history (uri, match) VALUES (?, ?)", key)
    id = _value(connection, "SELECT id FROM history WHERE uri = ? AND match = ?", *key)
    last = _value(connection, "SELECT max(position) FROM event WHERE history = ?", id) or 0
    connection.execute(_PRUNE, (id, last - rule.limit))
    return _History(id, rule.limit, last)


def _value(connection: sqlite3.Connection, statement: str, *parameters: Any) -> Any:
    row = connection.execute(statement, parameters).fetchone()
    return None if row is None else row[0]
