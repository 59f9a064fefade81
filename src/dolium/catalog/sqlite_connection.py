"""One connection to the embedded catalog, the transactions on it, and what its errors mean."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import apsw

from dolium.catalog.database import Row, Value
from dolium.catalog.shared import SharedNumbers
from dolium.errors import CatalogError, CatalogUnavailable

__all__ = [
    "Connection",
    "DiskFull",
    "LockedOut",
    "SqliteOptions",
    "SqliteTransaction",
    "check_version",
    "unavailable",
]

# The WAL-reset bug (sqlite.org/wal.html#walresetbug) loses commits when checkpoints race: fixed here.
_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class SqliteOptions:
    """`batch`: most writes in one commit. `cache_bytes`: page cache of the main thread's connection, which
    serves the event loop; `thread_cache_bytes`: of every other. `checkpoint_pages`: WAL pages after which
    a checkpoint is begun in the background. `page_bytes`: of a new database. `busy_ms`: how long a write waits
    for another program that holds the database. `inline_seconds`: while COMMIT takes less, the event loop does
    it (docs/decisions/0001). `reserve_bytes`: kept free for deletes on a disk that is full.
    """

    batch: int = 128
    cache_bytes: int = 32 << 20
    thread_cache_bytes: int = 2 << 20
    checkpoint_pages: int = 4000
    page_bytes: int = 8192
    busy_ms: int = 10_000
    inline_seconds: float = 0.002
    reserve_bytes: int = 8 << 20


def check_version(version: str) -> None:
    """Raises CatalogUnavailable for an SQLite that can lose committed transactions."""
    found = tuple(int(n) for n in version.split(".")[:3])
    for fixed in _FIXED:
        if found >= fixed and (found[:2] == fixed[:2] or fixed == _FIXED[-1]):
            return
    raise CatalogUnavailable(
        f"SQLite {version} has the WAL-reset bug and can lose committed writes; "
        "install apsw 3.51.3 or later, which brings its own SQLite"
    )


class DiskFull(CatalogUnavailable):
    """Nothing was committed, for want of space."""


class LockedOut(CatalogUnavailable):
    """Another program is writing in the database; nothing was begun."""


class Connection:
    """Typed calls over one apsw connection; satisfies `Snapshot`."""

    __slots__ = ("raw",)

    def __init__(self, path: Path, options: SqliteOptions, *, cache_bytes: int, writing: bool) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if writing else 0)
        self.raw = apsw.Connection(str(path), flags=flags, statementcachesize=256)
        try:
            self._prepare(options, cache_bytes=cache_bytes, writing=writing)
        except BaseException:
            self.close()
            raise

    def _prepare(self, options: SqliteOptions, *, cache_bytes: int, writing: bool) -> None:
        self.raw.set_busy_timeout(options.busy_ms)
        # Else a statement is prepared anew for every new value bound to an indexed column (STAT4): 10 µs each.
        self.raw.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        if writing:
            self.all(f"PRAGMA page_size = {options.page_bytes}")
            self.all("PRAGMA journal_mode = WAL")
        self.all("PRAGMA synchronous = FULL")
        self.all("PRAGMA foreign_keys = ON")
        self.all(f"PRAGMA cache_size = -{cache_bytes >> 10}")
        # Checkpoints run on a thread of their own, so that no commit waits for one.
        self.all("PRAGMA wal_autocheckpoint = 0")
        if not writing:
            self.all("PRAGMA query_only = ON")

    def close(self) -> None:
        """Never raises: what is left in the log is written back by whoever opens the database next."""
        with contextlib.suppress(apsw.Error):
            self.raw.close(True)

    def all(self, sql: str, *values: Value) -> list[Row]:
        return self.raw.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Value) -> Row | None:
        # fetchall, not fetchone: a cursor that is not exhausted keeps its snapshot open.
        rows = self.raw.execute(sql, values).fetchall()
        return rows[0] if rows else None

    def rows(self, sql: str, *values: Value) -> Generator[Row, None, None]:
        cursor = self.raw.execute(sql, values)
        try:
            yield from cursor
        finally:
            cursor.close()

    def run(self, sql: str, *values: Value) -> None:
        self.raw.execute(sql, values).fetchall()

    def run_many(self, sql: str, rows: list[Row]) -> None:
        self.raw.executemany(sql, rows).fetchall()


class SqliteTransaction:
    """One batch on the writing connection; satisfies `Transaction`."""

    __slots__ = (
        "_connection",
        "_numbers",
        "_usage",
        "all",
        "now_ms",
        "one",
        "present",
        "rows",
        "run",
        "run_many",
        "sequence",
        "touched",
    )

    def __init__(self, connection: Connection, numbers: SharedNumbers) -> None:
        self._connection = connection
        self._numbers = numbers
        self.all = connection.all
        self.one = connection.one
        self.rows = connection.rows
        self.run = connection.run
        self.run_many = connection.run_many
        self.now_ms = time.time_ns() // 1_000_000
        self.present: set[int] = set()
        self.sequence = 0
        self.touched = False
        self._usage: dict[tuple[int, int], list[int]] = {}

    def insert(self, sql: str, *values: Value) -> int:
        row = self._connection.one(sql, *values)
        if row is None:
            raise CatalogError("the statement returned no id")
        return int(row[0])

    def next_sequence(self) -> int:
        return self.note_sequence(self._numbers.next_sequence())

    def note_sequence(self, sequence: int) -> int:
        self.sequence = max(self.sequence, sequence)
        return sequence

    def count(self, bucket_id: int, tenancy_id: int, objects: int, size: int) -> None:
        total = self._usage.setdefault((bucket_id, tenancy_id), [0, 0])
        total[0] += objects
        total[1] += size

    def usage_of(self, tenancy_id: int) -> int:
        row = self._connection.one("SELECT bytes FROM tenancy_usage WHERE tenancy_id = $1", tenancy_id)
        added = sum(total[1] for (_, tenancy), total in self._usage.items() if tenancy == tenancy_id)
        return (int(row[0]) if row else 0) + added

    def touch(self) -> None:
        self.touched = True

    def settle_usage(self) -> None:
        """Write the sums of `count`: one statement per bucket and tenancy, not one per object."""
        for (bucket_id, tenancy_id), (objects, size) in self._usage.items():
            self.run(
                "INSERT INTO bucket_usage (bucket_id, objects, bytes) VALUES ($1, $2, $3) ON CONFLICT (bucket_id) "
                "DO UPDATE SET objects = objects + excluded.objects, bytes = bytes + excluded.bytes",
                bucket_id, objects, size,
            )  # fmt: skip
            self.run(
                "INSERT INTO tenancy_usage (tenancy_id, objects, bytes) VALUES ($1, $2, $3) ON CONFLICT (tenancy_id) "
                "DO UPDATE SET objects = objects + excluded.objects, bytes = bytes + excluded.bytes",
                tenancy_id, objects, size,
            )  # fmt: skip


def unavailable(error: Exception) -> CatalogUnavailable:
    """The one place where SQLite's errors become ours."""
    match error:
        case apsw.FullError():
            return DiskFull("the catalog's disk is full")
        case apsw.BusyError() | apsw.LockedError():
            return CatalogUnavailable("the catalog is locked")
        case apsw.NotADBError():
            return CatalogUnavailable("this file is no catalog, nor any other database")
        case apsw.CorruptError():
            return CatalogUnavailable("the catalog is damaged; bring it back from a backup")
        case apsw.ReadOnlyError():
            return CatalogUnavailable("the catalog's disk takes no writes")
        case OSError() if error.errno in _FULL:
            return DiskFull("the catalog's disk is full")
        case _:
            return CatalogUnavailable(f"the catalog failed: {type(error).__name__}")
