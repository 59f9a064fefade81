"""What only the embedded engine promises: safe versions, unknown outcomes settled, turns among processes."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from dolium.catalog import blobs
from dolium.catalog.database import Transaction, Write
from dolium.catalog.sqlite import SqliteDatabase
from dolium.catalog.sqlite_connection import Connection, check_version
from dolium.errors import CatalogUnavailable, OutcomeUnknown


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path)
    yield database
    database.close()


def discard(database: SqliteDatabase, key: str) -> None:
    database.write(lambda tx: blobs.discard(tx, 1, key, 0))


def discarded(database: SqliteDatabase) -> list[str]:
    return sorted(item.blob_key for item in blobs.due(database, 1 << 60, 10_000))


@pytest.mark.parametrize("version", ["3.40.1", "3.44.5", "3.45.0", "3.50.6", "3.51.2"])
def test_an_sqlite_that_loses_commits_is_refused(version: str) -> None:
    with pytest.raises(CatalogUnavailable, match="WAL-reset"):
        check_version(version)


@pytest.mark.parametrize("version", ["3.44.6", "3.50.7", "3.51.3", "3.52.1", "4.0.0"])
def test_a_fixed_sqlite_is_taken(version: str) -> None:
    check_version(version)


def test_the_pragmas_apply(database: SqliteDatabase) -> None:
    for connection in (database._writer, database._reader()):
        assert connection.one("PRAGMA synchronous") == (2,)
        assert connection.one("PRAGMA journal_mode") == ("wal",)
        assert connection.one("PRAGMA foreign_keys") == (1,)
    assert database.one("PRAGMA query_only") == (1,)


def test_a_catalog_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    SqliteDatabase(tmp_path).close()
    raw = apsw.Connection(str(tmp_path / "catalog.sqlite"))
    raw.pragma("user_version", 9999)
    raw.close()
    with pytest.raises(CatalogUnavailable, match="newer version"):
        SqliteDatabase(tmp_path)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    raw = apsw.Connection(str(tmp_path / "catalog.sqlite"))
    raw.pragma("application_id", 42)
    raw.close()
    with pytest.raises(CatalogUnavailable, match="another program"):
        SqliteDatabase(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(CatalogUnavailable):
        SqliteDatabase(tmp_path)


class _Breaking:
    """Breaks the next COMMIT of the writer, before or after SQLite has done it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, after: bool, reopen: bool = True) -> None:
        self.armed = True
        run = Connection.run

        def broken(connection: Connection, sql: str, *values: object) -> None:
            if sql != "COMMIT" or not self.armed:
                run(connection, sql, *values)  # type: ignore[arg-type]
                return
            self.armed = False
            if after:
                run(connection, sql)
            if not reopen:
                monkeypatch.setattr(SqliteDatabase, "_open_writer", self._fail)
            raise apsw.IOError("fsync failed")

        monkeypatch.setattr(Connection, "run", broken)

    def _fail(self, *_: object) -> None:
        raise apsw.CantOpenError("gone")


