"""Every call that the use cases make to the disk of a store fails, at each place where it is made: an object is whole
old or whole new, the books agree, and what is left is swept.

The store alone is tested so in `tests/unit/stores/test_disk_faults.py`; here is what stands on it.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dolium.catalog.sqlite import SqliteDatabase
from dolium.errors import (
    BlobCorrupt,
    DoliumError,
    QuotaExceeded,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from dolium.objects.room import Room
from dolium.objects.service import Limits, ObjectService
from dolium.objects.sweep import sweep
from dolium.stores.leaves import syscalls
from dolium.stores.leaves.disk import Disk, Options
from dolium.testing.catalog_faults import faulty_catalogs
from dolium.testing.checker import check
from dolium.testing.disk_faults import failing_calls
from tests.unit.objects.cases import (
    FAR,
    WIDE,
    Case,
    Clone,
    Complete,
    Copy,
    Delete,
    Fresh,
    Large,
    Orphans,
    Overwrite,
    PartOfUpload,
    Stage,
    StillThere,
    UploadCase,
    Wide,
    staged,
)

EVERY = (
    "create", "open_beneath", "write", "fsync", "rename", "unlink", "mkdir", "link", "setxattr", "getxattr", "pread",
    "close", "preallocate", "start_writeback", "clone",
)  # fmt: skip
CODES: dict[int, type[StoreError]] = {
    errno.EIO: StoreUnavailable,
    errno.ENOSPC: StoreFull,
    errno.EDQUOT: StoreFull,
    errno.EROFS: StoreReadOnly,
    errno.EMFILE: StoreUnavailable,
    errno.ESTALE: StoreUnavailable,
}


@pytest.fixture(autouse=True)
def _quick_disk_like_ext4(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Attributes hold 4,000 bytes; syncs do nothing, for nobody cuts the power here."""
    real = syscalls.setxattr

    def limited(file: int, name: str, value: bytes) -> None:
        if len(value) > 4000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, name, value)

    monkeypatch.setattr(syscalls, "setxattr", limited)
    monkeypatch.setattr(syscalls, "fsync", lambda _: None)
    with faulty_catalogs():
        yield


def _copy_bytes(target: int, source: int) -> None:
    os.sendfile(target, source, 0, os.fstat(source).st_size)


CASES: list[type[Case]] = [
    Fresh, Wide, Overwrite, Large, PartOfUpload, Complete, Copy, Clone, Delete, Orphans,
]  # fmt: skip
FOR_GOOD = (errno.EIO, errno.ENOSPC, errno.EROFS)


@pytest.mark.parametrize(
    ("code", "for_good"),
    [*((code, False) for code in CODES), *((code, True) for code in FOR_GOOD)],
    ids=lambda part: errno.errorcode[part] if type(part) is int else "for-good" if part else "once",
)
@pytest.mark.parametrize("case", CASES)
def test_whatever_fails_it_is_whole_old_or_whole_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: type[Case], code: int, *, for_good: bool
) -> None:
    if case is Clone:
        monkeypatch.setattr(syscalls, "clone", _copy_bytes)
    with staged(tmp_path) as stage:
        stage.put("near", b"stays" * 400)
        left: set[str] = set()  # of calls before, by an unlink that failed
        for nth in range(1, 100):
            at_work = case(stage, f"k{nth}")
            at_work.prepare()
            failure: DoliumError | None = None
            with failing_calls(*EVERY, code=code, nth=nth, for_good=for_good) as calls:
                try:
                    at_work.run()
                except DoliumError as error:
                    failure = error
            if not calls.failed:
                assert nth > 1
                assert failure is None
                at_work.done()
                at_work.finish()
                break
            if failure is not None:
                # Of a source that cannot be read nothing is said but that; the store has others.
                unread = (
                    BlobCorrupt
                    if code == errno.EIO and calls.failed[0] in {"getxattr", "pread"}
                    else CODES[code]
                )
                assert isinstance(failure, (CODES[code], StillThere, unread))
                assert str(tmp_path) not in failure.message
            if code == errno.EIO and failure is not None and {"fsync", "write", "rename"} & set(calls.failed):
                assert stage.disk.suspect
            if stage.disk.suspect:
                with pytest.raises(StoreUnavailable):
                    stage.read("near")
                stage.disk.probe()
            if failure is None:
                at_work.done()
            report = stage.check()
            found = {*report.temporaries, *report.sidecars}
            assert "unlink" in calls.failed or case is Orphans or found <= left
            left |= found
            if failure is not None:
                at_work.run()
                at_work.done()
                stage.check()
            at_work.finish()
        else:
            raise AssertionError("it makes fewer calls")
        stage.sweep()
        stage.check()
        report = check(tmp_path, tmp_path / "store")
        assert report.leftovers == []


# Full.


@contextmanager
def full_disk() -> Iterator[None]:
    """No call that takes space finds any."""
    takers = (
        "create",
        "write",
        "rename",
        "mkdir",
        "link",
        "setxattr",
        "preallocate",
        "start_writeback",
        "clone",
    )
    with failing_calls(*takers, code=errno.ENOSPC, nth=1, for_good=True) as calls:
        yield
    assert calls.failed


def uploads_are_refused(stage: Stage) -> None:
    for case in (Fresh, Wide, Overwrite, Large, Copy):
        at_work = case(stage, "near")
        with pytest.raises(StoreFull):
            at_work.run()


def test_on_a_full_disk_uploads_are_refused_and_deletes_give_space_back(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        for key in ("near", "source", "other", "wide"):
            stage.put(key, os.urandom(3000), headers=WIDE if key == "wide" else "[]")
        with full_disk():
            uploads_are_refused(stage)
            assert not stage.disk.suspect
            stage.check()
            stage.delete("other")
            stage.delete("wide")
            assert sweep(stage.service, now_ms=FAR) == 2
            stage.check()
        stage.put("other", b"again" * 1000)
        stage.sweep()
        assert check(tmp_path, tmp_path / "store").leftovers == []


def test_where_the_least_space_is_reached_uploads_are_refused_and_deletes_work(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        for key in ("near", "source", "other"):
            stage.put(key, os.urandom(3000))
    uuid = Disk.initialise(tmp_path / "store")
    full = Options(root=tmp_path / "store", expected_uuid=uuid, min_free_bytes=FAR)
    database = SqliteDatabase(tmp_path)
    service = ObjectService(
        database, {1: Disk(full)}, 1, Limits(inline_bytes=1000, grace_ms=0), Room(tmp_path, FAR)
    )
    full_stage = Stage(tmp_path, service, Disk(full), stage.bucket, stage.told)
    uploads_are_refused(full_stage)
    with pytest.raises(StoreFull):
        full_stage.put("small", b"in the catalog")
    with pytest.raises(StoreFull):
        UploadCase(full_stage, "upload").prepare()
    full_stage.delete("other")
    full_stage.delete("near")
    assert sweep(service, now_ms=FAR) == 2
    full_stage.check()
    service.close()


def test_at_a_full_quota_deletes_work(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        stage.put("near", b"x" * 3000)
        for size in (500, 3000):
            with pytest.raises(QuotaExceeded):
                stage.put("more", b"x" * size, quota=3000)
        stage.put("near", b"y" * 2000, quota=0)  # it shrinks
        stage.delete("near")
        stage.put("more", b"x" * 3000, quota=3000)
        stage.sweep()
        stage.check()
        assert check(tmp_path, tmp_path / "store").leftovers == []
