"""What Galaxy's development branch asks of a store and no release does yet, of the adapter and on our service."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from galaxy.exceptions import ObjectInvalid
from galaxy.objectstore.caching import CacheTarget

from dolium.datasets.galaxy import StorageUnavailable, build_object_store_from_config
from dolium.datasets.layout import Address, remote_key
from dolium.errors import BlobCorrupt
from dolium.testing.server import Site
from tests.unit.datasets.kit import Dataset

CONTENT = b"chr1 1 2\n" * 1000


def config(folder: Path) -> SimpleNamespace:
    return SimpleNamespace(
        file_path=str(folder / "files"), new_file_path=str(folder / "tmp"), jobs_directory=str(folder / "jobs"),
        umask=0o22, gid=-1, object_store_check_old_style=False, object_store_cache_path=str(folder / "cache"),
        object_store_cache_size=-1, object_store_store_by="id", enable_quotas=False,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, site: Site, bucket: Any) -> Iterator[Any]:
    """Ours, as Galaxy gets it: a disk, and a bucket before which there is a cache in two folders."""
    (tmp_path / "files").mkdir()
    folders = [{"path": str(tmp_path / name), "weight": 1, "size": 1} for name in ("one", "two")]
    said = {
        "type": "distributed",
        "backends": [
            {"id": "near", "type": "disk", "weight": 1, "files_dir": str(tmp_path / "near")},
            {
                "id": "far", "type": "boto3", "weight": 0, "enable_direct_download": True, "bucket": {"name": "galaxy"},
                "auth": {"access_key": site.access_key, "secret_key": site.secret_key},
                "connection": {"endpoint_url": site.url}, "cache": {"dirs": folders, "cache_updated_data": False},
            },
        ],
    }  # fmt: skip
    store = build_object_store_from_config(config(tmp_path), config_dict=said)
    yield store
    store.shutdown()


@pytest.fixture
def far(tmp_path: Path, store: Any) -> Dataset:
    dataset = Dataset(24, object_store_id="far")
    (tmp_path / "source").write_bytes(CONTENT)
    store.update_from_file(dataset, file_name=str(tmp_path / "source"), create=True)
    return dataset


def test_people_are_sent_to_the_service(store: Any, far: Dataset) -> None:
    said = "attachment; filename=\"Galaxy1-[1.bed].bed\"; filename*=UTF-8''Galaxy1-%5B%C3%A9%5D.bed"
    url = store.get_direct_download_url(far, content_disposition=said, content_type="text/x-bed")
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == CONTENT
        assert answer.headers["Content-Disposition"] == said
        assert answer.headers["Content-Type"] == "text/x-bed"
    with urllib.request.urlopen(store.get_direct_download_url(far)) as answer:
        assert answer.read() == CONTENT
    near = Dataset(25)
    assert store.create(near).to_model("near").object_store_id == "near"
    assert store.get_direct_download_url(near, content_disposition=said) is None


def test_a_download_leaves_a_copy_in_one_of_the_folders(tmp_path: Path, store: Any, far: Dataset) -> None:
    stream = store.get_data_stream(far)
    assert b"".join(stream) == CONTENT
    stream.close()
    assert store.get_data_stream(far) is None
    kept = [
        one
        for name in ("one", "two")
        for one in (tmp_path / name / "blobs/files").rglob("*")
        if one.is_file()
    ]
    assert [one.read_bytes() for one in kept] == [CONTENT]
    assert store.get_data_stream(Dataset(99, object_store_id="far")) is None
    targets = store.cache_targets()
    assert [one.path for one in targets] == [f"{tmp_path}/{name}/cleaned/far" for name in ("one", "two")]
    assert {type(one) for one in targets} == {CacheTarget}
    assert store.backends["far"].cache_target == targets[0]
    assert store.backends["far"].enable_direct_download


def test_what_breaks_in_the_middle_is_galaxys_exception(
    store: Any, far: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = store.get_data_stream(far)

    def broken(size: int = -1) -> bytes:
        raise BlobCorrupt("is shorter")

    monkeypatch.setattr(stream._stream._reader, "read", broken)
    with pytest.raises(StorageUnavailable):
        next(stream)
    assert list(stream) == []
    with pytest.raises(ObjectInvalid):
        store.get_filename(far, extra_dir="/etc", auth=object())


def test_who_asks_is_taken(tmp_path: Path, store: Any, far: Dataset) -> None:
    """`auth`, which stores with credentials of a person want; ours have none."""
    who = SimpleNamespace(user=None, token="t")
    assert Path(store.get_filename(far, auth=who)).read_bytes() == CONTENT
    assert store.delete(far, auth=who)
    assert not store.exists(far)


def test_a_job_builds_it_again(tmp_path: Path, store: Any, far: Dataset) -> None:
    again = build_object_store_from_config(None, config_dict=store.to_dict())
    assert again.cache_targets() == store.cache_targets()
    assert again.get_direct_download_url(far)
    assert Path(again.get_filename(far)).read_bytes() == CONTENT
    again.shutdown()


def test_the_key_is_galaxys(bucket: Any, far: Dataset) -> None:
    assert [one.key for one in bucket.objects.all()] == [remote_key(24, Address())]
