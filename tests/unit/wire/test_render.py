"""Answers, read back by another parser: the ones in the standard library and in botocore."""

from __future__ import annotations

from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import botocore.session
import pytest
from botocore.parsers import RestXMLParser
from hypothesis import given
from hypothesis import strategies as st

from dolium.values import Checksum, ChecksumAlgorithm, ChecksumType
from dolium.wire import render
from dolium.wire.canonical import decode
from dolium.wire.render import (
    ListedObject,
    ListedPart,
    ListedUpload,
    ListingV1,
    ListingV2,
    PartsPage,
    UploadsPage,
)
from dolium.wire.render.text import NAMESPACE, escape, speakable, url_encode

AT = 1_767_323_045_006
ISO = "2026-01-02T03:04:05.006Z"
CRC32 = Checksum(ChecksumAlgorithm.CRC32, "y/Q5Jg==")
COMPOSITE = Checksum(ChecksumAlgorithm.SHA256, "abc=-2", ChecksumType.COMPOSITE)

_model = botocore.session.get_session().get_service_model("s3")


class Person(NamedTuple):
    canonical_id: str
    display_name: str


OWNER = Person("id", "A & B")
OWNER_READ = {"ID": "id", "DisplayName": "A & B"}


def read(operation: str, body: bytes) -> dict[str, Any]:
    """As boto3 sees it."""
    shape = _model.operation_model(operation).output_shape
    assert shape is not None
    response = {"status_code": 200, "headers": {}, "body": body, "context": {"operation_name": operation}}
    parsed = RestXMLParser().parse(response, shape)
    del parsed["ResponseMetadata"]
    return dict(parsed)


def listing_v1(objects: list[ListedObject], **changes: Any) -> ListingV1:
    values: dict[str, Any] = {
        "bucket": "bucket",
        "prefix": "",
        "delimiter": "",
        "limit": 1000,
        "encoding": False,
        "truncated": False,
        "objects": objects,
        "prefixes": [],
        "marker": "",
    }
    return ListingV1(**{**values, **changes})


def listing_v2(objects: list[ListedObject], **changes: Any) -> ListingV2:
    page = listing_v1(objects)
    values = {
        name: getattr(page, name) for name in ListingV1.__slots__ if name not in ("marker", "next_marker")
    }
    return ListingV2(**{**values, **changes})


def test_list_v1() -> None:
    objects = [
        ListedObject("a&b", 5, "e1", AT, "STANDARD", OWNER, "CRC32", "FULL_OBJECT"),
        ListedObject('c"<d>', 0, "e2-3", AT, "GLACIER", Person("other", "")),
        ListedObject("e", 1, "e3", AT),
    ]
    page = listing_v1(
        objects, prefix="p<", delimiter="/", prefixes=["x&/"], truncated=True, marker="m>", next_marker="n&"
    )
    found = read("ListObjects", render.list_v1_result(page))
    contents = found.pop("Contents")
    assert found == {
        "Name": "bucket",
        "Prefix": "p<",
        "Delimiter": "/",
        "Marker": "m>",
        "NextMarker": "n&",
        "MaxKeys": 1000,
        "IsTruncated": True,
        "CommonPrefixes": [{"Prefix": "x&/"}],
    }
    assert [item["Key"] for item in contents] == ["a&b", 'c"<d>', "e"]
    assert contents[0]["ETag"] == '"e1"'
    assert contents[0]["Size"] == 5
    assert contents[0]["LastModified"].isoformat() == "2026-01-02T03:04:05.006000+00:00"
    assert contents[0]["Owner"] == OWNER_READ
    assert (contents[0]["ChecksumAlgorithm"], contents[0]["ChecksumType"]) == (["CRC32"], "FULL_OBJECT")
    assert (contents[1]["StorageClass"], contents[1]["Owner"]["ID"]) == ("GLACIER", "other")
    assert "Owner" not in contents[2]
    assert "ChecksumAlgorithm" not in contents[2]


