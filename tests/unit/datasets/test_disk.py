"""A store on one disk: paths are the files, writes are whole, down is not gone."""

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from dolium.datasets.entry import build_object_store
from dolium.datasets.store import ObjectStore
from dolium.errors import (
    BlobCorrupt,
    Conflict,
    DatasetInvalid,
    DatasetNotFound,
    RangeNotSatisfiable,
    StoreFull,
    StoreUnavailable,
)
from dolium.stores.leaves import disk_identity, syscalls
from dolium.values import ByteRange
from tests.unit.datasets.kit import Dataset, build, defaults, disk, write


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return build(tmp_path, disk(tmp_path, "one"))


def test_what_galaxy_tests_of_a_disk(tmp_path: Path, store: ObjectStore) -> None:
    absent, empty, hello, fresh, old = (Dataset(number) for number in range(1, 6))
    write(tmp_path / "one/000/dataset_2.dat", "")
    write(tmp_path / "one/000/dataset_3.dat", "Hello World!")
    gone = write(tmp_path / "one/000/dataset_5.dat", "content to be deleted!")
    assert not store.exists(absent)
    assert store.exists(empty)
    assert store.empty(empty)
    assert not store.empty(hello)
    assert store.get_data(hello) == b"Hello World!"
    assert store.get_data(hello, start=1, count=6) == b"ello W"
    assert (store.size(absent), store.size(empty), store.size(hello)) == (0, 0, 12)
    assert 0 < store.get_store_usage_percent() < 100
    store.update_from_file(fresh, file_name=write(tmp_path / "output", "NEW CONTENTS"), create=True)
    assert (tmp_path / "one/000/dataset_4.dat").read_text() == "NEW CONTENTS"
    assert store.delete(old)
    assert not store.exists(old)
    assert not Path(gone).exists()


def test_by_uuid(tmp_path: Path) -> None:
    store = build(tmp_path, disk(tmp_path, "one", store_by="uuid"))
    dataset = Dataset(7)
    name = str(dataset.uuid)
    store.create(dataset)
    assert (tmp_path / "one" / name[0] / name[1] / name[2] / f"dataset_{name}.dat").exists()
    assert store.get_store_by(dataset) == "uuid"


def test_a_uuid_that_is_not_set_is_never_the_id(tmp_path: Path) -> None:
    class Row:
        id, uuid, object_store_id = 24, None, None

        def flush(self) -> None:
            """It has been written, and still has none."""

    with pytest.raises(DatasetInvalid, match="uuid"):
        build(tmp_path, disk(tmp_path, "one", store_by="uuid")).create(Row())


def test_jobs_have_no_uuid(tmp_path: Path) -> None:
    class Job:
        id, object_store_id = 24, None

    store = build(tmp_path, disk(tmp_path, "one", store_by="uuid"))
    store.create(Job(), base_dir="job_work", dir_only=True, obj_dir=True)
    assert (tmp_path / "jobs/000/24").is_dir()
    place = store.get_filename(Job(), base_dir="job_work", dir_only=True, obj_dir=True)
    write(Path(place) / "out", "x")
    assert store.delete(Job(), entire_dir=True, base_dir="job_work", dir_only=True, obj_dir=True)
    assert not Path(place).exists()


def test_the_path_is_the_file_and_jobs_write_there(tmp_path: Path, store: ObjectStore) -> None:
    dataset = Dataset(24)
    assert store.create(dataset) is store
    path = store.get_filename(dataset)
    assert path == str(tmp_path / "one/000/dataset_24.dat")
    Path(path).write_bytes(b"\x00\xff binary \x80")
    assert store.size(dataset) == 11
    assert store.get_data(dataset) == b"\x00\xff binary \x80"
    store.update_from_file(dataset)  # the job says that it is done
    store.update_from_file(dataset, file_name=path)  # and by its own name
    assert store.get_data(dataset, start=9) == b" \x80"[-2:]


def test_the_id_is_told(store: ObjectStore) -> None:
    dataset = Dataset(24, object_store_id="data")  # the seed's, which nobody has
    store.create(dataset)
    assert dataset.object_store_id == "one"
    again = Dataset(24)
    assert store.exists(again)
    assert again.object_store_id == "one"
    assert store.object_store_ids() == ["one"]
    assert store.get_concrete_store_by_object_store_id("one") is store


