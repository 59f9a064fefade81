"""The embedded engine: SQLite through apsw, WAL, `synchronous=FULL`, group commit.

Reads run on the caller's thread, each thread with a connection of its own. Writes that wait together are
committed together: sixteen concurrent ones share one fsync. An attached event loop commits them itself while
that takes microseconds, else a thread does (docs/decisions/0001). Processes take turns through a lock beside
the database, since SQLite's own busy handler polls and can starve.

A COMMIT that fails has an unknown outcome. Every batch leaves a random name in the table `book`; after a
failure the connection is opened anew, under the same lock, and the name tells whether the batch is there.
"""

from __future__ import annotations

import fcntl
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import apsw

from dolium.catalog.database import Database, Pending, Refused, Row, Snapshot, Value, Write
from dolium.catalog.migrate import migrate
from dolium.catalog.shared import SharedNumbers
from dolium.crashpoints import reach
from dolium.errors import CatalogError, CatalogUnavailable, DoliumError, OutcomeUnknown

__all__ = ["SqliteDatabase", "SqliteOptions"]

T = TypeVar("T")

# The WAL-reset bug (sqlite.org/wal.html#walresetbug) loses commits when checkpoints race: fixed here.
_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))


@dataclass(frozen=True, slots=True)
class SqliteOptions:
    """`batch`: most writes in one commit. `cache_bytes`: page cache of the main thread's connection, which
    serves the event loop; `thread_cache_bytes`: of every other. `checkpoint_pages`: WAL pages after which
    a checkpoint is begun in the background. `page_bytes`: of a new database. `inline_seconds`: while COMMIT
    takes less, the event loop does it (docs/decisions/0001).
    """

    batch: int = 128
    cache_bytes: int = 32 << 20
    thread_cache_bytes: int = 2 << 20
    checkpoint_pages: int = 4000
    page_bytes: int = 8192
    busy_ms: int = 10_000
    inline_seconds: float = 0.002


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


class _Connection:
    """Typed calls over one apsw connection; satisfies `Snapshot`."""

    __slots__ = ("raw",)

    def __init__(self, path: Path, options: SqliteOptions, *, cache_bytes: int, writing: bool) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if writing else 0)
        self.raw = apsw.Connection(str(path), flags=flags, statementcachesize=256)
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


class _Transaction:
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

    def __init__(self, connection: _Connection, numbers: SharedNumbers) -> None:
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


_Item = tuple[Write[Any], Pending[Any]]
_Outcome = tuple[Any, BaseException | None]


def _resolve(batch: list[_Item], outcomes: list[_Outcome]) -> None:
    for (_, pending), (value, error) in zip(batch, outcomes, strict=True):
        pending.resolve(value, error)


