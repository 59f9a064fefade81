"""What goes wrong with a service far away, and what is said of it."""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from google.api_core.exceptions import Forbidden

from dolium.errors import BlobNotFound, StoreUnavailable
from dolium.stores.contract import BlobStore, PutOptions
from dolium.stores.leaves import gcs, openstack_swift, webdav
from dolium.stores.leaves.remote import Remote
from dolium.stores.leaves.s3 import S3, Options
from dolium.stores.stream import IterableReader
from dolium.stores.transfer import read_bytes
from dolium.testing.powers import keys, put
from dolium.testing.server import LiveServer, free_ports
from dolium.values import ByteRange, Secret
from tests.remote.conftest import SMALL, Service
from tests.remote.services import program, running

MB = 1 << 20


def _verbs(store: BlobStore) -> Iterator[object]:
    """Each verb as a call."""
    yield lambda: store.get("a")
    yield lambda: store.get("a", range=ByteRange(0, 1))
    yield lambda: store.stat("a")
    yield lambda: list(store.list())
    yield lambda: store.delete("a")
    yield lambda: put(store, "a", b"x")
    yield lambda: put(store, "a", b"x" * (SMALL + 1))


def _all_are_unavailable(store: BlobStore, words: str) -> None:
    for verb in _verbs(store):
        with pytest.raises(StoreUnavailable, match=words):
            verb()  # type: ignore[operator]


def test_a_container_that_is_not_there_is_down_and_not_empty(service: Service) -> None:
    store = service.open(made=False)
    for verb in _verbs(store):
        with pytest.raises(StoreUnavailable):
            verb()  # type: ignore[operator]


def test_wrong_credentials_say_so(service: Service) -> None:
    if (
        service.stranger is None
    ):  # fake-gcs-server lets everybody in: what it would answer is put in its place
        assert service.store is gcs.Gcs
        refusal = mock.Mock(side_effect=Forbidden("no"))
        with (
            mock.patch("google.cloud.storage._http.Connection.api_request", refusal),
            pytest.raises(StoreUnavailable, match="credentials"),
        ):
            service.open().stat("a")
        return
    _all_are_unavailable(service.open(**service.stranger), "credentials")


def test_a_service_that_does_not_answer_is_given_up_soon(service: Service) -> None:
    [port] = free_ports(1)
    [field] = [
        name for name in ("endpoint", "account_url", "auth_url", "url") if hasattr(service.options, name)
    ]
    nobody = {field: f"http://127.0.0.1:{port}/nobody"}
    options = replace(service.options_of("dolium"), **nobody, attempts=2, timeout_seconds=1.0)
    store = service.store(options)  # type: ignore[call-arg]
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        put(store, "a", b"x")
    with pytest.raises(StoreUnavailable):
        store.get("a")
    assert time.monotonic() - began < 30


def test_a_prefix_keeps_stores_apart(s3_service: Service) -> None:
    s3_service.make("two-stores")
    one, two = (s3_service.store(s3_service.options_of("two-stores", prefix=name)) for name in ("a", "a/b"))  # type: ignore[call-arg]
    assert one.initialise() != two.initialise()
    put(one, "x", b"1")
    put(two, "x", b"2")
    assert (read_bytes(one, "x"), read_bytes(two, "x")) == (b"1", b"2")
    assert keys(two) == ["x"]
    assert one.client.head("a/x").size == 1


def test_the_identity_tells_one_store_from_another(service: Service) -> None:
    store = service.open()
    uuid = store.initialise()
    assert store.initialise() == store.identify() == uuid
    put(store, "a", b"x")
    assert keys(store) == ["a"]
    store._expected_uuid = "another"
    with pytest.raises(StoreUnavailable, match="another store"):
        store.probe()
    with pytest.raises(StoreUnavailable, match="another store"):
        store.stat("b")
    store._expected_uuid = uuid
    store.probe()
    with pytest.raises(BlobNotFound):
        store.stat("b")


def test_an_empty_blob_replaces(service: Service) -> None:
    store = service.open()
    put(store, "a", b"something")
    put(store, "a", b"")
    assert read_bytes(store, "a") == b""
    assert store.stat("a").size == 0


def test_a_large_blob_of_unknown_length_comes_back_whole(service: Service) -> None:
    store = service.open()
    piece = bytes(range(256)) * 2048
    info = store.put("big", IterableReader(itertools.repeat(piece, 40)), options=PutOptions())
    assert info.size == 20 * MB == store.stat("big").size
    with store.get("big", range=ByteRange(MB - 3, 9 * MB)) as reader:
        assert reader.read() == (piece * 20)[MB - 3 : 9 * MB + 1]
    assert read_bytes(store, "big") == piece * 40


def test_reading_two_blobs_at_once(service: Service) -> None:
    store = service.open()
    for key in ("a", "b"):
        put(store, key, key.encode() * 3 * MB)
    with store.get("a") as first, store.get("b") as second:
        pieces = [(first.read(100_000), second.read(100_000)) for _ in range(20)]
    assert all(one == b"a" * len(one) and two == b"b" * len(two) for one, two in pieces)