def test_a_row_that_cannot_be_set_is_read_all_the_same(tmp_path: Path, store: ObjectStore) -> None:
    class Row:
        __slots__ = ()
        id = 24
        object_store_id = None

    write(tmp_path / "one/000/dataset_24.dat", "x")
    assert store.size(Row()) == 1


def test_parts_of_the_bytes(tmp_path: Path, store: ObjectStore) -> None:
    dataset = Dataset(24)
    path = write(tmp_path / "one/000/dataset_24.dat", "0123456789")
    with store.open(dataset, range=ByteRange(2, 4)) as reader:
        assert (reader.size, reader.start, reader.stop) == (10, 2, 5)
        assert [reader.read(2), reader.read(2), reader.read(2)] == [b"23", b"4", b""]
    with pytest.raises(RangeNotSatisfiable):
        store.open(dataset, range=ByteRange(10, None))
    assert store.get_data(dataset, start=10) == b""
    assert store.get_data(dataset, count=0) == b""
    assert store.get_data(dataset, start=8, count=100) == b"89"
    with store.open(dataset) as reader:
        os.truncate(path, 3)
        with pytest.raises(BlobCorrupt):
            reader.read()


def test_absent_is_said_by_every_question(tmp_path: Path, store: ObjectStore) -> None:
    dataset = Dataset(24)
    source = write(tmp_path / "source", "x")
    for question in (
        lambda: store.empty(dataset),
        lambda: store.get_data(dataset),
        lambda: store.get_data(dataset, count=0),
        lambda: store.get_filename(dataset),
        lambda: store.open(dataset),
        lambda: store.update_from_file(dataset, file_name=source),
    ):
        with pytest.raises(DatasetNotFound):
            question()
    assert store.size(dataset) == 0
    assert store.delete(dataset) is False
    assert store.get_object_url(dataset) is None


@pytest.mark.parametrize(
    "said", [{"extra_dir": "/etc"}, {"extra_dir": ".."}, {"extra_dir": "x", "alt_name": "../../y"}]
)
def test_nothing_outside_is_read_or_written(tmp_path: Path, store: ObjectStore, said: dict[str, Any]) -> None:
    source = write(tmp_path / "source", "x")
    before = sorted(tmp_path.rglob("*"))
    for call in (
        lambda: store.exists(Dataset(1), **said),
        lambda: store.create(Dataset(1), **said),
        lambda: store.get_filename(Dataset(1), **said),
        lambda: store.update_from_file(Dataset(1), file_name=source, create=True, **said),
        lambda: store.delete(Dataset(1), entire_dir=True, **said),
    ):
        with pytest.raises(DatasetInvalid):
            call()
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_base_is_refused(store: ObjectStore) -> None:
    with pytest.raises(DatasetInvalid, match="job_work"):
        store.exists(Dataset(1), base_dir="job_works")


def test_files_beside_a_dataset(tmp_path: Path, store: ObjectStore) -> None:
    dataset = Dataset(24)
    files = "dataset_24_files"
    source = write(tmp_path / "source", "My new value")
    store.update_from_file(
        dataset, extra_dir=files, alt_name="deep/new value é.txt", file_name=source, create=True
    )
    folder = Path(store.get_filename(dataset, extra_dir=files, dir_only=True))
    assert (folder / "deep/new value é.txt").read_text() == "My new value"
    with pytest.raises(Conflict):
        store.delete(dataset, extra_dir=files, dir_only=True)
    assert store.delete(dataset, entire_dir=True, extra_dir=files, dir_only=True)
    assert not folder.exists()


def test_an_update_is_whole_or_not_at_all(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset(24)
    store.update_from_file(dataset, file_name=write(tmp_path / "old", "old"), create=True)
    with store.open(dataset) as reader:
        store.update_from_file(dataset, file_name=write(tmp_path / "new", "new bytes"))
        assert reader.read() == b"old"
    assert stat.S_IMODE(Path(store.get_filename(dataset)).stat().st_mode) == 0o644

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "sendfile", full)
    with pytest.raises(StoreFull):
        store.update_from_file(dataset, file_name=write(tmp_path / "newer", "newer"))
    assert store.get_data(dataset) == b"new bytes"
    assert not list((tmp_path / "one/.dolium-tmp").iterdir())
    with pytest.raises(FileNotFoundError):
        store.update_from_file(dataset, file_name=str(tmp_path / "no such source"))


