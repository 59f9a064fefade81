"""The seed's third setup, with dolium as the S3 service in MinIO's place: our library and the real Galaxy on it."""

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dolium.datasets.entry import build_object_store
from dolium.datasets.layout import remote_key
from dolium.datasets.store import ObjectStore
from dolium.errors import DatasetNotFound, StoreFull, StoreUnavailable
from dolium.testing.server import Site
from dolium.values import ByteRange
from galaxy import objectstore
from tests.unit.datasets.kit import Dataset, defaults, write

# As the seed has it, with its host, port and keys.
SEED = """<?xml version="1.0"?>
<object_store type="hierarchical">
    <backends>
        <backend id="newdata" type="disk" order="1"><files_dir path="{folder}/data2"/></backend>
        <backend id="olddata" type="disk" order="2"><files_dir path="{folder}/data"/></backend>
        <object_store id="swifty" type="swift" order="0">
            <auth access_key="{access}" secret_key="env:SWIFTY_SECRET" />
            <bucket name="galaxy" use_reduced_redundancy="False" max_chunk_size="250"/>
            <connection host="127.0.0.1" port="{port}" is_secure="False" conn_path="" multipart="True"/>
            <cache path="{folder}/cache" size="{size}" />
            <extra_dir type="job_work" path="{folder}/jobs_swift"/>
            <extra_dir type="temp" path="{folder}/tmp_swift"/>
        </object_store>
    </backends>
</object_store>
"""


def third(folder: Path, site: Site, size: float = 1) -> ObjectStore:
    file = folder / "object_store_conf.xml"
    port = site.host.rpartition(":")[2]
    file.write_text(SEED.format(folder=folder, access=site.access_key, port=port, size=size))
    environ = {"SWIFTY_SECRET": site.secret_key}
    return build_object_store(file=file, defaults=defaults(folder), environ=environ)


@pytest.fixture
def store(tmp_path: Path, site: Site, bucket: Any) -> Iterator[ObjectStore]:
    store = third(tmp_path, site)
    yield store
    store.shutdown()


def keys(bucket: Any) -> set[str]:
    return {one.key for one in bucket.objects.all()}


