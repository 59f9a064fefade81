"""Replicated stores in a service: what is written while a disk is away, what rots, and members that come and go."""

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from dolium.testing.crashes import Crashes
from dolium.testing.server import LiveServer
from tests.serve.test_stores import FILE, PART, Service, disk, serving, status_of, until

COMMON = "metrics: local\ngarbage_grace: 1s\nbackup: {every: 0, hold: 0}\nscrub: {every: off}\ninline_limit: 1KiB\n"


def replicated(*members: str, quorum: int = 0, store_id: str = "pair") -> str:
    said = f", write_quorum: {quorum}" if quorum else ""
    return f"{COMMON}stores: {{id: {store_id}, type: replicated{said}, backends: [{', '.join(members)}]}}\n"


def files(root: Path) -> dict[str, bytes]:
    """Blobs by their key."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }


class Pair:
    """A service over the disks `a` and `b`."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.roots = {name: service.server.folder / name for name in "ab"}

    def take_away(self, name: str) -> None:
        self.roots[name].rename(self.roots[name].with_name(f"{name}-away"))

    def bring_back(self, name: str) -> None:
        self.roots[name].with_name(f"{name}-away").rename(self.roots[name])
        until(lambda: self.service.ready()[1]["status"] == "ready")

    def waiting(self) -> int:
        [record] = self.service.cli("store", "show", "pair")
        return int(record["repairs"])

    def until_alike(self) -> None:
        until(lambda: files(self.roots["a"]) == files(self.roots["b"]) and self.waiting() == 0)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    config = replicated(disk("a", folder / "a"), disk("b", folder / "b"), quorum=1)
    with serving(folder, config, workers=1) as service:
        yield Pair(service)


def test_every_blob_lies_in_both(pair: Pair) -> None:
    service = pair.service
    service.put_all_kinds("both")
    service.require_all()
    assert service.stores_of("both/file") == service.stores_of("both/parts") == {"pair"}
    assert files(pair.roots["a"]) == files(pair.roots["b"]) != {}
    shown = {record["name"]: record for record in service.cli("store", "list")}
    assert [(shown[name]["kind"], shown[name]["group"]) for name in ("pair", "a", "b")] == [
        ("replicated", None), ("disk", "pair"), ("disk", "pair"),
    ]  # fmt: skip
    assert (shown["pair"]["members"], shown["a"]["objects"]) == (["a", "b"], 0)
    assert all(record["up"] for record in service.cli("store", "probe"))
    [where] = service.cli("store", "explain", "--tenancy", "main", "--bucket", "data", "--key", "both/file")
    assert [blob["copies"] for blob in where["object"]["blobs"]] == [["a", "b"]]


def test_one_disk_is_away_and_then_the_other(pair: Pair) -> None:
    service = pair.service
    service.put_all_kinds("before")
    service.put("before/deleted")
    pair.take_away("b")
    service.require_all()
    service.put_all_kinds("meanwhile")
    service.client.delete_object(Bucket="data", Key="before/deleted")
    del service.written["before/deleted"]
    assert service.ready()[1]["status"] == "ready in part"
    until(lambda: pair.waiting() > 0)
    assert 'dolium_repairs{group="pair",store="b"}' in service.metrics()
    pair.bring_back("b")
    pair.until_alike()
    assert 'dolium_repairs{group="pair",store="b"} 0.0' in service.metrics()
    pair.take_away("a")
    try:
        service.require_all()
    finally:
        pair.bring_back("a")
    pair.until_alike()
    assert service.cli("check-data", "--read")[-1]["problems"] == 0


def _flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def _path(pair: Pair, name: str, key: str) -> Path:
    [where] = pair.service.cli("store", "explain", "--tenancy", "main", "--bucket", "data", "--key", key)
    return pair.roots[name] / str(where["object"]["blobs"][0]["blob"])


def test_what_rots_in_one_is_read_from_the_other_and_made_good(pair: Pair) -> None:
    service = pair.service
    body = bytes(range(256)) * 16384
    service.put("rot/first", body)
    _flip(_path(pair, "a", "rot/first"), 5)
    link = service.client.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "rot/first"})
    with urllib.request.urlopen(link, timeout=10) as answer:  # which is sent once, unlike that of a client
        assert answer.read() == body
    service.put("rot/end", body)
    service.put("rot/start", body)
    service.put("rot/unread", body)
    _flip(_path(pair, "a", "rot/start"), 5)
    _flip(_path(pair, "a", "rot/end"), len(body) - 5)
    _flip(_path(pair, "b", "rot/unread"), 77)
    _path(pair, "b", "rot/start").unlink()

    def is_right(key: str) -> bool:
        try:
            return service.read(key) == body
        except (BotoCoreError, ClientError):
            return False  # an answer that has begun can only be broken off

    _path(pair, "b", "rot/start").write_bytes(
        _path(pair, "a", "rot/unread").read_bytes()
    )  # no checksums at all
    until(lambda: is_right("rot/end"))
    [run, *found] = service.cli("scrub", "--rate", "none")
    assert (run["repaired"] >= 1, run["damaged"], found) == (True, 0, [])
    for key in ("rot/first", "rot/start", "rot/end", "rot/unread"):
        assert {_path(pair, name, key).read_bytes() == body for name in "ab"} == {True}
        assert service.read(key) == body
    [again] = service.cli("scrub", "--rate", "none")
    assert (again["repaired"], again["damaged"]) == (0, 0)


def test_a_blob_without_a_good_copy_is_held_back(pair: Pair) -> None:
    service = pair.service
    service.put("rot/both")
    for name in "ab":
        _flip(_path(pair, name, "rot/both"), 9)
    found = service.cli("scrub", "--rate", "none", code=1)
    assert [(one["state"], one["key"], one["store"]) for one in found[1:]] == [
        ("corrupt", "rot/both", "pair")
    ]
    assert status_of(lambda: service.read("rot/both")) == 500
    service.client.delete_object(Bucket="data", Key="rot/both")
    del service.written["rot/both"]
    service.cli("scrub", "--rate", "none")


