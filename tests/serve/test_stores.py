"""Several stores in one service, as whoever runs it goes about it: files, signals and the command line."""

import io
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dolium.cli.main import main
from dolium.testing.checker import check
from dolium.testing.server import LiveServer, NotReadyError
from tests.serve.test_live import s3

FILE = b"A file that is too large for the catalog. " * 1000
PART = b"p" * (5 << 20)
TAKEN_UP = "the stores are as the configuration has them now"


class Service:
    """A live server whose file of stores is changed, and the command line beside it."""

    def __init__(
        self, folder: Path, config: str, workers: int = 2, environment: Mapping[str, str] | None = None
    ) -> None:
        self.server = LiveServer(folder, workers=workers, config=config, environment=environment)
        self.count = workers
        self.config = folder / "dolium.yml"
        self.client = s3(self.server.http.url, self.server.http.access_key, self.server.http.secret_key)
        self.written: dict[str, bytes] = {}

    def cli(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            ended = main(
                [*arguments, "--json", "--data", str(self.server.data), "--config", str(self.config)]
            )
        assert ended == code, err.getvalue()
        return [json.loads(line) for line in out.getvalue().splitlines()]

    def reload(self, config: str, *, expect: str = TAKEN_UP) -> None:
        """SIGHUP, until all workers have said so."""
        self.config.write_text(config)
        before = self.server.log().count(expect)
        os.kill(self.server.pid, signal.SIGHUP)
        until(lambda: self.server.log().count(expect) >= before + self.count)

    def kill_a_worker(self) -> None:
        """And wait for the one that takes its place."""
        before = self.server.workers
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(set(self.server.workers) - set(before)) == 1)
        started = time.monotonic()
        until(lambda: time.monotonic() - started > 1.5 and self.ready()[0] == 200)
        assert len(self.server.workers) == 2

    def restart(self, config: str) -> None:
        self.server.stop()
        self.config.write_text(config)
        self.server.start()

    def put(self, key: str, data: bytes = FILE, **more: str) -> None:
        self.client.put_object(Bucket="data", Key=key, Body=data, **more)
        self.written[key] = data

    def put_parts(self, key: str) -> None:
        of = {"Bucket": "data", "Key": key}
        upload = {**of, "UploadId": self.client.create_multipart_upload(**of)["UploadId"]}
        parts = [
            {
                "PartNumber": number,
                "ETag": self.client.upload_part(**upload, PartNumber=number, Body=body)["ETag"],
            }
            for number, body in enumerate((PART, FILE), 1)
        ]
        self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        self.written[key] = PART + FILE

    def put_all_kinds(self, step: str) -> None:
        """Inline, a file, one in parts, copies of the last two."""
        self.put(f"{step}/inline", b"small")
        self.put(f"{step}/file")
        self.put_parts(f"{step}/parts")
        for kind in ("file", "parts"):
            source = {"Bucket": "data", "Key": f"{step}/{kind}"}
            self.client.copy_object(Bucket="data", Key=f"{step}/{kind}-copy", CopySource=source)
            self.written[f"{step}/{kind}-copy"] = self.written[f"{step}/{kind}"]

    def read(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket="data", Key=key)["Body"].read())

    def require_all(self) -> None:
        """Everything that was ever written is there."""
        assert [key for key, data in self.written.items() if self.read(key) != data] == []

    def stores_of(self, key: str) -> set[str]:
        """Where its bytes lie."""
        [record] = self.cli(
            "store", "explain", "--tenancy", "main", "--bucket", "data", "--key", key, "--size", "1MiB"
        )
        return {blob["store"] for blob in record["object"]["blobs"]}

    def ready(self) -> tuple[int, dict[str, str]]:
        try:
            with urllib.request.urlopen(f"{self.server.http.url}/_health/ready", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.server.http.url}/_metrics", timeout=10) as answer:
            return str(answer.read().decode())


@contextmanager
def serving(
    folder: Path, config: str, *, workers: int = 2, environment: Mapping[str, str] | None = None
) -> Iterator[Service]:
    service = Service(folder, config, workers, environment)
    with service.server:
        service.client.create_bucket(Bucket="data")
        yield service


def until(true: Callable[[], bool], *, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.1)


def status_of(work: Callable[[], object]) -> int:
    """0 if it succeeds."""
    try:
        work()
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return 0


def tree(kind: str, *backends: str, rules: str = "") -> str:
    listed = "".join(f"    - {backend}\n" for backend in backends)
    return f"metrics: local\nstores:\n  type: {kind}\n  backends:\n{listed}{rules}"


def disk(store_id: str, root: Path, more: str = "") -> str:
    return f"{{id: {store_id}, type: disk, files_dir: {root}{more}}}"


