"""`dolium check-data` tells everything that is wrong with a folder, and nothing of one where all is well."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dolium.catalog import audit as queries
from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.settings import Settings
from dolium.objects.audit import Finding, Kind, Progress, audit
from dolium.objects.audit import blobs as audit_of_blobs
from dolium.objects.audit import books as audit_of_books
from dolium.objects.blob_keys import blob_key
from dolium.objects.service import ObjectService
from dolium.server.wiring import open_service
from dolium.testing.checker import check
from dolium.testing.server import LiveServer
from tests.drills.load import Load
from tests.unit.cli.conftest import Run
from tests.unit.testing import test_checker

folder = test_checker.data
"""A data folder with one of everything."""


@pytest.fixture
def data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOLIUM_DATA", str(folder))
    return folder


# The command -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [(), ("--read",)])
def test_all_is_well(run: Run, data: Path, flags: tuple[str, ...]) -> None:
    ran = run("check-data", *flags)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("4 objects (58.6 KiB), 6 blobs")
    assert "1 blobs of garbage wait, 0 of them are due\nall is well\n" in ran.out
    summary = run("check-data", *flags, "--json").record
    assert (summary["kind"], summary["problems"], summary["leftovers"]) == ("summary", 0, 0)
    assert (summary["objects"], summary["blobs"], summary["garbage"]) == (4, 6, 1)
    assert (summary["reread"] or 0) > (60_000 if flags else -1)


def test_a_problem_is_told_with_its_place(run: Run, data: Path) -> None:
    test_checker.run(data, "UPDATE objects SET blob_key = 'x' WHERE key = 'file'")
    ran = run("check-data")
    assert ran.code == 1
    assert "lost-bytes: main/cmip/file at default:x is not in its store\n" in ran.out
    assert "problems found: 1 lost-bytes, 1 wrong-count" in ran.out
    *found, summary = run("check-data", "--json").records
    assert {one["kind"] for one in found} == {"lost-bytes", "wrong-count"}
    [lost] = [one for one in found if one["kind"] == "lost-bytes"]
    assert (lost["problem"], lost["tenancy"], lost["bucket"], lost["key"], lost["store"], lost["blob"]) == (
        True, "main", "cmip", "file", "default", "x",
    )  # fmt: skip
    assert summary["problems"] == 2


def test_what_a_crash_left_is_told_and_is_no_problem(run: Run, data: Path) -> None:
    test_checker.run(data, "DELETE FROM garbage")
    (data / "store" / ".dolium-tmp" / "0.0.1.2.3").touch()
    os.utime(data / "store" / ".dolium-tmp" / "0.0.1.2.3", (0, 0))
    assert run("check-data", "--json").records[0]["kind"] == "temporary"
    assert run("store", "orphans").code == 0  # the fence is raised: nobody serves the folder
    ran = run("check-data")
    assert ran.code == 0
    assert "orphan: default:" in ran.out
    assert "is named by nothing; 20000 bytes of cmip/gone\n" in ran.out
    assert ran.out.endswith("all is well: 1 orphan, 1 temporary\n")


def test_parts_with_checksums_of_which_the_upload_says_nothing(run: Run, data: Path) -> None:
    """As boto3 sends them: what algorithm they are of is not known any more, and their ETag is held against the bytes."""
    test_checker.run(data, "UPDATE uploads SET algorithm = '', type = '' WHERE id = 1")
    test_checker.run(data, "UPDATE parts SET checksum = 'AAAAAA==' WHERE upload = 1")
    ran = run("check-data", "--read")
    assert (ran.code, ran.err) == (0, "")


def test_where_it_cannot_look_it_says_so(run: Run, data: Path, tmp_path: Path) -> None:
    (data / "store" / ".dolium-store.json").unlink()
    ran = run("check-data")
    assert ran.code == 2
    assert "is its disk mounted" in ran.err
    assert run("check-data", "--data", str(tmp_path / "none")).code == 2
    assert run("check-data", "--nonsense").code == 2


def test_progress_is_shown_on_a_terminal(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    ran = run("check-data")
    assert ran.code == 0
    assert "\r0 objects, 0 blobs, 0 B read" in ran.err
    assert ran.err.endswith("\r")
    assert "\r" not in ran.out


# What is wrong -----------------------------------------------------------------------------------------------


@contextmanager
def opened(data: Path) -> Iterator[ObjectService]:
    service, _ = open_service(SqliteDatabase(data), Settings(data=data, min_free=0))
    try:
        yield service
    finally:
        service.close()


def problems(data: Path, *, read: bool = False) -> dict[Kind, str]:
    with opened(data) as service:
        return {one.kind: one.text for one in audit(service, Progress(), read=read) if one.is_problem}


@pytest.mark.parametrize(
    ("sql", "kind", "text"),
    [
        ("DELETE FROM bodies", Kind.LOST_BYTES, "has no bytes in the catalog"),
        ("UPDATE bodies SET data = x'00'", Kind.WRONG_SIZE, "has 1 bytes, and should have 5"),
        ("INSERT INTO bodies (sequence, data) VALUES (1, x'')", Kind.STRAY_ROW, "inline bytes 1 are of no version"),
        ("DELETE FROM objects WHERE key = 'small'", Kind.WRONG_USAGE, "says 4 objects"),
        ("UPDATE tenancy_usage SET bytes = bytes + 1", Kind.WRONG_USAGE, "tenancy 1"),
        ("INSERT INTO bucket_usage VALUES (9, 0, 0)", Kind.STRAY_ROW, "bucket 9 is gone"),
        ("INSERT INTO tenancy_usage VALUES (9, 1, 0)", Kind.WRONG_USAGE, "tenancy 9"),
        ("DELETE FROM buckets", Kind.STRAY_ROW, "open in a bucket that is gone"),
        ("DELETE FROM shared_blobs", Kind.WRONG_COUNT, "is named 2 times, and counted 1 times"),
        ("UPDATE shared_blobs SET refs = 3", Kind.WRONG_COUNT, "is named 2 times, and counted 3 times"),
        ("INSERT INTO shared_blobs VALUES (1, 'x', 2)", Kind.WRONG_COUNT, "is not named, and counted 2 times"),
        ("DELETE FROM objects WHERE key = 'parts'", Kind.STRAY_ROW, "is completed, and no object"),
        ("UPDATE uploads SET completed = NULL WHERE key = 'parts'", Kind.WRONG_COUNT, "stand, and 1 are counted"),
        ("UPDATE uploads SET refs = 2 WHERE key = 'parts'", Kind.WRONG_COUNT, "1 objects stand, and 2"),
        ("DELETE FROM uploads WHERE key = 'open'", Kind.STRAY_ROW, "parts of upload 2, which is gone"),
        ("DELETE FROM uploads WHERE key = 'parts'", Kind.LOST_BYTES, "stands on parts that are gone"),
        ("DELETE FROM parts WHERE upload = 1", Kind.WRONG_SIZE, "is not the sum of its 0 parts"),
        ("UPDATE parts SET etag = 'none' WHERE upload = 1", Kind.WRONG_SIZE, "is not the sum of its 1 parts"),
        ("UPDATE objects SET manifest = 'x' WHERE key = 'copy'", Kind.LOST_BYTES, "is not in its store"),
        ("UPDATE objects SET blob_key = NULL, inline = 0 WHERE key = 'copy'", Kind.LOST_BYTES, "is in no store"),
        ("UPDATE objects SET store_id = 7 WHERE key = 'file'", Kind.UNKNOWN_STORE, "lies in store 7"),
        ("UPDATE objects SET sequence = 9000000 WHERE key = 'file'", Kind.STRAY_ROW, "has sequence 9000000"),
        (
            "UPDATE garbage SET blob_key = (SELECT blob_key FROM objects WHERE key = 'file')",
            Kind.IN_GARBAGE,
            "is named, and is to be deleted",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_catalog_is_told(data: Path, sql: str, kind: Kind, text: str) -> None:
    test_checker.run(data, sql)
    found = problems(data)
    assert text in found.get(kind, ""), found


@pytest.mark.parametrize(
    ("act", "kind", "read"),
    [
        (Path.unlink, Kind.LOST_BYTES, False),
        (lambda path: os.truncate(path, 10), Kind.WRONG_SIZE, False),
        (lambda path: path.write_bytes(b"x" * path.stat().st_size), Kind.WRONG_BYTES, True),
        (lambda path: os.removexattr(path, "user.dolium.description"), Kind.WRONG_DESCRIPTION, True),
    ],
)
def test_what_is_wrong_in_the_store_is_told(
    data: Path, act: Callable[[Path], object], kind: Kind, read: bool
) -> None:
    for path in test_checker.blobs(data):
        act(path)
    assert kind in problems(data, read=read)
    if read:
        assert kind not in problems(data), "it takes a read to see this"


def test_a_manifest_of_other_parts_is_told(data: Path) -> None:
    test_checker.run(data, f"UPDATE objects SET etag = '{'0' * 32}-1' WHERE key = 'parts'")
    assert "is a manifest of other parts" in problems(data, read=True).get(Kind.WRONG_BYTES, "")


def test_inline_bytes_that_are_others_are_told(data: Path) -> None:
    test_checker.run(data, "UPDATE bodies SET data = x'0000000000'")
    assert "not those that were written" in problems(data, read=True).get(Kind.WRONG_BYTES, "")
    assert problems(data) == {}
    test_checker.run(data, "UPDATE bodies SET crc = NULL")
    assert "not those of its ETag" in problems(data, read=True).get(Kind.WRONG_BYTES, "")


def test_a_blob_that_cannot_be_read_does_not_end_it(data: Path) -> None:
    """Something that is no file is where one should be."""
    [path] = [path for path in test_checker.blobs(data) if path.read_bytes().startswith(b'{"object"')]
    path.unlink()
    os.mkfifo(path)
    assert problems(data, read=True).keys() == {Kind.UNREADABLE}


def test_pages_are_put_together(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a page, nothing is missed or told twice."""
    whole = problems(data, read=True)
    test_checker.run(data, "UPDATE objects SET manifest = 'x' WHERE key = 'copy'")
    for page in (1, 2, 3):
        monkeypatch.setattr(audit_of_books, "_PAGE", page)
        monkeypatch.setattr(audit_of_blobs, "_PAGE", page)
        monkeypatch.setattr(audit_of_blobs, "_NAMES", page)
        with opened(data) as service:
            progress = Progress()
            found = list(audit(service, progress))
        assert [one.kind for one in found] == [Kind.LOST_BYTES]
        assert (progress.objects, progress.blobs) == (4, 6)
    assert whole == {}


