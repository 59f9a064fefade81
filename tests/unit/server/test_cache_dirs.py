"""A cache in several folders, in the service: a blob is in one of them, by the hash of its key."""

from io import BytesIO
from pathlib import Path

from dolium.config.galaxy import read_stores_objects
from dolium.server.stores import _cached
from dolium.stores.composites.cached import Cached
from dolium.stores.composites.shards import ShardedCache
from dolium.stores.contract import KeepsCopies, unwrap
from dolium.stores.leaves.memory import Memory
from dolium.stores.transfer import open_origin
from dolium.testing.caches import check_accounts
from dolium.testing.faults import CountingStore


def test_each_blob_is_in_one_folder(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    dirs = [{"path": str(one), "weight": number * number} for number, one in enumerate(folders)]
    said = {"type": "boto3", "id": "far", "bucket": {"name": "b"}, "cache": {"dirs": dirs}}
    [leaf] = read_stores_objects(said, {}).spec.leaves()
    assert leaf.cache is not None
    far = CountingStore(Memory())
    store = _cached(far, leaf.cache, "far")
    assert isinstance(store, ShardedCache)
    names = [f"k{number}" for number in range(200)]
    for name in names:
        store.put(name, BytesIO(b"0123456789"))
    for name in names:
        with store.get(name) as reader:
            assert reader.read() == b"0123456789"
    assert far.calls["get"] == 0
    with open_origin(store, names[0]) as reader:  # as a scrub reads: the blob, and no copy
        assert reader.read() == b"0123456789"
    assert far.calls["get"] == 1
    copies = unwrap(store, KeepsCopies)  # for when the store is down
    assert copies is not None
    for name in names:
        copy = copies.get_copy(name)
        assert copy is not None
        with copy:
            assert copy.read() == b"0123456789"
    assert far.calls["get"] == 1
    store.close()
    kept = [check_accounts(one) for one in folders]
    assert (kept[0], sum(kept)) == (0, 2000)
    assert 0 < kept[1] < kept[2]


def test_one_folder_is_one_cache(tmp_path: Path) -> None:
    said = {"type": "boto3", "id": "far", "bucket": {"name": "b"}, "cache": {"path": str(tmp_path)}}
    [leaf] = read_stores_objects(said, {}).spec.leaves()
    assert leaf.cache is not None
    store = _cached(Memory(), leaf.cache, "far")
    assert isinstance(store, Cached)
    store.close()
