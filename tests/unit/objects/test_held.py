"""What a backup may name stays for a while; all else goes, and so does this where room is needed."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from dolium.catalog import backups, blobs
from dolium.catalog.backups import Span
from dolium.catalog.buckets import Bucket
from dolium.errors import StoreFull
from dolium.objects import delete
from dolium.objects.service import ObjectService
from dolium.objects.sweep import release_held, sweep
from tests.unit.objects.test_service import put, stored

FILE = b"f" * 20_000
HOUR_MS = 3_600_000


@pytest.fixture
def holding(service: ObjectService) -> ObjectService:
    service.limits = replace(service.limits, hold_ms=HOUR_MS)
    return service


def back_up(service: ObjectService, folder: Path, name: str = "one") -> None:
    backups.backup(service.database, folder, folder / f"{name}.sqlite", hold_ms=HOUR_MS)


def now() -> int:
    return time.time_ns() // 1_000_000


def test_what_a_backup_names_stays_for_its_time(
    holding: ObjectService, bucket: Bucket, tmp_path: Path
) -> None:
    named = put(holding, bucket, "named", FILE)
    back_up(holding, tmp_path)
    put(holding, bucket, "later", FILE)
    for key in ("named", "later"):
        delete.delete(holding, bucket, key).result()
    assert sweep(holding) == 1, "what came after the backup goes"
    [blob, word] = stored(holding)
    assert blob == named.blob_key
    with holding.store(1).get(word) as reader:
        assert reader.read() == blob.encode(), "word is left of what was discarded"
    assert (sweep(holding), sweep(holding, now_ms=now() + HOUR_MS - 60_000)) == (0, 0)
    assert sweep(holding, now_ms=now() + HOUR_MS + 1) == 2
    assert stored(holding) == []


def test_what_was_deleted_before_the_backup_goes(
    holding: ObjectService, bucket: Bucket, tmp_path: Path
) -> None:
    put(holding, bucket, "k", FILE)
    delete.delete(holding, bucket, "k").result()
    time.sleep(0.003)  # times are milliseconds
    back_up(holding, tmp_path)
    assert sweep(holding) == 1
    assert stored(holding) == []


def test_what_is_put_off_is_not_looked_at_again(
    holding: ObjectService, bucket: Bucket, tmp_path: Path
) -> None:
    for number in range(3):
        put(holding, bucket, str(number), FILE)
    back_up(holding, tmp_path)
    for number in range(3):
        delete.delete(holding, bucket, str(number)).result()
    assert len(blobs.due(holding.database, now(), 10)) == 3
    sweep(holding)
    assert blobs.due(holding.database, now(), 10) == []
    assert len(blobs.holding(holding.database, 1, 10)) == 4


def test_where_room_is_needed_it_goes_the_oldest_first(
    holding: ObjectService, bucket: Bucket, tmp_path: Path
) -> None:
    rows = [put(holding, bucket, str(number), FILE) for number in range(3)]
    back_up(holding, tmp_path)
    for row in rows:
        delete.delete(holding, bucket, row.key).result()
    sweep(holding)
    assert release_held(holding, 1, enough=lambda: True) == 0
    assert release_held(holding, 2, enough=lambda: False) == 0, "of another store"
    assert release_held(holding, 1, enough=lambda: False) == 4
    assert stored(holding) == []
    assert blobs.holding(holding.database, 1, 10) == []


def test_a_store_that_takes_nothing_holds_all_the_same(
    holding: ObjectService, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = put(holding, bucket, "k", FILE)
    back_up(holding, tmp_path)
    delete.delete(holding, bucket, "k").result()

    def full(*_: object, **__: object) -> None:
        raise StoreFull("full")

    monkeypatch.setattr(holding.store(1), "put", full)
    assert sweep(holding) == 0
    assert stored(holding) == [row.blob_key]
    assert sweep(holding, now_ms=now() + HOUR_MS + 1) == 1


def test_a_snapshot_that_may_be_taken_yet_names_everything() -> None:
    made, taking = Span(10, 20), Span(30, None)
    assert made.may_name(written_ms=5, discarded_ms=15)
    assert made.may_name(written_ms=20, discarded_ms=99)
    assert not made.may_name(written_ms=21, discarded_ms=99)
    assert not made.may_name(written_ms=5, discarded_ms=9)
    assert taking.may_name(written_ms=99, discarded_ms=99)
    assert not taking.may_name(written_ms=5, discarded_ms=29)
