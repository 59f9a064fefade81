"""Keys are strings: whatever a path would make of them, they are stored, listed and fetched as they are."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from dolium.testing.server import Site
from tests.clients.raw import send, signed, target

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ODD = (
    "a",
    "a/b",
    "a/b/c",
    "a/",
    ".",
    "..",
    "../../etc/passwd",
    "x/../y",
    "x/./y",
    "x/..",
    "/leading",
    "//x",
    "x//y",
    "x///",
    "/",
    "+",
    "a+b c",
    " ",
    " leading and trailing ",
    "%",
    "%2F",
    "%2f",
    "a%20b",
    "%25",
    "%zz",
    "?query#fragment",
    "a=1&b=2",
    "<xml>&amp;\"'",
    "back\\slash",
    "\t",
    "line\nfeed\rreturn",
    "\x01\x02\x1f\x7f",
    "\u0085\u2028",
    "ü",
    "u\u0308",
    "日本語",
    "😀",
    "\ufffe",
    "*|:;,@$!()[]{}~`^",
    "con",
    ".hidden",
    "con.",
    "_health/live",
    "d" * 1024,
    "/".join(["e" * 127] * 8),
    "日" * 341,  # 1,023 bytes
)


def test_round_trip(s3: "S3Client", bucket: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=key.encode()), ODD))
        bodies = list(pool.map(lambda key: s3.get_object(Bucket=bucket, Key=key)["Body"].read(), ODD))
    assert bodies == [key.encode() for key in ODD]
    in_order = sorted(ODD, key=str.encode)
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == in_order
    assert [one["Key"] for one in s3.list_objects(Bucket=bucket)["Contents"]] == in_order
    for one in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1}):
        assert one["Contents"][0]["Key"] == in_order.pop(0)
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ODD if key.isprintable()]}
    )
    assert answer.get("Errors", []) == []
    for key in ODD:
        s3.delete_object(Bucket=bucket, Key=key)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("key", ODD, ids=ascii)
def test_copy(s3_http: "S3Client", odd_bucket: str, key: str) -> None:
    """The name of the source travels in a header, encoded once more."""
    s3_http.put_object(Bucket=odd_bucket, Key=key, Body=key.encode())
    s3_http.copy_object(Bucket=odd_bucket, Key="copy", CopySource={"Bucket": odd_bucket, "Key": key})
    assert s3_http.get_object(Bucket=odd_bucket, Key="copy")["Body"].read() == key.encode()


@pytest.fixture(scope="module")
def odd_bucket(s3_http: "S3Client") -> str:
    name = f"t-{uuid.uuid4().hex[:16]}"
    s3_http.create_bucket(Bucket=name)
    return name


def test_the_path_is_taken_as_sent(site: Site, bucket: str) -> None:
    """`%2F` in a path is a slash of the key, `..` is not a step up, a plus is a plus."""
    for sent, key in (("x%2Fy", "x/y"), ("../z", "../z"), ("a+b", "a+b"), ("%41", "A"), ("%2e%2E/q", "../q")):
        canonical = target(bucket, key)
        headers = signed(site, "PUT", canonical)
        put = send(site, "PUT", f"/{bucket}/{sent}", headers=headers, body=sent.encode())
        assert put.status == 200, (sent, put)
        got = send(site, "GET", canonical, headers=signed(site, "GET", canonical))
        assert (got.status, got.body) == (200, sent.encode())


def test_too_long(s3: "S3Client", bucket: str) -> None:
    for key in ("d" * 1025, "日" * 342):
        with pytest.raises(ClientError, match="KeyTooLongError"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_not_utf_8(site: Site, bucket: str) -> None:
    path = f"/{bucket}/%FF%FE"
    answer = send(site, "PUT", path, headers=signed(site, "PUT", path), body=b"x")
    assert answer.status == 400
