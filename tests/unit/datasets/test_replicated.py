"""One dataset in several stores: what is acknowledged is in enough of them, and old bytes do not come back."""

import errno
import logging
import os
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dolium.datasets.concrete import ConcreteStore
from dolium.datasets.entry import build_object_store
from dolium.datasets.replicated import ReplicatedShelf
from dolium.datasets.store import ObjectStore
from dolium.errors import (
    ConfigError,
    DatasetNotFound,
    PartlyDone,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from dolium.stores.leaves import disk_identity
from dolium.values import ByteRange
from tests.unit.datasets.kit import Dataset, build, defaults, disk, group, write

FILE = "000/dataset_24.dat"
FILES: dict[str, Any] = {"extra_dir": "dataset_24_files", "alt_name": "a/report.html"}
FOLDER: dict[str, Any] = {"extra_dir": "dataset_24_files", "dir_only": True}


def copies(folder: Path, *names: str, **more: Any) -> dict[str, Any]:
    """Disks that know their identity: one whose folder is taken away is down."""
    children = []
    for one in names:
        name, _, state = one.partition(" ")
        uuid = disk_identity.initialise(folder / name)
        children.append(disk(folder, name, expected_uuid=uuid, **({"state": state} if state else {})))
    return group("replicated", *children, **{"id": "both", **more})


class Kit:
    """A replicated store over disks of this folder."""

    def __init__(self, folder: Path, *names: str, **more: Any) -> None:
        self.folder = folder
        self.store = build(folder, copies(folder, *names, **more))
        self.dataset = Dataset(24)

    def put(self, text: str, **where: Any) -> None:
        source = write(self.folder / "source", text)
        self.store.update_from_file(self.dataset, file_name=source, create=True, **where)

    def read(self, **where: Any) -> str:
        return self.store.get_data(self.dataset, **where).decode()

    def of(self, name: str, file: str = FILE) -> str | None:
        for place in (self.folder / name, self.folder / f"{name}.away"):
            if (place / file).exists():
                return (place / file).read_text()
        return None

    @contextmanager
    def down(self, *names: str) -> Any:
        for name in names:
            (self.folder / name).rename(self.folder / f"{name}.away")
        try:
            yield
        finally:
            for name in names:
                (self.folder / f"{name}.away").rename(self.folder / name)


@pytest.fixture
def two(tmp_path: Path) -> Kit:
    return Kit(tmp_path, "a", "b")


@pytest.fixture
def loose(tmp_path: Path) -> Kit:
    return Kit(tmp_path, "a", "b", write_quorum=1)


@pytest.fixture
def three(tmp_path: Path) -> Kit:
    return Kit(tmp_path, "a", "b", "c", write_quorum=2)


def test_one_place_with_one_id(two: Kit) -> None:
    store = two.store
    assert isinstance(store, ConcreteStore)
    two.put("x")
    assert two.dataset.object_store_id == "both"
    assert (two.of("a"), two.of("b")) == ("x", "x")
    assert store.object_store_ids() == ["both"]
    assert store.get_concrete_store_by_object_store_id("both") is store
    assert store.get_concrete_store_by_object_store_id("a") is None
    assert store.size(two.dataset) == 1
    assert store.get_filename(two.dataset) == str(two.folder / "a" / FILE)
    assert store.construct_path(two.dataset) == str(two.folder / "a" / FILE)
    with store.open(two.dataset, range=ByteRange(0, 0)) as reader:
        assert reader.read() == b"x"
    assert store.get_object_url(two.dataset) is None
    assert 0 < store.get_store_usage_percent() < 100
    assert store.delete(two.dataset)
    assert (two.of("a"), two.of("b")) == (None, None)
    assert not store.delete(two.dataset)
    assert not store.exists(two.dataset)
    with pytest.raises(DatasetNotFound):
        store.get_filename(two.dataset)
    with pytest.raises(DatasetNotFound):
        store.update_from_file(two.dataset, file_name=str(two.folder / "source"))


def test_what_is_there_is_not_created_again(two: Kit) -> None:
    two.put("x")
    two.store.create(two.dataset)
    assert two.read() == "x"


def test_reads_go_on_with_any_member(two: Kit) -> None:
    two.put("x")
    for name in ("a", "b"):
        with two.down(name):
            assert two.read() == "x"
            assert two.store.exists(two.dataset)
            with pytest.raises(StoreUnavailable):  # down is never not-found
                two.store.exists(Dataset(25))
    with two.down("a", "b"), pytest.raises(StoreUnavailable):
        two.store.size(two.dataset)


def test_too_few_members_leave_nothing(two: Kit) -> None:
    with two.down("b"), pytest.raises(StoreUnavailable, match="b is down"):
        two.put("x")
    assert (two.of("a"), two.of("b")) == (None, None)


def test_a_member_that_refuses_undoes_the_others(two: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, two.store, "b", StoreFull("b is full"))
    with pytest.raises(StoreFull):
        two.put("x")
    assert (two.of("a"), two.of("b")) == (None, None)
    with pytest.raises(OSError, match="absent"):
        two.store.update_from_file(two.dataset, file_name="/absent", create=True)
    assert two.of("a") is None


def refuse(monkeypatch: pytest.MonkeyPatch, store: ObjectStore, name: str, why: Exception) -> None:
    """Let a member fail each write of a dataset."""
    shelf = shelf_of(store, name)

    def fails(*_: object, **__: object) -> None:
        raise why

    monkeypatch.setattr(shelf, "_replace", fails)
    monkeypatch.setattr(shelf, "_create", fails)


def shelf_of(store: ObjectStore, name: str) -> Any:
    shelf: Any = store.leaves()[0].shelf
    return next(copy.shelf for copy in shelf.copies if copy.id == name)


def test_a_quorum_is_enough_for_new_data(loose: Kit) -> None:
    with loose.down("a"):
        loose.put("first")
        assert loose.read() == "first"
        loose.put("second")  # a has none of it, which b knows
        assert loose.read() == "second"
        other = build(loose.folder, copies_again(loose, write_quorum=1))
        assert other.get_data(loose.dataset) == b"second"
        loose.store.update_from_file(loose.dataset)
    assert loose.read() == "second"
    loose.put("third")  # all are there: who had none gets it
    assert (loose.of("a"), loose.of("b")) == ("third", "third")
    with loose.down("a"), pytest.raises(StoreUnavailable):
        loose.put("fourth")  # and a would keep the third
    assert loose.read() == "third"


def copies_again(kit: Kit, **more: Any) -> dict[str, Any]:
    """The same store, without looking at its disks."""
    return {**kit.store.to_dict(), **more}


def test_what_is_replaced_is_replaced_in_all_or_fails(loose: Kit) -> None:
    loose.put("old")
    for name in ("a", "b"):
        with loose.down(name):
            with pytest.raises(StoreUnavailable, match="old bytes"):
                loose.put("new")
            assert loose.read() == "old"
    assert (loose.of("a"), loose.of("b")) == ("old", "old")


def test_a_replacement_that_fails_midway_is_undone(three: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    three.put("old")
    with monkeypatch.context() as patch:
        refuse(patch, three.store, "c", StoreUnavailable("c", "c is down"))
        with pytest.raises(StoreUnavailable) as raised:
            three.put("new")
        assert not isinstance(raised.value, PartlyDone)
    assert [three.of(name) for name in "abc"] == ["old"] * 3
    three.put("new")
    assert [three.of(name) for name in "abc"] == ["new"] * 3


def test_what_cannot_be_undone_is_told(two: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    two.put("old")
    shelf_a, shelf_b = (shelf_of(two.store, name) for name in "ab")
    real, calls = shelf_a._replace, iter(range(9))

    def once(*args: Any, **more: Any) -> None:
        if next(calls):
            raise StoreUnavailable("a", "a is down")
        real(*args, **more)

    def fails(*_: object, **__: object) -> None:
        raise StoreFull("b is full")

    monkeypatch.setattr(shelf_a, "_replace", once)
    monkeypatch.setattr(shelf_b, "_replace", fails)
    with pytest.raises(PartlyDone, match="put it again"):
        two.put("new")
    monkeypatch.undo()
    two.put("new")
    assert (two.of("a"), two.of("b")) == ("new", "new")


def test_a_job_writes_in_place(two: Kit) -> None:
    two.store.create(two.dataset)
    Path(two.store.get_filename(two.dataset)).write_text("job")
    assert two.read() == "job"
    two.store.update_from_file(two.dataset)
    assert two.of("b") == "job"
    with two.down("a"):
        path = Path(two.store.get_filename(two.dataset))
        path.write_text("another job")
        with pytest.raises(StoreUnavailable):
            two.store.update_from_file(two.dataset)
    two.store.update_from_file(two.dataset)  # b's was written last
    assert two.of("a") == "another job"
    path = Path(two.store.get_filename(two.dataset))
    path.write_text("by name")
    two.store.update_from_file(two.dataset, file_name=str(path))
    assert two.of("b") == "by name"


def test_a_job_may_put_an_old_file_in_place(two: Kit) -> None:
    two.store.create(two.dataset)
    output = two.folder / "output"
    output.write_text("old file")
    os.utime(output, (1, 1))
    output.rename(two.store.get_filename(two.dataset))
    os.utime(two.folder / "b" / FILE)
    two.store.update_from_file(two.dataset)
    assert (two.of("a"), two.of("b")) == ("old file", "old file")


def test_a_job_that_wrote_while_the_first_was_down_is_not_lost(loose: Kit) -> None:
    loose.store.create(loose.dataset)
    with loose.down("a"):
        output = loose.folder / "output"
        output.write_text("old file")
        os.utime(output, (1, 1))
        output.rename(loose.store.get_filename(loose.dataset))
    loose.store.update_from_file(loose.dataset)  # an empty copy is never right
    assert (loose.of("a"), loose.of("b")) == ("old file", "old file")


def test_a_write_in_place_that_cannot_be_copied_is_told(two: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    two.store.create(two.dataset)
    Path(two.store.get_filename(two.dataset)).write_text("job")
    with monkeypatch.context() as patch:
        refuse(patch, two.store, "b", StoreFull("b is full"))
        with pytest.raises(StoreFull):
            two.store.update_from_file(two.dataset)
    assert two.read() == "job"  # nothing takes the job's bytes away
    two.store.update_from_file(two.dataset)
    assert two.of("b") == "job"


def test_delete_is_in_all_or_nowhere(loose: Kit) -> None:
    loose.put("x")
    with loose.down("b"), pytest.raises(StoreUnavailable, match="nothing is deleted"):
        loose.store.delete(loose.dataset)
    assert loose.read() == "x"
    assert loose.store.delete(loose.dataset)
    with loose.down("b"):
        loose.put("y")
        assert loose.store.delete(loose.dataset)  # b never had it
    assert not loose.store.exists(loose.dataset)
    assert [path for path in loose.folder.rglob("_dolium_missing/**/*") if path.is_file()] == []


def test_a_delete_that_fails_midway_is_told(two: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    two.put("x")

    def fails(*_: object, **__: object) -> bool:
        raise StoreUnavailable("a", "a is down")

    with monkeypatch.context() as patch:
        patch.setattr(shelf_of(two.store, "a"), "delete", fails)
        with pytest.raises(PartlyDone, match="not done in a"):
            two.store.delete(two.dataset)
    assert two.store.delete(two.dataset)
    assert not two.store.exists(two.dataset)


def test_files_beside_a_dataset(two: Kit) -> None:
    two.put("x")
    two.put("report", **FILES)
    for name in ("a", "b"):
        assert two.of(name, "000/dataset_24_files/a/report.html") == "report"
    assert two.store.get_filename(two.dataset, **FOLDER).endswith("a/000/dataset_24_files")
    assert two.store.delete(two.dataset, entire_dir=True, **FOLDER)
    assert not two.store.exists(two.dataset, **FILES)
    two.store.create(two.dataset, obj_dir=True, base_dir="job_work", dir_only=True)
    assert (two.folder / "jobs/000/24").is_dir()
    assert two.store.delete(two.dataset, entire_dir=True, obj_dir=True, base_dir="job_work", dir_only=True)


def test_a_folder_is_that_of_a_member_that_has_all_of_it(loose: Kit) -> None:
    loose.put("one", extra_dir="dataset_24_files", alt_name="one")
    with loose.down("a"):
        loose.put("two", extra_dir="dataset_24_files", alt_name="two")
    folder = Path(loose.store.get_filename(loose.dataset, **FOLDER))
    assert sorted(one.name for one in folder.iterdir()) == ["one", "two"]
    done = loose.store.repair(loose.dataset, **FOLDER)
    assert done is not None
    assert (done.right, done.repaired, done.whole) == (("b",), ("a",), True)
    with loose.down("b"):
        folder = Path(loose.store.get_filename(loose.dataset, **FOLDER))
        assert sorted(one.name for one in folder.iterdir()) == ["one", "two"]


def test_repair_makes_what_is_absent(loose: Kit, caplog: pytest.LogCaptureFixture) -> None:
    with loose.down("a"):
        loose.put("x")
    with caplog.at_level(logging.WARNING):
        loose.read()
        loose.read()
    assert caplog.text.count("000/dataset_24.dat has no copy in a") == 1
    done = loose.store.repair(loose.dataset)
    assert done is not None
    assert (done.right, done.repaired, done.whole) == (("b",), ("a",), True)
    with loose.down("b"):
        assert loose.read() == "x"
    with loose.down("a"):  # and it is known that a has it now
        with pytest.raises(StoreUnavailable):
            loose.put("y")
        again = loose.store.repair(loose.dataset)
        assert again is not None
        assert list(again.failed) == ["a"]
    with pytest.raises(DatasetNotFound):
        loose.store.repair(Dataset(25))


def test_a_note_that_is_out_of_date_is_outvoted(tmp_path: Path) -> None:
    kit = Kit(tmp_path, "a", "b", "c", write_quorum=1)
    with kit.down("b", "c"):
        kit.put("old")
    with kit.down("c"):
        kit.store.repair(kit.dataset)
        kit.put("older")  # c has none, as a and b say
    with kit.down("a"):
        kit.store.repair(kit.dataset)  # which a does not hear of
    assert kit.of("c") == "older"
    with kit.down("c"), pytest.raises(StoreUnavailable, match="old bytes"):
        kit.put("new")
    assert [kit.of(name) for name in "abc"] == ["older"] * 3


@pytest.mark.parametrize("rotten", ["a", "b", "c"])
def test_repair_goes_by_the_majority(three: Kit, rotten: str) -> None:
    three.put("right")
    (three.folder / rotten / FILE).write_text("wrong")
    done = three.store.repair(three.dataset)
    assert done is not None
    assert done.repaired == (rotten,)
    assert [three.of(name) for name in "abc"] == ["right"] * 3


def test_repair_by_the_word_of_people(two: Kit) -> None:
    two.put("right")
    (two.folder / "a" / FILE).write_text("wrong")
    done = two.store.repair(two.dataset, right="b")
    assert done is not None
    assert (done.right, done.repaired) == (("b",), ("a",))
    assert two.of("a") == "right"
    with pytest.raises(DatasetNotFound, match="nobody"):
        two.store.repair(two.dataset, right="nobody")
    single = build(two.folder, disk(two.folder, "c"))
    single.create(Dataset(24))
    assert single.repair(Dataset(24)) is None


def test_states_of_members(tmp_path: Path) -> None:
    Kit(tmp_path, "a", "b").put("x")
    closed = Kit(tmp_path, "a read-only", "b", write_quorum=1)
    assert closed.store.get_filename(closed.dataset) == str(tmp_path / "b" / FILE)  # one that can be written
    changes: tuple[Callable[[], object], ...] = (
        lambda: closed.put("y"),
        lambda: closed.store.delete(closed.dataset),
    )
    for change in changes:
        with pytest.raises(StoreReadOnly, match="read-only"):
            change()
    fresh = Dataset(25)
    closed.store.create(fresh)
    assert not (tmp_path / "a/000/dataset_25.dat").exists()
    with pytest.raises(StoreReadOnly, match="a is read-only"):
        Kit(tmp_path, "a read-only", "b").store.create(Dataset(26))
    leaving = Kit(tmp_path, "a draining", "b", write_quorum=1)
    leaving.put("y")
    assert (leaving.of("a"), leaving.of("b")) == (None, "y")
    off = Kit(tmp_path, "a", "b offline", write_quorum=1)
    for question in (off.store.get_data, off.store.delete, off.store.repair):
        with pytest.raises(StoreUnavailable, match="b is offline"):  # it might have it
            question(off.dataset)
    off.store.create(Dataset(27))


def test_it_is_built_again_from_its_dictionary(loose: Kit) -> None:
    said = loose.store.to_dict()
    again = build_object_store(said, defaults=defaults(Path("/elsewhere")))
    assert again.to_dict() == said
    with loose.down("b"):
        again.create(loose.dataset)
    assert loose.store.exists(loose.dataset)


def test_what_galaxy_is_told_of_it(tmp_path: Path) -> None:
    said = copies(
        tmp_path, "a", "b", name="Twice", description="in two rooms", device="ours", private=True,
        quota={"source": "safe"}, badges=[{"type": "backed_up"}], store_by="uuid",
    )  # fmt: skip
    for config in (said, group("distributed", said)):
        store = build(tmp_path, config)
        dataset = Dataset(24)
        store.create(dataset)
        assert store.get_store_by(dataset) == "uuid"
        assert store.get_concrete_store_name(dataset) == "Twice"
        assert store.is_private(dataset)
        assert store.get_quota_source_map().get_quota_source_label("both") == "safe"
        assert store.get_device_source_map().get_device_id("both") == "ours"
        badges = store.get_concrete_store_badges(dataset)
        assert [one["type"] for one in badges] == ["backed_up", "no_quota", "restricted"]
        again = build_object_store(store.to_dict(), defaults=defaults(tmp_path))
        assert again.to_dict() == store.to_dict()
        assert again.to_model("both") == store.to_model("both")


def test_without_an_id_it_is_called_after_its_first_member(tmp_path: Path) -> None:
    said = copies(tmp_path, "a", "b", id=None)
    store = build(tmp_path, said)
    assert store.object_store_ids() == ["copies-of-a"]
    assert build_object_store(store.to_dict()).object_store_ids() == ["copies-of-a"]
    with pytest.raises(ConfigError, match="give it one"):
        build(tmp_path, group("hierarchical", said, disk(tmp_path, "copies-of-a")))


def test_disks_without_an_identity_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build(tmp_path, copies(tmp_path, "a", "b"))
    assert "expected_uuid" not in caplog.text
    build(tmp_path, group("replicated", disk(tmp_path, "c")))
    assert f"dolium galaxy identify {tmp_path}/c" in caplog.text


def test_its_members_are_single_stores(tmp_path: Path) -> None:
    inner = group("hierarchical", disk(tmp_path, "a"))
    with pytest.raises(ConfigError, match="single stores"):
        build(tmp_path, group("replicated", inner, disk(tmp_path, "b")))


@pytest.mark.parametrize("kind", ["hierarchical", "distributed"])
def test_in_a_group_of_stores(tmp_path: Path, kind: str) -> None:
    config = group(kind, copies(tmp_path, "a", "b", write_quorum=1), disk(tmp_path, "c", state="draining"))
    store = build(tmp_path, config)
    kit = Kit(tmp_path, "a", "b")
    dataset = Dataset(24)
    with kit.down("a"):
        store.create(dataset)
        assert dataset.object_store_id == "both"
        chosen = Dataset(25, object_store_id="both")  # as Galaxy does with all outputs of a job but the first
        store.create(chosen)
        assert chosen.object_store_id == "both"
        for number in range(30, 40):  # the group is not taken for one that fails
            with pytest.raises(StoreUnavailable):
                store.get_data(Dataset(number))
            store.create(Dataset(number))
    with kit.down("b"):
        with pytest.raises(StoreUnavailable):
            store.get_data(dataset)
        with pytest.raises(StoreUnavailable):
            store.delete(dataset)
    assert store.get_data(dataset) == b""
    write(tmp_path / "c/000/dataset_50.dat", "old")
    moved = Dataset(50)
    store.update_from_file(moved, file_name=write(tmp_path / "source", "new"))
    assert (moved.object_store_id, store.get_data(moved)) == ("both", b"new")
    assert not (tmp_path / "c/000/dataset_50.dat").exists()


def test_a_delete_does_not_pass_a_named_group_of_which_a_member_is_down(tmp_path: Path) -> None:
    config = group("hierarchical", copies(tmp_path, "a", "b", write_quorum=1), disk(tmp_path, "c"))
    store = build(tmp_path, config)
    kit = Kit(tmp_path, "a", "b")
    dataset = Dataset(24, object_store_id="both")
    with kit.down("b"):
        store.update_from_file(dataset, file_name=write(tmp_path / "source", "x"), create=True)
    write(tmp_path / "c" / FILE, "an older copy")
    with kit.down("a"), pytest.raises(StoreUnavailable):
        store.delete(dataset)
    assert store.get_data(dataset) == b"x"


def test_full_members_let_the_dataset_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = build(tmp_path, group("hierarchical", copies(tmp_path, "a", "b"), disk(tmp_path, "c")))
    dataset = Dataset(24)
    store.create(dataset)
    refuse(monkeypatch, store, "b", StoreFull("b is full"))
    store.update_from_file(dataset, file_name=write(tmp_path / "source", "large"))
    assert (dataset.object_store_id, store.get_data(dataset)) == ("c", b"large")
    assert not any((tmp_path / name / FILE).exists() for name in "ab")


def test_members_change_while_it_runs(tmp_path: Path) -> None:
    names = {name: disk_identity.initialise(tmp_path / name) for name in "abc"}
    file = tmp_path / "stores.yml"

    def say(*members: str, quorum: int) -> None:
        lines = [
            f"      - {{id: {name}, type: disk, files_dir: {tmp_path}/{name}, expected_uuid: {names[name]}}}"
            for name in members
        ]
        head = ["type: hierarchical", "backends:", "  - id: both", "    type: replicated"]
        file.write_text("\n".join([*head, f"    write_quorum: {quorum}", "    backends:", *lines]))

    say("a", "b", quorum=2)
    store = build_object_store(file=file, defaults=defaults(tmp_path), reload_seconds=0)
    dataset = Dataset(24)
    store.create(dataset)
    first: Any = store.leaves()[0].shelf
    say("a", "b", "c", quorum=1)
    store.create(Dataset(25))
    second: Any = store.leaves()[0].shelf
    assert [copy.shelf for copy in second.copies][:2] == [copy.shelf for copy in first.copies]
    assert (tmp_path / "c/000/dataset_25.dat").exists()
    done = store.repair(dataset)
    assert done is not None
    assert done.repaired == ("c",)


def test_a_shelf_says_what_its_members_are(two: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = two.store.leaves()[0].shelf
    assert isinstance(shelf, ReplicatedShelf)
    shelf.start()
    shelf.probe()
    with two.down("b"), pytest.raises(StoreUnavailable):
        shelf.probe()

    def fails(_: str) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "statvfs", fails)
    assert shelf.space() is None
    two.store.shutdown()