def test_the_seed(tmp_path: Path, site: Site, store: ObjectStore) -> None:
    """Upload a dataset, and see it in the bucket, with s3cmd."""
    old = write(tmp_path / "data/000/dataset_7.dat", "older")
    dataset = Dataset(24)
    source = write(tmp_path / "upload", "chr1 1 2\n")
    store.update_from_file(dataset, file_name=source, create=True)
    assert dataset.object_store_id == "swifty"
    s3cmd = shutil.which("s3cmd")
    assert s3cmd is not None
    done = subprocess.run(
        [
            s3cmd, "ls", "s3://galaxy/000/", f"--access_key={site.access_key}", f"--secret_key={site.secret_key}",
            f"--host={site.host}", f"--host-bucket={site.host}", "--no-ssl", "--config=/dev/null",
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "s3://galaxy/000/dataset_24.dat" in done.stdout
    before = Dataset(7)
    assert store.get_filename(before) == old
    assert before.object_store_id == "olddata"


def test_what_galaxy_tests_of_a_caching_store(tmp_path: Path, store: ObjectStore, bucket: Any) -> None:
    hello = Dataset(3)
    source = write(tmp_path / "hello.txt", "Hello World!")
    assert not store.exists(Dataset(1))
    store.create(Dataset(2))
    assert store.exists(Dataset(2))
    assert store.empty(Dataset(2))
    store.update_from_file(hello, file_name=source, create=True)
    for wipe in (False, True):
        if wipe:
            for file in (tmp_path / "cache/blobs/files").glob("*/*"):
                file.unlink()
            shutil.rmtree(tmp_path / "cache" / "paths", ignore_errors=True)
        assert store.get_data(hello) == b"Hello World!"
        assert store.get_data(hello, start=1, count=6) == b"ello W"
        assert Path(store.get_filename(hello)).read_text() == "Hello World!"
        assert store.size(hello) == 12
        with store.open(hello, range=ByteRange(6, None)) as reader:
            assert reader.read() == b"World!"
    store.create(Dataset(5))
    assert store.delete(Dataset(5))
    assert not store.exists(Dataset(5))
    url = store.get_object_url(hello)
    assert url is not None
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"Hello World!"
    binary = os.urandom(1 << 20)
    (tmp_path / "binary").write_bytes(binary)
    store.update_from_file(Dataset(6), file_name=str(tmp_path / "binary"), create=True)
    assert store.get_data(Dataset(6)) == binary
    assert keys(bucket) == {f"000/dataset_{number}.dat" for number in (2, 3, 6)}


def test_folders_are_fetched_whole(tmp_path: Path, store: ObjectStore, bucket: Any) -> None:
    dataset, files = Dataset(7), "dataset_7_files"
    store.create(dataset)
    for name in ("a.txt", "deep/b c.txt"):
        store.update_from_file(
            dataset, extra_dir=files, alt_name=name, file_name=write(tmp_path / "x", name), create=True
        )
    assert f"000/{files}/deep/b c.txt" in keys(bucket)
    for _ in range(2):
        folder = Path(store.get_filename(dataset, extra_dir=files, dir_only=True))
        found = {str(one.relative_to(folder)): one.read_text() for one in folder.rglob("*") if one.is_file()}
        assert found == {"a.txt": "a.txt", "deep/b c.txt": "deep/b c.txt"}
        (folder / "a.txt").unlink()  # half of it was cleaned away
    assert store.exists(dataset, extra_dir=files, dir_only=True)
    assert store.delete(dataset, entire_dir=True, extra_dir=files, dir_only=True)
    assert not store.exists(dataset, extra_dir=files, dir_only=True)
    assert not folder.exists()
    with pytest.raises(DatasetNotFound):
        store.get_filename(dataset, extra_dir=files, dir_only=True)


def test_the_folder_of_a_dataset_is_beside_its_file(tmp_path: Path, store: ObjectStore, bucket: Any) -> None:
    """Galaxy's jobs look for it there, by the path of the file; what an output has there is sent at the end."""
    dataset, files = Dataset(24), "dataset_24_files"
    where: dict[str, Any] = {"extra_dir": files, "dir_only": True}
    store.create(dataset)
    given = store.get_filename(dataset)
    beside = Path(given.removesuffix(".dat") + "_files")
    assert str(beside) == store.construct_path(dataset, in_cache=True, **where)
    store.create(dataset, **where)
    assert not store.exists(dataset, **where)
    (beside / "deep").mkdir()
    for name in ("one", "deep/two"):
        (beside / name).write_text(name)
    Path(given).write_text("main")
    store.update_from_file(dataset)
    objectstore.persist_extra_files_for_dataset(store, str(beside), dataset, files)  # type: ignore[arg-type]
    assert keys(bucket) == {"000/dataset_24.dat", f"000/{files}/one", f"000/{files}/deep/two"}
    for _ in range(2):
        path = store.get_filename(dataset)
        assert path.endswith("/000/dataset_24.dat")
        folder = Path(store.get_filename(dataset, **where))
        assert str(folder) == path.removesuffix(".dat") + "_files"
        assert {one.name: one.read_text() for one in folder.rglob("*") if one.is_file()} == {
            "one": "one", "two": "deep/two",
        }  # fmt: skip
        shutil.rmtree(tmp_path / "cache/paths")
    path = store.get_filename(dataset)
    assert Path(path.removesuffix(".dat") + "_files", "deep/two").read_text() == "deep/two"
    assert [one for one in (tmp_path / "cache/writing").rglob("*") if one.is_file()] == []
    store.get_filename(dataset)
    assert store.delete(dataset)
    assert store.delete(dataset, entire_dir=True, **where)
    assert [one for one in (tmp_path / "cache/paths").rglob("*") if one.is_file()] == []


def test_a_path_is_gone_when_the_cache_has_let_it_go(
    tmp_path: Path, store: ObjectStore, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dolium.datasets.remote._SWEEP_SECONDS", 0)
    first, second = Dataset(1), Dataset(2)
    for one in (first, second):
        store.update_from_file(one, file_name=write(tmp_path / "x", "bytes"), create=True)
    path = Path(store.get_filename(first))
    for file in (tmp_path / "cache/blobs/files").glob("*/*"):
        file.unlink()
    assert path.read_text() == "bytes"  # for whoever still reads it
    store.get_filename(second)
    assert not path.exists()
    assert Path(store.get_filename(first)).read_text() == "bytes"


def test_a_job_fills_an_empty_dataset(tmp_path: Path, site: Site, store: ObjectStore, bucket: Any) -> None:
    dataset = Dataset(24)
    store.create(dataset)
    Path(store.get_filename(dataset)).write_text("output of a job")
    assert store.size(dataset) == 15  # seen here before it is sent
    assert bucket.Object("000/dataset_24.dat").content_length == 0
    store.update_from_file(dataset, create=True)
    assert bucket.Object("000/dataset_24.dat").content_length == 15
    assert store.get_data(dataset) == b"output of a job"
    path = Path(store.get_filename(dataset))
    assert path.read_text() == "output of a job"
    assert path.stat().st_mode & 0o222 == 0
    jobs = store.construct_path(dataset, base_dir="job_work", obj_dir=True, dir_only=True)
    assert jobs == f"{tmp_path}/jobs_swift/000/24"


def test_nothing_overwrites_and_does_not_come_back(tmp_path: Path, store: ObjectStore, bucket: Any) -> None:
    dataset = Dataset(24)
    store.update_from_file(dataset, file_name=write(tmp_path / "x", "hello world"), create=True)
    store.update_from_file(dataset, file_name=write(tmp_path / "y", ""))
    assert bucket.Object("000/dataset_24.dat").content_length == 0
    assert store.empty(dataset)


def test_a_failed_upload_raises(tmp_path: Path, site: Site, bucket: Any) -> None:
    good = third(tmp_path, site)
    dataset = Dataset(24)
    good.update_from_file(dataset, file_name=write(tmp_path / "old", "old"), create=True)
    good.shutdown()
    nobody = SimpleNamespace(host="127.0.0.1:1", access_key=site.access_key, secret_key=site.secret_key)
    store = third(tmp_path, nobody)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        store.update_from_file(dataset, file_name=write(tmp_path / "new", "newer"))
    with pytest.raises(StoreUnavailable):
        store.exists(Dataset(25, object_store_id="swifty"))
    fresh = Dataset(26)
    store.update_from_file(fresh, file_name=str(tmp_path / "new"), create=True)
    assert fresh.object_store_id == "newdata"  # new data goes elsewhere
    store.shutdown()
    assert bucket.Object("000/dataset_24.dat").get()["Body"].read() == b"old"


def test_larger_than_the_cache(tmp_path: Path, site: Site, bucket: Any) -> None:
    store = third(tmp_path, site, size=0.0001)  # some 100 kB
    dataset = Dataset(24)
    data = os.urandom(1 << 18)
    (tmp_path / "large").write_bytes(data)
    store.update_from_file(dataset, file_name=str(tmp_path / "large"), create=True)
    assert store.get_data(dataset) == data
    with store.open(dataset, range=ByteRange(1000, 1999)) as reader:
        assert reader.read() == data[1000:2000]
    with pytest.raises(StoreFull, match="streamed"):
        store.get_filename(dataset)
    store.shutdown()


def test_secrets_stay_out_of_the_dictionary(tmp_path: Path, site: Site, bucket: Any, caplog: Any) -> None:
    store = third(tmp_path, site)
    said = store.to_dict()
    assert site.secret_key not in str(said)
    assert said["backends"][0]["auth"]["secret_key"] == "env:SWIFTY_SECRET"
    again = build_object_store(said, environ={"SWIFTY_SECRET": site.secret_key})
    dataset = Dataset(24)
    store.create(dataset)
    assert again.exists(dataset)
    assert "in the clear" not in caplog.text or "secret_key" not in caplog.text
    for one in (store, again):
        one.shutdown()


WITH_BOTO_2 = """
import sys
from types import SimpleNamespace
from galaxy import objectstore

kind, folder, port, access, secret = sys.argv[1:]
config = SimpleNamespace(
    file_path=folder, new_file_path=folder, jobs_directory=folder, umask=0o22, gid=-1, enable_quotas=False,
    object_store_check_old_style=False, object_store_cache_path=folder + "/cache", object_store_cache_size=-1,
    object_store_store_by="id",
)
store = objectstore.build_object_store_from_config(config, config_dict={
    "type": kind, "auth": {"access_key": access, "secret_key": secret},
    "bucket": {"name": "galaxy", "use_reduced_redundancy": False, "max_chunk_size": 250},
    "connection": {
        "host": "127.0.0.1", "port": int(port), "is_secure": False, "conn_path": "", "multipart": True,
    },
    "cache": {"path": folder + "/cache", "size": 1},
})
dataset = SimpleNamespace(id=24, uuid=None, object_store_id=None)
store.create(dataset)
store.update_from_file(dataset, file_name=folder + "/source")
objectstore.caching.reset_cache(store.cache_target)
print(open(store.get_filename(dataset)).read())
"""


@pytest.mark.parametrize("kind", ["swift", "generic_s3"])
def test_the_real_galaxy_with_boto_2(
    tmp_path: Path, site: Site, bucket: Any, store: ObjectStore, boto_2: Path, kind: str
) -> None:
    write(tmp_path / "source", f"by {kind}")
    port = site.host.rpartition(":")[2]
    arguments = [kind, str(tmp_path), port, site.access_key, site.secret_key]
    done = subprocess.run(
        [sys.executable, "-c", WITH_BOTO_2, *arguments], env={**os.environ, "PYTHONPATH": str(boto_2)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"by {kind}"
    assert store.get_data(Dataset(24)) == f"by {kind}".encode()


@pytest.mark.parametrize("kind", ["boto3"])
def test_the_real_galaxy_on_our_service(tmp_path: Path, site: Site, bucket: Any, kind: str) -> None:
    config = SimpleNamespace(
        file_path=str(tmp_path), new_file_path=str(tmp_path), jobs_directory=str(tmp_path), umask=0o22, gid=-1,
        object_store_check_old_style=False, object_store_cache_path=str(tmp_path / "cache"),
        object_store_cache_size=-1, object_store_store_by="id", enable_quotas=False,
    )  # fmt: skip
    store = objectstore.build_object_store_from_config(
        config,
        config_dict={
            "type": kind,
            "auth": {"access_key": site.access_key, "secret_key": site.secret_key},
            "bucket": {"name": "galaxy"},
            "connection": {"endpoint_url": site.url, "region": site.region},
            "cache": {"path": str(tmp_path / "cache"), "size": 1},
        },
    )
    dataset = Dataset(24)
    large = os.urandom(9 << 20)  # in parts
    (tmp_path / "large").write_bytes(large)
    store.create(dataset)
    store.update_from_file(dataset, file_name=str(tmp_path / "large"))
    shutil.rmtree(tmp_path / "cache")
    assert Path(store.get_filename(dataset)).read_bytes() == large
    ours = third(tmp_path, site)  # and what Galaxy has written is ours to read
    assert ours.get_data(Dataset(24)) == large
    ours.shutdown()
    with urllib.request.urlopen(store.get_object_url(dataset)) as answer:
        assert answer.read() == large
    assert store.delete(dataset)
    assert not store.exists(dataset)
    assert remote_key(24, _main()) not in keys(bucket)


def _main() -> Any:
    from dolium.datasets.layout import Address

    return Address()
