"""One service on stores of every remote type, as whoever runs it goes about it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from dolium.config.galaxy import read_stores_objects
from dolium.config.galaxy_leaves import leaf_options
from dolium.config.specs import LeafSpec
from dolium.stores.leaves.remote import Remote
from dolium.stores.registry import build_leaf
from dolium.stores.transfer import read_bytes
from tests.remote.emulators import Emulator
from tests.serve.test_stores import FILE, PART, Service, status_of, tree, until

NAMES = ("s3", "azure", "gcs", "swift", "dav")
LIMIT = 1 << 20
"""Of the cache, in bytes."""
_PLAIN = "metrics: local\ngarbage_grace: 0s\nbackup: {every: 0, hold: 0}\nscrub: {every: off}\n"


class Remotes(Service):
    """A hierarchy of all: what is called azure/… goes to azure. `stores`: what the file says of each."""

    stores: dict[str, dict[str, Any]]

    def tree_of(self, *names: str) -> str:
        rules = "".join(f"    - {{store: {name}, when: {{prefix: {name}/}}}}\n" for name in names)
        backends = [json.dumps(self.stores[name]) for name in names]
        return _PLAIN + tree("hierarchical", *backends, rules=f"  rules:\n{rules}").partition("\n")[2]

    def leaf(self, name: str) -> Remote:
        """The store itself, past the service."""
        spec = read_stores_objects(self.stores[name], {}).spec.root
        assert isinstance(spec, LeafSpec)
        leaf = build_leaf(spec.kind, leaf_options(spec), store_id=name)
        assert isinstance(leaf, Remote)
        return leaf

    def blob_of(self, key: str) -> str:
        [record] = self.cli(
            "store", "explain", "--tenancy", "main", "--bucket", "data", "--key", key, "--size", "1MiB"
        )
        [blob] = record["object"]["blobs"]
        return str(blob["blob"])

    def cached(self) -> list[Path]:
        """The files of the cache."""
        return [
            one
            for one in (self.server.folder / "cache").rglob("*")
            if one.is_file() and one.parent.name != "cache"
        ]


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory,
    s3_emulator: Emulator,
    azure_blob_emulator: Emulator,
    gcs_emulator: Emulator,
    openstack_swift_emulator: Emulator,
    webdav_emulator: Emulator,
    rclone_emulator: Emulator,
) -> Iterator[Remotes]:
    folder = tmp_path_factory.mktemp("remotes")
    service = Remotes(folder, "")
    s3, azure, swift, dav = s3_emulator, azure_blob_emulator, openstack_swift_emulator, webdav_emulator
    patience = {"attempts": 3, "timeout_seconds": 10}

    def boto3(one: Emulator, **more: object) -> dict[str, object]:
        return {
            "type": "boto3", "auth": {"access_key": one.user, "secret_key": one.secret},
            "bucket": {"name": one.container()}, "connection": {"endpoint_url": one.url, **patience, **more},
        }  # fmt: skip

    service.stores = {
        "s3": boto3(s3),
        "azure": {
            "type": "azure_blob", "container": {"name": azure.container()}, "connection": patience,
            "auth": {"account_name": azure.user, "account_key": azure.secret, "account_url": azure.url},
        },
        "gcs": {
            "type": "gcs", "bucket": {"name": gcs_emulator.container()}, "auth": {"anonymous": True},
            "connection": {"endpoint_url": gcs_emulator.url, **patience},
        },
        "swift": {
            "type": "openstack_swift", "container": {"name": swift.container()}, "connection": patience,
            "auth": {"auth_url": swift.url, "auth_version": "1", "username": swift.user, "password": swift.secret},
        },
        "dav": {
            "type": "webdav", "auth": {"username": dav.user, "password": dav.secret},
            "connection": {"url": f"{dav.url}/{dav.container()}", **patience},
        },
        "near": {
            **boto3(s3, attempts=1, timeout_seconds=2),
            "cache": {"path": str(folder / "cache"), "size": LIMIT / (1 << 30), "cache_updated_data": False},
        },
        "later": boto3(rclone_emulator),
    }  # fmt: skip
    service.stores = {name: {"id": name, **said} for name, said in service.stores.items()}
    service.config.write_text(service.tree_of(*NAMES, "near"))
    with service.server:
        service.client.create_bucket(Bucket="data")
        yield service
        assert service.cli("store", "orphans") == []
        service.cli("check-data", "--read")
        service.require_all()


@pytest.mark.parametrize("name", NAMES)
def test_objects_lie_where_they_are_sent_and_can_do_what_all_can(service: Remotes, name: str) -> None:
    service.put_all_kinds(name)
    for kind in ("file", "parts", "file-copy", "parts-copy"):
        assert service.stores_of(f"{name}/{kind}") == {name}
    service.put(f"{name}/empty", b"")
    large = bytes(range(256)) * 36864  # 9 MiB, sent as it comes
    service.put(f"{name}/large", large)
    for key, data, wanted in (
        ("file", FILE, (100, 199)), ("large", large, (8 << 20, (8 << 20) + 999)),
        ("parts", PART + FILE, (len(PART) - 10, len(PART) + 9)),
    ):  # fmt: skip
        answer = service.client.get_object(
            Bucket="data", Key=f"{name}/{key}", Range=f"bytes={wanted[0]}-{wanted[1]}"
        )
        assert answer["Body"].read() == data[wanted[0] : wanted[1] + 1]
    service.client.copy_object(Bucket="data", Key="dav/from-" + name, CopySource=f"data/{name}/file")
    service.written["dav/from-" + name] = FILE
    assert service.stores_of("dav/from-" + name) == {"dav"}
    mine = {key: data for key, data in service.written.items() if key.startswith(f"{name}/")}
    assert [key for key, data in mine.items() if service.read(key) != data] == []
    listed = service.client.list_objects_v2(Bucket="data", Prefix=f"{name}/")["Contents"]
    assert {one["Key"]: one["Size"] for one in listed} == {key: len(data) for key, data in mine.items()}
    leaf = service.leaf(name)
    assert read_bytes(leaf, service.blob_of(f"{name}/file")) == FILE
    before = {info.key for info in leaf.list()}
    for key in mine:
        service.client.delete_object(Bucket="data", Key=key)
        del service.written[key]
    service.cli("store", "sweep")
    left = before - {info.key for info in leaf.list()}
    assert len(left) >= 5, "their blobs are gone"
    assert status_of(lambda: service.read(f"{name}/file")) == 404
    leaf.close()


def test_all_are_listed_and_answer(service: Remotes) -> None:
    records = {record["name"]: record for record in service.cli("store", "list")}
    assert [record["up"] for record in records.values()] == [True] * 6
    kinds = [records[name]["kind"] for name in (*NAMES, "near")]
    assert kinds == ["s3", "azure_blob", "gcs", "openstack_swift", "webdav", "s3"]
    assert [record["up"] for record in service.cli("store", "probe")] == [True] * 6
    [record] = service.cli(
        "store", "explain", "--tenancy", "main", "--bucket", "data", "--key", "gcs/new", "--size", "1MiB"
    )
    assert record["new"]["stores"] == ["gcs"]
    assert service.ready()[1]["status"] == "ready"


def test_a_scrub_holds_back_what_has_rotted_there_and_frees_what_is_right_again(service: Remotes) -> None:
    """Each store has one that is sound, and one of which a byte is another; that of `near` has a good copy here."""
    for name in (*NAMES, "near"):
        service.put(f"{name}/sound")
        service.put(f"{name}/rotten")
    service.put("near/lost")
    assert service.read("near/rotten") == service.read("near/lost") == FILE
    blobs = {name: service.blob_of(f"{name}/rotten") for name in (*NAMES, "near")}
    leaves = {name: service.leaf(name) for name in blobs}
    for name, blob in blobs.items():
        leaves[name].put(blob, io.BytesIO(FILE[:-1] + b"?"))
    lost = service.blob_of("near/lost")
    leaves["near"].delete(lost)
    [walk, *found] = service.cli("scrub", "--rate", "none", code=1)
    assert walk["unknown"] == 0
    held = {one["key"]: one["what"] for one in found if one["state"] == "corrupt"}
    assert held.keys() == {f"{name}/rotten" for name in blobs} | {"near/lost"}
    assert all("MD5" in what for key, what in held.items() if key != "near/lost")
    for key in held:
        assert status_of(lambda key=key: service.read(key)) == 500  # type: ignore[misc]
    assert service.read("gcs/sound") == FILE
    for name, blob in blobs.items():
        leaves[name].put(blob, io.BytesIO(FILE))
    leaves["near"].put(lost, io.BytesIO(FILE))
    again = service.cli("scrub", "--rate", "none", "--recheck", code=1)
    assert {one["state"] for one in again[1:]} == {"noted"}, (
        "the bytes are right, their descriptions are lost"
    )
    for name in blobs:
        service.client.delete_object(Bucket="data", Key=f"{name}/rotten")
        del service.written[f"{name}/rotten"]
        leaves[name].close()
    assert service.read("near/lost") == FILE
    service.client.delete_object(Bucket="data", Key="near/lost")
    del service.written["near/lost"]
    service.cli("store", "sweep")
    service.cli("scrub", "--rate", "none")


def test_what_is_in_the_cache_is_served_while_the_store_hangs(
    service: Remotes, s3_emulator: Emulator
) -> None:
    site = service.server.http
    for name in ("a", "b"):
        service.put(f"near/{name}")
    for _ in range(2):
        assert service.read("near/a") == FILE
    with s3_emulator.hung():
        assert service.read("near/a") == FILE
        once = boto3.client(
            "s3", endpoint_url=site.url, aws_access_key_id=site.access_key, aws_secret_access_key=site.secret_key,
            region_name=site.region, config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip
        for _ in range(4):  # after three the store is left alone
            assert status_of(lambda: once.get_object(Bucket="data", Key="near/b")) == 503
            assert once.get_object(Bucket="data", Key="near/a")["Body"].read() == FILE
        once.close()
        answer = service.client.get_object(Bucket="data", Key="near/a", Range="bytes=-10")
        assert answer["Body"].read() == FILE[-10:]
        assert service.read("gcs/sound") == FILE
        service.kill_a_worker()
        assert service.read("near/a") == FILE
    until(lambda: status_of(lambda: service.read("near/b")) == 0, seconds=30)


def test_the_cache_keeps_its_size_and_may_be_removed(service: Remotes) -> None:
    for number in range(40):  # 1.6 MiB
        service.put(f"near/{number:02}")
    for _ in range(2):
        service.require_all()
        assert 0 < sum(one.stat().st_size for one in service.cached()) <= LIMIT
    for _ in range(2):
        shutil.rmtree(service.server.folder / "cache")
        service.require_all()
        service.kill_a_worker()
        service.require_all()
        files = service.cached()
        assert 0 < sum(one.stat().st_size for one in files) <= LIMIT


def test_a_store_is_added_and_found_by_all(service: Remotes) -> None:
    service.put("later/before")
    assert service.stores_of("later/before") == {"s3"}
    service.reload(service.tree_of(*NAMES, "near", "later"))
    service.kill_a_worker()
    service.put_all_kinds("later")
    assert service.stores_of("later/parts") == {"later"}
    assert [record["up"] for record in service.cli("store", "probe", "later")] == [True]
    service.require_all()
