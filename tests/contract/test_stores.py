"""Every store keeps the contract: the leaves, and the disk under each fault layer that is at rest."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dolium.stores.contract import BlobStore
from dolium.stores.layers.layer import Layer
from dolium.stores.leaves import syscalls
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.leaves.memory import Memory
from dolium.testing.faults import CountingStore, FailingChunks, FailingStore, SlowStore, TornStore
from dolium.testing.powers import (
    ChecksSuite,
    ChunksSuite,
    CopiesSuite,
    DeletesSuite,
    DescriptionsSuite,
    FilesSuite,
    PathsSuite,
    SpaceSuite,
)
from dolium.testing.stores import StoreSuite
from dolium.values import Durability


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """At the end nothing temporary is left, and no descriptor open."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    root = tmp_path / "disk"
    store = Disk(Options(root, expected_uuid=Disk.initialise(root)))
    yield store
    assert list((root / ".dolium-tmp").iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.fixture
def relaxed(disk: Disk, tmp_path: Path) -> Disk:
    return Disk(Options(tmp_path / "disk", durability=Durability.RELAXED))


class TestMemory(StoreSuite, ChunksSuite, DescriptionsSuite, SpaceSuite):
    @pytest.fixture
    def store(self) -> Memory:
        return Memory()


class DiskSuite(
    StoreSuite,
    ChecksSuite,
    ChunksSuite,
    CopiesSuite,
    DeletesSuite,
    DescriptionsSuite,
    FilesSuite,
    PathsSuite,
    SpaceSuite,
):
    """All that a disk store can."""

    @pytest.fixture
    def store(self, disk: Disk) -> BlobStore:
        return disk


class TestDisk(DiskSuite):
    pass


class TestRelaxedDisk(DiskSuite):
    @pytest.fixture
    def store(self, relaxed: Disk) -> Disk:
        return relaxed


class TestDiskWithoutAttributes(DiskSuite):
    """As on a file system that has none: every description is a sidecar."""

    @pytest.fixture
    def store(self, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Disk:
        def unsupported(*_arguments: object, **_options: object) -> None:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(syscalls, "setxattr", unsupported)
        monkeypatch.setattr(syscalls, "getxattr", unsupported)
        return disk


class TestDiskWithReflinks(DiskSuite):
    """As on a file system that shares bytes: here they are copied."""

    @pytest.fixture
    def store(self, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Disk:
        monkeypatch.setattr(
            syscalls, "clone", lambda target, source: os.write(target, os.pread(source, 1 << 20, 0))
        )
        return disk


class TestDiskWithoutOpenat2(DiskSuite):
    """As on an older kernel."""

    @pytest.fixture
    def store(self, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Disk:
        monkeypatch.setattr(syscalls, "_has_openat2", False)
        return disk


@pytest.mark.parametrize("layer", [Layer, CountingStore, FailingStore, SlowStore, TornStore])
class TestLayersAtRest(StoreSuite):
    @pytest.fixture
    def store(self, relaxed: Disk, layer: type[Layer]) -> Layer:
        return layer(relaxed)


class TestFailingChunksAtRest(StoreSuite, ChunksSuite):
    @pytest.fixture
    def store(self, relaxed: Disk) -> FailingChunks:
        return FailingChunks(relaxed)
