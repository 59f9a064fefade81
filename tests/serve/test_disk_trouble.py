"""What clients of a live server see when a disk fails, is full, is not mounted or is another's; and that it comes back."""

import contextlib
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dolium.stores.leaves.disk import Disk
from dolium.testing.checker import check
from dolium.testing.faulty_server import LiveFaults
from dolium.testing.server import LiveServer
from tests.s3.client import Answer, Client, target

CONFIG = "garbage_grace: 1s\nrequest_log: failures\nstore: {min_free: 0}\n"
FILE = os.urandom(200_000)
SMALL = b"in the catalog"
BUCKET = "cmip"


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> LiveFaults:
    return LiveFaults(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, faults: LiveFaults) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with LiveServer(folder, config=CONFIG, program=faults.program, environment=faults.environment) as server:
        client = Client(server.http)
        client.make_bucket(BUCKET)
        client.put(BUCKET, "file", FILE)
        client.put(BUCKET, "small", SMALL)
        yield server
    report = check(server.data)
    assert report.problems == []
    assert report.temporaries == []


@pytest.fixture
def client(server: LiveServer) -> Client:
    return Client(server.http)


def failed(answer: Answer, status: int, code: str) -> None:
    """It says no more than it should, and when to come again if that may help."""
    assert (answer.status, answer.code) == (status, code), answer
    assert ("retry-after" in answer.headers) == (status == 503)
    for word in ("Errno", "errno", "/store", "Traceback", "fsync", "sqlite", os.strerror(errno.EIO)):
        assert word not in answer.body.decode()


def until_it_works(work: Callable[[], Answer]) -> Answer:
    """A suspect store is asked again every five seconds; each worker finds out for itself."""
    end = time.monotonic() + 15
    while (answer := work()).status == 503 and time.monotonic() < end:
        time.sleep(0.2)
    return answer


def put_file(client: Client, key: str = "new") -> Answer:
    return client.ask("PUT", target(BUCKET, key), body=FILE)


def all_is_well(client: Client) -> None:
    """In whichever worker: what was there is there, and uploads work."""
    for _ in range(12):
        assert until_it_works(lambda: client.ask("GET", target(BUCKET, "file"))).body == FILE
    for _ in range(4):
        assert until_it_works(lambda: put_file(client)).status == 200
        client.done("DELETE", target(BUCKET, "new"))
    assert client.get(BUCKET, "small") == SMALL


FAILURES = [
    (("create",), errno.ENOSPC, 507, "InsufficientStorage"),
    (("write",), errno.ENOSPC, 507, "InsufficientStorage"),
    (("fsync",), errno.ENOSPC, 507, "InsufficientStorage"),
    (("rename",), errno.EDQUOT, 507, "InsufficientStorage"),
    (("create",), errno.EROFS, 405, "MethodNotAllowed"),
    (("rename",), errno.EROFS, 405, "MethodNotAllowed"),
    (("create", "open_beneath"), errno.EMFILE, 503, "SlowDown"),
    (("create",), errno.ESTALE, 503, "ServiceUnavailable"),
    (("write",), errno.EIO, 503, "ServiceUnavailable"),
    (("fsync",), errno.EIO, 503, "ServiceUnavailable"),
    (("rename",), errno.EIO, 503, "ServiceUnavailable"),
]


@pytest.mark.parametrize(
    ("calls", "code", "status", "said"),
    FAILURES,
    ids=["+".join(calls) + "-" + errno.errorcode[code] for calls, code, *_ in FAILURES],
)
def test_an_upload_whose_disk_fails(
    client: Client, faults: LiveFaults, calls: tuple[str, ...], code: int, status: int, said: str
) -> None:
    with faults.failing(*calls, code=code):
        failed(put_file(client), status, said)
        assert not client.has(BUCKET, "new")
        assert client.keys(BUCKET) == ["file", "small"]
        assert client.get(BUCKET, "small") == SMALL, "what needs no store is not touched by it"
        client.put(BUCKET, "also small", SMALL)
        client.done("DELETE", target(BUCKET, "also small"))
        if code not in {errno.EIO, errno.EMFILE}:
            assert client.get(BUCKET, "file") == FILE
    all_is_well(client)


def test_a_store_whose_fsync_failed_is_down_until_it_passes_its_probe(
    client: Client, faults: LiveFaults
) -> None:
    with faults.failing("fsync", code=errno.EIO):
        for _ in range(8):  # both workers come to know
            put_file(client)
        failed(client.ask("GET", target(BUCKET, "file")), 503, "ServiceUnavailable")
        ready = client.send("GET", "/_health/ready")
        assert ready.status == 503
        assert b"a write to the disk of this store failed" in ready.body
    all_is_well(client)
    assert until_it_works(lambda: client.send("GET", "/_health/ready")).status == 200


def test_a_read_whose_disk_fails_is_no_absence(client: Client, faults: LiveFaults) -> None:
    for code in (errno.EIO, errno.ESTALE):
        with faults.failing("open_beneath", code=code):
            failed(client.ask("GET", target(BUCKET, "file")), 503, "ServiceUnavailable")
    all_is_well(client)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
