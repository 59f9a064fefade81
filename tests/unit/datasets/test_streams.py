"""Downloads without a local copy: a stream that leaves one in the cache, and URLs to the service itself."""

import threading
from pathlib import Path
from typing import Any

import pytest

from dolium.datasets.store import ObjectStore
from dolium.errors import BlobCorrupt, StoreUnavailable
from dolium.stores.contract import BlobStore
from dolium.stores.layers.layer import Layer
from dolium.stores.leaves.memory import Memory
from dolium.testing.faults import CountingStore, FailingStore
from tests.unit.datasets.kit import Dataset, build, disk, group, write

SMALL = b"0123456789" * 1000
LARGE = (
    bytes(range(256)) * (1 << 10) * 260
)  # more than what is fetched before the first byte is given: 65 MiB


class Far(Layer):
    """Signs URLs that say what they were asked to."""

    signed = 0

    def sign_url(
        self, key: str, *, seconds: int, content_disposition: str = "", content_type: str = ""
    ) -> str:
        self.signed += 1
        return f"https://far/{key}?{seconds}&{content_disposition}&{content_type}"


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> FailingStore:
    store = FailingStore(CountingStore(Memory()))
    _serve(store, monkeypatch)
    return store


def _serve(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dolium.datasets.building.build_leaf", lambda *_, **__: store)


def remote(folder: Path, *, size: float = 1, **more: Any) -> ObjectStore:
    cache = {"path": str(folder / "cache"), "size": size, "cache_updated_data": False}
    return build(folder, {"type": "boto3", "id": "far", "bucket": {"name": "b"}, "cache": cache, **more})


def filled(folder: Path, data: bytes, **more: Any) -> tuple[ObjectStore, Dataset]:
    """A store with one dataset, of which no copy is in the cache."""
    store, dataset = remote(folder, **more), Dataset(24)
    (folder / "source").write_bytes(data)
    store.update_from_file(dataset, file_name=str(folder / "source"), create=True)
    return store, dataset


def kept(folder: Path) -> list[int]:
    """Sizes of what lies in the cache."""
    return [one.stat().st_size for one in (folder / "cache/blobs/files").rglob("*") if one.is_file()]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_stream_leaves_a_copy(tmp_path: Path, far: FailingStore, data: bytes) -> None:
    store, dataset = filled(tmp_path, data)
    stream = store.get_data_stream(dataset)
    assert stream is not None
    assert stream.size == len(data)
    assert b"".join(stream) == data
    assert kept(tmp_path) == [len(data)]
    assert store.get_data_stream(dataset) is None  # a path costs nothing now
    far.fail("get", StoreUnavailable("far", "down"), for_good=True)
    assert Path(store.get_filename(dataset)).read_bytes() == data
    store.shutdown()


def test_a_client_that_goes_away_leaves_nothing(tmp_path: Path, far: FailingStore) -> None:
    store, dataset = filled(tmp_path, LARGE)
    for taken in (0, 1, 5):
        stream = store.get_data_stream(dataset)
        assert stream is not None
        assert len(b"".join(next(stream) for _ in range(taken))) == taken << 20
        stream.close()
        stream.close()
        assert kept(tmp_path) == []
        assert list(stream) == []
    stream = store.get_data_stream(dataset)
    assert stream is not None
    next(stream)
    del stream  # nor one that is forgotten
    assert kept(tmp_path) == []
    store.shutdown()


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("error", [StoreUnavailable("far", "broke off"), BlobCorrupt("is shorter")])
def test_a_read_that_fails_leaves_nothing(
    tmp_path: Path, far: FailingStore, data: bytes, error: Exception
) -> None:
    store, dataset = filled(tmp_path, data)
    far.fail("read", error, nth=1 if data is SMALL else 3)
    with pytest.raises(type(error)):
        list(store.get_data_stream(dataset) or ())
    assert kept(tmp_path) == []
    assert b"".join(store.get_data_stream(dataset) or ()) == data
    store.shutdown()


def test_larger_than_the_cache_streams_and_leaves_nothing(tmp_path: Path, far: FailingStore) -> None:
    store, dataset = filled(tmp_path, SMALL, size=5000 / (1 << 30))
    assert b"".join(store.get_data_stream(dataset) or ()) == SMALL
    assert kept(tmp_path) == []
    store.shutdown()


def test_two_at_once(tmp_path: Path, far: FailingStore) -> None:
    store, dataset = filled(tmp_path, LARGE)
    one, two = store.get_data_stream(dataset), store.get_data_stream(dataset)
    assert one is not None
    assert two is not None
    gathered = [bytearray(), bytearray()]
    for first, second in zip(one, two, strict=True):  # turn by turn
        gathered[0] += first
        gathered[1] += second
    assert gathered == [LARGE, LARGE]
    assert kept(tmp_path) == [len(LARGE)]
    store.shutdown()


def test_many_at_once(tmp_path: Path, far: FailingStore) -> None:
    store, dataset = filled(tmp_path, SMALL)
    found: list[bytes] = []

    def read() -> None:
        stream = store.get_data_stream(dataset)
        found.append(store.get_data(dataset) if stream is None else b"".join(stream))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [SMALL] * 8
    assert kept(tmp_path) == [len(SMALL)]
    store.shutdown()


def test_where_a_path_costs_no_more_there_is_none(tmp_path: Path, far: FailingStore) -> None:
    store = build(tmp_path, group("hierarchical", disk(tmp_path, "near"), disk(tmp_path, "older")))
    dataset = Dataset(24)
    assert store.get_data_stream(dataset) is None  # absent
    store.update_from_file(dataset, file_name=write(tmp_path / "x", "bytes"), create=True)
    assert store.get_data_stream(dataset) is None  # on a disk
    distant = remote(tmp_path)
    distant.create(dataset)
    assert distant.get_data_stream(dataset) is None  # empty
    Path(distant.get_filename(dataset)).write_text("a job is about to fill it")
    assert distant.get_data_stream(dataset) is None
    counting = far.child
    assert isinstance(counting, CountingStore)
    assert counting.calls["get"] == 0
    distant.shutdown()


def test_a_store_that_is_down_says_so(tmp_path: Path, far: FailingStore) -> None:
    store = remote(tmp_path)
    far.fail("stat", StoreUnavailable("far", "down"), for_good=True)
    with pytest.raises(StoreUnavailable):
        store.get_data_stream(Dataset(25))
    assert far.child.calls["get"] == 0  # type: ignore[attr-defined]
    store.shutdown()


def test_of_several_stores_the_one_that_has_it_streams(tmp_path: Path, far: FailingStore) -> None:
    cache = {"path": str(tmp_path / "cache"), "cache_updated_data": False}
    there = {"type": "boto3", "id": "far", "bucket": {"name": "b"}, "cache": cache}
    store = build(tmp_path, group("distributed", disk(tmp_path, "near"), there))
    dataset = Dataset(24, object_store_id="far")
    store.update_from_file(dataset, file_name=write(tmp_path / "x", "bytes"), create=True)
    wrong = Dataset(24, object_store_id="near")
    assert b"".join(store.get_data_stream(wrong) or ()) == b"bytes"
    assert wrong.object_store_id == "far"
    store.shutdown()


def test_urls_for_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = Far(Memory())
    _serve(far, monkeypatch)
    for allowed in (False, True):
        store, dataset = filled(tmp_path, SMALL, enable_direct_download=allowed)
        url = store.get_direct_download_url(
            dataset, content_disposition='attachment; filename="a"', content_type="text/plain"
        )
        asked = 'https://far/000/dataset_24.dat?3600&attachment; filename="a"&text/plain'
        assert url == (asked if allowed else None)
        assert far.signed == int(allowed)
        assert store.get_direct_download_url(Dataset(25)) is None
        store.shutdown()
    assert far.signed == 1
    store = remote(tmp_path, enable_direct_download=True)
    assert store.get_direct_download_url(dataset) == "https://far/000/dataset_24.dat?3600&&"
    store.shutdown()


def test_no_urls_for_downloads_of_a_disk(tmp_path: Path) -> None:
    store = build(tmp_path, disk(tmp_path, "near", enable_direct_download=True))
    dataset = Dataset(24)
    store.create(dataset)
    assert store.get_direct_download_url(dataset, "attachment", "text/plain") is None