def test_an_upload_holds_little_in_memory(s3_service: Service) -> None:
    """In a process of its own, whose peak is its own."""
    options = s3_service.options
    s3_service.make("memory")
    script = f"""
import resource
from dolium.stores.leaves.s3 import S3, Options
from dolium.values import Secret
store = S3(Options("memory", {options.endpoint!r}, access_key={options.access_key!r},
    secret_key=Secret({options.secret_key.reveal()!r})))
piece = bytes(1 << 20)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with store.open_writer("warm") as writer:
    for _ in range(40): writer.write(piece)
    writer.commit()
before = peak()
with store.open_writer("big") as writer:
    for _ in range(400): writer.write(piece)
    writer.commit()
with store.get("big") as reader:
    count = 0
    while data := reader.read(1 << 20): count += len(data)
assert count == 400 << 20
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 64, done.stdout  # MiB more for ten times the bytes


def test_a_service_that_dies_in_the_midst_of_an_upload_is_no_success(tmp_path: Path) -> None:
    server = LiveServer(tmp_path, workers=1)
    server.start()
    try:
        site = server.http
        store = S3(
            Options(
                "bucket-of-one", endpoint=site.url, access_key=site.access_key, secret_key=Secret(site.secret_key),
                create_bucket=True, multipart_threshold=SMALL, attempts=2, timeout_seconds=2,
            )
        )  # fmt: skip
        store.initialise()
        put(store, "a", b"old")

        def dying() -> Iterator[bytes]:
            for number in range(30):
                if number == 10:
                    server.kill()
                yield bytes(MB)

        with pytest.raises(StoreUnavailable):
            store.put("a", IterableReader(dying()))
        with pytest.raises(StoreUnavailable):
            store.stat("a")
        server.start()
        assert read_bytes(store, "a") == b"old"
        assert keys(store) == ["a"]
    finally:
        server.kill()


def _plain_round(store: Remote) -> None:
    """What any server of the protocol must do, whatever its promises for those who write at once."""
    store.initialise()
    put(store, "000/dataset_1.dat", b"one", {"key": "k" * 1024})
    put(store, "000/dataset_2.dat", b"")
    store.put("001/big", IterableReader(itertools.repeat(bytes(MB), 9)))
    assert keys(store) == ["000/dataset_1.dat", "000/dataset_2.dat", "001/big"]
    assert [info.key for info in store.list("000/", after="000/dataset_1.dat")] == ["000/dataset_2.dat"]
    with store.get("000/dataset_1.dat", range=ByteRange(None, 2)) as reader:
        assert reader.read() == b"ne"
    assert store.stat("001/big").size == 9 * MB
    put(store, "000/dataset_1.dat", b"")
    assert read_bytes(store, "000/dataset_1.dat") == b""
    for key in list(keys(store)):
        store.delete(key)
    assert keys(store) == []
    with pytest.raises(BlobNotFound):
        store.stat("001/big")


def test_rclone_as_an_s3_service(tmp_path: Path) -> None:
    [port] = free_ports(1)
    files = tmp_path / "files"
    files.mkdir()
    key, secret = "RCLONEKEY00000000001", "rclonesecret0000000001"
    command = [
        program("rclone"),
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        f"{key},{secret}",
    ]
    with running([*command, str(files)], port, tmp_path):
        options = Options(
            "galaxy", endpoint=f"http://127.0.0.1:{port}", access_key=key, secret_key=Secret(secret),
            create_bucket=True, multipart_threshold=SMALL, timeout_seconds=10,
        )  # fmt: skip
        _plain_round(S3(options))


def test_rclone_as_a_webdav_server(tmp_path: Path) -> None:
    [port] = free_ports(1)
    files = tmp_path / "files"
    files.mkdir()
    command = [
        program("rclone"),
        "serve",
        "webdav",
        "--addr",
        f"127.0.0.1:{port}",
        "--user",
        "me",
        "--pass",
        "mine",
    ]
    with running([*command, str(files)], port, tmp_path):
        store = webdav.WebDav(
            webdav.Options(
                f"http://127.0.0.1:{port}", "me", Secret("mine"), prefix="data", timeout_seconds=10
            )
        )
        _plain_round(store)


@pytest.mark.parametrize("folders", ["one", "one/two/three"])
def test_a_folder_that_another_makes_in_the_same_moment_is_made(
    webdav_service: Service, folders: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """wsgidav answers the second with 500."""
    store = webdav_service.open()
    ask = store.client._ask  # type: ignore[attr-defined]

    def beaten(method: str, name: str, **more: Any) -> Any:
        answer = ask(method, name, **more)
        if method == "MKCOL":
            raise StoreUnavailable("webdav", "the store's service answers 500")
        return answer

    monkeypatch.setattr(store.client, "_ask", beaten)
    put(store, f"{folders}/a", b"x")
    monkeypatch.undo()
    assert read_bytes(store, f"{folders}/a") == b"x"
    monkeypatch.setattr(store.client, "_list", mock.Mock(side_effect=BlobNotFound("no")))
    monkeypatch.setattr(
        store.client, "_ask", mock.Mock(side_effect=StoreUnavailable("webdav", "answers 500"))
    )
    with pytest.raises(StoreUnavailable, match="500"):
        put(store, "another/b", b"x")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within swiftclient
def test_a_keystone_that_refuses_says_so() -> None:
    """Keystone itself is not in CI; this is all of it that a refusal takes."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(401, b"{}")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self._answer(401, b'{"error": {"code": 401, "message": "no", "title": "Unauthorized"}}')

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        store = openstack_swift.OpenstackSwift(
            openstack_swift.Options(
                "galaxy", f"http://127.0.0.1:{server.server_port}/v3", "galaxy", Secret("wrong"), project="research",
                attempts=1,
            )
        )  # fmt: skip
        with pytest.raises(StoreUnavailable, match="refuses our credentials"):
            store.stat("a")
        store.close()
        server.shutdown()
