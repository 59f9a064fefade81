"""Every checksum, in a header over http and in a trailer over https: kept, given back, and enforced."""

import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from awscrt import checksums as crt  # type: ignore[import-untyped]
from botocore.exceptions import ClientError

from dolium.testing.server import Site
from tests.clients.raw import send, signed, target

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3 import S3Client

CHECK = b"123456789"
KNOWN = {
    # The check values that the catalogue of CRCs gives for these nine digits.
    "CRC32": (0xCBF43926).to_bytes(4),
    "CRC32C": (0xE3069283).to_bytes(4),
    "CRC64NVME": (0xAE8B14860A799888).to_bytes(8),
    "SHA1": hashlib.sha1(CHECK).digest(),
    "SHA256": hashlib.sha256(CHECK).digest(),
}
DIGEST: "dict[str, Callable[[bytes], bytes]]" = {
    "CRC32": lambda body: zlib.crc32(body).to_bytes(4),
    "CRC32C": lambda body: crt.crc32c(body).to_bytes(4),
    "CRC64NVME": lambda body: crt.crc64nvme(body).to_bytes(8),
    "SHA1": lambda body: hashlib.sha1(body).digest(),
    "SHA256": lambda body: hashlib.sha256(body).digest(),
}
PARTS = (b"\x01" * 5 * 2**20, b"\x02" * 5 * 2**20, b"\x03" * 1000)


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


@pytest.mark.parametrize("algorithm", KNOWN)
def test_kept_and_given_back(s3: "S3Client", bucket: str, algorithm: Any) -> None:
    name, expected = f"Checksum{algorithm}", _text(KNOWN[algorithm])
    put: Any = s3.put_object(Bucket=bucket, Key="k", Body=CHECK, ChecksumAlgorithm=algorithm)
    assert put[name] == expected
    head: Any = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[name] == expected
    assert head["ChecksumType"] == "FULL_OBJECT"
    got: Any = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[name] == expected
    assert got["Body"].read() == CHECK  # botocore compares as it reads
    assert name not in s3.head_object(Bucket=bucket, Key="k")
    about: Any = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ETag", "ObjectSize"]
    )
    assert about["Checksum"][name] == expected
    assert about["ObjectSize"] == len(CHECK)
    assert about["ETag"] == hashlib.md5(CHECK).hexdigest()


@pytest.mark.parametrize("algorithm", KNOWN)
def test_a_wrong_one_stores_nothing(s3: "S3Client", bucket: str, algorithm: str) -> None:
    wrong: Any = {f"Checksum{algorithm}": _text(bytes(len(KNOWN[algorithm])))}
    with pytest.raises(ClientError, match="BadDigest"):
        s3.put_object(Bucket=bucket, Key="k", Body=CHECK, **wrong)
    malformed: Any = {f"Checksum{algorithm}": "no checksum"}
    with pytest.raises(ClientError, match="InvalidRequest"):
        s3.put_object(Bucket=bucket, Key="k", Body=CHECK, **malformed)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_content_md5(s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="right", Body=CHECK, ContentMD5=_text(hashlib.md5(CHECK).digest()))
    with pytest.raises(ClientError, match="BadDigest"):
        s3.put_object(Bucket=bucket, Key="wrong", Body=CHECK, ContentMD5=_text(hashlib.md5(b"").digest()))
    with pytest.raises(ClientError, match="InvalidDigest"):
        s3.put_object(Bucket=bucket, Key="malformed", Body=CHECK, ContentMD5="no")
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["right"]


@pytest.mark.parametrize("algorithm", KNOWN)
@pytest.mark.parametrize("honest", [True, False], ids=["right", "wrong"])
def test_trailers(site: Site, s3: "S3Client", bucket: str, algorithm: str, *, honest: bool) -> None:
    """Unsigned chunks with the checksum after them, as SDKs send over https: here over http as well."""
    digest = KNOWN[algorithm] if honest else bytes(len(KNOWN[algorithm]))
    name, path = f"x-amz-checksum-{algorithm.lower()}", target(bucket, "k")
    body = b"4\r\n1234\r\n5\r\n56789\r\n0\r\n" + f"{name}:{_text(digest)}\r\n\r\n".encode()
    headers = signed(
        site,
        "PUT",
        path,
        {
            "Content-Encoding": "aws-chunked",
            "X-Amz-Decoded-Content-Length": "9",
            "X-Amz-Trailer": name,
            "Content-Length": str(len(body)),
        },
        payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    )
    answer = send(site, "PUT", path, headers=headers, body=body)
    if honest:
        assert (answer.status, answer.headers[name]) == (200, _text(digest))
        got = s3.get_object(Bucket=bucket, Key="k")
        assert got["Body"].read() == CHECK
        assert "ContentEncoding" not in got
    else:
        assert (answer.status, answer.code) == (400, "BadDigest")
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "COMPOSITE"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_of_parts(s3_http: "S3Client", bucket_name: str, algorithm: Any, kind: Any) -> None:
    """A composite is the digest of the parts' digests; a full one is combined, equal to that of all bytes."""
    s3, bucket, name = s3_http, bucket_name, f"Checksum{algorithm}"
    s3.create_bucket(Bucket=bucket)
    upload: Any = s3.create_multipart_upload(
        Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind
    )["UploadId"]
    done: list[Any] = []
    for number, body in enumerate(PARTS, 1):
        part: Any = s3.upload_part(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm
        )
        assert part[name] == _text(DIGEST[algorithm](body))
        done.append({"PartNumber": number, "ETag": part["ETag"], name: part[name]})
    whole = DIGEST[algorithm](b"".join(PARTS))
    expected = (
        _text(whole)
        if kind == "FULL_OBJECT"
        else _text(DIGEST[algorithm](b"".join(DIGEST[algorithm](body) for body in PARTS))) + "-3"
    )
    completed: Any = s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": done}, ChecksumType=kind
    )
    assert (completed[name], completed["ChecksumType"]) == (expected, kind)
    head: Any = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[name], head["ChecksumType"]) == (expected, kind)


def test_a_part_whose_checksum_is_not_the_one_sent(s3_http: "S3Client", bucket_name: str) -> None:
    s3, bucket = s3_http, bucket_name
    s3.create_bucket(Bucket=bucket)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    part = s3.upload_part(
        Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256"
    )
    wrong: Any = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": _text(bytes(32))}
    with pytest.raises(ClientError, match="InvalidPart"):
        s3.complete_multipart_upload(
            Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": [wrong]}
        )
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_copy_has_one_too(s3_http: "S3Client", bucket_name: str) -> None:
    s3_http.create_bucket(Bucket=bucket_name)
    s3_http.put_object(Bucket=bucket_name, Key="k", Body=CHECK, ChecksumAlgorithm="SHA256")
    source: Any = {"Bucket": bucket_name, "Key": "k"}
    same = s3_http.copy_object(Bucket=bucket_name, Key="same", CopySource=source)
    assert same["CopyObjectResult"]["ChecksumSHA256"] == _text(KNOWN["SHA256"])
    other = s3_http.copy_object(
        Bucket=bucket_name, Key="other", CopySource=source, ChecksumAlgorithm="CRC32C"
    )
    assert other["CopyObjectResult"]["ChecksumCRC32C"] == _text(KNOWN["CRC32C"])
