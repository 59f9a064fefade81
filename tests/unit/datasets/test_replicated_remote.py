"""Copies on a disk and in a remote store, which is one in memory here."""

from pathlib import Path
from typing import Any

import pytest

from dolium.datasets import building
from dolium.datasets.entry import build_object_store
from dolium.datasets.store import ObjectStore
from dolium.errors import DatasetNotFound, StoreUnavailable
from dolium.stores.contract import BlobStore
from dolium.stores.layers.layer import Layer
from dolium.stores.leaves import disk_identity
from dolium.stores.leaves.memory import Memory
from tests.unit.datasets.kit import Dataset, build, defaults, disk, group, write

FILE = "000/dataset_24.dat"


class Far(Layer):
    """Down when told so."""

    down = False

    def __getattribute__(self, name: str) -> Any:
        if name in ("put", "get", "stat", "list", "delete") and self.down:
            raise StoreUnavailable("far", "far is down")
        return super().__getattribute__(name)

    def put(self, *args: Any, **more: Any) -> Any:
        return self.child.put(*args, **more)

    def get(self, *args: Any, **more: Any) -> Any:
        return self.child.get(*args, **more)

    def stat(self, key: str) -> Any:
        return self.child.stat(key)

    def list(self, *args: Any, **more: Any) -> Any:
        return self.child.list(*args, **more)

    def delete(self, key: str) -> None:
        self.child.delete(key)

    def text(self, key: str = FILE) -> str | None:
        if key not in {info.key for info in self.child.list()}:
            return None
        with self.child.get(key) as reader:
            return reader.read().decode()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Far:
    found = Far(Memory())

    def leaf(*_: object, **__: object) -> BlobStore:
        return found

    monkeypatch.setattr(building, "build_leaf", leaf)
    return found


def stores(folder: Path, *, first: str = "near", quorum: int = 1) -> ObjectStore:
    remote = {
        "id": "far", "type": "boto3", "bucket": {"name": "b"}, "auth": {"access_key": "a", "secret_key": "s"},
        "cache": {"path": str(folder / "cache"), "size": 1},
    }  # fmt: skip
    near = disk(folder, "near", expected_uuid=disk_identity.initialise(folder / "near"))
    members = [near, remote] if first == "near" else [remote, near]
    return build(folder, group("replicated", *members, id="both", write_quorum=quorum))


def near(folder: Path, file: str = FILE) -> str | None:
    path = folder / "near" / file
    return path.read_text() if path.exists() else None


@pytest.mark.parametrize("first", ["near", "far"])
def test_written_read_and_deleted_in_both(tmp_path: Path, far: Far, first: str) -> None:
    store = stores(tmp_path, first=first, quorum=2)
    dataset = Dataset(24)
    source = write(tmp_path / "source", "bytes")
    store.update_from_file(dataset, file_name=source, create=True)
    assert (near(tmp_path), far.text()) == ("bytes", "bytes")
    assert Path(store.get_filename(dataset)).read_text() == "bytes"
    assert store.get_data(dataset, start=1, count=2) == b"yt"
    write(tmp_path / "source", "newer")
    store.update_from_file(dataset, file_name=source)
    assert (near(tmp_path), far.text()) == ("newer", "newer")
    far.down = True
    assert store.get_data(dataset) == b"newer"
    with pytest.raises(StoreUnavailable):
        store.update_from_file(dataset, file_name=source)
    with pytest.raises(StoreUnavailable):
        store.delete(dataset)
    far.down = False
    assert store.delete(dataset)
    assert (near(tmp_path), far.text()) == (None, None)
    assert not store.exists(dataset)
    assert store.cache_targets()


@pytest.mark.parametrize("first", ["near", "far"])
def test_a_job_writes_in_place(tmp_path: Path, far: Far, first: str) -> None:
    store = stores(tmp_path, first=first)
    dataset = Dataset(24)
    store.create(dataset)
    Path(store.get_filename(dataset)).write_text("job")
    assert store.get_data(dataset) == b"job"
    store.update_from_file(dataset)
    assert (near(tmp_path), far.text()) == ("job", "job")
    path = store.get_filename(dataset)
    store.update_from_file(dataset, file_name=path)
    assert (near(tmp_path), far.text()) == ("job", "job")


@pytest.mark.parametrize("first", ["near", "far"])
@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("before", ["", "bytes"])
def test_whatever_path_was_given_out(
    tmp_path: Path, far: Far, first: str, by_name: bool, before: str
) -> None:
    store = stores(tmp_path, first=first)
    dataset = Dataset(24)
    store.update_from_file(dataset, file_name=write(tmp_path / "source", before), create=True)
    path = Path(store.get_filename(dataset))
    path.chmod(0o644)
    path.write_text("a job")
    store.update_from_file(dataset, file_name=str(path) if by_name else None)
    assert (near(tmp_path), far.text()) == ("a job", "a job")
    assert store.get_data(dataset) == b"a job"


def test_notes_and_repair(tmp_path: Path, far: Far) -> None:
    store = stores(tmp_path)
    dataset = Dataset(24)
    source = write(tmp_path / "source", "bytes")
    files: dict[str, Any] = {"extra_dir": "dataset_24_files"}
    (tmp_path / "near").rename(tmp_path / "away")
    store.update_from_file(dataset, file_name=source, create=True)
    store.update_from_file(dataset, file_name=source)  # far notes that near has none
    for name in ("one", "two"):
        store.update_from_file(dataset, file_name=source, create=True, alt_name=name, **files)
    (tmp_path / "away").rename(tmp_path / "near")
    assert store.get_data(dataset) == b"bytes"
    done = store.repair(dataset)
    assert done is not None
    assert (done.right, done.repaired, near(tmp_path)) == (("far",), ("near",), "bytes")
    folder = Path(store.get_filename(dataset, dir_only=True, **files))
    assert sorted(one.name for one in folder.iterdir()) == ["one", "two"]
    store.repair(dataset, dir_only=True, **files)
    assert near(tmp_path, "000/dataset_24_files/two") == "bytes"
    assert [info.key for info in far.child.list("_dolium_missing")] == []
    far.child.delete(FILE)
    again = stores_again(store, tmp_path / "other cache")
    done = again.repair(dataset)
    assert done is not None
    assert (done.repaired, far.text()) == (("far",), "bytes")
    assert again.delete(dataset)
    with pytest.raises(DatasetNotFound):
        again.repair(dataset)


def stores_again(store: ObjectStore, cache: Path) -> ObjectStore:
    """As on another machine, which knows nothing of what this one has done."""
    said = store.to_dict()
    said["backends"][1]["cache"]["path"] = str(cache)
    return build_object_store(said, defaults=defaults(Path("/elsewhere")))