def test_a_member_takes_nothing_while_it_drains_and_gets_it_later(pair: Pair) -> None:
    service = pair.service
    service.cli("store", "set-state", "b", "draining")
    service.put("draining/file")
    assert _path(pair, "a", "draining/file").exists()
    assert not _path(pair, "b", "draining/file").exists()
    service.cli("store", "set-state", "b", "configured")
    assert service.cli("store", "repair")[0]["group"] == "pair"
    pair.until_alike()
    service.require_all()


def test_all_must_have_it_where_no_quorum_is_given(tmp_path: Path) -> None:
    config = replicated(disk("a", tmp_path / "a"), disk("b", tmp_path / "b"))
    crashes = Crashes(tmp_path / "crashes")
    with serving(tmp_path, config, workers=1, environment=crashes.environment) as service:
        pair = Pair(service)
        service.put("before")
        pair.take_away("b")
        assert status_of(lambda: service.put("refused")) == 503
        service.written.pop("refused", None)
        assert service.read("before") == FILE
        assert status_of(lambda: service.read("refused")) == 404
        assert len(files(pair.roots["a"])) == 1
        pair.bring_back("b")
        until(lambda: status_of(lambda: service.put("after")) == 0)
        assert files(pair.roots["a"]) == files(pair.roots["b"])
        _kill_between_commits(service, pair, crashes)


def _kill_between_commits(service: Service, pair: Pair, crashes: Crashes) -> None:
    """A worker that dies when one of the members has the blob: nothing was acknowledged, and nothing stays."""
    server = service.server
    before = files(pair.roots["a"])
    once = boto3.client(
        "s3", endpoint_url=server.http.url, aws_access_key_id=server.http.access_key,
        aws_secret_access_key=server.http.secret_key, region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )  # fmt: skip
    crashes.arm("disk.settled")
    with pytest.raises((BotoCoreError, ClientError)):
        once.put_object(Bucket="data", Key="killed", Body=FILE)
    crashes.wait()
    crashes.disarm()
    server.kill()
    server.start()
    assert status_of(lambda: service.read("killed")) == 404
    until(lambda: files(pair.roots["a"]) == files(pair.roots["b"]) == before)
    service.require_all()


def test_one_disk_becomes_a_pair_then_three_and_the_first_leaves(tmp_path: Path) -> None:
    a, b, c = (disk(name, tmp_path / name) for name in "abc")
    with serving(tmp_path, f"{COMMON}stores: {a}\n", workers=1) as service:
        pair = Pair(service)
        service.put_all_kinds("alone")
        service.put("alone/deleted")
        service.reload(replicated(a, b, quorum=1))
        service.require_all()
        service.put_all_kinds("two")
        service.client.delete_object(Bucket="data", Key="alone/deleted")
        del service.written["alone/deleted"]
        until(lambda: service.stores_of("alone/parts") == service.stores_of("alone/file-copy") == {"pair"})
        pair.until_alike()
        pair.take_away("a")
        service.require_all()
        pair.bring_back("a")

        config = replicated(b, c, quorum=1)
        pair.take_away("b")
        service.put("only in a")
        service.reload(
            config, expect="a cannot leave the replicated store 'pair': 1 copies are still to be made"
        )
        pair.bring_back("b")
        service.reload(replicated(a, b, c, quorum=1))
        service.put_all_kinds("three")
        pair.roots["a"] = tmp_path / "c"
        until(lambda: service.cli("store", "show", "c")[0]["filled"])
        pair.until_alike()
        service.reload(config)
        (tmp_path / "a").rename(tmp_path / "gone")
        service.put_all_kinds("two again")
        service.require_all()
        pair.until_alike()
        assert service.cli("store", "orphans") == []
        assert service.cli("check-data", "--read")[-1]["problems"] == 0


def test_a_disk_and_an_s3_service(tmp_path: Path) -> None:
    with LiveServer(tmp_path / "far", workers=1) as far:
        host, _, port = far.http.host.partition(":")
        there = (
            f"{{id: far, type: swift, auth: {{access_key: {far.http.access_key}, "
            f"secret_key: '{far.http.secret_key}'}}, bucket: {{name: copies}}, connection: {{host: {host}, "
            f"port: {port}, is_secure: false, timeout_seconds: 2, attempts: 1}}}}"
        )
        near = disk("near", tmp_path / "near")
        with serving(tmp_path / "service", replicated(near, there, quorum=1), workers=1) as service:
            service.put_all_kinds("both")
            (tmp_path / "near").rename(tmp_path / "away")
            service.require_all()
            (tmp_path / "away").rename(tmp_path / "near")
            until(lambda: service.ready()[1]["status"] == "ready")
            far.stop()
            service.put_all_kinds("near")
            assert service.read("both/parts") == PART + FILE
            far.start()
            until(lambda: service.cli("store", "show", "pair")[0]["repairs"] == 0)
            _hang(far, service)
            (tmp_path / "near").rename(tmp_path / "away")
            service.require_all()
            (tmp_path / "away").rename(tmp_path / "near")


def _hang(far: LiveServer, service: Service) -> None:
    """The S3 service does not answer, and says nothing: writes go on once that is known, and the copies come later."""
    processes = [far.pid, *far.workers]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        service.put("hung")
        assert service.read("both/file") == FILE
        states = service.ready()[1]
        assert (states["status"], states["store pair"]) == ("ready in part", "ready")
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
    until(lambda: service.cli("store", "show", "pair")[0]["repairs"] == 0)