def test_list_v2() -> None:
    page = listing_v2(
        [ListedObject("a", 5, "e1", AT)],
        prefix="p",
        delimiter="/",
        prefixes=["x/", "y/"],
        truncated=True,
        token="t&",
        next_token="n&",
        start_after="s&",
    )
    found = read("ListObjectsV2", render.list_v2_result(page))
    [item] = found.pop("Contents")
    assert item["Key"] == "a"
    assert found == {
        "Name": "bucket",
        "Prefix": "p",
        "Delimiter": "/",
        "ContinuationToken": "t&",
        "NextContinuationToken": "n&",
        "StartAfter": "s&",
        "KeyCount": 3,
        "MaxKeys": 1000,
        "IsTruncated": True,
        "CommonPrefixes": [{"Prefix": "x/"}, {"Prefix": "y/"}],
    }


def test_an_empty_listing() -> None:
    found = read("ListObjectsV2", render.list_v2_result(listing_v2([])))
    assert found == {"Name": "bucket", "Prefix": "", "KeyCount": 0, "MaxKeys": 1000, "IsTruncated": False}
    one = read("ListObjects", render.list_v1_result(listing_v1([], next_marker="not told")))
    assert one == {"Name": "bucket", "Prefix": "", "Marker": "", "MaxKeys": 1000, "IsTruncated": False}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
def test_every_key_survives_encoding(keys: list[str]) -> None:
    page = listing_v1(
        [ListedObject(key, 1, "e", AT) for key in keys],
        encoding=True,
        prefix=keys[0],
        delimiter=keys[0],
        prefixes=keys,
        truncated=True,
        marker=keys[0],
        next_marker=keys[0],
    )
    root = ET.fromstring(render.list_v1_result(page))

    def texts(path: str) -> list[str]:
        steps = "/".join(f"{{{NAMESPACE}}}{step}" for step in path.split("/"))
        return [decode((element.text or "").encode()).decode() for element in root.findall(steps)]

    assert texts("Contents/Key") == texts("CommonPrefixes/Prefix") == keys
    assert texts("Delimiter") + texts("Marker") + texts("NextMarker") == [keys[0]] * 3
    prefix = root.findtext(f"{{{NAMESPACE}}}Prefix") or ""
    assert prefix == keys[0] if speakable(keys[0]) else decode(prefix.encode()).decode() == keys[0]
    assert root.findtext(f"{{{NAMESPACE}}}EncodingType") == "url"


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        ("a/b", "a/b"),
        ("a b+c", "a%20b%2Bc"),
        ("ü", "%C3%BC"),
        ("-._~", "-._~"),
        ("*'()", "%2A%27%28%29"),
        ("\x01", "%01"),
    ],
)
def test_url_encoding(key: str, encoded: str) -> None:
    assert url_encode(key) == encoded
    document = render.list_v2_result(listing_v2([ListedObject(key, 1, "e", AT)], encoding=True))
    assert f"<Key>{encoded}</Key>".encode() in document


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_xml_cannot_hold_is_never_raw(text: str) -> None:
    escaped = escape(text)
    assert not any(char < " " or char in '\ufffe\uffff<>"' for char in escaped)
    assert f"<Key>{escaped}</Key>".encode() in render.list_v1_result(
        listing_v1([ListedObject(text, 1, "e", AT)])
    )
    if not any(char < " " and char not in "\t\n\r" for char in text) and not set(text) & {"\ufffe", "\uffff"}:
        assert (ET.fromstring(f"<a>{escaped}</a>").text or "") == text


def test_references_as_aws_writes_them() -> None:
    assert escape("a\x01b\r\n\uffff&") == "a&#x1;b&#xD;&#xA;&#xFFFF;&amp;"


def test_buckets() -> None:
    body = render.list_buckets_result(
        OWNER, [render.ListedBucket("one", AT, "eu-west-1")], prefix="o", token="next&"
    )
    found = read("ListBuckets", body)
    [bucket] = found.pop("Buckets")
    assert (bucket["Name"], bucket["BucketRegion"], bucket["CreationDate"].year) == ("one", "eu-west-1", 2026)
    assert found == {"Owner": OWNER_READ, "ContinuationToken": "next&", "Prefix": "o"}
    assert read("ListBuckets", render.list_buckets_result(OWNER, [])) == {"Owner": OWNER_READ, "Buckets": []}


