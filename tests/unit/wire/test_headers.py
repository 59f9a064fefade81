"""Headers that are kept with objects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolium.errors import Malformed
from dolium.wire.headers import (
    ObjectHeaders,
    decode_value,
    encode_value,
    object_header_lines,
    read_object_headers,
    response_overrides,
)


def test_what_is_kept() -> None:
    found = read_object_headers(
        [
            (b"host", b"x"),
            (b"content-type", b"text/plain"),
            (b"cache-control", b"no-cache"),
            (b"content-disposition", b'attachment; filename="a"'),
            (b"content-language", b"de"),
            (b"expires", b"never"),
            (b"x-amz-website-redirect-location", b"/elsewhere"),
            (b"x-amz-storage-class", b"STANDARD_IA"),
            (b"x-amz-meta-mtime", b"1.5"),
            (b"x-amz-meta-empty", b""),
            (b"x-amz-meta-twice", b"a"),
            (b"x-amz-meta-twice", b"b"),
            (b"x-amz-acl", b"private"),
        ]
    )
    assert found == ObjectHeaders(
        {
            "content-type": "text/plain",
            "cache-control": "no-cache",
            "content-disposition": 'attachment; filename="a"',
            "content-language": "de",
            "expires": "never",
            "x-amz-website-redirect-location": "/elsewhere",
        },
        {"mtime": "1.5", "empty": "", "twice": "a,b"},
        "STANDARD_IA",
    )
    lines = object_header_lines(found)
    assert (b"x-amz-meta-mtime", b"1.5") in lines
    assert (b"x-amz-storage-class", b"STANDARD_IA") in lines
    assert (b"content-type", b"text/plain") in lines
    assert len(lines) == 10


def test_defaults() -> None:
    found = read_object_headers([(b"content-type", b"")])
    assert found == ObjectHeaders()
    assert object_header_lines(found) == [(b"content-type", b"binary/octet-stream")]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"gzip", "gzip"),
        (b"gzip, br", "gzip, br"),
        (b"aws-chunked", None),
        (b"aws-chunked,", None),
        (b"aws-chunked,gzip", "gzip"),
        (b"gzip, AWS-Chunked", "gzip"),
        (b"gzip,aws-chunked, br", "gzip,br"),
    ],
)
def test_aws_chunked_is_not_kept(sent: bytes, kept: str | None) -> None:
    assert read_object_headers([(b"content-encoding", sent)]).system.get("content-encoding") == kept


@given(st.binary(max_size=50))
def test_any_bytes_come_back(value: bytes) -> None:
    text = decode_value(value)
    assert text.encode().decode() == text  # can be stored as UTF-8
    assert encode_value(text) == value


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_utf_8_is_read_as_such(text: str) -> None:
    assert encode_value(decode_value(text.encode())) == text.encode()
    if not any("\uf780" <= char <= "\uf7ff" for char in text):
        assert decode_value(text.encode()) == text


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([(b"x-amz-meta-a", b"x" * 2048)], "MetadataTooLarge"),
        ([(b"x-amz-meta-" + b"a" * 1024, b"x" * 1025)], "MetadataTooLarge"),
        ([(b"x-amz-meta-a%d" % number, b"x" * 100) for number in range(21)], "MetadataTooLarge"),
        ([(b"x-amz-meta-a", b"\xc3\xa9" * 1024)], "MetadataTooLarge"),
        ([(b"x-amz-meta-", b"x")], "InvalidArgument"),
        ([(b"x-amz-meta-a", b"x\r\ny")], "InvalidArgument"),
        ([(b"content-type", b"x\ny")], "InvalidArgument"),
        ([(b"x-amz-storage-class", b"COLD")], "InvalidStorageClass"),
        ([(b"x-amz-storage-class", b"")], "InvalidStorageClass"),
        ([(b"x-amz-website-redirect-location", b"ftp://x")], "InvalidRedirectLocation"),
    ],
)
def test_refusals(headers: list[tuple[bytes, bytes]], code: str) -> None:
    with pytest.raises(Malformed) as refusal:
        read_object_headers(headers)
    assert refusal.value.code == code


def test_exactly_two_kibibytes() -> None:
    assert len(read_object_headers([(b"x-amz-meta-a", b"x" * 2047)]).user["a"]) == 2047


def test_other_storage_classes() -> None:
    classes = frozenset({"STANDARD", "TAPE"})
    assert (
        read_object_headers([(b"x-amz-storage-class", b"TAPE")], storage_classes=classes).storage_class
        == "TAPE"
    )
    with pytest.raises(Malformed):
        read_object_headers([(b"x-amz-storage-class", b"GLACIER")], storage_classes=classes)


def test_response_overrides() -> None:
    query = {"response-content-type": "text/x", "response-expires": "", "response-x": "y", "prefix": "z"}
    assert response_overrides(query) == {"content-type": "text/x", "expires": ""}
    with pytest.raises(Malformed) as refusal:
        response_overrides({"response-content-type": "a\r\nb: c"})
    assert refusal.value.code == "InvalidArgument"
