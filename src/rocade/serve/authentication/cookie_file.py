"""What cookies stand for, in an SQLite file.

All of it is in memory as well (`cookie_store`), read when the file is opened; from then on it is only written, by one
thread, so that nobody ever waits for the disk. What the end of a process may take with it are the changes of the last
moment.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from contextlib import closing
from time import monotonic

import msgspec

from rocade.errors import ConfigurationError
from rocade.serve.authentication.cookie_store import CookieRecord

__all__ = ["CookieFile"]

APPLICATION_ID = 0x526F636B  # "Rock", in the header of the file
SCHEMA_VERSION = 1

RETRY_SECONDS = 1.0
"""How often writing is tried again after it failed."""

MAX_UNWRITTEN = 200_000
"""Changes that wait; logins beyond that are remembered in memory only."""

LOCK_SECONDS = 1.0
"""How long to wait for a file that somebody else has locked: a node that is just ending."""

logger = logging.getLogger("rocade.authentication")

_SCHEMA = f"""
CREATE TABLE cookie (
    digest BLOB PRIMARY KEY,    -- SHA-256 of the cookie
    until REAL NOT NULL,        -- seconds since 1970
    record BLOB NOT NULL        -- MessagePack
) WITHOUT ROWID;
CREATE INDEX cookie_by_end ON cookie (until);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""


_Row = tuple[float, bytes]


class CookieFile:
    """One file. It is a `Keeper`.

    Attributes:
        records: what was in it when it was opened: hash of a cookie -> record, the oldest first.
    """

    def __init__(self, path: str, now: float) -> None:
        """Open the file; it is created if there is none.

        Args:
            path: where it is.
            now: seconds since 1970: what has expired is deleted.
        Raises:
            ConfigurationError: it cannot be used; the text says why.
        """
        self._path = path
        self._connection = _opened(path)
        try:
            self._connection.execute("DELETE FROM cookie WHERE until <= ?", (now,))
            rows = self._connection.execute("SELECT digest, record FROM cookie ORDER BY until").fetchall()
            self.records = {digest: msgspec.msgpack.decode(record, type=CookieRecord) for digest, record in rows}
        except (sqlite3.Error, msgspec.DecodeError) as error:
            self._connection.close()
            raise _unusable(path, str(error)) from None
        # Changes that are not written yet: hash -> when it expires and the record, None to delete it. Both threads use
        # it, under the condition.
        self._changes: dict[bytes, _Row | None] = {}
        self._changed = threading.Condition()
        self._is_closing = False
        self._is_failing = False
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="rocade-cookies", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, digest: bytes, record: CookieRecord) -> None:
        """See `Keeper`."""
        try:
            row = record.until, msgspec.msgpack.encode(record)
        except Exception:  # whatever a function of the configuration may have put into `extra`
            logger.error("a login of %s is remembered until the router ends: it cannot be written", record.authid)
            self.delete(digest)
            return
        with self._changed:
            if len(self._changes) < MAX_UNWRITTEN or digest in self._changes:
                self._changes[digest] = row
                self._changed.notify()

    def delete(self, digest: bytes) -> None:
        """See `Keeper`."""
        with self._changed:
            self._changes[digest] = None
            self._changed.notify()

    def close(self, timeout: float) -> None:
        """Write what waits, and close the file.

        Args:
            timeout: seconds that this may take. What cannot be written in time is lost, and the log says so.
        """
        with self._changed:
            self._is_closing = True
            self._deadline = monotonic() + timeout
            self._changed.notify()
        if self._thread.ident is None:
            self._connection.close()
            return
        self._thread.join(timeout)
        if self._thread.is_alive() or self._changes:
            logger.error("%s: the latest logins and logouts could not be written in time", self._path)

    # --- in the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        with closing(self._connection):
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._changes or self._is_closing)
                    changes, self._changes = self._changes, {}
                if changes and not self._write(changes):
                    with self._changed:
                        self._changes = changes | self._changes
                        if self._is_closing and monotonic() >= self._deadline:
                            return
                        self._changed.wait(RETRY_SECONDS)
                elif not changes:
                    return

    def _write(self, changes: dict[bytes, _Row | None]) -> bool:
        rows = [(digest, *row) for digest, row in changes.items() if row is not None]
        deleted = [(digest,) for digest, row in changes.items() if row is None]
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany("INSERT OR REPLACE INTO cookie VALUES (?, ?, ?)", rows)
                connection.executemany("DELETE FROM cookie WHERE digest = ?", deleted)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            if not self._is_failing:
                logger.error("%s: logins and logouts cannot be written, and wait: %s", self._path, error)
            self._is_failing = True
            return False
        if self._is_failing:
            logger.warning("%s: logins and logouts are written again", self._path)
        self._is_failing = False
        return True


def _opened(path: str) -> sqlite3.Connection:
    try:
        # Its owner's alone. SQLite gives its other files the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        if "locked" in str(error):
            raise _unusable(path, "another process uses it") from None
        if "not a database" in str(error):
            raise _unusable(path, "it is something else, such as Crossbar's own cookies; name another file") from None
        raise _unusable(path, str(error)) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    # A second process would not see what this one remembers.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA}; COMMIT")
        return
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise _unusable(path, "it is an SQLite database of something else")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        raise _unusable(path, f"it has version {version} of the format, and this Rocade reads {SCHEMA_VERSION}")


def _unusable(path: str, text: str) -> ConfigurationError:
    return ConfigurationError("", f"{path!r} cannot hold cookies: {text}")
