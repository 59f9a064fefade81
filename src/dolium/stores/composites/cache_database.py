"""The database of a cache, and the one lock on it: opened by each process, and opened again when somebody has removed it.

*Removed by hand*: whoever takes the lock looks whether the folder still has the files that this process opened. If not,
it opens what is there, or begins anew, for all who share the folder. Numbers of files and epochs of a new index begin
at random, so that nothing that was begun under the old one is taken for something of the new one.

The journal is no write-ahead log (older SQLites can damage a database in that mode, and this one is used as Python
brings it), and nothing is synced: after a power cut the cache is looked through once, and begun anew if need be. One
process at a time is in the database, by a lock on a file; SQLite's own way to wait would be to poll. A connection
belongs to one process; after a fork the child opens its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from dolium.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["BORN", "CacheBroken", "CacheDatabase"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, block INTEGER NOT NULL, state INTEGER NOT NULL,
    size INTEGER NOT NULL, written_ns INTEGER NOT NULL DEFAULT 0, used REAL NOT NULL, pinned REAL NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX IF NOT EXISTS ready ON entries (key, block) WHERE state = 1;
CREATE INDEX IF NOT EXISTS oldest ON entries (state, used);
CREATE INDEX IF NOT EXISTS keys ON entries (key);
CREATE TABLE IF NOT EXISTS blobs (key TEXT PRIMARY KEY, size INTEGER, modified_ns INTEGER, checked REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epochs (number INTEGER PRIMARY KEY, epoch INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT OR IGNORE INTO facts VALUES ('bytes', 0), ('boot', ''), ('born', (random() & 0x3ffffffffff) << 20);
INSERT INTO sqlite_sequence SELECT 'entries', value FROM facts
    WHERE name = 'born' AND NOT EXISTS (SELECT 1 FROM sqlite_sequence);
PRAGMA user_version = 2;
"""
_VERSION: Final = 2
BORN: Final = "(SELECT value FROM facts WHERE name = 'born')"
"""What numbers and epochs begin at."""
_ROUNDS: Final = 8
"""So often the files are opened again that somebody removes."""


class CacheBroken(StoreUnavailable):
    """The cache itself cannot be used: its disk is full, gone or damaged. The far store may be well."""


class CacheDatabase:
    """Its methods raise CacheBroken. All but `lock`, `renew` and `close` are calls of `with database.lock():`, which may
    be nested.

    `on_open`: what is to be done first, inside the lock, when a database was opened.
    """

    def __init__(self, folder: str, on_open: Callable[[], None] = lambda: None) -> None:
        self._folder = folder
        self._on_open = on_open
        self._is_fresh = False  # whether that is still to be done
        self._is_damaged = False  # whether it is to be begun anew
        self._looked_at = (f"{folder}/lock", f"{folder}/index.sqlite")
        self._places: tuple[int, ...] | None = None  # which files were opened
        self._pid = 0
        self._thread_lock = RLock()
        self._lock_file = -1
        self._database: sqlite3.Connection | None = None
        self._depth = 0
        self._left: list[
            sqlite3.Connection | None
        ] = []  # of the process that was forked: never touched again

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One transaction, alone among all threads and processes."""
        self._be_here()
        with self._thread_lock:
            try:
                if self._is_damaged and self._depth == 0:
                    self.renew()
                self._enter()
                try:
                    self._greet()
                    yield
                except BaseException:
                    self._leave("ROLLBACK")
                    raise
                self._leave("COMMIT")
            except (sqlite3.Error, OSError) as error:
                self._is_damaged |= (
                    type(error) is sqlite3.DatabaseError
                )  # what is no more than locked is a subclass
                raise CacheBroken("cache", "the cache cannot be used") from error

    def close(self) -> None:
        self._be_here()
        with self._thread_lock:
            self._let_go()

    def renew(self) -> None:
        """Begin with an empty database, if the one that is there is damaged, and nobody was faster."""
        self._be_here()
        with self._thread_lock, self._alone() as lock:
            self.close()
            try:
                self._database = self._connect()
                if not self.is_sound():
                    raise sqlite3.DatabaseError("the index is damaged")
            except sqlite3.DatabaseError:
                if self._database is not None:
                    self._database.close()
                for name in ("index.sqlite", "index.sqlite-journal"):
                    Path(self._folder, name).unlink(missing_ok=True)
                self._database = self._connect()
            self._lock_file, self._places, self._is_fresh = os.dup(lock), self._look(), True
            self._is_damaged = False

    def is_sound(self) -> bool:
        return self._all("PRAGMA quick_check(1)") == [("ok",)]

    # Rows.

    def _one(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._here().execute(sql, values).fetchone()
        return row

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self._here().execute(sql, values).fetchall()

    def _run(self, sql: str, *values: object) -> None:
        self._here().execute(sql, values)

    def _here(self) -> sqlite3.Connection:
        assert self._database is not None, "inside `lock`"
        return self._database

    # Who is here, and alone.

    def _be_here(self) -> None:
        """After a fork nothing of the parent's may be used: its lock would be held by both, its connection torn."""
        if self._pid != os.getpid():
            self._left.append(self._database)
            self._pid, self._thread_lock, self._depth = os.getpid(), RLock(), 0
            self._database, self._lock_file = None, -1

    def _enter(self) -> None:
        if self._depth == 0:
            self._take()
            try:
                self._here().execute("BEGIN")
            except BaseException:
                fcntl.flock(self._lock_file, fcntl.LOCK_UN)
                raise
        self._depth += 1

    def _leave(self, word: str) -> None:
        self._depth -= 1
        if self._depth:
            return
        try:
            self._here().execute(word)
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                self._here().execute("ROLLBACK")
            raise
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _take(self) -> None:
        """The lock, with the files open that are in the folder now."""
        for left in reversed(range(_ROUNDS)):
            try:
                if self._database is None:
                    self._open()
            except (FileNotFoundError, sqlite3.OperationalError):
                if not left:
                    raise
                continue
            fcntl.flock(self._lock_file, fcntl.LOCK_EX)
            if self._places is not None and self._look() == self._places:
                return
            self._let_go()
        raise CacheBroken("cache", "the files of the cache are removed again and again")

    def _greet(self) -> None:
        if not self._is_fresh:
            return
        self._is_fresh = False
        try:
            self._on_open()
        except BaseException:
            self._is_fresh = True
            raise

    def _look(self) -> tuple[int, ...] | None:
        """Which files there are; None if one is missing."""
        try:
            one, other = os.stat(self._looked_at[0]), os.stat(self._looked_at[1])  # noqa: PTH116 - at every call
        except FileNotFoundError:
            return None
        return one.st_dev, one.st_ino, other.st_dev, other.st_ino

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            os.close(self._lock_file)
        self._database, self._lock_file = None, -1

    def _open(self) -> None:
        with self._alone() as lock:  # the schema is made by one
            self._database = self._connect()
            self._lock_file, self._places, self._is_fresh = os.dup(lock), self._look(), True

    @contextlib.contextmanager
    def _alone(self) -> Iterator[int]:
        Path(self._folder).mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{self._folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield lock
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)
        finally:
            os.close(lock)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            f"{self._folder}/index.sqlite", isolation_level=None, timeout=60.0, check_same_thread=False
        )
        try:
            database.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
            database.execute("PRAGMA synchronous = OFF")
            version, tables = (
                database.execute(asked).fetchone()[0]
                for asked in ("PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
            )
            if tables and version != _VERSION:
                raise sqlite3.DatabaseError("the index is of another version")
            database.executescript(_SCHEMA)
        except BaseException:
            database.close()
            raise
        return database
