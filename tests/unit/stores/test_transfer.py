"""Copies between stores."""

from pathlib import Path

import pytest

from dolium.errors import BlobCorrupt, BlobNotFound, StoreFull, StoreUnavailable
from dolium.stores.leaves.disk import Disk
from dolium.stores.leaves.memory import Memory, Options
from dolium.stores.transfer import copy, read_bytes
from dolium.testing.faults import CountingStore, FailingStore, TornStore
from dolium.testing.powers import keys, put
from dolium.values import ByteRange


def test_a_copy_goes_from_any_store_to_any(disk: Disk) -> None:
    memory = Memory()
    data = bytes(range(256)) * 4096
    put(memory, "a", data)
    info = copy(memory, "a", disk, "b/c", description={"n": "1"})
    assert info == disk.stat("b/c")
    assert disk.description("b/c") == {"n": "1"}
    copy(disk, "b/c", memory, "d")
    assert read_bytes(memory, "d") == data
    assert read_bytes(memory, "d", range=ByteRange(1, 3)) == data[1:4]


def test_an_absent_source_is_not_found_and_nothing_is_made() -> None:
    target = Memory()
    with pytest.raises(BlobNotFound):
        copy(Memory(), "a", target, "b")
    assert keys(target) == []


def test_a_copy_that_does_not_read_back_is_removed(tmp_path: Path) -> None:
    source, target = Memory(), TornStore(Memory(), cut=5)
    put(source, "a", b"0123456789")
    with pytest.raises(BlobCorrupt):
        copy(source, "a", target, "b")
    assert keys(target) == []


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_source_that_fails_midway_leaves_nothing(nth: int) -> None:
    source, target = FailingStore(Memory()), Memory()
    put(source, "a", b"x" * 900_000)
    source.fail("read", StoreUnavailable("memory"), nth=nth)
    with pytest.raises(StoreUnavailable):
        copy(source, "a", target, "b")
    assert keys(target) == []


def test_a_full_target_says_so() -> None:
    source, target = Memory(), Memory(Options(capacity=5))
    put(source, "a", b"0123456789")
    with pytest.raises(StoreFull):
        copy(source, "a", target, "b")
    assert keys(target) == []


def test_the_target_is_read_back_and_the_source_read_once() -> None:
    source, target = CountingStore(Memory()), CountingStore(Memory())
    put(source, "a", b"x")
    copy(source, "a", target, "b")
    assert source.calls == {"put": 1, "get": 1, "read": 2}
    assert target.calls == {"put": 1, "get": 1, "read": 2}
