"""The walk sees everything once, can be cut off anywhere, and keeps to its rate."""

import errno
import io
import json
import math
import os
import threading
import time
from pathlib import Path

import pytest

from dolium.catalog import damage, holdings, scrubs
from dolium.catalog.buckets import Bucket
from dolium.catalog.damage import Subject
from dolium.errors import StoreUnavailable
from dolium.movers import scrub as module
from dolium.movers.pace import Pace
from dolium.movers.scrub import Scrub, claim, hold, is_wanted, recheck
from dolium.objects import copy, delete, multipart
from dolium.objects.audit.blobs import store_blobs
from dolium.objects.audit.findings import Kind, Progress
from dolium.objects.copy import CopyRequest
from dolium.objects.multipart import ChosenPart, PartIntake
from dolium.objects.receive import Digests
from dolium.objects.service import ObjectService
from dolium.objects.sweep import sweep
from dolium.stores.composites.cached import Cached, CacheOptions
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.health import Health
from dolium.testing.disk_faults import failing_calls
from tests.unit.objects.test_service import put
from tests.unit.stores.test_disk_sums import flip

FILE = b"f" * 20_000
LARGE = bytes(range(256)) * 4096 * 5  # 5 MiB


def never(_: float) -> bool:
    return False


def walk(service: ObjectService) -> Scrub:
    scrub = Scrub(service, 0, never)
    assert scrub.work()
    return scrub


def path(service: ObjectService, key: str) -> Path:
    row = service.database.one("SELECT blob_key FROM objects WHERE key = $1", key)
    assert row is not None
    found: Path = service.store(1).local_path(row[0])  # type: ignore[attr-defined]
    return found


def fill(service: ObjectService, bucket: Bucket, count: int) -> None:
    for number in range(count):
        put(service, bucket, f"blob{number:03d}", FILE)
        put(service, bucket, f"inline{number:03d}", b"small")


def parts(service: ObjectService, bucket: Bucket, key: str) -> None:
    upload = multipart.begin(
        service, bucket, key, owner_id=None, initiator="AK", headers="[]", algorithm=None, kind=None
    ).result()
    chosen = []
    for number in (1, 2):
        intake = PartIntake(service, upload, number, size=len(FILE), digests=Digests())
        intake.write(FILE)
        chosen.append(ChosenPart(number, intake.finish().result().etag))
    multipart.complete(service, bucket, upload, chosen)


