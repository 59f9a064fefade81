"""Blobs that nothing names go; those that something names, will name, or may have named stay."""

import io
import os
import threading
import time
from pathlib import Path

import pytest

from dolium.catalog import fences, objects
from dolium.catalog.buckets import Bucket
from dolium.catalog.sqlite import SqliteDatabase
from dolium.catalog.uploads import Upload
from dolium.errors import StoreError, StoreUnavailable
from dolium.objects import copy, delete, multipart
from dolium.objects.blob_keys import blob_key, written_ns
from dolium.objects.copy import CopyRequest
from dolium.objects.multipart import ChosenPart, PartIntake
from dolium.objects.orphans import LONGEST_UPLOAD_NS, find, raise_fence, sweep_orphans
from dolium.objects.put import Intake
from dolium.objects.receive import Digests
from dolium.objects.service import ObjectService
from dolium.objects.sweep import sweep
from dolium.stores.contract import PutOptions
from dolium.stores.leaves.disk import Disk
from tests.unit.objects.test_service import put, read, request, stored

FILE = b"f" * 20_000


def fence_now(service: ObjectService) -> None:
    service.database.write(lambda tx: fences.raise_all(tx, time.time_ns()))


def leave(
    service: ObjectService, text: str = '{"bucket":"cmip","key":"k","sequence":5}', *, ago_ns: int = 0
) -> str:
    """A blob that nothing names."""
    key = blob_key(time.time_ns() - ago_ns, os.urandom(6).hex())
    service.store(1).put(key, io.BytesIO(b"orphan"), options=PutOptions(description={"dolium": text}))
    return key


def begin(service: ObjectService, bucket: Bucket) -> Upload:
    return multipart.begin(
        service, bucket, "k", owner_id=None, initiator="AK", headers="[]", algorithm=None, kind=None
    ).result()


def part(service: ObjectService, upload: Upload, number: int) -> PartIntake:
    intake = PartIntake(service, upload, number, size=len(FILE), digests=Digests())
    intake.write(FILE)
    return intake


def test_a_key_tells_when_its_upload_began() -> None:
    now = time.time_ns()
    assert written_ns(blob_key(now, "0123456789ab")) == now
    assert blob_key(now - 1, "f" * 12) < blob_key(now, "") < blob_key(now, "0" * 12)
    assert written_ns(blob_key(now, "")) is None
    for foreign in ("a/b", "00000/000/dataset_1.dat", f"x{blob_key(now, '0' * 12)}"):
        assert written_ns(foreign) is None


def test_orphans_go_and_all_else_stays(service: ObjectService, bucket: Bucket) -> None:
    put(service, bucket, "plain", FILE)
    put(service, bucket, "source", FILE)
    source = put(service, bucket, "source", FILE)
    copy.copy(service, bucket, source, bucket, CopyRequest("copy", None, "[]"))
    delete.delete(service, bucket, "source").result()
    upload = begin(service, bucket)
    sent = part(service, upload, 1).finish().result()
    part(service, upload, 2).finish().result()
    multipart.complete(service, bucket, upload, [ChosenPart(1, sent.etag)])
    part(service, begin(service, bucket), 1).finish().result()
    service.store(1).put("adopted/tree", io.BytesIO(b"whoever put it there"))
    left = {leave(service), leave(service, "{}"), leave(service, "no JSON")}
    before = set(stored(service))
    fence_now(service)
    assert {orphan.key for orphan in find(service, 1)} == left
    swept = sweep_orphans(service, 1)
    assert (swept.removed, swept.size, swept.lost) == (3, 18, 0)
    assert set(stored(service)) == before - left
    sweep(service, now_ms=1 << 60)
    assert sweep_orphans(service, 1, whole=True).removed == 0
    assert (read(service, bucket, "plain"), read(service, bucket, "copy")) == (FILE, FILE)
    assert read(service, bucket, "k") == FILE


