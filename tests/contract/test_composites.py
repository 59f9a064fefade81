"""Every composite keeps the contract: over memory, over disks, over both, with deadlines, and over each other."""

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dolium.stores.composites.cached import Cached, CacheOptions
from dolium.stores.composites.distributed import Distributed
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.health import Health
from dolium.stores.composites.hierarchical import Hierarchical
from dolium.stores.composites.members import Member
from dolium.stores.composites.replicated import Replicated
from dolium.stores.composites.routed import Routed
from dolium.stores.composites.shards import ShardedCache, Shards
from dolium.stores.contract import BlobStore
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.leaves.memory import Memory
from dolium.testing.caches import check_accounts
from dolium.testing.faults import FailingStore, HungStore, SlowStore, TornStore
from dolium.testing.powers import (
    ChecksSuite,
    ChunksSuite,
    CopiesSuite,
    DeletesSuite,
    DescriptionsSuite,
    FilesSuite,
    OriginSuite,
    PathsSuite,
    PlacesSuite,
    SpaceSuite,
)
from dolium.testing.stores import StoreSuite
from dolium.values import Durability


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[], Disk]]:
    """Makes disks; at the end nothing temporary is left, and no descriptor open once the threads of members have let
    go of what they answered with.
    """
    before = _descriptors()
    roots: list[Path] = []

    def make() -> Disk:
        roots.append(tmp_path / f"disk{len(roots)}")
        Disk.initialise(roots[-1])
        return Disk(Options(roots[-1], durability=Durability.RELAXED))

    yield make
    for root in roots:
        assert list((root / ".dolium-tmp").iterdir()) == []
    end = time.monotonic() + 10
    while _descriptors() != before and time.monotonic() < end:
        gc.collect()
        time.sleep(0.01)
    assert _descriptors() == before


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class RoutedSuite(StoreSuite, ChunksSuite, DescriptionsSuite, PlacesSuite, SpaceSuite):
    """What a composite of capable members can."""


@pytest.mark.parametrize("kind", [Hierarchical, Distributed])
class TestOverMemory(RoutedSuite):
    @pytest.fixture
    def store(self, kind: type[Routed]) -> Routed:
        return kind([Member(name, Memory()) for name in "abc"])


@pytest.mark.parametrize("kind", [Hierarchical, Distributed])
class TestOverBoth(RoutedSuite):
    @pytest.fixture
    def store(self, kind: type[Routed], disk: Callable[[], Disk]) -> Routed:
        return kind([Member("a", disk()), Member("b", Memory()), Member("c", disk(), weight=3)])


class TestWithDeadlines(RoutedSuite):
    """Every call in threads of the members' own."""

    @pytest.fixture
    def store(self, disk: Callable[[], Disk]) -> Distributed:
        return Distributed([Member(name, disk(), deadline_seconds=60.0) for name in "ab"])


@pytest.mark.parametrize("layer", [FailingStore, HungStore, SlowStore, TornStore])
@pytest.mark.parametrize("deadline", [None, 60.0])
class TestOverFaultsAtRest(StoreSuite, PlacesSuite):
    """Members that take no chunks."""

    @pytest.fixture
    def store(self, layer: type[SlowStore], deadline: float | None) -> Distributed:
        return Distributed([Member(name, layer(Memory()), deadline_seconds=deadline) for name in "ab"])


class TestNested(RoutedSuite):
    @pytest.fixture
    def store(self, disk: Callable[[], Disk]) -> Hierarchical:
        inner = Distributed([Member("a", disk()), Member("b", Memory())])
        return Hierarchical([Member("new", inner), Member("c", Memory()), Member("d", disk())])


class TestOfOne(RoutedSuite):
    @pytest.fixture
    def store(self) -> Distributed:
        return Distributed([Member("a", Memory())])