def test_nothing_replaces_something(tmp_path: Path, store: ObjectStore) -> None:
    dataset = Dataset(24)
    store.update_from_file(dataset, file_name=write(tmp_path / "old", "old"), create=True)
    store.update_from_file(dataset, file_name=write(tmp_path / "nothing", ""))
    assert store.empty(dataset)


def test_strict_syncs_and_relaxed_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = syscalls.fsync

    def fsync(descriptor: int) -> None:
        synced.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(syscalls, "fsync", fsync)
    counts = []
    for durability in ("relaxed", "strict"):
        store = build(tmp_path, disk(tmp_path, durability, durability=durability))
        store.update_from_file(Dataset(24), file_name=write(tmp_path / "x", "x"), create=True)
        counts.append(len(synced))
        store.create(Dataset(25))
        counts.append(len(synced))
        store.update_from_file(Dataset(25))
        counts.append(len(synced))
        store.delete(Dataset(25))
        counts.append(len(synced))
    assert counts[:4] == [0, 0, 0, 0]
    assert sorted(set(counts[4:])) == counts[4:]
    assert counts[4] > 0


def test_a_late_creator_takes_nothing_away(tmp_path: Path, store: ObjectStore) -> None:
    """Between its look and its file, somebody else has begun to write."""
    shelf: Any = store.leaves()[0].shelf
    path = tmp_path / "one/000/dataset_24.dat"
    write(path, "a job's output")
    shelf.create(24, _main())
    assert path.read_text() == "a job's output"


def _main() -> Any:
    from dolium.datasets.layout import Address

    return Address()


def test_many_create_and_write_at_once(tmp_path: Path, store: ObjectStore) -> None:
    sources = [write(tmp_path / f"source{at}", str(at) * 1000) for at in range(8)]

    def work(at: int) -> None:
        for _ in range(10):
            store.create(Dataset(24))
            store.update_from_file(Dataset(24), file_name=sources[at])
            data = store.get_data(Dataset(24))
            assert len(data) == 1000
            assert len(set(data)) == 1

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(store.get_data(Dataset(24)))) == 1


def test_links_are_kept_if_asked(tmp_path: Path, store: ObjectStore) -> None:
    dataset = Dataset(24)
    target = write(tmp_path / "shared", "shared data")
    link = tmp_path / "link"
    link.symlink_to(target)
    store.update_from_file(dataset, file_name=str(link), create=True, preserve_symlinks=True)
    path = store.get_filename(dataset)
    assert str(Path(path).readlink()) == target
    # New bytes replace the link, never what it leads to.
    store.update_from_file(dataset, file_name=write(tmp_path / "new", "new"))
    assert Path(target).read_text() == "shared data"
    assert store.get_data(dataset) == b"new"
    store.update_from_file(dataset, file_name=str(link), preserve_symlinks=True)
    Path(target).unlink()
    assert not store.exists(dataset)
    assert store.delete(dataset)
    assert not os.path.lexists(path)


