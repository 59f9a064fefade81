"""Every call that SQLite makes to its disk fails, at each place where it is made: no commit is lost, made up or left
in doubt that need not be.

`dolium.testing.catalog_faults` puts the failure in; the sweep goes on to the next call until none fails.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import pytest

from dolium.catalog import blobs
from dolium.catalog.database import Pending
from dolium.catalog.sqlite import SqliteDatabase
from dolium.errors import CatalogUnavailable, OutcomeUnknown
from dolium.testing.catalog_faults import CATALOG_CALLS, Faults, faulty_catalogs

ERRORS: dict[str, type[apsw.Error]] = {"io": apsw.IOError, "full": apsw.FullError}
FILES = ("catalog.sqlite", "catalog.sqlite-wal")


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # nobody cuts the power here, and tests are many
    with faulty_catalogs() as faults:
        yield faults


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog that knows one thing."""
    folder = tmp_path_factory.mktemp("template")
    database = SqliteDatabase(folder)
    database.write(lambda tx: blobs.discard(tx, 1, "before", 0))
    database.close()
    return folder


@dataclass
class Told:
    """What whoever wrote was told."""

    done: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def hear(self, key: str, pending: Pending[None]) -> None:
        try:
            pending.result(10)
        except OutcomeUnknown:
            self.unknown.add(key)
        except CatalogUnavailable as error:
            assert "/" not in error.message  # noqa: PT017 - a failure is allowed, not demanded
            self.refused.add(key)
        else:
            self.done.add(key)

    def fits(self, found: set[str]) -> None:
        assert self.done <= found, "an acknowledged write is lost"
        assert not self.refused & found, "a refused write is there"
        assert found <= self.done | self.unknown


def known(database: SqliteDatabase) -> set[str]:
    return {item.blob_key for item in blobs.due(database, 1 << 60, 10_000)}


def submit(database: SqliteDatabase, *keys: str) -> dict[str, Pending[None]]:
    return {key: database.submit(lambda tx, key=key: blobs.discard(tx, 1, key, 0)) for key in keys}  # type: ignore[misc]


def one(database: SqliteDatabase, told: Told) -> None:
    for key, pending in submit(database, "one").items():
        told.hear(key, pending)


def batch(database: SqliteDatabase, told: Told) -> None:
    """Five in one transaction, as an event loop commits them."""
    soon: list[Callable[[], None]] = []
    database.attach(soon.append)
    pending = submit(database, *"abcde")
    for work in soon:
        work()
    for key, item in pending.items():
        told.hear(key, item)
    database._call_soon = None


def several(database: SqliteDatabase, told: Told) -> None:
    """Commits on both sides of a checkpoint."""
    for key in "ab":
        told.hear(key, submit(database, key)[key])
    database._write_back()
    for key in "cd":
        told.hear(key, submit(database, key)[key])


def after_a_crash(folder: Path) -> set[str]:
    """What a process finds that starts when this one is killed now."""
    crashed = folder / "crashed"
    crashed.mkdir()
    for name in FILES:
        if (folder / name).exists():
            shutil.copy2(folder / name, crashed)
    database = SqliteDatabase(crashed)
    try:
        return known(database)
    finally:
        database.close()


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for-good"])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("names", [CATALOG_CALLS, ("xWrite",), ("xSync",)], ids=["every", "xWrite", "xSync"])
@pytest.mark.parametrize("work", [one, batch, several])
def test_whatever_fails_what_was_told_is_true(
    tmp_path: Path,
    template: Path,
    faults: Faults,
    work: Callable[[SqliteDatabase, Told], None],
    names: tuple[str, ...],
    error: str,
    *,
    for_good: bool,
) -> None:
    for nth in range(1, 100):
        folder = tmp_path / str(nth)
        shutil.copytree(template, folder, ignore=shutil.ignore_patterns("catalog.reserve"))
        database = SqliteDatabase(folder)
        told = Told(done={"before"})
        with faults.failing(*names, error=ERRORS[error], nth=nth, for_good=for_good) as calls:
            work(database, told)
        if not calls.failed:
            assert nth > 1
            assert not told.refused | told.unknown
            database.close()
            return
        # Where the log is written anew over an old one, a commit whose last page is torn looks whole at a glance.
        if not for_good or (names == ("xWrite",) and work is not several):
            assert not told.unknown, "it could have been looked up"
        told.fits(known(database))
        told.fits(after_a_crash(folder))
        database.write(lambda tx: blobs.discard(tx, 1, "afterwards", 0))
        told.done.add("afterwards")
        database.close()
        database = SqliteDatabase(folder)
        told.fits(known(database))
        database.close()
    raise AssertionError("the work makes fewer calls")


