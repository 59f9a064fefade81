"""Remote stores through the library, from a file as an administrator writes it: what Galaxy asks of its caching stores
(its own list, `verify_caching_object_store_functionality`), and what goes wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from dolium.datasets.entry import build_object_store
from dolium.datasets.store import ObjectStore
from dolium.errors import DatasetNotFound, StoreUnavailable
from dolium.stores.leaves import disk_identity
from dolium.values import ByteRange
from tests.remote.emulators import Emulator
from tests.remote.google import tokens
from tests.remote.swift import TEMP_URL_KEY
from tests.unit.datasets import kit
from tests.unit.datasets.kit import defaults, write

_BOTO3: Final = """<object_store type="boto3" id="far" private="true">
    <auth access_key="{user}" secret_key="env:FAR_SECRET"/>
    <bucket name="{container}"/>
    <connection endpoint_url="{url}" {patience}/>
    <transfer multipart_threshold="5242880" multipart_chunksize="5242880"/>
    <cache path="{cache}" size="1" cache_updated_data="true"/>
    <extra_dir type="job_work" path="{folder}/jobs"/>
    <extra_dir type="temp" path="{folder}/tmp"/>
</object_store>
"""
_GENERIC_S3: Final = """<object_store type="generic_s3" id="far">
    <auth access_key="{user}" secret_key="env:FAR_SECRET"/>
    <bucket name="{container}" use_reduced_redundancy="False" max_chunk_size="5"/>
    <connection host="127.0.0.1" port="{port}" is_secure="False" conn_path="" multipart="True" {patience}/>
    <cache path="{cache}" size="1"/>
    <extra_dir type="job_work" path="{folder}/jobs"/>
    <extra_dir type="temp" path="{folder}/tmp"/>
</object_store>
"""
_AZURE_BLOB: Final = """<object_store type="azure_blob" id="far" store_by="uuid">
    <auth account_name="{user}" account_key="env:FAR_SECRET" account_url="{url}"/>
    <container name="{container}"/>
    <transfer max_block_size="4194304" max_concurrency="2"/>
    <connection {patience}/>
    <cache path="{cache}" size="1"/>
    <extra_dir type="job_work" path="{folder}/jobs"/>
    <extra_dir type="temp" path="{folder}/tmp"/>
</object_store>
"""
_CLOUD: Final = """<object_store type="cloud" provider="google" id="far">
    <auth credentials_file="{folder}/account.json"/>
    <bucket name="{container}" use_reduced_redundancy="False"/>
    <connection {patience}/>
    <cache path="{cache}" size="1"/>
    <extra_dir type="job_work" path="{folder}/jobs"/>
    <extra_dir type="temp" path="{folder}/tmp"/>
