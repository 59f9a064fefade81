"""What a request says of its body must be well-formed and true, or nothing of the body stays."""

import base64
import hashlib
import zlib

import pytest

from tests.s3.client import Refusal, bare, head_of
from tests.s3.conftest import Stage
from tests.s3.signing import EMPTY, UNSIGNED_TRAILER, plain_chunks, sha, sign_v4

BODY = b"what was there after"
BAD_DIGEST = (400, "BadDigest")
INVALID_DIGEST = (400, "InvalidDigest")
INVALID_REQUEST = (400, "InvalidRequest")
LARGE = b"large" * 100_000


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


CRC = b64(zlib.crc32(BODY).to_bytes(4))


@pytest.mark.parametrize(
    ("md5", "refusal"),
    [
        ("not base64 at all!", INVALID_DIGEST),
        (b64(b"short"), INVALID_DIGEST),
        (b64(bytes(17)), INVALID_DIGEST),
        (hashlib.md5(BODY).hexdigest(), INVALID_DIGEST),
        ("", INVALID_DIGEST),
        (b64(bytes(16)), BAD_DIGEST),
    ],
)
@pytest.mark.parametrize("route", ["object", "part", "complete", "delete"])
def test_content_md5(stage: Stage, md5: str, refusal: Refusal, route: str) -> None:
    method, path = {
        "object": ("PUT", stage.at("kept")),
        "part": ("PUT", stage.at("kept", f"partNumber=1&uploadId={stage.upload}")),
        "complete": ("POST", stage.at("kept", f"uploadId={stage.upload}")),
        "delete": ("POST", stage.at(query="delete")),
    }[route]
    stage.refused(refusal, method, path, {"content-md5": md5}, BODY)


@pytest.mark.parametrize("body", [BODY, LARGE], ids=["small", "large"])
def test_content_sha256_of_another_body(stage: Stage, body: bytes) -> None:
    """A large body streams to the disk before its hash is known."""
    refusal = (400, "XAmzContentSHA256Mismatch")
    answer = stage.refused(refusal, "PUT", stage.at("kept"), body=body, payload=EMPTY)
    assert answer.field("ClientComputedContentSHA256") == EMPTY
    assert answer.field("S3ComputedContentSHA256") == sha(body)
    part = stage.at("kept", f"partNumber=1&uploadId={stage.upload}")
    stage.refused(refusal, "PUT", part, body=body, payload=EMPTY)


@pytest.mark.parametrize(
    "garbage", ["", "abc", "0" * 63, "g" * 64, "STREAMING-AWS4-HMAC-SHA512-PAYLOAD", "unsigned-payload"]
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_content_sha256_garbage(stage: Stage, garbage: str, method: str) -> None:
    refusal = (400, "InvalidArgument")
    stage.refused(refusal, method, stage.at("kept"), body=BODY, payload=garbage)


def test_content_sha256_missing(stage: Stage) -> None:
    headers, _ = sign_v4(stage.client.site, "PUT", stage.at("kept"), {"content-length": "0"})
    del headers["x-amz-content-sha256"]
    answer = bare(stage.client.site, head_of("PUT", stage.at("kept"), headers))
    stage.checked(answer, INVALID_REQUEST)


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"])
@pytest.mark.parametrize("body", [BODY, LARGE], ids=["small", "large"])
def test_checksum_of_another_body(stage: Stage, algorithm: str, body: bytes) -> None:
    size = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}[algorithm]
    headers = {f"x-amz-checksum-{algorithm}": b64(bytes(size))}
    stage.refused(BAD_DIGEST, "PUT", stage.at("kept"), headers, body)
    part = stage.at("kept", f"partNumber=1&uploadId={stage.upload}")
    stage.refused(BAD_DIGEST, "PUT", part, headers, body)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": "no base64!!"},
        {"x-amz-checksum-crc32": b64(bytes(5))},
        {"x-amz-checksum-crc32": ""},
        {"x-amz-checksum-crc32": f"{CRC}-3"},
        {"x-amz-checksum-md5": b64(bytes(16))},
        {"x-amz-checksum-crc128": CRC},
        {"x-amz-checksum-crc32": CRC, "x-amz-checksum-crc32c": b64(bytes(4))},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": CRC},
        {"x-amz-sdk-checksum-algorithm": "MD6", "x-amz-checksum-crc32": CRC},
        {"x-amz-trailer": "x-amz-checksum-crc32"},
    ],
    ids=lambda headers: "+".join(headers) if isinstance(headers, dict) else None,
)
def test_checksum_headers_that_cannot_be(stage: Stage, headers: dict[str, str]) -> None:
    stage.refused(INVALID_REQUEST, "PUT", stage.at("kept"), headers, BODY)


def test_an_upload_with_an_unknown_algorithm(stage: Stage) -> None:
    for headers in (
        {"x-amz-checksum-algorithm": "MD6"},
        {"x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "HALF"},
        {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT"},
        {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"},
    ):
        stage.refused(INVALID_REQUEST, "POST", stage.at("new", "uploads"), headers)


def test_a_trailer_with_a_wrong_value(stage: Stage) -> None:
    headers = {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-decoded-content-length": str(len(BODY))}
    body = plain_chunks([BODY], {"x-amz-checksum-crc32": b64(bytes(4))})
    stage.refused(BAD_DIGEST, "PUT", stage.at("kept"), headers, body, payload=UNSIGNED_TRAILER)