def test_a_commit_that_failed_before_it_happened_is_an_error(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    discard(database, "before")
    _Breaking(monkeypatch, after=False)
    with pytest.raises(CatalogUnavailable):
        discard(database, "lost")
    assert discarded(database) == ["before"]
    discard(database, "after")
    assert discarded(database) == ["after", "before"]


def test_a_commit_that_failed_after_it_happened_is_a_success(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Breaking(monkeypatch, after=True)
    discard(database, "there")
    assert discarded(database) == ["there"]


def test_an_outcome_that_cannot_be_looked_up_is_unknown(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Breaking(monkeypatch, after=True, reopen=False)
    with pytest.raises(OutcomeUnknown):
        discard(database, "who knows")


def _write_many(folder: Path, name: str, count: int) -> None:
    database = SqliteDatabase(folder)

    def one(name: str) -> Write[int]:
        def write(tx: Transaction) -> int:
            blobs.discard(tx, 1, name, 0)
            return tx.next_sequence()

        return write

    pending = [database.submit(one(f"{name}{n}")) for n in range(count)]
    numbers = [item.result() for item in pending]
    assert numbers == sorted(set(numbers))
    database.close()


def test_processes_take_turns(tmp_path: Path) -> None:
    SqliteDatabase(tmp_path).close()
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_write_many, args=(tmp_path, name, 300)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    database = SqliteDatabase(tmp_path)
    assert len(discarded(database)) == 900
    database.close()


def test_another_process_sees_that_identities_changed(tmp_path: Path) -> None:
    here, there = SqliteDatabase(tmp_path), SqliteDatabase(tmp_path)
    before = here.generation()
    there.write(lambda tx: tx.touch())
    assert here.generation() > before
    here.close()
    there.close()


def test_threads_read_while_another_writes(database: SqliteDatabase) -> None:
    seen: list[int] = []

    def look() -> None:
        seen.extend(len(discarded(database)) for _ in range(200))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(50):
        discard(database, f"k{n:03}")
        assert f"k{n:03}" in discarded(database)
    for thread in threads:
        thread.join()
    assert max(seen) <= 50


def test_a_closed_catalog_says_so(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path)
    database.close()
    database.close()
    with pytest.raises(CatalogUnavailable, match="closed"):
        discard(database, "k")


class _Loop:
    """Stands for an event loop: runs what it was given when told to."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, work: Callable[[], None]) -> None:
        self.soon.append(work)

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for work in soon:
            work()


def test_an_attached_loop_commits_what_waits_in_one_batch(database: SqliteDatabase) -> None:
    loop = _Loop()
    database.attach(loop.call_soon)
    pending = [database.submit(lambda tx, n=n: blobs.discard(tx, 1, f"k{n}", 0)) for n in range(5)]  # type: ignore[misc]
    assert len(loop.soon) == 1
    assert not any(item.settled for item in pending)
    loop.turn()
    assert all(item.settled for item in pending)
    assert len(discarded(database)) == 5


def test_other_threads_do_not_wait_for_the_loop(database: SqliteDatabase) -> None:
    loop = _Loop()
    database.attach(loop.call_soon)
    thread = threading.Thread(target=discard, args=(database, "elsewhere"))
    thread.start()
    thread.join(10)
    assert discarded(database) == ["elsewhere"]
    assert loop.soon == []


def test_the_loop_itself_may_wait_for_a_write(database: SqliteDatabase) -> None:
    loop = _Loop()
    database.attach(loop.call_soon)
    discard(database, "k")
    assert loop.soon == []
    assert discarded(database) == ["k"]


def test_a_write_that_is_interrupted_ends_alone(database: SqliteDatabase) -> None:
    def interrupted(_: Transaction) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.write(interrupted)
    discard(database, "after")
    assert discarded(database) == ["after"]


def test_a_slow_disk_is_left_to_the_thread(database: SqliteDatabase) -> None:
    loop = _Loop()
    database.attach(loop.call_soon)
    database._commit_seconds = 1.0
    database.submit(lambda tx: blobs.discard(tx, 1, "slow", 0)).result(10)
    assert loop.soon == []
    assert discarded(database) == ["slow"]
    database.submit(lambda tx: blobs.discard(tx, 1, "quick again", 0))
    assert len(loop.soon) == 1
    loop.turn()


def test_a_loop_that_finds_the_thread_at_work_hands_over(database: SqliteDatabase) -> None:
    loop = _Loop()
    database.attach(loop.call_soon)
    pending = database.submit(lambda tx: blobs.discard(tx, 1, "k", 0))
    with database._writing:
        loop.turn()
        assert not pending.settled
    pending.result(10)
    assert discarded(database) == ["k"]


def test_closing_commits_what_the_loop_has_not(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path)
    loop = _Loop()
    database.attach(loop.call_soon)
    pending = database.submit(lambda tx: blobs.discard(tx, 1, "k", 0))
    database.close()
    assert pending.settled
    loop.turn()
