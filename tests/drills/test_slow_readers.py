"""A download that began before its object was overwritten or deleted: all of the old bytes, or a broken connection.

Garbage has no grace here: what is replaced is swept within a tenth of a second, while the client still reads.
"""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dolium.testing.server import LiveServer, Site
from tests.drills.conftest import CONFIG, until
from tests.drills.slow import SlowReader
from tests.s3.client import Client, target

BUCKET = "slow"
PART = 5 << 20


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("slow"), config=CONFIG) as server:
        Client(server.http).make_bucket(BUCKET)
        yield server


@pytest.fixture
def client(served: LiveServer) -> Iterator[Client]:
    client = Client(served.http)
    yield client
    for key in client.keys(BUCKET):
        client.done("DELETE", target(BUCKET, key))
    assert until(lambda: not blobs(served)), "not swept"


def blobs(served: LiveServer) -> set[Path]:
    """The files of the store."""
    return {path for path in (served.data / "store").rglob("*-*") if path.is_file() and path.name[0] != "."}


def inline(client: Client) -> bytes:
    body = random.randbytes(16 << 10)
    client.put(BUCKET, "key", body)
    return body


def file(client: Client) -> bytes:
    body = random.randbytes(24 << 20)
    client.put(BUCKET, "key", body)
    return body


def parts(client: Client) -> bytes:
    bodies = [random.randbytes(PART) for _ in range(5)]
    upload = client.begin(BUCKET, "key")
    etags = {
        number: client.put_part(BUCKET, "key", upload, number, body) for number, body in enumerate(bodies, 1)
    }
    assert client.complete(BUCKET, "key", upload, etags).status == 200
    return b"".join(bodies)


def _copied(make: Callable[[Client], bytes]) -> Callable[[Client], bytes]:
    """The object is a copy that shares its bytes, and the one they came from is deleted already."""

    def copied(client: Client) -> bytes:
        body = make(client)
        client.done("PUT", target(BUCKET, "copy"), {"x-amz-copy-source": target(BUCKET, "key")})
        client.done("DELETE", target(BUCKET, "key"))
        client.done("PUT", target(BUCKET, "key"), {"x-amz-copy-source": target(BUCKET, "copy")})
        client.done("DELETE", target(BUCKET, "copy"))
        return body

    return copied


def overwrite(client: Client) -> None:
    client.put(BUCKET, "key", b"n" * 100)


def delete(client: Client) -> None:
    client.done("DELETE", target(BUCKET, "key"))


@pytest.mark.parametrize("end", [overwrite, delete])
@pytest.mark.parametrize(
    ("make", "scheme"),
    [
        pytest.param(inline, "http", id="inline"),
        pytest.param(file, "http", id="file"),
        pytest.param(file, "https", id="file over https"),
        pytest.param(parts, "http", id="parts"),
        pytest.param(parts, "https", id="parts over https"),
        pytest.param(_copied(file), "http", id="copy of a file"),
        pytest.param(_copied(parts), "http", id="copy of parts"),
    ],
)
def test_a_slow_download_gets_the_old_object(
    served: LiveServer,
    client: Client,
    make: Callable[[Client], bytes],
    scheme: str,
    end: Callable[[Client], None],
) -> None:
    body = make(client)
    site: Site = getattr(served, scheme)
    with SlowReader(site, target(BUCKET, "key")) as reader:
        first = reader.read(1000)
        end(client)
        assert until(lambda: not blobs(served)), "the old blobs are not swept"
        rest, whole = reader.rest()
    assert whole
    assert first + rest == body
    if end is overwrite:
        assert client.get(BUCKET, "key") == b"n" * 100
    else:
        assert not client.has(BUCKET, "key")


def test_a_slow_range_of_two_parts_gets_the_old_bytes(served: LiveServer, client: Client) -> None:
    body = parts(client)
    with SlowReader(
        served.http, target(BUCKET, "key"), {"range": f"bytes={PART - 1000}-{4 * PART - 1}"}
    ) as reader:
        first = reader.read(10)
        overwrite(client)
        assert until(lambda: not blobs(served))
        rest, whole = reader.rest()
    assert (reader.status, whole) == (206, True)
    assert first + rest == body[PART - 1000 : 4 * PART]


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - (1 << 20))


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("make", [file, parts])
def test_a_blob_that_is_cut_short_breaks_the_connection(
    served: LiveServer, client: Client, make: Callable[[Client], bytes], scheme: str
) -> None:
    """And is never the end of the answer."""
    body = make(client)
    with SlowReader(getattr(served, scheme), target(BUCKET, "key")) as reader:
        first = reader.read(1000)
        largest = [path for path in blobs(served) if path.stat().st_size > 1 << 20]
        for path in largest:
            _truncate(path)
        rest, whole = reader.rest()
    assert not whole
    assert body.startswith(first + rest)
    assert len(first + rest) < len(body)


def test_a_blob_that_is_not_there_is_an_error_and_no_absence(served: LiveServer, client: Client) -> None:
    parts(client)
    gone = max(blobs(served), key=lambda path: path.name)  # the manifest is not read
    kept = [path for path in sorted(blobs(served)) if path != gone][-1]
    aside = kept.read_bytes()
    kept.unlink()
    answer = client.ask("GET", target(BUCKET, "key"))
    assert (answer.status, answer.code) == (500, "InternalError")
    kept.write_bytes(aside)


def test_nobody_holds_files_for_a_client_that_has_gone(served: LiveServer, client: Client) -> None:
    parts(client)

    def held() -> int:
        links = (fd for pid in served.workers for fd in Path(f"/proc/{pid}/fd").iterdir())
        return sum(str(served.data / "store") in _target(link) for link in links)

    with SlowReader(served.http, target(BUCKET, "key")) as reader:
        reader.read(10)
        assert held() >= 4
    assert until(lambda: held() == 0)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""
