"""A cache in several folders: where what lies, what another list of them costs, and what Galaxy is told."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dolium.datasets.store import ObjectStore
from dolium.stores.composites.cached import CacheOptions
from dolium.stores.composites.shards import Shards
from dolium.stores.leaves.memory import Memory
from dolium.testing.faults import CountingStore
from tests.unit.datasets.kit import Dataset, build, write


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> CountingStore:
    """What is behind every remote store of these tests."""
    store = CountingStore(Memory())
    monkeypatch.setattr("dolium.datasets.building.build_leaf", lambda *_, **__: store)
    return store


def remote(folder: Path, cache: dict[str, Any], **more: Any) -> ObjectStore:
    return build(folder, {"type": "boto3", "id": "far", "bucket": {"name": "b"}, "cache": cache, **more})


def dirs(folder: Path, **weights: int) -> dict[str, Any]:
    return {"dirs": [{"path": str(folder / name), "weight": weight} for name, weight in weights.items()]}


def used(path: str, folder: Path) -> str:
    """The folder of the cache that a path is in."""
    return Path(path).relative_to(folder).parts[0]


def test_all_files_of_a_dataset_are_in_one_folder(tmp_path: Path, far: CountingStore) -> None:
    store = remote(tmp_path, dirs(tmp_path, a=1, b=1, c=1))
    met = set()
    for number in range(60):
        dataset = Dataset(number)
        places: tuple[dict[str, Any], ...] = (
            {},
            {"extra_dir": f"dataset_{number}_files", "alt_name": "extra.txt"},
            {"extra_dir": "_metadata_files", "extra_dir_at_root": True, "alt_name": f"metadata_{number}.dat"},
        )
        found = set()
        for place in places:
            store.update_from_file(dataset, file_name=write(tmp_path / "source", "x"), create=True, **place)
            found.add(used(store.get_filename(dataset, **place), tmp_path))
            found.add(used(store.construct_path(dataset, in_cache=True, **place), tmp_path))
        whole = store.get_filename(dataset, extra_dir=f"dataset_{number}_files", dir_only=True)
        assert found == {used(whole, tmp_path)}
        met |= found
    assert met == {"a", "b", "c"}
    store.shutdown()


def test_weights() -> None:
    shards = Shards(["/fast", "/slow", "/none"], [3, 1, 0])
    counted = Counter(shards.of(str(number)) for number in range(10_000))
    assert 0.74 < counted[0] / 10_000 < 0.76
    assert counted[0] + counted[1] == 10_000
    assert [shards.of("24"), Shards(["/one"], [5]).of("24")] == [
        Shards(["/fast", "/slow"], [3, 1]).of("24"),
        0,
    ]


def test_a_folder_more_takes_its_share_and_nothing_else_moves() -> None:
    before, after = Shards(["/a", "/b"], [1, 1]), Shards(["/c", "/a", "/b"], [2, 1, 1])
    names = [str(number) for number in range(2000)]
    moved = [name for name in names if after.of(name) == 0]
    assert 900 < len(moved) < 1100
    assert all(after.of(name) == before.of(name) + 1 for name in names if name not in set(moved))


def test_another_list_costs_fetches_only(tmp_path: Path, far: CountingStore) -> None:
    datasets = [Dataset(number) for number in range(8)]
    first = remote(tmp_path, {"path": str(tmp_path / "a")})
    for one in datasets:
        first.update_from_file(one, file_name=write(tmp_path / "source", f"bytes of {one.id}"), create=True)
    first.shutdown()
    for cache in (dirs(tmp_path, a=1, b=1, c=2), dirs(tmp_path, c=1), {"path": str(tmp_path / "a")}):
        store = remote(tmp_path, cache)
        before = far.calls["get"]
        assert [store.get_data(one) for one in datasets] == [b"bytes of %d" % one.id for one in datasets]
        fetched = far.calls["get"] - before
        assert fetched <= len(datasets)
        assert [store.get_data(one) for one in datasets] == [b"bytes of %d" % one.id for one in datasets]
        assert far.calls["get"] == before + fetched  # and never again
        store.shutdown()
    assert fetched == 0  # what was in the first folder still is


def test_what_changed_meanwhile_is_not_served_from_a_folder_of_before(
    tmp_path: Path, far: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is looked at again, which is after ten seconds; here, at once."""
    monkeypatch.setattr("dolium.datasets.remote.CacheOptions", partial(CacheOptions, fresh_seconds=0.0))
    dataset = Dataset(24)
    for name, text in (("a", "one"), ("b", "three")):
        store = remote(tmp_path, dirs(tmp_path, **{name: 1}))
        store.update_from_file(dataset, file_name=write(tmp_path / "source", text), create=True)
        store.shutdown()
    store = remote(tmp_path, dirs(tmp_path, a=1))
    assert store.get_data(dataset) == b"three"
    assert Path(store.get_filename(dataset)).read_text() == "three"
    store.shutdown()


