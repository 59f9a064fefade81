"""Listing: pages of any size, both versions, with and without a delimiter, against a plain Python list."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS = sorted(
    [f"a/{n:03}" for n in range(40)]
    + [f"b/{n}/x" for n in range(12)]
    + ["a", "a-", "b", "b/", "c", "é/1", "é/2", "z//y", "z//z", "~"],
    key=str.encode,
)


@pytest.fixture(scope="module")
def listed(s3_http: "S3Client") -> str:
    bucket = f"t-{uuid.uuid4().hex[:16]}"
    s3_http.create_bucket(Bucket=bucket)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3_http.put_object(Bucket=bucket, Key=key, Body=key.encode()), KEYS))
    return bucket


def _expected(prefix: str, delimiter: str) -> list[str]:
    """Keys and common prefixes, each once, in order."""
    found: list[str] = []
    for key in KEYS:
        if not key.startswith(prefix):
            continue
        rest = key[len(prefix) :]
        name = (
            prefix + rest[: rest.index(delimiter) + len(delimiter)]
            if delimiter and delimiter in rest
            else key
        )
        if name not in found:
            found.append(name)
    return found


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("delimiter", ["", "/", "//", "0"])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "b/", "z/", "é", "none"])
@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_pages(
    s3_http: "S3Client", listed: str, operation: Any, prefix: str, delimiter: str, size: int
) -> None:
    found: list[str] = []
    ask: Any = {"Bucket": listed, "Prefix": prefix, "Delimiter": delimiter}
    for page in s3_http.get_paginator(operation).paginate(**ask, PaginationConfig={"PageSize": size}):
        names = [one["Key"] for one in page.get("Contents", [])]
        names += [one["Prefix"] for one in page.get("CommonPrefixes", [])]
        assert len(names) <= size  # prefixes count
        if operation == "list_objects_v2":
            assert page["KeyCount"] == len(names)
        found += sorted(names, key=str.encode)
    assert found == _expected(prefix, delimiter)


def test_start_after(s3_http: "S3Client", listed: str) -> None:
    for after in ("", "a/017", "a/017x", "b/", "zzz", "~", "~~"):
        page = s3_http.list_objects_v2(Bucket=listed, StartAfter=after)
        expected = [key for key in KEYS if key.encode() > after.encode()]
        assert [one["Key"] for one in page.get("Contents", [])] == expected


def test_an_entry_says_all(s3_http: "S3Client", listed: str) -> None:
    (one,) = s3_http.list_objects_v2(Bucket=listed, Prefix="a/007", FetchOwner=True)["Contents"]
    head = s3_http.head_object(Bucket=listed, Key="a/007")
    assert (one["Size"], one["ETag"], one["StorageClass"]) == (5, head["ETag"], "STANDARD")
    assert one["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert one["Owner"]["ID"] == s3_http.list_buckets()["Owner"]["ID"]
    assert "Owner" not in s3_http.list_objects_v2(Bucket=listed, Prefix="a/007")["Contents"][0]
    assert s3_http.list_objects(Bucket=listed, Prefix="a/007")["Contents"][0]["Owner"] == one["Owner"]


def test_no_keys_asked_for(s3_http: "S3Client", listed: str) -> None:
    page = s3_http.list_objects_v2(Bucket=listed, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


def test_a_bad_token(s3_http: "S3Client", listed: str) -> None:
    with pytest.raises(ClientError, match="InvalidArgument"):
        s3_http.list_objects_v2(Bucket=listed, ContinuationToken="made-up")


def test_a_thousand_at_most(s3_http: "S3Client", bucket_name: str) -> None:
    s3_http.create_bucket(Bucket=bucket_name)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: s3_http.put_object(Bucket=bucket_name, Key=f"{n:04}", Body=b""), range(1050)))
    page = s3_http.list_objects_v2(Bucket=bucket_name, MaxKeys=5000)
    assert (page["KeyCount"], page["MaxKeys"], page["IsTruncated"]) == (1000, 1000, True)
    rest = s3_http.list_objects_v2(Bucket=bucket_name, ContinuationToken=page["NextContinuationToken"])
    assert [one["Key"] for one in rest["Contents"]] == [f"{n:04}" for n in range(1000, 1050)]
