"""A backup is of one moment, whole or not there, and says what it is."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from dolium import __version__
from dolium.catalog import backups, people, stores
from dolium.catalog.backups import backup, identify, origin, spans, turn, verify
from dolium.catalog.sqlite import SqliteDatabase
from dolium.errors import AlreadyExists, BackupError, Conflict


def make(database: SqliteDatabase, folder: Path, name: str = "one") -> backups.About:
    return backup(database, folder, folder / f"{name}.sqlite", hold_ms=1000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def database(folder: Path) -> Iterator[SqliteDatabase]:
    database = SqliteDatabase(folder)
    yield database
    database.close()


def test_it_says_what_it_is(database: SqliteDatabase, folder: Path) -> None:
    database.write(lambda tx: stores.add(tx, "default", "disk", "some-uuid"))
    database.write(lambda tx: people.add(tx, "ada"))
    database.write(lambda tx: tx.note_sequence(database.reserve_sequence()))
    about = make(database, folder)
    assert about == identify(about.file) == verify(about.file)
    assert about.origin == origin(database)
    assert len(about.origin) == 32
    assert about.stores == {"default": "some-uuid"}
    [[sequence]] = database.all("SELECT sequence FROM book")
    assert (about.sequence, about.program, about.schema >= 3) == (sequence, __version__, True)
    assert about.file.stat().st_mode & 0o777 == 0o600
    assert about.size == about.file.stat().st_size
    assert [path.name for path in folder.iterdir() if "one" in path.name] == ["one.sqlite"], "one file"
    assert list(folder.glob(".*")) == []
    connection = apsw.Connection(str(about.file), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("SELECT name FROM people").fetchall() == [("ada",)]
    assert connection.pragma("journal_mode") == "delete"


def test_it_is_of_one_moment_while_others_write(
    database: SqliteDatabase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pairs are written in one transaction: a copy of several moments would have half of one."""
    monkeypatch.setattr(backups, "_PAGES", 5)
    for number in range(100):
        database.submit(lambda tx, number=number: people.add(tx, f"p{number:04}", email="x" * 900))  # type: ignore[misc]
    ends, wrote = threading.Event(), [0]

    def write() -> None:
        while not ends.is_set():
            both = [f"q{wrote[0]}a", f"q{wrote[0]}b"]
            database.write(lambda tx, both=both: [people.add(tx, name, email="y" * 900) for name in both])  # type: ignore[misc]
            wrote[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    steps = []
    during = [0, 0]

    def pause(seconds: float) -> None:
        steps.append(seconds)
        before = wrote[0]
        while wrote[0] == before:  # until somebody has written
            time.sleep(0.001)
        during[1] = wrote[0]

    during[0] = wrote[0]
    about = backup(database, folder, folder / "b.sqlite", hold_ms=1000, pause=pause)
    ends.set()
    writer.join()
    assert len(steps) > 1
    assert during[1] > during[0]
    verify(about.file)
    connection = apsw.Connection(str(about.file), flags=apsw.SQLITE_OPEN_READONLY)
    [halves] = connection.execute("SELECT sum(name LIKE 'q%a'), sum(name LIKE 'q%b') FROM people").fetchall()
    whole = int(str(halves[0]))
    assert halves == (whole, whole)
    assert whole < wrote[0]
    [span] = spans(database)
    assert span.taken_ms is not None
    assert span.begun_ms <= span.taken_ms
    [[inside]] = connection.execute("SELECT taken_ns FROM backups").fetchall()
    [[outside]] = database.all("SELECT taken_ns FROM backups")
    assert inside == outside


def test_it_takes_nobodys_place(
    database: SqliteDatabase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(database, folder)
    with pytest.raises(AlreadyExists):
        make(database, folder)
    # Also where somebody is faster at the very end.
    faster = folder / "two.sqlite"
    real = os.fsync

    def fsync(fd: int) -> None:
        faster.write_text("somebody's")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(AlreadyExists):
        make(database, folder, "two")
    assert faster.read_text() == "somebody's"
    assert list(folder.glob(".*")) == []


def test_a_disk_that_fails_leaves_nothing(
    database: SqliteDatabase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(BackupError, match="Input/output error"):
        make(database, folder)
    assert [path for path in folder.iterdir() if "one" in path.name or path.name.startswith(".")] == []
    monkeypatch.undo()
    with pytest.raises(BackupError, match="No such file"):
        backup(database, folder, folder / "absent" / "one.sqlite", hold_ms=1000)
    assert make(database, folder).size
    assert [span.taken_ms is None for span in spans(database)] == [False], "those that failed are forgotten"


def test_what_is_left_of_others_goes_and_of_those_who_live_stays(
    database: SqliteDatabase, folder: Path
) -> None:
    (folder / ".dolium-backup-dead").write_text("half")
    with backups._partial(folder) as (_, alive):
        make(database, folder)
        assert alive.exists()
    assert list(folder.glob(".*")) == []


def test_one_at_a_time(database: SqliteDatabase, folder: Path) -> None:
    with turn(folder), pytest.raises(Conflict), turn(folder):
        pass
    with turn(folder):
        pass


def test_entries_go_with_their_time(database: SqliteDatabase, folder: Path) -> None:
    make(database, folder, "one")
    database.write(lambda tx: tx.run("UPDATE backups SET begun_ns = begun_ns - 3000000000"))
    make(database, folder, "two")
    make(database, folder, "three")
    assert len(spans(database)) == 2


def spoil(file: Path, sql: str) -> None:
    connection = apsw.Connection(str(file))
    connection.execute(sql).fetchall()
    connection.close()


def test_what_is_none_is_refused_in_words(database: SqliteDatabase, folder: Path) -> None:
    about = make(database, folder)
    with pytest.raises(BackupError, match="cannot be read: No such file"):
        identify(folder / "absent")
    with pytest.raises(BackupError, match="no backup: dolium backup makes them"):
        identify(folder / "catalog.sqlite")
    (folder / "text").write_text("not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(BackupError, match="no backup that can be used"):
        identify(folder / "text")
    spoil(folder / "other.sqlite", "CREATE TABLE t (x)")
    with pytest.raises(BackupError, match="no backup: dolium"):
        identify(folder / "other.sqlite")
    spoil(about.file, "PRAGMA user_version = 99")
    with pytest.raises(
        BackupError, match=r"schema 99, this dolium knows [0-9]+: it was made by a newer version"
    ):
        identify(about.file)


@pytest.mark.parametrize("where", [0.5, 0.9])
def test_a_damaged_one_is_refused(database: SqliteDatabase, folder: Path, where: float) -> None:
    for number in range(500):
        database.submit(lambda tx, number=number: people.add(tx, f"p{number:04}", email="x" * 900))  # type: ignore[misc]
    database.write(lambda tx: people.add(tx, "last"))
    about = make(database, folder)
    with about.file.open("r+b") as file:
        file.seek(int(about.size * where) // 8192 * 8192)
        file.write(b"\xff" * 4096)
    with pytest.raises(BackupError, match="is damaged"):
        verify(about.file)


def test_a_catalog_that_is_damaged_is_not_backed_up_as_a_good_one(folder: Path) -> None:
    database = SqliteDatabase(folder)
    for number in range(500):
        database.submit(lambda tx, number=number: people.add(tx, f"p{number:04}", email="x" * 900))  # type: ignore[misc]
    database.write(lambda tx: people.add(tx, "last"))
    database.close()
    with (folder / "catalog.sqlite").open("r+b") as file:
        file.seek(file.seek(0, os.SEEK_END) // 2 // 8192 * 8192)
        file.write(b"\xff" * 4096)
    database = SqliteDatabase(folder)
    with pytest.raises(BackupError, match="is damaged"):
        make(database, folder)
    database.close()
    assert [path for path in folder.iterdir() if "one" in path.name or path.name.startswith(".")] == []
