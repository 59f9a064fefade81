"""Uploads in parts: out of order, replaced, copied from elsewhere, listed, given up, completed twice."""

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIN = 5 * 2**20
A, B, C = b"a" * MIN, b"b" * MIN, b"c" * 100


@pytest.fixture
def upload(s3: "S3Client", bucket: str) -> Any:
    """The arguments of an upload just begun."""
    begun = s3.create_multipart_upload(
        Bucket=bucket, Key="big/k", ContentType="text/plain", Metadata={"units": "K"}
    )
    return {"Bucket": bucket, "Key": "big/k", "UploadId": begun["UploadId"]}


def _part(s3: "S3Client", upload: Any, number: int, body: bytes) -> Any:
    return {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}


def _complete(s3: "S3Client", upload: Any, parts: list[Any]) -> Any:
    return s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def test_parts_in_any_order_and_replaced(s3: "S3Client", upload: Any) -> None:
    third = _part(s3, upload, 900, C)
    _part(s3, upload, 7, B)
    first = _part(s3, upload, 1, A)
    second = _part(s3, upload, 7, B[::-1])
    assert s3.list_objects_v2(Bucket=upload["Bucket"])["KeyCount"] == 0
    listed = s3.list_parts(**upload)["Parts"]
    assert [(one["PartNumber"], one["Size"]) for one in listed] == [(1, MIN), (7, MIN), (900, 100)]
    assert listed[1]["ETag"] == second["ETag"]

    completed = _complete(s3, upload, [first, second, third])
    digests = b"".join(hashlib.md5(body).digest() for body in (A, B, C))
    assert completed["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    got = s3.get_object(Bucket=upload["Bucket"], Key="big/k")
    assert got["Body"].read() == A + B + C
    assert (got["ETag"], got["ContentType"], got["Metadata"]) == (
        completed["ETag"],
        "text/plain",
        {"units": "K"},
    )
    again = _complete(s3, upload, [first, second, third])  # a client that lost the first answer
    assert again["ETag"] == completed["ETag"]
    with pytest.raises(ClientError, match="NoSuchUpload"):
        _part(s3, upload, 1, C)


def test_read_by_range_and_by_part(s3: "S3Client", upload: Any) -> None:
    _complete(s3, upload, [_part(s3, upload, 1, A), _part(s3, upload, 2, B), _part(s3, upload, 3, C)])
    where: Any = {"Bucket": upload["Bucket"], "Key": "big/k"}
    across = s3.get_object(**where, Range=f"bytes={MIN - 3}-{MIN + 2}")
    assert across["Body"].read() == b"aaabbb"
    assert s3.get_object(**where, Range="bytes=-101")["Body"].read() == b"b" + C
    second = s3.get_object(**where, PartNumber=2)
    assert (second["Body"].read(), second["PartsCount"]) == (B, 3)
    assert second["ContentRange"] == f"bytes {MIN}-{2 * MIN - 1}/{2 * MIN + 100}"
    assert s3.head_object(**where, PartNumber=3)["ContentLength"] == 100
    with pytest.raises(ClientError, match=r"InvalidPartNumber|416"):
        s3.get_object(**where, PartNumber=4)
    about = s3.get_object_attributes(**where, ObjectAttributes=["ObjectParts", "ObjectSize"])
    assert about["ObjectParts"]["TotalPartsCount"] == 3


def test_copied_parts(s3: "S3Client", upload: Any) -> None:
    bucket, source = upload["Bucket"], "a source/ü+.bin"
    s3.put_object(Bucket=bucket, Key=source, Body=A + B + C)
    copy: Any = {**upload, "CopySource": {"Bucket": bucket, "Key": source}}
    first = s3.upload_part_copy(**copy, PartNumber=1, CopySourceRange=f"bytes={MIN}-{2 * MIN - 1}")
    second = s3.upload_part_copy(**copy, PartNumber=2)
    assert first["CopyPartResult"]["ETag"] == f'"{hashlib.md5(B).hexdigest()}"'
    with pytest.raises(ClientError, match=r"InvalidRange|InvalidArgument"):
        s3.upload_part_copy(**copy, PartNumber=3, CopySourceRange=f"bytes=0-{2 * MIN + 100}")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.upload_part_copy(**copy, PartNumber=3, CopySourceIfMatch='"nothing-like-it"')
    s3.delete_object(Bucket=bucket, Key=source)
    tags = [first["CopyPartResult"]["ETag"], second["CopyPartResult"]["ETag"]]
    _complete(s3, upload, [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)])
    assert s3.get_object(Bucket=bucket, Key="big/k")["Body"].read() == B + A + B + C


def test_what_complete_refuses(s3: "S3Client", upload: Any) -> None:
    small, big, last = _part(s3, upload, 1, C), _part(s3, upload, 2, A), _part(s3, upload, 3, C)
    with pytest.raises(ClientError, match="EntityTooSmall"):
        _complete(s3, upload, [small, big])
    with pytest.raises(ClientError, match="InvalidPartOrder"):
        _complete(s3, upload, [last, big])
    with pytest.raises(ClientError, match="InvalidPart"):
        _complete(s3, upload, [big, {"PartNumber": 4, "ETag": big["ETag"]}])
    with pytest.raises(ClientError, match="InvalidPart"):
        _complete(s3, upload, [{"PartNumber": 2, "ETag": small["ETag"]}])
    with pytest.raises(ClientError, match="MalformedXML"):
        _complete(s3, upload, [])
    with pytest.raises(ClientError, match="InvalidArgument"):
        s3.upload_part(**upload, PartNumber=10_001, Body=b"")
    _complete(s3, upload, [big, last])  # what was refused did no harm
    assert s3.head_object(Bucket=upload["Bucket"], Key="big/k")["ContentLength"] == MIN + 100


def test_abort(s3: "S3Client", upload: Any) -> None:
    _part(s3, upload, 1, A)
    s3.abort_multipart_upload(**upload)
    for refused in (s3.abort_multipart_upload, s3.list_parts):
        with pytest.raises(ClientError, match="NoSuchUpload"):
            refused(**upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=upload["Bucket"])
    s3.delete_bucket(Bucket=upload["Bucket"])


def test_listing_uploads_and_parts_by_pages(s3: "S3Client", bucket: str) -> None:
    keys = sorted(f"{folder}/{n}" for folder in "xyz" for n in range(4))
    begun = {key: s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in keys}
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 5}
    )
    assert [(one["Key"], one["UploadId"]) for page in pages for one in page.get("Uploads", [])] == list(
        begun.items()
    )
    grouped = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", Prefix="")
    assert [one["Prefix"] for one in grouped["CommonPrefixes"]] == ["x/", "y/", "z/"]
    within = s3.list_multipart_uploads(Bucket=bucket, Prefix="y/")
    assert [one["Key"] for one in within["Uploads"]] == keys[4:8]

    upload: Any = {"Bucket": bucket, "Key": keys[0], "UploadId": begun[keys[0]]}
    for number in range(1, 8):
        _part(s3, upload, number, bytes([number]))
    parts = s3.get_paginator("list_parts").paginate(**upload, PaginationConfig={"PageSize": 3})
    assert [one["PartNumber"] for page in parts for one in page["Parts"]] == list(range(1, 8))
