"""What was found broken in Galaxy 26.1.2 and has no place elsewhere; docs/galaxy.md has the table."""

import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from galaxy.objectstore.caching import CacheTarget, check_caches

from dolium.datasets.galaxy import build_object_store_from_config
from dolium.errors import DatasetInvalid, DatasetNotFound, StoreUnavailable
from dolium.stores.composites.cached import CacheOptions
from dolium.stores.leaves.memory import Memory
from dolium.testing.faults import CountingStore
from dolium.testing.server import Site
from tests.galaxy.test_service import keys, third
from tests.unit.datasets.kit import Dataset, build, disk, group, write


@pytest.fixture
def always_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is true of the remote store is seen after ten seconds; here, at once."""
    monkeypatch.setattr("dolium.datasets.remote.CacheOptions", partial(CacheOptions, fresh_seconds=0.0))


def test_a_key_that_leads_outside_is_not_written_there(tmp_path: Path, site: Site, bucket: Any) -> None:
    """Galaxy fetches `000/dataset_7_files/../../../../f` to a place outside of its cache."""
    store, dataset = third(tmp_path, site), Dataset(7)
    before = {one for one in tmp_path.rglob("*") if "cache" not in one.parts}
    store.update_from_file(dataset, file_name=write(tmp_path / "x", "main"), create=True)
    for key in ("000/dataset_7_files/../../../../f", "000/dataset_7_files/good"):
        bucket.Object(key).put(Body=b"bytes")
    folder: dict[str, Any] = {"extra_dir": "dataset_7_files", "dir_only": True}
    with pytest.raises((DatasetInvalid, StoreUnavailable)):  # obstore does not even list such a key
        store.get_filename(dataset, **folder)
    assert Path(store.get_filename(dataset)).read_text() == "main"
    after = {one for one in tmp_path.rglob("*") if "cache" not in one.parts}
    assert after - before == {tmp_path / "x"}
    assert not [one for one in tmp_path.rglob("f") if one.is_file()]
    store.shutdown()


@pytest.mark.usefixtures("always_asking")
def test_what_was_deleted_there_does_not_come_back(tmp_path: Path, site: Site, bucket: Any) -> None:
    """Galaxy sends its cached copy again when it is asked whether the dataset exists."""
    store, dataset = third(tmp_path, site), Dataset(24)
    store.update_from_file(dataset, file_name=write(tmp_path / "x", "bytes"), create=True)
    store.get_filename(dataset)
    bucket.Object("000/dataset_24.dat").delete()
    assert not store.exists(dataset)
    with pytest.raises(DatasetNotFound):
        store.get_filename(dataset)
    assert keys(bucket) == set()
    store.shutdown()


@pytest.mark.usefixtures("always_asking")
def test_what_was_changed_there_is_seen(tmp_path: Path, site: Site, bucket: Any) -> None:
    """Galaxy gives out the cached file without asking."""
    store, dataset = third(tmp_path, site), Dataset(24)
    store.update_from_file(dataset, file_name=write(tmp_path / "x", "bytes"), create=True)
    path = store.get_filename(dataset)
    bucket.Object("000/dataset_24.dat").put(Body=b"other bytes")
    assert store.get_data(dataset) == b"other bytes"
    assert store.get_filename(dataset) == path
    assert Path(path).read_text() == "other bytes"
    store.shutdown()


def test_an_empty_dataset_costs_nothing_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Galaxy makes four requests each time that the path of one is asked for."""
    far = CountingStore(Memory())
    monkeypatch.setattr("dolium.datasets.building.build_leaf", lambda *_, **__: far)
    store = build(tmp_path, {"type": "boto3", "id": "far", "bucket": {"name": "b"}})
    dataset = Dataset(24)
    store.create(dataset)
    store.get_filename(dataset)
    far.calls.clear()
    for _ in range(10):
        store.get_filename(dataset)
        store.size(dataset)
    assert far.calls == {}
    store.shutdown()


def test_nobody_sleeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Galaxy sleeps for 20 ms when it is asked for the size of an empty file."""
    store, dataset = build(tmp_path, disk(tmp_path, "one")), Dataset(24)
    store.create(dataset)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("sleeps"))
    assert store.size(dataset) == 0


def test_a_path_without_an_id(tmp_path: Path) -> None:
    """Galaxy: KeyError(None) in a distributed store."""
    store = build(tmp_path, group("distributed", disk(tmp_path, "one"), disk(tmp_path, "two")))
    assert store.construct_path(Dataset(24)) == f"{tmp_path}/one/000/dataset_24.dat"
    store.create(placed := Dataset(25, object_store_id="two"))
    assert store.construct_path(Dataset(placed.id)) == f"{tmp_path}/two/000/dataset_25.dat"


def test_a_group_in_a_distributed_store_has_a_model(tmp_path: Path) -> None:
    """Galaxy: AttributeError."""
    inner = group("hierarchical", disk(tmp_path, "one"), id="tree", name="The tree")
    said = group("distributed", inner, disk(tmp_path, "two"))
    config = SimpleNamespace(
        file_path=str(tmp_path), new_file_path=str(tmp_path), jobs_directory=str(tmp_path), umask=0o77, gid=-1,
        object_store_check_old_style=False, enable_quotas=False,
    )  # fmt: skip
    store = build_object_store_from_config(config, config_dict=said)
    found = store.get_concrete_store_by_object_store_id("tree")
    assert (found.to_model("tree").name, found.to_model("tree").object_store_id) == ("The tree", "tree")
    assert store.get_concrete_store_by_object_store_id("nobody") is None


def test_the_dictionary_loses_nothing(tmp_path: Path) -> None:
    """Galaxy's has no allow_selection, no monitor of a cache, and no max_chunk_size."""
    far = {
        "id": "far", "type": "generic_s3", "bucket": {"name": "b", "max_chunk_size": 250},
        "connection": {"host": "h", "port": 1}, "cache": {"path": str(tmp_path), "monitor": "external"},
    }  # fmt: skip
    store = build(tmp_path, group("distributed", disk(tmp_path, "near", allow_selection=True), far))
    said = store.to_dict()["backends"]
    assert said[0]["allow_selection"]
    assert (said[1]["cache"]["monitor"], said[1]["bucket"]["max_chunk_size"]) == ("external", 250)
    again = build(tmp_path, store.to_dict())
    assert again.object_store_ids_allowing_selection() == ["near"]
    assert again.to_dict() == store.to_dict()


def test_cleaners_do_no_harm(tmp_path: Path, site: Site, bucket: Any) -> None:
    """Galaxy's delete everything of a cache without a limit, and nothing that is in use is safe from them."""
    for size in (0.000_1, -1):
        store, dataset = third(tmp_path, site, size=size), Dataset(24)
        store.update_from_file(dataset, file_name=write(tmp_path / "x", "b" * 90_000), create=True)
        path = Path(store.get_filename(dataset))
        targets = [CacheTarget(*one) for one in store.cache_targets()]  # type: ignore[arg-type]  # a fraction
        assert [one.path.startswith(f"{tmp_path}/cache") for one in targets] == [True]
        check_caches(targets)
        assert path.stat().st_size == 90_000
        store.shutdown()