def test_a_catalog_whose_disk_fails(
    client: Client, server: LiveServer, faults: LiveFaults, code: int
) -> None:
    with faults.failing("xWrite", "xSync", code=code):
        for body in (SMALL, FILE):
            failed(client.ask("PUT", target(BUCKET, "new"), body=body), 503, "ServiceUnavailable")
        failed(client.ask("DELETE", target(BUCKET, "small")), 503, "ServiceUnavailable")
        assert client.get(BUCKET, "small") == SMALL
        assert client.get(BUCKET, "file") == FILE
        assert client.keys(BUCKET) == ["file", "small"]
    all_is_well(client)


# Not mounted.


@contextmanager
def aside(root: Path) -> Iterator[None]:
    """The store is gone from its place, where an empty folder is, as below the mount point of a disk."""
    away = root.with_name("away")
    root.rename(away)
    root.mkdir()
    try:
        yield
    finally:
        for left in sorted(root.rglob("*"), reverse=True):
            left.rmdir() if left.is_dir() else left.unlink()
        root.rmdir()
        away.rename(root)


def is_down(client: Client) -> None:
    """What is in the store is not to be had, and nobody is told that it is gone."""
    for _ in range(4):
        failed(client.ask("GET", target(BUCKET, "file")), 503, "ServiceUnavailable")
        failed(put_file(client), 503, "ServiceUnavailable")
        copy = {"x-amz-copy-source": f"/{BUCKET}/file"}
        failed(client.ask("PUT", target(BUCKET, "copy"), copy), 503, "ServiceUnavailable")
    assert client.ask("HEAD", target(BUCKET, "file")).status == 200
    assert client.keys(BUCKET) == ["file", "small"]
    assert client.get(BUCKET, "small") == SMALL
    assert client.send("GET", "/_health/ready").status == 503


def test_a_store_that_is_not_mounted_is_down_and_comes_back(client: Client, server: LiveServer) -> None:
    root = server.data / "store"
    with aside(root):
        is_down(client)
        assert list(root.iterdir()) == [], "nothing is written below a mount point"
    all_is_well(client)


def test_a_store_whose_place_is_gone_too_is_down(client: Client, server: LiveServer) -> None:
    root = server.data / "store"
    root.rename(root.with_name("away"))
    try:
        is_down(client)
        assert not root.exists()
    finally:
        root.with_name("away").rename(root)
    all_is_well(client)


def test_another_store_in_its_place_is_not_used(client: Client, server: LiveServer) -> None:
    root = server.data / "store"
    with aside(root):
        Disk.initialise(root)
        is_down(client)
        blobs = [path for path in root.rglob("*") if path.is_file()]
        assert [path.name for path in blobs] == [".dolium-store.json"]
    all_is_well(client)


def test_what_is_deleted_while_its_store_is_down_is_swept_when_it_is_back(
    client: Client, server: LiveServer
) -> None:
    root = server.data / "store"
    client.put(BUCKET, "going", FILE[::-1])
    before = len([path for path in root.rglob("*") if path.is_file()])
    with aside(root):
        client.done("DELETE", target(BUCKET, "going"))
        time.sleep(2.5)  # its grace is over, and it could not be swept
    end = time.monotonic() + 20
    while len([path for path in root.rglob("*") if path.is_file()]) >= before:
        assert time.monotonic() < end
        time.sleep(0.1)
    all_is_well(client)


# Full for real.


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """A file system of that size at `folder`; False where this machine lets nobody mount one."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def no_space(server: LiveServer, faults: LiveFaults, *, mounted: bool) -> Iterator[None]:
    """Not a byte is free on the disk of the store, or its calls say so."""
    if not mounted:
        with faults.failing("create", "write", "mkdir", "preallocate", code=errno.ENOSPC):
            yield
        return
    ballast = server.data / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 12)):
            pass
    assert shutil.disk_usage(server.data).free == 0
    yield
    ballast.unlink(missing_ok=True)


def test_on_a_full_disk_reads_and_deletes_work(tmp_path: Path, faults: LiveFaults) -> None:
    """Catalog and store on one disk, without a byte to spare."""
    with ExitStack() as stack:
        mounted = stack.enter_context(small_disk(tmp_path / "data", 48 << 20))
        server = stack.enter_context(
            LiveServer(tmp_path, config=CONFIG, program=faults.program, environment=faults.environment)
        )
        client = Client(server.http)
        client.make_bucket(BUCKET)
        for n in range(20):
            client.put(BUCKET, f"file{n:02}", FILE)
        with no_space(server, faults, mounted=mounted):
            for _ in range(4):
                failed(put_file(client), 507, "InsufficientStorage")
            assert client.get(BUCKET, "file00") == FILE
            assert len(client.keys(BUCKET)) == 20
            for n in range(10):
                client.done("DELETE", target(BUCKET, f"file{n:02}"))
            assert len(client.keys(BUCKET)) == 10
            if mounted:  # what was deleted has made room, once it is swept
                end = time.monotonic() + 20
                while put_file(client).status == 507:
                    assert time.monotonic() < end
                    time.sleep(0.2)
        assert put_file(client).status == 200
        with no_space(server, faults, mounted=mounted):
            assert server.stop() == 0
            if mounted:  # the calls that were made to fail are of no use before there is a server
                server.start()
                assert client.get(BUCKET, "file15") == FILE
                client.done("DELETE", target(BUCKET, "file15"))
                assert server.stop() == 0
        assert check(server.data).problems == []
        server.start()
        assert put_file(client).status == 200