def test_a_service_grows_from_one_disk_to_a_hierarchy_to_weights_to_s3(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    one = f"stores: {disk('olddata', old)}\n"
    with LiveServer(tmp_path / "minio", workers=1) as far, serving(tmp_path / "service", one) as service:
        service.put_all_kinds("disk")
        for kind in ("file", "parts", "file-copy", "parts-copy"):
            assert service.stores_of(f"disk/{kind}") == {"olddata"}
        assert service.stores_of("disk/inline") == set()

        service.reload(tree("hierarchical", disk("newdata", new), disk("olddata", old)))
        service.require_all()
        service.put_all_kinds("hierarchical")
        assert service.stores_of("hierarchical/file") == {"newdata"}
        assert service.stores_of("hierarchical/parts") == {"newdata"}
        assert service.stores_of("disk/parts") == {"olddata"}

        weights = [disk("newdata", new, ", weight: 1"), disk("olddata", old, ", weight: 1.5")]
        service.reload(tree("distributed", *weights))
        service.require_all()
        service.put_all_kinds("distributed")
        for number in range(24):
            service.put(f"distributed/{number:02}")
        records = {record["name"]: record for record in service.cli("store", "list")}
        assert records["newdata"]["objects"] > 5
        assert records["olddata"]["objects"] > 5
        found = [service.stores_of(f"distributed/{number:02}") for number in range(4)]
        assert all(len(stores) == 1 and stores < {"newdata", "olddata"} for stores in found)

        host, _, port = far.http.host.partition(":")
        swifty = (
            "{id: swifty, type: swift, "
            f"auth: {{access_key: {far.http.access_key}, secret_key: '{far.http.secret_key}'}}, "
            "bucket: {name: galaxy}, "
            f"connection: {{host: {host}, port: {port}, is_secure: false, timeout_seconds: 2, attempts: 1}}}}"
        )
        service.restart(tree("hierarchical", swifty, disk("newdata", new), disk("olddata", old)))
        service.require_all()
        service.put_all_kinds("s3")
        for kind in ("file", "parts", "file-copy", "parts-copy"):
            assert service.stores_of(f"s3/{kind}") == {"swifty"}
        service.require_all()
        there = s3(far.http.url, far.http.access_key, far.http.secret_key)
        listed = there.list_objects_v2(Bucket="galaxy")["Contents"]
        blobs = [entry for entry in listed if ".dolium" not in entry["Key"]]
        assert len(FILE) in {entry["Size"] for entry in blobs}
        assert [record["up"] for record in service.cli("store", "probe")] == [True] * 3

        _hang(far, service)
        assert service.cli("store", "orphans") == []
    report = check(service.server.data, stores={"newdata": new, "olddata": old})
    assert report.problems == []


def _hang(far: LiveServer, service: Service) -> None:
    """The S3 service stops answering, and comes back."""
    processes = [far.pid, *far.workers]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert status_of(lambda: service.read("s3/file")) == 503
        assert service.read("disk/parts") == PART + FILE
        began = time.monotonic()
        for number in range(4):  # it has to find out first
            status_of(lambda number=number: service.put(f"hung/{number}"))  # type: ignore[misc]
        service.put("hung/small")
        assert service.stores_of("hung/small") == {"newdata"}
        assert time.monotonic() - began < 40
        assert service.client.list_objects_v2(Bucket="data")["KeyCount"] > 20
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
    until(lambda: status_of(lambda: service.read("s3/file")) == 0, seconds=30)
    service.require_all()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A hierarchy of two disks, with an object in each."""
    folder = tmp_path_factory.mktemp("two")
    with serving(folder, _two(folder)) as service:
        service.cli("store", "set-state", "first", "draining")
        service.put("in-second")
        service.cli("store", "set-state", "first", "configured")
        service.put("in-first")
        assert (service.stores_of("in-first"), service.stores_of("in-second")) == ({"first"}, {"second"})
        yield service


def _two(folder: Path, rules: str = "") -> str:
    return tree(
        "hierarchical", disk("first", folder / "first"), disk("second", folder / "second"), rules=rules
    )


def test_a_store_that_is_down_takes_only_its_own_objects_with_it(two: Service) -> None:
    root = two.server.folder / "first"
    root.rename(root.with_name("away"))
    try:
        assert status_of(lambda: two.read("in-first")) == 503
        assert two.read("in-second") == FILE
        assert two.client.head_object(Bucket="data", Key="in-first")["ContentLength"] == len(FILE)
        assert two.client.list_objects_v2(Bucket="data")["KeyCount"] == len(two.written)
        two.put("meanwhile")
        assert two.stores_of("meanwhile") == {"second"}
        status, states = two.ready()
        assert (status, states["status"], states["store second"]) == (200, "ready in part", "ready")
        assert "identity" in states["store first"]
        assert 'dolium_store_up{store="first"} 0.0' in two.metrics()
        [first, second] = two.cli("store", "list")
        assert (first["up"], second["up"]) == (False, True)
        two.cli("store", "probe", "first", code=6)
    finally:
        root.with_name("away").rename(root)
    until(lambda: status_of(lambda: two.read("in-first")) == 0)
    until(lambda: two.ready()[1]["status"] == "ready")
    two.require_all()


def test_states_that_are_set_count_at_once_and_in_every_worker(two: Service) -> None:
    two.cli("store", "set-state", "first", "draining")
    for number in range(6):
        two.put(f"draining/{number}")
        assert two.stores_of(f"draining/{number}") == {"second"}
    assert two.read("in-first") == FILE
    assert 'dolium_store_state{state="draining",store="first"} 1.0' in two.metrics()
    two.cli("store", "set-state", "first", "offline")
    assert {status_of(lambda: two.read("in-first")) for _ in range(8)} == {503}
    two.cli("store", "set-state", "first", "read-only")
    assert {two.read("in-first") for _ in range(8)} == {FILE}
    two.cli("store", "set-state", "second", "read-only")
    assert status_of(lambda: two.put("nowhere")) == 405
    two.written.pop("nowhere", None)
    [record] = two.cli("store", "show", "second")
    assert (record["state"], record["state_from"]) == ("read-only", "set-state")
    for name in ("first", "second"):
        two.cli("store", "set-state", name, "configured")
    two.put("again")
    assert two.stores_of("again") == {"first"}
    two.cli("store", "set-state", "third", "offline", code=3)


def test_a_store_with_blobs_cannot_leave(two: Service) -> None:
    folder = two.server.folder
    alone = tree("hierarchical", disk("first", folder / "first"))
    held = two.cli("store", "show", "second")[0]
    count = held["objects"] + held["parts"] + held["garbage"]
    assert count >= 1
    refusal = f"the store 'second' is not in the configuration and holds {count} blobs"
    two.reload(alone, expect=f"the stores stay as they are: {refusal}")
    assert f"the configuration cannot be used: {refusal}" in two.server.log()
    two.kill_a_worker()
    assert two.server.log().count("is started again") == 1, "a worker that comes later has the old stores too"
    assert {two.read("in-second") for _ in range(8)} == {FILE}
    two.reload("stores: {type: nothing}\n", expect="the stores stay as they are:")
    assert two.read("in-second") == FILE
    two.server.stop()
    two.config.write_text(alone)
    with pytest.raises(NotReadyError, match=refusal):
        two.server.start()
    two.config.write_text(_two(folder))
    two.server.start()
    two.require_all()


def test_a_storage_class_names_a_placement_where_a_rule_says_so(two: Service) -> None:
    with pytest.raises(ClientError, match="InvalidStorageClass"):
        two.put("cold", StorageClass="COLD")
    rules = "  rules:\n    - {store: second, when: {storage_class: COLD}}\n"
    rules += "    - {store: second, when: {prefix: [logs/, old/], size: '>= 30 KiB'}}\n"
    two.reload(_two(two.server.folder, rules))
    two.kill_a_worker()
    two.kill_a_worker()
    two.put("cold", StorageClass="COLD")
    assert two.stores_of("cold") == {"second"}
    assert two.client.head_object(Bucket="data", Key="cold")["StorageClass"] == "COLD"
    two.put("old/large")
    two.put("old/less", FILE[: 20 << 10])
    assert (two.stores_of("old/large"), two.stores_of("old/less")) == ({"second"}, {"first"})
    source = {"Bucket": "data", "Key": "in-first"}
    two.client.copy_object(Bucket="data", Key="moved", CopySource=source, StorageClass="COLD")
    assert two.stores_of("moved") == {"second"}
    assert two.read("moved") == FILE
    [record] = two.cli(
        "store", "explain", "--tenancy", "main", "--bucket", "data", "--key", "new", "--size", "1MiB",
        "--storage-class", "COLD",
    )  # fmt: skip
    assert (record["object"], record["new"]["stores"]) == (None, ["second"])
    assert "rule 1 (storage class COLD): second only" in record["new"]["why"]


def test_the_store_of_a_service_without_a_tree_is_named_in_the_first_one(tmp_path: Path) -> None:
    with serving(tmp_path, "") as service:
        service.put("before")
        assert service.stores_of("before") == {"default"}
        service.server.stop()
        service.config.write_text(tree("hierarchical", disk("new", tmp_path / "new")))
        root = service.server.data / "store"
        with pytest.raises(NotReadyError, match="id: default, type: disk, files_dir: "):
            service.server.start()
        assert str(root) in service.server.log()
        service.config.write_text(tree("hierarchical", disk("new", tmp_path / "new"), disk("default", root)))
        service.server.start()
        service.put("after")
        service.require_all()
        assert (service.stores_of("before"), service.stores_of("after")) == ({"default"}, {"new"})
        service.server.stop()
        service.config.write_text("")
        with pytest.raises(
            NotReadyError, match="the store 'new' is not in the configuration and holds 1 blobs"
        ):
            service.server.start()
        service.config.write_text(tree("hierarchical", disk("two", tmp_path / "new"), disk("default", root)))
        with pytest.raises(NotReadyError, match="the store 'new' is not in the configuration"):
            service.server.start()
        service.config.write_text(
            tree(
                "hierarchical",
                disk("new", tmp_path / "new"),
                disk("two", tmp_path / "new"),
                disk("default", root),
            )
        )
        with pytest.raises(NotReadyError, match="lies the store 'new'; a store keeps its id"):
            service.server.start()
        service.config.write_text(tree("distributed", disk("new", tmp_path / "new"), disk("default", root)))
        service.server.start()
        service.require_all()