def test_in_front_of_the_fence_nothing_is_looked_at(service: ObjectService) -> None:
    leave(service)
    assert list(find(service, 1)) == []
    assert sweep_orphans(service, 1, whole=True).removed == 0
    raise_fence(service, 1)
    assert list(find(service, 1)) == []
    raise_fence(service, 1, now_ns=time.time_ns() + LONGEST_UPLOAD_NS)
    assert len(list(find(service, 1))) == 1
    raise_fence(service, 1)
    assert len(list(find(service, 1))) == 1, "a fence is never lowered"


def test_what_is_behind_the_fence_is_not_published(service: ObjectService, bucket: Bucket) -> None:
    """However long a writer slept between its blob and its commit."""
    upload = begin(service, bucket)
    late, late_part = Intake(service, bucket, request("late", FILE)), part(service, upload, 1)
    late.write(FILE)
    fence_now(service)
    for finish in (late.finish, late_part.finish):
        with pytest.raises(StoreUnavailable, match="too long"):
            finish().result()
    assert sweep(service, now_ms=1 << 60) == 2
    assert stored(service) == []


def test_copies_and_completes_behind_the_fence(
    service: ObjectService, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their own manifest must be young; what it points at may be as old as it likes."""
    source = put(service, bucket, "source", FILE)
    upload = begin(service, bucket)
    sent = part(service, upload, 1).finish().result()
    fence_now(service)
    old = blob_key(time.time_ns() - 10**12, "0" * 12)
    with monkeypatch.context() as patched:
        patched.setattr(service, "new_blob_key", lambda: old)
        with pytest.raises(StoreUnavailable):
            copy.copy(service, bucket, source, bucket, CopyRequest("copy", None, "[]"))
        with pytest.raises(StoreUnavailable):
            multipart.complete(service, bucket, upload, [ChosenPart(1, sent.etag)])
    copy.copy(service, bucket, source, bucket, CopyRequest("copy", None, "[]"))
    multipart.complete(service, bucket, upload, [ChosenPart(1, sent.etag)])
    assert (read(service, bucket, "copy"), read(service, bucket, "k")) == (FILE, FILE)


def test_a_clock_that_is_set_back_does_not_stop_uploads(service: ObjectService, bucket: Bucket) -> None:
    ahead = time.time_ns() + 10**15
    service.database.write(lambda tx: fences.raise_all(tx, ahead))
    put(service, bucket, "k", FILE)
    [key] = stored(service)
    assert written_ns(key) == ahead
    assert read(service, bucket, "k") == FILE
    assert list(find(service, 1)) == []


def test_a_walk_begins_where_the_last_one_ended(service: ObjectService) -> None:
    first = leave(service, ago_ns=10**9)
    fence_now(service)
    assert sweep_orphans(service, 1).removed == 1
    again = leave(service, ago_ns=10**9 - 1)
    assert written_ns(again) is not None
    fence_now(service)
    assert sweep_orphans(service, 1).removed == 0
    assert sweep_orphans(service, 1, whole=True).removed == 1
    assert first != again
    for _ in range(3):
        leave(service)
    fence_now(service)
    assert sweep_orphans(service, 1, go_on=lambda: False).removed == 3
    assert sweep_orphans(service, 1).removed == 0


def test_a_walk_that_fails_is_made_again(service: ObjectService, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(service)
    fence_now(service)
    with monkeypatch.context() as patched:
        patched.setattr(service.store(1), "delete", _fail)
        with pytest.raises(StoreError):
            sweep_orphans(service, 1)
    assert sweep_orphans(service, 1).removed == 1


def _fail(key: str) -> None:
    raise StoreUnavailable("default")


def test_what_a_restored_catalog_has_not_seen_is_kept(
    tmp_path: Path, service: ObjectService, bucket: Bucket
) -> None:
    put(service, bucket, "old", FILE)
    [[seen]] = service.database.all("SELECT sequence FROM book")
    known = leave(service, f'{{"sequence":{seen}}}')
    lost = {leave(service, f'{{"sequence":{seen + 1}}}'), leave(service, "{}")}
    put(service, bucket, "new", FILE)
    # As if the catalog had been brought back as it was before `new`.
    service.database.write(lambda tx: objects.remove(tx, bucket, "new", grace_ms=0))
    service.database.write(lambda tx: tx.run("UPDATE book SET sequence = $1 WHERE id = 1", seen))
    SqliteDatabase(tmp_path).close()
    SqliteDatabase(tmp_path).close()
    assert [loss.sequence for loss in fences.losses(service.database)] == [seen]
    young = leave(service, f'{{"sequence":{seen + 10**9}}}')
    fence_now(service)
    assert {orphan.key for orphan in find(service, 1) if orphan.lost} == lost
    swept = sweep_orphans(service, 1)
    assert (swept.removed, swept.lost) == (2, 2)
    assert {known, young}.isdisjoint(stored(service))
    assert lost <= set(stored(service))
    assert sweep_orphans(service, 1, whole=True, even_lost=True).removed == 2


@pytest.mark.parametrize("together", [True, False])
def test_garbage_that_cannot_go_keeps_nothing_else(
    service: ObjectService, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    monkeypatch.setattr("dolium.objects.sweep._BATCH", 2)
    for number in range(5):
        put(service, bucket, f"k{number}", FILE)
        delete.delete(service, bucket, f"k{number}").result()
    stuck = stored(service)[:2]
    store = service.store(1)
    assert isinstance(store, Disk)
    real, real_many = store.delete, store.delete_many
    with monkeypatch.context() as patched:
        if together:
            patched.setattr(
                store, "delete_many", lambda keys: real_many([key for key in keys if key not in stuck])
            )
        else:
            patched.setattr("dolium.objects.sweep.unwrap", lambda *_: None)
            patched.setattr(store, "delete", lambda key: _fail(key) if key in stuck else real(key))
        assert sweep(service, now_ms=1 << 60) == 3
    assert stored(service) == stuck
    assert sweep(service, now_ms=1 << 60) == 2
    assert stored(service) == []


@pytest.mark.parametrize("together", [True, False])
def test_a_sweep_ends_when_it_is_told_to(
    service: ObjectService, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    """As a service does that ends: it does not wait for all garbage to go."""
    monkeypatch.setattr("dolium.objects.sweep._BATCH", 2)
    if not together:
        monkeypatch.setattr("dolium.objects.sweep.unwrap", lambda *_: None)
    for number in range(5):
        put(service, bucket, f"k{number}", FILE)
        delete.delete(service, bucket, f"k{number}").result()
    asked = iter([True, True, False] if not together else [True, False])
    assert sweep(service, now_ms=1 << 60, go_on=lambda: next(asked, False)) == (2 if together else 1)
    assert sweep(service, now_ms=1 << 60) == (3 if together else 4)


def test_a_sweep_that_races_with_writers_takes_nothing_that_is_published(
    service: ObjectService, bucket: Bucket
) -> None:
    """The fence is at this very moment all the time, so uploads that are under way are overtaken by it."""
    published: list[str] = []
    refused: list[str] = []
    ends = threading.Event()

    def write(name: str) -> None:
        number = 0
        while not ends.is_set():
            key = f"{name}{number}"
            number += 1
            try:
                put(service, bucket, key, key.encode() + FILE)
            except StoreUnavailable:
                refused.append(key)
            else:
                published.append(key)

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in writers:
        thread.start()
    removed = 0
    deadline = time.monotonic() + 30  # how often a sweep meets an upload is a matter of the machine
    while (len(published) < 100 or removed < 5) and time.monotonic() < deadline:
        fence_now(service)
        removed += sweep_orphans(service, 1, whole=True).removed
    ends.set()
    for thread in writers:
        thread.join()
    assert len(published) >= 10
    assert len(refused) >= removed >= 1
    for key in published:
        assert read(service, bucket, key) == key.encode() + FILE