def test_pages_are_read_by_index(data: Path) -> None:
    """A page costs the same however many rows there are."""
    with opened(data) as service:
        for sql, values in (
            (queries._ENTRIES, (1, "", 0, 500)),
            (queries._NAMES, ("", "~", 1, 500)),
            (queries._IS_NAMED, ("x", 1)),
        ):
            plan = [row[3] for row in service.database.all(f"EXPLAIN QUERY PLAN {sql}", *values)]
            assert not [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step], plan


# While it is used --------------------------------------------------------------------------------------------


def test_a_blob_that_went_while_it_was_looked_for_is_not_lost(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listed before, asked after: what is deleted and swept in between."""
    real = queries.names

    def names_then_gone(*args: object) -> object:
        found = real(*args)  # type: ignore[arg-type]
        test_checker.run(data, "DELETE FROM objects WHERE key = 'parts'")
        for path in test_checker.blobs(data):
            if path.read_bytes().startswith(b'{"object"'):
                path.unlink()
        monkeypatch.undo()
        return found

    with opened(data) as service:
        [manifest] = service.database.all("SELECT blob_key FROM objects WHERE key = 'parts'")
        service.store(1).delete(manifest[0])  # so that it is not listed, though it is named
        monkeypatch.setattr(queries, "names", names_then_gone)
        found = [
            one for one in audit_of_blobs.store_blobs(service, 1, Progress(), read=True) if one.is_problem
        ]
    assert found == []


def test_uploads_that_are_under_way_are_no_orphans(data: Path) -> None:
    path = data / "store" / blob_key(time.time_ns(), "0" * 12)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"about to be published")
    with opened(data) as service:
        assert list(audit(service, Progress(), read=True)) == []


def test_a_service_in_use_gives_no_false_alarm(tmp_path: Path) -> None:
    """Clients at work, garbage swept ten times a second; and every look finds that all is well."""
    server = LiveServer(
        tmp_path / "live", config="garbage_grace: 0s\nrequest_log: failures\nstore: {min_free: 0}\n"
    )
    with server:
        load = Load(server.http, clients=4, seed=7)
        load.resume()
        found: list[Finding] = []
        looks = 0
        deadline = time.monotonic() + 4
        with opened(server.data) as service:
            while time.monotonic() < deadline:
                found += audit(service, Progress(), read=looks % 2 == 0)
                looks += 1
        load.end()
    assert found == []
    assert looks >= 3
    assert check(server.data).problems == []
