"""s3fs: what fsspec promises of a filesystem, on a bucket."""

from typing import Any

import pytest

from dolium.testing.server import Site
from tests.clients.raw import fetch

s3fs = pytest.importorskip("s3fs")


@pytest.fixture
def fs(site: Site) -> Any:
    return s3fs.S3FileSystem(
        key=site.access_key,
        secret=site.secret_key,
        client_kwargs={"endpoint_url": site.url},
        use_listings_cache=False,
    )


def test_listing_finding_and_globbing(fs: Any, bucket: str) -> None:
    names = ["a b/c+d", "a b/e%2Ff", "a b/ü#?", "a", "z/1.nc", "z/2.nc", "z/deep/3.nc"]
    fs.pipe({f"{bucket}/{name}": name.encode() for name in names})
    assert sorted(fs.find(bucket)) == sorted(f"{bucket}/{name}" for name in names)
    assert fs.ls(bucket) == [f"{bucket}/a", f"{bucket}/a b", f"{bucket}/z"]
    assert sorted(fs.glob(f"{bucket}/z/*.nc")) == [f"{bucket}/z/1.nc", f"{bucket}/z/2.nc"]
    assert fs.du(f"{bucket}/z") == len("z/1.nc" + "z/2.nc" + "z/deep/3.nc")
    assert fs.cat(fs.find(bucket)) == {f"{bucket}/{name}": name.encode() for name in names}
    assert fs.isdir(f"{bucket}/z")
    assert not fs.exists(f"{bucket}/none")
    with pytest.raises(FileNotFoundError):
        fs.info(f"{bucket}/none")


def test_files_are_written_in_parts_and_read_in_ranges(fs: Any, bucket: str) -> None:
    body = bytes(range(256)) * 4096 * 12
    with fs.open(f"{bucket}/big", "wb", block_size=5 * 2**20) as big:
        for start in range(0, len(body), 2**20):
            big.write(body[start : start + 2**20])
    assert fs.info(f"{bucket}/big")["size"] == len(body)
    with fs.open(f"{bucket}/big", "rb", block_size=2**20) as big:
        big.seek(-1000, 2)
        assert big.read() == body[-1000:]
        big.seek(7_000_000)
        assert big.read(100) == body[7_000_000:7_000_100]
    assert fs.cat_file(f"{bucket}/big", start=-8) == body[-8:]
    assert fs.cat_file(f"{bucket}/big", start=5, end=10) == body[5:10]


def test_copy_move_and_remove(fs: Any, bucket: str) -> None:
    fs.pipe(f"{bucket}/a", b"one")
    fs.copy(f"{bucket}/a", f"{bucket}/b")
    fs.mv(f"{bucket}/b", f"{bucket}/c/d")
    assert sorted(fs.find(bucket)) == [f"{bucket}/a", f"{bucket}/c/d"]
    fs.rm(bucket, recursive=True)
    assert not fs.exists(bucket)


def test_exclusive_creation(fs: Any, bucket: str) -> None:
    with fs.open(f"{bucket}/lock", "xb") as lock:
        lock.write(b"mine")
    with pytest.raises(OSError, match=r"pre-?condition"), fs.open(f"{bucket}/lock", "xb") as lock:
        lock.write(b"yours")
    assert fs.cat(f"{bucket}/lock") == b"mine"


def test_signed_link(fs: Any, site: Site, bucket: str) -> None:
    fs.pipe(f"{bucket}/a b", b"signed")
    assert fetch(site, fs.sign(f"{bucket}/a b")).body == b"signed"