def test_it_sees_everything_once(
    service: ObjectService, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(service, bucket, 7)
    parts(service, bucket, "big")
    for page in (1, 2, 3, 200):
        monkeypatch.setattr(module, "_PAGE", page)
        run = walk(service).run
        assert (run.bodies, run.blobs, run.bytes) == (7, 10, 7 * 5 + 9 * len(FILE) + _manifest(service))
    assert damage.every(service.database) == []
    ended = scrubs.latest(service.database)
    assert ended is not None
    assert ended.ended_ms is not None


def _manifest(service: ObjectService) -> int:
    return path(service, "big").stat().st_size


def test_what_many_rows_share_is_read_once(
    service: ObjectService, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = put(service, bucket, "source", FILE)
    for number in range(5):
        copy.copy(service, bucket, row, bucket, CopyRequest(f"copy{number}", None, "[]"))
    fill(service, bucket, 3)
    for page in (1, 2, 4, 200):
        monkeypatch.setattr(module, "_PAGE", page)
        run = walk(service).run
        assert run.blobs == 1 + 5 + 3, "with a manifest for each copy"
        assert damage.every(service.database) == []
    flip(path(service, "source"), 0)
    walk(service)
    marked = service.database.all("SELECT key FROM objects WHERE damaged = 1 ORDER BY key")
    assert [key for (key,) in marked] == [*(f"copy{number}" for number in range(5)), "source"]
    [finding] = damage.every(service.database)
    assert [place[2] for place in damage.places(service.database, finding.subject)] == [
        *(f"copy{number}" for number in range(5)), "source",
    ]  # fmt: skip


@pytest.mark.parametrize("page", [1, 2, 3])
def test_pages_leave_nothing_out(service: ObjectService, bucket: Bucket, page: int) -> None:
    row = put(service, bucket, "source", FILE)
    for number in range(3):
        copy.copy(service, bucket, row, bucket, CopyRequest(f"copy{number}", None, "[]"))
        parts(service, bucket, f"big{number}")
    everything = {info.key for info in service.store(1).list()}
    found: list[str] = []
    first = ""
    while items := holdings.items(service.database, 1, first, page):
        found += [item.blob_key for item in items]
        first = f"{found[-1]}\0"
    assert found == sorted(everything)


def test_told_to_stop_it_goes_on_where_it_was(service: ObjectService, bucket: Bucket) -> None:
    fill(service, bucket, 5)
    put(service, bucket, "large", LARGE)
    seen = []
    places = set()
    for turn in range(100):
        left = [turn % 4 + 1]

        def rest(_: float, left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] < 0

        scrub = Scrub(service, 0, rest)
        ended = scrub.work()
        kept = scrubs.latest(service.database)
        assert kept is not None
        assert kept.place == scrub.run.place
        places.add(kept.place)
        seen.append(kept.blobs)
        if ended:
            break
    assert ended
    assert len(seen) > 5
    assert seen == sorted(seen)
    run = scrub.run
    assert (run.bodies, run.blobs) == (5, 6)
    # In the midst of the large one it went on at the block.
    assert any(json.loads(place).get("at", 0) for place in places)
    total = 5 * 5 + 5 * len(FILE) + len(LARGE)
    assert total <= run.bytes + (4 << 20)
    assert Scrub(service, 0, never).run.id == run.id + 1


def test_the_rate_is_kept(service: ObjectService, bucket: Bucket) -> None:
    put(service, bucket, "large", LARGE)
    began = time.monotonic()
    rested = []

    def rest(seconds: float) -> bool:
        rested.append(seconds)
        time.sleep(seconds)
        return False

    assert Scrub(service, 20 << 20, rest).work()
    assert 0.22 < time.monotonic() - began < 3
    assert sum(rested) > 0.1


def test_what_comes_while_it_walks_is_left_to_the_next(
    service: ObjectService, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(service, bucket, 3)
    monkeypatch.setattr(module, "_PAGE", 1)
    written = 0

    def rest(_: float) -> bool:
        nonlocal written
        if written < 50:
            time.sleep(0.002)
            put(service, bucket, f"new{written}", FILE)
            written += 1
        return False

    scrub = Scrub(service, 0, rest)
    assert scrub.work()
    assert scrub.run.blobs == 3
    assert walk(service).run.blobs == 3 + written


def test_what_is_deleted_or_replaced_meanwhile_is_nobodys_damage(
    service: ObjectService, bucket: Bucket
) -> None:
    put(service, bucket, "key", FILE)
    put(service, bucket, "small", b"small")
    blob = path(service, "key")
    flip(blob, 0)
    service.database.write(lambda tx: tx.run("UPDATE bodies SET data = x'00'"))
    walk(service)
    assert len(damage.every(service.database)) == 2
    delete.delete(service, bucket, "key").result()
    put(service, bucket, "small", b"other")
    assert recheck(service, Pace(0, never)) == 0
    assert damage.every(service.database) == []
    row = service.database.one("SELECT damaged FROM objects WHERE key = 'small'")
    assert row == (0,)
    # A blob that was swept between the page and the look.
    subject = Subject(1, str(blob.relative_to(blob.parents[2])))
    assert not service.database.write(lambda tx: damage.enter(tx, subject, damage.CORRUPT, "lost"))
    assert not service.database.write(lambda tx: damage.suspect(tx, subject, "lost"))
    sweep(service)
    assert damage.every(service.database) == []


def test_of_two_damaged_parts_both_must_be_right_again(service: ObjectService, bucket: Bucket) -> None:
    parts(service, bucket, "big")
    blobs = [
        service.store(1).local_path(row[0])  # type: ignore[attr-defined]
        for row in service.database.all("SELECT blob_key FROM parts ORDER BY number")
    ]
    for blob in blobs:
        flip(blob, 0)
    walk(service)
    for finding, still in zip(damage.every(service.database), (1, 0), strict=True):
        assert service.database.one("SELECT damaged FROM objects") == (1,)
        subject = finding.subject
        service.database.write(lambda tx, subject=subject: damage.clear(tx, subject))  # type: ignore[misc]
        assert service.database.one("SELECT damaged FROM objects") == (still,)


def test_a_disk_that_is_gone_is_no_damage(service: ObjectService, bucket: Bucket) -> None:
    fill(service, bucket, 2)
    root = path(service, "blob000").parents[2]
    aside = root.with_name("aside")
    root.rename(aside)
    root.mkdir()
    scrub = Scrub(service, 0, never)
    with pytest.raises(StoreUnavailable):
        scrub.work()
    root.rmdir()
    aside.rename(root)
    with failing_calls("pread", code=errno.EIO, nth=1, for_good=True), pytest.raises(StoreUnavailable):
        Scrub(service, 0, never).work()
    assert damage.every(service.database) == []
    service.store(1).probe()  # type: ignore[attr-defined]
    again = walk(service)
    assert again.run.id == scrub.run.id
    assert again.run.blobs == 2


def test_one_has_the_right_at_a_time(tmp_path: Path) -> None:
    held = hold(tmp_path)
    assert held is not None
    assert hold(tmp_path) is None
    os.close(held)
    after = hold(tmp_path)
    assert after is not None
    assert not is_wanted(tmp_path)
    seen: list[bool] = []

    def give_way() -> None:
        seen.append(is_wanted(tmp_path))
        os.close(after)

    waiter = threading.Timer(0.1, give_way)
    waiter.start()
    first = claim(tmp_path)
    waiter.join()
    assert first is not None
    assert seen == [True]
    assert claim(tmp_path, patience=0.1) is None
    os.close(first)


def test_blobs_of_foreign_keys_are_looked_at(service: ObjectService, bucket: Bucket) -> None:
    """As those of an adopted tree, of which nobody knows when they were written."""
    row = put(service, bucket, "key", FILE)
    service.store(1).put("adopted/tree", io.BytesIO(FILE))
    service.database.write(
        lambda tx: tx.run("UPDATE objects SET blob_key = 'adopted/tree' WHERE sequence = $1", row.sequence)
    )
    run = walk(service).run
    assert run.blobs == 1
    assert [one.state for one in damage.every(service.database)] == ["noted"]


def test_a_copy_in_a_cache_hides_no_damage(service: ObjectService, bucket: Bucket, tmp_path: Path) -> None:
    """The blob itself is read, and its copy stays where it is."""
    disk = service.store(1)
    far = Guarded(Cached(disk, CacheOptions(tmp_path / "cache", fresh_seconds=math.inf)), "far", Health())
    service.change_stores({1: far}, 1, None, {})
    put(service, bucket, "a", FILE)
    put(service, bucket, "b", FILE)
    assert walk(service).run.unknown == 0
    row = service.database.one("SELECT blob_key FROM objects WHERE key = 'a'")
    assert row is not None
    disk.put(row[0], io.BytesIO(b"F" * len(FILE)))
    with far.get(row[0]) as reader:
        assert reader.read() == FILE, "the copy is right"
    walk(service)
    [found] = damage.every(service.database)
    assert (found.subject.blob_key, found.state) == (row[0], damage.CORRUPT)
    assert "MD5" in found.what
    progress = Progress()
    [finding] = list(store_blobs(service, 1, progress, read=True))
    assert finding.kind is Kind.WRONG_BYTES
    disk.delete(row[0])
    [finding] = list(store_blobs(service, 1, progress, read=False))
    assert finding.kind is Kind.LOST_BYTES
