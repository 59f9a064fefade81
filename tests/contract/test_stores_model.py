"""Every store behaves like a dictionary."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from dolium.stores.contract import BlobStore
from dolium.stores.layers.layer import Layer
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.leaves.memory import Memory
from dolium.testing.faults import CountingStore, FailingChunks, FailingStore, SlowStore, TornStore
from dolium.testing.model import store_test
from dolium.values import Durability


@contextmanager
def _memory() -> Iterator[BlobStore]:
    yield Memory()


def _disk(
    wrap: Callable[[Disk], BlobStore] = lambda disk: disk, durability: Durability = Durability.RELAXED
) -> Callable[[], AbstractContextManager[BlobStore]]:
    @contextmanager
    def opener() -> Iterator[BlobStore]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "disk")
            Disk.initialise(root)
            yield wrap(Disk(Options(root, durability=durability)))

    return opener


TestMemory = store_test(_memory)
TestDisk = store_test(_disk())
TestStrictDisk = store_test(_disk(durability=Durability.STRICT), examples=10)
TestLayer = store_test(_disk(Layer), examples=10)
TestCountingStore = store_test(_disk(CountingStore), examples=10)
TestFailingStore = store_test(_disk(FailingStore), examples=10)
TestFailingChunks = store_test(_disk(FailingChunks), examples=10)
TestSlowStore = store_test(_disk(SlowStore), examples=10)
TestTornStore = store_test(_disk(TornStore), examples=10)
