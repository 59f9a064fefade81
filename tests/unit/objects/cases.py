"""A service to be tried, and the use cases of it: what each needs, does, and leaves when it is done."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dolium.catalog import buckets, fences, listing, objects, stores, tenancies
from dolium.catalog.buckets import Bucket
from dolium.catalog.sqlite import SqliteDatabase
from dolium.catalog.uploads import Upload
from dolium.errors import StoreError
from dolium.objects import delete, get, multipart
from dolium.objects.copy import CopyRequest, copy
from dolium.objects.get import ObjectReader
from dolium.objects.multipart import ChosenPart, PartIntake
from dolium.objects.orphans import sweep_orphans
from dolium.objects.put import Intake, PutRequest
from dolium.objects.receive import Digests
from dolium.objects.room import Room
from dolium.objects.service import Limits, ObjectService
from dolium.objects.sweep import sweep
from dolium.server.housekeeping import sweep_unborn
from dolium.server.stores import StoreNow
from dolium.stores.leaves.disk import Disk, Options
from dolium.testing.checker import Report, check

WIDE = '[["x-amz-meta-wide", "' + "w" * 5000 + '"]]'
"""Headers of an object whose description no attribute of ext4 holds."""
FAR = 1 << 60


@dataclass
class Stage:
    """A service over a disk store."""

    folder: Path
    service: ObjectService
    disk: Disk
    bucket: Bucket
    told: dict[str, bytes] = field(default_factory=dict)  # what lies under each key, as was said

    def put(self, key: str, data: bytes, *, headers: str = "[]", quota: int | None = None) -> None:
        intake = Intake(self.service, self.bucket, PutRequest(key, None, headers, len(data), quota=quota))
        intake.write(data)
        intake.finish().result()
        self.told[key] = data

    def read(self, key: str) -> bytes:
        row = get.find(self.service, self.bucket, key, with_body=False)
        reader = ObjectReader(self.service, row, 0, row.size)
        data = b""
        while piece := reader.read(1 << 20):
            data += piece
        reader.close()
        return data

    def delete(self, key: str) -> None:
        delete.delete(self.service, self.bucket, key).result()
        del self.told[key]

    def check(self) -> Report:
        """What is listed is what was told, and reads so; and the books agree. What else there is."""
        with self.service.database.reading() as read:
            page = listing.list_objects(read, self.bucket.id)
        assert {entry.key: entry.size for entry in page.entries} == {
            key: len(d) for key, d in self.told.items()
        }
        for key, data in self.told.items():
            assert self.read(key) == data
        report = check(self.folder, self.folder / "store")
        assert report.problems == []
        return report

    def sweep(self) -> None:
        """All that a start and its housekeeping do."""
        self.service.database.write(lambda tx: fences.raise_all(tx, time.time_ns()))
        sweep(self.service, now_ms=FAR)
        self.sweep_orphans()
        self.disk.sweep_temporaries()

    def sweep_orphans(self) -> None:
        """And the descriptions of blobs that did not come."""
        for record in stores.every(self.service.database):
            sweep_unborn(self.service, StoreNow(record, self.disk, self.disk))
            sweep_orphans(self.service, record.id)


@contextmanager
def staged(folder: Path, *, min_free: int = 0, grace_ms: int = 0) -> Iterator[Stage]:
    """Made in the folder, or as it was left there."""
    root = folder / "store"
    uuid = Disk.initialise(root)
    database = SqliteDatabase(folder)
    record = stores.find(database, "default") or database.write(
        lambda tx: stores.add(tx, "default", "disk", uuid)
    )
    options = Options(root=root, expected_uuid=uuid, probe_seconds=3600.0, min_free_bytes=min_free)
    disk = Disk(options, store_id="default")
    limits = Limits(inline_bytes=1000, grace_ms=grace_ms, part_bytes=1000)
    service = ObjectService(database, {record.id: disk}, record.id, limits, Room(folder, min_free))
    found = tenancies.every(database)
    tenancy = found[0] if found else database.write(lambda tx: tenancies.add(tx, "climate"))
    bucket = buckets.find(database, tenancy.id, "cmip") or database.write(
        lambda tx: buckets.create(tx, tenancy.id, "cmip", None)
    )
    try:
        yield Stage(folder, service, disk, bucket)
    finally:
        service.close()


class Case:
    """One use case: `prepare` what it needs under `key`, `run` it, and say what is there then."""

    def __init__(self, stage: Stage, key: str) -> None:
        self.stage, self.key = stage, key
        self.new = os.urandom(3000)

    def prepare(self) -> None:
        pass

    def run(self) -> None:
        raise AssertionError

    def done(self) -> None:
        self.stage.told[self.key] = self.new

    def finish(self) -> None:
        """Sees to it that what is there is complete, and removes it."""
        self.stage.delete(self.key)


class Fresh(Case):
    def run(self) -> None:
        self.stage.put(self.key, self.new)


class Wide(Case):
    """Its description lies beside it."""

    def run(self) -> None:
        self.stage.put(self.key, self.new, headers=WIDE)


class Overwrite(Fresh):
    def prepare(self) -> None:
        self.stage.put(self.key, b"old" * 1000)


class Large(Case):
    """Space is taken ahead, and writeback begins, while it comes."""

    def run(self) -> None:
        self.new = bytes(5 << 20)
        request = PutRequest(self.key, None, "[]", len(self.new))
        intake = Intake(self.stage.service, self.stage.bucket, request)
        try:
            for start in range(0, len(self.new), 1 << 20):
                intake.write_all([self.new[start : start + (1 << 20)]])
            intake.finish().result()
        except BaseException:
            intake.abort()
            raise


class UploadCase(Case):
    upload: Upload

    def prepare(self) -> None:
        self.upload = multipart.begin(
            self.stage.service, self.stage.bucket, self.key, owner_id=None, initiator="", headers="[]",
            algorithm=None, kind=None,
        ).result()  # fmt: skip

    def put_part(self, number: int, data: bytes) -> None:
        digests = Digests(md5=hashlib.md5(data).digest())
        intake = PartIntake(self.stage.service, self.upload, number, size=len(data), digests=digests)
        intake.write(data)
        intake.finish().result()

    def complete(self) -> None:
        parts = objects.parts_of(self.stage.service.database, self.upload.id)
        chosen = [ChosenPart(part.number, part.etag) for part in parts]
        multipart.complete(self.stage.service, self.stage.bucket, self.upload, chosen)
        self.stage.told[self.key] = self.new


class PartOfUpload(UploadCase):
    """Sent once more, in place of another."""

    def prepare(self) -> None:
        super().prepare()
        self.put_part(1, b"old" * 1000)

    def run(self) -> None:
        self.put_part(1, self.new)

    def done(self) -> None:
        pass

    def finish(self) -> None:
        self.complete()
        self.stage.check()
        super().finish()


class Complete(UploadCase):
    def prepare(self) -> None:
        super().prepare()
        for number in (1, 2):
            self.put_part(number, self.new[1500 * (number - 1) : 1500 * number])

    def run(self) -> None:
        self.complete()


class Copy(Case):
    def prepare(self) -> None:
        self.stage.put("source", self.new)

    def run(self) -> None:
        service, bucket = self.stage.service, self.stage.bucket
        source = get.find(service, bucket, "source", with_body=False)
        copy(service, bucket, source, bucket, CopyRequest(self.key, None, "[]"))


class Clone(Copy):
    """As on a file system that shares extents."""


class Delete(Fresh):
    """The blob of a deleted object goes by the sweep, which fails for no reason of the disk's."""

    def prepare(self) -> None:
        self.stage.put(self.key, self.new, headers=WIDE)
        self.stage.delete(self.key)

    def run(self) -> None:
        if sweep(self.stage.service, now_ms=FAR) == 0:
            raise StillThere

    def done(self) -> None:
        pass

    def finish(self) -> None:
        assert sweep(self.stage.service, now_ms=FAR) == 0


class StillThere(StoreError):
    """A sweep has put the blob off."""


class Orphans(Delete):
    """A blob that nothing names, and the description of one that never came."""

    def prepare(self) -> None:
        intake = Intake(self.stage.service, self.stage.bucket, PutRequest(self.key, None, WIDE, 3000))
        intake.write(self.new)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(self.stage.service.database, "submit", lambda _: None)
            intake.finish()
        self.stage.service.database.write(lambda tx: fences.raise_all(tx, time.time_ns()))

    def run(self) -> None:
        self.stage.sweep_orphans()

    def finish(self) -> None:
        assert list(self.stage.disk.list()) == [info for info in self.stage.disk.list() if info.size == 2000]
