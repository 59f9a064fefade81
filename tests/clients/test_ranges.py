"""Ranges of an object, small ones in the catalog and large ones on disk."""

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from dolium.testing.server import Site
from tests.clients.raw import send, signed, target

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SIZES = pytest.mark.parametrize("size", [10, 100_000, 3_000_000])


def _body(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@SIZES
def test_ranges(s3: "S3Client", bucket: str, size: int) -> None:
    body = _body(size)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    for asked, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=2-5", 2, 5),
        ("bytes=3-", 3, size - 1),
        ("bytes=-4", size - 4, size - 1),
        (f"bytes=-{size * 2}", 0, size - 1),
        (f"bytes=5-{size * 2}", 5, size - 1),
        (f"bytes={size - 1}-{size - 1}", size - 1, size - 1),
    ):
        got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
        assert got["Body"].read() == body[first : last + 1], asked
        assert got["ContentRange"] == f"bytes {first}-{last}/{size}"
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        head = s3.head_object(Bucket=bucket, Key="k", Range=asked)
        assert head["ContentLength"] == last - first + 1


@SIZES
def test_outside(s3: "S3Client", site: Site, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=_body(size))
    path = target(bucket, "k")
    for asked in (f"bytes={size}-", f"bytes={size}-{size + 5}", "bytes=-0"):
        answer = send(site, "GET", path, headers=signed(site, "GET", path, {"Range": asked}))
        assert (answer.status, answer.code) == (416, "InvalidRange"), asked
        assert answer.headers["content-range"] == f"bytes */{size}"


def test_an_empty_object_has_no_range(s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    with pytest.raises(ClientError, match="InvalidRange"):
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-0")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b""


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=a-b", "lines=1-2", "bytes", "bytes=0-1,3-4"])
def test_what_is_no_single_range_is_the_whole(site: Site, s3: "S3Client", bucket: str, asked: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    path = target(bucket, "k")
    answer = send(site, "GET", path, headers=signed(site, "GET", path, {"Range": asked}))
    assert (answer.status, answer.body) == (200, b"0123456789")
