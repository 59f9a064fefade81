"""Conditions, on reading and on writing; and of sixteen writers at one moment exactly one wins."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dolium.testing.server import Site
from tests.clients.raw import send, signed, target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_s3 import S3Client

RACERS = 16
ABSENT = '"00000000000000000000000000000000"'


def _code(operation: "Callable[[], object]") -> str:
    try:
        operation()
    except ClientError as refused:
        return refused.response["Error"]["Code"]
    return "won"


def _race(operations: "Sequence[Callable[[], object]]") -> list[str]:
    start = threading.Barrier(len(operations))

    def run(operation: "Callable[[], object]") -> str:
        start.wait()
        return _code(operation)

    with ThreadPoolExecutor(len(operations)) as pool:
        return list(pool.map(run, operations))


def _race_over(s3: "S3Client", bucket: str, operations: "Sequence[Callable[[], object]]") -> list[str]:
    """The race, after every racer has opened a connection of its own: they fall to both workers."""
    ready: list[Callable[[], object]] = [lambda: s3.head_bucket(Bucket=bucket)] * len(operations)
    assert set(_race(ready)) == {"won"}
    return _race(operations)


def _one_winner(outcome: list[str]) -> int:
    assert outcome.count("won") == 1, outcome
    assert set(outcome) <= {"won", "PreconditionFailed", "ConditionalRequestConflict"}, outcome
    return outcome.index("won")


def test_sixteen_create_one_key(s3: "S3Client", bucket: str) -> None:
    for round_ in range(5):
        key = f"round-{round_}"
        writes = [
            partial(s3.put_object, Bucket=bucket, Key=key, Body=bytes([n]), IfNoneMatch="*")
            for n in range(RACERS)
        ]
        winner = _one_winner(_race_over(s3, bucket, writes))
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == bytes([winner])


def test_sixteen_replace_one_version(s3: "S3Client", bucket: str) -> None:
    tag = s3.put_object(Bucket=bucket, Key="k", Body=b"start")["ETag"]
    for round_ in range(5):
        bodies = [f"{round_}-{n}".encode() for n in range(RACERS)]
        writes = [partial(s3.put_object, Bucket=bucket, Key="k", Body=body, IfMatch=tag) for body in bodies]
        winner = _one_winner(_race_over(s3, bucket, writes))
        got = s3.get_object(Bucket=bucket, Key="k")
        assert got["Body"].read() == bodies[winner]
        tag = got["ETag"]


def test_sixteen_complete_one_key(s3: "S3Client", bucket: str) -> None:
    completions: list[Callable[[], object]] = []
    for n in range(RACERS):
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=bytes([n]))
        done: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        where: Any = {"Bucket": bucket, "Key": "k", "UploadId": upload, "IfNoneMatch": "*"}
        completions.append(partial(s3.complete_multipart_upload, **where, MultipartUpload=done))
    winner = _one_winner(_race_over(s3, bucket, completions))
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == bytes([winner])


def test_conditional_put(s3: "S3Client", bucket: str) -> None:
    def put(**condition: Any) -> str:
        return _code(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"new", **condition))

    assert put(IfMatch=ABSENT) == "NoSuchKey"
    assert put(IfNoneMatch="*") == "won"
    assert put(IfNoneMatch="*") == "PreconditionFailed"
    assert put(IfMatch=ABSENT) == "PreconditionFailed"
    tag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    assert put(IfMatch=tag) == "won"
    assert put(IfMatch=tag.strip('"')) == "won"  # as icechunk sends it
    assert put(IfMatch="*") == "won"


def test_refused_before_the_body_is_stored(s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    body = b"x" * 2**20
    assert (
        _code(lambda: s3.put_object(Bucket=bucket, Key="k", Body=body, IfNoneMatch="*"))
        == "PreconditionFailed"
    )
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


def test_conditional_complete_copy_and_delete(s3: "S3Client", bucket: str) -> None:
    tag = s3.put_object(Bucket=bucket, Key="k", Body=b"old")["ETag"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"new")
    done: Any = {
        "Bucket": bucket,
        "Key": "k",
        "UploadId": upload,
        "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    }
    assert _code(lambda: s3.complete_multipart_upload(**done, IfNoneMatch="*")) == "PreconditionFailed"
    assert _code(lambda: s3.complete_multipart_upload(**done, IfMatch=ABSENT)) == "PreconditionFailed"
    assert _code(lambda: s3.complete_multipart_upload(**done, IfMatch=tag)) == "won"

    source: Any = {"Bucket": bucket, "Key": "k"}
    copy: Any = {"Bucket": bucket, "Key": "c", "CopySource": source}
    assert _code(lambda: s3.copy_object(**copy, CopySourceIfMatch=ABSENT)) == "PreconditionFailed"
    assert _code(lambda: s3.copy_object(**copy, IfNoneMatch="*")) == "won"
    assert _code(lambda: s3.copy_object(**copy, IfNoneMatch="*")) == "PreconditionFailed"

    assert _code(lambda: s3.delete_object(Bucket=bucket, Key="c", IfMatch=ABSENT)) == "PreconditionFailed"
    copied = s3.head_object(Bucket=bucket, Key="c")["ETag"]
    assert _code(lambda: s3.delete_object(Bucket=bucket, Key="c", IfMatch=copied)) == "won"
    assert _code(lambda: s3.head_object(Bucket=bucket, Key="c")) == "404"


def test_conditional_reads(s3: "S3Client", bucket: str) -> None:
    tag = s3.put_object(Bucket=bucket, Key="k", Body=b"body")["ETag"]
    changed = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    hour = dt.timedelta(hours=1)

    def get(**condition: Any) -> str:
        return _code(lambda: s3.get_object(Bucket=bucket, Key="k", **condition))

    assert get(IfMatch=tag) == "won"
    assert get(IfMatch=tag.strip('"')) == "won"
    assert get(IfMatch=ABSENT) == "PreconditionFailed"
    assert get(IfNoneMatch=ABSENT) == "won"
    assert get(IfNoneMatch=tag) == "304"
    assert get(IfModifiedSince=changed - hour) == "won"
    assert get(IfModifiedSince=changed) == "304"
    assert get(IfUnmodifiedSince=changed) == "won"
    assert get(IfUnmodifiedSince=changed - hour) == "PreconditionFailed"
    assert get(IfMatch=tag, IfUnmodifiedSince=changed - hour) == "won"
    assert get(IfNoneMatch=tag, IfModifiedSince=changed - hour) == "304"


def test_304_has_its_tag_and_no_body(site: Site, s3: "S3Client", bucket: str) -> None:
    tag = s3.put_object(Bucket=bucket, Key="k", Body=b"body")["ETag"]
    path = target(bucket, "k")
    for method in ("GET", "HEAD"):
        answer = send(site, method, path, headers=signed(site, method, path, {"If-None-Match": tag}))
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
