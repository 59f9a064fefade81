"""What lies in a cache, and how much: a small SQLite database beside the files, shared by all processes.

Every file has a row before it is made and until it is gone, so the sum of the rows is never less than what lies there,
nothing has to be walked, and what a killed process has left is found by its row. The sum itself is kept, not computed.

*Epochs*: a put or delete gives its key another epoch. A copy that was begun under an older one is not published, so
that a slow reader cannot bring back what has been replaced meanwhile. Keys share 4,096 epochs by their hash; to lose a
copy to a namesake costs one more read of the far store.

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
import zlib
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from dolium.errors import StoreUnavailable
from dolium.values import BlobInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["FILLING", "OLD", "READY", "WHOLE", "CacheBroken", "CacheIndex", "Entry", "Known"]

WHOLE: Final = -1
"""The number of the block that is all of a blob."""

FILLING: Final = 0
READY: Final = 1
OLD: Final = 2
"""Not to be used any more, and removed as soon as nobody reads it."""

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
_EPOCHS: Final = 4096
_BORN: Final = "(SELECT value FROM facts WHERE name = 'born')"
_COLUMNS: Final = "id, key, block, size, written_ns"
_ROUNDS: Final = 8
"""So often the files are opened again that somebody removes."""


class CacheBroken(StoreUnavailable):
    """The cache itself cannot be used: its disk is full, gone or damaged. The far store may be well."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the cache. `size`: bytes that are counted for it; `written_ns`: its time when it was made. One that has
    another size or time was written to by somebody else.
    """

    id: int
    key: str
    block: int
    size: int
    written_ns: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What the far store said of a blob, when that was asked, and the whole of it, if it is here."""

    info: BlobInfo
    checked: float
    whole: Entry | None