def test_a_commit_that_cannot_be_synced_is_of_unknown_outcome(
    tmp_path: Path, template: Path, faults: Faults
) -> None:
    """It lies in the log, and who knows whether on the disk."""
    database = SqliteDatabase(tmp_path)
    told = Told()
    with faults.failing("xSync", nth=1, for_good=True):
        one(database, told)
    assert told.unknown == {"one"}
    database.close()


def test_a_commit_that_failed_is_not_found_by_a_recovery(
    tmp_path: Path, template: Path, faults: Faults
) -> None:
    """The whole batch was in the log when the sync failed: what is refused must not come back with a crash."""
    database = SqliteDatabase(tmp_path)
    told = Told()
    with faults.failing("xSync", nth=1):
        one(database, told)
    assert told.refused == {"one"}
    assert after_a_crash(tmp_path) == set()
    database.close()


@pytest.mark.parametrize(
    ("first", "error", "for_good"),
    [
        (True, "io", False),
        (True, "full", True),
        *((False, error, for_good) for error in ERRORS for for_good in (False, True)),
    ],
)
def test_a_start_whose_nth_call_fails_says_so_or_succeeds(
    tmp_path: Path, template: Path, faults: Faults, *, first: bool, error: str, for_good: bool
) -> None:
    expected = set() if first else {"before"}
    for nth in range(1, 400):
        folder = tmp_path / str(nth)
        if first:
            folder.mkdir()
        else:
            shutil.copytree(template, folder, ignore=shutil.ignore_patterns("catalog.reserve"))
        with faults.failing(*CATALOG_CALLS, error=ERRORS[error], nth=nth, for_good=for_good) as calls:
            try:
                SqliteDatabase(folder).close()
            except CatalogUnavailable as failure:
                assert failure.message.startswith(str(folder))  # noqa: PT017 - a failure is allowed, not demanded
        if not calls.failed:
            assert nth > 1
            return
        database = SqliteDatabase(folder)
        assert known(database) == expected
        database.write(lambda tx: blobs.discard(tx, 1, "afterwards", 0))
        assert known(database) == expected | {"afterwards"}
        database.close()
    raise AssertionError("a start makes fewer calls")


def test_a_log_that_cannot_be_written_back_is_written_back_later(
    tmp_path: Path, template: Path, faults: Faults
) -> None:
    database = SqliteDatabase(tmp_path)
    one(database, Told())
    with faults.failing("xWrite", "xSync", "xTruncate", nth=1, for_good=True):
        database._write_back()
        assert known(database) == {"one"}
    length, done = database._checkpointer.raw.wal_checkpoint()
    assert length == done > 0
    database.close()


def test_reads_say_unavailable_and_work_again(tmp_path: Path, template: Path, faults: Faults) -> None:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    for nth in range(1, 50):
        database = SqliteDatabase(tmp_path)
        with faults.failing(*CATALOG_CALLS, nth=nth) as calls:
            try:
                with database.reading() as read:
                    assert len(blobs.due(read, 1 << 60, 10)) == 1
                assert not calls.failed or nth > 1
            except CatalogUnavailable:
                assert calls.failed
        assert known(database) == {"before"}
        with database.reading() as read:
            assert len(blobs.due(read, 1 << 60, 10)) == 1
        database.close()
        if not calls.failed:
            assert nth > 1
            return
    raise AssertionError("a read makes fewer calls")
