"""The checker of the drills sees what is wrong, and nothing where all is well."""

import os
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from dolium.catalog import buckets, tenancies
from dolium.catalog.sqlite import SqliteDatabase
from dolium.config.settings import Settings
from dolium.identity.credentials import Credentials
from dolium.objects import copy, delete, multipart
from dolium.objects.copy import CopyRequest
from dolium.objects.multipart import ChosenPart, PartIntake
from dolium.objects.put import Intake, PutRequest
from dolium.objects.receive import Digests
from dolium.server.first_run import arrive
from dolium.server.wiring import open_service
from dolium.testing.checker import check
from dolium.values import Secret

FILE = b"f" * 20_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with one of everything."""
    settings = Settings(data=tmp_path / "data", min_free=0)
    arrive(settings, Credentials("FIRSTKEY", Secret("first-secret")))
    service, _ = open_service(SqliteDatabase(settings.data), settings)
    tenancy = tenancies.get(service.database, "main")
    bucket = service.database.write(lambda tx: buckets.create(tx, tenancy.id, "cmip", None))
    for key, body in (("small", b"small"), ("file", FILE), ("gone", FILE)):
        intake = Intake(service, bucket, PutRequest(key, None, "[]", len(body)))
        intake.write(body)
        row = intake.finish().result()
        if key == "file":
            copy.copy(service, bucket, row, bucket, CopyRequest("copy", None, "[]"))
    delete.delete(service, bucket, "gone").result()
    for key in ("parts", "open"):
        upload = multipart.begin(
            service, bucket, key, owner_id=None, initiator="", headers="[]", algorithm=None, kind=None
        ).result()
        intake_of_part = PartIntake(service, upload, 1, size=None, digests=Digests())
        intake_of_part.write(FILE)
        part = intake_of_part.finish().result()
        if key == "parts":
            multipart.complete(service, bucket, upload, [ChosenPart(1, part.etag)])
    service.close()
    return settings.data


def test_nothing_is_wrong_where_all_is_well(data: Path) -> None:
    report = check(data)
    assert report.problems == []
    assert len(report.garbage) == 1
    assert report.leftovers == [f"garbage {report.garbage[0]}"]


def run(data: Path, sql: str) -> None:
    connection = apsw.Connection(str(data / "catalog.sqlite"))
    connection.execute(sql).fetchall()
    assert connection.changes() == 1
    connection.close()


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("DELETE FROM bodies", "has no bytes"),
        ("UPDATE bodies SET data = x'00'", "has 1 bytes and should have 5"),
        ("UPDATE bodies SET crc = crc + 1", "has another checksum"),
        ("UPDATE bodies SET data = x'0000000000'", "not those of its ETag"),
        ("INSERT INTO bodies VALUES (7, x'', 0)", "are of no version"),
        ("DELETE FROM objects WHERE key = 'small'", "usage of bucket 1 is (4, "),
        ("UPDATE tenancy_usage SET bytes = bytes + 1", "usage of tenancy 1"),
        ("INSERT INTO bucket_usage VALUES (9, 0, 0)", "usage of bucket 9, which is gone"),
        ("DELETE FROM buckets", "in a bucket that is gone"),
        ("DELETE FROM buckets", "is open in a bucket that is gone"),
        ("DELETE FROM shared_blobs", "is named 2 times and counted 1 times"),
        ("UPDATE shared_blobs SET refs = 3", "is named 2 times and counted 3 times"),
        ("INSERT INTO shared_blobs VALUES (1, 'x', 2)", "is counted, and not named"),
        ("DELETE FROM objects WHERE key = 'parts'", "has 0 objects and counts 1"),
        ("UPDATE uploads SET completed = NULL WHERE key = 'parts'", "or has one and is open"),
        ("DELETE FROM uploads WHERE key = 'open'", "which is gone"),
        ("DELETE FROM uploads WHERE key = 'parts'", "stands on parts that are gone"),
        ("DELETE FROM parts WHERE upload = 1", "has a manifest of other parts"),
        ("UPDATE parts SET number = 2 WHERE upload = 2", "is described as"),
        ("UPDATE objects SET blob_key = 'x' WHERE key = 'file'", "has lost its blob x"),
        ("UPDATE objects SET manifest = 'x' WHERE key = 'copy'", "has lost its manifest x"),
        ("UPDATE objects SET key = 'other' WHERE key = 'copy'", "'other' (sequence"),
        ("UPDATE objects SET sequence = 9000000 WHERE key = 'file'", "does not know the highest sequence"),
        (
            "UPDATE garbage SET blob_key = (SELECT blob_key FROM objects WHERE key = 'file')",
            "is to be deleted",
        ),
        ("UPDATE access_keys SET tenancy_id = 99", "foreign keys point nowhere"),
    ],
)
def test_what_is_wrong_in_the_catalog_is_told(data: Path, sql: str, problem: str) -> None:
    run(data, sql)
    problems = check(data).problems
    assert any(problem in one for one in problems), problems


def blobs(data: Path) -> list[Path]:
    return [path for path in (data / "store").rglob("*-*") if path.name[0] != "." and path.is_file()]


def _each(act: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda data: [act(path) for path in blobs(data)]


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        (_each(Path.unlink), "has lost its blob"),
        (_each(lambda path: os.truncate(path, 10)), "has 10 bytes and should have"),
        (
            _each(lambda path: path.stat().st_size == 20_000 and path.write_bytes(b"x" * 20_000)),
            "of its ETag",
        ),
        (_each(lambda path: os.removexattr(path, "user.dolium.description")), "is described as {}"),
        (_each(lambda path: os.removexattr(path, "user.dolium.sums")), "has not the checksums of its bytes"),
    ],
)
def test_what_is_wrong_in_the_store_is_told(data: Path, act: Callable[[Path], object], problem: str) -> None:
    act(data)
    problems = check(data).problems
    assert any(problem in one for one in problems), problems


def test_what_a_crash_leaves_is_told(data: Path) -> None:
    [garbage] = check(data).garbage
    run(data, "DELETE FROM garbage")
    folder = (data / "store" / garbage).parent
    (folder / ".dolium-about-1-gone").touch()
    (data / "store" / ".dolium-tmp" / "half").touch()
    (data / ".master.key.0").touch()
    report = check(data)
    assert report.problems == []
    inside = folder.relative_to(data / "store")
    assert report.leftovers == [
        f"orphan {garbage}", "temporary half", "temporary .master.key.0", f"sidecar {inside}/gone"
    ]  # fmt: skip


def test_what_the_next_start_does_not_look_for_is_told(data: Path) -> None:
    [garbage] = check(data).garbage
    run(data, "DELETE FROM garbage")
    (data / "store" / "README").touch()
    assert check(data).unseen == []
    run(data, "UPDATE stores SET walked_ns = 9000000000000000000")
    report = check(data)
    assert (report.unseen, report.orphans) == ([garbage], [garbage, "README"])


def test_a_catalog_that_takes_itself_for_an_older_one_is_told(data: Path) -> None:
    assert check(data).losses == []
    run(data, "INSERT INTO losses (sequence, before_ns, found_ms) VALUES (7, 0, 0)")
    assert check(data).losses == [7]