def test_a_folder_that_is_a_link_to_elsewhere(
    tmp_path: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the temporary file cannot be renamed there, and grows beside the file."""
    real = os.replace

    def replace(source: str, target: str) -> None:
        if "/.dolium-tmp/" in source:
            raise OSError(18, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    store.update_from_file(Dataset(24), file_name=write(tmp_path / "x", "x"), create=True)
    assert [one.name for one in (tmp_path / "one/000").iterdir()] == ["dataset_24.dat"]


def test_old_style_paths(tmp_path: Path) -> None:
    store = build(tmp_path, disk(tmp_path, "one"), check_old_style=True)
    dataset = Dataset(24)
    old = write(tmp_path / "one/dataset_24.dat", "old")
    assert store.get_filename(dataset) == old
    assert store.construct_path(dataset) == str(tmp_path / "one/000/dataset_24.dat")
    store.create(dataset)
    assert not (tmp_path / "one/000").exists()
    store.update_from_file(dataset, file_name=write(tmp_path / "new", "newer"))
    assert Path(old).read_text() == "newer"
    assert store.delete(dataset)
    assert not store.exists(dataset)


def test_a_disk_that_is_gone_is_down(tmp_path: Path, store: ObjectStore) -> None:
    dataset = Dataset(24)
    store.create(dataset)
    (tmp_path / "one").rename(tmp_path / "unplugged")
    for question in (
        lambda: store.exists(dataset),
        lambda: store.size(dataset),
        lambda: store.get_filename(dataset),
        lambda: store.delete(dataset),
        lambda: store.create(Dataset(25)),
        lambda: store.update_from_file(dataset, file_name=write(tmp_path / "x", "x"), create=True),
        store.get_store_usage_percent,
    ):
        with pytest.raises(StoreUnavailable):
            question()
    assert not (tmp_path / "one").exists()
    (tmp_path / "unplugged").rename(tmp_path / "one")
    assert store.exists(dataset)


def test_another_disk_in_its_place_is_down(tmp_path: Path) -> None:
    root = tmp_path / "one"
    mine = disk_identity.initialise(root)
    store = build(tmp_path, disk(tmp_path, "one", expected_uuid=mine))
    store.create(Dataset(24))
    root.rename(tmp_path / "mine")
    root.mkdir()  # the mount point is left
    with pytest.raises(StoreUnavailable):
        store.exists(Dataset(24))
    with pytest.raises(StoreUnavailable):
        store.create(Dataset(25))
    disk_identity.initialise(root)
    with pytest.raises(StoreUnavailable):
        store.exists(Dataset(24))
    assert not (root / "000").exists()


@pytest.mark.parametrize("number", [5, 13, 116])  # EIO, EACCES, ESTALE
def test_an_error_of_the_disk_is_no_absence(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store.create(Dataset(24))

    def broken(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "stat", broken)
    with pytest.raises(StoreUnavailable):
        store.exists(Dataset(24))


def test_room_is_kept(tmp_path: Path) -> None:
    store = build(tmp_path, disk(tmp_path, "one", min_free="1000 TiB"))
    (tmp_path / "one").mkdir()
    with pytest.raises(StoreFull):
        store.create(Dataset(24))


def test_what_killed_writers_left_is_swept(tmp_path: Path, store: ObjectStore) -> None:
    left = Path(write(tmp_path / "one/.dolium-tmp/00000000.00000000.1.1.1", "half"))
    os.utime(left, (0, 0))
    store.start()
    assert not left.exists()


def test_quotas_devices_and_models_of_one(tmp_path: Path) -> None:
    said = {
        "quota": {"source": "slow"},
        "device": "disk1",
        "private": True,
        "name": "One",
        "description": "*one*",
    }
    store = build(tmp_path, disk(tmp_path, "one", badges=[{"type": "faster"}], **said), enable_quotas=True)
    assert store.get_quota_source_map().get_quota_source_info("anything") == ("slow", True)
    assert store.get_device_source_map().get_device_id("one") == "disk1"
    model = store.to_model("one")
    assert (model.name, model.private, model.device) == ("One", True, "disk1")
    assert [badge["type"] for badge in model.badges] == ["faster", "quota", "restricted"]
    dataset = Dataset(24)
    assert store.get_concrete_store_name(dataset) == "One"
    assert store.get_concrete_store_description_markdown(dataset) == "*one*"
    assert store.is_private(dataset)
    assert store.cache_targets() == []
    refused = store.validate_selected_object_store_id(None, "one")
    assert refused == "The current configuration doesn't allow selecting preferred object stores."


def test_it_is_built_again_from_its_dictionary(tmp_path: Path) -> None:
    store = build(tmp_path, disk(tmp_path, "one", quota={"source": "slow"}, badges=[{"type": "faster"}]))
    again = build_object_store(store.to_dict(), defaults=defaults(Path("/elsewhere")))
    assert again.to_dict() == store.to_dict()
    dataset = Dataset(24)
    store.create(dataset)
    assert again.get_filename(dataset) == store.get_filename(dataset)
    assert again.construct_path(dataset, base_dir="job_work") == store.construct_path(
        dataset, base_dir="job_work"
    )