class CacheIndex:
    """Its methods raise CacheBroken. All of them are calls of `with index.lock():`, which may be nested.

    `on_open`: what is to be done first, inside the lock, when a database was opened.
    """

    def __init__(self, folder: str, on_open: Callable[[], None] = lambda: None) -> None:
        self._folder = folder
        self._on_open = on_open
        self._is_fresh = False  # whether that is still to be done
        self._places: tuple[object, object] | None = None  # which files were opened
        self._pid = 0
        self._thread_lock = RLock()
        self._lock_file = -1
        self._database: sqlite3.Connection | None = None
        self._depth = 0
        self._left: list[
            sqlite3.Connection | None
        ] = []  # of the process that was forked: never touched again
        self._touched: dict[int, float] = {}  # when entries were used, not written down yet

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One transaction, alone among all threads and processes."""
        self._be_here()
        with self._thread_lock:
            try:
                self._enter()
                try:
                    self._greet()
                    yield
                except BaseException:
                    self._leave("ROLLBACK")
                    raise
                self._leave("COMMIT")
            except (sqlite3.Error, OSError) as error:
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

    # What is known of blobs.

    def known(self, key: str) -> Known | None:
        row = self._one(
            "SELECT b.size, b.modified_ns, b.checked, e.id, e.size, e.written_ns FROM blobs b LEFT JOIN entries e"
            " ON e.key = b.key AND e.block = -1 AND e.state = 1 WHERE b.key = ?",
            key,
        )
        if row is None:
            return None
        whole = Entry(row[3], key, WHOLE, *row[4:]) if row[3] is not None else None
        return Known(BlobInfo(key, row[0], row[1]), row[2], whole)

    def note(self, key: str, info: BlobInfo, now: float) -> None:
        """What the far store says of a blob. Copies of another one under this key are old from now on."""
        known = self.known(key)
        if known is not None and (known.info.size, known.info.modified_ns) != (info.size, info.modified_ns):
            self.drop(key)
        self._run("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?)", key, info.size, info.modified_ns, now)

    def epoch(self, key: str) -> int:
        row = self._one(
            f"SELECT coalesce((SELECT epoch FROM epochs WHERE number = ?), {_BORN})",  # noqa: S608 - a constant
            _number(key),
        )
        assert row is not None
        return int(row[0])

    def change(self, key: str) -> int:
        """The blob is being replaced, or was: what is here of it is old. The new epoch."""
        self.drop(key)
        self._run(
            f"INSERT INTO epochs VALUES (?, {_BORN} + 1)"  # noqa: S608 - a constant
            " ON CONFLICT (number) DO UPDATE SET epoch = epoch + 1",
            _number(key),
        )
        return self.epoch(key)

    def drop(self, key: str) -> None:
        self._run("UPDATE entries SET state = 2 WHERE key = ? AND state = 1", key)
        self._run("DELETE FROM blobs WHERE key = ?", key)

    # Entries.

    def ready(self, key: str, block: int) -> Entry | None:
        row = self._one(
            f"SELECT {_COLUMNS} FROM entries WHERE key = ? AND block = ? AND state = 1",  # noqa: S608 - a constant
            key,
            block,
        )
        return None if row is None else Entry(*row)

    def is_filling(self, key: str, block: int) -> bool:
        return (
            self._one("SELECT 1 FROM entries WHERE key = ? AND block = ? AND state = 0", key, block)
            is not None
        )

    def add(self, key: str, block: int, size: int, now: float) -> Entry:
        """A file that is about to be made, and may grow to so many bytes."""
        self._run(
            "INSERT INTO entries (key, block, state, size, used) VALUES (?, ?, 0, ?, ?)",
            key,
            block,
            size,
            now,
        )
        row = self._one("SELECT last_insert_rowid()")
        assert row is not None
        self._count(size)
        return Entry(row[0], key, block, size)

    def resize(self, entry: Entry, size: int, written_ns: int = 0) -> Entry | None:
        """Another number of bytes for a file, and its time; None if the entry is gone."""
        row = self._one("SELECT size FROM entries WHERE id = ?", entry.id)
        if row is None:
            return None
        self._run("UPDATE entries SET size = ?, written_ns = ? WHERE id = ?", size, written_ns, entry.id)
        self._count(size - row[0])
        return Entry(entry.id, entry.key, entry.block, size, written_ns)

    def set_state(self, entry: Entry, state: int) -> None:
        """To be ready is to take the place of whatever was."""
        if state == READY:
            self._run(
                "UPDATE entries SET state = 2 WHERE key = ? AND block = ? AND state = 1",
                entry.key,
                entry.block,
            )
        self._run("UPDATE entries SET state = ? WHERE id = ?", state, entry.id)

    def remove(self, entry: Entry) -> None:
        row = self._one("SELECT size FROM entries WHERE id = ?", entry.id)
        self._touched.pop(entry.id, None)
        if row is not None:
            self._run("DELETE FROM entries WHERE id = ?", entry.id)
            self._count(-row[0])
            self._run(
                "DELETE FROM blobs WHERE key = ?1 AND NOT EXISTS"
                " (SELECT 1 FROM entries WHERE key = ?1 AND state = 1)",
                entry.key,
            )

    def pin(self, entry: Entry, until: float) -> None:
        self._run("UPDATE entries SET pinned = MAX(pinned, ?) WHERE id = ?", until, entry.id)

    def touch(self, entry: Entry, now: float) -> None:
        """It was used. Written down some uses later: a hit shall not cost a write."""
        self._touched[entry.id] = now
        if len(self._touched) >= 64:
            self.write_touched()

    def write_touched(self) -> None:
        touched, self._touched = self._touched, {}
        for number, used in touched.items():
            self._run("UPDATE entries SET used = MAX(used, ?) WHERE id = ?", used, number)

    def removable(self, now: float, *, only_old: bool, limit: int, beyond: Iterable[int] = ()) -> list[Entry]:
        """Entries that nobody has pinned, the old ones first, then those that were not used for longest."""
        states = "(2)" if only_old else "(1, 2)"
        skipped = ",".join(map(str, beyond))
        rows = self._all(
            f"SELECT {_COLUMNS} FROM entries WHERE state IN {states} AND pinned <= ?"  # noqa: S608 - numbers
            f" AND id NOT IN ({skipped}) ORDER BY state DESC, used, id LIMIT ?",
            now, limit,
        )  # fmt: skip
        return [Entry(*row) for row in rows]

    def of_state(self, *states: int) -> list[Entry]:
        rows = self._all(
            f"SELECT {_COLUMNS} FROM entries WHERE state IN ({','.join(map(str, states))})"  # noqa: S608
        )
        return [Entry(*row) for row in rows]

    def given(self, key: str) -> list[Entry]:
        """The files whose paths were given out for a key, those that are old by now too."""
        rows = self._all(
            f"SELECT {_COLUMNS} FROM entries WHERE key = ? AND block = -1 AND state IN (1, 2) AND pinned > 0",  # noqa: S608
            key,
        )
        return [Entry(*row) for row in rows]

    def total(self) -> int:
        """Bytes of all entries."""
        return int(self.fact("bytes"))

    def fact(self, name: str) -> str:
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        assert row is not None
        return str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        self._run("UPDATE facts SET value = ? WHERE name = ?", value, name)

    def is_sound(self) -> bool:
        return self._all("PRAGMA quick_check(1)") == [("ok",)]

    # The database.

    def _count(self, more: int) -> None:
        self._run("UPDATE facts SET value = value + ? WHERE name = 'bytes'", more)

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

    def _be_here(self) -> None:
        """After a fork nothing of the parent's may be used: its lock would be held by both, its connection torn."""
        if self._pid != os.getpid():
            self._left.append(self._database)
            self._pid, self._thread_lock, self._depth = os.getpid(), RLock(), 0
            self._database, self._lock_file, self._touched = None, -1, {}

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
            if self._look() == self._places:
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

    def _look(self) -> tuple[object, object] | None:
        """Which files there are; None if one is missing."""
        try:
            found = [os.stat(f"{self._folder}/{name}") for name in ("lock", "index.sqlite")]  # noqa: PTH116 - often
        except FileNotFoundError:
            return None
        one, other = ((status.st_dev, status.st_ino) for status in found)
        return one, other

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


def _number(key: str) -> int:
    return zlib.crc32(key.encode()) % _EPOCHS
