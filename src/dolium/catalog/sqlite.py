"""The embedded engine: SQLite through apsw, WAL, `synchronous=FULL`, group commit.

Reads run on the caller's thread, each thread with a connection of its own. Writes that wait together are
committed together: sixteen concurrent ones share one fsync. An attached event loop commits them itself while
that takes microseconds, else a thread does (docs/decisions/0001). Processes take turns through a lock beside
the database, since SQLite's own busy handler polls and can starve.

A COMMIT that fails has an unknown outcome. Every batch leaves a random name in the table `book`; after a
failure the connection is opened anew, under the same lock, and the name tells whether the batch is there.

A full disk must not keep anybody from deleting: a file beside the database holds a few megabytes for that hour.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw

from dolium.catalog.database import Database, Pending, Refused, Row, Snapshot, Value, Write
from dolium.catalog.migrate import migrate
from dolium.catalog.shared import SharedNumbers
from dolium.catalog.sqlite_connection import (
    Connection,
    DiskFull,
    LockedOut,
    SqliteOptions,
    SqliteTransaction,
    check_version,
    unavailable,
)
from dolium.catalog.sqlite_disk import Reserve, may_come_back
from dolium.crashpoints import reach
from dolium.errors import CatalogError, CatalogUnavailable, OutcomeUnknown

__all__ = ["SqliteDatabase", "SqliteOptions"]

T = TypeVar("T")

_BUSY_PAUSE = 0.02


_Item = tuple[Write[Any], Pending[Any]]
_Outcome = tuple[Any, BaseException | None]


def _resolve(batch: list[_Item], outcomes: list[_Outcome]) -> None:
    for (_, pending), (value, error) in zip(batch, outcomes, strict=True):
        pending.resolve(value, error)


class SqliteDatabase(Database):
    """A catalog in one file, `catalog.sqlite` in `folder`, shared by the processes of one machine."""

    local = True

    def __init__(self, folder: Path, options: SqliteOptions | None = None, *, anew: bool = False) -> None:
        """Open, creating or migrating as needed. `anew`: also where there was one, and is none.

        Raises CatalogUnavailable (an unsafe SQLite; a file that is no catalog, damaged, gone, or of a newer
        version; a disk that fails).
        """
        check_version(apsw.sqlite_lib_version())
        self._path = folder / "catalog.sqlite"
        self._options = options or SqliteOptions()
        self._reserve = Reserve(folder / "catalog.reserve", self._options.reserve_bytes)
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
        self._readers: list[Connection] = []  # guarded by _readers_lock
        self._broken = False  # the writing connection is not to be trusted; written under _writing
        with contextlib.ExitStack() as undo:
            try:
                self._turn = os.open(folder / "catalog.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                undo.callback(os.close, self._turn)
                with self._my_turn():
                    try:
                        self._open(folder, undo, anew=anew)
                    except (apsw.Error, OSError):
                        # Its log and what goes with it need some space, on a full disk as well.
                        if not self._reserve.spend_if_full():
                            raise
                        self._open(folder, undo, anew=anew)
            except apsw.Error as error:
                raise CatalogUnavailable(f"{self._path}: {unavailable(error).message}") from error
            except OSError as error:
                raise CatalogUnavailable(
                    f"{folder}: the catalog cannot be opened: {error.strerror}"
                ) from error
            undo.pop_all()
        self._threads = [
            threading.Thread(target=self._commit_batches, name="catalog-writer", daemon=True),
            threading.Thread(target=self._checkpoint, name="catalog-checkpoint", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _open(self, folder: Path, undo: contextlib.ExitStack, *, anew: bool) -> None:
        """In our turn: everything but the threads. Raises as SQLite and the disk do."""
        if not anew and (not self._path.exists() or not self._path.stat().st_size):
            _refuse_to_begin_anew(folder / "catalog.shared")
        self._writer = self._open_writer()
        undo.callback(self._writer.close)
        migrate(self._writer.raw)
        committed = self._writer.one("SELECT sequence FROM book WHERE id = 1")
        sequence = committed[0] if committed else 0
        self._numbers = SharedNumbers(folder / "catalog.shared", committed_sequence=sequence)
        undo.callback(self._numbers.close)
        self._write_down_loss(sequence)
        # From here on whoever waits for another program does so outside of our turn.
        self._writer.raw.set_busy_timeout(0)
        self._reserve.keep()
        self._checkpointer = Connection(self._path, self._options, cache_bytes=1 << 20, writing=True)

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

    def _reader(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            is_main = threading.current_thread() is threading.main_thread()
            cache = self._options.cache_bytes if is_main else self._options.thread_cache_bytes
            try:
                connection = Connection(self._path, self._options, cache_bytes=cache, writing=False)
            except apsw.Error as error:
                raise unavailable(error) from error
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
            raise unavailable(error) from error

    def all(self, sql: str, *values: Value) -> list[Row]:
        try:
            return self._reader().raw.execute(sql, values).fetchall()
        except apsw.Error as error:
            raise unavailable(error) from error

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
        except LockedOut:
            for item in batch:
                self._queue.put(item)  # the loop does not wait
            return
        finally:
            self._writing.release()
        _resolve(batch, outcomes)

    def _open_writer(self) -> Connection:
        connection = Connection(self._path, self._options, cache_bytes=8 << 20, writing=True)
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
                outcomes = self._wait_and_commit(batch)
            _resolve(batch, outcomes)

    def _wait_and_commit(self, batch: list[_Item]) -> list[_Outcome]:
        """As long as `busy_ms` for another program; our turn is not held meanwhile."""
        end = time.monotonic() + self._options.busy_ms / 1000
        while True:
            try:
                return self._take_turn(batch)
            except LockedOut as error:
                if time.monotonic() >= end:
                    return [(None, error)] * len(batch)
            time.sleep(_BUSY_PAUSE)

    def _take_turn(self, batch: list[_Item]) -> list[_Outcome]:
        """Wait for our turn among processes, and commit. Raises LockedOut, and nothing else: whoever waits for
        an outcome gets one.
        """
        try:
            with self._my_turn():
                return self._commit(batch)
        except LockedOut:
            raise
        except Exception as error:  # noqa: BLE001 - handed to whoever submitted the writes
            self._broken = True
            return [(None, unavailable(error))] * len(batch)

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
        """Outcomes in order. A write that fails after it changed something makes each run alone. Raises LockedOut."""
        try:
            outcomes = self._attempt(batch)
        except LockedOut:
            raise
        except DiskFull as error:
            if not self._reserve.spend():
                return [(None, error)] * len(batch)
            self._checkpoint_due.set()  # so that the log is used again, and does not grow on
            return [self._commit_alone(item) for item in batch]
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
        if self._broken:
            self._reopen()
        outcomes: list[_Outcome] = []
        name = secrets.token_bytes(16)
        connection = self._writer
        try:
            connection.run("BEGIN IMMEDIATE")
        except apsw.BusyError as error:
            raise LockedOut("the catalog is locked") from error
        except apsw.Error as error:
            self._broken = True
            raise unavailable(error) from error
        try:
            reach("catalog.begun")
            tx = SqliteTransaction(connection, self._numbers)
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
            self._broken = True
            raise unavailable(error) from error
        began = time.perf_counter()
        try:
            connection.run("COMMIT")
        except apsw.Error as error:
            self._broken = True
            if not self._is_committed(name):
                self._numbers.end_change()
                raise unavailable(error) from error
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
        """After a failed COMMIT, still in our turn: is the batch in the database, for good?

        What failed may lie in the log without being on the disk, where no connection sees it and a recovery
        would find it. So a batch that is not there must not be whole in the log either, or a commit of nothing
        takes its place. And one that is there is written once more, by a checkpoint: pages that could not be synced
        count as clean from then on.
        """
        try:
            self._reopen()
            row = self._writer.one("SELECT batch FROM book WHERE id = 1")
            if row is not None and row[0] == name:
                length, done = self._writer.raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                if done < length:
                    raise CatalogUnavailable("readers keep the log from the disk")
                return True
            if may_come_back(self._path, name):
                self._writer.run("UPDATE book SET batch = $1 WHERE id = 1", secrets.token_bytes(16))
        except (apsw.Error, CatalogError, OSError) as error:
            self._broken = True
            raise OutcomeUnknown(
                "the catalog failed while committing, and cannot be read to see whether it did"
            ) from error
        return False

    def _reopen(self) -> None:
        """Nothing of a connection that failed is trusted: its cache may hold what was never written."""
        try:
            self._writer.close()
            self._writer = self._open_writer()
            self._writer.raw.set_busy_timeout(0)
            self._broken = False
        except apsw.Error as error:
            raise unavailable(error) from error

    # Checkpoints.

    def _after_commit(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        """SQLite's WAL hook: `pages` is the length of the log now."""
        if pages > self._options.checkpoint_pages:
            self._checkpoint_due.set()
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        while True:
            self._checkpoint_due.wait()
            if self._closing:
                return
            self._checkpoint_due.clear()
            self._write_back()

    def _write_back(self) -> None:
        try:
            # PASSIVE never blocks a reader or a writer.
            self._checkpointer.raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:
            return  # another process is at it, or the disk fails: the next commit will say so
        self._reserve.keep()

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
            for connection in [*self._readers, self._checkpointer, self._writer]:
                connection.close()
            self._readers.clear()
        self._numbers.close()
        os.close(self._turn)


def _refuse_to_begin_anew(numbers: Path) -> None:
    """A catalog that is gone is not replaced by an empty one. Raises CatalogUnavailable."""
    if SharedNumbers.noted(numbers):
        raise CatalogUnavailable(
            f"{numbers.parent}: catalog.sqlite is missing or empty, and this folder has had a catalog. "
            "Bring it back: dolium restore, from a backup; dolium rebuild, from the newest backup and the stores"
        )