def test_what_a_job_has_begun_is_found_under_another_list(tmp_path: Path, far: CountingStore) -> None:
    dataset = Dataset(24)
    old = remote(tmp_path, dirs(tmp_path, old=1))
    old.create(dataset)
    Path(old.get_filename(dataset)).write_text("output of a job")
    old.shutdown()
    new = remote(tmp_path, dirs(tmp_path, new=1, old=0))
    assert new.size(dataset) == 15
    new.update_from_file(dataset)
    assert far.child.stat("000/dataset_24.dat").size == 15
    path = new.get_filename(dataset)
    assert (Path(path).read_text(), used(path, tmp_path)) == ("output of a job", "new")
    new.shutdown()


def test_each_folder_keeps_its_own_size(tmp_path: Path, far: CountingStore) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    cache = {"dirs": [{"path": str(small), "size": 0.0001}, {"path": str(large), "size": 1}], "size": 7}
    store = remote(tmp_path, cache)
    data = b"x" * 50_000
    (tmp_path / "source").write_bytes(data)
    for number in range(40):
        store.update_from_file(Dataset(number), file_name=str(tmp_path / "source"), create=True)
    lie = {
        folder: sum(one.stat().st_size for one in (folder / "blobs/files").rglob("*") if one.is_file())
        for folder in (small, large)
    }
    assert lie[small] == 50_000  # of 0.9 times 107,374 bytes
    assert lie[large] >= 150_000
    assert store.cache_targets() == [
        (f"{small}/cleaned/far", pytest.approx(0.0001, abs=1e-8), 0.9),
        (f"{large}/cleaned/far", 1, 0.9),
    ]
    store.shutdown()


def test_sizes_fall_back_on_those_of_the_cache(tmp_path: Path) -> None:
    cache = {"dirs": [{"path": "/a"}, {"path": "/b", "size": 200}, {"path": "/c", "size": -1}], "size": 100}
    store = remote(tmp_path, cache)
    assert [target[1] for target in store.cache_targets()] == [100, 200, -1]
    bare = build(
        tmp_path,
        {"type": "boto3", "bucket": {"name": "b"}, "cache": {"dirs": [{"path": "/a"}]}},
        cache_size=50,
    )
    assert [target[1] for target in bare.cache_targets()] == [50]


def test_it_is_built_again_from_its_dictionary(tmp_path: Path, far: CountingStore) -> None:
    store = remote(tmp_path, dirs(tmp_path, a=1, b=2), enable_direct_download=True)
    said = store.to_dict()
    assert (said["enable_direct_download"], said["cache"]) == (True, dirs(tmp_path, a=1, b=2))
    again = build(tmp_path, said)
    assert again.cache_targets() == store.cache_targets()
    assert again.to_model("far").enable_direct_download
    for one in (store, again):
        one.shutdown()


def test_many_ask_for_a_folder_at_once(tmp_path: Path, far: CountingStore) -> None:
    store, dataset = remote(tmp_path, {"path": str(tmp_path / "cache")}), Dataset(24)
    files: dict[str, Any] = {"extra_dir": "dataset_24_files"}
    store.update_from_file(dataset, file_name=write(tmp_path / "source", "main"), create=True)
    for name in "abcdef":
        store.update_from_file(
            dataset, file_name=write(tmp_path / "source", name), create=True, alt_name=name, **files
        )
    found: list[Any] = []

    def ask() -> None:
        for _ in range(20):
            path, folder = store.get_filename(dataset), store.get_filename(dataset, dir_only=True, **files)
            found.append((Path(path).read_text(), sorted(one.read_text() for one in Path(folder).iterdir())))

    with ThreadPoolExecutor(8) as pool:
        for one in [pool.submit(ask) for _ in range(8)]:
            one.result()
    names = {text for text, _ in found}
    assert names == {"main"}
    assert {tuple(texts) for _, texts in found} == {tuple("abcdef")}
    store.shutdown()
