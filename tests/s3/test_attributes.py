"""GetObjectAttributes: what is asked for, and nothing else."""

import hashlib
import zlib
from base64 import b64encode

import pytest

from tests.s3.client import Answer, Client, target, texts
from tests.s3.test_multipart import MIB5

ALL = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"


def ask(client: Client, bucket: str, what: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.done("GET", target(bucket, "k", "attributes"), {"x-amz-object-attributes": what, **named})


def test_of_an_object(admin: Client, own: str) -> None:
    crc = b64encode(zlib.crc32(b"body").to_bytes(4)).decode()
    admin.put(own, "k", b"body", x_amz_checksum_crc32=crc, x_amz_storage_class="GLACIER")
    answer = ask(admin, own, ALL)
    assert answer.field("ETag") == hashlib.md5(b"body").hexdigest()
    assert answer.field("ChecksumCRC32") == crc
    assert answer.field("StorageClass") == "GLACIER"
    assert answer.field("ObjectSize") == "4"
    assert b"ObjectParts" not in answer.body
    assert answer.headers["last-modified"] == admin.done("HEAD", target(own, "k")).headers["last-modified"]


@pytest.mark.parametrize("name", ALL.split(","))
def test_one_by_one(admin: Client, own: str, name: str) -> None:
    upload = admin.begin(own, "k", x_amz_checksum_algorithm="CRC32")
    part = admin.put_part(own, "k", upload, 1, b"part")
    admin.complete(own, "k", upload, {1: part})
    body = ask(admin, own, name).body
    assert [other for other in ALL.split(",") if f"<{other}>".encode() in body] == [name]


def test_parts(admin: Client, own: str) -> None:
    upload = admin.begin(own, "k", x_amz_checksum_algorithm="SHA256")
    bodies = {2: MIB5, 3: MIB5[::-1], 9: b"end"}
    parts = {n: admin.put_part(own, "k", upload, n, body) for n, body in bodies.items()}
    admin.complete(own, "k", upload, parts)
    found, marker = [], "0"
    for _ in range(4):
        answer = ask(admin, own, "ObjectParts", x_amz_max_parts="2", x_amz_part_number_marker=marker)
        assert texts(answer, "ObjectParts/PartsCount") == ["3"]
        found += list(
            zip(
                texts(answer, "ObjectParts/Part/PartNumber"),
                texts(answer, "ObjectParts/Part/Size"),
                texts(answer, "ObjectParts/Part/ChecksumSHA256"),
                strict=True,
            )
        )
        marker = answer.field("NextPartNumberMarker")
        if answer.field("IsTruncated") == "false":
            break
    assert found == [
        (str(n), str(len(body)), b64encode(hashlib.sha256(body).digest()).decode())
        for n, body in bodies.items()
    ]


def test_of_what_is_not_there(admin: Client, own: str) -> None:
    headers = {"x-amz-object-attributes": ALL}
    admin.refused((404, "NoSuchKey"), "GET", target(own, "never", "attributes"), headers)
    admin.put(own, "k")
    admin.refused((404, "NoSuchVersion"), "GET", target(own, "k", "attributes&versionId=7"), headers)
    for name in ("x-amz-max-parts", "x-amz-part-number-marker"):
        upload = admin.begin(own, "p")
        part = admin.put_part(own, "p", upload, 1, b"part")
        admin.complete(own, "p", upload, {1: part})
        wrong = {**headers, name: "-1"}
        admin.refused((400, "InvalidArgument"), "GET", target(own, "p", "attributes"), wrong)
