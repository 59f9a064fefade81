"""The mapped numbers of a data folder, and what they witness."""

import shutil
import time
from pathlib import Path

import pytest

from dolium.catalog import fences, shared
from dolium.catalog.shared import SharedNumbers
from dolium.catalog.sqlite import SqliteDatabase
from dolium.catalog.sqlite_connection import Connection


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.shared"


def test_numbers_only_grow_and_are_shared(file: Path) -> None:
    one, other = SharedNumbers(file, committed_sequence=0), SharedNumbers(file, committed_sequence=0)
    handed = [one.next_sequence(), other.next_sequence(), one.next_sequence()]
    assert handed == sorted(set(handed))
    one.committed(handed[2])
    one.committed(handed[0])
    assert other.highest_committed() == handed[2]
    one.close()
    other.close()


def test_a_change_is_seen_by_all_and_nothing_is_remembered_meanwhile(file: Path) -> None:
    one, other = SharedNumbers(file, committed_sequence=0), SharedNumbers(file, committed_sequence=0)
    before = other.generation()
    assert other.generation() == before
    one.begin_change()
    meanwhile = {other.generation() for _ in range(10)}
    assert before not in meanwhile
    assert other.changing
    one.end_change()
    after = other.generation()
    assert after == other.generation()
    assert after not in {before, *meanwhile}
    one.begin_change()
    one.close()
    # It died there. Whoever comes next ends the change.
    third = SharedNumbers(file, committed_sequence=0)
    assert other.generation() == third.generation() != after
    third.close()
    other.close()


def test_after_a_reboot_sequences_start_well_above(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = SharedNumbers(file, committed_sequence=0)
    last = numbers.next_sequence()
    numbers.committed(last)
    numbers.close()
    monkeypatch.setattr(shared, "_boot_id", lambda: b"another boot 16b")
    numbers = SharedNumbers(file, committed_sequence=last)
    assert numbers.next_sequence() > last + (1 << 20)
    assert numbers.highest_committed() == last
    numbers.close()


def write(folder: Path, count: int) -> None:
    database = SqliteDatabase(folder)
    for _ in range(count):
        database.write(lambda tx: tx.note_sequence(database.reserve_sequence()))
    database.close()


def losses(folder: Path) -> list[fences.Loss]:
    database = SqliteDatabase(folder)
    found = fences.losses(database)
    database.close()
    return found


def sequence(folder: Path) -> int:
    database = SqliteDatabase(folder)
    [[found]] = database.all("SELECT sequence FROM book")
    database.close()
    return int(found)


def test_the_catalog_knows_sequences_that_were_reserved(tmp_path: Path) -> None:
    write(tmp_path, 1)
    before = sequence(tmp_path)
    write(tmp_path, 3)
    assert sequence(tmp_path) == before + 3
    assert losses(tmp_path) == []


@pytest.mark.parametrize("keeps_its_file", [True, False])
def test_an_older_catalog_is_found_out_once(tmp_path: Path, keeps_its_file: bool) -> None:
    write(tmp_path, 2)
    seen = sequence(tmp_path)
    shutil.copy2(tmp_path / "catalog.sqlite", tmp_path / "backup")
    write(tmp_path, 2)
    shutil.copy2(tmp_path / "backup", tmp_path / "catalog.sqlite")
    if not keeps_its_file:
        (tmp_path / "catalog.shared").unlink()
    began = time.time_ns()
    [loss] = losses(tmp_path)
    assert loss.sequence == seen
    assert began <= loss.before_ns <= time.time_ns()
    assert losses(tmp_path) == [loss]
    write(tmp_path, 1)
    assert losses(tmp_path) == [loss]
    assert sequence(tmp_path) > seen + 2
    assert loss.covers(loss.before_ns - 1, seen + 1)
    assert loss.covers(loss.before_ns - 1, None)
    assert not loss.covers(loss.before_ns - 1, seen)
    assert not loss.covers(loss.before_ns, seen + 1)


def test_while_a_change_is_committed_nobody_remembers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, other = SqliteDatabase(tmp_path), SqliteDatabase(tmp_path)
    run = Connection.run
    during: list[int] = []

    def watched(connection: Connection, sql: str, *values: object) -> None:
        if sql == "COMMIT":
            during.extend(other.generation() for _ in range(2))
        run(connection, sql, *values)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "run", watched)
    database.write(lambda tx: tx.next_sequence())
    assert len(set(during)) == 1, "nothing changed that anybody remembers"
    during.clear()
    database.write(lambda tx: tx.touch())
    assert len({*during, other.generation()}) == 3
    database.close()
    other.close()
