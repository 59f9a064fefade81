"""A whole service over a disk store and a catalog of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dolium.catalog import buckets, stores, tenancies
from dolium.catalog.buckets import Bucket
from dolium.catalog.sqlite import SqliteDatabase
from dolium.objects.service import Limits, ObjectService
from dolium.stores.leaves.disk import Disk, Options


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ObjectService]:
    root = tmp_path / "store"
    root.mkdir()
    uuid = Disk.initialise(root)
    database = SqliteDatabase(tmp_path)
    record = database.write(lambda tx: stores.add(tx, "default", "disk", uuid))
    disk = Disk(Options(root=root, expected_uuid=uuid), store_id="default")
    service = ObjectService(database, {record.id: disk}, record.id, Limits(grace_ms=0, part_bytes=1000))
    yield service
    service.close()


@pytest.fixture
def bucket(service: ObjectService) -> Bucket:
    tenancy = service.database.write(lambda tx: tenancies.add(tx, "climate"))
    return service.database.write(lambda tx: buckets.create(tx, tenancy.id, "cmip", None))