</object_store>
"""
_GCS: Final = """
type: gcs
id: far
auth: {{anonymous: true}}
bucket: {{name: {container}}}
connection: {{endpoint_url: "{url}", {patience}}}
cache: {{path: {cache}, size: 1}}
"""
_OPENSTACK_SWIFT: Final = """
type: openstack_swift
id: far
auth: {{auth_url: "{url}", auth_version: "1", username: "{user}", password: "env:FAR_SECRET", temp_url_key: "env:FAR_URLS"}}
container: {{name: {container}}}
connection: {{{patience}}}
cache: {{path: {cache}, size: 1}}
"""
_WEBDAV: Final = """
type: webdav
id: far
prefix: data
auth: {{username: {user}, password: "env:FAR_SECRET"}}
connection: {{url: "{url}/{container}", {patience}}}
cache: {{path: {cache}, size: 1}}
"""


@dataclass(frozen=True)
class Kind:
    """`signs`: whether it gives URLs; `asks`: whether the service looks at credentials."""

    emulator: str
    text: str
    signs: bool = False
    asks: bool = True


KINDS: Final = {
    "boto3": Kind("s3_emulator", _BOTO3, signs=True),
    "generic_s3": Kind("rclone_emulator", _GENERIC_S3, signs=True),
    "azure_blob": Kind("azure_blob_emulator", _AZURE_BLOB, signs=True),
    "cloud-google": Kind("gcs_emulator", _CLOUD, signs=True),
    "gcs": Kind("gcs_emulator", _GCS, asks=False),
    "openstack_swift": Kind("openstack_swift_emulator", _OPENSTACK_SWIFT, signs=True),
    "webdav": Kind("webdav_emulator", _WEBDAV),
}


class Dataset(kit.Dataset):
    """The same uuid in every process."""

    def __init__(self, number: int) -> None:
        super().__init__(number, uuid=UUID(int=number << 64))


@dataclass
class Far:
    """A container of a service, and the files that name it. What `build` makes shares one cache."""

    kind: Kind
    service: Emulator
    folder: Path
    container: str
    environ: dict[str, str]
    built: list[ObjectStore]

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def build(self, *, attempts: int = 3, seconds: float = 10.0, **changes: str) -> ObjectStore:
        xml = self.kind.text.startswith("<")
        patience = f'attempts="{attempts}" timeout_seconds="{seconds}"'
        said = {
            "url": self.service.url, "port": self.service.url.rpartition(":")[2], "user": self.service.user,
            "container": self.container, "folder": str(self.folder), "cache": str(self.cache),
            "patience": patience if xml else f"attempts: {attempts}, timeout_seconds: {seconds}",
        }  # fmt: skip
        file = self.folder / f"object_store_conf.{'xml' if xml else 'yml'}"
        file.write_text(self.kind.text.format(**(said | changes)))
        store = build_object_store(file=file, defaults=defaults(self.folder), environ=self.environ)
        self.built.append(store)
        return store

    def wipe(self) -> None:
        """As an administrator does it, under the feet of all who use it."""
        shutil.rmtree(self.cache)


@pytest.fixture(params=KINDS)
def far(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    kind = KINDS[request.param]
    service: Emulator = request.getfixturevalue(kind.emulator)
    if request.param == "cloud-google":
        given = request.getfixturevalue("account")
        (tmp_path / "account.json").write_text(given)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", service.url)  # Google's own way to name one
    environ = {"FAR_SECRET": service.secret, "FAR_URLS": TEMP_URL_KEY}
    far = Far(kind, service, tmp_path, service.container(), environ, [])
    yield far
    for store in far.built:
        store.shutdown()


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    with tokens() as found:
        yield found.said


def _unwiped(_far: Far) -> None:
    pass


WIPED: Final[tuple[Callable[[Far], None], ...]] = (_unwiped, Far.wipe)
"""Each step with a cache that is warm, and with one that is gone."""


def test_galaxys_list(far: Far) -> None:
    store = far.build()
    absent, empty, hello = Dataset(1), Dataset(2), Dataset(3)
    assert not store.exists(absent)
    assert store.size(absent) == 0
    with pytest.raises(DatasetNotFound):
        store.get_filename(absent)
    store.create(empty)
    store.update_from_file(hello, file_name=write(far.folder / "hello", "Hello World!"), create=True)
    assert (empty.object_store_id, hello.object_store_id) == ("far", "far")
    for wipe in WIPED:
        wipe(far)
        assert store.exists(empty)
        wipe(far)
        assert store.empty(empty)
        wipe(far)
        assert store.size(empty) == 0
        wipe(far)
        assert store.get_data(empty) == b""
        wipe(far)
        assert Path(store.get_filename(empty)).read_bytes() == b""
        wipe(far)
        assert store.exists(hello)
        wipe(far)
        assert not store.empty(hello)
        wipe(far)
        assert store.size(hello) == 12
        wipe(far)
        assert store.get_data(hello) == b"Hello World!"
        wipe(far)
        assert store.get_data(hello, start=1, count=6) == b"ello W"
        wipe(far)
        with store.open(hello, range=ByteRange(None, 6)) as reader:
            assert reader.read() == b"World!"
        wipe(far)
        assert Path(store.get_filename(hello)).read_text() == "Hello World!"
        wipe(far)
        store.update_from_file(hello, file_name=write(far.folder / "hello", "Hello World!"))
    assert 0 <= store.get_store_usage_percent() <= 100


def test_deleted_with_its_copy_and_without(far: Far) -> None:
    store = far.build()
    for wipe in WIPED:
        dataset = Dataset(5)
        store.update_from_file(dataset, file_name=write(far.folder / "x", "bytes"), create=True)
        wipe(far)
        assert store.delete(dataset)
        for one in (store, far.build()):
            assert not store.exists(dataset)
            assert not one.delete(dataset)
        with pytest.raises(DatasetNotFound):
            store.get_data(dataset)


def test_nothing_replaces_something(far: Far) -> None:
    store = far.build()
    dataset = Dataset(6)
    source = write(far.folder / "x", "something")
    for wipe in WIPED:
        store.update_from_file(dataset, file_name=source, create=True)
        wipe(far)
        store.update_from_file(dataset, file_name=write(far.folder / "empty", ""))
        wipe(far)
        assert store.empty(dataset)
        assert Path(store.get_filename(dataset)).stat().st_size == 0
        assert far.build().size(dataset) == 0


def test_bytes_are_bytes_in_parts_too(far: Far) -> None:
    """More than a part of any of them, and what is no text."""
    store = far.build()
    for number, size in enumerate((1024, 11 << 20), 7):
        dataset = Dataset(number)
        data = os.urandom(size)
        source = far.folder / "binary"
        source.write_bytes(data)
        store.update_from_file(dataset, file_name=str(source), create=True)
        for wipe in WIPED:
            wipe(far)
            whole = hashlib.sha256(Path(store.get_filename(dataset)).read_bytes()).digest()
            assert whole == hashlib.sha256(data).digest()
            wipe(far)
            assert store.get_data(dataset, start=size - 100, count=90) == data[-100:-10]
            with store.open(dataset) as reader:
                assert hashlib.sha256(reader.read()).digest() == hashlib.sha256(data).digest()


def test_extra_files_come_back(far: Far) -> None:
    store = far.build()
    dataset, files = Dataset(8), "dataset_8_files"
    store.create(dataset)
    names = ["index.html", "deep/er/b c.txt", "umlaut ä.txt"]
    for name in names:
        source = write(far.folder / "x", f"this is {name}")
        store.update_from_file(dataset, extra_dir=files, alt_name=name, file_name=source, create=True)
    for wipe in WIPED:
        wipe(far)
        for name in names:
            path = Path(store.get_filename(dataset, extra_dir=files, alt_name=name))
            assert path.read_text() == f"this is {name}"
        wipe(far)
        folder = Path(store.get_filename(dataset, extra_dir=files, dir_only=True))
        found = {str(one.relative_to(folder)): one.read_text() for one in folder.rglob("*") if one.is_file()}
        assert found == {name: f"this is {name}" for name in names}
        (folder / names[0]).unlink()
    assert store.delete(dataset, entire_dir=True, extra_dir=files, dir_only=True)
    assert not store.exists(dataset, extra_dir=files, dir_only=True)
    assert not store.exists(dataset, extra_dir=files, alt_name=names[1])
    assert store.exists(dataset)


def test_a_job_fills_an_empty_one_and_one_that_is_written_to_is_told(far: Far) -> None:
    store, other = far.build(), far.build()
    dataset = Dataset(9)
    store.create(dataset)
    Path(store.get_filename(dataset)).write_text("output of a job")
    store.update_from_file(dataset, create=True)
    assert other.get_data(dataset) == b"output of a job"
    path = Path(store.get_filename(dataset))
    assert path.stat().st_mode & 0o777 == 0o444
    path.chmod(0o644)  # root needs no leave
    path.write_text("written in place")
    for one in (store, other):
        assert one.get_data(dataset) == b"output of a job"
        assert Path(one.get_filename(dataset)).read_text() == "output of a job"
    store.update_from_file(dataset)
    for one in (store, other):
        assert one.get_data(dataset) == b"written in place"
        assert Path(one.get_filename(dataset)).read_text() == "written in place"
    far.wipe()
    store.update_from_file(dataset)
    assert other.get_data(dataset) == b"written in place"


def test_urls_are_for_anybody(far: Far) -> None:
    store = far.build()
    dataset = Dataset(10)
    assert store.get_object_url(dataset) is None
    store.update_from_file(dataset, file_name=write(far.folder / "x", "bytes"), create=True)
    store.update_from_file(
        dataset,
        extra_dir="dataset_10_files",
        alt_name="a b.txt",
        file_name=str(far.folder / "x"),
        create=True,
    )
    urls = [
        store.get_object_url(dataset),
        store.get_object_url(dataset, extra_dir="dataset_10_files", alt_name="a b.txt"),
    ]
    if not far.kind.signs:
        assert urls == [None, None]
        return
    for url in urls:
        assert url is not None
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.read() == b"bytes"


def test_wrong_credentials_are_told(far: Far) -> None:
    if not far.kind.asks:
        assert not far.build().exists(Dataset(11)), "this one lets everybody in"
        return
    if "account.json" in far.kind.text:
        from tests.remote.google import account as stranger

        said = json.loads((far.folder / "account.json").read_text())
        of_another = json.loads(stranger(said["token_uri"]).said)
        (far.folder / "account.json").write_text(json.dumps(of_another))
    else:
        far.environ["FAR_SECRET"] = "YW5vdGhlciBrZXk="
    store = far.build(attempts=1)
    with pytest.raises(StoreUnavailable, match=r"^far: .*credentials"):
        store.exists(Dataset(11))
    with pytest.raises(StoreUnavailable, match=r"^far: .*credentials"):
        store.update_from_file(Dataset(11), file_name=write(far.folder / "x", "bytes"), create=True)


def test_settings_that_make_no_store_are_told_as_a_store_that_is_down(tmp_path: Path) -> None:
    """Not at the start: others may do without it."""
    config = {
        "type": "gcs",
        "id": "far",
        "bucket": {"name": "x"},
        "auth": {"credentials_file": "/absent.json"},
    }
    store = kit.build(tmp_path, kit.group("hierarchical", config, kit.disk(tmp_path, "near")))
    dataset = kit.Dataset(1)
    store.create(dataset)
    assert dataset.object_store_id == "near"
    assert 0 < store.get_store_usage_percent() < 100
    with pytest.raises(StoreUnavailable, match=r"^far: .*/absent.json"):
        store.exists(kit.Dataset(2))
    store.shutdown()


def test_a_service_that_hangs_is_down_and_comes_back(far: Far) -> None:
    store, impatient = far.build(), far.build(attempts=1, seconds=0.4)
    kept, absent = Dataset(12), Dataset(13)
    source = write(far.folder / "x", "bytes")
    store.update_from_file(kept, file_name=source, create=True)
    path = store.get_filename(kept)
    with far.service.hung():
        assert impatient.get_data(kept) == b"bytes", "it is here, and was looked at a moment ago"
        assert Path(path).read_text() == "bytes"
        assert 0 <= impatient.get_store_usage_percent() <= 100
        for verb in (
            lambda: impatient.exists(absent),
            lambda: impatient.update_from_file(kept, file_name=write(far.folder / "y", "newer")),
            lambda: impatient.delete(kept),
        ):
            with pytest.raises(StoreUnavailable, match=r"^far: "):
                verb()
    assert not store.exists(absent)
    end = time.monotonic() + 20
    data = b""
    while data != b"bytes":  # what was given up may still come to its end
        assert time.monotonic() < end
        store.update_from_file(kept, file_name=source, create=True)
        with contextlib.suppress(DatasetNotFound):
            data = far.build().get_data(kept)


_IN_ANOTHER_PROCESS: Final = """
import json, sys
from dolium.datasets.entry import build_object_store
from tests.remote.test_library import Dataset
store = build_object_store(json.loads(sys.stdin.readline()))
dataset = Dataset(14)
assert store.get_data(dataset) == b"by the first", store.get_data(dataset)
store.update_from_file(dataset, file_name=sys.argv[1])
print(store.get_filename(dataset), flush=True)
sys.stdin.readline()
assert store.get_data(dataset) == b"by the first again", store.get_data(dataset)
assert not store.exists(Dataset(15))
store.shutdown()
"""


def test_another_process_builds_it_again_and_shares_its_cache(far: Far) -> None:
    store = far.build()
    dataset = Dataset(14)
    store.update_from_file(dataset, file_name=write(far.folder / "x", "by the first"), create=True)
    said = json.dumps(store.to_dict())
    assert not far.service.secret or far.service.secret not in said
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", _IN_ANOTHER_PROCESS, write(far.folder / "y", "by the second")],
        env={**os.environ, **far.environ, "PYTHONPATH": root}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{said}\n")
        process.stdin.flush()
        path = process.stdout.readline().strip()
        assert path, process.communicate()[1]
        assert store.get_filename(dataset) == path, "one cache"
        assert store.get_data(dataset) == b"by the second", "and nothing stale in it"
        far.wipe()
        store.update_from_file(dataset, file_name=write(far.folder / "x", "by the first again"))
        _, said = process.communicate("\n", timeout=60)
        assert process.returncode == 0, said
    finally:
        process.kill()
        process.wait()


def test_a_copy_here_and_a_copy_there(far: Far) -> None:
    """A replicated store of a disk and a remote one: either is enough."""
    uses = "uuid" if far.kind.text == _AZURE_BLOB else "id"
    there = {**far.build().to_dict(), "private": False, "store_by": uses}
    mine = disk_identity.initialise(far.folder / "here")
    here = kit.disk(far.folder, "here", store_by=uses, expected_uuid=mine)
    config = kit.group("replicated", here, there, id="both", write_quorum=1, store_by=uses)
    store = build_object_store(config, defaults=defaults(far.folder), environ=far.environ)
    far.built.append(store)
    dataset, later = Dataset(16), Dataset(17)
    store.update_from_file(dataset, file_name=write(far.folder / "x", "bytes"), create=True)
    assert dataset.object_store_id == "both"
    assert far.build().get_data(dataset) == b"bytes"
    shutil.move(far.folder / "here", far.folder / "away")
    assert store.get_data(dataset) == b"bytes"
    assert Path(store.get_filename(dataset)).read_text() == "bytes"
    store.update_from_file(later, file_name=write(far.folder / "y", "later"), create=True)
    assert far.build().get_data(later) == b"later"
    shutil.move(far.folder / "away", far.folder / "here")
    assert store.get_data(later) == b"later"
    repaired = store.repair(later)
    assert repaired is not None
    assert (repaired.repaired, repaired.whole) == (("here",), True)
    store.update_from_file(later, file_name=write(far.folder / "z", "the last"))
    store.update_from_file(dataset, file_name=write(far.folder / "z", ""))
    assert [far.build().get_data(one) for one in (dataset, later)] == [b"", b"the last"]
    assert store.delete(later)
    assert not store.exists(later)
    assert not far.build().exists(later)
