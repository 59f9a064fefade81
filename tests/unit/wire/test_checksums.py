"""Checksums, against published check values and themselves."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolium.errors import ChecksumMismatch, Malformed
from dolium.values import Checksum, ChecksumAlgorithm, ChecksumType
from dolium.wire.checksums import (
    SentChecksum,
    checksum_from_trailers,
    checksum_of,
    combined_checksum,
    hasher,
    multipart_etag,
    multipart_type,
    parse_algorithm,
    parse_content_md5,
    parse_value,
    read_checksum,
    verify,
)

CRC32, CRC32C, CRC64 = ChecksumAlgorithm.CRC32, ChecksumAlgorithm.CRC32C, ChecksumAlgorithm.CRC64NVME
SHA1, SHA256 = ChecksumAlgorithm.SHA1, ChecksumAlgorithm.SHA256
FULL, COMPOSITE = ChecksumType.FULL_OBJECT, ChecksumType.COMPOSITE
TRAILER = (b"x-amz-content-sha256", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER")


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        (CRC32, "cbf43926"),
        (CRC32C, "e3069283"),
        (CRC64, "ae8b14860a799888"),
        (SHA1, hashlib.sha1(b"123456789").hexdigest()),
        (SHA256, hashlib.sha256(b"123456789").hexdigest()),
    ],
)
def test_check_values(algorithm: ChecksumAlgorithm, digest: str) -> None:
    for pieces in ([b"123456789"], [b"1234", memoryview(b"56789")], [bytearray(b"123456789"), b""]):
        making = hasher(algorithm)
        for piece in pieces:
            making.update(piece)  # type: ignore[arg-type]
        assert making.digest().hex() == digest
        assert making.digest().hex() == digest
    assert base64.b64decode(checksum_of(algorithm, b"123456789").value).hex() == digest


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=100), min_size=1, max_size=8), st.sampled_from([CRC32, CRC32C, CRC64]))
def test_crcs_of_parts_make_the_crc_of_the_whole(parts: list[bytes], algorithm: ChecksumAlgorithm) -> None:
    described = [(checksum_of(algorithm, part).value, len(part)) for part in parts]
    assert combined_checksum(algorithm, FULL, described) == checksum_of(algorithm, b"".join(parts))


@pytest.mark.parametrize("algorithm", [CRC32, CRC32C, SHA1, SHA256])
def test_composite(algorithm: ChecksumAlgorithm) -> None:
    parts = [b"one", b"two", b"three"]
    raw = b"".join([base64.b64decode(checksum_of(algorithm, part).value) for part in parts])
    made = combined_checksum(
        algorithm, COMPOSITE, [(checksum_of(algorithm, part).value, 0) for part in parts]
    )
    assert made == Checksum(algorithm, checksum_of(algorithm, raw).value + "-3", COMPOSITE)


def test_multipart_etag() -> None:
    digests = [hashlib.md5(part).digest() for part in (b"one", b"two")]
    etag = multipart_etag(digest.hex() for digest in digests)
    assert etag == hashlib.md5(b"".join(digests)).hexdigest() + "-2"


@pytest.mark.parametrize(
    ("algorithm", "kind", "answer"),
    [
        (None, None, None),
        (CRC32, None, COMPOSITE),
        (CRC32C, None, COMPOSITE),
        (SHA1, None, COMPOSITE),
        (SHA256, None, COMPOSITE),
        (CRC64, None, FULL),
        (CRC32, FULL, FULL),
        (CRC32C, COMPOSITE, COMPOSITE),
        (CRC64, FULL, FULL),
        (CRC32, "full_object", FULL),
        (SHA256, COMPOSITE, COMPOSITE),
    ],
)
def test_types_of_multipart(
    algorithm: ChecksumAlgorithm | None, kind: str | None, answer: ChecksumType | None
) -> None:
    assert multipart_type(algorithm, kind) is answer


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [(CRC64, COMPOSITE), (SHA1, FULL), (SHA256, FULL), (CRC32, "BOTH"), (CRC32, ""), (None, FULL)],
)
def test_types_that_multipart_refuses(algorithm: ChecksumAlgorithm | None, kind: str) -> None:
    with pytest.raises(Malformed) as refusal:
        multipart_type(algorithm, kind)
    assert refusal.value.code == "InvalidRequest"


def test_what_requests_say() -> None:
    assert read_checksum([(b"host", b"x"), (b"x-amz-checksum-mode", b"ENABLED")]) == SentChecksum()
    assert read_checksum(
        [(b"x-amz-checksum-algorithm", b"CRC32"), (b"x-amz-checksum-type", b"COMPOSITE")]
    ) == (SentChecksum())
    assert read_checksum(
        [(b"x-amz-sdk-checksum-algorithm", b"CRC32"), (b"x-amz-checksum-crc32", b"y/Q5Jg==")]
    ) == SentChecksum(CRC32, Checksum(CRC32, "y/Q5Jg=="))
    sent = read_checksum([TRAILER, (b"x-amz-trailer", b"X-Amz-Checksum-CRC64NVME")])
    assert sent == SentChecksum(CRC64, None, b"x-amz-checksum-crc64nvme")
    assert checksum_from_trailers({b"x-amz-checksum-crc64nvme": b"rosUhgp5mIg="}, sent) == Checksum(
        CRC64, "rosUhgp5mIg="
    )
    assert checksum_from_trailers({}, SentChecksum()) is None


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-amz-checksum-crc32", b"y/Q5Jg=="), (b"x-amz-checksum-crc32c", b"4waSgw==")],
        [(b"x-amz-checksum-crc32", b"y/Q5Jg=="), (b"x-amz-checksum-crc32", b"y/Q5Jg==")],
        [(b"x-amz-checksum-md4", b"y/Q5Jg==")],
        [(b"x-amz-checksum-crc32", b"")],
        [(b"x-amz-checksum-crc32", b"y/Q5Jg==\n")],
        [(b"x-amz-checksum-crc32", b" y/Q5Jg==")],
        [(b"x-amz-checksum-crc32", b"y/Q5Jh==")],
        [(b"x-amz-checksum-crc32", b"cbf43926")],
        [(b"x-amz-checksum-crc32", b"y/Q5Jg==-1")],
        [(b"x-amz-checksum-sha256", b"y/Q5Jg==")],
        [(b"x-amz-checksum-crc64nvme", b"\xff")],
        [(b"x-amz-sdk-checksum-algorithm", b"CRC32")],
        [(b"x-amz-sdk-checksum-algorithm", b"SHA1"), (b"x-amz-checksum-crc32", b"y/Q5Jg==")],
        [TRAILER, (b"x-amz-trailer", b"x-amz-checksum-crc32"), (b"x-amz-checksum-crc32", b"y/Q5Jg==")],
        [TRAILER, (b"x-amz-trailer", b"x-amz-meta-x")],
        [TRAILER, (b"x-amz-trailer", b"")],
        [(b"x-amz-trailer", b"x-amz-checksum-crc32")],
        [(b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"), (b"x-amz-trailer", b"x-amz-checksum-crc32")],
    ],
)
def test_refused_headers(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Malformed) as refusal:
        read_checksum(headers)
    assert refusal.value.code == "InvalidRequest"


def test_a_malformed_value_in_a_trailer() -> None:
    sent = SentChecksum(CRC32, None, b"x-amz-checksum-crc32")
    with pytest.raises(Malformed) as refusal:
        checksum_from_trailers({b"x-amz-checksum-crc32": b"nonsense"}, sent)
    assert refusal.value.code == "InvalidRequest"


def test_composite_values() -> None:
    assert parse_value(CRC32, "y/Q5Jg==-12", composite=True) == "y/Q5Jg==-12"
    assert parse_value(CRC32, b"y/Q5Jg==", composite=True) == "y/Q5Jg=="
    for value in ("y/Q5Jg==-", "y/Q5Jg==-x", "y/Q5Jg==-1-2", "-1"):
        with pytest.raises(Malformed):
            parse_value(CRC32, value, composite=True)


def test_names_of_algorithms() -> None:
    assert parse_algorithm("sha256") is SHA256
    assert parse_algorithm("CRC64NVME") is CRC64
    with pytest.raises(Malformed) as refusal:
        parse_algorithm("MD5")
    assert refusal.value.code == "InvalidRequest"
    assert "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]" in refusal.value.message


def test_checksum_of_an_object_in_complete() -> None:
    headers = [(b"x-amz-checksum-crc32", b"y/Q5Jg==-3"), (b"x-amz-sdk-checksum-algorithm", b"SHA1")]
    assert read_checksum(headers, of_body=False).checksum == Checksum(CRC32, "y/Q5Jg==-3")
    assert read_checksum([], of_body=False) == SentChecksum()


def test_content_md5() -> None:
    digest = hashlib.md5(b"data").digest()
    assert parse_content_md5(base64.b64encode(digest)) == digest


@pytest.mark.parametrize(
    "value", [b"", b"YWJyYWNhZGFicmE=", b"rL0Y20zC+Fzt72VPzMSk2A", b"\x07AcG==", b"!", b"\xff"]
)
def test_bad_content_md5(value: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        parse_content_md5(value)
    assert refusal.value.code == "InvalidDigest"


def test_verify() -> None:
    data = b"123456789"
    md5, sha256 = hashlib.md5(data).digest(), hashlib.sha256(data).hexdigest()
    right, wrong = Checksum(CRC32, "y/Q5Jg=="), Checksum(CRC32, "AAAAAA==")
    verify(data, None, None, SentChecksum())
    verify(data, md5, sha256, SentChecksum(CRC32, right))
    verify(data, None, None, SentChecksum(CRC32, None, b"x-amz-checksum-crc32"), right)
    for refused in (
        (b"0" * 16, None, SentChecksum()),
        (None, "0" * 64, SentChecksum()),
        (None, None, SentChecksum(CRC32, wrong)),
    ):
        with pytest.raises(ChecksumMismatch):
            verify(data, *refused)
    with pytest.raises(ChecksumMismatch) as refusal:
        verify(data, None, None, SentChecksum(CRC32, None, b"x-amz-checksum-crc32"), wrong)
    assert (refusal.value.expected, refusal.value.computed) == ("AAAAAA==", "y/Q5Jg==")


@pytest.mark.parametrize("value", [b"bad", b"y/Q5Jg", b"AAAABB"])
def test_a_value_cut_short_is_a_wrong_value(value: bytes) -> None:
    with pytest.raises(ChecksumMismatch):
        read_checksum([(b"x-amz-checksum-crc32", value)])