class SqliteDatabase(Database):
    """A catalog in one file, `catalog.sqlite` in `folder`, shared by the processes of one machine."""

    local = True

    def __init__(self, folder: Path, options: SqliteOptions | None = None) -> None:
        """Open, creating or migrating as needed.

        Raises CatalogUnavailable (an unsafe SQLite, a file that is no catalog, one of a newer version).
        """
        check_version(apsw.sqlite_lib_version())
        self._path = folder / "catalog.sqlite"
        self._options = options or SqliteOptions()
        self._turn = os.open(folder / "catalog.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Held by whoever commits: the writer thread, or the event loop.
        self._writing = threading.Lock()
        # Of the event loop that may commit; touched on its thread alone.
        self._loop_thread = 0
        self._call_soon: Callable[[Callable[[], None]], object] | None = None
        self._waiting: list[_Item] = []
        self._commit_seconds = 0.0  # how long COMMIT takes; written under _writing
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._checkpoint_due = threading.Event()
        self._closing = False
        self._local = threading.local()
        self._readers_lock = threading.Lock()
        self._readers: list[_Connection] = []  # guarded by _readers_lock
        try:
            with self._my_turn():
                self._writer = self._open_writer()
                migrate(self._writer.raw)
                committed = self._writer.one("SELECT sequence FROM book WHERE id = 1")
                self._numbers = SharedNumbers(
                    folder / "catalog.shared", committed_sequence=committed[0] if committed else 0
                )
                self._write_down_loss(committed[0] if committed else 0)
        except apsw.Error as error:
            os.close(self._turn)
            raise CatalogUnavailable(f"the catalog cannot be opened: {type(error).__name__}") from error
        self._threads = [
            threading.Thread(target=self._commit_batches, name="catalog-writer", daemon=True),
            threading.Thread(target=self._checkpoint, name="catalog-checkpoint", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _write_down_loss(self, committed: int) -> None:
        """If this catalog is older than what its folder had: keep in it from where on it knows nothing.

        Blobs of that time are not swept (`catalog.fences.Loss`).
        """
        highest = self._numbers.highest_committed()
        if highest <= committed:
            return
        known = self._numbers.handed_out()
        reach("catalog.replaced")
        with self._writer.raw:
            self._writer.run(
                "INSERT INTO losses (sequence, before_ns, found_ms, highest) VALUES ($1, $2, $3, $4)",
                committed, time.time_ns(), time.time_ns() // 1_000_000, known,
            )  # fmt: skip
            self._writer.run("UPDATE book SET sequence = $1 WHERE id = 1", highest)

    # Reads.

    def _reader(self) -> _Connection:
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            is_main = threading.current_thread() is threading.main_thread()
            cache = self._options.cache_bytes if is_main else self._options.thread_cache_bytes
            try:
                connection = _Connection(self._path, self._options, cache_bytes=cache, writing=False)
            except apsw.Error as error:
                raise _unavailable(error) from error
            self._local.connection = connection
            with self._readers_lock:
                self._readers.append(connection)
        return connection

    @contextmanager
    def reading(self) -> Iterator[Snapshot]:
        connection = self._reader()
        try:
            connection.run("BEGIN")
            try:
                yield connection
            finally:
                connection.run("COMMIT")
        except apsw.Error as error:
            raise _unavailable(error) from error

    def all(self, sql: str, *values: Value) -> list[Row]:
        try:
            return self._reader().raw.execute(sql, values).fetchall()
        except apsw.Error as error:
            raise _unavailable(error) from error

    def one(self, sql: str, *values: Value) -> Row | None:
        rows = self.all(sql, *values)
        return rows[0] if rows else None

    def generation(self) -> int:
        return self._numbers.generation()

    def reserve_sequence(self) -> int:
        return self._numbers.next_sequence()

    # Writes.

    def attach(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._loop_thread = threading.get_ident()
        self._call_soon = call_soon

    def submit(self, write: Write[T]) -> Pending[T]:
        if self._closing:
            raise CatalogUnavailable("the catalog is closed")
        pending: Pending[T] = Pending()
        if (
            self._call_soon is None
            or threading.get_ident() != self._loop_thread
            or self._commit_seconds > self._options.inline_seconds
        ):
            self._queue.put((write, pending))
            return pending
        self._waiting.append((write, pending))
        if len(self._waiting) == 1:
            # Once the loop has looked at every socket that has something to say: all of that is one batch.
            self._call_soon(self._commit_inline)
        return pending

    def write(self, write: Write[T]) -> T:
        # Always by the thread: whoever waits here may be the loop itself.
        if self._closing:
            raise CatalogUnavailable("the catalog is closed")
        pending: Pending[T] = Pending()
        self._queue.put((write, pending))
        return pending.result()

    def _commit_inline(self) -> None:
        batch, self._waiting = self._waiting, []
        if not batch:
            return  # `close` was first
        if not self._writing.acquire(blocking=False):
            for item in batch:
                self._queue.put(item)
            return
        try:
            outcomes = self._take_turn(batch)
        finally:
            self._writing.release()
        _resolve(batch, outcomes)

    def _open_writer(self) -> _Connection:
        connection = _Connection(self._path, self._options, cache_bytes=8 << 20, writing=True)
        connection.raw.set_wal_hook(self._after_commit)
        return connection

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        """The lock among processes. flock queues its waiters, so none starves."""
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _commit_batches(self) -> None:
        while True:
            batch = self._next_batch()
            if batch is None:
                return
            with self._writing:
                outcomes = self._take_turn(batch)
            _resolve(batch, outcomes)

    def _take_turn(self, batch: list[_Item]) -> list[_Outcome]:
        """Wait for our turn among processes, and commit."""
        with self._my_turn():
            return self._commit(batch)

    def _next_batch(self) -> list[_Item] | None:
        first = self._queue.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < self._options.batch:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._queue.put(None)  # seen again once this batch is done
                break
            batch.append(item)
        return batch

    def _commit(self, batch: list[_Item]) -> list[_Outcome]:
        """Outcomes in order. A write that fails after it changed something makes each run alone."""
        try:
            outcomes = self._attempt(batch)
        except CatalogError as error:
            return [(None, error)] * len(batch)
        return [self._commit_alone(item) for item in batch] if outcomes is None else outcomes

    def _commit_alone(self, item: _Item) -> _Outcome:
        try:
            [outcome] = self._attempt([item], alone=True) or [(None, CatalogError("no outcome"))]
        except CatalogError as error:
            return None, error
        return outcome

    def _attempt(self, batch: list[_Item], *, alone: bool = False) -> list[_Outcome] | None:
        """Run and commit; None if one write must be undone apart from the others."""
        outcomes: list[_Outcome] = []
        name = secrets.token_bytes(16)
        try:
            connection = self._writer
            connection.run("BEGIN IMMEDIATE")
            reach("catalog.begun")
            tx = _Transaction(connection, self._numbers)
            for write, _ in batch:
                before = connection.raw.total_changes()
                try:
                    value = write(tx)
                    outcomes.append((None, value.error) if isinstance(value, Refused) else (value, None))
                except apsw.Error:
                    raise
                except BaseException as error:  # noqa: BLE001 - handed to whoever submitted the write
                    if connection.raw.total_changes() != before or tx.touched:
                        connection.run("ROLLBACK")
                        return [(None, error)] if alone else None
                    outcomes.append((None, error))
            tx.settle_usage()
            connection.run(
                "UPDATE book SET sequence = max(sequence, $1), batch = $2 WHERE id = 1", tx.sequence, name
            )
            reach("catalog.filled")
            if tx.touched:
                self._numbers.begin_change()
        except apsw.Error as error:
            self._reopen()
            raise _unavailable(error) from error
        began = time.perf_counter()
        try:
            connection.run("COMMIT")
        except apsw.Error as error:
            if not self._is_committed(name):
                self._numbers.end_change()
                raise _unavailable(error) from error
        self._note_commit(time.perf_counter() - began)
        reach("catalog.committed")
        self._numbers.committed(tx.sequence)
        if self._numbers.changing:
            self._numbers.end_change()
            reach("catalog.touched")
        return outcomes

    def _note_commit(self, seconds: float) -> None:
        """How quick the disk is: down at once, up slowly, since a thread that waits for the interpreter lock
        looks like a slow disk.
        """
        rise = (seconds - self._commit_seconds) / 16
        self._commit_seconds = seconds if rise < 0 else self._commit_seconds + rise

    def _is_committed(self, name: bytes) -> bool:
        """After a failed COMMIT, still in our turn: is the batch in the database?"""
        try:
            self._reopen()
            row = self._writer.one("SELECT batch FROM book WHERE id = 1")
        except (apsw.Error, CatalogError) as error:
            raise OutcomeUnknown(
                "the catalog failed while committing, and cannot be read to see whether it did"
            ) from error
        return row is not None and row[0] == name

    def _reopen(self) -> None:
        """Nothing of a connection that failed is trusted: its cache may hold what was never written."""
        try:
            self._writer.raw.close(True)
            self._writer = self._open_writer()
        except apsw.Error as error:
            raise _unavailable(error) from error

    # Checkpoints.

    def _after_commit(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        """SQLite's WAL hook: `pages` is the length of the log now."""
        if pages > self._options.checkpoint_pages:
            self._checkpoint_due.set()
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        connection = _Connection(self._path, self._options, cache_bytes=1 << 20, writing=True)
        while True:
            self._checkpoint_due.wait()
            if self._closing:
                connection.raw.close()
                return
            self._checkpoint_due.clear()
            try:
                # PASSIVE never blocks a reader or a writer.
                connection.raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.Error:
                continue  # another process is at it, or the disk fails: the next commit will say so

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._queue.put(None)
        self._checkpoint_due.set()
        for thread in self._threads:
            thread.join(timeout=30)
        if self._waiting:
            self._commit_inline()
        with self._readers_lock:
            for connection in [*self._readers, self._writer]:
                connection.raw.close(True)
            self._readers.clear()
        self._numbers.close()
        os.close(self._turn)


def _unavailable(error: apsw.Error) -> DoliumError:
    """The one place where SQLite's errors become ours."""
    if isinstance(error, apsw.FullError):
        return CatalogUnavailable("the catalog's disk is full")
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return CatalogUnavailable("the catalog is locked")
    return CatalogUnavailable(f"the catalog failed: {type(error).__name__}")
