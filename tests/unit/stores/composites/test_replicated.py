"""Replicated stores: quorum, reads that fall through, repair, deletes that are whole."""

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from dolium.errors import (
    BlobCorrupt,
    BlobNotFound,
    BodyTruncated,
    ConfigError,
    Conflict,
    PartlyDone,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from dolium.stores.composites.guarded import Guarded
from dolium.stores.composites.health import Health
from dolium.stores.composites.members import Member
from dolium.stores.composites.placement import State
from dolium.stores.composites.replica_streams import CopySums
from dolium.stores.composites.replicated import Replicated
from dolium.stores.contract import DeletesMany, HasSomeFiles, PutOptions, unwrap
from dolium.stores.leaves.disk import Disk, Options
from dolium.stores.leaves.memory import Memory
from dolium.stores.stream import IterableReader
from dolium.stores.transfer import read_bytes
from dolium.testing.faults import FailingChunks, HungStore
from dolium.testing.powers import keys, put
from dolium.values import Durability

DOWN = StoreUnavailable("x", "down")
CORRUPT = BlobCorrupt("damaged")


@pytest.fixture
def leaves() -> list[FailingChunks]:
    return [FailingChunks(Memory()) for _ in range(3)]


@pytest.fixture
def damaged() -> list[str]:
    """The keys that were told as damaged."""
    return []


@pytest.fixture
def store(leaves: list[FailingChunks], damaged: list[str]) -> Replicated:
    members = [Member(name, leaf) for name, leaf in zip("abc", leaves, strict=True)]
    return Replicated(members, write_quorum=2, on_damage=lambda key, _: damaged.append(key))


def _down(leaf: FailingChunks) -> None:
    for verb in ("open_writer", "get", "stat", "list", "delete"):
        leaf.fail(verb, DOWN, for_good=True)


def _bytes(leaves: list[FailingChunks], key: str = "x") -> list[bytes | None]:
    return [read_bytes(leaf.child, key) if key in keys(leaf.child) else None for leaf in leaves]


# Writes.


def test_every_member_gets_it(store: Replicated, leaves: list[FailingChunks], damaged: list[str]) -> None:
    written = store.write("x", io.BytesIO(b"bytes"))
    assert (written.members, written.missing) == (("a", "b", "c"), {})
    assert _bytes(leaves) == [b"bytes"] * 3
    assert damaged == []


@pytest.mark.parametrize("verb", ["open_writer", "write", "commit"])
@pytest.mark.parametrize("error", [DOWN, StoreFull("full"), StoreReadOnly("read-only")])
def test_a_quorum_is_enough_and_who_is_missing_is_named(
    store: Replicated, leaves: list[FailingChunks], damaged: list[str], verb: str, error: StoreError
) -> None:
    leaves[0].fail(verb, error)
    written = store.write("x", io.BytesIO(b"bytes"))
    assert written.members == ("b", "c")
    assert written.missing == {"a": error}
    assert _bytes(leaves) == [None, b"bytes", b"bytes"]
    assert damaged == ["x"]
    assert store.stat("x") == written.info
    assert read_bytes(store, "x") == b"bytes"


@pytest.mark.parametrize("verb", ["open_writer", "write", "commit"])
def test_less_than_a_quorum_is_nothing(store: Replicated, leaves: list[FailingChunks], verb: str) -> None:
    for leaf in leaves[:2]:
        leaf.fail(verb, DOWN)
    with pytest.raises(StoreUnavailable):
        put(store, "x", b"bytes")
    assert _bytes(leaves) == [None] * 3
    for leaf in leaves[1:]:
        leaf.fail(verb, DOWN)
    with pytest.raises(StoreUnavailable) as raised:
        put(store, "x", b"bytes")
    assert not isinstance(raised.value, PartlyDone), "the copy in the first was taken back"
    assert _bytes(leaves) == [None] * 3


def test_a_copy_that_cannot_be_taken_back_is_named(store: Replicated, leaves: list[FailingChunks]) -> None:
    for leaf in leaves[1:]:
        leaf.fail("commit", DOWN)
    leaves[0].fail("delete", DOWN)
    with pytest.raises(PartlyDone) as raised:
        put(store, "x", b"bytes")
    assert raised.value.left == ("a",)


def test_what_is_replaced_needs_every_member(store: Replicated, leaves: list[FailingChunks]) -> None:
    """Else the old bytes come back from the one that was away."""
    put(store, "x", b"old")
    for verb in ("open_writer", "write"):
        leaves[2].fail(verb, DOWN)
        with pytest.raises(StoreUnavailable) as raised:
            put(store, "x", b"new")
        assert not isinstance(raised.value, PartlyDone)
        assert _bytes(leaves) == [b"old"] * 3
    leaves[2].fail("commit", DOWN)
    with pytest.raises(PartlyDone) as raised:
        put(store, "x", b"new")
    assert (raised.value.done, raised.value.left) == (("a", "b"), ("c",))
    put(store, "x", b"newer")
    assert _bytes(leaves) == [b"newer"] * 3


def test_without_a_quorum_all_must_have_it(leaves: list[FailingChunks]) -> None:
    store = Replicated([Member(name, leaf) for name, leaf in zip("abc", leaves, strict=True)])
    leaves[1].fail("commit", DOWN)
    with pytest.raises(StoreUnavailable):
        put(store, "x", b"bytes")
    assert _bytes(leaves) == [None] * 3


def test_a_conflict_in_one_is_one_of_all(store: Replicated, leaves: list[FailingChunks]) -> None:
    leaves[1].fail("commit", cast("StoreError", Conflict("in the way")))
    with pytest.raises(Conflict):
        put(store, "x", b"bytes")
    assert _bytes(leaves) == [None] * 3


def test_a_body_that_fails_leaves_nothing_anywhere(store: Replicated, leaves: list[FailingChunks]) -> None:
    def body() -> Iterator[bytes]:
        yield b"x" * 1_000_000
        raise DOWN

    with pytest.raises(StoreUnavailable) as raised:
        store.put("x", IterableReader(body()))
    assert raised.value is DOWN
    with pytest.raises(BodyTruncated):
        store.put("x", io.BytesIO(b"x"), options=PutOptions(size=2))
    assert _bytes(leaves) == [None] * 3


@pytest.mark.parametrize("quorum", [0, 4])
def test_a_quorum_that_cannot_be_is_refused(leaves: list[FailingChunks], quorum: int) -> None:
    with pytest.raises(ConfigError):
        Replicated(
            [Member(name, leaf) for name, leaf in zip("abc", leaves, strict=True)], write_quorum=quorum
        )


def test_a_member_that_hangs_is_one_that_is_missing() -> None:
    """It takes no chunks either: its body waits in a file."""
    hung = HungStore(Memory())
    members = [Member("a", hung, deadline_seconds=0.1), Member("b", Memory()), Member("c", Memory())]
    store = Replicated(members, write_quorum=2)
    assert store.write("x", io.BytesIO(b"bytes" * 1000)).members == ("a", "b", "c")
    assert read_bytes(hung, "x") == b"bytes" * 1000
    hung.hang("put")
    assert set(store.write("y", io.BytesIO(b"bytes")).missing) == {"a"}
    hung.release()


# Reads.


@pytest.mark.parametrize("verb", ["get", "read"])
@pytest.mark.parametrize("error", [DOWN, CORRUPT])
def test_a_copy_that_cannot_be_read_is_passed_over(
    store: Replicated, leaves: list[FailingChunks], damaged: list[str], verb: str, error: StoreError
) -> None:
    put(store, "x", b"bytes" * 100_000)
    leaves[0].fail(verb, error)
    leaves[1].fail(verb, error)
    assert read_bytes(store, "x") == b"bytes" * 100_000
    assert damaged == (["x"] if error is CORRUPT else [])


def test_an_error_that_comes_late_passes(store: Replicated, leaves: list[FailingChunks]) -> None:
    put(store, "x", b"x" * 3_000_000)
    with store.get("x") as reader:
        reader.read(1000)
        leaves[0].fail("read", DOWN)
        with pytest.raises(StoreUnavailable):
            reader.read()


def test_absent_needs_the_word_of_every_member(store: Replicated, leaves: list[FailingChunks]) -> None:
    with pytest.raises(BlobNotFound):
        store.stat("x")
    for leaf in leaves:
        _down(leaf)
        with pytest.raises(StoreUnavailable):
            store.stat("x")
        with pytest.raises(StoreUnavailable):
            list(store.list())
        leaf.heal()
        for guard in map(store.member, "abc"):
            guard.probe()


def test_a_copy_that_is_gone_is_told(
    store: Replicated, leaves: list[FailingChunks], damaged: list[str]
) -> None:
    put(store, "x", b"bytes")
    leaves[0].child.delete("x")
    assert store.stat("x").size == 5
    assert damaged == ["x"]
    store.on_damage = lambda key, _: store.repair(key)
    assert read_bytes(store, "x") == b"bytes"
    assert _bytes(leaves) == [b"bytes"] * 3


def test_if_all_copies_are_damaged_that_is_said(store: Replicated, leaves: list[FailingChunks]) -> None:
    put(store, "x", b"bytes")
    for leaf in leaves:
        leaf.fail("get", CORRUPT)
    with pytest.raises(BlobCorrupt):
        store.get("x")


# Deletes.


def test_a_copy_that_is_a_file_is_given_as_one(tmp_path: Path, damaged: list[str]) -> None:
    Disk.initialise(tmp_path / "a")
    disk, far = Disk(Options(tmp_path / "a", durability=Durability.RELAXED)), Memory()
    members = [Member("a", disk), Member("far", far)]
    store = Replicated(members, on_damage=lambda key, _: damaged.append(key), keys_recur=False)
    put(store, "x", b"bytes")
    power = unwrap(Guarded(store, "pair", Health()), HasSomeFiles)
    assert power is not None
    opened = power.open_if_file("x")
    assert opened is not None
    descriptor, size, sums = opened
    assert (os.pread(descriptor, 10, 0), size) == (b"bytes", 5)
    os.close(descriptor)
    assert isinstance(sums, CopySums)
    sums.distrust(BlobCorrupt("it cannot be read"))
    assert power.open_if_file("x") is None, "the other copy is read first, and is no file"
    assert damaged == ["x"]
    store.distrusted.clear()
    (tmp_path / "a" / "x").unlink()
    assert power.open_if_file("x") is None
    assert read_bytes(store, "x") == b"bytes"
    assert power.open_if_file("nothing") is None
    assert unwrap(Replicated([Member("m", Memory()), Member("n", Memory())]), HasSomeFiles) is None
    assert unwrap(Replicated([Member("a", disk), Member("b", disk)]), HasSomeFiles) is None


def test_of_many_only_those_are_gone_that_are_gone_everywhere(tmp_path: Path) -> None:
    disks = []
    for name in "ab":
        Disk.initialise(tmp_path / name)
        disks.append(Disk(Options(tmp_path / name, durability=Durability.RELAXED)))
    store = Replicated([Member(name, disk) for name, disk in zip("ab", disks, strict=True)], keys_recur=False)
    for key in "xyz":
        put(store, key, b"bytes")
    many = unwrap(store, DeletesMany)
    assert many is not None
    assert many.delete_many(["x", "absent"]) == {"x", "absent"}
    (tmp_path / "b").rename(tmp_path / "away")
    assert many.delete_many(["y"]) == set()
    (tmp_path / "away").rename(tmp_path / "b")
    assert [keys(disk) for disk in disks] == [["z"], ["y", "z"]]
    assert many.delete_many(["y"]) == {"y"}
    store.member("a").health.state = State.READ_ONLY
    with pytest.raises(StoreReadOnly):
        many.delete_many(["z"])
    assert [keys(disk) for disk in disks] == [["z"], ["z"]]


def test_a_delete_is_whole_or_says_what_is_left(store: Replicated, leaves: list[FailingChunks]) -> None:
    put(store, "x", b"bytes")
    leaves[1].fail("delete", DOWN)
    with pytest.raises(PartlyDone) as raised:
        store.delete("x")
    assert (raised.value.done, raised.value.left) == (("c", "a"), ("b",))
    assert _bytes(leaves) == [None, b"bytes", None]
    store.delete("x")
    assert _bytes(leaves) == [None] * 3


def test_of_a_read_only_member_nothing_is_deleted_anywhere(
    store: Replicated, leaves: list[FailingChunks]
) -> None:
    put(store, "x", b"bytes")
    store.member("b").health.state = State.READ_ONLY
    with pytest.raises(StoreReadOnly):
        store.delete("x")
    assert _bytes(leaves) == [b"bytes"] * 3


# Repair.


def _lay(leaves: list[FailingChunks], *copies: bytes | None) -> None:
    for leaf, copy in zip(leaves, copies, strict=True):
        if copy is not None:
            put(leaf.child, "x", copy, {"of": "x"})


@pytest.mark.parametrize(
    ("copies", "right", "repaired"),
    [
        ((b"good", b"good", b"good"), "abc", ""),
        ((b"good", None, b"good"), "ac", "b"),
        ((None, None, b"good"), "c", "ab"),
        ((b"evil", b"good", b"good"), "bc", "a"),
        ((b"good", b"longer", b"good"), "ac", "b"),
    ],
)
def test_what_is_missing_or_wrong_is_made_like_the_others(
    store: Replicated,
    leaves: list[FailingChunks],
    copies: tuple[bytes | None, ...],
    right: str,
    repaired: str,
) -> None:
    _lay(leaves, *copies)
    done = store.repair("x")
    assert (done.right, done.repaired, done.failed) == (tuple(right), tuple(repaired), {})
    assert done.whole
    assert _bytes(leaves) == [b"good"] * 3


def test_the_description_is_repaired_too() -> None:
    memories = [Memory(), Memory()]
    store = Replicated([Member(name, one) for name, one in zip("ab", memories, strict=True)])
    put(memories[1], "x", b"bytes", {"of": "x"})
    assert store.repair("x").whole
    assert memories[0].description("x") == {"of": "x"}


def test_if_nobody_can_tell_what_is_right_nothing_is_touched(
    store: Replicated, leaves: list[FailingChunks]
) -> None:
    _lay(leaves, b"one", b"two", None)
    done = store.repair("x")
    assert (done.right, done.repaired, set(done.failed), done.whole) == ((), (), {"a", "b", "c"}, False)
    assert _bytes(leaves) == [b"one", b"two", None]
    done = store.repair("x", sha256=hashlib.sha256(b"two").digest())
    assert (done.right, done.repaired, done.whole) == (("b",), ("a", "c"), True)
    assert _bytes(leaves) == [b"two"] * 3


def test_a_majority_does_not_overrule_the_digest(store: Replicated, leaves: list[FailingChunks]) -> None:
    _lay(leaves, b"evil", b"evil", b"good")
    assert store.repair("x", sha256=hashlib.sha256(b"good").digest()).repaired == ("a", "b")
    assert _bytes(leaves) == [b"good"] * 3
    assert not store.repair("x", sha256=hashlib.sha256(b"gone").digest()).right
    assert _bytes(leaves) == [b"good"] * 3


def test_a_copy_that_its_store_calls_damaged_is_made_anew(
    store: Replicated, leaves: list[FailingChunks]
) -> None:
    _lay(leaves, b"good", b"good", b"good")
    leaves[1].fail("read", CORRUPT)
    assert store.repair("x").repaired == ("b",)


def test_repair_of_one_that_is_down_fails_and_says_so(store: Replicated, leaves: list[FailingChunks]) -> None:
    _lay(leaves, b"good", None, None)
    _down(leaves[1])
    done = store.repair("x")
    assert (done.right, done.repaired) == (("a",), ("c",))
    assert isinstance(done.failed["b"], StoreUnavailable)
    assert not done.whole
    leaves[0].child.delete("x")
    leaves[2].child.delete("x")
    with pytest.raises(StoreUnavailable):
        store.repair("x")
    leaves[1].heal()
    store.member("b").probe()
    with pytest.raises(BlobNotFound):
        store.repair("x")
