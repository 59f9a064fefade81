"""Every composite behaves like a dictionary."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from dolium.stores.composites.cached import Cached, CacheOptions
from dolium.stores.composites.distributed import Distributed
from dolium.stores.composites.hierarchical import Hierarchical
from dolium.stores.composites.members import Member
from dolium.stores.composites.replicated import Replicated
from dolium.stores.contract import BlobStore
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.leaves.memory import Memory
from dolium.testing.caches import check_accounts
from dolium.testing.faults import FailingStore
from dolium.testing.model import store_test
from dolium.values import Durability


def _over_disks(
    build: Callable[[list[Member]], BlobStore],
) -> Callable[[], AbstractContextManager[BlobStore]]:
    @contextmanager
    def opener() -> Iterator[BlobStore]:
        with ExitStack() as stack:
            members = []
            for name in "ab":
                root = Path(stack.enter_context(tempfile.TemporaryDirectory()), "disk")
                Disk.initialise(root)
                members.append(Member(name, Disk(Options(root, durability=Durability.RELAXED))))
            yield build(members)

    return opener


def _over_memory(
    build: Callable[[list[Member]], BlobStore],
) -> Callable[[], AbstractContextManager[BlobStore]]:
    @contextmanager
    def opener() -> Iterator[BlobStore]:
        yield build([Member("a", Memory()), Member("b", FailingStore(Memory())), Member("c", Memory())])

    return opener


def _cached(
    far: Callable[[], BlobStore] = Memory, **options: float
) -> Callable[[], AbstractContextManager[BlobStore]]:
    @contextmanager
    def opener() -> Iterator[BlobStore]:
        with tempfile.TemporaryDirectory() as folder:
            store = Cached(far(), CacheOptions(Path(folder), **options))  # type: ignore[arg-type]
            yield store
            store.close()
            check_accounts(Path(folder))

    return opener


TestHierarchicalOverDisks = store_test(_over_disks(Hierarchical), examples=15)
TestHierarchicalOverMemory = store_test(_over_memory(Hierarchical), examples=15)
TestDistributedOverDisks = store_test(_over_disks(Distributed), examples=15)
TestDistributedOverMemory = store_test(_over_memory(Distributed), examples=15)
TestReplicatedOverDisks = store_test(_over_disks(Replicated), examples=15)
TestReplicatedOverBoth = store_test(
    _over_disks(lambda members: Replicated([Member("m", Memory()), *members], write_quorum=2)), examples=15
)
TestCached = store_test(_cached(), examples=10)
TestCachedBySmallBlocks = store_test(
    _cached(lambda: FailingStore(Memory()), block_bytes=7, eager_bytes=30, fresh_seconds=0.0), examples=10
)
TestCachedInLittleRoom = store_test(_cached(size_bytes=60, block_bytes=16), examples=10)