def test_errors() -> None:
    body = render.error_document(
        "NoSuchKey", "It is <gone>", "/bucket/a&b", "req", {"Key": "a&b\x00"}, host_id="host"
    )
    assert body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>It is &lt;gone&gt;</Message>'
        b"<Key>a&amp;b\xef\xbf\xbd</Key><Resource>/bucket/a&amp;b</Resource><RequestId>req</RequestId>"
        b"<HostId>host</HostId></Error>"
    )
    assert b"<HostId>req</HostId>" in render.error_document("X", "", "", "req", {})


def test_multipart() -> None:
    assert read("CreateMultipartUpload", render.initiate_result("bucket", "k&", "u")) == {
        "Bucket": "bucket",
        "Key": "k&",
        "UploadId": "u",
    }
    assert read(
        "CompleteMultipartUpload", render.complete_result("http://h/b/k&", "b", "k&", "e-2", COMPOSITE)
    ) == {
        "Location": "http://h/b/k&",
        "Bucket": "b",
        "Key": "k&",
        "ETag": '"e-2"',
        "ChecksumSHA256": "abc=-2",
        "ChecksumType": "COMPOSITE",
    }
    assert "ChecksumType" not in read(
        "CompleteMultipartUpload", render.complete_result("l", "b", "k", "e-2", None)
    )


def parts_page(**changes: Any) -> PartsPage:
    values: dict[str, Any] = {
        "bucket": "b",
        "key": "k &",
        "upload_id": "u",
        "owner": OWNER,
        "storage_class": "STANDARD",
        "marker": 1,
        "limit": 2,
        "truncated": True,
        "parts": [ListedPart(2, 5, "e2", AT, CRC32), ListedPart(4, 6, "e4", AT)],
    }
    return PartsPage(**{**values, **changes})


def test_parts() -> None:
    page = parts_page(algorithm=ChecksumAlgorithm.CRC32, checksum_type=ChecksumType.COMPOSITE)
    found = read("ListParts", render.list_parts_result(page))
    one, two = found.pop("Parts")
    assert (one["PartNumber"], one["Size"], one["ETag"], one["ChecksumCRC32"]) == (2, 5, '"e2"', "y/Q5Jg==")
    assert (two["PartNumber"], "ChecksumCRC32" in two) == (4, False)
    assert found == {
        "Bucket": "b",
        "Key": "k &",
        "UploadId": "u",
        "Initiator": OWNER_READ,
        "Owner": OWNER_READ,
        "StorageClass": "STANDARD",
        "PartNumberMarker": 1,
        "NextPartNumberMarker": 4,
        "MaxParts": 2,
        "IsTruncated": True,
        "ChecksumAlgorithm": "CRC32",
        "ChecksumType": "COMPOSITE",
    }
    assert b"<Key>k%20%26</Key>" in render.list_parts_result(parts_page(encoding=True))
    none = read("ListParts", render.list_parts_result(parts_page(parts=[], truncated=False)))
    assert (none["NextPartNumberMarker"], none["IsTruncated"], "ChecksumType" in none) == (0, False, False)


def test_uploads() -> None:
    values: dict[str, Any] = {
        "bucket": "b",
        "prefix": "p",
        "delimiter": "/",
        "key_marker": "km",
        "upload_id_marker": "um",
        "next_key_marker": "nk",
        "next_upload_id_marker": "nu",
        "limit": 1,
        "truncated": True,
        "uploads": [
            ListedUpload("k &", "u", OWNER, "STANDARD", AT, ChecksumAlgorithm.SHA1, ChecksumType.COMPOSITE),
            ListedUpload("l", "v", OWNER, "STANDARD", AT, ChecksumAlgorithm.SHA1),
        ],
        "prefixes": ["x y/"],
    }
    found = read("ListMultipartUploads", render.list_uploads_result(UploadsPage(**values)))
    one, two = found.pop("Uploads")
    assert (one["Key"], one["UploadId"], one["Owner"], one["Initiator"]) == (
        "k &",
        "u",
        OWNER_READ,
        OWNER_READ,
    )
    assert (one["ChecksumAlgorithm"], one["ChecksumType"], one["Initiated"].year) == (
        "SHA1",
        "COMPOSITE",
        2026,
    )
    assert (two["ChecksumAlgorithm"], "ChecksumType" in two) == ("SHA1", False)
    assert found == {
        "Bucket": "b",
        "Prefix": "p",
        "Delimiter": "/",
        "KeyMarker": "km",
        "UploadIdMarker": "um",
        "NextKeyMarker": "nk",
        "NextUploadIdMarker": "nu",
        "MaxUploads": 1,
        "IsTruncated": True,
        "CommonPrefixes": [{"Prefix": "x y/"}],
    }
    encoded = render.list_uploads_result(UploadsPage(**{**values, "encoding": True, "truncated": False}))
    assert b"<Key>k%20%26</Key>" in encoded
    assert b"<Prefix>x%20y/</Prefix>" in encoded
    assert b"NextKeyMarker" not in encoded


