"""Checksums of objects and of parts: five algorithms, two types, none of them taken on trust."""

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable

import pytest
from awscrt import checksums as crt  # type: ignore[import-untyped]

from tests.s3.client import Client, target
from tests.s3.test_multipart import MIB5

Digest = Callable[[bytes], bytes]

DIGESTS: dict[str, Digest] = {
    "CRC32": lambda body: zlib.crc32(body).to_bytes(4),
    "CRC32C": lambda body: crt.crc32c(body).to_bytes(4),
    "CRC64NVME": lambda body: crt.crc64nvme(body).to_bytes(8),
    "SHA1": lambda body: hashlib.sha1(body).digest(),
    "SHA256": lambda body: hashlib.sha256(body).digest(),
}
KINDS = [
    ("CRC32", "COMPOSITE"),
    ("CRC32", "FULL_OBJECT"),
    ("CRC32C", "COMPOSITE"),
    ("CRC32C", "FULL_OBJECT"),
    ("CRC64NVME", "FULL_OBJECT"),
    ("SHA1", "COMPOSITE"),
    ("SHA256", "COMPOSITE"),
]
PARTS = (MIB5, MIB5[::-1] + b"odd", b"end")
ASKED = {"x-amz-checksum-mode": "ENABLED"}


def text(digest: bytes) -> str:
    return b64encode(digest).decode()


def of_parts(algorithm: str, kind: str, parts: tuple[bytes, ...]) -> str:
    """As AWS defines them ("Checking object integrity")."""
    digest = DIGESTS[algorithm]
    if kind == "FULL_OBJECT":
        return text(digest(b"".join(parts)))
    return f"{text(digest(b''.join(map(digest, parts))))}-{len(parts)}"


def begin(client: Client, bucket: str, algorithm: str, kind: str) -> str:
    return client.begin(bucket, "k", x_amz_checksum_algorithm=algorithm, x_amz_checksum_type=kind)


@pytest.mark.parametrize("algorithm", DIGESTS)
@pytest.mark.parametrize("size", [0, 9, 30_000, 3_000_000])
def test_of_an_object(admin: Client, own: str, algorithm: str, size: int) -> None:
    body = (b"123456789" * (size // 9 + 1))[:size]
    name, value = f"x-amz-checksum-{algorithm.lower()}", text(DIGESTS[algorithm](body))
    answer = admin.done("PUT", target(own, "k"), {name: value}, body)
    assert answer.headers[name] == value
    for method in ("GET", "HEAD"):
        told = admin.done(method, target(own, "k"), ASKED).headers
        assert (told[name], told["x-amz-checksum-type"]) == (value, "FULL_OBJECT")
        assert name not in admin.done(method, target(own, "k")).headers
    if size:
        part = admin.done("GET", target(own, "k"), {**ASKED, "range": "bytes=1-3"})
        assert not [header for header in part.headers if header.startswith("x-amz-checksum")]
        whole = admin.done("GET", target(own, "k"), {**ASKED, "range": "bytes=0-"})
        assert (whole.status, whole.headers[name]) == (206, value)


@pytest.mark.parametrize(("algorithm", "kind"), KINDS)
def test_of_an_object_in_parts(admin: Client, own: str, algorithm: str, kind: str) -> None:
    upload = begin(admin, own, algorithm, kind)
    parts = {n: admin.put_part(own, "k", upload, n, part) for n, part in enumerate(PARTS, 1)}
    expected = of_parts(algorithm, kind, PARTS)
    header = f"x_amz_checksum_{algorithm.lower()}"
    wrong = of_parts(algorithm, kind, PARTS[:2])
    refused = admin.complete(own, "k", upload, parts, **{header: wrong})
    assert (refused.status, refused.code) == (400, "BadDigest")
    assert not admin.has(own, "k")
    answer = admin.complete(own, "k", upload, parts, **{header: expected})
    assert answer.field(f"Checksum{algorithm}") == expected
    assert answer.field("ChecksumType") == kind
    head = admin.done("HEAD", target(own, "k"), ASKED).headers
    assert head[f"x-amz-checksum-{algorithm.lower()}"] == expected
    assert head["x-amz-checksum-type"] == kind
    second = admin.done("HEAD", target(own, "k", "partNumber=2"), ASKED).headers
    assert second[f"x-amz-checksum-{algorithm.lower()}"] == text(DIGESTS[algorithm](PARTS[1]))


def test_another_algorithm_than_the_upload_has(admin: Client, own: str) -> None:
    upload = begin(admin, own, "CRC32", "COMPOSITE")
    path = target(own, "k", f"partNumber=1&uploadId={upload}")
    sha = {"x-amz-checksum-sha256": text(DIGESTS["SHA256"](b"part"))}
    admin.refused((400, "InvalidRequest"), "PUT", path, sha, b"part")
    etag = admin.put_part(own, "k", upload, 1, b"part")
    wrong = admin.complete(own, "k", upload, {1: etag}, x_amz_checksum_sha256=sha["x-amz-checksum-sha256"])
    assert (wrong.status, wrong.code) == (400, "BadDigest")


def test_the_types_that_are_chosen_without_a_word(admin: Client, own: str) -> None:
    for algorithm, kind in (("CRC32", "COMPOSITE"), ("CRC64NVME", "FULL_OBJECT"), ("SHA256", "COMPOSITE")):
        answer = admin.done("POST", target(own, "k", "uploads"), {"x-amz-checksum-algorithm": algorithm})
        assert answer.headers["x-amz-checksum-type"] == kind
        assert answer.headers["x-amz-checksum-algorithm"] == algorithm


def test_a_copied_part_has_one_too(admin: Client, own: str) -> None:
    admin.put(own, "source", PARTS[0])
    upload = begin(admin, own, "CRC32C", "FULL_OBJECT")
    path = target(own, "k", f"partNumber=1&uploadId={upload}")
    answer = admin.done("PUT", path, {"x-amz-copy-source": f"/{own}/source"})
    assert answer.field("ChecksumCRC32C") == text(DIGESTS["CRC32C"](PARTS[0]))
    second = admin.put_part(own, "k", upload, 2, b"end")
    done = admin.complete(own, "k", upload, {1: answer.field("ETag").strip('"'), 2: second})
    assert done.field("ChecksumCRC32C") == of_parts("CRC32C", "FULL_OBJECT", (PARTS[0], b"end"))


def test_a_copy_keeps_it(admin: Client, own: str) -> None:
    value = text(DIGESTS["SHA1"](b"body"))
    admin.done("PUT", target(own, "source"), {"x-amz-checksum-sha1": value}, b"body")
    answer = admin.done("PUT", target(own, "k"), {"x-amz-copy-source": f"/{own}/source"})
    assert answer.field("ChecksumSHA1") == value
    assert admin.done("HEAD", target(own, "k"), ASKED).headers["x-amz-checksum-sha1"] == value


def test_they_show_in_listings(admin: Client, own: str) -> None:
    admin.done("PUT", target(own, "k"), {"x-amz-checksum-crc32": text(DIGESTS["CRC32"](b"x"))}, b"x")
    answer = admin.done("GET", f"/{own}?list-type=2")
    assert (answer.field("ChecksumAlgorithm"), answer.field("ChecksumType")) == ("CRC32", "FULL_OBJECT")
    begin(admin, own, "SHA256", "COMPOSITE")
    listed = admin.done("GET", f"/{own}?uploads")
    assert (listed.field("ChecksumAlgorithm"), listed.field("ChecksumType")) == ("SHA256", "COMPOSITE")