@pytest.mark.parametrize("deadline", [None, 60.0])
class TestGuardedDisk(
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
    @pytest.fixture
    def store(self, disk: Callable[[], Disk], deadline: float | None) -> BlobStore:
        return Guarded(disk(), "a", Health(), deadline_seconds=deadline)


class TestReplicatedOverBoth(StoreSuite, ChunksSuite, DescriptionsSuite, SpaceSuite):
    @pytest.fixture
    def store(self, disk: Callable[[], Disk]) -> Replicated:
        return Replicated([Member("a", Memory()), Member("b", disk())])


@pytest.mark.parametrize("deadline", [None, 60.0])
class TestReplicatedOverDisks(
    StoreSuite, ChecksSuite, ChunksSuite, DeletesSuite, DescriptionsSuite, FilesSuite, PathsSuite, SpaceSuite
):
    @pytest.fixture
    def store(self, disk: Callable[[], Disk], deadline: float | None) -> Replicated:
        return Replicated([Member(name, disk(), deadline_seconds=deadline) for name in "abc"], write_quorum=2)


class TestReplicatedOverFaultsAtRest(StoreSuite, ChunksSuite):
    """Members that take no chunks."""

    @pytest.fixture
    def store(self) -> Replicated:
        return Replicated([Member("a", FailingStore(Memory())), Member("b", Memory())])


class TestDistributedOverReplicated(RoutedSuite):
    """A replicated store is one place."""

    @pytest.fixture
    def store(self) -> Distributed:
        pairs = [Replicated([Member("1", Memory()), Member("2", Memory())]) for _ in range(2)]
        return Distributed([Member(name, pair) for name, pair in zip("ab", pairs, strict=True)])


@pytest.fixture
def cached(tmp_path: Path) -> Iterator[Callable[..., Cached]]:
    """Makes a cache in front of a store; at the end what is counted is what lies there."""
    made: list[Cached] = []

    def make(far: BlobStore, **options: float) -> Cached:
        made.append(Cached(far, CacheOptions(tmp_path / "cache", **options)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for store in made:
        store.close()
    check_accounts(tmp_path / "cache")


class TestCachedDisk(StoreSuite, ChunksSuite, DescriptionsSuite, PathsSuite, SpaceSuite, OriginSuite):
    @pytest.fixture
    def store(self, disk: Callable[[], Disk], cached: Callable[..., Cached]) -> Cached:
        return cached(disk())


class TestCachedMemoryAlwaysAsked(
    StoreSuite, ChunksSuite, DescriptionsSuite, PathsSuite, SpaceSuite, OriginSuite
):
    @pytest.fixture
    def store(self, cached: Callable[..., Cached]) -> Cached:
        return cached(Memory(), fresh_seconds=0.0, keep_writes=False)


class TestCachedBySmallBlocks(StoreSuite, PathsSuite, OriginSuite):
    """A far store without powers; most blobs are many blocks, and larger than what is fetched at once."""

    @pytest.fixture
    def store(self, cached: Callable[..., Cached]) -> Cached:
        return cached(FailingStore(Memory()), block_bytes=1000, eager_bytes=5000, fresh_seconds=0.0)


class TestCachedInLittleRoom(StoreSuite, ChunksSuite, DescriptionsSuite, PathsSuite, SpaceSuite, OriginSuite):
    """Most blobs are larger than the cache."""

    @pytest.fixture
    def store(self, cached: Callable[..., Cached]) -> Cached:
        return cached(Memory(), size_bytes=100_000, block_bytes=1 << 16)


class TestShardedCache(StoreSuite, ChunksSuite, DescriptionsSuite, PathsSuite, SpaceSuite, OriginSuite):
    """Three folders, one of them for nothing new; the blobs are in the two others."""

    @pytest.fixture
    def store(self, disk: Callable[[], Disk], tmp_path: Path) -> Iterator[ShardedCache]:
        far = disk()
        folders = [tmp_path / name for name in "abc"]
        store = ShardedCache(
            [Cached(far, CacheOptions(folder)) for folder in folders], Shards(list("abc"), [1, 0, 2])
        )
        yield store
        store.close()
        kept = [check_accounts(folder) for folder in folders]
        assert kept[1] == 0


class TestCachedMembers(RoutedSuite):
    @pytest.fixture
    def store(self, disk: Callable[[], Disk], tmp_path: Path) -> Iterator[Distributed]:
        options = CacheOptions(tmp_path / "cache")
        store = Distributed([Member(name, Cached(disk(), options, scope=name)) for name in "ab"])
        yield store
        store.close()