def test_copies() -> None:
    found = read("CopyObject", render.copy_object_result("e", AT, CRC32))["CopyObjectResult"]
    assert found.pop("LastModified").year == 2026
    assert found == {"ETag": '"e"', "ChecksumCRC32": "y/Q5Jg==", "ChecksumType": "FULL_OBJECT"}
    part = read("UploadPartCopy", render.copy_part_result("e", AT, CRC32))["CopyPartResult"]
    assert (part["ETag"], part["ChecksumCRC32"]) == ('"e"', "y/Q5Jg==")
    assert ISO.encode() in render.copy_object_result("e", AT, None)


def test_delete_result() -> None:
    body = render.delete_result(
        [render.DeletedKey("a&"), render.DeletedKey("b", "v")],
        [render.DeleteFailure("c", "AccessDenied", "No & never", "null"), render.DeleteFailure("d", "X", "")],
    )
    assert read("DeleteObjects", body) == {
        "Deleted": [{"Key": "a&"}, {"Key": "b", "VersionId": "v"}],
        "Errors": [
            {"Key": "c", "VersionId": "null", "Code": "AccessDenied", "Message": "No & never"},
            {"Key": "d", "Code": "X", "Message": ""},
        ],
    }
    assert read("DeleteObjects", render.delete_result([], [])) == {}


def test_attributes() -> None:
    parts = render.AttributeParts(
        total=3,
        marker=1,
        limit=2,
        truncated=True,
        parts=[ListedPart(2, 5, "e", AT, CRC32), ListedPart(3, 6, "e", AT)],
    )
    body = render.attributes_result(
        etag="e-3", checksum=COMPOSITE, parts=parts, storage_class="STANDARD", size=7
    )
    assert read("GetObjectAttributes", body) == {
        "ETag": "e-3",
        "Checksum": {"ChecksumSHA256": "abc=-2", "ChecksumType": "COMPOSITE"},
        "ObjectParts": {
            "TotalPartsCount": 3,
            "PartNumberMarker": 1,
            "NextPartNumberMarker": 3,
            "MaxParts": 2,
            "IsTruncated": True,
            "Parts": [
                {"PartNumber": 2, "Size": 5, "ChecksumCRC32": "y/Q5Jg=="},
                {"PartNumber": 3, "Size": 6},
            ],
        },
        "StorageClass": "STANDARD",
        "ObjectSize": 7,
    }
    assert read("GetObjectAttributes", render.attributes_result(size=0)) == {"ObjectSize": 0}


def test_settings() -> None:
    assert b'2006-03-01/">eu-west-1</LocationConstraint>' in render.location_result("eu-west-1")
    assert b"></LocationConstraint>" in render.location_result(None)
    assert read("GetBucketRequestPayment", render.request_payment_result()) == {"Payer": "BucketOwner"}
    assert read("GetBucketVersioning", render.empty_document("VersioningConfiguration")) == {}
    assert read("GetObjectTagging", render.empty_document("Tagging", "TagSet")) == {"TagSet": []}
    grant = {"Grantee": {**OWNER_READ, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}
    assert read("GetBucketAcl", render.acl_result(OWNER)) == {"Owner": OWNER_READ, "Grants": [grant]}
