"""A catalog that another program holds, that is damaged, gone or not ours, or whose disk is full."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from dolium.catalog import blobs
from dolium.catalog.database import Transaction
from dolium.catalog.sqlite import SqliteDatabase, SqliteOptions
from dolium.errors import CatalogUnavailable
from dolium.testing.catalog_faults import Faults, faulty_catalogs

_HOLD = """
import apsw, sys
connection = apsw.Connection(sys.argv[1])
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def faults() -> Iterator[Faults]:
    with faulty_catalogs() as faults:
        yield faults


@contextmanager
def held_by_another(folder: Path) -> Iterator[Callable[[], object]]:
    """Another process is in the midst of a write; call what is given to let it go."""
    program = [sys.executable, "-c", _HOLD, str(folder / "catalog.sqlite")]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.stdin.close


def discard(database: SqliteDatabase, key: str) -> None:
    database.write(lambda tx: blobs.discard(tx, 1, key, 0))


def discarded(database: SqliteDatabase) -> list[str]:
    return sorted(item.blob_key for item in blobs.due(database, 1 << 60, 10_000))


# Held by another program.


def test_a_write_waits_for_another_program(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path)
    with held_by_another(tmp_path) as let_go:
        timer = threading.Timer(0.5, let_go)
        timer.start()
        began = time.monotonic()
        discard(database, "k")
        assert time.monotonic() - began > 0.4
        timer.join()
    assert discarded(database) == ["k"]
    database.close()


def test_a_write_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path, SqliteOptions(busy_ms=300))
    with held_by_another(tmp_path):
        began = time.monotonic()
        with pytest.raises(CatalogUnavailable, match="locked"):
            discard(database, "k")
        assert 0.25 < time.monotonic() - began < 5
        assert discarded(database) == [], "reads do not wait"
    discard(database, "after")
    assert discarded(database) == ["after"]
    database.close()


def test_an_event_loop_does_not_wait_for_another_program(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path)
    soon: list[Callable[[], None]] = []
    database.attach(soon.append)
    with held_by_another(tmp_path) as let_go:
        pending = database.submit(lambda tx: blobs.discard(tx, 1, "k", 0))
        began = time.monotonic()
        soon.pop()()
        assert time.monotonic() - began < 0.2
        assert not pending.settled
        let_go()
        pending.result(10)
    database.close()


def test_who_waits_for_another_program_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    """The turn among our own processes is not held meanwhile: their loops would stop in it."""
    here, there = SqliteDatabase(tmp_path, SqliteOptions(busy_ms=20_000)), SqliteDatabase(tmp_path)
    soon: list[Callable[[], None]] = []
    there.attach(soon.append)
    with held_by_another(tmp_path) as let_go:
        waiting = here.submit(lambda tx: blobs.discard(tx, 1, "here", 0))
        time.sleep(0.1)
        also = there.submit(lambda tx: blobs.discard(tx, 1, "there", 0))
        began = time.monotonic()
        soon.pop()()
        assert time.monotonic() - began < 1
        let_go()
        waiting.result(10)
        also.result(10)
    here.close()
    there.close()


# Not fit to be opened.


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """The file of a catalog that has known a few things."""
    database = SqliteDatabase(tmp_path)
    for n in range(50):
        discard(database, f"{n:04}" * 100)
    database.write(lambda tx: tx.next_sequence())
    database.close()
    return tmp_path / "catalog.sqlite"


def overwrite(catalog: Path, offset: int, text: bytes) -> None:
    with catalog.open("r+b") as file:
        file.seek(offset)
        file.write(text)


def refused(catalog: Path, words: str) -> None:
    """It is not opened, in words, and left as it was."""
    before = catalog.read_bytes() if catalog.exists() else None
    with pytest.raises(CatalogUnavailable, match=words) as caught:
        SqliteDatabase(catalog.parent)
    assert str(catalog.parent) in caught.value.message
    assert (catalog.read_bytes() if catalog.exists() else None) == before


def test_a_catalog_that_was_cut_off_is_refused(catalog: Path) -> None:
    with catalog.open("r+b") as file:
        file.truncate(3 * 8192)
    refused(catalog, "damaged")


def test_a_catalog_whose_first_page_is_gone_is_refused(catalog: Path) -> None:
    overwrite(catalog, 0, bytes(8192))
    refused(catalog, "no catalog")


def test_a_catalog_with_a_broken_schema_is_refused(catalog: Path) -> None:
    overwrite(catalog, 100, b"\xff" * 4000)
    refused(catalog, "damaged")


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_catalog_that_is_gone_is_not_begun_anew(catalog: Path, how: str) -> None:
    database = SqliteDatabase(catalog.parent)
    database.write(lambda tx: tx.note_sequence(database.reserve_sequence()))
    database.close()
    if how == "gone":
        catalog.unlink()
    else:
        catalog.write_bytes(b"")
    refused(catalog, "missing or empty.*dolium restore")
    SqliteDatabase(catalog.parent, anew=True).close()
    SqliteDatabase(catalog.parent).close()


def test_damage_that_is_met_later_is_an_error_and_not_an_end(tmp_path: Path, catalog: Path) -> None:
    text = catalog.read_bytes()
    for start in range(0, len(text), 8192):
        if b"0049" * 100 in text[start : start + 8192]:
            overwrite(catalog, start, b"\xff" * 8192)
    database = SqliteDatabase(tmp_path)
    with pytest.raises(CatalogUnavailable, match="damaged"):
        discarded(database)
    assert database.one("SELECT count(*) FROM people") == (0,)
    database.close()


def test_a_disk_that_gives_no_files_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "catalog.lock").mkdir()
    with pytest.raises(CatalogUnavailable, match="cannot be opened"):
        SqliteDatabase(tmp_path)


# A full disk.


def test_on_a_full_disk_the_reserve_is_spent_on_who_waits(tmp_path: Path, faults: Faults) -> None:
    database = SqliteDatabase(tmp_path)
    reserve = tmp_path / "catalog.reserve"
    assert reserve.stat().st_blocks * 512 >= 8 << 20
    with faults.failing("xWrite", error=apsw.FullError, nth=3) as calls:
        discard(database, "k")
    assert calls.failed
    assert discarded(database) == ["k"]
    database.close()
    assert not reserve.exists() or reserve.stat().st_size, "a reserve is whole"
    SqliteDatabase(tmp_path).close()
    assert reserve.stat().st_size == 8 << 20


def test_on_a_disk_that_stays_full_writes_are_refused_and_reads_work(tmp_path: Path, faults: Faults) -> None:
    database = SqliteDatabase(tmp_path, SqliteOptions(reserve_bytes=0))
    discard(database, "before")
    with faults.failing("xWrite", error=apsw.FullError, nth=1, for_good=True):
        for _ in range(3):
            with pytest.raises(CatalogUnavailable, match="full"):
                discard(database, "k")
            assert discarded(database) == ["before"]
    discard(database, "after")
    assert discarded(database) == ["after", "before"]
    database.close()


def test_a_reserve_is_not_taken_where_there_is_little(tmp_path: Path) -> None:
    SqliteDatabase(tmp_path, SqliteOptions(reserve_bytes=shutil.disk_usage(tmp_path).free)).close()
    assert not (tmp_path / "catalog.reserve").exists()


# The writer goes on.


def test_a_failure_that_nobody_thought_of_does_not_end_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = SqliteDatabase(tmp_path)

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", no_locks)
        with pytest.raises(CatalogUnavailable):
            database.write(Transaction.touch)
    discard(database, "k")
    assert discarded(database) == ["k"]
    database.close()
